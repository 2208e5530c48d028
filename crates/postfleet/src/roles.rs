//! The roles of a node: the only place with loops and tasks. Each loop calls functions that do one round.

mod publish;

use self::publish::{bus_until, sends_until};
use crate::config::{Config, Listen, Role, Smtp};
use crate::health::NodeHealth;
use crate::listen::bind;
use crate::telemetry::Meters;
use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_api::{Interface, router, serve};
use postfleet_core::client_rate::ClientRates;
use postfleet_core::id::WebhookId;
use postfleet_core::plan::RECIPIENTS_MAX;
use postfleet_core::{Problem, UnixMicros};
use postfleet_mailflow::deliver::Delivery;
use postfleet_mailflow::retention::{self, Next, Pruning};
use postfleet_mailflow::routing::{reports, sts};
use postfleet_mailflow::submit::client::ADDED_OCTETS_MAX;
use postfleet_mailflow::webhooks::{Attempt, Connections, Spread, Worker};
use postfleet_mailflow::{
    Platform, bus, deliver, dmarc_reports, figures, holds, janitor, jobs, lag, recount, schedules, search, spam, stops,
    wait, webhooks,
};
use postfleet_net::{TlsIdentity, tls};
use postfleet_smtp::mx::Mx;
use postfleet_smtp::submission::ForMailClients;
use postfleet_smtp::{Encryption, Limits, Listener, Tarpit};
use postfleet_store::judging;
use postfleet_store::webhooks::Webhook;
use postfleet_wire::smtp::server;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How often somebody looks without having been told to: another node may have written.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often the webhooks that this node works for are taken anew; well within their lease. So long it takes at most until a change
/// that was made at another node holds here.
const RENEW_WEBHOOKS: Duration = Duration::from_secs(5);

/// How often it is looked for webhooks that have failed and are to be asked whether they are back, and for people who are to
/// be told of that.
const RESUME_EVERY: Duration = Duration::from_secs(15);

/// How often it is measured how far those who are told are behind.
const MEASURE_LAG_EVERY: Duration = Duration::from_secs(15);

/// When leases of earlier runs are looked for once more: a claim of a process that was killed may reach PostgreSQL's
/// log after this one has begun.
const RESUME_AGAIN: Duration = Duration::from_secs(60);

/// How often the janitor comes.
const CLEAN_EVERY: Duration = Duration::from_secs(60);

/// How often counts of encrypted connections are written down, and those of what came in.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// How often it is looked for reports to owners of domains that are due.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// How often jobs are looked for that another node was told of, or left when it ended.
const JOBS_EVERY: Duration = Duration::from_secs(60);

/// How often it is looked for what was moved into junk and out of it, to learn from.
const LEARN_EVERY: Duration = Duration::from_secs(10);

/// How often it is looked for mailboxes of which messages are to be gathered for searches.
const GATHER_EVERY: Duration = Duration::from_secs(10);

/// How often it is looked for organizations that are to be counted anew.
const RECOUNT_EVERY: Duration = Duration::from_secs(60);

/// How often figures of what was sent are brought up to date.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);

/// How often it is looked for what has waited behind a destination for too long, and how much waits is counted.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

/// Rows that are given up at once.
const EXPIRE_MAX: usize = 100;

/// How long a role that failed waits before it goes on.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Rows that one claim takes.
const CLAIM_MAX: usize = 128;

/// The time between two claims that nobody has asked for.
const CLAIM_PAUSE: Duration = Duration::from_millis(10);

/// What was started, and where it listens.
pub struct Running {
    tasks: tokio_util::task::TaskTracker,
    ended: CancellationToken,
    pub http: Option<SocketAddr>,
    pub smtp: Option<SocketAddr>,
    pub submission: Option<SocketAddr>,
    pub submissions: Option<SocketAddr>,
}

