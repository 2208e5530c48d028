//! `postfleet retention`: how long a mailbox keeps its mail, and what was removed from it by that.

use crate::failure::Outcome;
use crate::output::{Column, Kind, table};
use crate::session::Session;
use serde_json::json;

/// What to do.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Shows how long a mailbox keeps its mail, what was removed by that on which day, and what is due next
    Report {
        /// The mailbox, by its address or id
        #[arg(value_name = "EMAIL|ID")]
        agent: String,
    },
}

const WINDOWS: &[Column] = &[
    Column("mail", "/name", Kind::Text),
    Column("days", "/days", Kind::Count),
    Column("oldest from", "/oldest_at", Kind::Time),
    Column("due", "/next_due_at", Kind::Time),
];

const DAYS: &[Column] = &[
    Column("day", "/date", Kind::Text),
    Column("messages", "/inbox/messages", Kind::Count),
    Column("bytes", "/inbox/bytes", Kind::Count),
    Column("after days", "/inbox/days", Kind::Count),
    Column("junk", "/spam/messages", Kind::Count),
    Column("bytes", "/spam/bytes", Kind::Count),
    Column("after days", "/spam/days", Kind::Count),
];

/// Runs it.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let Verb::Report { agent } = verb;
    let data = session.application()?.get(&["grants", &agent, "retention"]).await?.data();
    if session.is_json() {
        return session.print_json(&data);
    }
    let named = |name: &str, window: &str| {
        let mut row = data[window].clone();
        row["name"] = json!(name);
        row
    };
    session.print_table(&table(WINDOWS, &[named("all", "inbox"), named("junk", "spam")]))?;
    let days = data["days"].as_array().cloned().unwrap_or_default();
    if days.is_empty() {
        return Ok(());
    }
    session.print_table("\n")?;
    session.print_table(&table(DAYS, &days))
}
