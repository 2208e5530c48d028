//! Judging what comes in by rules: in the transaction that files it, for each recipient, all of it deferred where one cannot be
//! decided; and the sender before that.

use crate::refused_mail::list;
use crate::rule_case::{Case, is};
use crate::support::{NOON, Statement, all_events, at, fresh, listed, number, on_each_engine};
use postfleet_core::event::Trigger;
use postfleet_core::id::{EvaluationId, EventId, FolderId, GrantId, RefusalId};
use postfleet_core::refused_mail::{KEPT_A_DAY_MAX, Stage};
use postfleet_core::rule::{Found, Input, Judgement, Verdict};
use postfleet_core::{EmailAddress, Problem, ReversePath};
use postfleet_store::folders::{self, CreateFolder};
use postfleet_store::judging::judge_sender;
use postfleet_store::messages::{Deliver, Received};
use postfleet_store::refused_mail::{Concerning, Page, Refused};
use postfleet_store::{grants, params};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

impl Case<'_> {
    async fn block(&self, field: &str, value: &str) -> Uuid {
        self.add_rule("enforce", is(field, value), json!([{"type": "block"}])).await
    }

    /// A message by an author for some mailboxes.
    async fn message(&self, grants: &[GrantId], author: &str, found: Found) -> Deliver {
        let mut command = self.tenant.received(self.store, grants, NOON).await;
        let author = EmailAddress::parse(author).expect("address");
        let concerning = Arc::new(Concerning {
            stage: Stage::Data,
            reverse_path: ReversePath::Null,
            author: Some(author.clone()),
            message_id_header: None,
            octets: Some(command.facts.octets),
            ip: None,
            at: NOON,
        });
        for copy in &mut command.copies {
            copy.received = Some(Box::new(Received {
                input: Input::received([&author], found.clone()),
                evaluation_id: EvaluationId::from_uuid(fresh()),
                refusal_id: RefusalId::from_uuid(fresh()),
                recipient: self.tenant.address("a"),
                concerning: concerning.clone(),
            }));
        }
        command
    }

    /// Files a message for the mailbox; "" if it was, otherwise the code of the refusal.
    async fn receive(&self, author: &str) -> &'static str {
        self.deliver(self.message(&[self.grant], author, Found::default()).await)
            .await
            .err()
            .map_or("", |problem| problem.code)
    }

    async fn deliver(&self, command: Deliver) -> Result<usize, Problem> {
        self.store.run(command).await.expect("deliver").map(|filed| filed.len())
    }

    /// What the rules say of an envelope sender; none if there is nothing to ask.
    async fn sender(&self, sender: &str) -> Option<Judgement> {
        let mut reader = self.store.reader().await.expect("reader");
        let mailbox = grants::receiving(&mut reader, &self.tenant.address("a")).await.expect("find").expect("mailbox");
        let input = Input::inbound(Some(&EmailAddress::parse(sender).expect("address")));
        judge_sender(self.store, &mut reader, &mailbox.rules?, &input).await.expect("judge")
    }

    async fn verdict(&self, sender: &str) -> Option<Verdict> {
        self.sender(sender).await.map(|judgement| judgement.verdict)
    }

    async fn refused(&self, grant_id: GrantId) -> Vec<Refused> {
        list(self.store, Page { grant_id, sender: None, code: None, before: None, limit: 1_000 }).await
    }

    /// The records of a mailbox, the first one first: message, applied, matched.
    async fn records(&self, grant: GrantId) -> Vec<(Option<Uuid>, Value, Value)> {
        const ALL: &str =
            "SELECT message_id, applied, matched, stage FROM rule_evaluations WHERE grant_id = $1 ORDER BY id";
        let mut reader = self.store.reader().await.expect("reader");
        let rows = reader.query(ALL, params![grant.uuid()]).await.expect("query");
        let value = |text: String| serde_json::from_str(&text).expect("JSON");
        let read = |row: &postfleet_store::db::Row| {
            assert_eq!(row.text(3).expect("stage"), "inbox_processing");
            let (applied, matched) = (value(row.text(1).expect("text")), value(row.text(2).expect("text")));
            (row.opt_uuid(0).expect("id"), applied, matched)
        };
        rows.iter().map(read).collect()
    }

    /// Asserts that a mailbox has so many messages, and that nothing else of it says otherwise.
    async fn assert_has(&self, grant: GrantId, messages: usize) {
        const MAILBOX: &str = "SELECT event_sequence FROM mailboxes WHERE grant_id = $1";
        const OCTETS: &str = "SELECT m.storage_octets - (SELECT CAST(coalesce(sum(octets), 0) AS {int}) \
            FROM messages WHERE grant_id = m.grant_id) FROM mailboxes m WHERE m.grant_id = $1";
        assert_eq!(listed(self.store, grant, "").await.len(), messages);
        let sequences: Vec<u64> = all_events(self.store)
            .await
            .iter()
            .filter(|event| event.event.grant_id == grant)
            .map(|event| event.event.grant_sequence)
            .collect();
        assert_eq!(sequences, (1..=messages as u64 + 1).collect::<Vec<_>>(), "no gaps");
        assert_eq!(number(self.store, MAILBOX, params![grant.uuid()]).await, messages as i64 + 1);
        assert_eq!(number(self.store, OCTETS, params![grant.uuid()]).await, 0, "what is kept is what is counted");
    }
}

