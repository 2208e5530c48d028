use super::*;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};
use proptest::prelude::*;
use std::borrow::Borrow;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

const MESSAGE: &str = "From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject:  folded\r\n\tsubject \r\n\
    Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nMessage-ID: <1@example.com>\r\nX-Other: not signed\r\n\r\n\
    Hello  Bob, \r\n\r\nbye\t\r\n\r\n\r\n";

/// Gives the verifier the one key that the test is about, whatever it asks for.
struct OneKey(Arc<DomainKey>);

impl ResolverCache<Box<str>, Txt> for OneKey {
    fn get<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Some(Txt::DomainKey(self.0.clone()))
    }
    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }
    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// What an independent verifier says about the first signature of a message.
fn verify(raw: &[u8], key: &PrivateKey) -> bool {
    let Some(message) = AuthenticatedMessage::parse(raw) else { return false };
    let keys = OneKey(Arc::new(DomainKey::parse(key.public_dns.as_bytes()).unwrap()));
    let verifier = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default()).unwrap();
    let mut verifying = pin!(verifier.verify_dkim(Parameters::new(&message).with_txt_cache(&keys)));
    // With the key at hand nothing is waited for.
    let Poll::Ready(outputs) = verifying.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the verifier wanted the network");
    };
    outputs.first().is_some_and(|output| matches!(output.result(), DkimResult::Pass))
}

fn signer(key: &PrivateKey) -> Signer {
    Signer::new(Domain::parse("example.com").unwrap(), Domain::parse("s1").unwrap(), key).unwrap()
}

fn signed(key: &PrivateKey, message: &str) -> Vec<u8> {
    let mut raw = signer(key).sign(message.as_bytes(), UnixMicros::from_seconds(1_700_000_000)).unwrap();
    raw.extend_from_slice(message.as_bytes());
    raw
}

#[test]
fn both_algorithms_verify() {
    for algorithm in [Algorithm::RsaSha256, Algorithm::Ed25519Sha256] {
        let key = generate(algorithm).unwrap();
        for message in [MESSAGE, "From: a@b.example\r\n\r\n", "from:x\r\n\r\nno end"] {
            let raw = signed(&key, message);
            assert!(verify(&raw, &key), "{algorithm:?} {message:?}");
            assert!(!verify(&raw, &generate(algorithm).unwrap()));
            let text = String::from_utf8(raw).unwrap();
            assert!(!text.contains(" l="));
            assert!(text.split("\r\n").all(|line| line.len() <= 78));
        }
    }
}

#[test]
fn two_signatures_do_not_disturb_each_other() {
    let (rsa, ed25519) = (generate(Algorithm::RsaSha256).unwrap(), generate(Algorithm::Ed25519Sha256).unwrap());
    let now = UnixMicros::from_seconds(1_700_000_000);
    let mut first = signer(&rsa).sign(MESSAGE.as_bytes(), now).unwrap();
    let second = signer(&ed25519).sign(MESSAGE.as_bytes(), now).unwrap();
    let raw = [second.as_slice(), first.as_slice(), MESSAGE.as_bytes()].concat();
    assert!(verify(&raw, &ed25519));
    first.extend_from_slice(&second);
    first.extend_from_slice(MESSAGE.as_bytes());
    assert!(verify(&first, &rsa));
}

#[test]
fn no_signed_field_can_be_added_or_taken_away() {
    let key = generate(Algorithm::Ed25519Sha256).unwrap();
    let raw = String::from_utf8(signed(&key, MESSAGE)).unwrap();
    for name in SIGNED {
        assert!(!verify(format!("{name}: added\r\n{raw}").as_bytes(), &key), "{name} above");
        let below = raw.replacen("\r\n\r\n", &format!("\r\n{name}: added\r\n\r\n"), 1);
        assert!(!verify(below.as_bytes(), &key), "{name} below");
    }
    assert!(verify(format!("X-Added: fine\r\n{raw}").as_bytes(), &key));
    assert!(!verify(raw.replace("To: bob@example.net\r\n", "").as_bytes(), &key));
    assert!(!verify(format!("{raw}appended").as_bytes(), &key));
}

#[test]
fn the_time_is_the_one_given() {
    let key = generate(Algorithm::Ed25519Sha256).unwrap();
    assert_eq!(signed(&key, MESSAGE), signed(&key, MESSAGE));
    assert!(String::from_utf8(signed(&key, MESSAGE)).unwrap().contains("t=1700000000;"));
}

