//! Importing a text of any length into a list: line by line, in commands of as many items as one request may have. Each
//! command is whole; the import is not: what was added stays if the rest does not come.

use super::{changed, show};
use crate::lines::{Content, Format, Line, Lines, REFUSALS_MAX};
use postfleet_core::audit::Act;
use postfleet_core::id::{AuditId, ListItemId};
use postfleet_core::list::{ITEMS_MAX, ListKind, normalize};
use postfleet_core::{Problem, ProblemKind};
use postfleet_net::Entropy;
use postfleet_schema::list as schema;
use postfleet_store::Store;
use postfleet_store::lists::{self, AddItems, List, NewItem, RemoveItems};
use std::collections::HashSet;

/// Different items of a text that replaces a list: all of them are held in memory.
pub const REPLACING_ITEMS_MAX: usize = 2_000_000;

/// What becomes of items that the text does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// They stay.
    Add,
    /// They go, after all others came.
    Replace,
}

impl Mode {
    /// The words of both.
    pub const NAMES: &[&str] = &["add", "replace"];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
        }
    }

    /// Finds the mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Add, Self::Replace].into_iter().find(|mode| mode.name() == name)
    }
}

/// An import under way.
pub struct Import<'a> {
    store: &'a Store,
    entropy: &'a dyn Entropy,
    act: Act,
    list: List,
    mode: Mode,
    lines: Lines,
    /// What the next command adds.
    waiting: Vec<NewItem>,
    /// What the text has, as digests, if it replaces.
    seen: HashSet<[u8; 16]>,
    done: schema::ListImport,
}

impl<'a> Import<'a> {
    /// Begins an import into a list that the caller has found.
    pub fn begin(
        store: &'a Store,
        entropy: &'a dyn Entropy,
        act: Act,
        list: List,
        (format, mode): (Format, Mode),
    ) -> Self {
        let done = schema::ListImport {
            list: show(&list),
            mode: mode.name(),
            lines: 0,
            added: 0,
            already_there: 0,
            removed: 0,
            refused: 0,
            refusals: Vec::new(),
        };
        let mut headings = vec![list.kind.name(), "value"];
        headings.extend((list.kind == ListKind::Address).then_some("email"));
        let lines = Lines::new(format, headings);
        Self { store, entropy, act, list, mode, lines, waiting: Vec::new(), seen: HashSet::new(), done }
    }

    /// Takes the next piece of the text.
    pub async fn take(&mut self, piece: &[u8]) -> Result<(), Problem> {
        for line in self.lines.take(piece) {
            self.line(line).await?;
        }
        Ok(())
    }

    /// Ends it: what waits is added, and what the text replaces is removed.
    pub async fn end(mut self) -> Result<schema::ListImport, Problem> {
        if let Some(line) = self.lines.finish() {
            self.line(line).await?;
        }
        self.add_waiting().await?;
        // A text that was not understood, or is empty, says nothing about what is to go.
        if self.mode == Mode::Replace && self.done.refused == 0 && self.done.lines > 0 {
            self.remove_others().await?;
        }
        self.done.list = show(&self.list);
        Ok(self.done)
    }

    async fn line(&mut self, (number, content): Line) -> Result<(), Problem> {
        self.done.lines += 1;
        let value = match content {
            Content::Columns(columns) => {
                let text = columns.first().map_or("", String::as_str);
                normalize(self.list.kind, text).map_err(|error| format!("the value {error}"))
            }
            Content::Unreadable(why) => Err(why.to_owned()),
        };
        let value = match value {
            Ok(value) => value,
            Err(reason) => {
                self.done.refused += 1;
                if self.done.refusals.len() < REFUSALS_MAX {
                    self.done.refusals.push(schema::RefusedLine { line: number, reason });
                }
                return Ok(());
            }
        };
        if self.mode == Mode::Replace {
            self.see(&value)?;
        }
        let id = ListItemId::new(self.act.at, self.entropy.ten());
        self.waiting.push(NewItem { id, value });
        if self.waiting.len() >= ITEMS_MAX { self.add_waiting().await } else { Ok(()) }
    }

    fn see(&mut self, value: &str) -> Result<(), Problem> {
        self.seen.insert(digest(value));
        if self.seen.len() > REPLACING_ITEMS_MAX {
            let text = format!("a text that replaces a list may have at most {REPLACING_ITEMS_MAX} different items");
            return Err(Problem::new(ProblemKind::TooLarge, "too_many_items", text));
        }
        Ok(())
    }

    async fn add_waiting(&mut self) -> Result<(), Problem> {
        let items = std::mem::take(&mut self.waiting);
        let wanted = items.len() as u64;
        if wanted == 0 {
            return Ok(());
        }
        let (act, id) = (self.next_act(), self.list.id);
        let command = AddItems { act, application_id: self.list.application_id, id, items };
        let (list, added) = changed(self.store.run(command).await?)?;
        self.list = list;
        self.done.added += added;
        self.done.already_there += wanted.saturating_sub(added);
        Ok(())
    }

    /// Removes what the text does not have, page by page over the whole list.
    async fn remove_others(&mut self) -> Result<(), Problem> {
        let (application_id, id) = (self.list.application_id, self.list.id);
        let mut after = String::new();
        loop {
            let mut page = lists::values(&mut self.store.reader().await?, id, &after, ITEMS_MAX).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.clone();
            page.retain(|value| !self.seen.contains(&digest(value)));
            if page.is_empty() {
                continue;
            }
            let command = RemoveItems { act: self.next_act(), application_id, id, values: page };
            let (list, removed) = changed(self.store.run(command).await?)?;
            self.list = list;
            self.done.removed += removed;
        }
    }

    /// Each command has a record of its own.
    fn next_act(&self) -> Act {
        Act { record_id: AuditId::new(self.act.at, self.entropy.ten()), ..self.act.clone() }
    }
}

/// Sixteen octets that stand for a value: two values with the same are not to be expected.
fn digest(value: &str) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(value.as_bytes()).as_bytes()[..16]);
    digest
}
