//! Rules about mail: what one says. A workspace names the rules that judge the mail of its mailboxes.
//!
//! A message becomes an [`Input`]; the rules of a workspace become [`Compiled`] ones; [`evaluate()`] makes a [`Judgement`]
//! of the two, and [`place`] says where the message's copy goes after it. [`trace()`] says why, rule by rule.

mod compile;
mod evaluate;
mod found;
mod input;
mod item_set;
mod outcome;
mod placement;
mod replay;
pub(crate) mod sip;
mod trace;

pub use compile::Compiled;
pub use evaluate::{Lookup, evaluate};
pub use found::{AUTHENTICATION_RESULTS, Found, MARKS};
pub use input::Input;
pub use item_set::{ItemHasher, ItemSet};
pub use outcome::{Effects, Judgement, RuleOutcome, Shadow, Verdict};
pub use placement::{Placement, place};
pub use replay::{Difference, difference};
pub use trace::{ConditionTrace, RuleTrace, Traced, trace};

pub mod validate;

use crate::id::{ListId, RuleId};
use crate::list::ListKind;
use crate::words::words;

/// A rule, as it was validated when it was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// 0 to 1,000: lower ones come first, older ones before newer ones of the same priority.
    pub priority: u16,
    /// Whether it is looked at.
    pub is_enabled: bool,
    /// Whether it acts.
    pub mode: Mode,
    /// Which mail it is about.
    pub direction: Direction,
    /// Whether one condition is enough.
    pub match_operator: MatchOperator,
    /// 1 to 50.
    pub conditions: Vec<Condition>,
    /// 1 to 20.
    pub actions: Vec<Action>,
}

words! {
    /// Whether a rule acts on what it matches.
    Mode {
        /// It does.
        Enforce = "enforce",
        /// It is evaluated and recorded, and does nothing.
        Shadow = "shadow",
    }
}

words! {
    /// Which mail a rule is about (`trigger` on the wire).
    Direction {
        /// What arrives.
        Inbound = "inbound",
        /// What is sent.
        Outbound = "outbound",
    }
}

words! {
    /// What a sent message is to its conversation.
    OutboundType {
        /// It begins one.
        Compose = "compose",
        /// It answers.
        Reply = "reply",
    }
}

words! {
    /// How conditions go together.
    MatchOperator {
        /// One is enough.
        Any = "any",
        /// Every one must hold.
        All = "all",
    }
}

words! {
    /// What a condition looks at.
    Field {
        /// The author's address.
        FromAddress = "from.address",
        /// Its domain.
        FromDomain = "from.domain",
        /// The last label of its domain.
        FromTld = "from.tld",
        /// The addresses of all recipients: To, Cc, Bcc and the envelope.
        RecipientAddress = "recipient.address",
        /// Their domains.
        RecipientDomain = "recipient.domain",
        /// The last labels of their domains.
        RecipientTld = "recipient.tld",
        /// Whether it begins a conversation (`compose`) or answers (`reply`).
        OutboundType = "outbound.type",
        /// What SPF came to, in a word of RFC 8601.
        AuthenticationSpf = "authentication.spf",
        /// What the best of its DKIM signatures came to.
        AuthenticationDkim = "authentication.dkim",
        /// What DMARC came to.
        AuthenticationDmarc = "authentication.dmarc",
        /// How much it looks like spam.
        SpamScore = "spam.score",
        /// The kinds of what was found that is meant to deceive its reader.
        SuspicionKind = "suspicion.kind",
        /// What kind of mail it is for the mailbox.
        MessageMark = "message.mark",
    }
}

words! {
    /// How a condition compares.
    Operator {
        /// Equal.
        Is = "is",
        /// Equal to none.
        IsNot = "is_not",
        /// Has it somewhere.
        Contains = "contains",
        /// Is an item of one of the lists.
        InList = "in_list",
        /// A number that is as high, or higher.
        AtLeast = "at_least",
        /// A number that is lower.
        Below = "below",
    }
}

