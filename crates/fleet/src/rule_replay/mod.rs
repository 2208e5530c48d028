//! Judging mail of the past by the rules and lists as they are, and as they would be after a change. A request looks at
//! a bounded number of messages, a little at a time; nothing is written.

mod changes;
mod tally;

pub use changes::check_objects;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use changes::Changes;
use postfleet_core::id::{ApplicationId, RuleId, WorkspaceId};
use postfleet_core::rule::validate::NamedRule;
use postfleet_core::rule::{Rule, difference};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::rule_replay as schema;
use postfleet_store::judging::{Anew, Sides};
use postfleet_store::past::{self, Past, Span};
use postfleet_store::{Reader, Store, grants, rules, workspaces};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use tally::Tally;
use uuid::Uuid;

/// Messages that one request may look at.
pub const LIMIT_MAX: usize = 100_000;

/// Messages that one looks at that does not say how many.
pub const LIMIT_DEFAULT: usize = 50_000;

/// Mailboxes that one answer shows; with more, there is another page.
const ACCOUNTS_MAX: usize = 1_000;

/// Messages that are read at once. Others get their turn in between.
const CHUNK: usize = 1_000;

/// Items of lists that one request reads where they are not in memory; beyond, each value is looked up.
pub const ITEMS_READ_MAX: u64 = 100_000;

/// Characters of a cursor.
const CURSOR_CHARS_MAX: usize = 128;

/// Which messages a request is about.
struct Scope {
    application: ApplicationId,
    workspace: Option<WorkspaceId>,
    since: UnixMicros,
    until: UnixMicros,
    after: Uuid,
    limit: usize,
}

/// Judges a page of the past.
pub async fn replay(
    store: &Store,
    now: UnixMicros,
    application: ApplicationId,
    request: schema::ReplayRules,
) -> Result<schema::RuleReplay, Problem> {
    let scope = scope(store, now, application, &request).await?;
    let changes = Changes::read(&mut store.reader().await?, application, scope.workspace, request.changes).await?;
    let page = judge(store, &scope, &changes).await?;
    show(&mut store.reader().await?, &scope, &changes, page).await
}

async fn scope(
    store: &Store,
    now: UnixMicros,
    application: ApplicationId,
    request: &schema::ReplayRules,
) -> Result<Scope, Problem> {
    let cursor = request.cursor.as_deref().map(read_cursor).transpose()?;
    let until = match (&cursor, request.until) {
        (Some((until, _)), _) => *until,
        (None, Some(until)) => seconds("until", until)?.min(now),
        (None, None) => now,
    };
    let since = since(request, until)?;
    if until <= since {
        let (field, text) = match request.until {
            Some(_) => ("until", "until must be after since, and since in the past"),
            None => ("since", "since must be in the past"),
        };
        return Err(Problem::invalid(field, text));
    }
    let limit = request.limit.unwrap_or(LIMIT_DEFAULT as i64);
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    let limit = limit.ok_or_else(|| Problem::invalid("limit", format!("limit must be from 1 to {LIMIT_MAX}")))?;
    let workspace = match &request.workspace_id {
        Some(id) => Some(workspace(&mut store.reader().await?, application, "workspace_id", id).await?),
        None => None,
    };
    let after = cursor.map_or_else(|| past::from(since), |(_, after)| after);
    Ok(Scope { application, workspace, since, until, after, limit })
}

/// Where the time begins that a request is about.
fn since(request: &schema::ReplayRules, until: UnixMicros) -> Result<UnixMicros, Problem> {
    match (request.since, request.last_seconds) {
        (Some(since), None) => seconds("since", since),
        (None, Some(last)) if last >= 1 => Ok(UnixMicros::from_seconds(until.as_seconds().saturating_sub(last).max(0))),
        (None, Some(_)) => Err(Problem::invalid("last_seconds", "last_seconds must be at least 1")),
        _ => {
            let text = "since must be given, in unix seconds, or last_seconds instead of it, and not both";
            Err(Problem::invalid("since", text))
        }
    }
}

/// A time of a request. Later ones than those of which ids can tell are refused.
fn seconds(field: &str, seconds: i64) -> Result<UnixMicros, Problem> {
    const SECONDS_MAX: i64 = 1 << 38;
    if !(0..=SECONDS_MAX).contains(&seconds) {
        return Err(Problem::invalid(field, format!("{field} must be unix seconds, from 0 to {SECONDS_MAX}")));
    }
    Ok(UnixMicros::from_seconds(seconds))
}

/// The workspace of the application that a field of a request names.
async fn workspace(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    field: &str,
    text: &str,
) -> Result<WorkspaceId, Problem> {
    let found = match text.parse::<WorkspaceId>() {
        Ok(id) => workspaces::find(reader, application, id).await?.map(|found| found.workspace.id),
        Err(_) => None,
    };
    found.ok_or_else(|| Problem::invalid(field, format!("{field} is not the id of a workspace of this application")))
}

fn read_cursor(cursor: &str) -> Result<(UnixMicros, Uuid), Problem> {
    let invalid = || Problem::invalid("cursor", "cursor is not one that a replay gave");
    if cursor.len() > CURSOR_CHARS_MAX {
        return Err(invalid());
    }
    let octets = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    let text = std::str::from_utf8(&octets).map_err(|_| invalid())?;
    let (until, after) = text.split_once(':').ok_or_else(invalid)?;
    let until: i64 = until.parse().map_err(|_| invalid())?;
    let after = Uuid::try_parse(after).map_err(|_| invalid())?;
    Ok((UnixMicros::from_micros(until), after))
}

