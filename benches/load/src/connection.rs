//! A connection with a deadline on every read and write, and the two protocols' replies read from it.

use crate::Failure;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a peer may take over anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest body of a reply.
const BODY_OCTETS_MAX: usize = 64 << 20;

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

    /// Reads an HTTP response with a length, its body into `body`, and returns its status.
    pub fn response(&mut self, body: &mut Vec<u8>) -> Result<u16, Failure> {
        self.read_line()?;
        let status = self.line.get(9..12).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| format!("not a status line: {:?}", self.line))?;
        let mut length = 0;
        while self.read_line()? > 2 {
            if let Some((name, value)) = self.line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        if length > BODY_OCTETS_MAX {
            return Err(format!("a body of {length} octets").into());
        }
        body.resize(length, 0);
        self.reader.read_exact(body)?;
        Ok(status)
    }

    fn read_line(&mut self) -> Result<usize, Failure> {
        self.line.clear();
        match self.reader.read_line(&mut self.line)? {
            0 => Err("the peer closed the connection".into()),
            octets => Ok(octets),
        }
    }
}
