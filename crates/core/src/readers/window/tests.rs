//! The window beside a plain list: whatever is answered when, and however often the reader is killed, each event is told,
//! in the order of its mailbox, and the position never passes one that is neither told nor written down.

use super::*;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);
const CONCURRENCY: usize = 4;

fn grant(number: u8) -> GrantId {
    GrantId::from_uuid(Uuid::from_u128(u128::from(number) + 1))
}

/// What the store keeps of a reader.
#[derive(Default)]
struct Stored {
    position: i64,
    rows: BTreeMap<(GrantId, i64), Note>,
    given_up: HashSet<i64>,
}

impl Stored {
    fn commit(&mut self, save: Save) {
        assert!(save.position >= self.position, "never back");
        let rows = save.waiting.iter().map(|note| note.position).chain(save.given_up.iter().copied());
        assert!(rows.max().unwrap_or(0) <= save.position, "what is noted is passed");
        self.position = save.position;
        for row in save.done {
            self.rows.remove(&row);
        }
        self.rows.extend(save.waiting.into_iter().map(|note| ((note.grant, note.position), note)));
        self.given_up.extend(save.given_up);
    }

    fn behind(&self, now: UnixMicros) -> Vec<Behind> {
        let mut behind: BTreeMap<GrantId, Behind> = BTreeMap::new();
        for ((grant, position), note) in &self.rows {
            let first = Behind { grant: *grant, first: *position, last: *position, due_at: note.due_at.unwrap_or(now) };
            behind.entry(*grant).or_insert(first).last = *position;
        }
        behind.into_values().collect()
    }

    fn load(&self, load: Load) -> Vec<(i64, u32)> {
        let rows = self.rows.range((load.grant, load.after + 1)..=(load.grant, load.upto));
        rows.take(load.limit).map(|((_, position), note)| (*position, note.attempts)).collect()
    }
}

/// A reader with everything around it.
struct Bench {
    /// Whose event is at each position, from 1.
    log: Vec<GrantId>,
    stored: Stored,
    window: Window,
    now: UnixMicros,
    /// Events that the reader holds.
    memory: HashSet<i64>,
    under_way: Vec<Next>,
    loads: Vec<Load>,
    save: Option<Save>,
    taken: HashSet<i64>,
    given_up: HashSet<i64>,
    /// The last event sent for each mailbox since the reader began.
    sent: HashMap<GrantId, i64>,
}

impl Bench {
    fn new(log: &[u8]) -> Self {
        Self {
            log: log.iter().map(|number| grant(*number)).collect(),
            stored: Stored::default(),
            window: Window::new(CONCURRENCY, 0, &[]),
            now: NOW,
            memory: HashSet::new(),
            under_way: Vec::new(),
            loads: Vec::new(),
            save: None,
            taken: HashSet::new(),
            given_up: HashSet::new(),
            sent: HashMap::new(),
        }
    }

    fn head(&self) -> i64 {
        self.log.len() as i64
    }

    /// Reads up to `most` events.
    fn read(&mut self, most: usize) {
        let room = self.window.room().min(most) as i64;
        let upto = self.head().min(self.window.read() + room);
        for position in self.window.read() + 1..=upto {
            match self.window.take_in(position, self.log[position as usize - 1], self.now) {
                Kept::Memory => assert!(self.memory.insert(position), "kept twice"),
                Kept::Store => {}
            }
        }
        self.window.read_upto(upto, self.now);
        assert!(upto - self.window.position() <= WINDOW_MAX as i64, "more than the window was read");
    }

    fn send(&mut self) {
        while let Some(next) = self.window.next(self.now) {
            assert!(self.memory.remove(&next.position), "{next:?} is not there");
            assert!(!self.under_way.iter().any(|one| one.grant == next.grant), "two of one mailbox at once");
            let last = self.sent.insert(next.grant, next.position).unwrap_or(0);
            assert!(next.position >= last, "{next:?} after {last}");
            self.under_way.push(next);
            assert!(self.under_way.len() <= CONCURRENCY);
        }
        assert_eq!(self.window.under_way(), self.under_way.len());
    }

