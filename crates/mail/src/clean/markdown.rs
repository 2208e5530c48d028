//! What is kept of a document as Markdown (CommonMark, with the tables and the struck text of GitHub). Line ends of the
//! source stay line ends. What the source's text has of Markdown is escaped, so that it can make no link.

use super::document::{Document, Kind, Step, Tag};
use super::rewrite::{content_before, is_space};
use super::{Options, in_parentheses, is_safe_link, is_safe_picture, picture};
use std::borrow::Cow;

/// Lists and quotes inside each other that are told apart.
const DEPTH_MAX: usize = 16;

/// Columns that one cell may span.
const SPAN_MAX: u16 = 20;

/// Writes the nodes that are kept.
pub(super) fn write(document: &Document, is_kept: &[bool], options: Options) -> String {
    let content = content_before(document, is_kept, options);
    let mut writer = Writer { options, ..Writer::default() };
    document.walk(|step| match step {
        Step::Enter(index) if content[document.nodes[index].end] > content[index] => writer.enter(document, index),
        Step::Leave(index) if content[document.nodes[index].end] > content[index] => {
            writer.leave(&document.nodes[index].kind);
        }
        Step::Leaf(index) if content[index + 1] > content[index] || is_space(document, is_kept, index) => {
            writer.leaf(&document.nodes[index].kind);
        }
        _ => {}
    });
    writer.out.truncate(writer.out.trim_end().len());
    writer.out
}

#[derive(Default)]
struct Writer {
    out: String,
    options: Options,
    /// White space was seen and not yet written.
    space: bool,
    /// Line ends wanted before the next text.
    breaks: usize,
    /// Something is in the line beside its beginning.
    is_begun: bool,
    /// What each line begins with.
    starts: Vec<Start>,
    /// Lists and quotes that are not told apart from what is around them.
    deeper: usize,
    /// The number of the next item of each list that we are in; none if items have none.
    lists: Vec<Option<u32>>,
    /// What stands on both sides of the text that comes, each of another kind.
    marks: Vec<Marker>,
    /// Elements around all of these that put nothing there.
    bare: usize,
    /// The fence of the preformatted text that we are in.
    fence: Option<String>,
    preformatted: usize,
    code: usize,
    /// Of the tables that we are in, what was written of them.
    tables: Vec<Option<Table>>,
    /// We are in a cell of a table that is one.
    is_cell: bool,
}

/// What a list, a quote or a heading puts at the start of each line.
struct Start {
    text: String,
    /// In its first line something else.
    first: Option<String>,
    /// It has a line.
    is_begun: bool,
}

/// What stands on both sides of a piece of text.
struct Marker {
    open: &'static str,
    close: Cow<'static, str>,
    is_written: bool,
    /// It is not begun again in another line.
    is_once: bool,
    /// Elements directly inside it that put nothing there.
    bare: usize,
}

#[derive(Default)]
struct Table {
    rows: usize,
    columns: usize,
}

impl Writer {
    fn leaf(&mut self, kind: &Kind) {
        match kind {
            Kind::Text(text) => {
                let mut words = text.split(|c: char| c.is_whitespace());
                if let Some(first) = words.next() {
                    self.word(first);
                }
                for word in words {
                    self.space = true;
                    self.word(word);
                }
            }
            Kind::Verbatim(text) if self.fence.is_some() => {
                self.settle();
                self.out.push_str(text);
            }
            Kind::Verbatim(text) => self.leaf(&Kind::Text(text.clone())),
            Kind::Break if self.fence.is_some() => self.end_line(),
            Kind::Break if self.is_cell => self.space = true,
            Kind::Break => self.breaks = (self.breaks + 1).min(2),
            Kind::Rule => {
                self.line(2);
                self.settle();
                self.out.push_str("---");
                self.line(2);
            }
            Kind::Image { source, alternative } if !self.options.ignore_images && is_safe_picture(source) => {
                self.settle();
                self.out.push_str(&picture(source, alternative));
                self.is_begun = true;
            }
            Kind::Image { .. } | Kind::Element { .. } => {}
        }
    }

    fn word(&mut self, word: &str) {
        if word.is_empty() {
            return;
        }
        self.settle();
        if self.code > 0 || self.fence.is_some() {
            self.out.push_str(word);
        } else {
            escape(word, !self.is_begun, self.is_cell, &mut self.out);
        }
        self.is_begun = true;
    }

    /// Wants so many line ends before what comes next.
    fn line(&mut self, breaks: usize) {
        if self.is_cell {
            self.space = true;
        } else {
            self.breaks = self.breaks.max(breaks);
        }
    }

    /// Writes the line ends or the space that are due, and what opens around the text that comes.
    fn settle(&mut self) {
        if self.out.is_empty() {
            self.start_line();
        } else if self.breaks > 0 {
            self.suspend();
            if self.breaks > 1 {
                self.out.push('\n');
                let begun = self.starts.iter().filter(|start| start.is_begun);
                let start: String = begun.map(|start| start.text.as_str()).collect();
                self.out.push_str(start.trim_end());
            }
            self.end_line();
        } else if self.space && self.is_begun {
            self.out.push(' ');
        }
        self.breaks = 0;
        self.space = false;
        for mark in self.marks.iter_mut().filter(|mark| !mark.is_written) {
            self.out.push_str(mark.open);
            mark.is_written = true;
        }
    }

