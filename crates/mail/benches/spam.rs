//! What looking at a message for spam costs, once it is parsed, and what judging its words costs beside that.
//!
//! `cargo bench -p postfleet-mail --bench spam`: messages of 1 KB, 10 KB, 100 KB and 10 MB with markup and plain text.

use postfleet_core::UnixMicros;
use postfleet_core::spam::{Model, TokenHasher, Trained, decide};
use postfleet_mail::message;
use postfleet_mail::spam::{Surroundings, look};
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 3;

fn main() {
    let around = Surroundings {
        now: UnixMicros::from_seconds(1_772_445_600),
        hostname: "mx.fleet.test",
        hasher: TokenHasher::new([1, 2]),
    };
    for octets in [1_000, 10_000, 100_000, 10_000_000] {
        let raw = build(octets);
        let view = message::view(&raw);
        let looked = best(|| drop(black_box(look(&raw, &view, &around))));
        let tokens = look(&raw, &view, &around).tokens;
        let mut model = Model::default();
        for number in 0..200_u64 {
            let kind = if number % 2 == 0 { Trained::Spam } else { Trained::Ham };
            let words: Vec<u64> = tokens.iter().skip((number % 7) as usize).copied().chain([number]).collect();
            model.learn(&words, kind);
        }
        let judged = best(|| drop(black_box(decide(model.reason(&tokens).into_iter().collect(), 1_000))));
        println!("{octets:>10} octets: looked at in {looked:8.1} µs, {} words judged in {judged:6.1} µs", tokens.len());
    }
}

/// Microseconds of the best round: others use the machine.
fn best(mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let (started, mut count) = (Instant::now(), 0_u32);
        while started.elapsed() < ROUND {
            run();
            count += 1;
        }
        best = best.min(started.elapsed().as_secs_f64() * 1e6 / f64::from(count));
    }
    best
}

/// A message of about so many octets: half plain text, half markup.
fn build(octets: usize) -> Vec<u8> {
    let mut plain = String::new();
    let mut number = 0_u32;
    while plain.len() < octets / 2 {
        number += 1;
        plain.push_str(&format!(
            "Item {number} of the order from w{} is on its way to customer c{}.\r\n",
            number % 97,
            number % 61
        ));
    }
    let rows = plain
        .lines()
        .map(|line| format!("<tr><td>{line} <a href=\"https://www.shop.test/{number}\">More</a></td></tr>\r\n"));
    let markup: String = rows.take(octets / 2 / 120).collect();
    format!(
        "From: Shop <news@shop.test>\r\nTo: agent@fleet.test\r\nSubject: Your order\r\nDate: Mon, 2 Mar 2026 09:00:00 +0000\r\n\
         Message-ID: <1@shop.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{plain}\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
         <table>{markup}</table>\r\n--b--\r\n"
    )
    .into_bytes()
}
