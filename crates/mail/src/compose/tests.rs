use super::*;
use crate::message;
use crate::syntax::invisible;
use proptest::prelude::*;

fn person(name: &str, email: &str) -> Participant {
    Participant { name: name.into(), email: email.into() }
}

fn sample() -> Compose {
    Compose {
        from: person("Ann Lee", "ann@example.com"),
        to: vec![person("", "bob@example.net"), person("Doe, John", "john@example.net")],
        cc: vec![person("Jörg", "j@example.org")],
        bcc: vec![person("Hidden", "hidden@example.org")],
        reply_to: vec![person("", "replies@example.com")],
        subject: "Grüße: a long subject that has to be folded over more than one line, surely".into(),
        body: "<p>Hello <b>Bob</b>,</p><p>see <a href=\"https://x.example/\">this</a>.</p>".into(),
        in_reply_to: Some("parent@example.net".into()),
        references: vec!["root@example.net".into(), "parent@example.net".into()],
        custom_headers: vec![("X-Campaign".into(), "spring".into())],
        date: UnixMicros::from_seconds(880_127_706),
        message_id: "id-1@example.com".into(),
        boundary_seed: [0xab; 16],
        ..Compose::default()
    }
}

fn file(filename: &str, content_type: &str, content: &[u8]) -> Attachment {
    Attachment {
        filename: filename.into(),
        content_type: content_type.into(),
        content: content.to_vec(),
        ..Attachment::default()
    }
}

fn text(message: &Compose) -> String {
    String::from_utf8(compose(message).unwrap()).unwrap()
}

fn assert_well_formed(raw: &[u8]) {
    assert!(raw.is_ascii() && !raw.contains(&0) && raw.ends_with(b"\r\n"));
    assert!(crate::write::body::is_seven_bit(raw));
    assert!(!raw.windows(4).any(|four| four.eq_ignore_ascii_case(b"bcc:")));
    assert!(message::view(raw).defects.is_empty(), "{:?}", message::view(raw).defects);
}

#[test]
fn written_out() {
    let mut message = sample();
    message.attachments = vec![
        file("naïve file.txt", "text/plain; charset=utf-8", b"hello"),
        Attachment { content_id: Some("logo".into()), is_inline: true, ..file("logo.png", "image/png", &[1, 2, 3]) },
    ];
    let written = text(&message);
    assert_well_formed(written.as_bytes());
    insta::assert_snapshot!(written.replace("\r\n", "\n"));
}

#[test]
fn plain_text_has_no_html() {
    let message = Compose { is_plaintext: true, body: "a <b> c".into(), ..sample() };
    let written = text(&message);
    assert!(!written.contains("multipart") && !written.contains("text/html"));
    assert_eq!(message::body(written.as_bytes()).trim_end(), "a <b> c");
}

#[test]
fn the_view_gives_back_what_was_written() {
    let mut message = sample();
    message.attachments = vec![file("a.bin", "", &[0, 255, 10, 13])];
    let raw = compose(&message).unwrap();
    let view = message::view(&raw);
    assert_eq!(view.message_id.as_deref(), Some("id-1@example.com"));
    assert_eq!(view.in_reply_to, ["parent@example.net"]);
    assert_eq!(view.references, message.references);
    assert_eq!(view.subject, message.subject);
    assert_eq!(view.from, [message.from]);
    assert_eq!(view.to, message.to);
    assert_eq!(view.cc, message.cc);
    assert_eq!(view.bcc, []);
    assert_eq!(view.reply_to, message.reply_to);
    assert_eq!(view.date, Some(message.date));
    assert_eq!(view.snippet, "Hello Bob, see this <https://x.example/>.");
    assert_eq!(message::body(&raw), message.body);
    assert_eq!(message::plain_text(&raw), "Hello Bob,\r\n\r\nsee this <https://x.example/>.");
    let (meta, content) = message::attachment(&raw, view.attachments[0].index).unwrap();
    assert_eq!((meta.filename.as_str(), meta.content_type.as_str()), ("a.bin", "application/octet-stream"));
    assert_eq!(content, [0, 255, 10, 13]);
}

