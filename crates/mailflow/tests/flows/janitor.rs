//! Cleaning up: what goes, and above all what stays.

use crate::support::Setting;
use postfleet_core::id::{EvaluationId, GrantId, SignInId};
use postfleet_fleet::lists;
use postfleet_mailflow::{janitor, webhooks};
use postfleet_schema::list::{CreateList, ListItems};
use postfleet_schema::webhook::CreateWebhook;
use postfleet_store::db::DbError;
use postfleet_store::tokens::IssueCode;
use postfleet_store::{Command, Tx, events, messages, params};
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use postfleet_testkit::world::WorldOptions;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A message that does not compress to 64 KiB, so that its body is a file.
fn large(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut message = "From: a@sender.test\r\nSubject: large\r\n\r\n".to_owned();
    for index in 0..300_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        message.push(char::from(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[(state >> 32) as usize % 64],
        ));
        if index % 76 == 75 {
            message.push_str("\r\n");
        }
    }
    message + "\r\n"
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Makes a file look as if it had been written two hours ago.
fn age(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).expect("file");
    let written = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    file.set_modified(written - Duration::from_secs(7_200)).expect("time set");
}

async fn remove(setting: &Setting) {
    let platform = &setting.world.platform;
    let (application, act) = (setting.tenant.application_id, setting.world.act(&setting.tenant));
    let removed =
        postfleet_fleet::grants::remove(&platform.store, &*platform.entropy, act, application, setting.agent.id);
    removed.await.expect("removed");
}

async fn stored(setting: &Setting, id: &str) -> bool {
    let mut reader = setting.world.platform.store.reader().await.expect("reader");
    messages::find(&mut reader, setting.agent.id, id.parse().expect("id")).await.expect("read").is_some()
}

#[tokio::test]
async fn a_removed_mailbox_loses_its_content_and_others_keep_theirs() {
    let setting = Setting::with(WorldOptions::default()).await;
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    let send = async |to: &str| {
        setting.world.receive("a@sender.test", to, "Subject: x\r\n\r\nHi\r\n").await.expect("accepted");
    };
    // More than one command removes.
    for _ in 0..450 {
        send("agent@acme.test").await;
    }
    send("other@acme.test").await;
    let ids: Vec<String> = setting.inbox().await.into_iter().map(|message| message.id).collect();
    remove(&setting).await;
    assert!(stored(&setting, &ids[0]).await, "removed a little at a time, not at once");
    janitor::clean_once(&setting.world.platform).await.expect("cleaned");
    for id in &ids {
        assert!(!stored(&setting, id).await);
    }
    assert_eq!(setting.folder(&other, "inbox").await.len(), 1);
    janitor::clean_once(&setting.world.platform).await.expect("nothing left to do");
}

#[tokio::test]
async fn what_lists_leave_goes_and_removals_are_known_for_a_day() {
    let setting = Setting::with(WorldOptions::default()).await;
    let (platform, tenant) = (&setting.world.platform, &setting.tenant);
    let (store, entropy, application) = (&platform.store, &*platform.entropy, tenant.application_id);
    let act = || setting.world.act(tenant);
    let make = async |name: &str| {
        let new = CreateList { name: name.into(), kind: "domain".into(), description: None };
        lists::create(store, entropy, act(), application, new).await.expect("list").id
    };
    let values = |range: std::ops::Range<u32>| ListItems { items: range.map(|n| format!("d{n}.test")).collect() };
    let (gone, kept) = (make("gone").await, make("kept").await);
    for list in [gone, kept] {
        lists::add_items(store, entropy, act(), application, list, values(0..500)).await.expect("added");
        lists::remove_items(store, act(), application, list, values(0..300)).await.expect("removed");
    }
    lists::remove(store, act(), application, gone).await.expect("removed");
    let rows = async || {
        const ROWS: &str = "SELECT (SELECT count(*) FROM list_items), (SELECT count(*) FROM list_removals), \
            (SELECT count(*) FROM removed_lists)";
        let row = store.reader().await.expect("reader").query_one(ROWS, &[]).await.expect("rows").expect("row");
        [0, 1, 2].map(|column| row.int(column).expect("count"))
    };
    assert_eq!(rows().await, [400, 600, 1]);
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(rows().await, [200, 300, 0], "of the list that is there, all is there");
    // Up to the last moment of a day.
    setting.world.advance(86_400);
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(rows().await, [200, 300, 0]);
    setting.world.advance(1);
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(rows().await, [200, 0, 0]);
}

