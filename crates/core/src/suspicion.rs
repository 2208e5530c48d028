//! What was found in a received message that is aimed at the program that reads it: text that gives it orders, text that a
//! human would not see, links that lead elsewhere than they say, and a structure that readers take differently.
//!
//! These are labels with evidence, never a verdict: nothing is deleted for them, and that nothing was found says nothing.

use serde::{Deserialize, Serialize};

/// Passages of a message that are kept.
pub const PASSAGES_MAX: usize = 16;

/// Pieces of hidden text that are kept.
pub const HIDDEN_MAX: usize = 16;

/// Links with something wrong that are kept.
pub const LINKS_MAX: usize = 16;

/// Characters of a passage or a hidden text that are kept.
pub const EXCERPT_CHARS_MAX: usize = 240;

/// Characters of a link's target or text that are kept.
pub const TARGET_CHARS_MAX: usize = 400;

/// What was found. The default is that nobody has looked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Suspicion {
    /// Whether the message was looked at; what the mailbox sends itself is not.
    pub looked_at: bool,
    /// Text that tries to instruct the reader, in the order of places and text. At most [`PASSAGES_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passages: Vec<Passage>,
    /// Text that a human would not see, and that the plain view leaves out. At most [`HIDDEN_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<Hidden>,
    /// Links with something wrong. At most [`LINKS_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Why readers may take the message differently, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ambiguities: Vec<Ambiguity>,
    /// There was more than is kept here, or than was looked at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// A passage that tries to instruct the reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Where it stands.
    pub place: Place,
    /// The number of the part, for a file name or a calendar entry.
    pub part: Option<u32>,
    /// Its first character in the visible text of that place, counted in Unicode characters from 0.
    pub start: u32,
    /// The character behind its last one.
    pub end: u32,
    /// The passage as it is visible, at most [`EXCERPT_CHARS_MAX`] characters of it.
    pub text: String,
    /// Why it is here, each once.
    pub reasons: Vec<Reason>,
}

/// A part of a message that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The subject.
    Subject,
    /// The display name of the sender.
    SenderName,
    /// The plain text parts of the body.
    Text,
    /// The HTML parts of the body, as text.
    Html,
    /// The name of an attachment.
    AttachmentName,
    /// The texts of a calendar entry.
    Calendar,
}

/// Why a passage is taken for an instruction to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It wants earlier instructions or safeguards set aside.
    Override,
    /// It gives the reader another role or other rules, or speaks as the system.
    Role,
    /// It speaks to a program that reads mail.
    AddressesMachine,
    /// It asks for secrets: passwords, keys, the reader's own instructions.
    Secrets,
    /// It asks to pass on or publish mail or contacts.
    Exfiltration,
    /// It asks to delete mail.
    Deletion,
    /// It asks for money.
    Payment,
    /// It has the marks of a prompt or of a call of a tool.
    Markup,
    /// It is encoded, so that filters do not read it.
    Encoded,
    /// It wants something kept from those for whom the reader works.
    Concealment,
    /// It is urgent and names somebody in command.
    UrgencyWithAuthority,
}

/// Text that a human would not see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// Where it stands.
    pub place: Place,
    /// How it is hidden.
    pub means: Means,
    /// The character of the visible text of that place before which it stood, from 0.
    pub at: u32,
    /// How many characters are hidden there.
    pub characters: u32,
    /// What they say, as far as they say anything: at most [`EXCERPT_CHARS_MAX`] characters.
    pub text: String,
    /// What in it tries to instruct the reader, each once.
    pub reasons: Vec<Reason>,
}

/// How text is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// Characters without width.
    ZeroWidth,
    /// Characters that change the direction of writing.
    Bidi,
    /// Tag characters (U+E0000), which spell out ASCII.
    Tag,
    /// Variation selectors where there is nothing to vary.
    VariationSelector,
    /// Control characters.
    Control,
    /// An element that is not displayed: `display:none`, `hidden` and the like.
    NotDisplayed,
    /// An element of no visible size.
    NoSize,
    /// An element that is transparent.
    Transparent,
    /// Text in the colour of its background.
    SameColour,
    /// An element outside of the page.
    OffScreen,
    /// A comment in HTML; listed only if it tries to instruct.
    Comment,
    /// Text behind a long blank space. It is in the plain view.
    BehindBlankSpace,
}

