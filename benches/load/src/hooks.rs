//! A receiver of webhooks: one thread that answers 200 to whatever comes, over however many connections, and writes down what
//! it was and when. It waits with epoll, since a thread for each connection would take a core from the server that is measured.

use crate::Failure;
use crate::args::Args;
use crate::clock::now_ns;
use crate::summary::Summary;
use crate::template::append;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Under which `epoll` speaks of the listener; connections have their places.
const LISTENER: u64 = u64::MAX;
/// Octets that are read at once.
const READ_OCTETS: usize = 256 << 10;
/// Octets of the largest request.
const REQUEST_OCTETS_MAX: usize = 64 << 20;
/// Connections that are spoken of at once.
const EVENTS: usize = 256;
/// How long a line may wait until it is in the file.
const WRITE_EVERY: Duration = Duration::from_millis(50);

/// Runs `hooks`.
pub fn run(args: &Args) -> Result<String, Failure> {
    let listener = TcpListener::bind(args.address()?)?;
    let find = args.text("find").unwrap_or("benchmark message ").to_owned();
    let file = File::create(args.text("log").ok_or("--log is missing")?)?;
    let limit = args.seconds("seconds", 600)?;
    args.finish()?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let log = Log { file, lines: Vec::new(), find, taken: 0 };
    let mut receiver = Receiver { listener, epoll, peers: Vec::new(), free: Vec::new(), log };
    receiver.serve(Instant::now() + limit)?;
    Ok(Summary::new("hooks").count("taken", receiver.log.taken).line())
}

struct Receiver {
    listener: TcpListener,
    epoll: OwnedFd,
    /// Connections by their places.
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    log: Log,
}

/// A connection, and what came of a request that is not whole yet.
struct Peer {
    stream: TcpStream,
    pending: Vec<u8>,
}

/// What has come: for each request a line with the number at the end of its path, the number in its body behind the text
/// that is looked for, when it was whole, in nanoseconds, and the octets of the body. Numbers that are not there are 0.
struct Log {
    file: File,
    lines: Vec<u8>,
    find: String,
    taken: u64,
}

impl Receiver {
    fn serve(&mut self, end: Instant) -> Result<(), Failure> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut space = vec![0; READ_OCTETS];
        let mut written = Instant::now();
        while Instant::now() < end {
            let timeout = WRITE_EVERY.try_into()?;
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    place => self.proceed(usize::try_from(place)?, &mut space),
                }
            }
            if written.elapsed() >= WRITE_EVERY {
                self.log.write()?;
                written = Instant::now();
            }
        }
        self.log.write()
    }

    fn accept(&mut self) -> Result<(), Failure> {
        // A client that is gone before it was accepted, or that there is no file for, is its own affair.
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            epoll::add(&self.epoll, &stream, EventData::new_u64(place as u64), EventFlags::IN)?;
            self.peers[place] = Some(Peer { stream, pending: Vec::new() });
        }
        Ok(())
    }

    fn proceed(&mut self, place: usize, space: &mut [u8]) {
        let Some(peer) = self.peers.get_mut(place).and_then(Option::as_mut) else { return };
        if !peer.proceed(space, &mut self.log) {
            // Closing it takes it out of epoll, too.
            self.peers[place] = None;
            self.free.push(place);
        }
    }
}

impl Peer {
    /// Reads once and answers what is whole. Answers whether the connection is still of use.
    fn proceed(&mut self, space: &mut [u8], log: &mut Log) -> bool {
        let octets = match self.stream.read(space) {
            Ok(0) => return false,
            Ok(octets) => octets,
            Err(error) => return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        let at = now_ns();
        self.pending.extend_from_slice(&space[..octets]);
        let mut done = 0;
        while let Some(request) = Request::read(&self.pending[done..]) {
            let Ok(request) = request else { return false };
            // An answer is so short that there is always room for it.
            if self.stream.write_all(&request.answer()).is_err() {
                return false;
            }
            log.take(&request, at);
            done += request.octets;
        }
        self.pending.drain(..done);
        self.pending.len() <= REQUEST_OCTETS_MAX
    }
}

impl Log {
    fn take(&mut self, request: &Request, at: u64) {
        if request.challenge.is_some() {
            return;
        }
        self.taken += 1;
        let numbers = [request.number(), self.number_in(request.body), at, request.body.len() as u64];
        for (place, number) in numbers.into_iter().enumerate() {
            if place > 0 {
                self.lines.push(b' ');
            }
            append(&mut self.lines, number);
        }
        self.lines.push(b'\n');
    }

