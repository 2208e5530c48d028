//! A small server whose connections do as their script says, and what is made of it.

use super::{Driver, Place, Requester, State, run};
use crate::Failure;
use crate::channel::Channel;
use crate::run::{Outcome, Plan};
use rustix::event::epoll::EventFlags;
use rustix::net::{AddressFamily, SendFlags, SocketType};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
const UNTIL_CLOSED: &str = "HTTP/1.1 200 OK\r\n\r\nhello";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nhello";
const MORE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmore";

/// Requests that the barrier holds.
const TOGETHER: usize = 4;

/// What a server does with one request.
#[derive(Clone, Copy)]
enum Act {
    Answer(&'static str),
    /// In pieces of one octet.
    Pieces(&'static str),
    /// After so many milliseconds.
    Late(&'static str, u64),
    /// When as many requests are there as the barrier holds.
    Together(&'static str),
    /// And closes.
    Close(&'static str),
    /// And closes with its last octet, without a word of it.
    CloseWith(&'static str),
    /// Before the body was read, and closes.
    Early(&'static str),
}

/// What a server saw.
struct Seen {
    connections: AtomicU64,
    bodies: Mutex<Vec<String>>,
    barrier: Barrier,
}

/// Serves connections by the script, from its beginning for each. Ends with the process.
fn serve(script: &'static [Act]) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen { connections: AtomicU64::new(0), bodies: Mutex::default(), barrier: Barrier::new(TOGETHER) };
    let seen = Arc::new(seen);
    let witness = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            witness.connections.fetch_add(1, Ordering::Relaxed);
            let (stream, witness) = (stream.unwrap(), witness.clone());
            std::thread::spawn(move || converse(stream, script, &witness));
        }
    });
    (address, seen)
}

fn converse(mut stream: TcpStream, script: &[Act], seen: &Seen) -> Option<()> {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for act in script.iter().cycle() {
        let length = head(&mut reader)?;
        if let Act::Early(answer) = act {
            stream.write_all(answer.as_bytes()).ok()?;
            return None;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        seen.bodies.lock().unwrap().push(String::from_utf8(body).unwrap());
        match act {
            Act::Answer(answer) => stream.write_all(answer.as_bytes()).ok()?,
            Act::Pieces(answer) => answer.bytes().try_for_each(|octet| stream.write_all(&[octet])).ok()?,
            Act::Late(answer, ms) => {
                // The other end that takes its time. Tests say how long something takes at least, so a slow machine fails none.
                std::thread::sleep(Duration::from_millis(*ms));
                stream.write_all(answer.as_bytes()).ok()?;
            }
            Act::Together(answer) => {
                seen.barrier.wait();
                stream.write_all(answer.as_bytes()).ok()?;
            }
            Act::CloseWith(answer) => {
                rustix::net::send(&stream, answer.as_bytes(), SendFlags::MORE).ok()?;
                stream.shutdown(Shutdown::Write).ok()?;
                return None;
            }
            Act::Close(answer) | Act::Early(answer) => {
                stream.write_all(answer.as_bytes()).ok()?;
                return None;
            }
        }
    }
    None
}

/// Reads a request's head, and returns the length of its body.
fn head(reader: &mut impl BufRead) -> Option<usize> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().unwrap(),
            None if line.len() == 2 => return Some(length),
            _ => {}
        }
    }
}

/// Asks with a body of its number and so many octets more, and once again where the answer is `more`.
struct Numbers {
    octets: usize,
}

impl Requester for Numbers {
    fn request(&mut self, number: u64, request: &mut Vec<u8>) -> Result<(), Failure> {
        write(request, &format!("{number}{}", "x".repeat(self.octets)));
        Ok(())
    }

    fn answered(&mut self, status: u16, body: &[u8], request: &mut Vec<u8>) -> Result<(), Failure> {
        match (status, body) {
            (200, b"hello") => {}
            (200, b"more") => write(request, "more"),
            _ => return Err(format!("status {status}").into()),
        }
        Ok(())
    }
}

fn write(request: &mut Vec<u8>, body: &str) {
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(body.as_bytes());
}

fn plan(clients: u64, requests: u64) -> Plan {
    Plan { clients, requests, gap: Duration::ZERO, limit: Duration::from_secs(60) }
}

fn drive(plan: &Plan, address: SocketAddr, threads: u64) -> Outcome {
    run(plan, address, threads, || Numbers { octets: 0 }).unwrap()
}

#[test]
fn each_request_is_sent_once_whatever_its_answers_look_like() {
    for (name, script, connections) in [
        ("plain", &[Act::Answer(PLAIN)][..], 3),
        ("chunked", &[Act::Answer(CHUNKED)], 3),
        ("in pieces", &[Act::Pieces(PLAIN), Act::Pieces(CHUNKED)], 3),
        ("late", &[Act::Answer(PLAIN), Act::Late(CHUNKED, 3)], 3),
        ("the last of its connection", &[Act::Answer(PLAIN), Act::Close(LAST)], 15),
        ("until closed", &[Act::Close(UNTIL_CLOSED)], 30),
    ] {
        for threads in [1, 2] {
            let (address, seen) = serve(script);
            let outcome = drive(&plan(3, 30), address, threads);
            assert_eq!((outcome.latencies.len(), outcome.first_failure), (30, None), "{name}");
            let mut numbers: Vec<u64> = seen.bodies.lock().unwrap().iter().map(|body| body.parse().unwrap()).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..30).collect::<Vec<_>>(), "{name}");
            // Which connection gets how many requests is left to chance, and with it where one ends; a second thread may
            // come too late for any.
            let opened = seen.connections.load(Ordering::Relaxed);
            assert!((connections..=connections + 3).contains(&opened) || threads == 2, "{name}: {opened}");
            assert!(opened <= connections + 3, "{name}: {opened}");
        }
    }
}

