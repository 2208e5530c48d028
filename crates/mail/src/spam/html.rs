//! What markup shows, what it hides, and where it leads: one pass over its tags, without a tree. It is read to be judged,
//! never to be shown.

use super::hosts::{host_of, shown_host, small};
use super::tag::{self, Tag};
use memchr::{memchr, memmem};

/// Links that are looked at.
const LINKS_MAX: usize = 100;

/// Elements inside a hidden one that are counted before the end of all is given up.
const DEPTH_MAX: u32 = 1_000;

/// What was found in the markup.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    /// What people see.
    pub(super) visible: String,
    /// Characters of words that they do not see.
    pub(super) hidden_chars: usize,
    /// Each once.
    pub(super) links: Vec<Link>,
    pub(super) images: usize,
    pub(super) has_form: bool,
    pub(super) has_script: bool,
}

/// A link, and what it shows.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Link {
    /// Where it leads, in lower case.
    pub(super) host: String,
    /// Where its text says that it leads, if it says so.
    pub(super) shown: Option<String>,
}

/// Elements, by their names.
const UNSEEN: [u64; 4] = tag::numbers(["script", "style", "title", "template"]);
const LEADING: [u64; 4] = tag::numbers(["img", "a", "form", "area"]);
const EMPTY: [u64; 10] = tag::numbers(["br", "img", "hr", "input", "meta", "link", "area", "base", "col", "wbr"]);
const BREAKING: [u64; 18] = tag::numbers([
    "p", "div", "br", "tr", "td", "th", "li", "h1", "h2", "h3", "h4", "h5", "h6", "table", "hr", "ul", "ol", "center",
]);
const A: u64 = tag::number("a");
const IMG: u64 = tag::number("img");
const FORM: u64 = tag::number("form");

pub(super) fn read(markup: &str) -> Page {
    let markup = markup.to_ascii_lowercase();
    let page = Page { visible: String::with_capacity(markup.len()), ..Page::default() };
    let mut reader = Reader { page, hidden: 0, name: "", link: None, links_count: 0 };
    let mut rest = markup.as_str();
    while !rest.is_empty() {
        match memchr(b'<', rest.as_bytes()) {
            Some(0) => rest = reader.tag(rest),
            at => {
                let (text, after) = rest.split_at(at.unwrap_or(rest.len()));
                reader.text(text);
                rest = after;
            }
        }
    }
    reader.end_link();
    reader.page
}

/// Reads markup in small letters.
struct Reader<'h> {
    page: Page,
    /// How deep we are in elements of the kind that is hidden.
    hidden: u32,
    /// The name of that kind.
    name: &'h str,
    /// The host of the link that we are in, and where its text begins.
    link: Option<(&'h str, usize)>,
    links_count: usize,
}

impl<'h> Reader<'h> {
    fn text(&mut self, text: &str) {
        if self.hidden > 0 {
            self.page.hidden_chars += text.chars().filter(|c| c.is_alphanumeric()).count();
            return;
        }
        let mut rest = text;
        while let Some(at) = memchr(b'&', rest.as_bytes()) {
            self.page.visible.push_str(&rest[..at]);
            let (c, len) = reference(&rest[at..]);
            self.page.visible.extend(c);
            rest = &rest[at + len..];
        }
        self.page.visible.push_str(rest);
    }

    /// Takes a tag or a comment off the front.
    fn tag(&mut self, rest: &'h str) -> &'h str {
        let inside = &rest[1..];
        let body = inside.strip_prefix('/').unwrap_or(inside);
        let is_close = body.len() < inside.len();
        if !body.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return self.no_tag(inside);
        }
        let (tag, after) = Tag::read(body);
        let id = tag::number(tag.name);
        if is_close {
            self.close(tag.name, id);
        } else if UNSEEN.contains(&id) {
            self.page.has_script |= tag.name == "script";
            return skip(after, tag.name);
        } else {
            self.open(&tag, id);
        }
        after
    }

