//! Who sent a message, as far as that can be proved: the results of the methods of RFC 8601, in its words, and what follows
//! from them for a message that its alleged author disowns. Nothing here says that a message is safe.

use crate::assessment::is_default;
use crate::problem::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};

/// What a method of authentication came to (RFC 8601 §2.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthResult {
    /// Nothing was there to look at, or it was not looked at.
    #[default]
    None,
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// SPF: it probably does not hold.
    Softfail,
    /// SPF and DKIM: nothing can be said.
    Neutral,
    /// DKIM and DMARC: it holds, and is not accepted for reasons of our own.
    Policy,
    /// It could not be looked at now.
    Temperror,
    /// What its owner published or wrote cannot be understood.
    Permerror,
}

impl AuthResult {
    /// The word of RFC 8601.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Softfail => "softfail",
            Self::Neutral => "neutral",
            Self::Policy => "policy",
            Self::Temperror => "temperror",
            Self::Permerror => "permerror",
        }
    }
}

/// The results of all methods for one message. Its default means that nothing was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Authentication {
    /// It was written by a mailbox of this installation and never left it: its author signed in here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_local: bool,
    /// Whether the client may use the envelope sender (RFC 7208); if that is null, the name that it gave in HELO.
    #[serde(skip_serializing_if = "is_default")]
    pub spf: SpfResult,
    /// Whether the client may use the name that it gave in HELO (RFC 7208 §2.3).
    #[serde(skip_serializing_if = "is_default")]
    pub helo: SpfResult,
    /// Each signature, in the order in which they stand, as many as are looked at (RFC 6376).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dkim: Vec<DkimResult>,
    /// Whether what passed belongs to the author that is shown (RFC 7489).
    #[serde(skip_serializing_if = "is_default")]
    pub dmarc: DmarcResult,
    /// Whether those who forwarded it vouch for what it was before: none, pass or fail (RFC 8617 §5.2).
    #[serde(skip_serializing_if = "is_default")]
    pub arc: AuthResult,
    /// Who sealed it (`d=`), first to last, if the chain passes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arc_sealers: Vec<String>,
    /// Why the chain does not pass, in a few words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub arc_reason: String,
    /// Whether the client's address has a name that leads back to it (RFC 8601 §3).
    #[serde(skip_serializing_if = "is_default")]
    pub iprev: AuthResult,
    /// That name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The domain of the author that is shown, if DMARC passed: SPF or DKIM proved it, and its owner asks receivers to
    /// look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aligned_domain: Option<String>,
}

impl Authentication {
    /// The refusal of a message that its alleged author's domain wants refused, if the operator follows such wishes.
    pub fn refusal(&self) -> Option<Problem> {
        let domain = self.dmarc.domain.as_deref().unwrap_or_default();
        let text = format!("{domain} wants mail refused that is not proved to be from there (DMARC)");
        (self.dmarc.disposition == DmarcPolicy::Reject)
            .then(|| Problem::new(ProblemKind::Disowned, "dmarc_reject", text))
    }
}

/// What SPF came to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpfResult {
    /// The result.
    pub result: AuthResult,
    /// The domain that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Why, in a few words; empty if the result says it all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What one signature came to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DkimResult {
    /// The result.
    pub result: AuthResult,
    /// The domain that signed (`d=`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its selector (`s=`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The algorithm (`a=`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// The beginning of the signature (`b=`), which tells those of one domain apart (RFC 6008).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// It covers a part of the body only (`l=`): anybody could have added to it. It does not count for DMARC.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
    /// Its domain says that it is only trying (`t=y` of its key).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_testing: bool,
    /// Why, in a few words; empty if the result says it all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl DkimResult {
    /// Whether it proves that its domain sent the whole message.
    pub fn is_proof(&self) -> bool {
        self.result == AuthResult::Pass && !self.is_partial
    }
}

/// What DMARC came to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DmarcResult {
    /// The result.
    pub result: AuthResult,
    /// The domain of the author, as From shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Where the record of its owner stands: at that domain, or above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_domain: Option<String>,
    /// What its owner asks for with mail that fails: the word of a [`DmarcPolicy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What SPF proved belongs to the author.
    #[serde(skip_serializing_if = "is_default")]
    pub spf_aligned: bool,
    /// What a signature proved belongs to the author.
    #[serde(skip_serializing_if = "is_default")]
    pub dkim_aligned: bool,
    /// The sealer that we trust and that vouches that it passed before, if it fails (RFC 8617 §7.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescued_by: Option<String>,
    /// What was done with it.
    #[serde(skip_serializing_if = "is_default")]
    pub disposition: DmarcPolicy,
    /// Why, in a few words; empty if the result says it all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What the owner of a domain asks receivers to do with mail that fails (RFC 7489 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcPolicy {
    /// Nothing.
    #[default]
    None,
    /// To treat it with suspicion.
    Quarantine,
    /// To refuse it.
    Reject,
}

