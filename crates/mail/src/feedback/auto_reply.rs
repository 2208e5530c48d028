//! Replies of machines (RFC 3834), and requests to prove that a human wrote.

use super::Shape;
use super::shapes::{any, begins_with_any};

/// Whether a machine answers for somebody.
pub(super) fn is_auto_reply(message: &Shape<'_>) -> bool {
    let says = |name: &str, words: &[&str]| message.field(name).is_some_and(|value| any(&value, words));
    let auto_submitted = message.field("Auto-Submitted").is_some_and(|value| {
        let keyword = value.split([';', '(']).next().unwrap_or_default().trim().to_owned();
        !keyword.is_empty() && keyword != "no"
    });
    auto_submitted
        || AUTO_REPLY_FIELDS.iter().any(|name| message.has(name))
        || says("Precedence", &["auto_reply", "auto-reply", "autoreply"])
        || says("X-Precedence", &["auto_reply", "auto-reply", "autoreply"])
        || says("Content-Type", &["disposition-notification"])
        || begins_with_any(&message.subject, AUTO_REPLY_SUBJECTS)
        || (message.is_null_sender || says("Precedence", &["bulk", "junk"])) && any(&message.subject, AWAY_WORDS)
}

/// Whether a machine keeps the message back until somebody follows a link or answers.
pub(super) fn is_challenge(message: &Shape<'_>) -> bool {
    let text = message.text.get(..message.text.floor_char_boundary(8 << 10)).unwrap_or_default().to_lowercase();
    CHALLENGE_FIELDS.iter().any(|name| message.has(name))
        || any(&message.subject, CHALLENGE_SUBJECTS)
        || any(&text, CHALLENGE_TEXTS)
}

/// Fields that only replies of machines have.
const AUTO_REPLY_FIELDS: &[&str] = &[
    "X-Autoreply",
    "X-Autorespond",
    "X-Auto-Reply-From",
    "X-Auto-Response-From",
    "X-AutoReply-From",
    "X-Mail-Autoreply",
    "X-Autoresponder",
    "X-FC-MachineGenerated",
    "X-Vacation",
];

/// Subjects that mail applications give to such replies, in the languages in which they write them.
const AUTO_REPLY_SUBJECTS: &[&str] = &[
    "automatic reply",
    "auto reply",
    "auto-reply",
    "autoreply",
    "auto response",
    "auto-response",
    "automated reply",
    "automated response",
    "out of office",
    "out-of-office",
    "ooo:",
    "out of the office",
    "vacation reply",
    "vacation:",
    "on vacation",
    "away from my mail",
    "i am away",
    "automatische antwort",
    "abwesenheit",
    "abwesend",
    "réponse automatique",
    "absence du bureau",
    "respuesta automática",
    "fuera de la oficina",
    "resposta automática",
    "risposta automatica",
    "fuori sede",
    "automatisch antwoord",
    "automatiskt svar",
    "automatisk svar",
    "automaattinen vastaus",
    "automatyczna odpowiedź",
    "автоматический ответ",
    "автоответ",
    "自動応答",
    "自動返信",
    "自动回复",
    "자동 회신",
];

/// Words that a subject of such a reply has somewhere.
const AWAY_WORDS: &[&str] = &[
    "out of office",
    "out of the office",
    "automatic reply",
    "autoreply",
    "auto-reply",
    "vacation",
    "abwesen",
    "on leave",
    "away from",
    "holiday",
];

/// Fields of programs that ask senders to confirm.
const CHALLENGE_FIELDS: &[&str] =
    &["X-TMDA-Confirm-Pending", "X-ASK-Auth", "X-Spamarrest-Speedcode", "X-Boxbe-Challenge"];

const CHALLENGE_SUBJECTS: &[&str] = &[
    "please confirm your message",
    "please confirm your email to",
    "confirm your email to",
    "sender verification",
    "verification required",
    "requires verification",
    "verify your email to",
    "awaiting your confirmation",
    "message awaiting",
    "needs your confirmation",
    "challenge/response",
    "are you human",
    "spam arrest",
    "[spamarrest]",
    "antispam verification",
    "approve your email",
];

/// Sentences of such requests.
const CHALLENGE_TEXTS: &[&str] = &[
    "to have your message delivered, please click",
    "click the link below to have your message delivered",
    "click on the link below to verify that you are",
    "prove that you are a human",
    "prove you are human",
    "confirm that you are a human",
    "to release your message from quarantine",
    "your message is being held until you verify",
    "has not approved you as a sender",
    "i'm protecting myself from receiving junk mail",
    "is protected by a challenge",
    "reply to this message to confirm",
    "please reply to this message to prove",
    "you are not on my approved senders list",
    "you will only need to do this once",
];
