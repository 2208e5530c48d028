//! What may be sent with a key, as a request says it and as an answer shows it.

use postfleet_core::capability::{Capabilities, DOMAINS_MAX, NEW_RECIPIENTS_MAX, Sending};
use postfleet_core::{Domain, Problem};
use postfleet_schema::key as schema;

/// Reads what a request says.
pub(super) fn read(wanted: &schema::KeyCapabilities) -> Result<Capabilities, Problem> {
    Ok(Capabilities {
        sending: sending(wanted.sending.as_deref())?,
        recipient_domains: wanted.recipient_domains.as_deref().map(domains).transpose()?,
        new_recipients_per_day: wanted.new_recipients_per_day.map(new_recipients).transpose()?,
        attachments: wanted.attachments.unwrap_or(true),
    })
}

fn sending(name: Option<&str>) -> Result<Sending, Problem> {
    let Some(name) = name else { return Ok(Sending::default()) };
    Sending::named(name).ok_or_else(|| {
        let text = "capabilities.sending must be all, replies, thread_recipients or none";
        Problem::invalid("capabilities.sending", text)
    })
}

fn domains(wanted: &[String]) -> Result<Vec<Domain>, Problem> {
    const FIELD: &str = "capabilities.recipient_domains";
    if wanted.is_empty() || wanted.len() > DOMAINS_MAX {
        let text = format!(
            "{FIELD} must have 1 to {DOMAINS_MAX} domains, or be null for any; with sending none, nothing is sent at all"
        );
        return Err(Problem::invalid(FIELD, text));
    }
    let mut domains = Vec::with_capacity(wanted.len());
    for text in wanted {
        let domain = Domain::parse(text.trim()).map_err(|error| {
            Problem::invalid(FIELD, format!("{FIELD} must be domains such as example.com; {text:?} is none: {error}"))
        })?;
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    Ok(domains)
}

fn new_recipients(wanted: i64) -> Result<u64, Problem> {
    u64::try_from(wanted).ok().filter(|number| *number <= NEW_RECIPIENTS_MAX).ok_or_else(|| {
        let field = "capabilities.new_recipients_per_day";
        Problem::invalid(field, format!("{field} must be from 0 to {NEW_RECIPIENTS_MAX}, or null for any number"))
    })
}

/// Shows what may be sent.
pub fn show(capabilities: &Capabilities) -> schema::KeyCapabilitiesInForce {
    let domains = capabilities.recipient_domains.as_ref();
    schema::KeyCapabilitiesInForce {
        sending: capabilities.sending.name(),
        recipient_domains: domains.map(|domains| domains.iter().map(|domain| domain.as_str().to_owned()).collect()),
        new_recipients_per_day: capabilities.new_recipients_per_day,
        attachments: capabilities.attachments,
    }
}
