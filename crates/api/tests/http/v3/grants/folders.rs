//! `/v3/grants/{grant}/folders`.

use crate::support::{Harness, assert_shape, ids};
use futures::future::join_all;
use postfleet_core::id::{EventId, FolderId};
use postfleet_mailflow::janitor;
use postfleet_store::folders::{CreateFolder, DeleteFolder, FolderOutcome};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/folders",
    "POST /v3/grants/{grant}/folders",
    "GET /v3/grants/{grant}/folders/{folder}",
    "PUT /v3/grants/{grant}/folders/{folder}",
    "PATCH /v3/grants/{grant}/folders/{folder}",
    "DELETE /v3/grants/{grant}/folders/{folder}",
];

const FOLDER: &str = "id:string grant_id:string object:string name:string parent_id:null background_color:null \
    text_color:null system_folder:boolean attributes:array child_count:integer total_count:integer unread_count:integer";

const SYSTEM: [&str; 6] = ["inbox", "sent", "drafts", "trash", "junk", "archive"];

async fn make(harness: &Harness, name: &str) -> String {
    let made = harness.post(&harness.at("/folders"), &json!({"name": name})).await;
    assert_shape(made.is_ok().data(), FOLDER);
    made.data()["id"].as_str().expect("id").to_owned()
}

async fn counts(harness: &Harness, folder: &str) -> (Value, Value) {
    let found = harness.get(&harness.at(&format!("/folders/{folder}"))).await;
    (found.is_ok().data()["total_count"].clone(), found.data()["unread_count"].clone())
}

async fn put(harness: &Harness, message: &str, change: Value) -> Value {
    harness.put(&harness.at(&format!("/messages/{message}")), &change).await.is_ok().data().clone()
}

async fn told(harness: &Harness, kind: &str) -> Vec<Value> {
    let events = harness.get(&format!("/v3/events?limit=200&type={kind}")).await;
    events.is_ok().data().as_array().expect("list").iter().map(|event| event["object"].clone()).collect()
}

#[tokio::test]
async fn the_six_folders_with_their_counts() {
    let harness = Harness::new().await;
    harness.receive_about("one").await;
    harness.receive_about("two").await;
    let send = json!({"to": [{"email": "a@b.test"}], "subject": "three"});
    harness.post(&harness.at("/messages/send"), &send).await.is_ok();
    let list = harness.get(&harness.at("/folders?parent_id=x&single_level=true&include_hidden_folders=True")).await;
    assert_eq!(ids(&list), SYSTEM);
    for folder in list.data().as_array().expect("list") {
        assert_shape(folder, FOLDER);
        assert_eq!((&folder["object"], &folder["name"]), (&json!("folder"), &folder["id"]));
        let counts = match folder["id"].as_str() {
            Some("inbox") => (2, 2),
            Some("sent") => (1, 0),
            _ => (0, 0),
        };
        assert_eq!((&folder["total_count"], &folder["unread_count"]), (&json!(counts.0), &json!(counts.1)));
    }
    assert_eq!(list.data()[4]["attributes"], json!(["\\Junk"]));
}

#[tokio::test]
async fn a_folder_is_found_in_every_spelling() {
    let harness = Harness::new().await;
    for (name, id) in [("inbox", "inbox"), ("INBOX", "inbox"), ("Sent", "sent"), ("spam", "junk"), ("%69nbox", "inbox")]
    {
        let answer = harness.get(&harness.at(&format!("/folders/{name}"))).await;
        assert_shape(answer.data(), FOLDER);
        assert_eq!(answer.data()["id"], id);
    }
    for name in ["in", "inbox%20", "%5CInbox", "clients"] {
        harness.get(&harness.at(&format!("/folders/{name}"))).await.refuses(404, "not_found", None);
    }
    let id = make(&harness, "Kunden/Grün").await;
    for name in [id.as_str(), &id.to_uppercase(), "Kunden%2FGr%C3%BCn", "KUNDEN%2FGR%C3%9CN"] {
        assert_eq!(harness.get(&harness.at(&format!("/folders/{name}"))).await.data()["id"], id, "{name}");
    }
}

