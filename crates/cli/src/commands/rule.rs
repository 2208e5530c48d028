//! `postfleet rule`: rules about mail. A rule does nothing until a workspace names it.

mod replay;
mod test;

use super::body::{Data, not_empty, put};
use super::names::{LIST, RULE, WORKSPACE};
use super::{Consent, Pages};
use crate::client::{Answer, Api};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, counted, plain};
use crate::session::Session;
use serde_json::{Map, Value, json};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists rules
    List(Pages),
    /// Shows a rule
    #[command(visible_aliases = ["show", "read"])]
    Get(One),
    /// Makes a rule; with --workspace it is put to work there
    Create(Box<Create>),
    /// Changes a rule: what is not named stays; conditions and actions are replaced whole
    Update(Box<Update>),
    /// Takes a rule from its workspaces and removes it
    Delete(Delete),
    /// Puts a rule to work in workspaces
    Attach(Places),
    /// Takes a rule from workspaces
    Detach(Places),
    /// Shows what rules say of one message, and why; nothing is sent or kept
    Test(Box<test::Test>),
    /// Shows what a changed rule or list would have changed for mail of the past; nothing is sent or kept
    Replay(Box<replay::Replay>),
}

/// A rule.
#[derive(clap::Args)]
pub struct One {
    /// Its id or name
    rule: String,
}

/// What a rule says.
#[derive(clap::Args)]
pub struct Says {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// 0 to 1000; lower ones come first
    #[arg(long, value_name = "N")]
    priority: Option<i64>,
    /// It is looked at
    #[arg(long, conflicts_with = "disabled")]
    enabled: bool,
    /// It is kept and not looked at
    #[arg(long)]
    disabled: bool,
    /// Which mail it is about
    #[arg(long, value_parser = ["inbound", "outbound"])]
    trigger: Option<String>,
    /// Whether it acts, or is only evaluated and recorded
    #[arg(long, value_parser = ["enforce", "shadow"])]
    mode: Option<String>,
    /// Whether one condition is enough, or all must hold
    #[arg(long, value_parser = ["any", "all"])]
    match_operator: Option<String>,
    /// A condition, such as from.domain,is,example.com or from.domain,in_list,<list>; may be given several times
    #[arg(long = "condition", value_name = "FIELD,OPERATOR,VALUE")]
    conditions: Vec<String>,
    /// An action, such as block or assign_to_folder=Clients; may be given several times
    #[arg(long = "action", value_name = "TYPE[=VALUE]")]
    actions: Vec<String>,
    #[command(flatten)]
    data: Data,
}

/// Making one.
#[derive(clap::Args)]
pub struct Create {
    #[command(flatten)]
    says: Says,
    /// The workspace that is to name it: id, name or domain; if that fails, the rule is taken back
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
}

/// Changing one.
#[derive(clap::Args)]
pub struct Update {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    says: Says,
}

/// Removing one.
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

/// A rule and where.
#[derive(clap::Args)]
pub struct Places {
    #[command(flatten)]
    one: One,
    /// A workspace: id, name or domain; may be given several times
    #[arg(long = "workspace", value_name = "WORKSPACE", required = true)]
    workspaces: Vec<String>,
}

const COLUMNS: &[Column] = &[
    Column("priority", "/priority", Kind::Count),
    Column("name", "/name", Kind::Text),
    Column("trigger", "/trigger", Kind::Text),
    Column("enabled", "/enabled", Kind::Flag),
    Column("mode", "/mode", Kind::Text),
    Column("when", "/when", Kind::Text),
    Column("then", "/then", Kind::Text),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("description", "/description", Kind::Text),
    Column("priority", "/priority", Kind::Count),
    Column("trigger", "/trigger", Kind::Text),
    Column("enabled", "/enabled", Kind::Flag),
    Column("mode", "/mode", Kind::Text),
    Column("when", "/when", Kind::Text),
    Column("then", "/then", Kind::Text),
    Column("made", "/created_at", Kind::Time),
    Column("changed", "/updated_at", Kind::Time),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List(pages) => {
            let mut things = api.list(&["rules"], &[], pages.most()).await?;
            if !session.is_json() {
                things.items.iter_mut().for_each(in_words);
            }
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { rule }) => {
            let id = RULE.id(&api, &rule).await?;
            show(api.get(&["rules", &id]).await?, session)
        }
        Verb::Create(arguments) => create(*arguments, &api, session).await,
        Verb::Update(arguments) => {
            let Update { one, says } = *arguments;
            let body = not_empty(says.body(&api, session).await?)?;
            let id = RULE.id(&api, &one.rule).await?;
            show(api.put(&["rules", &id], &body).await?, session)
        }
        Verb::Delete(arguments) => delete(arguments, &api, session).await,
        Verb::Attach(places) => place(places, true, &api, session).await,
        Verb::Detach(places) => place(places, false, &api, session).await,
        Verb::Test(arguments) => test::run(*arguments, &api, session).await,
        Verb::Replay(arguments) => replay::run(*arguments, &api, session).await,
    }
}

