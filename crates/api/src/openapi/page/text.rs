//! Text as HTML: everything is escaped, and the little that descriptions use is formatted.

/// Text that may stand between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Paragraphs and lists, with words in backticks and between two stars.
pub(super) fn prose(text: &str) -> String {
    let mut html = String::new();
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let items: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("- ")).collect();
        if items.is_empty() {
            html.push_str(&format!("<p>{}</p>\n", inline(block)));
        } else {
            let items: String = items.into_iter().map(|item| format!("<li>{}</li>\n", inline(item))).collect();
            html.push_str(&format!("<ul>\n{items}</ul>\n"));
        }
    }
    html
}

fn inline(text: &str) -> String {
    let code = between(text, "`", |outside| between(&escape(outside), "**", str::to_owned, "strong"), "code");
    code.trim().to_owned()
}

/// Puts what stands between two marks into an element, and what stands outside through `outside`. A mark without its
/// second stays as it is.
fn between(text: &str, mark: &str, outside: impl Fn(&str) -> String, element: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(mark) {
        let Some((inside, after)) = after.split_once(mark) else { break };
        // What is put into `strong` was escaped with its surroundings.
        let inside = if element == "code" { escape(inside) } else { inside.to_owned() };
        html.push_str(&format!("{}<{element}>{inside}</{element}>", outside(before)));
        rest = after;
    }
    html + &outside(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_escaped() {
        assert_eq!(escape("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
        assert_eq!(prose("a <b> `<c>`"), "<p>a &lt;b&gt; <code>&lt;c&gt;</code></p>\n");
        assert_eq!(
            prose("- **<a>** `b`\n- c"),
            "<ul>\n<li><strong>&lt;a&gt;</strong> <code>b</code></li>\n<li>c</li>\n</ul>\n"
        );
    }

    #[test]
    fn marks_without_their_second_stay() {
        assert_eq!(prose("a ` b"), "<p>a ` b</p>\n");
        assert_eq!(prose("a ** b `c` d"), "<p>a ** b <code>c</code> d</p>\n");
        assert_eq!(prose("\n\n"), "");
    }
}
