//! `postfleet suppression`: addresses that are not written to, and looking at addresses before anything is.

use super::body::put;
use super::list::items;
use super::{Consent, Pages};
use crate::client::{Answer, Api, Things};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value, json};

/// How many addresses one request takes.
const AT_ONCE: usize = 1_000;

const REASONS: [&str; 5] = ["hard_bounce", "complaint", "unsubscribe", "manual", "invalid"];

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists the addresses that are not written to, newest first
    List(All),
    /// Shows why an address is not written to
    #[command(visible_alias = "show")]
    Get(One),
    /// Stops writing to addresses
    Add(Add),
    /// Stops writing to the addresses of a file: address, address,reason or address,reason,expires in each line
    Import(Import),
    /// Writes to an address again
    #[command(visible_alias = "delete")]
    Remove(Remove),
    /// Shows which of some addresses are not written to
    Check(Addresses),
    /// Looks at addresses before anything is sent to them: syntax, domain, mailbox, hints
    Validate(Addresses),
}

/// Which to list.
#[derive(clap::Args)]
pub struct All {
    /// Only those with this reason
    #[arg(long, value_parser = REASONS)]
    reason: Option<String>,
    /// Only addresses at this domain
    #[arg(long)]
    domain: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// An address.
#[derive(clap::Args)]
pub struct One {
    /// The address
    address: String,
}

/// Addresses.
#[derive(clap::Args)]
pub struct Addresses {
    /// The addresses
    #[arg(value_name = "ADDRESS", required_unless_present = "file")]
    addresses: Vec<String>,
    /// A file with an address in each line; - is the standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<String>,
}

/// Addresses that are added.
#[derive(clap::Args)]
pub struct Add {
    #[command(flatten)]
    addresses: Addresses,
    /// Why; manual if it is not said
    #[arg(long, value_parser = REASONS)]
    reason: Option<String>,
    /// What is noted with each
    #[arg(long)]
    note: Option<String>,
    /// When it ends, in unix seconds
    #[arg(long, value_name = "TIME")]
    expires_at: Option<i64>,
}

/// A file of addresses.
#[derive(clap::Args)]
pub struct Import {
    /// The file; - is the standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// Why, where a line does not say it; manual if it is not said
    #[arg(long, value_parser = REASONS)]
    reason: Option<String>,
    /// The file is plain text, in which a # behind a space begins a comment; otherwise it is CSV
    #[arg(long)]
    plain: bool,
}

/// An address that is removed.
#[derive(clap::Args)]
pub struct Remove {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

const COLUMNS: &[Column] = &[
    Column("address", "/address", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("source", "/source", Kind::Text),
    Column("since", "/created_at", Kind::Time),
    Column("ends", "/expires_at", Kind::Time),
    Column("note", "/note", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("address", "/address", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("source", "/source", Kind::Text),
    Column("note", "/note", Kind::Text),
    Column("mailbox", "/grant_id", Kind::Text),
    Column("message", "/message_id", Kind::Text),
    Column("since", "/created_at", Kind::Time),
    Column("ends", "/expires_at", Kind::Time),
];

const CHECKED: &[Column] = &[
    Column("address", "/address", Kind::Text),
    Column("suppressed", "/suppressed", Kind::Flag),
    Column("reason", "/reason", Kind::Text),
    Column("since", "/created_at", Kind::Time),
];

const VALIDATED: &[Column] = &[
    Column("address", "/address", Kind::Text),
    Column("verdict", "/verdict", Kind::Text),
    Column("findings", "/findings", Kind::Text),
    Column("suggestion", "/suggestion", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List(All { reason, domain, pages }) => {
            let filters = [("reason", reason), ("domain", domain)];
            let filters: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let things = api.list(&["suppressions"], &filters, pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { address }) => {
            let answer = api.get(&["suppressions", &address]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Add(arguments) => add(arguments, &api, session).await,
        Verb::Import(arguments) => import(arguments, &api, session).await,
        Verb::Remove(Remove { one: One { address }, consent }) => {
            session.confirm(consent.yes, &format!("write to {address} again"))?;
            let answer = api.delete(&["suppressions", &address]).await?;
            session.done(&format!("{address} is written to again"), answer)
        }
        Verb::Check(addresses) => ask(addresses, &["suppressions", "check"], CHECKED, &api, session).await,
        Verb::Validate(addresses) => ask(addresses, &["addresses", "validate"], VALIDATED, &api, session).await,
    }
}

async fn add(arguments: Add, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let addresses = read(arguments.addresses, session)?;
    let mut total = Total::default();
    for (index, chunk) in addresses.chunks(AT_ONCE).enumerate() {
        let mut body = Map::new();
        put(&mut body, "addresses", Some(chunk.to_vec()));
        put(&mut body, "reason", arguments.reason.clone());
        put(&mut body, "note", arguments.note.clone());
        put(&mut body, "expires_at", arguments.expires_at);
        match api.post(&["suppressions"], &Value::Object(body)).await {
            Ok(answer) => total.count(&answer.body["data"]),
            Err(failure) => {
                if index > 0 {
                    session.note(&format!("the first {} of {} addresses were taken", index * AT_ONCE, addresses.len()));
                }
                return Err(failure);
            }
        }
    }
    let Total { added, changed, unchanged } = total;
    let sentence = format!("{added} added, {changed} changed, {unchanged} as they were");
    let data = json!({"added": added, "changed": changed, "unchanged": unchanged});
    session.done(&sentence, Answer { body: json!({ "data": data }) })
}

/// Sends a file in pieces of whole lines, none of which takes long, and counts what they did.
async fn import(arguments: Import, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let text = session.read_octets(&arguments.file)?;
    let kind = if arguments.plain { "text/plain" } else { "text/csv" };
    let query: Vec<_> = arguments.reason.into_iter().map(|reason| ("reason", reason)).collect();
    let mut total = Total::default();
    let (mut refused, mut refusals) = (0, Vec::new());
    let mut lines_before = 0;
    for piece in pieces(&text) {
        let answer = match api.post_text(&["suppressions", "import"], &query, kind, piece.to_vec()).await {
            Ok(answer) => answer,
            Err(failure) => {
                if lines_before > 0 {
                    session.note(&format!("the first {lines_before} lines were taken"));
                }
                return Err(failure);
            }
        };
        let data = answer.data();
        total.count(&data);
        refused += data["refused"].as_u64().unwrap_or(0);
        for refusal in data["refusals"].as_array().into_iter().flatten() {
            let line = lines_before + refusal["line"].as_u64().unwrap_or(0);
            refusals.push(json!({"line": line, "reason": refusal["reason"]}));
        }
        lines_before += piece.iter().filter(|octet| **octet == b'\n').count() as u64;
    }
    if !session.is_json() {
        for refusal in &refusals {
            let reason = refusal["reason"].as_str().unwrap_or_default();
            session.warn(&format!("line {}: {reason}", refusal["line"]));
        }
    }
    let Total { added, changed, unchanged } = total;
    let sentence = format!("{added} added, {changed} changed, {unchanged} as they were, {refused} refused");
    let data = json!({"added": added, "changed": changed, "unchanged": unchanged, "refused": refused,
        "refusals": refusals});
    session.done(&sentence, Answer { body: json!({ "data": data }) })
}

/// A text in pieces that end where a line ends.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    const OCTETS: usize = 1 << 20;
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let begin = OCTETS.min(rest.len());
        let end = rest[begin..].iter().position(|octet| *octet == b'\n').map_or(rest.len(), |at| begin + at + 1);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// What all requests did together.
#[derive(Default)]
struct Total {
    added: u64,
    changed: u64,
    unchanged: u64,
}

impl Total {
    fn count(&mut self, data: &Value) {
        let number = |field: &str| data[field].as_u64().unwrap_or(0);
        self.added += number("added");
        self.changed += number("changed");
        self.unchanged += number("unchanged");
    }
}

/// Asks about addresses, as many at once as the interface takes, and shows all answers as one list.
async fn ask(
    arguments: Addresses,
    path: &[&str],
    columns: &[Column],
    api: &Api,
    session: &mut Session<'_, '_>,
) -> Outcome {
    let addresses = read(arguments, session)?;
    let mut items = Vec::with_capacity(addresses.len());
    for chunk in addresses.chunks(AT_ONCE) {
        let answer = api.post(path, &json!({ "addresses": chunk })).await?;
        items.extend(answer.body["data"].as_array().cloned().unwrap_or_default());
    }
    session.show_list(columns, Things { items, has_more: false })
}

fn read(arguments: Addresses, session: &mut Session<'_, '_>) -> Result<Vec<String>, Failure> {
    let addresses = items(arguments.addresses, arguments.file.as_deref(), session)?;
    if addresses.is_empty() {
        return Err(Failure::Usage("no addresses: name some, or a file that has some".to_owned()));
    }
    Ok(addresses)
}
