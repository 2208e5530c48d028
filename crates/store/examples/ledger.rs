//! Writes mail and says what was acknowledged, or checks a store against what was said. The power-cut test
//! (`tests/power_cut`) cuts the power under the first and then asks the second.
//!
//! `ledger write <data-dir>` runs until it is killed or the store stops, and prints a line `message-id hash queued`
//! after each acknowledged message: the hash of its body and how many recipients went into the queue with it.
//! `ledger verify <data-dir>` reads those lines and prints what became of them as JSON; it fails on any difference.
//! The ledger must be kept outside of the device that loses its power.

use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{
    ApplicationId, AuditId, BlobId, DomainId, EvaluationId, EventId, GrantId, KeyId, MessageId, OrganizationId,
    QueueId, ThreadId, WorkspaceId,
};
use postfleet_core::plan::Plans;
use postfleet_core::rule::OutboundType;
use postfleet_core::{Domain, EmailAddress, UnixMicros};
use postfleet_store::domains::NewDomain;
use postfleet_store::grants::{self, CreateGrant, GrantOutcome, GrantsPage, NewGrant, Origin};
use postfleet_store::idempotency::Once;
use postfleet_store::keys::{self, NewKey};
use postfleet_store::messages::{
    self, After, Deliver, FiledCopy, Incoming, MailboxCopy, MessageFacts, Page, Provenance,
};
use postfleet_store::organizations::{CreateOrganization, OrganizationOutcome};
use postfleet_store::outbound::{Guard, Submit, SubmitOutcome, Turn};
use postfleet_store::threads::ThreadHints;
use postfleet_store::{Location, Reader, Store, folders, queue};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Mailboxes that are written to.
const GRANTS: usize = 20;
/// Messages under way at once, so that batches hold several of them.
const TASKS: u64 = 16;
/// Random octets of a small message; in hexadecimal they are twice as many and compress well, as text does.
const SMALL_OCTETS: usize = 1_500;
/// Random octets of a large message: well above what a row holds, and incompressible.
const LARGE_OCTETS: usize = 200_000;
/// The key by which either command finds the organization again.
const KEY_HASH: [u8; 32] = [0x70; 32];
/// The domain of all mailboxes.
const DOMAIN: &str = "power.example";
/// Messages read at once.
const PAGE: usize = 200;

#[tokio::main]
async fn main() -> Result<ExitCode, Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", data] => write(Path::new(data)).await,
        ["verify", data] => verify(Path::new(data)).await,
        _ => Err("usage: ledger write|verify <data-dir>".into()),
    }
}

async fn open(data: &Path) -> Result<Store, Fault> {
    std::fs::create_dir_all(data)?;
    Ok(Store::open(Location::Sqlite(data.join("postfleet.db")), data.join("blobs"), Plans::presets()).await?)
}

/// The one organization and its application.
type Tenant = (OrganizationId, ApplicationId);

async fn find_tenant(reader: &mut Reader<'_>) -> Result<Option<Tenant>, Fault> {
    let key = keys::find(reader, &KEY_HASH).await?;
    Ok(key.and_then(|key| Some((key.organization_id, key.application_id?))))
}

// Writing ----------------------------------------------------------------------------------------------------------

async fn write(data: &Path) -> Result<ExitCode, Fault> {
    let store = open(data).await?;
    let source = Arc::new(Source::new()?);
    let tenant = tenant(&store, &source).await?;
    let (_, application) = tenant;
    let mailboxes = Arc::new(mailboxes(&store, &source, tenant).await?);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..TASKS {
        let (store, source, mailboxes) = (store.clone(), source.clone(), mailboxes.clone());
        tasks.spawn(Task { store, source, application, mailboxes, number, earlier: Vec::new() }.run());
    }
    // A task ends only when the store refuses it; the others are then no longer of interest.
    match tasks.join_next().await {
        Some(ended) => ended??,
        None => unreachable!("there is at least one task"),
    }
    Ok(ExitCode::FAILURE)
}

