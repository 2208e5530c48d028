//! What a key may do: `resource.action` words, and patterns of them.

/// Every permission that a route asks for, with what it allows. Keys are checked against this list when they are made.
pub const ALL: &[(&str, &str)] = &[
    ("organizations.read", "see organizations and their plans"),
    ("organizations.write", "make and change organizations (the installation's operator)"),
    ("applications.read", "see applications and their redirect URIs"),
    ("applications.write", "make and change applications and their redirect URIs"),
    ("keys.read", "see keys and service accounts, never their secrets"),
    ("keys.write", "make, rotate and revoke keys and service accounts"),
    ("domains.read", "see domains and the records to publish"),
    ("domains.write", "register, verify, rename and remove domains, and rotate their signing keys"),
    ("connectors.read", "see connectors"),
    ("connectors.write", "make, change and remove connectors"),
    ("grants.read", "see mailboxes"),
    ("grants.write", "make, change, move and remove mailboxes"),
    ("workspaces.read", "see workspaces, previews and findings"),
    ("workspaces.write", "make, change and remove workspaces, and move mailboxes among them"),
    ("policies.read", "see policies"),
    ("policies.write", "make, change and remove policies"),
    ("audit.read", "see who changed what"),
    ("messages.read", "read messages, threads, folders and attachments"),
    ("messages.send", "send messages"),
    ("webhooks.read", "see webhooks"),
    ("webhooks.write", "make, change and remove webhooks"),
];

/// Whether `pattern` is a permission, `<resource>.*`, `*.read` or `*`.
pub fn is_known(pattern: &str) -> bool {
    pattern == "*" || ALL.iter().any(|(permission, _)| covers(pattern, permission))
}

/// Whether a key with `patterns` has `permission`.
pub fn allows<'a>(patterns: impl IntoIterator<Item = &'a str>, permission: &str) -> bool {
    patterns.into_iter().any(|pattern| covers(pattern, permission))
}

fn covers(pattern: &str, permission: &str) -> bool {
    let (resource, action) = permission.split_once('.').unwrap_or((permission, ""));
    match pattern.split_once('.') {
        None => pattern == "*",
        Some((wanted, "*")) => wanted == resource,
        Some(("*", "read")) => action == "read",
        Some(_) => pattern == permission,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, permission, expected) in [
            ("*", "grants.write", true),
            ("grants.*", "grants.write", true),
            ("grants.*", "workspaces.write", false),
            ("*.read", "grants.read", true),
            ("*.read", "grants.write", false),
            ("*.write", "grants.write", false),
            ("messages.send", "messages.send", true),
            ("messages.read", "messages.send", false),
        ] {
            assert_eq!(allows([pattern], permission), expected, "{pattern} {permission}");
        }
        assert!(is_known("grants.*") && is_known("*.read") && is_known("*"));
        assert!(!is_known("grants") && !is_known("nothing.read") && !is_known("") && !is_known("*.write"));
    }
}
