//! Rules by which an application is told that a rate of what it sends is beyond a line.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/alerts/send` and `PUT /v3/alerts/send/{alert_rule}`, where what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct WriteAlertRule {
    /// What people call it: 1 to 256 characters; the metric if null or absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// `bounce_rate`, `complaint_rate` or `delivery_rate`, as the metrics have them. Needed when one is made.
    #[serde(default)]
    pub metric: Option<String>,
    /// From where on, from 0.000001 to 1: a rate of bounces or complaints that is as high, or a rate of deliveries that is
    /// lower. Needed when one is made.
    #[serde(default)]
    #[schema(minimum = 0.000001, maximum = 1.0)]
    pub threshold: Option<f64>,
    /// How many hours are looked back, from 1 to 24: from the beginning of the hour on that was so long ago. 24 if null or
    /// absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 24)]
    pub window_hours: Option<i64>,
    /// Recipients with a last word (delivered or bounced) in that time that are needed to say anything, from 1 to 1,000,000;
    /// 100 if null or absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub min_volume: Option<i64>,
}

/// A rule, and what it found last.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertRule {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `bounce_rate`, `complaint_rate` or `delivery_rate`.
    pub metric: &'static str,
    /// From where on it fires, as a fraction.
    pub threshold: f64,
    /// How many hours it looks back.
    pub window_hours: u64,
    /// Recipients with a last word that are needed to say anything.
    pub min_volume: u64,
    /// `firing` (beyond the line: `alert.triggered` was announced when it was crossed), `ok`, `insufficient_data`, or
    /// `pending` until it was looked at.
    pub state: &'static str,
    /// The rate when it was looked at last, as a fraction; null if too little was sent.
    pub last_value: Option<f64>,
    /// Recipients with a last word then; null until it was looked at.
    pub last_volume: Option<u64>,
    /// When it was looked at last, in unix seconds; null until then. It is every five minutes.
    pub last_evaluated_at: Option<i64>,
    /// When `alert.triggered` was announced last, in unix seconds; null if it never was.
    pub last_triggered_at: Option<i64>,
    /// When it was made, in unix seconds.
    pub created_at: i64,
    /// When it was changed last, in unix seconds.
    pub updated_at: i64,
}
