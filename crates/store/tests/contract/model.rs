//! What the commands mean, over plain maps: no SQL, no batches, one thing after the other.
//!
//! It shares with the store only the pure decisions of `core`. [`Plant`] makes it wrong on purpose, to show that a
//! comparison with it notices.

use postfleet_core::delivery::AfterAttempt;
use postfleet_core::event::Trigger;
use postfleet_core::id::{BlobId, EventId, GrantId, LeaseId, MessageId, QueueId, ThreadId};
use postfleet_core::threading::{base_subject, looked_up, subject_may_join};
use postfleet_core::{UnixMicros, UtcDay};
use postfleet_store::grants::{CreateGrant, RemoveGrant};
use postfleet_store::messages::{Deliver, MailboxCopy, MessageFacts};
use postfleet_store::moves::{AssignGrants, event_id};
use postfleet_store::outbound::Submit;
use postfleet_store::queue::{Claim, RecordAttempt, Report};
use std::collections::{BTreeMap, BTreeSet};

/// A deliberate error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Quota is never given back.
    KeepsQuota,
    /// Threads are looked for in every mailbox.
    JoinsAcrossMailboxes,
    /// A report counts whoever holds the lease.
    IgnoresLeases,
    /// Octets are not counted.
    ForgetsOctets,
    /// Retries announce something.
    AnnouncesRetries,
    /// Pruning leaves bodies behind.
    KeepsBodies,
    /// After a move, what the old place allows holds.
    KeepsLimits,
    /// Every copy of a message counts as mail that came in.
    CountsEachCopy,
    /// What a mailbox sent is forgotten when it is removed.
    ForgetsRemovedSenders,
}

/// Everything that the store would hold for one tenant.
pub struct Model {
    pub plant: Option<Plant>,
    pub grants_max: usize,
    pub daily_sends_max: u64,
    pub plan_sends_max: u64,
    grants: BTreeMap<String, GrantId>,
    mailboxes: BTreeMap<GrantId, Mailbox>,
    removed: BTreeSet<GrantId>,
    /// Mailboxes in no workspace, where the plan alone limits.
    outside: BTreeSet<GrantId>,
    blobs: BTreeMap<BlobId, i64>,
    outbound: BTreeMap<MessageId, Outbound>,
    queue: BTreeMap<QueueId, Row>,
    events: Vec<String>,
    /// Of each month: messages sent, those of them by mailboxes that are gone, octets in and out.
    usage: BTreeMap<i64, [i64; 4]>,
}

/// The content of a mailbox; it outlives the grant until it is pruned.
#[derive(Default)]
struct Mailbox {
    octets: u64,
    sequence: u64,
    messages: BTreeMap<MessageId, Filed>,
    threads: BTreeMap<ThreadId, Thread>,
    keys: BTreeMap<String, BTreeMap<ThreadId, UnixMicros>>,
    daily: BTreeMap<i64, u64>,
    /// The last line that was told of a day's quota, and of which.
    told: BTreeMap<i64, (u8, u64)>,
}

struct Filed {
    thread: ThreadId,
    blob: BlobId,
    folder: &'static str,
    unread: bool,
    date: UnixMicros,
}

struct Thread {
    subject: String,
    earliest: UnixMicros,
    received: Option<UnixMicros>,
    sent: Option<UnixMicros>,
    sort: UnixMicros,
}

struct Outbound {
    grant: GrantId,
    blob: BlobId,
    octets: i64,
    quota_day: Option<i64>,
}

struct Row {
    message: MessageId,
    recipient: String,
    due: UnixMicros,
    attempts: u32,
    lease: Option<LeaseId>,
    owner: Option<String>,
}

fn month_of(day: i64) -> i64 {
    UtcDay::from_number(day).month().number()
}

/// What an organization used in a month, as a line of a picture.
pub fn usage_line(month: i64, [sent, by_removed, octets_in, octets_out]: [i64; 4]) -> String {
    format!("usage {month} {sent} {by_removed} {octets_in} {octets_out}")
}

impl Model {
    pub fn new(grants_max: usize, daily_sends_max: u64, plan_sends_max: u64, plant: Option<Plant>) -> Self {
        Self {
            plant,
            grants_max,
            daily_sends_max,
            plan_sends_max,
            grants: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            removed: BTreeSet::new(),
            outside: BTreeSet::new(),
            blobs: BTreeMap::new(),
            outbound: BTreeMap::new(),
            queue: BTreeMap::new(),
            events: Vec::new(),
            usage: BTreeMap::new(),
        }
    }

