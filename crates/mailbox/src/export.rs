//! All that a mailbox holds but drafts, oldest first, octet for octet: for whoever takes it elsewhere.

use crate::cursor;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::import::PortableMessage;
use postfleet_store::Store;
use postfleet_store::messages::{self, After};

/// Octets of messages after which a page ends, though never before it has one.
const PAGE_OCTETS: u64 = 8 << 20;

/// Rows that are read at once, each with its body.
const ROWS: usize = 10;

/// A page of a mailbox after a cursor, and the cursor of what comes next: there is one as long as the page has something, so
/// that who keeps the last one can ask later what has come since.
pub async fn page(
    store: &Store,
    grant: GrantId,
    cursor: Option<&str>,
    limit: usize,
) -> Result<(Vec<PortableMessage>, Option<String>), Problem> {
    let mut after = After { date: UnixMicros::from_micros(i64::MIN), id: MessageId::from_uuid(uuid::Uuid::nil()) };
    if let Some(text) = cursor {
        let (date, id) = cursor::read(text)?;
        after = After { date, id: MessageId::from_uuid(uuid::Uuid::from_bytes(id)) };
    }
    let mut reader = store.reader().await?;
    let (mut page, mut octets) = (Vec::new(), 0);
    while page.len() < limit && octets < PAGE_OCTETS {
        let wanted = ROWS.min(limit - page.len());
        let rows = messages::export(&mut reader, grant, after, wanted).await?;
        let is_end = rows.len() < wanted;
        for (stored, blob) in rows {
            if octets >= PAGE_OCTETS {
                break;
            }
            let raw = store.blobs().load(&blob).await?;
            octets += stored.octets;
            after = After { date: stored.date, id: stored.id };
            page.push(PortableMessage {
                folder: stored.folders.into_iter().next().unwrap_or_default(),
                received_at: Some(stored.date.as_seconds()),
                unread: stored.unread,
                starred: stored.starred,
                raw_mime: URL_SAFE.encode(raw),
            });
        }
        if is_end {
            break;
        }
    }
    let next = (!page.is_empty()).then(|| cursor::write(after.date, after.id.uuid().as_bytes()));
    Ok((page, next))
}
