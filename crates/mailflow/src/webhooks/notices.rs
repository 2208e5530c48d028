//! Telling people by mail that a webhook is failing, that it has failed, and that it is told again: those whom its subscriber
//! has named, from the mailbox that the operator has named, by the one door for all sending.
//!
//! A notice follows a change of the status alone, and once, so that none leads to another although what it leaves behind is
//! in the log as well.

use crate::alerts::{letter, said};
use crate::platform::Platform;
use postfleet_core::readers::Standing;
use postfleet_core::{EmailAddress, Problem};
use postfleet_store::grants::{self, Grant};
use postfleet_store::standing::{Notice, SettleNotice, TakeNotices, trigger};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// When a notice is tried again that was refused.
const AGAIN_AFTER: Duration = Duration::from_secs(15 * 60);

/// After which it is old news.
const GIVE_UP_AFTER: Duration = Duration::from_secs(86_400);

/// Notices that are sent in one round.
const NOTICES_MAX: usize = 16;

/// Sends what is due; whether there may be more at once.
pub async fn notify_once(platform: &Platform) -> Result<bool, Problem> {
    let Some(address) = &platform.settings.webhook_notices_from else { return Ok(false) };
    let now = platform.clock.now();
    let command = TakeNotices { now, again: now.plus(AGAIN_AFTER), limit: NOTICES_MAX };
    let notices = platform.store.run(command).await?;
    if notices.is_empty() {
        return Ok(false);
    }
    let from = mailbox(platform, address).await?;
    if from.is_none() {
        tracing::warn!(
            "webhooks.notices_from is no mailbox of this installation: nobody is told of webhooks that fail"
        );
    }
    for notice in &notices {
        tell(platform, from.as_ref(), notice).await?;
    }
    Ok(notices.len() == NOTICES_MAX)
}

async fn tell(platform: &Platform, from: Option<&Grant>, notice: &Notice) -> Result<(), Problem> {
    let hook = &notice.webhook;
    let mut is_told = from.is_some();
    // Who got it does not get it again when it is tried for the others.
    for to in &hook.notification_addresses {
        let Some(from) = from else { break };
        if let Err(problem) = send(platform, from, notice, to).await {
            tracing::warn!(webhook.id = %hook.id, code = problem.code, cause = ?problem.cause,
                "a notice that a webhook fails was refused: {problem}");
            is_told &= !problem.is_retryable();
        }
    }
    let is_old = platform.clock.now().since(hook.status_updated_at) >= GIVE_UP_AFTER;
    if is_told || is_old {
        platform.store.run(SettleNotice { id: hook.id, since: hook.status_updated_at }).await?;
    }
    Ok(())
}

async fn send(platform: &Platform, from: &Grant, notice: &Notice, to: &str) -> Result<(), Problem> {
    let (hook, standing) = (&notice.webhook, notice.standing);
    let since = hook.status_updated_at;
    let once = format!("webhook {} {} {} to {to}", hook.id, standing.name(), since.as_micros());
    let facts = json!({
        "id": hook.id.to_string(),
        "description": hook.description,
        "host": crate::alerts::host(&hook.url),
        "status": standing.name(),
        "status_updated_at": since.as_seconds(),
        "auto_resume": (standing == Standing::Failed).then_some(hook.auto_resume),
    });
    letter(platform, from, Sha256::digest(once).into(), to.to_owned(), said(trigger(standing), &facts)).await
}

/// The mailbox that sends.
async fn mailbox(platform: &Platform, address: &EmailAddress) -> Result<Option<Grant>, Problem> {
    let mut reader = platform.store.reader().await?;
    let Some(found) = grants::receiving(&mut reader, address).await? else { return Ok(None) };
    Ok(grants::find(&mut reader, found.application_id, found.grant_id).await?)
}
