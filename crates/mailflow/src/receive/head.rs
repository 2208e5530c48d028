//! What stands above a message when it is kept: the lines that are from here.

use super::{Arrival, Findings};
use crate::platform::Platform;
use postfleet_core::UnixMicros;
use postfleet_mail::authentication::results;
use postfleet_mail::trace::{self, Hop};

/// The message as it is kept, under Return-Path, what was found of its sender, and Received; without what pretends to be
/// ours.
pub(super) fn written(
    platform: &Platform,
    arrival: &Arrival,
    findings: &Findings,
    reference: &str,
    now: UnixMicros,
) -> Vec<u8> {
    let single_recipient = match arrival.recipients.as_slice() {
        [recipient] => Some(recipient),
        _ => None,
    };
    let mut raw = trace::received_header(&Hop {
        reverse_path: &arrival.reverse_path,
        helo: &arrival.helo,
        ip: arrival.ip,
        host: platform.settings.hostname.as_str(),
        protocol: arrival.protocol,
        id: reference,
        single_recipient,
        received_at: now,
    });
    // What a mailbox here wrote was looked at by nobody.
    if !arrival.is_local() {
        let hop = results::Hop {
            host: platform.settings.hostname.as_str(),
            ip: arrival.ip,
            is_null_sender: arrival.is_null_path(),
        };
        // Above our own Received, which marks where what we vouch for begins (RFC 8601 §5); Return-Path stays first.
        let below_return_path = raw.iter().position(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        raw.splice(below_return_path..below_return_path, results::field(&hop, &findings.authentication));
    }
    let mut kept = 0;
    for pretended in results::pretended(&arrival.message, &platform.settings.hostname) {
        raw.extend_from_slice(&arrival.message[kept..pretended.start]);
        kept = pretended.end;
    }
    raw.extend_from_slice(&arrival.message[kept..]);
    raw
}
