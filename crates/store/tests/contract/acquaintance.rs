//! What a mailbox knows of who writes to it, and that it knows nothing of what others know.

use crate::support::{Tenant, at, fresh, on_each_engine, tenant};
use postfleet_core::id::{EventId, GrantId};
use postfleet_core::spam::Trained;
use postfleet_store::Store;
use postfleet_store::acquaintance::{self, Acquaintance, Writer};
use postfleet_store::grants::{self, GrantOutcome, NewGrant};
use postfleet_store::refile::{UpdateMessage, UpdateOutcome};

const BOB: &str = "bob@elsewhere.example";
const EVE: &str = "eve@elsewhere.example";
const R0: &str = "r0@elsewhere.example";

async fn named(store: &Store, tenant: &Tenant, local: &str, name: &str) -> GrantId {
    let new = NewGrant { name: Some(name.to_owned()), ..tenant.new_grant(local) };
    match store.run(tenant.create_this(new)).await.expect("grant") {
        GrantOutcome::Created(grant) => grant.id,
        other => panic!("not created: {other:?}"),
    }
}

async fn asked(store: &Store, tenant: &Tenant, local: &str, writer: Writer<'_>) -> Acquaintance {
    let mut reader = store.reader().await.expect("reader");
    let mailbox = grants::receiving(&mut reader, &tenant.address(local)).await.expect("find").expect("mailbox");
    acquaintance::of(&mut reader, &mailbox, &writer).await.expect("answer")
}

/// Somebody wrote to `a`, and `a` wrote to somebody and in a conversation; mail of somebody was put into junk.
async fn acquainted(store: &Store) -> Tenant {
    let tenant = tenant(store, "self_hosted", None).await;
    let a = named(store, &tenant, "a", "Ada").await;
    named(store, &tenant, "b", "Travel Desk").await;
    let mut received = tenant.received(store, &[a], at(1)).await;
    received.facts.thread.correspondents = vec![BOB.to_owned()];
    store.run(received).await.expect("deliver").expect("room");
    let mut junk = tenant.received(store, &[a], at(2)).await;
    junk.facts.summary = format!(r#"{{"subject":"Hello","from":[{{"email":"{EVE}"}}]}}"#);
    let id = store.run(junk).await.expect("deliver").expect("room")[0];
    let moved = UpdateMessage {
        application_id: tenant.application,
        grant_id: a,
        id,
        folders: Some(vec!["junk".to_owned()]),
        unread: None,
        starred: None,
        answered: None,
        metadata: None,
        event_id: EventId::from_uuid(fresh()),
        at: at(3),
    };
    assert_eq!(store.run(moved).await.expect("move"), UpdateOutcome::Done);
    let mut sent = tenant.submission(store, a, 1, at(4)).await;
    sent.facts.thread.message_id = Some("sent@test".to_owned());
    sent.facts.thread.correspondents = vec![R0.to_owned()];
    store.run(sent).await.expect("submit");
    tenant
}

#[tokio::test]
async fn a_mailbox_knows_whom_it_wrote_to_and_who_wrote_to_it() {
    on_each_engine(async |engine| {
        let tenant = acquainted(&engine.store).await;
        let nobody = Acquaintance::default();
        let known = Acquaintance { knows_all: true, ..nobody.clone() };
        let written = Acquaintance { has_written: true, ..known.clone() };
        let junk = Acquaintance { moved: Some(Trained::Spam), ..nobody.clone() };
        for (case, local, authors, expected) in [
            ("who wrote", "a", vec![BOB], &known),
            ("in another case", "a", vec!["Bob@Elsewhere.Example"], &known),
            ("who was written to", "a", vec![R0], &written),
            ("both", "a", vec![R0, BOB], &written),
            ("the first counts for what was written", "a", vec![BOB, R0], &known),
            ("whose mail is junk", "a", vec![EVE], &junk),
            ("in another case", "a", vec!["EVE@elsewhere.example"], &junk),
            ("one who is known and one who is not", "a", vec![BOB, EVE], &nobody),
            ("one who is known and nobody", "a", vec![BOB, ""], &nobody),
            ("too many", "a", vec![BOB; 11], &nobody),
            ("as many as may be", "a", vec![BOB; 10], &known),
            ("nobody", "a", vec![""], &nobody),
            ("no author", "a", vec![], &nobody),
            ("a stranger", "a", vec!["x@elsewhere.example"], &nobody),
            ("another mailbox", "b", vec![BOB], &nobody),
            ("another mailbox, written to", "b", vec![R0], &nobody),
            ("another mailbox, junk", "b", vec![EVE], &nobody),
        ] {
            let writer = Writer { authors, ..Writer::default() };
            assert_eq!(asked(&engine.store, &tenant, local, writer).await, *expected, "{case}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_and_a_name_are_recognised() {
    on_each_engine(async |engine| {
        let tenant = acquainted(&engine.store).await;
        for (case, local, answered, expected) in [
            ("an answer", "a", vec!["sent@test"], true),
            ("in another case", "a", vec!["Sent@Test"], true),
            ("the last that is looked at", "a", vec!["x", "y", "z", "sent@test"], true),
            ("beyond", "a", vec!["w", "x", "y", "z", "sent@test"], false),
            ("something else", "a", vec!["gone@test"], false),
            ("nothing", "a", vec![], false),
            ("another mailbox", "b", vec!["sent@test"], false),
        ] {
            let writer = Writer { answered, ..Writer::default() };
            assert_eq!(asked(&engine.store, &tenant, local, writer).await.is_answer, expected, "{case}");
        }
        let other = crate::support::tenant(&engine.store, "self_hosted", None).await;
        other.mailbox(&engine.store, "c").await;
        for (case, tenant, local, shown, expected) in [
            ("the mailbox beside it", &tenant, "a", Some("travel desk"), Some("Travel Desk")),
            ("itself", &tenant, "b", Some("travel desk"), Some("Travel Desk")),
            ("nobody here", &tenant, "a", Some("travel"), None),
            ("nothing", &tenant, "a", None, None),
            ("somebody of another tenant", &other, "c", Some("travel desk"), None),
        ] {
            let writer = Writer { shown, ..Writer::default() };
            let namesake = asked(&engine.store, tenant, local, writer).await.namesake;
            assert_eq!(namesake.as_deref(), expected, "{case}");
        }
    })
    .await;
}
