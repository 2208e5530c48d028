//! What cleaning a message costs that nobody would write: a mebibyte of one piece of markup, again and again.
//!
//! `cargo bench -p postfleet-mail --bench clean`: milliseconds for which the thread ran, of the best of several rounds, as HTML and as
//! Markdown, the dearest first.

mod timing;

use postfleet_mail::clean::{BODY_OCTETS_MAX, Options, Source, clean};
use std::hint::black_box;
use timing::best;

/// What the body begins with, as often as it says, and what then fills it.
const BODIES: [(&str, usize, &str); 44] = [
    ("", 0, "<b>"),
    ("", 0, "<b>x</b>"),
    ("", 0, "<b>x</b> "),
    ("", 0, "<p>x"),
    ("", 0, "<br>"),
    ("", 0, "x<br>"),
    ("", 0, "9<br>"),
    ("", 0, "a@b<br>"),
    ("", 0, "from: x<br>"),
    ("", 0, "On 1 2 wrote:<br>"),
    ("", 0, "-- <br>"),
    ("", 0, "--a<br>"),
    ("", 0, "<hr>"),
    ("", 0, "<div>x</div>"),
    ("", 0, "<td>x"),
    ("", 0, "<table><tr><td>x</table>"),
    ("", 0, "<ul><li>x</ul>"),
    ("", 0, "<a href=http://x>x</a>"),
    ("", 0, "<img src=http://x>"),
    ("", 0, "<code>x</code>"),
    ("", 0, "<pre>\n"),
    ("", 0, "<pre>x</pre>"),
    ("", 0, "<i title=x>y</i>"),
    ("", 0, "<div class=a>x"),
    ("", 0, "<div style=color:red>x</div>"),
    ("", 0, "x "),
    ("", 0, "&lt;"),
    ("", 0, "&amp; "),
    ("", 0, "<"),
    ("", 0, "</a>"),
    ("", 0, "</p>"),
    ("", 0, "<span>x</span>"),
    ("", 0, "<!---->x"),
    ("", 0, "é\u{200b}"),
    ("", 0, "<p>é\u{200b}</p>"),
    ("<i>", 64, "</b>"),
    ("<i>", 255, "<p>"),
    ("<i>", 255, "x "),
    ("<b>", 255, "x<br>"),
    ("<b>", 254, "<i>x</i> "),
    ("<code>", 255, "x<br>"),
    ("<blockquote>", 255, "x<br>"),
    ("<ul><li>", 100, "x<br>"),
    ("<a href=http://x>x<div>", 120, "<b>x</b><br>"),
];

fn main() {
    let mut costs: Vec<(f64, f64, f64, String)> = BODIES.iter().map(of).collect();
    costs.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (_, html, markdown, name) in costs {
        println!("{html:>7.1} ms as HTML, {markdown:>7.1} ms as Markdown: {name}");
    }
}

fn of((start, times, piece): &(&str, usize, &str)) -> (f64, f64, f64, String) {
    let start = start.repeat(*times);
    let body = format!("{start}{}", piece.repeat((BODY_OCTETS_MAX - start.len()) / piece.len()));
    let [html, markdown] = [false, true].map(|html_as_markdown| {
        let options = Options { html_as_markdown, ignore_tables: false, ignore_links: false, ..Options::default() };
        let source = Source { subject: "Fwd: x", author: "a b", body: black_box(&body), is_html: true };
        best(|| clean(source, options)) / 1_000.0
    });
    (html.max(markdown), html, markdown, format!("{} {piece:?}", &start[..start.len().min(40)]))
}
