//! `/v3/reputation` and the reputation of a mailbox, a workspace, a domain and an organization.

use crate::support::{Harness, assert_shape};
use crate::v3::grants::feedback::dsn;
use postfleet_core::Domain;
use postfleet_core::id::MessageId;
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/reputation",
    "GET /v3/grants/{grant}/reputation",
    "GET /v3/workspaces/{workspace}/reputation",
    "GET /v3/domains/{domain}/reputation",
    "GET /v3/admin/organizations/{organization}/reputation",
];

const REPUTATION: &str = "subject_type:string subject:string name:string? state:string since:integer? volume:integer \
    rates:object counts:object head_room:object outcomes:object? recount:object?";

const OUTCOME: &str = "id:string event_type:string at:integer message_id:string recipient:string? bounce_type:string? \
    bounce_class:string? status:string reason:string counts_as_recipient:boolean not_counted_because:string?";

impl Harness {
    /// Sends to somebody of the own domain, and lets it be delivered; answers the message.
    async fn writes(&self, grant: &str, to: &str) -> String {
        self.world.advance(1);
        let body = json!({"to": [{"email": to}], "subject": "Hello", "body": "Hi"});
        let sent = self.post(&format!("/v3/grants/{grant}/messages/send"), &body).await;
        let id = sent.is_ok().data()["id"].as_str().expect("id").to_owned();
        self.world.deliver_due().await;
        id
    }

    /// Sends to so many who are not there.
    async fn bounces(&self, grant: &str, count: usize) {
        for number in 0..count {
            self.writes(grant, &format!("nobody-{number}-{grant}@acme.test")).await;
        }
    }

    async fn standing(&self, path: &str) -> Value {
        let answer = self.get(path).await.is_ok().data().clone();
        assert_shape(&answer, REPUTATION);
        answer
    }

    async fn standing_for_operator(&self, path: &str) -> Value {
        let answer = self.ask(&self.acme.operator_key, "GET", path, None).await.is_ok().data().clone();
        assert_shape(&answer, REPUTATION);
        answer
    }
}

#[tokio::test]
async fn who_has_sent_nothing_is_healthy_and_sees_how_little_it_takes() {
    let harness = Harness::new().await;
    let shown = harness.standing(&harness.at("/reputation")).await;
    assert_eq!(
        shown,
        json!({
            "subject_type": "grant", "subject": harness.agent, "name": "agent@acme.test", "state": "healthy",
            "since": null, "volume": 1_000,
            "rates": {
                "hard_bounces": {"percent": 0.0, "count": 0, "of": 100, "review_percent": 5.0, "pause_percent": 10.0,
                    "clear_percent": 2.0},
                "complaints": {"percent": 0.0, "count": 0, "of": 1_000, "review_percent": 0.1, "pause_percent": 0.5,
                    "clear_percent": 0.1}
            },
            "counts": {"recipients": 0, "recipients_of_feedback_domains": 0, "hard_bounces": 0, "complaints": 0},
            "head_room": {"hard_bounces_until_review": 5, "complaints_until_review": 1,
                "hard_bounces_until_pause": 10, "complaints_until_pause": 5, "recipients_until_pause": null,
                "text": "1 more complaint or 5 more hard bounces until review; 5 more complaints or 10 more hard \
                    bounces until pause", "is_small_sample": true},
            "outcomes": {"counted": [], "not_counted": []}, "recount": null
        })
    );
    let recounted = harness.standing(&harness.at("/reputation?recount=true")).await;
    assert_eq!(recounted["recount"]["agrees"], true);
    harness.get(&harness.at("/reputation?recount=maybe")).await.refuses(400, "invalid_request", Some("recount"));
}

