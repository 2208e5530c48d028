//! How reports are forged: sixteen ways, each of which makes as many different ones as are asked for.

use crate::forgeries::{Genuine, Taken};
use postfleet_core::id::MessageId;
use postfleet_core::return_path::ReturnPaths;
use postfleet_core::{Domain, UnixMicros};
use postfleet_mailflow::Platform;

/// The address that is registered for complaints.
pub const REGISTERED: &str = "complaints@mx.world.test";

/// The letters of return paths.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What is offered to the server.
pub struct Forgery {
    /// Nobody if empty.
    pub from: &'static str,
    pub to: String,
    pub raw: String,
}

/// A way to forge.
pub struct Kind<'a> {
    pub name: &'static str,
    /// How many of ten thousand.
    pub share: usize,
    /// Whether the server must refuse it; others are taken as mail, and count for nothing.
    pub is_refused: bool,
    pub make: fn(&mut Forger<'a>) -> Forgery,
}

/// All of them.
pub fn all<'a>() -> [Kind<'a>; 16] {
    [
        Kind { name: "bits flipped", share: 2_000, is_refused: true, make: Forger::bit_flip },
        Kind { name: "made up", share: 600, is_refused: true, make: Forger::made_up },
        Kind { name: "of two messages", share: 600, is_refused: true, make: Forger::of_two_messages },
        Kind { name: "another domain", share: 300, is_refused: true, make: Forger::another_domain },
        Kind { name: "expired", share: 600, is_refused: true, make: Forger::expired },
        Kind { name: "another key", share: 500, is_refused: true, make: Forger::another_key },
        Kind { name: "a stranger in a report", share: 800, is_refused: false, make: Forger::stranger },
        Kind {
            name: "a recipient of another message",
            share: 600,
            is_refused: false,
            make: Forger::recipient_of_another,
        },
        Kind { name: "a name that is nearly right", share: 700, is_refused: false, make: Forger::nearly_right },
        Kind { name: "to the mailbox itself", share: 600, is_refused: false, make: Forger::about_the_mailbox },
        Kind { name: "replay", share: 1_200, is_refused: false, make: Forger::replay },
        Kind { name: "complaint without a message of ours", share: 600, is_refused: false, make: Forger::unquoted },
        Kind { name: "complaint from elsewhere", share: 300, is_refused: false, make: Forger::by_elsewhere },
        Kind { name: "nested", share: 280, is_refused: false, make: Forger::nested },
        Kind { name: "malformed", share: 300, is_refused: false, make: Forger::malformed },
        Kind { name: "huge", share: 20, is_refused: false, make: Forger::huge },
    ]
}

/// A report of delivery.
pub fn dsn(recipient: &str, status: &str, diagnostic: &str) -> String {
    let group = format!(
        "Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\nDiagnostic-Code: smtp; {diagnostic}\r\n\r\n"
    );
    dsn_of(&group)
}

fn dsn_of(groups: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.sender.test\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nThis is the mail system.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.sender.test\r\n\r\n{groups}--b--\r\n"
    )
}

/// A complaint, with the message that it quotes if that is not empty.
pub fn complaint(mail_from: &str, recipient: &str, quoted: &str) -> String {
    let quoted = match quoted {
        "" => String::new(),
        quoted => format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{quoted}\r\n"),
    };
    format!(
        "From: feedback@isp.test\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nSpam.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Isp/1\r\nVersion: 1\r\n\
         Original-Mail-From: <{mail_from}>\r\nOriginal-Rcpt-To: <{recipient}>\r\n\r\n{quoted}--b--\r\n"
    )
}

/// Who forges: it has seen every message that left, and every genuine report.
pub struct Forger<'a> {
    chance: u64,
    made: usize,
    flips: usize,
    platform: &'a Platform,
    all: &'a [Genuine],
    /// The genuine reports so far.
    pub seen: Vec<Taken>,
}

impl<'a> Forger<'a> {
    pub fn new(seed: u64, platform: &'a Platform, all: &'a [Genuine]) -> Self {
        Self { chance: seed, made: 0, flips: 0, platform, all, seen: Vec::new() }
    }

    /// A number below `limit` (SplitMix64).
    fn below(&mut self, limit: usize) -> usize {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    fn any(&mut self) -> &'a Genuine {
        let at = self.below(self.all.len());
        &self.all[at]
    }

    fn number(&mut self) -> usize {
        self.made += 1;
        self.made
    }

