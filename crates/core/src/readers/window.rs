//! What one reader of the event log knows of its way, and what it does next. No event is read here and none is sent: this
//! says which, and is told what came of it.
//!
//! The events of a mailbox are its *lane* and are told one after the other. A lane is usually *fresh*: what is read of it
//! is kept in memory until it is told. When an event of it is not taken, or is still open after a second, the lane is
//! *held*: one row in the store says which event waits and since how many attempts, and the position passes it and all
//! behind it. What is behind it is read from the log, a few at a time. So the position, behind which everything is read
//! again after a crash, never stands still because of one mailbox, and it never passes what is neither told nor behind such
//! a row.

use super::Cause;
use super::alone::alone;
use super::pace::Pace;
use crate::id::GrantId;
use crate::time::UnixMicros;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Events behind the position that a reader has read at most.
pub const WINDOW_MAX: usize = 1_024;

/// Events that are read at once: as long as there is no room for so many, nothing is read.
const READ_MAX: usize = 256;

/// How long an event may be open before the position passes it; an answer that takes longer is slow.
const PATIENCE: Duration = Duration::from_secs(1);

/// A lane of so many events is written down without hesitation when it is in the way of others.
const CHEAP: usize = 16;

/// Events of a lane that are loaded at once.
const LOAD_MAX: usize = 32;

/// What was told or written down is committed after that time, or when it is so much.
const SAVE_EVERY: Duration = Duration::from_millis(100);
const SAVE_MAX: usize = 256;

/// A position that has only moved over what nobody wants can wait longer.
const SAVE_IDLE: Duration = Duration::from_secs(5);

/// Where order does not matter each event that is not taken is a lane: while so many wait, no more is read.
const ALONE_MAX: usize = 4_096;

/// Answers by which it is judged whether a receiver is slow.
const ANSWERS: usize = 16;

/// What one reader knows. See the module.
#[derive(Debug)]
pub struct Window {
    concurrency: usize,
    /// As far as the log has been read.
    read: i64,
    /// The position that was committed, or is being.
    saved: i64,
    /// Wanted events from the first open one to the end of what was read.
    beyond: BTreeMap<i64, Mark>,
    lanes: BTreeMap<GrantId, Lane>,
    /// Fresh lanes, and held ones, of which an event can be sent; those whose turn is next come first.
    fresh: VecDeque<GrantId>,
    held: VecDeque<GrantId>,
    /// Held lanes of which events are to be loaded, with the time from which on.
    due: BTreeSet<(UnixMicros, GrantId)>,
    loading: usize,
    /// Attempts under way since when, and those of them that are of fresh lanes.
    begun: BTreeSet<(UnixMicros, GrantId)>,
    begun_fresh: BTreeSet<(UnixMicros, GrantId)>,
    was_fresh: bool,
    /// Whether the last answers were slow.
    answers: VecDeque<bool>,
    /// While the receiver rests: when it is tried next.
    rest: Option<UnixMicros>,
    /// How many a second it is told, if that is limited.
    pace: Option<Pace>,
    /// Whether events of a mailbox wait for each other.
    is_ordered: bool,
    /// Lanes whose row is to be written.
    changed: BTreeSet<GrantId>,
    /// Lanes that are not held any more, with the end of what was told of them while they were. Their row stays until the
    /// position has come so far, so that nothing of that is told once more.
    ended: BTreeMap<GrantId, i64>,
    ends: BTreeSet<(i64, GrantId)>,
    given_up: Vec<GivenUp>,
    /// Whether a commit is under way.
    is_saving: bool,
    unsaved: usize,
    save_at: Option<UnixMicros>,
}

/// A wanted event behind the position.
#[derive(Debug)]
struct Mark {
    grant: GrantId,
    read_at: UnixMicros,
    is_open: bool,
}

#[derive(Debug, Default)]
struct Lane {
    /// In memory, to be sent in this order.
    queue: VecDeque<Item>,
    under_way: Option<(Item, UnixMicros)>,
    /// How it is held, if it is.
    held: Option<Held>,
}

/// An event of a lane, and how often it has been attempted.
#[derive(Clone, Copy, Debug)]
struct Item {
    position: i64,
    attempts: u32,
}