/// The organization and its application, which are made at the first start.
async fn tenant(store: &Store, source: &Source) -> Result<Tenant, Fault> {
    if let Some(tenant) = find_tenant(&mut store.reader().await?).await? {
        return Ok(tenant);
    }
    let at = now()?;
    let application_id = ApplicationId::new(at, source.random());
    let key_id = KeyId::new(at, source.random());
    let key = NewKey::unlimited(key_id, Some(application_id), "ledger", KEY_HASH, String::new());
    let domain = NewDomain::trusted(DomainId::new(at, source.random()), Domain::parse(DOMAIN)?);
    let organization_id = OrganizationId::new(at, source.random());
    let create = CreateOrganization {
        id: organization_id,
        name: "Power".into(),
        plan: "self_hosted".into(),
        application_id,
        environment: "production".into(),
        workspace_id: WorkspaceId::new(at, source.random()),
        policy: None,
        keys: vec![key],
        domains: vec![domain],
        at,
        act: Act::of_command_line(AuditId::new(at, source.random()), organization_id, at),
    };
    match store.run(create).await? {
        OrganizationOutcome::Created => Ok((organization_id, application_id)),
        other => Err(format!("failed to make the organization: {other:?}").into()),
    }
}

/// Makes the mailboxes, or finds those that an earlier start made.
async fn mailboxes(store: &Store, source: &Source, tenant: Tenant) -> Result<Vec<Mailbox>, Fault> {
    let mut mailboxes = Vec::with_capacity(GRANTS);
    for number in 0..GRANTS {
        let at = now()?;
        let email = EmailAddress::parse(&format!("agent{number}@{DOMAIN}"))?;
        let grant = NewGrant {
            id: GrantId::new(at, source.random()),
            workspace_id: None,
            email: email.clone(),
            name: None,
            app_password: None,
            state: None,
            event_id: EventId::new(at, source.random()),
        };
        let act = act(source, tenant, at);
        let create = CreateGrant { act, application_id: tenant.1, origin: Origin::default(), grant };
        match store.run(create).await? {
            GrantOutcome::Created(grant) | GrantOutcome::Existing(grant) => {
                mailboxes.push(Mailbox { id: grant.id, email })
            }
            other => return Err(format!("failed to make a mailbox: {other:?}").into()),
        }
    }
    Ok(mailboxes)
}

fn act(source: &Source, (organization_id, application_id): Tenant, at: UnixMicros) -> Act {
    Act {
        record_id: AuditId::new(at, source.random()),
        actor: Actor { kind: ActorKind::CommandLine, id: String::new(), name: "ledger".into() },
        organization_id,
        application_id: Some(application_id),
        request_id: String::new(),
        at,
    }
}

struct Mailbox {
    id: GrantId,
    email: EmailAddress,
}

/// One of those who write at the same time.
struct Task {
    store: Store,
    source: Arc<Source>,
    application: ApplicationId,
    mailboxes: Arc<Vec<Mailbox>>,
    number: u64,
    /// The large bodies that it wrote.
    earlier: Vec<Vec<u8>>,
}

impl Task {
    /// Writes until the store refuses: three messages in four arrive, one is sent.
    async fn run(mut self) -> Result<(), Fault> {
        for step in self.number.. {
            let body = self.body(step);
            let hash = blake3::hash(&body);
            let acknowledged = match step % 4 {
                3 => self.submit(step, &body).await?,
                _ => self.deliver(step, &body).await?,
            };
            acknowledge(&acknowledged, &hash)?;
        }
        Ok(())
    }

    /// One body in ten is large. One large body in four repeats an earlier one, whose file is then written anew while
    /// acknowledged messages rely on it.
    fn body(&mut self, step: u64) -> Vec<u8> {
        let header = format!("Message-ID: <{step}.{}@{DOMAIN}>\r\n\r\n", self.number);
        if step % 10 != 3 {
            return [header.as_bytes(), hex::encode(self.source.bytes(SMALL_OCTETS)).as_bytes()].concat();
        }
        if step % 40 == 13
            && let Some(earlier) = self.earlier.pop()
        {
            return earlier;
        }
        let body = [header.as_bytes(), &self.source.bytes(LARGE_OCTETS)].concat();
        self.earlier = vec![body.clone()];
        body
    }

