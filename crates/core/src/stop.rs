//! Stops: what keeps somebody from sending until it is lifted. An operator's restriction, a pause for bad results, the
//! switch that a person turned, a breaker that tripped, quarantine, a loop that was cut: one vocabulary, and one order in
//! which they are reported.

use crate::domain::Domain;
use crate::id::StopId;
use crate::problem::{Problem, ProblemKind, StoppedBy};
use crate::words::words;

words! {
    /// What sort of stop it is: who raises it, and who may lift it.
    Kind {
        /// An operator's block because of abuse.
        Restriction = "restriction",
        /// The product's, because of the rate of bounces or complaints.
        Pause = "pause",
        /// Somebody turned sending off.
        Switch = "switch",
        /// A breaker of the workspace has tripped.
        Breaker = "breaker",
        /// Held away from others until somebody has looked at it.
        Quarantine = "quarantine",
        /// Mail went around in a circle.
        Loop = "loop",
    }
}

words! {
    /// What becomes of a send that it concerns.
    Effect {
        /// It is refused, and what is queued waits.
        Refuse = "refuse",
        /// It waits until somebody approves it, and so does what is queued.
        Hold = "hold",
        /// There may be so many in an hour.
        Throttle = "throttle",
    }
}

words! {
    /// Whom it concerns, in the order in which the first one is reported.
    Scope {
        /// One sender address.
        Address = "address",
        /// A sender domain with its subdomains.
        Domain = "domain",
        /// All applications of an organization.
        Organization = "organization",
        /// All mailboxes of an application.
        Application = "application",
        /// All mailboxes of a workspace.
        Workspace = "workspace",
        /// One mailbox.
        Grant = "grant",
        /// One conversation of a mailbox.
        Thread = "thread",
    }
}

/// The longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 1_000;

/// The longest reference to a case, in characters.
pub const REFERENCE_CHARS_MAX: usize = 256;

/// The code of a refusal by an abuse restriction.
pub const ABUSE_RESTRICTION: &str = "abuse_restriction";

/// The code of a refusal because of a pause.
pub const ACCOUNT_PAUSED: &str = "account_paused";

/// The code of a refusal by a switch, a breaker, quarantine or a cut loop.
pub const SENDING_PAUSED: &str = "sending_paused";

/// The code of what a breaker holds.
pub const HELD_BY_BREAKER: &str = "held_by_breaker";

/// The code of what is held because mail may be going around in a circle.
pub const HELD_BY_LOOP: &str = "held_by_loop";

/// A stop that is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    /// Its id.
    pub id: StopId,
    /// What sort.
    pub kind: Kind,
    /// What it does.
    pub effect: Effect,
    /// Whom it concerns.
    pub scope: Scope,
    /// Which of them: the key of an address, the name of a domain, or an id.
    pub subject: String,
    /// Why, for people.
    pub reason: String,
    /// Sends in an hour, of a throttle.
    pub value: Option<u64>,
}

impl Scope {
    /// The word in answers: there it is the sender's address and domain.
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Address => "sender_address",
            Self::Domain => "sender_domain",
            other => other.name(),
        }
    }

    /// The scope that somebody means.
    pub fn meant(word: &str) -> Option<Self> {
        Self::named(word).or_else(|| Self::ALL.iter().copied().find(|one| one.shown() == word))
    }

    /// What people call it.
    const fn called(self) -> &'static str {
        match self {
            Self::Address => "sender address",
            Self::Domain => "sender domain",
            Self::Organization => "organization",
            Self::Application => "application",
            Self::Workspace => "workspace",
            Self::Grant => "mailbox",
            Self::Thread => "conversation",
        }
    }

    /// The place in the order of reporting.
    const fn place(self) -> usize {
        self as usize
    }
}

impl Kind {
    /// Whether it can be lifted with a key of the application that it concerns.
    pub const fn is_own(self) -> bool {
        !matches!(self, Self::Restriction | Self::Pause)
    }
}

impl Stop {
    /// Whether it keeps a message back that is in the queue. What somebody approved is only kept back by what refuses.
    pub fn keeps_back(&self, is_approved: bool) -> bool {
        match self.effect {
            Effect::Refuse => true,
            Effect::Hold => !is_approved,
            Effect::Throttle => false,
        }
    }
}

/// A domain and those above it, each a name that a stop may have: the nearest first, without the last label alone.
pub fn with_parents(domain: &Domain) -> Vec<&str> {
    let name = domain.as_str();
    let above = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
    std::iter::once(name).chain(above.filter(|parent| parent.contains('.'))).collect()
}

