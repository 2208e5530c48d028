//! What may be sent with a key: counted exactly, whoever sends at once, and read anew with every message.

use crate::support::{Engine, NOON, Tenant, at, fresh, on_each_engine, tenant};
use futures::future::join_all;
use postfleet_core::capability::{Capabilities, Sending};
use postfleet_core::id::{AuditId, GrantId, KeyId, QueueId};
use postfleet_core::{EmailAddress, UnixMicros};
use postfleet_store::key_use::PruneKeyUse;
use postfleet_store::keys::{CreateKey, NewKey};
use postfleet_store::outbound::{Explain, Explained, Submit, SubmitOutcome};
use postfleet_store::refusals::{self, PruneRefusals};
use std::time::Duration;

async fn key(engine: &Engine, tenant: &Tenant, capabilities: Capabilities) -> KeyId {
    let id = KeyId::from_uuid(fresh());
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(id.uuid().as_bytes());
    let key = NewKey { capabilities, ..NewKey::unlimited(id, Some(tenant.application), "agent", hash, "pf_".into()) };
    let act = postfleet_core::audit::Act::of_command_line(AuditId::from_uuid(fresh()), tenant.organization, NOON);
    let command = CreateKey { key, organization_id: tenant.organization, act };
    engine.store.run(command).await.expect("key").expect("made").id
}

async fn submission(engine: &Engine, tenant: &Tenant, grant: GrantId, to: &str, by: KeyId, date: UnixMicros) -> Submit {
    let recipients = vec![(QueueId::from_uuid(fresh()), EmailAddress::parse(to).expect("address"))];
    Submit { recipients, by: Some(by), ..tenant.submission(&engine.store, grant, 1, date).await }
}

async fn send(engine: &Engine, command: Submit) -> Result<(), String> {
    match engine.store.run(command).await.expect("submit") {
        SubmitOutcome::Accepted { .. } => Ok(()),
        SubmitOutcome::Refused(problem) => Err(problem.code.to_owned()),
        other => panic!("{other:?}"),
    }
}

