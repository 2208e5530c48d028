//! A message as lines, whether it is HTML or plain text: what is cut away is decided about lines.

use super::document::{Document, Kind, Step, Tag};
use super::marks::Mark;

/// Octets of a line that are looked at to tell what it is.
const SEEN_OCTETS_MAX: usize = 2_000;

/// One line, as far as it must be known to judge it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Its words with single spaces; only the beginning of a long one.
    pub(super) text: String,
    /// In lower case.
    pub(super) lower: String,
    /// It has something to see that is no text.
    pub(super) has_picture: bool,
    /// It has a link or an address of a page.
    pub(super) has_link: bool,
    /// It is quoted: by its program, or by a `>`.
    pub(super) is_quoted: bool,
    /// It is in an indented block of which nobody knows whether it is quoted.
    pub(super) is_indented: bool,
    /// It is nothing but a line across the page.
    pub(super) is_rule: bool,
    /// What it was marked as.
    pub(super) mark: Option<Mark>,
    /// It is exactly what stands above signatures: `-- ` (RFC 3676 §4.3).
    pub(super) is_delimiter: bool,
}

impl Line {
    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty() && !self.has_picture && !self.is_rule
    }

    fn finish(&mut self) {
        self.is_delimiter = self.text == "-- " || self.text == "--";
        self.text = single_spaced(&self.text);
        // In front of `From `, some servers put a `>` into the text.
        self.is_quoted |= self.text.starts_with('>') && !self.text.starts_with(">From ");
        self.lower = self.text.to_lowercase();
        self.has_link |= ["http://", "https://", "www."].iter().any(|start| self.lower.contains(start));
    }

    fn add(&mut self, text: &str) {
        let room = SEEN_OCTETS_MAX.saturating_sub(self.text.len());
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
    }
}

/// The words of a text with single spaces between them.
pub(super) fn single_spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !spaced.is_empty() {
            spaced.push(' ');
        }
        spaced.push_str(word);
    }
    spaced
}

/// The lines of a plain text.
pub(super) fn of_text(text: &str) -> Vec<Line> {
    let line = |text: &str| {
        let text = text.strip_suffix('\r').unwrap_or(text);
        let mut line = Line::default();
        line.add(text);
        line.finish();
        line
    };
    text.split('\n').map(line).collect()
}

/// The lines of a document, and of every node the number of the line that it is in.
pub(super) fn of_document(document: &Document) -> (Vec<Line>, Vec<usize>) {
    let mut reader =
        Reader { lines: vec![Line::default()], is_begun: false, marks: Vec::new(), quotes: 0, links: 0, indents: 0 };
    let mut of_node = vec![0; document.nodes.len()];
    document.walk(|step| match step {
        Step::Enter(index) => {
            let Kind::Element { tag, mark, .. } = document.nodes[index].kind else { return };
            if tag.is_block() {
                reader.end();
            }
            if matches!(tag, Tag::Cell { .. }) {
                reader.add(" ");
            }
            reader.links += usize::from(tag == Tag::Link);
            reader.indents += usize::from(tag == Tag::Quote);
            reader.quotes += usize::from(mark == Some(Mark::Quote));
            reader.marks.extend(mark.map(|mark| (index, mark)));
            of_node[index] = reader.lines.len() - 1;
        }
        Step::Leave(index) => {
            let Kind::Element { tag, mark, .. } = document.nodes[index].kind else { return };
            if reader.marks.last().is_some_and(|(of, _)| *of == index) {
                reader.marks.pop();
                reader.quotes -= usize::from(mark == Some(Mark::Quote));
            }
            if tag.is_block() {
                reader.end();
            }
            reader.links -= usize::from(tag == Tag::Link);
            reader.indents -= usize::from(tag == Tag::Quote);
        }
        Step::Leaf(index) => {
            of_node[index] = reader.leaf(&document.nodes[index].kind);
        }
    });
    let mut lines = reader.lines;
    lines.iter_mut().for_each(Line::finish);
    (lines, of_node)
}

struct Reader {
    lines: Vec<Line>,
    /// Something is in the last line.
    is_begun: bool,
    /// The marked elements that we are in.
    marks: Vec<(usize, Mark)>,
    /// How many of them are quotes.
    quotes: usize,
    links: usize,
    indents: usize,
}

impl Reader {
    /// Takes a node without content, and says in which line it is.
    fn leaf(&mut self, kind: &Kind) -> usize {
        if matches!(kind, Kind::Rule) {
            self.end();
        }
        let at = self.lines.len() - 1;
        match kind {
            Kind::Text(text) if text.trim().is_empty() => self.add(" "),
            Kind::Text(text) | Kind::Verbatim(text) => {
                self.see();
                self.add(text);
            }
            Kind::Image { .. } => {
                self.see();
                self.last().has_picture = true;
            }
            Kind::Break => {
                self.see();
                self.end();
            }
            Kind::Rule => {
                self.see();
                self.last().is_rule = true;
                self.end();
            }
            Kind::Element { .. } => {}
        }
        at
    }

    fn last(&mut self) -> &mut Line {
        if self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        let last = self.lines.len() - 1;
        &mut self.lines[last]
    }

    fn add(&mut self, text: &str) {
        self.last().add(text);
    }

    /// Notes where the line is, once something is in it.
    fn see(&mut self) {
        // What is inside a quote is quoted, whatever it is marked as; of the others the innermost counts.
        let is_quoted = self.quotes > 0;
        let mark = self.marks.last().map(|(_, mark)| *mark);
        let (has_link, is_indented) = (self.links > 0, self.indents > 0);
        let is_begun = std::mem::replace(&mut self.is_begun, true);
        let line = self.last();
        line.has_link |= has_link;
        if !is_begun {
            (line.is_quoted, line.mark, line.is_indented) = (is_quoted, mark, is_indented);
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.is_begun) {
            self.lines.push(Line::default());
        }
    }
}
