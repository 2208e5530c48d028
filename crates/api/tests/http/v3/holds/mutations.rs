//! Approvals against whatever may happen between the look and the release, in every order: a model says when the message
//! leaves, and the message that left is the one that was seen. Nothing else leaves in its place, twice, late, by the
//! agent's own word or after an edit.

use super::{approve, condition, holding, key, letter, on_quota, put, see, sent};
use crate::support::Harness;
use postfleet_mailflow::holds::release_once;
use postfleet_testkit::world::NewTenant;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const CASES: u32 = 24;

/// What may happen to a send that is held.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The reviewer reads what would leave.
    Look,
    /// The reviewer approves what was read last, whatever happened since.
    Approve,
    /// The reviewer approves a digest of nothing.
    Forge(u8),
    /// The agent approves, with the digest that was read.
    ApproveOwn,
    /// The agent changes the draft; of what is none, it sends something a little different.
    Change(u8),
    /// Somebody changes the rules.
    Rules,
    /// The agent sends the same again.
    Retry,
    /// The server looks for what may leave.
    Drain,
    /// A day passes, and its quota is whole again.
    Midnight,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Look),
        4 => Just(Step::Approve),
        1 => (0u8..64).prop_map(Step::Forge),
        1 => Just(Step::ApproveOwn),
        2 => (0u8..7).prop_map(Step::Change),
        1 => Just(Step::Rules),
        2 => Just(Step::Retry),
        2 => Just(Step::Drain),
        1 => Just(Step::Midnight),
    ]
}

/// A held send, and what the model knows of it.
struct Held<'a> {
    harness: &'a Harness,
    boss: &'a str,
    /// The path of the hold, and that of the draft that is held, if it is one.
    path: String,
    draft: Option<String>,
    /// What would leave now.
    letter: Value,
    /// How often what would leave, or the rules, changed.
    version: u32,
    /// The digest that was read, and of which version it is.
    read: Option<(Value, u32)>,
    /// Which version may leave as soon as there is quota.
    approved: Option<u32>,
    released: bool,
    /// Whether a send takes of a quota of one a day, and whether that of the day is taken.
    has_quota: bool,
    quota_taken: bool,
    /// How many messages of others left.
    others: usize,
    midnights: u32,
    number: u32,
}

