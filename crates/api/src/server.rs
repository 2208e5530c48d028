//! Serving HTTP: bounded connections, a deadline for request heads, and stopping without cutting off requests.

use axum::body::{Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use axum::{BoxError, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use postfleet_net::Clock;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service;

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
    let open = GracefulShutdown::new();
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
                let connection = connection(stream, OfPeer { router: router.clone(), peer }, &open);
                tokio::spawn(async move {
                    let _place = place;
                    connection.await;
                });
            }
            // Out of file descriptors, most likely: others must close before it gets better.
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                clock.sleep_until(clock.now().plus(AFTER_FAILURE)).await;
            }
        }
    }
    drop(socket);
    open.shutdown().await;
}

/// The routes, for the requests of one connection: each learns the address at its other end.
#[derive(Clone)]
struct OfPeer {
    router: Router,
    peer: SocketAddr,
}

impl<B> Service<Request<B>> for OfPeer
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        self.router.call(request)
    }
}

fn connection(stream: TcpStream, router: OfPeer, open: &GracefulShutdown) -> impl Future<Output = ()> + Send + 'static {
    // Answers are written whole, so there is nothing to wait for.
    drop(stream.set_nodelay(true));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router));
    let watched = open.watch(connection.into_owned());
    async move {
        // A client that goes away in the middle is no event worth a line.
        if let Err(error) = watched.await {
            tracing::trace!(%error, "connection broke off");
        }
    }
}
