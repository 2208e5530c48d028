//! Every edge of the table of states, and a slow model that keeps every single outcome.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const DELIVERED: Counted = Counted { attempt: true, feedback: true, hard_bounce: false, complaint: false };
const GONE: Counted = Counted { hard_bounce: true, ..DELIVERED };
const LATE: Counted = Counted { hard_bounce: true, ..Counted::NOTHING };
const COMPLAINT: Counted = Counted { complaint: true, ..Counted::NOTHING };
const NOW: UnixMicros = UnixMicros::from_seconds(20_000 * 86_400 + 43_200);

/// One who sent to so many, of whom so many were not there, and so many complained: good news first, bad news last.
fn standing(kind: SubjectKind, attempts: u64, bounces: u64, complaints: u64) -> Standing {
    let mut standing = Standing::new(NOW);
    let outcomes = [(DELIVERED, attempts - bounces), (GONE, bounces), (COMPLAINT, complaints)];
    for (outcome, count) in outcomes {
        for _ in 0..count {
            standing.observe(kind, outcome, NOW);
        }
    }
    standing
}

#[test]
fn the_lines_are_exact() {
    use State::{Elevated, Healthy, Paused, UnderReview};
    // 10,000 recipients, that is one in ten thousand each.
    for (bounces, complaints, state) in [
        (0, 0, Healthy),
        (199, 9, Healthy),
        (200, 0, Elevated),
        (200, 9, Elevated),
        (499, 9, Elevated),
        (500, 0, UnderReview),
        (999, 0, UnderReview),
        (0, 10, UnderReview),
        (199, 49, UnderReview),
        (0, 49, UnderReview),
        (1_000, 0, Paused),
        (0, 50, Paused),
        (1_000, 50, Paused),
    ] {
        let found = standing(SubjectKind::Grant, 10_000, bounces, complaints);
        assert_eq!(found.state, state, "{bounces} {complaints} {:?}", found.rates());
        let rolled_up = standing(SubjectKind::Domain, 10_000, bounces, complaints).state;
        assert_eq!(rolled_up, if state == Paused { UnderReview } else { state }, "nobody is paused for others");
    }
}

#[test]
fn each_line_is_reached_by_the_number_that_is_its_share_and_not_by_one_less() {
    for (line, of, count) in [
        (ELEVATED_BOUNCES, 10_000, 200),
        (REVIEW_BOUNCES, 10_000, 500),
        (PAUSE_BOUNCES, 10_000, 1_000),
        (REVIEW_COMPLAINTS, 100_000, 100),
        (PAUSE_COMPLAINTS, 100_000, 500),
        // Shares that are no whole number are rounded up.
        (REVIEW_BOUNCES, 101, 6),
        (REVIEW_COMPLAINTS, 1_001, 2),
        (PAUSE_COMPLAINTS, 1_001, 6),
    ] {
        assert!(!Rate { count: count - 1, of }.reaches(line), "{line:?} {of}");
        assert!(Rate { count, of }.reaches(line), "{line:?} {of}");
        assert_eq!(Rate { count: 0, of }.until(line), count);
        assert_eq!(Rate { count: count + 1, of }.until(line), 0);
    }
}

#[test]
fn few_recipients_are_divided_by_more_than_there_are() {
    for (attempts, bounces, complaints, state) in [
        (1, 1, 0, State::Healthy),
        (10, 1, 0, State::Healthy),
        (2, 2, 0, State::Elevated),
        (99, 4, 0, State::Elevated),
        (5, 5, 0, State::UnderReview),
        (99, 9, 0, State::UnderReview),
        (10, 10, 0, State::Paused),
        (1, 0, 1, State::UnderReview),
        (999, 0, 4, State::UnderReview),
        (5, 0, 5, State::Paused),
    ] {
        assert_eq!(standing(SubjectKind::Grant, attempts, bounces, complaints).state, state, "{attempts} {bounces}");
    }
}

#[test]
fn what_says_nothing_of_the_address_changes_only_the_volume() {
    let mut standing = standing(SubjectKind::Grant, 200, 9, 0);
    assert_eq!(standing.state, State::Elevated);
    // One more would be too many, had none of these been answered.
    for _ in 0..20 {
        standing.observe(SubjectKind::Grant, DELIVERED, NOW);
    }
    assert_eq!(standing.observe(SubjectKind::Grant, LATE, NOW), None);
    assert_eq!(standing.rates().bounces, Rate { count: 10, of: 220 });
}

