//! What is searched for, as it is written: words, phrases in quotes, `AND`, `OR`, `-` and parentheses.
//!
//! ```text
//! query  = any
//! any    = all *( "OR" all )
//! all    = one *( [ "AND" ] one )
//! one    = [ "-" ] ( word / phrase / "(" any ")" )
//! phrase = DQUOTE 1*( any octet but DQUOTE ) DQUOTE
//! word   = 1*( any character but white space, DQUOTE and parentheses )
//! ```
//!
//! `AND` and `OR` are operators in capitals alone, and quotes make words of them; so does a `-` before them. A `-` stands directly before what
//! it negates; by itself, or inside a word, it is a part of the word. What words are made of is decided elsewhere: a word such as
//! `e-mail` may come to several terms, and is then found where these follow each other.

use std::fmt;

/// Octets of a query.
pub const OCTETS_MAX: usize = 512;

/// Words, phrases, operators and negations of a query, all together.
pub const NODES_MAX: usize = 64;

/// Parentheses within each other.
pub const DEPTH_MAX: usize = 8;

/// A query. A list of alternatives, or of what must all be there, has at least two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// A word.
    Word(String),
    /// What stood in quotes.
    Phrase(String),
    /// All of them.
    All(Vec<Query>),
    /// Any of them.
    Any(Vec<Query>),
    /// What must not be there.
    Not(Box<Query>),
}

/// Why a text is no query, and at which octet of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// From 0; the length of the text where it ends too early.
    pub octet: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong with a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is longer than [`OCTETS_MAX`].
    TooLong,
    /// It has more than [`NODES_MAX`] words, phrases, operators and negations.
    TooMany,
    /// More than [`DEPTH_MAX`] parentheses are open.
    TooDeep,
    /// A quote does not close.
    OpenQuote,
    /// There is nothing in the quotes.
    EmptyQuotes,
    /// A parenthesis does not close.
    OpenParenthesis,
    /// There is nothing in the parentheses.
    EmptyParentheses,
    /// A parenthesis closes that was not opened.
    LooseParenthesis,
    /// There is nothing before an operator.
    NothingBefore,
    /// There is nothing behind an operator.
    NothingBehind,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::TooLong => write!(f, "may have at most {OCTETS_MAX} octets"),
            Fault::TooMany => {
                write!(f, "may have at most {NODES_MAX} words, phrases, operators and negations: one too many")
            }
            Fault::TooDeep => write!(f, "may have at most {DEPTH_MAX} parentheses within each other: one too many"),
            Fault::OpenQuote => f.write_str("has a quote that is not closed"),
            Fault::EmptyQuotes => f.write_str("has quotes with nothing in them"),
            Fault::OpenParenthesis => f.write_str("has a parenthesis that is not closed"),
            Fault::EmptyParentheses => f.write_str("has parentheses with nothing in them"),
            Fault::LooseParenthesis => f.write_str("has a closing parenthesis that was not opened"),
            Fault::NothingBefore => f.write_str("has an operator with nothing before it"),
            Fault::NothingBehind => f.write_str("has an operator with nothing behind it"),
        }?;
        write!(f, " at octet {}", self.octet)
    }
}

