//! NATS JetStream.

use crate::{Bus, BusError, Expected, LastMessage, Message, Receipt, Stored, Stream, StreamPlan};
use async_nats::connection::State;
use async_nats::jetstream::context::{ContextBuilder, GetStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, ServerAddr};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::future::{Ready, ready};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long NATS may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The longest pause between two attempts to connect.
const RECONNECT_MAX: Duration = Duration::from_secs(4);

/// How to reach NATS.
#[derive(Clone, Debug, Default)]
pub struct NatsOptions {
    /// `nats://host:port` or `tls://host:port`, several with commas between them. User and password, or a token, may stand
    /// before an `@`.
    pub url: String,
    /// A file of credentials (a JWT and its seed), as the tools of NATS make it.
    pub credentials: Option<PathBuf>,
    /// A file of certificates (PEM) that are trusted instead of those of the machine.
    pub tls_ca: Option<PathBuf>,
}

/// A connection to NATS, or the attempts to make one.
#[derive(Debug)]
pub struct Nats {
    client: Client,
    context: Context,
    connection: watch::Receiver<u64>,
}

impl Nats {
    /// Begins to connect, and does so again for ever. It completes at once, whether NATS is there or not; it fails when
    /// the address or a file is not what it should be.
    pub async fn connect(options: &NatsOptions) -> Result<Self, BusError> {
        let refused = |error: &dyn std::fmt::Display| BusError::Refused(error.to_string());
        let (sender, connection) = watch::channel(0);
        let mut connecting = ConnectOptions::new()
            .name("postfleet")
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| {
                let doubled = Duration::from_millis(50).saturating_mul(1 << attempt.min(8));
                doubled.min(RECONNECT_MAX)
            })
            .request_timeout(Some(ANSWER))
            .event_callback(counts(sender));
        if let Some(path) = &options.credentials {
            connecting = connecting.credentials_file(path).await.map_err(|error| refused(&error))?;
        }
        if let Some(path) = &options.tls_ca {
            connecting = connecting.add_root_certificates(path.clone());
        }
        let servers = options.url.split(',').map(|one| one.trim().parse::<ServerAddr>());
        let servers = servers.collect::<Result<Vec<_>, _>>().map_err(|error| refused(&error))?;
        let client = connecting.connect(servers).await.map_err(|error| refused(&error))?;
        let context = ContextBuilder::new().timeout(ANSWER).ack_timeout(ANSWER).build(client.clone());
        Ok(Self { client, context, connection })
    }

    async fn opened(&self, plan: &StreamPlan) -> Result<Stream, BusError> {
        if self.client.connection_state() != State::Connected {
            return Err(BusError::Away("not connected".to_owned()));
        }
        let config = config(plan);
        let mut stream = match self.context.get_stream(&plan.name).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    self.context.create_stream(config.clone()).await.map_err(|error| away(&error))?
                }
                _ => return Err(away(&error)),
            },
        };
        let have = &stream.cached_info().config;
        let is_same = have.max_age == config.max_age
            && have.duplicate_window == config.duplicate_window
            && have.num_replicas == config.num_replicas
            && have.subjects == config.subjects;
        if !is_same {
            // What else somebody has set stays.
            let changed = Config {
                max_age: config.max_age,
                duplicate_window: config.duplicate_window,
                num_replicas: config.num_replicas,
                subjects: config.subjects,
                ..have.clone()
            };
            self.context.update_stream(changed).await.map_err(|error| BusError::Refused(error.to_string()))?;
        }
        let last = match stream.get_last_raw_message_by_subject(&plan.subject).await {
            Ok(message) => Some(last_message(&message.headers)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => None,
            Err(error) => return Err(away(&error)),
        };
        let info = stream.info().await.map_err(|error| away(&error))?;
        Ok(Stream {
            created_at: i64::try_from(info.created.unix_timestamp_nanos() / 1_000).unwrap_or_default(),
            first_sequence: info.state.first_sequence,
            last_sequence: info.state.last_sequence,
            last,
            octets_max: self.client.server_info().max_payload,
        })
    }

    async fn sent(&self, message: Message) -> Result<Receipt, BusError> {
        // What is given to the client while it is away would be sent much later.
        if self.client.connection_state() != State::Connected {
            return Err(BusError::Away("not connected".to_owned()));
        }
        let headers = headers(&message);
        let sending = self.context.publish_with_headers(message.subject, headers, message.body);
        let receipt = sending.await.map_err(|error| failed(&error))?;
        let stored = async move {
            let ack = receipt.await.map_err(|error| failed(&error))?;
            Ok(Stored { sequence: ack.sequence, duplicate: ack.duplicate })
        };
        Ok(stored.boxed())
    }
}

impl Bus for Nats {
    fn connection(&self) -> watch::Receiver<u64> {
        self.connection.clone()
    }

    fn open<'a>(&'a self, plan: &'a StreamPlan) -> BoxFuture<'a, Result<Stream, BusError>> {
        self.opened(plan).boxed()
    }

    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Receipt, BusError>> {
        self.sent(message).boxed()
    }
}

/// Counts connections, and says what else the client tells.
fn counts(sender: watch::Sender<u64>) -> impl Fn(Event) -> Ready<()> + Send + Sync + 'static {
    let made = AtomicU64::new(0);
    move |event| {
        match event {
            Event::Connected => {
                let number = made.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::info!("connected to NATS");
                sender.send_replace(number);
            }
            Event::Disconnected => {
                tracing::warn!("lost NATS: events wait until it is back");
                sender.send_replace(0);
            }
            other => tracing::debug!("NATS: {other}"),
        }
        ready(())
    }
}

fn config(plan: &StreamPlan) -> Config {
    Config {
        name: plan.name.clone(),
        subjects: vec![plan.subject.clone()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        max_age: plan.max_age,
        duplicate_window: plan.duplicate_window,
        num_replicas: plan.replicas,
        ..Config::default()
    }
}

fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", message.id.as_str());
    match &message.expected {
        Expected::Anything | Expected::Sequence(0) => {}
        Expected::Sequence(number) => headers.insert("Nats-Expected-Last-Sequence", number.to_string().as_str()),
        Expected::Id(id) => headers.insert("Nats-Expected-Last-Msg-Id", id.as_str()),
    }
    for (name, value) in &message.headers {
        headers.insert(*name, value.as_str());
    }
    headers
}

fn last_message(headers: &HeaderMap) -> LastMessage {
    let headers =
        headers.iter().filter_map(|(name, values)| Some((name.to_string(), values.first()?.as_str().to_owned())));
    LastMessage { headers: headers.collect() }
}

fn failed(error: &PublishError) -> BusError {
    match error.kind() {
        PublishErrorKind::WrongLastMessageId | PublishErrorKind::WrongLastSequence => {
            BusError::Unexpected(error.to_string())
        }
        // The stream is gone: it is made again.
        PublishErrorKind::StreamNotFound | PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => away(error),
        PublishErrorKind::MaxAckPending | PublishErrorKind::MaxPayloadExceeded | PublishErrorKind::Other => {
            BusError::Refused(error.to_string())
        }
    }
}

fn away(error: &dyn std::fmt::Display) -> BusError {
    BusError::Away(error.to_string())
}
