//! `/v3/stops`, `/v3/admin/stops`, `/v3/admin/restrictions` and the support bundle.

use crate::support::{Answer, Harness, NOBODY, assert_shape};
use postfleet_core::audit::Act;
use postfleet_core::id::{AuditId, EventId, GrantId, StopId};
use postfleet_core::stop::{Effect, Kind, Scope};
use postfleet_mailflow::{deliver, stops};
use postfleet_store::stops::{NewStop, Target};
use postfleet_testkit::world::{NewTenant, World};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/stops",
    "POST /v3/stops",
    "GET /v3/stops/{stop}",
    "POST /v3/stops/{stop}/lift",
    "GET /v3/admin/stops",
    "POST /v3/admin/stops",
    "GET /v3/admin/stops/{stop}",
    "POST /v3/admin/stops/{stop}/lift",
    "GET /v3/admin/restrictions",
    "POST /v3/admin/restrictions",
    "GET /v3/admin/restrictions/{restriction}",
    "POST /v3/admin/restrictions/{restriction}/lift",
    "GET /v3/grants/{grant}/support-bundle",
];

const STOP: &str = "id:string kind:string effect:string scope:string subject:string reason:string evidence:object \
    sends_per_hour:integer? reference:string? organization_id:string application_id:string? workspace_id:string? \
    grant_id:string? email:string? active:boolean raised_by:object raised_at:integer lifted_by:object? \
    lifted_at:integer? lift_reason:string? queued_recipients:integer held_sends:integer";

/// Stops the mailbox of the harness in the way that a kind of stop does.
pub(crate) async fn stop(harness: &Harness, kind: &str) -> StopId {
    let platform = &harness.world.platform;
    let (now, acme) = (platform.clock.now(), &harness.acme);
    let grant: GrantId = harness.agent.parse().expect("id");
    let kind = Kind::named(kind).expect("kind");
    let (scope, subject) = match kind {
        Kind::Restriction => (Scope::Domain, acme.domain.to_string()),
        Kind::Switch => (Scope::Workspace, acme.workspace_id.to_string()),
        _ => (Scope::Grant, harness.agent.clone()),
    };
    let is_held = matches!(kind, Kind::Breaker | Kind::Loop);
    let command = NewStop {
        id: StopId::new(now, platform.entropy.ten()),
        act: Act::of_command_line(AuditId::new(now, platform.entropy.ten()), acme.organization_id, now),
        event_id: EventId::new(now, platform.entropy.ten()),
        kind,
        effect: if is_held { Effect::Hold } else { Effect::Refuse },
        target: Target {
            organization: acme.organization_id,
            application: (scope != Scope::Domain).then_some(acme.application_id),
            workspace: None,
            grant: (scope == Scope::Grant).then_some(grant),
            scope,
            subject,
        },
        reason: "12 of 100 bounced".to_owned(),
        evidence: json!({"bounced": 12}).to_string(),
        reference: None,
        value: None,
    };
    platform.store.run(command).await.expect("stop").id
}

fn letter() -> Value {
    json!({"to": [{"email": "ada@sender.test"}], "subject": "s", "body": "b"})
}

async fn send(harness: &Harness) -> Answer {
    harness.post(&harness.at("/messages/send"), &letter()).await
}

async fn admin(harness: &Harness, method: &str, path: &str, body: Option<&Value>) -> Answer {
    harness.ask(&harness.acme.operator_key, method, path, body).await
}

/// The installation's operator, with another tenant who is not.
async fn harness() -> Harness {
    let other = NewTenant { is_installation: false, ..NewTenant::of("other.test") };
    Harness::with_both(World::new().await, NewTenant::of("acme.test"), other).await
}

