//! How encryption of connections to other servers went, counted by UTC day: what reports about TLS are made of (RFC 8460).

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UtcDay;

/// Rows of one domain and day that a report is made of. There are more only if somebody has very many servers.
pub const ROWS_MAX: usize = 10_000;

/// Connections that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sessions {
    /// The domain whose policy it was: that of the recipients.
    pub policy_domain: String,
    /// `tlsa`, `sts` or `no-policy-found`.
    pub policy_type: String,
    /// The policy line by line, as a JSON list of texts.
    pub policy: String,
    /// The servers that the policy names, as a JSON list of texts.
    pub mx_hosts: String,
    /// What was wrong, in the words of RFC 8460 §4.3; empty if nothing was.
    pub result: String,
    /// Our address; empty if there was no connection.
    pub sending_address: String,
    /// The name of the server; empty if none was chosen.
    pub receiving_host: String,
    /// Its address; empty if there was no connection.
    pub receiving_address: String,
}

impl Sessions {
    /// What the row is found by.
    fn key(&self, day: UtcDay) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&day.number().to_be_bytes());
        for part in [
            &self.policy_domain,
            &self.policy_type,
            &self.policy,
            &self.mx_hosts,
            &self.result,
            &self.sending_address,
            &self.receiving_host,
            &self.receiving_address,
        ] {
            // With the length, so that no part can pass for the end of the one before.
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

/// How many there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// On which day.
    pub day: UtcDay,
    /// Of which kind.
    pub sessions: Sessions,
    /// What was wrong, in somebody's words: those of one of them.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Adds counts to those of the day. Not more than a few hundred at once.
#[derive(Clone, Debug)]
pub struct CountSessions {
    /// What is added.
    pub counts: Vec<Count>,
}

impl Command for CountSessions {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const ADD: &str = "INSERT INTO tls_sessions (key, day, policy_domain, policy_type, policy, mx_hosts, result, \
            sending_address, receiving_host, receiving_address, reason, sessions) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
            ON CONFLICT (key) DO UPDATE SET sessions = tls_sessions.sessions + EXCLUDED.sessions";
        let mut counts: Vec<([u8; 32], &Count)> =
            self.counts.iter().map(|count| (count.sessions.key(count.day), count)).collect();
        // In one order, so that nodes that count at the same time do not wait for each other in a circle.
        counts.sort_by_key(|(key, _)| *key);
        for (key, count) in counts {
            let sessions = &count.sessions;
            let values = params![
                key.as_slice(),
                count.day.number(),
                &sessions.policy_domain,
                &sessions.policy_type,
                &sessions.policy,
                &sessions.mx_hosts,
                &sessions.result,
                &sessions.sending_address,
                &sessions.receiving_host,
                &sessions.receiving_address,
                &count.reason,
                count.count as i64
            ];
            tx.execute(ADD, values).await?;
        }
        Ok(())
    }
}

pub(crate) const DOMAINS: &str = "SELECT policy_domain FROM tls_sessions WHERE day = $1 AND policy_domain > $2 \
    GROUP BY policy_domain ORDER BY policy_domain LIMIT $3";

/// The domains of a day after `after`, in the order of their names.
pub async fn domains(
    reader: &mut Reader<'_>,
    day: UtcDay,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let rows = reader.query(DOMAINS, params![day.number(), after, limit as i64]).await?;
    Ok(rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?)
}

pub(crate) const OF_DOMAIN: &str = "SELECT policy_type, policy, mx_hosts, result, sending_address, receiving_host, \
    receiving_address, reason, sessions FROM tls_sessions WHERE day = $1 AND policy_domain = $2 ORDER BY key LIMIT $3";

/// What was counted for a domain on a day, at most [`ROWS_MAX`] rows.
pub async fn of_domain(reader: &mut Reader<'_>, day: UtcDay, domain: &str) -> Result<Vec<Count>, StoreError> {
    let rows = reader.query(OF_DOMAIN, params![day.number(), domain, ROWS_MAX as i64]).await?;
    Ok(rows.iter().map(|row| read(row, day, domain)).collect::<Result<_, _>>()?)
}

fn read(row: &Row, day: UtcDay, domain: &str) -> Result<Count, DbError> {
    Ok(Count {
        day,
        sessions: Sessions {
            policy_domain: domain.to_owned(),
            policy_type: row.text(0)?,
            policy: row.text(1)?,
            mx_hosts: row.text(2)?,
            result: row.text(3)?,
            sending_address: row.text(4)?,
            receiving_host: row.text(5)?,
            receiving_address: row.text(6)?,
        },
        reason: row.text(7)?,
        count: row.count(8)?,
    })
}

/// Forgets counts of days before `before`.
#[derive(Clone, Copy, Debug)]
pub struct PruneSessions {
    /// The first day that is kept.
    pub before: UtcDay,
    /// Rows at once.
    pub limit: usize,
}

impl Command for PruneSessions {
    /// How many were forgotten.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const PRUNE: &str = "DELETE FROM tls_sessions WHERE key IN \
            (SELECT key FROM tls_sessions WHERE day < $1 ORDER BY day LIMIT $2)";
        tx.execute(PRUNE, params![self.before.number(), self.limit as i64]).await
    }
}