    /// Answers what was acknowledged: copies, each with the number of its queue rows.
    async fn deliver(&self, step: u64, body: &[u8]) -> Result<Vec<(MessageId, usize)>, Fault> {
        let at = now()?;
        let blob = self.store.blobs().prepare(BlobId::new(at, self.source.random()), body).await?;
        // One message in three goes to two mailboxes, which then share its body.
        let recipients = if step % 3 == 1 { 2 } else { 1 };
        let filed = {
            let (facts, provenance) = (self.facts(step, at, body, false), Provenance::Received(Incoming::default()));
            let filing = |next| FiledCopy::plain(self.copy(step + next, at), &facts);
            let copies = (0..recipients).map(filing).collect();
            self.store.run(Deliver { blob, facts, copies, provenance }).await?.unwrap_or_default()
        };
        Ok(filed.into_iter().map(|id| (id, 0)).collect())
    }

    async fn submit(&self, step: u64, body: &[u8]) -> Result<Vec<(MessageId, usize)>, Fault> {
        let at = now()?;
        let blob = self.store.blobs().prepare(BlobId::new(at, self.source.random()), body).await?;
        let copy = self.copy(step, at);
        let recipients = (0..1 + step % 3)
            .map(|number| {
                let address = EmailAddress::parse(&format!("reader{number}@remote.example"))?;
                Ok((QueueId::new(at, self.source.random()), address))
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        let queued = recipients.len();
        let submit = Submit {
            blob,
            facts: self.facts(step, at, body, true),
            copy,
            thread_id: None,
            answers: None,
            outbound_type: OutboundType::Compose,
            guard: Guard::default(),
            from_draft: None,
            evaluation_id: EvaluationId::new(at, self.source.random()),
            sender: self.mailbox(step).email.clone(),
            reverse_path: self.mailbox(step).email.clone(),
            sender_domain: Domain::parse(DOMAIN)?,
            recipients,
            hold: None,
            undeliverable: None,
            require_opt_in: None,
            rejected_event_id: EventId::new(at, self.source.random()),
            quota_event_id: EventId::new(at, self.source.random()),
            once: Once::default(),
            by: None,
            turn: Turn::Now,
            lease: None,
        };
        match self.store.run(submit).await? {
            SubmitOutcome::Accepted { .. } => Ok(vec![(copy.message_id, queued)]),
            other => Err(format!("failed to submit: {other:?}").into()),
        }
    }

    fn mailbox(&self, step: u64) -> &Mailbox {
        &self.mailboxes[(step as usize) % self.mailboxes.len()]
    }

    fn copy(&self, step: u64, at: UnixMicros) -> MailboxCopy {
        MailboxCopy {
            grant_id: self.mailbox(step).id,
            application_id: self.application,
            message_id: MessageId::new(at, self.source.random()),
            new_thread_id: ThreadId::new(at, self.source.random()),
            event_id: EventId::new(at, self.source.random()),
        }
    }

    fn facts(&self, step: u64, date: UnixMicros, body: &[u8], outgoing: bool) -> MessageFacts {
        let folder = if outgoing { SystemFolder::Sent } else { SystemFolder::Inbox };
        MessageFacts {
            date,
            outgoing,
            folder: folder.id(),
            unread: !outgoing,
            starred: false,
            octets: body.len() as u64,
            summary: "{}".into(),
            thread: ThreadHints {
                message_id: Some(format!("{step}.{}@{DOMAIN}", self.number)),
                // Half of the messages continue what the same mailbox got a round earlier.
                in_reply_to: (step.is_multiple_of(2) && step >= GRANTS as u64)
                    .then(|| format!("{}.{}@{DOMAIN}", step - GRANTS as u64, self.number))
                    .into_iter()
                    .collect(),
                subject: format!("Subject {step}"),
                ..ThreadHints::default()
            },
        }
    }
}

/// Says that messages are safe: one write for each line, so that a kill leaves no half of one.
fn acknowledge(messages: &[(MessageId, usize)], hash: &blake3::Hash) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (id, queued) in messages {
        out.write_all(format!("{id} {hash} {queued}\n").as_bytes())?;
    }
    out.flush()
}

/// Random octets: the output of a hash keyed by what no other run has, at a position that only grows.
struct Source {
    key: [u8; 32],
    drawn: AtomicU64,
}

impl Source {
    fn new() -> Result<Self, Fault> {
        let seed = format!("{} {}", std::process::id(), SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos());
        Ok(Self { key: *blake3::hash(seed.as_bytes()).as_bytes(), drawn: AtomicU64::new(0) })
    }

