//! Organizations and plans, as the operator sees them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/admin/organizations`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateOrganization {
    /// What people call it.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// The name of its plan; `self_hosted` if absent.
    #[serde(default)]
    pub plan: Option<String>,
}

/// `PATCH /v3/admin/organizations/{organization}`: absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateOrganization {
    /// What people call it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// The name of another plan. It holds at once, also for what is there already: nothing is taken away, and nothing
    /// more is allowed than the new plan allows.
    #[serde(default)]
    pub plan: Option<String>,
}

/// An organization: holds applications and domains, and has a plan over all of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The name of its plan.
    pub plan: String,
    /// What the plan allows.
    pub allowances: Plan,
    /// Mailboxes that it has, over all its applications.
    pub grant_count: u64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// What a plan allows. -1 is unlimited.
#[derive(Debug, Serialize, ToSchema)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Mailboxes at once, over all applications of the organization. With overage: those that are included.
    pub grants_max: i64,
    /// Rules, over all applications of the organization.
    pub rules_max: i64,
    /// Lists, over all applications of the organization.
    pub lists_max: i64,
    /// Domains below a trial domain, of the organization.
    pub trial_domains_max: i64,
    /// Bytes that all mailboxes of the organization keep together.
    pub storage_bytes_max: i64,
    /// Bytes of mail in and out of the organization in a calendar month (UTC).
    pub monthly_bandwidth_bytes_max: i64,
    /// Messages that the organization sends in a calendar month (UTC).
    pub monthly_sends_max: i64,
    /// How many messages may be sent in any second.
    pub send_rates: SendRates,
    /// How many requests to the interface there may be in any second.
    pub request_rates: RequestRates,
    /// Whether mailboxes, storage, bandwidth and monthly sends go on above their allowance and are billed.
    pub has_overage: bool,
    /// What holds for each mailbox, unless a policy lowers it.
    pub limits: PlanLimits,
}

/// How many messages may be sent in any second. -1 is unlimited.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendRates {
    /// By all applications of the organization together, but for its sandboxes.
    pub organization: i64,
    /// By all sandbox applications of the organization together.
    pub sandbox: i64,
    /// From each domain.
    pub domain: i64,
    /// By each mailbox.
    pub grant: i64,
    /// Through each API key.
    pub api_key: i64,
    /// For how many seconds a send above the organization's rate may wait for its turn; 0 refuses it.
    pub burst_seconds: i64,
}

/// How many requests there may be in any second, at each node of the server. -1 is unlimited.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestRates {
    /// By each application, about what belongs to no single mailbox.
    pub application: i64,
    /// About what each mailbox has: messages, drafts, folders.
    pub grant: i64,
    /// Of these, sends that come as forms.
    pub grant_form: i64,
    /// With each API key, whatever is asked for.
    pub api_key: i64,
}

/// What a plan allows each mailbox, under the names that policies have for it. -1 is unlimited.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanLimits {
    /// Bytes of one attachment of an inbound message.
    pub limit_attachment_size_limit: i64,
    /// Attachments of one inbound message.
    pub limit_attachment_count_limit: i64,
    /// Media types of attachments of inbound messages; empty allows all.
    pub limit_attachment_allowed_types: Vec<String>,
    /// Bytes of one inbound message.
    pub limit_size_total_mime: i64,
    /// Bytes that the mailbox keeps.
    pub limit_storage_total: i64,
    /// Messages received in a UTC day.
    pub limit_count_daily_message_received: i64,
    /// Messages sent in a UTC day.
    pub limit_count_daily_email_sent: i64,
    /// Days that mail outside junk is kept.
    pub limit_inbox_retention_period: i64,
    /// Days that junk is kept.
    pub limit_spam_retention_period: i64,
    /// Bytes of one outbound message as raw MIME, on every path. No policy changes it.
    pub outbound_message_bytes_max: i64,
}
