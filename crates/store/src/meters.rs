//! What organizations and applications use: storage, and a month's sends and bandwidth.
//!
//! The rows of one organization belong to all of its mailboxes, so nothing of them is written while a command runs:
//! commands add to a [`Tally`] of their batch, which becomes one statement just before the commit. Whoever judges reads
//! the rows and adds what the tally holds. On PostgreSQL other writers may have added meanwhile: should a cap that was
//! judged turn out to be passed when the batch is written, the batch is taken back and run once more with the rows
//! locked from its beginning. So a cap holds exactly, and who has none waits for nobody (docs/adr/0028).

use crate::db::{Db, DbError, Row};
use crate::drafts;
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::limits;
use crate::params;
use crate::send_events::SendEvent;
use crate::send_sums::SumUp;
use crate::transfers::{self, Transfer};
use postfleet_core::id::{ApplicationId, BlobId, GrantId, MessageId, OrganizationId};
use postfleet_core::meter::{Caps, Meters, Room, Used, account_storage_cap};
use postfleet_core::plan::{Limits, Plan};
use postfleet_core::quota::Allowance;
use postfleet_core::reputation::SubjectKind;
use postfleet_core::{EmailAddress, UnixMicros, UtcDay, UtcMonth};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// The month under which stands what is kept.
const KEPT: i64 = 0;

/// A row of `usage`: whose, and of which month.
type Key = (Uuid, i64);

/// Whose mailbox it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) organization: Uuid,
    pub(crate) application: Uuid,
}

impl Owner {
    /// Reads two columns: the organization, then the application.
    pub(crate) fn read(row: &Row, first: usize) -> Result<Self, DbError> {
        Ok(Self { organization: row.uuid(first)?, application: row.uuid(first + 1)? })
    }

    fn both(self) -> [Uuid; 2] {
        [self.organization, self.application]
    }
}

/// A counter of `usage`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Column {
    Stored,
    Sent,
    SentByRemoved,
    OctetsIn,
    OctetsOut,
}

/// What a batch adds to one row.
#[derive(Clone, Copy, Default, Debug)]
struct Change {
    stored: i64,
    sent: i64,
    sent_by_removed: i64,
    octets_in: i64,
    octets_out: i64,
    /// What may not be passed, where something was judged by it: octets kept, messages sent, octets transferred.
    caps: [Option<i64>; 3],
}

/// What the commands of a batch use.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    changes: BTreeMap<Key, Change>,
    /// What it is counted anew from.
    transfers: Vec<Transfer>,
    /// What happened to recipients.
    outcomes: Vec<SendEvent>,
    /// What of that is to be added to the sums of it.
    pub(crate) sum_up: Option<SumUp>,
}

impl Tally {
    /// So many octets more are kept, or fewer.
    pub(crate) fn store(&mut self, owner: Owner, octets: i64) {
        for one in owner.both().into_iter().filter(|_| octets != 0) {
            self.of(one, KEPT).stored += octets;
        }
    }

    /// A mailbox sends a message of so many octets.
    pub(crate) fn send(&mut self, owner: Owner, (grant, message): (GrantId, MessageId), day: UtcDay, octets: u64) {
        self.count_send(owner, day.month(), 1, octets);
        let Owner { organization, application } = owner;
        let octets = [octets; 2];
        self.transfers.push(Transfer { day, organization, application, grant, message, is_outgoing: true, octets });
    }

    /// Something happened to a recipient of what a mailbox sent.
    pub(crate) fn happened(&mut self, event: SendEvent) {
        self.outcomes.push(event);
    }

    /// Hands over what happened, to be counted.
    pub(crate) fn take_outcomes(&mut self) -> Vec<SendEvent> {
        std::mem::take(&mut self.outcomes)
    }

    /// Somebody is gone, for whom nothing is counted any more.
    pub(crate) fn forget_reputation(&mut self, kind: SubjectKind, name: &str) {
        for outcome in self.outcomes.iter_mut().filter(|_| kind == SubjectKind::Grant) {
            outcome.is_of_removed |= outcome.sent.grant_id.to_string() == name;
        }
    }

