//! Raises: a higher limit for a while, asked for with a reason and granted by somebody else. It ends by itself: whether it
//! holds is judged by the time, so nothing has to be put back.

use crate::audit::Actor;
use crate::problem::{Problem, ProblemKind};
use crate::time::UnixMicros;
use std::time::Duration;

/// Characters of the reason, and of the note of a decision.
pub const TEXT_CHARS_MAX: usize = 1_024;
/// How long a raise may hold.
pub const LENGTH_MAX: Duration = Duration::from_secs(31 * 86_400);
/// How far ahead it may begin.
pub const AHEAD_MAX: Duration = Duration::from_secs(90 * 86_400);

/// What was decided about a raise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nobody has decided.
    Requested,
    /// It holds from its beginning to its end.
    Granted,
    /// It was not granted.
    Refused,
    /// It was taken back, before or after it was granted.
    Withdrawn,
    /// Its time is over. Never stored: it follows from the time.
    Ended,
}

impl State {
    /// The words for all of them.
    pub const NAMES: &'static [&'static str] = &["requested", "granted", "refused", "withdrawn", "ended"];

    /// Its word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Ended => "ended",
        }
    }

    /// The state of that word.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Requested, Self::Granted, Self::Refused, Self::Withdrawn, Self::Ended];
        all.into_iter().find(|state| state.name() == name)
    }

    /// What it is at `now`: what was asked for or granted is over when its time is.
    pub fn at(self, now: UnixMicros, ends_at: UnixMicros) -> Self {
        match self {
            Self::Requested | Self::Granted if ends_at <= now => Self::Ended,
            state => state,
        }
    }
}

/// What somebody wants to do with a raise that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Let it hold.
    Grant,
    /// Not let it hold.
    Refuse,
    /// Take it back.
    Withdraw,
}

impl Decision {
    /// What the raise is after it.
    pub const fn state(self) -> State {
        match self {
            Self::Grant => State::Granted,
            Self::Refuse => State::Refused,
            Self::Withdraw => State::Withdrawn,
        }
    }

    /// What the record of it says.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Grant => "raise.granted",
            Self::Refuse => "raise.refused",
            Self::Withdraw => "raise.withdrawn",
        }
    }
}

/// Checks when a raise is to hold.
pub fn check_times(starts_at: UnixMicros, ends_at: UnixMicros, now: UnixMicros) -> Result<(), Problem> {
    if starts_at > now.plus(AHEAD_MAX) {
        return Err(Problem::invalid("starts_at", "starts_at must be at most 90 days ahead"));
    }
    if ends_at <= starts_at || ends_at <= now {
        return Err(Problem::invalid("ends_at", "ends_at must be in the future, and after starts_at"));
    }
    if ends_at > starts_at.plus(LENGTH_MAX) {
        return Err(Problem::invalid("ends_at", "ends_at must be at most 31 days after starts_at"));
    }
    Ok(())
}

/// Checks the limit that is asked for against what holds without it, `base`, and what the plan allows at most.
pub fn check_value(value: u64, base: Option<u64>, (plan, plan_max): (&str, Option<u64>)) -> Result<(), Problem> {
    let refuse = |text: String| Err(Problem::invalid("value", text));
    let Some(base) = base else { return refuse("value: there is no limit that could be raised".to_owned()) };
    if let Some(max) = plan_max.filter(|max| value > *max) {
        return refuse(format!("value must be at most {max}, the maximum of the plan {plan}"));
    }
    if value <= base {
        return refuse(format!("value must be above {base}, which is the limit without a raise"));
    }
    Ok(())
}

/// What a decision is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What the raise is now.
    pub state: State,
    /// The kind and the id of who asked for it.
    pub requested_by: (&'a str, &'a str),
    /// Who decides.
    pub actor: &'a Actor,
    /// Whether they may decide about raises of others.
    pub may_decide: bool,
}

