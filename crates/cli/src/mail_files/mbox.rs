//! mbox: messages one after the other in a file, each behind a line `From sender date`, with an empty line after it. A line
//! of a message that begins with any number of `>` and `From ` has one `>` more in the file (mboxrd), or only where there is
//! none yet (mboxo).

use super::dates::{field, from_line, of_from_line, of_header};
use super::{MESSAGE_OCTETS_MAX, Message};
use std::io::{self, BufRead, Read, Write};

/// Octets of a line that are read at once.
const PIECE_OCTETS: u64 = 64 << 10;

/// Takes an mbox file apart.
pub struct Mbox<R> {
    file: R,
    /// Whether `>>From ` loses a `>`, too.
    is_rd: bool,
    /// The time of the line that begins the next message, if that was read.
    next: Option<Option<i64>>,
    is_begun: bool,
}

impl<R: BufRead> Mbox<R> {
    /// Reads a file.
    pub fn new(file: R, is_rd: bool) -> Self {
        Self { file, is_rd, next: None, is_begun: false }
    }

    /// The next message, `None` at the end.
    pub fn message(&mut self) -> io::Result<Option<Message>> {
        let mut body = Body::default();
        let mut time = self.next.take();
        let (mut is_line_start, mut is_after_blank) = (true, !std::mem::replace(&mut self.is_begun, true));
        loop {
            let mut piece = Vec::new();
            if (&mut self.file).take(PIECE_OCTETS).read_until(b'\n', &mut piece)? == 0 {
                return Ok(time.map(|time| body.end(time)));
            }
            if is_line_start
                && is_after_blank
                && let Some(found) = of_from_line(&piece)
            {
                let ended = time.replace(Some(found));
                if let Some(ended) = ended {
                    self.next = Some(Some(found));
                    return Ok(Some(body.end(ended)));
                }
                is_after_blank = false;
                is_line_start = piece.ends_with(b"\n");
                continue;
            }
            // What stands before the first such line is a message without one, unless it is nothing.
            if time.is_none() && !piece.trim_ascii().is_empty() {
                time = Some(None);
            }
            let quoted = if is_line_start && self.is_quoted(&piece) { 1 } else { 0 };
            if time.is_some() {
                body.push(&piece[quoted..]);
            }
            is_after_blank = is_line_start && matches!(piece.as_slice(), b"\n" | b"\r\n");
            is_line_start = piece.ends_with(b"\n");
        }
    }

    fn is_quoted(&self, line: &[u8]) -> bool {
        let marks = line.iter().take_while(|octet| **octet == b'>').count();
        marks > 0 && line[marks..].starts_with(b"From ") && (self.is_rd || marks == 1)
    }
}

/// A message as it is put together.
#[derive(Default)]
struct Body {
    raw: Vec<u8>,
    octets: u64,
}

impl Body {
    fn push(&mut self, piece: &[u8]) {
        self.octets += piece.len() as u64;
        if self.octets > MESSAGE_OCTETS_MAX as u64 {
            self.raw = Vec::new();
        } else {
            self.raw.extend_from_slice(piece);
        }
    }

    fn end(mut self, time: Option<i64>) -> Message {
        // The empty line after it is not its own.
        for end in [b"\n\r\n".as_slice(), b"\n\n"] {
            if self.raw.ends_with(end) {
                self.raw.truncate(self.raw.len() - (end.len() - 1));
                break;
            }
        }
        let raw = with_line_ends(self.raw);
        let octets = if raw.is_empty() { self.octets } else { raw.len() as u64 };
        // What mail programs write beside the message.
        let says = |name: &[u8], flag| field(&raw, name).map(|value| value.contains(flag));
        Message {
            folder: String::new(),
            received_at: time.or_else(|| of_header(&raw)),
            unread: says(b"status", 'R') == Some(false),
            starred: says(b"x-status", 'F') == Some(true),
            raw,
            octets,
        }
    }
}

/// Files of Unix have lines that end in LF; in mail they end in CRLF. What has a CR anywhere stays as it is.
pub fn with_line_ends(raw: Vec<u8>) -> Vec<u8> {
    if raw.contains(&b'\r') {
        return raw;
    }
    let mut mail = Vec::with_capacity(raw.len() + raw.len() / 32);
    for octet in raw {
        if octet == b'\n' {
            mail.push(b'\r');
        }
        mail.push(octet);
    }
    mail
}

