//! DMARC, by RFC 7489 and RFC 9091. A case says who the author is, what the DNS holds, what SPF and signatures proved, and
//! what must come out.

use crate::support::Table;
use postfleet_core::authentication::{AuthResult as R, DkimResult, DmarcPolicy as P, SpfResult};
use postfleet_core::{Domain, EmailAddress};
use postfleet_mail::authentication::dmarc::suffix::{are_aligned, organizational};
use postfleet_mail::authentication::dmarc::{Destination, Published, destinations, find, judge};

/// What was proved: by SPF, and by a signature.
type Proved = (&'static str, &'static str);

/// Case, author, zone, what was proved, result, policy, where the record stands.
type Case = (&'static str, &'static str, &'static [&'static str], Proved, R, Option<P>, &'static str);

const NOBODY: Proved = ("", "");

#[rustfmt::skip]
const CASES: &[Case] = &[
    // §6.6.3: where the record is
    ("no record", "example.com", &[], NOBODY, R::None, None, ""),
    ("no record, proved all the same", "example.com", &[], ("example.com", "example.com"), R::None, None, ""),
    ("a record of the domain", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("a record of the organization", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("a record of the organization, far below", "a.b.c.example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("a record of one's own first", "a.example.com", &["_dmarc.a.example.com TXT v=DMARC1; p=none", "_dmarc.example.com TXT v=DMARC1; p=reject"], NOBODY, R::Fail, Some(P::None), "a.example.com"),
    ("a record between is not looked at", "a.b.example.com", &["_dmarc.b.example.com TXT v=DMARC1; p=reject"], NOBODY, R::None, None, ""),
    ("a record of the public suffix is not looked at", "example.co.uk", &["_dmarc.co.uk TXT v=DMARC1; p=reject"], NOBODY, R::None, None, ""),
    ("a record below a suffix of two labels", "a.example.co.uk", &["_dmarc.example.co.uk TXT v=DMARC1; p=quarantine"], NOBODY, R::Fail, Some(P::Quarantine), "example.co.uk"),
    ("a record below a private suffix", "a.me.github.io", &["_dmarc.me.github.io TXT v=DMARC1; p=quarantine"], NOBODY, R::Fail, Some(P::Quarantine), "me.github.io"),
    ("a suffix as author", "co.uk", &["_dmarc.co.uk TXT v=DMARC1; p=reject"], NOBODY, R::Fail, Some(P::Reject), "co.uk"),
    ("a suffix that nobody knows", "a.example.nowhere", &["_dmarc.example.nowhere TXT v=DMARC1; p=reject"], NOBODY, R::Fail, Some(P::Reject), "example.nowhere"),
    ("no answer", "example.com", &["_dmarc.example.com FAIL"], NOBODY, R::Temperror, None, ""),
    ("no answer about the organization", "a.example.com", &["_dmarc.example.com FAIL"], NOBODY, R::Temperror, None, ""),
    ("no answer about the domain, though there is one about the organization", "a.example.com", &["_dmarc.a.example.com FAIL", "_dmarc.example.com TXT v=DMARC1; p=reject"], NOBODY, R::Temperror, None, ""),
    ("two records", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject", "_dmarc.example.com TXT v=DMARC1; p=none"], NOBODY, R::None, None, ""),
    ("two records, the organization has one", "a.example.com", &["_dmarc.a.example.com TXT v=DMARC1; p=reject", "_dmarc.a.example.com TXT v=DMARC1; p=reject", "_dmarc.example.com TXT v=DMARC1; p=quarantine"], NOBODY, R::Fail, Some(P::Quarantine), "example.com"),
    ("other texts are passed over", "example.com", &["_dmarc.example.com TXT v=spf1 -all", "_dmarc.example.com TXT v=DMARC1; p=reject", "_dmarc.example.com TXT hello"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("only other texts", "a.example.com", &["_dmarc.a.example.com TXT hello", "_dmarc.example.com TXT v=DMARC1; p=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    // §6.3, §6.4: what the record says
    ("p is none", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=none"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("p is quarantine", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=quarantine"], NOBODY, R::Fail, Some(P::Quarantine), "example.com"),
    ("without space", "example.com", &["_dmarc.example.com TXT v=DMARC1;p=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("with much space", "example.com", &["_dmarc.example.com TXT  v = DMARC1 ;  p =  reject ; "], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("with a semicolon at the end", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject;"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("in capitals", "example.com", &["_dmarc.example.com TXT v=DMARC1; P=REJECT"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("the version in small letters", "example.com", &["_dmarc.example.com TXT v=dmarc1; p=reject"], NOBODY, R::None, None, ""),
    ("another version", "example.com", &["_dmarc.example.com TXT v=DMARC2; p=reject"], NOBODY, R::None, None, ""),
    ("the version is not first", "example.com", &["_dmarc.example.com TXT p=reject; v=DMARC1"], NOBODY, R::None, None, ""),
    ("the version without a sign", "example.com", &["_dmarc.example.com TXT DMARC1; p=reject"], NOBODY, R::None, None, ""),
    ("the version alone", "example.com", &["_dmarc.example.com TXT v=DMARC1"], NOBODY, R::None, None, ""),
    ("no policy, but reports", "example.com", &["_dmarc.example.com TXT v=DMARC1; rua=mailto:d@example.com"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("no policy, and no way for reports", "example.com", &["_dmarc.example.com TXT v=DMARC1; rua=https://example.com/"], NOBODY, R::None, None, ""),
    ("a policy that is none", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=refuse"], NOBODY, R::None, None, ""),
    ("a policy that is none, but reports", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=refuse; rua=mailto:d@example.com"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("sp is none of the words", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; sp=refuse"], NOBODY, R::None, None, ""),
    ("sp is none of the words, but reports", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; sp=refuse; rua=mailto:d@example.com"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("an unknown tag", "example.com", &["_dmarc.example.com TXT v=DMARC1; zz=1; p=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("a tag without a sign", "example.com", &["_dmarc.example.com TXT v=DMARC1; hello; p=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("an empty tag", "example.com", &["_dmarc.example.com TXT v=DMARC1;; p=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("the first of two policies", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; p=none"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("sp does not concern the domain", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=none; sp=reject"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("sp concerns names below", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=none; sp=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("sp weaker than p", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; sp=none"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("sp of a record of one's own", "a.example.com", &["_dmarc.a.example.com TXT v=DMARC1; p=quarantine; sp=none"], NOBODY, R::Fail, Some(P::Quarantine), "a.example.com"),
    ("np of a name that is not there", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=none; np=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("np before sp", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=none; sp=quarantine; np=reject"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("np of a name with an address", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=none; np=reject", "a.example.com A 192.0.2.1"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("np of a name with an IPv6 address", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=none; np=reject", "a.example.com AAAA 2001:db8::1"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("np of a name that takes mail", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=none; np=reject", "a.example.com MX 1 mx.example.net"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("np of a name that is there, with sp", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=none; sp=quarantine; np=reject", "a.example.com A 192.0.2.1"], NOBODY, R::Fail, Some(P::Quarantine), "example.com"),
    ("np of a name about which there is no answer", "a.example.com", &["a.example.com FAIL", "_dmarc.example.com TXT v=DMARC1; p=none; np=reject"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("np does not concern the domain", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=none; np=reject"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("np is none of the words", "a.example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; np=refuse"], NOBODY, R::None, None, ""),
    ("trying", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; t=y"], NOBODY, R::Fail, Some(P::Quarantine), "example.com"),
    ("trying with quarantine", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=quarantine; t=y"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("not trying", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; t=n"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("all of a hundred", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; pct=100"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("fifty of a hundred, and we are the fiftieth", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; pct=50"], NOBODY, R::Fail, Some(P::Quarantine), "example.com"),
    ("fifty-one of a hundred", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; pct=51"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("none of a hundred", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=quarantine; pct=0"], NOBODY, R::Fail, Some(P::None), "example.com"),
    ("more than a hundred is a mistake", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; pct=101"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
    ("a share that is no number", "example.com", &["_dmarc.example.com TXT v=DMARC1; p=reject; pct=half"], NOBODY, R::Fail, Some(P::Reject), "example.com"),
];

/// The alignment of identifiers (§3.1): author, modes, proved by SPF, proved by a signature, passes.
type Alignment = (&'static str, &'static str, &'static str, &'static str, bool);

#[rustfmt::skip]
const ALIGNMENTS: &[Alignment] = &[
    ("example.com", "", "example.com", "", true),
    ("example.com", "", "", "example.com", true),
    ("example.com", "", "mail.example.com", "", true),
    ("example.com", "", "", "mail.example.com", true),
    ("mail.example.com", "", "example.com", "", true),
    ("mail.example.com", "", "", "example.com", true),
    ("a.example.com", "", "b.example.com", "", true),
    ("a.example.com", "", "", "b.c.example.com", true),
    ("example.com", "", "example.org", "", false),
    ("example.com", "", "", "example.org", false),
    ("example.com", "", "example.org", "example.com", true),
    ("example.com", "", "example.com", "example.org", true),
    ("example.com", "", "notexample.com", "", false),
    ("example.com", "", "", "notexample.com", false),
    ("example.com", "", "com", "", false),
    ("example.com", "", "", "com", false),
    ("example.com", "", "example.com.evil.example", "", false),
    ("example.co.uk", "", "other.co.uk", "", false),
    ("example.co.uk", "", "", "other.co.uk", false),
    ("example.co.uk", "", "mail.example.co.uk", "", true),
    ("example.co.uk", "", "", "co.uk", false),
    ("me.github.io", "", "", "you.github.io", false),
    ("me.github.io", "", "", "a.me.github.io", true),
    ("a.example.com", "aspf=r; adkim=r", "b.example.com", "", true),
    ("example.com", "aspf=s", "example.com", "", true),
    ("example.com", "aspf=s", "mail.example.com", "", false),
    ("mail.example.com", "aspf=s", "example.com", "", false),
    ("mail.example.com", "aspf=s", "mail.example.com", "", true),
    ("example.com", "aspf=s", "", "mail.example.com", true),
    ("example.com", "adkim=s", "", "example.com", true),
    ("example.com", "adkim=s", "", "mail.example.com", false),
    ("mail.example.com", "adkim=s", "", "example.com", false),
    ("example.com", "adkim=s", "mail.example.com", "", true),
    ("example.com", "aspf=s; adkim=s", "mail.example.com", "mail.example.com", false),
    ("example.com", "aspf=s; adkim=s", "mail.example.com", "example.com", true),
    ("example.com", "aspf=S", "mail.example.com", "", false),
    ("example.com", "aspf=x", "mail.example.com", "", true),
    ("xn--mller-kva.example", "", "", "mail.xn--mller-kva.example", true),
    ("example.com", "", "EXAMPLE.com", "", true),
    ("example.com", "aspf=s", "Example.COM", "", true),
];

/// Names and the part that was registered.
#[rustfmt::skip]
const SUFFIXES: &[(&str, &str)] = &[
    ("com", "com"), ("example.com", "example.com"), ("a.example.com", "example.com"), ("a.b.example.com", "example.com"),
    ("co.uk", "co.uk"), ("example.co.uk", "example.co.uk"), ("a.example.co.uk", "example.co.uk"), ("uk", "uk"),
    ("example.uk", "example.uk"), ("a.example.uk", "example.uk"), ("example.org.uk", "example.org.uk"),
    ("example.ac.jp", "example.ac.jp"), ("a.example.ac.jp", "example.ac.jp"), ("example.jp", "example.jp"),
    ("a.b.example.jp", "example.jp"), ("kobe.jp", "kobe.jp"), ("x.c.kobe.jp", "x.c.kobe.jp"), ("a.x.c.kobe.jp", "x.c.kobe.jp"),
    ("city.kobe.jp", "city.kobe.jp"), ("www.city.kobe.jp", "city.kobe.jp"),
    ("ck", "ck"), ("example.ck", "example.ck"), ("b.example.ck", "b.example.ck"), ("a.b.example.ck", "b.example.ck"),
    ("www.ck", "www.ck"), ("www.www.ck", "www.ck"),
    ("example.us", "example.us"), ("ak.us", "ak.us"), ("example.ak.us", "example.ak.us"), ("a.example.ak.us", "example.ak.us"),
    ("k12.ak.us", "k12.ak.us"), ("example.k12.ak.us", "example.k12.ak.us"), ("a.example.k12.ak.us", "example.k12.ak.us"),
    ("example.de", "example.de"), ("a.example.de", "example.de"), ("example.com.au", "example.com.au"),
    ("a.example.com.au", "example.com.au"), ("example.gov.au", "example.gov.au"), ("example.com.br", "example.com.br"),
    ("a.example.com.br", "example.com.br"), ("github.io", "github.io"), ("me.github.io", "me.github.io"),
    ("a.me.github.io", "me.github.io"), ("example.io", "example.io"), ("blogspot.example", "blogspot.example"),
    ("a.b.unknowntld", "b.unknowntld"), ("unknowntld", "unknowntld"), ("localhost", "localhost"),
    ("xn--55qx5d.cn", "xn--55qx5d.cn"), ("a.xn--55qx5d.cn", "a.xn--55qx5d.cn"), ("b.a.xn--55qx5d.cn", "a.xn--55qx5d.cn"),
    ("a.example.xn--p1ai", "example.xn--p1ai"), ("a.example.museum", "example.museum"), ("a.example.app", "example.app"),
    ("a.example.co.za", "example.co.za"), ("a.example.co.in", "example.co.in"), ("a.example.net.cn", "example.net.cn"),
];

fn spf(domain: &str, result: R) -> SpfResult {
    SpfResult { result, domain: Some(domain.to_owned()).filter(|text| !text.is_empty()), reason: String::new() }
}

fn dkim(domain: &str, result: R) -> Vec<DkimResult> {
    let one = DkimResult { result, domain: Some(domain.to_owned()), ..DkimResult::default() };
    if domain.is_empty() { Vec::new() } else { vec![one] }
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("domain")
}

#[test]
fn table() {
    let mut failed = Vec::new();
    for (name, author, zone, proved, result, policy, at) in CASES {
        let author = domain(author);
        let mut dns = Table::default();
        zone.iter().for_each(|line| dns.add(line));
        let published = find(&dns, &author).expect("everything is known");
        let proved = (spf(proved.0, R::Pass), dkim(proved.1, R::Pass));
        let found = judge(Ok(&author), &published, (&proved.0, &proved.1), 50);
        let policy_found = found.policy.as_deref().and_then(P::parse);
        let found = (found.result, policy_found, found.policy_domain.unwrap_or_default());
        if found != (*result, *policy, (*at).to_owned()) {
            failed.push(format!("{name}: {found:?}, expected {result:?} {policy:?} {at}"));
        }
    }
    for (author, modes, by_spf, by_dkim, passes) in ALIGNMENTS {
        let author = domain(author);
        let above = organizational(author.as_str());
        let dns = Table::new(&format!("_dmarc.{above} TXT v=DMARC1; p=reject; {modes}"));
        let published = find(&dns, &author).expect("everything is known");
        let proved = (spf(by_spf, R::Pass), dkim(by_dkim, R::Pass));
        let found = judge(Ok(&author), &published, (&proved.0, &proved.1), 0).result;
        if found != if *passes { R::Pass } else { R::Fail } {
            failed.push(format!("{author} ({modes}), {by_spf}, {by_dkim}: {found:?}"));
        }
        // What did not pass proves nothing.
        for result in [R::None, R::Fail, R::Softfail, R::Neutral, R::Policy, R::Permerror] {
            let proved = (spf(by_spf, result), dkim(by_dkim, result));
            let found = judge(Ok(&author), &published, (&proved.0, &proved.1), 0).result;
            assert_eq!(found, R::Fail, "{author} {result:?}");
        }
        // What could not be looked at now may be proved later, if it would have been enough.
        let proved = (spf(by_spf, R::Temperror), dkim(by_dkim, R::Temperror));
        let found = judge(Ok(&author), &published, (&proved.0, &proved.1), 0).result;
        assert_eq!(found, if *passes { R::Temperror } else { R::Fail }, "{author}");
    }
    for (name, registered) in SUFFIXES {
        if organizational(name) != *registered {
            failed.push(format!("{name}: {}, expected {registered}", organizational(name)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let all = CASES.len() + ALIGNMENTS.len() + SUFFIXES.len();
    println!(
        "DMARC: {all} of {all} cases ({} records, {} alignments, {} names by the public suffix list)",
        CASES.len(),
        ALIGNMENTS.len(),
        SUFFIXES.len()
    );
    assert!(all >= 150);
}

#[test]
fn a_signature_over_a_part_of_the_body_is_none() {
    let dns = Table::new("_dmarc.example.com TXT v=DMARC1; p=reject");
    let author = domain("example.com");
    let published = find(&dns, &author).expect("everything is known");
    let mut signed = dkim("example.com", R::Pass);
    assert_eq!(judge(Ok(&author), &published, (&spf("", R::None), &signed), 0).result, R::Pass);
    signed[0].is_partial = true;
    let found = judge(Ok(&author), &published, (&spf("", R::None), &signed), 0);
    assert!(found.result == R::Fail && !found.dkim_aligned, "{found:?}");
}

#[test]
fn several_results_for_one_author() {
    let dns = Table::new("_dmarc.example.com TXT v=DMARC1; p=reject");
    let author = domain("example.com");
    let published = find(&dns, &author).expect("everything is known");
    let all = [dkim("example.org", R::Pass), dkim("example.com", R::Fail), dkim("mail.example.com", R::Pass)].concat();
    let found = judge(Ok(&author), &published, (&spf("example.net", R::Pass), &all), 0);
    assert!(found.result == R::Pass && found.dkim_aligned && !found.spf_aligned, "{found:?}");
    let found = judge(Err("why"), &published, (&spf("example.com", R::Pass), &all), 0);
    assert!(found.result == R::Permerror && found.domain.is_none() && found.reason == "why", "{found:?}");
}

#[test]
fn where_reports_are_wanted() {
    let record = |text: &str| {
        let dns = Table::new(&format!("_dmarc.example.com TXT v=DMARC1; p=none; rua={text}"));
        match find(&dns, &domain("example.com")).expect("everything is known") {
            Published::Record { record, .. } => {
                record.reports_to.iter().map(|to| (to.address.to_string(), to.octets_max)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let to = |address: &str, limit| vec![(address.to_owned(), limit)];
    for (text, expected) in [
        ("mailto:d@example.com", to("d@example.com", None)),
        ("MAILTO:d@example.com", to("d@example.com", None)),
        ("mailto:d@example.com!10m", to("d@example.com", Some(10 << 20))),
        ("mailto:d@example.com!500", to("d@example.com", Some(500))),
        ("mailto:d@example.com!2K", to("d@example.com", Some(2_048))),
        ("mailto:d%2Ba@example.com", to("d+a@example.com", None)),
        ("mailto:d@example.com?subject=x", to("d@example.com", None)),
        ("mailto:d@example.com!10x", vec![]),
        ("mailto:nobody", vec![]),
        ("https://example.com/", vec![]),
        ("https://example.com/, mailto:d@example.com", to("d@example.com", None)),
    ] {
        assert_eq!(record(text), expected, "{text}");
    }
    assert_eq!(record(&["mailto:d@example.com"; 12].join(",")).len(), 10);
}

#[test]
fn others_get_reports_only_if_they_agree() {
    let dns = Table::new(
        "example.com._report._dmarc.agrees.example TXT v=DMARC1\n\
         example.com._report._dmarc.agrees.example TXT hello\n\
         example.com._report._dmarc.other.example TXT v=spf1 -all\n\
         *._report._dmarc.silent.example TXT v=DMARC1\n\
         example.com._report._dmarc.broken.example FAIL\n\
         example.com._report._dmarc.moved.example TXT v=DMARC1; rua=mailto:new@moved.example!1k,mailto:d@victim.example\n\
         example.com._report._dmarc.abused.example TXT v=DMARC1; rua=mailto:d@victim.example",
    );
    // Who is named, who gets it, whether nothing can be found out now.
    for (to, expected, is_unknown) in [
        ("d@example.com", &["d@example.com"][..], false),
        ("d@reports.example.com", &["d@reports.example.com"], false),
        ("d@agrees.example", &["d@agrees.example"], false),
        ("d@other.example", &[], false),
        ("d@silent.example", &[], false),
        ("d@broken.example", &[], true),
        ("d@moved.example", &["new@moved.example 1024"], false),
        ("d@abused.example", &["d@abused.example"], false),
    ] {
        let wanted = Destination { address: EmailAddress::parse(to).expect("address"), octets_max: None };
        // Named twice, it gets one.
        let found = destinations(&dns, &domain("example.com"), &[wanted.clone(), wanted]).expect("known");
        let show = |one: &Destination| match one.octets_max {
            Some(octets) => format!("{} {octets}", one.address),
            None => one.address.to_string(),
        };
        assert_eq!(found.agreed.iter().map(show).collect::<Vec<_>>(), expected, "{to}");
        assert_eq!(!found.unknown.is_empty(), is_unknown, "{to}");
        assert_eq!(!found.refused.is_empty(), expected.is_empty() && !is_unknown, "{to}");
    }
    assert!(are_aligned("a.example.com", "example.com", false) && !are_aligned("a.example.com", "example.com", true));
}
