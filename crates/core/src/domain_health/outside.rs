//! What others say of a domain, in words: block lists, and the reports of servers that took its mail or brought some.

use super::{Finding, Severity, finding};
use crate::block_list::{FAILURES_MAX, Known};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// What others say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outside {
    /// What block lists say.
    pub lists: Vec<Listing>,
    /// Who sends mail in the domain's name, those first of whose mail most was not aligned.
    pub sources: Vec<Source>,
    /// Connections to the domain's servers that other servers report.
    pub connections: u64,
    /// Those of them that failed.
    pub failed_connections: u64,
    /// What was wrong, most often.
    pub failure: Option<String>,
}

/// What a block list says of something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// The list.
    pub zone: String,
    /// The address, or the name.
    pub subject: String,
    /// Whether it is an address.
    pub is_address: bool,
    /// What the list says.
    pub known: Known,
}

/// An address that sends mail in the domain's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The address.
    pub address: String,
    /// Whether it is one of ours, if that is known.
    pub is_own: Option<bool>,
    /// How many messages.
    pub messages: u64,
    /// Those of them that were not aligned: neither SPF nor DKIM spoke for the domain.
    pub unaligned: u64,
}

/// Messages that were not aligned below which nothing is said: people forward mail, and that breaks it.
const UNALIGNED_MIN: u64 = 10;

/// Of ours it is said sooner, since nobody forwards there.
const OWN_UNALIGNED_MIN: u64 = 3;

/// Connections that failed below which nothing is said.
const FAILED_MIN: u64 = 3;

pub(super) fn findings(outside: &Outside) -> Vec<Finding> {
    let listed = outside.lists.iter().filter(|list| list.known.is_listed()).map(of_listing);
    let all = listed.chain(of_silent_lists(outside)).chain(of_own_source(outside)).chain(of_other_sources(outside));
    all.chain(of_connections(outside)).collect()
}

fn of_listing(list: &Listing) -> Finding {
    let Known { codes, reason, since, .. } = &list.known;
    let codes: Vec<String> = codes.iter().map(Ipv4Addr::to_string).collect();
    let what = if list.is_address { ", from which the domain's mail leaves," } else { "" };
    let since = since.map(|time| format!(" since {}", time.day())).unwrap_or_default();
    let why = if reason.is_empty() { ".".to_owned() } else { format!(": {reason}") };
    let text = format!("{}{what} is on the block list {}{since} ({}){why}", list.subject, list.zone, codes.join(", "));
    let remedy = match list.is_address {
        true => "end what caused it, ask the list to take the address off, and send from another one meanwhile",
        false => "end what caused it, then ask the list to take the domain off",
    };
    finding("block_listed", Severity::Critical, text, remedy)
}

/// Lists that have said nothing for so long that nothing is known of them.
fn of_silent_lists(outside: &Outside) -> Vec<Finding> {
    let mut told = BTreeSet::new();
    let silent = outside.lists.iter().filter(|list| list.known.failures >= FAILURES_MAX);
    silent
        .filter(|list| told.insert(&list.zone))
        .map(|list| {
            let Known { failures, failure, .. } = &list.known;
            let text = format!("The block list {} cannot be asked, {failures} times in a row: {failure}.", list.zone);
            let remedy = "see whether the list serves your name servers, or take it out of the configuration";
            finding("block_list_silent", Severity::Info, text, remedy)
        })
        .collect()
}

fn of_own_source(outside: &Outside) -> Option<Finding> {
    let own = |source: &&Source| source.is_own == Some(true) && source.unaligned >= OWN_UNALIGNED_MIN;
    let Source { address, messages, unaligned, .. } = outside.sources.iter().find(own)?;
    let text = format!(
        "{} of {} messages from {address}, which is one of yours, failed alignment in 30 days: receivers take them for \
         somebody else's.",
        grouped(*unaligned),
        grouped(*messages)
    );
    let remedy = "look at the domain's SPF and DKIM records, and at what else sends from that address";
    Some(finding("dmarc_own_mail_unaligned", Severity::Warning, text, remedy))
}

fn of_other_sources(outside: &Outside) -> Option<Finding> {
    let mut others = outside.sources.iter().filter(|source| source.is_own != Some(true) && source.unaligned > 0);
    let first = others.next()?;
    let rest: Vec<&Source> = others.collect();
    let more: u64 = rest.iter().map(|source| source.unaligned).sum();
    if first.unaligned + more < UNALIGNED_MIN {
        return None;
    }
    let whose = match first.is_own {
        Some(_) => "that address is not one of yours",
        None => "whether that address is one of yours is not known",
    };
    let more = match rest.len() {
        0 => String::new(),
        addresses => format!(" {} more came from {}.", grouped(more), counted(addresses as u64, "other address", "es")),
    };
    let text = format!(
        "{} from {} failed alignment in 30 days; {whose}.{more}",
        counted(first.unaligned, "message", "s"),
        first.address
    );
    let remedy = "let what sends for you sign for the domain; the rest is forged or forwarded, and p=quarantine or \
        p=reject in the DMARC record keeps forged mail away";
    Some(finding("dmarc_unaligned_elsewhere", Severity::Warning, text, remedy))
}

