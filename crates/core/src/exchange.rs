//! Machines that answer each other: when a conversation has become one that nobody reads. Judged by what the mailbox has
//! of the conversation (when which side wrote), by how many mailboxes of the fleet have answered in turn, and by how often
//! the same was said. Nothing here knows what a message means.
//!
//! A person is who takes more than a minute somewhere: any pause that is longer begins the count anew.

use crate::problem::{Problem, ProblemKind};
use crate::stop::HELD_BY_LOOP;
use crate::time::{UnixMicros, UtcDay};
use crate::words::words;
use std::time::Duration;

/// The limits of what machines may say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoopLimits {
    /// Messages of a mailbox in one conversation in which nobody pauses.
    pub turns: u64,
    /// The same where answers become faster, or say the same.
    pub turns_alike: u64,
    /// From what pause on somebody may have read what was written.
    pub pause: Duration,
    /// Messages of a mailbox in one conversation on a day.
    pub replies_per_day: u64,
    /// Mailboxes of the fleet that answer one another in turn.
    pub hops: u64,
    /// After how long an answer begins the count of hops anew.
    pub rest: Duration,
    /// How often a mailbox says the same to mailboxes of the fleet in an hour.
    pub repeats_per_hour: u64,
    /// How much later each further answer in turn leaves.
    pub slow_down: Duration,
}

impl Default for LoopLimits {
    fn default() -> Self {
        Self {
            turns: 10,
            turns_alike: 6,
            pause: Duration::from_secs(60),
            replies_per_day: 50,
            hops: 20,
            rest: Duration::from_secs(3_600),
            repeats_per_hour: 20,
            slow_down: Duration::from_millis(500),
        }
    }
}

/// Answers in turn that leave at once.
const UNSLOWED: u64 = 1;
/// Steps by which the last answers are later.
const STEPS_MAX: u32 = 10;

impl LoopLimits {
    /// How long a message waits before it leaves that so many mailboxes of the fleet have led to, answering in turn. A
    /// conversation that goes round becomes slower until it is stopped, so that it takes nothing from others. The waits of
    /// both sides together are never taken for a pause in which somebody thought.
    pub fn slowed(&self, hops: u64) -> Duration {
        let steps = u32::try_from(hops.saturating_sub(UNSLOWED)).unwrap_or(STEPS_MAX).min(STEPS_MAX);
        (self.slow_down * steps).min(self.pause / 4)
    }
}

/// Messages of a conversation that are looked at, the latest ones. A run that is stopped is shorter.
pub const TURNS_READ: usize = 40;

/// The most turns that a run may be set to have: with those of the other side it is still seen as a whole.
pub const TURNS_MAX: u64 = TURNS_READ as u64 / 2;

/// Earlier messages of the mailbox that an answer is compared with.
pub const COMPARED: usize = 3;

/// How many of those say the same where a run repeats itself.
const ALIKE: usize = 2;

/// A message of the conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// When it came or was sent.
    pub at: UnixMicros,
    /// Whether the mailbox wrote it.
    pub is_own: bool,
}

/// The latest messages between which nobody paused, up to now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// Those of the mailbox.
    pub own: u64,
    /// The pauses between all of them, in milliseconds, the latest first: how long ago the last one was, and so on.
    pub pauses: Vec<u64>,
}

impl Run {
    /// Of the messages of a conversation, the latest first.
    pub fn of(turns: &[Turn], now: UnixMicros, pause: Duration) -> Self {
        let mut run = Self::default();
        let mut later = now;
        for turn in turns {
            // Nodes may be a little apart about the time.
            let between = later.since(turn.at.min(later));
            if between > pause {
                break;
            }
            run.pauses.push(u64::try_from(between.as_millis()).unwrap_or(u64::MAX));
            run.own += u64::from(turn.is_own);
            later = turn.at.min(later);
        }
        run
    }

    /// Whether it is over the line only if it repeats itself: that is found out then.
    pub fn asks_what_was_said(&self, limits: &LoopLimits) -> bool {
        self.own >= limits.turns_alike && self.own < limits.turns && !self.hastens()
    }

