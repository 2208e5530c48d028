//! Cleaning messages: what mail programs of twelve languages make of a conversation, what people write, and what nobody
//! would. The messages are data: `shapes.json` has what programs write around the words, `languages.json` the words, and
//! `odd.json` messages of which each is one of its kind.

mod attacks;

use postfleet_mail::clean::{Options, Source, clean};
use serde_json::Value;
use std::collections::BTreeMap;

type Words = BTreeMap<String, String>;

fn json(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("JSON")
}

fn languages() -> Vec<Words> {
    serde_json::from_str(include_str!("languages.json")).expect("languages")
}

/// A message: a shape with the words of a language in it.
struct Message {
    name: String,
    subject: String,
    author: String,
    body: String,
    is_html: bool,
}

impl Message {
    fn conversation(&self, options: Options) -> String {
        let Self { subject, author, body, is_html, .. } = self;
        clean(Source { subject, author, body, is_html: *is_html }, options).conversation
    }
}

/// Puts words into their places; in HTML they are escaped.
fn filled(text: &str, words: &Words, is_html: bool) -> String {
    let mut text = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    for (name, word) in words {
        let escaped = word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text = text.replace(&format!("{{{name}}}"), if is_html { &escaped } else { word });
    }
    text.replace('\u{1}', "{").replace('\u{2}', "}")
}

fn message(shape: &Value, words: &Words) -> Message {
    let is_html = shape["html"].as_bool().expect("html");
    let lines: Vec<&str> = shape["body"].as_array().expect("body").iter().filter_map(Value::as_str).collect();
    Message {
        name: format!("{} ({})", shape["program"].as_str().expect("program"), words["code"]),
        subject: filled(shape["subject"].as_str().expect("subject"), words, false),
        author: format!("{} anna@example.org", words["name"]),
        body: filled(&lines.join("\r\n"), words, is_html),
        is_html,
    }
}

