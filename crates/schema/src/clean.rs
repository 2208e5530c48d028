//! `PUT /v3/grants/{grant}/messages/clean`.

use serde::Deserialize;
use utoipa::ToSchema;

/// Which messages are to be cleaned, and how. Null is the same as absent.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct CleanMessages {
    /// The ids of 1 to 20 messages of the mailbox.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 20)]
    pub message_id: Vec<String>,
    /// Whether links become their text; `true` if absent.
    #[serde(default)]
    pub ignore_links: Option<bool>,
    /// Whether pictures are left out; `true` if absent.
    #[serde(default)]
    pub ignore_images: Option<bool>,
    /// Whether pictures that are not left out are written as Markdown, in HTML too; `true` if absent. It must not be `false`
    /// with `html_as_markdown`.
    #[serde(default)]
    pub images_as_markdown: Option<bool>,
    /// Whether tables become lines, one for each row; `true` if absent.
    #[serde(default)]
    pub ignore_tables: Option<bool>,
    /// Whether closing words such as "Best regards" are left out, and the name below them; `true` if absent.
    #[serde(default)]
    pub remove_conclusion_phrases: Option<bool>,
    /// Whether HTML becomes Markdown; `false` if absent.
    #[serde(default)]
    pub html_as_markdown: Option<bool>,
}
