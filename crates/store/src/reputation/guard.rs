//! Breakers that measure what became of mail, and the quarantine of one mailbox that endangers its domain: judged where
//! outcomes are counted, in the same transaction. Who sends without anything going wrong costs nothing.

use super::Subject;
use crate::breakers;
use crate::db::DbError;
use crate::engine::Tx;
use crate::events::{self, NewEvent};
use crate::holds;
use crate::outbound::{Tripped, evidence, replaced};
use crate::params;
use crate::send_events::{SendEvent, Sent, follows_from, ids_of};
use crate::stops::{self, NewStop, Target};
use crate::watch;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::bounce::BounceType;
use postfleet_core::breaker::{self, Breaker, Metric, Reading};
use postfleet_core::event::Trigger;
use postfleet_core::id::{AuditId, EventId, GrantId, SendEventId, StopId, WorkspaceId};
use postfleet_core::quarantine::{Danger, endangers};
use postfleet_core::reputation::{Counts, Standing, SubjectKind};
use postfleet_core::send_event::{Counted, SendEventKind};
use postfleet_core::stop::{Effect, Kind, Scope, Stop};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Outcomes of a mailbox that are read in the ledger where the window of its reputation does not say enough.
const OUTCOMES_READ: i64 = 1_000;

/// A mailbox of the batch for which something went wrong, now or before.
struct Concerned<'a> {
    sent: &'a Sent,
    /// What was counted last.
    cause: SendEventId,
    /// What the window of its reputation has.
    counts: Counts,
    /// Whether it was in this batch.
    is_new: bool,
    rejected: bool,
}

/// What the ledger has of a mailbox since a time.
#[derive(Clone, Copy, Default)]
struct Since {
    counts: Counts,
    rejections: u64,
    suppressed: u64,
}

/// Looks at the mailboxes of the batch for which something went wrong.
pub(super) async fn look(
    tx: &mut Tx,
    outcomes: &[SendEvent],
    standings: &BTreeMap<Subject, Standing>,
) -> Result<(), DbError> {
    let concerned = concerned(outcomes, standings);
    if concerned.is_empty() {
        return Ok(());
    }
    let breakers = breakers_of(tx, concerned.values()).await?;
    for one in concerned.values() {
        if let Some(breakers) = one.sent.workspace_id.and_then(|workspace| breakers.get(&workspace)) {
            one.judge_breakers(tx, breakers, outcomes).await?;
        }
        if let (true, Some(part)) = (one.is_new, tx.quarantine_part()) {
            one.judge_danger(tx, (standings, outcomes), part).await?;
        }
    }
    Ok(())
}

fn is_rejection(outcome: &SendEvent) -> bool {
    outcome.kind == SendEventKind::Rejected || outcome.bounce.is_some_and(BounceType::is_rejection)
}

fn concerned<'a>(
    outcomes: &'a [SendEvent],
    standings: &BTreeMap<Subject, Standing>,
) -> BTreeMap<GrantId, Concerned<'a>> {
    let mut concerned: BTreeMap<GrantId, Concerned<'a>> = BTreeMap::new();
    let windows: BTreeMap<&str, Counts> = standings
        .iter()
        .filter(|(subject, _)| subject.kind() == SubjectKind::Grant)
        .map(|(subject, standing)| (subject.name.as_str(), standing.window.counts()))
        .collect();
    for outcome in outcomes.iter().filter(|outcome| !outcome.is_of_removed) {
        let sent = &outcome.sent;
        let (is_new, rejected) = (outcome.counted.hard_bounce || outcome.counted.complaint, is_rejection(outcome));
        if let Some(known) = concerned.get_mut(&sent.grant_id) {
            (known.is_new, known.rejected) = (known.is_new || is_new, known.rejected || rejected);
            known.cause = known.cause.max(outcome.id);
            continue;
        }
        let counts = windows.get(sent.grant_id.to_string().as_str()).copied().unwrap_or_default();
        let counts_move = outcome.counted.is_anything() && (counts.hard_bounces > 0 || counts.complaints > 0);
        if is_new || rejected || counts_move {
            concerned.insert(sent.grant_id, Concerned { sent, cause: outcome.id, counts, is_new, rejected });
        }
    }
    concerned
}

/// The breakers of the workspaces that have some.
async fn breakers_of<'a>(
    tx: &mut Tx,
    concerned: impl Iterator<Item = &'a Concerned<'a>>,
) -> Result<BTreeMap<WorkspaceId, Vec<Breaker>>, DbError> {
    const FIND: &str = "SELECT w.id, w.breakers FROM {json_each}($1) AS e CROSS JOIN workspaces w \
        WHERE w.id = {hex_id}(e.value ->> 0) AND w.breakers IS NOT NULL";
    let ids: BTreeSet<WorkspaceId> = concerned.filter_map(|one| one.sent.workspace_id).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let list = ids.iter().map(|id| json!([id.uuid().as_simple().to_string()])).collect::<Value>().to_string();
    let rows = tx.query(FIND, params![&list]).await?;
    let read =
        |row: &crate::db::Row| Ok((WorkspaceId::from_uuid(row.uuid(0)?), breakers::read(row.opt_text(1)?.as_deref())?));
    rows.iter().map(read).collect()
}

