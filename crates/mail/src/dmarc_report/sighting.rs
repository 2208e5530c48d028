//! What is counted of a message, as far as the owner of its alleged author's domain wants to know.

use crate::authentication::dmarc::Published;
use crate::authentication::dmarc::suffix::are_aligned;
use postfleet_core::ReversePath;
use postfleet_core::authentication::{AuthResult, Authentication, DkimResult, DmarcPolicy, DmarcResult};
use postfleet_core::dmarc_report::{Exception, Reason, SIGNATURES_MAX, Sighting, Signature, Spf};
use std::net::IpAddr;

/// Characters kept of what the sender chooses.
const TEXT_CHARS_MAX: usize = 255;

/// The domain that is told of a message, and what it is told. `None` if nobody wants to know.
pub fn sighting(
    published: &Published,
    found: &Authentication,
    client: IpAddr,
    reverse_path: &ReversePath,
) -> Option<(String, Sighting)> {
    let Published::Record { record, at, policy } = published else { return None };
    let header_from = found.dmarc.domain.clone().filter(|_| !record.reports_to.is_empty())?;
    let envelope_from = reverse_path.mailbox().map(|sender| sender.domain().to_string());
    let is_of_author = |one: &DkimResult| {
        one.domain.as_deref().is_some_and(|domain| are_aligned(&header_from, domain, record.is_dkim_strict))
    };
    let mut signatures: Vec<&DkimResult> = found.dkim.iter().collect();
    signatures.sort_by_key(|one| (!is_of_author(one), !one.is_proof()));
    let signature = |one: &DkimResult| Signature {
        domain: kept(one.domain.as_deref()),
        selector: kept(one.selector.as_deref()),
        result: one.result,
    };
    let sighting = Sighting {
        source: client.to_canonical(),
        disposition: found.dmarc.disposition,
        dkim_aligned: found.dmarc.dkim_aligned,
        spf_aligned: found.dmarc.spf_aligned,
        exception: exception(*policy, record.is_testing, &found.dmarc),
        spf: Spf {
            domain: kept(found.spf.domain.as_deref()),
            is_helo: envelope_from.is_none(),
            result: found.spf.result,
        },
        envelope_from: envelope_from.unwrap_or_default(),
        signatures: signatures.into_iter().take(SIGNATURES_MAX).map(signature).collect(),
        header_from,
    };
    Some((at.clone(), sighting))
}

/// Why something else was done than the policy asks for, if it was.
fn exception(policy: DmarcPolicy, is_testing: bool, judged: &DmarcResult) -> Option<Exception> {
    let asked = judged.policy.as_deref().and_then(DmarcPolicy::parse).unwrap_or_default();
    let because = |reason, comment: String| Some(Exception { reason, comment });
    match judged.result {
        AuthResult::Temperror if policy != DmarcPolicy::None => because(Reason::Other, kept(Some(&judged.reason))),
        AuthResult::Fail if judged.disposition != policy => match &judged.rescued_by {
            Some(sealer) => because(Reason::TrustedForwarder, format!("ARC sealed by {}", kept(Some(sealer)))),
            None if judged.disposition != asked => because(Reason::LocalPolicy, String::new()),
            None if is_testing => because(Reason::Other, "the record says t=y".to_owned()),
            None => because(Reason::SampledOut, String::new()),
        },
        _ => None,
    }
}

fn kept(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().take(TEXT_CHARS_MAX).collect()
}
