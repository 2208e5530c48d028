//! The transport against servers on loopback: our own session, and scripted ones that misbehave.

use super::*;
use crate::tls::{TlsIdentity, server_config};
use postfleet_core::{EmailAddress, ReversePath};
use postfleet_wire::smtp::Reply;
use postfleet_wire::smtp::server;
use rustls::HandshakeKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How a server misbehaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    /// Never says a word.
    Silent,
    /// Does not offer TLS.
    NoTls,
    /// Does TLS before anything else.
    Implicit,
    /// Agrees to TLS and then hangs up.
    HangsUpOnTls,
    /// Agrees to TLS and then says nothing.
    SilentInTls,
    /// Does TLS and hangs up.
    HangsUpAfterTls,
    /// Does not answer STARTTLS, and hangs up.
    HangsUpOnStartTls,
    /// Closes the connection after each message.
    OneMessage,
    /// Takes the message and closes without an answer.
    NoAnswer,
    /// Says that it closes, once it has had a message.
    ClosesWhenIdle,
}

struct Peer {
    target: Target,
    connections: Arc<AtomicUsize>,
    messages: Arc<AtomicUsize>,
    /// Where connections came from.
    clients: Arc<Mutex<Vec<IpAddr>>>,
    handshakes: Handshakes,
    certificate: CertificateDer<'static>,
}

/// How handshakes were done.
type Handshakes = Arc<Mutex<Vec<HandshakeKind>>>;

async fn peer(manner: Manner, tls: TlsRule) -> Peer {
    let data_dir = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::load_or_create(data_dir.path(), &["mx.example".to_owned()]).unwrap();
    peer_with(manner, tls, &identity).await
}

async fn peer_with(manner: Manner, tls: TlsRule, identity: &TlsIdentity) -> Peer {
    let acceptor = TlsAcceptor::from(server_config(identity).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap(), "mx.example", tls);
    let (connections, messages) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (connections.clone(), messages.clone());
    let clients: Arc<Mutex<Vec<IpAddr>>> = Arc::default();
    let seen = clients.clone();
    let handshakes = Handshakes::default();
    let done = handshakes.clone();
    tokio::spawn(async move {
        while let Ok((stream, client)) = listener.accept().await {
            seen.lock().unwrap().push(client.ip());
            counters.0.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(accept(stream, acceptor.clone(), manner, counters.1.clone(), done.clone()));
        }
    });
    Peer { target, connections, messages, clients, handshakes, certificate: identity.chain()[0].clone() }
}

async fn accept(
    mut stream: TcpStream,
    acceptor: TlsAcceptor,
    manner: Manner,
    messages: Arc<AtomicUsize>,
    handshakes: Handshakes,
) {
    if manner == Manner::Silent {
        return std::future::pending().await;
    }
    let starttls = !matches!(manner, Manner::NoTls | Manner::Implicit);
    let config = server::Config {
        service: server::Service::Mx,
        hostname: "mx.example".into(),
        limits: server::Limits::default(),
        starttls,
    };
    let mut session = server::Session::new(Arc::new(config), manner == Manner::Implicit);
    if manner == Manner::Implicit {
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        talk(&mut stream, &mut session, manner, &messages).await;
        return;
    }
    if talk(&mut stream, &mut session, manner, &messages).await && manner != Manner::HangsUpOnTls {
        if manner == Manner::SilentInTls {
            return std::future::pending().await;
        }
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        if manner == Manner::HangsUpAfterTls {
            return;
        }
        handshakes.lock().unwrap().extend(stream.get_ref().1.handshake_kind());
        session.tls_started();
        talk(&mut stream, &mut session, manner, &messages).await;
    }
}