#[test]
fn a_connection_is_kept_after_an_answer_that_is_a_failure() {
    let (address, seen) = serve(&[Act::Answer(PLAIN), Act::Answer(BUSY)]);
    let outcome = drive(&plan(1, 30), address, 1);
    assert_eq!((outcome.latencies.len(), outcome.failures), (15, 15));
    assert_eq!(outcome.first_failure.as_deref(), Some("status 503"));
    assert_eq!(seen.connections.load(Ordering::Relaxed), 1);
}

#[test]
fn a_connection_that_ends_without_an_answer_is_a_failure_and_another_is_opened() {
    let (address, seen) = serve(&[Act::Answer(PLAIN), Act::Close("HTTP/1.1 200 OK\r\n")]);
    let outcome = drive(&plan(1, 30), address, 1);
    assert_eq!((outcome.latencies.len(), outcome.failures), (15, 15));
    assert_eq!(outcome.first_failure.as_deref(), Some("the peer closed the connection"));
    assert_eq!(seen.connections.load(Ordering::Relaxed), 15);
}

#[test]
fn a_connection_that_ends_with_its_answer_is_replaced() {
    let (address, seen) = serve(&[Act::Answer(PLAIN), Act::CloseWith(PLAIN)]);
    let outcome = drive(&plan(1, 30), address, 1);
    assert_eq!((outcome.latencies.len(), outcome.first_failure), (30, None));
    assert_eq!(seen.connections.load(Ordering::Relaxed), 15);
}

#[test]
fn a_connection_that_ends_while_nothing_is_asked_is_given_up_in_silence() {
    let (address, _) = serve(&[Act::Answer(PLAIN)]);
    let (plan, next, start) = (plan(1, 1), AtomicU64::new(0), Instant::now());
    let mut driver = Driver::new(&plan, address, &next, start).unwrap();
    let mut place = Place::new(Numbers { octets: 0 }, start);
    place.channel = Some(Channel::open(address, driver.epoll.as_fd(), 0).unwrap());
    place.state = State::Due(0);
    driver.proceed(0, &mut place, EventFlags::IN | EventFlags::RDHUP);
    assert!(place.channel.is_none() && place.state == State::Due(0) && driver.outcome.failures == 0);
}

