//! `GET /v3/admin/feedback`.

use crate::support::{Harness, assert_shape, ids};
use crate::v3::grants::feedback::REPORT;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/admin/feedback"];

const PATH: &str = "/v3/admin/feedback";

/// A complaint that quotes nothing of ours.
fn complaint() -> String {
    "From: fbl@isp.test\r\nSubject: complaint\r\n\
     Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
     --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Isp/1\r\n\
     Original-Mail-From: <somebody@acme.test>\r\nOriginal-Rcpt-To: <ada@isp.test>\r\n\r\n--b--\r\n"
        .to_owned()
}

#[tokio::test]
async fn a_complaint_that_belongs_to_nobody_is_shown_to_the_installations_operator() {
    let harness = Harness::new().await;
    assert_eq!(harness.administer("GET", PATH, None).await.data(), &json!([]));
    for _ in 0..3 {
        harness.world.advance(1);
        let to = "complaints@mx.world.test";
        harness.world.receive("fbl@isp.test", to, complaint()).await.expect("accepted");
    }
    let list = harness.administer("GET", &format!("{PATH}?limit=2"), None).await;
    let one = &list.is_ok().data()[0];
    assert_shape(one, REPORT);
    assert_eq!(
        (&one["kind"], &one["outcome"], &one["status"]),
        (&json!("complaint"), &json!("unsigned"), &json!("abuse"))
    );
    assert_eq!((&one["grant_id"], &one["message_id"]), (&Value::Null, &Value::Null));
    assert_eq!((&one["recipient"], &one["reporter"]), (&json!("ada@isp.test"), &json!("Isp/1")));
    let next = list.json["next_cursor"].as_str().expect("cursor");
    let rest = harness.administer("GET", &format!("{PATH}?page_token={next}"), None).await;
    assert_eq!((ids(&list).len(), ids(&rest).len()), (2, 1));
    // No mailbox has it.
    assert_eq!(harness.get(&harness.at("/feedback")).await.data(), &json!([]));
    for (query, field) in [("limit=0", "limit"), ("limit=201", "limit"), ("page_token=x", "page_token")] {
        harness.administer("GET", &format!("{PATH}?{query}"), None).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn the_operator_of_one_organization_has_none_of_them() {
    let harness = Harness::new().await;
    let to = "complaints@mx.world.test";
    harness.world.receive("fbl@isp.test", to, complaint()).await.expect("accepted");
    let operator = harness.operator(&["organizations.read"]).await;
    assert_eq!(harness.ask(&operator, "GET", PATH, None).await.is_ok().data(), &json!([]));
}
