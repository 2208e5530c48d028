//! An answer of HTTP/1.1, taken as it comes, in pieces of any size (RFC 9112). Does no I/O.

use crate::Failure;

/// The largest body of an answer.
const BODY_OCTETS_MAX: usize = 64 << 20;
/// The longest line of an answer's head, or of what is between its chunks.
const LINE_OCTETS_MAX: usize = 64 << 10;

/// What has come of an answer.
#[derive(Default)]
pub struct Answer {
    part: Part,
    /// A line of which the end has not come yet.
    line: Vec<u8>,
    status: u16,
    length: Option<usize>,
    chunked: bool,
    last: bool,
    /// Whether nobody reads the body of a success.
    brief: bool,
    body_octets: usize,
    body: Vec<u8>,
}

/// What comes next.
#[derive(Clone, Copy, Default, PartialEq)]
enum Part {
    #[default]
    Status,
    Field,
    /// So many octets of a body with a length.
    Body(usize),
    ChunkSize,
    /// So many octets of a chunk.
    Chunk(usize),
    ChunkEnd,
    Trailer,
    /// A body that ends where the connection does.
    UntilClosed,
    Nothing,
}

impl Answer {
    /// An answer of which the body is not kept if it is a success.
    pub fn brief() -> Self {
        Self { brief: true, ..Self::default() }
    }

    /// Makes place for the next answer, and keeps the memory.
    pub fn clear(&mut self) {
        self.line.clear();
        self.body.clear();
        self.body_octets = 0;
        self.last = false;
        self.begin();
    }

    /// Takes what came, up to the end of the answer, and returns how many octets that was.
    pub fn take(&mut self, octets: &[u8]) -> Result<usize, Failure> {
        let mut rest = octets;
        while !rest.is_empty() && self.part != Part::Nothing {
            rest = match self.part {
                Part::Body(left) => self.take_body(rest, left, Part::Body, Part::Nothing)?,
                Part::Chunk(left) => self.take_body(rest, left, Part::Chunk, Part::ChunkEnd)?,
                Part::UntilClosed => self.take_body(rest, usize::MAX, |_| Part::UntilClosed, Part::Nothing)?,
                _ => self.take_line(rest)?,
            };
        }
        Ok(octets.len() - rest.len())
    }

    /// Takes note that nothing more will come.
    pub fn closed(&mut self) -> Result<(), Failure> {
        match self.part {
            Part::UntilClosed => self.part = Part::Nothing,
            Part::Nothing => {}
            _ => return Err("the peer closed the connection".into()),
        }
        Ok(())
    }

    /// Whether all of it has come.
    pub fn is_whole(&self) -> bool {
        self.part == Part::Nothing
    }

    /// Whether the peer says that it answers nothing more on this connection.
    pub fn is_last(&self) -> bool {
        self.last
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    fn begin(&mut self) {
        (self.part, self.status, self.length, self.chunked) = (Part::Status, 0, None, false);
    }

    fn take_body<'a>(
        &mut self,
        octets: &'a [u8],
        left: usize,
        more: fn(usize) -> Part,
        then: Part,
    ) -> Result<&'a [u8], Failure> {
        let (body, rest) = octets.split_at(left.min(octets.len()));
        self.body_octets += body.len();
        check_body(self.body_octets)?;
        if !(self.brief && matches!(self.status, 200..300)) {
            self.body.extend_from_slice(body);
        }
        self.part = if body.len() == left { then } else { more(left - body.len()) };
        Ok(rest)
    }

    fn take_line<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], Failure> {
        let end = octets.iter().position(|octet| *octet == b'\n').map(|end| end + 1);
        let (line, rest) = octets.split_at(end.unwrap_or(octets.len()));
        if self.line.len() + line.len() > LINE_OCTETS_MAX {
            return Err(format!("a line of more than {LINE_OCTETS_MAX} octets").into());
        }
        if end.is_some() && self.line.is_empty() {
            self.end_line(line)?;
            return Ok(rest);
        }
        self.line.extend_from_slice(line);
        if end.is_some() {
            let mut line = std::mem::take(&mut self.line);
            self.end_line(&line)?;
            line.clear();
            self.line = line;
        }
        Ok(rest)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let line = line.trim_ascii_end();
        self.part = match self.part {
            Part::Status => self.read_status(line)?,
            Part::Field if line.is_empty() => self.end_head(),
            Part::Field => self.read_field(line)?,
            Part::ChunkSize => match chunk_size(line)? {
                0 => Part::Trailer,
                size => Part::Chunk(size),
            },
            Part::ChunkEnd if line.is_empty() => Part::ChunkSize,
            Part::ChunkEnd => return Err("a chunk is longer than it says".into()),
            Part::Trailer if line.is_empty() => Part::Nothing,
            part => part,
        };
        Ok(())
    }

    fn read_status(&mut self, line: &[u8]) -> Result<Part, Failure> {
        let text = std::str::from_utf8(line).ok().filter(|line| line.starts_with("HTTP/1."));
        let status = text.and_then(|line| line.get(9..12)?.parse().ok());
        self.status = status.ok_or_else(|| format!("not a status line: {:?}", String::from_utf8_lossy(line)))?;
        self.last = line.starts_with(b"HTTP/1.0");
        Ok(Part::Field)
    }

    fn read_field(&mut self, line: &[u8]) -> Result<Part, Failure> {
        let colon = line.iter().position(|octet| *octet == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value)?.parse()?;
            check_body(length)?;
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.last = value.eq_ignore_ascii_case(b"close");
        }
        Ok(Part::Field)
    }

    /// How the body ends (RFC 9112 §6.3).
    fn end_head(&mut self) -> Part {
        match (self.status, self.length) {
            // The answer proper is still to come.
            (100..200, _) => {
                self.begin();
                Part::Status
            }
            (204 | 304, _) => Part::Nothing,
            _ if self.chunked => Part::ChunkSize,
            (_, Some(0)) => Part::Nothing,
            (_, Some(length)) => Part::Body(length),
            (_, None) => {
                self.last = true;
                Part::UntilClosed
            }
        }
    }
}

