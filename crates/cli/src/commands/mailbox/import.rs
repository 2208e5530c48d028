//! `postfleet mailbox import`: files are read here, and sent to the interface as lines, some messages at a time.

use super::COLUMNS;
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::mail_files::read::Source;
use crate::mail_files::{Format, MESSAGE_OCTETS_MAX, Message};
use crate::output::record;
use crate::session::Session;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Octets of a request, though never less than a message.
const REQUEST_OCTETS: usize = 4 << 20;

/// Where from.
#[derive(clap::Args)]
pub struct Arguments {
    /// The mailbox, by its address or id
    #[arg(value_name = "EMAIL|ID")]
    agent: String,
    /// The file, or the folder with files
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// How mail is kept there
    #[arg(long, value_enum)]
    format: Format,
    /// Where messages go whose file does not name a folder
    #[arg(long, value_name = "FOLDER", default_value = "inbox")]
    folder: String,
    /// Announces each message to webhooks as if it had just come in
    #[arg(long)]
    announce: bool,
    /// Goes on with an import that was interrupted
    #[arg(long, value_name = "IMPORT", conflicts_with = "announce")]
    resume: Option<String>,
}

/// Runs it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    let path = arguments.path.display().to_string();
    let local = |error: std::io::Error| Failure::Local(format!("{path}: {error}"));
    let mut source = Source::find(&arguments.path, arguments.format, &arguments.folder).map_err(local)?;
    let import = begin(&arguments, &api, &source).await?;
    let id = import["id"].as_str().unwrap_or_default().to_owned();
    session.note(&format!("import {id}; should it be interrupted: the same command with --resume {id}"));
    let mut last = import;
    let (mut position, mut lines, mut first) = (0, String::new(), last["position"].as_u64().unwrap_or(0));
    let done = first;
    loop {
        let message = source.message().map_err(local)?;
        let is_last = message.is_none();
        if let Some(message) = message {
            position += 1;
            if position <= done {
                continue;
            }
            if message.octets > MESSAGE_OCTETS_MAX as u64 {
                session.warn(&format!("message {} has {} bytes and is passed over", position - 1, message.octets));
            }
            lines.push_str(&line(&message));
        }
        if is_last || lines.len() >= REQUEST_OCTETS {
            let path = ["grants", &arguments.agent, "imports", &id, "messages"];
            let query = [("position", first.to_string()), ("last", is_last.to_string())];
            let body = std::mem::take(&mut lines).into_bytes();
            last = api.post_text(&path, &query, "application/x-ndjson", body).await?.data();
            first = last["position"].as_u64().unwrap_or(first);
            session.progress(&format!("{first} messages"));
            if let Some(reason) = last["reason"].as_str() {
                session.end_progress();
                let text = format!("{first} messages are done, then: {reason}; make room, then --resume {id}");
                return Err(Failure::Partly(text));
            }
        }
        if is_last {
            break;
        }
    }
    session.end_progress();
    if session.is_json() {
        return session.print_json(&last);
    }
    for skipped in last["skipped"].as_array().into_iter().flatten() {
        session.note(&format!("message {} was passed over: {}", skipped["position"], skipped["message"]));
    }
    session.print_table(&record(COLUMNS, &last))
}

/// The import: a new one, or the one that was interrupted.
async fn begin(arguments: &Arguments, api: &Api, source: &Source) -> Result<Value, Failure> {
    let of_mailbox = ["grants", &arguments.agent, "imports"];
    let Some(id) = &arguments.resume else {
        let body = json!({"source": source.describe(), "announce": arguments.announce});
        return Ok(api.post(&of_mailbox, &body).await?.data());
    };
    let import = api.get(&[of_mailbox[0], of_mailbox[1], of_mailbox[2], id]).await?.data();
    if import["source"] != source.describe() {
        // Messages are counted: another source would go on somewhere else.
        let text = format!("the import was of \"{}\", and this is \"{}\"", import["source"], source.describe());
        return Err(Failure::Usage(text));
    }
    Ok(import)
}

fn line(message: &Message) -> String {
    let value = json!({
        "folder": message.folder,
        "received_at": message.received_at,
        "unread": message.unread,
        "starred": message.starred,
        "raw_mime": URL_SAFE.encode(&message.raw),
    });
    format!("{value}\n")
}
