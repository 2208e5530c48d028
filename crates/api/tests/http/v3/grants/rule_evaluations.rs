//! `GET /v3/grants/{grant}/rule-evaluations`.

use crate::support::{Harness, NOBODY, assert_shape, ids};
use postfleet_core::UnixMicros;
use postfleet_core::id::{EvaluationId, GrantId, MessageId};
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx, params};
use postfleet_testkit::world::Tenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/rule-evaluations"];

const RECORD: &str = "id:string grant_id:string application_id:string organization_id:string message_id:string? \
    evaluated_at:integer evaluation_stage:string evaluation_input:object applied_actions:object matched_rule_ids:array \
    shadow:object created_at:integer updated_at:integer";

/// A record, as whoever judges a message writes it.
struct Insert {
    id: EvaluationId,
    tenant: Tenant,
    grant: GrantId,
    message: Option<MessageId>,
    stage: &'static str,
    /// Input, applied actions, ids of rules, and what shadow rules would have done.
    said: [Value; 4],
    at: UnixMicros,
}

impl Command for Insert {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO rule_evaluations (id, organization_id, application_id, grant_id, message_id, \
            stage, input, applied, matched, shadow, evaluated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let [input, applied, matched, shadow] = self.said.each_ref().map(Value::to_string);
        let values = params![
            self.id.uuid(),
            self.tenant.organization_id.uuid(),
            self.tenant.application_id.uuid(),
            self.grant.uuid(),
            self.message.map(MessageId::uuid),
            self.stage,
            &input,
            &applied,
            &matched,
            &shadow,
            self.at.as_micros()
        ];
        tx.execute(INSERT, values).await?;
        Ok(())
    }
}

fn inbound() -> [Value; 4] {
    let input = json!({"from_address": "a@spam.example", "from_domain": "spam.example", "from_tld": "example"});
    [input, json!({"blocked": true}), json!([NOBODY]), json!({"matched_rule_ids": [], "actions": {}})]
}

/// Writes a record a second later; answers its id.
async fn record(
    harness: &Harness,
    grant: &str,
    message: Option<&str>,
    stage: &'static str,
    said: [Value; 4],
) -> String {
    harness.world.advance(1);
    let platform = &harness.world.platform;
    let at = platform.clock.now();
    let id = EvaluationId::new(at, platform.entropy.ten());
    let tenant = if grant == harness.agent { &harness.acme } else { &harness.other };
    let insert = Insert {
        id,
        tenant: tenant.clone(),
        grant: grant.parse().expect("grant"),
        message: message.map(|id| id.parse().expect("message")),
        stage,
        said,
        at,
    };
    platform.store.run(insert).await.expect("insert");
    id.to_string()
}

async fn plain(harness: &Harness, grant: &str) -> String {
    record(harness, grant, None, "smtp_rcpt", inbound()).await
}

#[tokio::test]
async fn one_record_says_why_a_message_was_blocked() {
    let harness = Harness::new().await;
    assert_eq!(harness.get(&harness.at("/rule-evaluations")).await.data(), &json!([]));
    let input = json!({"from_address": "agent@acme.test", "from_domain": "acme.test", "from_tld": "test",
        "recipient_addresses": ["ceo@competitor.example"], "recipient_domains": ["competitor.example"],
        "recipient_tlds": ["example"], "outbound_type": "compose"});
    let shadow = json!({"matched_rule_ids": [NOBODY], "actions": {"archived": true, "folder_ids": ["f"]}});
    let said = [input.clone(), json!({"blocked": true}), json!([NOBODY]), shadow.clone()];
    let id = record(&harness, &harness.agent, None, "outbound_send", said).await;
    let list = harness.get(&harness.at("/rule-evaluations")).await;
    assert_shape(&list.is_ok().json, "request_id:string data:array");
    let one = &list.data()[0];
    assert_shape(one, RECORD);
    assert_eq!((&one["id"], &one["grant_id"]), (&json!(id), &json!(harness.agent)));
    assert_eq!(one["application_id"], harness.acme.application_id.to_string());
    assert_eq!(one["organization_id"], harness.acme.organization_id.to_string());
    assert_eq!((&one["message_id"], &one["evaluation_stage"]), (&Value::Null, &json!("outbound_send")));
    assert_eq!((&one["evaluation_input"], &one["applied_actions"]), (&input, &json!({"blocked": true})));
    assert_eq!((&one["matched_rule_ids"], &one["shadow"]), (&json!([NOBODY]), &shadow));
    let now = json!(harness.world.platform.clock.now().as_seconds());
    assert_eq!((&one["evaluated_at"], &one["created_at"], &one["updated_at"]), (&now, &now, &now));
}

