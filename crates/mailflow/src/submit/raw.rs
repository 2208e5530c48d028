//! From a message that somebody has written already to one that can be sent: what a mail client submits, and what the
//! interface takes as raw MIME.

use super::{Prepared, Terms, outbound_type};
use crate::platform::Platform;
use postfleet_core::id::MessageId;
use postfleet_core::{EmailAddress, Problem, UnixMicros, exchange};
use postfleet_mail::message;
use postfleet_mail::submission::{self, Completed};
use postfleet_mailbox::summary::{Person, Summary};
use postfleet_mailbox::view::Fields;
use postfleet_store::grants::Grant;

/// Who gets a message that is written already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Envelope {
    /// Everyone whom To, Cc and Bcc name.
    OfHeader,
    /// These, whatever the header says.
    Given(Vec<EmailAddress>),
}

/// Completes the message and looks at it. `field` is what a refusal names.
pub fn prepare(
    platform: &Platform,
    grant: &Grant,
    message: &[u8],
    envelope: Envelope,
    field: &str,
) -> Result<Prepared, Problem> {
    prepare_for(platform, grant, message, envelope, (field, platform.clock.now()))
}

/// As [`prepare`], of a message that leaves at a time: if it has no date, that is its date.
pub(crate) fn prepare_for(
    platform: &Platform,
    grant: &Grant,
    message: &[u8],
    envelope: Envelope,
    (field, leaves_at): (&str, UnixMicros),
) -> Result<Prepared, Problem> {
    let now = platform.clock.now();
    let message_id = MessageId::new(now, platform.entropy.ten());
    let completed = submission::complete(message, leaves_at, &format!("{message_id}@{}", grant.email.domain()))
        .map_err(|error| Problem::invalid(field, format!("{field}: {error}")))?;
    check_author(grant, &completed, field)?;
    let recipients = match envelope {
        Envelope::Given(recipients) => recipients,
        Envelope::OfHeader => of_header(&completed, field)?,
    };
    let Completed { raw, view, unclear: _ } = completed;
    let mut summary = Summary::of(&view);
    summary.bcc = unseen(&view, &recipients);
    let outbound_type = outbound_type(false, &summary);
    Ok(Prepared {
        message_id,
        text: exchange::compared(&message::body(&raw)).to_owned(),
        raw,
        recipients,
        summary,
        thread_id: None,
        answers: None,
        own_thread_id: None,
        outbound_type,
        starred: false,
        date: now,
        shown: Fields::Standard,
        terms: Terms::default(),
        content: None,
        from_draft: None,
        by: None,
    })
}

/// The author is the mailbox, and nobody else is named as the one who sent it.
fn check_author(grant: &Grant, completed: &Completed, field: &str) -> Result<(), Problem> {
    let own = grant.email.key();
    match completed.view.from.as_slice() {
        [from] if EmailAddress::parse(&from.email).is_ok_and(|email| email.key() == own) => Ok(()),
        _ => {
            let text = format!("{field}: From must be the account's own address {} and nothing else", grant.email);
            Err(Problem::invalid(field, text))
        }
    }
}

fn of_header(completed: &Completed, field: &str) -> Result<Vec<EmailAddress>, Problem> {
    if let Some(header) = completed.unclear {
        let text =
            format!("{field}: {header} must be addresses, or names with addresses in angle brackets, and commas");
        return Err(Problem::invalid(field, text));
    }
    let people = [("To", &completed.view.to), ("Cc", &completed.view.cc), ("Bcc", &completed.view.bcc)];
    let named = people.into_iter().flat_map(|(header, people)| people.iter().map(move |person| (header, person)));
    let parse = |(header, person): (&str, &postfleet_mail::Participant)| {
        EmailAddress::parse(&person.email)
            .map_err(|error| Problem::invalid(field, format!("{field}: {header} has {:?}: {error}", person.email)))
    };
    named.map(parse).collect()
}

/// Those who get the message without being in To or Cc.
fn unseen(view: &postfleet_mail::message::MessageView, recipients: &[EmailAddress]) -> Vec<Person> {
    let seen: Vec<String> = view.to.iter().chain(&view.cc).map(|person| person.email.to_ascii_lowercase()).collect();
    let unseen = recipients.iter().map(EmailAddress::to_string).filter(|one| !seen.contains(&one.to_ascii_lowercase()));
    unseen.map(|email| Person { name: String::new(), email }).collect()
}