impl Since {
    /// What the ledger has of the last outcomes of a mailbox since a time, those of the batch among them: rows of the batch
    /// that are behind the head are not attributed yet.
    async fn read(
        tx: &mut Tx,
        grant: GrantId,
        since: Option<UnixMicros>,
        batch: &[SendEvent],
    ) -> Result<Self, DbError> {
        let first = since.map_or(Uuid::nil(), |at| SendEventId::first_at(at).uuid());
        let mut last: BTreeMap<Uuid, (SendEventKind, Option<BounceType>, Counted)> = BTreeMap::new();
        for row in tx.query(LEDGER, params![grant.uuid(), Uuid::max(), first, OUTCOMES_READ]).await? {
            let kind = SendEventKind::numbered(row.int(1)?).ok_or(DbError::Malformed("kind of a send event"))?;
            let bounce = row.opt_text(2)?.and_then(|name| BounceType::named(&name));
            last.insert(row.uuid(0)?, (kind, bounce, Counted::numbered(row.int(3)?)));
        }
        for outcome in batch.iter().filter(|one| one.sent.grant_id == grant && one.id.uuid() >= first) {
            last.insert(outcome.id.uuid(), (outcome.kind, outcome.bounce, outcome.counted));
        }
        let mut found = Self::default();
        last.into_values().for_each(|(kind, bounce, counted)| found.add(kind, bounce, counted));
        Ok(found)
    }

    fn add(&mut self, kind: SendEventKind, bounce: Option<BounceType>, counted: Counted) {
        self.counts.attempts += u64::from(counted.attempt);
        self.counts.feedback_attempts += u64::from(counted.feedback);
        self.counts.hard_bounces += u64::from(counted.hard_bounce);
        self.counts.complaints += u64::from(counted.complaint);
        let is_suppressed = kind == SendEventKind::Rejected;
        self.suppressed += u64::from(is_suppressed);
        self.rejections += u64::from(is_suppressed || bounce.is_some_and(BounceType::is_rejection));
    }
}

pub(crate) const LEDGER: &str = concat!(
    "SELECT id, kind, bounce, counted FROM ",
    ids_of!("grant_id", "$4"),
    " CROSS JOIN send_events WHERE id = ids.found ORDER BY ids.found DESC LIMIT $4"
);

fn read_rate(metric: Metric, counts: Counts, ledger: Option<&Since>) -> Option<Reading> {
    match metric {
        Metric::BounceRate => Some(Reading { count: counts.hard_bounces, volume: counts.attempts }),
        Metric::ComplaintRate => Some(Reading { count: counts.complaints, volume: counts.feedback_attempts }),
        Metric::RejectionRate => {
            ledger.map(|since| Reading { count: since.rejections, volume: since.counts.attempts + since.suppressed })
        }
        _ => None,
    }
}

