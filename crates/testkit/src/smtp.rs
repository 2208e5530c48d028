//! A mail server for tests, written down plainly and without the code that it is used to test: it takes what it is
//! sent, answers as a function says, and can hang up at any moment. Just RFC 5321 with pipelining, and TLS and signing in
//! where it is told to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A running mail server; stops when dropped. Needs a tokio runtime.
pub struct FakeSmtp {
    address: SocketAddr,
    peer: Arc<Peer>,
    accepting: JoinHandle<()>,
}

/// A moment at which the server has something to say.
#[derive(Debug)]
pub enum SmtpMoment<'a> {
    /// Somebody has connected.
    Greeting,
    /// Somebody wants to encrypt.
    StartTls,
    /// Somebody signs in with these words.
    Login(&'a str),
    /// A recipient was named.
    Recipient(&'a str),
    /// The dot that ends a message has come.
    Message(&'a SmtpMessage),
}

/// What it says then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmtpAnswer {
    /// What is usual: 220 or 250.
    Good,
    /// This line.
    Say(String),
    /// Nothing, and the connection is closed.
    HangUp,
}

/// What a server offers besides the usual.
#[derive(Clone, Default)]
pub struct SmtpOffer {
    /// STARTTLS with this certificate.
    pub tls: Option<TlsAcceptor>,
    /// TLS from the first octet on, instead of STARTTLS.
    pub is_implicit: bool,
    /// AUTH PLAIN.
    pub login: bool,
}

/// A message as it was transferred, whatever was answered to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmtpMessage {
    /// Without angle brackets.
    pub reverse_path: String,
    /// Those that were not refused, without angle brackets.
    pub recipients: Vec<String>,
    /// Without the dots that were added on the way.
    pub content: Vec<u8>,
    /// What the client called itself.
    pub helo: String,
    /// Where it came from.
    pub client: Option<IpAddr>,
    /// Whether the connection was encrypted.
    pub is_encrypted: bool,
}

impl SmtpMessage {
    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// How often a header field stands in it.
    pub fn count_fields(&self, name: &str) -> usize {
        let text = self.text();
        let header = text.split("\r\n\r\n").next().unwrap_or_default();
        let is_named = |line: &&str| line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name));
        header.split("\r\n").filter(is_named).count()
    }
}

