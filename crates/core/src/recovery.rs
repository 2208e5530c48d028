//! Coming back from a pause: a case with a cause, a fix and evidence, what is looked at before sending goes on, who may
//! decide, and how much may be sent in the days after it. No time ends a pause by itself: see docs/adr/0036.

mod ramp;
#[cfg(test)]
mod tests;

pub use ramp::{NotARamp, RAMP_DAYS, RAMP_START_MIN, Ramp, ramp_cap};

use crate::problem::{Problem, ProblemKind};
use crate::stop::{Kind, Scope, Stop};
use crate::time::UnixMicros;
use crate::words::words;
use std::time::Duration;

/// Characters of the cause, of the fix, of one text of evidence, and of the note of a decision.
pub const TEXT_CHARS_MAX: usize = 1_000;
/// Texts of evidence of one case.
pub const EVIDENCE_MAX: usize = 10;
/// A rule grants a mailbox no recovery that had one in this time.
pub const BETWEEN_BY_RULE: Duration = Duration::from_secs(30 * 86_400);
/// How old a pause must be before a rule lifts it, unless the configuration says otherwise.
pub const AFTER_HOURS: u64 = 24;
/// Addresses that a sentence names.
const NAMED_MAX: usize = 5;

words! {
    /// What was decided about a case.
    State {
        /// Nobody has decided.
        Requested = "requested",
        /// Sending goes on.
        Granted = "granted",
        /// It was not granted.
        Refused = "refused",
        /// It was taken back before anybody decided.
        Withdrawn = "withdrawn",
    }
}

words! {
    /// What is looked at before sending goes on.
    CheckCode {
        /// Who is not there, or complained, is not written to any more.
        ListCleaned = "list_cleaned",
        /// What waits to be sent is to none of them.
        NothingWaitsForThem = "nothing_waits_for_them",
        /// The domain is verified, and its records say so.
        DomainAuthenticated = "domain_authenticated",
        /// No operator's restriction is in force.
        NoRestriction = "no_restriction",
        /// It is the pause that keeps the mailbox from sending, and nothing else.
        PauseIsTheReason = "pause_is_the_reason",
    }
}

words! {
    /// What the operator lets happen by itself.
    Automatic {
        /// Nothing: an operator decides.
        Never = "never",
        /// A case is granted once everything that is looked at is well.
        WhenChecked = "when_checked",
    }
}

/// What the configuration says of recoveries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// What happens by itself.
    pub automatic: Automatic,
    /// How old the pause must be for that.
    pub after: Duration,
}

impl Default for Rule {
    fn default() -> Self {
        Self { automatic: Automatic::Never, after: Duration::from_secs(AFTER_HOURS * 3_600) }
    }
}

/// Some addresses of perhaps many.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Addresses {
    /// The first of them.
    pub named: Vec<String>,
    /// Whether there are more than those.
    pub has_more: bool,
}

impl Addresses {
    /// For people.
    fn in_words(&self) -> String {
        let shown = self.named.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        let has_more = self.has_more || self.named.len() > NAMED_MAX;
        if has_more { format!("{shown} and others") } else { shown }
    }
}

/// What is known of the domain from which a mailbox sends.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DomainFacts {
    /// Its name.
    pub name: String,
    /// Whether it may send.
    pub is_verified: bool,
    /// Whether nobody looks at its records, since the operator trusts it or it is one for trials.
    pub is_exempt: bool,
    /// Records of SPF and DKIM that were not right at the last look, each with what was found.
    pub wrong: Vec<String>,
}

/// What the checks are made of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Whose hard bounce or complaint counts in the window, and who is written to all the same.
    pub not_suppressed: Addresses,
    /// Those of them to whom something waits: in the queue, until a time, or until somebody approves it.
    pub waiting: Addresses,
    /// The domain; `None` if nobody knows it any more.
    pub domain: Option<DomainFacts>,
    /// What keeps the mailbox from sending.
    pub stops: Vec<Stop>,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// What.
    pub code: CheckCode,
    /// Whether it is well.
    pub passed: bool,
    /// What was found, and what to do where it is not well.
    pub text: String,
}

