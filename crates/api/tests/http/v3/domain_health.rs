//! `/v3/domains/{domain}/health` and `…/reports`, and the same below `/v3/admin/domains`.

use crate::support::{Harness, assert_shape};
use crate::v3::grants::feedback::dsn;
use postfleet_core::block_list::BlockLists;
use postfleet_core::id::MessageId;
use postfleet_core::{Domain, ProblemKind};
use postfleet_net::{DnssecTrust, SystemResolver};
use postfleet_testkit::dns::FakeDns;
use postfleet_testkit::world::{NewTenant, World};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/domains/{domain}/health",
    "GET /v3/admin/domains/{domain}/health",
    "GET /v3/domains/{domain}/reports",
    "GET /v3/admin/domains/{domain}/reports",
    "GET /v3/domains/{domain}/reports/{report}",
    "GET /v3/admin/domains/{domain}/reports/{report}",
];

const REPORT: &str = "id:string domain_id:string kind:string is_verified:boolean reporter:string contact:string \
    report_id:string policy:string begins_at:integer ends_at:integer received_at:integer total:integer failed:integer \
    quarantined:integer rejected:integer rows:array";

const HEALTH: &str = "domain_id:string domain_address:string can_send:boolean grant_count:integer findings:array \
    records:array outcomes:object reputation:object warm_up:object block_lists:array dmarc:object tls:object";
const ANSWER: &str = "zone:string subject:string state:string codes:array reason:string since:integer? \
    answered_at:integer? asked_at:integer failures:integer failure:string";
const DMARC: &str = "last_7_days:object last_30_days:object sources:array is_partial:boolean";
const TLS: &str = "last_7_days:object last_30_days:object failures:array is_partial:boolean";
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

/// A world whose name server is its own, in which mail leaves from 192.0.2.1 and two lists are asked.
async fn with_lists() -> (Harness, FakeDns) {
    let dns = FakeDns::start();
    let mut world = World::new().await;
    let resolver = SystemResolver::from_nameservers(&[dns.address()], Duration::from_secs(20), DnssecTrust::Never)
        .expect("resolver");
    world.platform.resolver = Arc::new(resolver);
    let mut settings = (*world.platform.settings).clone();
    let zones = |zone: &str| vec![Domain::parse(zone).expect("domain")];
    settings.domains.block_lists =
        BlockLists { address_zones: zones("ips.test"), domain_zones: zones("names.test"), ..BlockLists::default() };
    settings.domains.sending.told = vec!["203.0.113.7".parse().expect("address"), "10.0.0.1".parse().expect("address")];
    world.platform.settings = Arc::new(settings);
    (Harness::in_world(world, NewTenant::of("acme.test")).await, dns)
}

async fn round(harness: &Harness) {
    harness.world.advance(6 * 3_600);
    postfleet_mailflow::janitor::recheck_domains_once(&harness.world.platform).await.expect("asked");
}

/// What the lists say of a subject: state, reason and why nothing is known.
fn answer<'a>(health: &'a Value, subject: &str) -> &'a Value {
    let answers = health["block_lists"].as_array().expect("list");
    let found = answers.iter().find(|answer| answer["subject"] == subject).expect("an answer");
    assert_shape(found, ANSWER);
    found
}

