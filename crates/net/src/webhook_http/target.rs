//! Which targets may be contacted: pure functions of a URL, an address and the operator's list of networks.
//!
//! The rule: HTTPS to a globally routable address, or anything that lies in a listed network. Everything that is
//! not known to be public is refused (IANA special-purpose registries, RFC 6890).

use super::guard::is_localhost;
use super::network::IpNetwork;
use http::header::{HeaderValue, InvalidHeaderValue};
use http::uri::{InvalidUri, Uri};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use url::Url;

/// The longest URL taken; also a common limit of servers (RFC 9110 §4.1 asks for at least 8,000 from them).
pub const MAX_URL_OCTETS: usize = 2_048;

/// Why a target may not be contacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefused {
    /// Longer than [`MAX_URL_OCTETS`].
    #[error("the URL is longer than {MAX_URL_OCTETS} octets")]
    TooLong,
    /// Not an absolute URL.
    #[error("not an absolute URL: {0}")]
    NotAUrl(String),
    /// Neither `https` nor `http`.
    #[error("the URL has neither the scheme https nor http")]
    Scheme,
    /// User name or password in the URL, which are of no use but to mislead.
    #[error("the URL carries a user name or password")]
    Credentials,
    /// A port of another service than HTTP, at a place that is not listed.
    #[error("only the ports 80, 443 and those from 1024 are allowed, except in networks that the operator listed")]
    Port,
    /// An address of this machine or installation.
    #[error("{0} is an address of this server")]
    Own(IpAddr),
    /// Plain HTTP to a place that is not listed.
    #[error("plain http is allowed only to networks that the operator listed")]
    PlainHttp,
    /// An address that is not public and not listed.
    #[error("{0} is not a public address")]
    NotPublic(IpAddr),
    /// The name has no address, or nobody could say. Counts as refused: what cannot be checked is not contacted.
    #[error("the host cannot be resolved: {0}")]
    Unresolvable(String),
}

/// Whether `url` may be a webhook target, as far as can be said without resolving its name.
pub fn check_url(url: &str, allow: &[IpNetwork]) -> Result<(), TargetRefused> {
    Target::parse(url, allow).map(drop)
}

/// Whether `address` may be connected to over HTTPS: it is public, or the operator listed it.
pub fn address_allowed(address: IpAddr, allow: &[IpNetwork]) -> bool {
    is_listed(address, allow) || is_public(address)
}

/// Why a URL leads to listed addresses alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// It may lead to public ones, too.
    None,
    /// Other services listen there.
    ForPort,
    /// It is not encrypted.
    ForPlainHttp,
}

/// As [`address_allowed`], says why not, and knows what takes a listed address.
pub(super) fn judge_address(address: IpAddr, demand: Demand, allow: &[IpNetwork]) -> Result<(), TargetRefused> {
    match (is_listed(address, allow), is_public(address), demand) {
        (true, ..) | (false, true, Demand::None) => Ok(()),
        (false, false, _) => Err(TargetRefused::NotPublic(address)),
        (false, true, Demand::ForPlainHttp) => Err(TargetRefused::PlainHttp),
        (false, true, Demand::ForPort) => Err(TargetRefused::Port),
    }
}

/// A URL that passed [`check_url`]. The request is made from this value and not from the text again, so that no
/// second parser can see another host in it.
pub(super) struct Target {
    /// What it takes.
    pub(super) demand: Demand,
    /// The host when it is a name, whose addresses are still to be checked.
    pub(super) name: Option<String>,
    /// The host when it is an address.
    pub(super) address: Option<IpAddr>,
    /// Scheme, host and port: connections to the same can be used for each other's requests.
    pub(super) origin: String,
    /// Host and port, without one that is that of the scheme anyway (RFC 9110 §7.2).
    pub(super) authority: HeaderValue,
    /// Path and query, as a request names them (RFC 9112 §3.2.1).
    pub(super) path: Uri,
}

