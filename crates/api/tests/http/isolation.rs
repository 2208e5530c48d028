//! Tenants do not see each other: every route, from the table of routes, is asked with the key of one tenant for every
//! thing of another. The answer must be the very one for what does not exist, and nothing may have changed.

use crate::fixtures::{FIXTURES, Thing, fixture};
use crate::routes::{at_once, filled, protected, right_key};
use crate::support::{Answer, Harness, NOBODY};
use postfleet_api::Facts;
use postfleet_testkit::world::{NewTenant, Tenant, World};
use serde_json::json;
use std::collections::BTreeMap;

type Things = BTreeMap<&'static str, Thing>;

/// The places that a path leaves open, in order: the segment before, and the name.
fn open_places(path: &str) -> Vec<(&str, &str)> {
    let pairs = path.split('/').zip(path.split('/').skip(1));
    pairs.filter_map(|(before, segment)| Some((before, segment.strip_prefix('{')?.strip_suffix('}')?))).collect()
}

fn thing<'a>(things: &'a Things, before: &str, name: &str) -> &'a Thing {
    &things[fixture(before, name).unwrap_or_else(|| panic!("no fixture for {{{name}}}"))]
}

/// Names in paths for which there is no fixture.
fn check_fixtures(paths: &[&'static str]) -> Vec<String> {
    let mut missing = Vec::new();
    for path in paths {
        for (_, name) in open_places(path).into_iter().filter(|(before, name)| fixture(before, name).is_none()) {
            missing.push(format!("{{{name}}} in {path}: add it to FIXTURES in crates/api/tests/http/fixtures.rs"));
        }
    }
    missing
}

/// Two tenants whose operators answer for their own organizations alone, with one of everything each.
async fn two_tenants() -> (Harness, [Things; 2]) {
    let tenant = |domain| NewTenant { is_installation: false, ..NewTenant::of(domain) };
    let harness = Harness::with_both(World::new().await, tenant("acme.test"), tenant("other.test")).await;
    let mut things = [Things::new(), Things::new()];
    for (things, tenant) in things.iter_mut().zip([&harness.acme, &harness.other]) {
        for (name, make) in FIXTURES {
            things.insert(name, make(&harness, tenant).await);
        }
    }
    (harness, things)
}

/// A request with a body that is right for every route: what a route does not know it ignores. So nothing but the id
/// is wrong, and if that were not noticed, something would change.
async fn ask(harness: &Harness, tenant: &Tenant, route: &Facts, path: &str) -> Answer {
    // Where an event is meant, and not who mail goes to.
    let to = if path.ends_with("/replay") { json!(null) } else { json!([{"email": "a@b.test"}]) };
    let body = json!({
        "name": "mine now",
        "description": "mine now",
        "reason": "mine now",
        "url": "https://mine.test/",
        "target_per_day": 1_000,
        "type": "mx",
        "to": to,
        "given_up": true,
        "assign_grants": [harness.agent],
    });
    let body = route.takes_body.then_some(&body);
    harness.ask(right_key(route, tenant), route.method, path, body).await
}

/// What only the installation's operator may read: it is nobody's own.
const OF_INSTALLATION: &[&str] = &["/v3/admin/tls-reports"];

/// Everything that a tenant can read of its own, by path. It can read all of it, so its things really are there.
async fn everything(harness: &Harness, tenant: &Tenant, things: &Things) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (route, _) in protected().filter(|(route, _)| route.method == "GET") {
        if OF_INSTALLATION.contains(&route.path) {
            let refused = ask(harness, tenant, &route, route.path).await;
            refused.refuses(403, "installation_only", None);
            continue;
        }
        let path = filled(route.path, |before, name| thing(things, before, name).name().to_owned());
        let path = path + at_once(&route);
        let answer = ask(harness, tenant, &route, &path).await;
        assert_eq!(answer.status, 200, "the owner does not see {path}: {answer:?}");
        // How far the log has come is no secret, and moves with everything that happens.
        let shown = if route.waits {
            answer.data().to_string()
        } else if answer.json.is_null() {
            format!("{:?}", answer.octets)
        } else {
            answer.without_id()
        };
        all.insert(path, shown);
    }
    all
}

#[test]
fn every_name_in_a_path_has_a_fixture() {
    let paths: Vec<_> = protected().map(|(route, _)| route.path).collect();
    let missing = check_fixtures(&paths);
    assert!(missing.is_empty(), "{missing:#?}");
    assert_eq!(check_fixtures(&["/v3/{grant}/x", "/v3/{grant}/{planet}"]).len(), 1);
}

#[tokio::test]
async fn what_belongs_to_another_tenant_looks_like_nothing_on_every_route() {
    let (harness, [mine, theirs]) = two_tenants().await;
    let before = everything(&harness, &harness.other, &theirs).await;
    let (mut asked, mut wrong) = (0, Vec::new());
    for (route, _) in protected() {
        let open = open_places(route.path);
        for (first, (before, name)) in open.iter().enumerate() {
            let Thing::Owned(names) = thing(&theirs, before, name) else { continue };
            // One's own things before the place, the other's from there on.
            let path = |at: &str, rest: &dyn Fn(&str, &str) -> String| {
                filled(route.path, |before, name| match open.iter().position(|open| *open == (before, name)) {
                    Some(position) if position < first => thing(&mine, before, name).name().to_owned(),
                    Some(position) if position == first => at.to_owned(),
                    _ => rest(before, name),
                })
            };
            let nobody = path(NOBODY, &|_, _| NOBODY.to_owned());
            let nothing = ask(&harness, &harness.acme, &route, &nobody).await;
            if nothing.status != 404 {
                wrong.push(format!("{} {nobody}: {} {}", route.method, nothing.status, nothing.json));
            }
            for name in names {
                let path = path(name, &|before, name| thing(&theirs, before, name).name().to_owned());
                let answer = ask(&harness, &harness.acme, &route, &path).await;
                if (answer.status, answer.without_id()) != (404, nothing.without_id()) {
                    wrong.push(format!("{} {path}: {} {}", route.method, answer.status, answer.json));
                }
                asked += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "these are not 404, or differ from what does not exist: {wrong:#?}");
    assert!(asked > 30, "only {asked} requests were made");
    assert_eq!(everything(&harness, &harness.other, &theirs).await, before, "something of the other tenant changed");
}

#[tokio::test]
async fn lists_show_nothing_of_another_tenant() {
    let (harness, [mine, theirs]) = two_tenants().await;
    let strange: Vec<&str> = theirs
        .values()
        .filter_map(|thing| match thing {
            Thing::Owned(names) => Some(names[0].as_str()),
            Thing::Shared(_) => None,
        })
        .collect();
    for (path, shown) in everything(&harness, &harness.acme, &mine).await {
        for id in &strange {
            assert!(!shown.contains(id), "{path} shows {id} of another tenant: {shown}");
        }
    }
}
