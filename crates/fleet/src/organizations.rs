//! Organizations: making one with everything that it needs to begin, and what the operator may do with those that are.

use crate::domains::signing_keys;
use crate::input;
use crate::keys::{self, KeyHasher, KeyKind};
use crate::operator::Operator;
use crate::pages::{self, Page};
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, AuditId, DomainId, OrganizationId, PolicyId, WorkspaceId};
use postfleet_core::plan::{Plan, Plans, PolicyLimits};
use postfleet_core::{Domain, Problem, ProblemKind, Secret, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::organization as schema;
use postfleet_store::Store;
use postfleet_store::domains::NewDomain;
use postfleet_store::organizations::{
    self, AddOrganization, CreateOrganization, Organization, OrganizationOutcome, UpdateOrganization,
};
use postfleet_store::policies::Policy;

/// What an operator says when making an organization.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    /// Its name.
    pub name: String,
    /// Its domains.
    pub domains: Vec<Domain>,
    /// Whether the domains count as verified without asking DNS.
    pub trust_domains: bool,
    /// The name of its plan.
    pub plan: String,
    /// `production` or `sandbox`.
    pub environment: String,
    /// Sends a day for every mailbox of the default workspace, if a policy is to say so.
    pub daily_sends_max: Option<u64>,
}

/// What was made. The keys are shown now or never.
#[derive(Debug)]
pub struct Created {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Its application.
    pub application_id: ApplicationId,
    /// The application's default workspace.
    pub default_workspace_id: WorkspaceId,
    /// The application's key.
    pub api_key: Secret<String>,
    /// The operator's key.
    pub operator_key: Secret<String>,
    /// Its domains; `domains::records` says what to publish for them.
    pub domains: Vec<NewDomain>,
}

/// Makes an organization, an application, its default workspace, two keys, and DKIM keys for every domain.
pub async fn create(
    store: &Store,
    hasher: &KeyHasher,
    entropy: &dyn Entropy,
    now: UnixMicros,
    new: &NewOrganization,
) -> Result<Created, Problem> {
    check(store, new)?;
    let mut domains = Vec::new();
    for name in &new.domains {
        domains.push(NewDomain {
            id: DomainId::new(now, entropy.ten()),
            name: name.clone(),
            label: name.to_string(),
            is_branded: false,
            is_trusted: new.trust_domains,
            is_owned: false,
            ownership_token: hex::encode(entropy.thirty_two()),
            dkim_keys: signing_keys(entropy).await?,
        });
    }
    let created = Created {
        organization_id: OrganizationId::new(now, entropy.ten()),
        application_id: ApplicationId::new(now, entropy.ten()),
        default_workspace_id: WorkspaceId::new(now, entropy.ten()),
        api_key: keys::generate(KeyKind::of_environment(&new.environment), entropy),
        operator_key: keys::generate(KeyKind::Operator, entropy),
        domains: domains.clone(),
    };
    let key = |name, application, key| keys::unlimited(hasher, entropy, now, name, application, key);
    let command = CreateOrganization {
        id: created.organization_id,
        name: new.name.clone(),
        plan: new.plan.clone(),
        application_id: created.application_id,
        environment: new.environment.clone(),
        workspace_id: created.default_workspace_id,
        policy: new.daily_sends_max.map(|limit| {
            let limits = PolicyLimits { daily_sends_max: Some(limit), ..PolicyLimits::default() };
            Policy::new(PolicyId::new(now, entropy.ten()), created.application_id, "Default", limits, now)
        }),
        keys: vec![
            key("first key", Some(created.application_id), &created.api_key),
            key("operator", None, &created.operator_key),
        ],
        domains,
        at: now,
        act: Act::of_command_line(AuditId::new(now, entropy.ten()), created.organization_id, now),
    };
    match store.run(command).await? {
        OrganizationOutcome::Created => Ok(created),
        OrganizationOutcome::DomainTaken(domain) => {
            let text = format!("domain {domain} already exists");
            Err(Problem { field: Some("domain".into()), ..Problem::new(ProblemKind::Conflict, "domain_taken", text) })
        }
    }
}

fn check(store: &Store, new: &NewOrganization) -> Result<(), Problem> {
    if new.name.trim().is_empty() || new.name.chars().count() > 256 {
        return Err(Problem::invalid("organization", "organization must be a name of 1 to 256 characters"));
    }
    if new.domains.is_empty() {
        return Err(Problem::invalid("domain", "at least one domain is needed"));
    }
    plan_named(store.plans(), &new.plan)?;
    if !["production", "sandbox"].contains(&new.environment.as_str()) {
        return Err(Problem::invalid("environment", "environment must be production or sandbox"));
    }
    Ok(())
}

fn plan_named<'a>(plans: &'a Plans, name: &str) -> Result<&'a Plan, Problem> {
    let names = || plans.iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>().join(", ");
    let unknown = || Problem::invalid("plan", format!("plan must be one of {}", names()));
    plans.find(name).map(|plan| &**plan).ok_or_else(unknown)
}

/// The plan of an organization for which nobody names one.
const DEFAULT_PLAN: &str = "self_hosted";

