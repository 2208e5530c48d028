//! Addresses, from the standards: RFC 5321 §4.1.2 (what is said in an envelope), RFC 5322 §3.4.1 (what a header has), RFC
//! 6531 §3.3 and RFC 6532 §3.2 (other scripts), RFC 5890 (names of domains). For each text the spelling under which it is
//! kept, or that it is none. Where we are narrower or wider than the standard, the table says so.

use postfleet_core::EmailAddress;

/// A text, and how it is kept; nothing if it is refused.
type Case = (&'static str, Option<&'static str>);

const fn same(text: &'static str) -> Case {
    (text, Some(text))
}

const fn kept(text: &'static str, normal: &'static str) -> Case {
    (text, Some(normal))
}

const fn none(text: &'static str) -> Case {
    (text, None)
}

/// RFC 5321 §4.1.2 `Dot-string`, RFC 5322 §3.2.3 `atext`.
const DOT_STRINGS: &[Case] = &[
    same("a@example.com"),
    same("first.last@example.com"),
    same("a.b.c.d.e.f@example.com"),
    same("user+tag@example.com"),
    same("user-name@example.com"),
    same("user_name@example.com"),
    same("0@example.com"),
    same("0123456789@example.com"),
    same("!@example.com"),
    same("#@example.com"),
    same("$@example.com"),
    same("%@example.com"),
    same("&@example.com"),
    same("'@example.com"),
    same("*@example.com"),
    same("+@example.com"),
    same("-@example.com"),
    same("/@example.com"),
    same("=@example.com"),
    same("?@example.com"),
    same("^@example.com"),
    same("_@example.com"),
    same("`@example.com"),
    same("{@example.com"),
    same("|@example.com"),
    same("}@example.com"),
    same("~@example.com"),
    same("!#$%&'*+-/=?^_`{|}~@example.com"),
    same("o'brien@example.com"),
    same("department/shipping@example.com"),
    same("customer=a@example.com"),
    same("a%b@example.com"),
    same("a!b@example.com"),
    same("SRS0=abcd=ef=example.net=ann@example.com"),
    same("bounces+ann=example.net@example.com"),
    // The spelling of the local part is the owner's.
    same("First.Last@example.com"),
    none(""),
    none("@"),
    none("a"),
    none("example.com"),
    none("@example.com"),
    none("a@"),
    none(".@example.com"),
    none(".a@example.com"),
    none("a.@example.com"),
    none("a..b@example.com"),
    none("a...b@example.com"),
    none("a b@example.com"),
    none(" a@example.com"),
    none("a @example.com"),
    none("a@ example.com"),
    none("a@example.com "),
    none("a@example. com"),
    none("a\t@example.com"),
    none("a,b@example.com"),
    none("a;b@example.com"),
    none("a:b@example.com"),
    none("a<b@example.com"),
    none("a>b@example.com"),
    none("a(b@example.com"),
    none("a)b@example.com"),
    none("a[b@example.com"),
    none("a]b@example.com"),
    none("a\\b@example.com"),
    none("a\"b@example.com"),
    none("a@b@example.com"),
    none("a@@example.com"),
    none("<a@example.com>"),
    none("mailto:a@example.com"),
    none("Ann <a@example.com>"),
    none("a@example.com,b@example.com"),
    // RFC 5322 §3.4.1 allows comments and folding in a header; a mailbox has none (RFC 5321 §4.1.2).
    none("a(comment)@example.com"),
    none("(comment)a@example.com"),
    none("a@(comment)example.com"),
    none("a@example.com(comment)"),
    none("a\r\n @example.com"),
    none("a@\r\n example.com"),
];

