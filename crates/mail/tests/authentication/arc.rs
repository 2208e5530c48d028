//! ARC, by RFC 8617. A case is a chain that was built right and then changed, what the DNS holds, and what must come out.

use crate::support::{ED, OTHER_RSA, RSA, Table, TestKey, judge, judge_with, parts, relaxed_field, signature};
use postfleet_core::authentication::{AuthResult as R, DmarcPolicy};

const MESSAGE: &str =
    "From: Ann <ann@example.com>\r\nTo: list@lists.example\r\nSubject: [list] hello\r\n\r\nHello all\r\n";

/// One who seals.
struct Sealer {
    key: &'static TestKey,
    domain: String,
    results: String,
    /// What the message signature says, but for `i`, `d` and `s`.
    message: String,
    /// What the seal says beside `i`, `a`, `d` and `s`.
    seal: String,
}

impl Sealer {
    fn new(number: usize) -> Self {
        Self {
            key: &ED,
            domain: format!("hop{number}.example"),
            results: format!("hop{number}.example; dmarc=pass header.from=example.com"),
            message: "a=ed25519-sha256; c=relaxed/relaxed; h=from:to:subject".to_owned(),
            seal: format!("cv={}", if number == 1 { "none" } else { "pass" }),
        }
    }

    /// Puts a set on top of a message.
    fn seal(&self, number: usize, raw: &str) -> String {
        let results = format!("ARC-Authentication-Results: i={number}; {}\r\n", self.results);
        let tags = format!("i={number}; {}; d={}; s=k", self.message, self.domain);
        let message = signature(raw, self.key, "ARC-Message-Signature", &tags);
        let own = format!("ARC-Seal: i={number}; a={}; {}; d={}; s=k; b=", self.key.name(), self.seal, self.domain);
        let mut input: String = (1..number).map(|before| set_of(raw, before)).collect();
        input.push_str(&relaxed_field(&results));
        input.push_str(&relaxed_field(&message));
        input.push_str(relaxed_field(&own).trim_end_matches("\r\n"));
        format!("{own}{}\r\n{message}{results}{raw}", self.key.sign(input.as_bytes()))
    }
}

/// The three fields of a set as they are sealed.
fn set_of(raw: &str, number: usize) -> String {
    let fields = parts(raw).0;
    let find = |name: &str| {
        let is_it = |field: &&String| field.starts_with(&format!("{name}: i={number};"));
        fields.iter().find(is_it).map(|field| relaxed_field(field)).unwrap_or_default()
    };
    ["ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"].map(find).concat()
}

/// A message with as many sets, and a DNS that has the keys.
fn chain(length: usize) -> (String, Table) {
    chain_of((1..=length).map(Sealer::new).collect())
}

fn chain_of(sealers: Vec<Sealer>) -> (String, Table) {
    let (mut raw, mut dns) = (MESSAGE.to_owned(), Table::default());
    for (number, sealer) in (1..).zip(&sealers) {
        raw = sealer.seal(number, &raw);
        dns.add(&format!("k._domainkey.{} TXT {}", sealer.domain, sealer.key.record));
    }
    (raw, dns)
}

/// Takes fields away, changes them or adds others.
fn edit(raw: &str, change: impl Fn(String) -> Vec<String>) -> String {
    let (fields, body) = parts(raw);
    format!("{}\r\n{body}", fields.into_iter().flat_map(change).collect::<String>())
}

fn is(field: &str, name: &str, number: usize) -> bool {
    field.starts_with(&format!("{name}: i={number};"))
}

const NAMES: [&str; 3] = ["ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"];

struct Case {
    name: String,
    raw: String,
    dns: Table,
    expected: R,
}

fn case(name: impl Into<String>, (raw, dns): (String, Table), expected: R) -> Case {
    Case { name: name.into(), raw, dns, expected }
}