#[test]
fn clients_give_up_after_failures_in_a_row() {
    // A socket that does not listen refuses connections.
    let deaf = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&deaf, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let refusing = rustix::net::getsockname(&deaf).unwrap().try_into().unwrap();
    for address in [refusing, serve(&[Act::Close("")]).0] {
        let outcome = drive(&plan(2, 1_000), address, 1);
        assert_eq!((outcome.latencies.len(), outcome.failures), (0, 40), "{:?}", outcome.first_failure);
    }
}

#[test]
fn latencies_are_of_the_whole_exchange() {
    let (address, _) = serve(&[Act::Late(PLAIN, 30)]);
    let outcome = drive(&plan(4, 8), address, 1);
    assert_eq!(outcome.latencies.len(), 8);
    assert!(outcome.latencies.iter().all(|latency| *latency >= 30_000_000));
}

#[test]
fn one_thread_has_a_request_under_way_on_each_connection() {
    let (address, _) = serve(&[Act::Together(PLAIN)]);
    let outcome = drive(&plan(TOGETHER as u64, 40), address, 1);
    assert_eq!((outcome.latencies.len(), outcome.first_failure), (40, None));
}

#[test]
fn paced_requests_begin_when_they_are_due() {
    let (address, _) = serve(&[Act::Answer(PLAIN)]);
    let outcome = drive(&Plan { gap: Duration::from_millis(20), ..plan(2, 10) }, address, 1);
    assert_eq!(outcome.latencies.len(), 10);
    // The fifth of each client begins after four gaps.
    assert!(outcome.elapsed >= Duration::from_millis(80));
}

#[test]
fn no_request_begins_when_the_time_is_over() {
    let (address, seen) = serve(&[Act::Late(PLAIN, 40)]);
    let outcome = drive(&Plan { limit: Duration::from_millis(100), ..plan(1, 1_000) }, address, 1);
    assert!(outcome.failures == 0 && outcome.latencies.len() <= 3);
    assert_eq!(seen.bodies.lock().unwrap().len(), outcome.latencies.len());
}

#[test]
fn what_an_answer_asks_for_is_asked_under_the_same_number() {
    let (address, seen) = serve(&[Act::Answer(MORE), Act::Answer(MORE), Act::Answer(PLAIN)]);
    let outcome = drive(&plan(1, 2), address, 1);
    assert_eq!((outcome.latencies.len(), outcome.first_failure), (2, None));
    assert_eq!(*seen.bodies.lock().unwrap(), ["0", "more", "more", "1", "more", "more"]);
}

#[test]
fn a_request_larger_than_what_the_system_keeps_goes_out_in_parts() {
    let (address, seen) = serve(&[Act::Late(PLAIN, 5)]);
    let outcome = run(&plan(2, 4), address, 1, || Numbers { octets: 16 << 20 }).unwrap();
    assert_eq!((outcome.latencies.len(), outcome.first_failure), (4, None));
    assert!(seen.bodies.lock().unwrap().iter().all(|body| body.len() == (16 << 20) + 1));
}

#[test]
fn an_answer_to_half_a_request_ends_its_connection() {
    let (address, seen) = serve(&[Act::Early(BUSY)]);
    let outcome = run(&plan(1, 3), address, 1, || Numbers { octets: 16 << 20 }).unwrap();
    assert_eq!((outcome.latencies.len(), outcome.failures), (0, 3));
    assert_eq!(outcome.first_failure.as_deref(), Some("status 503"));
    assert_eq!(seen.connections.load(Ordering::Relaxed), 3);
}