fn of_connections(outside: &Outside) -> Option<Finding> {
    if outside.failed_connections < FAILED_MIN {
        return None;
    }
    let most = outside.failure.as_ref().map(|failure| format!(", most often {failure}")).unwrap_or_default();
    let text = format!(
        "Other servers report that {} of {} encrypted connections to the domain's servers failed in 30 days{most}.",
        grouped(outside.failed_connections),
        grouped(outside.connections)
    );
    let remedy = "look at the server's certificate, and at its MTA-STS and TLSA records";
    Some(finding("tls_failures_reported", Severity::Warning, text, remedy))
}

fn counted(count: u64, thing: &str, plural: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { plural })
}

/// With commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMicros;

    fn source(address: &str, is_own: Option<bool>, messages: u64, unaligned: u64) -> Source {
        Source { address: address.to_owned(), is_own, messages, unaligned }
    }

    fn texts(outside: &Outside) -> Vec<(&'static str, String)> {
        findings(outside).into_iter().map(|finding| (finding.code, finding.text)).collect()
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_204, "1,204"), (1_000_000, "1,000,000")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn entries_are_named_with_their_reason() {
        let known = Known {
            codes: vec![Ipv4Addr::new(127, 0, 0, 2)],
            reason: "see https://list.test/1".to_owned(),
            since: Some(UnixMicros::from_seconds(1_700_000_000)),
            ..Known::default()
        };
        let list = |subject: &str, is_address| Listing {
            zone: "list.test".to_owned(),
            subject: subject.to_owned(),
            is_address,
            known: known.clone(),
        };
        let lists = vec![list("203.0.113.7", true), list("acme.test", false)];
        let said = texts(&Outside { lists, ..Outside::default() });
        let expected = "203.0.113.7, from which the domain's mail leaves, is on the block list list.test since \
            2023-11-14 (127.0.0.2): see https://list.test/1";
        assert_eq!(said[0], ("block_listed", expected.to_owned()));
        assert!(said[1].1.starts_with("acme.test is on the block list list.test since"));
    }

    #[test]
    fn lists_that_are_silent_are_named_once() {
        let list = |zone: &str, subject: &str, failures| Listing {
            zone: zone.to_owned(),
            subject: subject.to_owned(),
            is_address: true,
            known: Known { failures, failure: "no answer in time".to_owned(), ..Known::default() },
        };
        let lists =
            vec![list("a.test", "192.0.2.1", 3), list("a.test", "192.0.2.2", 3), list("b.test", "192.0.2.1", 2)];
        let said = texts(&Outside { lists, ..Outside::default() });
        let text = "The block list a.test cannot be asked, 3 times in a row: no answer in time.";
        assert_eq!(said, [("block_list_silent", text.to_owned())]);
    }

    #[test]
    fn who_sends_in_the_name_of_the_domain_is_said() {
        let said = |sources: Vec<Source>| texts(&Outside { sources, ..Outside::default() });
        let text = "1,204 messages from 203.0.113.7 failed alignment in 30 days; that address is not one of yours.";
        let elsewhere = source("203.0.113.7", Some(false), 2_000, 1_204);
        assert_eq!(said(vec![elsewhere.clone()]), [("dmarc_unaligned_elsewhere", text.to_owned())]);
        let more = said(vec![elsewhere, source("203.0.113.8", Some(false), 5, 5)]);
        assert!(more[0].1.ends_with("not one of yours. 5 more came from 1 other address."), "{more:?}");
        assert!(said(vec![source("203.0.113.7", None, 20, 10)])[0].1.contains("is not known"));
        assert_eq!(said(vec![source("203.0.113.7", Some(false), 2_000, 9)]), []);
        let own = said(vec![source("192.0.2.1", Some(true), 1_000, 3)]);
        assert_eq!(own[0].0, "dmarc_own_mail_unaligned");
        assert!(own[0].1.starts_with("3 of 1,000 messages from 192.0.2.1, which is one of yours,"));
        assert_eq!(said(vec![source("192.0.2.1", Some(true), 1_000, 2)]), []);
    }

    #[test]
    fn failed_connections_are_said() {
        let outside = |failed_connections| Outside {
            connections: 500,
            failed_connections,
            failure: Some("certificate-expired".to_owned()),
            ..Outside::default()
        };
        let text = "Other servers report that 12 of 500 encrypted connections to the domain's servers failed in 30 days, \
            most often certificate-expired.";
        assert_eq!(texts(&outside(12)), [("tls_failures_reported", text.to_owned())]);
        assert_eq!(texts(&outside(2)), []);
    }
}