#[test]
fn the_same_input_gives_the_same_octets() {
    assert_eq!(compose(&sample()), compose(&sample()));
    let other = Compose { boundary_seed: [1; 16], ..sample() };
    assert_ne!(compose(&sample()), compose(&other));
}

#[test]
fn a_message_is_attached_as_it_is_or_as_a_file() {
    for (content, expected) in [
        ("Subject: x\r\n\r\nbody\r\n", "message/rfc822"),
        ("Subject: x\n\nbody\n", "application/octet-stream"),
        ("Subject: é\r\n\r\nbody\r\n", "application/octet-stream"),
    ] {
        let attachments = vec![file("m.eml", "message/rfc822", content.as_bytes())];
        let raw = compose(&Compose { attachments, ..sample() }).unwrap();
        let view = message::view(&raw);
        let (meta, bytes) = message::attachment(&raw, view.attachments[0].index).unwrap();
        assert_eq!((meta.content_type.as_str(), bytes.as_slice()), (expected, content.as_bytes()));
    }
}

#[test]
fn references_that_cannot_be_written_are_left_out() {
    let mut references: Vec<String> = (0..=REFERENCES_MAX).map(|index| format!("r{index}@x")).collect();
    references.extend(["é@x".into(), "a b@x".into(), "<a@x>".into(), String::new(), "r@x".repeat(400)]);
    let raw = compose(&Compose { references, ..sample() }).unwrap();
    let found = message::view(&raw).references;
    assert_eq!(found.len(), REFERENCES_MAX);
    assert_eq!((found[0].as_str(), found[1].as_str()), ("r0@x", "r2@x"));
}

/// Every text field of the input, with a way to set it; with how a refusal names it.
type Setter = fn(&mut Compose, String);
const FIELDS: [(&str, Setter); 18] = [
    ("from.name", |message, value| message.from.name = value),
    ("from.email", |message, value| message.from.email = format!("a{value}@example.com")),
    ("to[1].name", |message, value| message.to[1].name = value),
    ("to[1].email", |message, value| message.to[1].email = format!("a@example.com{value}")),
    ("cc[0].name", |message, value| message.cc[0].name = value),
    ("cc[0].email", |message, value| message.cc[0].email = format!("\"a{value}\"@example.com")),
    ("bcc[0].name", |message, value| message.bcc[0].name = value),
    ("bcc[0].email", |message, value| message.bcc[0].email = value),
    ("reply_to[0].name", |message, value| message.reply_to[0].name = value),
    ("reply_to[0].email", |message, value| message.reply_to[0].email = value),
    ("subject", |message, value| message.subject = value),
    ("in_reply_to", |message, value| message.in_reply_to = Some(value)),
    ("references[1]", |message, value| message.references[1] = value),
    ("message_id", |message, value| message.message_id = format!("a{value}@example.com")),
    ("attachments[0].filename", |message, value| message.attachments[0].filename = value),
    ("attachments[0].content_type", |message, value| {
        message.attachments[0].content_type = format!("text/plain{value}")
    }),
    ("attachments[0].content_id", |message, value| message.attachments[0].content_id = Some(value)),
    ("custom_headers[0].value", |message, value| message.custom_headers[0].1 = value),
];

#[test]
fn no_value_can_begin_a_header_field() {
    let injections = [
        "\r",
        "\n",
        "\0",
        "\r\n",
        "\r\n\r\n",
        "\r\nBcc: x@evil.example",
        "\nBcc: x@evil.example",
        "x\rBcc: y",
        "x\0y",
        "x\r\n y",
        "x\n\ty",
        "\u{b}",
        "\u{c}",
        "\u{7f}",
        "\u{85}Bcc: x",
        "\u{1b}[2J",
        "\t",
        "a\r\nContent-Type: text/html\r\n\r\n<b>",
    ];
    for (field, set) in FIELDS {
        for injection in injections {
            for value in [injection.to_owned(), format!("hello{injection}"), format!("{injection}hello")] {
                let mut message = sample();
                message.attachments = vec![file("a.txt", "text/plain", b"x")];
                set(&mut message, value.clone());
                let refused = compose(&message).expect_err(&format!("{field} {value:?}"));
                assert_eq!(refused.field, field, "{value:?}");
            }
        }
    }
    for injection in injections {
        let custom_headers = vec![(format!("X-A{injection}"), "v".into())];
        let refused = compose(&Compose { custom_headers, ..sample() }).unwrap_err();
        assert_eq!(refused.field, "custom_headers[0].name", "{injection:?}");
    }
}

