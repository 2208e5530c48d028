//! What becomes of a connection by what the client sends first.

use axum::extract::State;
use axum::routing::any;
use postfleet_api::serve;
use postfleet_core::UnixMicros;
use postfleet_net::{Clock, SimulatedClock};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than a client may take to begin.
const TOO_LONG: Duration = Duration::from_secs(76);

struct Server {
    address: SocketAddr,
    clock: SimulatedClock,
    stop: CancellationToken,
    task: JoinHandle<()>,
    slow: Arc<Slow>,
}

/// A request that is answered when it may be.
#[derive(Default)]
struct Slow {
    begun: Notify,
    may_end: Notify,
}

impl Server {
    async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("socket");
        let (address, stop) = (socket.local_addr().expect("address"), CancellationToken::new());
        let clock = SimulatedClock::stopped_at(UnixMicros::from_micros(0));
        let slow = Arc::new(Slow::default());
        let router = axum::Router::new().route("/slow", any(answer_slowly)).fallback(async || "answered");
        let router = router.with_state(slow.clone());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let task = tokio::spawn(serve(socket, router, shared, 2, stop.clone()));
        Self { address, clock, stop, task, slow }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connection")
    }
}

async fn answer_slowly(State(slow): State<Arc<Slow>>) -> &'static str {
    slow.begun.notify_one();
    slow.may_end.notified().await;
    "answered"
}

/// What comes until there is as much, or until the end.
async fn read(client: &mut TcpStream, least: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < least {
        let mut piece = [0; 1024];
        match client.read(&mut piece).await {
            Ok(0) => break,
            Ok(count) => read.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    read
}

#[tokio::test]
async fn every_version_is_spoken_by_its_first_octets() {
    let server = Server::start().await;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat();
    for (name, sent, starts) in [
        ("GET", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".as_slice(), b"HTTP/1.1 200 OK\r\n".as_slice()),
        (
            "POST, which begins as HTTP/2 does",
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
        ),
        // The length of its settings is its own affair; their type is not.
        ("HTTP/2", &preface, b"\0\0"),
        ("nothing of the kind", b"\0", b"HTTP/1.1 400 Bad Request\r\n"),
    ] {
        for piece in [1, sent.len()] {
            let mut client = server.connect().await;
            for octets in sent.chunks(piece) {
                client.write_all(octets).await.expect("sent");
                tokio::task::yield_now().await;
            }
            let answer = read(&mut client, 9).await;
            assert!(answer.starts_with(starts), "{name} in pieces of {piece}: {:?}", String::from_utf8_lossy(&answer));
            if name == "HTTP/2" {
                assert_eq!(answer[3], 4, "settings come first: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn who_sends_nothing_is_let_go() {
    let server = Server::start().await;
    // They have all places: the third is served when they are gone.
    let mut silent = [server.connect().await, server.connect().await];
    let mut third = server.connect().await;
    third.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
    server.clock.until_sleeping(2).await;
    server.clock.advance(TOO_LONG);
    assert!(read(&mut third, 9).await.starts_with(b"HTTP/1.1 200 OK"));
    for client in &mut silent {
        assert_eq!(read(client, 1).await, b"");
    }
}

#[tokio::test]
async fn a_stop_waits_for_nobody_who_sends_nothing() {
    let server = Server::start().await;
    let mut silent = server.connect().await;
    let mut heard = server.connect().await;
    heard.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
    assert!(read(&mut heard, 9).await.starts_with(b"HTTP/1.1 200 OK"));
    server.stop.cancel();
    server.task.await.expect("server");
    assert_eq!(read(&mut silent, 1).await, b"");
}

#[tokio::test]
async fn what_has_begun_is_answered_after_a_stop_and_nothing_more() {
    for request in
        ["GET /slow HTTP/1.1\r\nhost: a\r\n\r\n", "POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"]
    {
        let server = Server::start().await;
        let mut client = server.connect().await;
        client.write_all(request.as_bytes()).await.expect("sent");
        server.slow.begun.notified().await;
        server.stop.cancel();
        tokio::task::yield_now().await;
        assert!(!server.task.is_finished());
        server.slow.may_end.notify_one();
        let answer = read(&mut client, usize::MAX).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 OK") && answer.ends_with(b"answered"));
        server.task.await.expect("server");
    }
}
