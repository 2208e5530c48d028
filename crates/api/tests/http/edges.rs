//! The edges of HTTP, on every route from the table: HEAD, OPTIONS, pages of other places, packed answers and requests.

use crate::fixtures::{FIXTURES, fixture};
use crate::routes::{at_once, filled, filled_with_nobody, right_key};
use crate::support::{Harness, NOBODY};
use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request};
use flate2::read::GzDecoder;
use futures::FutureExt;
use postfleet_api::{Facts, Needs, Origins, facts};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use tower::ServiceExt;

/// An answer as it stands, which a harness would look into.
struct Plain {
    status: u16,
    headers: HeaderMap,
    octets: Vec<u8>,
}

impl Plain {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }
}

async fn ask(harness: &Harness, builder: Builder, body: impl Into<Body>) -> Plain {
    let request = builder.body(body.into()).expect("request");
    let response = harness.router().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let octets = to_bytes(body, usize::MAX).await.expect("body").to_vec();
    Plain { status: parts.status.as_u16(), headers: parts.headers, octets }
}

fn with_key(harness: &Harness, method: &str, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", harness.acme.api_key))
}

/// Header fields that differ from request to request.
const OF_REQUEST: &[&str] = &["x-request-id", "x-fastly-id", "ratelimit-remaining"];

fn lasting(headers: &HeaderMap) -> BTreeMap<String, String> {
    let lasting = headers.iter().filter(|(name, _)| !OF_REQUEST.contains(&name.as_str()));
    lasting.map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned())).collect()
}

/// Two seconds: the length of an answer may depend on the time of day, which stands still, and on nothing else.
#[tokio::test]
async fn head_says_what_get_would_on_every_route() {
    let harness = Harness::new().await;
    let mut things = BTreeMap::new();
    for (name, make) in FIXTURES {
        things.insert(*name, make(&harness, &harness.acme).boxed().await);
    }
    let mut asked = 0;
    for route in facts().into_iter().filter(|route| route.method == "GET" && route.needs != Needs::Nothing) {
        let path = filled(route.path, |before, name| things[fixture(before, name).expect("fixture")].name().to_owned());
        let path = path + at_once(&route);
        let key = format!("Bearer {}", right_key(&route, &harness.acme));
        for coding in ["identity", "gzip"] {
            let builder = |method: &str| {
                let builder = Request::builder().method(method).uri(&path).header("authorization", &key);
                builder.header("accept-encoding", coding)
            };
            let (get, head) = (ask(&harness, builder("GET"), "").await, ask(&harness, builder("HEAD"), "").await);
            assert_eq!((get.status, head.status), (200, 200), "{path}");
            assert!(head.octets.is_empty(), "{path} answers HEAD with octets");
            let (mut get, mut head) = (lasting(&get.headers), lasting(&head.headers));
            if coding == "gzip" {
                // It is known only from the octets, which hold the id of the request.
                get.remove("content-length");
                head.remove("content-length");
            }
            assert_eq!(get, head, "{path}");
            asked += 1;
        }
    }
    println!("{asked} pairs of GET and HEAD");
}

#[tokio::test]
async fn options_names_the_methods_of_every_route_without_a_key() {
    let harness = Harness::new().await;
    let mut by_path: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Facts { method, path, .. } in facts() {
        by_path.entry(path).or_default().insert(method);
    }
    for (path, methods) in &by_path {
        let at = filled_with_nobody(path, &harness);
        let answer = ask(&harness, Request::builder().method("OPTIONS").uri(&at), "").await;
        let mut wanted: BTreeSet<&str> = methods.iter().copied().chain(["OPTIONS"]).collect();
        wanted.extend(methods.contains("GET").then_some("HEAD"));
        let allowed: BTreeSet<&str> = answer.header("allow").expect("Allow").split(", ").collect();
        assert_eq!((answer.status, answer.octets.len(), allowed), (204, 0, wanted.clone()), "{path}");
        assert!(answer.header("x-request-id").is_some());
        // Another method is refused, and the same are named.
        let answer = ask(&harness, with_key(&harness, "TRACE", &at), "").await;
        let allowed: BTreeSet<&str> = answer.header("allow").expect("Allow").split(", ").collect();
        assert_eq!((answer.status, allowed), (400, wanted), "{path}");
    }
    println!("{} paths", by_path.len());
    assert_eq!(ask(&harness, Request::builder().method("OPTIONS").uri("*"), "").await.status, 204);
    assert_eq!(ask(&harness, Request::builder().method("OPTIONS").uri("/v3/nothing"), "").await.status, 400);
}