impl Facts {
    /// The pause of the mailbox itself, if there is one.
    pub fn pause(&self) -> Option<&Stop> {
        self.stops.iter().find(|stop| stop.kind == Kind::Pause && stop.scope == Scope::Grant)
    }
}

/// Looks at everything, always in the same order.
pub fn checks(facts: &Facts) -> Vec<Check> {
    vec![
        list_cleaned(&facts.not_suppressed),
        nothing_waits(&facts.waiting),
        authenticated(facts.domain.as_ref()),
        no_restriction(&facts.stops),
        pause_is_the_reason(facts),
    ]
}

/// Whether everything is well.
pub fn all_passed(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.passed)
}

fn list_cleaned(left: &Addresses) -> Check {
    let passed = left.named.is_empty();
    let text = match passed {
        true => "everybody whose hard bounce or complaint counted is suppressed".to_owned(),
        false => format!(
            "bounced or complained, and are written to all the same: {}; suppress them (POST /v3/suppressions)",
            left.in_words()
        ),
    };
    Check { code: CheckCode::ListCleaned, passed, text }
}

fn nothing_waits(waiting: &Addresses) -> Check {
    let passed = waiting.named.is_empty();
    let text = match passed {
        true => "nothing that is queued, scheduled or held is to somebody who bounced or complained".to_owned(),
        false => {
            format!(
                "mail waits to be sent to somebody who bounced or complained: {}; cancel what is scheduled or held, and give up \
             what is queued",
                waiting.in_words()
            )
        }
    };
    Check { code: CheckCode::NothingWaitsForThem, passed, text }
}

fn authenticated(domain: Option<&DomainFacts>) -> Check {
    let (passed, text) = match domain {
        None => (false, "the mailbox's domain is not registered any more".to_owned()),
        Some(domain) if domain.is_exempt => {
            (domain.is_verified, format!("{} is trusted: nobody looks at its records", domain.name))
        }
        Some(domain) if !domain.is_verified => (false, format!("{} is not verified for sending", domain.name)),
        Some(domain) if !domain.wrong.is_empty() => {
            let wrong = domain.wrong.join("; ");
            (false, format!("not right at the last look at {}: {wrong}", domain.name))
        }
        Some(domain) => (true, format!("{} is verified, and SPF and DKIM were right at the last look", domain.name)),
    };
    Check { code: CheckCode::DomainAuthenticated, passed, text }
}

fn no_restriction(stops: &[Stop]) -> Check {
    let found = stops.iter().find(|stop| stop.kind == Kind::Restriction);
    let text = match found {
        None => "no restriction is in force".to_owned(),
        Some(stop) => format!(
            "an abuse restriction of the {} is in force, which only the operator lifts",
            stop.scope.shown().replace('_', " ")
        ),
    };
    Check { code: CheckCode::NoRestriction, passed: found.is_none(), text }
}

fn pause_is_the_reason(facts: &Facts) -> Check {
    let other = facts.stops.iter().find(|stop| !matches!(stop.kind, Kind::Pause | Kind::Restriction));
    let (passed, text) = match (facts.pause(), other) {
        (None, _) => (false, "the mailbox is not paused because of its rates".to_owned()),
        (Some(_), Some(other)) => {
            let (kind, scope) = (other.kind.name(), other.scope.shown().replace('_', " "));
            let text = format!("beside the pause, sending is kept back by a {kind} of the {scope}: {}", other.reason);
            (false, text)
        }
        (Some(pause), None) => (true, format!("the mailbox is paused: {}", pause.reason)),
    };
    Check { code: CheckCode::PauseIsTheReason, passed, text }
}

/// What the rule says of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ByRule {
    /// It is granted.
    Granted,
    /// An operator decides; why not the rule.
    Waits(String),
}

