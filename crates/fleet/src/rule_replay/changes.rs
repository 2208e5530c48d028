//! What a replay's request wants to be different: read, checked against what there is, and applied to the rules of a
//! workspace.

use super::workspace;
use crate::rules;
use postfleet_core::Problem;
use postfleet_core::id::{ApplicationId, ListId, RuleId, WorkspaceId};
use postfleet_core::list::{ListKind, normalize};
use postfleet_core::rule::Rule;
use postfleet_core::rule::validate::NamedRule;
use postfleet_schema::rule::UpdateRule;
use postfleet_schema::rule_replay as schema;
use postfleet_store::judging::{ListChange, Overlay};
use postfleet_store::rules::lists_refusal;
use postfleet_store::{Reader, lists, rules as kept};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Rules that a request may change.
pub const RULES_MAX: usize = 100;

/// Lists that a request may change.
pub const LISTS_MAX: usize = 100;

/// Values that a list may get or lose.
pub const ITEMS_MAX: usize = 10_000;

/// Workspaces that may be named for a rule.
pub const WORKSPACES_MAX: usize = 500;

/// What is to be different.
pub(super) struct Changes {
    rules: Vec<Changed>,
    /// Where in `rules` a rule is.
    places: HashMap<RuleId, usize>,
    pub lists: Overlay,
}

/// A rule that is to be different.
struct Changed {
    id: RuleId,
    /// What people call it.
    name: String,
    is_new: bool,
    /// What it says then; none if it is to be gone.
    rule: Option<Rule>,
    /// Who is to use it; none: who uses it now.
    workspaces: Option<HashSet<WorkspaceId>>,
}

impl Changes {
    pub async fn read(
        reader: &mut Reader<'_>,
        application: ApplicationId,
        here: Option<WorkspaceId>,
        wanted: Option<schema::ReplayChanges>,
    ) -> Result<Self, Problem> {
        let wanted = wanted.unwrap_or_default();
        if wanted.rules.is_empty() && wanted.lists.is_empty() {
            let text = "changes must name at least one rule in changes.rules or one list in changes.lists";
            return Err(Problem::invalid("changes", text));
        }
        at_most("changes.rules", wanted.rules.len(), RULES_MAX, "rules")?;
        at_most("changes.lists", wanted.lists.len(), LISTS_MAX, "lists")?;
        let mut changes = Self { rules: Vec::new(), places: HashMap::new(), lists: Overlay::new() };
        for (index, rule) in wanted.rules.into_iter().enumerate() {
            let at = format!("changes.rules[{index}]");
            let changed = rule_change(reader, application, here, index, rule).await?;
            if changes.places.insert(changed.id, index).is_some() {
                let field = format!("{at}.rule_id");
                return Err(Problem::invalid(&field, format!("{field} is there twice")));
            }
            changes.rules.push(changed);
        }
        for (index, list) in wanted.lists.into_iter().enumerate() {
            let at = format!("changes.lists[{index}]");
            let (id, change) = list_change(reader, application, &at, list).await?;
            if changes.lists.insert(id, change).is_some() {
                let field = format!("{at}.list_id");
                return Err(Problem::invalid(&field, format!("{field} is there twice")));
            }
        }
        Ok(changes)
    }

    /// Whether the request says something of a rule.
    pub fn touches(&self, rule: RuleId) -> bool {
        self.places.contains_key(&rule)
    }

    /// Where the request does.
    pub fn place(&self, rule: RuleId) -> Option<u64> {
        self.places.get(&rule).map(|place| *place as u64)
    }

    /// Whether a rule is only in the request.
    pub fn is_new(&self, rule: RuleId) -> bool {
        self.find(rule).is_some_and(|changed| changed.is_new)
    }

    /// What the rules of the request are called.
    pub fn names(&self) -> HashMap<RuleId, String> {
        self.rules.iter().map(|changed| (changed.id, changed.name.clone())).collect()
    }

    fn find(&self, rule: RuleId) -> Option<&Changed> {
        self.places.get(&rule).map(|place| &self.rules[*place])
    }

