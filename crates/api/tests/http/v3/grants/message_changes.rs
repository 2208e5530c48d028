//! `/v3/grants/{grant}/messages/{message}`: what is changed of a message, and how it is deleted.

use crate::support::Harness;
use serde_json::{Map, Value, json};

pub(crate) const ROUTES: &[&str] = &["DELETE /v3/grants/{grant}/messages/{message}"];

/// How often something was told of a message.
async fn told(harness: &Harness, kind: &str, id: &str) -> usize {
    let events = harness.get(&format!("/v3/events?limit=200&type={kind}")).await;
    events.is_ok().data().as_array().expect("list").iter().filter(|event| event["message_id"] == id).count()
}

/// As many pairs as there may be, each as long as it may be, in characters of two octets.
fn largest() -> Value {
    let pair = |number: usize| (format!("{number:02}{}", "ü".repeat(38)), json!("ü".repeat(500)));
    Value::Object((0..50).map(pair).collect::<Map<_, _>>())
}

#[tokio::test]
async fn metadata_is_replaced_as_a_whole_and_what_is_absent_or_null_stays() {
    let harness = Harness::new().await;
    let id = harness.receive_about("x").await;
    let path = harness.at(&format!("/messages/{id}"));
    let (first, second) = (json!({"task": "7", "camelCase": "Ü"}), json!({"other": ""}));
    for (name, change, expected) in [
        ("a message has none", json!({}), json!({})),
        ("given", json!({"metadata": first}), first.clone()),
        ("absent", json!({"starred": true}), first.clone()),
        ("null", json!({"metadata": null}), first.clone()),
        ("the same", json!({"metadata": first}), first.clone()),
        ("others take the place of all", json!({"metadata": second}), second.clone()),
        ("empty", json!({"metadata": {}}), json!({})),
        ("empty again", json!({"metadata": {}}), json!({})),
        ("the largest", json!({"metadata": largest()}), largest()),
    ] {
        for answer in [harness.put(&path, &change).await, harness.patch(&path, &change).await] {
            assert_eq!(answer.is_ok().data()["metadata"], expected, "{name}");
        }
        assert_eq!(harness.get(&path).await.data()["metadata"], expected, "{name}");
    }
    assert_eq!(harness.ids(&harness.at("/messages?metadata_pair=task:7")).await, [""; 0]);
    harness.put(&path, &json!({"metadata": first})).await.is_ok();
    assert_eq!(harness.ids(&harness.at("/messages?metadata_pair=task:7")).await, [id.as_str()]);
    let sent = json!({"to": [{"email": "a@b.test"}], "subject": "s", "body": "b", "metadata": first});
    let sent = harness.post(&harness.at("/messages/send"), &sent).await.is_ok().data()["id"].clone();
    let sent = harness.at(&format!("/messages/{}", sent.as_str().expect("id")));
    assert_eq!(harness.put(&sent, &json!({"metadata": second})).await.is_ok().data()["metadata"], second);
}

#[tokio::test]
async fn metadata_at_its_limits_is_refused_by_name_and_nothing_is_changed() {
    let harness = Harness::new().await;
    let id = harness.receive_about("x").await;
    let path = harness.at(&format!("/messages/{id}"));
    let before = harness.get(&path).await.data().clone();
    let long = |key: usize, value: usize| json!({("k".repeat(key)): "v".repeat(value)});
    let many: Map<_, _> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    for (metadata, field) in [
        (json!(5), "metadata"),
        (json!([]), "metadata"),
        (json!("text"), "metadata"),
        (json!({"k": 1}), "metadata.k"),
        (json!({"k": null}), "metadata.k"),
        (json!({"k": {}}), "metadata.k"),
        (json!({"": "v"}), "metadata"),
        (json!({"a\nb": "v"}), "metadata"),
        (long(41, 1), "metadata"),
        (json!({"k": "v".repeat(501)}), "metadata.k"),
        (Value::Object(many), "metadata"),
    ] {
        let refused = harness.put(&path, &json!({"metadata": metadata, "starred": true})).await;
        refused.refuses(400, "invalid_request", Some(field));
    }
    harness.put(&path, &json!({"answered": "yes"})).await.refuses(400, "invalid_request", Some("answered"));
    let huge = json!({"metadata": {"k": "v".repeat(1 << 20)}});
    harness.put(&path, &huge).await.refuses(413, "body_too_large", None);
    assert_eq!(harness.get(&path).await.data(), &before);
    assert_eq!(told(&harness, "message.updated", &id).await, 0);
}

