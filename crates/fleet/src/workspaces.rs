//! Workspaces: making, finding, changing and removing them, and saying which mailboxes are in one.

use postfleet_core::audit::Act;
use postfleet_core::hold::OnQuota;
use postfleet_core::id::{ApplicationId, GrantId, PolicyId, RuleId, WorkspaceId};
use postfleet_core::{Domain, EmailAddress, Patch, Problem, ProblemKind, preset};
use postfleet_net::Entropy;
use postfleet_schema::workspace as schema;
use postfleet_store::Store;
use postfleet_store::moves::{AssignGrants, AssignOutcome, GrantName};
use postfleet_store::workspaces::{
    self, CreateOutcome, CreateWorkspace, Listed, PolicyChoice, REMOVED_GRANTS_MAX, RemoveOutcome, RemoveWorkspace,
    RulesRefusal, UpdateOutcome, UpdateWorkspace, WORKSPACES_MAX, Workspace,
};
use std::collections::HashSet;

/// The longest name.
pub const NAME_CHARS_MAX: usize = 256;

/// Mailboxes that one request assigns, and as many that it removes.
pub const ASSIGNED_GRANTS_MAX: usize = 500;

/// All workspaces of an application, oldest first.
pub async fn list(store: &Store, application: ApplicationId) -> Result<Vec<Listed>, Problem> {
    Ok(workspaces::list(&mut store.reader().await?, application).await?)
}

/// Finds the workspace that a path segment names: an id or a domain, of which the oldest workspace is meant.
pub async fn find(store: &Store, application: ApplicationId, segment: &str) -> Result<Listed, Problem> {
    let mut reader = store.reader().await?;
    let found = match (segment.parse::<WorkspaceId>(), Domain::parse(segment)) {
        (Ok(id), _) => workspaces::find(&mut reader, application, id).await?,
        (Err(_), Ok(domain)) => workspaces::of_domain(&mut reader, application, &domain).await?,
        _ => None,
    };
    found.ok_or_else(Problem::not_found)
}

/// The id of the workspace that a path segment names, as [`find`] reads it. An id stands for itself: whether there is
/// such a workspace, the change has to see.
pub async fn named(store: &Store, application: ApplicationId, segment: &str) -> Result<WorkspaceId, Problem> {
    match segment.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(find(store, application, segment).await?.workspace.id),
    }
}

/// Makes the workspace that a request asks for, with its policy if it names a preset.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    request: &schema::CreateWorkspace,
) -> Result<Listed, Problem> {
    let at = act.at;
    let domain = request.domain.as_deref().map(domain_or_none).transpose()?.unwrap_or_default();
    let auto_group = request.auto_group.unwrap_or(!domain.is_empty());
    if auto_group && domain.is_empty() {
        return Err(needs_domain());
    }
    let workspace = Workspace {
        id: WorkspaceId::new(at, entropy.ten()),
        application_id,
        name: name(&request.name)?,
        domain,
        auto_group,
        policy_id: None,
        on_quota: on_quota(request.on_quota.as_deref().unwrap_or(OnQuota::Reject.name()))?,
        created_at: at,
        updated_at: at,
    };
    let policy = policy_choice(request, PolicyId::new(at, entropy.ten()))?;
    let rule_ids = rule_ids(request.rule_ids.as_deref().unwrap_or_default())?;
    match store.run(CreateWorkspace { act, workspace, policy, rule_ids }).await? {
        CreateOutcome::Created(listed) => Ok(listed),
        CreateOutcome::PolicyUnknown => Err(policy_unknown()),
        CreateOutcome::Rules(refusal) => Err(rules_refused(refusal)),
        CreateOutcome::TooMany => {
            let text = format!("an application has at most {WORKSPACES_MAX} workspaces");
            Err(Problem::new(ProblemKind::Forbidden, "workspaces_max_reached", text))
        }
        CreateOutcome::ApplicationGone => Err(Problem::not_found()),
    }
}

fn policy_choice(request: &schema::CreateWorkspace, new: PolicyId) -> Result<PolicyChoice, Problem> {
    let policy = request.policy_id.as_deref().map(policy_id).transpose()?;
    match (policy, request.preset.as_deref()) {
        (None, None) => Ok(PolicyChoice::None),
        (Some(id), None) => Ok(PolicyChoice::Existing(id)),
        (Some(_), Some(_)) => Err(Problem::invalid("preset", "preset makes a policy; it cannot go with policy_id")),
        (None, Some(wanted)) => match preset::find(wanted) {
            Some(preset) => Ok(PolicyChoice::Preset(preset, new)),
            None => {
                let names: Vec<_> = preset::ALL.iter().map(|preset| preset.name).collect();
                Err(Problem::invalid("preset", format!("preset must be one of {}", names.join(", "))))
            }
        },
    }
}

