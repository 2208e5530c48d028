//! Mail as files: mbox, Maildir, and a file for each message. Read one message at a time, so that no size of a mailbox
//! matters; nothing in a file decides where anything is written.

pub mod dates;
pub mod mbox;
pub mod read;
pub mod write;

/// Octets of a message that is read. Of a larger one nothing is held.
pub const MESSAGE_OCTETS_MAX: usize = 45 << 20;

/// How mail is kept in files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// One file for each folder, messages one after the other; `>From` is quoted and read as mboxrd has it
    Mbox,
    /// As `mbox`, where only `>From` is quoted and nothing else (mboxo, mboxcl)
    Mboxo,
    /// A file for each message in cur and new, folders as Maildir++ has them
    Maildir,
    /// A file for each message, a folder on disk for each folder
    Eml,
}

impl Format {
    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mbox => "mbox",
            Self::Mboxo => "mboxo",
            Self::Maildir => "maildir",
            Self::Eml => "eml",
        }
    }
}

/// A message as a file has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// The folder that it is in; empty if the file does not say.
    pub folder: String,
    /// When it was received, unix seconds.
    pub received_at: Option<i64>,
    /// Not read yet.
    pub unread: bool,
    /// Marked with a star.
    pub starred: bool,
    /// Its source; empty if it is too large.
    pub raw: Vec<u8>,
    /// How many octets it has.
    pub octets: u64,
}