/// Starts the configured roles. When it returns, the listeners are open.
pub async fn start(
    config: &Config,
    mut platform: Platform,
    meters: &Meters,
    identity: &TlsIdentity,
    stop: CancellationToken,
) -> Result<Running> {
    let mut running = Running {
        tasks: tokio_util::task::TaskTracker::new(),
        ended: CancellationToken::new(),
        http: None,
        smtp: None,
        submission: None,
        submissions: None,
    };
    let has = |role: Role| config.server.roles.contains(&role);
    // Mail is judged wherever it comes in or is sent.
    running.spawn(remember_rules_until(platform.clone(), stop.clone()));
    if has(Role::Deliver) {
        // Before anything is handed over.
        stops::refresh_once(&platform).await?;
        running.spawn(watch_stops_until(platform.clone(), stop.clone()));
        running.spawn(sweep_until(platform.clone(), stop.clone()));
        let resumed = deliver::resume(&platform, platform.clock.now()).await?;
        tracing::debug!(rows = resumed, "leases of earlier runs freed");
        let concurrency = config.delivery.concurrency;
        let (handoff, accepted) = mpsc::channel(concurrency);
        platform.handoff = Some(handoff);
        running.spawn(deliver_until(platform.clone(), accepted, concurrency, stop.clone()));
        running.spawn(expire_until(platform.clone(), stop.clone()));
        // How encryption of connections went.
        let flush: Flush = |platform| Box::pin(reports::flush_once(platform));
        running.spawn(count_until(platform.clone(), ("deliver", flush), stop.clone()));
        running.spawn(release_until(platform.clone(), stop.clone()));
        running.spawn(drain_until(platform.clone(), stop.clone()));
    }
    if has(Role::Webhooks) {
        running.spawn(webhooks_until(platform.clone(), stop.clone()));
        running.spawn(resume_until(platform.clone(), stop.clone()));
        running.spawn(measure_lag_until(platform.clone(), stop.clone()));
    }
    if let Some(bus) = platform.bus.clone().filter(|_| has(Role::Webhooks)) {
        // Before anything is listened to: who publishes for the first time begins at the end of the log.
        bus::lease(&platform).await?;
        if platform.settings.bus.send {
            running.spawn(sends_until(platform.clone(), bus.clone(), stop.clone()));
        }
        running.spawn(bus_until(platform.clone(), bus, stop.clone()));
    }
    if has(Role::Janitor) {
        running.spawn(clean_until(platform.clone(), stop.clone()));
        running.spawn(work_until(platform.clone(), stop.clone()));
        running.spawn(learn_until(platform.clone(), stop.clone()));
        running.spawn(gather_until(platform.clone(), stop.clone()));
        running.spawn(recount_until(platform.clone(), stop.clone()));
        running.spawn(prune_until(platform.clone(), stop.clone()));
        running.spawn(sum_up_until(platform.clone(), stop.clone()));
    }
    if has(Role::Janitor) && platform.settings.dmarc_reports.is_some() {
        running.spawn(report_until(platform.clone(), stop.clone()));
    }
    if has(Role::Mx) && platform.settings.dmarc_reports.is_some() {
        // What came in, as far as owners of domains are told of it.
        let flush: Flush = |platform| Box::pin(dmarc_reports::flush_once(platform));
        running.spawn(count_until(platform.clone(), ("mx", flush), stop.clone()));
    }
    if has(Role::Mx) {
        let socket = bind("smtp.listen", config.smtp.listen)?;
        running.smtp = Some(socket.local_addr()?);
        let listener = mx(config, &platform, identity)?;
        running.spawn(listener.serve(socket, stop.clone()));
    }
    if has(Role::Submission) {
        running.listen_for_mail_clients(config, &platform, identity, &stop)?;
    }
    if has(Role::Api) {
        running.spawn(tell_waiting_until(platform.clone(), stop.clone()));
        let socket = bind("http.listen", config.http.listen)?;
        running.http = Some(socket.local_addr()?);
        let health = NodeHealth {
            store: platform.store.clone(),
            clock: platform.clock.clone(),
            meters: meters.clone(),
            by_account: config.metrics.by_account,
            stop: stop.clone(),
        };
        let interface =
            Interface { platform: platform.clone().into(), health: Arc::new(health), origins: config.origins()? };
        running.spawn(serve(socket, router(interface), platform.clock.clone(), config.http.connections, stop.clone()));
    }
    running.tasks.close();
    Ok(running)
}

