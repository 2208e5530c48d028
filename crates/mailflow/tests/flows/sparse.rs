//! What few messages of a large mailbox pass: the same as a plain model says, and without reading the others, on both engines.

use crate::support::Setting;
use postfleet_core::UnixMicros;
use postfleet_core::id::{BlobId, EventId, ImportId, MessageId, ThreadId};
use postfleet_core::rule::Placement;
use postfleet_mailbox::messages::{self, Filter, PageRequest, Shown};
use postfleet_mailbox::summary::{Person, Summary};
use postfleet_mailbox::threads::{self, ThreadFilter};
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::search;
use postfleet_store::Location;
use postfleet_store::imports::{BeginImport, ImportMessages, ImportOutcome, Item, NewMessage};
use postfleet_store::messages::{MailboxCopy, MessageFacts};
use postfleet_store::threads::ThreadHints;
use postfleet_testkit::postgres::PostgresServer;
use postfleet_testkit::world::WorldOptions;
use std::ops::Range;

const MESSAGES: u64 = 20_000;
const BATCH: u64 = 500;

/// Rows that a page may cost: two hundred of the listing with their messages, what is loose or late, one row for each term and
/// segment, and what is shown.
const ROWS_MAX: u64 = 1_200;

/// The same of threads: of two hundred that are walked, what is in them is read beside them.
const ROWS_OF_THREADS_MAX: u64 = 1_600;

/// One in so many is rare.
const RARE: u64 = 1_999;

/// When it was written. Every thousandth is twelve thousand seconds older than its neighbours.
fn date(number: u64) -> UnixMicros {
    let seconds = 1_770_000_000 + number as i64;
    UnixMicros::from_seconds(if number % 1_000 == 7 { seconds - 12_000 } else { seconds })
}

fn is_rare(number: u64) -> bool {
    number % RARE == 5
}

fn summary(number: u64) -> Summary {
    let person = |email: String| Person { name: String::new(), email };
    let author = if is_rare(number) { "Rare@Bücher.test".into() } else { format!("a{}@sender.test", number % 7) };
    let subject = match is_rare(number) {
        true => format!("Rechnung №{number} über 報告"),
        false => format!("Invoice {number} of the month"),
    };
    let mut summary = Summary {
        subject,
        from: vec![person(author)],
        to: vec![person("agent@acme.test".into())],
        cc: if number % 5_000 == 9 { vec![person("boss@sender.test".into())] } else { Vec::new() },
        ..Summary::default()
    };
    if number % 4_000 == 11 {
        summary.metadata.insert("case".into(), "odd, one".into());
    }
    if number.is_multiple_of(2) {
        summary.metadata.insert("half".into(), "yes".into());
    }
    summary
}

/// Imports messages; answers their ids.
async fn import(setting: &Setting, numbers: Range<u64>) -> Vec<MessageId> {
    let platform = &setting.world.platform;
    let (grant_id, at) = (setting.agent.id, platform.clock.now());
    let id = ImportId::new(at, platform.entropy.ten());
    let source = format!("{}", numbers.start);
    platform.store.run(BeginImport { id, grant_id, source, announce: false, at }).await.expect("begin");
    let (mut ids, mut first) = (Vec::new(), 0);
    let all: Vec<u64> = numbers.collect();
    for batch in all.chunks(BATCH as usize) {
        let mut items = Vec::new();
        for number in batch {
            let (date, summary) = (date(*number), summary(*number));
            let copy = MailboxCopy {
                grant_id,
                application_id: setting.agent.application_id,
                message_id: MessageId::new(date, platform.entropy.ten()),
                new_thread_id: ThreadId::new(date, platform.entropy.ten()),
                event_id: EventId::new(date, platform.entropy.ten()),
            };
            ids.push(copy.message_id);
            let blob_id = BlobId::new(at, platform.entropy.ten());
            let blob = platform.store.blobs().prepare(blob_id, b"Subject: x\r\n\r\nHello\r\n").await.expect("body");
            let facts = MessageFacts {
                date,
                outgoing: false,
                folder: "inbox",
                unread: true,
                starred: false,
                octets: 21,
                summary: summary.to_json(),
                thread: ThreadHints::default(),
            };
            let placement =
                Placement { folders: vec!["inbox".into()], unread: number.is_multiple_of(3), starred: false };
            items.push(Item::Message(Box::new(NewMessage { blob, facts, placement, copy })));
        }
        let is_last = first + items.len() as u64 == all.len() as u64;
        let count = items.len() as u64;
        let outcome = platform.store.run(ImportMessages { id, grant_id, first, items, is_last, at }).await;
        assert!(matches!(outcome.expect("import"), ImportOutcome::Import(_)));
        first += count;
    }
    ids
}

