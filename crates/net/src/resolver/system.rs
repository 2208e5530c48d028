//! A resolver that asks name servers: those of the machine, or those it is told.

use super::authenticated::{Answer, Authenticated, DnssecTrust};
use super::memory::{self, Memory};
use super::{DnsError, MxAnswer, Resolver, TlsaSet, answer_from_mx, implicit_mx};
use crate::tls::Tlsa;
use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf;
use postfleet_core::Domain;
use postfleet_core::dns::{Answer as DnsAnswer, Question, RecordKind, Records};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers kept in memory, each for as long as its time to live allows.
const CACHED_ANSWERS: u64 = 32_768;

/// An answer is used for no longer than a day, whatever its time to live says, so that a mistake in a zone heals.
const LONGEST_TTL: Duration = Duration::from_secs(86_400);

/// A resolver with a cache, over UDP with TCP for long answers.
#[derive(Clone)]
pub struct SystemResolver {
    inner: TokioResolver,
    /// Answers for those who judge mail.
    memory: Arc<Memory>,
    /// Without a cache, for what somebody may just have published.
    fresh: TokioResolver,
    /// Where name servers are believed to have checked signatures.
    authenticated: Option<Authenticated>,
}

/// The resolver could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up the resolver: {0}")]
pub struct ResolverSetupError(String);

impl SystemResolver {
    /// Uses the name servers and the hosts file of the machine.
    pub fn from_system(trust: DnssecTrust) -> Result<Self, ResolverSetupError> {
        let (config, mut options) = system_conf::read_system_conf().map_err(setup_error)?;
        set_bounds(&mut options);
        Self::new(config, options, trust)
    }

    /// Uses these name servers only, and no hosts file. `timeout` holds for each of two attempts.
    pub fn from_nameservers(
        servers: &[SocketAddr],
        timeout: Duration,
        trust: DnssecTrust,
    ) -> Result<Self, ResolverSetupError> {
        let config = ResolverConfig::from_name_servers(servers.iter().map(|server| nameserver(*server)).collect());
        let mut options = ResolverOpts::default();
        set_bounds(&mut options);
        options.timeout = timeout;
        options.attempts = 1;
        options.use_hosts_file = ResolveHosts::Never;
        Self::new(config, options, trust)
    }

    fn new(config: ResolverConfig, options: ResolverOpts, trust: DnssecTrust) -> Result<Self, ResolverSetupError> {
        let is_believed = trust.covers(config.name_servers().iter().map(|server| server.ip));
        let authenticated = is_believed.then(|| Authenticated::new(config.clone(), options.clone()));
        let build = |options: ResolverOpts| {
            let provider = TokioRuntimeProvider::default();
            TokioResolver::builder_with_config(config.clone(), provider).with_options(options).build()
        };
        let mut without_cache = options.clone();
        without_cache.cache_size = 0;
        without_cache.positive_max_ttl = Some(Duration::ZERO);
        without_cache.negative_max_ttl = Some(Duration::ZERO);
        Ok(Self {
            inner: build(options).map_err(setup_error)?,
            memory: Arc::default(),
            fresh: build(without_cache).map_err(setup_error)?,
            authenticated: authenticated.transpose().map_err(setup_error)?,
        })
    }

    async fn find_mx(&self, domain: &Domain) -> Result<MxAnswer, DnsError> {
        match self.records(domain.as_str(), RecordType::MX).await {
            Ok(records) => Ok(answer_from_mx(records.iter().filter_map(mx_of).collect())),
            Err(Failure::NoSuchName) => Ok(MxAnswer::NoSuchDomain),
            Err(Failure::NoSuchRecord) => self.find_implicit_mx(domain).await,
            Err(Failure::Temporary(why)) => Err(DnsError::Temporary(why)),
        }
    }

