//! What kind of mail a message is for the mailbox that gets it. Marks call for care; none of them says that a message is
//! safe.

use serde::{Deserialize, Serialize};

/// The marks of one message in one mailbox.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// The mailbox never wrote to this author, and never had mail from it before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_first_contact: bool,
    /// A machine sent it on its own (RFC 3834).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_automated: bool,
    /// It came by a mailing list (RFC 2919, RFC 2369).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_list: bool,
    /// It went to many.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_bulk: bool,
    /// How the name that is shown of the author tells another author than the address does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name_mismatch: Option<NameMismatch>,
}

/// How a display name misleads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameMismatch {
    /// It shows another address.
    Address,
    /// It shows another domain.
    Domain,
    /// It is the name of a mailbox or an organization here, and the address is from elsewhere.
    Impersonation,
    /// It has letters of several scripts in one word, or letters that pass for others.
    Confusable,
}

impl NameMismatch {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Domain => "domain",
            Self::Impersonation => "impersonation",
            Self::Confusable => "confusable",
        }
    }
}
