//! What markup shows, what it hides, and where it leads: one pass over its tags, without a tree. It is read to be judged,
//! never to be shown.

use memchr::memchr;
use std::net::IpAddr;

/// Links that are looked at.
const LINKS_MAX: usize = 100;

/// Elements inside a hidden one that are counted before the end of all is given up.
const DEPTH_MAX: u32 = 1_000;

/// Octets of a host name.
const HOST_OCTETS_MAX: usize = 253;

/// What was found in the markup.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    /// What people see.
    pub(super) visible: String,
    /// Characters of words that they do not see.
    pub(super) hidden_chars: usize,
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

pub(super) fn read(markup: &str) -> Page {
    let mut reader = Reader { page: Page::default(), hidden: 0, name: String::new(), link: None };
    let mut rest = markup;
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

struct Reader {
    page: Page,
    /// How deep we are in elements of the kind that is hidden.
    hidden: u32,
    /// That kind.
    name: String,
    /// The link that we are in, and where its text begins.
    link: Option<(String, usize)>,
}

impl Reader {
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
    fn tag<'h>(&mut self, rest: &'h str) -> &'h str {
        if let Some(comment) = rest.strip_prefix("<!--") {
            return memchr::memmem::find(comment.as_bytes(), b"-->").map_or("", |at| &comment[at + 3..]);
        }
        let inside = &rest[1..];
        let is_close = inside.starts_with('/');
        let body = inside.strip_prefix('/').unwrap_or(inside);
        if !body.starts_with(|c: char| c.is_ascii_alphabetic()) {
            if inside.starts_with(['!', '?', '/']) {
                return memchr(b'>', inside.as_bytes()).map_or("", |at| &inside[at + 1..]);
            }
            self.text("<");
            return inside;
        }
        let (tag, after) = body.split_at(tag_len(body));
        let after = after.strip_prefix('>').unwrap_or(after);
        let name_len = tag.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (name, attributes) = tag.split_at(name_len);
        if matches_any(name, &["script", "style", "title", "template"]) && !is_close {
            self.page.has_script |= name.eq_ignore_ascii_case("script");
            return skip(after, name);
        }
        if is_close {
            self.close(name)
        } else {
            self.open(name, attributes)
        }
        after
    }

    fn open(&mut self, name: &str, attributes: &str) {
        if self.hidden > 0 {
            if name.eq_ignore_ascii_case(&self.name) {
                self.hidden = (self.hidden + 1).min(DEPTH_MAX);
            }
            return;
        }
        if matches_any(name, &["img", "a", "form", "area"]) {
            self.leads(name, attributes);
        }
        if breaks(name) {
            self.page.visible.push('\n');
        }
        if !is_void(name) && is_hidden(attributes) {
            (self.hidden, self.name) = (1, name.to_ascii_lowercase());
        }
    }

    fn leads(&mut self, name: &str, attributes: &str) {
        if name.eq_ignore_ascii_case("img") {
            self.page.images += 1;
        } else if name.eq_ignore_ascii_case("form") {
            self.page.has_form = true;
        } else if self.page.links.len() < LINKS_MAX {
            self.end_link();
            let target = attribute(attributes, "href").and_then(host_of);
            self.link = target.map(|host| (host, self.page.visible.len()));
        }
    }

    fn close(&mut self, name: &str) {
        if self.hidden > 0 {
            if name.eq_ignore_ascii_case(&self.name) {
                self.hidden -= 1;
            }
            return;
        }
        if name.eq_ignore_ascii_case("a") {
            self.end_link();
        } else if breaks(name) {
            self.page.visible.push('\n');
        }
    }

    fn end_link(&mut self) {
        let Some((host, start)) = self.link.take() else { return };
        let shown = self.page.visible.get(start..).unwrap_or_default().trim();
        let shown = if shown.contains(char::is_whitespace) { None } else { shown_host(shown) };
        self.page.links.push(Link { host, shown });
    }
}

fn matches_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| name.eq_ignore_ascii_case(one))
}

fn is_void(name: &str) -> bool {
    matches_any(name, &["br", "img", "hr", "input", "meta", "link", "area", "base", "col", "wbr"])
}

fn breaks(name: &str) -> bool {
    matches_any(
        name,
        &[
            "p", "div", "br", "tr", "td", "th", "li", "h1", "h2", "h3", "h4", "h5", "h6", "table", "hr", "ul", "ol",
            "center",
        ],
    )
}

