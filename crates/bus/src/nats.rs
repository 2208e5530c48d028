//! NATS JetStream.

use crate::{
    Bus, BusError, Expected, LastMessage, Message, Receipt, Retention, SETTLE_WITHIN, Settle, Settlement, Stored,
    Stream, StreamPlan, Taken,
};
use async_nats::connection::State;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::context::{ContextBuilder, GetStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::message::{AckKind, Acker};
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, ServerAddr};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
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

/// The consumer of a queue, shared by all nodes.
const CONSUMER: &str = "postfleet";

/// Messages of a queue that are not settled: those that wait for another attempt are among them, and must not keep others
/// from being given out.
const UNSETTLED_MAX: i64 = 1_000_000;

/// A connection to NATS, or the attempts to make one.
#[derive(Debug)]
pub struct Nats {
    client: Client,
    context: Context,
    connection: watch::Receiver<u64>,
    /// The consumers of queues that were opened, and when their streams were made.
    queues: Mutex<BTreeMap<String, (Consumer<pull::Config>, i64)>>,
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
        Ok(Self { client, context, connection, queues: Mutex::default() })
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
        let created_at = i64::try_from(info.created.unix_timestamp_nanos() / 1_000).unwrap_or_default();
        let info = info.clone();
        if plan.retention == Retention::UntilSettled {
            let consumer = stream.get_or_create_consumer(CONSUMER, consumer()).await.map_err(|error| away(&error))?;
            self.queues
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(plan.name.clone(), (consumer, created_at));
        }
        Ok(Stream {
            created_at,
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

impl Nats {
    async fn taken(&self, plan: &StreamPlan, most: usize, wait: Duration) -> Result<Vec<Taken>, BusError> {
        if self.client.connection_state() != State::Connected {
            return Err(BusError::Away("not connected".to_owned()));
        }
        let known = self.queues.lock().unwrap_or_else(PoisonError::into_inner).get(&plan.name).cloned();
        let (consumer, source) = known.ok_or_else(|| BusError::Away("the queue was not opened".to_owned()))?;
        // What is there, and if that is nothing, the next one.
        let there = consumer.fetch().max_messages(most).messages().await.map_err(|error| away(&error))?;
        let taken = gathered(there, source).await?;
        if !taken.is_empty() {
            return Ok(taken);
        }
        let next = consumer.batch().max_messages(1).expires(wait).messages().await.map_err(|error| away(&error))?;
        gathered(next, source).await
    }
}

/// The messages of a batch, which ends by itself.
async fn gathered(mut batch: pull::Batch, source: i64) -> Result<Vec<Taken>, BusError> {
    let mut taken = Vec::new();
    while let Some(message) = batch.next().await {
        let message = match message {
            Ok(message) => message,
            // What was taken before is to be worked on all the same.
            Err(_) if !taken.is_empty() => break,
            Err(error) => return Err(away(&error)),
        };
        let sequence = message.info().map_err(|error| away(&error))?.stream_sequence;
        let (message, acker) = message.split();
        let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().to_owned());
        taken.push(Taken {
            subject: message.subject.to_string(),
            id: header("Nats-Msg-Id").filter(|id| !id.is_empty()),
            source,
            sequence,
            body: message.payload,
            settle: Box::new(Ack(acker)),
        });
    }
    Ok(taken)
}

/// The way to settle one message.
struct Ack(Acker);

impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ack")
    }
}

impl Settle for Ack {
    fn settle(&self, how: Settlement) -> BoxFuture<'_, Result<(), BusError>> {
        let kind = match how {
            Settlement::Done => AckKind::Ack,
            Settlement::Again(delay) => AckKind::Nak(Some(delay)),
            Settlement::Never => AckKind::Term,
        };
        async move { self.0.double_ack_with(kind).await.map_err(|error| away(&error)) }.boxed()
    }
}

fn consumer() -> pull::Config {
    pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: SETTLE_WITHIN,
        max_deliver: -1,
        max_ack_pending: UNSETTLED_MAX,
        ..pull::Config::default()
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

    fn take<'a>(
        &'a self,
        plan: &'a StreamPlan,
        most: usize,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Vec<Taken>, BusError>> {
        self.taken(plan, most, wait).boxed()
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
    let (retention, max_age) = match plan.retention {
        Retention::For(age) => (RetentionPolicy::Limits, age),
        Retention::UntilSettled => (RetentionPolicy::WorkQueue, Duration::ZERO),
    };
    Config {
        name: plan.name.clone(),
        subjects: vec![plan.subject.clone()],
        retention,
        storage: StorageType::File,
        max_age,
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
