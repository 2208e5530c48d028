//! Figures of what was sent.

use serde::Serialize;
use utoipa::ToSchema;

/// How often each thing happened, and the rates that follow from it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendFigures {
    /// Recipients for whom a message was accepted.
    pub accepted: u64,
    /// Recipients whose server took it.
    pub delivered: u64,
    /// Recipients for whom it failed for good, of all classes.
    pub bounced: u64,
    /// Of those: nobody is there.
    pub hard_bounced: u64,
    /// Of those: the address may be good.
    pub soft_bounced: u64,
    /// Of those: nothing can be told.
    pub undetermined_bounced: u64,
    /// Complaints.
    pub complaints: u64,
    /// Recipients that were not attempted, because they are suppressed.
    pub rejected: u64,
    /// `hard_bounced` / (`delivered` + `bounced`), from 0 to 1; null without any of them.
    pub bounce_rate: Option<f64>,
    /// `complaints` / `delivered`, from 0 to 1; null without deliveries.
    pub complaint_rate: Option<f64>,
    /// `delivered` / (`delivered` + `bounced`), from 0 to 1; null without any of them.
    pub delivery_rate: Option<f64>,
}

/// The figures of one sending domain, account or domain of recipients.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendMetric {
    /// By what it is grouped: `sending_domain`, `agent_account` or `recipient_domain`.
    pub group_by: &'static str,
    /// Of whom: the domain, or the address of the account as it was then; empty for recipients that no report named.
    pub key: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: SendFigures,
}

/// How sending is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendSummary {
    /// `healthy`; `at_risk` from 2 % hard bounces or 0.1 % complaints; `critical` from 10 % or 0.5 %; `insufficient_data`
    /// below `min_assess_volume`.
    pub state: &'static str,
    /// Recipients with a last word (delivered or bounced) that are needed to say how it is.
    pub min_assess_volume: u64,
    /// What was found, in words, the worst first: three at most.
    pub findings: Vec<String>,
    /// The first day, such as `2026-03-02`.
    pub start: String,
    /// The last day.
    pub end: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: SendFigures,
}

/// Figures over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendTimeseries {
    /// `day`, `week` (from Monday) or `month`.
    pub granularity: &'static str,
    /// One for each, the oldest first, those without anything among them. The first and the last may be parts of theirs.
    pub points: Vec<SendTimeseriesPoint>,
}

/// Figures of a day, a week or a month.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendTimeseriesPoint {
    /// Its first day in the span, such as `2026-03-02`.
    pub start: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: SendFigures,
}