impl Target {
    pub(super) fn parse(text: &str, allow: &[IpNetwork]) -> Result<Self, TargetRefused> {
        if text.len() > MAX_URL_OCTETS {
            return Err(TargetRefused::TooLong);
        }
        // The parser is that of the WHATWG URL standard: decimal, octal, hexadecimal and full-width spellings of
        // an IPv4 address come out as dotted decimals, and zone ids are errors.
        let url = Url::parse(text).map_err(|error| TargetRefused::NotAUrl(error.to_string()))?;
        let plain = match url.scheme() {
            "https" => false,
            "http" if allow.is_empty() => return Err(TargetRefused::PlainHttp),
            "http" => true,
            _ => return Err(TargetRefused::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetRefused::Credentials);
        }
        let host = url.host_str().ok_or_else(|| TargetRefused::NotAUrl("no host".to_owned()))?;
        let demand = match url.port_or_known_default() {
            _ if plain => Demand::ForPlainHttp,
            Some(80 | 443 | 1_024..) => Demand::None,
            _ => Demand::ForPort,
        };
        if demand == Demand::ForPort && allow.is_empty() {
            return Err(TargetRefused::Port);
        }
        let host = check_host(host, demand, allow)?;
        let (name, address) = match host {
            Host::Name(name) => (Some(name), None),
            Host::Address(address) => (None, Some(address)),
        };
        let authority = authority(&url);
        let not_a_url = |error: &dyn Error| TargetRefused::NotAUrl(error.to_string());
        Ok(Self {
            demand,
            name,
            address,
            origin: format!("{}://{authority}", url.scheme()),
            authority: authority.try_into().map_err(|error: InvalidHeaderValue| not_a_url(&error))?,
            path: path(&url).try_into().map_err(|error: InvalidUri| not_a_url(&error))?,
        })
    }
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn path(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// How many URLs are remembered.
const REMEMBERED_MAX: usize = 1_024;

/// What URLs mean that were asked for: they are the same again and again.
#[derive(Default)]
pub(super) struct Targets(Mutex<HashMap<String, Arc<Target>>>);

impl Targets {
    pub(super) fn parse(&self, text: &str, allow: &[IpNetwork]) -> Result<Arc<Target>, TargetRefused> {
        if let Some(target) = self.0.lock().get(text) {
            return Ok(target.clone());
        }
        let target = Arc::new(Target::parse(text, allow)?);
        let mut remembered = self.0.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(text.to_owned(), target.clone());
        Ok(target)
    }
}

enum Host {
    Name(String),
    Address(IpAddr),
}

/// Checks a host in the URL parser's spelling.
fn check_host(host: &str, demand: Demand, allow: &[IpNetwork]) -> Result<Host, TargetRefused> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return judge_address(address, demand, allow).map(|()| Host::Address(address));
    }
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    if is_localhost(host) && !loopback.iter().any(|address| is_listed(*address, allow)) {
        return Err(TargetRefused::NotPublic(loopback[0]));
    }
    Ok(Host::Name(host.to_owned()))
}

pub(super) fn is_listed(address: IpAddr, allow: &[IpNetwork]) -> bool {
    // A connection to the IPv4-mapped form goes to the IPv4 address (RFC 4291 §2.5.5.2).
    let address = address.to_canonical();
    allow.iter().any(|network| network.contains(address))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|(base, prefix)| in_v4(address, base, *prefix)),
        IpAddr::V6(address) => {
            // Only 2000::/3 is handed out for global use; this already leaves out the unspecified and loopback
            // addresses, the IPv4-mapped and -compatible ones, NAT64, unique and link local, site-local, multicast.
            in_v6(address, &[0x2000], 3) && !SPECIAL_V6.iter().any(|(base, prefix)| in_v6(address, base, *prefix))
        }
    }
}

