//! One message, inside its transaction.

use super::book::{Page, RuleBook};
use super::refresh::RULES;
use crate::db::{DbError, Row};
use crate::engine::Tx;
use crate::{lists, params};
use postfleet_core::id::{ListId, OrganizationId, WorkspaceId};
use postfleet_core::rule::{Direction, Input, Judgement, Lookup, evaluate};
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub organization: OrganizationId,
    workspace: WorkspaceId,
    version: i64,
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
        // What is not in memory counts as unknown at first, so that only what matters is looked up.
        let mut lookup = Remembered { book: &book, page: &page, known: &known, missing: Vec::new() };
        let judgement = evaluate(compiled, input, &mut lookup);
        let missing = lookup.missing;
        if missing.is_empty() {
            return Ok(Some(judgement));
        }
        look_up(tx, missing, &mut known).await?;
    }
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
