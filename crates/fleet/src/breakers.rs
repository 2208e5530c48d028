//! Breakers of a workspace: reading what a request wants, and showing them beside what the platform does and where the
//! mailboxes stand.

use postfleet_core::audit::Act;
use postfleet_core::breaker::{self, Action, BREAKERS_MAX, Breaker, COUNT_MAX, MIN_VOLUME, Metric, Reading, WHOLE};
use postfleet_core::exchange::LoopLimits;
use postfleet_core::id::{ApplicationId, WorkspaceId};
use postfleet_core::reputation::{
    Line, PAUSE_BOUNCES, PAUSE_COMPLAINTS, REVIEW_BOUNCES, REVIEW_COMPLAINTS, SubjectKind,
};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::breaker as schema;
use postfleet_store::breakers::{self, Measured, SetBreakers};
use postfleet_store::{Store, reputation};
use std::collections::BTreeMap;

/// Mailboxes that are shown with each breaker.
const WORST: usize = 5;

/// Replaces the breakers of a workspace.
pub async fn set(
    store: &Store,
    act: Act,
    (application_id, workspace_id): (ApplicationId, WorkspaceId),
    request: schema::SetBreakers,
) -> Result<(), Problem> {
    let missing = || Problem::invalid("breakers", "breakers must be a list; an empty one removes all");
    let wanted = request.breakers.ok_or_else(missing)?;
    if wanted.len() > BREAKERS_MAX {
        return Err(Problem::invalid("breakers", format!("breakers must have at most {BREAKERS_MAX} entries")));
    }
    let mut breakers: Vec<Breaker> = Vec::with_capacity(wanted.len());
    for (index, one) in wanted.iter().enumerate() {
        let breaker = read(&format!("breakers[{index}]"), one)?;
        if breakers.iter().any(|known| (known.metric, known.action) == (breaker.metric, breaker.action)) {
            let text = format!("breakers[{index}]: there is one of this metric with this action already");
            return Err(Problem::invalid(&format!("breakers[{index}].metric"), text));
        }
        breakers.push(breaker);
    }
    replace(store, act, (application_id, workspace_id), breakers).await
}

/// Removes all breakers of a workspace.
pub async fn remove(store: &Store, act: Act, whose: (ApplicationId, WorkspaceId)) -> Result<(), Problem> {
    replace(store, act, whose, Vec::new()).await
}

async fn replace(
    store: &Store,
    act: Act,
    (application_id, workspace_id): (ApplicationId, WorkspaceId),
    breakers: Vec<Breaker>,
) -> Result<(), Problem> {
    let found = store.run(SetBreakers { act, application_id, workspace_id, breakers }).await?;
    if found { Ok(()) } else { Err(Problem::not_found()) }
}

fn read(at: &str, wanted: &schema::SetBreaker) -> Result<Breaker, Problem> {
    let invalid =
        |field: &str, text: String| Problem::invalid(&format!("{at}.{field}"), format!("{at}.{field} {text}"));
    let words = |names: Vec<&str>| format!("must be one of {}", names.join(", "));
    let metric = wanted.metric.as_deref().and_then(Metric::named);
    let metric =
        metric.ok_or_else(|| invalid("metric", words(Metric::ALL.iter().map(|metric| metric.name()).collect())))?;
    let action = wanted.action.as_deref().and_then(Action::named);
    let action =
        action.ok_or_else(|| invalid("action", words(Action::ALL.iter().map(|action| action.name()).collect())))?;
    let threshold = wanted.threshold.and_then(|value| threshold(metric, value)).ok_or_else(|| {
        invalid(
            "threshold",
            match metric.is_rate() {
                true => "must be percent with up to three places, from 0.001 to 100".to_owned(),
                false => format!("must be a whole number from 0 to {COUNT_MAX}"),
            },
        )
    })?;
    let count = |value: i64| u64::try_from(value).ok().filter(|value| (1..=COUNT_MAX).contains(value));
    let min_volume = match wanted.min_volume {
        Some(_) if !metric.is_rate() => return Err(invalid("min_volume", format!("is not for {}", metric.name()))),
        Some(value) => count(value).ok_or_else(|| invalid("min_volume", format!("must be from 1 to {COUNT_MAX}")))?,
        None => MIN_VOLUME,
    };
    let throttle_to = match (action, wanted.throttle_to) {
        (Action::Throttle, value) => {
            let value = value.and_then(count);
            Some(value.ok_or_else(|| invalid("throttle_to", format!("must be from 1 to {COUNT_MAX}")))?)
        }
        (_, Some(_)) => return Err(invalid("throttle_to", "is only for the action throttle".to_owned())),
        (_, None) => None,
    };
    Ok(Breaker { metric, threshold, min_volume, action, throttle_to, enabled: wanted.enabled.unwrap_or(true) })
}

/// The line in the unit in which it is kept; none if it has more places than that, or is out of bounds.
fn threshold(metric: Metric, value: f64) -> Option<u64> {
    let (scale, least, most) = if metric.is_rate() { (1_000.0, 1, WHOLE) } else { (1.0, 0, COUNT_MAX) };
    let scaled = value * scale;
    let whole = scaled.round();
    let is_whole = (scaled - whole).abs() < 1e-6;
    (is_whole && (least as f64..=most as f64).contains(&whole)).then_some(whole as u64)
}

