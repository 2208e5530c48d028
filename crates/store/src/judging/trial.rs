//! Judging a message that nobody sends: what rules would say of it, and why. Nothing is written and nothing is counted.

use crate::engine::Reader;
use crate::error::StoreError;
use crate::lists;
use postfleet_core::id::ListId;
use postfleet_core::rule::{Compiled, Direction, Input, Judgement, Lookup, Rule, RuleTrace, evaluate, trace};
use std::collections::{HashMap, HashSet};

/// What rules say of a message, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trial {
    /// What all of them together say.
    pub judgement: Judgement,
    /// What became of each, in the order in which they are looked at.
    pub traces: Vec<RuleTrace>,
}

/// Judges a message by rules and by what the lists have now. A lookup that fails is unknown to the rules, as it is to
/// those that judge what is sent.
pub async fn try_out(
    reader: &mut Reader<'_>,
    rules: &[Rule],
    direction: Direction,
    input: &Input,
) -> Result<Trial, StoreError> {
    let compiled = Compiled::new(rules.iter().cloned(), direction);
    let mut known = Known::new();
    loop {
        let mut lookup = Remembered { known: &known, missing: HashSet::new() };
        let traces = trace(rules, direction, input, &mut lookup);
        if lookup.missing.is_empty() {
            // A trace asks for at least what the judgement needs.
            let judgement = evaluate(&compiled, input, &mut lookup);
            return Ok(Trial { judgement, traces });
        }
        for asked in lookup.missing {
            let answer = match lists::has(reader, asked.0, &asked.1).await {
                Ok(answer) => Some(answer),
                Err(StoreError::Fault(cause)) => {
                    tracing::error!(cause, "a lookup of rules failed");
                    None
                }
                Err(error) => return Err(error),
            };
            known.insert(asked, answer);
        }
    }
}

/// What lists were found to have; none for what could not be told.
type Known = HashMap<(ListId, String), Option<bool>>;

struct Remembered<'a> {
    known: &'a Known,
    /// Each once: several rules may ask the same.
    missing: HashSet<(ListId, String)>,
}

/// Why something is not known: it was not looked up, or that failed.
struct Unknown;

impl Lookup for Remembered<'_> {
    type Error = Unknown;

    fn contains(&mut self, list: ListId, value: &str) -> Result<bool, Unknown> {
        let asked = (list, value.to_owned());
        match self.known.get(&asked) {
            Some(answer) => answer.ok_or(Unknown),
            None => {
                self.missing.insert(asked);
                Err(Unknown)
            }
        }
    }
}
