//! Into which folders a message may be put, as far as their names tell: which of them the mailbox has is known where it is moved.

use postfleet_core::Problem;
use postfleet_core::folder::{NAME_CHARS_MAX, SCHEDULED, SystemFolder};

/// Folders that one message may be in.
pub const FOLDERS_MAX: usize = 20;

/// Looks at the folders that a request names, by their ids or names.
pub fn check(wanted: &[String]) -> Result<(), Problem> {
    let refuse = |text: &str| Err(Problem::invalid("folders", format!("folders {text}")));
    if wanted.is_empty() || wanted.len() > FOLDERS_MAX {
        return refuse(&format!("must name 1 to {FOLDERS_MAX} folders"));
    }
    for name in wanted {
        if SystemFolder::named(name) == Some(SystemFolder::Drafts) {
            return refuse("must not name drafts, which has drafts alone");
        }
        if name.eq_ignore_ascii_case(SCHEDULED) || name.chars().count() > NAME_CHARS_MAX {
            return Err(missing(name));
        }
    }
    Ok(())
}

/// The refusal of a folder that a mailbox does not have.
pub fn missing(name: &str) -> Problem {
    let shown: String = name.chars().take(100).collect();
    Problem::invalid("folders", format!("folders names {shown:?}, which this mailbox does not have"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_may_be_there() {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        for (wanted, expected) in [
            (&["junk"][..], true),
            (&["SPAM", "junk", "Inbox"], true),
            (&["Clients", "archive"], true),
            (&["drafts"], false),
            (&["inbox", "Drafts"], false),
            (&["scheduled"], false),
            (&["Scheduled"], false),
            (&[&long], false),
            (&[], false),
        ] {
            assert_eq!(check(&texts(wanted)).is_ok(), expected, "{wanted:?}");
        }
        assert!(check(&vec!["junk".to_owned(); FOLDERS_MAX]).is_ok());
        assert!(check(&vec!["junk".to_owned(); FOLDERS_MAX + 1]).is_err());
    }
}
