//! `postfleet refused`: why mail did not arrive in a mailbox.

use super::Pages;
use crate::failure::Outcome;
use crate::output::{Column, Kind};
use crate::session::Session;

/// Which mail.
#[derive(clap::Args)]
pub struct Arguments {
    /// The mailbox: its id or address
    #[arg(value_name = "ID|EMAIL")]
    agent: String,
    /// Only mail of this address, as envelope sender or as author
    #[arg(long = "from", value_name = "EMAIL")]
    sender: Option<String>,
    /// Only what was refused for this reason, such as storage_full
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

const COLUMNS: &[Column] = &[
    Column("at", "/refused_at", Kind::Time),
    Column("from", "/sender", Kind::Text),
    Column("author", "/author", Kind::Text),
    Column("to", "/recipient", Kind::Text),
    Column("outcome", "/outcome", Kind::Text),
    Column("reason", "/code", Kind::Text),
    Column("limit", "/limit", Kind::Text),
    Column("used", "/used", Kind::Count),
    Column("maximum", "/maximum", Kind::Count),
    Column("times", "/times", Kind::Count),
    Column("evaluation", "/rule_evaluation_id", Kind::Text),
    Column("what would change it", "/change", Kind::Text),
];

/// Lists what a mailbox did not take.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let Arguments { agent, sender, reason, pages } = arguments;
    let api = session.application()?;
    let wanted = [("sender", sender), ("code", reason)];
    let query: Vec<(&str, String)> = wanted.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let things = api.list(&["grants", &agent, "refused-mail"], &query, pages.most()).await?;
    session.show_list(COLUMNS, things)
}
