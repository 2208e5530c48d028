//! What a message that has arrived may be: its size and its attachments, by the limits of each mailbox.

use super::recipients::meters_of;
use super::refusals;
use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::recipient::{InboundFacts, accepts, has_room};
use postfleet_core::refused_mail::{Outcome, outcome};
use postfleet_mail::message::MessageView;
use postfleet_store::Reader;
use postfleet_store::grants::Mailbox;
use postfleet_store::refused_mail::{Concerning, NewRefusal};
use std::sync::Arc;

/// Leaves the mailboxes whose limits the message keeps to, and answers what the others refuse. The message has one answer for
/// all (docs/adr/0010): if none is left, it is the reason of the first; otherwise the copies of the others are dropped.
pub(super) async fn keep_accepting(
    platform: &Platform,
    mailboxes: &mut Vec<Mailbox>,
    octets: u64,
    (view, concerning): (&MessageView, &Arc<Concerning>),
) -> Result<Vec<NewRefusal>, Problem> {
    let (mut accepting, mut refused) = (Vec::with_capacity(mailboxes.len()), Vec::new());
    let mut reader = platform.store.reader().await?;
    for mailbox in mailboxes.drain(..) {
        match exceeded(platform, &mut reader, &mailbox, (view, octets)).await? {
            None => accepting.push(mailbox),
            Some(problem) => refused.push((mailbox, problem)),
        }
    }
    drop(reader);
    *mailboxes = accepting;
    let is_dropped = !mailboxes.is_empty();
    let told = refused.first().map(|(_, problem)| problem.clone()).filter(|_| !is_dropped);
    let refusal = |(mailbox, problem): (Mailbox, Problem)| {
        let what = (if is_dropped { Outcome::Dropped } else { outcome(&problem) }, problem);
        refusals::refusal(platform, concerning, &mailbox, what, None)
    };
    let refused: Vec<NewRefusal> = refused.into_iter().map(refusal).collect();
    if let Some(problem) = told {
        refusals::record(platform, refused).await;
        return Err(problem);
    }
    for NewRefusal { grant_id, problem, .. } in &refused {
        tracing::warn!(grant = %grant_id, code = problem.code, "a copy was dropped: the mailbox does not take the message");
        platform.metrics.received(problem.code);
    }
    Ok(refused)
}

/// Which limit of a mailbox a message goes beyond, if it does.
pub(super) async fn exceeded(
    platform: &Platform,
    reader: &mut Reader<'_>,
    mailbox: &Mailbox,
    (view, octets): (&MessageView, u64),
) -> Result<Option<Problem>, Problem> {
    let attachments: Vec<_> = view.attachments.iter().map(|file| (file.size, file.content_type.as_str())).collect();
    let facts = InboundFacts { octets, attachments: &attachments };
    let meters = meters_of(platform, reader, mailbox).await?;
    Ok(accepts(&mailbox.limits, &facts).and_then(|()| has_room(meters.as_ref(), octets)).err())
}
