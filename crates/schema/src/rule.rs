//! Rules about mail.

use postfleet_core::Patch;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// `POST /v3/rules`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateRule {
    /// What people call it: 1 to 256 characters.
    #[serde(default)]
    #[schema(value_type = String, required = true, min_length = 1, max_length = 256)]
    pub name: Patch<String>,
    /// What it is for: at most 1,024 characters; null for nothing.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub description: Patch<String>,
    /// Lower ones come first, and of the same priority the older ones. Default: 10.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1000)]
    pub priority: Patch<i64>,
    /// Whether it is looked at. Default: true.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub enabled: Patch<bool>,
    /// `enforce`, or `shadow`: it is evaluated and recorded, and does nothing. Default: `enforce`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub mode: Patch<String>,
    /// Which mail it is about: `inbound` or `outbound`. Default: `inbound`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub trigger: Patch<String>,
    /// Which messages it matches.
    #[serde(default, rename = "match")]
    #[schema(value_type = RuleMatchChange, required = true)]
    pub matching: Patch<RuleMatchChange>,
    /// What happens to them: 1 to 20; `block` stands alone.
    #[serde(default)]
    #[schema(value_type = Vec<RuleActionChange>, required = true)]
    pub actions: Patch<Vec<RuleActionChange>>,
}

/// `PUT /v3/rules/{rule}`: what is absent stays, `match` and `actions` are replaced whole.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateRule {
    /// What people call it: 1 to 256 characters; never null.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    pub name: Patch<String>,
    /// What it is for: at most 1,024 characters; null takes it away.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub description: Patch<String>,
    /// Lower ones come first; null is 10.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1000)]
    pub priority: Patch<i64>,
    /// Whether it is looked at; null is true.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub enabled: Patch<bool>,
    /// `enforce` or `shadow`; null is `enforce`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub mode: Patch<String>,
    /// `inbound` or `outbound`, for which the conditions must be fit; null is `inbound`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub trigger: Patch<String>,
    /// Which messages it matches, replaced whole; never null.
    #[serde(default, rename = "match")]
    #[schema(value_type = Option<RuleMatchChange>)]
    pub matching: Patch<RuleMatchChange>,
    /// What happens to them, all of it: 1 to 20; `block` stands alone; never null.
    #[serde(default)]
    #[schema(value_type = Option<Vec<RuleActionChange>>)]
    pub actions: Patch<Vec<RuleActionChange>>,
}

/// Which messages a rule is to match.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RuleMatchChange {
    /// `all` conditions must hold, or `any` one is enough. Default: `all`.
    #[serde(default)]
    pub operator: Option<String>,
    /// 1 to 50 conditions.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 50)]
    pub conditions: Vec<RuleConditionChange>,
}

/// One condition to set.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RuleConditionChange {
    /// `from.address`, `from.domain` or `from.tld`; for outbound rules also `recipient.address`, `recipient.domain`,
    /// `recipient.tld` (any of To, Cc, Bcc and the envelope), and `outbound.type`; for inbound rules also
    /// `authentication.spf`, `authentication.dkim`, `authentication.dmarc`, `spam.score`, `suspicion.kind` and
    /// `message.mark`.
    #[serde(default)]
    #[schema(required = true)]
    pub field: String,
    /// `is`, `is_not`, `contains` or `in_list`, of addresses and their parts; of words the first two; of `spam.score`
    /// `at_least` and `below`.
    #[serde(default)]
    #[schema(required = true)]
    pub operator: String,
    /// A text of 1 to 500 characters, kept trimmed and in lower case; `compose` or `reply` for `outbound.type`; a number
    /// in a text, such as `"5.5"`, for `spam.score`. For `in_list` 1 to 100 ids of lists whose type is that of the field.
    #[serde(default)]
    #[schema(required = true, nullable = false)]
    pub value: Option<RuleValue>,
}

/// What a condition compares with: a text, or ids of lists.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum RuleValue {
    /// A text.
    Text(String),
    /// Ids of lists.
    Lists(Vec<String>),
}

/// By hand: what derived code says of a value that is neither does not help.
impl<'de> Deserialize<'de> for RuleValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = RuleValue;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, or a list of ids of lists")
            }

            fn visit_str<E>(self, text: &str) -> Result<RuleValue, E> {
                Ok(RuleValue::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RuleValue, A::Error> {
                let mut lists = Vec::new();
                while let Some(id) = items.next_element()? {
                    lists.push(id);
                }
                Ok(RuleValue::Lists(lists))
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

/// One action to set.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RuleActionChange {
    /// `block`, `hold` (only of sent mail: it waits until somebody approves it), `mark_as_spam`, `assign_to_folder` (also `move_to_folder`), `mark_as_read`, `mark_as_starred`, `archive`
    /// or `trash`.
    #[serde(default, rename = "type")]
    #[schema(required = true)]
    pub kind: String,
    /// For `assign_to_folder` the id, name or path of a folder: 1 to 256 characters. Others have none: null or absent.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub value: Option<String>,
}

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is for; null for nothing.
    pub description: Option<String>,
    /// 0 to 1,000: lower ones come first, and of the same priority the older ones.
    pub priority: u16,
    /// Whether it is looked at.
    pub enabled: bool,
    /// `enforce`, or `shadow`: it is evaluated and recorded, and does nothing.
    pub mode: &'static str,
    /// Which mail it is about: `inbound` or `outbound`.
    pub trigger: &'static str,
    /// Which messages it matches.
    #[serde(rename = "match")]
    pub matching: RuleMatch,
    /// What happens to them.
    pub actions: Vec<RuleAction>,
    /// The application that has it.
    pub application_id: String,
    /// The organization of that application.
    pub organization_id: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// Which messages a rule matches.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleMatch {
    /// `all` conditions must hold, or `any` one is enough.
    pub operator: &'static str,
    /// 1 to 50 conditions.
    pub conditions: Vec<RuleCondition>,
}

/// One condition.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleCondition {
    /// What it looks at.
    pub field: &'static str,
    /// How it compares.
    pub operator: &'static str,
    /// With what: a text in lower case, or ids of lists for `in_list`. A list that was removed since holds nothing.
    pub value: RuleValue,
}

/// One action.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleAction {
    /// What happens.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The folder of `assign_to_folder`; absent for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub value: Option<String>,
}
