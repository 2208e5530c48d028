//! Which conversation a message belongs to (RFC 5256 §2 gives the subject rules in spirit).

use crate::time::UnixMicros;
use std::time::Duration;

/// References of one message that are looked up, the last ones first: a hostile message may carry thousands.
pub const LOOKED_UP_MAX: usize = 20;

/// How far back a thread may lie for the subject alone to join a message to it.
pub const SUBJECT_WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// The Message-IDs to look for, the most telling first: In-Reply-To, then References from the last to the first
/// (RFC 5322 §3.6.4).
pub fn looked_up<'a>(in_reply_to: &'a [String], references: &'a [String]) -> Vec<&'a str> {
    let mut ids: Vec<&str> = Vec::new();
    for id in in_reply_to.iter().chain(references.iter().rev()) {
        if !ids.contains(&id.as_str()) {
            ids.push(id);
        }
        if ids.len() == LOOKED_UP_MAX {
            break;
        }
    }
    ids
}

/// The subject without reply and forward marks, in lower case with single spaces; what the subject fallback compares.
pub fn base_subject(subject: &str) -> String {
    let folded = subject.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let mut rest = folded.as_str();
    while let Some(shorter) = strip_mark(rest) {
        rest = shorter;
    }
    rest.to_owned()
}

fn strip_mark(subject: &str) -> Option<&str> {
    const MARKS: &[&str] = &["re", "fw", "fwd", "aw", "wg", "sv", "antw", "rv", "tr"];
    let (mark, rest) = subject.split_once(':')?;
    let mark = mark.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | '(' | ')')).trim_end();
    MARKS.contains(&mark).then(|| rest.trim_start())
}

/// Whether a subject is marked as that of a reply, or of something forwarded.
pub fn is_marked(subject: &str) -> bool {
    // Most are not, and need not be written anew to see that.
    subject.contains(':') && strip_mark(&subject.trim().to_lowercase()).is_some()
}

/// Whether the subject alone may join a message to an older thread: only for a reply that lost its references (it is
/// marked as a reply and names none), with a subject that says something, within [`SUBJECT_WINDOW`]. The correspondent
/// must be part of the thread, which the lookup sees to.
pub fn subject_may_join(subject: &str, has_references: bool, thread_latest: UnixMicros, now: UnixMicros) -> bool {
    let base = base_subject(subject);
    !has_references && is_marked(subject) && base.chars().count() >= 3 && thread_latest.plus(SUBJECT_WINDOW) >= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup_order_is_bounded_and_without_repeats() {
        let references: Vec<String> = (0..50).map(|i| format!("r{i}")).collect();
        let in_reply_to = ["r49".to_owned()];
        let ids = looked_up(&in_reply_to, &references);
        assert_eq!(ids.len(), LOOKED_UP_MAX);
        assert_eq!(&ids[..3], ["r49", "r48", "r47"]);
    }

    #[test]
    fn base_subjects() {
        for (subject, base) in [
            ("Re: Hello", "hello"),
            ("RE: Fwd:  AW: Hello  there", "hello there"),
            ("Re[2]: Hello", "hello"),
            ("Regarding: Hello", "regarding: hello"),
            ("Hello", "hello"),
            ("Re:", ""),
        ] {
            assert_eq!(base_subject(subject), base, "{subject}");
        }
    }

    #[test]
    fn the_subject_joins_only_marked_recent_replies_without_references() {
        let now = UnixMicros::from_seconds(100 * 86_400);
        let recent = now.minus(SUBJECT_WINDOW);
        assert!(subject_may_join("Re: Invoice", false, recent, now));
        assert!(!subject_may_join("Re: Invoice", false, recent.minus(Duration::from_micros(1)), now));
        assert!(!subject_may_join("Invoice", false, recent, now));
        assert!(!subject_may_join("Re: Invoice", true, recent, now));
        assert!(!subject_may_join("Re: hi", false, recent, now));
    }
}
