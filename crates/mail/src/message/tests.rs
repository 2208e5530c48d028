use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// A message with each `\n` as CRLF.
fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

fn person(name: &str, email: &str) -> Participant {
    Participant { name: name.into(), email: email.into() }
}

/// Checks the body and the attachments (number, name, type, size) of a message.
fn check(raw: &[u8], expected_body: &str, attachments: &[(u32, &str, &str, u64)], defects: &[Defect]) {
    let view = view(raw);
    let found: Vec<_> = view
        .attachments
        .iter()
        .map(|one| (one.index, one.filename.as_str(), one.content_type.as_str(), one.size))
        .collect();
    let text = String::from_utf8_lossy(raw);
    assert_eq!(body(raw), expected_body, "{text}");
    assert_eq!(found, attachments, "{text}");
    assert_eq!(view.defects, defects, "{text}");
    for one in &view.attachments {
        let (meta, content) = attachment(raw, one.index).unwrap();
        assert_eq!((&meta, content.len() as u64), (one, one.size));
    }
}

#[test]
fn a_whole_view() {
    let raw = crlf(
        "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID:\n <one@example.com>\n\
         In-Reply-To: Your message <p@x> of today\nReferences: <r1@x>\n\t<r2@x> <p@x>\n\
         From: =?utf-8?Q?J=C3=B6rg?= <j@example.com>\nTo: Ann <ann@example.net>, team: b@c.example, D <d@e.example>;\n\
         Cc: \"Doe, John\" <john@example.net>\nBcc: hidden@example.net\nReply-To: <reply@example.com>\n\
         Subject: =?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?B?IQ==?=\n and more\nDate: Fri, 21 Nov 1997 09:55:06 -0600\n\
         Auto-Submitted: auto-generated; x=y\n\nHello   there,\n\n this is\ttext.\n",
    );
    assert_eq!(
        view(&raw),
        MessageView {
            message_id: Some("one@example.com".into()),
            in_reply_to: vec!["p@x".into()],
            references: vec!["r1@x".into(), "r2@x".into(), "p@x".into()],
            subject: "Grüße! and more".into(),
            from: vec![person("Jörg", "j@example.com")],
            to: vec![person("Ann", "ann@example.net"), person("", "b@c.example"), person("D", "d@e.example")],
            cc: vec![person("Doe, John", "john@example.net")],
            bcc: vec![person("", "hidden@example.net")],
            reply_to: vec![person("", "reply@example.com")],
            date: Some(UnixMicros::from_seconds(880_127_706)),
            snippet: "Hello there, this is text.".into(),
            attachments: vec![],
            auto_submitted: true,
            automation: crate::automation::automation(&raw),
            defects: vec![],
        }
    );
    assert_eq!(body(&raw), "Hello   there,\r\n\r\n this is\ttext.\r\n");
    let headers = headers(&raw);
    assert_eq!(headers.len(), 12);
    assert_eq!(headers[1], ("Message-ID".into(), "<one@example.com>".into()));
    assert_eq!(headers[9].1, "=?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?B?IQ==?= and more");
}

#[test]
fn nothing_at_all() {
    for raw in ["", "\r\n", "\n\n", "\0", "no header", ":", " "] {
        let view = view(raw.as_bytes());
        assert!(view.defects.contains(&Defect::MissingFrom), "{raw:?}");
        assert!(view.attachments.is_empty());
    }
    assert_eq!(body(b"\r\nonly a body"), "only a body");
    assert_eq!(headers(b"\r\nX: 1"), []);
    assert_eq!(attachment(b"From: a@b\r\n\r\nx", 0), None);
    assert_eq!(attachment(b"", u32::MAX), None);
}

