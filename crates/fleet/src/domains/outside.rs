//! What others say of a domain, for its findings and to be shown.

use postfleet_core::UnixMicros;
use postfleet_core::domain_health::{Listing, Outside};
use postfleet_schema::domain_health as schema;
use postfleet_store::block_answers::Remembered;
use std::net::{IpAddr, Ipv4Addr};

/// What the findings are made of.
pub(super) fn facts(listed: &[Remembered]) -> Outside {
    let list = |answer: &Remembered| Listing {
        zone: answer.zone.clone(),
        subject: answer.subject.clone(),
        is_address: answer.subject.parse::<IpAddr>().is_ok(),
        known: answer.known.clone(),
    };
    Outside { lists: listed.iter().map(list).collect(), ..Outside::default() }
}

/// Shows what a block list said.
pub(super) fn show_answer(answer: &Remembered) -> schema::BlockListAnswer {
    let known = &answer.known;
    let state = match (known.is_listed(), known.failures) {
        (true, _) => "listed",
        (false, 0) => "clear",
        (false, _) => "unknown",
    };
    schema::BlockListAnswer {
        zone: answer.zone.clone(),
        subject: answer.subject.clone(),
        state,
        codes: known.codes.iter().map(Ipv4Addr::to_string).collect(),
        reason: known.reason.clone(),
        since: known.since.map(UnixMicros::as_seconds),
        answered_at: known.answered_at.map(UnixMicros::as_seconds),
        asked_at: answer.asked_at.as_seconds(),
        failures: known.failures,
        failure: known.failure.clone(),
    }
}
