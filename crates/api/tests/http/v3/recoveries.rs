//! `/v3/grants/{grant}/recoveries` and `/v3/admin/recoveries`.

use crate::support::{Answer, Harness, NOBODY, assert_shape};
use postfleet_core::audit::Act;
use postfleet_core::id::{AuditId, EventId, GrantId, StopId};
use postfleet_core::recovery::{Automatic, Rule};
use postfleet_core::stop::{Effect, Kind, Scope};
use postfleet_mailflow::janitor;
use postfleet_store::stops::{self, Lift, NewStop, Target};
use postfleet_store::{Command, Tx, db::DbError};
use postfleet_testkit::world::{NewTenant, Tenant, World, WorldOptions};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/recoveries",
    "POST /v3/grants/{grant}/recoveries",
    "GET /v3/grants/{grant}/recoveries/{recovery}",
    "POST /v3/grants/{grant}/recoveries/{recovery}/withdraw",
    "GET /v3/admin/recoveries",
    "POST /v3/admin/recoveries/{recovery}/decide",
];

const RECOVERY: &str = "id:string organization_id:string application_id:string grant_id:string email:string \
    stop_id:string paused_since:integer state:string cause:string fix:string evidence:array checks:array \
    checked_at:integer missing:array requested_by:object decided_by:object? decided_at:integer? note:string? \
    created_at:integer";

const BUNDLED: &str = "grant:object domain:object workspace:object? application:object organization:object \
    transitions:array recoveries:array";

const DAY: i64 = 86_400;

fn act(harness: &Harness, tenant: &Tenant) -> Act {
    let platform = &harness.world.platform;
    let now = platform.clock.now();
    Act::of_command_line(AuditId::new(now, platform.entropy.ten()), tenant.organization_id, now)
}

/// Pauses a mailbox, as its rates would.
pub(crate) async fn pause(harness: &Harness, tenant: &Tenant, grant: GrantId) -> StopId {
    let platform = &harness.world.platform;
    let now = platform.clock.now();
    let command = NewStop {
        id: StopId::new(now, platform.entropy.ten()),
        act: act(harness, tenant),
        event_id: EventId::new(now, platform.entropy.ten()),
        kind: Kind::Pause,
        effect: Effect::Refuse,
        target: Target {
            organization: tenant.organization_id,
            application: Some(tenant.application_id),
            workspace: None,
            grant: Some(grant),
            scope: Scope::Grant,
            subject: grant.to_string(),
        },
        reason: "12 of 100 bounced".to_owned(),
        evidence: "{}".to_owned(),
        reference: None,
        value: None,
    };
    platform.store.run(command).await.expect("stop").id
}

/// Ends a pause without a case, as nobody can from outside.
pub(crate) async fn unpause(harness: &Harness, tenant: &Tenant, grant: GrantId) {
    struct End(Act, EventId, GrantId);
    impl Command for End {
        type Outcome = ();
        async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
            let lift = Lift { act: self.0.clone(), event_id: self.1, reason: "test".into() };
            let of = (Kind::Pause, Scope::Grant, &*self.2.to_string());
            stops::lift_of(tx, self.0.organization_id, of, &lift).await.map(|_| ())
        }
    }
    let platform = &harness.world.platform;
    let event = EventId::new(platform.clock.now(), platform.entropy.ten());
    platform.store.run(End(act(harness, tenant), event, grant)).await.expect("lift");
}

fn case() -> Value {
    json!({"cause": "a list that was bought", "fix": "it is deleted", "evidence": ["the import of 2 March is undone"]})
}

fn id(answer: &Answer) -> String {
    answer.json["data"]["id"].as_str().expect("id").to_owned()
}

impl Harness {
    async fn sends(&self, to: &str) -> Answer {
        self.world.advance(1);
        // Who says the same again and again to the fleet is held.
        let text = "o".repeat(1 + (self.world.platform.clock.now().as_seconds() % 97) as usize);
        let body = json!({"to": [{"email": to}], "subject": "Hello", "body": text});
        self.post(&self.at("/messages/send"), &body).await
    }

    /// Sends to ten who are not there, so that the mailbox is paused.
    async fn gets_paused(&self) {
        for number in 0..10 {
            self.sends(&format!("nobody-{number}-{}@acme.test", self.world.platform.clock.now().as_seconds()))
                .await
                .is_ok();
            self.world.deliver_due().await;
        }
        self.sends("agent@acme.test").await.refuses(400, "account_paused", None);
    }