    /// Whether it is counted in this batch that nobody is there.
    pub(crate) fn has_bounced(&self, message: MessageId, key: &str) -> bool {
        self.outcomes.iter().any(|one| {
            let recipient = one.recipient.as_ref().map(EmailAddress::key);
            one.sent.message_id == message && one.counted.hard_bounce && recipient.as_deref() == Some(key)
        })
    }

    fn count_send(&mut self, owner: Owner, month: UtcMonth, sign: i64, octets: u64) {
        for one in owner.both() {
            let change = self.of(one, month.number());
            change.sent += sign;
            change.octets_out += sign * octets as i64;
        }
    }

    /// That a message is sent counts no more, should it be in this batch.
    pub(crate) fn forget(&mut self, message: MessageId) {
        self.transfers.retain(|transfer| transfer.message != message || !transfer.is_outgoing);
    }

    /// So many of the month's sends are those of a mailbox that is gone.
    pub(crate) fn remove_sender(&mut self, owner: Owner, month: UtcMonth, sent: i64) {
        for one in owner.both() {
            self.of(one, month.number()).sent_by_removed += sent;
        }
    }

    /// A message of so many octets came in: it counts once for each organization and application, however many of their
    /// mailboxes got it.
    pub(crate) fn receive(&mut self, copies: &[(Owner, GrantId, MessageId)], day: UtcDay, octets: u64) {
        let mut counted = BTreeSet::new();
        for &(owner, grant, message) in copies {
            let once = owner.both().map(|one| if counted.insert(one) { octets } else { 0 });
            for (one, octets) in owner.both().into_iter().zip(once) {
                self.of(one, day.month().number()).octets_in += octets as i64;
            }
            let Owner { organization, application } = owner;
            let octets = once;
            self.transfers.push(Transfer {
                day,
                organization,
                application,
                grant,
                message,
                is_outgoing: false,
                octets,
            });
        }
    }

    /// A counter of an organization or an application turned out to be wrong by so much.
    pub(crate) fn correct(&mut self, owner: Uuid, month: Option<UtcMonth>, which: Column, by: i64) {
        let change = self.of(owner, month.map_or(KEPT, UtcMonth::number));
        *match which {
            Column::Stored => &mut change.stored,
            Column::Sent => &mut change.sent,
            Column::SentByRemoved => &mut change.sent_by_removed,
            Column::OctetsIn => &mut change.octets_in,
            Column::OctetsOut => &mut change.octets_out,
        } += by;
    }

    /// How many messages a mailbox got in this batch.
    fn received(&self, grant: GrantId, day: UtcDay) -> u64 {
        let is_its = |one: &&Transfer| one.grant == grant && one.day == day && !one.is_outgoing;
        self.transfers.iter().filter(is_its).count() as u64
    }

    /// Something was allowed because these caps leave room: the batch may not pass them.
    pub(crate) fn hold(&mut self, organization: Uuid, month: UtcMonth, caps: Caps) {
        let limits = [(KEPT, caps.storage), (month.number(), caps.sends), (month.number(), caps.bandwidth)];
        for (place, (month, limit)) in limits.into_iter().enumerate() {
            let Some(limit) = limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)) else { continue };
            let cap = &mut self.of(organization, month).caps[place];
            *cap = Some(cap.map_or(limit, |cap| cap.min(limit)));
        }
    }

    fn of(&mut self, owner: Uuid, month: i64) -> &mut Change {
        self.changes.entry((owner, month)).or_default()
    }

    /// What is used, with what this batch has added.
    fn add_to(&self, organization: Uuid, month: UtcMonth, stored: i64, sent: i64, transferred: i64) -> Used {
        let of = |month| self.changes.get(&(organization, month)).copied().unwrap_or_default();
        let (kept, monthly) = (of(KEPT), of(month.number()));
        let count = |number: i64| number.max(0) as u64;
        Used {
            storage: count(stored + kept.stored),
            sends: count(sent + monthly.sent),
            bandwidth: count(transferred + monthly.octets_in + monthly.octets_out),
        }
    }

    /// What is added, as the statement takes it: in the order of the keys, which is that of the locks.
    fn rows(&self) -> String {
        let row = |((owner, month), change): (&Key, &Change)| {
            let Change { stored, sent, sent_by_removed, octets_in, octets_out, .. } = change;
            format!("[\"{}\",{month},{stored},{sent},{sent_by_removed},{octets_in},{octets_out}]", owner.as_simple())
        };
        format!("[{}]", self.changes.iter().map(row).collect::<Vec<_>>().join(","))
    }
}

