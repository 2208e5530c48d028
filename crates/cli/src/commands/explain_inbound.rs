//! `postfleet explain-inbound`: what would become of a message that comes in. Nothing is stored or counted.

use super::agent::find;
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, grid, plain, table, time};
use crate::session::Session;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The message, and who brings it.
#[derive(clap::Args)]
pub struct Arguments {
    /// The mailbox: its address or id
    #[arg(value_name = "EMAIL|ID")]
    agent: String,
    /// A file with the message as it is transferred; - is the standard input
    #[arg(long, value_name = "FILE", required_unless_present = "from", conflicts_with_all = ["from", "name", "subject", "text", "html"])]
    raw: Option<String>,
    /// The author's address, instead of a whole message
    #[arg(long, value_name = "EMAIL")]
    from: Option<String>,
    /// The author's name that is shown
    #[arg(long, requires = "from")]
    name: Option<String>,
    /// Its subject
    #[arg(long, requires = "from")]
    subject: Option<String>,
    /// Its text
    #[arg(long, requires = "from", conflicts_with = "html")]
    text: Option<String>,
    /// A file with its text as HTML; - is the standard input
    #[arg(long, value_name = "FILE", requires = "from")]
    html: Option<String>,
    /// The address of the client that brings it; absent for what a mailbox of the application sends
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// What that client calls itself
    #[arg(long, value_name = "NAME")]
    helo: Option<String>,
    /// The envelope sender, the first author if absent; empty for a bounce
    #[arg(long, value_name = "EMAIL")]
    mail_from: Option<String>,
    /// Its size in bytes, if it is larger than what is given here
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// End with 4 where the message is not taken
    #[arg(long)]
    exit_code: bool,
}

const REFUSALS: &[Column] = &[
    Column("at", "/stage", Kind::Text),
    Column("reply", "/reply", Kind::Text),
    Column("reason", "/code", Kind::Text),
    Column("limit", "/limit", Kind::Text),
    Column("used", "/used", Kind::Count),
    Column("maximum", "/maximum", Kind::Count),
    Column("resets", "/resets", Kind::Text),
    Column("rules", "/rules", Kind::Text),
    Column("what would change it", "/change", Kind::Text),
];

const REASONS: &[Column] = &[
    Column("score", "/score", Kind::Text),
    Column("reason", "/name", Kind::Text),
    Column("what was seen", "/text", Kind::Text),
];

/// Runs it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let body = question(&arguments, session)?;
    let api = session.application()?;
    let grant = find(&api, &arguments.agent).await?;
    let path = ["grants", grant["id"].as_str().unwrap_or_default(), "explain-inbound"];
    let explained = api.post(&path, &body).await?.data();
    if session.is_json() {
        session.print_json(&explained)?;
    } else {
        show(&explained, &api, session).await?;
    }
    if explained["accepted"] == true || !arguments.exit_code {
        return Ok(());
    }
    Err(Failure::Found(format!("the message is not taken: {}", plain(&explained["reply"]))))
}

fn question(arguments: &Arguments, session: &mut Session<'_, '_>) -> Result<Value, Failure> {
    let mut body = Map::new();
    match &arguments.raw {
        Some(path) => {
            let octets = session.read_octets(path)?;
            body.insert("raw".to_owned(), json!(STANDARD.encode(octets)));
        }
        None => {
            let html = arguments.html.as_deref().map(|path| session.read(path)).transpose()?;
            let Arguments { from, name, subject, text, .. } = arguments;
            let message = json!({
                "from": {"name": name.as_deref().unwrap_or_default(), "email": from},
                "subject": subject.as_deref().unwrap_or_default(),
                "is_plaintext": html.is_none(),
                "body": html.as_ref().or(text.as_ref()).map(String::as_str).unwrap_or_default(),
            });
            body.insert("message".to_owned(), message);
        }
    }
    let beside = [("ip", &arguments.ip), ("helo", &arguments.helo), ("mail_from", &arguments.mail_from)];
    body.extend(beside.into_iter().filter_map(|(field, value)| Some((field.to_owned(), json!(value.as_ref()?)))));
    body.extend(arguments.size.map(|size| ("size".to_owned(), json!(size))));
    Ok(Value::Object(body))
}

