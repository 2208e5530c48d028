//! Searching a mailbox: the same is found on both engines, beside a model that looks at every message, while messages are gathered into
//! segments, merged, come late and go.

use crate::support::Setting;
use postfleet_core::UnixMicros;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{BlobId, EventId, MessageId, ThreadId};
use postfleet_core::rule::Placement;
use postfleet_core::search::{Key, Query, of_vector};
use postfleet_mail::message::{self, Parsed};
use postfleet_mail::terms;
use postfleet_mailbox::filing;
use postfleet_mailbox::messages::{self, Filter, PageRequest, Shown};
use postfleet_mailbox::search::Search;
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::search;
use postfleet_store::db::DbError;
use postfleet_store::imports::{BeginImport, ImportMessages, ImportOutcome, Item, NewMessage};
use postfleet_store::messages::{Deliver, FiledCopy, Incoming, MailboxCopy, Provenance};
use postfleet_store::{Command, Location, Tx, params};
use postfleet_testkit::postgres::PostgresServer;
use postfleet_testkit::world::WorldOptions;
use std::collections::BTreeMap;

/// Enough for one segment of the second level, and some of the first.
const MESSAGES: u64 = 2_300;

const WORDS: [&str; 24] = [
    "invoice",
    "payment",
    "order",
    "meeting",
    "Grüße",
    "Straße",
    "送金",
    "発票",
    "счёт",
    "مرحبا",
    "café",
    "code",
    "urgent",
    "report",
    "Friday",
    "shipping",
    "refund",
    "hello",
    "world",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "agent",
];