    async fn find_mx_authenticated(&self, domain: &Domain) -> Result<(MxAnswer, bool), DnsError> {
        let Some(authenticated) = &self.authenticated else { return Ok((self.find_mx(domain).await?, false)) };
        match authenticated.ask(domain.as_str(), RecordType::MX).await {
            Ok(answer) => {
                let found = answer_from_mx(answer.records.iter().filter_map(mx_of).collect());
                Ok((found, answer.is_authenticated))
            }
            Err(Failure::NoSuchName) => Ok((MxAnswer::NoSuchDomain, false)),
            // The server is the domain itself, whatever is said about it: its address decides (RFC 7672 §2.2.1).
            Err(Failure::NoSuchRecord) => Ok((self.find_implicit_mx(domain).await?, true)),
            Err(Failure::Temporary(why)) => Err(DnsError::Temporary(why)),
        }
    }

    async fn find_tlsa(&self, host: &Domain, port: u16) -> Result<Option<TlsaSet>, DnsError> {
        let Some(authenticated) = &self.authenticated else { return Ok(None) };
        let Some(address) = address_answer(authenticated, host).await? else { return Ok(None) };
        if !address.is_authenticated {
            return Ok(None);
        }
        let own = host.as_str().to_owned();
        let end = address.name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
        // The name at the end of the aliases comes first (RFC 7672 §2.2.2).
        let bases = if end == own { vec![own] } else { vec![end, own] };
        for base in bases {
            match authenticated.ask(&format!("_{port}._tcp.{base}"), RecordType::TLSA).await {
                Ok(answer) if answer.is_authenticated => {
                    return Ok(Some(TlsaSet { base, records: answer.records.iter().filter_map(tlsa_of).collect() }));
                }
                Ok(_) | Err(Failure::NoSuchName | Failure::NoSuchRecord) => {}
                Err(Failure::Temporary(why)) => return Err(DnsError::Temporary(why)),
            }
        }
        Ok(None)
    }

    async fn find_implicit_mx(&self, domain: &Domain) -> Result<MxAnswer, DnsError> {
        match self.find_addresses(domain.as_str()).await {
            Ok(_) => Ok(implicit_mx(domain)),
            Err(DnsError::NotFound) => Ok(MxAnswer::NoSuchDomain),
            Err(temporary) => Err(temporary),
        }
    }

    async fn find_addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let (v4, v6) = tokio::join!(self.records(host, RecordType::A), self.records(host, RecordType::AAAA));
        let mut addresses = Vec::new();
        let mut why_not = DnsError::NotFound;
        for answer in [v4, v6] {
            match answer {
                Ok(records) => addresses.extend(records.iter().filter_map(address_of)),
                Err(Failure::Temporary(why)) => why_not = DnsError::Temporary(why),
                Err(Failure::NoSuchName | Failure::NoSuchRecord) => {}
            }
        }
        // One family is enough to work with; only with neither does it matter why.
        if addresses.is_empty() { Err(why_not) } else { Ok(addresses) }
    }

    async fn find_codes(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        let records = self.records(name, RecordType::A).await.map_err(Failure::into_dns_error)?;
        let codes = records.iter().filter_map(|data| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        });
        Ok(codes.collect())
    }

    async fn find_txt(&self, resolver: &TokioResolver, name: &str) -> Result<Vec<String>, DnsError> {
        let records = records(resolver, name, RecordType::TXT).await.map_err(Failure::into_dns_error)?;
        let texts: Vec<String> = records.iter().filter_map(text_of).collect();
        if texts.is_empty() { Err(DnsError::NotFound) } else { Ok(texts) }
    }

    async fn find_published_mx(&self, name: &str) -> Result<Vec<(u16, String)>, DnsError> {
        let records = records(&self.fresh, name, RecordType::MX).await.map_err(Failure::into_dns_error)?;
        Ok(records.iter().filter_map(mx_of).collect())
    }

    async fn answer(&self, question: &Question) -> Arc<DnsAnswer> {
        let (answer, until) = self.look_up(question).await;
        let answer = Arc::new(answer);
        if let Some(until) = until {
            self.memory.remember(question.clone(), answer.clone(), until);
        }
        answer
    }

    /// An answer, and until when it may be used again.
    async fn look_up(&self, question: &Question) -> (DnsAnswer, Option<Instant>) {
        let Some(name) = full_name(&question.name) else { return (DnsAnswer::Missing, None) };
        let error = match self.inner.lookup(name, record_type(question.kind)).await {
            Ok(found) => return (answer_of(question.kind, found.answers()), Some(found.valid_until())),
            Err(error) => error,
        };
        let until = missing_until(&error);
        match Failure::from(error) {
            Failure::NoSuchName | Failure::NoSuchRecord => (DnsAnswer::Missing, until),
            Failure::Temporary(why) => {
                tracing::debug!(question.name, kind = ?question.kind, why, "no answer from the DNS");
                (DnsAnswer::Failed, None)
            }
        }
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, Failure> {
        records(&self.inner, name, kind).await
    }
}

