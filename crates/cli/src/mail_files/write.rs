//! Writing mail into files, so that it can go on where it stopped: how far it is stands in a file beside them, which is
//! replaced when everything before it is on the disk. What an interrupted run wrote behind that is written again.

use super::{Format, Message, mbox};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

const STATE: &str = ".postfleet-export.json";

/// How far an export is.
#[derive(Serialize, Deserialize, Clone, Default, PartialEq, Eq, Debug)]
pub struct State {
    /// From which mailbox.
    pub mailbox: String,
    /// In which format.
    pub format: String,
    /// Where it goes on.
    pub cursor: Option<String>,
    /// Messages that are written.
    pub messages: u64,
    /// Octets of each mbox file.
    pub files: BTreeMap<String, u64>,
}

/// A place into which mail is written.
pub struct Target {
    folder: PathBuf,
    format: Format,
    /// How far it is.
    pub state: State,
    open: BTreeMap<String, File>,
}

impl Target {
    /// Opens a folder that is empty, or in which an export of the same mailbox and format was begun.
    pub fn open(folder: &Path, format: Format, mailbox: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let state = match fs::read(folder.join(STATE)) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::read_dir(folder)?.next().is_some() {
                    return Err(io::Error::other("the folder is not empty, and no export was begun in it"));
                }
                let (mailbox, format) = (mailbox.to_owned(), format.name().to_owned());
                State { mailbox, format, ..State::default() }
            }
            Err(error) => return Err(error),
        };
        if state.mailbox != mailbox || state.format != format.name() {
            let text = format!("in the folder an export of {} as {} was begun", state.mailbox, state.format);
            return Err(io::Error::other(text));
        }
        let target = Self { folder: folder.to_owned(), format, state, open: BTreeMap::new() };
        target.save()?;
        Ok(target)
    }

    /// Writes a message.
    pub fn write(&mut self, message: &Message) -> io::Result<()> {
        let folder = safe(&message.folder);
        let (at, number) = (message.received_at.unwrap_or_default(), self.state.messages);
        match self.format {
            Format::Mbox | Format::Mboxo => {
                let name = format!("{folder}.mbox");
                if !self.open.contains_key(&name) {
                    let file = OpenOptions::new().create(true).append(true).open(self.folder.join(&name))?;
                    // What an interrupted run wrote is written again.
                    file.set_len(self.state.files.get(&name).copied().unwrap_or(0))?;
                    self.open.insert(name.clone(), file);
                }
                let mut octets = Vec::with_capacity(message.raw.len() + 128);
                mbox::write(&mut octets, at, &message.raw)?;
                if let Some(file) = self.open.get_mut(&name) {
                    file.write_all(&octets)?;
                }
                *self.state.files.entry(name).or_default() += octets.len() as u64;
            }
            Format::Maildir => {
                let home = if folder == "inbox" { self.folder.clone() } else { self.folder.join(format!(".{folder}")) };
                for part in ["tmp", "new", "cur"] {
                    fs::create_dir_all(home.join(part))?;
                }
                let flags: String = [('F', message.starred), ('S', !message.unread)]
                    .into_iter()
                    .filter_map(|(flag, has)| has.then_some(flag))
                    .collect();
                let name = format!("{at}.{number:010}.postfleet");
                put(
                    &home.join("tmp").join(&name),
                    &home.join("cur").join(format!("{name}:2,{flags}")),
                    at,
                    &message.raw,
                )?;
            }
            Format::Eml => {
                let home = self.folder.join(&folder);
                fs::create_dir_all(&home)?;
                let name = format!("{number:010}.eml");
                put(&home.join(format!(".{name}")), &home.join(&name), at, &message.raw)?;
            }
        }
        self.state.messages += 1;
        Ok(())
    }

    /// Says that everything up to a cursor is written.
    pub fn reached(&mut self, cursor: Option<String>) -> io::Result<()> {
        for file in self.open.values() {
            file.sync_data()?;
        }
        self.state.cursor = cursor.or(self.state.cursor.take());
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let beside = self.folder.join(format!("{STATE}.tmp"));
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(&self.state).map_err(io::Error::other)?)?;
        file.sync_all()?;
        fs::rename(&beside, self.folder.join(STATE))
    }
}

fn put(beside: &Path, path: &Path, at: i64, raw: &[u8]) -> io::Result<()> {
    let mut file = File::create(beside)?;
    file.write_all(raw)?;
    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap_or(0));
    file.set_times(FileTimes::new().set_modified(time))?;
    file.sync_data()?;
    fs::rename(beside, path)
}

