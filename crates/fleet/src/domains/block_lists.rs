//! Asking block lists about domains and the addresses from which their mail leaves, a few domains at a time, all questions
//! of a domain at once and with an end. What does not answer says nothing, and is counted.

use super::Domains;
use futures::future::join_all;
use postfleet_core::block_list::{Answer, Subject, Verdict, doubt, is_public, judge, reason};
use postfleet_core::id::{DomainId, OrganizationId};
use postfleet_core::sending_addresses::Found;
use postfleet_core::{Domain, Problem, UnixMicros};
use postfleet_net::DnsError;
use postfleet_store::block_answers::{self, ClaimBlockChecks, RecordBlockAnswers, Said};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long all questions about one domain may take together.
const DEADLINE: Duration = Duration::from_secs(20);

/// How long finding out our own addresses may take.
const OWN_DEADLINE: Duration = Duration::from_secs(3);

/// Addresses of a domain that lists are asked about.
const ADDRESSES_MAX: usize = 32;

/// Domains that are asked about at once.
const AT_ONCE: usize = 8;

/// Rounds of one pass; the next pass goes on where this one stopped.
const ROUNDS_MAX: usize = 16;

/// When a domain is due again whose questions came to nothing.
const CLAIMED_FOR: Duration = Duration::from_secs(600);

/// How often each list gave which kind of answer.
pub type Tally = BTreeMap<(String, &'static str), u64>;

impl Domains<'_> {
    /// Asks for all domains that are due; answers what lists said, by list and kind.
    pub async fn ask_block_lists_once(&self) -> Result<Tally, Problem> {
        let mut tally = Tally::new();
        if self.settings.block_lists.is_off() {
            return Ok(tally);
        }
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            let claim = ClaimBlockChecks { now, until: now.plus(CLAIMED_FOR), limit: AT_ONCE };
            let due = self.store.run(claim).await?;
            let is_last = due.len() < AT_ONCE;
            let asked = due.iter().map(|(organization, id, name)| self.ask_lists(*organization, *id, name));
            for said in join_all(asked).await {
                for one in said? {
                    *tally.entry((one.zone, one.verdict.name())).or_default() += 1;
                }
            }
            if is_last {
                break;
            }
        }
        Ok(tally)
    }

    async fn ask_lists(&self, organization: OrganizationId, id: DomainId, name: &Domain) -> Result<Vec<Said>, Problem> {
        let addresses = match self.own_addresses(organization, name).await? {
            Own::All(addresses) | Own::Some(addresses) => addresses,
        };
        let public = addresses.into_iter().filter(is_public).take(ADDRESSES_MAX).map(Subject::Address);
        let public: Vec<Subject> = public.collect();
        let lists = &self.settings.block_lists;
        let about_addresses = lists.address_zones.iter().flat_map(|zone| public.iter().map(move |one| (zone, one)));
        let domain = Subject::Name(name.to_string());
        let about_name = lists.domain_zones.iter().map(|zone| (zone, &domain));
        let said = self.ask_all(&about_addresses.chain(about_name).collect::<Vec<_>>()).await;
        let at = self.clock.now();
        let next_at = at.plus(lists.every);
        let command = RecordBlockAnswers { organization_id: organization, id, said: said.clone(), next_at, at };
        for hit in self.store.run(command).await? {
            tracing::warn!(domain = %name, subject = hit.subject, list = hit.zone, reason = hit.known.reason,
                "a block list has what mail of a domain depends on");
        }
        Ok(said)
    }

    /// Asks every list about its things, and about its test points, all at the same time.
    async fn ask_all(&self, questions: &[(&Domain, &Subject)]) -> Vec<Said> {
        let deadline = self.clock.now().plus(DEADLINE);
        let points = |(zone, subject): &(&Domain, &Subject)| {
            let [present, absent] = subject.test_points();
            (present.question(zone), absent.question(zone))
        };
        let asked = |question: &(&Domain, &Subject)| {
            let (present, absent) = points(question);
            [question.1.question(question.0), present, absent]
        };
        let names: BTreeSet<String> = questions.iter().flat_map(asked).collect();
        let lookups = names.into_iter().map(async |name| {
            let answer = self.ask_list(&name, deadline).await;
            (name, answer)
        });
        let answers: BTreeMap<String, Answer> = join_all(lookups).await.into_iter().collect();
        let of = |name: &str| answers.get(name).cloned().unwrap_or_else(|| Answer::Failed("not asked".to_owned()));
        let verdicts = questions.iter().map(async |question| {
            let (present, absent) = points(question);
            let name = question.1.question(question.0);
            let verdict = match doubt(&of(&present), &of(&absent)) {
                Some(why) => Verdict::Unknown(why),
                None => self.with_reason(judge(&of(&name)), &name, deadline).await,
            };
            Said { zone: question.0.to_string(), subject: question.1.to_string(), verdict }
        });
        join_all(verdicts).await
    }

    /// Without a reason it is on the list all the same.
    async fn with_reason(&self, verdict: Verdict, name: &str, deadline: UnixMicros) -> Verdict {
        let Verdict::Listed(codes, _) = verdict else { return verdict };
        let texts = self.within(deadline, self.resolver.txt(name)).await.unwrap_or_default();
        Verdict::Listed(codes, reason(&texts))
    }

    async fn ask_list(&self, name: &str, deadline: UnixMicros) -> Answer {
        match self.within(deadline, self.resolver.codes(name)).await {
            Ok(codes) => Answer::Codes(codes),
            Err(DnsError::NotFound) => Answer::Nothing,
            Err(error @ DnsError::Temporary(_)) => Answer::Failed(error.to_string()),
        }
    }

    async fn within<T>(
        &self,
        deadline: UnixMicros,
        lookup: impl Future<Output = Result<T, DnsError>>,
    ) -> Result<T, DnsError> {
        tokio::select! {
            biased;
            answered = lookup => answered,
            () = self.clock.sleep_until(deadline) => Err(DnsError::Temporary("no answer in time".to_owned())),
        }
    }

    /// The addresses from which mail of a domain leaves, as other servers see them.
    pub(super) async fn own_addresses(&self, organization: OrganizationId, name: &Domain) -> Result<Own, Problem> {
        let sending = &self.settings.sending;
        let mut workspaces = Vec::new();
        let mut reader = self.store.reader().await?;
        for (workspace, _) in &sending.by_workspace {
            if block_answers::has_workspace(&mut reader, organization, *workspace).await? {
                workspaces.push(*workspace);
            }
        }
        drop(reader);
        Ok(match sending.of(name, |workspace| workspaces.contains(&workspace)) {
            Found::These(addresses) => Own::All(addresses),
            Found::Unknown(addresses) => Own::Some(addresses),
            Found::AndOf(mut addresses, host) => {
                let deadline = self.clock.now().plus(OWN_DEADLINE);
                match self.within(deadline, self.resolver.addresses(host.as_str())).await {
                    Ok(found) => {
                        addresses.extend(found);
                        Own::All(addresses)
                    }
                    Err(_) => Own::Some(addresses),
                }
            }
        })
    }
}

/// What is known of the addresses from which mail leaves.
pub(super) enum Own {
    /// These, and no others.
    All(Vec<IpAddr>),
    /// These, and perhaps others.
    Some(Vec<IpAddr>),
}
