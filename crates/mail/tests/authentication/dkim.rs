//! DKIM, by RFC 6376, RFC 8301 and RFC 8463. A case says how a message is signed, what is changed afterwards, what the DNS
//! holds, and what must come out.

use crate::support::{ED, NOW, OTHER_RSA, RSA, Table, TestKey, judge, signed};
use postfleet_core::authentication::{AuthResult as R, DkimResult};

const MESSAGE: &str = "Received: from a by b\r\n by c\r\nFrom: Ann <ann@example.com>\r\nTo: bob@example.org\r\n\
    Subject: Quarterly   figures\r\n of the year\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nX-Twice: one\r\nX-Twice: two\r\n\
    \r\nHello  Bob,\r\n\r\n the figures \t are good. \r\n\r\n\r\n";

const BASE: &str = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=k; h=From:To:Subject:Date";

struct Case {
    name: &'static str,
    key: &'static TestKey,
    tags: String,
    change: fn(String) -> String,
    /// The record of the key; `None` for what belongs to the key.
    record: Option<String>,
    expected: R,
}

fn one(raw: &str, dns: &Table) -> DkimResult {
    let found = judge(raw.as_bytes(), dns);
    assert_eq!(found.dkim.len(), 1, "{raw}");
    found.dkim[0].clone()
}

fn zone(record: &str) -> Table {
    let mut dns = Table::default();
    dns.add(&format!("k._domainkey.example.com TXT {record}"));
    dns
}

fn rsa(name: &'static str, tags: &str, expected: R) -> Case {
    Case { name, key: &RSA, tags: tags.to_owned(), change: |raw| raw, record: None, expected }
}

fn with(tag: &str) -> String {
    format!("{BASE}; {tag}")
}

fn without(tag: &str) -> String {
    let kept: Vec<&str> = BASE.split("; ").filter(|one| !one.starts_with(tag)).collect();
    kept.join("; ")
}

fn replaced(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    BASE.replace(from, to)
}

