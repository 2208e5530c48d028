//! What others say of a domain, for its findings and to be shown: block lists, and reports of other servers.

use super::Domains;
use super::block_lists::Own;
use postfleet_core::domain_health::{Listing, Outside, Source};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::domain_health as schema;
use postfleet_store::block_answers::{self, Remembered};
use postfleet_store::domain_reports::{self, Kept, Kind, ReportRow};
use postfleet_store::domains::RegisteredDomain;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// Reports of a kind that are counted.
const REPORTS_MAX: usize = 5_000;

/// Entries of them that are counted.
const ROWS_MAX: usize = 20_000;

/// How many of those with most are shown.
const SHOWN_MAX: usize = 20;

/// What others say, read.
pub(super) struct Said {
    lists: Vec<Remembered>,
    sources: Vec<(schema::DmarcSource, Option<bool>)>,
    pub(super) dmarc: schema::DmarcHealth,
    pub(super) tls: schema::TlsHealth,
}

impl Domains<'_> {
    /// Reads what others say of a domain.
    pub(super) async fn outside(&self, domain: &RegisteredDomain) -> Result<Said, Problem> {
        let now = self.clock.now();
        let (since, week) = (now.minus(DAY * 30), now.minus(DAY * 7));
        let mut reader = self.store.reader().await?;
        let lists = block_answers::of_domain(&mut reader, domain.id).await?;
        let mut read = async |kind| {
            let of = (domain.id, kind);
            let reports = domain_reports::of_domain(&mut reader, of, since, REPORTS_MAX + 1).await?;
            let rows = domain_reports::rows(&mut reader, of, since, ROWS_MAX + 1).await?;
            Ok::<_, Problem>(Reported::new(reports, rows))
        };
        let (mail, connections) = (read(Kind::Dmarc).await?, read(Kind::Tls).await?);
        drop(reader);
        let sources = mail.sources();
        // Where nobody reports anything it need not be known which addresses are ours.
        let own = if sources.is_empty() {
            None
        } else {
            Some(self.own_addresses(domain.organization_id, &domain.name).await?)
        };
        let sources: Vec<_> = sources
            .into_iter()
            .map(|source| {
                let is_own = own.as_ref().and_then(|own| is_own(own, &source.address));
                (schema::DmarcSource { is_own, ..source }, is_own)
            })
            .collect();
        let shown = sources
            .iter()
            .take(SHOWN_MAX)
            .map(|(source, _)| schema::DmarcSource { address: source.address.clone(), ..*source });
        let dmarc = schema::DmarcHealth {
            last_7_days: mail.dmarc_totals(week),
            last_30_days: mail.dmarc_totals(since),
            sources: shown.collect(),
            is_partial: mail.is_partial,
        };
        let tls = schema::TlsHealth {
            last_7_days: connections.tls_totals(week),
            last_30_days: connections.tls_totals(since),
            failures: connections.failures(),
            is_partial: connections.is_partial,
        };
        Ok(Said { lists, sources, dmarc, tls })
    }
}

fn is_own(own: &Own, address: &str) -> Option<bool> {
    let address: IpAddr = address.parse().ok()?;
    match own {
        Own::All(all) => Some(all.contains(&address)),
        Own::Some(some) => some.contains(&address).then_some(true),
    }
}

impl Said {
    /// What the findings are made of.
    pub(super) fn facts(&self) -> Outside {
        let list = |answer: &Remembered| Listing {
            zone: answer.zone.clone(),
            subject: answer.subject.clone(),
            is_address: answer.subject.parse::<IpAddr>().is_ok(),
            known: answer.known.clone(),
        };
        let source = |(source, is_own): &(schema::DmarcSource, Option<bool>)| Source {
            address: source.address.clone(),
            is_own: *is_own,
            messages: source.messages,
            unaligned: source.unaligned,
        };
        Outside {
            lists: self.lists.iter().map(list).collect(),
            sources: self.sources.iter().map(source).collect(),
            connections: self.tls.last_30_days.connections,
            failed_connections: self.tls.last_30_days.failed,
            failure: self.tls.failures.first().map(|failure| failure.result_type.clone()),
        }
    }