/// RFC 5321 §4.1.2 `Quoted-string`: quotes that are needed stay, others go, and so do needless backslashes.
const QUOTED_STRINGS: &[Case] = &[
    same("\"a b\"@example.com"),
    same("\" \"@example.com"),
    same("\" a\"@example.com"),
    same("\"a@b\"@example.com"),
    same("\"a@b.example\"@example.com"),
    same("\".a\"@example.com"),
    same("\"a.\"@example.com"),
    same("\"a..b\"@example.com"),
    same("\".\"@example.com"),
    same("\"a,b\"@example.com"),
    same("\"a;b\"@example.com"),
    same("\"a:b\"@example.com"),
    same("\"a<b\"@example.com"),
    same("\"a>b\"@example.com"),
    same("\"a(b\"@example.com"),
    same("\"a)b\"@example.com"),
    same("\"a[b]\"@example.com"),
    same("\"a\\\"b\"@example.com"),
    same("\"a\\\\b\"@example.com"),
    same("\"\\\"\"@example.com"),
    same("\"\\\\\"@example.com"),
    kept("\"a\"@example.com", "a@example.com"),
    kept("\"a.b\"@example.com", "a.b@example.com"),
    kept("\"a+b\"@example.com", "a+b@example.com"),
    kept("\"\\a\"@example.com", "a@example.com"),
    kept("\"\\a\\.\\b\"@example.com", "a.b@example.com"),
    kept("\"a\\ b\"@example.com", "\"a b\"@example.com"),
    kept("\"a\\@b\"@example.com", "\"a@b\"@example.com"),
    kept("\"a\\,b\"@example.com", "\"a,b\"@example.com"),
    // §4.1.2 lets it be empty; nobody has such a mailbox.
    none("\"\"@example.com"),
    none("\"@example.com"),
    none("\"a@example.com"),
    none("a\"@example.com"),
    none("\"a\\\"@example.com"),
    none("\"a\"b\"@example.com"),
    none("\"a\"b@example.com"),
    none("a\"b\"@example.com"),
    none("\"a\" @example.com"),
    none("\"\\\"@example.com"),
    none("\"a\\\u{7}\"@example.com"),
    none("\"a\u{0}b\"@example.com"),
    none("\"a\tb\"@example.com"),
    none("\"a\rb\"@example.com"),
    none("\"a\nb\"@example.com"),
    none("\"a\r\n b\"@example.com"),
    none("\"a\u{7f}b\"@example.com"),
    // RFC 5322 §4.4 has mixed words among what is obsolete.
    none("\"a\".b@example.com"),
    none("a.\"b\"@example.com"),
    none("\"a\".\"b\"@example.com"),
];

/// RFC 5321 §4.1.2 `Domain` and §4.1.3 literals, RFC 1035 §2.3.1, RFC 5890 §2.3.
const DOMAINS: &[Case] = &[
    same("a@b.example"),
    same("a@sub.sub.sub.example.com"),
    same("a@example-one.com"),
    same("a@a--b.example"),
    same("a@0.example"),
    same("a@123.456.example"),
    same("a@3com.example"),
    same("a@xn--mller-kva.example"),
    // One label is a domain by its form (§2.3.5 would have it resolve).
    same("a@localhost"),
    kept("a@EXAMPLE.COM", "a@example.com"),
    kept("A@Example.Com", "A@example.com"),
    kept("a@XN--MLLER-KVA.example", "a@xn--mller-kva.example"),
    // §4.1.2 has no dot at the end; names are the same with it.
    kept("a@example.com.", "a@example.com"),
    // §4.1.2 has no underscore; there are hosts that have.
    same("a@under_score.example"),
    none("a@."),
    none("a@.example.com"),
    none("a@example..com"),
    none("a@example.com.."),
    none("a@-example.com"),
    none("a@example-.com"),
    none("a@example.-com"),
    none("a@example.com-"),
    none("a@exa mple.com"),
    none("a@exam!ple.com"),
    none("a@exam+ple.com"),
    none("a@exam/ple.com"),
    none("a@exam%ple.com"),
    none("a@exam'ple.com"),
    none("a@exam\"ple.com"),
    none("a@\"example.com\""),
    none("a@example,com"),
    none("a@example.com:25"),
    none("a@example.com/path"),
    none("a@example.com\0"),
    none("a@example.com\u{0}.evil.example"),
    none("a@example.com\r\n"),
    none("a@example.com\r\nRCPT TO:<b@evil.example>"),
    // Literals (§4.1.3) are refused: a mailbox belongs to a domain here.
    none("a@[192.0.2.1]"),
    none("a@[IPv6:2001:db8::1]"),
    none("a@[2001:db8::1]"),
    none("a@[]"),
    none("a@[192.0.2.256]"),
    none("a@[General-tag:x]"),
    none("a@2001:db8::1"),
    // Source routes (RFC 5321 §4.1.2 `A-d-l`, appendix C).
    none("@relay.example:a@example.com"),
    none("@one.example,@two.example:a@example.com"),
];

