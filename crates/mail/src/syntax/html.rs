//! HTML to plain text, in one pass without a tree: hostile nesting costs nothing, and a snippet stops after its 100
//! characters. Links and image texts are kept; scripts, styles and comments are not. The result is text to read,
//! never markup to show: it must be escaped like any other text.

use memchr::{memchr2, memmem};

/// What to keep.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Links {
    /// `text <url>`.
    Keep,
    /// `text`.
    #[default]
    Drop,
}

/// Converts `html`, stopping soon after `max` octets of text.
pub(crate) fn to_text(html: &str, links: Links, max: usize) -> String {
    let mut writer = Writer { out: String::with_capacity(html.len().min(max) / 2), links, ..Writer::default() };
    let mut rest = html;
    while !rest.is_empty() && writer.out.len() < max {
        match memchr2(b'<', b'&', rest.as_bytes()) {
            Some(0) if rest.starts_with('<') => rest = markup(rest, &mut writer),
            Some(0) => rest = reference(rest, &mut writer),
            at => {
                let (text, after) = rest.split_at(at.unwrap_or(rest.len()).min(chunk(rest, max)));
                writer.text(text);
                rest = after;
            }
        }
    }
    writer.out.truncate(writer.out.trim_end().len());
    writer.out
}

/// How much text to take at once: no more than is wanted, on a character boundary.
fn chunk(text: &str, max: usize) -> usize {
    text.ceil_char_boundary(max.max(64))
}

#[derive(Default)]
struct Writer {
    out: String,
    links: Links,
    /// Inside `pre`, white space is text.
    preformatted: u32,
    /// White space was seen and not yet written.
    space: bool,
    /// Line breaks wanted before the next text.
    breaks: usize,
    /// The link that is open: its target, and where its text began.
    link: Option<(String, usize)>,
}

impl Writer {
    fn text(&mut self, text: &str) {
        if self.preformatted > 0 {
            return self.verbatim(text);
        }
        let mut words = text.split([' ', '\t', '\r', '\n', '\u{c}']);
        if let Some(first) = words.next() {
            self.word(first);
        }
        for word in words {
            self.space = true;
            self.word(word);
        }
    }

    fn verbatim(&mut self, text: &str) {
        self.settle();
        self.out.push_str(text);
    }

    fn word(&mut self, word: &str) {
        if !word.is_empty() {
            self.settle();
            self.out.push_str(word);
        }
    }

    /// Writes the space or line breaks that are due.
    fn settle(&mut self) {
        if self.breaks > 0 && !self.out.is_empty() {
            let have = self.out.bytes().rev().take_while(|&byte| byte == b'\n').count();
            self.out.push_str(&"\n\n"[..self.breaks.min(2).saturating_sub(have)]);
        } else if self.space && !self.out.is_empty() && !self.out.ends_with(['\n', ' ']) {
            self.out.push(' ');
        }
        self.breaks = 0;
        self.space = false;
    }

    fn line(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
    }

    fn open(&mut self, name: &str, attributes: &str) {
        match name {
            "br" => {
                self.breaks = 0;
                self.space = false;
                self.out.push('\n');
            }
            "li" => {
                self.line(1);
                self.word("*");
                self.space = true;
            }
            "td" | "th" => self.space = true,
            "hr" => {
                self.line(1);
                self.word("---");
                self.line(1);
            }
            "img" => self.text(&references(&attribute(attributes, "alt").unwrap_or_default())),
            "a" => {
                self.close_link();
                self.link = attribute(attributes, "href").map(|target| (references(&target), self.out.len()));
            }
            "pre" => {
                self.line(2);
                self.preformatted += 1;
            }
            name => self.line(breaks_around(name)),
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "a" => self.close_link(),
            "pre" => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.line(2);
            }
            "td" | "th" => self.space = true,
            name => self.line(breaks_around(name)),
        }
    }

    fn close_link(&mut self) {
        let Some((target, start)) = self.link.take() else { return };
        let target = target.trim();
        let scheme = target.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let wanted = self.links == Links::Keep && matches!(scheme.as_str(), "http" | "https" | "mailto" | "tel");
        let shown = self.out.get(start..).unwrap_or_default().trim();
        let same = shown == target || target.strip_prefix("mailto:") == Some(shown);
        if wanted && !same && !target.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.space = !shown.is_empty();
            self.verbatim(&format!("<{target}>"));
        }
    }
}

