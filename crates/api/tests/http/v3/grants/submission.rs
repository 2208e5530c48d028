//! What mail clients submit by SMTP, as the interface sees it: the same mailbox, the same rules, the same records. How they
//! get in is tested in `smtp`.

use super::send_rules::{Lookups, block, condition, last_record, list, put};
use crate::support::Harness;
use postfleet_core::{EmailAddress, Problem, ProblemKind};
use postfleet_fleet::grants;
use postfleet_mail::trace::Protocol;
use postfleet_mailflow::submit::client::{Submission, send};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

const PLAIN: &str = "From: agent@acme.test\r\nTo: ann@good.test\r\nSubject: Hello\r\n\r\nHi\r\n";

/// Submits a message to an envelope, a second after whatever was before; the id of the sent copy.
pub(crate) async fn submit(harness: &Harness, recipients: &[&str], message: &str) -> Result<String, Problem> {
    harness.world.advance(1);
    let platform = &harness.world.platform;
    let agent = grants::find(&platform.store, harness.acme.application_id, &harness.agent).await.expect("mailbox");
    let submission = Submission {
        recipients: recipients.iter().map(|text| EmailAddress::parse(text).expect("address")).collect(),
        protocol: Protocol { is_extended: true, is_encrypted: true, is_authenticated: true, ..Protocol::default() },
        message: message.as_bytes().to_vec(),
    };
    send(platform, &agent, submission).await.map(|sent| sent.message.id)
}

async fn assert_blocked(harness: &Harness, recipients: &[&str], message: &str) {
    let problem = submit(harness, recipients, message).await.expect_err("must be blocked");
    assert_eq!((problem.kind, problem.code), (ProblemKind::BlockedByRule, "blocked_by_rule"));
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await, Vec::<String>::new());
    assert_eq!(harness.world.deliver_due().await, 0, "nothing is delivered");
}

#[tokio::test]
async fn a_domain_is_blocked_in_the_envelope_whatever_the_header_names() {
    let harness = Harness::new().await;
    let rule = block(&harness, "recipient.domain", "is", "bad.test").await;
    assert_blocked(&harness, &["ann@good.test", "carol@BAD.test"], PLAIN).await;
    let record = last_record(&harness).await;
    assert_eq!((&record["matched_rule_ids"], &record["applied_actions"]), (&json!([rule]), &json!({"blocked": true})));
    assert_eq!(record["evaluation_input"]["recipient_domains"], json!(["good.test", "bad.test"]));
    for header in ["To", "Cc", "Bcc"] {
        let named = PLAIN.replacen("To: ann@good.test", &format!("{header}: carol@bad.test"), 1);
        assert_blocked(&harness, &["carol@bad.test"], &named).await;
    }
    // Whom only the header names gets nothing, so there is nothing to block.
    let named = PLAIN.replacen("ann@good.test", "ann@good.test, carol@bad.test", 1);
    submit(&harness, &["ann@good.test"], &named).await.expect("accepted");
    assert_eq!(last_record(&harness).await["evaluation_input"]["recipient_addresses"], json!(["ann@good.test"]));
}

#[tokio::test]
async fn addresses_and_top_level_domains_of_the_envelope_are_seen_too() {
    let harness = Harness::new().await;
    block(&harness, "recipient.address", "is", "carol@bad.test").await;
    block(&harness, "recipient.tld", "is", "gone").await;
    assert_blocked(&harness, &["ann@good.test", "Carol@Bad.test"], PLAIN).await;
    assert_blocked(&harness, &["ann@good.test", "dave@any.gone"], PLAIN).await;
    submit(&harness, &["ann@good.test", "dave@bad.test"], PLAIN).await.expect("accepted");
}

#[tokio::test]
async fn a_list_is_asked_about_the_envelope_and_what_cannot_be_decided_is_not_sent() {
    let harness = Harness::new().await;
    let list = list(&harness).await;
    block(&harness, "recipient.domain", "in_list", json!([list])).await;
    submit(&harness, &["ann@good.test", "carol@bad.test"], PLAIN).await.expect("accepted");
    harness.post(&format!("/v3/lists/{list}/items"), &json!({"items": ["bad.test"]})).await.is_ok();
    let problem = submit(&harness, &["ann@good.test", "carol@bad.test"], PLAIN).await.expect_err("blocked");
    assert_eq!(problem.kind, ProblemKind::BlockedByRule);

    harness.world.platform.store.run(Lookups { work: false }).await.expect("break");
    let problem = submit(&harness, &["ann@good.test"], PLAIN).await.expect_err("undecidable");
    assert_eq!((problem.kind, problem.code), (ProblemKind::Undecidable, "rules_undecidable"));
    let record = last_record(&harness).await;
    assert_eq!(record["applied_actions"], json!({"blocked": true, "blocked_by_evaluation_error": true}));
    harness.world.platform.store.run(Lookups { work: true }).await.expect("mend");
    submit(&harness, &["ann@good.test"], PLAIN).await.expect("accepted");
}

