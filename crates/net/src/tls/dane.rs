//! DANE (RFC 6698, RFC 7671, RFC 7672): certificates that the DNS vouches for. Which records can be used and which
//! certificate fits one are functions of values; the verifier puts them to work in a handshake.

use super::{client_builder, provider, remembering};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256, Sha512};
use std::sync::Arc;

/// The record is about an authority of the server's chain.
const TRUST_ANCHOR: u8 = 2;
/// The record is about the server's own certificate.
const END_ENTITY: u8 = 3;

/// Records of one name that are looked at; more of them are a mistake or an attack.
const RECORDS_MAX: usize = 32;

/// A TLSA record (RFC 6698 §2.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tlsa {
    /// Which certificate it is about: 2 an authority's, 3 the server's own.
    pub usage: u8,
    /// What of it: 0 all, 1 the public key.
    pub selector: u8,
    /// In which form: 0 as it is, 1 as SHA-256, 2 as SHA-512.
    pub matching: u8,
    /// That.
    pub data: Vec<u8>,
}

impl Tlsa {
    /// Whether the record can be used for mail (RFC 7672 §3.1): authorities of the public kind (usages 0 and 1) mean
    /// nothing there, and what is not known or has the wrong length fits nothing.
    pub fn is_usable(&self) -> bool {
        let has_length = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, TRUST_ANCHOR | END_ENTITY) && self.selector <= 1 && has_length
    }

    /// Whether a certificate, whose public key is `key`, is the one of the record.
    pub fn fits(&self, certificate: &[u8], key: &[u8]) -> bool {
        let selected = match self.selector {
            0 => certificate,
            1 => key,
            _ => return false,
        };
        match self.matching {
            0 => selected == self.data,
            1 => Sha256::digest(selected).as_slice() == self.data,
            2 => Sha512::digest(selected).as_slice() == self.data,
            _ => false,
        }
    }
}

/// The records that count: those that can be used, and of several digests of one kind the strongest only, so that a
/// weaker one that is broken one day does no harm (RFC 7671 §9).
pub fn usable(records: &[Tlsa]) -> Vec<Tlsa> {
    let can_be_used: Vec<&Tlsa> = records.iter().filter(|record| record.is_usable()).take(RECORDS_MAX).collect();
    let strongest = |record: &Tlsa| {
        let same = can_be_used.iter().filter(|o| (o.usage, o.selector) == (record.usage, record.selector));
        same.map(|other| other.matching).max()
    };
    let counts = |record: &&&Tlsa| record.matching == 0 || strongest(record) == Some(record.matching);
    can_be_used.iter().filter(counts).map(|record| (*record).clone()).collect()
}

/// For a server that the DNS vouches for: takes the certificates that one of the records fits, and no other. `names` are
/// those of which the certificate must have one, where the record is about an authority. Make one for each set of records and
/// share it, as it remembers sessions.
pub fn client_config_dane(records: Arc<[Tlsa]>, names: Vec<ServerName<'static>>) -> ClientConfig {
    let provider = provider();
    let verifier = Arc::new(Dane { records, names, provider: provider.clone() });
    let builder = client_builder(provider).dangerous().with_custom_certificate_verifier(verifier);
    // Records are those of one server.
    remembering(1, builder.with_no_client_auth())
}

