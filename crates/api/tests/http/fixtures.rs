//! Things for every name that a path may have open: how a tenant gets one. Tests that hold for all routes make them for
//! two tenants and ask for the one with the key of the other.

use crate::support::{Harness, receiver};
use crate::v3::bus;
use crate::v3::domain_health::{by_mail, dmarc};
use crate::v3::recoveries;
use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_core::audit::Act;
use postfleet_core::id::{AuditId, EventId, StopId};
use postfleet_core::stop::{Kind as StopKind, Scope};
use postfleet_mailflow::webhooks;
use postfleet_store::organizations;
use postfleet_store::stops::{RaiseOutcome, RaiseStop, Within};
use postfleet_testkit::http::FakeHttp;
use postfleet_testkit::world::Tenant;
use serde_json::{Value, json};

/// What may stand in an open place of a path.
pub enum Thing {
    /// A thing that one tenant has, by all the names that lead to it.
    Owned(Vec<String>),
    /// A name that every tenant has for a thing of its own, such as `inbox`.
    Shared(String),
}

impl Thing {
    pub fn name(&self) -> &str {
        match self {
            Self::Owned(names) => &names[0],
            Self::Shared(name) => name,
        }
    }
}

/// Makes a thing for a tenant, or finds the one that was made before: things of one tenant belong together, so that a
/// message is in the mailbox and the attachment in the message.
pub type Make = for<'a> fn(&'a Harness, &'a Tenant) -> BoxFuture<'a, Thing>;

/// How to make what a path may name. A name in a path that is not here fails `isolation.rs`: add a function for it. A
/// name that means different things stands here with the segment before it.
pub const FIXTURES: &[(&str, Make)] = &[
    ("grant", |harness, tenant| grant(harness, tenant).boxed()),
    ("message", |harness, tenant| message(harness, tenant, |message| &message["id"]).boxed()),
    ("thread", |harness, tenant| message(harness, tenant, |message| &message["thread_id"]).boxed()),
    ("attachment", |harness, tenant| message(harness, tenant, |message| &message["attachments"][0]["id"]).boxed()),
    ("draft", |harness, tenant| draft(harness, tenant).boxed()),
    ("schedule", |harness, tenant| schedule(harness, tenant).boxed()),
    ("import", |harness, tenant| import(harness, tenant).boxed()),
    ("hold", |harness, tenant| hold(harness, tenant).boxed()),
    ("folder", |harness, tenant| folder(harness, tenant).boxed()),
    ("upload", |_, _| async { Thing::Shared("1".to_owned()) }.boxed()),
    ("webhook", |harness, tenant| webhook(harness, tenant).boxed()),
    ("replay", |harness, tenant| replay(harness, tenant).boxed()),
    ("webhook_attempt", |harness, tenant| webhook_attempt(harness, tenant).boxed()),
    ("workspace", |_, tenant| owned(tenant.workspace_id.to_string()).boxed()),
    ("application", |_, tenant| owned(tenant.application_id.to_string()).boxed()),
    ("organization", |_, tenant| owned(tenant.organization_id.to_string()).boxed()),
    ("domain", |harness, tenant| domain(harness, tenant).boxed()),
    ("policy", |harness, tenant| made(harness, &tenant.api_key, "/v3/policies", json!({"name": "p"})).boxed()),
    ("rule", |harness, tenant| rule(harness, tenant).boxed()),
    ("list", |harness, tenant| list(harness, tenant).boxed()),
    ("address", |harness, tenant| suppressed(harness, tenant).boxed()),
    ("provider", |harness, tenant| connector(harness, tenant).boxed()),
    ("redirect_uri", |harness, tenant| redirect_uri(harness, tenant).boxed()),
    ("job", |harness, tenant| job(harness, tenant).boxed()),
    ("queue/message", |harness, tenant| queued(harness, tenant).boxed()),
    ("event", |harness, tenant| activity(harness, tenant).boxed()),
    ("log_event", |harness, tenant| logged(harness, tenant).boxed()),
    ("destination", |harness, tenant| destination(harness, tenant).boxed()),
    ("api-keys/key", |harness, tenant| application_key(harness, tenant).boxed()),
    ("keys/key", |harness, tenant| made(harness, &tenant.operator_key, "/v3/admin/keys", json!({"name": "k"})).boxed()),
    ("account", |harness, tenant| account(harness, tenant).boxed()),
    ("opt_in", |harness, tenant| opt_in(harness, tenant).boxed()),
    ("raise", |harness, tenant| raise(harness, tenant).boxed()),
    ("pool", |harness, tenant| pool(harness, tenant).boxed()),
    ("parked", |harness, tenant| parked(harness, tenant).boxed()),
    ("route", |harness, tenant| made(harness, &tenant.api_key, "/v3/routes", json!({"subject": "s"})).boxed()),
    ("alert_rule", |harness, tenant| alert_rule(harness, tenant).boxed()),
    ("alert", |harness, tenant| alert(harness, tenant).boxed()),
    ("signature", |harness, tenant| signature(harness, tenant).boxed()),
    ("template", |harness, tenant| template(harness, tenant, "/v3/templates").boxed()),
    ("grant_template", |harness, tenant| template_of_mailbox(harness, tenant).boxed()),
    ("stop", |harness, tenant| stop(harness, tenant).boxed()),
    ("report", |harness, tenant| domain_report(harness, tenant).boxed()),
    ("recovery", |harness, tenant| recovery(harness, tenant).boxed()),
    ("restriction", |harness, tenant| restriction(harness, tenant).boxed()),
];

