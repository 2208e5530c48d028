//! Who is shown and who is judged: forms of From that readers have been found to read differently. None may pass for another
//! than the one who is shown, and what is not one mailbox has no author at all.

use crate::support::{ED, RSA, Table, judge, signed};
use postfleet_core::EmailAddress;
use postfleet_core::authentication::AuthResult as R;
use postfleet_mail::message;

fn zone() -> Table {
    let mut dns = Table::new(
        "_dmarc.evil.example TXT v=DMARC1; p=none\n_dmarc.bank.example TXT v=DMARC1; p=reject\n\
         sender.example TXT v=spf1 -all",
    );
    dns.add(&format!("k._domainkey.evil.example TXT {}", RSA.record));
    dns.add(&format!("e._domainkey.evil.example TXT {}", ED.record));
    dns
}

/// Signed by `evil.example` over everything that is there. From is replaced by the form.
fn by_evil(header: &str) -> String {
    let raw = format!("To: x@example.org\r\n{header}Subject: s\r\n\r\nhello\r\n");
    signed(&raw, &RSA, "v=1; a=rsa-sha256; c=relaxed/relaxed; d=evil.example; s=k; h=from:to:subject")
}

/// Forms that have no one author.
const CONFUSING: &[(&str, &str)] = &[
    ("two fields", "From: a@evil.example\r\nFrom: ceo@bank.example\r\n"),
    ("two fields, the other way round", "From: ceo@bank.example\r\nFrom: a@evil.example\r\n"),
    ("two fields in different cases", "FROM: ceo@bank.example\r\nfrom: a@evil.example\r\n"),
    ("a second field with space before its colon", "From : ceo@bank.example\r\nFrom: a@evil.example\r\n"),
    ("a second field with a NUL in its name", "Fr\0om: ceo@bank.example\r\nFrom: a@evil.example\r\n"),
    ("a second field behind a byte order mark", "\u{feff}From: ceo@bank.example\r\nFrom: a@evil.example\r\n"),
    ("a second field with space in its name", "Fr om: ceo@bank.example\r\nFrom: a@evil.example\r\n"),
    ("a second field with a tab before its colon", "From\t: ceo@bank.example\r\nFrom: a@evil.example\r\n"),
    ("a second field with a control character", "From\u{1}: ceo@bank.example\r\nFrom: a@evil.example\r\n"),
    ("a second field behind a bare CR", "X: 1\rFrom: ceo@bank.example\r\nFrom: a@evil.example\r\n"),
    ("a second field behind a bare LF", "X: 1\nFrom: ceo@bank.example\r\nFrom: a@evil.example\r\n"),
    ("two mailboxes", "From: ceo@bank.example, a@evil.example\r\n"),
    ("two mailboxes, the other way round", "From: a@evil.example, ceo@bank.example\r\n"),
    ("two mailboxes in brackets", "From: <ceo@bank.example>, <a@evil.example>\r\n"),
    ("two mailboxes without a comma", "From: <ceo@bank.example> <a@evil.example>\r\n"),
    ("two mailboxes with a semicolon", "From: ceo@bank.example; a@evil.example\r\n"),
    ("an address before the brackets", "From: ceo@bank.example <a@evil.example>\r\n"),
    ("an address behind the brackets", "From: <a@evil.example> ceo@bank.example\r\n"),
    ("text behind the brackets", "From: <a@evil.example> bank\r\n"),
    ("brackets in brackets", "From: <<ceo@bank.example> a@evil.example>\r\n"),
    ("brackets behind brackets", "From: <a@evil.example><ceo@bank.example>\r\n"),
    ("a comment in the address", "From: <ceo@bank.example(a@evil.example)>\r\n"),
    ("a comment before the domain", "From: <ceo@(x)evil.example>\r\n"),
    ("a comment that has no end", "From: ceo@bank.example (a@evil.example\r\n"),
    ("a quote that has no end", "From: \"ceo@bank.example <a@evil.example>\r\n"),
    ("a route", "From: <@bank.example,@x.example:a@evil.example>\r\n"),
    ("a route of one", "From: <@bank.example:a@evil.example>\r\n"),
    ("a group", "From: bank: a@evil.example;\r\n"),
    ("a group of two", "From: bank: ceo@bank.example, a@evil.example;\r\n"),
    ("an empty group", "From: bank:;\r\n"),
    ("two signs", "From: ceo@bank.example@evil.example\r\n"),
    ("two signs in brackets", "From: <ceo@bank.example@evil.example>\r\n"),
    ("an encoded word as address", "From: =?utf-8?Q?ceo=40bank.example?=@evil.example\r\n"),
    ("an encoded word in brackets", "From: <=?utf-8?B?Y2VvQGJhbmsuZXhhbXBsZQ==?=>\r\n"),
    ("an encoded word with the sign", "From: x <=?utf-8?Q?ceo=40bank.example=3E?= a@evil.example>\r\n"),
    ("an address literal", "From: <a@[192.0.2.1]>\r\n"),
    ("space in the domain", "From: <a@evil .example>\r\n"),
    ("space before the sign", "From: <ceo@bank.example @evil.example>\r\n"),
    ("a fold in the address", "From: <ceo@bank.example\r\n @evil.example>\r\n"),
    ("a NUL in the address", "From: <ceo@bank.example\0@evil.example>\r\n"),
    ("a NUL behind the address", "From: ceo@bank.example\0, a@evil.example\r\n"),
    ("a list with nothing at its end", "From: a@evil.example,\r\n"),
    ("a list with nothing at its beginning", "From: ,a@evil.example\r\n"),
    ("no sign", "From: bank\r\n"),
    ("nothing", "From:\r\n"),
    ("nothing in brackets", "From: bank <>\r\n"),
    ("no domain", "From: <ceo@>\r\n"),
    ("a dot at the end of the local part", "From: <ceo.@evil.example>\r\n"),
    ("two dots in the domain", "From: <a@evil..example>\r\n"),
    ("a vertical tab", "From: ceo@bank.example\u{b}<a@evil.example>\r\n"),
    ("a line separator in the address", "From: <ceo@bank.example\u{2028}@evil.example>\r\n"),
    ("a backslash outside of quotes", "From: ceo\\@bank.example <a@evil.example>\r\n"),
    ("no field", "X-From: a@evil.example\r\n"),
];

