//! Metadata: pairs of texts that an application hangs on a thing of its own, such as a message.

use crate::problem::Problem;

/// Pairs on one thing.
pub const PAIRS_MAX: usize = 50;

/// Characters of a key.
pub const KEY_CHARS_MAX: usize = 40;

/// Characters of a value.
pub const VALUE_CHARS_MAX: usize = 500;

/// Checks pairs that a request gives as the field `metadata`.
pub fn check<'p>(pairs: impl ExactSizeIterator<Item = (&'p str, &'p str)>) -> Result<(), Problem> {
    if pairs.len() > PAIRS_MAX {
        let text = format!("metadata must have at most {PAIRS_MAX} pairs, not {}", pairs.len());
        return Err(Problem::invalid("metadata", text));
    }
    for (key, value) in pairs {
        if key.is_empty() || key.chars().count() > KEY_CHARS_MAX || key.chars().any(char::is_control) {
            let text = format!("metadata: keys must have 1 to {KEY_CHARS_MAX} characters, no control characters");
            return Err(Problem::invalid("metadata", text));
        }
        if value.chars().count() > VALUE_CHARS_MAX {
            let text = format!("metadata.{key} must have at most {VALUE_CHARS_MAX} characters");
            return Err(Problem::invalid(&format!("metadata.{key}"), text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(String, String)]) -> Option<String> {
        check(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))).err().and_then(|problem| problem.field)
    }

    #[test]
    fn each_limit_at_its_edge() {
        let pair = |key: usize, value: usize| ("ä".repeat(key), "ä".repeat(value));
        let many = |count: usize| (0..count).map(|n| (format!("k{n}"), String::new())).collect::<Vec<_>>();
        assert_eq!(refused(&[pair(KEY_CHARS_MAX, VALUE_CHARS_MAX)]), None);
        assert_eq!(refused(&many(PAIRS_MAX)), None);
        assert_eq!(refused(&many(PAIRS_MAX + 1)).as_deref(), Some("metadata"));
        assert_eq!(refused(&[pair(KEY_CHARS_MAX + 1, 0)]).as_deref(), Some("metadata"));
        assert_eq!(refused(&[pair(0, 0)]).as_deref(), Some("metadata"));
        assert_eq!(refused(&[("a\n".into(), String::new())]).as_deref(), Some("metadata"));
        assert_eq!(refused(&[pair(1, VALUE_CHARS_MAX + 1)]).as_deref(), Some("metadata.ä"));
    }
}
