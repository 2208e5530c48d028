//! Any octet that was signed, changed in any way: the signature never holds.

use crate::support::{ED, NOW, RSA, Table, judge, signed};
use postfleet_core::authentication::AuthResult as R;

const BODIES: [&str; 3] = [
    "Hello,\r\n\r\nplease pay 100 to account 12345.\r\n",
    "--b\r\nContent-Type: text/plain\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>one</p>\r\n--b--\r\n",
    "x\r\n",
];

const HEADERS: [&str; 2] = [
    "From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Payment\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n",
    "Subject: =?utf-8?Q?J=C3=B6rg?=\r\nFrom: ann@example.com\r\nTo: a@example.org,\r\n b@example.org\r\nDate: now\r\n",
];

/// Octets that are nothing but space are made alike before they are signed, and names of fields have no case: changes that
/// are none for the standard are left out here by changing octets into letters and digits of another kind only.
fn other(octet: u8, round: usize) -> u8 {
    let choices = b"0123456789!#$%&*+-/=?_{|}~";
    let choice = choices[round % choices.len()];
    if choice == octet { b'^' } else { choice }
}

#[test]
fn ten_thousand_changes() {
    let mut dns = Table::default();
    dns.add(&format!("r._domainkey.example.com TXT {}", RSA.record));
    dns.add(&format!("e._domainkey.example.com TXT {}", ED.record));
    let mut messages = Vec::new();
    for header in HEADERS {
        for body in BODIES {
            for form in ["relaxed/relaxed", "simple/simple"] {
                for (key, selector) in [(&*RSA, "r"), (&*ED, "e")] {
                    let tags = format!(
                        "v=1; a={}; c={form}; d=example.com; s={selector}; t={NOW}; h=from:to:subject:date:from",
                        key.name()
                    );
                    let raw = signed(&format!("{header}\r\n{body}"), key, &tags);
                    assert_eq!(judge(raw.as_bytes(), &dns).dkim[0].result, R::Pass);
                    messages.push(raw);
                }
            }
        }
    }
    let (mut changes, mut round) = (0, 0);
    while changes < 10_000 {
        for raw in &messages {
            // The value of `b=` is the one thing in the field that is not signed; a change of it is one of the signature.
            let at = (round * 7_919 + changes * 31) % raw.len();
            let octet = raw.as_bytes()[at];
            round += 1;
            if octet.is_ascii_whitespace() {
                continue;
            }
            let mut changed = raw.clone().into_bytes();
            changed[at] = other(octet, round);
            let found = judge(&changed, &dns);
            assert!(found.dkim.iter().all(|one| one.result != R::Pass), "octet {at} ({}) of {raw}", char::from(octet));
            changes += 1;
        }
    }
    println!("DKIM: {changes} changes of {} signed messages, none passed", messages.len());
}

#[test]
fn what_is_cut_or_added_is_noticed() {
    let mut dns = Table::default();
    dns.add(&format!("r._domainkey.example.com TXT {}", RSA.record));
    let tags = "v=1; a=rsa-sha256; c=simple/simple; d=example.com; s=r; h=from:from:to:to:subject:subject:date:date";
    let raw = signed(&format!("{}\r\n{}", HEADERS[0], BODIES[0]), &RSA, tags);
    let body = raw.find("\r\n\r\n").expect("blank line") + 4;
    for at in body + 1..raw.len() {
        // Line ends at the end are not signed.
        if !raw[at..].trim_end_matches("\r\n").is_empty() {
            assert_ne!(judge(&raw.as_bytes()[..at], &dns).dkim[0].result, R::Pass, "cut at {at}");
        }
        let added = [&raw.as_bytes()[..at], b"x", &raw.as_bytes()[at..]].concat();
        assert_ne!(judge(&added, &dns).dkim[0].result, R::Pass, "added at {at}");
    }
    for name in ["From", "To", "Subject", "Date"] {
        for at in ["From: ", "To: ", "Subject: ", "Date: "] {
            let second = raw.replacen(&format!("\r\n{at}"), &format!("\r\n{name}: other\r\n{at}"), 1);
            assert_ne!(judge(second.as_bytes(), &dns).dkim[0].result, R::Pass, "{name} before {at}");
        }
    }
}
