//! Judging what is sent by rules: what a transaction sees decides, memory only makes it fast, failures fail closed.

use crate::rule_case::{Case, Change, Of, is};
use crate::support::{NOON, Statement, daily_sends, fresh, listed, number, on_each_engine, queue_rows};
use postfleet_core::EmailAddress;
use postfleet_core::id::QueueId;
use postfleet_core::rule::{Direction, Input, OutboundType, Verdict};
use postfleet_store::evaluations::describe;
use postfleet_store::judging::{refresh_once, try_out};
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::params;
use postfleet_store::rules::of_workspace;
use serde_json::{Value, json};
use uuid::Uuid;

impl Case<'_> {
    /// A rule that blocks mail to domains in a list.
    async fn block_list(&self, list: Uuid) -> Uuid {
        self.add_rule("enforce", in_list(list), json!([{"type": "block"}])).await
    }

    async fn submission(&self, to: &str) -> Submit {
        let submission = self.tenant.submission(self.store, self.grant, 0, NOON).await;
        let recipient = (QueueId::from_uuid(fresh()), EmailAddress::parse(to).expect("address"));
        Submit { recipients: vec![recipient], sender: self.tenant.address("a"), ..submission }
    }

    /// Sends; "" if that is accepted, otherwise the code of the refusal.
    async fn send(&self, to: &str) -> &'static str {
        code(self.store.run(self.submission(to).await).await.expect("submit"))
    }

    /// The newest record: message, input, applied, matched, shadow.
    async fn record(&self) -> (Option<Uuid>, [Value; 4]) {
        const NEWEST: &str = "SELECT message_id, input, applied, matched, shadow FROM rule_evaluations \
            WHERE grant_id = $1 AND stage = 'outbound_send' ORDER BY id DESC LIMIT 1";
        let mut reader = self.store.reader().await.expect("reader");
        let row = reader.query_one(NEWEST, params![self.grant.uuid()]).await.expect("query").expect("a record");
        let value = |column| serde_json::from_str(&row.text(column).expect("text")).expect("JSON");
        (row.opt_uuid(0).expect("id"), [value(1), value(2), value(3), value(4)])
    }

    async fn count_records(&self) -> i64 {
        number(self.store, "SELECT count(*) FROM rule_evaluations", &[]).await
    }

    async fn assert_untouched(&self) {
        assert_eq!((queue_rows(self.store).await, daily_sends(self.store, self.grant, NOON).await), (0, 0));
        assert_eq!(number(self.store, "SELECT count(*) FROM outbound", &[]).await, 0);
        assert_eq!(number(self.store, "SELECT count(*) FROM messages", &[]).await, 0);
        assert_eq!(number(self.store, "SELECT count(*) FROM blobs", &[]).await, 0);
        assert!(listed(self.store, self.grant, "").await.is_empty(), "no copy");
    }
}

fn code(outcome: SubmitOutcome) -> &'static str {
    match outcome {
        SubmitOutcome::Accepted { .. } => "",
        SubmitOutcome::Refused(problem) => problem.code,
        other => panic!("not judged: {other:?}"),
    }
}

fn in_list(list: Uuid) -> Value {
    json!([{"field": "recipient.domain", "operator": "in_list", "value": [list.to_string()]}])
}

#[tokio::test]
async fn what_is_blocked_leaves_a_record_and_nothing_else() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "outbound").await;
        let rule = case.add_rule("enforce", is("recipient.domain", "bad.example"), json!([{"type": "block"}])).await;
        assert_eq!(case.send("Ada@Bad.Example").await, "blocked_by_rule");
        case.assert_untouched().await;
        let (message, [input, applied, matched, shadow]) = case.record().await;
        assert_eq!(message, None);
        let domain = case.tenant.domain.as_str();
        let expected = json!({"from_address": format!("a@{domain}"), "from_domain": domain, "from_tld": "example",
            "recipient_addresses": ["ada@bad.example"], "recipient_domains": ["bad.example"],
            "recipient_tlds": ["example"], "outbound_type": "compose"});
        assert_eq!(input, expected);
        assert_eq!((applied, matched), (json!({"blocked": true}), json!([rule.to_string()])));
        assert_eq!(shadow, json!({"matched_rule_ids": [], "actions": {}}));

        assert_eq!(case.send("ada@good.example").await, "");
        let (message, [_, applied, matched, _]) = case.record().await;
        assert_eq!(message.map(|_| (applied, matched)), Some((json!({}), json!([]))));
        assert_eq!((case.count_records().await, queue_rows(case.store).await), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn without_rules_nothing_is_recorded() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "outbound").await;
        assert_eq!(case.send("ada@bad.example").await, "");
        // Rules of what arrives are none of what is sent, and what is disabled is none at all.
        let conditions = is("from.tld", "example");
        let (inbound, statements) = case.rule("enforce", &conditions, &json!([{"type": "block"}]));
        case.change(statements).await;
        let (disabled, statements) = case.rule("enforce", &conditions, &json!([{"type": "block"}]));
        case.change(statements).await;
        case.change(vec![("UPDATE rules SET direction = 'inbound' WHERE id = $1", vec![Of::Id(inbound)])]).await;
        case.change(vec![("UPDATE rules SET enabled = 0 WHERE id = $1", vec![Of::Id(disabled)])]).await;
        assert_eq!(case.send("ada@bad.example").await, "");
        case.refresh().await;
        assert_eq!((case.send("ada@bad.example").await, case.count_records().await), ("", 0));
    })
    .await;
}

