//! The registry of triggers: every event that the product can announce, and how webhooks may name it.

/// What happened. This is the single list from which subscriptions are validated and documents are made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Trigger {
    /// A mailbox was made.
    GrantCreated,
    /// A mailbox was changed.
    GrantUpdated,
    /// A mailbox was removed.
    GrantDeleted,
    /// A message arrived or was sent.
    MessageCreated,
    /// A message was removed.
    MessageDeleted,
    /// A message that was there was moved or marked.
    MessageUpdated,
    /// A message was sent at its time.
    MessageSendSuccess,
    /// A message could not be sent at its time.
    MessageSendFailed,
    /// A message waits for its quota, or for somebody to approve it.
    MessageHeld,
    /// A message that was held is on its way.
    MessageReleased,
    /// A draft was made.
    DraftCreated,
    /// A draft was changed.
    DraftUpdated,
    /// A draft was removed without being sent.
    DraftDeleted,
    /// A remote server (or a mailbox here) accepted the message for a recipient.
    MessageDelivered,
    /// Delivery to a recipient failed for good.
    MessageBounced,
    /// A recipient complained about the message.
    MessageComplaint,
    /// The message was refused before any server was asked.
    MessageRejected,
    /// A recipient of the message wants no more mail.
    MessageUnsubscribed,
    /// A folder was made.
    FolderCreated,
    /// A folder got another name.
    FolderUpdated,
    /// A folder was deleted.
    FolderDeleted,
    /// A mailbox has used most of a quota.
    QuotaWarning,
    /// A mailbox has used all of a quota; nothing was refused yet.
    QuotaReached,
    /// Something was refused because a quota is used up, for the first time in its period.
    QuotaExceeded,
    /// Somebody asks for a raise of a quota.
    RaiseRequested,
    /// A raise of a quota was granted, refused or withdrawn.
    RaiseDecided,
    /// Somebody asks that a paused mailbox may send again.
    RecoveryRequested,
    /// That was granted, refused or taken back.
    RecoveryDecided,
    /// Where a sender stands has changed: its bounces and complaints became more, or fewer.
    ReputationChanged,
    /// Somebody may not send any more.
    SendingStopped,
    /// Who was stopped may send again.
    SendingResumed,
    /// A mailbox has crossed a line that its workspace drew.
    BreakerTripped,
    /// One mailbox endangers a domain for all others on it.
    DomainEndangered,
    /// A rate of what an application sends is beyond a line that it has drawn.
    AlertTriggered,
    /// Somebody confirmed that they want mail for a purpose.
    OptInConfirmed,
    /// Somebody said that it was not them who wanted mail for a purpose.
    OptInDeclined,
    /// A question whether somebody wants mail was not sent after all: it was held, and did not leave.
    OptInNotSent,
    /// Nearly nothing that a webhook was told was taken for a quarter of an hour.
    WebhookFailing,
    /// A webhook is told of nothing more, since it takes nothing.
    WebhookFailed,
    /// A webhook that was failing or had failed takes events again.
    WebhookResumed,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: &[Self] = &[
        Self::GrantCreated,
        Self::GrantUpdated,
        Self::GrantDeleted,
        Self::MessageCreated,
        Self::MessageDeleted,
        Self::MessageUpdated,
        Self::MessageSendSuccess,
        Self::MessageSendFailed,
        Self::MessageHeld,
        Self::MessageReleased,
        Self::DraftCreated,
        Self::DraftUpdated,
        Self::DraftDeleted,
        Self::MessageDelivered,
        Self::MessageBounced,
        Self::MessageComplaint,
        Self::MessageRejected,
        Self::MessageUnsubscribed,
        Self::FolderCreated,
        Self::FolderUpdated,
        Self::FolderDeleted,
        Self::QuotaWarning,
        Self::QuotaReached,
        Self::QuotaExceeded,
        Self::RaiseRequested,
        Self::RaiseDecided,
        Self::RecoveryRequested,
        Self::RecoveryDecided,
        Self::ReputationChanged,
        Self::SendingStopped,
        Self::SendingResumed,
        Self::BreakerTripped,
        Self::DomainEndangered,
        Self::AlertTriggered,
        Self::OptInConfirmed,
        Self::OptInDeclined,
        Self::OptInNotSent,
        Self::WebhookFailing,
        Self::WebhookFailed,
        Self::WebhookResumed,
    ];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GrantCreated => "grant.created",
            Self::GrantUpdated => "grant.updated",
            Self::GrantDeleted => "grant.deleted",
            Self::MessageCreated => "message.created",
            Self::MessageDeleted => "message.deleted",
            Self::MessageUpdated => "message.updated",
            Self::MessageSendSuccess => "message.send_success",
            Self::MessageSendFailed => "message.send_failed",
            Self::MessageHeld => "message.held",
            Self::MessageReleased => "message.released",
            Self::DraftCreated => "draft.created",
            Self::DraftUpdated => "draft.updated",
            Self::DraftDeleted => "draft.deleted",
            Self::MessageDelivered => "message.delivered",
            Self::MessageBounced => "message.bounced",
            Self::MessageComplaint => "message.complaint",
            Self::MessageRejected => "message.rejected",
            Self::MessageUnsubscribed => "message.unsubscribed",
            Self::FolderCreated => "folder.created",
            Self::FolderUpdated => "folder.updated",
            Self::FolderDeleted => "folder.deleted",
            Self::QuotaWarning => "quota.warning",
            Self::QuotaReached => "quota.reached",
            Self::QuotaExceeded => "quota.exceeded",
            Self::RaiseRequested => "raise.requested",
            Self::RaiseDecided => "raise.decided",
            Self::RecoveryRequested => "recovery.requested",
            Self::RecoveryDecided => "recovery.decided",
            Self::ReputationChanged => "reputation.changed",
            Self::SendingStopped => "sending.stopped",
            Self::SendingResumed => "sending.resumed",
            Self::BreakerTripped => "breaker.tripped",
            Self::DomainEndangered => "domain.endangered",
            Self::AlertTriggered => "alert.triggered",
            Self::OptInConfirmed => "opt_in.confirmed",
            Self::OptInDeclined => "opt_in.declined",
            Self::OptInNotSent => "opt_in.not_sent",
            Self::WebhookFailing => "webhook.failing",
            Self::WebhookFailed => "webhook.failed",
            Self::WebhookResumed => "webhook.resumed",
        }
    }

    /// The other name under which it may be subscribed to: the older one of delivery events, and that of a message
    /// whose body is cleaned.
    pub const fn other_name(self) -> Option<&'static str> {
        match self {
            Self::MessageCreated => Some(CLEANED),
            Self::MessageDelivered => Some("message.transactional.delivered"),
            Self::MessageBounced => Some("message.transactional.bounced"),
            Self::MessageComplaint => Some("message.transactional.complaint"),
            Self::MessageRejected => Some("message.transactional.rejected"),
            _ => None,
        }
    }

    /// Finds the trigger that a subscription means by `name`, in either spelling.
    pub fn subscribed_as(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|trigger| trigger.name() == name || trigger.other_name() == Some(name))
    }

    /// The name that a subscriber who listed `subscribed` gets this event under; [`Trigger::name`] if both are listed.
    pub fn name_for<'a>(self, subscribed: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
        let mut other = None;
        for name in subscribed {
            if name == self.name() {
                return Some(self.name());
            }
            if Some(name) == self.other_name() {
                other = self.other_name();
            }
        }
        other
    }

    /// The `source` of the announcement.
    pub const fn source(self) -> &'static str {
        match self {
            Self::GrantCreated
            | Self::GrantUpdated
            | Self::GrantDeleted
            | Self::QuotaWarning
            | Self::QuotaReached
            | Self::QuotaExceeded
            | Self::RaiseRequested
            | Self::RaiseDecided
            | Self::RecoveryRequested
            | Self::RecoveryDecided
            | Self::ReputationChanged
            | Self::SendingStopped
            | Self::SendingResumed
            | Self::BreakerTripped
            | Self::DomainEndangered
            | Self::AlertTriggered
            | Self::OptInConfirmed
            | Self::OptInDeclined
            | Self::OptInNotSent
            | Self::WebhookFailing
            | Self::WebhookFailed
            | Self::WebhookResumed => "/nylas/system",
            Self::MessageCreated
            | Self::MessageUpdated
            | Self::MessageDeleted
            | Self::DraftCreated
            | Self::DraftUpdated
            | Self::DraftDeleted => "/nylas/emails/realtime",
            Self::FolderCreated | Self::FolderUpdated | Self::FolderDeleted => "/nylas/folders",
            Self::MessageSendSuccess
            | Self::MessageSendFailed
            | Self::MessageHeld
            | Self::MessageReleased
            | Self::MessageDelivered
            | Self::MessageBounced
            | Self::MessageComplaint
            | Self::MessageRejected
            | Self::MessageUnsubscribed => "/nylas/send",
        }
    }
}

