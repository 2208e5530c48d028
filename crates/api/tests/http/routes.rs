//! What holds for every route: it has a test file, it wants a key of an application, and it shows nothing of another
//! application, not even that something exists.

use crate::support::{Harness, NOBODY, receiver};
use crate::{node, openapi, v3};
use axum::body::Body;
use axum::http::Request;
use serde_json::json;

/// Every route that a test file speaks for, as `METHOD path`.
pub(crate) fn listed() -> Vec<&'static str> {
    let mut listed = [node::ROUTES, openapi::ROUTES, v3::connect::custom::ROUTES, v3::webhooks::ROUTES].concat();
    listed.extend(v3::grants::ROUTES.iter().flat_map(|routes| routes.iter().copied()));
    listed
}

/// The listed routes below `/v3/`, as method and path.
fn protected() -> Vec<(&'static str, &'static str)> {
    let routes = listed().into_iter().map(|route| route.split_once(' ').expect("method and path"));
    routes.filter(|(_, path)| path.starts_with("/v3/")).collect()
}

/// A path with something in its open places.
fn filled(path: &str, grant: &str, rest: &str) -> String {
    path.split('/')
        .map(|segment| match segment {
            "{grant}" => grant,
            segment if segment.starts_with('{') => rest,
            segment => segment,
        })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn every_route_has_a_test_file() {
    let routes: Vec<String> = postfleet_api::table().iter().map(|(method, path)| format!("{method} {path}")).collect();
    let listed = listed();
    let missing: Vec<_> = routes.iter().filter(|route| !listed.contains(&route.as_str())).collect();
    assert!(missing.is_empty(), "{missing:#?} stand in no ROUTES: write a test file at the path of the resource");
    let gone: Vec<_> = listed.iter().filter(|route| !routes.iter().any(|known| known == *route)).collect();
    assert!(gone.is_empty(), "{gone:#?} are not in the table of routes: take them out of ROUTES");
}

#[tokio::test]
async fn without_a_valid_key_the_answer_is_401() {
    let harness = Harness::new().await;
    let key = &harness.acme.api_key;
    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(key.clone()),
        Some(format!("Basic {key}")),
        Some(format!("Bearer {key}x")),
        Some(format!("Bearer {}", &key[..key.len() - 1])),
        Some(format!("Bearer {}", key.to_uppercase())),
        Some(format!("Bearer {}", "k".repeat(10_000))),
    ];
    for (method, path) in protected() {
        for authorization in &wrong {
            let mut builder = Request::builder().method(method).uri(filled(path, &harness.agent, NOBODY));
            if let Some(text) = authorization {
                builder = builder.header("authorization", text);
            }
            let answer = harness.request(builder.body(Body::empty()).expect("request")).await;
            answer.refuses(401, "invalid_api_key", None).says("Invalid API key");
            assert_eq!(answer.json["error"]["type"], "unauthorized", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_key_is_taken_in_any_case_of_its_scheme_and_not_from_bytes_that_are_no_text() {
    let harness = Harness::new().await;
    let ask = |value: Vec<u8>| {
        let value = axum::http::HeaderValue::from_bytes(&value).expect("value");
        harness.request(Request::get("/v3/grants").header("authorization", value).body(Body::empty()).expect("request"))
    };
    let key = &harness.acme.api_key;
    assert_eq!(ask(format!("bearer {key}").into_bytes()).await.status, 200);
    assert_eq!(ask(format!("BEARER  {key} ").into_bytes()).await.status, 200);
    assert_eq!(ask(b"Bearer \xff\xfe".to_vec()).await.status, 401);
}

#[tokio::test]
async fn an_operators_key_acts_for_no_application() {
    let harness = Harness::new().await;
    for (method, path) in protected() {
        let path = filled(path, &harness.agent, NOBODY);
        let answer = harness.ask(&harness.acme.operator_key, method, &path, None).await;
        answer.refuses(403, "operator_key", None);
    }
}

#[tokio::test]
async fn another_applications_mailbox_looks_like_none() {
    let harness = Harness::new().await;
    let body = json!({"to": [{"email": "a@b.test"}]});
    for (method, path) in protected().into_iter().filter(|(_, path)| path.contains("{grant}")) {
        let ask = async |grant: &str| {
            let body = (method == "POST").then_some(&body);
            harness.ask(&harness.acme.api_key, method, &filled(path, grant, NOBODY), body).await
        };
        let nobody = ask(NOBODY).await;
        nobody.refuses(404, "not_found", None);
        let strangers = [
            harness.stranger.clone(),
            format!("grant:{}", harness.stranger),
            "agent@other.test".to_owned(),
            "email:agent@other.test".to_owned(),
        ];
        for stranger in strangers {
            let answer = ask(&stranger).await;
            assert_eq!((answer.status, answer.without_id()), (404, nobody.without_id()), "{method} {path} {stranger}");
        }
    }
    // Nothing happened to it.
    assert_eq!(harness.ask(&harness.other.api_key, "GET", "/v3/grants/agent@other.test", None).await.status, 200);
}

#[tokio::test]
async fn another_applications_message_thread_and_attachment_look_like_none() {
    let harness = Harness::new().await;
    let file = "From: a@sender.test\r\nTo: agent@other.test\r\nMIME-Version: 1.0\r\n\
                Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nx\r\n";
    harness.world.receive("a@sender.test", "agent@other.test", file).await.expect("accepted");
    let list = harness.ask(&harness.other.api_key, "GET", "/v3/grants/agent@other.test/messages", None).await;
    let message = &list.data()[0];
    let (id, thread) = (message["id"].as_str().expect("id"), message["thread_id"].as_str().expect("id"));
    let file = message["attachments"][0]["id"].as_str().expect("id");
    let none = format!("{NOBODY}-1");
    for (theirs, nobodys) in [
        (format!("/messages/{id}"), format!("/messages/{NOBODY}")),
        (format!("/threads/{thread}"), format!("/threads/{NOBODY}")),
        (format!("/attachments/{file}?message_id={id}"), format!("/attachments/{none}?message_id={NOBODY}")),
        (format!("/attachments/{file}/download"), format!("/attachments/{none}/download")),
        (format!("/messages/{id}/attachments/{file}"), format!("/messages/{NOBODY}/attachments/{none}")),
        (
            format!("/messages/{id}/attachments/{file}/download"),
            format!("/messages/{NOBODY}/attachments/{none}/download"),
        ),
    ] {
        let (theirs, nobodys) = (harness.get(&harness.at(&theirs)).await, harness.get(&harness.at(&nobodys)).await);
        theirs.refuses(404, "not_found", None);
        assert_eq!(theirs.without_id(), nobodys.without_id());
    }
    let list = harness.get(&harness.at(&format!("/messages?thread_id={thread}"))).await;
    assert_eq!(list.data(), &json!([]));
}

#[tokio::test]
async fn another_applications_webhook_looks_like_none() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let new = json!({"trigger_types": ["message.created"], "webhook_url": receiver.url("/")});
    let made = harness.ask(&harness.other.api_key, "POST", "/v3/webhooks", Some(&new)).await;
    let theirs = made.data()["id"].as_str().expect("id");
    let change = json!({"description": "mine now"});
    for (method, path) in protected().into_iter().filter(|(_, path)| path.contains("{webhook}")) {
        let ask = async |id: &str| {
            let body = (method == "PUT").then_some(&change);
            harness.ask(&harness.acme.api_key, method, &filled(path, NOBODY, id), body).await
        };
        let (stranger, nobody) = (ask(theirs).await, ask(NOBODY).await);
        stranger.refuses(404, "not_found", None);
        assert_eq!(stranger.without_id(), nobody.without_id(), "{method} {path}");
    }
    let after = harness.ask(&harness.other.api_key, "GET", &format!("/v3/webhooks/{theirs}"), None).await;
    let mut before = made.data().clone();
    before.as_object_mut().expect("object").remove("webhook_secret");
    assert_eq!(after.data(), &before);
}

#[tokio::test]
async fn text_that_is_no_id_names_nothing() {
    let harness = Harness::new().await;
    for id in ["x", "%20", "%00", "%ff%fe", "%2F", "..", "%2e%2e", "a%2Fb", "inbox", "🦀", "%F0%9F%A6%80", "-1"] {
        for (method, path) in protected()
            .into_iter()
            .filter(|(method, path)| *method == "GET" && path.replacen("{grant}", "", 1).contains('{'))
        {
            // `inbox` is a folder.
            if path.ends_with("{folder}") && id == "inbox" {
                continue;
            }
            let path = filled(path, &harness.agent, id);
            let Ok(request) = Request::builder()
                .method(method)
                .uri(&path)
                .header("authorization", format!("Bearer {}", harness.acme.api_key))
                .body(Body::empty())
            else {
                continue;
            };
            harness.request(request).await.refuses(404, "not_found", None);
        }
    }
}
