//! What a policy may say: a request's limits are judged against the plan, field by field, before they are kept. A
//! policy that sets nothing leaves every limit at the plan's maximum.

use crate::media_range::MediaRange;
use crate::patch::Patch;
use crate::plan::{Limits, Plan, PolicyLimits};
use crate::problem::Problem;

/// Characters of a policy's name.
pub const NAME_CHARS_MAX: usize = 256;

/// Media types that one policy may list.
pub const ATTACHMENT_TYPES_MAX: usize = 100;

/// The word of requests and answers for "no limit".
pub const UNLIMITED: i64 = -1;

/// One limit that is a number, by the name that it has in requests and answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LimitField {
    /// `limit_attachment_size_limit`, octets.
    AttachmentOctets,
    /// `limit_attachment_count_limit`.
    Attachments,
    /// `limit_size_total_mime`, octets.
    InboundMessageOctets,
    /// `limit_storage_total`, octets.
    StorageOctets,
    /// `limit_count_daily_message_received`.
    DailyReceived,
    /// `limit_count_daily_email_sent`.
    DailySends,
    /// `limit_inbox_retention_period`, days.
    InboxRetentionDays,
    /// `limit_spam_retention_period`, days.
    SpamRetentionDays,
}

/// The name of the limit that is a list.
pub const ATTACHMENT_TYPES: &str = "limit_attachment_allowed_types";

impl LimitField {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 8] = [
        Self::AttachmentOctets,
        Self::Attachments,
        Self::InboundMessageOctets,
        Self::StorageOctets,
        Self::DailyReceived,
        Self::DailySends,
        Self::InboxRetentionDays,
        Self::SpamRetentionDays,
    ];

    /// Its name in requests and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AttachmentOctets => "limit_attachment_size_limit",
            Self::Attachments => "limit_attachment_count_limit",
            Self::InboundMessageOctets => "limit_size_total_mime",
            Self::StorageOctets => "limit_storage_total",
            Self::DailyReceived => "limit_count_daily_message_received",
            Self::DailySends => "limit_count_daily_email_sent",
            Self::InboxRetentionDays => "limit_inbox_retention_period",
            Self::SpamRetentionDays => "limit_spam_retention_period",
        }
    }

    /// What it counts in.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::AttachmentOctets | Self::InboundMessageOctets | Self::StorageOctets => "bytes",
            Self::Attachments => "attachments",
            Self::DailyReceived | Self::DailySends => "messages",
            Self::InboxRetentionDays | Self::SpamRetentionDays => "days",
        }
    }

    /// Whether a plan may leave it unlimited, so that −1 means something.
    pub const fn may_be_unlimited(self) -> bool {
        !matches!(self, Self::AttachmentOctets | Self::Attachments | Self::InboundMessageOctets)
    }

    /// What holds for it among some limits; `None` is unlimited.
    pub fn of(self, limits: &Limits) -> Option<u64> {
        match self {
            Self::AttachmentOctets => Some(limits.attachment_octets_max),
            Self::Attachments => Some(limits.attachments_max),
            Self::InboundMessageOctets => Some(limits.inbound_message_octets_max),
            Self::StorageOctets => limits.storage_octets_max,
            Self::DailyReceived => limits.daily_received_max,
            Self::DailySends => limits.daily_sends_max,
            Self::InboxRetentionDays => limits.inbox_retention_days,
            Self::SpamRetentionDays => limits.spam_retention_days,
        }
    }

    /// What a policy sets for it.
    pub fn set_by(self, policy: &PolicyLimits) -> Option<u64> {
        match self {
            Self::AttachmentOctets => policy.attachment_octets_max,
            Self::Attachments => policy.attachments_max,
            Self::InboundMessageOctets => policy.inbound_message_octets_max,
            Self::StorageOctets => policy.storage_octets_max,
            Self::DailyReceived => policy.daily_received_max,
            Self::DailySends => policy.daily_sends_max,
            Self::InboxRetentionDays => policy.inbox_retention_days,
            Self::SpamRetentionDays => policy.spam_retention_days,
        }
    }

    fn slot(self, policy: &mut PolicyLimits) -> &mut Option<u64> {
        match self {
            Self::AttachmentOctets => &mut policy.attachment_octets_max,
            Self::Attachments => &mut policy.attachments_max,
            Self::InboundMessageOctets => &mut policy.inbound_message_octets_max,
            Self::StorageOctets => &mut policy.storage_octets_max,
            Self::DailyReceived => &mut policy.daily_received_max,
            Self::DailySends => &mut policy.daily_sends_max,
            Self::InboxRetentionDays => &mut policy.inbox_retention_days,
            Self::SpamRetentionDays => &mut policy.spam_retention_days,
        }
    }
}

