//! Which conversation a message belongs to (RFC 5256 §2 gives the subject rules in spirit).

use crate::time::UnixMicros;
use std::time::Duration;

/// References of one message that are looked up, the last ones first: a hostile message may carry thousands.
pub const LOOKED_UP_MAX: usize = 20;

/// How far back a thread may lie for the subject alone to join a message to it.
pub const SUBJECT_WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// The Message-IDs to look for, the most telling first: In-Reply-To, then References from the last to the first
/// (RFC 5322 §3.6.4). Last what hardly can be one: should a message be here that is called so, it is the one that is meant.
pub fn looked_up<'a>(in_reply_to: &'a [String], references: &'a [String]) -> Vec<&'a str> {
    let named = || in_reply_to.iter().chain(references.iter().rev()).map(String::as_str).filter(|id| !id.is_empty());
    let (telling, others) = (named().filter(|id| names_a_message(id)), named().filter(|id| !names_a_message(id)));
    let mut ids: Vec<&str> = Vec::new();
    for id in telling.chain(others) {
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() == LOOKED_UP_MAX {
            break;
        }
    }
    ids
}

/// Whether a text can be a Message-ID: broken programs write words, dates and addresses of people where one belongs. Something
/// stands before the `@`, and something behind it; some servers write none, and then at least a number of some length.
pub fn names_a_message(id: &str) -> bool {
    match id.split_once('@') {
        Some((left, right)) => !left.is_empty() && !right.is_empty(),
        None => id.len() >= BARE_ID_OCTETS_MIN && id.bytes().any(|byte| byte.is_ascii_digit()),
    }
}

/// Octets that a Message-ID without an `@` has at least.
const BARE_ID_OCTETS_MIN: usize = 12;

/// The subject without the marks of replies and of what was forwarded, in lower case with single spaces; what the subject
/// fallback compares. The tag of a list in brackets stays, wherever the marks stand.
pub fn base_subject(subject: &str) -> String {
    let folded = subject.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let (mut tags, mut rest) = (String::new(), folded.as_str());
    loop {
        if let Some(shorter) = strip_mark(rest) {
            rest = shorter;
        } else if let Some((tag, behind)) = tag_before_mark(rest) {
            tags.push_str(tag);
            tags.push(' ');
            rest = behind;
        } else {
            break;
        }
    }
    while let Some(shorter) = rest.strip_suffix("(fwd)") {
        rest = shorter.trim_end();
    }
    tags + rest
}

/// A tag in brackets before a mark, as lists write it: `[talk] Re: Hello`.
fn tag_before_mark(subject: &str) -> Option<(&str, &str)> {
    let end = subject.strip_prefix('[')?.find(']')? + 2;
    let (tag, rest) = (&subject[..end], subject[end..].trim_start());
    strip_mark(rest).is_some().then_some((tag, rest))
}

/// Takes one mark off a subject in lower case: a word of [`MARKS`], perhaps with a count (`re[2]`, `re^3`, `aw (4)`), and a
/// colon.
fn strip_mark(subject: &str) -> Option<&str> {
    let (mark, rest) = subject.split_once([':', '：', '﹕', '∶'])?;
    if mark.len() > MARK_OCTETS_MAX {
        return None;
    }
    let is_count = |c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | '(' | ')' | '^' | '*' | '#' | '+');
    let word = mark.trim().trim_end_matches(is_count).trim_end();
    MARKS.contains(&word).then(|| rest.trim_start())
}

/// Octets of the longest mark, with a count.
const MARK_OCTETS_MAX: usize = 64;