#[tokio::test]
async fn block_lists_are_asked_and_believed_only_if_they_can_be() {
    let (harness, dns) = with_lists().await;
    assert_eq!(health(&harness).await["block_lists"], json!([]), "nothing was asked yet");
    dns.a("2.0.0.127.ips.test", [127, 0, 0, 2]);
    dns.a("test.names.test", [127, 0, 0, 2]);
    round(&harness).await;
    let clear = health(&harness).await;
    assert_eq!(
        (&answer(&clear, "203.0.113.7")["state"], &answer(&clear, "acme.test")["state"]),
        (&json!("clear"), &json!("clear"))
    );
    assert_eq!(clear["block_lists"].as_array().expect("list").len(), 2, "nobody is asked about a private address");
    assert_eq!(codes(&clear), Vec::<&str>::new());

    dns.a("7.113.0.203.ips.test", [127, 0, 0, 4]);
    dns.txt("7.113.0.203.ips.test", "see https://ips.test/7");
    dns.a("acme.test.names.test", [127, 0, 1, 2]);
    // What is asked again comes from the name server, and not from a cache.
    let resolver = SystemResolver::from_nameservers(&[dns.address()], Duration::from_secs(20), DnssecTrust::Never);
    let mut harness = harness;
    harness.world.platform.resolver = Arc::new(resolver.expect("resolver"));
    round(&harness).await;
    let listed = health(&harness).await;
    assert_eq!(codes(&listed), ["block_listed", "block_listed"]);
    let found = answer(&listed, "203.0.113.7");
    assert_eq!(
        (&found["state"], &found["codes"], &found["reason"]),
        (&json!("listed"), &json!(["127.0.0.4"]), &json!("see https://ips.test/7"))
    );
    assert!(found["since"].is_i64() && found["since"] == found["asked_at"], "{found}");
    let text = listed["findings"][0]["text"].as_str().expect("text");
    let begins = "203.0.113.7, from which the domain's mail leaves, is on the block list ips.test since ";
    assert!(text.starts_with(begins) && text.ends_with("(127.0.0.4): see https://ips.test/7"), "{text}");

    // A list that has everything is believed no more than one that is silent.
    dns.a("1.0.0.127.ips.test", [127, 0, 0, 2]);
    dns.fails("test.names.test");
    for _ in 0..3 {
        let resolver = SystemResolver::from_nameservers(&[dns.address()], Duration::from_secs(20), DnssecTrust::Never);
        harness.world.platform.resolver = Arc::new(resolver.expect("resolver"));
        round(&harness).await;
    }
    let doubted = health(&harness).await;
    let found = answer(&doubted, "203.0.113.7");
    assert_eq!((&found["state"], &found["since"], &found["failures"]), (&json!("unknown"), &Value::Null, &json!(3)));
    assert!(found["failure"].as_str().expect("text").contains("everything"), "{found}");
    assert_eq!(codes(&doubted), ["block_list_silent", "block_list_silent"]);
}

/// An aggregate report by `big.test`.
pub(crate) fn dmarc(report_id: &str, domain: &str) -> String {
    let record = |address: &str, count: u64, dkim: &str| {
        format!(
            "<record><row><source_ip>{address}</source_ip><count>{count}</count><policy_evaluated>\
             <disposition>none</disposition><dkim>{dkim}</dkim><spf>fail</spf></policy_evaluated></row>\
             <identifiers><header_from>{domain}</header_from></identifiers></record>"
        )
    };
    format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>Big</org_name><email>r@big.test</email>\
         <report_id>{report_id}</report_id><date_range><begin>1700000000</begin><end>1700086399</end></date_range>\
         </report_metadata><policy_published><domain>{domain}</domain><p>none</p></policy_published>{}{}</feedback>",
        record("203.0.113.7", 96, "pass"),
        record("198.51.100.9", 1_204, "fail"),
    )
}

pub(crate) fn by_mail(content_type: &str, report: &str) -> String {
    format!("From: r@big.test\r\nSubject: Report\r\nContent-Type: {content_type}\r\n\r\n{report}\r\n")
}