fn in_list(list: Uuid) -> Value {
    json!([{"field": "from.domain", "operator": "in_list", "value": [list.to_string()]}])
}

#[tokio::test]
async fn what_a_rule_blocks_is_not_stored_and_one_record_says_why() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "inbound").await;
        let rule = case.block("from.domain", "bad.example").await;
        assert_eq!(case.receive("Eve@Bad.Example").await, "blocked_by_rule");
        case.assert_has(case.grant, 0).await;
        assert_eq!(number(case.store, "SELECT count(*) FROM blobs", &[]).await, 0);
        assert_eq!(
            number(case.store, "SELECT CAST(coalesce(sum(stored + octets_in), 0) AS {int}) FROM usage", &[]).await,
            0
        );
        let records = case.records(case.grant).await;
        assert_eq!(records, [(None, json!({"blocked": true}), json!([rule.to_string()]))]);
        let refused = case.refused(case.grant).await;
        let [one] = refused.as_slice() else { panic!("{refused:?}") };
        assert_eq!(
            (one.code.as_str(), one.outcome.as_str(), one.stage.as_str()),
            ("blocked_by_rule", "refused", "data")
        );
        assert_eq!(one.author.as_deref(), Some("eve@bad.example"));
        assert!(one.evaluation_id.is_some());

        assert_eq!(case.receive("ada@good.example").await, "");
        case.assert_has(case.grant, 1).await;
        let (message, applied, matched) = case.records(case.grant).await.pop().expect("a record");
        assert_eq!((message.is_some(), applied, matched), (true, json!({}), json!([])));
    })
    .await;
}

#[tokio::test]
async fn without_rules_for_it_nothing_is_recorded() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "inbound").await;
        assert_eq!((case.receive("eve@bad.example").await, case.verdict("eve@bad.example").await), ("", None));
        case.block("from.domain", "other.example").await;
        case.remove_rules().await;
        assert_eq!((case.receive("eve@bad.example").await, case.verdict("eve@bad.example").await), ("", None));
        case.block("from.domain", "other.example").await;
        case.store.run(Statement("UPDATE rules SET direction = 'outbound'")).await.expect("turn");
        case.store.run(Statement("UPDATE applications SET rules_version = rules_version + 1")).await.expect("say so");
        assert_eq!((case.receive("eve@bad.example").await, case.verdict("eve@bad.example").await), ("", None));
        assert_eq!(case.records(case.grant).await, []);
        case.assert_has(case.grant, 3).await;
    })
    .await;
}

#[tokio::test]
async fn actions_of_all_matching_rules_shape_the_copy_in_their_order() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "inbound").await;
        let folder = |name: &str| json!({"type": "assign_to_folder", "value": name});
        let second = json!([folder("archive"), {"type": "mark_as_read"}]);
        let second = case.add_rule_at(20, "enforce", is("from.tld", "example"), second).await;
        let first = json!([folder("No/Such"), folder("Inbox"), {"type": "mark_as_starred"}]);
        let first = case.add_rule_at(5, "enforce", is("message.mark", "first_contact"), first).await;
        let watching =
            case.add_rule_at(1, "shadow", is("authentication.dmarc", "fail"), json!([{"type": "trash"}])).await;
        let found = Found { dmarc: "fail", marks: vec!["first_contact"], ..Found::default() };
        assert_eq!(case.deliver(case.message(&[case.grant], "ada@good.example", found).await).await, Ok(1));
        let copy = listed(case.store, case.grant, "").await.remove(0);
        assert_eq!(
            (copy.folders, copy.unread, copy.starred),
            (vec!["inbox".to_owned(), "archive".to_owned()], false, true)
        );
        let (message, applied, matched) = case.records(case.grant).await.remove(0);
        assert_eq!(message, Some(copy.id.uuid()));
        let expected = json!({"marked_as_read": true, "marked_starred": true, "folder_ids": ["inbox", "archive"]});
        assert_eq!((applied, matched), (expected, json!([first.to_string(), second.to_string()])));
        const SHADOW: &str = "SELECT count(*) FROM rule_evaluations WHERE shadow LIKE $1";
        assert_eq!(number(case.store, SHADOW, params![&format!("%{watching}%")]).await, 1);
    })
    .await;
}

