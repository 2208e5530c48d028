//! Reports of failed delivery in the words of a mail system (qmail, Exim, Sendmail, Exchange, Lotus, and the large
//! mailbox providers): a sentence that something was not delivered, then addresses, each with what was said.

use super::shapes::{DAEMONS, DELAYS, LEADS, QUOTES, SUBJECTS, any};
use super::{DeliveryReport, ReportedFate, Shape, paths_in, quoted_paths};
use crate::bounce_class::classify_reported;
use crate::dsn::{self, Action, DIAGNOSTIC_CHARS_MAX, RECIPIENTS_MAX};
use crate::message::structure::Part;
use crate::syntax::header::Field;
use postfleet_core::EmailAddress;

/// Reads a report; `None` if the message is none.
pub(super) fn read(message: &Shape<'_>, parts: &[Part<'_>]) -> Option<DeliveryReport> {
    let (said, quoted) = cut(message.text);
    let lower = said.to_lowercase();
    let named_failed = failed_recipients(message);
    let lead = lead(&lower);
    let is_of_daemon = any(&message.from, DAEMONS) || message.is_null_sender;
    let has_subject = any(&message.subject, SUBJECTS);
    // A human may quote such a sentence; a report is also sent as one.
    let is_report = !named_failed.is_empty()
        || lead.is_some() && (is_of_daemon || has_subject)
        || is_of_daemon && has_subject && any(&message.from, DAEMONS);
    if !is_report || says_reply(message) {
        return None;
    }
    let action = if any(&lower, DELAYS) { Action::Delayed } else { Action::Failed };
    let from = lead.filter(|at| said.is_char_boundary(*at)).unwrap_or(0);
    let mut groups = groups(&said[from..]);
    for address in named_failed {
        if !groups.iter().any(|(of, _)| of.key() == address.key()) {
            groups.push((address, said[from..].to_owned()));
        }
    }
    // In a table, or in a sentence of another language: the first address that there is.
    if groups.is_empty() {
        let lines = said[from..].lines();
        groups.extend(lines.filter_map(any_address).next().map(|(address, _)| (address, said[from..].to_owned())));
    }
    let recipients = match groups.is_empty() {
        true => vec![fate(Vec::new(), action, &said[from..])],
        false => groups.into_iter().map(|(address, text)| fate(vec![address], action, &text)).collect(),
    };
    let mut paths = quoted_paths(parts);
    paths.extend(paths_in(quoted.as_bytes()));
    Some(DeliveryReport { reporter: reporter(message), is_standard: false, recipients, quoted_paths: paths })
}

/// A machine that answers for a human says so, and is not a mail system.
fn says_reply(message: &Shape<'_>) -> bool {
    message.field("Auto-Submitted").is_some_and(|value| value.trim().starts_with("auto-replied"))
        && !any(&message.subject, SUBJECTS)
}

fn reporter(message: &Shape<'_>) -> String {
    message.from.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// What the system says, and the message that it quotes below.
fn cut(text: &str) -> (&str, &str) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let lower = line.trim_start_matches(['>', ' ', '\t', '|']).to_lowercase();
        // The first lines are the system's own, whatever they are.
        if start > 0 && QUOTES.iter().any(|mark| lower.starts_with(mark)) {
            let (said, quoted) = text.split_at(start);
            return match QUOTES.iter().rev().take(3).any(|mark| lower.starts_with(mark)) {
                true => (said, quoted),
                false => (said, quoted[line.len()..].trim_start()),
            };
        }
        start += line.len();
    }
    (text, "")
}

/// Where the first sentence begins that says what this is. Lower case may be longer than what it is the lower case of;
/// then the place is only nearly right, and nobody is harmed.
fn lead(lower: &str) -> Option<usize> {
    LEADS.iter().filter_map(|lead| lower.find(lead)).min()
}