/// The ids of all pages, and the rows that they cost.
async fn listed(setting: &Setting, filter: &Filter) -> (Vec<String>, u64, u64) {
    let store = &setting.world.platform.store;
    let mut request = PageRequest { limit: 7, cursor: None, fields: Fields::Standard, with_body: false };
    let (mut ids, mut pages, mut most) = (Vec::new(), 0, 0);
    loop {
        let before = store.rows_read();
        let (shown, next) = messages::list(store, setting.agent.id, filter, &request).await.expect("page");
        most = most.max(store.rows_read() - before);
        pages += 1;
        let Shown::Messages(page) = shown else { panic!("raw") };
        ids.extend(page.into_iter().map(|message| message.id));
        match next {
            None => return (ids, pages, most),
            next => request.cursor = next,
        }
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

type Passes = fn(u64) -> bool;

/// Filters that few messages pass, each with its name and with what passes.
fn filters() -> Vec<(&'static str, Filter, Passes)> {
    let none = Filter::default;
    let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    vec![
        ("an author", Filter { from: texts(&["RARE@xn--bcher-kva.test"]), ..none() }, is_rare),
        ("nobody", Filter { from: texts(&["nobody@sender.test"]), ..none() }, |_| false),
        ("any of two", Filter { from: texts(&["rare@bücher.test", "nobody@x.test"]), ..none() }, is_rare),
        ("anywhere", Filter { any_email: texts(&["boss@sender.test"]), ..none() }, |number| number % 5_000 == 9),
        ("a copy", Filter { cc: texts(&["boss@sender.test"]), ..none() }, |number| number % 5_000 == 9),
        ("part of a subject", Filter { subject: Some("RECHNUNG".into()), ..none() }, is_rare),
        ("two characters", Filter { subject: Some("報告".into()), ..none() }, is_rare),
        ("one character", Filter { subject: Some("Ü".into()), ..none() }, is_rare),
        ("a number", Filter { subject: Some("invoice 17771 of".into()), ..none() }, |number| number == 17_771),
        ("no such subject", Filter { subject: Some("zebra".into()), ..none() }, |_| false),
        ("a pair", Filter { metadata: pair("case", "odd, one"), ..none() }, |number| number % 4_000 == 11),
        ("no such pair", Filter { metadata: pair("case", "odd"), ..none() }, |_| false),
        (
            "an author and a flag",
            Filter { from: texts(&["rare@bücher.test"]), unread: Some(true), ..none() },
            |number| is_rare(number) && number.is_multiple_of(3),
        ),
        (
            "an author and a common pair",
            Filter { from: texts(&["rare@bücher.test"]), metadata: pair("half", "yes"), ..none() },
            |number| is_rare(number) && number.is_multiple_of(2),
        ),
        (
            "an author and a folder",
            Filter { from: texts(&["rare@bücher.test"]), folders: texts(&["inbox"]), ..none() },
            is_rare,
        ),
        (
            "an author and a date",
            Filter { from: texts(&["rare@bücher.test"]), received_before: Some(1_770_010_000), ..none() },
            |number| is_rare(number) && date(number) < UnixMicros::from_seconds(1_770_010_000),
        ),
        (
            "an author and a subject",
            Filter { from: texts(&["a1@sender.test"]), subject: Some("invoice 15 of".into()), ..none() },
            |number| number == 15,
        ),
    ]
}

async fn tale(options: WorldOptions) {
    let setting = Setting::with(options).await;
    let platform = &setting.world.platform;
    let mut ids = import(&setting, 0..MESSAGES).await;
    // The control: as long as nothing is gathered, all of it is read.
    let (.., rows) = listed(&setting, &Filter { from: texts(&["nobody@sender.test"]), ..Filter::default() }).await;
    assert!(rows > 3_000, "{rows}");
    search::gather_once(platform).await.expect("gathered");
    // Some are loose, and some late.
    ids.extend(import(&setting, MESSAGES..MESSAGES + 60).await);
    let expected = |passes: Passes| {
        let mut passing: Vec<_> =
            (0..).zip(&ids).filter(|(number, _)| passes(*number)).map(|(number, id)| (date(number), *id)).collect();
        passing.sort_unstable_by(|one, other| other.cmp(one));
        passing.into_iter().map(|(_, id)| id.to_string()).collect::<Vec<_>>()
    };
    for (name, filter, passes) in filters() {
        let (found, pages, rows) = listed(&setting, &filter).await;
        let expected = expected(passes);
        println!("{name}: {} of {} by {pages} pages, at most {rows} rows", found.len(), ids.len());
        assert_eq!(found, expected, "{name}");
        assert!(rows <= ROWS_MAX, "{name}: {rows} rows");
        assert!(pages <= expected.len() as u64 / 7 + 1, "{name}: {pages} pages");
    }
    // Threads: each has one message.
    for (name, filter, passes) in filters().into_iter().filter(|(_, filter, _)| filter.received_before.is_none()) {
        let filter = ThreadFilter { message: filter, ..ThreadFilter::default() };
        let request = threads::PageRequest { limit: 200, cursor: None, with_body: false };
        let before = platform.store.rows_read();
        let (page, next) = threads::list(&platform.store, setting.agent.id, &filter, &request).await.expect("page");
        let rows = platform.store.rows_read() - before;
        let found: Vec<String> = page.into_iter().map(|thread| thread.latest_draft_or_message.id).collect();
        assert_eq!((found, next), (expected(passes), None), "threads of {name}");
        assert!(rows <= ROWS_OF_THREADS_MAX, "threads of {name}: {rows} rows");
    }
}

#[tokio::test]
async fn what_is_rare_is_found_without_reading_the_rest_on_sqlite() {
    tale(WorldOptions::default()).await;
}

#[tokio::test]
async fn what_is_rare_is_found_without_reading_the_rest_on_postgresql() {
    let Some(server) = PostgresServer::start() else { return };
    let url = server.create_database("sparse");
    tale(WorldOptions { database: Some(Location::Postgres { url, writers: 2 }), ..WorldOptions::default() }).await;
}
