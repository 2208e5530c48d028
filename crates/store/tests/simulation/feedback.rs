//! What comes back: as it is read at the door, by the signed return path, and taken by the store.

use crate::history::{Fact, Said, Way};
use crate::oracle::{Wrong, is_silent};
use crate::support::fresh;
use crate::world::{Pending, World};
use postfleet_core::bounce::BounceType;
use postfleet_core::feedback::{Kind, Outcome, meant};
use postfleet_core::id::{EventId, FeedbackId};
use postfleet_core::return_path::Reading;
use postfleet_core::{EmailAddress, UnixMicros};
use postfleet_store::feedback::{NewReport, RecordRefused, TakeFeedback};

impl World {
    /// Takes every report that has come by now.
    pub async fn take_reports(&mut self) -> Result<(), Wrong> {
        let now = self.now().as_micros();
        let later = self.pending.split_off(&now);
        let due: Vec<Pending> = std::mem::replace(&mut self.pending, later).into_values().flatten().collect();
        if due.is_empty() {
            return Ok(());
        }
        let (mut believed, mut facts) = (Vec::new(), Vec::new());
        for report in due {
            let at = self.now();
            let address = self.address_of(&report, at);
            let to = match report.later.names_stranger {
                true => "stranger@elsewhere.example".to_owned(),
                false => report.to.clone(),
            };
            let (message, Pending { later, .. }) = (report.message, &report);
            let fact = |taken| Fact::Report {
                at: at.as_micros(),
                message,
                to: to.clone(),
                said: later.said,
                way: later.way,
                taken,
            };
            match self.return_paths.read(&address, at) {
                Reading::Genuine { message: id } => {
                    let about = self.by_id[&id];
                    assert_eq!(about, message, "the address names the message");
                    believed.push(self.taking(about, &to, later.said, at));
                    facts.push(fact(""));
                }
                Reading::Forged { claimed } => {
                    self.refuse(claimed, &address, Outcome::Forged, at).await;
                    self.fact(fact("forged"))?;
                }
                Reading::Expired { message: id } => {
                    self.refuse(id, &address, Outcome::Expired, at).await;
                    self.fact(fact("expired"))?;
                }
                Reading::Other => return Err(format!("{address} is no return path")),
            }
        }
        let outcomes = self.run_all(believed).await;
        for (fact, taken) in facts.into_iter().zip(outcomes) {
            if let Fact::Report { at, message, to, said, way, .. } = fact {
                let taken = taken.outcomes[0].name();
                self.fact(Fact::Report { at, message, to, said, way, taken })?;
            }
        }
        self.look().await
    }

    /// The address to which a report is sent.
    fn address_of(&self, report: &Pending, now: UnixMicros) -> EmailAddress {
        let sent = &self.messages[report.message];
        match report.later.way {
            Way::ReturnPath => sent.return_path.clone(),
            Way::MadeUp => {
                self.forger.make(sent.id, &self.home(sent.account).domain, now).expect("an address that looks like one")
            }
            Way::OtherDomain => {
                let (other, _) = &self.homes[(self.mailboxes[sent.account].home + 1) % self.homes.len()];
                EmailAddress::parse(&format!("{}@{}", sent.return_path.local(), other.domain)).expect("address")
            }
        }
    }

    fn taking(&self, message: usize, to: &str, said: Said, at: UnixMicros) -> TakeFeedback {
        let sent = &self.messages[message];
        let recipients: Vec<EmailAddress> =
            sent.to.iter().map(|to| EmailAddress::parse(to).expect("address")).collect();
        let named = EmailAddress::parse(to).expect("address");
        let (kind, bounce) = match said {
            Said::Gone => (Kind::Bounce, Some(BounceType::UnknownUser)),
            Said::Full => (Kind::Bounce, Some(BounceType::MailboxFull)),
            Said::Complaint => (Kind::Complaint, None),
            Said::AutoReply => (Kind::AutoReply, None),
        };
        let known = meant(&recipients, std::slice::from_ref(&named)).cloned();
        let outcome = match (kind.counts(), known.is_some()) {
            (true, true) => Outcome::Counted,
            (true, false) => Outcome::Unmatched,
            (false, _) => Outcome::Noted,
        };
        let report = NewReport {
            id: FeedbackId::from_uuid(fresh()),
            kind,
            outcome,
            reason: "why",
            recipient: known.or(Some(named)),
            bounce,
            status: "said".into(),
            diagnostic: String::new(),
            reporter: "reporter".into(),
            sends_feedback: !is_silent(to),
            event_id: EventId::from_uuid(fresh()),
        };
        let mailbox = &self.mailboxes[sent.account];
        TakeFeedback {
            sender: Some((mailbox.id, self.home(sent.account).application)),
            message_id: Some(sent.id),
            reports: vec![report],
            filing: None,
            suppressed_until: None,
            at,
        }
    }

    async fn refuse(
        &self,
        message_id: postfleet_core::id::MessageId,
        address: &EmailAddress,
        outcome: Outcome,
        at: UnixMicros,
    ) {
        let (id, domain) = (FeedbackId::from_uuid(fresh()), address.domain().clone());
        self.run(RecordRefused { id, message_id, domain, outcome, reason: "why", at }).await;
    }
}
