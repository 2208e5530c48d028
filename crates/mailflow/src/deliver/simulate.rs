//! Complaints of the simulator: reports as mailbox providers send them (RFC 5965), which come in by the way of all mail.

use super::Message;
use crate::platform::Platform;
use crate::receive::{self, Arrival};
use postfleet_core::simulator::{self, Behaviour};
use postfleet_core::{EmailAddress, ReversePath};
use postfleet_mail::trace::Protocol;
use postfleet_store::queue::Claimed;
use std::net::{IpAddr, Ipv4Addr};

/// Those of the recipients who complain.
pub(super) fn complaining(rows: &[&Claimed]) -> Vec<EmailAddress> {
    let all = rows.iter().map(|row| &row.recipient);
    all.filter(|recipient| simulator::behaviour(recipient) == Behaviour::Complaint).cloned().collect()
}

/// Lets recipients complain about a message. A complaint that cannot be taken is not made again: it was only tried out.
pub(super) async fn complain(platform: &Platform, message: &Message, recipients: &[EmailAddress]) {
    for recipient in recipients {
        let arrival = Arrival {
            reverse_path: ReversePath::Null,
            recipients: vec![message.reverse_path.clone()],
            helo: platform.settings.hostname.to_string(),
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            protocol: Protocol { is_extended: true, is_authenticated: true, ..Protocol::default() },
            message: report(&message.reverse_path, recipient).into_bytes(),
        };
        if let Err(problem) = receive::receive(platform, arrival).await {
            tracing::warn!(code = problem.code, cause = ?problem.cause, "a simulated complaint was not taken");
        }
    }
}

fn report(sender: &EmailAddress, recipient: &EmailAddress) -> String {
    let domain = simulator::DOMAIN;
    format!(
        "From: feedback@{domain}\r\nTo: {sender}\r\nSubject: Complaint about your message\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=simulated\r\n\r\n\
         --simulated\r\nContent-Type: text/plain\r\n\r\nThis is a simulated complaint about a message of yours.\r\n\
         --simulated\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\
         User-Agent: postfleet-simulator/1\r\nVersion: 1\r\nOriginal-Mail-From: <{sender}>\r\n\
         Original-Rcpt-To: <{recipient}>\r\n--simulated--\r\n"
    )
}
