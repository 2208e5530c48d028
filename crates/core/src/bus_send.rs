//! Sends that come by the message bus: whose they are by their subject, and what becomes of one that is refused.

use crate::id::ApplicationId;
use crate::problem::{Problem, ProblemKind};
use crate::time::UnixMicros;
use std::time::Duration;

/// How often a send is tried that fails by a fault of ours.
pub const FAULTS_MAX: u32 = 5;

/// The shortest and the longest time after which a send that may succeed later is tried again. Allowances may be raised
/// meanwhile, so it is not always waited until they reset.
pub const AGAIN_MIN: Duration = Duration::from_secs(1);
/// The longest.
pub const AGAIN_MAX: Duration = Duration::from_secs(900);

/// The pause after the first attempt where nothing better is known; it doubles.
const PAUSE: Duration = Duration::from_secs(2);

/// Whose send it is: the application, and what the subject calls the mailbox. `None` if the subject is not
/// `<prefix>.send.<application>.<mailbox>`.
pub fn sender<'s>(prefix: &str, subject: &'s str) -> Option<(ApplicationId, &'s str)> {
    let rest = subject.strip_prefix(prefix)?.strip_prefix(".send.")?;
    let (application, grant) = rest.split_once('.')?;
    let is_one = !grant.is_empty() && !grant.contains('.');
    is_one.then_some((application.parse().ok()?, grant))
}

/// What becomes of a send that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is tried again after so long.
    Again(Duration),
    /// It is put aside, for somebody to look at: as it stands it will not succeed.
    Park,
}

/// Decides it, of the attempt with that number, from 1. What may succeed later is tried for ever; a fault of ours a few times.
pub fn refused(problem: &Problem, attempt: u32, now: UnixMicros) -> Refused {
    if !problem.is_retryable() || (problem.kind == ProblemKind::Internal && attempt >= FAULTS_MAX) {
        return Refused::Park;
    }
    let resets_at = problem.exhausted.as_ref().and_then(|exhausted| exhausted.resets_at);
    let wait = match resets_at {
        Some(at) => {
            Duration::from_micros(u64::try_from(at.as_micros().saturating_sub(now.as_micros())).unwrap_or_default())
        }
        None => PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16)),
    };
    Refused::Again(wait.clamp(AGAIN_MIN, AGAIN_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idempotency;
    use crate::problem::Exhausted;

    const ID: &str = "01900000-0000-7000-8000-000000000001";

    #[test]
    fn the_subject_names_application_and_mailbox() {
        let application: ApplicationId = ID.parse().unwrap();
        for (subject, expected) in [
            (format!("mail.send.{ID}.{ID}"), Some((application, ID))),
            (format!("mail.send.{ID}.agent"), Some((application, "agent"))),
            (format!("mail.send.{ID}."), None),
            (format!("mail.send.{ID}"), None),
            (format!("mail.send.{ID}.a.b"), None),
            (format!("mail.send.x.{ID}"), None),
            (format!("mail.sent.{ID}.{ID}"), None),
            (format!("other.send.{ID}.{ID}"), None),
            (format!("mailx.send.{ID}.{ID}"), None),
            (String::new(), None),
        ] {
            assert_eq!(sender("mail", &subject), expected, "{subject}");
        }
    }

    #[test]
    fn what_may_succeed_later_is_tried_for_ever_and_all_else_is_put_aside() {
        let now = UnixMicros::from_seconds(1_000);
        let of = |kind| Problem::new(kind, "x", "x");
        let resets = |kind, seconds| {
            let resets_at = Some(UnixMicros::from_seconds(seconds));
            let exhausted = Exhausted { scope: "grant", limit: 1, used: 1, resets_at };
            Problem { exhausted: Some(Box::new(exhausted)), ..of(kind) }
        };
        let again = |seconds| Refused::Again(Duration::from_secs(seconds));
        for (name, problem, attempt, expected) in [
            ("a quota that resets soon", resets(ProblemKind::OverQuota, 1_060), 1, again(60)),
            ("a quota that resets tomorrow", resets(ProblemKind::OverQuota, 90_000), 1, again(900)),
            ("a quota that has just reset", resets(ProblemKind::OverQuota, 999), 9, again(1)),
            ("a rate", of(ProblemKind::RateLimited), 1, again(2)),
            ("a rate again", of(ProblemKind::RateLimited), 3, again(8)),
            ("a rate for days", of(ProblemKind::RateLimited), u32::MAX, again(900)),
            ("storage away", of(ProblemKind::Unavailable), 1_000, again(900)),
            ("a full disk", of(ProblemKind::OutOfSpace), 1, again(2)),
            ("a rule that cannot be decided", of(ProblemKind::Undecidable), 1, again(2)),
            ("the same under way", idempotency::concurrent(), 1, again(2)),
            ("a fault", of(ProblemKind::Internal), 1, again(2)),
            ("a fault before the last time", of(ProblemKind::Internal), FAULTS_MAX - 1, again(16)),
            ("a fault the last time", of(ProblemKind::Internal), FAULTS_MAX, Refused::Park),
            ("not valid", of(ProblemKind::Invalid), 1, Refused::Park),
            ("no mailbox", Problem::not_found(), 1, Refused::Park),
            ("blocked", of(ProblemKind::BlockedByRule), 1, Refused::Park),
            ("stopped", of(ProblemKind::Stopped), 1, Refused::Park),
            ("too large", of(ProblemKind::TooLarge), 1, Refused::Park),
            ("no room", of(ProblemKind::StorageFull), 1, Refused::Park),
            ("another under the key", idempotency::other_request(), 1, Refused::Park),
        ] {
            assert_eq!(refused(&problem, attempt, now), expected, "{name}");
        }
        for kind in ProblemKind::ALL {
            let is_parked = refused(&of(*kind), 1, now) == Refused::Park;
            assert_eq!(is_parked, !kind.is_retryable(), "{kind:?}");
        }
    }
}
