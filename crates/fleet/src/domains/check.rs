//! Asking the DNS for the records of a domain, all at once and with an end, and recording what it holds.

use super::Domains;
use super::show::records_of;
use futures::future::join_all;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::domain_check::{Answer, judge};
use postfleet_core::domain_records::{Record, RecordData, RecordKind};
use postfleet_core::id::{AuditId, DomainId, OrganizationId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_net::DnsError;
use postfleet_store::domains::{
    self, CheckOutcome, ClaimChecks, DomainDetails, Finding, KeyState, PublishedKey, RecordChecks,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long all lookups of one domain may take together.
const DEADLINE: Duration = Duration::from_secs(10);

/// Domains that are looked at at once by the periodic check.
const AT_ONCE: usize = 8;

/// Rounds of one pass of the periodic check; the next pass goes on where this one stopped.
const ROUNDS_MAX: usize = 16;

/// When a domain is due again whose check came to nothing.
const CLAIMED_FOR: Duration = Duration::from_secs(600);

impl Domains<'_> {
    /// Looks at all domains that are due, a few at a time; answers how many that were.
    pub async fn recheck_once(&self) -> Result<usize, Problem> {
        let mut checked = 0;
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            let claim = ClaimChecks { now, until: now.plus(CLAIMED_FOR), limit: AT_ONCE };
            let due = self.store.run(claim).await?;
            checked += due.len();
            let is_last = due.len() < AT_ONCE;
            let checks = due.into_iter().map(|(organization, id)| self.recheck(organization, id));
            for outcome in join_all(checks).await {
                outcome?;
            }
            if is_last {
                break;
            }
        }
        Ok(checked)
    }

    async fn recheck(&self, organization: OrganizationId, id: DomainId) -> Result<(), Problem> {
        let found = domains::find(&mut self.store.reader().await?, organization, id).await?;
        // Removed since it was claimed.
        let Some(details) = found else { return Ok(()) };
        let now = self.clock.now();
        let act = Act {
            record_id: AuditId::new(now, self.entropy.ten()),
            actor: Actor { kind: ActorKind::System, id: String::new(), name: "domain check".to_owned() },
            organization_id: organization,
            application_id: None,
            request_id: String::new(),
            at: now,
        };
        if self.check(act, &details, None).await? == CheckOutcome::Recorded(true) {
            tracing::info!(domain = %details.domain.name, "the records of a domain have changed");
        }
        Ok(())
    }

    /// Looks at the records of a domain, or at those of one kind, and records what was found.
    pub(super) async fn check(
        &self,
        act: Act,
        details: &DomainDetails,
        kind: Option<RecordKind>,
    ) -> Result<CheckOutcome, Problem> {
        let mut records = records_of(details, self.settings, false);
        records.retain(|record| kind.is_none_or(|kind| record.kind == kind.published_as()));
        if details.domain.is_exempt() {
            // Only what decides whether the next keys take over.
            let is_next =
                |key: &PublishedKey, record: &Record| key.state == KeyState::Next && key.selector == record.selector;
            records.retain(|record| details.keys.iter().any(|key| is_next(key, record)));
        }
        let answers = self.look_up(&records).await;
        let findings = records.iter().map(|record| {
            let answer = answers.get(&question(record)).cloned();
            let answer = answer.unwrap_or_else(|| Answer::Failed("not asked".to_owned()));
            let judgement = judge(record, &answer);
            Finding { kind: record.kind, selector: record.selector.clone(), judgement }
        });
        let command = RecordChecks {
            id: details.domain.id,
            findings: findings.collect(),
            required_to_send: self.settings.required_to_send.clone(),
            recheck: self.settings.recheck,
            act: Act { at: self.clock.now(), ..act },
        };
        Ok(self.store.run(command).await?)
    }

    /// Asks every question once, all at the same time.
    async fn look_up(&self, records: &[Record]) -> BTreeMap<(String, &'static str), Answer> {
        let deadline = self.clock.now().plus(DEADLINE);
        let mut questions: Vec<_> = records.iter().map(question).collect();
        questions.sort();
        questions.dedup();
        let lookups = questions.into_iter().map(async |question| {
            let answer = self.ask(&question.0, question.1, deadline).await;
            (question, answer)
        });
        join_all(lookups).await.into_iter().collect()
    }

    async fn ask(&self, name: &str, dns_type: &'static str, deadline: UnixMicros) -> Answer {
        let lookup = async {
            match dns_type {
                "MX" => self.resolver.published_mx(name).await.map(Answer::Mx),
                _ => self.resolver.published_txt(name).await.map(Answer::Txt),
            }
        };
        let answered = tokio::select! {
            biased;
            answered = lookup => answered,
            () = self.clock.sleep_until(deadline) => {
                let text = format!("no answer within {} seconds", DEADLINE.as_secs());
                Err(DnsError::Temporary(text))
            }
        };
        match answered {
            Ok(answer) => answer,
            Err(DnsError::NotFound) => Answer::Nothing,
            Err(error @ DnsError::Temporary(_)) => Answer::Failed(error.to_string()),
        }
    }
}

/// What to ask for a record.
fn question(record: &Record) -> (String, &'static str) {
    let dns_type = match record.data {
        RecordData::Txt(_) => "TXT",
        RecordData::Mx { .. } => "MX",
    };
    (record.name.clone(), dns_type)
}
