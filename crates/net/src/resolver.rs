//! Names to hosts and addresses. [`Resolver`] is what the rest of the system sees; [`SystemResolver`] asks name
//! servers, [`StaticResolver`] answers from a table (the simulated internet of `dev`).

mod authenticated;
mod memory;
mod system;
mod table;

pub use authenticated::DnssecTrust;
pub use system::{ResolverSetupError, SystemResolver};
pub use table::StaticResolver;

use crate::tls::Tlsa;
use futures::future::BoxFuture;
use postfleet_core::Domain;
use postfleet_core::dns::{Answer, Question};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Looks things up in the DNS.
pub trait Resolver: Send + Sync {
    /// Which hosts take mail for `domain` (RFC 5321 §5.1).
    fn mx<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<MxAnswer, DnsError>>;

    /// As [`mx`](Self::mx), and whether the name servers vouch for the answer (DNSSEC).
    fn mx_authenticated<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<(MxAnswer, bool), DnsError>> {
        Box::pin(async move { Ok((self.mx(domain).await?, false)) })
    }

    /// The TLSA records of a server's port (RFC 7672 §2.2), if the name servers vouch for them and for the server's
    /// address. There are none where name servers are not believed. A failure is not the same: there may be some.
    fn tlsa<'a>(&'a self, host: &'a Domain, port: u16) -> BoxFuture<'a, Result<Option<TlsaSet>, DnsError>> {
        let _ = (host, port);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// The addresses of `host`, at least one, IPv4 before IPv6. An address in text form is its own answer.
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>>;

    /// The IPv4 addresses of `name`, at least one, and nothing about others: how lists in the DNS answer (RFC 5782).
    fn codes<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Ipv4Addr>, DnsError>>;

    /// The TXT records of `name`, at least one, each with its strings joined (RFC 7208 §3.3).
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>>;

    /// As [`txt`](Self::txt), asked anew: somebody who has just published a record wants to know about that one.
    fn published_txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>>;

    /// The MX records that stand at `name` (preference and exchange), at least one, asked anew. A domain that merely
    /// has an address has none.
    fn published_mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<(u16, String)>, DnsError>>;

    /// The answer to one question, as it stands in the DNS and nothing else: for whoever judges mail. Without an answer
    /// there is [`Answer::Failed`].
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Arc<Answer>> {
        let _ = question;
        Box::pin(std::future::ready(Arc::new(Answer::Failed)))
    }

    /// What [`ask`](Self::ask) would answer, if it is at hand and nobody has to be asked.
    fn remembered(&self, question: &Question) -> Option<Arc<Answer>> {
        let _ = question;
        None
    }
}

/// Who takes mail for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MxAnswer {
    /// These hosts, at least one: the most preferred first. A domain
    /// without MX records but with an address is its own only host, with preference 0 (RFC 5321 §5.1).
    Hosts(Vec<MxHost>),
    /// The domain says that it takes no mail (RFC 7505).
    Null,
    /// No host can be named: the domain does not exist, or it has neither MX records nor an address, or none of
    /// its MX records names a host. Trying again does not help.
    NoSuchDomain,
}

/// One mail exchanger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxHost {
    /// Lower is tried first.
    pub preference: u16,
    /// The name to look up, and to expect in the certificate.
    pub host: Domain,
}

/// What the DNS says about a server's certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsaSet {
    /// The server's name, or the one that it is an alias of, below which the records stand.
    pub base: String,
    /// The records, at least one; whether they can be used is another question.
    pub records: Vec<Tlsa>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist or has no record of the kind asked for. Asking again does not help.
    #[error("no such record in the DNS")]
    NotFound,
    /// The servers failed, refused or were silent. Asking again may help.
    #[error("name resolution failed for now: {0}")]
    Temporary(String),
}

/// Turns MX records (preference and exchange as text) into an answer: RFC 5321 §5.1 and RFC 7505 §3.
fn answer_from_mx(records: Vec<(u16, String)>) -> MxAnswer {
    let only_null = !records.is_empty() && records.iter().all(|(_, exchange)| is_root(exchange));
    if only_null {
        return MxAnswer::Null;
    }
    let mut hosts: Vec<MxHost> = records
        .into_iter()
        .filter_map(|(preference, exchange)| Some(MxHost { preference, host: Domain::parse(&exchange).ok()? }))
        // An address where a name must stand (RFC 5321 §5.1): some domains do it, nobody has to honour it.
        .filter(|host| host.host.as_str().parse::<IpAddr>().is_err())
        .collect();
    // When MX records are present but unusable, the domain's own address must not be tried (RFC 5321 §5.1).
    if hosts.is_empty() {
        return MxAnswer::NoSuchDomain;
    }
    hosts.sort_by_key(|host| host.preference);
    MxAnswer::Hosts(hosts)
}

fn is_root(exchange: &str) -> bool {
    matches!(exchange, "" | ".")
}

/// The implicit MX of a domain that has only an address (RFC 5321 §5.1).
fn implicit_mx(domain: &Domain) -> MxAnswer {
    MxAnswer::Hosts(vec![MxHost { preference: 0, host: domain.clone() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(records: &[(u16, &str)], expected: Option<&[(u16, &str)]>) {
        let records: Vec<_> = records.iter().map(|(preference, host)| (*preference, (*host).to_owned())).collect();
        let hosts = |list: &[(u16, &str)]| {
            let host = |(preference, host): &(u16, &str)| MxHost {
                preference: *preference,
                host: Domain::parse(host).expect("domain"),
            };
            MxAnswer::Hosts(list.iter().map(host).collect())
        };
        assert_eq!(answer_from_mx(records.clone()), expected.map_or(MxAnswer::NoSuchDomain, hosts), "{records:?}");
    }

    #[test]
    fn hosts_are_sorted_by_preference_and_normalised() {
        check(
            &[(20, "b.example."), (5, "A.Example"), (20, "c.example")],
            Some(&[(5, "a.example"), (20, "b.example"), (20, "c.example")]),
        );
    }

    #[test]
    fn records_that_name_no_host_are_passed_over() {
        check(&[(10, "192.0.2.1"), (20, "mx.example")], Some(&[(20, "mx.example")]));
        check(&[(0, "."), (20, "mx.example")], Some(&[(20, "mx.example")]));
        check(&[(10, "192.0.2.1"), (10, "bad name.example")], None);
        check(&[], None);
    }

    #[test]
    fn a_lone_root_means_that_the_domain_takes_no_mail() {
        assert_eq!(answer_from_mx(vec![(0, ".".into())]), MxAnswer::Null);
    }
}