impl Running {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            // Also when the task panics: the node must not go on without one of its roles.
            let _guard = ended.drop_guard();
            task.await;
        });
    }

    /// Opens the listeners for mail clients that are configured.
    fn listen_for_mail_clients(
        &mut self,
        config: &Config,
        platform: &Platform,
        identity: &TlsIdentity,
        stop: &CancellationToken,
    ) -> Result<()> {
        let submission = &config.submission;
        if let Listen(Some(address)) = submission.listen {
            let socket = bind("submission.listen", address)?;
            self.submission = Some(socket.local_addr()?);
            let encryption = Encryption::OnRequest(tls::server_config(identity)?.into());
            self.spawn(for_mail_clients(config, platform, encryption)?.serve(socket, stop.clone()));
        }
        if let Listen(Some(address)) = submission.tls_listen {
            let socket = bind("submission.tls_listen", address)?;
            self.submissions = Some(socket.local_addr()?);
            let encryption = Encryption::FromTheStart(tls::server_config(identity)?.into());
            self.spawn(for_mail_clients(config, platform, encryption)?.serve(socket, stop.clone()));
        }
        Ok(())
    }

    /// Says where the node listens.
    pub fn report(&self) {
        if let Some(address) = self.http {
            tracing::info!(%address, "interface listens");
        }
        if let Some(address) = self.smtp {
            tracing::info!(%address, "SMTP listens");
        }
        if let Some(address) = self.submission {
            tracing::info!(%address, "submission listens");
        }
        if let Some(address) = self.submissions {
            tracing::info!(%address, "submission over TLS listens");
        }
    }

    /// Completes when a role has ended, which none does before it is told to stop.
    pub async fn ended_early(&self) {
        self.ended.cancelled().await;
    }

    /// Waits until everything has finished, but no longer than `limit`: what is still leased then becomes due again.
    pub async fn drain(&self, limit: Duration) {
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "did not finish in time");
        }
    }
}

/// The listener for mail from other servers.
fn mx(config: &Config, platform: &Platform, identity: &TlsIdentity) -> Result<Listener> {
    Ok(Listener {
        config: Arc::new(session_config(
            &config.smtp,
            config.server.hostname.0.to_string(),
            platform.store.plans().inbound_octets_ceiling(),
        )),
        limits: Arc::new(limits(&config.smtp)?),
        handler: Arc::new(Mx(platform.clone())),
        encryption: Encryption::OnRequest(tls::server_config(identity)?.into()),
        clock: platform.clock.clone(),
        metrics: platform.metrics.clone(),
    })
}

/// A listener for mail clients.
fn for_mail_clients(config: &Config, platform: &Platform, encryption: Encryption) -> Result<Listener> {
    let octets = platform.store.plans().outbound_octets_ceiling().saturating_sub(ADDED_OCTETS_MAX);
    let of_servers = session_config(&config.smtp, config.server.hostname.0.to_string(), octets);
    let of_session = server::Limits {
        recipients: RECIPIENTS_MAX,
        authentication_failures: config.submission.failed_sign_ins,
        ..of_servers.limits
    };
    let of_connections = limits(&config.smtp)?;
    // Who has signed in has the limits of its mailbox, wherever it is.
    let rates =
        ClientRates { connections_per_minute: of_connections.rates.connections_per_minute, ..ClientRates::default() };
    Ok(Listener {
        config: Arc::new(server::Config { service: server::Service::Submission, limits: of_session, ..of_servers }),
        limits: Arc::new(Limits { rates, ..of_connections }),
        handler: Arc::new(ForMailClients(platform.clone())),
        encryption,
        clock: platform.clock.clone(),
        metrics: platform.metrics.clone(),
    })
}

/// What sessions of servers are told.
pub fn session_config(smtp: &Smtp, hostname: String, message_octets: u64) -> server::Config {
    let limits = server::Limits {
        recipients: smtp.recipients,
        transactions: smtp.transactions,
        errors: smtp.errors,
        commands: smtp.transactions.saturating_mul(8).max(1_000),
        message_octets,
        ..server::Limits::default()
    };
    server::Config { service: server::Service::Mx, hostname, limits, starttls: true }
}

/// What connections may use.
pub fn limits(smtp: &Smtp) -> Result<Limits> {
    Ok(Limits {
        connections: smtp.connections,
        connections_per_address: smtp.connections_per_address,
        buffered_octets: smtp.buffered_bytes,
        idle: Duration::from_secs(smtp.idle_seconds),
        session: Duration::from_secs(smtp.session_seconds),
        rates: ClientRates {
            connections_per_minute: smtp.connections_per_minute,
            messages_per_hour: smtp.messages_per_hour,
            recipients_per_hour: smtp.recipients_per_hour,
            unknown_recipients_per_hour: smtp.unknown_recipients_per_hour,
        },
        greeting_delay: Duration::from_millis(smtp.greeting_delay_ms),
        tarpit: Tarpit {
            after: smtp.tarpit_after,
            delay: Duration::from_secs(smtp.tarpit_seconds),
            sessions: smtp.tarpit_sessions,
        },
        trusted: smtp.trusted_networks()?,
        proxies: smtp.proxies()?,
    })
}

