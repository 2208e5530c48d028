//! How webhooks stand: failing, failed, or well again. Who has failed is told of nothing, and asked now and then whether it
//! is back.

use crate::db::{DbError, Row};
use crate::engine::{Command, Tx};
use crate::events::NewEvent;
use crate::params;
use crate::webhooks::{self, Webhook, webhook_columns};
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::id::{EventId, GrantId, WebhookId};
use postfleet_core::readers::Standing;
use serde_json::json;
use uuid::Uuid;

/// A change of how a webhook stands, which is announced.
#[derive(Clone, Debug)]
pub struct Stands {
    /// The webhook.
    pub id: WebhookId,
    /// How it stands now.
    pub to: Standing,
    /// The host of its address, for people: the rest of it may be a password.
    pub host: String,
    /// The id of the event that says so.
    pub event_id: EventId,
    /// When.
    pub at: UnixMicros,
    /// Whether those who are named at the webhook are to be told by mail.
    pub is_mailed: bool,
}

/// Writes down how a webhook stands that this node works for.
#[derive(Clone, Debug)]
pub struct ChangeStanding {
    /// The node that holds its lease.
    pub owner: String,
    /// What changes.
    pub stands: Stands,
    /// When it is first asked whether it is back, if it has failed.
    pub ask_at: UnixMicros,
}

impl Command for ChangeStanding {
    /// False when it stands so already, was paused, or the lease has gone to another node.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const CHANGE: &str = "UPDATE webhooks SET ask_at = $2, echoed_at = 0 WHERE id = $1";
        let Some(before) = find(tx, self.stands.id).await? else { return Ok(false) };
        let is_owned = before.owner == self.owner && matches!(before.standing, Standing::Active | Standing::Failing);
        if !is_owned || before.standing == self.stands.to {
            return Ok(false);
        }
        stand(tx, &before, &self.stands).await?;
        tx.execute(CHANGE, params![self.stands.id.uuid(), self.ask_at.as_micros()]).await?;
        Ok(true)
    }
}

/// Tells a webhook again that had failed, from where it was.
#[derive(Clone, Debug)]
pub struct ResumeWebhook(pub Stands);

impl Command for ResumeWebhook {
    /// False when it has not failed.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const BEGIN: &str = "UPDATE webhooks SET rests_until = 0, failing_for = 0, echoed_at = 0 WHERE id = $1";
        let Some(before) = find(tx, self.0.id).await? else { return Ok(false) };
        if before.standing != Standing::Failed {
            return Ok(false);
        }
        stand(tx, &before, &self.0).await?;
        tx.execute(BEGIN, params![self.0.id.uuid()]).await?;
        Ok(true)
    }
}

/// How a webhook stood before.
struct Before {
    standing: Standing,
    owner: String,
    webhook: Webhook,
}

/// A webhook that is not paused; no other change of it is made meanwhile.
async fn find(tx: &mut Tx, id: WebhookId) -> Result<Option<Before>, DbError> {
    const FIND: &str =
        concat!("SELECT ", webhook_columns!(), ", owner FROM webhooks WHERE id = $1 AND channel = 'webhook' {lock}");
    let Some(row) = tx.query_one(FIND, params![id.uuid()]).await? else { return Ok(None) };
    let webhook = webhooks::read(&row)?;
    let owner = row.text(webhooks::COLUMNS)?;
    Ok(Standing::named(&webhook.status).map(|standing| Before { standing, owner, webhook }))
}

async fn stand(tx: &mut Tx, before: &Before, stands: &Stands) -> Result<(), DbError> {
    const STAND: &str =
        "UPDATE webhooks SET status = $2, status_updated_at = $3, notice = $4, notice_at = $5 WHERE id = $1";
    let (hook, to) = (&before.webhook, stands.to.name());
    // That it takes something again is no news but to those who have heard that it is not told any more.
    let is_news = stands.to != Standing::Active || before.standing == Standing::Failed;
    let is_mailed = stands.is_mailed && is_news && !hook.notification_addresses.is_empty();
    let (notice, notice_at) = if is_mailed { (to, stands.at.as_micros()) } else { ("", 0) };
    tx.execute(STAND, params![hook.id.uuid(), to, stands.at.as_micros(), notice, notice_at]).await?;
    tx.announce(NewEvent {
        id: stands.event_id,
        application_id: hook.application_id,
        grant_id: GrantId::from_uuid(Uuid::nil()),
        grant_sequence: 0,
        trigger: trigger(stands.to),
        message_id: None,
        data: facts(hook, before.standing, stands).to_string(),
        at: stands.at,
    });
    tx.wake_webhooks();
    Ok(())
}

/// What is announced when a webhook stands so.
pub const fn trigger(standing: Standing) -> Trigger {
    match standing {
        Standing::Active => Trigger::WebhookResumed,
        Standing::Failing => Trigger::WebhookFailing,
        Standing::Failed => Trigger::WebhookFailed,
    }
}