/// The fixture of an open place: by the segment before it and its name, or by its name alone.
pub fn fixture(before: &str, name: &str) -> Option<&'static str> {
    let both = format!("{before}/{name}");
    let of = |wanted: &str| FIXTURES.iter().find(|(known, _)| *known == wanted).map(|(known, _)| *known);
    of(&both).or_else(|| of(name))
}

async fn owned(id: String) -> Thing {
    Thing::Owned(vec![id])
}

/// Something that has happened: a mailbox was made.
async fn logged(harness: &Harness, tenant: &Tenant) -> Thing {
    one(&harness.ask(&tenant.api_key, "GET", "/v3/events?type=grant.created", None).await.is_ok().data()[0]["id"])
}

/// The first thing of a list, which is made if there is none.
async fn made(harness: &Harness, key: &str, path: &str, body: Value) -> Thing {
    let list = harness.ask(key, "GET", path, None).await;
    if let Some(id) = list.is_ok().data()[0].get("id") {
        return one(id);
    }
    one(&harness.ask(key, "POST", path, Some(&body)).await.is_ok().data()["id"])
}

/// A folder that the mailbox made.
async fn folder(harness: &Harness, tenant: &Tenant) -> Thing {
    let path = format!("/v3/grants/agent@{}/folders", tenant.domain);
    let list = harness.ask(&tenant.api_key, "GET", &path, None).await;
    let own =
        list.is_ok().data().as_array().expect("list").iter().find(|folder| folder["system_folder"] == false).cloned();
    if let Some(folder) = own {
        return one(&folder["id"]);
    }
    one(&harness.ask(&tenant.api_key, "POST", &path, Some(&json!({"name": "f"}))).await.is_ok().data()["id"])
}

/// As [`made`]: rules are listed one step further in.
async fn rule(harness: &Harness, tenant: &Tenant) -> Thing {
    let list = harness.ask(&tenant.api_key, "GET", "/v3/rules", None).await;
    if let Some(id) = list.is_ok().data()["items"][0].get("id") {
        return one(id);
    }
    let body = json!({"name": "r", "actions": [{"type": "block"}],
        "match": {"conditions": [{"field": "from.tld", "operator": "is", "value": "example"}]}});
    one(&harness.ask(&tenant.api_key, "POST", "/v3/rules", Some(&body)).await.is_ok().data()["id"])
}

