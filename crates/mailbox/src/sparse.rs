//! The way to messages that few others stand between: by what is kept of metadata, or by the term index. What indexes do not say of
//! folders, flags and further pairs is asked of them place by place, before a message is read.

use crate::filter::Matcher;
use crate::gathered::{Gathered, Key};
use crate::messages::Filter;
use crate::streams::{Candidate, Step};
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_store::listings;
use postfleet_store::messages::{After, Page};
use postfleet_store::{Reader, StoreError, metadata};
use std::collections::HashSet;

/// Candidates by an index, newest first.
#[derive(Debug)]
pub(crate) struct Sparse {
    keys: Keys,
    /// Pairs that all of them have to have.
    pairs: Vec<i64>,
    after: After,
    newer_than: UnixMicros,
    ended: bool,
}

#[derive(Debug)]
enum Keys {
    Paired(i64),
    Gathered(Box<Gathered>),
}

impl Sparse {
    /// Those that have the first of some pairs; the others are asked for.
    pub(crate) fn paired(pairs: &[i64], after: After, newer_than: UnixMicros) -> Option<Self> {
        let (first, others) = pairs.split_first()?;
        Some(Self { keys: Keys::Paired(*first), pairs: others.to_vec(), after, newer_than, ended: false })
    }

    /// Those that the term index knows.
    pub(crate) fn gathered(gathered: Gathered, pairs: &[i64], after: After, newer_than: UnixMicros) -> Self {
        Self { keys: Keys::Gathered(Box::new(gathered)), pairs: pairs.to_vec(), after, newer_than, ended: false }
    }

    /// Whether nothing follows.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The last place that was looked at.
    pub(crate) fn last(&self) -> After {
        self.after
    }

    /// Looks at the next places, about so many.
    pub(crate) async fn next(
        &mut self,
        reader: &mut Reader<'_>,
        grant: GrantId,
        (filter, matcher): (&Filter, &Matcher<'_>),
        wanted: usize,
    ) -> Result<Step, StoreError> {
        let mut keys = self.take(reader, grant, wanted).await?;
        let looked_at = keys.len();
        self.ended = looked_at < wanted;
        if let Some(last) = keys.last() {
            self.after = last.place;
        }
        keys.retain(|key| filter.thread_id.is_none_or(|wanted| key.thread.is_none_or(|thread| thread == wanted)));
        let mut places: Vec<After> = keys.into_iter().map(|key| key.place).collect();
        for pair in &self.pairs {
            if !places.is_empty() {
                let among = metadata::among_places(reader, grant, *pair, &places).await?;
                retain(&mut places, among.iter().map(|place| place.id));
            }
        }
        if !places.is_empty() && (!filter.folders.is_empty() || !matcher.takes_any_flags()) {
            let listed = listed(reader, grant, (filter, matcher), &places).await?;
            retain(&mut places, listed.into_iter());
        }
        let candidates = places.into_iter().map(|place| Candidate { place, stored: None }).collect();
        Ok(Step { candidates, looked_at })
    }

    async fn take(&mut self, reader: &mut Reader<'_>, grant: GrantId, limit: usize) -> Result<Vec<Key>, StoreError> {
        match &mut self.keys {
            Keys::Gathered(gathered) => gathered.take(reader, limit).await,
            Keys::Paired(pair) => {
                let Self { after, newer_than, .. } = *self;
                let page = Page { grant_id: grant, folder: "", after, newer_than, limit };
                let places = metadata::places(reader, &page, *pair).await?;
                Ok(places.into_iter().map(|place| Key { place, thread: None }).collect())
            }
        }
    }
}

/// Those of some places that are in a listing which is asked for, and may pass by what it says.
async fn listed(
    reader: &mut Reader<'_>,
    grant: GrantId,
    (filter, matcher): (&Filter, &Matcher<'_>),
    places: &[After],
) -> Result<Vec<MessageId>, StoreError> {
    let all = [String::new()];
    let folders = if filter.folders.is_empty() { all.as_slice() } else { filter.folders.as_slice() };
    let mut listed = Vec::new();
    for folder in folders {
        let places = listings::among_places(reader, grant, folder, places).await?;
        listed.extend(places.into_iter().filter(|place| matcher.may_match(place.flags)).map(|place| place.id));
    }
    Ok(listed)
}

fn retain(places: &mut Vec<After>, among: impl Iterator<Item = MessageId>) {
    let among: HashSet<MessageId> = among.collect();
    places.retain(|place| among.contains(&place.id));
}
