//! What a request may say about a rule: words and texts become a [`RuleChange`], or the first refusal, which names the
//! field and what it may be. Whether conditions suit the trigger is judged where the change is applied, since a change
//! may name only one of the two; whether lists exist, the store sees.

mod actions;

use super::found::{decimal, hundredths};
use super::{Action, Condition, Direction, Field, Form, MatchOperator, Mode, Operand, Operator, Rule};
use crate::address::EmailAddress;
use crate::domain::Domain;
use crate::id::{ListId, RuleId};
use crate::list::ListKind;
use crate::patch::Patch;
use crate::problem::Problem;

/// Characters of a rule's name.
pub const NAME_CHARS_MAX: usize = 256;

/// Characters of its description.
pub const DESCRIPTION_CHARS_MAX: usize = 1_024;

/// The highest priority, which comes last.
pub const PRIORITY_MAX: u16 = 1_000;

/// The priority of a rule that names none.
pub const PRIORITY_DEFAULT: u16 = 10;

/// Conditions of one rule.
pub const CONDITIONS_MAX: usize = 50;

/// Actions of one rule.
pub const ACTIONS_MAX: usize = 20;

/// Characters of the text that a condition compares with.
pub const TEXT_CHARS_MAX: usize = 500;

/// Lists of one condition.
pub const LISTS_MAX: usize = 100;

/// Characters of the folder of an action.
pub const FOLDER_CHARS_MAX: usize = 256;

/// Characters of a label, such as a kind of suspicion.
pub const LABEL_CHARS_MAX: usize = 64;

/// How far from zero a number may be, in hundredths.
const HUNDREDTHS_MAX: i64 = 100_000;

/// What a request says about a rule; what it does not name stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RuleInput {
    /// `name`.
    pub name: Patch<String>,
    /// `description`.
    pub description: Patch<String>,
    /// `priority`.
    pub priority: Patch<i64>,
    /// `enabled`.
    pub enabled: Patch<bool>,
    /// `trigger`.
    pub trigger: Patch<String>,
    /// `mode`.
    pub mode: Patch<String>,
    /// `match`.
    pub matching: Patch<MatchInput>,
    /// `actions`.
    pub actions: Patch<Vec<ActionInput>>,
}

/// `match` of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MatchInput {
    /// `operator`.
    pub operator: Option<String>,
    /// `conditions`.
    pub conditions: Vec<ConditionInput>,
}

/// One of `match.conditions`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConditionInput {
    /// `field`.
    pub field: String,
    /// `operator`.
    pub operator: String,
    /// `value`.
    pub value: ValueInput,
}

/// `value` of a condition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ValueInput {
    /// It is absent or null.
    #[default]
    Missing,
    /// One text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
}

/// One of `actions`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ActionInput {
    /// `type`.
    pub kind: String,
    /// `value`.
    pub value: Option<String>,
}

/// A rule with what people call it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedRule {
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it says.
    pub rule: Rule,
}

impl NamedRule {
    /// A rule that has every default, and neither conditions nor actions: what a new one is made from.
    pub fn blank(id: RuleId) -> Self {
        let rule = Rule {
            id,
            priority: PRIORITY_DEFAULT,
            is_enabled: true,
            mode: Mode::Enforce,
            direction: Direction::Inbound,
            match_operator: MatchOperator::All,
            conditions: Vec::new(),
            actions: Vec::new(),
        };
        Self { name: String::new(), description: None, rule }
    }
}

/// A change of a rule, right in each of its parts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RuleChange {
    name: Option<String>,
    description: Patch<String>,
    priority: Option<u16>,
    is_enabled: Option<bool>,
    direction: Option<Direction>,
    mode: Option<Mode>,
    matching: Option<(MatchOperator, Vec<Condition>)>,
    actions: Option<Vec<Action>>,
}

impl RuleChange {
    /// Reads what a request says about a new rule, which needs a name, conditions and actions.
    pub fn of_new(input: RuleInput) -> Result<Self, Problem> {
        // What is absent is refused as what is empty.
        let input = RuleInput {
            name: given(input.name),
            matching: given(input.matching),
            actions: given(input.actions),
            ..input
        };
        Self::read(input)
    }

    /// Reads what a request says about a rule that is there. Null gives a default back; what has none is refused.
    pub fn read(input: RuleInput) -> Result<Self, Problem> {
        Ok(Self {
            name: or_nothing(input.name).map(name).transpose()?,
            description: input.description.try_map(description)?,
            priority: or_default(input.priority, i64::from(PRIORITY_DEFAULT)).map(priority).transpose()?,
            is_enabled: or_default(input.enabled, true),
            direction: or_default(input.trigger, Direction::Inbound.name().to_owned())
                .map(|word| named("trigger", &word, Direction::named, &names(Direction::ALL, Direction::name)))
                .transpose()?,
            mode: or_default(input.mode, Mode::Enforce.name().to_owned())
                .map(|word| named("mode", &word, Mode::named, &names(Mode::ALL, Mode::name)))
                .transpose()?,
            matching: or_nothing(input.matching).map(matching).transpose()?,
            actions: or_nothing(input.actions).map(actions::read).transpose()?,
        })
    }

