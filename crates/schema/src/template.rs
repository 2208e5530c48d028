//! Templates for messages, of an application or of one mailbox.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// `POST …/templates`, and `PUT` and `PATCH …/templates/{template}`, where what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct WriteTemplate {
    /// What people call it: 1 to 256 characters. Needed when one is made.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// The template of the subject: at most 998 octets. Needed when one is made.
    #[serde(default)]
    #[schema(max_length = 998)]
    pub subject: Option<String>,
    /// The template of the body, in HTML: at most 512 KiB. Needed when one is made.
    #[serde(default)]
    #[schema(max_length = 524_288)]
    pub body: Option<String>,
    /// The language: `mustache`, which it is if absent; others are not available.
    #[serde(default)]
    pub engine: Option<String>,
}

/// A template.
#[derive(Debug, Serialize, ToSchema)]
pub struct Template {
    /// Its id.
    pub id: String,
    /// Always `template`.
    pub object: &'static str,
    /// The id of the application, if it is the application's; null of a mailbox's.
    pub app_id: Option<String>,
    /// The id of the mailbox, if it is a mailbox's; null of an application's.
    pub grant_id: Option<String>,
    /// Always `mustache`.
    pub engine: &'static str,
    /// What people call it.
    pub name: String,
    /// The template of the subject.
    pub subject: String,
    /// The template of the body.
    pub body: String,
    /// When it was made, in unix seconds.
    pub created_at: i64,
    /// When it was changed last, in unix seconds.
    pub updated_at: i64,
}

/// `POST …/templates/{template}/render`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RenderTemplate {
    /// The values, by name; none if absent.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(value_type = Object)]
    pub variables: Map<String, Value>,
    /// Whether a variable that has no value is refused, by name; `true` if absent.
    #[serde(default)]
    pub strict: Option<bool>,
}

/// `POST …/templates/render`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RenderBody {
    /// The template of a body, in HTML: at most 512 KiB.
    #[serde(default)]
    #[schema(required = true, max_length = 524_288)]
    pub body: Option<String>,
    /// The language: `mustache`, which it is if absent; others are not available.
    #[serde(default)]
    pub engine: Option<String>,
    /// The values, by name; none if absent.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(value_type = Object)]
    pub variables: Map<String, Value>,
    /// Whether a variable that has no value is refused, by name; `true` if absent.
    #[serde(default)]
    pub strict: Option<bool>,
}

/// A template, filled in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rendered {
    /// The subject; absent of a body alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub subject: Option<String>,
    /// The body.
    pub body: String,
}

/// The template that a message is made of.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct UseTemplate {
    /// The id of a template of the mailbox or of its application.
    pub id: String,
    /// Whether a variable that has no value is refused, by name; `true` if absent.
    #[serde(default)]
    pub strict: Option<bool>,
    /// The values, by name; none if absent.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(value_type = Object)]
    pub variables: Map<String, Value>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    Ok(Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default())
}