#[tokio::test]
async fn a_body_that_nothing_names_goes_once_it_is_old() {
    let setting = Setting::with(WorldOptions::default()).await;
    let blobs = setting.world.folder().join("blobs");
    setting.world.receive("a@sender.test", "agent@acme.test", large(1)).await.expect("accepted");
    assert_eq!(files(&blobs).len(), 1);
    remove(&setting).await;
    let clean = async || janitor::clean_once(&setting.world.platform).await.expect("cleaned");
    clean().await;
    assert_eq!(files(&blobs).len(), 1, "young: it might belong to a message that is just being stored");
    age(&files(&blobs)[0]);
    clean().await;
    assert_eq!(files(&blobs), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_body_that_a_message_names_stays_however_old_it_is() {
    let setting = Setting::with(WorldOptions::default()).await;
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    for to in ["agent@acme.test", "other@acme.test"] {
        setting.world.receive("a@sender.test", to, large(2)).await.expect("accepted");
    }
    let blobs = setting.world.folder().join("blobs");
    files(&blobs).iter().for_each(|file| age(file));
    remove(&setting).await;
    janitor::clean_once(&setting.world.platform).await.expect("cleaned");
    let kept = setting.folder(&other, "inbox").await;
    assert_eq!(kept[0].body.as_ref().map(|body| body.len() > 300_000), Some(true));
}

#[tokio::test]
async fn the_body_of_a_queued_message_outlives_its_mailbox() {
    let peer = postfleet_testkit::smtp::FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    remove(&setting).await;
    janitor::clean_once(&setting.world.platform).await.expect("cleaned");
    setting.world.deliver_due().await;
    assert_eq!(peer.messages().len(), 1);
}

#[tokio::test]
async fn old_events_go_and_those_that_a_webhook_still_needs_stay() {
    let setting = Setting::with(WorldOptions::default()).await;
    let platform = &setting.world.platform;
    let count = async || {
        let mut reader = platform.store.reader().await.expect("reader");
        events::after(&mut reader, 0, 1_000).await.expect("events").len()
    };
    let receive = async || {
        setting.world.receive("a@sender.test", "agent@acme.test", "Subject: x\r\n\r\n").await.expect("accepted");
    };
    receive().await;
    assert_eq!(count().await, 2);
    // Up to the last moment of the retention they stay.
    let week = platform.settings.event_retention.as_secs();
    setting.world.advance(week);
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(count().await, 2);
    setting.world.advance(1);
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(count().await, 0);

    let receiver = FakeHttp::start(|request| {
        let challenge = request.path.split_once("challenge=").map_or("", |(_, challenge)| challenge);
        HttpResponse::new(200, &[], challenge.as_bytes())
    })
    .await;
    let request = CreateWebhook {
        trigger_types: vec!["message.created".to_owned()],
        webhook_url: receiver.url("/"),
        ..CreateWebhook::default()
    };
    webhooks::create(platform, setting.tenant.application_id, &request).await.expect("webhook");
    receive().await;
    setting.world.advance(2 * week);
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(count().await, 1, "not told yet");
    for mut webhook in webhooks::lease(platform).await.expect("lease") {
        webhooks::round(platform, &mut webhook).await.expect("round");
    }
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(count().await, 0);
    assert_eq!(receiver.requests().len(), 2);
}

struct InsertEvaluation(EvaluationId);

impl Command for InsertEvaluation {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const INSERT: &str = "INSERT INTO rule_evaluations (id, organization_id, application_id, grant_id, stage, input, \
            applied, matched, shadow, evaluated_at) VALUES ($1, $1, $1, $1, 'smtp_rcpt', '{}', '{}', '[]', '{}', 0)";
        tx.execute(INSERT, params![self.0.uuid()]).await
    }
}

#[tokio::test]
async fn records_of_what_rules_said_go_after_their_time() {
    let setting = Setting::with(WorldOptions::default()).await;
    let platform = &setting.world.platform;
    let kept = platform.settings.evaluation_retention.as_secs();
    let write = async || {
        let id = EvaluationId::new(platform.clock.now(), platform.entropy.ten());
        platform.store.run(InsertEvaluation(id)).await.expect("insert");
    };
    let count = async || {
        let mut reader = platform.store.reader().await.expect("reader");
        let row = reader.query_one("SELECT count(*) FROM rule_evaluations", params![]).await.expect("query");
        row.expect("row").int(0).expect("number")
    };
    // More than one command removes.
    for _ in 0..450 {
        write().await;
    }
    setting.world.advance(kept);
    write().await;
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(count().await, 451, "up to the last moment they stay");
    setting.world.advance(1);
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(count().await, 1);
}

struct SetPassword(GrantId);

impl Command for SetPassword {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tx.execute("UPDATE grants SET app_password = 'stored' WHERE id = $1", params![self.0.uuid()]).await
    }
}

/// How many codes and tokens there are.
async fn tokens(setting: &Setting) -> i64 {
    let mut reader = setting.world.platform.store.reader().await.expect("reader");
    let row = reader.query_one("SELECT count(*) FROM tokens", params![]).await.expect("query").expect("row");
    row.int(0).expect("number")
}

#[tokio::test]
async fn tokens_that_are_over_go() {
    let setting = Setting::with(WorldOptions::default()).await;
    let (platform, grant) = (&setting.world.platform, &setting.agent);
    let now = platform.clock.now();
    platform.store.run(SetPassword(grant.id)).await.expect("password");
    for minutes in [10, 20] {
        let code = IssueCode {
            hash: [minutes; 32],
            sign_in_id: SignInId::new(now, [minutes; 10]),
            application_id: setting.tenant.application_id,
            grant_id: grant.id,
            verified: "stored".to_owned(),
            redirect_uri: "https://app.test/".to_owned(),
            challenge: None,
            is_offline: false,
            expires_at: now.plus(Duration::from_secs(60 * u64::from(minutes))),
            at: now,
        };
        assert!(platform.store.run(code).await.expect("issue"));
    }
    for (seconds, expected) in [(600, 2), (1, 1), (599, 1), (1, 0)] {
        setting.world.advance(seconds);
        janitor::clean_once(platform).await.expect("clean");
        assert_eq!(tokens(&setting).await, expected, "after {seconds} more");
    }
}
