//! One message, inside its transaction; and before it is there, its sender.

use super::book::{Page, RuleBook};
use super::refresh::RULES;
use crate::db::{DbError, Row};
use crate::engine::{Reader, Store, Tx};
use crate::error::StoreError;
use crate::{lists, params};
use postfleet_core::id::{ListId, OrganizationId, WorkspaceId};
use postfleet_core::rule::{Compiled, Direction, Input, Judgement, Lookup, evaluate};
use std::collections::HashMap;
use std::sync::Arc;

/// The columns that [`scope`] reads, of an application `a` and the mailbox's workspace `w`, which may be missing.
macro_rules! scope_columns {
    () => {
        "a.organization_id, w.id, a.rules_version, \
         CAST(CASE WHEN EXISTS (SELECT u.rule_id FROM workspace_rules u WHERE u.workspace_id = w.id) \
         THEN 1 ELSE 0 END AS {int})"
    };
}
pub(crate) use scope_columns;

/// How many columns `scope_columns!` names.
pub(crate) const SCOPE_COLUMNS: usize = 4;

/// Which rules are in force, as the transaction sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scope {
    /// Whose they are.
    pub organization: OrganizationId,
    workspace: WorkspaceId,
    version: i64,
}

impl Scope {
    /// The rules of a workspace, which has some, at a version of those of its application.
    pub(crate) fn new(organization: OrganizationId, workspace: WorkspaceId, version: i64) -> Self {
        Self { organization, workspace, version }
    }
}

/// Reads the columns of `scope_columns!`, of which the first is at `first`. None where the workspace has no rules:
/// nothing else is asked then.
pub(crate) fn scope(row: &Row, first: usize) -> Result<Option<Scope>, DbError> {
    let organization = OrganizationId::from_uuid(row.uuid(first)?);
    let workspace = row.opt_uuid(first + 1)?.map(WorkspaceId::from_uuid);
    let version = row.int(first + 2)?;
    let has_rules = row.flag(first + 3)?;
    Ok(workspace.filter(|_| has_rules).map(|workspace| Scope { organization, workspace, version }))
}

/// Judges a message. None if no rule is about its direction. A lookup that fails is unknown to the rules; only what ends
/// the transaction anyway, such as a lost connection, is an error.
pub(crate) async fn judge(
    tx: &mut Tx,
    scope: &Scope,
    direction: Direction,
    input: &Input,
) -> Result<Option<Judgement>, DbError> {
    let book = tx.rule_book();
    let page = match book.page(scope.workspace, scope.version) {
        Some(page) => page,
        None => {
            book.want(scope.workspace);
            tx.wake_rules();
            match read_page(tx, scope.workspace).await? {
                Some(page) => Arc::new(page),
                // Nobody knows what the rules say: one of them may block.
                None => return Ok(Some(Judgement::undecidable())),
            }
        }
    };
    let compiled = page.compiled(direction);
    if compiled.is_empty() {
        return Ok(None);
    }
    let mut known = Answers::new();
    loop {
        match at_hand(&book, &page, compiled, input, &known) {
            Ok(judgement) => return Ok(Some(judgement)),
            Err(missing) => look_up(tx, missing, &mut known).await?,
        }
    }
}

/// Judges the envelope sender of a message that is not there yet, by what is committed: the rules that block, as far as
/// they can tell of the sender alone. None if there is no such rule.
pub async fn judge_sender(
    store: &Store,
    reader: &mut Reader<'_>,
    scope: &Scope,
    input: &Input,
) -> Result<Option<Judgement>, StoreError> {
    judge_committed(store, reader, (scope, Page::at_rcpt), input).await
}

/// Judges a message that came in and is not to be filed, by what is committed: all rules about mail that comes in. None if
/// there is no such rule.
pub async fn judge_unfiled(
    store: &Store,
    reader: &mut Reader<'_>,
    scope: &Scope,
    input: &Input,
) -> Result<Option<Judgement>, StoreError> {
    judge_committed(store, reader, (scope, |page| page.compiled(Direction::Inbound)), input).await
}

