//! The limits that hold for one mailbox, side by side with where each comes from.

use crate::policies::number;
use postfleet_core::id::{ApplicationId, GrantId};
use postfleet_core::plan::Limits;
use postfleet_core::policy::LimitField;
use postfleet_core::quota::Allowance;
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::limits as schema;
use postfleet_store::Store;
use postfleet_store::limits::{self, GrantLimits};
use postfleet_store::raises;

/// Finds and shows the limits of a mailbox, and what is used of its sends today.
pub async fn find(
    store: &Store,
    application: ApplicationId,
    grant: GrantId,
    now: UnixMicros,
) -> Result<schema::GrantLimits, Problem> {
    let mut reader = store.reader().await?;
    let found = limits::of_grant(&mut reader, application, grant, now.day()).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    let raise = raises::holding(&mut reader, grant, found.workspace_id, now).await?;
    let mut effective = Limits::effective(&found.plan.limits, &found.policy);
    let raised = effective.raise_daily_sends(&found.plan.limits, raise.as_ref().map(|raise| raise.value));
    let ramp = found.ramp.and_then(|ramp| ramp.cap(now.day()).map(|cap| (ramp, cap)));
    let is_ramp = effective.ramp_daily_sends(ramp.map(|(_, cap)| cap));
    let raise = raise.filter(|_| raised);
    let daily = Allowance::daily(effective.daily_sends_max, found.sent_today, now.day());
    Ok(schema::GrantLimits {
        grant_id: grant.to_string(),
        plan: found.plan.name.clone(),
        workspace_id: found.workspace_id.map(|id| id.to_string()),
        policy_id: found.policy_id.map(|id| id.to_string()),
        raise: raise.as_ref().map(|raise| schema::RaiseInForce {
            id: raise.id.to_string(),
            value: raise.value,
            ends_at: raise.ends_at.as_seconds(),
        }),
        recovery_ramp: ramp.map(|(ramp, cap)| schema::RecoveryRamp {
            value: cap,
            highest_day: ramp.highest,
            ends_at: ramp.ends().start().as_seconds(),
        }),
        limits: show(&found, &effective, says_of_sends(is_ramp, raise.is_some())),
        daily_sends: schema::DailySends {
            used: daily.used,
            remaining: daily.remaining(),
            resets_at: daily.resets_at.as_seconds(),
        },
    })
}

/// What a mailbox may still send today; nothing if it is gone.
pub async fn daily_sends(
    store: &Store,
    application: ApplicationId,
    grant: GrantId,
    now: UnixMicros,
) -> Result<Option<Allowance>, Problem> {
    let mut reader = store.reader().await?;
    let Some(found) = limits::of_grant(&mut reader, application, grant, now.day()).await? else { return Ok(None) };
    let mut effective = Limits::effective(&found.plan.limits, &found.policy);
    if effective.daily_sends_max.is_some() {
        let raise = raises::holding(&mut reader, grant, found.workspace_id, now).await?;
        effective.raise_daily_sends(&found.plan.limits, raise.map(|raise| raise.value));
    }
    effective.ramp_daily_sends(found.ramp.and_then(|ramp| ramp.cap(now.day())));
    Ok(Some(Allowance::daily(effective.daily_sends_max, found.sent_today, now.day())))
}

/// What says how many messages may be sent, if that is neither the plan nor the policy.
fn says_of_sends(is_ramp: bool, is_raised: bool) -> Option<&'static str> {
    if is_ramp { Some("recovery_ramp") } else { is_raised.then_some("raise") }
}

fn show(found: &GrantLimits, effective: &Limits, of_sends: Option<&'static str>) -> schema::LimitsInForce {
    let limit = |field: LimitField| schema::LimitInForce {
        value: number(field, effective),
        source: source(says(field, found, effective)),
    };
    schema::LimitsInForce {
        limit_attachment_size_limit: limit(LimitField::AttachmentOctets),
        limit_attachment_count_limit: limit(LimitField::Attachments),
        limit_attachment_allowed_types: schema::TypesInForce {
            value: effective.attachment_types.iter().map(|range| range.as_str().to_owned()).collect(),
            source: source(!found.policy.attachment_types.is_empty()),
        },
        limit_size_total_mime: limit(LimitField::InboundMessageOctets),
        limit_storage_total: limit(LimitField::StorageOctets),
        limit_count_daily_message_received: limit(LimitField::DailyReceived),
        limit_count_daily_email_sent: match (limit(LimitField::DailySends), of_sends) {
            (limit, Some(source)) => schema::LimitInForce { source, ..limit },
            (limit, None) => limit,
        },
        limit_inbox_retention_period: limit(LimitField::InboxRetentionDays),
        limit_spam_retention_period: limit(LimitField::SpamRetentionDays),
    }
}

/// Whether it is the policy that says what holds. One that is above the plan says nothing: the plan holds.
fn says(field: LimitField, found: &GrantLimits, effective: &Limits) -> bool {
    let in_force = field.of(effective);
    in_force != field.of(&found.plan.limits) || (in_force.is_some() && field.set_by(&found.policy) == in_force)
}

fn source(is_policy: bool) -> &'static str {
    if is_policy { "policy" } else { "plan" }
}
