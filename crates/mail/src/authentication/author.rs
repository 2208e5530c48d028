//! The one author of a message whom DMARC is about (RFC 7489 §6.6.1): exactly one From field with exactly one mailbox.
//! What different readers may read differently has no author: better none than another than the one who is shown.

use super::header::Header;
use crate::Participant;
use crate::syntax::address;
use postfleet_core::address::is_atext;
use postfleet_core::{Domain, EmailAddress};

/// The domain of the author, or why there is none.
pub(super) fn domain(header: &Header<'_>) -> Result<Domain, &'static str> {
    if header.is_cut {
        return Err("the header is larger than is read");
    }
    if !header.is_clean {
        return Err("the message has line ends other than CRLF");
    }
    if from_lines(header.block) > 1 {
        return Err("there is more than one From field");
    }
    let (_, field) = header.all("from").next().ok_or("there is no From field")?;
    let text = String::from_utf8_lossy(field.value).replace("\r\n", "");
    let mailbox = one_mailbox(&text).ok_or("From is not exactly one mailbox")?;
    // What is shown to readers must be what is judged.
    let mut shown: Vec<Participant> = Vec::new();
    address::parse(&field.text(), &mut shown, 2);
    match shown.as_slice() {
        [one] if EmailAddress::parse(&one.email).is_ok_and(|shown| shown == mailbox) => Ok(mailbox.domain().clone()),
        _ => Err("From can be read in more than one way"),
    }
}

/// Lines that some reader may take for a From field: those too in whose name there is what no name has.
fn from_lines(block: &[u8]) -> usize {
    let is_from = |line: &&[u8]| {
        let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
        let Some(colon) = memchr::memchr(b':', line) else { return false };
        let mut name = line[..colon].iter().filter(|byte| byte.is_ascii_graphic()).map(u8::to_ascii_lowercase);
        !is_folded && b"from".iter().all(|byte| name.next() == Some(*byte)) && name.next().is_none()
    };
    let mut start = 0;
    let lines = memchr::memchr_iter(b'\n', block).chain([block.len()]).map(|end| {
        let line = &block[start..end];
        // White space before the first line folds nothing.
        let line = if start == 0 { line.trim_ascii_start() } else { line };
        start = end + 1;
        line
    });
    lines.filter(is_from).count()
}

/// A piece of an address.
#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Atom(&'a str),
    Quoted(String),
    Special(char),
    Space,
    Comment,
}

/// Reads one mailbox (RFC 5322 §3.4) without any of the forms of old, of which readers make different things.
fn one_mailbox(text: &str) -> Option<EmailAddress> {
    let tokens = tokens(text)?;
    let is_void = |token: &Token<'_>| matches!(token, Token::Space | Token::Comment);
    let Some(open) = tokens.iter().position(|token| *token == Token::Special('<')) else {
        let start = tokens.iter().position(|token| !is_void(token))?;
        let end = tokens.iter().rposition(|token| !is_void(token))?;
        return addr_spec(&tokens[start..=end]);
    };
    let close = tokens.iter().position(|token| *token == Token::Special('>')).filter(|close| *close > open)?;
    if !tokens[close + 1..].iter().all(is_void) {
        return None;
    }
    let address = addr_spec(&tokens[open + 1..close])?;
    let phrase = &tokens[..open];
    let is_word = |token: &Token<'_>| {
        is_void(token) || matches!(token, Token::Atom(_) | Token::Quoted(_)) || *token == Token::Special('.')
    };
    if phrase.iter().all(is_word) {
        return Some(address);
    }
    // An address as the name of itself is a common mistake that misleads nobody.
    joined(phrase).eq_ignore_ascii_case(&address.to_string()).then_some(address)
}

/// What tokens say together.
fn joined(tokens: &[Token<'_>]) -> String {
    let mut text = String::new();
    for token in tokens {
        match token {
            Token::Atom(part) => text.push_str(part),
            Token::Quoted(part) => text.push_str(part),
            Token::Special(c) => text.push(*c),
            Token::Space | Token::Comment => {}
        }
    }
    text
}

/// `local@domain` without anything between.
fn addr_spec(tokens: &[Token<'_>]) -> Option<EmailAddress> {
    let at = tokens.iter().position(|token| *token == Token::Special('@'))?;
    let (local, domain) = (&tokens[..at], &tokens[at + 1..]);
    let is_dotted = |part: &[Token<'_>], quoted: bool| {
        part.len() % 2 == 1
            && part.iter().enumerate().all(|(at, token)| match token {
                Token::Special('.') => at % 2 == 1,
                Token::Atom(text) => at % 2 == 0 && !text.starts_with("=?"),
                Token::Quoted(_) => quoted && part.len() == 1,
                _ => false,
            })
    };
    if !is_dotted(local, true) || !is_dotted(domain, false) {
        return None;
    }
    let local: String = match local {
        [Token::Quoted(text)] => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        words => joined(words),
    };
    EmailAddress::parse(&format!("{local}@{}", joined(domain))).ok()
}

fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            ' ' | '\t' => {
                tokens.push(Token::Space);
                after.trim_start_matches([' ', '\t'])
            }
            '"' => {
                let (inner, after) = quoted(after)?;
                tokens.push(Token::Quoted(inner));
                after
            }
            '(' => {
                tokens.push(Token::Comment);
                comment(after)?
            }
            c if is_atext(c) => {
                let end = rest.find(|c| !is_atext(c)).unwrap_or(rest.len());
                tokens.push(Token::Atom(&rest[..end]));
                &rest[end..]
            }
            '<' | '>' | '@' | '.' => {
                tokens.push(Token::Special(c));
                after
            }
            // Lists, groups, routes, literals and what no address has.
            _ => return None,
        };
    }
    Some(tokens)
}

/// A quoted string after its opening quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut inner = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((inner, &text[at + 1..])),
            '\\' => inner.push(chars.next().map(|(_, c)| c).filter(|c| !c.is_control())?),
            c if c.is_control() && c != '\t' => return None,
            c => inner.push(c),
        }
    }
    None
}

/// What follows a comment, after its opening parenthesis.
fn comment(text: &str) -> Option<&str> {
    let (mut depth, mut chars) = (1_u32, text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(&text[at + 1..]),
            ')' => depth -= 1,
            '\\' => drop(chars.next()?),
            c if c.is_control() && c != '\t' => return None,
            _ => {}
        }
    }
    None
}
