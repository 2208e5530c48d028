//! Policies: reading what a request wants, carrying it out, and showing what holds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, PolicyId};
use postfleet_core::plan::{Limits, PolicyLimits};
use postfleet_core::policy::{self, ATTACHMENT_TYPES, LimitField, LimitsChange, NAME_CHARS_MAX, UNLIMITED};
use postfleet_core::{MediaRange, Patch, Problem};
use postfleet_net::Entropy;
use postfleet_schema::policy as schema;
use postfleet_store::Store;
use postfleet_store::policies::{
    self, CreatePolicy, PolicyChange, PolicyOutcome, PolicyView, RemovePolicy, UpdatePolicy, VALIDATE_RECIPIENTS,
};
use serde_json::{Map, Value};

/// Rules that one policy may list.
pub const RULES_MAX: usize = 100;

/// Characters of one of them.
pub const RULE_CHARS_MAX: usize = 256;

/// The older spelling of `limit_count_daily_message_received`.
const DAILY_RECEIVED_ALIAS: &str = "limit_count_daily_message_per_grant";

/// Makes a policy.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    request: schema::CreatePolicy,
) -> Result<PolicyView, Problem> {
    let change = PolicyChange {
        name: Some(name(request.name)?),
        limits: limits(request.limits)?,
        spam: spam(request.spam_detection)?,
        options: options(request.options)?,
        rules: rules(request.rules)?,
    };
    let id = PolicyId::new(act.at, entropy.ten());
    written(store.run(CreatePolicy { act, id, application_id, change }).await?)
}

/// Changes a policy; what the request does not name stays.
pub async fn update(
    store: &Store,
    act: Act,
    application_id: ApplicationId,
    id: PolicyId,
    request: schema::UpdatePolicy,
) -> Result<PolicyView, Problem> {
    let change = PolicyChange {
        name: match request.name {
            Patch::Keep => None,
            Patch::Clear => Some(name(String::new())?),
            Patch::Set(text) => Some(name(text)?),
        },
        limits: limits(request.limits)?,
        spam: spam(request.spam_detection)?,
        options: options(request.options)?,
        rules: rules(request.rules)?,
    };
    written(store.run(UpdatePolicy { act, application_id, id, change }).await?)
}

fn written(outcome: PolicyOutcome) -> Result<PolicyView, Problem> {
    match outcome {
        PolicyOutcome::Written(view) => Ok(*view),
        PolicyOutcome::NotFound => Err(Problem::not_found()),
        PolicyOutcome::Refused(problem) => Err(problem),
    }
}

/// Removes a policy, and takes it from the workspaces that have it.
pub async fn remove(store: &Store, act: Act, application_id: ApplicationId, id: PolicyId) -> Result<(), Problem> {
    let removed = store.run(RemovePolicy { act, application_id, id }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// One policy of an application.
pub async fn find(store: &Store, application: ApplicationId, id: PolicyId) -> Result<PolicyView, Problem> {
    let found = policies::find(&mut store.reader().await?, application, id).await?;
    found.ok_or_else(Problem::not_found)
}

/// A page of an application's policies, newest first, and the cursor of the next one.
pub async fn list(
    store: &Store,
    application: ApplicationId,
    limit: usize,
    cursor: Option<&str>,
) -> Result<(Vec<PolicyView>, Option<String>), Problem> {
    let before = cursor.map(read_cursor).transpose()?;
    let mut found = policies::list(&mut store.reader().await?, application, before, limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| has_more).map(|last| write_cursor(last.policy.id));
    Ok((found, last))
}

fn write_cursor(id: PolicyId) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}

fn read_cursor(cursor: &str) -> Result<PolicyId, Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let text = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    std::str::from_utf8(&text).ok().and_then(|id| id.parse().ok()).ok_or_else(invalid)
}

/// Looks at a request's body for what a reader of typed fields would pass over: limits outside `limits` are refused,
/// since they would be without effect; unknown ones inside are answered, as what people are to be warned of.
pub fn check_places(body: &Map<String, Value>) -> Result<Vec<String>, Problem> {
    if let Some(name) = body.keys().find(|name| name.starts_with("limit_")) {
        let text = format!("{name} belongs inside limits: {{\"limits\": {{\"{name}\": …}}}}");
        return Err(Problem::invalid(name, text));
    }
    // A list would be read as the values of the fields in their order.
    for name in ["limits", "spam_detection"] {
        if body.get(name).is_some_and(Value::is_array) {
            return Err(Problem::invalid(name, format!("{name} must be an object")));
        }
    }
    let is_known = |name: &str| {
        name == ATTACHMENT_TYPES
            || name == DAILY_RECEIVED_ALIAS
            || LimitField::ALL.iter().any(|field| field.name() == name)
    };
    let limits = body.get("limits").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let unknown = limits.filter(|name| !is_known(name)).take(WARNINGS_MAX);
    Ok(unknown.map(|name| format!("limits.{} is no limit and was passed over", short(name))).collect())
}

/// Warnings of one kind in one answer.
const WARNINGS_MAX: usize = 10;

fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
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

