//! HTML of somebody else that is made safe to be shown: elements, attributes and styles of an allow-list, written anew.
//! Nothing of the source's markup gets through but what this file names; text is always escaped. One pass, time linear in
//! the size, a bounded stack.

use crate::clean::is_safe_link;
use crate::escape;
use crate::syntax::html::{Links, Name, attributes, is_void, references, to_text};
use crate::syntax::tags::{Token, tokens};

/// Elements inside each other; tags further in are left out, not what they say.
const DEPTH_MAX: usize = 100;

/// How far out the element is looked for that an end tag ends.
const REACH_MAX: usize = 64;

/// Octets of the value of an attribute.
const VALUE_OCTETS_MAX: usize = 4_000;

/// Octets of the value of one declaration of a style.
const STYLE_OCTETS_MAX: usize = 200;

const ELEMENTS: [&str; 59] = [
    "a",
    "abbr",
    "address",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];

const NAMES: [Name; 59] = Name::all(ELEMENTS);

/// Attributes whose values are words and numbers.
const ATTRIBUTES: &[&str] = &[
    "align",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "color",
    "colspan",
    "dir",
    "face",
    "height",
    "lang",
    "rowspan",
    "size",
    "valign",
    "width",
];

/// Styles that change how something looks and neither where it is nor what is loaded.
const STYLES: &[&str] = &[
    "background-color",
    "border",
    "border-bottom",
    "border-collapse",
    "border-color",
    "border-left",
    "border-radius",
    "border-right",
    "border-spacing",
    "border-style",
    "border-top",
    "border-width",
    "color",
    "font",
    "font-family",
    "font-size",
    "font-style",
    "font-variant",
    "font-weight",
    "height",
    "letter-spacing",
    "line-height",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-height",
    "max-width",
    "min-width",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "text-align",
    "text-decoration",
    "text-transform",
    "vertical-align",
    "white-space",
    "width",
];

/// Makes HTML safe. Pictures stay if they are loaded by `https:`.
pub fn sanitise(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut open: Vec<&'static str> = Vec::new();
    for token in tokens(html) {
        match token {
            Token::Text(text) => escape::push_text(text, &mut out),
            Token::Character(c) => escape::push_text(c.encode_utf8(&mut [0; 4]), &mut out),
            Token::Open(element, text) => {
                let Some(name) = known(element) else { continue };
                let attributes = safe_attributes(name, text);
                if name == "img" && !attributes.contains(" src=") {
                    continue;
                }
                if !is_void(element) {
                    if open.len() == DEPTH_MAX {
                        continue;
                    }
                    open.push(name);
                }
                out.push('<');
                out.push_str(name);
                out.push_str(&attributes);
                out.push('>');
            }
            Token::Close(element) => {
                let Some(name) = known(element).filter(|_| !is_void(element)) else { continue };
                let Some(back) = open.iter().rev().take(REACH_MAX).position(|open| *open == name) else { continue };
                for name in open.drain(open.len() - 1 - back..).rev() {
                    close(name, &mut out);
                }
            }
            Token::Sheet(_) => {}
        }
    }
    for name in open.into_iter().rev() {
        close(name, &mut out);
    }
    out.retain(|c| c != '\0');
    out
}

/// HTML as plain text.
pub fn as_text(html: &str) -> String {
    to_text(html, Links::Keep, usize::MAX)
}

fn close(name: &str, out: &mut String) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn known(name: Name) -> Option<&'static str> {
    NAMES.iter().position(|known| *known == name).map(|at| ELEMENTS[at])
}

fn safe_attributes(element: &str, text: &str) -> String {
    let mut out = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in attributes(text) {
        let name = name.to_ascii_lowercase();
        let value = references(value);
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        let Some((name, value)) = safe_attribute(element, &name, value.trim()) else { continue };
        // Of several of one name, readers take the first.
        if seen.contains(&name) || value.len() > VALUE_OCTETS_MAX {
            continue;
        }
        seen.push(name);
        out.push_str(&format!(" {name}=\"{}\"", escape::value(&value)));
    }
    out
}

fn safe_attribute(element: &str, name: &str, value: &str) -> Option<(&'static str, String)> {
    match name {
        "href" if element == "a" => is_safe_link(value).then(|| ("href", value.to_owned())),
        "src" if element == "img" => is_https(value).then(|| ("src", value.to_owned())),
        "alt" if element == "img" => Some(("alt", value.to_owned())),
        "title" => Some(("title", value.to_owned())),
        "style" => Some(("style", safe_style(value))).filter(|(_, style)| !style.is_empty()),
        _ => {
            let known = ATTRIBUTES.iter().find(|known| **known == name)?;
            let is_plain = value.chars().all(|c| c.is_ascii_alphanumeric() || " #%.,-_'".contains(c));
            is_plain.then(|| (*known, value.to_owned()))
        }
    }
}

fn is_https(value: &str) -> bool {
    value.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://")) && value.len() > 8
}

fn safe_style(text: &str) -> String {
    let declarations = text.split(';').filter_map(|declaration| {
        let (name, value) = declaration.split_once(':')?;
        let name = name.trim().to_ascii_lowercase();
        let known = STYLES.iter().find(|known| **known == name)?;
        let value = value.trim();
        is_safe_value(value).then(|| format!("{known}: {value}"))
    });
    declarations.collect::<Vec<_>>().join("; ")
}

/// Words, numbers and colours: nothing that is loaded or run.
fn is_safe_value(value: &str) -> bool {
    if value.is_empty() || value.len() > STYLE_OCTETS_MAX {
        return false;
    }
    let lower = value.to_ascii_lowercase();
    let is_plain = value.chars().all(|c| c.is_ascii_alphanumeric() || " #%.,-()'\"!".contains(c));
    let functions = lower.match_indices('(').all(|(at, _)| {
        let before = lower[..at].trim_end();
        ["rgb", "rgba", "hsl", "hsla"].iter().any(|name| before == *name || before.ends_with(&format!(" {name}")))
    });
    is_plain && functions
}