fn preflight(path: &str, origin: &str) -> Builder {
    Request::builder()
        .method("OPTIONS")
        .uri(path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
}

#[tokio::test]
async fn without_configuration_no_page_of_another_place_may_read_an_answer() {
    let harness = Harness::new().await;
    for builder in [
        preflight("/v3/grants", "https://a.test"),
        with_key(&harness, "GET", "/v3/grants").header("origin", "https://a.test"),
    ] {
        let answer = ask(&harness, builder, "").await;
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
        assert!(!answer.all("vary").contains(&"origin"));
    }
}

#[tokio::test]
async fn pages_of_the_places_that_are_configured_may_ask() {
    let listed = Origins::parse(&["https://a.test".to_owned(), "http://localhost:3000".to_owned()]).expect("origins");
    let harness = Harness::new().await.with_origins(listed);
    for path in ["/v3/grants", "/v3/grants/x/messages/send", "/v3/nothing"] {
        let answer = ask(&harness, preflight(path, "http://localhost:3000"), "").await;
        assert_eq!((answer.status, answer.octets.len()), (204, 0), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,content-type"));
        assert!(answer.header("access-control-allow-methods").is_some_and(|methods| methods.contains("PATCH")));
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    // The answers themselves, refusals too.
    for (path, status) in [("/v3/grants", 200), ("/v3/grants/nobody@acme.test", 404), ("/v3/nothing", 400)] {
        let answer = ask(&harness, with_key(&harness, "GET", path).header("origin", "https://a.test"), "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some("https://a.test")));
        let exposed = answer.header("access-control-expose-headers").expect("exposed");
        for name in ["x-request-id", "retry-after", "ratelimit-remaining", "content-disposition", "content-range"] {
            assert!(exposed.split(", ").any(|known| known == name), "{name}");
        }
        assert!(answer.all("vary").contains(&"origin"));
    }
    let keyless = Request::builder().uri("/v3/grants").header("origin", "https://a.test");
    let refused = ask(&harness, keyless, "").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some("https://a.test")));
    // Others are told nothing.
    for origin in ["https://b.test", "null", "https://a.test.b.test"] {
        let answer = ask(&harness, preflight("/v3/grants", origin), "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, None), "{origin}");
        assert_eq!(answer.header("access-control-allow-headers"), None);
        let answer = ask(&harness, with_key(&harness, "GET", "/v3/grants").header("origin", origin), "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None), "{origin}");
        assert!(answer.all("vary").contains(&"origin"), "a cache would keep it for those who may");
    }
}

#[tokio::test]
async fn every_place_may_ask_where_that_is_configured() {
    let any = Origins::parse(&["*".to_owned()]).expect("origins");
    let harness = Harness::new().await.with_origins(any);
    let answer = ask(&harness, preflight("/v3/grants", "null"), "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some("*")));
    let answer = ask(&harness, with_key(&harness, "GET", "/v3/grants").header("origin", "https://a.test"), "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("*")));
    assert!(!answer.all("vary").contains(&"origin"));
}

#[tokio::test]
async fn answers_are_packed_for_those_who_ask() {
    let harness = Harness::new().await;
    for number in 0..5 {
        harness.receive_about(&format!("subject {number}")).await;
    }
    let path = harness.at("/messages");
    let plain = ask(&harness, with_key(&harness, "GET", &path), "").await;
    assert_eq!((plain.header("content-encoding"), plain.all("vary")), (None, vec!["accept-encoding"]));
    let packed = ask(&harness, with_key(&harness, "GET", &path).header("accept-encoding", "br, gzip"), "").await;
    assert_eq!((packed.header("content-encoding"), packed.all("vary")), (Some("gzip"), vec!["accept-encoding"]));
    assert_eq!(packed.header("content-length"), Some(packed.octets.len().to_string().as_str()));
    assert!(packed.octets.len() * 3 < plain.octets.len(), "{} of {}", packed.octets.len(), plain.octets.len());
    let mut unpacked = String::new();
    GzDecoder::new(packed.octets.as_slice()).read_to_string(&mut unpacked).expect("gzip");
    let data = |text: &[u8]| serde_json::from_slice::<Value>(text).expect("JSON")["data"].clone();
    assert_eq!(data(unpacked.as_bytes()), data(&plain.octets));
    // Small answers are not worth it, and errors are answers like others.
    let small = ask(&harness, with_key(&harness, "GET", "/v3/webhooks").header("accept-encoding", "gzip"), "").await;
    assert_eq!((small.status, small.header("content-encoding")), (200, None));
    let refused = ask(&harness, with_key(&harness, "GET", "/v3/x").header("accept-encoding", "gzip"), "").await;
    assert_eq!(refused.header("content-encoding").is_some(), refused.header("vary").is_some());
}

#[tokio::test]
async fn a_packed_request_is_refused_by_name_on_every_route_with_a_body() {
    let harness = Harness::new().await;
    for route in facts().into_iter().filter(|route| route.takes_body && route.needs != Needs::Nothing) {
        let path =
            filled(route.path, |_, name| if name == "grant" { harness.agent.clone() } else { NOBODY.to_owned() });
        let key = format!("Bearer {}", right_key(&route, &harness.acme));
        for coding in ["gzip", "br", "identity, zstd", "deflate"] {
            let builder = Request::builder().method(route.method).uri(&path).header("authorization", &key);
            let builder = builder.header("content-encoding", coding).header("content-type", "application/json");
            let answer = ask(&harness, builder, "\u{1f}\u{8b}").await;
            let json: Value = serde_json::from_slice(&answer.octets).expect("JSON");
            let is = (answer.status, json["error"]["field"].as_str());
            assert_eq!(is, (400, Some("Content-Encoding")), "{} {path}: {json}", route.method);
        }
    }
    // One that names none is read.
    for coding in ["", "identity", "Identity, identity"] {
        let builder = with_key(&harness, "POST", "/v3/policies").header("content-encoding", coding);
        let answer = ask(&harness, builder.header("content-type", "application/json"), r#"{"name":"p"}"#).await;
        assert!(answer.status < 300, "{coding:?}: {}", String::from_utf8_lossy(&answer.octets));
    }
}

/// The depth is counted before anything is read, so unknown fields count as others do.
#[tokio::test]
async fn bodies_that_are_nested_too_deep_are_refused_in_no_time() {
    let harness = Harness::new().await;
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!(r#"{{"to":[{{"email":"a@b.test"}}],"subject":"s","unknown":{open}{close}}}"#)
    };
    for path in [harness.at("/messages/send"), harness.at("/drafts")] {
        let send = async |levels| {
            let builder = with_key(&harness, "POST", &path).header("content-type", "application/json");
            let answer = ask(&harness, builder, nested(levels)).await;
            (answer.status, serde_json::from_slice::<Value>(&answer.octets).expect("JSON"))
        };
        assert_eq!(send(64).await.0, 200, "{path}");
        for levels in [65, 1_000_000] {
            let (status, json) = send(levels).await;
            assert_eq!((status, &json["error"]["code"]), (400, &json!("json_too_deep")), "{path}");
            let text = json["error"]["message"].as_str().expect("text");
            assert_eq!(text, "the request body is nested deeper than the limit of 64 levels");
        }
    }
}

#[tokio::test]
async fn what_other_providers_have_is_refused_in_the_words_that_clients_know() {
    let harness = Harness::new().await;
    let new = json!({"filename": "a.pdf", "content_type": "application/pdf", "size": 5_000_000});
    for path in ["/attachment-uploads", "/attachment-uploads/1/complete"] {
        let answer = harness.post(&harness.at(path), &new).await;
        answer.refuses(401, "unsupported_by_provider", None).says("only for Microsoft");
        assert_eq!(answer.json["error"]["type"], "unauthorized");
    }
    for path in ["/messages/smart-compose", &format!("/messages/{NOBODY}/smart-compose")] {
        let answer = harness.post(&harness.at(path), &json!({"prompt": "write"})).await;
        answer.refuses(404, "not_found", None);
        assert_eq!(answer.json["error"]["type"], "not_found_error");
    }
}
