//! Lists in which rules look things up: what an item of each kind looks like.

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