/// Always the same numbers.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    /// Some words are far more common than others.
    fn word(&mut self) -> &'static str {
        let limit = 1 + self.below(WORDS.len() as u64);
        WORDS[self.below(limit) as usize]
    }

    fn words(&mut self, count: u64) -> String {
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    fn message(&mut self, number: u64) -> String {
        let (subject_len, body_len) = (1 + self.below(4), 1 + self.below(30));
        let (name, author, subject) = (self.word(), self.below(9), self.words(subject_len));
        // The terms of a long text are not kept with it.
        let text = self.words(if number.is_multiple_of(29) { 700 } else { body_len });
        format!(
            "From: {name} <a{author}@sender.test>\r\nTo: agent@acme.test\r\nSubject: {subject}\r\nMessage-ID: <{number}@sender.test>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        )
    }

    fn query(&mut self, depth: u64) -> String {
        match self.below(if depth == 0 { 3 } else { 7 }) {
            0 | 1 => self.word().to_owned(),
            2 => format!("\"{} {}\"", self.word(), self.word()),
            3 => format!("{} {}", self.query(depth - 1), self.query(depth - 1)),
            4 => format!("({} OR {})", self.query(depth - 1), self.query(depth - 1)),
            5 => format!("{} -{}", self.query(depth - 1), self.word()),
            _ => format!("-({})", self.query(depth - 1)),
        }
    }
}

/// Whether a message is left by a filter.
type Passes = Box<dyn Fn(&Filed) -> bool>;

/// What was filed: its Message-ID, where it stands, and what is searched of it.
#[derive(Clone)]
struct Filed {
    number: u64,
    id: MessageId,
    date: i64,
    terms: Vec<u8>,
}

fn filed(number: u64, copy: &MailboxCopy, date: UnixMicros, raw: &[u8]) -> Filed {
    let view = message::view(raw);
    let named = |role, person: &postfleet_mail::Participant| (role, person.name.clone(), person.email.clone());
    let people: Vec<_> = view
        .from
        .iter()
        .map(|person| named(terms::Role::From, person))
        .chain(view.to.iter().map(|person| named(terms::Role::To, person)))
        .collect();
    let people = people.iter().map(|(role, name, email)| terms::Named { role: *role, name, email }).collect();
    let head = terms::Head { subject: &view.subject, people, files: Vec::new() };
    Filed { number, id: copy.message_id, date: date.as_micros(), terms: terms::of_message(raw, &head) }
}

fn copy(setting: &Setting, date: UnixMicros) -> MailboxCopy {
    let entropy = &setting.world.platform.entropy;
    MailboxCopy {
        grant_id: setting.agent.id,
        application_id: setting.agent.application_id,
        message_id: MessageId::new(date, entropy.ten()),
        new_thread_id: ThreadId::new(date, entropy.ten()),
        event_id: EventId::new(date, entropy.ten()),
    }
}

/// Files messages as they come in.
async fn deliver(setting: &Setting, chance: &mut Chance, numbers: std::ops::Range<u64>) -> Vec<Filed> {
    let platform = &setting.world.platform;
    let mut all = Vec::new();
    let mut commands = Vec::new();
    for number in numbers {
        let raw = chance.message(number).into_bytes();
        // Some come in the same instant.
        let date = UnixMicros::from_seconds(1_770_000_000 + (number / 3) as i64);
        let (message, copy) = (Parsed::read(&raw), copy(setting, date));
        let blob = platform.store.blobs().prepare(BlobId::new(date, platform.entropy.ten()), &raw).await.expect("body");
        let blob = blob.with_terms(filing::terms_of(&message));
        let facts = filing::received(&message.view, raw.len() as u64, date);
        let copies = vec![FiledCopy::plain(copy, &facts)];
        commands.push(Deliver { blob, facts, copies, provenance: Provenance::Received(Incoming::default()) });
        all.push(filed(number, &copy, date, &raw));
    }
    for some in commands.chunks(100) {
        let run = some.iter().map(|command| platform.store.run(command.clone()));
        for outcome in futures::future::join_all(run).await {
            assert_eq!(outcome.expect("filed").expect("taken").len(), 1);
        }
    }
    all
}

/// Imports messages with old dates.
async fn import(setting: &Setting, chance: &mut Chance, numbers: std::ops::Range<u64>) -> Vec<Filed> {
    let platform = &setting.world.platform;
    let (grant_id, at) = (setting.agent.id, platform.clock.now());
    let id = postfleet_core::id::ImportId::new(at, platform.entropy.ten());
    let begin = BeginImport { id, grant_id, source: format!("{}", numbers.start), announce: false, at };
    platform.store.run(begin).await.expect("begin");
    let (mut all, mut items) = (Vec::new(), Vec::new());
    for number in numbers {
        let raw = chance.message(number).into_bytes();
        let date = UnixMicros::from_seconds(1_769_999_900 + chance.below(900) as i64);
        let (message, copy) = (Parsed::read(&raw), copy(setting, date));
        let blob = platform.store.blobs().prepare(BlobId::new(at, platform.entropy.ten()), &raw).await.expect("body");
        let blob = blob.with_terms(filing::terms_of(&message));
        let facts = filing::received(&message.view, raw.len() as u64, date);
        let placement = Placement { folders: vec![SystemFolder::Archive.id().into()], unread: false, starred: false };
        items.push(Item::Message(Box::new(NewMessage { blob, facts, placement, copy })));
        all.push(filed(number, &copy, date, &raw));
    }
    let command = ImportMessages { id, grant_id, first: 0, items, is_last: true, at };
    let outcome = platform.store.run(command).await.expect("import");
    assert!(matches!(&outcome, ImportOutcome::Import(import) if import.imported == all.len() as u64), "{outcome:?}");
    all
}

/// Takes a message out of the mailbox.
#[derive(Clone, Copy)]
struct Remove(MessageId);

impl Command for Remove {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.execute("DELETE FROM listings WHERE message_id = $1", params![self.0.uuid()]).await?;
        tx.execute("DELETE FROM messages WHERE id = $1", params![self.0.uuid()]).await?;
        Ok(())
    }
}

/// The ids of all pages.
async fn found(setting: &Setting, text: &str, filter: Filter, limit: usize) -> Vec<String> {
    let search = Search::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
    let filter = Filter { search, ..filter };
    let mut request = PageRequest { limit, cursor: None, fields: Fields::Standard, with_body: false };
    let mut ids = Vec::new();
    loop {
        let (shown, next) =
            messages::list(&setting.world.platform.store, setting.agent.id, &filter, &request).await.expect("page");
        let Shown::Messages(page) = shown else { panic!("raw") };
        assert!(page.len() <= limit);
        ids.extend(page.into_iter().map(|message| message.id));
        if next.is_none() {
            return ids;
        }
        assert_ne!(next, request.cursor);
        request.cursor = next;
    }
}

/// What is to be found, in its order.
fn expected(mailbox: &BTreeMap<u64, Filed>, text: &str, passes: impl Fn(&Filed) -> bool) -> Vec<String> {
    let sought = terms::of_query(&Query::parse(text).expect(text).expect(text)).expect(text);
    let all = sought.terms();
    let mut keys: Vec<Key> = mailbox
        .values()
        .filter(|filed| passes(filed))
        .filter_map(|filed| {
            let score = of_vector(&sought, &all, &filed.terms)?;
            Some(Key { score, date: filed.date, id: filed.id.uuid().into_bytes() })
        })
        .collect();
    keys.sort_unstable_by(|one, other| other.cmp(one));
    keys.into_iter().map(|key| MessageId::from_uuid(uuid::Uuid::from_bytes(key.id)).to_string()).collect()
}

