//! What looking for suspicious content costs, once a message is parsed.
//!
//! `cargo bench -p postfleet-mail --bench suspicion`: messages of 1 KB, 10 KB, 100 KB and 10 MB of words that nobody looks for,
//! of letters in English, of letters in all languages that are known, and of the English ones with a copy in markup.

#[path = "../tests/suspicion/ordinary.rs"]
mod ordinary;
mod texts;
mod timing;

use postfleet_mail::message::Parsed;
use postfleet_mail::suspicion::{Lexicon, look};
use texts::words;
use timing::best;

type Kind = (&'static str, fn(usize) -> Vec<u8>);

const KINDS: [Kind; 4] = [
    ("words", |octets| plain(&words(octets))),
    ("letters", |octets| plain(&letters(octets, str::is_ascii))),
    ("languages", |octets| plain(&letters(octets, |_| true))),
    ("alternative", |octets| alternative(&letters(octets / 2, str::is_ascii))),
];

fn main() {
    let lexicon = Lexicon::new();
    for (name, build) in KINDS {
        for octets in [1_000, 10_000, 100_000, 10_000_000] {
            let raw = build(octets);
            let message = Parsed::read(&raw);
            let looked = best(|| look(&lexicon, &message));
            let passages = look(&lexicon, &message).passages.len();
            println!("{name:>12} of {:>9} octets: {looked:>9.1} µs, {passages} passages", raw.len());
        }
    }
}

/// Ordinary letters, one after the other.
fn letters(octets: usize, wanted: fn(&str) -> bool) -> String {
    let chosen: Vec<String> = ordinary::texts().filter(|text| wanted(text)).collect();
    let mut text = String::with_capacity(octets + 1_000);
    for letter in chosen.iter().cycle() {
        if text.len() >= octets {
            break;
        }
        text.push_str(&letter.replace('\n', "\r\n"));
        text.push_str("\r\n\r\n");
    }
    text
}

const FIELDS: &str = "From: Shop <news@shop.test>\r\nTo: agent@fleet.test\r\nSubject: Your order\r\nDate: Mon, 2 Mar 2026 09:00:00 +0000\r\n\
     Message-ID: <1@shop.test>\r\nMIME-Version: 1.0\r\n";

fn plain(text: &str) -> Vec<u8> {
    format!("{FIELDS}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n").into_bytes()
}

fn alternative(text: &str) -> Vec<u8> {
    let rows = text
        .lines()
        .map(|line| format!("<p style=\"color:#333333\">{line} <a href=\"https://www.shop.test/1\">More</a></p>\r\n"));
    let markup: String = rows.collect();
    format!(
        "{FIELDS}Content-Type: multipart/alternative; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
         --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>{markup}</body></html>\r\n--b--\r\n"
    )
    .into_bytes()
}
