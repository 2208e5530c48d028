//! Which concepts near each other are an instruction to the reader. Order does not matter, since languages order them
//! differently; nearness does. A rule that is not sure needs a second reason near it.

use super::terms::Concept::{self, *};
use postfleet_core::suspicion::Reason;

/// Concepts that make an instruction when one of each set is near the others.
pub(super) struct Rule {
    pub(super) sets: &'static [&'static [Concept]],
    /// Words from the first to the last of them. Letters of scripts without blanks count half.
    pub(super) window: u32,
    /// Any of these among or shortly before them, and it is none.
    pub(super) unless: &'static [Concept],
    /// Whether all must stand in one sentence.
    pub(super) one_sentence: bool,
    pub(super) reasons: &'static [Reason],
    /// Whether it needs no second reason.
    pub(super) is_sure: bool,
}

const SURE: Rule = Rule { sets: &[], window: 10, unless: &[], one_sentence: false, reasons: &[], is_sure: true };

const HINT: Rule = Rule { is_sure: false, ..SURE };

/// What is done when one is told to: what makes a form of address an instruction.
const ACTIONS: &[Concept] =
    &[Give, Reveal, Execute, Delete, Override, Pay, NotTell, InReply, YouMust, Forget, Call, Unknowing, NoAsk, Decode];

pub(super) const RULES: &[Rule] = &[
    Rule { sets: &[&[Override], &[Whole], &[Orders]], unless: &[Own], reasons: &[Reason::Override], ..SURE },
    Rule {
        sets: &[&[Override], &[Whole], &[Guard]],
        unless: &[Own, We],
        window: 8,
        one_sentence: true,
        reasons: &[Reason::Override],
        ..SURE
    },
    Rule { sets: &[&[Forget]], unless: &[Own], reasons: &[Reason::Override], ..HINT },
    Rule {
        sets: &[&[Forget], &[YouAre, NewOrders, ToMachine, IfMachine, RoleLine, Inner, InReply, Reveal]],
        window: 14,
        unless: &[Own],
        reasons: &[Reason::Override],
        ..SURE
    },
    Rule { sets: &[&[NewOrders]], unless: &[Own], reasons: &[Reason::Role], ..HINT },
    Rule {
        sets: &[&[NewOrders], &[ToMachine, IfMachine, YouAre, RoleLine, Forget]],
        window: 14,
        reasons: &[Reason::Role],
        ..SURE
    },
    Rule { sets: &[&[YouAre], &[Machine, Free]], window: 6, one_sentence: true, reasons: &[Reason::Role], ..SURE },
    Rule {
        sets: &[&[Free], &[Machine, YouAre, Orders, Guard]],
        window: 8,
        one_sentence: true,
        unless: &[We, Own],
        reasons: &[Reason::Role],
        ..SURE
    },
    Rule {
        sets: &[&[RoleLine], &[YouMust, YouAre, Override, Execute, Orders, Forget]],
        window: 6,
        one_sentence: true,
        reasons: &[Reason::Role],
        ..SURE
    },
    Rule { sets: &[&[IfMachine], ACTIONS], window: 18, reasons: &[Reason::AddressesMachine], ..SURE },
    Rule { sets: &[&[IfMachine]], reasons: &[Reason::AddressesMachine], ..HINT },
    Rule { sets: &[&[ToMachine], ACTIONS], window: 18, reasons: &[Reason::AddressesMachine], ..SURE },
    Rule { sets: &[&[ToMachine]], reasons: &[Reason::AddressesMachine], ..HINT },
    Rule {
        sets: &[&[Processing], &[InReply, Give, Execute, NotTell, YouMust, Override, Reveal, Delete, Unknowing]],
        window: 18,
        reasons: &[Reason::AddressesMachine],
        ..SURE
    },
    Rule {
        sets: &[&[Reveal], &[OwnOrders]],
        window: 5,
        one_sentence: true,
        unless: &[Never, We],
        reasons: &[Reason::Secrets],
        ..SURE
    },
    Rule {
        sets: &[&[Give, Reveal], &[Inner]],
        window: 9,
        one_sentence: true,
        unless: &[Never, We],
        reasons: &[Reason::Secrets],
        ..SURE
    },
    Rule {
        sets: &[&[Give, Reveal], &[Secret], &[ToMe]],
        window: 9,
        one_sentence: true,
        unless: &[Never, We],
        reasons: &[Reason::Secrets],
        ..SURE
    },
    Rule {
        sets: &[&[Give], &[Mailbox], &[ToMe]],
        window: 14,
        one_sentence: true,
        unless: &[Never, We],
        reasons: &[Reason::Exfiltration],
        ..SURE
    },
    Rule {
        sets: &[&[Delete], &[Mailbox]],
        window: 7,
        one_sentence: true,
        unless: &[Never, We],
        reasons: &[Reason::Deletion],
        ..SURE
    },
    Rule { sets: &[&[NotTell], &[Principal]], window: 5, one_sentence: true, reasons: &[Reason::Concealment], ..SURE },
    Rule { sets: &[&[NotTell], &[ThisMail]], window: 6, one_sentence: true, reasons: &[Reason::Concealment], ..SURE },
    Rule { sets: &[&[Unknowing], ACTIONS], window: 12, one_sentence: true, reasons: &[Reason::Concealment], ..SURE },
    Rule {
        sets: &[&[NoAsk], &[Give, Pay, Delete, Call]],
        window: 10,
        one_sentence: true,
        unless: &[Never, We],
        reasons: &[Reason::Concealment],
        ..HINT
    },
    Rule {
        sets: &[&[Pay, Give], &[GiftCard], &[CardCode]],
        window: 30,
        unless: &[We],
        reasons: &[Reason::Payment],
        ..SURE
    },
    Rule { sets: &[&[Pay, Give], &[Wallet]], window: 16, reasons: &[Reason::Payment], ..SURE },
    Rule {
        sets: &[&[Pay], &[Money], &[NotTell, Unknowing, NoAsk]],
        window: 30,
        unless: &[Never],
        reasons: &[Reason::Payment],
        ..SURE
    },
    Rule {
        sets: &[&[Pay], &[Money], &[Urgent], &[Authority]],
        window: 30,
        unless: &[We],
        reasons: &[Reason::Payment, Reason::UrgencyWithAuthority],
        ..SURE
    },
    Rule { sets: &[&[Urgent], &[Authority]], window: 12, reasons: &[Reason::UrgencyWithAuthority], ..HINT },
    Rule {
        sets: &[&[Call], &[Tool], &[Identifier]],
        window: 6,
        one_sentence: true,
        reasons: &[Reason::Markup],
        ..HINT
    },
    Rule { sets: &[&[Markup]], reasons: &[Reason::Markup], ..SURE },
    Rule { sets: &[&[Decode], &[Encoding]], window: 8, reasons: &[Reason::Encoded], ..HINT },
    Rule { sets: &[&[Decode], &[Encoding], &[Execute, Following]], window: 20, reasons: &[Reason::Encoded], ..SURE },
];

impl Rule {
    /// All concepts that can complete the rule.
    pub(super) fn concepts(&self) -> u64 {
        self.sets.iter().map(|set| mask(set)).fold(0, |all, set| all | set)
    }
}

/// The bits of concepts.
pub(super) fn mask(set: &[Concept]) -> u64 {
    set.iter().fold(0, |all, concept| all | concept.bit())
}
