//! Certificates and TLS configurations: one for listeners, two for connections to others.
//!
//! Every configuration names its crypto provider; none depends on a default that some other code may set. A key
//! file is never overwritten and never readable by others.

mod dane;

pub use dane::{Tlsa, client_config_dane, usable};
pub use rustls::pki_types::CertificateDer;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the certificate lies below the data directory.
pub const CERTIFICATE_FILE: &str = "tls/cert.pem";
/// Where its private key lies below the data directory.
pub const KEY_FILE: &str = "tls/key.pem";

/// Servers whose sessions one configuration remembers.
const SERVERS_MAX: usize = 512;

/// A certificate chain and its private key.
#[derive(Debug)]
pub struct TlsIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why there is no usable certificate or configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no usable {what}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Certificate or private key.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There is a certificate but no key to it: somebody has to decide which of the two is right.
    #[error("{} is there but its private key {} is not", certificate.display(), key.display())]
    KeyMissing {
        /// The certificate.
        certificate: PathBuf,
        /// The missing key.
        key: PathBuf,
    },
    /// No certificate could be made for these names.
    #[error("cannot make a certificate: {0}")]
    Make(String),
    /// Certificate and key do not fit, or the key is of an unsupported kind.
    #[error("certificate and private key cannot be used together: {0}")]
    Mismatch(rustls::Error),
}

impl TlsIdentity {
    /// Reads a PEM chain, the server's own certificate first, and its PEM key (PKCS #8, PKCS #1 or SEC 1).
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_chain(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| unusable(key, "private key", error))?;
        Ok(Self { chain, key })
    }

    /// Loads the identity of a data directory; makes a self-signed one for `names` when there is none yet.
    ///
    /// The key is written first and the certificate last, both atomically and synced: a crash in between leaves a
    /// key alone, and the next start makes the certificate for it.
    pub fn load_or_create(data_dir: &Path, names: &[String]) -> Result<Self, TlsError> {
        let certificate = data_dir.join(CERTIFICATE_FILE);
        let key = data_dir.join(KEY_FILE);
        match (is_there(&certificate)?, is_there(&key)?) {
            (true, true) => {}
            (true, false) => return Err(TlsError::KeyMissing { certificate, key }),
            (false, has_key) => {
                let pair = if has_key { read_key_pair(&key)? } else { create_key_pair(&key)? };
                create_certificate(&certificate, &pair, names)?;
            }
        }
        Self::load(&certificate, &key)
    }

    /// The certificates, the server's own first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

/// The configuration of a listener: TLS 1.2 and 1.3, no client certificates.
pub fn server_config(identity: &TlsIdentity) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Mismatch)?
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(TlsError::Mismatch)?;
    // Resumption without server memory (RFC 5077, RFC 8446 §4.6.1): mail clients reconnect a lot.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Mismatch)?;
    Ok(Arc::new(config))
}

/// For mail servers found through MX records without a policy: encrypts, and takes any certificate.
///
/// The name of the host comes from an unauthenticated DNS answer and many servers have certificates that nobody
/// can verify; refusing them would mean sending in the clear, which protects less. Encryption without
/// authentication defeats those who only listen (RFC 7435 §1, RFC 3207 §4.1). Make one and share it: it remembers
/// sessions, which makes the next handshake with the same server cheaper.
pub fn client_config_opportunistic() -> Arc<ClientConfig> {
    let provider = provider();
    let verifier = Arc::new(AnyCertificate(provider.clone()));
    let builder = client_builder(provider).dangerous().with_custom_certificate_verifier(verifier);
    Arc::new(remembering(SERVERS_MAX, builder.with_no_client_auth()))
}

/// For everything that must reach the right server: verifies the certificate and the name against the public
/// certificate authorities (those of the Mozilla list, so that it does not depend on the machine).
pub fn client_config_verified() -> Arc<ClientConfig> {
    Arc::new(client_config_with_roots(&[]))
}