/// Judges outside of a transaction, by some of the rules.
async fn judge_committed(
    store: &Store,
    reader: &mut Reader<'_>,
    (scope, rules): (&Scope, fn(&Page) -> &Compiled),
    input: &Input,
) -> Result<Option<Judgement>, StoreError> {
    let book = store.rule_book();
    let page = match book.page(scope.workspace, scope.version) {
        Some(page) => page,
        None => {
            book.want(scope.workspace);
            store.wake().rules.notify_one();
            match answered(read_committed_page(reader, scope.workspace).await, "rules")? {
                // A workspace that is gone judges nobody.
                Some(None) => return Ok(None),
                Some(Some(page)) => Arc::new(page),
                None => return Ok(Some(Judgement::undecidable())),
            }
        }
    };
    let compiled = rules(&page);
    if compiled.is_empty() {
        return Ok(None);
    }
    let mut known = Answers::new();
    loop {
        match at_hand(book, &page, compiled, input, &known) {
            Ok(judgement) => return Ok(Some(judgement)),
            Err(missing) => {
                for (list, value) in missing {
                    let answer = answered(lists::has(reader, list, &value).await, "list")?;
                    known.entry(list).or_default().insert(value, answer);
                }
            }
        }
    }
}

async fn read_committed_page(reader: &mut Reader<'_>, workspace: WorkspaceId) -> Result<Option<Page>, StoreError> {
    let rows = reader.query(RULES, params![workspace.uuid()]).await?;
    Ok(Page::read(&rows)?)
}

/// What was read; none if reading failed, unless nothing can be read at all just now.
fn answered<T>(read: Result<T, StoreError>, what: &'static str) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Fault(error)) => {
            tracing::error!(%error, what, "a lookup of rules failed");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Judges by what is known so far, or tells what has to be looked up. What is not in memory counts as unknown at first,
/// so that only what matters is looked up.
fn at_hand(
    book: &RuleBook,
    page: &Page,
    compiled: &Compiled,
    input: &Input,
    known: &Answers,
) -> Result<Judgement, Vec<(ListId, String)>> {
    let mut lookup = Remembered { book, page, known, missing: Vec::new() };
    let judgement = evaluate(compiled, input, &mut lookup);
    if lookup.missing.is_empty() { Ok(judgement) } else { Err(lookup.missing) }
}

/// Reads and compiles the rules as the transaction sees them; none if that fails.
async fn read_page(tx: &mut Tx, workspace: WorkspaceId) -> Result<Option<Page>, DbError> {
    tx.savepoint().await?;
    let read = match tx.query(RULES, params![workspace.uuid()]).await {
        Ok(rows) => Page::read(&rows),
        Err(error) => Err(error),
    };
    match read {
        Ok(page) => {
            tx.release_savepoint().await?;
            Ok(page)
        }
        Err(error) => {
            survive(tx, error, "rules").await?;
            tx.release_savepoint().await?;
            Ok(None)
        }
    }
}

/// What lists were found to have; none for what could not be told.
type Answers = HashMap<ListId, HashMap<String, Option<bool>>>;

/// Looks values up as the transaction sees them.
async fn look_up(tx: &mut Tx, missing: Vec<(ListId, String)>, known: &mut Answers) -> Result<(), DbError> {
    tx.savepoint().await?;
    for (list, value) in missing {
        let answer = match lists::contains(tx, list, &value).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                survive(tx, error, "list").await?;
                None
            }
        };
        known.entry(list).or_default().insert(value, answer);
    }
    tx.release_savepoint().await
}

/// Goes back to the savepoint after a statement that failed, unless the failure is one of the whole transaction. On
/// PostgreSQL nothing else could be done in it otherwise, not even to record what happened.
async fn survive(tx: &mut Tx, error: DbError, what: &'static str) -> Result<(), DbError> {
    match error {
        DbError::Constraint(_) | DbError::Statement(_) | DbError::Shape(_) | DbError::Malformed(_) => {
            tracing::error!(%error, what, "a lookup of rules failed");
            tx.back_to_savepoint().await
        }
        error => Err(error),
    }
}

/// What is known without asking the database.
struct Remembered<'a> {
    book: &'a RuleBook,
    page: &'a Page,
    known: &'a Answers,
    missing: Vec<(ListId, String)>,
}

/// Why something is not known: it was not looked up, or that failed.
struct Unknown;

impl Lookup for Remembered<'_> {
    type Error = Unknown;

    fn contains(&mut self, list: ListId, value: &str) -> Result<bool, Unknown> {
        if let Some(versions) = &self.page.lists {
            let Some(version) = versions.get(&list) else { return Ok(false) };
            if let Some(answer) = self.book.contains(list, *version, value) {
                return Ok(answer);
            }
        }
        match self.known.get(&list).and_then(|values| values.get(value)) {
            Some(answer) => answer.ok_or(Unknown),
            None => {
                self.missing.push((list, value.to_owned()));
                Err(Unknown)
            }
        }
    }
}
