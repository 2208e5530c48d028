//! `/v3/grants/{grant}/opt-ins`, `/v3/opt-ins` and the page `/v3/opt-in/{token}`.

use super::holds::holding;
use crate::support::{Answer, Harness, assert_shape, ids};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use futures::future::join_all;
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::net::SocketAddr;

pub(crate) const ROUTES: &[&str] = &[
    "POST /v3/grants/{grant}/opt-ins",
    "GET /v3/opt-ins",
    "GET /v3/opt-ins/{opt_in}",
    "DELETE /v3/opt-ins/{opt_in}",
    "GET /v3/opt-in/{token}",
    "POST /v3/opt-in/{token}",
];

const OPT_IN: &str = "id:string object:string application_id:string grant_id:string email:string name:string? \
    purpose:string language:string state:string text:string text_sha256:string message_id:string source:object \
    redirect_url:string? asked_at:integer expires_at:integer confirmed:object? declined:object? withdrawn_at:integer?";

const FORM: &str = "application/x-www-form-urlencoded";
const PURPOSE: &str = "News about <tea> & \"biscuits\", once a month";
const DAY: u64 = 86_400;

fn wish(email: &str) -> Value {
    json!({"email": email, "purpose": PURPOSE})
}

async fn ask(harness: &Harness, body: &Value) -> Answer {
    harness.post(&harness.at("/opt-ins"), body).await
}

/// Asks an address, which must do; answers the record, and the path of the link in the mail that asks.
async fn asked(harness: &Harness, email: &str) -> (Value, String) {
    let answer = ask(harness, &wish(email)).await;
    let record = answer.is_ok().data().clone();
    let link = link_of(harness, record["message_id"].as_str().expect("id")).await;
    (record, link)
}

async fn link_of(harness: &Harness, message: &str) -> String {
    let path = harness.at(&format!("/messages/{message}?fields=raw_mime"));
    let raw = harness.get(&path).await.is_ok().data()["raw_mime"].as_str().expect("raw").to_owned();
    link_in(&String::from_utf8(URL_SAFE.decode(raw).expect("base64")).expect("text"))
}

/// The path of the one link in a message in plain text.
fn link_in(text: &str) -> String {
    let text = text.replace("=\r\n", "").replace("=3D", "=");
    let parts: Vec<&str> = text.split("https://mail.world.test").collect();
    assert_eq!(parts.len(), 2, "one link: {text}");
    parts[1].split_whitespace().next().expect("a path").to_owned()
}

async fn open(harness: &Harness, method: &str, path: &str, body: &str) -> Answer {
    let builder = Request::builder().method(method).uri(path).header("user-agent", "Browser/1.0");
    let builder = if method == "POST" { builder.header("content-type", FORM) } else { builder };
    let mut request = builder.body(Body::from(body.to_owned())).expect("request");
    request.extensions_mut().insert(ConnectInfo("192.0.2.7:4711".parse::<SocketAddr>().expect("address")));
    harness.request(request).await
}

async fn confirm(harness: &Harness, link: &str) -> Answer {
    open(harness, "POST", link, "answer=confirm").await
}

async fn decline(harness: &Harness, link: &str) -> Answer {
    open(harness, "POST", link, "answer=decline").await
}

