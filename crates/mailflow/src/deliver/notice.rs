//! The notice of failed delivery (RFC 3464). It goes into the sender's own mailbox, never onto the wire: nobody else
//! can be made to receive it.

use super::Message;
use crate::platform::Platform;
use crate::receive::new_copy;
use postfleet_core::id::BlobId;
use postfleet_core::{EmailAddress, Problem, UnixMicros};
use postfleet_mail::dsn::{self, Dsn, FailedRecipient};
use postfleet_mail::message::{self, Parsed};
use postfleet_mailbox::filing;
use postfleet_store::grants::{self, Holder};
use postfleet_store::messages::{Deliver, FiledCopy, Provenance};
use postfleet_store::queue::Report;

/// The notice about those recipients that failed for good, ready to be filed with the record of the attempt.
pub(super) async fn build(
    platform: &Platform,
    message: &Message,
    reports: &[Report],
    now: UnixMicros,
) -> Result<Option<Deliver>, Problem> {
    let failed: Vec<FailedRecipient> = reports.iter().filter_map(failed).collect();
    if failed.is_empty() {
        return Ok(None);
    }
    let holder = grants::holder(&mut platform.store.reader().await?, message.grant_id).await?;
    let Some(Holder { email: sender, mailbox }) = holder else { return Ok(None) };
    let copy = new_copy(platform, mailbox.grant_id, mailbox.application_id, now);
    let host = &platform.settings.hostname;
    let from = EmailAddress::parse(&format!("mailer-daemon@{host}")).map_err(Problem::internal)?;
    let raw = dsn::build(&Dsn {
        reporting_mta: host,
        from: &from,
        to: &sender,
        original_raw: message.raw.as_slice(),
        original_message_id: message::view(&message.raw).message_id.as_deref(),
        failed: &failed,
        now,
        message_id: &format!("{}@{host}", copy.message_id),
        boundary_seed: platform.entropy.sixteen(),
    });
    let written = Parsed::read(&raw);
    let facts = filing::received(&written.view, raw.len() as u64, now);
    let blob = platform.store.blobs().prepare(BlobId::new(now, platform.entropy.ten()), &raw).await?;
    let blob = blob.with_terms(filing::terms_of(&written));
    let copies = vec![FiledCopy::plain(copy, &facts)];
    Ok(Some(Deliver { blob, facts, copies, provenance: Provenance::Ours }))
}

fn failed(report: &Report) -> Option<FailedRecipient> {
    let reason = report.after.failure()?;
    Some(FailedRecipient {
        address: report.recipient.clone(),
        status: reason.status,
        diagnostic: report.reply.clone(),
        remote_mta: None,
    })
}
