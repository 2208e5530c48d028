//! Where the copy of a message goes after the rules have spoken.

use super::Effects;
use crate::folder::SystemFolder;

/// The shape of a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Ids of the folders that it is in: at least one.
    pub folders: Vec<String>,
    /// Whether it starts unread.
    pub unread: bool,
    /// Whether it starts with a star.
    pub starred: bool,
}

/// Places a copy. `resolve` finds the id of the folder that a rule names by its id, name or path; what it does not find
/// is passed over. `default` is the id of the folder of a copy about which no rule says anything.
///
/// Trash beats junk, and both beat everything else, so that no rule brings out what another one put away. Otherwise
/// the copy is in the folders that were assigned, and in the archive if it was archived; these replace the folder into
/// which it would have gone. A rule that assigns the trash or junk by name puts it there just as well.
pub fn place(effects: &Effects, default: &str, unread: bool, resolve: impl Fn(&str) -> Option<String>) -> Placement {
    let archive = effects.archived.then(|| SystemFolder::Archive.id().to_owned());
    let mut folders: Vec<String> = Vec::new();
    for folder in effects.folders.iter().filter_map(|name| resolve(name)).chain(archive) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    let goes_into = |folder: SystemFolder| folders.iter().any(|id| id == folder.id());
    if effects.trashed || goes_into(SystemFolder::Trash) {
        folders = vec![SystemFolder::Trash.id().to_owned()];
    } else if effects.marked_as_spam || goes_into(SystemFolder::Junk) {
        folders = vec![SystemFolder::Junk.id().to_owned()];
    } else if folders.is_empty() {
        folders.push(default.to_owned());
    }
    Placement { folders, unread: unread && !effects.marked_as_read, starred: effects.marked_starred }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str) -> Option<String> {
        match name {
            "Clients/Acme" => Some("f-1".to_owned()),
            name => SystemFolder::named(name).map(|folder| folder.id().to_owned()),
        }
    }

    #[test]
    fn the_table() {
        let none = Effects::default();
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let table = [
            (none.clone(), &["inbox"][..]),
            (Effects { trashed: true, ..none.clone() }, &["trash"]),
            (Effects { marked_as_spam: true, ..none.clone() }, &["junk"]),
            (Effects { archived: true, ..none.clone() }, &["archive"]),
            (Effects { folders: of(&["Clients/Acme"]), ..none.clone() }, &["f-1"]),
            (Effects { folders: of(&["No/Such"]), ..none.clone() }, &["inbox"]),
            (Effects { folders: of(&["Sent", "Clients/Acme", "sent"]), ..none.clone() }, &["sent", "f-1"]),
            (Effects { folders: of(&["Clients/Acme"]), archived: true, ..none.clone() }, &["f-1", "archive"]),
            (Effects { folders: of(&["Clients/Acme", "Trash"]), marked_as_spam: true, ..none.clone() }, &["trash"]),
            (Effects { folders: of(&["Clients/Acme", "Junk"]), archived: true, ..none.clone() }, &["junk"]),
            (Effects { marked_as_spam: true, trashed: true, archived: true, ..none.clone() }, &["trash"]),
            (Effects { marked_as_spam: true, archived: true, ..none.clone() }, &["junk"]),
        ];
        for (effects, folders) in table {
            let placement = place(&effects, "inbox", true, resolve);
            assert_eq!(placement, Placement { folders: of(folders), unread: true, starred: false }, "{effects:?}");
        }
        let marked = Effects { marked_as_read: true, marked_starred: true, ..none };
        let placement = place(&marked, "sent", true, resolve);
        assert_eq!(placement, Placement { folders: of(&["sent"]), unread: false, starred: true });
    }
}
