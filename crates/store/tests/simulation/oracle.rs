//! Judges a history, fact by fact: who may send, what leaves, what counts, who stands where, and what must be told of it.
//!
//! It knows the rules (of which the decisions and docs/reputation.md speak) and nothing of the product.

use crate::book::{Book, Entry};
use crate::history::{Account, Answer, Counts, Fact, Message, Places, Said, Subject, Way, What};
use crate::ramps::Ramps;
use postfleet_core::reputation::State;
use postfleet_core::stop::{Effect, Kind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub const DAY: i64 = 86_400_000_000;
/// Days for which a report is believed.
const BELIEVED_DAYS: i64 = 30;

/// What is found to be wrong.
pub type Wrong = String;

/// A domain of which it is known that it never reports complaints.
pub fn is_silent(to: &str) -> bool {
    to.ends_with("@silent.example")
}

/// Where a recipient's copy is.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Whereabouts {
    /// In the queue, until this time.
    Queue(i64),
    /// With a worker.
    Worker,
    /// On the wire.
    Wire,
}

/// What the oracle keeps of a message that was accepted.
#[derive(Clone, Debug)]
struct Sent {
    account: Account,
    places: Places,
    day: i64,
    thread: Message,
    to: Vec<String>,
    /// Those that are not settled: where they are, and whether a server answered for them before.
    waiting: BTreeMap<String, (Whereabouts, bool)>,
    is_reached: bool,
    /// Of whom it counted that they are not there.
    gone: BTreeSet<String>,
    /// What was reported.
    reported: BTreeSet<(String, &'static str)>,
}

/// What the product has to tell.
#[derive(Clone, PartialEq, Debug)]
struct Change {
    second: i64,
    from: State,
    to: State,
    counts: Counts,
}

/// How much was judged.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    pub asked: u64,
    pub accepted: u64,
    pub refused: u64,
    pub taken: u64,
    pub settled: u64,
    pub reports: u64,
    pub reports_disbelieved: u64,
    pub transitions: u64,
    pub pauses: u64,
    pub recoveries: u64,
    pub checked: u64,
}

#[derive(Clone, Default)]
pub struct Oracle {
    places: BTreeMap<Account, Places>,
    removed: BTreeSet<Account>,
    books: BTreeMap<Subject, Book>,
    sent: BTreeMap<Message, Sent>,
    /// Messages of which somebody waits.
    open: BTreeSet<Message>,
    suppressed: BTreeSet<(usize, String)>,
    stops: BTreeMap<(Kind2, Subject), Effect>,
    ramps: Ramps,
    changes: BTreeMap<Subject, VecDeque<Change>>,
    /// Stops and their ends that are to be told.
    raised: BTreeSet<(Kind2, Subject)>,
    lifted: BTreeSet<(Kind2, Subject)>,
    pub tally: Tally,
    /// Refusals by their codes.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Pauses by why: bounces, complaints, or that they stayed under review.
    pub pauses: [u64; 3],
}

/// A kind of stop, in an order.
type Kind2 = &'static str;

macro_rules! wrong {
    ($($said:tt)*) => { return Err(format!($($said)*)) };
}

/// Microseconds that a message waits which so many of the fleet have led to: half a second longer each time from the second
/// answer on, up to five seconds.
fn slowed(hops: u64) -> i64 {
    hops.saturating_sub(1).min(10) as i64 * 500_000
}

fn is_due(place: Whereabouts, at: i64) -> bool {
    matches!(place, Whereabouts::Queue(due) if due <= at)
}

fn day(at: i64) -> i64 {
    at.div_euclid(DAY)
}