    /// Takes off what begins like a tag and is none.
    fn no_tag(&mut self, inside: &'h str) -> &'h str {
        if let Some(comment) = inside.strip_prefix("!--") {
            return memmem::find(comment.as_bytes(), b"-->").map_or("", |at| &comment[at + 3..]);
        }
        if inside.starts_with(['!', '?', '/']) {
            return memchr(b'>', inside.as_bytes()).map_or("", |at| &inside[at + 1..]);
        }
        self.text("<");
        inside
    }

    fn open(&mut self, tag: &Tag<'h>, id: u64) {
        if self.hidden > 0 {
            if tag.name == self.name {
                self.hidden = (self.hidden + 1).min(DEPTH_MAX);
            }
            return;
        }
        if LEADING.contains(&id) {
            self.leads(id, tag.href);
        }
        if BREAKING.contains(&id) {
            self.page.visible.push('\n');
        }
        if tag.hides() && !EMPTY.contains(&id) {
            (self.hidden, self.name) = (1, tag.name);
        }
    }

    fn leads(&mut self, id: u64, href: Option<&'h str>) {
        match id {
            IMG => self.page.images += 1,
            FORM => self.page.has_form = true,
            _ if self.links_count < LINKS_MAX => {
                self.end_link();
                self.link = href.and_then(host_of).map(|host| (host, self.page.visible.len()));
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str, id: u64) {
        if self.hidden > 0 {
            self.hidden -= u32::from(name == self.name);
        } else if id == A {
            self.end_link();
        } else if BREAKING.contains(&id) {
            self.page.visible.push('\n');
        }
    }

    fn end_link(&mut self) {
        let Some((host, start)) = self.link.take() else { return };
        self.links_count += 1;
        let shown = self.page.visible.get(start..).unwrap_or_default().trim();
        let shown = if shown.contains(char::is_whitespace) { None } else { shown_host(shown) };
        let (host, shown) = (small(host), shown.map(small));
        if !self.page.links.iter().any(|link| link.host == host && link.shown.as_deref() == shown.as_deref()) {
            let (host, shown) = (host.into_owned(), shown.map(|shown| shown.into_owned()));
            self.page.links.push(Link { host, shown });
        }
    }
}

/// Skips to behind `</name…>`, or to the end.
fn skip<'h>(text: &'h str, name: &str) -> &'h str {
    let mut rest = text;
    while let Some(at) = memmem::find(rest.as_bytes(), b"</") {
        rest = &rest[at + 2..];
        if rest.starts_with(name) {
            return memchr(b'>', rest.as_bytes()).map_or("", |at| &rest[at + 1..]);
        }
    }
    ""
}

/// The character of a reference, and its length; an ampersand that begins none is itself.
fn reference(text: &str) -> (Option<char>, usize) {
    let window = &text.as_bytes()[1..text.len().min(12)];
    let Some(end) = memchr(b';', window) else { return (Some('&'), 1) };
    let name = text.get(1..1 + end).unwrap_or_default();
    let c = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        "shy" => Some('\u{ad}'),
        "zwnj" => Some('\u{200c}'),
        "zwj" => Some('\u{200d}'),
        _ => name.strip_prefix('#').and_then(|number| {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32)
        }),
    };
    match c {
        Some(c) => (Some(c), end + 2),
        None => (Some('&'), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::hosts::hosts_in_text;
    use super::*;

    #[test]
    fn what_is_seen_and_what_is_not() {
        for (markup, visible, hidden) in [
            ("a <b>b</b> &amp; c", "a b & c", 0),
            ("vi<!-- x -->ag<b></b>ra", "viagra", 0),
            ("a<div style='display: none'>secret <div>x</div> y</div>b", "a\nb", 8),
            ("<span style=\"font-size:0px\">abc</span>d", "d", 3),
            ("<p style=\"opacity: 0\">abc", "\n", 3),
            ("<span style=\"font-size:14px;opacity:1\">abc</span>", "abc", 0),
            ("<p style=\"FONT-SIZE : 0.1em !important\">abc", "\n", 3),
            ("<p style=\"color:red; display : none\">abc", "\n", 3),
            ("<p style=\"font-size:1em;line-height:0\">abc", "\nabc", 0),
            ("<p hidden>abc</p>d", "\nd", 3),
            ("<p class='x' hidden=''>abc</p>d", "\nd", 3),
            ("<p title='a hidden thing' type=hidden>abc", "\nabc", 0),
            ("<p title = 'a > b'/><p a=b>c", "\n\nc", 0),
            ("<templates>a</templates><blockquote style=visibility:hidden>b</blockquote>", "a", 1),
            ("<style>p {}</style><script>x</script><title>t</title>a", "a", 0),
            ("1 < 2 &#x41;&#66;&unknown; &", "1 < 2 AB&unknown; &", 0),
            ("<a title='>' href='#'>x</a>", "x", 0),
            ("<", "<", 0),
            ("<b", "", 0),
            ("<!-- never ends", "", 0),
        ] {
            let page = read(markup);
            assert_eq!((page.visible.trim_matches(' '), page.hidden_chars), (visible, hidden), "{markup}");
        }
    }

    #[test]
    fn where_links_lead_and_what_they_show() {
        let link = |markup: &str| {
            let mut page = read(markup);
            page.links.pop().map(|link| (link.host, link.shown))
        };
        let found = |host: &str, shown: Option<&str>| Some((host.to_owned(), shown.map(str::to_owned)));
        for (markup, expected) in [
            ("<a href=\"https://X.test/a?b\">here</a>", found("x.test", None)),
            ("<A HREF='http://evil.test:8080/'>https://bank.test/login</A>", found("evil.test", Some("bank.test"))),
            ("<a href=//cdn.test/x>www.bank.test</a>", found("cdn.test", Some("www.bank.test"))),
            ("<a href='https://user@evil.test\\@bank.test'>v1.2</a>", found("evil.test", None)),
            ("<a href='http://[2001:db8::1]/'>x</a>", found("2001:db8::1", None)),
            ("<a href='mailto:a@x.test'>a@x.test</a>", None),
            ("<a href='https:///'>x</a>", None),
        ] {
            assert_eq!(link(markup), expected, "{markup}");
        }
    }

    #[test]
    fn hostile_markup_costs_linear_time() {
        for piece in ["<", "<a href='", "<div style='display:none'>", "<!--", "</", "&", "<a ", "<style>", "=\"'"] {
            read(&piece.repeat(200_000 / piece.len()));
            hosts_in_text(&piece.repeat(200_000 / piece.len()));
        }
        hosts_in_text(&"a://".repeat(50_000));
    }

    proptest::proptest! {
        #[test]
        fn any_markup(markup in "([<>/='\"a-z &;#!-]|\\PC){0,200}") {
            read(&markup);
            hosts_in_text(&markup);
        }
    }
}
