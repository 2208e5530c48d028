//! A resolver that answers from a table and asks nobody: the simulated internet of `dev`, and tests.

use super::{DnsError, MxAnswer, Resolver, TlsaSet, answer_from_mx, implicit_mx};
use crate::tls::Tlsa;
use futures::future::BoxFuture;
use postfleet_core::Domain;
use postfleet_core::dns::{Answer, Question, RecordKind, Records};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Names and their answers. What the table does not hold is at the common address when there is one, and does not
/// exist otherwise.
#[derive(Debug, Clone, Default)]
pub struct StaticResolver {
    common_address: Option<IpAddr>,
    failing: HashSet<String>,
    missing: HashSet<String>,
    mx: HashMap<String, Vec<(u16, String)>>,
    addresses: HashMap<String, Vec<IpAddr>>,
    txt: HashMap<String, Vec<String>>,
    names: HashMap<String, Vec<String>>,
    tlsa: HashMap<String, Vec<Tlsa>>,
    is_authenticated: bool,
}

impl StaticResolver {
    /// An empty table: no name exists.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every domain exists, is its own mail host and lives at `address`.
    pub fn everything_at(address: IpAddr) -> Self {
        Self { common_address: Some(address), ..Self::default() }
    }

    /// Adds one MX record; `"."` as the host makes the domain refuse mail (RFC 7505).
    #[must_use]
    pub fn with_mx(mut self, domain: &str, preference: u16, host: &str) -> Self {
        self.mx.entry(key(domain)).or_default().push((preference, host.to_owned()));
        self
    }

    /// Adds one address.
    #[must_use]
    pub fn with_address(mut self, host: &str, address: IpAddr) -> Self {
        self.addresses.entry(key(host)).or_default().push(address);
        self
    }

    /// Adds one TXT record.
    #[must_use]
    pub fn with_txt(mut self, name: &str, text: &str) -> Self {
        self.txt.entry(key(name)).or_default().push(text.to_owned());
        self
    }

    /// Adds one name to an address (PTR), given as it stands in the DNS: `1.2.0.192.in-addr.arpa`.
    #[must_use]
    pub fn with_ptr(mut self, name: &str, host: &str) -> Self {
        self.names.entry(key(name)).or_default().push(host.to_owned());
        self
    }

    /// Adds one TLSA record of a server's port.
    #[must_use]
    pub fn with_tlsa(mut self, host: &str, port: u16, record: Tlsa) -> Self {
        self.tlsa.entry(format!("_{port}._tcp.{}", key(host))).or_default().push(record);
        self
    }

    /// Vouches for all answers, as name servers do that have checked signatures.
    #[must_use]
    pub fn authenticated(mut self) -> Self {
        self.is_authenticated = true;
        self
    }

    /// Makes a name not exist, even when every other one does.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.missing.insert(key(name));
        self
    }

    /// Makes every question about a name fail for now.
    #[must_use]
    pub fn failing(mut self, name: &str) -> Self {
        self.failing.insert(key(name));
        self
    }

    fn find_mx(&self, domain: &Domain) -> Result<MxAnswer, DnsError> {
        self.refuse_failing(domain.as_str())?;
        if let Some(records) = self.mx.get(domain.as_str()) {
            return Ok(answer_from_mx(records.clone()));
        }
        Ok(self.find_addresses(domain.as_str()).map_or(MxAnswer::NoSuchDomain, |_| implicit_mx(domain)))
    }

    fn find_addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        self.refuse_failing(host)?;
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let name = key(host);
        if self.missing.contains(&name) {
            return Err(DnsError::NotFound);
        }
        let common = || self.common_address.map(|address| vec![address]);
        self.addresses.get(&name).cloned().or_else(common).ok_or(DnsError::NotFound)
    }

    fn find_codes(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        let is_v4 = |address: IpAddr| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        };
        let codes: Vec<Ipv4Addr> = self.find_addresses(name)?.into_iter().filter_map(is_v4).collect();
        if codes.is_empty() { Err(DnsError::NotFound) } else { Ok(codes) }
    }

    fn find_txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        self.refuse_failing(name)?;
        self.txt.get(&key(name)).cloned().ok_or(DnsError::NotFound)
    }

    fn find_published_mx(&self, name: &str) -> Result<Vec<(u16, String)>, DnsError> {
        self.refuse_failing(name)?;
        self.mx.get(&key(name)).cloned().ok_or(DnsError::NotFound)
    }

    fn find_tlsa(&self, host: &Domain, port: u16) -> Result<Option<TlsaSet>, DnsError> {
        let name = format!("_{port}._tcp.{host}");
        self.refuse_failing(&name)?;
        let found = self.tlsa.get(&name).filter(|_| self.is_authenticated);
        Ok(found.map(|records| TlsaSet { base: host.to_string(), records: records.clone() }))
    }

    fn find(&self, question: &Question) -> Result<Records, DnsError> {
        let Question { name, kind } = question;
        self.refuse_failing(name)?;
        Ok(match kind {
            RecordKind::Txt => Records::Texts(self.find_txt(name)?),
            RecordKind::Mx => Records::Exchanges(self.find_published_mx(name)?),
            RecordKind::Ptr => Records::Names(self.names.get(name).cloned().ok_or(DnsError::NotFound)?),
            RecordKind::A | RecordKind::Aaaa => {
                let is_v4 = *kind == RecordKind::A;
                let all = self.find_addresses(name)?.into_iter().filter(|address| address.is_ipv4() == is_v4);
                match all.collect::<Vec<_>>() {
                    none if none.is_empty() => return Err(DnsError::NotFound),
                    some => Records::Addresses(some),
                }
            }
        })
    }

    fn refuse_failing(&self, name: &str) -> Result<(), DnsError> {
        if self.failing.contains(&key(name)) {
            return Err(DnsError::Temporary("simulated failure".to_owned()));
        }
        Ok(())
    }
}

