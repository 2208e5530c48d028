//! How connections to other servers are protected: MTA-STS, DANE, and what is counted of both.

use crate::support::Setting;
use postfleet_mailflow::janitor;
use postfleet_mailflow::routing::{reports, sts};
use postfleet_net::{StaticResolver, Tlsa};
use postfleet_schema::tls_report::TlsReport;
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx};
use postfleet_testkit::http::{HttpResponse, Responder};
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer, SmtpMoment, SmtpOffer};
use postfleet_testkit::tls::{Authority, Certified, FakeHttps};
use postfleet_testkit::world::WorldOptions;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RECIPIENT: &str = "ada@other.test";

/// `other.test` with one server, `mx.other.test`.
fn dns() -> StaticResolver {
    StaticResolver::everything_at(LOOPBACK).with_mx("other.test", 10, "mx.other.test")
}

fn announcing(id: &str) -> StaticResolver {
    dns().with_txt("_mta-sts.other.test", &format!("v=STSv1; id={id};"))
}

fn policy(mode: &str, mx: &str) -> HttpResponse {
    let text = format!("version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 604800\n");
    HttpResponse::new(200, &[("Content-Type", "text/plain")], text.as_bytes())
}

/// How the server of `other.test` encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    Good,
    OtherName,
    Past,
    Unknown,
    Broken,
    Missing,
}

/// `other.test` as a whole: a mail server and the host of its policy, which answers what it is told.
struct Other {
    authority: Authority,
    peer: FakeSmtp,
    certified: Option<Certified>,
    host: FakeHttps,
    responder: Responder,
    answer: Arc<Mutex<HttpResponse>>,
}

impl Other {
    async fn new(tls: Tls, answer: HttpResponse) -> Self {
        Self::with_host("mta-sts.other.test", tls, answer).await
    }

    async fn with_host(host_name: &str, tls: Tls, answer: HttpResponse) -> Self {
        let authority = Authority::default();
        let certified = match tls {
            Tls::Good | Tls::Broken => Some(authority.certify("mx.other.test")),
            Tls::OtherName => Some(authority.certify("mx.else.test")),
            Tls::Past => Some(authority.certify_past("mx.other.test")),
            Tls::Unknown => Some(Authority::default().certify("mx.other.test")),
            Tls::Missing => None,
        };
        let tls_offer = certified.as_ref().map(|certified| certified.acceptor.clone());
        let offer = SmtpOffer { tls: tls_offer, ..SmtpOffer::default() };
        let peer = FakeSmtp::start_at(SocketAddr::new(LOOPBACK, 0), offer, move |moment| match moment {
            // Agrees, and then does not speak TLS.
            SmtpMoment::StartTls if tls == Tls::Broken => SmtpAnswer::Say("220 go on\r\n220 and on".to_owned()),
            _ => SmtpAnswer::Good,
        })
        .await;
        let answer = Arc::new(Mutex::new(answer));
        let says = answer.clone();
        let responder = Responder::new(move |_| says.lock().expect("answer").clone());
        let host = FakeHttps::start(authority.certify(host_name).acceptor, responder.clone()).await;
        Self { authority, peer, certified, host, responder, answer }
    }

    async fn setting(&self, resolver: StaticResolver) -> Setting {
        let options = WorldOptions {
            resolver,
            mx_port: self.peer.address().port(),
            extra_roots: vec![self.authority.root()],
            policy_port: self.host.address().port(),
            ..WorldOptions::default()
        };
        Setting::with(options).await
    }

    fn answers(&self, answer: HttpResponse) {
        *self.answer.lock().expect("answer") = answer;
    }

    /// A TLSA record about the server's key, or about another one.
    fn tlsa(&self, usage: u8, is_right: bool) -> Tlsa {
        let key = self.certified.as_ref().map(|certified| certified.public_key.clone()).unwrap_or_default();
        Tlsa { usage, selector: 1, matching: 0, data: if is_right { key } else { b"another".to_vec() } }
    }

    fn with_tlsa(&self, resolver: StaticResolver, record: Tlsa) -> StaticResolver {
        resolver.with_tlsa("mx.other.test", self.peer.address().port(), record).authenticated()
    }
}