impl DmarcPolicy {
    /// The word of RFC 7489.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    /// Reads the word of RFC 7489, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::None, Self::Quarantine, Self::Reject].into_iter().find(|one| one.word().eq_ignore_ascii_case(word))
    }

    /// The next weaker one, for mail that is left out by `pct` (RFC 7489 §6.6.4).
    pub const fn weaker(self) -> Self {
        match self {
            Self::None | Self::Quarantine => Self::None,
            Self::Reject => Self::Quarantine,
        }
    }
}

/// How far the wishes of the owners of domains are followed for mail that fails DMARC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcEnforcement {
    /// Not at all: it is only said.
    Label,
    /// What is to be refused or treated with suspicion is filed as junk.
    #[default]
    Quarantine,
    /// What is to be refused is refused.
    Reject,
}

impl DmarcEnforcement {
    /// Reads the word of the configuration.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "label" => Self::Label,
            "quarantine" => Self::Quarantine,
            "reject" => Self::Reject,
            _ => return None,
        })
    }

    /// What is done with a message: never more than its author's domain asks for, and nothing with what passed, what
    /// could not be judged, or what a trusted sealer vouches for.
    pub fn disposition(self, dmarc: &DmarcResult) -> DmarcPolicy {
        if dmarc.result != AuthResult::Fail || dmarc.rescued_by.is_some() {
            return DmarcPolicy::None;
        }
        let most = match self {
            Self::Label => DmarcPolicy::None,
            Self::Quarantine => DmarcPolicy::Quarantine,
            Self::Reject => DmarcPolicy::Reject,
        };
        let asked = dmarc.policy.as_deref().and_then(DmarcPolicy::parse);
        asked.unwrap_or_default().min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_never_more_than_asked_for_or_allowed() {
        use DmarcEnforcement as E;
        use DmarcPolicy as P;
        for (set, asked, expected) in [
            (E::Label, P::Reject, P::None),
            (E::Label, P::Quarantine, P::None),
            (E::Quarantine, P::None, P::None),
            (E::Quarantine, P::Quarantine, P::Quarantine),
            (E::Quarantine, P::Reject, P::Quarantine),
            (E::Reject, P::None, P::None),
            (E::Reject, P::Quarantine, P::Quarantine),
            (E::Reject, P::Reject, P::Reject),
        ] {
            let failed = DmarcResult {
                result: AuthResult::Fail,
                policy: Some(asked.word().to_owned()),
                ..DmarcResult::default()
            };
            assert_eq!(set.disposition(&failed), expected, "{set:?} {asked:?}");
            let rescued = DmarcResult { rescued_by: Some("list.example".to_owned()), ..failed.clone() };
            assert_eq!(set.disposition(&rescued), P::None, "{set:?} {asked:?}");
            for other in [AuthResult::None, AuthResult::Pass, AuthResult::Temperror, AuthResult::Permerror] {
                let unjudged = DmarcResult { result: other, ..failed.clone() };
                assert_eq!(set.disposition(&unjudged), P::None, "{set:?} {asked:?} {other:?}");
            }
        }
    }

    #[test]
    fn what_is_to_be_refused_is() {
        for disposition in [DmarcPolicy::None, DmarcPolicy::Quarantine, DmarcPolicy::Reject] {
            let dmarc = DmarcResult { disposition, domain: Some("example.com".to_owned()), ..DmarcResult::default() };
            let refusal = Authentication { dmarc, ..Authentication::default() }.refusal();
            assert_eq!(
                refusal.map(|problem| problem.code),
                (disposition == DmarcPolicy::Reject).then_some("dmarc_reject")
            );
        }
    }

    #[test]
    fn nothing_looked_at_is_short_and_comes_back() {
        let text = serde_json::to_string(&Authentication::default()).unwrap();
        assert_eq!(serde_json::from_str::<Authentication>(&text).unwrap(), Authentication::default());
        assert_eq!(serde_json::from_str::<Authentication>("{}").unwrap(), Authentication::default());
    }
}