    fn end_line(&mut self) {
        self.out.push('\n');
        self.start_line();
    }

    fn start_line(&mut self) {
        for start in &mut self.starts {
            start.is_begun = true;
            match start.first.take() {
                Some(first) => self.out.push_str(&first),
                None => self.out.push_str(&start.text),
            }
        }
        self.is_begun = false;
    }

    /// Closes what is open around the text; it opens again in the next line.
    fn suspend(&mut self) {
        let is_over = |mark: &Marker| mark.is_written && mark.is_once;
        let has_over = self.marks.iter().any(is_over);
        for mark in self.marks.iter().rev().filter(|mark| mark.is_written) {
            self.out.push_str(&mark.close);
        }
        if has_over {
            for mark in std::mem::take(&mut self.marks) {
                if is_over(&mark) { self.enter_bare(1 + mark.bare) } else { self.marks.push(mark) }
            }
        }
        self.marks.iter_mut().for_each(|mark| mark.is_written = false);
    }

    fn mark(&mut self, open: &'static str, close: impl Into<Cow<'static, str>>, is_once: bool) {
        // The same inside itself is one.
        let is_double = self.marks.iter().any(|mark| mark.open == open);
        if open.is_empty() || is_double || self.code > 0 || self.fence.is_some() {
            return self.enter_bare(1);
        }
        self.marks.push(Marker { open, close: close.into(), is_written: false, is_once, bare: 0 });
    }

    /// Notes elements that put nothing beside their text. They are counted only: there may be many, and each line would go
    /// through all of them.
    fn enter_bare(&mut self, count: usize) {
        match self.marks.last_mut() {
            Some(around) => around.bare += count,
            None => self.bare += count,
        }
    }

    fn unmark(&mut self) {
        match self.marks.last_mut() {
            Some(around) if around.bare > 0 => around.bare -= 1,
            Some(_) => {
                let mark = self.marks.pop();
                if let Some(mark) = mark.filter(|mark| mark.is_written) {
                    self.out.push_str(&mark.close);
                }
            }
            None => self.bare = self.bare.saturating_sub(1),
        }
    }

    fn start(&mut self, text: &str, first: Option<String>) {
        if self.starts.len() < DEPTH_MAX && !self.is_cell {
            self.starts.push(Start { text: text.to_owned(), first, is_begun: false });
        } else {
            self.deeper += 1;
        }
    }

    fn unstart(&mut self) {
        if self.deeper > 0 {
            self.deeper -= 1;
        } else {
            self.starts.pop();
        }
    }

