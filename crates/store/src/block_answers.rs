//! What block lists say of domains and of the addresses from which their mail leaves: when to ask, what is remembered, and
//! who is told of a new entry.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::NewEvent;
use crate::params;
use postfleet_core::block_list::{Known, Verdict, after};
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, DomainId, EventId, GrantId, OrganizationId, WorkspaceId};
use postfleet_core::{Domain, UnixMicros};
use serde_json::json;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// Applications of an organization that are told of a new entry.
const TOLD_MAX: i64 = 100;

/// What a list is remembered to say of something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// The list.
    pub zone: String,
    /// The address, or the name.
    pub subject: String,
    /// What it says.
    pub known: Known,
    /// When it was asked last.
    pub asked_at: UnixMicros,
}

/// Takes domains that are due, so that no other node asks for them meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct ClaimBlockChecks {
    /// The present.
    pub now: UnixMicros,
    /// When they are due again if nothing comes of it.
    pub until: UnixMicros,
    /// How many at most.
    pub limit: usize,
}

macro_rules! due {
    () => {
        "SELECT id FROM domains WHERE blocks_at <= $1 ORDER BY blocks_at LIMIT $2"
    };
}

#[cfg(test)]
pub(crate) const DUE: &str = due!();

impl Command for ClaimBlockChecks {
    /// The domains, with their organizations and names.
    type Outcome = Vec<(OrganizationId, DomainId, Domain)>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Outcome, DbError> {
        const CLAIM: &str = concat!(
            "UPDATE domains SET blocks_at = $3 WHERE id IN (",
            due!(),
            " {skip_locked}) RETURNING organization_id, id, name"
        );
        let values = params![self.now.as_micros(), self.limit as i64, self.until.as_micros()];
        let read = |row: &Row| {
            let name = Domain::parse(row.str(2)?).map_err(|_| DbError::Malformed("domain"))?;
            Ok((OrganizationId::from_uuid(row.uuid(0)?), DomainId::from_uuid(row.uuid(1)?), name))
        };
        tx.query(CLAIM, values).await?.iter().map(read).collect()
    }
}

/// What a list said of something just now.
#[derive(Clone, Debug)]
pub struct Said {
    /// The list.
    pub zone: String,
    /// The address, or the name.
    pub subject: String,
    /// What it says.
    pub verdict: Verdict,
}

/// Remembers what lists said for a domain. What was not asked this time is forgotten.
#[derive(Clone, Debug)]
pub struct RecordBlockAnswers {
    /// Whose domain it is.
    pub organization_id: OrganizationId,
    /// The domain.
    pub id: DomainId,
    /// What the lists said.
    pub said: Vec<Said>,
    /// When they are asked again.
    pub next_at: UnixMicros,
    /// The present.
    pub at: UnixMicros,
}

impl Command for RecordBlockAnswers {
    /// What is on a list since now, and was not before.
    type Outcome = Vec<Remembered>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Remembered>, DbError> {
        const LOCK: &str = "SELECT name FROM domains WHERE id = $1 AND organization_id = $2 {lock}";
        const NEXT: &str = "UPDATE domains SET blocks_at = $2 WHERE id = $1";
        let (id, organization) = (self.id.uuid(), self.organization_id.uuid());
        let Some(row) = tx.query_one(LOCK, params![id, organization]).await? else { return Ok(Vec::new()) };
        let name = row.text(0)?;
        tx.execute(NEXT, params![id, self.next_at.as_micros()]).await?;
        let rows = tx.query(OF_DOMAIN, params![id]).await?;
        let before: Vec<Remembered> = rows.iter().map(read).collect::<Result<_, _>>()?;
        self.forget(tx, &before).await?;
        let mut hits = Vec::new();
        for said in &self.said {
            let old = before.iter().find(|old| is_about(old, said)).map(|old| old.known.clone()).unwrap_or_default();
            let known = after(&old, &said.verdict, self.at);
            let (zone, subject) = (said.zone.clone(), said.subject.clone());
            let new = Remembered { zone, subject, known, asked_at: self.at };
            self.write(tx, &new).await?;
            if new.known.is_listed() && !old.is_listed() {
                hits.push(new);
            }
        }
        for hit in &hits {
            self.tell(tx, &name, hit).await?;
        }
        Ok(hits)
    }
}

fn is_about(known: &Remembered, said: &Said) -> bool {
    (&known.zone, &known.subject) == (&said.zone, &said.subject)
}

impl RecordBlockAnswers {
    async fn forget(&self, tx: &mut Tx, before: &[Remembered]) -> Result<(), DbError> {
        const FORGET: &str = "DELETE FROM block_answers WHERE domain_id = $1 AND zone = $2 AND subject = $3";
        for old in before.iter().filter(|old| !self.said.iter().any(|said| is_about(old, said))) {
            tx.execute(FORGET, params![self.id.uuid(), &old.zone, &old.subject]).await?;
        }
        Ok(())
    }

