//! Authentication-Results: what we write, and what of others must go because it pretends to be ours.

use postfleet_core::Domain;
use postfleet_core::authentication::{AuthResult as R, Authentication, DkimResult, DmarcResult, SpfResult};
use postfleet_mail::authentication::results::{Hop, field, pretended};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn written(found: &Authentication, is_null_sender: bool) -> String {
    let hop = Hop { host: "mx.ours.example", ip: "2001:db8::1".parse().expect("address"), is_null_sender };
    String::from_utf8(field(&hop, found)).expect("ASCII")
}

#[test]
fn what_is_written() {
    assert_eq!(written(&Authentication::default(), false), "Authentication-Results: mx.ours.example; none\r\n");
    let spf =
        |result, domain: &str, reason: &str| SpfResult { result, domain: some(domain), reason: reason.to_owned() };
    let found = Authentication {
        is_local: false,
        spf: spf(R::Permerror, "example.com", "mistake in \"a:\""),
        helo: spf(R::Pass, "mx.example.com", ""),
        dkim: vec![
            DkimResult {
                result: R::Pass,
                domain: some("example.com"),
                selector: some("k"),
                algorithm: some("rsa-sha256"),
                signature: some("ab+/12cd"),
                ..DkimResult::default()
            },
            DkimResult { result: R::Neutral, reason: "a= is not known".to_owned(), ..DkimResult::default() },
        ],
        dmarc: DmarcResult {
            result: R::Pass,
            domain: some("example.com"),
            policy: some("reject"),
            ..DmarcResult::default()
        },
        arc: R::Pass,
        arc_sealers: vec!["a.example".to_owned(), "b.example".to_owned()],
        arc_reason: String::new(),
        iprev: R::Pass,
        client_name: some("mx.example.com"),
        aligned_domain: some("example.com"),
    };
    assert_eq!(
        written(&found, false),
        "Authentication-Results: mx.ours.example;\r\n dkim=pass\r\n  header.d=example.com\r\n  header.s=k\r\n  \
         header.a=rsa-sha256\r\n  header.b=\"ab+/12cd\";\r\n dkim=neutral reason=\"a= is not known\";\r\n \
         spf=permerror reason=\"mistake in \\\"a:\\\"\"\r\n  smtp.mailfrom=example.com;\r\n spf=pass\r\n  \
         smtp.helo=mx.example.com;\r\n dmarc=pass (p=reject dis=none)\r\n  header.from=example.com;\r\n \
         arc=pass (i=2 d=b.example);\r\n iprev=pass\r\n  policy.iprev=\"2001:db8::1\"\r\n"
    );
    assert!(!written(&found, true).contains("smtp.mailfrom"));
    let hostile = Authentication { spf: spf(R::Pass, "x;\r\nBcc: a", "a\r\nb\u{e9}"), ..Authentication::default() };
    let text = written(&hostile, false);
    assert_eq!(text.matches("\r\n").count(), 3, "{text}");
    assert!(text.contains("smtp.mailfrom=\"x;Bcc: a\"") && text.contains("reason=\"ab\""), "{text}");
}

fn removed(raw: &str) -> Vec<&str> {
    let host = Domain::parse("mx.ours.example").expect("domain");
    pretended(raw.as_bytes(), &host).into_iter().map(|range| &raw[range]).collect()
}

#[test]
fn what_pretends_to_be_ours_goes() {
    let names = [
        "Authentication-Results",
        "authentication-results",
        "AUTHENTICATION-RESULTS",
        "Authentication-Results ",
        "Authentication-Results\t",
    ];
    let hosts = [
        "mx.ours.example",
        "MX.Ours.Example",
        "mx.ours.example.",
        "\"mx.ours.example\"",
        "mx.ours.example 1",
        "mx.ours.example/1",
        "(comment) mx.ours.example",
        "mx.ours.example (comment)",
        "(a;b) mx.ours.example",
        "((a)b) \"mx.ours.example\"",
        "\r\n mx.ours.example",
        "\r\n\tmx.ours.example\r\n ",
        "mx.(x)ours.example",
        "\"mx\\.ours.example\"",
        "mx .ours .example",
        "mx.\r\n ours.example",
        "=?utf-8?Q?mx=2Eours=2Eexample?=",
        "\u{ff4d}\u{ff58}.ours.example",
        "mx\u{3002}ours\u{3002}example",
        "mx.ours\0.example",
        "(unclosed mx.ours.example",
        "\"unclosed mx.ours.example",
        "x) mx.ours.example",
        "evil.example mx.ours.example",
    ];
    let ends = [
        "; spf=pass smtp.mailfrom=a@b.example",
        ";dmarc=pass header.from=bank.example",
        ";\r\n dkim=pass\r\n  header.d=bank.example",
    ];
    let mut count = 0;
    for name in names {
        for host in hosts {
            for end in ends {
                let forged = format!("{name}: {host}{end}\r\n");
                let raw = format!(
                    "Received: a\r\n{forged}From: a@b.example\r\n\r\nAuthentication-Results: mx.ours.example; x\r\n"
                );
                assert_eq!(removed(&raw), [forged.as_str()], "{forged:?}");
                count += 1;
            }
        }
    }
    for forged in [
        "Received-SPF: pass (mx.ours.example: domain designates) receiver=mx.ours.example\r\n",
        "Received-SPF: pass\r\n",
        "received-spf : Pass receiver=MX.OURS.example;\r\n",
        "X-Postfleet-Trusted: yes\r\n",
        "x-postfleet-Spam : no\r\n",
        "\u{feff}Authentication-Results: mx.ours.example; spf=pass\r\n",
    ] {
        let raw = format!("{forged}From: a@b.example\r\n\r\n");
        assert_eq!(removed(&raw), [forged], "{forged:?}");
        count += 1;
    }
    println!("Authentication-Results: {count} of {count} forged forms removed");
    assert!(count >= 200);
}

#[test]
fn what_others_say_in_their_own_name_stays() {
    for kept in [
        "Authentication-Results: mx.other.example; spf=pass",
        "Authentication-Results: other.example 1; none",
        "Authentication-Results: other.example; spf=pass smtp.mailfrom=mx.ours.example",
        "ARC-Authentication-Results: i=1; mx.ours.example; spf=pass",
        "Received-SPF: pass receiver=mx.other.example; client-ip=192.0.2.1",
        "X-Postfleet-Hops: 2; 1772445600; cd",
        "Subject: Authentication-Results: mx.ours.example; spf=pass",
        "X-Other: 1\r\n Authentication-Results: mx.ours.example; spf=pass",
    ] {
        let raw = format!("{kept}\r\nFrom: a@b.example\r\n\r\n");
        assert_eq!(removed(&raw), Vec::<&str>::new(), "{kept}");
    }
    assert_eq!(removed(""), Vec::<&str>::new());
}
