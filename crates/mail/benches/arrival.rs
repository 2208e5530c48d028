//! What reading a message that arrives costs, proving who sent it when all that the DNS says is at hand, and looking at what
//! it says: the steps of receiving that need neither store nor network, each alone and all together.
//!
//! `cargo bench -p postfleet-mail --bench arrival`: messages of 10 KB with one signature of 2048 bits (RSA), one of plain
//! text and one with markup beside it; microseconds of the processor's time.

mod timing;

use postfleet_core::assessment::Assessment;
use postfleet_core::authentication::{AuthResult, Authentication, DmarcEnforcement};
use postfleet_core::dns::{Answer, Question, RecordKind, Records};
use postfleet_core::spam::TokenHasher;
use postfleet_core::suspicion::Suspicion;
use postfleet_core::{Domain, EmailAddress, ReversePath, UnixMicros};
use postfleet_mail::authentication::dkim::KeyCache;
use postfleet_mail::authentication::{Dns, Envelope, Examination, Terms, results};
use postfleet_mail::dkim::{self, Algorithm, Signer};
use postfleet_mail::message::Parsed;
use postfleet_mail::spam::{self, Looked, Surroundings};
use postfleet_mail::suspicion::{self, Lexicon};
use postfleet_mail::trace::{self, Hop, Protocol};
use postfleet_mail::{exchange, feedback, ingress};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let key = dkim::generate(Algorithm::RsaSha256).expect("key");
    let signer = Signer::new(domain("news.sender.example"), domain("s2026"), &key).expect("signer");
    let (dns, lexicon) = (Table::of_sender(&key.public_dns), Lexicon::new());
    for (name, content_type, body) in [
        ("plain", "text/plain; charset=utf-8", plain(9_000)),
        ("alternative", "multipart/alternative;\r\n boundary=\"part\"", alternative(9_000)),
    ] {
        let raw = message(&signer, content_type, &body);
        println!("{name}, {} octets", raw.len());
        measure(&raw, &dns, &lexicon);
    }
}

/// What every step is given.
struct Arrival<'a> {
    raw: &'a [u8],
    dns: &'a Table,
    reverse_path: ReversePath,
    host: Domain,
    keys: KeyCache,
    lexicon: &'a Lexicon,
}

const IP: &str = "192.0.2.25";
const HELO: &str = "mail.sender.example";
const NOW: UnixMicros = UnixMicros::from_seconds(1_772_445_600);

fn measure(raw: &[u8], dns: &Table, lexicon: &Lexicon) {
    let reverse_path = ReversePath::Mailbox(EmailAddress::parse("bounce+17@news.sender.example").expect("address"));
    let (host, keys) = (domain("mx.fleet.test"), KeyCache::default());
    let arrival = Arrival { raw, dns, reverse_path, host, keys, lexicon };
    let found = arrival.authenticate();
    assert_eq!((found.spf.result, found.dkim[0].result), (AuthResult::Pass, AuthResult::Pass));
    assert_eq!((found.dmarc.result, found.iprev), (AuthResult::Pass, AuthResult::Pass));
    show("loop looked for", || trace::count_received(raw));
    show("read", || Parsed::of_arrival(raw, false));
    show("authentication begun", || arrival.begin());
    let begun = arrival.begin();
    show("authentication concluded", || arrival.conclude(&begun));
    show("read, and looked at for orders", || suspicion::look(lexicon, &Parsed::of_arrival(raw, false)));
    show("read, and looked at for spam", || arrival.look(&Parsed::of_arrival(raw, false)));
    show("read, and looked at for both", || arrival.look_for_both());
    show("lines above it, and its copy", || arrival.written(&found));
    let written = arrival.written(&found);
    show("count of answers looked for", || exchange::hops(&written));
    show("report looked for", || feedback::may_be_report(raw));
    let assessment = Assessment { authentication: found, ..Assessment::default() };
    show("what was found as JSON", || serde_json::to_string(&assessment));
    show("all", || {
        let found = arrival.authenticate();
        let written = arrival.written(&found);
        let assessment = Assessment { authentication: found, ..Assessment::default() };
        (
            trace::count_received(raw),
            arrival.look_for_both(),
            exchange::hops(&written),
            feedback::may_be_report(raw),
            serde_json::to_string(&assessment),
        )
    });
}

