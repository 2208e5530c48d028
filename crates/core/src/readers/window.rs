//! What one reader of the event log knows of its way, and what it does next. No event is read here and none is sent: this
//! says which, and is told what came of it.
//!
//! The events of a mailbox are its *lane* and are told one after the other. A lane is usually *fresh*: what is read of it
//! is kept in memory until it is told. When an event of it is not taken, or is still open after a second, the lane is
//! *held*: the event and all behind it get rows in the store, the position passes them, and they are loaded from there a
//! few at a time. So the position, behind which everything is read again after a crash, never stands still because of one
//! mailbox, and it never passes what is neither told nor written down.

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

/// Rows of a lane that are loaded at once.
const LOAD_MAX: usize = 16;

/// What was told or written down is committed after that time, or when it is so much.
const SAVE_EVERY: Duration = Duration::from_millis(100);
const SAVE_MAX: usize = 256;

/// A position that has only moved over what nobody wants can wait longer.
const SAVE_IDLE: Duration = Duration::from_secs(5);

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
    /// Held lanes of which rows are to be loaded, with the time from which on.
    due: BTreeSet<(UnixMicros, GrantId)>,
    loading: usize,
    /// Attempts under way since when, and those of them that are of fresh lanes.
    begun: BTreeSet<(UnixMicros, GrantId)>,
    begun_fresh: BTreeSet<(UnixMicros, GrantId)>,
    was_fresh: bool,
    /// Whether the last answers were slow.
    answers: VecDeque<bool>,
    notes: Notes,
    /// The last rows of lanes that a commit is writing; `None` if there is no commit under way.
    saving: Option<BTreeMap<GrantId, i64>>,
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
    /// What there is of it in the store, if it is held.
    rows: Option<Rows>,
}

/// An event of a lane, and how often it has been attempted.
#[derive(Clone, Copy, Debug)]
struct Item {
    position: i64,
    attempts: u32,
}

/// The rows of a held lane, as positions in the log.
#[derive(Debug)]
struct Rows {
    /// Up to here they were loaded, or are told.
    taken: i64,
    /// The last one that there is, or will be with the next commit.
    noted: i64,
    /// The last one that a commit has written.
    stored: i64,
    /// When the first one is to be attempted.
    due_at: UnixMicros,
    /// How often that was attempted, which the store may not know yet.
    again: Option<Item>,
    is_loading: bool,
}

#[derive(Debug, Default)]
struct Notes {
    waiting: BTreeMap<i64, Note>,
    done: BTreeMap<i64, GrantId>,
    given_up: BTreeSet<i64>,
}

/// A lane that was held when a reader began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The mailbox.
    pub grant: GrantId,
    /// The position of its first row.
    pub first: i64,
    /// That of its last one.
    pub last: i64,
    /// When the first one is to be attempted.
    pub due_at: UnixMicros,
}

/// Where an event that was read is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Kept {
    /// In memory, until it is sent.
    Memory,
    /// In the store, behind others of its mailbox.
    Store,
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
    Later(UnixMicros),
    /// It is not attempted any more.
    GivenUp,
}

/// Rows to be loaded: those of a mailbox after one position and up to another, the first of them.
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

/// What is to be written of an event that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its mailbox.
    pub grant: GrantId,
    /// Its place in the log.
    pub position: i64,
    /// How often it was attempted, without an attempt under way.
    pub attempts: u32,
    /// When it is to be attempted; `None` while it waits behind another.
    pub due_at: Option<UnixMicros>,
}

/// What is to be committed at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Save {
    /// The position.
    pub position: i64,
    /// Rows to be written, or changed.
    pub waiting: Vec<Note>,
    /// Rows to be removed, whether or not they are there.
    pub done: Vec<(GrantId, i64)>,
    /// Events that are not attempted any more.
    pub given_up: Vec<i64>,
}

