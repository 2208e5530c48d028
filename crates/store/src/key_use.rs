//! What may be sent with a key: how that is kept, what is read of it when a message is sent with the key, and whom the
//! key wrote to before. A key that may send everything costs nothing but the columns that are read with the rest.

use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use crate::refusals;
use crate::threads::{self, ThreadHints};
use postfleet_core::capability::{Capabilities, Conversation, KNOWN_DAYS, KeyUse, Sending};
use postfleet_core::id::{ApplicationId, GrantId, KeyId, ThreadId};
use postfleet_core::suppression::Suppressed;
use postfleet_core::{Domain, EmailAddress, Problem, UnixMicros, UtcDay, permission};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Capabilities as they are kept. Nothing is kept of a key that may send everything.
#[derive(Serialize, Deserialize)]
struct Kept {
    sending: String,
    recipient_domains: Option<Vec<String>>,
    new_recipients_per_day: Option<u64>,
    attachments: bool,
}

pub(crate) fn write(capabilities: &Capabilities) -> Option<String> {
    capabilities.is_limited().then(|| snapshot(capabilities).to_string())
}

/// The same for the record of changes.
pub(crate) fn snapshot(capabilities: &Capabilities) -> Value {
    let domains = capabilities.recipient_domains.as_ref();
    let kept = Kept {
        sending: capabilities.sending.name().to_owned(),
        recipient_domains: domains.map(|domains| domains.iter().map(|domain| domain.as_str().to_owned()).collect()),
        new_recipients_per_day: capabilities.new_recipients_per_day,
        attachments: capabilities.attachments,
    };
    json!(kept)
}

pub(crate) fn read(text: Option<&str>) -> Result<Capabilities, DbError> {
    let Some(text) = text else { return Ok(Capabilities::default()) };
    let malformed = || DbError::Malformed("capabilities");
    let kept: Kept = serde_json::from_str(text).map_err(|_| malformed())?;
    let domain = |text: &String| Domain::parse(text).map_err(|_| malformed());
    Ok(Capabilities {
        sending: Sending::named(&kept.sending).ok_or_else(malformed)?,
        recipient_domains: kept.recipient_domains.map(|all| all.iter().map(domain).collect()).transpose()?,
        new_recipients_per_day: kept.new_recipients_per_day,
        attachments: kept.attachments,
    })
}

/// The key with which a message is sent, as the columns of the key have it.
pub(crate) struct Key {
    id: KeyId,
    name: String,
    capabilities: Capabilities,
}

/// How many columns `columns!` names.
pub(crate) const COLUMNS: usize = 3;

/// What is read of the key `ak`, which may be missing.
macro_rules! columns {
    () => {
        "ak.name, ak.capabilities, ak.permissions"
    };
}
pub(crate) use columns;

/// Reads the columns of `columns!`, of which the first is at `first`; `None` of a key that may send everything. What is
/// released at its time nobody asks for then, so the key's permission is asked for, too.
pub(crate) fn of_row(
    row: &crate::db::Row,
    first: usize,
    id: Option<KeyId>,
    is_release: bool,
) -> Result<Option<Key>, DbError> {
    let (Some(id), Some(name)) = (id, row.opt_text(first)?) else { return Ok(None) };
    let mut capabilities = read(row.opt_text(first + 1)?.as_deref())?;
    if is_release {
        let permissions = crate::keys::read_permissions(row.str(first + 2)?)?;
        if !permission::allows(permissions.iter().map(String::as_str), "messages.send") {
            capabilities.sending = Sending::Nothing;
        }
    }
    Ok(capabilities.is_limited().then_some(Key { id, name, capabilities }))
}

/// What the summary of a message says that matters here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    from: Vec<Person>,
    to: Vec<Person>,
    cc: Vec<Person>,
    reply_to: Vec<Person>,
    attachments: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Person {
    email: String,
}

fn key_of(email: &str) -> Option<String> {
    EmailAddress::parse(email).ok().map(|address| address.key())
}

/// A message that is to be sent with a key.
pub(crate) struct Message<'a> {
    pub(crate) grant_id: GrantId,
    pub(crate) sender: &'a EmailAddress,
    pub(crate) recipients: Vec<EmailAddress>,
    pub(crate) summary: &'a str,
    /// The thread of what it answers, if that was named.
    pub(crate) thread_id: Option<ThreadId>,
    pub(crate) hints: &'a ThreadHints,
    pub(crate) date: UnixMicros,
}