/// A held lane, as positions in the log.
#[derive(Debug)]
struct Held {
    /// The first event that waits, or the place behind the last one that was told.
    first: Item,
    /// Why it was not taken.
    cause: Option<Cause>,
    /// When it is to be attempted.
    due_at: UnixMicros,
    /// Up to here its events were loaded, or are told.
    taken: i64,
    /// The last one that there is, as far as the log was read.
    last: i64,
    is_loading: bool,
}

/// What is written down of a held lane: everything before `position` is told, and nothing from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The mailbox.
    pub grant: GrantId,
    /// The event that waits.
    pub position: i64,
    /// How often it was attempted, without an attempt under way.
    pub attempts: u32,
    /// When it is to be attempted.
    pub due_at: UnixMicros,
    /// Why it was not taken; `None` if it is only late.
    pub cause: Option<Cause>,
}

/// An event that is not attempted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Its place in the log.
    pub position: i64,
    /// How often it was attempted.
    pub attempts: u32,
    /// When that was.
    pub at: UnixMicros,
    /// Why it was not taken.
    pub cause: Cause,
}

/// Where an event that was read is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Kept {
    /// In memory, until it is sent.
    Memory,
    /// In the log alone: it is read again when what is before it is told, or was told already.
    Log,
}

/// An event to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Its mailbox.
    pub grant: GrantId,
    /// Its place in the log.
    pub position: i64,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The receiver has it.
    Taken,
    /// It is to be attempted again then.
    Later(UnixMicros, Cause),
    /// The receiver rests: this was no attempt, and the event waits for it.
    Unheard(Cause),
    /// It is not attempted any more.
    GivenUp(Cause),
}

/// Events to be loaded: those of a mailbox after one position and up to another, the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The mailbox.
    pub grant: GrantId,
    /// After this one.
    pub after: i64,
    /// Not after this one.
    pub upto: i64,
    /// At most so many.
    pub limit: usize,
}

/// What is to be committed at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Save {
    /// The position.
    pub position: i64,
    /// Rows of mailboxes to be written, or changed.
    pub waiting: Vec<Row>,
    /// Mailboxes whose row is to be removed, whether or not it is there.
    pub done: Vec<GrantId>,
    /// Events that are not attempted any more.
    pub given_up: Vec<GivenUp>,
}

impl Window {
    /// A reader that goes on at a position, where these lanes are held, with up to `concurrency` requests under way at
    /// once.
    pub fn new(concurrency: usize, position: i64, rows: &[Row]) -> Self {
        let mut window = Self {
            concurrency: concurrency.max(1),
            read: position,
            saved: position,
            beyond: BTreeMap::new(),
            lanes: BTreeMap::new(),
            fresh: VecDeque::new(),
            held: VecDeque::new(),
            due: BTreeSet::new(),
            loading: 0,
            begun: BTreeSet::new(),
            begun_fresh: BTreeSet::new(),
            was_fresh: false,
            answers: VecDeque::new(),
            rest: None,
            pace: None,
            is_ordered: true,
            changed: BTreeSet::new(),
            ended: BTreeMap::new(),
            ends: BTreeSet::new(),
            given_up: Vec::new(),
            is_saving: false,
            unsaved: 0,
            save_at: None,
        };
        for row in rows {
            // What is read from here on and is before it was told.
            if row.position > position {
                window.end(row.grant, row.position);
                continue;
            }
            let first = Item { position: row.position, attempts: row.attempts };
            let (taken, last) = (row.position - 1, position);
            let held = Held { first, cause: row.cause, due_at: row.due_at, taken, last, is_loading: false };
            window.lanes.insert(row.grant, Lane { held: Some(held), ..Lane::default() });
            window.due.insert((row.due_at, row.grant));
        }
        window
    }

    /// As far as the log has been read.
    pub fn read(&self) -> i64 {
        self.read
    }

    /// Everything up to here is told or written down, or will be with the next commit.
    pub fn position(&self) -> i64 {
        self.beyond.first_key_value().map_or(self.read, |(first, _)| first - 1)
    }

    /// How many events may be read now. While the receiver rests, only as many as are needed to try it.
    pub fn room(&self) -> usize {
        let is_enough = self.rest.is_some() && !self.lanes.is_empty();
        let is_crowded = !self.is_ordered && self.due.len() >= ALONE_MAX;
        if self.is_full() || is_enough || is_crowded { 0 } else { READ_MAX }
    }

