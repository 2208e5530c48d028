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
    use postfleet_core::id::{EventId, StopId};
    use postfleet_core::stop::{Kind, Scope};
    use postfleet_mail::Participant;
    use postfleet_mailflow::submit::{Outgoing, send};
    use postfleet_mailflow::{deliver, figures};
    use postfleet_store::organizations;
    use postfleet_store::stops::{RaiseStop, Within};
    use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer, SmtpMoment};
    use postfleet_testkit::world::{NewTenant, World, WorldOptions};

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

    #[tokio::test]
    async fn outcomes_refusals_and_who_sends_are_among_the_metrics() {
        let peer = FakeSmtp::start(|moment| match moment {
            SmtpMoment::Recipient("gone@sender.test") => SmtpAnswer::Say("550 5.1.1 no such user".into()),
            _ => SmtpAnswer::Good,
        })
        .await;
        let world = World::with(WorldOptions { mx_port: peer.address().port(), ..WorldOptions::default() }).await;
        let tenant = world.tenant(NewTenant::of("acme.test")).await;
        let agent = world.mailbox(&tenant, "agent").await;
        let health = health(&world, false);
        health.meters.observe(&world.platform.store);
        let mut platform = world.platform.clone();
        platform.metrics = health.meters.metrics();
        let outgoing = |to: &[&str]| Outgoing {
            to: to.iter().map(|email| Participant { name: String::new(), email: (*email).to_owned() }).collect(),
            body: "Hi".to_owned(),
            ..Outgoing::default()
        };
        let value = |text: &str, name: &str, labels: &[&str]| {
            let is_meant =
                |line: &&str| line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label));
            text.lines().find(is_meant).and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        };
        let outcome = |text: &str, outcome: &str, class: &str| {
            let labels = [format!("outcome=\"{outcome}\""), format!("bounce_class=\"{class}\"")];
            value(text, "postfleet_outcomes_total", &[&labels[0], &labels[1]])
        };
        assert_eq!(outcome(&health.metrics().await, "complaint", "none"), Some(0), "there before anything happens");

        send(&platform, &agent, outgoing(&["ada@sender.test", "gone@sender.test"])).await.unwrap();
        world.deliver_due().await;
        // Nobody writes twice to who is not there.
        send(&platform, &agent, outgoing(&["bob@sender.test", "gone@sender.test"])).await.unwrap();
        let now = platform.clock.now();
        let command = RaiseStop {
            id: StopId::new(now, platform.entropy.ten()),
            act: world.act(&tenant),
            event_id: EventId::new(now, platform.entropy.ten()),
            kind: Kind::Switch,
            scope: Scope::Grant,
            subject: agent.id.to_string(),
            within: Within::Operator(organizations::Scope::All),
            reason: "an incident".to_owned(),
            reference: None,
        };
        platform.store.run(command).await.unwrap();
        assert_eq!(send(&platform, &agent, outgoing(&["eve@sender.test"])).await.unwrap_err().code, "sending_paused");
        world.advance(10);
        while figures::sum_up_once(&platform).await.unwrap() {}
        figures::measure_once(&platform).await.unwrap();
        deliver::measure_once(&platform).await.unwrap();
        let text = health.metrics().await;
        let of = |name, class| outcome(&text, name, class);
        assert_eq!([of("accepted", "none"), of("delivered", "none")], [Some(3), Some(1)], "{text}");
        assert_eq!([of("bounced", "hard"), of("bounced", "soft")], [Some(1), Some(0)]);
        assert_eq!(of("rejected", "none"), Some(1));
        let refused = ["code=\"sending_paused\"", "scope=\"grant\"", "stop=\"switch\""];
        assert_eq!(value(&text, "postfleet_refusals_total", &refused), Some(1), "{text}");
        assert_eq!(value(&text, "postfleet_stops", &["kind=\"switch\""]), Some(1));
        assert_eq!(value(&text, "postfleet_stops", &["kind=\"pause\""]), Some(0));
        assert_eq!(value(&text, "postfleet_senders_last_day", &[]), Some(1));
        world.advance(2 * 86_400);
        figures::measure_once(&platform).await.unwrap();
        assert_eq!(value(&health.metrics().await, "postfleet_senders_last_day", &[]), Some(0));
    }
}
