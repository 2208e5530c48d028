//! What holds for every route, from the table of routes: it has a test file, it wants a key of the right kind with the
//! right permission, and text that is no id names nothing.

use crate::support::{Harness, NOBODY};
use crate::{node, openapi, v3};
use axum::body::Body;
use axum::http::Request;
use postfleet_api::{Facts, Needs};
use postfleet_core::permission;
use postfleet_testkit::world::{NewTenant, Tenant};
use serde_json::{Value, json};

/// Every route that a test file speaks for, as `METHOD path`.
pub(crate) fn listed() -> Vec<&'static str> {
    let mut listed = [
        node::ROUTES,
        openapi::ROUTES,
        v3::applications::ROUTES,
        v3::applications::redirect_uris::ROUTES,
        v3::audit::ROUTES,
        v3::bus::ROUTES,
        v3::event_routes::ROUTES,
        v3::connectors::ROUTES,
        v3::domain_health::ROUTES,
        v3::domains::ROUTES,
        v3::holds::ROUTES,
        v3::lists::ROUTES,
        v3::opt_ins::ROUTES,
        v3::policies::ROUTES,
        v3::providers::ROUTES,
        v3::queue::ROUTES,
        v3::reputation::ROUTES,
        v3::rules::ROUTES,
        v3::rules::replay::ROUTES,
        v3::sender_pools::ROUTES,
        v3::stops::ROUTES,
        v3::suppressions::ROUTES,
        v3::raises::ROUTES,
        v3::recoveries::ROUTES,
        v3::alerts::ROUTES,
        v3::events::ROUTES,
        v3::events::stream::ROUTES,
        v3::activity::ROUTES,
        v3::send_metrics::ROUTES,
        v3::alert_rules::ROUTES,
        v3::templates::ROUTES,
        v3::unsubscribe::ROUTES,
        v3::usage::ROUTES,
        v3::addresses::ROUTES,
        v3::warm_ups::ROUTES,
        v3::webhooks::ROUTES,
        v3::webhook_replays::ROUTES,
        v3::webhook_attempts::ROUTES,
    ]
    .concat();
    listed.extend(v3::connect::ROUTES.iter().flat_map(|routes| routes.iter().copied()));
    listed.extend(v3::grants::ROUTES.iter().flat_map(|routes| routes.iter().copied()));
    listed.extend(v3::jobs::ROUTES);
    listed.extend(v3::workspaces::ROUTES.iter().flat_map(|routes| routes.iter().copied()));
    listed.extend(v3::admin::ROUTES.iter().flat_map(|routes| routes.iter().copied()));
    listed
}

/// The routes that want a key, with the permission that they want.
pub(crate) fn protected() -> impl Iterator<Item = (Facts, &'static str)> {
    postfleet_api::facts().into_iter().filter_map(|route| match route.needs {
        Needs::Application(permission) | Needs::Organization(permission) => Some((route, permission)),
        Needs::Nothing => None,
    })
}

/// The key of a tenant that a route wants.
pub(crate) fn right_key<'a>(route: &Facts, tenant: &'a Tenant) -> &'a str {
    if matches!(route.needs, Needs::Organization(_)) { &tenant.operator_key } else { &tenant.api_key }
}

/// The body to ask a route with when any will do.
pub(crate) fn any_body(route: &Facts) -> Option<Value> {
    route.takes_body.then(|| json!({}))
}

/// A path with something in its open places, by the segment before each and its name.
pub(crate) fn filled(path: &str, value: impl Fn(&str, &str) -> String) -> String {
    let segments: Vec<_> = path.split('/').collect();
    let fill =
        |(index, segment): (usize, &&str)| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => value(segments[index - 1], name),
            None => (*segment).to_owned(),
        };
    segments.iter().enumerate().map(fill).collect::<Vec<_>>().join("/")
}

/// What is added to a path so that nothing is waited for.
pub(crate) fn at_once(route: &Facts) -> &'static str {
    if route.waits { "?timeout=0" } else { "" }
}

