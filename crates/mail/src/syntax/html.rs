//! HTML to plain text, in one pass without a tree: hostile nesting costs nothing, and a snippet stops after its 100
//! characters. Links and image texts are kept; scripts, styles, comments and what is styled not to be seen are not. The
//! result is text to read, never markup to show: it must be escaped like any other text.

use super::invisible;
use super::style::{Change, Look, Sheet};
use memchr::{memchr, memchr2, memchr3, memmem};
use postfleet_core::suspicion::Means;
use std::borrow::Cow;

/// Elements inside each other of which it is known how they look; those further in look like what is around them.
const DEPTH_MAX: usize = 256;

/// How far out the element is looked for that an end tag ends.
const REACH_MAX: usize = 64;

/// Attributes of one element that are read.
const ATTRIBUTES_MAX: usize = 64;

/// Octets of hidden text that are kept, of all elements together.
const HIDDEN_OCTETS_MAX: usize = 64 << 10;

/// Hidden texts and anchors that are kept, of each.
const PIECES_MAX: usize = 512;

/// What to keep.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Links {
    /// `text <url>`.
    Keep,
    /// `text`.
    #[default]
    Drop,
}

/// What HTML says.
#[derive(Default)]
pub(crate) struct Reading {
    /// To be seen; may have invisible characters.
    pub(crate) text: String,
    /// Not to be seen, in order.
    pub(crate) hidden: Vec<Covered>,
    /// Links, in order.
    pub(crate) anchors: Vec<Anchor>,
    /// There was more hidden text, or more links, than is kept.
    pub(crate) is_cut: bool,
}

/// A text that is not seen.
pub(crate) struct Covered {
    pub(crate) means: Means,
    /// The octets of the text before it.
    pub(crate) at: usize,
    pub(crate) text: String,
}

/// A link.
pub(crate) struct Anchor {
    /// What is shown.
    pub(crate) text: String,
    pub(crate) target: String,
}

/// Converts `html`, stopping soon after `max` octets of text. What is not seen is left out.
pub(crate) fn to_text(html: &str, links: Links, max: usize) -> String {
    let text = read(html, links, max).text;
    match invisible::visible(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(seen) => seen,
    }
}

/// Reads `html`, stopping soon after `max` octets of text.
pub(crate) fn read(html: &str, links: Links, max: usize) -> Reading {
    let mut writer = Writer::new(links, html.len().min(max) / 2);
    let mut rest = html;
    while !rest.is_empty() && writer.seen.text.len() < max {
        let (ahead, _) = rest.split_at(rest.ceil_char_boundary(max.max(64)));
        match memchr2(b'<', b'&', ahead.as_bytes()) {
            Some(0) if rest.starts_with('<') => rest = markup(rest, &mut writer),
            Some(0) => rest = reference(rest, &mut writer),
            at => {
                let (text, after) = rest.split_at(at.unwrap_or(ahead.len()));
                writer.text(text);
                rest = after;
            }
        }
    }
    writer.close_link();
    writer.seen.text.truncate(writer.seen.text.trim_end().len());
    writer.seen.hidden.retain(|covered| !covered.text.trim().is_empty());
    writer.seen
}

struct Writer {
    seen: Reading,
    links: Links,
    /// Inside `pre`, white space is text.
    preformatted: u32,
    /// White space was seen and not yet written.
    space: bool,
    /// Line breaks wanted before the next text.
    breaks: usize,
    /// The link that is open: its target, and where its text began.
    link: Option<(String, usize)>,
    sheet: Sheet,
    /// The elements that we are in, outermost first.
    open: Vec<Element>,
    /// Elements further in.
    deeper: u32,
    /// How what comes next is hidden.
    cover: Option<Means>,
    hidden_octets: usize,
}

/// An element that is open: its name, and how text in it looks.
struct Element {
    name: Name,
    look: Look,
}

/// The first letters and digits of a name, in lower case, as one number with the first of them lowest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Name(u128);