/// IPv4 networks that are not the public internet.
const SPECIAL_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),       // "this network", RFC 791
    ([10, 0, 0, 0], 8),      // private, RFC 1918
    ([100, 64, 0, 0], 10),   // carrier-grade NAT, RFC 6598
    ([127, 0, 0, 0], 8),     // loopback, RFC 1122
    ([169, 254, 0, 0], 16),  // link-local and cloud metadata, RFC 3927
    ([172, 16, 0, 0], 12),   // private, RFC 1918
    ([192, 0, 0, 0], 24),    // protocol assignments, RFC 6890
    ([192, 0, 2, 0], 24),    // documentation, RFC 5737
    ([192, 88, 99, 0], 24),  // 6to4 relays, RFC 7526
    ([192, 168, 0, 0], 16),  // private, RFC 1918
    ([198, 18, 0, 0], 15),   // benchmarks, RFC 2544
    ([198, 51, 100, 0], 24), // documentation, RFC 5737
    ([203, 0, 113, 0], 24),  // documentation, RFC 5737
    ([224, 0, 0, 0], 4),     // multicast, RFC 5771
    ([240, 0, 0, 0], 4),     // reserved and broadcast, RFC 1112
];

/// Networks within 2000::/3 that are not the public internet, or that lead to an IPv4 address in disguise.
const SPECIAL_V6: &[(&[u16], u32)] = &[
    (&[0x2001], 23), // protocol assignments: Teredo (RFC 4380), benchmarks (RFC 5180), ORCHID (RFC 7343)
    (&[0x2001, 0xdb8], 32), // documentation, RFC 3849
    (&[0x2002], 16), // 6to4, RFC 3056
    (&[0x3ffe], 16), // the former 6bone, RFC 3701
    (&[0x3fff], 20), // documentation, RFC 9637
];

fn in_v4(address: Ipv4Addr, base: &[u8; 4], prefix: u32) -> bool {
    (address.to_bits() ^ u32::from_be_bytes(*base)) >> (32 - prefix) == 0
}

