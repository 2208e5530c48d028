//! Messages that are not as they should be: a table of what really comes, and ten thousand made up and damaged ones. Each
//! is read in full, nothing panics, and what can be read is read.

mod generate;
mod table;

use generate::{Dice, message, mutate};
use postfleet_mail::message::{self as mail, Parsed, SNIPPET_CHARS_MAX};
use postfleet_mail::suspicion::{Lexicon, look};
use table::ODDITIES;

/// Messages that are made up; half of them are damaged once, half twice.
const MADE_UP: usize = 10_000;

/// Reads everything there is to read, and checks what must hold of any message.
fn read(lexicon: &Lexicon, raw: &[u8], name: &str) -> mail::MessageView {
    let message = Parsed::read(raw);
    let view = &message.view;
    assert!(view.snippet.chars().count() <= SNIPPET_CHARS_MAX, "{name}");
    assert!(!view.snippet.contains(char::is_control), "{name}: {:?}", view.snippet);
    for shown in [&mail::body(raw), &mail::plain_text(raw), &view.subject] {
        assert!(!shown.contains('\0'), "{name}");
    }
    mail::html_as_text(raw);
    mail::headers(raw);
    for file in view.attachments.iter().take(20) {
        let (meta, content) = mail::attachment(raw, file.index).expect("an attachment that is listed");
        assert_eq!((meta.size, &meta), (content.len() as u64, file), "{name}");
        assert!(!file.filename.contains(char::is_control), "{name}");
    }
    let found = look(lexicon, &message);
    assert!(found.looked_at);
    for passage in &found.passages {
        assert!(passage.start <= passage.end && !passage.reasons.is_empty(), "{name}: {passage:?}");
    }
    message.view
}

#[test]
fn a_hundred_oddities_are_read() {
    let lexicon = Lexicon::new();
    let mut wrong = Vec::new();
    for odd in ODDITIES {
        let raw = odd.raw();
        let view = read(&lexicon, &raw, odd.name);
        let from = view.from.first().map_or("", |from| from.email.as_str());
        let files: Vec<_> = view.attachments.iter().map(|file| file.filename.as_str()).collect();
        let text = mail::plain_text(&raw).replace("\r\n", "\n");
        let read = (view.subject.as_str(), from, text.contains(odd.text), &files[..]);
        if read != (odd.subject, odd.from, true, odd.files) {
            wrong.push(format!("{}: {read:?}, text {text:?}", odd.name));
        }
    }
    println!("{} oddities", ODDITIES.len());
    assert!(ODDITIES.len() >= 100);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn odd_structures_are_marked_as_such() {
    let lexicon = Lexicon::new();
    for name in [
        "no From",
        "two From fields",
        "two mailboxes in From",
        "text where a field should be",
        "two subjects",
        "NUL in the header",
        "carriage return in a subject",
        "base64 with junk",
        "base64 in pieces",
        "boundary that never comes",
        "no boundary named",
        "not closed",
        "boundary that begins with another",
        "same boundary inside",
        "encoded multipart",
        "type without subtype",
        "two types",
        "two file names",
        "two Message-IDs",
    ] {
        let odd = ODDITIES.iter().find(|odd| odd.name == name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let raw = odd.raw();
        assert_eq!(look(&lexicon, &Parsed::read(&raw)).labels(), ["ambiguous_structure"], "{name}");
    }
}

#[test]
fn ten_thousand_made_up_messages_are_read() {
    let lexicon = Lexicon::new();
    for seed in 0..MADE_UP as u64 {
        let mut dice = Dice::new(seed);
        let mut made = message(&mut dice);
        let name = format!("message {seed}");
        if seed % 4 == 0 {
            let view = read(&lexicon, &made.raw, &name);
            assert_eq!((view.subject.as_str(), view.from[0].email.as_str()), (made.subject, made.from), "{name}");
            assert_eq!(view.attachments.len(), made.files, "{name}");
            assert_eq!(view.defects, [], "{name}: {}", String::from_utf8_lossy(&made.raw));
            let shown = mail::plain_text(&made.raw) + &mail::body(&made.raw);
            for text in &made.texts {
                assert!(shown.contains(text), "{name}: {text:?} is not in {shown:?}");
            }
        }
        mutate(&mut dice, &mut made.raw);
        read(&lexicon, &made.raw, &name);
        if seed % 2 == 0 {
            mutate(&mut dice, &mut made.raw);
            read(&lexicon, &made.raw, &name);
        }
    }
    println!("{MADE_UP} messages made up and damaged");
}
