//! What it costs to make of a message what is searched of it.
//!
//! `cargo bench -p postfleet-mail --bench terms`: texts of 1 KB, 3 KB, 10 KB and 100 KB in four scripts. Microseconds for which the thread
//! ran, of the best of several rounds: others use the machine. At arrival a message was read and looked at before, when it is sent
//! it was not. At last what the pieces of subjects cost.

mod texts;
mod timing;

use postfleet_core::search::segment::build_with;
use postfleet_mail::message::Parsed;
use postfleet_mail::terms::{Head, Named, Role, kept, kept_of, pieces, vector};
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
            let (read, sent) = (Parsed::read(&raw), best(|| kept(black_box(&raw), &head)));
            let arrived = best(|| kept_of(black_box(&read), &head));
            let size = vector(&head, text).len();
            println!(
                "{name:>9} of {octets:>7} octets: {made:>7.1} µs, {size:>6} octets; at arrival {arrived:>6.1} µs, sent {sent:>6.1} µs"
            );
        }
    }
    pieces_of_subjects();
}

/// What the pieces of subjects add to a segment, and what making them costs.
fn pieces_of_subjects() {
    let text = words(400_000);
    let subjects: Vec<&str> = text.split("\r\n").map(|line| line.get(..40).unwrap_or(line)).collect();
    let vectors: Vec<Vec<u8>> = (0..subjects.len())
        .map(|number| {
            vector(&Head { subject: subjects[number], ..Head::default() }, &text[100 * number..100 * number + 1_000])
        })
        .take(2_048)
        .collect();
    let made: Vec<Vec<u64>> = subjects.iter().map(|subject| pieces(subject)).take(vectors.len()).collect();
    let octets = |messages: usize, with: bool| {
        let of = vectors.iter().zip(&made).take(messages);
        let of = of.map(|(vector, pieces)| (vector.as_slice(), if with { pieces.as_slice() } else { &[] }));
        build_with(of, 3).iter().map(|(_, shard)| shard.len()).sum::<usize>() / messages
    };
    for messages in [128, 2_048] {
        let (without, with) = (octets(messages, false), octets(messages, true));
        println!("segment of {messages}: {without} octets a message, {with} with pieces of subjects");
    }
    let mut number = 0;
    let cost = best(|| {
        number = (number + 1) % subjects.len();
        drop(black_box(pieces(black_box(subjects[number]))));
    });
    println!("pieces of a subject of 40 characters: {cost:.1} µs");
    let segment = |with: bool| {
        let of = vectors.iter().zip(&made).take(128);
        let of = of.map(|(vector, pieces)| (vector.as_slice(), if with { pieces.as_slice() } else { &[] }));
        drop(black_box(build_with(of, 3)));
    };
    let (without, with) = (best(|| segment(false)) / 128.0, best(|| segment(true)) / 128.0);
    println!("gathering: {without:.1} µs a message, {with:.1} µs with pieces");
}

fn in_script(c: char, letter: Letter) -> Option<char> {
    if c.is_ascii_lowercase() { char::from_u32(letter(u32::from(c) - 0x61)) } else { Some(c) }
}