impl Key {
    /// What the decision needs to know of this use of the key. Where new recipients are counted, the count of the day is
    /// locked until the end of the transaction, so that no other send with the key is judged by the same one.
    pub(crate) async fn used(
        &self,
        tx: &mut Tx,
        message: Message<'_>,
        suppressed: &[Suppressed],
    ) -> Result<KeyUse, DbError> {
        let (own, day) = (message.sender.key(), message.date.day());
        let seen: Seen = serde_json::from_str(message.summary).unwrap_or_default();
        let is_foreign = |person: &Person| key_of(&person.email).is_none_or(|key| key != own);
        let mut using = KeyUse {
            name: self.name.clone(),
            capabilities: self.capabilities.clone(),
            recipients: message.recipients,
            reply_to: seen.reply_to.into_iter().filter(is_foreign).map(|person| person.email).collect(),
            attachments: seen.attachments.len(),
            conversation: Conversation::default(),
            new_recipients: Vec::new(),
            new_today: 0,
            resets_at: day.end(),
        };
        if !self.capabilities.asks_for_conversation() {
            return Ok(using);
        }
        let grant = message.grant_id;
        let thread = match message.thread_id {
            Some(thread) => Some(thread),
            None => threads::answered(tx, grant, message.hints).await?,
        };
        if let Some(thread) = thread {
            using.conversation = conversation(tx, grant, thread, &own).await?;
        }
        if self.capabilities.new_recipients_per_day.is_some() {
            let is_written_to = |address: &&EmailAddress| suppressed.iter().all(|one| one.address != **address);
            let strangers = using.recipients.iter().filter(is_written_to);
            let strangers = strangers.filter(|address| !using.conversation.people.contains(&address.key()));
            let strangers: Vec<EmailAddress> = strangers.cloned().collect();
            (using.new_recipients, using.new_today) = self.never_written_to(tx, strangers, day).await?;
        }
        Ok(using)
    }

    /// Those to whom nothing was sent with the key before, and how many such there were on the day.
    async fn never_written_to(
        &self,
        tx: &mut Tx,
        strangers: Vec<EmailAddress>,
        day: UtcDay,
    ) -> Result<(Vec<EmailAddress>, u64), DbError> {
        const HOLD: &str = "INSERT INTO key_days (key_id, day, new_recipients) VALUES ($1, $2, 0) \
            ON CONFLICT (key_id, day) DO UPDATE SET new_recipients = key_days.new_recipients";
        const COUNT: &str = "SELECT new_recipients FROM key_days WHERE key_id = $1 AND day = $2";
        let unknown = self.unknown(tx, strangers, day).await?;
        if unknown.is_empty() {
            return Ok((unknown, 0));
        }
        tx.execute(HOLD, params![self.id.uuid(), day.number()]).await?;
        // Another send may have made them known while this one waited.
        let unknown = self.unknown(tx, unknown, day).await?;
        let row = tx.query_one(COUNT, params![self.id.uuid(), day.number()]).await?;
        let used = row.map(|row| row.int(0)).transpose()?.unwrap_or(0);
        Ok((unknown, used.max(0) as u64))
    }

    async fn unknown(
        &self,
        tx: &mut Tx,
        addresses: Vec<EmailAddress>,
        day: UtcDay,
    ) -> Result<Vec<EmailAddress>, DbError> {
        if addresses.is_empty() {
            return Ok(addresses);
        }
        let keys = addresses.iter().map(|address| json!([address.key()])).collect::<Value>().to_string();
        let since = day.number() - KNOWN_DAYS;
        let rows = tx.query(KNOWN, params![self.id.uuid(), &keys, since]).await?;
        let known = rows.iter().map(|row| row.text(0)).collect::<Result<HashSet<String>, DbError>>()?;
        Ok(addresses.into_iter().filter(|address| !known.contains(&address.key())).collect())
    }

    /// Counts the new recipients of a message that is accepted, and knows them from now on.
    pub(crate) async fn count(&self, tx: &mut Tx, using: &KeyUse, day: UtcDay) -> Result<(), DbError> {
        const KNOW: &str = "INSERT INTO key_recipients (key_id, address_key, day) VALUES ($1, $2, $3) \
            ON CONFLICT (key_id, address_key) DO UPDATE SET day = excluded.day";
        const COUNT: &str = "UPDATE key_days SET new_recipients = $3 WHERE key_id = $1 AND day = $2";
        if using.new_recipients.is_empty() {
            return Ok(());
        }
        for address in &using.new_recipients {
            tx.execute(KNOW, params![self.id.uuid(), &address.key(), day.number()]).await?;
        }
        tx.execute(COUNT, params![self.id.uuid(), day.number(), using.new_after() as i64]).await?;
        Ok(())
    }
}

