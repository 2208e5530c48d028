//! In which order the servers of a domain are tried (RFC 5321 §5.1).

use crate::Domain;

/// What follows from a domain's list of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MxOrder {
    /// These, in this order; at least one.
    Hosts(Vec<Domain>),
    /// Only servers are left that would hand the message to us again.
    Loop,
}

/// Orders servers: lower preferences first, equals in random order, so that they share the load. `below(n)` gives a
/// random number below `n`. Where we are in the list ourselves (under any name of `ours`), we and everything that is not
/// preferred to us is left out: we were asked to take the message, not to send it in circles.
pub fn order(records: &[(u16, Domain)], ours: &[&Domain], mut below: impl FnMut(u64) -> u64) -> MxOrder {
    let own = records.iter().filter(|(_, host)| ours.contains(&host)).map(|(preference, _)| *preference).min();
    let is_before_us = |preference: u16| own.is_none_or(|own| preference < own);
    let mut left: Vec<&(u16, Domain)> = records.iter().filter(|(preference, _)| is_before_us(*preference)).collect();
    left.sort_by_key(|(preference, _)| *preference);
    for equals in left.chunk_by_mut(|a, b| a.0 == b.0) {
        for last in (1..equals.len()).rev() {
            let other = usize::try_from(below(last as u64 + 1)).unwrap_or(last);
            equals.swap(last, other.min(last));
        }
    }
    if left.is_empty() {
        MxOrder::Loop
    } else {
        MxOrder::Hosts(left.into_iter().map(|(_, host)| host.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).expect("domain")
    }

    fn records(list: &[(u16, &str)]) -> Vec<(u16, Domain)> {
        list.iter().map(|(preference, host)| (*preference, domain(host))).collect()
    }

    /// The names, `loop` if none may be tried. Chance changes nothing.
    fn ordered(list: &[(u16, &str)], ours: &[&str]) -> String {
        let ours: Vec<Domain> = ours.iter().map(|name| domain(name)).collect();
        match order(&records(list), &ours.iter().collect::<Vec<_>>(), |below| below - 1) {
            MxOrder::Hosts(hosts) => hosts.iter().map(Domain::as_str).collect::<Vec<_>>().join(" "),
            MxOrder::Loop => "loop".to_owned(),
        }
    }

    #[test]
    fn the_preferred_come_first_and_nobody_after_ourselves() {
        let list = [(20, "c.test"), (0, "a.test"), (10, "b1.test"), (10, "b2.test"), (65_535, "d.test")];
        for (ours, expected) in [
            (vec![], "a.test b1.test b2.test c.test d.test"),
            (vec!["other.test"], "a.test b1.test b2.test c.test d.test"),
            (vec!["d.test"], "a.test b1.test b2.test c.test"),
            (vec!["c.test"], "a.test b1.test b2.test"),
            // Equals of ours would ask us as well.
            (vec!["b2.test"], "a.test"),
            (vec!["c.test", "b1.test"], "a.test"),
            (vec!["a.test"], "loop"),
        ] {
            assert_eq!(ordered(&list, &ours), expected, "{ours:?}");
        }
        // Named twice, the better place counts.
        assert_eq!(ordered(&[(10, "we.test"), (20, "a.test"), (30, "we.test")], &["we.test"]), "loop");
        assert_eq!(ordered(&[(5, "we.test")], &["we.test"]), "loop");
    }

    #[test]
    fn equals_come_in_every_order_and_preferences_are_kept() {
        let list = records(&[(5, "first.test"), (10, "a.test"), (10, "b.test"), (10, "c.test"), (20, "last.test")]);
        let mut seen = HashSet::new();
        // Every choice that chance can make for three equals.
        for third in 0..3 {
            for second in 0..2 {
                let below = |below| if below == 3 { third } else { second };
                let MxOrder::Hosts(hosts) = order(&list, &[], below) else { panic!("no loop") };
                assert_eq!((hosts[0].as_str(), hosts[4].as_str(), hosts.len()), ("first.test", "last.test", 5));
                seen.insert(hosts[1..4].to_vec());
            }
        }
        assert_eq!(seen.len(), 6);
    }
}
