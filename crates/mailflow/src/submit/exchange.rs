//! What a message is to the conversation that it goes on with, found out before it is accepted: whether it answers itself,
//! or answers a machine as a machine, and how many mailboxes of the installation have answered one another in turn. Whether
//! that is a loop is decided where it is accepted.

use super::Prepared;
use crate::platform::Platform;
use postfleet_core::id::ThreadId;
use postfleet_core::rule::OutboundType;
use postfleet_core::{EmailAddress, Problem, ProblemKind, UnixMicros, exchange};
use postfleet_mail::exchange::{self as fields, Hops};
use postfleet_mail::message::MessageView;
use postfleet_mailbox::messages::{load, with_message_id};
use postfleet_mailbox::summary::{Person, Summary};
use postfleet_store::grants::Grant;
use postfleet_store::messages::StoredMessage;
use postfleet_store::stops;
use postfleet_store::threads::{self, ThreadHints};

/// The code of the refusal of an answer to oneself.
pub const ANSWERS_ITSELF: &str = "answers_itself";

/// The code of the refusal of an automatic answer to what no machine should answer.
pub const AUTOMATIC_ANSWER_REFUSED: &str = "automatic_answer_refused";

/// What a message goes on with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Continued {
    /// The conversation, if it is known.
    pub(super) thread_id: Option<ThreadId>,
    /// How many mailboxes of the installation have answered in turn, with this one; 0 for what begins a conversation.
    pub(super) hops: u64,
}

/// How the conversation stands that a message goes on with.
pub(super) async fn continued(
    platform: &Platform,
    grant: &Grant,
    (outbound_type, named): (OutboundType, Option<ThreadId>),
    hints: &ThreadHints,
    now: UnixMicros,
) -> Result<Continued, Problem> {
    let answers = outbound_type == OutboundType::Reply;
    if !answers && (named.is_some() || !postfleet_core::threading::is_marked(&hints.subject)) {
        return Ok(Continued { thread_id: named, hops: 0 });
    }
    let mut reader = platform.store.reader().await?;
    let found = threads::standing(&mut reader, grant.id, named, hints, now).await?;
    let Some(found) = found else { return Ok(Continued { thread_id: named, hops: u64::from(answers) }) };
    let limits = &platform.settings.loops;
    let mut hops = exchange::hops(found.hops, found.received_at, now, limits.rest);
    // Below that there was no loop yet that anybody could have let go on.
    if hops * 2 > limits.hops {
        // Whoever let the conversation go on has seen what was answered until then.
        let resumed_at = stops::resumed_at(&mut reader, grant.id, found.thread_id).await?;
        let is_seen = |resumed_at: UnixMicros| found.received_at.is_none_or(|received_at| received_at <= resumed_at);
        hops = if resumed_at.is_some_and(is_seen) { 1 } else { hops };
    }
    Ok(Continued { thread_id: Some(found.thread_id), hops })
}

/// The message with the count of answers on it.
pub(super) fn counted(
    platform: &Platform,
    raw: Vec<u8>,
    (hops, now): (u64, UnixMicros),
    message_id: Option<&str>,
) -> Vec<u8> {
    match message_id {
        Some(id) if hops > 0 => {
            let at = now.as_seconds();
            fields::with_hops(&raw, &Hops { count: hops, at, mark: platform.keys.hop_mark((hops, at), id) })
        }
        _ => raw,
    }
}

/// The count that an answer to a received message has, and when it was counted, if the message is of this installation.
/// What others write there is not believed.
pub(crate) fn hops_of_answer(platform: &Platform, raw: &[u8], view: &MessageView) -> Option<(u64, UnixMicros)> {
    let Hops { count, at, mark } = fields::hops(raw)?;
    let is_ours = platform.keys.is_hop_mark(&mark, (count, at), view.message_id.as_deref()?);
    is_ours.then(|| (count + 1, UnixMicros::from_seconds(at)))
}

/// Refuses an answer to oneself, and an automatic answer to what no machine should answer (RFC 3834 §2). Other messages
/// cost a look at the header of those that answer.
pub(super) async fn check(platform: &Platform, grant: &Grant, prepared: &Prepared) -> Result<(), Problem> {
    if prepared.outbound_type != OutboundType::Reply {
        return Ok(());
    }
    let own = grant.email.key();
    let is_to_itself = prepared.recipients.iter().all(|recipient| recipient.key() == own);
    let is_automatic = fields::is_automatic(&prepared.raw);
    if !is_to_itself && !is_automatic {
        return Ok(());
    }
    let Some((answered, raw)) = answered(platform, grant, &prepared.summary).await? else { return Ok(()) };
    let why = fields::why_unanswered(&raw);
    let is_own = answered.outgoing || wrote(&Summary::from_json(&answered.summary).from, &own);
    if is_to_itself && (is_own || why.is_some()) {
        let text = "an account does not answer itself: the only recipient is the account, and the message that is \
            answered is its own or a machine's";
        return Err(Problem { field: Some("to".into()), ..Problem::new(ProblemKind::Invalid, ANSWERS_ITSELF, text) });
    }
    match why {
        Some(why) if is_automatic => {
            let text = format!("no automatic answer is sent to this message: {why} (RFC 3834)");
            Err(Problem::new(ProblemKind::Invalid, AUTOMATIC_ANSWER_REFUSED, text))
        }
        _ => Ok(()),
    }
}

fn wrote(people: &[Person], key: &str) -> bool {
    people.iter().any(|person| EmailAddress::parse(&person.email).is_ok_and(|email| email.key() == key))
}

/// The message of the mailbox that is answered, with its raw form.
async fn answered(
    platform: &Platform,
    grant: &Grant,
    summary: &Summary,
) -> Result<Option<(StoredMessage, Vec<u8>)>, Problem> {
    let Some(id) = summary.in_reply_to.as_ref().or(summary.references.last()) else { return Ok(None) };
    let Some(found) = with_message_id(&platform.store, grant.id, id).await? else { return Ok(None) };
    load(&platform.store, &mut platform.store.reader().await?, grant.id, found.id).await
}
