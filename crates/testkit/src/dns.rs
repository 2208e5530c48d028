//! A name server for tests: answers A, AAAA, MX, TXT, PTR, TLSA and CNAME questions from a zone in memory, over UDP and (what is
//! too long for that) TCP on loopback, and can fail or stay silent for a name. Only as much of RFC 1035 as a resolver
//! needs to be content.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const TLSA: u16 = 52;

const CLASS_IN: u16 = 1;
const TIME_TO_LIVE: u32 = 300;

const SERVER_FAILURE: u8 = 2;
const NAME_ERROR: u8 = 3;

/// Octets of the longest answer over UDP; a longer one is cut off and fetched over TCP.
const DATAGRAM_OCTETS_MAX: usize = 1_232;

/// How long a TCP connection may be silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running name server; stops when dropped. Names may be added while it runs.
pub struct FakeDns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Zone {
    records: BTreeMap<String, Vec<Record>>,
    failing: BTreeSet<String>,
    silent: BTreeSet<String>,
    signed: BTreeSet<String>,
    queries: Vec<String>,
    stopped: bool,
}

#[derive(Clone)]
struct Record {
    kind: u16,
    data: Vec<u8>,
}

impl FakeDns {
    /// Starts a server with an empty zone: every name answers NXDOMAIN.
    pub fn start() -> Self {
        let (socket, listener) = sockets();
        let address = socket.local_addr().expect("bound");
        let zone = Arc::new(Mutex::new(Zone::default()));
        let (datagrams, connections) = (zone.clone(), zone.clone());
        let threads = vec![
            std::thread::spawn(move || serve(&socket, &datagrams)),
            std::thread::spawn(move || serve_connections(&listener, &connections)),
        ];
        Self { address, zone, threads }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an IPv4 address.
    pub fn a(&self, name: &str, address: impl Into<Ipv4Addr>) {
        self.add(name, A, address.into().octets().to_vec());
    }

    /// Adds an IPv6 address.
    pub fn aaaa(&self, name: &str, address: Ipv6Addr) {
        self.add(name, AAAA, address.octets().to_vec());
    }

    /// Adds a mail exchanger; `"."` for a domain that takes no mail (RFC 7505).
    pub fn mx(&self, name: &str, preference: u16, host: &str) {
        let mut data = preference.to_be_bytes().to_vec();
        data.extend(encode_name(host));
        self.add(name, MX, data);
    }

    /// Adds a text, cut into strings of 255 octets as RFC 1035 §3.3 asks.
    pub fn txt(&self, name: &str, text: &str) {
        let strings = text.as_bytes().chunks(255);
        let data = strings.flat_map(|string| [&[string.len() as u8], string].concat()).collect();
        self.add(name, TXT, data);
    }

    /// Adds a name to an address, given as it stands in the DNS: `1.2.0.192.in-addr.arpa`.
    pub fn ptr(&self, name: &str, host: &str) {
        self.add(name, PTR, encode_name(host));
    }

    /// Makes `name` an alias; the answer includes the records of its target.
    pub fn cname(&self, name: &str, target: &str) {
        self.add(name, CNAME, encode_name(target));
    }

    /// Adds what is said about a server's certificate (usage, selector, matching type; RFC 6698 §2.1).
    pub fn tlsa(&self, name: &str, kinds: [u8; 3], data: &[u8]) {
        self.add(name, TLSA, [&kinds, data].concat());
    }

    /// Vouches for what stands at `name` towards those who ask whether it does, as a server that checks signatures.
    pub fn signed(&self, name: &str) {
        self.lock().signed.insert(key(name));
    }

    /// Makes every question about `name` answer SERVFAIL.
    pub fn fails(&self, name: &str) {
        self.lock().failing.insert(key(name));
    }

    /// Makes every question about `name` go unanswered.
    pub fn silent(&self, name: &str) {
        self.lock().silent.insert(key(name));
    }

    /// Takes everything away that stands at `name`.
    pub fn forget(&self, name: &str) {
        let mut zone = self.lock();
        zone.records.remove(&key(name));
        zone.failing.remove(&key(name));
        zone.silent.remove(&key(name));
    }

    /// What was asked so far, each as `name KIND`.
    pub fn queries(&self) -> Vec<String> {
        self.lock().queries.clone()
    }

    fn add(&self, name: &str, kind: u16, data: Vec<u8>) {
        self.lock().records.entry(key(name)).or_default().push(Record { kind, data });
    }

    fn lock(&self) -> MutexGuard<'_, Zone> {
        lock(&self.zone)
    }
}

