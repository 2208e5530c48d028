//! How a domain does: what is known of its records, what came back, where it stands, and what is to be said of that.

use super::show::{records_of, show_record, state_of};
use super::warm_up::show_warm_up;
use super::{Domains, show};
use crate::reputation;
use postfleet_core::Problem;
use postfleet_core::bounce::BounceType;
use postfleet_core::domain_health::{Facts, Finding, RecordHealth, findings};
use postfleet_core::id::OrganizationId;
use postfleet_core::reputation::{Standing, SubjectKind};
use postfleet_core::send_event::SendEventKind;
use postfleet_schema::domain_health as schema;
use postfleet_store::domains::{DomainDetails, KeyState, PublishedKey};
use postfleet_store::send_events::{self, Adverse};
use postfleet_store::{reputation as kept, warm_ups};
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// For how long what came back is looked at.
const LOOKED_AT: Duration = Duration::from_secs(7 * 86_400);
/// How much of it is counted.
const EVENTS_MAX: usize = 10_000;
/// How many of those with most are shown.
const SHOWN_MAX: usize = 10;

impl Domains<'_> {
    /// How a domain of an organization does.
    pub async fn health(&self, organization: OrganizationId, segment: &str) -> Result<schema::DomainHealth, Problem> {
        let details = self.find(organization, segment).await?;
        let (id, name, now) = (details.domain.id, details.domain.name.as_str(), self.clock.now());
        let mut reader = self.store.reader().await?;
        let since = now.minus(LOOKED_AT);
        let events = send_events::adverse_of_domain(&mut reader, (organization, name), since, EVENTS_MAX + 1).await?;
        let begun = warm_ups::find(&mut reader, id).await?;
        let standing = kept::find(&mut reader, SubjectKind::Domain, name).await?;
        drop(reader);
        let said = self.outside(&details.domain).await?;
        let standing = standing.filter(|kept| kept.organization_id == organization).map(|kept| kept.standing);
        let standing = standing.unwrap_or_else(|| Standing::new(now));
        let warm_up = show_warm_up(id, begun.as_ref(), now);
        let counted = Counted::of(&events);
        let records = self.records(&details);
        let facts = Facts {
            can_send: details.domain.verified_at.is_some(),
            records: records.iter().filter_map(|(known, _)| known.clone()).collect(),
            bounces: counted.types.clone(),
            bounces_by_grant: counted.bounces.clone(),
            complaints_by_grant: counted.complaints.clone(),
            state: standing.state,
            complaints: {
                let head_room = standing.head_room(SubjectKind::Domain, now.day());
                (standing.rates().complaints, head_room.complaints_until_review)
            },
            warm_up_left: warm_up.remaining,
            outside: said.facts(),
        };
        let shown = show(&details, self.settings);
        Ok(schema::DomainHealth {
            domain_id: shown.id,
            domain_address: shown.domain_address,
            can_send: shown.can_send,
            grant_count: shown.grant_count,
            findings: findings(&facts).into_iter().map(show_finding).collect(),
            records: records.into_iter().map(|(_, shown)| shown).collect(),
            outcomes: counted.show(standing.window.week(now.day()), events.len() > EVENTS_MAX),
            reputation: reputation::of_domain(self.store, organization, name, now).await?,
            warm_up,
            block_lists: said.answers(),
            dmarc: said.dmarc,
            tls: said.tls,
        })
    }

    /// What is known of each record, for the findings and to be shown. A key that does not sign yet is no finding.
    fn records(&self, details: &DomainDetails) -> Vec<(Option<RecordHealth>, schema::HealthRecord)> {
        let of = |record: &postfleet_core::domain_records::Record| {
            let state = state_of(details, record);
            let is_optional = !self.settings.required_to_send.contains(&record.kind);
            let known = RecordHealth {
                kind: record.kind,
                name: record.name.clone(),
                status: state.status,
                failures: state.failures,
                is_optional,
            };
            let shown =
                schema::HealthRecord { record: show_record(details, record), failures: state.failures, is_optional };
            let is_next = |key: &PublishedKey| key.selector == record.selector && key.state == KeyState::Next;
            ((!details.keys.iter().any(is_next)).then_some(known), shown)
        };
        records_of(details, self.settings, false).iter().map(of).collect()
    }
}

fn show_finding(finding: Finding) -> schema::HealthFinding {
    let Finding { code, severity, text, remedy, grant } = finding;
    schema::HealthFinding { code, severity: severity.name(), text, remedy, grant_id: grant }
}

/// What came back, by what tells it apart; most first.
struct Counted {
    types: Vec<(BounceType, u64)>,
    bounces: Vec<(String, String, u64)>,
    complaints: Vec<(String, String, u64)>,
    sources: Vec<(String, u64)>,
    rejected: u64,
}

impl Counted {
    fn of(events: &[Adverse]) -> Self {
        let events = &events[..events.len().min(EVENTS_MAX)];
        let of = |kind| events.iter().filter(move |event| event.kind == kind);
        let by_grant = |kind| {
            let counts = most(of(kind).map(|event| (event.grant.to_string(), event.sender.clone())));
            counts.into_iter().map(|((id, email), count)| (id, email, count)).collect()
        };
        Self {
            types: most(of(SendEventKind::Bounced).map(|event| event.bounce.unwrap_or(BounceType::Undetermined))),
            bounces: by_grant(SendEventKind::Bounced),
            complaints: by_grant(SendEventKind::Complaint),
            sources: most(of(SendEventKind::Complaint).map(|event| event.recipient_domain.clone())),
            rejected: of(SendEventKind::Rejected).count() as u64,
        }
    }

    fn show(self, attempts: u64, is_partial: bool) -> schema::DomainOutcomes {
        let culprit = |(grant_id, email, count)| schema::CulpritCount { grant_id, email, count };
        let bounce = |(kind, count): (BounceType, u64)| schema::BounceCount {
            class: kind.class().name(),
            kind: kind.name(),
            count,
        };
        schema::DomainOutcomes {
            attempts,
            bounced: self.types.iter().map(|(_, count)| count).sum(),
            complaints: self.complaints.iter().map(|(.., count)| count).sum(),
            rejected: self.rejected,
            is_partial,
            bounce_types: self.types.into_iter().map(bounce).collect(),
            bounces_by_grant: self.bounces.into_iter().take(SHOWN_MAX).map(culprit).collect(),
            complaints_by_grant: self.complaints.into_iter().take(SHOWN_MAX).map(culprit).collect(),
            complaint_sources: {
                let source = |(domain, count)| schema::SourceCount { domain, count };
                self.sources.into_iter().take(SHOWN_MAX).map(source).collect()
            },
        }
    }
}

/// How often each is there, most first; of equals the one that was seen last.
fn most<T: Hash + Eq>(things: impl Iterator<Item = T>) -> Vec<(T, u64)> {
    let mut counts: HashMap<T, (usize, u64)> = HashMap::new();
    for (place, thing) in things.enumerate() {
        counts.entry(thing).or_insert((place, 0)).1 += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, (place, count))| (std::cmp::Reverse(*count), *place));
    counts.into_iter().map(|(thing, (_, count))| (thing, count)).collect()
}
