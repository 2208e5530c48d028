//! Trace fields (RFC 5321 §4.4): what this server writes on top of a message that it accepts, and how many servers
//! wrote theirs before. What the client said about itself is cut down to harmless characters.

use crate::syntax::{date, header};
use postfleet_core::{EmailAddress, ReversePath, UnixMicros};
use std::net::IpAddr;

/// Octets of a client's greeting that are kept (RFC 5321 §4.5.3.1.2).
const HELO_OCTETS_MAX: usize = 255;

/// How a message came in.
#[derive(Clone, Debug)]
pub struct Hop<'a> {
    /// MAIL FROM.
    pub reverse_path: &'a ReversePath,
    /// What the client called itself in EHLO or HELO.
    pub helo: &'a str,
    /// Where it connected from.
    pub ip: IpAddr,
    /// The name of this server.
    pub host: &'a str,
    /// What was spoken.
    pub protocol: Protocol,
    /// Our identifier of the transaction.
    pub id: &'a str,
    /// The recipient if there is only one: several would tell each of the others, blind copies too (RFC 5321 §7.2).
    pub single_recipient: Option<&'a EmailAddress>,
    /// When.
    pub received_at: UnixMicros,
    /// What was found out about who sent it: whole fields with their line ends, or nothing.
    pub results: &'a str,
}

/// What was spoken (RFC 3848, RFC 6531 §4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Protocol {
    /// EHLO rather than HELO.
    pub is_extended: bool,
    /// Over TLS.
    pub is_encrypted: bool,
    /// After AUTH.
    pub is_authenticated: bool,
    /// With SMTPUTF8.
    pub is_utf8: bool,
    /// With REQUIRETLS (RFC 8689).
    pub requires_tls: bool,
}

impl Protocol {
    /// The registered keyword.
    pub fn keyword(self) -> &'static str {
        match (self.is_utf8, self.is_extended, self.is_encrypted, self.is_authenticated) {
            (true, _, false, false) => "UTF8SMTP",
            (true, _, true, false) => "UTF8SMTPS",
            (true, _, false, true) => "UTF8SMTPA",
            (true, _, true, true) => "UTF8SMTPSA",
            (false, false, ..) => "SMTP",
            (false, true, false, false) => "ESMTP",
            (false, true, true, false) => "ESMTPS",
            (false, true, false, true) => "ESMTPA",
            (false, true, true, true) => "ESMTPSA",
        }
    }
}

/// Return-Path, the results of authentication, and Received, complete with line ends, to be put before the message: results
/// stand above the Received of the server that found them out (RFC 8601 §4.1).
pub fn received_header(hop: &Hop<'_>) -> Vec<u8> {
    let ip = match hop.ip.to_canonical() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    };
    // There is no keyword for it, so that it is said in a comment.
    let requires_tls = if hop.protocol.requires_tls { " (REQUIRETLS)" } else { "" };
    let recipient = match hop.single_recipient {
        Some(recipient) => format!("\r\n for <{recipient}>"),
        None => String::new(),
    };
    format!(
        "Return-Path: <{}>\r\n{}Received: from {} ({ip})\r\n by {} with {}{requires_tls} id {}{recipient};\r\n {}\r\n",
        hop.reverse_path,
        hop.results,
        harmless(hop.helo),
        harmless(hop.host),
        hop.protocol.keyword(),
        harmless(hop.id),
        date::format(hop.received_at),
    )
    .into_bytes()
}

/// How a message came in from a mail client.
#[derive(Clone, Copy, Debug)]
pub struct SubmissionHop<'a> {
    /// The name of this server.
    pub host: &'a str,
    /// What was spoken.
    pub protocol: Protocol,
    /// Our identifier of the transaction.
    pub id: &'a str,
    /// When.
    pub received_at: UnixMicros,
}

/// Received of a submitted message, complete with its line end. Where the client is and what it calls itself is not for
/// those who get the message: it tells where an agent runs, and no receiver needs it.
pub fn submission_header(hop: &SubmissionHop<'_>) -> Vec<u8> {
    let (host, id, protocol) = (harmless(hop.host), harmless(hop.id), hop.protocol.keyword());
    format!("Received: by {host} with {protocol} id {id};\r\n {}\r\n", date::format(hop.received_at)).into_bytes()
}

