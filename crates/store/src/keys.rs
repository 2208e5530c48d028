//! Keys: who may speak for an application or, as its operator, for an organization. Never the secrets themselves.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::key_use;
use crate::organizations::Scope;
use crate::{Store, applications, params};
use postfleet_core::audit::Act;
use postfleet_core::capability::Capabilities;
use postfleet_core::id::{ApplicationId, KeyId, OrganizationId};
use postfleet_core::{Patch, UnixMicros, permission};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often the time at which a key was last seen is written, at most.
pub const SEEN_EVERY: Duration = Duration::from_secs(60);

macro_rules! key_columns {
    () => {
        "id, organization_id, application_id, installation, name, hint, permissions, expires_at, revoked_at, \
         last_used_at, created_at, updated_at, capabilities"
    };
}

/// A key, as people see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The application it acts for; `None` for an operator's key.
    pub application_id: Option<ApplicationId>,
    /// Whether it may also do what concerns all organizations.
    pub is_installation: bool,
    /// What people call it.
    pub name: String,
    /// How it begins.
    pub hint: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// What may be sent with it.
    pub capabilities: Capabilities,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMicros>,
    /// Since when it is worthless, if it is.
    pub revoked_at: Option<UnixMicros>,
    /// When it was last seen, to within a minute.
    pub last_used_at: Option<UnixMicros>,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// Whose keys are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// An application's.
    Application(ApplicationId),
    /// Those of operators.
    Operator,
}

/// What whoever makes or changes a key may do: nobody gives away more than they have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Maker {
    /// Their permissions.
    pub permissions: Vec<String>,
    /// Whether they may also do what concerns all organizations.
    pub is_installation: bool,
}

impl Maker {
    /// What the maker lacks to be allowed a key of that kind: a permission, or the word `installation`.
    pub fn lacks(&self, permissions: &[String], is_installation: bool) -> Option<String> {
        if is_installation && !self.is_installation {
            return Some("installation".to_owned());
        }
        permission::lacking(&self.permissions, permissions).map(str::to_owned)
    }
}

/// A key about to be stored: never the key itself.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// The application it acts for, or `None` for an operator's key.
    pub application_id: Option<ApplicationId>,
    /// Whether it may also do what concerns all organizations.
    pub is_installation: bool,
    /// What people call it.
    pub name: String,
    /// The keyed hash by which it is found.
    pub hash: [u8; 32],
    /// How it begins, for people to tell it from others.
    pub hint: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// What may be sent with it.
    pub capabilities: Capabilities,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMicros>,
}

impl NewKey {
    /// A key that may do everything that its holder may: the application, or the operator of the installation.
    pub fn unlimited(
        id: KeyId,
        application_id: Option<ApplicationId>,
        name: &str,
        hash: [u8; 32],
        hint: String,
    ) -> Self {
        Self {
            id,
            application_id,
            is_installation: application_id.is_none(),
            name: name.to_owned(),
            hash,
            hint,
            permissions: vec!["*".to_owned()],
            capabilities: Capabilities::default(),
            expires_at: None,
        }
    }
}

pub(crate) async fn insert(
    tx: &mut Tx,
    organization: OrganizationId,
    key: &NewKey,
    at: UnixMicros,
) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO api_keys (id, organization_id, application_id, installation, name, hash, hint, \
        permissions, capabilities, expires_at, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)";
    let (permissions, capabilities) = (write_permissions(&key.permissions), key_use::write(&key.capabilities));
    let values = params![
        key.id.uuid(),
        organization.uuid(),
        key.application_id.map(|id| id.uuid()),
        key.is_installation,
        &key.name,
        key.hash.as_slice(),
        &key.hint,
        &permissions,
        capabilities.as_deref(),
        key.expires_at.map(UnixMicros::as_micros),
        at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// Makes a key. That its maker has what it may do has been checked.
#[derive(Clone, Debug)]
pub struct CreateKey {
    /// The key.
    pub key: NewKey,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The change.
    pub act: Act,
}

impl Command for CreateKey {
    /// The key, if its holder is there.
    type Outcome = Option<Key>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Key>, DbError> {
        const LOCK: &str = "SELECT id FROM organizations WHERE id = $1 {lock}";
        let is_there = match self.key.application_id {
            Some(id) => applications::lock(tx, id, Scope::Of(self.organization_id)).await?.is_some(),
            None => tx.query_one(LOCK, params![self.organization_id.uuid()]).await?.is_some(),
        };
        if !is_there {
            return Ok(None);
        }
        insert(tx, self.organization_id, &self.key, self.act.at).await?;
        let made = lock(tx, self.key.id).await?.ok_or(DbError::Malformed("key"))?;
        record(tx, &self.act, "created", None, &made).await?;
        Ok(Some(made))
    }
}

/// What is to become of a key.
#[derive(Clone, Debug)]
pub enum KeyChange {
    /// What is named changes, the rest stays.
    Update {
        /// Its new name.
        name: Option<String>,
        /// What it may do from now on.
        permissions: Option<Vec<String>>,
        /// What may be sent with it from now on.
        capabilities: Option<Capabilities>,
        /// When it ends; cleared, never.
        expires_at: Patch<UnixMicros>,
    },
    /// It gets another secret.
    Rotate {
        /// The keyed hash of the new one.
        hash: [u8; 32],
        /// How the new one begins.
        hint: String,
        /// Until when the one before is good, too.
        previous_until: Option<UnixMicros>,
    },
    /// It is worthless at once.
    Revoke,
}

/// Changes a key.
#[derive(Clone, Debug)]
pub struct ChangeKey {
    /// Which.
    pub id: KeyId,
    /// Whose it must be.
    pub holder: Holder,
    /// In which organization.
    pub scope: Scope,
    /// Who changes it.
    pub maker: Maker,
    /// What is to become of it.
    pub change: KeyChange,
    /// The change.
    pub act: Act,
}

/// What became of [`ChangeKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    /// It is so now.
    Done(Box<Key>),
    /// There is none.
    Unknown,
    /// It is revoked, for good.
    Revoked,
    /// It would have what its maker lacks.
    Lacking(String),
}

