//! A received message at the door of one mailbox: its number there, and what the rules of its workspace say of it. All in
//! the transaction that files it, so that what was changed and acknowledged before is what decides.

use super::FiledCopy;
use crate::db::DbError;
use crate::engine::Tx;
use crate::evaluations::{self, Evaluation};
use crate::events;
use crate::folders;
use crate::judging::{self, Scope};
use crate::meters::Owner;
use crate::params;
use crate::refused_mail::{ByRules, Concerning, NewRefusal};
use postfleet_core::id::{EvaluationId, OrganizationId, RefusalId, WorkspaceId};
use postfleet_core::refused_mail::{self, Outcome};
use postfleet_core::rule::{Direction, Input, Judgement, Placement, Verdict, place};
use postfleet_core::{EmailAddress, Problem, UnixMicros};
use std::sync::Arc;

/// What the rules of a mailbox see of a message that came in, and what is written down of it.
#[derive(Clone, Debug)]
pub struct Received {
    /// What rules see.
    pub input: Input,
    /// The id of the record of what they say, if there are any.
    pub evaluation_id: EvaluationId,
    /// The id of the record that it was not taken, should that be so.
    pub refusal_id: RefusalId,
    /// The address that was written to.
    pub recipient: EmailAddress,
    /// The message, for that record.
    pub concerning: Arc<Concerning>,
}

impl Received {
    /// That the mailbox of the copy does not take it.
    pub(super) fn refusal(&self, filing: &FiledCopy, problem: Problem, outcome: Outcome) -> NewRefusal {
        NewRefusal {
            id: self.refusal_id,
            grant_id: filing.copy.grant_id,
            application_id: filing.copy.application_id,
            recipient: self.recipient.clone(),
            outcome,
            problem,
            concerning: self.concerning.clone(),
            rules: None,
        }
    }
}

/// A copy that has its number among the events of its mailbox.
pub(crate) struct Numbered<'a> {
    pub(crate) filing: &'a FiledCopy,
    pub(super) sequence: u64,
    pub(crate) owner: Owner,
    octets: u64,
    said: Option<(Scope, &'a Received, Judgement)>,
}

/// Takes the number of a copy, with the lock of its mailbox, and asks the rules if there are any. `None` when the mailbox
/// is gone.
pub(crate) async fn number<'a>(
    tx: &mut Tx,
    filing: &'a FiledCopy,
    octets: u64,
) -> Result<Option<Numbered<'a>>, DbError> {
    let Some(received) = &filing.received else {
        let taken = events::next_with_octets(tx, filing.copy.grant_id, octets as i64).await?;
        return Ok(taken.map(|(sequence, owner)| Numbered { filing, sequence, owner, octets, said: None }));
    };
    // One statement for both: where there are no rules, they cost none.
    const TAKE: &str = "UPDATE mailboxes SET event_sequence = event_sequence + 1, \
        storage_octets = storage_octets + $2 WHERE grant_id = $1 \
        RETURNING event_sequence, organization_id, application_id, \
        (SELECT a.rules_version FROM applications a WHERE a.id = mailboxes.application_id), \
        (SELECT u.workspace_id FROM grants g JOIN workspace_rules u ON u.workspace_id = g.workspace_id \
        WHERE g.application_id = mailboxes.application_id AND g.id = mailboxes.grant_id LIMIT 1)";
    let values = params![filing.copy.grant_id.uuid(), octets as i64];
    let Some(row) = tx.query_one(TAKE, values).await? else { return Ok(None) };
    let owner = Owner::read(&row, 1)?;
    tx.tally().store(owner, octets as i64);
    let said = match (row.opt_int(3)?, row.opt_uuid(4)?) {
        (Some(version), Some(workspace)) => {
            let organization = OrganizationId::from_uuid(owner.organization);
            let scope = Scope::new(organization, WorkspaceId::from_uuid(workspace), version);
            let judgement = judging::judge(tx, &scope, Direction::Inbound, &received.input).await?;
            judgement.map(|judgement| (scope, &**received, judgement))
        }
        _ => None,
    };
    Ok(Some(Numbered { filing, sequence: row.count(0)?, owner, octets, said }))
}

/// Where rules put a copy that would go somewhere without them, and which folders they assigned to it, as far as there are
/// such folders.
pub fn placed(before: &Placement, judgement: &Judgement) -> (Placement, Vec<String>) {
    let default = before.folders.first().map(String::as_str).unwrap_or_default();
    let placement = place(&judgement.effects, default, before.unread, folders::id_of_system_folder);
    let assigned = judgement.effects.folders.iter().filter_map(|name| folders::id_of_system_folder(name));
    (Placement { starred: placement.starred || before.starred, ..placement }, assigned.collect())
}

impl Numbered<'_> {
    /// What the rules come to.
    pub(crate) fn verdict(&self) -> Verdict {
        self.said.as_ref().map_or(Verdict::Pass, |(_, _, judgement)| judgement.verdict)
    }

    /// Where the copy goes, and which folders rules assigned to it, as far as there are such folders.
    pub(super) fn placement(&self) -> (Placement, Vec<String>) {
        let before = &self.filing.placement;
        self.said.as_ref().map_or_else(|| (before.clone(), Vec::new()), |(_, _, judgement)| placed(before, judgement))
    }

    /// Writes down what the rules said of a copy that is filed.
    pub(super) async fn record(&self, tx: &mut Tx, folder_ids: &[String], at: UnixMicros) -> Result<(), DbError> {
        let Some((scope, received, judgement)) = &self.said else { return Ok(()) };
        if judgement.verdict == Verdict::Undecidable {
            return Ok(());
        }
        let copy = &self.filing.copy;
        let evaluation = Evaluation {
            id: received.evaluation_id,
            organization_id: scope.organization,
            application_id: copy.application_id,
            grant_id: copy.grant_id,
            message_id: Some(copy.message_id),
            stage: evaluations::Stage::InboxProcessing,
            input: &received.input,
            judgement,
            folder_ids,
            at,
        };
        evaluations::record(tx, &evaluation).await
    }

    /// What is written down if the rules do not let the copy go on; nothing if they do. Others may take theirs.
    pub(crate) fn refusal(&self, others_take_it: bool) -> Option<NewRefusal> {
        let (scope, received, judgement) = self.said.as_ref()?;
        let problem = refused_mail::by_rules(judgement.verdict)?;
        let outcome = if others_take_it { Outcome::Dropped } else { refused_mail::outcome(&problem) };
        let rules = ByRules {
            evaluation_id: received.evaluation_id,
            organization_id: scope.organization,
            input: received.input.clone(),
            judgement: judgement.clone(),
        };
        let refusal = received.refusal(self.filing, problem, outcome);
        Some(NewRefusal { rules: Some(Box::new(rules)), ..refusal })
    }

    /// Gives the number back: the copy is not filed. Numbers have no gaps, and nobody has seen it yet.
    pub(crate) async fn give_back(&self, tx: &mut Tx) -> Result<(), DbError> {
        const GIVE_BACK: &str = "UPDATE mailboxes SET event_sequence = event_sequence - 1, \
            storage_octets = storage_octets - $2 WHERE grant_id = $1";
        tx.execute(GIVE_BACK, params![self.filing.copy.grant_id.uuid(), self.octets as i64]).await?;
        tx.tally().store(self.owner, -(self.octets as i64));
        Ok(())
    }
}
