//! What stands above a message when it is kept: the lines that are from here.

use super::{Arrival, Findings};
use crate::platform::Platform;
use postfleet_core::UnixMicros;
use postfleet_mail::trace::{self, Hop};

/// The message as it is kept, under Return-Path and Received.
pub(super) fn written(
    platform: &Platform,
    arrival: &Arrival,
    _: &Findings,
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
    raw.extend_from_slice(&arrival.message);
    raw
}
