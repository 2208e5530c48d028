//! How long judging a message takes, by the size of the lists.
//!
//! `cargo bench -p postfleet-core --bench rules`: 30 rules of two conditions, one of them about a list of addresses or
//! of domains, lists of 1,000 and of 1,000,000 items, messages to one to three recipients, one in a hundred of which is
//! in a list. Measured is everything from addresses to judgement.

use postfleet_core::EmailAddress;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ListId, RuleId};
use postfleet_core::rule::{
    Action, Compiled, Condition, Direction, Field, Input, ItemHasher, ItemSet, Lookup, MatchOperator, Mode, Operand,
    Operator, OutboundType, Rule, evaluate,
};
use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

const MESSAGES: usize = 20_000;
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;

fn main() {
    let small = Bench::new(1_000);
    let large = Bench::new(1_000_000);
    // Rounds of both take turns, and the best of each counts: others use the machine.
    let (mut of_small, mut of_large) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        of_small = of_small.min(small.nanos_per_message());
        of_large = of_large.min(large.nanos_per_message());
    }
    println!("lists of     1,000 items: {of_small:7.0} ns per message, {} octets per item", small.octets_per_item());
    println!("lists of 1,000,000 items: {of_large:7.0} ns per message, {} octets per item", large.octets_per_item());
    println!("ratio: {:.2}", of_large / of_small);
}

struct Bench {
    compiled: Compiled,
    lists: HashMap<ListId, ItemSet>,
    messages: Vec<(EmailAddress, Vec<EmailAddress>)>,
}

/// The lists of a bench.
struct InMemory<'a>(&'a HashMap<ListId, ItemSet>);

impl Lookup for InMemory<'_> {
    type Error = Infallible;
    fn contains(&mut self, list: ListId, value: &str) -> Result<bool, Infallible> {
        Ok(self.0.get(&list).is_some_and(|set| set.contains(value)))
    }
}

impl Bench {
    fn new(items: usize) -> Self {
        let (addresses, domains) = (list_id(1), list_id(2));
        let hasher = ItemHasher::new([0x5eed, 0xfeed]);
        let set = |value: fn(usize) -> String| {
            let mut set = ItemSet::new(hasher);
            for number in 0..items {
                set.insert(&value(number));
            }
            set
        };
        let lists = HashMap::from([
            (addresses, set(|number| format!("person{number}@listed.example"))),
            (domains, set(|number| format!("listed{number}.example"))),
        ]);
        let compiled = Compiled::new((0..30).map(|number| rule(number, addresses, domains)), Direction::Outbound);
        Self { compiled, lists, messages: (0..MESSAGES).map(|number| message(number, items)).collect() }
    }

    fn nanos_per_message(&self) -> f64 {
        let (started, mut judged) = (Instant::now(), 0_u64);
        while started.elapsed() < ROUND {
            for (from, recipients) in &self.messages {
                let input = Input::outbound(from, recipients, OutboundType::Compose);
                black_box(evaluate(&self.compiled, &input, &mut InMemory(&self.lists)));
            }
            judged += self.messages.len() as u64;
        }
        started.elapsed().as_nanos() as f64 / judged as f64
    }

    fn octets_per_item(&self) -> usize {
        let octets: usize = self.lists.values().map(ItemSet::octets).sum();
        octets / self.lists.values().map(ItemSet::len).sum::<usize>()
    }
}

fn rule(number: u64, addresses: ListId, domains: ListId) -> Rule {
    let (field, list) =
        if number.is_multiple_of(2) { (Field::RecipientAddress, addresses) } else { (Field::RecipientDomain, domains) };
    let listed = Condition { field, operator: Operator::InList, operand: Operand::Lists(vec![list]) };
    let fields = [Field::FromDomain, Field::RecipientDomain, Field::RecipientTld, Field::FromAddress];
    let operator = if number.is_multiple_of(3) { Operator::Contains } else { Operator::Is };
    let text = format!("other{number}.example");
    let other = Condition { field: fields[number as usize % 4], operator, operand: Operand::Text(text) };
    Rule {
        id: RuleId::first_at(UnixMicros::from_micros(number as i64)),
        priority: 10,
        is_enabled: true,
        mode: Mode::Enforce,
        direction: Direction::Outbound,
        match_operator: if number.is_multiple_of(5) { MatchOperator::Any } else { MatchOperator::All },
        conditions: vec![listed, other],
        actions: vec![if number.is_multiple_of(10) { Action::Block } else { Action::MarkAsStarred }],
    }
}

/// One recipient in a hundred is an item of a list.
fn message(number: usize, items: usize) -> (EmailAddress, Vec<EmailAddress>) {
    let address = |text: String| EmailAddress::parse(&text).expect("address");
    let scattered = number.wrapping_mul(0x9e37_79b1) % items;
    let recipients = (0..=number % 3).map(|place| match (number + place) % 200 {
        0 => address(format!("person{scattered}@listed.example")),
        1 => address(format!("somebody@listed{scattered}.example")),
        _ => address(format!("customer{scattered}.{place}@shop{number}.example")),
    });
    (address(format!("agent{}@agents.example", number % 50)), recipients.collect())
}

fn list_id(number: i64) -> ListId {
    ListId::first_at(UnixMicros::from_micros(number))
}
