//! `postfleet start`: lifts what keeps somebody from sending, as far as whoever asks may; and says what keeps them still.

use super::shown::{PAST, end, named, show};
use super::{ANY, Meant, OWN, What, known, meant};
use crate::client::{Api, Things};
use crate::failure::{Failure, Outcome};
use crate::output::plain;
use crate::session::Session;
use serde_json::{Value, json};

/// What is started again.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Again {
    /// A mailbox with its conversations: its id or address
    Agent,
    /// A workspace: its id, name or domain
    Workspace,
    /// A domain with its subdomains
    Domain,
    /// An application: that of the key, or any other with an operator's key
    App,
    /// Everything of an organization, with an operator's key
    All,
    /// One stop: its id, as `stops` shows it
    Stop,
}

/// Whom, and why.
#[derive(clap::Args)]
pub struct Restart {
    /// What it is
    what: Again,
    /// Which; of `app` that of the key if absent, of `all` the organization of the key's application
    name: Option<String>,
    /// What was the cause, and what mended it
    #[arg(long)]
    reason: String,
}

/// `postfleet start`
pub async fn start(target: Restart, session: &mut Session<'_, '_>) -> Outcome {
    let what = match target.what {
        Again::Stop => return one(&target, session).await,
        Again::Agent => What::Agent,
        Again::Workspace => What::Workspace,
        Again::Domain => What::Domain,
        Again::App => What::App,
        Again::All => What::All,
    };
    let of = meant(what, target.name.as_deref(), session).await?;
    let (own, others) = in_force(&of).await?;
    if own.is_empty() {
        return Err(not_stopped(&of, &others).await);
    }
    let mut lifted = Vec::with_capacity(own.len());
    for stop in &own {
        lifted.push(lift(&of.api, of.path, &plain(&stop["id"]), &target.reason).await?);
    }
    if session.is_json() {
        return session.print_json(&Value::Array(lifted));
    }
    match lifted.as_slice() {
        [one] => show(one.clone(), session)?,
        _ => {
            named(&mut lifted);
            session.show_list(PAST, Things { items: lifted, has_more: false })?;
        }
    }
    if let Some(still) = still_stopped(&of).await? {
        session.warn(&format!("it is stopped still: {}", told(&still)));
    }
    Ok(())
}

/// One stop, with whichever key sees it.
async fn one(target: &Restart, session: &mut Session<'_, '_>) -> Outcome {
    let id = target.name.as_deref().ok_or_else(|| Failure::Usage("say which: the id of a stop".to_owned()))?;
    let (api, path) = match session.application() {
        Ok(api) => match (known(&api, OWN, id).await?, session.operator()) {
            (None, Ok(operator)) => (operator, ANY),
            _ => (api, OWN),
        },
        Err(_) => (session.operator()?, ANY),
    };
    let lifted = lift(&api, path, id, &target.reason).await?;
    show(lifted, session)
}

async fn lift(api: &Api, path: &[&str], id: &str, reason: &str) -> Result<Value, Failure> {
    let path: Vec<&str> = path.iter().copied().chain([id, "lift"]).collect();
    Ok(api.post(&path, &json!({"reason": reason})).await?.data())
}

/// The stops in force of what is meant: those that `start` lifts, and others.
async fn in_force(of: &Meant) -> Result<(Vec<Value>, Vec<Value>), Failure> {
    let mut filters = vec![("active", "true".to_owned())];
    if of.scope == "grant" {
        // With those of its conversations.
        filters.push(("grant_id", of.subject.clone()));
    } else {
        filters.push(("scope", of.scope.to_owned()));
    }
    let mut found = of.api.list(of.path, &filters, None).await?.items;
    found.retain(|stop| of.scope == "grant" || stop["subject"] == json!(of.subject));
    let is_own = |stop: &Value| !matches!(stop["kind"].as_str(), Some("restriction" | "pause"));
    Ok(found.into_iter().partition(is_own))
}

/// The stop that keeps a mailbox from sending now, whoever it is of.
async fn still_stopped(of: &Meant) -> Result<Option<Value>, Failure> {
    if of.scope != "grant" {
        return Ok(None);
    }
    let grant = of.api.get(&["grants", &of.subject]).await?.data();
    match grant["sending"]["stop_id"].as_str() {
        Some(id) => known(&of.api, of.path, id).await,
        None => Ok(None),
    }
}

async fn not_stopped(of: &Meant, others: &[Value]) -> Failure {
    let still = match others.first() {
        Some(other) => Some(other.clone()),
        None => match still_stopped(of).await {
            Ok(still) => still,
            Err(failure) => return failure,
        },
    };
    Failure::Local(match still {
        Some(stop) => format!("it is stopped by what `start` does not lift: {}", told(&stop)),
        None => "it is not stopped: `postfleet stops` shows what is, and why".to_owned(),
    })
}

/// A stop in a sentence, with what ends it.
fn told(stop: &Value) -> String {
    let scope = plain(&stop["scope"]).replace('_', " ");
    format!("{} of the {scope}: {}\nhow it ends: {}", plain(&stop["kind"]), plain(&stop["reason"]), end(stop))
}
