//! When to try again.

use crate::delivery::Reason;
use crate::time::UnixMicros;
use std::time::Duration;

/// How long a failing delivery is retried (RFC 5321 §4.5.4.1 asks for at least 4 to 5 days).
pub const DELIVERY_HORIZON: Duration = Duration::from_secs(5 * 86_400);

/// What an answer that is not final says about when to come again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerClass {
    /// Nobody answered: connection, name, silence.
    Unreachable,
    /// Come again soon, and it will do (RFC 6647).
    Greylisted,
    /// The mailbox is full; that lasts.
    MailboxFull,
    /// Too many connections, too many messages, closing down.
    Busy,
    /// Anything else.
    Other,
}

impl AnswerClass {
    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Greylisted => "greylisted",
            Self::MailboxFull => "mailbox_full",
            Self::Busy => "busy",
            Self::Other => "other",
        }
    }

    /// The first and the longest wait.
    const fn waits(self) -> (Duration, Duration) {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 3_600;
        let (first, longest) = match self {
            Self::Unreachable | Self::Other => (MINUTE, 4 * HOUR),
            // Most let a message in after five minutes at the latest.
            Self::Greylisted => (5 * MINUTE, 4 * HOUR),
            Self::MailboxFull => (30 * MINUTE, 8 * HOUR),
            Self::Busy => (2 * MINUTE, 2 * HOUR),
        };
        (Duration::from_secs(first), Duration::from_secs(longest))
    }
}

/// Reads the class from code, status and, where these leave it open, from the text.
pub fn class_of(reason: &Reason) -> AnswerClass {
    let text = reason.text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let status = reason.status.as_str();
    match reason.code {
        0 => AnswerClass::Unreachable,
        _ if says(&["greylist", "graylist", "grey-list", "gray-list"]) => AnswerClass::Greylisted,
        421 => AnswerClass::Busy,
        _ if status == "4.2.2" || says(&["mailbox full", "mailbox is full", "over quota", "quota exceeded"]) => {
            AnswerClass::MailboxFull
        }
        _ if matches!(status, "4.3.2" | "4.4.5" | "4.7.28") => AnswerClass::Busy,
        _ if says(&["too many connections", "rate limit", "too many messages", "too fast", "throttl"]) => {
            AnswerClass::Busy
        }
        450 | 451 if status == "4.7.1" => AnswerClass::Greylisted,
        _ => AnswerClass::Other,
    }
}

/// How often a webhook is attempted before its event is given up: once, and after 30 seconds, and after 15 minutes.
pub const WEBHOOK_ATTEMPTS: u32 = 3;

/// When a delivery that has failed `attempts` times (at least once) is due again: after the first wait of its class, then
/// twice as long each time up to the longest, less up to a quarter by `jitter` (0 to 255) so that a recovered server is
/// not met by everybody at once.
pub fn delivery_due(now: UnixMicros, class: AnswerClass, attempts: u32, jitter: u8) -> UnixMicros {
    let (first, longest) = class.waits();
    let doublings = attempts.saturating_sub(1).min(16);
    let delay = first.saturating_mul(1 << doublings).min(longest);
    now.plus(delay - (delay / 4) * u32::from(jitter) / 255)
}

/// When a webhook that has failed `attempts` times is due again; `None` when it is given up.
/// `retry_after` is the receiver's own wish in seconds, honoured up to 20 minutes.
pub fn webhook_due(now: UnixMicros, attempts: u32, retry_after: Option<u64>) -> Option<UnixMicros> {
    if attempts >= WEBHOOK_ATTEMPTS {
        return None;
    }
    let own = Duration::from_secs(if attempts <= 1 { 30 } else { 15 * 60 });
    let wished = Duration::from_secs(retry_after.unwrap_or(0).min(20 * 60));
    Some(now.plus(own.max(wished)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_are_bounded() {
        let now = UnixMicros::from_seconds(1_000_000);
        let delay = |class, attempts, jitter| delivery_due(now, class, attempts, jitter).since(now).as_secs();
        let other = AnswerClass::Other;
        assert_eq!([delay(other, 1, 0), delay(other, 2, 0), delay(other, 3, 0)], [60, 120, 240]);
        assert_eq!(delay(other, 1, 255), 45);
        assert_eq!(delay(other, u32::MAX, 0), 4 * 3_600);
        assert_eq!((delay(AnswerClass::Greylisted, 1, 0), delay(AnswerClass::Greylisted, 99, 0)), (300, 4 * 3_600));
        assert_eq!((delay(AnswerClass::MailboxFull, 1, 0), delay(AnswerClass::MailboxFull, 99, 0)), (1_800, 8 * 3_600));
        assert_eq!((delay(AnswerClass::Busy, 1, 0), delay(AnswerClass::Busy, 99, 0)), (120, 2 * 3_600));
    }

    #[test]
    fn answers_have_classes() {
        for (code, status, text, class) in [
            (0, "4.4.2", "connect: refused", AnswerClass::Unreachable),
            (450, "4.2.0", "Greylisted, see you", AnswerClass::Greylisted),
            (451, "4.7.1", "please try again", AnswerClass::Greylisted),
            (452, "4.2.2", "no", AnswerClass::MailboxFull),
            (452, "4.0.0", "user is over quota", AnswerClass::MailboxFull),
            (421, "4.0.0", "closing", AnswerClass::Busy),
            (450, "4.7.28", "slow down", AnswerClass::Busy),
            (451, "4.0.0", "Too many connections from you", AnswerClass::Busy),
            (451, "4.3.0", "later", AnswerClass::Other),
        ] {
            let reason = Reason { code, status: status.into(), text: text.into() };
            assert_eq!(class_of(&reason), class, "{reason:?}");
            assert!(!class.name().is_empty());
        }
    }

    #[test]
    fn webhooks_are_given_up_after_the_last_attempt() {
        let now = UnixMicros::from_seconds(1_000_000);
        let delay = |attempts, wish| webhook_due(now, attempts, wish).map(|due| due.since(now).as_secs());
        assert_eq!([delay(1, None), delay(2, None), delay(3, None)], [Some(30), Some(900), None]);
        assert_eq!(delay(1, Some(100)), Some(100));
        assert_eq!(delay(1, Some(u64::MAX)), Some(1_200));
    }
}
