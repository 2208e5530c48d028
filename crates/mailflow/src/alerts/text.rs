//! What people are told: one sentence for a chat, the same and the facts by mail.

use postfleet_core::event::Trigger;
use postfleet_core::send_figures::{Metric, WHOLE, percent};
use serde_json::Value;

/// Characters of what somebody else wrote that are passed on.
const QUOTED_CHARS_MAX: usize = 300;

/// A text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(super) subject: String,
    pub(super) body: String,
}

impl Said {
    /// The sentence, in which nothing is markup: what others wrote must not call everybody in the chat.
    pub(super) fn for_chat(&self) -> String {
        self.subject.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }
}

/// What is said of an event.
pub(crate) fn of(trigger: Trigger, facts: &Value) -> Said {
    let subject = match trigger {
        Trigger::QuotaWarning | Trigger::QuotaReached | Trigger::QuotaExceeded => quota(trigger, facts),
        Trigger::SendingStopped | Trigger::SendingResumed => stop(trigger, facts),
        Trigger::BreakerTripped => breaker(facts),
        Trigger::DomainEndangered if facts["danger"] == "block_list" => {
            format!("{} is endangered: {}", of_fact(facts, "domain"), quoted(&facts["reason"]))
        }
        Trigger::DomainEndangered => {
            format!("{} endangers {}: {}", of_fact(facts, "email"), of_fact(facts, "domain"), quoted(&facts["reason"]))
        }
        Trigger::ReputationChanged => reputation(facts),
        Trigger::AlertTriggered => rate(facts),
        Trigger::RecoveryRequested | Trigger::RecoveryDecided => recovery(trigger, facts),
        Trigger::WebhookFailing | Trigger::WebhookFailed | Trigger::WebhookResumed => webhook(trigger, facts),
        _ => raise(trigger, facts),
    };
    let named = facts.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let lines: String = named.filter_map(|(name, value)| line(name, value)).collect();
    let further = if trigger == Trigger::SendingStopped { further(facts) } else { String::new() };
    Said { body: format!("{subject}\n\n{lines}{further}"), subject }
}

/// A fact in a line: a time as people write it, and of what was seen each figure.
fn line(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Object(seen) if name == "evidence" => {
            let figures: Vec<String> = seen.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
            (!figures.is_empty()).then(|| format!("{name}: {}\n", figures.join(", ")))
        }
        Value::Object(_) => None,
        value => Some(match value.as_i64().filter(|_| name.ends_with("_at")) {
            Some(seconds) => format!("{name}: {}\n", moment(seconds)),
            None => format!("{name}: {}\n", plain(value)),
        }),
    }
}

/// The commands with which somebody goes on who was woken by a stop.
fn further(facts: &Value) -> String {
    let id = of_fact(facts, "id");
    let end = match (facts["kind"].as_str(), facts["email"].as_str()) {
        (Some("restriction"), _) => "the operator of the installation lifts it".to_owned(),
        (Some("pause"), Some(email)) => format!("postfleet recovery request {email} --cause <cause> --fix <fix>"),
        _ => format!("postfleet start stop {id} --reason <why>"),
    };
    format!("\nto see more: postfleet stops {id}\nto start again: {end}\n")
}

/// What a test says.
pub(super) fn test() -> Said {
    let subject = "postfleet: this is a test of an alert".to_owned();
    Said { body: format!("{subject}\n"), subject }
}

fn quota(trigger: Trigger, facts: &Value) -> String {
    let (who, used, limit) = (plain(&facts["email"]), plain(&facts["used"]), plain(&facts["limit"]));
    let end = moment(facts["resets_at"].as_i64().unwrap_or_default());
    match trigger {
        Trigger::QuotaWarning => format!("{who} has used {used} of {limit} messages that it may send until {end}"),
        Trigger::QuotaReached => format!("{who} has used all {limit} messages that it may send until {end}"),
        _ => format!("{who} wanted to send more than the {limit} messages that it may until {end}, and was refused"),
    }
}

/// A rate that is beyond a line.
fn rate(facts: &Value) -> String {
    let rule = &facts["rule"];
    let percent = |value: &Value| percent((value.as_f64().unwrap_or_default() * WHOLE as f64).round() as u64);
    let (what, beyond) = match rule["metric"].as_str().and_then(Metric::named) {
        Some(Metric::Bounces) => ("of recipients are not there", "or more"),
        Some(Metric::Complaints) => ("of deliveries led to complaints", "or more"),
        Some(Metric::Deliveries) | None => ("of recipients were delivered to", "less"),
    };
    let line = match beyond {
        "less" => format!("less than {}", percent(&rule["threshold"])),
        _ => format!("{} or more", percent(&rule["threshold"])),
    };
    format!(
        "{}: {} {what} in the last {} hours ({} recipients with a last word), {line}",
        plain(&rule["name"]),
        percent(&facts["value"]),
        plain(&rule["window_hours"]),
        plain(&facts["volume"]),
    )
}