impl Command for ChangeKey {
    type Outcome = KeyOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<KeyOutcome, DbError> {
        let found = lock(tx, self.id).await?;
        let Some(before) = found.filter(|key| belongs(key, self.holder, self.scope)) else {
            return Ok(KeyOutcome::Unknown);
        };
        match self.refusal(&before) {
            Some(refusal) => Ok(refusal),
            None => self.carry_out(tx, before).await,
        }
    }
}

impl ChangeKey {
    fn refusal(&self, before: &Key) -> Option<KeyOutcome> {
        let permissions = match &self.change {
            // Taking away asks for nothing but for who may do what concerns all organizations.
            KeyChange::Revoke => &Vec::new(),
            KeyChange::Update { permissions: Some(permissions), .. } => permissions,
            KeyChange::Update { .. } | KeyChange::Rotate { .. } => &before.permissions,
        };
        if let Some(lacking) = self.maker.lacks(permissions, before.is_installation) {
            return Some(KeyOutcome::Lacking(lacking));
        }
        match self.change {
            KeyChange::Revoke => before.revoked_at.map(|_| KeyOutcome::Done(Box::new(before.clone()))),
            KeyChange::Update { .. } | KeyChange::Rotate { .. } => before.revoked_at.map(|_| KeyOutcome::Revoked),
        }
    }

    async fn carry_out(&self, tx: &mut Tx, before: Key) -> Result<KeyOutcome, DbError> {
        const UPDATE: &str = "UPDATE api_keys \
            SET name = $2, permissions = $3, expires_at = $4, revoked_at = $5, updated_at = $6, capabilities = $7 \
            WHERE id = $1";
        const ROTATE: &str = "UPDATE api_keys SET previous_hash = CASE WHEN CAST($2 AS {int}) > 0 THEN hash END, \
            previous_until = $2, hash = $3, hint = $4, updated_at = $5 WHERE id = $1";
        let at = self.act.at;
        let mut after = before.clone();
        let action = match &self.change {
            KeyChange::Update { name, permissions, capabilities, expires_at } => {
                after.name = name.clone().unwrap_or(after.name);
                after.permissions = permissions.clone().unwrap_or(after.permissions);
                after.capabilities = capabilities.clone().unwrap_or(after.capabilities);
                after.expires_at = expires_at.apply(after.expires_at);
                "updated"
            }
            KeyChange::Rotate { hash, hint, previous_until } => {
                after.hint.clone_from(hint);
                let until = previous_until.map_or(0, UnixMicros::as_micros);
                let values = params![after.id.uuid(), until, hash.as_slice(), hint, at.as_micros()];
                tx.execute(ROTATE, values).await?;
                "rotated"
            }
            KeyChange::Revoke => {
                after.revoked_at = Some(at);
                "revoked"
            }
        };
        if after == before && action == "updated" {
            return Ok(KeyOutcome::Done(Box::new(before)));
        }
        after.updated_at = at;
        let (permissions, capabilities) = (write_permissions(&after.permissions), key_use::write(&after.capabilities));
        let values = params![
            after.id.uuid(),
            &after.name,
            &permissions,
            after.expires_at.map(UnixMicros::as_micros),
            after.revoked_at.map(UnixMicros::as_micros),
            at.as_micros(),
            capabilities.as_deref()
        ];
        tx.execute(UPDATE, values).await?;
        record(tx, &self.act, action, Some(&before), &after).await?;
        Ok(KeyOutcome::Done(Box::new(after)))
    }
}