/// How many Received fields a message has; many mean a loop (RFC 5321 §6.3). Looks at a bounded part of the header.
pub fn count_received(raw: &[u8]) -> usize {
    header::Fields::new(raw).filter(|field| field.is("Received")).count()
}

/// The characters of host names, address literals and identifiers.
fn harmless(text: &str) -> String {
    let is_harmless = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let kept: String = text.chars().filter(is_harmless).take(HELO_OCTETS_MAX).collect();
    if kept.is_empty() { "unknown".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hop: &Hop<'_>, expected: &str) {
        assert_eq!(String::from_utf8(received_header(hop)).unwrap(), expected);
    }

    #[test]
    fn fields() {
        let reverse_path = ReversePath::Mailbox(EmailAddress::parse("ann@example.net").unwrap());
        let recipient = EmailAddress::parse("bob@example.com").unwrap();
        let hop = Hop {
            reverse_path: &reverse_path,
            helo: "mx.example.net",
            ip: "192.0.2.1".parse().unwrap(),
            host: "in.example.com",
            protocol: Protocol { is_extended: true, is_encrypted: true, ..Protocol::default() },
            id: "0190-ab",
            single_recipient: Some(&recipient),
            received_at: UnixMicros::from_seconds(880_127_706),
            results: "",
        };
        check(
            &hop,
            "Return-Path: <ann@example.net>\r\nReceived: from mx.example.net ([192.0.2.1])\r\n by in.example.com with \
             ESMTPS id 0190-ab\r\n for <bob@example.com>;\r\n Fri, 21 Nov 1997 15:55:06 +0000\r\n",
        );
        check(
            &Hop {
                reverse_path: &ReversePath::Null,
                helo: "evil\r\nBcc: x (\u{e9}) ;",
                ip: "2001:db8::1".parse().unwrap(),
                protocol: Protocol::default(),
                single_recipient: None,
                ..hop.clone()
            },
            "Return-Path: <>\r\nReceived: from evilBcc:x ([IPv6:2001:db8::1])\r\n by in.example.com with SMTP id \
             0190-ab;\r\n Fri, 21 Nov 1997 15:55:06 +0000\r\n",
        );
        let over_tls = Protocol { requires_tls: true, ..hop.protocol };
        let header = received_header(&Hop { protocol: over_tls, ..hop.clone() });
        assert!(String::from_utf8(header).unwrap().contains(" with ESMTPS (REQUIRETLS) id 0190-ab\r\n for "));
        let helo = Hop { helo: "\r\n", ..hop };
        assert!(String::from_utf8(received_header(&helo)).unwrap().contains("from unknown ("));
    }

    #[test]
    fn a_submitted_message_does_not_tell_where_its_client_is() {
        let hop = SubmissionHop {
            host: "mx.example.com",
            protocol: Protocol { is_extended: true, is_encrypted: true, is_authenticated: true, ..Protocol::default() },
            id: "0190-ab",
            received_at: UnixMicros::from_seconds(880_127_706),
        };
        assert_eq!(
            String::from_utf8(submission_header(&hop)).unwrap(),
            "Received: by mx.example.com with ESMTPSA id 0190-ab;\r\n Fri, 21 Nov 1997 15:55:06 +0000\r\n"
        );
    }

    #[test]
    fn keywords() {
        let all = (0..16).map(|bits| Protocol {
            is_extended: bits & 1 != 0,
            is_encrypted: bits & 2 != 0,
            is_authenticated: bits & 4 != 0,
            is_utf8: bits & 8 != 0,
            requires_tls: false,
        });
        let keywords: Vec<_> = all.map(Protocol::keyword).collect();
        assert_eq!(keywords[..4], ["SMTP", "ESMTP", "SMTP", "ESMTPS"]);
        assert_eq!(keywords[7], "ESMTPSA");
        assert_eq!(keywords[15], "UTF8SMTPSA");
    }

    #[test]
    fn counting() {
        for (raw, expected) in [
            ("", 0),
            ("Received: a\r\n b\r\nreceived: c\r\nX-Received: d\r\n\r\nReceived: e\r\n", 2),
            ("Received: a", 1),
        ] {
            assert_eq!(count_received(raw.as_bytes()), expected);
        }
    }
}
