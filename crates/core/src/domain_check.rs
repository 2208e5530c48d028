//! Judging what the DNS answered for a record that a domain should publish. What is wrong is said in words, with what
//! was found, so that whoever runs the zone sees the difference.

use crate::domain_records::{OWNERSHIP_PREFIX, Record, RecordData, RecordKind};

/// What the DNS answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// These texts.
    Txt(Vec<String>),
    /// These mail exchangers: preference and host.
    Mx(Vec<(u16, String)>),
    /// There is no such name, or no record of the type that was asked for.
    Nothing,
    /// No answer that says anything: the servers failed or were silent.
    Failed(String),
}

/// What an answer means for a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// It is published as it should be.
    Right,
    /// It is not; why, for people.
    Wrong(String),
    /// Nothing can be said just now; why, for people.
    Unanswerable(String),
}

/// Records of one name that are looked at.
const RECORDS_MAX: usize = 100;
/// Octets of one record that are looked at; the longest that is ours has about 400.
const RECORD_OCTETS_MAX: usize = 8_192;
/// Characters of what was found that are quoted.
const QUOTED_CHARS_MAX: usize = 200;

/// Judges an answer.
pub fn judge(record: &Record, answer: &Answer) -> Judgement {
    let name = &record.name;
    match (&record.data, answer) {
        (_, Answer::Failed(why)) => Judgement::Unanswerable(format!("{name} could not be looked up: {}", cut(why))),
        (RecordData::Txt(text), Answer::Txt(found)) => match bounded(found) {
            Err(why) => wrong(format!("{name} {why}")),
            Ok(found) => judge_text(record, text, &found),
        },
        (RecordData::Mx { host, .. }, Answer::Mx(found)) => judge_mx(name, host.as_str(), found),
        (data, _) => wrong(format!("{name} has no {} record", data.kind())),
    }
}

fn wrong(text: String) -> Judgement {
    Judgement::Wrong(text)
}

/// The texts, if they are not more than anybody would publish.
fn bounded(found: &[String]) -> Result<Vec<&str>, String> {
    if found.len() > RECORDS_MAX {
        return Err(format!("has {} TXT records; at most {RECORDS_MAX} are looked at", found.len()));
    }
    Ok(found.iter().map(|text| text.as_str()).filter(|text| text.len() <= RECORD_OCTETS_MAX).collect())
}

fn judge_text(record: &Record, wanted: &str, found: &[&str]) -> Judgement {
    match record.kind {
        RecordKind::Ownership => judge_ownership(&record.name, wanted, found),
        RecordKind::Spf => judge_spf(&record.name, wanted, found),
        RecordKind::Dkim | RecordKind::Arc => judge_dkim(&record.name, wanted, found),
        RecordKind::Dmarc => judge_dmarc(&record.name, found),
        RecordKind::Mx | RecordKind::Feedback => wrong(format!("{} has no MX record", record.name)),
    }
}

fn judge_ownership(name: &str, wanted: &str, found: &[&str]) -> Judgement {
    if found.iter().any(|text| text.trim() == wanted) {
        return Judgement::Right;
    }
    match found.iter().find(|text| text.trim().starts_with(OWNERSHIP_PREFIX)) {
        Some(other) => wrong(format!("{name} proves another ownership: found {}", quoted(other))),
        None => wrong(format!("{name} has {} TXT records, and none is {wanted}", found.len())),
    }
}

/// Exactly one record (RFC 7208 §4.5), which names our servers before it ends in `all`.
fn judge_spf(name: &str, wanted: &str, found: &[&str]) -> Judgement {
    let is_spf = |text: &&&str| text.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("v=spf1"));
    let records: Vec<&&str> = found.iter().filter(is_spf).collect();
    let [record] = records[..] else {
        return wrong(match records.len() {
            0 => format!("{name} has no SPF record (TXT that begins with v=spf1)"),
            count => format!("{name} has {count} SPF records, and only one is allowed: merge them"),
        });
    };
    let mechanisms = |text: &str| -> Vec<String> {
        let words = text.split_ascii_whitespace().skip(1).map(|word| word.to_ascii_lowercase());
        let passing = words.map(|word| word.strip_prefix('+').map(str::to_owned).unwrap_or(word));
        passing.take_while(|word| word.trim_start_matches(['-', '~', '?']) != "all").collect()
    };
    let theirs = mechanisms(record);
    match mechanisms(wanted).into_iter().find(|ours| !theirs.contains(ours)) {
        None => Judgement::Right,
        Some(missing) => {
            wrong(format!("the SPF record of {name} has no {missing} (before all): found {}", quoted(record)))
        }
    }
}