fn belongs(key: &Key, holder: Holder, scope: Scope) -> bool {
    let is_held = match holder {
        Holder::Application(id) => key.application_id == Some(id),
        Holder::Operator => key.application_id.is_none(),
    };
    is_held && scope.covers(key.organization_id)
}

async fn lock(tx: &mut Tx, id: KeyId) -> Result<Option<Key>, DbError> {
    const LOCK: &str = concat!("SELECT ", key_columns!(), " FROM api_keys WHERE id = $1 {lock}");
    tx.query_one(LOCK, params![id.uuid()]).await?.as_ref().map(read).transpose()
}

async fn record(tx: &mut Tx, act: &Act, verb: &str, before: Option<&Key>, after: &Key) -> Result<(), DbError> {
    let is_operators = after.application_id.is_none();
    let action = match (is_operators, verb) {
        (false, "created") => "api_key.created",
        (false, "updated") => "api_key.updated",
        (false, "rotated") => "api_key.rotated",
        (false, _) => "api_key.revoked",
        (true, "created") => "operator_key.created",
        (true, "updated") => "operator_key.updated",
        (true, "rotated") => "operator_key.rotated",
        (true, _) => "operator_key.revoked",
    };
    let target_kind = if is_operators { "operator_key" } else { "api_key" };
    let (target, before, after_text) = (after.id.to_string(), before.map(snapshot), snapshot(after));
    let (before, after_text) = (before.as_deref(), Some(after_text.as_str()));
    let change = Change { action, target_kind, target_id: &target, before, after: after_text };
    audit::record(tx, &act.to(after.organization_id), change).await
}

fn snapshot(key: &Key) -> String {
    let seconds = |time: Option<UnixMicros>| time.map(UnixMicros::as_seconds);
    json!({
        "name": key.name,
        "hint": key.hint,
        "permissions": key.permissions,
        "capabilities": key_use::snapshot(&key.capabilities),
        "installation": key.is_installation,
        "expires_at": seconds(key.expires_at),
        "revoked_at": seconds(key.revoked_at),
    })
    .to_string()
}

/// Notes when a key was last seen, unless that was noted a short while ago.
#[derive(Clone, Copy, Debug)]
pub struct NoteUse {
    /// Which.
    pub id: KeyId,
    /// When.
    pub at: UnixMicros,
}

impl Command for NoteUse {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const NOTE: &str = "UPDATE api_keys SET last_used_at = $2 \
            WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)";
        let noted_before = self.at.minus(SEEN_EVERY);
        tx.execute(NOTE, params![self.id.uuid(), self.at.as_micros(), noted_before.as_micros()]).await?;
        Ok(())
    }
}

/// Whom a key speaks for, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The key.
    pub key_id: KeyId,
    /// What people call it.
    pub name: String,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Its application; `None` for an operator's key.
    pub application_id: Option<ApplicationId>,
    /// Whether it may also do what concerns all organizations.
    pub is_installation: bool,
    /// What it may do.
    pub permissions: Arc<[String]>,
    /// What may be sent with it.
    pub capabilities: Capabilities,
    /// When it ends, if it does. A secret from before a rotation may end earlier than the key.
    pub expires_at: Option<UnixMicros>,
    /// Since when it is worthless, if it is.
    pub revoked_at: Option<UnixMicros>,
    /// When it was last seen, to within a minute.
    pub last_used_at: Option<UnixMicros>,
    /// The name of its organization's plan.
    pub plan: String,
}

/// Finds a key by its hash, also one that has ended. One read from an index for a key that is there; a second one for
/// a secret from before a rotation, and for what is no key at all.
pub async fn find(reader: &mut Reader<'_>, hash: &[u8; 32]) -> Result<Option<Credential>, StoreError> {
    const FIND: &str = "SELECT k.id, k.name, k.organization_id, k.application_id, k.installation, k.permissions, \
        k.expires_at, k.revoked_at, k.last_used_at, k.capabilities, o.plan \
        FROM api_keys k JOIN organizations o ON o.id = k.organization_id WHERE k.hash = $1";
    const FIND_PREVIOUS: &str = "SELECT k.id, k.name, k.organization_id, k.application_id, k.installation, \
        k.permissions, k.expires_at, k.revoked_at, k.last_used_at, k.capabilities, o.plan, k.previous_until \
        FROM api_keys k JOIN organizations o ON o.id = k.organization_id WHERE k.previous_hash = $1";
    if let Some(row) = reader.query_one(FIND, params![hash.as_slice()]).await? {
        return Ok(Some(read_credential(&row)?));
    }
    let Some(row) = reader.query_one(FIND_PREVIOUS, params![hash.as_slice()]).await? else { return Ok(None) };
    let (mut credential, until) = (read_credential(&row)?, UnixMicros::from_micros(row.int(11)?));
    credential.expires_at = Some(credential.expires_at.map_or(until, |end| end.min(until)));
    Ok(Some(credential))
}

