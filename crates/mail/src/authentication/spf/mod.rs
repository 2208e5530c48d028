//! SPF (RFC 7208): whether a client may use a name as the sender of mail.
//!
//! At most ten terms of a judgement may ask the DNS, at most two of them in vain, at most ten servers of a term are looked
//! up, and at most ten names of an address. Explanations (`exp`) are not fetched: nothing is said in another's words.

mod macros;
mod record;

use super::dns::{self, Dns, Looked, Pending, is_name};
use macros::{Macros, Values};
use postfleet_core::authentication::{AuthResult, SpfResult};
use record::{Mechanism, Qualifier, Record, Target};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Terms that ask the DNS (§4.6.4).
pub const LOOKUPS_MAX: usize = 10;

/// Those of them that may be answered with nothing (§4.6.4).
pub const VOID_LOOKUPS_MAX: usize = 2;

/// Servers of an `mx` whose addresses are asked for; more are a mistake. Names of a `ptr` that are checked; more are
/// passed over (§4.6.4).
pub const NAMES_MAX: usize = 10;

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Where the client connected from.
    pub ip: IpAddr,
    /// What it called itself.
    pub helo: &'a str,
    /// The local part of the sender; `postmaster` where there is none (§4.3).
    pub local: &'a str,
    /// The domain of the sender, which is the one that is asked.
    pub domain: &'a str,
}

/// Judges (§4).
pub fn check(dns: &dyn Dns, query: &Query<'_>) -> Result<SpfResult, Pending> {
    let ip = query.ip.to_canonical();
    let local = if query.local.is_empty() { "postmaster" } else { query.local };
    let domain = query.domain.strip_suffix('.').unwrap_or(query.domain);
    let query = Query { ip, local, domain, ..*query };
    let mut check = Check { dns, query, lookups: 0, voids: 0, validated: None };
    let (result, reason) = match check.host(domain) {
        Ok(result) => (result, check.reason(result)),
        Err(Stop::Pending(pending)) => return Err(pending),
        Err(Stop::Temporary(reason)) => (AuthResult::Temperror, reason),
        Err(Stop::Permanent(reason)) => (AuthResult::Permerror, reason),
    };
    let shown = is_name(domain).then(|| domain.to_ascii_lowercase());
    Ok(SpfResult { result, domain: shown, reason })
}

/// Why a judgement ends before its end.
enum Stop {
    Pending(Pending),
    Temporary(String),
    Permanent(String),
}

impl From<Pending> for Stop {
    fn from(pending: Pending) -> Self {
        Self::Pending(pending)
    }
}

struct Check<'a> {
    dns: &'a dyn Dns,
    query: Query<'a>,
    lookups: usize,
    voids: usize,
    /// The names of the address that lead back to it, once they were needed.
    validated: Option<Vec<String>>,
}