    fn enter(&mut self, document: &Document, index: usize) {
        let node = &document.nodes[index];
        let Kind::Element { tag, target, .. } = &node.kind else { return };
        match tag {
            Tag::Paragraph => self.line(2),
            Tag::Block => self.line(1),
            Tag::Row if matches!(self.tables.last(), Some(Some(_))) => {
                self.line(1);
                self.settle();
                self.out.push('|');
                self.is_begun = true;
            }
            Tag::Row => self.line(1),
            Tag::Heading(level) => {
                self.line(2);
                let lead = format!("{} ", "#".repeat(usize::from(*level)));
                self.start("", Some(lead));
            }
            Tag::List { ordered } => {
                self.line(if self.lists.is_empty() { 2 } else { 1 });
                self.lists.push(ordered.then_some(1));
            }
            Tag::Item => {
                self.line(1);
                let bullet = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                };
                self.start(&" ".repeat(bullet.len()), Some(bullet));
            }
            Tag::Quote => {
                self.line(2);
                self.start("> ", None);
            }
            Tag::Preformatted => {
                self.preformatted += 1;
                if self.preformatted == 1 && !self.is_cell {
                    self.open_fence(document, index);
                }
            }
            Tag::Table => {
                self.line(2);
                let is_table = !self.options.ignore_tables && !self.is_cell && !contains_table(document, index);
                self.tables.push(is_table.then(Table::default));
            }
            Tag::Cell { .. } => match self.tables.last_mut() {
                Some(Some(table)) => {
                    table.columns += usize::from(table.rows == 0);
                    self.is_cell = true;
                    self.is_begun = true;
                    self.space = true;
                }
                _ => self.space = true,
            },
            Tag::Bold => self.mark("**", "**", false),
            Tag::Italic => self.mark("*", "*", false),
            Tag::Strike => self.mark("~~", "~~", false),
            Tag::Code => {
                // Inside of another one it puts nothing there, and need not be looked through.
                let mark = if self.code > 0 || has_backtick(document, index) { "" } else { "`" };
                self.mark(mark, mark, false);
                self.code += 1;
            }
            Tag::Link => match target.as_deref().filter(|target| !self.options.ignore_links && is_safe_link(target)) {
                Some(target) => self.mark("[", format!("]({})", in_parentheses(target)), true),
                None => self.enter_bare(1),
            },
            Tag::Underline | Tag::Raised | Tag::Lowered | Tag::Plain => {}
        }
    }

    fn leave(&mut self, kind: &Kind) {
        let Kind::Element { tag, span, .. } = kind else { return };
        match tag {
            Tag::Paragraph => self.line(2),
            Tag::Block => self.line(1),
            Tag::Row => self.end_row(),
            Tag::Heading(_) => {
                self.unstart();
                self.line(2);
            }
            Tag::List { .. } => {
                self.lists.pop();
                self.line(if self.lists.is_empty() { 2 } else { 1 });
            }
            Tag::Item => {
                self.unstart();
                self.line(1);
            }
            Tag::Quote => {
                self.unstart();
                self.line(2);
            }
            Tag::Preformatted => {
                self.preformatted -= 1;
                if self.preformatted == 0
                    && let Some(fence) = self.fence.take()
                {
                    self.end_line();
                    self.out.push_str(&fence);
                    self.line(2);
                }
            }
            Tag::Table => {
                self.tables.pop();
                self.line(2);
            }
            Tag::Cell { .. } => match self.tables.last_mut() {
                Some(Some(table)) => {
                    let span = usize::from(span.0.min(SPAN_MAX));
                    table.columns += if table.rows == 0 { span - 1 } else { 0 };
                    self.is_cell = false;
                    self.out.push_str(&" |".repeat(span));
                    self.space = false;
                }
                _ => self.space = true,
            },
            Tag::Code => {
                self.code -= 1;
                self.unmark();
            }
            Tag::Bold | Tag::Italic | Tag::Strike | Tag::Link => self.unmark(),
            Tag::Underline | Tag::Raised | Tag::Lowered | Tag::Plain => {}
        }
    }

    /// Below its first row, a table has a line that says that it is one.
    fn end_row(&mut self) {
        if let Some(Some(table)) = self.tables.last_mut() {
            table.rows += 1;
            if table.rows == 1 {
                let line = " --- |".repeat(table.columns.max(1));
                self.end_line();
                self.out.push('|');
                self.out.push_str(&line);
            }
        }
        self.line(1);
    }

    fn open_fence(&mut self, document: &Document, index: usize) {
        let inside = &document.nodes[index..document.nodes[index].end];
        let longest = inside.iter().map(|node| match &node.kind {
            Kind::Text(text) | Kind::Verbatim(text) => longest_run(text),
            _ => 0,
        });
        let fence = "`".repeat(longest.max().unwrap_or(0).max(2) + 1);
        self.line(2);
        self.settle();
        self.out.push_str(&fence);
        self.end_line();
        self.fence = Some(fence);
    }
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn has_backtick(document: &Document, index: usize) -> bool {
    let inside = &document.nodes[index..document.nodes[index].end];
    inside.iter().any(|node| matches!(&node.kind, Kind::Text(text) | Kind::Verbatim(text) if text.contains('`')))
}

fn contains_table(document: &Document, index: usize) -> bool {
    let inside = &document.nodes[index + 1..document.nodes[index].end];
    inside.iter().any(|node| matches!(node.kind, Kind::Element { tag: Tag::Table, .. }))
}

/// Writes a word so that it says itself and nothing else.
fn escape(word: &str, is_first: bool, is_cell: bool, out: &mut String) {
    let is_address = word.starts_with("http://") || word.starts_with("https://");
    if is_first && starts_block(word) {
        // Of a number, the dot behind it.
        let at = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        out.push_str(&word[..at]);
        out.push('\\');
        out.push_str(&word[at..]);
        return;
    }
    let mut before = None;
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let is_inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_special = match c {
            '\\' | '`' => true,
            '*' => word.len() > 1 && !is_address,
            '_' => !is_address && (is_inside(before) != is_inside(next)),
            ']' => next.is_none_or(|next| matches!(next, '(' | '[' | ':')),
            '<' => next.is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?')),
            '~' => next == Some('~') || before == Some('~'),
            '&' => {
                !is_address && next.is_some_and(|next| next == '#' || next.is_ascii_alphabetic()) && word.contains(';')
            }
            '|' => is_cell,
            _ => false,
        };
        if is_special {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
}

/// Whether a word at the start of a line would begin a heading, a list, a quote or a line across the page.
fn starts_block(word: &str) -> bool {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    matches!(word, "-" | "+" | "*" | "=")
        || word.starts_with('>')
        || (word.starts_with('#') && word.trim_start_matches('#').is_empty())
        || (word.len() > 2
            && word.bytes().all(|byte| byte == word.as_bytes()[0])
            && matches!(word.as_bytes()[0], b'-' | b'=' | b'*' | b'_' | b'~'))
        || ((1..10).contains(&digits) && matches!(&word[digits..], "." | ")"))
}