#[test]
fn what_is_not_one_mailbox_has_no_author() {
    let dns = zone();
    for (name, header) in CONFUSING {
        let raw = by_evil(header);
        let found = judge(raw.as_bytes(), &dns);
        assert_eq!(found.dmarc.result, R::Permerror, "{name}: {:?}", found.dmarc);
        assert_eq!(found.aligned_domain, None, "{name}");
    }
    println!("From: {} of {} confusing forms have no author", CONFUSING.len(), CONFUSING.len());
    assert!(CONFUSING.len() >= 22);
}

/// Forms that are one mailbox, and whose.
const CLEAR: &[(&str, &str)] = &[
    ("From: a@evil.example\r\n", "evil.example"),
    ("From: <a@evil.example>\r\n", "evil.example"),
    ("From: Ann Lee <a@evil.example>\r\n", "evil.example"),
    ("From: \"Lee, Ann\" <a@evil.example>\r\n", "evil.example"),
    ("From: \"ceo@bank.example\" <a@evil.example>\r\n", "evil.example"),
    ("From: \"<ceo@bank.example>\" <a@evil.example>\r\n", "evil.example"),
    ("From: \"a\\\"b <ceo@bank.example>\" <a@evil.example>\r\n", "evil.example"),
    ("From: (ceo@bank.example) a@evil.example\r\n", "evil.example"),
    ("From: a@evil.example (ceo@bank.example)\r\n", "evil.example"),
    ("From: =?utf-8?Q?ceo=40bank.example?= <a@evil.example>\r\n", "evil.example"),
    ("From: a@evil.example <a@evil.example>\r\n", "evil.example"),
    ("From: Ann L. Lee <a@evil.example>\r\n", "evil.example"),
    ("From: J\u{f6}rg <a@evil.example>\r\n", "evil.example"),
    ("From: Ann\r\n <a@evil.example>\r\n", "evil.example"),
    ("From:a@EVIL.example\r\n", "evil.example"),
    ("from: <a@mail.evil.example>\r\n", "mail.evil.example"),
    ("From: \"a b\"@evil.example\r\n", "evil.example"),
    ("From: <ceo%bank.example@evil.example>\r\n", "evil.example"),
    ("From: <\"ceo@bank.example\"@evil.example>\r\n", "evil.example"),
    ("From: <ceo@bank.example>\r\n", "bank.example"),
];

#[test]
fn one_mailbox_is_judged_as_it_is_shown() {
    let dns = zone();
    for (header, author) in CLEAR {
        let raw = by_evil(header);
        let found = judge(raw.as_bytes(), &dns);
        assert_eq!(found.dmarc.domain.as_deref(), Some(*author), "{header}: {:?}", found.dmarc);
        let expected = if author.ends_with("evil.example") { R::Pass } else { R::Fail };
        assert_eq!(found.dmarc.result, expected, "{header}");
    }
}

#[test]
fn nobody_who_is_shown_passes_for_another() {
    let dns = zone();
    let pieces = [
        "ceo@bank.example",
        "a@evil.example",
        "<",
        ">",
        "\"",
        "(",
        ")",
        ",",
        ";",
        ":",
        " ",
        "\r\n ",
        "\\",
        "@",
        "x",
        "=?utf-8?Q?",
        "?=",
        "\r\nFrom: ",
        "\0",
        "\u{2028}",
        "bank",
        ".",
    ];
    // A plain generator: the same forms each time.
    let (mut state, mut passed, mut tried) = (0x2545_f491_4f6c_dd1d_u64, 0, 0);
    for _ in 0..3_000 {
        let mut value = String::new();
        for _ in 0..2 + state % 7 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            value.push_str(pieces[(state >> 20) as usize % pieces.len()]);
        }
        if value.contains("\r\n\r\n") {
            continue;
        }
        let raw = format!("X-First: 1\r\nFrom: {value}\r\nTo: x@example.org\r\nSubject: s\r\n\r\nhello\r\n");
        let raw = by_evil_whole(&raw);
        let found = judge(raw.as_bytes(), &dns);
        tried += 1;
        if found.dmarc.result == R::Pass {
            passed += 1;
            let shown = message::view(raw.as_bytes()).from;
            assert_eq!(shown.len(), 1, "{value:?}");
            let shown = EmailAddress::parse(&shown[0].email).expect("address");
            assert_eq!(shown.domain().as_str(), "evil.example", "{value:?}");
        }
    }
    assert!(passed > 0);
    println!("From: {tried} made up forms, {passed} of them one mailbox of the signer");
}

fn by_evil_whole(raw: &str) -> String {
    signed(raw, &ED, "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=evil.example; s=e; h=from:to:subject")
}
