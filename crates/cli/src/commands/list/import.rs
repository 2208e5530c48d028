//! Many items from a file. Plain lines go in pieces, so that something can be told on the way; to import one again is
//! harmless. What replaces a list, and what has columns, goes in one request.

use super::super::names::LIST;
use super::One;
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, counted, plain, table};
use crate::session::Session;
use serde_json::{Value, json};

/// Lines of one request, where there may be several.
const LINES_AT_ONCE: usize = 20_000;

/// Refusals that are shown, as many as one answer has.
const REFUSALS_SHOWN: usize = 100;

/// Filling one.
#[derive(clap::Args)]
pub struct Import {
    #[command(flatten)]
    one: One,
    /// A file with an item in each line, or with items in the first column if its name ends in .csv; - is the standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: String,
    /// Also remove what the file does not have; nothing is removed if a line of it is refused
    #[arg(long)]
    replace: bool,
}

/// Puts the items into the list, and says which lines were refused.
pub async fn run(arguments: Import, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let Import { one, file, replace } = arguments;
    let text = session.read(&file)?;
    let id = LIST.id(api, &one.list).await?;
    let has_columns = file.to_lowercase().ends_with(".csv");
    let (mode, kind) = (if replace { "replace" } else { "add" }, if has_columns { "text/csv" } else { "text/plain" });
    let at_once = if replace || has_columns { usize::MAX } else { LINES_AT_ONCE };
    let lines = text.lines().count();
    let mut all = json!({"lines": 0, "added": 0, "already_there": 0, "removed": 0, "refused": 0, "refusals": []});
    let mut done = 0;
    for piece in pieces(&text, at_once) {
        let query = [("mode", mode.to_owned())];
        let answer = match api.post_text(&["lists", &id, "import"], &query, kind, piece.as_bytes().to_vec()).await {
            Ok(answer) => answer.data(),
            Err(failure) => {
                session.end_progress();
                if done > 0 {
                    session.note(&format!("the first {done} of {lines} lines were looked at; import the file again"));
                }
                return Err(failure);
            }
        };
        add(&mut all, answer, done);
        done += piece.lines().count();
        session.progress(&format!("{done} of {}", counted(lines, "line")));
    }
    session.end_progress();
    show(all, &one.list, session)
}

/// Adds an answer about the lines after the first `before`.
fn add(all: &mut Value, answer: Value, before: usize) {
    for field in ["lines", "added", "already_there", "removed", "refused"] {
        all[field] = json!(all[field].as_u64().unwrap_or(0) + answer[field].as_u64().unwrap_or(0));
    }
    if let Some(refusals) = all["refusals"].as_array_mut() {
        let room = REFUSALS_SHOWN.saturating_sub(refusals.len());
        for mut refusal in answer["refusals"].as_array().cloned().unwrap_or_default().into_iter().take(room) {
            refusal["line"] = json!(refusal["line"].as_u64().unwrap_or(0) + before as u64);
            refusals.push(refusal);
        }
    }
    all["list"] = answer["list"].clone();
    all["mode"] = answer["mode"].clone();
}

const REFUSED: &[Column] = &[Column("line", "/line", Kind::Count), Column("why", "/reason", Kind::Text)];

fn show(all: Value, name: &str, session: &mut Session<'_, '_>) -> Outcome {
    let refused = all["refused"].as_u64().unwrap_or(0);
    if session.is_json() {
        session.print_json(&all)?;
    } else {
        let counts = [("added", "added"), ("already_there", "there already"), ("removed", "removed")];
        let counts = counts.map(|(field, words)| format!("{} {words}", plain(&all[field])));
        session.print(&format!("{}; {name} has {}\n", counts.join(", "), super::items_of(&all["list"])))?;
        let refusals = all["refusals"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !refusals.is_empty() {
            session.print("\n")?;
            session.print_table(&table(REFUSED, refusals))?;
        }
    }
    let lines = counted(all["lines"].as_u64().unwrap_or(0) as usize, "line");
    if refused > 0 { Err(Failure::Partly(format!("{refused} of {lines} were refused"))) } else { Ok(()) }
}

/// Pieces of whole lines; an empty text is one piece, too.
fn pieces(text: &str, lines: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.match_indices('\n').nth(lines.saturating_sub(1)).map_or(rest.len(), |(at, _)| at + 1);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
        if rest.is_empty() {
            return pieces;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines() {
        assert_eq!(pieces("a\nb\nc\nd", 2), ["a\nb\n", "c\nd"]);
        assert_eq!(pieces("a\nb\n", 2), ["a\nb\n"]);
        assert_eq!(pieces("a\nb\n", usize::MAX), ["a\nb\n"]);
        assert_eq!(pieces("", 2), [""]);
    }

    #[test]
    fn refusals_are_counted_in_the_file() {
        let mut all = json!({"lines": 0, "refused": 0, "refusals": []});
        let answer =
            json!({"lines": 2, "refused": 1, "refusals": [{"line": 2, "reason": "no"}], "list": {}, "mode": "add"});
        add(&mut all, answer.clone(), 0);
        add(&mut all, answer, 2);
        assert_eq!((&all["lines"], &all["refused"]), (&json!(4), &json!(2)));
        assert_eq!(all["refusals"], json!([{"line": 2, "reason": "no"}, {"line": 4, "reason": "no"}]));
    }
}
