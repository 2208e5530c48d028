//! What must not come through when HTML is made safe.

use super::json;
use postfleet_mail::sanitise::{as_text, sanitise};

/// Reads what was made safe as a browser would that knows nothing of how it was made: every tag, and its attributes.
fn tags(html: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = rest.find('>').unwrap_or_else(|| panic!("a tag is not closed: {html}"));
        let (tag, after) = rest.split_at(end);
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut found = Vec::new();
        let mut left = attributes;
        while !left.is_empty() {
            let (name, value) = left.split_once("=\"").unwrap_or_else(|| panic!("an attribute is odd: {html}"));
            let (value, more) = value.split_once('"').unwrap_or_else(|| panic!("a value is not closed: {html}"));
            found.push((name.trim().to_owned(), value.to_owned()));
            left = more;
        }
        tags.push((name.to_owned(), found));
        rest = after;
    }
    tags
}

fn check(html: &str) {
    let safe = sanitise(html);
    let mut open = Vec::new();
    for (name, attributes) in tags(&safe) {
        let element = name.trim_start_matches('/');
        assert!(ELEMENTS.contains(&element), "{element} of {html:?} in {safe:?}");
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "{html:?}: {safe:?}"),
            None if !["br", "hr", "img", "col", "wbr"].contains(&element) => open.push(name.clone()),
            None => {}
        }
        for (attribute, value) in attributes {
            assert!(ATTRIBUTES.contains(&attribute.as_str()), "{attribute} of {html:?} in {safe:?}");
            let lower = value.to_lowercase();
            match attribute.as_str() {
                "href" => {
                    let safe_schemes = ["http:", "https:", "mailto:", "tel:"];
                    assert!(safe_schemes.iter().any(|scheme| lower.starts_with(scheme)), "{html:?}: {safe:?}");
                }
                "src" => assert!(lower.starts_with("https://"), "{html:?}: {safe:?}"),
                "style" => {
                    for never in
                        ["url", "expression", "behavior", "binding", "position", "import", "\\", "/*", "content"]
                    {
                        assert!(!lower.contains(never), "{never} of {html:?} in {safe:?}");
                    }
                }
                _ => {}
            }
        }
    }
    assert!(open.is_empty(), "{html:?}: {safe:?}");
    // What is safe stays as it is.
    assert_eq!(sanitise(&safe), safe, "{html:?}");
    as_text(&safe);
}

const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "b",
    "blockquote",
    "br",
    "code",
    "col",
    "div",
    "em",
    "font",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "u",
    "ul",
];

const ATTRIBUTES: &[&str] = &[
    "align",
    "alt",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "color",
    "colspan",
    "dir",
    "face",
    "height",
    "href",
    "lang",
    "rowspan",
    "size",
    "src",
    "style",
    "title",
    "valign",
    "width",
];

#[test]
fn no_attack_comes_through() {
    let attacks = json(include_str!("attacks.json"));
    for attack in &attacks {
        let attack = attack.as_str().expect("text");
        check(attack);
        // Inside other elements, and twice.
        check(&format!("<table><tr><td>{attack}</td></tr></table>"));
        check(&format!("<p>a{attack}b{attack}"));
    }
    println!("{} attacks", attacks.len());
    assert!(attacks.len() >= 100);
}

#[test]
fn what_signatures_have_stays() {
    for html in [
        "<p>Ada &amp; Co</p>",
        "<a href=\"https://a.example/?x=1&amp;y=2\">us</a>",
        "<img src=\"https://a.example/l.png\" alt=\"logo\" width=\"120\" height=\"40\">",
        "<table cellpadding=\"0\" border=\"0\"><tbody><tr><td style=\"padding: 0 8px; color: #333333\" valign=\"top\">Ada</td></tr></tbody></table>",
        "<span style=\"font-family: Arial, sans-serif; font-size: 12px; color: rgb(51, 51, 51)\">Ada</span>",
        "<b>Ada</b><br><i>Head</i><hr><font color=\"#ff0000\" size=\"2\">x</font>",
    ] {
        assert_eq!(sanitise(html), html);
    }
    assert_eq!(
        as_text("<p>Ada &amp; Co</p><p><a href=\"https://a.example/\">us</a></p>"),
        "Ada & Co\n\nus <https://a.example/>"
    );
}

#[test]
fn hostile_html_costs_linear_time() {
    for piece in [
        "<b>",
        "<div><p>",
        "</b>",
        "<a href=\"",
        "<p style=\"a:b;",
        "<p title='",
        "&",
        "<img src=https://a.example/>",
        "<!--",
    ] {
        let body = piece.repeat((1 << 18) / piece.len());
        assert!(sanitise(&body).len() < 2 << 20, "{piece}");
    }
}

proptest::proptest! {
    #[test]
    fn any_html(html in "([<>a-z/\"'= &;#!-]|<div|<p |<a href=|<img src=|https://|javascript:|style=|color:|url\\(|on|</|\\PC){0,60}") {
        let safe = sanitise(&html);
        for (name, attributes) in tags(&safe) {
            let name = name.trim_start_matches('/');
            proptest::prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{safe:?}");
            for (attribute, _) in attributes {
                proptest::prop_assert!(ATTRIBUTES.contains(&attribute.as_str()), "{safe:?}");
            }
        }
        proptest::prop_assert_eq!(sanitise(&safe), safe);
    }
}