    /// From now on it is told so many events a second at most, if that is limited, and events that are read wait for those of
    /// their mailbox or, if order does not matter, for none.
    pub fn agree(&mut self, rate: Option<u32>, is_ordered: bool, now: UnixMicros) {
        self.is_ordered = is_ordered;
        if self.pace.as_ref().map(Pace::rate) != rate.map(u64::from) {
            self.pace = rate.map(|rate| Pace::new(rate, now));
        }
    }

    /// The receiver rests until then: nothing is sent to it, and then one event at a time, of one mailbox after the other.
    /// `None`: it does not.
    pub fn rest(&mut self, until: Option<UnixMicros>) {
        self.rest = until;
    }

    /// Requests under way.
    pub fn under_way(&self) -> usize {
        self.begun.len()
    }

    /// Whether nothing is being written, and there is nothing to be written now.
    pub fn is_saved(&self) -> bool {
        let position = self.position();
        let has_ended = self.ends.first().is_some_and(|(end, _)| *end <= position + 1);
        let is_noted = self.changed.is_empty() && self.given_up.is_empty() && !has_ended;
        !self.is_saving && position == self.saved && is_noted
    }

    /// When the next held lane is due, a receiver that rests is to be tried, or one more may be told of what there is.
    pub fn next_due(&self) -> Option<UnixMicros> {
        match self.rest {
            None => [self.due.first().map(|(due_at, _)| *due_at), self.paced_until()].into_iter().flatten().min(),
            Some(until) => {
                let paced = self.pace.as_ref().map_or(until, Pace::next_at);
                Some(until.max(paced)).filter(|_| !self.lanes.is_empty())
            }
        }
    }

    /// Whether most of the last answers took long, among them those that have not come for as long.
    pub fn is_slow(&self, now: UnixMicros) -> bool {
        let late = self.begun.iter().take_while(|(since, _)| now.since(*since) >= PATIENCE).count();
        let slow = self.answers.iter().filter(|is_slow| **is_slow).count() + late;
        slow * 2 > self.answers.len() + late
    }

    /// Takes up an event that was read and is wanted. They come in the order of the log.
    pub fn take_in(&mut self, position: i64, grant: GrantId, now: UnixMicros) -> Kept {
        let grant = if self.is_ordered { grant } else { alone(position) };
        if self.ended.get(&grant).is_some_and(|end| position < *end) {
            return Kept::Log;
        }
        let lane = self.lanes.entry(grant).or_default();
        if let Some(held) = &mut lane.held {
            held.last = held.last.max(position);
            return Kept::Log;
        }
        if lane.queue.is_empty() && lane.under_way.is_none() {
            self.fresh.push_back(grant);
        }
        lane.queue.push_back(Item { position, attempts: 0 });
        self.beyond.insert(position, Mark { grant, read_at: now, is_open: true });
        Kept::Memory
    }

    /// The log was read up to here.
    pub fn read_upto(&mut self, position: i64, now: UnixMicros) {
        self.read = self.read.max(position);
        if self.position() != self.saved {
            self.save_by(now.plus(SAVE_IDLE));
        }
    }

    /// Whether there is something to be sent.
    pub fn has_next(&self, now: UnixMicros) -> bool {
        self.may_send(now) && (!self.fresh.is_empty() || self.has_next_held())
    }

    /// What is to be sent now. Lanes take turns; held ones never have more than half of what may be under way.
    pub fn next(&mut self, now: UnixMicros) -> Option<Next> {
        if !self.has_next(now) {
            return None;
        }
        let is_held = self.has_next_held() && (self.fresh.is_empty() || self.was_fresh);
        self.was_fresh = !is_held;
        let grant = if is_held { self.held.pop_front() } else { self.fresh.pop_front() }?;
        let lane = self.lanes.get_mut(&grant)?;
        let item = lane.queue.pop_front()?;
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
        lane.under_way = Some((item, now));
        self.begun.insert((now, grant));
        if !is_held {
            self.begun_fresh.insert((now, grant));
        }
        Some(Next { grant, position: item.position, attempt: item.attempts + 1 })
    }

