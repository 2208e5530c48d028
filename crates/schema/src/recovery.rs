//! Recoveries: asking that a paused mailbox may send again, and deciding about it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/grants/{grant}/recoveries`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RequestRecovery {
    /// Why it came to the pause: 1 to 1,000 characters.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 1000)]
    pub cause: Option<String>,
    /// What was done so that it does not happen again: 1 to 1,000 characters.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 1000)]
    pub fix: Option<String>,
    /// What shows it: up to 10 texts of 1 to 1,000 characters; nothing if null or absent.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub evidence: Option<Vec<String>>,
}

/// `POST /v3/admin/recoveries/{recovery}/decide`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DecideRecovery {
    /// `grant` or `refuse`.
    #[serde(default)]
    #[schema(required = true)]
    pub decision: Option<String>,
    /// What is noted with the decision: at most 1,000 characters; nothing if null or absent. Needed with
    /// `despite_checks`.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub note: Option<String>,
    /// Grants it although not everything that is looked at is well; the note says why. False if absent.
    #[serde(default)]
    pub despite_checks: Option<bool>,
}

/// A case in which somebody asks that a paused mailbox may send again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Recovery {
    /// Its id.
    pub id: String,
    /// The mailbox's organization.
    pub organization_id: String,
    /// The mailbox's application.
    pub application_id: String,
    /// The mailbox.
    pub grant_id: String,
    /// The mailbox's address when it was asked for.
    pub email: String,
    /// The pause, which is a stop of the kind `pause`.
    pub stop_id: String,
    /// Since when the mailbox is or was paused, in unix seconds.
    pub paused_since: i64,
    /// `requested`, `granted`, `refused` or `withdrawn`.
    pub state: &'static str,
    /// Why it came to the pause.
    pub cause: String,
    /// What was done about it.
    pub fix: String,
    /// What shows it.
    pub evidence: Vec<String>,
    /// What was looked at, always the same things in the same order: when it was asked for, and once more when it was
    /// decided.
    pub checks: Vec<RecoveryCheck>,
    /// When that was looked at, in unix seconds.
    pub checked_at: i64,
    /// What is missing, in words: the texts of the checks that are not well.
    pub missing: Vec<String>,
    /// Who asked for it.
    pub requested_by: RecoveryAuthor,
    /// Who decided; null if nobody has.
    pub decided_by: Option<RecoveryAuthor>,
    /// When, in unix seconds; null if nobody has.
    pub decided_at: Option<i64>,
    /// What they noted; null for nothing.
    pub note: Option<String>,
    /// When it was asked for, in unix seconds.
    pub created_at: i64,
}

/// One thing that is looked at before a mailbox may send again.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryCheck {
    /// `list_cleaned`, `nothing_waits_for_them`, `domain_authenticated`, `no_restriction` or `pause_is_the_reason`.
    pub code: &'static str,
    /// Whether it is well.
    pub passed: bool,
    /// What was found, and what to do where it is not well.
    pub text: String,
}

/// Who asked or decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryAuthor {
    /// By what right: `api_key`, `access_token`, `operator_key`, or `system` for the rule of the configuration.
    pub kind: String,
    /// The id of the key, or of the mailbox whose token it is; empty for the rule.
    pub id: String,
    /// What people call it.
    pub name: String,
}