#[tokio::test]
async fn reports_of_others_are_added_up_once_and_said_in_words() {
    let (harness, dns) = with_lists().await;
    dns.txt("big.test", PROVED);
    let none = health(&harness).await;
    assert_shape(&none["dmarc"], DMARC);
    assert_shape(&none["tls"], TLS);
    assert_eq!((&none["dmarc"]["last_30_days"]["reports"], &none["tls"]["failures"]), (&json!(0), &json!([])));
    let world = &harness.world;
    let to = "domain-reports@acme.test";
    let recipient = postfleet_core::EmailAddress::parse(to).expect("address");
    postfleet_mailflow::receive::recipient(
        &world.platform,
        &postfleet_mailflow::receive::Offer::from(&postfleet_core::ReversePath::Null),
        &recipient,
    )
    .await
    .expect("no mailbox is needed");
    for report in [dmarc("1", "acme.test"), dmarc("1", "acme.test"), dmarc("2", "sub.acme.test")] {
        world.receive("r@big.test", to, by_mail("text/xml", &report)).await.expect("taken");
    }
    let tls = json!({"organization-name": "Big", "contact-info": "r@big.test", "report-id": "t", "date-range":
        {"start-datetime": "2023-11-14T00:00:00Z", "end-datetime": "2023-11-14T23:59:59Z"}, "policies": [{"policy":
        {"policy-type": "sts", "policy-domain": "acme.test"}, "summary": {"total-successful-session-count": 88,
        "total-failure-session-count": 12}, "failure-details": [{"result-type": "certificate-expired",
        "receiving-mx-hostname": "mx.world.test", "failed-session-count": 12}]}]});
    world.receive("r@big.test", to, by_mail("application/tlsrpt+json", &tls.to_string())).await.expect("taken");

    let shown = health(&harness).await;
    let totals = json!({"reports": 2, "messages": 2_600, "aligned": 192, "unaligned": 2_408, "quarantined": 0,
        "rejected": 0});
    assert_eq!((&shown["dmarc"]["last_7_days"], &shown["dmarc"]["last_30_days"]), (&totals, &totals));
    let sources = json!([
        {"address": "198.51.100.9", "is_own": false, "messages": 2_408, "dkim_aligned": 0, "spf_aligned": 0,
            "unaligned": 2_408},
        {"address": "203.0.113.7", "is_own": true, "messages": 192, "dkim_aligned": 192, "spf_aligned": 0,
            "unaligned": 0},
    ]);
    assert_eq!(shown["dmarc"]["sources"], sources);
    assert_eq!(shown["tls"]["last_30_days"], json!({"reports": 1, "connections": 100, "failed": 12}));
    let failure = json!({"host": "mx.world.test", "result_type": "certificate-expired", "connections": 12});
    assert_eq!(shown["tls"]["failures"], json!([failure]));
    assert_eq!(codes(&shown), ["dmarc_unaligned_elsewhere", "tls_failures_reported"]);
    let text = "2,408 messages from 198.51.100.9 failed alignment in 30 days; that address is not one of yours.";
    assert_eq!(shown["findings"][0]["text"], text);
    assert_eq!(shown["reputation"], none["reputation"], "a claim moves no reputation");
    // In eight days they are none of the week, and in the end they are forgotten.
    world.advance(8 * 86_400);
    let later = health(&harness).await;
    assert_eq!((&later["dmarc"]["last_7_days"]["reports"], &later["dmarc"]["last_30_days"]), (&json!(0), &totals));
    world.advance(91 * 86_400);
    postfleet_mailflow::janitor::clean_once(&world.platform).await.expect("cleaned");
    let mut reader = world.platform.store.reader().await.expect("reader");
    let left = reader.query("SELECT count(*) FROM domain_report_rows", &[]).await.expect("read");
    assert_eq!(left[0].int(0).expect("count"), 0);
}

/// The record that proves that what tests send is from `big.test`.
const PROVED: &str = "v=spf1 ip4:127.0.0.1 -all";

