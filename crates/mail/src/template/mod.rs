//! Templates in the language of mustache: `{{name}}` (escaped), `{{{name}}}` and `{{&name}}` (as it is), sections
//! `{{#list}}…{{/list}}`, inverted ones `{{^list}}…{{/list}}`, comments `{{! … }}`, `{{.}}` for the item itself, and names
//! with dots. No partials, no other delimiters: a template is whole by itself. Reading and filling in are loops, never
//! recursion, and what a template may cost is bounded.

mod parse;
#[cfg(test)]
mod tests;

use crate::escape;
use parse::{Piece, parse};
use serde_json::Value;
use std::fmt;

/// Sections inside each other.
pub const DEPTH_MAX: usize = 16;

/// Octets of what a template becomes.
pub const OUTPUT_OCTETS_MAX: usize = 1 << 20;

/// Pieces that are looked at to fill a template in, repeats included.
pub const STEPS_MAX: usize = 1_000_000;

/// Parts of a name with dots.
const NAME_PARTS_MAX: usize = 16;

/// A template that was read.
#[derive(Clone, Debug)]
pub struct Template<'t> {
    pieces: Vec<Piece<'t>>,
}

/// What the result is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A body in HTML: values are escaped.
    Html,
    /// A body in plain text: values stand as they are.
    Text,
    /// A subject: values stand as they are, and line ends become spaces.
    Line,
}

/// Why a template cannot be read or filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Something in it is not as it must be.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A variable has no value.
    Undefined(String),
    /// The result would be larger than may be.
    TooLarge,
    /// It takes more steps than may be.
    TooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, reason } => write!(f, "line {line}: {reason}"),
            Self::Undefined(name) => write!(f, "the variable {name} is not defined"),
            Self::TooLarge => write!(f, "the result has more than {OUTPUT_OCTETS_MAX} bytes"),
            Self::TooLong => write!(f, "filling it in takes more than {STEPS_MAX} steps"),
        }
    }
}

impl<'t> Template<'t> {
    /// Reads a template.
    pub fn read(text: &'t str) -> Result<Self, Fault> {
        Ok(Self { pieces: parse(text)? })
    }

    /// Fills it in. If `is_strict`, a variable that is shown must be defined; sections only ask whether there is something.
    /// Null, `false`, an empty text and an empty list are nothing.
    pub fn render(&self, variables: &Value, is_strict: bool, form: Form) -> Result<String, Fault> {
        let mut filling =
            Filling { out: String::new(), contexts: vec![variables], sections: Vec::new(), is_strict, form };
        let mut at = 0;
        for _ in 0..STEPS_MAX {
            let Some(piece) = self.pieces.get(at) else { return Ok(filling.out) };
            at = filling.step(piece, at)?;
        }
        Err(Fault::TooLong)
    }
}

struct Filling<'v> {
    out: String,
    /// Where names are looked up, the innermost last.
    contexts: Vec<&'v Value>,
    sections: Vec<Section<'v>>,
    is_strict: bool,
    form: Form,
}

/// A section that is being filled in.
struct Section<'v> {
    /// The piece behind its beginning.
    start: usize,
    /// Items that are still to come.
    rest: &'v [Value],
    /// It put something where names are looked up.
    is_context: bool,
}

impl<'v> Filling<'v> {
    /// Fills in a piece; answers which one comes next.
    fn step(&mut self, piece: &Piece<'_>, at: usize) -> Result<usize, Fault> {
        match piece {
            Piece::Text(text) => self.write(text)?,
            Piece::Variable { name, is_raw } => self.variable(name, *is_raw)?,
            Piece::Open { name, is_inverted, end } => return Ok(self.open(name, *is_inverted, at, *end)),
            Piece::Close => return Ok(self.close(at)),
        }
        Ok(at + 1)
    }

    fn write(&mut self, text: &str) -> Result<(), Fault> {
        if self.out.len() + text.len() > OUTPUT_OCTETS_MAX {
            return Err(Fault::TooLarge);
        }
        if self.form == Form::Line {
            self.out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        } else {
            self.out.push_str(text);
        }
        Ok(())
    }

    fn variable(&mut self, name: &str, is_raw: bool) -> Result<(), Fault> {
        let text = match self.find(name) {
            None if self.is_strict => return Err(Fault::Undefined(name.to_owned())),
            None | Some(Value::Null) => return Ok(()),
            Some(Value::String(text)) => std::borrow::Cow::Borrowed(text.as_str()),
            Some(value) => std::borrow::Cow::Owned(value.to_string()),
        };
        if text.len() > OUTPUT_OCTETS_MAX {
            return Err(Fault::TooLarge);
        }
        if is_raw || self.form != Form::Html { self.write(&text) } else { self.write(&escape::value(&text)) }
    }

    fn find(&self, name: &str) -> Option<&'v Value> {
        if name == "." {
            return self.contexts.last().copied();
        }
        let mut parts = name.split('.');
        let first = parts.next()?;
        let mut value = self.contexts.iter().rev().find_map(|context| context.get(first))?;
        for part in parts {
            value = value.get(part)?;
        }
        Some(value)
    }

    fn open(&mut self, name: &str, is_inverted: bool, at: usize, end: usize) -> usize {
        let value = self.find(name).filter(|value| is_something(value));
        let (rest, context): (&[Value], _) = match value {
            _ if is_inverted == value.is_some() => return end + 1,
            None => (&[], None),
            Some(Value::Array(items)) => (items.get(1..).unwrap_or_default(), items.first()),
            Some(value) => (&[], Some(value)),
        };
        self.contexts.extend(context);
        self.sections.push(Section { start: at + 1, rest, is_context: context.is_some() });
        at + 1
    }

    fn close(&mut self, at: usize) -> usize {
        let Some(section) = self.sections.last_mut() else { return at + 1 };
        if section.is_context {
            self.contexts.pop();
        }
        match section.rest.split_first() {
            Some((next, rest)) => {
                section.rest = rest;
                self.contexts.push(next);
                section.start
            }
            None => {
                self.sections.pop();
                at + 1
            }
        }
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => true,
    }
}