    /// The receiver takes an event.
    fn takes(&mut self, next: Next) {
        if !self.taken.insert(next.position) {
            return;
        }
        let before = (1..next.position).rev().find(|position| self.log[*position as usize - 1] == next.grant);
        if let Some(before) = before {
            let is_over = self.taken.contains(&before) || self.given_up.contains(&before);
            assert!(is_over, "{before} was skipped for {next:?}");
        }
    }

    fn answer(&mut self, index: usize, answer: Answer) {
        let next = self.under_way.remove(index);
        match answer {
            Answer::Taken => self.takes(next),
            Answer::GivenUp => drop(self.given_up.insert(next.position)),
            Answer::Later(_) => {}
        }
        let let_go = self.window.answered(next.grant, answer, self.now);
        self.let_go(let_go);
    }

    fn tend(&mut self) {
        let let_go = self.window.tend(self.now);
        self.let_go(let_go);
    }

    fn let_go(&mut self, positions: Vec<i64>) {
        for position in positions {
            self.memory.remove(&position);
        }
    }

    fn begin_loads(&mut self) {
        while let Some(load) = self.window.load(self.now) {
            self.loads.push(load);
        }
    }

    fn end_load(&mut self) {
        if let Some(load) = self.loads.pop() {
            let found = self.stored.load(load);
            self.memory.extend(found.iter().map(|(position, _)| *position));
            self.window.loaded(load, &found, self.now);
        }
    }

    fn begin_save(&mut self) {
        if let Some(save) = self.window.save(self.now, false) {
            assert!(self.save.replace(save).is_none(), "two commits at once");
        }
    }

    fn end_save(&mut self) {
        if let Some(save) = self.save.take() {
            self.commit(save);
            self.window.saved(self.now);
        }
    }

    fn commit(&mut self, save: Save) {
        self.stored.commit(save);
        for position in 1..=self.stored.position {
            let row = (self.log[position as usize - 1], position);
            let is_safe = self.taken.contains(&position)
                || self.stored.given_up.contains(&position)
                || self.stored.rows.contains_key(&row);
            assert!(is_safe, "{position} is lost at {}", self.stored.position);
        }
    }

    /// The reader is killed, and another one goes on. What was under way may have come through, and so may the commit.
    fn kill(&mut self, came_through: bool) {
        let under_way = std::mem::take(&mut self.under_way);
        let save = self.save.take();
        if came_through {
            under_way.into_iter().for_each(|next| self.takes(next));
            save.into_iter().for_each(|save| self.commit(save));
        }
        self.memory.clear();
        self.loads.clear();
        self.sent.clear();
        self.window = Window::new(CONCURRENCY, self.stored.position, &self.stored.behind(self.now));
    }

    /// All that can be done without an answer and without time passing.
    fn settle(&mut self) {
        loop {
            let before = (self.window.read(), self.stored.position, self.under_way.len());
            self.tend();
            self.read(WINDOW_MAX);
            self.begin_loads();
            while !self.loads.is_empty() {
                self.end_load();
            }
            self.send();
            self.begin_save();
            self.end_save();
            if before == (self.window.read(), self.stored.position, self.under_way.len()) {
                return;
            }
        }
    }

    /// Everything is taken, for as long as it takes; `but` hangs.
    fn run(&mut self, but: Option<GrantId>) {
        for _ in 0..100_000 {
            self.settle();
            let answering = self.under_way.iter().position(|next| Some(next.grant) != but);
            match (answering, self.window.wake_at()) {
                (Some(index), _) => self.answer(index, Answer::Taken),
                (None, Some(time)) => self.now = self.now.max(time),
                (None, None) => return,
            }
        }
        panic!("no end: {:?}", self.window);
    }

