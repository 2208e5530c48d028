//! How connections to other servers are encrypted, and how that went: what reports about TLS count (RFC 8460).

use super::Target;
use super::connection::Stream;
use crate::tls::{self, CertificateDer, Tlsa};
use postfleet_wire::smtp::client::TlsPolicy;
use rustls::CertificateError;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::TlsConnector;

/// How a connection is to be encrypted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TlsRule {
    /// Not at all.
    Never,
    /// If the server offers it and it works; any certificate will do.
    Opportunistic,
    /// As opportunistic, and what verification would have said is told: a policy on trial.
    Watched,
    /// Or no connection; any certificate will do.
    Encrypted,
    /// Or no connection, and the certificate must be for the server's name, by an authority that is trusted.
    Verified,
    /// As verified, from the first octet on, without STARTTLS (RFC 8314 §3.3).
    Implicit,
    /// Or no connection, and one of these records must fit the certificate.
    Dane {
        /// Those that can be used, at least one.
        records: Arc<[Tlsa]>,
        /// The names of which the certificate must have one where a record is about an authority; the first is the one
        /// that the server is told.
        names: Arc<[String]>,
    },
}

impl TlsRule {
    /// Whether there is no connection unless the rule is kept.
    pub fn is_enforced(&self) -> bool {
        self.policy() == TlsPolicy::Required
    }

    pub(super) fn policy(&self) -> TlsPolicy {
        match self {
            Self::Never => TlsPolicy::Never,
            Self::Opportunistic | Self::Watched => TlsPolicy::Opportunistic,
            Self::Encrypted | Self::Verified | Self::Implicit | Self::Dane { .. } => TlsPolicy::Required,
        }
    }
}

/// How encryption of a connection went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsSession {
    /// Our address on that connection.
    pub sending: Option<IpAddr>,
    /// Whether the rule was kept.
    pub result: Result<(), TlsFailure>,
}

/// What was wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFailure {
    /// Of which kind it is.
    pub fault: TlsFault,
    /// For people.
    pub text: String,
}

/// The kinds of failure that reports tell apart (RFC 8460 §4.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TlsFault {
    /// STARTTLS was not offered.
    NotOffered,
    /// The certificate is for other names.
    HostMismatch,
    /// The certificate is over, or has not begun.
    Expired,
    /// No trusted authority, or no record of the DNS, vouches for the certificate.
    NotTrusted,
    /// Anything else.
    Other,
}

impl TlsFault {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotOffered => "starttls-not-supported",
            Self::HostMismatch => "certificate-host-mismatch",
            Self::Expired => "certificate-expired",
            Self::NotTrusted => "certificate-not-trusted",
            Self::Other => "validation-failure",
        }
    }
}

impl TlsFailure {
    pub(super) fn not_offered() -> Self {
        Self { fault: TlsFault::NotOffered, text: "STARTTLS is not offered".to_owned() }
    }

    pub(super) fn other(text: String) -> Self {
        Self { fault: TlsFault::Other, text }
    }

    /// By what a handshake failed with.
    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        inner.map_or_else(|| Self::other(error.to_string()), Self::of_tls)
    }

    fn of_tls(error: &rustls::Error) -> Self {
        use CertificateError as E;
        let fault = match error {
            rustls::Error::InvalidCertificate(why) => match why {
                E::NotValidForName | E::NotValidForNameContext { .. } => TlsFault::HostMismatch,
                E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => {
                    TlsFault::Expired
                }
                E::UnknownIssuer | E::BadSignature => TlsFault::NotTrusted,
                // A certificate that is its own authority, from where the public ones are asked.
                E::Other(_) => TlsFault::NotTrusted,
                _ => TlsFault::Other,
            },
            _ => TlsFault::Other,
        };
        Self { fault, text: error.to_string() }
    }
}

/// Sets of DNS records whose connectors are kept; beyond, all are made anew.
const VOUCHED_MAX: usize = 512;

/// Records of the DNS, and the names of which a certificate must have one.
type Vouched = (Arc<[Tlsa]>, Arc<[String]>);

/// What handshakes need. Each connector remembers the sessions of the servers that it has met, by their names, so that the
/// next handshake with one of them is short. A session that was resumed is not verified again, so each demand has a
/// connector of its own: what began with any certificate is never resumed where one had to be verified, nor what other
/// records of the DNS vouched for.
pub(super) struct Encryption {
    any: TlsConnector,
    verified: TlsConnector,
    vouched: Mutex<HashMap<Vouched, TlsConnector>>,
    judge: Arc<dyn ServerCertVerifier>,
}

impl Encryption {
    pub(super) fn new(extra_roots: &[CertificateDer<'static>]) -> Self {
        Self {
            any: tls::client_config_opportunistic().into(),
            verified: Arc::new(tls::client_config_with_roots(extra_roots)).into(),
            vouched: Mutex::default(),
            judge: tls::judge_with_roots(extra_roots),
        }
    }

    /// Who does the handshake, and the name that the server is told.
    pub(super) fn connector(&self, target: &Target) -> Result<(TlsConnector, ServerName<'static>), TlsFailure> {
        let wrong = |error: String| TlsFailure { fault: TlsFault::HostMismatch, text: error };
        Ok(match &target.tls {
            TlsRule::Verified | TlsRule::Implicit => {
                (self.verified.clone(), server_name(&target.host_name).map_err(wrong)?)
            }
            TlsRule::Dane { records, names } => {
                let valid = names.iter().map(|name| server_name(name)).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
                let told = valid.first().cloned().unwrap_or_else(|| target.address.ip().into());
                (self.vouched(records, names, valid), told)
            }
            // Nobody checks the name here, so a name that cannot be one does not stand in the way.
            TlsRule::Never | TlsRule::Opportunistic | TlsRule::Watched | TlsRule::Encrypted => {
                let name = server_name(&target.host_name).unwrap_or_else(|_| target.address.ip().into());
                (self.any.clone(), name)
            }
        })
    }

    /// The connector for servers for which these records vouch.
    fn vouched(&self, records: &Arc<[Tlsa]>, names: &Arc<[String]>, valid: Vec<ServerName<'static>>) -> TlsConnector {
        let mut vouched = self.vouched.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (records.clone(), names.clone());
        if vouched.len() >= VOUCHED_MAX && !vouched.contains_key(&key) {
            vouched.clear();
        }
        let make = || Arc::new(tls::client_config_dane(records.clone(), valid)).into();
        vouched.entry(key).or_insert_with(make).clone()
    }

    /// What verification would have said, where somebody wants to know.
    pub(super) fn watch(&self, target: &Target, stream: &Stream) -> Result<(), TlsFailure> {
        let (TlsRule::Watched, Stream::Tls(stream)) = (&target.tls, stream) else { return Ok(()) };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let Some((own, rest)) = chain.split_first() else {
            return Err(TlsFailure::other("server showed no certificate".to_owned()));
        };
        let name = server_name(&target.host_name).map_err(TlsFailure::other)?;
        let verdict = self.judge.verify_server_cert(own, rest, &name, &[], UnixTime::now());
        verdict.map(drop).map_err(|error| TlsFailure::of_tls(&error))
    }
}

fn server_name(host_name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host_name.trim_end_matches('.').to_owned()).map_err(|error| error.to_string())
}