#[tokio::test]
async fn reports_are_read_one_by_one_and_those_that_nobody_proves_are_marked_and_not_counted() {
    let (harness, dns) = with_lists().await;
    let (world, to) = (&harness.world, "domain-reports@acme.test");
    let key = &harness.acme.operator_key;
    // Somebody else in the reporter's name comes first, and does not take the place of its report.
    world.receive("r@evil.test", to, by_mail("text/xml", &dmarc("1", "acme.test"))).await.expect("taken");
    assert_eq!(health(&harness).await["dmarc"]["last_30_days"]["reports"], 0);
    dns.txt("big.test", PROVED);
    world.advance(1);
    world.receive("r@big.test", to, by_mail("text/xml", &dmarc("1", "acme.test"))).await.expect("taken");
    assert_eq!(health(&harness).await["dmarc"]["last_30_days"]["reports"], 1);
    let list = harness.ask(key, "GET", "/v3/domains/acme.test/reports", None).await;
    let reports = list.is_ok().data().as_array().expect("list").clone();
    reports.iter().for_each(|report| assert_shape(report, REPORT));
    let marks: Vec<_> = reports.iter().map(|report| report["is_verified"].as_bool().expect("flag")).collect();
    assert_eq!(marks, [true, false], "newest first");
    assert_eq!((&reports[0]["total"], &reports[0]["rows"]), (&json!(1_300), &json!([])));
    let path = format!("/v3/admin/domains/acme.test/reports/{}", reports[0]["id"].as_str().expect("id"));
    let one = harness.ask(key, "GET", &path, None).await;
    assert_shape(one.is_ok().data(), REPORT);
    let rows = json!([
        {"source": "198.51.100.9", "what": "none", "dkim_aligned": false, "spf_aligned": false, "count": 1_204},
        {"source": "203.0.113.7", "what": "none", "dkim_aligned": true, "spf_aligned": false, "count": 96},
    ]);
    assert_eq!(one.data()["rows"], rows);
    // In pages, and for nobody else.
    let first = harness.ask(key, "GET", "/v3/domains/acme.test/reports?limit=1", None).await;
    let cursor = first.is_ok().json["next_cursor"].as_str().expect("cursor").to_owned();
    let next = format!("/v3/domains/acme.test/reports?limit=1&page_token={cursor}");
    let second = harness.ask(key, "GET", &next, None).await;
    assert_eq!((&second.is_ok().data()[0]["id"], &second.json["next_cursor"]), (&reports[1]["id"], &Value::Null));
    let foreign = harness.ask(&harness.other.operator_key, "GET", &path, None).await;
    foreign.refuses(404, "not_found", None);
}

#[tokio::test]
async fn what_is_no_report_or_about_others_is_refused_or_is_mail() {
    let (harness, dns) = with_lists().await;
    dns.txt("big.test", PROVED);
    let to = "domain-reports@acme.test";
    let refusal = async |message: String| {
        let refused = harness.world.receive("r@big.test", to, message).await.expect_err("refused");
        (refused.code, refused.kind)
    };
    let (broken, others) = (dmarc("1", "acme.test").replace("</feedback>", ""), dmarc("1", "other.test"));
    assert_eq!(refusal(by_mail("text/plain", "Hello")).await, ("not_a_domain_report", ProblemKind::Forbidden));
    assert_eq!(refusal(by_mail("text/xml", &broken)).await.0, "not_a_domain_report");
    assert_eq!(refusal(by_mail("text/xml", &others)).await, ("report_about_others", ProblemKind::Forbidden));
    let nobody = harness.world.receive("r@big.test", "domain-reports@nobody.test", by_mail("text/xml", &others)).await;
    assert!(nobody.is_err());
    assert_eq!(health(&harness).await["dmarc"]["last_30_days"]["reports"], 0);
    // With a mailbox of that name it is mail, whatever else it is.
    let grant = harness.world.mailbox(&harness.acme, "domain-reports").await.id.to_string();
    for (message, reports) in [(by_mail("text/xml", &broken), 0), (by_mail("text/xml", &dmarc("1", "acme.test")), 1)] {
        harness.world.receive("r@big.test", to, message).await.expect("filed");
        assert_eq!(health(&harness).await["dmarc"]["last_30_days"]["reports"], reports);
    }
    let filed = harness.get(&format!("/v3/grants/{grant}/messages")).await;
    assert_eq!(filed.is_ok().data().as_array().expect("list").len(), 2);
}