/// What is said about the address of a server, of either family.
async fn address_answer(resolver: &Authenticated, host: &Domain) -> Result<Option<Answer>, DnsError> {
    for kind in [RecordType::A, RecordType::AAAA] {
        match resolver.ask(host.as_str(), kind).await {
            Ok(answer) => return Ok(Some(answer)),
            Err(Failure::NoSuchName | Failure::NoSuchRecord) => {}
            Err(Failure::Temporary(why)) => return Err(DnsError::Temporary(why)),
        }
    }
    Ok(None)
}

async fn records(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Vec<RData>, Failure> {
    let name = full_name(name).ok_or(Failure::NoSuchName)?;
    let lookup = resolver.lookup(name, kind).await.map_err(Failure::from)?;
    let records: Vec<RData> =
        lookup.answers().iter().map(|record| record.data.clone()).filter(|data| data.record_type() == kind).collect();
    if records.is_empty() { Err(Failure::NoSuchRecord) } else { Ok(records) }
}

/// A name as it is asked for. A text that cannot be a name cannot be in the DNS.
fn full_name(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    // Never complete a name with the search domains of the machine: mail has full names only.
    name.set_fqdn(true);
    Some(name)
}

const fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Mx => RecordType::MX,
        RecordKind::Txt => RecordType::TXT,
        RecordKind::Ptr => RecordType::PTR,
    }
}

/// The records of a kind among those of an answer, in which aliases stand as well.
fn answer_of(kind: RecordKind, records: &[Record]) -> DnsAnswer {
    let (kind_of_record, data) = (record_type(kind), records.iter().map(|record| &record.data));
    let data: Vec<&RData> = data.filter(|data| data.record_type() == kind_of_record).collect();
    if data.is_empty() {
        return DnsAnswer::Missing;
    }
    let data = data.into_iter();
    DnsAnswer::Found(match kind {
        RecordKind::A | RecordKind::Aaaa => Records::Addresses(data.filter_map(address_of).collect()),
        RecordKind::Mx => Records::Exchanges(data.filter_map(mx_of).collect()),
        RecordKind::Txt => Records::Texts(data.filter_map(text_of).collect()),
        RecordKind::Ptr => Records::Names(data.filter_map(name_of).collect()),
    })
}

/// Until when it may be relied on that there is nothing: the zone says so with its SOA, or it may not be (RFC 2308 §5).
fn missing_until(error: &NetError) -> Option<Instant> {
    use hickory_resolver::net::DnsError::NoRecordsFound;
    let NetError::Dns(NoRecordsFound(none)) = error else { return None };
    let time = Duration::from_secs(none.negative_ttl?.into());
    Some(memory::after(time.min(LONGEST_TTL)))
}

impl Resolver for SystemResolver {
    fn mx<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<MxAnswer, DnsError>> {
        Box::pin(self.find_mx(domain))
    }

    fn mx_authenticated<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<(MxAnswer, bool), DnsError>> {
        Box::pin(self.find_mx_authenticated(domain))
    }

