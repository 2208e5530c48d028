//! `/v3/domains/{domain}/health`, and the same below `/v3/admin/domains`.

use crate::support::{Harness, assert_shape};
use crate::v3::grants::feedback::dsn;
use postfleet_core::Domain;
use postfleet_core::id::MessageId;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/domains/{domain}/health", "GET /v3/admin/domains/{domain}/health"];

const HEALTH: &str = "domain_id:string domain_address:string can_send:boolean grant_count:integer findings:array \
    records:array outcomes:object reputation:object warm_up:object";
const FINDING: &str = "code:string severity:string text:string remedy:string grant_id:string?";
const OUTCOMES: &str = "attempts:integer bounced:integer complaints:integer rejected:integer is_partial:boolean \
    bounce_types:array bounces_by_grant:array complaints_by_grant:array complaint_sources:array";

async fn health(harness: &Harness) -> Value {
    let answer = harness.ask(&harness.acme.operator_key, "GET", "/v3/domains/acme.test/health", None).await;
    assert_shape(answer.is_ok().data(), HEALTH);
    assert_shape(&answer.data()["outcomes"], OUTCOMES);
    answer.data()["findings"].as_array().expect("list").iter().for_each(|one| assert_shape(one, FINDING));
    answer.data().clone()
}

fn codes(health: &Value) -> Vec<&str> {
    let findings = health["findings"].as_array().expect("list").iter();
    findings.map(|one| one["code"].as_str().expect("code")).collect()
}

/// Sends to somebody of the own domain, lets it be delivered; answers the message.
async fn writes(harness: &Harness, grant: &str, to: &str) -> String {
    harness.world.advance(1);
    let body = json!({"to": [{"email": to}], "subject": format!("Hello {to}"), "body": "Hi"});
    let sent = harness.post(&format!("/v3/grants/{grant}/messages/send"), &body).await;
    let id = sent.is_ok().data()["id"].as_str().expect("id").to_owned();
    harness.world.deliver_due().await;
    id
}

#[tokio::test]
async fn what_bounces_is_counted_by_type_and_mailbox_and_the_worst_is_named() {
    let harness = Harness::new().await;
    let well = health(&harness).await;
    assert_eq!((codes(&well), &well["can_send"], &well["grant_count"]), (vec![], &json!(true), &json!(1)));
    assert_eq!(well["warm_up"]["state"], "off");
    let other = harness.world.mailbox(&harness.acme, "other").await.id.to_string();
    for number in 0..8 {
        writes(&harness, &harness.agent, &format!("nobody{number}@acme.test")).await;
    }
    for number in 8..10 {
        writes(&harness, &other, &format!("nobody{number}@acme.test")).await;
    }
    writes(&harness, &other, "agent@acme.test").await;
    let shown = health(&harness).await;
    let outcomes = &shown["outcomes"];
    assert_eq!((&outcomes["attempts"], &outcomes["bounced"]), (&json!(11), &json!(10)));
    assert_eq!(outcomes["bounce_types"], json!([{"class": "hard", "type": "UnknownUser", "count": 10}]));
    assert_eq!(outcomes["bounces_by_grant"][0]["count"], 8);
    let culprit = shown["findings"].as_array().expect("list").iter().find(|one| one["code"] == "one_mailbox_bounces");
    let culprit = culprit.expect("a finding");
    assert_eq!(culprit["text"], "One mailbox causes 8 of 10 bounces: agent@acme.test.");
    assert_eq!(culprit["grant_id"], harness.agent.as_str());
    assert_eq!(codes(&shown)[0], "under_review", "the worst comes first: {shown}");
    assert_eq!(shown["reputation"]["state"], "under_review");
    // After a week it is forgotten here.
    harness.world.advance(8 * 86_400);
    let later = health(&harness).await;
    assert_eq!((&later["outcomes"]["bounced"], &later["outcomes"]["attempts"]), (&json!(0), &json!(0)));
    let foreign = harness.ask(&harness.other.operator_key, "GET", "/v3/domains/acme.test/health", None).await;
    foreign.refuses(404, "not_found", None);
}

/// Mail that is refused as unauthenticated has its cause in the records that are missing, and in nothing else.
#[tokio::test]
async fn missing_records_are_named_as_the_cause_of_bounces() {
    for is_verified in [true, false] {
        let harness = Harness::new().await;
        let message = writes(&harness, &harness.agent, "agent@acme.test").await;
        let id: MessageId = message.parse().expect("id");
        let (domain, now) = (Domain::parse("acme.test").expect("domain"), harness.world.platform.clock.now());
        let path = harness.world.platform.keys.return_paths().make(id, &domain, now).expect("path").to_string();
        let report = refused_as_unauthenticated(&dsn("agent@acme.test"));
        harness.world.receive("", &path, report).await.expect("taken");
        if !is_verified {
            let forget = Forget("UPDATE domains SET trusted = 0");
            harness.world.platform.store.run(forget).await.expect("forget");
        }
        let shown = health(&harness).await;
        assert_eq!(shown["outcomes"]["bounce_types"][0]["type"], "AuthenticationFailed", "{shown}");
        let expected = if is_verified { "authentication_refused" } else { "bounces_by_missing_records" };
        assert!(codes(&shown).contains(&expected), "{:?}", codes(&shown));
        assert_eq!(codes(&shown).contains(&"spf_missing"), !is_verified);
        if !is_verified {
            let findings = shown["findings"].as_array().expect("list");
            let cause = findings.iter().find(|one| one["code"] == expected).expect("a finding");
            let text = "Mail to 1 recipient was refused as unauthenticated; the cause is what is missing: spf, dkim, dkim, dmarc.";
            assert_eq!((&cause["text"], &cause["severity"]), (&json!(text), &json!("critical")));
        }
    }
}

/// The report, with a reason that says so.
fn refused_as_unauthenticated(report: &str) -> String {
    let line = |line: &str| match line.split_once(':') {
        Some(("Status", _)) => "Status: 5.7.26".to_owned(),
        Some(("Diagnostic-Code", _)) => "Diagnostic-Code: smtp; 550 5.7.26 This mail is unauthenticated".to_owned(),
        _ => line.to_owned(),
    };
    report.lines().map(line).collect::<Vec<_>>().join("\r\n") + "\r\n"
}

/// A statement run as a command, for what no command of the product does.
struct Forget(&'static str);

impl postfleet_store::Command for Forget {
    type Outcome = u64;
    async fn run(&self, tx: &mut postfleet_store::Tx) -> Result<u64, postfleet_store::db::DbError> {
        tx.execute(self.0, &[]).await
    }
}