#[tokio::test]
async fn a_folder_from_its_making_to_its_end() {
    let harness = Harness::new().await;
    let new =
        json!({"name": "  Clients/Acme ", "parent_id": "inbox", "background_color": "#fff", "text_color": 7, "x": {}});
    let made = harness.post(&harness.at("/folders"), &new).await;
    assert_shape(made.is_ok().data(), FOLDER);
    let id = made.data()["id"].as_str().expect("id").to_owned();
    let is = |field: &str, value: Value| assert_eq!(made.data()[field], value, "{field}");
    is("name", json!("Clients/Acme"));
    is("system_folder", json!(false));
    is("attributes", json!([]));
    let path = harness.at(&format!("/folders/{id}"));
    assert_eq!(harness.get(&path).await.data(), made.data());
    assert_eq!(ids(&harness.get(&harness.at("/folders")).await), [&SYSTEM[..], &[&id]].concat());
    assert_eq!(told(&harness, "folder.created").await, [json!({"id": id, "name": "Clients/Acme"})]);

    // What changes nothing tells nothing.
    for same in [json!({}), json!({"name": null}), json!({"name": "Clients/Acme"}), json!({"text_color": "red"})] {
        assert_eq!(harness.put(&path, &same).await.is_ok().data(), made.data(), "{same}");
    }
    assert!(told(&harness, "folder.updated").await.is_empty());
    let renamed = harness.patch(&path, &json!({"name": "clients/ACME"})).await;
    assert_eq!(renamed.is_ok().data()["name"], "clients/ACME", "the case of its own name");
    let renamed = harness.put(&path, &json!({"name": "Acme"})).await;
    assert_eq!((&renamed.is_ok().data()["name"], &renamed.data()["id"]), (&json!("Acme"), &json!(id)));
    assert_eq!(told(&harness, "folder.updated").await.len(), 2);
    make(&harness, "Clients/Acme").await;
    let taken = harness.put(&path, &json!({"name": "CLIENTS/acme"})).await;
    taken.refuses(409, "folder_name_taken", Some("name"));

    assert_eq!(harness.delete(&path).await.is_ok().json.as_object().expect("object").len(), 1);
    for gone in [harness.get(&path).await, harness.delete(&path).await, harness.put(&path, &json!({"name": "y"})).await]
    {
        gone.refuses(404, "not_found", None);
    }
    assert_eq!(told(&harness, "folder.deleted").await, [json!({"id": id, "name": "Acme"})]);
    assert_ne!(make(&harness, "Acme").await, id, "its name is free");
}

#[tokio::test]
async fn names_that_a_folder_cannot_have_are_refused_by_name() {
    let harness = Harness::new().await;
    let own = make(&harness, "Own").await;
    let longest = "ü".repeat(1_024);
    assert_eq!(make(&harness, &longest).await.len(), 36);
    let invalid = |name: Value| (name, 400, "invalid_request");
    for (name, status, code) in [
        invalid(json!("")),
        invalid(json!("  ")),
        invalid(json!("x".repeat(1_025))),
        invalid(json!("a\nb")),
        invalid(json!("Inbox")),
        invalid(json!(" SPAM ")),
        invalid(json!("scheduled")),
        invalid(json!(7)),
        (json!("OWN"), 409, "folder_name_taken"),
        (json!(longest.to_uppercase()), 409, "folder_name_taken"),
    ] {
        let body = json!({"name": name});
        harness.post(&harness.at("/folders"), &body).await.refuses(status, code, Some("name"));
        if body["name"] != "OWN" {
            let path = harness.at(&format!("/folders/{own}"));
            harness.put(&path, &body).await.refuses(status, code, Some("name"));
        }
    }
    for body in [json!({}), json!({"name": null})] {
        harness.post(&harness.at("/folders"), &body).await.refuses(400, "invalid_request", Some("name"));
    }
    for folder in ["inbox", "SENT", "spam", "drafts"] {
        let path = harness.at(&format!("/folders/{folder}"));
        harness.put(&path, &json!({"name": "x"})).await.refuses(400, "system_folder", None);
        harness.delete(&path).await.refuses(400, "system_folder", None);
    }
    assert_eq!(ids(&harness.get(&harness.at("/folders")).await).len(), 8);
}

