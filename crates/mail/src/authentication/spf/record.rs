//! The text of an SPF record (RFC 7208 §4.6 and §12). All of it is read before any of it is used: one mistake anywhere
//! makes it no record.

use super::macros::Macros;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A record.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Record {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<Macros>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) qualifier: Qualifier,
    pub(super) mechanism: Mechanism,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(Macros),
    A(Target),
    Mx(Target),
    Ptr(Option<Macros>),
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(Macros),
}

/// A domain (the current one if absent) and how many bits of its addresses count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) domain: Option<Macros>,
    pub(super) v4: u8,
    pub(super) v6: u8,
}

/// What is wrong with a record.
pub(super) type Mistake = String;

/// Whether a text is meant as a record (§4.5).
pub(super) fn is_record(text: &str) -> bool {
    let (version, rest) = text.split_at(text.len().min(6).min(text.floor_char_boundary(6)));
    version.eq_ignore_ascii_case("v=spf1") && (rest.is_empty() || rest.starts_with(' '))
}

/// Reads a text that [`is_record`].
pub(super) fn parse(text: &str) -> Result<Record, Mistake> {
    let mut record = Record::default();
    let mut has_exp = false;
    for term in text.get(6..).unwrap_or_default().split(' ').filter(|term| !term.is_empty()) {
        let end = term.find([':', '/', '=']).unwrap_or(term.len());
        let (name, argument) = term.split_at(end);
        let Some(value) = argument.strip_prefix('=') else {
            record.directives.push(directive(name, argument).map_err(|what| format!("{what} in \"{}\"", short(term)))?);
            continue;
        };
        let mistake = || format!("mistake in \"{}\"", short(term));
        if name.eq_ignore_ascii_case("redirect") {
            let target = Macros::domain(value).ok_or_else(mistake)?;
            if record.redirect.replace(target).is_some() {
                return Err("redirect stands there twice".to_owned());
            }
        } else if name.eq_ignore_ascii_case("exp") {
            // Only looked at for mistakes: we give no explanations of others.
            Macros::domain(value).ok_or_else(mistake)?;
            if std::mem::replace(&mut has_exp, true) {
                return Err("exp stands there twice".to_owned());
            }
        } else if !is_modifier_name(name) || Macros::text(value).is_none() {
            return Err(mistake());
        }
    }
    Ok(record)
}

fn short(term: &str) -> String {
    term.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// §12 `name`.
fn is_modifier_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn directive(name: &str, argument: &str) -> Result<Directive, &'static str> {
    let (qualifier, name) = match name.as_bytes().first() {
        Some(b'+') => (Qualifier::Pass, &name[1..]),
        Some(b'-') => (Qualifier::Fail, &name[1..]),
        Some(b'~') => (Qualifier::SoftFail, &name[1..]),
        Some(b'?') => (Qualifier::Neutral, &name[1..]),
        _ => (Qualifier::Pass, name),
    };
    let mistake = "mistake";
    let target = || argument.strip_prefix(':').and_then(Macros::domain).ok_or(mistake);
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if argument.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(target()?),
        "exists" => Mechanism::Exists(target()?),
        "ptr" if argument.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(target()?)),
        "a" => Mechanism::A(addresses(argument).ok_or(mistake)?),
        "mx" => Mechanism::Mx(addresses(argument).ok_or(mistake)?),
        "ip4" => {
            let (network, bits) = network(argument, 32).ok_or(mistake)?;
            Mechanism::Ip4(network.parse().map_err(|_| mistake)?, bits)
        }
        "ip6" => {
            let (network, bits) = network(argument, 128).ok_or(mistake)?;
            Mechanism::Ip6(network.parse().map_err(|_| mistake)?, bits)
        }
        "all" => return Err(mistake),
        _ => return Err("unknown mechanism"),
    };
    Ok(Directive { qualifier, mechanism })
}

/// `[ ":" domain-spec ] [ dual-cidr-length ]`. A domain may have slashes in it, so the lengths are taken from the end.
fn addresses(argument: &str) -> Option<Target> {
    let (rest, v6) = match argument.rsplit_once("//") {
        Some((rest, bits)) if is_number(bits) => (rest, length(bits, 128)?),
        _ => (argument, 128),
    };
    let (rest, v4) = match rest.rsplit_once('/') {
        // "//" that is no length belongs to the domain, if there is one.
        Some((before, bits)) if is_number(bits) && !before.ends_with('/') => (before, length(bits, 32)?),
        _ => (rest, 32),
    };
    let domain = match rest {
        "" => None,
        rest => Some(Macros::domain(rest.strip_prefix(':')?)?),
    };
    Some(Target { domain, v4, v6 })
}

fn network(argument: &str, most: u8) -> Option<(&str, u8)> {
    let argument = argument.strip_prefix(':')?;
    match argument.split_once('/') {
        Some((network, bits)) => Some((network, length(bits, most)?)),
        None => Some((argument, most)),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A length without leading zeros.
fn length(text: &str, most: u8) -> Option<u8> {
    let is_plain = is_number(text) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|bits| is_plain && *bits <= most)
}
