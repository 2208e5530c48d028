//! `postfleet workspace`: groups of mailboxes under one policy.

use super::Consent;
use super::body::{not_empty, put};
use super::names::{POLICY, WORKSPACE};
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value, json};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists workspaces, oldest first
    List,
    /// Shows a workspace
    #[command(visible_alias = "show")]
    Get(One),
    /// Makes a workspace
    Create(Create),
    /// Changes a workspace
    Update(Update),
    /// Removes a workspace; its mailboxes go into the default one
    Delete(Delete),
    /// Moves mailboxes into a workspace, or out of it
    Assign(Assign),
    /// Suggests daily quotas: about twice what was sent on the busiest of the last 30 days
    Advise(Advise),
    /// Lists the kinds of workspace that --preset makes
    Presets,
}

/// A workspace.
#[derive(clap::Args)]
pub struct One {
    /// Its id, name or domain
    workspace: String,
}

/// What a workspace may have.
#[derive(clap::Args)]
pub struct Settings {
    /// Whether new mailboxes of its domain go into it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    auto_group: Option<bool>,
    /// Its policy: id or name; "" detaches
    #[arg(long, value_name = "POLICY")]
    policy_id: Option<String>,
    /// Its rules, ids separated by commas; "" detaches all
    #[arg(long, value_name = "ID,ID")]
    rules_ids: Option<String>,
    /// What becomes of sends over a quota: refused, held until there is quota, or until somebody approves them
    #[arg(long, value_name = "WHAT", value_parser = ["reject", "hold", "approve"])]
    on_quota: Option<String>,
}