/// The breakers of a workspace, as they are shown.
pub async fn show(
    store: &Store,
    limits: &LoopLimits,
    (application, workspace): (ApplicationId, WorkspaceId),
    now: UnixMicros,
) -> Result<schema::Breakers, Problem> {
    let mut reader = store.reader().await?;
    let found = breakers::of(&mut reader, application, workspace).await?.ok_or_else(Problem::not_found)?;
    let mailboxes = match found.is_empty() {
        true => Vec::new(),
        false => breakers::measured(&mut reader, application, workspace, now).await?,
    };
    let mut counts = BTreeMap::new();
    if found.iter().any(|breaker| breaker.metric.is_rate()) {
        let names: Vec<String> = mailboxes.iter().map(|one| one.grant_id.to_string()).collect();
        for kept in reputation::find_all(&mut reader, SubjectKind::Grant, &names).await? {
            counts.insert(kept.name, kept.standing.window.counts());
        }
    }
    let reading = |metric: Metric, one: &Measured| {
        let counts = counts.get(&one.grant_id.to_string()).copied().unwrap_or_default();
        match metric {
            Metric::BounceRate => Some(Reading { count: counts.hard_bounces, volume: counts.attempts }),
            Metric::ComplaintRate => Some(Reading { count: counts.complaints, volume: counts.feedback_attempts }),
            Metric::SendsPerHour => Some(Reading::of(one.watch.sends)),
            Metric::NewRecipientsPerDay => Some(Reading::of(one.watch.new_recipients)),
            Metric::RepeatedContent => Some(Reading::of(one.watch.most_repeated(now))),
            Metric::RejectionRate | Metric::RepliesPerThreadPerDay => None,
        }
    };
    let shown = found.iter().map(|breaker| {
        let readings = mailboxes.iter().filter_map(|one| Some((one, reading(breaker.metric, one)?)));
        show_one(breaker, limits, worst(breaker, readings.collect()))
    });
    Ok(schema::Breakers { workspace_id: workspace.to_string(), breakers: shown.collect() })
}

fn worst(breaker: &Breaker, mut readings: Vec<(&Measured, Reading)>) -> Vec<schema::BreakerReading> {
    let metric = breaker.metric;
    readings.retain(|(_, reading)| reading.count > 0);
    readings.sort_by_key(|(one, reading)| (std::cmp::Reverse(reading.value(metric)), one.grant_id));
    let show = |(one, reading): (&Measured, Reading)| schema::BreakerReading {
        grant_id: one.grant_id.to_string(),
        email: one.email.clone(),
        value: shown(metric, reading.value(metric)),
        volume: metric.is_rate().then_some(reading.volume),
        trips: breaker.trips(&reading),
    };
    readings.into_iter().take(WORST).map(show).collect()
}

fn show_one(breaker: &Breaker, limits: &LoopLimits, worst: Vec<schema::BreakerReading>) -> schema::Breaker {
    let metric = breaker.metric;
    let percent = |line: Line| line.count as f64 * 100.0 / line.of as f64;
    let (review, pause) = match metric {
        Metric::BounceRate => (Some(percent(REVIEW_BOUNCES)), Some(percent(PAUSE_BOUNCES))),
        Metric::ComplaintRate => (Some(percent(REVIEW_COMPLAINTS)), Some(percent(PAUSE_COMPLAINTS))),
        _ => (None, None),
    };
    let hold = match metric {
        Metric::RepeatedContent => Some(limits.repeats_per_hour),
        Metric::RepliesPerThreadPerDay => Some(limits.replies_per_day),
        _ => None,
    };
    schema::Breaker {
        metric: metric.name(),
        threshold: shown(metric, breaker.threshold),
        min_volume: metric.is_rate().then_some(breaker.min_volume),
        action: breaker.action.name(),
        throttle_to: breaker.throttle_to,
        enabled: breaker.enabled,
        platform: schema::PlatformLines { review, pause, hold },
        worst,
    }
}

/// A value for people: percent of a rate.
fn shown(metric: Metric, value: u64) -> f64 {
    match metric.is_rate() {
        true => breaker::percent(value).parse().unwrap_or_default(),
        false => value as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_up_to_three_places() {
        for (value, kept) in [(2.5, Some(2_500)), (0.001, Some(1)), (100.0, Some(100_000)), (0.1, Some(100))] {
            assert_eq!(threshold(Metric::BounceRate, value), kept, "{value}");
        }
        for value in [0.0, 0.0005, 2.5555, 100.001, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(threshold(Metric::BounceRate, value), None, "{value}");
        }
        assert_eq!(threshold(Metric::SendsPerHour, 0.0), Some(0));
        assert_eq!(threshold(Metric::SendsPerHour, 1_000_000.0), Some(COUNT_MAX));
        for value in [0.5, -1.0, 1_000_001.0] {
            assert_eq!(threshold(Metric::SendsPerHour, value), None, "{value}");
        }
    }
}
