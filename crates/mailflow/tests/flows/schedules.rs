//! Sends at a later time, with a clock that is moved by hand: never early, never twice, and nothing is lost.

use crate::support::Setting;
use postfleet_core::id::ScheduleId;
use postfleet_core::plan::{Plan, Plans};
use postfleet_core::rate::SendRates;
use postfleet_core::{Patch, UnixMicros};
use postfleet_mail::Participant;
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::drafts::{self, Dispatched, DraftChange};
use postfleet_mailflow::schedules::{cancel, release_once, send_later, send_written_later};
use postfleet_mailflow::submit::{self, Outgoing, Terms};
use postfleet_mailflow::{Platform, janitor};
use postfleet_schema::message::Message;
use postfleet_store::schedules::{self, Schedule, Status};
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use std::time::Duration;

fn people(email: &str) -> Vec<Participant> {
    vec![Participant { name: String::new(), email: email.to_owned() }]
}

fn letter(subject: &str) -> Outgoing {
    let (subject, body) = (subject.to_owned(), "<p>Later</p>".to_owned());
    Outgoing { to: people("ada@null.test"), subject, body, ..Outgoing::default() }
}

async fn setting(daily_sends_max: u64) -> Setting {
    let world = World::with(WorldOptions::default()).await;
    let new = NewTenant { daily_sends_max: Some(daily_sends_max), ..NewTenant::of("acme.test") };
    let tenant = world.tenant(new).await;
    let agent = world.mailbox(&tenant, "agent").await;
    Setting::of(world, tenant, agent)
}

/// What a test does over and over.
impl Setting {
    fn platform(&self) -> &Platform {
        &self.world.platform
    }

    fn seconds(&self) -> i64 {
        self.platform().clock.now().as_seconds()
    }

    /// Schedules a message for so many seconds from now.
    async fn later(&self, seconds: i64, use_draft: bool) -> ScheduleId {
        let send_at = self.seconds() + seconds;
        let scheduled = send_later(self.platform(), &self.agent, letter("Later"), send_at, use_draft, None).await;
        scheduled.expect("scheduled").schedule_id
    }

    async fn release(&self) -> Option<UnixMicros> {
        release_once(self.platform()).await.expect("round")
    }

    async fn schedule(&self, id: ScheduleId) -> Schedule {
        let mut reader = self.platform().store.reader().await.expect("reader");
        schedules::find(&mut reader, self.agent.id, id).await.expect("find").expect("schedule")
    }

    async fn status(&self, id: ScheduleId) -> Status {
        self.schedule(id).await.status
    }

    async fn folder_count(&self, folder: &str) -> u64 {
        let found = postfleet_mailbox::folders::find(&self.platform().store, self.agent.id, folder).await;
        found.expect("folder").total_count
    }

    async fn sent(&self) -> Vec<Message> {
        self.folder(&self.agent, "sent").await
    }

    /// Sets the clock to so many seconds from the present.
    fn step(&self, seconds: i64) {
        let now = self.platform().clock.now().as_micros();
        self.world.clock.set(UnixMicros::from_micros(now + seconds * 1_000_000));
    }
}

