//! Lists in which rules look things up: what an item of each kind looks like, and its one spelling. A rule compares
//! addresses, domains and last labels in that spelling, so that an item matches however somebody wrote it.

use crate::address::EmailAddress;
use crate::domain::Domain;

/// What the items of a list are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ListKind {
    /// Domains, such as `example.com`.
    Domain,
    /// Last labels of domains, such as `com`.
    Tld,
    /// Whole addresses.
    Address,
}

impl ListKind {
    /// All three.
    pub const ALL: &[Self] = &[Self::Domain, Self::Tld, Self::Address];

    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Tld => "tld",
            Self::Address => "address",
        }
    }

    /// Finds the kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// Characters of an item, as it is given.
pub const ITEM_CHARS_MAX: usize = 500;

/// Items that one request may add or remove.
pub const ITEMS_MAX: usize = 1_000;

/// Why a text is no item of a list; it goes on after the name of the field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidItem {
    /// There is nothing but space.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`ITEM_CHARS_MAX`].
    #[error("must be at most {ITEM_CHARS_MAX} characters")]
    TooLong,
    /// An address, where a domain is wanted.
    #[error("must be a domain such as example.com, not an address; a list of type address takes whole addresses")]
    AddressForDomain,
    /// No domain.
    #[error("must be a domain such as example.com, without wildcards: letters, digits and inner hyphens between dots")]
    NoDomain,
    /// An address, where a top-level domain is wanted.
    #[error("must be a top-level domain such as com, not an address; a list of type address takes whole addresses")]
    AddressForTld,
    /// A domain of several labels, where a top-level domain is wanted.
    #[error("must be a top-level domain such as com, not a whole domain; a list of type domain takes those")]
    DomainForTld,
    /// No label.
    #[error("must be a top-level domain such as com: letters, digits and inner hyphens")]
    NoTld,
    /// A domain, where an address is wanted.
    #[error("must be an address such as user@example.com, not a domain; a list of type domain takes those")]
    DomainForAddress,
    /// No address.
    #[error("must be an address such as user@example.com, without a name or angle brackets")]
    NoAddress,
}

/// An item in the one spelling in which it is kept and looked up: that of [`Domain`], of its last label, or of
/// [`EmailAddress::key`].
pub fn normalize(kind: ListKind, text: &str) -> Result<String, InvalidItem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidItem::Empty);
    }
    if text.chars().count() > ITEM_CHARS_MAX {
        return Err(InvalidItem::TooLong);
    }
    match kind {
        ListKind::Domain => domain(text),
        ListKind::Tld => tld(text),
        ListKind::Address => address(text),
    }
}

/// What people write before a domain: `@example.com`, `.example.com`.
fn without_prefix(text: &str) -> &str {
    text.strip_prefix(['.', '@']).unwrap_or(text)
}

fn domain(text: &str) -> Result<String, InvalidItem> {
    let text = without_prefix(text);
    if text.contains('@') {
        return Err(InvalidItem::AddressForDomain);
    }
    let domain = Domain::parse(text).map_err(|_| InvalidItem::NoDomain)?;
    Ok(domain.as_str().to_owned())
}

fn tld(text: &str) -> Result<String, InvalidItem> {
    let text = without_prefix(text);
    if text.contains('@') {
        return Err(InvalidItem::AddressForTld);
    }
    let domain = Domain::parse(text).map_err(|_| InvalidItem::NoTld)?;
    if domain.as_str().contains('.') {
        return Err(InvalidItem::DomainForTld);
    }
    Ok(domain.as_str().to_owned())
}

