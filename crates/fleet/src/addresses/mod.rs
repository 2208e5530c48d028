//! Looking at addresses before anything is sent to them: what the address says itself, what its domain says in the DNS,
//! and what is known here. Nothing is asked of the servers that would receive.

mod lookup;

use lookup::Answer;
use postfleet_core::id::ApplicationId;
use postfleet_core::recipient_check::{Finding, is_disposable, is_role, likely_domain, verdict};
use postfleet_core::suppression::{ADDRESSES_MAX, Reason, Undeliverable};
use postfleet_core::{Domain, EmailAddress, Problem, UnixMicros};
use postfleet_net::{Clock, Resolver};
use postfleet_schema::recipient as schema;
use postfleet_store::{Store, addresses, suppressions};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Characters of an address that is looked at; a longer one is none.
pub const ADDRESS_CHARS_MAX: usize = 1_024;

/// How long a request that asks about addresses waits for the DNS.
pub const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// How long a send waits for the DNS before it goes on as if nothing spoke against its recipients.
pub const SENT_WITHIN: Duration = Duration::from_secs(3);

/// What looking at addresses needs.
#[derive(Clone, Copy)]
pub struct Looker<'a> {
    /// Where the truth is.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a dyn Clock,
    /// DNS.
    pub resolver: &'a dyn Resolver,
    /// Domains that give addresses for a few minutes, besides those that are known to the product.
    pub disposable: &'a [Domain],
}

/// What is known of some addresses from elsewhere than themselves.
struct Known {
    answers: HashMap<Domain, Answer>,
    own_domains: HashSet<String>,
    mailboxes: HashSet<String>,
    suppressed: HashMap<String, Reason>,
}

impl Looker<'_> {
    /// Validates 1 to 1,000 addresses of a request, in its order.
    pub async fn validate(
        &self,
        application: ApplicationId,
        texts: &[String],
    ) -> Result<Vec<schema::ValidatedAddress>, Problem> {
        if texts.is_empty() || texts.len() > ADDRESSES_MAX {
            return Err(Problem::invalid("addresses", format!("addresses must name 1 to {ADDRESSES_MAX} addresses")));
        }
        if let Some(index) = texts.iter().position(|text| text.chars().count() > ADDRESS_CHARS_MAX) {
            let field = format!("addresses[{index}]");
            return Err(Problem::invalid(&field, format!("{field} must have at most {ADDRESS_CHARS_MAX} characters")));
        }
        let parsed: Vec<_> = texts.iter().map(|text| EmailAddress::parse(text)).collect();
        let good: Vec<&EmailAddress> = parsed.iter().filter_map(|parsed| parsed.as_ref().ok()).collect();
        let known = self.look(application, &good, ASKED_WITHIN).await?;
        let shown = texts.iter().zip(&parsed).map(|(text, parsed)| match parsed {
            Ok(address) => self.show(text, address, &known),
            Err(error) => no_address(text, error.to_string()),
        });
        Ok(shown.collect())
    }

    /// Those of a message's recipients that mail cannot reach: their domains have no mail server, or are the
    /// organization's own and have no such mailbox. What cannot be found out in time is passed.
    pub async fn undeliverable(
        &self,
        application: ApplicationId,
        recipients: &[&EmailAddress],
    ) -> Result<Vec<Undeliverable>, Problem> {
        let known = self.look(application, recipients, SENT_WITHIN).await?;
        let undeliverable = recipients.iter().filter_map(|address| {
            let why = match known.reached(address)? {
                Finding::NullMx => "is at a domain that takes no mail",
                Finding::NoMailServer => "is at a domain that does not exist or has no mail server",
                Finding::NoSuchMailbox => "is no mailbox of its domain",
                _ => return None,
            };
            Some(Undeliverable { address: (*address).clone(), why })
        });
        Ok(undeliverable.collect())
    }

    /// Asks the store, then the DNS about the domains that are not the organization's own, each once.
    async fn look(
        &self,
        application: ApplicationId,
        addresses: &[&EmailAddress],
        within: Duration,
    ) -> Result<Known, Problem> {
        let now: UnixMicros = self.clock.now();
        let mut reader = self.store.reader().await?;
        let all = || addresses.iter().copied();
        let own_domains = addresses::own_domains(&mut reader, application, all()).await?;
        let is_own = |address: &&EmailAddress| own_domains.contains(address.domain().as_str());
        let mailboxes = addresses::mailboxes(&mut reader, all().filter(is_own)).await?;
        let suppressed = suppressions::check(&mut reader, application, all(), now).await?;
        // Nobody else has to wait for a connection while the DNS is asked.
        drop(reader);
        let foreign: HashSet<Domain> = all().filter(|one| !is_own(one)).map(|one| one.domain().clone()).collect();
        let answers = lookup::all(self.resolver, self.clock, foreign, now.plus(within)).await;
        let suppressed = suppressed.into_iter().map(|one| (one.address.key(), one.reason)).collect();
        Ok(Known { answers, own_domains, mailboxes, suppressed })
    }

    fn show(&self, text: &str, address: &EmailAddress, known: &Known) -> schema::ValidatedAddress {
        let domain = address.domain();
        let answer = known.answers.get(domain);
        let is_own = known.own_domains.contains(domain.as_str());
        let reason = known.suppressed.get(&address.key());
        let (is_role, is_disposable) = (is_role(address.local()), is_disposable(domain, self.disposable));
        let likely = likely_domain(domain);
        let hints = [
            (address.is_internationalized(), Finding::NotAscii),
            (reason.is_some(), Finding::Suppressed),
            (is_role, Finding::Role),
            (is_disposable, Finding::Disposable),
            (likely.is_some(), Finding::Misspelt),
        ];
        let hints = hints.into_iter().filter_map(|(holds, finding)| holds.then_some(finding));
        let findings: Vec<Finding> = known.reached(address).into_iter().chain(hints).collect();
        let takes_mail = if is_own { Some(true) } else { answer.and_then(Answer::takes_mail) };
        schema::ValidatedAddress {
            address: text.to_owned(),
            normalized: Some(address.to_string()),
            verdict: verdict(&findings).name(),
            findings: findings.iter().map(|finding| finding.name()).collect(),
            syntax_error: None,
            suggestion: likely.map(|domain| format!("{}@{domain}", local_as_written(address))),
            domain: Some(domain.to_string()),
            domain_exists: if is_own { Some(true) } else { answer.and_then(Answer::exists) },
            accepts_mail: takes_mail,
            mx: answer.map(Answer::hosts).unwrap_or_default(),
            is_own_domain: is_own,
            mailbox_exists: is_own.then(|| known.mailboxes.contains(&address.key())),
            is_suppressed: reason.is_some(),
            suppression_reason: reason.map(|reason| reason.name()),
            is_role,
            is_disposable,
        }
    }
}

