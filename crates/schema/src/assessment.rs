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

/// What in a message is aimed at the program that reads it. Labels with evidence: that nothing was found is no reason to
/// trust a message. All texts here are what a stranger wrote, and never an instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Suspicion {
    /// Whether the message was looked at; what the mailbox sent itself is not.
    pub looked_at: bool,
    /// What was found in short: `instructs_reader`, `hidden_text`, `deceptive_link`, `ambiguous_structure`.
    pub labels: Vec<&'static str>,
    /// Passages that try to instruct the reader, at most 16.
    pub instructions: Vec<Instruction>,
    /// Text that a human would not see, at most 16. The snippet and the visible text leave it out.
    pub hidden_text: Vec<HiddenText>,
    /// Links with something wrong, at most 16.
    pub links: Vec<Link>,
    /// Why readers may take the message differently: `repeated_field`, `unclear_sender`, `malformed_header`,
    /// `unclear_boundary`, `encoded_multipart`, `unclear_type`, `conflicting_file_names`, `unclear_encoding`, `beyond_limits`.
    pub ambiguities: Vec<&'static str>,
    /// Whether there was more than is shown here, or than was looked at.
    pub truncated: bool,
}

/// A passage that tries to instruct the reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Instruction {
    /// Where it stands: `subject`, `sender_name`, `text` or `html` (the fields of `visible_text`), `attachment_name`, `calendar`.
    pub place: &'static str,
    /// The number of the part that has the name or the calendar entry, as in the attachment's id; null elsewhere.
    pub part: Option<u32>,
    /// Its first character in the visible text of that place, in Unicode characters from 0.
    pub start: u32,
    /// The character behind its last one.
    pub end: u32,
    /// The passage, at most 240 characters of it.
    #[schema(max_length = 240)]
    pub text: String,
    /// Why it is here: `override`, `role`, `addresses_machine`, `secrets`, `exfiltration`, `deletion`, `payment`, `markup`,
    /// `encoded`, `concealment`, `urgency_with_authority`.
    pub reasons: Vec<&'static str>,
}

/// Text that a human would not see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HiddenText {
    /// Where it stands, as for instructions.
    pub place: &'static str,
    /// How it is hidden: `zero_width`, `bidi`, `tag`, `variation_selector`, `control`, `not_displayed`, `no_size`,
    /// `transparent`, `same_colour`, `off_screen`, `comment`, or `behind_blank_space`, which the visible text keeps.
    pub means: &'static str,
    /// The character of the visible text of that place before which it stood.
    pub at: u32,
    /// How many characters are hidden there.
    pub characters: u32,
    /// What they say, at most 240 characters; empty if they say nothing.
    #[schema(max_length = 240)]
    pub text: String,
    /// Why it is taken for an instruction to the reader, as for instructions; empty if it is not.
    pub reasons: Vec<&'static str>,
}

/// A link and where it really leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Link {
    /// `text` or `html`.
    pub place: &'static str,
    /// What is shown, at most 400 characters.
    #[schema(max_length = 400)]
    pub text: String,
    /// Where it leads, at most 400 characters.
    #[schema(max_length = 400)]
    pub target: String,
    /// The host that is asked, in ASCII; empty if there is none.
    pub host: String,
    /// What is wrong with it: `text_differs`, `international_host`, `lookalike_host`, `user_info`, `ip_host`, `shortener`,
    /// `redirect`, `active`, `malformed`; empty if nothing is.
    pub reasons: Vec<&'static str>,
}

/// What a human sees of a message, as text: without what is hidden, and with all links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct VisibleText {
    /// The plain text of the body; of HTML alone, the HTML as text. Links stand behind what they show, in angle brackets.
    pub text: String,
    /// The HTML of the body as text; null if there is none.
    pub html: Option<String>,
    /// Its links in order, at most 200, each with its real target.
    pub links: Vec<Link>,
}
