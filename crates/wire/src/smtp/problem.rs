//! The SMTP side of a problem: one table from what went wrong to what a mail server says about it, and one to what it says
//! to the mail client of an account.
//!
//! To servers the texts are bland on purpose: what lies behind a refusal is not for strangers. Somebody who has signed in
//! is told what the interface would tell.

use postfleet_core::{Problem, ProblemKind};

use super::reply::{Reply, Severity};

/// The reply for a problem.
pub fn reply_for(kind: ProblemKind) -> Reply {
    use Severity::{Permanent, Transient};
    let (severity, detail_code, status, text) = match kind {
        ProblemKind::Invalid => (Permanent, 54, (6, 0), "message not acceptable"),
        ProblemKind::NotFound => (Permanent, 50, (1, 1), "no such mailbox"),
        // Whatever it collides with may be gone on the next attempt.
        ProblemKind::Conflict => (Transient, 51, (3, 0), "try again later"),
        ProblemKind::Unauthenticated => (Permanent, 30, (7, 0), "authentication required"),
        // One reply for the three, so that it does not tell which of them applies.
        ProblemKind::Forbidden
        | ProblemKind::InsufficientScopes
        | ProblemKind::Restricted
        | ProblemKind::BlockedByRule => (Permanent, 50, (7, 1), "not accepted by policy"),
        // RFC 7372 has no code for DMARC; this one says that SPF and DKIM both did not do.
        ProblemKind::Disowned => (Permanent, 50, (7, 26), "not proved to be from its author"),
        // Fails closed for now, and the sender's server asks again.
        ProblemKind::Undecidable => (Transient, 51, (7, 1), "policy cannot be evaluated now, try again later"),
        // The allowance resets by itself, so this is a delay and not a failure.
        ProblemKind::OverQuota => (Transient, 52, (7, 1), "allowance used up, try again later"),
        ProblemKind::RateLimited => (Transient, 50, (7, 1), "too fast, try again later"),
        ProblemKind::Stopped => (Permanent, 50, (7, 1), "sending is stopped"),
        // Only a person can end these, which takes longer than a queue waits.
        ProblemKind::SendingPaused => (Permanent, 50, (7, 1), "sending is paused"),
        ProblemKind::DomainUnverified => (Permanent, 50, (7, 1), "sender domain is not verified"),
        ProblemKind::TooLarge => (Permanent, 52, (3, 4), "message too large"),
        // RFC 3463 calls X.2.2 a persistent transient: the owner may make room before the sender gives up.
        ProblemKind::StorageFull => (Transient, 52, (2, 2), "mailbox full"),
        ProblemKind::OutOfSpace => (Transient, 52, (3, 1), "insufficient system storage"),
        ProblemKind::Unavailable | ProblemKind::Internal => {
            (Transient, 51, (3, 0), "temporary failure, try again later")
        }
    };
    Reply::new(severity, detail_code, Some(status), text)
}

/// The reply for a problem with mail that comes in. It is that of its kind, but where the limit is known: RFC 3463 tells a
/// mailbox that takes no more (X.2.2) from a system that does not (X.3.1).
pub fn receiving_reply_for(problem: &Problem) -> Reply {
    let (status, text) = match (problem.code, problem.scope()) {
        ("daily_received_exceeded", _) => ((2, 2), "mailbox takes no more for now, try again later"),
        ("bandwidth_exceeded", _) => ((3, 1), "no more mail is taken for now, try again later"),
        ("storage_full", Some("organization")) => ((3, 1), "insufficient storage, try again later"),
        _ => return reply_for(problem.kind),
    };
    Reply::new(Severity::Transient, 52, Some(status), text)
}

