//! Domains against a name server on loopback: what is found there decides who receives and who sends.

use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{AuditId, DomainId};
use postfleet_core::{EmailAddress, Problem, ProblemKind};
use postfleet_mailflow::{janitor, receive};
use postfleet_net::{Clock, DnssecTrust, SystemResolver};
use postfleet_schema::domain::{CreateDomain, Domain, RotateDkimKeys, Verification, VerifyDomain};
use postfleet_store::domains::{self, NewDomain, RegisterDomain, RegisterOutcome};
use postfleet_testkit::dns::FakeDns;
use postfleet_testkit::world::{NewTenant, Tenant, World, WorldOptions};
use std::sync::Arc;
use std::time::Duration;

/// Generous where an answer comes.
const PATIENCE: Duration = Duration::from_secs(20);

const NAME: &str = "agents.new.test";

struct Setting {
    world: World,
    tenant: Tenant,
    dns: FakeDns,
}

impl Setting {
    /// An organization whose name server is its own, with `agents.new.test` registered and nothing published.
    async fn new() -> Self {
        Self::with(PATIENCE, WorldOptions::default()).await
    }

    async fn with(timeout: Duration, options: WorldOptions) -> Self {
        let dns = FakeDns::start();
        let mut world = World::with(options).await;
        let resolver =
            SystemResolver::from_nameservers(&[dns.address()], timeout, DnssecTrust::Never).expect("resolver");
        world.platform.resolver = Arc::new(resolver);
        let tenant = world.tenant(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
        let setting = Self { world, tenant, dns };
        setting.register(NAME).await.expect("registered");
        setting
    }

    fn act(&self) -> Act {
        let platform = &self.world.platform;
        let now = platform.clock.now();
        Act {
            record_id: AuditId::new(now, platform.entropy.ten()),
            actor: Actor { kind: ActorKind::OperatorKey, id: "k".into(), name: "operator".into() },
            organization_id: self.tenant.organization_id,
            application_id: None,
            request_id: "r".into(),
            at: now,
        }
    }

    async fn register(&self, name: &str) -> Result<Domain, Problem> {
        let platform = &self.world.platform;
        let request = CreateDomain { name: None, domain_address: name.to_owned() };
        let made = platform.domains().register(self.act(), &request).await?;
        Ok(postfleet_fleet::domains::show(&made, &platform.settings.domains))
    }

    async fn domain(&self) -> Domain {
        let platform = &self.world.platform;
        let found = platform.domains().find(self.tenant.organization_id, NAME).await.expect("found");
        postfleet_fleet::domains::show(&found, &platform.settings.domains)
    }

    async fn verify(&self, kind: &str) -> Verification {
        let request = VerifyDomain { kind: kind.to_owned(), options: None };
        let verified = self.world.platform.domains().verify(self.act(), NAME, &request).await;
        verified.expect("looked at")
    }

    /// Publishes what the domain asks for, of one type or of all.
    async fn publish(&self, kind: Option<&str>) {
        for record in self.domain().await.records {
            let is_wanted = kind.is_none_or(|kind| kind == record.kind);
            match (is_wanted, record.priority) {
                (false, _) => {}
                (true, Some(priority)) => self.dns.mx(&record.fqdn, priority, &record.value),
                (true, None) => self.dns.txt(&record.fqdn, &record.value),
            }
        }
    }

    /// One round of the janitor.
    async fn recheck(&self) -> usize {
        self.world.platform.domains().recheck_once().await.expect("checked")
    }

    async fn check_at(&self) -> Option<i64> {
        let id = self.domain().await.id.parse().expect("id");
        let mut reader = self.world.platform.store.reader().await.expect("reader");
        let due = domains::check_at(&mut reader, id).await.expect("read");
        due.map(|due| due.as_seconds() - self.world.clock.now().as_seconds())
    }

    async fn audit(&self, action: &'static str) -> Vec<(String, String)> {
        let mut reader = self.world.platform.store.reader().await.expect("reader");
        let rows = reader.query("SELECT action, actor_kind, after FROM audit ORDER BY id", &[]).await.expect("read");
        let rows = rows.iter().filter(|row| row.text(0).expect("action") == action);
        rows.map(|row| (row.text(1).expect("kind"), row.opt_text(2).expect("after").unwrap_or_default())).collect()
    }

    async fn receives(&self) -> Result<(), Problem> {
        let address = EmailAddress::parse(&format!("nobody@{NAME}")).expect("address");
        receive::recipient(&self.world.platform, &receive::Offer::from(&postfleet_core::ReversePath::Null), &address)
            .await
    }
}

#[tokio::test]
async fn records_are_found_one_after_the_other_and_open_what_they_are_for() {
    let setting = Setting::new().await;
    let domain = setting.domain().await;
    let flags = |domain: &Domain| {
        let all = [
            domain.verified_ownership,
            domain.verified_mx,
            domain.verified_spf,
            domain.verified_dkim,
            domain.verified_feedback,
            domain.verified_dmarc,
            domain.verified_arc,
        ];
        all.map(|flag| if flag { 'y' } else { '-' }).into_iter().collect::<String>()
    };
    assert_eq!((flags(&domain), domain.can_receive, domain.can_send), ("-------".to_owned(), false, false));
    // A name that is merely registered attracts nobody's mail.
    assert_eq!(setting.receives().await.expect_err("not ours").code, "relay_denied");

    for (kind, expected, can_receive, can_send) in [
        ("ownership", "y------", true, false),
        ("mx", "yy-----", true, false),
        ("spf", "yyy----", true, false),
        ("dkim", "yyyy--y", true, true),
        ("feedback", "yyyyy-y", true, true),
        ("dmarc", "yyyyyyy", true, true),
    ] {
        let before = setting.verify(kind).await;
        assert_eq!(before.status, "failed", "{kind}: {before:?}");
        let details = before.details.expect("what is wrong");
        assert!(details.contains(NAME) && before.message.contains(&details), "{}", before.message);
        setting.publish(Some(kind)).await;
        let after = setting.verify(kind).await;
        assert_eq!((after.status, after.details), ("done", None), "{kind}");
        assert_eq!(after.message, format!("Domain {kind} verified successfully."));
        let domain = setting.domain().await;
        let is = (flags(&domain), domain.can_receive, domain.can_send);
        assert_eq!(is, (expected.to_owned(), can_receive, can_send), "{kind}");
    }
    assert_eq!(setting.verify("arc").await.status, "done");
    // Ours by now, though nobody of that name lives there.
    assert_eq!(setting.receives().await.expect_err("nobody").kind, ProblemKind::NotFound);
}

#[tokio::test]
async fn what_is_published_wrongly_is_quoted() {
    let setting = Setting::new().await;
    setting.dns.txt(NAME, "google-site-verification=x");
    setting.dns.txt(NAME, "v=spf1 include:_spf.other.test -all");
    setting.dns.a(NAME, [192, 0, 2, 1]);
    setting.dns.mx(&format!("bounces.{NAME}"), 5, "mx.other.test");
    setting.dns.mx(&format!("bounces.{NAME}"), 10, "mx.world.test");
    setting.dns.txt(&format!("_dmarc.{NAME}"), "v=DMARC1; rua=mailto:a@b.test");
    for record in setting.domain().await.records.iter().filter(|record| record.kind == "dkim") {
        setting.dns.txt(&record.fqdn, &record.value[..record.value.len() - 4]);
    }
    for (kind, says) in [
        ("ownership", "has 2 TXT records, and none is nylas-ownership-verify="),
        ("spf", "no a:mx.world.test (before all): found \"v=spf1 include:_spf.other.test -all\""),
        // The implicit MX of a domain with an address is no record.
        ("mx", "agents.new.test has no MX record"),
        ("feedback", "preferred to mx.world.test: found \"5 mx.other.test"),
        ("dmarc", "needs p=none, quarantine or reject"),
        ("dkim", "another one, or cut short"),
    ] {
        let verification = setting.verify(kind).await;
        assert_eq!(verification.status, "failed", "{kind}");
        let details = verification.details.expect("what is wrong");
        assert!(details.contains(says), "{kind}: {details}");
    }
}

#[tokio::test]
async fn a_name_server_that_fails_changes_no_state() {
    let setting = Setting::new().await;
    setting.dns.fails(NAME);
    let pending = setting.verify("ownership").await;
    assert_eq!(pending.status, "pending");
    assert!(pending.details.expect("why").contains("could not be looked up"));
    setting.dns.forget(NAME);
    setting.publish(Some("ownership")).await;
    assert_eq!(setting.verify("ownership").await.status, "done");
    let (verified, changes) = (setting.domain().await, setting.audit("domain.checked").await.len());
    setting.dns.fails(NAME);
    for _ in 0..5 {
        setting.world.advance(60);
        assert_eq!(setting.verify("ownership").await.status, "done");
    }
    let still = setting.domain().await;
    assert!(still.can_receive && still.updated_at == verified.updated_at);
    assert_eq!(setting.audit("domain.checked").await.len(), changes, "nothing changed, nothing is recorded");
}

#[tokio::test]
async fn a_silent_name_server_is_waited_for_ten_seconds_in_all() {
    let setting = Setting::new().await;
    setting.dns.silent(NAME);
    setting.publish(Some("dkim")).await;
    let clock = setting.world.clock.clone();
    let (records, ()) = tokio::join!(setting.recheck(), async {
        // The two questions about the name itself wait; those about others are answered meanwhile.
        clock.until_sleeping(2).await;
        while setting.dns.queries().iter().filter(|query| query.contains("_domainkey")).count() < 2 {
            tokio::task::yield_now().await;
        }
        // Answered questions stop waiting for the clock.
        clock.advance(Duration::from_secs(10));
    });
    assert_eq!(records, 1);
    let domain = setting.domain().await;
    let of = |kind: &str| domain.records.iter().find(|record| record.kind == kind).expect("record");
    assert_eq!(of("ownership").status, "pending");
    assert!(of("ownership").message.contains("no answer within 10 seconds"), "{}", of("ownership").message);
    assert_eq!(of("mx").status, "pending");
}

#[tokio::test]
async fn huge_answers_are_read_over_tcp_and_bounded() {
    let setting = Setting::new().await;
    for number in 0..100 {
        setting.dns.txt(NAME, &format!("{number} {}", "x".repeat(200)));
    }
    setting.publish(Some("ownership")).await;
    assert_eq!(setting.verify("ownership").await.status, "failed", "101 records");
    setting.dns.forget(NAME);
    let long = "v=spf1 a:mx.world.test ".to_owned() + &"include:x.test ".repeat(200) + "~all";
    setting.dns.txt(NAME, &long);
    setting.publish(Some("ownership")).await;
    assert_eq!(setting.verify("ownership").await.status, "done");
    assert_eq!(setting.verify("spf").await.status, "done");
}

#[tokio::test]
async fn a_domain_loses_what_it_had_after_three_looks_in_a_row() {
    let setting = Setting::new().await;
    setting.publish(None).await;
    assert_eq!(setting.recheck().await, 1);
    assert!(setting.domain().await.can_send);
    assert_eq!(setting.check_at().await, Some(86_400));
    setting.world.advance(86_399);
    assert_eq!(setting.recheck().await, 0);

    setting.dns.forget(NAME);
    for (days, can_send, since) in [(1, true, 86_400), (2, true, 86_400), (3, false, 3_600)] {
        setting.world.advance(86_400);
        assert_eq!(setting.recheck().await, 1, "day {days}");
        let domain = setting.domain().await;
        assert_eq!((domain.can_send, domain.can_receive), (can_send, can_send), "day {days}");
        let ownership = domain.records.iter().find(|record| record.kind == "ownership").expect("record");
        assert!(ownership.message.contains("agents.new.test"), "told from the first day on: {}", ownership.message);
        assert_eq!(setting.check_at().await, Some(since), "day {days}");
    }
    // Mailboxes on it receive no more: it may be somebody else's by now.
    assert_eq!(setting.receives().await.expect_err("not ours").code, "relay_denied");
    setting.publish(None).await;
    setting.world.advance(3_600);
    janitor::recheck_domains_once(&setting.world.platform).await.expect("checked");
    assert!(setting.domain().await.can_send && setting.domain().await.can_receive);
    let changes = setting.audit("domain.checked").await;
    assert_eq!(changes.len(), 3, "found, lost, found: {changes:?}");
    assert!(changes.iter().all(|(actor, _)| actor == "system"));
    assert!(changes[1].1.contains("\"can_send\":false"), "{}", changes[1].1);
}

#[tokio::test]
async fn an_unverified_domain_is_looked_at_often_and_then_less_often() {
    let setting = Setting::new().await;
    assert_eq!(setting.recheck().await, 1);
    assert_eq!(setting.check_at().await, Some(600));
    setting.world.advance(3 * 3_600);
    assert_eq!(setting.recheck().await, 1);
    assert_eq!(setting.check_at().await, Some(1_800));
    setting.world.advance(100 * 3_600);
    assert_eq!(setting.recheck().await, 1);
    assert_eq!(setting.check_at().await, Some(3_600));
}

#[tokio::test]
async fn many_domains_are_looked_at_in_one_pass() {
    let setting = Setting::new().await;
    for number in 0..40 {
        let (id, name) = (DomainId::new(setting.world.clock.now(), [number; 10]), format!("d{number}.new.test"));
        let name = postfleet_core::Domain::parse(&name).expect("domain");
        // Without keys: making them is slow.
        let domain = NewDomain { is_trusted: false, is_owned: false, ..NewDomain::trusted(id, name) };
        let command = RegisterDomain { domain, act: setting.act() };
        assert_eq!(setting.world.platform.store.run(command).await.expect("run"), RegisterOutcome::Registered);
    }
    assert_eq!(setting.recheck().await, 41);
    assert_eq!(setting.recheck().await, 0);
}

async fn states(setting: &Setting) -> Vec<&'static str> {
    let keys = setting.world.platform.domains().keys(setting.tenant.organization_id, NAME).await.expect("keys");
    let mut states: Vec<_> = keys.iter().map(|key| key.state).collect();
    states.sort_unstable();
    states
}