/// What a request says about a policy's limits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LimitsChange {
    /// The numbers that it names, each with the spelling of its field. Null gives the limit back to the plan.
    pub numbers: Vec<(LimitField, &'static str, Patch<i64>)>,
    /// `limit_attachment_allowed_types`; an empty list sets nothing.
    pub attachment_types: Patch<Vec<MediaRange>>,
}

impl LimitsChange {
    /// The change that gives every limit back to the plan.
    pub fn reset() -> Self {
        let numbers = LimitField::ALL.map(|field| (field, field.name(), Patch::Clear)).into();
        Self { numbers, attachment_types: Patch::Clear }
    }

    /// What the policy sets after the change, if the plan allows what is new in it. What stays is not judged again: an
    /// organization that has gone to a smaller plan can still rename its policies, and the plan lowers them anyway.
    pub fn apply(&self, current: &PolicyLimits, plan: &Plan) -> Result<PolicyLimits, Problem> {
        let mut merged = current.clone();
        for (field, spelling, change) in &self.numbers {
            let slot = field.slot(&mut merged);
            match *change {
                Patch::Keep => {}
                Patch::Clear => *slot = None,
                Patch::Set(value) => *slot = judge(*field, spelling, value, plan)?,
            }
        }
        match &self.attachment_types {
            Patch::Keep => {}
            Patch::Clear => merged.attachment_types.clear(),
            Patch::Set(types) => merged.attachment_types = judge_types(types, plan)?,
        }
        if self.touches_retention() {
            judge_retention(&merged, plan)?;
        }
        Ok(merged)
    }

    fn touches_retention(&self) -> bool {
        let is_retention = |field| matches!(field, LimitField::InboxRetentionDays | LimitField::SpamRetentionDays);
        self.numbers.iter().any(|(field, _, change)| is_retention(*field) && !change.is_keep())
    }
}

fn judge(field: LimitField, spelling: &str, value: i64, plan: &Plan) -> Result<Option<u64>, Problem> {
    let refuse = |text: String| Err(invalid(spelling, &text));
    let (maximum, unit) = (field.of(&plan.limits), field.unit());
    match (u64::try_from(value), maximum) {
        (Ok(value), Some(maximum)) if value > maximum => {
            refuse(format!("must be at most {maximum} {unit}, the maximum of the plan {}", plan.name))
        }
        (Ok(value), _) => Ok(Some(value)),
        (Err(_), None) if value == UNLIMITED => Ok(None),
        (Err(_), Some(maximum)) if value == UNLIMITED && field.may_be_unlimited() => refuse(format!(
            "must not be -1 (unlimited): the plan {} allows at most {maximum} {unit}; leave it out for that",
            plan.name
        )),
        (Err(_), _) if field.may_be_unlimited() => {
            refuse("must be a whole number of at least 0, or -1 for unlimited".into())
        }
        (Err(_), _) => refuse("must be a whole number of at least 0; it cannot be unlimited".into()),
    }
}

fn judge_types(types: &[MediaRange], plan: &Plan) -> Result<Vec<MediaRange>, Problem> {
    let refuse = |text: String| Err(invalid(ATTACHMENT_TYPES, &text));
    if types.len() > ATTACHMENT_TYPES_MAX {
        return refuse(format!("must list at most {ATTACHMENT_TYPES_MAX} media types"));
    }
    let allowed = &plan.limits.attachment_types;
    let is_inside = |range: &MediaRange| allowed.is_empty() || allowed.iter().any(|plan| plan.contains(range));
    if let Some(range) = types.iter().find(|range| !is_inside(range)) {
        let allowed = allowed.iter().map(MediaRange::as_str).collect::<Vec<_>>().join(", ");
        return refuse(format!("names {range}, and the plan {} allows only {allowed}", plan.name));
    }
    Ok(types.to_vec())
}

