//! What a message that has arrived may be: its size and its attachments, by the limits of each mailbox.

use super::recipients::meters_of;
use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::recipient::{InboundFacts, accepts, has_room};
use postfleet_mail::message::MessageView;
use postfleet_store::grants::Mailbox;

/// Leaves the mailboxes whose limits the message keeps to. The message has one answer for all (docs/adr/0010): if none is
/// left, it is the reason of the first; otherwise the copies of the others are dropped, which is logged and counted.
pub(super) async fn keep_accepting(
    platform: &Platform,
    mailboxes: &mut Vec<Mailbox>,
    octets: u64,
    view: &MessageView,
) -> Result<(), Problem> {
    let attachments: Vec<_> = view.attachments.iter().map(|file| (file.size, file.content_type.as_str())).collect();
    let facts = InboundFacts { octets, attachments: &attachments };
    let (mut accepting, mut refused) = (Vec::with_capacity(mailboxes.len()), Vec::new());
    let mut reader = platform.store.reader().await?;
    for mailbox in mailboxes.drain(..) {
        let meters = meters_of(platform, &mut reader, &mailbox).await?;
        match accepts(&mailbox.limits, &facts).and_then(|()| has_room(meters.as_ref(), octets)) {
            Ok(()) => accepting.push(mailbox),
            Err(problem) => refused.push((mailbox.grant_id, problem)),
        }
    }
    *mailboxes = accepting;
    if mailboxes.is_empty() {
        return refused.into_iter().next().map_or(Ok(()), |(_, problem)| Err(problem));
    }
    for (grant, problem) in &refused {
        tracing::warn!(%grant, code = problem.code, "a copy was dropped: the mailbox does not take the message");
        platform.metrics.received(problem.code);
    }
    Ok(())
}
