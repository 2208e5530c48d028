//! Options of the command line, `--name value`. Reads each under its limits; an option nobody reads is an error of the
//! caller that `finish` reports.

use crate::Failure;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// The most that any run lasts.
const SECONDS_MAX: u64 = 3_600;

/// The options given, and those asked for.
pub struct Args {
    given: BTreeMap<String, String>,
    read: RefCell<BTreeSet<String>>,
}

impl Args {
    /// Pairs names with values.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut given = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word:?} is not an option"))?;
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            given.insert(name.to_owned(), value);
        }
        Ok(Self { given, read: RefCell::default() })
    }

    /// The text given, if any.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.read.borrow_mut().insert(name.to_owned());
        self.given.get(name).map(String::as_str)
    }

    /// A number from 0 to `max`.
    pub fn number(&self, name: &str, default: u64, max: u64) -> Result<u64, Failure> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().map_err(|_| format!("--{name} {text:?} is not a number"))?;
        if number > max {
            return Err(format!("--{name} {number} is more than {max}").into());
        }
        Ok(number)
    }

    /// The address to work with. Only ever this machine.
    pub fn address(&self) -> Result<SocketAddr, Failure> {
        let text = self.text("address").ok_or("--address is missing")?;
        let address: SocketAddr = text.parse().map_err(|_| format!("--address {text:?} is not ADDRESS:PORT"))?;
        if !address.ip().is_loopback() {
            return Err(format!("{address} is not a loopback address").into());
        }
        Ok(address)
    }

    /// How long the run may last.
    pub fn seconds(&self, name: &str, default: u64) -> Result<Duration, Failure> {
        Ok(Duration::from_secs(self.number(name, default, SECONDS_MAX)?))
    }

    /// The lines of a file.
    pub fn lines(&self, name: &str) -> Result<Vec<String>, Failure> {
        let Some(path) = self.text(name) else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(path).map_err(|error| format!("failed to read {path}: {error}"))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Says which options were given in vain.
    pub fn finish(&self) -> Result<(), Failure> {
        let read = self.read.borrow();
        match self.given.keys().find(|name| !read.contains(*name)) {
            Some(name) => Err(format!("--{name} is not an option here").into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn args(words: &str) -> Args {
        Args::parse(words.split(' ').map(str::to_owned)).unwrap()
    }

    #[test]
    fn only_loopback_addresses() {
        assert!(args("--address 127.0.0.1:25").address().is_ok());
        assert!(args("--address [::1]:25").address().is_ok());
        assert!(args("--address 192.0.2.1:25").address().is_err());
        assert!(args("--address 0.0.0.0:25").address().is_err());
    }

    #[test]
    fn numbers_up_to_their_limit() {
        assert_eq!(args("--n 5").number("n", 1, 5).unwrap(), 5);
        assert!(args("--n 6").number("n", 1, 5).is_err());
    }

    #[test]
    fn options_given_in_vain() {
        let args = args("--a 1 --b 2");
        assert_eq!(args.text("a"), Some("1"));
        assert!(args.finish().is_err());
    }
}
