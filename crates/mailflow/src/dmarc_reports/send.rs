//! Telling: a report is made from what was counted, for those who ask for it now, and leaves by the one door as mail of the
//! mailbox that the operator has named. So it is signed, counted and limited as all its mail is, and the sent copy is the
//! record of what was said.

use super::DmarcReportSettings;
use crate::platform::Platform;
use crate::receive::authenticate::ask;
use crate::submit::{self, Outgoing, Terms};
use postfleet_core::dmarc_report::{KINDS_MAX, again};
use postfleet_core::{Domain, EmailAddress, Problem, idempotency};
use postfleet_mail::Participant;
use postfleet_mail::authentication::dmarc::{Destination, Destinations, Published, Record, destinations, find};
use postfleet_mail::compose::Attachment;
use postfleet_mail::dmarc_report::{Report, pack, travelling_octets};
use postfleet_store::dmarc_reports::{self, ClaimReport, SettleReport, Waiting};
use postfleet_store::grants::{self, Grant};
use postfleet_store::idempotency::KeyedRequest;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// For how long one node makes a report.
const LEASE: Duration = Duration::from_secs(900);

/// Addresses that one report is sent to (RFC 7489 §6.2: at least two).
const DESTINATIONS_MAX: usize = 5;

/// What became of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// It was sent.
    Sent,
    /// It was larger than those who want it take; they were told so.
    TooLarge,
    /// Nobody wants it any more.
    Unwanted,
    /// The DNS gave no answer.
    Unknown,
    /// The mailbox does not send it now.
    Refused,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::TooLarge => "too_large",
            Self::Unwanted => "unwanted",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
        }
    }

    const fn is_final(self) -> bool {
        matches!(self, Self::Sent | Self::TooLarge | Self::Unwanted)
    }
}

/// Makes the report that has been due for longest, and sends it. Answers whether there was one.
pub async fn send_once(platform: &Platform) -> Result<bool, Problem> {
    let Some(set) = &platform.settings.dmarc_reports else { return Ok(false) };
    let now = platform.clock.now();
    let claimed = platform.store.run(ClaimReport { now, until: now.plus(LEASE) }).await?;
    let Some(waiting) = claimed else { return Ok(false) };
    let outcome = make(platform, set, &waiting).await?;
    let next = if outcome.is_final() { None } else { again(waiting.day, platform.clock.now()) };
    let state = if next.is_none() && !outcome.is_final() { "given_up" } else { outcome.word() };
    tracing::info!(domain = waiting.domain, day = %waiting.day, state, "a DMARC report");
    platform.metrics.dmarc_report(state);
    platform.store.run(SettleReport { report: waiting, again: next, state }).await?;
    Ok(true)
}

async fn make(platform: &Platform, set: &DmarcReportSettings, waiting: &Waiting) -> Result<Outcome, Problem> {
    let Ok(domain) = Domain::parse(&waiting.domain) else { return Ok(Outcome::Unwanted) };
    let record = match wishes(platform, &domain).await {
        Ok(record) => record,
        Err(outcome) => return Ok(outcome),
    };
    let wanted = &record.reports_to;
    let Destinations { mut agreed, refused, unknown } = ask(platform, |dns| destinations(dns, &domain, wanted)).await;
    if !refused.is_empty() {
        tracing::info!(%domain, refused = refused.len(), "others are named for DMARC reports who have not agreed");
    }
    if agreed.is_empty() {
        return Ok(if unknown.is_empty() { Outcome::Unwanted } else { Outcome::Unknown });
    }
    agreed.truncate(DESTINATIONS_MAX);
    let Some(from) = mailbox(platform, &set.from).await? else {
        tracing::warn!("dmarc_reports.from is no mailbox of this installation: DMARC reports are not sent");
        return Ok(Outcome::Refused);
    };
    let seen =
        dmarc_reports::rows(&mut platform.store.reader().await?, waiting.day, &waiting.domain, KINDS_MAX).await?;
    let report = Report {
        organization: &set.organization,
        contact: &set.contact.to_string(),
        receiver: set.from.domain(),
        domain: &domain,
        day: waiting.day,
        record: &record,
        seen: &seen,
        left_out: waiting.left_out,
    };
    let letters = letters(&report, agreed);
    let is_whole = letters.iter().any(|(_, letter)| !letter.attachments.is_empty());
    let mut outcome = if is_whole { Outcome::Sent } else { Outcome::TooLarge };
    // Who got it does not get it again when it is tried for the others.
    for (to, letter) in letters {
        if let Err(problem) = send(platform, &from, &report.id(), &to, letter).await {
            tracing::warn!(%domain, code = problem.code, cause = ?problem.cause, "a DMARC report was refused: {problem}");
            outcome = Outcome::Refused;
        }
    }
    Ok(outcome)
}

