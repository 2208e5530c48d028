//! Whether the node is fit to be sent requests.

use crate::telemetry::Meters;
use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_api::Health;
use postfleet_store::Store;
use tokio_util::sync::CancellationToken;

/// Answers by trying the store.
pub struct NodeHealth {
    pub store: Store,
    pub meters: Meters,
    pub stop: CancellationToken,
}

impl Health for NodeHealth {
    fn not_ready(&self) -> BoxFuture<'_, Option<String>> {
        async move {
            if self.stop.is_cancelled() {
                return Some("the server is stopping".to_owned());
            }
            self.store.probe().await.err().map(|error| error.to_string())
        }
        .boxed()
    }

    fn metrics(&self) -> String {
        self.meters.text()
    }
}