#[tokio::test]
async fn a_restriction_blocks_the_next_attempt_and_its_end_frees_it() {
    let harness = harness().await;
    let subjects = [
        ("sender_address", json!("AGENT@acme.test"), "sender_address"),
        ("sender_domain", json!("acme.test"), "sender_domain"),
        ("organization", json!(harness.acme.organization_id.to_string()), "organization"),
        ("application", json!(harness.acme.application_id.to_string()), "application"),
        ("grant", json!(harness.agent), "grant"),
    ];
    let email = harness.get(&harness.at("")).await.is_ok().data()["email"].clone();
    let mut ids = Vec::new();
    for (scope, subject, _) in &subjects {
        let subject = if *scope == "sender_address" { &email } else { subject };
        let body = json!({"scope": scope, "subject": subject, "reason": "spam", "reference": "case 7"});
        let made = admin(&harness, "POST", "/v3/admin/restrictions", Some(&body)).await;
        assert_shape(made.is_ok().data(), STOP);
        assert_eq!((&made.data()["kind"], &made.data()["scope"]), (&json!("restriction"), &json!(scope)));
        assert_eq!((&made.data()["reference"], &made.data()["active"]), (&json!("case 7"), &json!(true)));
        ids.push(made.data()["id"].clone());
        let again = admin(&harness, "POST", "/v3/admin/restrictions", Some(&body)).await;
        assert_eq!(again.is_ok().data()["id"], made.data()["id"], "the same, and not two");
    }
    // The first in the order is told; each in its turn, as those before it are lifted.
    for ((_, _, told), id) in subjects.iter().zip(&ids) {
        let refused = send(&harness).await;
        refused.refuses(403, "abuse_restriction", None).says("send blocked by abuse restriction");
        let error = &refused.json["error"];
        assert_eq!((&error["scope"], &error["stop_id"], &error["retryable"]), (&json!(told), id, &json!(false)));
        let path = format!("/v3/admin/restrictions/{}/lift", id.as_str().expect("id"));
        let lifted = admin(&harness, "POST", &path, Some(&json!({"reason": "appeal accepted"}))).await;
        assert_eq!(lifted.is_ok().data()["lift_reason"], "appeal accepted");
        assert_eq!(
            (&lifted.data()["active"], &lifted.data()["lifted_by"]["type"]),
            (&json!(false), &json!("operator_key"))
        );
    }
    send(&harness).await.is_ok();
    let all = admin(&harness, "GET", "/v3/admin/restrictions?active=true", None).await;
    assert_eq!(all.is_ok().data(), &json!([]));
    let all = admin(&harness, "GET", "/v3/admin/restrictions?limit=2", None).await;
    assert_eq!(all.is_ok().data().as_array().expect("list").len(), 2);
    assert!(all.json["next_cursor"].is_string());
}

