//! Suppressions: what people say and what the product finds out, one entry for an address, and sends that keep to them
//! from the very next one.

use crate::support::{
    NOON, Tenant, at, at_once, bounced, claim, daily_sends, fresh, listed, number, on_each_engine, queue_rows, record,
    report, tenant,
};
use postfleet_core::bounce::BounceType;
use postfleet_core::delivery::{AfterAttempt, Reason as Said};
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, AuditId, EventId, GrantId, MessageId, PolicyId, QueueId};
use postfleet_core::plan::PolicyLimits;
use postfleet_core::suppression::{Reason, Suppressed, Undeliverable};
use postfleet_core::{Domain, EmailAddress, Patch, UnixMicros};
use postfleet_store::applications::{RemoveApplication, RemoveOutcome};
use postfleet_store::db::DbError;
use postfleet_store::events::{self, Event};
use postfleet_store::organizations::Scope;
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::policies::{Policy, PolicyChange, UpdatePolicy};
use postfleet_store::queue::Report;
use postfleet_store::suppressions::{
    self, AddSuppressions, Added, Cause, Filter, ImportSuppressions, Imported, Position, PruneSuppressions,
    RECORDED_ADDRESSES_MAX, RemoveSuppression, Suppression, Unsubscribe, UnsubscribeOutcome, Way, suppress,
};
use postfleet_store::{Command, Store, Tx, params};
use serde_json::{Value, json};

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("address")
}

fn add(tenant: &Tenant, addresses: &[&str], when: UnixMicros) -> AddSuppressions {
    AddSuppressions {
        act: tenant.act(when),
        application_id: tenant.application,
        addresses: addresses.iter().map(|text| address(text)).collect(),
        reason: Reason::Manual,
        source: "api".into(),
        note: None,
        expires_at: None,
    }
}

async fn added(store: &Store, command: AddSuppressions) -> Added {
    store.run(command).await.expect("add").expect("application")
}

fn remove(tenant: &Tenant, text: &str, when: UnixMicros) -> RemoveSuppression {
    RemoveSuppression { act: tenant.act(when), application_id: tenant.application, address: address(text) }
}

async fn find(store: &Store, tenant: &Tenant, text: &str, now: UnixMicros) -> Option<Suppression> {
    let mut reader = store.reader().await.expect("reader");
    suppressions::find(&mut reader, tenant.application, &address(text), now).await.expect("find")
}

async fn reason(store: &Store, tenant: &Tenant, text: &str, now: UnixMicros) -> Option<Reason> {
    find(store, tenant, text, now).await.map(|one| one.reason)
}

/// What a command of another part of the product finds out.
#[derive(Clone, Debug)]
struct FoundOut {
    application: ApplicationId,
    address: EmailAddress,
    reason: Reason,
    at: UnixMicros,
}

impl Command for FoundOut {
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        let cause = Cause { reason: self.reason, source: "test", grant_id: None, message_id: None, expires_at: None };
        suppress(tx, self.application, &self.address, &cause, self.at).await
    }
}

async fn found_out(store: &Store, tenant: &Tenant, text: &str, reason: Reason, at: UnixMicros) -> bool {
    let command = FoundOut { application: tenant.application, address: address(text), reason, at };
    store.run(command).await.expect("suppress")
}

/// What was recorded in an application about suppressions: action, target, before and after.
async fn records(store: &Store, tenant: &Tenant) -> Vec<(String, String, Value, Value)> {
    const RECORDS: &str = "SELECT action, target_id, before, after FROM audit WHERE application_id = $1 \
        AND target_kind = 'suppression' ORDER BY id";
    let mut reader = store.reader().await.expect("reader");
    let rows = reader.query(RECORDS, params![tenant.application.uuid()]).await.expect("records");
    let parsed = |text: Option<String>| text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
    let read = |row: &postfleet_store::db::Row| {
        let text = |column| row.opt_text(column).expect("text");
        (row.text(0).expect("action"), row.text(1).expect("target"), parsed(text(2)), parsed(text(3)))
    };
    rows.iter().map(read).collect()
}

