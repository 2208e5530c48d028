//! The record of a domain's wishes (RFC 7489 §6.3 and §6.4). Tags that are unknown or mistaken are passed over, as the
//! standard has it.

use super::super::tags::is_space;
use super::destinations::Destination;
use postfleet_core::EmailAddress;
use postfleet_core::authentication::DmarcPolicy;

/// Addresses for reports that are read.
const REPORTS_TO_MAX: usize = 10;

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// For mail of the domain itself.
    pub policy: DmarcPolicy,
    /// For mail of names below it, if it differs (`sp`).
    pub of_subdomains: Option<DmarcPolicy>,
    /// For mail of names below it that do not exist (`np`, RFC 9091).
    pub of_missing: Option<DmarcPolicy>,
    /// Signatures must be of the very domain (`adkim=s`).
    pub is_dkim_strict: bool,
    /// The envelope sender must be of the very domain (`aspf=s`).
    pub is_spf_strict: bool,
    /// To how many of a hundred messages the policy applies (`pct`).
    pub percent: u8,
    /// The domain is only trying: the policy is one step weaker (`t=y`).
    pub is_testing: bool,
    /// Where aggregate reports are wanted (`rua`).
    pub reports_to: Vec<Destination>,
    /// About which failures single reports are wanted (`fo`), as it stands there.
    pub failure_options: String,
}

/// Whether a text is meant as a record: its first tag says so.
pub(super) fn is_record(text: &str) -> bool {
    text.split(';').next().and_then(tag).is_some_and(|(name, value)| name == "v" && value == "DMARC1")
}

/// Reads a text that [`is_record`]. `None` if it says nothing that can be followed (§6.6.3 step 6).
pub(super) fn parse(text: &str) -> Option<Record> {
    let tags: Vec<(&str, &str)> = text.split(';').skip(1).filter_map(tag).collect();
    let get = |name: &str| tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    let reports_to = get("rua").map(reports_to).unwrap_or_default();
    let mut record = Record {
        policy: DmarcPolicy::None,
        of_subdomains: get("sp").and_then(DmarcPolicy::parse),
        of_missing: get("np").and_then(DmarcPolicy::parse),
        is_dkim_strict: get("adkim").is_some_and(|mode| mode.eq_ignore_ascii_case("s")),
        is_spf_strict: get("aspf").is_some_and(|mode| mode.eq_ignore_ascii_case("s")),
        percent: get("pct").and_then(|text| text.parse().ok()).filter(|percent| *percent <= 100).unwrap_or(100),
        is_testing: get("t").is_some_and(|flag| flag.eq_ignore_ascii_case("y")),
        reports_to,
        failure_options: get("fo").filter(|text| is_failure_options(text)).unwrap_or("0").to_owned(),
    };
    let is_mistaken = |name: &str| get(name).is_some_and(|word| DmarcPolicy::parse(word).is_none());
    match get("p").and_then(DmarcPolicy::parse) {
        Some(policy) if !is_mistaken("sp") && !is_mistaken("np") => record.policy = policy,
        _ if record.reports_to.is_empty() => return None,
        // Somebody wants to know about it, and nobody knows what else is wanted.
        _ => (record.policy, record.of_subdomains, record.of_missing) = (DmarcPolicy::None, None, None),
    }
    Some(record)
}

fn tag(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    Some((name.trim_matches(is_space), value.trim_matches(is_space)))
}

/// Whether a text is a list of the options of §6.3.
fn is_failure_options(text: &str) -> bool {
    text.len() <= 7 && text.split(':').all(|option| matches!(option, "0" | "1" | "d" | "s"))
}

/// `mailto:` addresses with their limits (§6.2); other ways are passed over.
fn reports_to(list: &str) -> Vec<Destination> {
    list.split(',').filter_map(|uri| report_to(uri.trim_matches(is_space))).take(REPORTS_TO_MAX).collect()
}

fn report_to(uri: &str) -> Option<Destination> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("mailto") {
        return None;
    }
    let (address, limit) = match rest.rsplit_once('!') {
        Some((address, limit)) => (address, Some(octets(limit)?)),
        None => (rest, None),
    };
    let address = address.split('?').next().unwrap_or_default();
    Some(Destination { address: EmailAddress::parse(&unescape(address)?).ok()?, octets_max: limit })
}

fn octets(limit: &str) -> Option<u64> {
    let digits = limit.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &limit[digits.len()..] {
        "" => 1,
        unit if unit.eq_ignore_ascii_case("k") => 1 << 10,
        unit if unit.eq_ignore_ascii_case("m") => 1 << 20,
        unit if unit.eq_ignore_ascii_case("g") => 1 << 30,
        unit if unit.eq_ignore_ascii_case("t") => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok().map(|number| number.saturating_mul(factor))
}

/// Takes `%xx` for the octet that it stands for (RFC 3986 §2.1).
fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                out.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest = after;
            }
            (byte, after) => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(out).ok()
}