#[tokio::test]
async fn the_same_change_twice_is_told_once() {
    let harness = Harness::new().await;
    let id = harness.receive_about("x").await;
    let path = harness.at(&format!("/messages/{id}"));
    let changes = [
        json!({"metadata": {"a": "1", "b": "2"}}),
        json!({"metadata": {"b": "2", "a": "1"}, "answered": false}),
        json!({"answered": true}),
        json!({"answered": true, "unread": true, "starred": false, "folders": ["INBOX"]}),
        json!({"answered": null, "unread": null, "starred": null, "folders": null, "metadata": null}),
        json!({}),
        json!({"answered": false, "metadata": {}}),
    ];
    let mut times = Vec::new();
    for change in &changes {
        for _ in 0..2 {
            harness.put(&path, change).await.is_ok();
        }
        times.push(told(&harness, "message.updated", &id).await);
    }
    assert_eq!(times, [1, 1, 2, 2, 2, 2, 3]);
}

#[tokio::test]
async fn a_reply_marks_what_it_answers_however_it_is_sent() {
    let harness = Harness::new().await;
    let answered =
        async |id: &str| harness.get(&harness.at(&format!("/messages/{id}"))).await.data()["answered"].clone();
    let letter = |id: &str| {
        json!({"to": [{"email": "ada@sender.test"}], "subject": format!("Re {id}"), "body": "Yes.",
            "reply_to_message_id": id})
    };
    let by_id = harness.receive_about("by id").await;
    assert_eq!(answered(&by_id).await, json!(false));
    let reply = harness.post(&harness.at("/messages/send"), &letter(&by_id)).await;
    assert_eq!(reply.is_ok().data()["answered"], json!(false));
    assert_eq!(answered(&by_id).await, json!(true));
    assert_eq!(told(&harness, "message.updated", &by_id).await, 1);
    // Of a second reply there is nothing to tell.
    let mut again = letter(&by_id);
    again["body"] = json!("Once more.");
    harness.post(&harness.at("/messages/send"), &again).await.is_ok();
    assert_eq!(told(&harness, "message.updated", &by_id).await, 1);
    // What was said not to be answered is so until the next reply.
    harness.put(&harness.at(&format!("/messages/{by_id}")), &json!({"answered": false})).await.is_ok();
    assert_eq!(answered(&by_id).await, json!(false));

    let with_header =
        harness.receive("From: a@b.test\r\nMessage-ID: <named@b.test>\r\nSubject: header\r\n\r\nx\r\n").await;
    harness.post(&harness.at("/messages/send"), &letter("<named@b.test>")).await.is_ok();
    assert_eq!(answered(&with_header).await, json!(true), "by its Message-ID");

    let drafted = harness.receive_about("draft").await;
    let draft = harness.post(&harness.at("/drafts"), &letter(&drafted)).await;
    let draft = draft.is_ok().data()["id"].as_str().expect("id").to_owned();
    assert_eq!(answered(&drafted).await, json!(false), "a draft is no answer yet");
    harness.post(&harness.at(&format!("/drafts/{draft}")), &json!({})).await.is_ok();
    assert_eq!(answered(&drafted).await, json!(true), "by a draft");

    let refused = harness.receive_about("refused").await;
    let mut nobody = letter(&refused);
    nobody["to"] = json!([{"email": "nobody"}]);
    harness.post(&harness.at("/messages/send"), &nobody).await.refuses(400, "invalid_request", Some("to[0].email"));
    assert_eq!(answered(&refused).await, json!(false), "nothing was sent");
}