impl Name {
    /// The name at the front of a text.
    pub(crate) const fn of(text: &str) -> Self {
        let (octets, mut number, mut at) = (text.as_bytes(), 0, 0);
        while at < 16 && at < octets.len() && octets[at].is_ascii_alphanumeric() {
            number |= (octets[at].to_ascii_lowercase() as u128) << (8 * at);
            at += 1;
        }
        Self(number)
    }

    pub(crate) const fn all<const N: usize>(texts: [&str; N]) -> [Self; N] {
        let (mut names, mut at) = ([Self(0); N], 0);
        while at < N {
            names[at] = Self::of(texts[at]);
            at += 1;
        }
        names
    }

    pub(crate) fn len(self) -> usize {
        (u128::BITS - self.0.leading_zeros()).div_ceil(8) as usize
    }

    pub(crate) fn text(self) -> String {
        self.octets()[..self.len()].iter().copied().map(char::from).collect()
    }

    /// Its letters and digits, as many as [`Name::len`] says.
    pub(crate) fn octets(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// Whether an end tag with that name ends an element of this one: ten letters tell.
    fn is_ended_by(self, other: Self) -> bool {
        (self.0 ^ other.0) << (u128::BITS - 80) == 0
    }
}

pub(crate) const A: Name = Name::of("a");
const AREA: Name = Name::of("area");
pub(crate) const BODY: Name = Name::of("body");
pub(crate) const BR: Name = Name::of("br");
pub(crate) const DD: Name = Name::of("dd");
pub(crate) const DIV: Name = Name::of("div");
pub(crate) const DL: Name = Name::of("dl");
pub(crate) const DT: Name = Name::of("dt");
const FONT: Name = Name::of("font");
pub(crate) const HR: Name = Name::of("hr");
pub(crate) const HTML: Name = Name::of("html");
pub(crate) const IMG: Name = Name::of("img");
pub(crate) const LI: Name = Name::of("li");
pub(crate) const OL: Name = Name::of("ol");
const OPTION: Name = Name::of("option");
pub(crate) const P: Name = Name::of("p");
pub(crate) const PRE: Name = Name::of("pre");
const SELECT: Name = Name::of("select");
pub(crate) const STYLE: Name = Name::of("style");
pub(crate) const TABLE: Name = Name::of("table");
pub(crate) const TD: Name = Name::of("td");
pub(crate) const TH: Name = Name::of("th");
pub(crate) const TR: Name = Name::of("tr");
pub(crate) const UL: Name = Name::of("ul");

/// Elements whose content is no text.
pub(crate) const UNREAD: [Name; 5] = Name::all(["script", "title", "template", "svg", "textarea"]);

/// Elements without content.
const VOID: [Name; 14] = Name::all([
    "br", "img", "hr", "input", "meta", "link", "area", "base", "col", "embed", "source", "track", "wbr", "param",
]);

/// Whether an element has no content.
pub(crate) fn is_void(name: Name) -> bool {
    VOID.contains(&name)
}

/// Elements with an empty line around them, and other blocks.
const APART: [Name; 12] = Name::all(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote"]);
const BLOCKS: [Name; 11] =
    Name::all(["div", "tr", "li", "section", "article", "header", "footer", "center", "form", "dt", "dd"]);

impl Writer {
    fn new(links: Links, capacity: usize) -> Self {
        Self {
            seen: Reading { text: String::with_capacity(capacity), ..Reading::default() },
            links,
            preformatted: 0,
            space: false,
            breaks: 0,
            link: None,
            sheet: Sheet::default(),
            open: Vec::new(),
            deeper: 0,
            cover: None,
            hidden_octets: 0,
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(means) = self.cover {
            return self.hide(means, text);
        }
        if self.preformatted > 0 {
            return self.verbatim(text);
        }
        let mut rest = text;
        while let Some(blank) = rest.bytes().position(is_blank) {
            self.word(&rest[..blank]);
            self.space = true;
            rest = &rest[blank + 1..];
        }
        self.word(rest);
    }

    /// Keeps what is not seen apart.
    fn hide(&mut self, means: Means, text: &str) {
        let at = self.seen.text.len();
        let hidden = &mut self.seen.hidden;
        if !hidden.last().is_some_and(|last| last.means == means && last.at == at) {
            if text.trim().is_empty() {
                return;
            }
            if hidden.len() == PIECES_MAX {
                self.seen.is_cut = true;
                return;
            }
            hidden.push(Covered { means, at, text: String::new() });
        }
        let Some(last) = hidden.last_mut() else { return };
        if self.hidden_octets + text.len() > HIDDEN_OCTETS_MAX {
            self.seen.is_cut = true;
        }
        let text = &text[..text.floor_char_boundary(HIDDEN_OCTETS_MAX.saturating_sub(self.hidden_octets))];
        self.hidden_octets += text.len();
        for (index, word) in text.split(|c: char| c.is_ascii() && is_blank(c as u8)).enumerate() {
            if index > 0 && !last.text.is_empty() && !last.text.ends_with(' ') {
                last.text.push(' ');
            }
            last.text.push_str(word);
        }
    }

    fn verbatim(&mut self, text: &str) {
        self.settle();
        self.seen.text.push_str(text);
    }

    fn word(&mut self, word: &str) {
        if !word.is_empty() {
            self.settle();
            self.seen.text.push_str(word);
        }
    }

    /// Writes the space or line breaks that are due.
    fn settle(&mut self) {
        let out = &mut self.seen.text;
        if self.breaks > 0 && !out.is_empty() {
            let have = out.bytes().rev().take_while(|&byte| byte == b'\n').take(2).count();
            out.push_str(&"\n\n"[..self.breaks.min(2).saturating_sub(have)]);
        } else if self.space && !matches!(out.as_bytes().last(), None | Some(b'\n' | b' ')) {
            out.push(' ');
        }
        self.breaks = 0;
        self.space = false;
    }

    fn line(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
    }

    fn open(&mut self, name: Name, attributes: &str) {
        self.enter(name, attributes);
        if let Some(means) = self.cover {
            // Words on both sides of a tag stay apart.
            return self.hide(means, " ");
        }
        match name {
            BR => {
                self.breaks = 0;
                self.space = false;
                self.seen.text.push('\n');
            }
            LI => {
                self.line(1);
                self.word("*");
                self.space = true;
            }
            TD | TH => self.space = true,
            HR => {
                self.line(1);
                self.word("---");
                self.line(1);
            }
            IMG => self.text(&references(attribute(attributes, "alt").unwrap_or_default())),
            A | AREA => {
                self.close_link();
                let target = attribute(attributes, "href").map(|target| references(target).into_owned());
                self.link = target.map(|target| (target, self.seen.text.len()));
            }
            PRE => {
                self.line(2);
                self.preformatted += 1;
            }
            name => self.line(breaks_around(name)),
        }
    }

    fn close(&mut self, name: Name) {
        self.leave(name);
        match name {
            A => self.close_link(),
            PRE => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.line(2);
            }
            TD | TH => self.space = true,
            name => self.line(breaks_around(name)),
        }
    }

    /// Notes how an element looks.
    fn enter(&mut self, name: Name, attributes: &str) {
        self.end_implied(name);
        let around = self.look();
        let mut look = if attributes.is_empty() && self.sheet.is_empty() {
            around
        } else {
            around.under(&change(name, attributes, &self.sheet))
        };
        if matches!(name, HTML | BODY) {
            // Readers put the content into a page of their own: what hides all of it hides nothing.
            look = look.shown();
        }
        if is_void(name) {
            // An image or a line has no look to hand down.
            return;
        }
        if self.open.len() == DEPTH_MAX {
            self.deeper += 1;
            return;
        }
        self.open.push(Element { name, look });
        self.cover = look.hides();
    }

    fn leave(&mut self, name: Name) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        let found = self.open.iter().rev().take(REACH_MAX).position(|element| element.name.is_ended_by(name));
        if let Some(back) = found {
            self.open.truncate(self.open.len() - 1 - back);
            self.cover = self.look().hides();
        }
    }

    fn look(&self) -> Look {
        match self.open.last() {
            Some(element) => element.look,
            None if self.sheet.has_unread_ground => Look::PLAIN.on_unknown_ground(),
            None => Look::PLAIN,
        }
    }

    /// Ends the element that cannot contain the one that begins: paragraphs, list items, rows and cells need no end tag.
    fn end_implied(&mut self, name: Name) {
        let (ends, bounds): (&[Name], &[Name]) = match name {
            LI => (&[LI], &[UL, OL, TABLE]),
            DT | DD => (&[DT, DD], &[DL, TABLE]),
            TD | TH => (&[TD, TH], &[TABLE, TR]),
            TR => (&[TR], &[TABLE]),
            OPTION => (&[OPTION], &[SELECT]),
            name if breaks_around(name) > 0 => (&[P], &[TD, TH, TABLE, DIV]),
            _ => return,
        };
        for back in 0..self.open.len().min(REACH_MAX / 4) {
            let at = self.open.len() - 1 - back;
            if ends.contains(&self.open[at].name) {
                self.open.truncate(at);
                self.cover = self.look().hides();
                return;
            }
            if bounds.contains(&self.open[at].name) {
                return;
            }
        }
    }

    fn close_link(&mut self) {
        let Some((target, start)) = self.link.take() else { return };
        let target = target.trim();
        let scheme = &target[..memchr(b':', target.as_bytes()).unwrap_or(target.len())];
        let is_known = ["http", "https", "mailto", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let wanted = self.links == Links::Keep && is_known;
        let shown = self.seen.text.get(start..).unwrap_or_default().trim();
        let same = shown == target || target.strip_prefix("mailto:") == Some(shown);
        if self.seen.anchors.len() < PIECES_MAX {
            let text = shown[..shown.floor_char_boundary(TEXT_OCTETS_MAX)].to_owned();
            let target = target[..target.floor_char_boundary(TARGET_OCTETS_MAX)].to_owned();
            self.seen.anchors.push(Anchor { text, target });
        } else {
            self.seen.is_cut = true;
        }
        if wanted && !same && !target.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.space = !shown.is_empty();
            self.verbatim("<");
            self.verbatim(target);
            self.verbatim(">");
        }
    }
}

/// Octets of what an anchor shows that are kept.
const TEXT_OCTETS_MAX: usize = 2_000;

/// Octets of a target that are kept.
const TARGET_OCTETS_MAX: usize = 8_000;

/// What an element changes: by the style sheet, by its attributes, by its own style, the last the strongest.
pub(crate) fn change(name: Name, text: &str, sheet: &Sheet) -> Change {
    let (mut class, mut id, mut style, mut ink, mut ground) = (None, None, None, None, None);
    let (mut is_hidden, mut has_picture) = (false, false);
    for (attribute, value) in attributes(text) {
        match attribute {
            _ if attribute.eq_ignore_ascii_case("style") => style = style.or(Some(value)),
            _ if attribute.eq_ignore_ascii_case("class") => class = class.or(Some(value)),
            _ if attribute.eq_ignore_ascii_case("id") => id = id.or(Some(value)),
            _ if attribute.eq_ignore_ascii_case("hidden") => is_hidden = true,
            _ if attribute.eq_ignore_ascii_case("bgcolor") => ground = ground.or(Some(value)),
            _ if attribute.eq_ignore_ascii_case("background") => has_picture = true,
            _ if attribute.eq_ignore_ascii_case("color") && name == FONT => ink = ink.or(Some(value)),
            _ => {}
        }
    }
    let mut change = if sheet.is_empty() { Change::default() } else { sheet.of(&name.text(), class, id) };
    if ink.is_some() || ground.is_some() || has_picture {
        change = change.and(&Change::coloured(ink, ground, has_picture));
    }
    if is_hidden {
        change = change.and(&Change::HIDDEN);
    }
    match style {
        Some(style) if style.contains('&') => change.and(&Change::read(&references(style))),
        Some(style) => change.and(&Change::read(style)),
        None => change,
    }
}

/// Line breaks before and after an element: two around a paragraph, one around other blocks, none inside a line.
fn breaks_around(name: Name) -> usize {
    if APART.contains(&name) { 2 } else { usize::from(BLOCKS.contains(&name)) }
}

/// White space within a line, or what ends one.
fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b'\x0c')
}