#[test]
fn only_listed_headers_can_be_set() {
    let set = |name: &str| {
        compose(&Compose { custom_headers: vec![(name.into(), "value".into())], ..sample() })
            .map_err(|error| error.field)
    };
    for good in [
        "X-Anything",
        "x-priority",
        "List-Unsubscribe",
        "LIST-UNSUBSCRIBE-POST",
        "List-Id",
        "Precedence",
        "Importance",
        "Auto-Submitted",
        "Priority",
        "Organization",
        "Feedback-ID",
    ] {
        assert!(set(good).is_ok(), "{good}");
    }
    for bad in [
        "From",
        "to",
        "CC",
        "Bcc",
        "Sender",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "References",
        "MIME-Version",
        "Content-Type",
        "content-transfer-encoding",
        "Received",
        "DKIM-Signature",
        "Return-Path",
        "Authentication-Results",
        "ARC-Seal",
        "Resent-From",
        "X-Postfleet-Id",
        "x-postfleet",
        "X-",
        "Unknown",
    ] {
        assert_eq!(set(bad), Err("custom_headers[0].name".to_owned()), "{bad}");
    }
    for bad in ["", "X A", "X-A:", "X-Ä", "X-A B"] {
        assert_eq!(set(bad), Err("custom_headers[0].name".to_owned()), "{bad}");
    }
    let custom_headers = vec![("List-Id".to_owned(), "<a>".to_owned()), ("list-id".to_owned(), "<b>".to_owned())];
    assert_eq!(compose(&Compose { custom_headers, ..sample() }).unwrap_err().field, "custom_headers[1].name");
}

#[test]
fn limits() {
    let a = |count: usize| "a".repeat(count);
    let ok = |set: &dyn Fn(&mut Compose)| {
        let mut message = sample();
        message.attachments = vec![file("a.txt", "text/plain", b"x")];
        set(&mut message);
        match compose(&message) {
            Ok(raw) => {
                assert_well_formed(&raw);
                true
            }
            Err(_) => false,
        }
    };
    assert!(ok(&|message| message.subject = a(HEADER_VALUE_OCTETS_MAX)));
    assert!(!ok(&|message| message.subject = a(HEADER_VALUE_OCTETS_MAX + 1)));
    assert!(ok(&|message| message.from.name = "é".repeat(DISPLAY_NAME_CHARS_MAX)));
    assert!(!ok(&|message| message.from.name = "é".repeat(DISPLAY_NAME_CHARS_MAX + 1)));
    assert!(ok(&|message| message.attachments[0].filename = "é".repeat(FILENAME_CHARS_MAX)));
    assert!(!ok(&|message| message.attachments[0].filename = "é".repeat(FILENAME_CHARS_MAX + 1)));
    assert!(ok(&|message| message.attachments[0].content_id = Some(a(CONTENT_ID_CHARS_MAX))));
    assert!(!ok(&|message| message.attachments[0].content_id = Some(a(CONTENT_ID_CHARS_MAX + 1))));
    assert!(ok(&|message| message.custom_headers = vec![("X-A".into(), a(HEADER_VALUE_OCTETS_MAX))]));
    assert!(!ok(&|message| message.custom_headers = vec![("X-A".into(), a(HEADER_VALUE_OCTETS_MAX + 1))]));
    let long = |count| format!("X-{}", a(count - 2));
    assert!(ok(&|message| message.custom_headers = vec![(long(HEADER_NAME_OCTETS_MAX), a(900))]));
    assert!(!ok(&|message| message.custom_headers = vec![(long(HEADER_NAME_OCTETS_MAX + 1), a(1))]));
    let many = |count| vec![("X-A".to_owned(), "v".to_owned()); count];
    assert!(ok(&|message| message.custom_headers = many(CUSTOM_HEADERS_MAX)));
    assert!(!ok(&|message| message.custom_headers = many(CUSTOM_HEADERS_MAX + 1)));
    assert!(ok(&|message| message.to = vec![person("", "a@example.com"); ADDRESSES_MAX]));
    assert!(!ok(&|message| message.to = vec![person("", "a@example.com"); ADDRESSES_MAX + 1]));
    assert!(ok(&|message| message.custom_headers = vec![("List-Unsubscribe".into(), format!("<https://{}>", a(890)))]));
    assert!(!ok(&|message| message.custom_headers = vec![("List-Unsubscribe".into(), a(901))]));
    assert!(!ok(&|message| message.custom_headers = vec![("List-Id".into(), "é".into())]));
    assert!(!ok(&|message| message.from.email = "müller@example.com".into()));
    assert!(!ok(&|message| message.message_id = "no-at".into()));
    assert!(!ok(&|message| message.attachments[0].content_type = "multipart/mixed".into()));
    assert!(!ok(&|message| message.attachments[0].content_type = "text".into()));
    assert!(ok(
        &|message| message.attachments[0].content_type = "text/calendar; method=REQUEST; charset=\"utf-8\"".into()
    ));
}

