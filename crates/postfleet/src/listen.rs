//! Opens the sockets on which a node listens, all in the same way.

use anyhow::{Context, Result};
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted. Whoever comes when so many wait tries again after a second only, so that a burst of
/// clients must fit in. The system may have a smaller limit (on Linux `net.core.somaxconn`, 4,096 if nobody changed it).
const WAITING_MAX: u32 = 4_096;

/// Listens on the address that is configured as `key`.
///
/// # Errors
///
/// If that is not possible, by the names of the key and of the address: it is in use, is of another machine, or is not allowed.
pub fn bind(key: &str, address: SocketAddr) -> Result<TcpListener> {
    open(address).with_context(|| format!("{key}: failed to listen on {address}"))
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A node that is started anew does not wait for connections of the one before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_MAX)
}

#[cfg(test)]
mod tests {
    use super::bind;
    use futures::future::try_join_all;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    #[tokio::test]
    async fn a_burst_of_clients_waits_until_it_is_accepted() {
        let socket = bind("http.listen", ANY_PORT.into()).expect("a free port");
        let address = socket.local_addr().expect("bound");
        let clients = try_join_all((0..300).map(|_| TcpStream::connect(address)));
        let clients = timeout(Duration::from_secs(60), clients).await.expect("all wait").expect("all are connected");
        assert_eq!(clients.len(), 300);
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let first = bind("http.listen", ANY_PORT.into()).expect("a free port");
        let address: SocketAddr = first.local_addr().expect("bound");
        let error = bind("smtp.listen", address).expect_err("it is in use");
        assert_eq!(
            format!("{error:#}"),
            format!("smtp.listen: failed to listen on {address}: Address already in use (os error 98)")
        );
    }
}
