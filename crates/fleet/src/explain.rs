//! Why a mailbox may not send, and why it could not: each refusal with whose decision it is and what would change it.

use postfleet_core::hold::Reason;
use postfleet_core::id::{ApplicationId, GrantId, KeyId, PolicyId};
use postfleet_core::plan::Limits;
use postfleet_core::policy::LimitField;
use postfleet_core::problem::Exhausted;
use postfleet_core::remedy;
use postfleet_core::{EmailAddress, Problem, UnixMicros};
use postfleet_schema::error::status_and_type;
use postfleet_schema::explanation::{Explanation, Obstacle, Owner, PastRefusal};
use postfleet_store::holds;
use postfleet_store::keys::{self, Holder};
use postfleet_store::limits::{self, GrantLimits};
use postfleet_store::organizations::Scope;
use postfleet_store::refusals::{self, Refusal};
use postfleet_store::{Store, policies};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How far back refusals are told, and how many.
const PAST: Duration = Duration::from_secs(29 * 86_400);
const PAST_MAX: usize = 100;

/// What was asked.
pub struct Asked<'a> {
    /// Whose mailbox.
    pub application_id: ApplicationId,
    /// Which.
    pub grant_id: GrantId,
    /// Its address.
    pub email: &'a EmailAddress,
    /// The key with which it would be sent.
    pub key_id: Option<KeyId>,
    /// To whom.
    pub recipients: &'a [EmailAddress],
    /// When.
    pub at: UnixMicros,
}

/// Explains what stands against a send, and what was refused.
pub async fn explain(
    store: &Store,
    asked: &Asked<'_>,
    obstacles: &[Problem],
    held_for: Option<Reason>,
) -> Result<Explanation, Problem> {
    let mut reader = store.reader().await?;
    let held_sends = holds::count_open(&mut reader, asked.grant_id).await?;
    let past = refusals::list(&mut reader, asked.grant_id, asked.at.minus(PAST).day(), PAST_MAX).await?;
    let limits = limits::of_grant(&mut reader, asked.application_id, asked.grant_id, asked.at.day()).await?;
    let limits = limits.ok_or_else(Problem::not_found)?;
    let policy_name = match limits.policy_id {
        Some(id) => policies::find(&mut reader, asked.application_id, id).await?.map(|found| found.policy.name),
        None => None,
    };
    let mut key_names = HashMap::new();
    let key_ids: HashSet<KeyId> = past.iter().filter_map(|refusal| refusal.key_id).chain(asked.key_id).collect();
    for id in key_ids {
        let holder = Holder::Application(asked.application_id);
        let found = keys::find_by_id(&mut reader, holder, Scope::All, id).await?;
        key_names.insert(id, found.map(|key| key.name));
    }
    let owners = Owners { limits, policy_name, key_names, domain: asked.email.domain().as_str() };
    Ok(Explanation {
        grant_id: asked.grant_id.to_string(),
        at: asked.at.as_seconds(),
        key_id: asked.key_id.map(|id| id.to_string()),
        recipients: asked.recipients.iter().map(EmailAddress::to_string).collect(),
        accepted: obstacles.is_empty(),
        refusals: obstacles.iter().map(|problem| obstacle(&owners, problem, asked.key_id)).collect(),
        held_for: held_for.map(Reason::name),
        held_sends,
        past: past.into_iter().map(|refusal| past_refusal(&owners, refusal)).collect(),
    })
}

struct Owners<'a> {
    limits: GrantLimits,
    policy_name: Option<String>,
    key_names: HashMap<KeyId, Option<String>>,
    domain: &'a str,
}

impl Owners<'_> {
    fn of(&self, owner: remedy::Owner, key: Option<KeyId>) -> Owner {
        let plan = || Owner { kind: "plan", id: None, name: Some(self.limits.plan.name.clone()) };
        let (id, name) = match owner {
            remedy::Owner::Limit(field) => return self.policy(field).unwrap_or_else(plan),
            remedy::Owner::Plan => return plan(),
            remedy::Owner::Key => {
                (key.map(|id| id.to_string()), key.and_then(|id| self.key_names.get(&id).cloned().flatten()))
            }
            remedy::Owner::Domain => (None, Some(self.domain.to_owned())),
            remedy::Owner::Rules => (self.limits.workspace_id.map(|id| id.to_string()), None),
            remedy::Owner::Suppressions | remedy::Owner::Stop | remedy::Owner::Message => (None, None),
        };
        Owner { kind: owner.name(), id, name }
    }

    /// The policy, if it is the one that sets the limit.
    fn policy(&self, field: LimitField) -> Option<Owner> {
        let effective = Limits::effective(&self.limits.plan.limits, &self.limits.policy);
        let in_force = field.of(&effective);
        let is_policys = in_force.is_some() && field.set_by(&self.limits.policy) == in_force;
        let id = self.limits.policy_id.filter(|_| is_policys).map(|id: PolicyId| id.to_string())?;
        Some(Owner { kind: "policy", id: Some(id), name: self.policy_name.clone() })
    }
}

fn obstacle(owners: &Owners<'_>, problem: &Problem, key: Option<KeyId>) -> Obstacle {
    let (status_code, kind) = status_and_type(problem.kind);
    let exhausted = problem.exhausted.as_deref();
    let (owner, change) = remedy::of(problem.code, problem.scope());
    let resets_at = exhausted.and_then(|Exhausted { resets_at, .. }| *resets_at);
    Obstacle {
        code: problem.code,
        status_code,
        kind,
        message: problem.public.clone(),
        owner: match &problem.stop {
            // What would be stopped by this send is not stopped yet.
            Some(stop) => {
                let id = Some(stop.id).filter(|id| !id.uuid().is_nil()).map(|id| id.to_string());
                Owner { kind: owner.name(), id, name: None }
            }
            None => owners.of(owner, key),
        },
        change,
        scope: problem.scope().map(str::to_owned),
        limit: exhausted.map(|exhausted| exhausted.limit),
        used: exhausted.map(|exhausted| exhausted.used),
        resets_at: resets_at.map(UnixMicros::as_seconds_up),
    }
}

fn past_refusal(owners: &Owners<'_>, refusal: Refusal) -> PastRefusal {
    let (owner, change) = remedy::of(&refusal.code, refusal.scope.as_deref());
    PastRefusal {
        owner: owners.of(owner, refusal.key_id),
        change,
        code: refusal.code,
        message: refusal.message,
        times: refusal.times,
        first_at: refusal.first_at.as_seconds(),
        last_at: refusal.last_at.as_seconds(),
        key_id: refusal.key_id.map(|id| id.to_string()),
        scope: refusal.scope,
        limit: refusal.limit,
        used: refusal.used,
        resets_at: refusal.resets_at.map(UnixMicros::as_seconds_up),
    }
}
