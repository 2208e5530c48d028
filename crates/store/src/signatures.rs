//! Signatures of mailboxes.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{GrantId, SignatureId};
use serde_json::json;

/// Signatures of one mailbox. All of them are one answer.
pub const SIGNATURES_MAX: i64 = 10;

/// A signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// Its id.
    pub id: SignatureId,
    /// Whose.
    pub grant_id: GrantId,
    /// What people call it.
    pub name: String,
    /// HTML that was made safe.
    pub body: String,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was changed last.
    pub updated_at: UnixMicros,
}

macro_rules! columns {
    () => {
        "id, grant_id, name, body, created_at, updated_at"
    };
}

pub(crate) const LIST: &str =
    concat!("SELECT ", columns!(), " FROM signatures WHERE grant_id = $1 ORDER BY grant_id, id");
const FIND: &str = concat!("SELECT ", columns!(), " FROM signatures WHERE grant_id = $1 AND id = $2");

/// Removes some of a mailbox that is gone.
pub(crate) const REMOVE: &str = "DELETE FROM signatures WHERE grant_id = $1 AND id IN \
    (SELECT id FROM signatures WHERE grant_id = $1 LIMIT $2)";

fn read(row: &Row) -> Result<Signature, DbError> {
    Ok(Signature {
        id: SignatureId::from_uuid(row.uuid(0)?),
        grant_id: GrantId::from_uuid(row.uuid(1)?),
        name: row.text(2)?,
        body: row.text(3)?,
        created_at: UnixMicros::from_micros(row.int(4)?),
        updated_at: UnixMicros::from_micros(row.int(5)?),
    })
}

/// A mailbox's signatures, oldest first.
pub async fn list(reader: &mut Reader<'_>, grant: GrantId) -> Result<Vec<Signature>, StoreError> {
    let rows = reader.query(LIST, params![grant.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// A signature of a mailbox.
pub async fn find(reader: &mut Reader<'_>, grant: GrantId, id: SignatureId) -> Result<Option<Signature>, StoreError> {
    let row = reader.query_one(FIND, params![grant.uuid(), id.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    [before, after]: [Option<&Signature>; 2],
) -> Result<(), DbError> {
    let text = |signature: Option<&Signature>| {
        signature.map(|signature| {
            let (grant, name, octets) = (signature.grant_id.to_string(), &signature.name, signature.body.len());
            json!({"grant_id": grant, "name": name, "body_octets": octets}).to_string()
        })
    };
    let id = after.or(before).map(|signature| signature.id.to_string()).unwrap_or_default();
    let (before, after) = (text(before), text(after));
    let change =
        Change { action, target_kind: "signature", target_id: &id, before: before.as_deref(), after: after.as_deref() };
    audit::record(tx, act, change).await
}

/// What became of a signature that was to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateOutcome {
    /// It is there.
    Created,
    /// There are as many as there may be.
    TooMany,
    /// The mailbox is gone.
    NoSuchGrant,
}

/// Makes a signature.
#[derive(Clone, Debug)]
pub struct CreateSignature {
    /// Who, and when.
    pub act: Act,
    /// The signature.
    pub signature: Signature,
}

impl Command for CreateSignature {
    type Outcome = CreateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<CreateOutcome, DbError> {
        // Of two that are made at once, the second counts the first.
        const LOCK: &str = "SELECT id FROM grants WHERE id = $1 {lock}";
        const COUNT: &str = "SELECT count(*) FROM signatures WHERE grant_id = $1";
        const INSERT: &str = "INSERT INTO signatures (grant_id, id, name, body, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $5)";
        let Signature { id, grant_id, name, body, created_at, .. } = &self.signature;
        if tx.query_one(LOCK, params![grant_id.uuid()]).await?.is_none() {
            return Ok(CreateOutcome::NoSuchGrant);
        }
        let count = tx.query_one(COUNT, params![grant_id.uuid()]).await?.map_or(Ok(0), |row| row.int(0))?;
        if count >= SIGNATURES_MAX {
            return Ok(CreateOutcome::TooMany);
        }
        tx.execute(INSERT, params![grant_id.uuid(), id.uuid(), name, body, created_at.as_micros()]).await?;
        record(tx, &self.act, "signature.created", [None, Some(&self.signature)]).await?;
        Ok(CreateOutcome::Created)
    }
}

/// Changes a signature; what is none stays.
#[derive(Clone, Debug)]
pub struct UpdateSignature {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub grant_id: GrantId,
    /// Which.
    pub id: SignatureId,
    /// What people call it.
    pub name: Option<String>,
    /// HTML that was made safe.
    pub body: Option<String>,
}

impl Command for UpdateSignature {
    /// The signature as it is now; none if there is none.
    type Outcome = Option<Signature>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Signature>, DbError> {
        const LOCKED: &str = concat!("SELECT ", columns!(), " FROM signatures WHERE grant_id = $1 AND id = $2 {lock}");
        const UPDATE: &str =
            "UPDATE signatures SET name = $3, body = $4, updated_at = $5 WHERE grant_id = $1 AND id = $2";
        let key = params![self.grant_id.uuid(), self.id.uuid()];
        let row = tx.query_one(LOCKED, key).await?;
        let Some(before) = row.as_ref().map(read).transpose()? else { return Ok(None) };
        let name = self.name.clone().unwrap_or_else(|| before.name.clone());
        let body = self.body.clone().unwrap_or_else(|| before.body.clone());
        let after = Signature { name, body, updated_at: self.act.at, ..before.clone() };
        if (&after.name, &after.body) == (&before.name, &before.body) {
            return Ok(Some(before));
        }
        let values =
            params![self.grant_id.uuid(), self.id.uuid(), &after.name, &after.body, after.updated_at.as_micros()];
        tx.execute(UPDATE, values).await?;
        record(tx, &self.act, "signature.updated", [Some(&before), Some(&after)]).await?;
        Ok(Some(after))
    }
}

/// Removes a signature.
#[derive(Clone, Debug)]
pub struct RemoveSignature {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub grant_id: GrantId,
    /// Which.
    pub id: SignatureId,
}

impl Command for RemoveSignature {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = concat!("DELETE FROM signatures WHERE grant_id = $1 AND id = $2 RETURNING ", columns!());
        let row = tx.query_one(REMOVE, params![self.grant_id.uuid(), self.id.uuid()]).await?;
        let Some(old) = row.as_ref().map(read).transpose()? else { return Ok(false) };
        record(tx, &self.act, "signature.removed", [Some(&old), None]).await?;
        Ok(true)
    }
}