fn address(text: &str) -> Result<String, InvalidItem> {
    let no_address = |_| InvalidItem::NoAddress;
    if !text.contains('@') || text.starts_with('@') {
        let is_domain = Domain::parse(without_prefix(text)).is_ok();
        return Err(if is_domain { InvalidItem::DomainForAddress } else { InvalidItem::NoAddress });
    }
    let key = EmailAddress::parse(text).map_err(no_address)?.key();
    // Some letters take more room in lower case: what no longer is an address could be looked up by nobody.
    EmailAddress::parse(&key).map_err(no_address)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn items_have_one_spelling() {
        use ListKind::{Address, Domain, Tld};
        for (kind, text, expected) in [
            (Domain, " Example.COM ", "example.com"),
            (Domain, "@example.com", "example.com"),
            (Domain, ".example.com", "example.com"),
            (Domain, "example.com.", "example.com"),
            (Domain, "Müller.example", "xn--mller-kva.example"),
            (Domain, "mail_1.example", "mail_1.example"),
            (Domain, "localhost", "localhost"),
            (Tld, "COM", "com"),
            (Tld, ".com", "com"),
            (Tld, "@com", "com"),
            (Tld, "com.", "com"),
            (Tld, "РФ", "xn--p1ai"),
            (Tld, "xn--P1AI", "xn--p1ai"),
            (Address, "\tBob.X+tag@Example.COM\r\n", "bob.x+tag@example.com"),
            (Address, "MÜLLER@Müller.example", "müller@xn--mller-kva.example"),
            (Address, "\"Plain\"@example.com", "plain@example.com"),
            (Address, "\"A b\"@example.com", "\"a b\"@example.com"),
        ] {
            assert_eq!(normalize(kind, text).as_deref(), Ok(expected), "{kind:?} {text:?}");
        }
    }

    #[test]
    fn what_is_no_item_says_what_is_wanted() {
        use InvalidItem::*;
        use ListKind::{Address, Domain, Tld};
        for (kind, text, expected) in [
            (Domain, "", Empty),
            (Tld, " \t", Empty),
            (Domain, "a@example.com", AddressForDomain),
            (Domain, "@a@example.com", AddressForDomain),
            (Domain, "*.example.com", NoDomain),
            (Domain, "https://example.com/", NoDomain),
            (Domain, "..example.com", NoDomain),
            (Domain, "a b.com", NoDomain),
            (Domain, "@", NoDomain),
            (Tld, "example.com", DomainForTld),
            (Tld, ".co.uk", DomainForTld),
            (Tld, "a@com", AddressForTld),
            (Tld, ".", NoTld),
            (Tld, "c om", NoTld),
            (Address, "example.com", DomainForAddress),
            (Address, "@example.com", DomainForAddress),
            (Address, "nobody here", NoAddress),
            (Address, "Bob <bob@example.com>", NoAddress),
            (Address, "a@b@example.com", NoAddress),
            (Address, "a@", NoAddress),
            (Address, "a\u{0}b@example.com", NoAddress),
        ] {
            assert_eq!(normalize(kind, text), Err(expected), "{kind:?} {text:?}");
            assert!(expected.to_string().starts_with("must "));
        }
    }

    #[test]
    fn the_longest_item() {
        // Within the limit it is judged by what it is, above it by its length; characters are counted, not octets.
        for kind in ListKind::ALL {
            assert_ne!(normalize(*kind, &"ü".repeat(ITEM_CHARS_MAX)), Err(InvalidItem::TooLong));
            assert_eq!(normalize(*kind, &"ü".repeat(ITEM_CHARS_MAX + 1)), Err(InvalidItem::TooLong));
        }
        let padded = format!("{}example.com", " ".repeat(ITEM_CHARS_MAX));
        assert_eq!(
            normalize(ListKind::Domain, &padded).as_deref(),
            Ok("example.com"),
            "space around it counts for nothing"
        );
    }

    fn any_kind() -> impl Strategy<Value = ListKind> {
        proptest::sample::select(ListKind::ALL)
    }

    /// Texts that often are items.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,40}",
            "[ .@]?\\PC{1,20}(\\.[a-zA-ZäÄßςΣİ]{1,8}){0,3}[ .]?",
            "\\PC{1,64}@[a-zA-Z0-9-]{1,10}\\.[a-zA-ZäÄßςΣİ]{2,6}",
            "\"[a-zA-Z @\\\\\"İ]{0,20}\"@[A-Z]{1,10}\\.test",
            "[İẞΣ]{1,64}@example\\.com",
        ]
    }

    proptest! {
        #[test]
        fn what_was_normalized_stays(kind in any_kind(), text in text()) {
            if let Ok(item) = normalize(kind, &text) {
                prop_assert_eq!(normalize(kind, &item), Ok(item.clone()));
                prop_assert_eq!(&item.to_lowercase(), &item);
                prop_assert!(item.chars().count() <= ITEM_CHARS_MAX && !item.chars().any(char::is_control));
            }
        }

        #[test]
        fn case_and_space_do_not_matter(kind in any_kind(), text in "[a-zA-Z0-9.@-]{1,30}") {
            let item = normalize(kind, &text);
            prop_assert_eq!(&normalize(kind, &text.to_uppercase()), &item);
            prop_assert_eq!(&normalize(kind, &format!(" {text}\t")), &item);
        }

        #[test]
        fn an_item_is_what_mail_is_looked_up_by(text in "\\PC{1,20}@[a-zA-Zä]{1,10}\\.[a-zA-Zä]{2,6}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                let domain = address.domain().as_str();
                prop_assert_eq!(normalize(ListKind::Address, &text), Ok(address.key()));
                prop_assert_eq!(normalize(ListKind::Domain, domain), Ok(domain.to_owned()));
                let last = domain.rsplit('.').next().unwrap_or_default();
                prop_assert_eq!(normalize(ListKind::Tld, last), Ok(last.to_owned()));
            }
        }
    }
}