impl Setting {
    /// Sends a message and says what became of it: `encrypted`, `clear`, or why it waits.
    async fn outcome(&self, peer: &FakeSmtp) -> String {
        self.world.platform.store.run(ForgetFailures).await.expect("forgotten");
        let before = peer.messages().len();
        self.send(&[RECIPIENT]).await.expect("accepted");
        self.world.deliver_due().await;
        let messages = peer.messages();
        match messages.get(before) {
            Some(message) if message.is_encrypted => "encrypted".to_owned(),
            Some(_) => "clear".to_owned(),
            None => self.last_reply(RECIPIENT).await,
        }
    }

    /// Today's report about `other.test`, if anything was counted.
    async fn tls_report(&self) -> Option<TlsReport> {
        let platform = &self.world.platform;
        reports::flush_once(platform).await.expect("flushed");
        reports::find(platform, platform.clock.now().day(), "other.test").await.expect("read")
    }

    /// That report in short: type of policy, successes, failures by kind.
    async fn counted(&self) -> Vec<String> {
        let policies = self.tls_report().await.map(|report| report.policies).unwrap_or_default();
        let failures = |policy: &postfleet_schema::tls_report::TlsReportPolicy| {
            let one = |details: &postfleet_schema::tls_report::TlsFailureDetails| {
                format!(" {} {}", details.failed_session_count, details.result_type)
            };
            policy.failure_details.iter().map(one).collect::<String>()
        };
        let short = |policy: &postfleet_schema::tls_report::TlsReportPolicy| {
            let well = policy.summary.total_successful_session_count;
            format!("{}: {well} well{}", policy.policy.policy_type, failures(policy))
        };
        policies.iter().map(short).collect()
    }
}

/// A destination that failed is left alone for a while; here each message is to be tried as if it were the first.
#[derive(Clone, Debug)]
struct ForgetFailures;