#[tokio::test]
async fn addresses_are_added_changed_and_removed_with_a_record_of_each() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, stranger) = (tenant(store, "free", None).await, tenant(store, "free", None).await);
        let first = added(store, add(&tenant, &["Ada@Example.com", "bob@example.com", "ada@example.com"], NOON)).await;
        assert_eq!((first.added, first.changed, first.unchanged, first.suppressions.len()), (2, 0, 0, 2));
        let ada = find(store, &tenant, "ADA@example.com", NOON).await.expect("suppressed");
        assert_eq!((ada.reason, &*ada.source, ada.created_at, ada.expires_at), (Reason::Manual, "api", NOON, None));
        assert_eq!(ada, first.suppressions[0]);
        assert_eq!(find(store, &stranger, "ada@example.com", NOON).await, None);
        // What is as wanted stays, whenever it is said again.
        let again = added(store, add(&tenant, &["bob@example.com"], at(1))).await;
        assert_eq!((again.added, again.changed, again.unchanged), (0, 0, 1));
        assert_eq!(again.suppressions[0].created_at, NOON);
        let noted = AddSuppressions {
            reason: Reason::Complaint,
            note: Some("by phone".into()),
            expires_at: Some(at(100)),
            ..add(&tenant, &["bob@example.com", "new@example.com"], at(2))
        };
        let noted = added(store, noted).await;
        assert_eq!((noted.added, noted.changed, noted.unchanged), (1, 1, 0));
        let bob = find(store, &tenant, "bob@example.com", at(3)).await.expect("suppressed");
        assert_eq!(
            (bob.reason, bob.note.as_deref(), bob.expires_at),
            (Reason::Complaint, Some("by phone"), Some(at(100)))
        );

        assert!(!store.run(remove(&stranger, "bob@example.com", at(4))).await.expect("remove"));
        assert!(store.run(remove(&tenant, "BOB@example.com", at(4))).await.expect("remove"));
        assert!(!store.run(remove(&tenant, "bob@example.com", at(5))).await.expect("remove"));
        assert_eq!(find(store, &tenant, "bob@example.com", at(5)).await, None);

        let records = records(store, &tenant).await;
        let actions: Vec<_> = records.iter().map(|record| record.0.as_str()).collect();
        assert_eq!(actions, ["suppression.added", "suppression.added", "suppression.removed"]);
        assert_eq!(records[0].1, tenant.application.to_string());
        assert_eq!(records[0].3["addresses"], json!(["Ada@example.com", "bob@example.com"]));
        assert_eq!((&records[0].3["count"], &records[0].2), (&json!(2), &Value::Null));
        assert_eq!(records[1].2["suppressions"][0]["reason"], "manual");
        assert_eq!((&records[1].3["reason"], &records[1].3["note"]), (&json!("complaint"), &json!("by phone")));
        assert_eq!((records[2].1.as_str(), &records[2].2["reason"]), ("bob@example.com", &json!("complaint")));
    })
    .await;
}

#[tokio::test]
async fn a_thousand_are_added_at_once_and_listed_page_by_page() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let many: Vec<String> = (0..1_000).map(|number| format!("r{number}@{}.example", number % 2)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(added(store, add(&tenant, &many, NOON)).await.added, 1_000);
        assert_eq!(
            records(store, &tenant).await[0].3["addresses"].as_array().map(Vec::len),
            Some(RECORDED_ADDRESSES_MAX)
        );
        added(store, AddSuppressions { reason: Reason::Invalid, ..add(&tenant, &["new@1.example"], at(1)) }).await;
        let mut reader = store.reader().await.expect("reader");
        let mut page = async |filter: &Filter, after: Position| {
            let found = suppressions::list(&mut reader, tenant.application, filter, &after, (at(2), 300)).await;
            found.expect("list")
        };
        let (mut all, mut after) = (Vec::new(), Position::beginning());
        loop {
            let found = page(&Filter::default(), after.clone()).await;
            let Some(last) = found.last() else { break };
            after = Position { created_at: last.created_at, key: last.address.key() };
            all.extend(found.into_iter().map(|one| one.address.to_string()));
        }
        assert_eq!((all.len(), all[0].as_str()), (1_001, "new@1.example"), "the newest first, each once");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 1_001);
        let domain = Some(Domain::parse("1.example").expect("domain"));
        for (filter, expected) in [
            (Filter { reason: Some(Reason::Invalid), domain: None }, 1),
            (Filter { reason: Some(Reason::Invalid), domain: domain.clone() }, 1),
            (Filter { reason: Some(Reason::Complaint), domain: domain.clone() }, 0),
            (Filter { reason: None, domain: Some(Domain::parse("example").expect("domain")) }, 0),
        ] {
            assert_eq!(page(&filter, Position::beginning()).await.len(), expected, "{filter:?}");
        }
        let of_domain = page(&Filter { reason: None, domain }, Position::beginning()).await;
        assert!(of_domain.len() == 300 && of_domain.iter().all(|one| one.address.domain().as_str() == "1.example"));
        let wanted: Vec<_> = ["R7@1.example", "x@1.example", "new@1.example"].map(address).into();
        let found = suppressions::check(&mut reader, tenant.application, &wanted, at(2)).await.expect("check");
        let mut found: Vec<_> = found.into_iter().map(|one| one.address.to_string()).collect();
        found.sort();
        assert_eq!(found, ["new@1.example", "r7@1.example"]);
    })
    .await;
}

