//! Judging one given message by rules, before they are enabled.

use crate::evaluation::{AppliedActions, EvaluationInput, ShadowEvaluation};
use crate::rule::{CreateRule, RuleAction, RuleValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/workspaces/{workspace}/rules/test`: one of `message` and `raw`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TestRules {
    /// As which mail it is judged: `outbound` or `inbound`. Default: `outbound`.
    #[serde(default)]
    pub trigger: Option<String>,
    /// What rules see of a message.
    #[serde(default)]
    pub message: Option<TestMessage>,
    /// A whole message as it is sent, in base64, standard or URL alphabet; its header fields are enough. Its From, To,
    /// Cc and Bcc count, and it answers if it has In-Reply-To or References.
    #[serde(default)]
    pub raw: Option<String>,
    /// Rules that are judged instead of the workspace's, in the shape of `POST /v3/rules`: at most 100. They are not
    /// kept.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub rules: Option<Vec<CreateRule>>,
    /// What is taken to be found of an inbound message; what is absent, as if nothing was found.
    #[serde(default)]
    pub found: Option<TestFound>,
    /// Whether rules that are disabled are judged as if they were enabled. Default: false.
    #[serde(default)]
    pub include_disabled: Option<bool>,
}

/// What rules see of a message.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct TestMessage {
    /// The author's address. Of mail that arrives it may be absent: that has an empty reverse path.
    #[serde(default)]
    pub from: Option<String>,
    /// Addresses of recipients. Over all three fields 1 to 1,000 for outbound mail; for inbound mail no rule looks at
    /// them.
    #[serde(default)]
    pub to: Vec<String>,
    /// Addresses of recipients.
    #[serde(default)]
    pub cc: Vec<String>,
    /// Addresses of recipients.
    #[serde(default)]
    pub bcc: Vec<String>,
    /// Whether it answers another message. Default: false.
    #[serde(default)]
    pub is_reply: bool,
}

/// What rules see of what is found of a message that comes in.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct TestFound {
    /// What SPF came to: a word of RFC 8601, such as `pass` or `softfail`. Default: `none`.
    #[serde(default)]
    pub spf: Option<String>,
    /// What the best DKIM signature came to. Default: `none`.
    #[serde(default)]
    pub dkim: Option<String>,
    /// What DMARC came to. Default: `none`.
    #[serde(default)]
    pub dmarc: Option<String>,
    /// How much it looks like spam. Default: 0.
    #[serde(default)]
    pub spam_score: Option<f64>,
    /// The kinds of what in it is meant to deceive its reader.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub suspicion_kinds: Vec<String>,
    /// `first_contact`, `automated`, `list`, `bulk`, `display_name_mismatch`.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub marks: Vec<String>,
}

/// What rules say of a message, and why. Nothing was kept, counted or recorded.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleTest {
    /// `pass`, `block`, or `undecidable`: no rule is known to block it, but one that might could not be evaluated.
    pub verdict: &'static str,
    /// As which mail it was judged: `outbound` or `inbound`.
    pub trigger: &'static str,
    /// The rules that matched, in the order in which they were looked at.
    pub matched_rule_ids: Vec<String>,
    /// What would be done with the message. `folder_ids` has folders as the rules name them.
    pub applied_actions: AppliedActions,
    /// What rules in `shadow` mode would have done.
    pub shadow: ShadowEvaluation,
    /// What the rules looked at.
    pub evaluation_input: EvaluationInput,
    /// What became of each rule, in the order in which they are looked at.
    pub trace: Vec<RuleTrace>,
}

/// What became of one rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleTrace {
    /// Its id. Rules of the request have placeholders, in the order of the request.
    pub rule_id: String,
    /// What people call it.
    pub name: String,
    /// 0 to 1,000: lower ones come first.
    pub priority: u16,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
    /// Whether it is enabled.
    pub enabled: bool,
    /// `inbound` or `outbound`.
    pub trigger: &'static str,
    /// `matched`, `no_match`, `undecidable`, or why it was not looked at: `not_reached` (a rule before it blocked),
    /// `disabled`, `other_trigger`.
    pub outcome: &'static str,
    /// `all` conditions must hold, or `any` one is enough.
    pub match_operator: &'static str,
    /// What its conditions came to; empty if it was not looked at.
    pub conditions: Vec<ConditionTrace>,
    /// What it does where it matches.
    pub actions: Vec<RuleAction>,
}

/// What one condition came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConditionTrace {
    /// What it looks at.
    pub field: &'static str,
    /// How it compares.
    pub operator: &'static str,
    /// With what: a text, or ids of lists.
    pub value: RuleValue,
    /// What the message had there, in the spelling in which it was compared.
    pub seen: Vec<String>,
    /// Whether it holds; null if that could not be told.
    pub holds: Option<bool>,
}
