//! Where a request comes from: the other end of its connection, or what a proxy of the operator's says was at the other end
//! of its own. What anybody else claims is not believed.

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use postfleet_mailflow::Platform;
use postfleet_net::webhook_http::IpNetwork;
use std::net::{IpAddr, SocketAddr};

/// Addresses in the field that are looked at; no chain of proxies is longer.
const HOPS_MAX: usize = 16;

/// The address from which a request comes, as far as it can be believed.
pub(crate) fn peer(parts: &Parts, platform: &Platform) -> Option<IpAddr> {
    let ConnectInfo(connected) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(believed(connected.ip().to_canonical(), &parts.headers, &platform.settings.trusted_proxies))
}

/// Each proxy appends whom it was connected to, so the list is read from its end for as long as who says it is trusted.
fn believed(connected: IpAddr, headers: &HeaderMap, trusted: &[IpNetwork]) -> IpAddr {
    let fields: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|field| field.to_str().ok()).collect();
    let claims = fields.iter().rev().flat_map(|field| field.rsplit(',')).take(HOPS_MAX);
    let mut peer = connected;
    for claim in claims {
        if !trusted.iter().any(|network| network.contains(peer)) {
            break;
        }
        let Some(address) = address(claim.trim()) else { break };
        peer = address;
    }
    peer
}

/// Some write a port, too.
fn address(text: &str) -> Option<IpAddr> {
    let of_socket = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(of_socket).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn of(connected: &str, fields: &[&str]) -> String {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().expect("network"));
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("x-forwarded-for", HeaderValue::from_str(field).expect("field"));
        }
        believed(connected.parse().expect("address"), &headers, &trusted).to_string()
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_nobody_else() {
        assert_eq!(of("127.0.0.1", &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(of("192.0.2.1", &["192.0.2.7"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &[]), "127.0.0.1");
        // What the client itself has written is before what the proxies have.
        assert_eq!(of("127.0.0.1", &["198.51.100.1, 192.0.2.7, 10.1.2.3"]), "192.0.2.7");
        assert_eq!(of("127.0.0.1", &["198.51.100.1", "192.0.2.7", "10.1.2.3"]), "192.0.2.7");
        assert_eq!(of("10.0.0.1", &["127.0.0.1, 10.0.0.2"]), "127.0.0.1");
    }

    #[test]
    fn what_is_no_address_ends_the_list() {
        assert_eq!(of("127.0.0.1", &["192.0.2.7, unknown"]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &["192.0.2.7:4711"]), "192.0.2.7");
        assert_eq!(of("2001:db8::1", &["[2001:db9::7]:4711"]), "2001:db9::7");
        assert_eq!(of("127.0.0.1", &["::ffff:192.0.2.7"]), "192.0.2.7");
        assert_eq!(of("127.0.0.1", &[&"127.0.0.1,".repeat(100)]), "127.0.0.1");
    }
}
