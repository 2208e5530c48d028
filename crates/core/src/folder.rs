//! The system folders that every mailbox has.

/// Where messages wait that are sent later and are no drafts. It is no folder that anybody sees, and no folder that is
/// made can have this id.
pub const SCHEDULED: &str = "scheduled";

/// A folder that exists without being made. Its lower-case word is its id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SystemFolder {
    /// Where mail arrives.
    Inbox,
    /// Copies of what was sent.
    Sent,
    /// Unfinished messages.
    Drafts,
    /// Deleted messages, until they are pruned.
    Trash,
    /// Spam.
    Junk,
    /// Kept out of sight.
    Archive,
}

impl SystemFolder {
    /// All six.
    pub const ALL: &[Self] = &[Self::Inbox, Self::Sent, Self::Drafts, Self::Trash, Self::Junk, Self::Archive];

    /// The id and name.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Sent => "sent",
            Self::Drafts => "drafts",
            Self::Trash => "trash",
            Self::Junk => "junk",
            Self::Archive => "archive",
        }
    }

    /// The special-use attribute (RFC 6154 §2).
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Inbox => "\\Inbox",
            Self::Sent => "\\Sent",
            Self::Drafts => "\\Drafts",
            Self::Trash => "\\Trash",
            Self::Junk => "\\Junk",
            Self::Archive => "\\Archive",
        }
    }

    /// Finds the folder by any spelling that clients use: the id in any case, and `spam` for junk.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if name == "spam" {
            return Some(Self::Junk);
        }
        Self::ALL.iter().copied().find(|folder| folder.id() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(SystemFolder::named("INBOX"), Some(SystemFolder::Inbox));
        assert_eq!(SystemFolder::named("Spam"), Some(SystemFolder::Junk));
        assert_eq!(SystemFolder::named("Clients"), None);
    }
}
