//! Sends at a later time: how far ahead that may be, and until when it can be taken back.

use crate::problem::Problem;
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

/// When it is tried again.
pub const TRY_AGAIN: Duration = Duration::from_secs(30);

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

/// Whether a send whose release was refused is tried again: it may succeed later without anybody changing it, and not by
/// waiting for an allowance to reset.
pub fn is_tried_again(problem: &Problem, send_at: UnixMicros, now: UnixMicros) -> bool {
    problem.kind.is_retryable() && problem.exhausted.is_none() && now.since(send_at) < PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Exhausted, ProblemKind};

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
        assert!(is_tried_again(&problem(ProblemKind::Undecidable), send_at, send_at));
        assert!(!is_tried_again(&problem(ProblemKind::Undecidable), send_at, hour));
        assert!(!is_tried_again(&problem(ProblemKind::BlockedByRule), send_at, send_at));
        let exhausted = Exhausted { scope: "grant", limit: 1, used: 1, resets_at: Some(hour) };
        let over = Problem { exhausted: Some(Box::new(exhausted)), ..problem(ProblemKind::OverQuota) };
        assert!(!is_tried_again(&over, send_at, send_at));
    }
}