#[tokio::test]
async fn pages_hold_every_folder_once() {
    let harness = Harness::new().await;
    let mut expected: Vec<String> = SYSTEM.iter().map(|id| (*id).to_owned()).collect();
    for number in 0..5 {
        expected.push(make(&harness, &format!("f{number}")).await);
        harness.world.advance(1);
    }
    for limit in [1, 4, 6, 7, 11, 200] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = harness.get(&harness.at(&format!("/folders?limit={limit}&page_token={cursor}"))).await;
            seen.extend(ids(&page));
            assert!(ids(&page).len() <= limit && !ids(&page).is_empty(), "{limit}");
            match page.json.get("next_cursor") {
                Some(next) => cursor = next.as_str().expect("text").to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, expected, "{limit}");
    }
    for bad in ["x", "%00", "aW5ib3g9", "A"] {
        let refused = harness.get(&harness.at(&format!("/folders?page_token={bad}"))).await;
        refused.refuses(400, "invalid_request", Some("page_token"));
    }
    harness.get(&harness.at("/folders?limit=201")).await.refuses(400, "invalid_request", Some("limit"));
}

#[tokio::test]
async fn messages_are_put_into_folders_listed_and_counted() {
    let harness = Harness::new().await;
    let (clients, other) = (make(&harness, "Clients").await, make(&harness, "Other").await);
    let (one, two) = (harness.receive_about("one").await, harness.receive_about("two").await);
    // By id, by name, twice the same.
    assert_eq!(
        put(&harness, &one, json!({"folders": [clients, "CLIENTS", "inbox"]})).await["folders"],
        json!([clients, "inbox"])
    );
    assert_eq!(put(&harness, &two, json!({"folders": ["other"], "unread": false})).await["folders"], json!([other]));
    assert_eq!(counts(&harness, &clients).await, (json!(1), json!(1)));
    assert_eq!(counts(&harness, &other).await, (json!(1), json!(0)));
    assert_eq!(counts(&harness, "inbox").await, (json!(1), json!(1)));
    for (query, expected) in [
        (format!("in={clients}"), vec![&one]),
        ("in=Clients".to_owned(), vec![&one]),
        (format!("in={other}&in=clients"), vec![&two, &one]),
        (format!("in={other},inbox"), vec![&two, &one]),
        (format!("in={other}&unread=true"), vec![]),
        (format!("in={}", harness.agent), vec![]),
        ("in=nothing&in=Other".to_owned(), vec![&two]),
    ] {
        let seen = harness.ids(&harness.at(&format!("/messages?{query}"))).await;
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    for folders in [json!(["Nothing"]), json!([one]), json!(["inbox", "x"])] {
        let refused = harness.put(&harness.at(&format!("/messages/{one}")), &json!({"folders": folders})).await;
        refused.refuses(400, "invalid_request", Some("folders")).says("does not have");
    }
    // A folder of another mailbox is none here.
    let theirs = "/v3/grants/agent@other.test/folders";
    let theirs = harness.ask(&harness.other.api_key, "POST", theirs, Some(&json!({"name": "Theirs"}))).await;
    let theirs = theirs.is_ok().data()["id"].clone();
    let refused = harness.put(&harness.at(&format!("/messages/{one}")), &json!({"folders": [theirs]})).await;
    refused.refuses(400, "invalid_request", Some("folders"));
    // A message that is renamed with its folder is where it was.
    harness.put(&harness.at(&format!("/folders/{clients}")), &json!({"name": "Kunden"})).await.is_ok();
    assert_eq!(harness.ids(&harness.at("/messages?in=kunden")).await, [one.as_str()]);
    assert!(harness.ids(&harness.at("/messages?in=Clients")).await.is_empty());
}

#[tokio::test]
async fn additional_folders_of_the_policy_are_made_when_they_are_first_named() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(50), ..NewTenant::of("acme.test") }).await;
    let policy = harness.ids("/v3/policies").await[0].clone();
    let options = json!({"options": {"additional_folders": ["Invoices", "Inbox"]}});
    harness.put(&format!("/v3/policies/{policy}"), &options).await.is_ok();
    assert_eq!(ids(&harness.get(&harness.at("/folders")).await), SYSTEM);
    let (one, two) = (harness.receive_about("one").await, harness.receive_about("two").await);
    let made = put(&harness, &one, json!({"folders": ["INVOICES"]})).await["folders"].clone();
    assert_eq!(put(&harness, &two, json!({"folders": ["invoices"]})).await["folders"], made);
    let list = harness.get(&harness.at("/folders")).await;
    assert_eq!((ids(&list).len(), &list.data()[6]["name"], &list.data()[6]["id"]), (7, &json!("Invoices"), &made[0]));
    assert_eq!(told(&harness, "folder.created").await, [json!({"id": made[0], "name": "Invoices"})]);
}

