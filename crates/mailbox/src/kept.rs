//! A summary as it is stored, of which what it says stays as it is written there; read no further than what is asked for.

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// Names the parts in one place.
macro_rules! parts {
    ($($part:ident $field:ident,)*) => {
        /// A part of a summary.
        #[derive(Clone, Copy, Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        pub(crate) enum Part {
            $($part,)*
            /// What no list shows.
            #[serde(other)]
            Other,
        }

        /// The parts that were asked for.
        #[derive(Default)]
        pub(crate) struct Kept<'s> { $(pub(crate) $field: Option<&'s RawValue>,)* }

        impl<'s> Kept<'s> {
            fn place(&mut self, part: Part) -> Option<&mut Option<&'s RawValue>> {
                match part {
                    $(Part::$part => Some(&mut self.$field),)*
                    Part::Other => None,
                }
            }
        }
    };
}

parts! {
    Subject subject,
    From from,
    To to,
    Cc cc,
    Bcc bcc,
    ReplyTo reply_to,
    Snippet snippet,
    MessageId message_id,
    InReplyTo in_reply_to,
    Attachments attachments,
    Metadata metadata,
    Tracking tracking,
    Automated automated,
    Draft draft,
}

impl Part {
    /// Its place in a set of parts.
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl<'s> Kept<'s> {
    /// Reads a set of parts. Subject and people stand first in every summary, so where no more is asked for little of it is looked
    /// at. A damaged one reads as empty.
    pub(crate) fn read(summary: &'s str, wanted: u32) -> Self {
        let mut kept = Self::default();
        let mut missing = wanted;
        let mut reader = serde_json::Deserializer::from_str(summary);
        let read = Asked { kept: &mut kept, missing: &mut missing }.deserialize(&mut reader);
        // Where it was left before its end, that is what went wrong.
        if read.is_err() && missing != 0 { Self::default() } else { kept }
    }
}

struct Asked<'a, 's> {
    kept: &'a mut Kept<'s>,
    missing: &'a mut u32,
}

impl<'s> DeserializeSeed<'s> for Asked<'_, 's> {
    type Value = ();

    fn deserialize<D: Deserializer<'s>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'s> Visitor<'s> for Asked<'_, 's> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a summary")
    }

    fn visit_map<A: MapAccess<'s>>(self, mut map: A) -> Result<(), A::Error> {
        while *self.missing != 0 {
            let Some(part) = map.next_key::<Part>()? else { break };
            match self.kept.place(part).filter(|_| *self.missing & part.bit() != 0) {
                Some(place) => {
                    *place = map.next_value()?;
                    *self.missing &= !part.bit();
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: u32 = Part::Subject.bit() | Part::Cc.bit();

    #[test]
    fn what_is_asked_for_is_read_as_it_stands() {
        let kept = |summary| {
            let kept = Kept::read(summary, WANTED);
            [kept.subject, kept.cc, kept.to].map(|part| part.map_or("", RawValue::get))
        };
        for (name, summary, expected) in [
            (
                "all",
                r#"{"subject":"a\u00e4","to":[],"cc":[{"email":"x"}]}"#,
                [r#""a\u00e4""#, r#"[{"email":"x"}]"#, ""],
            ),
            ("one is missing", r#"{"to":[1],"subject":""}"#, [r#""""#, "", ""]),
            ("not looked at", r#"{"subject":"a","cc":[],"to":"#, [r#""a""#, "[]", ""]),
            ("damaged before the last", r#"{"subject":"a","to":["#, ["", "", ""]),
            ("null", r#"{"subject":null,"cc":[]}"#, ["", "[]", ""]),
            ("empty", "{}", ["", "", ""]),
            ("no object", "[]", ["", "", ""]),
            ("nothing", "", ["", "", ""]),
            ("others", r#"{"places":{"subject":"no"},"subject":"yes"}"#, [r#""yes""#, "", ""]),
        ] {
            assert_eq!(kept(summary), expected, "{name}");
        }
    }
}
