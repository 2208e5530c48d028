//! `postfleet explain`: everything that holds for one mailbox, and where it comes from; whether it may send, and why it could
//! not.

use super::agent::{daily_sends, find, limits_table};
use super::fleet::{Fleet, list_ids};
use super::rule::{then, when};
use super::stop;
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, grid, plain, table, time};
use crate::session::Session;
use reqwest::Method;
use serde_json::{Value, json};

/// Which mailbox.
#[derive(clap::Args)]
pub struct Arguments {
    /// Its address or id
    #[arg(value_name = "EMAIL|ID")]
    address: String,
    /// An address that would be written to; may be given several times
    #[arg(long = "to", value_name = "EMAIL", value_delimiter = ',')]
    recipients: Vec<String>,
    /// The message of the mailbox that would be answered
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// The id of the key with which it would be sent; the one that asks if absent
    #[arg(long, value_name = "ID")]
    with_key: Option<String>,
}

const REFUSALS: &[Column] = &[
    Column("reason", "/code", Kind::Text),
    Column("limit", "/limit", Kind::Count),
    Column("used", "/used", Kind::Count),
    Column("whose", "/whose", Kind::Text),
    Column("resets", "/resets", Kind::Text),
    Column("what would change it", "/change", Kind::Text),
];

const PAST: &[Column] = &[
    Column("since", "/first_at", Kind::Time),
    Column("until", "/last_at", Kind::Time),
    Column("times", "/times", Kind::Count),
    Column("reason", "/code", Kind::Text),
    Column("limit", "/limit", Kind::Count),
    Column("used", "/used", Kind::Count),
    Column("whose", "/whose", Kind::Text),
    Column("resets", "/resets", Kind::Text),
    Column("what was said", "/message", Kind::Text),
];

const RULES: &[Column] = &[
    Column("priority", "/priority", Kind::Count),
    Column("rule", "/name", Kind::Text),
    Column("trigger", "/trigger", Kind::Text),
    Column("enabled", "/enabled", Kind::Flag),
    Column("mode", "/mode", Kind::Text),
    Column("when", "/when", Kind::Text),
    Column("then", "/then", Kind::Text),
];

const LISTS: &[Column] = &[
    Column("list", "/name", Kind::Text),
    Column("type", "/type", Kind::Text),
    Column("items", "/items_count", Kind::Count),
    Column("id", "/id", Kind::Text),
];

/// Runs it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    let grant = find(&api, &arguments.address).await?;
    let limits = api.get(&["grants", grant["id"].as_str().unwrap_or_default(), "limits"]).await?.data();
    let sending = sending(&api, &grant, &arguments).await?;
    let fleet = Fleet::read(&api).await?;
    let domain = domain(&grant, session).await?;
    let stops = stop::of_mailbox(&api, grant["id"].as_str().unwrap_or_default()).await?;

    let workspace = fleet.workspace(&limits["workspace_id"]).cloned().unwrap_or_default();
    let policy = fleet.policy(&limits["policy_id"]).cloned().unwrap_or_default();
    let rules: Vec<Value> = fleet.rules_of(&workspace).cloned().collect();
    let mut lists: Vec<Value> = Vec::new();
    for list in rules.iter().flat_map(list_ids).filter_map(|id| fleet.list(id)) {
        if !lists.contains(list) {
            lists.push(list.clone());
        }
    }
    if session.is_json() {
        return session.print_json(&json!({
            "grant": grant, "workspace": workspace, "policy": policy, "limits": limits, "rules": rules, "lists": lists,
            "domain": domain, "sending": sending, "stops": stops,
        }));
    }
    session.print(&origins(&grant, &workspace, &policy, &limits, domain.as_ref()))?;
    session.print("\n")?;
    session.print_table(&limits_table(&with_names(&limits, &policy)))?;
    session.print(&format!("\n{}\n", daily_sends(&limits)))?;
    show_sending(&sending, session)?;
    stop::show_of_mailbox(stops, session)?;
    show_rules(rules, &lists, session)
}

/// Whether it may send, and what was refused.
async fn sending(api: &Api, grant: &Value, arguments: &Arguments) -> Result<Value, Failure> {
    let mut query = Vec::new();
    if !arguments.recipients.is_empty() {
        query.push(("to", arguments.recipients.join(",")));
    }
    query.extend(arguments.reply_to.clone().map(|id| ("reply_to_message_id", id)));
    query.extend(arguments.with_key.clone().map(|id| ("key_id", id)));
    let path = ["grants", grant["id"].as_str().unwrap_or_default(), "explain"];
    Ok(api.ask(Method::GET, &path, &query, None).await?.data())
}