/// What stands before the first octet of a kind in a text, and what behind it; none if there is no such octet.
fn parted(text: &str, mark: u8) -> Option<(&str, &str)> {
    memchr(mark, text.as_bytes()).map(|at| (&text[..at], &text[at + 1..]))
}

/// Takes a tag or comment off the front, with its content where that is no text; a `<` that opens none is text.
fn markup<'h>(rest: &'h str, writer: &mut Writer) -> &'h str {
    if let Some(comment) = rest.strip_prefix("<!--") {
        let end = memmem::find(comment.as_bytes(), b"-->");
        if !comment.starts_with("[if") && !comment.starts_with("<![endif") {
            writer.hide(Means::Comment, &comment[..end.unwrap_or(comment.len())]);
        }
        return end.map_or("", |at| &comment[at + 3..]);
    }
    let inside = &rest[1..];
    match inside.bytes().next() {
        Some(b'!' | b'?') => parted(inside, b'>').map_or("", |(_, after)| after),
        Some(b'/') => {
            let (tag, after) = parted(&inside[1..], b'>').unwrap_or((inside, ""));
            writer.close(Name::of(tag));
            after
        }
        Some(first) if first.is_ascii_alphabetic() => {
            let (tag, after) = inside.split_at(tag_len(inside));
            let name = Name::of(tag);
            let (name_text, attributes) = tag.split_at(name.len());
            let after = after.strip_prefix('>').unwrap_or(after);
            if name == STYLE {
                let behind = skip_element(after, name_text);
                writer.sheet.read(&after[..after.len() - behind.len()]);
                return behind;
            }
            if UNREAD.contains(&name) {
                return skip_element(after, name_text);
            }
            writer.open(name, attributes);
            after
        }
        _ => {
            writer.text("<");
            inside
        }
    }
}

