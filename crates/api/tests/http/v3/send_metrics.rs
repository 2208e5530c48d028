//! `/v3/metrics/send`: figures of what was sent.

use super::queue::{send, with_peer};
use crate::support::{Harness, assert_shape};
use postfleet_mailflow::figures;
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer, SmtpMoment};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] =
    &["GET /v3/metrics/send", "GET /v3/metrics/send/summary", "GET /v3/metrics/send/timeseries"];

const FIGURES: &str = "accepted:integer delivered:integer bounced:integer hard_bounced:integer soft_bounced:integer \
    undetermined_bounced:integer complaints:integer rejected:integer bounce_rate:number? complaint_rate:number? \
    delivery_rate:number?";

/// Another server at which nobody is whose name begins with `gone`.
pub(crate) async fn peer() -> FakeSmtp {
    FakeSmtp::start(|moment| match moment {
        SmtpMoment::Recipient(to) if to.starts_with("gone") => SmtpAnswer::Say("550 5.1.1 no such user".into()),
        _ => SmtpAnswer::Good,
    })
    .await
}

/// Sends to as many who are there, and as many who are not, and delivers.
pub(crate) async fn send_and_deliver(harness: &Harness, good: usize, gone: usize) {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    // Who is not there is not written to again.
    let name = |kind: &str| {
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("{kind}{number}@sender.test")
    };
    let to: Vec<String> =
        (0..good).map(|_| name("ada")).collect::<Vec<_>>().into_iter().chain((0..gone).map(|_| name("gone"))).collect();
    for part in to.chunks(40) {
        send(harness, &part.iter().map(String::as_str).collect::<Vec<_>>()).await;
        harness.world.advance(1);
    }
    harness.world.deliver_due().await;
}

/// Brings the sums up to date; answers how many rounds it took.
pub(crate) async fn sum_up(harness: &Harness) -> usize {
    let mut rounds = 0;
    while figures::sum_up_once(&harness.world.platform).await.expect("summed") {
        rounds += 1;
    }
    rounds
}

#[tokio::test]
async fn figures_are_the_same_before_and_after_they_are_summed_and_no_rate_is_made_up() {
    let peer = peer().await;
    let harness = with_peer(&peer).await;
    let none = harness.get("/v3/metrics/send/summary").await;
    assert_shape(
        none.is_ok().data(),
        &format!(
            "state:string min_assess_volume:integer findings:array senders_last_day:integer start:string end:string {FIGURES}"
        ),
    );
    assert_eq!((&none.data()["state"], &none.data()["bounce_rate"]), (&json!("insufficient_data"), &Value::Null));
    assert_eq!(none.data()["min_assess_volume"], 100);
    send_and_deliver(&harness, 3, 1).await;
    let paths =
        ["/v3/metrics/send", "/v3/metrics/send?group_by=agent_account", "/v3/metrics/send?group_by=recipient_domain"];
    let mut before = Vec::new();
    for path in paths {
        before.push(harness.get(path).await.is_ok().data().clone());
    }
    harness.world.advance(10);
    assert_eq!(sum_up(&harness).await, 1);
    for (path, before) in paths.iter().zip(&before) {
        assert_eq!(harness.get(path).await.data(), before, "{path}");
    }
    let keys: Vec<_> = before.iter().map(|list| list[0]["key"].as_str().unwrap_or_default()).collect();
    assert_eq!(keys, ["acme.test", "agent@acme.test", "sender.test"]);
    let one = &before[0][0];
    assert_shape(one, &format!("group_by:string key:string {FIGURES}"));
    let said = ["accepted", "delivered", "bounced", "hard_bounced", "soft_bounced"].map(|name| one[name].clone());
    assert_eq!(said, [4, 3, 1, 1, 0]);
    assert_eq!((&one["bounce_rate"], &one["delivery_rate"]), (&json!(0.25), &json!(0.75)));
    assert_eq!(one["complaint_rate"], json!(0.0));
    let senders = harness.get("/v3/metrics/send/summary?end=2026-01-01").await.data()["senders_last_day"].clone();
    assert_eq!((none.data()["senders_last_day"].clone(), senders), (json!(0), json!(1)), "whatever the span");
    // What comes then is added to what is summed.
    send_and_deliver(&harness, 1, 0).await;
    assert_eq!(harness.get("/v3/metrics/send").await.data()[0]["delivered"], 4);
    // Nothing of it is anybody else's.
    let others = harness.ask(&harness.other.api_key, "GET", "/v3/metrics/send", None).await;
    assert_eq!(others.is_ok().data(), &json!([]));
}

