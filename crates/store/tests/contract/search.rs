//! Which mailboxes are due to be gathered: each that may have enough for another segment, and each in which somebody left something undone;
//! and that who comes back to what others have begun anew does nothing to it.

use crate::support::{NOON, Statement, Tenant, at, fresh, number, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::id::GrantId;
use postfleet_core::search::segment::Shards;
use postfleet_store::search::{
    self, AddPostings, AddSegment, Added, BeginMerge, ClearSegment, EndMerge, Place, SEGMENT_MESSAGES, Segment, Settle,
};
use postfleet_store::{Command, Store, Tx, db, params};
use uuid::Uuid;

/// Numbers some events of a mailbox.
struct Events(GrantId, u32);

impl Command for Events {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), db::DbError> {
        const NUMBER: &str = "UPDATE mailboxes SET event_sequence = event_sequence + $2 WHERE grant_id = $1";
        tx.execute(NUMBER, params![self.0.uuid(), i64::from(self.1)]).await?;
        Ok(())
    }
}

async fn is_due(store: &Store, grant: GrantId) -> bool {
    let due = search::due(&mut store.reader().await.expect("reader"), Uuid::nil(), 100).await.expect("due");
    due.contains(&grant)
}

async fn segments(store: &Store, grant: GrantId) -> Vec<Segment> {
    search::segments(&mut store.reader().await.expect("reader"), grant).await.expect("segments")
}

#[tokio::test]
async fn a_mailbox_is_due_after_so_many_messages_whatever_is_numbered_between_them() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        // As where each message is marked as read, or is answered and told of at every step.
        for between in [0, 1, 2, 3, 7, 31, 127] {
            let grant = tenant.mailbox(store, &format!("box{between}")).await;
            let most = SEGMENT_MESSAGES + 10;
            for second in 0..most {
                tenant.deliver(store, grant, at(second as u64)).await;
                store.run(Events(grant, between)).await.expect("numbered");
            }
            assert!(is_due(store, grant).await, "{most} messages with {between} events after each");
        }
    })
    .await;
}

/// A mailbox with a message in a segment, and that segment's place.
async fn gathered(store: &Store, tenant: &Tenant) -> (GrantId, Vec<Place>) {
    let grant = tenant.mailbox(store, "a").await;
    let id = tenant.deliver(store, grant, at(1)).await.uuid();
    let places = vec![Place { date: at(1).as_micros(), id, thread: fresh() }];
    let since = UnixMicros::from_micros(0);
    let (added, shards) = (Added::Loose(since), Shards::new());
    let command = AddSegment { grant_id: grant, added, places: places.clone(), shards, at: NOON };
    assert!(store.run(command).await.expect("segment"));
    (grant, places)
}

async fn settles(store: &Store, grant: GrantId) -> bool {
    store
        .run(Statement(
            "INSERT INTO search_due (grant_id) SELECT grant_id FROM mailboxes WHERE true ON CONFLICT DO NOTHING",
        ))
        .await
        .expect("due");
    store.run(Settle { grant_id: grant }).await.expect("settle");
    !is_due(store, grant).await
}

#[tokio::test]
async fn a_mailbox_stays_due_while_a_segment_is_in_the_making_or_to_be_removed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant_id, places) = gathered(store, &tenant).await;
        assert!(settles(store, grant_id).await, "with nothing to do");
        let begin = BeginMerge { grant_id, sources: segments(store, grant_id).await, places: places.clone(), at: NOON };
        // Whoever made the first is gone.
        let left = store.run(begin.clone()).await.expect("begin").expect("made");
        assert!(!settles(store, grant_id).await, "with one in the making");
        assert_eq!(store.run(begin.clone()).await.expect("begin"), None, "one at a time");
        let clear = |segment| ClearSegment { grant_id, segment, limit: 1 };
        assert!(store.run(clear(left)).await.expect("clear"));
        assert!(!settles(store, grant_id).await, "with one that is half removed");
        while store.run(clear(left)).await.expect("clear") {}
        assert!(settles(store, grant_id).await, "with none left");
        let segment = store.run(begin.clone()).await.expect("begin").expect("made");
        let end = EndMerge { grant_id, segment, made_at: NOON, sources: begin.sources.clone() };
        assert!(store.run(end).await.expect("end"));
        assert!(!settles(store, grant_id).await, "with those that were merged");
        for source in &begin.sources {
            while store.run(clear(source.number)).await.expect("clear") {}
        }
        assert!(settles(store, grant_id).await, "at the end");
        assert_eq!(segments(store, grant_id).await.iter().map(|one| one.number).collect::<Vec<_>>(), [segment]);
        let rows = number(store, "SELECT count(*) FROM search_messages", &[]).await;
        assert_eq!(rows, 1);
    })
    .await;
}

#[tokio::test]
async fn a_mailbox_stays_due_while_it_has_enough_for_a_segment() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        for (name, already) in [("loose", false), ("late", true)] {
            let grant_id = tenant.mailbox(store, name).await;
            if already {
                // Whatever is filed from now on is earlier than what was gathered.
                store.run(Until(grant_id, at(1_000_000))).await.expect("moved");
            }
            for count in 1..=SEGMENT_MESSAGES {
                tenant.deliver(store, grant_id, at(count as u64)).await;
                if count >= SEGMENT_MESSAGES - 1 {
                    assert_eq!(settles(store, grant_id).await, count < SEGMENT_MESSAGES, "{count} that are {name}");
                }
            }
        }
    })
    .await;
}

/// Moves the line between what is loose and what is not.
struct Until(GrantId, UnixMicros);

impl Command for Until {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), db::DbError> {
        const MOVE: &str = "UPDATE mailboxes SET searched_until = $2 WHERE grant_id = $1";
        tx.execute(MOVE, params![self.0.uuid(), self.1.as_micros()]).await?;
        Ok(())
    }
}

#[tokio::test]
async fn who_comes_back_too_late_does_nothing_to_what_others_began_under_the_same_number() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant_id, places) = gathered(store, &tenant).await;
        let sources = segments(store, grant_id).await;
        let begin = |at| BeginMerge { grant_id, sources: sources.clone(), places: places.clone(), at };
        let segment = store.run(begin(NOON)).await.expect("begin").expect("made");
        while store.run(ClearSegment { grant_id, segment, limit: 10 }).await.expect("clear") {}
        assert_eq!(store.run(begin(at(900))).await.expect("begin"), Some(segment), "the number comes again");
        for (made_at, is_theirs) in [(NOON, false), (at(900), true)] {
            let shards = vec![(u32::from(is_theirs), vec![1])];
            let add = AddPostings { grant_id, segment, made_at, shards };
            assert_eq!(store.run(add).await.expect("add"), is_theirs, "postings, begun at {made_at:?}");
            let end = EndMerge { grant_id, segment, made_at, sources: sources.clone() };
            assert_eq!(store.run(end).await.expect("end"), is_theirs, "the end, begun at {made_at:?}");
        }
        assert_eq!(number(store, "SELECT min(shard) FROM search_postings", &[]).await, 1);
        assert_eq!(segments(store, grant_id).await.len(), 1);
    })
    .await;
}
