//! Owners of domains are told of mail in their names: those who ask for it, of what really came, once, within their limits,
//! and nobody else.

use crate::support::Setting;
use postfleet_core::authentication::DmarcEnforcement;
use postfleet_core::{EmailAddress, UtcDay};
use postfleet_fleet::lists;
use postfleet_mail::domain_report::{self, DomainReport, Seen};
use postfleet_mailflow::dmarc_reports::{DmarcReportSettings, flush_once, send_once};
use postfleet_mailflow::{AuthenticationSettings, janitor};
use postfleet_net::StaticResolver;
use postfleet_schema::list::CreateList;
use postfleet_store::db::DbError;
use postfleet_store::dmarc_reports::{self, ReportState};
use postfleet_store::{Command, Tx, domain_reports, domains};
use postfleet_testkit::smtp::{FakeSmtp, SmtpMessage};
use postfleet_testkit::world::WorldOptions;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// From the beginning of the world, at 10:00, to an hour of the next day at which all reports are due.
const NEXT_DAY: u64 = 19 * 3_600;

/// From one attempt to the next.
const AGAIN: u64 = 3_600;

/// The records of a domain that wants forged mail refused, and of one that wants nothing.
fn zone() -> StaticResolver {
    StaticResolver::everything_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .with_txt("bank.test", "v=spf1 ip4:192.0.2.9 -all")
        .with_txt("evil.test", "v=spf1 +all")
        .with_txt("_dmarc.silent.test", "v=DMARC1; p=reject")
}

fn wants(reports_to: &str) -> StaticResolver {
    zone().with_txt("_dmarc.bank.test", &format!("v=DMARC1; p=reject; rua={reports_to}"))
}

fn settings() -> DmarcReportSettings {
    let address = |text| EmailAddress::parse(text).expect("address");
    DmarcReportSettings {
        from: address("dmarc@acme.test"),
        organization: "Acme & Agents".to_owned(),
        contact: address("ask@acme.test"),
    }
}

/// An installation that reports, with the mailbox that does, and the server of everybody else.
async fn setting(resolver: StaticResolver) -> (Setting, FakeSmtp) {
    let peer = FakeSmtp::accepting().await;
    let authentication =
        AuthenticationSettings { dmarc: DmarcEnforcement::Reject, ..AuthenticationSettings::default() };
    let options = WorldOptions {
        resolver,
        authentication,
        mx_port: peer.address().port(),
        dmarc_reports: Some(settings()),
        ..WorldOptions::default()
    };
    let setting = Setting::with(options).await;
    setting.world.mailbox(&setting.tenant, "dmarc").await;
    (setting, peer)
}

impl Setting {
    /// Lets a message come in whose author is alleged; whatever becomes of it.
    async fn comes(&self, author: &str, number: usize) {
        let message =
            format!("From: a@{author}\r\nSubject: s\r\nMessage-ID: <{number}@{author}>\r\n\r\nText {number}\r\n");
        let _ = self.world.receive("b@evil.test", "agent@acme.test", message).await;
    }

    fn today(&self) -> UtcDay {
        self.world.platform.clock.now().day()
    }

    async fn state_of(&self, day: UtcDay, domain: &str) -> Option<ReportState> {
        let mut reader = self.world.platform.store.reader().await.expect("reader");
        dmarc_reports::find(&mut reader, day, domain).await.expect("read")
    }

    async fn flush(&self) {
        flush_once(&self.world.platform).await.expect("written");
    }

    /// Makes what is due, and delivers it; answers how many reports were looked at.
    async fn tell(&self) -> usize {
        let mut made = 0;
        while send_once(&self.world.platform).await.expect("round") {
            made += 1;
        }
        self.world.deliver_due().await;
        made
    }
}