    /// The rules of a workspace as they are to be; none if nothing is different about them.
    pub fn apply(&self, workspace: WorkspaceId, present: &[Rule]) -> Option<Vec<Rule>> {
        let mut rules = Vec::with_capacity(present.len());
        for rule in present {
            match self.find(rule.id) {
                None => rules.push(rule.clone()),
                Some(changed) if changed.stays_in(workspace) => rules.extend(changed.rule.clone()),
                Some(_) => {}
            }
        }
        for changed in &self.rules {
            let is_put = changed.workspaces.as_ref().is_some_and(|wanted| wanted.contains(&workspace));
            if is_put && present.iter().all(|rule| rule.id != changed.id) {
                rules.extend(changed.rule.clone());
            }
        }
        (rules != present).then_some(rules)
    }
}

impl Changed {
    fn stays_in(&self, workspace: WorkspaceId) -> bool {
        self.workspaces.as_ref().is_none_or(|wanted| wanted.contains(&workspace))
    }
}

async fn rule_change(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    here: Option<WorkspaceId>,
    index: usize,
    wanted: schema::ReplayRuleChange,
) -> Result<Changed, Problem> {
    let at = format!("changes.rules[{index}]");
    let schema::ReplayRuleChange { rule_id, remove, rule, workspace_ids } = wanted;
    let workspaces = match workspace_ids {
        Some(ids) => Some(workspaces(reader, application, &format!("{at}.workspace_ids"), &ids).await?),
        None => None,
    };
    let Some(rule_id) = rule_id else {
        if remove {
            let field = format!("{at}.remove");
            return Err(Problem::invalid(&field, format!("{field}: a rule that is to be removed has a rule_id")));
        }
        let workspaces = workspaces.or_else(|| here.map(|here| HashSet::from([here])));
        return new_rule(reader, application, index, rule, workspaces).await;
    };
    let present = present(reader, application, &format!("{at}.rule_id"), &rule_id).await?;
    let (id, name) = (present.rule.id, present.name.clone());
    if remove {
        if rule.is_some() || workspaces.is_some() {
            let field = format!("{at}.remove");
            return Err(Problem::invalid(&field, format!("{field}: nothing else is said of a rule that is removed")));
        }
        return Ok(Changed { id, name, is_new: false, rule: None, workspaces: None });
    }
    if rule.is_none() && workspaces.is_none() {
        let text = format!("{at} must say what is to be different: remove, rule or workspace_ids");
        return Err(Problem::invalid(&at, text));
    }
    let named = match rule {
        Some(rule) => rules::changed_candidate(&present, rule).map_err(|problem| inside(&at, problem))?,
        None => present,
    };
    check_lists(reader, application, &at, &named.rule).await?;
    Ok(Changed { id, name: named.name, is_new: false, rule: Some(named.rule), workspaces })
}

async fn new_rule(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    index: usize,
    rule: Option<UpdateRule>,
    workspaces: Option<HashSet<WorkspaceId>>,
) -> Result<Changed, Problem> {
    let at = format!("changes.rules[{index}]");
    let Some(rule) = rule else {
        let field = format!("{at}.rule");
        return Err(Problem::invalid(&field, format!("{field} must be given where there is no rule_id")));
    };
    // It is the newest of all: of the same priority it comes last, behind new ones before it.
    let id = RuleId::from_uuid(Uuid::from_u128(u128::MAX - (RULES_MAX - index) as u128));
    let named = rules::new_candidate(id, rule).map_err(|problem| inside(&at, problem))?;
    check_lists(reader, application, &at, &named.rule).await?;
    if workspaces.is_none() {
        let field = format!("{at}.workspace_ids");
        let text = format!("{field} must name the workspaces of a new rule where the request has no workspace_id");
        return Err(Problem::invalid(&field, text));
    }
    Ok(Changed { id, name: named.name, is_new: true, rule: Some(named.rule), workspaces })
}