/// As [`client_config_verified`], and trusts `extra_roots` besides: a private authority, or a test's.
pub fn client_config_with_roots(extra_roots: &[CertificateDer<'static>]) -> ClientConfig {
    let builder = client_builder(provider()).with_root_certificates(roots(extra_roots));
    remembering(SERVERS_MAX, builder.with_no_client_auth())
}

/// With memory for the sessions of so many servers, eight of each.
fn remembering(servers: usize, mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::in_memory_sessions(8 * servers);
    config
}

/// Judges certificates as [`client_config_with_roots`] does, outside of a handshake: what a verifying client would have
/// said about a certificate that was taken all the same.
pub fn judge_with_roots(extra_roots: &[CertificateDer<'static>]) -> Arc<dyn ServerCertVerifier> {
    WebPkiServerVerifier::builder_with_provider(roots(extra_roots).into(), provider())
        .build()
        .expect("there are authorities and no revocation lists")
}

fn roots(extra: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // A root that cannot be parsed is left out: then its certificates are refused, which is the safe side.
    roots.add_parsable_certificates(extra.iter().cloned());
    roots
}

fn client_builder(provider: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Takes every certificate, but still checks that the server holds the key of the one it shows.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(path, "certificate", error))?;
    if chain.is_empty() {
        return Err(unusable(path, "certificate", "there is none in it"));
    }
    Ok(chain)
}

fn read_key_pair(path: &Path) -> Result<rcgen::KeyPair, TlsError> {
    let pem = String::from_utf8(read(path)?).map_err(|error| unusable(path, "private key", error))?;
    rcgen::KeyPair::from_pem(&pem).map_err(|error| unusable(path, "private key", error))
}

fn create_key_pair(path: &Path) -> Result<rcgen::KeyPair, TlsError> {
    // ECDSA P-256: small, fast, and understood by every mail client that knows TLS 1.2.
    let pair = rcgen::KeyPair::generate().map_err(make_error)?;
    write_private(path, pair.serialize_pem().as_bytes())?;
    Ok(pair)
}

fn create_certificate(path: &Path, pair: &rcgen::KeyPair, names: &[String]) -> Result<(), TlsError> {
    // The validity rcgen gives by default does not end: nobody verifies a self-signed certificate by its dates,
    // and one that expired would only break the clients that were told to trust it.
    let mut params = rcgen::CertificateParams::new(names).map_err(make_error)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(first) = names.first() {
        params.distinguished_name.push(rcgen::DnType::CommonName, first.as_str());
    }
    let certificate = params.self_signed(pair).map_err(make_error)?;
    write_private(path, certificate.pem().as_bytes())
}

fn make_error(error: rcgen::Error) -> TlsError {
    TlsError::Make(error.to_string())
}

fn unusable(path: &Path, what: &'static str, why: impl ToString) -> TlsError {
    TlsError::Content { path: path.to_owned(), what, why: why.to_string() }
}

fn is_there(path: &Path) -> Result<bool, TlsError> {
    path.try_exists().map_err(file_error("look for", path))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(file_error("read", path))
}

/// Writes a file that only its owner can read: under another name, synced, renamed, and the folder synced, so
/// that after a crash the whole file is there or nothing.
fn write_private(path: &Path, content: &[u8]) -> Result<(), TlsError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let draft = path.with_extension("pem.new");
    fs::create_dir_all(folder).map_err(file_error("create", folder))?;
    write_draft(&draft, content).map_err(file_error("write", &draft))?;
    fs::rename(&draft, path).map_err(file_error("create", path))?;
    sync_folder(folder)?;
    // The folder itself may be new: its name is kept by the one above it.
    sync_folder(folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn write_draft(draft: &Path, content: &[u8]) -> io::Result<()> {
    // A draft left by a crash may have been made with other permissions.
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_folder(folder: &Path) -> Result<(), TlsError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error("sync", folder))
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TlsError + use<> {
    let path = path.to_owned();
    move |source| TlsError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    fn names() -> Vec<String> {
        vec!["mx.example".to_owned(), "localhost".to_owned()]
    }

    fn made(folder: &tempfile::TempDir) -> TlsIdentity {
        TlsIdentity::load_or_create(folder.path(), &names()).expect("identity")
    }

    /// One handshake and four bytes over an in-memory pipe.
    async fn talk(server: Arc<ServerConfig>, client: Arc<ClientConfig>, name: &'static str) -> io::Result<[u8; 4]> {
        let (near, far) = tokio::io::duplex(16 * 1_024);
        let serve = async {
            let mut stream = TlsAcceptor::from(server).accept(far).await?;
            stream.write_all(b"mail").await?;
            stream.shutdown().await
        };
        let connect = async {
            let name = ServerName::try_from(name).expect("name");
            let mut stream = TlsConnector::from(client).connect(name, near).await?;
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await?;
            Ok(bytes)
        };
        let (_, read) = tokio::join!(serve, connect);
        read
    }

    #[test]
    fn an_identity_is_made_once_and_then_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let first = made(&folder);
        assert_eq!(made(&folder).chain(), first.chain());
        assert!(!folder.path().join("tls/key.pem.new").exists());
    }

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_for_its_owner_only_even_after_a_crash_left_a_draft() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("tls")).expect("folder");
        fs::write(folder.path().join("tls/key.pem.new"), "half a key").expect("draft");
        made(&folder);
        let mode = fs::metadata(folder.path().join(KEY_FILE)).expect("key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_without_certificate_is_kept_and_gets_one() {
        let folder = tempfile::tempdir().expect("folder");
        made(&folder);
        let key = fs::read(folder.path().join(KEY_FILE)).expect("key");
        fs::remove_file(folder.path().join(CERTIFICATE_FILE)).expect("remove");
        server_config(&made(&folder)).expect("they fit");
        assert_eq!(fs::read(folder.path().join(KEY_FILE)).expect("key"), key);
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_named() {
        let folder = tempfile::tempdir().expect("folder");
        let other = tempfile::tempdir().expect("folder");
        made(&folder);
        made(&other);
        let (certificate, key) = (folder.path().join(CERTIFICATE_FILE), folder.path().join(KEY_FILE));

        let mixed = TlsIdentity::load(&certificate, &other.path().join(KEY_FILE)).expect("files are fine");
        assert!(matches!(server_config(&mixed), Err(TlsError::Mismatch(_))));
        let swapped = TlsIdentity::load(&key, &certificate).expect_err("swapped");
        assert!(swapped.to_string().contains("no usable certificate"), "{swapped}");
        let absent = TlsIdentity::load(&folder.path().join("none.pem"), &key).expect_err("absent");
        assert!(absent.to_string().starts_with("read "), "{absent}");
        fs::remove_file(&key).expect("remove");
        let alone = TlsIdentity::load_or_create(folder.path(), &names()).expect_err("key is gone");
        assert!(matches!(alone, TlsError::KeyMissing { .. }));
    }

    #[tokio::test]
    async fn the_opportunistic_client_takes_what_the_verifying_one_refuses() {
        let folder = tempfile::tempdir().expect("folder");
        let identity = made(&folder);
        let server = || server_config(&identity).expect("configuration");
        let trusting = Arc::new(client_config_with_roots(identity.chain()));

        let opportunistic = talk(server(), client_config_opportunistic(), "other.example").await;
        assert_eq!(&opportunistic.expect("any certificate and name will do"), b"mail");
        assert!(talk(server(), client_config_verified(), "mx.example").await.is_err());
        assert_eq!(&talk(server(), trusting.clone(), "mx.example").await.expect("known root"), b"mail");
        assert!(talk(server(), trusting, "other.example").await.is_err());
    }

    #[tokio::test]
    async fn both_protocol_versions_are_spoken() {
        let folder = tempfile::tempdir().expect("folder");
        let identity = made(&folder);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(&[version])
                .expect("version")
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
                .with_no_client_auth();
            let read = talk(server_config(&identity).expect("configuration"), Arc::new(client), "mx.example").await;
            assert_eq!(&read.expect("handshake"), b"mail");
        }
    }
}
