//! What applications have learned, held in memory: those that got mail lately, and looked at anew after a while.

use crate::platform::Platform;
use parking_lot::Mutex;
use postfleet_core::id::ApplicationId;
use postfleet_core::spam::Model;
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::{Reader, spam};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Applications whose models are held: each takes about a megabyte at most.
const MODELS_MAX: usize = 64;

/// How old what is held may be.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// The models that are held.
#[derive(Debug, Default)]
pub(super) struct Models(Mutex<HashMap<ApplicationId, Held>>);

#[derive(Clone, Debug)]
struct Held {
    version: i64,
    model: Arc<Model>,
    looked_at: UnixMicros,
    used_at: UnixMicros,
}

/// What an application has learned, as it was a minute ago at most.
pub(crate) async fn of(
    platform: &Platform,
    reader: &mut Reader<'_>,
    application: ApplicationId,
) -> Result<Arc<Model>, Problem> {
    let (models, now) = (&platform.spam.models, platform.clock.now());
    let held = models.use_at(application, now);
    if let Some(held) = held.as_ref().filter(|held| now.since(held.looked_at) < FRESH_FOR) {
        return Ok(held.model.clone());
    }
    let known = held.as_ref().map_or(-1, |held| held.version);
    let (version, model) = match (spam::model(reader, application, known).await?, held) {
        (Some((version, model)), _) => (version, Arc::new(model)),
        (None, Some(held)) => (held.version, held.model),
        (None, None) => (-1, Arc::default()),
    };
    models.keep(application, Held { version, model: model.clone(), looked_at: now, used_at: now });
    Ok(model)
}

impl Models {
    fn use_at(&self, application: ApplicationId, now: UnixMicros) -> Option<Held> {
        let mut models = self.0.lock();
        let held = models.get_mut(&application)?;
        held.used_at = now;
        Some(held.clone())
    }

    /// The one that was not used for longest goes, if there are too many.
    fn keep(&self, application: ApplicationId, held: Held) {
        let mut models = self.0.lock();
        if models.len() >= MODELS_MAX && !models.contains_key(&application) {
            let oldest = models.iter().min_by_key(|(_, held)| held.used_at).map(|(id, _)| *id);
            oldest.map(|id| models.remove(&id));
        }
        models.insert(application, held);
    }

    /// Something was learned here: it is to be read anew.
    pub(super) fn forget(&self, application: ApplicationId) {
        self.0.lock().remove(&application);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_held_than_may_be() {
        let models = Models::default();
        let id = |number: u128| ApplicationId::from_uuid(uuid::Uuid::from_u128(number));
        let at = UnixMicros::from_seconds;
        for number in 0..=MODELS_MAX as u128 {
            let now = at(number as i64);
            models.keep(id(number), Held { version: 1, model: Arc::default(), looked_at: now, used_at: now });
            models.use_at(id(0), now);
        }
        assert_eq!(models.0.lock().len(), MODELS_MAX);
        assert!(models.use_at(id(0), at(0)).is_some() && models.use_at(id(1), at(0)).is_none());
    }
}