    /// Whether one more of the mailbox is too many.
    fn is_over(&self, limits: &LoopLimits, repeats: bool) -> bool {
        self.own >= limits.turns || self.own >= limits.turns_alike && (repeats || self.hastens())
    }

    /// Whether answers become faster: the later half took at most half as long as the earlier one.
    fn hastens(&self) -> bool {
        let half = self.pauses.len() / 2;
        let (later, earlier) = (&self.pauses[..half], &self.pauses[self.pauses.len() - half..]);
        let (later, earlier) = (later.iter().sum::<u64>(), earlier.iter().sum::<u64>());
        // Of what takes no time at all, nothing becomes faster.
        half >= 4 && earlier >= 1_000 * half as u64 && later.saturating_mul(2) <= earlier
    }
}

words! {
    /// By what a loop is known.
    Sign {
        /// More messages of the mailbox in the conversation than belong to a day.
        RepliesPerDay = "replies_per_day",
        /// Too many in which nobody paused.
        MachineSpeed = "machine_speed",
        /// Too many mailboxes of the fleet have answered one another in turn.
        Hops = "hops",
        /// The same text, again and again, to mailboxes of the fleet.
        SameText = "same_text",
    }
}

/// What a loop is known by, and the figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loop {
    /// By what.
    pub sign: Sign,
    /// How many there were.
    pub count: u64,
    /// How many there may be.
    pub limit: u64,
    /// The pauses of the run, in milliseconds, the latest first.
    pub pauses: Vec<u64>,
}

/// What is known of the conversation that a message goes on with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exchange {
    /// Messages of the mailbox in it on this day.
    pub own_today: u64,
    /// The run that the message goes on with.
    pub run: Run,
    /// Whether the message says what those before it said.
    pub repeats: bool,
    /// Mailboxes of the fleet that have answered in turn, with this one.
    pub hops: u64,
    /// How often the mailbox has said the same to the fleet in this hour; none where the message does not go there.
    pub said: Option<u64>,
}

impl Exchange {
    /// What the message would go on with, if that is a loop.
    pub fn judge(&self, limits: &LoopLimits) -> Option<Loop> {
        let is = |sign, count, limit| Some(Loop { sign, count, limit, pauses: Vec::new() });
        if self.hops > limits.hops {
            return is(Sign::Hops, self.hops, limits.hops);
        }
        if self.run.is_over(limits, self.repeats) {
            let limit = if self.run.own >= limits.turns { limits.turns } else { limits.turns_alike };
            let pauses = self.run.pauses.clone();
            return Some(Loop { sign: Sign::MachineSpeed, count: self.run.own, limit, pauses });
        }
        if self.own_today >= limits.replies_per_day {
            return is(Sign::RepliesPerDay, self.own_today, limits.replies_per_day);
        }
        match self.said {
            Some(said) if said >= limits.repeats_per_hour => is(Sign::SameText, said, limits.repeats_per_hour),
            _ => None,
        }
    }
}

impl Loop {
    /// Why sending is stopped, for people.
    pub fn reason(&self) -> String {
        let Self { count, limit, .. } = self;
        match self.sign {
            Sign::RepliesPerDay => {
                format!("the mailbox has sent {count} messages in one conversation today, of {limit} that it may")
            }
            Sign::MachineSpeed => {
                format!(
                    "{count} messages of the mailbox went back and forth in one conversation without a pause in which anybody could have read them"
                )
            }
            Sign::Hops => {
                format!("{count} mailboxes of the fleet have answered one another in turn, of {limit} that may")
            }
            Sign::SameText => {
                format!(
                    "the mailbox has said the same to mailboxes of the fleet {count} times within an hour, of {limit} that it may"
                )
            }
        }
    }

    /// Whether the conversation is what goes round; what only says the same may be about anything.
    pub const fn is_of_conversation(&self) -> bool {
        !matches!(self.sign, Sign::SameText)
    }

    /// The refusal of what is to be held, where no stop says it.
    pub fn problem(&self) -> Problem {
        let text =
            format!("the message may go around in a circle; it waits until somebody approves it: {}", self.reason());
        Problem::new(ProblemKind::Stopped, HELD_BY_LOOP, text)
    }
}

