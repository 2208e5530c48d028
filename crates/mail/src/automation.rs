//! Whether a machine sent a message, and whether it came by a list, from its header fields: RFC 3834, RFC 5436, the
//! list fields of RFC 2919 and RFC 2369, and those that programs had before. Whoever answers by itself looks here first.

use crate::feedback;
use crate::syntax::header::Header;

/// What a message says of how it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Automation {
    /// What kind of machine sent it; nothing if a human may have.
    pub auto_submitted: Option<AutoSubmitted>,
    /// It came by a mailing list.
    pub is_list: bool,
    /// It goes to many: a list, a newsletter, or what says that of itself (Precedence).
    pub is_bulk: bool,
    /// Its reverse path is the null one: nothing may be sent back (RFC 5321 §4.5.5).
    pub is_null_path: bool,
    /// It asks that no machine answers (X-Auto-Response-Suppress).
    pub wants_no_auto_reply: bool,
    /// A program that answers by itself left its mark on it (X-Loop).
    pub has_loop_mark: bool,
}

/// What kind of machine sent a message (RFC 3834 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AutoSubmitted {
    /// It answers another message: vacation notices, bounces, confirmations of reading.
    Replied,
    /// It answers nothing, such as what a timer sends.
    Generated,
    /// A notice that mail came (RFC 5436).
    Notified,
}

impl Automation {
    /// The word for it; none for a message that a human may have written to whom it is addressed.
    pub const fn kind(&self) -> Option<&'static str> {
        match self.auto_submitted {
            Some(AutoSubmitted::Replied) => Some("auto_replied"),
            Some(AutoSubmitted::Generated) => Some("auto_generated"),
            Some(AutoSubmitted::Notified) => Some("auto_notified"),
            None if self.is_bulk || self.is_list => Some("bulk"),
            None => None,
        }
    }

    /// Whether a machine may answer (RFC 3834 §2).
    pub const fn may_be_answered(&self) -> bool {
        self.kind().is_none() && !self.is_null_path && !self.wants_no_auto_reply && !self.has_loop_mark
    }
}

/// Reads the header fields of a message that was received: its first Return-Path is the one that this server wrote.
pub fn automation(raw: &[u8]) -> Automation {
    read(&Header::read(raw), None)
}

/// Reads the header fields of a message that is being received: a Return-Path in it is not from here, and what the envelope
/// says is given.
pub fn of_arrival(raw: &[u8], is_null_path: bool) -> Automation {
    read(&Header::read(raw), Some(is_null_path))
}

/// Reads a header; `is_null_path` is known of a message that is being received.
pub(crate) fn read(header: &Header<'_>, is_null_path: Option<bool>) -> Automation {
    let mut found = Automation { is_null_path: is_null_path.unwrap_or_default(), ..Automation::default() };
    let (mut is_first_path, mut is_marked) = (is_null_path.is_none(), false);
    for field in &header.fields {
        let is_any = |names: &[&str]| names.iter().any(|name| field.is(name));
        let value = || field.text().trim().to_ascii_lowercase();
        if field.is("Return-Path") && is_first_path {
            is_first_path = false;
            found.is_null_path = value().replace(' ', "") == "<>";
        } else if field.is("Auto-Submitted") {
            found.auto_submitted = found.auto_submitted.or_else(|| keyword(&value()));
        } else if field.is("Precedence") || field.is("X-Precedence") {
            match value().as_str() {
                "list" => found.is_list = true,
                "bulk" | "junk" => found.is_bulk = true,
                _ => {}
            }
        } else if is_any(LIST_FIELDS) {
            found.is_list = true;
        } else if is_any(BULK_FIELDS) {
            found.is_bulk = true;
        } else if field.is("X-Auto-Response-Suppress") {
            let words = value();
            found.wants_no_auto_reply |=
                words.split([',', ' ']).any(|word| matches!(word, "all" | "autoreply" | "oof"));
        } else if field.is("X-Loop") {
            found.has_loop_mark = true;
        } else if is_any(GENERATED_FIELDS) {
            is_marked = true;
        }
    }
    found.is_bulk |= found.is_list;
    found.auto_submitted = found.auto_submitted.or_else(|| older(header, &found, is_marked));
    found
}

/// The keyword of Auto-Submitted; one that is not known means what RFC 3834 §5.1 has for all but `no`.
fn keyword(value: &str) -> Option<AutoSubmitted> {
    match value.split([';', '(']).next().unwrap_or_default().trim() {
        "" | "no" => None,
        "auto-replied" => Some(AutoSubmitted::Replied),
        "auto-notified" => Some(AutoSubmitted::Notified),
        _ => Some(AutoSubmitted::Generated),
    }
}

/// What programs say that do not know the field.
fn older(header: &Header<'_>, found: &Automation, is_marked: bool) -> Option<AutoSubmitted> {
    if feedback::is_report_or_auto_reply(header, found.is_null_path) {
        return Some(AutoSubmitted::Replied);
    }
    let is_generated = found.is_null_path || is_marked || found.has_loop_mark || found.wants_no_auto_reply;
    is_generated.then_some(AutoSubmitted::Generated)
}

/// Fields that only lists write (RFC 2919, RFC 2369, and programs).
const LIST_FIELDS: &[&str] = &[
    "List-Id",
    "List-Post",
    "List-Help",
    "List-Subscribe",
    "List-Owner",
    "List-Archive",
    "Mailing-List",
    "X-Mailman-Version",
];