#[tokio::test]
async fn what_counts_and_what_does_not_is_shown_with_the_reason() {
    let harness = Harness::new().await;
    harness.bounces(&harness.agent, 2).await;
    // It arrives, and is reported as undeliverable later: once because of a full mailbox, once because nobody is there.
    let message = harness.writes(&harness.agent, "agent@acme.test").await;
    let id: MessageId = message.parse().expect("id");
    let domain = Domain::parse("acme.test").expect("domain");
    let now = harness.world.platform.clock.now();
    let path = harness.world.platform.keys.return_paths().make(id, &domain, now).expect("return path").to_string();
    harness.world.receive("", &path, dsn("agent@acme.test")).await.expect("taken");
    harness.world.advance(1);
    let list = json!({"address": "left@acme.test", "reason": "manual"});
    harness.post("/v3/suppressions", &list).await.is_ok();
    let body = json!({"to": [{"email": "left@acme.test"}, {"email": "agent@acme.test"}], "subject": "x", "body": "x"});
    harness.post(&harness.at("/messages/send"), &body).await.is_ok();
    harness.world.deliver_due().await;

    let shown = harness.standing(&harness.at("/reputation?recount=true")).await;
    assert_eq!((&shown["state"], &shown["counts"]["recipients"]), (&json!("elevated"), &json!(4)));
    assert_eq!(shown["counts"]["hard_bounces"], 2);
    let counted = shown["outcomes"]["counted"].as_array().expect("list");
    let not_counted = shown["outcomes"]["not_counted"].as_array().expect("list");
    counted.iter().chain(not_counted).for_each(|one| assert_shape(one, OUTCOME));
    let types = |list: &[Value]| list.iter().map(|one| one["bounce_type"].clone()).collect::<Vec<_>>();
    assert_eq!(types(counted), [json!("UnknownUser"), json!("UnknownUser")]);
    assert_eq!(types(not_counted), [Value::Null, json!("MailboxFull")]);
    assert_eq!(not_counted[0]["not_counted_because"], "the recipient is suppressed and was not attempted");
    assert_eq!(not_counted[1]["not_counted_because"], "the report does not say that nobody is there");
    assert_eq!(counted[0]["recipient"], format!("nobody-1-{}@acme.test", harness.agent));
    assert_eq!(shown["recount"], json!({"agrees": true, "is_complete": true, "counts": shown["counts"]}));
}

#[tokio::test]
async fn one_mailbox_is_paused_and_its_fleet_goes_on() {
    let harness = Harness::new().await;
    let calm = harness.world.mailbox(&harness.acme, "calm").await.id.to_string();
    harness.bounces(&harness.agent, 9).await;
    let shown = harness.standing(&harness.at("/reputation")).await;
    assert_eq!(shown["state"], "under_review");
    assert_eq!(
        shown["head_room"]["text"],
        "5 more complaints or 1 more hard bounce until pause; paused after 496 more recipients if the rates do not fall \
         below the lines of review"
    );
    // Under review nothing is refused, and nothing says so.
    harness.writes(&harness.agent, "tenth@acme.test").await;
    let shown = harness.standing(&harness.at("/reputation")).await;
    assert_eq!(
        (&shown["state"], &shown["since"]),
        (&json!("paused"), &json!(harness.world.platform.clock.now().as_seconds()))
    );
    assert_eq!(shown["head_room"]["text"], "");
    let body = json!({"to": [{"email": "calm@acme.test"}], "subject": "x", "body": "x"});
    harness.post(&harness.at("/messages/send"), &body).await.refuses(400, "account_paused", None);
    harness.writes(&calm, "calm@acme.test").await;

    let all = harness.get("/v3/reputation").await.is_ok().data().clone();
    assert_shape(&all, "application:object workspaces:array domains:array grants:array next_cursor:string?");
    assert_eq!(
        (&all["application"]["state"], &all["application"]["counts"]["recipients"]),
        (&json!("under_review"), &json!(11))
    );
    let grants = all["grants"].as_array().expect("list");
    assert_eq!(grants.len(), 1, "the healthy one is not among them");
    assert_eq!((&grants[0]["name"], &grants[0]["state"]), (&json!("agent@acme.test"), &json!("paused")));
    let workspaces = all["workspaces"].as_array().expect("list");
    assert_eq!((workspaces.len(), &workspaces[0]["subject"]), (1, &json!(harness.acme.workspace_id.to_string())));
    // The workspace is for no domain of its own; this is what was sent from.
    let domains = all["domains"].as_array().expect("list");
    assert_eq!((domains.len(), &domains[0]["subject"]), (1, &json!("acme.test")));

    let workspace = harness.standing(&format!("/v3/workspaces/{}/reputation", harness.acme.workspace_id)).await;
    let domain = harness.standing_for_operator("/v3/domains/acme.test/reputation").await;
    let path = format!("/v3/admin/organizations/{}/reputation", harness.acme.organization_id);
    let organization = harness.standing_for_operator(&path).await;
    for (kind, shown) in [("workspace", workspace), ("domain", domain), ("organization", organization)] {
        assert_eq!((&shown["subject_type"], &shown["state"]), (&json!(kind), &json!("under_review")));
        assert_eq!((&shown["counts"]["hard_bounces"], &shown["counts"]["recipients"]), (&json!(10), &json!(11)));
        assert_eq!(shown["head_room"]["hard_bounces_until_pause"], Value::Null, "{kind}");
    }
    // Another domain's reputation is another's.
    let other = harness.ask(&harness.other.operator_key, "GET", "/v3/domains/other.test/reputation", None).await;
    assert_eq!(other.is_ok().data()["counts"]["recipients"], 0);
}

