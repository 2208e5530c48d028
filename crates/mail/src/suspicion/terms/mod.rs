//! What is looked for: words and phrases in twelve languages, each for one concept. The rules speak of concepts alone, so
//! that one set of rules serves all languages. A `*` stands for the rest of a word. Spelling is folded before it is compared
//! ([`super::fold`]): case, accents and look-alikes need no entries of their own.

mod chinese_japanese_korean;
mod dutch;
mod english;
mod french;
mod german;
mod italian;
mod polish;
mod portuguese;
mod russian;
mod spanish;

/// Phrases, each for one concept.
pub(super) type Table = &'static [(Concept, &'static [&'static str])];

/// What words stand for, as far as it matters whether they instruct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Concept {
    /// To ignore, to forget.
    Override,
    /// All, previous, your: which instructions.
    Whole,
    /// Instructions, rules, prompt.
    Orders,
    /// My, our.
    Own,
    /// We, I: who does it.
    We,
    /// Safeguards.
    Guard,
    /// "Your new instructions".
    NewOrders,
    /// "You are now".
    YouAre,
    /// An assistant, a language model.
    Machine,
    /// Without restrictions, developer mode.
    Free,
    /// "If you are a language model".
    IfMachine,
    /// "Attention AI agent".
    ToMachine,
    /// "When summarizing this email".
    Processing,
    /// To show, to repeat.
    Reveal,
    /// To send, to hand over.
    Give,
    /// Passwords, keys.
    Secret,
    /// The reader's own instructions and memory.
    Inner,
    /// Me, us, an address: to whom.
    ToMe,
    /// Not, never.
    Never,
    /// All mail, all contacts.
    Mailbox,
    /// To delete.
    Delete,
    /// Not to tell.
    NotTell,
    /// The user, the owner.
    Principal,
    /// This mail, these instructions.
    ThisMail,
    /// Without asking.
    NoAsk,
    /// To pay, to transfer, to buy.
    Pay,
    /// Funds, amounts, accounts.
    Money,
    /// Gift cards.
    GiftCard,
    /// The codes on them.
    CardCode,
    /// At once.
    Urgent,
    /// Those in command.
    Authority,
    /// To call, to run.
    Call,
    /// A tool, a function.
    Tool,
    /// `a_name_like_this`.
    Identifier,
    /// To decode.
    Decode,
    /// Base64 and the like.
    Encoding,
    /// To follow, to obey.
    Execute,
    /// "The following instructions".
    Following,
    /// Marks of prompts.
    Markup,
    /// "System:".
    RoleLine,
    /// You must.
    YouMust,
    /// "In your reply", "at the end of the summary".
    InReply,
    /// The address of a wallet.
    Wallet,
    /// Rot13, or written backwards.
    Veiled,
    /// "Forget everything above".
    Forget,
    /// "Without the user's knowledge".
    Unknowing,
    /// "Your rules": the reader's own, or a customer's wishes.
    OwnOrders,
    /// "Do not forget": the opposite of [`Concept::Override`], with its word in it.
    Remember,
}

impl Concept {
    pub(super) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// All phrases of all languages.
pub(super) fn tables() -> impl Iterator<Item = (Concept, &'static [&'static str])> {
    let tables: [Table; 10] = [
        english::TABLE,
        german::TABLE,
        french::TABLE,
        spanish::TABLE,
        portuguese::TABLE,
        italian::TABLE,
        dutch::TABLE,
        polish::TABLE,
        russian::TABLE,
        chinese_japanese_korean::TABLE,
    ];
    tables.into_iter().flatten().map(|(concept, phrases)| (*concept, *phrases))
}

/// English words as they look in rot13 and backwards.
pub(super) fn veiled() -> impl Iterator<Item = (Concept, String)> {
    const VEILED: &[(Concept, &[&str])] = &[
        (Concept::Override, &["ignore", "disregard", "forget", "override", "bypass"]),
        (Concept::Whole, &["previous", "prior", "earlier", "above"]),
        (Concept::Orders, &["instructions", "instruction", "prompt", "guidelines", "directives"]),
        (Concept::Reveal, &["reveal", "repeat", "print", "output"]),
        (Concept::Give, &["forward"]),
        (Concept::Secret, &["password", "passwords", "credentials"]),
        (Concept::Inner, &["system prompt"]),
        (Concept::Delete, &["delete", "erase"]),
        (Concept::Mailbox, &["all emails", "every email"]),
    ];
    let both = |word: &str| [rot13(word), word.chars().rev().collect()];
    VEILED
        .iter()
        .flat_map(move |(concept, words)| words.iter().flat_map(move |word| both(word)).map(|word| (*concept, word)))
}

fn rot13(word: &str) -> String {
    let turn = |c: char| match c {
        'a'..='z' => char::from((c as u8 - b'a' + 13) % 26 + b'a'),
        c => c,
    };
    word.chars().map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_the_most_important() {
        let needed =
            [Concept::Override, Concept::Whole, Concept::Orders, Concept::Inner, Concept::NotTell, Concept::Give];
        for table in [
            english::TABLE,
            german::TABLE,
            french::TABLE,
            spanish::TABLE,
            portuguese::TABLE,
            italian::TABLE,
            dutch::TABLE,
            polish::TABLE,
            russian::TABLE,
            chinese_japanese_korean::TABLE,
        ] {
            for concept in needed {
                assert!(table.iter().any(|(have, _)| *have == concept), "{concept:?} beside {:?}", table[0].1[0]);
            }
        }
        let phrases: usize = tables().map(|(_, phrases)| phrases.len()).sum();
        println!("{phrases} phrases");
        assert!((Concept::Remember as u8) < 64);
        assert_eq!(rot13("ignore"), "vtaber");
    }
}
