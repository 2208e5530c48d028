//! The lines, driven through the same commands to the last recipient: one less is not there yet. And small mailboxes, which
//! one bad recipient does not pause.

use crate::history::{Said, Subject, Way};
use crate::run::send_to;
use crate::script::Later;
use crate::world::{Pending, World};
use postfleet_core::reputation::State::{self, Elevated, Healthy, Paused, UnderReview};
use postfleet_core::reputation::SubjectKind;
use postfleet_store::reputation;

/// A world in which nobody is held for what they do to a domain, with so many mailboxes.
async fn world(accounts: usize) -> World {
    let mut world = World::new(0, false).await.expect("a world");
    world.store().quarantine_at(None);
    world.open(accounts).await.expect("mailboxes");
    world
}

/// So many to whom nobody else writes.
fn people(account: usize, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("ok{account}x{number}@mail.example")).collect()
}

impl World {
    /// Lets so many of the recipients say the same of the messages of a mailbox, from the one of that number on.
    async fn said(&mut self, account: usize, said: Said, first: usize, count: usize) {
        let sent = self.messages.iter().enumerate().filter(|(_, sent)| sent.account == account);
        let all = sent.flat_map(|(message, sent)| sent.to.iter().map(move |to| (message, to.clone())));
        let some: Vec<_> = all.skip(first).take(count).collect();
        assert_eq!(some.len(), count);
        let now = self.now().as_micros();
        for (message, to) in some {
            let later = Later { after: 0, said, way: Way::ReturnPath, names_stranger: false };
            self.pending.entry(now).or_default().push(Pending { message, to, later });
        }
        self.take_reports().await.expect("reports");
    }

    /// Where a mailbox stands, and the parts of a million of bounces and complaints, as the product has them.
    async fn standing(&self, account: usize) -> (State, u64, u64) {
        let name = self.mailboxes[account].id.to_string();
        let mut reader = self.store().reader().await.expect("reader");
        let kept = reputation::find(&mut reader, SubjectKind::Grant, &name).await.expect("find").expect("counted");
        let rates = kept.standing.rates();
        assert_eq!(kept.standing.state, self.oracle.state(Subject::Grant(account)), "as the oracle has it");
        (kept.standing.state, rates.bounces.per_million(), rates.complaints.per_million())
    }
}

#[tokio::test]
async fn the_lines_are_exact_to_the_last_recipient() {
    // Recipients, bounces, complaints; parts of a million; where that leads, and where one less does.
    const LINES: [(usize, usize, usize, u64, State, State); 10] = [
        (201, 4, 0, 19_900, Healthy, Healthy),
        (200, 4, 0, 20_000, Elevated, Healthy),
        (501, 25, 0, 49_900, Elevated, Elevated),
        (500, 25, 0, 50_000, UnderReview, Elevated),
        (1_001, 100, 0, 99_900, UnderReview, UnderReview),
        (1_000, 100, 0, 100_000, Paused, UnderReview),
        (1_010, 0, 1, 990, Healthy, Healthy),
        (1_000, 0, 1, 1_000, UnderReview, Healthy),
        (1_002, 0, 5, 4_990, UnderReview, UnderReview),
        (1_000, 0, 5, 5_000, Paused, UnderReview),
    ];
    let mut world = world(LINES.len()).await;
    for (account, (recipients, ..)) in LINES.iter().enumerate() {
        send_to(&mut world, account, &people(account, *recipients)).await.expect("sent");
    }
    world.deliver().await.expect("delivered");
    for (account, (_, bounces, complaints, per_million, state, before)) in LINES.iter().enumerate() {
        let (said, count) = if *bounces > 0 { (Said::Gone, *bounces) } else { (Said::Complaint, *complaints) };
        if count > 1 {
            world.said(account, said, 0, count - 1).await;
        }
        let (found, ..) = world.standing(account).await;
        assert_eq!(found, *before, "{account}: one less");
        world.said(account, said, count - 1, 1).await;
        let (found, of_bounces, of_complaints) = world.standing(account).await;
        let (rate, other) = if *bounces > 0 { (of_bounces, of_complaints) } else { (of_complaints, of_bounces) };
        assert_eq!((found, rate, other), (*state, *per_million, 0), "{account}");
    }
    world.check_all().await.expect("as the oracle has it");
}

#[tokio::test]
async fn of_ten_thousand_each_line_is_one_bounce_wide() {
    let mut world = world(1).await;
    send_to(&mut world, 0, &people(0, 10_000)).await.expect("sent");
    world.deliver().await.expect("delivered");
    let mut said = 0;
    for (bounces, per_million, state) in [
        (199, 19_900, Healthy),
        (200, 20_000, Elevated),
        (499, 49_900, Elevated),
        (500, 50_000, UnderReview),
        (999, 99_900, UnderReview),
        (1_000, 100_000, Paused),
    ] {
        world.said(0, Said::Gone, said, bounces - said).await;
        said = bounces;
        assert_eq!(world.standing(0).await, (state, per_million, 0), "{bounces}");
    }
    assert_eq!(world.oracle.tally.pauses, 1);
    world.check_all().await.expect("as the oracle has it");
}

#[tokio::test]
async fn one_bad_recipient_pauses_no_small_mailbox() {
    const SMALL: usize = 30;
    let mut world = world(SMALL * 3).await;
    for account in 0..SMALL * 3 {
        let mut to = people(account, account % SMALL + 1);
        if account < SMALL {
            to[0] = format!("gone{account}@mail.example");
        }
        send_to(&mut world, account, &to).await.expect("sent");
    }
    world.deliver().await.expect("delivered");
    for account in SMALL..SMALL * 3 {
        let said = if account < SMALL * 2 { Said::Gone } else { Said::Complaint };
        world.said(account, said, 0, 1).await;
        // However often it is said.
        world.said(account, said, 0, 1).await;
    }
    for account in 0..SMALL * 3 {
        let due = if account < SMALL * 2 { Healthy } else { UnderReview };
        assert_eq!(world.standing(account).await.0, due, "{account}");
        send_to(&mut world, account, &[format!("ok{account}again@mail.example")]).await.expect("sent");
    }
    world.deliver().await.expect("delivered");
    let tally = world.oracle.tally;
    assert_eq!((tally.pauses, tally.refused, tally.accepted), (0, 0, 2 * SMALL as u64 * 3));
    world.check_all().await.expect("as the oracle has it");
}
