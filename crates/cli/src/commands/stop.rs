//! `postfleet stop`, `start`, `stops`, `restriction` and `support-bundle`: who may not send, why, and until somebody says so.

mod shown;
mod start;

pub use start::{Restart, start};

use self::shown::{FIELDS, IN_FORCE, PAST, for_people, show};
use super::Pages;
use super::agent::find;
use super::body::put;
use super::names::{APPLICATION, ORGANIZATION, WORKSPACE, is_id};
use crate::client::{Api, Things};
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use serde_json::{Map, Value, json};

/// What is stopped.
#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// A mailbox: its id or address
    Agent,
    /// A workspace: its id, name or domain
    Workspace,
    /// A domain with its subdomains
    Domain,
    /// An application: that of the key, or any other with an operator's key
    App,
    /// Everything of an organization, with an operator's key
    All,
}

/// Whom, and why.
#[derive(clap::Args)]
pub struct Target {
    /// What it is
    what: What,
    /// Which; of `app` that of the key if absent, of `all` the organization of the key's application
    name: Option<String>,
    /// Why: whoever is stopped is told
    #[arg(long)]
    reason: String,
}

/// Which to list.
#[derive(clap::Args)]
pub struct All {
    /// Those of this mailbox: id or address. Or the id of a stop: all that is known of it, and what to do next
    #[arg(value_name = "EMAIL|ID")]
    agent: Option<String>,
    /// With those that were lifted
    #[arg(long)]
    past: bool,
    /// Only those of this kind
    #[arg(long, value_parser = ["restriction", "pause", "switch", "breaker", "quarantine", "loop"])]
    kind: Option<String>,
    /// Those of this workspace: id, name or domain
    #[arg(long, conflicts_with = "agent")]
    workspace: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// What may be done about abuse.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Restricts a sender: every send is blocked from now on
    Add(Add),
    /// Lists restrictions, newest first
    List(List),
    /// Lifts a restriction
    Lift(Lift),
}

/// Whom to restrict.
#[derive(clap::Args)]
pub struct Add {
    /// What is restricted
    #[arg(value_parser = ["sender_address", "sender_domain", "organization", "application", "grant"])]
    scope: String,
    /// Which: an address, a domain or an id
    subject: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// The case that it belongs to
    #[arg(long, value_name = "REFERENCE")]
    case: Option<String>,
}

/// Which to list.
#[derive(clap::Args)]
pub struct List {
    /// With those that were lifted
    #[arg(long)]
    past: bool,
    #[command(flatten)]
    pages: Pages,
}

/// Which to lift.
#[derive(clap::Args)]
pub struct Lift {
    /// The restriction's id
    id: String,
    /// Why
    #[arg(long)]
    reason: String,
}

/// Of whom.
#[derive(clap::Args)]
pub struct Bundle {
    /// The mailbox: id or address
    agent: String,
    /// Where to; the terminal if absent
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

/// Where a target is found: with which key, and as what.
struct Meant {
    api: Api,
    /// Its list below `/v3`.
    path: &'static [&'static str],
    scope: &'static str,
    subject: String,
}

const OWN: &[&str] = &["stops"];
const ANY: &[&str] = &["admin", "stops"];

async fn meant(what: What, name: Option<&str>, session: &Session<'_, '_>) -> Result<Meant, Failure> {
    let named = || name.map(str::to_owned).ok_or_else(|| Failure::Usage("say which: its name or id".to_owned()));
    Ok(match what {
        What::Agent => {
            let api = session.application()?;
            let subject = find(&api, &named()?).await?["id"].as_str().unwrap_or_default().to_owned();
            Meant { api, path: OWN, scope: "grant", subject }
        }
        What::Workspace => {
            let api = session.application()?;
            let subject = WORKSPACE.id(&api, &named()?).await?;
            Meant { api, path: OWN, scope: "workspace", subject }
        }
        What::Domain => {
            Meant { api: session.application()?, path: OWN, scope: "sender_domain", subject: named()?.to_lowercase() }
        }
        What::App => match name {
            Some(name) => {
                let api = session.operator()?;
                let subject = APPLICATION.id(&api, name).await?;
                Meant { api, path: ANY, scope: "application", subject }
            }
            None => {
                let api = session.application()?;
                let subject = own(&api, "application_id").await?;
                Meant { api, path: OWN, scope: "application", subject }
            }
        },
        What::All => {
            let api = session.operator()?;
            let subject = match name {
                Some(name) => ORGANIZATION.id(&api, name).await?,
                None => own(&session.application()?, "organization_id").await?,
            };
            Meant { api, path: ANY, scope: "organization", subject }
        }
    })
}

/// What the application of the key says of itself.
async fn own(api: &Api, field: &str) -> Result<String, Failure> {
    let application = api.get(&["applications"]).await?.data();
    Ok(application[field].as_str().unwrap_or_default().to_owned())
}