    /// Shows what block lists said.
    pub(super) fn answers(&self) -> Vec<schema::BlockListAnswer> {
        self.lists.iter().map(show_answer).collect()
    }
}

/// The reports of a kind.
struct Reported {
    reports: Vec<Kept>,
    rows: Vec<ReportRow>,
    is_partial: bool,
}

impl Reported {
    fn new(mut reports: Vec<Kept>, mut rows: Vec<ReportRow>) -> Self {
        let is_partial = reports.len() > REPORTS_MAX || rows.len() > ROWS_MAX;
        reports.truncate(REPORTS_MAX);
        rows.truncate(ROWS_MAX);
        Self { reports, rows, is_partial }
    }

    fn since(&self, time: UnixMicros) -> impl Iterator<Item = &Kept> {
        self.reports.iter().filter(move |report| report.id.made_at() >= time)
    }

    fn dmarc_totals(&self, time: UnixMicros) -> schema::DmarcTotals {
        let sum = |of: fn(&Kept) -> u64| self.since(time).map(of).fold(0, u64::saturating_add);
        let (messages, unaligned) = (sum(|report| report.total), sum(|report| report.failed));
        schema::DmarcTotals {
            reports: self.since(time).count() as u64,
            messages,
            aligned: messages.saturating_sub(unaligned),
            unaligned,
            quarantined: sum(|report| report.quarantined),
            rejected: sum(|report| report.rejected),
        }
    }

    fn tls_totals(&self, time: UnixMicros) -> schema::TlsTotals {
        let sum = |of: fn(&Kept) -> u64| self.since(time).map(of).fold(0, u64::saturating_add);
        schema::TlsTotals {
            reports: self.since(time).count() as u64,
            connections: sum(|report| report.total),
            failed: sum(|report| report.failed),
        }
    }

    /// Those first of whose mail most was not aligned.
    fn sources(&self) -> Vec<schema::DmarcSource> {
        let mut sources: BTreeMap<&str, schema::DmarcSource> = BTreeMap::new();
        for row in &self.rows {
            let source = sources.entry(&row.source).or_insert_with(|| schema::DmarcSource {
                address: row.source.clone(),
                is_own: None,
                messages: 0,
                dkim_aligned: 0,
                spf_aligned: 0,
                unaligned: 0,
            });
            let add = |sum: &mut u64, counts: bool| *sum = sum.saturating_add(if counts { row.count } else { 0 });
            add(&mut source.messages, true);
            add(&mut source.dkim_aligned, row.dkim);
            add(&mut source.spf_aligned, row.spf);
            add(&mut source.unaligned, !row.dkim && !row.spf);
        }
        let mut sources: Vec<_> = sources.into_values().collect();
        sources.sort_by_key(|source| std::cmp::Reverse((source.unaligned, source.messages)));
        sources
    }

    fn failures(&self) -> Vec<schema::TlsFailureCount> {
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for row in &self.rows {
            let count = counts.entry((&row.source, &row.what)).or_default();
            *count = count.saturating_add(row.count);
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let show = |((host, kind), connections): ((&str, &str), u64)| schema::TlsFailureCount {
            host: host.to_owned(),
            result_type: kind.to_owned(),
            connections,
        };
        counts.into_iter().take(SHOWN_MAX).map(show).collect()
    }
}

/// Shows what a block list said.
fn show_answer(answer: &Remembered) -> schema::BlockListAnswer {
    let known = &answer.known;
    let state = match (known.is_listed(), known.failures) {
        (true, _) => "listed",
        (false, 0) => "clear",
        (false, _) => "unknown",
    };
    schema::BlockListAnswer {
        zone: answer.zone.clone(),
        subject: answer.subject.clone(),
        state,
        codes: known.codes.iter().map(Ipv4Addr::to_string).collect(),
        reason: known.reason.clone(),
        since: known.since.map(UnixMicros::as_seconds),
        answered_at: known.answered_at.map(UnixMicros::as_seconds),
        asked_at: answer.asked_at.as_seconds(),
        failures: known.failures,
        failure: known.failure.clone(),
    }
}