/// A list with an item.
async fn list(harness: &Harness, tenant: &Tenant) -> Thing {
    let new = json!({"name": "l", "type": "domain"});
    let list = made(harness, &tenant.api_key, "/v3/lists", new).await;
    let path = format!("/v3/lists/{}/items", list.name());
    let items = json!({"items": [tenant.domain.to_string()]});
    harness.ask(&tenant.api_key, "POST", &path, Some(&items)).await.is_ok();
    list
}

async fn import(harness: &Harness, tenant: &Tenant) -> Thing {
    let path = format!("/v3/grants/{}/imports", grant(harness, tenant).await.name());
    made(harness, &tenant.api_key, &path, json!({})).await
}

/// A send that a rule holds.
async fn hold(harness: &Harness, tenant: &Tenant) -> Thing {
    let path = format!("/v3/grants/{}/holds", grant(harness, tenant).await.name());
    let ask = async |method, path: &str, body: Option<&Value>| harness.ask(&tenant.api_key, method, path, body).await;
    if let Some(id) = ask("GET", &path, None).await.is_ok().data()[0].get("id") {
        return one(id);
    }
    let rule = json!({"name": "h", "trigger": "outbound", "actions": [{"type": "hold"}],
        "match": {"conditions": [{"field": "recipient.domain", "operator": "is", "value": "hold.example"}]}});
    let rule = ask("POST", "/v3/rules", Some(&rule)).await.is_ok().data()["id"].clone();
    let workspace = format!("/v3/workspaces/{}", tenant.workspace_id);
    let mut rules = ask("GET", &workspace, None).await.data()["rule_ids"].as_array().expect("ids").clone();
    rules.push(rule);
    ask("PATCH", &workspace, Some(&json!({"rule_ids": rules}))).await.is_ok();
    let body = json!({"to": [{"email": "ada@hold.example"}], "subject": "Held"});
    let sent = ask("POST", &path.replace("/holds", "/messages/send"), Some(&body)).await;
    one(&sent.is_ok().json["hold"]["id"])
}

/// A stop of a domain that nobody sends from.
async fn stop(harness: &Harness, tenant: &Tenant) -> Thing {
    let subject = format!("stopped.{}", tenant.domain);
    let body = json!({"scope": "domain", "subject": subject, "reason": "a fixture"});
    one(&harness.ask(&tenant.api_key, "POST", "/v3/stops", Some(&body)).await.is_ok().data()["id"])
}

/// A restriction of such a domain, by the installation's operator, who is neither of the tenants.
async fn restriction(harness: &Harness, tenant: &Tenant) -> Thing {
    let platform = &harness.world.platform;
    let now = platform.clock.now();
    let command = RaiseStop {
        id: StopId::new(now, platform.entropy.ten()),
        act: Act::of_command_line(AuditId::new(now, platform.entropy.ten()), tenant.organization_id, now),
        event_id: EventId::new(now, platform.entropy.ten()),
        kind: StopKind::Restriction,
        scope: Scope::Domain,
        subject: format!("restricted.{}", tenant.domain),
        within: Within::Operator(organizations::Scope::All),
        reason: "a fixture".to_owned(),
        reference: None,
    };
    match platform.store.run(command).await.expect("raise") {
        RaiseOutcome::InForce(record, _) => Thing::Owned(vec![record.stop.id.to_string()]),
        RaiseOutcome::NoSubject => panic!("no domain"),
    }
}

/// A case of a mailbox that was paused when it was opened.
/// What another server reports about the domain.
async fn domain_report(harness: &Harness, tenant: &Tenant) -> Thing {
    let to = format!("domain-reports@{}", tenant.domain);
    let report = by_mail("text/xml", &dmarc("fixture", tenant.domain.as_str()));
    harness.world.receive("r@big.test", &to, report).await.expect("taken");
    let path = format!("/v3/domains/{}/reports", tenant.domain);
    one(&harness.ask(&tenant.operator_key, "GET", &path, None).await.is_ok().data()[0]["id"])
}

