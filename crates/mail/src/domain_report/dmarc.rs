//! Aggregate reports of DMARC (RFC 7489 appendix C). Elements are found by their path, in whatever namespace; entities are
//! the five of XML and characters, and a document type is refused, so that nothing can grow while it is read.

use super::{About, COUNT_MAX, DomainReport, MailSeen, MailSource, Seen, Sums, Unreadable, kept};
use postfleet_core::{Domain, UnixMicros};
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Elements inside each other.
const DEPTH_MAX: usize = 16;

/// Octets of one text; the texts that are read are short.
const TEXT_MAX: usize = 4_096;

/// Domains that one report names as author of mail and that are told apart.
const AUTHORS_MAX: usize = 100;

pub(super) fn read(text: &str) -> Result<DomainReport, Unreadable> {
    let mut reader = Reader::from_str(text);
    let (mut path, mut value) = (Vec::<String>::new(), String::new());
    let mut draft = Draft::default();
    loop {
        match reader.read_event().map_err(|_| Unreadable::Malformed)? {
            Event::Start(start) => {
                if path.len() >= DEPTH_MAX {
                    return Err(Unreadable::Malformed);
                }
                path.push(local(start.local_name().as_ref()));
                draft.begins(&path);
                value.clear();
            }
            Event::Text(text) => push(&mut value, &text.xml10_content()),
            Event::CData(text) => push(&mut value, &text.xml10_content()),
            Event::GeneralRef(name) => {
                let character = match name.resolve_char_ref() {
                    Ok(Some(character)) => Some(character),
                    Ok(None) => named(&name.xml10_content()),
                    Err(_) => None,
                };
                push(&mut value, character.ok_or(Unreadable::Malformed)?.encode_utf8(&mut [0; 4]));
            }
            Event::End(_) => {
                draft.takes(&path, value.trim());
                value.clear();
                path.pop();
            }
            Event::DocType(_) => return Err(Unreadable::Malformed),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if !path.is_empty() {
        return Err(Unreadable::Malformed);
    }
    draft.finish()
}

fn local(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn push(value: &mut String, text: &str) {
    if value.len() < TEXT_MAX {
        value.push_str(text.get(..TEXT_MAX).unwrap_or(text));
    }
}

/// The entities that every document has (XML 1.0 §4.6).
fn named(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// What was read so far.
#[derive(Default)]
struct Draft {
    is_feedback: bool,
    reporter: String,
    contact: String,
    report_id: String,
    begin: Option<i64>,
    end: Option<i64>,
    domain: Option<Domain>,
    policy: String,
    row: Row,
    /// By the author of the mail.
    seen: BTreeMap<Option<Domain>, Counted>,
}

#[derive(Default)]
struct Row {
    address: Option<IpAddr>,
    count: Option<u64>,
    disposition: String,
    dkim: bool,
    spf: bool,
    author: Option<Domain>,
}

struct Counted {
    seen: MailSeen,
    sums: Sums<MailSource>,
}

impl Draft {
    fn begins(&mut self, path: &[String]) {
        match path {
            [root] => self.is_feedback = root == "feedback",
            [_, record] if record == "record" => self.row = Row::default(),
            _ => {}
        }
    }

    fn takes(&mut self, path: &[String], value: &str) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let row = &mut self.row;
        match path.as_slice() {
            ["feedback", "report_metadata", "org_name"] => self.reporter = kept(value),
            ["feedback", "report_metadata", "email"] => self.contact = kept(value),
            ["feedback", "report_metadata", "report_id"] => self.report_id = kept(value),
            ["feedback", "report_metadata", "date_range", "begin"] => self.begin = value.parse().ok(),
            ["feedback", "report_metadata", "date_range", "end"] => self.end = value.parse().ok(),
            ["feedback", "policy_published", "domain"] => self.domain = Domain::parse(value).ok(),
            ["feedback", "policy_published", word @ ("p" | "sp" | "np" | "adkim" | "aspf" | "pct")] => {
                self.policy = kept(&format!("{} {word}={value}", self.policy));
            }
            ["feedback", "record", "row", "source_ip"] => row.address = value.parse().ok(),
            ["feedback", "record", "row", "count"] => row.count = value.parse().ok(),
            ["feedback", "record", "row", "policy_evaluated", "disposition"] => {
                row.disposition = kept(&value.to_ascii_lowercase());
            }
            ["feedback", "record", "row", "policy_evaluated", "dkim"] => row.dkim = value.eq_ignore_ascii_case("pass"),
            ["feedback", "record", "row", "policy_evaluated", "spf"] => row.spf = value.eq_ignore_ascii_case("pass"),
            ["feedback", "record", "identifiers", "header_from"] => row.author = Domain::parse(value).ok(),
            ["feedback", "record"] => self.add(),
            _ => {}
        }
    }

    /// A record is over.
    fn add(&mut self) {
        let Row { address: Some(address), count: Some(count), disposition, dkim, spf, author } =
            std::mem::take(&mut self.row)
        else {
            return;
        };
        let count = count.min(COUNT_MAX);
        let key = if self.seen.len() < AUTHORS_MAX || self.seen.contains_key(&author) { author } else { None };
        let counted = self.seen.entry(key).or_insert_with(|| Counted { seen: MailSeen::default(), sums: Sums::new() });
        let add = |sum: &mut u64| *sum = sum.saturating_add(count).min(COUNT_MAX);
        add(&mut counted.seen.messages);
        if !dkim && !spf {
            add(&mut counted.seen.unaligned);
        }
        match disposition.as_str() {
            "quarantine" => add(&mut counted.seen.quarantined),
            "reject" => add(&mut counted.seen.rejected),
            _ => {}
        }
        let source = MailSource { address, disposition, dkim_aligned: dkim, spf_aligned: spf };
        counted.sums.add(source, count);
    }

    fn finish(self) -> Result<DomainReport, Unreadable> {
        if !self.is_feedback {
            return Err(Unreadable::NoReport);
        }
        let (Some(domain), Some(begin), Some(end)) = (self.domain, self.begin, self.end) else {
            return Err(Unreadable::Incomplete);
        };
        if self.reporter.is_empty() || self.report_id.is_empty() || end < begin {
            return Err(Unreadable::Incomplete);
        }
        let policy = self.policy;
        // Mail without a readable author is the domain's whose policy it was.
        let mut about: Vec<About> = Vec::new();
        for (author, Counted { seen, sums }) in self.seen {
            let seen = Seen::Mail(MailSeen { sources: sums.most(), ..seen });
            let domain = author.unwrap_or_else(|| domain.clone());
            about.push(About { domain, policy: policy.clone(), seen });
        }
        if about.is_empty() {
            about.push(About { domain: domain.clone(), policy, seen: Seen::Mail(MailSeen::default()) });
        }
        Ok(DomainReport {
            reporter: self.reporter,
            contact: self.contact,
            report_id: self.report_id,
            begins_at: time(begin)?,
            ends_at: time(end)?,
            about,
        })
    }
}

/// Seconds of a time that is one.
fn time(seconds: i64) -> Result<UnixMicros, Unreadable> {
    let is_time = (0..=253_402_300_799).contains(&seconds);
    is_time.then(|| UnixMicros::from_seconds(seconds)).ok_or(Unreadable::Incomplete)
}