fn show(mut answer: Answer, session: &mut Session<'_, '_>) -> Outcome {
    if !session.is_json() {
        in_words(&mut answer.body["data"]);
    }
    session.show(FIELDS, answer)
}

/// Puts what a rule says beside it, for people.
fn in_words(rule: &mut Value) {
    rule["when"] = json!(when(rule));
    rule["then"] = json!(then(rule));
}

/// The conditions of a rule in words.
pub fn when(rule: &Value) -> String {
    let conditions = rule["match"]["conditions"].as_array().into_iter().flatten();
    let words = conditions.map(|condition| {
        format!("{} {} {}", plain(&condition["field"]), plain(&condition["operator"]), plain(&condition["value"]))
    });
    let between = if rule["match"]["operator"] == "any" { " or " } else { " and " };
    words.collect::<Vec<_>>().join(between)
}

/// The actions of a rule in words.
pub fn then(rule: &Value) -> String {
    let actions = rule["actions"].as_array().into_iter().flatten();
    let words = actions.map(|action| match &action["value"] {
        Value::Null => plain(&action["type"]),
        value => format!("{} {}", plain(&action["type"]), plain(value)),
    });
    words.collect::<Vec<_>>().join(", ")
}

impl Says {
    async fn body(self, api: &Api, session: &mut Session<'_, '_>) -> Result<Map<String, Value>, Failure> {
        let mut body = self.data.body(session)?;
        put(&mut body, "name", self.name);
        put(&mut body, "description", self.description);
        put(&mut body, "priority", self.priority);
        put(&mut body, "enabled", (self.enabled || self.disabled).then_some(self.enabled));
        put(&mut body, "trigger", self.trigger);
        put(&mut body, "mode", self.mode);
        if self.conditions.is_empty() {
            // The operator belongs to the conditions, which are replaced whole: alone it would take them away.
            if let Some(operator) = self.match_operator {
                let conditions = body.get("match").map(|matched| matched["conditions"].clone());
                let conditions = conditions.filter(Value::is_array).ok_or_else(|| {
                    Failure::Usage("--match-operator goes with --condition: conditions are replaced whole".to_owned())
                })?;
                put(&mut body, "match", Some(json!({"operator": operator, "conditions": conditions})));
            }
        } else {
            let mut conditions = Vec::new();
            for condition in &self.conditions {
                conditions.push(parse_condition(condition, api).await?);
            }
            let operator = self.match_operator.unwrap_or_else(|| "all".to_owned());
            put(&mut body, "match", Some(json!({"operator": operator, "conditions": conditions})));
        }
        if !self.actions.is_empty() {
            put(&mut body, "actions", Some(self.actions.iter().map(|action| parse_action(action)).collect::<Vec<_>>()));
        }
        Ok(body)
    }
}

/// A condition as it is typed; lists are named by id or name.
async fn parse_condition(text: &str, api: &Api) -> Result<Value, Failure> {
    let mut parts = text.splitn(3, ',').map(str::trim);
    let (Some(field), Some(operator), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        let text = format!("{text:?} is no condition: write field,operator,value, such as from.domain,is,example.com");
        return Err(Failure::Usage(text));
    };
    if operator != "in_list" {
        return Ok(json!({"field": field, "operator": operator, "value": value}));
    }
    let mut lists = Vec::new();
    for list in value.split(',') {
        lists.push(LIST.id(api, list.trim()).await?);
    }
    Ok(json!({"field": field, "operator": operator, "value": lists}))
}

