//! `postfleet mailbox export`: pages of messages, written into files as they come.

use crate::failure::{Failure, Outcome};
use crate::mail_files::write::Target;
use crate::mail_files::{Format, Message};
use crate::session::Session;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Where to.
#[derive(clap::Args)]
pub struct Arguments {
    /// The mailbox, by its address or id
    #[arg(value_name = "EMAIL|ID")]
    agent: String,
    /// A folder that is empty, or in which the same export was begun
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// How mail is to be kept there
    #[arg(long, value_enum)]
    format: Format,
}

/// Runs it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    if arguments.format == Format::Mboxo {
        return Err(Failure::Usage("write mbox: what mboxo quotes cannot be told from what was there".to_owned()));
    }
    let api = session.application()?;
    let mailbox = api.get(&["grants", &arguments.agent]).await?.data();
    let id = mailbox["id"].as_str().unwrap_or_default().to_owned();
    let path = arguments.path.display().to_string();
    let local = |error: std::io::Error| Failure::Local(format!("{path}: {error}"));
    let mut target = Target::open(&arguments.path, arguments.format, &id).map_err(local)?;
    let before = target.state.messages;
    loop {
        let mut query = vec![("limit", "200".to_owned())];
        query.extend(target.state.cursor.clone().map(|cursor| ("page_token", cursor)));
        let answer = api.ask(Method::GET, &["grants", &id, "export"], &query, None).await?;
        let cursor = answer.cursor();
        let data = answer.data();
        let page = data.as_array().map(Vec::as_slice).unwrap_or_default();
        for one in page {
            target.write(&message(one)?).map_err(local)?;
        }
        target.reached(cursor).map_err(local)?;
        session.progress(&format!("{} messages", target.state.messages));
        if page.is_empty() {
            break;
        }
    }
    session.end_progress();
    let (written, all) = (target.state.messages - before, target.state.messages);
    if session.is_json() {
        return session.print_json(&json!({"written_messages": written, "messages": all, "path": path}));
    }
    session.print(&format!("{written} messages written, {all} are in {path}\n"))
}

fn message(value: &Value) -> Result<Message, Failure> {
    let foreign = || Failure::Local("the server's answer has no message".to_owned());
    let raw = URL_SAFE.decode(value["raw_mime"].as_str().ok_or_else(foreign)?).map_err(|_| foreign())?;
    Ok(Message {
        folder: value["folder"].as_str().unwrap_or_default().to_owned(),
        received_at: value["received_at"].as_i64(),
        unread: value["unread"] == true,
        starred: value["starred"] == true,
        octets: raw.len() as u64,
        raw,
    })
}
