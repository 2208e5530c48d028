//! How the receiver of a webhook stands, as its worker sees it: when that is to be written down, and that nothing is sent any
//! more to one that has failed.

use super::resume::ASK_EVERY;
use super::send::Outcome;
use crate::platform::Platform;
use postfleet_core::id::EventId;
use postfleet_core::readers::{Record, Standing};
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::standing::{ChangeStanding, Stands};
use postfleet_store::webhooks::{Channel, Webhook};
use std::time::Duration;

/// What a worker knows of it.
#[derive(Debug)]
pub(super) struct Watch {
    record: Record,
    /// How it stands, as far as the store knows.
    known: Standing,
    /// Since when: who has read the webhook before says nothing new.
    since: UnixMicros,
    is_writing: bool,
}

impl Watch {
    /// Of a webhook of which nearly nothing was taken for so long.
    pub(super) fn new(webhook: &Webhook, failing_for: Option<Duration>) -> Self {
        let known = Standing::named(&webhook.status).unwrap_or(Standing::Active);
        Self { record: Record::new(failing_for), known, since: webhook.status_updated_at, is_writing: false }
    }

    /// For how long nearly nothing was taken.
    pub(super) fn failing_for(&self) -> Option<Duration> {
        self.record.failing_for()
    }

    /// Whether it has failed: nothing more is sent to it.
    pub(super) fn has_failed(&self) -> bool {
        self.known == Standing::Failed
    }

    /// Takes up what came of an attempt.
    pub(super) fn hear(&mut self, outcome: Outcome, now: UnixMicros) {
        match outcome {
            Outcome::Done => self.record.taken(now),
            Outcome::Again { cause, .. } | Outcome::GivenUp(cause) => self.record.refused(cause, now),
        }
    }

    /// The subscriber has changed the webhook. Whether it was said to be well again, so that nothing counts that was before.
    pub(super) fn change(&mut self, webhook: &Webhook) -> bool {
        let is_news = !self.is_writing && webhook.status_updated_at >= self.since;
        let Some(known) = Standing::named(&webhook.status).filter(|_| is_news) else { return false };
        let is_new = known == Standing::Active && self.known != Standing::Active;
        if is_new {
            self.record = Record::default();
        }
        (self.known, self.since) = (known, webhook.status_updated_at);
        is_new
    }

    /// How it stands, if that is to be written down now. Alerts are told as long as there are any.
    pub(super) fn change_due(&mut self, webhook: &Webhook) -> Option<Standing> {
        let to = self.record.standing();
        let is_due = to != self.known && !self.is_writing && webhook.channel == Channel::Webhook;
        self.is_writing |= is_due;
        is_due.then_some(to)
    }

    /// That was written down, with this time.
    pub(super) fn written(&mut self, to: Standing, at: UnixMicros) {
        self.is_writing = false;
        (self.known, self.since) = (to, at);
    }
}

/// Writes down how a webhook stands that this node works for; answers since when.
pub(super) async fn write(platform: &Platform, webhook: &Webhook, to: Standing) -> Result<UnixMicros, Problem> {
    let stands = stands(platform, webhook, to);
    let (at, ask_at) = (stands.at, stands.at.plus(ASK_EVERY));
    let owner = platform.settings.node.clone();
    if platform.store.run(ChangeStanding { owner, stands, ask_at }).await? {
        tracing::warn!(webhook.id = %webhook.id, status = to.name(), "the status of a webhook has changed");
    }
    Ok(at)
}

/// A change of how a webhook stands, made now.
pub(super) fn stands(platform: &Platform, webhook: &Webhook, to: Standing) -> Stands {
    let at = platform.clock.now();
    Stands {
        id: webhook.id,
        to,
        host: crate::alerts::host(&webhook.url).to_owned(),
        event_id: EventId::new(at, platform.entropy.ten()),
        at,
        is_mailed: platform.settings.webhook_notices_from.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::id::{ApplicationId, WebhookId};
    use postfleet_core::readers::{Cause, FAILING_AFTER};
    use uuid::Uuid;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);

    fn webhook(status: &str, channel: Channel) -> Webhook {
        let [id, application] = [Uuid::nil(); 2];
        let new = Webhook::new(WebhookId::from_uuid(id), ApplicationId::from_uuid(application), String::new(), NOW);
        Webhook { status: status.to_owned(), channel, ..new }
    }

    fn refused(watch: &mut Watch) {
        for at in [NOW, NOW.plus(FAILING_AFTER)] {
            watch.hear(Outcome::Again { cause: Cause::Status(500), retry_after: None }, at);
        }
    }

    #[test]
    fn a_change_is_written_once_and_what_the_subscriber_says_counts() {
        let hook = webhook("active", Channel::Webhook);
        let mut watch = Watch::new(&hook, None);
        refused(&mut watch);
        assert_eq!(watch.change_due(&hook), Some(Standing::Failing));
        assert_eq!(watch.change_due(&hook), None, "it is being written");
        // What was read before it was written says nothing new.
        assert!(!watch.change(&hook));
        let later = NOW.plus(FAILING_AFTER);
        watch.written(Standing::Failing, later);
        assert_eq!((watch.change_due(&hook), watch.has_failed()), (None, false));
        assert!(!watch.change(&hook), "nor does what was read before");
        let hook = Webhook { status_updated_at: later.plus(FAILING_AFTER), ..hook };
        assert!(watch.change(&hook), "it was switched on again");
        assert_eq!((watch.change_due(&hook), watch.failing_for()), (None, None));
    }

    #[test]
    fn alerts_do_not_fail() {
        let alert = webhook("active", Channel::Chat);
        let mut watch = Watch::new(&alert, None);
        refused(&mut watch);
        assert_eq!(watch.change_due(&alert), None);
    }
}