    fn tlsa<'a>(&'a self, host: &'a Domain, port: u16) -> BoxFuture<'a, Result<Option<TlsaSet>, DnsError>> {
        Box::pin(self.find_tlsa(host, port))
    }

    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(self.find_addresses(host))
    }

    fn codes<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Ipv4Addr>, DnsError>> {
        Box::pin(self.find_codes(name))
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        Box::pin(self.find_txt(&self.inner, name))
    }

    fn published_txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        Box::pin(self.find_txt(&self.fresh, name))
    }

    fn published_mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<(u16, String)>, DnsError>> {
        Box::pin(self.find_published_mx(name))
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Arc<DnsAnswer>> {
        Box::pin(self.answer(question))
    }

    fn remembered(&self, question: &Question) -> Option<Arc<DnsAnswer>> {
        self.memory.recall(question)
    }
}

/// Why a lookup gave nothing. The two permanent cases differ for MX only.
pub(super) enum Failure {
    NoSuchName,
    NoSuchRecord,
    Temporary(String),
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        use hickory_resolver::net::DnsError::NoRecordsFound;
        match error {
            NetError::Dns(NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => Self::NoSuchName,
            NetError::Dns(NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => Self::NoSuchRecord,
            other => Self::Temporary(other.to_string()),
        }
    }
}

impl Failure {
    fn into_dns_error(self) -> DnsError {
        match self {
            Self::NoSuchName | Self::NoSuchRecord => DnsError::NotFound,
            Self::Temporary(why) => DnsError::Temporary(why),
        }
    }
}

fn setup_error(error: NetError) -> ResolverSetupError {
    ResolverSetupError(error.to_string())
}

fn set_bounds(options: &mut ResolverOpts) {
    options.cache_size = CACHED_ANSWERS;
    options.positive_max_ttl = Some(LONGEST_TTL);
    options.negative_max_ttl = Some(LONGEST_TTL);
}

fn nameserver(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

fn mx_of(data: &RData) -> Option<(u16, String)> {
    match data {
        RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii())),
        _ => None,
    }
}