/// The first stop that keeps a queued message back, in the order of reporting.
pub fn keeping_back(stops: &[Stop], is_approved: bool) -> Option<&Stop> {
    let kind = |stop: &Stop| stop.kind as usize;
    stops.iter().filter(|stop| stop.keeps_back(is_approved)).min_by_key(|stop| (kind(stop), stop.scope.place()))
}

/// The fewest sends in an hour that a throttle allows.
pub fn throttle(stops: &[Stop]) -> Option<u64> {
    stops.iter().filter(|stop| stop.effect == Effect::Throttle).filter_map(|stop| stop.value).min()
}

/// The refusal of a send by the stops that concern it, if one of them refuses or holds it, in the order of reporting:
/// restriction, pause, switch, breaker and quarantine, and what only holds. Of several of a sort the first in the order of
/// scopes. What somebody approved is held by nothing.
pub fn refusal(stops: &[Stop], is_approved: bool) -> Option<Problem> {
    restriction(stops).or_else(|| pause(stops)).or_else(|| stopped(stops)).or_else(|| held(stops, is_approved))
}

/// The refusal by an abuse restriction.
pub fn restriction(stops: &[Stop]) -> Option<Problem> {
    let stop = first(stops, |stop| stop.effect == Effect::Refuse && stop.kind == Kind::Restriction)?;
    Some(problem(stop, ProblemKind::Restricted, ABUSE_RESTRICTION, "send blocked by abuse restriction"))
}

/// The refusal because of results.
pub fn pause(stops: &[Stop]) -> Option<Problem> {
    let stop = first(stops, |stop| stop.effect == Effect::Refuse && stop.kind == Kind::Pause)?;
    let text = "sending of this account is paused because of its bounce or complaint rate, until the operator of the \
        installation lifts the pause";
    Some(problem(stop, ProblemKind::SendingPaused, ACCOUNT_PAUSED, text))
}

/// The refusal by a switch, a breaker, quarantine or a cut loop.
pub fn stopped(stops: &[Stop]) -> Option<Problem> {
    let stop = first(stops, |stop| stop.effect == Effect::Refuse && stop.kind.is_own())?;
    let (called, reason) = (stop.scope.called(), &stop.reason);
    let text = match stop.kind {
        Kind::Quarantine => format!("the {called} is in quarantine and does not send: {reason}"),
        Kind::Breaker => format!("a breaker has stopped sending of the {called}: {reason}"),
        Kind::Loop => format!("sending of the {called} is stopped because mail went around in a circle: {reason}"),
        _ => format!("sending of the {called} is stopped: {reason}"),
    };
    Some(problem(stop, ProblemKind::Stopped, SENDING_PAUSED, &text))
}

/// What is said of a send that is held.
pub fn held(stops: &[Stop], is_approved: bool) -> Option<Problem> {
    let stop = first(stops, |stop| stop.effect == Effect::Hold && !is_approved)?;
    let (called, reason) = (stop.scope.called(), &stop.reason);
    Some(if stop.kind == Kind::Loop {
        let text = format!(
            "mail of the {called} may be going around in a circle; it waits until somebody approves it: {reason}"
        );
        problem(stop, ProblemKind::Stopped, HELD_BY_LOOP, &text)
    } else {
        let text = format!("a breaker holds what the {called} sends until somebody approves it: {reason}");
        problem(stop, ProblemKind::Stopped, HELD_BY_BREAKER, &text)
    })
}

/// Whether a refusal ends when somebody lifts a stop: what waits is not given up because of it.
pub fn is_of_stop(refusal: &Problem) -> bool {
    refusal.stop.is_some()
}

/// The first of those in the order of scopes; of one scope the oldest.
fn first(stops: &[Stop], is_meant: impl Fn(&Stop) -> bool) -> Option<&Stop> {
    stops.iter().filter(|stop| is_meant(stop)).min_by_key(|stop| (stop.scope.place(), stop.id))
}

