//! Which concepts near each other are an instruction to the reader. Order does not matter, since languages order them
//! differently; nearness does. A rule that is not sure needs a second reason near it.

use super::terms::Concept::{self, *};
use postfleet_core::suspicion::Reason;

/// Sets of concepts of a rule.
const SETS_MAX: usize = 4;

/// Concepts that make an instruction when one of each set is near the others.
pub(super) struct Rule {
    /// The concepts of each set, as bits; empty behind the last.
    sets: [u64; SETS_MAX],
    /// Words from the first to the last of them. Letters of scripts without blanks count half.
    pub(super) window: u32,
    /// Any of these, as bits, among or shortly before them, and it is none.
    pub(super) unless: u64,
    /// Whether all must stand in one sentence.
    pub(super) one_sentence: bool,
    /// As bits.
    pub(super) reasons: u32,
    /// Whether it needs no second reason.
    pub(super) is_sure: bool,
}

/// What is done when one is told to: what makes a form of address an instruction.
const ACTIONS: &[Concept] =
    &[Give, Reveal, Execute, Delete, Override, Pay, NotTell, InReply, YouMust, Forget, Call, Unknowing, NoAsk, Decode];

pub(super) const RULES: &[Rule] = &[
    sure(Reason::Override, &[&[Override], &[Whole], &[Orders]]).unless(&[Own]),
    sure(Reason::Override, &[&[Override], &[Whole], &[Guard]]).within(8).in_one_sentence().unless(&[Own, We]),
    hint(Reason::Override, &[&[Forget]]).unless(&[Own]),
    sure(Reason::Override, &[&[Forget], &[YouAre, NewOrders, ToMachine, IfMachine, RoleLine, Inner, InReply, Reveal]])
        .within(14)
        .unless(&[Own]),
    hint(Reason::Role, &[&[NewOrders]]).unless(&[Own]),
    sure(Reason::Role, &[&[NewOrders], &[ToMachine, IfMachine, YouAre, RoleLine, Forget]]).within(14),
    sure(Reason::Role, &[&[YouAre], &[Machine, Free]]).within(6).in_one_sentence(),
    sure(Reason::Role, &[&[Free], &[Machine, YouAre, Orders, Guard]]).within(8).in_one_sentence().unless(&[We, Own]),
    sure(Reason::Role, &[&[RoleLine], &[YouMust, YouAre, Override, Execute, Orders, Forget]])
        .within(6)
        .in_one_sentence(),
    sure(Reason::AddressesMachine, &[&[IfMachine], ACTIONS]).within(18),
    hint(Reason::AddressesMachine, &[&[IfMachine]]),
    sure(Reason::AddressesMachine, &[&[ToMachine], ACTIONS]).within(18),
    hint(Reason::AddressesMachine, &[&[ToMachine]]),
    sure(
        Reason::AddressesMachine,
        &[&[Processing], &[InReply, Give, Execute, NotTell, YouMust, Override, Reveal, Delete, Unknowing]],
    )
    .within(18),
    sure(Reason::Secrets, &[&[Reveal], &[OwnOrders]]).within(5).of_the_reader(),
    sure(Reason::Secrets, &[&[Give, Reveal], &[Inner]]).within(9).of_the_reader(),
    sure(Reason::Secrets, &[&[Give, Reveal], &[Secret], &[ToMe]]).within(9).of_the_reader(),
    sure(Reason::Exfiltration, &[&[Give], &[Mailbox], &[ToMe]]).within(14).of_the_reader(),
    sure(Reason::Deletion, &[&[Delete], &[Mailbox]]).within(7).of_the_reader(),
    sure(Reason::Concealment, &[&[NotTell], &[Principal]]).within(5).in_one_sentence(),
    sure(Reason::Concealment, &[&[NotTell], &[ThisMail]]).within(6).in_one_sentence(),
    sure(Reason::Concealment, &[&[Unknowing], ACTIONS]).within(12).in_one_sentence(),
    hint(Reason::Concealment, &[&[NoAsk], &[Give, Pay, Delete, Call]]).of_the_reader(),
    sure(Reason::Payment, &[&[Pay, Give], &[GiftCard], &[CardCode]]).within(30).unless(&[We]),
    sure(Reason::Payment, &[&[Pay, Give], &[Wallet]]).within(16),
    sure(Reason::Payment, &[&[Pay], &[Money], &[NotTell, Unknowing]]).within(30),
    sure(Reason::Payment, &[&[Pay], &[Money], &[NoAsk]]).within(30).unless(&[Never]),
    sure(Reason::Payment, &[&[Pay], &[Money], &[Urgent], &[Authority]])
        .within(30)
        .unless(&[We])
        .and(Reason::UrgencyWithAuthority),
    hint(Reason::UrgencyWithAuthority, &[&[Urgent], &[Authority]]).within(12),
    hint(Reason::Markup, &[&[Call], &[Tool], &[Identifier]]).within(6).in_one_sentence(),
    sure(Reason::Markup, &[&[Markup]]),
    hint(Reason::Encoded, &[&[Decode], &[Encoding]]).within(8),
    sure(Reason::Encoded, &[&[Decode], &[Encoding], &[Execute, Following]]).within(20),
];

/// A rule that is enough by itself.
const fn sure(reason: Reason, sets: &[&[Concept]]) -> Rule {
    let mut masks = [0; SETS_MAX];
    let mut index = 0;
    while index < sets.len() {
        masks[index] = mask(sets[index]);
        index += 1;
    }
    Rule { sets: masks, window: 10, unless: 0, one_sentence: false, reasons: bit(reason), is_sure: true }
}

/// A rule that needs a second reason.
const fn hint(reason: Reason, sets: &[&[Concept]]) -> Rule {
    Rule { is_sure: false, ..sure(reason, sets) }
}

impl Rule {
    const fn within(self, window: u32) -> Self {
        Self { window, ..self }
    }

    const fn in_one_sentence(self) -> Self {
        Self { one_sentence: true, ..self }
    }

    const fn unless(self, concepts: &[Concept]) -> Self {
        Self { unless: mask(concepts), ..self }
    }

    /// What the reader is to do: neither a warning, nor what the sender does.
    const fn of_the_reader(self) -> Self {
        self.in_one_sentence().unless(&[Never, We])
    }

    const fn and(self, reason: Reason) -> Self {
        Self { reasons: self.reasons | bit(reason), ..self }
    }

    /// The sets of which it takes one concept each, as bits.
    pub(super) fn sets(&self) -> impl Iterator<Item = u64> {
        self.sets.into_iter().take_while(|set| *set != 0)
    }

    /// All concepts that can complete the rule.
    pub(super) fn concepts(&self) -> u64 {
        self.sets().fold(0, |all, set| all | set)
    }
}

/// The bits of concepts.
const fn mask(concepts: &[Concept]) -> u64 {
    let (mut all, mut index) = (0, 0);
    while index < concepts.len() {
        all |= concepts[index].bit();
        index += 1;
    }
    all
}

/// The bit of a reason.
pub(super) const fn bit(reason: Reason) -> u32 {
    1 << reason as u32
}