#[tokio::test]
async fn folders_are_assigned_by_id_name_and_path_and_those_of_the_policy_are_made_once() {
    on_each_engine(async |engine| {
        let case = Case::under_policy(engine, "inbound").await;
        let options =
            r#"UPDATE policies SET options = '{"additional_folders":["Invoices",{"name":"Later"},7,"inbox"]}'"#;
        case.store.run(Statement(options)).await.expect("options");
        let own = FolderId::from_uuid(fresh());
        let make = CreateFolder {
            application_id: case.tenant.application,
            grant_id: case.grant,
            id: own,
            name: "Clients/Acme".to_owned(),
            event_id: EventId::from_uuid(fresh()),
            at: NOON,
        };
        case.store.run(make).await.expect("make");
        let folder = |name: &str| json!({"type": "assign_to_folder", "value": name});
        for (domain, names) in [
            ("id.example", vec![own.to_string()]),
            ("name.example", vec!["CLIENTS/acme".to_owned()]),
            ("path.example", vec!["/Clients/Acme/".to_owned(), "No/Such".to_owned()]),
            ("made.example", vec!["invoices".to_owned(), own.to_string()]),
        ] {
            let actions = names.iter().map(|name| folder(name)).collect();
            case.add_rule("enforce", is("from.domain", domain), actions).await;
        }
        let filed = async |author: &str| {
            let before = listed(case.store, case.grant, "").await.len();
            assert_eq!(case.deliver(case.message(&[case.grant], author, Found::default()).await).await, Ok(1));
            let all = listed(case.store, case.grant, "").await;
            assert_eq!(all.len(), before + 1);
            let (_, applied, _) = case.records(case.grant).await.pop().expect("a record");
            let newest = all.into_iter().max_by_key(|message| message.id).expect("a message");
            assert_eq!(applied["folder_ids"], json!(newest.folders), "{author}");
            newest.folders
        };
        for author in ["a@id.example", "a@name.example", "a@path.example"] {
            assert_eq!(filed(author).await, [own.to_string()], "{author}");
        }
        let made = filed("a@made.example").await;
        assert_eq!((made.len(), &made[1]), (2, &own.to_string()));
        assert_eq!(filed("b@made.example").await, made, "it is made once");
        let mut reader = case.store.reader().await.expect("reader");
        let found = folders::find(&mut reader, case.grant, "INVOICES").await.expect("find").expect("a folder");
        assert_eq!((found.name.as_str(), found.id.to_string(), found.total), ("Invoices", made[0].clone(), 2));
        drop(reader);
        let told: Vec<_> = all_events(case.store).await.into_iter().map(|event| event.event).collect();
        let of_folders: Vec<_> = told.iter().filter(|event| event.trigger == Trigger::FolderCreated).collect();
        assert_eq!(of_folders.len(), 2);
        let of_grant: Vec<u64> =
            told.iter().filter(|event| event.grant_id == case.grant).map(|event| event.grant_sequence).collect();
        assert!(of_grant.is_sorted(), "{of_grant:?}");
    })
    .await;
}

#[tokio::test]
async fn what_goes_into_junk_is_marked_in_the_log() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "inbound").await;
        let junk = json!([{"type": "mark_as_spam"}]);
        case.add_rule("enforce", json!([{"field": "spam.score", "operator": "at_least", "value": "5"}]), junk).await;
        for (score, folder) in [(499, "inbox"), (500, "junk"), (-1, "inbox")] {
            let found = Found { spam_score: score, ..Found::default() };
            assert_eq!(case.deliver(case.message(&[case.grant], "ada@good.example", found).await).await, Ok(1));
            let event = all_events(case.store).await.pop().expect("an event").event;
            assert_eq!(event.is_of_junk(), folder == "junk", "{score}");
        }
        assert_eq!(listed(case.store, case.grant, "junk").await.len(), 1);
        // What the spam checks put into junk, a rule takes out.
        let out = json!([{"type": "assign_to_folder", "value": "Inbox"}]);
        case.add_rule("enforce", is("from.domain", "friend.example"), out).await;
        for (author, folder) in [("ada@friend.example", "inbox"), ("ada@other.example", "junk")] {
            let mut command = case.message(&[case.grant], author, Found::default()).await;
            command.copies[0].placement.folders = vec!["junk".to_owned()];
            assert_eq!(case.deliver(command).await, Ok(1));
            let event = all_events(case.store).await.pop().expect("an event").event;
            assert_eq!(event.is_of_junk(), folder == "junk", "{author}");
        }
    })
    .await;
}