/// The name of [`Trigger::MessageCreated`] for those who want the body as Markdown, without what is quoted.
pub const CLEANED: &str = "message.created.cleaned";

/// Names that subscriptions may list although nothing here announces them; accepted so that a client written for the
/// hosted service can create its webhook unchanged.
pub const ACCEPTED_UNANNOUNCED: &[&str] = &[
    "grant.expired",
    "grant.imap_sync_completed",
    "message.bounce_detected",
    "message.opened",
    "message.opened.legacy",
    "message.link_clicked",
    "message.link_clicked.legacy",
    "message.intelligence.order",
    "message.intelligence.tracking",
    "message.intelligence.return",
    "message.intelligence.travel",
    "thread.replied",
    "thread.replied.legacy",
    "calendar.created",
    "calendar.updated",
    "calendar.deleted",
    "event.created",
    "event.updated",
    "event.deleted",
    "contact.created",
    "contact.updated",
    "contact.deleted",
    "booking.created",
    "booking.pending",
    "booking.rescheduled",
    "booking.cancelled",
    "booking.reminder",
    "notetaker.created",
    "notetaker.updated",
    "notetaker.deleted",
    "notetaker.meeting_state",
    "notetaker.media",
];

/// What the hosted service may announce some day: any name that begins so is accepted, too.
const ACCEPTED_FAMILIES: [&str; 2] = ["draft.", "thread."];
/// Octets of such a name behind its beginning.
const REST_OCTETS_MAX: usize = 64;

