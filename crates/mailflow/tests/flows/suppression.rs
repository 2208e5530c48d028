//! Nobody is written to twice who is not there or does not want it: from the refusal of a server, or a reader's click,
//! to the next message.

use crate::support::Setting;
use postfleet_core::id::{MessageId, PolicyId};
use postfleet_core::suppression::Reason;
use postfleet_core::{EmailAddress, Patch};
use postfleet_mail::Participant;
use postfleet_mailflow::submit::{Outgoing, send};
use postfleet_mailflow::{Platform, deliver, janitor};
use postfleet_net::StaticResolver;
use postfleet_store::policies::{CreatePolicy, PolicyChange};
use postfleet_store::suppressions::{self, AddSuppressions, RemoveSuppression};
use postfleet_store::workspaces::UpdateWorkspace;
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer, SmtpMoment};
use postfleet_testkit::world::{NewTenant, WorldOptions};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("address")
}

async fn reason(setting: &Setting, text: &str) -> Option<Reason> {
    let platform = &setting.world.platform;
    let mut reader = platform.store.reader().await.expect("reader");
    let application = setting.tenant.application_id;
    let found = suppressions::find(&mut reader, application, &address(text), platform.clock.now()).await;
    found.expect("find").map(|one| one.reason)
}

async fn remove(setting: &Setting, text: &str) {
    let act = setting.world.act(&setting.tenant);
    let command = RemoveSuppression { act, application_id: setting.tenant.application_id, address: address(text) };
    assert!(setting.world.platform.store.run(command).await.expect("remove"), "{text} was not suppressed");
}

/// A server where nobody is whose name begins with `gone`, and where others are not welcome for other reasons.
async fn picky() -> FakeSmtp {
    FakeSmtp::start(|moment| match moment {
        SmtpMoment::Recipient(to) if to.starts_with("gone") => SmtpAnswer::Say("550 5.1.1 no such user here".into()),
        SmtpMoment::Recipient(to) if to.starts_with("full") => SmtpAnswer::Say("552 5.2.2 mailbox is full".into()),
        SmtpMoment::Recipient(to) if to.starts_with("spam") => {
            SmtpAnswer::Say("550 5.7.1 message looks like spam".into())
        }
        _ => SmtpAnswer::Good,
    })
    .await
}

