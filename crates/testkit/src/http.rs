//! An HTTP server for tests: a function answers each request, and everything that arrived can be looked at. Just
//! HTTP/1.1 with keep-alive and `Content-Length`, written down plainly so that a test can also misbehave.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// A running HTTP server; stops when dropped. Needs a tokio runtime.
pub struct FakeHttp {
    address: SocketAddr,
    responder: Responder,
    accepting: JoinHandle<()>,
}

/// The part of a [`FakeHttp`] that answers, for connections that a test accepts itself (through TLS, say).
#[derive(Clone)]
pub struct Responder {
    answer: Arc<dyn Fn(&HttpRequest) -> HttpResponse + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
    arrived: Arc<Notify>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<HttpRequest>,
}

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// The first header of that name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    Bytes(Vec<u8>),
    Hold,
    HangUp,
}

impl HttpResponse {
    /// A response with a body and a `Content-Length`.
    pub fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut head = format!("HTTP/1.1 {status} Test\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Self::raw([head.as_bytes(), body].concat())
    }

    /// A response without body or further headers.
    pub fn status(status: u16) -> Self {
        Self::new(status, &[], b"")
    }

    /// Exactly these bytes, whatever they are.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { how: How::Bytes(bytes.into()) }
    }

    /// Nothing, for as long as the client waits.
    pub fn hold() -> Self {
        Self { how: How::Hold }
    }

    /// Nothing, and the connection is closed.
    pub fn hang_up() -> Self {
        Self { how: How::HangUp }
    }
}

impl FakeHttp {
    /// Starts a server on a free port of 127.0.0.1.
    pub async fn start(answer: impl Fn(&HttpRequest) -> HttpResponse + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let responder = Responder::new(answer);
        let accepting = tokio::spawn(accept(listener, responder.clone()));
        Self { address, responder, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What arrived so far.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.responder.requests()
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.responder.lock().connections
    }

    /// Completes once at least `count` requests have arrived.
    pub async fn until_requests(&self, count: usize) {
        self.responder.until_requests(count).await;
    }
}

impl Drop for FakeHttp {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Responder {
    /// A responder without a listener.
    pub fn new(answer: impl Fn(&HttpRequest) -> HttpResponse + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), seen: Arc::default(), arrived: Arc::default() }
    }

    /// What arrived so far.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.lock().requests.clone()
    }

    /// Completes once at least `count` requests have arrived.
    pub async fn until_requests(&self, count: usize) {
        loop {
            // Made before the look, so that a request that arrives in between is not missed.
            let arrival = self.arrived.notified();
            if self.lock().requests.len() >= count {
                return;
            }
            arrival.await;
        }
    }

    /// Answers the requests of one connection until either side closes it.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        self.lock().connections += 1;
        let mut stream = BufStream::new(stream);
        while let Some(request) = read_request(&mut stream).await {
            let response = (self.answer)(&request);
            self.lock().requests.push(request);
            self.arrived.notify_waiters();
            match response.how {
                How::Bytes(bytes) => {
                    if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                How::Hold => {}
                How::HangUp => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, responder: Responder) {
    // Dropped with this task, which ends the connections too.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let responder = responder.clone();
        connections.spawn(async move { responder.serve(stream).await });
    }
}

async fn read_request(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<HttpRequest> {
    let first = read_line(stream).await?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = HttpRequest { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}

/// One line without its end; `None` when the connection is closed.
async fn read_line(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut line = String::new();
    let octets = stream.read_line(&mut line).await.ok()?;
    (octets > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn answers_and_remembers() {
        let server =
            FakeHttp::start(|request| HttpResponse::new(201, &[("X-Path", &request.path)], &request.body)).await;
        let mut client = TcpStream::connect(server.address()).await.expect("connected");
        client.write_all(b"POST /a?b HTTP/1.1\r\nContent-Length: 4\r\nX-One: 1\r\n\r\nbody").await.expect("sent");
        server.until_requests(1).await;
        let expected = "HTTP/1.1 201 Test\r\nContent-Length: 4\r\nX-Path: /a?b\r\n\r\nbody";
        let mut answer = vec![0; expected.len()];
        client.read_exact(&mut answer).await.expect("answer");
        assert_eq!(String::from_utf8(answer).expect("text"), expected);
        let request = &server.requests()[0];
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/a?b"));
        assert_eq!(request.header("x-one"), Some("1"));
        assert_eq!(server.connections(), 1);
    }
}
