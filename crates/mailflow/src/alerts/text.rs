//! What people are told: one sentence for a chat, the same and the facts by mail.

use postfleet_core::event::Trigger;
use postfleet_core::send_figures::{Metric, WHOLE, percent};
use serde_json::Value;

/// Characters of what somebody else wrote that are passed on.
const QUOTED_CHARS_MAX: usize = 300;

/// A text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
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
pub(super) fn of(trigger: Trigger, facts: &Value) -> Said {
    let subject = match trigger {
        Trigger::QuotaWarning | Trigger::QuotaReached | Trigger::QuotaExceeded => quota(trigger, facts),
        Trigger::AlertTriggered => rate(facts),
        _ => raise(trigger, facts),
    };
    let named = facts.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null() && !value.is_object());
    let lines: String = named.map(|(name, value)| format!("{name}: {}\n", plain(value))).collect();
    Said { body: format!("{subject}\n\n{lines}"), subject }
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
