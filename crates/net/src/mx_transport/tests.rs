//! The transport against servers on loopback: our own session, and scripted ones that misbehave.

use super::*;
use crate::tls::{TlsIdentity, client_config_opportunistic, client_config_with_roots, server_config};
use postfleet_core::{EmailAddress, ReversePath};
use postfleet_wire::smtp::Reply;
use postfleet_wire::smtp::server;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How a server misbehaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    /// Never says a word.
    Silent,
    /// Agrees to TLS and then hangs up.
    HangsUpOnTls,
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
    certificate: rustls::pki_types::CertificateDer<'static>,
    _data_dir: tempfile::TempDir,
}

async fn peer(manner: Manner, tls: TlsPolicy) -> Peer {
    let data_dir = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::load_or_create(data_dir.path(), &["mx.example".to_owned()]).unwrap();
    let acceptor = TlsAcceptor::from(server_config(&identity).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target { address: listener.local_addr().unwrap(), host_name: "mx.example".into(), tls };
    let (connections, messages) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (connections.clone(), messages.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counters.0.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(accept(stream, acceptor.clone(), manner, counters.1.clone()));
        }
    });
    Peer { target, connections, messages, certificate: identity.chain()[0].clone(), _data_dir: data_dir }
}

async fn accept(mut stream: TcpStream, acceptor: TlsAcceptor, manner: Manner, messages: Arc<AtomicUsize>) {
    if manner == Manner::Silent {
        return std::future::pending().await;
    }
    let config = server::Config { hostname: "mx.example".into(), limits: server::Limits::default(), starttls: true };
    let mut session = server::Session::new(Arc::new(config), false);
    if talk(&mut stream, &mut session, manner, &messages).await && manner != Manner::HangsUpOnTls {
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
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
    MxTransport::new(config, client_config_opportunistic(), Arc::new(client_config_with_roots(&[])))
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
    for tls in [TlsPolicy::Opportunistic, TlsPolicy::Never] {
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
    let peer = peer(Manner::Good, TlsPolicy::Opportunistic).await;
    let transport = transport(|_| {});
    let refused = transport.deliver(&peer.target, transaction("unknown@mx.example")).await.recipients;
    assert_eq!(short(refused), "permanent 550");
    assert_eq!(deliver(&transport, &peer.target).await, "accepted 250");
}

#[tokio::test]
async fn a_connection_has_its_share_of_messages() {
    let peer = peer(Manner::Good, TlsPolicy::Never).await;
    let transport = transport(|config| config.transactions_max = 2);
    for connections in [1, 1, 2, 2, 3] {
        assert_eq!(deliver(&transport, &peer.target).await, "accepted 250");
        assert_eq!(peer.connections.load(Ordering::Relaxed), connections);
    }
}

#[tokio::test]
async fn unused_connections_are_closed() {
    let peer = peer(Manner::Good, TlsPolicy::Never).await;
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
        for tls in [TlsPolicy::Opportunistic, TlsPolicy::Never] {
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
    let peer = peer(Manner::NoAnswer, TlsPolicy::Opportunistic).await;
    assert_eq!(deliver(&transport(|_| {}), &peer.target).await, "lost during end of message, true");
    assert_eq!(peer.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn required_encryption_verifies_the_certificate() {
    let peer = peer(Manner::Good, TlsPolicy::Required).await;
    assert_eq!(deliver(&transport(|_| {}), &peer.target).await, "lost during TLS handshake, false");
    assert_eq!(peer.connections.load(Ordering::Relaxed), 1);

    let trusting = Arc::new(client_config_with_roots(std::slice::from_ref(&peer.certificate)));
    let config = MxTransportConfig::new("c.example");
    let trusting = MxTransport::new(config, client_config_opportunistic(), trusting);
    assert_eq!(deliver(&trusting, &peer.target).await, "accepted 250");
    let other = Target { host_name: "other.example".into(), ..peer.target.clone() };
    assert_eq!(deliver(&trusting, &other).await, "lost during TLS handshake, false");
}

#[tokio::test]
async fn mail_goes_in_the_clear_where_tls_does_not_work_and_is_not_required() {
    let peer = peer(Manner::HangsUpOnTls, TlsPolicy::Opportunistic).await;
    let transport = transport(|_| {});
    assert_eq!(deliver(&transport, &peer.target).await, "accepted 250");
    assert_eq!(peer.connections.load(Ordering::Relaxed), 2);
    let required = Target { tls: TlsPolicy::Required, ..peer.target.clone() };
    assert_eq!(deliver(&transport, &required).await, "lost during TLS handshake, false");
}

#[tokio::test]
async fn deadlines_say_whose_they_are() {
    let peer = peer(Manner::Silent, TlsPolicy::Never).await;
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
    let target = Target { address, host_name: "mx.example".into(), tls: TlsPolicy::Never };
    assert_eq!(deliver(&transport(|_| {}), &target).await, "lost during connect, false");
}
