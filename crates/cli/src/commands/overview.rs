//! `postfleet overview`: the tree of an application, and what in it may not be as it was meant.

use super::fleet::{Fleet, list_ids};
use super::list::items_of;
use super::rule::then;
use crate::client::{Api, PAGE};
use crate::failure::{Failure, Outcome};
use crate::output::{count, counted, grid, plain, printable};
use crate::session::Session;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How much.
#[derive(clap::Args)]
pub struct Arguments {
    /// End with exit code 4 if there is a warning
    #[arg(long)]
    check: bool,
    /// Do not count mailboxes, which reads all of them, 200 at a time
    #[arg(long)]
    no_counts: bool,
}

/// Names that are shown of what a finding is about.
const NAMES_SHOWN: usize = 5;

/// How many mailboxes are in each workspace, by its id; empty for those in none.
#[derive(Default)]
pub struct Counts(BTreeMap<String, u64>);

/// Runs it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    let application = api.get(&["applications"]).await?.data();
    let fleet = Fleet::read(&api).await?;
    let counts = if arguments.no_counts { None } else { Some(count_mailboxes(&api).await?) };
    let findings = api.get(&["workspaces", "findings"]).await?.data();
    if session.is_json() {
        session.print_json(&document(&application, &fleet, counts.as_ref(), &findings))?;
    } else {
        session.print(&tree(&application, &fleet, counts.as_ref()))?;
        session.print(&listed(&findings, &fleet))?;
    }
    let warnings = all(&findings).filter(|finding| is_warning(finding)).count();
    if arguments.check && warnings > 0 { Err(Failure::Found(counted(warnings, "warning"))) } else { Ok(()) }
}

/// Goes over the mailboxes, a page at a time, and keeps nothing of them but the numbers.
async fn count_mailboxes(api: &Api) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    let mut offset = 0;
    loop {
        let query = [
            ("limit", PAGE.to_string()),
            ("offset", offset.to_string()),
            ("order_by", "asc".to_owned()),
            ("select", "workspace_id".to_owned()),
        ];
        let page = api.ask(Method::GET, &["grants"], &query, None).await?.data();
        let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
        for grant in page {
            let workspace = grant["workspace_id"].as_str().unwrap_or_default();
            *counts.0.entry(workspace.to_owned()).or_default() += 1;
        }
        if page.len() < PAGE {
            return Ok(counts);
        }
        offset += page.len();
    }
}

impl Counts {
    fn of(&self, workspace: &Value) -> u64 {
        let id = workspace["workspace_id"].as_str().unwrap_or_default();
        self.0.get(id).copied().unwrap_or(0)
    }
}

fn document(application: &Value, fleet: &Fleet, counts: Option<&Counts>, findings: &Value) -> Value {
    let workspaces = fleet.workspaces.iter().map(|workspace| {
        let mut shown = workspace.clone();
        let rules: Vec<&Value> = fleet.rules_of(workspace).collect();
        let lists: Vec<&Value> = rules.iter().flat_map(|rule| list_ids(rule)).filter_map(|id| fleet.list(id)).collect();
        shown["policy"] = json!(fleet.policy(&workspace["policy_id"]));
        shown["rules"] = json!(rules);
        shown["lists"] = json!(lists);
        shown["mailboxes"] = json!(counts.map(|counts| counts.of(workspace)));
        shown
    });
    let workspaces: Vec<Value> = workspaces.collect();
    json!({"application": application, "workspaces": workspaces, "findings": findings})
}

/// A thing and what belongs to it.
struct Branch {
    text: String,
    below: Vec<Branch>,
}

impl Branch {
    fn new(text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()), below: Vec::new() }
    }

    fn draw(&self, start: &str, lines: &mut String) {
        for (index, branch) in self.below.iter().enumerate() {
            let is_last = index + 1 == self.below.len();
            let (here, further) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            lines.push_str(&format!("{start}{here}{}\n", branch.text));
            branch.draw(&format!("{start}{further}"), lines);
        }
    }
}