#[tokio::test]
async fn what_has_ended_says_nothing_and_is_removed_in_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let ending = |text: &str, end| AddSuppressions { expires_at: Some(at(end)), ..add(&tenant, &[text], NOON) };
        added(store, ending("a@example.com", 10)).await;
        added(store, ending("b@example.com", 20)).await;
        added(store, add(&tenant, &["c@example.com"], NOON)).await;
        assert!(find(store, &tenant, "a@example.com", at(9)).await.is_some());
        assert!(find(store, &tenant, "a@example.com", at(10)).await.is_none());
        let mut reader = store.reader().await.expect("reader");
        let (filter, from) = (Filter::default(), Position::beginning());
        let list = suppressions::list(&mut reader, tenant.application, &filter, &from, (at(10), 10)).await;
        assert_eq!(list.expect("list").len(), 2);
        drop(reader);
        // Removing it says that there was none, and adding it anew that it is new.
        assert!(!store.run(remove(&tenant, "a@example.com", at(10))).await.expect("remove"));
        added(store, ending("a@example.com", 15)).await;
        assert_eq!(added(store, add(&tenant, &["a@example.com"], at(16))).await.added, 1);
        added(store, AddSuppressions { expires_at: Some(at(18)), ..add(&tenant, &["a@example.com"], at(17)) }).await;
        let prune = async |seconds| store.run(PruneSuppressions { now: at(seconds), limit: 1 }).await.expect("prune");
        assert_eq!((prune(17).await, prune(20).await, prune(20).await, prune(20).await), (0, 1, 1, 0));
        assert_eq!(number(store, "SELECT count(*) FROM suppressions", &[]).await, 1);
    })
    .await;
}

#[tokio::test]
async fn what_the_product_finds_out_replaces_only_what_weighs_less() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let to = "ada@example.com";
        assert!(found_out(store, &tenant, to, Reason::HardBounce, NOON).await);
        assert!(!found_out(store, &tenant, to, Reason::HardBounce, at(1)).await, "the first one stays");
        assert!(!found_out(store, &tenant, to, Reason::Invalid, at(1)).await);
        assert!(found_out(store, &tenant, to, Reason::Unsubscribe, at(2)).await);
        assert!(found_out(store, &tenant, to, Reason::Complaint, at(3)).await);
        assert!(!found_out(store, &tenant, to, Reason::Unsubscribe, at(4)).await);
        let entry = find(store, &tenant, to, at(5)).await.expect("suppressed");
        assert_eq!((entry.reason, entry.created_at, &*entry.source), (Reason::Complaint, at(3), "test"));
        // People may say what they like, and an end is one for the product as well.
        added(store, AddSuppressions { expires_at: Some(at(10)), ..add(&tenant, &[to], at(6)) }).await;
        assert!(!found_out(store, &tenant, to, Reason::HardBounce, at(9)).await);
        assert!(found_out(store, &tenant, to, Reason::HardBounce, at(10)).await);
        assert_eq!(find(store, &tenant, to, at(1_000)).await.expect("suppressed").expires_at, None);
        assert_eq!(records(store, &tenant).await.len(), 1, "what the product finds out has its events");
    })
    .await;
}

