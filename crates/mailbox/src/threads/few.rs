//! The threads in which a message may be as wanted, where these are few: found by what is kept of metadata, or by the term index. What is
//! in none of them, and drafts, are looked at.

use crate::filter::Matcher;
use crate::gathered::Gathered;
use crate::messages::Filter;
use crate::plan::{self, FEW};
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_core::search::narrow::Clause;
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::messages::{After, Page};
use postfleet_store::{Reader, StoreError, messages, metadata, search};
use std::collections::BTreeSet;

/// Messages of segments whose threads are told.
const KEYS_MAX: usize = 5_000;

/// Their ids; nothing if there may be many. Folders are ids.
pub(super) async fn threads(
    reader: &mut Reader<'_>,
    grant: GrantId,
    wanted: &Filter,
) -> Result<Option<BTreeSet<ThreadId>>, Problem> {
    for (key, value) in &wanted.metadata {
        let places = metadata::places(reader, &from("", EVER, grant), metadata::number(key, value)).await?;
        if places.len() < FEW {
            return Ok(Some(of_messages(reader, grant, places).await?));
        }
    }
    let clauses = plan::clauses(&Matcher::of(wanted));
    if clauses.is_empty() {
        return Ok(None);
    }
    reader.freeze().await?;
    let found = with_terms(reader, grant, wanted, clauses).await?;
    reader.thaw().await?;
    Ok(found)
}

const EVER: UnixMicros = UnixMicros::from_micros(i64::MIN);

fn from(folder: &str, newer_than: UnixMicros, grant_id: GrantId) -> Page<'_> {
    Page { grant_id, folder, after: After::START, newer_than, limit: FEW }
}

async fn with_terms(
    reader: &mut Reader<'_>,
    grant: GrantId,
    wanted: &Filter,
    clauses: Vec<Clause>,
) -> Result<Option<BTreeSet<ThreadId>>, StoreError> {
    let Some(until) = search::searched_until(reader, grant).await? else { return Ok(None) };
    let mut found = BTreeSet::new();
    let of_drafts = Filter { drafts: true, ..wanted.clone() };
    for (folder, newer_than, wanted) in [("", until, wanted), (SystemFolder::Drafts.id(), EVER, &of_drafts)] {
        let all = messages::list_page_without_bodies(reader, &from(folder, newer_than, grant)).await?;
        if all.len() == FEW {
            return Ok(None);
        }
        let matcher = Matcher::of(wanted);
        found.extend(all.iter().filter(|one| matcher.matches(one)).map(|one| one.thread_id));
    }
    let mut gathered = Gathered::open(reader, grant, clauses, (After::START, EVER)).await?;
    let keys = gathered.take(reader, KEYS_MAX).await?;
    if keys.len() == KEYS_MAX {
        return Ok(None);
    }
    found.extend(keys.iter().filter_map(|key| key.thread));
    let late = keys.iter().filter(|key| key.thread.is_none()).map(|key| key.place).collect();
    found.extend(of_messages(reader, grant, late).await?);
    Ok(Some(found).filter(|found| found.len() <= FEW))
}

async fn of_messages(
    reader: &mut Reader<'_>,
    grant: GrantId,
    places: Vec<After>,
) -> Result<BTreeSet<ThreadId>, StoreError> {
    let ids: Vec<MessageId> = places.iter().map(|place| place.id).collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(messages::named(reader, grant, &ids).await?.into_iter().map(|message| message.thread_id).collect())
}