/// One key record at the name (RFC 6376 §3.6.2.2), with the same key; spaces and the order of tags do not matter.
fn judge_dkim(name: &str, wanted: &str, found: &[&str]) -> Judgement {
    let records: Vec<&&str> = found.iter().filter(|text| tag(text, "p").is_some()).collect();
    let [record] = records[..] else {
        return wrong(match (records.len(), found.first()) {
            (0, Some(other)) => format!("{name} holds no DKIM key: found {}", quoted(other)),
            (0, None) => format!("{name} holds no DKIM key"),
            (count, _) => format!("{name} has {count} DKIM keys, and only one is allowed: remove the others"),
        });
    };
    let key = tag(record, "p").unwrap_or_default();
    if key.is_empty() {
        return wrong(format!("the DKIM key at {name} is revoked: found {}", quoted(record)));
    }
    if tag(record, "v").is_some_and(|version| version != "DKIM1") {
        return wrong(format!("the DKIM key at {name} has an unknown version: found {}", quoted(record)));
    }
    let algorithm = |text: &str| tag(text, "k").unwrap_or_else(|| "rsa".to_owned());
    if Some(key) != tag(wanted, "p") || algorithm(record) != algorithm(wanted) {
        return wrong(format!("the DKIM key at {name} is another one, or cut short: found {}", quoted(record)));
    }
    Judgement::Right
}

/// Exactly one policy (RFC 7489 §6.6.3), and one that receivers understand.
fn judge_dmarc(name: &str, found: &[&str]) -> Judgement {
    let is_dmarc = |text: &&&str| text.split(';').next().is_some_and(|first| without_spaces(first) == "v=DMARC1");
    let records: Vec<&&str> = found.iter().filter(is_dmarc).collect();
    let [record] = records[..] else {
        return wrong(match records.len() {
            0 => format!("{name} has no DMARC policy (TXT that begins with v=DMARC1)"),
            count => format!("{name} has {count} DMARC policies, and only one is allowed"),
        });
    };
    match tag(record, "p").map(|policy| policy.to_ascii_lowercase()).as_deref() {
        Some("none" | "quarantine" | "reject") => Judgement::Right,
        _ => wrong(format!("the DMARC policy at {name} needs p=none, quarantine or reject: found {}", quoted(record))),
    }
}

/// Our host, and none that is preferred to it.
fn judge_mx(name: &str, wanted: &str, found: &[(u16, String)]) -> Judgement {
    let host = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    let found: Vec<(u16, String)> = found.iter().take(RECORDS_MAX).map(|(at, name)| (*at, host(name))).collect();
    let list = || quoted(&found.iter().map(|(at, host)| format!("{at} {host}")).collect::<Vec<_>>().join(", "));
    let best = found.iter().map(|(preference, _)| *preference).min();
    match found.iter().filter(|(_, host)| host == wanted).map(|(preference, _)| *preference).min() {
        None => wrong(format!("{wanted} is not among the mail exchangers of {name}: found {}", list())),
        own if own == best => Judgement::Right,
        Some(_) => wrong(format!("other mail exchangers of {name} are preferred to {wanted}: found {}", list())),
    }
}