/// What a signature says.
fn tags() -> Vec<Case> {
    let long = format!("h=From{}", ":X-Not-There".repeat(300));
    let mut cases = vec![
        rsa("relaxed and relaxed", BASE, R::Pass),
        rsa("relaxed and simple", &replaced("relaxed/relaxed", "relaxed/simple"), R::Pass),
        rsa("simple and relaxed", &replaced("relaxed/relaxed", "simple/relaxed"), R::Pass),
        rsa("simple and simple", &replaced("relaxed/relaxed", "simple/simple"), R::Pass),
        rsa("simple alone", &replaced("relaxed/relaxed", "simple"), R::Pass),
        rsa("relaxed alone means a simple body", &replaced("relaxed/relaxed", "relaxed"), R::Pass),
        rsa("no canonicalization is simple", &without("c="), R::Pass),
        rsa("another canonicalization", &replaced("relaxed/relaxed", "nofws/simple"), R::Neutral),
        rsa("another canonicalization of the body", &replaced("relaxed/relaxed", "simple/nowsp"), R::Neutral),
        rsa("no version", &without("v="), R::Neutral),
        rsa("another version", &replaced("v=1", "v=2"), R::Neutral),
        rsa("a version with a dot", &replaced("v=1", "v=1.0"), R::Neutral),
        rsa("no algorithm", &without("a="), R::Neutral),
        rsa("rsa-sha1", &replaced("rsa-sha256", "rsa-sha1"), R::Policy),
        rsa("an unknown algorithm", &replaced("rsa-sha256", "rsa-sha512"), R::Neutral),
        rsa("no domain", &without("d="), R::Neutral),
        rsa("a domain that is none", &replaced("d=example.com", "d=exa mple"), R::Neutral),
        rsa("a domain in capitals", &replaced("d=example.com", "d=Example.COM"), R::Pass),
        rsa("no selector", &without("s="), R::Neutral),
        rsa("a selector with nothing there", &replaced("s=k", "s=other"), R::Permerror),
        rsa("no list of fields", &without("h="), R::Neutral),
        rsa("an empty list of fields", &replaced("h=From:To:Subject:Date", "h="), R::Neutral),
        rsa("From is not signed", &replaced("h=From:To:Subject:Date", "h=To:Subject"), R::Permerror),
        rsa("From alone", &replaced("h=From:To:Subject:Date", "h=From"), R::Pass),
        rsa("fields in capitals", &replaced("h=From:To:Subject:Date", "h=FROM:TO"), R::Pass),
        rsa("fields with space between", &replaced("h=From:To:Subject:Date", "h=From : To :\r\n Subject"), R::Pass),
        rsa("an empty field among them", &replaced("h=From:To:Subject:Date", "h=From::To"), R::Neutral),
        rsa("a field that is not there", &replaced("h=From:To:Subject:Date", "h=From:X-None"), R::Pass),
        rsa("many fields that are not there", &replaced("h=From:To:Subject:Date", &long), R::Pass),
        rsa("a field twice that is there once", &replaced("h=From:To:Subject:Date", "h=From:From"), R::Pass),
        rsa("both of two fields", &replaced("h=From:To:Subject:Date", "h=From:X-Twice:X-Twice:X-Twice"), R::Pass),
        rsa("the last of two fields", &replaced("h=From:To:Subject:Date", "h=From:X-Twice"), R::Pass),
        rsa("a trace field", &replaced("h=From:To:Subject:Date", "h=From:Received"), R::Pass),
        rsa("identity of the domain", &with("i=@example.com"), R::Pass),
        rsa("identity with a local part", &with("i=ann@example.com"), R::Pass),
        rsa("identity below the domain", &with("i=ann@mail.example.com"), R::Pass),
        rsa("identity above the domain", &with("i=@com"), R::Permerror),
        rsa("identity of another domain", &with("i=@example.org"), R::Permerror),
        rsa("identity that only ends alike", &with("i=@notexample.com"), R::Permerror),
        rsa("identity without a domain", &with("i=ann"), R::Permerror),
        rsa("the way to the key", &with("q=dns/txt"), R::Pass),
        rsa("one of the ways to the key", &with("q=http/other:dns/txt"), R::Pass),
        rsa("another way to the key", &with("q=http/other"), R::Neutral),
        rsa("a time", &with(&format!("t={NOW}")), R::Pass),
        rsa("a time a little ahead", &with(&format!("t={}", NOW + 300)), R::Pass),
        rsa("a time too far ahead", &with(&format!("t={}", NOW + 301)), R::Policy),
        rsa("a time that is no number", &with("t=yesterday"), R::Neutral),
        rsa("a negative time", &with("t=-1"), R::Neutral),
        rsa("a time of long ago", &with("t=1"), R::Pass),
        rsa("an end to come", &with(&format!("t={}; x={}", NOW - 60, NOW + 60)), R::Pass),
        rsa("an end that has just passed", &with(&format!("x={}", NOW - 300)), R::Pass),
        rsa("an end that has passed", &with(&format!("x={}", NOW - 301)), R::Policy),
        rsa("an end before the beginning", &with(&format!("t={NOW}; x={}", NOW - 1)), R::Permerror),
        rsa("an end at the beginning", &with(&format!("t={NOW}; x={NOW}")), R::Permerror),
        rsa("an end that is no number", &with("x="), R::Neutral),
        rsa("an end beyond all numbers", &with(&format!("x={}", "9".repeat(40))), R::Pass),
        rsa("copied fields", &with("z=From:ann@example.com|To:bob"), R::Pass),
        rsa("an unknown tag", &with("zz=what ever"), R::Pass),
        rsa("a tag twice", &with("d=example.com"), R::Neutral),
        rsa("a tag without a value", &with("foo"), R::Neutral),
        rsa("an empty tag", &with(""), R::Neutral),
        rsa("a tag whose name begins with a digit", &with("1a=b"), R::Neutral),
        rsa("folds between the tags", &BASE.replace("; ", ";\r\n\t"), R::Pass),
        rsa("space around the signs", &BASE.replace('=', " = "), R::Pass),
        rsa("the whole body by length", &with("l=38"), R::Pass),
        rsa("no part of the body", &with("l=0"), R::Pass),
        rsa("a part of the body", &with("l=5"), R::Pass),
        rsa("more than the body", &with("l=3800"), R::Permerror),
        rsa("a length that is no number", &with("l=x"), R::Neutral),
    ];
    cases.push(Case {
        name: "Ed25519",
        key: &ED,
        tags: replaced("rsa-sha256", "ed25519-sha256"),
        change: |raw| raw,
        record: None,
        expected: R::Pass,
    });
    cases.push(Case {
        name: "Ed25519, simple",
        key: &ED,
        tags: "v=1; a=ed25519-sha256; d=example.com; s=k; h=from:to".to_owned(),
        change: |raw| raw,
        record: None,
        expected: R::Pass,
    });
    cases
}

