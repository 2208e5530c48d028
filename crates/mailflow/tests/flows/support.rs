//! What the flows are asked, and where their effects are looked at.

use postfleet_core::Problem;
use postfleet_fleet::{rules, workspaces};
use postfleet_mail::Participant;
use postfleet_mailbox::messages::{self, Filter, PageRequest, Shown};
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::deliver;
use postfleet_mailflow::submit::{Outgoing, Sent, send};
use postfleet_schema::message::Message;
use postfleet_store::events;
use postfleet_store::grants::Grant;
use postfleet_testkit::smtp::FakeSmtp;
use postfleet_testkit::world::{NewTenant, Tenant, World, WorldOptions};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A world whose mail to other domains goes to `peer`, with an organization and a mailbox.
pub struct Setting {
    pub world: World,
    pub tenant: Tenant,
    pub agent: Grant,
    probes: AtomicUsize,
}

impl Setting {
    pub async fn new(peer: &FakeSmtp) -> Self {
        Self::with(WorldOptions { mx_port: peer.address().port(), ..WorldOptions::default() }).await
    }

    pub async fn with(options: WorldOptions) -> Self {
        let world = World::with(options).await;
        let tenant = world.tenant(NewTenant { daily_sends_max: Some(100), ..NewTenant::of("acme.test") }).await;
        let agent = world.mailbox(&tenant, "agent").await;
        Self::of(world, tenant, agent)
    }

    pub fn of(world: World, tenant: Tenant, agent: Grant) -> Self {
        Self { world, tenant, agent, probes: AtomicUsize::new(0) }
    }

    /// Submits a message to some recipients.
    pub async fn send(&self, to: &[&str]) -> Result<Sent, Problem> {
        let person = |email: &&str| Participant { name: String::new(), email: (*email).to_owned() };
        let outgoing = Outgoing {
            to: to.iter().map(person).collect(),
            subject: "Hello".to_owned(),
            body: "<p>Hi</p>".to_owned(),
            ..Outgoing::default()
        };
        send(&self.world.platform, &self.agent, outgoing).await
    }

    /// Sends of the day that are counted, found out by one more.
    pub async fn sends_counted(&self) -> u64 {
        // Each time to somebody else: who is not there is not written to twice.
        let number = self.probes.fetch_add(1, Ordering::Relaxed);
        self.send(&[&format!("probe{number}@null.test")]).await.expect("accepted").daily.used - 1
    }

    /// Makes the one rule for what comes in.
    pub async fn inbound_rule(&self, condition: Value, action: &str) {
        let (store, entropy) = (&self.world.platform.store, &*self.world.platform.entropy);
        let (application, workspace) = (self.tenant.application_id, self.tenant.workspace_id);
        let rule = json!({"name": "rule", "match": {"conditions": [condition]}, "actions": [{"type": action}]});
        let rule = serde_json::from_value(rule).expect("rule");
        let made = rules::create(store, entropy, self.world.act(&self.tenant), application, rule).await.expect("made");
        let used = json!({"rule_ids": [made.named.rule.id.to_string()]});
        let used = serde_json::from_value(used).expect("request");
        let act = self.world.act(&self.tenant);
        workspaces::update(store, act, application, workspace, &used).await.expect("used");
    }

    /// Messages in a folder, newest first.
    pub async fn folder(&self, grant: &Grant, folder: &str) -> Vec<Message> {
        let filter = Filter { folders: vec![folder.to_owned()], ..Filter::default() };
        let request = PageRequest { limit: 100, cursor: None, fields: Fields::IncludeHeaders, with_body: true };
        let list = messages::list(&self.world.platform.store, grant.id, &filter, &request).await;
        match list.expect("list").0 {
            Shown::Messages(messages) => messages,
            Shown::Raw(_) => unreachable!("headers were asked for"),
        }
    }

    pub async fn inbox(&self) -> Vec<Message> {
        self.folder(&self.agent, "inbox").await
    }

    /// Events about messages with that name, as their facts.
    pub async fn events(&self, name: &str) -> Vec<Value> {
        let mut reader = self.world.platform.store.reader().await.expect("reader");
        let events = events::after(&mut reader, 0, 10_000).await.expect("events");
        let named = events.into_iter().filter(|event| event.event.trigger.name() == name);
        named.map(|event| serde_json::from_str(&event.event.data).expect("facts")).collect()
    }

    /// What was last said, or went wrong, about the newest waiting message for a recipient.
    pub async fn last_reply(&self, recipient: &str) -> String {
        let mut reader = self.world.platform.store.reader().await.expect("reader");
        const LAST: &str = "SELECT last_reply FROM queue WHERE recipient = $1 ORDER BY id DESC LIMIT 1";
        let row = reader.query_one(LAST, postfleet_store::params![recipient]).await.expect("read");
        row.expect("queued").text(0).expect("attempted")
    }

    /// Seconds until something is due.
    pub async fn due_in(&self) -> Option<u64> {
        let due = deliver::next_due(&self.world.platform).await.expect("queue");
        due.map(|due| due.since(self.world.platform.clock.now()).as_micros().div_ceil(1_000_000) as u64)
    }

    /// Lets time pass until something is due, and attempts it.
    pub async fn attempt_next(&self) {
        let wait = self.due_in().await.expect("something is queued");
        self.world.advance(wait);
        assert!(self.world.deliver_due().await > 0, "nothing was due");
    }
}
