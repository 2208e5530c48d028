//! What a refusal says about the address it is for: whether to stop writing to it, wait, or ask a human.
//!
//! The class is about the address and the sender, not about the queue: a full mailbox is soft although its reply code
//! is permanent. Texts come first, because servers put very different things under one code; then the enhanced code
//! (RFC 3463), then the basic one.

/// The class of a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BounceClass {
    /// It will not get better by waiting.
    Hard(HardKind),
    /// It may get better by waiting.
    Soft(SoftKind),
    /// Nothing can be told.
    Undetermined,
}

/// Why it will not get better.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HardKind {
    /// There is no such mailbox. Nothing should be sent there again.
    UnknownAddress,
    /// There is no such domain, or it takes no mail.
    UnknownDomain,
    /// The mailbox was closed or disabled.
    Disabled,
    /// The receiver does not want this sender or content: reputation, block list, content filter.
    Policy,
    /// The sender failed authentication (SPF, DKIM, DMARC).
    Authentication,
    /// The message is too large.
    TooLarge,
    /// The receiver does not support what the message needs, or refuses its form.
    Unsupported,
    /// Anything else that is permanent.
    Other,
}

/// Why it may get better.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SoftKind {
    /// The mailbox is over its quota.
    MailboxFull,
    /// The receiver asks unknown senders to come again.
    Greylisted,
    /// Too many messages, connections or recipients.
    RateLimited,
    /// The receiver is deferring this sender for what it thinks of it.
    Policy,
    /// Anything else that is temporary.
    Temporary,
}

use BounceClass::{Hard, Soft, Undetermined};

/// Octets of a text that are looked at.
const TEXT_MAX: usize = 2_048;

/// Classifies a refusal: the reply code (0 when no server spoke), the enhanced code (empty when there was none; one at
/// the beginning of the text is found there), and the text.
pub fn classify(code: u16, status: &str, text: &str) -> BounceClass {
    let text = text[..text.floor_char_boundary(TEXT_MAX)].to_lowercase();
    let status = parse_status(status).or_else(|| text.split_whitespace().find_map(parse_status));
    let is_permanent = match (code / 100, status) {
        (5, _) => true,
        (4, _) => false,
        (_, Some((class, ..))) => class == 5,
        _ => return Undetermined,
    };
    let of_text =
        TEXTS.iter().find(|row| row.needs.applies(is_permanent) && row.words.iter().any(|word| text.contains(word)));
    let class = of_text.map(|row| row.class).or_else(|| of_status(status?, is_permanent));
    class.unwrap_or_else(|| of_code(code, is_permanent))
}

/// `5.1.1` and its like.
fn parse_status(text: &str) -> Option<(u8, u16, u16)> {
    let mut numbers = text.trim_matches(|c: char| !c.is_ascii_digit()).split('.');
    let class = numbers.next()?.parse().ok().filter(|class| matches!(class, 4 | 5))?;
    let (subject, detail) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    (numbers.next().is_none() && subject < 10).then_some((class, subject, detail))
}

struct Row {
    needs: Needs,
    words: &'static [&'static str],
    class: BounceClass,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Permanent,
    Temporary,
    Either,
}

impl Needs {
    fn applies(self, is_permanent: bool) -> bool {
        match self {
            Self::Permanent => is_permanent,
            Self::Temporary => !is_permanent,
            Self::Either => true,
        }
    }
}