    /// The rule after the change, if its conditions suit its trigger.
    pub fn apply(&self, current: &NamedRule) -> Result<NamedRule, Problem> {
        let Self { name, description, priority, is_enabled, direction, mode, matching, actions } = self.clone();
        let NamedRule { name: old_name, description: old_description, rule: old } = current.clone();
        let (match_operator, conditions) = matching.unwrap_or((old.match_operator, old.conditions));
        let rule = Rule {
            id: old.id,
            priority: priority.unwrap_or(old.priority),
            is_enabled: is_enabled.unwrap_or(old.is_enabled),
            mode: mode.unwrap_or(old.mode),
            direction: direction.unwrap_or(old.direction),
            match_operator,
            conditions,
            actions: actions.unwrap_or(old.actions),
        };
        suits_direction(&rule)?;
        Ok(NamedRule { name: name.unwrap_or(old_name), description: description.apply(old_description), rule })
    }
}

/// The refusal of the id of a list that the application does not have, or that has items of another kind.
pub fn invalid_list(condition: usize, list: &str, field: Field, kind: Option<ListKind>) -> Problem {
    let at = format!("match.conditions[{condition}].value");
    let shown: String = list.chars().filter(|c| !c.is_control()).take(64).collect();
    let why = match (kind, field.list_kind()) {
        (Some(kind), Some(wanted)) => {
            format!(": it has items of type {}, and {} needs {}", kind.name(), field.name(), wanted.name())
        }
        _ => String::new(),
    };
    Problem::invalid(&at, format!("{at}: invalid list ID {shown}{why} (invalid_field)"))
}

fn given<T: Default>(patch: Patch<T>) -> Patch<T> {
    if patch.is_keep() { Patch::Set(T::default()) } else { patch }
}

/// What takes the place of what is there: null is as empty, which is then refused.
fn or_nothing<T: Default>(patch: Patch<T>) -> Option<T> {
    or_default(patch, T::default())
}

fn or_default<T>(patch: Patch<T>, default: T) -> Option<T> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(default),
        Patch::Set(value) => Some(value),
    }
}

