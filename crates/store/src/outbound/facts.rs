//! What a send is judged by, read under the lock of its mailbox: limits and counters, rules, recipients, its key.

use super::guard::Watched;
use super::told::DailyMarks;
use super::{Judged, Sending, Submit};
use crate::db::{DbError, Row};
use crate::drafts;
use crate::engine::Tx;
use crate::holds;
use crate::idempotency::{self, Earlier};
use crate::judging::{self, Scope};
use crate::key_use;
use crate::limits;
use crate::meters::{self, Owner};
use crate::opt_ins;
use crate::params;
use crate::raises;
use crate::rates::Senders;
use crate::sender_pools;
use crate::stops;
use crate::suppressions;
use postfleet_core::EmailAddress;
use postfleet_core::hold::OnQuota;
use postfleet_core::id::{HoldId, KeyId, OrganizationId, PolicyId, WorkspaceId};
use postfleet_core::meter::{Caps, Meters, Room, account_storage_cap};
use postfleet_core::outbound::OutboundFacts;
use postfleet_core::plan::Limits;
use postfleet_core::quota::{self, Allowance};
use postfleet_core::rate::{Scope as RateScope, SendRates};
use postfleet_core::rule::{Direction, Input, Verdict};
use uuid::Uuid;

/// What a send is decided by.
pub(super) struct Loaded {
    pub(super) facts: OutboundFacts,
    pub(super) owner: Owner,
    /// The workspace in which the mailbox is.
    pub(super) workspace: Option<WorkspaceId>,
    /// The rules, if the workspace has any.
    pub(super) scope: Option<Scope>,
    /// Whether the policy wants recipients looked at first.
    pub(super) validates: bool,
    /// The key, if it may not send everything.
    pub(super) key: Option<key_use::Key>,
    /// What was sent before under the same key, or with the same content.
    pub(super) earlier: Earlier,
    /// What was told of the daily quota.
    pub(super) quota: DailyMarks,
    /// How many there may be in a second, and of whom.
    pub(super) pools: Pools,
    /// Its domain, if it is being warmed up.
    pub(super) warming: Option<Uuid>,
    /// By what it would be held.
    pub(super) terms: HoldTerms,
    /// By what loops and breakers are known.
    pub(super) watched: Watched,
}

/// How many there may be in a second, and of whom.
pub(super) struct Pools {
    pub(super) rates: SendRates,
    pub(super) senders: Senders,
}

/// By what a send is held.
pub(super) struct HoldTerms {
    /// What the workspace wants of sends over a quota.
    pub(super) on_quota: OnQuota,
    /// The version of its policy and rules.
    pub(super) version: String,
    /// Whose the application is.
    pub(super) organization: OrganizationId,
    /// The send of the mailbox with the same content that is held.
    pub(super) same: Option<HoldId>,
}

