//! Signatures of a mailbox.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/grants/{grant}/signatures`, and `PUT` and `PATCH /v3/grants/{grant}/signatures/{signature}`, where what is absent
/// stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct WriteSignature {
    /// What people call it: 1 to 256 characters. Needed when one is made.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// Its HTML: at most 100,000 octets. It is made safe before it is kept: no scripts, no forms, no styles that move or load
    /// something, pictures by `https:` only. Needed when one is made.
    #[serde(default)]
    #[schema(max_length = 100_000)]
    pub body: Option<String>,
}

/// A signature.
#[derive(Debug, Serialize, ToSchema)]
pub struct Signature {
    /// Its id.
    pub id: String,
    /// Always `signature`.
    pub object: &'static str,
    /// The id of the mailbox.
    pub grant_id: String,
    /// What people call it.
    pub name: String,
    /// Its HTML, made safe.
    pub body: String,
    /// When it was made, in unix seconds.
    pub created_at: i64,
    /// When it was changed last, in unix seconds.
    pub updated_at: i64,
}
