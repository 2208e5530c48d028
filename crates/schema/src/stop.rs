//! Stops: what keeps somebody from sending.

use crate::domain::Domain;
use crate::evaluation::RuleEvaluation;
use crate::explanation::Explanation;
use crate::feedback::FeedbackReport;
use crate::limits::GrantLimits;
use crate::reputation::BundledReputation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// `POST /v3/stops` and `POST /v3/admin/stops`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateStop {
    /// What is stopped: `grant`, `workspace`, `domain` (with its subdomains), `sender_address` or `application`; with an
    /// operator's key also `organization`.
    #[serde(default)]
    #[schema(required = true)]
    pub scope: Option<String>,
    /// Which: an id, a domain name, an address. With an application's key it may be left out for `application`.
    #[serde(default)]
    #[schema(required = true, max_length = 320)]
    pub subject: Option<String>,
    /// Why: 1 to 1,000 characters. Who is stopped is told.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
}

/// `POST /v3/admin/restrictions`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateRestriction {
    /// What is restricted: `sender_address`, `sender_domain` (with its subdomains), `organization`, `application` or
    /// `grant`.
    #[serde(default)]
    #[schema(required = true)]
    pub scope: Option<String>,
    /// Which: the address of a mailbox, a domain that is registered or below one that is, or an id.
    #[serde(default)]
    #[schema(required = true, max_length = 320)]
    pub subject: Option<String>,
    /// Why: 1 to 1,000 characters.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
    /// The case that it belongs to: at most 256 characters; none if null or absent.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub reference: Option<String>,
}

/// The end of a stop.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct LiftStop {
    /// Why, what was the cause and what mended it: 1 to 1,000 characters.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
}

/// Who raised or lifted a stop.
#[derive(Debug, Serialize, ToSchema)]
pub struct StopActor {
    /// By what right: `api_key`, `operator_key`, `system`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The id of their key; empty for the product itself.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// What keeps somebody from sending, or did.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stop {
    /// Its id.
    pub id: String,
    /// `restriction` (an operator's, because of abuse), `pause` (the product's, because of bounces or complaints), `switch`
    /// (somebody's), `breaker`, `quarantine` or `loop`.
    pub kind: &'static str,
    /// What becomes of sends: `refuse`, `hold` (they wait for an approval) or `throttle`.
    pub effect: &'static str,
    /// Whom it concerns: `sender_address`, `sender_domain`, `organization`, `application`, `workspace`, `grant` or `thread`.
    pub scope: &'static str,
    /// Which: an address, a domain name or an id.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// What was seen: an object, empty if a person raised it.
    pub evidence: Value,
    /// Sends in an hour that a throttle allows; null for others.
    pub sends_per_hour: Option<u64>,
    /// The case that it belongs to; null if none was named.
    pub reference: Option<String>,
    /// Whose.
    pub organization_id: String,
    /// The application; null if it concerns several.
    pub application_id: Option<String>,
    /// The workspace, if it is one, or the mailbox was in one; null otherwise.
    pub workspace_id: Option<String>,
    /// The mailbox; null if it concerns more than one.
    pub grant_id: Option<String>,
    /// The mailbox's address; null if it concerns more than one.
    pub email: Option<String>,
    /// Whether it is in force.
    pub active: bool,
    /// Who raised it.
    pub raised_by: StopActor,
    /// When, in unix seconds.
    pub raised_at: i64,
    /// Who lifted it; null while it is in force.
    pub lifted_by: Option<StopActor>,
    /// When, in unix seconds; null while it is in force.
    pub lifted_at: Option<i64>,
    /// Why; null while it is in force.
    pub lift_reason: Option<String>,
    /// Recipients in the queue that wait behind it; more than 10,000 are counted as 10,000.
    pub queued_recipients: u64,
    /// Sends that are held because of it, counted as those.
    pub held_sends: u64,
}

/// Whether sending of a mailbox is stopped.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantSending {
    /// Always true: without a stop the object is null.
    pub stopped: bool,
    /// The stop that a send is told first.
    pub stop_id: String,
    /// Its kind, as in `GET /v3/stops`.
    pub kind: &'static str,
    /// What becomes of sends, as there.
    pub effect: &'static str,
    /// Why.
    pub reason: String,
}

/// `GET /v3/grants/{grant}/support-bundle`: what whoever helps needs to know, without secrets and without bodies of mail.
#[derive(Debug, Serialize, ToSchema)]
pub struct SupportBundle {
    /// The version of the server.
    pub version: &'static str,
    /// When it was made, in unix seconds.
    pub at: i64,
    /// The organization.
    pub organization_id: String,
    /// The application.
    pub application_id: String,
    /// The mailbox.
    pub grant_id: String,
    /// Its address.
    pub email: String,
    /// Its workspace; null if it is in none.
    pub workspace_id: Option<String>,
    /// The limits that hold for it, as `GET /v3/grants/{grant}/limits` shows them.
    pub limits: GrantLimits,
    /// Whether it may send, and what was refused, as `GET /v3/grants/{grant}/explain` shows it.
    pub sending: Explanation,
    /// An error as a send would get it now, or, if one would be accepted, the last one that was given: the whole body; null
    /// if nothing was refused in the last 30 days.
    pub example_error: Option<Value>,
    /// Stops that concern it, in force or not, the newest 50: its own, then those of its workspace, application,
    /// organization and domain.
    pub stops: Vec<Stop>,
    /// Its reputation and that of what it belongs to, as of now, with how they came there and what was asked since.
    pub reputation: BundledReputation,
    /// What the rules said last: 20 at most.
    pub rule_evaluations: Vec<RuleEvaluation>,
    /// What came back last: 20 at most.
    pub feedback: Vec<FeedbackReport>,
    /// Its domain, with the state of each record; null if it is not registered here.
    pub domain: Option<Domain>,
    /// The ids of the last requests that changed it: 20 at most.
    pub request_ids: Vec<String>,
}