/// Writes down what was counted in memory.
type Flush = for<'a> fn(&'a Platform) -> BoxFuture<'a, Result<(), Problem>>;

/// Claims what is due as long as there is room, and attempts it, each message in its own task.
async fn deliver_until(
    platform: Platform,
    mut accepted: mpsc::Receiver<Delivery>,
    concurrency: usize,
    stop: CancellationToken,
) {
    let mut attempts: JoinSet<()> = JoinSet::new();
    let started = platform.clock.now();
    let mut resume_at = Some(started.plus(RESUME_AGAIN));
    let mut due = Some(started);
    while !stop.is_cancelled() {
        while attempts.try_join_next().is_some() {}
        if resume_at.is_some_and(|at| at <= platform.clock.now()) {
            resume_at = None;
            or_wait(&platform, "deliver", deliver::resume(&platform, started).await).await;
        }
        let room = concurrency.saturating_sub(attempts.len());
        if room > 0 && due.is_some_and(|due| due <= platform.clock.now()) {
            let claimed = deliver::claim(&platform, room.min(CLAIM_MAX)).await;
            for delivery in or_wait(&platform, "deliver", claimed).await {
                attempts.spawn(attempt(platform.clone(), delivery));
            }
            // Who knows of something new says so; what nobody has announced is claimed many at a time.
            let soon = platform.clock.now().plus(CLAIM_PAUSE);
            let next = or_wait(&platform, "deliver", deliver::next_due(&platform).await).await;
            due = next.map(|next| next.max(soon));
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            delivery = accepted.recv(), if room > 0 => {
                if let Some(delivery) = delivery {
                    attempts.spawn(attempt(platform.clone(), delivery));
                }
            }
            _ = attempts.join_next(), if !attempts.is_empty() => {}
            () = platform.store.wake().queue.notified(), if room > 0 => due = Some(platform.clock.now()),
            () = until(&platform, due), if room > 0 => {
                due = or_wait(&platform, "deliver", deliver::next_due(&platform).await).await;
            }
        }
    }
    // Those that were handed over and not begun keep their lease, and are due again after the restart.
    // What has begun is finished: a message half sent is neither delivered nor not.
    while attempts.join_next().await.is_some() {}
}

/// Gives up what has waited for too long, and counts what waits. Beside deliveries, which wait for neither: the one tells
/// many senders when a destination with much behind it stays dead, the other reads the whole queue.
async fn expire_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if or_wait(&platform, "deliver", deliver::expire_once(&platform, EXPIRE_MAX).await).await >= EXPIRE_MAX {
            continue;
        }
        or_wait(&platform, "deliver", deliver::measure_once(&platform).await).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(EXPIRE_EVERY)) => {}
        }
    }
}

async fn attempt(platform: Platform, delivery: Delivery) {
    if let Err(problem) = deliver::attempt(&platform, delivery).await {
        tracing::error!(cause = ?problem.cause, "delivery attempt failed: {problem}");
    }
}

/// Releases sends whose time has come. The time may be stepped while it waits, so it looks again all the while.
async fn release_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let due = or_wait(&platform, "schedules", schedules::release_once(&platform).await).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.store.wake().schedules.notified() => {}
            () = until(&platform, due) => {}
        }
    }
}

/// Releases sends that were held, as there is quota for them.
async fn drain_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let due = or_wait(&platform, "holds", holds::release_once(&platform).await).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.store.wake().holds.notified() => {}
            // What is left of a round that was full is due already, and so is what was postponed to now.
            () = until(&platform, due) => {}
        }
    }
}