/// Asks so many queries; answers the numbers of the messages that were found, in their order.
async fn compare(setting: &Setting, mailbox: &BTreeMap<u64, Filed>, seed: u64, count: usize) -> Vec<Vec<u64>> {
    let (mut chance, mut answers) = (Chance(seed), Vec::new());
    let numbers: BTreeMap<String, u64> = mailbox.values().map(|filed| (filed.id.to_string(), filed.number)).collect();
    for round in 0..count {
        let text = chance.query(3);
        let limit = 1 + chance.below(200) as usize;
        let limit = if round % 10 == 0 { limit } else { limit.max(60) };
        let after = 1_770_000_000 + chance.below(MESSAGES / 3) as i64;
        let (filter, passes): (Filter, Passes) = match round % 3 {
            0 => (
                Filter { received_after: Some(after), ..Filter::default() },
                Box::new(move |filed| filed.date > after * 1_000_000 + 999_999),
            ),
            1 => (
                Filter { received_before: Some(after), ..Filter::default() },
                Box::new(move |filed| filed.date < after * 1_000_000),
            ),
            _ => (Filter::default(), Box::new(|_| true)),
        };
        let expected = expected(mailbox, &text, passes);
        let found = found(setting, &text, filter, limit).await;
        assert_eq!(found, expected, "{text} by {limit}, {round}");
        answers.push(found.iter().map(|id| numbers[id]).collect());
    }
    answers
}

async fn tale(options: WorldOptions) -> Vec<Vec<u64>> {
    let setting = Setting::with(options).await;
    let (platform, grant) = (&setting.world.platform, setting.agent.id);
    let mut chance = Chance(88_172_645_463_325_252);
    let mut mailbox = BTreeMap::new();
    let mut answers = Vec::new();
    let keep = |mailbox: &mut BTreeMap<u64, Filed>, all: Vec<Filed>| {
        mailbox.extend(all.into_iter().map(|filed| (filed.number, filed)));
    };
    // All of it loose.
    keep(&mut mailbox, deliver(&setting, &mut chance, 0..400).await);
    answers.extend(compare(&setting, &mailbox, 11, 60).await);
    search::gather_once(platform).await.expect("gathered");
    let segments = || async {
        let mut reader = platform.store.reader().await.expect("reader");
        postfleet_store::search::segments(&mut reader, grant).await.expect("segments")
    };
    assert_eq!(segments().await.len(), 3);
    answers.extend(compare(&setting, &mailbox, 11, 60).await);
    // Late ones, of which some are gathered.
    keep(&mut mailbox, import(&setting, &mut chance, 10_000..10_200).await);
    answers.extend(compare(&setting, &mailbox, 12, 60).await);
    search::gather_once(platform).await.expect("gathered");
    answers.extend(compare(&setting, &mailbox, 12, 60).await);
    // Some are gone.
    for number in (0..400).step_by(3) {
        platform.store.run(Remove(mailbox[&number].id)).await.expect("removed");
        mailbox.remove(&number);
    }
    answers.extend(compare(&setting, &mailbox, 13, 30).await);
    // Enough to merge.
    keep(&mut mailbox, deliver(&setting, &mut chance, 400..MESSAGES).await);
    search::gather_once(platform).await.expect("gathered");
    let levels: Vec<u32> = segments().await.iter().map(|segment| segment.level).collect();
    assert!(levels.contains(&1), "{levels:?}");
    answers.extend(compare(&setting, &mailbox, 14, 90).await);
    // Nothing is done twice.
    search::gather_once(platform).await.expect("gathered");
    assert_eq!(segments().await.iter().map(|segment| segment.level).collect::<Vec<_>>(), levels);
    answers
}

#[tokio::test]
async fn both_engines_find_what_the_model_finds() {
    let of_sqlite = tale(WorldOptions::default()).await;
    println!("{} queries on SQLite", of_sqlite.len());
    assert!(of_sqlite.len() >= 300);
    let Some(server) = PostgresServer::start() else { return };
    let url = server.create_database("search");
    let options = WorldOptions { database: Some(Location::Postgres { url, writers: 2 }), ..WorldOptions::default() };
    let of_postgres = tale(options).await;
    println!("{} queries on PostgreSQL", of_postgres.len());
    assert_eq!(of_sqlite, of_postgres);
}
