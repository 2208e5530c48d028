//! Spam on its way in: what is judged and filed, what lists and rspamd are asked, and what is learned from moves.

use crate::support::Setting;
use postfleet_core::{Domain, EmailAddress, ReversePath};
use postfleet_fleet::policies;
use postfleet_mail::trace::Protocol;
use postfleet_mailflow::receive::{Arrival, receive};
use postfleet_mailflow::spam::{Rspamd, RspamdMode, SpamSettings, learn_once};
use postfleet_mailflow::{Platform, refile};
use postfleet_net::webhook_http::WebhookHttpOptions;
use postfleet_net::{StaticResolver, WebhookHttp};
use postfleet_schema::message::{Message, UpdateMessage};
use postfleet_store::grants::Grant;
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use postfleet_testkit::world::{NewTenant, WorldOptions};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

const SPAM: &str = "Subject: YOU HAVE WON THE LOTTERY!!!\r\nFrom: <x@winbig.test>\r\n\r\n\
    You have won the jackpot. Claim your prize: click here http://203.0.113.7/ V1agra without prescription.\r\n";
const HAM: &str = "Subject: The minutes\r\nFrom: Bob <bob@partner.test>\r\nTo: agent@acme.test\r\n\
    Date: Mon, 2 Mar 2026 09:00:00 +0000\r\nMessage-ID: <1@partner.test>\r\n\r\nHere are the minutes of the meeting.\r\n";

async fn arrive(platform: &Platform, ip: &str, from: &str, to: &str, message: &str) {
    let arrival = Arrival {
        reverse_path: ReversePath::Mailbox(EmailAddress::parse(from).expect("address")),
        recipients: vec![EmailAddress::parse(to).expect("address")],
        helo: "mx.sender.test".to_owned(),
        ip: ip.parse().expect("address"),
        protocol: Protocol { is_extended: true, ..Protocol::default() },
        message: message.as_bytes().to_vec(),
    };
    receive(platform, arrival).await.expect("accepted");
}

/// What mail is recognised by in the tenant's only policy.
async fn set_policy(setting: &Setting, spam: Value) {
    let (world, tenant) = (&setting.world, &setting.tenant);
    let store = &world.platform.store;
    let id = {
        let sql = "SELECT policy_id FROM workspaces WHERE id = $1";
        let mut reader = store.reader().await.expect("reader");
        let row = reader.query_one(sql, &[tenant.workspace_id.uuid().into()]).await.expect("read").expect("workspace");
        postfleet_core::id::PolicyId::from_uuid(row.uuid(0).expect("policy"))
    };
    let request = serde_json::from_value(json!({"spam_detection": spam})).expect("request");
    policies::update(store, world.act(tenant), tenant.application_id, id, request).await.expect("policy");
}

/// A world in which every client may send for a domain: who sends is proved, so that something else decides.
async fn proved(domain: &str) -> Setting {
    let resolver = StaticResolver::everything_at(Ipv4Addr::LOCALHOST.into()).with_txt(domain, "v=spf1 +all");
    Setting::with(WorldOptions { resolver, ..WorldOptions::default() }).await
}

async fn only(setting: &Setting, folder: &str) -> Message {
    let mut found = setting.folder(&setting.agent, folder).await;
    assert_eq!(found.len(), 1, "{folder}");
    found.remove(0)
}

/// The names of a message's reasons.
fn reasons(message: &Message) -> Vec<String> {
    let shown = serde_json::to_value(message).expect("JSON");
    let reasons = shown["spam"]["reasons"].as_array().expect("reasons").clone();
    reasons.iter().map(|reason| reason["name"].as_str().expect("name").to_owned()).collect()
}

async fn move_to(platform: &Platform, grant: &Grant, message: &Message, folder: &str) {
    let request = UpdateMessage { folders: Some(vec![folder.to_owned()]), ..UpdateMessage::default() };
    let id = message.id.parse().expect("id");
    refile::update(platform, grant.application_id, grant.id, id, request).await.expect("moved");
}

