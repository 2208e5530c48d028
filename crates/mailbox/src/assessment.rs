//! What was found of a message while it came in: as it is stored, and as it is shown.

use postfleet_core::assessment::Assessment;
use postfleet_core::authentication::Authentication;
use postfleet_core::marks::{Marks, NameMismatch};
use postfleet_core::spam::SpamVerdict;
use postfleet_core::suspicion::{Ambiguity, Hidden, Link, LinkReason, Passage, Reason, Suspicion};
use postfleet_schema::assessment as schema;

/// As it is stored.
pub fn to_json(assessment: &Assessment) -> String {
    serde_json::to_string(assessment).unwrap_or_else(|_| "{}".to_owned())
}

/// From how it is stored; a damaged one reads as if nothing had been looked at, so that the message stays readable.
pub fn from_json(json: &str) -> Assessment {
    serde_json::from_str(json).unwrap_or_default()
}

/// Shows who sent it.
pub fn authentication(found: Authentication) -> schema::Authentication {
    let Authentication { is_local, spf, dkim, dmarc, arc, iprev, aligned_domain, .. } = found;
    schema::Authentication {
        local: is_local,
        spf: schema::SpfResult { result: spf.result.word(), domain: spf.domain },
        dkim: dkim
            .into_iter()
            .map(|one| schema::DkimResult { result: one.result.word(), domain: one.domain, selector: one.selector })
            .collect(),
        dmarc: schema::DmarcResult { result: dmarc.result.word(), domain: dmarc.domain, policy: dmarc.policy },
        arc: schema::ArcResult { result: arc.word() },
        iprev: schema::IprevResult { result: iprev.word() },
        aligned_domain,
    }
}

/// Shows what kind of mail it is.
pub fn marks(found: &Marks) -> schema::Marks {
    schema::Marks {
        first_contact: found.is_first_contact,
        automated: found.is_automated,
        list: found.is_list,
        bulk: found.is_bulk,
        display_name_mismatch: found.display_name_mismatch.map(NameMismatch::word),
    }
}

/// Shows how much it looks like spam.
pub fn spam(found: SpamVerdict) -> schema::Spam {
    let reason =
        |one: postfleet_core::spam::SpamReason| schema::SpamReason { name: one.name, score: one.score, text: one.text };
    schema::Spam {
        score: found.score,
        threshold: found.threshold,
        is_spam: found.is_spam,
        reasons: found.reasons.into_iter().map(reason).collect(),
    }
}

/// Shows what in it is aimed at the program that reads it.
pub fn suspicion(found: Suspicion) -> schema::Suspicion {
    let labels = found.labels();
    let Suspicion { looked_at, passages, hidden, links, ambiguities, is_cut } = found;
    schema::Suspicion {
        looked_at,
        labels,
        instructions: passages.into_iter().map(passage).collect(),
        hidden_text: hidden.into_iter().map(hidden_text).collect(),
        links: links.into_iter().map(link).collect(),
        ambiguities: ambiguities.into_iter().map(Ambiguity::word).collect(),
        truncated: is_cut,
    }
}

fn passage(one: Passage) -> schema::Instruction {
    let Passage { place, part, start, end, text, reasons } = one;
    schema::Instruction { place: place.word(), part, start, end, text, reasons: words(reasons) }
}

fn hidden_text(one: Hidden) -> schema::HiddenText {
    let Hidden { place, means, at, characters, text, reasons } = one;
    schema::HiddenText { place: place.word(), means: means.word(), at, characters, text, reasons: words(reasons) }
}

/// Shows a link.
pub(crate) fn link(one: Link) -> schema::Link {
    let Link { place, text, target, host, reasons } = one;
    let reasons = reasons.into_iter().map(LinkReason::word).collect();
    schema::Link { place: place.word(), text, target, host, reasons }
}

fn words(reasons: Vec<Reason>) -> Vec<&'static str> {
    reasons.into_iter().map(Reason::word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::authentication::{AuthResult, DkimResult};
    use postfleet_core::spam::SpamReason;
    use postfleet_core::suspicion::{Means, Place};

    #[test]
    fn what_was_found_is_stored_and_read_back() {
        let nothing = Assessment::default();
        assert_eq!(from_json(&to_json(&nothing)), nothing);
        let mut all = Assessment::default();
        all.authentication.is_local = true;
        all.authentication.spf.result = AuthResult::Softfail;
        all.authentication.dkim = vec![DkimResult { result: AuthResult::Pass, ..DkimResult::default() }];
        all.authentication.aligned_domain = Some("sender.test".into());
        all.marks = Marks {
            is_first_contact: true,
            is_automated: true,
            is_list: true,
            is_bulk: true,
            display_name_mismatch: Some(NameMismatch::Impersonation),
        };
        let reason = SpamReason { name: "listed".into(), score: 3.5, text: "It is listed.".into() };
        all.spam = SpamVerdict { score: 3.5, threshold: 5.0, is_spam: false, reasons: vec![reason] };
        all.suspicion = Suspicion {
            looked_at: true,
            passages: vec![Passage {
                place: Place::Text,
                part: None,
                start: 1,
                end: 2,
                text: "x".into(),
                reasons: vec![Reason::Override],
            }],
            hidden: vec![Hidden {
                place: Place::Html,
                means: Means::SameColour,
                at: 0,
                characters: 1,
                text: "x".into(),
                reasons: vec![],
            }],
            links: vec![Link {
                place: Place::Html,
                text: "x".into(),
                target: "y".into(),
                host: String::new(),
                reasons: vec![LinkReason::Active],
            }],
            ambiguities: vec![Ambiguity::UnclearType],
            is_cut: true,
        };
        assert_eq!(from_json(&to_json(&all)), all);
    }

    #[test]
    fn what_an_older_or_a_damaged_row_does_not_say_was_not_looked_at() {
        for json in ["", "{}", "null", "[]", "{\"marks\":7}", "{\"unheard_of\":1}"] {
            assert_eq!(from_json(json), Assessment::default(), "{json}");
        }
        assert!(from_json("{\"marks\":{\"is_list\":true}}").marks.is_list);
    }

    #[test]
    fn where_nothing_was_found_little_is_stored() {
        assert!(to_json(&Assessment::default()).len() < 200, "{}", to_json(&Assessment::default()));
    }
}