fn address_of(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

fn name_of(data: &RData) -> Option<String> {
    match data {
        RData::PTR(ptr) => Some(ptr.0.to_ascii()),
        _ => None,
    }
}

fn text_of(data: &RData) -> Option<String> {
    match data {
        RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        _ => None,
    }
}

fn tlsa_of(data: &RData) -> Option<Tlsa> {
    match data {
        RData::TLSA(tlsa) => Some(Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::MxHost;
    use super::*;
    use postfleet_testkit::dns::FakeDns;

    /// Generous where an answer comes; the silent case waits for it twice.
    const TIMEOUT: Duration = Duration::from_secs(5);

    fn resolver(dns: &FakeDns, timeout: Duration) -> SystemResolver {
        SystemResolver::from_nameservers(&[dns.address()], timeout, DnssecTrust::Loopback).expect("resolver")
    }

    fn domain(text: &str) -> Domain {
        Domain::parse(text).expect("domain")
    }

    fn hosts(list: &[(u16, &str)]) -> MxAnswer {
        MxAnswer::Hosts(
            list.iter().map(|(preference, host)| MxHost { preference: *preference, host: domain(host) }).collect(),
        )
    }

    #[tokio::test]
    async fn mx_answers() {
        let dns = FakeDns::start();
        dns.mx("mail.example", 20, "backup.example");
        dns.mx("mail.example", 10, "mx.mail.example");
        dns.mx("null.example", 0, ".");
        dns.a("bare.example", [192, 0, 2, 7]);
        dns.aaaa("six.example", "2001:db8::1".parse().expect("address"));
        dns.txt("text.example", "no host here");
        let resolver = resolver(&dns, TIMEOUT);
        for (name, expected) in [
            ("mail.example", hosts(&[(10, "mx.mail.example"), (20, "backup.example")])),
            ("null.example", MxAnswer::Null),
            ("bare.example", hosts(&[(0, "bare.example")])),
            ("six.example", hosts(&[(0, "six.example")])),
            ("text.example", MxAnswer::NoSuchDomain),
            ("nowhere.example", MxAnswer::NoSuchDomain),
        ] {
            assert_eq!(resolver.mx(&domain(name)).await, Ok(expected), "{name}");
        }
    }

    #[tokio::test]
    async fn addresses_of_both_families_and_through_an_alias() {
        let dns = FakeDns::start();
        dns.aaaa("both.example", "2001:db8::1".parse().expect("address"));
        dns.a("both.example", [192, 0, 2, 1]);
        dns.a("both.example", [192, 0, 2, 2]);
        dns.cname("alias.example", "both.example");
        let resolver = resolver(&dns, TIMEOUT);
        for name in ["both.example", "BOTH.example.", "alias.example"] {
            let found = resolver.addresses(name).await.expect("addresses");
            assert_eq!(found.len(), 3, "{name}");
            assert!(found[0].is_ipv4() && found[1].is_ipv4() && found[2].is_ipv6(), "{name}: {found:?}");
        }
        assert_eq!(resolver.addresses("192.0.2.9").await, Ok(vec![IpAddr::from([192, 0, 2, 9])]));
        assert_eq!(resolver.addresses("nowhere.example").await, Err(DnsError::NotFound));
        assert_eq!(resolver.addresses("not a name").await, Err(DnsError::NotFound));
    }

    #[tokio::test]
    async fn questions_of_those_who_judge_mail() {
        let dns = FakeDns::start();
        dns.a("both.example", [192, 0, 2, 1]);
        dns.aaaa("both.example", "2001:db8::1".parse().expect("address"));
        dns.mx("both.example", 5, "mx.example");
        dns.txt("both.example", "v=spf1 -all");
        dns.ptr("1.2.0.192.in-addr.arpa", "both.example");
        dns.fails("broken.example");
        let resolver = resolver(&dns, TIMEOUT);
        let ask = async |name: &str, kind| resolver.ask(&Question::new(name, kind)).await.as_ref().clone();
        let address = |text: &str| DnsAnswer::Found(Records::Addresses(vec![text.parse().expect("address")]));
        assert_eq!(ask("Both.example.", RecordKind::A).await, address("192.0.2.1"));
        assert_eq!(ask("both.example", RecordKind::Aaaa).await, address("2001:db8::1"));
        let exchanges = Records::Exchanges(vec![(5, "mx.example.".to_owned())]);
        assert_eq!(ask("both.example", RecordKind::Mx).await, DnsAnswer::Found(exchanges));
        let texts = Records::Texts(vec!["v=spf1 -all".to_owned()]);
        assert_eq!(ask("both.example", RecordKind::Txt).await, DnsAnswer::Found(texts));
        let names = Records::Names(vec!["both.example.".to_owned()]);
        assert_eq!(ask("1.2.0.192.in-addr.arpa", RecordKind::Ptr).await, DnsAnswer::Found(names));
        assert_eq!(ask("both.example", RecordKind::Ptr).await, DnsAnswer::Missing);
        assert_eq!(ask("nowhere.example", RecordKind::Txt).await, DnsAnswer::Missing);
        assert_eq!(ask("broken.example", RecordKind::Txt).await, DnsAnswer::Failed);
    }

    #[tokio::test]
    async fn what_was_answered_is_remembered_and_what_failed_is_not() {
        let dns = FakeDns::start();
        dns.txt("there.example", "v=spf1 -all");
        dns.fails("broken.example");
        let resolver = resolver(&dns, TIMEOUT);
        for (name, is_remembered) in [
            ("there.example", true),
            // For as long as the SOA says.
            ("nowhere.example", true),
            ("broken.example", false),
            ("no name", false),
        ] {
            let question = Question::new(name, RecordKind::Txt);
            assert_eq!(resolver.remembered(&question), None, "{name}");
            let answer = resolver.ask(&question).await;
            assert_eq!(resolver.remembered(&question), is_remembered.then_some(answer), "{name}");
        }
        let other_kind = Question::new("there.example", RecordKind::Mx);
        assert_eq!(resolver.remembered(&other_kind), None);
    }

    #[tokio::test]
    async fn long_texts_are_joined() {
        let dns = FakeDns::start();
        let key = format!("v=DKIM1; p={}", "k".repeat(400));
        dns.txt("s1._domainkey.example", &key);
        let resolver = resolver(&dns, TIMEOUT);
        assert_eq!(resolver.txt("s1._domainkey.example").await, Ok(vec![key]));
        assert_eq!(resolver.txt("s2._domainkey.example").await, Err(DnsError::NotFound));
    }

    #[tokio::test]
    async fn a_failing_server_is_temporary_and_never_a_missing_domain() {
        let dns = FakeDns::start();
        dns.fails("broken.example");
        let resolver = resolver(&dns, TIMEOUT);
        assert!(matches!(resolver.mx(&domain("broken.example")).await, Err(DnsError::Temporary(_))));
        assert!(matches!(resolver.addresses("broken.example").await, Err(DnsError::Temporary(_))));
        assert!(matches!(resolver.txt("broken.example").await, Err(DnsError::Temporary(_))));
    }

    #[tokio::test]
    async fn a_silent_server_is_temporary() {
        let dns = FakeDns::start();
        dns.silent("slow.example");
        let resolver = resolver(&dns, Duration::from_millis(50));
        assert!(matches!(resolver.mx(&domain("slow.example")).await, Err(DnsError::Temporary(_))));
    }

    #[tokio::test]
    async fn answers_are_kept_for_their_time_to_live() {
        let dns = FakeDns::start();
        dns.mx("mail.example", 10, "mx.mail.example");
        let resolver = resolver(&dns, TIMEOUT);
        for _ in 0..3 {
            resolver.mx(&domain("mail.example")).await.expect("answer");
        }
        assert_eq!(dns.queries(), ["mail.example MX"]);
    }

    #[tokio::test]
    async fn what_is_published_is_asked_anew_and_stands_at_the_name_itself() {
        let dns = FakeDns::start();
        dns.a("mail.example", [192, 0, 2, 1]);
        let resolver = resolver(&dns, TIMEOUT);
        assert_eq!(resolver.mx(&domain("mail.example")).await, Ok(hosts(&[(0, "mail.example")])));
        assert_eq!(resolver.published_mx("mail.example").await, Err(DnsError::NotFound));
        assert_eq!(resolver.published_txt("mail.example").await, Err(DnsError::NotFound));
        assert_eq!(resolver.published_txt("new.example").await, Err(DnsError::NotFound));
        dns.mx("mail.example", 10, "mx.example");
        dns.txt("mail.example", "one");
        dns.txt("new.example", "two");
        assert_eq!(resolver.published_mx("mail.example").await, Ok(vec![(10, "mx.example.".to_owned())]));
        assert_eq!(resolver.published_txt("mail.example").await, Ok(vec!["one".to_owned()]));
        assert_eq!(resolver.published_txt("new.example").await, Ok(vec!["two".to_owned()]));
        dns.txt("new.example", "three");
        assert_eq!(resolver.published_txt("new.example").await.map(|texts| texts.len()), Ok(2));
        dns.fails("new.example");
        assert!(matches!(resolver.published_txt("new.example").await, Err(DnsError::Temporary(_))));
    }

    #[tokio::test]
    async fn an_answer_too_long_for_a_datagram_comes_over_tcp() {
        let dns = FakeDns::start();
        for number in 0..300 {
            dns.txt("big.example", &format!("{number} {}", "x".repeat(150)));
        }
        let resolver = resolver(&dns, TIMEOUT);
        let texts = resolver.published_txt("big.example").await.expect("answer");
        assert_eq!(texts.len(), 300);
        assert!(dns.queries().len() >= 2, "the datagram was cut off: {:?}", dns.queries());
    }

    #[tokio::test]
    async fn what_name_servers_vouch_for_is_told_where_they_are_believed() {
        let dns = FakeDns::start();
        dns.mx("signed.example", 10, "mx.signed.example");
        dns.mx("plain.example", 10, "mx.signed.example");
        dns.a("mx.signed.example", [192, 0, 2, 1]);
        dns.tlsa("_25._tcp.mx.signed.example", [3, 1, 1], &[7; 32]);
        dns.a("bare.example", [192, 0, 2, 2]);
        for name in ["signed.example", "mx.signed.example", "_25._tcp.mx.signed.example", "bare.example"] {
            dns.signed(name);
        }
        let set = TlsaSet {
            base: "mx.signed.example".to_owned(),
            records: vec![Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7; 32] }],
        };
        let believing = resolver(&dns, TIMEOUT);
        let mx = async |resolver: &SystemResolver, name: &str| {
            resolver.mx_authenticated(&domain(name)).await.map(|(answer, is_authenticated)| {
                assert!(matches!(answer, MxAnswer::Hosts(_)), "{name}");
                is_authenticated
            })
        };
        assert_eq!(mx(&believing, "signed.example").await, Ok(true));
        assert_eq!(mx(&believing, "plain.example").await, Ok(false));
        assert_eq!(mx(&believing, "bare.example").await, Ok(true));
        assert_eq!(believing.mx_authenticated(&domain("no.example")).await, Ok((MxAnswer::NoSuchDomain, false)));
        assert_eq!(believing.tlsa(&domain("mx.signed.example"), 25).await, Ok(Some(set)));
        assert_eq!(believing.tlsa(&domain("mx.signed.example"), 26).await, Ok(None));
        assert_eq!(believing.tlsa(&domain("bare.example"), 25).await, Ok(None));
        let never = SystemResolver::from_nameservers(&[dns.address()], TIMEOUT, DnssecTrust::Never).expect("resolver");
        assert_eq!(mx(&never, "signed.example").await, Ok(false));
        assert_eq!(never.tlsa(&domain("mx.signed.example"), 25).await, Ok(None));
        // Both answers are kept with what was said about them.
        let asked = dns.queries().len();
        assert_eq!(mx(&believing, "signed.example").await, Ok(true));
        assert!(believing.tlsa(&domain("mx.signed.example"), 25).await.is_ok_and(|set| set.is_some()));
        assert_eq!(dns.queries().len(), asked);
    }

    #[tokio::test]
    async fn records_count_only_if_all_on_the_way_to_them_is_vouched_for() {
        let dns = FakeDns::start();
        // The address is not vouched for, then the record, then the alias.
        for (host, unsigned) in [("a.example", "a.example"), ("b.example", "_25._tcp.b.example")] {
            dns.a(host, [192, 0, 2, 1]);
            dns.tlsa(&format!("_25._tcp.{host}"), [3, 1, 1], &[7; 32]);
            for name in [host.to_owned(), format!("_25._tcp.{host}")] {
                if name != unsigned {
                    dns.signed(&name);
                }
            }
        }
        dns.cname("c.example", "end.example");
        dns.a("end.example", [192, 0, 2, 1]);
        dns.signed("end.example");
        dns.tlsa("_25._tcp.end.example", [3, 1, 1], &[8; 32]);
        dns.signed("_25._tcp.end.example");
        let resolver = resolver(&dns, TIMEOUT);
        for host in ["a.example", "b.example", "c.example"] {
            assert_eq!(resolver.tlsa(&domain(host), 25).await, Ok(None), "{host}");
        }
        // An alias that is vouched for leads to the records of its end.
        dns.cname("d.example", "end.example");
        dns.signed("d.example");
        let found = resolver.tlsa(&domain("d.example"), 25).await.expect("answer").expect("records");
        assert_eq!((found.base.as_str(), found.records[0].data[0]), ("end.example", 8));
        // A failure is not the absence of records.
        dns.a("e.example", [192, 0, 2, 1]);
        dns.signed("e.example");
        dns.fails("_25._tcp.e.example");
        assert!(matches!(resolver.tlsa(&domain("e.example"), 25).await, Err(DnsError::Temporary(_))));
    }
}