#[tokio::test]
async fn answers_may_be_sent_where_new_conversations_may_not() {
    let harness = Harness::new().await;
    block(&harness, "outbound.type", "is", "compose").await;
    assert_blocked(&harness, &["ann@good.test"], PLAIN).await;
    let answer = PLAIN.replacen("Subject", "In-Reply-To: <question@good.test>\r\nSubject", 1);
    submit(&harness, &["ann@good.test"], &answer).await.expect("accepted");
}

#[tokio::test]
async fn actions_shape_the_sent_copy() {
    let harness = Harness::new().await;
    let conditions = json!([condition("recipient.domain", "is", "hidden.test")]);
    let actions = json!([{"type": "mark_as_starred"}, {"type": "archive"}]);
    put(&harness, &harness.acme, conditions, actions).await;
    let id = submit(&harness, &["ann@good.test", "bob@hidden.test"], PLAIN).await.expect("accepted");
    let answer = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    assert_eq!((&answer.data()["folders"], &answer.data()["starred"]), (&json!(["archive"]), &json!(true)));
}

#[tokio::test]
async fn a_conversation_goes_on_from_both_sides() {
    let harness = Harness::new().await;
    let question =
        "From: Ann <ann@good.test>\r\nTo: agent@acme.test\r\nSubject: Hours\r\nMessage-ID: <q@good.test>\r\n\r\n?\r\n";
    let received = harness.receive(question).await;
    let thread = async |id: &str| {
        let answer = harness.get(&harness.at(&format!("/messages/{id}"))).await;
        answer.is_ok().data()["thread_id"].as_str().expect("thread").to_owned()
    };
    let threads = thread(&received).await;
    // By SMTP to what came in, by the interface to that, and by SMTP to both.
    let first = PLAIN.replacen(
        "Subject: Hello",
        "Subject: Re: Hours\r\nMessage-ID: <a@laptop.test>\r\nIn-Reply-To: <q@good.test>\r\nReferences: <q@good.test>",
        1,
    );
    let first = submit(&harness, &["ann@good.test"], &first).await.expect("accepted");
    assert_eq!(thread(&first).await, threads);
    harness.world.advance(1);
    let body = json!({"to": [{"email": "ann@good.test"}], "subject": "Re: Hours", "body": "x",
        "reply_to_message_id": first});
    let second = harness.post(&harness.at("/messages/send"), &body).await;
    assert_eq!(second.is_ok().data()["thread_id"], json!(threads));
    let third = PLAIN.replacen("Subject: Hello", "Subject: Re: Hours\r\nReferences: <a@laptop.test>", 1);
    let third = submit(&harness, &["ann@good.test"], &third).await.expect("accepted");
    assert_eq!(thread(&third).await, threads);
    let found = harness.get(&harness.at(&format!("/threads/{threads}"))).await;
    assert_eq!(found.is_ok().data()["message_ids"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn the_sent_copy_is_what_left_with_everyone_who_got_it() {
    let harness = Harness::new().await;
    let message = PLAIN.replacen("Subject", "Bcc: Bob <bob@good.test>, gone@good.test\r\nSubject", 1);
    let id = submit(&harness, &["ann@good.test", "bob@good.test", "dave@good.test"], &message).await.expect("accepted");
    let path = harness.at(&format!("/messages/{id}?fields=include_headers"));
    let shown = harness.get(&path).await.is_ok().data().clone();
    let emails = |field: &str| -> Vec<Value> {
        let people = shown[field].as_array().expect("people");
        people.iter().map(|person| person["email"].clone()).collect()
    };
    assert_eq!(
        (emails("to"), emails("bcc")),
        (vec![json!("ann@good.test")], vec![json!("bob@good.test"), json!("dave@good.test")])
    );
    assert_eq!(
        (&shown["folders"], &shown["unread"], &shown["direction"]),
        (&json!(["sent"]), &json!(false), &json!("outbound"))
    );
    let names: Vec<_> =
        shown["headers"].as_array().expect("headers").iter().map(|header| header["name"].clone()).collect();
    assert_eq!(names[..3], [json!("Received"), json!("Date"), json!("Message-ID")]);
    assert!(!names.contains(&json!("Bcc")));
}

#[tokio::test]
async fn the_allowance_of_the_day_is_one_for_both_ways() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") }).await;
    submit(&harness, &["ann@good.test"], PLAIN).await.expect("accepted");
    let body = json!({"to": [{"email": "ann@good.test"}], "subject": "x", "body": "x"});
    let answer = harness.post(&harness.at("/messages/send"), &body).await;
    assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, Some("0")));
    let problem = submit(&harness, &["ann@good.test"], PLAIN).await.expect_err("over quota");
    assert_eq!((problem.kind, problem.code), (ProblemKind::OverQuota, "daily_quota_exceeded"));
    harness.post(&harness.at("/messages/send"), &body).await.refuses(429, "daily_quota_exceeded", None);
}