/// A path that names the first organization's mailbox, and nothing else that exists.
pub(crate) fn filled_with_nobody(path: &str, harness: &Harness) -> String {
    filled(path, |_, name| if name == "grant" { harness.agent.clone() } else { NOBODY.to_owned() })
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
    for (Facts { method, path, .. }, _) in protected() {
        for authorization in &wrong {
            let mut builder = Request::builder().method(method).uri(filled_with_nobody(path, &harness));
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

/// Asks every route that wants a key with another one.
async fn ask_all(harness: &Harness, key: impl Fn(&Facts) -> Option<String>, code: &str) {
    let mut count = 0;
    for (route, _) in protected() {
        let Some(key) = key(&route) else { continue };
        let path = filled_with_nobody(route.path, harness);
        let answer = harness.ask(&key, route.method, &path, any_body(&route).as_ref()).await;
        let is = (answer.status, answer.json["error"]["code"].as_str());
        assert_eq!(is, (403, Some(code)), "{} {}", route.method, route.path);
        count += 1;
    }
    println!("{code}: {count} routes");
}

#[tokio::test]
async fn an_operators_key_acts_for_no_application() {
    let harness = Harness::new().await;
    let key = |route: &Facts| matches!(route.needs, Needs::Application(_)).then(|| harness.acme.operator_key.clone());
    ask_all(&harness, key, "operator_key").await;
}

#[tokio::test]
async fn an_applications_key_is_no_operators() {
    let harness = Harness::new().await;
    let key = |route: &Facts| matches!(route.needs, Needs::Organization(_)).then(|| harness.acme.api_key.clone());
    ask_all(&harness, key, "application_key").await;
}

#[tokio::test]
async fn a_key_without_permissions_may_do_nothing() {
    let harness = Harness::with(NewTenant { permissions: &[], ..NewTenant::of("acme.test") }).await;
    ask_all(&harness, |route| Some(right_key(route, &harness.acme).to_owned()), "insufficient_scopes").await;
}

#[tokio::test]
async fn every_route_wants_its_own_permission_and_no_other() {
    let harness = Harness::new().await;
    for (index, (missing, _)) in permission::ALL.iter().enumerate() {
        // Everything but one.
        let rest: Vec<_> = permission::ALL.iter().map(|(name, _)| *name).filter(|name| name != missing).collect();
        let domain = String::leak(format!("permission-{index}.test"));
        let tenant = NewTenant { permissions: Vec::leak(rest), ..NewTenant::of(domain) };
        let tenant = harness.world.tenant(tenant).await;
        for (route, permission) in protected() {
            let at_once = if route.waits { "?timeout=0" } else { "" };
            let path = format!("{}{at_once}", filled(route.path, |_, _| NOBODY.to_owned()));
            let key = right_key(&route, &tenant);
            let answer = harness.ask(key, route.method, &path, any_body(&route).as_ref()).await;
            let is_refused = answer.json["error"]["code"] == "insufficient_scopes";
            let wanted = permission == *missing;
            assert_eq!(is_refused, wanted, "{} {} without {missing}: {answer:?}", route.method, route.path);
            assert!(answer.status < 500, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn text_that_is_no_id_names_nothing() {
    let harness = Harness::new().await;
    for id in ["x", "%20", "%00", "%ff%fe", "%2F", "..", "%2e%2e", "a%2Fb", "inbox", "🦀", "%F0%9F%A6%80", "-1"] {
        for (route, _) in protected().filter(|(route, _)| route.method == "GET") {
            // `inbox` is a folder.
            let is_open = route.path.replacen("{grant}", "", 1).contains('{');
            if !is_open || (route.path.ends_with("{folder}") && id == "inbox") {
                continue;
            }
            let path =
                filled(route.path, |_, name| if name == "grant" { harness.agent.clone() } else { id.to_owned() });
            let key = format!("Bearer {}", right_key(&route, &harness.acme));
            let request = Request::get(&path).header("authorization", key).body(Body::empty());
            // Some of them are no address of HTTP either.
            let Ok(request) = request else { continue };
            harness.request(request).await.refuses(404, "not_found", None);
        }
    }
}
