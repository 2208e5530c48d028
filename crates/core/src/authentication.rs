//! Who sent a message, as far as that can be proved: the results of the methods of RFC 8601, in its words.

use serde::{Deserialize, Serialize};

/// What a method of authentication came to (RFC 8601 §2.7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
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
    /// Whether the client may use the envelope sender (RFC 7208).
    pub spf: SpfResult,
    /// Each signature, in the order in which they stand (RFC 6376).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dkim: Vec<DkimResult>,
    /// Whether what passed belongs to the author that is shown (RFC 7489).
    pub dmarc: DmarcResult,
    /// Whether those who forwarded it vouch for what it was before (RFC 8617).
    pub arc: AuthResult,
    /// Whether the client's address has a name that leads back to it (RFC 8601 §3).
    pub iprev: AuthResult,
    /// The domain of the author that is shown, if SPF or DKIM proved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aligned_domain: Option<String>,
}

/// What SPF came to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpfResult {
    /// The result.
    pub result: AuthResult,
    /// The domain that was asked: of MAIL FROM, or of HELO if that was null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
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
    /// What its owner asks for with mail that fails: `none`, `quarantine` or `reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}
