//! The way that a list takes through its mailbox: along listings first, then by the index that leads to what is left (see [`crate::plan`]).
//! Wherever it goes, it goes on behind the last place that was looked at, newest first.

use crate::filter::Matcher;
use crate::gathered::Gathered;
use crate::messages::Filter;
use crate::plan::{self, FEW, Known, Leader};
use crate::sparse::Sparse;
use crate::streams::{Step, Stream};
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_core::search::narrow::Clause;
use postfleet_store::messages::{After, Page};
use postfleet_store::{Reader, StoreError, folders, metadata, search};

/// Where the next candidates of a list come from.
#[derive(Debug)]
pub(crate) struct Course<'f> {
    filter: &'f Filter,
    stream: Stream<'f>,
    newer_than: UnixMicros,
    /// What the term index is asked; nothing once that is over.
    clauses: Vec<Clause>,
    /// The rarest first.
    pairs: Vec<i64>,
    known: Known,
    leg: Leg,
}

#[derive(Debug)]
enum Leg {
    /// Along listings, or a thread.
    Walk,
    /// The same through what is loose: down to this date.
    Loose(UnixMicros),
    /// By an index.
    Sparse(Sparse),
}

impl<'f> Course<'f> {
    /// The course of a list, which begins behind a place; folders are ids.
    pub(crate) async fn plan(
        reader: &mut Reader<'_>,
        grant: GrantId,
        (filter, matcher): (&'f Filter, &Matcher<'_>),
        (after, newer_than): (After, UnixMicros),
    ) -> Result<Self, StoreError> {
        let stream = Stream::of(filter, after, newer_than);
        // Drafts are in no segment.
        let clauses = if filter.drafts { Vec::new() } else { plan::clauses(matcher) };
        let mut pairs = Vec::new();
        for (key, value) in &filter.metadata {
            let pair = metadata::number(key, value);
            let page = Page { grant_id: grant, folder: "", after, newer_than, limit: FEW };
            pairs.push((metadata::count(reader, &page, pair).await?, pair));
        }
        pairs.sort_unstable();
        let mut known = Known {
            has_terms: !clauses.is_empty(),
            paired: pairs.first().map(|(count, _)| *count),
            ..Known::default()
        };
        if (known.has_terms || known.paired.is_some()) && !filter.folders.is_empty() {
            let mut listed = 0;
            for folder in &filter.folders {
                listed += folders::total(reader, grant, folder).await? as usize;
            }
            known.listed = Some(listed);
        }
        let pairs = pairs.into_iter().map(|(_, pair)| pair).collect();
        Ok(Self { filter, stream, newer_than, clauses, pairs, known, leg: Leg::Walk })
    }

    /// Whether nothing follows.
    pub(crate) fn has_ended(&self) -> bool {
        match &self.leg {
            Leg::Walk => self.stream.has_ended(),
            Leg::Loose(_) => false,
            Leg::Sparse(sparse) => sparse.has_ended(),
        }
    }

    /// The last place that was looked at.
    pub(crate) fn last(&self) -> After {
        match &self.leg {
            Leg::Walk | Leg::Loose(_) => self.stream.last(),
            Leg::Sparse(sparse) => sparse.last(),
        }
    }

    /// Looks at the next places, about so many; so far, so many messages were read, and so many of them passed.
    pub(crate) async fn next(
        &mut self,
        reader: &mut Reader<'_>,
        grant: GrantId,
        matcher: &Matcher<'_>,
        wanted: usize,
        (read, passed): (usize, usize),
    ) -> Result<Step, StoreError> {
        self.known = Known { read, passed, ..self.known };
        if matches!(self.leg, Leg::Walk) {
            self.turn(reader, grant).await?;
        }
        if let Leg::Loose(until) = self.leg
            && self.stream.has_ended()
        {
            self.leave_loose(reader, grant, until).await?;
        }
        match &mut self.leg {
            Leg::Walk | Leg::Loose(_) => self.stream.next(reader, grant, matcher, wanted).await,
            Leg::Sparse(sparse) => sparse.next(reader, grant, (self.filter, matcher), wanted).await,
        }
    }

    /// Leaves the listing where something else leads on.
    async fn turn(&mut self, reader: &mut Reader<'_>, grant: GrantId) -> Result<(), StoreError> {
        match self.known.leader() {
            Leader::Listing => {}
            Leader::Pairs => {
                let sparse = Sparse::paired(&self.pairs, self.stream.last(), self.newer_than);
                self.leg = sparse.map_or(Leg::Walk, Leg::Sparse);
            }
            Leader::Terms => {
                reader.freeze().await?;
                match search::searched_until(reader, grant).await? {
                    Some(until) if until > self.newer_than => {
                        self.stream.end_at(until);
                        self.leg = Leg::Loose(until);
                    }
                    // All of it is loose.
                    _ => self.known.has_terms = false,
                }
            }
        }
        Ok(())
    }

    /// What is not loose is in segments, or late.
    async fn leave_loose(
        &mut self,
        reader: &mut Reader<'_>,
        grant: GrantId,
        until: UnixMicros,
    ) -> Result<(), StoreError> {
        let last = self.stream.last();
        let newest = After { date: until, id: MessageId::from_uuid(uuid::Uuid::max()) };
        let after = if (last.date, last.id) < (newest.date, newest.id) { last } else { newest };
        let clauses = std::mem::take(&mut self.clauses);
        let gathered = Gathered::open(reader, grant, clauses, (after, self.newer_than)).await?;
        self.leg = Leg::Sparse(Sparse::gathered(gathered, &self.pairs, after, self.newer_than));
        Ok(())
    }
}
