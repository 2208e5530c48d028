use super::*;

/// The name of this server in the tests.
const HOST: &str = "mx.acme.test";

fn host() -> Domain {
    Domain::parse(HOST).unwrap()
}

fn kept_text(raw: &str) -> String {
    let pieces = kept(raw.as_bytes(), &host());
    String::from_utf8(pieces.concat()).unwrap()
}

/// How a field may be named so that some reader takes it for the one that is meant.
fn names(name: &str) -> [String; 6] {
    [
        name.to_owned(),
        name.to_ascii_lowercase(),
        name.to_ascii_uppercase(),
        format!("{name} "),
        format!("{name}\t"),
        format!("{name} \t "),
    ]
}

/// Ways to write our name, or none, before the results.
const OURS: &[&str] = &[
    " mx.acme.test; dmarc=pass header.from=bank.test",
    "mx.acme.test;dmarc=pass",
    " mx.acme.test 1; spf=pass",
    " mx.acme.test\t1 ;\tspf=pass",
    " MX.Acme.TEST; spf=pass",
    " mx.acme.test.; spf=pass",
    "\r\n mx.acme.test; spf=pass",
    "\r\n\tmx.acme.test;\r\n\tspf=pass;\r\n\tdkim=pass",
    " \r\n \r\n mx.acme.test; spf=pass",
    " mx.acme.test\r\n ; spf=pass",
    " mx.acme.test\r\n 1\r\n ; spf=pass",
    " \"mx.acme.test\"; spf=pass",
    " \"mx.acme.test\" 1; spf=pass",
    " 'mx.acme.test'; spf=pass",
    " (a comment) mx.acme.test; spf=pass",
    " (a (nested) comment; with a semicolon) mx.acme.test (b); spf=pass",
    " (an \\) escape) mx.acme.test; spf=pass",
    " mx(a).acme(b).test; spf=pass",
    " mx. acme .test; spf=pass",
    " mx.\r\n acme.test 1; spf=pass",
    " m\u{200b}x.acme.test; spf=pass",
    " \u{feff}mx.acme.test; spf=pass",
    " \u{a0}mx.acme.test; spf=pass",
    " <mx.acme.test>; spf=pass",
    " =mx.acme.test; spf=pass",
    " =?utf-8?q?mx=2Eacme=2Etest?=; spf=pass",
    " =?us-ascii?B?bXguYWNtZS50ZXN0?= 1; spf=pass",
    " mx.acme.test",
    " mx.acme.test/1; spf=pass",
    " mx.acme.test:25; spf=pass",
    " mx.acme.test, spf=pass",
    // Names that nobody can read.
    "",
    " ",
    " ; spf=pass",
    " (mx.acme.test; spf=pass",
    " \r\n ; spf=pass",
    " \"\"; spf=pass",
];

/// Names in which ours stands, as somebody may see it who looks at a part: they go as well.
const NEAR: &[&str] = &[
    " mail.mx.acme.test; spf=pass",
    " mx.acme.test.example; spf=pass",
    " amx.acme.test; spf=pass",
    " mx.sender.test (mx.acme.test); spf=pass",
];

/// Results of others, which stay.
const THEIRS: &[&str] = &[
    " mx.sender.test; spf=pass",
    " acme.test; spf=pass",
    " mx.sender.test; spf=pass smtp.mailfrom=mx.acme.test",
    "\r\n mx.sender.test;\r\n mx.acme.test=pass",
];

#[test]
fn what_others_write_in_our_name_does_not_survive() {
    let mut forms = 0;
    for name in names("Authentication-Results") {
        for value in OURS.iter().chain(NEAR) {
            let claim = format!("{name}:{value}\r\n");
            for (before, after) in [("", "A: 1\r\n"), ("A: 1\r\n", "B: 2\r\n"), ("A: 1\r\n", "")] {
                let raw = format!("{before}{claim}{after}\r\nBody\r\n");
                assert_eq!(kept_text(&raw), format!("{before}{after}\r\nBody\r\n"), "{claim:?}");
            }
            let twice = format!("{claim}{claim}A: 1\r\n{claim}\r\n");
            assert_eq!(kept_text(&twice), "A: 1\r\n\r\n", "{claim:?}");
            forms += 1;
        }
        for value in THEIRS {
            let raw = format!("{name}:{value}\r\nA: 1\r\n\r\n");
            assert_eq!(kept_text(&raw), raw);
        }
    }
    assert!(forms >= 200, "{forms} forms");
}

