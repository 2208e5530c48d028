//! Mail that a mailbox did not take: at which point of its way, what became of it, by which limit, and what would change
//! that. For people who ask why a message did not arrive.

use crate::policy::{ATTACHMENT_TYPES, LimitField};
use crate::problem::{Problem, ProblemKind};
use crate::rule::Verdict;
use crate::words::words;

/// Refusals for one reason that are kept of one mailbox and day: whoever goes on fills nothing, and is counted.
pub const KEPT_A_DAY_MAX: u64 = 100;

words! {
    /// Where on its way a message was refused.
    Stage {
        /// Before it was there, when its recipient was named.
        Rcpt = "rcpt",
        /// Once it was there.
        Data = "data",
    }
}

words! {
    /// What became of a message.
    Outcome {
        /// Its sender was told that it is not taken.
        Refused = "refused",
        /// Its sender was told to come back with it.
        Deferred = "deferred",
        /// Others took it; the copy of this mailbox was left out.
        Dropped = "dropped",
    }
}

/// What a sender is told of a message that nobody takes.
pub fn outcome(problem: &Problem) -> Outcome {
    // Of a mailbox that is full its owner may make room before the sender gives up (RFC 3463 §3.3).
    let is_later = problem.kind.is_retryable() || problem.kind == ProblemKind::StorageFull;
    if is_later { Outcome::Deferred } else { Outcome::Refused }
}

/// The refusal that rules come to; none if the message goes on.
pub fn by_rules(verdict: Verdict) -> Option<Problem> {
    match verdict {
        Verdict::Pass | Verdict::Hold => None,
        Verdict::Block => {
            Some(Problem::new(ProblemKind::BlockedByRule, "blocked_by_rule", "a rule of the mailbox blocks this mail"))
        }
        Verdict::Undecidable => {
            let text = "a rule that blocks mail could not be evaluated";
            Some(Problem::new(ProblemKind::Undecidable, "rules_undecidable", text))
        }
    }
}

/// Which limit it was, by the name that it has in policies, or of what a plan allows an organization.
pub fn limit_name(code: &str, scope: Option<&str>) -> Option<&'static str> {
    let field = match code {
        "message_too_large" => LimitField::InboundMessageOctets,
        "attachment_too_large" => LimitField::AttachmentOctets,
        "too_many_attachments" => LimitField::Attachments,
        "daily_received_exceeded" => LimitField::DailyReceived,
        "storage_full" if scope != Some("organization") => LimitField::StorageOctets,
        "attachment_type_refused" => return Some(ATTACHMENT_TYPES),
        "storage_full" => return Some("storage"),
        "bandwidth_exceeded" => return Some("bandwidth"),
        _ => return None,
    };
    Some(field.name())
}

/// What would change it.
pub fn change(code: &str, scope: Option<&str>) -> &'static str {
    match code {
        "message_too_large" => "raise limit_size_total_mime of the policy, up to what the plan allows",
        "attachment_too_large" => "raise limit_attachment_size_limit of the policy, up to what the plan allows",
        "too_many_attachments" => "raise limit_attachment_count_limit of the policy, up to what the plan allows",
        "attachment_type_refused" => "add the type to limit_attachment_allowed_types of the policy",
        "daily_received_exceeded" => {
            "wait until midnight UTC, or raise limit_count_daily_message_received of the policy, up to what the plan allows"
        }
        "storage_full" if scope == Some("organization") => {
            "remove messages of any mailbox, or give the organization a larger plan"
        }
        "storage_full" => "remove messages, or raise limit_storage_total of the policy, up to what the plan allows",
        "bandwidth_exceeded" => "wait until the month ends, or give the organization a larger plan",
        "blocked_by_rule" => "change the rule that the evaluation names, or the list that it looks into",
        "dmarc_reject" => {
            "its alleged author's domain asks to refuse such mail: whoever sends for it signs with DKIM, or set inbound.dmarc to quarantine"
        }
        "relay_denied" => "publish the record that shows whose the domain is, and have it verified",
        "mail_loop" => "end the circle: it has passed more servers than any message does that arrives",
        "rules_undecidable" => "nothing: the sender comes back, and is judged once the rules can be evaluated again",
        _ => "see the message of the refusal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_name_and_a_way_out() {
        for (code, scope, name) in [
            ("message_too_large", "message", "limit_size_total_mime"),
            ("attachment_too_large", "message", "limit_attachment_size_limit"),
            ("too_many_attachments", "message", "limit_attachment_count_limit"),
            ("attachment_type_refused", "message", "limit_attachment_allowed_types"),
            ("daily_received_exceeded", "grant", "limit_count_daily_message_received"),
            ("storage_full", "grant", "limit_storage_total"),
            ("storage_full", "organization", "storage"),
            ("bandwidth_exceeded", "organization", "bandwidth"),
        ] {
            assert_eq!(limit_name(code, Some(scope)), Some(name), "{code}");
            assert_ne!(change(code, Some(scope)), change("unknown", None), "{code}");
            if name.starts_with("limit_") {
                assert!(change(code, Some(scope)).contains(name) || code == "attachment_type_refused", "{code}");
            }
        }
        assert_eq!(limit_name("blocked_by_rule", None), None);
    }

    #[test]
    fn what_rules_come_to_is_told() {
        let said = |verdict| by_rules(verdict).map(|problem| (problem.code, outcome(&problem)));
        assert_eq!(said(Verdict::Pass), None);
        assert_eq!(said(Verdict::Block), Some(("blocked_by_rule", Outcome::Refused)));
        assert_eq!(said(Verdict::Undecidable), Some(("rules_undecidable", Outcome::Deferred)));
        let full = Problem::new(ProblemKind::StorageFull, "storage_full", "");
        assert_eq!(outcome(&full), Outcome::Deferred);
        assert_eq!(outcome(&Problem::new(ProblemKind::TooLarge, "message_too_large", "")), Outcome::Refused);
    }
}