/// Line breaks before and after an element: two around a paragraph, one around other blocks, none inside a line.
fn breaks_around(name: &str) -> usize {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "table" | "blockquote" => 2,
        "div" | "tr" | "li" | "section" | "article" | "header" | "footer" | "center" | "form" | "dt" | "dd" => 1,
        _ => 0,
    }
}

/// Takes a tag or comment off the front, with its content where that is no text; a `<` that opens none is text.
fn markup<'h>(rest: &'h str, writer: &mut Writer) -> &'h str {
    if let Some(comment) = rest.strip_prefix("<!--") {
        return memmem::find(comment.as_bytes(), b"-->").map_or("", |at| &comment[at + 3..]);
    }
    let inside = &rest[1..];
    match inside.bytes().next() {
        Some(b'!' | b'?') => inside.split_once('>').map_or("", |(_, after)| after),
        Some(b'/') => {
            let (tag, after) = inside[1..].split_once('>').unwrap_or((inside, ""));
            writer.close(&name_of(tag));
            after
        }
        Some(first) if first.is_ascii_alphabetic() => {
            let (tag, after) = inside.split_at(tag_len(inside));
            let name = name_of(tag);
            let after = after.strip_prefix('>').unwrap_or(after);
            if matches!(name.as_str(), "script" | "style" | "title" | "noscript" | "template" | "svg" | "textarea") {
                return skip_element(after, &name);
            }
            writer.open(&name, tag.get(name.len()..).unwrap_or_default());
            after
        }
        _ => {
            writer.text("<");
            inside
        }
    }
}

fn name_of(tag: &str) -> String {
    tag.chars().take_while(char::is_ascii_alphanumeric).take(16).collect::<String>().to_ascii_lowercase()
}

/// Length of a tag up to its `>`; one in a quoted attribute does not close it.
fn tag_len(tag: &str) -> usize {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') if tag.as_bytes()[..at].trim_ascii_end().ends_with(b"=") => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// Skips to behind `</name…>`, or to the end.
fn skip_element<'h>(text: &'h str, name: &str) -> &'h str {
    let mut rest = text;
    while let Some(at) = memmem::find(rest.as_bytes(), b"</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return rest.split_once('>').map_or("", |(_, after)| after);
        }
    }
    ""
}

/// The value of an attribute in the text of a tag behind its name.
fn attribute(tag: &str, wanted: &str) -> Option<String> {
    let mut rest = tag;
    for _ in 0..64 {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.trim_ascii_start().strip_prefix('=') else {
            if after.is_empty() {
                return None;
            }
            rest = after;
            continue;
        };
        let value = value.trim_ascii_start();
        let (value, after) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            _ => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value.to_owned());
        }
        rest = after;
    }
    None
}

/// Replaces the character references of an attribute value.
fn references(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (c, len) = character(&rest[at..]);
        out.extend(c);
        rest = &rest[at + len..];
    }
    out.push_str(rest);
    out
}

/// Takes a character reference off the front; an ampersand that begins none is text.
fn reference<'h>(rest: &'h str, writer: &mut Writer) -> &'h str {
    let (c, len) = character(rest);
    match c {
        Some('\u{a0}') => writer.space = true,
        Some(c) => writer.verbatim(c.encode_utf8(&mut [0; 4])),
        None => {}
    }
    &rest[len..]
}

/// The character at the front, and the length of what stands for it. Invisible ones, with which senders pad the text
/// that mail lists show, give none.
fn character(text: &str) -> (Option<char>, usize) {
    let known = text.get(1..).and_then(|body| {
        let end = body.bytes().take(12).position(|byte| byte == b';')?;
        Some((named(&body[..end])?, end + 2))
    });
    match known {
        Some(('\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{34f}' | '\u{feff}', len)) => (None, len),
        Some((c, len)) => (Some(c), len),
        None => (Some('&'), 1),
    }
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
