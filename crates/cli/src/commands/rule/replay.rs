//! `postfleet rule replay`: what a changed rule or list would have changed for the mail of the past. Nothing is sent or
//! kept. The interface judges a page at a time; here the pages are added up.

use super::super::names::{LIST, RULE, WORKSPACE};
use super::test::{name_lists, read_file};
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, counted, grid, parse_time, table, time};
use crate::session::Session;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Examples that are kept of each row.
const EXAMPLES_MAX: usize = 3;

/// Which mail, and what is to be different.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("change").args(["rule", "new_rule", "list", "changes"]).required(true).multiple(true))]
pub struct Replay {
    /// Mail from then on: a length of time until now such as 7d, 12h, 30m; a time or a date
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_since)]
    since: Since,
    /// Mail before then: a time or a date; now, if not given
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<i64>,
    /// Only mail of mailboxes in this workspace: id, name or domain; new rules are to judge it
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    /// The rule that is to be different: id or name
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// A file with what is to be different about the rule, JSON or YAML; what it does not name stays; - is the standard
    /// input
    #[arg(long, value_name = "FILE", requires = "rule", conflicts_with = "delete")]
    data_file: Option<String>,
    /// The rule is to be enabled
    #[arg(long, requires = "rule", conflicts_with_all = ["disable", "delete"])]
    enable: bool,
    /// The rule is to be disabled
    #[arg(long, requires = "rule", conflicts_with = "delete")]
    disable: bool,
    /// Whether the rule is to act, or only to be evaluated
    #[arg(long, requires = "rule", conflicts_with = "delete", value_parser = ["enforce", "shadow"])]
    mode: Option<String>,
    /// The rule is to be gone
    #[arg(long, requires = "rule")]
    delete: bool,
    /// A workspace that is to use the rule, and no other than those: id, name or domain; may be given several times
    #[arg(long, value_name = "WORKSPACE", requires = "rule", conflicts_with = "delete")]
    attach: Vec<String>,
    /// A file with a rule that is to be made, or a list of them, JSON or YAML; - is the standard input
    #[arg(long, value_name = "FILE")]
    new_rule: Option<String>,
    /// The list that is to be different: id or name
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    /// A value that the list is to have; may be given several times
    #[arg(long, value_name = "VALUE", requires = "list")]
    add: Vec<String>,
    /// A value that the list is not to have; may be given several times
    #[arg(long, value_name = "VALUE", requires = "list")]
    remove: Vec<String>,
    /// A file with several changes, in the words of the interface: rules and lists, JSON or YAML; - is the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rule", "new_rule", "list"])]
    changes: Option<String>,
    /// End with 4 where anything would have been different
    #[arg(long)]
    exit_code: bool,
}

/// Where the time begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So many seconds before the end.
    Last(i64),
    /// Unix seconds.
    At(i64),
}

fn parse_since(text: &str) -> Result<Since, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        Some('w') => 7 * 86_400,
        _ => return parse_time(text).map(Since::At).map_err(|text| format!("{text}, or a length such as 7d")),
    };
    let number: Option<i64> = text[..text.len() - 1].parse().ok().filter(|number| *number >= 1);
    let seconds = number.and_then(|number| number.checked_mul(unit));
    seconds.map(Since::Last).ok_or_else(|| "a length of time is a number with s, m, h, d or w, such as 7d".to_owned())
}

const COUNTS: [(&str, &str); 7] = [
    ("changed", "/counts/changed"),
    ("blocked", "/counts/newly_blocked"),
    ("passes", "/counts/no_longer_blocked"),
    ("undecidable", "/counts/undecidable"),
    ("other actions", "/counts/actions_changed"),
    ("matched", "/counts/newly_matched"),
    ("not matched", "/counts/no_longer_matched"),
];

/// Runs it.
pub async fn run(arguments: Replay, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut body = Map::new();
    let exit_code = arguments.exit_code;
    match arguments.since {
        Since::At(at) => body.insert("since".to_owned(), json!(at)),
        Since::Last(seconds) => body.insert("last_seconds".to_owned(), json!(seconds)),
    };
    if let Some(until) = arguments.until {
        body.insert("until".to_owned(), json!(until));
    }
    if let Some(workspace) = &arguments.workspace {
        body.insert("workspace_id".to_owned(), json!(WORKSPACE.id(api, workspace).await?));
    }
    let changes = changes(arguments, api, session).await?;
    body.insert("changes".to_owned(), changes);
    let whole = pages(body, api).await?;
    let changed = whole["totals"]["changed"].as_u64().unwrap_or_default();
    if session.is_json() {
        session.print_json(&whole)?;
    } else {
        show(&whole, session)?;
    }
    match changed {
        1.. if exit_code => Err(Failure::Found(format!("{} would have been different", messages(changed)))),
        _ => Ok(()),
    }
}

