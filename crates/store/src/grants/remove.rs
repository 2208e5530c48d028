//! Removing a mailbox: at once for everybody, its content a little at a time.

use super::{Grant, lock, lock_tenant};
use crate::audit::{self, Change};
use crate::blobs;
use crate::correspondents;
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::messages;
use crate::metadata;
use crate::meters::{self, Owner};
use crate::params;
use crate::rates;
use crate::readings;
use crate::reputation;
use crate::sender_pools;
use crate::signatures;
use crate::spam;
use crate::templates;
use crate::tokens;
use crate::watch;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::folder::{SCHEDULED, SystemFolder};
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, MessageId};
use postfleet_core::rate::Scope;
use postfleet_core::reputation::SubjectKind;

/// Removes a mailbox with its tokens: at once for everybody, its content a little at a time by [`PruneRemoved`].
#[derive(Clone, Debug)]
pub struct RemoveGrant {
    /// Who does it, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: GrantId,
    /// The id of the event that announces it.
    pub event_id: EventId,
}

impl Command for RemoveGrant {
    /// Whether there was such a mailbox.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const COUNT_DOMAIN: &str = "UPDATE domains SET grant_count = grant_count - 1 WHERE name = $1";
        const REMOVE: &str = "DELETE FROM grants WHERE id = $1 AND application_id = $2";
        const REMEMBER: &str = "INSERT INTO removed_grants (grant_id, removed_at) VALUES ($1, $2)";
        let (id, at) = (self.id.uuid(), self.act.at);
        if lock_tenant(tx, self.act.organization_id, self.application_id).await?.is_none() {
            return Ok(false);
        }
        let Some(grant) = lock(tx, self.application_id, self.id).await? else { return Ok(false) };
        tx.execute(REMOVE, params![id, self.application_id.uuid()]).await?;
        readings::count_accounts(tx, self.act.organization_id, -1, at).await?;
        tx.execute(COUNT_DOMAIN, params![grant.email.domain().as_str()]).await?;
        tokens::remove_of_grant(tx, self.id).await?;
        tx.execute(REMEMBER, params![id, at.as_micros()]).await?;
        self.close(tx, &grant).await?;
        let (target, before) = (self.id.to_string(), grant.facts().to_string());
        let change = Change {
            action: "grant.deleted",
            target_kind: "grant",
            target_id: &target,
            before: Some(&before),
            after: None,
        };
        audit::record(tx, &self.act, change).await?;
        Ok(true)
    }
}

impl RemoveGrant {
    /// Closes the mailbox, with the last event that it has.
    async fn close(&self, tx: &mut Tx, grant: &Grant) -> Result<(), DbError> {
        const CLOSE: &str = "DELETE FROM mailboxes WHERE grant_id = $1 \
            RETURNING storage_octets, organization_id, application_id";
        let sequence = events::next_sequence(tx, self.id).await?.ok_or(DbError::Malformed("mailbox"))?;
        if let Some(row) = tx.query_one(CLOSE, params![self.id.uuid()]).await? {
            let owner = Owner::read(&row, 1)?;
            tx.tally().store(owner, -row.int(0)?);
            meters::remove_sender(tx, owner, self.id, self.act.at).await?;
        }
        sender_pools::forget(tx, self.id).await?;
        reputation::forget(tx, SubjectKind::Grant, &self.id.to_string()).await?;
        rates::forget(tx, Scope::Mailbox, self.id.uuid()).await?;
        tx.announce(NewEvent {
            id: self.event_id,
            application_id: self.application_id,
            grant_id: self.id,
            grant_sequence: sequence,
            trigger: Trigger::GrantDeleted,
            message_id: None,
            // Nowhere else once it is gone.
            data: serde_json::json!({
                "email": grant.email.to_string(),
                "name": grant.name,
                "workspace_id": grant.workspace_id.map(|id| id.to_string()),
            })
            .to_string(),
            at: self.act.at,
        });
        Ok(())
    }
}

/// Removes up to `limit` messages of one removed mailbox, then as many of its other rows: never much at once, so that
/// the writer stays free for mail.
#[derive(Clone, Copy, Debug)]
pub struct PruneRemoved {
    /// Rows of a kind at once.
    pub limit: usize,
}

