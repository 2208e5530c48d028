//! Ten thousand forged reports, genuine ones in between: none of the forged counts, each of the genuine counts once,
//! whatever was forged about the same message before.

use crate::forgery_kinds::{self as kinds, Forgery};
use crate::support::Setting;
use postfleet_core::EmailAddress;
use postfleet_mailflow::receive;
use postfleet_mailflow::submit::{Outgoing, send};
use postfleet_store::grants::Grant;
use postfleet_store::{Location, Reader};
use postfleet_testkit::postgres::PostgresServer;
use postfleet_testkit::smtp::FakeSmtp;
use postfleet_testkit::world::{NewTenant, WorldOptions};

/// Where chance starts. Everything follows from it: a failure is repeated as it was.
const SEED: u64 = 0x0b05_7f1e_e700_0001;

/// Batches; after each it is looked what counts.
const ROUNDS: usize = 20;

/// A message that really left.
pub struct Genuine {
    /// Its return path.
    pub path: String,
    /// Three recipients at one domain: a report that hides the name means nobody.
    pub recipients: [String; 3],
    /// The mailbox that sent it.
    pub sender: String,
    /// As the other server got it.
    pub raw: String,
}

/// A genuine report that was taken, to be replayed.
#[derive(Clone)]
pub struct Taken {
    pub from: &'static str,
    pub to: String,
    pub raw: String,
    /// The message, as a number among [`Genuine`].
    pub message: usize,
    pub recipient: String,
    pub is_complaint: bool,
}

/// What counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counted {
    bounces: i64,
    complaints: i64,
    records: i64,
    suppressions: i64,
}

/// Everything that a report which counts leaves behind. What else is ever to follow from one belongs here.
async fn counted(setting: &Setting) -> Counted {
    let mut reader = setting.world.platform.store.reader().await.expect("reader");
    Counted {
        bounces: count(&mut reader, "SELECT COUNT(*) FROM events WHERE name = 'message.bounced'").await,
        complaints: count(&mut reader, "SELECT COUNT(*) FROM events WHERE name = 'message.complaint'").await,
        records: count(&mut reader, "SELECT COUNT(*) FROM feedback_reports WHERE outcome = 'counted'").await,
        suppressions: count(&mut reader, "SELECT COUNT(*) FROM suppressions").await,
    }
}

async fn count(reader: &mut Reader<'_>, query: &'static str) -> i64 {
    let row = reader.query_one(query, postfleet_store::params![]).await.expect("read");
    row.expect("a count").int(0).expect("a number")
}

/// That nothing counts but what did before.
async fn assert_nothing_counted(setting: &Setting, before: Counted, made: &str) {
    assert_eq!(counted(setting).await, before, "counted of {made}; seed {SEED:#x}");
}

/// Twelve messages of three mailboxes of two tenants.
async fn sent(setting: &Setting, peer: &FakeSmtp) -> Vec<Genuine> {
    let world = &setting.world;
    let second = world.mailbox(&setting.tenant, "second").await;
    let other_tenant = world.tenant(NewTenant::of("other.test")).await;
    let other = world.mailbox(&other_tenant, "agent").await;
    let mut all = Vec::new();
    for number in 0..12 {
        let sender: &Grant = [&setting.agent, &second, &other][number % 3];
        let recipients = ["ada", "bob", "cy"].map(|name| format!("{name}{number}@sender.test"));
        let person = |email: &String| postfleet_mail::Participant { name: String::new(), email: email.clone() };
        let outgoing = Outgoing {
            to: recipients.iter().map(person).collect(),
            subject: format!("Hello {number}"),
            body: "<p>Hi</p>".to_owned(),
            ..Outgoing::default()
        };
        send(&world.platform, sender, outgoing).await.expect("accepted");
        world.deliver_due().await;
        let taken = peer.messages().pop().expect("delivered");
        let raw = taken.text();
        all.push(Genuine { path: taken.reverse_path, recipients, sender: sender.email.to_string(), raw });
    }
    all
}

