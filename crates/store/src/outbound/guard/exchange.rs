//! Whether a message goes round in circles: what the mailbox has of the conversation is read, and a conversation that does
//! is stopped.

use super::{TripIds, Watched, raised};
use crate::db::{DbError, Row};
use crate::engine::Tx;
use crate::outbound::Submit;
use crate::params;
use crate::stops::{self, NewStop};
use postfleet_core::UnixMicros;
use postfleet_core::exchange::{COMPARED, Exchange, Loop, Run, Turn, own_today, repeats};
use postfleet_core::id::ThreadId;
use postfleet_core::stop::{Effect, Kind, Scope, Stop};
use serde_json::json;

pub(crate) const TURNS: &str = "SELECT date, outgoing FROM messages WHERE thread_id = $1 AND draft = 0 \
    ORDER BY date DESC, id DESC LIMIT $2";
pub(crate) const OWN_SINCE: &str = "SELECT count(*) FROM messages WHERE thread_id = $1 AND date >= $2 \
    AND outgoing = 1 AND draft = 0";
pub(crate) const SAID_BEFORE: &str = "SELECT summary FROM messages WHERE thread_id = $1 AND outgoing = 1 AND draft = 0 \
    ORDER BY date DESC, id DESC LIMIT $2";

impl Submit {
    /// The latest messages of the conversation that it goes on with; none where it begins one.
    pub(super) async fn turns(&self, tx: &mut Tx, most: usize) -> Result<Vec<Turn>, DbError> {
        let Some(thread) = self.thread_id.filter(|_| self.guard.hops > 0) else { return Ok(Vec::new()) };
        let rows = tx.query(TURNS, params![thread.uuid(), most as i64]).await?;
        let turn = |row: &Row| Ok(Turn { at: UnixMicros::from_micros(row.int(0)?), is_own: row.flag(1)? });
        rows.iter().map(turn).collect()
    }

    pub(super) async fn find_loop(
        &self,
        tx: &mut Tx,
        watched: &Watched,
        turns: &[Turn],
    ) -> Result<Option<Loop>, DbError> {
        let found = self.judge_exchange(tx, watched, turns, None).await?;
        let (Some(_), Some(thread)) = (&found, self.thread_id) else { return Ok(found) };
        // Whoever lifted a stop has seen what was there until then.
        match stops::lifted_at(tx, self.copy.grant_id, (Kind::Loop, &thread.to_string())).await? {
            Some(lifted_at) => {
                let since: Vec<Turn> = turns.iter().copied().filter(|turn| turn.at > lifted_at).collect();
                self.judge_exchange(tx, watched, &since, Some(lifted_at)).await
            }
            None => Ok(found),
        }
    }

    async fn judge_exchange(
        &self,
        tx: &mut Tx,
        watched: &Watched,
        turns: &[Turn],
        since: Option<UnixMicros>,
    ) -> Result<Option<Loop>, DbError> {
        let (now, limits) = (self.facts.date, &self.guard.limits);
        let run = Run::of(turns, now, limits.pause);
        let repeats = run.asks_what_was_said(limits) && self.repeats(tx).await?;
        let said = watched.said.as_ref().filter(|_| watched.print != 0).map(|said| said.count(watched.print));
        let own_today = self.own_today(tx, turns, since).await?;
        let exchange = Exchange { own_today, run, repeats, hops: self.guard.hops, said };
        Ok(exchange.judge(limits))
    }

    /// Messages of the mailbox in the conversation on this day, since a time.
    pub(super) async fn own_today(
        &self,
        tx: &mut Tx,
        turns: &[Turn],
        since: Option<UnixMicros>,
    ) -> Result<u64, DbError> {
        let now = self.facts.date;
        let Some(thread) = self.thread_id else { return Ok(0) };
        if let Some(own) = own_today(turns, now) {
            return Ok(own);
        }
        let from = since.map_or(now.day().start(), |since| since.max(now.day().start()));
        let row = tx.query_one(OWN_SINCE, params![thread.uuid(), from.as_micros()]).await?;
        Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0))
    }

    /// Whether it says what the mailbox said before in the conversation.
    async fn repeats(&self, tx: &mut Tx) -> Result<bool, DbError> {
        let Some(thread) = self.thread_id else { return Ok(false) };
        let rows = tx.query(SAID_BEFORE, params![thread.uuid(), COMPARED as i64]).await?;
        let earlier = rows.iter().map(|row| Ok(snippet(row.str(0)?))).collect::<Result<Vec<_>, DbError>>()?;
        Ok(repeats(&snippet(&self.facts.summary), &earlier))
    }

    /// Stops the conversation.
    pub(super) async fn stop_loop(
        &self,
        tx: &mut Tx,
        watched: &Watched,
        (thread, found): (ThreadId, &Loop),
        ids: &TripIds,
    ) -> Result<Stop, DbError> {
        let recipients = self.recipients.iter().take(10).map(|(_, address)| address.to_string());
        let evidence = json!({
            "sign": found.sign.name(),
            "count": found.count,
            "limit": found.limit,
            "pauses_ms": found.pauses.iter().take(20).collect::<Vec<_>>(),
            "thread_id": thread.to_string(),
            "correspondents": recipients.collect::<Vec<_>>(),
            "hops": self.guard.hops,
        });
        let new = NewStop {
            kind: Kind::Loop,
            effect: Effect::Hold,
            target: self.target(watched, Scope::Thread, thread.to_string()),
            reason: found.reason(),
            evidence: evidence.to_string(),
            ..self.new_stop(watched, ids)
        };
        raised(tx, new).await
    }
}

/// The beginning of a message, as its summary has it.
fn snippet(summary: &str) -> String {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Seen {
        snippet: String,
    }
    serde_json::from_str::<Seen>(summary).unwrap_or_default().snippet
}