/// A link and where it really leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it stands.
    pub place: Place,
    /// What is shown, at most [`TARGET_CHARS_MAX`] characters.
    pub text: String,
    /// Where it leads, at most [`TARGET_CHARS_MAX`] characters.
    pub target: String,
    /// The host that is asked, in ASCII; empty if there is none.
    pub host: String,
    /// What is wrong with it, each once.
    pub reasons: Vec<LinkReason>,
}

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkReason {
    /// What is shown names another host.
    TextDiffers,
    /// The host is written in other than ASCII letters.
    InternationalHost,
    /// The host looks like another one: its letters are of several scripts, or all look like Latin ones.
    LookalikeHost,
    /// There is something before an `@`, which looks like a host and is none.
    UserInfo,
    /// The host is an IP address.
    IpHost,
    /// The host is known to lead on to any other.
    Shortener,
    /// A parameter leads on to another host.
    Redirect,
    /// It has its content in itself, or runs: `data:`, `javascript:` and the like.
    Active,
    /// It has control characters, blanks or backslashes, which programs read differently.
    Malformed,
}

/// Why readers may take a message differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ambiguity {
    /// A header field or parameter that may stand once stands there more often.
    RepeatedField,
    /// There is no single sender in From.
    UnclearSender,
    /// Lines of the header, or octets in it, that do not belong there.
    MalformedHeader,
    /// Boundaries that are missing, open, or begin with one another.
    UnclearBoundary,
    /// A multipart that is encoded as a whole.
    EncodedMultipart,
    /// A type that is none.
    UnclearType,
    /// File names that contradict each other.
    ConflictingFileNames,
    /// Encoded content with octets in it that some readers pass over and others stop at.
    UnclearEncoding,
    /// More parts, depth, fields, parameters or addresses than are read.
    BeyondLimits,
}

impl Place {
    /// Its name on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::SenderName => "sender_name",
            Self::Text => "text",
            Self::Html => "html",
            Self::AttachmentName => "attachment_name",
            Self::Calendar => "calendar",
        }
    }
}

impl Reason {
    /// Its name on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::Role => "role",
            Self::AddressesMachine => "addresses_machine",
            Self::Secrets => "secrets",
            Self::Exfiltration => "exfiltration",
            Self::Deletion => "deletion",
            Self::Payment => "payment",
            Self::Markup => "markup",
            Self::Encoded => "encoded",
            Self::Concealment => "concealment",
            Self::UrgencyWithAuthority => "urgency_with_authority",
        }
    }
}

impl Means {
    /// Its name on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::ZeroWidth => "zero_width",
            Self::Bidi => "bidi",
            Self::Tag => "tag",
            Self::VariationSelector => "variation_selector",
            Self::Control => "control",
            Self::NotDisplayed => "not_displayed",
            Self::NoSize => "no_size",
            Self::Transparent => "transparent",
            Self::SameColour => "same_colour",
            Self::OffScreen => "off_screen",
            Self::Comment => "comment",
            Self::BehindBlankSpace => "behind_blank_space",
        }
    }
}

impl LinkReason {
    /// Its name on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::TextDiffers => "text_differs",
            Self::InternationalHost => "international_host",
            Self::LookalikeHost => "lookalike_host",
            Self::UserInfo => "user_info",
            Self::IpHost => "ip_host",
            Self::Shortener => "shortener",
            Self::Redirect => "redirect",
            Self::Active => "active",
            Self::Malformed => "malformed",
        }
    }
}

