//! What follows from an attempt to deliver to one recipient.

use crate::retry::{DELIVERY_HORIZON, class_of, delivery_due};
use crate::suppression;
use crate::time::UnixMicros;

/// What an attempt brought for one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttemptResult {
    /// The other server took responsibility.
    Accepted,
    /// Not now (4yz, no connection, no answer). `reached` tells whether a recipient server answered for it.
    Transient {
        /// What was said or went wrong.
        reason: Reason,
        /// A server answered for this recipient.
        reached: bool,
        /// The connection broke after the message was sent and before the answer: the server may have it
        /// (RFC 1047).
        ambiguous: bool,
    },
    /// Never (5yz, no such domain).
    Permanent {
        /// What was said or went wrong.
        reason: Reason,
        /// A server answered for this recipient.
        reached: bool,
    },
}

/// What a server said, or what stood in the way. Texts of other servers are data, quoted and bounded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// SMTP reply code, or 0 when no server spoke.
    pub code: u16,
    /// Enhanced status code such as `5.1.1` (RFC 3463).
    pub status: String,
    /// The text.
    pub text: String,
}

/// As a reply has it; without a code where no server spoke.
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.code > 0 {
            write!(f, "{} ", self.code)?;
        }
        if !self.status.is_empty() {
            write!(f, "{} ", self.status)?;
        }
        f.write_str(&self.text)
    }
}

/// Where a recipient stands after an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AfterAttempt {
    /// Done, well.
    Delivered,
    /// To be tried again.
    RetryAt(UnixMicros),
    /// Done, badly: the sender is told.
    Bounced(Reason),
    /// As `Bounced`, because time ran out.
    Expired(Reason),
    /// Not attempted, since the recipient was suppressed meanwhile: the sender is told.
    Suppressed(suppression::Reason),
}

impl AfterAttempt {
    /// What is told the sender of a recipient who did not get the message.
    pub fn failure(&self) -> Option<Reason> {
        match self {
            Self::Delivered | Self::RetryAt(_) => None,
            Self::Bounced(reason) | Self::Expired(reason) => Some(reason.clone()),
            Self::Suppressed(why) => {
                let text = format!("not attempted: the recipient was suppressed meanwhile ({})", why.name());
                Some(Reason { code: 0, status: "5.7.1".to_owned(), text })
            }
        }
    }
}

/// Decides what follows. `queued_at` is when the message was accepted for sending, `attempts` counts this one.
pub fn after_attempt(
    result: &AttemptResult,
    attempts: u32,
    queued_at: UnixMicros,
    now: UnixMicros,
    jitter: u8,
) -> AfterAttempt {
    match result {
        AttemptResult::Accepted => AfterAttempt::Delivered,
        AttemptResult::Permanent { reason, .. } => AfterAttempt::Bounced(reason.clone()),
        AttemptResult::Transient { reason, .. } => {
            let due = delivery_due(now, class_of(reason), attempts, jitter);
            if due > queued_at.plus(DELIVERY_HORIZON) {
                AfterAttempt::Expired(reason.clone())
            } else {
                AfterAttempt::RetryAt(due)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reason() -> Reason {
        Reason { code: 450, status: "4.2.1".into(), text: "later".into() }
    }

    #[test]
    fn transient_failures_are_retried_until_the_horizon() {
        let queued = UnixMicros::from_seconds(1_000_000);
        let result = AttemptResult::Transient { reason: reason(), reached: true, ambiguous: false };
        let at = |now| after_attempt(&result, 1, queued, now, 0);
        let last = queued.plus(DELIVERY_HORIZON).minus(Duration::from_secs(60));
        assert_eq!(at(last), AfterAttempt::RetryAt(queued.plus(DELIVERY_HORIZON)));
        assert_eq!(at(last.plus(Duration::from_micros(1))), AfterAttempt::Expired(reason()));
    }

    #[test]
    fn a_code_that_nobody_said_is_not_shown() {
        assert_eq!(reason().to_string(), "450 4.2.1 later");
        let silent = Reason { code: 0, status: "4.4.2".into(), text: "greeting: connection closed".into() };
        assert_eq!(silent.to_string(), "4.4.2 greeting: connection closed");
    }

    #[test]
    fn the_rest_is_final() {
        let now = UnixMicros::from_seconds(1);
        assert_eq!(after_attempt(&AttemptResult::Accepted, 1, now, now, 0), AfterAttempt::Delivered);
        let permanent = AttemptResult::Permanent { reason: reason(), reached: true };
        assert_eq!(after_attempt(&permanent, 1, now, now, 0), AfterAttempt::Bounced(reason()));
    }
}
