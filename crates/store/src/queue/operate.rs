//! What people do to a message in the queue: pause it, resume it, try it now, send it elsewhere.

use crate::audit;
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, MessageId};
use serde_json::json;

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Nothing is attempted until it is resumed. An attempt that is under way comes to its end.
    Pause,
    /// It goes on.
    Resume,
    /// It is attempted now, once, although its destination is left alone.
    Retry,
    /// It goes to that server (`HOST:PORT`), or where its recipients are again.
    Reroute(Option<String>),
}

/// Does something to a message in the queue.
#[derive(Clone, Debug)]
pub struct Operate {
    /// Who does it.
    pub act: Act,
    /// Whose message; `None` for the installation's operator, whose all are.
    pub application_id: Option<ApplicationId>,
    /// The message.
    pub message_id: MessageId,
    /// What.
    pub operation: Operation,
}

/// What became of [`Operate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operated {
    /// Done.
    Done {
        /// The application whose message it is.
        application_id: ApplicationId,
        /// Whether anything is not as it was.
        is_changed: bool,
    },
    /// There is no such message in the queue.
    NotFound,
}

impl Command for Operate {
    type Outcome = Operated;

    async fn run(&self, tx: &mut Tx) -> Result<Operated, DbError> {
        const LOCK: &str = "SELECT o.application_id, o.route, a.organization_id FROM outbound o \
            JOIN applications a ON a.id = o.application_id WHERE o.message_id = $1 {lock}";
        let Some(row) = tx.query_one(LOCK, params![self.message_id.uuid()]).await? else {
            return Ok(Operated::NotFound);
        };
        let application_id = ApplicationId::from_uuid(row.uuid(0)?);
        if self.application_id.is_some_and(|own| own != application_id) {
            return Ok(Operated::NotFound);
        }
        let (action, before, after) = match &self.operation {
            Operation::Pause => ("queue.paused", json!({"paused": false}), json!({"paused": true})),
            Operation::Resume => ("queue.resumed", json!({"paused": true}), json!({"paused": false})),
            Operation::Retry => ("queue.retried", json!({}), json!({})),
            Operation::Reroute(route) => {
                ("queue.rerouted", json!({"route": row.opt_text(1)?}), json!({"route": route}))
            }
        };
        let is_changed = match &self.operation {
            Operation::Reroute(route) => self.reroute(tx, route.as_deref(), row.opt_text(1)?.as_deref()).await?,
            _ => self.change_rows(tx).await?,
        };
        if is_changed {
            tx.wake_queue();
            let organization = postfleet_core::id::OrganizationId::from_uuid(row.uuid(2)?);
            let act = Act { application_id: Some(application_id), ..self.act.to(organization) };
            let (before, after) = (before.to_string(), after.to_string());
            let change = audit::Change {
                action,
                target_kind: "message",
                target_id: &self.message_id.to_string(),
                before: Some(&before),
                after: Some(&after),
            };
            audit::record(tx, &act, change).await?;
        }
        Ok(Operated::Done { application_id, is_changed })
    }
}

impl Operate {
    async fn change_rows(&self, tx: &mut Tx) -> Result<bool, DbError> {
        // A row under a lease keeps the end of the lease as its time: should its worker die, a claim sees the mark.
        const PAUSE: &str = "UPDATE queue SET paused = 1, \
            due_at = CASE WHEN lease IS NULL OR due_at <= $2 THEN NULL ELSE due_at END \
            WHERE message_id = $1 AND paused = 0";
        // Whether their destination is open is for the next claim to see.
        const RESUME: &str = "UPDATE queue SET paused = 0, parked = 0, due_at = coalesce(due_at, $2) \
            WHERE message_id = $1 AND paused = 1";
        // What waits behind a stop goes on waiting; once that is lifted, it goes first.
        const RETRY: &str = "UPDATE queue SET due_at = $2, parked = CASE WHEN parked = 2 THEN 2 ELSE 0 END, forced = 1 \
            WHERE message_id = $1 AND paused = 0 AND (lease IS NULL OR due_at <= $2)";
        let statement = match self.operation {
            Operation::Pause => PAUSE,
            Operation::Resume => RESUME,
            _ => RETRY,
        };
        Ok(tx.execute(statement, params![self.message_id.uuid(), self.act.at.as_micros()]).await? > 0)
    }

    async fn reroute(&self, tx: &mut Tx, route: Option<&str>, before: Option<&str>) -> Result<bool, DbError> {
        const REROUTE: &str = "UPDATE outbound SET route = $2 WHERE message_id = $1";
        if route == before {
            return Ok(false);
        }
        tx.execute(REROUTE, params![self.message_id.uuid(), route]).await?;
        Ok(true)
    }
}