#[derive(Debug)]
struct Dane {
    records: Arc<[Tlsa]>,
    names: Vec<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Dane {
    /// The server's own certificate is named: neither names nor dates in it matter (RFC 7672 §3.1.1).
    fn is_end_entity(&self, certificate: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>) -> bool {
        let key = parsed.subject_public_key_info();
        self.records.iter().any(|record| record.usage == END_ENTITY && record.fits(certificate, &key))
    }

    /// The authorities that are named: certificates of the chain, or given in full.
    fn anchors(&self, chain: &[CertificateDer<'_>]) -> RootCertStore {
        let named: Vec<&Tlsa> = self.records.iter().filter(|record| record.usage == TRUST_ANCHOR).collect();
        let is_named = |certificate: &&CertificateDer<'_>| {
            let Ok(parsed) = ParsedCertificate::try_from(*certificate) else { return false };
            let key = parsed.subject_public_key_info();
            named.iter().any(|record| record.fits(certificate, &key))
        };
        let shown = chain.iter().filter(is_named).map(|certificate| certificate.clone().into_owned());
        let given = named.iter().filter(|record| (record.selector, record.matching) == (0, 0));
        let given = given.map(|record| CertificateDer::from(record.data.clone()));
        let mut anchors = RootCertStore::empty();
        // One that cannot be read anchors nothing.
        anchors.add_parsable_certificates(shown.chain(given));
        anchors
    }
}

impl ServerCertVerifier for Dane {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        if self.is_end_entity(end_entity, &parsed) {
            return Ok(ServerCertVerified::assertion());
        }
        let anchors = self.anchors(intermediates);
        if anchors.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &anchors, intermediates, now, algorithms)?;
        let mut refusal = Error::InvalidCertificate(CertificateError::NotValidForName);
        for name in &self.names {
            match verify_server_name(&parsed, name) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use std::time::Duration;

    const CERTIFICATE: &[u8] = b"the certificate";
    const KEY: &[u8] = b"its key";

    fn tlsa(usage: u8, selector: u8, matching: u8, of: &[u8]) -> Tlsa {
        let data = match matching {
            1 => Sha256::digest(of).to_vec(),
            2 => Sha512::digest(of).to_vec(),
            _ => of.to_vec(),
        };
        Tlsa { usage, selector, matching, data }
    }

    #[test]
    fn which_records_can_be_used() {
        for usage in 0..=4 {
            for selector in 0..=2 {
                for matching in 0..=3 {
                    let expected = (usage == 2 || usage == 3) && selector < 2 && matching < 3;
                    let record = tlsa(usage, selector, matching, KEY);
                    assert_eq!(record.is_usable(), expected, "{usage} {selector} {matching}");
                }
            }
        }
        for (matching, length) in [(0, 0), (1, 31), (1, 33), (1, 64), (2, 63), (2, 32), (255, 32)] {
            let record = Tlsa { usage: 3, selector: 1, matching, data: vec![0; length] };
            assert!(!record.is_usable(), "{matching} {length}");
        }
    }

    #[test]
    fn a_record_fits_what_it_was_made_of() {
        for matching in 0..=2 {
            for (selector, of, other) in [(0, CERTIFICATE, KEY), (1, KEY, CERTIFICATE)] {
                assert!(tlsa(3, selector, matching, of).fits(CERTIFICATE, KEY), "{selector} {matching}");
                assert!(!tlsa(3, selector, matching, other).fits(CERTIFICATE, KEY), "{selector} {matching}");
            }
            assert!(!tlsa(3, 2, matching, KEY).fits(CERTIFICATE, KEY));
        }
        assert!(!Tlsa { usage: 3, selector: 1, matching: 3, data: KEY.to_vec() }.fits(CERTIFICATE, KEY));
    }

    #[test]
    fn the_strongest_digest_of_a_kind_counts() {
        let of = |list: &[(u8, u8, u8)]| {
            let records: Vec<Tlsa> = list.iter().map(|(u, s, m)| tlsa(*u, *s, *m, KEY)).collect();
            usable(&records).iter().map(|r| (r.usage, r.selector, r.matching)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[(3, 1, 1), (3, 1, 2)]), [(3, 1, 2)]);
        assert_eq!(of(&[(3, 1, 1), (2, 1, 2), (3, 0, 2)]), [(3, 1, 1), (2, 1, 2), (3, 0, 2)]);
        assert_eq!(of(&[(3, 1, 0), (3, 1, 1)]), [(3, 1, 0), (3, 1, 1)]);
        assert_eq!(of(&[(1, 1, 2), (3, 1, 1)]), [(3, 1, 1)], "one that cannot be used does not outdo another");
        assert_eq!(of(&[(0, 0, 1), (1, 1, 1)]), []);
        let many: Vec<Tlsa> = (0..100).map(|number| tlsa(3, 1, 1, &[number])).collect();
        assert_eq!(usable(&many).len(), RECORDS_MAX);
    }

    /// An authority, and a certificate for `mx.example.test` by it that has ended if `expired`.
    struct Pki {
        authority: CertificateDer<'static>,
        authority_key: Vec<u8>,
        server: CertificateDer<'static>,
        server_key: Vec<u8>,
    }

    fn pki(expired: bool) -> Pki {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["mx.example.test".to_owned()]).unwrap();
        if expired {
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
        }
        let server = params.signed_by(&key, &authority).unwrap();
        let authority: CertificateDer<'static> = authority.der().clone().into_owned();
        let server: CertificateDer<'static> = server.der().clone().into_owned();
        let key_of = |der: &CertificateDer<'_>| {
            ParsedCertificate::try_from(der).unwrap().subject_public_key_info().as_ref().to_vec()
        };
        Pki { authority_key: key_of(&authority), server_key: key_of(&server), authority, server }
    }

    fn judge(records: Vec<Tlsa>, chain: &[&CertificateDer<'static>], name: &'static str) -> Result<(), String> {
        let names = vec![ServerName::try_from(name).unwrap()];
        let dane = Dane { records: records.into(), names, provider: provider() };
        let rest: Vec<CertificateDer<'static>> = chain[1..].iter().map(|der| (*der).clone()).collect();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_772_445_600));
        let verdict = dane.verify_server_cert(chain[0], &rest, &ServerName::try_from("sni.test").unwrap(), &[], now);
        verdict.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_servers_own_certificate_needs_neither_name_nor_date_nor_authority() {
        let pki = pki(true);
        let alone = [&pki.server];
        for record in [
            tlsa(3, 1, 1, &pki.server_key),
            tlsa(3, 1, 2, &pki.server_key),
            tlsa(3, 0, 1, &pki.server),
            tlsa(3, 0, 0, &pki.server),
        ] {
            assert_eq!(judge(vec![record], &alone, "other.test"), Ok(()));
        }
        let other = self::pki(false);
        let refused = judge(vec![tlsa(3, 1, 1, &other.server_key)], &alone, "mx.example.test");
        assert!(refused.unwrap_err().contains("UnknownIssuer"));
        // One of several is enough: that is how keys are changed.
        let both = vec![tlsa(3, 1, 1, &other.server_key), tlsa(3, 1, 1, &pki.server_key)];
        assert_eq!(judge(both, &alone, "mx.example.test"), Ok(()));
        // The authority's certificate is not the server's own.
        let refused = judge(vec![tlsa(3, 1, 1, &pki.authority_key)], &[&pki.server, &pki.authority], "mx.example.test");
        assert!(refused.is_err());
    }

    #[test]
    fn an_authority_vouches_for_name_and_date() {
        let good = pki(false);
        let chain = [&good.server, &good.authority];
        for record in
            [tlsa(2, 1, 1, &good.authority_key), tlsa(2, 0, 2, &good.authority), tlsa(2, 0, 0, &good.authority)]
        {
            assert_eq!(judge(vec![record], &chain, "mx.example.test"), Ok(()));
        }
        // Given in full, it need not be shown.
        assert_eq!(judge(vec![tlsa(2, 0, 0, &good.authority)], &[&good.server], "mx.example.test"), Ok(()));
        let digest = || vec![tlsa(2, 0, 1, &good.authority)];
        assert!(judge(digest(), &[&good.server], "mx.example.test").unwrap_err().contains("UnknownIssuer"));
        assert!(judge(digest(), &chain, "other.test").unwrap_err().contains("not valid for name"));
        let expired = pki(true);
        let refused =
            judge(vec![tlsa(2, 0, 1, &expired.authority)], &[&expired.server, &expired.authority], "mx.example.test");
        assert!(refused.as_ref().unwrap_err().contains("xpired"), "{refused:?}");
        // An authority that is named and has signed something else.
        let refused = judge(digest(), &[&pki(false).server, &good.authority], "mx.example.test");
        assert!(refused.as_ref().unwrap_err().contains("BadSignature"), "{refused:?}");
    }
}