    /// Takes up what came of the attempt that is under way for a mailbox. Answers which events need not be kept in memory
    /// any more.
    pub fn answered(&mut self, grant: GrantId, answer: Answer, now: UnixMicros) -> Vec<i64> {
        let Some(lane) = self.lanes.get_mut(&grant) else { return Vec::new() };
        let Some((item, since)) = lane.under_way.take() else { return Vec::new() };
        self.begun.remove(&(since, grant));
        self.begun_fresh.remove(&(since, grant));
        self.answers.push_back(now.since(since) >= PATIENCE);
        if self.answers.len() > ANSWERS {
            self.answers.pop_front();
        }
        let let_go = match answer {
            Answer::Taken => {
                self.settle(grant, item, now);
                Vec::new()
            }
            Answer::Later(due_at, cause) => {
                let attempts = item.attempts.saturating_add(1);
                self.put_off(grant, Item { attempts, ..item }, due_at, cause)
            }
            // It is its turn again when others were tried.
            Answer::Unheard(cause) => self.put_off(grant, item, now, cause),
            Answer::GivenUp(cause) => {
                let attempts = item.attempts.saturating_add(1);
                // Its row says that it is over, and is written with that.
                let let_go = self.put_off(grant, Item { attempts, ..item }, now, cause);
                self.given_up.push(GivenUp { position: item.position, attempts, at: now, cause });
                self.pass_row(grant, item.position, now);
                let_go
            }
        };
        self.touch(now);
        self.line_up(grant, now);
        let_go
    }

    /// Writes down what is in the way of others: what has been under way for long, and, if nothing more can be read while
    /// more could be sent, what comes first. Answers which events need not be kept in memory any more.
    pub fn tend(&mut self, now: UnixMicros) -> Vec<i64> {
        let mut let_go = Vec::new();
        while let Some(&(since, grant)) = self.begun_fresh.first().filter(|(since, _)| now.since(*since) >= PATIENCE) {
            let_go.extend(self.hold(grant, now));
            self.begun_fresh.remove(&(since, grant));
            self.touch(now);
        }
        while let Some((grant, read_at)) = self.in_the_way() {
            let (before, behind) = (self.position(), self.lanes.get(&grant).map_or(0, |lane| lane.queue.len()));
            if behind >= CHEAP && now.since(read_at) < PATIENCE {
                break;
            }
            let_go.extend(self.hold(grant, now));
            self.touch(now);
            self.line_up(grant, now);
            if self.position() == before {
                break;
            }
        }
        let_go
    }

    /// Events that are to be loaded now. As many lanes are in memory as may be under way.
    pub fn load(&mut self, now: UnixMicros) -> Option<Load> {
        if !self.may_load() {
            return None;
        }
        // Whoever is to be tried, is tried with what there is.
        let upto =
            self.rest.map_or(now, |until| UnixMicros::from_micros(if until <= now { i64::MAX } else { i64::MIN }));
        let (due_at, grant) = *self.due.first().filter(|(due_at, _)| *due_at <= upto)?;
        self.due.remove(&(due_at, grant));
        let held = self.lanes.get_mut(&grant)?.held.as_mut()?;
        held.is_loading = true;
        self.loading += 1;
        Some(Load { grant, after: held.taken, upto: held.last, limit: LOAD_MAX })
    }

    /// Takes up the events that were asked for, in the order of the log: those of them that are wanted, and as far as
    /// was looked if that was not to the end.
    pub fn loaded(&mut self, load: Load, wanted: &[i64], upto: Option<i64>, now: UnixMicros) {
        let Some(lane) = self.lanes.get_mut(&load.grant) else { return };
        let Some(held) = lane.held.as_mut().filter(|held| held.is_loading) else { return };
        held.is_loading = false;
        self.loading -= 1;
        held.taken = upto.unwrap_or(load.upto);
        let known = held.first;
        lane.queue.extend(wanted.iter().map(|&position| {
            let attempts = if position == known.position { known.attempts } else { 0 };
            Item { position, attempts }
        }));
        // It may have been removed, or not be wanted any more.
        let first = lane.queue.front().copied().unwrap_or(Item { position: held.taken + 1, attempts: 0 });
        if first.position != known.position {
            (held.first, held.cause) = (first, None);
            self.changed.insert(load.grant);
            self.touch(now);
        }
        self.line_up(load.grant, now);
    }

    /// What is to be committed now, if it is time or `at_once`. Only one commit is under way.
    pub fn save(&mut self, now: UnixMicros, at_once: bool) -> Option<Save> {
        if self.is_saving {
            return None;
        }
        if self.is_saved() {
            self.save_at = None;
            return None;
        }
        if !at_once && self.unsaved < SAVE_MAX && self.save_at.is_some_and(|time| time > now) {
            return None;
        }
        let position = self.position();
        let changed = std::mem::take(&mut self.changed);
        let waiting = changed.into_iter().filter_map(|grant| self.row(grant, position, now)).collect();
        let mut done = Vec::new();
        while let Some(&(_, grant)) = self.ends.first().filter(|(end, _)| *end <= position + 1) {
            self.begin_again(grant);
            done.push(grant);
        }
        (self.saved, self.unsaved, self.save_at, self.is_saving) = (position, 0, None, true);
        Some(Save { position, waiting, done, given_up: std::mem::take(&mut self.given_up) })
    }

