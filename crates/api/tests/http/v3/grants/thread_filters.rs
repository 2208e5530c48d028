//! `GET /v3/grants/{grant}/threads`, narrowed: the same threads as a plain model finds among all messages.

use crate::support::{Harness, ids};
use postfleet_store::Location;
use postfleet_testkit::postgres::PostgresServer;
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::collections::HashMap;

const MESSAGES: usize = 160;
const COMBINATIONS: usize = 250;
const SUBJECTS: [&str; 4] = ["Invoice", "Hours of work", "Re: Invoice", "Lunch"];
const FOLDERS: [&str; 5] = ["inbox", "archive", "junk", "trash", "sent"];

/// Numbers that follow from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn in_four(&mut self) -> bool {
        self.below(4) == 0
    }

    fn person(&mut self) -> String {
        format!("p{}@sender.test", self.below(6))
    }
}

/// Receives, sends, drafts, moves and marks; each message begins a thread or goes on with one.
async fn fill(harness: &Harness, dice: &mut Dice) {
    let mut known: Vec<String> = Vec::new();
    for number in 0..MESSAGES {
        harness.world.advance(dice.below(90) as u64);
        let subject = SUBJECTS[dice.below(SUBJECTS.len())];
        let answered =
            if dice.below(5) < 3 && !known.is_empty() { Some(known[dice.below(known.len())].clone()) } else { None };
        match dice.below(8) {
            0 => {
                let body = json!({"to": [{"email": dice.person()}], "bcc": [{"email": dice.person()}], "subject": subject,
                    "body": "x", "starred": dice.in_four(), "metadata": {"key1": format!("v{}", dice.below(3))},
                    "reply_to_message_id": answered});
                known.push(
                    harness.post(&harness.at("/messages/send"), &body).await.is_ok().data()["id"]
                        .as_str()
                        .expect("id")
                        .to_owned(),
                );
            }
            1 => {
                let body = json!({"to": [{"email": dice.person()}], "subject": subject, "body": "x",
                    "starred": dice.in_four(), "unread": dice.in_four(), "reply_to_message_id": answered});
                harness.post(&harness.at("/drafts"), &body).await.is_ok();
            }
            _ => {
                let reference = match &answered {
                    Some(id) => {
                        let found = harness.get(&harness.at(&format!("/messages/{id}"))).await;
                        format!("In-Reply-To: {}\r\n", found.data()["message_id_header"].as_str().expect("id"))
                    }
                    None => String::new(),
                };
                let kind = if dice.in_four() {
                    "Content-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment; filename=a.txt\r\n"
                } else {
                    ""
                };
                let cc = if dice.in_four() { format!("Cc: {}\r\n", dice.person()) } else { String::new() };
                let message = format!(
                    "From: {}\r\nTo: agent@acme.test, {}\r\n{cc}Subject: {subject}\r\nMessage-ID: <m{number}@sender.test>\r\n\
                     {reference}{kind}\r\nText\r\n",
                    dice.person(),
                    dice.person()
                );
                known.push(harness.receive(&message).await);
            }
        }
        if dice.in_four() && !known.is_empty() {
            let folder = FOLDERS[dice.below(4)];
            let change = json!({"starred": dice.in_four(), "unread": dice.in_four(),
                "folders": if dice.in_four() { json!([folder]) } else { json!(null) }});
            let id = &known[dice.below(known.len())];
            harness.put(&harness.at(&format!("/messages/{id}")), &change).await.is_ok();
        }
    }
}

/// Everything of a list.
async fn all(harness: &Harness, path: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), String::new());
    loop {
        let sign = if path.contains('?') { '&' } else { '?' };
        let page = harness.get(&harness.at(&format!("{path}{sign}page_token={next}"))).await;
        items.extend(page.is_ok().data().as_array().expect("list").iter().cloned());
        next = page.json["next_cursor"].as_str().unwrap_or_default().to_owned();
        if next.is_empty() {
            return items;
        }
    }
}

