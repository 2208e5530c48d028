//! Chunks (RFC 3030) that lie: about their size, their order, their end. Octets are counted exactly, and whatever is in
//! them is never taken for a command, whether or not they are wanted.

use crate::support::{Server, codes, packets};
use postfleet_wire::smtp::server::Service;

/// What is said at once after MAIL and RCPT; the codes of the answers; whether the session ends; the messages taken.
type Script = (&'static str, &'static str, bool, &'static [&'static str]);

const SCRIPTS: [Script; 32] = [
    // As it should be.
    ("BDAT 3 LAST\r\nx\r\n", "250", false, &["x\r\n"]),
    ("BDAT 2\r\nxyBDAT 3\r\nz\r\nBDAT 0 LAST\r\n", "250 250 250", false, &["xyz\r\n"]),
    ("BDAT 0 LAST\r\n", "250", false, &[""]),
    ("BDAT 0\r\nBDAT 0\r\nBDAT 2 LAST\r\n\r\n", "250 250 250", false, &["\r\n"]),
    ("bdat 2 last\r\n\r\n", "250", false, &["\r\n"]),
    ("BDAT 0000000000000000000003 LAST\r\nx\r\n", "250", false, &["x\r\n"]),
    ("BDAT 2\r\nx\rBDAT 1 LAST\r\n\n", "250 250", false, &["x\r\n"]),
    ("BDAT 5 LAST\r\n.\r\n\r\nRSET\r\n", "250 250", false, &[".\r\n\r\n"]),
    // Too few octets: the commands behind are taken for text, and are not carried out.
    ("BDAT 9 LAST\r\nx\r\nRSET\r\n", "250", false, &["x\r\nRSET\r\n"]),
    ("BDAT 100 LAST\r\nx\r\nRSET\r\n", "", false, &[]),
    // Too many: the rest is a command, and none that there is.
    ("BDAT 3 LAST\r\nx\r\ny\r\n", "250 500", false, &["x\r\n"]),
    ("BDAT 2\r\nxyz\r\nBDAT 0 LAST\r\n", "250 500 250", false, &["xy"]),
    ("BDAT 0 LAST\r\nMAIL FROM:<s@evil.example>\r\n", "250 250", false, &[""]),
    // Sizes that are none: where the next command begins cannot be known.
    ("BDAT\r\nRSET\r\n", "501", true, &[]),
    ("BDAT x\r\nRSET\r\n", "501", true, &[]),
    ("BDAT -1\r\nRSET\r\n", "501", true, &[]),
    ("BDAT +3\r\nx\r\nRSET\r\n", "501", true, &[]),
    ("BDAT 0x3\r\nx\r\nRSET\r\n", "501", true, &[]),
    ("BDAT 3.0\r\nx\r\nRSET\r\n", "501", true, &[]),
    ("BDAT LAST\r\nRSET\r\n", "501", true, &[]),
    ("BDAT 3 LAST LAST\r\nx\r\n", "501", true, &[]),
    ("BDAT 3 FIRST\r\nx\r\n", "501", true, &[]),
    ("BDAT 4294967296\r\nRSET\r\n", "501", true, &[]),
    ("BDAT 18446744073709551616 LAST\r\nRSET\r\n", "501", true, &[]),
    ("BDAT 18446744073709551619 LAST\r\nx\r\n", "501", true, &[]),
    // Twice, mixed, and given up.
    ("BDAT 3 LAST\r\nx\r\nBDAT 3 LAST\r\ny\r\n", "250 503", false, &["x\r\n"]),
    ("BDAT 3 LAST\r\nx\r\nBDAT 6 LAST\r\nRSET\r\nRSET\r\n", "250 503 250", false, &["x\r\n"]),
    ("BDAT 3\r\nx\r\nRSET\r\nBDAT 3 LAST\r\ny\r\n", "250 250 503", false, &[]),
    ("BDAT 3\r\nx\r\nMAIL FROM:<>\r\nRCPT TO:<c@mx.example>\r\nBDAT 0 LAST\r\n", "250 503 503 250", false, &["x\r\n"]),
    ("BDAT 3\r\nx\r\nDATA\r\n", "250 503", false, &[]),
    // A line that was begun and is not ended, and lines that end as they must not.
    ("BDAT 2 LAST\r\nx\rRSET\r\n", "550", true, &[]),
    ("BDAT 2\r\nx\rBDAT 2 LAST\r\nyz", "250 550", true, &[]),
];

#[test]
fn chunks_are_counted_whatever_they_hold() {
    let mut cases = 0;
    for (script, expected, ends, messages) in SCRIPTS {
        for pieces in packets(script.as_bytes()) {
            let mut server = Server::greeted(Service::Mx, false).with_envelope(false);
            let sizes: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
            server.write(pieces);
            let what = format!("{script:?} in {sizes:?}: {}", server.seen.output);
            assert_eq!(codes(&server.seen.output), expected, "{what}");
            let taken: Vec<&str> =
                server.seen.messages.iter().map(|(_, message)| std::str::from_utf8(message).expect("ASCII")).collect();
            assert_eq!((server.seen.is_closed, &taken[..]), (ends, messages), "{what}");
            cases += 1;
        }
    }
    println!("{} scripts of chunks in {cases} packetisations", SCRIPTS.len());
}

/// 10,000 octets are the limit here: of all chunks together, exactly, and no more is held.
#[test]
fn the_limit_is_that_of_the_message_and_not_of_a_chunk() {
    let chunk = |octets: usize, last: &str| format!("BDAT {octets}{last}\r\n{}", "x".repeat(octets));
    for (chunks, expected, messages) in [
        (chunk(10_000, " LAST"), "250", 1),
        (chunk(10_001, " LAST"), "552", 0),
        (format!("{}{}", chunk(9_999, ""), chunk(1, " LAST")), "250 250", 1),
        // The rest of a message that was refused is swallowed, and refused as well (RFC 3030 §2).
        (format!("{}{}{}RSET\r\n", chunk(9_999, ""), chunk(2, ""), chunk(6, " LAST")), "250 552 503 250", 0),
    ] {
        let mut server = Server::greeted(Service::Mx, false).with_envelope(false);
        for piece in chunks.as_bytes().chunks(1_000) {
            server.write([piece]);
            assert!(server.session.buffered_octets() <= 11_000);
        }
        assert_eq!((codes(&server.seen.output).as_str(), server.seen.messages.len()), (expected, messages));
    }
    // A chunk that nobody wants costs nothing, however long it says that it is.
    let mut server = Server::greeted(Service::Mx, false);
    server.codes(b"EHLO c.example\r\n");
    server.write([&b"BDAT 4294967295 LAST\r\n"[..]]);
    for _ in 0..1_000 {
        server.write([&[b'x'; 10_000][..]]);
        assert!(server.session.buffered_octets() <= 10_000);
    }
    assert!(!server.seen.is_closed);
}

/// BINARYMIME (RFC 3030 §3) is not offered, so that it is not taken, and lines stay lines.
#[test]
fn binary_messages_are_neither_offered_nor_taken() {
    let mut server = Server::greeted(Service::Mx, true);
    server.codes(b"EHLO c.example\r\n");
    assert!(server.seen.output.contains("CHUNKING") && !server.seen.output.contains("BINARYMIME"));
    assert_eq!(server.codes(b"MAIL FROM:<a@c.example> BODY=BINARYMIME\r\n"), "555");
}