fn raise(trigger: Trigger, facts: &Value) -> String {
    let whom = match facts["email"].as_str() {
        Some(email) => email.to_owned(),
        None => format!("the workspace {}", plain(&facts["workspace_id"])),
    };
    let end = moment(facts["ends_at"].as_i64().unwrap_or_default());
    let what = format!("a raise to {} messages a day for {whom} until {end}", plain(&facts["value"]));
    let by = |author: &Value| plain(&author["name"]);
    if trigger == Trigger::RaiseRequested {
        let reason: String = plain(&facts["reason"]).chars().take(QUOTED_CHARS_MAX).collect();
        return format!("{} asks for {what}: {reason} (raise {})", by(&facts["requested_by"]), plain(&facts["id"]));
    }
    format!("{} by {}: {what}", plain(&facts["state"]), by(&facts["decided_by"]))
}

fn stop(trigger: Trigger, facts: &Value) -> String {
    let whom = facts["email"].as_str().or(facts["subject"].as_str()).unwrap_or_default();
    let (scope, kind) = (of_fact(facts, "scope"), of_fact(facts, "kind"));
    if trigger == Trigger::SendingResumed {
        let why = quoted(&facts["lifted_why"]);
        return format!(
            "{whom} may send again: the {kind} of its {scope} was lifted: {why} (stop {})",
            of_fact(facts, "id")
        );
    }
    let what = match facts["effect"].as_str() {
        Some("hold") => "what it sends is held".to_owned(),
        Some("throttle") => format!("it sends {} messages in an hour at most", plain(&facts["sends_per_hour"])),
        _ => "it does not send any more".to_owned(),
    };
    let why = quoted(&facts["reason"]);
    format!("{whom}: {what}, by a {kind} of its {scope}: {why} (stop {})", of_fact(facts, "id"))
}

fn breaker(facts: &Value) -> String {
    let what = match facts["action"].as_str() {
        Some("throttle") => format!("it sends {} messages in an hour at most", plain(&facts["throttle_to"])),
        Some("hold") => "what it sends is held".to_owned(),
        Some("pause") => "it does not send any more".to_owned(),
        _ => "it goes on sending".to_owned(),
    };
    format!("{} has tripped a breaker of its workspace, {what}: {}", of_fact(facts, "email"), quoted(&facts["reason"]))
}

fn reputation(facts: &Value) -> String {
    let word = |name: &str| of_fact(facts, name).replace('_', " ");
    let whom = format!("{} {}", word("subject_type"), of_fact(facts, "subject"));
    format!("the reputation of the {whom} is {} now, and was {}", word("state"), word("from"))
}

/// A case in which somebody asks that a paused mailbox may send again.
fn recovery(trigger: Trigger, facts: &Value) -> String {
    let (email, id) = (of_fact(facts, "email"), of_fact(facts, "id"));
    let name = |who: &str| plain(&facts[who]["name"]);
    if trigger == Trigger::RecoveryRequested {
        let (cause, fix) = (quoted(&facts["cause"]), quoted(&facts["fix"]));
        let by = name("requested_by");
        return format!("{by} asks that {email} may send again (recovery {id}): {cause}; what was done: {fix}");
    }
    let (state, by) = (of_fact(facts, "state"), name("decided_by"));
    format!("the recovery of {email} was {state} by {by} (recovery {id})")
}

fn webhook(trigger: Trigger, facts: &Value) -> String {
    let name = match quoted(&facts["description"]) {
        name if name.is_empty() => of_fact(facts, "id"),
        name => name,
    };
    let host = of_fact(facts, "host");
    let what = match trigger {
        Trigger::WebhookFailing => "is failing: nearly nothing that it was told in the last 15 minutes was taken",
        Trigger::WebhookFailed => "has failed: it is told of nothing more until it is back",
        _ => "is told again, from where it was",
    };
    format!("the webhook {name} at {host} {what}")
}

fn of_fact(facts: &Value, name: &str) -> String {
    plain(&facts[name])
}