fn whole_chains() -> Vec<Case> {
    let mut cases = vec![case("no set", (MESSAGE.to_owned(), Table::default()), R::None)];
    for length in [1, 2, 3, 4, 5, 10, 25, 49, 50] {
        cases.push(case(format!("{length} sets"), chain(length), R::Pass));
    }
    cases.push(case("51 sets", chain(51), R::Fail));
    for form in ["relaxed/simple", "simple/relaxed", "simple/simple", "simple", "relaxed"] {
        let mut sealer = Sealer::new(1);
        sealer.message = format!("a=ed25519-sha256; c={form}; h=from:to:subject");
        cases.push(case(format!("canonicalization {form}"), chain_of(vec![sealer]), R::Pass));
    }
    let rsa = |number| Sealer {
        key: &RSA,
        message: "a=rsa-sha256; c=relaxed/relaxed; h=from:to:subject".to_owned(),
        ..Sealer::new(number)
    };
    cases.push(case("RSA", chain_of(vec![rsa(1)]), R::Pass));
    cases.push(case("RSA and Ed25519", chain_of(vec![rsa(1), Sealer::new(2), rsa(3)]), R::Pass));
    let (raw, dns) = chain(3);
    let mut shuffled = parts(&raw).0;
    shuffled.reverse();
    cases.push(case(
        "fields in another order",
        (format!("{}\r\nHello all\r\n", shuffled.concat()), dns.clone()),
        R::Pass,
    ));
    cases.push(case("a trace field on top", (format!("Received: a\r\n{raw}"), dns.clone()), R::Pass));
    let small = edit(&raw, |field| {
        vec![field.replace("ARC-Seal:", "arc-seal :").replace("ARC-Message-Signature:", "arc-message-signature:")]
    });
    cases.push(case("names in small letters", (small, dns.clone()), R::Pass));
    let folded =
        edit(&raw, |field| vec![if field.starts_with("ARC-") { field.replace("; ", ";\r\n ") } else { field }]);
    cases.push(case("fields folded anew", (folded, dns), R::Pass));
    let mut timed = Sealer::new(1);
    timed.seal = "t=12345; cv=none".to_owned();
    cases.push(case("a seal with a time", chain_of(vec![timed]), R::Pass));
    cases
}

/// Each field of each of three sets missing, doubled, numbered otherwise, changed.
fn broken_sets() -> Vec<Case> {
    let (raw, dns) = chain(3);
    let mut cases = Vec::new();
    for name in NAMES {
        for number in 1..=3 {
            let mut push = |what: &str, change: &dyn Fn(String) -> Vec<String>| {
                let raw = edit(&raw, |field| if is(&field, name, number) { change(field) } else { vec![field] });
                cases.push(case(format!("{name} {number} {what}"), (raw, dns.clone()), R::Fail));
            };
            push("is missing", &|_| Vec::new());
            push("is there twice", &|field| vec![field.clone(), field]);
            for other in ["0", "4", "51", "01", "x", "-1", "", "1.0"] {
                push(&format!("is numbered {other:?}"), &|field| {
                    vec![field.replacen(&format!("i={number};"), &format!("i={other};"), 1)]
                });
            }
            push("has no number", &|field| vec![field.replacen(&format!("i={number};"), "", 1)]);
            push("is changed", &|field| vec![field.replacen(".example", ".exbmple", 1)]);
            push("has more at its end", &|field| vec![field.replacen("\r\n", "; zz=1\r\n", 1)]);
        }
    }
    for number in 1..=3 {
        let raw = edit(
            &raw,
            |field| {
                if NAMES.iter().any(|name| is(&field, name, number)) { Vec::new() } else { vec![field] }
            },
        );
        let expected = if number == 3 { R::Pass } else { R::Fail };
        cases.push(case(format!("set {number} is missing"), (raw, dns.clone()), expected));
    }
    cases
}

