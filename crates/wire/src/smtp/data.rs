//! Message content on the wire: DATA with its dots and its end (RFC 5321 §4.1.1.4, §4.5.2), in both directions, and
//! the octets of BDAT.
//!
//! Lines end with CRLF and with nothing else. Whoever tolerates a bare CR, a bare LF or a NUL can be made to see the
//! end of a message where its neighbour sees none; so all of them are refused on the way in and never sent out.

use memchr::{memchr2, memchr3};

/// What came of reading a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// All was taken; there is more to come.
    More,
    /// The message ends after so many octets of the piece.
    End(usize),
    /// There is a bare CR, a bare LF or a NUL. Nothing that came with it may be trusted.
    Broken,
}

/// The content read so far, unless it is more than may be kept.
#[derive(Debug)]
struct Content {
    octets: Vec<u8>,
    limit: u64,
    overflowed: bool,
}

impl Content {
    fn keep(&mut self, run: &[u8]) {
        if self.overflowed {
            return;
        }
        if self.octets.len() as u64 + run.len() as u64 > self.limit {
            self.overflowed = true;
            self.octets = Vec::new();
            return;
        }
        self.octets.extend_from_slice(run);
    }
}

/// Where in a line the reader stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    LineStart,
    Text,
    /// After a CR, which was kept.
    Cr,
    /// After a dot that began the line, which was dropped.
    Dot,
    /// After such a dot and a CR, which was not kept: only the end of the message can follow.
    DotCr,
}

/// Reads one message, as DATA or as chunks. Runs between dots are copied whole; nothing goes octet by octet.
#[derive(Debug)]
pub struct MessageReader {
    content: Content,
    place: Place,
}

impl MessageReader {
    /// A reader of a message of at most `limit` octets, with room for `expected` of them.
    pub fn new(limit: u64, expected: usize) -> Self {
        let content = Content { octets: Vec::with_capacity(expected), limit, overflowed: false };
        Self { content, place: Place::LineStart }
    }

    /// Octets held.
    pub fn buffered_octets(&self) -> usize {
        self.content.octets.len()
    }

    /// Whether more came than may be kept.
    pub fn is_too_large(&self) -> bool {
        self.content.overflowed
    }

    /// The message, or nothing when it was larger than the limit.
    pub fn into_message(self) -> Option<Vec<u8>> {
        (!self.content.overflowed).then_some(self.content.octets)
    }

    /// Reads a piece of what follows DATA: removes the dots that were added, finds the end.
    pub fn read_data(&mut self, piece: &[u8]) -> Progress {
        // `piece[from..at]` is read and not yet kept.
        let (mut from, mut at) = (0, 0);
        while let Some(&octet) = piece.get(at) {
            match (self.place, octet) {
                (Place::LineStart, b'.') => {
                    self.content.keep(&piece[from..at]);
                    at += 1;
                    from = at;
                    self.place = Place::Dot;
                }
                (Place::Dot, b'\r') => {
                    at += 1;
                    from = at;
                    self.place = Place::DotCr;
                }
                (Place::DotCr, b'\n') => return Progress::End(at + 1),
                (Place::Cr, b'\n') => {
                    at += 1;
                    self.place = Place::LineStart;
                }
                (Place::Cr | Place::DotCr, _) => return Progress::Broken,
                (Place::LineStart | Place::Dot | Place::Text, _) => match find_cr(&piece[at..]) {
                    Ok(text) => (at, self.place) = (at + text, Place::Text),
                    Err(CrNotFound::End) => (at, self.place) = (piece.len(), Place::Text),
                    Err(CrNotFound::Bare) => return Progress::Broken,
                },
            }
            if self.place == Place::Text && piece.get(at) == Some(&b'\r') {
                at += 1;
                self.place = Place::Cr;
            }
        }
        self.content.keep(&piece[from..at]);
        Progress::More
    }

    /// Reads a piece of a BDAT chunk. Dots mean nothing here (RFC 3030 §2); bare line ends are refused all the same,
    /// since the message goes on to others who would see lines.
    pub fn read_chunk(&mut self, piece: &[u8]) -> Progress {
        let mut at = 0;
        while let Some(&octet) = piece.get(at) {
            if self.place == Place::Cr {
                if octet != b'\n' {
                    return Progress::Broken;
                }
                at += 1;
                self.place = Place::Text;
                continue;
            }
            match find_cr(&piece[at..]) {
                Ok(text) => (at, self.place) = (at + text + 1, Place::Cr),
                Err(CrNotFound::End) => at = piece.len(),
                Err(CrNotFound::Bare) => return Progress::Broken,
            }
        }
        self.content.keep(piece);
        Progress::More
    }

    /// Whether the last chunk may be the last: a CR at the very end is a bare one.
    pub fn may_end_chunks(&self) -> bool {
        self.place != Place::Cr
    }
}

