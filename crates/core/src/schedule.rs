//! Sends at a later time: how far ahead that may be, and until when it can be taken back.

use crate::problem::{Problem, ProblemKind};
use crate::time::UnixMicros;
use std::time::Duration;

/// How far ahead a time to send at must be, in seconds.
pub const AHEAD_SECONDS_MIN: i64 = 60;

/// How far ahead it may be, in seconds: 30 days.
pub const AHEAD_SECONDS_MAX: i64 = 30 * 86_400;

/// In the last seconds before its time a send cannot be cancelled any more.
pub const CANCEL_UNTIL: Duration = Duration::from_secs(10);

/// How long what became of it can be asked for.
pub const KEPT: Duration = Duration::from_secs(72 * 3_600);

/// Sends of a mailbox that may wait at once.
pub const PENDING_MAX: usize = 1_000;

/// After its time, for how long a send is tried again that could not be judged.
pub const PATIENCE: Duration = Duration::from_secs(3_600);

/// How long one that a rate holds up waits at most beyond the time at which there may be room.
const RATE_RETRY_MAX: Duration = Duration::from_secs(10);

/// When it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Checks a time to send at, in unix seconds.
pub fn check(send_at: i64, now: UnixMicros) -> Result<UnixMicros, Problem> {
    let ahead = send_at.saturating_sub(now.as_seconds());
    if (AHEAD_SECONDS_MIN..=AHEAD_SECONDS_MAX).contains(&ahead) {
        return Ok(UnixMicros::from_seconds(send_at));
    }
    let text = format!(
        "send_at must be at least {AHEAD_SECONDS_MIN} seconds and at most {AHEAD_SECONDS_MAX} seconds (30 days) ahead; \
         {send_at} is {ahead} seconds ahead"
    );
    Err(Problem::invalid("send_at", text))
}

/// Whether a send can still be cancelled.
pub fn may_cancel(send_at: UnixMicros, now: UnixMicros) -> bool {
    now.plus(CANCEL_UNTIL) <= send_at
}

/// When a send whose release was refused is tried again, if it is: it may succeed later without anybody changing it, and
/// not by waiting for the end of a day or a month. For a rate there is room in a moment, however late it is already. Many
/// may be due in the same second: those that a rate holds up come back less often the longer they have waited, and not
/// all at once but each in its own part of that time (`spread`, of 255), so that no second is left without any.
pub fn tried_again_at(problem: &Problem, (send_at, spread): (UnixMicros, u8), now: UnixMicros) -> Option<UnixMicros> {
    let late = now.since(send_at);
    if !problem.kind.is_retryable() {
        return None;
    }
    match &problem.exhausted {
        Some(exhausted) if problem.kind == ProblemKind::RateLimited => {
            let longest = (late / 4).min(RATE_RETRY_MAX);
            Some(exhausted.resets_at?.max(now).plus(longest * u32::from(spread) / u32::from(u8::MAX)))
        }
        None if late < PATIENCE => Some(now.plus(TRY_AGAIN)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Exhausted;

    const NOW: UnixMicros = UnixMicros::from_micros(1_700_000_000_999_999);

    #[test]
    fn each_limit_at_its_edge() {
        let ahead = |seconds: i64| check(1_700_000_000 + seconds, NOW);
        assert_eq!(ahead(60), Ok(UnixMicros::from_seconds(1_700_000_060)));
        assert_eq!(ahead(30 * 86_400), Ok(UnixMicros::from_seconds(1_700_000_000 + 30 * 86_400)));
        for seconds in [59, 0, -1, 30 * 86_400 + 1, i64::MIN / 2, i64::MAX - 1_700_000_000] {
            let problem = ahead(seconds).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("send_at"), "{seconds}");
            assert!(problem.public.contains("60 seconds") && problem.public.contains("30 days"), "{problem}");
        }
        assert!(check(i64::MIN, NOW).is_err() && check(i64::MAX, NOW).is_err());
    }

    #[test]
    fn the_last_ten_seconds_are_too_late() {
        let send_at = UnixMicros::from_seconds(1_000);
        assert!(may_cancel(send_at, UnixMicros::from_seconds(990)));
        assert!(!may_cancel(send_at, UnixMicros::from_micros(990_000_001)));
        assert!(!may_cancel(send_at, UnixMicros::from_seconds(2_000)));
    }

    #[test]
    fn what_could_not_be_judged_is_tried_again_for_a_while() {
        let problem = |kind| Problem::new(kind, "x", "x");
        let (send_at, hour) = (UnixMicros::from_seconds(1_000), UnixMicros::from_seconds(4_600));
        let again = |problem: &Problem, now| tried_again_at(problem, (send_at, u8::MAX), now);
        assert_eq!(again(&problem(ProblemKind::Undecidable), send_at), Some(send_at.plus(TRY_AGAIN)));
        assert_eq!(again(&problem(ProblemKind::Undecidable), hour), None);
        assert_eq!(again(&problem(ProblemKind::BlockedByRule), send_at), None);
        let exhausted = Exhausted { scope: "grant", limit: 1, used: 1, resets_at: Some(hour) };
        let over = Problem { exhausted: Some(Box::new(exhausted)), ..problem(ProblemKind::OverQuota) };
        assert_eq!(again(&over, send_at), None);
        let second = send_at.plus(Duration::from_secs(1));
        let rated = Exhausted { scope: "organization", limit: 5, used: 5, resets_at: Some(second) };
        let rated = Problem { exhausted: Some(Box::new(rated)), ..problem(ProblemKind::RateLimited) };
        assert_eq!(again(&rated, send_at), Some(second), "as soon as there may be room");
        let later = send_at.plus(Duration::from_secs(8));
        assert_eq!(again(&rated, later), Some(later.plus(Duration::from_secs(2))), "and less often after a while");
        assert_eq!(tried_again_at(&rated, (send_at, 0), later), Some(later), "each in its own part of that time");
        assert_eq!(again(&rated, hour), Some(hour.plus(RATE_RETRY_MAX)), "also if nobody was there to send it");
    }
}
