//! A hundred messages as they really come: from broken programs, old ones, and ones with ideas of their own. A line feed
//! stands for a line end, and is made CRLF.

/// What is expected of a message: subject, address of the first sender, a text that the plain view has in it, and the names
/// of the attachments (empty for those without one).
pub struct Oddity {
    pub name: &'static str,
    raw: &'static [u8],
    pub subject: &'static str,
    pub from: &'static str,
    pub text: &'static str,
    pub files: &'static [&'static str],
}

impl Oddity {
    pub fn raw(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw.len() + 64);
        for (at, byte) in self.raw.iter().enumerate() {
            if *byte == b'\n' && (at == 0 || self.raw[at - 1] != b'\r') {
                out.push(b'\r');
            }
            out.push(*byte);
        }
        out
    }
}

const fn odd(
    name: &'static str,
    raw: &'static [u8],
    subject: &'static str,
    from: &'static str,
    text: &'static str,
    files: &'static [&'static str],
) -> Oddity {
    Oddity { name, raw, subject, from, text, files }
}

pub const ODDITIES: &[Oddity] = &[
    // senders
    odd("no From", b"Subject: s\n\ntext\n", "s", "", "text", &[]),
    odd("two From fields", b"From: a@x.example\nFrom: b@y.example\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("two mailboxes in From", b"From: A <a@x.example>, B <b@y.example>\nSender: a@x.example\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("empty From", b"From:\nSubject: s\n\ntext\n", "s", "", "text", &[]),
    odd("From with a name alone", b"From: Mailer Daemon\nSubject: s\n\ntext\n", "s", "", "text", &[]),
    odd("null From", b"From: <>\nSubject: s\n\ntext\n", "s", "", "text", &[]),
    odd("address without brackets behind a name", b"From: Ann a@x.example\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("name that is an address", b"From: \"ceo@bank.example\" <a@x.example>\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("source route", b"From: <@relay.example:a@x.example>\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("quoted local part", b"From: \"a b\"@x.example\nSubject: s\n\ntext\n", "s", "\"a b\"@x.example", "text", &[]),
    odd("comment in an address", b"From: a@x.example (Ann (the) Lee)\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("group in To", b"From: a@x.example\nTo: undisclosed-recipients:;\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("group with members", b"From: a@x.example\nTo: team: b@y.example, c@z.example;\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("semicolons between addresses", b"From: a@x.example\nTo: b@y.example; c@z.example\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("unclosed quote", b"From: \"Ann <a@x.example>\nSubject: s\n\ntext\n", "s", "", "text", &[]),
    odd("unclosed bracket", b"From: Ann <a@x.example\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("local part in UTF-8", "From: jörg@x.example\nSubject: s\n\ntext\n".as_bytes(), "s", "jörg@x.example", "text", &[]),
    odd("Latin letters in a name", b"From: J\xf6rg <a@x.example>\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("X.400 remains", b"From: \"/G=Ann/S=Lee/O=X/\" <a@x.example>\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("folded in the middle of a name", b"From: Ann\n Maria\n Lee <a@x.example>\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    // header blocks
    odd("no blank line", b"From: a@x.example\nSubject: s\n", "s", "a@x.example", "", &[]),
    odd("text where a field should be", b"From: a@x.example\nthis is no field\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("nothing but a body", b"\njust text\n", "", "", "just text", &[]),
    odd("blank before the colon", b"From : a@x.example\nSubject : s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("no blank behind the colon", b"From:a@x.example\nSubject:s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("field names in capitals", b"FROM: a@x.example\nSUBJECT: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("mbox line at the top", b"From a@x.example Mon Jan  1 00:00:00 2024\nFrom: a@x.example\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("quoted mbox line at the top", b">From a@x.example Mon Jan  1 00:00:00 2024\nFrom: a@x.example\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("mbox lines in the text", b"From: a@x.example\nSubject: s\n\n>From here on\n", "s", "a@x.example", ">From here on", &[]),
    odd("two subjects", b"From: a@x.example\nSubject: one\nSubject: two\n\ntext\n", "one", "a@x.example", "text", &[]),
    odd("NUL in the header", b"From: a@x.example\nSubject: a\0b\n\ntext\n", "ab", "a@x.example", "text", &[]),
    odd("NUL in the text", b"From: a@x.example\nSubject: s\n\nte\0xt\n", "s", "a@x.example", "text", &[]),
    odd("carriage return in a subject", b"From: a@x.example\nSubject: a\rBcc: x\n\ntext\n", "aBcc: x", "a@x.example", "text", &[]),
    odd("line of white space in the header", b"From: a@x.example\n \nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("first line is folded", b" stray\nFrom: a@x.example\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("tab as fold", b"From: a@x.example\nSubject: one\n\ttwo\n\ntext\n", "one two", "a@x.example", "text", &[]),
    odd("field of eight bits", b"From: a@x.example\nX-\xfc: y\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("colon alone", b"From: a@x.example\n: x\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    // encoded words
    odd("word in an unknown charset", b"From: a@x.example\nSubject: =?x-none?Q?caf=E9?=\n\ntext\n", "café", "a@x.example", "text", &[]),
    odd("word with a language", b"From: a@x.example\nSubject: =?utf-8*fr?Q?caf=C3=A9?=\n\ntext\n", "café", "a@x.example", "text", &[]),
    odd("letter split over two words", b"From: a@x.example\nSubject: =?utf-8?B?aMM=?= =?utf-8?B?qQ==?=\n\ntext\n", "hé", "a@x.example", "text", &[]),
    odd("word with blanks in it", b"From: a@x.example\nSubject: =?utf-8?Q?two words?=\n\ntext\n", "two words", "a@x.example", "text", &[]),
    odd("word inside a word", b"From: a@x.example\nSubject: x=?utf-8?Q?=C3=A9?=y\n\ntext\n", "xéy", "a@x.example", "text", &[]),
    odd("unfinished word", b"From: a@x.example\nSubject: =?utf-8?Q?abc\n\ntext\n", "=?utf-8?Q?abc", "a@x.example", "text", &[]),
    odd("word in quotes", b"From: \"=?utf-8?Q?J=C3=B6rg?=\" <a@x.example>\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("word as an address", b"From: =?utf-8?Q?a=40evil.example?=@x.example\nSubject: s\n\ntext\n", "s", "=?utf-8?Q?a=40evil.example?=@x.example", "text", &[]),
    odd("ISO-2022-JP word", b"From: a@x.example\nSubject: =?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=\n\ntext\n", "日本", "a@x.example", "text", &[]),
    odd("raw GB2312 in a subject", b"From: a@x.example\nSubject: =?gb2312?B?xOO6ww==?=\n\ntext\n", "你好", "a@x.example", "text", &[]),
    odd("base64 word without padding", b"From: a@x.example\nSubject: =?utf-8?B?aGVsbG8?=\n\ntext\n", "hello", "a@x.example", "text", &[]),
    odd("word with a line end in it", b"From: a@x.example\nSubject: =?utf-8?Q?a=0D=0ABcc:_x?=\n\ntext\n", "a  Bcc: x", "a@x.example", "text", &[]),
    // charsets
    odd("no charset, Latin letters", b"From: a@x.example\nSubject: s\n\ncaf\xe9\n", "s", "a@x.example", "café", &[]),
    odd("declared ASCII, is UTF-8", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset=us-ascii\n\ncaf\xc3\xa9\n", "s", "a@x.example", "café", &[]),
    odd("declared UTF-8, is Latin", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset=utf-8\n\ncaf\xe9\n", "s", "a@x.example", "caf", &[]),
    odd("charset cp1252", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset=cp1252\n\n\x93hi\x94\n", "s", "a@x.example", "hi", &[]),
    odd("charset in single quotes", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset='utf-8'\n\ncaf\xc3\xa9\n", "s", "a@x.example", "café", &[]),
    odd("charset unknown-8bit", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset=unknown-8bit\n\ncaf\xe9\n", "s", "a@x.example", "café", &[]),
    odd("UTF-7 that hides markup", b"From: a@x.example\nSubject: s\nContent-Type: text/html; charset=utf-7\n\n+ADw-script+AD4-\n", "s", "a@x.example", "+ADw-script+AD4-", &[]),
    odd("GB2312", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset=gb2312\n\n\xc4\xe3\xba\xc3\n", "s", "a@x.example", "你好", &[]),
    odd("ISO-2022-JP", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset=iso-2022-jp\n\n\x1b$BF|K\\\x1b(B\n", "s", "a@x.example", "日本", &[]),
    odd("byte order mark", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset=utf-8\n\n\xef\xbb\xbfhello\n", "s", "a@x.example", "hello", &[]),
    odd("UTF-16 in base64", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; charset=utf-16le\nContent-Transfer-Encoding: base64\n\naABpAA==\n", "s", "a@x.example", "hi", &[]),
    // transfer encodings
    odd("base64 with junk", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: base64\n\naG!Vs*bG8=\n", "s", "a@x.example", "hello", &[]),
    odd("base64 with text behind it", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n\n-- \n", "s", "a@x.example", "hello", &[]),
    odd("base64 in pieces", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: base64\n\naGk=aGk=\n", "s", "a@x.example", "hihi", &[]),
    odd("base64 cut off", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: base64\n\naGVsbG\n", "s", "a@x.example", "hell", &[]),
    odd("quoted-printable, lower case", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=utf-8\n\ncaf=c3=a9\n", "s", "a@x.example", "café", &[]),
    odd("blank behind a soft break", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: quoted-printable\n\none= \ntwo\n", "s", "a@x.example", "onetwo", &[]),
    odd("equals sign at the end", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: quoted-printable\n\ntext=", "s", "a@x.example", "text", &[]),
    odd("escapes that are none", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: quoted-printable\n\na=ZZb=4\n", "s", "a@x.example", "a=ZZb=4", &[]),
    odd("unknown transfer encoding", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: x-mine\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("transfer encoding with a comment", b"From: a@x.example\nSubject: s\nContent-Transfer-Encoding: base64 (really)\n\naGVsbG8=\n", "s", "a@x.example", "hello", &[]),
    odd("uuencode in the text", b"From: a@x.example\nSubject: s\n\nbegin 644 a.txt\n#0V%T\n`\nend\n", "s", "a@x.example", "begin 644 a.txt", &[]),
    // structure
    odd("boundary that never comes", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("no boundary named", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed\n\n--b\n\ntext\n--b--\n", "s", "a@x.example", "text", &[]),
    odd("not closed", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("boundary with blanks behind it", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=\"b\"\n\n--b  \n\ntext\n--b--  \n", "s", "a@x.example", "text", &[]),
    odd("boundary that begins with another", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\ninner\n--bb--\n--b\n\nouter\n--b--\n", "s", "a@x.example", "inner\nouter", &[]),
    odd("same boundary inside", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\ntext\n--b--\n--b--\n", "s", "a@x.example", "text", &[]),
    odd("text before and behind", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\nThis is MIME.\n--b\n\ntext\n--b--\nepilogue\n", "s", "a@x.example", "text", &[]),
    odd("no parts at all", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b--\n", "s", "a@x.example", "", &[]),
    odd("empty parts", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n--b\n\n--b--\n", "s", "a@x.example", "", &[]),
    odd("part that ends in its header", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\n\ntext\n--b--\n", "s", "a@x.example", "text", &[]),
    odd("encoded multipart", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\ntext\n--b--\n", "s", "a@x.example", "text", &[]),
    odd("message in a message", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: message/rfc822\n\nFrom: c@z.example\nSubject: inner\n\ninner text\n--b--\n", "s", "a@x.example", "text", &[""]),
    odd("message as the whole body", b"From: a@x.example\nSubject: s\nContent-Type: message/rfc822\n\nFrom: c@z.example\nSubject: inner\n\ninner text\n", "s", "a@x.example", "", &[""]),
    odd("type without subtype", b"From: a@x.example\nSubject: s\nContent-Type: text\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("two types", b"From: a@x.example\nSubject: s\nContent-Type: text/plain\nContent-Type: text/html\n\n<b>text</b>\n", "s", "a@x.example", "<b>text</b>", &[]),
    odd("flowed text", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; format=flowed; delsp=yes\n\none \ntwo\n", "s", "a@x.example", "one", &[]),
    odd("HTML alone", b"From: a@x.example\nSubject: s\nContent-Type: text/html\n\n<p>Hello<br>there</p>\n", "s", "a@x.example", "Hello\nthere", &[]),
    // files
    odd("RFC 2231 pieces out of order", b"From: a@x.example\nSubject: s\nContent-Type: application/pdf\nContent-Disposition: attachment; filename*1=b.pdf; filename*0=a\n\nx\n", "s", "a@x.example", "", &["ab.pdf"]),
    odd("RFC 2231 with a charset", b"From: a@x.example\nSubject: s\nContent-Type: application/pdf\nContent-Disposition: attachment; filename*=iso-8859-1''caf%E9.pdf\n\nx\n", "s", "a@x.example", "", &["café.pdf"]),
    odd("encoded word as a file name", b"From: a@x.example\nSubject: s\nContent-Type: application/pdf; name=\"=?utf-8?B?Y2Fmw6kucGRm?=\"\n\nx\n", "s", "a@x.example", "", &["café.pdf"]),
    odd("file name that turns its direction", "From: a@x.example\nSubject: s\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=\"a\u{202e}fdp.exe\"\n\nx\n".as_bytes(), "s", "a@x.example", "", &["afdp.exe"]),
    odd("two file names", b"From: a@x.example\nSubject: s\nContent-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=b.exe\n\nx\n", "s", "a@x.example", "", &["b.exe"]),
    odd("file name with a path", b"From: a@x.example\nSubject: s\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=\"C:\\\\a\\\\b.pdf\"\n\nx\n", "s", "a@x.example", "", &["C:\\a\\b.pdf"]),
    odd("winmail.dat", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: application/ms-tnef; name=\"winmail.dat\"\nContent-Transfer-Encoding: base64\n\neJ8+Ig==\n--b--\n", "s", "a@x.example", "text", &["winmail.dat"]),
    odd("Apple: file between two texts", b"From: a@x.example\nSubject: s\nContent-Type: multipart/mixed; boundary=Apple-Mail-1\n\n--Apple-Mail-1\nContent-Type: text/plain\n\nfirst\n--Apple-Mail-1\nContent-Disposition: inline; filename=a.jpg\nContent-Type: image/jpeg; x-unix-mode=0644; name=a.jpg\n\nx\n--Apple-Mail-1\nContent-Type: text/plain\n\nsecond\n--Apple-Mail-1--\n", "s", "a@x.example", "first\nsecond", &["a.jpg"]),
    odd("Outlook: conditional comments", b"From: a@x.example\nSubject: s\nContent-Type: text/html\n\n<!--[if mso]><p>mso</p><![endif]--><p class=MsoNormal>text<o:p></o:p></p>\n", "s", "a@x.example", "text", &[]),
    odd("text as an attachment", b"From: a@x.example\nSubject: s\nContent-Type: text/plain; name=a.txt\nContent-Disposition: attachment\n\ntext\n", "s", "a@x.example", "", &["a.txt"]),
    odd("300 characters of a file name", b"From: a@x.example\nSubject: s\nContent-Type: application/octet-stream; name=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bin\"\n\nx\n", "s", "a@x.example", "", &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bin"]),
    // dates and the rest
    odd("no date", b"From: a@x.example\nSubject: s\nDate:\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("date in words", b"From: a@x.example\nSubject: s\nDate: yesterday evening\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("year of two digits", b"From: a@x.example\nSubject: s\nDate: 21 Nov 97 09:55:06 GMT\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("date far ahead", b"From: a@x.example\nSubject: s\nDate: Fri, 31 Dec 9999 23:59:59 +0000\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("date that is none", b"From: a@x.example\nSubject: s\nDate: Fri, 99 Foo 2024 99:99:99 +9999\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("Message-ID without brackets", b"From: a@x.example\nMessage-ID: 1@x.example\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("two Message-IDs", b"From: a@x.example\nMessage-ID: <1@x.example>\nMessage-ID: <2@x.example>\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("In-Reply-To with words", b"From: a@x.example\nIn-Reply-To: Your message of \"Mon\" <1@x.example>\nSubject: s\n\ntext\n", "s", "a@x.example", "text", &[]),
    odd("subject of tag characters", "From: a@x.example\nSubject: s\u{e0061}\u{e0062}\n\ntext\n".as_bytes(), "s", "a@x.example", "text", &[]),
    odd("MIME-Version that is none", b"From: a@x.example\nSubject: s\nMIME-Version: 2.0 (mine)\nContent-Type: text/plain\n\ntext\n", "s", "a@x.example", "text", &[]),
];