impl Check<'_> {
    fn reason(&self, result: AuthResult) -> String {
        match result {
            AuthResult::None => "no record".to_owned(),
            _ => String::new(),
        }
    }

    /// `check_host` (§4).
    fn host(&mut self, domain: &str) -> Result<AuthResult, Stop> {
        let Some(record) = self.record(domain)? else { return Ok(AuthResult::None) };
        for directive in &record.directives {
            if self.matches(&directive.mechanism, domain)? {
                return Ok(match directive.qualifier {
                    Qualifier::Pass => AuthResult::Pass,
                    Qualifier::Fail => AuthResult::Fail,
                    Qualifier::SoftFail => AuthResult::Softfail,
                    Qualifier::Neutral => AuthResult::Neutral,
                });
            }
        }
        let Some(redirect) = &record.redirect else { return Ok(AuthResult::Neutral) };
        let target = self.lookup_of(Some(redirect), domain)?;
        match self.host(&target)? {
            AuthResult::None => Err(Stop::Permanent(format!("redirect to {} finds no record", short(&target)))),
            result => Ok(result),
        }
    }

    /// The one record of a domain (§4.3 to §4.6).
    fn record(&self, domain: &str) -> Result<Option<Record>, Stop> {
        if !is_name(domain) || !domain.contains('.') {
            return Ok(None);
        }
        let texts = match dns::texts(self.dns, domain)? {
            Looked::Found(texts) => texts,
            Looked::Missing => return Ok(None),
            Looked::Failed => return Err(failed(domain)),
        };
        let mut records = texts.iter().filter(|text| record::is_record(text));
        let Some(text) = records.next() else { return Ok(None) };
        if records.next().is_some() {
            return Err(Stop::Permanent(format!("{} has more than one record", short(domain))));
        }
        record::parse(text).map(Some).map_err(Stop::Permanent)
    }

    fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4(network, bits) => Ok(is_within(self.query.ip, IpAddr::V4(*network), *bits, 0)),
            Mechanism::Ip6(network, bits) => Ok(is_within(self.query.ip, IpAddr::V6(*network), 0, *bits)),
            Mechanism::Include(target) => {
                let target = self.lookup_of(Some(target), domain)?;
                match self.host(&target)? {
                    AuthResult::Pass => Ok(true),
                    AuthResult::None => Err(Stop::Permanent(format!("include of {} finds no record", short(&target)))),
                    _ => Ok(false),
                }
            }
            Mechanism::A(Target { domain: target, v4, v6 }) => {
                let name = self.lookup_of(target.as_ref(), domain)?;
                let found = self.of_term(&name, dns::addresses(self.dns, &name, self.query.ip)?)?;
                Ok(found.into_iter().any(|address| is_within(self.query.ip, address, *v4, *v6)))
            }
            Mechanism::Mx(Target { domain: target, v4, v6 }) => {
                let name = self.lookup_of(target.as_ref(), domain)?;
                self.is_exchange(&name, *v4, *v6)
            }
            Mechanism::Ptr(target) => {
                let name = self.lookup_of(target.as_ref(), domain)?;
                let names = self.validated()?;
                Ok(names.iter().any(|validated| is_below(validated, &name)))
            }
            Mechanism::Exists(target) => {
                let name = self.lookup_of(Some(target), domain)?;
                // IPv4 addresses, whatever the client's is (§5.7).
                let answer = dns::addresses(self.dns, &name, IpAddr::V4(Ipv4Addr::UNSPECIFIED))?;
                Ok(!self.of_term(&name, answer)?.is_empty())
            }
        }
    }

    fn is_exchange(&mut self, name: &str, v4: u8, v6: u8) -> Result<bool, Stop> {
        let exchanges = self.of_term(name, dns::exchanges(self.dns, name)?)?;
        if exchanges.len() > NAMES_MAX {
            return Err(Stop::Permanent(format!("{} has more than {NAMES_MAX} mail exchangers", short(name))));
        }
        let mut pending = Pending::default();
        let mut answers = Vec::with_capacity(exchanges.len());
        for (_, exchange) in &exchanges {
            answers.push((exchange, pending.settle(dns::addresses(self.dns, exchange, self.query.ip))));
        }
        // All of them at once, not one after the other.
        if !pending.0.is_empty() {
            return Err(Stop::Pending(pending));
        }
        for (exchange, answer) in answers {
            match answer {
                Some(Looked::Found(found)) => {
                    if found.into_iter().any(|address| is_within(self.query.ip, address, v4, v6)) {
                        return Ok(true);
                    }
                }
                Some(Looked::Failed) => return Err(failed(exchange)),
                Some(Looked::Missing) | None => {}
            }
        }
        Ok(false)
    }

    /// Counts a term that asks the DNS, and works out the name that it asks about.
    fn lookup_of(&mut self, target: Option<&Macros>, domain: &str) -> Result<String, Stop> {
        self.count()?;
        let Some(target) = target else { return Ok(domain.to_owned()) };
        let validated = if target.needs_names() { self.best_name(domain)? } else { String::new() };
        Ok(target.expand(&Values {
            local: self.query.local,
            sender_domain: self.query.domain,
            domain,
            ip: self.query.ip,
            helo: self.query.helo,
            validated: &validated,
        }))
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX {
            return Err(Stop::Permanent(format!("more than {LOOKUPS_MAX} lookups")));
        }
        Ok(())
    }

    /// What the question of a term found; nothing counts as void.
    fn of_term<T>(&mut self, name: &str, looked: Looked<T>) -> Result<Vec<T>, Stop> {
        match looked {
            Looked::Found(found) => Ok(found),
            Looked::Failed => Err(failed(name)),
            Looked::Missing => {
                self.voids += 1;
                if self.voids > VOID_LOOKUPS_MAX {
                    return Err(Stop::Permanent(format!("more than {VOID_LOOKUPS_MAX} lookups found nothing")));
                }
                Ok(Vec::new())
            }
        }
    }

    /// The name for the macro `p` (§7.3): that of the domain before those below it before any other.
    fn best_name(&mut self, domain: &str) -> Result<String, Stop> {
        let names = self.validated()?;
        let best = names.iter().find(|name| name.eq_ignore_ascii_case(domain));
        let best = best.or_else(|| names.iter().find(|name| is_below(name, domain))).or(names.first());
        Ok(best.map_or("unknown", String::as_str).to_owned())
    }

    /// The names of the address that lead back to it (§5.5). What fails on the way is passed over.
    fn validated(&mut self) -> Result<&[String], Stop> {
        if self.validated.is_none() {
            self.validated = Some(super::iprev::names(self.dns, self.query.ip, NAMES_MAX)?.unwrap_or_default());
        }
        Ok(self.validated.as_deref().unwrap_or_default())
    }
}

fn failed(name: &str) -> Stop {
    Stop::Temporary(format!("no answer about {}", short(name)))
}

/// A name for a reason: what others chose, cut.
fn short(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_graphic()).take(100).collect()
}

/// Whether a name is another one or below it.
fn is_below(name: &str, above: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let above = above.strip_suffix('.').unwrap_or(above);
    name.len().checked_sub(above.len()).is_some_and(|at| {
        name.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(above))
            && (at == 0 || name.as_bytes()[at - 1] == b'.')
    })
}

/// Whether two addresses of one family agree in their first bits.
fn is_within(ip: IpAddr, network: IpAddr, v4: u8, v6: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(v4.min(32))).unwrap_or(0);
            u32::from(ip) & mask == u32::from(network) & mask
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(v6.min(128))).unwrap_or(0);
            bits(ip) & mask == bits(network) & mask
        }
        _ => false,
    }
}

fn bits(ip: Ipv6Addr) -> u128 {
    u128::from(ip)
}