impl Held<'_> {
    async fn take(&mut self, step: Step) {
        self.harness.world.advance(1);
        self.number += 1;
        match step {
            Step::Look => self.look().await,
            Step::Approve => self.approve().await,
            Step::Forge(digit) => self.forge(digit).await,
            Step::ApproveOwn => {
                let digest = self.read.as_ref().map_or(json!("0"), |(digest, _)| digest.clone());
                let own = approve(self.harness, &self.harness.acme.api_key, &self.path, &digest).await;
                assert!(matches!(own.status, 403 | 409), "{own:?}");
            }
            Step::Change(what) if !self.released => self.change(what).await,
            Step::Rules => {
                let nobody = json!([condition("recipient.domain", "is", "nobody.test")]);
                put(self.harness, &self.harness.acme, nobody, json!([{"type": "mark_as_starred"}])).await;
                self.version += 1;
            }
            Step::Retry if !self.released => self.retry().await,
            Step::Drain => {
                release_once(&self.harness.world.platform).await.expect("round");
                self.leave_if_approved();
            }
            // Before the third its time is over, which is looked at in the end.
            Step::Midnight if self.midnights < 2 => {
                self.midnights += 1;
                self.harness.world.advance(86_400);
                self.quota_taken = false;
            }
            Step::Change(_) | Step::Retry | Step::Midnight => {}
        }
        assert_eq!(sent(self.harness).await, self.others + usize::from(self.released), "after {step:?}");
        if self.released {
            self.is_what_was_approved().await;
        }
    }

    async fn look(&mut self) {
        let seen = see(self.harness, self.boss, &self.path).await;
        if let Some(digest) = seen["review"].get("digest") {
            self.read = Some((digest.clone(), self.version));
        }
    }

    async fn approve(&mut self) {
        let Some((digest, version)) = self.read.clone() else { return };
        let was_over = self.released;
        let answer = approve(self.harness, self.boss, &self.path, &digest).await;
        if !was_over && version == self.version && answer.status == 200 {
            self.approved = Some(version);
            self.leave_if_approved();
        } else {
            // Something else was read, it has left, or it is approved already.
            let again = self.approved == Some(self.version);
            assert!(answer.status == 409 && (was_over || version != self.version || again), "{answer:?}");
        }
    }

    async fn forge(&mut self, digit: u8) {
        let Some((digest, _)) = &self.read else { return };
        let mut forged: Vec<char> = digest.as_str().expect("text").chars().collect();
        let digit = usize::from(digit) % forged.len();
        forged[digit] = if forged[digit] == '0' { '1' } else { '0' };
        let forged = json!(forged.into_iter().collect::<String>());
        approve(self.harness, self.boss, &self.path, &forged).await.refuses(409, self.over_or("hold_changed"), None);
    }

    fn over_or(&self, code: &'static str) -> &'static str {
        if self.released { "hold_over" } else { code }
    }

    async fn change(&mut self, what: u8) {
        let number = self.number;
        let change = match what {
            0 => json!({"subject": format!("Another {number}")}),
            1 => json!({"body": format!("<p>Another {number}</p>")}),
            2 => json!({"to": [{"email": format!("eve{number}@hold.test")}]}),
            3 => json!({"cc": [{"email": format!("cc{number}@hold.test")}]}),
            4 => json!({"bcc": [{"email": format!("bcc{number}@hold.test")}]}),
            5 => json!({"attachments": [{"filename": format!("{number}.txt"), "content": "YQ=="}]}),
            _ => json!({"reply_to": [{"email": format!("reply{number}@hold.test")}]}),
        };
        let mut letter = self.letter.clone();
        let fields = change.as_object().expect("object").clone();
        letter.as_object_mut().expect("object").extend(fields);
        match &self.draft {
            Some(draft) => {
                self.harness.put(draft, &change).await.is_ok();
                self.letter = letter;
                self.version += 1;
                self.approved = None;
            }
            // Something else does not leave by this approval: it is held for itself, or takes the quota of the day.
            None => {
                let other = self.harness.post(&self.harness.at("/messages/send"), &letter).await;
                let leaves = self.has_quota && !self.quota_taken;
                assert_eq!(other.status, if leaves { 200 } else { 202 }, "{other:?}");
                self.quota_taken |= leaves;
                self.others += usize::from(leaves);
            }
        }
    }

    async fn retry(&mut self) {
        let answer = match &self.draft {
            Some(draft) => self.harness.ask(&self.harness.acme.api_key, "POST", draft, None).await,
            None => self.harness.post(&self.harness.at("/messages/send"), &self.letter).await,
        };
        self.leave_if_approved();
        assert_eq!(answer.status, if self.released { 200 } else { 202 }, "{answer:?}");
    }

    /// An approval of exactly this is spent, once, as soon as there is quota.
    fn leave_if_approved(&mut self) {
        let may_leave = !self.has_quota || !self.quota_taken;
        if !self.released && self.approved == Some(self.version) && may_leave {
            self.released = true;
            self.quota_taken = true;
        }
    }

    async fn is_what_was_approved(&self) {
        let list = self.harness.get(&self.harness.at("/messages?in=sent")).await;
        let ours = |message: &&Value| {
            message["subject"] == self.letter["subject"] && message["to"][0]["email"] == self.letter["to"][0]["email"]
        };
        let found: Vec<_> = list.data().as_array().expect("list").iter().filter(ours).collect();
        let same = |message: &&&Value| {
            message["body"] == self.letter["body"]
                && message["attachments"][0]["filename"] == self.letter["attachments"][0]["filename"]
                && message["reply_to"][0]["email"] == self.letter["reply_to"][0]["email"]
                && message["cc"][0]["email"] == self.letter["cc"][0]["email"]
                && message["bcc"][0]["email"] == self.letter["bcc"][0]["email"]
        };
        assert_eq!(found.iter().filter(same).count(), 1, "{list:?}");
    }
}