    /// A report that would count if its return path were genuine.
    fn true_report(&mut self, about: &Genuine) -> String {
        let recipient = &about.recipients[self.below(3)];
        match self.below(3) {
            0 => dsn(recipient, "5.1.1", "550 5.1.1 no such user"),
            1 => complaint(&about.path, recipient, &about.raw),
            _ => in_words(recipient),
        }
    }

    fn by(&mut self, to: String, about: &Genuine) -> Forgery {
        Forgery { from: "", to, raw: self.true_report(about) }
    }

    /// Every bit of every position in turn; a bit that only changes the case is another one.
    fn bit_flip(&mut self) -> Forgery {
        loop {
            let at = self.flips;
            self.flips += 1;
            let about = &self.all[at / 400 % self.all.len()];
            let mut octets = about.path.clone().into_bytes();
            octets[at / 8 % 50] ^= 1 << (at % 8);
            let to: String = octets.into_iter().map(char::from).collect();
            if !to.eq_ignore_ascii_case(&about.path) {
                return self.by(to, about);
            }
        }
    }

    fn made_up(&mut self) -> Forgery {
        let about = self.any();
        let token: String = (0..48).map(|_| char::from(ALPHABET[self.below(32)])).collect();
        self.by(format!("b-{token}@{}", domain(&about.path)), about)
    }

    /// The beginning of one, the end of another: among them every signature of another message of the same mailbox, of
    /// another mailbox, and of another tenant.
    fn of_two_messages(&mut self) -> Forgery {
        loop {
            let (one, other) = (self.any(), self.any());
            let at = 2 + self.below(48);
            let to = format!("{}{}@{}", &one.path[..at], &local(&other.path)[at..], domain(&one.path));
            let is_genuine = self.all.iter().any(|genuine| genuine.path == to);
            // The same letters at another tenant's domain are another forgery.
            if !is_genuine && local(&one.path) != local(&other.path) {
                return self.by(to, one);
            }
        }
    }

    fn another_domain(&mut self) -> Forgery {
        let about = self.any();
        let elsewhere = match domain(&about.path) {
            "acme.test" => "other.test",
            _ => "acme.test",
        };
        let number = self.number();
        let domains = [
            elsewhere.to_owned(),
            format!("x{number}.acme.test"),
            "mx.world.test".into(),
            format!("acme.test.x{number}.test"),
        ];
        let to = format!("{}@{}", local(&about.path), domains[self.below(4)]);
        self.by(to, about)
    }

    fn message_of(&self, about: &Genuine) -> MessageId {
        let path = about.path.parse().expect("address");
        match self.platform.keys.return_paths().read(&path, self.platform.clock.now()) {
            postfleet_core::return_path::Reading::Genuine { message } => message,
            other => panic!("a path that was made here is {other:?}"),
        }
    }

    /// Made with the right key, for a day that is past, or to come.
    fn expired(&mut self) -> Forgery {
        let about = self.any();
        let days = [31 + self.below(5_000) as i64, -(2 + self.below(5_000) as i64)][usize::from(self.below(4) == 0)];
        let at = UnixMicros::from_seconds(self.platform.clock.now().as_seconds() - days * 86_400);
        let at_domain = Domain::parse(domain(&about.path)).expect("domain");
        let path = self.platform.keys.return_paths().make(self.message_of(about), &at_domain, at).expect("a time");
        self.by(path.to_string(), about)
    }

    fn another_key(&mut self) -> Forgery {
        let about = self.any();
        let mut key = [0; 32];
        key.fill_with(|| self.below(256) as u8);
        let at_domain = Domain::parse(domain(&about.path)).expect("domain");
        let now = self.platform.clock.now();
        let path = ReturnPaths::new(key).make(self.message_of(about), &at_domain, now).expect("a time");
        self.by(path.to_string(), about)
    }

    fn stranger(&mut self) -> Forgery {
        let about = self.any();
        let number = self.number();
        let stranger = [format!("s{number}@sender.test"), format!("s{number}@elsewhere.test")][self.below(2)].clone();
        let raw = match self.below(4) {
            0 => dsn(&stranger, "5.1.1", "550 5.1.1 no such user"),
            1 => complaint(&about.path, &stranger, &about.raw),
            2 => in_words(&stranger),
            _ => dsn(&stranger, "5.1.1", &format!("550 5.1.1 <{}> user unknown", about.recipients[0])),
        };
        Forgery { from: "", to: about.path.clone(), raw }
    }