#[tokio::test]
async fn a_message_goes_into_the_trash_and_from_there_for_good() {
    let harness = Harness::new().await;
    let id = harness.receive_about("x").await;
    let path = harness.at(&format!("/messages/{id}"));
    let deleted = harness.delete(&path).await;
    assert_eq!(deleted.is_ok().json.as_object().expect("object").keys().collect::<Vec<_>>(), ["request_id"]);
    assert_eq!(harness.get(&path).await.data()["folders"], json!(["trash"]));
    assert_eq!((told(&harness, "message.updated", &id).await, told(&harness, "message.deleted", &id).await), (1, 0));
    assert_eq!(harness.ids(&harness.at("/messages?in=trash")).await, [id.as_str()]);
    harness.delete(&path).await.is_ok();
    for missing in [harness.get(&path).await, harness.delete(&path).await, harness.put(&path, &json!({})).await] {
        missing.refuses(404, "not_found", None);
    }
    assert_eq!((told(&harness, "message.updated", &id).await, told(&harness, "message.deleted", &id).await), (1, 1));
    assert_eq!(harness.ids(&harness.at("/messages")).await, [""; 0]);
    assert_eq!(harness.ids(&harness.at("/threads")).await, [""; 0]);
    // What is in the trash and elsewhere leaves the other folder first.
    let both = harness.receive_about("y").await;
    let path = harness.at(&format!("/messages/{both}"));
    harness.put(&path, &json!({"folders": ["inbox", "trash"]})).await.is_ok();
    harness.delete(&path).await.is_ok();
    assert_eq!(harness.get(&path).await.data()["folders"], json!(["trash"]));
}

#[tokio::test]
async fn a_hard_delete_frees_storage_with_its_commit() {
    let harness = Harness::new().await;
    let used = async || {
        let usage = harness.get(&harness.at("/usage")).await;
        let meters = usage.is_ok().data()["meters"].as_array().expect("meters").clone();
        let of_storage = meters.into_iter().filter(|meter| meter["meter"] == "storage");
        of_storage.map(|meter| meter["used"].as_u64().expect("number")).collect::<Vec<_>>()
    };
    let nothing = used().await;
    assert!(nothing.len() > 1 && nothing.iter().all(|used| *used == 0), "{nothing:?}");
    let id = harness.receive(&format!("Subject: x\r\n\r\n{}\r\n", "a".repeat(5_000))).await;
    assert_ne!(used().await, nothing);
    let path = harness.at(&format!("/messages/{id}"));
    harness.delete(&path).await.is_ok();
    assert_ne!(used().await, nothing, "the trash is kept");
    for query in ["?hard_delete=maybe", "?hard_delete=2"] {
        harness.delete(&format!("{path}{query}")).await.refuses(400, "invalid_request", Some("hard_delete"));
    }
    harness.delete(&format!("{path}?hard_delete=True")).await.is_ok();
    assert_eq!(used().await, nothing);
    let folders = harness.get(&harness.at("/folders")).await;
    for folder in folders.data().as_array().expect("list") {
        assert_eq!((&folder["total_count"], &folder["unread_count"]), (&json!(0), &json!(0)), "{}", folder["id"]);
    }
    harness.delete(&format!("{path}?hard_delete=true")).await.refuses(404, "not_found", None);
    // From the inbox, without the trash.
    let id = harness.receive_about("y").await;
    harness.delete(&harness.at(&format!("/messages/{id}?hard_delete=true"))).await.is_ok();
    assert_eq!((used().await, told(&harness, "message.updated", &id).await), (nothing, 0));
}

#[tokio::test]
async fn drafts_and_what_waits_are_no_messages_to_delete() {
    let harness = Harness::new().await;
    let letter = json!({"to": [{"email": "ada@sender.test"}], "subject": "s", "body": "b"});
    let draft = harness.post(&harness.at("/drafts"), &letter).await.is_ok().data()["id"].clone();
    let draft = draft.as_str().expect("id");
    let mut later = letter.clone();
    later["send_at"] = json!(harness.world.platform.clock.now().as_seconds() + 3_600);
    let waiting = harness.post(&harness.at("/messages/send"), &later).await;
    let waiting = waiting.is_ok().data()["id"].as_str().expect("id").to_owned();
    for id in [draft, &waiting] {
        for query in ["", "?hard_delete=true"] {
            harness.delete(&harness.at(&format!("/messages/{id}{query}"))).await.refuses(404, "not_found", None);
        }
    }
    harness.get(&harness.at(&format!("/drafts/{draft}"))).await.is_ok();
    // What is sent may be purged while it still goes out, and goes out.
    let sent = harness.post(&harness.at("/messages/send"), &letter).await.is_ok().data()["id"].clone();
    let sent = sent.as_str().expect("id");
    harness.delete(&harness.at(&format!("/messages/{sent}?hard_delete=true"))).await.is_ok();
    harness.get(&harness.at(&format!("/messages/{sent}"))).await.refuses(404, "not_found", None);
    assert_eq!(harness.world.deliver_due().await, 1);
}
