//! Lists of messages beside a plain model: five thousand messages, five hundred combinations of every filter, through all
//! pages, on both engines; then once most of them are gathered in segments, and some are loose and late; then the same while somebody
//! files, moves, marks and removes messages between the pages.
//!
//! The model knows no index, no cursor and no folding: a message passes or it does not, and what passes is put in order.

use crate::support::{Harness, engines};
use axum::body::Body;
use axum::http::Request;
use axum::{Router, body::to_bytes};
use form_urlencoded::Serializer;
use futures::future::join_all;
use postfleet_core::UnixMicros;
use postfleet_core::id::{BlobId, EventId, GrantId, MessageId, ThreadId};
use postfleet_core::rule::Placement;
use postfleet_mailbox::summary::{File, Person, Summary};
use postfleet_mailflow::search;
use postfleet_store::db::DbError;
use postfleet_store::messages::{Deliver, FiledCopy, MailboxCopy, MessageFacts, Provenance};
use postfleet_store::threads::ThreadHints;
use postfleet_store::{Command, Tx, params};
use postfleet_testkit::world::BEGINNING;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tower::ServiceExt;

const MESSAGES: usize = 5_000;
const COMBINATIONS: usize = 500;
const WITH_A_WRITER: usize = 100;
const GATHERED: usize = 300;

/// Messages that come after the others were gathered: some are later than all, most are late.
const AFTERWARDS: usize = 250;

/// Chance that repeats (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }
}

/// Folders by their ids, and by what else they are called.
const FOLDERS: &[(&str, &str)] =
    &[("inbox", "INBOX"), ("archive", "Archive"), ("junk", "spam"), ("trash", "Trash"), ("sent", "sent")];

/// Words of subjects as they are written, and as they are asked for. None is part of another.
const WORDS: &[(&str, &str)] = &[
    ("Grüße", "GRÜSSE"),
    ("Invoice", "iNVOICE"),
    ("Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ"),
    ("ofﬁce", "OFFICE"),
    ("Счёт", "счёт"),
    ("100%", "100%"),
    ("\"quoted\\", "\"QUOTED\\"),
    ("報告", "報告"),
];

/// Addresses as messages name them, and as they are asked for.
const PEOPLE: &[(&str, &str)] = &[
    ("ada@people.test", "ADA@People.test"),
    ("Bob@people.test", "bob@people.test"),
    ("c@bücher.test", "c@xn--bcher-kva.test"),
    ("ünal@people.test", "ÜNAL@people.test"),
    ("rare@people.test", "rare@people.test"),
    ("e@people.test", "e@people.test"),
    ("f@people.test", "F@PEOPLE.TEST"),
];

const KEYS: &[&str] = &["key1", "key2", "order-id"];
const VALUES: &[&str] = &["open", "a, b", "x:y", "see, https://people.test/", "Ü"];

/// A message as the model knows it.
#[derive(Clone, Debug)]
struct Mail {
    id: MessageId,
    date: i64,
    folders: Vec<usize>,
    unread: bool,
    starred: bool,
    words: Vec<usize>,
    /// From, to, cc, bcc.
    people: [Vec<usize>; 4],
    has_attachment: bool,
    metadata: BTreeMap<usize, usize>,
    thread: String,
}

/// What is asked for.
#[derive(Debug, Default)]
struct Asked {
    folders: Vec<usize>,
    unread: Option<bool>,
    starred: Option<bool>,
    has_attachment: Option<bool>,
    after: Option<i64>,
    before: Option<i64>,
    word: Option<usize>,
    /// In from, to, cc, bcc, any of them.
    people: [Vec<usize>; 5],
    metadata: Vec<(usize, usize)>,
    thread: Option<String>,
    limit: usize,
    /// How lists are written: with commas, or one by one.
    with_commas: bool,
}

impl Asked {
    fn roll(dice: &mut Dice, mails: &[Mail]) -> Self {
        let mut asked = Self { limit: [7, 23, 50, 200][dice.roll(4)], with_commas: dice.one_in(2), ..Self::default() };
        // At least one of the filters; mostly two or three.
        for _ in 0..1 + dice.roll(4) {
            match dice.roll(11) {
                0 | 1 => asked.folders = (0..1 + dice.roll(3)).map(|_| dice.roll(FOLDERS.len())).collect(),
                2 => asked.unread = Some(dice.one_in(2)),
                3 => asked.starred = Some(!dice.one_in(3)),
                4 => asked.has_attachment = Some(dice.one_in(2)),
                5 => asked.after = Some(dice.pick_date(mails)),
                6 => asked.before = Some(dice.pick_date(mails)),
                7 => asked.word = Some(dice.roll(WORDS.len())),
                8 => {
                    let header = dice.roll(5);
                    asked.people[header] = (0..1 + dice.roll(2)).map(|_| dice.roll(PEOPLE.len())).collect();
                }
                9 => asked.metadata = vec![(dice.roll(KEYS.len()), dice.roll(VALUES.len()))],
                _ => asked.thread = Some(mails[dice.roll(mails.len())].thread.clone()),
            }
        }
        if dice.one_in(10) {
            asked.metadata.push((dice.roll(KEYS.len()), dice.roll(VALUES.len())));
        }
        asked
    }

