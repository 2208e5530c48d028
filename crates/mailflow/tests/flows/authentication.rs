//! What the DNS can do to a message that comes in while it is found out who sent it: never more than its limits allow, and
//! nothing is refused because of it.

use futures::future::BoxFuture;
use postfleet_core::Domain;
use postfleet_core::dns::{Answer, Question, RecordKind, Records};
use postfleet_net::{DnsError, MxAnswer, Resolver};
use postfleet_store::domain_reports::{self, Listed};
use postfleet_store::domains;
use postfleet_testkit::world::{NewTenant, World};
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
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.kind {
            Kind::Silent => Box::pin(std::future::pending()),
            Kind::Failing => Box::pin(std::future::ready(Answer::Failed)),
            _ => Box::pin(std::future::ready(Answer::Found(self.records(question.kind)))),
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
async fn report(kind: Kind) -> (Listed, usize) {
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
