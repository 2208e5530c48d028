//! What a mailbox knows of who writes to it: few statements for each message that comes in, however much is asked.

use crate::correspondents;
use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::grants::Mailbox;
use crate::params;
use crate::spam;
use crate::threads;
use postfleet_core::spam::Trained;

/// Authors of one message that are looked up.
const AUTHORS_MAX: usize = 10;

/// Who writes, as a message says.
#[derive(Clone, Debug, Default)]
pub struct Writer<'a> {
    /// The addresses of its authors.
    pub authors: Vec<&'a str>,
    /// The name that it shows, in lower case, if it is to be found whose that is.
    pub shown: Option<&'a str>,
    /// The Message-IDs that it answers, the nearest first.
    pub answered: Vec<&'a str>,
}

/// What a mailbox knows of who writes to it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acquaintance {
    /// Whether it knows all of the authors. It knows nobody where there is none, or too many to look up.
    pub knows_all: bool,
    /// Whether it has written to the first of them.
    pub has_written: bool,
    /// Where mail of the first of them was moved: into junk, or out of it.
    pub moved: Option<Trained>,
    /// Whether a message that is answered is of a conversation in which the mailbox has written.
    pub is_answer: bool,
    /// The name of a mailbox beside it that is shown.
    pub namesake: Option<String>,
}

// With "application_id = $5" SQLite reads all mailboxes of the application instead of the index.
pub(crate) const OF_AUTHOR: &str = "SELECT \
    (SELECT c.written FROM correspondents c WHERE c.grant_id = $1 AND c.key = $2), \
    (SELECT s.kind FROM spam_senders s WHERE s.grant_id = $1 AND s.address_key = $3), \
    (SELECT g.name FROM grants g WHERE lower(g.name) = $4 AND g.application_id >= $5 AND g.application_id <= $5 LIMIT 1)";

/// Asks what a mailbox knows of a writer.
pub async fn of(reader: &mut Reader<'_>, mailbox: &Mailbox, writer: &Writer<'_>) -> Result<Acquaintance, StoreError> {
    let grant = mailbox.grant_id;
    let (first, others) = writer.authors.split_first().map_or(("", [].as_slice()), |(first, others)| (*first, others));
    let (known_by, moved_by) = (correspondents::key(first), spam::address_key(first));
    let application = mailbox.application_id.uuid();
    let values = params![grant.uuid(), known_by, moved_by.as_deref(), writer.shown, application];
    let row = reader.query_one(OF_AUTHOR, values).await?.ok_or(DbError::Malformed("acquaintance"))?;
    let written = row.opt_int(0)?.filter(|_| !first.is_empty());
    let is_known = written.is_some() && writer.authors.len() <= AUTHORS_MAX;
    Ok(Acquaintance {
        knows_all: is_known && correspondents::knows(reader, grant, others).await?,
        has_written: written == Some(1),
        moved: row.opt_int(1)?.and_then(spam::kind),
        is_answer: threads::answers_own(reader, grant, &writer.answered).await?,
        namesake: row.opt_text(2)?,
    })
}