/// Changes a workspace as a request says.
pub async fn update(
    store: &Store,
    act: Act,
    application_id: ApplicationId,
    id: WorkspaceId,
    request: &schema::UpdateWorkspace,
) -> Result<Listed, Problem> {
    let schema::UpdateWorkspace {
        name: new_name,
        auto_group,
        policy_id: policy,
        rule_ids: rules,
        on_quota: wish,
        domain,
    } = request;
    let is_empty = new_name.is_keep() && auto_group.is_keep() && policy.is_keep() && rules.is_keep();
    if is_empty && wish.is_keep() && domain.is_keep() {
        let text = "at least one of name, auto_group, policy_id, rule_ids and on_quota must be given";
        return Err(Problem::new(ProblemKind::Invalid, "invalid_request", text));
    }
    let command = UpdateWorkspace {
        act,
        application_id,
        id,
        name: not_null("name", new_name)?.map(|text| name(text)).transpose()?,
        auto_group: not_null("auto_group", auto_group)?.copied(),
        domain: match domain {
            Patch::Keep => None,
            Patch::Clear => Some(String::new()),
            Patch::Set(text) => Some(domain_or_none(text)?),
        },
        policy_id: policy.clone().try_map(|text| policy_id(&text))?,
        rule_ids: rules.clone().try_map(|texts| rule_ids(&texts))?,
        on_quota: not_null("on_quota", wish)?.map(|word| on_quota(word)).transpose()?,
    };
    match store.run(command).await? {
        UpdateOutcome::Updated(listed) => Ok(listed),
        UpdateOutcome::Unknown => Err(Problem::not_found()),
        UpdateOutcome::PolicyUnknown => Err(policy_unknown()),
        UpdateOutcome::Rules(refusal) => Err(rules_refused(refusal)),
        UpdateOutcome::IsDefault => {
            let field = if new_name.is_keep() { "auto_group" } else { "name" };
            let text =
                format!("{field} cannot be changed: the default workspace takes only policy_id, rule_ids and on_quota");
            Err(Problem::invalid(field, text))
        }
        UpdateOutcome::DomainIsFixed => Err(Problem::invalid("domain", "domain cannot be changed")),
        UpdateOutcome::NoDomain => Err(needs_domain()),
    }
}

/// Removes the workspace that a path segment names; its mailboxes go into the default one.
pub async fn remove(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    segment: &str,
) -> Result<(), Problem> {
    let id = find(store, application_id, segment).await?.workspace.id;
    match store.run(RemoveWorkspace { act, application_id, id, event_seed: entropy.thirty_two() }).await? {
        RemoveOutcome::Removed(_) => Ok(()),
        RemoveOutcome::Unknown => Err(Problem::not_found()),
        RemoveOutcome::IsDefault => {
            let text = "the default workspace cannot be removed";
            Err(Problem::new(ProblemKind::Invalid, "default_workspace", text))
        }
        RemoveOutcome::TooLarge => {
            let text = format!(
                "a workspace of more than {REMOVED_GRANTS_MAX} mailboxes cannot be removed; move them first, with \
                 POST /v3/workspaces/layout"
            );
            Err(Problem::new(ProblemKind::Conflict, "workspace_too_large", text))
        }
    }
}

/// Puts mailboxes into a workspace, and takes others out of it: all of them or none.
pub async fn assign(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    workspace_id: WorkspaceId,
    request: &schema::ManualAssign,
) -> Result<schema::Assigned, Problem> {
    let assign = request.assign_grants.as_deref().unwrap_or_default();
    let remove = request.remove_grants.as_deref().unwrap_or_default();
    if assign.is_empty() && remove.is_empty() {
        let text = "At least one grant must be assigned or removed";
        return Err(Problem::new(ProblemKind::Invalid, "invalid_request", text));
    }
    let command = AssignGrants {
        act,
        application_id,
        workspace_id,
        assign: grant_names("assign_grants", assign)?,
        remove: grant_names("remove_grants", remove)?,
        event_seed: entropy.thirty_two(),
    };
    let texts = |ids: &[GrantId]| ids.iter().map(GrantId::to_string).collect();
    match store.run(command).await? {
        AssignOutcome::Done { workspace, assigned, removed } => Ok(schema::Assigned {
            application_id: application_id.to_string(),
            workspace_id: workspace_id.to_string(),
            domain: workspace.domain,
            grants_assigned: texts(&assigned),
            grants_removed: texts(&removed),
        }),
        AssignOutcome::WorkspaceUnknown => Err(Problem::not_found()),
        AssignOutcome::AssignUnknown(number) => Err(grant_unknown("assign_grants", number, assign)),
        AssignOutcome::RemoveUnknown(number) => Err(grant_unknown("remove_grants", number, remove)),
        AssignOutcome::Contradiction(id) => {
            let text = format!("remove_grants: {id} is also in assign_grants");
            Err(Problem::invalid("remove_grants", text))
        }
    }
}

