//! Serving HTTP: bounded connections, a deadline for request heads, and stopping without cutting off requests.

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use postfleet_core::UnixMicros;
use postfleet_net::Clock;
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take to send the head of a request, so that slow ones do not hold all connections; and so how
/// long a connection is kept that nobody uses. Longer than the minute for which clients usually keep theirs, so that none
/// sends a request into a connection that is just being closed.
const HEAD_DEADLINE: Duration = Duration::from_secs(75);

/// How long nothing is accepted after a failure to.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets requests that have begun come to their end. So many `connections` at once; more wait to be
/// accepted.
pub async fn serve(
    socket: TcpListener,
    router: Router,
    clock: Arc<dyn Clock>,
    connections: usize,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(connections));
    let open = TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // The semaphore is never closed.
                let place = Connected(place.ok().map(Arc::new));
                let until =
                    Until { stop: stop.clone(), clock: clock.clone(), deadline: clock.now().plus(HEAD_DEADLINE) };
                open.spawn(connection(stream, (peer, router.clone(), place), until));
            }
            // Out of file descriptors, most likely: others must close before it gets better.
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                clock.sleep_until(clock.now().plus(AFTER_FAILURE)).await;
            }
        }
    }
    drop(socket);
    open.close();
    open.wait().await;
}

/// A connection's place among all of them. What takes the connection over takes the place along.
#[derive(Clone)]
pub(crate) struct Connected(
    #[expect(dead_code, reason = "it is given back when it is dropped")] Option<Arc<OwnedSemaphorePermit>>,
);

/// Octets of a connection that are read or written ahead: as many as the head of a request may have. A client that takes an
/// answer slowly is given the next piece when it has taken what is before it.
const AHEAD_OCTETS_MAX: usize = 64 << 10;

/// Who is at the other end of a connection, what answers, and the place that the connection takes.
type Served = (SocketAddr, Router, Connected);

/// Serves a client when it speaks. In a box, as the room of a task is rounded up.
fn connection(stream: TcpStream, served: Served, until: Until) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        // Answers are written whole, so there is nothing to wait for.
        drop(stream.set_nodelay(true));
        let stop = until.stop.clone();
        match first_octet(&stream, until).await {
            None => {}
            // In a box of its own, as it takes more room than most need.
            Some(HTTP2_BEGINS) => Box::pin(any_version(stream, served, stop)).await,
            Some(_) => http1_alone(stream, served, stop).await,
        }
    })
}

/// How long the first octet of a client is waited for.
struct Until {
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
    deadline: UnixMicros,
}

/// The first octet that the client sends, which is not taken; `None` if it sends none in time.
async fn first_octet(stream: &TcpStream, until: Until) -> Option<u8> {
    let mut first = [0];
    let peeked = tokio::select! {
        () = until.stop.cancelled() => return None,
        () = until.clock.sleep_until(until.deadline) => return None,
        peeked = stream.peek(&mut first) => peeked.ok()?,
    };
    (peeked == 1).then_some(first[0])
}

/// The first octet of a client that speaks HTTP/2 (RFC 9113 §3.4), or posts.
const HTTP2_BEGINS: u8 = b'P';

/// Speaks HTTP/2 if the client begins so, or else HTTP/1.1. What is read to find out doubles the room that is kept for reading, for as
/// long as the connection is open.
async fn any_version(stream: TcpStream, served: Served, stop: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(AHEAD_OCTETS_MAX);
    let open = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), answers(served)));
    let ended = until_stopped(open, |open| open.graceful_shutdown(), stop).await;
    ended.unwrap_or_else(|error| broke_off(&*error));
}

/// Speaks HTTP/1.1 with a client that cannot mean anything else: with most streams, of which there are many at once.
async fn http1_alone(stream: TcpStream, served: Served, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(AHEAD_OCTETS_MAX);
    let open = pin!(builder.serve_connection(TokioIo::new(stream), answers(served)).with_upgrades());
    let ended = until_stopped(open, |open| open.graceful_shutdown(), stop).await;
    ended.unwrap_or_else(|error| broke_off(&error));
}

/// Serves to the end; from `stop` on that is when what has begun is answered.
async fn until_stopped<C: Future>(
    mut open: Pin<&mut C>,
    finish: fn(Pin<&mut C>),
    stop: CancellationToken,
) -> C::Output {
    tokio::select! {
        ended = open.as_mut() => return ended,
        () = stop.cancelled() => finish(open.as_mut()),
    }
    open.await
}

/// What answers requests. Who is at the other end is put into each request here: a layer before the routes would cost every connection
/// more.
fn answers(
    (peer, router, place): Served,
) -> impl Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = Infallible,
    Future = impl Future<Output = Result<axum::response::Response, Infallible>> + Send + 'static,
> {
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(place.clone());
        TowerToHyperService::new(router.clone()).call(request)
    })
}

/// A client that goes away in the middle is no event worth a line.
fn broke_off(error: &dyn Error) {
    tracing::trace!(%error, "connection broke off");
}