fn tree(application: &Value, fleet: &Fleet, counts: Option<&Counts>) -> String {
    let text = format!("{} ({})", plain(&application["name"]), plain(&application["environment"]));
    let mut root = Branch::new(text);
    root.below = fleet.workspaces.iter().map(|workspace| branch(workspace, fleet, counts)).collect();
    let in_none = counts.and_then(|counts| counts.0.get("").copied());
    root.below.extend(in_none.map(|number| Branch::new(format!("no workspace; mailboxes: {number}"))));
    let mut lines = format!("{}\n", root.text);
    root.draw("", &mut lines);
    lines
}

fn branch(workspace: &Value, fleet: &Fleet, counts: Option<&Counts>) -> Branch {
    let mut marks = Vec::new();
    if workspace["default"] == true {
        marks.push("default".to_owned());
    }
    if let Some(domain) = workspace["domain"].as_str().filter(|domain| !domain.is_empty()) {
        let takes = if workspace["auto_group"] == true { "takes" } else { "of" };
        marks.push(format!("{takes} {domain}"));
    }
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    let mut branch = Branch::new(format!("workspace {}{marks}", plain(&workspace["name"])));
    branch.below.push(policy_branch(workspace, fleet));
    branch.below.extend(fleet.rules_of(workspace).map(|rule| rule_branch(rule, fleet)));
    branch
        .below
        .extend(fleet.dangling_rules(workspace).map(|id| Branch::new(format!("rule {}: does not exist", plain(id)))));
    branch.below.extend(counts.map(|counts| Branch::new(format!("mailboxes: {}", counts.of(workspace)))));
    branch
}

fn policy_branch(workspace: &Value, fleet: &Fleet) -> Branch {
    let id = &workspace["policy_id"];
    match fleet.policy(id) {
        Some(policy) => {
            let sends = count(&policy["limits"]["limit_count_daily_email_sent"]);
            Branch::new(format!("policy {}: {sends} sends a day", plain(&policy["name"])))
        }
        None if id.is_null() => Branch::new("no policy: what the plan allows"),
        None => Branch::new(format!("policy {}: does not exist", plain(id))),
    }
}

fn rule_branch(rule: &Value, fleet: &Fleet) -> Branch {
    let state = if rule["enabled"] == false { ", disabled" } else { "" };
    let mode = if rule["mode"] == "shadow" { ", shadow" } else { "" };
    let (name, trigger) = (plain(&rule["name"]), plain(&rule["trigger"]));
    let text = format!("rule {} {name} ({trigger}{mode}{state}): {}", plain(&rule["priority"]), then(rule));
    let mut branch = Branch::new(text);
    branch.below = list_ids(rule)
        .into_iter()
        .map(|id| match fleet.list(id) {
            Some(list) => {
                let (name, kind) = (plain(&list["name"]), plain(&list["type"]));
                Branch::new(format!("list {name} ({kind}, {})", items_of(list)))
            }
            None => Branch::new(format!("list {}: does not exist", plain(id))),
        })
        .collect();
    branch
}

fn all(findings: &Value) -> impl Iterator<Item = &Value> {
    findings.as_array().into_iter().flatten()
}

fn is_warning(finding: &Value) -> bool {
    finding["severity"] == "warning"
}

/// What the server found, most important first, with the names of what it is about.
fn listed(findings: &Value, fleet: &Fleet) -> String {
    let mut findings: Vec<&Value> = all(findings).collect();
    if findings.is_empty() {
        return "\nnothing to remark\n".to_owned();
    }
    findings.sort_by_key(|finding| !is_warning(finding));
    let rows = findings.into_iter().map(|finding| {
        let names = names(finding, fleet);
        let names = if names.is_empty() { String::new() } else { format!(": {names}") };
        let at_least = if finding["truncated"] == true { "at least " } else { "" };
        let message = format!("{} ({at_least}{}){names}", plain(&finding["message"]), plain(&finding["count"]));
        vec![plain(&finding["severity"]), plain(&finding["code"]), message]
    });
    format!("\n{}", grid(None, &rows.collect::<Vec<_>>(), &[]))
}

/// Some of what a finding is about; nothing of mailboxes, whose names are not known here.
fn names(finding: &Value, fleet: &Fleet) -> String {
    let ids = finding["ids"].as_array().into_iter().flatten();
    let mut names: Vec<String> = ids.filter_map(|id| fleet.name(id)).take(NAMES_SHOWN).map(plain).collect();
    let count = finding["count"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    if !names.is_empty() && count > names.len() {
        names.push("…".to_owned());
    }
    names.join(", ")
}
