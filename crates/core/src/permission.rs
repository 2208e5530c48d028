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
    ("raises.read", "see raises of quotas"),
    ("raises.request", "ask for raises of quotas, and withdraw them"),
    ("raises.decide", "grant and refuse raises that other keys have asked for, and withdraw any"),
    ("recoveries.read", "see requests to send again after a pause"),
    ("recoveries.request", "ask that paused mailboxes may send again, and withdraw that"),
    ("recoveries.decide", "lift pauses by granting such requests, and refuse them (operators)"),
    ("stops.read", "see who may not send and why"),
    ("stops.write", "stop sending of mailboxes, workspaces, domains and applications, and start it again"),
    ("restrictions.read", "see abuse restrictions (operators)"),
    ("restrictions.write", "restrict senders because of abuse, and lift that (the installation's operator)"),
    ("rules.read", "see rules, and what they said about messages"),
    ("rules.write", "make, change and remove rules"),
    ("lists.read", "see lists and their items"),
    ("lists.write", "make, change and remove lists and their items"),
    ("audit.read", "see who changed what"),
    ("tls_reports.read", "see how encryption towards other servers went (the installation's operator)"),
    ("messages.read", "read messages, threads, folders and attachments"),
    ("messages.write", "move and mark messages"),
    ("messages.send", "send messages and drafts, now or later, and cancel what is to be sent later"),
    ("messages.import", "import mail that a mailbox had elsewhere"),
    ("sender_pools.read", "see pools of senders, and how a volume spreads over them"),
    ("sender_pools.write", "make, change and remove pools of senders"),
    ("holds.read", "see sends that are held, with all that would leave"),
    ("holds.decide", "approve and reject sends that are held, though never those of the same key"),
    ("drafts.read", "see drafts"),
    ("drafts.write", "make, change and remove drafts"),
    ("signatures.read", "see signatures of mailboxes"),
    ("signatures.write", "make, change and remove signatures of mailboxes"),
    ("templates.read", "see templates, and fill them in"),
    ("templates.write", "make, change and remove templates"),
    ("suppressions.read", "see suppressed addresses"),
    ("suppressions.write", "suppress addresses, and stop suppressing them"),
    ("opt_ins.read", "see who was asked whether they want mail, and what they said"),
    ("opt_ins.write", "take back what somebody agreed to, or was asked"),
    ("addresses.validate", "look at addresses before anything is sent to them"),
    ("queue.read", "see what is on its way out, and what was tried"),
    ("queue.write", "pause, resume, try, give up and reroute what is on its way out"),
    ("activity.read", "see what became of what was sent, and its figures"),
    ("events.read", "see the log of what happened"),
    ("routes.read", "see by which rules events are given to subjects of the message bus"),
    ("routes.write", "make, change and remove such rules"),
    ("bus.read", "see sends that came by the message bus and were refused"),
    ("bus.write", "send them again, and remove them"),
    ("alerts.read", "see who is told of what by e-mail or chat"),
    ("alerts.write", "make, remove and test alerts"),
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

/// Whether a key with `patterns` may make one with `wanted`: every permission and pattern of it must be covered, so that
/// nobody gives away more than they have. Answers the first that is not.
pub fn lacking<'a>(patterns: &[String], wanted: &'a [String]) -> Option<&'a str> {
    let is_lacking = |wanted: &&String| !allows(patterns.iter().map(String::as_str), wanted);
    wanted.iter().find(is_lacking).map(String::as_str)
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
        assert!(!is_known("*.*") && !is_known("grants.") && !is_known(".read"));
        assert!(!is_known("grants") && !is_known("nothing.read") && !is_known("") && !is_known("*.write"));
    }

    #[test]
    fn nobody_gives_away_more_than_they_have() {
        for (has, wanted, lacking_one) in [
            ("*", "*", None),
            ("*", "grants.* *.read keys.write", None),
            ("grants.*", "grants.* grants.read", None),
            ("grants.*", "grants.read keys.read", Some("keys.read")),
            ("grants.read grants.write", "grants.*", Some("grants.*")),
            ("*.read", "*.read grants.read", None),
            ("*.read", "*", Some("*")),
            ("*.read", "grants.*", Some("grants.*")),
            ("grants.*", "*.read", Some("*.read")),
            ("keys.write", "", None),
            ("", "keys.write", Some("keys.write")),
        ] {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(lacking(&words(has), &words(wanted)), lacking_one, "{has} {wanted}");
        }
    }
}