async fn recovery(harness: &Harness, tenant: &Tenant) -> Thing {
    let id = grant(harness, tenant).await.name().to_owned();
    let path = format!("/v3/grants/{id}/recoveries");
    let list = harness.ask(&tenant.api_key, "GET", &path, None).await;
    if let Some(id) = list.is_ok().data()[0].get("id") {
        return one(id);
    }
    let grant = id.parse().expect("id");
    recoveries::pause(harness, tenant, grant).await;
    let body = json!({"cause": "a fixture", "fix": "none"});
    let made = harness.ask(&tenant.api_key, "POST", &path, Some(&body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    recoveries::unpause(harness, tenant, grant).await;
    one(&made.json["data"]["id"])
}

/// A suppressed address.
async fn suppressed(harness: &Harness, tenant: &Tenant) -> Thing {
    let address = format!("gone@from.{}", tenant.domain);
    harness.ask(&tenant.api_key, "POST", "/v3/suppressions", Some(&json!({"address": address}))).await.is_ok();
    Thing::Owned(vec![address.clone(), address.to_uppercase(), address.replace('@', "%40")])
}

/// Somebody who was asked.
async fn opt_in(harness: &Harness, tenant: &Tenant) -> Thing {
    let list = harness.ask(&tenant.api_key, "GET", "/v3/opt-ins", None).await;
    if let Some(id) = list.is_ok().data()[0].get("id") {
        return one(id);
    }
    let path = format!("/v3/grants/agent@{}/opt-ins", tenant.domain);
    let body = json!({"email": "ada@sender.test", "purpose": "News"});
    one(&harness.ask(&tenant.api_key, "POST", &path, Some(&body)).await.is_ok().data()["id"])
}

async fn domain(harness: &Harness, tenant: &Tenant) -> Thing {
    let list = harness.ask(&tenant.operator_key, "GET", "/v3/domains", None).await;
    let id = list.is_ok().data()[0]["id"].as_str().expect("id").to_owned();
    Thing::Owned(vec![id, tenant.domain.to_string()])
}

async fn connector(harness: &Harness, tenant: &Tenant) -> Thing {
    if harness.ask(&tenant.api_key, "GET", "/v3/connectors/nylas", None).await.status == 404 {
        let body = json!({"provider": "nylas"});
        harness.ask(&tenant.api_key, "POST", "/v3/connectors", Some(&body)).await.is_ok();
    }
    Thing::Shared("nylas".to_owned())
}

async fn redirect_uri(harness: &Harness, tenant: &Tenant) -> Thing {
    let body = json!({"url": "https://app.test/back"});
    made(harness, &tenant.api_key, "/v3/applications/redirect-uris", body).await
}

async fn application_key(harness: &Harness, tenant: &Tenant) -> Thing {
    let path = format!("/v3/admin/applications/{}/api-keys", tenant.application_id);
    made(harness, &tenant.operator_key, &path, json!({"name": "k"})).await
}

async fn account(harness: &Harness, tenant: &Tenant) -> Thing {
    made(harness, &tenant.operator_key, "/v3/admin/service-accounts", json!({"name": "a"})).await
}

/// A job that moves nothing.
async fn job(harness: &Harness, tenant: &Tenant) -> Thing {
    let list = harness.ask(&tenant.api_key, "GET", "/v3/jobs", None).await;
    if let Some(id) = list.data()[0].get("id") {
        return one(id);
    }
    let assignment = json!({"workspace_id": tenant.workspace_id.to_string(), "match": {"email_contains": "nobody"}});
    let layout = json!({"assignments": [assignment], "dry_run": false});
    one(&harness.ask(&tenant.api_key, "POST", "/v3/workspaces/layout", Some(&layout)).await.is_ok().data()["job_id"])
}

/// The tenant's mailbox `agent`.
async fn grant(harness: &Harness, tenant: &Tenant) -> Thing {
    let address = format!("agent@{}", tenant.domain);
    let answer = harness.ask(&tenant.api_key, "GET", &format!("/v3/grants/{address}"), None).await;
    let id = answer.is_ok().data()["id"].as_str().expect("id").to_owned();
    Thing::Owned(vec![id.clone(), format!("grant:{id}"), address.clone(), format!("email:{address}")])
}

/// Something of the one message in that mailbox.
async fn message(harness: &Harness, tenant: &Tenant, id: fn(&Value) -> &Value) -> Thing {
    let address = format!("agent@{}", tenant.domain);
    let path = format!("/v3/grants/{address}/messages");
    let list = async || harness.ask(&tenant.api_key, "GET", &path, None).await.is_ok().data().clone();
    if list().await == json!([]) {
        let file = format!(
            "From: a@sender.test\r\nTo: {address}\r\nMIME-Version: 1.0\r\nContent-Type: application/pdf\r\n\
             Content-Disposition: attachment; filename=a.pdf\r\n\r\nx\r\n"
        );
        harness.world.receive("a@sender.test", &address, file).await.expect("accepted");
    }
    one(id(&list().await[0]))
}

/// A message on its way out.
async fn queued(harness: &Harness, tenant: &Tenant) -> Thing {
    let list = harness.ask(&tenant.api_key, "GET", "/v3/queue", None).await;
    if let Some(id) = list.is_ok().data()[0].get("id") {
        return one(id);
    }
    let path = format!("/v3/grants/agent@{}/messages/send", tenant.domain);
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "s", "body": "b"});
    one(&harness.ask(&tenant.api_key, "POST", &path, Some(&body)).await.is_ok().data()["id"])
}