    async fn asks(&self) -> Answer {
        let asked = self.post(&self.at("/recoveries"), &case()).await;
        assert_eq!(asked.status, 201, "{asked:?}");
        assert_shape(&asked.json["data"], RECOVERY);
        asked
    }

    async fn decides(&self, id: &str, body: &Value) -> Answer {
        let path = format!("/v3/admin/recoveries/{id}/decide");
        self.ask(&self.acme.operator_key, "POST", &path, Some(body)).await
    }

    /// What events of that name say, newest first.
    async fn told(&self, name: &str) -> Vec<Value> {
        let events = self.get("/v3/events?limit=200").await.is_ok().data().as_array().expect("events").clone();
        events.into_iter().filter(|event| event["type"] == name).map(|event| event["object"].clone()).collect()
    }

    async fn limit(&self) -> Value {
        let limits = self.get(&self.at("/limits")).await.is_ok().data().clone();
        json!([limits["limits"]["limit_count_daily_email_sent"], limits["recovery_ramp"]])
    }
}

async fn self_hosted() -> Harness {
    Harness::with(NewTenant { plan: "self_hosted", ..NewTenant::of("acme.test") }).await
}

#[tokio::test]
async fn a_paused_mailbox_comes_back_by_an_operator_and_sends_little_at_first() {
    let harness = self_hosted().await;
    harness.post(&harness.at("/recoveries"), &case()).await.refuses(409, "not_paused", None);
    harness.gets_paused().await;
    let asked = harness.asks().await;
    let (id, shown) = (id(&asked), &asked.json["data"]);
    assert_eq!((&shown["state"], &shown["missing"]), (&json!("requested"), &json!([])), "{shown}");
    let codes: Vec<&Value> = shown["checks"].as_array().expect("checks").iter().map(|check| &check["code"]).collect();
    assert_eq!(
        json!(codes),
        json!([
            "list_cleaned",
            "nothing_waits_for_them",
            "domain_authenticated",
            "no_restriction",
            "pause_is_the_reason"
        ])
    );
    let again = harness.post(&harness.at("/recoveries"), &case()).await;
    again.refuses(409, "recovery_pending", None);
    assert!(again.json["error"]["message"].as_str().expect("text").contains(&id));
    // Those who decide are told, and whoever helps sees all of it.
    let told = harness.told("recovery.requested").await;
    assert_eq!((told.len(), &told[0]["id"], &told[0]["cause"]), (1, &json!(id), &case()["cause"]));
    assert_eq!((&told[0]["state"], &told[0]["email"]), (&json!("requested"), &json!("agent@acme.test")));
    let bundle = harness.get(&harness.at("/support-bundle")).await.is_ok().data()["reputation"].clone();
    assert_shape(&bundle, BUNDLED);
    assert_eq!((&bundle["grant"]["state"], &bundle["grant"]["counts"]["hard_bounces"]), (&json!("paused"), &json!(10)));
    assert_eq!(bundle["recoveries"][0]["id"], json!(id));
    let last = bundle["transitions"].as_array().expect("transitions").iter();
    let mut of_grant = last.filter(|one| one["subject"] == json!(harness.agent));
    assert_eq!(of_grant.next().expect("the last")["to"], "paused");
    assert_eq!(bundle["organization"]["subject"], json!(harness.acme.organization_id.to_string()));
    // Lifting it like any other stop says where to go.
    let stop = shown["stop_id"].as_str().expect("stop");
    let lift = format!("/v3/admin/stops/{stop}/lift");
    let lifted = harness.ask(&harness.acme.operator_key, "POST", &lift, Some(&json!({"reason": "enough"}))).await;
    lifted.refuses(409, "recovery_needed", None);
    // An application does not decide.
    let path = format!("/v3/admin/recoveries/{id}/decide");
    assert_eq!(harness.post(&path, &json!({"decision": "grant"})).await.status, 403);
    harness.decides(&id, &json!({"decision": "perhaps"})).await.refuses(400, "invalid_request", Some("decision"));

    let granted = harness.decides(&id, &json!({"decision": "grant", "note": "seen"})).await;
    assert_shape(granted.is_ok().data(), RECOVERY);
    assert_eq!((&granted.data()["state"], &granted.data()["note"]), (&json!("granted"), &json!("seen")));
    assert_eq!(granted.data()["decided_by"]["kind"], "operator_key");
    harness.decides(&id, &json!({"decision": "refuse"})).await.refuses(409, "recovery_closed", None);
    let told = harness.told("recovery.decided").await;
    assert_eq!((told.len(), &told[0]["state"], &told[0]["note"]), (1, &json!("granted"), &json!("seen")));
    let standing = harness.get(&harness.at("/reputation")).await.is_ok().data().clone();
    assert_eq!((&standing["state"], &standing["counts"]["recipients"]), (&json!("healthy"), &json!(0)));
    let ends_at = (harness.world.platform.clock.now().as_seconds() / DAY + 1) * DAY;
    let ramp = json!([{"value": 30, "source": "recovery_ramp"}, {"value": 30, "highest_day": 10, "ends_at": ends_at}]);
    assert_eq!(harness.limit().await, ramp, "ten were sent before");
    for _ in 0..20 {
        harness.sends("agent@acme.test").await.is_ok();
    }
    let refused = harness.sends("agent@acme.test").await;
    refused.refuses(429, "daily_quota_exceeded", None);
    let error = &refused.json["error"];
    assert_eq!((&error["scope"], &error["limit"]), (&json!("grant"), &json!(30)));
    assert!(error["message"].as_str().expect("text").starts_with("the ramp after a pause allows 30 messages"));
    harness.world.advance(DAY as u64);
    assert_eq!(harness.limit().await, json!([{"value": -1, "source": "plan"}, null]));
    harness.sends("agent@acme.test").await.is_ok();
    let records = harness.get("/v3/audit").await.is_ok().data().clone();
    let record =
        records.as_array().expect("list").iter().find(|one| one["action"] == "recovery.granted").expect("record");
    assert_eq!((&record["after"]["cause"], &record["after"]["fix"]), (&case()["cause"], &case()["fix"]));
    assert_eq!(record["after"]["evidence"], case()["evidence"]);
    let events = harness.get("/v3/events").await.is_ok().data().clone();
    for trigger in ["sending.resumed", "reputation.changed"] {
        assert!(events.as_array().expect("list").iter().any(|event| event["type"] == trigger), "{trigger}");
    }
}

