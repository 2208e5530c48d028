//! `postfleet metrics`: figures of what was sent.

use crate::client::Things;
use crate::failure::Outcome;
use crate::output::{Column, Kind, table};
use crate::session::Session;
use reqwest::Method;
use serde_json::Value;

const GROUPS: [&str; 3] = ["sending_domain", "agent_account", "recipient_domain"];
const SORTS: [&str; 8] =
    ["accepted", "delivered", "bounced", "complaints", "rejected", "bounce_rate", "complaint_rate", "delivery_rate"];
const GRANULARITIES: [&str; 4] = ["auto", "day", "week", "month"];

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Shows rates by sending domain, account or domain of recipients
    Send(Grouped),
    /// Shows how sending is, and why
    Summary(Span),
    /// Shows how sending went over time
    Timeseries(OverTime),
}

/// By what.
#[derive(clap::Args)]
pub struct Grouped {
    /// By what
    #[arg(long, default_value = "sending_domain", value_parser = GROUPS)]
    by: String,
    /// Whose comes first: those who have most of it; of delivery_rate, least
    #[arg(long, default_value = "accepted", value_parser = SORTS)]
    sort: String,
    /// How many to show at most, up to 100
    #[arg(long, value_name = "N", default_value_t = 25)]
    limit: u32,
    #[command(flatten)]
    span: Span,
}

/// From when to when.
#[derive(clap::Args)]
pub struct Span {
    /// The first day, such as 2026-03-02; a week that ends with the last if it is not said
    #[arg(long, value_name = "DAY")]
    start: Option<String>,
    /// The last day; today if it is not said
    #[arg(long, value_name = "DAY")]
    end: Option<String>,
}

/// How finely.
#[derive(clap::Args)]
pub struct OverTime {
    /// How finely
    #[arg(long, default_value = "auto", value_parser = GRANULARITIES)]
    granularity: String,
    #[command(flatten)]
    span: Span,
}

impl Span {
    fn query(self) -> Vec<(&'static str, String)> {
        let days = [("start", self.start), ("end", self.end)];
        days.into_iter().filter_map(|(name, day)| Some((name, day?))).collect()
    }
}

/// The figures, behind one column that says of what.
macro_rules! figures {
    ($title:literal, $of:literal) => {
        &[
            Column($title, $of, Kind::Text),
            Column("accepted", "/accepted", Kind::Count),
            Column("delivered", "/delivered", Kind::Count),
            Column("hard", "/hard_bounced", Kind::Count),
            Column("soft", "/soft_bounced", Kind::Count),
            Column("other", "/undetermined_bounced", Kind::Count),
            Column("complaints", "/complaints", Kind::Count),
            Column("rejected", "/rejected", Kind::Count),
            Column("bounce rate", "/bounce_rate", Kind::Text),
            Column("complaint rate", "/complaint_rate", Kind::Text),
            Column("delivery rate", "/delivery_rate", Kind::Text),
        ]
    };
}

const GROUPED: &[Column] = figures!("of", "/key");
const OVER_TIME: &[Column] = figures!("from", "/start");
const SUMMARY: &[Column] = figures!("state", "/state");

/// Who sent lately, whatever the span.
fn senders(data: &Value) -> String {
    let count = data["senders_last_day"].as_u64().unwrap_or_default();
    format!("{count} {} sent something in the last day\n", if count == 1 { "mailbox has" } else { "mailboxes have" })
}

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::Send(Grouped { by, sort, limit, span }) => {
            let mut query = span.query();
            query.extend([("group_by", by), ("sort", sort), ("limit", limit.to_string())]);
            let answer = api.ask(Method::GET, &["metrics", "send"], &query, None).await?;
            let items = answer.data().as_array().cloned().unwrap_or_default();
            session.show_list(GROUPED, Things { items, has_more: false })
        }
        Verb::Summary(span) => {
            let answer = api.ask(Method::GET, &["metrics", "send", "summary"], &span.query(), None).await?;
            let data = answer.data();
            if session.is_json() {
                return session.print_json(&data);
            }
            let findings = data["findings"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let findings: String = findings.map(|finding| format!("- {finding}\n")).collect();
            session.print_table(&format!("{}{}{findings}", table(SUMMARY, std::slice::from_ref(&data)), senders(&data)))
        }
        Verb::Timeseries(OverTime { granularity, span }) => {
            let mut query = span.query();
            query.push(("granularity", granularity));
            let answer = api.ask(Method::GET, &["metrics", "send", "timeseries"], &query, None).await?;
            let data = answer.data();
            if session.is_json() {
                return session.print_json(&data);
            }
            let points = data["points"].as_array().cloned().unwrap_or_default();
            session.print_table(&table(OVER_TIME, &points))
        }
    }
}