/// Tells webhooks and alerts what happens, each in a task of its own: none of them waits for another.
async fn webhooks_until(platform: Platform, stop: CancellationToken) {
    let mut tellers = Tellers::new(&platform, stop.clone());
    let mut renew_at = platform.clock.now();
    while !stop.is_cancelled() {
        let wake = platform.store.wake();
        let mut head = None;
        if tellers.has_any() || platform.clock.now() >= renew_at {
            head = Some(or_wait(&platform, "webhooks", webhooks::head(&platform).await).await);
        }
        // After the end of the log was read: who has changed a webhook and been answered is told what happens after that as
        // they want it now.
        let has_changed = wake.webhooks.notified().now_or_never().is_some();
        if has_changed || platform.clock.now() >= renew_at {
            let good_for = tellers.renew().await;
            renew_at = platform.clock.now().plus(good_for);
        }
        match head {
            Some(head) => tellers.hear(head),
            // Who was begun just now does not know the end of the log yet.
            None if tellers.has_any() => continue,
            None => {}
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.events.notified() => {}
            () = wake.webhooks.notified() => renew_at = platform.clock.now(),
            Some(ended) = tellers.tasks.join_next() => {
                renew_at = renew_at.min(platform.clock.now().plus(tellers.ended(ended)));
            }
            () = until(&platform, Some(renew_at)) => {}
        }
    }
    // What is under way is waited for, and what came of it is committed.
    while let Some(ended) = tellers.tasks.join_next().await {
        tellers.ended(ended);
    }
    if let Err(problem) = webhooks::leave(&platform).await {
        tracing::warn!(cause = ?problem.cause, "other nodes take their part of the webhooks later: {problem}");
    }
}

/// Asks webhooks that have failed whether they are back, and tells people of webhooks that fail.
async fn resume_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let notified = or_wait(&platform, "webhooks", webhooks::notify_once(&platform).await).await;
        let asked = tokio::select! {
            // Whoever is asked may take their time.
            () = stop.cancelled() => false,
            asked = webhooks::resume_once(&platform) => or_wait(&platform, "webhooks", asked).await,
        };
        if notified || asked {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(RESUME_EVERY)) => {}
        }
    }
}

/// Measures how far those who are told are behind.
async fn measure_lag_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        or_wait(&platform, "webhooks", lag::measure_once(&platform).await).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(MEASURE_LAG_EVERY)) => {}
        }
    }
}

/// The webhooks that this node works for, each with its task.
struct Tellers {
    platform: Arc<Platform>,
    stop: CancellationToken,
    connections: Connections,
    /// The end of the log, looked up once for all of them.
    heads: watch::Sender<i64>,
    tasks: JoinSet<(WebhookId, Result<(), Problem>)>,
    /// By who reads the log: a webhook, or a replay of one.
    running: BTreeMap<WebhookId, Teller>,
}

/// How the task of a webhook is told what its subscriber wants now, or to end.
struct Teller {
    wanted: watch::Sender<Webhook>,
    stop: CancellationToken,
}

impl Tellers {
    fn new(platform: &Platform, stop: CancellationToken) -> Self {
        let spread = Spread { carry_out: apart, processors: Handle::current().metrics().num_workers() };
        Self {
            platform: Arc::new(platform.clone()),
            stop,
            connections: Connections::spread(platform.settings.webhook_connections, spread),
            heads: watch::Sender::new(0),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
        }
    }

    /// Takes the webhooks for which this node works anew; answers how long that is good for.
    async fn renew(&mut self) -> Duration {
        self.platform.http.tidy();
        self.connections.tidy(self.platform.clock.now());
        match webhooks::lease(&self.platform).await {
            Ok(hooks) => {
                self.keep(hooks);
                RENEW_WEBHOOKS
            }
            Err(problem) => {
                tracing::error!(role = "webhooks", cause = ?problem.cause, "round failed: {problem}");
                AFTER_FAILURE
            }
        }
    }

    /// Begins to work for those that are new, tells the others what they want now, and ends with those that are gone.
    fn keep(&mut self, hooks: Vec<Webhook>) {
        let mut gone: BTreeSet<WebhookId> = self.running.keys().copied().collect();
        for hook in hooks {
            gone.remove(&hook.reader());
            match self.running.get(&hook.reader()) {
                // One that is ending is begun again when it has.
                Some(teller) => drop(teller.wanted.send_replace(hook)),
                None => self.begin(hook),
            }
        }
        for teller in gone.iter().filter_map(|id| self.running.get(id)) {
            teller.stop.cancel();
        }
    }