    /// The model.
    fn passes(&self, mail: &Mail) -> bool {
        let among = |wanted: &[usize], found: &[&Vec<usize>]| {
            wanted.is_empty() || found.iter().any(|list| list.iter().any(|one| wanted.contains(one)))
        };
        let [from, to, cc, bcc] = &mail.people;
        (self.folders.is_empty() || self.folders.iter().any(|folder| mail.folders.contains(folder)))
            && self.unread.is_none_or(|unread| unread == mail.unread)
            && self.starred.is_none_or(|starred| starred == mail.starred)
            && self.has_attachment.is_none_or(|wanted| wanted == mail.has_attachment)
            && self.after.is_none_or(|after| mail.date / 1_000_000 > after)
            && self.before.is_none_or(|before| mail.date < before * 1_000_000)
            && self.word.is_none_or(|word| mail.words.contains(&word))
            && among(&self.people[0], &[from])
            && among(&self.people[1], &[to])
            && among(&self.people[2], &[cc])
            && among(&self.people[3], &[bcc])
            && among(&self.people[4], &[from, to, cc, bcc])
            && self.metadata.iter().all(|(key, value)| mail.metadata.get(key) == Some(value))
            && self.thread.as_ref().is_none_or(|thread| *thread == mail.thread)
    }

    fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        let mut list = |name: &str, texts: Vec<String>| match self.with_commas {
            _ if texts.is_empty() => {}
            true => {
                query.append_pair(name, &texts.join(","));
            }
            false => {
                query.extend_pairs(texts.iter().map(|text| (name, text)));
            }
        };
        list("in", self.folders.iter().map(|folder| FOLDERS[*folder].1.to_owned()).collect());
        for (name, people) in ["from", "to", "cc", "bcc", "any_email"].iter().zip(&self.people) {
            list(name, people.iter().map(|person| PEOPLE[*person].1.to_owned()).collect());
        }
        let pair = |(key, value): &(usize, usize)| format!("{}:{}", KEYS[*key], VALUES[*value]);
        list("metadata_pair", self.metadata.iter().map(pair).collect());
        for (name, flag) in
            [("unread", self.unread), ("starred", self.starred), ("has_attachment", self.has_attachment)]
        {
            let written =
                |flag: &bool| if self.with_commas { format!("{flag}").to_uppercase() } else { flag.to_string() };
            list(name, flag.iter().map(written).collect());
        }
        for (name, date) in [("received_after", self.after), ("received_before", self.before)] {
            list(name, date.iter().map(ToString::to_string).collect());
        }
        list("subject", self.word.iter().map(|word| WORDS[*word].1.to_owned()).collect());
        list("thread_id", self.thread.iter().cloned().collect());
        query.append_pair("limit", &self.limit.to_string());
        query.append_pair("select", "date");
        query.finish()
    }
}

impl Dice {
    fn pick_date(&mut self, mails: &[Mail]) -> i64 {
        mails[self.roll(mails.len())].date / 1_000_000
    }
}

/// One mailbox, what is in it, and the interface to it.
struct Mailbox {
    harness: Harness,
    router: Router,
    grant: GrantId,
    mails: Vec<Mail>,
    made: u64,
}

impl Mailbox {
    async fn filled(harness: Harness, dice: &mut Dice) -> Self {
        let grant: GrantId = harness.agent.parse().expect("id");
        let router = harness.router();
        let mut mailbox = Self { harness, router, grant, mails: Vec::new(), made: 0 };
        for draft in 0..20 {
            let draft =
                json!({"subject": format!("Invoice {draft}"), "starred": true, "to": [{"email": "ada@people.test"}]});
            assert_eq!(mailbox.harness.post(&mailbox.harness.at("/drafts"), &draft).await.status, 200);
        }
        while mailbox.mails.len() < MESSAGES {
            mailbox.fill(dice, 250).await;
        }
        mailbox.learn_threads().await;
        mailbox
    }

