//! What stands above a message when it is kept: the lines that are from here.

use super::{Arrival, Findings};
use crate::platform::Platform;
use postfleet_core::UnixMicros;
use postfleet_mail::authentication::results;
use postfleet_mail::ingress;
use postfleet_mail::trace::{self, Hop};

/// The message as it is kept: under Return-Path, Authentication-Results and Received, and without what others wrote there
/// in our name.
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
    let host = &platform.settings.hostname;
    let looked_at = results::Hop { host: host.as_str(), ip: arrival.ip, is_null_sender: arrival.is_null_path() };
    let results = results::field(&looked_at, &findings.authentication);
    let mut raw = trace::received_header(&Hop {
        reverse_path: &arrival.reverse_path,
        helo: &arrival.helo,
        ip: arrival.ip,
        host: host.as_str(),
        protocol: arrival.protocol,
        id: reference,
        single_recipient,
        received_at: now,
        results: &results,
    });
    let kept = ingress::kept(&arrival.message, host);
    raw.reserve_exact(kept.iter().map(|piece| piece.len()).sum());
    kept.iter().for_each(|piece| raw.extend_from_slice(piece));
    raw
}
