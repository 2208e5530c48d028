//! Asking webhooks that have failed whether they are back. No event leaves for that: they are to echo a challenge, twice.

use super::manage::challenge;
use super::standing::stands;
use crate::platform::Platform;
use futures::future::try_join_all;
use postfleet_core::Problem;
use postfleet_core::readers::Standing;
use postfleet_store::standing::{AskFailed, NoteEcho, ResumeWebhook};
use postfleet_store::webhooks::Webhook;
use std::time::Duration;

/// How often a webhook that has failed is asked.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(15 * 60);

/// After what time one that has said yes is asked once more.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Webhooks that are asked at once.
const ASKED_MAX: usize = 16;

/// Asks those whose time has come; whether there may be more at once.
pub async fn resume_once(platform: &Platform) -> Result<bool, Problem> {
    let now = platform.clock.now();
    let command = AskFailed { now, again: now.plus(ASK_EVERY), limit: ASKED_MAX };
    let asked = platform.store.run(command).await?;
    let is_full = asked.len() == ASKED_MAX;
    try_join_all(asked.into_iter().map(|asked| ask(platform, asked.webhook, asked.echoed_at.is_some()))).await?;
    Ok(is_full)
}

/// Asks one. The two echoes must follow each other: one of them alone says little.
async fn ask(platform: &Platform, webhook: Webhook, has_echoed: bool) -> Result<(), Problem> {
    let is_back = challenge(platform, &webhook.url).await.is_ok();
    let (id, at) = (webhook.id, platform.clock.now());
    if is_back && has_echoed {
        let is_resumed = platform.store.run(ResumeWebhook(stands(platform, &webhook, Standing::Active))).await?;
        if is_resumed {
            tracing::info!(webhook.id = %id, "a webhook that had failed is back");
        }
    } else if is_back {
        platform.store.run(NoteEcho { id, echoed_at: Some(at), ask_at: at.plus(AGAIN_AFTER) }).await?;
    } else if has_echoed {
        platform.store.run(NoteEcho { id, echoed_at: None, ask_at: at.plus(ASK_EVERY) }).await?;
    }
    Ok(())
}