/// Fields of mail to many; newsletters have them, and are no lists that one could write to. Feedback-ID is none: whoever
/// sends any mail at scale writes it.
const BULK_FIELDS: &[&str] = &["List-Unsubscribe", "List-Unsubscribe-Post"];

/// Fields of programs that send by themselves.
const GENERATED_FIELDS: &[&str] = &["X-Autogenerated", "X-Auto-Generated", "X-Cron-Env"];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &str) -> Automation {
        automation(format!("{}\r\n\r\nHello\r\n", fields.replace('\n', "\r\n")).as_bytes())
    }

    #[test]
    fn what_kind_of_machine_sent_it() {
        for (fields, kind, is_list, may_be_answered) in [
            ("Subject: Re: Hello", None, false, true),
            ("Auto-Submitted: no", None, false, true),
            ("Auto-Submitted: No (typed)", None, false, true),
            ("Feedback-ID: a:b:c:acme", None, false, true),
            ("Precedence: first-class", None, false, true),
            ("Return-Path: <ada@x.test>", None, false, true),
            ("Auto-Submitted: auto-replied", Some("auto_replied"), false, false),
            ("Auto-Submitted: Auto-Replied (vacation)", Some("auto_replied"), false, false),
            ("Auto-Submitted: auto-generated; x=y", Some("auto_generated"), false, false),
            ("Auto-Submitted: auto-notified; owner-email=\"a@x.test\"", Some("auto_notified"), false, false),
            ("Auto-Submitted: auto-unheard-of", Some("auto_generated"), false, false),
            ("Auto-Submitted: no\nX-Autoreply: yes", Some("auto_replied"), false, false),
            ("X-Autorespond: 1", Some("auto_replied"), false, false),
            ("Precedence: auto_reply", Some("auto_replied"), false, false),
            ("Subject: Automatische Antwort: Hallo", Some("auto_replied"), false, false),
            ("Subject: Out of Office: Hello", Some("auto_replied"), false, false),
            (
                "Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
                Some("auto_replied"),
                false,
                false,
            ),
            (
                "Content-Type: multipart/report; report-type=delivery-status; boundary=b",
                Some("auto_replied"),
                false,
                false,
            ),
            ("Return-Path: <>", Some("auto_generated"), false, false),
            ("Return-Path: <>\nSubject: Automatic reply: x", Some("auto_replied"), false, false),
            // Only the first one was written here.
            ("Return-Path: <ada@x.test>\nReturn-Path: <>", None, false, true),
            ("X-Auto-Response-Suppress: All", Some("auto_generated"), false, false),
            ("X-Auto-Response-Suppress: DR, OOF, AutoReply", Some("auto_generated"), false, false),
            ("X-Auto-Response-Suppress: DR, RN", None, false, true),
            ("X-Loop: help@x.test", Some("auto_generated"), false, false),
            ("X-Cron-Env: <USER=root>", Some("auto_generated"), false, false),
            ("Precedence: bulk", Some("bulk"), false, false),
            ("Precedence: junk", Some("bulk"), false, false),
            ("List-Unsubscribe: <mailto:u@x.test>\nFeedback-ID: a:b:c:acme", Some("bulk"), false, false),
            ("Precedence: LIST", Some("bulk"), true, false),
            ("List-Id: Talk <talk.x.test>", Some("bulk"), true, false),
            ("list-post: <mailto:talk@x.test>", Some("bulk"), true, false),
            ("Mailing-List: contact talk-help@x.test", Some("bulk"), true, false),
            ("List-Id: <talk.x.test>\nAuto-Submitted: auto-generated", Some("auto_generated"), true, false),
        ] {
            let found = of(fields);
            assert_eq!(
                (found.kind(), found.is_list, found.may_be_answered()),
                (kind, is_list, may_be_answered),
                "{fields}"
            );
        }
    }

    #[test]
    fn the_envelope_says_what_a_return_path_in_the_message_does_not() {
        let raw = |path: &str| format!("{path}Subject: x\r\n\r\nHello\r\n").into_bytes();
        for (path, is_null_path) in
            [("Return-Path: <>\r\n", false), ("Return-Path: <ada@x.test>\r\n", true), ("", true)]
        {
            assert_eq!(of_arrival(&raw(path), is_null_path).is_null_path, is_null_path, "{path}");
        }
        assert_eq!(of_arrival(&raw(""), true).kind(), Some("auto_generated"));
    }

    #[test]
    fn the_parts_of_it() {
        let found = of("Return-Path: < >\nList-Id: <talk.x.test>\nX-Loop: a\nX-Auto-Response-Suppress: All");
        let all = Automation {
            auto_submitted: Some(AutoSubmitted::Generated),
            is_list: true,
            is_bulk: true,
            is_null_path: true,
            wants_no_auto_reply: true,
            has_loop_mark: true,
        };
        assert_eq!(found, all);
    }

    proptest::proptest! {
        #[test]
        fn any_header(fields in "((Return-Path|Auto-Submitted|Precedence|List-Id|Subject|X-Loop): ?\\PC{0,20}\r\n){0,12}") {
            automation(fields.as_bytes());
        }
    }
}