    fn step(&mut self, (what, which): (u8, u8)) {
        let answering = (!self.under_way.is_empty()).then(|| usize::from(which) % self.under_way.len().max(1));
        match (what % 16, answering) {
            (0..=1, _) => self.read(usize::from(which % 8)),
            (2..=3, _) => self.send(),
            (4..=6, Some(index)) => self.answer(index, Answer::Taken),
            (7, Some(index)) => {
                self.answer(index, Answer::Later(self.now.plus(Duration::from_millis(u64::from(which) * 20))));
            }
            (8, Some(index)) if which < 64 => self.answer(index, Answer::GivenUp),
            (9, _) => self.now = self.now.plus(Duration::from_millis(u64::from(which) * 8)),
            (10, _) => self.tend(),
            (11, _) => self.begin_loads(),
            (12, _) => self.end_load(),
            (13, _) => self.begin_save(),
            (14, _) => self.end_save(),
            (15, _) if which < 40 => self.kill(which % 2 == 0),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn each_event_is_told_in_the_order_of_its_mailbox_whatever_happens(
        log in proptest::collection::vec(0_u8..4, 1..60),
        steps in proptest::collection::vec(any::<(u8, u8)>(), 0..400),
    ) {
        let mut bench = Bench::new(&log);
        for step in steps {
            bench.step(step);
        }
        bench.run(None);
        for position in 1..=bench.head() {
            prop_assert!(bench.taken.contains(&position) || bench.given_up.contains(&position), "{} is lost", position);
        }
        prop_assert!(bench.stored.rows.is_empty() && bench.memory.is_empty(), "{:?}", bench.window);
        prop_assert_eq!(bench.stored.position, bench.head());
        prop_assert!(bench.window.is_saved() && bench.window.lanes.is_empty());
    }

    #[test]
    fn a_mailbox_that_hangs_holds_up_no_other_and_is_noted(
        log in proptest::collection::vec(0_u8..4, 1..60),
        steps in proptest::collection::vec(any::<(u8, u8)>(), 0..100),
    ) {
        let mut bench = Bench::new(&log);
        for step in steps {
            bench.step(step);
        }
        bench.run(Some(grant(0)));
        for position in 1..=bench.head() {
            let is_told = bench.taken.contains(&position) || bench.given_up.contains(&position);
            prop_assert!(is_told || bench.log[position as usize - 1] == grant(0), "{} waits", position);
        }
        prop_assert_eq!(bench.stored.position, bench.head(), "the position goes on");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_log_that_is_longer_than_the_window_is_told_as_well(
        log in proptest::collection::vec(0_u8..12, 2_000..4_000),
        steps in proptest::collection::vec(any::<(u8, u8)>(), 0..4_000),
    ) {
        let mut bench = Bench::new(&log);
        for (what, which) in steps {
            // Much more is read and told than goes wrong.
            match which % 16 {
                0 => bench.step((what, which / 16)),
                1..=3 => bench.read(WINDOW_MAX),
                4..=6 => bench.send(),
                _ => bench.step((4, which)),
            }
        }
        bench.run(None);
        for position in 1..=bench.head() {
            prop_assert!(bench.taken.contains(&position) || bench.given_up.contains(&position), "{} is lost", position);
        }
        prop_assert!(bench.stored.rows.is_empty() && bench.memory.is_empty(), "{:?}", bench.window);
        prop_assert_eq!(bench.stored.position, bench.head());
    }
}

#[test]
fn a_window_full_of_what_is_told_is_left_at_once() {
    // The first event hangs, with a few behind it. Before a second has passed thousands of others are told.
    let log: Vec<u8> =
        (0..5_000_u32).map(|number| if number % 2_000 == 0 { 0 } else { (number % 7) as u8 + 1 }).collect();
    let mut bench = Bench::new(&log);
    for _ in 0..20_000 {
        bench.settle();
        let Some(index) = bench.under_way.iter().position(|next| next.grant != grant(0)) else { break };
        bench.answer(index, Answer::Taken);
    }
    assert_eq!((bench.now, bench.taken.len()), (NOW, 4_997));
    assert!(!bench.window.is_slow(NOW.plus(Duration::from_secs(1))), "one of many answers");
}

#[test]
fn a_mailbox_with_much_to_tell_delays_others_by_no_more_than_a_second() {
    // Each of its answers takes a tenth of a second.
    let mut log = vec![0; 3_000];
    log.push(1);
    let mut bench = Bench::new(&log);
    let other = loop {
        bench.settle();
        if let Some(other) = bench.under_way.iter().position(|next| next.grant == grant(1)) {
            break other;
        }
        bench.now = bench.now.plus(Duration::from_millis(100));
        if !bench.under_way.is_empty() {
            bench.answer(0, Answer::Taken);
        }
    };
    bench.answer(other, Answer::Taken);
    assert!(bench.now.since(NOW) <= Duration::from_millis(1_100), "{:?}", bench.now.since(NOW));
    bench.run(None);
    assert_eq!(bench.taken.len(), 3_001);
}

#[test]
fn nothing_is_written_down_of_mailboxes_that_are_told_without_trouble() {
    let log: Vec<u8> = (0..3_000_u32).map(|number| (number % 5) as u8).collect();
    let mut bench = Bench::new(&log);
    let mut commits = 0;
    while bench.taken.len() < log.len() {
        bench.tend();
        bench.read(WINDOW_MAX);
        bench.send();
        if let Some(save) = bench.window.save(bench.now, false) {
            assert!(save.waiting.is_empty() && save.done.is_empty(), "{save:?}");
            bench.commit(save);
            bench.window.saved(bench.now);
            commits += 1;
        }
        bench.answer(0, Answer::Taken);
    }
    assert_eq!(commits, 3_000 / SAVE_MAX, "one for each {SAVE_MAX} events");
}

#[test]
fn held_lanes_leave_half_of_what_may_be_under_way_to_others() {
    let behind: Vec<Behind> =
        (0..50).map(|number| Behind { grant: grant(number), first: 1, last: 1, due_at: NOW }).collect();
    let mut window = Window::new(8, 100, &behind);
    let mut loads = Vec::new();
    while let Some(load) = window.load(NOW) {
        loads.push(load);
    }
    assert_eq!(loads.len(), 4);
    for load in loads {
        window.loaded(load, &[(1, 2)], NOW);
    }
    for number in 100..120 {
        assert_eq!(window.take_in(i64::from(number), grant(number), NOW), Kept::Memory);
    }
    let mut sent = Vec::new();
    while let Some(next) = window.next(NOW) {
        sent.push(next);
    }
    assert_eq!(sent.len(), 8);
    assert_eq!(sent.iter().filter(|next| next.position == 1 && next.attempt == 3).count(), 4);
    assert!(!window.is_slow(NOW) && window.is_slow(NOW.plus(PATIENCE)), "all of them hang");
}

#[test]
fn commits_wait_for_a_tenth_of_a_second_or_for_many_events() {
    let after = |millis| NOW.plus(Duration::from_millis(millis));
    let mut window = Window::new(1, 0, &[]);
    // Nobody wants what was read.
    window.read_upto(10, NOW);
    assert_eq!((window.save(after(4_999), false), window.wake_at()), (None, Some(after(5_000))));
    assert_eq!(window.save(after(5_000), false).map(|save| save.position), Some(10));
    window.saved(after(5_000));
    assert_eq!((window.is_saved(), window.wake_at()), (true, None));
    // One event is told.
    assert_eq!(window.take_in(11, grant(0), after(6_000)), Kept::Memory);
    window.read_upto(20, after(6_000));
    assert!(window.next(after(6_000)).is_some());
    assert_eq!(window.position(), 10);
    window.answered(grant(0), Answer::Taken, after(6_001));
    assert_eq!((window.save(after(6_100), false), window.wake_at()), (None, Some(after(6_101))));
    assert_eq!(window.save(after(6_101), false).map(|save| save.position), Some(20));
    // Only one is under way.
    assert_eq!((window.save(after(9_999), true), window.is_saved()), (None, false));
}
