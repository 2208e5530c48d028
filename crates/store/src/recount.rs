//! Counting anew what an organization uses, from the rows themselves, beside the counters that stop senders.
//!
//! Counters and rows are read as they were at one moment, so that whatever is sent meanwhile, they agree to the last
//! octet unless something is wrong. It is read a page at a time, and nobody waits for it. A repair adds the difference,
//! which is the same however much was sent since (docs/adr/0030).

pub(crate) mod repair;

pub use repair::{ClaimRecount, Repair, SaveRecount};

use crate::db::{DbError, Row};
use crate::engine::{Reader, Store};
use crate::error::StoreError;
use crate::params;
use postfleet_core::folder::{SCHEDULED, SystemFolder};
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId};
use postfleet_core::{UnixMicros, UtcDay, UtcMonth};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Mailboxes that one statement counts.
const MAILBOXES: usize = 50;

/// Rows of `transfers` that one statement reads.
const TRANSFERS: usize = 2_000;

/// Days of two months at most.
const DAYS: usize = 62;

/// Whose counter it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// An organization's.
    Organization(OrganizationId),
    /// An application's.
    Application(ApplicationId),
    /// A mailbox's.
    Grant(GrantId),
}

/// Which counter it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Counter {
    /// Mailboxes that there are.
    Accounts,
    /// Octets kept.
    Storage,
    /// Messages sent on a day.
    DailySends(UtcDay),
    /// Messages received on a day.
    DailyReceived(UtcDay),
    /// Messages sent in a month.
    MonthlySends(UtcMonth),
    /// Those of them that mailboxes sent which are gone.
    SendsOfRemoved(UtcMonth),
    /// Octets of mail that came in in a month.
    OctetsIn(UtcMonth),
    /// Octets of mail that went out in a month.
    OctetsOut(UtcMonth),
}

impl Counter {
    /// The names of all.
    pub const NAMES: &[&str] = &[
        "accounts",
        "storage",
        "daily_sends",
        "daily_received",
        "monthly_sends",
        "monthly_sends_of_removed",
        "monthly_bytes_in",
        "monthly_bytes_out",
    ];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        let place = match self {
            Self::Accounts => 0,
            Self::Storage => 1,
            Self::DailySends(_) => 2,
            Self::DailyReceived(_) => 3,
            Self::MonthlySends(_) => 4,
            Self::SendsOfRemoved(_) => 5,
            Self::OctetsIn(_) => 6,
            Self::OctetsOut(_) => 7,
        };
        Self::NAMES[place]
    }

    /// The day or the month that it is of.
    pub fn period(self) -> Option<String> {
        match self {
            Self::Accounts | Self::Storage => None,
            Self::DailySends(day) | Self::DailyReceived(day) => Some(day.to_string()),
            Self::MonthlySends(month)
            | Self::SendsOfRemoved(month)
            | Self::OctetsIn(month)
            | Self::OctetsOut(month) => Some(month.to_string()),
        }
    }
}

/// A counter that is not what the rows say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Drift {
    /// Whose.
    pub subject: Subject,
    /// Which.
    pub counter: Counter,
    /// What the counter says.
    pub counted: i64,
    /// What the rows say.
    pub recounted: i64,
}

/// What was counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recount {
    /// Whose.
    pub organization_id: OrganizationId,
    /// How often it had been repaired before.
    pub repairs: i64,
    /// Mailboxes that were looked at.
    pub mailboxes: u64,
    /// Rows of sent and received messages that were read.
    pub transfers: u64,
    /// Counters that were compared.
    pub counters: u64,
    /// Those that are wrong.
    pub drift: Vec<Drift>,
}

/// Counts anew what an organization uses, of this month and the one before; `None` if there is none.
pub async fn of_organization(
    store: &Store,
    id: OrganizationId,
    now: UnixMicros,
) -> Result<Option<Recount>, StoreError> {
    const ORGANIZATION: &str = "SELECT grant_count, repairs FROM organizations WHERE id = $1";
    let mut reader = store.reader().await?;
    reader.freeze().await?;
    let Some(row) = reader.query_one(ORGANIZATION, params![id.uuid()]).await? else { return Ok(None) };
    let this = now.day().month();
    let mut count = Count::new(id, [this.previous(), this]);
    count.recount.repairs = row.int(1)?;
    count.read_transfers(&mut reader).await?;
    let mut applications = Vec::new();
    while let Some(next) = next_application(&mut reader, id, applications.last().copied()).await? {
        count.read_mailboxes(&mut reader, next).await?;
        applications.push(next);
    }
    count.close_removed();
    let subject = Subject::Organization(id);
    let mailboxes = count.recount.mailboxes as i64;
    count.compare(subject, Counter::Accounts, row.int(0)?, mailboxes);
    count.compare_usage(&mut reader, subject, id.uuid()).await?;
    for application in applications {
        count.compare_usage(&mut reader, Subject::Application(application), application.uuid()).await?;
    }
    reader.thaw().await?;
    count.recount.drift.sort();
    Ok(Some(count.recount))
}

pub(crate) const APPLICATION: &str =
    "SELECT id FROM applications WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT 1";
