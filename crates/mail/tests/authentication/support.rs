//! A DNS in memory, keys, and signers that make what a test wants, right or wrong. They share no code with what they test.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postfleet_core::authentication::{Authentication, DmarcEnforcement};
use postfleet_core::dns::{Answer, Question, RecordKind, Records};
use postfleet_core::{Domain, EmailAddress, ReversePath, UnixMicros};
use postfleet_mail::authentication::{Dns, Envelope, Examination, Terms};
use postfleet_mail::dkim::{self, Algorithm};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The moment at which everything is judged: 2026-11-22.
pub const NOW: i64 = 1_795_300_000;

/// Answers by question. What is not in it is missing.
#[derive(Default, Clone)]
pub struct Table(HashMap<Question, Arc<Answer>>);

impl Table {
    /// Reads lines `name KIND data`; `FAIL` makes every question about the name fail.
    pub fn new(zone: &str) -> Self {
        let mut table = Self::default();
        zone.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| table.add(line));
        table
    }

    pub fn add(&mut self, line: &str) {
        let (name, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        let (kind, data) = rest.split_once(' ').unwrap_or((rest, ""));
        let address = || vec![data.trim().parse().unwrap_or_else(|_| panic!("{line}"))];
        let (kind, more) = match kind {
            "TXT" => (RecordKind::Txt, Records::Texts(vec![data.to_owned()])),
            "A" => (RecordKind::A, Records::Addresses(address())),
            "AAAA" => (RecordKind::Aaaa, Records::Addresses(address())),
            "PTR" => (RecordKind::Ptr, Records::Names(vec![data.to_owned()])),
            "MX" => {
                let (preference, host) = data.split_once(' ').unwrap_or_else(|| panic!("{line}"));
                (RecordKind::Mx, Records::Exchanges(vec![(preference.parse().expect("number"), host.to_owned())]))
            }
            "FAIL" => {
                for kind in [RecordKind::A, RecordKind::Aaaa, RecordKind::Mx, RecordKind::Txt, RecordKind::Ptr] {
                    self.0.insert(Question::new(name, kind), Arc::new(Answer::Failed));
                }
                return;
            }
            other => panic!("{other}"),
        };
        let question = Question::new(name, kind);
        let found = match self.0.get(&question).map(|answer| (**answer).clone()) {
            Some(Answer::Found(known)) => joined(known, more),
            _ => more,
        };
        self.0.insert(question, Arc::new(Answer::Found(found)));
    }
}

fn joined(one: Records, other: Records) -> Records {
    match (one, other) {
        (Records::Addresses(a), Records::Addresses(b)) => Records::Addresses([a, b].concat()),
        (Records::Exchanges(a), Records::Exchanges(b)) => Records::Exchanges([a, b].concat()),
        (Records::Texts(a), Records::Texts(b)) => Records::Texts([a, b].concat()),
        (Records::Names(a), Records::Names(b)) => Records::Names([a, b].concat()),
        _ => unreachable!("of one kind"),
    }
}

impl Dns for Table {
    fn answer(&self, question: &Question) -> Option<Arc<Answer>> {
        Some(self.0.get(question).cloned().unwrap_or_else(|| Arc::new(Answer::Missing)))
    }
}

/// A key and its record.
pub struct TestKey {
    algorithm: Algorithm,
    pkcs8: Vec<u8>,
    /// What is to be published.
    pub record: String,
}

fn key(algorithm: Algorithm) -> TestKey {
    let made = dkim::generate(algorithm).expect("key");
    TestKey { algorithm, pkcs8: made.pkcs8.expose().clone(), record: made.public_dns }
}

pub static RSA: LazyLock<TestKey> = LazyLock::new(|| key(Algorithm::RsaSha256));
pub static OTHER_RSA: LazyLock<TestKey> = LazyLock::new(|| key(Algorithm::RsaSha256));
pub static ED: LazyLock<TestKey> = LazyLock::new(|| key(Algorithm::Ed25519Sha256));

impl TestKey {
    pub fn name(&self) -> &'static str {
        self.algorithm.name()
    }

    /// The signature over a text, in Base64.
    pub fn sign(&self, input: &[u8]) -> String {
        let hash = digest(&SHA256, input);
        match self.algorithm {
            Algorithm::RsaSha256 => {
                let pair = RsaKeyPair::from_pkcs8(&self.pkcs8).expect("key");
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, &hash, &mut signature).expect("signature");
                STANDARD.encode(signature)
            }
            Algorithm::Ed25519Sha256 => {
                let pair = Ed25519KeyPair::from_pkcs8(&self.pkcs8).expect("key");
                STANDARD.encode(pair.sign(hash.as_ref()).as_ref())
            }
        }
    }
}