/// A message to some recipients, at a time.
async fn submission(store: &Store, tenant: &Tenant, grant: GrantId, to: &[&str], when: UnixMicros) -> Submit {
    let recipients = to.iter().map(|text| (QueueId::from_uuid(fresh()), address(text))).collect();
    Submit { recipients, ..tenant.submission(store, grant, 1, when).await }
}

/// Events that say that recipients get nothing.
async fn rejected(store: &Store) -> Vec<Event> {
    let all = events::after(&mut store.reader().await.expect("reader"), 0, 1_000).await.expect("events");
    all.into_iter().filter(|event| event.event.trigger.name() == "message.rejected").collect()
}

fn suppressed(text: &str, reason: Reason) -> Suppressed {
    Suppressed { address: address(text), reason }
}

#[tokio::test]
async fn a_suppressed_recipient_gets_no_row_and_the_others_do() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, stranger) = (tenant(store, "free", None).await, tenant(store, "free", None).await);
        let grant = tenant.mailbox(store, "a").await;
        added(store, add(&tenant, &["gone@x.example", "old@x.example"], NOON)).await;
        added(store, add(&stranger, &["ok@x.example"], NOON)).await;
        let ending = AddSuppressions { expires_at: Some(at(5)), ..add(&tenant, &["soon@x.example"], NOON) };
        added(store, ending).await;
        let to = ["ok@x.example", "GONE@x.example", "soon@x.example", "Old@x.example"];
        let command = submission(store, &tenant, grant, &to, at(5)).await;
        let message = command.copy.message_id;
        let outcome = store.run(command).await.expect("submit");
        let SubmitOutcome::Accepted { suppressed: told, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(told, [suppressed("GONE@x.example", Reason::Manual), suppressed("Old@x.example", Reason::Manual)]);
        let claimed = store.run(claim("w", at(6), 10)).await.expect("claim").rows;
        let mut queued: Vec<_> = claimed.iter().map(|row| row.recipient.to_string()).collect();
        queued.sort();
        assert_eq!(queued, ["ok@x.example", "soon@x.example"]);
        assert_eq!(number(store, "SELECT recipients_open FROM outbound", &[]).await, 2);
        let events = rejected(store).await;
        assert_eq!(events.len(), 1);
        let event = &events[0].event;
        assert_eq!((event.message_id, event.grant_id, event.grant_sequence), (Some(message), grant, 3));
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        assert_eq!(data["recipients"][1], json!({"email": "Old@x.example", "reason": "manual"}));
        assert_eq!((&data["reason"], data.get("summary")), (&json!("suppressed"), None));
    })
    .await;
}

#[tokio::test]
async fn a_message_to_nobody_else_is_refused_and_told_without_a_trace_in_the_mailbox() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(1)).await;
        let grant = tenant.mailbox(store, "a").await;
        added(store, add(&tenant, &["gone@x.example"], NOON)).await;
        let command = submission(store, &tenant, grant, &["gone@x.example"], at(1)).await;
        let outcome = store.run(command).await.expect("submit");
        let SubmitOutcome::Refused(problem) = outcome else { panic!("{outcome:?}") };
        assert_eq!(problem.code, "all_recipients_suppressed");
        assert!(problem.public.contains("gone@x.example (manual)"), "{problem:?}");
        assert_eq!((daily_sends(store, grant, NOON).await, queue_rows(store).await), (0, 0));
        assert!(listed(store, grant, "").await.is_empty());
        let events = rejected(store).await;
        assert_eq!((events.len(), events[0].event.grant_sequence), (1, 2));
        let data: Value = serde_json::from_str(&events[0].event.data).expect("JSON");
        assert_eq!(data["summary"]["subject"], "Hello");
        // What is refused for another reason before is not told as this.
        let mut foreign = submission(store, &tenant, grant, &["gone@x.example"], at(2)).await;
        foreign.sender_domain = Domain::parse("elsewhere.example").expect("domain");
        assert!(matches!(store.run(foreign).await, Ok(SubmitOutcome::Refused(problem)) if problem.code == "sender_domain_unverified"));
        assert_eq!(rejected(store).await.len(), 1);
        // Removed, it is written to by the very next message, which takes the one send of the day.
        assert!(store.run(remove(&tenant, "gone@x.example", at(3))).await.expect("remove"));
        let command = submission(store, &tenant, grant, &["gone@x.example"], at(4)).await;
        assert!(matches!(store.run(command).await, Ok(SubmitOutcome::Accepted { .. })));
    })
    .await;
}

