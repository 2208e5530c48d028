//! Learning from what was moved: after the move, outside of its transaction, a few messages at a time.

use super::look_at;
use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_mail::message::Parsed;
use postfleet_store::messages;
use postfleet_store::spam::{self, Due, LearnSpam};
use std::collections::BTreeMap;

/// Messages that are learned at once.
const MESSAGES_MAX: usize = 50;

/// Learns some of what waits, all of it of one application; answers whether there may be more. Several nodes may do this:
/// each message is learned once for each state in which it is left.
pub async fn learn_once(platform: &Platform) -> Result<bool, Problem> {
    let due = spam::due(&mut platform.store.reader().await?, MESSAGES_MAX).await?;
    let Some(application_id) = due.first().map(|due| due.application_id) else { return Ok(false) };
    let is_full = due.len() == MESSAGES_MAX;
    let mut found: BTreeMap<usize, Option<Vec<u64>>> = BTreeMap::new();
    for (number, one) in due.iter().enumerate() {
        found.insert(number, words(platform, one).await?);
    }
    let messages = due.into_iter().zip(found.into_values()).collect();
    let learned = platform.store.run(LearnSpam { application_id, messages, at: platform.clock.now() }).await?;
    if learned > 0 {
        platform.spam.models.forget(application_id);
        platform.metrics.learned_spam(learned as u64);
    }
    Ok(is_full)
}

/// The words of a message; nothing if it is gone, or its body cannot be read.
async fn words(platform: &Platform, due: &Due) -> Result<Option<Vec<u64>>, Problem> {
    let found = messages::find_with_body(&mut platform.store.reader().await?, due.grant_id, due.message_id).await?;
    let Some((_, blob)) = found else { return Ok(None) };
    match platform.store.blobs().load(&blob).await {
        Ok(raw) => Ok(Some(look_at(platform, &Parsed::read(&raw)).tokens)),
        Err(error) => {
            tracing::warn!(message = %due.message_id, %error, "a message that was moved cannot be read to learn from it");
            Ok(None)
        }
    }
}
