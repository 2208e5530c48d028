//! Who sends what, and what becomes of it. A recipient's address says what it does: `gone12@mail3.example` is not there.

use crate::dice::Dice;
use crate::history::{Account, Message, Said, Way, What};
use crate::oracle::DAY;

const HOUR: i64 = DAY / 24;

/// How a mailbox behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Character {
    /// Writes now and then to somebody who is there.
    Quiet,
    /// Writes little, and one of its few recipients is not there.
    Single,
    /// Writes every week; a few do not get it.
    Normal,
    /// Writes a lot on five days of a month, and has not looked at its list.
    Burst,
    /// Has bought a list: many are not there, and the servers say so.
    Seller,
    /// Has bought a list whose servers say so days later.
    LateSeller,
    /// Is complained about.
    Magnet,
    /// Is always a little too bad.
    Lingering,
    /// Behaves, and is restricted by an operator for a while.
    Restricted,
    /// Answers those who answer it, in a circle.
    Looper,
    /// Is removed one day.
    Leaver,
}

/// Of a thousand mailboxes.
const CHARACTERS: [(usize, Character); 10] = [
    (2, Character::Burst),
    (2, Character::Lingering),
    (30, Character::Seller),
    (20, Character::LateSeller),
    (20, Character::Magnet),
    (20, Character::Restricted),
    (10, Character::Looper),
    (40, Character::Leaver),
    (120, Character::Single),
    (130, Character::Normal),
];

/// Something that a mailbox wants to send.
#[derive(Clone, Debug)]
pub struct Wish {
    pub to: Vec<String>,
    /// Whether it answers in the conversation that the mailbox began first, after so many others.
    pub hops: u64,
}

/// One mailbox, as it behaves.
#[derive(Clone, Debug)]
pub struct Agent {
    pub account: Account,
    pub character: Character,
    /// It has learnt from its pause.
    pub is_mended: bool,
    /// The message that began its first conversation.
    pub first: Option<Message>,
    begins: i64,
    written: usize,
    /// Who was not there.
    lost: Option<String>,
    dice: Dice,
}

