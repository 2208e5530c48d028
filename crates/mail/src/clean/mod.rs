//! A message as its author wrote it, for a reader who knows the conversation: without what is quoted, without signatures and
//! without what programs, companies and lists put around it.
//!
//! HTML becomes plain HTML of an allow-list of elements, or Markdown; plain text stays plain text. What is passed on
//! ("Forwarded message") stays, since its reader does not have it. Nothing is ever cut so that nothing is left. No function
//! here calls itself; time is linear in the size of the message.

mod cut;
mod document;
mod lines;
mod markdown;
mod marks;
mod phrases;
mod rewrite;

use cut::About;
use document::Document;
use std::borrow::Cow;

/// Octets of a body that are looked at.
pub const BODY_OCTETS_MAX: usize = 1 << 20;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Links become their text.
    pub ignore_links: bool,
    /// Pictures are left out.
    pub ignore_images: bool,
    /// Pictures that are not left out are written as Markdown, in HTML too.
    pub images_as_markdown: bool,
    /// Tables become lines, one for each row.
    pub ignore_tables: bool,
    /// Closing words and the name below them are left out.
    pub remove_conclusion_phrases: bool,
    /// HTML becomes Markdown.
    pub html_as_markdown: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ignore_links: true,
            ignore_images: true,
            images_as_markdown: true,
            ignore_tables: true,
            remove_conclusion_phrases: true,
            html_as_markdown: false,
        }
    }
}

/// A message to clean.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its subject, which tells whether it passes another message on.
    pub subject: &'a str,
    /// Its author's name and address, by which a name under closing words is known.
    pub author: &'a str,
    /// Its body.
    pub body: &'a str,
    /// Whether that is HTML.
    pub is_html: bool,
}

/// What is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// HTML, Markdown or plain text.
    pub conversation: String,
    /// Whether the body was longer than is looked at.
    pub is_truncated: bool,
}

/// Cleans a message.
pub fn clean(source: Source<'_>, options: Options) -> Cleaned {
    let body = &source.body[..source.body.floor_char_boundary(BODY_OCTETS_MAX)];
    let about = About {
        subject: source.subject,
        author: source.author,
        without_conclusions: options.remove_conclusion_phrases,
    };
    let conversation = if source.is_html { html(body, about, options) } else { text(body, about) };
    Cleaned { conversation, is_truncated: body.len() < source.body.len() }
}

fn html(body: &str, about: About<'_>, options: Options) -> String {
    let document = Document::read(body);
    let (lines, of_node) = lines::of_document(&document);
    let kept = cut::kept(&lines, about);
    let is_kept: Vec<bool> = of_node.iter().map(|line| kept[*line]).collect();
    if options.html_as_markdown {
        markdown::write(&document, &is_kept, options)
    } else {
        rewrite::write(&document, &is_kept, options)
    }
}

fn text(body: &str, about: About<'_>) -> String {
    let body = match crate::syntax::invisible::visible(body) {
        Cow::Borrowed(_) => Cow::Borrowed(body),
        Cow::Owned(seen) => Cow::Owned(seen),
    };
    let lines = lines::of_text(&body);
    let kept = cut::kept(&lines, about);
    let mut out = String::new();
    for (line, _) in body.split('\n').zip(&kept).filter(|(_, kept)| **kept) {
        out.push_str(line.strip_suffix('\r').unwrap_or(line).trim_end());
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

/// A link that may be shown: its scheme is one that cannot run anything.
pub(crate) fn is_safe_link(target: &str) -> bool {
    let scheme = target.split(':').next().unwrap_or_default().to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https" | "mailto" | "tel") && target.len() > scheme.len() + 1
}

/// A picture that may be shown.
fn is_safe_picture(source: &str) -> bool {
    let scheme = source.split(':').next().unwrap_or_default().to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https" | "cid") && source.len() > scheme.len() + 1
}

/// A picture as Markdown.
fn picture(source: &str, alternative: &str) -> String {
    format!("![{}]({})", alternative.replace(['[', ']'], ""), in_parentheses(source))
}

/// An address as it may stand in the parentheses of Markdown.
fn in_parentheses(target: &str) -> String {
    let mut out = String::with_capacity(target.len());
    for c in target.chars() {
        match c {
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '\\' => out.push_str("%5C"),
            c if c.is_whitespace() => out.push_str("%20"),
            c => out.push(c),
        }
    }
    out
}
