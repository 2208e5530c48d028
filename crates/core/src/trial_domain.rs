//! Trial domains: names below a domain of the operator, which organizations may take without touching the DNS.

use crate::domain::Domain;

/// How a name stands to the operator's trial domains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trial {
    /// It has nothing to do with them.
    Elsewhere,
    /// It is one label below one of them, free to be taken.
    Below,
    /// It is one of them, or too deep below one, or its label will not do: nobody may have it.
    Reserved,
}

/// Says how a name stands to the operator's trial domains. A label has letters, digits and inner hyphens, and 1 or 3
/// to 63 of them, as official clients check it.
pub fn of(name: &Domain, bases: &[Domain]) -> Trial {
    if bases.iter().any(|base| base == name) {
        return Trial::Reserved;
    }
    let below = |base: &Domain| name.as_str().strip_suffix(base.as_str())?.strip_suffix('.').map(str::to_owned);
    let labels: Vec<String> = bases.iter().filter_map(below).collect();
    if labels.is_empty() {
        return Trial::Elsewhere;
    }
    if labels.iter().any(|label| is_label(label)) { Trial::Below } else { Trial::Reserved }
}

/// `^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])?$`
fn is_label(label: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    matches!(label.len(), 1 | 3..=63) && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_trial_domains() {
        let bases = ["try.test", "play.example"].map(|base| Domain::parse(base).unwrap());
        let longest = format!("{}.try.test", "a".repeat(63));
        for (name, expected) in [
            ("acme.test", Trial::Elsewhere),
            ("mytry.test", Trial::Elsewhere),
            ("test", Trial::Elsewhere),
            ("acme.try.test", Trial::Below),
            ("a-b-1.play.example", Trial::Below),
            ("a.try.test", Trial::Below),
            (&longest, Trial::Below),
            ("try.test", Trial::Reserved),
            ("ab.try.test", Trial::Reserved),
            ("a_b.try.test", Trial::Reserved),
            ("deep.acme.try.test", Trial::Reserved),
        ] {
            assert_eq!(of(&Domain::parse(name).unwrap(), &bases), expected, "{name}");
        }
        assert_eq!(of(&Domain::parse("acme.try.test").unwrap(), &[]), Trial::Elsewhere);
    }
}