/// Junk must go before other mail does. Judged by what will hold, for a policy that sets one of the two.
fn judge_retention(policy: &PolicyLimits, plan: &Plan) -> Result<(), Problem> {
    if policy.inbox_retention_days.is_none() && policy.spam_retention_days.is_none() {
        return Ok(());
    }
    let effective = Limits::effective(&plan.limits, policy);
    if spam_goes_first(&effective) {
        return Ok(());
    }
    let days = |days: Option<u64>| days.map_or("unlimited".to_owned(), |days| format!("{days} days"));
    let text = format!(
        "must be lower than limit_inbox_retention_period: junk would be kept {}, other mail {}",
        days(effective.spam_retention_days),
        days(effective.inbox_retention_days)
    );
    Err(invalid(LimitField::SpamRetentionDays.name(), &text))
}

/// Whether junk is kept for a shorter time than other mail, or other mail for ever.
pub fn spam_goes_first(limits: &Limits) -> bool {
    match (limits.spam_retention_days, limits.inbox_retention_days) {
        (Some(spam), Some(inbox)) => spam < inbox,
        (None, Some(_)) => false,
        (_, None) => true,
    }
}

fn invalid(field: &str, text: &str) -> Problem {
    let field = format!("limits.{field}");
    Problem::invalid(&field, format!("{field} {text}"))
}

/// How a policy recognises junk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpamDetection {
    /// Whether lists of bad addresses in the DNS are asked.
    pub use_list_dnsbl: bool,
    /// Whether odd header fields count.
    pub use_header_anomaly_detection: bool,
    /// Thousandths; more marks more. Between 100 and 5,000.
    pub sensitivity_permille: u32,
}

impl Default for SpamDetection {
    fn default() -> Self {
        Self { use_list_dnsbl: false, use_header_anomaly_detection: false, sensitivity_permille: 1_000 }
    }
}

/// What a request says about the recognition of junk. Null gives the default back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpamDetectionChange {
    /// See [`SpamDetection`].
    pub use_list_dnsbl: Patch<bool>,
    /// See [`SpamDetection`].
    pub use_header_anomaly_detection: Patch<bool>,
    /// As [`sensitivity`] reads it.
    pub sensitivity_permille: Patch<u32>,
}

impl SpamDetectionChange {
    /// The change that gives everything its default.
    pub const RESET: Self = Self {
        use_list_dnsbl: Patch::Clear,
        use_header_anomaly_detection: Patch::Clear,
        sensitivity_permille: Patch::Clear,
    };

    /// What holds after the change.
    pub fn apply(self, current: SpamDetection) -> SpamDetection {
        let default = SpamDetection::default();
        SpamDetection {
            use_list_dnsbl: self.use_list_dnsbl.apply(Some(current.use_list_dnsbl)).unwrap_or(default.use_list_dnsbl),
            use_header_anomaly_detection: self
                .use_header_anomaly_detection
                .apply(Some(current.use_header_anomaly_detection))
                .unwrap_or(default.use_header_anomaly_detection),
            sensitivity_permille: self
                .sensitivity_permille
                .apply(Some(current.sensitivity_permille))
                .unwrap_or(default.sensitivity_permille),
        }
    }
}

/// Reads `spam_sensitivity`: 0.1 to 5.0, kept in thousandths.
pub fn sensitivity(value: f64) -> Result<u32, Problem> {
    // Whatever is no number is in no range.
    if (0.1..=5.0).contains(&value) {
        return Ok((value * 1_000.0).round() as u32);
    }
    let field = "spam_detection.spam_sensitivity";
    Err(Problem::invalid(field, format!("{field} must be a number from 0.1 to 5.0")))
}

#[cfg(test)]
mod tests;
