//! `postfleet usage`: what a mailbox, an application or an organization uses, and where it ends.

mod recount;
mod statement;

use super::names::ORGANIZATION;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, table};
use crate::session::Session;
use serde_json::Value;

/// Of what.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// A mailbox, by its id or address; without one, what the application uses
    #[arg(value_name = "ID|EMAIL")]
    agent: Option<String>,
    /// An organization instead, by its id or name, with the operator's key
    #[arg(long, value_name = "ORG", conflicts_with = "agent")]
    org: Option<String>,
}

/// What else may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Counts anew from the messages themselves, and shows which counters are wrong: none, unless something is
    Recount(recount::Arguments),
    /// Shows what an organization used in a month, what of it its plan includes, and what each application used
    Statement(statement::Arguments),
}

const COLUMNS: &[Column] = &[
    Column("what", "/meter", Kind::Text),
    Column("of", "/scope", Kind::Text),
    Column("used", "/used", Kind::Count),
    Column("limit", "/limit", Kind::Count),
    Column("included", "/included", Kind::Count),
    Column("overage", "/overage", Kind::Count),
    Column("anew at", "/resets_at", Kind::Time),
];

/// Runs it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    if let Some(verb) = arguments.verb {
        if arguments.agent.is_some() || arguments.org.is_some() {
            return Err(Failure::Usage("say whose usage it is behind the verb".to_owned()));
        }
        return match verb {
            Verb::Recount(arguments) => recount::run(arguments, session).await,
            Verb::Statement(arguments) => statement::run(arguments, session).await,
        };
    }
    let data = match (&arguments.agent, &arguments.org) {
        (_, Some(org)) => {
            let api = session.operator()?;
            let id = ORGANIZATION.id(&api, org).await?;
            api.get(&["admin", "organizations", &id, "usage"]).await?.data()
        }
        (Some(agent), None) => session.application()?.get(&["grants", agent, "usage"]).await?.data(),
        (None, None) => session.application()?.get(&["usage"]).await?.data(),
    };
    if session.is_json() {
        return session.print_json(&data);
    }
    let meters = data["meters"].as_array().or_else(|| data["organization"]["meters"].as_array());
    session.print_table(&table(COLUMNS, &with_limits(meters.cloned().unwrap_or_default())))
}

/// -1 stands for a limit that is not there, as everywhere.
fn with_limits(mut meters: Vec<Value>) -> Vec<Value> {
    for meter in &mut meters {
        for field in ["limit", "included"] {
            if meter[field].is_null() {
                meter[field] = Value::from(-1);
            }
        }
    }
    meters
}
