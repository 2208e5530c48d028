//! Webhooks: who is told, up to which position of the event log, and what waits for another attempt.
//!
//! A webhook has one position in the log, not a row per delivery. What it did not take at once is in [`crate::lanes`].

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::{lanes, params};
use postfleet_core::id::{ApplicationId, GrantId, WebhookId, WorkspaceId};
use postfleet_core::{Secret, UnixMicros};

macro_rules! webhook_columns {
    () => {
        "id, application_id, url, description, triggers, secret, status, notification_addresses, compressed, \
         position, status_updated_at, created_at, updated_at, channel, from_grant_id, workspace_id, include_junk"
    };
}
pub(crate) use webhook_columns;

/// How somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A program, with the whole event.
    Webhook,
    /// People, in a chat that takes text.
    Chat,
    /// People, by mail that this mailbox sends.
    Email(GrantId),
}

impl Channel {
    /// The word for it in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Chat => "chat",
            Self::Email(_) => "email",
        }
    }
}

/// A subscription.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose events it gets.
    pub application_id: ApplicationId,
    /// Where they are sent.
    pub url: String,
    /// What people call it.
    pub description: String,
    /// The names that it listed, as it spelled them.
    pub triggers: Vec<String>,
    /// The key that signs what is sent.
    pub secret: Secret<String>,
    /// `active`, `pause`, `failing` or `failed`.
    pub status: String,
    /// Who is told when it fails.
    pub notification_addresses: Vec<String>,
    /// Whether bodies are compressed.
    pub compressed: bool,
    /// Everything up to here is delivered, given up, or behind what is written down of its mailbox.
    pub position: i64,
    /// When the status changed.
    pub status_updated_at: UnixMicros,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
    /// How it is told.
    pub channel: Channel,
    /// Only of mailboxes of this workspace.
    pub workspace_id: Option<WorkspaceId>,
    /// Whether it is told of mail that goes into junk as it comes in.
    pub include_junk: bool,
}

/// Makes a webhook that starts at the end of the log.
#[derive(Clone, Debug)]
pub struct CreateWebhook(pub Webhook);

impl Command for CreateWebhook {
    /// False when the application has a webhook with that URL.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const INSERT: &str = "INSERT INTO webhooks (id, application_id, url, description, triggers, secret, status, \
            notification_addresses, compressed, position, lease_until, owner, status_updated_at, created_at, updated_at, \
            include_junk) \
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, position, 0, '', $10, $10, $10, $11 FROM event_head WHERE one = 1 \
            ON CONFLICT (application_id, url) WHERE channel = 'webhook' DO NOTHING";
        let hook = &self.0;
        let (triggers, addresses) = (json(&hook.triggers), json(&hook.notification_addresses));
        let values = params![
            hook.id.uuid(),
            hook.application_id.uuid(),
            &hook.url,
            &hook.description,
            &triggers,
            hook.secret.expose(),
            &hook.status,
            &addresses,
            hook.compressed,
            hook.created_at.as_micros(),
            hook.include_junk
        ];
        tx.wake_webhooks();
        Ok(tx.execute(INSERT, values).await? > 0)
    }
}

/// Changes what a subscriber may change; the whole of it is given.
#[derive(Clone, Debug)]
pub struct UpdateWebhook(pub Webhook);

impl Command for UpdateWebhook {
    /// False when there is no such webhook, or another has that URL.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const OTHER: &str = "SELECT 1 FROM webhooks WHERE application_id = $1 AND url = $2 AND id <> $3 \
            AND channel = 'webhook'";
        const UPDATE: &str = "UPDATE webhooks SET url = $3, description = $4, triggers = $5, secret = $6, status = $7, \
            notification_addresses = $8, compressed = $9, status_updated_at = $10, updated_at = $11, \
            include_junk = $12 WHERE id = $1 AND application_id = $2";
        let hook = &self.0;
        let (triggers, addresses) = (json(&hook.triggers), json(&hook.notification_addresses));
        let (id, application) = (hook.id.uuid(), hook.application_id.uuid());
        if tx.query_one(OTHER, params![application, &hook.url, id]).await?.is_some() {
            return Ok(false);
        }
        let values = params![
            id,
            application,
            &hook.url,
            &hook.description,
            &triggers,
            hook.secret.expose(),
            &hook.status,
            &addresses,
            hook.compressed,
            hook.status_updated_at.as_micros(),
            hook.updated_at.as_micros(),
            hook.include_junk
        ];
        tx.wake_webhooks();
        Ok(tx.execute(UPDATE, values).await? > 0)
    }
}