/// Writes a message behind those that a file has.
pub fn write(file: &mut impl Write, received_at: i64, raw: &[u8]) -> io::Result<()> {
    file.write_all(from_line(received_at).as_bytes())?;
    for line in raw.split_inclusive(|octet| *octet == b'\n') {
        let marks = line.iter().take_while(|octet| **octet == b'>').count();
        if line[marks..].starts_with(b"From ") {
            file.write_all(b">")?;
        }
        file.write_all(line)?;
    }
    // A message that does not end in a line end cannot be told from one that does.
    file.write_all(if raw.ends_with(b"\n") { b"\n" } else { b"\r\n\n" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(file: &[u8], is_rd: bool) -> Vec<Message> {
        let mut mbox = Mbox::new(file, is_rd);
        let mut messages = Vec::new();
        while let Some(message) = mbox.message().expect("read") {
            messages.push(message);
        }
        messages
    }

    fn raws(file: &str, is_rd: bool) -> Vec<String> {
        read(file.as_bytes(), is_rd).into_iter().map(|one| String::from_utf8(one.raw).expect("text")).collect()
    }

    const FROM: &str = "From a@b Mon Mar  2 10:00:05 2026\n";

    #[test]
    fn files_of_every_kind_are_taken_apart() {
        for (name, file, is_rd, messages) in [
            ("nothing", String::new(), true, vec![]),
            ("blank lines", "\n\n".into(), true, vec![]),
            ("one", format!("{FROM}A: b\n\nHi\n\n"), true, vec!["A: b\r\n\r\nHi\r\n"]),
            ("without the last blank line", format!("{FROM}A: b\n\nHi\n"), true, vec!["A: b\r\n\r\nHi\r\n"]),
            ("without the last line end", format!("{FROM}A: b\n\nHi"), true, vec!["A: b\r\n\r\nHi"]),
            (
                "two",
                format!("{FROM}A: b\n\nHi\n\n{FROM}C: d\n\nHo\n\n"),
                true,
                vec!["A: b\r\n\r\nHi\r\n", "C: d\r\n\r\nHo\r\n"],
            ),
            (
                "lines of CRLF",
                format!("{FROM}A: b\r\n\r\nHi\r\n\r\n{FROM}C: d\r\n\r\n\r\n"),
                true,
                vec!["A: b\r\n\r\nHi\r\n", "C: d\r\n\r\n"],
            ),
            (
                "quoted",
                format!("{FROM}A: b\n\n>From me\n>>From me\n> From\n"),
                true,
                vec!["A: b\r\n\r\nFrom me\r\n>From me\r\n> From\r\n"],
            ),
            (
                "quoted, mboxo",
                format!("{FROM}A: b\n\n>From me\n>>From me\n"),
                false,
                vec!["A: b\r\n\r\nFrom me\r\n>>From me\r\n"],
            ),
            (
                "a line that only looks so",
                format!("{FROM}A: b\n\nx\n\nFrom here on\n"),
                true,
                vec!["A: b\r\n\r\nx\r\n\r\nFrom here on\r\n"],
            ),
            (
                "no blank line before",
                format!("{FROM}A: b\n\nx\n{FROM}y\n"),
                true,
                vec!["A: b\r\n\r\nx\r\nFrom a@b Mon Mar  2 10:00:05 2026\r\ny\r\n"],
            ),
            ("no line at the beginning", "A: b\n\nHi\n".into(), true, vec!["A: b\r\n\r\nHi\r\n"]),
            ("an empty message", format!("{FROM}\n{FROM}A: b\n\n"), true, vec!["\r\n", "A: b\r\n"]),
        ] {
            assert_eq!(raws(&file, is_rd), messages, "{name}");
        }
    }

    #[test]
    fn a_message_that_is_too_large_is_counted_and_not_held() {
        let line = [b'x'; 1_000_000];
        let mut file = FROM.as_bytes().to_vec();
        for _ in 0..=MESSAGE_OCTETS_MAX / line.len() {
            file.extend_from_slice(&line);
        }
        file.extend_from_slice(format!("\n\n{FROM}A: b\n\nHi\n").as_bytes());
        let messages = read(&file, true);
        assert_eq!((messages.len(), messages[0].raw.len()), (2, 0));
        assert!(messages[0].octets > MESSAGE_OCTETS_MAX as u64);
        assert_eq!(messages[1].raw, b"A: b\r\n\r\nHi\r\n");
    }

    #[test]
    fn flags_and_dates_are_read() {
        let file = format!("{FROM}Status: O\nX-Status: F\n\nHi\n\nFrom x Sun Mar  1 10:00:05 2026\nStatus: RO\n\nHi\n");
        let messages = read(file.as_bytes(), true);
        let facts: Vec<_> = messages.iter().map(|one| (one.received_at, one.unread, one.starred)).collect();
        assert_eq!(facts, [(Some(1_772_445_605), true, true), (Some(1_772_359_205), false, false)]);
    }

    proptest! {
        /// Whatever a message is made of, it comes back octet for octet.
        #[test]
        fn what_is_written_is_read_again(
            bodies in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![
                "From ", "From a@b Mon Mar  2 10:00:05 2026", ">", ">>From ", "\r\n", "\r\n\r\n", "\n", "\r", "\u{0}", "é", "a", " ",
            ]), 0..12), 1..6)
        ) {
            let bodies: Vec<Vec<u8>> = bodies.into_iter().map(|parts| format!("A: b\r\n{}\r\n", parts.concat()).into_bytes()).collect();
            let mut file = Vec::new();
            for body in &bodies {
                write(&mut file, 1_772_445_605, body).expect("written");
            }
            let read: Vec<Vec<u8>> = read(&file, true).into_iter().map(|message| message.raw).collect();
            prop_assert_eq!(read, bodies);
        }

        /// Nothing that a file holds makes it fail.
        #[test]
        fn any_file_is_read(file in prop::collection::vec(any::<u8>(), 0..2_000)) {
            read(&file, true);
        }
    }
}
