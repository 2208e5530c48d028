//! What strangers do to a listener, over real sockets. The tables of what they say are in `wire`, over the session alone.

mod early;
mod limits;
mod proxy;
mod relaying;
mod smuggling;

use crate::support::Client;
use crate::{Prepared, Server, limits};
use postfleet_core::client_rate::ClientRates;
use postfleet_net::tls;
use postfleet_smtp::mx::Mx;
use postfleet_smtp::{Limits, Tarpit};
use postfleet_wire::smtp::server;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::io::BufStream;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A listener that is not served yet, with sessions that may make any number of errors.
async fn prepared(limits: Limits) -> Prepared {
    let of_session = server::Limits { errors: 100_000, recipients: 1_000, ..server::Limits::default() };
    Prepared::of(limits, of_session, |world| Arc::new(Mx(world.platform.clone()))).await
}

/// Greeted, and encrypted.
async fn encrypted(server: &Server) -> Client<TlsStream<TcpStream>> {
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    assert!(client.ask("STARTTLS").await.starts_with("220"));
    encrypt(server, client.0.into_inner()).await
}

async fn encrypt(server: &Server, stream: TcpStream) -> Client<TlsStream<TcpStream>> {
    let config = tls::client_config_with_roots(&server.identity.chain()[..1]);
    let name = ServerName::try_from("mx.world.test").expect("name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("handshake");
    Client(BufStream::new(stream))
}