macro_rules! write {
    () => {
        "INSERT INTO usage (owner_id, month, stored, sent, sent_by_removed, octets_in, octets_out) \
         SELECT {hex_id}(e.value ->> 0), CAST(e.value ->> 1 AS {int}), CAST(e.value ->> 2 AS {int}), \
         CAST(e.value ->> 3 AS {int}), CAST(e.value ->> 4 AS {int}), CAST(e.value ->> 5 AS {int}), \
         CAST(e.value ->> 6 AS {int}) FROM {json_each}($1) AS e WHERE true \
         ON CONFLICT (owner_id, month) DO UPDATE SET stored = usage.stored + excluded.stored, \
         sent = usage.sent + excluded.sent, sent_by_removed = usage.sent_by_removed + excluded.sent_by_removed, \
         octets_in = usage.octets_in + excluded.octets_in, octets_out = usage.octets_out + excluded.octets_out"
    };
}

/// Writes what a batch uses. Answers the rows in which it passes a cap by which it was judged, if it is not known that
/// nobody else added to them meanwhile (`locked`): the batch may not be committed then.
pub(crate) async fn write(db: &mut Db, tally: &Tally, locked: &BTreeSet<Key>) -> Result<Vec<Key>, DbError> {
    const WRITE: &str = write!();
    const WRITE_AND_TELL: &str = concat!(write!(), " RETURNING owner_id, month, stored, sent, octets_in + octets_out");
    transfers::write(db, &tally.transfers).await?;
    if tally.changes.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tally.rows();
    let is_held = |(key, change): (&Key, &Change)| change.caps.iter().any(Option::is_some) && !locked.contains(key);
    // SQLite has one writer: what it read is what is there.
    if matches!(db, Db::Sqlite(_)) || !tally.changes.iter().any(is_held) {
        db.execute(WRITE, params![&rows]).await?;
        return Ok(Vec::new());
    }
    let mut passed = Vec::new();
    for row in db.query(WRITE_AND_TELL, params![&rows]).await? {
        let key = (row.uuid(0)?, row.int(1)?);
        let Some(change) = tally.changes.get(&key).filter(|_| !locked.contains(&key)) else { continue };
        let values = [row.int(2)?, row.int(3)?, row.int(4)?];
        if change.caps.iter().zip(values).any(|(cap, value)| cap.is_some_and(|cap| value > cap)) {
            passed.push(key);
        }
    }
    Ok(passed)
}

/// Locks rows until the commit, the first thing in a batch.
pub(crate) async fn lock(db: &mut Db, keys: &BTreeSet<Key>) -> Result<(), DbError> {
    const LOCK: &str = "INSERT INTO usage (owner_id, month, stored, sent, sent_by_removed, octets_in, octets_out) \
        VALUES ($1, $2, 0, 0, 0, 0, 0) ON CONFLICT (owner_id, month) DO UPDATE SET stored = usage.stored";
    for (owner, month) in keys {
        db.execute(LOCK, params![*owner, *month]).await?;
    }
    Ok(())
}

/// The columns that tell what the organization `o` uses, joined by `usage_joins!`.
macro_rules! usage_columns {
    () => {
        "uk.stored, um.sent, um.octets_in + um.octets_out"
    };
}
pub(crate) use usage_columns;

/// How many columns `usage_columns!` names.
pub(crate) const USAGE_COLUMNS: usize = 3;

/// Joins the rows of `usage_columns!`; the argument is the month's placeholder.
macro_rules! usage_joins {
    ($month:literal) => {
        concat!(
            " LEFT JOIN usage uk ON uk.owner_id = o.id AND uk.month = 0 \
             LEFT JOIN usage um ON um.owner_id = o.id AND um.month = ",
            $month
        )
    };
}
pub(crate) use usage_joins;

/// Reads the columns of `usage_columns!` of which the first is at `first`, and adds what the batch has counted.
pub(crate) fn used(
    tally: &Tally,
    organization: Uuid,
    month: UtcMonth,
    row: &Row,
    first: usize,
) -> Result<Used, DbError> {
    let count = |column: usize| Ok::<_, DbError>(row.opt_int(first + column)?.unwrap_or(0));
    Ok(tally.add_to(organization, month, count(0)?, count(1)?, count(2)?))
}

