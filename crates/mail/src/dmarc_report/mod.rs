//! Our own reports to owners of domains about mail in their names (RFC 7489 §7.2): what is counted of a message
//! ([`sighting`]), the document ([`Report`], appendix C) and how it is named where it travels. That of others is read in
//! [`crate::domain_report`].

mod sighting;
#[cfg(test)]
mod tests;
mod xml;

pub use sighting::sighting;

use crate::authentication::dmarc::Record;
use flate2::Compression;
use flate2::write::GzEncoder;
use postfleet_core::dmarc_report::Sighting;
use postfleet_core::{Domain, UtcDay};
use std::io::Write;

/// Octets of a line of what is encoded to travel (RFC 2045 §6.8), and of its end.
const LINE_OCTETS: usize = 76;
const LINE_END_OCTETS: usize = 2;

/// What is told about one domain and one day.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Who reports, in words.
    pub organization: &'a str,
    /// An address to ask.
    pub contact: &'a str,
    /// Who reports, as a domain: that of the address from which the report comes.
    pub receiver: &'a Domain,
    /// Where the record stands.
    pub domain: &'a Domain,
    /// The day.
    pub day: UtcDay,
    /// What is published now. What was published when a message came decided what was done with it.
    pub record: &'a Record,
    /// What was seen, each kind with the number of messages.
    pub seen: &'a [(Sighting, u64)],
    /// Messages that are not among these, since there were too many kinds.
    pub left_out: u64,
}

impl Report<'_> {
    /// What tells the report from all others of ours.
    pub fn id(&self) -> String {
        format!("{}.{}@{}", self.day, self.domain, self.receiver)
    }

    /// The document.
    pub fn xml(&self) -> String {
        xml::write(self)
    }

    /// The name of the file (§7.2.1.1).
    pub fn file_name(&self) -> String {
        let (begin, end) = self.seconds();
        format!("{}!{}!{begin}!{end}.xml.gz", self.receiver, self.domain)
    }

    /// The subject of the message (§7.2.1.1).
    pub fn subject(&self) -> String {
        format!("Report Domain: {} Submitter: {} Report-ID: <{}>", self.domain, self.receiver, self.id())
    }

    /// The first and the last second of the day.
    fn seconds(&self) -> (i64, i64) {
        (self.day.start().as_seconds(), self.day.end().as_seconds() - 1)
    }

    /// What is said where the document is too large for everybody who wants it (§7.2.2).
    pub fn too_large(&self, octets: u64, wanted: &[String]) -> String {
        let uris: String = wanted.iter().map(|address| format!("Submitting-URI: mailto:{address}\r\n")).collect();
        format!(
            "Report-Date: {}\r\nReport-Domain: {}\r\nReport-ID: <{}>\r\nReport-Size: {octets}\r\nSubmitter: {}\r\n{uris}",
            self.day,
            self.domain,
            self.id(),
            self.receiver
        )
    }
}

/// Packs a document.
pub fn pack(xml: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Memory takes everything.
    let _ = encoder.write_all(xml.as_bytes());
    encoder.finish().unwrap_or_default()
}

/// How many octets a packed document has as it travels: that is what limits are about (§7.2.1).
pub fn travelling_octets(packed: &[u8]) -> u64 {
    let encoded = packed.len().div_ceil(3) * 4;
    (encoded + encoded.div_ceil(LINE_OCTETS) * LINE_END_OCTETS) as u64
}
