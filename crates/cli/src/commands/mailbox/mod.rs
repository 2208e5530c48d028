//! `postfleet mailbox`: mail from files into a mailbox, and from a mailbox into files.

mod export;
mod import;

use crate::failure::Outcome;
use crate::output::{Column, Kind, record};
use crate::session::Session;

/// What to do.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Imports mail from an mbox file, a Maildir or files of messages
    Import(import::Arguments),
    /// Exports all mail but drafts into files; the same command again adds what has come since
    Export(export::Arguments),
    /// Lists the imports of a mailbox
    Imports {
        /// The mailbox, by its address or id
        #[arg(value_name = "EMAIL|ID")]
        agent: String,
    },
    /// Gives an import up; what was imported stays
    Cancel {
        /// The mailbox, by its address or id
        #[arg(value_name = "EMAIL|ID")]
        agent: String,
        /// The import
        #[arg(value_name = "IMPORT")]
        import: String,
    },
}

const COLUMNS: &[Column] = &[
    Column("import", "/id", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("done", "/position", Kind::Count),
    Column("imported", "/imported_messages", Kind::Count),
    Column("bytes", "/imported_bytes", Kind::Count),
    Column("passed over", "/skipped_messages", Kind::Count),
    Column("source", "/source", Kind::Text),
    Column("began", "/created_at", Kind::Time),
];

/// Runs it.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    match verb {
        Verb::Import(arguments) => import::run(arguments, session).await,
        Verb::Export(arguments) => export::run(arguments, session).await,
        Verb::Imports { agent } => {
            let api = session.application()?;
            let found = api.list(&["grants", &agent, "imports"], &[], Some(200)).await?;
            session.show_list(COLUMNS, found)
        }
        Verb::Cancel { agent, import } => {
            let answer = session.application()?.delete(&["grants", &agent, "imports", &import]).await?;
            let data = answer.data();
            if session.is_json() {
                return session.print_json(&data);
            }
            session.print_table(&record(COLUMNS, &data))
        }
    }
}