#[test]
fn a_review_ends_only_below_the_lower_lines() {
    let mut standing = standing(SubjectKind::Grant, 100, 5, 0);
    assert_eq!(standing.state, State::UnderReview);
    let mut attempts = 100;
    let left = loop {
        attempts += 1;
        if let Some(transition) = standing.observe(SubjectKind::Grant, DELIVERED, NOW) {
            break transition;
        }
        assert_eq!(standing.state, State::UnderReview);
    };
    // Five of 251 are less than two of a hundred, five of 250 are not.
    assert_eq!((attempts, left), (251, Transition { from: State::UnderReview, to: State::Healthy }));
}

#[test]
fn staying_under_review_for_half_the_volume_pauses() {
    let go_on = |every: u64, kind: SubjectKind| {
        let mut standing = standing(kind, 100, 7, 0);
        let mut attempts = 0;
        while standing.state == State::UnderReview && attempts < 2_000 {
            attempts += 1;
            let outcome = if attempts % every == 0 { GONE } else { DELIVERED };
            standing.observe(kind, outcome, NOW);
        }
        (standing.state, attempts)
    };
    // Two of the hundred were sent after it began.
    let (state, attempts) = go_on(15, SubjectKind::Grant);
    assert_eq!((state, attempts), (State::Paused, 498));
    assert_eq!(go_on(15, SubjectKind::Workspace), (State::UnderReview, 2_000));
}

#[test]
fn falling_below_the_line_of_review_begins_the_patience_anew() {
    let mut standing = standing(SubjectKind::Grant, 100, 5, 0);
    let observe = |standing: &mut Standing, outcome, count: u64| {
        for _ in 0..count {
            standing.observe(SubjectKind::Grant, outcome, NOW);
        }
    };
    assert_eq!(standing.window.under_review(), 0);
    observe(&mut standing, GONE, 2);
    observe(&mut standing, DELIVERED, 30);
    assert_eq!(standing.window.under_review(), 32);
    // 7 of 141 are less than five of a hundred.
    observe(&mut standing, DELIVERED, 9);
    assert_eq!((standing.window.under_review(), standing.state), (0, State::UnderReview));
    observe(&mut standing, GONE, 1);
    assert_eq!(standing.window.under_review(), 1);
}

#[test]
fn nothing_but_a_new_beginning_ends_a_pause() {
    let mut standing = standing(SubjectKind::Grant, 10, 10, 0);
    let since = standing.since;
    for hour in 0..3_000 {
        let now = NOW.plus(Duration::from_secs(hour * 3_600));
        assert_eq!(standing.observe(SubjectKind::Grant, DELIVERED, now), None);
    }
    assert_eq!((standing.state, standing.since), (State::Paused, since));
    let counted = standing.window.counted();
    let now = NOW.plus(Duration::from_secs(60));
    let transition = standing.begin_anew(now);
    assert_eq!(transition, Some(Transition { from: State::Paused, to: State::Healthy }));
    assert_eq!((standing.window.counts(), standing.since), (Counts::default(), now));
    // Numbers go on.
    assert_eq!(standing.window.counted(), counted);
    assert_eq!(standing.begin_anew(now), None);
}

#[test]
fn the_volume_is_that_of_seven_days_within_its_bounds() {
    let day = |number: i64| UtcDay::from_number(20_000 + number);
    let mut window = Window::default();
    let send = |window: &mut Window, on: i64, count: u64| {
        (0..count).for_each(|_| window.count(DELIVERED, day(on)));
    };
    assert_eq!(window.volume(day(0)), 1_000);
    send(&mut window, 0, 999);
    assert_eq!(window.volume(day(0)), 1_000);
    send(&mut window, 1, 2_001);
    assert_eq!(window.volume(day(1)), 3_000);
    send(&mut window, 6, 1_000);
    assert_eq!(window.volume(day(6)), 4_000);
    assert_eq!(window.volume(day(7)), 3_001);
    assert_eq!(window.volume(day(8)), 1_000);
    // A clock that went back.
    send(&mut window, 5, 1_000);
    assert_eq!(window.volume(day(6)), 5_000);
    send(&mut window, 30, 150_000);
    assert_eq!(window.volume(day(30)), 100_000);
}