#[tokio::test]
async fn a_record_has_only_what_was_done_and_marks_what_could_not_be_decided() {
    let harness = Harness::new().await;
    let path = harness.at("/rule-evaluations?limit=1");
    for (stage, applied) in [
        ("inbox_processing", json!({})),
        ("smtp_rcpt", json!({"blocked": true, "blocked_by_evaluation_error": true})),
        (
            "inbox_processing",
            json!({"marked_as_spam": true, "marked_as_read": true, "marked_starred": true, "archived": true,
                "trashed": true, "folder_ids": ["inbox", "x"]}),
        ),
    ] {
        let [input, _, _, shadow] = inbound();
        record(&harness, &harness.agent, None, stage, [input.clone(), applied.clone(), json!([]), shadow]).await;
        let one = &harness.get(&path).await.data()[0].clone();
        assert_eq!((&one["evaluation_stage"], &one["applied_actions"]), (&json!(stage), &applied));
        assert_eq!((&one["evaluation_input"], &one["matched_rule_ids"]), (&input, &json!([])));
        assert_eq!(one["shadow"], json!({"matched_rule_ids": [], "actions": {}}));
    }
}

#[tokio::test]
async fn records_are_listed_newest_first_in_pages_and_by_message() {
    let harness = Harness::new().await;
    let message = harness.receive_about("x").await;
    let mut made = Vec::new();
    for number in 0..5 {
        let message = (number % 2 == 0).then_some(message.as_str());
        made.push(record(&harness, &harness.agent, message, "inbox_processing", inbound()).await);
        plain(&harness, &harness.stranger).await;
    }
    made.reverse();
    let path = harness.at("/rule-evaluations");
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    for expected in [2, 2, 1] {
        let page = harness.get(&format!("{path}{query}")).await;
        assert_eq!(ids(&page).len(), expected);
        seen.extend(ids(&page));
        match page.json.get("next_cursor") {
            Some(next) => query = format!("?limit=2&page_token={}", next.as_str().expect("text")),
            None => assert_eq!(expected, 1),
        }
    }
    assert_eq!(seen, made);
    let of_message = [0, 2, 4].map(|index: usize| made[index].clone());
    assert_eq!(harness.ids(&format!("{path}?message_id={message}")).await, of_message);
    assert_eq!(harness.get(&format!("{path}?message_id={message}")).await.data()[0]["message_id"], json!(message));
    assert_eq!(harness.ids(&format!("{path}?message_id={NOBODY}")).await, Vec::<String>::new());
    for (query, field) in
        [("limit=0", "limit"), ("limit=201", "limit"), ("page_token=x", "page_token"), ("message_id=x", "message_id")]
    {
        harness.get(&format!("{path}?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
    // By address as well.
    assert_eq!(harness.ids("/v3/grants/agent@acme.test/rule-evaluations?limit=200").await, made);
}

#[tokio::test]
async fn records_of_others_and_of_removed_mailboxes_are_not_there() {
    let harness = Harness::new().await;
    plain(&harness, &harness.agent).await;
    plain(&harness, &harness.stranger).await;
    let theirs = format!("/v3/grants/{}/rule-evaluations", harness.stranger);
    harness.get(&theirs).await.refuses(404, "not_found", None);
    harness.delete(&harness.at("")).await.is_ok();
    harness.get(&harness.at("/rule-evaluations")).await.refuses(404, "not_found", None);
}