fn parse_action(text: &str) -> Value {
    let (kind, value) = text.split_once('=').map_or((text, None), |(kind, value)| (kind, Some(value)));
    let kind = if kind == "move_to_folder" { "assign_to_folder" } else { kind };
    match value {
        Some(value) => json!({"type": kind, "value": value}),
        None => json!({"type": kind}),
    }
}

async fn create(arguments: Create, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let workspace = match &arguments.workspace {
        Some(workspace) => Some(WORKSPACE.id(api, workspace).await?),
        None => None,
    };
    let body = arguments.says.body(api, session).await?;
    let answer = api.post(&["rules"], &Value::Object(body)).await?;
    let rule = answer.body["data"]["id"].as_str().unwrap_or_default().to_owned();
    if let Some(workspace) = workspace {
        if let Err(failure) = set(api, &workspace, &rule, true).await {
            let undone = api.delete(&["rules", &rule]).await;
            let what = if undone.is_ok() { "and is taken back" } else { "and could not be taken back" };
            session.warn(&format!("the rule {rule} was made, but not put to work, {what}"));
            return Err(failure);
        }
        return show(answer, session);
    }
    show(answer, session)?;
    session.note(&format!(
        "it does nothing until a workspace names it: postfleet rule attach {rule} --workspace <workspace>"
    ));
    Ok(())
}

/// Puts a rule into a workspace or takes it out; answers whether that changed anything.
async fn set(api: &Api, workspace: &str, rule: &str, is_wanted: bool) -> Result<bool, Failure> {
    let mut found = api.get(&["workspaces", workspace]).await?.data();
    let Value::Array(rules) = found["rule_ids"].take() else { return Ok(false) };
    let is_there = rules.iter().any(|id| id == rule);
    if is_there == is_wanted {
        return Ok(false);
    }
    let mut rules: Vec<Value> = rules.into_iter().filter(|id| id != rule).collect();
    rules.extend(is_wanted.then(|| json!(rule)));
    api.patch(&["workspaces", workspace], &json!({"rule_ids": rules})).await?;
    Ok(true)
}

async fn place(places: Places, is_wanted: bool, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let rule = RULE.id(api, &places.one.rule).await?;
    let mut changed = Vec::new();
    for workspace in &places.workspaces {
        let id = WORKSPACE.id(api, workspace).await?;
        if set(api, &id, &rule, is_wanted).await? {
            changed.push(id);
        }
    }
    if session.is_json() {
        return session.print_json(&json!({"rule_id": rule, "workspace_ids": changed}));
    }
    let what = if is_wanted { "put to work in" } else { "taken from" };
    session.print(&format!("{what} {} of {}\n", changed.len(), counted(places.workspaces.len(), "workspace")))
}

async fn delete(arguments: Delete, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let name = arguments.one.rule;
    let rule = RULE.id(api, &name).await?;
    let workspaces = api.list(&["workspaces"], &[], None).await?.items;
    let uses =
        |workspace: &&Value| workspace["rule_ids"].as_array().is_some_and(|rules| rules.iter().any(|id| *id == *rule));
    let using: Vec<&Value> = workspaces.iter().filter(uses).collect();
    let what = format!("remove the rule {name}, which is at work in {}", counted(using.len(), "workspace"));
    session.confirm(arguments.consent.yes, &what)?;
    let mut detached = Vec::new();
    let removed = detach_and_remove(api, &rule, &using, &mut detached).await;
    if removed.is_err() {
        for workspace in &detached {
            if set(api, workspace, &rule, true).await.is_err() {
                session.warn(&format!("the rule could not be put back to work in the workspace {workspace}"));
            }
        }
    }
    session.done(&format!("removed {name}, and took it from {}", counted(detached.len(), "workspace")), removed?)
}

async fn detach_and_remove(
    api: &Api,
    rule: &str,
    using: &[&Value],
    detached: &mut Vec<String>,
) -> Result<Answer, Failure> {
    for workspace in using {
        let id = workspace["workspace_id"].as_str().unwrap_or_default();
        if set(api, id, rule, false).await? {
            detached.push(id.to_owned());
        }
    }
    api.delete(&["rules", rule]).await
}
