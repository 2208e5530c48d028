//! What stands against a send, told without sending it.

use super::Submit;
use super::facts::Loaded;
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::warm_ups;
use postfleet_core::Problem;
use postfleet_core::hold;

/// Tells everything that stands against a send, without sending: by the same facts and checks as [`Submit`], of which
/// what keeps it from being sent twice and the draft do not count.
#[derive(Clone, Debug)]
pub struct Explain {
    /// The send. Without recipients, what holds for any of them.
    pub submit: Submit,
}

/// What became of [`Explain`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explained {
    /// This stands against it, first what is told first; nothing if it would be accepted. If it would be held in place of
    /// being refused, why.
    Refusals(Vec<Problem>, Option<hold::Reason>),
    /// The policy wants that recipients are looked at first: run it again with what was found.
    Unvalidated,
    /// There is no such mailbox.
    NoSuchGrant,
}

impl Command for Explain {
    type Outcome = Explained;

    async fn run(&self, tx: &mut Tx) -> Result<Explained, DbError> {
        let submit = &self.submit;
        let Some(mut loaded) = submit.load_facts(tx).await? else { return Ok(Explained::NoSuchGrant) };
        if loaded.validates && submit.undeliverable.is_none() && !submit.recipients.is_empty() {
            return Ok(Explained::Unvalidated);
        }
        submit.complete(tx, &mut loaded).await?;
        let Loaded { mut facts, warming, terms, mut watched, .. } = loaded;
        facts.warm_up = warm_ups::lock(tx, warming, submit.facts.date.day()).await?;
        let held = self.submit.foresee(tx, &mut facts, &mut watched).await?;
        let mut refusals = postfleet_core::outbound::refusals(&facts);
        // It is asked of what would be sent.
        refusals.extend(held);
        let held_for = refusals.first().and_then(|first| hold::reason(first, terms.on_quota));
        Ok(Explained::Refusals(refusals, held_for))
    }
}
