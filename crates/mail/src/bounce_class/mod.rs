//! What a refusal says about the address it is for. Texts come first, because servers put very different things under
//! one code; then the enhanced code (RFC 3463), then the basic one.

#[cfg(test)]
mod tests;
mod texts;

use postfleet_core::bounce::BounceType;
use texts::{Row, TEXTS};

/// Octets of a text that are looked at.
const TEXT_MAX: usize = 2_048;

/// Classifies a refusal: the reply code (0 when no server spoke), the enhanced code (empty when there was none; one at
/// the beginning of the text is found there), and the text.
pub fn classify(code: u16, status: &str, text: &str) -> BounceType {
    let text = looked_at(text);
    let status = parse_status(status).or_else(|| status_in(&text));
    match is_permanent(code, status) {
        Some(is_permanent) => decide(code, status, &text, is_permanent),
        None => BounceType::Undetermined,
    }
}

/// Classifies a failure that somebody reports: it is final, whatever its codes; they are looked for in the text.
pub fn classify_reported(status: &str, text: &str) -> BounceType {
    let text = looked_at(text);
    let status = parse_status(status).or_else(|| status_in(&text));
    let code = code_in(&text).unwrap_or(0);
    match is_permanent(code, status) {
        Some(is_permanent) => decide(code, status, &text, is_permanent),
        // Somebody gave up, and in words alone: what they say is meant for good.
        None => match decide(0, None, &text, true) {
            BounceType::General => BounceType::Undetermined,
            told => told,
        },
    }
}

fn decide(code: u16, status: Option<Status>, text: &str, is_permanent: bool) -> BounceType {
    let words = without_names(text);
    let is_policy = status.is_some_and(|(_, subject, _)| subject == 7);
    let says = |row: &&Row| row.words.iter().any(|word| words.contains(word));
    let of_text = TEXTS.iter().find(|row| row.needs.applies(is_permanent, is_policy) && says(row));
    let kind = of_text.map(|row| row.kind).or_else(|| of_status(status?, is_permanent));
    kind.unwrap_or_else(|| of_code(code, text, is_permanent))
}

fn looked_at(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX)].to_lowercase()
}

/// The text without addresses, names of hosts and links: `host mx.barracuda.example said` is no word about a block list,
/// and neither is the page where one may read about spam.
fn without_names(text: &str) -> String {
    let is_between = |c: char| c.is_whitespace() || "()[]<>\"',;".contains(c);
    let mut kept = String::with_capacity(text.len());
    for word in text.split_inclusive(is_between) {
        if word.contains("://") {
            kept.push(' ');
            continue;
        }
        for piece in word.split_inclusive(':') {
            // `ada@example.net...User unknown` is an address with a text behind it.
            let piece = piece.find("...").filter(|_| piece.contains('@')).map_or(piece, |at| &piece[at..]);
            let bare = piece.trim_end_matches(|c: char| is_between(c) || matches!(c, ':' | '.'));
            kept.push_str(if is_name(bare) { &piece[bare.len()..] } else { piece });
        }
    }
    kept
}

/// An address, or the name of a host: at least three labels, the last one short and of letters. What programs call their
/// own errors (`RESOLVER.ADR.RecipientNotFound`) ends in a long one.
fn is_name(word: &str) -> bool {
    let is_host = || {
        let last = word.rsplit('.').next().unwrap_or_default();
        word.split('.').count() > 2
            && !word.contains("..")
            && (2..=6).contains(&last.len())
            && last.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    word.contains('@') || is_host()
}

/// Where the two codes do not agree, the failure is taken for temporary: that does less harm.
fn is_permanent(code: u16, status: Option<Status>) -> Option<bool> {
    match (code / 100, status) {
        (5, Some((4, ..))) | (4, _) => Some(false),
        (5, _) => Some(true),
        (_, Some((class, ..))) => Some(class == 5),
        _ => None,
    }
}

/// The numbers of an enhanced code (RFC 3463 §2).
type Status = (u8, u16, u16);

fn status_in(text: &str) -> Option<Status> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '(' | ';' | ',')).find_map(parse_status)
}

/// The first reply code of a text: three digits on their own, as in `550 5.1.1` or `550-No such user`.
fn code_in(text: &str) -> Option<u16> {
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '#' | '(' | ')' | ':' | ';'));
    words.find_map(|word| {
        let is_code = word.len() == 3 && word.starts_with(['4', '5']) && word.bytes().all(|byte| byte.is_ascii_digit());
        word.parse().ok().filter(|code| is_code && code % 100 < 80)
    })
}

/// `5.1.1` and its like.
fn parse_status(text: &str) -> Option<Status> {
    let mut numbers = text.trim_matches(|c: char| !c.is_ascii_digit()).split('.');
    let class = numbers.next()?.parse().ok().filter(|class| matches!(class, 4 | 5))?;
    let (subject, detail) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    (numbers.next().is_none() && subject < 10).then_some((class, subject, detail))
}

/// What the enhanced code says (RFC 3463, RFC 7372, RFC 7505).
fn of_status((_, subject, detail): Status, is_permanent: bool) -> Option<BounceType> {
    let kind = match (subject, detail) {
        (2, 2) => return Some(BounceType::MailboxFull),
        _ if !is_permanent => match (subject, detail) {
            (7, 1..=29) => BounceType::Blocked,
            (4, 5) | (5, 3) => BounceType::RateLimited,
            (0..=7, _) => BounceType::Temporary,
            _ => return None,
        },
        // Something with the address, the system, the protocol: it is not said what.
        (0..=7, 0) if subject != 6 && subject != 7 => return None,
        (1, 1 | 3 | 6) => BounceType::UnknownUser,
        (1, 2 | 10) | (4, 4) => BounceType::UnknownDomain,
        (2, 1) => BounceType::MailboxDisabled,
        (2, 3) | (3, 4) => BounceType::MessageTooLarge,
        (7, 20..=27) => BounceType::AuthenticationFailed,
        (1, 7 | 8) | (7, _) => BounceType::Policy,
        (4, 5) => BounceType::RateLimited,
        (3, 1 | 2 | 5) | (4, 1..=3 | 6 | 7 | 14) => BounceType::Temporary,
        (3 | 5 | 6, _) => BounceType::Unsupported,
        _ => return None,
    };
    Some(kind)
}

/// What the reply code alone says (RFC 5321 §4.2.3). Servers say 550 and 553 for everything; only where they say nothing
/// else it means what the standard says.
fn of_code(code: u16, text: &str, is_permanent: bool) -> BounceType {
    match code {
        550 | 553 if text.trim().is_empty() => BounceType::UnknownUser,
        551 => BounceType::UnknownUser,
        552 => BounceType::MailboxFull,
        556 => BounceType::UnknownDomain,
        555 | 500..=504 => BounceType::Unsupported,
        452 => BounceType::RateLimited,
        _ if is_permanent => BounceType::General,
        _ => BounceType::Temporary,
    }
}