impl Oracle {
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges the next fact.
    pub fn see(&mut self, fact: &Fact) -> Result<(), Wrong> {
        let judged = match fact {
            Fact::Opened(account, places) => {
                self.places.insert(*account, *places);
                Ok(())
            }
            Fact::Removed(account) => {
                self.removed.insert(*account);
                self.books.remove(&Subject::Grant(*account));
                Ok(())
            }
            Fact::Asked { .. } => self.asked(fact),
            Fact::Taken { at, message, to, suppressed } => self.taken(*at, *message, to, *suppressed),
            Fact::TurnedBack { at, message, to } => self.turned_back(*at, *message, to),
            Fact::Left { message, to } => self.left(*message, to),
            Fact::Outcome { at, message, to, what } => self.outcome(*at, *message, to, *what),
            Fact::Drained { at } => self.drained(*at),
            Fact::Report { at, message, to, said, way, taken } => self.report(*at, *message, to, (*said, *way), taken),
            Fact::Raised { kind, whom } => self.raise(kind.name(), *whom, Effect::Refuse),
            Fact::Lifted { kind, whom } => self.lift(kind.name(), *whom),
            Fact::Recovered { at, account } => self.recovered(*at, *account),
            Fact::Changed { at, whom, from, to, counts } => self.changed(*at, *whom, (*from, *to), *counts),
            Fact::Stopped { kind, effect, whom } => self.told_stopped(*kind, *effect, *whom),
            Fact::Resumed { kind, whom } => match self.lifted.remove(&(kind.name(), *whom)) {
                true => Ok(()),
                false => Err("a stop was lifted by nobody".into()),
            },
            Fact::Told => self.all_told(),
            Fact::Stands { whom, state, counts } => self.stands(*whom, *state, *counts),
            Fact::Recounted { account, agrees, counts } => self.recounted(*account, *agrees, *counts),
            Fact::Ledger { account, rows } => self.ledger(*account, rows),
            Fact::Sum { whom, counts } => self.summed(*whom, *counts),
        };
        judged.map_err(|wrong| format!("{wrong}\n  at: {fact:?}"))
    }

    // Who may send --------------------------------------------------------------------------------------------------

    /// What stands against a mailbox in a conversation, by kinds.
    fn stops_of(&self, account: Account, thread: Option<Message>) -> Vec<(Kind2, Effect)> {
        let places = self.places[&account];
        let own = [
            Some(Subject::Grant(account)),
            Some(Subject::Domain(places.domain)),
            Some(Subject::Workspace(places.workspace)),
            Some(Subject::Application(places.application)),
            Some(Subject::Organization(places.organization)),
            thread.map(Subject::Thread),
        ];
        let concerns = |whom: &Subject| own.contains(&Some(*whom));
        self.stops.iter().filter(|((_, whom), _)| concerns(whom)).map(|((kind, _), effect)| (*kind, *effect)).collect()
    }

    /// What has to be answered.
    fn answer(&self, at: i64, account: Account, to: &[String], thread: Option<Message>) -> Answer {
        let stops = self.stops_of(account, thread);
        let refuses =
            |meant: fn(&str) -> bool| stops.iter().any(|(kind, effect)| *effect == Effect::Refuse && meant(kind));
        if refuses(|kind| kind == "restriction") {
            return Answer::Refused("abuse_restriction");
        }
        if refuses(|kind| kind == "pause") {
            return Answer::Refused("account_paused");
        }
        if refuses(|_| true) {
            return Answer::Refused("sending_paused");
        }
        let application = self.places[&account].application;
        let is_suppressed = |to: &&String| self.suppressed.contains(&(application, (*to).clone()));
        let suppressed: Vec<String> = to.iter().filter(is_suppressed).cloned().collect();
        if suppressed.len() == to.len() {
            return Answer::Refused("all_recipients_suppressed");
        }
        if stops.iter().any(|(_, effect)| *effect == Effect::Hold) {
            return Answer::Held;
        }
        if !self.ramps.allow(account, day(at)) {
            return Answer::Refused("daily_quota_exceeded");
        }
        Answer::Accepted(suppressed)
    }

    fn asked(&mut self, fact: &Fact) -> Result<(), Wrong> {
        let Fact::Asked { at, account, message, thread, hops, to, answer } = fact else { return Ok(()) };
        self.tally.asked += 1;
        let mut due = self.answer(*at, *account, to, *thread);
        if let (Answer::Accepted(_), Some(thread), true) = (&due, thread, *hops > 20) {
            // More of the fleet than that have answered one another: the conversation is cut.
            self.raise("loop", Subject::Thread(*thread), Effect::Hold)?;
            due = Answer::Held;
        }
        if due != *answer {
            wrong!("a send had to be answered {due:?}");
        }
        match answer {
            Answer::Refused(code) => {
                self.tally.refused += 1;
                *self.refusals.entry(code).or_default() += 1;
            }
            Answer::Held => *self.refusals.entry("held").or_default() += 1,
            Answer::Accepted(suppressed) => {
                self.tally.accepted += 1;
                self.ramps.sent(*account, day(*at));
                let waits = to.iter().filter(|to| !suppressed.contains(to));
                let sent = Sent {
                    account: *account,
                    places: self.places[account],
                    day: day(*at),
                    thread: thread.unwrap_or(*message),
                    to: to.clone(),
                    waiting: waits.map(|to| (to.clone(), (Whereabouts::Queue(at + slowed(*hops)), false))).collect(),
                    is_reached: false,
                    gone: BTreeSet::new(),
                    reported: BTreeSet::new(),
                };
                self.sent.insert(*message, sent);
                self.open.insert(*message);
            }
        }
        Ok(())
    }