/// What becomes of a message on its way.
fn changes() -> Vec<Case> {
    let changed = |name, form: &str, change, expected| Case {
        name,
        key: &RSA,
        tags: replaced("relaxed/relaxed", form),
        change,
        record: None,
        expected,
    };
    let from = |raw: String| raw.replace("ann@example.com>", "eve@example.com>");
    let fold = |raw: String| raw.replace("Quarterly   figures\r\n of", "Quarterly figures of");
    let name = |raw: String| raw.replace("\r\nSubject:", "\r\nSUBJECT :");
    let space = |raw: String| raw.replace("Hello  Bob", "Hello Bob");
    let end = |raw: String| raw.replace("are good. \r\n", "are good.\r\n");
    let lines = |raw: String| format!("{raw}\r\n\r\n");
    let more = |raw: String| format!("{raw}more\r\n");
    let line = |raw: String| raw.replace("Bob,\r\n\r\n", "Bob,\r\n");
    let top = |raw: String| format!("Received: from x by y\r\n{raw}");
    let unsigned = |raw: String| raw.replace("X-Twice: one", "X-Twice: eins");
    let added = |raw: String| raw.replace("\r\nTo:", "\r\nSubject: no\r\nTo:");
    let second = |raw: String| raw.replace("\r\nDate:", "\r\nSubject: no\r\nDate:");
    let moved = |raw: String| {
        raw.replace("To: bob@example.org\r\n", "")
            .replace("\r\nX-Twice: one", "\r\nTo: bob@example.org\r\nX-Twice: one")
    };
    let gone = |raw: String| raw.replace("To: bob@example.org\r\n", "");
    let own = |raw: String| raw.replacen("; s=k", ";\r\n  s=k", 1);
    let bare = |raw: String| raw.replace("Hello  Bob,\r\n", "Hello  Bob,\n");
    type Row = (&'static str, fn(String) -> String, R, R);
    let both: [Row; 16] = [
        ("From is changed", from, R::Fail, R::Fail),
        ("a field is folded anew", fold, R::Pass, R::Fail),
        ("a name is written anew", name, R::Pass, R::Fail),
        ("space in the body is joined", space, R::Pass, R::Fail),
        ("space at the end of a line is lost", end, R::Pass, R::Fail),
        ("empty lines at the end are added", lines, R::Pass, R::Pass),
        ("a line is added", more, R::Fail, R::Fail),
        ("an empty line is lost", line, R::Fail, R::Fail),
        ("a field is added on top", top, R::Pass, R::Pass),
        ("a field that is not signed is changed", unsigned, R::Pass, R::Pass),
        ("a second field is added before the signed one", added, R::Pass, R::Pass),
        ("a second field is added after the signed one", second, R::Fail, R::Fail),
        ("a field moves", moved, R::Pass, R::Pass),
        ("a field is lost", gone, R::Fail, R::Fail),
        ("the signature is written anew", own, R::Pass, R::Fail),
        ("a line end is broken", bare, R::Policy, R::Policy),
    ];
    both.into_iter()
        .flat_map(|(name, change, relaxed, simple)| {
            [changed(name, "relaxed/relaxed", change, relaxed), changed(name, "simple/simple", change, simple)]
        })
        .collect()
}

/// What stands in the DNS.
fn records() -> Vec<Case> {
    let record = |name, record: String, expected| Case { record: Some(record), ..rsa(name, BASE, expected) };
    let bare = RSA.record.split("p=").nth(1).expect("key").to_owned();
    let folded = format!("{} {}", &bare[..40], &bare[40..]);
    let ed = ED.record.split("p=").nth(1).expect("key").to_owned();
    vec![
        record("the key alone", format!("p={bare}"), R::Pass),
        record("no kind is RSA", format!("v=DKIM1; p={bare}"), R::Pass),
        record("another version", format!("v=DKIM2; p={bare}"), R::Permerror),
        record("a version in small letters", format!("v=dkim1; p={bare}"), R::Permerror),
        record("the version is not first", format!("k=rsa; v=DKIM1; p={bare}"), R::Permerror),
        record("an unknown kind", format!("v=DKIM1; k=dsa; p={bare}"), R::Permerror),
        record("another kind", format!("v=DKIM1; k=ed25519; p={bare}"), R::Permerror),
        record("a key of another kind", format!("v=DKIM1; k=ed25519; p={ed}"), R::Permerror),
        record("a revoked key", "v=DKIM1; p=".to_owned(), R::Permerror),
        record("no key", "v=DKIM1; k=rsa".to_owned(), R::Permerror),
        record("a key that is no Base64", "v=DKIM1; p=???".to_owned(), R::Permerror),
        record("a key that is none", "v=DKIM1; p=AAAA".to_owned(), R::Permerror),
        record("a cut key", format!("v=DKIM1; p={}", &bare[..200]), R::Permerror),
        record("another key", OTHER_RSA.record.clone(), R::Fail),
        record("space in the key", format!("v=DKIM1; p={folded}"), R::Pass),
        record("a semicolon at the end", format!("v=DKIM1; p={bare};"), R::Pass),
        record("for SHA-256", format!("v=DKIM1; h=sha256; p={bare}"), R::Pass),
        record("for SHA-256 among others", format!("v=DKIM1; h=sha1:sha256; p={bare}"), R::Pass),
        record("for SHA-1", format!("v=DKIM1; h=sha1; p={bare}"), R::Permerror),
        record("for mail", format!("v=DKIM1; s=email; p={bare}"), R::Pass),
        record("for everything", format!("v=DKIM1; s=*; p={bare}"), R::Pass),
        record("for something else", format!("v=DKIM1; s=tlsrpt; p={bare}"), R::Permerror),
        record("trying", format!("v=DKIM1; t=y; p={bare}"), R::Pass),
        record("for the very domain", format!("v=DKIM1; t=s; p={bare}"), R::Pass),
        record("with notes", format!("v=DKIM1; n=hello there; p={bare}"), R::Pass),
        record("an unknown tag", format!("v=DKIM1; zz=1; p={bare}"), R::Pass),
        record("a tag twice", format!("v=DKIM1; p={bare}; p={bare}"), R::Permerror),
        record("no list of tags", "hello".to_owned(), R::Permerror),
        record("an old tag", format!("v=DKIM1; g=*; p={bare}"), R::Pass),
        Case {
            tags: with("i=@mail.example.com"),
            ..record("for the very domain, and not below", format!("v=DKIM1; t=s; p={bare}"), R::Permerror)
        },
    ]
}

#[test]
fn table() {
    let cases = [tags(), changes(), records()].concat_all();
    let mut failed = Vec::new();
    for case in &cases {
        let raw = (case.change)(signed(MESSAGE, case.key, &case.tags));
        let found = one(&raw, &zone(case.record.as_ref().unwrap_or(&case.key.record)));
        if found.result != case.expected {
            failed.push(format!(
                "{} ({}): {:?} {}, expected {:?}",
                case.name, case.tags, found.result, found.reason, case.expected
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("DKIM: {} of {} cases", cases.len(), cases.len());
}

trait ConcatAll {
    fn concat_all(self) -> Vec<Case>;
}

impl<const N: usize> ConcatAll for [Vec<Case>; N] {
    fn concat_all(self) -> Vec<Case> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn a_part_of_the_body_proves_nothing_about_the_rest() {
    let dns = zone(&RSA.record);
    let whole = one(&signed(MESSAGE, &RSA, &with("l=38")), &dns);
    assert!(whole.is_proof() && !whole.is_partial, "{whole:?}");
    for limit in [0, 5, 37] {
        let part = one(&signed(MESSAGE, &RSA, &with(&format!("l={limit}"))), &dns);
        assert!(part.result == R::Pass && part.is_partial && !part.is_proof(), "{part:?}");
    }
    // What was whole and got longer is a part.
    let longer = one(&format!("{}more\r\n", signed(MESSAGE, &RSA, &with("l=38"))), &dns);
    assert!(longer.is_partial && !longer.is_proof(), "{longer:?}");
}

#[test]
fn every_signature_is_looked_at_by_itself() {
    let mut dns = zone(&RSA.record);
    dns.add(&format!("e._domainkey.example.com TXT {}", ED.record));
    dns.add("dead._domainkey.example.com FAIL");
    let raw = signed(MESSAGE, &RSA, BASE);
    let raw = signed(&raw, &ED, "v=1; a=ed25519-sha256; c=relaxed/simple; d=example.com; s=e; h=from:dkim-signature");
    let raw = signed(&raw, &RSA, "v=1; a=rsa-sha256; d=example.com; s=dead; h=from");
    let raw = format!("DKIM-Signature: nonsense\r\n{raw}");
    let found = judge(raw.as_bytes(), &dns).dkim;
    let results: Vec<R> = found.iter().map(|one| one.result).collect();
    assert_eq!(results, [R::Neutral, R::Temperror, R::Pass, R::Pass]);
    assert_eq!(found[2].algorithm.as_deref(), Some("ed25519-sha256"));
    assert_eq!((found[3].domain.as_deref(), found[3].selector.as_deref()), (Some("example.com"), Some("k")));
    assert_eq!(found[3].signature.as_ref().map(String::len), Some(8));
}

#[test]
fn as_many_signatures_are_looked_at_as_the_limit_says() {
    use postfleet_mail::authentication::dkim::SIGNATURES_MAX;
    let dns = zone(&ED.record);
    let tags = "v=1; a=ed25519-sha256; d=example.com; s=k; h=from";
    let signature = signed(MESSAGE, &ED, tags);
    let field = signature.strip_suffix(MESSAGE).expect("on top");
    for (number, expected) in [(SIGNATURES_MAX, SIGNATURES_MAX), (SIGNATURES_MAX + 1, SIGNATURES_MAX)] {
        let found = judge(format!("{}{MESSAGE}", field.repeat(number)).as_bytes(), &dns).dkim;
        assert_eq!(found.len(), expected);
        assert!(found.iter().all(|one| one.result == R::Pass));
    }
}

#[test]
fn a_key_that_is_being_replaced_may_stand_there_twice() {
    let mut dns = zone(&OTHER_RSA.record);
    dns.add(&format!("k._domainkey.example.com TXT {}", RSA.record));
    assert_eq!(one(&signed(MESSAGE, &RSA, BASE), &dns).result, R::Pass);
}

/// Keys of 512 and 1024 bits, made once with a tool, and what they signed.
const SHORT: [(u32, &str, &str, R); 2] = [
    (
        512,
        "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMbqR7HIZc8R1sUj8cCAkra8n/PJQYsdZ/VLl1OH6CEvFuWSfNS8kjmLR2BPCKVbdaVl5vdhEMZ/uLV9Or9k\
         YTUCAwEAAQ==",
        "RWYqjUYoH+gs0yWNHzXX3WjJ7JbCqN/9MBKUi0GvrQi3vNxem8GYlmY7FdG9K5QY2N71gLfvXYgAI7mJuamzog==",
        R::Policy,
    ),
    (
        1_024,
        "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCmKHwko3ACNsbklEj4RG/ubfgRr/kIP4HmTqSvbQAVp0XFBdBccuYxsK5/xWbqkSdJWiIDQUobS0Za\
         9WPk43jZKJrdp5zstd6VZGEQmY1i6zViIUIk7lDkhEme2hUZyCpeoxOMk/1CC3PbChsdpmx3WfEW+qLNJLCnmd5dSF98WQIDAQAB",
        "GWqja1He7qIq1Y8wluLRESWd71Obn010mrnpIjA5m7CKyMTzQ4LJqbygG5eSfUUfZNv+hyTVC9L9DCc0tprwKFGVcL90y8iLHpQtBjpo2FEO3R9pNg2x\
         wLJaI9FHi5Ds4KqGuh4bmYvQ31mIvb/mdmla+ULr1rJ+p88RkprnV6E=",
        R::Pass,
    ),
];

#[test]
fn short_keys() {
    for (bits, record, signature, expected) in SHORT {
        let raw = format!(
            "DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=k; h=from; \
             bh=RHI91NDg1Go8f6isolS2HCe2tXiflhd+gsgHAECfFTU=; b={signature}\r\nFrom: a@example.com\r\n\r\nhi\r\n"
        );
        assert_eq!(one(&raw, &zone(&format!("v=DKIM1; p={record}"))).result, expected, "{bits}");
    }
}