/// Whether TLS is to be started.
async fn talk(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    session: &mut server::Session,
    manner: Manner,
    messages: &AtomicUsize,
) -> bool {
    let mut octets = [0; 65_536];
    loop {
        let step = session.step();
        if step == server::Step::StartTls && manner == Manner::HangsUpOnStartTls {
            return false;
        }
        if stream.write_all(&session.take_output()).await.and(stream.flush().await).is_err() {
            return false;
        }
        match step {
            server::Step::NeedInput if manner == Manner::OneMessage && messages.load(Ordering::Relaxed) > 0 => {
                messages.store(0, Ordering::Relaxed);
                return false;
            }
            server::Step::NeedInput if manner == Manner::ClosesWhenIdle && messages.swap(0, Ordering::Relaxed) > 0 => {
                session.timed_out();
            }
            server::Step::NeedInput => match stream.read(&mut octets).await {
                Ok(count) if count > 0 => session.feed(&octets[..count]),
                _ => return false,
            },
            server::Step::Authenticate(_) | server::Step::Sender => unreachable!("servers do not sign in"),
            server::Step::Recipient(address) => session.recipient_verdict(match address.local() {
                "unknown" => Err(postfleet_wire::smtp::problem::reply_for(postfleet_core::ProblemKind::NotFound)),
                _ => Ok(()),
            }),
            server::Step::Message(..) => {
                messages.fetch_add(1, Ordering::Relaxed);
                if manner == Manner::NoAnswer {
                    return false;
                }
                session.message_verdict(Reply::accepted("m1"));
            }
            server::Step::StartTls => return true,
            server::Step::Close => return false,
        }
    }
}

fn transport(change: impl FnOnce(&mut MxTransportConfig)) -> MxTransport {
    let mut config = MxTransportConfig::new("c.example");
    change(&mut config);
    MxTransport::new(config, &[])
}

/// Trusts the certificate of a server.
fn trusting(peer: &Peer) -> MxTransport {
    MxTransport::new(MxTransportConfig::new("c.example"), std::slice::from_ref(&peer.certificate))
}

fn transaction(recipient: &str) -> Transaction {
    Transaction {
        reverse_path: ReversePath::Null,
        recipients: vec![EmailAddress::parse(recipient).unwrap()],
        message: vec![Arc::new(b"Subject: x\r\n\r\n".to_vec()), Arc::new(b"y\r\n".repeat(50_000))],
        smtputf8: false,
        eight_bit: false,
    }
}

async fn deliver(transport: &MxTransport, target: &Target) -> String {
    short(transport.deliver(target, transaction("b@mx.example")).await.recipients)
}

fn short(outcomes: Vec<RecipientOutcome>) -> String {
    match &outcomes[0].result {
        RecipientResult::Accepted(reply) => format!("accepted {}", reply.code()),
        RecipientResult::Transient(reply) => format!("transient {}", reply.code()),
        RecipientResult::Permanent(reply) => format!("permanent {}", reply.code()),
        RecipientResult::Lost { during, ambiguous, .. } => format!("lost during {during}, {ambiguous}"),
    }
}

fn cause(outcomes: &[RecipientOutcome]) -> &str {
    match &outcomes[0].result {
        RecipientResult::Lost { cause, .. } => cause,
        result => panic!("{result:?}"),
    }
}

