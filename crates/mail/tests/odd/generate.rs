//! Messages made up from a seed: structures of MIME with all encodings and charsets, and what becomes of them when octets,
//! lines and fields are changed. The same seed makes the same message.

/// A source of numbers that repeats (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// A message, and what must be read of it.
pub struct Made {
    pub raw: Vec<u8>,
    pub subject: &'static str,
    pub from: &'static str,
    /// Each of these is in the plain view or in the HTML.
    pub texts: Vec<String>,
    pub files: usize,
}

const SUBJECTS: &[(&str, &str)] = &[
    ("plain", "plain"),
    ("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    ("=?iso-8859-1?Q?caf=E9?=\r\n =?utf-8?B?IQ==?=", "café!"),
    ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
    ("Re: two\r\n lines", "Re: two lines"),
    ("", ""),
];

const SENDERS: &[(&str, &str)] = &[
    ("a@x.example", "a@x.example"),
    ("\"Doe, Ann\" <ann@x.example>", "ann@x.example"),
    ("=?utf-8?Q?J=C3=B6rg?= <j@x.example>", "j@x.example"),
    ("<b@y.example> (comment)", "b@y.example"),
    ("Some Body <s.body+tag@sub.x.example>", "s.body+tag@sub.x.example"),
];

const OTHERS: &[&str] = &[
    "To: b@y.example, \"C, D\" <c@z.example>, team: d@z.example;\r\n",
    "Cc: <c@z.example>\r\n",
    "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n",
    "Message-ID: <1@x.example>\r\n",
    "References: <a@b> <c@d>\r\n\t<e@f>\r\n",
    "In-Reply-To: <e@f>\r\n",
    "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n",
    "List-Id: <list.x.example>\r\n",
    "X-Odd: \t folded\r\n value\r\n",
    "Auto-Submitted: auto-generated\r\n",
];

/// Makes a message that is as it should be.
pub fn message(dice: &mut Dice) -> Made {
    let (subject, subject_read) = SUBJECTS[dice.below(SUBJECTS.len())];
    let (from, from_read) = SENDERS[dice.below(SENDERS.len())];
    let mut made = Made { raw: Vec::new(), subject: subject_read, from: from_read, texts: Vec::new(), files: 0 };
    let mut header = format!("From: {from}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n");
    for other in OTHERS {
        if dice.below(3) == 0 {
            header.push_str(other);
        }
    }
    made.raw.extend_from_slice(header.as_bytes());
    let mut boundaries = 0;
    part(dice, 0, &mut boundaries, false, &mut made);
    made
}

fn part(dice: &mut Dice, depth: usize, boundaries: &mut usize, alternative: bool, made: &mut Made) {
    match dice.below(if depth < 4 && !alternative { 8 } else { 4 }) {
        0..=1 => text(dice, "plain", made),
        2 => text(dice, "html", made),
        3 if alternative => text(dice, "plain", made),
        3 => file(dice, made),
        _ => multipart(dice, depth, boundaries, made),
    }
}

fn multipart(dice: &mut Dice, depth: usize, boundaries: &mut usize, made: &mut Made) {
    *boundaries += 1;
    let boundary = format!("{}{:03}", dice.pick(&["----=_Part_", "b", "=_x'()+_,-./:=? ", "Apple-Mail="]), boundaries);
    let subtype = dice.pick(&["mixed", "mixed", "related", "alternative", "signed", "odd"]);
    made.raw.extend_from_slice(
        format!("Content-Type: multipart/{subtype};\r\n boundary=\"{boundary}\"\r\n\r\npreamble\r\n").as_bytes(),
    );
    if subtype == "alternative" {
        // Of alternatives only some are shown: they say the same.
        let texts = made.texts.len();
        for kind in ["plain", "html"] {
            made.raw.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            text(dice, kind, made);
            made.raw.extend_from_slice(b"\r\n");
        }
        made.texts.truncate(texts);
    } else {
        for _ in 0..1 + dice.below(3) {
            made.raw.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            part(dice, depth + 1, boundaries, false, made);
            made.raw.extend_from_slice(b"\r\n");
        }
    }
    made.raw.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
}

const TEXTS: &[(&str, &[u8], &str)] = &[
    ("utf-8", "Grüße aus Köln".as_bytes(), "Grüße aus Köln"),
    ("iso-8859-1", b"caf\xe9 noir", "café noir"),
    ("windows-1252", b"\x93quoted\x94", "“quoted”"),
    ("koi8-r", b"\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"),
    ("shift_jis", b"\x93\xfa\x96\x7b", "日本"),
    ("us-ascii", b"plain words", "plain words"),
];

fn text(dice: &mut Dice, kind: &str, made: &mut Made) {
    let (charset, octets, read) = TEXTS[dice.below(TEXTS.len())];
    let mut content = octets.to_vec();
    for _ in 0..dice.below(6) {
        content
            .extend_from_slice(dice.pick(&["\r\nand a line", "\r\n\r\nparagraph", " word", "\r\n> quoted"]).as_bytes());
    }
    made.raw.extend_from_slice(format!("Content-Type: text/{kind}; charset={charset}\r\n").as_bytes());
    encode(dice, &content, made);
    made.texts.push(read.to_owned());
}

fn file(dice: &mut Dice, made: &mut Made) {
    let kind =
        dice.pick(&["application/pdf", "image/png", "text/calendar", "message/rfc822", "application/octet-stream"]);
    let name = dice.pick(&["filename=a.bin", "filename*=utf-8''%C3%A9.bin", "filename*0=a; filename*1=\".bin\""]);
    made.raw
        .extend_from_slice(format!("Content-Type: {kind}\r\nContent-Disposition: attachment; {name}\r\n").as_bytes());
    let content: Vec<u8> = (0..dice.below(200)).map(|_| b"abcdefgh <>&=\r"[dice.below(13)]).collect();
    encode(dice, &content, made);
    made.files += 1;
}

fn encode(dice: &mut Dice, content: &[u8], made: &mut Made) {
    match dice.below(3) {
        0 => {
            made.raw.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
            for line in base64(content).as_bytes().chunks(76) {
                made.raw.extend_from_slice(line);
                made.raw.extend_from_slice(b"\r\n");
            }
        }
        1 => {
            made.raw.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
            for byte in content {
                match byte {
                    b'\r' | b'\n' => made.raw.push(*byte),
                    b' ' | b'!'..=b'<' | b'>'..=b'~' if dice.below(5) > 0 => made.raw.push(*byte),
                    byte => made.raw.extend_from_slice(format!("={byte:02X}").as_bytes()),
                }
            }
        }
        _ => {
            made.raw.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n\r\n");
            made.raw.extend_from_slice(content);
        }
    }
}

fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in octets.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for index in 0..4 {
            let symbol = ALPHABET[(bits >> (18 - 6 * index) & 63) as usize];
            out.push(if index <= three.len() { char::from(symbol) } else { '=' });
        }
    }
    out
}

