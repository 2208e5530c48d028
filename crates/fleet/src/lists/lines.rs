//! Lines of a text that comes piece by piece, and the value in each. Nothing longer than a line is held.

use postfleet_core::list::ListKind;

/// Octets of a line; of a longer one nothing is read.
pub const LINE_OCTETS_MAX: usize = 64 << 10;

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A value, perhaps with a comment behind it.
    Plain,
    /// Columns (RFC 4180), the first of which is the value.
    Csv,
}

/// A line: its number, and what it says.
pub(super) type Line = (u64, Content);

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// This value.
    Value(String),
    /// Nothing that could be read.
    Unreadable(&'static str),
}

/// Takes a text apart.
pub(super) struct Lines {
    format: Format,
    kind: ListKind,
    /// The line that has not ended.
    open: Vec<u8>,
    is_too_long: bool,
    number: u64,
}

impl Lines {
    pub(super) fn new(format: Format, kind: ListKind) -> Self {
        Self { format, kind, open: Vec::new(), is_too_long: false, number: 0 }
    }

    /// The lines that end in the next piece; blank ones and comments are left out.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<Line> {
        let mut ended = Vec::new();
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
            self.extend(&rest[..end]);
            ended.extend(self.end());
            rest = &rest[end + 1..];
        }
        self.extend(rest);
        ended
    }

    /// The last line, if no line end follows it.
    pub(super) fn finish(&mut self) -> Option<Line> {
        if self.open.is_empty() && !self.is_too_long { None } else { self.end() }
    }

    fn extend(&mut self, octets: &[u8]) {
        self.is_too_long |= self.open.len() + octets.len() > LINE_OCTETS_MAX;
        if !self.is_too_long {
            self.open.extend_from_slice(octets);
        }
    }

    fn end(&mut self) -> Option<Line> {
        self.number += 1;
        let line = std::mem::take(&mut self.open);
        if std::mem::take(&mut self.is_too_long) {
            return Some((self.number, Content::Unreadable("the line is longer than 65,536 bytes")));
        }
        let Ok(text) = String::from_utf8(line) else {
            return Some((self.number, Content::Unreadable("the line is not UTF-8")));
        };
        let text = if self.number == 1 { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text };
        self.value(text.trim()).map(|value| (self.number, Content::Value(value)))
    }

    /// The value of a line; `None` if it has none.
    fn value(&self, text: &str) -> Option<String> {
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        match self.format {
            Format::Plain => Some(before_comment(text).to_owned()),
            Format::Csv => {
                let value = first_column(text);
                (!(self.number == 1 && self.is_heading(&value))).then_some(value)
            }
        }
    }

    /// Whether it is the name of a column and no value.
    fn is_heading(&self, value: &str) -> bool {
        let value = value.trim().to_ascii_lowercase();
        value == self.kind.name() || value == "value" || (self.kind == ListKind::Address && value == "email")
    }
}

/// What stands before a space and a `#`; an address may have the character itself.
fn before_comment(text: &str) -> &str {
    let comment = text.match_indices('#').find(|(at, _)| text[..*at].ends_with(char::is_whitespace));
    comment.map_or(text, |(at, _)| text[..at].trim_end())
}

fn first_column(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"') else {
        return text.split(',').next().unwrap_or_default().to_owned();
    };
    let mut value = String::new();
    let mut chars = quoted.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if chars.peek() == Some(&'"') => {
                chars.next();
                value.push('"');
            }
            '"' => break,
            c => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, kind: ListKind, text: &[u8], piece: usize) -> Vec<(u64, Result<String, &'static str>)> {
        let mut lines = Lines::new(format, kind);
        let mut all: Vec<Line> = text.chunks(piece).flat_map(|piece| lines.take(piece)).collect();
        all.extend(lines.finish());
        let plain = |content| match content {
            Content::Value(value) => Ok(value),
            Content::Unreadable(why) => Err(why),
        };
        all.into_iter().map(|(number, content)| (number, plain(content))).collect()
    }

    fn values(format: Format, kind: ListKind, text: &str) -> Vec<String> {
        // However it comes.
        let whole = read(format, kind, text.as_bytes(), usize::MAX >> 1);
        for piece in [1, 2, 3, 7] {
            assert_eq!(read(format, kind, text.as_bytes(), piece), whole);
        }
        whole.into_iter().map(|(number, value)| format!("{number}={}", value.expect("readable"))).collect()
    }

    #[test]
    fn lines_of_a_text() {
        let text = "\u{feff}a.test\r\n\r\n# comment\n  b.test  # why\n\tx#y@c.test\nlast,one";
        let expected = ["1=a.test", "4=b.test", "5=x#y@c.test", "6=last,one"];
        assert_eq!(values(Format::Plain, ListKind::Domain, text), expected);
        assert_eq!(values(Format::Plain, ListKind::Domain, ""), [""; 0]);
        assert_eq!(values(Format::Plain, ListKind::Domain, "\n\n"), [""; 0]);
        assert_eq!(values(Format::Plain, ListKind::Domain, "domain\n"), ["1=domain"]);
    }

    #[test]
    fn the_first_column_of_csv() {
        let text =
            "Address,reason\n\"a@b.test\",\"says \"\"hi\"\"\"\n\"\"\"a b\"\"@c.test\",x\nd@e.test\n#f@g.test,x\n";
        let expected = ["2=a@b.test", "3=\"a b\"@c.test", "4=d@e.test"];
        assert_eq!(values(Format::Csv, ListKind::Address, text), expected);
        assert_eq!(values(Format::Csv, ListKind::Tld, "email,x\nvalue\n"), ["1=email", "2=value"]);
        assert_eq!(values(Format::Csv, ListKind::Tld, "Value\ncom\n"), ["2=com"]);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_the_next_line_is_read() {
        let long = "x".repeat(LINE_OCTETS_MAX);
        let text = [long.as_bytes(), b"\n", long.as_bytes(), b"x\n\xff\xfe\na.test\n", long.as_bytes(), b"xx"].concat();
        let read = read(Format::Plain, ListKind::Domain, &text, 1_000);
        let too_long = Err("the line is longer than 65,536 bytes");
        let expected = [
            (1, Ok(long)),
            (2, too_long.clone()),
            (3, Err("the line is not UTF-8")),
            (4, Ok("a.test".into())),
            (5, too_long),
        ];
        assert_eq!(read, expected);
    }
}
