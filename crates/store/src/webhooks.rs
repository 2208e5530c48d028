//! Webhooks: who is told, up to which position of the event log, and what waits for another attempt.
//!
//! A webhook has one position in the log, not a row per delivery. What it did not take at once is in [`crate::lanes`].

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::gaps::Gap;
use crate::replays::{self, Replay};
use crate::{lanes, params, webhook_attempts};
use postfleet_core::event_filter::EventFilter;
use postfleet_core::id::{ApplicationId, GrantId, ReplayId, WebhookId, WorkspaceId};
use postfleet_core::{Secret, UnixMicros};
use std::time::Duration;

macro_rules! webhook_columns {
    () => {
        "id, application_id, url, description, triggers, secret, status, notification_addresses, compressed, \
         position, status_updated_at, created_at, updated_at, channel, from_grant_id, workspace_id, include_junk, \
         previous_secret, previous_until, filters, auto_resume, rate, ordered, gap_from, gap_to, gap_events"
    };
}
pub(crate) use webhook_columns;

/// How many columns these are.
pub(crate) const COLUMNS: usize = 26;

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

/// For how long it is known of a node that it was there once.
const NODES_KEPT: Duration = Duration::from_secs(86_400);

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
    /// The secret before the last one, if it was to sign for a while.
    pub previous: Option<Previous>,
    /// Of which mailboxes it is told.
    pub filter: EventFilter,
    /// Whether it is asked if it is back once it has failed, and then told again.
    pub auto_resume: bool,
    /// How many events a second it is told at most.
    pub rate: Option<u32>,
    /// Whether events of a mailbox wait for each other.
    pub ordered: bool,
    /// What was removed from the log before it was told of it; written by the pruning alone.
    pub gap: Option<Gap>,
    /// What it is told once more, where it is read for that: the position is then that of the replay.
    pub replay: Option<Replay>,
}

impl Webhook {
    /// One that is called from now on, of everything and in order, and wants nothing of that otherwise. It has no name, subscribes to
    /// nothing and signs with nothing.
    pub fn new(id: WebhookId, application_id: ApplicationId, url: String, now: UnixMicros) -> Self {
        Self {
            id,
            application_id,
            url,
            description: String::new(),
            triggers: Vec::new(),
            secret: Secret::new(String::new()),
            status: "active".to_owned(),
            notification_addresses: Vec::new(),
            compressed: false,
            position: 0,
            status_updated_at: now,
            created_at: now,
            updated_at: now,
            channel: Channel::Webhook,
            workspace_id: None,
            include_junk: false,
            previous: None,
            filter: EventFilter::default(),
            auto_resume: true,
            rate: None,
            ordered: true,
            gap: None,
            replay: None,
        }
    }

    /// Who reads the log: the webhook itself, or the replay that it is read for.
    pub fn reader(&self) -> WebhookId {
        self.replay.as_ref().map_or(self.id, |replay| WebhookId::from_uuid(replay.id.uuid()))
    }

    /// What it is counted as among the readers of the log.
    pub fn kind(&self) -> &'static str {
        if self.replay.is_some() { "replay" } else { self.channel.kind() }
    }
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
            include_junk, filters, auto_resume, rate, ordered) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, position, CAST(0 AS {int}), \
            '', $10, $10, $10, $11, $12, $13, $14, $15 FROM event_head WHERE one = 1";
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
            &filters,
            hook.auto_resume,
            hook.rate.map(i64::from),
            hook.ordered
        ];
        tx.execute(INSERT, values).await?;
        tx.wake_webhooks();
        Ok(Created::Made)
    }
}

/// Changes what a subscriber may change; the whole of it is given. The secret stays: [`RotateSecret`] changes it. So does
/// the status, if it has changed after `status_updated_at`: whoever read it before did not mean that one. With another
/// status it is judged anew how the webhook stands.
#[derive(Clone, Debug)]
pub struct UpdateWebhook(pub Webhook);