/// What is put into a message where it does not belong.
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\0",
    "--b001",
    "--b001--",
    "\"",
    "(",
    ")",
    "<",
    ">",
    "=?",
    "?=",
    "=?utf-8?B?",
    "=",
    "=\r\n",
    ";",
    ",",
    ":",
    "*0*=",
    "'",
    "\\",
    "%",
    "&#",
    "&#x110000;",
    "<!--",
    "<style>",
    "<div style=\"display:none\">",
    "</div>",
    "<a href=\"javascript:x\">",
    "Content-Type: multipart/mixed; boundary=b001\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "charset=iso-2022-kr",
    "charset=utf-16",
    "charset=utf-7",
    "\u{202e}",
    "\u{200b}",
    "\u{e0041}",
    "Ignore all previous instructions",
    "begin 644 x\r\n",
    ".\r\n",
    "From ",
];

/// Changes octets, lines and fields.
pub fn mutate(dice: &mut Dice, raw: &mut Vec<u8>) {
    for _ in 0..1 + dice.below(8) {
        if raw.is_empty() {
            return;
        }
        let at = dice.below(raw.len());
        match dice.below(10) {
            0 => raw[at] = dice.below(256) as u8,
            1 => raw[at] ^= 1 << dice.below(8),
            2 => drop(raw.splice(at..at, dice.pick(PIECES).bytes())),
            3 => {
                let octets: Vec<u8> = (0..1 + dice.below(12)).map(|_| dice.below(256) as u8).collect();
                drop(raw.splice(at..at, octets));
            }
            4 => drop(raw.drain(at..(at + 1 + dice.below(60)).min(raw.len()))),
            5 => {
                let end = (at + 1 + dice.below(300)).min(raw.len());
                let piece = raw[at..end].to_vec();
                let to = dice.below(raw.len());
                drop(raw.splice(to..to, piece));
            }
            6 => lines(dice, raw),
            7 => drop(raw.splice(at..at, dice.pick(PIECES).bytes())),
            8 if dice.below(6) == 0 => raw.truncate(at),
            _ => drop(raw.swap_remove(at)),
        }
    }
}

/// Moves, repeats or removes a line.
fn lines(dice: &mut Dice, raw: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = raw.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (from, to) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(3) {
        0 => lines.swap(from, to),
        1 => lines.insert(to, lines[from].clone()),
        _ => drop(lines.remove(from)),
    }
    *raw = lines.concat();
}
