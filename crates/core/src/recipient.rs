//! May this recipient receive? Decided at RCPT, before the message is transferred, by what is known then; and once more
//! when the message is there.

use crate::meter::Meters;
use crate::plan::Limits;
use crate::problem::{Exhausted, Problem, ProblemKind};

/// What the store knows about an address that somebody writes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known {
    /// A mailbox here, with the limits that hold for it, and what may stop it, if anything can.
    Mailbox(Limits, Option<Box<Meters>>),
    /// The return path of a message that was sent here, or where complaints are taken.
    Feedback,
    /// The domain is ours, the mailbox does not exist.
    NoMailbox,
    /// The domain is not ours: we do not relay.
    ForeignDomain,
}

/// Judges a recipient of a message whose sender declared `declared_octets` (RFC 1870), if it did.
pub fn admit(known: &Known, declared_octets: Option<u64>) -> Result<(), Problem> {
    match known {
        Known::Mailbox(limits, meters) => {
            let octets = declared_octets.unwrap_or(0);
            fits(limits, octets)?;
            // However small it is, it needs some room.
            has_room(meters.as_deref(), octets.max(1))
        }
        // The listener's own limit holds, as for everybody.
        Known::Feedback => Ok(()),
        Known::NoMailbox => Err(no_such_mailbox()),
        Known::ForeignDomain => Err(Problem::new(ProblemKind::Forbidden, "relay_denied", "relaying denied")),
    }
}

/// There is no mailbox of that address.
pub fn no_such_mailbox() -> Problem {
    Problem::new(ProblemKind::NotFound, "no_such_mailbox", "no such mailbox here")
}

/// Judges whether there is room for a message, and whether so much mail, and one more message, may still come in. Where nothing is capped, there
/// is.
pub fn has_room(meters: Option<&Meters>, octets: u64) -> Result<(), Problem> {
    meters.map_or(Ok(()), |meters| {
        meters.keep(octets).and_then(|()| meters.transfer(octets)).and_then(|()| meters.receive())
    })
}

/// Judges the size of a message for one recipient.
pub fn fits(limits: &Limits, octets: u64) -> Result<(), Problem> {
    let limit = limits.inbound_message_octets_max;
    if octets > limit {
        let text = format!("message exceeds the size limit of {limit} bytes");
        return Err(too_large("message_too_large", text, limit, octets));
    }
    Ok(())
}

/// What a message that has arrived is judged by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InboundFacts<'a> {
    /// Its octets, as they were transferred.
    pub octets: u64,
    /// Its attachments: octets after decoding, and the media type that its sender declares.
    pub attachments: &'a [(u64, &'a str)],
}

/// Judges a message for one recipient. The declared type of an attachment is all that its sender says about it: it is
/// held against the list of types, and believed in nothing else.
pub fn accepts(limits: &Limits, message: &InboundFacts<'_>) -> Result<(), Problem> {
    fits(limits, message.octets)?;
    let (count, limit) = (message.attachments.len(), limits.attachments_max);
    if count as u64 > limit {
        let text = format!("message has {count} attachments, and at most {limit} are accepted");
        return Err(too_large("too_many_attachments", text, limit, count as u64));
    }
    message.attachments.iter().try_for_each(|(octets, media_type)| accepts_attachment(limits, *octets, media_type))
}

fn accepts_attachment(limits: &Limits, octets: u64, media_type: &str) -> Result<(), Problem> {
    let limit = limits.attachment_octets_max;
    if octets > limit {
        let text = format!("an attachment exceeds the size limit of {limit} bytes");
        return Err(too_large("attachment_too_large", text, limit, octets));
    }
    let allowed = &limits.attachment_types;
    if allowed.is_empty() || allowed.iter().any(|range| range.matches(media_type)) {
        return Ok(());
    }
    // Its sender wrote it: only what a type may have is said again, and not more than one may be long.
    let is_of_type = |c: &char| c.is_ascii_alphanumeric() || "/!#$&-^_.+".contains(*c);
    let media_type: String = media_type.chars().filter(is_of_type).take(127).collect();
    let text = match media_type.as_str() {
        "" => "an attachment without a type is not accepted here".to_owned(),
        media_type => format!("an attachment of the type {media_type} is not accepted here"),
    };
    Err(Problem::new(ProblemKind::Forbidden, "attachment_type_refused", text))
}

