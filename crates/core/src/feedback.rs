//! What comes back after a message was sent, and what follows from it. Anybody can write a report; one counts only if
//! it came by a return path that was made here, about a message that was sent, for one of its recipients, and once.

use crate::address::EmailAddress;

/// What a report is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A recipient was not reached for good.
    Bounce,
    /// A recipient is not reached yet.
    Delay,
    /// A recipient was reached.
    Delivery,
    /// A recipient complains.
    Complaint,
    /// What a reporter of complaints says about something that is none, such as mail that is not junk.
    Notice,
    /// A machine answers for a recipient: out of office, vacation.
    AutoReply,
    /// A machine wants a human to confirm the message before it is delivered.
    Challenge,
    /// Anything else that came by a return path.
    Other,
}

impl Kind {
    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Delay => "delay",
            Self::Delivery => "delivery",
            Self::Complaint => "complaint",
            Self::Notice => "notice",
            Self::AutoReply => "auto_reply",
            Self::Challenge => "challenge",
            Self::Other => "other",
        }
    }

    /// Whether a genuine report of this kind counts: against the address, and for the sender's reputation.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Bounce | Self::Complaint)
    }
}

/// What became of a report. All but the first count for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// It is genuine and counts: there is an event.
    Counted,
    /// It is genuine, and of a kind that has no consequences.
    Noted,
    /// It is genuine and was here before.
    Replayed,
    /// Its return path is genuine, and it is about nobody to whom the message was sent.
    Unmatched,
    /// It did not come by a return path of ours.
    Unsigned,
    /// Its return path was made up, or changed.
    Forged,
    /// Its return path was made here, too long ago.
    Expired,
}

impl Outcome {
    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Noted => "noted",
            Self::Replayed => "replayed",
            Self::Unmatched => "unmatched",
            Self::Unsigned => "unsigned",
            Self::Forged => "forged",
            Self::Expired => "expired",
        }
    }
}

/// Which of a message's recipients a report means: one of the addresses that it names, or the only recipient if it
/// names none. A report that names others is about somebody else, to whom the recipient's mail was perhaps forwarded.
pub fn meant<'a>(recipients: &'a [EmailAddress], named: &[EmailAddress]) -> Option<&'a EmailAddress> {
    match (recipients, named) {
        ([only], []) => Some(only),
        _ => named.iter().find_map(|named| {
            let key = named.key();
            recipients.iter().find(|recipient| recipient.key() == key)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_means_whom_it_names_or_the_only_one() {
        let addresses =
            |texts: &[&str]| texts.iter().map(|text| EmailAddress::parse(text).unwrap()).collect::<Vec<_>>();
        for (recipients, named, expected) in [
            (&["a@x.test"][..], &[][..], Some("a@x.test")),
            (&["a@x.test"], &["A@X.test"], Some("a@x.test")),
            (&["a@x.test"], &["b@x.test"], None),
            (&["a@x.test", "b@x.test"], &[], None),
            (&["a@x.test", "b@x.test"], &["c@x.test", "b@x.test"], Some("b@x.test")),
            (&[], &[], None),
            (&[], &["a@x.test"], None),
        ] {
            let (recipients, named) = (addresses(recipients), addresses(named));
            let found = meant(&recipients, &named).map(ToString::to_string);
            assert_eq!(found.as_deref(), expected, "{recipients:?} {named:?}");
        }
    }

    #[test]
    fn only_bounces_and_complaints_count() {
        let kinds = [Kind::Bounce, Kind::Delay, Kind::Delivery, Kind::Complaint, Kind::Notice, Kind::AutoReply];
        let counting = kinds.iter().filter(|kind| kind.counts()).map(|kind| kind.name());
        assert_eq!(counting.collect::<Vec<_>>(), ["bounce", "complaint"]);
        assert!(!Kind::Challenge.counts() && !Kind::Other.counts());
    }
}