/// Removes a webhook and what waits for it.
#[derive(Clone, Copy, Debug)]
pub struct RemoveWebhook {
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: WebhookId,
}

impl Command for RemoveWebhook {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = "DELETE FROM webhooks WHERE id = $1 AND application_id = $2 AND channel = 'webhook'";
        if tx.execute(REMOVE, params![self.id.uuid(), self.application_id.uuid()]).await? == 0 {
            return Ok(false);
        }
        lanes::forget(tx, self.id).await?;
        tx.wake_webhooks();
        Ok(true)
    }
}

/// Takes the webhooks that nobody works for, or that this node already works for, until `until`.
#[derive(Clone, Debug)]
pub struct LeaseWebhooks {
    /// The node.
    pub owner: String,
    /// Now.
    pub now: UnixMicros,
    /// When the lease ends.
    pub until: UnixMicros,
}

impl Command for LeaseWebhooks {
    type Outcome = Vec<Webhook>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Webhook>, DbError> {
        const LEASE: &str = concat!(
            "UPDATE webhooks SET owner = $1, lease_until = $2 \
             WHERE (owner = $1 OR lease_until <= $3) AND status IN ('active', 'failing') RETURNING ",
            webhook_columns!()
        );
        let values = params![&self.owner, self.until.as_micros(), self.now.as_micros()];
        tx.query(LEASE, values).await?.iter().map(read).collect()
    }
}

const FIND: &str = concat!(
    "SELECT ",
    webhook_columns!(),
    " FROM webhooks WHERE id = $1 AND application_id = $2 AND channel = 'webhook'"
);
pub(crate) const LIST: &str = concat!(
    "SELECT ",
    webhook_columns!(),
    " FROM webhooks WHERE application_id = $1 AND channel = 'webhook' \
        ORDER BY created_at, id"
);

/// Finds a webhook of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: WebhookId,
) -> Result<Option<Webhook>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// An application's webhooks, oldest first.
pub async fn list(reader: &mut Reader<'_>, application: ApplicationId) -> Result<Vec<Webhook>, StoreError> {
    let rows = reader.query(LIST, params![application.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

pub(crate) fn read(row: &Row) -> Result<Webhook, DbError> {
    let list = |column| -> Result<Vec<String>, DbError> {
        serde_json::from_str(row.str(column)?).map_err(|_| DbError::Malformed("webhook"))
    };
    Ok(Webhook {
        id: WebhookId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        url: row.text(2)?,
        description: row.text(3)?,
        triggers: list(4)?,
        secret: Secret::new(row.text(5)?),
        status: row.text(6)?,
        notification_addresses: list(7)?,
        compressed: row.flag(8)?,
        position: row.int(9)?,
        status_updated_at: UnixMicros::from_micros(row.int(10)?),
        created_at: UnixMicros::from_micros(row.int(11)?),
        updated_at: UnixMicros::from_micros(row.int(12)?),
        channel: match (row.text(13)?.as_str(), row.opt_uuid(14)?) {
            ("chat", _) => Channel::Chat,
            ("email", Some(grant)) => Channel::Email(GrantId::from_uuid(grant)),
            _ => Channel::Webhook,
        },
        workspace_id: row.opt_uuid(15)?.map(WorkspaceId::from_uuid),
        include_junk: row.flag(16)?,
    })
}

pub(crate) fn json(texts: &[String]) -> String {
    serde_json::Value::from(texts.to_vec()).to_string()
}
