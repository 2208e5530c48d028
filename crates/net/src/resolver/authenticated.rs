//! Questions to name servers that check signatures (DNSSEC) and say so with the AD bit (RFC 4035 §3.2.3, RFC 6840 §5.7).
//! The bit is worth as much as the way on which it comes: it is asked for only where that way is trusted.

use super::system::Failure;
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::FirstAnswer;
use hickory_resolver::net::{DnsError, DnsHandle, NetError, RetryDnsHandle};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, Message, Query};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, ResponseCache, TlsConfig, TtlConfig};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::time::Instant;

/// The resolver that container engines put on a loopback address. It asks others over the network and checks nothing.
const CONTAINER_RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// When name servers are believed that they have checked signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DnssecTrust {
    /// If all of them are on this machine.
    #[default]
    Loopback,
    /// Wherever they are: the way to them is protected otherwise.
    Always,
    /// Never.
    Never,
}

impl DnssecTrust {
    /// Whether these servers are believed.
    pub(super) fn covers(self, servers: impl IntoIterator<Item = IpAddr>) -> bool {
        let is_here = |server: IpAddr| server.is_loopback() && server != CONTAINER_RESOLVER;
        match self {
            Self::Loopback => servers.into_iter().all(is_here),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Asks, with a cache of its own: the other one forgets what was said about signatures.
#[derive(Clone)]
pub(super) struct Authenticated {
    servers: RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>,
    cache: Arc<ResponseCache>,
}

/// Records of one kind, and whether the name servers vouch for them and for every alias on the way to them.
pub(super) struct Answer {
    pub(super) records: Vec<RData>,
    /// The name at the end of the aliases.
    pub(super) name: Name,
    pub(super) is_authenticated: bool,
}

impl Authenticated {
    pub(super) fn new(config: ResolverConfig, options: ResolverOpts) -> Result<Self, NetError> {
        let attempts = options.attempts;
        let (ttl, size) = (TtlConfig::from_opts(&options), options.cache_size);
        let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
        let pool = NameServerPool::from_config(config.name_servers, context, TokioRuntimeProvider::default());
        let cache = Arc::new(ResponseCache::new(size, ttl));
        Ok(Self { servers: RetryDnsHandle::new(pool, attempts), cache })
    }

    pub(super) async fn ask(&self, name: &str, kind: RecordType) -> Result<Answer, Failure> {
        let mut asked = Name::from_ascii(name).map_err(|_| Failure::NoSuchName)?;
        asked.set_fqdn(true);
        let query = Query::query(asked.clone(), kind);
        let message = match self.cache.get(&query, Instant::now().into_std()) {
            Some(kept) => kept,
            None => {
                let found = self.ask_anew(&query).await;
                self.cache.insert(query, found.clone(), Instant::now().into_std());
                found
            }
        };
        read(&message.map_err(Failure::from)?, asked, kind)
    }

    async fn ask_anew(&self, query: &Query) -> Result<Message, NetError> {
        let mut request = DnsRequest::from_query(query.clone(), DnsRequestOptions::default());
        request.metadata.authentic_data = true;
        let response = self.servers.send(request).first_answer().await?;
        Ok(DnsError::from_response(response).map_err(NetError::from)?.into_message())
    }
}

fn read(message: &Message, asked: Name, kind: RecordType) -> Result<Answer, Failure> {
    let mut name = asked;
    // In any order, and no longer than what is there.
    for _ in 0..message.answers.len() {
        let alias = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == name => Some(target.0.clone()),
            _ => None,
        });
        let Some(target) = alias else { break };
        name = target;
    }
    let stands_there = message.answers.iter().filter(|record| record.name == name);
    let records: Vec<RData> =
        stands_there.map(|record| record.data.clone()).filter(|data| data.record_type() == kind).collect();
    if records.is_empty() {
        return Err(Failure::NoSuchRecord);
    }
    Ok(Answer { records, name, is_authenticated: message.metadata.authentic_data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_believed() {
        let (here, here6) = (IpAddr::from([127, 0, 0, 1]), "::1".parse::<IpAddr>().expect("address"));
        let (stub, engine) = (IpAddr::from([127, 0, 0, 53]), IpAddr::from([127, 0, 0, 11]));
        let far = IpAddr::from([192, 0, 2, 53]);
        for (servers, expected) in [
            (vec![here], true),
            (vec![here6, stub], true),
            (vec![here, far], false),
            (vec![far], false),
            (vec![engine], false),
        ] {
            assert_eq!(DnssecTrust::Loopback.covers(servers.clone()), expected, "{servers:?}");
            assert!(DnssecTrust::Always.covers(servers.clone()) && !DnssecTrust::Never.covers(servers));
        }
    }
}
