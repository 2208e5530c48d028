//! Sends that are held: which refusals hold a send in place of refusing it, for how long it waits, and what an approval is
//! bound to.

use crate::problem::{Exhausted, Problem, ProblemKind};
use crate::stop::{HELD_BY_BREAKER, HELD_BY_LOOP};
use crate::time::UnixMicros;
use crate::words::words;
use sha2::{Digest, Sha256};
use std::time::Duration;

words! {
    /// What a workspace wants of sends over a quota that resets.
    OnQuota {
        /// They are refused.
        Reject = "reject",
        /// They wait in their order, and leave when there is quota again.
        Hold = "hold",
        /// They wait until somebody approves them, and then for their quota.
        Approve = "approve",
    }
}

words! {
    /// Why a send is held.
    Reason {
        /// There was no quota left.
        Quota = "quota",
        /// A rule wants somebody to look at it.
        Rule = "rule",
        /// There was no quota left, and the workspace wants somebody to decide.
        Approval = "approval",
        /// A breaker wants somebody to look at it.
        Breaker = "breaker",
        /// Mail may be going around in a circle.
        Loop = "loop",
    }
}

words! {
    /// What became of a send that is held.
    State {
        /// It waits.
        Waiting = "waiting",
        /// It was approved, and has not left yet.
        Approved = "approved",
        /// It was sent.
        Released = "released",
        /// It was taken back.
        Cancelled = "cancelled",
        /// Somebody decided that it does not leave.
        Rejected = "rejected",
        /// It has waited for too long.
        Expired = "expired",
        /// It was to leave, and may not.
        Failed = "failed",
    }
}

impl State {
    /// Whether it may still be sent.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Approved)
    }
}

impl Reason {
    /// Whether it is what is seen in the message or its sender that holds it, and not a quota: an approval that was given
    /// under other rules is asked for anew.
    pub const fn is_seen(self) -> bool {
        matches!(self, Self::Rule | Self::Breaker | Self::Loop)
    }

    /// Whether somebody has to approve it.
    pub const fn needs_approval(self) -> bool {
        !matches!(self, Self::Quota)
    }

    /// For how long it waits.
    pub const fn patience(self) -> Duration {
        if self.needs_approval() { APPROVAL_PATIENCE } else { QUOTA_PATIENCE }
    }
}

/// Sends of a mailbox that may be held at once.
pub const HELD_MAX: usize = 1_000;

/// For how long a send waits for somebody to approve it; an approval that was given is good for as long.
pub const APPROVAL_PATIENCE: Duration = Duration::from_secs(72 * 3_600);

/// For how long a send waits for its quota.
pub const QUOTA_PATIENCE: Duration = Duration::from_secs(7 * 86_400);

/// How long what became of it can be asked for.
pub const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// How often it is looked whether a quota was raised before it resets.
pub const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The longest reason that is given with a decision, in characters.
pub const NOTE_CHARS_MAX: usize = 1_000;

/// The code of what a rule holds.
pub const HELD_BY_RULE: &str = "held_by_rule";

/// The code of an approval of something else than what would leave now.
pub const HOLD_CHANGED: &str = "hold_changed";

/// What is said of an approval of something else than what would leave now.
pub fn changed() -> Problem {
    let text = "the digest is not that of what would leave now: the message, the policy or the rules were changed; \
        read it again";
    Problem::new(ProblemKind::Conflict, HOLD_CHANGED, text)
}

/// What is said of a message that a rule holds.
pub fn held_by_rule() -> Problem {
    let text = "a rule of the workspace holds this message until somebody approves it";
    Problem::new(ProblemKind::BlockedByRule, HELD_BY_RULE, text)
}

/// Whether a send that was refused is held in place of that, and why: what a rule or a stop holds always, and what is over a
/// quota that resets if the workspace wants that.
pub fn reason(refusal: &Problem, on_quota: OnQuota) -> Option<Reason> {
    match refusal.code {
        HELD_BY_RULE => return Some(Reason::Rule),
        HELD_BY_BREAKER => return Some(Reason::Breaker),
        HELD_BY_LOOP => return Some(Reason::Loop),
        _ => {}
    }
    // What may not be done with a key is not kept for later.
    if resets_at(refusal).is_none() || is_of_key(refusal) {
        return None;
    }
    match on_quota {
        OnQuota::Reject => None,
        OnQuota::Hold => Some(Reason::Quota),
        OnQuota::Approve => Some(Reason::Approval),
    }
}

/// When the quota is whole again over which a send is, if it is over one.
pub fn resets_at(refusal: &Problem) -> Option<UnixMicros> {
    let exhausted = refusal.exhausted.as_ref().filter(|_| refusal.kind == ProblemKind::OverQuota)?;
    exhausted.resets_at
}

/// Whether a refusal concerns one key, and not what others send of the mailbox.
pub fn is_of_key(refusal: &Problem) -> bool {
    refusal.exhausted.as_ref().is_some_and(|exhausted| exhausted.scope == "key")
}

