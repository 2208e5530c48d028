//! What the DNS can do to a message that comes in while it is found out who sent it: never more than its limits allow, and
//! nothing is refused because of it.

use crate::support::Setting;
use futures::future::BoxFuture;
use postfleet_core::authentication::DmarcEnforcement;
use postfleet_core::dns::{Answer, Question, RecordKind, Records};
use postfleet_core::{Domain, ProblemKind};
use postfleet_mailflow::AuthenticationSettings;
use postfleet_net::{DnsError, MxAnswer, Resolver, StaticResolver};
use postfleet_store::domain_reports::{self, Report};
use postfleet_store::domains;
use postfleet_store::refused_mail::{self, Page};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A name server of a kind, and how often it was asked.
struct Hostile {
    kind: Kind,
    asked: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Says nothing.
    Silent,
    /// Fails.
    Failing,
    /// Always has more to ask about.
    Endless,
    /// Says very much.
    Huge,
    /// Proves the sender.
    Honest,
}

impl Hostile {
    fn text(&self) -> String {
        match self.kind {
            Kind::Endless => {
                let terms: Vec<String> = (0..9).map(|number| format!("mx:m{number}.%{{d}}")).collect();
                format!("v=spf1 {} include:x.%{{d}} -all", terms.join(" "))
            }
            Kind::Huge => format!("v=spf1 include:x.%{{d}} exp={}.example -all", "x".repeat(300_000)),
            _ => "v=spf1 +all".to_owned(),
        }
    }

    fn records(&self, kind: RecordKind) -> Records {
        let names = || (0..200).map(|number| format!("n{number}.sender.test"));
        match kind {
            RecordKind::Txt => Records::Texts(vec![self.text()]),
            RecordKind::Mx => Records::Exchanges(names().take(10).map(|name| (10, name)).collect()),
            RecordKind::Ptr => Records::Names(names().collect()),
            RecordKind::A | RecordKind::Aaaa => Records::Addresses(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))]),
        }
    }
}

impl Resolver for Hostile {
    fn mx<'a>(&'a self, _: &'a Domain) -> BoxFuture<'a, Result<MxAnswer, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::NotFound)))
    }
    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::NotFound)))
    }
    fn codes<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Ipv4Addr>, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::NotFound)))
    }
    fn txt<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::NotFound)))
    }
    fn published_txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        self.txt(name)
    }
    fn published_mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<(u16, String)>, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::NotFound)))
    }
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Arc<Answer>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.kind {
            Kind::Silent => Box::pin(std::future::pending()),
            Kind::Failing => Box::pin(std::future::ready(Arc::new(Answer::Failed))),
            _ => Box::pin(std::future::ready(Arc::new(Answer::Found(self.records(question.kind))))),
        }
    }
}

const REPORT: &str = "From: r@sender.test\r\nSubject: Report\r\nContent-Type: text/xml\r\n\r\n\
    <feedback><report_metadata><org_name>Big</org_name><email>r@sender.test</email><report_id>1</report_id><date_range>\
    <begin>1700000000</begin><end>1700086399</end></date_range></report_metadata><policy_published><domain>acme.test</domain>\
    <p>none</p></policy_published><record><row><source_ip>192.0.2.9</source_ip><count>1</count><policy_evaluated>\
    <disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers>\
    <header_from>acme.test</header_from></identifiers></record></feedback>\r\n";

/// Lets a report come in, which is a message that is authenticated; answers how it is kept, and how often the DNS was asked.
async fn report(kind: Kind) -> (Report, usize) {
    let mut world = World::new().await;
    let tenant = world.tenant(NewTenant::of("acme.test")).await;
    let resolver = Arc::new(Hostile { kind, asked: AtomicUsize::new(0) });
    world.platform.resolver = resolver.clone();
    let waits = async {
        if kind == Kind::Silent {
            world.clock.until_sleeping(1).await;
            world.clock.advance(Duration::from_secs(19));
            tokio::task::yield_now().await;
            world.clock.until_sleeping(1).await;
            world.clock.advance(Duration::from_secs(1));
        }
    };
    let (taken, ()) = tokio::join!(world.receive("r@sender.test", "domain-reports@acme.test", REPORT), waits);
    taken.expect("nothing is refused because of the DNS");
    let mut reader = world.platform.store.reader().await.expect("reader");
    let domain = domains::find_name(&mut reader, tenant.organization_id, &tenant.domain).await.expect("read");
    let id = domain.expect("domain").domain.id;
    let mut kept = domain_reports::page(&mut reader, id, None, 10).await.expect("read");
    assert_eq!(kept.len(), 1);
    (kept.remove(0), resolver.asked.load(Ordering::Relaxed))
}

#[tokio::test]
async fn an_honest_name_server_proves_the_sender() {
    let (kept, asked) = report(Kind::Honest).await;
    assert!(kept.is_verified);
    assert!(asked <= 20, "{asked}");
}

