//! Breakers of a workspace.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `PUT /v3/workspaces/{workspace}/breakers`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetBreakers {
    /// All breakers that the workspace has from now on: at most 20, each metric with each action once.
    #[serde(default)]
    #[schema(required = true, max_items = 20)]
    pub breakers: Option<Vec<SetBreaker>>,
}

/// A line, and what follows when a mailbox crosses it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetBreaker {
    /// What is measured of each mailbox: `bounce_rate`, `complaint_rate`, `rejection_rate`, `sends_per_hour`,
    /// `new_recipients_per_day`, `repeated_content`, `replies_per_thread_per_day`.
    #[serde(default)]
    #[schema(required = true)]
    pub metric: Option<String>,
    /// The line. Of a rate: percent, with up to three places, from 0.001 to 100; it trips when it is reached. Of the others
    /// a whole number from 0 to 1,000,000; it trips when there is more.
    #[serde(default)]
    #[schema(required = true, minimum = 0, maximum = 1_000_000)]
    pub threshold: Option<f64>,
    /// Recipients of which a rate must be before it says anything: 1 to 1,000,000; 100 if null or absent. Only of rates.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub min_volume: Option<i64>,
    /// What follows: `alert` (it is told), `throttle` (the mailbox sends `throttle_to` messages in an hour at most), `hold`
    /// (what it sends waits until somebody approves it), `pause` (it sends nothing).
    #[serde(default)]
    #[schema(required = true)]
    pub action: Option<String>,
    /// Messages in an hour, for `throttle`: 1 to 1,000,000.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub throttle_to: Option<i64>,
    /// Whether it counts; true if null or absent.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// The breakers of a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct Breakers {
    /// The workspace.
    pub workspace_id: String,
    /// Its breakers, in the order in which they were given.
    pub breakers: Vec<Breaker>,
}

/// A breaker, beside what the platform does and where mailboxes stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct Breaker {
    /// What is measured of each mailbox.
    pub metric: &'static str,
    /// The line: percent of a rate, a number of the others.
    pub threshold: f64,
    /// Recipients of which a rate must be before it says anything; null of what is no rate.
    pub min_volume: Option<u64>,
    /// `alert`, `throttle`, `hold` or `pause`.
    pub action: &'static str,
    /// Messages in an hour, of a throttle; null otherwise.
    pub throttle_to: Option<u64>,
    /// Whether it counts.
    pub enabled: bool,
    /// What the platform does by itself, whatever the workspace has set.
    pub platform: PlatformLines,
    /// The mailboxes that are nearest to the line, or above it, now: at most five. Empty for `rejection_rate` and
    /// `replies_per_thread_per_day`, which are counted when they are asked for.
    pub worst: Vec<BreakerReading>,
}

/// Where the platform acts by itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlatformLines {
    /// Percent from which on a mailbox is under review; null where the platform has no such line.
    pub review: Option<f64>,
    /// Percent from which on a mailbox is paused; null where the platform has no such line.
    pub pause: Option<f64>,
    /// How many are held in a conversation, or of one text to the fleet, by the protection against loops; null where it does
    /// not count that.
    pub hold: Option<u64>,
}

/// Where a mailbox stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerReading {
    /// The mailbox.
    pub grant_id: String,
    /// Its address.
    pub email: String,
    /// The present value: percent of a rate, a number of the others.
    pub value: f64,
    /// Recipients of which a rate is; null of what is no rate.
    pub volume: Option<u64>,
    /// Whether that crosses the line.
    pub trips: bool,
}