#[test]
fn old_recipients_leave_the_window() {
    let mut standing = standing(SubjectKind::Grant, 100, 4, 0);
    for _ in 0..999 {
        standing.observe(SubjectKind::Grant, DELIVERED, NOW);
    }
    assert_eq!(standing.window.counts().hard_bounces, 4);
    for number in 0..30_000_u64 {
        standing.observe(SubjectKind::Grant, DELIVERED, NOW.plus(Duration::from_secs(number * 86_400 / 100)));
    }
    let counts = standing.window.counts();
    assert_eq!((counts.hard_bounces, standing.state), (0, State::Healthy));
    assert!((1_000..1_050).contains(&counts.attempts), "{counts:?}");
}

#[test]
fn head_room_says_how_many_more_it_takes() {
    let of = |attempts, bounces, complaints| {
        let standing = standing(SubjectKind::Grant, attempts, bounces, complaints);
        (standing.head_room(SubjectKind::Grant, NOW.day()), standing)
    };
    let (healthy, _) = of(400, 0, 0);
    assert_eq!(
        healthy.in_words(),
        "1 more complaint or 20 more hard bounces until review; 5 more complaints or 40 more hard bounces until pause"
    );
    let (review, _) = of(3_000, 0, 3);
    assert_eq!((review.complaints_until_review, review.complaints_until_pause), (None, Some(12)));
    assert_eq!(review.attempts_until_pause, Some(1_500));
    let (paused, standing) = of(10, 10, 0);
    assert_eq!((paused.in_words(), standing.badness()), (String::new(), 3_010_000));
    // What it says is true: one less does not do it.
    for (attempts, bounces, complaints) in [(50, 1, 0), (1_234, 20, 0), (5_000, 3, 2), (100, 6, 0)] {
        let (room, standing) = of(attempts, bounces, complaints);
        let reaches = |outcome, room: Option<u64>, wanted: State| {
            let Some(room) = room.filter(|room| *room > 0) else { return };
            let mut standing = standing.clone();
            for _ in 1..room {
                standing.observe(SubjectKind::Grant, outcome, NOW);
            }
            assert_ne!(standing.state, wanted, "{attempts} {bounces} {complaints} {room}");
            standing.observe(SubjectKind::Grant, outcome, NOW);
            assert_eq!(standing.state, wanted, "{attempts} {bounces} {complaints} {room}");
        };
        reaches(LATE, room.bounces_until_review, State::UnderReview);
        reaches(COMPLAINT, room.complaints_until_review, State::UnderReview);
        reaches(LATE, room.bounces_until_pause, State::Paused);
        reaches(COMPLAINT, room.complaints_until_pause, State::Paused);
    }
}

#[test]
fn the_worse_comes_first() {
    let badness = |attempts, bounces, complaints| standing(SubjectKind::Grant, attempts, bounces, complaints).badness();
    let order = [
        badness(10_000, 199, 9),
        badness(10_000, 200, 0),
        badness(10_000, 300, 0),
        badness(10_000, 0, 10),
        badness(10_000, 900, 0),
        badness(10_000, 0, 50),
    ];
    assert_eq!(order[0], 0);
    assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "{order:?}");
}

#[test]
fn texts_that_are_no_windows_are_refused() {
    for text in ["", "1", "a b", "0 0 0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0 0 0 1", "-1 0 0 0 0 0 0 0 0 0 0 0 0 0 0"] {
        assert!(text.parse::<Window>().is_err(), "{text}");
    }
    assert_eq!(Window::default().to_string().parse::<Window>(), Ok(Window::default()));
}

/// Keeps every single outcome, in the buckets in which it came, and adds up everything each time.
#[derive(Default)]
struct Model {
    sealed: Vec<Vec<Counted>>,
    filling: Vec<Counted>,
    attempts_on: Vec<i64>,
    run: u64,
    state: Option<State>,
}

impl Model {
    fn attempts(bucket: &[Counted]) -> u64 {
        bucket.iter().filter(|one| one.attempt).count() as u64
    }

    fn volume(&self, today: i64) -> u64 {
        let recent = self.attempts_on.iter().filter(|day| (today - 6..=today).contains(*day)).count() as u64;
        recent.clamp(1_000, 100_000)
    }

    fn all(&self) -> impl Iterator<Item = &Counted> {
        self.sealed.iter().flatten().chain(&self.filling)
    }