pub(crate) const TRANSFERRED: &str = "SELECT message_id, application_id, grant_id, outgoing, octets, application_octets \
    FROM transfers WHERE day = $1 AND organization_id = $2 AND message_id > $3 ORDER BY message_id LIMIT $4";
// All that a mailbox keeps is in the listing of the whole mailbox, but for what is not sent yet.
pub(crate) const KEPT: &str = "SELECT g.id, b.storage_octets, (SELECT coalesce(CAST(sum(m.octets) AS {int}), 0) \
    FROM listings l JOIN messages m ON m.id = l.message_id \
    WHERE l.grant_id = g.id AND l.folder IN ('', $4, $5) AND (l.folder = '' OR m.draft = 1)) \
    FROM grants g JOIN mailboxes b ON b.grant_id = g.id \
    WHERE g.application_id = $1 AND g.id > $2 ORDER BY g.id LIMIT $3";
pub(crate) const SENT: &str = "SELECT s.grant_id, s.day, s.sent, s.received FROM grants g CROSS JOIN daily_sends s \
    WHERE g.application_id = $1 AND g.id > $2 AND g.id <= $3 AND s.grant_id = g.id AND s.day >= $4 AND s.day < $5";
pub(crate) const USED: &str = "SELECT month, stored, sent, sent_by_removed, octets_in, octets_out FROM usage \
    WHERE owner_id = $1 AND month IN (0, $2, $3)";

async fn next_application(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    after: Option<ApplicationId>,
) -> Result<Option<ApplicationId>, StoreError> {
    let after = after.map_or_else(Uuid::nil, ApplicationId::uuid);
    let row = reader.query_one(APPLICATION, params![organization.uuid(), after]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(ApplicationId::from_uuid))
}

/// What the rows say of an organization or an application in a month.
#[derive(Clone, Copy, Default)]
struct Month {
    sent: i64,
    sent_by_removed: i64,
    octets_in: i64,
    octets_out: i64,
}

/// What the rows say of an organization or an application.
#[derive(Clone, Copy, Default)]
struct Total {
    stored: i64,
    months: [Month; 2],
}

/// What was counted of mailboxes on days: sent and received.
type Counted = BTreeMap<(Uuid, i64), [i64; 2]>;

/// What a mailbox sent and received, by day.
struct Daily {
    application: Uuid,
    sent: [u32; DAYS],
    received: [u32; DAYS],
}

/// A count on its way.
struct Count {
    recount: Recount,
    months: [UtcMonth; 2],
    totals: HashMap<Uuid, Total>,
    daily: HashMap<Uuid, Daily>,
}

impl Count {
    fn new(organization_id: OrganizationId, months: [UtcMonth; 2]) -> Self {
        let recount =
            Recount { organization_id, repairs: 0, mailboxes: 0, transfers: 0, counters: 0, drift: Vec::new() };
        Self { recount, months, totals: HashMap::new(), daily: HashMap::new() }
    }

    fn first_day(&self) -> i64 {
        self.months[0].first_day().number()
    }

    fn end_day(&self) -> i64 {
        self.months[1].end().day().number()
    }

    /// In which of the two months a day is.
    fn place(&self, day: i64) -> usize {
        usize::from(day >= self.months[1].first_day().number())
    }