/// What stops a mailbox and its organization.
#[derive(Clone, Debug)]
pub struct GrantMeters {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The organization's plan.
    pub plan: Arc<Plan>,
    /// What stops them, and how far they are.
    pub meters: Meters,
}

macro_rules! of_grant {
    () => {
        concat!(
            "SELECT o.id, o.plan, m.storage_octets, ds.received, ",
            usage_columns!(),
            ", ",
            limits::policy_limit_columns!(),
            " FROM grants g JOIN mailboxes m ON m.grant_id = g.id JOIN organizations o ON o.id = m.organization_id \
             LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id \
             LEFT JOIN daily_sends ds ON ds.grant_id = g.id AND ds.day = $4",
            usage_joins!("$3"),
            " WHERE g.application_id = $1 AND g.id = $2"
        )
    };
}
pub(crate) const OF_GRANT: &str = of_grant!();

fn read_of_grant(
    row: &Row,
    tally: &Tally,
    plan: Arc<Plan>,
    grant: GrantId,
    day: UtcDay,
) -> Result<GrantMeters, DbError> {
    let (organization, month) = (row.uuid(0)?, day.month());
    let policy = limits::policy_limits(row, 4 + USAGE_COLUMNS)?;
    let received = row.opt_int(3)?.unwrap_or(0).max(0) as u64 + tally.received(grant, day);
    let most = Limits::effective(&plan.limits, &policy).daily_received_max;
    let account = Room { limit: account_storage_cap(&plan, &policy), used: row.int(2)?.max(0) as u64 };
    let meters = Meters::new(account, Caps::of(&plan), used(tally, organization, month, row, 4)?, month);
    let meters = meters.receiving(Allowance::daily(most, received, day));
    Ok(GrantMeters { organization_id: OrganizationId::from_uuid(organization), plan, meters })
}

/// The meters of a mailbox, as they are committed.
pub async fn of_grant(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    grant: GrantId,
    day: UtcDay,
) -> Result<Option<GrantMeters>, StoreError> {
    let values = params![application.uuid(), grant.uuid(), day.month().number(), day.number()];
    let Some(row) = reader.query_one(OF_GRANT, values).await? else { return Ok(None) };
    let plan = reader.plan(row.str(1)?)?;
    Ok(Some(read_of_grant(&row, &Tally::default(), plan, grant, day)?))
}

/// The meters by which something is judged that a mailbox, which is locked, is to take or keep.
pub(crate) async fn judge(
    tx: &mut Tx,
    application: ApplicationId,
    grant: GrantId,
    at: UnixMicros,
) -> Result<Option<GrantMeters>, DbError> {
    let day = at.day();
    let values = params![application.uuid(), grant.uuid(), day.month().number(), day.number()];
    let Some(row) = tx.query_one(OF_GRANT, values).await? else { return Ok(None) };
    let plan = tx.plan(row.str(1)?)?;
    Ok(Some(read_of_grant(&row, tx.tally(), plan, grant, day)?))
}

/// The sends of a mailbox that is removed stay its organization's. Only those of this month and of the one before may
/// still be given back or counted anew.
pub(crate) async fn remove_sender(tx: &mut Tx, owner: Owner, grant: GrantId, at: UnixMicros) -> Result<(), DbError> {
    const SENT: &str = "SELECT day, sent FROM daily_sends WHERE grant_id = $1 AND day >= $2 AND sent > 0 \
        ORDER BY day";
    let since = at.day().month().previous().first_day();
    for row in tx.query(SENT, params![grant.uuid(), since.number()]).await? {
        let month = UtcDay::from_number(row.int(0)?).month();
        tx.tally().remove_sender(owner, month, row.int(1)?);
    }
    Ok(())
}