/// The name of a folder as a file may have it: what the server says leads nowhere else.
fn safe(folder: &str) -> String {
    let letters = folder.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' });
    let name: String = letters.take(64).collect();
    if name.is_empty() { "inbox".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::super::read::Source;
    use super::*;

    fn messages() -> Vec<Message> {
        let raw = |text: &str| text.as_bytes().to_vec();
        let one = |folder: &str, at, unread, starred, text: &str| Message {
            folder: folder.to_owned(),
            received_at: Some(at),
            unread,
            starred,
            octets: text.len() as u64,
            raw: raw(text),
        };
        vec![
            one("inbox", 1_772_445_605, true, false, "A: b\r\n\r\nFrom me\r\n>From you\r\n\r\n"),
            one("inbox", 1_772_445_606, false, true, "A: b\r\n\r\n\u{e9}\u{0} 8-bit\r\n"),
            one("sent", 1_772_445_607, false, false, "A: b\r\n\r\nSent\r\n"),
        ]
    }

    fn read(folder: &Path, format: Format) -> Vec<Message> {
        let mut source = Source::find(folder, format, "inbox").expect("found");
        let mut messages = Vec::new();
        while let Some(message) = source.message().expect("read") {
            messages.push(message);
        }
        messages.sort_by_key(|message| message.received_at);
        messages
    }

    #[test]
    fn each_format_gives_back_what_it_was_given() {
        for format in [Format::Mbox, Format::Maildir, Format::Eml] {
            let folder = tempfile::tempdir().expect("folder");
            let mut target = Target::open(folder.path(), format, "m").expect("open");
            for message in messages() {
                target.write(&message).expect("written");
            }
            target.reached(Some("here".into())).expect("saved");
            let found = read(folder.path(), format);
            for (found, given) in found.iter().zip(messages()) {
                assert_eq!((&found.raw, &found.folder), (&given.raw, &given.folder), "{format:?}");
                assert_eq!(found.received_at, given.received_at, "{format:?}");
                if format == Format::Maildir {
                    assert_eq!(found, &given);
                }
            }
            assert_eq!(found.len(), 3, "{format:?}");
        }
    }

    #[test]
    fn what_was_interrupted_goes_on_without_a_message_twice() {
        for format in [Format::Mbox, Format::Maildir, Format::Eml] {
            let folder = tempfile::tempdir().expect("folder");
            let all = messages();
            let mut target = Target::open(folder.path(), format, "m").expect("open");
            target.write(&all[0]).expect("written");
            target.reached(Some("one".into())).expect("saved");
            // This one is written, and not that it was.
            target.write(&all[1]).expect("written");
            drop(target);
            let mut target = Target::open(folder.path(), format, "m").expect("open");
            assert_eq!((target.state.cursor.as_deref(), target.state.messages), (Some("one"), 1));
            for message in &all[1..] {
                target.write(message).expect("written");
            }
            target.reached(Some("all".into())).expect("saved");
            assert_eq!(read(folder.path(), format).len(), 3, "{format:?}");
            assert!(Target::open(folder.path(), format, "other").is_err(), "another mailbox");
        }
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("mine"), "x").expect("file");
        assert!(Target::open(folder.path(), Format::Mbox, "m").is_err(), "somebody's folder");
    }

    #[test]
    fn names_of_folders_lead_nowhere_else() {
        for (name, safe_name) in
            [("../../etc", "______etc"), ("", "inbox"), ("a/b", "a_b"), ("Sent", "Sent"), (".", "_")]
        {
            assert_eq!(safe(name), safe_name);
        }
        assert_eq!(safe(&"x".repeat(500)).len(), 64);
    }

    /// A link in a folder that somebody gave us must not let us read, and import, what it leads to.
    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().expect("folder");
        let secret = tempfile::NamedTempFile::new().expect("file");
        fs::write(secret.path(), "secret").expect("written");
        for part in ["cur", "new", "tmp"] {
            fs::create_dir(folder.path().join(part)).expect("folder");
        }
        std::os::unix::fs::symlink(secret.path(), folder.path().join("cur/1.eml")).expect("link");
        std::os::unix::fs::symlink("/etc", folder.path().join(".Etc")).expect("link");
        assert_eq!(read(folder.path(), Format::Maildir), []);
        assert_eq!(read(folder.path(), Format::Eml), []);
    }
}