    /// Adds up what was sent and what came in.
    async fn read_transfers(&mut self, reader: &mut Reader<'_>) -> Result<(), StoreError> {
        let organization = self.recount.organization_id.uuid();
        for day in self.first_day()..self.end_day() {
            let mut after = Uuid::nil();
            loop {
                let values = params![day, organization, after, TRANSFERS as i64];
                let rows = reader.query(TRANSFERRED, values).await?;
                for row in &rows {
                    self.add(day, row)?;
                }
                self.recount.transfers += rows.len() as u64;
                // On SQLite nothing else suspends.
                tokio::task::yield_now().await;
                match rows.last() {
                    Some(last) if rows.len() == TRANSFERS => after = last.uuid(0)?,
                    _ => break,
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, day: i64, row: &Row) -> Result<(), DbError> {
        let (place, since) = (self.place(day), (day - self.first_day()) as usize);
        let (application, grant, is_outgoing) = (row.uuid(1)?, row.uuid(2)?, row.flag(3)?);
        let octets = [(self.recount.organization_id.uuid(), row.int(4)?), (application, row.int(5)?)];
        for (owner, octets) in octets {
            let month = &mut self.totals.entry(owner).or_default().months[place];
            if is_outgoing {
                month.sent += 1;
                month.octets_out += octets;
            } else {
                month.octets_in += octets;
            }
        }
        let new = Daily { application, sent: [0; DAYS], received: [0; DAYS] };
        let daily = self.daily.entry(grant).or_insert(new);
        let days = if is_outgoing { &mut daily.sent } else { &mut daily.received };
        if let Some(day) = days.get_mut(since) {
            *day += 1;
        }
        Ok(())
    }

    /// Compares the counters of an application's mailboxes, and adds up what they keep.
    async fn read_mailboxes(&mut self, reader: &mut Reader<'_>, application: ApplicationId) -> Result<(), StoreError> {
        let mut after = Uuid::nil();
        loop {
            let (drafts, limit) = (SystemFolder::Drafts.id(), MAILBOXES as i64);
            let rows = reader.query(KEPT, params![application.uuid(), after, limit, drafts, SCHEDULED]).await?;
            let Some(last) = rows.last().map(|row| row.uuid(0)).transpose()? else { return Ok(()) };
            let span = params![application.uuid(), after, last, self.first_day(), self.end_day()];
            let mut counted: Counted = BTreeMap::new();
            for row in reader.query(SENT, span).await? {
                counted.insert((row.uuid(0)?, row.int(1)?), [row.int(2)?, row.int(3)?]);
            }
            for row in &rows {
                let (grant, kept) = (row.uuid(0)?, row.int(2)?);
                self.compare(Subject::Grant(GrantId::from_uuid(grant)), Counter::Storage, row.int(1)?, kept);
                for owner in [self.recount.organization_id.uuid(), application.uuid()] {
                    self.totals.entry(owner).or_default().stored += kept;
                }
                self.compare_days(grant, &counted);
            }
            self.recount.mailboxes += rows.len() as u64;
            tokio::task::yield_now().await;
            after = last;
        }
    }

    /// Compares what a mailbox sent and received on each day.
    fn compare_days(&mut self, grant: Uuid, counted: &Counted) {
        let none = ([0; DAYS], [0; DAYS]);
        let (sent, received) = self.daily.remove(&grant).map_or(none, |daily| (daily.sent, daily.received));
        let subject = Subject::Grant(GrantId::from_uuid(grant));
        for ((day, sent), received) in (self.first_day()..self.end_day()).zip(sent).zip(received) {
            let counted = counted.get(&(grant, day)).copied().unwrap_or_default();
            let day = UtcDay::from_number(day);
            self.compare(subject, Counter::DailySends(day), counted[0], i64::from(sent));
            self.compare(subject, Counter::DailyReceived(day), counted[1], i64::from(received));
        }
    }

    /// Who is left is gone.
    fn close_removed(&mut self) {
        for daily in std::mem::take(&mut self.daily).into_values() {
            for (day, sent) in (self.first_day()..self.end_day()).zip(daily.sent) {
                let place = self.place(day);
                for owner in [self.recount.organization_id.uuid(), daily.application] {
                    self.totals.entry(owner).or_default().months[place].sent_by_removed += i64::from(sent);
                }
            }
        }
    }

    /// Compares the counters of an organization or an application.
    async fn compare_usage(
        &mut self,
        reader: &mut Reader<'_>,
        subject: Subject,
        owner: Uuid,
    ) -> Result<(), StoreError> {
        let [before, this] = self.months;
        let (mut stored, mut months) = (0, [[0; 4]; 2]);
        for row in reader.query(USED, params![owner, before.number(), this.number()]).await? {
            match row.int(0)? {
                0 => stored = row.int(1)?,
                month => {
                    months[usize::from(month == this.number())] = [row.int(2)?, row.int(3)?, row.int(4)?, row.int(5)?];
                }
            }
        }
        let total = self.totals.get(&owner).copied().unwrap_or_default();
        self.compare(subject, Counter::Storage, stored, total.stored);
        for ((month, counted), rows) in self.months.into_iter().zip(months).zip(total.months) {
            let [sent, sent_by_removed, octets_in, octets_out] = counted;
            self.compare(subject, Counter::MonthlySends(month), sent, rows.sent);
            self.compare(subject, Counter::SendsOfRemoved(month), sent_by_removed, rows.sent_by_removed);
            self.compare(subject, Counter::OctetsIn(month), octets_in, rows.octets_in);
            self.compare(subject, Counter::OctetsOut(month), octets_out, rows.octets_out);
        }
        Ok(())
    }

    fn compare(&mut self, subject: Subject, counter: Counter, counted: i64, recounted: i64) {
        self.recount.counters += 1;
        if counted != recounted {
            self.recount.drift.push(Drift { subject, counter, counted, recounted });
        }
    }
}

/// What was found when an organization was counted anew the last time, as it was saved; `None` if it never was. The
/// outer `None`: there is no such organization.
pub async fn last(reader: &mut Reader<'_>, id: OrganizationId) -> Result<Option<Option<String>>, StoreError> {
    const LAST: &str = "SELECT recounted FROM organizations WHERE id = $1";
    let row = reader.query_one(LAST, params![id.uuid()]).await?;
    Ok(row.map(|row| row.opt_text(0)).transpose()?)
}

pub(crate) const ADRIFT: &str =
    "SELECT recounted FROM organizations WHERE recount_drift > 0 AND id > $1 ORDER BY id LIMIT $2";

/// What was found of those organizations in which something is wrong, of no more than `limit`.
pub async fn adrift(reader: &mut Reader<'_>, limit: usize) -> Result<Vec<String>, StoreError> {
    let rows = reader.query(ADRIFT, params![Uuid::nil(), limit as i64]).await?;
    let texts = rows.iter().map(|row| Ok(row.opt_text(0)?.unwrap_or_default()));
    Ok(texts.collect::<Result<_, DbError>>()?)
}