async fn signing(setting: &Setting) -> Vec<String> {
    let name = postfleet_core::Domain::parse(NAME).expect("domain");
    let mut reader = setting.world.platform.store.reader().await.expect("reader");
    let keys = domains::dkim_keys(&mut reader, &name).await.expect("keys");
    keys.into_iter().map(|key| key.selector).collect()
}

#[tokio::test]
async fn keys_take_over_once_they_are_published_and_the_old_ones_go_a_week_later() {
    let setting = Setting::new().await;
    setting.publish(None).await;
    setting.recheck().await;
    let old = signing(&setting).await;
    let platform = &setting.world.platform;
    let rotate = RotateDkimKeys::default();
    let made = platform.domains().start_rotation(setting.act(), NAME, &rotate).await.expect("started");
    assert_eq!(made.len(), 4);
    let again = platform.domains().start_rotation(setting.act(), NAME, &rotate).await.expect_err("under way");
    assert_eq!((again.kind, again.code), (ProblemKind::Conflict, "dkim_rotation_under_way"));

    // Not published yet: nothing changes, and the domain still sends.
    assert_eq!(setting.recheck().await, 1, "a rotation is looked at at once");
    assert_eq!(states(&setting).await, ["active", "active", "next", "next"]);
    assert_eq!(signing(&setting).await, old);
    assert!(setting.domain().await.can_send && setting.domain().await.verified_dkim);

    // One of the two is not enough.
    let next: Vec<_> = made.iter().filter(|key| key.state == "next").collect();
    setting.dns.txt(&format!("{}.{NAME}", next[0].host), &next[0].value);
    setting.verify("dkim").await;
    assert_eq!(signing(&setting).await, old);
    setting.dns.txt(&format!("{}.{NAME}", next[1].host), &next[1].value);
    assert_eq!(setting.verify("dkim").await.status, "done");
    assert_eq!(states(&setting).await, ["active", "active", "retired", "retired"]);
    let new = signing(&setting).await;
    assert!(new.len() == 2 && new.iter().all(|selector| !old.contains(selector)));
    let domain = setting.domain().await;
    assert!(domain.can_send && domain.verified_dkim);
    assert_eq!(domain.records.iter().filter(|record| record.kind == "dkim").count(), 4, "still to be published");

    setting.world.advance(7 * 86_400 - 1);
    setting.recheck().await;
    assert_eq!(states(&setting).await.len(), 4);
    setting.world.advance(1);
    setting.recheck().await;
    assert_eq!(states(&setting).await, ["active", "active"]);
    assert_eq!(signing(&setting).await, new);
}