/// A value of a filter; several, of which any may be, are separated by commas.
fn value(name: &str, dice: &mut Dice, dates: &[i64]) -> String {
    match name {
        "unread" | "starred" | "has_attachment" => ["true", "false"][dice.below(2)].to_owned(),
        "in" => match dice.below(3) {
            0 => format!("{},{}", FOLDERS[dice.below(5)], FOLDERS[dice.below(5)]),
            1 => "drafts".to_owned(),
            _ => FOLDERS[dice.below(5)].to_owned(),
        },
        "subject" => ["invoice", "RE:", "hours", "nothing"][dice.below(4)].to_owned(),
        "metadata_pair" => format!("key1:v{}", dice.below(3)),
        "latest_message_before" | "latest_message_after" | "earliest_message_date" => {
            dates[dice.below(dates.len())].to_string()
        }
        _ => match dice.below(3) {
            0 => format!("{},{}", dice.person(), dice.person()),
            1 => dice.person().to_uppercase(),
            _ => dice.person(),
        },
    }
}

/// Whether one message is as a filter of that name wants it.
fn matches(message: &Value, name: &str, wanted: &str) -> bool {
    let flag = wanted == "true";
    let any = |texts: Vec<String>| texts.iter().any(|text| wanted.to_lowercase().split(',').any(|one| one == text));
    let emails = |headers: &[&str]| -> Vec<String> {
        let people = headers.iter().flat_map(|header| message[*header].as_array().expect("people"));
        people.map(|person| person["email"].as_str().expect("email").to_lowercase()).collect()
    };
    match name {
        "unread" | "starred" => message[name] == flag,
        "has_attachment" => message["attachments"].as_array().expect("list").is_empty() != flag,
        "in" => any(message["folders"]
            .as_array()
            .expect("list")
            .iter()
            .map(|one| one.as_str().expect("id").to_owned())
            .collect()),
        "subject" => message["subject"].as_str().expect("subject").to_lowercase().contains(&wanted.to_lowercase()),
        "metadata_pair" => format!("key1:{}", message["metadata"]["key1"].as_str().unwrap_or_default()) == wanted,
        "any_email" => any(emails(&["from", "to", "cc", "bcc"])),
        header => any(emails(&[header])),
    }
}

/// Whether the thread's dates are as such a filter wants them; `None` for a filter of messages.
fn dates_match(thread: &Value, name: &str, wanted: &str) -> Option<bool> {
    let wanted: i64 = wanted
        .parse()
        .ok()
        .filter(|_| name.ends_with("before") || name.ends_with("after") || name.ends_with("date"))?;
    let received = thread["latest_message_received_date"].as_i64().or(thread["latest_message_sent_date"].as_i64());
    // A thread of drafts alone stands where they put it.
    let latest = received.unwrap_or_else(|| thread["latest_draft_or_message"]["date"].as_i64().expect("date"));
    Some(match name {
        "latest_message_before" => latest < wanted,
        "latest_message_after" => latest > wanted,
        _ => thread["earliest_message_date"].as_i64().expect("date") >= wanted,
    })
}

async fn compare(harness: &Harness, seed: u64) -> (usize, usize) {
    const FILTERS: [&str; 13] = [
        "unread",
        "starred",
        "has_attachment",
        "in",
        "subject",
        "metadata_pair",
        "any_email",
        "from",
        "to",
        "cc",
        "bcc",
        "latest_message_before",
        "latest_message_after",
    ];
    let mut dice = Dice(seed);
    fill(harness, &mut dice).await;
    let threads = all(harness, "/threads?limit=50").await;
    let mut members: HashMap<String, Vec<Value>> = HashMap::new();
    for message in all(harness, "/messages?limit=200").await.into_iter().chain(all(harness, "/drafts?limit=200").await)
    {
        members.entry(message["thread_id"].as_str().expect("id").to_owned()).or_default().push(message);
    }
    assert_eq!(threads.len(), members.len());
    let longest = members.values().map(Vec::len).max().expect("threads");
    let dates: Vec<i64> = members.values().flatten().map(|message| message["date"].as_i64().expect("date")).collect();
    let mut hits = 0;
    for combination in 0..COMBINATIONS {
        let most = 1 + dice.below(3);
        let mut wanted: Vec<(&str, String)> = Vec::new();
        for _ in 0..most {
            let name = *FILTERS.iter().chain(&["earliest_message_date"]).nth(dice.below(14)).expect("name");
            if wanted.iter().all(|(known, _)| *known != name) {
                wanted.push((name, value(name, &mut dice, &dates)));
            }
        }
        let expected: Vec<String> = threads
            .iter()
            .filter(|thread| wanted.iter().all(|(name, value)| dates_match(thread, name, value).unwrap_or(true)))
            .filter(|thread| {
                let of_messages = |(name, value): &&(&str, String)| dates_match(thread, name, value).is_none();
                let asked: Vec<_> = wanted.iter().filter(of_messages).collect();
                let members = &members[thread["id"].as_str().expect("id")];
                members.iter().any(|message| asked.iter().all(|(name, value)| matches(message, name, value)))
            })
            .map(|thread| thread["id"].as_str().expect("id").to_owned())
            .collect();
        let limit = 1 + dice.below(50);
        let query: String = wanted.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let found = all(harness, &format!("/threads?limit={limit}{query}")).await;
        let found: Vec<String> = found.iter().map(|thread| thread["id"].as_str().expect("id").to_owned()).collect();
        assert_eq!(found, expected, "combination {combination}: {query}");
        hits += usize::from(!expected.is_empty());
    }
    println!("{COMBINATIONS} combinations, {hits} with hits, over {} threads, the longest of {longest}", threads.len());
    (hits, longest)
}