#[tokio::test]
async fn a_message_leaves_at_its_time_under_that_date_and_not_before() {
    let setting = setting(100).await;
    let (accepted_at, id) = (setting.seconds(), setting.later(3_600, false).await);
    for _ in 0..3 {
        let next = setting.release().await.expect("it waits");
        assert_eq!(next, UnixMicros::from_seconds(accepted_at + 3_600));
        assert!(setting.sent().await.is_empty() && setting.status(id).await == Status::Pending);
        setting.world.advance(1_199);
    }
    setting.world.advance(3);
    assert_eq!(setting.release().await, None);
    assert_eq!(setting.status(id).await, Status::Success);
    let sent = setting.sent().await;
    assert_eq!((sent.len(), sent[0].date), (1, accepted_at + 3_600));
    let headers = sent[0].headers.as_ref().expect("headers");
    let dates: Vec<_> = headers.iter().filter(|header| header.name == "Date").map(|header| &header.value).collect();
    assert_eq!(dates, ["Mon, 2 Mar 2026 11:00:00 +0000"]);
    assert_eq!(setting.world.deliver_due().await, 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_sends_nothing_twice_and_one_that_is_set_forward_passes_nothing_over() {
    let setting = setting(100).await;
    let (first, second) = (setting.later(3_600, false).await, setting.later(7_200, true).await);
    setting.world.advance(3_600);
    setting.release().await;
    assert_eq!((setting.status(first).await, setting.status(second).await), (Status::Success, Status::Pending));
    for back in [-1, -3_600, -86_400] {
        setting.step(back);
        setting.release().await;
    }
    assert_eq!(setting.sent().await.len(), 1);
    assert_eq!(setting.status(second).await, Status::Pending, "its time has not come again either");
    // Days pass at once: what was due in between is sent, and once.
    setting.step(3 * 86_400);
    setting.release().await;
    setting.release().await;
    assert_eq!(setting.sent().await.len(), 2);
    assert_eq!(setting.status(second).await, Status::Success);
}

#[tokio::test]
async fn nodes_that_release_at_once_send_once() {
    let setting = setting(1_000).await;
    for _ in 0..20 {
        setting.later(60, false).await;
    }
    setting.world.advance(60);
    let (one, two) = (setting.platform().clone(), setting.platform().clone());
    let rounds = tokio::join!(release_once(&one), release_once(&two), release_once(&one));
    for round in [rounds.0, rounds.1, rounds.2] {
        round.expect("round");
    }
    assert_eq!(setting.sent().await.len(), 20);
    assert_eq!(setting.events("message.send_success").await.len(), 20);
    assert_eq!(setting.sends_counted().await, 20);
}

#[tokio::test]
async fn the_quota_is_that_of_the_day_of_the_release_and_a_refusal_is_told() {
    let setting = setting(2).await;
    setting.send(&["a@null.test"]).await.expect("accepted");
    setting.send(&["b@null.test"]).await.expect("accepted");
    // Today nothing more may be sent; that is no matter for what is sent tomorrow.
    let (today, tomorrow) = (setting.later(60, false).await, setting.later(86_400, false).await);
    let draft = setting.later(60, true).await;
    setting.world.advance(60);
    setting.release().await;
    let failed = setting.schedule(today).await;
    assert_eq!(failed.status, Status::Failed);
    assert!(failed.reason.is_some_and(|reason| reason.contains("daily send quota of 2")));
    assert_eq!(setting.status(draft).await, Status::Failed);
    assert_eq!(setting.folder_count("drafts").await, 1, "a draft stays a draft");
    setting.world.advance(86_400);
    setting.release().await;
    assert_eq!(setting.status(tomorrow).await, Status::Success);
    let events = setting.events("message.send_failed").await;
    assert_eq!(events.len(), 2);
    // Both were due at once: in whichever order.
    let event = events.iter().find(|event| event["object"]["schedule_id"] == today.to_string()).expect("told");
    assert_eq!(event["error"]["code"], "daily_quota_exceeded");
    assert_eq!((&event["error"]["status_code"], &event["error"]["type"]), (&429.into(), &"too_many_requests".into()));
    assert_eq!(event["object"]["subject"], "Later");
}

#[tokio::test]
async fn a_draft_is_sent_as_it_is_at_its_time() {
    let setting = setting(100).await;
    let at = setting.seconds() + 600;
    let change = DraftChange {
        to: Patch::Set(people("ada@null.test")),
        subject: Patch::Set("First".into()),
        send_at: Patch::Set(at),
        ..DraftChange::default()
    };
    let draft = drafts::create(setting.platform(), &setting.agent, change, None).await.expect("draft");
    let id = draft.id.parse().expect("id");
    let sent = drafts::send(setting.platform(), &setting.agent, id, (Fields::Standard, None), None, None)
        .await
        .expect("scheduled");
    let Dispatched::Scheduled(scheduled) = sent else { panic!("sent at once") };
    assert_eq!((scheduled.send_at, scheduled.use_draft, scheduled.message.object), (at, true, "draft"));
    let change = DraftChange { subject: Patch::Set("Second".into()), ..DraftChange::default() };
    drafts::update(setting.platform(), &setting.agent, id, change).await.expect("update");
    let again = drafts::send(setting.platform(), &setting.agent, id, (Fields::Standard, None), None, None).await;
    assert_eq!(again.expect_err("it waits already").code, "draft_scheduled");
    setting.world.advance(600);
    setting.release().await;
    let sent = setting.sent().await;
    assert_eq!((sent[0].subject.as_str(), sent[0].id.as_str()), ("Second", draft.id.as_str()));
    assert_eq!(setting.status(scheduled.schedule_id).await, Status::Success);
}

#[tokio::test]
async fn what_is_over_can_be_asked_for_for_three_days() {
    let setting = setting(100).await;
    let id = setting.later(3_600, false).await;
    cancel(setting.platform(), &setting.agent, id).await.expect("cancelled");
    let waiting = setting.later(20 * 86_400, false).await;
    setting.world.clock.advance(Duration::from_secs(72 * 3_600));
    janitor::clean_once(setting.platform()).await.expect("clean");
    assert_eq!(setting.status(id).await, Status::Cancelled);
    setting.world.advance(1);
    janitor::clean_once(setting.platform()).await.expect("clean");
    let mut reader = setting.platform().store.reader().await.expect("reader");
    assert_eq!(schedules::find(&mut reader, setting.agent.id, id).await.expect("find"), None);
    drop(reader);
    assert_eq!(setting.status(waiting).await, Status::Pending);
}

#[tokio::test]
async fn what_waits_survives_a_restart() {
    let setting = setting(100).await;
    let id = setting.later(3_600, false).await;
    let database = postfleet_store::Location::Sqlite(setting.world.folder().join("postfleet.db"));
    let Setting { world, agent, .. } = setting;
    let (folder, plans) = (world.folder().join("blobs"), world.platform.store.plans().clone());
    world.advance(7_200);
    // The node was down when the time came; another one opens what it left.
    let store = postfleet_store::Store::open(database, folder, plans).await.expect("open");
    let platform = Platform { store, ..world.platform.clone() };
    release_once(&platform).await.expect("round");
    let mut reader = platform.store.reader().await.expect("reader");
    let schedule = schedules::find(&mut reader, agent.id, id).await.expect("find").expect("schedule");
    assert_eq!(schedule.status, Status::Success);
}

#[tokio::test]
async fn raw_mime_reaches_its_recipients_as_it_was_given_and_signed() {
    let peer = FakeSmtp::start(|_| SmtpAnswer::Good).await;
    let setting = Setting::new(&peer).await;
    let mime = b"From: agent@acme.test\r\nTo: ada@sender.test\r\nSubject: Signed\r\nMessage-ID: <own@acme.test>\r\n\
        Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\ntext with space at its end   \r\n";
    let with_bcc = [b"Bcc: dee@sender.test\r\n".as_slice(), mime].concat();
    let message = (with_bcc.as_slice(), Fields::Standard, None);
    let send_at = setting.seconds() + 60;
    let waits = send_written_later(setting.platform(), &setting.agent, message, send_at, false, None).await;
    setting.world.advance(60);
    setting.release().await;
    assert_eq!(setting.status(waits.expect("scheduled").schedule_id).await, Status::Success);
    setting.world.deliver_due().await;
    let messages = peer.messages();
    let mut reached: Vec<_> = messages.iter().flat_map(|message| message.recipients.clone()).collect();
    reached.sort();
    assert_eq!(reached, ["ada@sender.test", "dee@sender.test"]);
    for message in messages {
        assert!(message.content.ends_with(mime), "{}", message.text());
        assert_eq!(message.count_fields("DKIM-Signature"), setting.folder(&setting.agent, "sent").await.len() * 2);
    }
}

#[tokio::test]
async fn more_than_a_second_has_room_for_leave_one_after_another() {
    // Also where nobody was there to send them at their time.
    for late in [0, 4_000] {
        leave_one_after_another(late).await;
    }
}

async fn leave_one_after_another(late: u64) {
    let world = World::with(WorldOptions::default()).await;
    let tenant =
        world.tenant(NewTenant { plan: "free", environment: "production", ..NewTenant::of("acme.test") }).await;
    let agent = world.mailbox(&tenant, "agent").await;
    let setting = Setting::of(world, tenant, agent);
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(setting.later(60, false).await);
    }
    setting.world.advance(60 + late);
    let mut sent = Vec::new();
    for _ in 0..40 {
        setting.release().await;
        sent.push(setting.sent().await.len());
        setting.world.advance(1);
    }
    assert!(sent[0] == 5 && (late > 0 || sent[1] == 10), "{sent:?}");
    assert_eq!(sent.last(), Some(&12), "{sent:?}");
    for id in ids {
        assert_eq!(setting.status(id).await, Status::Success);
    }
}

/// A mailbox of which one message a second leaves, and more wait for two seconds.
async fn bursting(daily_sends_max: u64) -> Setting {
    let open = Plans::presets().find("self_hosted").expect("a preset").clone();
    let send_rates = SendRates { sandbox: Some(1), burst_seconds: 2, ..SendRates::default() };
    let plans = Plans::with([Plan { name: "burst".into(), send_rates, ..Plan::clone(&open) }]);
    let world = World::with(WorldOptions { plans, ..WorldOptions::default() }).await;
    let new = NewTenant { plan: "burst", daily_sends_max: Some(daily_sends_max), ..NewTenant::of("acme.test") };
    let tenant = world.tenant(new).await;
    let agent = world.mailbox(&tenant, "agent").await;
    Setting::of(world, tenant, agent)
}

/// Sends now, where one may be told that it waits; whether it does.
async fn burst(setting: &Setting, subject: &str) -> Result<bool, String> {
    let terms = Terms { may_wait: true, ..Terms::default() };
    let sent = submit::send(setting.platform(), &setting.agent, Outgoing { terms, ..letter(subject) }).await;
    sent.map(|sent| sent.waits).map_err(|problem| problem.code.to_owned())
}

#[tokio::test]
async fn a_burst_leaves_in_order_and_what_may_not_be_sent_any_more_is_told() {
    let setting = bursting(2).await;
    let answers = [burst(&setting, "1").await, burst(&setting, "2").await, burst(&setting, "3").await];
    assert_eq!(answers, [Ok(false), Ok(true), Ok(true)]);
    assert_eq!(burst(&setting, "4").await, Err("per_second_rate_limit_exceeded".into()), "the queue is full");
    let subjects = async || setting.sent().await.into_iter().map(|sent| sent.subject).collect::<Vec<_>>();
    setting.release().await;
    assert_eq!(subjects().await, ["1"], "not before its turn");
    setting.world.advance(1);
    setting.release().await;
    assert_eq!(subjects().await, ["2", "1"]);
    // Two a day: the third was promised, and fails. Turns are a little more than a second apart.
    setting.world.advance(2);
    setting.release().await;
    assert_eq!(subjects().await, ["2", "1"]);
    let failed = setting.events("message.send_failed").await;
    assert_eq!((failed.len(), &failed[0]["error"]["code"]), (1, &"daily_quota_exceeded".into()));
    assert_eq!(failed[0]["object"]["subject"], "3");
    setting.world.advance(86_400);
    assert_eq!(burst(&setting, "5").await, Ok(false));
}

#[tokio::test]
async fn a_draft_that_waits_for_its_turn_is_sent_once() {
    let setting = bursting(100).await;
    let change = DraftChange {
        to: Patch::Set(people("ada@null.test")),
        subject: Patch::Set("Draft".into()),
        ..DraftChange::default()
    };
    let draft = drafts::create(setting.platform(), &setting.agent, change, None).await.expect("draft");
    let id = draft.id.parse().expect("id");
    assert_eq!(burst(&setting, "first").await, Ok(false));
    for _ in 0..2 {
        let sent = drafts::send(setting.platform(), &setting.agent, id, (Fields::Standard, None), None, None).await;
        assert!(matches!(sent, Ok(Dispatched::Sent(sent)) if sent.waits));
    }
    assert_eq!(setting.folder_count("drafts").await, 1);
    setting.world.advance(1);
    setting.release().await;
    setting.world.advance(1);
    setting.release().await;
    assert_eq!((setting.sent().await.len(), setting.folder_count("drafts").await), (2, 0));
}