/// Texts that decide, the more telling first.
const TEXTS: [Row; 12] = [
    Row {
        needs: Needs::Either,
        words: &[
            "mailbox full",
            "mailbox is full",
            "over quota",
            "overquota",
            "quota exceeded",
            "exceeded storage",
            "out of storage",
            "exceeds quota",
            "mailbox size limit",
            "insufficient disk quota",
            "exceeded the space",
        ],
        class: Soft(SoftKind::MailboxFull),
    },
    Row {
        needs: Needs::Temporary,
        words: &["greylist", "graylist", "grey list", "come back later", "first time sender", "postgrey"],
        class: Soft(SoftKind::Greylisted),
    },
    Row {
        needs: Needs::Either,
        words: &[
            "rate limit",
            "rate-limit",
            "ratelimit",
            "too many messages",
            "too many connections",
            "too many recipients",
            "too many emails",
            "throttl",
            "receiving mail too quickly",
            "receiving mail at a rate",
            "sending limit",
            "too quickly",
            "concurrent connections",
            "hourly limit",
            "daily limit",
        ],
        class: Soft(SoftKind::RateLimited),
    },
    Row {
        needs: Needs::Permanent,
        words: &[
            "dmarc",
            "spf check",
            "spf fail",
            "fails spf",
            "dkim",
            "unauthenticated",
            "sender policy framework",
            "not authenticated",
        ],
        class: Hard(HardKind::Authentication),
    },
    Row {
        needs: Needs::Permanent,
        words: &[
            "spam",
            "blacklist",
            "blocklist",
            "block list",
            "blocked using",
            "black list",
            "reputation",
            "spamhaus",
            "barracuda",
            "listed at",
            "listed by",
            "listed in",
            "content rejected",
            "virus",
            "message content",
            "banned",
            "denied by policy",
            "poor reputation",
            "unsolicited",
        ],
        class: Hard(HardKind::Policy),
    },
    Row {
        needs: Needs::Temporary,
        words: &[
            "spam",
            "blacklist",
            "blocklist",
            "block list",
            "reputation",
            "spamhaus",
            "user complaints",
            "suspicious",
            "unsolicited",
        ],
        class: Soft(SoftKind::Policy),
    },
    Row {
        needs: Needs::Permanent,
        words: &[
            "account disabled",
            "account is disabled",
            "mailbox disabled",
            "mailbox is disabled",
            "account has been disabled",
            "account inactive",
            "inactive user",
            "mailbox is inactive",
            "account is suspended",
            "no longer in use",
            "deactivated",
            "not active",
            "account closed",
            "account that you tried to reach is disabled",
            "no longer available",
        ],
        class: Hard(HardKind::Disabled),
    },
    Row {
        needs: Needs::Permanent,
        words: &[
            "user unknown",
            "unknown user",
            "no such user",
            "no such recipient",
            "no such mailbox",
            "no mailbox",
            "unknown recipient",
            "recipient unknown",
            "does not exist",
            "doesn't exist",
            "not exist",
            "invalid recipient",
            "recipient not found",
            "user not found",
            "mailbox not found",
            "invalid mailbox",
            "unknown local part",
            "unknown mailbox",
            "unrouteable address",
            "recipient address rejected",
            "bad destination mailbox",
            "addressee unknown",
            "mailbox unavailable",
            "is not a valid",
            "no account",
            "unknown address",
            "invalid address",
            "couldn't be found",
            "could not be found",
        ],
        class: Hard(HardKind::UnknownAddress),
    },
    Row {
        needs: Needs::Permanent,
        words: &[
            "domain not found",
            "host not found",
            "no such domain",
            "nxdomain",
            "null mx",
            "does not accept mail",
            "unknown domain",
            "host unknown",
            "name or service not known",
            "no mx",
        ],
        class: Hard(HardKind::UnknownDomain),
    },
    Row {
        needs: Needs::Permanent,
        words: &["too large", "size limit", "too big", "exceeds size", "maximum message size", "message size exceeds"],
        class: Hard(HardKind::TooLarge),
    },
    Row {
        needs: Needs::Permanent,
        words: &["relay", "access denied", "not permitted", "not allowed", "not authorized", "policy", "rejected for"],
        class: Hard(HardKind::Policy),
    },
    Row {
        needs: Needs::Temporary,
        words: &["try again later", "temporar", "server busy", "resources", "timeout", "timed out"],
        class: Soft(SoftKind::Temporary),
    },
];

/// What the enhanced code says (RFC 3463, RFC 7372, RFC 7505).
fn of_status((_, subject, detail): (u8, u16, u16), is_permanent: bool) -> Option<BounceClass> {
    let class = match (subject, detail) {
        (2, 2) => return Some(Soft(SoftKind::MailboxFull)),
        _ if !is_permanent => match (subject, detail) {
            (7, 1..=29) => Soft(SoftKind::Policy),
            (4, 5) | (5, 3) => Soft(SoftKind::RateLimited),
            (0..=7, _) => Soft(SoftKind::Temporary),
            _ => return None,
        },
        (1, 0 | 1 | 3 | 6) => Hard(HardKind::UnknownAddress),
        (1, 2 | 10) | (4, 4) => Hard(HardKind::UnknownDomain),
        (2, 1) => Hard(HardKind::Disabled),
        (2, 3) | (3, 4) => Hard(HardKind::TooLarge),
        (7, 20..=27) => Hard(HardKind::Authentication),
        (1, 7 | 8) | (7, _) => Hard(HardKind::Policy),
        (3 | 5 | 6, _) => Hard(HardKind::Unsupported),
        (4, 7) => Soft(SoftKind::Temporary),
        _ => return None,
    };
    Some(class)
}

