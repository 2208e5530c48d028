//! Statements: what an organization used in a month, read from the counters that stop senders, and what of it its plan
//! includes.

use crate::operator::Operator;
use postfleet_core::id::OrganizationId;
use postfleet_core::plan::Plan;
use postfleet_core::{Problem, UnixMicros, UtcMonth};
use postfleet_schema::statement as schema;
use postfleet_store::readings::{self, Used};
use postfleet_store::{Store, organizations};

/// The statement of a month, of this one if none is named.
pub async fn of_organization(
    store: &Store,
    operator: &Operator,
    id: OrganizationId,
    month: Option<&str>,
    now: UnixMicros,
) -> Result<schema::UsageStatement, Problem> {
    if !operator.scope().covers(id) {
        return Err(Problem::not_found());
    }
    let month = month_named(month, now)?;
    let mut reader = store.reader().await?;
    let found = organizations::find(&mut reader, id).await?.ok_or_else(Problem::not_found)?;
    let plan = store.plans().find(&found.plan).ok_or_else(|| Problem::internal("an organization's plan is unknown"))?;
    let statement = readings::statement(&mut reader, id, month, now).await?.ok_or_else(Problem::not_found)?;
    let all = statement.organization;
    let applications: Vec<_> = statement.applications.iter().map(show_application).collect();
    let by_them: u64 = applications.iter().map(|application| application.monthly_sends).sum();
    Ok(schema::UsageStatement {
        organization_id: id.to_string(),
        name: found.name,
        plan: plan.name.clone(),
        has_overage: plan.has_overage,
        month: month.to_string(),
        starts_at: month.first_day().start().as_seconds(),
        ends_at: month.end().as_seconds(),
        is_final: all.is_final,
        lines: lines(plan, &all, month, now),
        bytes_in: all.usage.octets_in,
        bytes_out: all.usage.octets_out,
        applications,
        sends_of_removed_applications: all.usage.sent.saturating_sub(by_them),
    })
}

fn month_named(text: Option<&str>, now: UnixMicros) -> Result<UtcMonth, Problem> {
    let this = now.day().month();
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(this) };
    let month: UtcMonth =
        text.parse().map_err(|_| Problem::invalid("month", "month must be a year and a month, such as 2026-10"))?;
    if month > this {
        return Err(Problem::invalid("month", "month must not be in the future"));
    }
    Ok(month)
}

fn lines(plan: &Plan, all: &Used, month: UtcMonth, now: UnixMicros) -> Vec<schema::StatementLine> {
    let (reading, usage) = (all.reading, all.usage);
    let line = |meter, kind, used: Option<u64>, read_at: Option<UnixMicros>, included: Option<u64>| {
        let over = |used: u64| included.map_or(0, |included| used.saturating_sub(included));
        let overage = used.map(over);
        schema::StatementLine {
            meter,
            reading: kind,
            used,
            peak: None,
            read_at: read_at.map(UnixMicros::as_seconds),
            included,
            overage,
            is_billed: plan.has_overage && overage.is_some_and(|overage| overage > 0),
        }
    };
    // What is counted by month stands from the month's end on.
    let counted = Some(now.min(month.end()));
    let read_at = reading.map(|reading| reading.read_at);
    let accounts = line("accounts", "point_in_time", reading.map(|one| one.accounts), read_at, plan.grants_max);
    let transferred = Some(usage.octets_in + usage.octets_out);
    vec![
        schema::StatementLine { peak: reading.and_then(|reading| reading.accounts_peak), ..accounts },
        line("storage", "point_in_time", reading.map(|one| one.stored), read_at, plan.storage_octets_max),
        line("monthly_sends", "total", Some(usage.sent), counted, plan.monthly_sends_max),
        line("monthly_bandwidth", "cumulative", transferred, counted, plan.monthly_bandwidth_octets_max),
    ]
}

fn show_application(one: &readings::ApplicationUsed) -> schema::StatementApplication {
    let Used { usage, reading, .. } = one.used;
    schema::StatementApplication {
        application_id: one.id.to_string(),
        name: one.name.clone(),
        environment: one.environment.clone(),
        accounts: reading.map(|reading| reading.accounts),
        storage_bytes: reading.map(|reading| reading.stored),
        bytes_in: usage.octets_in,
        bytes_out: usage.octets_out,
        monthly_sends: usage.sent,
    }
}
