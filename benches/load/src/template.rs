//! Text with places that are filled anew for each request, taken apart once.

use crate::clock::now_ns;
use std::io::Write;

/// Pieces in their order.
pub struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Number,
    Mailbox,
    Line,
    Time,
}

/// What the places of one request are filled with, besides the time.
pub struct Values<'a> {
    pub number: u64,
    pub mailbox: u64,
    pub line: &'a str,
}

impl Template {
    /// Takes a text apart. What is in braces and no place stays as it is.
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, octets) = match rest {
                _ if rest.starts_with("{i}") => (Piece::Number, 3),
                _ if rest.starts_with("{m}") => (Piece::Mailbox, 3),
                _ if rest.starts_with("{t}") => (Piece::Time, 3),
                _ if rest.starts_with("{line}") => (Piece::Line, 6),
                _ => {
                    let end = rest.char_indices().skip(1).find(|(_, character)| *character == '{');
                    let end = end.map_or(rest.len(), |(at, _)| at);
                    plain.push_str(&rest[..end]);
                    rest = &rest[end..];
                    continue;
                }
            };
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            pieces.push(piece);
            rest = &rest[octets..];
        }
        pieces.push(Piece::Text(plain));
        Self(pieces)
    }

    /// Appends the text with its places filled.
    pub fn fill(&self, values: &Values, into: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => into.extend_from_slice(text.as_bytes()),
                Piece::Line => into.extend_from_slice(values.line.as_bytes()),
                Piece::Number => append(into, values.number),
                Piece::Mailbox => append(into, values.mailbox),
                Piece::Time => append(into, now_ns()),
            }
        }
    }
}

/// Appends a number in decimal digits.
pub fn append(into: &mut Vec<u8>, number: u64) {
    // Memory takes whatever is written to it.
    let _ = write!(into, "{number}");
}

#[cfg(test)]
mod tests {
    use super::{Template, Values};

    fn filled(text: &str) -> String {
        let mut into = Vec::new();
        Template::parse(text).fill(&Values { number: 12, mailbox: 2, line: "a {i} é" }, &mut into);
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn places_are_filled_and_the_rest_stays() {
        for (text, expected) in [
            ("", ""),
            ("/v3/grants", "/v3/grants"),
            ("{i}", "12"),
            ("u{m}@{i}{i}.example", "u2@1212.example"),
            ("/{line}/x", "/a {i} é/x"),
            ("{\"é\":{\"n\":{i}}}", "{\"é\":{\"n\":12}}"),
            ("{", "{"),
            ("{é{{m}", "{é{2"),
        ] {
            assert_eq!(filled(text), expected, "{text}");
        }
        assert!(filled("{t}").parse::<u64>().unwrap() > 0);
    }
}
