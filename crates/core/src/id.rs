//! Identifiers. All are UUID version 7 (RFC 9562 §5.7): ordered by the time of their making, 16 bytes in the
//! store, the usual hyphenated lower-case text on the wire. One type per thing, so that they cannot be mixed up.

use crate::time::UnixMicros;
use uuid::Uuid;

/// Builds the UUID version 7 for `now` from 10 random bytes. The millisecond and the microseconds within it lead,
/// so that ids made one after the other by one process sort in that order at microsecond resolution.
pub fn uuid_v7(now: UnixMicros, random: [u8; 10]) -> Uuid {
    let micros = now.as_micros().max(0) as u64;
    let mut bytes = random;
    // rand_a (12 bits) carries the sub-millisecond part, as RFC 9562 §6.2 method 3 allows.
    let fraction = ((micros % 1_000) * 4_096 / 1_000) as u16;
    bytes[0] = (fraction >> 8) as u8;
    bytes[1] = fraction as u8;
    uuid::Builder::from_unix_timestamp_millis(micros / 1_000, &bytes).into_uuid()
}

/// The milliseconds since 1970 that lead a UUID version 7.
fn millis_of(uuid: Uuid) -> i64 {
    (uuid.as_u128() >> 80) as i64
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id from the time and 10 random bytes.
            pub fn new(now: UnixMicros, random: [u8; 10]) -> Self { Self(uuid_v7(now, random)) }
            /// Takes an id that the store returned.
            pub const fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
            /// The smallest id that can have been made at `time`: where a range of times begins.
            pub fn first_at(time: UnixMicros) -> Self { Self::new(time, [0; 10]) }
            /// When it was made, to the millisecond.
            pub fn made_at(self) -> UnixMicros { UnixMicros::from_micros(millis_of(self.0).saturating_mul(1_000)) }
            /// The bare UUID, for the store.
            pub const fn uuid(self) -> Uuid { self.0 }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, concat!(stringify!($name), "({})"), self.0) }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidId;
            /// Accepts the hyphenated form in any case; every other spelling is refused.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 { return Err(InvalidId); }
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
            }
        }
    )*};
}

ids! {
    /// A paying customer of an installation: holds applications and domains, has a plan.
    OrganizationId,
    /// A sub-account of an organization: its own grants, keys, workspaces and webhooks.
    ApplicationId,
    /// An API or operator key.
    KeyId,
    /// A registered sending and receiving domain.
    DomainId,
    /// A report of another server about a domain.
    DomainReportId,
    /// A group of grants under one policy.
    WorkspaceId,
    /// A set of limits.
    PolicyId,
    /// One mailbox (the interface calls a mailbox a grant).
    GrantId,
    /// One message in one mailbox.
    MessageId,
    /// A conversation in one mailbox.
    ThreadId,
    /// A folder that was made in one mailbox.
    FolderId,
    /// One attachment of one message.
    AttachmentId,
    /// The stored bytes of a message, shared by the mailboxes that hold it.
    BlobId,
    /// A row of the delivery queue: one recipient of one message.
    QueueId,
    /// The right to work on leased rows, until it expires.
    LeaseId,
    /// An entry of the event log.
    EventId,
    /// A webhook subscription.
    WebhookId,
    /// A party that signs its requests with its own RSA key.
    ServiceAccountId,
    /// A place to which sign-in may lead back.
    RedirectUriId,
    /// One sign-in to a mailbox: all that it gave has its id.
    SignInId,
    /// A connector of an application.
    ConnectorId,
    /// A record of a change.
    AuditId,
    /// A job that runs in the background.
    JobId,
    /// A rule about mail.
    RuleId,
    /// A list in which rules look things up.
    ListId,
    /// An item of a list.
    ListItemId,
    /// A record of what the rules said about one message.
    EvaluationId,
    /// A record of mail that a mailbox did not take.
    RefusalId,
    /// A record of what came back about one message.
    FeedbackId,
    /// What happened to one recipient of what was sent.
    SendEventId,
    /// A rule about the rates of what is sent.
    AlertRuleId,
    /// A signature of a mailbox.
    SignatureId,
    /// A template for messages.
    TemplateId,
    /// An attempt to hand a message to a server.
    AttemptId,
    /// A send that waits for its time.
    ScheduleId,
    /// A raise of a limit for a while.
    RaiseId,
    /// A pool of mailboxes to send from.
    SenderPoolId,
    /// A send that waits for its quota, or for somebody to approve it.
    HoldId,
    /// What keeps somebody from sending.
    StopId,
    /// A request to send again after a pause.
    RecoveryId,
    /// A question to somebody whether they want mail for a purpose.
    OptInId,
    /// An import of mail into a mailbox.
    ImportId,
    /// A part of the event log that a webhook is told once more.
    ReplayId,
    /// A send that came by the message bus and was refused.
    ParkedId,
    /// A rule by which events are given to a subject of the message bus.
    EventRouteId,
}

/// The text is not a UUID in its hyphenated form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID")]
pub struct InvalidId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_later_sort_later() {
        let ids: Vec<_> = (0..5_000)
            .map(|i| MessageId::new(UnixMicros::from_micros(1_700_000_000_000_000 + i), [0xff - (i % 251) as u8; 10]))
            .collect();
        assert!(ids.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(ids[0].uuid().get_version_num(), 7);
    }

    #[test]
    fn text_round_trips_and_other_spellings_are_refused() {
        let id = GrantId::new(UnixMicros::from_micros(1), [7; 10]);
        assert_eq!(id.to_string().parse::<GrantId>(), Ok(id));
        for bad in ["", "inbox", &id.uuid().simple().to_string(), &format!("{{{id}}}"), &format!("{id}0")] {
            assert_eq!(bad.parse::<GrantId>(), Err(InvalidId), "{bad}");
        }
    }
}
