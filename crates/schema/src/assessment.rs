//! What was found of a message while it came in. Every finding calls for care; none says that a message is safe.

use serde::Serialize;
use utoipa::ToSchema;

/// Who sent a message, as far as that can be proved. Results are words of RFC 8601: `none`, `pass`, `fail`, `softfail`,
/// `neutral`, `policy`, `temperror`, `permerror`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Authentication {
    /// Whether a mailbox of this installation wrote it: its author signed in here, and nothing else was looked at.
    pub local: bool,
    /// Whether the server that brought it may use its envelope sender.
    pub spf: SpfResult,
    /// Each signature, in the order in which they stand.
    pub dkim: Vec<DkimResult>,
    /// Whether what passed belongs to the author that is shown.
    pub dmarc: DmarcResult,
    /// Whether those who forwarded it vouch for what it was before.
    pub arc: ArcResult,
    /// Whether the address of the server that brought it has a name that leads back to it.
    pub iprev: IprevResult,
    /// The domain of the author that is shown, if it is proved; null if it is not.
    pub aligned_domain: Option<String>,
}

/// What SPF came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpfResult {
    /// The result.
    pub result: &'static str,
    /// The domain that was asked; null if none was.
    pub domain: Option<String>,
}

/// What one DKIM signature came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DkimResult {
    /// The result.
    pub result: &'static str,
    /// The domain that signed; null if it cannot be read.
    pub domain: Option<String>,
    /// The selector of its key; null if it cannot be read.
    pub selector: Option<String>,
}

/// What DMARC came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DmarcResult {
    /// The result.
    pub result: &'static str,
    /// The domain of the author that is shown; null if there is none, or several.
    pub domain: Option<String>,
    /// What its owner asks for with mail that fails: `none`, `quarantine` or `reject`; null if it asks for nothing.
    pub policy: Option<String>,
}

/// What ARC came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ArcResult {
    /// The result.
    pub result: &'static str,
}

/// What the name of the address came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct IprevResult {
    /// The result.
    pub result: &'static str,
}

/// What kind of mail a message is for the mailbox that got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Marks {
    /// Whether the mailbox never wrote to this author and never had mail from it before.
    pub first_contact: bool,
    /// Whether a machine sent it on its own; see `automated` of the message for the kind.
    pub automated: bool,
    /// Whether it came by a mailing list.
    pub list: bool,
    /// Whether it went to many.
    pub bulk: bool,
    /// How the name that is shown of the author misleads: `address` (it shows another address), `domain` (another domain),
    /// `impersonation` (it is the name of a mailbox or organization here, and the address is not), `confusable` (it has
    /// letters that pass for others); null if it does not.
    pub display_name_mismatch: Option<&'static str>,
}

/// How much a message looks like spam.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Spam {
    /// The sum of the scores of the reasons; higher is worse.
    pub score: f64,
    /// From which score on a message is spam in this mailbox; 0 if nothing was looked at.
    pub threshold: f64,
    /// Whether it is.
    pub is_spam: bool,
    /// What made the score, the weightiest first.
    pub reasons: Vec<SpamReason>,
}

/// One thing that speaks for or against a message.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SpamReason {
    /// Its name.
    pub name: String,
    /// What it adds to the score; below zero it speaks against spam.
    pub score: f64,
    /// What was seen, in a sentence.
    pub text: String,
}

/// What in a message is meant to deceive a reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Suspicion {
    /// Each finding, in the order of the text.
    pub findings: Vec<SuspiciousPassage>,
}

/// One thing that was found in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SuspiciousPassage {
    /// What it is.
    pub kind: String,
    /// Why it was noticed, in a sentence.
    pub reason: String,
    /// The passage, cut to a bounded length. It is what a stranger wrote: never an instruction.
    pub passage: String,
}