    fn is_planted(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    fn is_open(&self, grant: GrantId) -> bool {
        self.mailboxes.contains_key(&grant) && !self.removed.contains(&grant)
    }

    /// Makes a mailbox.
    pub fn create(&mut self, command: &CreateGrant) -> String {
        let key = command.grant.email.key();
        if let Some(grant) = self.grants.get(&key) {
            return format!("existing {grant}");
        }
        if self.grants.len() >= self.grants_max {
            return format!("too many {}", self.grants_max);
        }
        self.grants.insert(key, command.grant.id);
        self.mailboxes.insert(command.grant.id, Mailbox::default());
        self.announce(command.grant.id, command.grant.event_id, Trigger::GrantCreated, None);
        format!("created {}", command.grant.id)
    }

    /// Removes a mailbox.
    pub fn remove(&mut self, command: &RemoveGrant) -> String {
        if !self.is_open(command.id) {
            return "false".into();
        }
        self.grants.retain(|_, grant| *grant != command.id);
        self.announce(command.id, command.event_id, Trigger::GrantDeleted, None);
        self.removed.insert(command.id);
        for (day, sent) in &self.mailboxes[&command.id].daily {
            if !self.is_planted(Plant::ForgetsRemovedSenders) {
                self.usage.entry(month_of(*day)).or_default()[1] += *sent as i64;
            }
        }
        "true".into()
    }

    /// Moves a mailbox into the workspace or out of it.
    pub fn assign(&mut self, command: &AssignGrants, grant: GrantId) -> String {
        if !self.is_open(grant) {
            return "unknown".into();
        }
        let goes_in = !command.assign.is_empty();
        let moves = if goes_in { self.outside.remove(&grant) } else { self.outside.insert(grant) };
        if moves {
            let id = event_id(&command.event_seed, grant, command.act.at);
            self.announce(grant, id, Trigger::GrantUpdated, None);
        }
        let (assigned, removed) =
            (Vec::from_iter(goes_in.then_some(grant)), Vec::from_iter((moves && !goes_in).then_some(grant)));
        format!("{assigned:?} {removed:?}")
    }

    /// Removes the content of removed mailboxes.
    pub fn prune(&mut self) {
        for grant in std::mem::take(&mut self.removed) {
            let mailbox = self.mailboxes.remove(&grant).unwrap_or_default();
            for message in mailbox.messages.values() {
                if !self.is_planted(Plant::KeepsBodies) {
                    self.release(message.blob);
                }
            }
        }
    }

    /// Files a received message.
    pub fn deliver(&mut self, command: &Deliver) -> String {
        let mut filed = Vec::new();
        for copy in command.copies.iter().map(|filing| &filing.copy) {
            if self.is_open(copy.grant_id) {
                self.file(command.blob.id(), &command.facts, copy, None);
                filed.push(copy.message_id);
            }
        }
        if !filed.is_empty() {
            self.blobs.insert(command.blob.id(), filed.len() as i64);
            let times = if self.is_planted(Plant::CountsEachCopy) { filed.len() as i64 } else { 1 };
            let month = month_of(command.facts.date.day().number());
            self.usage.entry(month).or_default()[2] += times * command.facts.octets as i64;
        }
        format!("{filed:?}")
    }

    /// Accepts a message for sending.
    pub fn submit(&mut self, command: &Submit) -> String {
        let grant = command.copy.grant_id;
        if !self.is_open(grant) {
            return "no such grant".into();
        }
        let day = command.facts.date.day().number();
        let is_outside = self.outside.contains(&grant) && !self.is_planted(Plant::KeepsLimits);
        let limit = if is_outside { self.plan_sends_max } else { self.daily_sends_max };
        let sent = self.mailboxes.entry(grant).or_default().daily.entry(day).or_default();
        if *sent >= limit {
            self.tell_quota(command, limit, None);
            return "daily_quota_exceeded".into();
        }
        *sent += 1;
        let used = *sent;
        let (blob, message) = (command.blob.id(), command.copy.message_id);
        let thread = self.file(blob, &command.facts, &command.copy, command.thread_id);
        self.blobs.insert(blob, 2);
        let octets = command.blob.octets() as i64;
        self.outbound.insert(message, Outbound { grant, blob, octets, quota_day: Some(day) });
        let usage = self.usage.entry(month_of(day)).or_default();
        (usage[0], usage[3]) = (usage[0] + 1, usage[3] + octets);
        for (id, recipient) in &command.recipients {
            let (recipient, due) = (recipient.to_string(), command.facts.date);
            self.queue.insert(*id, Row { message, recipient, due, attempts: 0, lease: None, owner: None });
        }
        self.tell_quota(command, limit, Some(used));
        format!("accepted {thread} {used} of {limit}")
    }

    /// Each line of a quota is told once a day, of a higher limit anew.
    fn tell_quota(&mut self, command: &Submit, limit: u64, used: Option<u64>) {
        let line = match used {
            None => (3, Trigger::QuotaExceeded),
            Some(used) if used >= limit => (2, Trigger::QuotaReached),
            Some(used) if used * 5 >= limit * 4 => (1, Trigger::QuotaWarning),
            Some(_) => return,
        };
        let (grant, day) = (command.copy.grant_id, command.facts.date.day().number());
        let told = self.mailboxes.entry(grant).or_default().told.entry(day).or_default();
        if limit > told.1 || told.0 < line.0 {
            *told = (line.0, limit);
            self.announce(grant, command.quota_event_id, line.1, None);
        }
    }

    fn file(&mut self, blob: BlobId, facts: &MessageFacts, copy: &MailboxCopy, given: Option<ThreadId>) -> ThreadId {
        self.announce(copy.grant_id, copy.event_id, Trigger::MessageCreated, Some(copy.message_id));
        let found = given.or_else(|| self.find_thread(copy.grant_id, facts));
        let counts_octets = !self.is_planted(Plant::ForgetsOctets);
        let mailbox = self.mailboxes.entry(copy.grant_id).or_default();
        mailbox.octets += if counts_octets { facts.octets } else { 0 };
        let thread = found.filter(|thread| mailbox.threads.contains_key(thread)).unwrap_or(copy.new_thread_id);
        mailbox.threads.entry(thread).or_insert_with(|| Thread::started_by(facts)).extend(facts);
        for key in own_keys(facts) {
            let date = mailbox.keys.entry(key).or_default().entry(thread).or_insert(facts.date);
            *date = facts.date.max(*date);
        }
        let (folder, unread, date) = (facts.folder, facts.unread, facts.date);
        mailbox.messages.insert(copy.message_id, Filed { thread, blob, folder, unread, date });
        thread
    }

    fn find_thread(&self, grant: GrantId, facts: &MessageFacts) -> Option<ThreadId> {
        let hints = &facts.thread;
        let look_up = |key: String| self.look_up(grant, &key);
        for id in looked_up(&hints.in_reply_to, &hints.references) {
            if let Some((thread, _)) = look_up(format!("id {id}")) {
                return Some(thread);
            }
        }
        let has_references = !hints.in_reply_to.is_empty() || !hints.references.is_empty();
        hints.correspondents.iter().find_map(|correspondent| {
            let (thread, latest) = look_up(subject_key(&hints.subject, correspondent))?;
            subject_may_join(&hints.subject, has_references, latest, facts.date).then_some(thread)
        })
    }

    fn look_up(&self, grant: GrantId, key: &str) -> Option<(ThreadId, UnixMicros)> {
        let everywhere = self.is_planted(Plant::JoinsAcrossMailboxes);
        let mailboxes = self.mailboxes.iter().filter(|(id, _)| everywhere || **id == grant);
        let found = mailboxes.filter_map(|(_, mailbox)| mailbox.keys.get(key)).flatten();
        found.map(|(thread, date)| (*thread, *date)).max_by_key(|(thread, date)| (*date, *thread))
    }

    /// Takes due rows, and with each what else is due of its message; all are at one destination here.
    pub fn claim(&mut self, command: &Claim) -> Vec<QueueId> {
        let mut due: Vec<_> =
            self.queue.iter().filter(|(_, row)| row.due <= command.now).map(|(id, row)| (row.due, *id)).collect();
        due.sort_unstable();
        let mut claimed = Vec::new();
        for (_, first) in due.into_iter().take(command.limit) {
            let message = self.queue[&first].message;
            for (id, row) in self.queue.iter_mut().filter(|(_, row)| row.message == message && row.due <= command.now) {
                let lease = &command.lease;
                (row.due, row.lease, row.owner) = (lease.until, Some(lease.id), Some(lease.owner.clone()));
                claimed.push(*id);
            }
        }
        claimed
    }

    /// Makes a node's rows due.
    pub fn release_leases(&mut self, owner: &str, now: UnixMicros) -> String {
        let mut released = 0;
        for row in self.queue.values_mut().filter(|row| row.owner.as_deref() == Some(owner)) {
            (row.due, row.lease, row.owner) = (now, None, None);
            released += 1;
        }
        format!("{released}")
    }

    /// Writes what came of an attempt.
    pub fn record(&mut self, command: &RecordAttempt) -> String {
        let lost: Vec<_> =
            command.reports.iter().filter(|report| !self.settle(command, report)).map(|report| report.id).collect();
        if self.outbound.contains_key(&command.message_id)
            && !self.queue.values().any(|row| row.message == command.message_id)
        {
            self.finish(command.message_id);
        }
        format!("{lost:?}")
    }

    fn settle(&mut self, command: &RecordAttempt, report: &Report) -> bool {
        let ignores_leases = self.is_planted(Plant::IgnoresLeases);
        let holds = |row: &&mut Row| ignores_leases || row.lease == Some(command.lease);
        let Some(row) = self.queue.get_mut(&report.id).filter(holds) else { return false };
        let outbound = self.outbound.get_mut(&command.message_id).expect("a queued message");
        let grant = outbound.grant;
        if report.reached {
            outbound.quota_day = None;
        }
        let trigger = match &report.after {
            AfterAttempt::RetryAt(due) => {
                (row.due, row.lease, row.owner) = (*due, None, None);
                row.attempts += 1;
                if !self.is_planted(Plant::AnnouncesRetries) {
                    return true;
                }
                Trigger::MessageBounced
            }
            AfterAttempt::Delivered => Trigger::MessageDelivered,
            AfterAttempt::Bounced(_) | AfterAttempt::Expired(_) => Trigger::MessageBounced,
            AfterAttempt::Suppressed(_) => Trigger::MessageRejected,
        };
        if !matches!(report.after, AfterAttempt::RetryAt(_)) {
            self.queue.remove(&report.id);
        }
        if self.is_open(grant) {
            self.announce(grant, report.event_id, trigger, Some(command.message_id));
        }
        true
    }

    fn finish(&mut self, message: MessageId) {
        let outbound = self.outbound.remove(&message).expect("a queued message");
        let given_back = outbound.quota_day.filter(|_| !self.is_planted(Plant::KeepsQuota));
        if let Some(day) = given_back {
            let is_gone = !self.is_open(outbound.grant);
            let usage = self.usage.entry(month_of(day)).or_default();
            (usage[0], usage[3]) = (usage[0] - 1, usage[3] - outbound.octets);
            usage[1] -= i64::from(is_gone);
        }
        if let Some(day) = given_back
            && let Some(mailbox) = self.mailboxes.get_mut(&outbound.grant)
        {
            *mailbox.daily.entry(day).or_default() -= 1;
        }
        self.release(outbound.blob);
    }

    fn release(&mut self, blob: BlobId) {
        if let Some(copies) = self.blobs.get_mut(&blob) {
            *copies -= 1;
        }
        self.blobs.retain(|_, copies| *copies > 0);
    }

    fn announce(&mut self, grant: GrantId, id: EventId, trigger: Trigger, message: Option<MessageId>) {
        let mailbox = self.mailboxes.entry(grant).or_default();
        mailbox.sequence += 1;
        let position = self.events.len() + 1;
        let sequence = mailbox.sequence;
        self.events.push(event_line(position as i64, id, grant, sequence, trigger, message));
    }

    /// Everything, as sorted lines; the store's are made by `programs`.
    pub fn picture(&self) -> BTreeSet<String> {
        let mut lines: BTreeSet<String> = self.events.iter().cloned().collect();
        lines.insert(format!("grants {}", self.grants.len()));
        let open = self.mailboxes.iter().filter(|(grant, _)| self.is_open(**grant));
        let stored: u64 = open.map(|(_, mailbox)| mailbox.octets).sum();
        // There is a row from the first message on.
        if !self.usage.is_empty() {
            lines.insert(format!("stored {stored}"));
        }
        lines.extend(self.usage.iter().map(|(month, usage)| usage_line(*month, *usage)));
        for (grant, mailbox) in &self.mailboxes {
            if self.is_open(*grant) {
                lines.insert(format!("mailbox {grant} {} {}", mailbox.octets, mailbox.sequence));
            }
            mailbox.draw(*grant, &mut lines);
        }
        lines.extend(self.blobs.iter().map(|(id, copies)| format!("blob {id} {copies}")));
        for (message, outbound) in &self.outbound {
            let open = self.queue.values().filter(|row| row.message == *message).count();
            lines.insert(format!("outbound {message} {} {open} {:?}", outbound.grant, outbound.quota_day));
        }
        for (id, row) in &self.queue {
            let (due, lease) = (row.due.as_micros(), row.lease.map(LeaseId::uuid));
            lines.insert(format!("queue {id} {} {} {due} {} {lease:?}", row.message, row.recipient, row.attempts));
        }
        lines
    }
}

impl Mailbox {
    fn draw(&self, grant: GrantId, lines: &mut BTreeSet<String>) {
        let mut newest_first: Vec<_> = self.messages.iter().map(|(id, filed)| (filed.date, *id)).collect();
        newest_first.sort_by(|one, two| two.cmp(one));
        for folder in ["", "inbox", "sent"] {
            let inside = |id: &MessageId| folder.is_empty() || self.messages[id].folder == folder;
            let ids: Vec<_> = newest_first.iter().map(|(_, id)| *id).filter(inside).collect();
            let unread = ids.iter().filter(|id| self.messages[id].unread).count();
            if !folder.is_empty() && !ids.is_empty() {
                lines.insert(format!("folder {grant} {folder} {} {unread}", ids.len()));
            }
            if !ids.is_empty() {
                lines.insert(format!("listing {grant} {folder:?} {ids:?}"));
            }
        }
        for (id, thread) in &self.threads {
            let Thread { subject, earliest, received, sent, sort } = thread;
            let totals = self.totals_of(*id);
            lines.insert(format!(
                "thread {grant} {id} {subject:?} {earliest:?} {received:?} {sent:?} {sort:?} {totals:?}"
            ));
        }
        lines.extend(self.messages.iter().map(|(id, filed)| format!("message {id} {}", filed.thread)));
        let spent = self.daily.iter().filter(|(_, sent)| **sent > 0);
        lines.extend(spent.map(|(day, sent)| format!("sent {grant} {day} {sent}")));
    }
}

impl Mailbox {
    /// What a thread adds up to: messages, unread ones, the latest, and how many are in each folder.
    fn totals_of(&self, thread: ThreadId) -> (i64, i64, Option<uuid::Uuid>, String) {
        let messages = || self.messages.iter().filter(|(_, filed)| filed.thread == thread);
        let latest = messages().max_by_key(|(id, filed)| (filed.date, **id)).map(|(id, _)| id.uuid());
        let mut folders: BTreeMap<&str, i64> = BTreeMap::new();
        for (_, filed) in messages() {
            *folders.entry(filed.folder).or_default() += 1;
        }
        let folders = serde_json::to_string(&folders).expect("folders");
        (messages().count() as i64, messages().filter(|(_, filed)| filed.unread).count() as i64, latest, folders)
    }
}

impl Thread {
    fn started_by(facts: &MessageFacts) -> Self {
        let (subject, date) = (facts.thread.subject.clone(), facts.date);
        Self { subject, earliest: date, received: None, sent: None, sort: date }
    }