#[tokio::test]
async fn a_silent_name_server_costs_twenty_seconds_and_nothing_else() {
    let (kept, asked) = report(Kind::Silent).await;
    assert!(!kept.is_verified);
    assert!(asked <= 10, "{asked}");
}

#[tokio::test]
async fn hostile_name_servers_are_asked_no_more_than_the_limit() {
    for kind in [Kind::Failing, Kind::Endless, Kind::Huge] {
        let (kept, asked) = report(kind).await;
        assert!(!kept.is_verified, "{kind:?}");
        assert!(asked <= 300, "{kind:?}: {asked}");
    }
}

const FORGED: &str = "Authentication-Results: MX.World.Test; dmarc=pass header.from=bank.test\r\nReceived-SPF: pass\r\n\
    Authentication-Results: other.test; none\r\nFrom: ceo@bank.test\r\nSubject: pay\r\nMessage-ID: <1@bank.test>\r\n\r\nHi\r\n";

/// A mailbox of an installation that follows the wishes of domains so far. `bank.test` wants forged mail refused,
/// `shop.test` put aside; who sends for `evil.test` may do so.
async fn setting(dmarc: DmarcEnforcement) -> Setting {
    let resolver = StaticResolver::everything_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .with_txt("_dmarc.bank.test", "v=DMARC1; p=reject")
        .with_txt("_dmarc.shop.test", "v=DMARC1; p=quarantine")
        .with_txt("bank.test", "v=spf1 ip4:192.0.2.9 -all")
        .with_txt("evil.test", "v=spf1 +all")
        .with_txt("_dmarc.evil.test", "v=DMARC1; p=reject");
    let authentication = AuthenticationSettings { dmarc, ..AuthenticationSettings::default() };
    Setting::with(WorldOptions { resolver, authentication, ..WorldOptions::default() }).await
}

#[tokio::test]
async fn what_fails_is_refused_or_put_aside_as_far_as_is_set() {
    use DmarcEnforcement::{Label, Quarantine, Reject};
    for (dmarc, author, folder) in [
        (Label, "bank.test", Some("inbox")),
        (Label, "shop.test", Some("inbox")),
        (Quarantine, "bank.test", Some("junk")),
        (Quarantine, "shop.test", Some("junk")),
        (Reject, "bank.test", None),
        (Reject, "shop.test", Some("junk")),
        // What passes, or has no record, is never touched.
        (Reject, "evil.test", Some("inbox")),
        (Reject, "norecord.test", Some("inbox")),
    ] {
        let setting = setting(dmarc).await;
        let message = FORGED.replace("bank.test", author);
        let taken = setting.world.receive("bounce@evil.test", "agent@acme.test", message).await;
        match folder {
            None => {
                let refusal = taken.expect_err("refused");
                assert_eq!((refusal.kind, refusal.code), (ProblemKind::Disowned, "dmarc_reject"), "{author}");
                assert!(setting.inbox().await.is_empty() && setting.folder(&setting.agent, "junk").await.is_empty());
                let page = Page { grant_id: setting.agent.id, sender: None, code: None, before: None, limit: 10 };
                let mut reader = setting.world.platform.store.reader().await.expect("reader");
                let kept = refused_mail::list(&mut reader, page).await.expect("list");
                assert_eq!(
                    kept.iter().map(|one| one.code.as_str()).collect::<Vec<_>>(),
                    ["dmarc_reject"],
                    "it is told why"
                );
            }
            Some(folder) => {
                taken.expect("accepted");
                assert_eq!(setting.folder(&setting.agent, folder).await.len(), 1, "{dmarc:?} {author}");
            }
        }
    }
}

#[tokio::test]
async fn results_are_written_above_the_message_and_forged_ones_are_gone() {
    let setting = setting(DmarcEnforcement::Label).await;
    setting.world.receive("bounce@evil.test", "agent@acme.test", FORGED).await.expect("accepted");
    let message = setting.inbox().await.remove(0);
    let headers = message.headers.expect("headers");
    let named = |name: &str| -> Vec<&str> {
        headers.iter().filter(|header| header.name == name).map(|header| header.value.as_str()).collect()
    };
    let results = named("Authentication-Results");
    assert_eq!(results.len(), 2, "{results:?}");
    assert!(results[0].starts_with("mx.world.test;"), "{results:?}");
    for part in ["spf=pass", "smtp.mailfrom=evil.test", "dmarc=fail (p=reject dis=none)", "header.from=bank.test"] {
        assert!(results[0].contains(part), "{part}: {results:?}");
    }
    assert_eq!(results[1], "other.test; none");
    assert!(named("Received-SPF").is_empty());
    // What a mailbox here writes to another is proved by that.
    setting.send(&["agent@acme.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let own = setting.inbox().await.into_iter().find(|message| message.subject == "Hello").expect("own");
    let headers = own.headers.expect("headers");
    let results: Vec<_> = headers.iter().filter(|header| header.name == "Authentication-Results").collect();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].value.split_whitespace().collect::<Vec<_>>(), ["mx.world.test;", "auth=pass"]);
}
