//! Things for every name that a path may have open: how a tenant gets one. Tests that hold for all routes make them for
//! two tenants and ask for the one with the key of the other.

use crate::support::{Harness, receiver};
use futures::FutureExt;
use futures::future::BoxFuture;
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

/// How to make what a path may name. A name in a path that is not here fails `isolation.rs`: add a function for it.
pub const FIXTURES: &[(&str, Make)] = &[
    ("grant", |harness, tenant| grant(harness, tenant).boxed()),
    ("message", |harness, tenant| message(harness, tenant, |message| &message["id"]).boxed()),
    ("thread", |harness, tenant| message(harness, tenant, |message| &message["thread_id"]).boxed()),
    ("attachment", |harness, tenant| message(harness, tenant, |message| &message["attachments"][0]["id"]).boxed()),
    ("folder", |_, _| async { Thing::Shared("inbox".to_owned()) }.boxed()),
    ("webhook", |harness, tenant| webhook(harness, tenant).boxed()),
];

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

fn one(id: &Value) -> Thing {
    Thing::Owned(vec![id.as_str().expect("id").to_owned()])
}