/// Gives back what a send took that did not happen, on the day on which it was accepted.
pub(crate) async fn give_back(
    tx: &mut Tx,
    application: ApplicationId,
    (grant, message): (GrantId, MessageId),
    blob: BlobId,
    day: UtcDay,
) -> Result<(), DbError> {
    const DAILY: &str = "UPDATE daily_sends SET sent = sent - 1 WHERE grant_id = $1 AND day = $2 AND sent > 0";
    const COST: &str = "SELECT a.organization_id, a.id, b.octets FROM applications a JOIN blobs b ON b.id = $2 \
        WHERE a.id = $1";
    let is_there = drafts::lock(tx, grant).await?;
    tx.execute(DAILY, params![grant.uuid(), day.number()]).await?;
    // Of an application that is gone as well, nobody counts anything.
    let Some(row) = tx.query_one(COST, params![application.uuid(), blob.uuid()]).await? else { return Ok(()) };
    let owner = Owner::read(&row, 0)?;
    tx.tally().count_send(owner, day.month(), -1, row.count(2)?);
    transfers::remove(tx, day, owner.organization, message).await?;
    if !is_there {
        tx.tally().remove_sender(owner, day.month(), -1);
    }
    Ok(())
}

/// What an organization or an application has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Octets kept.
    pub stored: u64,
    /// Messages sent in the month.
    pub sent: u64,
    /// Octets of mail that came in.
    pub octets_in: u64,
    /// Octets of mail that went out.
    pub octets_out: u64,
}

pub(crate) const OF_OWNER: &str =
    "SELECT month, stored, sent, octets_in, octets_out FROM usage WHERE owner_id = $1 AND month IN (0, $2)";

/// What an organization or an application uses, in one month.
pub async fn of_owner(reader: &mut Reader<'_>, owner: Uuid, month: UtcMonth) -> Result<Usage, StoreError> {
    let mut usage = Usage::default();
    for row in reader.query(OF_OWNER, params![owner, month.number()]).await? {
        let count = |column| Ok::<_, DbError>(row.int(column)?.max(0) as u64);
        if row.int(0)? == KEPT {
            usage.stored = count(1)?;
        } else {
            (usage.sent, usage.octets_in, usage.octets_out) = (count(2)?, count(3)?, count(4)?);
        }
    }
    Ok(usage)
}

pub(crate) const SENT_BY_GRANT: &str =
    "SELECT coalesce(CAST(sum(sent) AS {int}), 0) FROM daily_sends WHERE grant_id = $1 AND day >= $2 AND day < $3";

/// What a mailbox has sent in a month.
pub async fn sent_by(reader: &mut Reader<'_>, grant: GrantId, month: UtcMonth) -> Result<u64, StoreError> {
    let values = params![grant.uuid(), month.first_day().number(), month.end().day().number()];
    let row = reader.query_one(SENT_BY_GRANT, values).await?;
    Ok(row.map(|row| row.int(0)).transpose()?.unwrap_or(0).max(0) as u64)
}

/// What one mailbox uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountUsed {
    /// The mailbox.
    pub grant_id: GrantId,
    /// Its address.
    pub email: String,
    /// Octets that it keeps.
    pub stored: u64,
    /// Messages that it has sent in the day.
    pub sent: u64,
    /// Messages that it has got in the day.
    pub received: u64,
}

pub(crate) const OF_ACCOUNTS: &str = "SELECT g.id, g.email, m.storage_octets, s.sent, s.received FROM grants g \
    JOIN mailboxes m ON m.grant_id = g.id LEFT JOIN daily_sends s ON s.grant_id = g.id AND s.day = $1 \
    WHERE g.id > $2 ORDER BY g.id LIMIT $3";

/// What mailboxes use in a day, of all organizations: `limit` of those that come after one, in the order of their ids. These are
/// the counters that they are held against.
pub async fn of_accounts(
    reader: &mut Reader<'_>,
    day: UtcDay,
    after: Option<GrantId>,
    limit: usize,
) -> Result<Vec<AccountUsed>, StoreError> {
    let after = after.map_or(Uuid::nil(), GrantId::uuid);
    let rows = reader.query(OF_ACCOUNTS, params![day.number(), after, limit as i64]).await?;
    let read = rows.iter().map(|row| {
        let count = |column| Ok::<_, DbError>(row.opt_int(column)?.unwrap_or(0).max(0) as u64);
        let (grant_id, email) = (GrantId::from_uuid(row.uuid(0)?), row.text(1)?);
        Ok(AccountUsed { grant_id, email, stored: count(2)?, sent: count(3)?, received: count(4)? })
    });
    Ok(read.collect::<Result<_, DbError>>()?)
}