    // What leaves ---------------------------------------------------------------------------------------------------

    fn keeps_back(&self, sent: &Sent) -> bool {
        !self.stops_of(sent.account, Some(sent.thread)).is_empty()
    }

    fn taken(&mut self, at: i64, message: Message, to: &str, suppressed: bool) -> Result<(), Wrong> {
        self.tally.taken += 1;
        let Some(sent) = self.sent.get(&message) else { wrong!("nobody sent it") };
        if !self.removed.contains(&sent.account) && self.keeps_back(sent) {
            wrong!("something left the queue of one who is stopped: {:?}", self.stops_of(sent.account, None));
        }
        let is_suppressed = self.suppressed.contains(&(sent.places.application, to.to_owned()));
        if suppressed != is_suppressed {
            wrong!("whether the recipient is suppressed: {is_suppressed}");
        }
        match self.sent.get_mut(&message).and_then(|sent| sent.waiting.get_mut(to)) {
            Some((place, _)) if is_due(*place, at) => *place = Whereabouts::Worker,
            other => wrong!("it was not due: {other:?}"),
        }
        Ok(())
    }

    fn turned_back(&mut self, at: i64, message: Message, to: &str) -> Result<(), Wrong> {
        let Some(sent) = self.sent.get(&message) else { wrong!("nobody sent it") };
        if !self.keeps_back(sent) {
            wrong!("it was turned back, although nothing stops its sender");
        }
        if let Some((place, _)) = self.sent.get_mut(&message).and_then(|sent| sent.waiting.get_mut(to)) {
            *place = Whereabouts::Queue(at);
        }
        Ok(())
    }

    fn left(&mut self, message: Message, to: &str) -> Result<(), Wrong> {
        let Some(sent) = self.sent.get(&message) else { wrong!("nobody sent it") };
        if !self.removed.contains(&sent.account) && self.keeps_back(sent) {
            wrong!("something was handed over of one who is stopped");
        }
        match self.sent.get_mut(&message).and_then(|sent| sent.waiting.get_mut(to)) {
            Some((place @ Whereabouts::Worker, _)) => *place = Whereabouts::Wire,
            other => wrong!("no worker has it: {other:?}"),
        }
        Ok(())
    }

    /// Nobody is forgotten: what is due and may leave has left.
    fn drained(&self, at: i64) -> Result<(), Wrong> {
        for message in &self.open {
            let sent = &self.sent[message];
            let is_late = sent.waiting.iter().find(|(_, (place, _))| is_due(*place, at));
            if let Some((to, _)) = is_late
                && !self.removed.contains(&sent.account)
                && !self.keeps_back(sent)
            {
                wrong!("message {message} to {to} of mailbox {} was not taken out of the queue", sent.account);
            }
        }
        Ok(())
    }

    // What counts ---------------------------------------------------------------------------------------------------

    fn outcome(&mut self, at: i64, message: Message, to: &str, what: What) -> Result<(), Wrong> {
        let Some(sent) = self.sent.get_mut(&message) else { wrong!("nobody sent it") };
        let due = if what == What::Suppressed { Whereabouts::Worker } else { Whereabouts::Wire };
        let answered = match sent.waiting.get(to) {
            Some((place, answered)) if *place == due => *answered,
            other => wrong!("it was not handed over: {other:?}"),
        };
        let answers_now =
            !matches!(what, What::NoDomain | What::Suppressed | What::Later(_, false) | What::Expired(false));
        sent.is_reached |= answers_now;
        if let What::Later(due, _) = what {
            sent.waiting.insert(to.to_owned(), (Whereabouts::Queue(due), answered || answers_now));
            return Ok(());
        }
        self.tally.settled += 1;
        sent.waiting.remove(to);
        let is_gone = matches!(what, What::Gone | What::NoDomain | What::Disabled);
        let is_attempt = is_gone || (what != What::Suppressed && (answered || answers_now));
        let counts_gone = is_gone && sent.gone.insert(to.to_owned());
        let (application, account, day_of) = (sent.places.application, sent.account, sent.day);
        let is_over = sent.waiting.is_empty();
        if is_over && !sent.is_reached {
            self.ramps.gave_back(account, day_of);
        }
        if is_over {
            self.open.remove(&message);
        }
        if is_gone {
            self.suppressed.insert((application, to.to_owned()));
        }
        self.enter(at, message, [is_attempt, is_attempt && !is_silent(to), counts_gone, false])
    }

