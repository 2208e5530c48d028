//! How deep JSON may be nested. It is counted before anything is read: a reader that goes down into what nobody asked for
//! takes time for every level, and its own limit names no limit of ours.

use memchr::memchr2;
use postfleet_core::{Problem, ProblemKind};

/// Objects and lists inside each other, the outermost one counted.
pub const LEVELS_MAX: usize = 64;

/// Refuses what is nested deeper than [`LEVELS_MAX`]. It need not be JSON otherwise.
pub(crate) fn check(json: &[u8]) -> Result<(), Problem> {
    let (mut at, mut level) = (0_usize, 0_usize);
    while let Some(&octet) = json.get(at) {
        at += 1;
        match octet {
            b'"' => at = string_end(json, at),
            b'[' | b'{' => {
                level += 1;
                if level > LEVELS_MAX {
                    let text = format!("the request body is nested deeper than the limit of {LEVELS_MAX} levels");
                    return Err(Problem::new(ProblemKind::Invalid, "json_too_deep", text));
                }
            }
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Behind the quote that ends the string which begins at `at`.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += found + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        // Whatever is behind a backslash belongs to the string.
        at += 1;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn the_limit_and_one_more() {
        assert!(check(nested(LEVELS_MAX).as_bytes()).is_ok());
        let refused = check(nested(LEVELS_MAX + 1).as_bytes()).unwrap_err();
        assert_eq!(refused.code, "json_too_deep");
        assert!(refused.public.contains("64"), "{}", refused.public);
        let objects = format!("{}1{}", "{\"a\":".repeat(65), "}".repeat(65));
        assert!(check(objects.as_bytes()).is_err());
    }

    #[test]
    fn strings_have_no_levels_and_siblings_do_not_add_up() {
        let brackets = "[".repeat(100);
        for json in [
            format!(r#"{{"a":"{brackets}"}}"#),
            format!(r#"{{"a":"\"{brackets}"}}"#),
            format!(r#"{{"a":"\\","b":"{brackets}\\"}}"#),
            format!("[{}1]", "[1],".repeat(100)),
            format!(r#"{{"a":"{brackets}"#),
            r#""\"#.to_owned(),
            "]]]]".to_owned(),
            String::new(),
        ] {
            assert!(check(json.as_bytes()).is_ok(), "{json}");
        }
        // A string that ends is over.
        assert!(check(format!(r#"{{"a":"\\",{brackets}"#).as_bytes()).is_err());
    }
}
