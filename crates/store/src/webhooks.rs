//! Webhooks: who is told, up to which position of the event log, and what waits for another attempt.
//!
//! A webhook has one position in the log, not a row per delivery. Only what it did not take at once gets rows: the
//! event itself and, to keep the order, every later event of the same mailbox until the first one is through.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
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

    /// What it is counted as among the readers of the log.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Chat | Self::Email(_) => "alert",
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
    /// Everything up to here is delivered or parked.
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
        forget(tx, self.id).await?;
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

/// An event that waits for another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The mailbox whose order is kept.
    pub grant_id: GrantId,
    /// The event.
    pub position: i64,
    /// Attempts so far; 0 for one that only waits behind another.
    pub attempts: u32,
    /// When it is due; [`Parked::BEHIND`] while it waits behind another of its mailbox.
    pub due_at: UnixMicros,
}

impl Parked {
    /// The due time of an event that waits for another one.
    pub const BEHIND: UnixMicros = UnixMicros::from_micros(i64::MAX);
}

/// Moves a webhook's position, and parks what it did not take.
#[derive(Clone, Debug)]
pub struct AdvanceWebhook {
    /// The webhook.
    pub id: WebhookId,
    /// The node that holds its lease.
    pub owner: String,
    /// The new position.
    pub position: i64,
    /// What waits from now on.
    pub parked: Vec<Parked>,
    /// Events of which it is not told.
    pub given_up: Vec<i64>,
}

impl Command for AdvanceWebhook {
    /// False when the lease has gone to another node: nothing was changed, and the events will be sent again by it.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const MOVE: &str = "UPDATE webhooks SET position = $3 WHERE id = $1 AND owner = $2 AND position <= $3";
        if tx.execute(MOVE, params![self.id.uuid(), &self.owner, self.position]).await? == 0 {
            return Ok(false);
        }
        park(tx, self.id, &self.parked).await?;
        give_up(tx, self.id, &self.given_up).await?;
        Ok(true)
    }
}

/// What became of another attempt at the first parked event of a mailbox.
#[derive(Clone, Debug)]
pub struct SettleParked {
    /// The webhook.
    pub id: WebhookId,
    /// The node that holds its lease.
    pub owner: String,
    /// The event attempted; gone from the table when it is through or given up.
    pub done: Parked,
    /// The same event with its next due time, if it is to be tried again.
    pub again: Option<Parked>,
    /// Whether it is not told of the event, and will not be.
    pub is_given_up: bool,
    /// Now: when the next one of that mailbox is due.
    pub now: UnixMicros,
}

impl Command for SettleParked {
    /// False when the lease has gone to another node.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const OWNED: &str = "SELECT 1 FROM webhooks WHERE id = $1 AND owner = $2";
        const REMOVE: &str = "DELETE FROM webhook_parked WHERE webhook_id = $1 AND grant_id = $2 AND position = $3";
        const RELEASE_NEXT: &str = "UPDATE webhook_parked SET due_at = $3 WHERE webhook_id = $1 AND grant_id = $2 \
            AND position = (SELECT min(position) FROM webhook_parked WHERE webhook_id = $1 AND grant_id = $2)";
        let id = self.id.uuid();
        if tx.query_one(OWNED, params![id, &self.owner]).await?.is_none() {
            return Ok(false);
        }
        match &self.again {
            Some(again) => park(tx, self.id, std::slice::from_ref(again)).await?,
            None => {
                if self.is_given_up {
                    give_up(tx, self.id, &[self.done.position]).await?;
                }
                let grant = self.done.grant_id.uuid();
                tx.execute(REMOVE, params![id, grant, self.done.position]).await?;
                tx.execute(RELEASE_NEXT, params![id, grant, self.now.as_micros()]).await?;
            }
        }
        Ok(true)
    }
}

async fn give_up(tx: &mut Tx, webhook: WebhookId, positions: &[i64]) -> Result<(), DbError> {
    const GIVE_UP: &str = "INSERT INTO webhook_given_up (webhook_id, position) VALUES ($1, $2) \
        ON CONFLICT (webhook_id, position) DO NOTHING";
    let rows: Vec<_> = positions.iter().map(|position| params![webhook.uuid(), *position].to_vec()).collect();
    tx.db().execute_each(GIVE_UP, &rows).await
}

/// Forgets what waits for somebody who is told of nothing any more.
pub(crate) async fn forget(tx: &mut Tx, webhook: WebhookId) -> Result<(), DbError> {
    const PARKED: &str = "DELETE FROM webhook_parked WHERE webhook_id = $1";
    const GIVEN_UP: &str = "DELETE FROM webhook_given_up WHERE webhook_id = $1";
    tx.execute(PARKED, params![webhook.uuid()]).await?;
    tx.execute(GIVEN_UP, params![webhook.uuid()]).await?;
    Ok(())
}

async fn park(tx: &mut Tx, webhook: WebhookId, parked: &[Parked]) -> Result<(), DbError> {
    const PARK: &str = "INSERT INTO webhook_parked (webhook_id, grant_id, position, attempts, due_at) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (webhook_id, grant_id, position) \
        DO UPDATE SET attempts = excluded.attempts, due_at = excluded.due_at";
    let row = |one: &Parked| {
        let (grant, attempts) = (one.grant_id.uuid(), i64::from(one.attempts));
        params![webhook.uuid(), grant, one.position, attempts, one.due_at.as_micros()].to_vec()
    };
    let rows: Vec<_> = parked.iter().map(row).collect();
    tx.db().execute_each(PARK, &rows).await
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

pub(crate) const DUE: &str = "SELECT grant_id, position, attempts, due_at FROM webhook_parked \
    WHERE webhook_id = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3";

/// Parked events that are due, earliest first. An event that waits behind another of its mailbox is never due.
pub async fn due(
    reader: &mut Reader<'_>,
    id: WebhookId,
    now: UnixMicros,
    limit: usize,
) -> Result<Vec<Parked>, StoreError> {
    let rows = reader.query(DUE, params![id.uuid(), now.as_micros(), limit as i64]).await?;
    Ok(rows.iter().map(read_parked).collect::<Result<_, DbError>>()?)
}

/// Mailboxes with something parked: their later events wait, too.
pub async fn waiting_grants(reader: &mut Reader<'_>, id: WebhookId) -> Result<Vec<GrantId>, StoreError> {
    const WAITING: &str = "SELECT DISTINCT grant_id FROM webhook_parked WHERE webhook_id = $1";
    let rows = reader.query(WAITING, params![id.uuid()]).await?;
    Ok(rows.iter().map(|row| Ok(GrantId::from_uuid(row.uuid(0)?))).collect::<Result<_, DbError>>()?)
}

/// When the next parked event of a webhook is due.
pub async fn next_due(reader: &mut Reader<'_>, id: WebhookId) -> Result<Option<UnixMicros>, StoreError> {
    const NEXT: &str = "SELECT min(due_at) FROM webhook_parked WHERE webhook_id = $1";
    let row = reader.query_one(NEXT, params![id.uuid()]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().map(UnixMicros::from_micros))
}

fn read_parked(row: &Row) -> Result<Parked, DbError> {
    Ok(Parked {
        grant_id: GrantId::from_uuid(row.uuid(0)?),
        position: row.int(1)?,
        attempts: u32::try_from(row.int(2)?).unwrap_or(u32::MAX),
        due_at: UnixMicros::from_micros(row.int(3)?),
    })
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