fn name(name: String) -> Result<String, Problem> {
    let length = name.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&length) || name.trim().is_empty() {
        return Err(Problem::invalid("name", format!("name must be 1 to {NAME_CHARS_MAX} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "name must not have control characters"));
    }
    Ok(name)
}

fn description(text: String) -> Result<String, Problem> {
    let field = "description";
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        let text = format!("description must be at most {DESCRIPTION_CHARS_MAX} characters");
        return Err(Problem::invalid(field, text));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        let text = "description must not have control characters other than line breaks and tabs";
        return Err(Problem::invalid(field, text));
    }
    Ok(text)
}

fn priority(number: i64) -> Result<u16, Problem> {
    let wrong = || Problem::invalid("priority", format!("priority must be from 0 to {PRIORITY_MAX}"));
    u16::try_from(number).ok().filter(|number| *number <= PRIORITY_MAX).ok_or_else(wrong)
}

fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> String {
    all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ")
}

/// The value that a word names.
fn named<T>(field: &str, word: &str, find: fn(&str) -> Option<T>, allowed: &str) -> Result<T, Problem> {
    find(word).ok_or_else(|| Problem::invalid(field, format!("{field} must be one of {allowed}")))
}

fn matching(input: MatchInput) -> Result<(MatchOperator, Vec<Condition>), Problem> {
    let operator = match input.operator.as_deref() {
        None => MatchOperator::All,
        Some(word) => {
            named("match.operator", word, MatchOperator::named, &names(MatchOperator::ALL, MatchOperator::name))?
        }
    };
    if !(1..=CONDITIONS_MAX).contains(&input.conditions.len()) {
        let text = format!("match.conditions must have 1 to {CONDITIONS_MAX} conditions");
        return Err(Problem::invalid("match.conditions", text));
    }
    let conditions = input.conditions.into_iter().enumerate();
    let conditions = conditions.map(|(index, input)| condition(&format!("match.conditions[{index}]"), index, input));
    Ok((operator, conditions.collect::<Result<_, _>>()?))
}

fn condition(at: &str, index: usize, input: ConditionInput) -> Result<Condition, Problem> {
    let field = named(&format!("{at}.field"), &input.field, Field::named, &names(Field::ALL, Field::name))?;
    let at_operator = format!("{at}.operator");
    let operator = named(&at_operator, &input.operator, Operator::named, &names(Operator::ALL, Operator::name))?;
    if !field.operators().contains(&operator) {
        let known = names(field.operators(), Operator::name);
        let text = format!("{at_operator} must be one of {known} for {}", field.name());
        return Err(Problem::invalid(&at_operator, text));
    }
    let at_value = format!("{at}.value");
    let operand = match (operator, input.value) {
        (Operator::InList, ValueInput::Texts(ids)) => Operand::Lists(lists(&at_value, index, field, &ids)?),
        (Operator::InList, _) => {
            let text = format!("{at_value} must be a list of 1 to {LISTS_MAX} ids of lists for in_list");
            return Err(Problem::invalid(&at_value, text));
        }
        (_, ValueInput::Text(text)) => Operand::Text(operand_text(&at_value, field, operator, &text)?),
        _ => return Err(Problem::invalid(&at_value, format!("{at_value} must be a text for {}", operator.name()))),
    };
    Ok(Condition { field, operator, operand })
}

fn lists(at: &str, index: usize, field: Field, ids: &[String]) -> Result<Vec<ListId>, Problem> {
    if !(1..=LISTS_MAX).contains(&ids.len()) {
        return Err(Problem::invalid(at, format!("{at} must have 1 to {LISTS_MAX} ids of lists")));
    }
    let mut lists = Vec::with_capacity(ids.len());
    for text in ids {
        let id: ListId = text.parse().map_err(|_| invalid_list(index, text, field, None))?;
        if !lists.contains(&id) {
            lists.push(id);
        }
    }
    Ok(lists)
}

/// A text as mail is compared with it: trimmed, in lower case, and for whole domains, last labels and addresses in the
/// spelling that they have on the wire.
fn operand_text(at: &str, field: Field, operator: Operator, text: &str) -> Result<String, Problem> {
    let wrong = |text: String| Err(Problem::invalid(at, text));
    // Before it is looked at any closer: lower case can be longer than what it was made from.
    if text.chars().count() > TEXT_CHARS_MAX {
        return wrong(format!("{at} must be 1 to {TEXT_CHARS_MAX} characters"));
    }
    let text = text.trim().to_lowercase();
    if text.chars().any(char::is_control) {
        return wrong(format!("{at} must not have control characters"));
    }
    let text = if operator == Operator::Contains { text } else { spelling(field, text) };
    if text.is_empty() {
        return wrong(format!("{at} must be 1 to {TEXT_CHARS_MAX} characters"));
    }
    match form_refusal(field, &text) {
        Some(may_be) => wrong(format!("{at} must be {may_be} for {}", field.name())),
        None => Ok(text),
    }
}

/// What a text must be that a field cannot be compared with; none if it can.
pub fn form_refusal(field: Field, text: &str) -> Option<String> {
    let is_label = |text: &str| {
        text.len() <= LABEL_CHARS_MAX && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let is_number = |text: &str| hundredths(text).is_some_and(|number| number.abs() <= HUNDREDTHS_MAX);
    match field.form() {
        Form::Words(words) if !words.contains(&text) => Some(format!("one of {}", words.join(", "))),
        Form::Label if !is_label(text) => {
            Some(format!("1 to {LABEL_CHARS_MAX} lower-case letters, digits and underscores"))
        }
        Form::Number if !is_number(text) => {
            let most = decimal(HUNDREDTHS_MAX);
            Some(format!("a number from -{most} to {most} with at most two decimals"))
        }
        _ => None,
    }
}

/// The one spelling of a whole value: `@Bücher.example` becomes `xn--bcher-kva.example`, `.com` becomes `com`. What is
/// none stays as it is, and equals nothing.
fn spelling(field: Field, text: String) -> String {
    match field.form() {
        Form::Values(ListKind::Domain | ListKind::Tld) => match text.strip_prefix(['.', '@']).unwrap_or(&text) {
            "" => String::new(),
            name => Domain::parse(name).map_or_else(|_| text.clone(), |domain| domain.to_string()),
        },
        Form::Values(ListKind::Address) => EmailAddress::parse(&text).map_or(text, |address| address.key()),
        Form::Number => hundredths(&text).map_or(text, decimal),
        Form::Words(_) | Form::Label => text,
    }
}

/// Only what is sent has recipients to look at, and begins or continues a conversation; only of what comes in something
/// is found.
fn suits_direction(rule: &Rule) -> Result<(), Problem> {
    let direction = rule.direction;
    if direction == Direction::Inbound && rule.actions.contains(&Action::Hold) {
        let text = "actions: hold is for what is sent: the trigger of its rule must be outbound";
        return Err(Problem::invalid("actions", text));
    }
    let Some(index) = rule.conditions.iter().position(|condition| !condition.field.is_of(direction)) else {
        return Ok(());
    };
    let at = format!("match.conditions[{index}].field");
    let known: Vec<Field> = Field::ALL.iter().copied().filter(|field| field.is_of(direction)).collect();
    let other = Direction::ALL.iter().find(|other| **other != direction).map_or("", |other| other.name());
    let text = format!(
        "{at} must be one of {} for the trigger {}: {} is for {other} rules",
        names(&known, Field::name),
        direction.name(),
        rule.conditions[index].field.name()
    );
    Err(Problem::invalid(&at, text))
}

#[cfg(test)]
mod tests;
