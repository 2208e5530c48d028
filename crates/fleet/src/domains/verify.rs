//! What to publish for a domain, and whether it is there: the answers that official clients know.

use super::Domains;
use super::show::{records_of, show_record, state_of};
use super::signing::check_options;
use postfleet_core::audit::Act;
use postfleet_core::domain_records::{Record, RecordData, RecordKind, RecordStatus};
use postfleet_core::domain_zone;
use postfleet_core::id::OrganizationId;
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::domain as schema;
use postfleet_store::domains::{CheckOutcome, DomainDetails};
use std::time::Duration;

/// How long clients may keep what they were told to publish.
const INFO_LIFETIME: Duration = Duration::from_secs(48 * 3_600);
/// How long clients may keep what was found out.
const VERIFICATION_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

impl Domains<'_> {
    /// What to publish of one type, with what is known of it. Asks nobody.
    pub async fn info(
        &self,
        organization: OrganizationId,
        segment: &str,
        request: &schema::VerifyDomain,
    ) -> Result<schema::Verification, Problem> {
        let kind = read(request)?;
        let details = self.find(organization, segment).await?;
        self.show_verification(&details, kind, INFO_LIFETIME)
    }

    /// Looks at the records of one type in the DNS, records what was found, and tells it.
    pub async fn verify(
        &self,
        act: Act,
        segment: &str,
        request: &schema::VerifyDomain,
    ) -> Result<schema::Verification, Problem> {
        let kind = read(request)?;
        let organization = act.organization_id;
        let details = self.find(organization, segment).await?;
        if self.check(act, &details, Some(kind)).await? == CheckOutcome::Unknown {
            return Err(Problem::not_found());
        }
        let details = self.find(organization, &details.domain.id.to_string()).await?;
        self.show_verification(&details, kind, VERIFICATION_LIFETIME)
    }

    /// The records to publish as a part of a zone file.
    pub async fn zone(&self, organization: OrganizationId, segment: &str) -> Result<String, Problem> {
        let details = self.find(organization, segment).await?;
        let records = records_of(&details, self.settings, true);
        Ok(domain_zone::write(details.domain.name.as_str(), &records))
    }

    fn show_verification(
        &self,
        details: &DomainDetails,
        kind: RecordKind,
        lifetime: Duration,
    ) -> Result<schema::Verification, Problem> {
        let now: UnixMicros = self.clock.now();
        let mut records = records_of(details, self.settings, false);
        records.retain(|record| record.kind == kind.published_as());
        let is_open = |record: &&Record| state_of(details, record).status != RecordStatus::Done;
        let shown = records.iter().find(is_open).or(records.first());
        // Every domain that the interface makes has keys; one from elsewhere may have none.
        let shown = shown.ok_or_else(|| Problem::invalid("type", "type dkim: the domain has no signing keys yet"))?;
        let state = state_of(details, shown);
        let found = Some(state.message.clone()).filter(|text| !text.is_empty() && !details.domain.is_exempt());
        Ok(schema::Verification {
            domain_id: details.domain.id.to_string(),
            attempt: schema::VerificationAttempt { kind: kind.name(), options: as_attempt(shown) },
            status: state.status.name(),
            created_at: now.as_seconds(),
            expires_at: now.plus(lifetime).as_seconds(),
            message: message(kind, shown, state.status, found.as_deref()),
            details: found,
            records: records.iter().map(|record| show_record(details, record)).collect(),
        })
    }
}

fn read(request: &schema::VerifyDomain) -> Result<RecordKind, Problem> {
    check_options(request.options.as_ref())?;
    RecordKind::named(&request.kind).ok_or_else(|| {
        let names: Vec<_> = RecordKind::ALL.iter().map(|kind| kind.name()).collect();
        Problem::invalid("type", format!("type must be one of {}", names.join(", ")))
    })
}

fn as_attempt(record: &Record) -> schema::VerificationRecord {
    schema::VerificationRecord {
        host: record.host.clone(),
        dns_type: record.data.kind(),
        value: record.data.value().to_owned(),
        priority: record.data.priority(),
    }
}

fn message(kind: RecordKind, record: &Record, status: RecordStatus, found: Option<&str>) -> String {
    match (status, found) {
        (RecordStatus::Done, None) => return format!("Domain {} verified successfully.", kind.name()),
        (RecordStatus::Done, Some(found)) => {
            return format!("Domain {} was verified before and still counts. Found now: {found}.", kind.name());
        }
        (RecordStatus::Pending | RecordStatus::Failed, _) => {}
    }
    let (name, data) = (&record.name, &record.data);
    let todo = match data {
        RecordData::Txt(text) => format!("Publish a TXT record at {name} with the value \"{text}\""),
        RecordData::Mx { preference, host } => {
            format!("Publish an MX record at {name} with the preference {preference} and the host {host}")
        }
    };
    match found {
        Some(found) => format!("{todo}, then verify again. Found so far: {found}."),
        None => format!("{todo}, then verify."),
    }
}
