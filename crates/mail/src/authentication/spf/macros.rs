//! Macros in SPF records (RFC 7208 §7).

use std::fmt::Write as _;
use std::net::IpAddr;

/// Octets of a name that macros make; labels are taken from its beginning until it fits (§7.3).
const NAME_MAX: usize = 253;

/// A text with macros in it.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) struct Macros(Vec<Piece>);

#[derive(Debug, PartialEq, Eq, Clone)]
enum Piece {
    Text(String),
    Value(Value),
}

#[derive(Debug, PartialEq, Eq, Clone)]
struct Value {
    letter: char,
    /// Labels from the right that are kept; all if absent.
    keep: Option<usize>,
    is_reversed: bool,
    delimiters: String,
    is_escaped: bool,
}

/// What the letters stand for.
pub(super) struct Values<'a> {
    pub(super) local: &'a str,
    pub(super) sender_domain: &'a str,
    pub(super) domain: &'a str,
    pub(super) ip: IpAddr,
    pub(super) helo: &'a str,
    /// A name of the address that leads back to it (`p`).
    pub(super) validated: &'a str,
}

impl Macros {
    /// A `domain-spec` (§7.1): it ends in a macro, or in a label that is not a number below another one.
    pub(super) fn domain(text: &str) -> Option<Self> {
        let macros = Self::parse(text, "slodiphv")?;
        let ends_well = match macros.0.last()? {
            Piece::Value(_) => true,
            Piece::Text(tail) => {
                let tail = tail.strip_suffix('.').unwrap_or(tail);
                let (before, top) = tail.rsplit_once('.')?;
                // A dot at the very beginning has no label before it, unless a macro stands there.
                is_top_label(top) && (!before.is_empty() || macros.0.len() > 1 || tail.len() == text.len())
            }
        };
        ends_well.then_some(macros)
    }

    /// A `macro-string`, as unknown modifiers have it.
    pub(super) fn text(text: &str) -> Option<Self> {
        Self::parse(text, "slodiphvcrt")
    }

    /// Whether the letter `p` occurs, which needs the names of the address.
    pub(super) fn needs_names(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Value(Value { letter: 'p', .. })))
    }

    fn parse(text: &str, letters: &str) -> Option<Self> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('%') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.as_bytes().first()? {
                b'%' => plain.push('%'),
                b'_' => plain.push(' '),
                b'-' => plain.push_str("%20"),
                b'{' => {
                    let (inner, after) = rest[1..].split_once('}')?;
                    let value = value(inner, letters)?;
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Value(value));
                    rest = after;
                    continue;
                }
                _ => return None,
            }
            rest = &rest[1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Some(Self(pieces))
    }

    /// The name that it stands for, cut from the left until it fits.
    pub(super) fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(value) => value.expand(values, &mut out),
            }
        }
        let mut name = out.strip_suffix('.').unwrap_or(&out);
        while name.len() > NAME_MAX {
            let Some((_, below)) = name.split_once('.') else { return String::new() };
            name = below;
        }
        name.to_owned()
    }
}

/// §7.1 `toplabel`.
fn is_top_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !label.is_empty()
        && label.bytes().all(is_inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
        && !label.bytes().all(|byte| byte.is_ascii_digit())
}

fn value(inner: &str, letters: &str) -> Option<Value> {
    let letter = inner.chars().next()?;
    let rest = &inner[1..];
    if !letters.contains(letter.to_ascii_lowercase()) {
        return None;
    }
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let keep = match &rest[..digits] {
        "" => None,
        // More labels than there can be are all; none is a mistake.
        number => {
            Some(number.trim_start_matches('0').parse().unwrap_or(if number.contains(|c| c != '0') { 128 } else { 0 }))
        }
    };
    if keep == Some(0) {
        return None;
    }
    let rest = &rest[digits..];
    let (is_reversed, delimiters) = match rest.strip_prefix(['r', 'R']) {
        Some(delimiters) => (true, delimiters),
        None => (false, rest),
    };
    if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
        return None;
    }
    Some(Value {
        letter: letter.to_ascii_lowercase(),
        keep,
        is_reversed,
        delimiters: delimiters.to_owned(),
        is_escaped: letter.is_ascii_uppercase(),
    })
}

impl Value {
    fn expand(&self, values: &Values<'_>, out: &mut String) {
        let raw = self.raw(values);
        let is_plain = self.keep.is_none() && !self.is_reversed && self.delimiters.is_empty();
        let text = if is_plain { raw } else { self.transformed(&raw) };
        if !self.is_escaped {
            out.push_str(&text);
            return;
        }
        for byte in text.bytes() {
            match byte {
                byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
                // Writing to a text cannot fail.
                byte => drop(write!(out, "%{byte:02X}")),
            }
        }
    }

    fn transformed(&self, raw: &str) -> String {
        let delimiters = if self.delimiters.is_empty() { "." } else { &self.delimiters };
        let mut parts: Vec<&str> = raw.split(|c| delimiters.contains(c)).collect();
        if self.is_reversed {
            parts.reverse();
        }
        let keep = self.keep.unwrap_or(parts.len()).min(parts.len());
        parts[parts.len() - keep..].join(".")
    }

    fn raw(&self, values: &Values<'_>) -> String {
        match self.letter {
            's' => format!("{}@{}", values.local, values.sender_domain),
            'l' => values.local.to_owned(),
            'o' => values.sender_domain.to_owned(),
            'd' => values.domain.to_owned(),
            'i' => dotted(values.ip),
            'p' => values.validated.to_owned(),
            'v' => if values.ip.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            'h' => values.helo.to_owned(),
            // Only in explanations, which are not made.
            _ => String::new(),
        }
    }
}

/// §7.3: an IPv6 address as its nibbles.
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let nibbles: Vec<String> = v6
                .octets()
                .iter()
                .flat_map(|octet| [octet >> 4, octet & 15])
                .map(|nibble| format!("{nibble:x}"))
                .collect();
            nibbles.join(".")
        }
    }
}
