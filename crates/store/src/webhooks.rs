//! Webhooks: who is told, up to which position of the event log, and what waits for another attempt.
//!
//! A webhook has one position in the log, not a row per delivery. Only what it did not take at once gets rows: the
//! event itself and, to keep the order, every later event of the same mailbox until the first one is through.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::event_filter::EventFilter;
use postfleet_core::id::{ApplicationId, GrantId, WebhookId, WorkspaceId};
use postfleet_core::{Secret, UnixMicros};

macro_rules! webhook_columns {
    () => {
        "id, application_id, url, description, triggers, secret, status, notification_addresses, compressed, \
         position, status_updated_at, created_at, updated_at, channel, from_grant_id, workspace_id, include_junk, \
         previous_secret, previous_until, filters"
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

/// Webhooks of one application.
pub const WEBHOOKS_MAX: i64 = 50;

/// A secret that was replaced, and still signs.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The secret.
    pub secret: Secret<String>,
    /// Until when.
    pub until: UnixMicros,
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
    /// The secret before the last one, if it was to sign for a while.
    pub previous: Option<Previous>,
    /// Of which mailboxes it is told.
    pub filter: EventFilter,
}

/// What came of making a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Created {
    /// It is there.
    Made,
    /// The application has a webhook with that URL.
    UrlTaken,
    /// The application has [`WEBHOOKS_MAX`] of them.
    TooMany,
}

/// Makes a webhook that starts at the end of the log.
#[derive(Clone, Debug)]
pub struct CreateWebhook(pub Webhook);

impl Command for CreateWebhook {
    type Outcome = Created;

    async fn run(&self, tx: &mut Tx) -> Result<Created, DbError> {
        const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        const OTHER: &str = "SELECT 1 FROM webhooks WHERE application_id = $1 AND url = $2 AND channel = 'webhook'";
        const COUNT: &str = "SELECT count(*) FROM webhooks WHERE application_id = $1 AND channel = 'webhook'";
        const INSERT: &str = "INSERT INTO webhooks (id, application_id, url, description, triggers, secret, status, \
            notification_addresses, compressed, position, lease_until, owner, status_updated_at, created_at, updated_at, \
            include_junk, filters) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, position, CAST(0 AS {int}), '', $10, $10, \
            $10, $11, $12 FROM event_head WHERE one = 1";
        let hook = &self.0;
        let application = hook.application_id.uuid();
        // Whoever makes another one at the same time waits here.
        tx.query_one(LOCK, params![application]).await?;
        if tx.query_one(OTHER, params![application, &hook.url]).await?.is_some() {
            return Ok(Created::UrlTaken);
        }
        if tx.query_one(COUNT, params![application]).await?.map_or(Ok(0), |row| row.int(0))? >= WEBHOOKS_MAX {
            return Ok(Created::TooMany);
        }
        let (triggers, addresses) = (json(&hook.triggers), json(&hook.notification_addresses));
        let filters = filters_as_json(&hook.filter);
        let values = params![
            hook.id.uuid(),
            application,
            &hook.url,
            &hook.description,
            &triggers,
            hook.secret.expose(),
            &hook.status,
            &addresses,
            hook.compressed,
            hook.created_at.as_micros(),
            hook.include_junk,
            &filters
        ];
        tx.execute(INSERT, values).await?;
        tx.wake_webhooks();
        Ok(Created::Made)
    }
}

/// Changes what a subscriber may change; the whole of it is given. The secret stays: [`RotateSecret`] changes it.
#[derive(Clone, Debug)]
pub struct UpdateWebhook(pub Webhook);

impl Command for UpdateWebhook {
    /// False when there is no such webhook, or another has that URL.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const OTHER: &str = "SELECT 1 FROM webhooks WHERE application_id = $1 AND url = $2 AND id <> $3 \
            AND channel = 'webhook'";
        const UPDATE: &str = "UPDATE webhooks SET url = $3, description = $4, triggers = $5, status = $6, \
            notification_addresses = $7, compressed = $8, status_updated_at = $9, updated_at = $10, \
            include_junk = $11, filters = $12 WHERE id = $1 AND application_id = $2";
        let hook = &self.0;
        let (triggers, addresses) = (json(&hook.triggers), json(&hook.notification_addresses));
        let (id, application, filters) = (hook.id.uuid(), hook.application_id.uuid(), filters_as_json(&hook.filter));
        if tx.query_one(OTHER, params![application, &hook.url, id]).await?.is_some() {
            return Ok(false);
        }
        let values = params![
            id,
            application,
            &hook.url,
            &hook.description,
            &triggers,
            &hook.status,
            &addresses,
            hook.compressed,
            hook.status_updated_at.as_micros(),
            hook.updated_at.as_micros(),
            hook.include_junk,
            &filters
        ];
        tx.wake_webhooks();
        Ok(tx.execute(UPDATE, values).await? > 0)
    }
}

/// Gives a webhook a new secret. The one that it has signs beside it for a while; one before that signs no more.
#[derive(Clone, Debug)]
pub struct RotateSecret {
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: WebhookId,
    /// The new secret.
    pub secret: Secret<String>,
    /// Until when the old one signs, too: not at all if it is not after `at`.
    pub previous_until: UnixMicros,
    /// Now.
    pub at: UnixMicros,
}

impl Command for RotateSecret {
    /// The webhook with its new secret; nothing if there is none of that id.
    type Outcome = Option<Webhook>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Webhook>, DbError> {
        const ROTATE: &str = concat!(
            "UPDATE webhooks SET previous_secret = CASE WHEN CAST($4 AS {int}) > CAST($5 AS {int}) THEN secret ELSE '' END, previous_until = $4, \
             secret = $3, updated_at = $5 WHERE id = $1 AND application_id = $2 AND channel = 'webhook' RETURNING ",
            webhook_columns!()
        );
        let values = params![
            self.id.uuid(),
            self.application_id.uuid(),
            self.secret.expose(),
            self.previous_until.as_micros(),
            self.at.as_micros()
        ];
        tx.wake_webhooks();
        tx.query_one(ROTATE, values).await?.as_ref().map(read).transpose()
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
        previous: match row.text(17)? {
            secret if secret.is_empty() => None,
            secret => Some(Previous { secret: Secret::new(secret), until: UnixMicros::from_micros(row.int(18)?) }),
        },
        filter: read_filters(row.str(19)?),
    })
}

pub(crate) fn json(texts: &[String]) -> String {
    serde_json::Value::from(texts.to_vec()).to_string()
}

/// A filter as it is kept: empty if it means all.
fn filters_as_json(filter: &EventFilter) -> String {
    if filter.is_empty() {
        return String::new();
    }
    let grants: Vec<String> = filter.grants.iter().map(ToString::to_string).collect();
    let workspaces: Vec<String> = filter.workspaces.iter().map(ToString::to_string).collect();
    serde_json::json!({"grant_ids": grants, "workspace_ids": workspaces, "domains": filter.domains}).to_string()
}

fn read_filters(json: &str) -> EventFilter {
    let kept: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let texts = |field: &str| kept[field].as_array().into_iter().flatten().filter_map(|text| text.as_str());
    EventFilter {
        grants: texts("grant_ids").filter_map(|id| id.parse().ok()).collect(),
        workspaces: texts("workspace_ids").filter_map(|id| id.parse().ok()).collect(),
        domains: texts("domains").map(str::to_owned).collect(),
    }
}