#[tokio::test]
async fn how_sending_is_follows_from_its_rates_and_is_said_in_words() {
    let peer = peer().await;
    let harness = with_peer(&peer).await;
    send_and_deliver(&harness, 98, 1).await;
    assert_eq!(harness.get("/v3/metrics/send/summary").await.data()["state"], "insufficient_data");
    send_and_deliver(&harness, 1, 0).await;
    let summary = harness.get("/v3/metrics/send/summary").await;
    assert_eq!((&summary.data()["state"], &summary.data()["findings"]), (&json!("healthy"), &json!([])));
    send_and_deliver(&harness, 0, 3).await;
    let summary = harness.get("/v3/metrics/send/summary").await;
    assert_eq!(summary.data()["state"], "at_risk");
    assert!(summary.data()["findings"][0].as_str().is_some_and(|text| text.contains("not there (4 of 103)")));
    send_and_deliver(&harness, 0, 10).await;
    assert_eq!(harness.get("/v3/metrics/send/summary").await.data()["state"], "critical");
}

#[tokio::test]
async fn figures_over_time_have_every_day_and_add_up_to_weeks_and_months() {
    let peer = peer().await;
    let harness = with_peer(&peer).await;
    // The world begins on 2026-03-02, a Monday.
    send_and_deliver(&harness, 2, 0).await;
    harness.world.advance(86_400);
    sum_up(&harness).await;
    send_and_deliver(&harness, 1, 1).await;
    let days = harness.get("/v3/metrics/send/timeseries").await;
    assert_shape(days.is_ok().data(), "granularity:string points:array");
    assert_eq!(days.data()["granularity"], "day");
    let points = days.data()["points"].as_array().expect("points");
    assert_shape(&points[0], &format!("start:string {FIGURES}"));
    let said: Vec<_> = points.iter().map(|point| (point["start"].as_str(), point["accepted"].as_u64())).collect();
    assert_eq!(said.len(), 7);
    assert_eq!(
        said[4..],
        [(Some("2026-03-01"), Some(0)), (Some("2026-03-02"), Some(2)), (Some("2026-03-03"), Some(2)),]
    );
    let of = async |query: &str| {
        let found = harness.get(&format!("/v3/metrics/send/timeseries?{query}")).await;
        let points = found.is_ok().data()["points"].as_array().expect("points").clone();
        let list: Vec<_> = points
            .iter()
            .map(|point| format!("{} {}", point["start"].as_str().expect("start"), point["accepted"]))
            .collect();
        list.join(", ")
    };
    assert_eq!(of("granularity=week").await, "2026-02-25 0, 2026-03-02 4");
    assert_eq!(of("granularity=month&start=2026-02-27").await, "2026-02-27 0, 2026-03-01 4");
    assert_eq!(of("start=2026-03-02&end=2026-03-02").await, "2026-03-02 2");
    let auto = async |start: &str| {
        harness.get(&format!("/v3/metrics/send/timeseries?end=2026-03-03&start={start}")).await.data()["granularity"]
            .clone()
    };
    assert_eq!((auto("2026-02-01").await, auto("2026-01-31").await), (json!("day"), json!("week")));
    assert_eq!((auto("2025-09-03").await, auto("2025-09-02").await), (json!("week"), json!("month")));
}

#[tokio::test]
async fn the_first_are_those_who_have_most_and_every_refusal_names_its_parameter() {
    let peer = peer().await;
    let harness = with_peer(&peer).await;
    send(&harness, &["a@one.test", "b@one.test", "c@two.test"]).await;
    send_and_deliver(&harness, 1, 1).await;
    let first = async |query: &str| {
        harness.get(&format!("/v3/metrics/send?group_by=recipient_domain&limit=1&{query}")).await.is_ok().data().clone()
    };
    assert_eq!(first("").await[0]["key"], "one.test");
    for sort in ["bounced", "bounce_rate", "delivery_rate"] {
        assert_eq!(first(&format!("sort={sort}")).await[0]["key"], "sender.test", "{sort}");
    }
    assert_eq!(first("").await.as_array().map(Vec::len), Some(1));
    for (query, field) in [
        ("?group_by=x", "group_by"),
        ("?sort=x", "sort"),
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?start=2026-02-30", "start"),
        ("?end=1772445600", "end"),
        ("?start=2026-03-02&end=2026-03-01", "end"),
        ("?start=2025-03-01&end=2026-03-02", "start"),
        ("/summary?start=x", "start"),
        ("/timeseries?granularity=hour", "granularity"),
        ("/timeseries?end=x", "end"),
    ] {
        harness.get(&format!("/v3/metrics/send{query}")).await.refuses(400, "invalid_request", Some(field));
    }
}