fn facts(hook: &Webhook, before: Standing, stands: &Stands) -> serde_json::Value {
    json!({
        "object": "webhook",
        "id": hook.id.to_string(),
        "grant_id": "",
        "description": hook.description,
        "host": stands.host,
        "status": stands.to.name(),
        "previous_status": before.name(),
        "status_updated_at": stands.at.as_seconds(),
    })
}

/// A webhook that has failed.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which.
    pub webhook: Webhook,
    /// When it has said yes the last time, if it has.
    pub echoed_at: Option<UnixMicros>,
}

pub(crate) const FAILED: &str =
    "SELECT id FROM webhooks WHERE status = 'failed' AND auto_resume = 1 AND ask_at <= $1 ORDER BY ask_at LIMIT $2";

/// Takes webhooks that have failed and are to be asked whether they are back.
#[derive(Clone, Copy, Debug)]
pub struct AskFailed {
    /// Now.
    pub now: UnixMicros,
    /// When they are asked again.
    pub again: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for AskFailed {
    type Outcome = Vec<Asked>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Asked>, DbError> {
        // Another node may have taken it meanwhile: hence the time once more.
        const TAKE: &str = concat!(
            "UPDATE webhooks SET ask_at = $2 WHERE id = $1 AND status = 'failed' AND ask_at <= $3 RETURNING ",
            webhook_columns!(),
            ", echoed_at"
        );
        let mut asked = Vec::new();
        for row in tx.query(FAILED, params![self.now.as_micros(), self.limit as i64]).await? {
            let values = params![row.uuid(0)?, self.again.as_micros(), self.now.as_micros()];
            asked.extend(tx.query_one(TAKE, values).await?.as_ref().map(read_asked).transpose()?);
        }
        Ok(asked)
    }
}

fn read_asked(row: &Row) -> Result<Asked, DbError> {
    let echoed_at = Some(row.int(webhooks::COLUMNS)?).filter(|at| *at > 0).map(UnixMicros::from_micros);
    Ok(Asked { webhook: webhooks::read(row)?, echoed_at })
}

/// Writes down what a webhook that has failed has answered when it was asked, and when it is asked again.
#[derive(Clone, Copy, Debug)]
pub struct NoteEcho {
    /// The webhook.
    pub id: WebhookId,
    /// When it has said that it is back; `None` if it did not.
    pub echoed_at: Option<UnixMicros>,
    /// When it is asked again.
    pub ask_at: UnixMicros,
}

impl Command for NoteEcho {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const NOTE: &str = "UPDATE webhooks SET echoed_at = $2, ask_at = $3 WHERE id = $1 AND status = 'failed'";
        let echoed_at = self.echoed_at.map_or(0, UnixMicros::as_micros);
        tx.execute(NOTE, params![self.id.uuid(), echoed_at, self.ask_at.as_micros()]).await?;
        Ok(())
    }
}

/// People are to be told by mail how a webhook stands.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The webhook: whom to tell, and since when it stands so.
    pub webhook: Webhook,
    /// How it stands.
    pub standing: Standing,
}

pub(crate) const NOTICES: &str =
    "SELECT id FROM webhooks WHERE notice_at > 0 AND notice_at <= $1 ORDER BY notice_at LIMIT $2";

/// Takes notices that are to be sent.
#[derive(Clone, Copy, Debug)]
pub struct TakeNotices {
    /// Now.
    pub now: UnixMicros,
    /// When they are tried again.
    pub again: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for TakeNotices {
    type Outcome = Vec<Notice>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Notice>, DbError> {
        const TAKE: &str = concat!(
            "UPDATE webhooks SET notice_at = $2 WHERE id = $1 AND notice_at > 0 AND notice_at <= $3 RETURNING ",
            webhook_columns!(),
            ", notice"
        );
        let mut notices = Vec::new();
        for row in tx.query(NOTICES, params![self.now.as_micros(), self.limit as i64]).await? {
            let values = params![row.uuid(0)?, self.again.as_micros(), self.now.as_micros()];
            let Some(row) = tx.query_one(TAKE, values).await? else { continue };
            let standing = Standing::named(row.str(webhooks::COLUMNS)?).ok_or(DbError::Malformed("notice"))?;
            notices.push(Notice { webhook: webhooks::read(&row)?, standing });
        }
        Ok(notices)
    }
}

/// A notice was sent, or is not sent any more.
#[derive(Clone, Copy, Debug)]
pub struct SettleNotice {
    /// The webhook.
    pub id: WebhookId,
    /// Since when it stood so; a notice of something later stays.
    pub since: UnixMicros,
}

impl Command for SettleNotice {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const SETTLE: &str = "UPDATE webhooks SET notice = '', notice_at = 0 WHERE id = $1 AND status_updated_at = $2";
        tx.execute(SETTLE, params![self.id.uuid(), self.since.as_micros()]).await?;
        Ok(())
    }
}
