//! `postfleet usage statement`: what an organization used in a month, and what of it its plan includes.

use super::with_limits;
use crate::commands::names::ORGANIZATION;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, table};
use crate::session::Session;
use reqwest::Method;

/// Of what.
#[derive(clap::Args)]
pub struct Arguments {
    /// An organization, by its id or name; it may be left out where the operator's key sees only one
    #[arg(long = "org", id = "statement_org", value_name = "ORG")]
    org: Option<String>,
    /// A UTC month such as 2026-10; this one if it is left out
    #[arg(long)]
    month: Option<String>,
}

const LINES: &[Column] = &[
    Column("what", "/meter", Kind::Text),
    Column("reading", "/reading", Kind::Text),
    Column("used", "/used", Kind::Text),
    Column("peak", "/peak", Kind::Text),
    Column("included", "/included", Kind::Count),
    Column("overage", "/overage", Kind::Text),
    Column("billed", "/is_billed", Kind::Flag),
    Column("read at", "/read_at", Kind::Time),
];

const APPLICATIONS: &[Column] = &[
    Column("application", "/name", Kind::Text),
    Column("environment", "/environment", Kind::Text),
    Column("accounts", "/accounts", Kind::Text),
    Column("storage", "/storage_bytes", Kind::Text),
    Column("bytes in", "/bytes_in", Kind::Count),
    Column("bytes out", "/bytes_out", Kind::Count),
    Column("sent", "/monthly_sends", Kind::Count),
];

/// Runs it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.operator()?;
    let id = match &arguments.org {
        Some(org) => ORGANIZATION.id(&api, org).await?,
        None => {
            let all = api.list(&["admin", "organizations"], &[], None).await?.items;
            match all.as_slice() {
                [one] => one["id"].as_str().unwrap_or_default().to_owned(),
                _ => return Err(Failure::Usage("say of which organization: --org <id or name>".to_owned())),
            }
        }
    };
    let month = arguments.month.unwrap_or_default();
    let path = ["admin", "organizations", &id, "usage", "statement"];
    let data = api.ask(Method::GET, &path, &[("month", month)], None).await?.data();
    if session.is_json() {
        return session.print_json(&data);
    }
    let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
    let state = if data["is_final"] == true { "" } else { ", not final yet" };
    session.print(&format!("{}, {}, plan {}{state}\n\n", text("name"), text("month"), text("plan")))?;
    let lines = with_limits(data["lines"].as_array().cloned().unwrap_or_default());
    session.print_table(&table(LINES, &lines))?;
    session.print("\n")?;
    session.print_table(&table(APPLICATIONS, data["applications"].as_array().map_or(&[], Vec::as_slice)))
}
