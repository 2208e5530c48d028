//! A simulated internet: one SMTP server that stands for all of them. What it does with a message depends on the
//! recipient's name.

use crate::config::{Config, Smtp};
use crate::roles;
use anyhow::Result;
use futures::future::BoxFuture;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use postfleet_core::{EmailAddress, ReversePath};
use postfleet_mailflow::Metrics;
use postfleet_mailflow::receive::{Arriving, Offer};
use postfleet_net::mx_transport::{MxTransport, MxTransportConfig, Target, TlsRule};
use postfleet_net::{Clock, SystemClock};
use postfleet_smtp::{Encryption, Handler, Listener, Peer};
use postfleet_wire::smtp::client::Transaction;
use postfleet_wire::smtp::reply::{Reply, Severity};
use postfleet_wire::smtp::server::{self, Envelope};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the names do, for people.
pub const RECIPIENTS: &[(&str, &str)] = &[
    ("ok", "accepts"),
    ("hardbounce", "does not exist: 550 5.1.1"),
    ("softbounce", "fails for now, every time: 451 4.3.0"),
    ("greylist", "asks to come back, and accepts the second time: 451 4.7.1"),
    ("slow", "takes five seconds to accept"),
    ("full", "has a full mailbox: 452 4.2.2"),
    ("complain", "accepts, and sends a complaint back (RFC 5965)"),
];

/// The largest message that it takes.
const OCTETS_MAX: u64 = 100 << 20;

/// How long `slow` takes.
const SLOW: Duration = Duration::from_secs(5);

/// The running simulation.
pub struct Simulation {
    pub port: u16,
    internet: Arc<Internet>,
}

impl Simulation {
    /// Tells it where the server under trial receives, so that it can send mail back.
    pub fn knows_platform(&self, address: SocketAddr) {
        self.internet.platform.get_or_init(|| address);
    }
}

/// Starts the simulated server on a free port.
pub async fn start(stop: CancellationToken) -> Result<Simulation> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let port = socket.local_addr()?.port();
    let internet = Arc::new(Internet { platform: OnceLock::new(), greeted: Mutex::new(HashSet::new()) });
    let smtp: Smtp = Config::load(None, &[])?.smtp;
    let listener = Listener {
        config: Arc::new(server::Config {
            starttls: false,
            ..roles::session_config(&smtp, "mx.sim.test".into(), OCTETS_MAX)
        }),
        limits: Arc::new(roles::limits(&smtp)?),
        handler: internet.clone(),
        encryption: Encryption::None,
        clock: Arc::new(SystemClock),
        // Counted apart from the server under trial.
        metrics: Arc::new(Metrics::new(&SdkMeterProvider::builder().build().meter("simulation"))),
    };
    tokio::spawn(listener.serve(socket, stop));
    Ok(Simulation { port, internet })
}

struct Internet {
    platform: OnceLock<SocketAddr>,
    /// Those whom `greylist` has sent away once.
    greeted: Mutex<HashSet<String>>,
}

impl Handler for Internet {
    fn recipient<'a>(
        &'a self,
        _: &'a Peer,
        _: Offer<'a>,
        address: &'a EmailAddress,
    ) -> BoxFuture<'a, Result<(), Reply>> {
        Box::pin(async move {
            match address.local() {
                "hardbounce" => Err(refuse(Severity::Permanent, 50, (1, 1), "no such user")),
                "softbounce" => Err(refuse(Severity::Transient, 51, (3, 0), "try again later")),
                "full" => Err(refuse(Severity::Transient, 52, (2, 2), "mailbox full")),
                _ => Ok(()),
            }
        })
    }

    fn message<'a>(
        &'a self,
        _: &'a Peer,
        envelope: Envelope,
        message: Vec<u8>,
        _: Option<Arriving>,
    ) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let names: Vec<&str> = envelope.recipients.iter().map(EmailAddress::local).collect();
            if names.contains(&"slow") {
                SystemClock.sleep_until(SystemClock.now().plus(SLOW)).await;
            }
            if names.contains(&"greylist") && self.is_new(&envelope, &message) {
                return refuse(Severity::Transient, 51, (7, 1), "greylisted, please come back");
            }
            if let Some(platform) = self.platform.get().filter(|_| names.contains(&"complain")) {
                tokio::spawn(complain(*platform, envelope));
            }
            Reply::accepted("simulated")
        })
    }
}

impl Internet {
    fn is_new(&self, envelope: &Envelope, message: &[u8]) -> bool {
        let known = format!("{} {}", envelope.reverse_path, message.len());
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner).insert(known)
    }
}

fn refuse(severity: Severity, code: u8, status: (u16, u16), text: &'static str) -> Reply {
    Reply::new(severity, code, Some(status), text)
}

/// Reports a message as spam to whoever sent it, as a mailbox provider's feedback loop would (RFC 5965).
async fn complain(platform: SocketAddr, envelope: Envelope) {
    let ReversePath::Mailbox(sender) = envelope.reverse_path else { return };
    let report = format!(
        "From: feedback@sim.test\r\nTo: {sender}\r\nSubject: Complaint about your message\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=sim\r\n\r\n\
         --sim\r\nContent-Type: text/plain\r\n\r\nThis is a report of abuse about a message of yours.\r\n\
         --sim\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: simulation/1\r\n\
         Version: 1\r\nOriginal-Mail-From: <{sender}>\r\n--sim--\r\n"
    );
    drop(send(platform, "feedback@sim.test", &sender, report.into_bytes()).await);
}

/// Hands a message to the server under trial, as another server would. Answers whether it was accepted.
pub async fn send(platform: SocketAddr, from: &str, to: &EmailAddress, message: Vec<u8>) -> Result<String> {
    use postfleet_wire::smtp::client::RecipientResult;
    let options = MxTransportConfig::new("mx.sim.test");
    let transport = MxTransport::new(options, &[]);
    let transaction = Transaction {
        reverse_path: ReversePath::Mailbox(EmailAddress::parse(from)?),
        recipients: vec![to.clone()],
        message: vec![Arc::new(message)],
        smtputf8: false,
        eight_bit: false,
    };
    let target = Target::new(platform, "localhost", TlsRule::Opportunistic);
    let outcome = transport.deliver(&target, transaction).await.recipients.pop();
    match outcome.map(|outcome| outcome.result) {
        Some(RecipientResult::Accepted(reply)) => Ok(reply.to_string()),
        other => anyhow::bail!("the message was not accepted: {other:?}"),
    }
}
