//! Why a command did not do what it was to do: told to people with what to do next, to programs as JSON, and as an exit
//! code.

use crate::output::time;
use crate::surroundings::Surroundings;
use serde_json::{Value, json};
use std::io::Write;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server refused.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// The command was not used as it can be.
    #[error("{0}")]
    Usage(String),
    /// No connection, or one that broke.
    #[error("cannot reach {url}: {cause}")]
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        cause: String,
    },
    /// What answered is not this interface.
    #[error("{url} answered {status}, and not as this interface does")]
    Foreign {
        /// The request.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// Something on this machine, such as a file.
    #[error("{0}")]
    Local(String),
    /// Part of the work was refused; the results say which.
    #[error("{0}")]
    Partly(String),
    /// Somebody said no.
    #[error("nothing was changed")]
    Declined,
    /// A check found something; the results say what.
    #[error("{0}")]
    Found(String),
}

/// A refusal of the server.
#[derive(Debug, Default)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable word.
    pub code: String,
    /// The text for people.
    pub message: String,
    /// The field that is wrong.
    pub field: Option<String>,
    /// The request, to be found in the server's log.
    pub request_id: Option<String>,
    /// What is allowed, of a used-up allowance.
    pub limit: Option<u64>,
    /// What is used of it.
    pub used: Option<u64>,
    /// When it begins anew.
    pub resets_at: Option<i64>,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u64>,
}

/// What a command answers that did what it could.
pub type Outcome = Result<(), Failure>;

impl Refusal {
    /// Reads the body of an error.
    pub fn read(status: u16, body: &Value, retry_after: Option<u64>) -> Option<Self> {
        let error = body.get("error")?;
        let text = |field: &str| error[field].as_str().map(str::to_owned);
        Some(Self {
            status,
            code: text("code").or_else(|| text("type")).unwrap_or_default(),
            message: text("message")?,
            field: text("field"),
            request_id: body["request_id"].as_str().map(str::to_owned),
            limit: error["limit"].as_u64(),
            used: error["used"].as_u64(),
            resets_at: error["resets_at"].as_i64(),
            retry_after,
        })
    }

    fn advice(&self) -> Option<String> {
        let advice = match self.code.as_str() {
            "invalid_api_key" => {
                "check the key (--key, POSTFLEET_KEY or `postfleet login`); revoked and expired keys end here, too"
            }
            "application_key" => {
                "this needs an operator's key: --operator-key, POSTFLEET_OPERATOR_KEY or `postfleet login`"
            }
            "operator_key" => {
                "this needs an application's key: --key or POSTFLEET_KEY; `postfleet key create` makes one"
            }
            "insufficient_scopes" => {
                "use a key that has this permission, or make one: postfleet key create --permission …"
            }
            "installation_only" => "use the operator's key that `postfleet init` made",
            "permission_exceeds_maker" => "ask for no more than the key has with which you ask",
            "domain_not_registered" => "register the domain first: postfleet domain add <domain>",
            "domain_not_verified" => {
                "publish its records and look again: postfleet domain records <domain>, postfleet domain verify <domain>"
            }
            "message_under_way" => "try again when its attempts are over: postfleet queue inspect <id>",
            "domain_in_use" => "remove or move its mailboxes first: postfleet agent list --all",
            "email_taken" => "choose another address; another application has this one",
            "default_workspace" => "the default workspace stays; change its policy instead: postfleet workspace update",
            "workspace_too_large" => "move its mailboxes first: postfleet workspace assign",
            "application_not_empty" => "remove its mailboxes first: postfleet agent list --all",
            "own_raise" => "ask somebody with another key that may decide about raises (raises.decide)",
            "raise_pending" => "withdraw the one that waits first: postfleet raise list --state requested",
            "daily_quota_exceeded" => "ask for more for a while: postfleet raise request",
            "domain_warm_up_exceeded" => {
                "see how far it is: postfleet domain warm-up <domain>; or send from another domain"
            }
            "operator_lifts" => {
                "`postfleet stops <id>` says how it ends: an operator lifts a restriction, or grants a recovery from a pause"
            }
            "recovery_needed" => {
                "ask to come back: postfleet recovery request <mailbox> --cause <cause> --fix <fix>; an operator grants it"
            }
            "recovery_checks_failed" => {
                "mend what is missing: postfleet recovery show <mailbox> <id>; or grant it with --despite-checks and --note"
            }
            "recovery_pending" => "withdraw the one that waits first: postfleet recovery list <mailbox>",
            "not_paused" => "see what stops it: postfleet stops <mailbox>",
            "key_revoked" => "make another one: postfleet key create",
            "grants_max_reached"
            | "trial_domains_max_reached"
            | "rules_max_reached"
            | "lists_max_reached"
            | "workspaces_max_reached" => {
                "remove something, or ask the installation's operator for another plan: postfleet org update --plan"
            }
            "not_found" => {
                "look for it in the list (postfleet … list); what belongs to another application is not found either"
            }
            "unknown_route" => "the server is older than this command, or --url is not that of a postfleet server",
            "unavailable" | "disk_full" | "internal_error" => {
                "look into the server's log for the request; what changes nothing twice may be tried again"
            }
            _ => return self.retry_after.map(|seconds| format!("try again in {seconds} seconds")),
        };
        Some(advice.to_owned())
    }
}

