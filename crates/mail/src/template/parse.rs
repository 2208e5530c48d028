//! Reading a template into pieces, in order; a section knows where it ends.

use super::{DEPTH_MAX, Fault, NAME_PARTS_MAX};
use memchr::memmem;

/// Octets of a name.
const NAME_OCTETS_MAX: usize = 200;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Variable {
        name: &'t str,
        is_raw: bool,
    },
    Open {
        name: &'t str,
        is_inverted: bool,
        /// The piece that closes it.
        end: usize,
    },
    Close,
}

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let mut reader = Reader { text, at: 0, line: 1, pieces: Vec::new(), open: Vec::new() };
    while let Some(start) = memmem::find(&text.as_bytes()[reader.at..], b"{{") {
        reader.tag(reader.at + start)?;
    }
    reader.push_text(text.len());
    match reader.open.pop() {
        Some((at, line)) => Err(syntax(line, format!("the section {} is not closed", reader.name_of(at)))),
        None => Ok(reader.pieces),
    }
}

struct Reader<'t> {
    text: &'t str,
    /// What is before was read.
    at: usize,
    /// The line in which that ends.
    line: usize,
    pieces: Vec<Piece<'t>>,
    /// Sections that are open: the piece, and its line.
    open: Vec<(usize, usize)>,
}

fn syntax(line: usize, reason: String) -> Fault {
    Fault::Syntax { line, reason }
}

impl<'t> Reader<'t> {
    /// Takes the text up to `end`.
    fn push_text(&mut self, end: usize) {
        let text = &self.text[self.at..end];
        self.line += text.matches('\n').count();
        if !text.is_empty() {
            self.pieces.push(Piece::Text(text));
        }
        self.at = end;
    }

    /// Takes the text before the tag at `start`, and the tag.
    fn tag(&mut self, start: usize) -> Result<(), Fault> {
        let line = self.line + self.text[self.at..start].matches('\n').count();
        let inside = &self.text[start + 2..];
        let is_triple = inside.starts_with('{');
        let closing = if is_triple { "}}}" } else { "}}" };
        let unclosed = || syntax(line, format!("a tag is not closed by {closing}"));
        let len = memmem::find(inside.as_bytes(), closing.as_bytes()).ok_or_else(unclosed)?;
        let content = &inside[..len];
        let end = start + 2 + len + closing.len();
        let (kind, name) = match content.chars().next() {
            Some('{') if is_triple => (Some('&'), &content[1..]),
            Some(kind @ ('#' | '^' | '/' | '!' | '&')) => (Some(kind), &content[1..]),
            Some('>') => return Err(syntax(line, "partials ({{> }}) are not available".to_owned())),
            Some('=') => return Err(syntax(line, "other delimiters ({{= =}}) are not available".to_owned())),
            _ => (None, content),
        };
        // A section or a comment with a line of its own takes the line with it.
        let (before, after) = match kind {
            Some('#' | '^' | '/' | '!') => self.alone(start, end),
            _ => (start, end),
        };
        self.push_text(before);
        let is_comment = kind == Some('!');
        let name = if is_comment { "" } else { checked(name.trim(), line)? };
        match kind {
            Some('!') => {}
            Some('#' | '^') => self.open_section(name, kind == Some('^'), line)?,
            Some('/') => self.close_section(name, line)?,
            kind => self.pieces.push(Piece::Variable { name, is_raw: kind == Some('&') }),
        }
        self.line += self.text[before..after].matches('\n').count();
        self.at = after;
        Ok(())
    }

    /// The bounds of a tag, of its whole line if nothing else is in it.
    fn alone(&self, start: usize, end: usize) -> (usize, usize) {
        let is_blank = |c: char| matches!(c, ' ' | '\t');
        let before = self.text[self.at..start].trim_end_matches(is_blank);
        let begins =
            (before.is_empty() && (self.at == 0 || self.text[..self.at].ends_with('\n'))) || before.ends_with('\n');
        let after = self.text[end..].trim_start_matches(is_blank);
        let line_end =
            ["\r\n", "\n"].iter().find(|line_end| after.starts_with(**line_end)).map(|line_end| line_end.len());
        match line_end.or(after.is_empty().then_some(0)) {
            Some(len) if begins => (self.at + before.len(), self.text.len() - after.len() + len),
            _ => (start, end),
        }
    }

    fn open_section(&mut self, name: &'t str, is_inverted: bool, line: usize) -> Result<(), Fault> {
        if self.open.len() == DEPTH_MAX {
            return Err(syntax(line, format!("sections may be inside each other {DEPTH_MAX} times")));
        }
        self.open.push((self.pieces.len(), line));
        self.pieces.push(Piece::Open { name, is_inverted, end: usize::MAX });
        Ok(())
    }

    fn close_section(&mut self, name: &str, line: usize) -> Result<(), Fault> {
        let Some((at, _)) = self.open.pop() else {
            return Err(syntax(line, format!("{name} is closed and was not opened")));
        };
        let here = self.pieces.len();
        if self.name_of(at) != name {
            return Err(syntax(line, format!("{name} is closed where {} must be", self.name_of(at))));
        }
        if let Some(Piece::Open { end, .. }) = self.pieces.get_mut(at) {
            *end = here;
        }
        self.pieces.push(Piece::Close);
        Ok(())
    }

    fn name_of(&self, at: usize) -> &'t str {
        match self.pieces.get(at) {
            Some(Piece::Open { name, .. }) => name,
            _ => "",
        }
    }
}

/// A name: `.`, or parts between dots.
fn checked(name: &str, line: usize) -> Result<&str, Fault> {
    let shown: String = name.chars().take(40).collect();
    let is_part =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '}'));
    let is_name = name == "." || (name.split('.').count() <= NAME_PARTS_MAX && name.split('.').all(is_part));
    if is_name && name.len() <= NAME_OCTETS_MAX {
        return Ok(name);
    }
    Err(syntax(line, format!("\"{shown}\" is not the name of a variable")))
}
