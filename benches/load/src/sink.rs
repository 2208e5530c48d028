//! An SMTP server that takes every message and keeps nothing of it but when it was sent and by which name.

use crate::Failure;
use crate::args::Args;
use crate::clock::now_ns;
use crate::summary::Summary;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Octets of the longest line, and of the largest message.
const MESSAGE_OCTETS_MAX: usize = 64 << 20;
/// Connections at once.
const CONNECTIONS_MAX: usize = 1_000;

/// What has arrived so far.
#[derive(Default)]
struct Taken {
    messages: u64,
    distinct: HashSet<Vec<u8>>,
    connections: u64,
    /// From the time in `X-Bench-T` to the end of the data, in nanoseconds.
    latencies: Vec<u64>,
    span: Option<(Instant, Instant)>,
}

/// Runs `smtpsink`.
pub fn run(args: &Args) -> Result<String, Failure> {
    let listener = TcpListener::bind(args.address()?)?;
    let expect = args.number("expect", 1_000, 10_000_000)?;
    let (idle, limit) = (args.seconds("idle-seconds", 10)?, args.seconds("seconds", 120)?);
    args.finish()?;
    let taken = Arc::new(Mutex::new(Taken::default()));
    let accepting = taken.clone();
    std::thread::spawn(move || accept(&listener, &accepting));
    wait(&taken, expect, idle, limit);
    let taken = std::mem::take(&mut *taken.lock().unwrap());
    let elapsed = taken.span.map_or(Duration::ZERO, |(first, last)| last - first);
    Ok(Summary::new("smtpsink")
        .rate(taken.messages, elapsed)
        .count("distinct", taken.distinct.len() as u64)
        .count("connections", taken.connections)
        .percentiles(taken.latencies)
        .line())
}

/// Until all is here, nothing more comes, or the time is over.
fn wait(taken: &Mutex<Taken>, expect: u64, idle: Duration, limit: Duration) {
    let start = Instant::now();
    while start.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(20));
        let taken = taken.lock().unwrap();
        if taken.distinct.len() as u64 >= expect || taken.span.is_some_and(|(_, last)| last.elapsed() > idle) {
            return;
        }
    }
}

fn accept(listener: &TcpListener, taken: &Arc<Mutex<Taken>>) {
    for stream in listener.incoming().flatten() {
        taken.lock().unwrap().connections += 1;
        // Counts the sessions: each holds the lock's other end.
        if Arc::strong_count(taken) > CONNECTIONS_MAX {
            continue;
        }
        let taken = taken.clone();
        // A session that breaks off is the client's to repeat.
        std::thread::spawn(move || session(stream, &taken).is_ok());
    }
}

fn session(stream: TcpStream, taken: &Mutex<Taken>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    let mut line = Vec::new();
    writer.write_all(b"220 sink.example ESMTP\r\n")?;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"EHLO" => {
                writer.write_all(b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 67108864\r\n")?
            }
            b"DATA" => {
                writer.write_all(b"354 go ahead\r\n")?;
                let Some(message) = data(&mut reader)? else { return Ok(()) };
                taken.lock().unwrap().take(&message);
                writer.write_all(b"250 taken\r\n")?;
            }
            b"QUIT" => return writer.write_all(b"221 bye\r\n"),
            _ => writer.write_all(b"250 fine\r\n")?,
        }
    }
}

/// The message up to its final dot; `None` if it does not end.
fn data(reader: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    loop {
        let start = message.len();
        if reader.read_until(b'\n', &mut message)? == 0 || message.len() > MESSAGE_OCTETS_MAX {
            return Ok(None);
        }
        if &message[start..] == b".\r\n" {
            message.truncate(start);
            return Ok(Some(message));
        }
    }
}

impl Taken {
    fn take(&mut self, message: &[u8]) {
        let (now, time) = (Instant::now(), now_ns());
        self.messages += 1;
        self.distinct.insert(header(message, b"message-id").unwrap_or_default().to_vec());
        let sent = header(message, b"x-bench-t").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        self.latencies.extend(sent.map(|sent| time.saturating_sub(sent)));
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
    }
}

/// The value of a header that is not folded.
fn header<'a>(message: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let lines = message.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
    lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let colon = line.iter().position(|octet| *octet == b':')?;
        line[..colon].eq_ignore_ascii_case(name).then(|| line[colon + 1..].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::{data, header};

    #[test]
    fn headers_end_at_the_empty_line() {
        let message = b"From: a\r\nX-Bench-T: 12\r\n\r\nMessage-ID: in the body\r\n";
        assert_eq!(header(message, b"x-bench-t"), Some(&b"12"[..]));
        assert_eq!(header(message, b"message-id"), None);
    }

    #[test]
    fn a_message_ends_with_a_dot_alone() {
        let mut stream = &b"a\r\n..\r\nb\r\n.\r\nQUIT\r\n"[..];
        assert_eq!(data(&mut stream).unwrap().as_deref(), Some(&b"a\r\n..\r\nb\r\n"[..]));
        assert_eq!(stream, b"QUIT\r\n");
        assert_eq!(data(&mut &b"cut off"[..]).unwrap(), None);
    }
}
