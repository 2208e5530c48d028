//! Whatever comes: never a panic, and never more time than its size is worth.

use postfleet_mail::feedback;
use proptest::prelude::*;

const PIECES: [&str; 14] = [
    "From: Mail Delivery Subsystem <mailer-daemon@x.test>\r\n",
    "Subject: Undelivered Mail\r\n",
    "Content-Type: multipart/report; boundary=b\r\n",
    "\r\n",
    "--b\r\n",
    "--b--\r\n",
    "Content-Type: message/delivery-status\r\n\r\n",
    "Content-Type: message/feedback-report\r\n\r\n",
    "Final-Recipient: rfc822; a@x.test\r\nAction: failed\r\nStatus: 5.1.1\r\n",
    "could not be delivered to one or more recipients\r\n",
    "<a@x.test>: 550 5.1.1 user unknown\r\n",
    "X-Failed-Recipients: a@x.test, b@x.test\r\n",
    "Original-Mail-From: <b-a@x.test>\r\n",
    "----- Original message -----\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn octets(raw in prop::collection::vec(any::<u8>(), 0..600), is_null in any::<bool>()) {
        feedback::read(&raw, is_null);
    }

    #[test]
    fn pieces_in_any_order(chosen in prop::collection::vec((0..PIECES.len(), "\\PC{0,20}"), 0..24)) {
        let raw: String = chosen.iter().map(|(at, text)| format!("{}{text}", PIECES[*at])).collect();
        feedback::read(raw.as_bytes(), true);
        feedback::read(raw.as_bytes(), false);
    }

    #[test]
    fn texts_of_reports_with_any_characters(text in "\\PC{0,300}", lines in "([<>a-z@.:(') \n0-9\u{e9}\u{130}]){0,300}") {
        let head = "From: mailer-daemon@x.test\r\nSubject: failure notice\r\n\r\n";
        for body in [&text, &lines] {
            let raw = format!("{head}{body}\r\nyour message was not delivered to\r\n{body}");
            feedback::read(raw.as_bytes(), true);
        }
    }
}

#[test]
fn a_hostile_report_costs_linear_time() {
    let head = "From: mailer-daemon@x.test\r\nSubject: failure notice\r\n\r\n";
    for piece in ["<a@x.test>:\r\n", "<<<<", "@", "could not be delivered to ", "a@x.test ", "(((", "5.1.1 ", "\r\n"] {
        feedback::read(format!("{head}{}", piece.repeat((4 << 20) / piece.len())).as_bytes(), true);
    }
    let groups: String =
        (0..200_000).map(|n| format!("Final-Recipient: rfc822;a{n}@x.test\r\nAction: failed\r\n\r\n")).collect();
    let status =
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n";
    feedback::read(format!("{status}{groups}").as_bytes(), true);
}
