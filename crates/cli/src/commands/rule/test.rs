//! `postfleet rule test`: what the rules of a workspace, or those of a file, say of one message, and why. Nothing is sent.

use super::super::names::{LIST, WORKSPACE};
use super::then;
use crate::client::Api;
use crate::declared::fault::Fault;
use crate::declared::yaml;
use crate::failure::{Failure, Outcome};
use crate::output::{grid, plain, printable};
use crate::session::Session;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Addresses of one condition that people are shown.
const SHOWN_MAX: usize = 3;

/// The message, and what is to judge it.
#[derive(clap::Args)]
pub struct Test {
    /// Whose rules judge it: id, name or domain of a workspace
    #[arg(long, value_name = "WORKSPACE")]
    workspace: String,
    /// The author's address; mail that arrives may have none
    #[arg(long, value_name = "EMAIL")]
    from: Option<String>,
    /// A recipient; may be given several times
    #[arg(long, value_name = "EMAIL")]
    to: Vec<String>,
    /// A recipient of a copy; may be given several times
    #[arg(long, value_name = "EMAIL")]
    cc: Vec<String>,
    /// A recipient of a blind copy; may be given several times
    #[arg(long, value_name = "EMAIL")]
    bcc: Vec<String>,
    /// It answers another message
    #[arg(long)]
    reply: bool,
    /// A file with the message as it is sent, instead of the above; - is the standard input. Its header alone is read
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "cc", "bcc", "reply"])]
    raw: Option<String>,
    /// As which mail it is judged
    #[arg(long, value_parser = ["inbound", "outbound"], default_value = "outbound")]
    trigger: String,
    /// A file with rules that judge it instead of the workspace's: a JSON or YAML list, or a fleet file; - is the standard
    /// input
    #[arg(long, value_name = "FILE")]
    data_file: Option<String>,
    /// Rules that are disabled are judged as if they were enabled
    #[arg(long)]
    include_disabled: bool,
    /// End with 4 where the message does not pass
    #[arg(long)]
    exit_code: bool,
}

/// Runs it.
pub async fn run(arguments: Test, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    if arguments.raw.as_deref() == Some("-") && arguments.data_file.as_deref() == Some("-") {
        return Err(Failure::Usage("--raw and --data-file cannot both be the standard input".to_owned()));
    }
    let mut body = Map::new();
    body.insert("trigger".to_owned(), json!(arguments.trigger));
    match &arguments.raw {
        Some(path) => {
            let octets = session.read_octets(path)?;
            body.insert("raw".to_owned(), json!(STANDARD.encode(header(&octets))));
        }
        None => {
            let Test { from, to, cc, bcc, reply, .. } = &arguments;
            let message = json!({"from": from, "to": to, "cc": cc, "bcc": bcc, "is_reply": reply});
            body.insert("message".to_owned(), message);
        }
    }
    if let Some(path) = &arguments.data_file {
        let text = session.read(path)?;
        let mut rules = read_rules(path, &text)?;
        name_lists(&mut rules, api).await?;
        body.insert("rules".to_owned(), rules);
    }
    if arguments.include_disabled {
        body.insert("include_disabled".to_owned(), json!(true));
    }
    let workspace = WORKSPACE.id(api, &arguments.workspace).await?;
    let answer = api.post(&["workspaces", &workspace, "rules", "test"], &Value::Object(body)).await?;
    let tested = answer.data();
    let verdict = tested["verdict"].as_str().unwrap_or_default().to_owned();
    if session.is_json() {
        session.print_json(&tested)?;
    } else {
        show(tested, api, session).await?;
    }
    match verdict.as_str() {
        "pass" => Ok(()),
        _ if !arguments.exit_code => Ok(()),
        _ => Err(Failure::Found(format!("the message does not pass: {verdict}"))),
    }
}

/// The header fields of a message, which are all that rules see.
fn header(message: &[u8]) -> &[u8] {
    let mut start = 0;
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line == b"\n" || line == b"\r\n" {
            return &message[..start];
        }
        start += line.len();
    }
    message
}

