//! Reports that other servers send about a domain: what they saw of mail in its name (DMARC, RFC 7489 §7.2 and appendix C)
//! and of connections to its servers (TLS, RFC 8460). They come packed, from anybody. Nothing here fails hard: what
//! cannot be read is refused with a word for why, and nothing is unpacked, read or kept beyond a limit.

mod dmarc;
#[cfg(test)]
mod tests;
mod tls;
mod unpack;

pub use unpack::UNPACKED_MAX;

use crate::message::structure::{self, Part};
use crate::syntax::transfer;
use postfleet_core::{Domain, UnixMicros};
use std::collections::HashMap;
use std::hash::Hash;

/// Sources of one report that are kept: those with most. All are counted.
pub const ROWS_MAX: usize = 200;

/// Sources of one report that are told apart. What is beyond is counted in the totals only.
const SOURCES_MAX: usize = 20_000;

/// Characters of each text that are kept.
const TEXT_CHARS_MAX: usize = 255;

/// More than any server has sent: what is beyond is no count.
const COUNT_MAX: u64 = 1_000_000_000_000;

/// A report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainReport {
    /// Who reports, as it calls itself.
    pub reporter: String,
    /// An address to ask; empty if it gives none.
    pub contact: String,
    /// The id that the reporter gave it.
    pub report_id: String,
    /// When what it is about began.
    pub begins_at: UnixMicros,
    /// When it ended.
    pub ends_at: UnixMicros,
    /// What it says of each domain that it names, at least one.
    pub about: Vec<About>,
}

/// What a report says of a domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct About {
    /// The domain.
    pub domain: Domain,
    /// The policy that was found, in short.
    pub policy: String,
    /// What was seen.
    pub seen: Seen,
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Mail in the name of the domain.
    Mail(MailSeen),
    /// Connections to its servers.
    Connections(ConnectionsSeen),
}

impl Seen {
    /// Adds what the same report says of a name below the domain. What is of another kind is no part of it.
    pub fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Mail(all), Self::Mail(more)) => {
                let sum = |sum: &mut u64, count: u64| *sum = sum.saturating_add(count).min(COUNT_MAX);
                sum(&mut all.messages, more.messages);
                sum(&mut all.unaligned, more.unaligned);
                sum(&mut all.quarantined, more.quarantined);
                sum(&mut all.rejected, more.rejected);
                all.sources = merged(std::mem::take(&mut all.sources), more.sources);
            }
            (Self::Connections(all), Self::Connections(more)) => {
                let sum = |sum: &mut u64, count: u64| *sum = sum.saturating_add(count).min(COUNT_MAX);
                sum(&mut all.connections, more.connections);
                sum(&mut all.failed, more.failed);
                all.failures = merged(std::mem::take(&mut all.failures), more.failures);
            }
            (Self::Mail(_), Self::Connections(_)) | (Self::Connections(_), Self::Mail(_)) => {}
        }
    }
}

fn merged<T: Hash + Eq + Ord + Clone>(one: Vec<(T, u64)>, other: Vec<(T, u64)>) -> Vec<(T, u64)> {
    let mut sums = Sums::new();
    one.into_iter().chain(other).for_each(|(thing, count)| sums.add(thing, count));
    sums.most()
}

/// Mail in the name of a domain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MailSeen {
    /// Messages.
    pub messages: u64,
    /// Those that were not aligned: neither SPF nor DKIM spoke for the domain.
    pub unaligned: u64,
    /// Those that were put aside.
    pub quarantined: u64,
    /// Those that were refused.
    pub rejected: u64,
    /// By address, most first.
    pub sources: Vec<(MailSource, u64)>,
}

/// Messages that are alike.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MailSource {
    /// Where they came from.
    pub address: std::net::IpAddr,
    /// What was done with them: `none`, `quarantine`, `reject`, or another word of the reporter.
    pub disposition: String,
    /// Whether a signature of the domain was good.
    pub dkim_aligned: bool,
    /// Whether SPF spoke for the domain.
    pub spf_aligned: bool,
}

/// Connections to the servers of a domain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnectionsSeen {
    /// Connections, failed ones included.
    pub connections: u64,
    /// Those that failed.
    pub failed: u64,
    /// By server and what was wrong, most first.
    pub failures: Vec<(ConnectionFailure, u64)>,
}

/// Failed connections that are alike.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnectionFailure {
    /// The server; empty if the reporter names none.
    pub host: String,
    /// What was wrong, in the words of RFC 8460 §4.3.
    pub kind: String,
}

/// Why something is no report, or not one that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is no part that may be one.
    #[error("there is no DMARC or TLS report in the message")]
    NoReport,
    /// It is too large, packed or unpacked.
    #[error("the report is larger than is read")]
    TooLarge,
    /// It cannot be unpacked.
    #[error("the report cannot be unpacked")]
    Packed,
    /// It is not XML or JSON as it should be.
    #[error("the report is not well-formed")]
    Malformed,
    /// Something that must be in it is missing or senseless.
    #[error("the report does not say who reports, when, or about what")]
    Incomplete,
}

impl Unreadable {
    /// A word for what is counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoReport => "no_report",
            Self::TooLarge => "too_large",
            Self::Packed => "not_unpacked",
            Self::Malformed => "malformed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Reads the report in a message: the first part that is one.
pub fn read(raw: &[u8]) -> Result<DomainReport, Unreadable> {
    let parts = structure::parse(raw).parts;
    let mut why = Unreadable::NoReport;
    for part in parts.iter().filter(|part| !part.is_multipart && may_be_report(part)).take(unpack::PARTS_MAX) {
        match read_part(&transfer::decode(part.encoding, part.content)) {
            Ok(report) => return Ok(report),
            Err(Unreadable::NoReport) => {}
            Err(other) => why = other,
        }
    }
    Err(why)
}

/// By type, since reporters give all kinds of names; a text for people is none.
fn may_be_report(part: &Part<'_>) -> bool {
    let kind = part.content_type.value.as_str();
    kind == "text/xml" || !(kind.starts_with("text/") || kind.starts_with("message/") || kind.is_empty())
}

fn read_part(packed: &[u8]) -> Result<DomainReport, Unreadable> {
    let octets = unpack::unpack(packed)?;
    let text = String::from_utf8_lossy(&octets);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.bytes().next() {
        Some(b'<') => dmarc::read(text),
        Some(b'{') => tls::read(text),
        _ => Err(Unreadable::NoReport),
    }
}

/// Adds up what is alike, as far as it is told apart.
struct Sums<T> {
    counts: HashMap<T, u64>,
}

impl<T: Hash + Eq + Ord + Clone> Sums<T> {
    fn new() -> Self {
        Self { counts: HashMap::new() }
    }

    fn add(&mut self, thing: T, count: u64) {
        if let Some(sum) = self.counts.get_mut(&thing) {
            *sum = sum.saturating_add(count);
        } else if self.counts.len() < SOURCES_MAX {
            self.counts.insert(thing, count);
        }
    }

    /// Those with most, most first.
    fn most(self) -> Vec<(T, u64)> {
        let mut sorted: Vec<(T, u64)> = self.counts.into_iter().collect();
        sorted.sort_by(|(a, most), (b, other)| other.cmp(most).then_with(|| a.cmp(b)));
        sorted.truncate(ROWS_MAX);
        sorted
    }
}

/// A text as it is kept: one line, not too long.
fn kept(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().take(TEXT_CHARS_MAX).collect()
}