impl Window {
    /// A reader that goes on at a position, with up to `concurrency` requests under way at once.
    pub fn new(concurrency: usize, position: i64, behind: &[Behind]) -> Self {
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
            notes: Notes::default(),
            saving: None,
            unsaved: 0,
            save_at: None,
        };
        for one in behind {
            let Behind { grant, first, last, due_at } = *one;
            let rows = Rows { taken: first - 1, noted: last, stored: last, due_at, again: None, is_loading: false };
            window.lanes.insert(grant, Lane { rows: Some(rows), ..Lane::default() });
            window.due.insert((due_at, grant));
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

    /// How many events may be read now.
    pub fn room(&self) -> usize {
        if self.is_full() { 0 } else { READ_MAX }
    }

    /// Requests under way.
    pub fn under_way(&self) -> usize {
        self.begun.len()
    }

    /// Whether nothing is being written, and there is nothing to be written now.
    pub fn is_saved(&self) -> bool {
        let position = self.position();
        self.saving.is_none() && position == self.saved && self.notes.is_empty_upto(position)
    }

    /// When the next held lane is due.
    pub fn next_due(&self) -> Option<UnixMicros> {
        self.due.first().map(|(due_at, _)| *due_at)
    }

    /// Whether most of the last answers took long, among them those that have not come for as long.
    pub fn is_slow(&self, now: UnixMicros) -> bool {
        let late = self.begun.iter().take_while(|(since, _)| now.since(*since) >= PATIENCE).count();
        let slow = self.answers.iter().filter(|is_slow| **is_slow).count() + late;
        slow * 2 > self.answers.len() + late
    }

    /// Takes up an event that was read and is wanted. They come in the order of the log.
    pub fn take_in(&mut self, position: i64, grant: GrantId, now: UnixMicros) -> Kept {
        let lane = self.lanes.entry(grant).or_default();
        if let Some(rows) = &mut lane.rows {
            rows.noted = position;
            self.notes.wait(Note { grant, position, attempts: 0, due_at: None });
            self.touch(now);
            return Kept::Store;
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
    pub fn has_next(&self) -> bool {
        self.begun.len() < self.concurrency && (!self.fresh.is_empty() || self.has_next_held())
    }

    /// What is to be sent now. Lanes take turns; held ones never have more than half of what may be under way.
    pub fn next(&mut self, now: UnixMicros) -> Option<Next> {
        if !self.has_next() {
            return None;
        }
        let is_held = self.has_next_held() && (self.fresh.is_empty() || self.was_fresh);
        self.was_fresh = !is_held;
        let grant = if is_held { self.held.pop_front() } else { self.fresh.pop_front() }?;
        let lane = self.lanes.get_mut(&grant)?;
        let item = lane.queue.pop_front()?;
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
            Answer::Later(due_at) => self.put_off(grant, item, due_at, now),
            Answer::Taken | Answer::GivenUp => {
                self.settle(grant, item, now);
                Vec::new()
            }
        };
        if answer == Answer::GivenUp {
            self.notes.given_up.insert(item.position);
        }
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
        }
        while let Some((grant, read_at)) = self.in_the_way() {
            let (before, behind) = (self.position(), self.lanes.get(&grant).map_or(0, |lane| lane.queue.len()));
            if behind >= CHEAP && now.since(read_at) < PATIENCE {
                break;
            }
            let_go.extend(self.hold(grant, now));
            self.line_up(grant, now);
            if self.position() == before {
                break;
            }
        }
        let_go
    }

    /// Rows that are to be loaded now. As many lanes are in memory as may be under way.
    pub fn load(&mut self, now: UnixMicros) -> Option<Load> {
        if !self.may_load() {
            return None;
        }
        let (due_at, grant) = *self.due.first().filter(|(due_at, _)| *due_at <= now)?;
        self.due.remove(&(due_at, grant));
        let rows = self.lanes.get_mut(&grant)?.rows.as_mut()?;
        rows.is_loading = true;
        self.loading += 1;
        Some(Load { grant, after: rows.taken, upto: rows.stored, limit: LOAD_MAX })
    }

    /// Takes up the rows that were asked for, in the order of the log: position and attempts so far.
    pub fn loaded(&mut self, load: Load, found: &[(i64, u32)], now: UnixMicros) {
        let Some(lane) = self.lanes.get_mut(&load.grant) else { return };
        let Some(rows) = lane.rows.as_mut().filter(|rows| rows.is_loading) else { return };
        rows.is_loading = false;
        self.loading -= 1;
        let is_all = found.len() < load.limit;
        rows.taken = found.last().filter(|_| !is_all).map_or(load.upto, |(last, _)| *last);
        let again = rows.again.take();
        lane.queue.extend(found.iter().map(|&(position, attempts)| {
            let known = again.filter(|again| again.position == position);
            Item { position, attempts: known.map_or(attempts, |again| again.attempts) }
        }));
        self.line_up(load.grant, now);
    }

    /// What is to be committed now, if it is time or `at_once`. Only one commit is under way. Nothing is written of events
    /// behind the position, as whoever goes on from there would read them once more, and tell them out of order.
    pub fn save(&mut self, now: UnixMicros, at_once: bool) -> Option<Save> {
        if self.saving.is_some() {
            return None;
        }
        if self.is_saved() {
            self.save_at = None;
            return None;
        }
        if !at_once && self.unsaved < SAVE_MAX && self.save_at.is_some_and(|time| time > now) {
            return None;
        }
        let notes = self.notes.take_upto(self.position());
        // In the order of the log, so that the last one of a lane stays.
        self.saving = Some(notes.waiting.values().map(|note| (note.grant, note.position)).collect());
        (self.saved, self.unsaved, self.save_at) = (self.position(), 0, None);
        Some(Save {
            position: self.saved,
            waiting: notes.waiting.into_values().collect(),
            done: notes.done.into_iter().map(|(position, grant)| (grant, position)).collect(),
            given_up: notes.given_up.into_iter().collect(),
        })
    }

    /// The commit is done.
    pub fn saved(&mut self, now: UnixMicros) {
        for (grant, last) in self.saving.take().unwrap_or_default() {
            let rows = self.lanes.get_mut(&grant).and_then(|lane| lane.rows.as_mut());
            if let Some(rows) = rows {
                rows.stored = rows.stored.max(last);
                self.line_up(grant, now);
            }
        }
    }

    /// When there is something to do again without anything having happened.
    pub fn wake_at(&self) -> Option<UnixMicros> {
        let impatient = self.begun_fresh.first().map(|(since, _)| since.plus(PATIENCE));
        let in_the_way = self.in_the_way().map(|(_, read_at)| read_at.plus(PATIENCE));
        let due = self.next_due().filter(|_| self.may_load());
        let save = self.save_at.filter(|_| self.saving.is_none());
        [impatient, in_the_way, due, save].into_iter().flatten().min()
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

    fn may_load(&self) -> bool {
        self.held_under_way() + self.held.len() + self.loading < self.held_most()
    }

    /// The lane of the first open event, and when that was read, if nothing more can be read while more could be sent.
    fn in_the_way(&self) -> Option<(GrantId, UnixMicros)> {
        let stands = self.is_full() && self.begun.len() < self.concurrency;
        self.beyond.first_key_value().filter(|_| stands).map(|(_, mark)| (mark.grant, mark.read_at))
    }

    fn is_full(&self) -> bool {
        self.beyond.len() + self.notes.waiting.len() > WINDOW_MAX - READ_MAX
    }

    /// An event is told, or is not told any more.
    fn settle(&mut self, grant: GrantId, item: Item, now: UnixMicros) {
        match self.lanes.get_mut(&grant).and_then(|lane| lane.rows.as_mut()) {
            None => self.pass(item.position),
            Some(rows) => {
                rows.due_at = now;
                self.notes.end(grant, item.position);
            }
        }
    }

    /// An event was not taken: it is loaded again when it is due, and so is what is behind it.
    fn put_off(&mut self, grant: GrantId, item: Item, due_at: UnixMicros, now: UnixMicros) -> Vec<i64> {
        let Some(lane) = self.lanes.get_mut(&grant) else { return Vec::new() };
        let let_go = match lane.rows {
            Some(_) => lane.queue.drain(..).map(|item| item.position).collect(),
            None => {
                lane.queue.push_front(item);
                self.hold(grant, now)
            }
        };
        let attempts = item.attempts.saturating_add(1);
        if let Some(rows) = self.lanes.get_mut(&grant).and_then(|lane| lane.rows.as_mut()) {
            (rows.taken, rows.due_at) = (item.position - 1, due_at);
            rows.again = Some(Item { attempts, ..item });
        }
        self.notes.wait(Note { grant, position: item.position, attempts, due_at: Some(due_at) });
        let_go
    }

    /// Makes a fresh lane a held one: the first of its open events, which may be under way, and all behind it get rows.
    fn hold(&mut self, grant: GrantId, now: UnixMicros) -> Vec<i64> {
        let Some(lane) = self.lanes.get_mut(&grant).filter(|lane| lane.rows.is_none()) else { return Vec::new() };
        let under_way = lane.under_way.map(|(item, _)| item);
        let queued: Vec<Item> = lane.queue.drain(..).collect();
        let Some(first) = under_way.or(queued.first().copied()) else { return Vec::new() };
        let rows = Rows {
            taken: under_way.map_or(first.position - 1, |item| item.position),
            noted: queued.last().map_or(first.position, |last| last.position),
            stored: first.position - 1,
            due_at: now,
            again: None,
            is_loading: false,
        };
        lane.rows = Some(rows);
        if let Some((_, since)) = lane.under_way {
            self.begun_fresh.remove(&(since, grant));
        } else {
            self.fresh.retain(|one| *one != grant);
        }
        for item in under_way.iter().chain(&queued) {
            let due_at = (item.position == first.position).then_some(now);
            self.notes.wait(Note { grant, position: item.position, attempts: item.attempts, due_at });
            self.pass(item.position);
        }
        self.touch(now);
        queued.into_iter().map(|item| item.position).collect()
    }

    /// Puts a lane where its next event is waited for: a turn, a time, or a commit. One that has nothing is forgotten.
    fn line_up(&mut self, grant: GrantId, now: UnixMicros) {
        let Some(lane) = self.lanes.get(&grant).filter(|lane| lane.under_way.is_none()) else { return };
        match &lane.rows {
            None if lane.queue.is_empty() => drop(self.lanes.remove(&grant)),
            None => self.fresh.push_back(grant),
            Some(_) if !lane.queue.is_empty() => {
                if !self.held.contains(&grant) {
                    self.held.push_back(grant);
                }
            }
            Some(rows) if rows.is_loading => {}
            Some(rows) if rows.taken >= rows.noted => drop(self.lanes.remove(&grant)),
            Some(rows) if rows.taken < rows.stored => drop(self.due.insert((rows.due_at, grant))),
            // What is behind is loaded as soon as it is there, which nobody wants to wait for who is due.
            Some(rows) => {
                let due_at = rows.due_at.max(now);
                self.save_by(due_at);
            }
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

impl Notes {
    fn is_empty_upto(&self, position: i64) -> bool {
        let firsts = [self.waiting.keys().next(), self.done.keys().next(), self.given_up.first()];
        firsts.into_iter().flatten().all(|first| *first > position)
    }

    fn take_upto(&mut self, position: i64) -> Self {
        let later = Self {
            waiting: self.waiting.split_off(&(position + 1)),
            done: self.done.split_off(&(position + 1)),
            given_up: self.given_up.split_off(&(position + 1)),
        };
        std::mem::replace(self, later)
    }

    /// An event waits; what was to be written of it before is overtaken.
    fn wait(&mut self, note: Note) {
        self.done.remove(&note.position);
        self.waiting.insert(note.position, note);
    }

    /// An event that waited does not wait any more.
    fn end(&mut self, grant: GrantId, position: i64) {
        self.waiting.remove(&position);
        self.done.insert(position, grant);
    }
}

#[cfg(test)]
mod tests;