    fn observe(&mut self, kind: SubjectKind, outcome: Counted, today: i64) {
        self.filling.push(outcome);
        if outcome.attempt {
            self.attempts_on.push(today);
            let volume = self.volume(today);
            if Self::attempts(&self.filling) * 20 >= volume {
                self.sealed.push(std::mem::take(&mut self.filling));
                while self.sealed[1..].iter().map(|bucket| Self::attempts(bucket)).sum::<u64>() >= volume {
                    self.sealed.remove(0);
                }
                while self.sealed.len() > 20 {
                    let both = |first: &usize| Self::attempts(&self.sealed[*first..*first + 2].concat());
                    let first = (0..self.sealed.len() - 1).min_by_key(both).unwrap();
                    let next = self.sealed.remove(first + 1);
                    self.sealed[first].extend(next);
                }
            }
        }
        self.judge(kind, outcome, today);
    }

    fn judge(&mut self, kind: SubjectKind, outcome: Counted, today: i64) {
        let count = |is: fn(&&Counted) -> bool| self.all().filter(is).count() as f64;
        let bounces = count(|one| one.hard_bounce) / count(|one| one.attempt).max(100.0);
        let complaints = count(|one| one.complaint) / count(|one| one.feedback).max(1_000.0);
        // The lines are no numbers that these can be compared with exactly, but nothing lies between a line and the next
        // count.
        let at = |rate: f64, line: f64| rate > line - 1e-9;
        let state = self.state.unwrap_or(State::Healthy);
        let above = at(bounces, 0.05) || at(complaints, 0.001);
        self.run = match above && state == State::UnderReview {
            true => self.run + u64::from(outcome.attempt),
            false => 0,
        };
        let may_pause = kind == SubjectKind::Grant;
        let is_bad = at(bounces, 0.1) || at(complaints, 0.005) || self.run >= self.volume(today) / 2;
        let next = if state == State::Paused || (may_pause && is_bad) {
            State::Paused
        } else if state == State::UnderReview {
            let clear = !at(bounces, 0.02) && !at(complaints, 0.001);
            if clear { State::Healthy } else { State::UnderReview }
        } else if above {
            State::UnderReview
        } else if at(bounces, 0.02) {
            State::Elevated
        } else {
            State::Healthy
        };
        self.state = Some(next);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Windows and states are those of the model, through good and bad times, quiet and busy days.
    #[test]
    fn as_one_who_keeps_everything(
        stretches in prop::collection::vec((0_u64..1_500, 0_u32..140, 0_u32..12, 0_i64..4), 1..7),
        rolled_up in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let kind = if rolled_up { SubjectKind::Application } else { SubjectKind::Grant };
        let (mut standing, mut model) = (Standing::new(NOW), Model::default());
        let (mut random, mut day) = (seed | 1, 20_000);
        let mut next = |below: u32| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % u64::from(below)) as u32
        };
        for (count, bouncing, complaining, days) in stretches {
            day += days;
            let now = UtcDay::from_number(day).start();
            for _ in 0..count {
                let outcome = match next(1_000) {
                    n if n < complaining => COMPLAINT,
                    n if n < complaining + bouncing / 4 => LATE,
                    n if n < complaining + bouncing => GONE,
                    n if n % 3 == 0 => Counted { feedback: false, ..DELIVERED },
                    _ => DELIVERED,
                };
                let before = standing.state;
                let transition = standing.observe(kind, outcome, now);
                prop_assert_eq!(transition.is_some(), before != standing.state);
                model.observe(kind, outcome, day);
                prop_assert_eq!(Some(standing.state), model.state);
            }
            let counts = standing.window.counts();
            let of_model = |is: fn(&&Counted) -> bool| model.all().filter(is).count() as u64;
            prop_assert_eq!(counts.attempts, of_model(|one| one.attempt));
            prop_assert_eq!(counts.feedback_attempts, of_model(|one| one.feedback));
            prop_assert_eq!(counts.hard_bounces, of_model(|one| one.hard_bounce));
            prop_assert_eq!(counts.complaints, of_model(|one| one.complaint));
            prop_assert_eq!(standing.window.outcomes(), model.all().count() as u64);
            prop_assert_eq!(standing.window.volume(now.day()), model.volume(day));
            prop_assert!(counts.attempts >= model.volume(day).min(model.attempts_on.len() as u64));
            let kept: Window = standing.window.to_string().parse().unwrap();
            prop_assert_eq!(kept, standing.window.clone());
        }
    }
}
