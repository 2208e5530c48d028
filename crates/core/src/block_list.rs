//! Block lists in the DNS (RFC 5782): what a list is asked about an address or a name, what its answers mean, and what
//! is remembered of them. A list that does not answer, or that would say the same of everything, says nothing. Pure: who
//! asks the DNS is `postfleet-fleet`.

use crate::domain::Domain;
use crate::time::UnixMicros;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Characters of what a list gives as its reason that are kept.
pub const REASON_CHARS_MAX: usize = 300;

/// Lists that may be asked of each kind.
pub const ZONES_MAX: usize = 20;

/// How often in a row a list may fail to answer before what it said last counts no more.
pub const FAILURES_MAX: u32 = 3;

/// Which lists are asked, and how often. None unless the operator names some.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockLists {
    /// Lists of addresses.
    pub address_zones: Vec<Domain>,
    /// Lists of domain names.
    pub domain_zones: Vec<Domain>,
    /// How often they are asked about a domain.
    pub every: Duration,
}

impl BlockLists {
    /// Whether any list is asked.
    pub fn is_off(&self) -> bool {
        self.address_zones.is_empty() && self.domain_zones.is_empty()
    }
}

impl Default for BlockLists {
    fn default() -> Self {
        Self { address_zones: Vec::new(), domain_zones: Vec::new(), every: Duration::from_secs(6 * 3_600) }
    }
}

/// What a list is asked about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// An address from which mail leaves.
    Address(IpAddr),
    /// A domain.
    Name(String),
}

impl Subject {
    /// The name to look up in a list (RFC 5782 §2.1, §2.4, §3.1).
    pub fn question(&self, zone: &Domain) -> String {
        match self {
            Self::Address(IpAddr::V4(address)) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.{zone}")
            }
            Self::Address(IpAddr::V6(address)) => {
                let octets = address.octets();
                let nibbles = octets.iter().rev().flat_map(|octet| [octet & 0x0f, octet >> 4]);
                let nibbles: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
                format!("{nibbles}{zone}")
            }
            Self::Name(name) => format!("{name}.{zone}"),
        }
    }

    /// What a list of that kind must have, and what it must not (RFC 5782 §5). By these a list is known that is there no
    /// more, or that answers every question alike.
    pub fn test_points(&self) -> [Self; 2] {
        let v4 = |last| Self::Address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
        let v6 = |last: u8| Self::Address(IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, last.into())));
        match self {
            Self::Address(IpAddr::V4(_)) => [v4(2), v4(1)],
            Self::Address(IpAddr::V6(_)) => [v6(2), v6(1)],
            Self::Name(_) => [Self::Name("test".to_owned()), Self::Name("invalid".to_owned())],
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// What the DNS answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// There is no such entry.
    Nothing,
    /// These addresses, which are codes.
    Codes(Vec<Ipv4Addr>),
    /// No answer, and why.
    Failed(String),
}

/// What that means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The list does not have it.
    Clear,
    /// The list has it, with these codes and what it gives as its reason.
    Listed(Vec<Ipv4Addr>, String),
    /// The list said nothing that can be believed, and why.
    Unknown(String),
}

impl Verdict {
    /// A word for what is counted.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Listed(..) => "listed",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// What an answer means, without asking whether the list can be believed. Codes are in 127.0.0.0/8 (RFC 5782 §2.1);
/// 127.0.0.1 and those in 127.255.255.0/24 are how lists in use say that they do not serve whoever asks.
pub fn judge(answer: &Answer) -> Verdict {
    let codes = match answer {
        Answer::Nothing => return Verdict::Clear,
        Answer::Failed(why) => return Verdict::Unknown(why.clone()),
        Answer::Codes(codes) => codes,
    };
    let (is_refusal, is_code) = (
        |code: &&Ipv4Addr| matches!(code.octets(), [127, 255, 255, _] | [127, 0, 0, 1]),
        |code: &&Ipv4Addr| code.octets()[0] == 127,
    );
    if let Some(code) = codes.iter().find(is_refusal) {
        return Verdict::Unknown(format!("the list does not serve us: it answers {code}"));
    }
    if let Some(other) = codes.iter().find(|code| !is_code(code)) {
        return Verdict::Unknown(format!("{other} is no answer of a block list"));
    }
    let mut codes = codes.clone();
    codes.sort();
    codes.dedup();
    if codes.is_empty() { Verdict::Clear } else { Verdict::Listed(codes, String::new()) }
}

/// Whether a list can be believed, by what it says of its two test points; why not, if not.
pub fn doubt(present: &Answer, absent: &Answer) -> Option<String> {
    match (judge(present), judge(absent)) {
        (Verdict::Unknown(why), _) | (_, Verdict::Unknown(why)) => Some(why),
        (_, Verdict::Listed(..)) => Some("the list has what no list may have: it says yes to everything".to_owned()),
        (Verdict::Clear, _) => Some("the list does not have what every list has: it is empty or gone".to_owned()),
        (Verdict::Listed(..), Verdict::Clear) => None,
    }
}

/// What is remembered of what a list says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Known {
    /// The codes; none if it does not have it, or said nothing lately.
    pub codes: Vec<Ipv4Addr>,
    /// What it gives as its reason; empty if nothing.
    pub reason: String,
    /// Since when it is known to have it.
    pub since: Option<UnixMicros>,
    /// When it last gave an answer that can be believed.
    pub answered_at: Option<UnixMicros>,
    /// How often in a row it gave none.
    pub failures: u32,
    /// Why, the last time.
    pub failure: String,
}