#[test]
fn raw_header_charsets() {
    for (subject, expected) in [
        (b"h\xc3\xa9llo".as_slice(), "héllo"),
        (b"h\xe9llo", "héllo"),
        (b"=?shift_jis?B?k/qWew==?=", "日本"),
        (b"=?koi8-r?Q?=F0=D2=C9=D7=C5=D4?=", "Привет"),
        (b"=?utf-8?B?5pel?=\r\n =?utf-8?B?5pys?=", "日本"),
        (b"nul\0s", "nuls"),
        (b"", ""),
    ] {
        let raw = [b"From: J\xf6rg <a@b>\r\nSubject: ".as_slice(), subject, b"\r\n\r\n"].concat();
        assert_eq!(view(&raw).subject, expected);
        assert_eq!(view(&raw).from, [person("Jörg", "a@b")]);
    }
}

#[test]
fn body_charsets_and_encodings() {
    for (charset, encoding, content, expected) in [
        ("iso-8859-1", "8bit", b"caf\xe9".as_slice(), "café"),
        ("windows-1252", "quoted-printable", b"=93hi=94", "“hi”"),
        ("Shift_JIS", "base64", b"k/qWew==", "日本"),
        ("koi8-r", "8bit", b"\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"),
        ("utf-8", "Base64", b"aMOp", "hé"),
        ("utf-8", "x-unknown", b"h\xc3\xa9", "hé"),
        ("no-such", "7bit", b"caf\xe9", "café"),
        ("utf-8", "7bit", b"a\0b", "ab"),
    ] {
        let header = format!(
            "From: a@b\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        let raw = [header.as_bytes(), content].concat();
        assert_eq!(body(&raw), expected);
        assert_eq!(plain_text(&raw), expected);
        assert_eq!(view(&raw).snippet, expected);
    }
}

#[test]
fn structures() {
    let alternative = "Content-Type: multipart/alternative; boundary=alt\n\n--alt\nContent-Type: text/plain\n\nplain\n\
        --alt\nContent-Type: text/html\n\n<b>html</b>\n--alt--\n";
    check(&crlf(&format!("From: a@b\n{alternative}")), "<b>html</b>", &[], &[]);
    assert_eq!(plain_text(&crlf(&format!("From: a@b\n{alternative}"))), "plain");

    let mixed = format!(
        "From: a@b\nContent-Type: multipart/mixed; boundary=\"mix ed\"\n\npreamble\n--mix ed\n{alternative}--mix ed \n\
         Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\naGVs\nbG8=\n--mix ed\n\
         Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=in\n\n--in\n\ninner\n\
         --in--\n--mix ed\nContent-Disposition: attachment; filename*=utf-8''%E2%82%AC.txt\n\ntext\n--mix ed--\nepilogue\n"
    );
    check(
        &crlf(&mixed),
        "<b>html</b>",
        &[(4, "a.pdf", "application/pdf", 5), (5, "", "message/rfc822", 83), (6, "€.txt", "text/plain", 4)],
        &[],
    );
    // The same with bare line feeds.
    assert_eq!(body(mixed.as_bytes()), "<b>html</b>");
    assert_eq!(view(mixed.as_bytes()).attachments.len(), 3);

    let related = "From: a@b\nContent-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n\
        <img src=cid:i>\n--r\nContent-Type: image/png\nContent-ID: <i>\n\nxyz\n--r--\n";
    check(&crlf(related), "<img src=cid:i>", &[(2, "", "image/png", 3)], &[]);
    let meta = &view(&crlf(related)).attachments[0];
    assert!(meta.is_inline && meta.content_id.as_deref() == Some("i") && meta.disposition.is_none());

    let several = "From: a@b\nContent-Type: multipart/mixed; boundary=m\n\n--m\n\nfirst\n--m\nContent-Type: image/png\n\nx\n\
        --m\n\nsecond\n--m--\n";
    check(&crlf(several), "first\nsecond", &[(2, "", "image/png", 1)], &[]);

    let footer = "From: a@b\nContent-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: text/html\n\n<p>x</p>\n--m\n\n\
        <list> footer\n--m--\n";
    check(&crlf(footer), "<p>x</p>\n<pre>&lt;list&gt; footer</pre>", &[], &[]);

    let digest = "From: a@b\nContent-Type: multipart/digest; boundary=m\n\n--m\n\nSubject: x\n\ny\n--m--\n";
    check(&crlf(digest), "", &[(1, "", "message/rfc822", 15)], &[]);

    let only_file = "From: a@b\nContent-Type: image/png; name=x.png\nContent-Transfer-Encoding: base64\n\nAQID\n";
    check(&crlf(only_file), "", &[(0, "x.png", "image/png", 3)], &[]);
}

#[test]
fn broken_structures() {
    let raw = "From: a@b\nContent-Type: multipart/mixed; boundary=m\n\n--m\n\nfirst\n--m\n\nno end";
    check(&crlf(raw), "first\nno end", &[], &[Defect::UnclosedMultipart]);
    let raw = "From: a@b\nContent-Type: multipart/mixed; boundary=m\n\nnever\n--mm\nthere\n";
    check(&crlf(raw), "never\r\n--mm\r\nthere\r\n", &[], &[Defect::MissingBoundary]);
    let raw = "From: a@b\nContent-Type: multipart/mixed\n\n--m\ntext\n";
    check(&crlf(raw), "--m\r\ntext\r\n", &[], &[Defect::MissingBoundary]);
    // The inner multipart is cut off by a line of the outer one.
    let raw = "From: a@b\nContent-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n\
        --i\n\ninner\n--o\n\nouter\n--i\n--o--\n";
    check(&crlf(raw), "inner\nouter\r\n--i", &[], &[Defect::UnclosedMultipart]);
    // A part that ends before its header does.
    let raw = "From: a@b\nContent-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: text/html\n--m\n\nx\n--m--\n";
    check(&crlf(raw), "x", &[], &[]);
    // A boundary that begins like another one.
    let raw = "From: a@b\nContent-Type: multipart/mixed; boundary=foo\n\n--foo\nContent-Type: multipart/mixed; boundary=foobar\n\n\
        --foobar\n\nx\n--foobar--\n--foo\n\ny\n--foo--\n";
    check(&crlf(raw), "x\ny", &[], &[Defect::OverlappingBoundaries]);
    let raw =
        "From: a@b\nContent-Type: multipart/mixed; boundary=m\nContent-Transfer-Encoding: base64\n\n--m\n\nx\n--m--\n";
    check(&crlf(raw), "x", &[], &[Defect::EncodedMultipart]);
    let raw = "From: a@b\nContent-Type: nonsense\nContent-Type: text/html\n\nx";
    check(&crlf(raw), "x", &[], &[Defect::DuplicateHeader, Defect::MalformedContentType]);
    let raw = "From: a@b\nFrom: c@d\nSubject: 1\nSubject: 2\nnot a field\n\nx";
    check(&crlf(raw), "x", &[], &[Defect::MalformedHeader, Defect::DuplicateHeader, Defect::SeveralSenders]);
    assert_eq!(view(&crlf(raw)).from.len(), 2);
    assert_eq!(view(&crlf(raw)).subject, "1");
}

#[test]
fn file_names() {
    for (disposition, name, expected) in [
        ("attachment; filename=\"a b.txt\"", "", "a b.txt"),
        ("attachment; filename*0*=utf-8''%E2%82; filename*1*=%AC; filename*2=\".txt\"", "", "€.txt"),
        ("attachment; filename=\"=?utf-8?B?4oKsLnR4dA==?=\"", "", "€.txt"),
        ("attachment", "; name=\"x.txt\"", "x.txt"),
        ("attachment; filename=d.txt", "; name=\"x.txt\"", "d.txt"),
        ("attachment; filename=\"../../etc/passwd\"", "", "../../etc/passwd"),
        ("attachment; filename*=utf-8''a%0D%0Ab%00.txt", "", "ab.txt"),
        ("attachment; filename=h\u{e9}.txt", "", "hé.txt"),
        ("attachment", "", ""),
    ] {
        let raw = format!("From: a@b\r\nContent-Type: text/plain{name}\r\nContent-Disposition: {disposition}\r\n\r\nx");
        let view = view(raw.as_bytes());
        assert_eq!(view.attachments[0].filename, expected, "{disposition}");
        assert_eq!(view.attachments[0].disposition.as_deref(), Some("attachment"));
    }
    let raw = format!("From: a@b\r\nContent-Disposition: attachment; filename={}\r\n\r\nx", "é".repeat(300));
    assert_eq!(view(raw.as_bytes()).attachments[0].filename.chars().count(), 255);
}

#[test]
fn message_ids() {
    for (value, expected) in [
        ("<a@b>", vec!["a@b"]),
        (" < a @b\t> ", vec!["a@b"]),
        ("<a@b><c@d>", vec!["a@b", "c@d"]),
        ("a@b c@d", vec!["a@b", "c@d"]),
        ("<unclosed", vec!["unclosed"]),
        ("no id", vec![]),
        ("<>", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(ids(value), expected, "{value}");
    }
}

#[test]
fn automatic_mail() {
    for (value, expected) in
        [("auto-replied", true), ("Auto-Generated (x)", true), ("no", false), ("NO ; x", false), ("", false)]
    {
        assert_eq!(view(format!("Auto-Submitted: {value}\r\n\r\n").as_bytes()).auto_submitted, expected, "{value}");
    }
}

#[test]
fn snippets() {
    let html = |body: &str| format!("From: a@b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{body}");
    let style = "x{color:red}".repeat(3_000);
    for (raw, expected) in [
        (html("<p>Hi &amp; <b>bye</b></p>"), "Hi & bye".to_owned()),
        (html(&format!("<style>{style}</style><p>late</p>")), "late".to_owned()),
        (html(&"wörter ".repeat(10_000)), "wörter ".repeat(15).chars().take(100).collect()),
        (format!("From: a@b\r\n\r\n{}", "é".repeat(2_000)), "é".repeat(100)),
        (format!("From: a@b\r\n\r\n{}x", " \r\n".repeat(2_000)), "x".to_owned()),
    ] {
        assert_eq!(view(raw.as_bytes()).snippet, expected);
    }
}

#[test]
fn limits() {
    let nested = |depth: usize| {
        let mut raw = String::from("From: a@b\r\n");
        for level in 0..depth {
            raw.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level:03}\r\n\r\n--b{level:03}\r\n"));
        }
        raw.push_str("\r\ndeep");
        for level in (0..depth).rev() {
            raw.push_str(&format!("\r\n--b{level:03}--"));
        }
        raw
    };
    check(nested(NESTING_MAX).as_bytes(), "deep", &[], &[]);
    assert_eq!(view(nested(NESTING_MAX + 1).as_bytes()).defects, [Defect::TooDeep]);
    let deep = view(nested(500).as_bytes());
    assert_eq!(deep.defects, [Defect::TooDeep]);
    assert_eq!(deep.attachments.len(), 1);

    let parts = |count: usize| {
        format!(
            "From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--",
            "--b\r\n\r\nx\r\n".repeat(count)
        )
    };
    assert_eq!(view(parts(PARTS_MAX - 1).as_bytes()).defects, []);
    let many = view(parts(PARTS_MAX).as_bytes());
    assert_eq!(many.defects, [Defect::TooManyParts]);

    let to = |count: usize| format!("From: a@b\r\nTo: {}\r\n\r\n", vec!["x@example.com"; count].join(",\r\n "));
    assert_eq!(view(to(PARTICIPANTS_MAX).as_bytes()).defects, []);
    let crowd = view(to(10_000).as_bytes());
    assert_eq!((crowd.to.len(), crowd.defects), (PARTICIPANTS_MAX, vec![Defect::TooManyAddresses]));

    let ids = |count: usize| format!("From: a@b\r\nReferences: {}\r\n\r\n", "<i@x> ".repeat(count - 1) + "<last@x>");
    assert_eq!(view(ids(REFERENCES_MAX).as_bytes()).defects, []);
    let long = view(ids(REFERENCES_MAX + 1).as_bytes());
    assert_eq!((long.references.len(), long.defects), (REFERENCES_MAX, vec![Defect::TooManyReferences]));
    assert_eq!(long.references.last().unwrap(), "last@x");

    let wide = format!("From: a@b\r\nX: {}\r\nSubject: lost\r\n\r\nbody", "a".repeat(HEADER_BLOCK_MAX));
    let view = view(wide.as_bytes());
    assert_eq!((view.subject.as_str(), view.defects), ("", vec![Defect::HeaderTooLarge]));
    assert_eq!(body(wide.as_bytes()), "body");
}

/// Hostile shapes of about a mebibyte, and how long reading one may take in a debug build on a busy machine. A reader
/// whose time grows with the square of the size needs minutes for some of them.
#[test]
fn hostile_messages_cost_linear_time() {
    let fill = |piece: &str| piece.repeat((1 << 20) / piece.len());
    let multipart = "From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    let opened: String = (0..NESTING_MAX)
        .map(|level| {
            format!("Content-Type: multipart/mixed; boundary={}{level:02}\r\n\r\n--{0}{level:02}\r\n", "b".repeat(150))
        })
        .collect();
    for raw in [
        format!("From: {}\r\n\r\n", fill("(")),
        format!("From: {}\r\n\r\n", fill("\"")),
        format!("From: {}\r\n\r\n", fill("<")),
        format!("To: {}\r\n\r\n", fill("=?u?Q?x")),
        format!("To: {}\r\n\r\n", fill("a:")),
        format!("To: {}\r\n\r\n", fill("a@b ")),
        fill("From: a@b\r\n"),
        fill("From: a@b,c@d\r\n\t"),
        format!("Subject: {}\r\n\r\n", fill("=?utf-8?Q?a=")),
        format!("Subject: {}\r\n\r\n", fill("=?utf-8?B?QQ==?= ")),
        format!("Content-Type: a/b{}\r\n\r\n", fill("; x*0=1")),
        format!("Content-Type: a/b{}\r\n\r\n", fill("; \"\\")),
        format!("References: {}\r\n\r\n", fill("<a@b>")),
        format!("{multipart}{}", fill("--b\r\n")),
        format!("{multipart}{}", fill("--b\r\n\r\n")),
        format!("{multipart}{}", fill("\n--")),
        format!("{multipart}{}", fill("--b\r\nA: b\r\n")),
        format!("From: a@b\r\n{opened}{}", fill(&format!("--{}\r\n", "b".repeat(150)))),
        format!("Content-Type: text/html\r\n\r\n{}", fill("<a href=")),
        format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n{}", fill("=")),
        fill("\r\n "),
        fill("a\r\n"),
    ] {
        let start = Instant::now();
        view(raw.as_bytes());
        body(raw.as_bytes());
        plain_text(raw.as_bytes());
        headers(raw.as_bytes());
        let shape: String = raw.chars().skip(raw.len().min(60)).take(20).collect();
        assert!(start.elapsed() < Duration::from_secs(20), "{shape:?} took {:?}", start.elapsed());
    }
}

fn read_everything(raw: &[u8]) -> Result<(), TestCaseError> {
    let view = view(raw);
    body(raw);
    plain_text(raw);
    headers(raw);
    prop_assert!(view.snippet.chars().count() <= SNIPPET_CHARS_MAX);
    for one in view.attachments.iter().take(20) {
        let (meta, content) = attachment(raw, one.index).unwrap();
        prop_assert_eq!(meta.size, content.len() as u64);
        prop_assert_eq!(&meta, one);
    }
    crate::trace::count_received(raw);
    crate::dsn::parse(raw);
    Ok(())
}

/// A valid message with most of what there is.
const VALID: &str = "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <one@example.com>\r\n\
    References: <a@b> <c@d>\r\nFrom: =?utf-8?Q?J=C3=B6rg?= <j@example.com>\r\nTo: \"Doe, J\" <a@b>, team: c@d (x), e@f;\r\n\
    Subject: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?= =?utf-8?Q?a?=\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"out\"\r\n\r\n--out\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n\
    --in\r\nContent-Type: text/plain; charset=shift_jis\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=93=FA=\r\n=96{\r\n\
    --in\r\nContent-Type: text/html; charset=\"utf-8\"\r\n\r\n<p>a&amp;b <a href=\"x\">c</a></p>\r\n--in--\r\n--out\r\n\
    Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@b\r\nAction: failed\r\n\
    --out\r\nContent-Type: application/pdf; name*0*=utf-8''%C3%A9; name*1=b\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=a.pdf\r\nContent-ID: <x@y>\r\n\r\naGVsbG8=\r\n--out--\r\n";

#[derive(Clone, Debug)]
enum Mutation {
    Replace(u8),
    Insert(Vec<u8>),
    Delete(usize),
    Repeat(usize),
    Truncate,
}

fn mutation() -> impl Strategy<Value = (prop::sample::Index, Mutation)> {
    let pieces = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r\n\r\n",
        "--out",
        "--in--",
        "\"",
        "(",
        "<",
        ">",
        "=?",
        "?=",
        "=",
        ";",
        ",",
        ":",
        "*0*=",
        "'",
        "\\",
        "\0",
        "%",
        "Content-Type: multipart/mixed; boundary=out\r\n",
        "charset=iso-2022-kr",
        "charset=utf-16",
        "\u{fe}\u{ff}",
        "&#",
    ]);
    let kind = prop_oneof![
        any::<u8>().prop_map(Mutation::Replace),
        pieces.prop_map(|piece| Mutation::Insert(piece.as_bytes().to_vec())),
        prop::collection::vec(any::<u8>(), 1..8).prop_map(Mutation::Insert),
        (1_usize..40).prop_map(Mutation::Delete),
        (1_usize..200).prop_map(Mutation::Repeat),
        Just(Mutation::Truncate),
    ];
    (any::<prop::sample::Index>(), kind)
}