fn problem(stop: &Stop, kind: ProblemKind, code: &'static str, text: &str) -> Problem {
    let by = StoppedBy { id: stop.id, kind: stop.kind, scope: stop.scope.shown() };
    Problem { stop: Some(Box::new(by)), ..Problem::new(kind, code, text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMicros;

    fn stop(number: u8, kind: Kind, effect: Effect, scope: Scope) -> Stop {
        let id = StopId::new(UnixMicros::from_seconds(i64::from(number)), [number; 10]);
        let (subject, reason) = (number.to_string(), "because".to_owned());
        Stop { id, kind, effect, scope, subject, reason, value: None }
    }

    #[test]
    fn the_first_scope_in_the_order_is_reported() {
        let mut stops: Vec<Stop> = (0u8..)
            .zip(Scope::ALL.iter().rev())
            .map(|(n, scope)| stop(n, Kind::Restriction, Effect::Refuse, *scope))
            .collect();
        let mut seen = Vec::new();
        while let Some(problem) = restriction(&stops) {
            let by = problem.stop.expect("stop");
            assert_eq!((problem.code, problem.kind), (ABUSE_RESTRICTION, ProblemKind::Restricted));
            assert_eq!(problem.public, "send blocked by abuse restriction");
            stops.retain(|stop| stop.id != by.id);
            seen.push(by.scope);
        }
        assert_eq!(
            seen,
            ["sender_address", "sender_domain", "organization", "application", "workspace", "grant", "thread"]
        );
    }

    #[test]
    fn restriction_goes_before_pause_before_the_rest() {
        let mut stops = vec![
            stop(1, Kind::Breaker, Effect::Hold, Scope::Address),
            stop(2, Kind::Quarantine, Effect::Refuse, Scope::Address),
            stop(3, Kind::Pause, Effect::Refuse, Scope::Grant),
            stop(4, Kind::Restriction, Effect::Refuse, Scope::Grant),
        ];
        let expected = [
            (ABUSE_RESTRICTION, ProblemKind::Restricted),
            (ACCOUNT_PAUSED, ProblemKind::SendingPaused),
            (SENDING_PAUSED, ProblemKind::Stopped),
            (HELD_BY_BREAKER, ProblemKind::Stopped),
        ];
        for (code, kind) in expected {
            let problem = refusal(&stops, false).expect("refusal");
            assert_eq!((problem.code, problem.kind), (code, kind));
            assert!(!problem.is_retryable(), "{code}: an agent must not hammer");
            stops.pop();
        }
        assert_eq!(refusal(&stops, false), None);
    }

    #[test]
    fn what_somebody_approved_passes_what_only_holds() {
        let holds = [stop(1, Kind::Loop, Effect::Hold, Scope::Thread)];
        assert_eq!(refusal(&holds, false).map(|problem| problem.code), Some(HELD_BY_LOOP));
        assert_eq!(refusal(&holds, true), None);
        assert_eq!(keeping_back(&holds, false), Some(&holds[0]));
        assert_eq!(keeping_back(&holds, true), None);
        let refuses = [stop(1, Kind::Switch, Effect::Refuse, Scope::Grant)];
        assert_eq!(refusal(&refuses, true).map(|problem| problem.code), Some(SENDING_PAUSED));
        assert_eq!(keeping_back(&refuses, true), Some(&refuses[0]));
    }

    #[test]
    fn throttles_stop_nothing_and_the_lowest_counts() {
        let throttled =
            |number, value| Stop { value, ..stop(number, Kind::Breaker, Effect::Throttle, Scope::Workspace) };
        let stops = [throttled(1, Some(60)), throttled(2, Some(20)), throttled(3, None)];
        assert_eq!(throttle(&stops), Some(20));
        assert_eq!((refusal(&stops, false), keeping_back(&stops, false)), (None, None));
    }

    #[test]
    fn a_domain_is_under_those_above_it_alone() {
        let domain = |name| Domain::parse(name).unwrap();
        assert_eq!(with_parents(&domain("a.mail.acme.test")), ["a.mail.acme.test", "mail.acme.test", "acme.test"]);
        assert_eq!(with_parents(&domain("acme.test")), ["acme.test"]);
    }

    #[test]
    fn words_are_read_back() {
        for scope in Scope::ALL {
            assert_eq!(Scope::meant(scope.shown()), Some(*scope));
            assert_eq!(Scope::meant(scope.name()), Some(*scope));
        }
        assert!(Kind::ALL.iter().all(|one| Kind::named(one.name()) == Some(*one)));
        assert!(Effect::ALL.iter().all(|one| Effect::named(one.name()) == Some(*one)));
        assert_eq!(Kind::ALL.iter().filter(|kind| !kind.is_own()).count(), 2, "whom only an operator frees");
    }
}
