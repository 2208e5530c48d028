//! Pools of senders: mailboxes among which volume is split.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/sender-pools`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateSenderPool {
    /// What people call it.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// The ids of its mailboxes, of this application; on different domains, if volume is to be split over domains.
    #[schema(min_items = 1, max_items = 100)]
    pub grant_ids: Vec<String>,
}

/// `PATCH /v3/sender-pools/{pool}`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateSenderPool {
    /// What people call it; stays if absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// The ids of all its mailboxes; they stay if absent.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 100)]
    pub grant_ids: Option<Vec<String>>,
}

/// A pool.
#[derive(Debug, Serialize, ToSchema)]
pub struct SenderPool {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The ids of its mailboxes. One that was removed is taken out.
    pub grant_ids: Vec<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds of the last change of its name or mailboxes.
    pub updated_at: i64,
}

/// A pool, with how its mailboxes stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct SenderPoolDetails {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The ids of its mailboxes. One that was removed is taken out.
    pub grant_ids: Vec<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds of the last change of its name or mailboxes.
    pub updated_at: i64,
    /// Its mailboxes, first those that would be tried first for somebody new.
    pub members: Vec<SenderPoolMember>,
}

/// A mailbox of a pool.
#[derive(Debug, Serialize, ToSchema)]
pub struct SenderPoolMember {
    /// The id of the mailbox.
    pub grant_id: String,
    /// Its address.
    pub email: String,
    /// The id of its domain; null if that is not registered.
    pub domain_id: Option<String>,
    /// Whether it may be chosen now.
    pub is_ready: bool,
    /// Why it is passed over: `domain_unverified`, `stopped`, `daily_quota` or `warm_up`; null if it is not.
    pub obstacle: Option<&'static str>,
    /// How well its domain stands: `good`, `impaired` (a record is missing just now, or more bounces
    /// than should: chosen after those that stand well) or
    /// `endangered` (it is under review: chosen last).
    pub health: &'static str,
    /// Messages that it may still send today, by its own quota and its domain's warm-up; null without a limit.
    pub remaining: Option<u64>,
    /// Its messages of the UTC day, through the pool or not.
    pub sent_today: u64,
    /// Its messages of the last seven UTC days, today included.
    pub sent_lately: u64,
    /// Which part of those of all mailboxes of the pool that is, 0 to 1; 0 if there were none.
    pub share: f64,
}

/// How a day's volume would spread.
#[derive(Debug, Serialize, ToSchema)]
pub struct SenderPoolPlan {
    /// Messages in a day.
    pub volume: u64,
    /// What each mailbox would send, in the order of their ids.
    pub members: Vec<PlannedMember>,
    /// What each domain would send, most first.
    pub domains: Vec<PlannedDomain>,
    /// Messages that no mailbox could send.
    pub unsent: u64,
}

/// What a mailbox would send.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedMember {
    /// The id of the mailbox.
    pub grant_id: String,
    /// Its address.
    pub email: String,
    /// Messages that it would send.
    pub messages: u64,
    /// Messages that it may send in a day; null without a limit.
    pub limit: Option<u64>,
    /// Why it would send nothing: `domain_unverified`, `stopped`, `daily_quota` or `warm_up`; null if it may be chosen.
    pub obstacle: Option<&'static str>,
}

/// What a domain would send.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedDomain {
    /// The domain.
    pub domain: String,
    /// Messages that it would send.
    pub messages: u64,
}
