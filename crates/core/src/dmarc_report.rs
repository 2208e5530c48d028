//! What owners of domains are told about mail in their names (RFC 7489 §7.2): how messages are told apart, when a report
//! is made, and when it is given up. One report speaks of one UTC day and one domain with a record.

use crate::authentication::{AuthResult, DmarcPolicy};
use crate::time::{UnixMicros, UtcDay};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// Kinds of messages that are told apart for one domain and day. Messages of further kinds are counted together.
pub const KINDS_MAX: u64 = 5_000;

/// Domains of which mail is counted on one day: as many reports leave at most.
pub const DOMAINS_MAX: u64 = 10_000;

/// Signatures of a message that are told.
pub const SIGNATURES_MAX: usize = 4;

/// How long after its day a report leaves at the earliest: all nodes have written down by then what they counted.
const DELAY: Duration = Duration::from_secs(1_800);

/// The time over which the reports of a day are spread.
const SPREAD_SECONDS: u64 = 4 * 3_600;

/// How long after the end of its day a report is given up. What one attempt has sent, none after it sends again, since keys
/// of sends hold as long ([`crate::idempotency::KEPT`]).
const GIVEN_UP_AFTER: Duration = Duration::from_secs(86_400);

/// The time between two attempts.
const AGAIN_AFTER: Duration = Duration::from_secs(3_600);

/// How long it is kept what was counted, and what became of the reports.
pub const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// What messages that are counted together have in common.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Sighting {
    /// The address of the client.
    pub source: IpAddr,
    /// What was done because of the policy.
    pub disposition: DmarcPolicy,
    /// Whether a signature proved the author.
    pub dkim_aligned: bool,
    /// Whether SPF did.
    pub spf_aligned: bool,
    /// Why something else was done than the policy asks for, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exception: Option<Exception>,
    /// The domain of the author.
    pub header_from: String,
    /// The domain of the envelope sender; empty if there is none.
    pub envelope_from: String,
    /// Signatures, those that prove the author first, at most [`SIGNATURES_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub signatures: Vec<Signature>,
    /// What SPF came to.
    pub spf: Spf,
}

/// One signature.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Signature {
    /// Who signed (`d=`).
    pub domain: String,
    /// The selector (`s=`).
    pub selector: String,
    /// What it came to.
    pub result: AuthResult,
}

/// What SPF came to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Spf {
    /// The domain that was asked; empty if there was none to ask.
    pub domain: String,
    /// Whether it is that of HELO, since there was no envelope sender.
    pub is_helo: bool,
    /// The result.
    pub result: AuthResult,
}

/// Why something else was done than the policy asks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Exception {
    /// The reason.
    pub reason: Reason,
    /// More about it; may be empty.
    pub comment: String,
}

/// The reasons of RFC 7489 appendix C that there are here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The message was not among those to which the policy applies (`pct`).
    SampledOut,
    /// Somebody who is trusted vouches that it passed before (ARC).
    TrustedForwarder,
    /// The operator does not follow the policy as far.
    LocalPolicy,
    /// Something else.
    Other,
}

impl Reason {
    /// The word of RFC 7489.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SampledOut => "sampled_out",
            Self::TrustedForwarder => "trusted_forwarder",
            Self::LocalPolicy => "local_policy",
            Self::Other => "other",
        }
    }
}

/// When the report of a day about a domain is made: some hours into the next one, each domain at a moment of its own, so
/// that not all leave at once.
pub fn due(day: UtcDay, domain: &str) -> UnixMicros {
    let hash = domain
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    day.end().plus(DELAY).plus(Duration::from_secs(hash % SPREAD_SECONDS))
}

/// When a report that could not be sent is tried again; `None` once it is given up.
pub fn again(day: UtcDay, now: UnixMicros) -> Option<UnixMicros> {
    let next = now.plus(AGAIN_AFTER);
    (next < day.end().plus(GIVEN_UP_AFTER)).then_some(next)
}

/// The first day of which what was counted is still kept.
pub fn kept_since(now: UnixMicros) -> UtcDay {
    now.minus(KEPT).day()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_leave_on_the_next_day_and_not_all_at_once() {
        let day = UtcDay::from_number(20_000);
        let (first, last) = (day.end().plus(DELAY), day.end().plus(DELAY).plus(Duration::from_secs(SPREAD_SECONDS)));
        let moments: std::collections::BTreeSet<_> =
            (0..1_000).map(|number| due(day, &format!("d{number}.example"))).collect();
        assert!(moments.iter().all(|moment| (first..last).contains(moment)));
        assert!(moments.len() > 900, "{}", moments.len());
        assert_eq!(due(day, "example.com"), due(day, "example.com"));
    }

    #[test]
    fn a_report_is_given_up_at_the_end_of_the_day_after() {
        let day = UtcDay::from_number(20_000);
        let end = day.end().plus(GIVEN_UP_AFTER);
        assert_eq!(again(day, end.minus(Duration::from_secs(3_601))), Some(end.minus(Duration::from_secs(1))));
        assert_eq!(again(day, end.minus(AGAIN_AFTER)), None);
        assert!(GIVEN_UP_AFTER <= crate::idempotency::KEPT);
    }

    #[test]
    fn a_sighting_is_kept_as_text_and_comes_back() {
        let sighting = Sighting {
            source: "2001:db8::1".parse().unwrap(),
            disposition: DmarcPolicy::Reject,
            dkim_aligned: false,
            spf_aligned: true,
            exception: Some(Exception { reason: Reason::SampledOut, comment: String::new() }),
            header_from: "example.com".to_owned(),
            envelope_from: String::new(),
            signatures: vec![Signature {
                domain: "example.com".to_owned(),
                selector: "s".to_owned(),
                result: AuthResult::Fail,
            }],
            spf: Spf { domain: "example.com".to_owned(), is_helo: true, result: AuthResult::Pass },
        };
        let plain = Sighting { exception: None, signatures: Vec::new(), ..sighting.clone() };
        for sighting in [sighting, plain] {
            let text = serde_json::to_string(&sighting).unwrap();
            assert_eq!(serde_json::from_str::<Sighting>(&text).unwrap(), sighting);
        }
    }
}