/// What is published at a domain now, if somebody there still wants reports.
async fn wishes(platform: &Platform, domain: &Domain) -> Result<Record, Outcome> {
    match ask(platform, |dns| find(dns, domain)).await {
        Published::Record { record, at, .. } if at == domain.as_str() && !record.reports_to.is_empty() => Ok(*record),
        Published::Record { .. } | Published::Nothing => Err(Outcome::Unwanted),
        Published::Unknown => Err(Outcome::Unknown),
    }
}

/// The mailbox that sends.
async fn mailbox(platform: &Platform, address: &EmailAddress) -> Result<Option<Grant>, Problem> {
    let mut reader = platform.store.reader().await?;
    let Some(found) = grants::receiving(&mut reader, address).await? else { return Ok(None) };
    Ok(grants::find(&mut reader, found.application_id, found.grant_id).await?)
}

/// The messages: each address gets the document, unless that is too large for it. If it is for all of them, they are told
/// so instead (§7.2.2).
fn letters(report: &Report<'_>, agreed: Vec<Destination>) -> Vec<(EmailAddress, Outgoing)> {
    let packed = pack(&report.xml());
    let octets = travelling_octets(&packed);
    let fits = |to: &Destination| to.octets_max.is_none_or(|max| octets <= max);
    if agreed.iter().any(fits) {
        let letter = || Outgoing {
            subject: report.subject(),
            body: format!(
                "This is a DMARC aggregate report (RFC 7489) from {} about mail in the name of {} on {} (UTC).\r\n\r\n\
                 It is sent since the DMARC record of the domain asks for it.\r\n",
                report.organization, report.domain, report.day
            ),
            attachments: vec![Attachment {
                filename: report.file_name(),
                content_type: "application/gzip".to_owned(),
                content: packed.clone(),
                content_id: None,
                is_inline: false,
            }],
            ..Outgoing::default()
        };
        return agreed.into_iter().filter(fits).map(|to| (to.address, letter())).collect();
    }
    let all: Vec<String> = agreed.iter().map(|to| to.address.to_string()).collect();
    let letter = || Outgoing { subject: report.subject(), body: report.too_large(octets, &all), ..Outgoing::default() };
    agreed.into_iter().map(|to| (to.address, letter())).collect()
}

/// Sends a message once, however often it is tried.
async fn send(platform: &Platform, from: &Grant, id: &str, to: &EmailAddress, letter: Outgoing) -> Result<(), Problem> {
    let key: [u8; 32] = Sha256::digest(format!("dmarc report {id} to {to}")).into();
    let once =
        KeyedRequest { scope: from.id.uuid(), key, request: key, request_id: String::new(), kept: idempotency::KEPT };
    let outgoing = Outgoing {
        to: vec![Participant { name: String::new(), email: to.to_string() }],
        is_plaintext: true,
        custom_headers: vec![("Auto-Submitted".to_owned(), "auto-generated".to_owned())],
        terms: Terms { may_wait: true, key: Some(once), allow_duplicate: false, pool: None },
        ..letter
    };
    match submit::send(platform, from, outgoing).await {
        Ok(_) => Ok(()),
        // It was sent, and whoever sent it did not come to say so.
        Err(problem) if problem.code == idempotency::CONCURRENT => Ok(()),
        Err(problem) => Err(problem),
    }
}
