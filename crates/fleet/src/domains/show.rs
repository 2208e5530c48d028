//! What a domain looks like from outside.

use postfleet_core::UnixMicros;
use postfleet_core::domain_records::{
    DomainSettings, Publisher, Record, RecordKind, RecordState, RecordStatus, to_publish,
};
use postfleet_schema::domain as schema;
use postfleet_store::domains::{DomainDetails, KeyState, NewDomain, PublishedKey};

/// The region of an installation.
pub const REGION: &str = "us";

/// What is said of the records of a domain that is never looked at.
const EXEMPT: &str = "taken as verified without asking the DNS";

/// The records to publish for a domain that was just made.
pub fn records(domain: &NewDomain, settings: &DomainSettings) -> Vec<Record> {
    let pair = |key: &postfleet_store::domains::DkimKey| (key.selector.clone(), key.public_record.clone());
    let keys: Vec<_> = domain.dkim_keys.iter().map(pair).collect();
    let publisher = Publisher { domain: &domain.name, ownership_token: &domain.ownership_token, keys: &keys };
    to_publish(publisher, settings)
}

/// The records to publish for a domain: of all its keys, or without those that have retired.
pub(super) fn records_of(details: &DomainDetails, settings: &DomainSettings, with_retired: bool) -> Vec<Record> {
    let is_wanted = |key: &&PublishedKey| with_retired || key.state != KeyState::Retired;
    let pair = |key: &PublishedKey| (key.selector.clone(), key.public_record.clone());
    let keys: Vec<_> = details.keys.iter().filter(is_wanted).map(pair).collect();
    let domain = &details.domain;
    let publisher = Publisher { domain: &domain.name, ownership_token: &domain.ownership_token, keys: &keys };
    to_publish(publisher, settings)
}

/// Shows a domain.
pub fn show(details: &DomainDetails, settings: &DomainSettings) -> schema::Domain {
    let domain = &details.domain;
    let records = records_of(details, settings, true);
    schema::Domain {
        id: domain.id.to_string(),
        name: if domain.label.is_empty() { domain.name.to_string() } else { domain.label.clone() },
        branded: domain.is_branded,
        domain_address: domain.name.to_string(),
        organization_id: domain.organization_id.to_string(),
        region: REGION.to_owned(),
        verified_ownership: details.is_done(RecordKind::Ownership),
        verified_dkim: details.is_done(RecordKind::Dkim),
        verified_spf: details.is_done(RecordKind::Spf),
        verified_mx: details.is_done(RecordKind::Mx),
        verified_feedback: details.is_done(RecordKind::Feedback),
        verified_dmarc: details.is_done(RecordKind::Dmarc),
        verified_arc: details.is_done(RecordKind::Arc),
        created_at: domain.created_at.as_seconds(),
        updated_at: domain.updated_at.as_seconds(),
        records: records.iter().map(|record| show_record(details, record)).collect(),
        grant_count: domain.grant_count,
        can_send: domain.verified_at.is_some(),
        can_receive: domain.owned_at.is_some(),
    }
}

/// What is known of a record.
pub(super) fn state_of(details: &DomainDetails, record: &Record) -> RecordState {
    let is_next = |key: &PublishedKey| key.selector == record.selector && key.state == KeyState::Next;
    if details.domain.is_exempt() && !details.keys.iter().any(is_next) {
        let (status, message) = (RecordStatus::Done, EXEMPT.to_owned());
        return RecordState { status, message, verified_at: details.domain.verified_at, ..RecordState::default() };
    }
    details.states.get(&(record.kind, record.selector.clone())).cloned().unwrap_or_default()
}

pub(super) fn show_record(details: &DomainDetails, record: &Record) -> schema::DomainRecord {
    let state = state_of(details, record);
    schema::DomainRecord {
        kind: record.kind.name(),
        host: record.host.clone(),
        fqdn: record.name.clone(),
        dns_type: record.data.kind(),
        value: record.data.value().to_owned(),
        priority: record.data.priority(),
        status: state.status.name(),
        message: state.message,
        checked_at: state.checked_at.map(UnixMicros::as_seconds),
        verified_at: state.verified_at.map(UnixMicros::as_seconds),
    }
}

/// Shows the keys of a domain, by selector.
pub(super) fn show_keys(details: &DomainDetails) -> Vec<schema::DkimKey> {
    let show = |key: &PublishedKey| schema::DkimKey {
        selector: key.selector.clone(),
        algorithm: key.algorithm.clone(),
        state: key.state.name(),
        host: format!("{}._domainkey", key.selector),
        value: key.public_record.clone(),
        created_at: key.created_at.as_seconds(),
        retired_at: key.retired_at.map(UnixMicros::as_seconds),
    };
    details.keys.iter().map(show).collect()
}
