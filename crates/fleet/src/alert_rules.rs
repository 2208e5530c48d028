//! Rules about the rates of what is sent: reading what a request wants, carrying it out, and showing what there is.

use crate::input;
use crate::send_metrics::fraction;
use postfleet_core::audit::Act;
use postfleet_core::id::{AlertRuleId, ApplicationId};
use postfleet_core::send_figures::{Line, Metric, WHOLE};
use postfleet_core::{Problem, ProblemKind};
use postfleet_net::Entropy;
use postfleet_schema::alert_rule as schema;
use postfleet_store::Store;
use postfleet_store::send_alerts::{self, AlertRule, CreateAlertRule, RULES_MAX, RemoveAlertRule, UpdateAlertRule};

/// Hours that a rule may look back at most, and that one does that says nothing.
const WINDOW_HOURS_MAX: u64 = 24;
/// Recipients that a rule may ask for at most.
const MIN_VOLUME_MAX: u64 = 1_000_000;
/// Recipients that a rule asks for that says nothing.
const MIN_VOLUME_USUAL: u64 = 100;

struct Wish {
    name: Option<String>,
    metric: Option<Metric>,
    threshold: Option<u64>,
    window_hours: Option<u64>,
    min_volume: Option<u64>,
}

fn read(request: schema::WriteAlertRule) -> Result<Wish, Problem> {
    let metric = |name: String| {
        let wrong = || Problem::invalid("metric", "metric must be bounce_rate, complaint_rate or delivery_rate");
        Metric::named(&name).ok_or_else(wrong)
    };
    let threshold = |value: f64| {
        let millionths = (value * WHOLE as f64).round();
        let is_good = value <= 1.0 && millionths >= 1.0;
        let wrong = || Problem::invalid("threshold", "threshold must be a fraction from 0.000001 to 1");
        if is_good { Ok(millionths as u64) } else { Err(wrong()) }
    };
    let number = |field: &'static str, max: u64| {
        move |value: i64| {
            let wrong = || Problem::invalid(field, format!("{field} must be a whole number from 1 to {max}"));
            u64::try_from(value).ok().filter(|value| (1..=max).contains(value)).ok_or_else(wrong)
        }
    };
    Ok(Wish {
        name: request.name.map(|name| input::name("name", &name)).transpose()?,
        metric: request.metric.map(metric).transpose()?,
        threshold: request.threshold.map(threshold).transpose()?,
        window_hours: request.window_hours.map(number("window_hours", WINDOW_HOURS_MAX)).transpose()?,
        min_volume: request.min_volume.map(number("min_volume", MIN_VOLUME_MAX)).transpose()?,
    })
}

/// Makes a rule.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    request: schema::WriteAlertRule,
) -> Result<AlertRule, Problem> {
    let now = act.at;
    let wish = read(request)?;
    let missing = |field: &'static str| move || Problem::invalid(field, format!("{field} must be given"));
    let metric = wish.metric.ok_or_else(missing("metric"))?;
    let threshold = wish.threshold.ok_or_else(missing("threshold"))?;
    let rule = AlertRule {
        id: AlertRuleId::new(now, entropy.ten()),
        application_id,
        name: wish.name.unwrap_or_else(|| metric.name().to_owned()),
        line: Line { metric, threshold, min_volume: wish.min_volume.unwrap_or(MIN_VOLUME_USUAL) },
        window_hours: wish.window_hours.unwrap_or(WINDOW_HOURS_MAX),
        is_firing: false,
        value: None,
        volume: None,
        evaluated_at: None,
        triggered_at: None,
        triggered: 0,
        created_at: now,
        updated_at: now,
    };
    if store.run(CreateAlertRule { act, rule: rule.clone() }).await? {
        return Ok(rule);
    }
    let text = format!("an application may have at most {RULES_MAX} alert rules");
    Err(Problem::new(ProblemKind::Conflict, "alert_rules_max_reached", text))
}

/// Changes a rule; what the request does not name stays.
pub async fn update(
    store: &Store,
    act: Act,
    application_id: ApplicationId,
    id: AlertRuleId,
    request: schema::WriteAlertRule,
) -> Result<AlertRule, Problem> {
    let Wish { name, metric, threshold, window_hours, min_volume } = read(request)?;
    let change = UpdateAlertRule { act, application_id, id, name, metric, threshold, window_hours, min_volume };
    store.run(change).await?.ok_or_else(Problem::not_found)
}

/// Removes a rule.
pub async fn remove(store: &Store, act: Act, application_id: ApplicationId, id: AlertRuleId) -> Result<(), Problem> {
    let removed = store.run(RemoveAlertRule { act, application_id, id }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// An application's rules.
pub async fn list(store: &Store, application: ApplicationId) -> Result<Vec<AlertRule>, Problem> {
    Ok(send_alerts::list(&mut store.reader().await?, application).await?)
}

/// One rule of an application.
pub async fn find(store: &Store, application: ApplicationId, id: AlertRuleId) -> Result<AlertRule, Problem> {
    send_alerts::find(&mut store.reader().await?, application, id).await?.ok_or_else(Problem::not_found)
}

/// Shows a rule.
pub fn show(rule: &AlertRule) -> schema::AlertRule {
    let state = match (rule.evaluated_at, rule.value) {
        (None, _) => "pending",
        (Some(_), _) if rule.is_firing => "firing",
        (Some(_), None) => "insufficient_data",
        (Some(_), Some(_)) => "ok",
    };
    schema::AlertRule {
        id: rule.id.to_string(),
        name: rule.name.clone(),
        metric: rule.line.metric.name(),
        threshold: fraction(rule.line.threshold),
        window_hours: rule.window_hours,
        min_volume: rule.line.min_volume,
        state,
        last_value: rule.value.map(fraction),
        last_volume: rule.volume,
        last_evaluated_at: rule.evaluated_at.map(|time| time.as_seconds()),
        last_triggered_at: rule.triggered_at.map(|time| time.as_seconds()),
        created_at: rule.created_at.as_seconds(),
        updated_at: rule.updated_at.as_seconds(),
    }
}
