//! `postfleet queue inspect`: the life of a message, for people to read from top to bottom.

use crate::client::Answer;
use crate::failure::Outcome;
use crate::output::{Column, Kind, plain, printable, record, table, time};
use crate::session::Session;
use serde_json::Value;

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("from", "/from", Kind::Text),
    Column("accepted", "/queued_at", Kind::Time),
    Column("given up", "/expires_at", Kind::Time),
    Column("next attempt", "/next_attempt_at", Kind::Time),
    Column("route", "/route", Kind::Text),
];

const RECIPIENTS: &[Column] = &[
    Column("recipient", "/email", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("priority", "/priority", Kind::Text),
    Column("attempts", "/attempts", Kind::Count),
    Column("why", "/why", Kind::Text),
];

const EVALUATIONS: &[Column] = &[
    Column("rules looked", "/evaluated_at", Kind::Time),
    Column("at", "/evaluation_stage", Kind::Text),
    Column("matched", "/matched_rule_ids", Kind::Text),
];

const CHANGES: &[Column] = &[
    Column("changed", "/created_at", Kind::Time),
    Column("who", "/actor/name", Kind::Text),
    Column("did", "/action", Kind::Text),
];

/// Shows a life: what it is, then what happened, each thing below a line of its own.
pub fn show(answer: Answer, session: &mut Session<'_, '_>) -> Outcome {
    let life = answer.data();
    if session.is_json() {
        return session.print_json(&life);
    }
    let mut text = record(FIELDS, &life);
    text.push('\n');
    text.push_str(&table(RECIPIENTS, items(&life, "/recipients")));
    for attempt in items(&life, "/attempts") {
        text.push('\n');
        text.push_str(&told(attempt));
    }
    for (columns, path) in [(EVALUATIONS, "/evaluations"), (CHANGES, "/changes")] {
        let things = items(&life, path);
        if !things.is_empty() {
            text.push('\n');
            text.push_str(&table(columns, things));
        }
    }
    session.print(&text)
}

fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An attempt: where, how, and what was said to whom.
fn told(attempt: &Value) -> String {
    let text = |name: &str| printable(attempt[name].as_str().unwrap_or_default());
    let (server, address) = (text("server"), text("address"));
    let place = match (server.is_empty(), address.is_empty()) {
        (true, _) => "no server".to_owned(),
        (false, true) => server,
        (false, false) => format!("{server} {address}"),
    };
    let spoke = items(attempt, "/answers").iter().any(|answer| answer["code"].is_u64());
    let tls = match attempt["tls"].as_str() {
        Some(tls) => format!(", {}", printable(tls)),
        None if spoke => ", in the clear".to_owned(),
        None => String::new(),
    };
    let at = attempt["at"].as_i64().map(time).unwrap_or_default();
    let how = if address.is_empty() { String::new() } else { format!("{tls}, {} ms", plain(&attempt["duration_ms"])) };
    let mut lines = format!("{at}  {} at {place}{how}, by {}\n", text("destination"), text("node"));
    for answer in items(attempt, "/answers") {
        lines.push_str(&said(answer));
    }
    lines
}

fn said(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().map(printable);
    let class = text("class").map(|class| format!(" ({class})")).unwrap_or_default();
    let next = match (text("next").as_deref(), answer["next_attempt_at"].as_i64()) {
        (Some("retry"), Some(at)) => format!(", again {}", time(at)),
        (Some(next), _) if Some(next) != text("result").as_deref() => format!(", {next}"),
        _ => String::new(),
    };
    let recipients = printable(&plain(&answer["recipients"]));
    let mut lines = format!("  {}{class}{next}: {recipients}\n", text("result").unwrap_or_default());
    let code = answer["code"].as_u64().map(|code| format!("{code} ")).unwrap_or_default();
    let status = text("status").map(|status| format!("{status} ")).unwrap_or_default();
    for line in items(answer, "/reply_lines") {
        let line = format!("    {code}{status}{}", printable(line.as_str().unwrap_or_default()));
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}
