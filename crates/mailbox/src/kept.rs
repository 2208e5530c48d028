//! A summary as it is stored, of which what it says stays as it is written there; read no further than what is asked for. Where a
//! value ends is seen, and what it says is not looked at: whoever wrote the row wrote JSON, and a page has many rows.

/// Names the parts in one place.
macro_rules! parts {
    ($($part:ident $field:ident,)*) => {
        /// A part of a summary.
        #[derive(Clone, Copy)]
        pub(crate) enum Part { $($part,)* }

        impl Part {
            /// The part of that name; none for what no list shows.
            fn named(name: &str) -> Option<Self> {
                $(if name == stringify!($field) {
                    return Some(Self::$part);
                })*
                None
            }
        }

        /// The parts that were asked for, as JSON.
        #[derive(Default)]
        pub(crate) struct Kept<'s> { $(pub(crate) $field: Option<&'s str>,)* }

        impl<'s> Kept<'s> {
            fn place(&mut self, part: Part) -> &mut Option<&'s str> {
                match part {
                    $(Part::$part => &mut self.$field,)*
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
        match kept.take(Scanner { text: summary, at: 0 }, wanted) {
            Some(()) => kept,
            None => Self::default(),
        }
    }

    /// Takes what is wanted of an object; nothing where it is damaged before all of it was found.
    fn take(&mut self, mut scanner: Scanner<'s>, mut missing: u32) -> Option<()> {
        scanner.octet(b'{')?;
        if missing == 0 || scanner.octet(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = scanner.string()?;
            scanner.octet(b':')?;
            let value = scanner.value()?;
            let part = Part::named(&name[1..name.len() - 1]).filter(|part| missing & part.bit() != 0);
            if let Some(part) = part {
                // As for any optional value.
                *self.place(part) = Some(value).filter(|value| *value != "null");
                missing &= !part.bit();
                if missing == 0 {
                    return Some(());
                }
            }
            if scanner.octet(b',').is_none() {
                return scanner.octet(b'}');
            }
        }
    }
}

/// Finds where the values of a JSON text end.
struct Scanner<'s> {
    text: &'s str,
    at: usize,
}

impl<'s> Scanner<'s> {
    /// Passes an octet that may stand behind spaces.
    fn octet(&mut self, expected: u8) -> Option<()> {
        self.skip_spaces();
        (self.rest().first() == Some(&expected)).then(|| self.at += 1)
    }

    /// Passes a string; answers it with its quotes.
    fn string(&mut self) -> Option<&'s str> {
        self.skip_spaces();
        let start = self.at;
        self.octet(b'"')?;
        self.end_string()?;
        self.text.get(start..self.at)
    }

    /// Passes a value and answers it.
    fn value(&mut self) -> Option<&'s str> {
        self.skip_spaces();
        let start = self.at;
        match self.rest().first()? {
            b'"' => return self.string(),
            b'{' | b'[' => self.end_nested()?,
            _ => {
                let is_of_word = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
                self.at += self.rest().iter().take_while(|octet| is_of_word(**octet)).count();
            }
        }
        self.text.get(start..self.at).filter(|value| !value.is_empty())
    }

    /// Passes the rest of a string, behind its first quote.
    fn end_string(&mut self) -> Option<()> {
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.rest())? + 1;
            if self.text.as_bytes()[self.at - 1] == b'"' {
                return Some(());
            }
            // Whatever is escaped ends nothing.
            self.at += 1;
        }
    }

    /// Passes a list or an object. One that is closed by the sign of the other was not written by us.
    fn end_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let octet = *self.rest().first()?;
            self.at += 1;
            match octet {
                b'"' => self.end_string()?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => return Some(()),
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    }

    fn rest(&self) -> &'s [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
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
            [kept.subject, kept.cc, kept.to].map(|part| part.unwrap_or(""))
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
            (
                "quotes and brackets in texts",
                r#"{"to":["}\"]"],"subject":"\\","cc":["\"]{"]}"#,
                [r#""\\""#, r#"["\"]{"]"#, ""],
            ),
            (
                "spaces",
                " { \"subject\" : \"a\" , \"cc\" : [ 1 , {\"a\": [2]} ] } ",
                ["\"a\"", "[ 1 , {\"a\": [2]} ]", ""],
            ),
            (
                "numbers and words",
                r#"{"size":-1.5e+3,"draft":true,"cc":[false],"subject":"a"}"#,
                [r#""a""#, "[false]", ""],
            ),
            ("a text without end", r#"{"subject":"a\"#, ["", "", ""]),
            ("a name without end", r#"{"subject":"a","c"#, ["", "", ""]),
            ("a value is missing", r#"{"subject":,"cc":[]}"#, ["", "", ""]),
            ("others", r#"{"places":{"subject":"no"},"subject":"yes"}"#, [r#""yes""#, "", ""]),
        ] {
            assert_eq!(kept(summary), expected, "{name}");
        }
    }
}