/// Whether somebody may decide so. Nobody grants or refuses what they have asked for themselves.
pub fn decide(decision: Decision, facts: &Facts<'_>) -> Result<(), Problem> {
    let is_own = facts.requested_by == (facts.actor.kind.name(), facts.actor.id.as_str());
    let forbidden = |code, text| Err(Problem::new(ProblemKind::Forbidden, code, text));
    match decision {
        Decision::Grant | Decision::Refuse if is_own => {
            return forbidden("own_raise", "a raise is decided by another key than the one that asked for it");
        }
        Decision::Withdraw if !is_own && !facts.may_decide => {
            return forbidden(
                "not_own_raise",
                "a raise is withdrawn by the key that asked for it, or one with raises.decide",
            );
        }
        _ => {}
    }
    let is_open = match decision {
        Decision::Grant | Decision::Refuse => facts.state == State::Requested,
        Decision::Withdraw => matches!(facts.state, State::Requested | State::Granted),
    };
    if is_open {
        return Ok(());
    }
    let text = format!("the raise is {}, so nothing can be decided about it", facts.state.name());
    Err(Problem::new(ProblemKind::Conflict, "raise_closed", text))
}

/// The refusal of a second request while one waits for a decision.
pub fn pending() -> Problem {
    let text = "a raise of this limit waits for a decision already; withdraw it first";
    Problem::new(ProblemKind::Conflict, "raise_pending", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::ActorKind;

    #[test]
    fn the_plan_is_the_ceiling_and_what_holds_the_floor() {
        let plan = ("free", Some(200));
        let refused = |value, base| check_value(value, base, plan).unwrap_err().public;
        assert!(check_value(200, Some(100), plan).is_ok() && check_value(101, Some(100), plan).is_ok());
        assert_eq!(refused(201, Some(100)), "value must be at most 200, the maximum of the plan free");
        assert_eq!(refused(100, Some(100)), "value must be above 100, which is the limit without a raise");
        assert_eq!(check_value(5, None, ("x", None)).unwrap_err().field.as_deref(), Some("value"));
        assert!(check_value(u64::MAX, Some(1), ("self_hosted", None)).is_ok());
    }

    #[test]
    fn the_time_has_bounds() {
        let now = UnixMicros::from_seconds(1_000);
        let field = |start, end| check_times(start, end, now).unwrap_err().field;
        assert!(check_times(now, now.plus(LENGTH_MAX), now).is_ok());
        assert!(check_times(now.plus(AHEAD_MAX), now.plus(AHEAD_MAX + LENGTH_MAX), now).is_ok());
        let second = Duration::from_secs(1);
        assert_eq!(field(now.plus(AHEAD_MAX + second), now).as_deref(), Some("starts_at"));
        for (start, end) in [(now, now), (now.plus(second), now.plus(second)), (now, now.plus(LENGTH_MAX + second))] {
            assert_eq!(field(start, end).as_deref(), Some("ends_at"));
        }
        assert_eq!(field(now.minus(second * 2), now).as_deref(), Some("ends_at"));
    }

    #[test]
    fn only_another_key_decides_and_only_once() {
        let actor = |id: &str| Actor { kind: ActorKind::ApiKey, id: id.to_owned(), name: String::new() };
        let judge = |decision, state, id: &str, may_decide| {
            let actor = actor(id);
            decide(decision, &Facts { state, requested_by: ("api_key", "asker"), actor: &actor, may_decide })
                .map_err(|problem| problem.code)
        };
        use Decision::{Grant, Refuse, Withdraw};
        assert_eq!(judge(Grant, State::Requested, "other", true), Ok(()));
        assert_eq!(judge(Grant, State::Requested, "asker", true), Err("own_raise"));
        assert_eq!(judge(Refuse, State::Requested, "asker", true), Err("own_raise"));
        assert_eq!(judge(Grant, State::Granted, "other", true), Err("raise_closed"));
        assert_eq!(judge(Withdraw, State::Granted, "asker", false), Ok(()));
        assert_eq!(judge(Withdraw, State::Granted, "other", true), Ok(()));
        assert_eq!(judge(Withdraw, State::Requested, "other", false), Err("not_own_raise"));
        assert_eq!(judge(Withdraw, State::Ended, "asker", true), Err("raise_closed"));
        let end = UnixMicros::from_seconds(10);
        assert_eq!(State::Granted.at(end, end), State::Ended);
        assert_eq!(State::Granted.at(end.minus(Duration::from_micros(1)), end), State::Granted);
        assert_eq!(State::Refused.at(end, end), State::Refused);
        assert!(State::NAMES.iter().all(|name| State::named(name).map(State::name) == Some(*name)));
    }
}
