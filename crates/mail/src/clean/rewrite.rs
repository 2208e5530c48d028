//! What is kept of a document as HTML: elements of an allow-list, without attributes but the address of a link or picture
//! and the span of a cell. Everything is written anew, so that nothing of the source's markup gets through.

use super::document::{Document, Kind, Step, Tag};
use super::{Options, is_safe_link, is_safe_picture, picture};
use crate::escape;

/// Writes the nodes that are kept.
pub(super) fn write(document: &Document, is_kept: &[bool], options: Options) -> String {
    let content = content_before(document, is_kept, options);
    let mut writer = Writer { out: String::new(), options, space: false, preformatted: 0, is_written: Vec::new() };
    document.walk(|step| match step {
        Step::Enter(index) => {
            let node = &document.nodes[index];
            if content[node.end] > content[index] {
                let is_written = !writer.is_just_opened(&node.kind);
                writer.is_written.push(is_written);
                if is_written {
                    writer.enter(&node.kind);
                }
            }
        }
        Step::Leave(index) => {
            let node = &document.nodes[index];
            if content[node.end] > content[index] && writer.is_written.pop() == Some(true) {
                writer.leave(&node.kind);
            }
        }
        Step::Leaf(index) if content[index + 1] > content[index] || is_space(document, is_kept, index) => {
            writer.leaf(&document.nodes[index].kind)
        }
        Step::Leaf(_) => {}
    });
    writer.out.truncate(writer.out.trim_end().len());
    writer.out
}

/// White space between words that are kept.
pub(super) fn is_space(document: &Document, is_kept: &[bool], index: usize) -> bool {
    is_kept[index] && matches!(document.nodes[index].kind, Kind::Text(_) | Kind::Verbatim(_))
}

/// How many nodes before each one are something to see, of those that are kept. Line ends behind the last of the others are
/// not.
pub(super) fn content_before(document: &Document, is_kept: &[bool], options: Options) -> Vec<usize> {
    let is_seen = |index: usize| is_kept[index] && is_content(&document.nodes[index].kind, options);
    let is_last = |index: &usize| is_seen(*index) && !matches!(document.nodes[*index].kind, Kind::Break);
    let last = (0..document.nodes.len()).rev().find(is_last).unwrap_or(0);
    let mut sums = Vec::with_capacity(document.nodes.len() + 1);
    let mut sum = 0;
    sums.push(sum);
    for index in 0..document.nodes.len() {
        sum += usize::from(index <= last && is_seen(index));
        sums.push(sum);
    }
    sums
}

fn is_content(kind: &Kind, options: Options) -> bool {
    match kind {
        Kind::Text(text) | Kind::Verbatim(text) => !text.trim().is_empty(),
        Kind::Image { source, .. } => !options.ignore_images && is_safe_picture(source),
        Kind::Break | Kind::Rule => true,
        Kind::Element { .. } => false,
    }
}

struct Writer {
    out: String,
    options: Options,
    /// White space was seen and not yet written.
    space: bool,
    preformatted: usize,
    /// Of the elements that we are in, whether they were written.
    is_written: Vec<bool>,
}

impl Writer {
    fn leaf(&mut self, kind: &Kind) {
        match kind {
            Kind::Text(text) => self.words(text),
            Kind::Verbatim(text) => {
                self.settle();
                escape::push_text(text, &mut self.out);
            }
            Kind::Break if self.preformatted > 0 => self.out.push('\n'),
            Kind::Break => self.tag("<br>"),
            Kind::Rule => self.tag("<hr>"),
            Kind::Image { source, alternative } if !self.options.ignore_images && is_safe_picture(source) => {
                self.settle();
                let shown = if self.options.images_as_markdown {
                    escape::text(&picture(source, alternative))
                } else {
                    let (source, alternative) = (escape::value(source), escape::value(alternative));
                    format!("<img src=\"{source}\" alt=\"{alternative}\">")
                };
                self.out.push_str(&shown);
            }
            Kind::Image { .. } | Kind::Element { .. } => {}
        }
    }

    fn words(&mut self, text: &str) {
        let mut words = text.split(|c: char| c.is_whitespace());
        if let Some(first) = words.next() {
            self.word(first);
        }
        for word in words {
            self.space = true;
            self.word(word);
        }
    }