impl Known {
    /// What stands in the way of mail to an address, as far as anybody but its server can tell.
    fn reached(&self, address: &EmailAddress) -> Option<Finding> {
        if self.own_domains.contains(address.domain().as_str()) {
            return (!self.mailboxes.contains(&address.key())).then_some(Finding::NoSuchMailbox);
        }
        match self.answers.get(address.domain()) {
            Some(Answer::Hosts(_)) => None,
            Some(Answer::NullMx) => Some(Finding::NullMx),
            Some(Answer::NoMailServer) => Some(Finding::NoMailServer),
            None => Some(Finding::LookupFailed),
        }
    }
}

/// The local part with its quotes, if it needs any.
fn local_as_written(address: &EmailAddress) -> String {
    let text = address.to_string();
    text.rsplit_once('@').map_or(text.clone(), |(local, _)| local.to_owned())
}

fn no_address(text: &str, error: String) -> schema::ValidatedAddress {
    // What people paste often has spaces or brackets around it.
    let trimmed = text.trim().trim_start_matches('<').trim_end_matches('>').trim();
    let suggestion = EmailAddress::parse(trimmed).ok().map(|address| address.to_string());
    schema::ValidatedAddress {
        address: text.to_owned(),
        normalized: None,
        verdict: verdict(&[Finding::Syntax]).name(),
        findings: vec![Finding::Syntax.name()],
        syntax_error: Some(error),
        suggestion,
        domain: None,
        domain_exists: None,
        accepts_mail: None,
        mx: Vec::new(),
        is_own_domain: false,
        mailbox_exists: None,
        is_suppressed: false,
        suppression_reason: None,
        is_role: false,
        is_disposable: false,
    }
}
