//! Counting what would have been different: over all, for each mailbox, for each rule, with some examples.

use postfleet_core::id::{GrantId, RuleId};
use postfleet_core::list::ListKind;
use postfleet_core::rule::{Difference, Input, Judgement, Verdict};
use postfleet_schema::rule_replay::{ReplayCounts, ReplayExample};
use postfleet_store::past::{Kept, Past};
use std::collections::BTreeMap;

/// Examples of a mailbox or rule.
const EXAMPLES_MAX: usize = 3;

/// Domains of an example.
const DOMAINS_MAX: usize = 5;

/// What was counted.
#[derive(Default)]
pub(super) struct Tally {
    /// Messages that were judged.
    pub judged: u64,
    /// Messages of mailboxes that are in no workspace.
    pub unaffected: u64,
    /// Messages of which nothing can be read any more.
    pub unreadable: u64,
    pub totals: ReplayCounts,
    /// Only those for which something is different.
    pub by_account: BTreeMap<GrantId, Row>,
    pub by_rule: BTreeMap<RuleId, Row>,
}

/// What was counted of one thing.
#[derive(Default)]
pub(super) struct Row {
    pub counts: ReplayCounts,
    pub examples: Vec<ReplayExample>,
}

impl Tally {
    /// For how many mailboxes something is different.
    pub fn accounts(&self) -> usize {
        self.by_account.len()
    }

    /// Counts a message for which something is different. `is_changed` tells whether the request says something of a
    /// rule.
    pub fn add(
        &mut self,
        message: &Past,
        input: &Input,
        before: &Judgement,
        after: &Judgement,
        difference: &Difference,
        is_changed: impl Fn(RuleId) -> bool,
    ) {
        let counts = of_message(difference);
        add(&mut self.totals, &counts);
        let example = || example(message, input, before, after);
        self.by_account.entry(message.grant_id).or_default().add(&counts, example);
        for (rule, counts) in of_rules(before, after, difference, is_changed) {
            self.by_rule.entry(rule).or_default().add(&counts, example);
        }
    }
}

impl Row {
    fn add(&mut self, counts: &ReplayCounts, example: impl Fn() -> ReplayExample) {
        add(&mut self.counts, counts);
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }
}

fn add(sum: &mut ReplayCounts, counts: &ReplayCounts) {
    sum.changed += counts.changed;
    sum.newly_blocked += counts.newly_blocked;
    sum.no_longer_blocked += counts.no_longer_blocked;
    sum.undecidable += counts.undecidable;
    sum.actions_changed += counts.actions_changed;
    sum.newly_matched += counts.newly_matched;
    sum.no_longer_matched += counts.no_longer_matched;
}

fn of_message(difference: &Difference) -> ReplayCounts {
    ReplayCounts {
        changed: 1,
        newly_blocked: difference.newly_blocked.is_some().into(),
        no_longer_blocked: difference.no_longer_blocked.is_some().into(),
        undecidable: difference.undecidable.into(),
        actions_changed: difference.actions_changed.into(),
        newly_matched: (!difference.newly_matched.is_empty()).into(),
        no_longer_matched: (!difference.no_longer_matched.is_empty()).into(),
    }
}

/// What is different about each rule that has to do with it.
fn of_rules(
    before: &Judgement,
    after: &Judgement,
    difference: &Difference,
    is_changed: impl Fn(RuleId) -> bool,
) -> BTreeMap<RuleId, ReplayCounts> {
    let mut rules: BTreeMap<RuleId, ReplayCounts> = BTreeMap::new();
    if let Some(rule) = difference.newly_blocked {
        rules.entry(rule).or_default().newly_blocked = 1;
    }
    if let Some(rule) = difference.no_longer_blocked {
        rules.entry(rule).or_default().no_longer_blocked = 1;
    }
    for rule in &difference.newly_matched {
        rules.entry(*rule).or_default().newly_matched = 1;
    }
    for rule in &difference.no_longer_matched {
        rules.entry(*rule).or_default().no_longer_matched = 1;
    }
    if difference.actions_changed || before.shadow.effects != after.shadow.effects {
        // A rule of the request that matches either way does something else.
        let matched = after.matched_rule_ids.iter().chain(&after.shadow.matched_rule_ids);
        for rule in matched.filter(|rule| is_changed(**rule) && !difference.newly_matched.contains(rule)) {
            rules.entry(*rule).or_default().actions_changed = difference.actions_changed.into();
        }
    }
    rules.values_mut().for_each(|counts| counts.changed = 1);
    rules
}

fn example(message: &Past, input: &Input, before: &Judgement, after: &Judgement) -> ReplayExample {
    let (message_id, evaluation_id) = match message.kept {
        Kept::Sent(id) => (Some(id.to_string()), None),
        Kept::Refused(id) => (None, Some(id.to_string())),
    };
    ReplayExample {
        message_id,
        evaluation_id,
        grant_id: message.grant_id.to_string(),
        at: message.at.as_seconds(),
        recipient_domains: input.recipients(ListKind::Domain).take(DOMAINS_MAX).map(str::to_owned).collect(),
        before: word(before.verdict),
        after: word(after.verdict),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Hold => "hold",
        Verdict::Block => "block",
        Verdict::Undecidable => "undecidable",
    }
}