impl Command for UpdateWebhook {
    /// False when there is no such webhook, or another has that URL.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const OTHER: &str = "SELECT 1 FROM webhooks WHERE application_id = $1 AND url = $2 AND id <> $3 \
            AND channel = 'webhook'";
        const UPDATE: &str = "UPDATE webhooks SET url = $3, description = $4, triggers = $5, \
            notification_addresses = $7, compressed = $8, updated_at = $10, include_junk = $11, filters = $12, \
            auto_resume = $13, rate = $14, ordered = $15, \
            status = CASE WHEN status_updated_at > $9 THEN status ELSE $6 END, \
            status_updated_at = CASE WHEN status_updated_at > $9 THEN status_updated_at ELSE $9 END, \
            rests_until = CASE WHEN status_updated_at < $9 THEN 0 ELSE rests_until END, \
            failing_for = CASE WHEN status_updated_at < $9 THEN 0 ELSE failing_for END, \
            notice_at = CASE WHEN status_updated_at < $9 THEN 0 ELSE notice_at END \
            WHERE id = $1 AND application_id = $2";
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
            &filters,
            hook.auto_resume,
            hook.rate.map(i64::from),
            hook.ordered
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
        lanes::forget(tx, self.id).await?;
        replays::forget(tx, self.id).await?;
        webhook_attempts::forget(tx, self.id).await?;
        tx.wake_webhooks();
        Ok(true)
    }
}

/// Takes webhooks until `until`: those that this node already works for, and then those that nobody works for, but no more than
/// its share among the nodes that have asked within their leases. What it has beyond that is not renewed: it goes to another node when it
/// is given back, or when its lease ends.
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
             WHERE (owner = $1 OR lease_until <= $3) AND status IN ('active', 'failing') AND id IN (SELECT id FROM webhooks \
             WHERE (owner = $1 OR lease_until <= $3) AND status IN ('active', 'failing') \
             ORDER BY CASE WHEN owner = $1 AND lease_until > $3 THEN 0 ELSE 1 END, id LIMIT $4) RETURNING ",
            webhook_columns!()
        );
        let share = self.share(tx).await?;
        let values = params![&self.owner, self.until.as_micros(), self.now.as_micros(), share];
        tx.query(LEASE, values).await?.iter().map(read).collect()
    }
}

impl LeaseWebhooks {
    /// How many webhooks this node works for at most, now that the others know of it.
    async fn share(&self, tx: &mut Tx) -> Result<i64, DbError> {
        const COME: &str = "INSERT INTO webhook_nodes (owner, seen_until) VALUES ($1, $2) \
            ON CONFLICT (owner) DO UPDATE SET seen_until = excluded.seen_until";
        const FORGET: &str = "DELETE FROM webhook_nodes WHERE seen_until < $1";
        const COUNT: &str = "SELECT (SELECT count(*) FROM webhooks WHERE status IN ('active', 'failing')), \
            (SELECT count(*) FROM webhook_nodes WHERE seen_until > $1)";
        tx.execute(COME, params![&self.owner, self.until.as_micros()]).await?;
        tx.execute(FORGET, params![self.now.minus(NODES_KEPT).as_micros()]).await?;
        let row = tx.query_one(COUNT, params![self.now.as_micros()]).await?.ok_or(DbError::Malformed("count"))?;
        let (webhooks, nodes) = (row.count(0)?, row.count(1)?.max(1));
        Ok(i64::try_from(webhooks.div_ceil(nodes)).unwrap_or(i64::MAX))
    }
}

/// Gives back what a node works for no more, so that another can take it at once.
#[derive(Clone, Debug)]
pub struct ReleaseReader {
    /// The node; what is another's is left alone.
    pub owner: String,
    /// The webhook.
    pub webhook: WebhookId,
    /// The replay, if it is one that is given back.
    pub replay: Option<ReplayId>,
}

impl Command for ReleaseReader {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const WEBHOOK: &str = "UPDATE webhooks SET lease_until = 0 WHERE id = $1 AND owner = $2";
        const REPLAY: &str = "UPDATE webhook_replays SET lease_until = 0 WHERE id = $1 AND owner = $2";
        match self.replay {
            Some(id) => tx.execute(REPLAY, params![id.uuid(), &self.owner]).await?,
            None => tx.execute(WEBHOOK, params![self.webhook.uuid(), &self.owner]).await?,
        };
        Ok(())
    }
}

/// A node takes no webhooks any more: the others share them all.
#[derive(Clone, Debug)]
pub struct LeaveWebhooks {
    /// The node.
    pub owner: String,
}

impl Command for LeaveWebhooks {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const LEAVE: &str = "DELETE FROM webhook_nodes WHERE owner = $1";
        tx.execute(LEAVE, params![&self.owner]).await?;
        Ok(())
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
        previous: match row.text(17)? {
            secret if secret.is_empty() => None,
            secret => Some(Previous { secret: Secret::new(secret), until: UnixMicros::from_micros(row.int(18)?) }),
        },
        filter: read_filters(row.str(19)?),
        auto_resume: row.flag(20)?,
        rate: row.opt_int(21)?.and_then(|rate| u32::try_from(rate).ok()),
        ordered: row.flag(22)?,
        gap: Gap::read(row.int(23)?, row.int(24)?, row.count(25)?),
        replay: None,
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