/// What the SMTP listener does with it: the recipient first, then the message. Whether it was taken.
async fn offer(setting: &Setting, forgery: &Forgery) -> bool {
    let Ok(to) = EmailAddress::parse(&forgery.to) else { return false };
    if receive::recipient(&setting.world.platform, &receive::Offer::from(&postfleet_core::ReversePath::Null), &to)
        .await
        .is_err()
    {
        return false;
    }
    setting.world.receive(forgery.from, &forgery.to, forgery.raw.as_bytes()).await.is_ok()
}

/// A genuine report about the next recipient of whom there was none: a hard bounce, a soft one, a complaint by the return
/// path, a complaint at the registered address.
async fn one_genuine(setting: &Setting, all: &[Genuine], number: usize, before: Counted) -> (Taken, Counted) {
    let message = number % all.len();
    let about = &all[message];
    let recipient = about.recipients[number / all.len()].clone();
    let is_complaint = number % 4 >= 2;
    let (from, to, raw) = match number % 4 {
        0 => ("", about.path.clone(), kinds::dsn(&recipient, "5.1.1", "550 5.1.1 no such user")),
        1 => ("", about.path.clone(), kinds::dsn(&recipient, "5.2.2", "552 5.2.2 mailbox full")),
        2 => ("fbl@isp.test", about.path.clone(), kinds::complaint(&about.path, &recipient, "")),
        _ => ("fbl@isp.test", kinds::REGISTERED.to_owned(), kinds::complaint(&about.path, &recipient, &about.raw)),
    };
    setting.world.receive(from, &to, raw.as_bytes()).await.expect("a genuine report is taken");
    let mut after = before;
    after.records += 1;
    after.bounces += i64::from(!is_complaint);
    after.complaints += i64::from(is_complaint);
    after.suppressions += i64::from(number % 4 != 1);
    assert_eq!(counted(setting).await, after, "the genuine report {number} counts once; seed {SEED:#x}");
    (Taken { from, to, raw, message, recipient, is_complaint }, after)
}

/// Makes `total` forgeries of every kind, genuine reports in between, and answers how many there were.
async fn forge(database: Option<Location>, total: usize) -> usize {
    let peer = FakeSmtp::accepting().await;
    let options = WorldOptions { mx_port: peer.address().port(), database, ..WorldOptions::default() };
    let setting = Setting::with(options).await;
    let all = sent(&setting, &peer).await;
    let mut forger = kinds::Forger::new(SEED, &setting.world.platform, &all);
    let (mut offered, mut expected) = (0, Counted::default());
    assert_nothing_counted(&setting, expected, "nothing").await;
    for round in 0..ROUNDS {
        for kind in kinds::all() {
            // A share of the total, whole over all rounds.
            let upto = |round: usize| kind.share * total / 10_000 * round / ROUNDS;
            for _ in upto(round)..upto(round + 1) {
                let forgery = (kind.make)(&mut forger);
                let is_taken = offer(&setting, &forgery).await;
                assert!(!(is_taken && kind.is_refused), "{} was taken at {}; seed {SEED:#x}", kind.name, forgery.to);
                offered += 1;
            }
            assert_nothing_counted(&setting, expected, kind.name).await;
        }
        let (taken, after) = one_genuine(&setting, &all, round, expected).await;
        forger.seen.push(taken);
        expected = after;
        setting.world.advance(61);
    }
    assert_eq!((expected.records, expected.suppressions), (ROUNDS as i64, ROUNDS as i64 * 3 / 4));
    offered
}

#[tokio::test]
async fn of_ten_thousand_forged_reports_none_counts_and_each_genuine_one_counts_once() {
    assert_eq!(kinds::all().iter().map(|kind| kind.share).sum::<usize>(), 10_000);
    assert_eq!(forge(None, 10_000).await, 10_000);
}

#[tokio::test]
async fn of_forged_reports_none_counts_on_postgresql() {
    let Some(server) = PostgresServer::shared() else { return };
    let database = Location::Postgres { url: server.create_database("forgeries"), writers: 2 };
    assert!(forge(Some(database), 1_000).await >= 900);
}
