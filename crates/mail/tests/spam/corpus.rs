//! Builds messages from sentences: the same ones for the same seed. What they look like (fields, markup, disguises, what
//! proves their authors) is drawn by lot; the shares are in the constants below.

use crate::texts::{Fillings, Form, HELD_OUT, KINDS, Kind, TRAINED, Texts};
use postfleet_core::authentication::{AuthResult, Authentication, DkimResult, DmarcResult, SpfResult};

/// A message, and what it is.
pub struct Sample {
    pub kind: &'static str,
    pub is_spam: bool,
    pub raw: Vec<u8>,
    pub authentication: Authentication,
}

/// Which sentences are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Trained,
    HeldOut,
}

/// So many messages, half of them spam.
pub fn corpus(part: Part, count: usize, seed: u64) -> Vec<Sample> {
    let mut lot = Lot(seed ^ if part == Part::Trained { 0x5eed } else { 0xfeed });
    (0..count).map(|number| sample(part, number % 2 == 1, number, &mut lot)).collect()
}

/// Chance that repeats (SplitMix64).
struct Lot(u64);

impl Lot {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
    /// True in so many of 100 cases.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

fn sample(part: Part, is_spam: bool, number: usize, lot: &mut Lot) -> Sample {
    let kinds: Vec<&Kind> = KINDS.iter().filter(|kind| kind.is_spam == is_spam).collect();
    let kind = kinds[(number / 2) % kinds.len()];
    let (texts, fillings) = match part {
        Part::Trained => (&kind.trained, &TRAINED),
        Part::HeldOut => (&kind.held_out, &HELD_OUT),
    };
    let draft = Draft::new(kind, texts, fillings, number, lot);
    Sample { kind: kind.name, is_spam, raw: draft.write(kind, fillings, lot), authentication: proofs(is_spam, lot) }
}

/// What authentication came to. A third of spam is sent with everything in order.
fn proofs(is_spam: bool, lot: &mut Lot) -> Authentication {
    use AuthResult::{Fail, None as Nothing, Pass, Softfail};
    let of = |spf, dkim: Option<AuthResult>, dmarc, policy: &str, iprev| Authentication {
        spf: SpfResult { result: spf, ..SpfResult::default() },
        dkim: dkim.map(|result| DkimResult { result, ..DkimResult::default() }).into_iter().collect(),
        dmarc: DmarcResult { result: dmarc, policy: Some(policy.to_owned()), ..DmarcResult::default() },
        iprev,
        ..Authentication::default()
    };
    match (is_spam, lot.below(100)) {
        (false, 0..80) => of(Pass, Some(Pass), Pass, "reject", Pass),
        (false, 80..90) => of(Pass, None, Nothing, "none", Pass),
        // It was forwarded: the signature holds, the address does not fit.
        (false, 90..95) => of(Softfail, Some(Pass), Pass, "none", Pass),
        // A small server that proves nothing.
        (false, _) => of(Nothing, None, Nothing, "none", Pass),
        (true, 0..35) => of(Pass, Some(Pass), Pass, "none", Pass),
        (true, 35..60) => of(Nothing, None, Nothing, "none", Fail),
        (true, 60..75) => of(Softfail, None, Nothing, "none", Fail),
        (true, 75..90) => of(Pass, None, Nothing, "none", Pass),
        (true, _) => of(Fail, None, Fail, "quarantine", Fail),
    }
}

struct Draft {
    subject: String,
    sentences: Vec<String>,
    greeting: String,
    closing: String,
    author: String,
    host: String,
    number: usize,
}

impl Draft {
    fn new(kind: &Kind, texts: &Texts, fillings: &Fillings, number: usize, lot: &mut Lot) -> Self {
        let count = 2 + lot.below(texts.sentences.len().saturating_sub(1));
        let first = lot.below(texts.sentences.len());
        let chosen = (0..count).map(|offset| texts.sentences[(first + offset) % texts.sentences.len()]);
        let chosen: Vec<&str> = chosen.collect();
        let mut sentences: Vec<String> = chosen.into_iter().map(|text| fill(text, fillings, lot)).collect();
        let subject = lot.one(texts.subjects);
        let mut subject = fill(subject, fillings, lot);
        if kind.is_spam {
            if lot.percent(35) {
                sentences = sentences.iter().map(|text| disguise(text, lot)).collect();
            }
            if lot.percent(15) {
                subject = subject.to_uppercase();
            }
        }
        let hosts = if kind.is_spam { fillings.bad_hosts } else { fillings.hosts };
        Self {
            subject,
            sentences,
            greeting: fill(lot.one(fillings.greetings), fillings, lot),
            closing: fill(lot.one(fillings.closings), fillings, lot),
            author: lot.one(fillings.names).to_owned(),
            host: lot.one(hosts).to_owned(),
            number,
        }
    }

