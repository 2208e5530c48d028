//! What mailboxes, applications and organizations use: the very counters that sends and deliveries are held against.

use crate::applications;
use crate::operator::Operator;
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId};
use postfleet_core::meter::Caps;
use postfleet_core::plan::{Limits, Plan};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::usage as schema;
use postfleet_store::meters::{self, Usage};
use postfleet_store::{Store, limits, organizations};

/// What a mailbox uses.
pub async fn of_grant(
    store: &Store,
    application: ApplicationId,
    grant: GrantId,
    now: UnixMicros,
) -> Result<schema::GrantUsage, Problem> {
    let (day, month) = (now.day(), now.day().month());
    let mut reader = store.reader().await?;
    let found = meters::of_grant(&mut reader, application, grant, day).await?.ok_or_else(Problem::not_found)?;
    let limits = limits::of_grant(&mut reader, application, grant, day).await?.ok_or_else(Problem::not_found)?;
    let monthly_sends = meters::sent_by(&mut reader, grant, month).await?;
    let (plan, held) = (&found.plan, &found.meters);
    let effective = Limits::effective(&limits.plan.limits, &limits.policy);
    let own = |meter, used, limit, included, resets_at| show(meter, "grant", used, limit, included, resets_at);
    let (storage, received) = (&held.account_storage, &held.received);
    let mut shown = vec![
        own("storage", storage.used, storage.limit, plan.limits.storage_octets_max, None),
        own("daily_sends", limits.sent_today, effective.daily_sends_max, plan.limits.daily_sends_max, Some(day.end())),
        own("daily_received", received.used, received.limit, plan.limits.daily_received_max, Some(day.end())),
    ];
    let used =
        Usage { stored: held.storage.used, sent: held.sends.used, octets_in: held.bandwidth.used, octets_out: 0 };
    shown.extend(of_plan(plan, &used, now));
    Ok(schema::GrantUsage {
        grant_id: grant.to_string(),
        plan: plan.name.clone(),
        month: month.to_string(),
        monthly_sends,
        meters: shown,
    })
}

/// What an application of those that an operator may see uses, and its organization.
pub async fn of_application(
    store: &Store,
    scope: organizations::Scope,
    id: ApplicationId,
    now: UnixMicros,
) -> Result<schema::ApplicationUsage, Problem> {
    let month = now.day().month();
    let found = applications::find(store, scope, id).await?;
    let used = meters::of_owner(&mut store.reader().await?, id.uuid(), month).await?;
    Ok(schema::ApplicationUsage {
        application_id: id.to_string(),
        month: month.to_string(),
        storage_bytes: used.stored,
        monthly_sends: used.sent,
        bytes_in: used.octets_in,
        bytes_out: used.octets_out,
        organization: organization(store, found.application.organization_id, now).await?,
    })
}

/// What an organization uses of those that an operator may see.
pub async fn of_organization(
    store: &Store,
    operator: &Operator,
    id: OrganizationId,
    now: UnixMicros,
) -> Result<schema::OrganizationUsage, Problem> {
    if !operator.scope().covers(id) {
        return Err(Problem::not_found());
    }
    organization(store, id, now).await
}

async fn organization(
    store: &Store,
    id: OrganizationId,
    now: UnixMicros,
) -> Result<schema::OrganizationUsage, Problem> {
    let month = now.day().month();
    let mut reader = store.reader().await?;
    let found = organizations::find(&mut reader, id).await?.ok_or_else(Problem::not_found)?;
    let plan = store.plans().find(&found.plan).ok_or_else(|| Problem::internal("an organization's plan is unknown"))?;
    let used = meters::of_owner(&mut reader, id.uuid(), month).await?;
    let accounts = show("accounts", "organization", found.grant_count, plan.grants_cap(), plan.grants_max, None);
    let mut shown = vec![accounts];
    shown.extend(of_plan(plan, &used, now));
    Ok(schema::OrganizationUsage {
        organization_id: id.to_string(),
        plan: plan.name.clone(),
        month: month.to_string(),
        has_overage: plan.has_overage,
        bytes_in: used.octets_in,
        bytes_out: used.octets_out,
        meters: shown,
    })
}

/// What an organization has used of its plan.
fn of_plan(plan: &Plan, used: &Usage, now: UnixMicros) -> [schema::Meter; 3] {
    let (caps, ends) = (Caps::of(plan), Some(now.day().month().end()));
    let transferred = used.octets_in + used.octets_out;
    let total = |meter, used, limit, included, resets_at| show(meter, "organization", used, limit, included, resets_at);
    [
        total("storage", used.stored, caps.storage, plan.storage_octets_max, None),
        total("monthly_sends", used.sent, caps.sends, plan.monthly_sends_max, ends),
        total("monthly_bandwidth", transferred, caps.bandwidth, plan.monthly_bandwidth_octets_max, ends),
    ]
}

fn show(
    meter: &'static str,
    scope: &'static str,
    used: u64,
    limit: Option<u64>,
    included: Option<u64>,
    resets_at: Option<UnixMicros>,
) -> schema::Meter {
    schema::Meter {
        meter,
        scope,
        used,
        limit,
        remaining: limit.map(|limit| limit.saturating_sub(used)),
        included,
        overage: included.map_or(0, |included| used.saturating_sub(included)),
        resets_at: resets_at.map(UnixMicros::as_seconds),
    }
}
