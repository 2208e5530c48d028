//! Serving HTTP: connections, and stopping without cutting off requests.

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until `stop`, then lets requests that have begun come to their end.
pub async fn serve(socket: TcpListener, router: Router, stop: CancellationToken) {
    // Answers are written whole, so there is nothing to wait for.
    let socket = socket.tap_io(|stream| drop(stream.set_nodelay(true)));
    let serving = axum::serve(socket, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "interface ended");
    }
}
