//! Lines of a text that comes piece by piece, and the columns of each. Nothing longer than a line is held.

/// Octets of a line; of a longer one nothing is read.
pub const LINE_OCTETS_MAX: usize = 64 << 10;

/// Lines that an answer names; it always says how many there were.
pub(crate) const REFUSALS_MAX: usize = 100;

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A value, perhaps with a comment behind it.
    Plain,
    /// Columns (RFC 4180), the first of which is the value.
    Csv,
}

/// A line: its number, and what it says.
pub(crate) type Line = (u64, Content);

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// These columns; there is a first one. Without columns the line is the first.
    Columns(Vec<String>),
    /// Nothing that could be read.
    Unreadable(&'static str),
}

/// Takes a text apart.
pub(crate) struct Lines {
    format: Format,
    /// Names of the first column, in lower case: a first line of columns that has one of them is a heading.
    headings: Vec<&'static str>,
    /// The line that has not ended.
    open: Vec<u8>,
    is_too_long: bool,
    number: u64,
}

impl Lines {
    pub(crate) fn new(format: Format, headings: Vec<&'static str>) -> Self {
        Self { format, headings, open: Vec::new(), is_too_long: false, number: 0 }
    }

    /// The lines that end in the next piece; blank ones and comments are left out.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Vec<Line> {
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
    pub(crate) fn finish(&mut self) -> Option<Line> {
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
        self.columns(text.trim()).map(|columns| (self.number, Content::Columns(columns)))
    }

    /// The columns of a line; `None` if it says nothing.
    fn columns(&self, text: &str) -> Option<Vec<String>> {
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        match self.format {
            Format::Plain => Some(vec![before_comment(text).to_owned()]),
            Format::Csv => {
                let columns = columns(text);
                (!(self.number == 1 && self.is_heading(&columns))).then_some(columns)
            }
        }
    }

    /// Whether it is the name of a column and no value.
    fn is_heading(&self, columns: &[String]) -> bool {
        columns.first().is_some_and(|first| self.headings.contains(&first.trim().to_ascii_lowercase().as_str()))
    }
}

/// What stands before a space and a `#`; an address may have the character itself.
fn before_comment(text: &str) -> &str {
    let comment = text.match_indices('#').find(|(at, _)| text[..*at].ends_with(char::is_whitespace));
    comment.map_or(text, |(at, _)| text[..at].trim_end())
}

/// The columns of a line of CSV (RFC 4180), each of which may be quoted.
pub(crate) fn columns(text: &str) -> Vec<String> {
    let mut columns = Vec::new();
    let mut rest = text;
    loop {
        let (column, after) = column(rest);
        columns.push(column);
        match after {
            Some(after) => rest = after,
            None => return columns,
        }
    }
}

/// The first column, and what comes behind its comma.
fn column(text: &str) -> (String, Option<&str>) {
    let after_comma = |text: &'_ str| text.split_once(',').map(|(_, after)| after.len());
    let Some(quoted) = text.strip_prefix('"') else {
        return match text.split_once(',') {
            Some((column, after)) => (column.to_owned(), Some(after)),
            None => (text.to_owned(), None),
        };
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    let mut end = quoted.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                value.push('"');
            }
            '"' => {
                end = at + 1;
                break;
            }
            c => value.push(c),
        }
    }
    let rest = &quoted[end.min(quoted.len())..];
    (value, after_comma(rest).map(|length| &rest[rest.len() - length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &[&str] = &[];
    const ADDRESS: &[&str] = &["address", "value", "email"];

    fn read(
        format: Format,
        headings: &[&'static str],
        text: &[u8],
        piece: usize,
    ) -> Vec<(u64, Result<String, &'static str>)> {
        let mut lines = Lines::new(format, headings.to_vec());
        let mut all: Vec<Line> = text.chunks(piece).flat_map(|piece| lines.take(piece)).collect();
        all.extend(lines.finish());
        let plain = |content| match content {
            Content::Columns(columns) => Ok(columns.join("|")),
            Content::Unreadable(why) => Err(why),
        };
        all.into_iter().map(|(number, content)| (number, plain(content))).collect()
    }

    fn values(format: Format, kind: &[&'static str], text: &str) -> Vec<String> {
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
        assert_eq!(values(Format::Plain, NONE, text), expected);
        assert_eq!(values(Format::Plain, NONE, ""), [""; 0]);
        assert_eq!(values(Format::Plain, NONE, "\n\n"), [""; 0]);
        assert_eq!(values(Format::Plain, NONE, "domain\n"), ["1=domain"]);
    }

    #[test]
    fn the_columns_of_csv() {
        let text =
            "Address,reason\n\"a@b.test\",\"says \"\"hi\"\"\"\n\"\"\"a b\"\"@c.test\",x\nd@e.test\n#f@g.test,x\n";
        let expected = ["2=a@b.test|says \"hi\"", "3=\"a b\"@c.test|x", "4=d@e.test"];
        assert_eq!(values(Format::Csv, ADDRESS, text), expected);
        assert_eq!(values(Format::Csv, &["tld", "value"], "email,x\nvalue\n"), ["1=email|x", "2=value"]);
        assert_eq!(values(Format::Csv, &["tld", "value"], "Value\ncom\n"), ["2=com"]);
        for (text, expected) in [
            ("a,,b", "a||b"),
            ("a,", "a|"),
            ("\"a,b\",c", "a,b|c"),
            ("\"a\"x,b", "a|b"),
            ("\"open,b", "open,b"),
            ("\"a\"", "a"),
            ("ä,\"ö\",ü", "ä|ö|ü"),
        ] {
            assert_eq!(columns(text).join("|"), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_and_the_next_line_is_read() {
        let long = "x".repeat(LINE_OCTETS_MAX);
        let text = [long.as_bytes(), b"\n", long.as_bytes(), b"x\n\xff\xfe\na.test\n", long.as_bytes(), b"xx"].concat();
        let read = read(Format::Plain, NONE, &text, 1_000);
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
