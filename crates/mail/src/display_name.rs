//! Whether the name that a message shows of its author tells another author than the address does. A name proves nothing
//! and anybody may write any: what is found here calls for care.

use crate::Participant;
use crate::authentication::dmarc::suffix;
use crate::skeleton::{is_disguised, is_invisible, look_alike, skeleton};
use postfleet_core::Domain;
use postfleet_core::marks::NameMismatch;
use unicode_normalization::UnicodeNormalization;

/// Characters of a name that are looked at.
const NAME_CHARS_MAX: usize = 400;

/// How the names of the authors mislead by themselves, the worst first.
pub fn mismatch(authors: &[Participant]) -> Option<NameMismatch> {
    let found = authors.iter().filter_map(|author| mismatch_of(&author.name, &author.email));
    found.min_by_key(|found| *found as u8)
}

fn mismatch_of(name: &str, email: &str) -> Option<NameMismatch> {
    let seen = seen(name);
    let email = email.to_lowercase();
    let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
    let addresses = addresses_in(&seen);
    if addresses.iter().any(|shown| *shown != email) {
        return Some(NameMismatch::Address);
    }
    if addresses.is_empty() && domains_in(&seen).iter().any(|shown| !belong_together(shown, domain)) {
        return Some(NameMismatch::Domain);
    }
    (is_disguised(name) || is_disguised(&unicode(domain))).then_some(NameMismatch::Confusable)
}

/// Whether an author shows one of these names without having it: `own` are the names of mailboxes and organizations here, and
/// the author writes from elsewhere.
pub fn borrows<'a>(authors: &[Participant], mut own: impl Iterator<Item = &'a str>) -> bool {
    let shown: Vec<String> = authors.iter().filter_map(|author| telling(&author.name)).collect();
    !shown.is_empty() && own.any(|own| telling(own).is_some_and(|own| shown.contains(&own)))
}

/// What a name looks like, if it says who somebody is: long enough, and more than a role that everybody has.
fn telling(name: &str) -> Option<String> {
    let looks = skeleton(name);
    let is_role = ROLES.contains(&name.trim().to_lowercase().as_str());
    (looks.chars().filter(|c| c.is_alphanumeric()).count() >= TELLING_MIN && !is_role).then_some(looks)
}

/// Letters and digits that a name has at least to say who somebody is.
const TELLING_MIN: usize = 3;

/// Names that many have, and nobody takes for somebody.
const ROLES: &[&str] = &[
    "accounting",
    "accounts",
    "admin",
    "administrator",
    "agent",
    "ai",
    "assistant",
    "billing",
    "bot",
    "contact",
    "customer service",
    "customer support",
    "feedback",
    "finance",
    "hello",
    "help",
    "helpdesk",
    "hr",
    "info",
    "information",
    "inbox",
    "jobs",
    "mail",
    "marketing",
    "me",
    "news",
    "newsletter",
    "no reply",
    "noreply",
    "no-reply",
    "notifications",
    "office",
    "orders",
    "postmaster",
    "press",
    "research",
    "root",
    "sales",
    "security",
    "service",
    "shop",
    "support",
    "system",
    "team",
    "test",
    "user",
    "webmaster",
];

/// A name as somebody would type it who has read it: in lower case, with Latin letters for what passes for them. Names of
/// ours are found by it.
pub fn as_typed(name: &str) -> String {
    let seen = seen(name);
    let typed = seen.chars().map(|c| if c.is_ascii() { c } else { look_alike(c).unwrap_or(c) });
    typed.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A name as a reader sees it: in one form, without what nobody sees, in lower case.
fn seen(name: &str) -> String {
    let chars = name.chars().take(NAME_CHARS_MAX);
    match name.is_ascii() {
        true => chars.filter(|c| !is_invisible(*c)).map(|c| c.to_ascii_lowercase()).collect(),
        false => chars.nfkc().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase).collect(),
    }
}

/// Addresses that a name shows.
fn addresses_in(seen: &str) -> Vec<String> {
    let bare = words(seen).map(|word| word.trim_end_matches('.').to_owned());
    bare.filter(|word| word.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && is_of_mail(domain)))
        .collect()
}

/// Whether a name behind an `@` may be a domain of the internet.
fn is_of_mail(domain: &str) -> bool {
    domain.contains('.') && suffix::is_known(domain) && Domain::parse(domain).is_ok()
}

/// Domains that a name shows, such as `paypal.com`.
fn domains_in(seen: &str) -> Vec<String> {
    let bare = |word: String| {
        let word = word.split_once("://").map_or(word.as_str(), |(_, rest)| rest).to_owned();
        let word = word.split('/').next().unwrap_or_default().trim_matches('.').to_owned();
        word.strip_prefix("www.").map_or_else(|| word.clone(), str::to_owned)
    };
    words(seen).map(bare).filter(|word| is_domain(word)).collect()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let is_edge = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | '<' | '>' | '[' | ']' | ',' | ';' | '|' | '!')
    };
    let words: Vec<String> = text.split(is_edge).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.into_iter()
}

/// Whether a word is the name of a domain, and not an abbreviation or the name of a program: it ends as most domains do.
fn is_domain(word: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(name, end)| {
        ENDS.contains(&end) && name.chars().any(char::is_alphabetic) && Domain::parse(word).is_ok()
    })
}

/// Ends of domain names that are taken for such in a name. Not all that there are: `Co.KG`, `Co.Ltd` and `M.Sc` would be domains.
const ENDS: &[&str] = &[
    "ai", "app", "at", "au", "bank", "be", "biz", "br", "ca", "ch", "cloud", "cn", "co", "com", "cz", "de", "dev",
    "dk", "edu", "es", "eu", "fi", "fr", "gov", "gr", "hk", "hu", "ie", "il", "in", "info", "io", "it", "jp", "kr",
    "lt", "lv", "me", "mil", "mx", "net", "nl", "no", "nz", "online", "org", "pl", "pt", "ro", "rs", "ru", "se", "sg",
    "shop", "site", "sk", "store", "tech", "tr", "tv", "tw", "ua", "uk", "us", "xyz", "za",
];

/// Whether one of two domains is the other or below it.
fn belong_together(one: &str, other: &str) -> bool {
    let normal = |domain: &str| Domain::parse(domain).map_or_else(|_| domain.to_owned(), |domain| domain.to_string());
    let (one, other) = (normal(one), normal(other));
    let is_below = |lower: &str, upper: &str| lower.strip_suffix(upper).is_some_and(|rest| rest.ends_with('.'));
    one == other || is_below(&one, &other) || is_below(&other, &one)
}

/// A domain as a reader sees it.
fn unicode(domain: &str) -> String {
    postfleet_core::domain::to_unicode(domain)
}

#[cfg(test)]
mod tests;