/// The value of a tag in a list such as `v=DKIM1; p=…`, without any spaces (RFC 6376 §3.2).
fn tag(text: &str, wanted: &str) -> Option<String> {
    let tags = text.split(';').filter_map(|part| part.split_once('='));
    tags.into_iter().find(|(name, _)| name.trim() == wanted).map(|(_, value)| without_spaces(value))
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// What was found, cut and without what would disturb a line of text.
fn quoted(text: &str) -> String {
    format!("\"{}\"", cut(text))
}

fn cut(text: &str) -> String {
    let mut cut: String =
        text.chars().take(QUOTED_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::domain_records::{DomainSettings, Publisher, to_publish};

    const KEY: &str = "MIIBIjANBg";

    fn record(kind: RecordKind) -> Record {
        let (domain, hostname) = (Domain::parse("a.test").unwrap(), Domain::parse("mx.fleet.test").unwrap());
        let keys = [("s1".to_owned(), format!("v=DKIM1; k=rsa; p={KEY}"))];
        let publisher = Publisher { domain: &domain, ownership_token: "t0k", keys: &keys };
        let records = to_publish(publisher, &DomainSettings::of(&hostname));
        records.into_iter().find(|record| record.kind == kind).unwrap()
    }

    /// Judges texts; `""` as the expectation is right, anything else a part of what is said to be wrong.
    fn check(kind: RecordKind, texts: &[&str], expected: &str) {
        let answer = Answer::Txt(texts.iter().map(|text| (*text).to_owned()).collect());
        expect(judge(&record(kind), &answer), expected, &format!("{texts:?}"));
    }

    fn expect(judgement: Judgement, expected: &str, what: &str) {
        match judgement {
            Judgement::Right => assert_eq!(expected, "", "{what}"),
            Judgement::Wrong(why) => assert!(!expected.is_empty() && why.contains(expected), "{what}: {why}"),
            Judgement::Unanswerable(why) => panic!("{what}: {why}"),
        }
    }

    #[test]
    fn ownership() {
        let kind = RecordKind::Ownership;
        check(kind, &["nylas-ownership-verify=t0k"], "");
        check(kind, &["v=spf1 -all", " nylas-ownership-verify=t0k ", "nylas-ownership-verify=old"], "");
        check(kind, &["nylas-ownership-verify=T0K"], "another ownership: found \"nylas-ownership-verify=T0K\"");
        check(kind, &["nylas-ownership-verify=t0k2"], "another ownership");
        check(kind, &["v=spf1 -all"], "a.test has 1 TXT records, and none is nylas-ownership-verify=t0k");
        check(kind, &[], "none is");
    }

    #[test]
    fn spf() {
        let kind = RecordKind::Spf;
        check(kind, &["v=spf1 a:mx.fleet.test ~all"], "");
        check(kind, &["V=SPF1  include:_spf.x.test  +A:MX.fleet.test -all", "other"], "");
        check(kind, &["v=spf1 a:mx.fleet.test redirect=_spf.x.test"], "");
        check(kind, &["v=spf1 include:_spf.x.test -all"], "has no a:mx.fleet.test (before all): found \"v=spf1 incl");
        check(kind, &["v=spf1 -all a:mx.fleet.test"], "has no a:mx.fleet.test");
        check(kind, &["v=spf1 -a:mx.fleet.test ~all"], "has no a:mx.fleet.test");
        check(kind, &["v=spf1 a:mx.fleet.test.evil.test ~all"], "has no a:mx.fleet.test");
        check(kind, &["v=spf1 a:mx.fleet.test ~all", "v=spf1 -all"], "2 SPF records");
        check(kind, &["v=spf10 a:mx.fleet.test ~all"], "no SPF record");
        check(kind, &["spf2.0/pra a:mx.fleet.test"], "no SPF record");
        check(kind, &["v=spf1"], "has no a:mx.fleet.test");
    }

    #[test]
    fn dkim() {
        let kind = RecordKind::Dkim;
        check(kind, &["v=DKIM1; k=rsa; p=MIIBIjANBg"], "");
        check(kind, &["p=MIIB IjAN\tBg ;k=rsa;v=DKIM1;"], "");
        check(kind, &["p=MIIBIjANBg"], "");
        check(kind, &["something else", "v=DKIM1; k=rsa; t=s; p=MIIBIjANBg"], "");
        check(kind, &["v=DKIM1; k=rsa; p=MIIBIjAN"], "another one, or cut short: found \"v=DKIM1; k=rsa; p=MIIBIjAN\"");
        check(kind, &["v=DKIM1; k=ed25519; p=MIIBIjANBg"], "another one");
        check(kind, &["v=DKIM1; k=rsa; p="], "revoked");
        check(kind, &["v=DKIM2; k=rsa; p=MIIBIjANBg"], "unknown version");
        check(kind, &["v=DKIM1; p=MIIBIjANBg", "v=DKIM1; p=MIIBIjANBg"], "2 DKIM keys");
        check(kind, &["hello"], "holds no DKIM key: found \"hello\"");
    }

    #[test]
    fn dmarc() {
        let kind = RecordKind::Dmarc;
        check(kind, &["v=DMARC1; p=none"], "");
        check(kind, &["v=DMARC1 ;p=Reject; rua=mailto:x@y.test", "other"], "");
        check(kind, &["v=DMARC1; rua=mailto:x@y.test"], "needs p=");
        check(kind, &["v=DMARC1; p=maybe"], "needs p=");
        check(kind, &["p=none; v=DMARC1"], "no DMARC policy");
        check(kind, &["v=DMARC1; p=none", "v=DMARC1; p=reject"], "2 DMARC policies");
    }

    #[test]
    fn mx() {
        for (found, expected) in [
            (vec![(10, "mx.fleet.test")], ""),
            (vec![(0, "MX.Fleet.Test.")], ""),
            (vec![(10, "mx.fleet.test"), (20, "backup.test")], ""),
            (vec![(10, "mx.fleet.test"), (10, "other.test")], ""),
            (
                vec![(20, "mx.fleet.test"), (5, "other.test")],
                "preferred to mx.fleet.test: found \"20 mx.fleet.test, 5 other",
            ),
            (vec![(10, "other.test")], "not among the mail exchangers of a.test: found \"10 other.test\""),
            (vec![(0, ".")], "not among"),
        ] {
            let answer = Answer::Mx(found.iter().map(|(at, host)| (*at, (*host).to_owned())).collect());
            expect(judge(&record(RecordKind::Mx), &answer), expected, &format!("{found:?}"));
        }
        let feedback = record(RecordKind::Feedback);
        expect(judge(&feedback, &Answer::Mx(vec![(10, "mx.fleet.test".into())])), "", "feedback");
        expect(judge(&feedback, &Answer::Nothing), "bounces.a.test has no MX record", "feedback");
    }

    #[test]
    fn nothing_and_no_answer_are_two_things() {
        for kind in RecordKind::ALL.into_iter().filter(|kind| *kind != RecordKind::Arc) {
            assert!(matches!(judge(&record(kind), &Answer::Nothing), Judgement::Wrong(_)), "{kind:?}");
            let failed = judge(&record(kind), &Answer::Failed("SERVFAIL".into()));
            assert!(matches!(failed, Judgement::Unanswerable(why) if why.contains("SERVFAIL")), "{kind:?}");
        }
    }

    #[test]
    fn what_is_huge_is_cut_and_what_is_too_many_is_refused() {
        let huge = format!("v=spf1 {} ~all", "include:x.test ".repeat(100));
        let Judgement::Wrong(why) = judge(&record(RecordKind::Spf), &Answer::Txt(vec![huge])) else { panic!() };
        assert!(why.ends_with("…\"") && why.chars().count() < 300, "{why}");
        let own = "nylas-ownership-verify=t0k".to_owned();
        let many = |count: usize| Answer::Txt([vec!["x".to_owned(); count], vec![own.clone()]].concat());
        assert_eq!(judge(&record(RecordKind::Ownership), &many(99)), Judgement::Right);
        let Judgement::Wrong(why) = judge(&record(RecordKind::Ownership), &many(100)) else { panic!() };
        assert!(why.contains("101 TXT records"), "{why}");
        let control = Answer::Txt(vec!["v=spf1 \r\n\u{7} -all".to_owned()]);
        let Judgement::Wrong(why) = judge(&record(RecordKind::Spf), &control) else { panic!() };
        assert!(!why.chars().any(char::is_control), "{why:?}");
    }
}