#[tokio::test]
async fn spam_is_filed_in_junk_and_says_why() {
    let setting = Setting::with(WorldOptions::default()).await;
    let platform = &setting.world.platform;
    arrive(platform, "203.0.113.9", "x@winbig.test", "agent@acme.test", SPAM).await;
    arrive(platform, "203.0.113.9", "bob@partner.test", "agent@acme.test", HAM).await;
    let junk = only(&setting, "junk").await;
    assert_eq!(only(&setting, "inbox").await.subject, "The minutes");
    let shown = serde_json::to_value(&junk).expect("JSON");
    let score = |value: &Value| value.as_f64().expect("number");
    let sum: f64 = shown["spam"]["reasons"].as_array().expect("reasons").iter().map(|one| score(&one["score"])).sum();
    assert!((sum - score(&shown["spam"]["score"])).abs() < 0.001, "{shown}");
    assert!(score(&shown["spam"]["score"]) >= score(&shown["spam"]["threshold"]), "{shown}");
    for expected in ["phrase_lottery", "phrase_medicine", "shouting_subject", "numeric_link", "disguised_words"] {
        assert!(reasons(&junk).iter().any(|name| name == expected), "{expected}: {:?}", reasons(&junk));
    }
    // It has no date and no Message-ID, which counts if the policy says so.
    assert!(!reasons(&junk).contains(&"no_date".to_owned()));
}

#[tokio::test]
async fn a_policy_says_how_sensitive_and_by_what() {
    let odd = "Subject: hello\r\nFrom: <x@unknown.test>\r\n\r\nSee you\r\n";
    for (spam, folder, reason) in [
        (json!({"spam_sensitivity": 5.0}), "inbox", None),
        (json!({"use_header_anomaly_detection": true}), "inbox", Some("no_date")),
        (json!({"use_header_anomaly_detection": true, "spam_sensitivity": 5.0}), "junk", Some("no_date")),
        (json!({"use_header_anomaly_detection": true, "spam_sensitivity": 0.1}), "inbox", Some("no_date")),
    ] {
        let setting = proved("unknown.test").await;
        set_policy(&setting, spam.clone()).await;
        arrive(&setting.world.platform, "203.0.113.9", "x@unknown.test", "agent@acme.test", odd).await;
        let found = reasons(&only(&setting, folder).await);
        let has = |name: &str| found.iter().any(|one| one == name);
        assert_eq!(reason.is_some_and(has), reason.is_some(), "{spam}: {found:?}");
    }
}

#[tokio::test]
async fn the_preset_triage_filters_strongly() {
    let triage = postfleet_core::preset::find("triage").expect("preset");
    let offer = "Subject: Your website\r\nFrom: <x@agency.test>\r\nTo: agent@acme.test\r\n\r\n\
        Our SEO services bring you to the first page of Google.\r\n";
    let strong = json!({
        "use_list_dnsbl": triage.use_list_dnsbl,
        "use_header_anomaly_detection": triage.use_header_anomaly_detection,
        "spam_sensitivity": f64::from(triage.spam_sensitivity_permille) / 1_000.0,
    });
    for (spam, folder) in [(json!({}), "inbox"), (strong, "junk")] {
        let setting = Setting::with(WorldOptions::default()).await;
        set_policy(&setting, spam).await;
        arrive(&setting.world.platform, "203.0.113.9", "x@agency.test", "agent@acme.test", offer).await;
        only(&setting, folder).await;
        let usual = HAM.replace("bob@partner.test", "carol@partner.test");
        arrive(&setting.world.platform, "203.0.113.9", "carol@partner.test", "agent@acme.test", &usual).await;
        let inbox = setting.folder(&setting.agent, "inbox").await;
        assert!(inbox.iter().any(|message| message.subject == "The minutes"));
    }
}

