//! `postfleet audit`: who changed what.

use super::Pages;
use crate::failure::Outcome;
use crate::output::{Column, Kind, parse_time};
use crate::session::Session;

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists changes, newest first
    List(List),
}

/// Which to list.
#[derive(clap::Args)]
pub struct List {
    /// Those made then or later: seconds or a date
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// Those made before: seconds or a date
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    before: Option<i64>,
    /// Changes of this one thing
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// Those of the whole organization, with the operator's key
    #[arg(long)]
    operator: bool,
    #[command(flatten)]
    pages: Pages,
}

const COLUMNS: &[Column] = &[
    Column("at", "/created_at", Kind::Time),
    Column("who", "/actor/name", Kind::Text),
    Column("by", "/actor/kind", Kind::Text),
    Column("did", "/action", Kind::Text),
    Column("to", "/target/id", Kind::Text),
    Column("request", "/request_id", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let Verb::List(List { since, before, target, operator, pages }) = verb;
    let mut query = Vec::new();
    query.extend(since.map(|since| ("since", since.to_string())));
    query.extend(before.map(|before| ("before", before.to_string())));
    query.extend(target.map(|target| ("target_id", target)));
    let things = if operator {
        session.operator()?.list(&["admin", "audit"], &query, pages.most()).await?
    } else {
        session.application()?.list(&["audit"], &query, pages.most()).await?
    };
    session.show_list(COLUMNS, things)
}