/// What programs write before the colon of a reply, of what is forwarded, and of what they answer by themselves, in lower
/// case.
const MARKS: &[&str] = &[
    // English, and what most programs write in all languages
    "re",
    "fw",
    "fwd",
    "forwarded",
    "reply",
    "automatic reply",
    "auto reply",
    "autoreply",
    "out of office",
    "ooo",
    // German, Dutch, Scandinavian, Finnish, Estonian, Icelandic
    "aw",
    "wg",
    "antwort",
    "automatische antwort",
    "antw",
    "doorst",
    "automatisch antwoord",
    "sv",
    "vs",
    "vb",
    "videresendt",
    "autosvar",
    "automatisk svar",
    "automatiskt svar",
    "vl",
    "automaattinen vastaus",
    "fs",
    // French, Italian, Spanish, Portuguese, Romanian, Catalan
    "tr",
    "rép",
    "réponse automatique",
    "r",
    "rif",
    "i",
    "inoltra",
    "risposta automatica",
    "rv",
    "rta",
    "resp",
    "respuesta automática",
    "res",
    "enc",
    "resposta automática",
    "răsp",
    // Polish, Czech, Slovak, Hungarian, Slovene, Croatian, Lithuanian
    "odp",
    "pd",
    "przek",
    "odpowiedź automatyczna",
    "předat",
    "vá",
    "továbbítás",
    "odg",
    "prosl",
    "ats",
    "pers",
    // Turkish, Greek, Welsh, Indonesian, Vietnamese
    "ynt",
    "ilt",
    "i\u{307}lt",
    "απ",
    "σχετ",
    "πρθ",
    "ateb",
    "bls",
    "trs",
    "tl",
    "trả lời",
    "chuyển tiếp",
    // Russian, Ukrainian, Bulgarian, Serbian
    "отв",
    "ответ",
    "пересл",
    "відп",
    "переад",
    "отг",
    "одг",
    "автоматический ответ",
    // Hebrew, Arabic, Persian
    "תגובה",
    "השב",
    "הועבר",
    "رد",
    "إعادة توجيه",
    "پاسخ",
    // Chinese, Japanese, Korean, Thai
    "回复",
    "回復",
    "回覆",
    "答复",
    "答覆",
    "转发",
    "轉發",
    "轉寄",
    "自动答复",
    "自动回复",
    "自動回覆",
    "返信",
    "転送",
    "自動応答",
    "답장",
    "회신",
    "전달",
    "ตอบ",
    "ตอบกลับ",
    "ส่งต่อ",
];

/// Whether a subject is marked as that of a reply, or of something forwarded.
pub fn is_marked(subject: &str) -> bool {
    // Most are not, and need not be written anew to see that.
    if !subject.contains([':', '：', '﹕', '∶']) {
        return false;
    }
    let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    strip_mark(&subject).is_some() || tag_before_mark(&subject).is_some()
}