#[tokio::test]
async fn each_recipient_is_judged_by_its_own_workspace_and_one_answer_is_given() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "inbound").await;
        let other = Case::new(engine, "inbound").await;
        let theirs = other.grant;
        case.block("from.domain", "bad.example").await;
        let mut both = [case.grant, theirs];
        both.sort_unstable();
        let message = async |author| {
            let mut command = case.message(&both, author, Found::default()).await;
            for copy in command.copies.iter_mut().filter(|filing| filing.copy.grant_id == theirs) {
                copy.copy.application_id = other.tenant.application;
            }
            command
        };
        // For some: their copies are left out.
        assert_eq!(case.deliver(message("eve@bad.example").await).await, Ok(1));
        case.assert_has(case.grant, 0).await;
        case.assert_has(theirs, 1).await;
        assert_eq!(case.refused(case.grant).await[0].outcome, "dropped");
        assert_eq!(number(case.store, "SELECT copies FROM blobs", &[]).await, 1);
        assert_eq!(case.records(theirs).await, [], "they have no rules");
        // For all: it is refused.
        other.block("from.address", "eve@bad.example").await;
        assert_eq!(case.deliver(message("eve@bad.example").await).await.expect_err("blocked").code, "blocked_by_rule");
        assert_eq!(
            (case.refused(case.grant).await[0].outcome.as_str(), case.refused(theirs).await.len()),
            ("refused", 1)
        );
        // Undecidable for one: nobody gets it, whatever the others' rules say, and it is recorded for that one alone.
        let their_list = other.add_list().await;
        other.add_rule("enforce", in_list(their_list), json!([{"type": "block"}])).await;
        case.store.run(Statement("ALTER TABLE list_items RENAME TO gone")).await.expect("break");
        for author in ["ada@good.example", "mal@bad.example"] {
            let problem = case.deliver(message(author).await).await.expect_err("deferred");
            assert_eq!(problem.code, "rules_undecidable", "{author}");
        }
        assert_eq!((case.refused(case.grant).await.len(), case.refused(theirs).await.len()), (2, 3));
        let refused = &case.refused(theirs).await[0];
        assert_eq!((refused.outcome.as_str(), refused.code.as_str()), ("deferred", "rules_undecidable"));
        let (message_id, applied, _) = case.records(theirs).await.pop().expect("a record");
        assert_eq!((message_id, applied), (None, json!({"blocked": true, "blocked_by_evaluation_error": true})));
        case.assert_has(case.grant, 0).await;
        case.assert_has(theirs, 1).await;
        // When it comes again it is decided.
        case.store.run(Statement("ALTER TABLE gone RENAME TO list_items")).await.expect("mend");
        assert_eq!(case.deliver(message("ada@good.example").await).await, Ok(2));
        assert_eq!(case.deliver(message("mal@bad.example").await).await, Ok(1));
    })
    .await;
}