fn broken_messages() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [1, 3] {
        let (raw, dns) = chain(length);
        for (what, from, to, expected) in [
            ("the body is changed", "Hello all", "Hello ALL", R::Fail),
            ("the body is longer", "Hello all\r\n", "Hello all\r\nmore\r\n", R::Fail),
            ("the body has empty lines more", "Hello all\r\n", "Hello all\r\n\r\n", R::Pass),
            ("a signed field is changed", "[list] hello", "[list] HELLO", R::Fail),
            ("From is changed", "ann@", "eve@", R::Fail),
            ("a signed field is lost", "To: list@lists.example\r\n", "", R::Fail),
            ("a line end is broken", "Hello all\r\n", "Hello all\n", R::Fail),
        ] {
            cases.push(case(format!("{what}, {length} sets"), (raw.replace(from, to), dns.clone()), expected));
        }
    }
    cases
}

fn seals() -> Vec<Case> {
    let sealed = |number: usize, seal: &str| {
        let mut sealers: Vec<Sealer> = (1..=number).map(Sealer::new).collect();
        sealers[number - 1].seal = seal.to_owned();
        chain_of(sealers)
    };
    let mut cases = Vec::new();
    for (number, seal, expected) in [
        (1, "cv=none", R::Pass),
        (1, "cv=pass", R::Fail),
        (1, "cv=fail", R::Fail),
        (1, "cv=NONE", R::Fail),
        (1, "cv=", R::Fail),
        (1, "x=1", R::Fail),
        (2, "cv=pass", R::Pass),
        (2, "cv=none", R::Fail),
        (2, "cv=fail", R::Fail),
        (2, "cv=maybe", R::Fail),
        (2, "x=1", R::Fail),
        (3, "cv=fail", R::Fail),
        (3, "cv=none", R::Fail),
        (1, "cv=none; h=from", R::Fail),
        (2, "cv=pass; h=from:to", R::Fail),
        (1, "cv=none; cv=none", R::Fail),
        (1, "cv=none; zz=unknown", R::Pass),
        (1, "cv=none; nonsense", R::Fail),
    ] {
        cases.push(case(format!("seal {number} with {seal}"), sealed(number, seal), expected));
    }
    // What went on over a broken chain stays broken.
    let mut sealers: Vec<Sealer> = (1..=3).map(Sealer::new).collect();
    sealers[1].seal = "cv=fail".to_owned();
    cases.push(case("a seal goes on over a broken chain", chain_of(sealers), R::Fail));
    cases
}

fn message_signatures() -> Vec<Case> {
    let with = |message: &str| Sealer { message: message.to_owned(), ..Sealer::new(1) };
    let now = crate::support::NOW;
    let mut cases = Vec::new();
    for (message, expected) in [
        ("a=ed25519-sha256; c=relaxed/relaxed; h=from:to:subject", R::Pass),
        ("a=ed25519-sha256; h=from", R::Pass),
        ("a=ed25519-sha256; c=relaxed/relaxed; h=to", R::Pass),
        ("a=ed25519-sha256; c=relaxed/relaxed; h=from:arc-seal", R::Fail),
        ("a=ed25519-sha256; c=relaxed/relaxed; h=from:ARC-Seal", R::Fail),
        ("a=ed25519-sha256; c=relaxed/relaxed", R::Fail),
        ("a=ed25519-sha256; c=relaxed/relaxed; h=", R::Fail),
        ("a=ed25519-sha256; c=other/relaxed; h=from", R::Fail),
        ("a=rsa-sha256; c=relaxed/relaxed; h=from", R::Fail),
        ("a=rsa-sha1; c=relaxed/relaxed; h=from", R::Fail),
        ("c=relaxed/relaxed; h=from", R::Fail),
        ("a=ed25519-sha256; c=relaxed/relaxed; h=from; v=1", R::Pass),
        ("a=ed25519-sha256; c=relaxed/relaxed; h=from; l=3", R::Fail),
        ("a=ed25519-sha256; c=relaxed/relaxed; h=from; l=11", R::Pass),
        ("a=ed25519-sha256; c=relaxed/relaxed; h=from; l=999", R::Fail),
        ("a=ed25519-sha256; c=relaxed/relaxed; h=from; h=from", R::Fail),
        (&format!("a=ed25519-sha256; c=relaxed/relaxed; h=from; t={now}"), R::Pass),
        (&format!("a=ed25519-sha256; c=relaxed/relaxed; h=from; t={}", now + 900), R::Fail),
        (&format!("a=ed25519-sha256; c=relaxed/relaxed; h=from; x={}", now - 900), R::Fail),
        (&format!("a=ed25519-sha256; c=relaxed/relaxed; h=from; x={}", now + 900), R::Pass),
    ] {
        cases.push(case(format!("message signature {message}"), chain_of(vec![with(message)]), expected));
    }
    // Only the last one is checked: what later sealers changed is theirs.
    let (raw, dns) = chain(1);
    let changed = raw.replace("[list] hello", "[list] changed");
    let mut again = Table::default();
    again.add(&format!("k._domainkey.hop1.example TXT {}", ED.record));
    again.add(&format!("k._domainkey.hop2.example TXT {}", ED.record));
    cases.push(case("a change before the last seal", (Sealer::new(2).seal(2, &changed), again), R::Pass));
    cases.push(case("a change after the only seal", (changed, dns), R::Fail));
    cases
}