/// Header fields of a message, each with its line end, and its body.
pub fn parts(raw: &str) -> (Vec<String>, String) {
    let (head, body) = raw.split_once("\r\n\r\n").expect("blank line");
    let mut fields: Vec<String> = Vec::new();
    for line in head.split("\r\n") {
        if line.starts_with([' ', '\t']) {
            fields.last_mut().expect("field").push_str(&format!("{line}\r\n"));
        } else {
            fields.push(format!("{line}\r\n"));
        }
    }
    (fields, body.to_owned())
}

/// RFC 6376 §3.4.2 in the plainest way.
pub fn relaxed_field(field: &str) -> String {
    let (name, value) = field.split_once(':').expect("colon");
    let words: Vec<&str> = value.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect();
    format!("{}:{}\r\n", name.trim().to_lowercase(), words.join(" "))
}

/// RFC 6376 §3.4.3 and §3.4.4 in the plainest way.
pub fn canonical_body(body: &str, how: &str) -> String {
    if how == "simple" {
        return format!("{}\r\n", body.trim_end_matches("\r\n"));
    }
    let lines: Vec<String> = body
        .split("\r\n")
        .map(|line| {
            let mut out = String::new();
            for c in line.chars() {
                match c {
                    ' ' | '\t' if out.ends_with(' ') => {}
                    ' ' | '\t' => out.push(' '),
                    c => out.push(c),
                }
            }
            out.trim_end_matches(' ').to_owned()
        })
        .collect();
    let text = lines.join("\r\n");
    match text.trim_end_matches("\r\n") {
        "" => String::new(),
        text => format!("{text}\r\n"),
    }
}

pub fn sha256(text: &str) -> String {
    STANDARD.encode(digest(&SHA256, text.as_bytes()))
}

/// Signs as told: `tags` is the value of the field without `bh` and `b`. Returns the message with the field on top.
pub fn signed(raw: &str, key: &TestKey, tags: &str) -> String {
    format!("{}{raw}", signature(raw, key, "DKIM-Signature", tags))
}

/// A field of this name that signs a message as told, with its line end.
pub fn signature(raw: &str, key: &TestKey, field: &str, tags: &str) -> String {
    let (fields, body) = parts(raw);
    let get = |name: &str| {
        tags.split(';')
            .filter_map(|tag| tag.split_once('='))
            .find(|(known, _)| known.trim() == name)
            .map(|(_, v)| v.trim())
    };
    let (header_form, body_form) = match get("c").unwrap_or("simple/simple").split_once('/') {
        Some((header, body)) => (header.to_owned(), body.to_owned()),
        None => (get("c").unwrap_or("simple").to_owned(), "simple".to_owned()),
    };
    let mut hashed = canonical_body(&body, &body_form);
    if let Some(limit) = get("l").and_then(|text| text.parse::<usize>().ok()) {
        hashed.truncate(limit);
    }
    let own = format!("{field}: {tags}; bh={}; b=", sha256(&hashed));
    let canonical = |field: &str| if header_form == "relaxed" { relaxed_field(field) } else { field.to_owned() };
    let mut input = String::new();
    let mut left: Vec<&String> = fields.iter().collect();
    for name in get("h").unwrap_or("from").split(':') {
        let is_it =
            |field: &&String| field.split(':').next().unwrap_or_default().trim().eq_ignore_ascii_case(name.trim());
        if let Some(at) = left.iter().rposition(is_it) {
            input.push_str(&canonical(left.remove(at)));
        }
    }
    input.push_str(canonical(&format!("{own}\r\n")).trim_end_matches("\r\n"));
    format!("{own}{}\r\n", key.sign(input.as_bytes()))
}

/// Judges a message that came from `192.0.2.1` for `bounce@sender.example`, which has no SPF record unless the table says so.
pub fn judge(raw: &[u8], dns: &Table) -> Authentication {
    judge_with(raw, dns, &[])
}

/// As [`judge`], with sealers that are trusted.
pub fn judge_with(raw: &[u8], dns: &Table, trusted: &[&str]) -> Authentication {
    let reverse_path = ReversePath::Mailbox(EmailAddress::parse("bounce@sender.example").expect("address"));
    let envelope =
        Envelope { ip: "192.0.2.1".parse().expect("address"), helo: "mx.sender.example", reverse_path: &reverse_path };
    let trusted: Vec<Domain> = trusted.iter().map(|name| Domain::parse(name).expect("domain")).collect();
    let terms = Terms { trusted_sealers: &trusted, enforcement: DmarcEnforcement::Reject, sample: 0 };
    let now = UnixMicros::from_seconds(NOW);
    Examination::begin(raw, envelope, now).conclude(dns, &terms).expect("everything is known").0
}