type Answer = dyn Fn(SmtpMoment<'_>) -> SmtpAnswer + Send + Sync;

struct Peer {
    answer: Box<Answer>,
    offer: SmtpOffer,
    messages: Mutex<Vec<SmtpMessage>>,
}

impl FakeSmtp {
    /// Starts a server on a free port of 127.0.0.1.
    pub async fn start(answer: impl Fn(SmtpMoment<'_>) -> SmtpAnswer + Send + Sync + 'static) -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_at(anywhere, SmtpOffer::default(), answer).await
    }

    /// Starts a server at an address, with what it offers.
    pub async fn start_at(
        address: SocketAddr,
        offer: SmtpOffer,
        answer: impl Fn(SmtpMoment<'_>) -> SmtpAnswer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let peer = Arc::new(Peer { answer: Box::new(answer), offer, messages: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, peer.clone()));
        Self { address, peer, accepting }
    }

    /// Starts a server that accepts everything.
    pub async fn accepting() -> Self {
        Self::start(|_| SmtpAnswer::Good).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was transferred so far.
    pub fn messages(&self) -> Vec<SmtpMessage> {
        self.peer.messages().clone()
    }
}

impl Drop for FakeSmtp {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Peer {
    fn messages(&self) -> MutexGuard<'_, Vec<SmtpMessage>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, peer: Arc<Peer>) {
    // Dropped with this task, which ends the connections too.
    let mut connections = JoinSet::new();
    while let Ok((stream, client)) = listener.accept().await {
        let peer = peer.clone();
        connections.spawn(async move { converse(peer, stream, client.ip()).await });
    }
}

async fn converse(peer: Arc<Peer>, stream: TcpStream, client: IpAddr) -> Option<()> {
    let is_encrypted = peer.offer.is_implicit;
    let stream: Box<dyn Octets> = match &peer.offer.tls {
        Some(tls) if is_encrypted => Box::new(tls.accept(stream).await.ok()?),
        _ => Box::new(stream),
    };
    Conversation { peer, stream: BufStream::new(stream), client, is_encrypted }.run().await
}

trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Octets for T {}

struct Conversation {
    peer: Arc<Peer>,
    stream: BufStream<Box<dyn Octets>>,
    client: IpAddr,
    is_encrypted: bool,
}

impl Conversation {
    /// Answers commands until either side has had enough; that is `None`.
    async fn run(mut self) -> Option<()> {
        self.answer(SmtpMoment::Greeting, "220 fake.test ESMTP").await?;
        let (mut message, mut helo) = (SmtpMessage::default(), String::new());
        loop {
            let line = String::from_utf8_lossy(&self.line().await?).trim_end().to_owned();
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "HELO" => {
                    helo = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    let hello = self.hello();
                    self.say(&hello).await?;
                }
                "STARTTLS" if self.offers_tls() => {
                    if self.answer(SmtpMoment::StartTls, "220 2.0.0 go on").await? {
                        self = self.encrypted().await?;
                    }
                }
                "AUTH" if self.peer.offer.login => {
                    self.answer(SmtpMoment::Login(&line), "235 2.7.0 welcome").await?;
                }
                "MAIL" => {
                    let (client, is_encrypted, helo) = (Some(self.client), self.is_encrypted, helo.clone());
                    let reverse_path = path(&line);
                    message = SmtpMessage { reverse_path, client, is_encrypted, helo, ..SmtpMessage::default() };
                    self.say("250 2.1.0 ok").await?;
                }
                "RCPT" => {
                    let recipient = path(&line);
                    if self.answer(SmtpMoment::Recipient(&recipient), "250 2.1.5 ok").await? {
                        message.recipients.push(recipient);
                    }
                }
                "DATA" if message.recipients.is_empty() => self.say("554 5.5.1 no valid recipients").await?,
                "DATA" => {
                    self.say("354 go on").await?;
                    message.content = self.content().await?;
                    self.peer.messages().push(message.clone());
                    self.answer(SmtpMoment::Message(&message), "250 2.0.0 taken").await?;
                }
                "RSET" | "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" => return self.say("221 2.0.0 bye").await,
                _ => self.say("500 5.5.2 what?").await?,
            }
        }
    }

    fn offers_tls(&self) -> bool {
        self.peer.offer.tls.is_some() && !self.is_encrypted
    }

    fn hello(&self) -> String {
        let mut hello = "250-fake.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n".to_owned();
        for (line, is_offered) in [("STARTTLS", self.offers_tls()), ("AUTH PLAIN", self.peer.offer.login)] {
            if is_offered {
                hello.push_str(&format!("250-{line}\r\n"));
            }
        }
        hello + "250 ENHANCEDSTATUSCODES"
    }

    /// The same conversation, encrypted. Whoever spoke too early has spoken in vain.
    async fn encrypted(self) -> Option<Self> {
        let tls = self.peer.offer.tls.clone()?;
        let stream: Box<dyn Octets> = Box::new(tls.accept(self.stream.into_inner()).await.ok()?);
        Some(Self { stream: BufStream::new(stream), is_encrypted: true, ..self })
    }

    /// Says what the test wants, or the usual; tells whether that was positive.
    async fn answer(&mut self, moment: SmtpMoment<'_>, usual: &str) -> Option<bool> {
        let line = match (self.peer.answer)(moment) {
            SmtpAnswer::Good => usual.to_owned(),
            SmtpAnswer::Say(line) => line,
            SmtpAnswer::HangUp => return None,
        };
        self.say(&line).await?;
        Some(line.starts_with('2'))
    }

    async fn say(&mut self, line: &str) -> Option<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.ok()?;
        self.stream.flush().await.ok()
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let octets = self.stream.read_until(b'\n', &mut line).await.ok()?;
        (octets > 0).then_some(line)
    }

    /// Everything up to the line that is a single dot (RFC 5321 §4.5.2).
    async fn content(&mut self) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                return Some(content);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

fn path(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(path, _)| path.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn takes_a_message_and_remembers_it() {
        let server = FakeSmtp::start(|moment| match moment {
            SmtpMoment::Recipient("bad@x.test") => SmtpAnswer::Say("550 5.1.1 no".into()),
            _ => SmtpAnswer::Good,
        })
        .await;
        let mut client = TcpStream::connect(server.address()).await.expect("connected");
        let script = "EHLO a\r\nMAIL FROM:<s@x.test>\r\nRCPT TO:<bad@x.test>\r\nRCPT TO:<good@x.test>\r\nDATA\r\n\
                      Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
        client.write_all(script.as_bytes()).await.expect("sent");
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.expect("answers");
        let codes: Vec<&str> =
            answers.lines().filter(|line| !line.starts_with("250-")).map(|line| &line[..3]).collect();
        assert_eq!(codes, ["220", "250", "250", "550", "250", "354", "250", "221"]);
        let message = &server.messages()[0];
        assert_eq!(
            (message.reverse_path.as_str(), message.recipients.as_slice()),
            ("s@x.test", &["good@x.test".to_owned()][..])
        );
        assert_eq!(message.text(), "Subject: x\r\n\r\n.dot\r\n");
        assert_eq!(message.count_fields("subject"), 1);
    }

    #[tokio::test]
    async fn hangs_up_when_told_to() {
        let server = FakeSmtp::start(|_| SmtpAnswer::HangUp).await;
        let mut client = TcpStream::connect(server.address()).await.expect("connected");
        assert_eq!(client.read(&mut [0; 16]).await.expect("closed"), 0);
    }
}