/// Makes an organization that has nothing yet, as the operator of the installation.
pub async fn add(
    store: &Store,
    entropy: &dyn Entropy,
    operator: &Operator,
    act: Act,
    request: &schema::CreateOrganization,
) -> Result<Organization, Problem> {
    operator.for_installation()?;
    let plan = plan_named(store.plans(), request.plan.as_deref().unwrap_or(DEFAULT_PLAN))?;
    let organization = Organization {
        id: OrganizationId::new(act.at, entropy.ten()),
        name: input::name("name", &request.name)?,
        plan: plan.name.clone(),
        grant_count: 0,
        created_at: act.at,
        updated_at: act.at,
    };
    store.run(AddOrganization { organization: organization.clone(), act }).await?;
    Ok(organization)
}

/// Changes an organization. Another plan holds from now on. Only the operator of the installation gives another plan:
/// who has one does not choose it.
pub async fn update(
    store: &Store,
    operator: &Operator,
    id: OrganizationId,
    act: Act,
    request: &schema::UpdateOrganization,
) -> Result<Organization, Problem> {
    if !operator.scope().covers(id) {
        return Err(Problem::not_found());
    }
    let name = request.name.as_ref().map(|name| input::name("name", name)).transpose()?;
    let plan = request.plan.as_ref().map(|plan| plan_named(store.plans(), plan)).transpose()?;
    if plan.is_some() {
        operator.for_installation()?;
    }
    let plan = plan.map(|plan| plan.name.clone());
    let updated = store.run(UpdateOrganization { id, name, plan, act }).await?;
    updated.ok_or_else(Problem::not_found)
}

/// One organization of those that an operator may see.
pub async fn find(store: &Store, operator: &Operator, id: OrganizationId) -> Result<Organization, Problem> {
    if !operator.scope().covers(id) {
        return Err(Problem::not_found());
    }
    organizations::find(&mut store.reader().await?, id).await?.ok_or_else(Problem::not_found)
}

/// The organizations that an operator may see, newest first.
pub async fn list(
    store: &Store,
    operator: &Operator,
    limit: usize,
    page_token: Option<&str>,
) -> Result<Page<Organization>, Problem> {
    let after = pages::after(page_token)?;
    let mut reader = store.reader().await?;
    if operator.is_installation {
        let found = organizations::list(&mut reader, after, limit + 1).await?;
        return Ok(pages::cut(found, limit, |organization| organization.id));
    }
    let own = organizations::find(&mut reader, operator.organization).await?;
    Ok(Page {
        items: own.into_iter().filter(|own| after.is_none_or(|after| own.id < after)).collect(),
        next_cursor: None,
    })
}

/// Shows an organization with what its plan allows.
pub fn show(organization: &Organization, plans: &Plans) -> Result<schema::Organization, Problem> {
    let plan = plans.find(&organization.plan).ok_or_else(|| Problem::internal("an organization's plan is unknown"))?;
    Ok(schema::Organization {
        id: organization.id.to_string(),
        name: organization.name.clone(),
        plan: organization.plan.clone(),
        allowances: show_plan(plan),
        grant_count: organization.grant_count,
        created_at: organization.created_at.as_seconds(),
        updated_at: organization.updated_at.as_seconds(),
    })
}

/// Shows a plan.
pub fn show_plan(plan: &Plan) -> schema::Plan {
    let size = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
    let count = |limit: Option<u64>| limit.map_or(-1, size);
    let (limits, rates, requests) = (&plan.limits, &plan.send_rates, &plan.request_rates);
    schema::Plan {
        name: plan.name.clone(),
        grants_max: count(plan.grants_max),
        rules_max: count(plan.rules_max),
        lists_max: count(plan.lists_max),
        trial_domains_max: count(plan.trial_domains_max),
        storage_bytes_max: count(plan.storage_octets_max),
        monthly_bandwidth_bytes_max: count(plan.monthly_bandwidth_octets_max),
        monthly_sends_max: count(plan.monthly_sends_max),
        send_rates: schema::SendRates {
            organization: count(rates.organization),
            sandbox: count(rates.sandbox),
            domain: count(rates.domain),
            grant: count(rates.mailbox),
            api_key: count(rates.key),
            burst_seconds: size(rates.burst_seconds),
        },
        request_rates: schema::RequestRates {
            application: count(requests.application),
            grant: count(requests.mailbox),
            grant_form: count(requests.mailbox_forms),
            api_key: count(requests.key),
        },
        has_overage: plan.has_overage,
        limits: schema::PlanLimits {
            limit_attachment_size_limit: size(limits.attachment_octets_max),
            limit_attachment_count_limit: size(limits.attachments_max),
            limit_attachment_allowed_types: limits
                .attachment_types
                .iter()
                .map(|kind| kind.as_str().to_owned())
                .collect(),
            limit_size_total_mime: size(limits.inbound_message_octets_max),
            limit_storage_total: count(limits.storage_octets_max),
            limit_count_daily_message_received: count(limits.daily_received_max),
            limit_count_daily_email_sent: count(limits.daily_sends_max),
            limit_inbox_retention_period: count(limits.inbox_retention_days),
            limit_spam_retention_period: count(limits.spam_retention_days),
            outbound_message_bytes_max: size(limits.outbound_message_octets_max),
        },
    }
}
