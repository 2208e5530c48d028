//! Alerts: people who are told of events, by e-mail or in a chat. Beside webhooks in their table, with a position in the log
//! of their own, so that what keeps webhooks from losing an event keeps these, too.

use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::webhooks::{Channel, Webhook, json as list_of, read, webhook_columns};
use crate::{lanes, params};
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, WebhookId};
use serde_json::json;

/// Alerts of one application. All of them are one answer.
pub const ALERTS_MAX: i64 = 100;

/// Makes an alert, which is told of what happens from now on.
#[derive(Clone, Debug)]
pub struct CreateAlert {
    /// Who, and when.
    pub act: Act,
    /// The alert: of a channel for people.
    pub alert: Webhook,
}

impl Command for CreateAlert {
    /// False when there are as many as there may be.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        const COUNT: &str = "SELECT count(*) FROM webhooks WHERE application_id = $1 AND channel <> 'webhook'";
        const INSERT: &str = "INSERT INTO webhooks (id, application_id, url, description, triggers, secret, status, \
            notification_addresses, compressed, position, lease_until, owner, status_updated_at, created_at, updated_at, \
            channel, from_grant_id, workspace_id) SELECT $1, $2, $3, $4, $5, '', 'active', '[]', $10, position, \
            CAST(0 AS {int}), '', $6, $6, $6, $7, $8, $9 FROM event_head WHERE one = 1";
        let alert = &self.alert;
        let application = alert.application_id.uuid();
        tx.query_one(LOCK, params![application]).await?;
        let count = tx.query_one(COUNT, params![application]).await?.map_or(Ok(0), |row| row.int(0))?;
        if count >= ALERTS_MAX {
            return Ok(false);
        }
        let triggers = list_of(&alert.triggers);
        let from = match alert.channel {
            Channel::Email(grant) => Some(grant.uuid()),
            _ => None,
        };
        let values = params![
            alert.id.uuid(),
            application,
            &alert.url,
            &alert.description,
            &triggers,
            alert.created_at.as_micros(),
            alert.channel.name(),
            from,
            alert.workspace_id.map(|id| id.uuid()),
            false
        ];
        tx.execute(INSERT, values).await?;
        record(tx, &self.act, "alert.created", alert, false).await?;
        tx.wake_webhooks();
        Ok(true)
    }
}

/// Removes an alert, and what waits for it.
#[derive(Clone, Debug)]
pub struct RemoveAlert {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: WebhookId,
}

impl Command for RemoveAlert {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = concat!(
            "DELETE FROM webhooks WHERE id = $1 AND application_id = $2 AND channel <> 'webhook' RETURNING ",
            webhook_columns!()
        );
        let row = tx.query_one(REMOVE, params![self.id.uuid(), self.application_id.uuid()]).await?;
        let Some(old) = row.as_ref().map(read).transpose()? else { return Ok(false) };
        lanes::forget(tx, self.id).await?;
        record(tx, &self.act, "alert.removed", &old, true).await?;
        tx.wake_webhooks();
        Ok(true)
    }
}

/// The record of an alert that is new or gone. The address of a chat is a secret, and is not in it.
async fn record(tx: &mut Tx, act: &Act, action: &'static str, alert: &Webhook, is_gone: bool) -> Result<(), DbError> {
    let facts = json!({
        "type": alert.channel.name(),
        "email": alert.url.strip_prefix("mailto:"),
        "from_grant_id": match alert.channel { Channel::Email(grant) => Some(grant.to_string()), _ => None },
        "trigger_types": alert.triggers,
        "workspace_id": alert.workspace_id.map(|id| id.to_string()),
        "description": alert.description,
    })
    .to_string();
    let id = alert.id.to_string();
    let (before, after) = if is_gone { (Some(facts.as_str()), None) } else { (None, Some(facts.as_str())) };
    audit::record(tx, act, Change { action, target_kind: "alert", target_id: &id, before, after }).await
}

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    webhook_columns!(),
    " FROM webhooks WHERE application_id = $1 AND channel <> 'webhook' ORDER BY created_at, id"
);

/// An application's alerts, oldest first.
pub async fn list(reader: &mut Reader<'_>, application: ApplicationId) -> Result<Vec<Webhook>, StoreError> {
    let rows = reader.query(LIST, params![application.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Finds an alert of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: WebhookId,
) -> Result<Option<Webhook>, StoreError> {
    const FIND: &str = concat!(
        "SELECT ",
        webhook_columns!(),
        " FROM webhooks WHERE id = $1 AND application_id = $2 AND channel <> 'webhook'"
    );
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}