/// Whether enough of the texts that a mailbox has written before say what it is about to say.
pub fn repeats(text: &str, earlier: &[String]) -> bool {
    let print = print(text);
    print != 0 && earlier.iter().filter(|text| self::print(text) == print).count() >= ALIKE
}

/// Octets of a text that are compared.
const COMPARED_OCTETS: usize = 4 << 10;

/// The words of a text, octet by octet: in lower case, without figures, signs and quoted lines, so that counters and times
/// in it do not make it another one.
fn words(text: &str, mut each: impl FnMut(u8)) {
    let (mut is_line_start, mut is_quoted, mut is_apart, mut has_begun) = (true, false, false, false);
    for octet in text.bytes().take(COMPARED_OCTETS) {
        match octet {
            b'\n' => (is_line_start, is_quoted, is_apart) = (true, false, true),
            _ if is_quoted => {}
            b'>' if is_line_start => is_quoted = true,
            b' ' | b'\t' | b'\r' => is_apart = true,
            b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => {
                if is_apart && has_begun {
                    each(b' ');
                }
                each(octet.to_ascii_lowercase());
                (is_line_start, is_apart, has_begun) = (false, false, true);
            }
            _ => (is_line_start, is_apart) = (false, true),
        }
    }
}

/// The part of a text that is compared.
pub fn compared(text: &str) -> &str {
    &text[..text.floor_char_boundary(COMPARED_OCTETS)]
}

/// A number for what a text says (FNV-1a, 64 bits): the same in every release, for no other use. Zero for nothing.
pub fn print(text: &str) -> u64 {
    let (mut hash, mut is_anything) = (0xcbf2_9ce4_8422_2325_u64, false);
    words(text, |octet| {
        (hash, is_anything) = ((hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3), true);
    });
    if is_anything { hash.max(1) } else { 0 }
}

/// How often a mailbox has said what in an hour: the texts that it said last, each with its count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    hour: i64,
    counts: Vec<(u64, u64)>,
}

/// Texts of a mailbox that are told apart in an hour.
const TEXTS: usize = 16;

/// The number of an hour.
pub fn hour(at: UnixMicros) -> i64 {
    at.as_micros().div_euclid(3_600_000_000)
}

/// When an hour ends.
pub fn end_of_hour(at: UnixMicros) -> UnixMicros {
    UnixMicros::from_micros((hour(at) + 1) * 3_600_000_000)
}

impl Said {
    /// From how it is stored, as it is in the hour of `now`.
    pub fn read(stored: &str, now: UnixMicros) -> Self {
        let mut parts = stored.split(' ');
        let hour = hour(now);
        if parts.next().and_then(|first| first.parse().ok()) != Some(hour) {
            return Self { hour, counts: Vec::new() };
        }
        let pair = |part: &str| {
            let (print, count) = part.split_once(':')?;
            Some((u64::from_str_radix(print, 16).ok()?, count.parse().ok()?))
        };
        Self { hour, counts: parts.filter_map(pair).take(TEXTS).collect() }
    }

    /// How often this was said.
    pub fn count(&self, print: u64) -> u64 {
        self.counts.iter().find(|(one, _)| *one == print).map_or(0, |(_, count)| *count)
    }

    /// How often that was said which was said most.
    pub fn most(&self) -> u64 {
        self.counts.iter().map(|(_, count)| *count).max().unwrap_or(0)
    }

    /// With one more.
    pub fn with(mut self, print: u64) -> Self {
        let count = self.count(print) + 1;
        self.counts.retain(|(one, _)| *one != print);
        self.counts.insert(0, (print, count));
        self.counts.truncate(TEXTS);
        self
    }

    /// As it is stored.
    pub fn write(&self) -> String {
        let counts = self.counts.iter().map(|(print, count)| format!(" {print:x}:{count}"));
        std::iter::once(self.hour.to_string()).chain(counts).collect()
    }
}

/// The count of hops of an answer: what its conversation has come to, or the first again where the answer took so long
/// that somebody may have thought about it.
pub fn hops(conversation: u64, received_at: Option<UnixMicros>, now: UnixMicros, rest: Duration) -> u64 {
    let has_rested = received_at.is_some_and(|at| at < now && now.since(at) > rest);
    if has_rested { 1 } else { conversation.max(1) }
}

