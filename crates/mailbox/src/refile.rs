//! Into which folders a message may be put: the system folders, and those that it is in already.

use postfleet_core::Problem;
use postfleet_core::folder::SystemFolder;

/// Folders that one message may be in.
pub const FOLDERS_MAX: usize = 20;

/// The folders that a request names, each once, by their ids.
pub fn folders(wanted: &[String], present: &[String]) -> Result<Vec<String>, Problem> {
    let refuse = |text: &str| Err(Problem::invalid("folders", format!("folders {text}")));
    if wanted.is_empty() || wanted.len() > FOLDERS_MAX {
        return refuse(&format!("must name 1 to {FOLDERS_MAX} folders"));
    }
    let mut folders: Vec<String> = Vec::with_capacity(wanted.len());
    for name in wanted {
        let system = SystemFolder::named(name);
        let id = match system {
            Some(SystemFolder::Drafts) => return refuse("must not name drafts, which has drafts alone"),
            Some(folder) => folder.id(),
            None if present.contains(name) => name,
            None => return refuse(&format!("names {name:?}, which this mailbox does not have")),
        };
        if folders.iter().all(|one| one != id) {
            folders.push(id.to_owned());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_there() {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let present = texts(&["inbox", "Clients"]);
        for (wanted, expected) in [
            (&["junk"][..], Some(&["junk"][..])),
            (&["SPAM", "junk", "Inbox"], Some(&["junk", "inbox"])),
            (&["Clients", "archive"], Some(&["Clients", "archive"])),
            (&["Other"], None),
            (&["drafts"], None),
            (&["scheduled"], None),
            (&[], None),
        ] {
            assert_eq!(folders(&texts(wanted), &present).ok(), expected.map(texts), "{wanted:?}");
        }
        assert!(folders(&vec!["junk".to_owned(); FOLDERS_MAX], &present).is_ok());
        assert!(folders(&vec!["junk".to_owned(); FOLDERS_MAX + 1], &present).is_err());
    }
}
