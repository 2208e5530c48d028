//! Presets: workspaces of well-known kinds, each with the policy that such mailboxes usually get.

use crate::plan::{Limits, PolicyLimits};

/// A kind of workspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preset {
    /// The name by which it is asked for; its policy gets it, too.
    pub name: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// Sends a day of one mailbox.
    pub daily_sends_max: u64,
    /// Days that junk is kept, if the plan's are too many.
    pub spam_retention_days: Option<u64>,
    /// Whether lists of bad addresses in the DNS are asked.
    pub use_list_dnsbl: bool,
    /// Whether odd header fields count.
    pub use_header_anomaly_detection: bool,
    /// Thousandths; more marks more as junk.
    pub spam_sensitivity_permille: u32,
}

/// Every preset.
pub const ALL: &[Preset] = &[
    Preset {
        name: "outreach",
        summary: "mailboxes that write first and much: a high daily quota, the usual sensitivity to junk",
        daily_sends_max: 2_000,
        spam_retention_days: None,
        use_list_dnsbl: false,
        use_header_anomaly_detection: false,
        spam_sensitivity_permille: 1_000,
    },
    Preset {
        name: "triage",
        summary: "mailboxes that everybody writes to: every check for junk, which is kept for a short time; a modest \
                  daily quota",
        daily_sends_max: 100,
        spam_retention_days: Some(3),
        use_list_dnsbl: true,
        use_header_anomaly_detection: true,
        spam_sensitivity_permille: 3_000,
    },
    Preset {
        name: "prototype",
        summary: "experiments: a daily quota that does no harm",
        daily_sends_max: 25,
        spam_retention_days: None,
        use_list_dnsbl: false,
        use_header_anomaly_detection: false,
        spam_sensitivity_permille: 1_000,
    },
];

/// Finds a preset by name.
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// What its policy sets under a plan: never more than the plan allows.
    pub fn limits(&self, plan: &Limits) -> PolicyLimits {
        let clipped = |wanted: u64, plan: Option<u64>| plan.map_or(wanted, |plan| wanted.min(plan));
        PolicyLimits {
            daily_sends_max: Some(clipped(self.daily_sends_max, plan.daily_sends_max)),
            spam_retention_days: self.spam_retention_days.map(|days| clipped(days, plan.spam_retention_days)),
            ..PolicyLimits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plans;

    #[test]
    fn a_preset_sets_no_more_than_the_plan_allows() {
        let plans = Plans::presets();
        let limits = |preset: &str, plan: &str| find(preset).unwrap().limits(&plans.find(plan).unwrap().limits);
        assert_eq!(limits("outreach", "self_hosted").daily_sends_max, Some(2_000));
        assert_eq!(limits("outreach", "free").daily_sends_max, Some(200));
        assert_eq!(limits("triage", "free").daily_sends_max, Some(100));
        assert_eq!(limits("triage", "free").spam_retention_days, Some(3));
        assert_eq!(limits("prototype", "self_hosted").spam_retention_days, None);
        assert!(find("Triage").is_none());
    }

    #[test]
    fn junk_of_a_preset_goes_before_other_mail() {
        for plan in Plans::presets().iter() {
            for preset in ALL {
                let limits = Limits::effective(&plan.limits, &preset.limits(&plan.limits));
                let inbox = limits.inbox_retention_days.unwrap_or(u64::MAX);
                assert!(limits.spam_retention_days.is_none_or(|spam| spam < inbox), "{} {}", plan.name, preset.name);
            }
        }
    }
}
