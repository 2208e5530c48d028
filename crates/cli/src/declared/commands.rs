//! `postfleet plan`, `postfleet apply` and `postfleet export`.

use super::carry_out::{self, carry_out};
use super::document::{BREAKERS, Document, Section};
use super::fault::Fault;
use super::fetch::{Fetched, Servers, Wanted, fetch};
use super::plan::{Plan, plan};
use super::{read, render, write};
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Steps that are named if there are many.
const SHOWN_MAX: usize = 20;

/// Which file, and what goes that it does not name.
#[derive(clap::Args)]
pub struct File {
    /// The fleet file; - is the standard input
    #[arg(short, long, value_name = "FILE")]
    file: String,
    /// Delete what the file does not name, in the sections that it manages: alone for all but domains and accounts, or
    /// with the names of sections
    #[arg(long, value_name = "SECTION,SECTION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    prune: Option<String>,
}

/// `postfleet plan`.
#[derive(clap::Args)]
pub struct PlanArguments {
    #[command(flatten)]
    file: File,
    /// Exit with 4 if there is something to do
    #[arg(long)]
    exit_code: bool,
}

/// `postfleet apply`.
#[derive(clap::Args)]
pub struct ApplyArguments {
    #[command(flatten)]
    file: File,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

/// `postfleet export`.
#[derive(clap::Args)]
pub struct ExportArguments {
    /// Write to a file instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Only these sections
    #[arg(long, value_name = "SECTION,SECTION", value_delimiter = ',')]
    only: Vec<String>,
}

/// A file, read, compared with what the server has.
struct Planned {
    servers: Servers,
    fetched: Fetched,
    plan: Plan,
}

/// Shows what would change.
pub async fn run_plan(arguments: &PlanArguments, session: &mut Session<'_, '_>) -> Outcome {
    let planned = planned(&arguments.file, session).await?;
    if session.is_json() {
        session.print_json(&render::json(&planned.plan))?;
    } else {
        session.print(&render::lines(&planned.plan))?;
    }
    match planned.plan.steps.len() {
        0 => Ok(()),
        _ if !arguments.exit_code => Ok(()),
        1 => Err(Failure::Found("the server differs from the file in 1 step".to_owned())),
        steps => Err(Failure::Found(format!("the server differs from the file in {steps} steps"))),
    }
}

/// Makes it so.
pub async fn run_apply(arguments: &ApplyArguments, session: &mut Session<'_, '_>) -> Outcome {
    let Planned { servers, fetched, plan } = planned(&arguments.file, session).await?;
    if !session.is_json() {
        session.print(&render::lines(&plan))?;
    }
    if plan.steps.is_empty() {
        return if session.is_json() {
            session.print_json(&told(&plan, &carry_out::Outcome::default()))
        } else {
            Ok(())
        };
    }
    let steps =
        if plan.steps.len() == 1 { "this step".to_owned() } else { format!("these {} steps", plan.steps.len()) };
    let question = format!("carry out {steps} at {}", session.connection().url);
    session.confirm(arguments.yes, &question)?;
    let outcome = carry_out(&servers, &plan, &fetched.names).await;
    if session.is_json() {
        session.print_json(&told(&plan, &outcome))?;
    } else {
        session.print(&told_to_people(&plan, &outcome))?;
    }
    outcome.stopped.map_or(Ok(()), |(_, failure)| Err(failure))
}

/// Writes the present state.
pub async fn run_export(arguments: &ExportArguments, session: &mut Session<'_, '_>) -> Outcome {
    let servers = Servers::of(session);
    let mut sections = sections(&arguments.only, "--only")?;
    let mut comments = vec![
        "Written by postfleet export. `postfleet plan -f` shows what differs, `postfleet apply -f` makes it so."
            .to_owned(),
        "Passwords for mail clients and secrets of webhooks are not in here.".to_owned(),
    ];
    if sections.is_empty() {
        sections = Section::ALL.into();
        if !servers.can_ask(Section::Domains) {
            sections.remove(&Section::Domains);
            comments.push("Without domains: they need an operator's key.".to_owned());
            session.note("without domains: they need an operator's key");
        }
    }
    let wanted = Wanted { sections: with_named(&sections), items_of: None, breakers_of: None };
    let state = fetch(&servers, &wanted).await?.state;
    let twice: Vec<String> = wanted
        .sections
        .iter()
        .flat_map(|section| state.twice(*section).into_keys().map(|key| format!("{} {key}", section.one())))
        .collect();
    if !twice.is_empty() {
        let text = format!("names that the server has more than once cannot stand in a file: {}", twice.join(", "));
        return Err(Failure::Local(text));
    }
    let text = write::write(&state.export(&sections), &comments);
    match arguments.output.as_deref() {
        None | Some("-") => session.print(&text),
        Some(path) => std::fs::write(path, text).map_err(|error| Failure::Local(format!("{path}: {error}"))),
    }
}

async fn planned(file: &File, session: &mut Session<'_, '_>) -> Result<Planned, Failure> {
    let text = session.read(&file.file)?;
    let folder = Path::new(&file.file).parent().unwrap_or(Path::new(""));
    let files = |path: &str| std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
    let document = read::read(&text, &files).map_err(|faults| faulty(session, &file.file, &faults))?;
    let prune = prune(file, &document)?;
    let servers = Servers::of(session);
    let items_of = document.sections.get(&Section::Lists).into_iter().flatten();
    let items_of = items_of.filter(|entry| entry.items.is_some()).map(|entry| entry.key.clone()).collect();
    let workspaces = document.sections.get(&Section::Workspaces).into_iter().flatten();
    let breakers_of =
        workspaces.filter(|entry| entry.fields.contains_key(BREAKERS)).map(|entry| entry.key.clone()).collect();
    let wanted = Wanted { sections: document.needed(), items_of: Some(items_of), breakers_of: Some(breakers_of) };
    let fetched = fetch(&servers, &wanted).await?;
    let plan = plan(&document, &fetched.state, &prune).map_err(|faults| faulty(session, &file.file, &faults))?;
    Ok(Planned { servers, fetched, plan })
}

/// Tells what is wrong with a file, a line each, so that editors can find the places.
fn faulty(session: &mut Session<'_, '_>, file: &str, faults: &[Fault]) -> Failure {
    if session.is_json() {
        let fault = |fault: &Fault| {
            json!({
                "file": fault.file.as_deref().unwrap_or(file),
                "line": fault.at.map(|at| at.line),
                "column": fault.at.map(|at| at.column),
                "field": fault.path,
                "message": fault.text,
            })
        };
        let faults: Vec<Value> = faults.iter().map(fault).collect();
        if let Err(failure) = session.print_json(&json!({ "faults": faults })) {
            return failure;
        }
    } else {
        for fault in faults {
            session.note(&fault.line(file));
        }
    }
    Failure::Usage(match faults.len() {
        1 => format!("{file} has 1 fault; nothing was changed"),
        count => format!("{file} has {count} faults; nothing was changed"),
    })
}

fn prune(file: &File, document: &Document) -> Result<BTreeSet<Section>, Failure> {
    let Some(text) = &file.prune else { return Ok(BTreeSet::new()) };
    let managed: BTreeSet<Section> = document.sections.keys().copied().collect();
    if text.is_empty() {
        return Ok(managed.into_iter().filter(|section| !section.is_precious()).collect());
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let named = sections(&names, "--prune")?;
    match named.difference(&managed).next() {
        Some(section) => Err(Failure::Usage(format!(
            "--prune={0}: the file has no section {0}, so it is left alone",
            section.name()
        ))),
        None => Ok(named),
    }
}

fn sections(names: &[String], flag: &str) -> Result<BTreeSet<Section>, Failure> {
    let known = || Section::ALL.map(Section::name).join(", ");
    let section = |name: &String| {
        Section::named(name)
            .ok_or_else(|| Failure::Usage(format!("{flag}: {name:?} is no section; they are {}", known())))
    };
    names.iter().map(section).collect()
}

/// Sections, and those that their things name.
fn with_named(sections: &BTreeSet<Section>) -> BTreeSet<Section> {
    let mut with_named = sections.clone();
    for section in sections {
        with_named.extend(section.fields().iter().flat_map(|field| field.kind.named()));
    }
    with_named
}

/// What was done, for people.
fn told_to_people(plan: &Plan, outcome: &carry_out::Outcome) -> String {
    let mut text = String::from("\n");
    for (url, secret) in &outcome.secrets {
        text.push_str(&format!("The secret of the webhook {url}, shown this once: {secret}\n"));
    }
    let (done, all) = (outcome.done.len(), plan.steps.len());
    let Some((at, _)) = &outcome.stopped else {
        text.push_str(&if all == 1 { "Done: 1 step.\n".to_owned() } else { format!("Done: all {all} steps.\n") });
        return text;
    };
    text.push_str(&format!("Stopped: {done} of {all} steps done. Apply the file again to go on from here.\n"));
    text.push_str(&format!("Failed:   {}\n", render::line(&plan.steps[*at])));
    let rest: Vec<_> = (0..all).filter(|index| index != at && !outcome.done.contains(index)).collect();
    for index in rest.iter().take(SHOWN_MAX) {
        text.push_str(&format!("Not done: {}\n", render::line(&plan.steps[*index])));
    }
    if rest.len() > SHOWN_MAX {
        text.push_str(&format!("Not done: {} more\n", rest.len() - SHOWN_MAX));
    }
    text
}

/// The same for programs: the plan, and what became of each step.
fn told(plan: &Plan, outcome: &carry_out::Outcome) -> Value {
    let mut told = render::json(plan);
    for (index, change) in told["changes"].as_array_mut().into_iter().flatten().enumerate() {
        let failed = outcome.stopped.as_ref().is_some_and(|(at, _)| *at == index);
        change["result"] = json!(match outcome.done.contains(&index) {
            true => "done",
            false if failed => "failed",
            false => "not_done",
        });
        let secret = outcome.secrets.iter().find(|(url, _)| change["key"] == **url && change["action"] == "create");
        if let Some((_, secret)) = secret {
            change["webhook_secret"] = json!(secret);
        }
    }
    told
}
