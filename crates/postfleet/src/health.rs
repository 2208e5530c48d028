//! Whether the node is fit to be sent requests.

use crate::accounts;
use crate::telemetry::Meters;
use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_api::Health;
use postfleet_net::Clock;
use postfleet_store::Store;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Answers by trying the store.
pub struct NodeHealth {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub meters: Meters,
    /// Whether there are metrics of each mailbox.
    pub by_account: bool,
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

    fn metrics(&self) -> BoxFuture<'_, String> {
        async {
            let mut text = self.meters.text();
            if self.by_account {
                match accounts::text(&self.store, self.clock.now().day(), accounts::ACCOUNTS_MAX).await {
                    Ok(more) => text.push_str(&more),
                    Err(error) => tracing::warn!("failed to read what mailboxes use for the metrics: {error}"),
                }
            }
            text
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_testkit::world::{NewTenant, World};

    fn health(world: &World, by_account: bool) -> NodeHealth {
        let (store, clock) = (world.platform.store.clone(), world.platform.clock.clone());
        NodeHealth { store, clock, meters: Meters::new().unwrap(), by_account, stop: CancellationToken::new() }
    }

    #[tokio::test]
    async fn what_each_mailbox_uses_is_among_the_metrics_where_that_is_wanted() {
        let world = World::new().await;
        let tenant = world.tenant(NewTenant::of("acme.test")).await;
        let busy = world.mailbox(&tenant, "busy").await.id;
        world.mailbox(&tenant, "idle").await;
        for _ in 0..2 {
            world.receive("a@sender.test", "busy@acme.test", "Subject: x\r\n\r\nHello").await.unwrap();
        }
        let health = health(&world, true);
        let value = |text: &str, name: &str, email: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")) && line.contains(email));
            line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        };
        let text = health.metrics().await;
        let of = |email| {
            ["sends_today", "received_today"].map(|name| value(&text, &format!("postfleet_account_{name}"), email))
        };
        assert_eq!(of("busy@acme.test"), [Some(0), Some(2)]);
        assert_eq!(of("idle@acme.test"), [Some(0), Some(0)]);
        assert!(text.contains(&format!("grant=\"{busy}\"")), "{text}");
        let kept = |text: &str| value(text, "postfleet_account_storage_bytes", "busy@acme.test");
        assert!(kept(&text) > Some(0), "{text}");
        // The day ends: what came in begins anew, and what is kept stays.
        world.advance(86_400);
        let next = health.metrics().await;
        assert_eq!(
            (value(&next, "postfleet_account_received_today", "busy@acme.test"), kept(&next)),
            (Some(0), kept(&text))
        );
    }

    #[tokio::test]
    async fn without_being_asked_for_there_are_no_metrics_by_mailbox_and_never_of_more_than_so_many() {
        let world = World::new().await;
        let tenant = world.tenant(NewTenant::of("acme.test")).await;
        for name in ["first", "second", "third"] {
            // Ids are in the order of time.
            world.advance(1);
            world.mailbox(&tenant, name).await;
        }
        assert!(!health(&world, false).metrics().await.contains("postfleet_account_"));
        let text = accounts::text(&world.platform.store, world.platform.clock.now().day(), 2).await.unwrap();
        let shown = |name: &str| text.contains(&format!("{name}@acme.test"));
        assert_eq!([shown("first"), shown("second"), shown("third")], [true, true, false]);
    }
}