/// A file of JSON or YAML.
pub(super) fn read_file(path: &str, text: &str) -> Result<Value, Failure> {
    Ok(if text.trim_start().starts_with(['[', '{']) {
        serde_json::from_str(text).map_err(|error| Failure::Usage(format!("{path} is not JSON: {error}")))?
    } else if text.trim().is_empty() {
        Value::Null
    } else {
        let told = |faults: Vec<Fault>| faults.iter().map(|fault| fault.line(path)).collect::<Vec<_>>().join("\n");
        yaml::parse(text).map_err(|faults| Failure::Usage(told(faults)))?.into_json()
    })
}

/// Rules of a file: a list of them, or what stands under `rules`.
fn read_rules(path: &str, text: &str) -> Result<Value, Failure> {
    let rules = match read_file(path, text)? {
        Value::Object(mut document) => document.remove("rules").unwrap_or_default(),
        other => other,
    };
    match rules {
        Value::Array(_) => Ok(rules),
        _ => Err(Failure::Usage(format!("{path} has no rules: it must be a list of them, or have one under rules"))),
    }
}

/// Puts ids in the place of names of lists, which files have.
pub(super) async fn name_lists(rules: &mut Value, api: &Api) -> Result<(), Failure> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let rules = rules.as_array_mut().into_iter().flatten();
    let conditions = rules.filter_map(|rule| rule.pointer_mut("/match/conditions")?.as_array_mut()).flatten();
    for list in conditions.filter_map(lists_of).flatten() {
        let Some(name) = list.as_str() else { continue };
        let id = match known.get(name) {
            Some(id) => id.clone(),
            None => LIST.id(api, name).await?,
        };
        known.insert(name.to_owned(), id.clone());
        *list = json!(id);
    }
    Ok(())
}

/// The lists that a condition names.
fn lists_of(condition: &mut Value) -> Option<&mut Vec<Value>> {
    if condition.get("operator")? != "in_list" {
        return None;
    }
    condition.get_mut("value")?.as_array_mut()
}

async fn show(mut tested: Value, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    put_names(&mut tested, api).await?;
    session.print(&grid(None, &summary(&tested), &[]))?;
    let rules = tested["trace"].as_array().map_or(&[][..], Vec::as_slice);
    if rules.is_empty() {
        return session.print("\nno rules judge it\n");
    }
    session.print("\n")?;
    session.print_table(&reasons(rules))
}

/// Puts names in the place of ids of lists, which say nothing to people.
async fn put_names(tested: &mut Value, api: &Api) -> Result<(), Failure> {
    let rules = tested["trace"].as_array_mut().into_iter().flatten();
    let conditions = rules.filter_map(|rule| rule["conditions"].as_array_mut()).flatten();
    let mut ids: Vec<&mut Value> = conditions.filter_map(lists_of).flatten().collect();
    if ids.is_empty() {
        return Ok(());
    }
    let known = api.list(&["lists"], &[], None).await?.items;
    for id in &mut ids {
        if let Some(list) = known.iter().find(|list| list["id"] == **id) {
            **id = list["name"].clone();
        }
    }
    Ok(())
}

/// What all rules together say, and what they looked at.
fn summary(tested: &Value) -> Vec<Vec<String>> {
    let input = &tested["evaluation_input"];
    let verdict = match tested["verdict"].as_str() {
        Some("block") => "block: the message is refused".to_owned(),
        Some("undecidable") => {
            "undecidable: a rule that might block it cannot be evaluated, so it is refused for now".to_owned()
        }
        _ => plain(&tested["verdict"]),
    };
    let mut rows = vec![("verdict", verdict), ("actions", actions(&tested["applied_actions"]))];
    if tested["shadow"]["matched_rule_ids"].as_array().is_some_and(|matched| !matched.is_empty()) {
        rows.push(("in shadow", actions(&tested["shadow"]["actions"])));
    }
    rows.push(("trigger", plain(&tested["trigger"])));
    rows.push(("from", plain(&input["from_address"])));
    if input["recipient_addresses"].is_array() {
        rows.push(("recipients", seen(&input["recipient_addresses"])));
        rows.push(("type", plain(&input["outbound_type"])));
    }
    rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
}