/// What was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// Since when the mailbox is paused; `None` if it is not.
    pub paused_since: Option<UnixMicros>,
    /// When a recovery of the mailbox was last granted, by whomever.
    pub last_granted: Option<UnixMicros>,
}

/// Whether a case is granted without an operator.
pub fn decide_by_rule(rule: Rule, checks: &[Check], history: History, now: UnixMicros) -> ByRule {
    let waits = |text: &str| ByRule::Waits(text.to_owned());
    if rule.automatic == Automatic::Never {
        return waits("an operator decides about recoveries");
    }
    let Some(paused_since) = history.paused_since else { return waits("the mailbox is not paused") };
    if !all_passed(checks) {
        return waits("not everything that is looked at is well");
    }
    if history.last_granted.is_some_and(|last| now.since(last) < BETWEEN_BY_RULE) {
        return waits("the mailbox has come back in the last 30 days already: an operator decides");
    }
    if now.since(paused_since) < rule.after {
        let hours = rule.after.as_secs() / 3_600;
        return ByRule::Waits(format!("the pause is not {hours} hours old; it is looked at again then"));
    }
    ByRule::Granted
}

/// What somebody wants to do with a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Let sending go on.
    Grant {
        /// Although not everything that is looked at is well.
        despite_checks: bool,
    },
    /// Not let it go on.
    Refuse,
    /// Take the case back.
    Withdraw,
}

impl Decision {
    /// What the case is after it.
    pub const fn state(self) -> State {
        match self {
            Self::Grant { .. } => State::Granted,
            Self::Refuse => State::Refused,
            Self::Withdraw => State::Withdrawn,
        }
    }

    /// What the record of it says.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Grant { .. } => "recovery.granted",
            Self::Refuse => "recovery.refused",
            Self::Withdraw => "recovery.withdrawn",
        }
    }
}

/// Whether a case that is `state` may be decided so, with what was looked at just now.
pub fn decide(decision: Decision, state: State, checks: &[Check], note: Option<&str>) -> Result<(), Problem> {
    if state != State::Requested {
        return Err(closed(state));
    }
    let Decision::Grant { despite_checks } = decision else { return Ok(()) };
    let failed: Vec<&Check> = checks.iter().filter(|check| !check.passed).collect();
    if failed.is_empty() {
        return Ok(());
    }
    if despite_checks && note.is_some_and(|note| !note.trim().is_empty()) {
        return Ok(());
    }
    if despite_checks {
        let text = "note must say why sending goes on although not everything that was looked at is well";
        return Err(Problem::invalid("note", text));
    }
    let said = failed.iter().map(|check| check.text.as_str()).collect::<Vec<_>>().join("; ");
    let text = format!("not everything that is looked at is well (despite_checks grants it all the same): {said}");
    Err(Problem::new(ProblemKind::Conflict, "recovery_checks_failed", text))
}

fn closed(state: State) -> Problem {
    let text = format!("the recovery is {}, so nothing can be decided about it", state.name());
    Problem::new(ProblemKind::Conflict, "recovery_closed", text)
}

/// The refusal of a case while another one waits for a decision.
pub fn pending(id: impl std::fmt::Display) -> Problem {
    let text = format!("the recovery {id} of this mailbox waits for a decision already; withdraw it first");
    Problem::new(ProblemKind::Conflict, "recovery_pending", text)
}

/// The refusal of a case of a mailbox that is not paused.
pub fn not_paused() -> Problem {
    let text =
        "the mailbox is not paused because of its bounce or complaint rate, so there is nothing to come back from";
    Problem::new(ProblemKind::Conflict, "not_paused", text)
}

/// The refusal of lifting a pause like any other stop.
pub fn only_by_recovery() -> Problem {
    let text = "a pause because of bounce or complaint rates is lifted by granting a recovery, which says cause and fix: \
        POST /v3/grants/{grant}/recoveries, then POST /v3/admin/recoveries/{recovery}/decide";
    Problem::new(ProblemKind::Conflict, "recovery_needed", text)
}