    fn write(&self, kind: &Kind, fillings: &Fillings, lot: &mut Lot) -> Vec<u8> {
        let (fields, body) = match kind.form {
            Form::Plain => self.plain(),
            Form::Reply => self.reply(),
            Form::Newsletter => self.newsletter(),
            Form::Receipt => self.receipt(),
            Form::Page => self.page(lot),
            Form::Phishing => self.phishing(fillings, lot),
            Form::Image => self.image(),
            Form::Program => self.program(lot),
        };
        let head = self.head(kind, lot);
        format!("{head}{fields}\n\n{body}\n").replace('\n', "\r\n").into_bytes()
    }

    /// The fields: half of spam has something odd, and one in twenty of other messages.
    fn head(&self, kind: &Kind, lot: &mut Lot) -> String {
        let Self { author, host, subject, number, .. } = self;
        let odd = if lot.percent(if kind.is_spam { 50 } else { 5 }) { lot.below(6) } else { usize::MAX };
        let address = format!("{}@{host}", author.to_lowercase());
        let mut head = String::new();
        match odd {
            0 => {}
            1 => head.push_str("Date: Mon, 9 Mar 2026 09:00:00 +0000\n"),
            _ => head.push_str("Date: Mon, 2 Mar 2026 09:00:00 +0000\n"),
        }
        match odd {
            2 => {}
            3 => head.push_str("Message-ID: <1234567890>\n"),
            _ => head.push_str(&format!("Message-ID: <{number}.{:x}@{host}>\n", lot.next())),
        }
        head.push_str(&format!("From: {author} <{address}>\n"));
        if odd != 4 {
            head.push_str("To: agent@fleet.test\n");
        }
        if odd == 5 {
            head.push_str("Reply-To: answer.me@gmail.com\n");
        }
        format!("{head}Subject: {}\nMIME-Version: 1.0\n", encoded(subject))
    }

    fn text(&self) -> String {
        format!("{}\n\n{}\n\n{}", self.greeting, self.sentences.join("\n"), self.closing)
    }

    fn plain(&self) -> (String, String) {
        ("Content-Type: text/plain; charset=utf-8".to_owned(), self.text())
    }

    fn reply(&self) -> (String, String) {
        let quoted = "> Could you have a look at it?\n> The numbers are in the table.";
        let text = format!("{}\n\nOn Monday somebody wrote:\n{quoted}", self.text());
        ("In-Reply-To: <0@fleet.test>\nContent-Type: text/plain; charset=utf-8".to_owned(), text)
    }

    fn newsletter(&self) -> (String, String) {
        let host = &self.host;
        let items: String = self
            .sentences
            .iter()
            .map(|text| format!("<tr><td>{text} <a href='https://www.{host}/a'>More</a></td></tr>\n"))
            .collect();
        let markup = format!(
            "<div style='display:none'>{}</div><h1>{}</h1><img src='https://{host}/logo.png'><table>{items}</table>\
             <p>You get this because you subscribed. <a href='https://{host}/u'>Unsubscribe</a></p>",
            self.sentences[0], self.subject
        );
        let fields = format!("List-Unsubscribe: <https://{host}/u>\nPrecedence: bulk\n{}", ALTERNATIVE);
        (fields, alternative(&self.sentences.join("\n"), &markup))
    }

    fn receipt(&self) -> (String, String) {
        let markup = format!(
            "<p>{}</p><p>{}</p><p><a href='https://{}/orders'>Your account</a></p>",
            self.greeting,
            self.sentences.join("</p><p>"),
            self.host
        );
        (ALTERNATIVE.to_owned(), alternative(&self.text(), &markup))
    }

    fn page(&self, lot: &mut Lot) -> (String, String) {
        let target = match lot.below(4) {
            0 => "https://bit.ly/3xYz".to_owned(),
            1 => "http://203.0.113.77/go".to_owned(),
            _ => format!("https://{}/go", self.host),
        };
        let hidden = match lot.percent(25) {
            true => {
                format!("<div style='font-size:0'>{}</div>", "weather garden river letter window music ".repeat(12))
            }
            false => String::new(),
        };
        let text = self.sentences.join("<br>");
        let markup = format!("<h2>{}</h2>{text}<p><a href='{target}'>GO</a></p>{hidden}", self.subject);
        match lot.below(3) {
            0 => (ALTERNATIVE.to_owned(), alternative(&self.sentences.join("\n"), &markup)),
            1 => packed("text/html", &markup),
            _ => ("Content-Type: text/html; charset=utf-8".to_owned(), markup),
        }
    }