fn grant_names(field: &'static str, texts: &[String]) -> Result<Vec<GrantName>, Problem> {
    if texts.len() > ASSIGNED_GRANTS_MAX {
        return Err(Problem::invalid(field, format!("{field} must have at most {ASSIGNED_GRANTS_MAX} entries")));
    }
    let read = |(number, text): (usize, &String)| match (text.parse::<GrantId>(), EmailAddress::parse(text)) {
        (Ok(id), _) => Ok(GrantName::Id(id)),
        (Err(_), Ok(email)) => Ok(GrantName::Email(email)),
        _ => Err(grant_unknown(field, number, texts)),
    };
    texts.iter().enumerate().map(read).collect()
}

fn grant_unknown(field: &str, number: usize, texts: &[String]) -> Problem {
    let entry = texts.get(number).map_or("", String::as_str);
    let text = format!("{field} entry {entry:?} not found or does not belong to this application");
    Problem::invalid(&format!("{field}[{number}]"), text)
}

/// Shows a workspace.
pub fn show(listed: &Listed) -> schema::Workspace {
    let workspace = &listed.workspace;
    schema::Workspace {
        workspace_id: workspace.id.to_string(),
        application_id: workspace.application_id.to_string(),
        name: workspace.name.clone(),
        domain: workspace.domain.clone(),
        auto_group: workspace.auto_group,
        default: listed.is_default,
        policy_id: workspace.policy_id.map(|id| id.to_string()),
        on_quota: workspace.on_quota.name(),
        rule_ids: listed.rule_ids.iter().map(RuleId::to_string).collect(),
        created_at: workspace.created_at.as_seconds(),
        updated_at: workspace.updated_at.as_seconds(),
    }
}

/// The kinds of workspace that can be asked for by name.
pub fn presets() -> Vec<schema::Preset> {
    let show = |preset: &preset::Preset| schema::Preset {
        name: preset.name,
        description: preset.summary,
        daily_sends_max: preset.daily_sends_max,
        spam_retention_days: preset.spam_retention_days,
        use_list_dnsbl: preset.use_list_dnsbl,
        use_header_anomaly_detection: preset.use_header_anomaly_detection,
        spam_sensitivity: f64::from(preset.spam_sensitivity_permille) / 1_000.0,
    };
    preset::ALL.iter().map(show).collect()
}

fn name(text: &str) -> Result<String, Problem> {
    let is_right = !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX;
    if !is_right || text.chars().any(char::is_control) {
        let text = format!("name must have 1 to {NAME_CHARS_MAX} characters, none of them a control character");
        return Err(Problem::invalid("name", text));
    }
    Ok(text.to_owned())
}

/// A domain in its one spelling; empty stays empty.
fn domain_or_none(text: &str) -> Result<String, Problem> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let wrong = |error| Problem::invalid("domain", format!("domain is not a domain name: {error}"));
    Ok(Domain::parse(text).map_err(wrong)?.to_string())
}

fn policy_id(text: &str) -> Result<PolicyId, Problem> {
    text.parse().map_err(|_| Problem::invalid("policy_id", "policy_id must be a valid UUID or null"))
}

fn on_quota(word: &str) -> Result<OnQuota, Problem> {
    OnQuota::named(word).ok_or_else(|| Problem::invalid("on_quota", "on_quota must be reject, hold or approve"))
}

fn policy_unknown() -> Problem {
    Problem::invalid("policy_id", "policy_id not found or does not belong to this application")
}

/// Each rule once, at the place where it is named first.
fn rule_ids(texts: &[String]) -> Result<Vec<RuleId>, Problem> {
    let mut ids = Vec::new();
    let mut seen = HashSet::new();
    for text in texts {
        let id = text.parse().map_err(|_| rules_refused(RulesRefusal::Unknown))?;
        if seen.insert(id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn rules_refused(refusal: RulesRefusal) -> Problem {
    match refusal {
        RulesRefusal::Unknown => {
            Problem::invalid("rule_ids", "rule_ids entry not found or does not belong to this application")
        }
        RulesRefusal::TooMany(limit) => {
            Problem::invalid("rule_ids", format!("rule_ids must have at most {limit} entries"))
        }
    }
}

fn needs_domain() -> Problem {
    Problem::invalid("auto_group", "auto_group must be false for a workspace without a domain")
}

fn not_null<'a, T>(field: &'static str, patch: &'a Patch<T>) -> Result<Option<&'a T>, Problem> {
    match patch {
        Patch::Keep => Ok(None),
        Patch::Set(value) => Ok(Some(value)),
        Patch::Clear => Err(Problem::invalid(field, format!("{field} must not be null"))),
    }
}