#[tokio::test]
async fn restrictions_are_the_installations_alone() {
    let harness = harness().await;
    let body = json!({"scope": "grant", "subject": harness.agent, "reason": "spam"});
    let other = &harness.other.operator_key;
    harness.ask(other, "POST", "/v3/admin/restrictions", Some(&body)).await.refuses(403, "installation_only", None);
    let made = admin(&harness, "POST", "/v3/admin/restrictions", Some(&body)).await;
    let id = made.is_ok().data()["id"].as_str().expect("id").to_owned();
    let path = format!("/v3/admin/restrictions/{id}");
    harness.ask(other, "GET", &path, None).await.refuses(404, "not_found", None);
    assert_eq!(harness.ask(other, "GET", "/v3/admin/restrictions", None).await.is_ok().data(), &json!([]));
    // An application sees what concerns it, and cannot lift it.
    let seen = harness.get(&format!("/v3/stops/{id}")).await;
    assert_eq!(seen.is_ok().data()["reason"], "spam");
    let lift = harness.post(&format!("/v3/stops/{id}/lift"), &json!({"reason": "please"})).await;
    lift.refuses(403, "operator_lifts", None).says("operator");
    send(&harness).await.refuses(403, "abuse_restriction", None);
    assert_eq!(admin(&harness, "GET", &path, None).await.is_ok().data()["id"], json!(id));
    for (wrong, field) in [
        (json!({"scope": "workspace", "subject": harness.agent, "reason": "x"}), "scope"),
        (json!({"subject": harness.agent, "reason": "x"}), "scope"),
        (json!({"scope": "grant", "reason": "x"}), "subject"),
        (json!({"scope": "grant", "subject": NOBODY, "reason": "x"}), "subject"),
        (json!({"scope": "sender_domain", "subject": "nowhere.test", "reason": "x"}), "subject"),
        (json!({"scope": "grant", "subject": harness.agent}), "reason"),
        (json!({"scope": "grant", "subject": harness.agent, "reason": " "}), "reason"),
        (json!({"scope": "grant", "subject": harness.agent, "reason": "x".repeat(1_001)}), "reason"),
        (json!({"scope": "grant", "subject": harness.agent, "reason": "x", "reference": "x".repeat(257)}), "reference"),
    ] {
        let refused = admin(&harness, "POST", "/v3/admin/restrictions", Some(&wrong)).await;
        refused.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn one_request_stops_and_one_starts_again() {
    let harness = harness().await;
    let acme = &harness.acme;
    for (scope, subject) in [
        ("grant", json!(harness.agent)),
        ("workspace", json!(acme.workspace_id.to_string())),
        ("domain", json!(acme.domain.to_string())),
        ("application", Value::Null),
    ] {
        let body = json!({"scope": scope, "subject": subject, "reason": "an incident"});
        let made = harness.post("/v3/stops", &body).await;
        assert_shape(made.is_ok().data(), STOP);
        let id = made.data()["id"].as_str().expect("id").to_owned();
        send(&harness).await.refuses(403, "sending_paused", None).says("an incident");
        let grant = harness.get(&harness.at("")).await;
        let sending = &grant.is_ok().data()["sending"];
        assert_eq!((&sending["stopped"], &sending["stop_id"]), (&json!(true), &json!(id)));
        let explained = harness.get(&harness.at("/explain")).await;
        let first = &explained.is_ok().data()["refusals"][0];
        assert_eq!((&first["code"], &first["owner"]["type"]), (&json!("sending_paused"), &json!("stop")));
        assert_eq!((&first["owner"]["id"], &explained.data()["accepted"]), (&json!(id), &json!(false)));
        let found = harness
            .get(&format!("/v3/stops?active=true&scope={}", made.data()["scope"].as_str().expect("scope")))
            .await;
        assert_eq!(found.is_ok().data()[0]["id"], json!(id));
        harness.post(&format!("/v3/stops/{id}/lift"), &json!({})).await.refuses(400, "invalid_request", Some("reason"));
        let lifted = harness.post(&format!("/v3/stops/{id}/lift"), &json!({"reason": "over"})).await;
        assert_eq!(lifted.is_ok().data()["active"], false);
        send(&harness).await.is_ok();
        assert_eq!(harness.get(&harness.at("")).await.is_ok().data()["sending"], Value::Null);
    }
    // Everything, by the operator.
    let organization = acme.organization_id.to_string();
    let all = json!({"scope": "organization", "subject": organization, "reason": "everything"});
    harness.post("/v3/stops", &all).await.refuses(400, "invalid_request", Some("scope"));
    let made = admin(&harness, "POST", "/v3/admin/stops", Some(&all)).await;
    let id = made.is_ok().data()["id"].as_str().expect("id").to_owned();
    send(&harness).await.refuses(403, "sending_paused", None).says("organization");
    let lift = harness.post(&format!("/v3/stops/{id}/lift"), &json!({"reason": "x"})).await;
    lift.refuses(403, "operator_lifts", None);
    let other = harness.ask(&harness.other.operator_key, "POST", "/v3/admin/stops", Some(&all)).await;
    other.refuses(400, "invalid_request", Some("subject"));
    let path = format!("/v3/admin/stops/{id}");
    assert_eq!(admin(&harness, "GET", &path, None).await.is_ok().data()["reason"], "everything");
    admin(&harness, "POST", &format!("{path}/lift"), Some(&json!({"reason": "over"}))).await.is_ok();
    send(&harness).await.is_ok();
    let listed = admin(&harness, "GET", "/v3/admin/stops?kind=switch&active=false", None).await;
    assert_eq!(listed.is_ok().data().as_array().expect("list").len(), 5);
    let foreign = harness.ask(&harness.other.operator_key, "GET", "/v3/admin/stops", None).await;
    assert_eq!(foreign.is_ok().data(), &json!([]));
    // Each was told: when it began and when it ended.
    let events = harness.get("/v3/events?type=sending.stopped").await;
    assert_eq!(events.is_ok().data().as_array().expect("events").len(), 5);
    let of_all = &events.data()[0];
    assert_eq!((&of_all["grant_id"], &of_all["object"]["scope"]), (&Value::Null, &json!("organization")));
    let audit = harness.get(&format!("/v3/audit?target_id={id}")).await;
    assert_eq!(audit.is_ok().data(), &json!([]), "it is of the organization");
}

#[tokio::test]
async fn a_pause_is_told_as_one_and_only_an_operator_lifts_it() {
    let harness = harness().await;
    let id = stop(&harness, "pause").await;
    let refused = send(&harness).await;
    refused.refuses(400, "account_paused", None).says("paused");
    assert_eq!(refused.json["error"]["retryable"], false);
    let lift = json!({"reason": "the list was cleaned"});
    harness.post(&format!("/v3/stops/{id}/lift"), &lift).await.refuses(403, "operator_lifts", None);
    let found = harness.get("/v3/stops?kind=pause").await;
    assert_eq!(found.is_ok().data()[0]["evidence"], json!({"bounced": 12}));
    // The operator lifts it by granting a recovery.
    let lifted = admin(&harness, "POST", &format!("/v3/admin/stops/{id}/lift"), Some(&lift)).await;
    lifted.refuses(409, "recovery_needed", None);
    send(&harness).await.refuses(400, "account_paused", None);
}

#[tokio::test]
async fn what_a_breaker_holds_leaves_once_it_is_approved_although_it_is_in_force() {
    let harness = harness().await;
    let id = stop(&harness, "breaker").await;
    let held = send(&harness).await;
    assert_eq!((held.status, &held.json["hold"]["reason"]), (202, &json!("breaker")));
    let hold = held.json["hold"]["id"].as_str().expect("id").to_owned();
    let seen = harness.get(&format!("/v3/stops/{id}")).await;
    assert_eq!((&seen.is_ok().data()["held_sends"], &seen.data()["effect"]), (&json!(1), &json!("hold")));
    let boss = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let boss = admin(&harness, "POST", &boss, Some(&json!({"name": "boss", "permissions": ["*"]}))).await;
    let boss = boss.is_ok().data()["api_key"].as_str().expect("key").to_owned();
    let path = format!("/v3/holds/{hold}");
    let review = harness.ask(&boss, "GET", &path, None).await;
    let digest = json!({"digest": review.is_ok().data()["review"]["digest"]});
    let approved = harness.ask(&boss, "POST", &format!("{path}/approve"), Some(&digest)).await;
    assert_eq!(approved.is_ok().data()["state"], "released");
    // It is claimed although the stop is in force.
    let claimed = deliver::claim(&harness.world.platform, 10).await.expect("claim");
    assert_eq!(claimed.len(), 1);
}

#[tokio::test]
async fn what_is_queued_shows_that_it_is_stopped_and_by_what() {
    let harness = harness().await;
    let sent = send(&harness).await;
    let message = sent.is_ok().data()["id"].as_str().expect("id").to_owned();
    let body = json!({"scope": "grant", "subject": harness.agent, "reason": "an incident"});
    let id = harness.post("/v3/stops", &body).await.is_ok().data()["id"].clone();
    assert!(deliver::claim(&harness.world.platform, 10).await.expect("claim").is_empty());
    let queued = harness.get("/v3/queue?state=stopped").await;
    assert_eq!((&queued.is_ok().data()[0]["id"], &queued.data()[0]["state"]), (&json!(message), &json!("stopped")));
    let life = harness.get(&format!("/v3/queue/{message}")).await;
    let recipient = &life.is_ok().data()["recipients"][0];
    assert_eq!((&recipient["stop_id"], &recipient["next_attempt_at"]), (&id, &Value::Null));
    let seen = harness.get(&format!("/v3/stops/{}", id.as_str().expect("id"))).await;
    assert_eq!(seen.is_ok().data()["queued_recipients"], 1);
    let lift = format!("/v3/stops/{}/lift", id.as_str().expect("id"));
    harness.post(&lift, &json!({"reason": "over"})).await.is_ok();
    while stops::sweep_once(&harness.world.platform).await.expect("sweep") {}
    assert_eq!(deliver::claim(&harness.world.platform, 10).await.expect("claim").len(), 1);
}

#[tokio::test]
async fn a_bundle_has_what_support_asks_for_and_no_secrets() {
    let harness = harness().await;
    let path = harness.at("/support-bundle");
    assert_eq!(harness.get(&path).await.is_ok().data()["example_error"], Value::Null);
    let secret = json!({"to": [{"email": "ada@sender.test"}], "subject": "s", "body": "the secret plan"});
    harness.post(&harness.at("/messages/send"), &secret).await.is_ok();
    let id = stop(&harness, "restriction").await;
    send(&harness).await.refuses(403, "abuse_restriction", None);
    let bundle = harness.get(&path).await;
    let data = bundle.is_ok().data();
    assert_eq!(data["application_id"], harness.acme.application_id.to_string());
    assert_eq!(
        (&data["grant_id"], &data["organization_id"]),
        (&json!(harness.agent), &json!(harness.acme.organization_id.to_string()))
    );
    let error = &data["example_error"]["error"];
    assert_eq!(
        (&error["code"], &error["scope"], &error["stop_id"]),
        (&json!("abuse_restriction"), &json!("sender_domain"), &json!(id.to_string()))
    );
    assert_eq!((&data["stops"][0]["id"], &data["sending"]["past"][0]["times"]), (&json!(id.to_string()), &json!(1)));
    assert_eq!(data["domain"]["can_send"], true);
    assert!(data["limits"]["limits"].is_object() && data["version"].is_string());
    assert!(data["request_ids"].as_array().expect("ids").iter().all(|id| id.is_string()));
    let text = bundle.json.to_string();
    assert!(!text.contains("the secret plan") && !text.contains(&harness.acme.api_key) && !text.contains("PRIVATE"));
}

#[tokio::test]
async fn what_somebody_else_has_below_a_restricted_domain_is_restricted_and_sees_why() {
    let harness = harness().await;
    let below = harness.world.tenant(NewTenant::of("mail.acme.test")).await;
    let grant = harness.world.mailbox(&below, "agent").await;
    let path = format!("/v3/grants/{}/messages/send", grant.id);
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "s", "body": "Hi"});
    let wish = json!({"scope": "sender_domain", "subject": "acme.test", "reason": "phishing", "reference": "case 7"});
    let raised = admin(&harness, "POST", "/v3/admin/restrictions", Some(&wish)).await;
    let id = raised.is_ok().data()["id"].as_str().expect("id").to_owned();
    harness.ask(&below.api_key, "POST", &path, Some(&body)).await.refuses(403, "abuse_restriction", None);
    let listed = harness.ask(&below.api_key, "GET", "/v3/stops", None).await;
    let [seen] = listed.is_ok().data().as_array().expect("stops").as_slice() else { panic!("{listed:?}") };
    assert_eq!((&seen["id"], &seen["reference"], &seen["reason"]), (&json!(id), &Value::Null, &json!("phishing")));
    assert_eq!(
        seen["organization_id"],
        below.organization_id.to_string(),
        "under whom it is kept is not theirs to know"
    );
    let found = harness.ask(&below.api_key, "GET", &format!("/v3/stops/{id}"), None).await;
    assert_eq!(found.is_ok().data()["id"], json!(id));
    harness.ask(&harness.other.api_key, "GET", &format!("/v3/stops/{id}"), None).await.refuses(404, "not_found", None);
    let lift = json!({"reason": "seen"});
    admin(&harness, "POST", &format!("/v3/admin/restrictions/{id}/lift"), Some(&lift)).await.is_ok();
    harness.ask(&below.api_key, "POST", &path, Some(&body)).await.is_ok();
}
