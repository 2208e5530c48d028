//! Making an organization with everything that it needs to begin.

use crate::domains::signing_keys;
use crate::keys::{self, KeyHasher, KeyKind};
use postfleet_core::id::{ApplicationId, DomainId, OrganizationId, PolicyId, WorkspaceId};
use postfleet_core::plan::PolicyLimits;
use postfleet_core::{Domain, Problem, ProblemKind, Secret, UnixMicros};
use postfleet_net::Entropy;
use postfleet_store::Store;
use postfleet_store::domains::NewDomain;
use postfleet_store::organizations::{CreateOrganization, OrganizationOutcome};
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
    if store.plans().find(&new.plan).is_none() {
        let names: Vec<_> = store.plans().iter().map(|plan| plan.name.as_str()).collect();
        return Err(Problem::invalid("plan", format!("plan must be one of {}", names.join(", "))));
    }
    if !["production", "sandbox"].contains(&new.environment.as_str()) {
        return Err(Problem::invalid("environment", "environment must be production or sandbox"));
    }
    Ok(())
}