impl Query {
    /// Reads a query; `None` if there is nothing but white space.
    pub fn parse(text: &str) -> Result<Option<Self>, Wrong> {
        if text.len() > OCTETS_MAX {
            return Err(Wrong { octet: OCTETS_MAX, fault: Fault::TooLong });
        }
        let mut parser = Parser { text, at: 0, nodes: 0, depth: 0 };
        if parser.next().is_none() {
            return Ok(None);
        }
        let query = parser.any()?;
        match parser.next() {
            Some(_) => Err(parser.wrong(Fault::LooseParenthesis)),
            None => Ok(Some(query)),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    nodes: usize,
    depth: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

impl<'t> Parser<'t> {
    fn any(&mut self) -> Result<Query, Wrong> {
        let mut alternatives = vec![self.all()?];
        while self.operator() == Some(Operator::Or) {
            self.pass(Operator::Or)?;
            alternatives.push(self.all()?);
        }
        Ok(one_or(alternatives, Query::Any))
    }

    fn all(&mut self) -> Result<Query, Wrong> {
        let mut parts = vec![self.one()?];
        loop {
            match (self.next(), self.operator()) {
                (None | Some(')'), _) | (_, Some(Operator::Or)) => break,
                (_, Some(Operator::And)) => self.pass(Operator::And)?,
                _ => self.count(self.at)?,
            }
            parts.push(self.one()?);
        }
        Ok(one_or(parts, Query::All))
    }

    fn one(&mut self) -> Result<Query, Wrong> {
        let start = self.at_next();
        if self.operator().is_some() {
            return Err(self.wrong(Fault::NothingBefore));
        }
        if self.next() == Some('-') && self.rest()[1..].chars().next().is_some_and(|c| !c.is_whitespace() && c != ')') {
            self.at += 1;
            self.count(start)?;
            return Ok(Query::Not(Box::new(self.leaf()?)));
        }
        self.leaf()
    }

    /// What stands here, without looking for operators and negations.
    fn leaf(&mut self) -> Result<Query, Wrong> {
        match self.rest().chars().next() {
            Some('(') => self.group(),
            Some('"') => self.phrase(),
            Some(_) => self.word(),
            None => Err(self.wrong(Fault::NothingBehind)),
        }
    }

    fn group(&mut self) -> Result<Query, Wrong> {
        let opened = self.at;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong(Fault::TooDeep));
        }
        self.at += 1;
        match self.next() {
            None => return Err(Wrong { octet: opened, fault: Fault::OpenParenthesis }),
            Some(')') => return Err(Wrong { octet: opened, fault: Fault::EmptyParentheses }),
            Some(_) => {}
        }
        let inner = self.any()?;
        if self.next() != Some(')') {
            return Err(Wrong { octet: opened, fault: Fault::OpenParenthesis });
        }
        self.at += 1;
        self.depth -= 1;
        Ok(inner)
    }

    fn phrase(&mut self) -> Result<Query, Wrong> {
        let opened = self.at;
        self.count(opened)?;
        let rest = &self.rest()[1..];
        let Some(len) = rest.find('"') else { return Err(Wrong { octet: opened, fault: Fault::OpenQuote }) };
        if rest[..len].trim().is_empty() {
            return Err(Wrong { octet: opened, fault: Fault::EmptyQuotes });
        }
        self.at += len + 2;
        Ok(Query::Phrase(rest[..len].to_owned()))
    }

    fn word(&mut self) -> Result<Query, Wrong> {
        self.count(self.at)?;
        let word = self.bare();
        self.at += word.len();
        Ok(Query::Word(word.to_owned()))
    }

    /// The characters from here on that belong together.
    fn bare(&self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"'));
        &rest[..end.unwrap_or(rest.len())]
    }

    /// The operator that stands here, if one does.
    fn operator(&mut self) -> Option<Operator> {
        self.next();
        match self.bare() {
            "AND" => Some(Operator::And),
            "OR" => Some(Operator::Or),
            _ => None,
        }
    }

    /// Passes an operator, behind which something must stand.
    fn pass(&mut self, operator: Operator) -> Result<(), Wrong> {
        let start = self.at;
        self.count(start)?;
        self.at += if operator == Operator::And { "AND".len() } else { "OR".len() };
        match self.next() {
            None | Some(')') => Err(Wrong { octet: start, fault: Fault::NothingBehind }),
            Some(_) if self.operator().is_some() => Err(Wrong { octet: start, fault: Fault::NothingBehind }),
            Some(_) => Ok(()),
        }
    }

    fn count(&mut self, octet: usize) -> Result<(), Wrong> {
        self.nodes += 1;
        if self.nodes > NODES_MAX { Err(Wrong { octet, fault: Fault::TooMany }) } else { Ok(()) }
    }

    /// Passes white space; the character behind it.
    fn next(&mut self) -> Option<char> {
        self.at = self.at_next();
        self.rest().chars().next()
    }

    fn at_next(&self) -> usize {
        self.text.len() - self.rest().trim_start().len()
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn wrong(&self, fault: Fault) -> Wrong {
        Wrong { octet: self.at_next(), fault }
    }
}

fn one_or(mut parts: Vec<Query>, many: fn(Vec<Query>) -> Query) -> Query {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

/// As it could have been written.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) => f.write_str(text),
            Self::Phrase(text) => write!(f, "\"{text}\""),
            Self::All(parts) => list(f, parts, " ", |part| matches!(part, Self::All(_) | Self::Any(_))),
            Self::Any(parts) => list(f, parts, " OR ", |part| matches!(part, Self::Any(_))),
            Self::Not(inner) => match &**inner {
                Self::Word(_) | Self::Phrase(_) => write!(f, "-{inner}"),
                _ => write!(f, "-({inner})"),
            },
        }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    parts: &[Query],
    between: &str,
    needs_parentheses: fn(&Query) -> bool,
) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        if needs_parentheses(part) { write!(f, "({part})") } else { write!(f, "{part}") }?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
