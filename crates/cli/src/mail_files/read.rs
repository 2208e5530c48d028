//! The messages of an mbox file, a Maildir, or folders of files, one after the other and always in the same order.

use super::mbox::{Mbox, with_line_ends};
use super::{Format, MESSAGE_OCTETS_MAX, Message, dates};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Levels of folders that are looked through.
const DEPTH_MAX: usize = 8;

/// Files that are read; more are refused before anything is.
const FILES_MAX: usize = 10_000_000;

/// A file, and the folder of its messages.
struct Entry {
    path: PathBuf,
    folder: String,
}

/// Files to read.
pub struct Source {
    format: Format,
    entries: std::vec::IntoIter<Entry>,
    open: Option<(String, Mbox<BufReader<File>>)>,
    files: usize,
    octets: u64,
}

impl Source {
    /// Finds the files below a path. `folder` is where messages go whose file does not say.
    pub fn find(path: &Path, format: Format, folder: &str) -> io::Result<Self> {
        let mut entries = Vec::new();
        match format {
            Format::Maildir => maildir(path, folder, &mut entries)?,
            _ if path.is_file() => entries.push(Entry { path: path.to_owned(), folder: folder.to_owned() }),
            Format::Eml => tree(path, folder, 0, "eml", &mut entries)?,
            Format::Mbox | Format::Mboxo => tree(path, folder, 0, "mbox", &mut entries)?,
        }
        if entries.len() > FILES_MAX {
            return Err(io::Error::other(format!("there are more than {FILES_MAX} files")));
        }
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        let mut octets = 0;
        for entry in &entries {
            octets += fs::metadata(&entry.path)?.len();
        }
        Ok(Self { format, files: entries.len(), entries: entries.into_iter(), open: None, octets })
    }

    /// What it is, by which it is known again.
    pub fn describe(&self) -> String {
        format!("{}: {} files, {} bytes", self.format.name(), self.files, self.octets)
    }

    /// The next message, `None` at the end.
    pub fn message(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some((folder, mbox)) = &mut self.open {
                if let Some(message) = mbox.message()? {
                    return Ok(Some(Message { folder: folder.clone(), ..message }));
                }
                self.open = None;
            }
            let Some(entry) = self.entries.next() else { return Ok(None) };
            match self.format {
                Format::Mbox | Format::Mboxo => {
                    let file = BufReader::new(File::open(&entry.path)?);
                    self.open = Some((entry.folder, Mbox::new(file, self.format == Format::Mbox)));
                }
                Format::Maildir => return of_maildir(entry).map(Some),
                Format::Eml => return of_file(entry).map(Some),
            }
        }
    }
}

/// Files with an ending below a folder; the folder of those in another one has its name. Links lead nowhere.
fn tree(path: &Path, folder: &str, depth: usize, ending: &str, entries: &mut Vec<Entry>) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() && depth < DEPTH_MAX {
            tree(&path, &name(&path), depth + 1, ending, entries)?;
        } else if kind.is_file() && path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending)) {
            let folder = if ending == "mbox" { name(&path) } else { folder.to_owned() };
            entries.push(Entry { path, folder });
        }
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Files of a Maildir and, as Maildir++ has them, of the folders `.Name` in it.
fn maildir(path: &Path, folder: &str, entries: &mut Vec<Entry>) -> io::Result<()> {
    if !path.join("cur").is_dir() {
        return Err(io::Error::other("it has no folder cur, so it is no Maildir"));
    }
    let mut folders = vec![(path.to_owned(), folder.to_owned())];
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if let Some(name) = file.strip_prefix('.').filter(|name| !name.is_empty())
            && entry.file_type()?.is_dir()
        {
            folders.push((entry.path(), name.rsplit('.').next().unwrap_or(name).to_owned()));
        }
    }
    for (path, folder) in folders {
        for part in ["cur", "new"] {
            let Ok(listed) = fs::read_dir(path.join(part)) else { continue };
            for entry in listed {
                let entry = entry?;
                if entry.file_type()?.is_file() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
                    entries.push(Entry { path: entry.path(), folder: folder.clone() });
                }
            }
        }
    }
    Ok(())
}

fn of_maildir(entry: Entry) -> io::Result<Message> {
    let file = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let flags = file.rsplit_once(":2,").map_or("", |(_, flags)| flags).to_owned();
    let (raw, octets, modified) = read(&entry.path)?;
    let folder = if flags.contains('T') { "trash".to_owned() } else { entry.folder };
    let unread = !flags.contains('S');
    Ok(Message { folder, received_at: modified, unread, starred: flags.contains('F'), raw, octets })
}

fn of_file(entry: Entry) -> io::Result<Message> {
    let (raw, octets, modified) = read(&entry.path)?;
    let received_at = dates::of_header(&raw).or(modified);
    Ok(Message { folder: entry.folder, received_at, unread: false, starred: false, raw, octets })
}

/// What a file has, unless that is too much; how much it has, and when it was written.
fn read(path: &Path) -> io::Result<(Vec<u8>, u64, Option<i64>)> {
    let file = File::open(path)?;
    let facts = file.metadata()?;
    let modified = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mut raw = Vec::new();
    file.take(MESSAGE_OCTETS_MAX as u64 + 1).read_to_end(&mut raw)?;
    let octets = if raw.len() > MESSAGE_OCTETS_MAX { facts.len() } else { raw.len() as u64 };
    if raw.len() > MESSAGE_OCTETS_MAX {
        raw = Vec::new();
    }
    Ok((with_line_ends(raw), octets, modified.and_then(|since| i64::try_from(since.as_secs()).ok())))
}