enum CrNotFound {
    /// Text up to the end of the piece.
    End,
    /// A LF or a NUL comes first.
    Bare,
}

fn find_cr(text: &[u8]) -> Result<usize, CrNotFound> {
    match memchr3(b'\r', b'\n', 0, text) {
        Some(at) if text[at] == b'\r' => Ok(at),
        Some(_) => Err(CrNotFound::Bare),
        None => Err(CrNotFound::End),
    }
}

/// Writes one message as DATA: adds dots, mends bare line ends, ends it.
#[derive(Debug)]
pub struct MessageWriter {
    place: Place,
}

impl Default for MessageWriter {
    fn default() -> Self {
        Self { place: Place::LineStart }
    }
}

impl MessageWriter {
    /// Appends a piece of the message to `out`.
    pub fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        // `piece[from..at]` is read and not yet written.
        let (mut from, mut at) = (0, 0);
        while let Some(&octet) = piece.get(at) {
            match (self.place, octet) {
                (Place::Cr, b'\n') => {
                    at += 1;
                    self.place = Place::LineStart;
                }
                (Place::Cr, _) => {
                    out.extend_from_slice(&piece[from..at]);
                    out.push(b'\n');
                    from = at;
                    self.place = Place::LineStart;
                }
                (Place::LineStart, b'.') => {
                    out.extend_from_slice(&piece[from..at]);
                    out.push(b'.');
                    from = at;
                    at += 1;
                    self.place = Place::Text;
                }
                _ => match memchr2(b'\r', b'\n', &piece[at..]) {
                    None => (at, self.place) = (piece.len(), Place::Text),
                    Some(text) if piece[at + text] == b'\r' => (at, self.place) = (at + text + 1, Place::Cr),
                    Some(text) => {
                        out.extend_from_slice(&piece[from..at + text]);
                        out.extend_from_slice(b"\r\n");
                        at += text + 1;
                        from = at;
                        self.place = Place::LineStart;
                    }
                },
            }
        }
        out.extend_from_slice(&piece[from..at]);
    }

    /// Appends the end of the message: the line end that is missing, if it is, and the dot on a line of its own.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self.place {
            Place::LineStart => {}
            Place::Cr => out.push(b'\n'),
            _ => out.extend_from_slice(b"\r\n"),
        }
        out.extend_from_slice(b".\r\n");
        self.place = Place::LineStart;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut writer, mut out) = (MessageWriter::default(), Vec::new());
        pieces.iter().for_each(|piece| writer.write(piece, &mut out));
        writer.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_added_and_line_ends_mended() {
        for (message, expected) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n..\r\n.a", "..\r\n...\r\n..a\r\n.\r\n"),
            ("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r.\rb\r", "a\r\n..\r\nb\r\n.\r\n"),
            ("\r\r\n\n", "\r\n\r\n\r\n.\r\n"),
        ] {
            assert_eq!(written(&[message.as_bytes()]), expected.as_bytes(), "{message:?}");
            let octets: Vec<&[u8]> = message.as_bytes().chunks(1).collect();
            assert_eq!(written(&octets), expected.as_bytes(), "{message:?} in octets");
        }
    }

    #[test]
    fn the_limit_counts_what_is_kept() {
        let read = |limit: u64| {
            let mut reader = MessageReader::new(limit, 0);
            assert_eq!(reader.read_data(b"..ab\r\n.\r\nNOOP"), Progress::End(9));
            reader.into_message()
        };
        assert_eq!(read(5), Some(b".ab\r\n".to_vec()));
        assert_eq!(read(4), None);
    }

    #[test]
    fn a_cr_may_stand_between_chunks_but_not_at_the_end() {
        let mut reader = MessageReader::new(100, 0);
        assert_eq!(reader.read_chunk(b"a\r"), Progress::More);
        assert!(!reader.may_end_chunks());
        assert_eq!(reader.read_chunk(b"\nb"), Progress::More);
        assert!(reader.may_end_chunks());
        assert_eq!(reader.read_chunk(b"\n"), Progress::Broken);
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_strict_and_reads_back(message in "[a.\r\n]{0,40}", cut in 0_usize..80) {
            let wire = written(&[message.as_bytes()]);
            let mut reader = MessageReader::new(1_000, 0);
            let (head, tail) = wire.split_at(cut.min(wire.len()));
            if head.len() < wire.len() { prop_assert_eq!(reader.read_data(head), Progress::More); }
            let rest = if head.len() < wire.len() { tail } else { head };
            prop_assert_eq!(reader.read_data(rest), Progress::End(rest.len()));
            let read = reader.into_message().unwrap();
            let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
            let mut expected = lines(&message);
            if !expected.is_empty() && !expected.ends_with('\n') { expected.push('\n'); }
            prop_assert_eq!(String::from_utf8(read).unwrap(), expected.replace('\n', "\r\n"));
        }
    }
}