fn keys() -> Vec<Case> {
    let (raw, _) = chain(2);
    let good = |hop: usize| format!("k._domainkey.hop{hop}.example TXT {}", ED.record);
    let mut cases = Vec::new();
    for (what, record) in [
        ("is missing", String::new()),
        ("has no answer", "k._domainkey.HOP.example FAIL".to_owned()),
        ("is revoked", "k._domainkey.HOP.example TXT v=DKIM1; p=".to_owned()),
        ("is of another kind", format!("k._domainkey.HOP.example TXT {}", RSA.record)),
        (
            "is another",
            "k._domainkey.HOP.example TXT v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
                .to_owned(),
        ),
        ("is nonsense", "k._domainkey.HOP.example TXT hello".to_owned()),
    ] {
        for hop in [1, 2] {
            let mut dns = Table::new(&good(3 - hop));
            if !record.is_empty() {
                dns.add(&record.replace("HOP", &format!("hop{hop}")));
            }
            cases.push(case(format!("the key of {hop} {what}"), (raw.clone(), dns), R::Fail));
        }
    }
    let mut dns = Table::new(&good(1));
    dns.add(&good(2));
    dns.add(&format!("k._domainkey.hop2.example TXT {}", OTHER_RSA.record));
    cases.push(case("one of two keys", (raw, dns), R::Pass));
    cases
}