/// The words of a text, without what Markdown and HTML put between them.
fn words(text: &str) -> Vec<String> {
    let text = text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ");
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether the words of one text stand in another, in their order.
fn contains_words(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (words(text), words(wanted));
    let mut left = text.iter();
    wanted.iter().all(|word| left.any(|other| other == word))
}

#[test]
fn what_programs_write_around_the_words_goes_and_the_words_stay() {
    let shapes = json(include_str!("shapes.json"));
    let mut wrong = Vec::new();
    let mut count = 0;
    for shape in &shapes {
        for language in languages() {
            let message = message(shape, &language);
            let found = message.conversation(Options::default());
            let expected = filled(shape["expected"].as_str().expect("expected"), &language, message.is_html);
            if found != expected {
                wrong.push(format!("{}:\n  found    {found:?}\n  expected {expected:?}", message.name));
            }
            let markdown = message.conversation(Options { html_as_markdown: true, ..Options::default() });
            if let Some(expected) = shape["markdown"].as_str() {
                let expected = filled(expected, &language, false);
                if markdown != expected {
                    wrong
                        .push(format!("{}, Markdown:\n  found    {markdown:?}\n  expected {expected:?}", message.name));
                }
            }
            // Word by word: nothing that was written for this message is lost, in any form.
            let own = ["greeting", "text1", "text2"].into_iter().filter(|name| !names(shape, "loses").contains(name));
            for name in own.chain(names(shape, "keeps")) {
                for text in [&found, &markdown] {
                    if !contains_words(text, &language[name]) {
                        wrong.push(format!("{}: {name} is lost in {text:?}", message.name));
                    }
                }
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{count} messages of {} programs in {} languages", shapes.len(), languages().len());
    assert!(count >= 150, "{count}");
}

fn names<'s>(shape: &'s Value, field: &str) -> Vec<&'s str> {
    shape[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn odd_messages_are_cleaned_as_their_readers_would() {
    let mut wrong = Vec::new();
    let cases = json(include_str!("odd.json"));
    for case in &cases {
        let text = |field: &str| case[field].as_str().unwrap_or_default().to_owned();
        let message = Message {
            name: text("name"),
            subject: text("subject"),
            author: case["author"].as_str().unwrap_or("Anna Berg anna@example.org").to_owned(),
            body: text("body"),
            is_html: case["html"].as_bool().unwrap_or(false),
        };
        let on = |option: &str, usual: bool| case["options"][option].as_bool().unwrap_or(usual);
        let options = Options {
            ignore_links: on("ignore_links", true),
            ignore_images: on("ignore_images", true),
            images_as_markdown: on("images_as_markdown", true),
            ignore_tables: on("ignore_tables", true),
            remove_conclusion_phrases: on("remove_conclusion_phrases", true),
            html_as_markdown: on("html_as_markdown", false),
        };
        let found = message.conversation(options);
        if found != text("expected") {
            wrong.push(format!("{}:\n  found    {found:?}\n  expected {:?}", message.name, text("expected")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} odd messages", cases.len());
}

/// Every combination of the options that may be asked for.
fn combinations() -> Vec<Options> {
    let all = (0..64).map(|bits: u32| Options {
        ignore_links: bits & 1 > 0,
        ignore_images: bits & 2 > 0,
        images_as_markdown: bits & 4 > 0,
        ignore_tables: bits & 8 > 0,
        remove_conclusion_phrases: bits & 16 > 0,
        html_as_markdown: bits & 32 > 0,
    });
    all.filter(|options| !options.html_as_markdown || options.images_as_markdown).collect()
}

#[test]
fn every_combination_of_options_on_ten_messages() {
    const RICH: &str = "<html><body><script>alert(1)</script><div onclick=\"x()\">{greeting}</div><p>{text1} <a \
        href=\"https://shop.example/?a=1&amp;b=2\" onmouseover=\"x()\">{title}</a> <a href=\"javascript:x()\">x</a> <img \
        src=\"https://shop.example/lamp.png\" alt=\"lamp\"><img src=\"https://track.example/o.gif\" width=\"1\" \
        height=\"1\"></p><table><tr><th>A</th><th>B</th></tr><tr><td>{text2}</td><td>40</td></tr></table><p>{closing}<br>{name}\
        </p><div class=\"gmail_quote\">{gmail}<blockquote>{original}</blockquote></div></body></html>";
    let mut checked = 0;
    for language in languages().into_iter().take(10) {
        let message = Message {
            name: language["code"].clone(),
            subject: "Re: x".to_owned(),
            author: format!("{} anna@example.org", language["name"]),
            body: filled(RICH, &language, true),
            is_html: true,
        };
        for options in combinations() {
            let found = message.conversation(options);
            let about = format!("{}, {options:?}: {found}", message.name);
            for name in ["greeting", "text1", "title", "text2"] {
                assert!(contains_words(&found, &language[name]), "{name} is lost: {about}");
            }
            assert!(!contains_words(&found, &language["original"]), "{about}");
            assert_eq!(contains_words(&found, &language["closing"]), !options.remove_conclusion_phrases, "{about}");
            let markdown = options.html_as_markdown;
            let has = |text: &str| found.contains(text);
            assert_eq!(has("](https://shop.example/?a=1&b=2)"), markdown && !options.ignore_links, "{about}");
            assert_eq!(
                has("<a href=\"https://shop.example/?a=1&amp;b=2\">"),
                !markdown && !options.ignore_links,
                "{about}"
            );
            let as_markdown = markdown || options.images_as_markdown;
            assert_eq!(has("![lamp](https://shop.example/lamp.png)"), !options.ignore_images && as_markdown, "{about}");
            assert_eq!(has("<img src="), !options.ignore_images && !as_markdown, "{about}");
            assert_eq!(has("| A | B |\n| --- | --- |"), markdown && !options.ignore_tables, "{about}");
            assert_eq!(has("<table>"), !markdown && !options.ignore_tables, "{about}");
            for never in ["script", "alert", "onclick", "onmouseover", "track.example"] {
                assert!(!has(never), "{never}: {about}");
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 480);
}

#[test]
fn hostile_messages_cost_linear_time_and_no_stack() {
    let pieces = [
        "<div>",
        "<b>",
        "<b><p>",
        "<table><tr><td>",
        "<a href=\"https://x.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\">x",
        "<ul><li>",
        "<blockquote>",
        "<blockquote type=cite>",
        "<pre>",
        "<code>",
        "</div>",
        "<!--",
        "<script>",
        "<style>",
        "&",
        "<",
        "<img src=x ",
        "<p>x",
        "<br>",
        "<hr>",
        "<div style='display:none'>",
        "On 1 2 wrote:\n",
        "----- Forwarded message -----<br>",
        "From: x<br>",
        "-- <br>",
        "Best<br>",
        "<div class=gmail_quote>",
        "x<br>&gt;",
        "<div id=appendonsend>",
        "<td>|",
        "<pre>`",
        "<code>`",
        "<ol><li><h1>",
        "<a href=http://a.example><p>x",
        "sent from my <br><br>",
        "\n> ",
        "\u{200b}",
    ];
    for is_html in [true, false] {
        for (index, piece) in pieces.into_iter().enumerate() {
            // A mebibyte of the first ones, less of all others.
            let octets = if index < 8 { 1 << 20 } else { 1 << 17 };
            let body = piece.repeat(octets / piece.len());
            for html_as_markdown in [false, true] {
                let options = Options {
                    html_as_markdown,
                    ignore_tables: false,
                    ignore_links: false,
                    ignore_images: false,
                    ..Options::default()
                };
                // The stack of a test's thread is small; what is not linear would not end.
                let found = clean(Source { subject: "Fwd: x", author: "a b", body: &body, is_html }, options);
                assert!(found.conversation.len() < 24 << 20, "{piece}: {} octets", found.conversation.len());
            }
        }
    }
}

#[test]
fn a_message_is_cut_at_a_mebibyte() {
    let of = |len: usize| {
        clean(Source { subject: "", author: "", body: &"é".repeat(len / 2), is_html: false }, Options::default())
    };
    assert!(!of(1 << 20).is_truncated);
    let cut = of((1 << 20) + 2);
    assert!(cut.is_truncated);
    assert_eq!(cut.conversation.len(), 1 << 20);
}

proptest::proptest! {
    #[test]
    fn any_message(
        html in "([<>a-z/\"'= &;#!-]|<div>|</div>|<p>|<table>|<tr>|<td>|</td>|<a href=http://x>|</a>|<br>|<b>|</b>|<i>|<ul>|<li>|</ul>|<pre>|</pre>|<code>|<blockquote type=cite>|</blockquote>|<hr>|<img src=https://x>|\n){0,80}",
        text in "(\\PC|\n|> |-- \n|From: a\n|Sent: b\n|To: c\n|On 1 10:00 a wrote:\n|Best,\n|Sent from my x\n){0,60}",
        bits in 0_usize..48,
    ) {
        let options = combinations()[bits];
        for (body, is_html) in [(&html, true), (&text, true), (&text, false), (&html, false)] {
            let found = clean(Source { subject: "Re: x", author: "Anna anna@x.example", body, is_html }, options).conversation;
            // Nothing is cut so that nothing is left.
            let has_words = |text: &str| text.chars().any(char::is_alphanumeric);
            if !is_html && has_words(body) {
                proptest::prop_assert!(has_words(&found), "{body:?} became {found:?}");
            }
            // What is written is no markup of the source's.
            if is_html && !options.html_as_markdown {
                for tag in found.split('<').skip(1) {
                    let name = tag.trim_start_matches('/').split(['>', ' ']).next().unwrap_or_default();
                    proptest::prop_assert!(ALLOWED.contains(&name), "{name:?} in {found:?}");
                }
            }
        }
    }
}

const ALLOWED: &[&str] = &[
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "blockquote",
    "pre",
    "table",
    "tr",
    "td",
    "th",
    "b",
    "i",
    "u",
    "s",
    "code",
    "sup",
    "sub",
    "a",
    "img",
    "br",
    "hr",
];
