//! Why mail did not arrive: reading what a mailbox did not take.

use crate::pages;
use postfleet_core::id::{GrantId, RefusalId};
use postfleet_core::{EmailAddress, Problem, UnixMicros, refused_mail};
use postfleet_schema::refused_mail::RefusedMail;
use postfleet_store::Store;
use postfleet_store::refused_mail::{self as store, Page, Refused};

/// Which refusals are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Of which mailbox.
    pub grant_id: GrantId,
    /// From whom, by the envelope or by what the message said.
    pub sender: Option<&'a str>,
    /// For which reason.
    pub code: Option<&'a str>,
    /// How many at most.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<&'a str>,
}

/// A page of what a mailbox did not take, newest first, and the cursor of the next one.
pub async fn list(store: &Store, asked: Asked<'_>) -> Result<pages::Page<RefusedMail>, Problem> {
    let wrong = |error| Problem::invalid("sender", format!("sender must be an address: {error}"));
    let sender = asked.sender.map(EmailAddress::parse).transpose().map_err(wrong)?.map(|sender| sender.key());
    let before = pages::after::<RefusalId>(asked.cursor)?;
    let (grant_id, code, limit) = (asked.grant_id, asked.code, asked.limit);
    let page = Page { grant_id, sender: sender.as_deref(), code, before, limit: limit + 1 };
    let found = store::list(&mut store.reader().await?, page).await?;
    Ok(pages::cut(found, limit, |refused| refused.id).map(show))
}

fn show(refused: Refused) -> RefusedMail {
    let scope = refused.scope.as_deref();
    RefusedMail {
        id: refused.id.to_string(),
        grant_id: refused.grant_id.to_string(),
        limit: refused_mail::limit_name(&refused.code, scope),
        change: refused_mail::change(&refused.code, scope),
        stage: refused.stage,
        outcome: refused.outcome,
        code: refused.code,
        message: refused.message,
        sender: refused.sender,
        author: refused.author,
        recipient: refused.recipient,
        message_id_header: refused.message_id_header,
        size: refused.octets,
        ip: refused.ip,
        scope: refused.scope,
        maximum: refused.maximum,
        used: refused.used,
        resets_at: refused.resets_at.map(UnixMicros::as_seconds_up),
        rule_evaluation_id: refused.evaluation_id.map(|id| id.to_string()),
        times: refused.times,
        refused_at: refused.at.as_seconds(),
        last_refused_at: refused.last_at.as_seconds(),
    }
}
