//! The words for programs in errors, as docs/reference/errors.md has them: its table is the one place where they are
//! described, and a test of the documents compares it with the sources.

const DOCUMENT: &str = include_str!("../../../../docs/reference/errors.md");

/// A word in `error.code`.
pub(super) struct Code {
    pub(super) name: &'static str,
    statuses: Vec<u16>,
    pub(super) text: &'static str,
}

/// All words, in the order of the table.
pub(super) fn all() -> Vec<Code> {
    DOCUMENT.lines().filter_map(row).collect()
}

/// The words that go with a status.
pub(super) fn with_status(status: u16) -> Vec<Code> {
    all().into_iter().filter(|code| code.statuses.contains(&status)).collect()
}

/// "| `not_found` | 404 | no such object for this caller |"; other rows have more cells or no status of HTTP.
fn row(line: &'static str) -> Option<Code> {
    let line = line.strip_prefix("| `")?.strip_suffix(" |")?;
    let (name, rest) = line.split_once("` | ")?;
    let (statuses, text) = rest.split_once(" | ")?;
    let statuses: Vec<u16> = statuses.split(", ").filter_map(|status| status.parse().ok()).collect();
    let is_word = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.'));
    let is_code = is_word && !text.contains(" | ") && !statuses.is_empty();
    is_code.then_some(Code { name, statuses, text })
}