fn write_cursor(until: UnixMicros, after: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{after}", until.as_micros()))
}

/// What came of a page.
struct Page {
    tally: Tally,
    /// What rules are called.
    names: HashMap<RuleId, String>,
    /// The last message that was looked at, if there may be more.
    last: Option<Uuid>,
}

async fn judge(store: &Store, scope: &Scope, changes: &Changes) -> Result<Page, Problem> {
    let mut anew = Anew::new(store, &changes.lists, ITEMS_READ_MAX);
    let mut workspaces: HashMap<WorkspaceId, Sides> = HashMap::new();
    let mut page = Page { tally: Tally::default(), names: changes.names(), last: Some(scope.after) };
    let mut left = scope.limit;
    while left > 0 && page.tally.accounts() < ACCOUNTS_MAX {
        let span = Span {
            application_id: scope.application,
            after: page.last.unwrap_or(scope.after),
            until: scope.until,
            limit: left.min(CHUNK),
        };
        // A connection is given back between chunks: others read, too.
        let reader = &mut store.reader().await?;
        let found = past::read(reader, span).await?;
        let is_end = found.len() < span.limit;
        for message in found {
            page.last = Some(message.id);
            left -= 1;
            let Some(workspace) = message.workspace_id.filter(|id| scope.workspace.is_none_or(|wanted| wanted == *id))
            else {
                // Where there is no workspace, there are no rules: nothing can change.
                page.tally.unaffected += u64::from(scope.workspace.is_none());
                continue;
            };
            let sides = match workspaces.entry(workspace) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let sides = sides(reader, workspace, changes, &mut page.names).await?;
                    anew.prepare(reader, workspace, &sides).await?;
                    place.insert(sides)
                }
            };
            judge_one(&mut anew, reader, sides, &message, changes, &mut page.tally).await?;
            if page.tally.accounts() == ACCOUNTS_MAX {
                return Ok(page);
            }
        }
        if is_end {
            return Ok(Page { last: None, ..page });
        }
        tokio::task::yield_now().await;
    }
    Ok(page)
}

async fn judge_one(
    anew: &mut Anew<'_>,
    reader: &mut Reader<'_>,
    sides: &Sides,
    message: &Past,
    changes: &Changes,
    tally: &mut Tally,
) -> Result<(), Problem> {
    let Some(input) = &message.input else {
        tally.unreadable += 1;
        return Ok(());
    };
    tally.judged += 1;
    let (before, after) = anew.judge(reader, sides, input).await?;
    if let Some(after) = after
        && let Some(difference) = difference(&before, &after)
    {
        tally.add(message, input, &before, &after, &difference, |rule| changes.touches(rule));
    }
    Ok(())
}

/// The rules of a workspace as they are, and as they would be.
async fn sides(
    reader: &mut Reader<'_>,
    workspace: WorkspaceId,
    changes: &Changes,
    names: &mut HashMap<RuleId, String>,
) -> Result<Sides, Problem> {
    let kept = rules::of_workspace(reader, workspace).await?;
    let present: Vec<NamedRule> = kept.into_iter().map(|kept| kept.named).collect();
    for named in &present {
        names.entry(named.rule.id).or_insert_with(|| named.name.clone());
    }
    let present: Vec<Rule> = present.into_iter().map(|named| named.rule).collect();
    let changed = changes.apply(workspace, &present);
    Ok(Sides::new(present, changed, &changes.lists))
}

async fn show(
    reader: &mut Reader<'_>,
    scope: &Scope,
    changes: &Changes,
    page: Page,
) -> Result<schema::RuleReplay, Problem> {
    let Page { tally, names, last } = page;
    let mut accounts = Vec::with_capacity(tally.accounts());
    for (grant, row) in tally.by_account {
        let email = grants::find(reader, scope.application, grant).await?.map(|grant| grant.email.to_string());
        let (counts, examples) = (row.counts, row.examples);
        accounts.push(schema::ReplayAccount {
            grant_id: grant.to_string(),
            email: email.unwrap_or_default(),
            counts,
            examples,
        });
    }
    let rules = tally.by_rule.into_iter().map(|(rule, row)| schema::ReplayRule {
        rule_id: (!changes.is_new(rule)).then(|| rule.to_string()),
        change: changes.place(rule),
        name: names.get(&rule).cloned().unwrap_or_default(),
        counts: row.counts,
        examples: row.examples,
    });
    Ok(schema::RuleReplay {
        since: scope.since.as_seconds(),
        until: scope.until.as_seconds(),
        judged: tally.judged + tally.unaffected,
        unreadable: tally.unreadable,
        totals: tally.totals,
        accounts,
        rules: rules.collect(),
        next_cursor: last.map(|last| write_cursor(scope.until, last)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_where_it_goes_on_and_ends() {
        let (until, after) = (UnixMicros::from_seconds(1_772_445_600), Uuid::from_u128(7));
        let cursor = write_cursor(until, after);
        assert_eq!(read_cursor(&cursor).unwrap(), (until, after));
        let long = "A".repeat(CURSOR_CHARS_MAX + 1);
        for bad in ["", "%%", "AAAA", &long, &URL_SAFE_NO_PAD.encode("1:2"), &URL_SAFE_NO_PAD.encode("x:y")] {
            assert_eq!(read_cursor(bad).unwrap_err().field.as_deref(), Some("cursor"), "{bad}");
        }
    }
}
