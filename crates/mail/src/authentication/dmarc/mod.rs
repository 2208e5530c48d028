//! DMARC (RFC 7489): whether what SPF and DKIM proved belongs to the author that a reader sees, and what the author's
//! domain wants to be done if it does not.

mod destinations;
mod record;
pub mod suffix;

use super::dns::{self, Dns, Looked, Pending};
use postfleet_core::Domain;
use postfleet_core::authentication::{AuthResult, Authentication, DkimResult, DmarcPolicy, DmarcResult, SpfResult};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use destinations::{Destination, Destinations, destinations};
pub use record::Record;
use suffix::{are_aligned, organizational};

/// What a domain published, as far as it concerns one author.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Published {
    /// A record.
    Record {
        /// What it says.
        record: Box<Record>,
        /// Where it stands.
        at: String,
        /// What it asks for with mail of this author.
        policy: DmarcPolicy,
    },
    /// None, or none that can be followed.
    Nothing,
    /// There was no answer.
    Unknown,
}

/// Finds what is published about an author's domain (§6.6.3).
pub fn find(dns: &dyn Dns, domain: &Domain) -> Result<Published, Pending> {
    let name = domain.as_str();
    let above = organizational(name);
    let mut at = name;
    let mut text = match one_record(dns, name)? {
        Ok(text) => text,
        Err(()) => return Ok(Published::Unknown),
    };
    if text.is_none() && above != name {
        at = above;
        text = match one_record(dns, above)? {
            Ok(text) => text,
            Err(()) => return Ok(Published::Unknown),
        };
    }
    let Some(record) = text.as_deref().and_then(record::parse) else { return Ok(Published::Nothing) };
    let policy = if at == name { record.policy } else { of_subdomain(dns, name, &record)? };
    Ok(Published::Record { record: Box::new(record), at: at.to_owned(), policy })
}

/// The one record of a domain. Several are none (§6.6.3 step 5).
fn one_record(dns: &dyn Dns, domain: &str) -> Result<Result<Option<String>, ()>, Pending> {
    let texts = match dns::texts(dns, &format!("_dmarc.{domain}"))? {
        Looked::Found(texts) => texts,
        Looked::Missing => return Ok(Ok(None)),
        Looked::Failed => return Ok(Err(())),
    };
    let mut records = texts.into_iter().filter(|text| record::is_record(text));
    Ok(Ok(match (records.next(), records.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }))
}

/// What a record asks for with mail of a name below its domain.
fn of_subdomain(dns: &dyn Dns, name: &str, record: &Record) -> Result<DmarcPolicy, Pending> {
    let of_existing = record.of_subdomains.unwrap_or(record.policy);
    match record.of_missing {
        Some(of_missing) if of_missing != of_existing && !exists(dns, name)? => Ok(of_missing),
        _ => Ok(of_existing),
    }
}

/// Whether a name has an address or takes mail (RFC 9091 §2.7). What cannot be told exists.
fn exists(dns: &dyn Dns, name: &str) -> Result<bool, Pending> {
    let mut pending = Pending::default();
    let is_there = |looked: Option<bool>| looked.unwrap_or(false);
    let v4 = pending.settle(dns::addresses(dns, name, IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let v6 = pending.settle(dns::addresses(dns, name, IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
    let mx = pending.settle(dns::exchanges(dns, name));
    if !pending.0.is_empty() {
        return Err(pending);
    }
    Ok(is_there(v4.map(|looked| looked != Looked::Missing))
        || is_there(v6.map(|looked| looked != Looked::Missing))
        || is_there(mx.map(|looked| looked != Looked::Missing)))
}

/// What of the results belongs to an author.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Alignment {
    /// What SPF proved.
    pub spf: bool,
    /// What a signature over the whole body proved.
    pub dkim: bool,
}

/// Compares (§3.1).
pub fn align(author: &Domain, record: &Record, spf: &SpfResult, dkim: &[DkimResult]) -> Alignment {
    let is_of_author = |domain: &Option<String>, is_strict| {
        domain.as_deref().is_some_and(|domain| are_aligned(author.as_str(), domain, is_strict))
    };
    Alignment {
        spf: spf.result == AuthResult::Pass && is_of_author(&spf.domain, record.is_spf_strict),
        dkim: dkim.iter().any(|one| one.is_proof() && is_of_author(&one.domain, record.is_dkim_strict)),
    }
}

/// Judges. `sample`, from 0 to 99, decides whether a message is among those to which the policy applies (`pct`).
pub fn judge(
    author: Result<&Domain, &'static str>,
    published: &Published,
    (spf, dkim): (&SpfResult, &[DkimResult]),
    sample: u8,
) -> DmarcResult {
    let author = match author {
        Ok(author) => author,
        Err(reason) => {
            return DmarcResult { result: AuthResult::Permerror, reason: reason.to_owned(), ..DmarcResult::default() };
        }
    };
    let mut judged = DmarcResult { domain: Some(author.to_string()), ..DmarcResult::default() };
    let (record, at, policy) = match published {
        Published::Record { record, at, policy } => (record, at, policy),
        Published::Nothing => {
            judged.reason = "no record".to_owned();
            return judged;
        }
        Published::Unknown => {
            (judged.result, judged.reason) = (AuthResult::Temperror, "no answer about the record".to_owned());
            return judged;
        }
    };
    let is_left_out = record.is_testing || sample >= record.percent;
    judged.policy_domain = Some(at.clone());
    let asked = if is_left_out { policy.weaker() } else { *policy };
    judged.policy = Some(asked.word().to_owned());
    let aligned = align(author, record, spf, dkim);
    (judged.spf_aligned, judged.dkim_aligned) = (aligned.spf, aligned.dkim);
    if aligned.spf || aligned.dkim {
        judged.result = AuthResult::Pass;
    } else if could_pass_later(author, record, spf, dkim) {
        (judged.result, judged.reason) =
            (AuthResult::Temperror, "what would prove it could not be looked up".to_owned());
    } else {
        judged.result = AuthResult::Fail;
    }
    judged
}

/// Whether something that belongs to the author could not be looked at now (§5.6.2, §6.6.2).
fn could_pass_later(author: &Domain, record: &Record, spf: &SpfResult, dkim: &[DkimResult]) -> bool {
    let as_if_passed =
        |result: AuthResult| if result == AuthResult::Temperror { AuthResult::Pass } else { AuthResult::None };
    let spf = SpfResult { result: as_if_passed(spf.result), ..spf.clone() };
    let dkim: Vec<DkimResult> =
        dkim.iter().map(|one| DkimResult { result: as_if_passed(one.result), ..one.clone() }).collect();
    let aligned = align(author, record, &spf, &dkim);
    aligned.spf || aligned.dkim
}

/// Whether SPF or a signature over the whole of a message proves that it comes from the owner of a domain, whatever its
/// From says and whatever the owner published.
pub fn proves(found: &Authentication, domain: &Domain) -> bool {
    let is_of =
        |proved: &Option<String>| proved.as_deref().is_some_and(|name| are_aligned(name, domain.as_str(), false));
    (found.spf.result == AuthResult::Pass && is_of(&found.spf.domain))
        || found.dkim.iter().any(|one| one.is_proof() && is_of(&one.domain))
}