async fn changes(arguments: Replay, api: &Api, session: &mut Session<'_, '_>) -> Result<Value, Failure> {
    if let Some(path) = &arguments.changes {
        return read_file(path, &session.read(path)?);
    }
    let (mut rules, mut lists) = (Vec::new(), Vec::new());
    if let Some(rule) = &arguments.rule {
        rules.push(rule_change(rule, &arguments, api, session).await?);
    }
    if let Some(path) = &arguments.new_rule {
        let mut wanted = match read_file(path, &session.read(path)?)? {
            Value::Array(rules) => Value::Array(rules),
            rule => json!([rule]),
        };
        name_lists(&mut wanted, api).await?;
        rules.extend(wanted.as_array().into_iter().flatten().map(|rule| json!({"rule": rule})));
    }
    if let Some(list) = &arguments.list {
        let id = LIST.id(api, list).await?;
        lists.push(json!({"list_id": id, "add": arguments.add, "remove": arguments.remove}));
    }
    Ok(json!({"rules": rules, "lists": lists}))
}

async fn rule_change(
    rule: &str,
    arguments: &Replay,
    api: &Api,
    session: &mut Session<'_, '_>,
) -> Result<Value, Failure> {
    let mut change = json!({"rule_id": RULE.id(api, rule).await?});
    if arguments.delete {
        change["remove"] = json!(true);
        return Ok(change);
    }
    let mut wanted = match &arguments.data_file {
        Some(path) => match read_file(path, &session.read(path)?)? {
            Value::Object(wanted) => wanted,
            _ => return Err(Failure::Usage(format!("{path} must have one rule, or what is to be different about it"))),
        },
        None => Map::new(),
    };
    if arguments.enable || arguments.disable {
        wanted.insert("enabled".to_owned(), json!(arguments.enable));
    }
    if let Some(mode) = &arguments.mode {
        wanted.insert("mode".to_owned(), json!(mode));
    }
    if !wanted.is_empty() {
        let mut one = json!([wanted]);
        name_lists(&mut one, api).await?;
        change["rule"] = one[0].take();
    }
    if !arguments.attach.is_empty() {
        let mut ids = Vec::new();
        for workspace in &arguments.attach {
            ids.push(WORKSPACE.id(api, workspace).await?);
        }
        change["workspace_ids"] = json!(ids);
    }
    if change.get("rule").is_none() && change.get("workspace_ids").is_none() {
        let text = "nothing is to be different about the rule: give --data-file, --enable, --disable, --mode, --delete \
                    or --attach";
        return Err(Failure::Usage(text.to_owned()));
    }
    Ok(change)
}

/// Asks for page after page, and adds them up.
async fn pages(mut body: Map<String, Value>, api: &Api) -> Result<Value, Failure> {
    let mut sum = Sum::default();
    loop {
        let mut page = api.post(&["rules", "replay"], &Value::Object(body.clone())).await?.data();
        let cursor = page["next_cursor"].take();
        // The time of the first page holds for all.
        body.remove("last_seconds");
        body.insert("since".to_owned(), page["since"].clone());
        body.insert("cursor".to_owned(), cursor.clone());
        sum.add(page);
        if cursor.is_null() {
            return Ok(sum.whole);
        }
    }
}

/// What pages come to.
#[derive(Default)]
struct Sum {
    /// In the shape of a page.
    whole: Value,
    /// Where in the lists the row of a mailbox or rule is.
    places: HashMap<String, usize>,
}

impl Sum {
    fn add(&mut self, mut page: Value) {
        let lists = ["accounts", "rules"].map(|list| (list, page[list].take()));
        if self.whole.is_null() {
            self.whole = page;
            lists.iter().for_each(|(list, _)| self.whole[*list] = json!([]));
        } else {
            ["judged", "unreadable", "totals"].iter().for_each(|name| add(&mut self.whole[*name], &page[*name]));
        }
        for (list, rows) in lists {
            let Some(all) = self.whole[list].as_array_mut() else { continue };
            for row in rows.as_array().into_iter().flatten() {
                let key = format!("{} {} {}", row["grant_id"], row["rule_id"], row["change"]);
                let place = *self.places.entry(key).or_insert(all.len());
                match all.get_mut(place) {
                    Some(known) => add_row(known, row),
                    None => all.push(row.clone()),
                }
            }
        }
    }
}