    fn extend(&mut self, facts: &MessageFacts) {
        self.earliest = self.earliest.min(facts.date);
        if facts.outgoing {
            self.sent = self.sent.max(Some(facts.date));
            self.sort = if self.received.is_none() { self.sort.max(facts.date) } else { self.sort };
        } else {
            self.received = self.received.max(Some(facts.date));
            self.sort = self.received.unwrap_or(facts.date);
        }
    }
}

fn own_keys(facts: &MessageFacts) -> Vec<String> {
    let hints = &facts.thread;
    let mut keys: Vec<_> = hints.message_id.iter().map(|id| format!("id {id}")).collect();
    if base_subject(&hints.subject).chars().count() >= 3 {
        keys.extend(hints.correspondents.iter().map(|correspondent| subject_key(&hints.subject, correspondent)));
    }
    keys
}

fn subject_key(subject: &str, correspondent: &str) -> String {
    format!("subject {} {}", base_subject(subject), correspondent.to_lowercase())
}

/// How both sides spell an event.
pub fn event_line(
    position: i64,
    id: EventId,
    grant: GrantId,
    sequence: u64,
    trigger: Trigger,
    message: Option<MessageId>,
) -> String {
    format!("event {position} {id} {grant} {sequence} {} {message:?}", trigger.name())
}