fn mutate(raw: &mut Vec<u8>, at: &prop::sample::Index, mutation: &Mutation) {
    if raw.is_empty() {
        return;
    }
    let at = at.index(raw.len());
    match mutation {
        Mutation::Replace(byte) => raw[at] = *byte,
        Mutation::Insert(bytes) => drop(raw.splice(at..at, bytes.iter().copied())),
        Mutation::Delete(len) => drop(raw.drain(at..(at + len).min(raw.len()))),
        Mutation::Repeat(len) => raw.extend_from_within(at..(at + len).min(raw.len())),
        Mutation::Truncate => raw.truncate(at),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(raw: Vec<u8>) {
        read_everything(&raw)?;
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(prop::sample::select(vec![
        "From:", "To:", "Subject:", "Date:", "Content-Type:", "Content-Disposition:", "Content-Transfer-Encoding:", " base64",
        " quoted-printable", " multipart/mixed;", " multipart/alternative;", " text/html;", " text/plain;", " message/rfc822",
        " boundary=b", " charset=", "utf-7", "utf-16", "gb18030", "iso-2022-jp", "\r\n", "\n", "\r\n\r\n", "--b", "--b--", "=?utf-8?Q?",
        "?=", "<", ">", "\"", "(", ")", ",", ":", ";", "a@b", "=", "=E9", "\u{e9}", "\0", "\t", " filename*0*=", "%C3", "''", "<script>",
    ]), 0..60)) {
        read_everything(pieces.concat().as_bytes())?;
    }

    #[test]
    fn mutated_messages(mutations in prop::collection::vec(mutation(), 1..12)) {
        let mut raw = VALID.as_bytes().to_vec();
        for (at, kind) in &mutations {
            mutate(&mut raw, at, kind);
        }
        read_everything(&raw)?;
    }
}
