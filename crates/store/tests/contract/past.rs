//! The mail of the past: each message that was sent or refused is read once, in the order of time, whatever is sent
//! meanwhile; nothing of another application, and nothing that arrived.

use crate::support::{NOON, Tenant, at, fresh, on_each_engine, tenant};
use postfleet_core::id::{EvaluationId, GrantId, ListId, ListItemId, MessageId, RuleId};
use postfleet_core::list::ListKind;
use postfleet_core::rule::{
    Action, Condition, Direction, Field, Input, MatchOperator, Mode, Operand, Operator, OutboundType, Rule, Verdict,
};
use postfleet_core::{EmailAddress, UnixMicros};
use postfleet_store::db::DbError;
use postfleet_store::judging::{Anew, ListChange, Overlay, Sides, refresh_once};
use postfleet_store::lists::{AddItems, CreateList, NewItem};
use postfleet_store::past::{self, Kept, Past, Span};
use postfleet_store::{Command, Store, Tx, params};
use uuid::Uuid;

/// The record of a judgement, as whoever judges writes it.
struct Record {
    id: EvaluationId,
    of: [Uuid; 3],
    message: Option<MessageId>,
    stage: &'static str,
}

impl Command for Record {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO rule_evaluations (id, organization_id, application_id, grant_id, message_id, \
            stage, input, applied, matched, shadow, evaluated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, '{}', '[]', '{}', $8)";
        let input =
            r#"{"from_address": "a@b.example", "recipient_addresses": ["c@bad.example"], "outbound_type": "reply"}"#;
        let [organization, application, grant] = self.of;
        let message = self.message.map(MessageId::uuid);
        let values =
            params![self.id.uuid(), organization, application, grant, message, self.stage, input, NOON.as_micros()];
        tx.execute(INSERT, values).await?;
        Ok(())
    }
}

async fn record(store: &Store, tenant: &Tenant, grant: GrantId, message: Option<MessageId>) -> Uuid {
    let (id, of) = (fresh(), [tenant.organization.uuid(), tenant.application.uuid(), grant.uuid()]);
    let stage = "outbound_send";
    store.run(Record { id: EvaluationId::from_uuid(id), of, message, stage }).await.expect("record");
    id
}

/// Sends a message of which so much is kept beside its copy.
async fn send(store: &Store, tenant: &Tenant, grant: GrantId, summary: &str) -> Uuid {
    let mut command = tenant.submission(store, grant, 1, at(1)).await;
    command.facts.summary = summary.to_owned();
    let id = command.copy.message_id;
    store.run(command).await.expect("sent");
    id.uuid()
}

async fn read(store: &Store, tenant: &Tenant, after: Uuid, limit: usize) -> Vec<Past> {
    read_until(store, tenant, after, at(3_600), limit).await
}

async fn read_until(store: &Store, tenant: &Tenant, after: Uuid, until: UnixMicros, limit: usize) -> Vec<Past> {
    let span = Span { application_id: tenant.application, after, until, limit };
    past::read(&mut store.reader().await.expect("reader"), span).await.expect("past")
}

const SUMMARY: &str = r#"{"subject": "S", "from": [{"email": "Agent@b.example", "name": "A"}], "to": [{"email": "c@D.example"}],
    "bcc": [{"email": "hidden@e.example"}], "snippet": "\u00e9 \"x\""}"#;

#[tokio::test]
async fn each_message_is_there_once_while_others_are_sent() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, stranger) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let grants = [tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await];
        let strange = stranger.mailbox(store, "a").await;
        let mut expected = Vec::new();
        for round in 0..4 {
            let sent = send(store, &tenant, grants[round % 2], SUMMARY).await;
            // Its own record does not make two of it.
            record(store, &tenant, grants[round % 2], Some(MessageId::from_uuid(sent))).await;
            let refused = record(store, &tenant, grants[(round + 1) % 2], None).await;
            expected.extend([sent, refused]);
            send(store, &stranger, strange, SUMMARY).await;
            record(store, &stranger, strange, None).await;
            tenant.deliver(store, grants[0], at(1)).await;
            let of = [tenant.organization.uuid(), tenant.application.uuid(), grants[0].uuid()];
            let id = EvaluationId::from_uuid(fresh());
            store.run(Record { id, of, message: None, stage: "smtp_rcpt" }).await.expect("record");
        }
        for limit in [1, 3, 8, 100] {
            let (mut found, mut after) = (Vec::new(), past::from(NOON));
            loop {
                let page = read(store, &tenant, after, limit).await;
                found.extend(page.iter().map(|past| past.id));
                if page.len() < limit || found.len() > 40 {
                    break;
                }
                after = found[found.len() - 1];
                if found.len() < expected.len() && limit == 3 {
                    // What is sent meanwhile comes at the end.
                    expected.push(send(store, &tenant, grants[0], SUMMARY).await);
                }
            }
            assert_eq!(found, expected, "{limit} at once");
        }
        let removal = tenant.removal(grants[0], at(2));
        store.run(removal).await.expect("removed");
        let left = read(store, &tenant, past::from(NOON), 100).await;
        assert!(!left.is_empty() && left.iter().all(|past| past.grant_id == grants[1]), "the mailbox is gone");
    })
    .await;
}