/// Other scripts: RFC 6531 §3.3 lets local parts have UTF-8, and domains are kept as A-labels (RFC 5891 §5).
const INTERNATIONAL: &[Case] = &[
    same("müller@example.com"),
    same("юзер@example.com"),
    same("用户@example.com"),
    same("उपयोगकर्ता@example.com"),
    same("ユーザー@example.com"),
    same("משתמש@example.com"),
    same("مستخدم@example.com"),
    same("χρήστης@example.com"),
    same("😀@example.com"),
    same("a.é.b@example.com"),
    same("MÜLLER@example.com"),
    same("\"é b\"@example.com"),
    kept("\"é\"@example.com", "é@example.com"),
    // Joiners are part of some scripts.
    same("می\u{200c}خواهم@example.com"),
    kept("a@müller.example", "a@xn--mller-kva.example"),
    kept("a@MÜLLER.example", "a@xn--mller-kva.example"),
    kept("a@例え.example", "a@xn--r8jz45g.example"),
    kept("a@пример.example", "a@xn--e1afmkfd.example"),
    kept("用户@例子.example", "用户@xn--fsqu00a.example"),
    // RFC 5895 §2: wide letters and the ideographic full stop are what they look like.
    kept("a@ｅｘａｍｐｌｅ.com", "a@example.com"),
    kept("a@example。com", "a@example.com"),
    none("é.@example.com"),
    none(".é@example.com"),
    none("é..é@example.com"),
    none("é é@example.com"),
    none("é\u{a0}é@example.com"),
    none("é\u{2003}é@example.com"),
    none("é\u{3000}é@example.com"),
    none("é\u{2028}é@example.com"),
    none("é\u{85}é@example.com"),
    none("é\u{9b}é@example.com"),
    none("\"a\\é\"@example.com"),
    none("a@mü ller.example"),
    none("a@mül_ler\u{2028}.example"),
    none("a@\u{301}.example..com"),
    // What is not seen, or turns around what is.
    none("a\u{ad}b@example.com"),
    none("a\u{200b}b@example.com"),
    none("a\u{200e}b@example.com"),
    none("a\u{200f}b@example.com"),
    none("a\u{202e}b@example.com"),
    none("a\u{2060}b@example.com"),
    none("a\u{2066}b\u{2069}@example.com"),
    none("\u{feff}a@example.com"),
    none("a\u{fffe}@example.com"),
    none("a\u{e0061}@example.com"),
    none("\"a\u{202e}b\"@example.com"),
];

/// RFC 2047 §5: an encoded word is none in an address, and must not become another one in whoever decodes it.
const ENCODED_WORDS: &[Case] = &[
    none("=?utf-8?q?ann?=@example.com"),
    none("=?utf-8?q?ann=40bank.example=3e?=x@example.com"),
    none("=?iso-8859-1?q?=61=62=63?=ann@example.com"),
    none("ann=?utf-8?b?QA==?=x@example.com"),
    none("=?x?q?=41?=@example.com"),
    none("=?utf-7?q?&AGE-?=@example.com"),
    none("\"=?utf-8?q?ann?=\"@example.com"),
    none("=??=@example.com"),
    // The signs by themselves are letters like others.
    same("a=?b@example.com"),
    same("a?=b@example.com"),
    same("?=a=?@example.com"),
];