/// The reply for a problem of an account that submits a message.
pub fn submission_reply_for(problem: &Problem) -> Reply {
    use Severity::{Permanent, Transient};
    let (severity, detail_code, status) = match problem.kind {
        ProblemKind::Invalid => invalid(problem.code),
        // The account is gone while its session lasts.
        ProblemKind::NotFound | ProblemKind::Unauthenticated => return Reply::no_longer_signed_in(),
        ProblemKind::Forbidden
        | ProblemKind::InsufficientScopes
        | ProblemKind::Restricted
        | ProblemKind::BlockedByRule
        | ProblemKind::Disowned
        | ProblemKind::SendingPaused
        | ProblemKind::Stopped
        | ProblemKind::DomainUnverified => (Permanent, 50, (7, 1)),
        ProblemKind::Undecidable | ProblemKind::OverQuota | ProblemKind::RateLimited => (Transient, 51, (7, 1)),
        ProblemKind::TooLarge => (Permanent, 52, (3, 4)),
        ProblemKind::StorageFull => (Transient, 52, (2, 2)),
        ProblemKind::OutOfSpace => (Transient, 52, (3, 1)),
        ProblemKind::Conflict | ProblemKind::Unavailable | ProblemKind::Internal => (Transient, 51, (3, 0)),
    };
    Reply::new(severity, detail_code, Some(status), problem.public.clone())
}

/// What is wrong with a message itself has codes of its own where a client can do something about it.
fn invalid(code: &str) -> (Severity, u8, (u16, u16)) {
    match code {
        "foreign_author" => (Severity::Permanent, 50, (7, 1)),
        "too_many_recipients" => (Severity::Transient, 52, (5, 3)),
        _ => (Severity::Permanent, 54, (6, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::problem::Exhausted;

    #[test]
    fn the_table() {
        let line = |kind: &ProblemKind| format!("{:<16} {}", format!("{kind:?}"), reply_for(*kind));
        insta::assert_snapshot!(ProblemKind::ALL.iter().map(line).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn the_table_of_submission() {
        let line = |kind: &ProblemKind, code: &'static str| {
            let reply = submission_reply_for(&Problem::new(*kind, code, "as the interface says"));
            format!("{:<22} {reply}", format!("{kind:?} {code}").trim_end())
        };
        let kinds = ProblemKind::ALL.iter().map(|kind| line(kind, ""));
        let codes = ["foreign_author", "too_many_recipients"].map(|code| line(&ProblemKind::Invalid, code));
        insta::assert_snapshot!(kinds.chain(codes).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn the_table_of_limits() {
        use ProblemKind::{BlockedByRule, Forbidden, OverQuota, StorageFull, TooLarge, Undecidable};
        for (kind, code, scope, reply) in [
            (TooLarge, "message_too_large", "message", "552 5.3.4 message too large"),
            (TooLarge, "attachment_too_large", "message", "552 5.3.4 message too large"),
            (TooLarge, "too_many_attachments", "message", "552 5.3.4 message too large"),
            (Forbidden, "attachment_type_refused", "message", "550 5.7.1 not accepted by policy"),
            (OverQuota, "daily_received_exceeded", "grant", "452 4.2.2 mailbox takes no more for now, try again later"),
            (StorageFull, "storage_full", "grant", "452 4.2.2 mailbox full"),
            (StorageFull, "storage_full", "organization", "452 4.3.1 insufficient storage, try again later"),
            (
                OverQuota,
                "bandwidth_exceeded",
                "organization",
                "452 4.3.1 no more mail is taken for now, try again later",
            ),
            (BlockedByRule, "blocked_by_rule", "", "550 5.7.1 not accepted by policy"),
            (Undecidable, "rules_undecidable", "", "451 4.7.1 policy cannot be evaluated now, try again later"),
        ] {
            let exhausted = Exhausted { scope, limit: 1, used: 1, resets_at: None };
            let exhausted = (!scope.is_empty()).then(|| Box::new(exhausted));
            let problem = Problem { exhausted, ..Problem::new(kind, code, "") };
            assert_eq!(receiving_reply_for(&problem).to_string(), reply, "{code}");
        }
    }

    #[test]
    fn retryable_problems_get_transient_replies() {
        for kind in ProblemKind::ALL.iter().filter(|kind| kind.is_retryable()) {
            assert_eq!(reply_for(*kind).severity(), Severity::Transient, "{kind:?}");
            let submission = submission_reply_for(&Problem::new(*kind, "", ""));
            assert_eq!(submission.severity(), Severity::Transient, "{kind:?}");
        }
    }
}
