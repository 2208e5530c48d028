//! The HTML of a message as a flat tree: nodes in the order in which they begin, each knowing where its content ends. No
//! function over it calls itself, and the number and the depth of the nodes are bounded, so that hostile nesting costs
//! neither stack nor more than linear time.

use super::marks::{Mark, mark};
use crate::syntax::html::{
    A, BODY, BR, DD, DIV, DL, DT, HR, HTML, IMG, LI, Name, OL, P, PRE, TABLE, TD, TH, TR, UL, attributes, change,
    is_void, references,
};
use crate::syntax::invisible;
use crate::syntax::style::{Look, Sheet};
use crate::syntax::tags::{Token, tokens};

/// Elements inside each other that are told apart; those further in are taken for the one around them.
const DEPTH_MAX: usize = 256;

/// How far out the element is looked for that an end tag ends.
const REACH_MAX: usize = 64;

/// Nodes of one message. What comes after them is text of the last ones.
const NODES_MAX: usize = 100_000;

/// Octets of a link's target or a picture's source.
const TARGET_OCTETS_MAX: usize = 8_000;

/// Characters of what stands for a picture.
const ALTERNATIVE_CHARS_MAX: usize = 500;

/// A message's HTML.
#[derive(Default)]
pub(super) struct Document {
    pub(super) nodes: Vec<Node>,
}

/// One node.
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The index of the first node behind its content.
    pub(super) end: usize,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Text in which white space parts words.
    Text(String),
    /// Text of which every space counts; without line ends.
    Verbatim(String),
    /// A line end.
    Break,
    /// A line across the page.
    Rule,
    Image {
        source: String,
        alternative: String,
    },
    Element {
        tag: Tag,
        mark: Option<Mark>,
        /// Where a link leads.
        target: Option<String>,
        /// Columns and rows that a cell spans.
        span: (u16, u16),
    },
}

/// The elements that mean something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tag {
    Paragraph,
    Block,
    Heading(u8),
    List {
        ordered: bool,
    },
    Item,
    Quote,
    Preformatted,
    Table,
    Row,
    Cell {
        head: bool,
    },
    Bold,
    Italic,
    Underline,
    Strike,
    Code,
    Raised,
    Lowered,
    Link,
    /// Nothing by itself; it was marked.
    Plain,
}

impl Tag {
    /// Whether it begins and ends a line.
    pub(super) fn is_block(self) -> bool {
        use Tag::{Block, Heading, Item, List, Paragraph, Preformatted, Quote, Row, Table};
        matches!(self, Paragraph | Block | Heading(_) | List { .. } | Item | Quote | Preformatted | Table | Row)
    }
}

/// A step through a document.
pub(super) enum Step {
    /// Into the element with this index.
    Enter(usize),
    /// Out of it.
    Leave(usize),
    /// A node without content.
    Leaf(usize),
}

impl Document {
    /// Goes through all nodes, in and out of every element.
    pub(super) fn walk(&self, mut step: impl FnMut(Step)) {
        let mut inside: Vec<usize> = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            while let Some(&last) = inside.last()
                && self.nodes[last].end <= index
            {
                inside.pop();
                step(Step::Leave(last));
            }
            if matches!(node.kind, Kind::Element { .. }) {
                inside.push(index);
                step(Step::Enter(index));
            } else {
                step(Step::Leaf(index));
            }
        }
        while let Some(last) = inside.pop() {
            step(Step::Leave(last));
        }
    }

    /// Reads HTML. What is not seen is left out.
    pub(super) fn read(html: &str) -> Self {
        let mut reader = Reader::default();
        for token in tokens(html) {
            match token {
                Token::Text(text) => reader.text(text),
                Token::Character(c) => reader.text(c.encode_utf8(&mut [0; 4])),
                Token::Open(name, attributes) => reader.open(name, attributes),
                Token::Close(name) => reader.close(name),
                Token::Sheet(content) => reader.sheet.read(content),
            }
        }
        reader.finish()
    }
}

/// An element that is open.
struct Open {
    name: Name,
    node: Option<usize>,
    look: Look,
    is_preformatted: bool,
}

#[derive(Default)]
struct Reader {
    document: Document,
    open: Vec<Open>,
    /// Elements further in than are told apart.
    deeper: usize,
    sheet: Sheet,
    /// Whether text that comes next belongs to the last node.
    goes_on: bool,
}

impl Reader {
    fn look(&self) -> Look {
        match self.open.last() {
            Some(element) => element.look,
            None if self.sheet.has_unread_ground => Look::PLAIN.on_unknown_ground(),
            None => Look::PLAIN,
        }
    }

