//! Rules about mail: reading what a request wants, carrying it out, and showing what there is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, RuleId};
use postfleet_core::rule::validate::{
    ActionInput, ConditionInput, MatchInput, NamedRule, RuleChange, RuleInput, ValueInput,
};
use postfleet_core::rule::{Action, Condition, Operand};
use postfleet_core::{Problem, plan};
use postfleet_net::Entropy;
use postfleet_schema::rule as schema;
use postfleet_store::Store;
use postfleet_store::rules::{self, CreateRule, KeptRule, RemoveRule, RuleOutcome, UpdateRule};
use serde_json::{Map, Value};

/// Makes a rule.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    request: schema::CreateRule,
) -> Result<KeptRule, Problem> {
    let change = new_rule(request)?;
    let id = RuleId::new(act.at, entropy.ten());
    written(store.run(CreateRule { act, id, application_id, change }).await?)
}

/// A rule as a request describes a new one, which nobody keeps.
pub(crate) fn candidate(id: RuleId, request: schema::CreateRule) -> Result<NamedRule, Problem> {
    new_rule(request)?.apply(&NamedRule::blank(id))
}

/// As [`candidate`], where a request has one shape for new rules and for changed ones.
pub(crate) fn new_candidate(id: RuleId, request: schema::UpdateRule) -> Result<NamedRule, Problem> {
    RuleChange::of_new(input(request))?.apply(&NamedRule::blank(id))
}

/// A rule as a request would change it; nothing is kept of that.
pub(crate) fn changed_candidate(present: &NamedRule, request: schema::UpdateRule) -> Result<NamedRule, Problem> {
    RuleChange::read(input(request))?.apply(present)
}

fn new_rule(request: schema::CreateRule) -> Result<RuleChange, Problem> {
    let schema::CreateRule { name, description, priority, enabled, mode, trigger, matching, actions } = request;
    // The two shapes have the same fields, described differently.
    RuleChange::of_new(input(schema::UpdateRule {
        name,
        description,
        priority,
        enabled,
        mode,
        trigger,
        matching,
        actions,
    }))
}

/// Changes a rule; what the request does not name stays.
pub async fn update(
    store: &Store,
    act: Act,
    application_id: ApplicationId,
    id: RuleId,
    request: schema::UpdateRule,
) -> Result<KeptRule, Problem> {
    let change = RuleChange::read(input(request))?;
    written(store.run(UpdateRule { act, application_id, id, change }).await?)
}

fn written(outcome: RuleOutcome) -> Result<KeptRule, Problem> {
    match outcome {
        RuleOutcome::Written(kept) => Ok(*kept),
        RuleOutcome::NotFound => Err(Problem::not_found()),
        RuleOutcome::Refused(problem) => Err(problem),
        RuleOutcome::TooMany(cap) => Err(plan::cap_reached("rules_max_reached", "rules", cap)),
    }
}

/// Removes a rule, and takes it from the workspaces that use it.
pub async fn remove(store: &Store, act: Act, application_id: ApplicationId, id: RuleId) -> Result<(), Problem> {
    let removed = store.run(RemoveRule { act, application_id, id }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// One rule of an application.
pub async fn find(store: &Store, application: ApplicationId, id: RuleId) -> Result<KeptRule, Problem> {
    let found = rules::find(&mut store.reader().await?, application, id).await?;
    found.ok_or_else(Problem::not_found)
}

/// A page of an application's rules, newest first, and the cursor of the next one.
pub async fn list(
    store: &Store,
    application: ApplicationId,
    limit: usize,
    cursor: Option<&str>,
) -> Result<(Vec<KeptRule>, Option<String>), Problem> {
    let before = cursor.map(read_cursor).transpose()?;
    let mut found = rules::list(&mut store.reader().await?, application, before, limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| has_more).map(|last| URL_SAFE_NO_PAD.encode(last.named.rule.id.to_string()));
    Ok((found, last))
}

fn read_cursor(cursor: &str) -> Result<RuleId, Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let text = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    std::str::from_utf8(&text).ok().and_then(|id| id.parse().ok()).ok_or_else(invalid)
}

/// Looks at a request's body for what a reader of typed fields would take for something else: a list in the place of an
/// object would be read as the values of the fields in their order.
pub fn check_objects(body: &Map<String, Value>) -> Result<(), Problem> {
    let refuse = |at: &str| Err(Problem::invalid(at, format!("{at} must be an object")));
    if body.get("match").is_some_and(Value::is_array) {
        return refuse("match");
    }
    let conditions = body.get("match").and_then(|matching| matching.get("conditions"));
    for (list, name) in [(conditions, "match.conditions"), (body.get("actions"), "actions")] {
        let items = list.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if let Some(index) = items.iter().position(Value::is_array) {
            return refuse(&format!("{name}[{index}]"));
        }
    }
    Ok(())
}

fn input(request: schema::UpdateRule) -> RuleInput {
    let schema::UpdateRule { name, description, priority, enabled, mode, trigger, matching, actions } = request;
    let Ok(matching) = matching.try_map(|matching| Ok::<_, std::convert::Infallible>(match_input(matching)));
    let Ok(actions) = actions.try_map(|actions| Ok::<_, std::convert::Infallible>(action_inputs(actions)));
    RuleInput { name, description, priority, enabled, trigger, mode, matching, actions }
}

fn match_input(matching: schema::RuleMatchChange) -> MatchInput {
    let condition = |condition: schema::RuleConditionChange| ConditionInput {
        field: condition.field,
        operator: condition.operator,
        value: match condition.value {
            None => ValueInput::Missing,
            Some(schema::RuleValue::Text(text)) => ValueInput::Text(text),
            Some(schema::RuleValue::Lists(ids)) => ValueInput::Texts(ids),
        },
    };
    MatchInput { operator: matching.operator, conditions: matching.conditions.into_iter().map(condition).collect() }
}

fn action_inputs(actions: Vec<schema::RuleActionChange>) -> Vec<ActionInput> {
    actions.into_iter().map(|action| ActionInput { kind: action.kind, value: action.value }).collect()
}

/// Shows a rule.
pub fn show(kept: &KeptRule) -> schema::Rule {
    let rule = &kept.named.rule;
    schema::Rule {
        id: rule.id.to_string(),
        name: kept.named.name.clone(),
        description: kept.named.description.clone(),
        priority: rule.priority,
        enabled: rule.is_enabled,
        mode: rule.mode.name(),
        trigger: rule.direction.name(),
        matching: schema::RuleMatch {
            operator: rule.match_operator.name(),
            conditions: rule.conditions.iter().map(show_condition).collect(),
        },
        actions: rule.actions.iter().map(show_action).collect(),
        application_id: kept.application_id.to_string(),
        organization_id: kept.organization_id.to_string(),
        created_at: kept.created_at.as_seconds(),
        updated_at: kept.updated_at.as_seconds(),
    }
}

pub(crate) fn show_condition(condition: &Condition) -> schema::RuleCondition {
    let value = match &condition.operand {
        Operand::Text(text) => schema::RuleValue::Text(text.clone()),
        Operand::Lists(lists) => schema::RuleValue::Lists(lists.iter().map(|id| id.to_string()).collect()),
    };
    schema::RuleCondition { field: condition.field.name(), operator: condition.operator.name(), value }
}

pub(crate) fn show_action(action: &Action) -> schema::RuleAction {
    let value = match action {
        Action::AssignToFolder(folder) => Some(folder.clone()),
        _ => None,
    };
    schema::RuleAction { kind: action.name(), value }
}