    fn recipient_of_another(&mut self) -> Forgery {
        loop {
            let (about, other) = (self.any(), self.any());
            if about.path != other.path {
                return Forgery { from: "", to: about.path.clone(), raw: self.true_report(other) };
            }
        }
    }

    /// Addresses that look like a recipient's, or hold it, and are another one or none.
    fn nearly_right(&mut self) -> Forgery {
        let about = self.any();
        let right = about.recipients[self.below(3)].clone();
        let (name, _) = right.split_once('@').expect("address");
        let number = self.number();
        let named = match self.below(14) {
            0 => format!("{name}+{number}@sender.test"),
            1 => format!("{name}@sender.test.x{number}.test"),
            2 => format!("{name}%sender.test@x{number}.test"),
            3 => format!("\"{right}\"@x{number}.test"),
            4 => format!("@x{number}.test:{right}"),
            5 => format!("{name}{number}@sender.test"),
            6 => format!("{}{number}", name),
            7 => {
                format!("{}@sender.test", name.replace('a', "\u{430}").replace('b', "\u{184}").replace('c', "\u{441}"))
            }
            8 => format!("{name}\u{200b}@sender.test"),
            9 => format!("{name}@sender.test, x{number}@y.test"),
            10 => format!("{name}@x{number}.sender.test"),
            11 => format!("{name}.@sender.test"),
            12 => format!("x{number}@y.test ({right})"),
            _ => format!("\"{right}\" <x{number}@y.test>"),
        };
        Forgery { from: "", to: about.path.clone(), raw: dsn(&named, "5.1.1", "550 5.1.1 no such user") }
    }