    /// Files so many more messages.
    async fn fill(&mut self, dice: &mut Dice, count: usize) {
        let mut batch = Vec::new();
        for _ in 0..count {
            let mail = self.roll(dice);
            batch.push(self.delivery(&mail).await);
            self.mails.push(mail);
        }
        let filed = join_all(batch.into_iter().map(|one| self.harness.world.platform.store.run(one))).await;
        filed.into_iter().for_each(|one| assert_eq!(one.expect("run").expect("filed").len(), 1));
    }

    /// Gathers what can be gathered.
    async fn gather(&self) {
        let platform = &self.harness.world.platform;
        search::gather(platform, self.grant).await.expect("gathered");
        let mut reader = platform.store.reader().await.expect("reader");
        let segments = postfleet_store::search::segments(&mut reader, self.grant).await.expect("segments");
        let gathered: usize = segments.iter().map(|segment| segment.messages).sum();
        assert!(gathered > MESSAGES - 300, "{gathered}");
    }

    /// What an id is made from: later ones sort after earlier ones.
    fn fresh(&mut self) -> [u8; 10] {
        self.made += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.made.to_be_bytes());
        random
    }

    /// A message that is not there yet. Several share a second, and some a microsecond.
    fn roll(&mut self, dice: &mut Dice) -> Mail {
        let id = MessageId::new(BEGINNING, self.fresh());
        let micros = [0, 1, 500_000][dice.roll(3)] + dice.roll(1_500) as i64 * 1_000_000;
        let rare = |dice: &mut Dice, person: usize| person != 4 || dice.one_in(40);
        let mut people: [Vec<usize>; 4] = Default::default();
        for (list, most) in people.iter_mut().zip([1, 3, 2, 1]) {
            for _ in 0..dice.roll(most + 1) {
                let person = dice.roll(PEOPLE.len());
                list.extend(Some(person).filter(|person| rare(dice, *person)));
            }
        }
        let mut folders: Vec<usize> = vec![if dice.one_in(3) { dice.roll(FOLDERS.len()) } else { 0 }];
        if dice.one_in(5) {
            folders.push(dice.roll(FOLDERS.len()));
            folders.dedup();
        }
        Mail {
            id,
            date: BEGINNING.as_micros() - 2_000_000_000 + micros,
            folders,
            unread: dice.one_in(3),
            starred: dice.one_in(30),
            words: (0..dice.roll(3)).map(|_| dice.roll(WORDS.len())).collect(),
            people,
            has_attachment: dice.one_in(6),
            metadata: (0..dice.roll(3)).map(|_| (dice.roll(KEYS.len()), dice.roll(VALUES.len()))).collect(),
            thread: format!("conversation-{}", dice.roll(300)),
        }
    }

    async fn delivery(&mut self, mail: &Mail) -> Deliver {
        let store = self.harness.world.platform.store.clone();
        let blob = store.blobs().prepare(BlobId::new(BEGINNING, self.fresh()), b"Subject: x\r\n\r\nHello\r\n").await;
        let person = |person: &usize| Person { name: String::new(), email: PEOPLE[*person].0.to_owned() };
        let [from, to, cc, bcc] = mail.people.each_ref().map(|list| list.iter().map(person).collect::<Vec<_>>());
        let file = File {
            index: 1,
            filename: "a.pdf".into(),
            content_type: "application/pdf".into(),
            size: 1,
            content_id: None,
            disposition: None,
            is_inline: false,
        };
        let words: Vec<&str> = mail.words.iter().map(|word| WORDS[*word].0).collect();
        let text = |(key, value): (&usize, &usize)| (KEYS[*key].to_owned(), VALUES[*value].to_owned());
        let summary = Summary {
            subject: words.join(" "),
            from,
            to,
            cc,
            bcc,
            attachments: mail.has_attachment.then_some(file).into_iter().collect(),
            metadata: mail.metadata.iter().map(text).collect(),
            ..Summary::default()
        };
        let facts = MessageFacts {
            date: UnixMicros::from_micros(mail.date),
            outgoing: false,
            folder: "inbox",
            unread: mail.unread,
            starred: false,
            octets: 21,
            summary: summary.to_json(),
            thread: ThreadHints { in_reply_to: vec![format!("{}@people.test", mail.thread)], ..ThreadHints::default() },
        };
        let copy = MailboxCopy {
            grant_id: self.grant,
            application_id: self.harness.acme.application_id,
            message_id: mail.id,
            new_thread_id: ThreadId::new(BEGINNING, self.fresh()),
            event_id: EventId::new(BEGINNING, self.fresh()),
        };
        let folders = mail.folders.iter().map(|folder| FOLDERS[*folder].0.to_owned()).collect();
        let placement = Placement { folders, unread: mail.unread, starred: mail.starred };
        let copies = vec![FiledCopy { copy, placement, assessment: None, received: None }];
        Deliver { blob: blob.expect("blob"), facts, copies, provenance: Provenance::Ours }
    }

    async fn get(&self, path: &str) -> Value {
        let uri = self.harness.at(path);
        let request =
            Request::builder().uri(&uri).header("authorization", format!("Bearer {}", self.harness.acme.api_key));
        let request = request.body(Body::empty()).expect("request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        let octets = to_bytes(response.into_body(), usize::MAX).await.expect("body");
        let answer = serde_json::from_slice(&octets).expect("JSON");
        assert_eq!(status, 200, "{uri}: {answer}");
        answer
    }

    /// Which threads the messages came to.
    async fn learn_threads(&mut self) {
        let mut threads = BTreeMap::new();
        let mut path = "/messages?limit=200&select=thread_id".to_owned();
        loop {
            let page = self.get(&path).await;
            for item in page["data"].as_array().expect("data") {
                let text = |name: &str| item[name].as_str().expect("text").to_owned();
                threads.insert(text("id"), text("thread_id"));
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            path = format!("/messages?limit=200&select=thread_id&page_token={next}");
        }
        assert_eq!(threads.len(), self.mails.len(), "every message is listed, and no draft");
        for mail in &mut self.mails {
            mail.thread = threads[&mail.id.to_string()].clone();
        }
    }

    /// The ids on all pages, and how many pages there are. Between pages something may happen.
    async fn all(&mut self, asked: &Asked, mut between: impl AsyncFnMut(&mut Self)) -> (Vec<String>, usize) {
        let query = asked.query();
        let (mut ids, mut pages, mut path) = (Vec::new(), 0, format!("/messages?{query}"));
        loop {
            let page = self.get(&path).await;
            let items = page["data"].as_array().expect("data");
            assert!(items.len() <= asked.limit, "{query}");
            ids.extend(items.iter().map(|item| item["id"].as_str().expect("id").to_owned()));
            pages += 1;
            let Some(next) = page["next_cursor"].as_str() else { return (ids, pages) };
            assert!(pages < MESSAGES, "{query} never ends");
            path = format!("/messages?{query}&page_token={next}");
            between(self).await;
        }
    }

    /// What the model lists.
    fn modelled(&self, asked: &Asked) -> Vec<String> {
        let mut passing: Vec<&Mail> = self.mails.iter().filter(|mail| asked.passes(mail)).collect();
        passing.sort_by_key(|mail| std::cmp::Reverse((mail.date, mail.id)));
        passing.into_iter().map(|mail| mail.id.to_string()).collect()
    }

    /// Files, moves, marks or removes something, here and in the model. Answers which message that was.
    async fn change(&mut self, dice: &mut Dice) -> MessageId {
        let one = dice.roll(self.mails.len());
        let id = self.mails[one].id;
        match dice.roll(5) {
            0 => {
                let mut mail = self.roll(dice);
                let delivery = self.delivery(&mail).await;
                self.harness.world.platform.store.run(delivery).await.expect("run").expect("filed");
                let found = self.get(&format!("/messages/{}", mail.id)).await;
                mail.thread = found["data"]["thread_id"].as_str().expect("thread").to_owned();
                self.mails.push(mail);
                return self.mails[self.mails.len() - 1].id;
            }
            1 => {
                self.harness.world.platform.store.run(Remove(self.grant, id)).await.expect("removed");
                self.mails.swap_remove(one);
            }
            2 => {
                let folder = dice.roll(FOLDERS.len());
                let to = json!({"folders": [FOLDERS[folder].0]});
                assert_eq!(self.harness.put(&self.harness.at(&format!("/messages/{id}")), &to).await.status, 200);
                self.mails[one].folders = vec![folder];
            }
            3 => {
                let pairs: BTreeMap<usize, usize> =
                    (0..dice.roll(3)).map(|_| (dice.roll(KEYS.len()), dice.roll(VALUES.len()))).collect();
                let texts: BTreeMap<&str, &str> =
                    pairs.iter().map(|(key, value)| (KEYS[*key], VALUES[*value])).collect();
                let to = json!({"metadata": texts});
                assert_eq!(self.harness.put(&self.harness.at(&format!("/messages/{id}")), &to).await.status, 200);
                self.mails[one].metadata = pairs;
            }
            _ => {
                let (unread, starred) = (dice.one_in(2), dice.one_in(2));
                let to = json!({"unread": unread, "starred": starred});
                assert_eq!(self.harness.put(&self.harness.at(&format!("/messages/{id}")), &to).await.status, 200);
                (self.mails[one].unread, self.mails[one].starred) = (unread, starred);
            }
        }
        id
    }
}

/// Takes a message out of a mailbox and its lists.
#[derive(Clone, Debug)]
struct Remove(GrantId, MessageId);

impl Command for Remove {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const UNLIST: &str = "DELETE FROM listings WHERE grant_id = $1 AND message_id = $2";
        const REMOVE: &str = "DELETE FROM messages WHERE grant_id = $1 AND id = $2";
        for sql in [UNLIST, REMOVE] {
            tx.execute(sql, params![self.0.uuid(), self.1.uuid()]).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn lists_are_what_a_plain_model_says() {
    for (engine, harness) in engines().await {
        let mut dice = Dice(20_261_122);
        let mut mailbox = Mailbox::filled(harness, &mut dice).await;
        let (mut pages, mut items, mut some) = (0, 0, 0);
        for number in 0..COMBINATIONS {
            let asked = Asked::roll(&mut dice, &mailbox.mails);
            let expected = mailbox.modelled(&asked);
            let (found, of_it) = mailbox.all(&asked, async |_| {}).await;
            assert_eq!(found, expected, "{engine}, combination {number}: {}", asked.query());
            pages += of_it;
            items += found.len();
            some += usize::from(!found.is_empty());
        }
        assert!(some > COMBINATIONS / 3, "only {some} combinations find anything");
        println!(
            "{engine}: {MESSAGES} messages, {COMBINATIONS} combinations, {some} find something, {pages} pages, {items} items"
        );
    }
}

#[tokio::test]
async fn lists_are_the_same_once_messages_are_gathered() {
    for (engine, harness) in engines().await {
        let mut dice = Dice(51);
        let mut mailbox = Mailbox::filled(harness, &mut dice).await;
        mailbox.gather().await;
        mailbox.fill(&mut dice, AFTERWARDS).await;
        mailbox.learn_threads().await;
        let (mut pages, mut items) = (0, 0);
        for number in 0..GATHERED {
            let asked = Asked::roll(&mut dice, &mailbox.mails);
            let expected = mailbox.modelled(&asked);
            let (found, of_it) = mailbox.all(&asked, async |_| {}).await;
            assert_eq!(found, expected, "{engine}, combination {number}: {}", asked.query());
            pages += of_it;
            items += found.len();
        }
        println!("{engine}: {GATHERED} combinations over segments, {pages} pages, {items} items");
    }
}

#[tokio::test]
async fn pages_stay_right_while_somebody_writes() {
    for (engine, harness) in engines().await {
        let mut dice = Dice(7);
        let mut mailbox = Mailbox::filled(harness, &mut dice).await;
        let (mut changes, mut pages) = (0, 0);
        for number in 0..WITH_A_WRITER {
            if number == WITH_A_WRITER / 3 {
                mailbox.gather().await;
            }
            let asked = Asked { limit: [3, 7, 23][dice.roll(3)], ..Asked::roll(&mut dice, &mailbox.mails) };
            // Small pages, so that much happens between them, but not of all that there is.
            let asked = match mailbox.modelled(&asked).len() > 400 {
                true => Asked { limit: 50, ..asked },
                false => asked,
            };
            let before: BTreeSet<String> = mailbox.modelled(&asked).into_iter().collect();
            let mut ever = before.clone();
            let mut touched = BTreeSet::new();
            let (found, of_it) = mailbox
                .all(&asked, async |mailbox: &mut Mailbox| {
                    for _ in 0..3 {
                        touched.insert(mailbox.change(&mut dice).await.to_string());
                        changes += 1;
                    }
                    let now = mailbox.mails.iter().filter(|mail| touched.contains(&mail.id.to_string()));
                    ever.extend(now.filter(|mail| asked.passes(mail)).map(|mail| mail.id.to_string()));
                })
                .await;
            pages += of_it;
            let query = asked.query();
            let once: BTreeSet<String> = found.iter().cloned().collect();
            assert_eq!(once.len(), found.len(), "{engine}, {number}: something comes twice: {query}");
            assert!(once.is_subset(&ever), "{engine}, {number}: something never passed: {query}");
            let throughout: BTreeSet<String> = before.difference(&touched).cloned().collect();
            assert!(throughout.is_subset(&once), "{engine}, {number}: something is missing: {query}");
        }
        println!("{engine}: {WITH_A_WRITER} combinations, {pages} pages, {changes} changes between them");
    }
}