impl Resolver for StaticResolver {
    fn mx<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<MxAnswer, DnsError>> {
        Box::pin(std::future::ready(self.find_mx(domain)))
    }

    fn mx_authenticated<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<(MxAnswer, bool), DnsError>> {
        Box::pin(std::future::ready(self.find_mx(domain).map(|answer| (answer, self.is_authenticated))))
    }

    fn tlsa<'a>(&'a self, host: &'a Domain, port: u16) -> BoxFuture<'a, Result<Option<TlsaSet>, DnsError>> {
        Box::pin(std::future::ready(self.find_tlsa(host, port)))
    }

    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(std::future::ready(self.find_addresses(host)))
    }

    fn codes<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Ipv4Addr>, DnsError>> {
        Box::pin(std::future::ready(self.find_codes(name)))
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        Box::pin(std::future::ready(self.find_txt(name)))
    }

    fn published_txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        self.txt(name)
    }

    fn published_mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<(u16, String)>, DnsError>> {
        Box::pin(std::future::ready(self.find_published_mx(name)))
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Arc<Answer>> {
        Box::pin(std::future::ready(Arc::new(match self.find(question) {
            Ok(records) => Answer::Found(records),
            Err(DnsError::NotFound) => Answer::Missing,
            Err(DnsError::Temporary(_)) => Answer::Failed,
        })))
    }
}

fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::MxHost;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn domain(text: &str) -> Domain {
        Domain::parse(text).expect("domain")
    }

    fn host(preference: u16, name: &str) -> MxHost {
        MxHost { preference, host: domain(name) }
    }

    #[tokio::test]
    async fn everything_is_at_one_address_unless_the_table_says_otherwise() {
        let resolver = StaticResolver::everything_at(LOOPBACK)
            .with_mx("mail.example", 20, "b.mail.example")
            .with_mx("mail.example", 10, "a.mail.example")
            .with_mx("null.example", 0, ".")
            .with_address("far.example", IpAddr::from([192, 0, 2, 1]))
            .with_txt("mail.example", "v=spf1 -all")
            .without("gone.example")
            .failing("broken.example");
        let mx = async |name: &str| resolver.mx(&domain(name)).await;

        assert_eq!(mx("any.example").await, Ok(MxAnswer::Hosts(vec![host(0, "any.example")])));
        assert_eq!(
            mx("mail.example").await,
            Ok(MxAnswer::Hosts(vec![host(10, "a.mail.example"), host(20, "b.mail.example")]))
        );
        assert_eq!(mx("null.example").await, Ok(MxAnswer::Null));
        assert_eq!(mx("gone.example").await, Ok(MxAnswer::NoSuchDomain));
        assert!(matches!(mx("broken.example").await, Err(DnsError::Temporary(_))));
        assert_eq!(resolver.addresses("a.mail.example").await, Ok(vec![LOOPBACK]));
        assert_eq!(resolver.addresses("Far.example.").await, Ok(vec![IpAddr::from([192, 0, 2, 1])]));
        assert_eq!(resolver.txt("mail.example").await, Ok(vec!["v=spf1 -all".to_owned()]));
        assert_eq!(resolver.txt("any.example").await, Err(DnsError::NotFound));
        assert_eq!(resolver.published_txt("mail.example").await, Ok(vec!["v=spf1 -all".to_owned()]));
        assert_eq!(resolver.published_mx("Null.example.").await, Ok(vec![(0, ".".to_owned())]));
        // Its own mail host, and no record says so.
        assert_eq!(resolver.published_mx("any.example").await, Err(DnsError::NotFound));
        assert!(matches!(resolver.published_mx("broken.example").await, Err(DnsError::Temporary(_))));
    }

    #[tokio::test]
    async fn an_empty_table_knows_no_name() {
        let resolver = StaticResolver::empty();
        assert_eq!(resolver.mx(&domain("any.example")).await, Ok(MxAnswer::NoSuchDomain));
        assert_eq!(resolver.addresses("any.example").await, Err(DnsError::NotFound));
        assert_eq!(resolver.addresses("127.0.0.1").await, Ok(vec![LOOPBACK]));
    }
}