/// What the reply code alone says (RFC 5321 §4.2.3).
fn of_code(code: u16, is_permanent: bool) -> BounceClass {
    match code {
        550 | 551 | 553 => Hard(HardKind::UnknownAddress),
        552 => Soft(SoftKind::MailboxFull),
        556 => Hard(HardKind::UnknownDomain),
        555 | 500..=504 => Hard(HardKind::Unsupported),
        452 => Soft(SoftKind::RateLimited),
        _ if is_permanent => Hard(HardKind::Other),
        _ => Soft(SoftKind::Temporary),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HardKind::*;
    use SoftKind::*;

    #[test]
    fn replies() {
        const POLICY: BounceClass = Hard(HardKind::Policy);
        const DEFERRED: BounceClass = Soft(SoftKind::Policy);
        for (code, status, text, expected) in [
            (550, "5.1.1", "The email account that you tried to reach does not exist.", Hard(UnknownAddress)),
            (
                550,
                "",
                "5.1.1 <joe@example.net>: Recipient address rejected: User unknown in local recipient table",
                Hard(UnknownAddress),
            ),
            (
                550,
                "5.1.10",
                "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
                Hard(UnknownAddress),
            ),
            (550, "5.4.1", "Recipient address rejected: Access denied. [mx.example.net]", Hard(UnknownAddress)),
            (550, "", "No such user here", Hard(UnknownAddress)),
            (550, "", "Requested action not taken: mailbox unavailable", Hard(UnknownAddress)),
            (554, "5.5.0", "delivery error: dd This user doesn't have an account here", Hard(Unsupported)),
            (550, "5.1.6", "Recipient no longer on server", Hard(UnknownAddress)),
            (553, "5.3.0", "<x@example.net>... Unknown address error", Hard(UnknownAddress)),
            (511, "", "sorry, no mailbox here by that name", Hard(UnknownAddress)),
            (550, "", "unrouteable address", Hard(UnknownAddress)),
            (550, "", "", Hard(UnknownAddress)),
            (550, "5.1.2", "Bad destination system address", Hard(UnknownDomain)),
            (556, "5.1.10", "example.net does not accept mail (null MX)", Hard(UnknownDomain)),
            (0, "5.4.4", "Host or domain name not found", Hard(UnknownDomain)),
            (550, "5.2.1", "The email account that you tried to reach is disabled.", Hard(Disabled)),
            (554, "", "delivery error: this mailbox is disabled", Hard(Disabled)),
            (554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.example", POLICY),
            (550, "5.7.1", "Our system has detected that this message is likely unsolicited mail.", POLICY),
            (554, "5.7.1", "Relay access denied", POLICY),
            (571, "", "Message rejected due to content restrictions: spam", POLICY),
            (554, "", "Message not accepted for policy reasons", POLICY),
            (550, "5.7.26", "This message does not pass authentication checks", Hard(Authentication)),
            (
                550,
                "5.7.1",
                "Unauthenticated email from example.com is not accepted due to domain's DMARC policy",
                Hard(Authentication),
            ),
            (550, "5.7.23", "The message was rejected because the sender is not allowed", POLICY),
            (552, "5.3.4", "Message size exceeds fixed maximum message size", Hard(TooLarge)),
            (552, "5.2.3", "Your message exceeded limits", Hard(TooLarge)),
            (555, "5.5.4", "Unsupported option: SMTPUTF8", Hard(Unsupported)),
            (502, "", "command not implemented", Hard(Unsupported)),
            (554, "", "Transaction failed", Hard(Other)),
            (552, "5.2.2", "The recipient's inbox is out of storage space", Soft(MailboxFull)),
            (552, "5.2.2", "mailbox is over quota", Soft(MailboxFull)),
            (452, "4.2.2", "The email account that you tried to reach is over quota.", Soft(MailboxFull)),
            (552, "", "requested mail action aborted", Soft(MailboxFull)),
            (450, "4.2.0", "<x@example.net>: Recipient address rejected: Greylisted, see postgrey", Soft(Greylisted)),
            (451, "4.7.1", "Greylisting in action, please come back later", Soft(Greylisted)),
            (421, "4.7.28", "Our system has detected an unusual rate of mail: rate limited", Soft(RateLimited)),
            (450, "4.2.1", "The user you are trying to contact is receiving mail too quickly.", Soft(RateLimited)),
            (452, "4.5.3", "Too many recipients", Soft(RateLimited)),
            (452, "", "", Soft(RateLimited)),
            (421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", DEFERRED),
            (451, "4.7.500", "Server busy. Please try again later", Soft(Temporary)),
            (421, "", "Service not available, closing transmission channel", Soft(Temporary)),
            (451, "4.3.0", "Error: queue file write error", Soft(Temporary)),
            (0, "4.4.1", "connection timed out", Soft(Temporary)),
            (0, "", "connection reset", Undetermined),
            (250, "", "ok", Undetermined),
        ] {
            assert_eq!(classify(code, status, text), expected, "{code} {status} {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_reply(code: u16, status in "\\PC{0,12}", text in "\\PC{0,80}") {
            classify(code, &status, &text);
        }
    }
}