#[tokio::test]
async fn who_hard_bounced_is_not_attempted_until_taken_off_the_list() {
    let peer = picky().await;
    let setting = Setting::new(&peer).await;
    setting.send(&["gone@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(setting.events("message.bounced").await.len(), 1);
    assert_eq!(reason(&setting, "gone@sender.test").await, Some(Reason::HardBounce));
    let counted = setting.sends_counted().await;

    let refused = setting.send(&["Gone@sender.test"]).await.expect_err("nobody is left");
    assert_eq!(refused.code, "all_recipients_suppressed");
    assert_eq!(setting.sends_counted().await, counted + 1, "the probe alone was counted");

    let sent = setting.send(&["ada@sender.test", "gone@sender.test"]).await.expect("accepted");
    assert_eq!(sent.suppressed.len(), 1);
    assert_eq!(
        (&*sent.suppressed[0].address.to_string(), sent.suppressed[0].reason),
        ("gone@sender.test", Reason::HardBounce)
    );
    setting.world.deliver_due().await;
    let reached: Vec<_> = peer.messages().into_iter().flat_map(|message| message.recipients).collect();
    assert!(reached.contains(&"ada@sender.test".to_owned()) && !reached.contains(&"gone@sender.test".to_owned()));
    let rejected = setting.events("message.rejected").await;
    assert_eq!(rejected.len(), 2);
    assert_eq!(rejected[1]["recipients"], json!([{"email": "gone@sender.test", "reason": "hard_bounce"}]));
    assert_eq!(setting.events("message.bounced").await.len(), 1, "not attempted, not bounced");

    remove(&setting, "gone@sender.test").await;
    assert!(setting.send(&["gone@sender.test"]).await.expect("accepted").suppressed.is_empty());
    setting.world.deliver_due().await;
    assert_eq!(setting.events("message.bounced").await.len(), 2, "attempted again");
    assert_eq!(reason(&setting, "gone@sender.test").await, Some(Reason::HardBounce), "and found gone again");
}

#[tokio::test]
async fn a_refusal_of_the_message_or_its_sender_suppresses_nobody() {
    let peer = picky().await;
    let setting = Setting::new(&peer).await;
    setting.send(&["full@sender.test", "spam@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(setting.events("message.bounced").await.len(), 2);
    assert_eq!(reason(&setting, "full@sender.test").await, None);
    assert_eq!(reason(&setting, "spam@sender.test").await, None);
    assert!(setting.send(&["full@sender.test", "spam@sender.test"]).await.expect("accepted").suppressed.is_empty());
}

#[tokio::test]
async fn a_domain_that_is_not_there_suppresses_and_one_that_does_not_answer_does_not() {
    let resolver = StaticResolver::everything_at(LOOPBACK).without("nowhere.test").failing("silent.test");
    let setting = Setting::with(WorldOptions { resolver, ..WorldOptions::default() }).await;
    setting.send(&["ada@nowhere.test", "bob@silent.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(reason(&setting, "ada@nowhere.test").await, Some(Reason::HardBounce));
    assert_eq!(reason(&setting, "bob@silent.test").await, None);
    // A mailbox here that does not exist is no different, until it is made.
    setting.send(&["new@acme.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(reason(&setting, "new@acme.test").await, Some(Reason::HardBounce));
    let new = setting.world.mailbox(&setting.tenant, "new").await;
    assert!(setting.send(&["new@acme.test"]).await.expect("accepted").suppressed.is_empty());
    setting.world.deliver_due().await;
    assert_eq!(setting.folder(&new, "inbox").await.len(), 1);
}

#[tokio::test]
async fn what_is_handed_to_the_delivery_role_at_once_leaves_the_suppressed_out() {
    let peer = FakeSmtp::accepting().await;
    let mut setting = Setting::new(&peer).await;
    let (handoff, mut handed_over) = tokio::sync::mpsc::channel(1);
    setting.world.platform = Platform { handoff: Some(handoff), ..setting.world.platform.clone() };
    suppress(&setting, "gone@sender.test", None).await;
    setting.send(&["gone@sender.test", "ada@sender.test"]).await.expect("accepted");
    let delivery = handed_over.recv().await.expect("handed over");
    postfleet_mailflow::deliver::attempt(&setting.world.platform, delivery).await.expect("attempt");
    assert_eq!(peer.messages()[0].recipients, ["ada@sender.test"]);
    assert_eq!(setting.due_in().await, None, "nothing is left");
    // Whoever has nobody left to write to hands nothing over and leaves the room to the next.
    setting.send(&["gone@sender.test"]).await.expect_err("nobody is left");
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    assert!(handed_over.try_recv().is_ok());
}

async fn suppress(setting: &Setting, text: &str, seconds: Option<u64>) {
    let act = setting.world.act(&setting.tenant);
    let expires_at = seconds.map(|seconds| act.at.plus(Duration::from_secs(seconds)));
    let command = AddSuppressions {
        act,
        application_id: setting.tenant.application_id,
        addresses: vec![address(text)],
        reason: Reason::Manual,
        source: "api".into(),
        note: None,
        expires_at,
    };
    setting.world.platform.store.run(command).await.expect("add").expect("application");
}

#[tokio::test]
async fn the_janitor_removes_what_has_ended() {
    let setting = Setting::new(&FakeSmtp::accepting().await).await;
    for number in 0..3 {
        suppress(&setting, &format!("r{number}@sender.test"), Some(60)).await;
    }
    suppress(&setting, "for-ever@sender.test", None).await;
    setting.world.advance(60);
    janitor::clean_once(&setting.world.platform).await.expect("clean");
    let mut reader = setting.world.platform.store.reader().await.expect("reader");
    let rows = reader.query("SELECT address FROM suppressions", &[]).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.text(0).expect("text")).collect::<Vec<_>>(), ["for-ever@sender.test"]);
}

/// Gives the mailbox's workspace a policy that wants recipients looked at.
async fn want_recipients_looked_at(setting: &Setting) {
    let (world, tenant) = (&setting.world, &setting.tenant);
    let id = PolicyId::new(world.platform.clock.now(), world.platform.entropy.ten());
    let options = json!({"validate_recipients": true}).as_object().cloned().expect("object");
    let change = PolicyChange { name: Some("P".into()), options: Patch::Set(options), ..PolicyChange::default() };
    let command = CreatePolicy { act: world.act(tenant), id, application_id: tenant.application_id, change };
    world.platform.store.run(command).await.expect("policy");
    let command = UpdateWorkspace {
        act: world.act(tenant),
        application_id: tenant.application_id,
        id: tenant.workspace_id,
        name: None,
        auto_group: None,
        on_quota: None,
        domain: None,
        policy_id: Patch::Set(id),
        rule_ids: Patch::Keep,
    };
    world.platform.store.run(command).await.expect("workspace");
}

#[tokio::test]
async fn a_policy_has_recipients_looked_at_before_anything_is_accepted() {
    let resolver = StaticResolver::everything_at(LOOPBACK)
        .without("nowhere.test")
        .with_mx("null.test", 0, ".")
        .failing("silent.test");
    let setting = Setting::with(WorldOptions { resolver, ..WorldOptions::default() }).await;
    setting.send(&["ada@nowhere.test"]).await.expect("nobody looks");
    want_recipients_looked_at(&setting).await;
    let refused = setting
        .send(&["ada@sender.test", "bob@null.test", "new@acme.test", "cy@sub.nowhere.test", "dee@nowhere.test"])
        .await
        .expect_err("mail cannot reach them");
    assert_eq!((refused.code, refused.field.as_deref()), ("recipient_undeliverable", Some("to")));
    assert_eq!(
        refused.public,
        "mail cannot reach: bob@null.test is at a domain that takes no mail; new@acme.test is no mailbox of its domain; \
         dee@nowhere.test is at a domain that does not exist or has no mail server"
    );
    assert!(setting.folder(&setting.agent, "sent").await.len() == 1, "nothing was filed");
    // What cannot be found out is passed, and so are mailboxes that are there.
    setting.send(&["ada@sender.test", "bob@silent.test", "agent@acme.test"]).await.expect("accepted");
}

#[tokio::test]
async fn a_link_to_unsubscribe_is_the_recipients_own_and_signed() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let person = |email: &str| Participant { name: String::new(), email: email.to_owned() };
    let outgoing = |to: &[&str]| Outgoing {
        to: to.iter().map(|to| person(to)).collect(),
        subject: "News".to_owned(),
        has_unsubscribe_link: true,
        ..Outgoing::default()
    };
    let platform = &setting.world.platform;
    send(platform, &setting.agent, outgoing(&["ada@sender.test"])).await.expect("accepted");
    setting.world.deliver_due().await;
    let text = peer.messages()[0].text();
    let text = text.replace("\r\n ", " ").replace("\r\n\t", " ");
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    let link = field("List-Unsubscribe: ").trim();
    let (link, mailto) = link.split_once(", ").expect("a link and an address");
    let token = link.strip_prefix("<https://mail.world.test/v3/unsubscribe/").and_then(|rest| rest.strip_suffix('>'));
    let mailto = mailto.strip_prefix("<mailto:").and_then(|rest| rest.strip_suffix("?subject=unsubscribe>"));
    assert!(platform.keys.unsubscribe_addresses().read(&address(mailto.expect("an address"))).is_some());
    let link = postfleet_fleet::unsubscribe::read(&platform.keys, token.expect("a link")).expect("ours");
    assert_eq!((link.recipient, link.grant_id), (address("ada@sender.test"), setting.agent.id));
    assert_eq!(field("List-Unsubscribe-Post: ").trim(), "List-Unsubscribe=One-Click");
    // Both are signed, and once more than they occur.
    let signed: Vec<_> = text.lines().filter(|line| line.starts_with("DKIM-Signature:")).collect();
    assert_eq!(signed.len(), 2);
    for signature in signed {
        let names = signature.split("h=").nth(1).and_then(|rest| rest.split(';').next()).expect("h=");
        let names: Vec<_> = names.split(':').map(|name| name.trim().to_ascii_lowercase()).collect();
        for name in ["list-unsubscribe", "list-unsubscribe-post"] {
            assert_eq!(names.iter().filter(|signed| *signed == name).count(), 2, "{signature}");
        }
    }
    let refused = send(platform, &setting.agent, outgoing(&["ada@sender.test", "bob@sender.test"])).await;
    assert_eq!(refused.expect_err("whose link?").field.as_deref(), Some("list_unsubscribe"));
    let own = ("list-unsubscribe".to_owned(), "<https://x.test>".to_owned());
    let twice = Outgoing { custom_headers: vec![own], ..outgoing(&["ada@sender.test"]) };
    assert_eq!(send(platform, &setting.agent, twice).await.expect_err("two links").code, "invalid_request");

    let setting = Setting::with(WorldOptions { public_url: None, ..WorldOptions::default() }).await;
    let refused = send(&setting.world.platform, &setting.agent, outgoing(&["ada@sender.test"])).await;
    assert_eq!(refused.expect_err("leads nowhere").code, "public_url_not_configured");
}

async fn put_on_list(setting: &Setting, addresses: &[&str], reason: Reason) {
    let act = setting.world.act(&setting.tenant);
    let command = AddSuppressions {
        act,
        application_id: setting.tenant.application_id,
        addresses: addresses.iter().map(|text| address(text)).collect(),
        reason,
        source: "api".into(),
        note: None,
        expires_at: None,
    };
    setting.world.platform.store.run(command).await.expect("add").expect("application");
}

#[tokio::test]
async fn what_waits_for_somebody_who_is_suppressed_meanwhile_does_not_leave() {
    let peer = FakeSmtp::start(|_| SmtpAnswer::Good).await;
    let setting = Setting::new(&peer).await;
    let sent = setting.send(&["ada@sender.test", "Bob@sender.test", "cy@other.test", "dee@sender.test"]).await;
    let id: MessageId = sent.expect("accepted").message.id.parse().expect("id");
    let stranger = setting.world.tenant(NewTenant::of("stranger.test")).await;
    let act = setting.world.act(&stranger);
    let theirs = AddSuppressions {
        act,
        application_id: stranger.application_id,
        addresses: vec![address("dee@sender.test")],
        reason: Reason::Manual,
        source: "api".into(),
        note: None,
        expires_at: None,
    };
    setting.world.platform.store.run(theirs).await.expect("add").expect("application");
    put_on_list(&setting, &["ada@sender.test", "bob@sender.test"], Reason::Unsubscribe).await;
    put_on_list(&setting, &["cy@other.test"], Reason::Complaint).await;
    setting.world.deliver_due().await;
    let reached: Vec<_> = peer.messages().into_iter().flat_map(|message| message.recipients).collect();
    assert_eq!(reached, ["dee@sender.test"]);
    let mut rejected = setting.events("message.rejected").await;
    assert!(rejected.iter().all(|event| event["reason"] == "suppressed"), "{rejected:?}");
    rejected.sort_by_key(|event| event["recipients"][0]["email"].to_string());
    let told: Vec<_> = rejected.iter().map(|event| &event["recipients"]).collect();
    assert_eq!(
        told,
        [
            &json!([{"email": "Bob@sender.test", "reason": "unsubscribe"}]),
            &json!([{"email": "ada@sender.test", "reason": "unsubscribe"}]),
            &json!([{"email": "cy@other.test", "reason": "complaint"}]),
        ]
    );
    assert_eq!(setting.events("message.bounced").await.len(), 0, "nobody was asked");
    assert_eq!(setting.events("message.delivered").await.len(), 1);
    let notices = setting.inbox().await;
    assert_eq!(notices.len(), 1, "one report for the three of them");
    let body = notices[0].body.as_ref().expect("body");
    for recipient in ["ada@sender.test", "Bob@sender.test", "cy@other.test"] {
        assert!(body.contains(recipient), "{recipient}: {body}");
    }
    assert!(body.contains("suppressed meanwhile (complaint)"), "{body}");

    let life = postfleet_mailflow::queue::life(&setting.world.platform, setting.tenant.application_id, id);
    let life = life.await.expect("life");
    assert_eq!(life.state, "done");
    let ada = life.recipients.iter().find(|one| one.email == "ada@sender.test").expect("ada");
    assert_eq!((&*ada.state, ada.attempts), ("suppressed", 1));
    assert!(ada.why.contains("suppressed meanwhile (unsubscribe)"), "{ada:?}");
    assert_eq!(setting.sends_counted().await, 1, "a server was asked for one of them");
}

#[tokio::test]
async fn a_message_that_nobody_gets_any_more_costs_no_quota_and_one_who_is_taken_off_the_list_gets_it() {
    let peer = FakeSmtp::start(|_| SmtpAnswer::Good).await;
    let setting = Setting::new(&peer).await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    put_on_list(&setting, &["ada@sender.test"], Reason::Manual).await;
    setting.world.deliver_due().await;
    assert_eq!(setting.sends_counted().await, 0);
    remove(&setting, "ada@sender.test").await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    put_on_list(&setting, &["ada@sender.test"], Reason::Manual).await;
    remove(&setting, "ada@sender.test").await;
    setting.world.deliver_due().await;
    let reached = peer.messages().into_iter().flat_map(|message| message.recipients);
    assert_eq!(reached.filter(|to| to == "ada@sender.test").count(), 1);
}

#[tokio::test]
async fn a_refusal_stops_what_waits_for_the_same_address() {
    let peer = picky().await;
    let setting = Setting::new(&peer).await;
    for _ in 0..3 {
        setting.send(&["gone@sender.test"]).await.expect("accepted");
    }
    // What is claimed later knows what the first learnt.
    let first = deliver::claim(&setting.world.platform, 1).await.expect("claim");
    for delivery in first {
        deliver::attempt(&setting.world.platform, delivery).await.expect("attempt");
    }
    setting.world.deliver_due().await;
    assert_eq!(setting.events("message.bounced").await.len(), 1);
    let rejected = setting.events("message.rejected").await;
    assert_eq!(rejected.len(), 2);
    assert_eq!(rejected[0]["recipients"], json!([{"email": "gone@sender.test", "reason": "hard_bounce"}]));
}

/// The address at which the reader of the newest message that the peer got wants no more.
fn unsubscribe_address(peer: &FakeSmtp) -> String {
    let text = peer.messages().last().expect("a message").text().replace("\r\n ", " ").replace("\r\n\t", " ");
    let found = text.split("<mailto:").nth(1).and_then(|rest| rest.split('?').next());
    found.unwrap_or_else(|| panic!("{text}")).to_owned()
}

async fn send_with_link(setting: &Setting, to: &str) -> MessageId {
    let outgoing = Outgoing {
        to: vec![Participant { name: String::new(), email: to.to_owned() }],
        subject: format!("News for {to}"),
        has_unsubscribe_link: true,
        ..Outgoing::default()
    };
    let sent = send(&setting.world.platform, &setting.agent, outgoing).await.expect("accepted");
    setting.world.deliver_due().await;
    sent.message.id.parse().expect("id")
}

const WANTS_NO_MORE: &str = "From: somebody@else.test\r\nSubject: unsubscribe\r\n\r\n";

#[tokio::test]
async fn mail_to_the_address_of_a_message_unsubscribes_its_reader_at_once() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let id = send_with_link(&setting, "Ada@sender.test").await;
    let to = unsubscribe_address(&peer);
    let platform = &setting.world.platform;
    postfleet_mailflow::receive::recipient(
        platform,
        &postfleet_mailflow::receive::Offer::from(&postfleet_core::ReversePath::Null),
        &address(&to.to_uppercase()),
    )
    .await
    .expect("taken");
    setting.world.receive("somebody@else.test", &to.to_uppercase(), WANTS_NO_MORE).await.expect("taken");
    let mut reader = platform.store.reader().await.expect("reader");
    let application = setting.tenant.application_id;
    let entry = suppressions::find(&mut reader, application, &address("ada@sender.test"), platform.clock.now()).await;
    drop(reader);
    let entry = entry.expect("find").expect("suppressed");
    assert_eq!((entry.reason, &*entry.source, entry.message_id), (Reason::Unsubscribe, "mailto", Some(id)));
    assert_eq!(setting.send(&["ada@sender.test"]).await.expect_err("not any more").code, "all_recipients_suppressed");
    let told = setting.events("message.unsubscribed").await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["recipient"], &told[0]["source"]), (&json!("Ada@sender.test"), &json!("mailto")));
    // Again it changes nothing, and nothing is filed or answered.
    setting.world.receive("somebody@else.test", &to, WANTS_NO_MORE).await.expect("taken");
    assert_eq!(setting.events("message.unsubscribed").await.len(), 1);
    assert!(setting.inbox().await.is_empty());
    setting.world.deliver_due().await;
    assert_eq!(peer.messages().len(), 1);
}

#[tokio::test]
async fn addresses_that_nobody_was_given_unsubscribe_nobody() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let id = send_with_link(&setting, "ada@sender.test").await;
    let to = unsubscribe_address(&peer);
    let platform = &setting.world.platform;
    let (local, _) = to.split_once('@').expect("an address");
    let last = if local.ends_with('a') { 'b' } else { 'a' };
    let forged = format!("{}{last}@acme.test", &local[..local.len() - 1]);
    setting.world.tenant(NewTenant::of("other.test")).await;
    let of_nothing = platform
        .keys
        .unsubscribe_addresses()
        .make(MessageId::new(platform.clock.now(), [9; 10]), setting.agent.email.domain());
    let of_nothing = of_nothing.expect("address").to_string();
    for to in [forged, format!("{local}@other.test"), format!("x{local}@acme.test"), of_nothing] {
        let refused = setting.world.receive("somebody@else.test", &to, WANTS_NO_MORE).await;
        assert_eq!(refused.expect_err("unknown").code, "no_such_mailbox", "{to}");
    }
    // A report about something else is nobody's wish.
    let report = "From: postmaster@else.test\r\nSubject: failed\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\
        Content-Type: text/plain\r\n\r\nfailed\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
        Reporting-MTA: dns; else.test\r\n\r\nFinal-Recipient: rfc822; ada@sender.test\r\nAction: failed\r\n\
        Status: 5.1.1\r\n\r\n--b--\r\n";
    assert!(setting.world.receive("", &to, report).await.is_err());
    assert_eq!(reason(&setting, "ada@sender.test").await, None);
    assert!(setting.events("message.unsubscribed").await.is_empty());
    // Its own message is the one that says who is meant.
    let mut reader = platform.store.reader().await.expect("reader");
    assert!(postfleet_store::messages::find(&mut reader, setting.agent.id, id).await.expect("find").is_some());
}