impl Failure {
    /// 1 refused or failed, 2 wrong usage, 3 no connection, 4 something was found.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Foreign { .. } | Self::Local(_) | Self::Partly(_) | Self::Declined => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Found(_) => 4,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.code,
            Self::Usage(_) => "usage",
            Self::Unreachable { .. } => "unreachable",
            Self::Foreign { .. } => "unexpected_answer",
            Self::Local(_) => "local",
            Self::Partly(_) => "partly_refused",
            Self::Declined => "declined",
            Self::Found(_) => "found",
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.advice(),
            Self::Unreachable { .. } => Some(
                "is the server running, and is the URL right (--url, POSTFLEET_URL or `postfleet login`)?".to_owned(),
            ),
            Self::Foreign { .. } => Some("check --url: it is the server's base URL, without /v3".to_owned()),
            _ => None,
        }
    }

    /// Says it on the stream for failures. What cannot be said there is lost, as there is no other place.
    pub fn tell(&self, surroundings: &mut Surroundings<'_>, is_json: bool) {
        let text = if is_json { format!("{}\n", self.json()) } else { self.text() };
        let _ = surroundings.stderr.write_all(text.as_bytes());
    }

    fn json(&self) -> Value {
        let mut error = json!({
            "code": self.code(), "message": self.to_string(), "field": null, "request_id": null, "advice": self.advice(),
        });
        if let Self::Refused(refusal) = self {
            error["field"] = json!(refusal.field);
            error["request_id"] = json!(refusal.request_id);
            error["status"] = json!(refusal.status);
            if refusal.limit.is_some() {
                error["limit"] = json!(refusal.limit);
                error["used"] = json!(refusal.used);
                error["resets_at"] = json!(refusal.resets_at);
            }
        }
        error
    }

    fn text(&self) -> String {
        let mut text = format!("error: {self}\n");
        let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<8} {value}\n"));
        if let Self::Refused(refusal) = self {
            if let Some(field) = &refusal.field {
                line("field", field);
            }
            if let Some(limit) = refusal.limit {
                let used = refusal.used.map(|used| format!(", {used} used")).unwrap_or_default();
                let again = refusal.resets_at.map(|at| format!(", anew at {}", time(at))).unwrap_or_default();
                line("limit", &format!("{limit}{used}{again}"));
            }
            line("code", &format!("{} (HTTP {})", refusal.code, refusal.status));
            if let Some(id) = &refusal.request_id {
                line("request", id);
            }
        }
        if let Some(advice) = self.advice() {
            line("help", &advice);
        }
        text
    }
}