async fn show(explained: &Value, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let reply = plain(&explained["reply"]);
    let mut refusals = explained["refusals"].as_array().cloned().unwrap_or_default();
    if refusals.is_empty() {
        session.print(&format!("the message would be taken: {reply}\n"))?;
    } else {
        for refusal in &mut refusals {
            refusal["rules"] = json!(names(&refusal["matched_rule_ids"], api).await?);
            refusal["resets"] = json!(refusal["resets_at"].as_i64().map(time));
        }
        session.print(&format!("the message would not be taken: {reply}\n\n"))?;
        session.print_table(&table(REFUSALS, &refusals))?;
    }
    if explained["authentication"].is_null() {
        return Ok(());
    }
    session.print("\n")?;
    session.print(&grid(None, &found(explained, api).await?, &[]))?;
    let reasons = explained["spam"]["reasons"].as_array().map_or(&[][..], Vec::as_slice);
    if reasons.is_empty() {
        return Ok(());
    }
    session.print("\n")?;
    session.print_table(&table(REASONS, reasons))
}

/// What rules are called.
async fn names(ids: &Value, api: &Api) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for id in ids.as_array().into_iter().flatten().filter_map(Value::as_str) {
        names.push(plain(&api.get(&["rules", id]).await?.data()["name"]));
    }
    Ok(names)
}

/// What is found of it, and where it goes.
async fn found(explained: &Value, api: &Api) -> Result<Vec<Vec<String>>, Failure> {
    let word = |thing: &Value, name: &str| if thing == &json!(true) { Some(name.to_owned()) } else { None };
    let listed = |words: Vec<Option<String>>| {
        let words: Vec<String> = words.into_iter().flatten().collect();
        if words.is_empty() { "-".to_owned() } else { words.join(", ") }
    };
    let (marks, spam, who) = (&explained["marks"], &explained["spam"], &explained["authentication"]);
    let kinds = ["first_contact", "automated", "list", "bulk"].map(|mark| word(&marks[mark], &mark.replace('_', " ")));
    let mismatch = marks["display_name_mismatch"].as_str().map(|what| format!("the name misleads ({what})"));
    let marks = listed(kinds.into_iter().chain([mismatch]).collect());
    let state = vec![
        Some(plain(&explained["folders"])),
        word(&json!(explained["unread"] == false), "read"),
        word(&explained["starred"], "starred"),
    ];
    let is_spam = if spam["is_spam"] == true { "spam" } else { "no spam" };
    let results = |name: &str| match &who[name] {
        Value::Array(all) if all.is_empty() => "none".to_owned(),
        Value::Array(all) => all.iter().map(|one| plain(&one["result"])).collect::<Vec<_>>().join(", "),
        one => plain(&one["result"]),
    };
    let who = match who["local"] == true {
        true => "a mailbox of the installation".to_owned(),
        false => ["spf", "dkim", "dmarc", "arc", "iprev"].map(|name| format!("{name} {}", results(name))).join(", "),
    };
    let mut rows = vec![
        ("goes to", listed(state)),
        ("marks", marks),
        ("sent by", who),
        ("spam", format!("{} of {}: {is_spam}", spam["score"], spam["threshold"])),
        ("suspicion", plain(&explained["suspicion"]["labels"])),
    ];
    if explained["rules"].is_object() {
        let shadow = &explained["rules"]["shadow"]["matched_rule_ids"];
        rows.push(("rules", plain(&json!(names(&explained["rules"]["matched_rule_ids"], api).await?))));
        rows.push(("in shadow", plain(&json!(names(shadow, api).await?))));
    }
    Ok(rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect())
}