    /// The commit is done.
    pub fn saved(&mut self) {
        self.is_saving = false;
    }

    /// When there is something to do again without anything having happened.
    pub fn wake_at(&self) -> Option<UnixMicros> {
        let impatient = self.begun_fresh.first().map(|(since, _)| since.plus(PATIENCE));
        let in_the_way = self.in_the_way().map(|(_, read_at)| read_at.plus(PATIENCE));
        let is_awaited = if self.rest.is_some() { self.begun.is_empty() && self.loading == 0 } else { self.may_load() };
        let due = match self.rest {
            None => self.due.first().map(|(due_at, _)| *due_at),
            Some(_) => self.next_due(),
        };
        let due = due.filter(|_| is_awaited);
        let save = self.save_at.filter(|_| !self.is_saving);
        [impatient, in_the_way, due, self.paced_until(), save].into_iter().flatten().min()
    }

    fn has_next_held(&self) -> bool {
        !self.held.is_empty() && self.held_under_way() < self.held_most()
    }

    fn held_under_way(&self) -> usize {
        self.begun.len() - self.begun_fresh.len()
    }

    fn held_most(&self) -> usize {
        (self.concurrency / 2).max(1)
    }

    fn may_send(&self, now: UnixMicros) -> bool {
        let most = if self.rest.is_some() { 1 } else { self.concurrency };
        let is_in_pace = self.pace.as_ref().is_none_or(|pace| pace.may(now));
        self.begun.len() < most && self.rest.is_none_or(|until| until <= now) && is_in_pace
    }

    /// When one more may be told, if that is what is waited for.
    fn paced_until(&self) -> Option<UnixMicros> {
        let may_begin = self.rest.is_none() && self.begun.len() < self.concurrency;
        let pace = self.pace.as_ref().filter(|_| may_begin && (!self.fresh.is_empty() || self.has_next_held()))?;
        Some(pace.next_at())
    }

    fn may_load(&self) -> bool {
        if self.rest.is_some() {
            return self.begun.is_empty() && self.held.is_empty() && self.loading == 0;
        }
        self.held_under_way() + self.held.len() + self.loading < self.held_most()
    }

    /// The lane of the first open event, and when that was read, if nothing more can be read while more could be sent.
    fn in_the_way(&self) -> Option<(GrantId, UnixMicros)> {
        let stands = self.is_full() && self.rest.is_none() && self.begun.len() < self.concurrency;
        let (_, mark) = self.beyond.first_key_value().filter(|_| stands)?;
        // Whoever is told slowly on purpose has a full window all the time: only a mailbox that fills it is in the way then.
        let is_large = |lane: &Lane| lane.queue.len() >= CHEAP;
        let is_in_the_way = self.pace.is_none() || self.lanes.get(&mark.grant).is_some_and(is_large);
        is_in_the_way.then_some((mark.grant, mark.read_at))
    }

    fn is_full(&self) -> bool {
        self.beyond.len() > WINDOW_MAX - READ_MAX
    }

    /// What is to be written of a lane; nothing if its row is removed anyway.
    fn row(&self, grant: GrantId, position: i64, now: UnixMicros) -> Option<Row> {
        let held = self.lanes.get(&grant).and_then(|lane| lane.held.as_ref());
        if let Some(Held { first, cause, due_at, .. }) = held {
            let Item { position, attempts } = *first;
            return Some(Row { grant, position, attempts, due_at: *due_at, cause: *cause });
        }
        let end = *self.ended.get(&grant).filter(|end| **end > position + 1)?;
        Some(Row { grant, position: end, attempts: 0, due_at: now, cause: None })
    }

    /// An event is told.
    fn settle(&mut self, grant: GrantId, item: Item, now: UnixMicros) {
        match self.lanes.get(&grant).and_then(|lane| lane.held.as_ref()) {
            None => self.pass(item.position),
            Some(_) => self.pass_row(grant, item.position, now),
        }
    }

