//! The window beside a plain list: whatever is answered when, and however often the reader is killed, each event is told,
//! in the order of its mailbox, and the position never passes one that is neither told nor written down.

use super::*;
use crate::readers::alone_at;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);
const CONCURRENCY: usize = 4;

fn grant(number: u8) -> GrantId {
    GrantId::new(NOW, [number; 10])
}

/// What the store keeps of a reader.
#[derive(Default)]
struct Stored {
    position: i64,
    rows: BTreeMap<GrantId, Row>,
    given_up: HashSet<i64>,
    /// Rows written so far.
    written: usize,
}

impl Stored {
    fn commit(&mut self, save: Save) {
        assert!(save.position >= self.position, "never back");
        self.position = save.position;
        self.written += save.waiting.len();
        for grant in save.done {
            assert!(!save.waiting.iter().any(|row| row.grant == grant), "written and removed");
            self.rows.remove(&grant);
        }
        self.rows.extend(save.waiting.into_iter().map(|row| (row.grant, row)));
        self.given_up.extend(save.given_up.into_iter().map(|one| one.position));
    }

    fn rows(&self) -> Vec<Row> {
        self.rows.values().copied().collect()
    }
}

/// What is logged as this number is an event that nobody wants, of the mailbox whose number is so much less.
const UNWANTED: u8 = 100;

/// A reader with everything around it.
struct Bench {
    /// Whose event is at each position, from 1.
    log: Vec<GrantId>,
    unwanted: HashSet<i64>,
    stored: Stored,
    window: Window,
    now: UnixMicros,
    /// Events that the reader holds.
    memory: HashSet<i64>,
    under_way: Vec<Next>,
    rests_until: Option<UnixMicros>,
    loads: Vec<Load>,
    save: Option<Save>,
    taken: HashSet<i64>,
    given_up: HashSet<i64>,
    /// The last event sent for each mailbox since the reader began.
    sent: HashMap<GrantId, i64>,
    /// How many a second, and whether in order.
    terms: (Option<u32>, bool),
    /// When events were sent.
    times: Vec<UnixMicros>,
}

impl Bench {
    fn new(log: &[u8]) -> Self {
        Self {
            log: log.iter().map(|number| grant(*number % UNWANTED)).collect(),
            unwanted: (1..).zip(log).filter(|(_, number)| **number >= UNWANTED).map(|(position, _)| position).collect(),
            stored: Stored::default(),
            window: Window::new(CONCURRENCY, 0, &[]),
            now: NOW,
            memory: HashSet::new(),
            under_way: Vec::new(),
            rests_until: None,
            loads: Vec::new(),
            save: None,
            taken: HashSet::new(),
            given_up: HashSet::new(),
            sent: HashMap::new(),
            terms: (None, true),
            times: Vec::new(),
        }
    }

    /// The same, told so many a second, in order or not.
    fn agreed(log: &[u8], rate: Option<u32>, is_ordered: bool) -> Self {
        let mut bench = Self::new(log);
        bench.agree(rate, is_ordered);
        bench
    }

    fn agree(&mut self, rate: Option<u32>, is_ordered: bool) {
        self.terms = (rate, is_ordered);
        self.window.agree(rate, is_ordered, self.now);
    }

    fn head(&self) -> i64 {
        self.log.len() as i64
    }

    /// Reads up to `most` events.
    fn read(&mut self, most: usize) {
        let room = self.window.room().min(most) as i64;
        let upto = self.head().min(self.window.read() + room);
        for position in self.window.read() + 1..=upto {
            if self.unwanted.contains(&position) {
                continue;
            }
            match self.window.take_in(position, self.log[position as usize - 1], self.now) {
                Kept::Memory => assert!(self.memory.insert(position), "kept twice"),
                Kept::Log => {}
            }
        }
        self.window.read_upto(upto, self.now);
        assert!(self.window.beyond.len() <= WINDOW_MAX, "more than the window is kept");
    }