    fn word(&mut self, word: &str) {
        if !word.is_empty() {
            self.settle();
            escape::push_text(word, &mut self.out);
        }
    }

    /// Writes the space that is due, unless a line begins here.
    fn settle(&mut self) {
        if std::mem::take(&mut self.space) && !self.is_line_start() {
            self.out.push(' ');
        }
    }

    fn is_line_start(&self) -> bool {
        const STARTS: &[&str] =
            &["<br>", "<hr>", "<p>", "<div>", "<li>", "<blockquote>", "<ul>", "<ol>", "<td>", "<th>", "\n"];
        self.out.is_empty() || STARTS.iter().any(|start| self.out.ends_with(start))
    }

    /// A tag that begins or ends a line: white space beside it is nothing.
    fn tag(&mut self, tag: &str) {
        self.space = false;
        self.out.push_str(tag);
    }

    fn name_tag(&mut self, start: &str, name: &str) {
        for piece in [start, name, ">"] {
            self.out.push_str(piece);
        }
    }

    /// A block directly at the start of a block adds nothing.
    fn is_just_opened(&self, kind: &Kind) -> bool {
        matches!(kind, Kind::Element { tag: Tag::Block, .. }) && self.out.ends_with("<div>")
    }

    fn enter(&mut self, kind: &Kind) {
        let Kind::Element { tag, target, span, .. } = kind else { return };
        match tag {
            Tag::Preformatted => {
                self.preformatted += 1;
                self.tag("<pre>");
            }
            Tag::Link => {
                if let Some(target) = self.link(target.as_deref()) {
                    self.settle();
                    let text = format!("<a href=\"{}\">", escape::value(target));
                    self.out.push_str(&text);
                }
            }
            Tag::Cell { .. } if self.options.ignore_tables => self.space = true,
            Tag::Cell { head } => {
                let name = if *head { "th" } else { "td" };
                let columns = if span.0 > 1 { format!(" colspan=\"{}\"", span.0) } else { String::new() };
                let rows = if span.1 > 1 { format!(" rowspan=\"{}\"", span.1) } else { String::new() };
                self.tag(&format!("<{name}{columns}{rows}>"));
            }
            tag => {
                let Some(name) = self.name(*tag) else { return };
                if tag.is_block() {
                    self.space = false;
                } else {
                    self.settle();
                }
                self.name_tag("<", name);
            }
        }
    }

    fn leave(&mut self, kind: &Kind) {
        let Kind::Element { tag, target, .. } = kind else { return };
        match tag {
            Tag::Preformatted => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.tag("</pre>");
            }
            Tag::Link => {
                if self.link(target.as_deref()).is_some() {
                    self.out.push_str("</a>");
                }
            }
            Tag::Cell { .. } if self.options.ignore_tables => self.space = true,
            Tag::Cell { head } => self.tag(if *head { "</th>" } else { "</td>" }),
            tag => {
                let Some(name) = self.name(*tag) else { return };
                if tag.is_block() {
                    self.space = false;
                }
                self.name_tag("</", name);
            }
        }
    }

    fn link<'t>(&self, target: Option<&'t str>) -> Option<&'t str> {
        target.filter(|target| !self.options.ignore_links && is_safe_link(target))
    }

    /// What an element is called that is written as it is.
    fn name(&self, tag: Tag) -> Option<&'static str> {
        Some(match tag {
            Tag::Paragraph => "p",
            Tag::Block => "div",
            Tag::Heading(level) => ["h1", "h2", "h3", "h4", "h5", "h6"][usize::from(level.clamp(1, 6)) - 1],
            Tag::List { ordered: false } => "ul",
            Tag::List { ordered: true } => "ol",
            Tag::Item => "li",
            Tag::Quote => "blockquote",
            Tag::Preformatted => "pre",
            Tag::Table if self.options.ignore_tables => return None,
            Tag::Table => "table",
            Tag::Row if self.options.ignore_tables => "div",
            Tag::Row => "tr",
            Tag::Bold => "b",
            Tag::Italic => "i",
            Tag::Underline => "u",
            Tag::Strike => "s",
            Tag::Code => "code",
            Tag::Raised => "sup",
            Tag::Lowered => "sub",
            Tag::Cell { .. } | Tag::Link | Tag::Plain => return None,
        })
    }
}