#[tokio::test]
async fn filters_find_what_a_plain_model_finds() {
    let harness = Harness::new().await;
    let (hits, longest) = compare(&harness, 0x5EED_0001).await;
    assert!(hits > COMBINATIONS / 3 && longest > 3, "{hits} {longest}");
}

#[tokio::test]
async fn filters_find_what_a_plain_model_finds_on_postgresql() {
    let Some(server) = PostgresServer::shared() else { return };
    let database = Location::Postgres { url: server.create_database("thread_filters"), writers: 2 };
    let options = WorldOptions { database: Some(database), ..WorldOptions::default() };
    let harness = Harness::in_world(World::with(options).await, NewTenant::of("acme.test")).await;
    let (hits, _) = compare(&harness, 0x5EED_0002).await;
    assert!(hits > COMBINATIONS / 3, "{hits}");
}

#[tokio::test]
async fn all_filters_are_matched_by_one_message_and_one_thread_can_be_asked_for() {
    let harness = Harness::new().await;
    let first = harness
        .receive(
            "From: ada@sender.test\r\nTo: agent@acme.test\r\nSubject: Hours\r\nMessage-ID: <a@x.test>\r\n\r\n?\r\n",
        )
        .await;
    harness.receive("From: bob@sender.test\r\nTo: agent@acme.test\r\nSubject: Re: Hours\r\nIn-Reply-To: <a@x.test>\r\n\r\n!\r\n").await;
    harness.put(&harness.at(&format!("/messages/{first}")), &json!({"starred": true})).await.is_ok();
    let thread = harness.ids(&harness.at("/threads")).await.remove(0);
    for (query, is_found) in [
        ("starred=true&from=ada@sender.test".to_owned(), true),
        ("starred=true&from=bob@sender.test".to_owned(), false),
        ("from=bob@sender.test&subject=re:".to_owned(), true),
        (format!("thread_id={thread}"), true),
        (format!("thread_id={thread}&starred=true"), true),
        (format!("thread_id={thread}&in=trash"), false),
        (format!("thread_id={first}"), false),
        ("in=nowhere".to_owned(), false),
    ] {
        let found = harness.get(&harness.at(&format!("/threads?{query}"))).await;
        assert_eq!(ids(found.is_ok()), if is_found { vec![thread.clone()] } else { vec![] }, "{query}");
    }
    let addresses = vec!["a@b.test"; 26].join(",");
    for (query, field) in [
        ("unread=maybe".to_owned(), "unread"),
        (format!("any_email={addresses}"), "any_email"),
        ("thread_id=7".to_owned(), "thread_id"),
        ("latest_message_after=abc".to_owned(), "latest_message_after"),
        ("earliest_message_date=x".to_owned(), "earliest_message_date"),
        ("search_query_native=(x".to_owned(), "search_query_native"),
        ("q=x+OR".to_owned(), "q"),
    ] {
        harness.get(&harness.at(&format!("/threads?{query}"))).await.refuses(400, "invalid_request", Some(field));
    }
}
