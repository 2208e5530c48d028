//! The texts of a calendar entry that people read (RFC 5545 §3.8.1), taken out of their lines without reading the rest.

/// Octets of a calendar part that are read.
pub(super) const READ_MAX: usize = 256 << 10;

/// The properties that hold texts.
const TEXTS: &[&str] = &["SUMMARY", "DESCRIPTION", "LOCATION", "COMMENT", "X-ALT-DESC", "CONTACT"];

/// Their values, each on lines of its own.
pub(super) fn texts(calendar: &str) -> String {
    let mut texts = String::new();
    let mut is_text = false;
    for line in calendar.lines() {
        if let Some(more) = line.strip_prefix([' ', '\t']) {
            if is_text {
                unescape(more, &mut texts);
            }
            continue;
        }
        let name = line.split([':', ';']).next().unwrap_or_default();
        is_text = TEXTS.iter().any(|text| name.eq_ignore_ascii_case(text));
        if is_text {
            if !texts.is_empty() {
                texts.push_str("\n\n");
            }
            unescape(value(line), &mut texts);
        }
    }
    texts
}

/// What is behind the parameters; a colon in quotes does not end them.
fn value(line: &str) -> &str {
    let mut quoted = false;
    let end = line.bytes().position(|byte| {
        quoted ^= byte == b'"';
        byte == b':' && !quoted
    });
    end.map_or("", |end| &line[end + 1..])
}

fn unescape(value: &str, into: &mut String) {
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => into.push('\n'),
                other => into.extend(other),
            },
            c => into.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn texts_of_an_entry() {
        let calendar = "BEGIN:VEVENT\r\nUID:x\r\nSUMMARY;LANGUAGE=\"a:b\":One\\, two\r\nDESCRIPTION:first\\nsec\r\n ond\r\nDTSTART:1\r\n  x\r\nEND:VEVENT\r\n";
        assert_eq!(super::texts(calendar), "One, two\n\nfirst\nsecond");
    }
}
