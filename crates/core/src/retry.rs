//! When to try again.

use crate::time::UnixMicros;
use std::time::Duration;

/// How long a failing delivery is retried (RFC 5321 §4.5.4.1 asks for at least 4 to 5 days).
pub const DELIVERY_HORIZON: Duration = Duration::from_secs(5 * 86_400);
const DELIVERY_FIRST: Duration = Duration::from_secs(60);
const DELIVERY_LONGEST: Duration = Duration::from_secs(4 * 3_600);

/// How often a webhook is attempted before its event is given up: once, and after 30 seconds, and after 15 minutes.
pub const WEBHOOK_ATTEMPTS: u32 = 3;

/// When a delivery that has failed `attempts` times (at least once) is due again: 1, 2, 4, … minutes, at most 4 hours,
/// less up to a quarter by `jitter` (0 to 255) so that a recovered server is not met by everybody at once.
pub fn delivery_due(now: UnixMicros, attempts: u32, jitter: u8) -> UnixMicros {
    let doublings = attempts.saturating_sub(1).min(16);
    let delay = DELIVERY_FIRST.saturating_mul(1 << doublings).min(DELIVERY_LONGEST);
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
        let delay = |attempts, jitter| delivery_due(now, attempts, jitter).since(now).as_secs();
        assert_eq!([delay(1, 0), delay(2, 0), delay(3, 0)], [60, 120, 240]);
        assert_eq!(delay(1, 255), 45);
        assert_eq!(delay(u32::MAX, 0), 4 * 3_600);
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
