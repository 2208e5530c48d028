//! Folders: those that every mailbox has, and the names of those that are made.

use crate::problem::Problem;

/// Folders that may be made in one mailbox.
pub const FOLDERS_MAX: usize = 1_000;

/// Characters of a folder's name.
pub const NAME_CHARS_MAX: usize = 1_024;

/// The name of a folder that is made, without spaces around it. Those of system folders, in any case, are reserved, and so is
/// the one under which messages wait.
pub fn name(text: &str) -> Result<String, Problem> {
    let name = text.trim();
    let refuse = |text: String| Err(Problem::invalid("name", text));
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return refuse(format!("name must have 1 to {NAME_CHARS_MAX} characters"));
    }
    if name.chars().any(char::is_control) {
        return refuse("name must have no control characters".to_owned());
    }
    if SystemFolder::named(name).is_some() || key(name) == SCHEDULED {
        return refuse(format!("name must not be {name:?}, which is reserved"));
    }
    Ok(name.to_owned())
}

/// What names are compared by: two folders of a mailbox do not differ in case alone.
pub fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

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

    #[test]
    fn names_of_folders_that_are_made() {
        let (longest, too_long) = ("ü".repeat(NAME_CHARS_MAX), "x".repeat(NAME_CHARS_MAX + 1));
        for (text, expected) in [
            ("Clients", Some("Clients")),
            ("  Clients/Acme ", Some("Clients/Acme")),
            ("日本", Some("日本")),
            ("x", Some("x")),
            (longest.as_str(), Some(longest.as_str())),
            (too_long.as_str(), None),
            ("", None),
            (" \t ", None),
            ("a\nb", None),
            ("a\0b", None),
            ("INBOX", None),
            (" Spam ", None),
            ("junk", None),
            ("Scheduled", None),
        ] {
            assert_eq!(name(text).ok().as_deref(), expected, "{text:?}");
        }
        assert_eq!(key(" CLIENTS"), key("clients"));
    }
}