impl Agent {
    pub fn new(account: Account, seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ (account as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
        // A step that goes through all of a thousand, and so through all places in the same way.
        let mut left = account * 623 % 1_000;
        let found = CHARACTERS.iter().find(|(part, _)| {
            let is_it = left < *part;
            left = left.saturating_sub(*part);
            is_it
        });
        let character = found.map_or(Character::Quiet, |(_, character)| *character);
        let begins = dice.below(60) as i64;
        Self { account, character, is_mended: false, first: None, begins, written: 0, lost: None, dice }
    }

    /// What it wants to send on a day.
    pub fn day(&mut self, day: i64) -> Vec<Wish> {
        let on = |dice: &mut Dice, permille| dice.permille(permille);
        match self.character {
            Character::Quiet if on(&mut self.dice, 25) => vec![self.befriended(1)],
            Character::Single if on(&mut self.dice, 40) => vec![self.of_few()],
            Character::Normal | Character::Restricted | Character::Leaver if on(&mut self.dice, 140) => {
                vec![self.everyday()]
            }
            Character::Burst if (day + self.begins) % 30 < 5 => (0..60).map(|_| self.campaign()).collect(),
            Character::Seller if day > self.begins && on(&mut self.dice, 250) => {
                vec![self.sale(&["gone", "off", "nohost"])]
            }
            Character::LateSeller if day > self.begins && on(&mut self.dice, 200) => {
                vec![self.sale(&["late", "parrot", "both"])]
            }
            Character::Magnet if day > self.begins && on(&mut self.dice, 150) => vec![self.bothers()],
            Character::Lingering if day > self.begins => vec![self.listed(30, &["gone"], 72)],
            Character::Looper if on(&mut self.dice, 200) => vec![self.everyday(), self.answer()],
            _ => Vec::new(),
        }
    }

    fn address(&mut self, fate: &str, number: usize) -> String {
        let host = if self.dice.permille(60) { "silent".to_owned() } else { format!("mail{}", self.dice.below(5)) };
        format!("{fate}{number}@{host}.example")
    }

    /// Somebody to whom nobody else writes.
    fn own(&mut self, fate: &str, among: usize) -> String {
        let number = self.account * 10_000 + self.dice.below(among);
        self.address(fate, number)
    }

    fn befriended(&mut self, count: usize) -> Wish {
        let to = (0..count).map(|_| self.own("ok", 20)).collect();
        Wish { to: once_each(to), hops: 0 }
    }

    /// The second one is not there, or says so later; it is written to once more, beside somebody else. Nobody else fails.
    fn of_few(&mut self) -> Wish {
        self.written += 1;
        let fate = match self.written {
            2 => self.dice.pick(&["gone", "late", "off", "parrot"]),
            _ => "ok",
        };
        let somebody = self.own(fate, 50);
        if self.written == 2 {
            self.lost = Some(somebody.clone());
        }
        let again = self.lost.clone().filter(|_| self.written == 3);
        Wish { to: once_each([Some(somebody), again].into_iter().flatten().collect()), hops: 0 }
    }

    fn everyday(&mut self) -> Wish {
        const FATES: [&str; 12] =
            ["gone", "full", "refuse", "slow", "never", "busy", "auto", "forger", "stale", "soft", "stranger", "late"];
        let count = 1 + self.dice.below(4);
        let to = (0..count).map(|_| {
            let fate = if self.dice.permille(60) { self.dice.pick(&FATES) } else { "ok" };
            self.own(fate, 300)
        });
        Wish { to: once_each(to.collect()), hops: 0 }
    }

    /// Some of a list that others have, too; so many in a thousand are bad.
    fn listed(&mut self, count: usize, bad: &[&'static str], permille: usize) -> Wish {
        let to = (0..count).map(|_| {
            let fate = if self.dice.permille(permille) { self.dice.pick(bad) } else { "ok" };
            let number = self.dice.below(800);
            self.address(fate, number)
        });
        Wish { to: once_each(to.collect()), hops: 0 }
    }

    fn campaign(&mut self) -> Wish {
        let fate = if !self.is_mended && self.dice.permille(200) { "gone" } else { "ok" };
        Wish { to: vec![self.own(fate, 60)], hops: 0 }
    }

    fn sale(&mut self, bad: &[&'static str]) -> Wish {
        let permille = if self.is_mended { 5 } else { 30 + self.account % 7 * 30 };
        self.listed(10 + self.account % 4 * 5, bad, permille)
    }

    fn bothers(&mut self) -> Wish {
        let permille = if self.is_mended { 0 } else { 10 + self.account % 3 * 20 };
        self.listed(15, &["angry", "both", "stale"], permille)
    }

    /// In the conversation that it began, in which more and more of the fleet have answered.
    fn answer(&mut self) -> Wish {
        self.written += 1;
        Wish { to: vec![self.own("ok", 20)], hops: self.written as u64 * 8 }
    }
}

fn once_each(mut to: Vec<String>) -> Vec<String> {
    to.sort();
    to.dedup();
    to
}

fn fate(to: &str) -> &str {
    let end = to.find(|c: char| c.is_ascii_digit()).unwrap_or(to.len());
    &to[..end]
}

/// What becomes of the next attempt at somebody.
pub fn attempt(to: &str, attempts: u32, now: i64, accepted_at: i64) -> What {
    if now - accepted_at > 5 * DAY {
        return What::Expired(false);
    }
    match (fate(to), attempts) {
        ("gone", _) => What::Gone,
        ("nohost", _) => What::NoDomain,
        ("off", _) => What::Disabled,
        ("full", _) => What::Full,
        ("refuse", _) => What::Unwanted,
        ("slow", 0..2) | ("busy", 0) => What::Later(now + 5 * HOUR, true),
        ("never" | "busy", 0..3) => What::Later(now + 7 * HOUR, false),
        ("never" | "busy", _) => What::Expired(false),
        _ => What::Delivered,
    }
}

/// A report that comes some time after a message was taken.
pub struct Later {
    pub after: i64,
    pub said: Said,
    pub way: Way,
    /// It names somebody to whom nobody wrote.
    pub names_stranger: bool,
}

/// What comes back from somebody who took a message.
pub fn reports(to: &str, dice: &mut Dice) -> Vec<Later> {
    let days = (1 + dice.below(6)) as i64 * DAY + dice.below(20) as i64 * HOUR;
    let one = |after, said, way| Later { after, said, way, names_stranger: false };
    use Said::{AutoReply, Complaint, Full, Gone};
    use Way::{MadeUp, OtherDomain, ReturnPath};
    match fate(to) {
        "late" => vec![one(days, Gone, ReturnPath)],
        "parrot" => vec![
            one(days, Gone, ReturnPath),
            one(days, Gone, ReturnPath),
            one(days + 3 * DAY, Gone, ReturnPath),
            one(days, Full, ReturnPath),
        ],
        "angry" => vec![one(days / 3, Complaint, ReturnPath), one(days, Complaint, ReturnPath)],
        "both" => vec![one(days, Gone, ReturnPath), one(days / 2, Complaint, ReturnPath)],
        "auto" => vec![one(HOUR, AutoReply, ReturnPath), one(days, AutoReply, ReturnPath)],
        "forger" => vec![one(days, Gone, MadeUp), one(days, Complaint, OtherDomain), one(days, Complaint, MadeUp)],
        "stale" => vec![one(35 * DAY, Complaint, ReturnPath), one(33 * DAY, Gone, ReturnPath)],
        "soft" => vec![one(days, Full, ReturnPath)],
        "stranger" => vec![Later { names_stranger: true, ..one(days, Gone, ReturnPath) }],
        _ => Vec::new(),
    }
}