#[tokio::test]
async fn actions_shape_the_sent_copy() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "outbound").await;
        let folder = |name: &str| json!({"type": "assign_to_folder", "value": name});
        let actions = json!([folder("No/Such"), folder("Inbox"), {"type": "archive"}, {"type": "mark_as_starred"}]);
        let rule = case.add_rule("enforce", is("outbound.type", "compose"), actions).await;
        let watching = json!([{"type": "block"}]);
        let watching = case.add_rule("shadow", is("recipient.tld", "example"), watching).await;
        assert_eq!(case.send("ada@good.example").await, "");
        let (message, [_, applied, matched, shadow]) = case.record().await;
        let expected = json!({"archived": true, "marked_starred": true, "folder_ids": ["inbox"]});
        assert_eq!((applied, matched), (expected, json!([rule.to_string()])));
        let expected = json!({"matched_rule_ids": [watching.to_string()], "actions": {"blocked": true}});
        assert_eq!(shadow, expected);
        for (place, count) in [("", 1), ("inbox", 1), ("archive", 1), ("sent", 0)] {
            assert_eq!(listed(case.store, case.grant, place).await.len(), count, "{place}");
        }
        let copy = listed(case.store, case.grant, "").await.remove(0);
        assert_eq!((copy.id.uuid(), copy.starred), (message.expect("a copy"), true));
        assert_eq!(copy.folders, ["inbox", "archive"]);

        let reply = Submit { outbound_type: OutboundType::Reply, ..case.submission("ada@good.example").await };
        assert_eq!(code(case.store.run(reply).await.expect("submit")), "");
        assert_eq!(listed(case.store, case.grant, "sent").await.len(), 1, "an answer is not touched");
    })
    .await;
}

#[tokio::test]
async fn a_change_is_in_force_in_the_next_transaction_whatever_is_in_memory() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "outbound").await;
        let list = case.add_list().await;
        case.block_list(list).await;
        let book = case.store.rule_book();
        let items = |range: std::ops::Range<usize>| range.map(|number| format!("d{number}.example"));
        case.add_items(list, items(0..3)).await;
        let check = async |blocked: &[&str], free: &[&str]| {
            for domain in blocked {
                assert_eq!(case.send(&format!("x@{domain}")).await, "blocked_by_rule", "{domain}");
            }
            for domain in free {
                assert_eq!(case.send(&format!("x@{domain}")).await, "", "{domain}");
            }
        };
        // Each change is looked at before memory knows it, and after.
        assert_eq!((book.pages(), book.items()), (0, 0));
        check(&["d0.example", "d2.example"], &["d3.example", "example"]).await;
        assert!(case.refresh().await > 0);
        assert_eq!((book.pages(), book.items()), (1, 3));
        check(&["d0.example", "d2.example"], &["d3.example", "example"]).await;
        assert_eq!(case.refresh().await, 0, "nothing was missed");

        case.add_items(list, items(3..5)).await;
        case.remove_item(list, "d0.example").await;
        check(&["d1.example", "d4.example"], &["d0.example", "d5.example"]).await;
        // The rules are known anew, the items not yet.
        assert!(refresh_once(case.store).await.expect("refresh"));
        assert_eq!(book.items(), 3);
        check(&["d1.example", "d4.example"], &["d0.example", "d5.example"]).await;
        assert!(case.refresh().await > 0);
        check(&["d1.example", "d4.example"], &["d0.example", "d5.example"]).await;
        assert_eq!(book.items(), 4);
        // Removed and added again.
        case.remove_item(list, "d1.example").await;
        case.add_items(list, items(0..2)).await;
        for _ in 0..2 {
            check(&["d0.example", "d1.example"], &["d5.example"]).await;
            case.refresh().await;
        }
        assert_eq!(book.items(), 5);
        // Removals that nobody remembers any more.
        case.remove_item(list, "d2.example").await;
        case.change(vec![
            ("DELETE FROM list_removals WHERE list_id = $1", vec![Of::Id(list)]),
            ("UPDATE lists SET version = version + 1 WHERE id = $1", vec![Of::Id(list)]),
            ("UPDATE lists SET removals_since = version WHERE id = $1", vec![Of::Id(list)]),
        ])
        .await;
        for _ in 0..2 {
            check(&["d3.example"], &["d2.example"]).await;
            case.refresh().await;
        }
        assert_eq!(book.items(), 4);
        // A list that is gone matches nothing, though its items are still there.
        case.remove_list(list).await;
        for _ in 0..2 {
            check(&[], &["d3.example"]).await;
            case.refresh().await;
        }
        assert_eq!(number(case.store, "SELECT count(*) FROM list_items", &[]).await, 4);
        // And rules that are gone judge nothing.
        let records = case.count_records().await;
        case.change(vec![("DELETE FROM workspace_rules", vec![])]).await;
        check(&[], &["d3.example"]).await;
        assert_eq!(case.count_records().await, records);
    })
    .await;
}