impl Concerned<'_> {
    async fn judge_breakers(&self, tx: &mut Tx, breakers: &[Breaker], batch: &[SendEvent]) -> Result<(), DbError> {
        let grant = self.sent.grant_id;
        let asks = breakers.iter().any(|one| one.enabled && one.metric == Metric::RejectionRate);
        let ledger = if self.rejected && asks { Some(Since::read(tx, grant, None, batch).await?) } else { None };
        let mut tripped = breaker::tripped(breakers, |metric| read_rate(metric, self.counts, ledger.as_ref()));
        if tripped.is_empty() {
            return Ok(());
        }
        if let Some(lifted_at) = stops::lifted_at(tx, grant, (Kind::Breaker, &grant.to_string())).await? {
            // Whoever lifted the stop has seen what was counted until then.
            let since = Since::read(tx, grant, Some(lifted_at), batch).await?;
            tripped = breaker::tripped(breakers, |metric| read_rate(metric, since.counts, Some(&since)));
        }
        for (breaker, reading) in &tripped {
            self.trip(tx, breaker, reading).await?;
        }
        Ok(())
    }

    async fn trip(&self, tx: &mut Tx, breaker: &Breaker, reading: &Reading) -> Result<(), DbError> {
        let (grant, at) = (self.sent.grant_id, self.cause.made_at());
        let stands = self.in_force(tx, Kind::Breaker).await?;
        match breaker.action.effect() {
            None => {
                let mut watch = watch::of(tx, grant, at).await?;
                if !watch.tells(breaker.metric, at) {
                    return Ok(());
                }
                watch::keep(tx, grant, &watch).await?;
            }
            Some(effect) => {
                let strength = |effect| breaker::strength(effect);
                if stands.as_ref().is_some_and(|stop| strength(stop.effect) >= strength(effect)) {
                    return Ok(());
                }
                let new = NewStop {
                    effect,
                    reason: breaker::reason(breaker, reading),
                    evidence: evidence(breaker, reading, self.sent.workspace_id).to_string(),
                    value: breaker.throttle_to.filter(|_| effect == Effect::Throttle),
                    ..self.new_stop(Kind::Breaker, breaker.metric.name())
                };
                replaced(tx, new, stands.map(|stop| stop.id)).await?;
            }
        }
        let id = EventId::from_uuid(follows_from(self.cause, &format!("breaker {}", breaker.metric.name())));
        let Sent { application_id: application, workspace_id: workspace, sender: email, .. } = self.sent;
        Tripped { id, application: *application, grant, workspace: *workspace, email, at }
            .announce(tx, breaker, reading)
            .await
    }

    async fn in_force(&self, tx: &mut Tx, kind: Kind) -> Result<Option<Stop>, DbError> {
        let subjects = BTreeSet::from([self.sent.grant_id.to_string()]);
        let found = stops::in_force(tx, self.sent.organization_id, &subjects).await?;
        Ok(found.into_iter().find(|stop| stop.kind == kind && stop.scope == Scope::Grant))
    }

    /// A stop that holds what the mailbox sends.
    fn new_stop(&self, kind: Kind, what: &str) -> NewStop {
        let (sent, cause) = (self.sent, self.cause);
        let made = |of: &str| follows_from(cause, &format!("{} {what} {of}", kind.name()));
        NewStop {
            id: StopId::from_uuid(made("stop")),
            act: Act {
                record_id: AuditId::from_uuid(made("record")),
                actor: holds::system("guard"),
                organization_id: sent.organization_id,
                application_id: Some(sent.application_id),
                request_id: String::new(),
                at: cause.made_at(),
            },
            event_id: EventId::from_uuid(made("event")),
            kind,
            effect: Effect::Hold,
            target: Target {
                organization: sent.organization_id,
                application: Some(sent.application_id),
                workspace: sent.workspace_id,
                grant: Some(sent.grant_id),
                scope: Scope::Grant,
                subject: sent.grant_id.to_string(),
            },
            reason: String::new(),
            evidence: "{}".to_owned(),
            reference: None,
            value: None,
        }
    }

    /// Holds the mailbox if it endangers its domain for all others on it.
    async fn judge_danger(
        &self,
        tx: &mut Tx,
        (standings, batch): (&BTreeMap<Subject, Standing>, &[SendEvent]),
        part: u64,
    ) -> Result<(), DbError> {
        let (grant, domain) = (self.sent.grant_id, self.sent.sender.domain().as_str());
        let is_domain = |subject: &Subject| subject.kind() == SubjectKind::Domain && subject.name == domain;
        let found = standings.iter().find(|(subject, _)| is_domain(subject));
        let Some(all) = found.map(|(_, standing)| standing.window.counts()) else { return Ok(()) };
        let mut own = self.counts;
        let Some(mut danger) = endangers(all, own, part) else { return Ok(()) };
        // Who is paused endangers nobody any more.
        for kind in [Kind::Pause, Kind::Quarantine] {
            if self.in_force(tx, kind).await?.is_some() {
                return Ok(());
            }
        }
        if let Some(lifted_at) = stops::lifted_at(tx, grant, (Kind::Quarantine, &grant.to_string())).await? {
            own = Since::read(tx, grant, Some(lifted_at), batch).await?.counts;
            let Some(again) = endangers(all, own, part) else { return Ok(()) };
            danger = again;
        }
        let facts = self.danger_facts(danger, all, own);
        let reason = facts["reason"].as_str().unwrap_or_default().to_owned();
        let new = self.new_stop(Kind::Quarantine, danger.name());
        stops::raise(tx, &NewStop { reason, evidence: facts.to_string(), ..new }).await?;
        self.announce_danger(tx, &facts).await
    }

    fn danger_facts(&self, danger: Danger, all: Counts, own: Counts) -> Value {
        let count = |counts: Counts| match danger {
            Danger::Bounces => counts.hard_bounces,
            Danger::Complaints => counts.complaints,
        };
        let (domain, email) = (self.sent.sender.domain(), &self.sent.sender);
        let what = match danger {
            Danger::Bounces => "hard bounces",
            Danger::Complaints => "complaints",
        };
        json!({
            "object": "domain",
            "domain": domain.as_str(),
            "grant_id": self.sent.grant_id.to_string(),
            "email": email.to_string(),
            "workspace_id": self.sent.workspace_id.map(|id| id.to_string()),
            "danger": danger.name(),
            "of_domain": count(all),
            "of_mailbox": count(own),
            "recipients_of_domain": all.attempts,
            "recipients_of_mailbox": own.attempts,
            "reason": format!(
                "{} of the {} {what} of {domain} come from {email}, which sent to {} of {} recipients",
                count(own), count(all), own.attempts, all.attempts
            ),
        })
    }

    async fn announce_danger(&self, tx: &mut Tx, facts: &Value) -> Result<(), DbError> {
        let grant_id = self.sent.grant_id;
        let Some(grant_sequence) = events::next_sequence(tx, grant_id).await? else { return Ok(()) };
        tx.announce(NewEvent {
            id: EventId::from_uuid(follows_from(self.cause, "domain endangered")),
            application_id: self.sent.application_id,
            grant_id,
            grant_sequence,
            trigger: Trigger::DomainEndangered,
            message_id: None,
            data: facts.to_string(),
            at: self.cause.made_at(),
        });
        Ok(())
    }
}