/// The size of a chunk, without what may be said of it besides.
fn chunk_size(line: &[u8]) -> Result<usize, Failure> {
    let size = line.split(|octet| *octet == b';').next().unwrap_or_default().trim_ascii();
    Ok(usize::from_str_radix(std::str::from_utf8(size)?, 16)?)
}

fn check_body(octets: usize) -> Result<(), Failure> {
    if octets > BODY_OCTETS_MAX { Err(format!("a body of {octets} octets").into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{Answer, BODY_OCTETS_MAX, LINE_OCTETS_MAX};

    const LENGTH: &str = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\nx: y\r\n\r\nhello";
    const CHUNKED: &str =
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nx: y\r\n\r\n";
    const INTERIM: &str =
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const CLOSE: &str = "HTTP/1.1 500 Oh\r\nContent-Length: 5\r\nConnection: Close\r\n\r\nhello";

    /// Whether all came, how much was left, and what was said, given in pieces of so many octets.
    fn taken(text: &str, octets: usize) -> (bool, usize, u16, String, bool) {
        let mut answer = Answer::default();
        let mut left = 0;
        for piece in text.as_bytes().chunks(octets) {
            left += piece.len() - answer.take(piece).unwrap();
        }
        let body = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer.is_whole(), left, answer.status(), body, answer.is_last())
    }

    #[test]
    fn answers_in_pieces_of_any_size() {
        for (text, status, body, last) in [
            (LENGTH, 200, "hello", false),
            (CHUNKED, 201, "hello", false),
            (INTERIM, 200, "hello", false),
            (CLOSE, 500, "hello", true),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", false),
            ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", 200, "", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", true),
        ] {
            for octets in 1..=text.len() {
                assert_eq!(taken(text, octets), (true, 0, status, body.into(), last), "{text}, {octets} at a time");
                let less = &text[..text.len() - 1];
                assert!(!taken(less, octets).0, "{less}, {octets} at a time");
            }
            assert_eq!(taken(&format!("{text}more"), usize::MAX).1, 4, "{text}");
        }
    }

    #[test]
    fn one_after_the_other() {
        let mut answer = Answer::default();
        for (text, status) in [(CLOSE, 500), (CHUNKED, 201), (LENGTH, 200)] {
            answer.clear();
            assert_eq!(answer.take(text.as_bytes()).unwrap(), text.len());
            assert_eq!((answer.is_whole(), answer.status(), answer.body()), (true, status, &b"hello"[..]));
            assert_eq!(answer.is_last(), status == 500);
        }
    }

    #[test]
    fn a_brief_answer_keeps_what_a_failure_says() {
        let mut answer = Answer::brief();
        for (text, body) in [(LENGTH, ""), (CLOSE, "hello"), (CHUNKED, ""), (INTERIM, "")] {
            answer.clear();
            assert_eq!(answer.take(text.as_bytes()).unwrap(), text.len(), "{text}");
            assert_eq!((answer.is_whole(), answer.body()), (true, body.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let mut answer = Answer::default();
        answer.take(b"HTTP/1.1 200 OK\r\n\r\nhel").unwrap();
        answer.take(b"lo").unwrap();
        assert!(!answer.is_whole());
        answer.closed().unwrap();
        assert!(answer.is_whole() && answer.is_last() && answer.body() == b"hello");
    }

    #[test]
    fn what_is_no_answer() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LINE_OCTETS_MAX));
        let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY_OCTETS_MAX + 1);
        for text in [
            "220 mx.example ESMTP\r\n",
            "HTTP/1.1 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            &long,
            &large,
        ] {
            assert!(Answer::default().take(text.as_bytes()).is_err(), "{text:.60}");
        }
        for text in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx"] {
            let mut answer = Answer::default();
            answer.take(text.as_bytes()).unwrap();
            assert!(answer.closed().is_err(), "{text}");
        }
    }
}