#[test]
fn each_text_is_an_address_or_is_not() {
    let tables = [
        ("dot strings", DOT_STRINGS),
        ("quoted strings", QUOTED_STRINGS),
        ("domains", DOMAINS),
        ("other scripts", INTERNATIONAL),
        ("encoded words", ENCODED_WORDS),
    ];
    let (mut cases, mut wrong) = (0, Vec::new());
    for (name, table) in tables {
        for (text, expected) in table {
            let parsed = EmailAddress::parse(text).ok();
            let normal = parsed.as_ref().map(ToString::to_string);
            if normal.as_deref() != *expected {
                wrong.push(format!("{name}: {text:?} is {normal:?} and should be {expected:?}"));
            }
            // What is kept is an address, the same one.
            if let Some(address) = parsed {
                assert_eq!(EmailAddress::parse(&address.to_string()), Ok(address), "{text:?}");
            }
            cases += 1;
        }
    }
    cases += lengths(&mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases >= 200, "{cases}");
    println!("{cases} addresses");
}

/// RFC 5321 §4.5.3.1: 64 octets of local part, 255 of domain (253 that are seen), 256 of path with its brackets.
fn lengths(wrong: &mut Vec<String>) -> usize {
    let local = |octets: usize| "a".repeat(octets);
    let domain = |octets: usize| {
        let labels = [local(63), local(63), local(63), local(63)].join(".");
        labels[labels.len() - octets..].trim_start_matches('.').to_owned()
    };
    let cases = [
        (format!("{}@example.com", local(64)), true),
        (format!("{}@example.com", local(65)), false),
        // With the quotes, as it is on the wire.
        (format!("\" {}\"@example.com", local(61)), true),
        (format!("\" {}\"@example.com", local(62)), false),
        // Octets, and not letters.
        (format!("{}@example.com", "é".repeat(32)), true),
        (format!("{}@example.com", "é".repeat(33)), false),
        (format!("a@{}.example", local(63)), true),
        (format!("a@{}.example", local(64)), false),
        (format!("a@{}", domain(252)), true),
        (format!("ab@{}", domain(252)), false),
        (format!("{}@{}", local(64), domain(189)), true),
        (format!("{}@{}", local(64), domain(190)), false),
        (format!("a@{}", "a.".repeat(126) + "a"), false),
        (format!("a@{}", "é".repeat(2_000)), false),
        (format!("{}@{}", local(10_000), local(10_000)), false),
    ];
    for (text, is_address) in &cases {
        if EmailAddress::parse(text).is_ok() != *is_address {
            wrong.push(format!("{} octets: {text:?} should be {is_address}", text.len()));
        }
    }
    cases.len()
}

/// RFC 5321 §2.4: local parts differ by case for others; here the mailbox is the same, in every script.
#[test]
fn spellings_of_one_mailbox() {
    for (one, other) in [
        ("Ann@Example.com", "ann@example.COM"),
        ("\"ann\"@example.com", "ANN@example.com"),
        ("\"a b\"@example.com", "\"A\\ B\"@EXAMPLE.com"),
        ("MÜLLER@example.com", "müller@example.com"),
        ("a@MÜLLER.example", "a@xn--mller-kva.example"),
        ("a@example.com.", "a@example.com"),
    ] {
        let key = |text: &str| EmailAddress::parse(text).expect("an address").key();
        assert_eq!(key(one), key(other), "{one} and {other}");
    }
    let international = |text: &str| EmailAddress::parse(text).expect("an address").is_internationalized();
    // Only the local part asks for SMTPUTF8: a domain has an ASCII form (RFC 6531 §3.2).
    assert!(international("müller@example.com") && !international("a@müller.example"));
}