    /// A report that would count by the return path, quoting everything, sent to the mailbox.
    fn about_the_mailbox(&mut self) -> Forgery {
        let about = self.any();
        let raw = self.true_report(about);
        let quoted =
            raw.replace("--b--\r\n", &format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{}\r\n--b--\r\n", about.raw));
        Forgery { from: "", to: about.sender.clone(), raw: quoted }
    }

    /// A genuine report again: as it was, under other names, in other words, at another time, by another reporter.
    fn replay(&mut self) -> Forgery {
        if self.seen.is_empty() {
            return self.about_the_mailbox();
        }
        let at = self.below(self.seen.len());
        let taken = self.seen[at].clone();
        let about = &self.all[taken.message];
        let number = self.number();
        let (from, to, raw) = (taken.from, taken.to, taken.raw);
        let path = about.path.clone();
        let (to, raw) = match (self.below(8), taken.is_complaint) {
            (0, _) => (to, raw),
            (1, _) => (to, format!("Message-ID: <{number}@replay.test>\r\n{raw}")),
            (2, _) => (to.to_uppercase(), raw),
            (3, _) => {
                (to, raw.replace("mx.sender.test", &format!("mx{number}.relay.test")).replace("Isp/1", "Other/2"))
            }
            (4, false) => (to, dsn(&taken.recipient.to_uppercase(), "5.1.1", &format!("550 5.1.1 gone {number}"))),
            (5, false) => (to, in_words(&taken.recipient)),
            (6, false) => (to, dsn(&taken.recipient, "5.2.1", "550 5.2.1 disabled")),
            (4, true) => (path, complaint("x@y.test", &taken.recipient.to_uppercase(), "")),
            (5, true) => (path.to_uppercase(), raw.replace("abuse", "fraud")),
            (6, true) => (REGISTERED.to_owned(), complaint(&path.to_uppercase(), &taken.recipient, "")),
            (_, _) => {
                (to, format!("Received: from x{number}.test by mx.world.test; Mon, 2 Mar 2026 11:00:00 +0000\r\n{raw}"))
            }
        };
        Forgery { from, to, raw }
    }

    /// A complaint at the registered address that quotes nothing of ours, or not as it left.
    fn unquoted(&mut self) -> Forgery {
        let about = self.any();
        let recipient = about.recipients[self.below(3)].clone();
        let number = self.number();
        let hidden = format!("redacted{number}@{}", domain(&about.path));
        let changed = self.bit_flip().to;
        let changed: String = changed.chars().filter(|c| c.is_ascii_graphic()).collect();
        let without = |raw: &str| raw.replace(&about.path, &hidden);
        let raw = match self.below(7) {
            0 => complaint(&hidden, &recipient, ""),
            1 => complaint(&changed, &recipient, &without(&about.raw)),
            2 => complaint(&hidden, &recipient, &about.raw.replace(&about.path, &changed)),
            // What is not in the header of the quoted message was not signed.
            3 => complaint(
                &hidden,
                &recipient,
                &format!("{}\r\nX-Feedback-Token: {}\r\n", without(&about.raw), about.path),
            ),
            4 => complaint(&hidden, &about.path, ""),
            5 => complaint(&hidden, &recipient, "")
                .replace("Subject: complaint", &format!("X-Feedback-Token: {}", about.path)),
            _ => complaint(
                &hidden,
                &recipient,
                &format!("From: agent@acme.test\r\nMessage-ID: <never{number}@acme.test>\r\n\r\nHi\r\n"),
            ),
        };
        Forgery { from: "fbl@isp.test", to: REGISTERED.to_owned(), raw }
    }

    /// A complaint that quotes a message of ours, and comes to a mailbox, to nobody, or is a bounce at the registered
    /// address.
    fn by_elsewhere(&mut self) -> Forgery {
        let about = self.any();
        let recipient = about.recipients[self.below(3)].clone();
        let raw = complaint(&about.path, &recipient, &about.raw);
        let number = self.number();
        match self.below(4) {
            0 => Forgery { from: "fbl@isp.test", to: about.sender.clone(), raw },
            1 => Forgery { from: "fbl@isp.test", to: format!("complaints{number}@acme.test"), raw },
            2 => Forgery { from: "fbl@isp.test", to: "complaints@acme.test".to_owned(), raw },
            _ => {
                Forgery { from: "", to: REGISTERED.to_owned(), raw: dsn(&recipient, "5.1.1", "550 5.1.1 no such user") }
            }
        }
    }

    /// A report in a message in a message, to a mailbox; or around a report about somebody else.
    fn nested(&mut self) -> Forgery {
        let about = self.any();
        let mut raw = self.true_report(about);
        for depth in 0..1 + self.below(30) {
            raw = format!(
                "From: a@sender.test\r\nSubject: Fwd\r\nContent-Type: multipart/mixed; boundary=n{depth}\r\n\r\n\
                 --n{depth}\r\nContent-Type: message/rfc822\r\n\r\n{raw}\r\n--n{depth}--\r\n"
            );
        }
        if self.below(2) == 0 {
            return Forgery { from: "", to: about.sender.clone(), raw };
        }
        let number = self.number();
        let around = dsn(&format!("s{number}@elsewhere.test"), "5.1.1", "550 5.1.1 no such user");
        let raw =
            around.replace("--b--\r\n", &format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{raw}\r\n--b--\r\n"));
        Forgery { from: "", to: about.path.clone(), raw }
    }

    /// A report about somebody else, cut off or with octets changed.
    fn malformed(&mut self) -> Forgery {
        let number = self.number();
        let mut octets = dsn(&format!("s{number}@elsewhere.test"), "5.1.1", "550 5.1.1 no such user").into_bytes();
        match self.below(3) {
            0 => octets.truncate(self.below(octets.len())),
            1 => {
                for _ in 0..1 + self.below(40) {
                    let at = self.below(octets.len());
                    octets[at] = self.below(128) as u8;
                }
            }
            _ => {
                let (from, to) = (self.below(octets.len()), self.below(octets.len()));
                octets.drain(from.min(to)..from.max(to));
            }
        }
        let raw = octets.into_iter().map(char::from).collect();
        Forgery { from: "", to: self.any().path.clone(), raw }
    }

    /// Thousands of strangers, or a long text.
    fn huge(&mut self) -> Forgery {
        let about = self.any();
        let number = self.number();
        let raw = match self.below(2) {
            0 => {
                let group = |stranger: usize| {
                    format!(
                        "Final-Recipient: rfc822; s{number}x{stranger}@sender.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
                    )
                };
                dsn_of(&(0..5_000).map(group).collect::<String>())
            }
            _ => dsn(&format!("s{number}@sender.test"), "5.1.1", &"no such user ".repeat(50_000)),
        };
        Forgery { from: "", to: about.path.clone(), raw }
    }
}

/// A report in the words of a mail system.
fn in_words(recipient: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.sender.test\r\nSubject: failure notice\r\n\r\n\
         Hi. This is the qmail-send program at mx.sender.test.\r\n\
         I'm afraid I wasn't able to deliver your message to the following addresses.\r\n\r\n\
         <{recipient}>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n"
    )
}

fn local(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(local, _)| local)
}

fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}