    fn report(
        &mut self,
        at: i64,
        message: Message,
        to: &str,
        (said, way): (Said, Way),
        taken: &str,
    ) -> Result<(), Wrong> {
        self.tally.reports += 1;
        let Some(sent) = self.sent.get_mut(&message) else { wrong!("nobody sent it") };
        let kind = match said {
            Said::Gone | Said::Full => "bounce",
            Said::Complaint => "complaint",
            Said::AutoReply => "auto_reply",
        };
        let is_known = sent.to.iter().any(|one| one == to);
        let due = match way {
            Way::MadeUp | Way::OtherDomain => "forged",
            Way::ReturnPath if day(at) - sent.day > BELIEVED_DAYS => "expired",
            Way::ReturnPath if self.removed.contains(&sent.account) => "unmatched",
            Way::ReturnPath if said != Said::AutoReply && !is_known => "unmatched",
            Way::ReturnPath if !sent.reported.insert((to.to_owned(), kind)) => "replayed",
            Way::ReturnPath if said == Said::AutoReply => "noted",
            Way::ReturnPath => "counted",
        };
        if due != taken {
            wrong!("the report had to be taken as {due}");
        }
        if due != "counted" {
            self.tally.reports_disbelieved += 1;
            return Ok(());
        }
        let is_gone = said == Said::Gone;
        let counts_gone = is_gone && sent.gone.insert(to.to_owned());
        let counts_complaint = said == Said::Complaint && !is_silent(to);
        if is_gone || said == Said::Complaint {
            self.suppressed.insert((sent.places.application, to.to_owned()));
        }
        self.enter(at, message, [false, false, counts_gone, counts_complaint])
    }

    /// Writes down what counts, for everybody for whom it does.
    fn enter(&mut self, at: i64, message: Message, entry: Entry) -> Result<(), Wrong> {
        if entry == [false; 4] {
            return Ok(());
        }
        let Sent { account, places, .. } = self.sent[&message];
        let everybody = [
            Subject::Grant(account),
            Subject::Domain(places.domain),
            Subject::Workspace(places.workspace),
            Subject::Application(places.application),
            Subject::Organization(places.organization),
        ];
        for whom in everybody {
            if whom == Subject::Grant(account) && self.removed.contains(&account) {
                continue;
            }
            let can_pause = matches!(whom, Subject::Grant(_));
            let book = self.books.entry(whom).or_insert_with(|| Book::new(can_pause));
            let Some(from) = book.enter(entry, day(at)) else { continue };
            let (to, counts) = (book.state, book.counts());
            self.tally.transitions += 1;
            self.changes.entry(whom).or_default().push_back(Change { second: at / 1_000_000, from, to, counts });
            if to == State::Paused {
                self.pause(account, counts)?;
            }
        }
        Ok(())
    }

    fn pause(&mut self, account: Account, [attempts, feedback, bounces, complaints]: Counts) -> Result<(), Wrong> {
        self.tally.pauses += 1;
        let why = match () {
            () if bounces * 10 >= attempts.max(100) => 0,
            () if complaints * 200 >= feedback.max(1_000) => 1,
            () => 2,
        };
        self.pauses[why] += 1;
        // Nobody is paused by one of few, whatever the rate among them.
        if bounces + complaints < 2 {
            wrong!("mailbox {account} is to be paused by a single one of {attempts}");
        }
        self.raise("pause", Subject::Grant(account), Effect::Refuse)
    }

    // Stops ---------------------------------------------------------------------------------------------------------

    fn raise(&mut self, kind: Kind2, whom: Subject, effect: Effect) -> Result<(), Wrong> {
        self.stops.insert((kind, whom), effect);
        self.raised.insert((kind, whom));
        Ok(())
    }