/// Exim and others name the recipients in a field.
fn failed_recipients(message: &Shape<'_>) -> Vec<EmailAddress> {
    let texts: Vec<String> = message.header.all("X-Failed-Recipients").map(Field::text).collect();
    let addresses = texts.iter().flat_map(|text| text.split([',', ' '])).filter_map(address);
    addresses.take(RECIPIENTS_MAX).collect()
}

/// The addresses at which a paragraph or a line begins, or which the first sentence names, each with the text up to the
/// next one. An address that comes again adds to what was said of it.
fn groups(said: &str) -> Vec<(EmailAddress, String)> {
    let mut groups: Vec<(EmailAddress, String)> = Vec::new();
    let mut current: Option<usize> = None;
    for (number, line) in said.lines().enumerate() {
        let named = leading_address(line).or_else(|| (number == 0).then(|| any_address(line)).flatten());
        if let Some((address, rest)) = named {
            let known = groups.iter().position(|(of, _)| of.key() == address.key());
            current = known.or_else(|| {
                groups.push((address, String::new()));
                Some(groups.len() - 1)
            });
            append(&mut groups, current, rest);
        } else {
            append(&mut groups, current, line);
        }
        if groups.len() >= RECIPIENTS_MAX {
            break;
        }
    }
    groups
}

fn append(groups: &mut [(EmailAddress, String)], at: Option<usize>, text: &str) {
    if let Some((_, said)) = at.and_then(|at| groups.get_mut(at)).filter(|(_, said)| said.len() < super::TEXT_MAX / 8) {
        said.push_str(text);
        said.push('\n');
    }
}

/// The address that a line begins with: bare, in brackets or quotes, behind a number or a name.
fn leading_address(line: &str) -> Option<(EmailAddress, &str)> {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '-' | '>' | '|' | '\u{2022}'));
    let (word, rest) = line.split_at(line.find(char::is_whitespace).unwrap_or(line.len()));
    if let Some(address) = address(word) {
        return Some((address, rest));
    }
    // `Ada Lovelace (ada@example.net)` and `Ada Lovelace <ada@example.net>`, alone in a line; `Failed to deliver to '…'`.
    let line = line.trim_end();
    let is_alone = line.ends_with(')') || line.ends_with('>') || line.ends_with('\'') || line.ends_with("<br>");
    let inner =
        line.rsplit_once(['(', '<', '\'']).map(|_| line.rsplit(['(', '<', '\'']).find(|text| text.contains('@')));
    let is_short = line.len() <= 160 && !line.contains(": ");
    inner.flatten().filter(|_| is_alone && is_short).and_then(address).map(|address| (address, ""))
}

/// The first address in a line that is a sentence, such as `Your message wasn't delivered to ada@example.net because`.
fn any_address(line: &str) -> Option<(EmailAddress, &str)> {
    let mut at = 0;
    for word in line.split_inclusive(char::is_whitespace) {
        at += word.len();
        if let Some(address) = address(word) {
            return Some((address, &line[at..]));
        }
    }
    None
}

/// A word without what stands around it, if it is an address. `rfc822;` and `mailto:` are names of what follows.
fn address(word: &str) -> Option<EmailAddress> {
    if !word.contains('@') || word.len() > 400 {
        return None;
    }
    let word = word.trim_matches(|c: char| c.is_whitespace() || "<>()[]'\":;,.!*\u{201c}\u{201d}".contains(c));
    let word = word.split(['<', '>']).find(|piece| piece.contains('@')).unwrap_or(word);
    let word = word.trim_start_matches("mailto:").trim_start_matches("rfc822;").trim_start_matches("RFC822;");
    EmailAddress::parse(word).ok().filter(|address| address.domain().as_str().contains('.'))
}

fn fate(addresses: Vec<EmailAddress>, action: Action, text: &str) -> ReportedFate {
    let diagnostic = dsn::one_line(text, DIAGNOSTIC_CHARS_MAX);
    let kind = match action {
        Action::Failed => classify_reported("", text),
        _ => postfleet_core::bounce::BounceType::Undetermined,
    };
    ReportedFate { addresses, action, status: dsn::status_in(text).unwrap_or_default(), diagnostic, kind }
}
