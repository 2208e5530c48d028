//! The outside world: clock, entropy, DNS, TLS, SMTP to other servers, webhook HTTP.
//!
//! Nothing else in the workspace opens a connection to another machine, reads the system clock or asks for random
//! bytes. What more than one implementation serves (the real one, a simulated one) is a trait: [`clock::Clock`],
//! [`entropy::Entropy`], [`resolver::Resolver`]. Nothing here decides what mail or events are worth sending.

// time and chance
pub mod clock;
pub mod entropy;

// names and certificates
pub mod resolver;
pub mod tls;

// conversations
pub mod mx_transport;
pub mod otlp;
pub mod webhook_http;

pub use clock::{Clock, SimulatedClock, SystemClock};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use otlp::OtlpHttp;
pub use resolver::{DnsError, DnssecTrust, MxAnswer, MxHost, Resolver, StaticResolver, SystemResolver, TlsaSet};
pub use tls::{CertificateDer, TlsIdentity, Tlsa};
pub use webhook_http::WebhookHttp;