    fn is_hidden(&self) -> bool {
        self.look().hides().is_some()
    }

    fn text(&mut self, text: &str) {
        if self.is_hidden() {
            return;
        }
        if !self.open.last().is_some_and(|element| element.is_preformatted) {
            return self.piece(text, false);
        }
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.leaf(Kind::Break);
            }
            self.piece(line.trim_end_matches('\r'), true);
        }
    }

    fn piece(&mut self, text: &str, is_verbatim: bool) {
        let is_full = self.document.nodes.len() >= NODES_MAX;
        match self.document.nodes.last_mut().map(|node| &mut node.kind) {
            Some(Kind::Text(before)) if self.goes_on || is_full => before.push_str(text),
            Some(Kind::Verbatim(before)) if self.goes_on || is_full => before.push_str(text),
            _ if text.is_empty() => {}
            _ => {
                let kind = if is_verbatim { Kind::Verbatim(text.to_owned()) } else { Kind::Text(text.to_owned()) };
                let end = self.document.nodes.len() + 1;
                self.document.nodes.push(Node { kind, end });
                self.goes_on = true;
            }
        }
    }

    fn leaf(&mut self, kind: Kind) {
        if self.document.nodes.len() < NODES_MAX {
            let end = self.document.nodes.len() + 1;
            self.document.nodes.push(Node { kind, end });
            self.goes_on = false;
        } else {
            self.piece(" ", false);
        }
    }

    fn open(&mut self, name: Name, text: &str) {
        let tag = tag(name);
        self.end_implied(name, tag.is_some_and(Tag::is_block));
        let around = self.look();
        let mut look = if text.is_empty() && self.sheet.is_empty() {
            around
        } else {
            around.under(&change(name, text, &self.sheet))
        };
        if matches!(name, HTML | BODY) {
            // Readers put the content into a page of their own: what hides all of it hides nothing.
            look = look.shown();
        }
        if is_void(name) {
            return if look.hides().is_none() {
                self.void(name, text)
            };
        }
        if self.open.len() == DEPTH_MAX {
            self.deeper += 1;
            return;
        }
        let is_preformatted = name == PRE || self.open.last().is_some_and(|element| element.is_preformatted);
        let node = if look.hides().is_none() { self.element(name, tag, text) } else { None };
        self.open.push(Open { name, node, look, is_preformatted });
    }

    fn void(&mut self, name: Name, text: &str) {
        match name {
            BR => self.leaf(Kind::Break),
            HR => {
                // Some programs mark the line above what they quote.
                let end = self.document.nodes.len() + 2;
                if let (Some(mark), true) = (mark(name, text), end <= NODES_MAX) {
                    let kind = Kind::Element { tag: Tag::Block, mark: Some(mark), target: None, span: (1, 1) };
                    self.document.nodes.push(Node { kind, end });
                }
                self.leaf(Kind::Rule);
            }
            IMG => {
                if let Some(image) = image(text) {
                    self.leaf(image);
                }
            }
            _ => {}
        }
    }

    /// Makes a node for an element that means something.
    fn element(&mut self, name: Name, tag: Option<Tag>, text: &str) -> Option<usize> {
        let mark = if text.is_empty() { None } else { mark(name, text) };
        let tag = tag.or(mark.map(|_| Tag::Plain))?;
        if self.document.nodes.len() >= NODES_MAX {
            self.piece(" ", false);
            return None;
        }
        let (mut target, mut span) = (None, (1, 1));
        for (name, value) in attributes(text) {
            match tag {
                Tag::Link if target.is_none() && name.eq_ignore_ascii_case("href") => target = Some(address(value)),
                Tag::Cell { .. } if name.eq_ignore_ascii_case("colspan") => span.0 = number(value),
                Tag::Cell { .. } if name.eq_ignore_ascii_case("rowspan") => span.1 = number(value),
                _ => {}
            }
        }
        let at = self.document.nodes.len();
        self.document.nodes.push(Node { kind: Kind::Element { tag, mark, target, span }, end: at + 1 });
        self.goes_on = false;
        Some(at)
    }

    fn close(&mut self, name: Name) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        if matches!(name, BR | P) && !self.open.iter().rev().take(REACH_MAX).any(|element| element.name == name) {
            if !self.is_hidden() {
                self.leaf(Kind::Break);
            }
            return;
        }
        let found = self.open.iter().rev().take(REACH_MAX).position(|element| element.name == name);
        if let Some(back) = found {
            self.close_to(self.open.len() - 1 - back);
        }
    }

    /// Closes what is open from this one on.
    fn close_to(&mut self, at: usize) {
        let end = self.document.nodes.len();
        for element in self.open.drain(at..) {
            if let Some(node) = element.node {
                self.document.nodes[node].end = end;
                self.goes_on = false;
            }
        }
    }

    /// Ends the element that cannot contain the one that begins: paragraphs, list items, rows and cells need no end tag.
    fn end_implied(&mut self, name: Name, is_block: bool) {
        const BLOCKQUOTE: Name = Name::of("blockquote");
        let (ends, bounds): (&[Name], &[Name]) = match name {
            LI => (&[LI], &[UL, OL, TABLE]),
            DT | DD => (&[DT, DD], &[DL, TABLE]),
            TD | TH => (&[TD, TH], &[TABLE, TR]),
            TR => (&[TR], &[TABLE]),
            A => (&[A], &[TABLE, TD, DIV]),
            _ if is_block => (&[P], &[TD, TH, TABLE, DIV, BLOCKQUOTE, LI]),
            _ => return,
        };
        for back in 0..self.open.len().min(REACH_MAX / 4) {
            let at = self.open.len() - 1 - back;
            let name = self.open[at].name;
            if ends.contains(&name) {
                return self.close_to(at);
            }
            if bounds.contains(&name) {
                return;
            }
        }
    }

    fn finish(mut self) -> Document {
        self.close_to(0);
        for node in &mut self.document.nodes {
            if let Kind::Text(text) | Kind::Verbatim(text) = &mut node.kind
                && let std::borrow::Cow::Owned(seen) = invisible::visible(text)
            {
                *text = seen;
            }
        }
        self.document
    }
}