/// Whether a subscription may list `name`.
pub fn is_accepted(name: &str) -> bool {
    let is_word = |rest: &str| {
        let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet == b'_';
        (1..=REST_OCTETS_MAX).contains(&rest.len()) && rest.bytes().all(is_plain)
    };
    let is_of = |family: &&str| name.strip_prefix(*family).is_some_and(is_word);
    Trigger::subscribed_as(name).is_some()
        || ACCEPTED_UNANNOUNCED.contains(&name)
        || ACCEPTED_FAMILIES.iter().any(is_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_both_spellings_and_answered_in_the_one_listed() {
        for trigger in Trigger::ALL {
            assert_eq!(Trigger::subscribed_as(trigger.name()), Some(*trigger));
            if let Some(other) = trigger.other_name() {
                assert_eq!(Trigger::subscribed_as(other), Some(*trigger));
                assert_eq!(trigger.name_for([other]), Some(other));
                assert_eq!(trigger.name_for([other, trigger.name()]), Some(trigger.name()));
            }
        }
        assert_eq!(Trigger::MessageCreated.name_for(["message.bounced"]), None);
        assert_eq!(Trigger::subscribed_as("message.exploded"), None);
    }
    #[test]
    fn a_subscription_may_list_what_the_hosted_service_knows() {
        for name in [
            "message.created",
            "message.created.cleaned",
            "message.transactional.bounced",
            "message.opened.legacy",
            "booking.reminder",
            "notetaker.meeting_state",
            "message.intelligence.travel",
            "contact.created",
            "draft.deleted",
            "draft.sent_for_review",
            "thread.updated",
        ] {
            assert!(is_accepted(name), "{name}");
        }
        for name in [
            "",
            "message",
            "message.exploded",
            "Message.Created",
            "message.created ",
            "message.created.truncated",
            "booking.exploded",
            "draft.",
            "draft.Sent",
            "thread.a.b",
            "thread.\u{e4}",
        ] {
            assert!(!is_accepted(name), "{name:?}");
        }
        assert!(is_accepted(&format!("thread.{}", "x".repeat(REST_OCTETS_MAX))));
        assert!(!is_accepted(&format!("thread.{}", "x".repeat(REST_OCTETS_MAX + 1))));
    }
}