#[tokio::test]
async fn what_is_missing_is_said_in_words_and_granted_only_in_spite_of_it() {
    let harness = self_hosted().await;
    harness.gets_paused().await;
    let list = harness.get("/v3/suppressions").await.is_ok().data().clone();
    let address = list[0]["address"].as_str().expect("address").to_owned();
    harness.delete(&format!("/v3/suppressions/{address}")).await.is_ok();
    let asked = harness.asks().await;
    let missing = &asked.json["data"]["missing"];
    assert_eq!(missing.as_array().map(Vec::len), Some(1), "{missing}");
    assert!(missing[0].as_str().expect("text").contains(&address), "{missing}");
    let id = id(&asked);
    harness.decides(&id, &json!({"decision": "grant"})).await.refuses(409, "recovery_checks_failed", None);
    let despite = json!({"decision": "grant", "despite_checks": true});
    harness.decides(&id, &despite).await.refuses(400, "invalid_request", Some("note"));
    // What was mended since counts at the decision.
    harness.post("/v3/suppressions", &json!({"address": address})).await.is_ok();
    let granted = harness.decides(&id, &json!({"decision": "grant"})).await;
    assert_eq!(granted.is_ok().data()["missing"], json!([]));
}

#[tokio::test]
async fn cases_are_listed_refused_and_withdrawn() {
    let harness = self_hosted().await;
    harness.gets_paused().await;
    let withdrawn = id(&harness.asks().await);
    let path = harness.at(&format!("/recoveries/{withdrawn}"));
    let answer = harness.post(&format!("{path}/withdraw"), &json!({})).await;
    assert_eq!(answer.is_ok().data()["state"], "withdrawn");
    harness.post(&format!("{path}/withdraw"), &json!({})).await.refuses(409, "recovery_closed", None);
    assert_eq!(harness.get(&path).await.is_ok().data()["state"], "withdrawn");
    let refused = id(&harness.asks().await);
    harness.decides(&refused, &json!({"decision": "refuse", "note": "not yet"})).await.is_ok();
    harness.sends("agent@acme.test").await.refuses(400, "account_paused", None);
    let open = id(&harness.asks().await);
    let ids = |answer: &Answer| -> Vec<String> {
        let list = answer.is_ok().data().as_array().expect("list").clone();
        list.iter().map(|one| one["id"].as_str().expect("id").to_owned()).collect()
    };
    let all = harness.get(&harness.at("/recoveries")).await;
    assert_eq!(ids(&all), [open.clone(), refused.clone(), withdrawn.clone()]);
    let one = harness.get(&harness.at("/recoveries?limit=1")).await;
    assert_eq!(ids(&one), std::slice::from_ref(&open));
    let cursor = one.json["next_cursor"].as_str().expect("cursor");
    let rest = harness.get(&harness.at(&format!("/recoveries?page_token={cursor}"))).await;
    assert_eq!(ids(&rest), [refused.clone(), withdrawn.clone()]);
    let operator = &harness.acme.operator_key;
    for (state, expected) in [("requested", vec![open]), ("refused", vec![refused]), ("granted", vec![])] {
        let answer = harness.ask(operator, "GET", &format!("/v3/admin/recoveries?state={state}"), None).await;
        assert_eq!(ids(&answer), expected, "{state}");
    }
    harness.get(&harness.at("/recoveries?state=open")).await.refuses(400, "invalid_request", Some("state"));
    harness.get(&harness.at(&format!("/recoveries/{NOBODY}"))).await.refuses(404, "not_found", None);
    harness.decides(NOBODY, &json!({"decision": "grant"})).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn only_the_operator_of_the_installation_lifts_a_pause() {
    let tenant = NewTenant { plan: "self_hosted", is_installation: false, ..NewTenant::of("acme.test") };
    let harness = Harness::with(tenant).await;
    harness.gets_paused().await;
    let id = id(&harness.asks().await);
    harness.decides(&id, &json!({"decision": "grant"})).await.refuses(403, "installation_only", None);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let harness = self_hosted().await;
    let grant = harness.agent.parse().expect("id");
    pause(&harness, &harness.acme, grant).await;
    for (change, field) in [
        (json!({"cause": null}), "cause"),
        (json!({"cause": " "}), "cause"),
        (json!({"cause": "c".repeat(1_001)}), "cause"),
        (json!({"fix": null}), "fix"),
        (json!({"fix": "a\nb"}), "fix"),
        (json!({"evidence": ["e".repeat(1_001)]}), "evidence"),
        (json!({"evidence": [""]}), "evidence"),
        (json!({"evidence": vec!["e"; 11]}), "evidence"),
    ] {
        let mut body = case();
        body.as_object_mut().expect("object").extend(change.as_object().expect("object").clone());
        harness.post(&harness.at("/recoveries"), &body).await.refuses(400, "invalid_request", Some(field));
    }
    let most = json!({"cause": "c".repeat(1_000), "fix": "f", "evidence": vec!["e".repeat(1_000); 10]});
    assert_eq!(harness.post(&harness.at("/recoveries"), &most).await.status, 201);
}

#[tokio::test]
async fn where_the_operator_wants_it_a_pause_ends_by_rule_when_it_is_old_enough() {
    let rule = Rule { automatic: Automatic::WhenChecked, after: Duration::from_secs(3_600) };
    let world = World::with(WorldOptions { recovery_rule: rule, ..WorldOptions::default() }).await;
    let harness = Harness::in_world(world, NewTenant { plan: "self_hosted", ..NewTenant::of("acme.test") }).await;
    harness.gets_paused().await;
    let asked = harness.asks().await;
    assert_eq!(asked.json["data"]["state"], "requested", "the pause is too young");
    let path = harness.at(&format!("/recoveries/{}", id(&asked)));
    janitor::recover_once(&harness.world.platform).await.expect("round");
    assert_eq!(harness.get(&path).await.is_ok().data()["state"], "requested");
    harness.world.advance(3_600);
    janitor::recover_once(&harness.world.platform).await.expect("round");
    let granted = harness.get(&path).await.is_ok().data().clone();
    assert_eq!((&granted["state"], &granted["decided_by"]["kind"]), (&json!("granted"), &json!("system")));
    harness.sends("agent@acme.test").await.is_ok();
    // A second time in 30 days somebody looks at it.
    harness.gets_paused().await;
    harness.world.advance(7_200);
    assert_eq!(harness.asks().await.json["data"]["state"], "requested");
    janitor::recover_once(&harness.world.platform).await.expect("round");
    harness.sends("agent@acme.test").await.refuses(400, "account_paused", None);
}
