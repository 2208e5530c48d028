//! Where reports about a domain may be sent (RFC 7489 §7.1). Anybody can name anybody's address in a record: who has
//! another domain must agree there, and may say under which of its addresses.

use super::super::dns::{self, Dns, Looked, Pending};
use super::record;
use super::suffix::are_aligned;
use postfleet_core::{Domain, EmailAddress};

/// An address at which reports are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The address.
    pub address: EmailAddress,
    /// How many octets a report may have, as it travels (§6.2).
    pub octets_max: Option<u64>,
}

/// Who gets reports, of those that a record names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Destinations {
    /// Those that may get them, each address once.
    pub agreed: Vec<Destination>,
    /// Those of others who have not agreed.
    pub refused: Vec<EmailAddress>,
    /// Those of others of whom nothing can be found out now.
    pub unknown: Vec<EmailAddress>,
}

/// Finds out who of those that a record names may get reports about its domain.
pub fn destinations(dns: &dyn Dns, about: &Domain, wanted: &[Destination]) -> Result<Destinations, Pending> {
    let mut pending = Pending::default();
    let answers: Vec<Option<Answer>> = wanted.iter().map(|one| pending.settle(ask(dns, about, one))).collect();
    if !pending.0.is_empty() {
        return Err(pending.once());
    }
    let mut found = Destinations::default();
    for (one, answer) in wanted.iter().zip(answers.into_iter().flatten()) {
        match answer {
            Answer::Agreed(instead) => {
                for one in instead {
                    if found.agreed.iter().all(|known| known.address != one.address) {
                        found.agreed.push(one);
                    }
                }
            }
            Answer::Refused => found.refused.push(one.address.clone()),
            Answer::Unknown => found.unknown.push(one.address.clone()),
        }
    }
    Ok(found)
}

/// What is found of one of them.
enum Answer {
    /// Reports may be sent there.
    Agreed(Vec<Destination>),
    Refused,
    Unknown,
}

fn ask(dns: &dyn Dns, about: &Domain, wanted: &Destination) -> Result<Answer, Pending> {
    let host = wanted.address.domain();
    if are_aligned(about.as_str(), host.as_str(), false) {
        return Ok(Answer::Agreed(vec![wanted.clone()]));
    }
    let records: Vec<String> = match dns::texts(dns, &format!("{about}._report._dmarc.{host}"))? {
        Looked::Found(texts) => texts.into_iter().filter(|text| record::is_record(text)).collect(),
        Looked::Missing => return Ok(Answer::Refused),
        Looked::Failed => return Ok(Answer::Unknown),
    };
    if records.is_empty() {
        return Ok(Answer::Refused);
    }
    // Another address there may be named instead, but nobody else's.
    let named = records.iter().filter_map(|text| record::parse(text)).flat_map(|record| record.reports_to);
    let instead: Vec<Destination> = named.filter(|one| one.address.domain() == host).collect();
    Ok(Answer::Agreed(if instead.is_empty() { vec![wanted.clone()] } else { instead }))
}