/// One condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// What it looks at.
    pub field: Field,
    /// How it compares.
    pub operator: Operator,
    /// With what.
    pub operand: Operand,
}

/// What a condition compares with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A text in lower case.
    Text(String),
    /// For [`Operator::InList`]: at least one list of the field's kind. One that was removed since holds nothing.
    Lists(Vec<ListId>),
}

/// What a rule does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Refuses the message. It stands alone, and ends the evaluation.
    Block,
    /// Keeps what is to be sent until somebody approves it. Of sent mail only.
    Hold,
    /// Puts it into junk.
    MarkAsSpam,
    /// Puts it into the folder of that id, name or path; one that does not exist is skipped.
    AssignToFolder(String),
    /// Marks it as read.
    MarkAsRead,
    /// Marks it with a star.
    MarkAsStarred,
    /// Puts it into the archive.
    Archive,
    /// Puts it into the trash.
    Trash,
}

impl Action {
    /// The word on the wire and in the store.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Hold => "hold",
            Self::MarkAsSpam => "mark_as_spam",
            Self::AssignToFolder(_) => "assign_to_folder",
            Self::MarkAsRead => "mark_as_read",
            Self::MarkAsStarred => "mark_as_starred",
            Self::Archive => "archive",
            Self::Trash => "trash",
        }
    }
}

/// What the values of a field are, and so with what they can be compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Addresses or parts of them, which lists of a kind can have.
    Values(ListKind),
    /// These words.
    Words(&'static [&'static str]),
    /// Words of which there may be more one day: lower-case letters, digits and underscores.
    Label,
    /// A number with at most two decimals.
    Number,
}

impl Field {
    /// What its values are.
    pub const fn form(self) -> Form {
        match self {
            Self::FromAddress | Self::RecipientAddress => Form::Values(ListKind::Address),
            Self::FromDomain | Self::RecipientDomain => Form::Values(ListKind::Domain),
            Self::FromTld | Self::RecipientTld => Form::Values(ListKind::Tld),
            Self::OutboundType => Form::Words(&["compose", "reply"]),
            Self::AuthenticationSpf | Self::AuthenticationDkim | Self::AuthenticationDmarc => {
                Form::Words(AUTHENTICATION_RESULTS)
            }
            Self::MessageMark => Form::Words(MARKS),
            Self::SuspicionKind => Form::Label,
            Self::SpamScore => Form::Number,
        }
    }

    /// The operators with which it can be compared.
    pub const fn operators(self) -> &'static [Operator] {
        match self.form() {
            Form::Values(_) => &[Operator::Is, Operator::IsNot, Operator::Contains, Operator::InList],
            Form::Words(_) | Form::Label => &[Operator::Is, Operator::IsNot],
            Form::Number => &[Operator::AtLeast, Operator::Below],
        }
    }

    /// The kind of lists in which it can be looked up.
    pub const fn list_kind(self) -> Option<ListKind> {
        match self.form() {
            Form::Values(kind) => Some(kind),
            Form::Words(_) | Form::Label | Form::Number => None,
        }
    }

    /// Whether it is about the author, who is known of each message in either direction.
    pub const fn is_of_author(self) -> bool {
        matches!(self, Self::FromAddress | Self::FromDomain | Self::FromTld)
    }

    /// Whether it is about what was found of a message that came in, once all of it is there.
    pub const fn is_found(self) -> bool {
        matches!(
            self,
            Self::AuthenticationSpf
                | Self::AuthenticationDkim
                | Self::AuthenticationDmarc
                | Self::SpamScore
                | Self::SuspicionKind
                | Self::MessageMark
        )
    }

    /// Whether mail of that direction has it.
    pub const fn is_of(self, direction: Direction) -> bool {
        match direction {
            Direction::Inbound => self.is_of_author() || self.is_found(),
            Direction::Outbound => !self.is_found(),
        }
    }
}