impl Command for PruneRemoved {
    /// Whether there may be more to do.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        // Locked: two nodes that prune the same mailbox would each take its references to bodies away.
        const OLDEST: &str = "SELECT grant_id FROM removed_grants LIMIT 1 {skip_locked}";
        const FORGET: &str = "DELETE FROM removed_grants WHERE grant_id = $1";
        let Some(row) = tx.query_one(OLDEST, params![]).await? else { return Ok(false) };
        let grant = GrantId::from_uuid(row.uuid(0)?);
        if self.remove_messages(tx, grant).await? == 0 && self.remove_remains(tx, grant).await? == 0 {
            tx.execute(FORGET, params![grant.uuid()]).await?;
        }
        Ok(true)
    }
}

impl PruneRemoved {
    async fn remove_messages(&self, tx: &mut Tx, grant: GrantId) -> Result<usize, DbError> {
        const HELD: &str = "SELECT m.id, m.blob_id, m.date, m.folders FROM listings l \
            JOIN messages m ON m.id = l.message_id WHERE l.grant_id = $1 AND l.folder = $3 LIMIT $2";
        const REMOVE: &str = "DELETE FROM messages WHERE id = $1";
        let mut held = Vec::new();
        // Drafts are not in the listing of the whole mailbox.
        for listing in ["", SystemFolder::Drafts.id(), SCHEDULED] {
            held = tx.query(HELD, params![grant.uuid(), self.limit as i64, listing]).await?;
            if !held.is_empty() {
                break;
            }
        }
        for row in &held {
            let id = MessageId::from_uuid(row.uuid(0)?);
            messages::unlist(tx, grant, id, row.int(2)?, &messages::folders(row.str(3)?)?).await?;
            tx.execute(REMOVE, params![id.uuid()]).await?;
            blobs::release(tx, BlobId::from_uuid(row.uuid(1)?)).await?;
        }
        Ok(held.len())
    }

    async fn remove_remains(&self, tx: &mut Tx, grant: GrantId) -> Result<u64, DbError> {
        const REMAINS: &[&str] = &[
            "DELETE FROM threads WHERE id IN (SELECT id FROM threads WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM thread_keys WHERE grant_id = $1 AND key IN \
             (SELECT key FROM thread_keys WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM folder_counts WHERE grant_id = $1 AND folder IN \
             (SELECT folder FROM folder_counts WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM folders WHERE grant_id = $1 AND id IN (SELECT id FROM folders WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM removed_folders WHERE grant_id = $1 AND id IN \
             (SELECT id FROM removed_folders WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM search_due WHERE grant_id IN (SELECT grant_id FROM search_due WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM search_segments WHERE grant_id = $1 AND segment IN \
             (SELECT segment FROM search_segments WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM search_late WHERE grant_id = $1 AND (date, message_id) IN \
             (SELECT date, message_id FROM search_late WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM search_messages WHERE grant_id = $1 AND (segment, chunk) IN \
             (SELECT segment, chunk FROM search_messages WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM search_postings WHERE grant_id = $1 AND (segment, shard) IN \
             (SELECT segment, shard FROM search_postings WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM recoveries WHERE id IN (SELECT id FROM recoveries WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM schedules WHERE id IN (SELECT id FROM schedules WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM holds WHERE id IN (SELECT id FROM holds WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM rule_evaluations WHERE id IN \
             (SELECT id FROM rule_evaluations WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM feedback_reports WHERE id IN \
             (SELECT id FROM feedback_reports WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM daily_sends WHERE grant_id = $1 AND day IN \
             (SELECT day FROM daily_sends WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM imports WHERE grant_id = $1 AND id IN \
             (SELECT id FROM imports WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM pruned WHERE grant_id = $1 AND day IN \
             (SELECT day FROM pruned WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM send_refusals WHERE grant_id = $1 AND day IN \
             (SELECT day FROM send_refusals WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM refused_mail WHERE id IN (SELECT id FROM refused_mail WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM refused_mail_days WHERE grant_id = $1 AND day IN \
             (SELECT day FROM refused_mail_days WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM idempotency_keys WHERE scope_id = $1 AND key_hash IN \
             (SELECT key_hash FROM idempotency_keys WHERE scope_id = $1 LIMIT $2)",
            "DELETE FROM recent_sends WHERE grant_id = $1 AND content_hash IN \
             (SELECT content_hash FROM recent_sends WHERE grant_id = $1 LIMIT $2)",
        ];
        let mut removed = 0;
        let others = watch::REMOVE.iter().chain(&spam::REMOVE).chain([
            &correspondents::REMOVE,
            &metadata::REMOVE,
            &signatures::REMOVE,
            &templates::REMOVE,
        ]);
        for statement in REMAINS.iter().chain(others) {
            removed += tx.execute(statement, params![grant.uuid(), self.limit as i64]).await?;
        }
        Ok(removed)
    }
}
