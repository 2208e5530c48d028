//! `/v3/grants/{grant}/imports` and `/v3/grants/{grant}/export`.

use crate::support::{Answer, Harness, assert_shape};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/imports",
    "POST /v3/grants/{grant}/imports",
    "GET /v3/grants/{grant}/imports/{import}",
    "DELETE /v3/grants/{grant}/imports/{import}",
    "POST /v3/grants/{grant}/imports/{import}/messages",
    "GET /v3/grants/{grant}/export",
];

const SHAPE: &str = "id:string object:string grant_id:string source:string announce:boolean state:string reason:string? \
    position:integer imported_messages:integer imported_bytes:integer skipped_messages:integer skipped:array \
    created_at:integer updated_at:integer";

async fn begin(harness: &Harness) -> String {
    let answer = harness.post(&harness.at("/imports"), &json!({"source": "a file"})).await;
    let data = answer.is_ok().data();
    assert_shape(data, SHAPE);
    assert_eq!((&data["state"], &data["position"], &data["reason"]), (&json!("open"), &json!(0), &Value::Null));
    data["id"].as_str().expect("id").to_owned()
}

fn line(folder: &str, received_at: i64, raw: &[u8]) -> String {
    let raw = URL_SAFE.encode(raw);
    json!({"folder": folder, "received_at": received_at, "unread": true, "starred": false, "raw_mime": raw}).to_string()
        + "\n"
}

async fn take(harness: &Harness, import: &str, query: &str, lines: &str) -> Answer {
    let path = harness.at(&format!("/imports/{import}/messages{query}"));
    // In pieces, as a network brings them.
    let pieces: Vec<_> = lines.as_bytes().chunks(1_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let request = axum::http::Request::post(path).header("content-type", "application/x-ndjson");
    let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
    let body = axum::body::Body::from_stream(futures::stream::iter(pieces));
    harness.request(request.body(body).expect("request")).await
}

async fn on_plan(plan: &'static str) -> Harness {
    let world = World::with(WorldOptions::default()).await;
    Harness::in_world(world, NewTenant { plan, ..NewTenant::of("acme.test") }).await
}

/// 2026-03-01 10:00 UTC, the day before every world begins.
const YESTERDAY: i64 = 1_772_359_200;

#[tokio::test]
async fn what_is_exported_and_imported_is_there_octet_for_octet() {
    let harness = on_plan("self_hosted").await;
    let raws: Vec<Vec<u8>> = vec![
        b"Subject: one\r\n\r\nFrom me\r\n>From you\r\n".to_vec(),
        b"Subject: two\r\n\r\n\xe9\x00\xff 8-bit\r\n.\r\n".to_vec(),
        b"no header".to_vec(),
        [b"Subject: long\r\n\r\n".as_slice(), &vec![b'x'; 200_000]].concat(),
    ];
    let folders = ["inbox", "SPAM", "Clients", "sent"];
    let id = begin(&harness).await;
    let lines: String = raws
        .iter()
        .zip(folders)
        .enumerate()
        .map(|(at, (raw, folder))| line(folder, YESTERDAY + at as i64, raw))
        .collect();
    let answer = take(&harness, &id, "?last=true", &lines).await;
    let data = answer.is_ok().data();
    assert_shape(data, SHAPE);
    assert_eq!((&data["state"], &data["imported_messages"]), (&json!("done"), &json!(4)), "{data}");

    let exported = harness.get(&harness.at("/export?limit=3")).await;
    let mut items = exported.is_ok().data().as_array().expect("items").clone();
    let cursor = exported.json["next_cursor"].as_str().expect("cursor").to_owned();
    let rest = harness.get(&harness.at(&format!("/export?limit=3&page_token={cursor}"))).await;
    items.extend(rest.is_ok().data().as_array().expect("items").clone());
    let end = rest.json["next_cursor"].as_str().expect("cursor").to_owned();
    let nothing = harness.get(&harness.at(&format!("/export?page_token={end}"))).await;
    assert_eq!((nothing.is_ok().data(), &nothing.json["next_cursor"]), (&json!([]), &Value::Null));
    assert_eq!(items.len(), 4);
    for (number, (item, raw)) in items.iter().zip(&raws).enumerate() {
        assert_shape(item, "folder:string received_at:integer unread:boolean starred:boolean raw_mime:string");
        assert_eq!(&URL_SAFE.decode(item["raw_mime"].as_str().expect("raw")).expect("base64url"), raw);
        assert_eq!(item["folder"], ["inbox", "junk", "archive", "sent"][number]);
        assert_eq!((&item["received_at"], &item["unread"]), (&json!(YESTERDAY + number as i64), &json!(true)));
    }

    // What was exported is what an import takes.
    let second = begin(&harness).await;
    let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
    assert_eq!(take(&harness, &second, "?last=1", &lines).await.is_ok().data()["imported_messages"], 4);
    let meters = harness.get(&harness.at("/usage")).await;
    let meters = meters.is_ok().data()["meters"].as_array().expect("meters").clone();
    let octets: usize = raws.iter().map(Vec::len).sum();
    for meter in meters {
        let used = if meter["meter"] == "storage" { 2 * octets } else { 0 };
        assert_eq!(meter["used"], used, "{meter}");
    }
}

#[tokio::test]
async fn what_is_no_message_is_named_and_the_rest_is_there() {
    let harness = on_plan("free").await;
    let id = begin(&harness).await;
    let good = line("inbox", YESTERDAY, b"Subject: x\r\n\r\nHi\r\n");
    let padded = json!({"raw_mime": STANDARD.encode("Subject: ~~~???\r\n\r\nHi\r\n")});
    let lines = format!(
        "{good}\n\nnothing\n[]\n{{\"raw_mime\": \"!\"}}\n{{\"raw_mime\": \"\"}}\n{padded}\n{}{good}",
        line("inbox", YESTERDAY - 40 * 86_400, b"Subject: old\r\n\r\nHi\r\n")
    );
    let answer = take(&harness, &id, "", lines.trim_end()).await;
    let data = answer.is_ok().data();
    assert_eq!((&data["position"], &data["imported_messages"], &data["state"]), (&json!(8), &json!(3), &json!("open")));
    let named: Vec<_> = data["skipped"].as_array().expect("skipped").iter().map(|one| one["code"].clone()).collect();
    assert_eq!(named, ["unreadable", "unreadable", "unreadable", "empty", "older_than_retention"]);

    // Again, for whoever did not get the answer; and further than there is.
    assert_eq!(take(&harness, &id, "", &lines).await.is_ok().data()["imported_messages"], 3);
    take(&harness, &id, "?position=9", &good).await.refuses(409, "invalid_request", Some("position"));
    take(&harness, &id, "?position=-1", &good).await.refuses(400, "invalid_request", Some("position"));
    let cancelled = harness.delete(&harness.at(&format!("/imports/{id}"))).await;
    assert_eq!(cancelled.is_ok().data()["state"], "cancelled");
    take(&harness, &id, "?position=8", &good).await.refuses(409, "import_closed", None);
    let listed = harness.get(&harness.at("/imports")).await;
    assert_eq!(listed.is_ok().data()[0]["id"], json!(id));
    let found = harness.get(&harness.at(&format!("/imports/{id}"))).await;
    assert_eq!(found.is_ok().data()["skipped_messages"], 5);
    let long = harness.post(&harness.at("/imports"), &json!({"source": "x".repeat(513)})).await;
    long.refuses(400, "invalid_request", Some("source"));
}