fn show_sending(sending: &Value, session: &mut Session<'_, '_>) -> Outcome {
    let refusals = with_owners(&sending["refusals"]);
    if refusals.is_empty() {
        session.print("\na message would be accepted now\n")?;
    } else {
        match sending["held_for"].as_str() {
            None => session.print("\na message would be refused now:\n")?,
            Some(reason) => session.print(&format!("\na message would be held now ({reason}):\n"))?,
        }
        session.print_table(&table(REFUSALS, &refusals))?;
    }
    match sending["held_sends"].as_u64().unwrap_or(0) {
        0 => {}
        1 => session.print("1 send is held\n")?,
        count => session.print(&format!("{count} sends are held\n"))?,
    }
    let past = with_owners(&sending["past"]);
    if past.is_empty() {
        return session.print("nothing was refused in the last 30 days\n");
    }
    session.print("\nrefused in the last 30 days:\n")?;
    session.print_table(&table(PAST, &past))
}

/// Refusals with whose they are and when they reset in words.
fn with_owners(refusals: &Value) -> Vec<Value> {
    let mut refusals = refusals.as_array().cloned().unwrap_or_default();
    for refusal in &mut refusals {
        let owner = &refusal["owner"];
        let called = [&owner["name"], &owner["id"]].into_iter().find(|text| text.is_string());
        let whose =
            called.map_or_else(|| plain(&owner["type"]), |text| format!("{} {}", plain(&owner["type"]), plain(text)));
        refusal["whose"] = json!(whose);
        refusal["resets"] = json!(refusal["resets_at"].as_i64().map(time));
    }
    refusals
}

/// What is known of the mailbox's domain, for those who have an operator's key.
async fn domain(grant: &Value, session: &Session<'_, '_>) -> Result<Option<Value>, Failure> {
    let Ok(api): Result<Api, _> = session.operator() else { return Ok(None) };
    let Some((_, name)) = grant["email"].as_str().and_then(|email| email.rsplit_once('@')) else { return Ok(None) };
    match api.get(&["domains", name]).await {
        Ok(answer) => Ok(Some(answer.data())),
        // The operator of another organization, or one who may not see domains.
        Err(Failure::Refused(refusal)) if matches!(refusal.status, 403 | 404) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The mailbox, and the things that govern it.
fn origins(grant: &Value, workspace: &Value, policy: &Value, limits: &Value, domain: Option<&Value>) -> String {
    let named = |thing: &Value, id: &str| format!("{} ({})", plain(&thing["name"]), plain(&thing[id]));
    let how = match grant["placement"].as_str() {
        Some("explicit") => "it was named when the mailbox was made",
        Some("auto_group") => "it takes new mailboxes of the domain",
        Some("default") => "no other was named and none takes the domain",
        Some("moved") => "the mailbox was moved there",
        _ => "it is not known how the mailbox came there",
    };
    let workspace = match workspace {
        Value::Null => "none: the plan alone governs the mailbox".to_owned(),
        workspace => format!("{}: {how}", named(workspace, "workspace_id")),
    };
    let policy = match policy {
        Value::Null => "none: the plan alone limits the mailbox".to_owned(),
        policy => named(policy, "id"),
    };
    let yes = |flag: &Value| if flag == &json!(true) { "yes" } else { "no" };
    let domain = domain.map_or_else(
        || "not known: only an operator's key sees domains".to_owned(),
        |domain| {
            let (receives, sends) = (yes(&domain["can_receive"]), yes(&domain["can_send"]));
            format!("{}: receives {receives}, sends {sends}", plain(&domain["domain_address"]))
        },
    );
    let rows = [
        ("mailbox", format!("{} ({})", plain(&grant["email"]), plain(&grant["id"]))),
        ("workspace", workspace),
        ("policy", policy),
        ("plan", plain(&limits["plan"])),
        ("domain", domain),
    ];
    let rows: Vec<Vec<String>> = rows.map(|(name, value)| vec![name.to_owned(), value]).into();
    grid(None, &rows, &[])
}

/// The limits with the names of their sources.
fn with_names(limits: &Value, policy: &Value) -> Value {
    let mut limits = limits.clone();
    let plan = format!("plan {}", plain(&limits["plan"]));
    let policy = format!("policy {}", plain(&policy["name"]));
    for (_, limit) in limits["limits"].as_object_mut().into_iter().flatten() {
        let source = match limit["source"].as_str() {
            Some("policy") => &policy,
            Some("plan") => &plan,
            _ => continue,
        };
        limit["source"] = json!(source);
    }
    limits
}

fn show_rules(mut rules: Vec<Value>, lists: &[Value], session: &mut Session<'_, '_>) -> Outcome {
    if rules.is_empty() {
        return session.print("\nno rules judge its mail\n");
    }
    for rule in &mut rules {
        let name = |text: String, list: &Value| text.replace(&plain(&list["id"]), &plain(&list["name"]));
        rule["when"] = json!(lists.iter().fold(when(rule), name));
        rule["then"] = json!(then(rule));
    }
    session.print("\n")?;
    session.print_table(&table(RULES, &rules))?;
    if lists.is_empty() {
        return Ok(());
    }
    session.print("\n")?;
    session.print_table(&table(LISTS, lists))
}