/// What somebody else may have written, as much of it as is passed on.
fn quoted(value: &Value) -> String {
    plain(value).chars().take(QUOTED_CHARS_MAX).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A time as `2026-03-02 10:00 UTC`: the civil date of a day by counting from the first of March of the year 0, so that
/// a leap day is the last of its year.
fn moment(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let of_day = seconds.rem_euclid(86_400);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", of_day / 3_600, of_day / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_moment_is_written_for_people() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_772_445_600, "2026-03-02 10:00 UTC"),
            (1_798_761_599, "2026-12-31 23:59 UTC"),
        ] {
            assert_eq!(moment(seconds), expected);
        }
    }

    #[test]
    fn stops_breakers_and_reputation_are_told_in_a_sentence() {
        let stopped = json!({"id": "7", "kind": "loop", "effect": "hold", "scope": "thread", "email": "a@acme.test",
            "reason": "eleven answers"});
        let said = |trigger, facts: &Value| of(trigger, facts).subject;
        let expected = "a@acme.test: what it sends is held, by a loop of its thread: eleven answers (stop 7)";
        assert_eq!(said(Trigger::SendingStopped, &stopped), expected);
        let seen = json!({"id": "7", "kind": "loop", "raised_at": 1_772_445_600, "evidence": {"count": 6, "limit": 6}});
        let body = of(Trigger::SendingStopped, &seen).body;
        for line in
            ["raised_at: 2026-03-02 10:00 UTC\n", "evidence: count 6, limit 6\n", "postfleet start stop 7 --reason"]
        {
            assert!(body.contains(line), "{line}: {body}");
        }
        let paused = json!({"id": "7", "kind": "pause", "email": "a@acme.test"});
        assert!(of(Trigger::SendingStopped, &paused).body.contains("postfleet recovery request a@acme.test"));
        let throttled = json!({"id": "7", "kind": "breaker", "effect": "throttle", "scope": "grant", "subject": "x",
            "sends_per_hour": 5, "reason": "r", "lifted_why": "mended"});
        let expected = "x: it sends 5 messages in an hour at most, by a breaker of its grant: r (stop 7)";
        assert_eq!(said(Trigger::SendingStopped, &throttled), expected);
        let expected = "x may send again: the breaker of its grant was lifted: mended (stop 7)";
        assert_eq!(said(Trigger::SendingResumed, &throttled), expected);
        let tripped = json!({"email": "a@acme.test", "action": "alert", "reason": "sends_per_hour of 6 is above 5"});
        let expected =
            "a@acme.test has tripped a breaker of its workspace, it goes on sending: sends_per_hour of 6 is above 5";
        assert_eq!(said(Trigger::BreakerTripped, &tripped), expected);
        let endangered = json!({"email": "a@acme.test", "domain": "acme.test", "reason": "20 of 25 bounces"});
        assert_eq!(said(Trigger::DomainEndangered, &endangered), "a@acme.test endangers acme.test: 20 of 25 bounces");
        let case = json!({"id": "9", "email": "a@acme.test", "cause": "an old list", "fix": "cleaned", "state": "refused",
            "requested_by": {"name": "CI"}, "decided_by": {"name": "ops"}});
        let expected = "CI asks that a@acme.test may send again (recovery 9): an old list; what was done: cleaned";
        assert_eq!(said(Trigger::RecoveryRequested, &case), expected);
        let expected = "the recovery of a@acme.test was refused by ops (recovery 9)";
        assert_eq!(said(Trigger::RecoveryDecided, &case), expected);
        let listed =
            json!({"domain": "acme.test", "danger": "block_list", "reason": "192.0.2.1 is on the block list x"});
        let text = "acme.test is endangered: 192.0.2.1 is on the block list x";
        assert_eq!(said(Trigger::DomainEndangered, &listed), text);
        let changed = json!({"subject_type": "grant", "subject": "g", "from": "healthy", "state": "under_review"});
        let expected = "the reputation of the grant g is under review now, and was healthy";
        assert_eq!(said(Trigger::ReputationChanged, &changed), expected);
        let failed = json!({"id": "7", "description": "", "host": "hooks.acme.test"});
        let expected = "the webhook 7 at hooks.acme.test has failed: it is told of nothing more until it is back";
        assert_eq!(said(Trigger::WebhookFailed, &failed), expected);
        let resumed = json!({"id": "7", "description": "Orders", "host": "hooks.acme.test"});
        let expected = "the webhook Orders at hooks.acme.test is told again, from where it was";
        assert_eq!(said(Trigger::WebhookResumed, &resumed), expected);
    }

    #[test]
    fn who_how_much_and_of_what_is_said_and_no_markup() {
        let facts = json!({"email": "a@acme.test", "used": 160, "limit": 200, "resets_at": 86_400});
        let said = of(Trigger::QuotaWarning, &facts);
        let expected = "a@acme.test has used 160 of 200 messages that it may send until 1970-01-02 00:00 UTC";
        assert_eq!(said.subject, expected);
        assert!(said.body.starts_with(expected) && said.body.contains("\nlimit: 200\n"), "{}", said.body);
        assert!(of(Trigger::QuotaExceeded, &facts).subject.ends_with("and was refused"));
        let facts = json!({"id": "1", "email": null, "workspace_id": "w", "value": 5, "ends_at": 0,
            "reason": "<!channel> & co", "requested_by": {"name": "CI"}});
        let said = of(Trigger::RaiseRequested, &facts);
        assert!(
            said.subject.starts_with("CI asks for a raise to 5 messages a day for the workspace w"),
            "{}",
            said.subject
        );
        assert!(said.for_chat().contains("&lt;!channel&gt; &amp; co"), "{}", said.for_chat());
    }
}