#[tokio::test]
async fn what_rules_saw_is_read_from_copies_and_records() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let answer = SUMMARY.replacen('{', r#"{"in_reply_to": "x@y", "references": ["x@y"], "#, 1);
        let sent = send(store, &tenant, grant, SUMMARY).await;
        send(store, &tenant, grant, &answer).await;
        let refused = record(store, &tenant, grant, None).await;
        for damaged in ["{}", "no JSON", r#"{"from": [{"email": "no address"}]}"#] {
            send(store, &tenant, grant, damaged).await;
        }
        let found = read(store, &tenant, past::from(NOON), 100).await;
        let address = |text: &str| EmailAddress::parse(text).expect("address");
        let seen = |from: &str, to: &[&str], kind| {
            let to: Vec<EmailAddress> = to.iter().map(|to| address(to)).collect();
            Some(Input::outbound(&address(from), &to, kind))
        };
        let to = ["c@d.example", "hidden@e.example"];
        assert_eq!(found[0].input, seen("agent@b.example", &to, OutboundType::Compose));
        assert_eq!(found[1].input, seen("agent@b.example", &to, OutboundType::Reply));
        assert_eq!(found[2].input, seen("a@b.example", &["c@bad.example"], OutboundType::Reply));
        assert_eq!(found[0].kept, Kept::Sent(MessageId::from_uuid(sent)));
        assert_eq!(found[2].kept, Kept::Refused(EvaluationId::from_uuid(refused)));
        assert_eq!((found[0].at, found[2].at), (at(1), NOON));
        assert_eq!((found[0].workspace_id, found[0].grant_id), (Some(tenant.workspace), grant));
        assert!(found[3..].iter().all(|past| past.input.is_none()) && found.len() == 6);
        // A span has what was made from its beginning on and before its end.
        assert_eq!(read_until(store, &tenant, past::from(NOON), NOON, 100).await, []);
        assert_eq!(read(store, &tenant, past::from(at(3_000)), 100).await, []);
        assert_eq!(read(store, &tenant, found[4].id, 100).await, found[5..]);
    })
    .await;
}

#[tokio::test]
async fn a_list_is_the_present_one_with_values_on_top() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (id, application_id) = (ListId::from_uuid(fresh()), tenant.application);
        let (act, name, kind) = (tenant.act(NOON), "List".to_owned(), ListKind::Domain);
        store.run(CreateList { act, id, application_id, name, description: None, kind }).await.expect("list");
        let items = ["one.example", "two.example"];
        let items = items.map(|value| NewItem { id: ListItemId::from_uuid(fresh()), value: value.into() });
        let add = AddItems { act: tenant.act(NOON), application_id, id, items: items.into() };
        store.run(add).await.expect("items");
        let rule = Rule {
            id: RuleId::from_uuid(fresh()),
            priority: 10,
            is_enabled: true,
            mode: Mode::Enforce,
            direction: Direction::Outbound,
            match_operator: MatchOperator::All,
            conditions: vec![Condition {
                field: Field::RecipientDomain,
                operator: Operator::InList,
                operand: Operand::Lists(vec![id]),
            }],
            actions: vec![Action::Block],
        };
        let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let change = ListChange { added: set(&["new.example"]), removed: set(&["two.example"]) };
        let overlay = Overlay::from([(id, change)]);
        let sides = Sides::new(vec![rule.clone()], None, &overlay);
        let mut reader = store.reader().await.expect("reader");
        let author = tenant.address("a");
        // Read before, and looked up one by one.
        for items_max in [2, 1] {
            let mut anew = Anew::new(store, &overlay, items_max);
            anew.prepare(&mut reader, tenant.workspace, &sides).await.expect("lists");
            for (domain, blocks, would_block) in
                [("one", true, true), ("two", true, false), ("new", false, true), ("other", false, false)]
            {
                let to = [EmailAddress::parse(&format!("x@{domain}.example")).expect("address")];
                let input = Input::outbound(&author, &to, OutboundType::Compose);
                let (before, after) = anew.judge(&mut reader, &sides, &input).await.expect("judged");
                let verdict = |blocks| if blocks { Verdict::Block } else { Verdict::Pass };
                assert_eq!(before.verdict, verdict(blocks), "{domain}");
                assert_eq!(after.expect("a list of it is changed").verdict, verdict(would_block), "{domain}");
            }
        }
        // One that was too long is asked to be held in memory.
        while refresh_once(store).await.expect("refresh") {}
        assert_eq!(store.rule_book().pages(), 1);
        // Where no list of the rules is changed, there is one judgement.
        let untouched = Sides::new(vec![rule], None, &Overlay::new());
        let input = Input::outbound(&author, &[], OutboundType::Compose);
        let mut anew = Anew::new(store, &overlay, 0);
        assert!(anew.judge(&mut reader, &untouched, &input).await.expect("judged").1.is_none());
    })
    .await;
}
