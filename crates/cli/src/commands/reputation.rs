//! `postfleet reputation`: where an application and its mailboxes stand, and how far they are from a pause.

use super::names::{ORGANIZATION, WORKSPACE};
use crate::failure::Outcome;
use crate::output::{Column, Kind, record, table};
use crate::session::Session;
use reqwest::Method;
use serde_json::Value;

/// Of whom.
#[derive(clap::Args)]
pub struct Arguments {
    /// A mailbox, by its address or id; without one, the application with whoever is not healthy
    #[arg(value_name = "EMAIL|ID")]
    agent: Option<String>,
    /// Counts the mailbox's window anew from the record of all outcomes, and says whether both agree
    #[arg(long, requires = "agent")]
    recount: bool,
    /// A workspace instead, by its id or name
    #[arg(long, value_name = "WORKSPACE", conflicts_with_all = ["agent", "domain", "org"])]
    workspace: Option<String>,
    /// A domain from which is sent instead, with the operator's key
    #[arg(long, value_name = "DOMAIN", conflicts_with_all = ["agent", "org"])]
    domain: Option<String>,
    /// An organization instead, by its id or name, with the operator's key
    #[arg(long, value_name = "ORG", conflicts_with = "agent")]
    org: Option<String>,
}

const ROWS: &[Column] = &[
    Column("of", "/subject_type", Kind::Text),
    Column("name", "/shown", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("since", "/since", Kind::Time),
    Column("recipients", "/counts/recipients", Kind::Count),
    Column("bounced %", "/rates/hard_bounces/percent", Kind::Count),
    Column("complained %", "/rates/complaints/percent", Kind::Count),
    Column("head-room", "/head_room/text", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("of", "/subject_type", Kind::Text),
    Column("name", "/shown", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("since", "/since", Kind::Time),
    Column("judged by the last", "/volume", Kind::Count),
    Column("recipients", "/counts/recipients", Kind::Count),
    Column("hard bounces", "/counts/hard_bounces", Kind::Count),
    Column("bounced %", "/rates/hard_bounces/percent", Kind::Count),
    Column("under review from %", "/rates/hard_bounces/review_percent", Kind::Count),
    Column("paused from %", "/rates/hard_bounces/pause_percent", Kind::Count),
    Column("complaints", "/counts/complaints", Kind::Count),
    Column("complained %", "/rates/complaints/percent", Kind::Count),
    Column("under review from %", "/rates/complaints/review_percent", Kind::Count),
    Column("paused from %", "/rates/complaints/pause_percent", Kind::Count),
    Column("head-room", "/head_room/text", Kind::Text),
    Column("a handful decides", "/head_room/is_small_sample", Kind::Flag),
];

const RECOUNT: &[Column] = &[
    Column("counted anew", "/recount/counts/hard_bounces", Kind::Count),
    Column("agrees", "/recount/agrees", Kind::Flag),
    Column("nothing is missing", "/recount/is_complete", Kind::Flag),
];

const OUTCOMES: &[Column] = &[
    Column("at", "/at", Kind::Time),
    Column("what", "/event_type", Kind::Text),
    Column("recipient", "/recipient", Kind::Text),
    Column("type", "/bounce_type", Kind::Text),
    Column("status", "/status", Kind::Text),
    Column("does not count because", "/not_counted_because", Kind::Text),
];

/// Runs it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let Arguments { agent, recount, workspace, domain, org } = arguments;
    let data = if let Some(agent) = agent {
        let query: Vec<_> = recount.then(|| ("recount", "true".to_owned())).into_iter().collect();
        session.application()?.ask(Method::GET, &["grants", &agent, "reputation"], &query, None).await?.data()
    } else if let Some(workspace) = workspace {
        let api = session.application()?;
        let id = WORKSPACE.id(&api, &workspace).await?;
        api.get(&["workspaces", &id, "reputation"]).await?.data()
    } else if let Some(domain) = domain {
        session.operator()?.get(&["domains", &domain, "reputation"]).await?.data()
    } else if let Some(org) = org {
        let api = session.operator()?;
        let id = ORGANIZATION.id(&api, &org).await?;
        api.get(&["admin", "organizations", &id, "reputation"]).await?.data()
    } else {
        return of_application(session).await;
    };
    if session.is_json() {
        return session.print_json(&data);
    }
    let shown = named(data);
    session.print_table(&record(FIELDS, &shown))?;
    if shown["recount"].is_object() {
        session.print_table(&record(RECOUNT, &shown))?;
    }
    let lists = ["counted", "not_counted"].map(|list| shown["outcomes"][list].as_array().cloned().unwrap_or_default());
    let outcomes = lists.concat();
    if outcomes.is_empty() { Ok(()) } else { session.print_table(&table(OUTCOMES, &outcomes)) }
}

/// All that is worth a look: the application, its workspaces and their domains, and the first page of its mailboxes that
/// are not healthy.
async fn of_application(session: &mut Session<'_, '_>) -> Outcome {
    let data = session.application()?.get(&["reputation"]).await?.data();
    if session.is_json() {
        return session.print_json(&data);
    }
    let lists = ["workspaces", "domains", "grants"].map(|list| data[list].as_array().cloned().unwrap_or_default());
    let rows = std::iter::once(data["application"].clone()).chain(lists.concat()).map(named);
    session.print_table(&table(ROWS, &rows.collect::<Vec<_>>()))?;
    if data["next_cursor"].is_string() {
        session.note("more mailboxes are not healthy than are shown; --json has the cursor of the next page");
    }
    Ok(())
}

/// With what people call it.
fn named(mut data: Value) -> Value {
    let name = if data["name"].is_null() { "subject" } else { "name" };
    data["shown"] = data[name].clone();
    data
}