fn page(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let policy = answer.header("content-security-policy").expect("policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(answer.header("set-cookie").is_none() && answer.header("location").is_none());
    let text = String::from_utf8(answer.octets.clone()).expect("text");
    assert!(!text.contains("<script") && !text.contains("<tea>"), "{text}");
    text
}

async fn record(harness: &Harness, id: &Value) -> Value {
    let answer = harness.get(&format!("/v3/opt-ins/{}", id.as_str().expect("id"))).await;
    assert_shape(answer.is_ok().data(), OPT_IN);
    answer.data().clone()
}

/// The events of opt-ins, oldest first, as the log has them.
async fn events(harness: &Harness) -> Vec<Value> {
    let log = harness.get("/v3/events").await;
    let mut events = log.is_ok().data().as_array().expect("events").clone();
    events.retain(|event| event["type"].as_str().is_some_and(|name| name.starts_with("opt_in.")));
    events.reverse();
    events
}

#[tokio::test]
async fn from_the_request_to_the_mail_that_arrives_to_the_page_to_the_proof() {
    let harness = Harness::new().await;
    harness.world.mailbox(&harness.other, "reader").await;
    let body = json!({
        "email": " Reader@other.test ", "purpose": format!(" {PURPOSE} "), "name": "Ada", "language": "en",
        "source": {"ip": "2001:DB8::1", "user_agent": "Shop/2", "url": "https://shop.test/signup"},
        "redirect_url": "https://shop.test/thanks?a=1&b=2",
    });
    let asked = ask(&harness, &body).await;
    assert_shape(asked.is_ok().data(), OPT_IN);
    let asked = asked.data();
    assert_eq!(
        (&asked["state"], &asked["email"], &asked["purpose"]),
        (&json!("pending"), &json!("Reader@other.test"), &json!(PURPOSE))
    );
    let text = format!(
        "I agree that agent agent <agent@acme.test> may send e-mail to Reader@other.test for this purpose: {PURPOSE}"
    );
    assert_eq!(asked["text"], text);
    assert_eq!(
        asked["source"],
        json!({"ip": "2001:db8::1", "user_agent": "Shop/2", "url": "https://shop.test/signup"})
    );
    assert_eq!(asked["expires_at"].as_i64().expect("end") - asked["asked_at"].as_i64().expect("time"), 7 * 86_400);

    assert_eq!(harness.world.deliver_due().await, 1);
    let inbox = "/v3/grants/reader@other.test/messages?fields=raw_mime";
    let mail = harness.ask(&harness.other.api_key, "GET", inbox, None).await;
    let raw = URL_SAFE.decode(mail.is_ok().data()[0]["raw_mime"].as_str().expect("raw")).expect("base64");
    let raw = String::from_utf8(raw).expect("text");
    assert!(raw.contains("Auto-Submitted: auto-generated\r\n"), "{raw}");
    assert!(raw.contains("Hello Ada,"), "{raw}");
    let message = asked["message_id"].as_str().expect("id");
    assert!(raw.contains(&format!("Message-ID: <{message}@acme.test>")), "the proof names the mail: {raw}");
    let link = link_in(&raw);

    harness.world.advance(60);
    let shown = open(&harness, "GET", &link, "").await;
    assert_eq!(shown.status, 200);
    let shown = page(&shown);
    for part in [
        "News about &lt;tea&gt; &amp; &quot;biscuits&quot;",
        "value=\"confirm\"",
        "value=\"decline\"",
        "Reader@other.test",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(record(&harness, &asked["id"]).await["state"], "pending", "looking confirms nothing");

    let thanks = confirm(&harness, &link).await;
    assert_eq!(thanks.status, 200);
    let thanks = page(&thanks);
    assert!(thanks.contains("You have confirmed this"), "{thanks}");
    assert!(thanks.contains("href=\"https://shop.test/thanks?a=1&amp;b=2\""), "{thanks}");
    assert!(thanks.contains("Go on to shop.test"), "{thanks}");
    let proof = record(&harness, &asked["id"]).await;
    let now = harness.world.platform.clock.now().as_seconds();
    assert_eq!(proof["confirmed"], json!({"at": now, "ip": "192.0.2.7", "user_agent": "Browser/1.0"}));
    assert_eq!((&proof["state"], &proof["text"]), (&json!("confirmed"), &asked["text"]));
    assert_eq!(proof["text_sha256"], "046479cbd6f8a52e41b3d63f6b35363bc0040a19184112da4ede361d1c2b609c");

    // Twice is the same.
    harness.world.advance(60);
    assert!(page(&confirm(&harness, &link).await).contains("You have confirmed this"));
    assert_eq!(record(&harness, &asked["id"]).await, proof);
    let events = events(&harness).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["type"], &events[0]["grant_id"]), (&json!("opt_in.confirmed"), &json!(harness.agent)));

    // Who has agreed is not asked again.
    let again = ask(&harness, &wish("reader@OTHER.test")).await;
    assert_eq!(again.is_ok().data(), &proof);
    assert_eq!(harness.world.deliver_due().await, 0);
}

