//! Templates for messages, of an application or of one of its mailboxes.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, GrantId, TemplateId};
use serde_json::json;
use uuid::Uuid;

/// Templates of one application, without those of its mailboxes, and of one mailbox.
pub const TEMPLATES_MAX: i64 = 1_000;

/// Whose templates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The application.
    pub application: ApplicationId,
    /// Its mailbox; none for what is the application's own.
    pub grant: Option<GrantId>,
}

/// A template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    /// Its id.
    pub id: TemplateId,
    /// Whose.
    pub owner: Owner,
    /// What people call it.
    pub name: String,
    /// The template of the subject.
    pub subject: String,
    /// The template of the body.
    pub body: String,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was changed last.
    pub updated_at: UnixMicros,
}

macro_rules! columns {
    () => {
        "id, application_id, grant_id, name, subject, body, created_at, updated_at"
    };
}

pub(crate) const LIST_OF_APPLICATION: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM templates WHERE application_id = $1 AND grant_id IS NULL AND id > $2 ORDER BY application_id, id LIMIT $3"
);
pub(crate) const LIST_OF_GRANT: &str =
    concat!("SELECT ", columns!(), " FROM templates WHERE grant_id = $1 AND id > $2 ORDER BY grant_id, id LIMIT $3");
const FIND: &str = concat!("SELECT ", columns!(), " FROM templates WHERE id = $1 AND application_id = $2");

/// Removes some of a mailbox that is gone.
pub(crate) const REMOVE: &str =
    "DELETE FROM templates WHERE id IN (SELECT id FROM templates WHERE grant_id = $1 LIMIT $2)";

fn read(row: &Row) -> Result<Template, DbError> {
    let application = ApplicationId::from_uuid(row.uuid(1)?);
    Ok(Template {
        id: TemplateId::from_uuid(row.uuid(0)?),
        owner: Owner { application, grant: row.opt_uuid(2)?.map(GrantId::from_uuid) },
        name: row.text(3)?,
        subject: row.text(4)?,
        body: row.text(5)?,
        created_at: UnixMicros::from_micros(row.int(6)?),
        updated_at: UnixMicros::from_micros(row.int(7)?),
    })
}

/// An owner's templates, oldest first, after one.
pub async fn list(
    reader: &mut Reader<'_>,
    owner: Owner,
    after: Option<TemplateId>,
    limit: usize,
) -> Result<Vec<Template>, StoreError> {
    let (after, limit) = (after.map_or(Uuid::nil(), TemplateId::uuid), limit as i64);
    let rows = match owner.grant {
        Some(grant) => reader.query(LIST_OF_GRANT, params![grant.uuid(), after, limit]).await?,
        None => reader.query(LIST_OF_APPLICATION, params![owner.application.uuid(), after, limit]).await?,
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// A template of an application or of any of its mailboxes.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: TemplateId,
) -> Result<Option<Template>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    [before, after]: [Option<&Template>; 2],
) -> Result<(), DbError> {
    let text = |template: Option<&Template>| {
        template.map(|template| {
            let grant = template.owner.grant.map(|grant| grant.to_string());
            let Template { name, subject, body, .. } = template;
            json!({"grant_id": grant, "name": name, "subject": subject, "body_octets": body.len()}).to_string()
        })
    };
    let id = after.or(before).map(|template| template.id.to_string()).unwrap_or_default();
    let (before, after) = (text(before), text(after));
    let change =
        Change { action, target_kind: "template", target_id: &id, before: before.as_deref(), after: after.as_deref() };
    audit::record(tx, act, change).await
}

/// What became of a template that was to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateOutcome {
    /// It is there.
    Created,
    /// There are as many as there may be.
    TooMany,
    /// Its owner is gone.
    NoSuchOwner,
}

/// Makes a template.
#[derive(Clone, Debug)]
pub struct CreateTemplate {
    /// Who, and when.
    pub act: Act,
    /// The template.
    pub template: Template,
}

