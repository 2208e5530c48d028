//! Records of what rules said: read newest first, of one mailbox, also of one message; removed when they are old.

use crate::support::{Tenant, at, fresh, number, on_each_engine, tenant};
use postfleet_core::id::{EvaluationId, GrantId, MessageId, uuid_v7};
use postfleet_store::db::DbError;
use postfleet_store::evaluations::{self, Page, PruneEvaluations};
use postfleet_store::{Command, Store, Tx, params};

/// Writes a record, as whoever judges a message does.
#[derive(Clone, Debug)]
pub struct Insert {
    id: EvaluationId,
    of: [uuid::Uuid; 3],
    message: Option<MessageId>,
    seconds: u64,
}

impl Command for Insert {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO rule_evaluations (id, organization_id, application_id, grant_id, message_id, \
            stage, input, applied, matched, shadow, evaluated_at) \
            VALUES ($1, $2, $3, $4, $5, 'smtp_rcpt', '{\"from_tld\": \"ü\"}', '{}', '[]', '{\"actions\": {}}', $6)";
        let [organization, application, grant] = self.of;
        let message = self.message.map(MessageId::uuid);
        let at = at(self.seconds).as_micros();
        tx.execute(INSERT, params![self.id.uuid(), organization, application, grant, message, at]).await?;
        Ok(())
    }
}

/// A record of a mailbox that was written so many seconds after noon.
pub async fn record(
    store: &Store,
    tenant: &Tenant,
    grant: GrantId,
    message: Option<MessageId>,
    seconds: u64,
) -> EvaluationId {
    let mut random = [0; 10];
    random.copy_from_slice(&fresh().as_bytes()[6..]);
    let id = EvaluationId::from_uuid(uuid_v7(at(seconds), random));
    let of = [tenant.organization.uuid(), tenant.application.uuid(), grant.uuid()];
    store.run(Insert { id, of, message, seconds }).await.expect("insert");
    id
}

async fn page(store: &Store, page: Page) -> Vec<EvaluationId> {
    let mut reader = store.reader().await.expect("reader");
    let found = evaluations::list(&mut reader, page).await.expect("list");
    found.iter().map(|record| record.id).collect()
}

#[tokio::test]
async fn records_of_a_mailbox_are_read_newest_first_and_by_message() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (a, b) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let message = MessageId::from_uuid(fresh());
        let mut ids = Vec::new();
        for seconds in 0..6 {
            ids.push(record(store, &tenant, a, (seconds % 2 == 0).then_some(message), seconds).await);
            record(store, &tenant, b, Some(message), seconds).await;
        }
        ids.reverse();
        let all = Page { grant_id: a, message_id: None, before: None, limit: 4 };
        assert_eq!(page(store, all).await, ids[..4]);
        assert_eq!(page(store, Page { before: Some(ids[3]), ..all }).await, ids[4..]);
        let of_message = Page { message_id: Some(message), limit: 2, ..all };
        assert_eq!(page(store, of_message).await, [ids[1], ids[3]]);
        assert_eq!(page(store, Page { before: Some(ids[3]), ..of_message }).await, [ids[5]]);
        let nobody = Page { message_id: Some(MessageId::from_uuid(fresh())), ..all };
        assert_eq!(page(store, nobody).await, []);

        let mut reader = store.reader().await.expect("reader");
        let newest = evaluations::list(&mut reader, Page { limit: 1, ..all }).await.expect("list").remove(0);
        assert_eq!((newest.organization_id, newest.application_id), (tenant.organization, tenant.application));
        assert_eq!((newest.grant_id, newest.message_id, newest.evaluated_at), (a, None, at(5)));
        assert_eq!((newest.stage.as_str(), newest.input.as_str()), ("smtp_rcpt", "{\"from_tld\": \"ü\"}"));
        assert_eq!((newest.applied.as_str(), newest.matched.as_str()), ("{}", "[]"));
        assert_eq!(newest.shadow, "{\"actions\": {}}");
    })
    .await;
}

#[tokio::test]
async fn old_records_go_a_few_at_a_time_and_the_others_stay() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grants = [tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await];
        for seconds in 0..10 {
            record(store, &tenant, grants[seconds as usize % 2], None, seconds).await;
        }
        let prune = PruneEvaluations { before: at(7), limit: 3 };
        for expected in [3, 3, 1, 0] {
            assert_eq!(store.run(prune).await.expect("prune"), expected);
        }
        const OLDEST: &str = "SELECT min(evaluated_at) FROM rule_evaluations";
        assert_eq!(number(store, OLDEST, params![]).await, at(7).as_micros());
        assert_eq!(number(store, "SELECT count(*) FROM rule_evaluations", params![]).await, 3);
    })
    .await;
}