/// Whether the subject alone may join a message to an older thread: only for a reply that lost its references (it is
/// marked as a reply and names none), with a subject that says something, within [`SUBJECT_WINDOW`]. The correspondent
/// must be part of the thread, which the lookup sees to.
pub fn subject_may_join(subject: &str, has_references: bool, thread_latest: UnixMicros, now: UnixMicros) -> bool {
    let base = base_subject(subject);
    !has_references && is_marked(subject) && base.chars().count() >= 3 && thread_latest.plus(SUBJECT_WINDOW) >= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup_order_is_bounded_and_without_repeats() {
        let references: Vec<String> = (0..50).map(|i| format!("r{i}@x")).collect();
        let in_reply_to = ["Friday".to_owned(), "r49@x".to_owned()];
        let ids = looked_up(&in_reply_to, &references);
        assert_eq!(ids.len(), LOOKED_UP_MAX);
        assert_eq!(&ids[..3], ["r49@x", "r48@x", "r47@x"]);
    }

    #[test]
    fn base_subjects() {
        for (subject, base) in [
            ("Re: Hello", "hello"),
            ("RE: Fwd:  AW: Hello  there", "hello there"),
            ("Re[2]: Hello", "hello"),
            ("Regarding: Hello", "regarding: hello"),
            ("Hello", "hello"),
            ("Re:", ""),
            // Counts.
            ("RE[2]: Hello", "hello"),
            ("Re (3): Hello", "hello"),
            ("Re^4: Hello", "hello"),
            ("Re*2: Hello", "hello"),
            ("RE #2: Hello", "hello"),
            ("Re2: Hello", "hello"),
            ("Re : Hello", "hello"),
            ("re:Hello", "hello"),
            ("Re: Re: RE: re: Hello", "hello"),
            // Languages.
            ("AW: WG: Hallo", "hallo"),
            ("Antwort: Hallo", "hallo"),
            ("Automatische Antwort: Hallo", "hallo"),
            ("Antw: Doorst: Hallo", "hallo"),
            ("SV: VS: Hej", "hej"),
            ("Autosvar: Hej", "hej"),
            ("VL: Moi", "moi"),
            ("TR : Bonjour", "bonjour"),
            ("RÉP: Bonjour", "bonjour"),
            ("Réponse automatique : Bonjour", "bonjour"),
            ("R: I: Ciao", "ciao"),
            ("RIF: Ciao", "ciao"),
            ("RV: Hola", "hola"),
            ("RES: ENC: Olá", "olá"),
            ("Odp: PD: Cześć", "cześć"),
            ("Vá: Szia", "szia"),
            ("YNT: İLT: Selam", "selam"),
            ("ΑΠ: ΣΧΕΤ: Γεια", "γεια"),
            ("Отв: Пересл: Привет", "привет"),
            ("ОТВЕТ: Привет", "привет"),
            ("תגובה: שלום", "שלום"),
            ("رد: مرحبا", "مرحبا"),
            ("回复: 你好", "你好"),
            ("回复：你好", "你好"),
            ("答复: 转发: 你好", "你好"),
            ("RE: 回覆: 你好", "你好"),
            ("返信: こんにちは", "こんにちは"),
            ("답장: 안녕", "안녕"),
            ("Trả lời: Chào", "chào"),
            ("Bls: Halo", "halo"),
            ("Ats: Labas", "labas"),
            ("Automatic reply: Hello", "hello"),
            ("Out of Office: Re: Hello", "hello"),
            // Tags of lists stay, and marks are found behind them.
            ("[talk] Hello", "[talk] hello"),
            ("Re: [talk] Hello", "[talk] hello"),
            ("[talk] Re: Hello", "[talk] hello"),
            ("Re: [talk] Re: Hello", "[talk] hello"),
            ("[ticket 1] Hello", "[ticket 1] hello"),
            ("[talk] [dev] Re: Hello", "[talk] [dev] re: hello"),
            ("Hello (fwd)", "hello"),
            ("Re: Hello (fwd) (fwd)", "hello"),
            // No marks.
            ("Reply to me: now", "reply to me: now"),
            ("Invoice: March", "invoice: march"),
            ("Note: Re: Hello", "note: re: hello"),
            ("12: Hello", "12: hello"),
            ("[]: Hello", "[]: hello"),
            (": Hello", ": hello"),
            ("Re Hello", "re hello"),
            ("Re\u{2024} Hello", "re\u{2024} hello"),
            ("", ""),
            ("   ", ""),
            ("[", "["),
            ("[x", "[x"),
        ] {
            assert_eq!(base_subject(subject), base, "{subject}");
        }
    }

    #[test]
    fn what_can_be_a_message_id() {
        for (id, can) in [
            ("1@x", true),
            ("CAB+x=y@mail.gmail.com", true),
            ("a@b@c", true),
            ("20260302.123456.7", true),
            ("ABCDEF0123456789", true),
            ("", false),
            ("@", false),
            ("a@", false),
            ("@x", false),
            ("Friday", false),
            ("yourmessageoflastweek", false),
            ("12", false),
        ] {
            assert_eq!(names_a_message(id), can, "{id}");
        }
    }

    #[test]
    fn what_is_marked() {
        for (subject, marked) in [
            ("Re: x", true),
            ("回复：x", true),
            ("[talk] Re: x", true),
            ("  AW : x", true),
            ("x", false),
            ("Note: x", false),
            ("[talk] x", false),
            ("Re", false),
        ] {
            assert_eq!(is_marked(subject), marked, "{subject}");
        }
    }

    #[test]
    fn the_subject_joins_only_marked_recent_replies_without_references() {
        let now = UnixMicros::from_seconds(100 * 86_400);
        let recent = now.minus(SUBJECT_WINDOW);
        assert!(subject_may_join("Re: Invoice", false, recent, now));
        assert!(!subject_may_join("Re: Invoice", false, recent.minus(Duration::from_micros(1)), now));
        assert!(!subject_may_join("Invoice", false, recent, now));
        assert!(!subject_may_join("Re: Invoice", true, recent, now));
        assert!(!subject_may_join("Re: hi", false, recent, now));
    }
}