    /// Whether there is anybody to be told.
    fn has_any(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// The log has grown up to here.
    fn hear(&self, head: i64) {
        self.heads.send_if_modified(|known| std::mem::replace(known, head.max(*known)) < head);
    }

    fn begin(&mut self, hook: Webhook) {
        let (id, stop) = (hook.reader(), self.stop.child_token());
        let (wanted, changes) = watch::channel(hook);
        let telling =
            tell_until(self.platform.clone(), self.connections.clone(), self.heads.subscribe(), changes, stop.clone());
        self.tasks.spawn(async move { (id, telling.await) });
        self.running.insert(id, Teller { wanted, stop });
    }

    /// A task has ended; answers after what time its webhook may be worked for again.
    fn ended(&mut self, ended: Result<(WebhookId, Result<(), Problem>), JoinError>) -> Duration {
        let (id, result) = ended.unwrap_or_else(|error| match error.try_into_panic() {
            // The node must not go on without one of its tasks.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => unreachable!("nobody aborts a teller: {error}"),
        });
        self.running.remove(&id);
        match result {
            Ok(()) => Duration::ZERO,
            Err(problem) => {
                tracing::error!(webhook.id = %id, cause = ?problem.cause, "failed to tell a webhook: {problem}");
                AFTER_FAILURE
            }
        }
    }
}

/// Makes an attempt in a task of its own.
fn apart(attempt: Attempt) -> Attempt {
    let task = AbortOnDropHandle::new(tokio::spawn(attempt));
    Box::pin(async {
        task.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => unreachable!("it is aborted when nobody waits for it any more: {error}"),
        })
    })
}

/// Tells one webhook, until it is to be told no more, another node does, or the store fails.
async fn tell_until(
    platform: Arc<Platform>,
    connections: Connections,
    mut heads: watch::Receiver<i64>,
    mut wanted: watch::Receiver<Webhook>,
    stop: CancellationToken,
) -> Result<(), Problem> {
    let webhook = wanted.borrow_and_update().clone();
    let mut worker = Worker::begin(platform.clone(), webhook.clone(), connections).await?;
    while !stop.is_cancelled() && !worker.lease_lost() && !worker.has_failed() {
        // In this order: what was wanted when the log had grown so far is known before what is in it is told.
        let head = *heads.borrow_and_update();
        if wanted.has_changed().unwrap_or_default() {
            worker.change(wanted.borrow_and_update().clone());
        }
        worker.hear(head);
        tokio::select! {
            () = stop.cancelled() => {}
            done = worker.step() => done?,
            _ = heads.changed() => {}
            _ = wanted.changed() => wanted.mark_changed(),
        }
    }
    worker.end().await?;
    // Nobody has to wait for the end of the lease.
    if worker.lease_lost() { Ok(()) } else { webhooks::release(&platform, &webhook).await }
}

async fn clean_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        or_wait(&platform, "janitor", janitor::clean_once(&platform).await).await;
        or_wait(&platform, "janitor", janitor::recover_once(&platform).await).await;
        tokio::select! {
            // Name servers may be slow, and what is given up here is looked at again after the restart.
            () = stop.cancelled() => {}
            checked = janitor::recheck_domains_once(&platform) => or_wait(&platform, "janitor", checked).await,
        }
        tokio::select! {
            // As with name servers, and with the hosts of policies.
            () = stop.cancelled() => {}
            refreshed = sts::refresh_once(&platform) => or_wait(&platform, "janitor", refreshed).await,
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(CLEAN_EVERY)) => {}
        }
    }
}

/// Writes down what a role has counted in memory; at the end once more.
async fn count_until(platform: Platform, (role, flush): (&'static str, Flush), stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(COUNT_EVERY)) => {}
        }
        or_wait(&platform, role, flush(&platform).await).await;
    }
}

/// Tells owners of domains of mail in their names, one report after the other.
async fn report_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            // Name servers may be slow, and what is given up here is tried again after the lease.
            () = stop.cancelled() => {}
            sent = dmarc_reports::send_once(&platform) => {
                if or_wait(&platform, "janitor", sent).await {
                    continue;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(REPORT_EVERY)) => {}
        }
    }
}

/// Goes on with jobs, a chunk at a time.
async fn work_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if or_wait(&platform, "janitor", jobs::run_once(&platform).await).await {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.store.wake().jobs.notified() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(JOBS_EVERY)) => {}
        }
    }
}

/// Learns from what was moved into junk and out of it.
async fn learn_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if or_wait(&platform, "janitor", spam::learn_once(&platform).await).await {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(LEARN_EVERY)) => {}
        }
    }
}

/// Gathers what is searched of messages into segments.
async fn gather_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        or_wait(&platform, "janitor", search::gather_once(&platform).await).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(GATHER_EVERY)) => {}
        }
    }
}