/// `postfleet stop`
pub async fn stop(target: Target, session: &mut Session<'_, '_>) -> Outcome {
    let Meant { api, path, scope, subject } = meant(target.what, target.name.as_deref(), session).await?;
    let body = json!({"scope": scope, "subject": subject, "reason": target.reason});
    let answer = api.post(path, &body).await?;
    show(answer.data(), session)
}

/// `postfleet stops`
pub async fn list(wanted: All, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    if let Some(id) = wanted.agent.as_deref().filter(|text| is_id(text))
        && let Some(stop) = known(&api, OWN, id).await?
    {
        return show(stop, session);
    }
    let mut filters = Vec::new();
    if !wanted.past {
        filters.push(("active", "true".to_owned()));
    }
    filters.extend(wanted.kind.map(|kind| ("kind", kind)));
    if let Some(agent) = &wanted.agent {
        filters.push(("grant_id", find(&api, agent).await?["id"].as_str().unwrap_or_default().to_owned()));
    }
    if let Some(workspace) = &wanted.workspace {
        filters.push(("workspace_id", WORKSPACE.id(&api, workspace).await?));
    }
    let mut things = api.list(OWN, &filters, wanted.pages.most()).await?;
    if session.is_json() {
        return session.show_list(IN_FORCE, things);
    }
    for_people(&mut things.items, &api).await?;
    let some = !things.items.is_empty();
    session.show_list(if wanted.past { PAST } else { IN_FORCE }, things)?;
    if some {
        session.note("`postfleet stops <ID>` says what was seen, and how it ends");
    }
    Ok(())
}

/// The stops in force of a mailbox and its conversations; none for a key that may not see stops.
pub async fn of_mailbox(api: &Api, grant: &str) -> Result<Vec<Value>, Failure> {
    let filters = [("active", "true".to_owned()), ("grant_id", grant.to_owned())];
    match api.list(OWN, &filters, None).await {
        Ok(things) => Ok(things.items),
        Err(Failure::Refused(refusal)) if refusal.status == 403 => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// Shows them, if there are any, with how the first of them ends.
pub fn show_of_mailbox(mut stops: Vec<Value>, session: &mut Session<'_, '_>) -> Outcome {
    let Some(ways) = stops.first().map(shown::ways_on) else { return Ok(()) };
    shown::named(&mut stops);
    session.print("\nstopped, the mailbox or a conversation of it:\n")?;
    session.show_list(IN_FORCE, Things { items: stops, has_more: false })?;
    ways.iter().for_each(|line| session.note(line));
    Ok(())
}

/// A stop by its id; nothing if there is none.
async fn known(api: &Api, path: &[&str], id: &str) -> Result<Option<Value>, Failure> {
    let path: Vec<&str> = path.iter().copied().chain([id]).collect();
    match api.get(&path).await {
        Ok(answer) => Ok(Some(answer.data())),
        Err(Failure::Refused(refusal)) if refusal.status == 404 => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// `postfleet restriction`
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    const PATH: &[&str] = &["admin", "restrictions"];
    let api = session.operator()?;
    match verb {
        Verb::Add(Add { scope, subject, reason, case }) => {
            let mut body = Map::new();
            put(&mut body, "scope", Some(scope));
            put(&mut body, "subject", Some(subject));
            put(&mut body, "reason", Some(reason));
            put(&mut body, "reference", case);
            let answer = api.post(PATH, &Value::Object(body)).await?;
            session.show(FIELDS, answer)
        }
        Verb::List(List { past, pages }) => {
            let filters = if past { Vec::new() } else { vec![("active", "true".to_owned())] };
            let mut things = api.list(PATH, &filters, pages.most()).await?;
            if !session.is_json() {
                shown::named(&mut things.items);
            }
            session.show_list(if past { PAST } else { IN_FORCE }, things)
        }
        Verb::Lift(Lift { id, reason }) => {
            let answer = api.post(&["admin", "restrictions", &id, "lift"], &json!({"reason": reason})).await?;
            session.show(FIELDS, answer)
        }
    }
}

/// `postfleet support-bundle`
pub async fn bundle(wanted: Bundle, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    let grant = find(&api, &wanted.agent).await?;
    let answer = api.get(&["grants", grant["id"].as_str().unwrap_or_default(), "support-bundle"]).await?;
    let text = format!("{:#}\n", answer.data());
    match &wanted.output {
        None => session.print(&text),
        Some(path) => {
            let local = |error: std::io::Error| Failure::Local(format!("{path}: {error}"));
            std::fs::write(path, text).map_err(local)?;
            session.note(&format!("written to {path}; it has no secrets and no bodies of mail"));
            Ok(())
        }
    }
}