    /// The first event of a held lane does not wait any more.
    fn pass_row(&mut self, grant: GrantId, position: i64, now: UnixMicros) {
        let Some(lane) = self.lanes.get_mut(&grant) else { return };
        let Some(held) = &mut lane.held else { return };
        held.first = lane.queue.front().copied().unwrap_or(Item { position: position + 1, attempts: 0 });
        held.taken = held.taken.max(position);
        (held.due_at, held.cause) = (now, None);
        self.changed.insert(grant);
    }

    /// An event was not taken: it is loaded again when it is due, and so is what is behind it.
    fn put_off(&mut self, grant: GrantId, item: Item, due_at: UnixMicros, cause: Cause) -> Vec<i64> {
        let Some(lane) = self.lanes.get_mut(&grant) else { return Vec::new() };
        let let_go = match lane.held {
            Some(_) => lane.queue.drain(..).map(|item| item.position).collect(),
            None => {
                lane.queue.push_front(item);
                self.hold(grant, due_at)
            }
        };
        if let Some(held) = self.lanes.get_mut(&grant).and_then(|lane| lane.held.as_mut()) {
            (held.first, held.due_at, held.cause) = (item, due_at, Some(cause));
            held.taken = item.position - 1;
        }
        self.changed.insert(grant);
        let_go
    }

    /// Makes a fresh lane a held one: its row has the first of its open events, which may be under way, and all behind it
    /// is read again.
    fn hold(&mut self, grant: GrantId, due_at: UnixMicros) -> Vec<i64> {
        let Some(lane) = self.lanes.get_mut(&grant).filter(|lane| lane.held.is_none()) else { return Vec::new() };
        let under_way = lane.under_way.map(|(item, _)| item);
        let queued: Vec<Item> = lane.queue.drain(..).collect();
        let Some(first) = under_way.or(queued.first().copied()) else { return Vec::new() };
        lane.held = Some(Held {
            first,
            cause: None,
            due_at,
            taken: under_way.map_or(first.position - 1, |item| item.position),
            last: queued.last().map_or(first.position, |last| last.position),
            is_loading: false,
        });
        if let Some((_, since)) = lane.under_way {
            self.begun_fresh.remove(&(since, grant));
        } else {
            self.fresh.retain(|one| *one != grant);
        }
        for item in under_way.iter().chain(&queued) {
            self.pass(item.position);
        }
        self.begin_again(grant);
        self.changed.insert(grant);
        queued.into_iter().map(|item| item.position).collect()
    }

    /// Puts a lane where its next event is waited for: a turn, or a time. One that has nothing is forgotten.
    fn line_up(&mut self, grant: GrantId, now: UnixMicros) {
        let Some(lane) = self.lanes.get(&grant).filter(|lane| lane.under_way.is_none()) else { return };
        match &lane.held {
            None if lane.queue.is_empty() => drop(self.lanes.remove(&grant)),
            None => self.fresh.push_back(grant),
            Some(_) if !lane.queue.is_empty() => {
                if !self.held.contains(&grant) {
                    self.held.push_back(grant);
                }
            }
            Some(held) if held.is_loading => {}
            Some(held) if held.taken < held.last => drop(self.due.insert((held.due_at, grant))),
            Some(held) => {
                let end = held.first.position;
                self.end(grant, end);
                self.changed.insert(grant);
                self.lanes.remove(&grant);
                self.touch(now);
            }
        }
    }

    /// A lane is not held any more.
    fn end(&mut self, grant: GrantId, end: i64) {
        self.ended.insert(grant, end);
        self.ends.insert((end, grant));
    }

    /// What was told of a lane while it was held is passed, or it is held again.
    fn begin_again(&mut self, grant: GrantId) {
        if let Some(end) = self.ended.remove(&grant) {
            self.ends.remove(&(end, grant));
        }
    }

    /// The position need not stay before an event any more.
    fn pass(&mut self, position: i64) {
        if let Some(mark) = self.beyond.get_mut(&position) {
            mark.is_open = false;
        }
        while self.beyond.first_key_value().is_some_and(|(_, mark)| !mark.is_open) {
            self.beyond.pop_first();
        }
    }

    fn touch(&mut self, now: UnixMicros) {
        self.unsaved += 1;
        self.save_by(now.plus(SAVE_EVERY));
    }

    fn save_by(&mut self, time: UnixMicros) {
        self.save_at = Some(self.save_at.map_or(time, |save_at| save_at.min(time)));
    }
}

#[cfg(test)]
mod tests;
