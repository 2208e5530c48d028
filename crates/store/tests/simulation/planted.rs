//! Records that are false in one place: each has to be found. What the oracle lets pass would otherwise prove nothing.

use crate::history::{Answer, Fact, Said, Subject, What};
use crate::oracle::{Oracle, Wrong};
use crate::run::{Size, play};
use postfleet_core::reputation::State;
use postfleet_core::stop::{Effect, Kind};

/// A falsification: where it can be made, and how.
type Plant = (&'static str, fn(&mut Vec<Fact>) -> Option<()>);

fn judge(history: &[Fact]) -> Result<(), Wrong> {
    let mut oracle = Oracle::new();
    history.iter().try_for_each(|fact| oracle.see(fact))
}

/// The place of the last fact of its kind, of the middle ones, so that something comes after it.
fn place(history: &[Fact], is_it: impl Fn(&Fact) -> bool) -> Option<usize> {
    let places: Vec<usize> = (0..history.len()).filter(|place| is_it(&history[*place])).collect();
    places.get(places.len() / 2).copied()
}

fn drop_one(history: &mut Vec<Fact>, is_it: impl Fn(&Fact) -> bool) -> Option<()> {
    let found = place(history, is_it)?;
    history.remove(found);
    Some(())
}

fn repeat_one(history: &mut Vec<Fact>, is_it: impl Fn(&Fact) -> bool) -> Option<()> {
    let found = place(history, is_it)?;
    history.insert(found, history[found].clone());
    Some(())
}

fn change_one(history: &mut [Fact], change: impl Fn(&Fact) -> Option<Fact>) -> Option<()> {
    let found = place(history, |fact| change(fact).is_some())?;
    history[found] = change(&history[found])?;
    Some(())
}

fn answered(fact: &Fact, is_it: impl Fn(&Answer) -> bool, instead: Answer) -> Option<Fact> {
    let Fact::Asked { at, account, message, thread, hops, to, answer } = fact else { return None };
    let (at, account, message, thread, hops, to) = (*at, *account, *message, *thread, *hops, to.clone());
    is_it(answer).then_some(Fact::Asked { at, account, message, thread, hops, to, answer: instead })
}

fn is_refused(answer: &Answer, wanted: &str) -> bool {
    matches!(answer, Answer::Refused(code) if *code == wanted)
}

fn taken_as(fact: &Fact, was: &str, instead: &'static str) -> Option<Fact> {
    match fact {
        Fact::Report { at, message, to, said, way, taken } if *taken == was => {
            Some(Fact::Report { at: *at, message: *message, to: to.clone(), said: *said, way: *way, taken: instead })
        }
        _ => None,
    }
}

fn became(fact: &Fact, was: What, instead: What) -> Option<Fact> {
    match fact {
        Fact::Outcome { at, message, to, what } if *what == was => {
            Some(Fact::Outcome { at: *at, message: *message, to: to.clone(), what: instead })
        }
        _ => None,
    }
}

fn accepted() -> Answer {
    Answer::Accepted(Vec::new())
}

/// The operator had restricted the organization just before something of it went on.
fn goes_on_while_restricted(history: &mut Vec<Fact>, is_it: impl Fn(&Fact) -> Option<usize>) -> Option<()> {
    let found = place(history, |fact| is_it(fact).is_some())?;
    let message = is_it(&history[found])?;
    let account = history.iter().find_map(|fact| match fact {
        Fact::Asked { message: one, account, .. } if *one == message => Some(*account),
        _ => None,
    })?;
    let organization = history.iter().find_map(|fact| match fact {
        Fact::Opened(one, places) if *one == account => Some(places.organization),
        _ => None,
    })?;
    let (kind, whom) = (Kind::Restriction, Subject::Organization(organization));
    let told = Fact::Stopped { kind, effect: Effect::Refuse, whom };
    history.splice(found..found, [Fact::Raised { kind, whom }, told]);
    Some(())
}

const PLANTS: &[Plant] = &[
    ("a paused mailbox sends", |history| {
        change_one(history, |fact| answered(fact, |was| is_refused(was, "account_paused"), accepted()))
    }),
    ("a restricted mailbox sends", |history| {
        change_one(history, |fact| answered(fact, |was| is_refused(was, "abuse_restriction"), accepted()))
    }),
    ("a restricted mailbox is told that it is paused", |history| {
        change_one(history, |fact| {
            answered(fact, |was| is_refused(was, "abuse_restriction"), Answer::Refused("account_paused"))
        })
    }),
    ("who may send is refused", |history| {
        change_one(history, |fact| answered(fact, |was| *was == accepted(), Answer::Refused("account_paused")))
    }),
    ("a circle goes on", |history| change_one(history, |fact| answered(fact, |was| *was == Answer::Held, accepted()))),
    ("more than the ramp allows", |history| {
        change_one(history, |fact| answered(fact, |was| is_refused(was, "daily_quota_exceeded"), accepted()))
    }),
    ("a suppressed recipient is written to", |history| {
        change_one(history, |fact| {
            answered(fact, |was| matches!(was, Answer::Accepted(left_out) if !left_out.is_empty()), accepted())
        })
    }),
    ("the queue gives out what is restricted", |history| {
        goes_on_while_restricted(history, |fact| match fact {
            Fact::Taken { message, .. } => Some(*message),
            _ => None,
        })
    }),
    ("a worker hands over what is restricted meanwhile", |history| {
        goes_on_while_restricted(history, |fact| match fact {
            Fact::Left { message, .. } => Some(*message),
            _ => None,
        })
    }),
    ("something is forgotten in the queue", |history| drop_one(history, |fact| matches!(fact, Fact::Taken { .. }))),
    ("a change is not told", |history| drop_one(history, |fact| matches!(fact, Fact::Changed { .. }))),
    ("a change is told twice", |history| repeat_one(history, |fact| matches!(fact, Fact::Changed { .. }))),
    ("a change is told with one bounce too few", |history| {
        change_one(history, |fact| match fact {
            Fact::Changed { at, whom, from, to, counts: Some([a, f, b, c]) } if *b > 0 => {
                Some(Fact::Changed { at: *at, whom: *whom, from: *from, to: *to, counts: Some([*a, *f, b - 1, *c]) })
            }
            _ => None,
        })
    }),
    ("a pause is told as a review", |history| {
        change_one(history, |fact| match fact {
            Fact::Changed { at, whom, from, to: State::Paused, counts } => {
                Some(Fact::Changed { at: *at, whom: *whom, from: *from, to: State::UnderReview, counts: *counts })
            }
            _ => None,
        })
    }),
    ("a pause raises no stop", |history| {
        drop_one(history, |fact| matches!(fact, Fact::Stopped { kind: Kind::Pause, .. }))
    }),
    ("somebody is paused for nothing", |history| {
        let found = place(history, |fact| matches!(fact, Fact::Told))?;
        let whom = Subject::Grant(0);
        history.insert(found, Fact::Stopped { kind: Kind::Pause, effect: Effect::Refuse, whom });
        Some(())
    }),
    ("a pause ends by itself", |history| drop_one(history, |fact| matches!(fact, Fact::Recovered { .. }))),
    ("a bounce does not count", |history| change_one(history, |fact| became(fact, What::Gone, What::Full))),
    ("a full mailbox counts", |history| change_one(history, |fact| became(fact, What::Full, What::Gone))),
    ("who was not attempted is part of the volume", |history| {
        let is_never = |fact: &&Fact| matches!(fact, Fact::Outcome { to, .. } if to.starts_with("never"));
        change_one(history, |fact| {
            Some(fact).filter(is_never).and_then(|fact| became(fact, What::Expired(false), What::Expired(true)))
        })
    }),
    ("a replay counts", |history| change_one(history, |fact| taken_as(fact, "replayed", "counted"))),
    ("a forgery counts", |history| change_one(history, |fact| taken_as(fact, "forged", "counted"))),
    ("an old report counts", |history| change_one(history, |fact| taken_as(fact, "expired", "counted"))),
    ("a complaint does not count", |history| {
        let found =
            place(history, |fact| matches!(fact, Fact::Report { said: Said::Complaint, taken: "counted", .. }))?;
        history.remove(found);
        Some(())
    }),
    ("a window is one recipient short", |history| {
        change_one(history, |fact| match fact {
            Fact::Stands { whom, state, counts: [a, f, b, c] } if *a > 0 => {
                Some(Fact::Stands { whom: *whom, state: *state, counts: [a - 1, *f, *b, *c] })
            }
            _ => None,
        })
    }),
    ("an organization counts a mailbox of another", |history| {
        change_one(history, |fact| match fact {
            Fact::Sum { whom: whom @ Subject::Organization(_), counts: [a, f, b, c] } => {
                Some(Fact::Sum { whom: *whom, counts: [a + 1, *f, *b, *c] })
            }
            _ => None,
        })
    }),
    ("a recount does not agree", |history| {
        change_one(history, |fact| match fact {
            Fact::Recounted { account, agrees: true, counts } => {
                Some(Fact::Recounted { account: *account, agrees: false, counts: *counts })
            }
            _ => None,
        })
    }),
    ("a row is missing in the ledger", |history| {
        change_one(history, |fact| match fact {
            Fact::Ledger { account, rows } if rows.len() > 1 => {
                Some(Fact::Ledger { account: *account, rows: rows[1..].to_vec() })
            }
            _ => None,
        })
    }),
];

#[tokio::test]
async fn every_false_record_is_found() {
    let size = Size { seed: 4, accounts: 260, days: 60 };
    let (mut world, played) = play(size, true).await;
    crate::seeds::judge(size, played);
    let history = world.history.take().expect("kept");
    judge(&history).expect("what happened is right");
    let mut passed = Vec::new();
    for (name, plant) in PLANTS {
        let mut falsified = history.clone();
        match (plant(&mut falsified), judge(&falsified)) {
            (None, _) => passed.push(format!("{name}: there is no place for it")),
            (Some(()), Ok(())) => passed.push(format!("{name}: not found")),
            (Some(()), Err(wrong)) => println!("{name}: {}", wrong.lines().next().unwrap_or_default()),
        }
    }
    assert!(passed.is_empty(), "of {} facts: {passed:#?}", history.len());
    println!("{} facts, {} falsifications found", history.len(), PLANTS.len());
}