fn tag(name: Name) -> Option<Tag> {
    Some(match &name.octets()[..name.len()] {
        b"p" => Tag::Paragraph,
        b"div" | b"section" | b"article" | b"header" | b"footer" | b"center" | b"form" | b"dl" | b"dt" | b"dd"
        | b"main" | b"aside" | b"nav" | b"figure" | b"figcaption" | b"address" | b"fieldset" | b"caption"
        | b"details" | b"summary" => Tag::Block,
        b"h1" => Tag::Heading(1),
        b"h2" => Tag::Heading(2),
        b"h3" => Tag::Heading(3),
        b"h4" => Tag::Heading(4),
        b"h5" => Tag::Heading(5),
        b"h6" => Tag::Heading(6),
        b"ul" => Tag::List { ordered: false },
        b"ol" => Tag::List { ordered: true },
        b"li" => Tag::Item,
        b"blockquote" => Tag::Quote,
        b"pre" => Tag::Preformatted,
        b"table" => Tag::Table,
        b"tr" => Tag::Row,
        b"td" => Tag::Cell { head: false },
        b"th" => Tag::Cell { head: true },
        b"b" | b"strong" => Tag::Bold,
        b"i" | b"em" | b"cite" | b"dfn" | b"var" => Tag::Italic,
        b"u" | b"ins" => Tag::Underline,
        b"s" | b"del" | b"strike" => Tag::Strike,
        b"code" | b"tt" | b"kbd" | b"samp" => Tag::Code,
        b"sup" => Tag::Raised,
        b"sub" => Tag::Lowered,
        b"a" => Tag::Link,
        _ => return None,
    })
}

/// A picture, unless it is one that nobody sees.
fn image(text: &str) -> Option<Kind> {
    let (mut source, mut alternative) = (String::new(), String::new());
    for (name, value) in attributes(text) {
        match () {
            () if name.eq_ignore_ascii_case("src") && source.is_empty() => source = address(value),
            () if name.eq_ignore_ascii_case("alt") => {
                let words = references(value);
                let words = invisible::visible(&words);
                alternative = words.split_whitespace().collect::<Vec<_>>().join(" ");
                alternative = alternative.chars().take(ALTERNATIVE_CHARS_MAX).collect();
            }
            // A picture of one pixel only tells that the message was read.
            () if (name.eq_ignore_ascii_case("width") || name.eq_ignore_ascii_case("height"))
                && matches!(value.trim().trim_end_matches("px"), "0" | "1") =>
            {
                return None;
            }
            () => {}
        }
    }
    (!source.is_empty()).then_some(Kind::Image { source, alternative })
}

/// An address in an attribute, without what browsers leave out of one.
fn address(value: &str) -> String {
    let value: String = references(value).chars().filter(|c| !c.is_control()).collect();
    let value = value.trim();
    if value.len() > TARGET_OCTETS_MAX { String::new() } else { value.to_owned() }
}

fn number(value: &str) -> u16 {
    value.trim().parse().unwrap_or(1).clamp(1, 100)
}