#[test]
fn table() {
    let all = [whole_chains(), broken_sets(), broken_messages(), seals(), message_signatures(), keys()];
    let cases: Vec<Case> = all.into_iter().flatten().collect();
    let mut failed = Vec::new();
    for Case { name, raw, dns, expected } in &cases {
        let found = judge(raw.as_bytes(), dns);
        if found.arc != *expected {
            failed.push(format!("{name}: {:?} {}, expected {expected:?}", found.arc, found.arc_reason));
        }
        assert_eq!(found.arc_sealers.is_empty(), found.arc != R::Pass, "{name}");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("ARC: {} of {} cases", cases.len(), cases.len());
    assert!(cases.len() >= 100);
}

/// Whom a chain rescues: results of each sealer, who is trusted, by whom it is rescued.
type Rescue = (&'static str, &'static [&'static str], &'static [&'static str], Option<&'static str>);

const GOOD: &str = "x.example; dmarc=pass header.from=example.com";

#[rustfmt::skip]
const RESCUES: &[Rescue] = &[
    ("nobody is trusted", &[GOOD], &[], None),
    ("the only one is trusted", &[GOOD], &["hop1.example"], Some("hop1.example")),
    ("another is trusted", &[GOOD], &["hop2.example"], None),
    ("the domain above is trusted", &[GOOD], &["example"], None),
    ("both are trusted", &[GOOD, "x; dmarc=fail header.from=example.com"], &["hop1.example", "hop2.example"], Some("hop1.example")),
    ("only the last is trusted, and says that it failed", &[GOOD, "x; dmarc=fail header.from=example.com"], &["hop2.example"], None),
    ("only the last is trusted, and says that it passed", &["x; dmarc=fail header.from=example.com", GOOD], &["hop2.example"], Some("hop2.example")),
    ("only the first is trusted: the last may have changed it", &[GOOD, GOOD], &["hop1.example"], None),
    ("the one between is not trusted", &[GOOD, "x; none", "x; none"], &["hop1.example", "hop3.example"], None),
    ("another author", &["x; dmarc=pass header.from=example.org"], &["hop1.example"], None),
    ("a name below the author's", &["x; dmarc=pass header.from=a.example.com"], &["hop1.example"], None),
    ("no author", &["x; dmarc=pass"], &["hop1.example"], None),
    ("it failed", &["x; dmarc=fail header.from=example.com"], &["hop1.example"], None),
    ("nothing of DMARC", &["x; spf=pass smtp.mailfrom=example.com"], &["hop1.example"], None),
    ("in capitals", &["x; DMARC=PASS Header.From=Example.COM"], &["hop1.example"], Some("hop1.example")),
    ("with a comment", &["x; dmarc=pass (p=reject; sp=none) header.from=example.com"], &["hop1.example"], Some("hop1.example")),
    ("with space", &["x; dmarc = pass\r\n header.from = example.com"], &["hop1.example"], Some("hop1.example")),
    ("with a version", &["x 1; dmarc/1=pass header.from=example.com"], &["hop1.example"], Some("hop1.example")),
    ("among others", &["x; spf=fail; dkim=fail; dmarc=pass header.from=example.com; arc=none"], &["hop1.example"], Some("hop1.example")),
    ("in quotes of another", &["x; spf=fail smtp.mailfrom=\"; dmarc=pass header.from=example.com\""], &["hop1.example"], None),
    ("in a comment", &["x; spf=fail (; dmarc=pass header.from=example.com)"], &["hop1.example"], None),
    ("a comment without an end", &["x (; dmarc=pass header.from=example.com"], &["hop1.example"], None),
    ("a quote without an end", &["x; spf=\"fail; dmarc=pass header.from=example.com"], &["hop1.example"], None),
    ("twice, once failed", &["x; dmarc=pass header.from=example.com; dmarc=fail header.from=example.com"], &["hop1.example"], None),
    ("two authors", &["x; dmarc=pass header.from=example.com header.from=example.org"], &["hop1.example"], None),
    ("a word that only begins alike", &["x; dmarc=passed header.from=example.com"], &["hop1.example"], None),
    ("another method", &["x; xdmarc=pass header.from=example.com"], &["hop1.example"], None),
];

#[test]
fn only_whom_we_trust_rescues() {
    for (name, results, trusted, expected) in RESCUES {
        let sealers = (1..)
            .zip(*results)
            .map(|(number, results)| Sealer { results: (*results).to_owned(), ..Sealer::new(number) });
        let (raw, mut dns) = chain_of(sealers.collect());
        dns.add("_dmarc.example.com TXT v=DMARC1; p=reject");
        let found = judge_with(raw.as_bytes(), &dns, trusted);
        assert_eq!(found.arc, R::Pass, "{name}");
        assert_eq!(found.dmarc.result, R::Fail, "{name}");
        assert_eq!(found.dmarc.rescued_by.as_deref(), *expected, "{name}");
        let disposition = if expected.is_some() { DmarcPolicy::None } else { DmarcPolicy::Reject };
        assert_eq!(found.dmarc.disposition, disposition, "{name}");
        assert_eq!(found.aligned_domain, None, "{name}: a rescue is no proof");
        // A chain that does not hold rescues nobody.
        let broken = judge_with(raw.replace("Hello all", "Hello").as_bytes(), &dns, trusted);
        assert_eq!((broken.arc, broken.dmarc.rescued_by), (R::Fail, None), "{name}");
    }
    println!("ARC: {} of {} cases of trust", RESCUES.len(), RESCUES.len());
}