#[tokio::test]
async fn the_messages_of_a_deleted_folder_go_into_the_trash_or_for_good() {
    for hard in [false, true] {
        let harness = Harness::new().await;
        let clients = make(&harness, "Clients").await;
        let (only, both) = (harness.receive_about("only").await, harness.receive_about("both").await);
        put(&harness, &only, json!({"folders": [clients]})).await;
        put(&harness, &both, json!({"folders": ["archive", clients], "unread": false})).await;
        let query = if hard { "?hard_delete=true" } else { "" };
        harness.delete(&harness.at(&format!("/folders/{clients}{query}"))).await.is_ok();
        let found = harness.get(&harness.at(&format!("/messages/{only}"))).await;
        if hard {
            found.refuses(404, "not_found", None);
        } else {
            assert_eq!(found.data()["folders"], json!(["trash"]));
        }
        assert_eq!(harness.get(&harness.at(&format!("/messages/{both}"))).await.data()["folders"], json!(["archive"]));
        let left = i32::from(!hard);
        assert_eq!(counts(&harness, "trash").await, (json!(left), json!(left)), "{hard}");
        assert_eq!(counts(&harness, "archive").await, (json!(1), json!(0)), "{hard}");
        assert!(harness.ids(&harness.at(&format!("/messages?in={clients}"))).await.is_empty());
    }
}

#[tokio::test]
async fn what_a_request_does_not_take_out_of_a_folder_the_janitor_does() {
    let harness = Harness::new().await;
    let (clients, platform) = (make(&harness, "Clients").await, &harness.world.platform);
    let mut messages = Vec::new();
    for subject in ["one", "two", "three"] {
        let id = harness.receive_about(subject).await;
        put(&harness, &id, json!({"folders": [clients], "unread": false})).await;
        messages.push(harness.at(&format!("/messages/{id}")));
    }
    // As a request that ended right after its first commit.
    let at = platform.clock.now();
    let command = DeleteFolder {
        application_id: harness.acme.application_id,
        grant_id: harness.agent.parse().expect("id"),
        folder: clients.clone(),
        hard: false,
        event_id: EventId::new(at, platform.entropy.ten()),
        at,
    };
    assert!(platform.store.run(command).await.expect("delete").is_some());
    harness.get(&harness.at(&format!("/folders/{clients}"))).await.refuses(404, "not_found", None);
    let refused = harness.put(&messages[0], &json!({"folders": [clients]})).await;
    refused.refuses(400, "invalid_request", Some("folders"));
    assert_eq!(counts(&harness, "trash").await, (json!(0), json!(0)));
    janitor::clean_once(platform).await.expect("clean");
    assert_eq!(counts(&harness, "trash").await, (json!(3), json!(0)));
    for message in messages {
        assert_eq!(harness.get(&message).await.data()["folders"], json!(["trash"]));
    }
}

#[tokio::test]
async fn an_account_has_at_most_a_thousand_folders() {
    let harness = Harness::new().await;
    let (first, platform) = (make(&harness, "first").await, &harness.world.platform);
    let (grant_id, at) = (harness.agent.parse().expect("id"), platform.clock.now());
    let others = (1..1_000).map(|number| {
        let (id, event_id) = (FolderId::new(at, platform.entropy.ten()), EventId::new(at, platform.entropy.ten()));
        let (application_id, name) = (harness.acme.application_id, format!("f{number}"));
        platform.store.run(CreateFolder { application_id, grant_id, id, name, event_id, at })
    });
    for outcome in join_all(others).await {
        assert!(matches!(outcome, Ok(FolderOutcome::Done(_))), "{outcome:?}");
    }
    let one_more = json!({"name": "one more"});
    harness.post(&harness.at("/folders"), &one_more).await.refuses(409, "too_many_folders", None);
    harness.delete(&harness.at(&format!("/folders/{first}"))).await.is_ok();
    harness.post(&harness.at("/folders"), &one_more).await.is_ok();
}

#[tokio::test]
async fn a_folder_keeps_its_name_whatever_is_selected() {
    let harness = Harness::new().await;
    for path in ["/folders/inbox?select=id", "/folders?select=id"] {
        let answer = harness.get(&harness.at(path)).await;
        let data = answer.data();
        let shown = data.as_array().map_or(data, |list| &list[0]);
        assert_shape(shown, "id:string grant_id:string object:string name:string");
    }
}