/// A send that came by the message bus and was refused.
async fn parked(harness: &Harness, tenant: &Tenant) -> Thing {
    let list = harness.ask(&tenant.api_key, "GET", "/v3/bus/parked", None).await;
    if let Some(id) = list.is_ok().data()[0].get("id") {
        return one(id);
    }
    one(&json!(bus::park(harness, tenant, "{}").await))
}

async fn alert_rule(harness: &Harness, tenant: &Tenant) -> Thing {
    let body = json!({"metric": "bounce_rate", "threshold": 0.05});
    made(harness, &tenant.api_key, "/v3/alerts/send", body).await
}

async fn signature(harness: &Harness, tenant: &Tenant) -> Thing {
    let path = format!("/v3/grants/agent@{}/signatures", tenant.domain);
    let list = harness.ask(&tenant.api_key, "GET", &path, None).await;
    if let Some(id) = list.is_ok().data()[0].get("id") {
        return one(id);
    }
    let answer = harness.ask(&tenant.api_key, "POST", &path, Some(&json!({"name": "s", "body": "<p>s</p>"}))).await;
    assert_eq!(answer.status, 201);
    one(&answer.data()["id"])
}

async fn template(harness: &Harness, tenant: &Tenant, path: &str) -> Thing {
    made(harness, &tenant.api_key, path, json!({"name": "t", "subject": "s", "body": "b"})).await
}

async fn template_of_mailbox(harness: &Harness, tenant: &Tenant) -> Thing {
    template(harness, tenant, &format!("/v3/grants/agent@{}/templates", tenant.domain)).await
}

/// What became of that.
async fn activity(harness: &Harness, tenant: &Tenant) -> Thing {
    queued(harness, tenant).await;
    one(&harness.ask(&tenant.api_key, "GET", "/v3/activity/send", None).await.is_ok().data()[0]["id"])
}

/// Where that goes; everybody who writes there sees their own part of it.
async fn destination(harness: &Harness, tenant: &Tenant) -> Thing {
    queued(harness, tenant).await;
    Thing::Shared("sender.test".to_owned())
}

async fn draft(harness: &Harness, tenant: &Tenant) -> Thing {
    let path = format!("/v3/grants/agent@{}/drafts", tenant.domain);
    made(harness, &tenant.api_key, &path, json!({"subject": "Draft"})).await
}

