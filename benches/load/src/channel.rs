//! A connection that never makes its thread wait: a request goes out and its answer comes in as far as the peer lets them.

use crate::Failure;
use crate::answer::Answer;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

/// What is always waited for: something to read, or that the peer will write no more.
const INCOMING: EventFlags = EventFlags::IN.union(EventFlags::RDHUP);

/// An open connection, or one that is being opened.
pub struct Channel {
    stream: TcpStream,
    /// The number under which `epoll` speaks of it.
    token: u64,
    connecting: bool,
    /// Whether `epoll` says when something can be written, too.
    awaits_room: bool,
    /// Whether the peer will write no more than what can be read by now.
    ends: bool,
    /// Octets of the request that were written.
    written: usize,
    /// When the first octet of the request was written.
    pub began: Option<Instant>,
}

impl Channel {
    /// Begins to connect.
    pub fn open(address: SocketAddr, epoll: BorrowedFd, token: u64) -> Result<Self, Failure> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket: OwnedFd = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        epoll::add(epoll, &stream, EventData::new_u64(token), INCOMING | EventFlags::OUT)?;
        Ok(Self { stream, token, connecting: true, awaits_room: true, ends: false, written: 0, began: None })
    }

    /// Begins with the next request: writes as much of it as goes. One that is still being opened writes it later.
    pub fn send(&mut self, request: &[u8], epoll: BorrowedFd) -> Result<(), Failure> {
        self.written = 0;
        self.began = None;
        if self.connecting { Ok(()) } else { self.write(request, epoll) }
    }

    /// Goes on with what `epoll` says is possible. Returns when the answer was whole, if it is.
    pub fn proceed(
        &mut self,
        flags: EventFlags,
        request: &[u8],
        answer: &mut Answer,
        space: &mut [u8],
        epoll: BorrowedFd,
    ) -> Result<Option<Instant>, Failure> {
        if self.connecting {
            if let Some(error) = self.stream.take_error()? {
                return Err(error.into());
            }
            self.connecting = false;
        }
        self.ends |= flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        // An answer to half a request is an answer, and often all that is left of a connection.
        if self.began.is_some() && flags.intersects(INCOMING | EventFlags::HUP | EventFlags::ERR) {
            let whole = self.read(answer, space)?;
            if whole.is_some() {
                return Ok(whole);
            }
        }
        if self.written < request.len() && !self.ends {
            self.write(request, epoll)?;
        }
        Ok(None)
    }

    /// Whether another request may follow the one that was answered.
    pub fn is_reusable(&self, request: &[u8], answer: &Answer) -> bool {
        !self.ends && !answer.is_last() && self.written == request.len()
    }

    fn write(&mut self, request: &[u8], epoll: BorrowedFd) -> Result<(), Failure> {
        self.began.get_or_insert_with(Instant::now);
        while self.written < request.len() {
            match self.stream.write(&request[self.written..]) {
                Ok(octets) => self.written += octets,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It may have answered before it went. What is read next says so, or what is wrong.
                Err(_) => {
                    self.ends = true;
                    break;
                }
            }
        }
        self.await_room(self.written < request.len() && !self.ends, epoll)
    }

    fn await_room(&mut self, awaited: bool, epoll: BorrowedFd) -> Result<(), Failure> {
        if self.awaits_room != awaited {
            let flags = if awaited { INCOMING | EventFlags::OUT } else { INCOMING };
            epoll::modify(epoll, &self.stream, EventData::new_u64(self.token), flags)?;
            self.awaits_room = awaited;
        }
        Ok(())
    }

    /// Reads once: what is left is spoken of again, and the others have their turn.
    fn read(&mut self, answer: &mut Answer, space: &mut [u8]) -> Result<Option<Instant>, Failure> {
        let octets = match self.stream.read(space) {
            Ok(octets) => octets,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        if octets == 0 {
            answer.closed()?;
        }
        // What nobody asked for makes the connection useless, but not the answer before it.
        self.ends |= answer.take(&space[..octets])? < octets;
        Ok(answer.is_whole().then_some(now))
    }
}