impl Ambiguity {
    /// Its name on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::RepeatedField => "repeated_field",
            Self::UnclearSender => "unclear_sender",
            Self::MalformedHeader => "malformed_header",
            Self::UnclearBoundary => "unclear_boundary",
            Self::EncodedMultipart => "encoded_multipart",
            Self::UnclearType => "unclear_type",
            Self::ConflictingFileNames => "conflicting_file_names",
            Self::UnclearEncoding => "unclear_encoding",
            Self::BeyondLimits => "beyond_limits",
        }
    }
}

impl Suspicion {
    /// The words for what was found, by which rules ask.
    pub fn labels(&self) -> Vec<&'static str> {
        let labels = [
            ("instructs_reader", self.instructs()),
            ("hidden_text", self.hides_text()),
            ("deceptive_link", !self.links.is_empty()),
            ("ambiguous_structure", !self.ambiguities.is_empty()),
        ];
        labels.into_iter().filter(|(_, found)| *found).map(|(label, _)| label).collect()
    }

    /// Whether anything tries to instruct the reader, visibly or not.
    pub fn instructs(&self) -> bool {
        !self.passages.is_empty() || self.hidden.iter().any(|hidden| !hidden.reasons.is_empty())
    }

    /// Whether a text is hidden: more than invisible characters that say nothing.
    pub fn hides_text(&self) -> bool {
        self.hidden.iter().any(|hidden| !hidden.text.is_empty() && hidden.means != Means::BehindBlankSpace)
    }

    /// All reasons for which passages are here, each once, in the order of [`Reason`].
    pub fn reasons(&self) -> Vec<Reason> {
        let passages = self.passages.iter().flat_map(|passage| &passage.reasons);
        let mut reasons: Vec<_> =
            passages.chain(self.hidden.iter().flat_map(|hidden| &hidden.reasons)).copied().collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_what_was_found() {
        let hidden = |text: &str, means, reasons: &[Reason]| Hidden {
            place: Place::Html,
            means,
            at: 0,
            characters: 3,
            text: text.into(),
            reasons: reasons.to_vec(),
        };
        let with = |hidden| Suspicion { looked_at: true, hidden: vec![hidden], ..Suspicion::default() }.labels();
        assert_eq!(Suspicion::default().labels(), Vec::<&str>::new());
        assert_eq!(with(hidden("", Means::ZeroWidth, &[])), Vec::<&str>::new());
        assert_eq!(with(hidden("a", Means::BehindBlankSpace, &[])), Vec::<&str>::new());
        assert_eq!(with(hidden("a", Means::NotDisplayed, &[])), ["hidden_text"]);
        assert_eq!(with(hidden("a", Means::Comment, &[Reason::Override])), ["instructs_reader", "hidden_text"]);
    }

    #[test]
    fn a_word_is_what_is_stored() {
        let stored = |value: serde_json::Result<String>| value.expect("json").trim_matches('"').to_owned();
        for place in
            [Place::Subject, Place::SenderName, Place::Text, Place::Html, Place::AttachmentName, Place::Calendar]
        {
            assert_eq!(stored(serde_json::to_string(&place)), place.word());
        }
        for reason in [Reason::Override, Reason::AddressesMachine, Reason::UrgencyWithAuthority, Reason::Exfiltration] {
            assert_eq!(stored(serde_json::to_string(&reason)), reason.word());
        }
        for means in [Means::ZeroWidth, Means::VariationSelector, Means::SameColour, Means::BehindBlankSpace] {
            assert_eq!(stored(serde_json::to_string(&means)), means.word());
        }
        for reason in [LinkReason::TextDiffers, LinkReason::LookalikeHost, LinkReason::UserInfo, LinkReason::Malformed]
        {
            assert_eq!(stored(serde_json::to_string(&reason)), reason.word());
        }
        for why in [Ambiguity::RepeatedField, Ambiguity::UnclearSender, Ambiguity::BeyondLimits] {
            assert_eq!(stored(serde_json::to_string(&why)), why.word());
        }
    }

    #[test]
    fn an_older_row_stays_readable() {
        let read: Suspicion = serde_json::from_str("{\"looked_at\":true}").expect("an older row");
        assert_eq!(read, Suspicion { looked_at: true, ..Suspicion::default() });
    }
}
