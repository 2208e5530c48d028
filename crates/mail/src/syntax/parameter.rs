//! Values with parameters: Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183), including continuations
//! and charsets of RFC 2231. Whoever asks for a parameter gets the one reading that everybody here gets.

use super::{charset, transfer, word};

/// Parameters of one value that are read.
pub(crate) const PARAMETERS_MAX: usize = 256;

/// A parsed value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Parameterized {
    /// What stands before the first semicolon, in lower case, without comments.
    pub(crate) value: String,
    parameters: Vec<(String, String)>,
    /// There were more parameters than are read.
    pub(crate) cut: bool,
    /// A parameter that decides how a part is read stands there twice, with different values.
    pub(crate) repeated: bool,
}

/// Parameters by which parts are told apart, decoded and named.
const DECISIVE: [&str; 4] = ["boundary", "charset", "filename", "name"];

impl Parameterized {
    /// Parses an unfolded value.
    pub(crate) fn parse(text: &str) -> Self {
        let (value, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let mut pieces = Vec::new();
        while !rest.is_empty() && pieces.len() < PARAMETERS_MAX {
            let (piece, after) = Piece::read(rest);
            pieces.extend(piece);
            rest = after;
        }
        let value = value.split('(').next().unwrap_or_default().trim().to_ascii_lowercase();
        pieces.sort_by(|a, b| (&a.name, a.rank(), a.section).cmp(&(&b.name, b.rank(), b.section)));
        let repeated = pieces.windows(2).any(|pair| pair[0].contradicts(&pair[1]));
        Self { value, parameters: assemble(&pieces), cut: !rest.trim_ascii().is_empty(), repeated }
    }

    /// The value of a parameter, by its lower-case name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all().find(|(have, _)| *have == name).map(|(_, value)| value)
    }

    /// All parameters: lower-case name, decoded value.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// One `name=value` as it stands there, with what RFC 2231 puts into the name.
struct Piece {
    name: String,
    /// `*n`: the how-manieth piece; `None` is the whole.
    section: Option<u32>,
    /// A trailing `*`: charset and percent signs.
    extended: bool,
    value: String,
}

impl Piece {
    /// Reads up to and including the next semicolon outside quotes. Yields nothing for what has no name or no `=`.
    fn read(text: &str) -> (Option<Self>, &str) {
        let (name, rest) = match text.find(['=', ';']) {
            Some(at) if text.as_bytes()[at] == b'=' => (&text[..at], &text[at + 1..]),
            Some(at) => return (None, &text[at + 1..]),
            None => return (None, ""),
        };
        let rest = rest.trim_ascii_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, rest) = rest.split_once(';').unwrap_or((rest, ""));
                (value.trim_ascii_end().to_owned(), rest)
            }
        };
        (Self::named(&name.trim_ascii().to_ascii_lowercase(), value), rest)
    }

    fn named(name: &str, value: String) -> Option<Self> {
        let (name, extended) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
        let (name, section) = match name.split_once('*') {
            Some((name, section)) => (name, Some(section.parse().ok()?)),
            None => (name, None),
        };
        (!name.is_empty()).then(|| Self { name: name.to_owned(), section, extended, value })
    }

    fn octets(&self, value: &str) -> Vec<u8> {
        if self.extended { transfer::unescape(value.as_bytes(), b'%') } else { value.as_bytes().to_vec() }
    }
}

/// Reads a quoted string after its opening quote, and skips to behind the next semicolon.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, text[at..].split_once(';').map_or("", |(_, rest)| rest)),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Joins the pieces of each name. The extended or continued form wins over a plain one (RFC 6266 §4.3 has the same
/// rule), the first over a repeated one.
fn assemble(pieces: &[Piece]) -> Vec<(String, String)> {
    pieces.chunk_by(|a, b| a.name == b.name).filter_map(|group| Some((group[0].name.clone(), join(group)?))).collect()
}

impl Piece {
    /// Whether both are the same piece of a decisive parameter, with different values.
    fn contradicts(&self, other: &Self) -> bool {
        self.name == other.name
            && self.rank() == other.rank()
            && self.section == other.section
            && self.value != other.value
            && DECISIVE.contains(&self.name.as_str())
    }

    fn rank(&self) -> u8 {
        match (self.section, self.extended) {
            (None, true) => 0,
            (Some(_), _) => 1,
            (None, false) => 2,
        }
    }
}

fn join(group: &[Piece]) -> Option<String> {
    let first = group.first()?;
    if first.section.is_none() && !first.extended {
        return Some(word::decode(&first.value));
    }
    let (label, start) = if first.extended { charset_of(&first.value) } else { ("", first.value.as_str()) };
    let mut octets = first.octets(start);
    let mut expected = first.section.unwrap_or(0);
    for piece in group.iter().skip(1).take_while(|piece| first.section.is_some() && piece.section.is_some()) {
        if piece.section > Some(expected) {
            octets.extend(piece.octets(&piece.value));
            expected = piece.section.unwrap_or(expected);
        }
    }
    Some(charset::decode(label, octets).into_owned())
}

/// Takes `charset'language'` off the front (RFC 2231 §4).
fn charset_of(value: &str) -> (&str, &str) {
    value.split_once('\'').and_then(|(label, rest)| Some((label, rest.split_once('\'')?.1))).unwrap_or(("", value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings() {
        for (text, name, expected) in [
            ("text/plain; charset=utf-8", "charset", Some("utf-8")),
            ("TEXT/Plain (hi); Charset = \"UTF-8\" ; x=y", "charset", Some("UTF-8")),
            ("text/plain; x=\"a;b\\\"c\"; charset=x", "charset", Some("x")),
            ("text/plain; x=\"a;b\\\"c\"; charset=x", "x", Some("a;b\"c")),
            ("a; filename=my file.pdf; y=1", "filename", Some("my file.pdf")),
            ("a; filename*=utf-8''na%C3%AFve%20file.txt", "filename", Some("naïve file.txt")),
            ("a; filename*=iso-8859-1'en'na%EFve", "filename", Some("naïve")),
            ("a; filename*0=\"one \"; filename*1=two", "filename", Some("one two")),
            ("a; filename*1=two; filename*0=\"one \"", "filename", Some("one two")),
            ("a; filename*0*=utf-8''%C3; filename*1*=%A9; filename*2=.txt", "filename", Some("é.txt")),
            ("a; filename*=utf-8''good.txt; filename=bad.exe", "filename", Some("good.txt")),
            ("a; filename=bad.exe; filename*0=go; filename*1=od", "filename", Some("good")),
            ("a; filename=first; filename=second", "filename", Some("first")),
            ("a; filename=\"=?utf-8?B?aMOp?=\"", "filename", Some("hé")),
            ("a; filename=\"unclosed", "filename", Some("unclosed")),
            ("a; filename*=broken", "filename", Some("broken")),
            ("a;;; =x; *=y; filename*x=z; ;b", "filename", None),
        ] {
            assert_eq!(Parameterized::parse(text).get(name), expected, "{text}");
        }
        assert_eq!(Parameterized::parse("TEXT/Plain (hi); a=b").value, "text/plain");
    }

    #[test]
    fn limit() {
        let at = format!("a{}", "; x=1".repeat(PARAMETERS_MAX));
        assert!(!Parameterized::parse(&at).cut);
        assert!(Parameterized::parse(&format!("{at}; x=1")).cut);
    }
}