#[tokio::test]
async fn sends_and_removals_at_once_agree() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        added(store, add(&tenant, &["one@x.example"], NOON)).await;
        let mut commands = Vec::new();
        for _ in 0..16 {
            commands.push(submission(store, &tenant, grant, &["one@x.example", "two@x.example"], at(1)).await);
        }
        let changing = async {
            for seconds in 0..8 {
                store.run(remove(&tenant, "one@x.example", at(seconds))).await.expect("remove");
                added(store, add(&tenant, &["one@x.example"], at(seconds))).await;
            }
        };
        let (outcomes, ()) = futures::join!(at_once(store, commands), changing);
        let told = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, SubmitOutcome::Accepted { suppressed, .. } if !suppressed.is_empty()));
        let told = told.count();
        // Every message has a row for the one who is never suppressed, and for the other exactly where nobody was told.
        assert_eq!((queue_rows(store).await, rejected(store).await.len()), (32 - told as i64, told));
        assert_eq!(
            number(store, "SELECT CAST(sum(recipients_open) AS {int}) FROM outbound", &[]).await,
            32 - told as i64
        );
        // Adding is counted exactly, however many add the same.
        let many = (0..8).map(|_| add(&tenant, &["x@x.example", "y@x.example"], at(20))).collect();
        let outcomes = at_once(store, many).await;
        let added: u64 = outcomes.iter().map(|outcome| outcome.as_ref().expect("application").added).sum();
        let unchanged: u64 = outcomes.iter().map(|outcome| outcome.as_ref().expect("application").unchanged).sum();
        assert_eq!((added, unchanged), (2, 14));
    })
    .await;
}

#[tokio::test]
async fn a_hard_bounce_suppresses_and_nothing_else_does() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let full = || AfterAttempt::Expired(Said { code: 452, status: "4.2.2".into(), text: "full".into() });
        for (number, (after, bounce, expected)) in [
            (bounced(), BounceType::UnknownUser, Some(Reason::HardBounce)),
            (bounced(), BounceType::MailboxFull, None),
            (full(), BounceType::UnknownUser, None),
            (AfterAttempt::Delivered, BounceType::Undetermined, None),
            (AfterAttempt::RetryAt(at(500)), BounceType::UnknownUser, None),
        ]
        .into_iter()
        .enumerate()
        {
            let to = format!("r{number}@x.example");
            let command = submission(store, &tenant, grant, &[&to], at(1)).await;
            let message = command.copy.message_id;
            assert!(matches!(store.run(command).await, Ok(SubmitOutcome::Accepted { .. })));
            let taken = claim("w", at(2), 10);
            let rows = store.run(taken.clone()).await.expect("claim").rows;
            let reports = rows.iter().map(|row| Report { bounce, ..report(row, after.clone(), true) }).collect();
            store.run(record(taken.lease.id, reports, message, at(3))).await.expect("record");
            assert_eq!(reason(store, &tenant, &to, at(4)).await, expected, "{to}");
            if expected.is_some() {
                let entry = find(store, &tenant, &to, at(4)).await.expect("suppressed");
                assert_eq!(
                    (entry.grant_id, entry.message_id, &*entry.source),
                    (Some(grant), Some(message), "delivery")
                );
                // A worker that has lost its row suppresses nobody.
                store.run(remove(&tenant, &to, at(5))).await.expect("remove");
                let late = rows.iter().map(|row| Report { bounce, ..report(row, after.clone(), true) }).collect();
                store.run(record(taken.lease.id, late, message, at(6))).await.expect("record");
                assert_eq!(reason(store, &tenant, &to, at(7)).await, None);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_mailbox_that_is_made_is_written_to_although_its_address_bounced() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (new, complained) = (tenant.address("new").to_string(), tenant.address("complained").to_string());
        found_out(store, &tenant, &new, Reason::HardBounce, NOON).await;
        found_out(store, &tenant, &complained, Reason::Complaint, NOON).await;
        tenant.mailbox(store, "new").await;
        tenant.mailbox(store, "complained").await;
        assert_eq!(reason(store, &tenant, &new, at(1)).await, None);
        assert_eq!(reason(store, &tenant, &complained, at(1)).await, Some(Reason::Complaint));
    })
    .await;
}