impl Submit {
    /// Reads what the decision needs, under the mailbox's lock, so that no other send of the mailbox is judged by the
    /// same counter.
    pub(super) async fn load_facts(&self, tx: &mut Tx) -> Result<Option<Loaded>, DbError> {
        const LOCK: &str = "SELECT storage_octets, organization_id, application_id, ramp FROM mailboxes \
            WHERE grant_id = $1 {lock}";
        const FACTS: &str = concat!(
            "SELECT o.plan, d.verified_at, s.sent, p.validate_recipients, s.told, s.told_limit, ",
            raises::in_force!("$9"),
            ", ",
            key_use::columns!(),
            ", ",
            limits::policy_limit_columns!(),
            ", ",
            judging::scope_columns!(),
            ", ",
            idempotency::earlier_columns!(),
            ", ",
            meters::usage_columns!(),
            ", o.id, a.environment, d.id",
            ", w.on_quota, p.id, p.updated_at, (SELECT h.id FROM holds h WHERE h.grant_id = g.id AND h.content = $7 \
             AND h.closed_at IS NULL ORDER BY h.id LIMIT 1), o.active_stops, g.workspace_id",
            // What loops and breakers are known by. A name that is registered here is one of the fleet.
            ", w.breakers, s.said, (SELECT count(*) FROM domains f WHERE f.name = $13), wu.domain_id",
            " FROM grants g JOIN applications a ON a.id = g.application_id \
             JOIN organizations o ON o.id = a.organization_id \
             LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id \
             LEFT JOIN domains d ON d.name = $2 AND d.organization_id = o.id \
             LEFT JOIN warm_ups wu ON wu.domain_id = d.id AND wu.stage <= 28 \
             LEFT JOIN daily_sends s ON s.grant_id = g.id AND s.day = $3 \
             LEFT JOIN api_keys ak ON ak.id = $11 AND ak.application_id = a.id",
            idempotency::earlier_joins!(),
            meters::usage_joins!("$10"),
            " WHERE g.application_id = $4 AND g.id = $1"
        );
        const KEY: usize = 7;
        const LIMITS: usize = KEY + key_use::COLUMNS;
        const SCOPE: usize = LIMITS + limits::POLICY_LIMIT_COLUMNS;
        const EARLIER: usize = SCOPE + judging::SCOPE_COLUMNS;
        const USAGE: usize = EARLIER + idempotency::EARLIER_COLUMNS;
        const SENDERS: usize = USAGE + meters::USAGE_COLUMNS;
        const HOLD: usize = SENDERS + 3;
        const STOPS: usize = HOLD + 4;
        const WATCH: usize = STOPS + 2;
        const WARMING: usize = WATCH + 3;
        let grant = self.copy.grant_id.uuid();
        if let Some(pool) = self.once.pool
            && !sender_pools::hold(tx, pool).await?
        {
            return Ok(None);
        }
        let Some(mailbox) = tx.query_one(LOCK, params![grant]).await? else { return Ok(None) };
        let owner = Owner::read(&mailbox, 1)?;
        let day = self.facts.date.day();
        let month = day.month();
        let application = self.copy.application_id.uuid();
        let (key, keys_since, content, sends_since) = self.once.bounds(self.facts.date);
        let (domain, destination) = (self.sender_domain.as_str(), self.destinations().next().unwrap_or_default());
        let values = params![
            grant,
            domain,
            day.number(),
            application,
            key,
            keys_since,
            content,
            sends_since,
            self.facts.date.as_micros(),
            month.number(),
            self.by.map(|key| key.uuid()),
            self.once.scope(self.copy.grant_id),
            destination
        ];
        let Some(row) = tx.query_one(FACTS, values).await? else { return Ok(None) };
        let (plan, policy) = (tx.plan(row.str(0)?)?, limits::policy_limits(&row, LIMITS)?);
        let account = Room { limit: account_storage_cap(&plan, &policy), used: mailbox.int(0)?.max(0) as u64 };
        let used = meters::used(tx.tally(), owner.organization, month, &row, USAGE)?;
        let mut limits = Limits::effective(&plan.limits, &policy);
        let is_raised = limits.raise_daily_sends(&plan.limits, limits::opt_count(&row, 6)?);
        let is_ramp = limits.ramp_daily_sends(limits::ramp_cap(&mailbox, 3, day)?);
        let quota = DailyMarks {
            told: quota::Told {
                crossing: row.opt_int(4)?.unwrap_or(0),
                limit: limits::opt_count(&row, 5)?.unwrap_or(0),
            },
            is_raised: is_raised && !is_ramp,
        };
        let sent = row.opt_int(2)?.map_or(0, |sent| sent.max(0) as u64);
        // Who belongs to an organization without stops is not asked about.
        let stops = match row.int(STOPS)? > 0 {
            true => stops::of_sender(tx, &self.as_stopped(&row, SENDERS, STOPS + 1)?).await?,
            false => Vec::new(),
        };
        let watched = self.watched(tx, &row, (SENDERS, STOPS + 1, WATCH), &stops).await?;
        let facts = OutboundFacts {
            daily: Allowance::daily(limits.daily_sends_max, sent, day),
            is_ramp,
            meters: Meters::new(account, Caps::of(&plan), used, month),
            limits,
            domain_verified: row.opt_int(1)?.is_some(),
            recipients: self.recipients.len(),
            suppressed: Vec::new(),
            undeliverable: self.undeliverable.clone().unwrap_or_default(),
            unconfirmed: Vec::new(),
            message_octets: self.blob.octets(),
            rules: Verdict::Pass,
            key: None,
            exceeded: None,
            throttle: watched.throttle(&stops, self.facts.date),
            stops,
            warm_up: None,
            approved: false,
        };
        let is_release = self.from_draft.as_ref().is_some_and(|from| from.release.is_some() || from.hold.is_some());
        let key = key_use::of_row(&row, KEY, self.by, is_release)?;
        let workspace = row.opt_uuid(SCOPE + 1)?.map(WorkspaceId::from_uuid);
        let scope = judging::scope(&row, SCOPE)?;
        let earlier = self.once.earlier(&row, EARLIER)?;
        let senders = Senders {
            pool: RateScope::of_environment(row.str(SENDERS + 1)?),
            organization: row.uuid(SENDERS)?,
            domain: row.opt_uuid(SENDERS + 2)?,
            grant,
            key: self.by.filter(|_| !is_release).map(KeyId::uuid),
        };
        let pools = Pools { rates: plan.send_rates, senders };
        let terms = hold_terms(&row, SCOPE, HOLD)?;
        let validates = row.opt_int(3)? == Some(1);
        let warming = row.opt_uuid(WARMING)?;
        Ok(Some(Loaded {
            facts,
            owner,
            workspace,
            scope,
            validates,
            key,
            earlier,
            quota,
            pools,
            warming,
            terms,
            watched,
        }))
    }

