//! Figures of what was sent.

use serde::Serialize;
use utoipa::ToSchema;

/// Figures of what was sent, as the store has them.
#[derive(Debug)]
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

/// Declares a shape with the figures beside fields of its own: those of the whole belong to one object, so that people read
/// a line of a table in it.
macro_rules! with_figures {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, ToSchema)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
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

        impl $name {
            /// Of these figures.
            pub fn new(figures: SendFigures, $($field: $kind),*) -> Self {
                Self {
                    $($field,)*
                    accepted: figures.accepted,
                    delivered: figures.delivered,
                    bounced: figures.bounced,
                    hard_bounced: figures.hard_bounced,
                    soft_bounced: figures.soft_bounced,
                    undetermined_bounced: figures.undetermined_bounced,
                    complaints: figures.complaints,
                    rejected: figures.rejected,
                    bounce_rate: figures.bounce_rate,
                    complaint_rate: figures.complaint_rate,
                    delivery_rate: figures.delivery_rate,
                }
            }
        }
    };
}

with_figures! {
    /// The figures of one sending domain, account or domain of recipients.
    SendMetric {
        /// By what it is grouped: `sending_domain`, `agent_account` or `recipient_domain`.
        group_by: &'static str,
        /// Of whom: the domain, or the address of the account as it was then; empty for recipients that no report named.
        key: String,
    }
}

with_figures! {
    /// How sending is.
    SendSummary {
        /// `healthy`; `at_risk` from 2 % hard bounces or 0.1 % complaints; `critical` from 10 % or 0.5 %; `insufficient_data`
        /// below `min_assess_volume`.
        state: &'static str,
        /// Recipients with a last word (delivered or bounced) that are needed to say how it is.
        min_assess_volume: u64,
        /// What was found, in words, the worst first: three at most.
        findings: Vec<String>,
        /// Mailboxes that have sent something since the beginning of the hour that was 24 hours ago, whatever the span; what
        /// was sent in the last seconds may be missing.
        senders_last_day: u64,
        /// The first day, such as `2026-03-02`.
        start: String,
        /// The last day.
        end: String,
    }
}

/// Figures over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendTimeseries {
    /// `day`, `week` (from Monday) or `month`.
    pub granularity: &'static str,
    /// One for each, the oldest first, those without anything among them. The first and the last may be parts of theirs.
    pub points: Vec<SendTimeseriesPoint>,
}

with_figures! {
    /// Figures of a day, a week or a month.
    SendTimeseriesPoint {
        /// Its first day in the span, such as `2026-03-02`.
        start: String,
    }
}