#[test]
fn other_fields_that_only_we_write_do_not_survive_either() {
    for (field, stays) in [
        ("Return-Path: <boss@acme.test>", false),
        ("return-path:<>", false),
        ("X-Postfleet-Hops: 3; 1; mark", true),
        ("x-postfleet-spam: no", false),
        ("X-Postfleet-: a", false),
        ("X-Postfleet: a", true),
        ("Received-SPF: pass (x) receiver=mx.acme.test; client-ip=192.0.2.1", false),
        ("Received-SPF: pass receiver = \"MX.acme.test\"", false),
        ("Received-SPF: pass\r\n receiver=\r\n mx.acme.test", false),
        ("Received-SPF: pass receiver=mx.sender.test; identity=mailfrom", true),
        ("Received-SPF: pass (mx.acme.test: fine) receiver=mx.sender.test", false),
        ("Received-SPF: pass", false),
        ("Authentication-Results-Original: mx.acme.test; spf=pass", true),
        ("X-Authentication-Results: mx.acme.test; spf=pass", true),
        ("ARC-Authentication-Results: i=1; mx.acme.test; spf=pass", true),
        ("Received: by mx.acme.test; Fri, 21 Nov 1997 15:55:06 +0000", true),
    ] {
        let raw = format!("A: 1\r\n{field}\r\nB: 2\r\n\r\n");
        let without = "A: 1\r\nB: 2\r\n\r\n";
        assert_eq!(kept_text(&raw), if stays { raw.as_str() } else { without }, "{field}");
    }
}

#[test]
fn a_message_cannot_go_on_with_what_is_written_above_it() {
    for (raw, expected) in [
        (" dmarc=pass\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n"),
        ("\tdmarc=pass\r\n more\r\n\tand more\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n"),
        (" dmarc=pass\r\n\r\nBody\r\n", "\r\nBody\r\n"),
        (" dmarc=pass", ""),
        ("\r\n Body\r\n", "\r\n Body\r\n"),
    ] {
        assert_eq!(kept_text(raw), expected, "{raw:?}");
    }
}

#[test]
fn the_body_and_lines_that_are_no_fields_stay() {
    for raw in [
        "",
        "A: 1",
        "\r\nAuthentication-Results: mx.acme.test; spf=pass\r\n",
        "A: 1\r\n\r\nAuthentication-Results: mx.acme.test; spf=pass\r\n",
        "no colon\r\nA: 1\r\n\r\n",
        "b c: 3\r\n: 4\r\nA: 1\r\n\r\n",
    ] {
        assert_eq!(kept_text(raw), raw);
    }
}

/// Readers of the header stop at a limit; others may not.
#[test]
fn beyond_what_is_read_of_a_header_nothing_survives_either() {
    let claim = "Authentication-Results: mx.acme.test; spf=pass\r\n";
    let many = "A: 1\r\n".repeat(10_000);
    assert_eq!(kept_text(&format!("{many}{claim}\r\n")), format!("{many}\r\n"));
    let long = format!("A: {}\r\n", "x".repeat(2 << 20));
    assert_eq!(kept_text(&format!("{long}{claim}\r\n")), format!("{long}\r\n"));
    assert_eq!(kept_text(&format!("{}\r\n", claim.repeat(10_000))), "\r\n");
}

proptest::proptest! {
    #[test]
    fn any_header(raw in "((Authentication-Results|A|Received-SPF|Return-Path) ?:[ -~\r\n\t]{0,40}\r\n){0,8}\r\nBody") {
        let pieces = kept(raw.as_bytes(), &host()).concat();
        let again = kept(&pieces, &host()).concat();
        proptest::prop_assert_eq!(&pieces, &again, "nothing is left to take out");
        proptest::prop_assert!(pieces.len() <= raw.len());
    }
}
