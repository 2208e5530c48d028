//! Gathering what is searched of messages into segments, so that a mailbox of many messages is searched without looking at each of them.
//! A search finds the same before and after.

use crate::platform::Platform;
use crate::receive::shard;
use postfleet_core::Problem;
use postfleet_core::id::GrantId;
use postfleet_core::search::Term;
use postfleet_core::search::segment::{self, Shards, Source};
use postfleet_mailbox::filing;
use postfleet_store::search::{
    self, AddPostings, AddSegment, Added, BeginMerge, ClearSegment, EndMerge, MERGED_SEGMENTS, Place, SEGMENT_MESSAGES,
    Segment, Settle, Vector, shard_bits,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// Mailboxes that are looked for at once.
const MAILBOXES_AT_ONCE: usize = 100;

/// Mailboxes of one round; the next one goes on.
const MAILBOXES_MAX: usize = 10_000;

/// Octets of shards after which a command is not made larger: mail waits for it.
const OCTETS_AT_ONCE: usize = 512 << 10;

/// Rows that one command removes.
const ROWS_AT_ONCE: usize = 256;

/// Shards of each segment that are merged at once.
const SHARDS_AT_ONCE: usize = 8;

/// Messages that are looked up at once.
const LOOKED_UP_AT_ONCE: usize = 500;

/// After so long a segment in the making has nobody who makes it.
const MAKING_MAX: Duration = Duration::from_secs(900);

/// One round over the mailboxes that may have enough for another segment.
pub async fn gather_once(platform: &Platform) -> Result<(), Problem> {
    let (mut after, mut seen) = (Uuid::nil(), 0);
    while seen < MAILBOXES_MAX {
        let due = search::due(&mut platform.store.reader().await?, after, MAILBOXES_AT_ONCE).await?;
        let Some(last) = due.last() else { break };
        after = last.uuid();
        seen += due.len();
        for grant in due {
            gather(platform, grant).await?;
        }
    }
    Ok(())
}

/// Brings the segments of a mailbox up to date.
pub async fn gather(platform: &Platform, grant: GrantId) -> Result<(), Problem> {
    clear(platform, grant).await?;
    while add_loose(platform, grant).await? || add_late(platform, grant).await? || merge(platform, grant).await? {}
    clear(platform, grant).await?;
    platform.store.run_near(shard(grant.uuid()), Settle { grant_id: grant }).await?;
    Ok(())
}

/// Makes a segment of the oldest messages that are later than all segments, if there are enough; whether it did.
async fn add_loose(platform: &Platform, grant: GrantId) -> Result<bool, Problem> {
    let mut reader = platform.store.reader().await?;
    let Some(since) = search::searched_until(&mut reader, grant).await? else { return Ok(false) };
    let vectors = search::loose_to_gather(&mut reader, grant, since, SEGMENT_MESSAGES).await?;
    drop(reader);
    if vectors.len() < SEGMENT_MESSAGES {
        return Ok(false);
    }
    add(platform, grant, Added::Loose(since), vectors).await
}

/// The same of late ones.
async fn add_late(platform: &Platform, grant: GrantId) -> Result<bool, Problem> {
    let vectors = search::late_to_gather(&mut platform.store.reader().await?, grant, SEGMENT_MESSAGES).await?;
    if vectors.len() < SEGMENT_MESSAGES {
        return Ok(false);
    }
    add(platform, grant, Added::Late, vectors).await
}

async fn add(platform: &Platform, grant: GrantId, added: Added, mut vectors: Vec<Vector>) -> Result<bool, Problem> {
    for vector in &mut vectors {
        filing::terms_of_stored(&platform.store, vector).await?;
    }
    vectors.sort_unstable_by_key(|vector| vector.place);
    let pieces: Vec<Vec<Term>> = vectors.iter().map(filing::pieces_of_stored).collect();
    let messages = vectors.iter().zip(&pieces).map(|(vector, pieces)| (vector.terms.as_slice(), pieces.as_slice()));
    let shards = segment::build_with(messages, shard_bits(0));
    let places = vectors.iter().map(|vector| vector.place).collect();
    let command = AddSegment { grant_id: grant, added, places, shards, at: platform.clock.now() };
    Ok(platform.store.run_near(shard(grant.uuid()), command).await?)
}

/// Merges segments of a level of which there are enough; whether it did.
async fn merge(platform: &Platform, grant: GrantId) -> Result<bool, Problem> {
    let mut reader = platform.store.reader().await?;
    // One at a time; looked at before all that is to be merged is read.
    if search::is_merging(&mut reader, grant).await? {
        return Ok(false);
    }
    let Some(sources) = mergeable(&search::segments(&mut reader, grant).await?) else { return Ok(false) };
    drop(reader);
    let Some(level) = sources.first().map(|source| source.level) else { return Ok(false) };
    let (places, renumbered) = renumber(platform, grant, &sources).await?;
    let near = shard(grant.uuid());
    let made_at = platform.clock.now();
    let begin = BeginMerge { grant_id: grant, sources: sources.clone(), places, at: made_at };
    let Some(made) = platform.store.run_near(near, begin).await? else { return Ok(false) };
    let (mut shards, mut octets) = (Shards::new(), 0);
    for first in (0..1_u32 << shard_bits(level)).step_by(SHARDS_AT_ONCE) {
        let merged = merge_shards(platform, (grant, &sources), first, &renumbered).await?;
        octets += merged.iter().map(|(_, shard)| shard.len()).sum::<usize>();
        shards.extend(merged);
        if octets > OCTETS_AT_ONCE {
            let shards = std::mem::take(&mut shards);
            let command = AddPostings { grant_id: grant, segment: made, made_at, shards };
            if !platform.store.run_near(near, command).await? {
                return Ok(false);
            }
            octets = 0;
        }
    }
    if !platform.store.run_near(near, AddPostings { grant_id: grant, segment: made, made_at, shards }).await? {
        return Ok(false);
    }
    Ok(platform.store.run_near(near, EndMerge { grant_id: grant, segment: made, made_at, sources }).await?)
}

/// The segments that are merged next: as many as it takes of the lowest level that has them, the first ones.
fn mergeable(segments: &[Segment]) -> Option<Vec<Segment>> {
    let mut levels: BTreeMap<u32, Vec<Segment>> = BTreeMap::new();
    segments.iter().for_each(|segment| levels.entry(segment.level).or_default().push(*segment));
    let mut of = levels.into_values().find(|of| of.len() >= MERGED_SEGMENTS)?;
    of.truncate(MERGED_SEGMENTS);
    Some(of)
}

/// The new number of each message of a segment; none for what is gone.
type Renumbered = Vec<Vec<Option<u32>>>;

/// The messages of segments that are still there, in their order.
async fn renumber(
    platform: &Platform,
    grant: GrantId,
    sources: &[Segment],
) -> Result<(Vec<Place>, Renumbered), Problem> {
    let mut reader = platform.store.reader().await?;
    let mut places = Vec::new();
    let mut renumbered: Renumbered = Vec::with_capacity(sources.len());
    for (of, source) in sources.iter().enumerate() {
        let all = search::all_places(&mut reader, grant, source).await?;
        let mut there = HashSet::with_capacity(all.len());
        for some in all.chunks(LOOKED_UP_AT_ONCE) {
            let ids: Vec<Uuid> = some.iter().map(|place| place.id).collect();
            there.extend(search::there(&mut reader, &ids).await?);
        }
        renumbered.push(vec![None; all.len()]);
        let numbered = all.into_iter().enumerate().filter(|(_, place)| there.contains(&place.id));
        places.extend(numbered.map(|(number, place)| (place, of, number)));
    }
    places.sort_unstable();
    for (anew, (_, of, number)) in (0..).zip(&places) {
        renumbered[*of][*number] = Some(anew);
    }
    Ok((places.into_iter().map(|(place, ..)| place).collect(), renumbered))
}

/// Merges some shards of each segment, from one on.
async fn merge_shards(
    platform: &Platform,
    (grant, sources): (GrantId, &[Segment]),
    first: u32,
    renumbered: &Renumbered,
) -> Result<Shards, Problem> {
    let numbers = first..first + SHARDS_AT_ONCE as u32;
    let wanted: Vec<_> =
        numbers.clone().flat_map(|number| sources.iter().map(move |source| (source.number, number))).collect();
    let found = search::shards(&mut platform.store.reader().await?, grant, &wanted).await?;
    let found: HashMap<_, _> = found.into_iter().collect();
    let bits = shard_bits(sources.first().map_or(0, |source| source.level) + 1);
    let merged = numbers.map(|number| {
        let of = sources.iter().zip(renumbered);
        let of = of.filter_map(|(source, renumbered)| {
            Some(Source { shard: found.get(&(source.number, number))?, renumbered })
        });
        segment::merge(&of.collect::<Vec<_>>(), bits)
    });
    Ok(merged.flatten().collect())
}

/// Removes segments that were merged into others, and those that nobody makes any more.
async fn clear(platform: &Platform, grant: GrantId) -> Result<(), Problem> {
    let before = platform.clock.now().minus(MAKING_MAX);
    for segment in search::unfinished(&mut platform.store.reader().await?, grant, before).await? {
        let command = ClearSegment { grant_id: grant, segment, limit: ROWS_AT_ONCE };
        while platform.store.run_near(shard(grant.uuid()), command).await? {}
    }
    Ok(())
}