    fn random<const OCTETS: usize>(&self) -> [u8; OCTETS] {
        let mut octets = [0; OCTETS];
        self.fill(&mut octets);
        octets
    }

    fn bytes(&self, octets: usize) -> Vec<u8> {
        let mut bytes = vec![0; octets];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&self, octets: &mut [u8]) {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        blake3::Hasher::new_keyed(&self.key).update(&number.to_le_bytes()).finalize_xof().fill(octets);
    }
}

fn now() -> Result<UnixMicros, Fault> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(UnixMicros::from_micros(i64::try_from(since.as_micros())?))
}

// Verifying --------------------------------------------------------------------------------------------------------

/// What was acknowledged of one message.
struct Acknowledged {
    hash: String,
    queued: u64,
}

/// What the store has of one message.
#[derive(Default)]
struct Seen {
    /// Times that the mailbox's listing shows it.
    listed: u64,
    /// Times that its folders' listings show it.
    filed: u64,
    /// The hash of its body, if that could be read.
    hash: Option<String>,
}

#[derive(Default)]
struct Report {
    lost: u64,
    damaged: u64,
    drift: u64,
    stored: u64,
    faults: Vec<String>,
}

async fn verify(data: &Path) -> Result<ExitCode, Fault> {
    let ledger = read_ledger()?;
    let mut report = Report::default();
    if let Err(fault) = compare(data, &ledger, &mut report).await {
        // A store that does not open, or does not read, has nothing of what was acknowledged.
        report = Report { lost: ledger.len() as u64, faults: vec![fault.to_string()], ..Report::default() };
    }
    let Report { lost, damaged, drift, stored, faults } = report;
    let acknowledged = ledger.len();
    println!(
        "{}",
        serde_json::json!({"acknowledged": acknowledged, "lost": lost, "damaged": damaged, "drift": drift,
            "stored": stored, "faults": faults})
    );
    let well = lost + damaged + drift == 0 && faults.is_empty();
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_ledger() -> Result<HashMap<MessageId, Acknowledged>, Fault> {
    let mut ledger = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [id, hash, queued] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("not a line of a ledger: {line:?}").into());
        };
        let entry = Acknowledged { hash: hash.to_owned(), queued: queued.parse()? };
        if ledger.insert(id.parse()?, entry).is_some() {
            return Err(format!("acknowledged twice: {id}").into());
        }
    }
    Ok(ledger)
}

async fn compare(data: &Path, ledger: &HashMap<MessageId, Acknowledged>, report: &mut Report) -> Result<(), Fault> {
    let store = open(data).await?;
    let mut reader = store.reader().await?;
    let seen = read_mailboxes(&store, &mut reader, report).await?;
    report.stored = seen.len() as u64;
    report.damaged += seen.values().filter(|message| message.hash.is_none()).count() as u64;
    report.drift += seen.values().filter(|message| message.listed != 1 || message.filed != 1).count() as u64;
    for (id, acknowledged) in ledger {
        match seen.get(id) {
            None => report.lost += 1,
            // Counted above.
            Some(Seen { hash: None, .. }) => {}
            Some(Seen { hash: Some(hash), .. }) if *hash != acknowledged.hash => report.damaged += 1,
            Some(_) => check_outbound(&store, &mut reader, *id, acknowledged, report).await?,
        }
    }
    let queued: u64 = ledger.values().map(|acknowledged| acknowledged.queued).sum();
    // Rows of messages that were stored and not yet acknowledged may come on top.
    if queue::depth(&mut reader).await? < queued {
        report.drift += 1;
    }
    Ok(())
}