/// What is done with a message, in words.
fn actions(done: &Value) -> String {
    let done = done.as_object().into_iter().flatten().map(|(what, value)| match value {
        Value::Bool(_) => what.replace('_', " "),
        folders => format!("into {}", plain(folders)),
    });
    let words = done.collect::<Vec<_>>().join(", ");
    if words.is_empty() { "none".to_owned() } else { words }
}

/// Each rule, and below it each of its conditions.
fn reasons(rules: &[Value]) -> String {
    let titles = ["priority", "rule", "result", "looked at"].map(str::to_uppercase).to_vec();
    let mut rows = Vec::new();
    for rule in rules {
        let shadow = if rule["mode"] == "shadow" { ", in shadow" } else { "" };
        let what = format!("{}: {}{shadow}", plain(&rule["name"]), then(rule));
        let result = plain(&rule["outcome"]).replace('_', " ");
        rows.push(vec![plain(&rule["priority"]), what, result, String::new()]);
        let conditions = rule["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        for (index, condition) in conditions.iter().enumerate() {
            let branch = if index + 1 == conditions.len() { "└─" } else { "├─" };
            let between = match (index, rule["match_operator"] == "any") {
                (0, _) => "",
                (_, true) => "or ",
                (_, false) => "and ",
            };
            let [field, operator, value] = ["field", "operator", "value"].map(|part| plain(&condition[part]));
            let holds = match condition["holds"].as_bool() {
                Some(true) => "yes",
                Some(false) => "no",
                None => "not known",
            };
            let what = format!("{branch} {between}{field} {operator} {value}");
            rows.push(vec![String::new(), what, holds.to_owned(), seen(&condition["seen"])]);
        }
    }
    grid(Some(titles), &rows, &[true])
}

/// The first few of many values.
fn seen(values: &Value) -> String {
    let values = values.as_array().map_or(&[][..], Vec::as_slice);
    let shown = values.iter().take(SHOWN_MAX).map(plain).collect::<Vec<_>>().join(", ");
    match values.len() {
        0 => "-".to_owned(),
        count if count > SHOWN_MAX => format!("{} and {} more", printable(&shown), count - SHOWN_MAX),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_ends_at_the_first_empty_line() {
        assert_eq!(header(b"A: b\r\nC: d\r\n\r\nE: f\r\n\r\n"), b"A: b\r\nC: d\r\n");
        assert_eq!(header(b"A: b\nC: d\n\nE: f\n"), b"A: b\nC: d\n");
        assert_eq!(header(b"A: b\r\n folded\r\n \r\nC: d"), b"A: b\r\n folded\r\n \r\nC: d");
        assert_eq!(header(b"\r\nbody"), b"");
        assert_eq!(header(b""), b"");
    }

    #[test]
    fn rules_are_read_from_what_people_have() {
        let rules = |text: &str| read_rules("f", text).map_err(|failure| failure.to_string());
        assert_eq!(rules(" [{\"name\": \"a\"}]"), Ok(json!([{"name": "a"}])));
        assert_eq!(rules("{\"rules\": [1], \"x\": 2}"), Ok(json!([1])));
        let yaml = "version: 1\nrules:\n  - name: no\n    priority: 5\n    enabled: false\n    description: ~\n";
        assert_eq!(rules(yaml), Ok(json!([{"name": "no", "priority": 5, "enabled": false, "description": null}])));
        assert_eq!(rules("- name: a\n"), Ok(json!([{"name": "a"}])));
        for (text, says) in [
            ("{\"name\": \"a\"}", "f has no rules"),
            ("name: a\n", "f has no rules"),
            ("[1,", "f is not JSON"),
            ("a: [\n", "f:"),
            (" ", "f has no rules"),
        ] {
            assert!(rules(text).is_err_and(|failure| failure.contains(says)), "{text:?}: {:?}", rules(text));
        }
    }
}