/// The names of the header fields as another parser sees them.
fn names_elsewhere(raw: &[u8]) -> Vec<String> {
    let message = mail_parser::MessageParser::new().parse(raw).unwrap();
    message.headers().iter().map(|header| header.name.as_str().to_owned()).collect()
}

/// Text that people and attackers write into one line.
fn line() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9 ,.:;<>@()\"\\\\=?_'*%-]{0,60}", "\\PC{0,60}", "[ ä本=?_é\u{301}]{0,80}"]
        .prop_map(|text| text.replace(char::is_control, ""))
}

proptest! {
    #[test]
    fn what_is_composed_is_viewed(
        subject in line(),
        name in line(),
        filename in line(),
        body in "([a-z <>&\u{e9}\u{4e2d}=.]|\n|From ){0,400}",
        content: Vec<u8>,
        is_plaintext: bool,
        is_inline: bool,
    ) {
        let filename: String = filename.trim().chars().take(60).collect::<String>().trim().to_owned();
        let attachment = Attachment { content_id: Some("c@x".into()), is_inline, ..file(&filename, "image/png", &content) };
        let message = Compose {
            subject: subject.clone(),
            from: person(name.trim(), "ann@example.com"),
            to: vec![person(name.trim(), "bob@example.com"), person(&subject, "c@example.com")],
            body: body.clone(),
            is_plaintext,
            attachments: vec![attachment],
            ..sample()
        };
        let raw = compose(&message).unwrap();
        prop_assert!(crate::write::body::is_seven_bit(&raw));
        prop_assert_eq!(names_elsewhere(&raw), message::headers(&raw).into_iter().map(|(name, _)| name).collect::<Vec<_>>());
        let view = message::view(&raw);
        prop_assert_eq!(view.defects, vec![]);
        // What is not seen is not shown.
        let seen = |text: &str| invisible::visible(text).into_owned();
        prop_assert_eq!(view.subject, seen(&subject));
        prop_assert_eq!(&view.from, &[person(&seen(name.trim()), "ann@example.com")]);
        prop_assert_eq!(&view.to[0].name, &seen(name.trim()));
        prop_assert_eq!(view.to.len(), 2);
        prop_assert_eq!(message::body(&raw), body.replace('\n', "\r\n"));
        prop_assert_eq!(view.attachments.len(), 1);
        let (meta, bytes) = message::attachment(&raw, view.attachments[0].index).unwrap();
        prop_assert_eq!(&meta, &view.attachments[0]);
        let name = seen(&filename);
        prop_assert_eq!(meta.filename, name.trim());
        prop_assert_eq!(meta.is_inline, is_inline);
        prop_assert_eq!(meta.size, bytes.len() as u64);
        prop_assert_eq!(bytes, content);
    }
}
