//! `/v3/admin/tls-reports`.

use crate::support::{Harness, assert_shape};
use postfleet_core::UtcDay;
use postfleet_store::tls_sessions::{Count, CountSessions, Sessions};
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/admin/tls-reports"];

const ALL: &str = "/v3/admin/tls-reports";
const REPORT: &str = "organization-name:string date-range:object contact-info:string report-id:string policies:array";

fn count(day: UtcDay, domain: &str, result: &str, count: u64) -> Count {
    let sessions = Sessions {
        policy_domain: domain.to_owned(),
        policy_type: "sts".to_owned(),
        policy: json!(["version: STSv1", "mode: testing"]).to_string(),
        mx_hosts: json!(["mx.other.test"]).to_string(),
        result: result.to_owned(),
        sending_address: "192.0.2.1".to_owned(),
        receiving_host: "mx.other.test".to_owned(),
        receiving_address: "198.51.100.1".to_owned(),
    };
    Count { day, sessions, reason: if result.is_empty() { "" } else { "it is over" }.to_owned(), count }
}

async fn with_counts(harness: &Harness) {
    let today = harness.world.platform.clock.now().day();
    let yesterday = UtcDay::from_number(today.number() - 1);
    let counts = vec![
        count(today, "other.test", "", 7),
        count(today, "other.test", "certificate-expired", 2),
        count(today, "third.test", "", 1),
        count(yesterday, "other.test", "", 4),
    ];
    harness.world.platform.store.run(CountSessions { counts }).await.expect("counted");
}

#[tokio::test]
async fn a_report_is_as_the_standard_describes_it() {
    let harness = Harness::new().await;
    with_counts(&harness).await;
    let answer = harness.administer("GET", &format!("{ALL}?domain=Other.test"), None).await;
    let reports = answer.is_ok().data().as_array().expect("list").clone();
    assert_eq!(reports.len(), 1);
    assert_shape(&reports[0], REPORT);
    let expected = json!({
        "organization-name": "mx.world.test",
        "date-range": {"start-datetime": "2026-03-02T00:00:00Z", "end-datetime": "2026-03-02T23:59:59Z"},
        "contact-info": "postmaster@mx.world.test",
        "report-id": "2026-03-02_other.test@mx.world.test",
        "policies": [{
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: testing"],
                "policy-domain": "other.test",
                "mx-host": ["mx.other.test"],
            },
            "summary": {"total-successful-session-count": 7, "total-failure-session-count": 2},
            "failure-details": [{
                "result-type": "certificate-expired",
                "sending-mta-ip": "192.0.2.1",
                "receiving-mx-hostname": "mx.other.test",
                "receiving-ip": "198.51.100.1",
                "failed-session-count": 2,
                "failure-reason-code": "it is over",
            }],
        }],
    });
    assert_eq!(reports[0], expected);
}

#[tokio::test]
async fn reports_are_listed_by_day_and_page() {
    let harness = Harness::new().await;
    with_counts(&harness).await;
    let ids = async |query: &str| {
        let answer = harness.administer("GET", &format!("{ALL}?{query}"), None).await;
        let list = answer.is_ok().data().as_array().expect("list").clone();
        let ids: Vec<String> = list.iter().map(|report| report["report-id"].as_str().expect("id").to_owned()).collect();
        (ids.join(" ").replace("@mx.world.test", ""), answer.json["next_cursor"].clone())
    };
    assert_eq!(ids("").await, ("2026-03-02_other.test 2026-03-02_third.test".to_owned(), json!(null)));
    assert_eq!(ids("limit=1").await, ("2026-03-02_other.test".to_owned(), json!("b3RoZXIudGVzdA")));
    assert_eq!(ids("limit=1&page_token=b3RoZXIudGVzdA").await, ("2026-03-02_third.test".to_owned(), json!(null)));
    assert_eq!(ids("day=2026-03-01").await, ("2026-03-01_other.test".to_owned(), json!(null)));
    assert_eq!(ids("day=2026-03-01&domain=third.test").await.0, "");
    for (query, field) in [
        ("day=2026-02-30", "day"),
        ("domain=a%20b", "domain"),
        ("page_token=%2F", "page_token"),
        ("page_token=YSBi", "page_token"),
    ] {
        harness.administer("GET", &format!("{ALL}?{query}"), None).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn they_are_for_the_installations_operator() {
    let harness = Harness::new().await;
    let key = harness.operator(&["*.read"]).await;
    harness.ask(&key, "GET", ALL, None).await.refuses(403, "installation_only", None);
}
