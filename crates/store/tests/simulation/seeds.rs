//! Seeds: those that once failed, which are kept, and those that are asked for.

use crate::oracle::Wrong;
use crate::run::Size;
use std::io::Write;

/// The seed that is played if none is asked for.
const SEED: u64 = 1;
const ACCOUNTS: usize = 2_000;
const DAYS: i64 = 100;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/seeds.txt");

fn asked<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(format!("POSTFLEET_SIMULATION_{name}")).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("POSTFLEET_SIMULATION_{name} must be a number, not {text:?}")))
}

/// The world that is to be played.
pub fn wanted() -> Size {
    Size {
        seed: asked("SEED").unwrap_or(SEED),
        accounts: asked("ACCOUNTS").unwrap_or(ACCOUNTS),
        days: asked("DAYS").unwrap_or(DAYS),
    }
}

/// How many seeds in a row are asked for.
pub fn how_many() -> u64 {
    asked("SEEDS").unwrap_or(1)
}

/// The seeds that once failed: a line `seed accounts days what it showed` each.
pub fn kept() -> Vec<Size> {
    let text = std::fs::read_to_string(KEPT).expect("seeds.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| read(line).unwrap_or_else(|| panic!("seeds.txt: {line:?}"))).collect()
}

fn read(line: &str) -> Option<Size> {
    let mut words = line.split(' ');
    let seed = words.next()?.parse().ok()?;
    Some(Size { seed, accounts: words.next()?.parse().ok()?, days: words.next()?.parse().ok()? })
}

/// Fails if something was wrong: says how to play it again, and keeps the seed.
pub fn judge(size: Size, played: Result<(), Wrong>) {
    let Err(wrong) = played else { return };
    let Size { seed, accounts, days } = size;
    if std::env::var_os("CI").is_none() && !kept().contains(&size) {
        keep(&format!("{seed} {accounts} {days} {}", wrong.lines().next().unwrap_or_default()));
    }
    panic!(
        "{wrong}\n\nPlay it again with\nPOSTFLEET_SIMULATION_SEED={seed} POSTFLEET_SIMULATION_ACCOUNTS={accounts} \
         POSTFLEET_SIMULATION_DAYS={days} cargo test -p postfleet-store --test simulation months_of_a_fleet"
    );
}

fn keep(line: &str) {
    let file = std::fs::OpenOptions::new().append(true).open(KEPT);
    file.and_then(|mut file| writeln!(file, "{line}")).expect("seeds.txt");
}
