//! Judging one given message by the rules of a workspace, or by rules that nobody keeps yet.

use crate::{rules, workspaces};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use postfleet_core::id::{ApplicationId, RuleId};
use postfleet_core::list::ListKind;
use postfleet_core::rule::validate::NamedRule;
use postfleet_core::rule::{
    AUTHENTICATION_RESULTS, Direction, Found, Input, MARKS, Operand, OutboundType, Rule, RuleTrace, Verdict,
};
use postfleet_core::{EmailAddress, Problem, ProblemKind, UnixMicros};
use postfleet_mail::Participant;
use postfleet_mail::message::{self, Defect};
use postfleet_schema::rule::CreateRule;
use postfleet_schema::rule_test as schema;
use postfleet_store::judging::{Trial, try_out};
use postfleet_store::rules::lists_refusal;
use postfleet_store::{Reader, Store, evaluations};
use serde_json::Value;
use std::collections::HashSet;

/// Rules that a request may bring.
pub const RULES_MAX: usize = 100;

/// Recipients that a message may have.
pub const RECIPIENTS_MAX: usize = 1_000;

/// Lists that rules name, times the addresses that are looked up in them.
pub const LOOKUPS_MAX: usize = 100_000;

/// Words of what is found that a request may name of a kind.
pub const FOUND_MAX: usize = 100;

/// Judges the message of a request by the rules of the workspace that a path segment names, or by those of the request.
/// Nothing is written.
pub async fn test(
    store: &Store,
    application: ApplicationId,
    workspace: &str,
    request: schema::TestRules,
) -> Result<schema::RuleTest, Problem> {
    let schema::TestRules { trigger, message, raw, rules, found, include_disabled } = request;
    let workspace = workspaces::find(store, application, workspace).await?.workspace.id;
    let direction = direction(trigger.as_deref())?;
    let input = match (message, raw) {
        (Some(message), None) => of_message(&message, direction, found)?,
        (None, Some(raw)) => of_raw(&raw, direction, found)?,
        _ => return Err(Problem::invalid("message", "message or raw must be given, and not both")),
    };
    let mut reader = store.reader().await?;
    let mut named = match rules {
        Some(rules) => candidates(&mut reader, application, rules).await?,
        None => {
            let kept = postfleet_store::rules::of_workspace(&mut reader, workspace).await?;
            kept.into_iter().map(|kept| kept.named).collect()
        }
    };
    named.sort_by_key(|named| (named.rule.priority, named.rule.id));
    let is_judged = |rule: &Rule| rule.is_enabled || include_disabled.unwrap_or(false);
    let judged: Vec<Rule> =
        named.iter().map(|named| Rule { is_enabled: is_judged(&named.rule), ..named.rule.clone() }).collect();
    check_lookups(&judged, direction, &input)?;
    let trial = try_out(&mut reader, &judged, direction, &input).await?;
    show(direction, &input, &trial, &named)
}

fn direction(word: Option<&str>) -> Result<Direction, Problem> {
    let Some(word) = word else { return Ok(Direction::Outbound) };
    Direction::named(word).ok_or_else(|| Problem::invalid("trigger", "trigger must be one of inbound, outbound"))
}

/// What is asked of the store must end soon.
fn check_lookups(rules: &[Rule], direction: Direction, input: &Input) -> Result<(), Problem> {
    let judged = rules.iter().filter(|rule| rule.is_enabled && rule.direction == direction);
    let operands = judged.flat_map(|rule| &rule.conditions).map(|condition| &condition.operand);
    let lists = operands.filter_map(|operand| if let Operand::Lists(lists) = operand { Some(lists) } else { None });
    let lists = lists.flatten().collect::<HashSet<_>>().len();
    let addresses = 1 + input.recipients(ListKind::Address).count();
    if lists * addresses <= LOOKUPS_MAX {
        return Ok(());
    }
    let text = format!(
        "too much to look up: {addresses} addresses in {lists} lists; at most {LOOKUPS_MAX} lookups are made for one request"
    );
    Err(Problem::new(ProblemKind::Invalid, "too_many_lookups", text))
}

