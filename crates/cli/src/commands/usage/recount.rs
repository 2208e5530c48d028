//! `postfleet usage recount`: whether the counters are right, and setting right what is not.

use crate::commands::names::ORGANIZATION;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, counted, table};
use crate::session::Session;
use serde_json::{Value, json};

/// Of what.
#[derive(clap::Args)]
pub struct Arguments {
    /// An organization, by its id or name; without one, all that the operator's key may see
    #[arg(long = "org", id = "recount_org", value_name = "ORG")]
    org: Option<String>,
    /// Sets right what is wrong, with a key of the installation's operator
    #[arg(long)]
    repair: bool,
}

const COLUMNS: &[Column] = &[
    Column("what", "/meter", Kind::Text),
    Column("of", "/scope", Kind::Text),
    Column("id", "/id", Kind::Text),
    Column("day or month", "/period", Kind::Text),
    Column("counter", "/counted", Kind::Text),
    Column("counted anew", "/recounted", Kind::Text),
    Column("too much", "/difference", Kind::Text),
];

/// Runs it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.operator()?;
    let ids = match &arguments.org {
        Some(org) => vec![ORGANIZATION.id(&api, org).await?],
        None => {
            let all = api.list(&["admin", "organizations"], &[], None).await?.items;
            all.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect()
        }
    };
    let mut found = Vec::new();
    for id in &ids {
        let path = ["admin", "organizations", id, "usage", "recount"];
        found.push(api.post(&path, &json!({"repair": arguments.repair})).await?.data());
    }
    let drift: Vec<Value> = found.iter().flat_map(|one| one["drift"].as_array().cloned().unwrap_or_default()).collect();
    let sum = |field: &str| found.iter().filter_map(|one| one[field].as_u64()).sum::<u64>();
    let wrong = sum("drift_count");
    if session.is_json() {
        session.print_json(&Value::Array(found.clone()))?;
    } else {
        if !drift.is_empty() {
            session.print_table(&table(COLUMNS, &drift))?;
        }
        let (mailboxes, messages) = (sum("mailboxes"), sum("transfers"));
        let boxes = if mailboxes == 1 { "1 mailbox".to_owned() } else { format!("{mailboxes} mailboxes") };
        let what = format!("{boxes} and {}", counted(messages as usize, "message"));
        session.print(&format!("{what} counted anew, {} compared: ", counted(sum("counters") as usize, "counter")))?;
        session.print(&match (wrong, arguments.repair) {
            (0, _) => "none is wrong\n".to_owned(),
            (_, true) => format!("{wrong} set right\n"),
            (_, false) => format!("{wrong} wrong\n"),
        })?;
    }
    if found.iter().any(|one| one["drift_count"] != 0 && one["is_repaired"] != true) {
        let text = "counters are not what was counted anew: `postfleet usage recount --repair` sets them right";
        return Err(Failure::Found(text.to_owned()));
    }
    Ok(())
}
