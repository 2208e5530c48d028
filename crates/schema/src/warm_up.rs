//! Warm-ups: how much a new sending domain may send on each day of four weeks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `PUT /v3/domains/{domain}/warm-up`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetWarmUp {
    /// Messages that the domain may send on the last of 28 days. After it nothing is capped any more.
    #[schema(minimum = 100, maximum = 10_000_000)]
    pub target_per_day: u64,
    /// Messages on the first day, from which caps grow evenly to the target. What makes them grow by 15 % a day if absent;
    /// what makes them grow by less than 10 % or more than 20 % is refused.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub start_cap: Option<u64>,
}

/// The warm-up of a domain.
#[derive(Debug, Serialize, ToSchema)]
pub struct WarmUp {
    /// The domain.
    pub domain_id: String,
    /// `off` (it has none), `warming` (its days are capped) or `warm` (all 28 days have counted: nothing is capped).
    pub state: &'static str,
    /// Messages that it may send on the last day; null if it has none.
    pub target_per_day: Option<u64>,
    /// Messages that it may send on the first day; null if it has none.
    pub start_cap: Option<u64>,
    /// The day of the warm-up, 1 to 28. It goes on by one after a UTC day on which at least half of its cap was sent; null
    /// unless it is warming.
    pub day: Option<u32>,
    /// Messages that may be sent today; null unless it is warming.
    pub limit: Option<u64>,
    /// Messages of the UTC day that count, each once however many recipients it has; null unless it is warming.
    pub used: Option<u64>,
    /// Messages that are left of today; null unless it is warming.
    pub remaining: Option<u64>,
    /// Unix seconds: the next midnight UTC; null unless it is warming.
    pub resets_at: Option<i64>,
    /// Unix seconds; null if it has none.
    pub started_at: Option<i64>,
    /// Unix seconds: the beginning of the first day without a cap if every day from today on counts; null unless it is
    /// warming.
    pub ends_at: Option<i64>,
    /// The caps of all 28 days; empty if it has none.
    pub caps: Vec<u64>,
}