#[tokio::test]
async fn a_reputation_that_changes_is_an_event() {
    let harness = Harness::new().await;
    harness.bounces(&harness.agent, 2).await;
    let events = harness.get("/v3/events?type=reputation.changed").await;
    let changed = events.is_ok().data().as_array().expect("list");
    let of = |kind: &str| changed.iter().find(|one| one["object"]["subject_type"] == kind).expect("event");
    let grant = of("grant");
    assert_eq!(grant["grant_id"], json!(harness.agent));
    let object = &grant["object"];
    assert_eq!((&object["from"], &object["state"]), (&json!("healthy"), &json!("elevated")));
    assert_eq!(object["rates"]["hard_bounces"], json!({"percent": 2.0, "count": 2, "of": 100}));
    assert_eq!(object["head_room"]["hard_bounces_until_review"], 3);
    // What an organization has sent in all is not for one of its applications.
    assert_eq!((of("organization")["object"].get("counts"), &of("organization")["grant_id"]), (None, &Value::Null));
    assert_eq!(of("domain")["object"]["subject"], "acme.test");
}

#[tokio::test]
async fn only_domains_that_send_feedback_count_for_complaints() {
    let feedback_domains = vec![Domain::parse("acme.test").expect("domain")];
    let world = World::with(WorldOptions { feedback_domains, ..WorldOptions::default() }).await;
    let harness = Harness::in_world(world, NewTenant::of("acme.test")).await;
    harness.writes(&harness.agent, "agent@acme.test").await;
    harness.writes(&harness.agent, "agent@other.test").await;
    let counts = harness.standing(&harness.at("/reputation")).await["counts"].clone();
    assert_eq!((&counts["recipients"], &counts["recipients_of_feedback_domains"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn mailboxes_that_are_not_healthy_are_listed_in_pages() {
    let harness = Harness::new().await;
    let mut expected = Vec::new();
    for (name, count) in [("two", 2), ("six", 6), ("four", 4)] {
        let grant = harness.world.mailbox(&harness.acme, name).await.id.to_string();
        harness.bounces(&grant, count).await;
        expected.push((count, grant));
    }
    expected.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let (mut path, mut found) = ("/v3/reputation?limit=1".to_owned(), Vec::new());
    loop {
        let page = harness.get(&path).await.is_ok().data().clone();
        found.extend(page["grants"].as_array().expect("list").iter().map(|one| one["subject"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/v3/reputation?limit=1&page_token={next}");
    }
    assert_eq!(found, expected.into_iter().map(|(_, grant)| json!(grant)).collect::<Vec<_>>());
    harness.get("/v3/reputation?page_token=x").await.refuses(400, "invalid_request", Some("page_token"));
}