impl Drop for FakeDns {
    fn drop(&mut self) {
        self.lock().stopped = true;
        // Any datagram or connection makes the threads look.
        let wake = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], self.address));
        if wake.is_ok() && TcpStream::connect(self.address).is_ok() {
            for thread in self.threads.drain(..) {
                let _ = thread.join();
            }
        }
    }
}

/// A port that is free for both.
fn sockets() -> (UdpSocket, TcpListener) {
    let pair = |_| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
        let listener = TcpListener::bind(socket.local_addr().expect("bound")).ok()?;
        Some((socket, listener))
    };
    (0..100).find_map(pair).expect("a port that is free for UDP and TCP")
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut buffer = [0; 4_096];
    loop {
        let received = socket.recv_from(&mut buffer);
        let mut zone = lock(zone);
        if zone.stopped {
            return;
        }
        // A client that has gone away shows up as an error here; the next one is waited for.
        let Ok((length, client)) = received else { continue };
        let Some(question) = parse_question(&buffer[..length]) else { continue };
        if let Some(reply) = zone.reply(&question) {
            let reply = if reply.len() > DATAGRAM_OCTETS_MAX { cut_off(&question) } else { reply };
            let _ = socket.send_to(&reply, client);
        }
    }
}

/// No answer, and the flag that says that there is one over TCP (RFC 2181 §9).
fn cut_off(question: &Question) -> Vec<u8> {
    let mut reply = encode_reply(question, SERVER_FAILURE, &[]);
    reply[2] |= 0b0000_0010;
    reply[3] &= 0b1111_0000;
    reply
}

fn serve_connections(listener: &TcpListener, zone: &Mutex<Zone>) {
    for connection in listener.incoming() {
        if lock(zone).stopped {
            return;
        }
        let Ok(mut connection) = connection else { continue };
        let _ = connection.set_read_timeout(Some(PATIENCE));
        // A client keeps its connection for further questions: the next client must not wait for that.
        let _ = answer_one(&mut connection, zone);
    }
}

/// A message over TCP has its length before it (RFC 1035 §4.2.2).
fn answer_one(connection: &mut TcpStream, zone: &Mutex<Zone>) -> std::io::Result<()> {
    let mut length = [0; 2];
    connection.read_exact(&mut length)?;
    let mut packet = vec![0; u16::from_be_bytes(length).into()];
    connection.read_exact(&mut packet)?;
    let reply = parse_question(&packet).and_then(|question| lock(zone).reply(&question)).unwrap_or_default();
    let length = u16::try_from(reply.len()).unwrap_or(0);
    connection.write_all(&length.to_be_bytes())?;
    connection.write_all(&reply)
}

struct Question {
    id: [u8; 2],
    name: String,
    kind: u16,
    /// The AD bit: whether the answer is vouched for is to be told (RFC 6840 §5.7).
    wants_authenticity: bool,
    /// Name, kind and class as they came: the reply repeats them, the case of letters included.
    raw: Vec<u8>,
}

/// The header is 12 octets, then comes the one question (RFC 1035 §4.1); what follows (EDNS) is ignored.
fn parse_question(packet: &[u8]) -> Option<Question> {
    let id = [*packet.first()?, *packet.get(1)?];
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).into_owned());
        at += length;
    }
    let kind = u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]);
    let raw = packet.get(12..at + 4)?.to_vec();
    let wants_authenticity = packet[3] & 0b0010_0000 != 0;
    Some(Question { id, name: key(&labels.join(".")), kind, wants_authenticity, raw })
}

impl Zone {
    fn reply(&mut self, question: &Question) -> Option<Vec<u8>> {
        self.queries.push(format!("{} {}", question.name, kind_name(question.kind)));
        if self.silent.contains(&question.name) {
            return None;
        }
        if self.failing.contains(&question.name) {
            return Some(encode_reply(question, SERVER_FAILURE, &[]));
        }
        let answers = self.answers(&question.name, question.kind);
        let code = if self.records.contains_key(&question.name) { 0 } else { NAME_ERROR };
        let mut reply = encode_reply(question, code, &answers);
        let is_signed = |(name, _): &(String, Record)| self.signed.contains(&key(name));
        if question.wants_authenticity && !answers.is_empty() && answers.iter().all(is_signed) {
            reply[3] |= 0b0010_0000;
        }
        Some(reply)
    }