/// One life of a held send, by a rule or over a quota, as a draft or as it was sent.
async fn live(by_rule: bool, as_draft: bool, steps: &[Step]) {
    let (harness, boss) = if by_rule {
        holding().await
    } else {
        let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
        on_quota(&harness, "approve").await;
        harness.post(&harness.at("/messages/send"), &letter("First")).await.is_ok();
        let boss = key(&harness, &["holds.*"]).await;
        (harness, boss)
    };
    let letter = letter("Plan");
    let draft = match as_draft {
        true => {
            let made = harness.post(&harness.at("/drafts"), &letter).await;
            Some(harness.at(&format!("/drafts/{}", made.is_ok().data()["id"].as_str().expect("id"))))
        }
        false => None,
    };
    let answer = match &draft {
        Some(draft) => harness.ask(&harness.acme.api_key, "POST", draft, None).await,
        None => harness.post(&harness.at("/messages/send"), &letter).await,
    };
    assert_eq!(answer.status, 202, "{answer:?}");
    let path = format!("/v3/holds/{}", answer.json["hold"]["id"].as_str().expect("id"));
    let mut held = Held {
        harness: &harness,
        boss: &boss,
        path,
        draft,
        letter,
        version: 0,
        read: None,
        approved: None,
        released: false,
        has_quota: !by_rule,
        quota_taken: !by_rule,
        others: usize::from(!by_rule),
        midnights: 0,
        number: 0,
    };
    for step in steps {
        held.take(*step).await;
    }
    let left = held.others + usize::from(held.released);
    // Whatever it is by then, it does not leave when its time is over.
    harness.world.advance(72 * 3_600);
    if let Some((digest, _)) = &held.read {
        assert_eq!(approve(&harness, &boss, &held.path, digest).await.status, 409);
    }
    release_once(&harness.world.platform).await.expect("round");
    assert_eq!(sent(&harness).await, left, "too late");
}

fn holds_always(by_rule: bool) {
    let runtime = Runtime::new().expect("runtime");
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let lives = (any::<bool>(), prop::collection::vec(step(), 1..12));
    let outcome = runner.run(&lives, |(as_draft, steps)| {
        runtime.block_on(live(by_rule, as_draft, &steps));
        Ok(())
    });
    outcome.expect("holds");
}

#[test]
fn what_a_rule_holds_leaves_as_it_was_approved_or_not_at_all() {
    holds_always(true);
}

#[test]
fn what_waits_for_quota_and_approval_leaves_as_it_was_approved_or_not_at_all() {
    holds_always(false);
}

/// Orders that only few of the random lives have: an approval under rules that are others by now is void, and can be
/// given anew; what is alike but for its blind copies is something else.
#[test]
fn orders_that_are_seldom_met() {
    use Step::{Approve, Change, Drain, Look, Midnight, Retry, Rules};
    let lives: [&[Step]; 5] = [
        &[Look, Approve, Rules, Look, Approve, Midnight, Drain],
        &[Look, Approve, Rules, Midnight, Drain, Look, Approve],
        &[Look, Approve, Rules, Midnight, Retry, Drain],
        &[Look, Approve, Drain, Rules, Drain, Midnight, Drain],
        &[Midnight, Change(4), Midnight, Look, Approve],
    ];
    let runtime = Runtime::new().expect("runtime");
    for steps in lives {
        for (by_rule, as_draft) in [(false, false), (false, true), (true, false), (true, true)] {
            runtime.block_on(live(by_rule, as_draft, steps));
        }
    }
}