/// Of the latest messages of a conversation, those of the mailbox on the day of `now`; `None` if there may be more of them
/// than were read.
pub fn own_today(turns: &[Turn], now: UnixMicros) -> Option<u64> {
    let day: UtcDay = now.day();
    let today = turns.iter().take_while(|turn| turn.at.day() >= day);
    let own = today.clone().filter(|turn| turn.is_own).count() as u64;
    (turns.len() < TURNS_READ || today.count() < turns.len()).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_772_445_600);

    fn ago(seconds: u64) -> UnixMicros {
        NOW.minus(Duration::from_secs(seconds))
    }

    /// Two sides in turn, the other one last, with so many seconds between each two messages.
    fn turns(own: usize, seconds: u64) -> Vec<Turn> {
        let at = |place: usize| ago(seconds * (place as u64 + 1));
        (0..own * 2).map(|place| Turn { at: at(place), is_own: place % 2 == 1 }).collect()
    }

    fn sign(exchange: &Exchange) -> Option<(Sign, u64)> {
        exchange.judge(&LoopLimits::default()).map(|found| (found.sign, found.count))
    }

    fn running(own: usize, seconds: u64) -> Exchange {
        let run = Run::of(&turns(own, seconds), NOW, LoopLimits::default().pause);
        Exchange { run, ..Exchange::default() }
    }

    #[test]
    fn machines_are_known_by_never_pausing() {
        for (own, seconds, expected) in [
            (9, 0, None),
            (10, 0, Some((Sign::MachineSpeed, 10))),
            (9, 60, None),
            (10, 60, Some((Sign::MachineSpeed, 10))),
            (15, 61, None),
            (15, 3_600, None),
        ] {
            assert_eq!(sign(&running(own, seconds)), expected, "{own} at {seconds} s");
        }
    }

    #[test]
    fn one_pause_begins_the_run_anew() {
        let mut paused = turns(15, 2);
        for turn in &mut paused[16..] {
            turn.at = turn.at.minus(Duration::from_secs(61));
        }
        let run = Run::of(&paused, NOW, LoopLimits::default().pause);
        assert_eq!((run.own, run.pauses.len()), (8, 16));
        assert_eq!(sign(&Exchange { run, ..Exchange::default() }), None);
    }

    #[test]
    fn messages_of_the_future_took_no_time() {
        let ahead = [Turn { at: NOW.plus(Duration::from_secs(5)), is_own: false }, Turn { at: ago(1), is_own: true }];
        assert_eq!(Run::of(&ahead, NOW, Duration::from_secs(60)).pauses, [0, 1_000]);
    }

    #[test]
    fn what_says_the_same_or_hastens_is_stopped_earlier() {
        let limits = LoopLimits::default();
        let six = running(6, 5);
        assert!(six.run.asks_what_was_said(&limits) && !running(5, 5).run.asks_what_was_said(&limits));
        assert!(!running(10, 5).run.asks_what_was_said(&limits), "it is over the line anyhow");
        assert_eq!(sign(&six), None);
        assert_eq!(sign(&Exchange { repeats: true, ..six }), Some((Sign::MachineSpeed, 6)));
        assert_eq!(sign(&Exchange { repeats: true, ..running(5, 5) }), None);
        let hastening = |later, earlier| {
            let pauses = [[later; 6], [earlier; 6]].concat();
            Exchange { run: Run { own: 6, pauses }, ..Exchange::default() }
        };
        assert_eq!(sign(&hastening(5_000, 10_000)), Some((Sign::MachineSpeed, 6)));
        assert_eq!(sign(&hastening(5_001, 10_000)), None);
        assert_eq!(sign(&hastening(0, 999)), None, "noise of the clock");
    }

    #[test]
    fn each_other_limit_at_its_edge() {
        let with = Exchange::default;
        assert_eq!(sign(&Exchange { own_today: 49, ..with() }), None);
        assert_eq!(sign(&Exchange { own_today: 50, ..with() }), Some((Sign::RepliesPerDay, 50)));
        assert_eq!(sign(&Exchange { hops: 20, ..with() }), None);
        assert_eq!(sign(&Exchange { hops: 21, ..with() }), Some((Sign::Hops, 21)));
        assert_eq!(sign(&Exchange { said: Some(19), ..with() }), None);
        assert_eq!(sign(&Exchange { said: Some(20), ..with() }), Some((Sign::SameText, 20)));
        assert_eq!(
            Exchange { said: Some(20), ..with() }.judge(&LoopLimits::default()).unwrap().problem().code,
            "held_by_loop"
        );
    }

    #[test]
    fn what_is_said_is_told_from_how() {
        let earlier = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(repeats("Ticket 17: received!", &earlier(&["Ticket 15: received", "x", "TICKET 16 - received."])));
        assert!(!repeats("Ticket 17: received!", &earlier(&["Ticket 15: received", "x"])), "once may be chance");
        assert!(!repeats("17", &earlier(&["15", "16"])), "nothing was said");
        assert_eq!(print("Hello,  Ada\n > what 1\nBye"), print("hello ada\n\nbye 2"));
        assert_ne!(print("ab"), print("a b"));
        assert_eq!(print(&"a".repeat(COMPARED_OCTETS)), print(&"a".repeat(COMPARED_OCTETS + 1)));
        assert_ne!(print("Hello Ada"), print("Hello Bob"));
        assert_eq!(print("  42 \n> quoted"), 0);
    }

    #[test]
    fn texts_are_counted_for_an_hour() {
        let mut said = Said::read("", NOW);
        for _ in 0..3 {
            said = Said::read(&said.with(7).with(u64::MAX).write(), NOW);
        }
        assert_eq!((said.count(7), said.count(u64::MAX), said.count(8)), (3, 3, 0));
        let later = Said::read(&said.write(), NOW.plus(Duration::from_secs(3_600)));
        assert_eq!(later.count(7), 0);
        for print in 100..100 + TEXTS as u64 {
            said = said.with(print);
        }
        assert_eq!((said.count(7), said.count(100)), (0, 1), "the oldest make way");
        assert_eq!(Said::read("what 7:x :1 zz:3", NOW), Said::read("", NOW));
    }

    #[test]
    fn what_goes_round_becomes_slower_and_never_rests() {
        let limits = LoopLimits::default();
        let waits = [0, 1, 2, 3, 10, 11, 12, u64::MAX].map(|hops| limits.slowed(hops).as_millis());
        assert_eq!(waits, [0, 0, 500, 1_000, 4_500, 5_000, 5_000, 5_000]);
        let hasty = LoopLimits { pause: Duration::from_secs(1), ..limits };
        assert_eq!([3, 9].map(|hops| hasty.slowed(hops).as_millis()), [250, 250]);
        let never = LoopLimits { slow_down: Duration::ZERO, ..limits };
        assert_eq!(never.slowed(20), Duration::ZERO);
    }

    #[test]
    fn hops_are_counted_until_somebody_rests() {
        let rest = Duration::from_secs(3_600);
        assert_eq!(hops(0, None, NOW, rest), 1);
        assert_eq!(hops(7, Some(ago(3_600)), NOW, rest), 7);
        assert_eq!(hops(7, Some(ago(3_601)), NOW, rest), 1);
        assert_eq!(hops(7, Some(NOW.plus(rest)), NOW, rest), 7, "clocks that are apart");
    }

    #[test]
    fn the_day_is_counted_as_far_as_was_read() {
        let at_midnight = NOW.day().start();
        let turn = |at, is_own| Turn { at, is_own };
        let few = [turn(NOW, true), turn(at_midnight, true), turn(at_midnight.minus(Duration::from_micros(1)), true)];
        assert_eq!(own_today(&few, NOW), Some(2));
        let many = vec![turn(NOW, true); TURNS_READ];
        assert_eq!(own_today(&many, NOW), None);
        let mut until_yesterday = many;
        until_yesterday[TURNS_READ - 1].at = at_midnight.minus(Duration::from_micros(1));
        assert_eq!(own_today(&until_yesterday, NOW), Some(TURNS_READ as u64 - 1));
    }
}
