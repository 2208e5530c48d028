//! Whether the address of a client has a name that leads back to it (RFC 8601 §3).

use super::dns::{self, Dns, Looked, Pending};
use postfleet_core::authentication::AuthResult;
use std::net::IpAddr;

/// Names of an address that are looked up.
const NAMES_MAX: usize = 10;

/// Judges, and says which name leads back.
pub fn check(dns: &dyn Dns, ip: IpAddr) -> Result<(AuthResult, Option<String>), Pending> {
    let ip = ip.to_canonical();
    let found = match dns::names(dns, &dns::reverse_name(ip))? {
        Looked::Found(claimed) => leading_back(dns, ip, claimed, NAMES_MAX)?,
        Looked::Missing => return Ok((AuthResult::Permerror, None)),
        Looked::Failed => None,
    };
    Ok(match found {
        None => (AuthResult::Temperror, None),
        Some(names) => match names.into_iter().next() {
            Some(name) => (AuthResult::Pass, Some(name)),
            None => (AuthResult::Fail, None),
        },
    })
}

/// The names of an address that lead back to it, of the first `max`. `None` if none does and one could not be looked up.
pub(super) fn names(dns: &dyn Dns, ip: IpAddr, max: usize) -> Result<Option<Vec<String>>, Pending> {
    match dns::names(dns, &dns::reverse_name(ip))? {
        Looked::Found(claimed) => leading_back(dns, ip, claimed, max),
        Looked::Missing => Ok(Some(Vec::new())),
        Looked::Failed => Ok(None),
    }
}

fn leading_back(dns: &dyn Dns, ip: IpAddr, claimed: Vec<String>, max: usize) -> Result<Option<Vec<String>>, Pending> {
    let (mut pending, mut validated, mut has_failed) = (Pending::default(), Vec::new(), false);
    for name in claimed.into_iter().take(max) {
        match pending.settle(dns::addresses(dns, &name, ip)) {
            Some(Looked::Found(addresses)) if addresses.contains(&ip) => {
                validated.push(name.trim_end_matches('.').to_ascii_lowercase());
            }
            Some(Looked::Failed) => has_failed = true,
            _ => {}
        }
    }
    if !pending.0.is_empty() {
        return Err(pending);
    }
    Ok((!validated.is_empty() || !has_failed).then_some(validated))
}