    /// The records of a name, or its alias and the records behind that (RFC 1034 §4.3.2).
    fn answers(&self, name: &str, kind: u16) -> Vec<(String, Record)> {
        let (mut answers, mut name) = (Vec::new(), name.to_owned());
        loop {
            let records = self.records.get(&name).map(Vec::as_slice).unwrap_or_default();
            let wanted = records.iter().filter(|record| record.kind == kind);
            answers.extend(wanted.map(|record| (name.clone(), record.clone())));
            let alias = records.iter().find(|record| record.kind == CNAME && kind != CNAME);
            let Some(alias) = alias.filter(|_| answers.len() < 16) else { return answers };
            answers.push((name, alias.clone()));
            name = decode_name(&alias.data);
        }
    }
}

fn encode_reply(question: &Question, code: u8, answers: &[(String, Record)]) -> Vec<u8> {
    // A negative answer carries the SOA of its zone, which says for how long it may be kept (RFC 2308 §3).
    let negative = answers.is_empty() && code != SERVER_FAILURE;
    let mut reply = question.id.to_vec();
    // Flags: response, authoritative, recursion desired and available.
    reply.extend([0b1000_0101, 0b1000_0000 | code]);
    for count in [1, answers.len() as u16, u16::from(negative), 0] {
        reply.extend(count.to_be_bytes());
    }
    reply.extend(&question.raw);
    for (name, record) in answers {
        encode_record(&mut reply, name, record);
    }
    if negative {
        encode_record(&mut reply, &question.name, &Record { kind: SOA, data: soa() });
    }
    reply
}

fn encode_record(reply: &mut Vec<u8>, name: &str, record: &Record) {
    reply.extend(encode_name(name));
    reply.extend(record.kind.to_be_bytes());
    reply.extend(CLASS_IN.to_be_bytes());
    reply.extend(TIME_TO_LIVE.to_be_bytes());
    reply.extend((record.data.len() as u16).to_be_bytes());
    reply.extend(&record.data);
}

fn soa() -> Vec<u8> {
    let mut data = [encode_name("ns.invalid"), encode_name("hostmaster.invalid")].concat();
    for number in [1, 3_600, 600, 86_400, TIME_TO_LIVE] {
        data.extend(u32::to_be_bytes(number));
    }
    data
}

fn encode_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut encoded: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    encoded.push(0);
    encoded
}

fn decode_name(mut encoded: &[u8]) -> String {
    let mut labels = Vec::new();
    while let Some((label, rest)) =
        encoded.split_first().and_then(|(length, rest)| rest.split_at_checked((*length).into()))
    {
        if label.is_empty() {
            break;
        }
        labels.push(String::from_utf8_lossy(label).into_owned());
        encoded = rest;
    }
    key(&labels.join("."))
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn kind_name(kind: u16) -> String {
    match kind {
        A => "A".to_owned(),
        AAAA => "AAAA".to_owned(),
        CNAME => "CNAME".to_owned(),
        MX => "MX".to_owned(),
        PTR => "PTR".to_owned(),
        TXT => "TXT".to_owned(),
        other => format!("TYPE{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks and returns the response code, the number of answers and the whole reply.
    fn ask(dns: &FakeDns, name: &str, kind: u16) -> (u8, u16, Vec<u8>) {
        let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(encode_name(name));
        query.extend([kind.to_be_bytes(), CLASS_IN.to_be_bytes()].concat());
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
        socket.send_to(&query, dns.address()).expect("sent");
        let mut buffer = [0; 1_024];
        let length = socket.recv(&mut buffer).expect("reply");
        assert_eq!(buffer[..2], [0xab, 0xcd]);
        (buffer[3] & 0x0f, u16::from_be_bytes([buffer[6], buffer[7]]), buffer[..length].to_vec())
    }

    #[test]
    fn answers_what_the_zone_holds() {
        let dns = FakeDns::start();
        dns.a("Host.Example", [192, 0, 2, 1]);
        dns.cname("alias.example", "host.example");
        dns.fails("broken.example");
        let (code, answers, reply) = ask(&dns, "host.example", A);
        assert_eq!((code, answers), (0, 1));
        assert!(reply.ends_with(&[0, 4, 192, 0, 2, 1]));
        assert_eq!(ask(&dns, "alias.example", A).1, 2);
        assert_eq!(ask(&dns, "host.example", MX).0, 0);
        assert_eq!(ask(&dns, "host.example", MX).1, 0);
        assert_eq!(ask(&dns, "nowhere.example", A).0, NAME_ERROR);
        assert_eq!(ask(&dns, "broken.example", A).0, SERVER_FAILURE);
        assert_eq!(dns.queries()[0], "host.example A");
    }

    #[test]
    fn the_port_is_free_again_after_it() {
        let dns = FakeDns::start();
        let address = dns.address();
        drop(dns);
        UdpSocket::bind(address).expect("free");
    }
}
