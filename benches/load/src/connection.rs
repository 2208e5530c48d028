//! A connection of SMTP with a deadline on every read and write, and the replies read from it.

use crate::Failure;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a peer may take over anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open connection.
pub struct Connection {
    reader: BufReader<TcpStream>,
    line: String,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::with_capacity(16 << 10, stream), line: String::new() })
    }

    /// Writes everything at once.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), Failure> {
        Ok(self.reader.get_mut().write_all(octets)?)
    }

    /// Reads an SMTP reply of one or more lines, and insists on its code.
    pub fn expect(&mut self, code: &str) -> Result<(), Failure> {
        loop {
            self.read_line()?;
            if self.line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        match self.line.starts_with(code) {
            true => Ok(()),
            false => Err(format!("expected {code}, got {:?}", self.line.trim_end()).into()),
        }
    }

    fn read_line(&mut self) -> Result<usize, Failure> {
        self.line.clear();
        match self.reader.read_line(&mut self.line)? {
            0 => Err("the peer closed the connection".into()),
            octets => Ok(octets),
        }
    }
}