#[tokio::test]
async fn a_trial_domain_is_verified_at_once_and_never_looked_at() {
    let trial_domains = vec![postfleet_core::Domain::parse("try.test").expect("domain")];
    let setting = Setting::with(PATIENCE, WorldOptions { trial_domains, ..WorldOptions::default() }).await;
    setting.recheck().await;
    let asked = setting.dns.queries().len();
    let domain = setting.register("Acme.Try.test").await.expect("registered");
    assert!(domain.branded && domain.can_send && domain.can_receive && domain.verified_dmarc && domain.verified_arc);
    assert!(domain.records.iter().all(|record| record.status == "done"));
    let full = setting.register("second.try.test").await.expect_err("one for this plan");
    assert_eq!((full.kind, full.code), (ProblemKind::Forbidden, "trial_domains_max_reached"));
    assert_eq!(full.public, "Maximum number of trial domains (1) reached for this plan");
    for reserved in ["try.test", "a.b.try.test", "ab.try.test"] {
        let refused = setting.register(reserved).await.expect_err("reserved");
        assert_eq!(refused.field.as_deref(), Some("domain_address"), "{reserved}");
    }
    // Keys rotate all the same, and for that alone somebody is asked.
    let (act, rotate) = (setting.act(), RotateDkimKeys::default());
    let keys = setting.world.platform.domains().start_rotation(act, "acme.try.test", &rotate).await.expect("started");
    for key in keys.iter().filter(|key| key.state == "next") {
        setting.dns.txt(&format!("{}.acme.try.test", key.host), &key.value);
    }
    assert_eq!(setting.recheck().await, 1);
    let organization = setting.tenant.organization_id;
    let keys = setting.world.platform.domains().keys(organization, "acme.try.test").await.expect("keys");
    assert_eq!(keys.iter().filter(|key| key.state == "retired").count(), 2);
    // Any number of one's own.
    setting.register("another.test").await.expect("no cap");
    setting.world.advance(30 * 86_400);
    assert_eq!(setting.recheck().await, 3, "the two that are no trial domains, and retired keys to remove");
    setting.world.advance(30 * 86_400);
    assert_eq!(setting.recheck().await, 2);
    let queries = setting.dns.queries();
    let about_trial: Vec<_> = queries[asked..].iter().filter(|query| query.contains("try.test")).collect();
    assert!(about_trial.len() == 2 && about_trial.iter().all(|query| query.contains("_domainkey")), "{about_trial:?}");
}
