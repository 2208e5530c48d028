//! What it costs to make of a message what is searched of it.
//!
//! `cargo bench -p postfleet-mail --bench terms`: texts of 1 KB, 3 KB, 10 KB and 100 KB in four scripts. Microseconds for which the thread
//! ran, of the best of several rounds: others use the machine.

mod texts;
mod timing;

use postfleet_mail::terms::{Head, Named, Role, kept, vector};
use std::hint::black_box;
use texts::words;
use timing::best;

/// What stands for a letter of the Latin text.
type Letter = fn(u32) -> u32;

const SCRIPTS: [(&str, Letter); 4] = [
    ("Latin", |n| 0x61 + n),
    ("Cyrillic", |n| 0x430 + n),
    ("Arabic", |n| 0x628 + n % 18),
    ("Han", |n| 0x4e00 + 31 * n),
];

fn main() {
    let people = vec![
        Named { role: Role::From, name: "Ada Lovelace", email: "ada@people.test" },
        Named { role: Role::To, name: "", email: "agent@fleet.test" },
    ];
    let head = Head { subject: "Your order of today", people, files: vec!["order.pdf"] };
    for (name, letter) in SCRIPTS {
        for octets in [1_000, 3_000, 10_000, 100_000] {
            let text: String = words(octets).chars().filter_map(|c| in_script(c, letter)).collect();
            let text = &text[..text.floor_char_boundary(octets)];
            let made = best(|| vector(&head, black_box(text)));
            let raw = format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}").into_bytes();
            let arrived = best(|| kept(black_box(&raw), &head));
            let size = vector(&head, text).len();
            println!("{name:>9} of {octets:>7} octets: {made:>7.1} µs, {size:>6} octets; at arrival {arrived:>6.1} µs");
        }
    }
}

fn in_script(c: char, letter: Letter) -> Option<char> {
    if c.is_ascii_lowercase() { char::from_u32(letter(u32::from(c) - 0x61)) } else { Some(c) }
}
