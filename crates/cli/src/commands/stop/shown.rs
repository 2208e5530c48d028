//! Stops as people see them: whom they concern by name, what was seen, and what to do next.

use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, plain, record};
use crate::session::Session;
use serde_json::{Value, json};

/// Of those in force. What somebody wrote comes last, as it may be long.
pub(super) const IN_FORCE: &[Column] = &[
    Column("kind", "/kind", Kind::Text),
    Column("of", "/shown", Kind::Text),
    Column("scope", "/scope", Kind::Text),
    Column("effect", "/effect", Kind::Text),
    Column("since", "/raised_at", Kind::Time),
    Column("by", "/raised_by/name", Kind::Text),
    Column("queued", "/queued_recipients", Kind::Count),
    Column("held", "/held_sends", Kind::Count),
    Column("id", "/id", Kind::Text),
    Column("reason", "/reason", Kind::Text),
];

/// Of those that may be over.
pub(super) const PAST: &[Column] = &[
    Column("kind", "/kind", Kind::Text),
    Column("of", "/shown", Kind::Text),
    Column("scope", "/scope", Kind::Text),
    Column("effect", "/effect", Kind::Text),
    Column("active", "/active", Kind::Flag),
    Column("since", "/raised_at", Kind::Time),
    Column("by", "/raised_by/name", Kind::Text),
    Column("until", "/lifted_at", Kind::Time),
    Column("lifted by", "/lifted_by/name", Kind::Text),
    Column("queued", "/queued_recipients", Kind::Count),
    Column("held", "/held_sends", Kind::Count),
    Column("id", "/id", Kind::Text),
    Column("reason", "/reason", Kind::Text),
];

/// Of one.
pub(super) const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("kind", "/kind", Kind::Text),
    Column("effect", "/effect", Kind::Text),
    Column("scope", "/scope", Kind::Text),
    Column("of", "/subject", Kind::Text),
    Column("mailbox", "/email", Kind::Text),
    Column("active", "/active", Kind::Flag),
    Column("reason", "/reason", Kind::Text),
    Column("seen", "/seen", Kind::Text),
    Column("case", "/reference", Kind::Text),
    Column("since", "/raised_at", Kind::Time),
    Column("by", "/raised_by/name", Kind::Text),
    Column("lifted", "/lifted_at", Kind::Time),
    Column("lifted by", "/lifted_by/name", Kind::Text),
    Column("lifted because", "/lift_reason", Kind::Text),
    Column("queued", "/queued_recipients", Kind::Count),
    Column("held", "/held_sends", Kind::Count),
];

/// Shows one: what is known of it, and behind that the commands that lead on.
pub(super) fn show(mut stop: Value, session: &mut Session<'_, '_>) -> Outcome {
    if session.is_json() {
        return session.print_json(&stop);
    }
    stop["seen"] = json!(seen(&stop["evidence"]));
    session.print(&record(FIELDS, &stop))?;
    if stop["active"] == json!(true) {
        for line in ways_on(&stop) {
            session.note(&line);
        }
    }
    Ok(())
}

/// With whom each concerns: a mailbox by its address, a workspace by its name.
pub(super) async fn for_people(stops: &mut [Value], api: &Api) -> Result<(), Failure> {
    named(stops);
    if stops.iter().any(|stop| stop["scope"] == "workspace") {
        let workspaces = api.list(&["workspaces"], &[], None).await?.items;
        for stop in stops.iter_mut().filter(|stop| stop["scope"] == "workspace") {
            let found = workspaces.iter().find(|workspace| workspace["workspace_id"] == stop["subject"]);
            if let Some(workspace) = found {
                stop["shown"] = workspace["name"].clone();
            }
        }
    }
    Ok(())
}

/// With the address of the mailbox that each concerns, if it is one.
pub(super) fn named(stops: &mut [Value]) {
    for stop in stops {
        let name = if stop["email"].is_null() { "subject" } else { "email" };
        stop["shown"] = stop[name].clone();
    }
}

/// What was seen, in words; empty if a person raised it.
fn seen(evidence: &Value) -> String {
    let facts = evidence.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let words = facts.map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)));
    words.collect::<Vec<_>>().join("; ")
}

/// How to see what waits because of it, and what ends it.
pub(super) fn ways_on(stop: &Value) -> Vec<String> {
    let text = |name: &str| stop[name].as_str().unwrap_or_default();
    let mut lines = Vec::new();
    if stop["held_sends"].as_u64().unwrap_or(0) > 0 {
        let of = if text("email").is_empty() { String::new() } else { format!(" --agent {}", text("email")) };
        lines.push(format!("what is held: postfleet hold list --open{of}"));
    }
    if stop["queued_recipients"].as_u64().unwrap_or(0) > 0 {
        let of = if text("email").is_empty() { String::new() } else { format!(" --agent {}", text("email")) };
        lines.push(format!("what waits in the queue: postfleet queue list --state stopped{of}"));
    }
    lines.push(format!("how it ends: {}", end(stop)));
    lines
}

/// What ends a stop: a command, and who gives it.
pub(super) fn end(stop: &Value) -> String {
    let text = |name: &str| stop[name].as_str().unwrap_or_default();
    let (id, mailbox) = (text("id"), text("email"));
    match (text("kind"), text("scope")) {
        ("restriction", _) => {
            format!("postfleet restriction lift {id} --reason <why> (the operator of the installation)")
        }
        ("pause", _) => {
            format!(
                "postfleet recovery request {mailbox} --cause <cause> --fix <fix>, which the operator decides about"
            )
        }
        (_, "organization") => "postfleet start all --reason <why> (an operator)".to_owned(),
        (_, "application") => "postfleet start app --reason <why>".to_owned(),
        (_, "sender_domain") => format!("postfleet start domain {} --reason <why>", text("subject")),
        (_, "workspace") => format!("postfleet start workspace {} --reason <why>", text("subject")),
        (_, "grant") if !mailbox.is_empty() => format!("postfleet start agent {mailbox} --reason <why>"),
        _ => format!("postfleet start stop {id} --reason <why>"),
    }
}