#[test]
fn refusals() {
    let key = generate(Algorithm::Ed25519Sha256).unwrap();
    let sign = |raw: &str| signer(&key).sign(raw.as_bytes(), UnixMicros::from_seconds(1)).unwrap_err();
    assert_eq!(sign("To: a@b\r\n\r\n"), DkimError::NoFrom);
    assert_eq!(sign("From: a@b\n\nx"), DkimError::LineEnd);
    assert_eq!(sign("From: a@b\r\n\r\nx\ny"), DkimError::LineEnd);
    assert_eq!(sign(&"From: a@b\r\n".repeat(OCCURRENCES_MAX + 1)), DkimError::HeaderTooLarge);
    assert!(
        Signer::new(
            Domain::parse("a.example").unwrap(),
            Domain::parse("s").unwrap(),
            &PrivateKey { algorithm: Algorithm::RsaSha256, ..key.clone() }
        )
        .is_err()
    );
    assert!(PrivateKey::from_pkcs8(Algorithm::Ed25519Sha256, vec![1, 2, 3]).is_err());
}

#[test]
fn a_stored_key_gives_the_same_record() {
    for algorithm in [Algorithm::RsaSha256, Algorithm::Ed25519Sha256] {
        let key = generate(algorithm).unwrap();
        let again = PrivateKey::from_pkcs8(algorithm, key.pkcs8.expose().clone()).unwrap();
        assert_eq!(again.public_dns, key.public_dns);
        assert!(!format!("{key:?}").contains(&format!("{:?}", key.pkcs8.expose())));
    }
}

#[test]
fn a_signer_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Signer>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_message_verifies_and_any_change_does_not(
        subject in "[ -~\u{e9}]{0,80}",
        body in "([a-z .\t]|\r\n){0,120}",
        at: prop::sample::Index,
    ) {
        // This verifier does not take lines of nothing but white space at the end as empty (RFC 6376 §3.4.4).
        let body = if body.trim().is_empty() { String::new() } else { format!("{}\r\n\r\n", body.trim_end()) };
        let key = generate(Algorithm::Ed25519Sha256).unwrap();
        let raw = signed(&key, &format!("From: a@b.example\r\nSubject: {subject}\r\n\r\n{body}"));
        prop_assert!(verify(&raw, &key));
        // Change an octet that is no white space into another letter, or the other case.
        let mut changed = raw.clone();
        let at = at.index(raw.len());
        prop_assume!(raw[at].is_ascii_alphanumeric());
        // Four bits of the last digit of the signature belong to no octet (RFC 4648 §3.5), and may be anything.
        let signature_end = raw.windows(7).position(|octets| octets == b"\r\nFrom:").unwrap();
        prop_assume!(Some(at) != raw[..signature_end].iter().rposition(u8::is_ascii_alphanumeric));
        changed[at] = if raw[at] == b'q' { b'w' } else { b'q' };
        // Names are compared without case; t= holds digits only; all else has to matter.
        prop_assert!(!verify(&changed, &key), "{}", String::from_utf8_lossy(&changed));
    }

    /// What a reader sees cannot be said a second time, wherever it stands and whether or not it stood there before.
    #[test]
    fn a_second_field_that_readers_see_breaks_the_signature(
        there in prop::sample::subsequence(vec!["Subject", "To", "Date", "Reply-To", "X-Other"], 0..=5),
        added in prop::sample::select(vec!["From", "Subject", "To", "Date", "Reply-To"]),
        value in "[a-zA-Z0-9@.]{1,30}",
        lower in any::<bool>(),
        at: prop::sample::Index,
    ) {
        let key = generate(Algorithm::Ed25519Sha256).unwrap();
        let fields: String = there.iter().map(|name| format!("{name}: as sent\r\n")).collect();
        let raw = String::from_utf8(signed(&key, &format!("From: a@b.example\r\n{fields}\r\nbody\r\n"))).unwrap();
        prop_assert!(verify(raw.as_bytes(), &key));
        // Before any field of the header, or at its end.
        let header_end = raw.find("\r\n\r\n").unwrap() + 2;
        let is_field = |at: &usize| raw[..*at].ends_with("\r\n") && !raw[*at..].starts_with([' ', '\t']);
        let places: Vec<usize> =
            (0..=header_end).filter(|at| *at == 0 || raw.is_char_boundary(*at) && is_field(at)).collect();
        let at = places[at.index(places.len())];
        let name = if lower { added.to_lowercase() } else { added.to_owned() };
        let changed = format!("{}{name}: {value}\r\n{}", &raw[..at], &raw[at..]);
        prop_assert!(!verify(changed.as_bytes(), &key), "{changed}");
    }
}
