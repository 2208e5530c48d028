//! Rules of who wants to be told that a rate of what was sent is beyond a line, and judging them.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::NewEvent;
use crate::params;
use crate::send_sums;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{AlertRuleId, ApplicationId, EventId, GrantId};
use postfleet_core::send_figures::{Line, Metric, WHOLE};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// Rules of one application. All of them are one answer.
pub const RULES_MAX: i64 = 20;

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertRule {
    /// Its id.
    pub id: AlertRuleId,
    /// Whose.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// Which rate, from where on.
    pub line: Line,
    /// How many hours it looks back.
    pub window_hours: u64,
    /// Whether the rate was beyond the line when it was looked at last.
    pub is_firing: bool,
    /// The rate then, in millionths; none if too little was sent.
    pub value: Option<u64>,
    /// The recipients with a last word then.
    pub volume: Option<u64>,
    /// When it was looked at last.
    pub evaluated_at: Option<UnixMicros>,
    /// When somebody was told last.
    pub triggered_at: Option<UnixMicros>,
    /// How often somebody was told.
    pub triggered: u64,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was changed last.
    pub updated_at: UnixMicros,
}

macro_rules! rule_columns {
    () => {
        "id, application_id, name, metric, threshold, min_volume, window_hours, firing, value, volume, evaluated_at, \
         triggered_at, triggered, created_at, updated_at"
    };
}

pub(crate) const LIST: &str =
    concat!("SELECT ", rule_columns!(), " FROM send_alert_rules WHERE application_id = $1 ORDER BY id");
const FIND: &str = concat!("SELECT ", rule_columns!(), " FROM send_alert_rules WHERE id = $1 AND application_id = $2");

fn read(row: &Row) -> Result<AlertRule, DbError> {
    let time = |value: Option<i64>| value.map(UnixMicros::from_micros);
    let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let metric = Metric::named(row.str(3)?).ok_or(DbError::Malformed("metric"))?;
    Ok(AlertRule {
        id: AlertRuleId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        name: row.text(2)?,
        line: Line { metric, threshold: row.count(4)?, min_volume: row.count(5)? },
        window_hours: row.count(6)?,
        is_firing: row.flag(7)?,
        value: count(row.opt_int(8)?),
        volume: count(row.opt_int(9)?),
        evaluated_at: time(row.opt_int(10)?),
        triggered_at: time(row.opt_int(11)?),
        triggered: row.count(12)?,
        created_at: UnixMicros::from_micros(row.int(13)?),
        updated_at: UnixMicros::from_micros(row.int(14)?),
    })
}

/// An application's rules, oldest first.
pub async fn list(reader: &mut Reader<'_>, application: ApplicationId) -> Result<Vec<AlertRule>, StoreError> {
    let rows = reader.query(LIST, params![application.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// A rule of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: AlertRuleId,
) -> Result<Option<AlertRule>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

fn facts(rule: &AlertRule) -> Value {
    json!({
        "id": rule.id.to_string(),
        "name": rule.name,
        "metric": rule.line.metric.name(),
        "threshold": fraction(rule.line.threshold),
        "window_hours": rule.window_hours,
        "min_volume": rule.line.min_volume,
    })
}

fn fraction(millionths: u64) -> f64 {
    millionths as f64 / WHOLE as f64
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    [before, after]: [Option<&AlertRule>; 2],
) -> Result<(), DbError> {
    let id = after.or(before).map(|rule| rule.id.to_string()).unwrap_or_default();
    let text = |rule: Option<&AlertRule>| rule.map(|rule| facts(rule).to_string());
    let (before, after) = (text(before), text(after));
    let change = Change {
        action,
        target_kind: "alert_rule",
        target_id: &id,
        before: before.as_deref(),
        after: after.as_deref(),
    };
    audit::record(tx, act, change).await
}

/// Makes a rule, which is looked at at once.
#[derive(Clone, Debug)]
pub struct CreateAlertRule {
    /// Who, and when.
    pub act: Act,
    /// The rule.
    pub rule: AlertRule,
}

impl Command for CreateAlertRule {
    /// False when there are as many as there may be.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        const COUNT: &str = "SELECT count(*) FROM send_alert_rules WHERE application_id = $1";
        const INSERT: &str = "INSERT INTO send_alert_rules (id, application_id, name, metric, threshold, min_volume, \
            window_hours, firing, triggered, due_at, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $8, $8)";
        let AlertRule { id, application_id, name, line, window_hours, created_at, .. } = &self.rule;
        let application = application_id.uuid();
        tx.query_one(LOCK, params![application]).await?;
        let count = tx.query_one(COUNT, params![application]).await?.map_or(Ok(0), |row| row.int(0))?;
        if count >= RULES_MAX {
            return Ok(false);
        }
        let values = params![
            id.uuid(),
            application,
            name,
            line.metric.name(),
            line.threshold as i64,
            line.min_volume as i64,
            *window_hours as i64,
            created_at.as_micros()
        ];
        tx.execute(INSERT, values).await?;
        record(tx, &self.act, "alert_rule.created", [None, Some(&self.rule)]).await?;
        Ok(true)
    }
}

/// Changes a rule; what is none stays. A rule that is another then is looked at anew.
#[derive(Clone, Debug)]
pub struct UpdateAlertRule {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: AlertRuleId,
    /// What people call it.
    pub name: Option<String>,
    /// Which rate.
    pub metric: Option<Metric>,
    /// From where on.
    pub threshold: Option<u64>,
    /// How far it looks back.
    pub window_hours: Option<u64>,
    /// From how many recipients on.
    pub min_volume: Option<u64>,
}

impl Command for UpdateAlertRule {
    /// The rule as it is now; none if there is none.
    type Outcome = Option<AlertRule>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<AlertRule>, DbError> {
        const LOCKED: &str =
            concat!("SELECT ", rule_columns!(), " FROM send_alert_rules WHERE id = $1 AND application_id = $2 {lock}");
        const UPDATE: &str = "UPDATE send_alert_rules SET name = $2, metric = $3, threshold = $4, min_volume = $5, \
            window_hours = $6, firing = $7, due_at = $8, updated_at = $8 WHERE id = $1";
        let row = tx.query_one(LOCKED, params![self.id.uuid(), self.application_id.uuid()]).await?;
        let Some(before) = row.as_ref().map(read).transpose()? else { return Ok(None) };
        let line = Line {
            metric: self.metric.unwrap_or(before.line.metric),
            threshold: self.threshold.unwrap_or(before.line.threshold),
            min_volume: self.min_volume.unwrap_or(before.line.min_volume),
        };
        let window_hours = self.window_hours.unwrap_or(before.window_hours);
        let is_same = line == before.line && window_hours == before.window_hours;
        let name = self.name.clone().unwrap_or_else(|| before.name.clone());
        if is_same && name == before.name {
            return Ok(Some(before));
        }
        let is_firing = before.is_firing && is_same;
        let after = AlertRule { name, line, window_hours, is_firing, updated_at: self.act.at, ..before.clone() };
        let values = params![
            self.id.uuid(),
            &after.name,
            line.metric.name(),
            line.threshold as i64,
            line.min_volume as i64,
            window_hours as i64,
            is_firing,
            self.act.at.as_micros()
        ];
        tx.execute(UPDATE, values).await?;
        record(tx, &self.act, "alert_rule.updated", [Some(&before), Some(&after)]).await?;
        Ok(Some(after))
    }
}

/// Removes a rule.
#[derive(Clone, Debug)]
pub struct RemoveAlertRule {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: AlertRuleId,
}

impl Command for RemoveAlertRule {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str =
            concat!("DELETE FROM send_alert_rules WHERE id = $1 AND application_id = $2 RETURNING ", rule_columns!());
        let row = tx.query_one(REMOVE, params![self.id.uuid(), self.application_id.uuid()]).await?;
        let Some(old) = row.as_ref().map(read).transpose()? else { return Ok(false) };
        record(tx, &self.act, "alert_rule.removed", [Some(&old), None]).await?;
        Ok(true)
    }
}

