//! What looking at a message for spam costs, once it is parsed, and what judging its words costs beside that.
//!
//! `cargo bench -p postfleet-mail --bench spam`: prose, a newsletter, and an order as plain text and as markup. Words are
//! judged by a model that knows as many as it may. Arguments are names of messages, and the others are left out.

mod timing;

use postfleet_core::UnixMicros;
use postfleet_core::spam::{MESSAGE_TOKENS_MAX, Model, TOKENS_MAX, TokenHasher, Trained, decide};
use postfleet_mail::message::Parsed;
use postfleet_mail::spam::{Surroundings, look};
use timing::best;

const LATIN: &[&str] =
    &["ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "an", "er"];
const CYRILLIC: &[&str] =
    &["ба", "це", "ди", "фо", "гу", "ла", "ме", "ни", "по", "ру", "са", "те", "ви", "во", "ан", "ер"];

/// A name, the type of the content, what makes a body of about so many octets, and how many.
type Message = (&'static str, &'static str, fn(usize) -> String, usize);

fn main() {
    let around = Surroundings {
        now: UnixMicros::from_seconds(1_772_445_600),
        hostname: "mx.fleet.test",
        hasher: TokenHasher::new([1, 2]),
    };
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let messages: [Message; 7] = [
        ("order", "multipart/alternative; boundary=b", order, 1_000),
        ("order", "multipart/alternative; boundary=b", order, 10_000),
        ("prose", "text/plain; charset=utf-8", |octets| prose(octets, LATIN), 10_000),
        ("cyrillic", "text/plain; charset=utf-8", |octets| prose(octets, CYRILLIC), 10_000),
        ("newsletter", "text/html; charset=utf-8", newsletter, 10_000),
        ("order", "multipart/alternative; boundary=b", order, 100_000),
        ("order", "multipart/alternative; boundary=b", order, 10_000_000),
    ];
    for (name, content_type, body, octets) in messages {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
            continue;
        }
        let raw = message(content_type, &body(octets));
        let parsed = Parsed::read(&raw);
        let looked = best(|| look(&parsed, &around));
        let tokens = look(&parsed, &around).tokens;
        let model = learned(&tokens);
        let judged = best(|| decide(model.reason(&tokens).into_iter().collect(), 1_000));
        let (octets, words, known) = (raw.len(), tokens.len(), model.len());
        println!(
            "{octets:>10} octets, {name:<10}: looked at in {looked:7.1} µs, {words} words judged by {known} in {judged:5.1} µs"
        );
    }
}

/// A model full of other words, which knows half of these: of some messages of each kind, and not of all the same.
fn learned(tokens: &[u64]) -> Model {
    let (mut model, mut chance) = (Model::default(), Chance(3));
    while model.len() + MESSAGE_TOKENS_MAX < TOKENS_MAX {
        let others: Vec<u64> = (0..MESSAGE_TOKENS_MAX).map(|_| chance.next()).collect();
        model.learn(&others, if chance.below(2) == 0 { Trained::Spam } else { Trained::Ham });
    }
    for number in 0..60 {
        let known = tokens.iter().copied().step_by(2).filter(|_| chance.below(3) == 0).collect::<Vec<u64>>();
        model.learn(&known, if number % 2 == 0 { Trained::Spam } else { Trained::Ham });
    }
    model
}

/// A message with that body.
fn message(content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "From: Shop <news@shop.test>\r\nTo: agent@fleet.test\r\nSubject: Your order\r\nDate: Mon, 2 Mar 2026 09:00:00 +0000\r\n\
         Message-ID: <1@shop.test>\r\nMIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n{body}\r\n"
    )
    .into_bytes()
}

/// Half plain text, half markup.
fn order(octets: usize) -> String {
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
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{plain}\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
         <table>{markup}</table>\r\n--b--"
    )
}

/// Words of one to four syllables, some of them more often than others.
fn prose(octets: usize, syllables: &[&str]) -> String {
    let mut chance = Chance(7);
    let mut one = || syllables[chance.below(syllables.len())];
    let words: Vec<String> = (0..4_096).map(|number| (0..=number % 4).map(|_| one()).collect()).collect();
    let (mut prose, mut line) = (String::new(), 0);
    while prose.len() < octets {
        let word = &words[chance.below(words.len()).min(chance.below(words.len()))];
        prose.push_str(word);
        line += word.len() + 1;
        prose.push_str(match chance.below(9) {
            _ if line > 70 => "\r\n",
            0 => ", ",
            _ => " ",
        });
        line = if line > 70 { 0 } else { line };
    }
    prose
}

/// A table with styles and links, as programs write it.
fn newsletter(octets: usize) -> String {
    let prose = prose(octets / 3, LATIN);
    let rows = prose.lines().enumerate().map(|(number, line)| {
        format!(
            "<tr><td align=\"center\" style=\"font-family:Arial,sans-serif;font-size:14px;color:#333333;padding:10px 20px\">{line}<br>\
             <a href=\"https://click.shop.test/u/{number}?x=abc\" style=\"color:#0066cc\" target=\"_blank\">More</a></td></tr>\r\n"
        )
    });
    let rows: String = rows.collect();
    format!("<html><head><style>p {{ color: red }}</style></head><body><table>{rows}</table></body></html>")
}

/// The same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