/// Whether what is in an element is not seen: by its style, as far as it stands in the element.
fn is_hidden(attributes: &str) -> bool {
    if attributes.is_empty() {
        return false;
    }
    let Some(style) = attribute(attributes, "style") else {
        return attributes.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("hidden"));
    };
    if style.len() > 2_000 {
        return false;
    }
    let style: String = style.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
    style.split(';').any(|rule| {
        let Some((property, value)) = rule.split_once(':') else { return false };
        let value = value.trim_end_matches("!important");
        let is_nought = || {
            let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
            number.parse::<f64>().is_ok_and(|number| number <= if property == "opacity" { 0.05 } else { 1.0 })
        };
        match property {
            "display" => value == "none",
            "visibility" => value == "hidden",
            "font-size" | "opacity" => is_nought(),
            _ => false,
        }
    })
}

/// Length of a tag up to its `>`; one in a quoted value does not close it.
fn tag_len(tag: &str) -> usize {
    let mut quote = None;
    let mut is_value = false;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') if is_value => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
        is_value = byte == b'=' || is_value && byte == b' ';
    }
    tag.len()
}

/// Skips to behind `</name…>`, or to the end.
fn skip<'h>(text: &'h str, name: &str) -> &'h str {
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest.as_bytes(), b"</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return memchr(b'>', rest.as_bytes()).map_or("", |at| &rest[at + 1..]);
        }
    }
    ""
}

/// The value of an attribute.
fn attribute<'t>(tag: &'t str, wanted: &str) -> Option<&'t str> {
    let mut rest = tag;
    for _ in 0..40 {
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
            return Some(value);
        }
        rest = after;
    }
    None
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

/// The host of a web address.
pub(super) fn host_of(target: &str) -> Option<String> {
    let target = target.trim();
    let rest = ["https://", "http://", "//"].iter().find_map(|scheme| {
        target.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &target[scheme.len()..])
    })?;
    let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.');
    (!host.is_empty() && host.len() <= HOST_OCTETS_MAX).then(|| host.to_lowercase())
}

/// The host that a text without spaces shows: a web address, or a name that looks like one.
fn shown_host(text: &str) -> Option<String> {
    if let Some(host) = host_of(text) {
        return Some(host);
    }
    let name = text.split(['/', '?', ':']).next().unwrap_or_default();
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_name = name.contains('.') && last.len() >= 2 && last.bytes().all(|b| b.is_ascii_alphabetic());
    (is_name && name.len() <= HOST_OCTETS_MAX && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

/// The hosts of web addresses in plain text, each once.
pub(super) fn hosts_in_text(text: &str) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for at in memchr::memmem::find_iter(text.as_bytes(), b"://").take(LINKS_MAX) {
        let start = text[..at].rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |before| before + 1);
        let start = start.max(at.saturating_sub(5));
        let start = text.ceil_char_boundary(start);
        let rest = &text[start..text.floor_char_boundary((at + 260).min(text.len()))];
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ')')).unwrap_or(rest.len());
        if let Some(host) = host_of(&rest[..end])
            && !hosts.contains(&host)
        {
            hosts.push(host);
        }
    }
    hosts
}

/// Whether two hosts are of one owner, as far as names tell without a list of suffixes: the last two labels are the same,
/// or the last three where the second last is
/// one of those below which countries give names.
pub(super) fn is_same_site(one: &str, other: &str) -> bool {
    site(one) == site(other)
}

/// The part of a host that its owner has.
pub(super) fn site(host: &str) -> &str {
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    let (Some(_), Some(second)) = (dots.next(), dots.next()) else { return host };
    let middle = host[second + 1..].split('.').next().unwrap_or_default();
    let below = ["ac", "co", "com", "edu", "gob", "gouv", "gov", "go", "ne", "net", "or", "org"];
    let is_below_country = below.contains(&middle);
    match (is_below_country, dots.next()) {
        (true, Some(third)) => &host[third + 1..],
        (true, None) => host,
        (false, _) => &host[second + 1..],
    }
}

pub(super) fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
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
            ("<p hidden>abc</p>d", "\nd", 3),
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
        let hosts = hosts_in_text("see https://a.test/x, (http://b.test) and ftp://c.test ://d https://a.test/y ä://é");
        assert_eq!(hosts, ["a.test,", "b.test"].map(|host| host.trim_end_matches(',').to_owned()));
    }

    #[test]
    fn sites() {
        for (one, other, expected) in [
            ("www.bank.test", "login.bank.test", true),
            ("a.co.uk", "b.co.uk", false),
            ("www.a.co.uk", "a.co.uk", true),
            ("bank.test", "bank.evil.test", false),
            ("localhost", "localhost", true),
        ] {
            assert_eq!(is_same_site(one, other), expected, "{one} {other}");
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