fn too_large(code: &'static str, text: String, limit: u64, used: u64) -> Problem {
    let exhausted = Exhausted { scope: "message", limit, used, resets_at: None };
    Problem { exhausted: Some(Box::new(exhausted)), ..Problem::new(ProblemKind::TooLarge, code, text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MediaRange;
    use crate::meter::{Caps, Room, Used};
    use crate::plan::Plans;
    use crate::time::UtcMonth;

    #[test]
    fn a_message_is_judged_at_each_limit_and_one_above() {
        let types = ["image/*", "application/pdf"].map(|text| MediaRange::parse(text).unwrap());
        let open = Limits {
            attachment_octets_max: 100,
            attachments_max: 2,
            inbound_message_octets_max: 1_000,
            ..Plans::presets().find("free").unwrap().limits.clone()
        };
        let listed = Limits { attachment_types: types.into(), ..open.clone() };
        let none = Limits { attachments_max: 0, ..open.clone() };
        for (limits, octets, attachments, expected) in [
            (&open, 1_000, vec![], None),
            (&open, 1_001, vec![], Some("message_too_large")),
            (&open, 1_000, vec![(100, "text/plain"), (100, "")], None),
            (&open, 1_000, vec![(100, "a/b"), (101, "a/b")], Some("attachment_too_large")),
            (&open, 1_000, vec![(1, "a/b"); 3], Some("too_many_attachments")),
            (&none, 1_000, vec![], None),
            (&none, 1_000, vec![(0, "a/b")], Some("too_many_attachments")),
            (&listed, 1_000, vec![(1, "image/png"), (1, "IMAGE/GIF")], None),
            (&listed, 1_000, vec![(1, "application/pdf")], None),
            (&listed, 1_000, vec![(1, "image/png"), (1, "application/x-pdf")], Some("attachment_type_refused")),
            (&listed, 1_000, vec![(1, "")], Some("attachment_type_refused")),
            // Size before number before the rest.
            (&listed, 1_001, vec![(101, "a/b"); 3], Some("message_too_large")),
            (&listed, 1_000, vec![(101, "a/b"); 3], Some("too_many_attachments")),
            (&listed, 1_000, vec![(101, "a/b"); 2], Some("attachment_too_large")),
        ] {
            let facts = InboundFacts { octets, attachments: &attachments };
            assert_eq!(accepts(limits, &facts).err().map(|problem| problem.code), expected, "{facts:?}");
        }
    }

    #[test]
    fn decision_table() {
        let limits = Plans::presets().find("free").unwrap().limits.clone();
        let limit = limits.inbound_message_octets_max;
        let mailbox = Known::Mailbox(limits.clone(), None);
        let month = UtcMonth::from_number(24_000);
        let metered = |used, bandwidth| {
            let (room, caps) = (Room { limit: Some(100), used }, Caps { bandwidth: Some(50), ..Caps::default() });
            let meters = Meters::new(room, caps, Used { bandwidth, ..Used::default() }, month);
            Known::Mailbox(limits.clone(), Some(Box::new(meters)))
        };
        let (open, full, used_up) = (metered(90, 40), metered(100, 0), metered(0, 50));
        for (known, octets, expected) in [
            (&mailbox, None, None),
            (&mailbox, Some(limit), None),
            (&mailbox, Some(limit + 1), Some(ProblemKind::TooLarge)),
            (&open, None, None),
            (&open, Some(10), None),
            (&open, Some(11), Some(ProblemKind::StorageFull)),
            (&full, None, Some(ProblemKind::StorageFull)),
            (&used_up, None, Some(ProblemKind::OverQuota)),
            (&Known::Feedback, Some(limit + 1), None),
            (&Known::NoMailbox, None, Some(ProblemKind::NotFound)),
            (&Known::ForeignDomain, None, Some(ProblemKind::Forbidden)),
        ] {
            assert_eq!(admit(known, octets).err().map(|problem| problem.kind), expected);
        }
    }
}
