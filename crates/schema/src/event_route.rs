//! Rules by which events are given to subjects of the message bus.

use postfleet_core::Patch;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// `POST /v3/routes`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateRoute {
    /// What people call it: 1 to 256 characters; the subject if null or absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// When it is asked: the lowest first, of equals the oldest; 100 if null or absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000)]
    pub priority: Option<i64>,
    /// Whether it is asked; `true` if null or absent.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// What an event must be like; nothing if null or absent: then every event meets it.
    #[serde(default)]
    pub r#match: Option<RouteMatch>,
    /// Where the event goes, behind `<prefix>.work.<application>.`: tokens of `A-Z`, `a-z`, `0-9`, `_` and `-` with dots between
    /// them, no wildcards.
    #[schema(min_length = 1, max_length = 128)]
    pub subject: String,
}

/// `PATCH /v3/routes/{route}`: what is absent or null stays, but for `match`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct UpdateRoute {
    /// What people call it: 1 to 256 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// When it is asked: the lowest first, of equals the oldest.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000)]
    pub priority: Option<i64>,
    /// Whether it is asked.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// What an event must be like, in place of all that was said before; null asks for nothing, absent stays.
    #[serde(default)]
    #[schema(value_type = Option<RouteMatch>)]
    pub r#match: Patch<RouteMatch>,
    /// Where the event goes, behind `<prefix>.work.<application>.`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub subject: Option<String>,
}

/// What an event must be like. Of each kind that names something one value must be right (of metadata every pair); what is
/// empty, null or absent asks for nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct RouteMatch {
    /// What happened: names of events, as webhooks have them.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 100)]
    pub trigger: Vec<String>,
    /// To whom the message goes: `local@domain`, `*@domain`, `local+*` or `local+*@domain`.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 100)]
    pub recipient: Vec<String>,
    /// The domain of who wrote it; not those below.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 100)]
    pub from_domain: Vec<String>,
    /// The id of the workspace that the mailbox is in.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 100)]
    pub workspace_id: Vec<String>,
    /// The id of the mailbox.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 100)]
    pub grant_id: Vec<String>,
    /// Pairs that the message has, all of them: at most 50, keys of 1 to 40 characters, values of at most 500.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The id of a folder that the message is in, such as `inbox`; in any case.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 100)]
    pub folder: Vec<String>,
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct Route {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// When it is asked: the lowest first, of equals the oldest.
    pub priority: i64,
    /// Whether it is asked.
    pub enabled: bool,
    /// What an event must be like.
    pub r#match: RouteMatch,
    /// Where the event goes, behind `<prefix>.work.<application>.`.
    pub subject: String,
    /// When it was made, in unix seconds.
    pub created_at: i64,
    /// When it was changed last, in unix seconds.
    pub updated_at: i64,
}

/// `POST /v3/routes/test`: an event that is in the log, or what one would be like.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct TestRoutes {
    /// The id of an event of the log; everything else is ignored then.
    #[serde(default)]
    pub event_id: Option<String>,
    /// What happened; `message.created` if null or absent.
    #[serde(default)]
    pub trigger: Option<String>,
    /// To whom the message goes.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 100)]
    pub recipient: Vec<String>,
    /// Who wrote it.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 100)]
    pub from: Vec<String>,
    /// The id of the mailbox; its workspace is looked up.
    #[serde(default)]
    pub grant_id: Option<String>,
    /// The pairs that the message has.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The folders that it is in.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 100)]
    pub folder: Vec<String>,
}

/// Which rule an event meets, and why not the others.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteTrial {
    /// The id of the rule that decides; null if none does.
    pub route_id: Option<String>,
    /// Where the event goes; null if nowhere but into the stream of all events.
    pub subject: Option<String>,
    /// All rules in the order in which they are asked.
    pub routes: Vec<AskedRoute>,
}

/// What a rule says of an event.
#[derive(Debug, Serialize, ToSchema)]
pub struct AskedRoute {
    /// The id of the rule.
    pub route_id: String,
    /// What people call it.
    pub name: String,
    /// Whether it is asked at all.
    pub enabled: bool,
    /// Whether the event meets it.
    pub matches: bool,
    /// What of `match` the event does not have, such as `recipient`.
    pub unmet: Vec<&'static str>,
}