/// Reads everything that the mailboxes list, with bodies, and compares the folders' counts with it.
async fn read_mailboxes(
    store: &Store,
    reader: &mut Reader<'_>,
    report: &mut Report,
) -> Result<HashMap<MessageId, Seen>, Fault> {
    let mut seen: HashMap<MessageId, Seen> = HashMap::new();
    let Some((_, application)) = find_tenant(reader).await? else { return Ok(seen) };
    for grant in grants::list(reader, &GrantsPage::newest(application, GRANTS + 1, 0)).await? {
        read_mailbox(store, reader, grant.id, &mut seen).await?;
        let mut counted: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for folder in SystemFolder::ALL {
            let (total, unread) = read_folder(reader, grant.id, folder.id(), &mut seen).await?;
            if total > 0 {
                counted.insert(folder.id().to_owned(), (total, unread));
            }
        }
        let kept = folders::counts(reader, grant.id).await?;
        let kept: BTreeMap<_, _> = kept.into_iter().map(|kept| (kept.folder, (kept.total, kept.unread))).collect();
        report.drift += u64::from(kept != counted);
    }
    Ok(seen)
}

async fn read_mailbox(
    store: &Store,
    reader: &mut Reader<'_>,
    grant_id: GrantId,
    seen: &mut HashMap<MessageId, Seen>,
) -> Result<(), Fault> {
    let mut page = whole(grant_id, "");
    loop {
        let rows = messages::list_page(reader, &page).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        page.after = After { date: last.date, id: last.id };
        for (message, blob) in &rows {
            let entry = seen.entry(message.id).or_default();
            entry.listed += 1;
            // The store checks the body against the hash that it keeps; the ledger's is a second opinion.
            entry.hash = store.blobs().load(blob).await.ok().map(|raw| blake3::hash(&raw).to_string());
        }
    }
}

/// Answers how many messages the folder lists, and how many of them are unread.
async fn read_folder(
    reader: &mut Reader<'_>,
    grant_id: GrantId,
    folder: &str,
    seen: &mut HashMap<MessageId, Seen>,
) -> Result<(u64, u64), Fault> {
    let mut page = whole(grant_id, folder);
    let (mut total, mut unread) = (0, 0);
    loop {
        let rows = messages::list_page_without_bodies(reader, &page).await?;
        let Some(last) = rows.last() else { return Ok((total, unread)) };
        page.after = After { date: last.date, id: last.id };
        for message in &rows {
            total += 1;
            unread += u64::from(message.unread);
            seen.entry(message.id).or_default().filed += 1;
        }
    }
}

fn whole(grant_id: GrantId, folder: &str) -> Page<'_> {
    Page { grant_id, folder, after: After::START, newer_than: UnixMicros::from_micros(0), limit: PAGE }
}

/// An acknowledged send must still be on its way out, with its body; other messages have nothing here.
async fn check_outbound(
    store: &Store,
    reader: &mut Reader<'_>,
    id: MessageId,
    acknowledged: &Acknowledged,
    report: &mut Report,
) -> Result<(), Fault> {
    if acknowledged.queued == 0 {
        return Ok(());
    }
    let Some(outbound) = queue::outbound_message(reader, id).await? else {
        report.lost += 1;
        return Ok(());
    };
    let raw = store.blobs().load(&outbound.blob).await.ok();
    let intact = raw.is_some_and(|raw| blake3::hash(&raw).to_string() == acknowledged.hash);
    report.damaged += u64::from(!intact);
    Ok(())
}