impl Command for CreateTemplate {
    type Outcome = CreateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<CreateOutcome, DbError> {
        // Of two that are made at once, the second counts the first.
        const LOCK_APPLICATION: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        const LOCK_GRANT: &str = "SELECT id FROM grants WHERE id = $1 {lock}";
        const COUNT_OF_APPLICATION: &str =
            "SELECT count(*) FROM templates WHERE application_id = $1 AND grant_id IS NULL";
        const COUNT_OF_GRANT: &str = "SELECT count(*) FROM templates WHERE grant_id = $1";
        const INSERT: &str = "INSERT INTO templates (id, application_id, grant_id, name, subject, body, created_at, \
            updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)";
        let Template { id, owner, name, subject, body, created_at, .. } = &self.template;
        let (lock, count, key) = match owner.grant {
            Some(grant) => (LOCK_GRANT, COUNT_OF_GRANT, grant.uuid()),
            None => (LOCK_APPLICATION, COUNT_OF_APPLICATION, owner.application.uuid()),
        };
        if tx.query_one(lock, params![key]).await?.is_none() {
            return Ok(CreateOutcome::NoSuchOwner);
        }
        let count = tx.query_one(count, params![key]).await?.map_or(Ok(0), |row| row.int(0))?;
        if count >= TEMPLATES_MAX {
            return Ok(CreateOutcome::TooMany);
        }
        let values = params![
            id.uuid(),
            owner.application.uuid(),
            owner.grant.map(GrantId::uuid),
            name,
            subject,
            body,
            created_at.as_micros()
        ];
        tx.execute(INSERT, values).await?;
        record(tx, &self.act, "template.created", [None, Some(&self.template)]).await?;
        Ok(CreateOutcome::Created)
    }
}

/// Changes a template; what is none stays.
#[derive(Clone, Debug)]
pub struct UpdateTemplate {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub owner: Owner,
    /// Which.
    pub id: TemplateId,
    /// What people call it.
    pub name: Option<String>,
    /// The template of the subject.
    pub subject: Option<String>,
    /// The template of the body.
    pub body: Option<String>,
}

impl Command for UpdateTemplate {
    /// The template as it is now; none if there is none.
    type Outcome = Option<Template>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Template>, DbError> {
        const UPDATE: &str = "UPDATE templates SET name = $2, subject = $3, body = $4, updated_at = $5 WHERE id = $1";
        let Some(before) = locked(tx, self.owner, self.id).await? else { return Ok(None) };
        let name = self.name.clone().unwrap_or_else(|| before.name.clone());
        let subject = self.subject.clone().unwrap_or_else(|| before.subject.clone());
        let body = self.body.clone().unwrap_or_else(|| before.body.clone());
        let after = Template { name, subject, body, ..before.clone() };
        if after == before {
            return Ok(Some(before));
        }
        let after = Template { updated_at: self.act.at, ..after };
        let values = params![self.id.uuid(), &after.name, &after.subject, &after.body, after.updated_at.as_micros()];
        tx.execute(UPDATE, values).await?;
        record(tx, &self.act, "template.updated", [Some(&before), Some(&after)]).await?;
        Ok(Some(after))
    }
}

/// Removes a template.
#[derive(Clone, Debug)]
pub struct RemoveTemplate {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub owner: Owner,
    /// Which.
    pub id: TemplateId,
}

impl Command for RemoveTemplate {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = "DELETE FROM templates WHERE id = $1";
        let Some(old) = locked(tx, self.owner, self.id).await? else { return Ok(false) };
        tx.execute(REMOVE, params![self.id.uuid()]).await?;
        record(tx, &self.act, "template.removed", [Some(&old), None]).await?;
        Ok(true)
    }
}

async fn locked(tx: &mut Tx, owner: Owner, id: TemplateId) -> Result<Option<Template>, DbError> {
    const LOCKED: &str = concat!("SELECT ", columns!(), " FROM templates WHERE id = $1 AND application_id = $2 {lock}");
    let row = tx.query_one(LOCKED, params![id.uuid(), owner.application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?.filter(|template| template.owner == owner))
}