    fn send(&mut self) {
        while let Some(next) = self.window.next(self.now) {
            assert!(self.memory.remove(&next.position), "{next:?} is not there");
            let is_alone = self.under_way.is_empty() && self.rests_until <= Some(self.now);
            assert!(self.rests_until.is_none() || is_alone, "it rests until {:?}", self.rests_until);
            assert!(!self.under_way.iter().any(|one| one.grant == next.grant), "two of one mailbox at once");
            let last = self.sent.insert(next.grant, next.position).unwrap_or(0);
            assert!(next.position >= last || !self.terms.1, "{next:?} after {last}");
            self.times.push(self.now);
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
        if !self.terms.1 {
            return;
        }
        let before = (1..next.position).rev();
        let before = before.filter(|position| self.log[*position as usize - 1] == next.grant).take(20);
        for before in before.collect::<Vec<_>>() {
            assert!(self.is_over(before), "{before} was skipped for {next:?}");
        }
    }

    /// Whether an event is taken or given up, or nobody wants it.
    fn is_over(&self, position: i64) -> bool {
        [&self.taken, &self.given_up, &self.unwanted].iter().any(|set| set.contains(&position))
    }

    /// Whether whoever goes on from what is stored need not tell it.
    fn is_known_to_be_over(&self, position: i64) -> bool {
        [&self.taken, &self.stored.given_up, &self.unwanted].iter().any(|set| set.contains(&position))
    }

    fn answer(&mut self, index: usize, answer: Answer) {
        let next = self.under_way.remove(index);
        match answer {
            Answer::Taken => {
                self.rest(None);
                self.takes(next);
            }
            Answer::Unheard(_) => self.rest(Some(self.now.plus(Duration::from_secs(15)))),
            Answer::GivenUp(_) => drop(self.given_up.insert(next.position)),
            Answer::Later(..) => {}
        }
        let let_go = self.window.answered(next.grant, answer, self.now);
        self.let_go(let_go);
    }

    fn rest(&mut self, until: Option<UnixMicros>) {
        self.rests_until = until;
        self.window.rest(until);
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
        let Some(load) = self.loads.pop() else { return };
        let is_of_lane = |position: &i64| match alone_at(load.grant) {
            Some(alone) => *position == alone,
            None => self.log[*position as usize - 1] == load.grant,
        };
        let found: Vec<i64> = (load.after + 1..=load.upto).filter(is_of_lane).take(load.limit).collect();
        let upto = found.last().copied().filter(|_| found.len() == load.limit);
        let wanted: Vec<i64> = found.into_iter().filter(|position| !self.unwanted.contains(position)).collect();
        self.memory.extend(&wanted);
        self.window.loaded(load, &wanted, upto, self.now);
    }

    fn begin_save(&mut self) {
        if let Some(save) = self.window.save(self.now, false) {
            assert!(self.save.replace(save).is_none(), "two commits at once");
        }
    }

    fn end_save(&mut self) {
        if let Some(save) = self.save.take() {
            self.commit(save);
            self.window.saved();
        }
    }

    fn commit(&mut self, save: Save) {
        self.stored.commit(save);
        for (position, grant) in (1..).zip(&self.log) {
            let row = self.stored.rows.get(grant).map(|row| row.position);
            let own = self.stored.rows.get(&alone(position)).map(|row| row.position);
            let row = if self.terms.1 { row } else { own };
            // Whoever goes on tells a mailbox from its row on, or from behind the position.
            let from = row.unwrap_or(self.stored.position + 1);
            let is_safe = position >= from || self.is_known_to_be_over(position);
            assert!(is_safe, "{position} is lost at {}, {row:?}", self.stored.position);
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
        self.window = Window::new(CONCURRENCY, self.stored.position, &self.stored.rows());
        self.window.rest(self.rests_until);
        self.window.agree(self.terms.0, self.terms.1, self.now);
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
            (7, Some(index)) if which % 4 == 0 => self.answer(index, Answer::Unheard(Cause::Connection)),
            (7, Some(index)) => {
                let due_at = self.now.plus(Duration::from_millis(u64::from(which) * 20));
                self.answer(index, Answer::Later(due_at, Cause::Deadline));
            }
            (8, Some(index)) if which < 64 => self.answer(index, Answer::GivenUp(Cause::Target)),
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

fn event(mailboxes: u8) -> impl Strategy<Value = u8> {
    prop_oneof![4 => 0..mailboxes, 1 => UNWANTED..UNWANTED + mailboxes]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn each_event_is_told_in_the_order_of_its_mailbox_whatever_happens(
        log in proptest::collection::vec(event(4), 1..60),
        steps in proptest::collection::vec(any::<(u8, u8)>(), 0..400),
    ) {
        let mut bench = Bench::new(&log);
        for step in steps {
            bench.step(step);
        }
        bench.run(None);
        for position in 1..=bench.head() {
            prop_assert!(bench.is_over(position), "{} is lost", position);
        }
        prop_assert!(bench.stored.rows.is_empty() && bench.memory.is_empty(), "{:?}", bench.window);
        prop_assert_eq!(bench.stored.position, bench.head());
        prop_assert!(bench.window.is_saved() && bench.window.lanes.is_empty());
    }

    #[test]
    fn each_event_is_told_where_order_does_not_matter_and_the_rate_is_kept(
        log in proptest::collection::vec(event(4), 1..60),
        steps in proptest::collection::vec(any::<(u8, u8)>(), 0..400),
        rate in proptest::option::of(1_u32..200),
        is_ordered in any::<bool>(),
    ) {
        let mut bench = Bench::agreed(&log, rate, is_ordered);
        for step in steps {
            bench.step(step);
        }
        bench.run(None);
        for position in 1..=bench.head() {
            prop_assert!(bench.is_over(position), "{} is lost", position);
        }
        prop_assert!(bench.stored.rows.is_empty() && bench.memory.is_empty(), "{:?}", bench.window);
        prop_assert_eq!(bench.stored.position, bench.head());
        let second = Duration::from_secs(1);
        let most = rate.map_or(usize::MAX, |rate| rate as usize + rate as usize / 10 + 1);
        for (index, time) in bench.times.iter().enumerate() {
            let within = bench.times[index..].iter().take_while(|later| later.since(*time) < second).count();
            prop_assert!(within <= most, "{} in a second of {:?}", within, rate);
        }
    }

    #[test]
    fn a_mailbox_that_hangs_holds_up_no_other_and_is_noted(
        log in proptest::collection::vec(event(4), 1..60),
        steps in proptest::collection::vec(any::<(u8, u8)>(), 0..100),
    ) {
        let mut bench = Bench::new(&log);
        for step in steps {
            bench.step(step);
        }
        // Whoever rests is tried with one at a time, and waits for its deadline.
        bench.rest(None);
        bench.run(Some(grant(0)));
        for position in 1..=bench.head() {
            prop_assert!(bench.is_over(position) || bench.log[position as usize - 1] == grant(0), "{} waits", position);
        }
        prop_assert_eq!(bench.stored.position, bench.head(), "the position goes on");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_log_that_is_longer_than_the_window_is_told_as_well(
        log in proptest::collection::vec(event(12), 2_000..4_000),
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
            prop_assert!(bench.is_over(position), "{} is lost", position);
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
            bench.window.saved();
            commits += 1;
        }
        bench.answer(0, Answer::Taken);
    }
    assert_eq!(commits, 3_000 / SAVE_MAX, "one for each {SAVE_MAX} events");
}

#[test]
fn an_outage_writes_a_row_for_each_mailbox_and_none_for_an_event() {
    let log: Vec<u8> = (0..5_000_u32).map(|number| (number % 5) as u8).collect();
    let mut bench = Bench::new(&log);
    for _ in 0..3 {
        bench.settle();
        while !bench.under_way.is_empty() {
            bench.answer(0, Answer::Later(bench.now.plus(Duration::from_secs(30)), Cause::Status(500)));
            bench.settle();
        }
        bench.now = bench.now.plus(SAVE_EVERY);
        bench.settle();
        bench.now = bench.now.plus(Duration::from_secs(30));
    }
    assert_eq!((bench.stored.position, bench.stored.rows.len(), bench.memory.len()), (5_000, 5, 0));
    assert!(bench.stored.written <= 3 * 5, "{}", bench.stored.written);
    let first: Vec<_> = bench.stored.rows.values().map(|row| (row.position, row.attempts, row.cause)).collect();
    assert_eq!(first, [1, 2, 3, 4, 5].map(|position| (position, 3, Some(Cause::Status(500)))));
    bench.run(None);
    assert_eq!((bench.taken.len(), bench.stored.rows.len()), (5_000, 0));
}

#[test]
fn who_rests_is_tried_with_one_mailbox_after_the_other() {
    let log: Vec<u8> = (0..2_000_u32).map(|number| (number % 10) as u8).collect();
    let mut bench = Bench::new(&log);
    bench.settle();
    while !bench.under_way.is_empty() {
        bench.answer(0, Answer::Unheard(Cause::Connection));
    }
    let mut tried = Vec::new();
    for _ in 0..20 {
        bench.settle();
        assert!(bench.under_way.is_empty());
        bench.now = bench.rests_until.expect("it rests");
        assert!(bench.window.wake_at().is_some_and(|time| time <= bench.now));
        bench.settle();
        tried.extend(bench.under_way.iter().map(|next| (next.position, next.attempt)));
        bench.answer(0, Answer::Unheard(Cause::Connection));
    }
    // None of them is forgotten for another, and no attempt was counted.
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried, (1..=10).map(|position| (position, 1)).collect::<Vec<_>>());
    assert!(bench.window.read() <= WINDOW_MAX as i64 && bench.stored.rows.len() <= 10);
    bench.run(None);
    assert_eq!((bench.taken.len(), bench.stored.rows.len()), (2_000, 0));
}

/// A reader that went on at once while what it waits for is loaded would leave no turn to that.
#[test]
fn who_rests_is_not_looked_at_while_what_it_is_tried_with_is_loaded() {
    let row =
        |number| Row { grant: grant(number), position: 1 + i64::from(number), attempts: 1, due_at: NOW, cause: None };
    let mut window = Window::new(64, 9, &[row(0), row(1)]);
    window.rest(Some(NOW));
    assert_eq!(window.wake_at(), Some(NOW));
    let load = window.load(NOW).expect("one of them is loaded");
    assert_eq!((window.load(NOW), window.wake_at()), (None, None));
    window.loaded(load, &[1], None, NOW);
    assert_eq!(window.next(NOW).map(|next| (next.position, next.attempt)), Some((1, 2)));
    assert_eq!(window.wake_at(), None, "the answer is waited for");
}

#[test]
fn what_was_told_of_a_mailbox_before_the_others_is_not_told_again() {
    // The position stands before the first event, which is under way; another mailbox was late, and is told.
    let mut bench = Bench::new(&[0, 1, 1]);
    bench.settle();
    let late = bench.under_way.iter().position(|next| next.grant == grant(1)).expect("both are under way");
    bench.answer(late, Answer::Later(bench.now, Cause::Status(503)));
    bench.settle();
    while let Some(index) = bench.under_way.iter().position(|next| next.grant == grant(1)) {
        bench.answer(index, Answer::Taken);
        bench.settle();
    }
    bench.now = bench.now.plus(SAVE_EVERY);
    bench.settle();
    assert_eq!((bench.stored.position, bench.taken.len()), (0, 2));
    bench.kill(false);
    bench.settle();
    let sent: Vec<i64> = bench.under_way.iter().map(|next| next.position).collect();
    assert_eq!(sent, [1]);
    bench.run(None);
    assert!(bench.stored.rows.is_empty());
}

#[test]
fn where_order_does_not_matter_an_event_that_is_not_taken_waits_alone() {
    let mut bench = Bench::agreed(&[0, 0, 0, 0], None, false);
    bench.settle();
    let sent: Vec<i64> = bench.under_way.iter().map(|next| next.position).collect();
    assert_eq!(sent, [1, 2, 3, 4], "none of them waits for another");
    bench.answer(1, Answer::Later(NOW.plus(Duration::from_secs(30)), Cause::Status(500)));
    while !bench.under_way.is_empty() {
        bench.answer(0, Answer::Taken);
    }
    bench.now = NOW.plus(SAVE_EVERY);
    bench.settle();
    let rows: Vec<_> = bench.stored.rows.values().map(|row| (row.grant, row.position, row.attempts)).collect();
    assert_eq!((bench.stored.position, rows), (4, vec![(alone(2), 2, 1)]));
    // Whoever goes on tries it again, and nothing else; what comes meanwhile is told.
    bench.kill(false);
    bench.log.push(grant(0));
    bench.settle();
    assert_eq!(bench.under_way.iter().map(|next| next.position).collect::<Vec<_>>(), [5]);
    bench.now = NOW.plus(Duration::from_secs(30));
    bench.settle();
    let again = bench.under_way.iter().map(|next| (next.position, next.attempt)).collect::<Vec<_>>();
    assert_eq!(again, [(5, 1), (2, 2)]);
    bench.run(None);
    assert!(bench.stored.rows.is_empty());
}

#[test]
fn where_order_does_not_matter_only_so_many_events_wait_alone() {
    let mut bench = Bench::agreed(&vec![0; 20_000], None, false);
    for _ in 0..20_000 {
        bench.settle();
        if bench.under_way.is_empty() {
            break;
        }
        bench.answer(0, Answer::Later(NOW.plus(Duration::from_secs(30)), Cause::Status(500)));
    }
    // When it is read for the last time, one less than so many wait; others are being tried again, and the window fills up.
    let waiting = bench.window.lanes.len();
    let most = ALONE_MAX - 1 + CONCURRENCY / 2 + WINDOW_MAX;
    assert!((ALONE_MAX..=most).contains(&waiting), "{waiting}");
    bench.run(None);
    assert_eq!((bench.taken.len(), bench.stored.rows.len()), (20_000, 0));
}

#[test]
fn who_is_told_slowly_on_purpose_has_no_rows_of_mailboxes_that_wait_for_that() {
    // Ninety mailboxes, and 40 seconds at that rate.
    let log: Vec<u8> = (0..4_000_u32).map(|number| (number % 90) as u8).collect();
    let mut bench = Bench::agreed(&log, Some(100), true);
    bench.run(None);
    assert_eq!((bench.taken.len(), bench.stored.written), (4_000, 0));
    let seconds = bench.now.since(NOW).as_secs();
    assert!((38..=41).contains(&seconds), "{seconds}");

    // One that fills the window does not keep the others from it.
    let mut log = vec![0; 3_000];
    log.push(1);
    let mut bench = Bench::agreed(&log, Some(10), true);
    while !bench.under_way.iter().any(|next| next.grant == grant(1)) {
        if !bench.under_way.is_empty() {
            bench.answer(0, Answer::Taken);
        }
        bench.settle();
        bench.now = bench.window.wake_at().unwrap_or(bench.now).max(bench.now);
    }
    assert!(bench.now.since(NOW) <= Duration::from_secs(3), "{:?}", bench.now.since(NOW));
}

#[test]
fn held_lanes_leave_half_of_what_may_be_under_way_to_others() {
    let row = |number| Row { grant: grant(number), position: 1, attempts: 2, due_at: NOW, cause: None };
    let rows: Vec<Row> = (0..50).map(row).collect();
    let mut window = Window::new(8, 100, &rows);
    let mut loads = Vec::new();
    while let Some(load) = window.load(NOW) {
        loads.push(load);
    }
    assert_eq!(loads.len(), 4);
    for load in loads {
        window.loaded(load, &[1], None, NOW);
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
    window.saved();
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
