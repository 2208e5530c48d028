//! Figures of what was sent: reading what a request asks for, and showing them.

use postfleet_core::id::ApplicationId;
use postfleet_core::send_figures::{ASSESSED_FROM, Metric, Sums, WHOLE};
use postfleet_core::{Problem, UnixMicros, UtcDay};
use postfleet_schema::send_metrics as schema;
use postfleet_store::send_sums::{self, Dimension};
use postfleet_store::{Store, senders};
use std::cmp::Reverse;

/// Days that are shown if no beginning is named, today among them.
const USUAL_DAYS: i64 = 7;
/// Days of one answer.
const DAYS_MAX: i64 = 366;

/// What may be grouped by.
pub const GROUPS: &[&str] = &["sending_domain", "agent_account", "recipient_domain"];
/// What may be sorted by.
pub const SORTS: &[&str] =
    &["accepted", "delivered", "bounced", "complaints", "rejected", "bounce_rate", "complaint_rate", "delivery_rate"];
/// How finely time may be divided.
pub const GRANULARITIES: &[&str] = &["auto", "day", "week", "month"];

/// From which day to which.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// The first day; if absent, a week that ends with the last.
    pub start: Option<&'a str>,
    /// The last day; today if absent.
    pub end: Option<&'a str>,
}

impl Span<'_> {
    fn read(self, now: UnixMicros) -> Result<(UtcDay, UtcDay), Problem> {
        let day = |field: &str, text: Option<&str>| {
            let wrong = |error| Problem::invalid(field, format!("{field} {error}"));
            text.map(|text| text.parse::<UtcDay>().map_err(wrong)).transpose()
        };
        let to = day("end", self.end)?.unwrap_or(now.day());
        let from = day("start", self.start)?.unwrap_or(UtcDay::from_number(to.number() - USUAL_DAYS + 1));
        if to < from {
            return Err(Problem::invalid("end", "end must not be before start"));
        }
        if to.number() - from.number() >= DAYS_MAX {
            return Err(Problem::invalid("start", format!("start must be at most {} days before end", DAYS_MAX - 1)));
        }
        Ok((from, to))
    }
}

/// The figures of those who have most of something: of rates of deliveries, those who have least.
pub async fn grouped(
    store: &Store,
    application: ApplicationId,
    (group_by, sort, limit): (&str, &str, usize),
    span: Span<'_>,
    now: UnixMicros,
) -> Result<Vec<schema::SendMetric>, Problem> {
    let (group_by, dimension) = match group_by {
        "sending_domain" => ("sending_domain", Dimension::SendingDomain),
        "agent_account" => ("agent_account", Dimension::Account),
        "recipient_domain" => ("recipient_domain", Dimension::RecipientDomain),
        _ => return Err(one_of("group_by", GROUPS)),
    };
    if !SORTS.contains(&sort) {
        return Err(one_of("sort", SORTS));
    }
    let span = span.read(now)?;
    let found = send_sums::by_key(&mut store.reader().await?, application, dimension, span).await?;
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_cached_key(|(key, sums)| (Reverse(weight(sums, sort)), Reverse(sums.accepted), key.clone()));
    found.truncate(limit);
    let shown = found.into_iter().map(|(key, sums)| schema::SendMetric::new(show(&sums), group_by, key));
    Ok(shown.collect())
}

fn one_of(field: &str, names: &[&str]) -> Problem {
    Problem::invalid(field, format!("{field} must be one of {}", names.join(", ")))
}

/// What is sorted by, the greatest first; what has no such rate comes last.
fn weight(sums: &Sums, sort: &str) -> u64 {
    let rate = |metric| sums.rate(metric).map_or(0, |rate| rate + 1);
    match sort {
        "delivered" => sums.delivered,
        "bounced" => sums.bounced(),
        "complaints" => sums.complaints,
        "rejected" => sums.rejected,
        "bounce_rate" => rate(Metric::Bounces),
        "complaint_rate" => rate(Metric::Complaints),
        "delivery_rate" => sums.rate(Metric::Deliveries).map_or(0, |rate| WHOLE + 1 - rate),
        _ => sums.accepted,
    }
}

/// How sending is.
pub async fn summary(
    store: &Store,
    application: ApplicationId,
    span: Span<'_>,
    now: UnixMicros,
) -> Result<schema::SendSummary, Problem> {
    let (from, to) = span.read(now)?;
    let mut reader = store.reader().await?;
    let days = send_sums::by_day(&mut reader, application, (from, to)).await?;
    let senders = senders::in_last_day(&mut reader, Some(application), now).await?;
    let mut sums = Sums::default();
    days.values().for_each(|day| sums.add(day));
    let (health, findings) = sums.health();
    let (from, to) = (from.to_string(), to.to_string());
    Ok(schema::SendSummary::new(show(&sums), health.name(), ASSESSED_FROM, findings, senders, from, to))
}

/// Figures over time.
pub async fn timeseries(
    store: &Store,
    application: ApplicationId,
    granularity: &str,
    span: Span<'_>,
    now: UnixMicros,
) -> Result<schema::SendTimeseries, Problem> {
    let (from, to) = span.read(now)?;
    let granularity = match (granularity, to.number() - from.number()) {
        ("day", _) | ("auto", ..=30) => "day",
        ("week", _) | ("auto", ..=181) => "week",
        ("month", _) | ("auto", _) => "month",
        _ => return Err(one_of("granularity", GRANULARITIES)),
    };
    let days = send_sums::by_day(&mut store.reader().await?, application, (from, to)).await?;
    let mut points: Vec<(UtcDay, Sums)> = Vec::new();
    for day in (from.number()..=to.number()).map(UtcDay::from_number) {
        let is_of_last = points.last().is_some_and(|(start, _)| is_of_same(granularity, *start, day));
        if !is_of_last {
            points.push((day, Sums::default()));
        }
        if let (Some((_, point)), Some(sums)) = (points.last_mut(), days.get(&day)) {
            point.add(sums);
        }
    }
    let shown = |(start, sums): (UtcDay, Sums)| schema::SendTimeseriesPoint::new(show(&sums), start.to_string());
    Ok(schema::SendTimeseries { granularity, points: points.into_iter().map(shown).collect() })
}

fn is_of_same(granularity: &str, one: UtcDay, other: UtcDay) -> bool {
    // 1970-01-01 was a Thursday; weeks begin on Monday.
    let week = |day: UtcDay| (day.number() + 3).div_euclid(7);
    match granularity {
        "week" => week(one) == week(other),
        "month" => one.month() == other.month(),
        _ => one == other,
    }
}

/// Millionths as a fraction.
pub(crate) fn fraction(millionths: u64) -> f64 {
    millionths as f64 / WHOLE as f64
}

fn show(sums: &Sums) -> schema::SendFigures {
    let rate = |metric| sums.rate(metric).map(fraction);
    schema::SendFigures {
        accepted: sums.accepted,
        delivered: sums.delivered,
        bounced: sums.bounced(),
        hard_bounced: sums.hard,
        soft_bounced: sums.soft,
        undetermined_bounced: sums.undetermined,
        complaints: sums.complaints,
        rejected: sums.rejected,
        bounce_rate: rate(Metric::Bounces),
        complaint_rate: rate(Metric::Complaints),
        delivery_rate: rate(Metric::Deliveries),
    }
}