/// Length of a tag up to its `>`; one in a quoted attribute does not close it.
pub(super) fn tag_len(tag: &str) -> usize {
    let (octets, mut from) = (tag.as_bytes(), 0);
    while let Some(found) = memchr3(b'>', b'"', b'\'', &octets[from..]) {
        let at = from + found;
        from = at + 1;
        if octets[at] == b'>' {
            return at;
        }
        if octets[..at].trim_ascii_end().ends_with(b"=") {
            match memchr(octets[at], &octets[from..]) {
                Some(len) => from += len + 1,
                None => break,
            }
        }
    }
    tag.len()
}

/// Skips to behind `</name…>`, or to the end.
pub(super) fn skip_element<'h>(text: &'h str, name: &str) -> &'h str {
    let mut rest = text;
    while let Some(at) = memmem::find(rest.as_bytes(), b"</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return parted(rest, b'>').map_or("", |(_, after)| after);
        }
    }
    ""
}

/// The value of an attribute in the text of a tag behind its name.
fn attribute<'t>(tag: &'t str, wanted: &str) -> Option<&'t str> {
    attributes(tag).find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}

/// The attributes in the text of a tag behind its name; those without a value have an empty one.
pub(crate) fn attributes(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = tag;
    let next = move || {
        // All that parts them is ASCII.
        let is_between = |octet: u8| octet.is_ascii_whitespace() || octet == b'/';
        rest = &rest[rest.bytes().position(|octet| !is_between(octet))?..];
        let end = rest.bytes().position(|octet| is_between(octet) || octet == b'=').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.trim_ascii_start().strip_prefix('=') else {
            rest = after;
            return Some((name, ""));
        };
        let value = value.trim_ascii_start();
        let (value, after) = match value.as_bytes().first() {
            Some(quote @ (b'"' | b'\'')) => parted(&value[1..], *quote).unwrap_or((&value[1..], "")),
            _ => value.split_at(value.bytes().position(|octet| octet.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        rest = after;
        Some((name, value))
    };
    std::iter::from_fn(next).take(ATTRIBUTES_MAX)
}

/// Replaces the character references of an attribute value.
pub(crate) fn references(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr(b'&', text.as_bytes()) else { return Cow::Borrowed(text) };
    let (before, mut rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len());
    out.push_str(before);
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let (c, len) = character(&rest[at..]);
        out.extend(c);
        rest = &rest[at + len..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Takes a character reference off the front; an ampersand that begins none is text.
fn reference<'h>(rest: &'h str, writer: &mut Writer) -> &'h str {
    let (c, len) = character(rest);
    match c {
        Some('\u{a0}') if writer.cover.is_none() => writer.space = true,
        Some(c) => match writer.cover {
            Some(means) => writer.hide(means, c.encode_utf8(&mut [0; 4])),
            None => writer.verbatim(c.encode_utf8(&mut [0; 4])),
        },
        None => {}
    }
    &rest[len..]
}

/// The character at the front, and the length of what stands for it.
pub(super) fn character(text: &str) -> (Option<char>, usize) {
    let known = text.get(1..).and_then(|body| {
        let end = body.bytes().take(12).position(|byte| byte == b';')?;
        Some((named(&body[..end])?, end + 2))
    });
    known.map_or((Some('&'), 1), |(c, len)| (Some(c), len))
}

fn named(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    }
    NAMED.iter().find(|(have, _)| *have == name).map(|(_, c)| *c)
}

const NAMED: [(&str, char); 60] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("shy", '\u{ad}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("hellip", '…'),
    ("mdash", '—'),
    ("ndash", '–'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("bull", '•'),
    ("middot", '·'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("sect", '§'),
    ("deg", '°'),
    ("times", '×'),
    ("plusmn", '±'),
    ("frac12", '½'),
    ("iexcl", '¡'),
    ("iquest", '¿'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("ecirc", 'ê'),
    ("aacute", 'á'),
    ("agrave", 'à'),
    ("acirc", 'â'),
    ("iacute", 'í'),
    ("oacute", 'ó'),
    ("uacute", 'ú'),
    ("ntilde", 'ñ'),
    ("ccedil", 'ç'),
    ("aring", 'å'),
    ("aelig", 'æ'),
    ("oslash", 'ø'),
    ("larr", '←'),
    ("rarr", '→'),
    ("check", '✓'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(to_text(html, Links::Keep, usize::MAX), expected, "{html}");
    }

    #[test]
    fn texts() {
        check("", "");
        check("plain", "plain");
        check("<p>One  two\r\n three</p><p>four</p>", "One two three\n\nfour");
        check("a<br>b<br/><br />c", "a\nb\n\nc");
        check("<div>a</div><div>b</div>", "a\nb");
        check("<b>bo</b>ld <i>it</i>", "bold it");
        check("<ul><li>a</li><li>b</li></ul>c", "* a\n* b\n\nc");
        check("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc");
        check("<pre>a\n  b</pre>c", "a\n  b\n\nc");
        check("<style>x{}</style><script>if(a<b)</script><title>t</title>text", "text");
        check("<STYLE>x</sTyLe >y", "y");
        check("a<!-- <b> -->b<!doctype html>c", "abc");
        check(
            "&lt;b&gt; &amp;amp; &#233;&#xe9;&nbsp;&eacute; &unknown; & &#0; &#xFFFFFFFF;",
            "<b> &amp; éé é &unknown; & &#0; &#xFFFFFFFF;",
        );
        check("1 < 2 <3", "1 < 2 <3");
        check("<img src=x alt=\"a cat\">", "a cat");
        check("<a title='>' href=\"https://x.example/?a=1&amp;b=2\">here</a>.", "here <https://x.example/?a=1&b=2>.");
        check("<a href=https://x.example>https://x.example</a>", "https://x.example");
        check("<a href=\"mailto:a@b\">a@b</a> <a href='javascript:x'>y</a>", "a@b y");
        check("unclosed <b", "unclosed");
        check("<a href=\"unclosed", "");
        check("x<script>never closed", "x");
        check("x<!-- never closed", "x");
    }

    #[test]
    fn what_is_not_seen_is_left_out_and_kept_apart() {
        let check = |html: &str, text: &str, hidden: &[(Means, usize, &str)]| {
            let reading = read(html, Links::Drop, usize::MAX);
            assert_eq!(reading.text, text, "{html}");
            let found: Vec<_> = reading.hidden.iter().map(|one| (one.means, one.at, one.text.trim())).collect();
            assert_eq!(found, hidden, "{html}");
        };
        use Means::{NoSize, NotDisplayed, SameColour};
        check("a <div style='display:none'>b <b>c</b></div> d", "a\nd", &[(NotDisplayed, 1, "b c")]);
        check("<p style=display:none>a<p>b", "b", &[(NotDisplayed, 0, "a")]);
        check("<ul><li hidden>a<li>b</ul>", "* b", &[(NotDisplayed, 0, "a")]);
        check("<tr><td style=\"display:none\">a<td>b</tr>", "b", &[(NotDisplayed, 0, "a")]);
        check("<style>.x{display:none}</style><span class=x>a</span>b", "b", &[(NotDisplayed, 0, "a")]);
        check("x<span style='font-size:0'>a<i style='font-size:12px'>b</i></span>", "xb", &[(NoSize, 1, "a")]);
        check(
            "<font color=white>a</font><table bgcolor=#000><tr><td><font color=#ffffff>b",
            "b",
            &[(SameColour, 0, "a")],
        );
        check("<style>.a .b{background:#000}</style><font color=white>a</font>", "a", &[]);
        check("<body style='display:none'>a", "a", &[]);
        check("<img style='display:none' alt=a>b<br style='display:none'>c", "ab\nc", &[]);
        check("<div style='display:none'>a</div></div></p>b", "b", &[(NotDisplayed, 0, "a")]);
        check("<noscript>a</noscript>b", "ab", &[]);
        check("<div style='display:&#110;one'>a&amp;b&nbsp;</div>", "", &[(NotDisplayed, 0, "a&b")]);
    }

    #[test]
    fn anchors_are_kept() {
        let reading = read(
            "<a href=\"https://a.example/?x=1&amp;y=2\">the <b>bank</b></a> <a href=#x>y",
            Links::Drop,
            usize::MAX,
        );
        let anchors: Vec<_> = reading.anchors.iter().map(|one| (one.text.as_str(), one.target.as_str())).collect();
        assert_eq!(anchors, [("the bank", "https://a.example/?x=1&y=2"), ("y", "#x")]);
    }

    #[test]
    fn stops_early() {
        let html = format!("<p>{}</p>", "word ".repeat(100_000));
        assert!(to_text(&html, Links::Drop, 100).len() < 200);
    }

    #[test]
    fn hostile_html_costs_linear_time() {
        for piece in ["<div>", "<a href=\"", "<!--", "<script>", "</", "<", "&", "&#", "<a ' ", "<pre>", "<img alt="] {
            to_text(&piece.repeat((1 << 20) / piece.len()), Links::Keep, usize::MAX);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text(html in "\\PC{0,200}", tags in "([<>a-z/\"'= &;#!\u{e9}-]|<a href=|&amp;|</pre>){0,60}", max in 0_usize..100) {
            to_text(&html, Links::Keep, max);
            to_text(&tags, Links::Keep, max);
        }
    }
}
