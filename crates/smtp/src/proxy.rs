//! Whose connection a balancer passes on: reads the PROXY header of those that must send one, and not one octet more.

use crate::listener::Shared;
use postfleet_wire::proxy::{Scan, scan};
use std::io::{Error, ErrorKind, Result};
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long a balancer may take to send its header, which it has at hand.
const HEADER_WAIT: Duration = Duration::from_secs(5);
/// Octets looked at at once.
const PEEK_OCTETS: usize = 512;

/// The address of the client: that of the connection, or what a balancer says.
pub(crate) async fn client_of(shared: &Shared, stream: &mut TcpStream, peer: IpAddr) -> Result<IpAddr> {
    let limits = &shared.listener.limits;
    if !limits.proxies.iter().any(|network| network.contains(peer)) {
        return Ok(peer);
    }
    let clock = &shared.listener.clock;
    let deadline = clock.now().plus(HEADER_WAIT);
    tokio::select! {
        header = read_header(stream) => Ok(header?.unwrap_or(peer)),
        () = clock.sleep_until(deadline) => Err(ErrorKind::TimedOut.into()),
        () = shared.stop.cancelled() => Err(ErrorKind::Interrupted.into()),
    }
}

/// What follows the header is the client's, and may be the beginning of TLS: it stays where it is.
async fn read_header(stream: &mut TcpStream) -> Result<Option<IpAddr>> {
    let (mut octets, mut ahead) = (Vec::new(), [0; PEEK_OCTETS]);
    loop {
        let count = stream.peek(&mut ahead).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let before = octets.len();
        octets.extend_from_slice(&ahead[..count]);
        match scan(&octets).map_err(|invalid| Error::new(ErrorKind::InvalidData, invalid))? {
            Scan::Complete(length, client) => {
                stream.read_exact(&mut ahead[..length - before]).await?;
                return Ok(client);
            }
            // All of it belongs to the header.
            Scan::Incomplete => stream.read_exact(&mut ahead[..count]).await?,
        };
    }
}
