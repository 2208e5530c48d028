//! Judging mail of the past by changed rules or lists, before the change is made.

use crate::rule::UpdateRule;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/rules/replay`: mail that was sent, or refused by rules, is judged by the rules and lists as they are and as
/// they would be.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReplayRules {
    /// Unix seconds: mail from then on is judged. Either this or `last_seconds` is given.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub since: Option<i64>,
    /// Instead of `since`: so many seconds before `until`, at least 1.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub last_seconds: Option<i64>,
    /// Unix seconds: mail before then is judged. Default, and at most: now. With a cursor, what held for the first page
    /// holds.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub until: Option<i64>,
    /// Only mail of mailboxes that are in this workspace now. Default: of all mailboxes of the application.
    #[serde(default)]
    pub workspace_id: Option<String>,
    /// What is to be different.
    #[serde(default)]
    #[schema(value_type = ReplayChanges, required = true)]
    pub changes: Option<ReplayChanges>,
    /// How many messages one request looks at: 1 to 100,000. Default: 50,000.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100_000)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the request before, which said the same in every other field.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// What is to be different: at least one rule or list.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct ReplayChanges {
    /// Rules that are to be changed, removed or made: at most 100, each once.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub rules: Vec<ReplayRuleChange>,
    /// Lists that are to have other items: at most 100, each once.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub lists: Vec<ReplayListChange>,
}

/// A rule that is to be changed, removed or made.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct ReplayRuleChange {
    /// The rule. Absent: a new one, for which `rule` says all that `POST /v3/rules` needs.
    #[serde(default)]
    pub rule_id: Option<String>,
    /// Whether it is to be gone: then nothing else is said of it. Default: false.
    #[serde(default)]
    pub remove: bool,
    /// What is to be different about it, as in `PATCH /v3/rules/{rule}`: what is absent stays, so that
    /// `{"enabled": false}` is enough.
    #[serde(default)]
    pub rule: Option<UpdateRule>,
    /// The workspaces that are to use it, at most 500. Default: those that use it now; for a new rule the request's
    /// `workspace_id`.
    #[serde(default)]
    #[schema(max_items = 500)]
    pub workspace_ids: Option<Vec<String>>,
}

/// A list that is to have other items.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct ReplayListChange {
    /// The list.
    #[serde(default)]
    #[schema(required = true)]
    pub list_id: String,
    /// What it is to have as well: at most 10,000 values.
    #[serde(default)]
    #[schema(max_items = 10_000)]
    pub add: Vec<String>,
    /// What it is not to have: at most 10,000 values, none of which is in `add`.
    #[serde(default)]
    #[schema(max_items = 10_000)]
    pub remove: Vec<String>,
}

/// What would have been different. With several pages, the sums of all of them hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleReplay {
    /// Unix seconds: where the time begins that is looked at.
    pub since: i64,
    /// Unix seconds: where it ends.
    pub until: i64,
    /// How many messages were judged in this page.
    pub judged: u64,
    /// How many were passed over because what is kept of them could not be read.
    pub unreadable: u64,
    /// What would have been different over all.
    pub totals: ReplayCounts,
    /// The mailboxes for whose mail something would have been different. A page ends before there are more than 1,000.
    pub accounts: Vec<ReplayAccount>,
    /// The rules that would have said something else.
    pub rules: Vec<ReplayRule>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Numbers of messages. Present rules are those of the workspace in which the mailbox is now, and they are judged with
/// the lists as they are now: what happened then may have been something else.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct ReplayCounts {
    /// For which anything at all would be different, also about rules that only watch.
    pub changed: u64,
    /// That would be blocked, and are not by the present rules.
    pub newly_blocked: u64,
    /// That would not be blocked any more.
    pub no_longer_blocked: u64,
    /// That could not be decided any more and so would be refused for the time being.
    pub undecidable: u64,
    /// That pass either way, with other actions.
    pub actions_changed: u64,
    /// That a rule would match which does not now.
    pub newly_matched: u64,
    /// That a rule would not match any more, or that would be blocked before it is reached.
    pub no_longer_matched: u64,
}

/// What would have been different for a mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayAccount {
    /// The mailbox.
    pub grant_id: String,
    /// Its address.
    pub email: String,
    /// What would have been different.
    pub counts: ReplayCounts,
    /// Some of the messages: at most 3.
    pub examples: Vec<ReplayExample>,
}

/// What would have been different about a rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayRule {
    /// The rule; null for a new one.
    pub rule_id: Option<String>,
    /// Its place in `changes.rules`, from 0 on; null if the request says nothing of it.
    pub change: Option<u64>,
    /// What people call it.
    pub name: String,
    /// What would have been different: blocked messages count at the rule that blocks, `undecidable` is always 0.
    pub counts: ReplayCounts,
    /// Some of the messages: at most 3.
    pub examples: Vec<ReplayExample>,
}

/// One message.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReplayExample {
    /// The copy of what was sent; null if it was refused.
    pub message_id: Option<String>,
    /// The record of what rules refused; null if it was sent.
    pub evaluation_id: Option<String>,
    /// The mailbox.
    pub grant_id: String,
    /// Unix seconds: when it was sent.
    pub at: i64,
    /// Domains of its recipients: at most 5.
    pub recipient_domains: Vec<String>,
    /// What the present rules say: `pass`, `block` or `undecidable`.
    pub before: &'static str,
    /// What the changed ones say.
    pub after: &'static str,
}