/// Takes the readings of a month that is over, and counts anew what organizations use, as each of them is due.
async fn recount_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        or_wait(&platform, "janitor", recount::read_once(&platform).await).await;
        tokio::select! {
            // What is not counted to the end is counted again.
            () = stop.cancelled() => {}
            counted = recount::run_once(&platform) => {
                if or_wait(&platform, "janitor", counted).await {
                    continue;
                }
            }
        }
        or_wait(&platform, "janitor", recount::measure_once(&platform).await).await;
        or_wait(&platform, "janitor", figures::measure_once(&platform).await).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(RECOUNT_EVERY)) => {}
        }
    }
}

/// Removes mail whose time is over.
async fn prune_until(platform: Platform, stop: CancellationToken) {
    let mut pruning = Pruning::default();
    while !stop.is_cancelled() {
        let now = platform.clock.now();
        let next = match retention::round(&platform, &mut pruning).await {
            Ok(Next::After(Duration::ZERO)) => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(Next::After(rest)) => platform.clock.now().plus(rest),
            Ok(Next::At(at)) => at,
            Err(problem) => {
                tracing::error!(role = "janitor", cause = ?problem.cause, "round failed: {problem}");
                now.plus(LOOK_AGAIN)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(next) => {}
        }
    }
}

/// Keeps what this node knows of stops up to date: at once when somebody is stopped here, and soon when that is elsewhere.
async fn watch_stops_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        or_wait(&platform, "deliver", stops::refresh_once(&platform).await).await;
        let again = platform.clock.now().plus(stops::LOOK_AGAIN);
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.store.wake().stops.notified() => {}
            () = platform.clock.sleep_until(again) => {}
        }
    }
}

/// Releases what has waited behind stops that were lifted.
async fn sweep_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if or_wait(&platform, "deliver", stops::sweep_once(&platform).await).await {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.store.wake().lifted.notified() => {}
            // Of what is lifted on another node nobody tells this one.
            () = platform.clock.sleep_until(platform.clock.now().plus(LOOK_AGAIN)) => {}
        }
    }
}

/// Brings the figures of what was sent up to date, and tells who wants to know what they say.
async fn sum_up_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if or_wait(&platform, "janitor", figures::sum_up_once(&platform).await).await {
            tokio::task::yield_now().await;
            continue;
        }
        or_wait(&platform, "janitor", figures::watch_once(&platform).await).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(SUM_UP_EVERY)) => {}
        }
    }
}

/// Reads rules and lists into memory when mail was judged without them.
async fn remember_rules_until(platform: Platform, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let read = judging::refresh_once(&platform.store).await.map_err(Problem::from);
        if or_wait(&platform, "rules", read).await {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.store.wake().rules.notified() => {}
        }
    }
}

/// Reads the event log for those who wait for messages and listen to events, as long as somebody does. At the end all of them
/// are sent home, and it is waited until they have gone: a WebSocket is no request that anybody else would wait for.
async fn tell_waiting_until(platform: Platform, stop: CancellationToken) {
    let mut grown = platform.store.wake().grown.subscribe();
    while !stop.is_cancelled() {
        grown.mark_unchanged();
        if or_wait(&platform, "api", wait::read_once(&platform).await).await {
            tokio::task::yield_now().await;
            continue;
        }
        let is_wanted = platform.waiting.waiting() > 0;
        let again = platform.clock.now().plus(wait::LOOK_AGAIN);
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.waiting.entered() => {}
            _ = grown.changed(), if is_wanted => {}
            () = platform.clock.sleep_until(again), if is_wanted => {}
        }
    }
    platform.waiting.close();
    platform.waiting.emptied().await;
}

/// Waits until something is due, but not longer than until it is time to look again.
async fn until(platform: &Platform, due: Option<UnixMicros>) {
    let again = platform.clock.now().plus(LOOK_AGAIN);
    platform.clock.sleep_until(due.map_or(again, |due| due.min(again))).await;
}

/// The result of a round; after a failure nothing, a little later.
async fn or_wait<T: Default>(platform: &Platform, role: &'static str, result: Result<T, Problem>) -> T {
    match result {
        Ok(value) => value,
        Err(problem) => {
            tracing::error!(role, cause = ?problem.cause, "round failed: {problem}");
            platform.clock.sleep_until(platform.clock.now().plus(AFTER_FAILURE)).await;
            T::default()
        }
    }
}

#[cfg(test)]
mod tests;
