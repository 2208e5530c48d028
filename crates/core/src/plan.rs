//! Plans: what an organization may use. Plans are data; three presets are compiled in.

/// The allowances of one plan. `None` is unlimited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The name under which an organization has it.
    pub name: &'static str,
    /// Mailboxes that may exist at once in the organization.
    pub grants_max: Option<u64>,
    /// Messages one mailbox may send in a UTC day.
    pub daily_sends_max: Option<u64>,
    /// Octets of one inbound message.
    pub inbound_message_octets_max: u64,
    /// Octets of the raw MIME of one outbound message, on every path.
    pub outbound_message_octets_max: u64,
}

const MEBIBYTE: u64 = 1 << 20;

/// The presets: `free` and `full_platform` as the hosted service sells them, `self_hosted` with every metered
/// resource unlimited.
pub const PRESETS: &[Plan] = &[
    Plan {
        name: "free",
        grants_max: Some(3),
        daily_sends_max: Some(200),
        inbound_message_octets_max: 50 * MEBIBYTE,
        outbound_message_octets_max: 25 * MEBIBYTE,
    },
    Plan {
        name: "full_platform",
        grants_max: Some(20),
        daily_sends_max: None,
        inbound_message_octets_max: 100 * MEBIBYTE,
        outbound_message_octets_max: 25 * MEBIBYTE,
    },
    Plan {
        name: "self_hosted",
        grants_max: None,
        daily_sends_max: None,
        inbound_message_octets_max: 100 * MEBIBYTE,
        outbound_message_octets_max: 25 * MEBIBYTE,
    },
];

/// Recipients of one message over to, cc and bcc, on every plan.
pub const RECIPIENTS_MAX: usize = 50;

/// The largest inbound message that any plan accepts: what the SMTP listener announces as SIZE.
pub fn inbound_octets_ceiling() -> u64 {
    PRESETS.iter().map(|plan| plan.inbound_message_octets_max).max().unwrap_or(0)
}

/// Finds a preset by name.
pub fn preset(name: &str) -> Option<&'static Plan> {
    PRESETS.iter().find(|plan| plan.name == name)
}

/// What a policy sets below the plan. `None` leaves the plan's allowance.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PolicyLimits {
    /// Messages one mailbox may send in a UTC day (`limit_count_daily_email_sent`).
    pub daily_sends_max: Option<u64>,
}

/// The allowances that hold for one mailbox: the plan's, lowered by its workspace's policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Messages in a UTC day; `None` is unlimited.
    pub daily_sends_max: Option<u64>,
    /// Octets of one inbound message.
    pub inbound_message_octets_max: u64,
    /// Octets of one outbound message.
    pub outbound_message_octets_max: u64,
}

impl Limits {
    /// Applies a policy to a plan. A policy can lower, never raise.
    pub fn effective(plan: &Plan, policy: &PolicyLimits) -> Self {
        Self {
            daily_sends_max: lower(plan.daily_sends_max, policy.daily_sends_max),
            inbound_message_octets_max: plan.inbound_message_octets_max,
            outbound_message_octets_max: plan.outbound_message_octets_max,
        }
    }
}

fn lower(plan: Option<u64>, policy: Option<u64>) -> Option<u64> {
    match (plan, policy) {
        (Some(plan), Some(policy)) => Some(plan.min(policy)),
        (limit, None) | (None, limit) => limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_lowers_and_never_raises() {
        let free = preset("free").unwrap();
        let unlimited = preset("self_hosted").unwrap();
        for (plan, policy, expected) in [
            (free, None, Some(200)),
            (free, Some(50), Some(50)),
            (free, Some(500), Some(200)),
            (free, Some(0), Some(0)),
            (unlimited, None, None),
            (unlimited, Some(500), Some(500)),
        ] {
            let limits = Limits::effective(plan, &PolicyLimits { daily_sends_max: policy });
            assert_eq!(limits.daily_sends_max, expected);
        }
    }
}