fn of_message(
    message: &schema::TestMessage,
    direction: Direction,
    found: Option<schema::TestFound>,
) -> Result<Input, Problem> {
    let from = message.from.as_deref().filter(|from| !from.is_empty());
    let from = from.map(|from| address("message.from", from)).transpose()?;
    if direction == Direction::Inbound {
        return Ok(Input::received(from.as_ref(), read_found(found)?));
    }
    let mut recipients = Vec::new();
    for (field, texts) in [("to", &message.to), ("cc", &message.cc), ("bcc", &message.bcc)] {
        for (index, text) in texts.iter().enumerate() {
            recipients.push(address(&format!("message.{field}[{index}]"), text)?);
        }
    }
    input(["message.from", "message.to"], from, &recipients, message.is_reply)
}

/// What a request takes to be found.
fn read_found(found: Option<schema::TestFound>) -> Result<Found, Problem> {
    let Some(found) = found else { return Ok(Found::default()) };
    let known = |field: &str, word: &str, words: &'static [&'static str]| {
        let wrong = || Problem::invalid(field, format!("{field} must be one of {}", words.join(", ")));
        words.iter().copied().find(|known| *known == word).ok_or_else(wrong)
    };
    let result = |name: &str, word: Option<String>| {
        word.map_or(Ok("none"), |word| known(&format!("found.{name}"), &word, AUTHENTICATION_RESULTS))
    };
    for (field, count) in [("found.suspicion_kinds", found.suspicion_kinds.len()), ("found.marks", found.marks.len())] {
        if count > FOUND_MAX {
            return Err(Problem::invalid(field, format!("{field} must have at most {FOUND_MAX} words")));
        }
    }
    Ok(Found {
        spf: result("spf", found.spf)?,
        dkim: result("dkim", found.dkim)?,
        dmarc: result("dmarc", found.dmarc)?,
        spam_score: (found.spam_score.unwrap_or(0.0) * 100.0).round() as i64,
        suspicion_kinds: found.suspicion_kinds,
        marks: found.marks.iter().map(|mark| known("found.marks", mark, MARKS)).collect::<Result<_, _>>()?,
    })
}

/// What rules see of a whole message: what its header says.
fn of_raw(raw: &str, direction: Direction, found: Option<schema::TestFound>) -> Result<Input, Problem> {
    let octets = base64_octets(raw).ok_or_else(|| Problem::invalid("raw", "raw must be a message in base64"))?;
    let view = message::view(&octets);
    if direction == Direction::Inbound {
        let authors = view.from.iter().map(address_in_raw).collect::<Result<Vec<_>, _>>()?;
        return Ok(Input::received(&authors, read_found(found)?));
    }
    let from = view.from.first().map(address_in_raw).transpose()?;
    if view.defects.contains(&Defect::TooManyAddresses) {
        return Err(too_many_recipients("raw"));
    }
    let people = view.to.iter().chain(&view.cc).chain(&view.bcc);
    let recipients = people.map(address_in_raw).collect::<Result<Vec<_>, _>>()?;
    let is_reply = !view.in_reply_to.is_empty() || !view.references.is_empty();
    input(["raw", "raw"], from, &recipients, is_reply)
}

/// Reads base64 of either alphabet, in lines or in one.
fn base64_octets(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { base64::alphabet::URL_SAFE } else { base64::alphabet::STANDARD };
    let text: String = text.split_ascii_whitespace().collect();
    GeneralPurpose::new(&alphabet, config).decode(text).ok()
}

fn input(
    [from_field, to_field]: [&str; 2],
    from: Option<EmailAddress>,
    recipients: &[EmailAddress],
    is_reply: bool,
) -> Result<Input, Problem> {
    if recipients.len() > RECIPIENTS_MAX {
        return Err(too_many_recipients(to_field));
    }
    let from = from.ok_or_else(|| {
        Problem::invalid(from_field, format!("{from_field}: an outbound message has the address of its author"))
    })?;
    if recipients.is_empty() {
        let text = format!("{to_field}: an outbound message has at least one recipient in to, cc or bcc");
        return Err(Problem::invalid(to_field, text));
    }
    let kind = if is_reply { OutboundType::Reply } else { OutboundType::Compose };
    Ok(Input::outbound(&from, recipients, kind))
}

fn too_many_recipients(field: &str) -> Problem {
    Problem::invalid(field, format!("{field}: a message has at most {RECIPIENTS_MAX} recipients over to, cc and bcc"))
}

fn address(field: &str, text: &str) -> Result<EmailAddress, Problem> {
    let wrong =
        |_| Problem::invalid(field, format!("{field} must be an email address, which {:?} is not", shown(text)));
    EmailAddress::parse(text).map_err(wrong)
}