#[tokio::test]
async fn whoever_unsubscribes_gets_nothing_more() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let unsubscribe = |seconds| Unsubscribe {
            application_id: tenant.application,
            grant_id: grant,
            message_id: MessageId::from_uuid(fresh()),
            address: address("ada@x.example"),
            way: if seconds == 5 { Way::Mail } else { Way::OneClick },
            event_id: EventId::from_uuid(fresh()),
            record_id: AuditId::from_uuid(fresh()),
            request_id: "request".into(),
            at: at(seconds),
        };
        found_out(store, &tenant, "ada@x.example", Reason::HardBounce, NOON).await;
        assert_eq!(store.run(unsubscribe(1)).await.expect("run"), UnsubscribeOutcome::Suppressed);
        assert_eq!(store.run(unsubscribe(2)).await.expect("run"), UnsubscribeOutcome::AlreadySuppressed);
        let entry = find(store, &tenant, "ada@x.example", at(3)).await.expect("suppressed");
        assert_eq!((entry.reason, &*entry.source, entry.grant_id), (Reason::Unsubscribe, "one_click", Some(grant)));
        let events = crate::support::all_events(store).await;
        let told: Vec<_> = events.iter().filter(|one| one.event.trigger == Trigger::MessageUnsubscribed).collect();
        assert_eq!(told.len(), 1, "once");
        let data: Value = serde_json::from_str(&told[0].event.data).expect("facts");
        assert_eq!(data, json!({"at": at(1).as_seconds(), "recipient": "ada@x.example", "source": "one_click"}));
        assert_eq!((told[0].event.grant_id, told[0].event.application_id), (grant, tenant.application));
        let records = records(store, &tenant).await;
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].1.as_str(), &records[0].3["source"]), ("ada@x.example", &json!("one_click")));
        let command = submission(store, &tenant, grant, &["ada@x.example"], at(4)).await;
        assert!(matches!(store.run(command).await, Ok(SubmitOutcome::Refused(_))));

        let another = crate::support::tenant(store, "self_hosted", None).await;
        let gone = Unsubscribe { application_id: another.application, ..unsubscribe(5) };
        let scope = Scope::Of(another.organization);
        let removal = RemoveApplication { act: another.act(at(5)), id: another.application, scope };
        found_out(store, &another, "x@x.example", Reason::Complaint, at(5)).await;
        assert_eq!(store.run(removal).await.expect("remove"), RemoveOutcome::Removed);
        assert_eq!(store.run(gone).await.expect("run"), UnsubscribeOutcome::ApplicationGone);
        assert_eq!(number(store, "SELECT count(*) FROM suppressions", &[]).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_wants_recipients_looked_at_is_asked_once_and_obeyed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let mut command = crate::support::organization("self_hosted", None);
        let id = PolicyId::from_uuid(fresh());
        command.policy = Some(Policy::new(id, command.application_id, "P", PolicyLimits::default(), NOON));
        let tenant = Tenant {
            organization: command.id,
            application: command.application_id,
            workspace: command.workspace_id,
            domain: command.domains[0].name.clone(),
        };
        store.run(command).await.expect("organization");
        let grant = tenant.mailbox(store, "a").await;
        let set = async |options: Value| {
            let options = options.as_object().cloned().expect("object");
            let change = PolicyChange { options: Patch::Set(options), ..PolicyChange::default() };
            let update = UpdatePolicy { act: tenant.act(NOON), application_id: tenant.application, id, change };
            store.run(update).await.expect("update");
        };
        let send = async |undeliverable| {
            let command = submission(store, &tenant, grant, &["ada@x.example"], at(1)).await;
            store.run(Submit { undeliverable, ..command }).await.expect("submit")
        };
        assert!(matches!(send(None).await, SubmitOutcome::Accepted { .. }), "nobody wants it");
        set(json!({"validate_recipients": true})).await;
        assert_eq!(send(None).await, SubmitOutcome::Unvalidated);
        assert_eq!(queue_rows(store).await, 1, "nothing was done");
        assert!(matches!(send(Some(Vec::new())).await, SubmitOutcome::Accepted { .. }));
        let nowhere = Undeliverable { address: address("ada@x.example"), why: "is nowhere" };
        let outcome = send(Some(vec![nowhere])).await;
        let SubmitOutcome::Refused(problem) = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            (problem.code, &*problem.public),
            ("recipient_undeliverable", "mail cannot reach: ada@x.example is nowhere")
        );
        set(json!({"validate_recipients": null})).await;
        assert!(matches!(send(None).await, SubmitOutcome::Accepted { .. }));
    })
    .await;
}