/// As [`find`], without asking the database where what it would say is known.
pub async fn find_known(store: &Store, hash: &[u8; 32]) -> Result<Option<Arc<Credential>>, StoreError> {
    let as_of = match store.remembered().map(|remembered| remembered.credentials.find(hash)) {
        Some(Ok(credential)) => return Ok(Some(credential)),
        Some(Err(as_of)) => Some(as_of),
        None => None,
    };
    let found = find(&mut store.reader().await?, hash).await?.map(Arc::new);
    if let (Some(remembered), Some(as_of), Some(credential)) = (store.remembered(), as_of, &found) {
        remembered.credentials.keep(*hash, credential.clone(), as_of);
    }
    Ok(found)
}

pub(crate) const LIST_OF_APPLICATION: &str = concat!(
    "SELECT ",
    key_columns!(),
    " FROM api_keys WHERE application_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
);
pub(crate) const LIST_OF_OPERATORS: &str = concat!(
    "SELECT ",
    key_columns!(),
    " FROM api_keys WHERE organization_id = $1 AND application_id IS NULL AND id < $2 ORDER BY id DESC LIMIT $3"
);

/// Finds a key of a holder, also one that has ended.
pub async fn find_by_id(
    reader: &mut Reader<'_>,
    holder: Holder,
    scope: Scope,
    id: KeyId,
) -> Result<Option<Key>, StoreError> {
    const FIND: &str = concat!("SELECT ", key_columns!(), " FROM api_keys WHERE id = $1");
    let found = reader.query_one(FIND, params![id.uuid()]).await?.as_ref().map(read).transpose()?;
    Ok(found.filter(|key| belongs(key, holder, scope)))
}

/// An application's keys, newest first, after `before`; also those that have ended.
pub async fn list_of_application(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    before: Option<KeyId>,
    limit: usize,
) -> Result<Vec<Key>, StoreError> {
    let before = before.map_or(Uuid::max(), KeyId::uuid);
    let rows = reader.query(LIST_OF_APPLICATION, params![application.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// The keys of an organization's operators, newest first, after `before`; also those that have ended.
pub async fn list_of_operators(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    before: Option<KeyId>,
    limit: usize,
) -> Result<Vec<Key>, StoreError> {
    let before = before.map_or(Uuid::max(), KeyId::uuid);
    let rows = reader.query(LIST_OF_OPERATORS, params![organization.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

pub(crate) fn write_permissions(permissions: &[String]) -> String {
    serde_json::to_string(permissions).unwrap_or_else(|_| "[]".to_owned())
}

pub(crate) fn read_permissions(text: &str) -> Result<Vec<String>, DbError> {
    serde_json::from_str(text).map_err(|_| DbError::Malformed("permissions"))
}

fn read(row: &Row) -> Result<Key, DbError> {
    let time = |column| Ok::<_, DbError>(row.opt_int(column)?.map(UnixMicros::from_micros));
    Ok(Key {
        id: KeyId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        application_id: row.opt_uuid(2)?.map(ApplicationId::from_uuid),
        is_installation: row.flag(3)?,
        name: row.text(4)?,
        hint: row.text(5)?,
        permissions: read_permissions(row.str(6)?)?,
        capabilities: key_use::read(row.opt_text(12)?.as_deref())?,
        expires_at: time(7)?,
        revoked_at: time(8)?,
        last_used_at: time(9)?,
        created_at: UnixMicros::from_micros(row.int(10)?),
        updated_at: UnixMicros::from_micros(row.int(11)?),
    })
}

fn read_credential(row: &Row) -> Result<Credential, DbError> {
    let time = |column| Ok::<_, DbError>(row.opt_int(column)?.map(UnixMicros::from_micros));
    Ok(Credential {
        key_id: KeyId::from_uuid(row.uuid(0)?),
        name: row.text(1)?,
        organization_id: OrganizationId::from_uuid(row.uuid(2)?),
        application_id: row.opt_uuid(3)?.map(ApplicationId::from_uuid),
        is_installation: row.flag(4)?,
        permissions: read_permissions(row.str(5)?)?.into(),
        capabilities: key_use::read(row.opt_text(9)?.as_deref())?,
        expires_at: time(6)?,
        revoked_at: time(7)?,
        last_used_at: time(8)?,
        plan: row.text(10)?,
    })
}
