//! Whose decision a refusal is, and what would change it: for people who ask why sending stopped.

use crate::policy::LimitField;

/// Who or what says no.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A limit of the policy or of the plan, whichever is in force.
    Limit(LimitField),
    /// The plan of the organization.
    Plan,
    /// The key with which it was asked for.
    Key,
    /// The domain of the mailbox.
    Domain,
    /// The suppressed addresses of the application.
    Suppressions,
    /// The rules of the workspace.
    Rules,
    /// A stop: whoever may lift it.
    Stop,
    /// The message itself.
    Message,
}

impl Owner {
    /// The word on the wire; of a limit, who sets it is known by whoever knows the limits.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit(_) => "limit",
            Self::Plan => "plan",
            Self::Key => "api_key",
            Self::Domain => "domain",
            Self::Suppressions => "suppressions",
            Self::Rules => "workspace",
            Self::Stop => "stop",
            Self::Message => "message",
        }
    }
}

/// Whose decision the refusal with that code is, and what would change it. Scope is whose allowance is used up.
pub fn of(code: &str, scope: Option<&str>) -> (Owner, &'static str) {
    match code {
        "daily_quota_exceeded" => (
            Owner::Limit(LimitField::DailySends),
            "wait until it resets, or raise limit_count_daily_email_sent of the policy, up to what the plan allows",
        ),
        "storage_full" if scope == Some("grant") => (
            Owner::Limit(LimitField::StorageOctets),
            "remove messages, or raise limit_storage_total of the policy, up to what the plan allows",
        ),
        "storage_full" => (Owner::Plan, "remove messages of any mailbox, or give the organization a larger plan"),
        "monthly_quota_exceeded" | "bandwidth_exceeded" => {
            (Owner::Plan, "wait until the month ends, or give the organization a larger plan")
        }
        "domain_warm_up_exceeded" => (
            Owner::Domain,
            "wait until midnight UTC, send from another domain, or end the domain's warm-up if it is warm already",
        ),
        "per_second_rate_limit_exceeded" | "rate_limit_exceeded" => {
            (Owner::Plan, "send again in a second; the plan says how many may be sent in one")
        }
        "message_too_large" => {
            (Owner::Plan, "send a smaller message, or files as links; the plan says how large one may be")
        }
        "key_may_not_send" | "key_may_only_reply" => {
            (Owner::Key, "change capabilities.sending of the key, or send with another key")
        }
        "recipient_not_allowed" => (
            Owner::Key,
            "leave out whom the message names, add their domain to capabilities.recipient_domains of the key, or change \
             its capabilities.sending",
        ),
        "attachments_not_allowed" => (Owner::Key, "send without attachments, or allow them in the key's capabilities"),
        "new_recipients_exceeded" => {
            (Owner::Key, "wait until it resets, or raise capabilities.new_recipients_per_day of the key")
        }
        "sender_domain_unverified" => {
            (Owner::Domain, "publish the records that the domain still lacks, and have it verified")
        }
        "abuse_restriction" => (
            Owner::Stop,
            "ask the operator of the installation to lift the restriction; the support bundle has what they need",
        ),
        "account_paused" => (
            Owner::Stop,
            "mend what makes mail bounce or recipients complain, and say so in a request: POST /v3/grants/{grant}/recoveries",
        ),
        "sending_paused" => {
            (Owner::Stop, "see GET /v3/stops for who stopped it and why, and lift the stop once it is mended")
        }
        "held_by_breaker" | "held_by_loop" => {
            (Owner::Stop, "have the held send approved, or lift the stop once its cause is mended")
        }
        "all_recipients_suppressed" => {
            (Owner::Suppressions, "take the address off the suppressed ones, if its owner wants mail again")
        }
        "answers_itself" => (Owner::Message, "write to somebody else, or begin a new conversation"),
        "recipient_undeliverable" => (Owner::Message, "correct the address: its domain takes no mail"),
        "too_many_recipients" => (Owner::Message, "send to fewer recipients at once"),
        "blocked_by_rule" => (Owner::Rules, "change the rule that the mailbox's rule evaluations name, or the message"),
        "held_by_rule" => {
            (Owner::Rules, "have the held send approved, or change the rule that holds it, or the message")
        }
        "too_many_holds" => {
            (Owner::Message, "have held sends approved, rejected or cancelled, or wait until they leave")
        }
        "too_many_schedules" => (Owner::Message, "cancel sends that wait for their time, or wait until they leave"),
        "rules_undecidable" => (Owner::Rules, "try again: a list could not be asked just now"),
        _ => (Owner::Message, "see the message of the refusal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_refusals_say_what_to_raise() {
        assert_eq!(of("daily_quota_exceeded", Some("grant")).0, Owner::Limit(LimitField::DailySends));
        assert!(of("daily_quota_exceeded", Some("grant")).1.contains("limit_count_daily_email_sent"));
        assert!(of("new_recipients_exceeded", Some("key")).1.contains("new_recipients_per_day"));
        assert_eq!(of("storage_full", Some("grant")).0, Owner::Limit(LimitField::StorageOctets));
        assert_eq!(of("storage_full", Some("organization")).0, Owner::Plan);
        assert_eq!(of("anything else", None).0, Owner::Message);
    }
}