impl<'a> Arrival<'a> {
    fn begin(&self) -> Examination<'_> {
        let envelope = Envelope { ip: ip(), helo: HELO, reverse_path: &self.reverse_path };
        Examination::begin(self.raw, envelope, NOW).with(&self.keys)
    }

    fn conclude(&self, examination: &Examination<'_>) -> Authentication {
        let terms = Terms { trusted_sealers: &[], enforcement: DmarcEnforcement::Quarantine, sample: 0 };
        examination.conclude(self.dns, &terms).expect("everything is known").0
    }

    fn authenticate(&self) -> Authentication {
        self.conclude(&self.begin())
    }

    /// Looks for spam.
    fn look(&self, message: &Parsed<'_>) -> Looked {
        let hasher = TokenHasher::new([1, 2]);
        spam::look(message, &Surroundings { now: NOW, hostname: self.host.as_str(), hasher })
    }

    fn look_for_both(&self) -> (Suspicion, Looked) {
        let message = Parsed::of_arrival(self.raw, false);
        (suspicion::look(self.lexicon, &message), self.look(&message))
    }

    fn written(&self, found: &Authentication) -> Vec<u8> {
        let host = self.host.as_str();
        let results = results::field(&results::Hop { host, ip: ip(), is_null_sender: false }, found);
        let mut written = trace::received_header(&Hop {
            reverse_path: &self.reverse_path,
            helo: HELO,
            ip: ip(),
            host,
            protocol: Protocol { is_extended: true, is_encrypted: true, ..Protocol::default() },
            id: "0195571d-5c00-7000-8000-000000000001",
            single_recipient: None,
            received_at: NOW,
            results: &results,
        });
        let kept = ingress::kept(self.raw, &self.host);
        written.reserve_exact(kept.iter().map(|piece| piece.len()).sum());
        kept.iter().for_each(|piece| written.extend_from_slice(piece));
        written
    }
}

/// All that the DNS says.
struct Table(HashMap<Question, Arc<Answer>>);

impl Dns for Table {
    fn answer(&self, question: &Question) -> Option<Arc<Answer>> {
        Some(self.0.get(question).cloned().unwrap_or_else(|| Arc::new(Answer::Missing)))
    }
}

impl Table {
    fn of_sender(key: &str) -> Self {
        let text = |text: &str| Records::Texts(vec![text.to_owned()]);
        let address = || Records::Addresses(vec![ip()]);
        let of = |name: &str, kind, records| (Question::new(name, kind), Arc::new(Answer::Found(records)));
        Self(HashMap::from([
            of("news.sender.example", RecordKind::Txt, text("v=spf1 include:_spf.sender.example ~all")),
            of("_spf.sender.example", RecordKind::Txt, text("v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 -all")),
            of("mail.sender.example", RecordKind::Txt, text("v=spf1 a -all")),
            of("mail.sender.example", RecordKind::A, address()),
            of("25.2.0.192.in-addr.arpa", RecordKind::Ptr, Records::Names(vec!["mail.sender.example.".to_owned()])),
            of("s2026._domainkey.news.sender.example", RecordKind::Txt, text(key)),
            of("_dmarc.sender.example", RecordKind::Txt, text("v=DMARC1; p=quarantine; rua=mailto:d@sender.example")),
        ]))
    }
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).expect("domain")
}

fn ip() -> IpAddr {
    IP.parse().expect("address")
}

/// Prints the microseconds of a step.
fn show<T>(step: &str, run: impl FnMut() -> T) {
    println!("  {step:<30} {:8.2} µs", timing::best(run));
}

/// A message as it comes from a large sender by way of another server.
fn message(signer: &Signer, content_type: &str, body: &str) -> Vec<u8> {
    let written = format!(
        "From: =?utf-8?Q?Caf=C3=A9_News?= <news@sender.example>\r\nTo: \"Agent, One\" <agent@fleet.test>\r\n\
         Subject: Your order 4711 is on its way\r\nDate: Mon, 2 Mar 2026 09:58:00 +0000\r\n\
         Message-ID: <20260302.4711.abcdef@news.sender.example>\r\nReply-To: Support <support@sender.example>\r\n\
         References: <20260301.4711.first@fleet.test>\r\n <20260301.4711.second@news.sender.example>\r\n\
         In-Reply-To: <20260301.4711.second@news.sender.example>\r\nMIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\
         Feedback-ID: 17:order:sender\r\nX-Mailer: Shop 4.2\r\n\r\n{body}"
    );
    let mut raw = b"Received: from app7.sender.example (app7.sender.example [198.51.100.7])\r\n\tby mail.sender.example with \
        ESMTPS id 4aBcDe12; Mon, 2 Mar 2026 09:59:58 +0000 (UTC)\r\nReceived: from localhost (localhost [127.0.0.1])\r\n\tby \
        app7.sender.example with ESMTP id 4aBcDd11; Mon, 2 Mar 2026 09:59:57 +0000 (UTC)\r\n"
        .to_vec();
    raw.extend(signer.sign(written.as_bytes(), NOW.minus(std::time::Duration::from_secs(60))).expect("signature"));
    raw.extend(written.as_bytes());
    raw
}

fn plain(octets: usize) -> String {
    let mut text = String::new();
    for number in 1.. {
        if text.len() >= octets {
            break;
        }
        text.push_str(&format!(
            "Item {number} of the order from w{} is on its way to customer c{}, by parcel.\r\n",
            number % 97,
            number % 61
        ));
    }
    text
}

/// Plain text, and the same as markup.
fn alternative(octets: usize) -> String {
    let plain = plain(octets * 2 / 5);
    let rows: String = plain.lines().map(|line| format!("<tr><td style=\"margin:0\">{line}</td></tr>\r\n")).collect();
    format!(
        "--part\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{plain}\r\n--part\r\nContent-Type: text/html; \
         charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><body><table>\r\n{}</table></body></html>\r\n\
         --part--\r\n",
        rows.replace('=', "=3D")
    )
}