async fn present(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    field: &str,
    text: &str,
) -> Result<NamedRule, Problem> {
    let found = match text.parse::<RuleId>() {
        Ok(id) => kept::find(reader, application, id).await?,
        Err(_) => None,
    };
    let unknown = || Problem::invalid(field, format!("{field} is not the id of a rule of this application"));
    found.map(|kept| kept.named).ok_or_else(unknown)
}

async fn check_lists(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    at: &str,
    rule: &Rule,
) -> Result<(), Problem> {
    match lists_refusal(reader, application, rule).await? {
        Some(problem) => Err(inside(at, problem)),
        None => Ok(()),
    }
}

async fn workspaces(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    field: &str,
    ids: &[String],
) -> Result<HashSet<WorkspaceId>, Problem> {
    at_most(field, ids.len(), WORKSPACES_MAX, "workspaces")?;
    let mut found = HashSet::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        found.insert(workspace(reader, application, &format!("{field}[{index}]"), id).await?);
    }
    Ok(found)
}

async fn list_change(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    at: &str,
    wanted: schema::ReplayListChange,
) -> Result<(ListId, ListChange), Problem> {
    let schema::ReplayListChange { list_id, add, remove } = wanted;
    let found = match list_id.parse::<ListId>() {
        Ok(id) => lists::find(reader, application, id).await?,
        Err(_) => None,
    };
    let Some(list) = found else {
        let field = format!("{at}.list_id");
        return Err(Problem::invalid(&field, format!("{field} is not the id of a list of this application")));
    };
    if add.is_empty() && remove.is_empty() {
        return Err(Problem::invalid(at, format!("{at} must say what is to be different: add or remove")));
    }
    let added = values(&format!("{at}.add"), list.kind, &add)?;
    let removed = values(&format!("{at}.remove"), list.kind, &remove)?;
    if let Some(index) = removed.iter().position(|value| added.contains(value)) {
        let field = format!("{at}.remove[{index}]");
        return Err(Problem::invalid(&field, format!("{field} is in {at}.add as well")));
    }
    let change = ListChange { added: added.into_iter().collect(), removed: removed.into_iter().collect() };
    Ok((list.id, change))
}

/// The values of a request in their one spelling.
fn values(field: &str, kind: ListKind, items: &[String]) -> Result<Vec<String>, Problem> {
    at_most(field, items.len(), ITEMS_MAX, "values")?;
    let value = |(index, item): (usize, &String)| {
        let field = format!("{field}[{index}]");
        normalize(kind, item).map_err(|error| Problem::invalid(&field, format!("{field} {error}")))
    };
    items.iter().enumerate().map(value).collect()
}

fn at_most(field: &str, count: usize, most: usize, things: &str) -> Result<(), Problem> {
    if count > most {
        return Err(Problem::invalid(field, format!("{field} must have at most {most} {things}, not {count}")));
    }
    Ok(())
}

/// A refusal of a rule of the request; its text begins with the field.
fn inside(at: &str, problem: Problem) -> Problem {
    let at = format!("{at}.rule.");
    let field = problem.field.as_deref().map(|field| format!("{at}{field}"));
    Problem { public: format!("{at}{}", problem.public), field, ..problem }
}

/// Looks at a request's body for what a reader of typed fields would take for something else.
pub fn check_objects(body: &Map<String, Value>) -> Result<(), Problem> {
    let refuse = |at: &str| Err(Problem::invalid(at, format!("{at} must be an object")));
    let changes = match body.get("changes") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(changes)) => changes,
        Some(_) => return refuse("changes"),
    };
    for name in ["rules", "lists"] {
        let items = changes.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (index, item) in items.iter().enumerate() {
            let at = format!("changes.{name}[{index}]");
            let Value::Object(item) = item else { return refuse(&at) };
            match item.get("rule") {
                Some(Value::Object(rule)) if name == "rules" => {
                    rules::check_objects(rule).map_err(|problem| inside(&at, problem))?;
                }
                None | Some(Value::Null) => {}
                Some(_) => return refuse(&format!("{at}.rule")),
            }
        }
    }
    Ok(())
}
