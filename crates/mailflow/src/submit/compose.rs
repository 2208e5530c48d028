//! From the fields of a request to a message that can be sent.

use super::once::{self, Terms};
use super::{Prepared, outbound_type, unsubscribe};
use crate::platform::Platform;
use postfleet_core::audit::Author;
use postfleet_core::id::MessageId;
use postfleet_core::{Domain, EmailAddress, Problem, UnixMicros, exchange, metadata};
use postfleet_mail::compose::{self, Attachment, Compose};
use postfleet_mail::{Participant, message};
use postfleet_mailbox::messages::with_message_id;
use postfleet_mailbox::summary::{Person, Summary, Tracking};
use postfleet_mailbox::view::Fields;
use postfleet_store::grants::Grant;
use postfleet_store::messages::{self, StoredMessage};
use std::collections::BTreeMap;

/// A message that a mailbox wants to send.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// To.
    pub to: Vec<Participant>,
    /// At most one, which must be the mailbox's own address.
    pub from: Vec<Participant>,
    /// Cc.
    pub cc: Vec<Participant>,
    /// Bcc.
    pub bcc: Vec<Participant>,
    /// Reply-To.
    pub reply_to: Vec<Participant>,
    /// The subject.
    pub subject: String,
    /// HTML, or plain text.
    pub body: String,
    /// Whether the body is plain text.
    pub is_plaintext: bool,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// The message of this mailbox that is answered: its id, or its Message-ID.
    pub reply_to_message_id: Option<String>,
    /// Further header fields.
    pub custom_headers: Vec<(String, String)>,
    /// Key and value pairs of the application.
    pub metadata: BTreeMap<String, String>,
    /// What the application wants to be told of; kept, and nothing is tracked.
    pub tracking: Option<Tracking>,
    /// The id that the message has already, if it is a draft.
    pub message_id: Option<MessageId>,
    /// Whether the sent copy has a star.
    pub starred: bool,
    /// What the answer shows of the sent copy.
    pub shown: Fields,
    /// Whether it has a link by which its one recipient wants no more mail.
    pub has_unsubscribe_link: bool,
    /// The purpose for which everybody who gets it must have agreed to mail, if one is named.
    pub require_opt_in: Option<String>,
    /// What the caller says about repeats.
    pub terms: Terms,
    /// Who sends it; `None` if the mailbox itself does.
    pub by: Option<Author>,
}

/// Characters of the label in the tracking options.
pub const TRACKING_LABEL_CHARS_MAX: usize = 2_048;

/// Writes the message.
pub async fn prepare(platform: &Platform, grant: &Grant, mut outgoing: Outgoing) -> Result<Prepared, Problem> {
    let now = platform.clock.now();
    let recipients = recipients(&outgoing)?;
    check_unsent(&outgoing)?;
    let from = author(grant, &outgoing)?;
    let answered = answered(platform, grant, &outgoing).await?;
    let message_id = outgoing.message_id.unwrap_or_else(|| MessageId::new(now, platform.entropy.ten()));
    // Before the link is in it, which is another one each time.
    let content = Some(once::content(&outgoing));
    if outgoing.has_unsubscribe_link {
        unsubscribe::check(platform, &recipients, outgoing.custom_headers.iter().map(|(name, _)| name.as_str()))?;
        outgoing.custom_headers.extend(unsubscribe::fields(platform, grant, message_id, &recipients)?);
    }
    let bcc = outgoing.bcc.iter().map(Person::from).collect();
    let (metadata, tracking) = (std::mem::take(&mut outgoing.metadata), outgoing.tracking.take());
    let require_opt_in = outgoing.require_opt_in.take();
    let text = exchange::compared(&outgoing.body).to_owned();
    let (shown, terms, by) = (outgoing.shown, std::mem::take(&mut outgoing.terms), outgoing.by.take());
    let starred = outgoing.starred;
    let raw = write(platform, outgoing, from, answered.as_ref(), message_id, grant, now)?;
    let mut summary = Summary::of(&message::view(&raw));
    let outbound_type = outbound_type(answered.is_some(), &summary);
    summary = Summary { bcc, metadata, tracking, require_opt_in, ..summary };
    let (thread_id, answers) = answered.map(|message| (message.thread_id, message.id)).unzip();
    let from_draft = None;
    Ok(Prepared {
        message_id,
        raw,
        recipients,
        summary,
        thread_id,
        answers,
        own_thread_id: None,
        outbound_type,
        starred,
        date: now,
        shown,
        terms,
        content,
        from_draft,
        text,
        by,
    })
}

/// A message that stays as it is written: of the fields, what does not travel with it counts.
pub(crate) fn written(platform: &Platform, raw: Vec<u8>, outgoing: Outgoing) -> Result<Prepared, Problem> {
    check_unsent(&outgoing)?;
    let date = platform.clock.now();
    let message_id = outgoing.message_id.unwrap_or_else(|| MessageId::new(date, platform.entropy.ten()));
    let bcc: Vec<Person> = outgoing.bcc.iter().map(Person::from).collect();
    let (metadata, tracking, require_opt_in) = (outgoing.metadata, outgoing.tracking, outgoing.require_opt_in);
    let summary = Summary { bcc, metadata, tracking, require_opt_in, ..Summary::of(&message::view(&raw)) };
    let people = |people: &[Person]| people.iter().map(Participant::from).collect();
    let (to, cc, bcc) = (people(&summary.to), people(&summary.cc), people(&summary.bcc));
    let recipients = recipients(&Outgoing { to, cc, bcc, ..Outgoing::default() })?;
    Ok(Prepared {
        message_id,
        recipients,
        outbound_type: outbound_type(false, &summary),
        text: exchange::compared(&message::body(&raw)).to_owned(),
        raw,
        summary,
        thread_id: None,
        answers: None,
        own_thread_id: None,
        starred: outgoing.starred,
        date,
        shown: outgoing.shown,
        terms: outgoing.terms,
        content: None,
        from_draft: None,
        by: outgoing.by,
    })
}

