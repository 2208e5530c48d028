//! Where the reader that fills a stream elsewhere goes on, when it has reached the stream again.

/// What the stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which stream it is: one that was wiped and made again is another.
    pub source: i64,
    /// Whether anything was ever stored in it.
    pub is_new: bool,
    /// Its last message, if it has one.
    pub last: Option<Last>,
}

/// The last message of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// The event at this position of our log. Since events are stored in order, all before it were stored, too.
    Event(i64),
    /// Nothing that is known here.
    Unknown,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Behind this position.
    After(i64),
    /// With everything that the stream would still keep, since it has lost it.
    Again,
}

/// Where to go on, for a reader that is at `position` and has told everything before it to the stream `source`.
///
/// The log is the truth; what was stored elsewhere, only the stream itself can tell. It may have less than it once said
/// (it lost what it had not yet written), or more than was written down here (we ended before that).
pub fn resume(position: i64, source: Option<i64>, found: Found) -> Resume {
    let is_known = source == Some(found.source);
    match found.last {
        Some(Last::Event(last)) => Resume::After(last),
        Some(Last::Unknown) => Resume::After(position),
        // Nothing was told to anybody, or nothing yet to this stream.
        None if source.is_none() || (is_known && found.is_new) => Resume::After(position),
        None => Resume::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_says_what_it_has_and_the_log_what_it_should_have() {
        let cases = [
            ("the first time it is there and empty", None, true, None, Resume::After(100)),
            ("the first time it has something else", None, false, Some(Last::Unknown), Resume::After(100)),
            ("nothing has happened", Some(7), false, Some(Last::Event(100)), Resume::After(100)),
            ("it has lost what it had not written", Some(7), false, Some(Last::Event(90)), Resume::After(90)),
            ("we ended before we wrote it down", Some(7), false, Some(Last::Event(130)), Resume::After(130)),
            ("somebody else publishes into it", Some(7), false, Some(Last::Unknown), Resume::After(100)),
            ("nothing was published into it yet", Some(7), true, None, Resume::After(100)),
            ("it was emptied", Some(7), false, None, Resume::Again),
            ("it was wiped and made again", Some(6), true, None, Resume::Again),
            ("it was wiped, and an older copy put back", Some(6), false, Some(Last::Event(40)), Resume::After(40)),
            ("it was emptied before it was known", None, false, None, Resume::After(100)),
        ];
        for (name, source, is_new, last, expected) in cases {
            assert_eq!(resume(100, source, Found { source: 7, is_new, last }), expected, "{name}");
        }
    }
}
