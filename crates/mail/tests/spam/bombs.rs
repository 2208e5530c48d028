//! Messages made to cost more than they weigh when they are looked at for spam: each piece is repeated to twice the size,
//! and again, up to what is read of a message. Counted is the time that the thread was running, the least of several.

#[path = "../../benches/timing/running.rs"]
mod running;

use postfleet_core::UnixMicros;
use postfleet_core::spam::TokenHasher;
use postfleet_mail::message::Parsed;
use postfleet_mail::spam::{Surroundings, TEXT_OCTETS_MAX, look};
use running::running;
use std::hint::black_box;
use std::time::{Duration, Instant};

const DOUBLINGS: i32 = 3;

/// Growth of work for each doubling of the size.
const RATIO_MAX: f64 = 2.4;

/// How long one message is looked at, again and again.
const ROUND: Duration = Duration::from_millis(2);

const TEXT: &[(&str, &str)] = &[
    ("one word", "word "),
    ("no word", " .,-\r\n"),
    ("one long word", "longwordwithoutend"),
    ("letters apart", "v i a g r a "),
    ("digits in place of letters", "v1agra c4sin0 "),
    ("quotes in words", "o'o'o'o'o"),
    (
        "a quote behind a long word",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' ",
    ),
    ("signs in words", "a@a$a!a"),
    ("characters that nobody sees", "a\u{200b}b\u{2060} "),
    ("nothing that anybody sees", "\u{200b}\u{ad}"),
    ("letters that pass for others", "раypаl "),
    ("letters in another dress", "𝓬𝓪𝓼𝓲𝓷𝓸 "),
    ("letters each of which is a word", "日本語"),
    ("beginnings of phrases", "you have your account has been in the no click "),
    ("phrases", "you have won the lottery click here "),
    ("links", "https://a.test/x "),
    ("ends of schemes", "://"),
    ("schemes of letters alone", "abcdefgh://"),
];

const MARKUP: &[(&str, &str)] = &[
    ("tags", "<b>"),
    ("tags without an end", "<b "),
    ("ends", "</b>"),
    ("quotes in tags", "<b c=\"'\" d='\">"),
    ("quotes that open nothing", "<b \"'\"'"),
    ("spaces before quotes", "<b =        \""),
    ("attributes", "<a b c=d e='f' "),
    ("links", "<a href='https://a.test'>b.test</a>"),
    ("styles", "<p style='font-size:12px;color:red;display:block'>"),
    ("hidden", "<div style='display:none'>a"),
    ("references", "&amp;&#65;&x"),
    ("ampersands", "&"),
    ("comments", "<!-- a"),
    ("style sheets", "<style></styl"),
];

/// Seconds that looking at a message takes.
fn cost(raw: &[u8], rounds: usize) -> f64 {
    let around =
        Surroundings { now: UnixMicros::from_seconds(0), hostname: "mx.test", hasher: TokenHasher::new([1, 2]) };
    let (message, since) = (Parsed::read(raw), Instant::now());
    let round = || {
        let (before, started, mut count) = (running(since), Instant::now(), 0.0);
        while count < 1.0 || started.elapsed() < ROUND {
            drop(black_box(look(&message, &around)));
            count += 1.0;
        }
        (running(since) - before).as_secs_f64() / count
    };
    (0..rounds).map(|_| round()).fold(f64::MAX, f64::min)
}

fn growth(kind: &str, piece: &str, rounds: usize) -> (f64, Vec<f64>) {
    let make = |octets: usize| {
        let fields = format!("From: a@b.test\r\nMIME-Version: 1.0\r\nContent-Type: {kind}; charset=utf-8\r\n\r\n");
        format!("{fields}{}", piece.repeat(octets / piece.len())).into_bytes()
    };
    let costs: Vec<f64> = (0..=DOUBLINGS).rev().map(|n| cost(&make(TEXT_OCTETS_MAX >> n), rounds)).collect();
    ((costs[costs.len() - 1] / costs[0]).powf(1.0 / f64::from(DOUBLINGS)), costs)
}

#[test]
fn work_grows_with_what_is_read_and_no_faster() {
    let mut wrong = Vec::new();
    for (kind, pieces) in [("text/plain", TEXT), ("text/html", MARKUP)] {
        for (name, piece) in pieces {
            let (mut ratio, mut costs) = growth(kind, piece, 2);
            if ratio > RATIO_MAX {
                (ratio, costs) = growth(kind, piece, 12);
            }
            let shown: Vec<String> = costs.iter().map(|cost| format!("{:.0}", cost * 1e6)).collect();
            println!("{kind}, {name}: {ratio:.2} for each doubling ({} µs)", shown.join(", "));
            if ratio > RATIO_MAX {
                wrong.push(format!("{kind}, {name}: {ratio:.2}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join(", "));
}
