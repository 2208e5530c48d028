//! Networks as operators write them in the configuration: an address, a slash, the number of leading bits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network in the usual notation: `127.0.0.0/8`, `::1/128`, or a lone address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork {
    base: IpAddr,
    prefix: u8,
}

/// The text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// The part before the slash is not an IP address.
    #[error("not an IP address before the slash")]
    Address,
    /// The part after the slash is not a number of leading bits that the address has.
    #[error("the number after the slash is not between 0 and {0}")]
    Prefix(u8),
    /// The address has bits set beyond the prefix: a typing mistake more often than not.
    #[error("the address has bits beyond its prefix; did you mean {0}?")]
    HostBits(IpNetwork),
}

impl IpNetwork {
    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address, self.prefix) == Some(self.base)
    }
}

/// `address` with only `prefix` bits left; `None` when it has fewer than that.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    let host_bits = width(address).checked_sub(prefix)?.into();
    Some(match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into(),
    })
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for IpNetwork {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(left, right)| (left, Some(right)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork::Address)?;
        let width = width(address);
        let prefix = match prefix {
            None => width,
            Some(digits) => parse_prefix(digits).ok_or(InvalidNetwork::Prefix(width))?,
        };
        let base = masked(address, prefix).ok_or(InvalidNetwork::Prefix(width))?;
        let network = Self { base, prefix };
        if base == address { Ok(network) } else { Err(InvalidNetwork::HostBits(network)) }
    }
}

fn parse_prefix(digits: &str) -> Option<u8> {
    let only_digits = digits.bytes().all(|octet| octet.is_ascii_digit());
    only_digits.then(|| digits.parse().ok()).flatten()
}

impl std::fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_parsed_and_shown() {
        for text in ["127.0.0.0/8", "::1/128", "0.0.0.0/0", "::/0", "192.0.2.128/25", "2001:db8::/33"] {
            assert_eq!(text.parse::<IpNetwork>().expect("network").to_string(), text);
        }
        assert_eq!("192.0.2.1".parse::<IpNetwork>().expect("address").to_string(), "192.0.2.1/32");
        assert_eq!("::1".parse::<IpNetwork>().expect("address").to_string(), "::1/128");
        let mistyped = "10.0.0.5/8".parse::<IpNetwork>().expect_err("host bits");
        assert_eq!(mistyped.to_string(), "the address has bits beyond its prefix; did you mean 10.0.0.0/8?");
        for (text, expected) in [
            ("", InvalidNetwork::Address),
            ("localhost", InvalidNetwork::Address),
            ("10.0.0/8", InvalidNetwork::Address),
            ("10.0.0.0/", InvalidNetwork::Prefix(32)),
            ("10.0.0.0/33", InvalidNetwork::Prefix(32)),
            ("10.0.0.0/+8", InvalidNetwork::Prefix(32)),
            ("10.0.0.0/8/8", InvalidNetwork::Prefix(32)),
            ("::/129", InvalidNetwork::Prefix(128)),
            ("::/256", InvalidNetwork::Prefix(128)),
        ] {
            assert_eq!(text.parse::<IpNetwork>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_network_knows_its_own_family_only() {
        let all_v4: IpNetwork = "0.0.0.0/0".parse().expect("network");
        assert!(all_v4.contains(IpAddr::from([203, 0, 113, 9])));
        assert!(!all_v4.contains("::1".parse().expect("address")));
        let all_v6: IpNetwork = "::/0".parse().expect("network");
        assert!(!all_v6.contains(IpAddr::from([203, 0, 113, 9])));
    }
}