#[tokio::test]
async fn a_text_is_imported_with_a_reason_and_an_end_for_each() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        added(store, add(&tenant, &["ada@x.example", "bob@x.example"], NOON)).await;
        let import = |entries: &[(&str, Reason, Option<UnixMicros>)], seconds| ImportSuppressions {
            act: tenant.act(at(seconds)),
            application_id: tenant.application,
            entries: entries.iter().map(|(text, reason, end)| (address(text), *reason, *end)).collect(),
        };
        let entries = [
            ("Ada@x.example", Reason::Complaint, None),
            ("bob@x.example", Reason::Manual, None),
            ("cy@x.example", Reason::HardBounce, Some(at(100))),
            ("cy@x.example", Reason::Unsubscribe, Some(at(200))),
        ];
        let done = store.run(import(&entries, 1)).await.expect("run");
        assert_eq!(done, Some(Imported { added: 1, changed: 1 }));
        let cy = find(store, &tenant, "cy@x.example", at(2)).await.expect("suppressed");
        assert_eq!((cy.reason, &*cy.source, cy.expires_at), (Reason::Unsubscribe, "import", Some(at(200))), "the last");
        assert_eq!(reason(store, &tenant, "ada@x.example", at(2)).await, Some(Reason::Complaint));
        assert_eq!(find(store, &tenant, "bob@x.example", at(2)).await.expect("as it was").source, "api");
        assert_eq!(find(store, &tenant, "cy@x.example", at(200)).await, None);
        // What is as wanted leaves no record.
        assert_eq!(store.run(import(&entries[..2], 3)).await.expect("run"), Some(Imported::default()));
        let records = records(store, &tenant).await;
        assert_eq!(records.len(), 2);
        let wanted = json!({"count": 2, "addresses": ["Ada@x.example", "cy@x.example"],
            "reasons": {"complaint": 1, "unsubscribe": 1}, "source": "import"});
        assert_eq!(records[1].3, wanted);
        let gone = ImportSuppressions { application_id: ApplicationId::from_uuid(fresh()), ..import(&entries, 4) };
        assert_eq!(store.run(gone).await.expect("run"), None);
    })
    .await;
}

#[tokio::test]
async fn a_hard_bounce_ends_when_the_operator_says() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for (until, found) in [(Some(at(50)), Some(at(50))), (None, None)] {
            let id = tenant.submit(store, grant, 1, NOON).await;
            let taken = claim("worker", NOON, 10);
            let lease = taken.lease.id;
            let rows = store.run(taken).await.expect("claim").rows;
            let hard = Report { bounce: BounceType::UnknownUser, ..report(&rows[0], bounced(), true) };
            let mut command = record(lease, vec![hard], id, at(1));
            command.suppressed_until = until;
            store.run(command).await.expect("record");
            let to = rows[0].recipient.to_string();
            let entry = find(store, &tenant, &to, at(2)).await.expect("suppressed");
            assert_eq!((entry.reason, entry.expires_at), (Reason::HardBounce, found));
            store.run(remove(&tenant, &to, at(3))).await.expect("remove");
        }
    })
    .await;
}