pub(crate) const KNOWN: &str = "SELECT address_key FROM key_recipients WHERE key_id = $1 \
    AND address_key IN (SELECT e.value ->> 0 FROM {json_each}($2) AS e) AND day >= $3";
pub(crate) const CONVERSATION: &str = "SELECT outgoing, summary FROM messages \
    WHERE thread_id = $1 AND grant_id = $2 AND draft = 0 ORDER BY date DESC, id DESC LIMIT 200";
pub(crate) const OLD_RECIPIENTS: &str =
    "SELECT key_id, address_key FROM key_recipients WHERE day < $1 ORDER BY day LIMIT $2";
pub(crate) const OLD_DAYS: &str = "SELECT key_id, day FROM key_days WHERE day < $1 ORDER BY day LIMIT $2";

/// Those who are in a conversation, as its latest messages have them: whoever wrote, and whom they name. Of what the
/// mailbox wrote itself, those it went to: it cannot let anybody in by naming them elsewhere.
async fn conversation(tx: &mut Tx, grant: GrantId, thread: ThreadId, own: &str) -> Result<Conversation, DbError> {
    let mut conversation = Conversation::default();
    for row in tx.query(CONVERSATION, params![thread.uuid(), grant.uuid()]).await? {
        let seen: Seen = serde_json::from_str(row.str(1)?).unwrap_or_default();
        let is_own = row.flag(0)? || seen.from.iter().any(|person| key_of(&person.email).is_none_or(|key| key == own));
        conversation.is_received |= !is_own;
        let received = if is_own { [Vec::new(), Vec::new()] } else { [seen.from, seen.reply_to] };
        let people = [seen.to, seen.cc].into_iter().chain(received).flatten();
        conversation.people.extend(people.filter_map(|person| key_of(&person.email)));
    }
    Ok(conversation)
}

/// Asks whether a message may be sent later with a key, as far as that is known now: how many new recipients there are is
/// counted on the day. It is asked again when it is sent.
#[derive(Clone, Debug)]
pub struct JudgeKey {
    /// The key.
    pub by: KeyId,
    /// Its application.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// Its address.
    pub sender: EmailAddress,
    /// The envelope.
    pub recipients: Vec<EmailAddress>,
    /// What lists show of the message.
    pub summary: String,
    /// The thread of what it answers, if that was named.
    pub thread_id: Option<ThreadId>,
    /// What it says it answers.
    pub hints: ThreadHints,
    /// Now.
    pub at: UnixMicros,
}

impl Command for JudgeKey {
    /// Why it may not be sent.
    type Outcome = Option<Problem>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Problem>, DbError> {
        const FIND: &str =
            concat!("SELECT ", columns!(), " FROM api_keys ak WHERE ak.id = $1 AND ak.application_id = $2");
        let found = tx.query_one(FIND, params![self.by.uuid(), self.application_id.uuid()]).await?;
        let key = found.map(|row| of_row(&row, 0, Some(self.by), false)).transpose()?.flatten();
        let Some(Key { id, name, capabilities }) = key else { return Ok(None) };
        let key = Key { id, name, capabilities: Capabilities { new_recipients_per_day: None, ..capabilities } };
        let message = Message {
            grant_id: self.grant_id,
            sender: &self.sender,
            recipients: self.recipients.clone(),
            summary: &self.summary,
            thread_id: self.thread_id,
            hints: &self.hints,
            date: self.at,
        };
        let refusal = key.used(tx, message, &[]).await?.refusals().into_iter().next();
        if let Some(problem) = &refusal {
            refusals::record(tx, self.grant_id, problem, Some(self.by), self.at).await?;
        }
        Ok(refusal)
    }
}

/// Forgets whom keys wrote to long ago, and counts of days that are over.
#[derive(Clone, Copy, Debug)]
pub struct PruneKeyUse {
    /// The present day.
    pub today: UtcDay,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneKeyUse {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const FORGET: &str = "DELETE FROM key_recipients WHERE key_id = $1 AND address_key = $2";
        const REMOVE: &str = "DELETE FROM key_days WHERE key_id = $1 AND day = $2";
        let known_since = self.today.number() - KNOWN_DAYS;
        let recipients = tx.query(OLD_RECIPIENTS, params![known_since, self.limit as i64]).await?;
        for row in &recipients {
            tx.execute(FORGET, params![row.uuid(0)?, row.str(1)?]).await?;
        }
        // Nodes may be a little apart about which day it is.
        let days = tx.query(OLD_DAYS, params![self.today.number() - 1, self.limit as i64]).await?;
        for row in &days {
            tx.execute(REMOVE, params![row.uuid(0)?, row.int(1)?]).await?;
        }
        Ok((recipients.len() + days.len()) as u64)
    }
}
