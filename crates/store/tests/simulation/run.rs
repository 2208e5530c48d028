//! Months of a world, twice a day: sending, handing over, reports, the operator.

use crate::history::Subject;
use crate::operator::{Plan, midnight, plans};
use crate::oracle::{DAY, Wrong};
use crate::script::{Agent, Character, Wish};
use crate::sending::Request;
use crate::world::World;
use postfleet_core::stop::Kind;
use std::collections::BTreeMap;

/// Moments of a day at which something happens.
const MOMENTS: i64 = 2;
/// Days between two looks at where everybody stands.
const BETWEEN_CHECKS: i64 = 10;

/// How large a world is, and for how long it is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    pub seed: u64,
    pub accounts: usize,
    pub days: i64,
}

/// Plays it. Every fact is judged as it comes; the first that is wrong ends it.
pub async fn play(size: Size, keeps_history: bool) -> (World, Result<(), Wrong>) {
    let mut world = World::new(size.seed, keeps_history).await.expect("a world");
    let played = play_in(&mut world, size).await;
    (world, played)
}

async fn play_in(world: &mut World, size: Size) -> Result<(), Wrong> {
    // Half of the seeds without the hold of those that endanger a domain, so that their own rates pause them.
    if size.seed.is_multiple_of(2) {
        world.store().quarantine_at(None);
    }
    world.open(size.accounts).await?;
    let mut agents: Vec<Agent> = (0..size.accounts).map(|account| Agent::new(account, size.seed)).collect();
    let mut planned = calendar(world, &agents, size);
    let first = world.today();
    for day in 0..size.days {
        let mut wishes = wishes_of(world, &mut agents, day);
        for moment in 0..MOMENTS {
            world.set_clock(midnight(first + day) + moment * DAY / MOMENTS);
            if moment == 1 {
                world.settle_meanwhile().await?;
                let plans = planned.remove(&day).unwrap_or_default();
                world.operate(plans).await?;
                recover(world, &mut agents, first + day).await?;
            }
            send(world, &mut agents, std::mem::take(&mut wishes[moment as usize])).await?;
            world.deliver().await?;
            world.take_reports().await?;
        }
        if day % BETWEEN_CHECKS == BETWEEN_CHECKS - 1 {
            world.check_standings().await?;
            for _ in 0..20 {
                let account = world.dice.below(size.accounts);
                world.check_recount(account).await?;
            }
        }
        leave(world, &agents, day).await?;
    }
    world.check_all().await
}

/// Who is stopped when.
fn calendar(world: &mut World, agents: &[Agent], size: Size) -> BTreeMap<i64, Vec<Plan>> {
    let mut calendar: BTreeMap<i64, Vec<Plan>> = BTreeMap::new();
    let workspaces = world.homes.iter().map(|(_, places)| places.workspace).max().unwrap_or(0) + 1;
    for (day, plan) in plans(size.days, workspaces) {
        calendar.entry(day).or_default().push(plan);
    }
    for agent in agents.iter().filter(|agent| agent.character == Character::Restricted) {
        let (whom, from) = (Subject::Grant(agent.account), world.dice.below(size.days as usize) as i64);
        let until = from + 1 + world.dice.below(20) as i64;
        calendar.entry(from).or_default().push(Plan::Stop(Kind::Restriction, whom));
        calendar.entry(until).or_default().push(Plan::Lift(Kind::Restriction, whom));
    }
    calendar
}

/// What everybody wants to send on a day, by its moments.
fn wishes_of(world: &mut World, agents: &mut [Agent], day: i64) -> Vec<Vec<(usize, Wish)>> {
    let mut wishes = vec![Vec::new(); MOMENTS as usize];
    for agent in agents.iter_mut().filter(|agent| !world.mailboxes[agent.account].is_removed) {
        for wish in agent.day(day) {
            wishes[world.dice.below(MOMENTS as usize)].push((agent.account, wish));
        }
    }
    wishes.iter_mut().for_each(|wishes| world.dice.shuffle(wishes));
    wishes
}

async fn send(world: &mut World, agents: &mut [Agent], wishes: Vec<(usize, Wish)>) -> Result<(), Wrong> {
    let request = |(account, wish): (usize, Wish)| {
        let thread = agents[account].first.filter(|_| wish.hops > 0);
        let wish = if thread.is_some() { wish } else { Wish { hops: 0, ..wish } };
        Request { account, wish, thread }
    };
    let requests: Vec<Request> = wishes.into_iter().map(request).collect();
    let who: Vec<usize> = requests.iter().map(|request| request.account).collect();
    let accepted = world.send(requests).await?;
    for (account, message) in who.into_iter().zip(accepted) {
        let agent = &mut agents[account];
        if agent.character == Character::Looper && agent.first.is_none() {
            agent.first = message;
        }
    }
    Ok(())
}

/// The operator looks at who is paused, and who is held away: most come back after some days, some never.
async fn recover(world: &mut World, agents: &mut [Agent], today: i64) -> Result<(), Wrong> {
    let waits = |account: usize| 2 + (account % 13) as i64;
    let due = world.paused.iter().filter(|(account, at)| {
        *account % 5 != 4 && today - at.div_euclid(DAY) >= waits(**account) && !world.mailboxes[**account].is_removed
    });
    let due: Vec<usize> = due.map(|(account, _)| *account).collect();
    for account in due {
        if world.recover(account).await? {
            world.paused.remove(&account);
            agents[account].is_mended = !account.is_multiple_of(3);
        }
    }
    if today % 7 == 0 {
        let away: Vec<Subject> = world
            .stops
            .keys()
            .filter(|(kind, _)| *kind == Kind::Quarantine.name() || *kind == Kind::Loop.name())
            .map(|(_, whom)| *whom)
            .collect();
        for whom in away {
            world.lift(if matches!(whom, Subject::Thread(_)) { Kind::Loop } else { Kind::Quarantine }, whom).await?;
        }
    }
    Ok(())
}

/// Some are removed, if nothing stops them.
async fn leave(world: &mut World, agents: &[Agent], day: i64) -> Result<(), Wrong> {
    let leaves = |agent: &&Agent| agent.character == Character::Leaver && (agent.account as i64 * 7) % 90 == day;
    let leaving: Vec<usize> = agents.iter().filter(leaves).map(|agent| agent.account).collect();
    for account in leaving {
        let is_stopped = world.stops.keys().any(|(_, whom)| *whom == Subject::Grant(account));
        if !is_stopped && !world.mailboxes[account].is_removed {
            world.remove(account).await?;
        }
    }
    Ok(())
}

/// Sends to these, all of it at once.
pub async fn send_to(world: &mut World, account: usize, to: &[String]) -> Result<(), Wrong> {
    let wishes = to.chunks(50).map(|some| Wish { to: some.to_vec(), hops: 0 });
    let requests = wishes.map(|wish| Request { account, wish, thread: None }).collect();
    world.send(requests).await.map(drop)
}