impl Command for ForgetFailures {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        for statement in ["DELETE FROM queue", "DELETE FROM outbound", "DELETE FROM destinations"] {
            tx.execute(statement, postfleet_store::params![]).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_enforced_policy_is_kept_or_the_message_waits() {
    for (tls, waits_for, fault) in [
        (Tls::Good, None, None),
        (Tls::OtherName, Some("4.7.5"), Some("certificate-host-mismatch")),
        (Tls::Past, Some("4.7.5"), Some("certificate-expired")),
        (Tls::Unknown, Some("4.7.5"), Some("certificate-not-trusted")),
        (Tls::Missing, Some("4.7.4"), Some("starttls-not-supported")),
        (Tls::Broken, Some("4.7.5"), Some("validation-failure")),
    ] {
        let other = Other::new(tls, policy("enforce", "*.other.test")).await;
        let setting = other.setting(announcing("1")).await;
        let outcome = setting.outcome(&other.peer).await;
        match waits_for {
            None => assert_eq!(outcome, "encrypted"),
            Some(status) => {
                let begins = format!("{status} MTA-STS policy of other.test: mx.other.test: ");
                assert!(outcome.starts_with(&begins), "{tls:?}: {outcome}");
                assert!(setting.due_in().await.is_some() && other.peer.messages().is_empty(), "{tls:?}");
            }
        }
        let expected = fault.map_or("sts: 1 well".to_owned(), |fault| format!("sts: 0 well 1 {fault}"));
        assert_eq!(setting.counted().await, [expected], "{tls:?}");
        assert_eq!(setting.events("message.bounced").await.len(), 0, "{tls:?}");
    }
}

#[tokio::test]
async fn a_policy_on_trial_holds_nothing_up_and_is_counted() {
    for (tls, outcome, counted) in [
        (Tls::Good, "encrypted", "sts: 1 well"),
        (Tls::OtherName, "encrypted", "sts: 0 well 1 certificate-host-mismatch"),
        (Tls::Past, "encrypted", "sts: 0 well 1 certificate-expired"),
        (Tls::Missing, "clear", "sts: 0 well 1 starttls-not-supported"),
    ] {
        let other = Other::new(tls, policy("testing", "mx.other.test")).await;
        let setting = other.setting(announcing("1")).await;
        assert_eq!(setting.outcome(&other.peer).await, outcome, "{tls:?}");
        assert_eq!(setting.counted().await, [counted], "{tls:?}");
    }
    let other = Other::new(Tls::Good, policy("testing", "mx2.other.test")).await;
    let setting = other.setting(announcing("1")).await;
    assert_eq!(setting.outcome(&other.peer).await, "encrypted");
    let report = setting.tls_report().await.expect("report");
    let found = &report.policies[0];
    assert_eq!(found.policy.policy_string[1..3], ["mode: testing", "mx: mx2.other.test"]);
    assert_eq!((found.policy.mx_host.as_slice(), found.failure_details.len()), (&["mx2.other.test".to_owned()][..], 1));
    let details = &found.failure_details[0];
    assert_eq!(details.result_type, "validation-failure");
    assert_eq!(details.receiving_mx_hostname.as_deref(), Some("mx.other.test"));
    assert_eq!(details.receiving_ip.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn servers_that_an_enforced_policy_does_not_name_are_passed_over() {
    let other = Other::new(Tls::Good, policy("enforce", "mx.other.test")).await;
    // The unnamed one is preferred, and would take anything.
    let resolver = announcing("1").with_mx("other.test", 5, "evil.test");
    let setting = other.setting(resolver).await;
    assert_eq!(setting.outcome(&other.peer).await, "encrypted");
    assert_eq!(setting.counted().await, ["sts: 1 well 1 validation-failure"]);

    let other = Other::new(Tls::Good, policy("enforce", "mx2.other.test")).await;
    let setting = other.setting(announcing("1")).await;
    let outcome = setting.outcome(&other.peer).await;
    assert_eq!(outcome, "4.7.5 MTA-STS policy of other.test does not name the server mx.other.test");
}

#[tokio::test]
async fn without_protection_asked_for_mail_goes_as_well_as_it_can() {
    for (tls, outcome, counted) in [
        (Tls::Unknown, "encrypted", "no-policy-found: 1 well"),
        (Tls::Past, "encrypted", "no-policy-found: 1 well"),
        (Tls::Missing, "clear", "no-policy-found: 0 well 1 starttls-not-supported"),
    ] {
        let other = Other::new(tls, policy("none", "x.test")).await;
        for resolver in [dns(), announcing("1")] {
            let setting = other.setting(resolver).await;
            assert_eq!(setting.outcome(&other.peer).await, outcome, "{tls:?}");
            assert_eq!(setting.counted().await, [counted], "{tls:?}");
        }
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_had_holds_nothing_up() {
    let text = [("Content-Type", "text/plain")];
    let good = "version: STSv1\nmode: enforce\nmx: mx2.other.test\nmax_age: 604800\n";
    for (answer, counted) in [
        (HttpResponse::status(404), "sts-policy-fetch-error"),
        // Where it leads is not gone to.
        (HttpResponse::new(301, &[("Location", "https://mta-sts.other.test/x")], b""), "sts-policy-fetch-error"),
        (HttpResponse::hang_up(), "sts-policy-fetch-error"),
        (HttpResponse::new(200, &[("Content-Type", "text/html")], good.as_bytes()), "sts-policy-invalid"),
        (HttpResponse::new(200, &text, b"version: STSv1\nmode: enforce\nmax_age: 1"), "sts-policy-invalid"),
        (HttpResponse::new(200, &text, format!("{good}{}", "x: y\n".repeat(20_000)).as_bytes()), "sts-policy-invalid"),
    ] {
        let other = Other::new(Tls::Unknown, answer).await;
        let setting = other.setting(announcing("1")).await;
        assert_eq!(setting.outcome(&other.peer).await, "encrypted", "{counted}");
        let expected = ["no-policy-found: 1 well".to_owned(), format!("sts: 0 well 1 {counted}")];
        assert_eq!(setting.counted().await, expected);
        let asked = other.responder.requests().len();
        assert!(other.responder.requests().iter().all(|request| request.path == "/.well-known/mta-sts.txt"));
        // Not asked again with every message, but after a while.
        setting.outcome(&other.peer).await;
        assert_eq!(other.responder.requests().len(), asked);
        setting.world.advance(301);
        setting.outcome(&other.peer).await;
        assert!(other.responder.requests().len() > asked, "{counted}");
    }
    let stranger = Other::with_host("mta-sts.else.test", Tls::Unknown, policy("enforce", "mx2.other.test")).await;
    let setting = stranger.setting(announcing("1")).await;
    assert_eq!(setting.outcome(&stranger.peer).await, "encrypted");
    let expected = ["no-policy-found: 1 well", "sts: 0 well 1 sts-webpki-invalid"];
    assert_eq!(setting.counted().await, expected);
}

#[tokio::test]
async fn a_policy_is_kept_whatever_happens_to_its_host_and_its_record() {
    let other = Other::new(Tls::Missing, policy("enforce", "mx.other.test")).await;
    let mut setting = other.setting(announcing("1")).await;
    const WAITS: &str = "4.7.4 MTA-STS policy of other.test: mx.other.test: STARTTLS is not offered";
    let requests = || other.responder.requests().len();
    assert_eq!((setting.outcome(&other.peer).await.as_str(), requests()), (WAITS, 1));
    assert_eq!((setting.outcome(&other.peer).await.as_str(), requests()), (WAITS, 1), "kept");
    // Announced anew, and not to be had: the old one holds.
    other.answers(HttpResponse::status(500));
    setting.world.platform.resolver = Arc::new(announcing("2"));
    assert_eq!((setting.outcome(&other.peer).await.as_str(), requests()), (WAITS, 2));
    // The record is gone, or the name servers are.
    for resolver in [dns(), dns().failing("_mta-sts.other.test")] {
        setting.world.platform.resolver = Arc::new(resolver);
        assert_eq!((setting.outcome(&other.peer).await.as_str(), requests()), (WAITS, 2));
    }
    // A restart forgets nothing: what is known is in the store alone.
    let domain = postfleet_core::Domain::parse("other.test").expect("domain");
    let mut reader = setting.world.platform.store.reader().await.expect("reader");
    let kept = postfleet_store::sts::find(&mut reader, &domain).await.expect("read").expect("kept");
    assert_eq!((kept.policy_id.as_str(), kept.tried_id.as_str()), ("1", "2"));
    drop(reader);
    // Until it is over.
    setting.world.advance(604_800);
    assert_eq!(setting.outcome(&other.peer).await, "clear");
}

#[tokio::test]
async fn a_new_policy_takes_the_place_of_the_old_one() {
    let other = Other::new(Tls::Missing, policy("enforce", "mx.other.test")).await;
    let mut setting = other.setting(announcing("1")).await;
    assert!(setting.outcome(&other.peer).await.starts_with("4.7.4"));
    other.answers(policy("none", "mx.other.test"));
    assert!(setting.outcome(&other.peer).await.starts_with("4.7.4"), "nobody has said that it is another one");
    setting.world.platform.resolver = Arc::new(announcing("2"));
    assert_eq!(setting.outcome(&other.peer).await, "clear");
}

#[tokio::test]
async fn a_policy_in_use_is_fetched_anew_before_it_ends() {
    let other = Other::new(Tls::Missing, policy("enforce", "mx.other.test")).await;
    let setting = other.setting(announcing("1")).await;
    setting.outcome(&other.peer).await;
    let refreshed = async || {
        sts::refresh_once(&setting.world.platform).await.expect("refreshed");
        other.responder.requests().len()
    };
    assert_eq!(refreshed().await, 1);
    setting.world.advance(86_401);
    assert_eq!(refreshed().await, 2);
    // Nobody has used it since.
    setting.world.advance(86_401);
    assert_eq!(refreshed().await, 2);
    setting.outcome(&other.peer).await;
    assert_eq!(refreshed().await, 3);
    // A week after the first fetch it still holds, thanks to the later ones.
    setting.world.advance(5 * 86_400);
    other.answers(HttpResponse::status(500));
    assert!(setting.outcome(&other.peer).await.starts_with("4.7.4 MTA-STS policy of other.test"));
}

#[tokio::test]
async fn dane_takes_the_certificates_of_the_dns_and_no_other() {
    for (tls, usage, is_right, expected, counted) in [
        // Neither name nor date nor authority matter where the DNS names the certificate itself.
        (Tls::Good, 3, true, "encrypted", "tlsa: 1 well"),
        (Tls::Unknown, 3, true, "encrypted", "tlsa: 1 well"),
        (Tls::Past, 3, true, "encrypted", "tlsa: 1 well"),
        (Tls::Good, 3, false, "4.7.5 DANE records of mx.other.test", "tlsa: 0 well 1 certificate-not-trusted"),
        (Tls::Good, 2, false, "4.7.5 DANE records of mx.other.test", "tlsa: 0 well 1 certificate-not-trusted"),
        (Tls::Missing, 3, false, "4.7.4 DANE records of mx.other.test", "tlsa: 0 well 1 starttls-not-supported"),
        // Nothing that can be used: encrypted all the same, by any certificate.
        (Tls::Unknown, 1, true, "encrypted", "tlsa: 0 well 1 tlsa-invalid"),
        (Tls::Missing, 1, false, "4.7.4 DANE records of mx.other.test", "tlsa: 0 well 1 starttls-not-supported"),
    ] {
        let other = Other::new(tls, policy("none", "x.test")).await;
        let setting = other.setting(other.with_tlsa(dns(), other.tlsa(usage, is_right))).await;
        let outcome = setting.outcome(&other.peer).await;
        assert!(outcome.starts_with(expected), "{tls:?} {usage} {is_right}: {outcome}");
        assert_eq!(setting.counted().await, [counted], "{tls:?} {usage} {is_right}");
    }
}

#[tokio::test]
async fn records_that_nobody_vouches_for_are_nothing_and_those_that_cannot_be_looked_up_hold_mail_up() {
    let other = Other::new(Tls::Good, policy("none", "x.test")).await;
    let port = other.peer.address().port();
    let setting = other.setting(dns().with_tlsa("mx.other.test", port, other.tlsa(3, false))).await;
    assert_eq!(setting.outcome(&other.peer).await, "encrypted");
    assert_eq!(setting.counted().await, ["no-policy-found: 1 well"]);

    let setting = other.setting(dns().authenticated().failing(&format!("_{port}._tcp.mx.other.test"))).await;
    let outcome = setting.outcome(&other.peer).await;
    assert!(outcome.starts_with("4.7.5 DANE records of mx.other.test cannot be looked up"), "{outcome}");
    assert_eq!(setting.counted().await, ["tlsa: 0 well 1 dnssec-invalid"]);
}

#[tokio::test]
async fn dane_comes_before_a_policy() {
    // The policy would refuse what DANE allows, and allow what DANE refuses.
    let other = Other::new(Tls::Unknown, policy("enforce", "mx2.other.test")).await;
    let setting = other.setting(other.with_tlsa(announcing("1"), other.tlsa(3, true))).await;
    assert_eq!(setting.outcome(&other.peer).await, "encrypted");
    let other = Other::new(Tls::Good, policy("enforce", "mx.other.test")).await;
    let setting = other.setting(other.with_tlsa(announcing("1"), other.tlsa(3, false))).await;
    assert!(setting.outcome(&other.peer).await.starts_with("4.7.5 DANE records of mx.other.test"));
    // A server without records is the policy's.
    let setting = other.setting(announcing("1").authenticated()).await;
    assert_eq!(setting.outcome(&other.peer).await, "encrypted");
    assert_eq!(setting.counted().await, ["sts: 1 well"]);
}

#[tokio::test]
async fn policies_that_are_over_and_old_counts_are_forgotten() {
    let other = Other::new(Tls::Good, policy("enforce", "mx.other.test")).await;
    let setting = other.setting(announcing("1")).await;
    let platform = &setting.world.platform;
    let first = platform.clock.now().day();
    assert_eq!(setting.outcome(&other.peer).await, "encrypted");
    assert_eq!(setting.counted().await, ["sts: 1 well"]);
    let left = async || {
        janitor::clean_once(platform).await.expect("cleaned");
        let domain = postfleet_core::Domain::parse("other.test").expect("domain");
        let kept = postfleet_store::sts::find(&mut platform.store.reader().await.expect("reader"), &domain).await;
        let report = reports::find(platform, first, "other.test").await.expect("read");
        (kept.expect("read").is_some(), report.is_some())
    };
    setting.world.advance(604_799);
    assert_eq!(left().await, (true, true));
    setting.world.advance(1);
    assert_eq!(left().await, (false, true));
    // Thirty days, counted from the day.
    setting.world.advance(23 * 86_400);
    assert_eq!(left().await, (false, true));
    setting.world.advance(86_400);
    assert_eq!(left().await, (false, false));
}
