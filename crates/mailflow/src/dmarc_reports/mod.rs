//! Our own reports to owners of domains about mail in their names (RFC 7489 §7.2), where the operator wants them to be
//! sent. What came in is counted in memory ([`tally`]), written down from time to time ([`flush_once`]), and told once a
//! day ([`send_once`]).

mod send;
mod tally;

pub use send::send_once;
pub use tally::Tally;

use crate::platform::Platform;
use crate::receive::{Arrival, Findings};
use postfleet_core::{EmailAddress, Problem};
use postfleet_mail::dmarc_report::sighting;
use postfleet_store::dmarc_reports::CountSightings;

/// Kinds that one command writes.
const COUNTS_MAX: usize = 200;

/// What the operator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcReportSettings {
    /// The mailbox that sends the reports.
    pub from: EmailAddress,
    /// Who reports, in words.
    pub organization: String,
    /// An address to ask.
    pub contact: EmailAddress,
}

/// Counts a message that has its answer. What is put off comes again, and is counted then; all else counts, whoever may
/// have refused it (§7.2).
pub(crate) fn count<T>(platform: &Platform, arrival: &Arrival, findings: &Findings, answer: &Result<T, Problem>) {
    let is_put_off = answer.as_ref().is_err_and(Problem::is_retryable);
    if platform.settings.dmarc_reports.is_none() || arrival.is_local() || is_put_off {
        return;
    }
    let seen = sighting(&findings.published, &findings.authentication, arrival.ip, &arrival.reverse_path);
    if let Some((domain, sighting)) = seen {
        platform.dmarc_tally.add(platform.clock.now().day(), domain, sighting);
    }
}

/// Writes down what was counted on this node. What cannot be written now is kept for the next time.
pub async fn flush_once(platform: &Platform) -> Result<(), Problem> {
    let tally = &platform.dmarc_tally;
    let mut left = tally.take();
    while !left.is_empty() {
        let counts = left.split_off(left.len().saturating_sub(COUNTS_MAX));
        match platform.store.run(CountSightings::of(counts.clone())).await {
            Ok(0) => {}
            Ok(lost) => tracing::warn!(lost, "messages in the names of too many domains today: no reports about them"),
            Err(error) => {
                tally.give_back(counts);
                tally.give_back(left);
                return Err(error.into());
            }
        }
    }
    Ok(())
}
