//! Months of a fleet, played in seconds: thousands of mailboxes with characters write to recipients with fates, through
//! the commands of the store and nothing else, and an oracle that keeps every outcome judges every fact as it comes.
//!
//! A seed that fails is kept in `seeds.txt` and is played first from then on. See docs/reputation.md for how to play more.

mod book;
mod checks;
mod dice;
mod feedback;
mod history;
mod operator;
mod oracle;
mod ramps;
mod run;
mod script;
mod seeds;
mod sending;
#[path = "../contract/support.rs"]
#[expect(dead_code, reason = "the contract uses the rest of it")]
mod support;
mod world;

use run::play;

#[tokio::test]
async fn months_of_a_fleet() {
    let size = seeds::wanted();
    println!("{size:?}");
    let started = std::time::Instant::now();
    let (world, played) = play(size, false).await;
    println!("{:?} in {:?}", world.oracle.tally, started.elapsed());
    println!("refusals {:?}, pauses {:?}", world.oracle.refusals, world.oracle.pauses);
    seeds::judge(size, played);
}