    fn phishing(&self, fillings: &Fillings, lot: &mut Lot) -> (String, String) {
        let shown = lot.one(fillings.hosts);
        let text = self.sentences.join("</p><p>");
        let link = match lot.percent(60) {
            true => format!("<a href='https://{}/login'>https://www.{shown}/login</a>", self.host),
            false => format!("<a href='https://{}/login'>Sign in</a>", self.host),
        };
        ("Content-Type: text/html; charset=utf-8".to_owned(), format!("<p>{text}</p><p>{link}</p>"))
    }

    fn image(&self) -> (String, String) {
        let host = &self.host;
        let markup =
            format!("<a href='https://{host}/s'><img src='https://{host}/s.jpg'></a><br>{}", self.sentences[0]);
        ("Content-Type: text/html; charset=utf-8".to_owned(), markup)
    }

    fn program(&self, lot: &mut Lot) -> (String, String) {
        let file = lot.one(&[
            "invoice.pdf.exe",
            "document.js",
            "scan_0012.vbs",
            "order.xlsm",
            "payment.html",
            "statement.iso",
        ]);
        let body = format!(
            "--b\nContent-Type: text/plain; charset=utf-8\n\n{}\n--b\nContent-Type: application/octet-stream\n\
             Content-Disposition: attachment; filename=\"{file}\"\nContent-Transfer-Encoding: base64\n\nTVqQAAMAAAAE\n--b--",
            self.text()
        );
        ("Content-Type: multipart/mixed; boundary=b".to_owned(), body)
    }
}

const ALTERNATIVE: &str = "Content-Type: multipart/alternative; boundary=b";

fn alternative(plain: &str, markup: &str) -> String {
    format!(
        "--b\nContent-Type: text/plain; charset=utf-8\n\n{plain}\n--b\nContent-Type: text/html; charset=utf-8\n\n{markup}\n--b--"
    )
}

fn packed(content_type: &str, text: &str) -> (String, String) {
    let fields = format!("Content-Type: {content_type}; charset=utf-8\nContent-Transfer-Encoding: base64");
    (fields, base64(text.as_bytes()))
}

fn encoded(subject: &str) -> String {
    if subject.is_ascii() {
        subject.to_owned()
    } else {
        format!("=?utf-8?B?{}?=", base64(subject.as_bytes()).replace('\n', ""))
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for (at, group) in bytes.chunks(3).enumerate() {
        if at > 0 && at % 19 == 0 {
            out.push('\n');
        }
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place)) & 63;
            out.push(if place <= group.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

fn fill(text: &str, fillings: &Fillings, lot: &mut Lot) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, after) = after.split_once('}').expect("closed");
        out.push_str(before);
        match place {
            "name" => out.push_str(lot.one(fillings.names)),
            "company" => out.push_str(lot.one(fillings.companies)),
            "city" => out.push_str(lot.one(fillings.cities)),
            "thing" => out.push_str(lot.one(fillings.things)),
            "n" => out.push_str(&(2 + lot.below(90)).to_string()),
            other => panic!("no such place: {other}"),
        }
        rest = after;
    }
    out + rest
}

/// Writes some words so that programs do not find them.
fn disguise(text: &str, lot: &mut Lot) -> String {
    let way = lot.below(4);
    let words = text
        .split(' ')
        .map(|word| if word.len() > 4 && lot.percent(40) { disguised(word, way) } else { word.to_owned() });
    words.collect::<Vec<_>>().join(" ")
}

fn disguised(word: &str, way: usize) -> String {
    let lookalike = |c: char| match c {
        'a' => 'а',
        'e' => 'е',
        'o' => 'о',
        'c' => 'с',
        'p' => 'р',
        other => other,
    };
    let digit = |c: char| match c {
        'a' => '4',
        'e' => '3',
        'i' => '1',
        'o' => '0',
        other => other,
    };
    match way {
        0 => word
            .chars()
            .enumerate()
            .map(|(at, c)| if at == 2 { format!("\u{200b}{c}") } else { c.to_string() })
            .collect(),
        1 => word.chars().map(lookalike).collect(),
        2 => word.chars().map(digit).collect(),
        _ => word.chars().map(|c| c.to_string()).collect::<Vec<_>>().join("."),
    }
}