    async fn write(&self, tx: &mut Tx, new: &Remembered) -> Result<(), DbError> {
        const WRITE: &str = "INSERT INTO block_answers (domain_id, zone, subject, codes, reason, since, answered_at, \
            asked_at, failures, failure) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
            ON CONFLICT (domain_id, zone, subject) DO UPDATE SET codes = excluded.codes, reason = excluded.reason, \
            since = excluded.since, answered_at = excluded.answered_at, asked_at = excluded.asked_at, \
            failures = excluded.failures, failure = excluded.failure";
        let micros = |time: Option<UnixMicros>| time.map(UnixMicros::as_micros);
        let codes = codes_as_json(&new.known.codes);
        let values = params![
            self.id.uuid(),
            &new.zone,
            &new.subject,
            &codes,
            &new.known.reason,
            micros(new.known.since),
            micros(new.known.answered_at),
            new.asked_at.as_micros(),
            i64::from(new.known.failures),
            &new.known.failure
        ];
        tx.execute(WRITE, values).await?;
        Ok(())
    }

    /// Tells every application of the organization: the domain belongs to all of them.
    async fn tell(&self, tx: &mut Tx, domain: &str, hit: &Remembered) -> Result<(), DbError> {
        let rows = tx.query(APPLICATIONS, params![self.organization_id.uuid(), TOLD_MAX]).await?;
        for row in &rows {
            let application = row.uuid(0)?;
            let mut hasher = blake3::Hasher::new();
            for part in [self.id.uuid().as_bytes(), application.as_bytes(), &self.at.as_micros().to_be_bytes()[..]] {
                hasher.update(part);
            }
            hasher.update(hit.zone.as_bytes()).update(b" ").update(hit.subject.as_bytes());
            let mut ten = [0; 10];
            ten.copy_from_slice(&hasher.finalize().as_bytes()[..10]);
            tx.announce(NewEvent {
                id: EventId::new(self.at, ten),
                application_id: ApplicationId::from_uuid(application),
                grant_id: GrantId::from_uuid(Uuid::nil()),
                grant_sequence: 0,
                trigger: Trigger::DomainEndangered,
                message_id: None,
                data: facts(domain, hit).to_string(),
                at: self.at,
            });
        }
        Ok(())
    }
}

fn facts(domain: &str, hit: &Remembered) -> serde_json::Value {
    let Known { codes, reason, since, .. } = &hit.known;
    let codes: Vec<String> = codes.iter().map(Ipv4Addr::to_string).collect();
    let said = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    json!({
        "object": "domain",
        "domain": domain,
        "grant_id": "",
        "danger": "block_list",
        "zone": hit.zone,
        "subject": hit.subject,
        "codes": codes,
        "since": since.map(UnixMicros::as_seconds),
        "reason": format!("{} is on the block list {} ({}){said}", hit.subject, hit.zone, codes.join(", ")),
    })
}

pub(crate) const APPLICATIONS: &str = "SELECT id FROM applications WHERE organization_id = $1 ORDER BY id LIMIT $2";

pub(crate) const OF_DOMAIN: &str = "SELECT zone, subject, codes, reason, since, answered_at, asked_at, failures, failure \
    FROM block_answers WHERE domain_id = $1 ORDER BY zone, subject";

fn codes_as_json(codes: &[Ipv4Addr]) -> String {
    json!(codes.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>()).to_string()
}

fn read(row: &Row) -> Result<Remembered, DbError> {
    let time = |value: Option<i64>| value.map(UnixMicros::from_micros);
    let codes: Vec<String> = serde_json::from_str(row.str(2)?).map_err(|_| DbError::Malformed("codes"))?;
    Ok(Remembered {
        zone: row.text(0)?,
        subject: row.text(1)?,
        known: Known {
            codes: codes.iter().filter_map(|code| code.parse().ok()).collect(),
            reason: row.text(3)?,
            since: time(row.opt_int(4)?),
            answered_at: time(row.opt_int(5)?),
            failures: u32::try_from(row.int(7)?).map_err(|_| DbError::Malformed("failures"))?,
            failure: row.text(8)?,
        },
        asked_at: UnixMicros::from_micros(row.int(6)?),
    })
}

/// What the lists are remembered to say of a domain, by list.
pub async fn of_domain(reader: &mut Reader<'_>, id: DomainId) -> Result<Vec<Remembered>, StoreError> {
    let rows = reader.query(OF_DOMAIN, params![id.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Whether a workspace is one of the organization's.
pub async fn has_workspace(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    workspace: WorkspaceId,
) -> Result<bool, StoreError> {
    const FIND: &str = "SELECT 1 FROM workspaces AS w JOIN applications AS a ON a.id = w.application_id \
        WHERE w.id = $1 AND a.organization_id = $2";
    Ok(reader.query_one(FIND, params![workspace.uuid(), organization.uuid()]).await?.is_some())
}
