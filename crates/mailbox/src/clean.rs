//! Messages as their authors wrote them: without what is quoted, without signatures and boilerplate.

use crate::messages;
use crate::summary::Summary;
use crate::view::{self, Fields};
use postfleet_core::Problem;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_mail::clean::{self, Options, Source};
use postfleet_mail::message as mail;
use postfleet_schema::clean::CleanMessages;
use postfleet_schema::message::Message;
use postfleet_store::Store;
use postfleet_store::messages::StoredMessage;

/// Messages that one request cleans at most.
pub const MESSAGES_MAX: usize = 20;

/// Cleans messages of a mailbox, in the order in which they are named.
pub async fn clean(store: &Store, grant: GrantId, request: CleanMessages) -> Result<Vec<Message>, Problem> {
    let options = options(&request)?;
    let ids = ids(&request.message_id)?;
    let mut cleaned = Vec::with_capacity(ids.len());
    // One after the other: large bodies are not in memory together.
    for (index, id) in ids.into_iter().enumerate() {
        let found = messages::load(store, &mut store.reader().await?, grant, id).await?;
        let (stored, raw) = found.filter(|(stored, _)| !stored.draft).ok_or_else(|| unknown(index))?;
        let clean::Cleaned { conversation, is_truncated } = one(&stored, &raw, options);
        cleaned.push(Message {
            conversation: Some(conversation),
            conversation_truncated: is_truncated.then_some(true),
            ..view::message(&stored, Some(&raw), Fields::Standard)
        });
    }
    Ok(cleaned)
}

/// What the author of a message wrote for it, as Markdown, with its links; plain text stays plain text.
pub fn as_markdown(stored: &StoredMessage, raw: &[u8]) -> String {
    let options = Options { html_as_markdown: true, ignore_links: false, ..Options::default() };
    one(stored, raw, options).conversation
}

fn one(stored: &StoredMessage, raw: &[u8], options: Options) -> clean::Cleaned {
    let (body, is_html) = mail::body_and_form(raw);
    let summary = Summary::from_json(&stored.summary);
    let author = summary.from.first().map(|from| format!("{} {}", from.name, from.email)).unwrap_or_default();
    clean::clean(Source { subject: &summary.subject, author: &author, body: &body, is_html }, options)
}

fn options(request: &CleanMessages) -> Result<Options, Problem> {
    let usual = Options::default();
    let options = Options {
        ignore_links: request.ignore_links.unwrap_or(usual.ignore_links),
        ignore_images: request.ignore_images.unwrap_or(usual.ignore_images),
        images_as_markdown: request.images_as_markdown.unwrap_or(usual.images_as_markdown),
        ignore_tables: request.ignore_tables.unwrap_or(usual.ignore_tables),
        remove_conclusion_phrases: request.remove_conclusion_phrases.unwrap_or(usual.remove_conclusion_phrases),
        html_as_markdown: request.html_as_markdown.unwrap_or(usual.html_as_markdown),
    };
    if options.html_as_markdown && !options.images_as_markdown {
        let text = "images_as_markdown must not be false when html_as_markdown is true";
        return Err(Problem::invalid("images_as_markdown", text));
    }
    Ok(options)
}

fn ids(named: &[String]) -> Result<Vec<MessageId>, Problem> {
    if named.is_empty() || named.len() > MESSAGES_MAX {
        let text = format!("message_id must name 1 to {MESSAGES_MAX} messages, not {}", named.len());
        return Err(Problem::invalid("message_id", text));
    }
    named.iter().enumerate().map(|(index, id)| id.parse().map_err(|_| unknown(index))).collect()
}

fn unknown(index: usize) -> Problem {
    let field = format!("message_id[{index}]");
    Problem::invalid(&field, format!("{field} is not a message of this account"))
}
