//! Replies of machines, requests to confirm, and what is neither.

use super::mail;
use postfleet_mail::feedback::{self, Feedback};

fn read(raw: &str) -> Option<Feedback> {
    feedback::read(raw.as_bytes(), false)
}

#[test]
fn machines_that_answer_for_people() {
    for (fields, text) in [
        ("From: ada@x.test\nSubject: Re: Hello\nAuto-Submitted: auto-replied", "I am away."),
        ("From: ada@x.test\nSubject: Re: Hello\nAuto-Submitted: auto-replied (vacation)", "Back on Monday."),
        ("From: ada@x.test\nSubject: Ticket 7\nAuto-Submitted: auto-generated", "We have received your mail."),
        ("From: ada@x.test\nSubject: Automatic reply: Hello\nX-Auto-Response-Suppress: All", "I am out of the office."),
        ("From: ada@x.test\nSubject: Re: Hello\nX-Autoreply: yes", "Away."),
        ("From: ada@x.test\nSubject: Re: Hello\nX-Autorespond: 1", "Away."),
        ("From: ada@x.test\nSubject: Re: Hello\nPrecedence: auto_reply", "Away."),
        ("From: ada@x.test\nSubject: Out of Office: Hello", "Away."),
        ("From: ada@x.test\nSubject: =?utf-8?q?R=C3=A9ponse_automatique_:_Hello?=", "Absente."),
        ("From: ada@x.test\nSubject: Automatische Antwort: Hello", "Ich bin nicht da."),
        ("From: ada@x.test\nSubject: Abwesenheitsnotiz", "Ich bin nicht da."),
        ("From: ada@x.test\nSubject: Re: Hello - I am on vacation until May\nPrecedence: bulk", "Away."),
        (
            "From: ada@x.test\nSubject: Read: Hello\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b",
            "--b\n\nYour message was read.\n--b--",
        ),
    ] {
        assert_eq!(read(&mail(fields, text)), Some(Feedback::AutoReply), "{fields}");
    }
}

#[test]
fn machines_that_want_a_human() {
    for (fields, text) in [
        ("From: ada@x.test\nSubject: Please confirm your message", "Reply to this message to confirm."),
        ("From: ada@x.test\nSubject: Re: Hello [SpamArrest]", "Click below."),
        ("From: ada@x.test\nSubject: Verification required", "Follow this."),
        ("From: ada@x.test\nSubject: Re: Hello", "Please prove that you are a human: https://x.test/verify"),
        ("From: ada@x.test\nSubject: Hello (awaiting your confirmation)", "Please confirm."),
        ("From: ada@x.test\nSubject: Re: Hello", "I'm protecting myself from receiving junk mail. Click here."),
    ] {
        assert_eq!(read(&mail(fields, text)), Some(Feedback::Challenge), "{fields}");
    }
}

#[test]
fn people_are_taken_for_people() {
    for (fields, text) in [
        ("From: ada@x.test\nSubject: Re: Hello", "Thanks! See you."),
        ("From: ada@x.test\nSubject: Re: Hello\nAuto-Submitted: no", "Thanks!"),
        ("From: ada@x.test\nSubject: Our vacation plans", "Shall we meet?"),
        ("From: ada@x.test\nSubject: Question", "My mail could not be delivered to bob@y.test, can you help?"),
        ("From: ada@x.test\nSubject: Re: Hello", "> Your message wasn't delivered to x@y.test\nWhat is this?"),
        ("From: postmaster@x.test\nSubject: About your newsletter", "Please write less often."),
        ("From: list@x.test\nSubject: News\nPrecedence: bulk", "News of the week."),
    ] {
        assert_eq!(read(&mail(fields, text)), None, "{fields}\n{text}");
    }
}
