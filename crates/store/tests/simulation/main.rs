//! Months of a fleet, played in seconds: thousands of mailboxes with characters write to recipients with fates, through
//! the commands of the store and nothing else, and an oracle that keeps every outcome judges every fact as it comes.
//!
//! A seed that fails is kept in `seeds.txt` and is played first from then on. See docs/reputation.md for how to play more.

mod book;
mod checks;
mod dice;
mod edges;
mod feedback;
mod history;
mod operator;
mod oracle;
mod planted;
mod ramps;
mod run;
mod script;
mod seeds;
mod sending;
#[path = "../contract/support.rs"]
#[expect(dead_code, reason = "the contract uses the rest of it")]
mod support;
mod world;

use run::{Size, play};

/// Those that failed once, and then those that are asked for.
#[tokio::test]
async fn months_of_a_fleet() {
    for size in seeds::kept() {
        play_one(size).await;
    }
    let wanted = seeds::wanted();
    for further in 0..seeds::how_many() {
        play_one(Size { seed: wanted.seed + further, ..wanted }).await;
    }
}

async fn play_one(size: Size) {
    let (world, played) = play(size, false).await;
    println!("{size:?}: {:?}", world.oracle.tally);
    println!("refusals {:?}, pauses {:?}", world.oracle.refusals, world.oracle.pauses);
    seeds::judge(size, played);
}
