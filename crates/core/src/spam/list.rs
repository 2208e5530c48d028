//! What block lists in the DNS say of whom a message comes from, and of where its links lead.

use super::SpamReason;

/// What one listed address adds, and what all do at most, in hundredths.
const ADDRESS: (i64, i64) = (250, 450);

/// What one listed domain adds, and what all do at most.
const DOMAIN: (i64, i64) = (300, 500);

/// The reasons for what lists have: of addresses, and of domains; each with the list that has it.
pub fn of_lists(addresses: &[(String, String)], domains: &[(String, String)]) -> Vec<SpamReason> {
    let address = |(what, list): &(String, String)| format!("{list} has {what}, from which it came");
    let domain = |(what, list): &(String, String)| format!("{list} has {what}, which it is from or leads to");
    let of_addresses = capped("listed_address", ADDRESS, addresses.iter().map(address));
    of_addresses.into_iter().chain(capped("listed_domain", DOMAIN, domains.iter().map(domain))).collect()
}

fn capped(name: &str, (each, most): (i64, i64), texts: impl Iterator<Item = String>) -> Vec<SpamReason> {
    let mut left = most;
    let mut reasons = Vec::new();
    for text in texts {
        let score = each.min(left);
        left -= score;
        if score > 0 {
            reasons.push(SpamReason::new(name, score, text));
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lists_are_not_counted_without_end() {
        let hit = |what: &str, list: &str| (what.to_owned(), list.to_owned());
        let reasons = of_lists(
            &[hit("192.0.2.1", "a.test"), hit("192.0.2.1", "b.test"), hit("192.0.2.1", "c.test")],
            &[hit("bad.test", "d.test")],
        );
        let scores: Vec<_> = reasons.iter().map(|reason| (reason.name.as_str(), reason.hundredths())).collect();
        assert_eq!(scores, [("listed_address", 250), ("listed_address", 200), ("listed_domain", 300)]);
        assert!(reasons[0].text.contains("192.0.2.1") && reasons[0].text.contains("a.test"));
        assert!(of_lists(&[], &[]).is_empty());
    }
}
