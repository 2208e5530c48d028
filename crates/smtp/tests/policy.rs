//! What a sender's server is told over the wire when rules or limits do not let its mail in.

mod support;

use postfleet_fleet::{policies, rules, workspaces};
use postfleet_net::{TlsIdentity, tls};
use postfleet_smtp::mx::Mx;
use postfleet_smtp::{Encryption, Limits, Listener};
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx};
use postfleet_testkit::world::{NewTenant, Tenant, World};
use postfleet_wire::smtp::server;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::Client;
use tokio::io::BufStream;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A running listener for the mailbox `agent@acme.test`, whose workspace has a policy.
struct Server {
    world: World,
    tenant: Tenant,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Server {
    async fn start() -> Self {
        let world = World::new().await;
        let tenant = world.tenant(NewTenant { daily_sends_max: Some(100), ..NewTenant::of("acme.test") }).await;
        world.mailbox(&tenant, "agent").await;
        let identity = TlsIdentity::load_or_create(world.folder(), &["mx.world.test".to_owned()]).expect("certificate");
        let hour = Duration::from_secs(3_600);
        let listener = Listener {
            config: Arc::new(server::Config {
                service: server::Service::Mx,
                hostname: "mx.world.test".into(),
                limits: server::Limits::default(),
                starttls: true,
            }),
            limits: Arc::new(Limits { idle: hour, session: hour, ..Limits::default() }),
            handler: Arc::new(Mx(world.platform.clone())),
            encryption: Encryption::OnRequest(tls::server_config(&identity).expect("TLS").into()),
            clock: Arc::new(world.clock.clone()),
            metrics: world.platform.metrics.clone(),
        };
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = socket.local_addr().expect("bound");
        let stop = CancellationToken::new();
        tokio::spawn(listener.serve(socket, stop.clone()));
        Self { world, tenant, address, stop }
    }

    /// Sends a message in a session of its own: what is said to the recipient, and to the message if it came to that.
    async fn send(&self, sender: &str, author: &str) -> [String; 2] {
        let mut client = Client(BufStream::new(TcpStream::connect(self.address).await.expect("connected")));
        client.reply().await;
        for line in ["EHLO client.test".to_owned(), format!("MAIL FROM:<{sender}>")] {
            let reply = client.ask(&line).await;
            assert!(reply.starts_with("250"), "{line}: {reply}");
        }
        let rcpt = client.ask("RCPT TO:<agent@acme.test>").await;
        let mut data = String::new();
        if rcpt.starts_with("250") {
            assert!(client.ask("DATA").await.starts_with("354"));
            data = client.ask(&format!("From: {author}\r\nSubject: x\r\n\r\nHi\r\n.")).await;
        }
        assert!(client.ask("QUIT").await.starts_with("221") && client.is_closed().await);
        [rcpt, data]
    }

    async fn rule(&self, condition: Value) {
        let (store, entropy) = (&self.world.platform.store, &*self.world.platform.entropy);
        let rule = json!({"name": "rule", "match": {"conditions": [condition]}, "actions": [{"type": "block"}]});
        let rule = serde_json::from_value(rule).expect("rule");
        let (act, application) = (self.world.act(&self.tenant), self.tenant.application_id);
        let made = rules::create(store, entropy, act, application, rule).await.expect("made");
        let workspace = self.tenant.workspace_id;
        let used = serde_json::from_value(json!({"rule_ids": [made.named.rule.id.to_string()]})).expect("request");
        workspaces::update(store, self.world.act(&self.tenant), application, workspace, &used).await.expect("used");
    }

    async fn limit(&self, limits: Value) {
        let (store, application) = (&self.world.platform.store, self.tenant.application_id);
        let (list, _) = policies::list(store, application, 1, None).await.expect("policies");
        let change = serde_json::from_value(json!({ "limits": limits })).expect("request");
        let id = list.first().expect("one").policy.id;
        policies::update(store, self.world.act(&self.tenant), application, id, change).await.expect("changed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Makes lookups in lists fail.
struct Break;

impl Command for Break {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.execute("ALTER TABLE list_items RENAME TO gone", &[]).await.map(drop)
    }
}

#[tokio::test]
async fn a_rule_is_told_at_rcpt_and_after_the_message_and_what_cannot_be_decided_comes_again() {
    let server = Server::start().await;
    server.rule(json!({"field": "from.domain", "operator": "is", "value": "bad.test"})).await;
    let blocked = "550 5.7.1 not accepted by policy";
    assert_eq!(server.send("eve@bad.test", "eve@good.test").await, [blocked, ""]);
    for sender in ["list@good.test", ""] {
        let [rcpt, data] = server.send(sender, "eve@bad.test").await;
        assert_eq!((rcpt.starts_with("250"), data.as_str()), (true, blocked), "{sender:?}");
    }
    let [_, data] = server.send("list@good.test", "ada@good.test").await;
    assert!(data.starts_with("250 2.6.0"), "{data}");

    let store = &server.world.platform.store;
    let list = serde_json::from_value(json!({"name": "Bad", "type": "domain"})).expect("list");
    let (act, application) = (server.world.act(&server.tenant), server.tenant.application_id);
    let entropy = &*server.world.platform.entropy;
    let list = postfleet_fleet::lists::create(store, entropy, act, application, list).await.expect("made");
    server.rule(json!({"field": "from.domain", "operator": "in_list", "value": [list.id.to_string()]})).await;
    store.run(Break).await.expect("break");
    let later = "451 4.7.1 policy cannot be evaluated now, try again later";
    assert_eq!(server.send("ada@good.test", "ada@good.test").await, [later, ""]);
    let [rcpt, data] = server.send("", "ada@good.test").await;
    assert_eq!((rcpt.starts_with("250"), data.as_str()), (true, later));
}

#[tokio::test]
async fn each_limit_has_its_reply() {
    let server = Server::start().await;
    let [_, data] = server.send("ada@good.test", "ada@good.test").await;
    assert!(data.starts_with("250"), "{data}");
    for (limits, at_rcpt, reply) in [
        (json!({"limit_size_total_mime": 20}), false, "552 5.3.4 message too large"),
        (
            json!({"limit_size_total_mime": null, "limit_count_daily_message_received": 1}),
            true,
            "452 4.2.2 mailbox takes no more for now, try again later",
        ),
        (
            json!({"limit_count_daily_message_received": null, "limit_storage_total": 10}),
            true,
            "452 4.2.2 mailbox full",
        ),
    ] {
        server.limit(limits).await;
        let [rcpt, data] = server.send("ada@good.test", "ada@good.test").await;
        assert_eq!(if at_rcpt { rcpt } else { data }, reply);
    }
}
