//! Connections that nobody uses, kept for a short time.

use super::connection::Connection;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long an unused connection is kept. Shorter than the five seconds after which common servers close it: a
/// request written just then would fail though nothing is wrong.
const KEPT: Duration = Duration::from_secs(4);

/// The connections by whom they lead to, those that were used last at the end.
#[derive(Default)]
pub(super) struct Idle(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    connections: HashMap<String, Vec<(Box<Connection>, Instant)>>,
    /// When those were let go that had been kept too long.
    tidied_at: Option<Instant>,
}

impl Idle {
    /// The connection to a place that was used last, if one is still open.
    pub(super) async fn take(&self, origin: &str) -> Option<Box<Connection>> {
        loop {
            let (mut connection, since) = self.0.lock().connections.get_mut(origin)?.pop()?;
            if since.elapsed() < KEPT && connection.is_open().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection, and lets go all that nobody has taken for too long.
    pub(super) fn keep(&self, origin: &str, connection: Box<Connection>) {
        let now = Instant::now();
        let mut kept = self.0.lock();
        match kept.connections.get_mut(origin) {
            Some(connections) => connections.push((connection, now)),
            None => drop(kept.connections.insert(origin.to_owned(), vec![(connection, now)])),
        }
        if kept.tidied_at.is_none_or(|at| now - at >= KEPT) {
            kept.tidy(now);
        }
    }

    /// Lets go what nobody has taken for too long.
    pub(super) fn tidy(&self) {
        self.0.lock().tidy(Instant::now());
    }
}

impl Kept {
    fn tidy(&mut self, now: Instant) {
        self.tidied_at = Some(now);
        self.connections.retain(|_, connections| {
            connections.retain(|(_, since)| now - *since < KEPT);
            !connections.is_empty()
        });
    }
}