/// Making one.
#[derive(clap::Args)]
pub struct Create {
    /// Its name
    #[arg(long)]
    name: String,
    /// Its domain, by which new mailboxes find it
    #[arg(long)]
    domain: Option<String>,
    /// A kind, which makes a policy with it: outreach, triage or prototype
    #[arg(long, conflicts_with = "policy_id")]
    preset: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// Changing one.
#[derive(clap::Args)]
pub struct Update {
    #[command(flatten)]
    one: One,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// Removing one.
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

/// Moving mailboxes.
#[derive(clap::Args)]
pub struct Assign {
    #[command(flatten)]
    one: One,
    /// Ids or addresses of mailboxes that go into it
    #[arg(value_name = "ID|EMAIL", required_unless_present = "remove")]
    agents: Vec<String>,
    /// Ids or addresses of mailboxes that go out of it, into none; separated by commas
    #[arg(long, value_name = "ID|EMAIL", value_delimiter = ',')]
    remove: Vec<String>,
}

/// Which quota fits.
#[derive(clap::Args)]
pub struct Advise {
    /// Its id, name or domain; all of them if absent
    workspace: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column("name", "/name", Kind::Text),
    Column("domain", "/domain", Kind::Text),
    Column("auto-group", "/auto_group", Kind::Flag),
    Column("default", "/default", Kind::Flag),
    Column("policy", "/policy_id", Kind::Text),
    Column("rules", "/rule_ids", Kind::Length),
    Column("id", "/workspace_id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/workspace_id", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("domain", "/domain", Kind::Text),
    Column("auto-group", "/auto_group", Kind::Flag),
    Column("default", "/default", Kind::Flag),
    Column("policy", "/policy_id", Kind::Text),
    Column("rules", "/rule_ids", Kind::Text),
    Column("over quota", "/on_quota", Kind::Text),
    Column("made", "/created_at", Kind::Time),
    Column("changed", "/updated_at", Kind::Time),
];

const PRESETS: &[Column] = &[
    Column("name", "/name", Kind::Text),
    Column("sends a day", "/daily_sends_max", Kind::Count),
    Column("days of junk", "/spam_retention_days", Kind::Count),
    Column("what for", "/description", Kind::Text),
];

const ADVICE: &[Column] = &[
    Column("workspace", "/name", Kind::Text),
    Column("mailboxes", "/mailboxes", Kind::Count),
    Column("most in a day", "/peak/sent", Kind::Count),
    Column("on the day", "/peak/day", Kind::Time),
    Column("by", "/peak/grant_id", Kind::Text),
    Column("limit", "/limit_count_daily_email_sent", Kind::Count),
    Column("cut off", "/at_limit", Kind::Flag),
    Column("suggested", "/suggested_limit_count_daily_email_sent", Kind::Count),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List => {
            let things = api.list(&["workspaces"], &[], None).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { workspace }) => {
            let id = WORKSPACE.id(&api, &workspace).await?;
            let answer = api.get(&["workspaces", &id]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Create(arguments) => create(arguments, &api, session).await,
        Verb::Update(arguments) => update(arguments, &api, session).await,
        Verb::Delete(arguments) => delete(arguments, &api, session).await,
        Verb::Assign(arguments) => assign(arguments, &api, session).await,
        Verb::Advise(arguments) => advise(arguments, &api, session).await,
        Verb::Presets => {
            let things = api.list(&["workspaces", "presets"], &[], None).await?;
            session.show_list(PRESETS, things)
        }
    }
}

async fn create(arguments: Create, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "name", Some(arguments.name));
    put(&mut body, "domain", arguments.domain);
    put(&mut body, "preset", arguments.preset);
    arguments.settings.put(&mut body, api).await?;
    let answer = api.post(&["workspaces"], &Value::Object(body)).await?;
    session.show(FIELDS, answer)
}

async fn update(arguments: Update, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "name", arguments.name);
    arguments.settings.put(&mut body, api).await?;
    let body = not_empty(body)?;
    let id = WORKSPACE.id(api, &arguments.one.workspace).await?;
    let answer = api.patch(&["workspaces", &id], &body).await?;
    session.show(FIELDS, answer)
}

impl Settings {
    async fn put(&self, body: &mut Map<String, Value>, api: &Api) -> Result<(), Failure> {
        put(body, "auto_group", self.auto_group);
        put(body, "on_quota", self.on_quota.clone());
        match self.policy_id.as_deref() {
            None => {}
            Some("") => put(body, "policy_id", Some(Value::Null)),
            Some(policy) => put(body, "policy_id", Some(POLICY.id(api, policy).await?)),
        }
        if let Some(rules) = &self.rules_ids {
            let ids: Vec<&str> = rules.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
            put(body, "rule_ids", Some(ids));
        }
        Ok(())
    }
}

async fn delete(arguments: Delete, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let name = arguments.one.workspace;
    let id = WORKSPACE.id(api, &name).await?;
    let what = format!("remove the workspace {name}; its mailboxes go into the default one");
    session.confirm(arguments.consent.yes, &what)?;
    let answer = api.delete(&["workspaces", &id]).await?;
    session.done(&format!("removed {name}"), answer)
}

async fn assign(arguments: Assign, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let id = WORKSPACE.id(api, &arguments.one.workspace).await?;
    let body = json!({"assign_grants": arguments.agents, "remove_grants": arguments.remove});
    let answer = api.post(&["workspaces", &id, "manual-assign"], &body).await?;
    let length = |field: &str| answer.body["data"][field].as_array().map_or(0, Vec::len);
    let sentence = format!("{} moved in, {} taken out", length("grants_assigned"), length("grants_removed"));
    session.done(&sentence, answer)
}

/// Asks for the advice about each workspace, and shows it with its name.
async fn advise(arguments: Advise, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut workspaces = api.list(&["workspaces"], &[], None).await?;
    if let Some(wanted) = &arguments.workspace {
        let id = WORKSPACE.id(api, wanted).await?;
        workspaces.items.retain(|workspace| workspace["workspace_id"] == id);
    }
    for workspace in &mut workspaces.items {
        let id = workspace["workspace_id"].as_str().unwrap_or_default();
        let mut advice = api.get(&["workspaces", id, "quota-advice"]).await?.data();
        advice["name"] = workspace["name"].clone();
        *workspace = advice;
    }
    session.show_list(ADVICE, workspaces)
}
