//! One connection: moves octets between the socket and the session, and does what the session asks for.

use crate::door::{self, Guest};
use crate::listener::{Encryption, Handler, Peer, Shared};
use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_core::client_rate::{Deed, Exceeded};
use postfleet_core::{EmailAddress, ReversePath, UnixMicros};
use postfleet_mailflow::receive::{Arriving, Offer};
use postfleet_net::Clock;
use postfleet_trace::{Empty, Instrument, count, span};
use postfleet_wire::smtp::server::{Session, Step};
use postfleet_wire::smtp::{EnhancedStatus, Reply};
use std::io::{Error, ErrorKind, Result};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Octets read at once.
const READ_OCTETS: usize = 64 << 10;
/// How long a client that was sent away may take to read why.
const LINGER: Duration = Duration::from_secs(2);
/// Octets that it may still send meanwhile.
const LINGER_OCTETS: usize = 1 << 20;

/// Runs a session to its end: encrypted from the start, or first in the clear and encrypted after STARTTLS.
pub(crate) async fn run(shared: &Arc<Shared>, stream: TcpStream, peer: Peer, guest: Guest) -> Result<()> {
    let encryption = &shared.listener.encryption;
    let config = shared.listener.config.clone();
    let ends_at = shared.listener.clock.now().plus(shared.listener.limits.session);
    let mut connection = Connection {
        shared,
        peer,
        guest,
        refusals: 0,
        answered: 0,
        is_overloaded: false,
        session: Session::new(config, matches!(encryption, Encryption::FromTheStart(_))),
        announced: None,
        ends_at,
        held: 0,
        pending: Vec::new(),
        stopped: Box::pin(shared.stop.clone().cancelled_owned()),
        alarm: Alarm::default(),
    };
    if let Encryption::FromTheStart(acceptor) = encryption {
        return connection.converse_encrypted(acceptor, stream).await;
    }
    let mut stream = connection.wait_for_silence(stream).await?;
    if connection.converse(&mut stream).await? == Ended::WantsTls {
        let Encryption::OnRequest(acceptor) = encryption else { return Err(Error::other("TLS is not configured")) };
        connection.converse_encrypted(acceptor, stream).await?;
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Ended {
    Closed,
    WantsTls,
}

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    peer: Peer,
    guest: Guest,
    /// Refusals because of what its network has done.
    refusals: u32,
    /// Errors and refusals that are answered.
    answered: u32,
    /// Whether it ends because there is no room for what it brings.
    is_overloaded: bool,
    session: Session,
    /// That a message follows, from its first recipient on.
    announced: Option<Arriving>,
    ends_at: UnixMicros,
    /// What this connection has added to the octets held by all.
    held: usize,
    /// Output on its way, kept for its memory.
    pending: Vec<u8>,
    /// Completes when the service stops. Kept over all reads: to register anew for each costs more than the read.
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    alarm: Alarm,
}

/// The alarm that tells of a silent client. It is set once and not for every read: when it rings, somebody looks
/// whether it still should.
#[derive(Default)]
struct Alarm(Option<BoxFuture<'static, ()>>);

impl Alarm {
    /// Completes at `deadline` or earlier, at the deadline of a read before.
    async fn ring(&mut self, clock: &dyn Clock, deadline: UnixMicros) {
        self.0.get_or_insert_with(|| clock.sleep_until(deadline)).await;
        self.0 = None;
    }
}

enum Input {
    Octets(usize),
    Silence,
    Stop,
}

impl Connection<'_> {
    /// Sees whether the client waits for its greeting, for a moment if that is wanted. What it says before is never looked
    /// at as commands.
    async fn wait_for_silence(&mut self, stream: TcpStream) -> Result<TcpStream> {
        let delay = self.shared.listener.limits.greeting_delay;
        if !delay.is_zero() && !self.guest.is_trusted {
            let clock = &self.shared.listener.clock;
            tokio::select! {
                readable = stream.readable() => readable?,
                () = clock.sleep_until(clock.now().plus(delay)) => {}
                () = &mut self.stopped => {}
            }
        }
        // The socket itself is asked: of what has just come, the runtime may not have been told.
        let socket = stream.into_std()?;
        let is_early = socket.peek(&mut [0]).is_ok_and(|octets| octets > 0);
        let mut stream = TcpStream::from_std(socket)?;
        if is_early {
            let mut octets = [0; 1_024];
            let count = stream.read(&mut octets).await?;
            self.session.feed(&octets[..count]);
        }
        Ok(stream)
    }

    /// Does the handshake, which must not take longer than silence may, and what follows it.
    async fn converse_encrypted(&mut self, acceptor: &TlsAcceptor, stream: TcpStream) -> Result<()> {
        let clock = &self.shared.listener.clock;
        let deadline = clock.now().plus(self.shared.listener.limits.idle);
        let mut stream = tokio::select! {
            stream = acceptor.accept(stream) => stream?,
            () = clock.sleep_until(deadline) => return Err(ErrorKind::TimedOut.into()),
            // Nothing can be said to anybody in the middle of a handshake.
            () = &mut self.stopped => return Ok(()),
        };
        self.session.tls_started();
        self.converse(&mut stream).await?;
        drop(stream.shutdown().await);
        Ok(())
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> Result<Ended> {
        let mut buffer = vec![0; READ_OCTETS];
        let handler = &self.shared.listener.handler.clone();
        if !self.session.is_greeted()
            && let Some(Ok(count)) = stream.read(&mut buffer).now_or_never()
        {
            self.session.feed(&buffer[..count]);
        }
        loop {
            match self.session.step() {
                Step::NeedInput => {
                    if !self.delay_refusals().await {
                        continue;
                    }
                    self.flush(stream).await?;
                    match self.read(stream, &mut buffer).await? {
                        Input::Octets(0) => return Ok(Ended::Closed),
                        Input::Octets(count) => self.feed(&buffer[..count]),
                        Input::Silence => self.session.timed_out(),
                        Input::Stop => self.session.shutting_down(),
                    }
                }
                Step::Authenticate(credentials) => {
                    let verdict = match handler.authenticate(&self.peer, credentials).await {
                        Ok(client) => {
                            let address = client.email.clone();
                            self.peer.client = Some(client);
                            Ok(address)
                        }
                        Err(refusal) => Err(refusal),
                    };
                    self.session.authentication_verdict(verdict);
                }
                Step::Sender => {
                    let verdict = handler.sender(&self.peer).await;
                    self.session.sender_verdict(verdict);
                }
                Step::Recipient(address) => {
                    let verdict = self.recipient(&**handler, &address).await;
                    if verdict.is_ok() && self.announced.is_none() {
                        self.announced = handler.announce();
                    }
                    self.session.recipient_verdict(verdict);
                }
                Step::Message(envelope, message) => {
                    let announced = self.announced.take();
                    let reply = match self.count(Deed::Message) {
                        Ok(()) => {
                            let (octets, recipients) = (count(message.len()), count(envelope.recipients.len()));
                            let span = span!("smtp.data", octets, recipients, reply = Empty);
                            let handled = handler.message(&self.peer, envelope, message, announced);
                            let reply = handled.instrument(span.clone()).await;
                            span.record("reply", i64::from(reply.code()));
                            reply
                        }
                        Err(reply) => reply,
                    };
                    self.session.message_verdict(reply);
                    self.account();
                }
                Step::StartTls => {
                    self.flush(stream).await?;
                    return Ok(Ended::WantsTls);
                }
                Step::Close => {
                    self.flush(stream).await?;
                    stream.shutdown().await?;
                    self.account();
                    if let Some(breach) = self.session.breach() {
                        self.shared.listener.metrics.limited(breach.name());
                    }
                    if self.is_overloaded || self.session.breach().is_some() {
                        self.linger(stream, &mut buffer).await;
                    }
                    return Ok(Ended::Closed);
                }
            }
        }
    }

    /// Judges a recipient: first what its network has done, then whether there is such a mailbox.
    async fn recipient(&mut self, handler: &dyn Handler, address: &EmailAddress) -> std::result::Result<(), Reply> {
        self.look(Deed::Message)?;
        self.count(Deed::Recipient)?;
        // As one that does not exist, until it is seen that it does: many at once cannot find out more than one by one.
        self.count(Deed::UnknownRecipient)?;
        let offer = Offer {
            reverse_path: self.session.reverse_path().unwrap_or(&ReversePath::Null),
            declared_octets: self.session.declared_octets(),
            ip: Some(self.peer.ip),
        };
        let verdict = handler.recipient(&self.peer, offer, address).await;
        if !verdict.as_ref().is_err_and(is_unknown_recipient) {
            let now = self.shared.listener.clock.now();
            self.shared.door.give_back(Deed::UnknownRecipient, self.guest, now);
        }
        verdict
    }

    fn count(&mut self, deed: Deed) -> std::result::Result<(), Reply> {
        let counted = self.shared.door.count(deed, self.guest, self.shared.listener.clock.now());
        counted.map_err(|exceeded| self.refusal(exceeded))
    }

    fn look(&mut self, deed: Deed) -> std::result::Result<(), Reply> {
        let looked = self.shared.door.look(deed, self.guest, self.shared.listener.clock.now());
        looked.map_err(|exceeded| self.refusal(exceeded))
    }

    fn refusal(&mut self, exceeded: Exceeded) -> Reply {
        let (reply, reason) = door::refusal(exceeded);
        self.shared.listener.metrics.limited(reason);
        self.refusals += 1;
        reply
    }

    /// Lets those wait who are refused again and again; only with answers that refuse, so that who has found the right way
    /// is not held up on it. `false` means that too many wait already, and the session ends.
    async fn delay_refusals(&mut self) -> bool {
        let tarpit = self.shared.listener.limits.tarpit;
        let refused = self.session.errors() + self.refusals;
        let is_new = std::mem::replace(&mut self.answered, refused) < refused;
        if !is_new || refused <= tarpit.after || tarpit.delay.is_zero() || self.guest.is_trusted {
            return true;
        }
        let Some(_place) = self.shared.door.delay(&self.shared.listener.limits) else {
            self.shared.listener.metrics.limited("tarpit_full");
            self.session.too_many_errors();
            return false;
        };
        self.shared.listener.metrics.limited("tarpit");
        let clock = &self.shared.listener.clock;
        tokio::select! {
            () = clock.sleep_until(clock.now().plus(tarpit.delay)) => {}
            () = &mut self.stopped => {}
        }
        true
    }

    /// Gives the client time to read why it was sent away: what it has sent and nobody has read would have the answer thrown
    /// away with the connection.
    async fn linger<S: AsyncRead + Unpin>(&mut self, stream: &mut S, buffer: &mut [u8]) {
        let clock = &self.shared.listener.clock;
        let mut over = clock.sleep_until(clock.now().plus(LINGER));
        let mut left = LINGER_OCTETS;
        loop {
            tokio::select! {
                count = stream.read(buffer) => match count {
                    Ok(count) if count > 0 && count < left => left -= count,
                    _ => return,
                },
                () = &mut over => return,
                () = &mut self.stopped => return,
            }
        }
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> Result<()> {
        self.session.swap_output(&mut self.pending);
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut written = pin!(async {
            stream.write_all(&self.pending).await?;
            stream.flush().await
        });
        // A client that takes its replies is the rule, and no alarm is set for it.
        if let Some(written) = written.as_mut().now_or_never() {
            return written;
        }
        let clock = &self.shared.listener.clock;
        let deadline = clock.now().plus(self.shared.listener.limits.idle);
        tokio::select! {
            biased;
            written = written => written,
            () = clock.sleep_until(deadline) => Err(ErrorKind::TimedOut.into()),
        }
    }

    async fn read<S: AsyncRead + Unpin>(&mut self, stream: &mut S, buffer: &mut [u8]) -> Result<Input> {
        let clock = &*self.shared.listener.clock;
        let deadline = clock.now().plus(self.shared.listener.limits.idle).min(self.ends_at);
        // A message that has begun is taken to its end even while the service stops.
        let is_midway = self.session.buffered_octets() > 0;
        loop {
            tokio::select! {
                biased;
                count = stream.read(buffer) => return Ok(Input::Octets(count?)),
                () = &mut self.stopped, if !is_midway => return Ok(Input::Stop),
                () = self.alarm.ring(clock, deadline) => {
                    if clock.now() >= deadline {
                        return Ok(Input::Silence);
                    }
                }
            }
        }
    }

    fn feed(&mut self, octets: &[u8]) {
        self.session.feed(octets);
        self.account();
        let total = self.shared.buffered.load(Ordering::Relaxed);
        // Over the limit the sender is asked to come back; nothing was accepted, so nothing is lost.
        if total > self.shared.listener.limits.buffered_octets {
            self.shared.listener.metrics.limited("memory");
            self.session.overloaded();
            self.is_overloaded = true;
        }
    }

    /// Brings what is held by all up to date with what this session holds.
    fn account(&mut self) {
        let now = self.session.buffered_octets();
        self.shared.buffered.fetch_add(now, Ordering::Relaxed);
        self.shared.buffered.fetch_sub(self.held, Ordering::Relaxed);
        self.held = now;
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.shared.buffered.fetch_sub(self.held, Ordering::Relaxed);
    }
}

/// Whether a recipient was refused because there is no such address here (RFC 3463 §3.2), or no such domain.
fn is_unknown_recipient(reply: &Reply) -> bool {
    let is_about_addresses = |status: EnhancedStatus| status.class == 5 && status.subject == 1;
    reply.enhanced().is_some_and(is_about_addresses)
}