fn limits(request: Patch<schema::PolicyLimitsChange>) -> Result<LimitsChange, Problem> {
    use LimitField::*;
    let request = match request {
        Patch::Keep => return Ok(LimitsChange::default()),
        Patch::Clear => return Ok(LimitsChange::reset()),
        Patch::Set(request) => request,
    };
    // Of the two spellings of one limit, the newer wins.
    let (received, alias) = (request.limit_count_daily_message_received, request.limit_count_daily_message_per_grant);
    let received = match received {
        Patch::Keep => (DailyReceived, DAILY_RECEIVED_ALIAS, alias),
        received => (DailyReceived, DailyReceived.name(), received),
    };
    let number = |field: LimitField, change| (field, field.name(), change);
    Ok(LimitsChange {
        numbers: vec![
            number(AttachmentOctets, request.limit_attachment_size_limit),
            number(Attachments, request.limit_attachment_count_limit),
            number(InboundMessageOctets, request.limit_size_total_mime),
            number(StorageOctets, request.limit_storage_total),
            received,
            number(DailySends, request.limit_count_daily_email_sent),
            number(InboxRetentionDays, request.limit_inbox_retention_period),
            number(SpamRetentionDays, request.limit_spam_retention_period),
        ],
        attachment_types: request.limit_attachment_allowed_types.try_map(media_ranges)?,
    })
}

fn media_ranges(texts: Vec<String>) -> Result<Vec<MediaRange>, Problem> {
    let mut ranges = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let field = format!("limits.{ATTACHMENT_TYPES}[{index}]");
        let refuse = |error| Problem::invalid(&field, format!("{field} {error}"));
        let range = MediaRange::parse(text).map_err(refuse)?;
        if !ranges.contains(&range) {
            ranges.push(range);
        }
        // No longer list is accepted: the count is judged where the plan is.
        if ranges.len() > policy::ATTACHMENT_TYPES_MAX {
            break;
        }
    }
    Ok(ranges)
}

fn spam(request: Patch<schema::SpamDetectionChange>) -> Result<policy::SpamDetectionChange, Problem> {
    Ok(match request {
        Patch::Keep => policy::SpamDetectionChange::default(),
        Patch::Clear => policy::SpamDetectionChange::RESET,
        Patch::Set(request) => policy::SpamDetectionChange {
            use_list_dnsbl: request.use_list_dnsbl,
            use_header_anomaly_detection: request.use_header_anomaly_detection,
            sensitivity_permille: request.spam_sensitivity.try_map(policy::sensitivity)?,
        },
    })
}

/// The options that clients read with types, or that the product acts by, must have those.
fn options(request: Patch<Map<String, Value>>) -> Result<Patch<Map<String, Value>>, Problem> {
    if let Patch::Set(options) = &request {
        let is =
            |name: &str, kind: fn(&Value) -> bool| options.get(name).is_none_or(|value| value.is_null() || kind(value));
        if !is("additional_folders", Value::is_array) {
            return Err(Problem::invalid("options.additional_folders", "options.additional_folders must be a list"));
        }
        if !is("use_cidr_aliasing", Value::is_boolean) {
            return Err(Problem::invalid(
                "options.use_cidr_aliasing",
                "options.use_cidr_aliasing must be true or false",
            ));
        }
        if !is(VALIDATE_RECIPIENTS, Value::is_boolean) {
            let field = format!("options.{VALIDATE_RECIPIENTS}");
            return Err(Problem::invalid(&field, format!("{field} must be true or false")));
        }
    }
    Ok(request)
}

fn rules(request: Patch<Vec<String>>) -> Result<Patch<Vec<String>>, Problem> {
    if let Patch::Set(rules) = &request {
        if rules.len() > RULES_MAX {
            return Err(Problem::invalid("rules", format!("rules must list at most {RULES_MAX} ids")));
        }
        if rules.iter().any(|id| id.chars().count() > RULE_CHARS_MAX) {
            return Err(Problem::invalid("rules", format!("rules: an id has at most {RULE_CHARS_MAX} characters")));
        }
    }
    Ok(request)
}

/// Shows a policy as an item of a list.
pub fn show(view: &PolicyView) -> schema::Policy {
    let policy = &view.policy;
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or_default();
    schema::Policy {
        id: policy.id.to_string(),
        name: policy.name.clone(),
        application_id: policy.application_id.to_string(),
        organization_id: view.organization_id.to_string(),
        limits: show_limits(&view.effective),
        spam_detection: schema::SpamDetection {
            use_list_dnsbl: policy.spam.use_list_dnsbl,
            use_header_anomaly_detection: policy.spam.use_header_anomaly_detection,
            spam_sensitivity: f64::from(policy.spam.sensitivity_permille) / 1_000.0,
        },
        options: parsed(&policy.options),
        rules: parsed(&policy.rules),
        created_at: policy.created_at.as_seconds(),
        updated_at: policy.updated_at.as_seconds(),
        warnings: None,
    }
}

/// Shows one policy, with what people are to be warned of.
pub fn show_one(view: &PolicyView, mut warnings: Vec<String>) -> schema::Policy {
    if view.policy.limits == PolicyLimits::default() {
        warnings.push("this policy sets no limits of its own".to_owned());
    }
    schema::Policy { warnings: Some(warnings), ..show(view) }
}

/// One limit as it is shown: −1 is unlimited.
pub(crate) fn number(field: LimitField, limits: &Limits) -> i64 {
    field.of(limits).map_or(UNLIMITED, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

/// Shows limits in the words of policies.
pub fn show_limits(limits: &Limits) -> schema::PolicyLimits {
    let number = |field| number(field, limits);
    schema::PolicyLimits {
        limit_attachment_size_limit: number(LimitField::AttachmentOctets),
        limit_attachment_count_limit: number(LimitField::Attachments),
        limit_attachment_allowed_types: limits.attachment_types.iter().map(|range| range.as_str().to_owned()).collect(),
        limit_size_total_mime: number(LimitField::InboundMessageOctets),
        limit_storage_total: number(LimitField::StorageOctets),
        limit_count_daily_message_received: number(LimitField::DailyReceived),
        limit_count_daily_email_sent: number(LimitField::DailySends),
        limit_inbox_retention_period: number(LimitField::InboxRetentionDays),
        limit_spam_retention_period: number(LimitField::SpamRetentionDays),
    }
}