/// A send that waits for a day.
async fn schedule(harness: &Harness, tenant: &Tenant) -> Thing {
    let path = format!("/v3/grants/agent@{}/messages", tenant.domain);
    let list = harness.ask(&tenant.api_key, "GET", &format!("{path}/schedules"), None).await;
    if let Some(id) = list.is_ok().data()[0].get("schedule_id") {
        return one(id);
    }
    let send_at = harness.world.platform.clock.now().as_seconds() + 86_400;
    let body = json!({"to": [{"email": "a@b.test"}], "send_at": send_at});
    one(&harness.ask(&tenant.api_key, "POST", &format!("{path}/send"), Some(&body)).await.is_ok().data()["schedule_id"])
}

/// A raise that was asked for, of a mailbox that a policy limits.
async fn raise(harness: &Harness, tenant: &Tenant) -> Thing {
    let list = harness.ask(&tenant.api_key, "GET", "/v3/raises", None).await;
    if let Some(id) = list.is_ok().data()[0].get("id") {
        return one(id);
    }
    let ask = async |path: &str, body: Value| {
        harness.ask(&tenant.api_key, "POST", path, Some(&body)).await.is_ok().data().clone()
    };
    let policy = ask("/v3/policies", json!({"name": "low", "limits": {"limit_count_daily_email_sent": 1}})).await;
    let workspace = ask("/v3/workspaces", json!({"name": "low", "policy_id": policy["id"]})).await;
    let path = format!("/v3/workspaces/{}/raises", workspace["workspace_id"].as_str().expect("id"));
    let ends_at = harness.world.platform.clock.now().as_seconds() + 86_400;
    one(&ask(&path, json!({"value": 5, "ends_at": ends_at, "reason": "campaign"})).await["id"])
}

async fn alert(harness: &Harness, tenant: &Tenant) -> Thing {
    let from = format!("agent@{}", tenant.domain);
    let body = json!({"type": "email", "email": "ops@elsewhere.test", "from_grant_id": from});
    made(harness, &tenant.api_key, "/v3/alerts", body).await
}

async fn pool(harness: &Harness, tenant: &Tenant) -> Thing {
    let member = grant(harness, tenant).await.name().to_owned();
    let body = json!({"name": "Pool", "grant_ids": [member]});
    made(harness, &tenant.api_key, "/v3/sender-pools", body).await
}

async fn webhook(harness: &Harness, tenant: &Tenant) -> Thing {
    let list = harness.ask(&tenant.api_key, "GET", "/v3/webhooks", None).await;
    if let Some(id) = list.data()[0].get("id") {
        return one(id);
    }
    // It is needed for the challenge alone.
    let receiver: FakeHttp = receiver().await;
    let new = json!({"trigger_types": ["message.created"], "webhook_url": receiver.url("/")});
    one(&harness.ask(&tenant.api_key, "POST", "/v3/webhooks", Some(&new)).await.is_ok().data()["id"])
}

async fn replay(harness: &Harness, tenant: &Tenant) -> Thing {
    let webhook = webhook(harness, tenant).await.name().to_owned();
    let path = format!("/v3/webhooks/{webhook}/replay");
    let body = json!({"since": 0});
    one(&harness.ask(&tenant.api_key, "POST", &path, Some(&body)).await.is_ok().data()["id"])
}

/// One that nobody took: the receiver is gone. Each webhook counts its own.
async fn webhook_attempt(harness: &Harness, tenant: &Tenant) -> Thing {
    let webhook = webhook(harness, tenant).await.name().to_owned();
    let agent = format!("agent@{}", tenant.domain);
    harness.world.receive("a@b.test", &agent, "Subject: x\r\n\r\nHello").await.expect("taken");
    let platform = &harness.world.platform;
    for mut hook in webhooks::lease(platform).await.expect("lease") {
        if hook.reader().to_string() == webhook {
            webhooks::round(platform, &mut hook).await.expect("round");
        }
    }
    Thing::Shared("1".to_owned())
}

fn one(id: &Value) -> Thing {
    Thing::Owned(vec![id.as_str().expect("id").to_owned()])
}
