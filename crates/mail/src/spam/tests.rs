use super::*;
use crate::message::Parsed;

const NOW: UnixMicros = UnixMicros::from_seconds(1_772_445_600);

fn at(text: &str) -> Looked {
    let raw = text.replace('\n', "\r\n");
    let around = Surroundings { now: NOW, hostname: "mx.world.test", hasher: TokenHasher::new([1, 2]) };
    look(&Parsed::read(raw.as_bytes()), &around)
}

/// A message without anything odd, with other fields before it.
fn with(fields: &str, body: &str) -> Looked {
    let usual = [
        ("From", "Ada <ada@x.test>"),
        ("To", "bob@world.test"),
        ("Subject", "The minutes"),
        ("Date", "Mon, 2 Mar 2026 09:00:00 +0000"),
        ("Message-ID", "<1@x.test>"),
    ];
    let is_given = |name: &str| fields.lines().any(|line| line.split(':').next() == Some(name));
    let mut text = String::new();
    for (name, value) in usual.into_iter().filter(|(name, _)| !is_given(name)) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    let given: Vec<&str> = fields.lines().filter(|line| !line.ends_with(": -")).collect();
    text.push_str(&given.join("\n"));
    at(&format!("{}\n\n{body}\n", text.trim_end()))
}

fn names(reasons: &[SpamReason]) -> String {
    reasons.iter().map(|reason| reason.name.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn header_anomalies() {
    for (fields, expected) in [
        ("", ""),
        ("Date: -", "no_date"),
        ("Date: yesterday", "bad_date"),
        ("Date: Tue, 3 Mar 2026 11:00:00 +0000", "future_date"),
        ("Date: Tue, 3 Mar 2026 09:00:00 +0000", ""),
        ("Date: Mon, 2 Feb 2026 09:00:00 +0000", "old_date"),
        ("Message-ID: -", "no_message_id"),
        ("Message-ID: hello", "odd_message_id"),
        ("Message-ID: <a@localhost>", "odd_message_id"),
        ("Message-ID: <@x.test>", "odd_message_id"),
        ("Message-ID: <a b@x.test>", "odd_message_id"),
        ("From: -", "no_from"),
        ("From: Nobody", "no_from"),
        ("From: a@x.test, b@x.test", "several_authors"),
        ("From: a@x.test\nFrom: a@y.test", "several_authors repeated_field"),
        ("Subject: a\nSubject: b", "repeated_field"),
        ("no colon here", "bad_header"),
        ("To: -", "no_recipient_shown"),
        ("To: -\nCc: bob@world.test", ""),
        ("Subject: -", "no_subject"),
        ("Subject:", "no_subject"),
        ("Subject: =?utf-8?B?SGVsbG8=?=", "needless_encoding"),
        ("Subject: =?utf-8?Q?caf=C3=A9?=", ""),
        ("Subject: =?utf-8?Q?caf=C3=A9?= =?koi8-r?Q?=C1?=", "mixed_charsets"),
        ("Subject: café", "raw_header"),
        ("Reply-To: c@gmail.com", "reply_to_free_mail"),
        ("Reply-To: c@y.test", "reply_to_elsewhere"),
        ("Reply-To: c@help.x.test", ""),
        ("Reply-To: c@y.test\nList-Unsubscribe: <https://x.test/u>", ""),
        ("From: \"service@bank.test\" <x@y.test>", "name_is_another_address"),
        ("From: \"ada@mail.x.test\" <ada@x.test>", ""),
        ("Received: from a by mx.world.test with SMTP; x", "forged_received"),
        ("Received: from a by mx.x.test with SMTP; x", ""),
        ("Received: (qmail 1 invoked by uid 2); x", ""),
        ("Received: hello", "odd_received"),
        ("Content-Type: text/html", "html_only"),
        ("Content-Type: multipart/mixed; boundary=b", "no_mime_version"),
    ] {
        let body = if fields.contains("multipart") { "--b\n\nHello\n--b--" } else { "Hello" };
        assert_eq!(names(&with(fields, body).headers), expected, "{fields}");
    }
    let long = format!("Subject: {}", "a".repeat(200));
    assert_eq!(names(&with(&long, "Hello").headers), "");
    let long = format!("Subject: {}", "a".repeat(201));
    assert_eq!(names(&with(&long, "Hello").headers), "long_subject");
}

#[test]
fn content_signals() {
    let html = "MIME-Version: 1.0\nContent-Type: text/html";
    for (fields, body, expected) in [
        ("", "Hello Bob, here are the minutes. See https://x.test/minutes", ""),
        ("Subject: BUY THIS NOW", "Hello", "shouting_subject"),
        ("Subject: ASAP", "Hello", ""),
        ("Subject: Wow!! Really", "Hello", "excited_subject"),
        ("", "See https://bit.ly/x", "shortened_link"),
        ("", "See http://203.0.113.7/x", "numeric_link"),
        ("", "See https://xn--pypal-4ve.test/", "odd_letters_in_link"),
        (html, "<a href='https://evil.test'>https://www.bank.test</a>", "link_mismatch"),
        (html, "<a href='https://www.bank.test/x'>bank.test</a>", ""),
        (html, "<form action=x><input></form>", "form"),
        (html, "<script>x</script>Hello", "script"),
        (html, "<a href='https://x.test'><img src=x></a> Hello", "image_only"),
        ("", "pay\u{200b}pal", "split_words"),
        ("", "раypаl", "mixed_letters"),
        ("", "cheap v1agra", "disguised_words phrase_medicine"),
        ("MIME-Version: 1.0\nContent-Type: application/zip; name=a.exe", "UEsD", "executable_file"),
    ] {
        assert_eq!(names(&with(fields, body).content), expected, "{fields} {body}");
    }
    let hidden = format!("<p>Hello</p><div style='display:none'>{}</div>", "secret ".repeat(50));
    assert_eq!(names(&with(html, &hidden).content), "hidden_text");
    let preheader = format!("<div style='display:none'>{}</div>{}", "First words. ".repeat(8), "The text. ".repeat(40));
    assert_eq!(names(&with(html, &preheader).content), "");
    let packed = "SGVsbG8gQm9iLCBoZXJlIGFyZSB0aGUgbWludXRlcy4g".repeat(10);
    let fields = "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: base64";
    assert_eq!(names(&with(fields, &packed).content), "needless_base64");
}

#[test]
fn domains_are_those_of_authors_and_links() {
    let body = "See https://a.test/x and http://192.0.2.1/ and https://A.test/y and https://x.test/";
    let found = with("Reply-To: c@y.test", body);
    assert_eq!(found.domains, ["x.test", "y.test", "a.test"]);
    let many: String = (0..100).map(|number| format!("https://d{number}.test/ ")).collect();
    assert_eq!(with("", &many).domains.len(), DOMAINS_MAX);
}

#[test]
fn a_large_message_is_read_in_part() {
    let body = "some words that nobody needs ".repeat(400_000);
    let found = with("", &body);
    assert!(found.tokens.len() <= words::TOKENS_MAX);
    let late = format!("{}\nviagra", "a line\n".repeat(TEXT_OCTETS_MAX / 6));
    assert_eq!(names(&with("", &late).content), "");
}

proptest::proptest! {
    #[test]
    fn any_message(raw: Vec<u8>, fields in "((From|To|Subject|Date|Received|Message-ID|Reply-To): \\PC{0,30}\r\n){0,6}") {
        let around = Surroundings { now: NOW, hostname: "mx.world.test", hasher: TokenHasher::new([1, 2]) };
        for raw in [raw.clone(), [fields.as_bytes(), b"\r\n", &raw].concat()] {
            look(&Parsed::read(&raw), &around);
        }
    }
}