/// Everyone whom the fields name.
fn recipients(outgoing: &Outgoing) -> Result<Vec<EmailAddress>, Problem> {
    let headers = [("to", &outgoing.to), ("cc", &outgoing.cc), ("bcc", &outgoing.bcc)];
    let mut recipients = Vec::with_capacity(headers.iter().map(|(_, people)| people.len()).sum());
    for (header, people) in headers {
        for (index, person) in people.iter().enumerate() {
            let field = format!("{header}[{index}].email");
            let address = EmailAddress::parse(&person.email)
                .map_err(|error| Problem::invalid(&field, format!("{field} is not an address: {error}")))?;
            recipients.push(address);
        }
    }
    Ok(recipients)
}

/// What is kept beside the message and does not travel with it.
fn check_unsent(outgoing: &Outgoing) -> Result<(), Problem> {
    metadata::check(outgoing.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())))?;
    let Some(tracking) = &outgoing.tracking else { return Ok(()) };
    if tracking.label.as_ref().is_some_and(|label| label.chars().count() > TRACKING_LABEL_CHARS_MAX) {
        let field = "tracking_options.label";
        return Err(Problem::invalid(
            field,
            format!("{field} must have at most {TRACKING_LABEL_CHARS_MAX} characters"),
        ));
    }
    if let Some(Err(error)) = tracking.domain_name.as_deref().map(Domain::parse) {
        let field = "tracking_options.domain_name";
        return Err(Problem::invalid(field, format!("{field} is not a domain name of 1 to 253 characters: {error}")));
    }
    Ok(())
}

/// The From: the mailbox's own address, with its name unless another one is given.
fn author(grant: &Grant, outgoing: &Outgoing) -> Result<Participant, Problem> {
    let own = || Participant { name: grant.name.clone(), email: grant.email.to_string() };
    match outgoing.from.as_slice() {
        [] => Ok(own()),
        [from] if EmailAddress::parse(&from.email).is_ok_and(|email| email.key() == grant.email.key()) => {
            let name = if from.name.is_empty() { grant.name.clone() } else { from.name.clone() };
            Ok(Participant { name, ..own() })
        }
        [from] => {
            let text = format!("from[0].email must be the account's own address {}, not {}", grant.email, from.email);
            Err(Problem::invalid("from[0].email", text))
        }
        _ => Err(Problem::invalid("from", "from must have at most one entry")),
    }
}

/// The message that is answered, if one is named.
async fn answered(platform: &Platform, grant: &Grant, outgoing: &Outgoing) -> Result<Option<StoredMessage>, Problem> {
    let Some(id) = outgoing.reply_to_message_id.as_deref().filter(|id| !id.is_empty()) else { return Ok(None) };
    let unknown = || Problem::invalid("reply_to_message_id", "reply_to_message_id is not a message of this account");
    let found = match id.parse::<MessageId>() {
        Ok(id) => messages::find(&mut platform.store.reader().await?, grant.id, id).await?,
        Err(_) if id.contains('@') => {
            let bare = id.trim().trim_start_matches('<').trim_end_matches('>');
            with_message_id(&platform.store, grant.id, bare).await?
        }
        Err(_) => None,
    };
    found.filter(|message| !message.draft).map(Some).ok_or_else(unknown)
}

fn write(
    platform: &Platform,
    outgoing: Outgoing,
    from: Participant,
    answered: Option<&StoredMessage>,
    id: MessageId,
    grant: &Grant,
    now: UnixMicros,
) -> Result<Vec<u8>, Problem> {
    let answered = answered.map(|message| Summary::from_json(&message.summary)).unwrap_or_default();
    let references = answered.references.into_iter().chain(answered.message_id.clone()).collect();
    let message = Compose {
        from,
        to: outgoing.to,
        cc: outgoing.cc,
        bcc: outgoing.bcc,
        reply_to: outgoing.reply_to,
        subject: outgoing.subject,
        body: outgoing.body,
        is_plaintext: outgoing.is_plaintext,
        attachments: outgoing.attachments,
        in_reply_to: answered.message_id,
        references,
        custom_headers: outgoing.custom_headers,
        date: now,
        message_id: format!("{id}@{}", grant.email.domain()),
        boundary_seed: platform.entropy.sixteen(),
    };
    compose::compose(&message).map_err(|error| {
        // A message has one author, a request a list of at most one.
        let field = match error.field.strip_prefix("from.") {
            Some(rest) => format!("from[0].{rest}"),
            None => error.field,
        };
        Problem::invalid(&field, format!("{field}: {}", error.reason))
    })
}
