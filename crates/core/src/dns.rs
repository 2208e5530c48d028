//! What is asked of the DNS by whoever judges mail, and what it answers: values, so that the judgement needs no network.

use std::net::IpAddr;

/// A kind of record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Texts.
    Txt,
    /// The names of an address.
    Ptr,
}

/// A question: the records of a kind at a name. The name is in lower case and without a dot at its end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Question {
    /// The name.
    pub name: String,
    /// The kind.
    pub kind: RecordKind,
}

impl Question {
    /// A question, its name in the one spelling.
    pub fn new(name: &str, kind: RecordKind) -> Self {
        Self { name: name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(), kind }
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The records, at least one.
    Found(Records),
    /// The name does not exist, or has no record of the kind.
    Missing,
    /// There is no answer now.
    Failed,
}

/// Records of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Records {
    /// Addresses of either kind.
    Addresses(Vec<IpAddr>),
    /// Mail exchangers, with their preferences.
    Exchanges(Vec<(u16, String)>),
    /// Texts, each with its strings joined (RFC 7208 §3.3).
    Texts(Vec<String>),
    /// Names.
    Names(Vec<String>),
}

impl Records {
    /// Octets that they take, about.
    pub fn octets(&self) -> usize {
        match self {
            Self::Addresses(all) => all.len() * 16,
            Self::Exchanges(all) => all.iter().map(|(_, name)| name.len() + 2).sum(),
            Self::Texts(all) | Self::Names(all) => all.iter().map(String::len).sum(),
        }
    }
}