#[tokio::test]
async fn lists_are_asked_and_fail_open() {
    let listed = |resolver: StaticResolver| {
        let code: IpAddr = "127.0.0.2".parse().expect("address");
        resolver
            .with_address("2.0.0.127.ips.test", code)
            .with_address("9.113.0.203.ips.test", code)
            .with_address("test.names.test", code)
            .with_address("winbig.test.names.test", code)
    };
    let zone = |name: &str| vec![Domain::parse(name).expect("zone")];
    let spam =
        SpamSettings { address_zones: zone("ips.test"), domain_zones: zone("names.test"), ..SpamSettings::default() };
    let message = "Subject: hello\r\nFrom: <x@winbig.test>\r\n\r\nHello\r\n";
    for (resolver, wants, expected) in [
        (listed(StaticResolver::empty()), true, vec!["listed_address", "listed_domain"]),
        (listed(StaticResolver::empty()), false, vec![]),
        // A list that says yes to everything is not believed, nor is one that is gone.
        (
            listed(StaticResolver::empty()).with_address("1.0.0.127.ips.test", "127.0.0.2".parse().expect("address")),
            true,
            vec!["listed_domain"],
        ),
        (
            StaticResolver::empty().with_address("9.113.0.203.ips.test", "127.0.0.2".parse().expect("address")),
            true,
            vec![],
        ),
        (
            listed(StaticResolver::empty()).failing("winbig.test.names.test").failing("9.113.0.203.ips.test"),
            true,
            vec![],
        ),
    ] {
        let setting = Setting::with(WorldOptions { resolver, spam: spam.clone(), ..WorldOptions::default() }).await;
        set_policy(&setting, json!({"use_list_dnsbl": wants})).await;
        arrive(&setting.world.platform, "203.0.113.9", "x@winbig.test", "agent@acme.test", message).await;
        let folder = if expected.len() == 2 { "junk" } else { "inbox" };
        let mut found = reasons(&only(&setting, folder).await);
        found.retain(|name| name.starts_with("listed_"));
        found.sort();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn moves_are_learned_by_their_application_alone() {
    let setting = Setting::with(WorldOptions::default()).await;
    let world = &setting.world;
    let platform = &world.platform;
    let other = world.tenant(NewTenant::of("other.test")).await;
    let stranger = world.mailbox(&other, "agent").await;
    let colleague = world.mailbox(&setting.tenant, "colleague").await;
    let offer = |number: u32| {
        format!(
            "Subject: Garden chairs {number}\r\nFrom: <s{number}@chairs.test>\r\n\r\nOur garden chairs of teak are \
             delivered with cushions and a parasol, {number} pieces are left.\r\n"
        )
    };
    let note = |number: u32| {
        format!(
            "Subject: Shift {number}\r\nFrom: <t{number}@hospital.test>\r\n\r\nThe night shift of ward {number} is covered by nurses.\r\n"
        )
    };
    for number in 0..20 {
        arrive(platform, "203.0.113.9", "a@chairs.test", "agent@acme.test", &offer(number)).await;
        let message = only(&setting, "inbox").await;
        move_to(platform, &setting.agent, &message, "junk").await;
        // Into junk by mistake, and out of it: other mail.
        arrive(platform, "203.0.113.9", "a@hospital.test", "agent@acme.test", &note(number)).await;
        let message = only(&setting, "inbox").await;
        move_to(platform, &setting.agent, &message, "junk").await;
        move_to(platform, &setting.agent, &message, "archive").await;
    }
    while learn_once(platform).await.expect("learned") {}
    world.advance(61);
    arrive(platform, "203.0.113.9", "a@chairs.test", "colleague@acme.test", &offer(99)).await;
    arrive(platform, "203.0.113.9", "a@chairs.test", "agent@other.test", &offer(99)).await;
    arrive(platform, "203.0.113.9", "a@hospital.test", "agent@acme.test", &note(99)).await;
    let learned = |message: &Message| {
        let shown = serde_json::to_value(message).expect("JSON");
        let reasons = shown["spam"]["reasons"].as_array().expect("reasons").clone();
        reasons.iter().find(|one| one["name"] == "trained_words").map(|one| one["score"].as_f64().expect("score"))
    };
    let first = async |grant: &Grant| {
        let mut all = setting.folder(grant, "inbox").await;
        all.extend(setting.folder(grant, "junk").await);
        all.remove(0)
    };
    assert!(learned(&first(&colleague).await).expect("it knows") > 4.0);
    assert_eq!(learned(&first(&stranger).await), None);
    assert!(learned(&only(&setting, "inbox").await).expect("it knows") < -3.0);
}

#[tokio::test]
async fn what_was_junk_before_is_rather_junk_again() {
    let setting = proved("pushy.test").await;
    let platform = &setting.world.platform;
    let first = "Subject: one\r\nFrom: Sales <sales@pushy.test>\r\n\r\nHello\r\n";
    arrive(platform, "203.0.113.9", "sales@pushy.test", "agent@acme.test", first).await;
    let message = only(&setting, "inbox").await;
    move_to(platform, &setting.agent, &message, "junk").await;
    let second = "Subject: two\r\nFrom: SALES@pushy.test\r\n\r\nHello again\r\n";
    arrive(platform, "203.0.113.9", "sales@pushy.test", "agent@acme.test", second).await;
    assert!(reasons(&only(&setting, "inbox").await).contains(&"junk_before".to_owned()));
    // An answer to what the mailbox wrote is welcome.
    setting.send(&["bob@partner.test"]).await.expect("sent");
    let shown = serde_json::to_value(&setting.folder(&setting.agent, "sent").await[0]).expect("JSON");
    let answered = shown["message_id_header"].as_str().expect("it has one").trim_matches(['<', '>']).to_owned();
    let reply = format!("Subject: Re: Hello\r\nFrom: bob@partner.test\r\nIn-Reply-To: <{answered}>\r\n\r\nThanks\r\n");
    arrive(platform, "203.0.113.9", "bob@partner.test", "agent@acme.test", &reply).await;
    let newest = setting
        .folder(&setting.agent, "inbox")
        .await
        .into_iter()
        .find(|one| one.subject == "Re: Hello")
        .expect("reply");
    assert!(reasons(&newest).contains(&"answers_us".to_owned()), "{:?}", reasons(&newest));
}

/// A world with rspamd at that address.
async fn with_rspamd(url: String, mode: RspamdMode) -> Setting {
    let allow = vec!["127.0.0.0/8".parse().expect("network")];
    let http = Arc::new(WebhookHttp::with_options(WebhookHttpOptions { allow, ..WebhookHttpOptions::default() }));
    let rspamd = Some(Rspamd { url, mode, deadline: Duration::from_secs(20), http });
    let spam = SpamSettings { rspamd, ..SpamSettings::default() };
    Setting::with(WorldOptions { spam, ..WorldOptions::default() }).await
}

#[tokio::test]
async fn rspamd_is_shown_the_envelope_and_what_it_finds_counts() {
    let answer = json!({"score": 8.4, "required_score": 15, "action": "add header",
        "symbols": {"BAD_THING": {"score": 8.4, "description": "it is bad"}}});
    let answer = answer.to_string();
    let server = FakeHttp::start(move |_| HttpResponse::new(200, &[], answer.as_bytes())).await;
    let setting = with_rspamd(server.url("/checkv2"), RspamdMode::Add).await;
    arrive(&setting.world.platform, "203.0.113.9", "bob@partner.test", "agent@acme.test", HAM).await;
    assert!(reasons(&only(&setting, "junk").await).contains(&"rspamd_bad_thing".to_owned()));
    let shown = &server.requests()[0];
    for (name, value) in
        [("ip", "203.0.113.9"), ("helo", "mx.sender.test"), ("from", "bob@partner.test"), ("rcpt", "agent@acme.test")]
    {
        assert_eq!(shown.header(name), Some(value), "{name}");
    }
    assert_eq!((shown.method.as_str(), shown.body.as_slice()), ("POST", HAM.as_bytes()));
}

#[tokio::test]
async fn rspamd_may_replace_what_is_found_here_and_fails_open() {
    let clean = FakeHttp::start(|_| HttpResponse::new(200, &[], br#"{"score": 0.5, "symbols": {}}"#)).await;
    let broken = FakeHttp::start(|_| HttpResponse::new(500, &[], b"")).await;
    let silent = FakeHttp::start(|_| HttpResponse::hang_up()).await;
    for (server, mode, folder) in [
        (&clean, RspamdMode::Replace, "inbox"),
        (&clean, RspamdMode::Add, "junk"),
        (&broken, RspamdMode::Replace, "junk"),
        (&silent, RspamdMode::Replace, "junk"),
    ] {
        let setting = with_rspamd(server.url("/checkv2"), mode).await;
        arrive(&setting.world.platform, "203.0.113.9", "x@winbig.test", "agent@acme.test", SPAM).await;
        only(&setting, folder).await;
    }
    let nobody = with_rspamd("http://127.0.0.1:1/checkv2".to_owned(), RspamdMode::Replace).await;
    arrive(&nobody.world.platform, "203.0.113.9", "bob@partner.test", "agent@acme.test", HAM).await;
    only(&nobody, "inbox").await;
}