fn at_most(new: u64) -> Capabilities {
    Capabilities { new_recipients_per_day: Some(new), ..Capabilities::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_who_write_to_strangers_at_once_exactly_as_many_may_as_the_key_says() {
    on_each_engine(async |engine| {
        let tenant = tenant(&engine.store, "self_hosted", None).await;
        let by = key(engine, &tenant, at_most(10)).await;
        let mut grants = Vec::new();
        for number in 0..8 {
            grants.push(tenant.mailbox(&engine.store, &format!("a{number}")).await);
        }
        let mut commands = Vec::new();
        for number in 0..64 {
            let to = format!("p{number}@elsewhere.example");
            commands.push(submission(engine, &tenant, grants[number % 8], &to, by, at(1)).await);
        }
        let again = commands.clone();
        let outcomes = join_all(commands.into_iter().map(|command| send(engine, command))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
        assert!(
            outcomes.iter().flat_map(|outcome| outcome.as_ref().err()).all(|code| code == "new_recipients_exceeded")
        );

        // Those who were written to are known, on this day and the next; the others are as new as before.
        let known = again[outcomes.iter().position(Result::is_ok).expect("one")].recipients[0].1.to_string();
        let unknown = again[outcomes.iter().position(Result::is_err).expect("one")].recipients[0].1.to_string();
        send(engine, submission(engine, &tenant, grants[0], &known, by, at(2)).await).await.expect("known");
        let refused = send(engine, submission(engine, &tenant, grants[0], &unknown, by, at(3)).await).await;
        assert_eq!(refused, Err("new_recipients_exceeded".to_owned()));
        let tomorrow = at(86_400);
        send(engine, submission(engine, &tenant, grants[0], &unknown, by, tomorrow).await).await.expect("another day");

        // Another key knows nobody, and counts for itself.
        let other = key(engine, &tenant, at_most(1)).await;
        send(engine, submission(engine, &tenant, grants[0], &known, other, at(4)).await).await.expect("its first");
    })
    .await;
}

#[tokio::test]
async fn the_same_stranger_at_once_counts_once() {
    on_each_engine(async |engine| {
        let tenant = tenant(&engine.store, "self_hosted", None).await;
        let by = key(engine, &tenant, at_most(1)).await;
        let mut commands = Vec::new();
        for number in 0..8 {
            let grant = tenant.mailbox(&engine.store, &format!("a{number}")).await;
            commands.push(submission(engine, &tenant, grant, "Ada@elsewhere.example", by, at(1)).await);
        }
        let outcomes = join_all(commands.into_iter().map(|command| send(engine, command))).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    })
    .await;
}

#[tokio::test]
async fn whoever_wrote_is_no_stranger_and_refusals_are_counted_by_day() {
    on_each_engine(async |engine| {
        let tenant = tenant(&engine.store, "self_hosted", None).await;
        let grant = tenant.mailbox(&engine.store, "a").await;
        let by = key(engine, &tenant, at_most(0)).await;
        for second in 1..4 {
            let refused = send(engine, submission(engine, &tenant, grant, "x@elsewhere.example", by, at(second)).await);
            assert_eq!(refused.await, Err("new_recipients_exceeded".to_owned()));
        }
        // What is explained is what is refused, and counts for nothing.
        let submit = submission(engine, &tenant, grant, "x@elsewhere.example", by, at(4)).await;
        let Explained::Refusals(explained, None) = engine.store.run(Explain { submit }).await.expect("explain") else {
            panic!("not explained")
        };
        assert_eq!(explained.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["new_recipients_exceeded"]);
        let mut reader = engine.store.reader().await.expect("reader");
        let listed = refusals::list(&mut reader, grant, NOON.day(), 10).await.expect("list");
        drop(reader);
        let [refusal] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!((refusal.code.as_str(), refusal.times), ("new_recipients_exceeded", 3));
        assert_eq!((refusal.first_at, refusal.last_at), (at(1), at(3)));
        assert_eq!((refusal.limit, refusal.used, refusal.key_id), (Some(0), Some(0), Some(by)));
        assert_eq!((refusal.scope.as_deref(), refusal.resets_at), (Some("key"), Some(NOON.day().end())));

        let nothing = key(engine, &tenant, Capabilities { sending: Sending::Nothing, ..Capabilities::default() }).await;
        let refused =
            send(engine, submission(engine, &tenant, grant, "x@elsewhere.example", nothing, at(5)).await).await;
        assert_eq!(refused, Err("key_may_not_send".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn what_is_long_over_is_forgotten() {
    on_each_engine(async |engine| {
        let tenant = tenant(&engine.store, "self_hosted", None).await;
        let grant = tenant.mailbox(&engine.store, "a").await;
        let by = key(engine, &tenant, at_most(1)).await;
        send(engine, submission(engine, &tenant, grant, "x@elsewhere.example", by, at(1)).await).await.expect("sent");
        send(engine, submission(engine, &tenant, grant, "y@elsewhere.example", by, at(2)).await)
            .await
            .expect_err("new");
        let prune = |date: UnixMicros| PruneKeyUse { today: date.day(), limit: 10 };
        let days = |days: u64| NOON.plus(Duration::from_secs(days * 86_400));
        assert_eq!(engine.store.run(prune(days(1))).await.expect("prune"), 0);
        assert_eq!(engine.store.run(prune(days(2))).await.expect("prune"), 1, "the count of the day");
        assert_eq!(engine.store.run(prune(days(400))).await.expect("prune"), 0);
        assert_eq!(engine.store.run(prune(days(401))).await.expect("prune"), 1, "the recipient");
        let refusals = |date: UnixMicros| PruneRefusals { before: date.day(), limit: 10 };
        assert_eq!(engine.store.run(refusals(NOON)).await.expect("prune"), 0);
        assert_eq!(engine.store.run(refusals(days(1))).await.expect("prune"), 1);
    })
    .await;
}
