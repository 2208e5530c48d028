//! What is made of a message in each mailbox that it goes to: its marks, whether it is spam there, and where it goes.

use super::{Arrival, Findings, marks, spam};
use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::assessment::Assessment;
use postfleet_core::folder::SystemFolder;
use postfleet_core::rule::Placement;
use postfleet_mail::message::MessageView;
use postfleet_mailbox::assessment;
use postfleet_store::grants::Mailbox;
use postfleet_store::messages::{FiledCopy, MailboxCopy};

/// What was made of a message in one mailbox.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// What was found.
    pub(super) assessment: Assessment,
    /// Where it goes.
    pub(super) placement: Placement,
}

impl Judged {
    /// As it is filed.
    pub(super) fn of(&self, copy: MailboxCopy) -> FiledCopy {
        let assessment = Some(assessment::to_json(&self.assessment));
        FiledCopy { copy, placement: self.placement.clone(), assessment }
    }
}

/// Judges a message for each of the mailboxes, in their order.
pub(super) async fn judge(
    platform: &Platform,
    arrival: &Arrival,
    view: &MessageView,
    findings: &Findings,
    mailboxes: &[Mailbox],
) -> Result<Vec<Judged>, Problem> {
    let sight = spam::look(platform, arrival, view, &findings.authentication, mailboxes).await;
    let mut all = Vec::with_capacity(mailboxes.len());
    for mailbox in mailboxes {
        let marks = marks::mark(platform, arrival, view, mailbox).await?;
        let spam = spam::score(platform, view, &sight, mailbox).await?;
        let folder = if spam.is_spam { SystemFolder::Junk } else { SystemFolder::Inbox };
        let placement = Placement { folders: vec![folder.id().to_owned()], unread: true, starred: false };
        let Findings { authentication, suspicion } = findings.clone();
        all.push(Judged { assessment: Assessment { authentication, marks, spam, suspicion }, placement });
    }
    Ok(all)
}
