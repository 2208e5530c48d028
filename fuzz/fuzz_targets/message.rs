//! What a stranger writes. Reading a message must never panic, and its parts must agree with each other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postfleet_mail::message::{self, Parsed};
use postfleet_mail::suspicion::{self, Lexicon};
use postfleet_mail::{dsn, feedback, trace};
use std::sync::LazyLock;

static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::new);

fuzz_target!(|raw: &[u8]| {
    let message = Parsed::read(raw);
    let view = &message.view;
    assert!(view.snippet.chars().count() <= message::SNIPPET_CHARS_MAX);
    assert!(!view.subject.chars().any(|c| matches!(c, '\r' | '\n')), "a line end in the subject");
    for file in &view.attachments {
        let (meta, bytes) = message::attachment(raw, file.index).expect("what is listed can be read");
        assert_eq!((&meta, meta.size), (file, bytes.len() as u64));
        assert!(!file.filename.chars().any(char::is_control));
    }
    assert!(message::headers(raw).len() <= message::HEADERS_MAX);
    message::body(raw);
    message::plain_text(raw);
    message::html_as_text(raw);
    suspicion::links(raw);
    for passage in suspicion::look(&LEXICON, &message).passages {
        assert!(passage.start < passage.end && !passage.reasons.is_empty());
    }
    trace::count_received(raw);
    dsn::parse(raw);
    for is_null_sender in [false, true] {
        if let Some(feedback::Feedback::Delivery(report)) = feedback::read(raw, is_null_sender) {
            assert!(!report.recipients.is_empty() && report.recipients.len() <= 2 * dsn::RECIPIENTS_MAX);
        }
    }
});