/// The refusal of one more send that would have to wait.
pub fn too_many() -> Problem {
    let text = format!("a mailbox has at most {HELD_MAX} sends that are held");
    let held = HELD_MAX as u64;
    let exhausted = Exhausted { scope: "grant", limit: held, used: held, resets_at: None };
    Problem { exhausted: Some(Box::new(exhausted)), ..Problem::new(ProblemKind::OverQuota, "too_many_holds", text) }
}

/// What an approval is bound to: a hash over whom the message goes to, in whatever order they are named, what it says
/// (everything that leaves, but for its date and its id), and the version of the policy and rules by which it is held.
pub fn digest<'a>(recipients: impl IntoIterator<Item = &'a str>, content: &[u8; 32], version: &str) -> [u8; 32] {
    let mut recipients: Vec<&str> = recipients.into_iter().collect();
    recipients.sort_unstable();
    recipients.dedup();
    let mut hash = Sha256::new();
    let mut add = |field: &[u8]| {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    };
    add(&(recipients.len() as u64).to_be_bytes());
    recipients.iter().for_each(|recipient| add(recipient.as_bytes()));
    add(content);
    add(version.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(resets_at: Option<UnixMicros>) -> Problem {
        let exhausted = Exhausted { scope: "grant", limit: 1, used: 1, resets_at };
        Problem {
            exhausted: Some(Box::new(exhausted)),
            ..Problem::new(ProblemKind::OverQuota, "daily_quota_exceeded", "x")
        }
    }

    #[test]
    fn only_quotas_that_reset_and_rules_hold() {
        let soon = Some(UnixMicros::from_seconds(1));
        assert_eq!(reason(&over(soon), OnQuota::Reject), None);
        assert_eq!(reason(&over(soon), OnQuota::Hold), Some(Reason::Quota));
        assert_eq!(reason(&over(soon), OnQuota::Approve), Some(Reason::Approval));
        for on_quota in OnQuota::ALL {
            assert_eq!(reason(&over(None), *on_quota), None, "it would wait for ever");
            assert_eq!(reason(&held_by_rule(), *on_quota), Some(Reason::Rule));
            let forbidden = Problem::new(ProblemKind::BlockedByRule, "blocked_by_rule", "x");
            assert_eq!(reason(&forbidden, *on_quota), None);
            let rate = Problem { kind: ProblemKind::RateLimited, ..over(soon) };
            assert_eq!(reason(&rate, *on_quota), None, "of what is too fast nothing is held");
            assert_eq!(reason(&too_many(), *on_quota), None);
            let exhausted = over(soon).exhausted.map(|one| Box::new(Exhausted { scope: "key", ..*one }));
            let of_key = Problem { exhausted, ..over(soon) };
            assert_eq!(reason(&of_key, *on_quota), None, "what a key may not do is refused");
        }
    }

    #[test]
    fn the_digest_is_of_all_its_parts() {
        let of = |to: &[&str], content: u8, version| digest(to.iter().copied(), &[content; 32], version);
        let one = of(&["a@x.test", "b@x.test"], 1, "v");
        assert_eq!(one, of(&["b@x.test", "a@x.test", "a@x.test"], 1, "v"), "to the same");
        let others = [
            of(&["a@x.test"], 1, "v"),
            of(&["a@x.test", "b@x.testb"], 1, "v"),
            of(&["a@x.testb@x.test"], 1, "v"),
            of(&["a@x.test", "b@x.test", "c@x.test"], 1, "v"),
            of(&["a@x.test", "b@x.test"], 2, "v"),
            of(&["a@x.test", "b@x.test"], 1, "v2"),
            of(&["a@x.test", "b@x.test"], 1, ""),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(one, *other, "{index}");
            assert!(others.iter().enumerate().all(|(place, another)| place == index || another != other), "{index}");
        }
    }

    proptest::proptest! {
        /// Whatever of whom, what and by which rules is another makes another digest, and nothing else does.
        #[test]
        fn an_approval_is_of_nothing_else(
            one in (proptest::collection::btree_set("[ab@.]{1,3}", 0..4), 0u8..3, "[v.]{0,2}"),
            other in (proptest::collection::btree_set("[ab@.]{1,3}", 0..4), 0u8..3, "[v.]{0,2}"),
        ) {
            let of = |(to, content, version): &(std::collections::BTreeSet<String>, u8, String)| {
                digest(to.iter().rev().map(String::as_str), &[*content; 32], version)
            };
            proptest::prop_assert_eq!(of(&one) == of(&other), one == other);
        }
    }

    #[test]
    fn words_are_read_back() {
        assert!(OnQuota::ALL.iter().all(|one| OnQuota::named(one.name()) == Some(*one)));
        assert!(Reason::ALL.iter().all(|one| Reason::named(one.name()) == Some(*one)));
        assert!(State::ALL.iter().all(|one| State::named(one.name()) == Some(*one)));
        assert_eq!(OnQuota::named("queue"), None);
    }
}