fn in_v6(address: Ipv6Addr, leading: &[u16], prefix: u32) -> bool {
    let mut segments = [0; 8];
    segments[..leading.len()].copy_from_slice(leading);
    (address.to_bits() ^ Ipv6Addr::from(segments).to_bits()) >> (128 - prefix) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_a_url_is_what_it_means_and_is_limited() {
        let (targets, allow) = (Targets::default(), networks(&["127.0.0.0/8"]));
        for text in ["https://hooks.example:443/in?x=1", "http://127.0.0.1:9000"] {
            let [first, again] = [0, 1].map(|_| targets.parse(text, &allow).expect("a target"));
            assert!(Arc::ptr_eq(&first, &again));
        }
        let target = targets.parse("https://hooks.example:443/in?x=1", &allow).expect("a target");
        assert_eq!((&*target.origin, target.path.to_string()), ("https://hooks.example", "/in?x=1".to_owned()));
        assert_eq!(target.authority, "hooks.example");
        let target = targets.parse("http://127.0.0.1:9000", &allow).expect("a target");
        assert_eq!((&*target.origin, target.path.to_string()), ("http://127.0.0.1:9000", "/".to_owned()));
        assert!(
            targets.parse("http://10.0.0.1/", &allow).is_err() && targets.parse("http://10.0.0.1/", &allow).is_err()
        );
        for number in 0..2 * REMEMBERED_MAX {
            targets.parse(&format!("https://hooks.example/{number}"), &allow).expect("a target");
        }
        assert!(targets.0.lock().len() <= REMEMBERED_MAX);
    }

    fn networks(list: &[&str]) -> Vec<IpNetwork> {
        list.iter().map(|text| text.parse().expect("network")).collect()
    }

    #[test]
    fn only_public_addresses_are_allowed() {
        for text in PUBLIC {
            assert!(address_allowed(text.parse().expect("address"), &[]), "{text} is public");
        }
        for text in NOT_PUBLIC {
            assert!(!address_allowed(text.parse().expect("address"), &[]), "{text} is not public");
        }
    }

    /// The neighbours of every refused network among them.
    const PUBLIC: &[&str] = &[
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7:ffff::1",
        "2001:db9::1",
        "2003::1",
        "2606:4700::1111",
        "2a00:1450::1",
        "3ffd:ffff::1",
        "3fff:1000::1",
    ];

    const NOT_PUBLIC: &[&str] = &[
        // this network
        "0.0.0.0",
        "0.255.255.255",
        // private
        "10.0.0.0",
        "10.255.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        // carrier-grade NAT
        "100.64.0.0",
        "100.127.255.255",
        // loopback
        "127.0.0.0",
        "127.0.0.1",
        "127.255.255.255",
        // link-local, cloud metadata
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        // protocol assignments, 6to4 relays
        "192.0.0.0",
        "192.0.0.255",
        "192.88.99.0",
        "192.88.99.255",
        // documentation
        "192.0.2.0",
        "192.0.2.255",
        "198.51.100.0",
        "198.51.100.255",
        "203.0.113.0",
        "203.0.113.255",
        // benchmarks
        "198.18.0.0",
        "198.19.255.255",
        // multicast, reserved, broadcast
        "224.0.0.0",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        // unspecified, loopback
        "::",
        "::1",
        // IPv4-compatible and IPv4-mapped, even of public addresses
        "::7f00:1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        // NAT64
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::a00:1",
        // discard only, segment routing
        "100::1",
        "5f00::1",
        // Teredo, benchmarks, ORCHID and the rest of the protocol assignments
        "2001::1",
        "2001:0:7f00:1::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:1ff:ffff::1",
        // documentation
        "2001:db8::1",
        "2001:db8:ffff::1",
        "3fff::1",
        "3fff:fff:ffff::1",
        // 6to4
        "2002::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        // the former 6bone
        "3ffe::1",
        // outside 2000::/3
        "1fff::1",
        "4000::1",
        // unique local, link-local, site-local, multicast
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "feff::1",
        "ff02::1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ];

    #[test]
    fn a_listed_network_is_allowed_and_nothing_beside_it() {
        let allow = networks(&["127.0.0.0/8", "10.1.0.0/16", "fd00::/8"]);
        for text in ["127.0.0.1", "127.255.255.255", "10.1.2.3", "fd12::1", "::ffff:127.0.0.1", "8.8.8.8"] {
            assert!(address_allowed(text.parse().expect("address"), &allow), "{text}");
        }
        for text in ["10.0.255.255", "10.2.0.0", "fc00::1", "::1", "::127.0.0.1", "::ffff:10.2.0.0"] {
            assert!(!address_allowed(text.parse().expect("address"), &allow), "{text}");
        }
    }

    #[test]
    fn urls_of_public_hosts_pass() {
        for url in [
            "https://hooks.example.com/in?x=1",
            "https://hooks.example.com:8443/",
            "https://hooks.example.com:80/",
            "https://hooks.example.com:1024/",
            "https://hooks.example.com./",
            "HTTPS://HOOKS.EXAMPLE.COM/",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/",
            "https://m\u{fc}ller.example/",
        ] {
            assert_eq!(check_url(url, &[]), Ok(()), "{url}");
        }
    }

    #[test]
    fn every_spelling_of_a_loopback_address_is_seen_through() {
        let loopback = Err(TargetRefused::NotPublic(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.0x1",
            "%31%32%37.0.0.1",
            "127\u{3002}0\u{3002}0\u{3002}1",
            "\u{2460}\u{2461}\u{2466}.0.0.1",
            "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "loc\u{ad}alhost",
        ] {
            assert_eq!(check_url(&format!("https://{host}/"), &[]), loopback, "{host}");
        }
        for host in ["0", "0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]"] {
            let refused = check_url(&format!("https://{host}/"), &[]);
            assert!(matches!(refused, Err(TargetRefused::NotPublic(_))), "{host}: {refused:?}");
        }
    }

    #[test]
    fn tricks_around_the_host_are_refused_or_seen_through() {
        let metadata = TargetRefused::NotPublic(IpAddr::from([169, 254, 169, 254]));
        for (url, expected) in [
            ("https://user@8.8.8.8/", TargetRefused::Credentials),
            ("https://user:secret@8.8.8.8/", TargetRefused::Credentials),
            ("https://:secret@8.8.8.8/", TargetRefused::Credentials),
            ("https://8.8.8.8@169.254.169.254/", TargetRefused::Credentials),
            ("https://169.254.169.254#@8.8.8.8/", metadata.clone()),
            ("https://169.254.169.254\\@8.8.8.8/", metadata.clone()),
            ("https:\\\\169.254.169.254\\", metadata.clone()),
            ("https:169.254.169.254", metadata.clone()),
            ("https:///169.254.169.254/", metadata.clone()),
            ("  https://169.254.\n169.254/ ", metadata),
            ("ftp://8.8.8.8/", TargetRefused::Scheme),
            ("file:///etc/passwd", TargetRefused::Scheme),
            ("gopher://8.8.8.8/", TargetRefused::Scheme),
            ("data:text/plain,x", TargetRefused::Scheme),
            ("http://8.8.8.8/", TargetRefused::PlainHttp),
            ("http://hooks.example.com/", TargetRefused::PlainHttp),
            ("https://8.8.8.8:25/", TargetRefused::Port),
            ("https://8.8.8.8:0/", TargetRefused::Port),
            ("https://hooks.example.com:1023/", TargetRefused::Port),
        ] {
            assert_eq!(check_url(url, &[]), Err(expected), "{url:?}");
        }
        for url in [
            "",
            "/hook",
            "hooks.example.com",
            "https://",
            "https://[fe80::1%25eth0]/",
            "https://[fe80::1%eth0]/",
            "https://[::1",
            "https://[[::1]]/",
            "https://[127.0.0.1]/",
            "https://[2606:4700::1111].example.com/",
            "https://256.0.0.1/",
            "https://1.2.3.4.5/",
            "https://a b.example/",
            "https://8.8.8.8:99999/",
        ] {
            let refused = check_url(url, &[]);
            assert!(matches!(refused, Err(TargetRefused::NotAUrl(_))), "{url:?}: {refused:?}");
        }
    }

    #[test]
    fn listed_networks_may_be_private_and_plain() {
        let allow = networks(&["127.0.0.0/8"]);
        for url in [
            "http://127.0.0.1:9000/in",
            "https://127.0.0.1:25/",
            "https://127.0.0.1/",
            "http://localhost/",
            "http://hooks.example/",
        ] {
            assert_eq!(check_url(url, &allow), Ok(()), "{url}");
        }
        let v6_loopback = TargetRefused::NotPublic(IpAddr::V6(Ipv6Addr::LOCALHOST));
        for (url, expected) in [
            ("http://8.8.8.8/", TargetRefused::PlainHttp),
            ("http://[::1]/", v6_loopback),
            ("http://10.0.0.1/", TargetRefused::NotPublic(IpAddr::from([10, 0, 0, 1]))),
            ("https://8.8.8.8:25/", TargetRefused::Port),
        ] {
            assert_eq!(check_url(url, &allow), Err(expected), "{url}");
        }
    }

    #[test]
    fn a_url_has_a_longest_length() {
        let of_length = |length: usize| format!("{:x<length$}", "https://hooks.example/");
        assert_eq!(check_url(&of_length(MAX_URL_OCTETS), &[]), Ok(()));
        assert_eq!(check_url(&of_length(MAX_URL_OCTETS + 1), &[]), Err(TargetRefused::TooLong));
    }
}