#[tokio::test]
async fn a_long_list_is_read_a_little_at_a_time() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "outbound").await;
        let list = case.add_list().await;
        case.block_list(list).await;
        case.add_items(list, (0..4_500).map(|number| format!("d{number:05}.example"))).await;
        assert_eq!(case.send("x@d04499.example").await, "blocked_by_rule");
        // The rules, and the first of three parts.
        assert!(refresh_once(case.store).await.expect("refresh"));
        assert!(refresh_once(case.store).await.expect("refresh"));
        assert_eq!(case.store.rule_book().items(), 0);
        // While it is read, it changes before and behind the place that was reached.
        case.remove_item(list, "d00001.example").await;
        case.add_items(list, ["a.example".to_owned(), "z.example".to_owned()]).await;
        assert!(case.refresh().await >= 2);
        assert_eq!(case.store.rule_book().items(), 4_501);
        for _ in 0..2 {
            for domain in ["a.example", "z.example", "d00000.example", "d04499.example"] {
                assert_eq!(case.send(&format!("x@{domain}")).await, "blocked_by_rule", "{domain}");
            }
            assert_eq!(case.send("x@d00001.example").await, "");
            case.refresh().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_taken_back_was_never_known() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "outbound").await;
        let blocking =
            |domain: &str| case.rule("enforce", &is("recipient.domain", domain), &json!([{"type": "block"}])).1;
        case.change(blocking("one.example")).await;
        // Within a transaction that fails, a rule is made and judges a message.
        let submission = Box::new(case.submission("x@two.example").await);
        let failing = Change { then: Some(submission), fails: true, ..case.changing(blocking("two.example")) };
        case.store.run(failing).await.expect_err("it fails");
        case.refresh().await;
        assert_eq!(case.send("x@two.example").await, "");
        // The version that it had is given to another rule.
        case.refresh().await;
        case.change(blocking("three.example")).await;
        for _ in 0..2 {
            assert_eq!(case.send("x@two.example").await, "");
            assert_eq!(case.send("x@one.example").await, "blocked_by_rule");
            assert_eq!(case.send("x@three.example").await, "blocked_by_rule");
            case.refresh().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_lookup_that_fails_refuses_for_now_where_a_rule_blocks() {
    const ITEMS: [&str; 2] = ["ALTER TABLE list_items RENAME TO gone", "ALTER TABLE gone RENAME TO list_items"];
    const LISTS: [&str; 2] = ["ALTER TABLE lists RENAME TO gone", "ALTER TABLE gone RENAME TO lists"];
    const RULES: [&str; 2] = ["ALTER TABLE rules RENAME TO gone", "ALTER TABLE gone RENAME TO rules"];
    const MALFORMED: [&str; 2] =
        ["UPDATE rules SET priority = priority + 100000", "UPDATE rules SET priority = priority - 100000"];
    on_each_engine(async |engine| {
        let case = Case::new(engine, "outbound").await;
        let list = case.add_list().await;
        case.block_list(list).await;
        for [fails, works] in [ITEMS, LISTS, RULES, MALFORMED] {
            case.store.run(Statement(fails)).await.expect("break");
            assert_eq!(case.send("x@good.example").await, "rules_undecidable", "{fails}");
            let (message, [_, applied, matched, _]) = case.record().await;
            let expected = json!({"blocked": true, "blocked_by_evaluation_error": true});
            assert_eq!((message, applied, matched), (None, expected, json!([])), "{fails}");
            case.assert_untouched().await;
            case.store.run(Statement(works)).await.expect("mend");
        }
        assert_eq!(case.count_records().await, 4);
        assert_eq!(case.send("x@good.example").await, "");
        assert_eq!(queue_rows(case.store).await, 1);
        // What is in memory needs no lookup.
        case.refresh().await;
        case.store.run(Statement(ITEMS[0])).await.expect("break");
        assert_eq!(case.send("x@good.example").await, "");
        // What blocks for certain is told as that.
        case.add_rule("enforce", is("recipient.domain", "bad.example"), json!([{"type": "block"}])).await;
        assert_eq!(case.send("x@good.example").await, "rules_undecidable");
        assert_eq!(case.send("x@bad.example").await, "blocked_by_rule");
    })
    .await;
}

#[tokio::test]
async fn a_lookup_that_fails_stops_no_mail_where_no_rule_blocks() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "outbound").await;
        let list = case.add_list().await;
        case.add_rule("enforce", in_list(list), json!([{"type": "trash"}])).await;
        case.add_rule("shadow", in_list(list), json!([{"type": "block"}])).await;
        let starring =
            case.add_rule("enforce", is("recipient.tld", "example"), json!([{"type": "mark_as_starred"}])).await;
        case.add_items(list, ["listed.example".to_owned()]).await;
        case.store.run(Statement("ALTER TABLE list_items RENAME TO gone")).await.expect("break");
        assert_eq!(case.send("x@listed.example").await, "");
        let (_, [_, applied, matched, shadow]) = case.record().await;
        assert_eq!((applied, matched), (json!({"marked_starred": true}), json!([starring.to_string()])));
        assert_eq!(shadow, json!({"matched_rule_ids": [], "actions": {}}));
        assert_eq!(listed(case.store, case.grant, "sent").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_message_that_nobody_sends_is_judged_as_one_that_is_sent() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, "outbound").await;
        let (list, other) = (case.add_list().await, case.add_list().await);
        case.block_list(list).await;
        case.add_rule("shadow", in_list(other), json!([{"type": "block"}])).await;
        case.add_rule("enforce", is("recipient.tld", "example"), json!([{"type": "mark_as_starred"}])).await;
        case.add_items(list, ["bad.example".to_owned()]).await;
        case.add_items(other, ["good.example".to_owned()]).await;
        let tried = async |to: &str| {
            let mut reader = case.store.reader().await.expect("reader");
            let rules = of_workspace(&mut reader, case.tenant.workspace).await.expect("rules");
            let rules: Vec<_> = rules.into_iter().map(|kept| kept.named.rule).collect();
            let recipient = EmailAddress::parse(to).expect("address");
            let input = Input::outbound(&case.tenant.address("a"), [&recipient], OutboundType::Compose);
            let trial = try_out(&mut reader, &rules, Direction::Outbound, &input).await.expect("trial");
            let outcomes: Vec<_> = trial.traces.iter().map(|trace| trace.outcome.name()).collect();
            (describe(&input, &trial.judgement), trial.judgement.verdict, outcomes)
        };
        for (to, outcomes) in [
            ("x@bad.example", ["matched", "no_match", "not_reached"]),
            ("x@good.example", ["no_match", "matched", "matched"]),
            ("x@other.test", ["no_match", "no_match", "no_match"]),
        ] {
            let (said, verdict, became) = tried(to).await;
            assert_eq!(became, outcomes, "{to}");
            assert_eq!(case.count_records().await, 0, "nothing is recorded");
            let code = case.send(to).await;
            assert_eq!(code, if verdict == Verdict::Block { "blocked_by_rule" } else { "" }, "{to}");
            let (_, [seen, applied, matched, shadow]) = case.record().await;
            assert_eq!((seen, applied), (said.input, said.applied), "{to}");
            assert_eq!((matched, shadow), (said.matched, said.shadow), "{to}");
            case.store.run(Statement("DELETE FROM rule_evaluations")).await.expect("forget");
        }
        // What could not be looked up is not known, of each list; what comes after is judged all the same.
        case.store.run(Statement("ALTER TABLE list_items RENAME TO gone")).await.expect("break");
        let (_, verdict, outcomes) = tried("x@good.example").await;
        assert_eq!((verdict, outcomes), (Verdict::Undecidable, vec!["undecidable", "undecidable", "matched"]));
        assert_eq!(case.send("x@good.example").await, "rules_undecidable");
    })
    .await;
}
