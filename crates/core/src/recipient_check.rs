//! What can be said of an address before anything is sent to it: a verdict from what was found out, and hints from the
//! address alone. A hint is never a reason to refuse: people read what is written to `info`.

mod tables;

use crate::domain::Domain;
use tables::{COMMON_DOMAINS, DISPOSABLE_DOMAINS, OTHER_DOMAINS, ROLES};

/// What to expect of a message to an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing speaks against it. Whether the mailbox is there, only its server knows.
    Deliverable,
    /// It cannot arrive, or is not sent.
    Undeliverable,
    /// It may arrive, and something speaks against sending it.
    Risky,
    /// It could not be found out just now.
    Unknown,
}

impl Verdict {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deliverable => "deliverable",
            Self::Undeliverable => "undeliverable",
            Self::Risky => "risky",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that was found out about an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// It is no address.
    Syntax,
    /// Its local part is not ASCII, which is not sent.
    NotAscii,
    /// Its domain does not exist, or has no mail server.
    NoMailServer,
    /// Its domain takes no mail (RFC 7505).
    NullMx,
    /// Its domain is ours, and there is no such mailbox.
    NoSuchMailbox,
    /// It is suppressed.
    Suppressed,
    /// Nothing was found out about its domain, because the name servers did not answer in time.
    LookupFailed,
    /// It stands for a role, not for a person.
    Role,
    /// Its domain gives addresses for a few minutes to anybody.
    Disposable,
    /// Its domain looks like a misspelt one.
    Misspelt,
}

impl Finding {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::NotAscii => "not_ascii",
            Self::NoMailServer => "no_mail_server",
            Self::NullMx => "null_mx",
            Self::NoSuchMailbox => "no_such_mailbox",
            Self::Suppressed => "suppressed",
            Self::LookupFailed => "lookup_failed",
            Self::Role => "role",
            Self::Disposable => "disposable",
            Self::Misspelt => "misspelt_domain",
        }
    }

    const fn verdict(self) -> Verdict {
        match self {
            Self::Syntax
            | Self::NotAscii
            | Self::NoMailServer
            | Self::NullMx
            | Self::NoSuchMailbox
            | Self::Suppressed => Verdict::Undeliverable,
            Self::LookupFailed => Verdict::Unknown,
            Self::Role | Self::Disposable | Self::Misspelt => Verdict::Risky,
        }
    }
}

/// The verdict on everything that was found out: what cannot be is said before what is not known, and that before what
/// is merely not good.
pub fn verdict(findings: &[Finding]) -> Verdict {
    let has = |wanted| findings.iter().any(|finding| finding.verdict() == wanted);
    let order = [Verdict::Undeliverable, Verdict::Unknown, Verdict::Risky];
    order.into_iter().find(|&wanted| has(wanted)).unwrap_or(Verdict::Deliverable)
}

/// Whether a local part stands for a role (RFC 2142, and what is common besides). What follows a `+` does not matter.
pub fn is_role(local: &str) -> bool {
    let name = local.split('+').next().unwrap_or(local).to_ascii_lowercase();
    ROLES.binary_search(&name.as_str()).is_ok()
}

/// Whether a domain, or one that it is below, gives addresses for a few minutes; `further` are those that the operator
/// knows of besides.
pub fn is_disposable(domain: &Domain, further: &[Domain]) -> bool {
    let mut name = domain.as_str();
    loop {
        if DISPOSABLE_DOMAINS.binary_search(&name).is_ok() || further.iter().any(|known| known.as_str() == name) {
            return true;
        }
        match name.split_once('.') {
            Some((_, parent)) if parent.contains('.') => name = parent,
            _ => return false,
        }
    }
}

/// The common domain that a domain is most likely a misspelling of: one letter too many, too few, other, or two in the
/// wrong order.
pub fn likely_domain(domain: &Domain) -> Option<&'static str> {
    let name = domain.as_str();
    if COMMON_DOMAINS.contains(&name) || OTHER_DOMAINS.contains(&name) {
        return None;
    }
    COMMON_DOMAINS.iter().copied().find(|common| is_one_slip_away(name, common))
}

fn is_one_slip_away(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let start = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[start..], &other[start..]);
    let end = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[..one.len() - end], &other[..other.len() - end]);
    match (one, other) {
        // The common end may have taken a letter that both have.
        ([], [_]) | ([_], []) | ([_], [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    #[test]
    fn what_cannot_be_is_said_first() {
        use Finding::*;
        for (findings, expected) in [
            (&[][..], Verdict::Deliverable),
            (&[Role][..], Verdict::Risky),
            (&[Role, LookupFailed][..], Verdict::Unknown),
            (&[Disposable, LookupFailed, Suppressed][..], Verdict::Undeliverable),
            (&[NullMx][..], Verdict::Undeliverable),
        ] {
            assert_eq!(verdict(findings), expected, "{findings:?}");
        }
    }

    #[test]
    fn tables_are_sorted_for_searching() {
        assert!(ROLES.is_sorted() && DISPOSABLE_DOMAINS.is_sorted());
        for name in DISPOSABLE_DOMAINS.iter().chain(COMMON_DOMAINS).chain(OTHER_DOMAINS) {
            assert_eq!(domain(name).as_str(), *name);
        }
    }

    #[test]
    fn roles_and_disposable_domains_are_told() {
        assert!(is_role("postmaster") && is_role("Info") && is_role("no-reply") && is_role("support+de"));
        assert!(!is_role("ada") && !is_role("information") && !is_role(""));
        let further = [domain("burner.example")];
        assert!(is_disposable(&domain("mailinator.com"), &[]));
        assert!(is_disposable(&domain("a.b.mailinator.com"), &[]));
        assert!(is_disposable(&domain("burner.example"), &further) && !is_disposable(&domain("burner.example"), &[]));
        assert!(!is_disposable(&domain("notmailinator.com"), &[]) && !is_disposable(&domain("com"), &[]));
    }

    #[test]
    fn a_slip_is_told_from_another_domain() {
        for (typed, meant) in [
            ("gmial.com", Some("gmail.com")),
            ("gmai.com", Some("gmail.com")),
            ("gmaill.com", Some("gmail.com")),
            ("gmail.con", Some("gmail.com")),
            ("hotmial.com", Some("hotmail.com")),
            ("yaho.com", Some("yahoo.com")),
            ("outlok.com", Some("outlook.com")),
            ("gmail.com", None),
            ("ymail.com", None),
            ("mail.com", None),
            ("gmx.com", None),
            ("gimal.com", None),
            ("example.com", None),
        ] {
            assert_eq!(likely_domain(&domain(typed)), meant, "{typed}");
        }
    }
}