#[tokio::test]
async fn a_lookup_that_fails_defers_where_a_rule_blocks_and_nowhere_else() {
    const BREAKS: [[&str; 2]; 4] = [
        ["ALTER TABLE list_items RENAME TO gone", "ALTER TABLE gone RENAME TO list_items"],
        ["ALTER TABLE lists RENAME TO gone", "ALTER TABLE gone RENAME TO lists"],
        ["ALTER TABLE rules RENAME TO gone", "ALTER TABLE gone RENAME TO rules"],
        ["UPDATE rules SET priority = priority + 100000", "UPDATE rules SET priority = priority - 100000"],
    ];
    on_each_engine(async |engine| {
        let case = Case::new(engine, "inbound").await;
        let list = case.add_list().await;
        case.add_rule("enforce", in_list(list), json!([{"type": "block"}])).await;
        for [fails, works] in BREAKS {
            case.store.run(Statement(fails)).await.expect("break");
            assert_eq!(case.verdict("x@good.example").await, Some(Verdict::Undecidable), "{fails}");
            assert_eq!(case.receive("x@good.example").await, "rules_undecidable", "{fails}");
            case.store.run(Statement(works)).await.expect("mend");
            case.assert_has(case.grant, 0).await;
        }
        assert_eq!(case.records(case.grant).await.len(), 4);
        assert_eq!(
            (case.receive("x@good.example").await, case.verdict("x@good.example").await),
            ("", Some(Verdict::Pass))
        );
        // What is in memory needs no lookup.
        case.refresh().await;
        case.store.run(Statement(BREAKS[0][0])).await.expect("break");
        assert_eq!(
            (case.receive("x@good.example").await, case.verdict("x@good.example").await),
            ("", Some(Verdict::Pass))
        );
        case.store.run(Statement(BREAKS[0][1])).await.expect("mend");
        // Where no rule blocks, nothing is deferred.
        case.remove_rules().await;
        case.add_rule("enforce", in_list(list), json!([{"type": "trash"}])).await;
        case.store.run(Statement(BREAKS[0][0])).await.expect("break");
        assert_eq!((case.receive("x@good.example").await, case.verdict("x@good.example").await), ("", None));
        case.store.run(Statement(BREAKS[0][1])).await.expect("mend");
        case.assert_has(case.grant, 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_binds_the_next_sender_and_the_next_message_whatever_is_in_memory() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "inbound").await;
        let list = case.add_list().await;
        case.add_rule("enforce", in_list(list), json!([{"type": "block"}])).await;
        for round in 0..6 {
            let sender = format!("x@d{round}.example");
            assert_eq!(
                (case.receive(&sender).await, case.verdict(&sender).await),
                ("", Some(Verdict::Pass)),
                "{round}"
            );
            case.add_items(list, [format!("d{round}.example")]).await;
            let now = (case.receive(&sender).await, case.verdict(&sender).await);
            assert_eq!(now, ("blocked_by_rule", Some(Verdict::Block)), "{round}");
            if round % 2 == 0 {
                case.refresh().await;
            }
            let now = (case.receive(&sender).await, case.verdict(&sender).await);
            assert_eq!(now, ("blocked_by_rule", Some(Verdict::Block)), "{round}, read anew");
        }
        case.assert_has(case.grant, 6).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_rule_is_acknowledged_nothing_it_blocks_is_filed() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "inbound").await;
        case.block("from.domain", "other.example").await;
        case.refresh().await;
        let mut messages = Vec::new();
        for _ in 0..60 {
            messages.push(case.message(&[case.grant], "eve@bad.example", Found::default()).await);
        }
        let later = messages.split_off(30);
        let store = case.store.clone();
        let before = tokio::spawn(async move { crate::support::at_once(&store, messages).await });
        case.block("from.domain", "bad.example").await;
        // Whatever of the first was filed came before the rule; of those that begin now, nothing is.
        let after = crate::support::at_once(case.store, later).await;
        assert!(after.iter().all(|outcome| outcome.as_ref().is_err_and(|problem| problem.code == "blocked_by_rule")));
        let before = before.await.expect("task");
        case.assert_has(case.grant, before.iter().filter(|outcome| outcome.is_ok()).count()).await;
        let blocked = 30 + before.iter().filter(|outcome| outcome.is_err()).count() as u64;
        assert_eq!(case.refused(case.grant).await.iter().map(|refused| refused.times).sum::<u64>(), blocked);
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_blocked_mail_keeps_a_bounded_number_of_records() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "inbound").await;
        case.block("from.domain", "bad.example").await;
        let mut messages = Vec::new();
        for _ in 0..(KEPT_A_DAY_MAX + 40) {
            messages.push(case.message(&[case.grant], "eve@bad.example", Found::default()).await);
        }
        let outcomes = crate::support::at_once(case.store, messages).await;
        assert!(outcomes.iter().all(Result::is_err));
        let kept = KEPT_A_DAY_MAX as usize;
        assert_eq!((case.refused(case.grant).await.len(), case.records(case.grant).await.len()), (kept, kept));
        assert_eq!(
            case.refused(case.grant).await.iter().map(|refused| refused.times).sum::<u64>(),
            KEPT_A_DAY_MAX + 40
        );
        case.assert_has(case.grant, 0).await;
        assert_eq!(case.refused(case.grant).await[0].last_at, at(0));
    })
    .await;
}