#[tokio::test]
async fn only_the_buttons_of_a_real_link_say_anything() {
    let harness = Harness::new().await;
    let (asked, link) = asked(&harness, "ada@sender.test").await;
    for method in ["GET", "HEAD"] {
        open(&harness, method, &format!("{link}?answer=confirm"), "answer=confirm").await;
    }
    for body in ["", "answer=", "answer=Confirm", "x=confirm", "{\"answer\": \"confirm\"}"] {
        open(&harness, "POST", &link, body).await.refuses(400, "invalid_request", Some("answer"));
    }
    let json = Request::post(&link).header("content-type", "application/json").body(Body::from("{}"));
    harness.request(json.expect("request")).await.refuses(400, "invalid_request", Some("Content-Type"));
    let large = format!("answer=confirm&x={}", "x".repeat(64 << 10));
    assert_eq!(open(&harness, "POST", &link, &large).await.status, 413);

    let other_end = if link.ends_with('A') { 'B' } else { 'A' };
    let at = link.len() - 8;
    let forged = format!("{}{other_end}{}", &link[..at], &link[at + 1..]);
    let forged = if forged == link { format!("{}C{}", &link[..at], &link[at + 1..]) } else { forged };
    for path in [&forged, "/v3/opt-in/x", "/v3/opt-in/%00", &format!("{link}AAAA"), &link[..link.len() - 4]] {
        for answer in
            [open(&harness, "GET", path, "").await, confirm(&harness, path).await, decline(&harness, path).await]
        {
            assert_eq!(answer.status, 404, "{path}");
            assert!(page(&answer).contains("This link does not work"));
        }
    }
    assert_eq!(record(&harness, &asked["id"]).await["state"], "pending");
    assert!(events(&harness).await.is_empty());
}

#[tokio::test]
async fn a_link_ends_after_seven_days() {
    let harness = Harness::new().await;
    let (first, link) = asked(&harness, "ada@sender.test").await;
    harness.world.advance(7 * DAY - 1);
    assert_eq!(open(&harness, "GET", &link, "").await.status, 200);
    assert_eq!(harness.ids("/v3/opt-ins?state=pending").await, [first["id"].as_str().expect("id")]);
    harness.world.advance(1);
    for answer in [open(&harness, "GET", &link, "").await, confirm(&harness, &link).await] {
        assert_eq!(answer.status, 410);
        assert!(page(&answer).contains("This link has ended"));
    }
    assert_eq!(record(&harness, &first["id"]).await["state"], "expired");
    assert_eq!(harness.ids("/v3/opt-ins?state=expired").await, [first["id"].as_str().expect("id")]);
    assert!(harness.ids("/v3/opt-ins?state=pending").await.is_empty());
    // They may be asked once more, and say of the old one that it was not them.
    let (_, fresh) = asked(&harness, "ada@sender.test").await;
    assert_eq!(decline(&harness, &link).await.status, 200);
    assert!(page(&confirm(&harness, &fresh).await).contains("Nothing is sent"));
}

