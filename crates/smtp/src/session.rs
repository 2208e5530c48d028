//! One connection: moves octets between the socket and the session, and does what the session asks for.

use crate::listener::{Encryption, Peer, Shared};
use futures::future::BoxFuture;
use postfleet_core::UnixMicros;
use postfleet_net::Clock;
use postfleet_wire::smtp::server::{Session, Step};
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Octets read at once.
const READ_OCTETS: usize = 64 << 10;

/// Runs a session to its end: encrypted from the start, or first in the clear and encrypted after STARTTLS.
pub(crate) async fn run(shared: &Arc<Shared>, mut stream: TcpStream, peer: Peer) -> Result<()> {
    let encryption = &shared.listener.encryption;
    let config = shared.listener.config.clone();
    let ends_at = shared.listener.clock.now().plus(shared.listener.limits.session);
    let mut connection = Connection {
        shared,
        peer,
        session: Session::new(config, matches!(encryption, Encryption::FromTheStart(_))),
        ends_at,
        held: 0,
        pending: Vec::new(),
        stopped: Box::pin(shared.stop.clone().cancelled_owned()),
        alarm: Alarm::default(),
    };
    if let Encryption::FromTheStart(acceptor) = encryption {
        return connection.converse_encrypted(acceptor, stream).await;
    }
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
    session: Session,
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
        loop {
            match self.session.step() {
                Step::NeedInput => {
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
                    let verdict = handler.recipient(&self.peer, &address, self.session.declared_octets()).await;
                    self.session.recipient_verdict(verdict);
                }
                Step::Message(envelope, message) => {
                    let reply = handler.message(&self.peer, envelope, message).await;
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
                    return Ok(Ended::Closed);
                }
            }
        }
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> Result<()> {
        self.session.swap_output(&mut self.pending);
        if self.pending.is_empty() {
            return Ok(());
        }
        let clock = &self.shared.listener.clock;
        let deadline = clock.now().plus(self.shared.listener.limits.idle);
        tokio::select! {
            // A client that takes its replies is the rule: try it before the timer is looked at.
            biased;
            written = async { stream.write_all(&self.pending).await?; stream.flush().await } => written,
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
            self.session.shutting_down();
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
