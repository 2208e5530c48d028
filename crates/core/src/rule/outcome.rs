//! What came of judging a message.

use super::Action;
use crate::id::RuleId;

/// What one rule says about a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleOutcome {
    /// It is not about the message.
    NoMatch,
    /// It is.
    Matched,
    /// It cannot be told, because something could not be looked up that would have decided it.
    Undecidable,
}

/// What all rules together say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The message may go on; the actions apply.
    Pass,
    /// A rule wants somebody to look at it first, and none blocks it. Once that was done, the actions apply.
    Hold,
    /// A rule blocks it.
    Block,
    /// No rule is known to block it, but one that might could not be decided: it must not go on now, and may later.
    Undecidable,
}

/// What was done to a message, or would have been.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Effects {
    /// It was refused.
    pub blocked: bool,
    /// It was refused because a blocking rule could not be decided, not because one matched.
    pub blocked_by_evaluation_error: bool,
    /// It was held until somebody approves it.
    pub held: bool,
    /// It goes into junk.
    pub marked_as_spam: bool,
    /// It starts as read.
    pub marked_as_read: bool,
    /// It starts with a star.
    pub marked_starred: bool,
    /// It goes into the archive.
    pub archived: bool,
    /// It goes into the trash.
    pub trashed: bool,
    /// The folders it was assigned to, by id, name or path, in the order of the rules and each once.
    pub folders: Vec<String>,
}

impl Effects {
    /// Adds what an action does.
    pub(super) fn add(&mut self, action: &Action) {
        match action {
            Action::Block => self.blocked = true,
            Action::Hold => self.held = true,
            Action::MarkAsSpam => self.marked_as_spam = true,
            Action::AssignToFolder(folder) if self.folders.contains(folder) => {}
            Action::AssignToFolder(folder) => self.folders.push(folder.clone()),
            Action::MarkAsRead => self.marked_as_read = true,
            Action::MarkAsStarred => self.marked_starred = true,
            Action::Archive => self.archived = true,
            Action::Trash => self.trashed = true,
        }
    }

    /// Nothing but the refusal.
    pub(super) fn refused(by_error: bool) -> Self {
        Self { blocked: true, blocked_by_evaluation_error: by_error, ..Self::default() }
    }
}

/// What the rules of a workspace say about a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// Whether it may go on.
    pub verdict: Verdict,
    /// The rules that matched, in their order; after one that blocks, none is looked at.
    pub matched_rule_ids: Vec<RuleId>,
    /// What is done. Of a message that does not go on, only that.
    pub effects: Effects,
    /// What the rules say that only watch.
    pub shadow: Shadow,
}

impl Judgement {
    /// Nothing is known of the rules: it must not go on now.
    pub fn undecidable() -> Self {
        Self {
            verdict: Verdict::Undecidable,
            matched_rule_ids: Vec::new(),
            effects: Effects::refused(true),
            shadow: Shadow::default(),
        }
    }
}

/// What the rules of a workspace that only watch say about a message, each for itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shadow {
    /// Those that matched, in their order.
    pub matched_rule_ids: Vec<RuleId>,
    /// What they would have done.
    pub effects: Effects,
}
