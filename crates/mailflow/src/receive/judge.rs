//! What is made of a message in each mailbox that it goes to: its marks, whether it is spam there, and where it goes.

use super::recipients::Offer;
use super::{Arrival, Findings, marks, spam};
use crate::platform::Platform;
use postfleet_core::assessment::Assessment;
use postfleet_core::authentication::DmarcPolicy;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{EvaluationId, RefusalId};
use postfleet_core::rule::{Found, Input, Placement};
use postfleet_core::{EmailAddress, Problem, refused_mail};
use postfleet_mail::message::Parsed;
use postfleet_mailbox::assessment;
use postfleet_store::acquaintance::Writer;
use postfleet_store::grants::Mailbox;
use postfleet_store::messages::{FiledCopy, MailboxCopy, Received};
use postfleet_store::refused_mail::{ByRules, Concerning};
use postfleet_store::{Reader, acquaintance, judging};
use std::sync::Arc;

/// Authors of one message that rules look at.
const AUTHORS_MAX: usize = 100;

/// What was made of a message in one mailbox.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// What was found.
    pub(super) assessment: Assessment,
    /// Where it goes, if no rule says otherwise.
    pub(super) placement: Placement,
    /// What rules see of it: they judge it where it is filed.
    pub(super) received: Received,
}

impl Judged {
    /// Counts it among what was judged, once it comes in.
    pub(super) fn count(&self, platform: &Platform) {
        platform.metrics.judged_spam(self.assessment.spam.is_spam);
    }

    /// As it is filed.
    pub(super) fn of(self, copy: MailboxCopy) -> FiledCopy {
        let assessment = Some(assessment::to_json(&self.assessment));
        FiledCopy { copy, placement: self.placement, assessment, received: Some(Box::new(self.received)) }
    }
}

/// Judges the envelope sender of a message that is not there yet by the rules of a mailbox. The refusal and what they said,
/// if they do not let it go on. Nobody sends from the null reverse path: what comes from there is judged once it is there.
pub(super) async fn sender(
    platform: &Platform,
    reader: &mut Reader<'_>,
    offer: &Offer<'_>,
    mailbox: &Mailbox,
) -> Result<Option<(Problem, Box<ByRules>)>, Problem> {
    let (Some(scope), Some(sender)) = (&mailbox.rules, offer.reverse_path.mailbox()) else { return Ok(None) };
    let input = Input::inbound(Some(sender));
    let Some(judgement) = judging::judge_sender(&platform.store, reader, scope, &input).await? else { return Ok(None) };
    let Some(problem) = refused_mail::by_rules(judgement.verdict) else { return Ok(None) };
    let evaluation_id = EvaluationId::new(platform.clock.now(), platform.entropy.ten());
    Ok(Some((problem, Box::new(ByRules { evaluation_id, organization_id: scope.organization, input, judgement }))))
}

/// Judges a message for each of the mailboxes, in their order.
pub(super) async fn judge(
    platform: &Platform,
    arrival: &Arrival,
    message: &Parsed<'_>,
    findings: &Findings,
    (mailboxes, concerning): (&[Mailbox], &Arc<Concerning>),
) -> Result<Vec<Judged>, Problem> {
    let view = &message.view;
    let sight = spam::look(platform, arrival, message, &findings.authentication, mailboxes).await;
    let mut all = Vec::with_capacity(mailboxes.len());
    let authors: Vec<EmailAddress> =
        view.from.iter().take(AUTHORS_MAX).filter_map(|author| EmailAddress::parse(&author.email).ok()).collect();
    let names = marks::names(arrival, view);
    let writer = Writer {
        authors: view.from.iter().map(|author| author.email.as_str()).collect(),
        shown: names.typed.as_deref(),
        answered: view.references.iter().chain(&view.in_reply_to).rev().map(String::as_str).collect(),
    };
    let mut reader = platform.store.reader().await?;
    for mailbox in mailboxes {
        let acquaintance = acquaintance::of(&mut reader, mailbox, &writer).await?;
        let marks = marks::mark(&mut reader, view, &names, (mailbox, &acquaintance)).await?;
        let spam = spam::score(platform, &mut reader, &sight, (mailbox, &acquaintance)).await?;
        let is_disowned = findings.authentication.dmarc.disposition != DmarcPolicy::None;
        let folder = if spam.is_spam || is_disowned { SystemFolder::Junk } else { SystemFolder::Inbox };
        let placement = Placement { folders: vec![folder.id().to_owned()], unread: true, starred: false };
        let (authentication, suspicion) = (findings.authentication.clone(), findings.suspicion.clone());
        let assessment = Assessment { authentication, marks, spam, suspicion };
        let (at, entropy) = (concerning.at, &platform.entropy);
        let received = Received {
            input: Input::received(&authors, Found::of(&assessment)),
            evaluation_id: EvaluationId::new(at, entropy.ten()),
            refusal_id: RefusalId::new(at, entropy.ten()),
            recipient: mailbox.address.clone(),
            concerning: concerning.clone(),
        };
        all.push(Judged { assessment, placement, received });
    }
    Ok(all)
}
