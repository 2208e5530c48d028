//! Certificates for tests, by an authority of the test's own, and servers that show them.

use crate::http::Responder;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// An authority that nobody knows but those who are told.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate.
pub struct Certified {
    /// What a server needs to show it.
    pub acceptor: TlsAcceptor,
    /// Its public key, as TLSA records with selector 1 are about.
    pub public_key: Vec<u8>,
}

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("key")).expect("certificate"))
    }
}

impl Authority {
    /// What those need who are to trust it.
    pub fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone().into_owned()
    }

    /// Certifies a server of that name.
    pub fn certify(&self, name: &str) -> Certified {
        self.make(name, false)
    }

    /// As [`certify`](Self::certify), with a certificate that is over.
    pub fn certify_past(&self, name: &str) -> Certified {
        self.make(name, true)
    }

    fn make(&self, name: &str, is_over: bool) -> Certified {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("name");
        if is_over {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.0).expect("certificate");
        let chain = vec![certificate.der().clone().into_owned(), self.root()];
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .expect("configuration");
        Certified { acceptor: Arc::new(config).into(), public_key: key.subject_public_key_info() }
    }
}

/// A running HTTPS server; stops when dropped. Needs a tokio runtime.
pub struct FakeHttps {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl FakeHttps {
    /// Starts a server on a free port of 127.0.0.1.
    pub async fn start(acceptor: TlsAcceptor, responder: Responder) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, responder) = (acceptor.clone(), responder.clone());
                // Ends with the client's connection.
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        responder.serve(stream).await;
                    }
                });
            }
        });
        Self { address, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for FakeHttps {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
