//! Questions to the DNS without a network. A judgement asks a [`Dns`] that may not know yet; then it ends with what it
//! needs ([`Pending`]) and is made again once that is known. It depends on the answers alone, so it comes to the same.

use postfleet_core::dns::{Answer, Question, RecordKind, Records};
use std::net::IpAddr;
use std::sync::Arc;

/// Answers that are known.
pub trait Dns {
    /// The answer, if it is known.
    fn answer(&self, question: &Question) -> Option<Arc<Answer>>;
}

/// What must be known first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pending(pub Vec<Question>);

impl Pending {
    /// Each question once.
    pub(super) fn once(mut self) -> Self {
        self.0.sort_unstable();
        self.0.dedup();
        self
    }

    /// Takes what a part of a judgement came to, or what it needs.
    pub(super) fn settle<T>(&mut self, part: Result<T, Self>) -> Option<T> {
        match part {
            Ok(result) => Some(result),
            Err(Self(questions)) => {
                self.0.extend(questions);
                None
            }
        }
    }
}

/// What a lookup came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Looked<T> {
    Found(Vec<T>),
    Missing,
    Failed,
}

/// Most texts, names and addresses of one answer that are looked at: more than any honest zone has.
const RECORDS_MAX: usize = 1_000;

pub(super) fn texts(dns: &dyn Dns, name: &str) -> Result<Looked<String>, Pending> {
    ask(dns, name, RecordKind::Txt, |records| match records {
        Records::Texts(all) => all.iter().take(RECORDS_MAX).cloned().collect(),
        _ => Vec::new(),
    })
}

pub(super) fn names(dns: &dyn Dns, name: &str) -> Result<Looked<String>, Pending> {
    ask(dns, name, RecordKind::Ptr, |records| match records {
        Records::Names(all) => all.iter().take(RECORDS_MAX).cloned().collect(),
        _ => Vec::new(),
    })
}

pub(super) fn exchanges(dns: &dyn Dns, name: &str) -> Result<Looked<(u16, String)>, Pending> {
    ask(dns, name, RecordKind::Mx, |records| match records {
        Records::Exchanges(all) => all.iter().take(RECORDS_MAX).cloned().collect(),
        _ => Vec::new(),
    })
}

/// The addresses of the family that `like` is of.
pub(super) fn addresses(dns: &dyn Dns, name: &str, like: IpAddr) -> Result<Looked<IpAddr>, Pending> {
    let kind = if like.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa };
    ask(dns, name, kind, |records| match records {
        Records::Addresses(all) => all.iter().take(RECORDS_MAX).copied().collect(),
        _ => Vec::new(),
    })
}

fn ask<T>(
    dns: &dyn Dns,
    name: &str,
    kind: RecordKind,
    read: impl Fn(&Records) -> Vec<T>,
) -> Result<Looked<T>, Pending> {
    // What cannot be a name has no records, and nobody is asked.
    if !is_name(name) {
        return Ok(Looked::Missing);
    }
    let question = Question::new(name, kind);
    let Some(answer) = dns.answer(&question) else { return Err(Pending(vec![question])) };
    Ok(match &*answer {
        Answer::Found(records) => match read(records) {
            none if none.is_empty() => Looked::Missing,
            some => Looked::Found(some),
        },
        Answer::Missing => Looked::Missing,
        Answer::Failed => Looked::Failed,
    })
}

/// Whether a text fits into the DNS (RFC 1035 §2.3.4) and has nothing in it that no name has.
pub(super) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic());
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The name at which the names of an address stand (RFC 1035 §3.5, RFC 3596 §2.5).
pub(super) fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let mut name = String::with_capacity(72);
            for octet in v6.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
            name + "ip6.arpa"
        }
    }
}