/// Who got what.
fn reports(peer: &FakeSmtp) -> Vec<(String, DomainReport)> {
    let read = |message: &SmtpMessage| {
        (message.recipients.join(","), domain_report::read(&message.content).expect("a report"))
    };
    let mut all: Vec<_> = peer.messages().iter().map(read).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[tokio::test]
async fn who_asks_is_told_on_the_next_day_and_who_does_not_agree_is_not() {
    let resolver =
        wants("mailto:d@bank.test,mailto:d@agrees.test,mailto:victim@other.test,mailto:d@small.bank.test!100")
            .with_txt("bank.test._report._dmarc.agrees.test", "v=DMARC1");
    let (setting, peer) = setting(resolver).await;
    let day = setting.today();
    for number in 0..3 {
        setting.comes("bank.test", number).await;
    }
    setting.comes("shop.bank.test", 3).await;
    setting.comes("silent.test", 4).await;
    setting.comes("norecord.test", 5).await;
    setting.flush().await;
    setting.flush().await;
    assert_eq!(setting.state_of(day, "bank.test").await.expect("waiting").kinds, 2);
    assert_eq!(setting.state_of(day, "silent.test").await, None);
    assert_eq!(setting.state_of(day, "norecord.test").await, None);
    assert_eq!(setting.tell().await, 0, "the day is not over");

    setting.world.advance(NEXT_DAY);
    assert_eq!(setting.tell().await, 1);
    assert_eq!(setting.tell().await, 0, "once");
    let told = reports(&peer);
    assert_eq!(told.iter().map(|(to, _)| to.as_str()).collect::<Vec<_>>(), ["d@agrees.test", "d@bank.test"]);
    let report = &told[0].1;
    assert_eq!(report, &told[1].1);
    assert_eq!((report.reporter.as_str(), report.contact.as_str()), ("Acme & Agents", "ask@acme.test"));
    assert_eq!(report.begins_at.day(), day);
    assert_eq!(report.ends_at.as_seconds() + 1, day.end().as_seconds());
    let mut seen: Vec<_> = report
        .about
        .iter()
        .map(|about| match &about.seen {
            Seen::Mail(mail) => (about.domain.as_str(), mail.messages, mail.unaligned, mail.rejected),
            Seen::Connections(_) => panic!("{about:?}"),
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [("bank.test", 3, 3, 3), ("shop.bank.test", 1, 1, 1)]);

    let message = peer.messages().remove(0);
    let text = message.text();
    let id = format!("<{day}.bank.test@acme.test>");
    let subject = format!("Report Domain: bank.test Submitter: acme.test Report-ID: {id}");
    let unfolded = text.replace("\r\n ", " ");
    assert!(unfolded.contains(&format!("Subject: {subject}\r\n")), "{text}");
    assert!(unfolded.contains("acme.test!bank.test!1772409600!1772495999.xml.gz"), "{text}");
    assert!(text.contains("Auto-Submitted: auto-generated\r\n") && message.count_fields("DKIM-Signature") == 2);
    let kept = setting.state_of(day, "bank.test").await.expect("kept");
    assert_eq!((kept.state.as_str(), kept.due_at), ("sent", None));

    // What is over is forgotten after some days.
    setting.world.advance(9 * 86_400);
    janitor::clean_once(&setting.world.platform).await.expect("cleaned");
    assert_eq!(setting.state_of(day, "bank.test").await, None);
}

#[tokio::test]
async fn nothing_is_counted_where_nobody_reports() {
    let setting =
        Setting::with(WorldOptions { resolver: wants("mailto:d@bank.test"), ..WorldOptions::default() }).await;
    setting.comes("bank.test", 0).await;
    setting.flush().await;
    assert_eq!(setting.state_of(setting.today(), "bank.test").await, None);
    setting.world.advance(NEXT_DAY);
    assert_eq!(setting.tell().await, 0);
}

#[tokio::test]
async fn a_report_about_our_own_domain_comes_in_by_our_own_door() {
    let resolver = zone().with_txt("_dmarc.acme.test", "v=DMARC1; p=quarantine; rua=mailto:domain-reports@acme.test");
    let (setting, _peer) = setting(resolver).await;
    setting.comes("acme.test", 0).await;
    setting.comes("acme.test", 1).await;
    // What our own mailboxes write to each other is nobody's forgery.
    setting.send(&["dmarc@acme.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    setting.flush().await;
    setting.world.advance(NEXT_DAY);
    assert_eq!(setting.tell().await, 1);

    let mut reader = setting.world.platform.store.reader().await.expect("reader");
    let (organization, name) = (setting.tenant.organization_id, &setting.tenant.domain);
    let domain = domains::find_name(&mut reader, organization, name).await.expect("read").expect("domain").domain.id;
    let kept = domain_reports::page(&mut reader, domain, None, 10).await.expect("read");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let one = &kept[0];
    assert_eq!((one.reporter.as_str(), one.total, one.failed, one.quarantined), ("Acme & Agents", 2, 2, 2));
    assert!(one.is_verified, "its author signed in here");
    drop(reader);
    // And that it came is nothing to report: it would go on for ever.
    setting.flush().await;
    assert_eq!(setting.state_of(setting.today(), "acme.test").await, None);
}

#[tokio::test]
async fn who_wants_no_report_as_large_is_told_that_there_is_one() {
    let (setting, peer) = setting(wants("mailto:d@bank.test!100,mailto:e@bank.test!200")).await;
    setting.comes("bank.test", 0).await;
    setting.flush().await;
    let day = setting.today();
    setting.world.advance(NEXT_DAY);
    assert_eq!(setting.tell().await, 1);
    assert_eq!(setting.state_of(day, "bank.test").await.expect("kept").state, "too_large");
    let told = peer.messages();
    assert_eq!(told.len(), 2);
    for message in told {
        let text = message.text();
        for field in ["Report-Size: ", "Report-Domain: bank.test", "Submitting-URI: mailto:e@bank.test"] {
            assert!(text.contains(field), "{field} is not in {text}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_tried_again_for_a_day() {
    let (mut setting, peer) = setting(wants("mailto:d@bank.test")).await;
    setting.comes("bank.test", 0).await;
    setting.flush().await;
    let day = setting.today();
    let answering = setting.world.platform.resolver.clone();
    setting.world.platform.resolver = Arc::new(wants("mailto:d@bank.test").failing("_dmarc.bank.test"));
    setting.world.advance(NEXT_DAY);
    assert_eq!(setting.tell().await, 1);
    assert_eq!(setting.state_of(day, "bank.test").await.expect("kept").state, "unknown");
    assert_eq!(setting.tell().await, 0, "not at once");
    setting.world.platform.resolver = answering;
    setting.world.advance(AGAIN);
    assert_eq!(setting.tell().await, 1);
    assert_eq!(reports(&peer).len(), 1);

    // Who says nothing for a day is given up.
    setting.comes("bank.test", 1).await;
    setting.flush().await;
    let day = setting.today();
    setting.world.platform.resolver = Arc::new(wants("mailto:d@bank.test").failing("_dmarc.bank.test"));
    setting.world.advance(86_400);
    let mut tried = 0;
    while setting.tell().await == 1 {
        tried += 1;
        setting.world.advance(AGAIN);
    }
    assert!((15..24).contains(&tried), "{tried}");
    let kept = setting.state_of(day, "bank.test").await.expect("kept");
    assert_eq!((kept.state.as_str(), kept.due_at), ("given_up", None));
    assert_eq!(reports(&peer).len(), 1);
}

#[tokio::test]
async fn who_asks_no_more_is_told_no_more() {
    let (mut setting, peer) = setting(wants("mailto:d@bank.test")).await;
    setting.comes("bank.test", 0).await;
    setting.flush().await;
    let day = setting.today();
    setting.world.platform.resolver = Arc::new(zone().with_txt("_dmarc.bank.test", "v=DMARC1; p=reject"));
    setting.world.advance(NEXT_DAY);
    assert_eq!(setting.tell().await, 1);
    assert_eq!(setting.state_of(day, "bank.test").await.expect("kept").state, "unwanted");
    assert!(peer.messages().is_empty());
}

#[tokio::test]
async fn without_its_mailbox_nothing_is_sent_until_there_is_one() {
    let peer = FakeSmtp::accepting().await;
    let options = WorldOptions {
        resolver: wants("mailto:d@bank.test"),
        mx_port: peer.address().port(),
        dmarc_reports: Some(settings()),
        ..WorldOptions::default()
    };
    let setting = Setting::with(options).await;
    setting.comes("bank.test", 0).await;
    setting.flush().await;
    let day = setting.today();
    setting.world.advance(NEXT_DAY);
    assert_eq!(setting.tell().await, 1);
    assert_eq!(setting.state_of(day, "bank.test").await.expect("kept").state, "refused");
    setting.world.mailbox(&setting.tenant, "dmarc").await;
    setting.world.advance(AGAIN);
    assert_eq!(setting.tell().await, 1);
    let told = reports(&peer);
    let Seen::Mail(mail) = &told[0].1.about[0].seen else { panic!("{told:?}") };
    // Here such mail is put aside and not refused, and the report says so.
    assert_eq!((mail.messages, mail.quarantined, mail.rejected), (1, 1, 0));
}

/// Lets lookups in lists fail, or work again.
#[derive(Clone)]
struct Lookups {
    work: bool,
}

impl Command for Lookups {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        let statement = match self.work {
            true => "ALTER TABLE gone RENAME TO list_items",
            false => "ALTER TABLE list_items RENAME TO gone",
        };
        tx.execute(statement, &[]).await.map(drop)
    }
}

#[tokio::test]
async fn what_is_put_off_is_counted_when_it_comes_again_and_what_a_rule_refuses_counts() {
    let resolver = zone().with_txt("_dmarc.evil.test", "v=DMARC1; p=none; rua=mailto:d@evil.test");
    let (setting, _peer) = setting(resolver).await;
    let (store, entropy) = (&setting.world.platform.store, &*setting.world.platform.entropy);
    let new = CreateList { name: "Bad".to_owned(), description: None, kind: "domain".to_owned() };
    let (act, application) = (setting.world.act(&setting.tenant), setting.tenant.application_id);
    let list = lists::create(store, entropy, act, application, new).await.expect("list").id.to_string();
    setting.inbound_rule(json!({"field": "from.domain", "operator": "in_list", "value": [list]}), "block").await;
    let day = setting.today();
    store.run(Lookups { work: false }).await.expect("break");
    setting.comes("evil.test", 0).await;
    setting.flush().await;
    assert_eq!(setting.state_of(day, "evil.test").await, None, "it comes again");
    store.run(Lookups { work: true }).await.expect("mend");
    setting.comes("evil.test", 0).await;
    setting.flush().await;
    assert_eq!(setting.state_of(day, "evil.test").await.expect("counted").kinds, 1);

    setting.inbound_rule(json!({"field": "from.domain", "operator": "is", "value": "evil.test"}), "block").await;
    setting.comes("evil.test", 1).await;
    setting.flush().await;
    let mut reader = store.reader().await.expect("reader");
    let rows = dmarc_reports::rows(&mut reader, day, "evil.test", 10).await.expect("read");
    assert_eq!(rows.iter().map(|(_, messages)| *messages).collect::<Vec<_>>(), [2]);
}