#[tokio::test]
async fn who_says_that_it_was_not_them_is_not_asked_again() {
    let harness = Harness::new().await;
    let (first, link) = asked(&harness, "ada@sender.test").await;
    harness.world.advance(600);
    let (second, later) = asked(&harness, "Ada@sender.test").await;
    assert!(page(&confirm(&harness, &later).await).contains("Thank you"));
    // Of a purpose everything is declined at once, what was confirmed as well.
    assert!(page(&decline(&harness, &link).await).contains("Nothing is sent"));
    for (one, ip) in [(&first, json!("192.0.2.7")), (&second, Value::Null)] {
        let shown = record(&harness, &one["id"]).await;
        assert_eq!((&shown["state"], &shown["declined"]["ip"]), (&json!("declined"), &ip));
    }
    assert!(record(&harness, &second["id"]).await["confirmed"].is_object(), "what was said before stays proven");
    for link in [&link, &later] {
        assert!(page(&confirm(&harness, link).await).contains("Nothing is sent"));
    }
    harness.world.advance(8 * DAY);
    ask(&harness, &wish("ada@sender.test")).await.refuses(403, "opt_in_declined", Some("email"));
    let path = format!("/v3/opt-ins/{}", first["id"].as_str().expect("id"));
    assert_eq!(harness.delete(&path).await.is_ok().data()["state"], "declined", "nobody takes that back for them");
    ask(&harness, &wish("ada@sender.test")).await.refuses(403, "opt_in_declined", Some("email"));
    // For another purpose they may be.
    ask(&harness, &json!({"email": "ada@sender.test", "purpose": "Bills"})).await.is_ok();
    let names: Vec<_> = events(&harness).await.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(names, ["opt_in.confirmed", "opt_in.declined"]);
}

