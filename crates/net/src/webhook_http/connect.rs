//! Connections to targets: TCP, and TLS where the URL asks for it. Whatever a name means is judged here, by the resolver of the
//! connector, so that the address that was checked is the address that is used.

use super::guard::Guard;
use super::target::{Demand, Target, TargetRefused};
use crate::tls::client_config_with_roots;
use futures::future::BoxFuture;
use http::Uri;
use hyper_rustls::{DefaultServerNameResolver, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tower::Service;

/// What is written to and read from.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections, of each kind as far as it may go.
pub(super) struct Connectors {
    /// To public and listed addresses.
    https: HttpsConnector<HttpConnector<GuardedDns>>,
    /// To listed addresses alone.
    https_listed: HttpsConnector<HttpConnector<GuardedDns>>,
    http: HttpsConnector<HttpConnector<GuardedDns>>,
}

impl Connectors {
    pub(super) fn new(guard: &Arc<Guard>, extra_roots: &[CertificateDer<'static>]) -> Self {
        let mut tls = client_config_with_roots(extra_roots);
        // Over HTTP/2 one connection carries all that goes to a host: an answer that is slow could hold up others.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = Arc::new(tls);
        let connector = |demand| {
            let mut tcp = HttpConnector::new_with_resolver(GuardedDns { guard: guard.clone(), demand });
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            let is_plain = demand == Demand::ForPlainHttp;
            HttpsConnector::new(tcp, tls.clone(), !is_plain, Arc::new(DefaultServerNameResolver::default()))
        };
        Self {
            https: connector(Demand::None),
            https_listed: connector(Demand::ForPort),
            http: connector(Demand::ForPlainHttp),
        }
    }

    /// A connection to a target. Of an address in text form no resolver is asked: it was judged before.
    pub(super) async fn connect(&self, target: &Target) -> Result<Stream, Box<dyn Error + Send + Sync>> {
        let mut connector = match target.demand {
            Demand::None => &self.https,
            Demand::ForPort => &self.https_listed,
            Demand::ForPlainHttp => &self.http,
        }
        .clone();
        let place: Uri = target.origin.parse()?;
        std::future::poll_fn(|context| connector.poll_ready(context)).await?;
        connector.call(place).await
    }
}

/// The resolver of one connector.
#[derive(Clone)]
struct GuardedDns {
    guard: Arc<Guard>,
    demand: Demand,
}

impl Service<Name> for GuardedDns {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = TargetRefused;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (guard, demand) = (self.guard.clone(), self.demand);
        Box::pin(async move {
            let addresses = guard.resolve(name.as_str(), demand).await?;
            // Port 0 lets the connector put in the one of the URL.
            let addresses: Vec<SocketAddr> = addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}