fn address_in_raw(person: &Participant) -> Result<EmailAddress, Problem> {
    EmailAddress::parse(&person.email).map_err(|_| {
        // What has no address at all was taken for a name.
        let text = if person.email.is_empty() { person.name.as_str() } else { &person.email };
        Problem::invalid("raw", format!("raw: {:?} in its header is not an email address", shown(text)))
    })
}

/// The beginning of what was given, to be named in a refusal.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Reads rules that nobody keeps. Their ids are placeholders, in the order in which they stand.
async fn candidates(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    wanted: Vec<CreateRule>,
) -> Result<Vec<NamedRule>, Problem> {
    if wanted.len() > RULES_MAX {
        return Err(Problem::invalid("rules", format!("rules must have at most {RULES_MAX} rules")));
    }
    let mut candidates = Vec::with_capacity(wanted.len());
    for (index, rule) in wanted.into_iter().enumerate() {
        let id = RuleId::first_at(UnixMicros::from_micros((index as i64 + 1) * 1_000));
        let candidate = rules::candidate(id, rule).map_err(|problem| inside(index, problem))?;
        if let Some(problem) = lists_refusal(reader, application, &candidate.rule).await? {
            return Err(inside(index, problem));
        }
        candidates.push(candidate);
    }
    Ok(candidates)
}

/// A refusal of one of the rules of a request; its text begins with the field.
fn inside(index: usize, problem: Problem) -> Problem {
    let at = format!("rules[{index}].");
    let field = problem.field.as_deref().map(|field| format!("{at}{field}"));
    Problem { public: format!("{at}{}", problem.public), field, ..problem }
}

/// Says of a body that is too large how to make it smaller.
pub fn header_is_enough(problem: Problem) -> Problem {
    if problem.kind != ProblemKind::TooLarge {
        return problem;
    }
    Problem { public: format!("{}; of a raw message, the header fields are enough", problem.public), ..problem }
}

/// Looks at a request's body for what a reader of typed fields would take for something else.
pub fn check_objects(body: &serde_json::Map<String, Value>) -> Result<(), Problem> {
    if body.get("message").is_some_and(Value::is_array) {
        return Err(Problem::invalid("message", "message must be an object"));
    }
    let items = body.get("rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, item) in items.iter().enumerate() {
        match item {
            Value::Object(rule) => rules::check_objects(rule).map_err(|problem| inside(index, problem))?,
            _ => {
                let at = format!("rules[{index}]");
                return Err(Problem::invalid(&at, format!("{at} must be an object")));
            }
        }
    }
    Ok(())
}

fn show(direction: Direction, input: &Input, trial: &Trial, named: &[NamedRule]) -> Result<schema::RuleTest, Problem> {
    let said = evaluations::describe(input, &trial.judgement);
    let find = |trace: &RuleTrace| named.iter().find(|named| named.rule.id == trace.rule_id);
    let traces = trial.traces.iter().filter_map(|trace| find(trace).map(|named| show_trace(trace, named)));
    Ok(schema::RuleTest {
        verdict: match trial.judgement.verdict {
            Verdict::Pass => "pass",
            Verdict::Hold => "hold",
            Verdict::Block => "block",
            Verdict::Undecidable => "undecidable",
        },
        trigger: direction.name(),
        matched_rule_ids: serde_json::from_value(said.matched).map_err(Problem::internal)?,
        applied_actions: serde_json::from_value(said.applied).map_err(Problem::internal)?,
        shadow: serde_json::from_value(said.shadow).map_err(Problem::internal)?,
        evaluation_input: serde_json::from_value(said.input).map_err(Problem::internal)?,
        trace: traces.collect(),
    })
}

fn show_trace(trace: &RuleTrace, named: &NamedRule) -> schema::RuleTrace {
    let rule = &named.rule;
    let conditions = rule.conditions.iter().zip(&trace.conditions).map(|(condition, came_to)| {
        let shown = rules::show_condition(condition);
        schema::ConditionTrace {
            field: shown.field,
            operator: shown.operator,
            value: shown.value,
            seen: came_to.values.clone(),
            holds: came_to.holds,
        }
    });
    schema::RuleTrace {
        rule_id: rule.id.to_string(),
        name: named.name.clone(),
        priority: rule.priority,
        mode: rule.mode.name(),
        enabled: rule.is_enabled,
        trigger: rule.direction.name(),
        outcome: trace.outcome.name(),
        match_operator: rule.match_operator.name(),
        conditions: conditions.collect(),
        actions: rule.actions.iter().map(rules::show_action).collect(),
    }
}