#[tokio::test]
async fn nobody_is_asked_again_and_again() {
    let harness = Harness::new().await;
    // At once, from all sides: one mail leaves.
    let body = wish("ada@sender.test");
    let answers = join_all((0..8).map(|_| ask(&harness, &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        refused.refuses(429, "opt_in_limit_exceeded", Some("email")).says("once in 10 minutes");
        assert_eq!(refused.header("retry-after"), Some("600"));
    }
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await.len(), 1);
    for _ in 0..2 {
        harness.world.advance(600);
        ask(&harness, &body).await.is_ok();
    }
    harness.world.advance(600);
    let refused = ask(&harness, &body).await;
    refused.refuses(429, "opt_in_limit_exceeded", Some("email")).says("at most 3 times in 7 days");
    assert_eq!(refused.header("retry-after"), Some(&*(7 * DAY - 1_800).to_string()));
    // Others are asked meanwhile, and made-up purposes end as well.
    ask(&harness, &wish("bob@sender.test")).await.is_ok();
    for number in 3..10 {
        ask(&harness, &json!({"email": "ada@sender.test", "purpose": format!("No. {number}")})).await.is_ok();
    }
    let refused = ask(&harness, &json!({"email": "ada@sender.test", "purpose": "No. 10"})).await;
    refused.refuses(429, "opt_in_limit_exceeded", Some("email")).says("at most 10 times in 7 days");
    harness.world.advance(7 * DAY - 1_800);
    ask(&harness, &body).await.is_ok();
}

#[tokio::test]
async fn who_is_suppressed_is_not_asked_and_what_they_agreed_to_is_over() {
    let harness = Harness::new().await;
    for reason in ["complaint", "unsubscribe", "hard_bounce", "manual"] {
        let address = format!("{reason}@sender.test");
        harness.post("/v3/suppressions", &json!({"address": address, "reason": reason})).await.is_ok();
        let refused = ask(&harness, &wish(&address)).await;
        refused.refuses(403, "opt_in_suppressed", Some("email")).says(&format!("({reason})"));
    }
    assert!(harness.ids("/v3/opt-ins").await.is_empty());

    // Somebody unsubscribes who has agreed, and before they have.
    let mut links = Vec::new();
    for (name, confirms) in [("ada", true), ("bob", false)] {
        let address = format!("{name}@sender.test");
        let (asked, link) = asked(&harness, &address).await;
        if confirms {
            confirm(&harness, &link).await;
        }
        let body = json!({"to": [{"email": address}], "subject": "News", "list_unsubscribe": true});
        let sent = harness.post(&harness.at("/messages/send"), &body).await;
        let raw = harness
            .get(&harness.at(&format!("/messages/{}?fields=raw_mime", sent.is_ok().data()["id"].as_str().expect("id"))))
            .await;
        let raw = URL_SAFE.decode(raw.data()["raw_mime"].as_str().expect("raw")).expect("base64");
        let raw = String::from_utf8(raw).expect("text").replace("\r\n ", " ");
        let url = raw.split("List-Unsubscribe:").nth(1).and_then(|rest| rest.split(['<', '>']).nth(1)).expect("link");
        let path = url.strip_prefix("https://mail.world.test").expect("our address");
        assert_eq!(open(&harness, "POST", path, "List-Unsubscribe=One-Click").await.status, 200);
        assert_eq!(record(&harness, &asked["id"]).await["state"], "withdrawn");
        links.push((asked, link));
    }
    for (asked, link) in &links {
        let answer = confirm(&harness, link).await;
        assert_eq!(answer.status, 410);
        assert!(page(&answer).contains("This is over"));
        assert_eq!(record(&harness, &asked["id"]).await["state"], "withdrawn", "a link from before lifts nothing");
    }
    // A suppression that people added counts when the page is answered, too.
    let (asked, link) = asked(&harness, "eve@sender.test").await;
    harness.post("/v3/suppressions", &json!({"address": "eve@sender.test", "reason": "complaint"})).await.is_ok();
    assert_eq!(confirm(&harness, &link).await.status, 410);
    assert_eq!(record(&harness, &asked["id"]).await["state"], "withdrawn");
    // Whoever takes somebody off the list by hand may ask them again.
    harness.world.advance(600);
    harness.delete("/v3/suppressions/ada@sender.test").await.is_ok();
    ask(&harness, &wish("ada@sender.test")).await.is_ok();
}

#[tokio::test]
async fn two_confirmations_at_once_are_one() {
    let harness = Harness::new().await;
    let (asked, link) = asked(&harness, "ada@sender.test").await;
    let answers = join_all((0..6).map(|_| confirm(&harness, &link))).await;
    assert!(answers.iter().all(|answer| page(answer).contains("You have confirmed this")));
    assert_eq!(record(&harness, &asked["id"]).await["state"], "confirmed");
    assert_eq!(events(&harness).await.len(), 1);
}

#[tokio::test]
async fn what_was_agreed_to_is_taken_back() {
    let harness = Harness::new().await;
    let (asked, link) = asked(&harness, "ada@sender.test").await;
    confirm(&harness, &link).await;
    let path = format!("/v3/opt-ins/{}", asked["id"].as_str().expect("id"));
    harness.world.advance(5);
    let taken = harness.delete(&path).await;
    assert_shape(taken.is_ok().data(), OPT_IN);
    let now = harness.world.platform.clock.now().as_seconds();
    assert_eq!((&taken.data()["state"], &taken.data()["withdrawn_at"]), (&json!("withdrawn"), &json!(now)));
    harness.world.advance(5);
    assert_eq!(harness.delete(&path).await.is_ok().data(), taken.data(), "twice is the same");
    assert_eq!(harness.get(&path).await.data(), taken.data(), "the record stays");
    assert_eq!(confirm(&harness, &link).await.status, 410);
    let records = harness.get("/v3/audit").await;
    let records = records.data().as_array().expect("records").iter();
    assert_eq!(records.filter(|one| one["action"] == "opt_in.withdrawn").count(), 1);
    harness.world.advance(600);
    ask(&harness, &wish("ada@sender.test")).await.is_ok();
}

#[tokio::test]
async fn lists_by_state_purpose_and_address_page_by_page() {
    let harness = Harness::new().await;
    let mut all = Vec::new();
    for (name, purpose) in [("ada", "News"), ("ada", "Bills"), ("bob", "News"), ("eve", "Bills")] {
        let body = json!({"email": format!("{name}@sender.test"), "purpose": purpose});
        let asked = ask(&harness, &body).await;
        all.push(asked.is_ok().data().clone());
        harness.world.advance(1);
    }
    let id = |index: usize| all[index]["id"].as_str().expect("id").to_owned();
    let link = link_of(&harness, all[2]["message_id"].as_str().expect("id")).await;
    confirm(&harness, &link).await;
    for (query, expected) in [
        ("", vec![3, 2, 1, 0]),
        ("?purpose=News", vec![2, 0]),
        ("?purpose=%20News%20", vec![2, 0]),
        ("?state=confirmed", vec![2]),
        ("?state=pending", vec![3, 1, 0]),
        ("?state=expired", vec![]),
        ("?state=pending&purpose=Bills", vec![3, 1]),
        ("?email=ADA@sender.test", vec![1, 0]),
        ("?email=Ada@sender.test&purpose=News", vec![0]),
        ("?email=bob@sender.test&state=confirmed", vec![2]),
        ("?email=bob@sender.test&state=pending", vec![]),
        ("?email=bob@sender.test&purpose=News&state=confirmed", vec![2]),
    ] {
        let expected: Vec<String> = expected.into_iter().map(id).collect();
        assert_eq!(harness.ids(&format!("/v3/opt-ins{query}")).await, expected, "{query}");
    }
    let first = harness.get("/v3/opt-ins?limit=3").await;
    assert_eq!(ids(&first), [id(3), id(2), id(1)]);
    let next = format!("/v3/opt-ins?limit=3&page_token={}", first.json["next_cursor"].as_str().expect("next"));
    let last = harness.get(&next).await;
    assert_eq!((ids(&last), last.json.get("next_cursor")), (vec![id(0)], None));
    for (query, field) in
        [("state=x", "state"), ("email=x", "email"), ("page_token=x", "page_token"), ("limit=0", "limit")]
    {
        harness.get(&format!("/v3/opt-ins?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn a_send_may_need_the_agreement_of_everybody() {
    let harness = Harness::new().await;
    let (_, link) = asked(&harness, "ada@sender.test").await;
    confirm(&harness, &link).await;
    let letter = |to: &[&str], purpose: &str| {
        let to: Vec<Value> = to.iter().map(|email| json!({"email": email})).collect();
        json!({"to": to, "subject": "News", "require_opt_in": purpose})
    };
    let send = async |body: Value| harness.post(&harness.at("/messages/send"), &body).await;
    send(letter(&["Ada@sender.test"], &format!(" {PURPOSE} "))).await.is_ok();
    let refused = send(letter(&["ada@sender.test", "bob@sender.test", "eve@sender.test"], PURPOSE)).await;
    refused.refuses(403, "no_opt_in", Some("require_opt_in")).says("bob@sender.test, eve@sender.test");
    assert!(!refused.json["error"]["message"].as_str().expect("text").contains("ada@"));
    send(letter(&["ada@sender.test"], "Something else")).await.refuses(403, "no_opt_in", Some("require_opt_in"));
    for purpose in [" ".to_owned(), "x".repeat(501)] {
        send(letter(&["ada@sender.test"], &purpose)).await.refuses(400, "invalid_request", Some("require_opt_in"));
    }
    // Nothing is sent to whom nothing is sent anyway, so that they need not have agreed.
    harness.post("/v3/suppressions", &json!({"address": "bob@sender.test"})).await.is_ok();
    send(letter(&["ada@sender.test", "bob@sender.test"], PURPOSE)).await.is_ok();

    // Of what waits it is asked when it leaves.
    let mut later = letter(&["ada@sender.test"], PURPOSE);
    later["send_at"] = json!(harness.world.platform.clock.now().as_seconds() + 600);
    assert_eq!(send(later).await.status, 202);
    decline(&harness, &link).await;
    harness.world.advance(601);
    postfleet_mailflow::schedules::release_once(&harness.world.platform).await.expect("a round");
    let sent = harness.get(&harness.at("/messages/schedules")).await;
    assert_eq!(sent.is_ok().data()[0]["status"]["code"], "failed", "{}", sent.json);
    send(letter(&["ada@sender.test"], PURPOSE)).await.refuses(403, "no_opt_in", Some("require_opt_in"));
}

#[tokio::test]
async fn what_is_no_request_is_refused_by_field() {
    let harness = Harness::new().await;
    let with = |field: &str, value: Value| {
        let mut body = wish("ada@sender.test");
        body[field] = value;
        body
    };
    for (field, value) in [
        ("email", json!("nobody")),
        ("purpose", json!(" ")),
        ("purpose", json!("x".repeat(501))),
        ("purpose", json!("a\nb")),
        ("name", json!("x".repeat(257))),
        ("language", json!("de")),
        ("redirect_url", json!("http://shop.test/")),
        ("redirect_url", json!("javascript:alert(1)")),
        ("redirect_url", json!(format!("https://shop.test/{}", "x".repeat(2_048)))),
    ] {
        ask(&harness, &with(field, value)).await.refuses(400, "invalid_request", Some(field));
    }
    for (field, value) in [("ip", json!("x")), ("user_agent", json!("x".repeat(513))), ("url", json!("x\0"))] {
        let refused = ask(&harness, &with("source", json!({field: value}))).await;
        refused.refuses(400, "invalid_request", Some(&format!("source.{field}")));
    }
    ask(&harness, &json!({})).await.refuses(400, "invalid_request", Some("email"));
    // What cannot be sent was never asked: it counts for nothing.
    assert!(harness.ids("/v3/opt-ins").await.is_empty());
    ask(&harness, &with("purpose", json!("x".repeat(500)))).await.is_ok();
}

#[tokio::test]
async fn what_cannot_be_sent_was_never_asked() {
    let harness = Harness::with(NewTenant { is_verified: false, ..NewTenant::of("acme.test") }).await;
    for _ in 0..2 {
        ask(&harness, &wish("ada@sender.test")).await.refuses(403, "sender_domain_unverified", None);
    }
    assert!(harness.ids("/v3/opt-ins").await.is_empty());

    let world = World::with(WorldOptions { public_url: None, ..WorldOptions::default() }).await;
    let harness = Harness::in_world(world, NewTenant::of("acme.test")).await;
    let refused = ask(&harness, &wish("ada@sender.test")).await;
    refused.refuses(400, "public_url_not_configured", None).says("server.public_url");
}

#[tokio::test]
async fn what_was_held_and_never_left_asked_nobody() {
    let (harness, boss) = holding().await;
    let held = async || {
        let answer = ask(&harness, &wish("ada@hold.test")).await;
        let record = answer.is_ok().data().clone();
        assert_eq!(record["state"], "pending");
        let holds = harness.get("/v3/holds").await.is_ok().data().as_array().expect("holds").clone();
        let hold = holds.into_iter().find(|hold| hold["message_id"] == record["message_id"]).expect("held");
        (record["id"].clone(), hold["id"].as_str().expect("id").to_owned())
    };
    let (rejected, hold) = held().await;
    let path = format!("/v3/holds/{hold}/reject");
    harness.ask(&boss, "POST", &path, Some(&json!({"reason": "not them"}))).await.is_ok();
    assert_eq!(record(&harness, &rejected).await["state"], "not_sent");
    let told = events(&harness).await;
    assert_eq!(told.iter().map(|event| event["type"].clone()).collect::<Vec<_>>(), ["opt_in.not_sent"]);
    // It counts for no limit: they may be asked at once, as often as nothing leaves.
    for _ in 0..4 {
        let (cancelled, hold) = held().await;
        harness.delete(&harness.at(&format!("/holds/{hold}"))).await.is_ok();
        assert_eq!(record(&harness, &cancelled).await["state"], "not_sent");
    }
    let listed = harness.get("/v3/opt-ins?state=not_sent").await;
    assert_eq!(listed.is_ok().data().as_array().expect("list").len(), 5);
}
