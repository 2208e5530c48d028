//! What the fields of a mailbox must be like, wherever they are given.

use postfleet_core::id::WorkspaceId;
use postfleet_core::{EmailAddress, Problem, ProblemKind, plan};
use postfleet_store::grants::{Grant, GrantOutcome};

/// The longest display name.
pub const NAME_CHARS_MAX: usize = 256;

/// The longest text that a mailbox shows again.
pub const STATE_CHARS_MAX: usize = 2_048;

/// An address that a mailbox can have. Quoted local parts are for mail to others: too many programs break on them.
pub(super) fn email(text: &str) -> Result<EmailAddress, Problem> {
    let refuse = |why: &dyn std::fmt::Display| {
        Problem::invalid("settings.email", format!("settings.email is not an address: {why}"))
    };
    if text.starts_with('"') {
        return Err(refuse(&"its local part must not be quoted"));
    }
    EmailAddress::parse(text).map_err(|error| refuse(&error))
}

/// A display name.
pub(super) fn name(text: String) -> Result<String, Problem> {
    if text.is_empty() {
        return Err(Problem::invalid("name", format!("name must be 1 to {NAME_CHARS_MAX} characters long")));
    }
    if text.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::invalid("name", format!("name must be at most {NAME_CHARS_MAX} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "name must not have control characters"));
    }
    Ok(text)
}

/// Text that a mailbox shows again.
pub(super) fn state(text: String) -> Result<String, Problem> {
    if text.chars().count() > STATE_CHARS_MAX {
        return Err(Problem::invalid("state", format!("state must be at most {STATE_CHARS_MAX} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid("state", "state must not have control characters"));
    }
    Ok(text)
}

/// The id of a workspace.
pub(super) fn workspace(text: &str) -> Result<WorkspaceId, Problem> {
    text.parse().map_err(|_| Problem::invalid("workspace_id", "workspace_id must be a valid UUID or null"))
}

/// The refusal of a workspace that the application does not have.
pub(super) fn no_such_workspace() -> Problem {
    Problem::invalid("workspace_id", "workspace_id does not belong to this application")
}

/// The mailbox that was asked for under that address, and whether it was made just now; or why there is none.
pub(super) fn outcome(outcome: GrantOutcome, email: &EmailAddress) -> Result<(Grant, bool), Problem> {
    let in_email = |problem: Problem| Err(Problem { field: Some("settings.email".into()), ..problem });
    match outcome {
        GrantOutcome::Created(grant) => Ok((grant, true)),
        GrantOutcome::Existing(grant) => Ok((grant, false)),
        GrantOutcome::Taken => {
            let text = "settings.email already exists in another application";
            in_email(Problem::new(ProblemKind::Conflict, "email_taken", text))
        }
        GrantOutcome::DomainUnknown => {
            let text = format!("domain is not registered: {}", email.domain());
            in_email(Problem::new(ProblemKind::Invalid, "domain_not_registered", text))
        }
        GrantOutcome::DomainUnowned => {
            let text = format!("domain is not verified: {}", email.domain());
            in_email(Problem::new(ProblemKind::Invalid, "domain_not_verified", text))
        }
        GrantOutcome::TooMany(cap) => Err(plan::cap_reached("grants_max_reached", "agent accounts", cap)),
        GrantOutcome::WorkspaceUnknown => Err(no_such_workspace()),
    }
}