    fn number_in(&self, body: &[u8]) -> u64 {
        let text = std::str::from_utf8(body).unwrap_or_default();
        text.find(&self.find).map_or(0, |start| number(&body[start + self.find.len()..]))
    }

    fn write(&mut self) -> Result<(), Failure> {
        self.file.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

/// A request that is whole.
struct Request<'a> {
    target: &'a [u8],
    /// What is to be echoed to prove that webhooks are wanted.
    challenge: Option<&'a [u8]>,
    body: &'a [u8],
    /// Of all of it.
    octets: usize,
}

impl<'a> Request<'a> {
    /// The first request, once it is whole; an error if it is none that is understood here.
    fn read(pending: &'a [u8]) -> Option<Result<Self, Failure>> {
        let head = pending.windows(4).position(|octets| octets == b"\r\n\r\n")?;
        let start = head + 4;
        let mut lines = pending[..head].split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
        let Some(target) = lines.next().and_then(|line| line.split(|octet| *octet == b' ').nth(1)) else {
            return Some(Err("a request without a target".into()));
        };
        let mut length = 0;
        for line in lines {
            let Some(colon) = line.iter().position(|octet| *octet == b':') else { continue };
            if line[..colon].eq_ignore_ascii_case(b"content-length") {
                length = usize::try_from(number(line[colon + 1..].trim_ascii())).unwrap_or(usize::MAX);
            } else if line[..colon].eq_ignore_ascii_case(b"transfer-encoding") {
                return Some(Err("a body without a length".into()));
            }
        }
        let body = pending.get(start..start.checked_add(length)?)?;
        let question = target.iter().position(|octet| *octet == b'?').unwrap_or(target.len());
        let challenge = target[question..].strip_prefix(b"?challenge=");
        Some(Ok(Self { target: &target[..question], challenge, body, octets: start + length }))
    }

    /// The number at the end of the path.
    fn number(&self) -> u64 {
        number(self.target.rsplit(|octet| *octet == b'/').next().unwrap_or_default())
    }

    fn answer(&self) -> Vec<u8> {
        let body = self.challenge.unwrap_or_default();
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: ".to_vec();
        append(&mut answer, body.len() as u64);
        answer.extend_from_slice(b"\r\n\r\n");
        answer.extend_from_slice(body);
        answer
    }
}

/// The digits that a text begins with.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|octet| octet.is_ascii_digit());
    digits.fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::{Log, Request};

    #[test]
    fn a_request_is_read_once_it_is_whole() {
        let text = b"POST /hook/12 HTTP/1.1\r\nHost: x\r\ncontent-length: 5\r\n\r\nhelloPOST /";
        for end in 0..text.len() - 6 {
            assert!(Request::read(&text[..end]).is_none(), "{end}");
        }
        let request = Request::read(text).unwrap().unwrap();
        assert_eq!((request.number(), request.body, request.octets), (12, &b"hello"[..], text.len() - 6));
        assert_eq!(request.answer(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn a_challenge_is_echoed() {
        let request = Request::read(b"GET /hook/3?challenge=abc HTTP/1.1\r\n\r\n").unwrap().unwrap();
        assert_eq!((request.number(), request.challenge), (3, Some(&b"abc"[..])));
        assert!(request.answer().ends_with(b"Content-Length: 3\r\n\r\nabc"));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in [&b"\r\n\r\n"[..], b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
            assert!(Request::read(text).unwrap().is_err());
        }
    }

    #[test]
    fn the_number_behind_a_text_is_found() {
        let log = Log { file: tempfile(), lines: Vec::new(), find: "message ".to_owned(), taken: 0 };
        assert_eq!(log.number_in(b"{\"subject\":\"message 77\"}"), 77);
        assert_eq!(log.number_in(b"{\"subject\":\"other\"}"), 0);
    }

    fn tempfile() -> std::fs::File {
        std::fs::File::open("/dev/null").unwrap()
    }
}