fn add_row(known: &mut Value, row: &Value) {
    add(&mut known["counts"], &row["counts"]);
    if let (Some(all), Some(more)) = (known["examples"].as_array_mut(), row["examples"].as_array()) {
        all.extend(more.iter().cloned());
        all.truncate(EXAMPLES_MAX);
    }
}

/// Adds numbers, or the numbers of objects.
fn add(sum: &mut Value, more: &Value) {
    match (&mut *sum, more) {
        (Value::Object(sum), Value::Object(more)) => {
            more.iter().for_each(|(name, more)| add(sum.entry(name).or_insert(json!(0)), more));
        }
        _ => *sum = json!(sum.as_u64().unwrap_or_default() + more.as_u64().unwrap_or_default()),
    }
}

fn show(whole: &Value, session: &mut Session<'_, '_>) -> Outcome {
    let number = |name: &str| whole[name].as_u64().unwrap_or_default();
    let totals = |name: &str| messages(whole["totals"][name].as_u64().unwrap_or_default());
    let at = |name: &str| time(whole[name].as_i64().unwrap_or_default());
    let mut rows = vec![
        ("from", at("since")),
        ("until", at("until")),
        ("judged", messages(number("judged"))),
        ("different", totals("changed")),
        ("newly blocked", totals("newly_blocked")),
        ("not blocked any more", totals("no_longer_blocked")),
        ("not decidable any more", totals("undecidable")),
        ("with other actions", totals("actions_changed")),
    ];
    if number("unreadable") > 0 {
        rows.push(("not readable", messages(number("unreadable"))));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    session.print(&grid(None, &rows, &[]))?;
    let counts = COUNTS.map(|(title, path)| Column(title, path, Kind::Count));
    let id = [Column("id", "/rule_id", Kind::Text)];
    for (list, name, last) in
        [("accounts", Column("mailbox", "/email", Kind::Text), &[][..]), ("rules", RULE_NAME, &id[..])]
    {
        let rows = whole[list].as_array().map_or(&[][..], Vec::as_slice);
        if !rows.is_empty() {
            let columns: Vec<Column> = [name].iter().chain(&counts).chain(last).copied().collect();
            session.print("\n")?;
            session.print_table(&table(&columns, rows))?;
        }
    }
    Ok(())
}

const RULE_NAME: Column = Column("rule", "/name", Kind::Text);

fn messages(number: u64) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), "message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_begins_at_a_length_or_at_a_time() {
        let lengths = [("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)];
        for (text, seconds) in lengths {
            assert_eq!(parse_since(text), Ok(Since::Last(seconds)), "{text}");
        }
        assert_eq!(parse_since("1772445600"), Ok(Since::At(1_772_445_600)));
        assert_eq!(parse_since("2026-03-02"), Ok(Since::At(1_772_409_600)));
        for bad in ["", "d", "0d", "-1d", "7 d", "7y", "9223372036854775807w"] {
            assert!(parse_since(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_are_added_up() {
        let counts = |number: u64| json!({"changed": number, "newly_blocked": 1});
        let row = |grant: &str, number: u64| json!({"grant_id": grant, "counts": counts(number), "examples": [number, number]});
        let rule =
            |id: Value, change: u64| json!({"rule_id": id, "change": change, "counts": counts(1), "examples": []});
        let page = |accounts: Value, rules: Value| {
            json!({"judged": 10, "unreadable": 0, "totals": counts(3),
            "accounts": accounts, "rules": rules})
        };
        let mut sum = Sum::default();
        sum.add(page(json!([row("a", 1)]), json!([rule(Value::Null, 0), rule(json!("r"), 1)])));
        sum.add(page(json!([row("b", 2), row("a", 4)]), json!([rule(Value::Null, 2), rule(json!("r"), 1)])));
        let whole = sum.whole;
        assert_eq!((&whole["judged"], &whole["totals"]), (&json!(20), &json!({"changed": 6, "newly_blocked": 2})));
        let first = &whole["accounts"][0];
        assert_eq!((&first["counts"]["changed"], &first["examples"]), (&json!(5), &json!([1, 1, 4])));
        assert_eq!(whole["accounts"].as_array().map(Vec::len), Some(2));
        assert_eq!(whole["rules"].as_array().map(Vec::len), Some(3), "new rules are apart");
        assert_eq!(whole["rules"][1]["counts"]["changed"], json!(2));
    }
}
