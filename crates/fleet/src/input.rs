//! Checks of what requests say that more than one kind of thing has: names, texts, lists of permissions.

use postfleet_core::{Problem, permission};

/// Characters of a name.
pub(crate) const NAME_CHARS_MAX: usize = 256;

/// Permissions and patterns of one key.
const PERMISSIONS_MAX: usize = 100;

/// A name: 1 to 256 characters that can be shown.
pub(crate) fn name(field: &str, text: &str) -> Result<String, Problem> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > NAME_CHARS_MAX {
        return Err(Problem::invalid(field, format!("{field} must have 1 to {NAME_CHARS_MAX} characters")));
    }
    without_control(field, text)?;
    Ok(text.to_owned())
}

/// A text of at most so many characters that can be shown; it may be empty.
pub(crate) fn text(field: &str, text: &str, chars_max: usize) -> Result<(), Problem> {
    if text.chars().count() > chars_max {
        return Err(Problem::invalid(field, format!("{field} must have at most {chars_max} characters")));
    }
    without_control(field, text)
}

fn without_control(field: &str, text: &str) -> Result<(), Problem> {
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid(field, format!("{field} must not have control characters")));
    }
    Ok(())
}

/// A list of permissions and patterns of them, each once.
pub(crate) fn permissions(wanted: &[String]) -> Result<Vec<String>, Problem> {
    if wanted.is_empty() || wanted.len() > PERMISSIONS_MAX {
        let text = format!("permissions must name 1 to {PERMISSIONS_MAX} permissions");
        return Err(Problem::invalid("permissions", text));
    }
    let mut known: Vec<String> = Vec::new();
    for pattern in wanted {
        if !permission::is_known(pattern) {
            let text = format!("permissions: {pattern:?} is not a permission");
            return Err(Problem::invalid("permissions", text));
        }
        if !known.contains(pattern) {
            known.push(pattern.clone());
        }
    }
    Ok(known)
}
