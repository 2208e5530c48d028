//! The visible round trip: one message in, one message out, each step with its time, through the public interfaces
//! alone.

use super::simulation::{self, RECIPIENTS};
use super::{Addresses, DOMAIN};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use postfleet_core::EmailAddress;
use postfleet_fleet::organizations::Created;
use postfleet_mailflow::Platform;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the tour needs.
pub struct Tour<'a> {
    pub platform: &'a Platform,
    pub created: &'a Created,
    pub addresses: Addresses,
    /// With which a mail client signs in to the first mailbox.
    pub password: String,
    pub stop: CancellationToken,
}

impl Tour<'_> {
    /// Takes the tour and prints it.
    pub async fn run(&self) -> Result<()> {
        println!("\npostfleet dev: a round trip of mail, through the real interfaces\n");
        let mut clock = Stopwatch::start();
        let support = self.create_mailbox("support", "Support agent", Some(&self.password)).await?;
        self.create_mailbox("research", "Research agent", None).await?;
        clock.step(&format!("mailboxes support@{DOMAIN} and research@{DOMAIN} made (POST /v3/connect/custom)"));
        let mut notifications = self.subscribe().await?;
        clock.step("webhook made; its receiver echoed the challenge (POST /v3/webhooks)");

        self.mail_in().await?;
        clock.step("SMTP: mail from ada@sim.test accepted, on stable storage (250)");
        let created = next(&mut notifications, "message.created").await?;
        clock.step("webhook: message.created delivered, signed");
        let id = created["data"]["object"]["id"].as_str().context("the notification has no message id")?.to_owned();
        let read = self.get(&format!("/v3/grants/{support}/messages/{id}")).await?;
        clock.step(&format!("API: message read: {}", read["data"]["subject"]));

        let reply = json!({"to": [{"email": "ok@sim.test"}], "subject": "Re: Opening hours",
            "body": "<p>We are open from 9 to 17.</p>", "reply_to_message_id": id});
        let sent = self.post(&format!("/v3/grants/{support}/messages/send"), &reply).await?;
        ensure!(sent["data"]["thread_id"] == read["data"]["thread_id"], "the reply left its thread");
        clock.step("API: reply accepted: quota taken, sent copy stored, queued (200)");
        next(&mut notifications, "message.delivered").await?;
        clock.step("delivered to ok@sim.test over SMTP, signed with RSA and Ed25519; webhook: message.delivered");
        println!();
        Ok(())
    }

    async fn create_mailbox(&self, name: &str, display_name: &str, password: Option<&str>) -> Result<String> {
        let settings = json!({"email": format!("{name}@{DOMAIN}"), "app_password": password});
        let body = json!({"provider": "nylas", "name": display_name, "settings": settings});
        let grant = self.post("/v3/connect/custom", &body).await?;
        Ok(grant["data"]["id"].as_str().context("the grant has no id")?.to_owned())
    }

    /// Starts a receiver and subscribes it.
    async fn subscribe(&self) -> Result<UnboundedReceiver<Value>> {
        let (sender, notifications) = tokio::sync::mpsc::unbounded_channel();
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", socket.local_addr()?);
        let (clock, stop) = (self.platform.clock.clone(), self.stop.clone());
        tokio::spawn(postfleet_api::serve(socket, postfleet_api::sink::router(sender), clock, 64, stop));
        let triggers = json!(["message.created", "message.delivered", "message.bounced"]);
        self.post("/v3/webhooks", &json!({"trigger_types": triggers, "webhook_url": url})).await?;
        Ok(notifications)
    }

    async fn mail_in(&self) -> Result<()> {
        let to = EmailAddress::parse(&format!("support@{DOMAIN}"))?;
        let message = format!(
            "From: Ada <ada@sim.test>\r\nTo: {to}\r\nSubject: Opening hours\r\nMessage-ID: <hours@sim.test>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello,\r\nwhen are you open?\r\n"
        );
        simulation::send(self.addresses.smtp, "ada@sim.test", &to, message.into_bytes()).await?;
        Ok(())
    }

    /// Says how to go on.
    pub fn invite(&self) {
        let key = self.created.api_key.expose();
        let Addresses { http, smtp, submission, submissions } = self.addresses;
        let password = &self.password;
        println!("The server stays up until Ctrl-C; everything is gone then.\n");
        println!("  API base URL  http://{http}");
        println!("  API key       {key}");
        println!("  SMTP          {smtp}");
        println!("  Submission    {submission} (STARTTLS), {submissions} (TLS)");
        println!("  Mail client   support@{DOMAIN}, password {password}\n");
        println!("Read the mailbox:\n");
        println!(
            "  curl -s -H 'Authorization: Bearer {key}' 'http://{http}/v3/grants/support@{DOMAIN}/messages?limit=5'\n"
        );
        println!("Send, and watch it bounce into the inbox:\n");
        println!("  curl -s -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\");
        println!(
            "    -d '{{\"to\":[{{\"email\":\"hardbounce@sim.test\"}}],\"subject\":\"Hello\",\"body\":\"Hi\"}}' \\"
        );
        println!("    'http://{http}/v3/grants/support@{DOMAIN}/messages/send'\n");
        println!("Send as a mail client does (the certificate is self-signed):\n");
        println!(
            "  printf 'From: support@{DOMAIN}\\r\\nTo: ok@sim.test\\r\\nSubject: Hello\\r\\n\\r\\nHi.\\r\\n' | \\"
        );
        println!("    curl -s --insecure --user 'support@{DOMAIN}:{password}' --mail-from support@{DOMAIN} \\");
        println!("    --mail-rcpt ok@sim.test --upload-file - smtps://{submissions}\n");
        println!("Send mail in:\n");
        println!("  printf 'From: ada@sim.test\\r\\nSubject: Hello\\r\\n\\r\\nHello from outside.\\r\\n' | \\");
        println!("    curl -s --mail-from ada@sim.test --mail-rcpt support@{DOMAIN} --upload-file - smtp://{smtp}\n");
        println!("What recipients at sim.test do:\n");
        for (name, behaviour) in RECIPIENTS {
            println!("  {:<22}{behaviour}", format!("{name}@sim.test"));
        }
        println!();
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.platform.http.get(&self.url(path), &self.headers(), PATIENCE).await?;
        read(path, answer)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let body = Bytes::from(body.to_string());
        let answer = self.platform.http.post(&self.url(path), &self.headers(), body, PATIENCE).await?;
        read(path, answer)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.http)
    }

    fn headers(&self) -> [(&'static str, String); 2] {
        let key = format!("Bearer {}", self.created.api_key.expose());
        [("authorization", key), ("content-type", "application/json".to_owned())]
    }
}

fn read(path: &str, answer: postfleet_net::webhook_http::HttpAnswer) -> Result<Value> {
    let text = String::from_utf8_lossy(&answer.body_prefix);
    ensure!((200..300).contains(&answer.status), "{path} answered {}: {text}", answer.status);
    serde_json::from_str(&text).with_context(|| format!("{path} did not answer JSON"))
}

/// The next notification of a kind; others are passed over.
async fn next(notifications: &mut UnboundedReceiver<Value>, kind: &str) -> Result<Value> {
    let wanted = async {
        loop {
            let notification = notifications.recv().await?;
            let is_inbound = notification["data"]["object"]["direction"] != "outbound";
            if notification["type"] == kind && is_inbound {
                return Some(notification);
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, wanted).await.with_context(|| format!("no {kind} came"))?;
    found.context("the receiver has ended")
}

/// Prints steps with the time since the one before.
struct Stopwatch(tokio::time::Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    fn step(&mut self, text: &str) {
        println!("  {:>8.1} ms  {text}", self.0.elapsed().as_secs_f64() * 1_000.0);
        self.0 = tokio::time::Instant::now();
    }
}