    fn lift(&mut self, kind: Kind2, whom: Subject) -> Result<(), Wrong> {
        if self.stops.remove(&(kind, whom)).is_none() {
            wrong!("nothing of that kind is in force");
        }
        self.lifted.insert((kind, whom));
        Ok(())
    }

    fn told_stopped(&mut self, kind: Kind, effect: Effect, whom: Subject) -> Result<(), Wrong> {
        if self.raised.remove(&(kind.name(), whom)) {
            let known = self.stops.get(&(kind.name(), whom));
            // Several may have happened between two looks at the log.
            return match known.is_none_or(|known| *known == effect) {
                true => Ok(()),
                false => Err(format!("it does {effect:?}, and not {known:?}")),
            };
        }
        if kind != Kind::Quarantine {
            wrong!("somebody is stopped by nobody");
        }
        // When that comes is not judged here; that nothing is sent from then on is.
        self.stops.insert((kind.name(), whom), effect);
        Ok(())
    }

    fn recovered(&mut self, at: i64, account: Account) -> Result<(), Wrong> {
        self.tally.recoveries += 1;
        let whom = Subject::Grant(account);
        self.lift("pause", whom)?;
        self.ramps.begin(account, day(at));
        let Some(book) = self.books.get_mut(&whom) else { wrong!("nothing was counted") };
        book.begin_anew();
        let change = Change { second: at / 1_000_000, from: State::Paused, to: State::Healthy, counts: [0; 4] };
        self.changes.entry(whom).or_default().push_back(change);
        Ok(())
    }

    // What is told, and what is kept --------------------------------------------------------------------------------

    fn changed(
        &mut self,
        at: i64,
        whom: Subject,
        (from, to): (State, State),
        counts: Option<Counts>,
    ) -> Result<(), Wrong> {
        let Some(due) = self.changes.get_mut(&whom).and_then(VecDeque::pop_front) else {
            wrong!("a change that nothing justifies");
        };
        let is_same = (due.second, due.from, due.to) == (at / 1_000_000, from, to)
            && counts.is_none_or(|counts| counts == due.counts)
            && (counts.is_some() || matches!(whom, Subject::Organization(_)));
        match is_same {
            true => Ok(()),
            false => Err(format!("counted was {due:?}")),
        }
    }

    fn all_told(&mut self) -> Result<(), Wrong> {
        self.changes.retain(|_, due| !due.is_empty());
        match (self.changes.first_key_value(), self.raised.first(), self.lifted.first()) {
            (None, None, None) => Ok(()),
            untold => Err(format!("never told: {untold:?}")),
        }
    }

    fn stands(&mut self, whom: Subject, state: State, counts: Counts) -> Result<(), Wrong> {
        self.tally.checked += 1;
        let (due_state, due) =
            self.books.get(&whom).map_or((State::Healthy, [0; 4]), |book| (book.state, book.counts()));
        match (due_state, due) == (state, counts) {
            true => Ok(()),
            false => Err(format!("stands at {due_state:?} with {due:?}")),
        }
    }

    fn recounted(&mut self, account: Account, agrees: bool, counts: Counts) -> Result<(), Wrong> {
        self.tally.checked += 1;
        let due = self.books.get(&Subject::Grant(account)).map_or([0; 4], Book::counts);
        match agrees && due == counts {
            true => Ok(()),
            false => Err(format!("counted anew it is {due:?}")),
        }
    }

    fn ledger(&mut self, account: Account, rows: &[(u64, [bool; 4])]) -> Result<(), Wrong> {
        self.tally.checked += 1;
        let due = self.books.get(&Subject::Grant(account)).map_or(Vec::new(), Book::entries);
        let numbered: Vec<(u64, Entry)> = (1..).zip(due).collect();
        match numbered == rows {
            true => Ok(()),
            false => Err(format!("the ledger of mailbox {account} has {} rows, not {}", rows.len(), numbered.len())),
        }
    }

    fn summed(&mut self, whom: Subject, counts: Counts) -> Result<(), Wrong> {
        self.tally.checked += 1;
        let due = self.books.get(&whom).map_or([0; 4], Book::all);
        match due == counts {
            true => Ok(()),
            false => Err(format!("in all it was {due:?}")),
        }
    }

    /// Where somebody stands.
    pub fn state(&self, whom: Subject) -> State {
        self.books.get(&whom).map_or(State::Healthy, |book| book.state)
    }
}