pub(crate) const DUE: &str = concat!(
    "SELECT ",
    rule_columns!(),
    " FROM send_alert_rules WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2 {skip_locked}"
);

/// Looks at the rules that are due, and tells of those whose line is crossed: once, until the rate was within again. A rule
/// is looked at by one node, since looking at it moves its time.
#[derive(Clone, Copy, Debug)]
pub struct WatchRates {
    /// Now.
    pub now: UnixMicros,
    /// When they are looked at again.
    pub every: Duration,
    /// How many at once.
    pub limit: usize,
}

impl Command for WatchRates {
    /// How many were looked at.
    type Outcome = usize;

    async fn run(&self, tx: &mut Tx) -> Result<usize, DbError> {
        let due = tx.query(DUE, params![self.now.as_micros(), self.limit as i64]).await?;
        for row in &due {
            self.judge(tx, read(row)?).await?;
        }
        Ok(due.len())
    }
}

impl WatchRates {
    async fn judge(&self, tx: &mut Tx, rule: AlertRule) -> Result<(), DbError> {
        const UPDATE: &str = "UPDATE send_alert_rules SET due_at = $2, firing = $3, value = $4, volume = $5, \
            evaluated_at = $6, triggered = triggered + $7, \
            triggered_at = CASE WHEN CAST($7 AS {int}) = 1 THEN $6 ELSE triggered_at END WHERE id = $1";
        let sums = send_sums::of_last_hours(tx, rule.application_id, rule.window_hours, self.now).await?;
        let judged = rule.line.judge(&sums);
        let is_firing = judged.is_some_and(|(is_beyond, _)| is_beyond);
        let crosses = is_firing && !rule.is_firing;
        let value = judged.map(|(_, value)| value);
        let values = params![
            rule.id.uuid(),
            self.now.plus(self.every).as_micros(),
            is_firing,
            value.map(|value| value as i64),
            sums.answers() as i64,
            self.now.as_micros(),
            i64::from(crosses)
        ];
        tx.execute(UPDATE, values).await?;
        if let (true, Some(value)) = (crosses, value) {
            self.tell(tx, &rule, value, sums.answers());
        }
        Ok(())
    }

    fn tell(&self, tx: &mut Tx, rule: &AlertRule, value: u64, volume: u64) {
        let number = rule.triggered + 1;
        let hash = blake3::hash(&[rule.id.uuid().as_bytes().as_slice(), &number.to_be_bytes()].concat());
        let mut ten = [0; 10];
        ten.copy_from_slice(&hash.as_bytes()[..10]);
        let id = EventId::new(self.now, ten);
        let at = self.now.as_seconds();
        let data = json!({
            "object": "alert",
            "id": id.to_string(),
            "grant_id": "",
            "status": "firing",
            "notification_seq": 1,
            "started_at": at,
            "triggered_at": at,
            "sending_domain": Value::Null,
            "value": fraction(value),
            "volume": volume,
            "rule": facts(rule),
        });
        tx.announce(NewEvent {
            id,
            application_id: rule.application_id,
            grant_id: GrantId::from_uuid(Uuid::nil()),
            grant_sequence: 0,
            trigger: Trigger::AlertTriggered,
            message_id: None,
            data: data.to_string(),
            at: self.now,
        });
    }
}
