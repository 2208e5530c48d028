//! Importing a text of suppressed addresses of any length: line by line, in commands of as many addresses as one request
//! may have. Each command is whole; the import is not: what was added stays if the rest does not come.

use crate::lines::{Content, Format, Line, Lines, REFUSALS_MAX, columns};
use crate::suppressions::expiry;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, AuditId};
use postfleet_core::suppression::{ADDRESSES_MAX, Reason};
use postfleet_core::{EmailAddress, Problem, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::list::RefusedLine;
use postfleet_schema::suppression as schema;
use postfleet_store::Store;
use postfleet_store::suppressions::ImportSuppressions;

/// Names of the first column.
const HEADINGS: [&str; 4] = ["address", "email", "recipient", "value"];

/// An import under way.
pub struct Import<'a> {
    store: &'a Store,
    entropy: &'a dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    /// Why, where a line does not say it.
    reason: Reason,
    format: Format,
    lines: Lines,
    /// What the next command adds.
    waiting: Vec<(EmailAddress, Reason, Option<UnixMicros>)>,
    done: schema::SuppressionImport,
}

impl<'a> Import<'a> {
    /// Begins an import.
    pub fn begin(
        store: &'a Store,
        entropy: &'a dyn Entropy,
        act: Act,
        application_id: ApplicationId,
        (format, reason): (Format, Reason),
    ) -> Self {
        let lines = Lines::new(format, HEADINGS.to_vec());
        let done = schema::SuppressionImport::default();
        Self { store, entropy, act, application_id, reason, format, lines, waiting: Vec::new(), done }
    }

    /// Takes the next piece of the text.
    pub async fn take(&mut self, piece: &[u8]) -> Result<(), Problem> {
        for line in self.lines.take(piece) {
            self.line(line).await?;
        }
        Ok(())
    }

    /// Ends it: what waits is added.
    pub async fn end(mut self) -> Result<schema::SuppressionImport, Problem> {
        if let Some(line) = self.lines.finish() {
            self.line(line).await?;
        }
        self.add_waiting().await?;
        Ok(self.done)
    }

    async fn line(&mut self, (number, content): Line) -> Result<(), Problem> {
        let entry = match content {
            // Both forms have columns; in that without a type a line may end with a comment.
            Content::Columns(whole) if self.format == Format::Plain => {
                let columns = columns(whole.first().map_or("", String::as_str));
                let first = columns.first().map_or("", |first| first.trim()).to_ascii_lowercase();
                if number == 1 && HEADINGS.contains(&first.as_str()) {
                    return Ok(());
                }
                self.entry(&columns)
            }
            Content::Columns(columns) => self.entry(&columns),
            Content::Unreadable(why) => Err(why.to_owned()),
        };
        self.done.lines += 1;
        match entry {
            Ok(entry) => self.waiting.push(entry),
            Err(reason) => {
                self.done.refused += 1;
                if self.done.refusals.len() < REFUSALS_MAX {
                    self.done.refusals.push(RefusedLine { line: number, reason });
                }
            }
        }
        if self.waiting.len() >= ADDRESSES_MAX { self.add_waiting().await } else { Ok(()) }
    }

    /// `address[,reason[,expires]]`; what is behind that is not looked at.
    fn entry(&self, columns: &[String]) -> Result<(EmailAddress, Reason, Option<UnixMicros>), String> {
        let column = |index: usize| columns.get(index).map_or("", |column| column.trim());
        let address = EmailAddress::parse(column(0)).map_err(|error| format!("the address is none: {error}"))?;
        let reason = match column(1) {
            "" => self.reason,
            name => Reason::named(&name.to_ascii_lowercase())
                .ok_or_else(|| format!("the reason must be one of {}, or empty", Reason::NAMES.join(", ")))?,
        };
        let expires_at = match column(2) {
            "" => None,
            text => {
                let seconds = text.parse().ok().and_then(|seconds| expiry(seconds, self.act.at).ok());
                Some(seconds.ok_or("the end must be a time in the future, in unix seconds, or empty")?)
            }
        };
        Ok((address, reason, expires_at))
    }

    async fn add_waiting(&mut self) -> Result<(), Problem> {
        let entries = std::mem::take(&mut self.waiting);
        let wanted = entries.len() as u64;
        if wanted == 0 {
            return Ok(());
        }
        // Each command has a record of its own.
        let act = Act { record_id: AuditId::new(self.act.at, self.entropy.ten()), ..self.act.clone() };
        let command = ImportSuppressions { act, application_id: self.application_id, entries };
        let imported = self.store.run(command).await?.ok_or_else(Problem::not_found)?;
        self.done.added += imported.added;
        self.done.changed += imported.changed;
        self.done.unchanged += wanted.saturating_sub(imported.added + imported.changed);
        Ok(())
    }
}
