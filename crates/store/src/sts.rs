//! MTA-STS policies of other domains: kept until they end, so that neither a restart nor a failed fetch takes away what
//! a domain has asked for (RFC 8461 §3.3).

use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::{Domain, UnixMicros};

/// What is kept of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The id under which the policy was announced.
    pub policy_id: String,
    /// The policy as it was served; empty if none ever was.
    pub policy: String,
    /// When it was fetched.
    pub fetched_at: UnixMicros,
    /// From when on it no longer holds.
    pub expires_at: UnixMicros,
    /// When it was last used, as far as that was noted.
    pub used_at: UnixMicros,
    /// When it was last tried to fetch it.
    pub tried_at: UnixMicros,
    /// Under which id.
    pub tried_id: String,
    /// What was wrong then; empty if nothing was.
    pub failure: String,
}

/// Finds what is kept of a domain.
pub async fn find(reader: &mut Reader<'_>, domain: &Domain) -> Result<Option<Kept>, StoreError> {
    const FIND: &str = "SELECT policy_id, policy, fetched_at, expires_at, used_at, tried_at, tried_id, failure \
        FROM sts_policies WHERE domain = $1";
    let Some(row) = reader.query_one(FIND, params![domain.as_str()]).await? else { return Ok(None) };
    let time = |column| row.int(column).map(UnixMicros::from_micros);
    Ok(Some(Kept {
        policy_id: row.text(0)?,
        policy: row.text(1)?,
        fetched_at: time(2)?,
        expires_at: time(3)?,
        used_at: time(4)?,
        tried_at: time(5)?,
        tried_id: row.text(6)?,
        failure: row.text(7)?,
    }))
}

/// Keeps a policy that was fetched. One that was fetched later, on another node, stays.
#[derive(Clone, Debug)]
pub struct KeepPolicy {
    /// Whose it is.
    pub domain: Domain,
    /// The id under which it is announced.
    pub policy_id: String,
    /// As it was served.
    pub policy: String,
    /// From when on it no longer holds.
    pub expires_at: UnixMicros,
    /// Whether mail wants it now; else it is fetched ahead of time.
    pub is_used: bool,
    /// When it was fetched.
    pub at: UnixMicros,
}

impl Command for KeepPolicy {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const KEEP: &str = "INSERT INTO sts_policies \
            (domain, policy_id, policy, fetched_at, expires_at, used_at, tried_at, tried_id, failure) \
            VALUES ($1, $2, $3, $4, $5, $6, $4, $2, '') ON CONFLICT (domain) DO UPDATE SET \
            policy_id = EXCLUDED.policy_id, policy = EXCLUDED.policy, fetched_at = EXCLUDED.fetched_at, \
            expires_at = EXCLUDED.expires_at, tried_at = EXCLUDED.tried_at, tried_id = EXCLUDED.tried_id, failure = '', \
            used_at = CASE WHEN EXCLUDED.used_at > sts_policies.used_at THEN EXCLUDED.used_at \
            ELSE sts_policies.used_at END WHERE sts_policies.fetched_at <= EXCLUDED.fetched_at";
        let used_at = if self.is_used { self.at } else { UnixMicros::default() };
        let values = params![
            self.domain.as_str(),
            &self.policy_id,
            &self.policy,
            self.at.as_micros(),
            self.expires_at.as_micros(),
            used_at.as_micros()
        ];
        tx.execute(KEEP, values).await?;
        Ok(())
    }
}

/// Notes that a policy could not be fetched. The one that is kept stays.
#[derive(Clone, Debug)]
pub struct NoteFailedFetch {
    /// Whose.
    pub domain: Domain,
    /// The id under which it is announced.
    pub policy_id: String,
    /// What was wrong.
    pub failure: String,
    /// When.
    pub at: UnixMicros,
}

impl Command for NoteFailedFetch {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const NOTE: &str = "INSERT INTO sts_policies \
            (domain, policy_id, policy, fetched_at, expires_at, used_at, tried_at, tried_id, failure) \
            VALUES ($1, '', '', 0, 0, 0, $2, $3, $4) ON CONFLICT (domain) DO UPDATE SET \
            tried_at = EXCLUDED.tried_at, tried_id = EXCLUDED.tried_id, failure = EXCLUDED.failure \
            WHERE sts_policies.tried_at <= EXCLUDED.tried_at";
        let values = params![self.domain.as_str(), self.at.as_micros(), &self.policy_id, &self.failure];
        tx.execute(NOTE, values).await?;
        Ok(())
    }
}

/// Notes that a policy was used.
#[derive(Clone, Debug)]
pub struct NoteUse {
    /// Whose.
    pub domain: Domain,
    /// When.
    pub at: UnixMicros,
}

impl Command for NoteUse {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const NOTE: &str = "UPDATE sts_policies SET used_at = $2 WHERE domain = $1 AND used_at < $2";
        tx.execute(NOTE, params![self.domain.as_str(), self.at.as_micros()]).await?;
        Ok(())
    }
}

/// Policies that hold, were used since they were fetched, and were not tried to fetch for a while.
pub(crate) const DUE: &str = "SELECT domain, policy_id FROM sts_policies \
    WHERE tried_at < $1 AND used_at >= fetched_at AND expires_at > $2 ORDER BY tried_at LIMIT $3";

/// The domains whose policies are to be fetched anew, each with the id of the one that is kept: those in use that nobody
/// has tried to fetch since `tried_before`.
pub async fn due(
    reader: &mut Reader<'_>,
    tried_before: UnixMicros,
    now: UnixMicros,
    limit: usize,
) -> Result<Vec<(Domain, String)>, StoreError> {
    let values = params![tried_before.as_micros(), now.as_micros(), limit as i64];
    let rows = reader.query(DUE, values).await?;
    let read = |row: &crate::db::Row| {
        let domain = Domain::parse(row.str(0)?).map_err(|_| DbError::Malformed("domain"))?;
        Ok((domain, row.text(1)?))
    };
    rows.iter().map(read).collect()
}

/// Forgets policies that no longer hold and that nobody has tried to fetch since `tried_before`.
#[derive(Clone, Copy, Debug)]
pub struct PrunePolicies {
    /// The time.
    pub now: UnixMicros,
    /// Later tries are kept.
    pub tried_before: UnixMicros,
    /// Rows at once.
    pub limit: usize,
}

impl Command for PrunePolicies {
    /// How many were forgotten.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const PRUNE: &str = "DELETE FROM sts_policies WHERE domain IN (SELECT domain FROM sts_policies \
            WHERE tried_at < $1 AND expires_at <= $2 ORDER BY tried_at LIMIT $3) AND tried_at < $1 AND expires_at <= $2";
        tx.execute(PRUNE, params![self.tried_before.as_micros(), self.now.as_micros(), self.limit as i64]).await
    }
}
