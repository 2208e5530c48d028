//! Raises: a higher limit for a while.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/grants/{grant}/raises` and `POST /v3/workspaces/{workspace}/raises`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RequestRaise {
    /// Which limit, by the name that it has in policies: `limit_count_daily_email_sent`, which is also meant if absent.
    /// Others cannot be raised.
    #[serde(default)]
    pub limit_name: Option<String>,
    /// The limit while the raise holds, not what is added: above the limit without it, and at most what the plan allows.
    #[serde(default)]
    #[schema(required = true, minimum = 1)]
    pub value: Option<i64>,
    /// From when on it is to hold, in unix seconds: at most 90 days ahead; at once if null or absent.
    #[serde(default)]
    pub starts_at: Option<i64>,
    /// When it ends, in unix seconds: at most 31 days after it begins.
    #[serde(default)]
    #[schema(required = true)]
    pub ends_at: Option<i64>,
    /// Why: 1 to 1,024 characters.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 1024)]
    pub reason: Option<String>,
}

/// `POST /v3/raises/{raise}/grant`, `…/refuse` and `…/withdraw`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct DecideRaise {
    /// What is noted with the decision: at most 1,024 characters; nothing if null or absent.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub note: Option<String>,
}

/// A higher limit for a while.
#[derive(Debug, Serialize, ToSchema)]
pub struct Raise {
    /// Its id.
    pub id: String,
    /// The mailbox whose limit it is; null if it is for a workspace.
    pub grant_id: Option<String>,
    /// The workspace, each mailbox of which has the higher limit; null if it is for one mailbox.
    pub workspace_id: Option<String>,
    /// Which limit, by the name that it has in policies.
    pub limit_name: String,
    /// The limit while it holds.
    pub value: u64,
    /// From when on it holds, in unix seconds.
    pub starts_at: i64,
    /// When it ends, in unix seconds.
    pub ends_at: i64,
    /// `requested`, `granted`, `refused`, `withdrawn`, or `ended` once the time of one that was asked for or granted is
    /// over.
    pub state: &'static str,
    /// Whether it holds at this moment.
    pub is_in_force: bool,
    /// Why it is wanted.
    pub reason: String,
    /// Who asked for it.
    pub requested_by: RaiseAuthor,
    /// Who decided; null if nobody has.
    pub decided_by: Option<RaiseAuthor>,
    /// When, in unix seconds; null if nobody has.
    pub decided_at: Option<i64>,
    /// What they noted; null for nothing.
    pub note: Option<String>,
    /// When it was asked for, in unix seconds.
    pub created_at: i64,
}

/// Who asked or decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct RaiseAuthor {
    /// By what right: `api_key` or `access_token`.
    pub kind: String,
    /// The id of the key, or of the mailbox whose token it is.
    pub id: String,
    /// What people call it.
    pub name: String,
}