impl Known {
    /// Whether the list has it.
    pub fn is_listed(&self) -> bool {
        !self.codes.is_empty()
    }
}

/// What is remembered after a verdict. What a list said last stays for a while when it does not answer.
pub fn after(before: &Known, verdict: &Verdict, now: UnixMicros) -> Known {
    match verdict {
        Verdict::Clear => Known { answered_at: Some(now), ..Known::default() },
        Verdict::Listed(codes, reason) => Known {
            codes: codes.clone(),
            reason: reason.clone(),
            since: before.since.or(Some(now)),
            answered_at: Some(now),
            ..Known::default()
        },
        Verdict::Unknown(why) => {
            let failures = before.failures.saturating_add(1);
            let kept = if failures < FAILURES_MAX { before.clone() } else { Known::default() };
            Known { failures, failure: why.clone(), answered_at: before.answered_at, ..kept }
        }
    }
}

/// A reason as it is kept: one line, and not too long.
pub fn reason(texts: &[String]) -> String {
    let joined = texts.join(" ");
    let words: Vec<&str> = joined.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(REASON_CHARS_MAX).collect()
}

/// Whether a list of addresses can know it: not one that only means something on some network (RFC 6890).
pub fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_of_a_network = v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared;
            // Nothing of 0/8, of groups and of what is reserved is anybody's address.
            !is_of_a_network && (1..224).contains(&a)
        }
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Domain {
        Domain::parse("list.test").unwrap()
    }

    fn codes(texts: &[&str]) -> Answer {
        Answer::Codes(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn questions_are_turned_round() {
        let address = |text: &str| Subject::Address(text.parse().unwrap());
        assert_eq!(address("192.0.2.99").question(&zone()), "99.2.0.192.list.test");
        // The example of RFC 5782 §2.4.
        let expected = "f.0.e.1.3.5.6.7.0.0.0.0.0.0.0.0.b.b.b.b.a.a.a.a.8.b.d.0.1.0.0.2.list.test";
        assert_eq!(address("2001:db8:aaaa:bbbb:0:0:7653:1e0f").question(&zone()), expected);
        assert_eq!(Subject::Name("acme.test".to_owned()).question(&zone()), "acme.test.list.test");
        let [present, absent] = address("192.0.2.1").test_points();
        assert_eq!(
            (present.question(&zone()), absent.question(&zone())),
            ("2.0.0.127.list.test".to_owned(), "1.0.0.127.list.test".to_owned())
        );
        let [present, absent] = address("2001:db8::1").test_points();
        assert_eq!((present.to_string(), absent.to_string()), ("::ffff:127.0.0.2".into(), "::ffff:127.0.0.1".into()));
    }

    #[test]
    fn only_codes_say_that_something_is_listed() {
        assert_eq!(judge(&Answer::Nothing), Verdict::Clear);
        let sorted = ["127.0.0.2", "127.0.0.4"].map(|code| code.parse().unwrap()).to_vec();
        assert_eq!(judge(&codes(&["127.0.0.4", "127.0.0.2", "127.0.0.4"])), Verdict::Listed(sorted, String::new()));
        for (answer, says) in [
            (codes(&["127.0.0.2", "192.0.2.1"]), "192.0.2.1 is no answer"),
            (codes(&["127.255.255.254"]), "does not serve us"),
            (codes(&["127.0.0.1"]), "does not serve us"),
            (Answer::Failed("silence".to_owned()), "silence"),
        ] {
            let Verdict::Unknown(why) = judge(&answer) else { panic!("{answer:?}") };
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_list_is_believed_that_has_what_it_must_and_not_what_it_must_not() {
        let (yes, no) = (codes(&["127.0.0.2"]), Answer::Nothing);
        assert_eq!(doubt(&yes, &no), None);
        assert!(doubt(&yes, &yes).unwrap().contains("everything"));
        assert!(doubt(&no, &no).unwrap().contains("gone"));
        assert_eq!(doubt(&Answer::Failed("x".to_owned()), &no), Some("x".to_owned()));
    }

    #[test]
    fn an_entry_is_remembered_since_when_and_forgotten_when_nobody_answers() {
        let at = UnixMicros::from_seconds;
        let listed = Verdict::Listed(vec![Ipv4Addr::new(127, 0, 0, 2)], "spam".to_owned());
        let first = after(&Known::default(), &listed, at(1));
        let second = after(&first, &listed, at(2));
        assert_eq!((second.since, second.answered_at), (Some(at(1)), Some(at(2))));
        let unknown = Verdict::Unknown("silence".to_owned());
        let mut kept = second;
        for failures in 1..=3 {
            kept = after(&kept, &unknown, at(10));
            assert_eq!((kept.failures, kept.is_listed()), (failures, failures < FAILURES_MAX));
            assert_eq!((kept.failure.as_str(), kept.answered_at), ("silence", Some(at(2))));
        }
        assert_eq!(after(&first, &Verdict::Clear, at(3)), Known { answered_at: Some(at(3)), ..Known::default() });
    }

    #[test]
    fn reasons_are_one_line() {
        assert_eq!(reason(&["listed:\r\n  see".to_owned(), "https://x.test".to_owned()]), "listed: see https://x.test");
        assert_eq!(reason(&["é".repeat(1_000)]).chars().count(), REASON_CHARS_MAX);
    }

    #[test]
    fn lists_know_public_addresses() {
        for (text, expected) in [
            ("203.0.113.7", true),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("2001:db8::1", true),
            ("fe80::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_public(&text.parse().unwrap()), expected, "{text}");
        }
    }
}