#[tokio::test]
async fn one_connection_for_several_messages() {
    for tls in [TlsRule::Opportunistic, TlsRule::Never] {
        let peer = peer(Manner::Good, tls).await;
        let transport = transport(|_| {});
        for _ in 0..3 {
            assert_eq!(deliver(&transport, &peer.target).await, "accepted 250");
        }
        assert_eq!(peer.messages.load(Ordering::Relaxed), 3);
        assert_eq!(peer.connections.load(Ordering::Relaxed), 1);
        // Another policy is another connection.
        let other = Target { host_name: "other.example".into(), ..peer.target.clone() };
        assert_eq!(deliver(&transport, &other).await, "accepted 250");
        assert_eq!(peer.connections.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_refused_recipient_leaves_the_connection_usable_or_closed() {
    let peer = peer(Manner::Good, TlsRule::Opportunistic).await;
    let transport = transport(|_| {});
    let refused = transport.deliver(&peer.target, transaction("unknown@mx.example")).await.recipients;
    assert_eq!(short(refused), "permanent 550");
    assert_eq!(deliver(&transport, &peer.target).await, "accepted 250");
}

#[tokio::test]
async fn a_connection_has_its_share_of_messages() {
    let peer = peer(Manner::Good, TlsRule::Never).await;
    let transport = transport(|config| config.transactions_max = 2);
    for connections in [1, 1, 2, 2, 3] {
        assert_eq!(deliver(&transport, &peer.target).await, "accepted 250");
        assert_eq!(peer.connections.load(Ordering::Relaxed), connections);
    }
}

#[tokio::test]
async fn unused_connections_are_closed() {
    let peer = peer(Manner::Good, TlsRule::Never).await;
    let transport = transport(|config| config.idle_max = Duration::ZERO);
    for connections in [1, 2] {
        assert_eq!(deliver(&transport, &peer.target).await, "accepted 250");
        assert_eq!(peer.connections.load(Ordering::Relaxed), connections);
    }
    transport.close_idle();
    assert!(transport.idle().is_empty());
    let none_kept = self::transport(|config| config.idle_connections_max = 0);
    assert_eq!(deliver(&none_kept, &peer.target).await, "accepted 250");
    assert!(none_kept.idle().is_empty());
}

#[tokio::test]
async fn a_dead_connection_costs_no_delivery() {
    for manner in [Manner::OneMessage, Manner::ClosesWhenIdle] {
        for tls in [TlsRule::Opportunistic, TlsRule::Never] {
            let peer = peer(manner, tls).await;
            let transport = transport(|_| {});
            for connections in 1..6 {
                assert_eq!(deliver(&transport, &peer.target).await, "accepted 250");
                assert_eq!(peer.connections.load(Ordering::Relaxed), connections);
            }
        }
    }
}

#[tokio::test]
async fn a_missing_answer_is_ambiguous_and_not_tried_again() {
    let peer = peer(Manner::NoAnswer, TlsRule::Opportunistic).await;
    assert_eq!(deliver(&transport(|_| {}), &peer.target).await, "lost during end of message, true");
    assert_eq!(peer.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn required_encryption_verifies_the_certificate() {
    let peer = peer(Manner::Good, TlsRule::Verified).await;
    assert_eq!(deliver(&transport(|_| {}), &peer.target).await, "lost during TLS handshake, false");
    assert_eq!(peer.connections.load(Ordering::Relaxed), 1);

    let trusting = trusting(&peer);
    assert_eq!(deliver(&trusting, &peer.target).await, "accepted 250");
    let other = Target { host_name: "other.example".into(), ..peer.target.clone() };
    assert_eq!(deliver(&trusting, &other).await, "lost during TLS handshake, false");
}

#[tokio::test]
async fn mail_goes_in_the_clear_where_tls_does_not_work_and_is_not_required() {
    for (manner, during) in [(Manner::HangsUpOnTls, "TLS handshake"), (Manner::HangsUpOnStartTls, "STARTTLS")] {
        let peer = peer(manner, TlsRule::Opportunistic).await;
        let transport = transport(|_| {});
        assert_eq!(deliver(&transport, &peer.target).await, "accepted 250");
        assert_eq!(peer.connections.load(Ordering::Relaxed), 2);
        let required = Target { tls: TlsRule::Verified, ..peer.target.clone() };
        let handed_over = transport.deliver(&required, transaction("b@mx.example")).await;
        assert!(handed_over.tls.is_some_and(|session| session.result.is_err()), "{during}");
        assert_eq!(short(handed_over.recipients), format!("lost during {during}, false"));
    }
}

/// TLS 1.3 is done for the client before the server has looked at all that it was sent.
#[tokio::test]
async fn mail_goes_in_the_clear_where_a_server_hangs_up_after_the_handshake() {
    let certified = certified("mx.example", false);
    let peer = peer_with(Manner::HangsUpAfterTls, TlsRule::Opportunistic, &certified.identity).await;
    assert_eq!(deliver(&transport(|_| {}), &peer.target).await, "accepted 250");
    assert_eq!(peer.connections.load(Ordering::Relaxed), 2);
    let required = Target { tls: TlsRule::Encrypted, ..peer.target.clone() };
    assert_eq!(deliver(&transport(|_| {}), &required).await, "lost during EHLO, false");
}

#[tokio::test]
async fn one_deadline_holds_for_all_connections_of_a_delivery() {
    let short = Duration::from_millis(200);
    let transport = transport(|config| config.transaction_timeout = short);
    for tls in [TlsRule::Encrypted, TlsRule::Opportunistic] {
        let peer = peer(Manner::SilentInTls, tls).await;
        let began = Instant::now();
        let outcomes = transport.deliver(&peer.target, transaction("b@mx.example")).await.recipients;
        assert!(began.elapsed() < transport.config.connect_timeout, "the shorter one counts");
        assert!(cause(&outcomes).ends_with(": no answer within 200ms (transaction deadline)"), "{}", cause(&outcomes));
        assert_eq!(peer.messages.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn deadlines_say_whose_they_are() {
    let peer = peer(Manner::Silent, TlsRule::Never).await;
    let short = Duration::from_millis(20);
    let by_command = transport(|config| config.command_timeout = short);
    let outcomes = by_command.deliver(&peer.target, transaction("b@mx.example")).await.recipients;
    assert_eq!(cause(&outcomes), "greeting: no answer within 20ms (command deadline)");
    let by_transaction = transport(|config| config.transaction_timeout = short);
    let outcomes = by_transaction.deliver(&peer.target, transaction("b@mx.example")).await.recipients;
    assert_eq!(cause(&outcomes), "greeting: no answer within 20ms (transaction deadline)");
}

#[tokio::test]
async fn no_server_at_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let target = Target::new(address, "mx.example", TlsRule::Never);
    assert_eq!(deliver(&transport(|_| {}), &target).await, "lost during connect, false");
}

/// A server's certificate by an authority of the test's own.
struct Certified {
    identity: TlsIdentity,
    authority: CertificateDer<'static>,
    server_key: Vec<u8>,
    authority_key: Vec<u8>,
}

fn certified(name: &str, is_over: bool) -> Certified {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if is_over {
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
    }
    let server = params.signed_by(&key, &authority).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (chain, pem) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, format!("{}{}", server.pem(), authority.pem())).unwrap();
    std::fs::write(&pem, key.serialize_pem()).unwrap();
    Certified {
        identity: TlsIdentity::load(&chain, &pem).unwrap(),
        authority: authority.der().clone().into_owned(),
        server_key: key.subject_public_key_info(),
        authority_key: authority.key().subject_public_key_info(),
    }
}

/// The rule that the DNS makes of a public key.
fn dane(usage: u8, key: &[u8]) -> TlsRule {
    let record = crate::tls::Tlsa { usage, selector: 1, matching: 0, data: key.to_vec() };
    TlsRule::Dane { records: [record].into(), names: ["mx.example".to_owned()].into() }
}

/// What becomes of a message, and what was seen of encryption.
async fn outcome(transport: &MxTransport, target: &Target) -> (String, String) {
    let handed_over = transport.deliver(target, transaction("b@mx.example")).await;
    let seen = match handed_over.tls.map(|tls| tls.result) {
        None => "nothing".to_owned(),
        Some(Ok(())) => "well".to_owned(),
        Some(Err(failure)) => failure.fault.name().to_owned(),
    };
    (short(handed_over.recipients), seen)
}

#[tokio::test]
async fn each_rule_takes_the_certificates_that_it_should() {
    const TAKEN: &str = "accepted 250";
    const REFUSED: &str = "lost during TLS handshake, false";
    for (name, is_over, is_trusted, fault) in [
        ("mx.example", false, true, None),
        ("other.example", false, true, Some("certificate-host-mismatch")),
        ("mx.example", true, true, Some("certificate-expired")),
        ("mx.example", false, false, Some("certificate-not-trusted")),
    ] {
        let certified = certified(name, is_over);
        let roots = if is_trusted { vec![certified.authority.clone()] } else { Vec::new() };
        let transport = MxTransport::new(MxTransportConfig::new("c.example"), &roots);
        let peer = peer_with(Manner::Good, TlsRule::Opportunistic, &certified.identity).await;
        let by_authority = if is_trusted { fault } else { None };
        for (rule, taken, seen) in [
            (TlsRule::Opportunistic, true, None),
            (TlsRule::Encrypted, true, None),
            // On trial: delivered, and told.
            (TlsRule::Watched, true, fault),
            (TlsRule::Verified, fault.is_none(), fault),
            (dane(3, &certified.server_key), true, None),
            (dane(3, &certified.authority_key), false, Some("certificate-not-trusted")),
            (dane(2, &certified.authority_key), by_authority.is_none(), by_authority),
            (dane(2, &certified.server_key), false, Some("certificate-not-trusted")),
        ] {
            let before = peer.connections.load(Ordering::Relaxed);
            let target = Target { tls: rule.clone(), ..peer.target.clone() };
            let expected = (if taken { TAKEN } else { REFUSED }.to_owned(), seen.unwrap_or("well").to_owned());
            assert_eq!(outcome(&transport, &target).await, expected, "{name} {is_over} {is_trusted} {rule:?}");
            // A refused certificate is not gone around in the clear, and a connection serves its own rule alone.
            assert_eq!(peer.connections.load(Ordering::Relaxed), before + 1, "{rule:?}");
        }
    }
}

#[tokio::test]
async fn a_rule_is_not_given_up_where_tls_is_missing_or_broken() {
    let certified = certified("mx.example", false);
    let transport = MxTransport::new(MxTransportConfig::new("c.example"), std::slice::from_ref(&certified.authority));
    let rules = [TlsRule::Encrypted, TlsRule::Verified, dane(3, &certified.server_key)];
    let missing = peer_with(Manner::NoTls, TlsRule::Opportunistic, &certified.identity).await;
    let broken = peer_with(Manner::HangsUpOnTls, TlsRule::Opportunistic, &certified.identity).await;
    for rule in rules {
        let target = |peer: &Peer| Target { tls: rule.clone(), ..peer.target.clone() };
        let (taken, seen) = outcome(&transport, &target(&missing)).await;
        assert_eq!((taken.as_str(), seen.as_str()), ("lost during STARTTLS, false", "starttls-not-supported"));
        let (taken, seen) = outcome(&transport, &target(&broken)).await;
        assert_eq!((taken.as_str(), seen.as_str()), ("lost during TLS handshake, false", "validation-failure"));
    }
    assert_eq!((missing.messages.load(Ordering::Relaxed), broken.messages.load(Ordering::Relaxed)), (0, 0));
    for rule in [TlsRule::Opportunistic, TlsRule::Watched] {
        let target = |peer: &Peer| Target { tls: rule.clone(), ..peer.target.clone() };
        let seen = outcome(&transport, &target(&missing)).await;
        assert_eq!(seen, ("accepted 250".to_owned(), "starttls-not-supported".to_owned()));
        assert_eq!(outcome(&transport, &target(&missing)).await.1, "nothing", "one connection is seen once");
        let seen = outcome(&transport, &target(&broken)).await;
        assert_eq!(seen, ("accepted 250".to_owned(), "validation-failure".to_owned()));
    }
}

#[tokio::test]
async fn encryption_from_the_first_octet() {
    let certified = certified("mx.example", false);
    let peer = peer_with(Manner::Implicit, TlsRule::Implicit, &certified.identity).await;
    let trusting = MxTransport::new(MxTransportConfig::new("c.example"), std::slice::from_ref(&certified.authority));
    assert_eq!(outcome(&trusting, &peer.target).await, ("accepted 250".to_owned(), "well".to_owned()));
    let distrusting = transport(|_| {});
    let (taken, seen) = outcome(&distrusting, &peer.target).await;
    assert_eq!((taken.as_str(), seen.as_str()), ("lost during TLS handshake, false", "certificate-not-trusted"));
}

#[tokio::test]
async fn connections_come_from_their_source_and_are_not_shared_with_another() {
    let peer = peer(Manner::Good, TlsRule::Never).await;
    let transport = transport(|_| {});
    let from = |last: u8, helo: &str| {
        let source = Source { address: IpAddr::from([127, 0, 0, last]), helo: helo.to_owned() };
        Target { source: Some(source), ..peer.target.clone() }
    };
    for target in [from(2, "a.example"), from(3, "a.example"), from(3, "b.example"), from(2, "a.example")] {
        assert_eq!(deliver(&transport, &target).await, "accepted 250");
    }
    let clients: Vec<String> = peer.clients.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(clients, ["127.0.0.2", "127.0.0.3", "127.0.0.3"]);
    // An address that is not of this machine.
    let (taken, seen) = outcome(
        &transport,
        &Target {
            source: Some(Source { address: IpAddr::from([192, 0, 2, 1]), helo: "c.example".into() }),
            ..peer.target.clone()
        },
    )
    .await;
    assert_eq!((taken.as_str(), seen.as_str()), ("lost during connect, false", "nothing"));
}

/// One message on each connection, so that each has a handshake.
fn one_message_each(certified: &Certified) -> MxTransport {
    let config = MxTransportConfig { transactions_max: 1, ..MxTransportConfig::new("c.example") };
    MxTransport::new(config, std::slice::from_ref(&certified.authority))
}

impl Peer {
    /// Hands messages over by these rules, one after the other; how the handshakes went that came to their end.
    async fn handshakes_by(&self, transport: &MxTransport, rules: &[TlsRule]) -> Vec<HandshakeKind> {
        for rule in rules {
            let target = Target { tls: rule.clone(), ..self.target.clone() };
            assert_eq!(deliver(transport, &target).await, "accepted 250", "{rule:?}");
        }
        std::mem::take(&mut *self.handshakes.lock().unwrap())
    }
}

#[tokio::test]
async fn the_next_connection_to_a_server_resumes_the_session() {
    use HandshakeKind::{Full, Resumed};
    let certified = certified("mx.example", false);
    let peer = peer_with(Manner::Good, TlsRule::Never, &certified.identity).await;
    for rule in [
        TlsRule::Opportunistic,
        TlsRule::Encrypted,
        TlsRule::Verified,
        dane(3, &certified.server_key),
        TlsRule::Watched,
    ] {
        let transport = one_message_each(&certified);
        let kinds = peer.handshakes_by(&transport, &[rule.clone(), rule.clone(), rule.clone()]).await;
        assert_eq!(kinds, [Full, Resumed, Resumed], "{rule:?}");
    }
    // What the certificate of a resumed session is worth is still told.
    let transport = one_message_each(&certified);
    let watched = Target { tls: TlsRule::Watched, host_name: "other.example".into(), ..peer.target.clone() };
    for _ in 0..2 {
        assert_eq!(outcome(&transport, &watched).await.1, "certificate-host-mismatch");
    }
    assert_eq!(std::mem::take(&mut *peer.handshakes.lock().unwrap()), [Full, Resumed]);
}

#[tokio::test]
async fn no_session_is_resumed_where_more_was_demanded() {
    use HandshakeKind::{Full, Resumed};
    let certified = certified("mx.example", false);
    let peer = peer_with(Manner::Good, TlsRule::Never, &certified.identity).await;
    let transport = one_message_each(&certified);
    let (by_server, by_authority) = (dane(3, &certified.server_key), dane(2, &certified.authority_key));
    let rules =
        [TlsRule::Opportunistic, TlsRule::Verified, by_server.clone(), by_authority, by_server, TlsRule::Verified];
    assert_eq!(peer.handshakes_by(&transport, &rules).await, [Full, Full, Full, Full, Resumed, Resumed]);

    // Each is refused although a session with the server is remembered that was good enough for something else.
    let foreign = super::tests::certified("mx.example", false);
    let refused = [
        Target { tls: TlsRule::Verified, host_name: "other.example".into(), ..peer.target.clone() },
        Target { tls: dane(3, &foreign.server_key), ..peer.target.clone() },
        Target { tls: dane(2, &foreign.authority_key), ..peer.target.clone() },
    ];
    for target in refused {
        assert_eq!(deliver(&transport, &target).await, "lost during TLS handshake, false", "{:?}", target.tls);
    }
    let untrusting = one_message_each(&foreign);
    assert_eq!(peer.handshakes_by(&untrusting, &[TlsRule::Opportunistic]).await.len(), 1);
    let verified = Target { tls: TlsRule::Verified, ..peer.target.clone() };
    assert_eq!(deliver(&untrusting, &verified).await, "lost during TLS handshake, false");
}

/// Whoever is stopped while the envelope is on its way sends nothing of the message, and nothing is ambiguous about it.
#[tokio::test]
async fn a_message_that_may_not_leave_any_more_is_withheld_when_the_server_is_ready_for_it() {
    let peer = peer(Manner::Good, TlsRule::Opportunistic).await;
    let transport = transport(|_| {});
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let may_send: MaySend = Arc::new(move || counted.fetch_add(1, Ordering::Relaxed) > 0);
    let first = transport.deliver_if(&peer.target, transaction("b@mx.example"), &may_send).await;
    assert!(first.withheld);
    assert!(matches!(first.recipients[0].result, RecipientResult::Lost { ambiguous: false, .. }), "{first:?}");
    assert_eq!(peer.messages.load(Ordering::Relaxed), 0);
    let second = transport.deliver_if(&peer.target, transaction("b@mx.example"), &may_send).await;
    assert!(!second.withheld);
    assert_eq!(short(second.recipients), "accepted 250");
    assert_eq!((peer.messages.load(Ordering::Relaxed), asked.load(Ordering::Relaxed)), (1, 2));
}

/// A short message is ready to be written as a whole, with its end, by the time it is asked whether it may leave.
#[tokio::test]
async fn also_a_short_message_is_withheld() {
    let peer = peer(Manner::Good, TlsRule::Opportunistic).await;
    let transport = transport(|_| {});
    let short_one =
        || Transaction { message: vec![Arc::new(b"Subject: x\r\n\r\ny\r\n".to_vec())], ..transaction("b@mx.example") };
    let never: MaySend = Arc::new(|| false);
    for _ in 0..3 {
        assert!(transport.deliver_if(&peer.target, short_one(), &never).await.withheld);
    }
    assert_eq!(short(transport.deliver(&peer.target, short_one()).await.recipients), "accepted 250");
    assert_eq!(peer.messages.load(Ordering::Relaxed), 1, "nothing of those before has arrived");
}
