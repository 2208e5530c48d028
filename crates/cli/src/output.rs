//! What commands show: tables for people, and the interface's own data for programs.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::Value;

/// How a value is shown to people.
#[derive(Clone, Copy)]
pub enum Kind {
    /// As it is; nothing is `-`.
    Text,
    /// Seconds as a date; nothing is `never`.
    Time,
    /// `yes` or `no`.
    Flag,
    /// A number; -1 is unlimited.
    Count,
    /// How many things are in a list.
    Length,
    /// A list of what is allowed; an empty one allows anything.
    Allowed,
}

/// A column of a table, or a line of one thing: its title and where the value is.
#[derive(Clone, Copy)]
pub struct Column(pub &'static str, pub &'static str, pub Kind);

/// A table of things. Without things there is nothing but its head.
pub fn table(columns: &[Column], things: &[Value]) -> String {
    let titles = columns.iter().map(|Column(title, ..)| title.to_uppercase()).collect::<Vec<_>>();
    let cells = |thing: &Value| columns.iter().map(|column| column.show(thing)).collect();
    let rows: Vec<Vec<String>> = things.iter().map(cells).collect();
    let numbers: Vec<bool> = columns.iter().map(|column| matches!(column.2, Kind::Count | Kind::Length)).collect();
    grid(Some(titles), &rows, &numbers)
}

/// One thing, a line for each value.
pub fn record(columns: &[Column], thing: &Value) -> String {
    let rows: Vec<Vec<String>> = columns.iter().map(|column| vec![column.0.to_owned(), column.show(thing)]).collect();
    grid(None, &rows, &[])
}

/// Rows whose columns stand below each other; those that are numbers end at the same place.
pub fn grid(titles: Option<Vec<String>>, rows: &[Vec<String>], numbers: &[bool]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(titles) = titles {
        table.set_header(aligned(titles, numbers));
    }
    for row in rows {
        table.add_row(aligned(row.clone(), numbers));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

fn aligned(texts: Vec<String>, numbers: &[bool]) -> Vec<Cell> {
    let cell = |(index, text): (usize, String)| {
        let is_number = numbers.get(index).copied().unwrap_or(false);
        Cell::new(printable(&text)).set_alignment(if is_number { CellAlignment::Right } else { CellAlignment::Left })
    };
    texts.into_iter().enumerate().map(cell).collect()
}

/// Without characters that would move the cursor or colour the screen: what is shown was written by others.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl Column {
    fn show(self, thing: &Value) -> String {
        let value = thing.pointer(self.1).unwrap_or(&Value::Null);
        match (self.2, value) {
            (Kind::Time, Value::Null) => "never".to_owned(),
            (Kind::Time, value) => value.as_i64().map_or_else(|| plain(value), time),
            (Kind::Flag, Value::Bool(true)) => "yes".to_owned(),
            (Kind::Flag, Value::Bool(false)) => "no".to_owned(),
            (Kind::Count, value) => count(value),
            (Kind::Allowed, Value::Array(list)) if list.is_empty() => "any".to_owned(),
            (Kind::Length, Value::Array(list)) => list.len().to_string(),
            (_, value) => plain(value),
        }
    }
}

/// A number of which -1 says that there is no limit.
pub fn count(value: &Value) -> String {
    if value.as_i64() == Some(-1) { "unlimited".to_owned() } else { plain(value) }
}

/// A value in a word or a few.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A number of things: `1 workspace`, `2 workspaces`.
pub fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Seconds as a date and time of day, UTC.
pub fn time(seconds: i64) -> String {
    let Ok(timestamp) = Timestamp::from_second(seconds) else { return seconds.to_string() };
    timestamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Reads a time: seconds, a date, or a date with a time of day and its zone.
pub fn parse_time(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(seconds);
    }
    let date = text.parse::<jiff::civil::Date>();
    let midnight = date.ok().and_then(|date| format!("{date}T00:00:00Z").parse::<Timestamp>().ok());
    let timestamp = text.parse::<Timestamp>().ok().or(midnight);
    timestamp.map(Timestamp::as_second).ok_or_else(|| {
        "a time is seconds since 1970, a date (2026-03-02), or a date with time and zone (2026-03-02T10:00:00Z)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_show_what_people_read() {
        let columns = [
            Column("name", "/name", Kind::Text),
            Column("made", "/at", Kind::Time),
            Column("cap", "/cap", Kind::Count),
            Column("on", "/on", Kind::Flag),
            Column("items", "/items", Kind::Length),
        ];
        let things = [
            json!({"name": "a\u{1b}[31m", "at": 1_772_445_600, "cap": -1, "on": true, "items": [1, 2]}),
            json!({"name": null, "at": null, "cap": 20, "on": false, "items": []}),
        ];
        let expected = "NAME    MADE                           CAP  ON   ITEMS\n\
                        a\u{fffd}[31m  2026-03-02 10:00:00 UTC  unlimited  yes      2\n\
                        -       never                           20  no       0\n";
        assert_eq!(table(&columns, &things), expected);
        assert_eq!(record(&columns[..1], &things[0]), "name  a\u{fffd}[31m\n");
    }

    #[test]
    fn times_are_read_in_three_ways() {
        assert_eq!(parse_time("1772445600"), Ok(1_772_445_600));
        assert_eq!(parse_time("2026-03-02T10:00:00Z"), Ok(1_772_445_600));
        assert_eq!(parse_time("2026-03-02"), Ok(1_772_409_600));
        assert!(parse_time("yesterday").is_err());
    }
}