    /// The sender as stops see it.
    fn as_stopped(&self, row: &Row, organization: usize, workspace: usize) -> Result<stops::Sender, DbError> {
        Ok(stops::Sender {
            organization: OrganizationId::from_uuid(row.uuid(organization)?),
            application: self.copy.application_id,
            workspace: row.opt_uuid(workspace)?.map(WorkspaceId::from_uuid),
            grant: self.copy.grant_id,
            address: self.sender.clone(),
            thread: self.thread_id,
        })
    }

    /// The sent copy takes the place of the draft, or of what waited.
    pub(super) async fn make_room(
        &self,
        tx: &mut Tx,
        Sending { loaded, draft, held, .. }: &mut Sending,
    ) -> Result<(), DbError> {
        let waiting = match held.as_ref().filter(|hold| draft.is_none() && !hold.is_draft) {
            Some(hold) => drafts::held(tx, hold.grant_id, hold.message_id).await?,
            None => None,
        };
        if let Some(draft) = draft.as_ref().or(waiting.as_ref()) {
            loaded.facts.meters.make_room(draft.octets.max(0) as u64);
        }
        Ok(())
    }

    /// Reads what is asked about the recipients: who is suppressed, what the rules say, what the key knows of them.
    pub(super) async fn complete(
        &self,
        tx: &mut Tx,
        Loaded { facts, scope, key, .. }: &mut Loaded,
    ) -> Result<Option<Judged>, DbError> {
        let recipients = self.recipients.iter().map(|(_, address)| address);
        facts.suppressed =
            suppressions::of_recipients(tx, self.copy.application_id, recipients, self.facts.date).await?;
        facts.unconfirmed = match &self.require_opt_in {
            Some(purpose) => {
                let is_left = |address: &&EmailAddress| facts.suppressed.iter().all(|one| one.address != **address);
                let left = self.recipients.iter().map(|(_, address)| address).filter(is_left);
                opt_ins::without(tx, self.copy.application_id, purpose, left).await?
            }
            None => Vec::new(),
        };
        // All who were asked for are judged, whoever of them is written to.
        let judged = match scope.take() {
            Some(scope) => self.judge(tx, scope).await?,
            None => None,
        };
        facts.rules = judged.as_ref().map_or(Verdict::Pass, |judged| judged.judgement.verdict);
        if let Some(key) = key {
            facts.key = Some(Box::new(key.used(tx, self.as_sent_with_key(), &facts.suppressed).await?));
        }
        Ok(judged)
    }

    /// Asks the rules. Everyone who gets the message is seen, whatever header names them, or none.
    pub(super) async fn judge(&self, tx: &mut Tx, scope: Scope) -> Result<Option<Judged>, DbError> {
        let recipients = self.recipients.iter().map(|(_, address)| address);
        let input = Input::outbound(&self.sender, recipients, self.outbound_type);
        let judgement = judging::judge(tx, &scope, Direction::Outbound, &input).await?;
        Ok(judgement.map(|judgement| Judged { scope, input, judgement }))
    }

    pub(super) fn as_sent_with_key(&self) -> key_use::Message<'_> {
        key_use::Message {
            grant_id: self.copy.grant_id,
            sender: &self.sender,
            recipients: self.recipients.iter().map(|(_, address)| address.clone()).collect(),
            summary: &self.facts.summary,
            thread_id: self.thread_id,
            hints: &self.facts.thread,
            date: self.facts.date,
        }
    }
}

/// Reads what is asked of holds, which begins at `first`; the columns of the rules begin at `scope`.
pub(super) fn hold_terms(row: &Row, scope: usize, first: usize) -> Result<HoldTerms, DbError> {
    let policy = match row.opt_uuid(first + 1)? {
        Some(id) => Some((PolicyId::from_uuid(id), row.int(first + 2)?)),
        None => None,
    };
    Ok(HoldTerms {
        on_quota: row.opt_text(first)?.and_then(|word| OnQuota::named(&word)).unwrap_or(OnQuota::Reject),
        version: holds::version(policy, row.int(scope + 2)?),
        organization: OrganizationId::from_uuid(row.uuid(scope)?),
        same: row.opt_uuid(first + 3)?.map(HoldId::from_uuid),
    })
}
