//! The tables `[plans.<name>]`: plans that the operator defines. Each begins as another plan and says what differs.

use super::layers::nearest;
use anyhow::{Context, Result, bail, ensure};
use postfleet_core::MediaRange;
use postfleet_core::plan::{Plan, Plans};
use postfleet_core::policy::spam_goes_first;
use postfleet_core::rate::{BURST_SECONDS_MAX, PER_SECOND_MAX};
use toml::{Table, Value};

/// The value for "no limit".
const UNLIMITED: i64 = -1;

/// The largest message that can be sent, on every plan: what other servers accept.
const OUTBOUND_OCTETS_MAX: u64 = 25 << 20;

/// The plan that a new one begins as, if it does not say.
const BASE: &str = "self_hosted";

/// What a key of a plan changes.
#[derive(Clone, Copy)]
enum Key {
    /// A number that may be unlimited.
    Open(fn(&mut Plan) -> &mut Option<u64>),
    /// A number that may not.
    Closed(fn(&mut Plan) -> &mut u64),
    Overage,
    AttachmentTypes,
    BasedOn,
}

const KEYS: &[(&str, Key)] = &[
    ("based_on", Key::BasedOn),
    ("grants_max", Key::Open(|plan| &mut plan.grants_max)),
    ("rules_max", Key::Open(|plan| &mut plan.rules_max)),
    ("lists_max", Key::Open(|plan| &mut plan.lists_max)),
    ("trial_domains_max", Key::Open(|plan| &mut plan.trial_domains_max)),
    ("storage_octets_max", Key::Open(|plan| &mut plan.storage_octets_max)),
    ("monthly_bandwidth_octets_max", Key::Open(|plan| &mut plan.monthly_bandwidth_octets_max)),
    ("monthly_sends_max", Key::Open(|plan| &mut plan.monthly_sends_max)),
    ("sends_per_second", Key::Open(|plan| &mut plan.send_rates.organization)),
    ("sandbox_sends_per_second", Key::Open(|plan| &mut plan.send_rates.sandbox)),
    ("domain_sends_per_second", Key::Open(|plan| &mut plan.send_rates.domain)),
    ("mailbox_sends_per_second", Key::Open(|plan| &mut plan.send_rates.mailbox)),
    ("key_sends_per_second", Key::Open(|plan| &mut plan.send_rates.key)),
    ("send_burst_seconds", Key::Closed(|plan| &mut plan.send_rates.burst_seconds)),
    ("requests_per_second", Key::Open(|plan| &mut plan.request_rates.application)),
    ("mailbox_requests_per_second", Key::Open(|plan| &mut plan.request_rates.mailbox)),
    ("mailbox_forms_per_second", Key::Open(|plan| &mut plan.request_rates.mailbox_forms)),
    ("key_requests_per_second", Key::Open(|plan| &mut plan.request_rates.key)),
    ("overage", Key::Overage),
    ("attachment_octets_max", Key::Closed(|plan| &mut plan.limits.attachment_octets_max)),
    ("attachments_max", Key::Closed(|plan| &mut plan.limits.attachments_max)),
    ("attachment_types", Key::AttachmentTypes),
    ("inbound_message_octets_max", Key::Closed(|plan| &mut plan.limits.inbound_message_octets_max)),
    ("outbound_message_octets_max", Key::Closed(|plan| &mut plan.limits.outbound_message_octets_max)),
    ("mailbox_storage_octets_max", Key::Open(|plan| &mut plan.limits.storage_octets_max)),
    ("daily_received_max", Key::Open(|plan| &mut plan.limits.daily_received_max)),
    ("daily_sends_max", Key::Open(|plan| &mut plan.limits.daily_sends_max)),
    ("inbox_retention_days", Key::Open(|plan| &mut plan.limits.inbox_retention_days)),
    ("spam_retention_days", Key::Open(|plan| &mut plan.limits.spam_retention_days)),
];

/// Reads the section `plans`: the presets, and the plans that it defines.
pub(super) fn read(section: Value) -> Result<Plans> {
    let Value::Table(tables) = section else { bail!("plans must be tables: [plans.<name>]") };
    let plans = tables.iter().map(|(name, table)| {
        let Value::Table(table) = table else { bail!("plans.{name} must be a table: [plans.{name}]") };
        plan(name, table)
    });
    Ok(Plans::with(plans.collect::<Result<Vec<_>>>()?))
}

fn plan(name: &str, table: &Table) -> Result<Plan> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    ensure!(
        (1..=64).contains(&name.len()) && name.chars().all(is_name),
        "plans.{name}: a plan's name is 1 to 64 of a-z, 0-9, _ and -"
    );
    let mut plan = Plan { name: name.to_owned(), ..base(name, table)? };
    for (key, value) in table {
        let Some((_, kind)) = KEYS.iter().find(|(known, _)| known == key) else {
            let known: Vec<String> = KEYS.iter().map(|(known, _)| (*known).to_owned()).collect();
            bail!("unknown key plans.{name}.{key}; did you mean plans.{name}.{}?", nearest(key, &known));
        };
        set(&mut plan, *kind, value).with_context(|| format!("plans.{name}.{key}"))?;
    }
    check(&plan)?;
    Ok(plan)
}

/// What the plan begins as: what it says, or the preset that it replaces, or the one without limits.
fn base(name: &str, table: &Table) -> Result<Plan> {
    let presets = Plans::presets();
    let wanted = match table.get("based_on") {
        Some(Value::String(base)) => base.as_str(),
        Some(_) => bail!("plans.{name}.based_on must be the name of a preset"),
        None if presets.find(name).is_some() => name,
        None => BASE,
    };
    let Some(base) = presets.find(wanted) else {
        let names: Vec<_> = presets.iter().map(|plan| plan.name.as_str()).collect();
        bail!("plans.{name}.based_on must be one of {}, not {wanted:?}", names.join(", "));
    };
    Ok(Plan::clone(base))
}

fn set(plan: &mut Plan, key: Key, value: &Value) -> Result<()> {
    match (key, value) {
        (Key::BasedOn, _) => {}
        (Key::Open(limit), Value::Integer(UNLIMITED)) => *limit(plan) = None,
        (Key::Open(limit), Value::Integer(number)) => {
            *limit(plan) = Some(u64::try_from(*number).context("must be at least 0, or -1 for unlimited")?);
        }
        (Key::Closed(limit), Value::Integer(number)) => {
            *limit(plan) = u64::try_from(*number).context("must be at least 0; it cannot be unlimited")?;
        }
        (Key::Open(_) | Key::Closed(_), _) => bail!("must be a whole number"),
        (Key::Overage, Value::Boolean(has_overage)) => plan.has_overage = *has_overage,
        (Key::Overage, _) => bail!("must be true or false"),
        (Key::AttachmentTypes, Value::Array(types)) => {
            let read = |value: &Value| MediaRange::parse(value.as_str().unwrap_or_default());
            plan.limits.attachment_types =
                types.iter().map(read).collect::<Result<_, _>>().context("each must be a text")?;
        }
        (Key::AttachmentTypes, _) => bail!("must be a list of media types; an empty one allows all"),
    }
    Ok(())
}

fn check(plan: &Plan) -> Result<()> {
    let (name, limits) = (&plan.name, &plan.limits);
    ensure!(
        limits.outbound_message_octets_max <= OUTBOUND_OCTETS_MAX,
        "plans.{name}.outbound_message_octets_max must be at most {OUTBOUND_OCTETS_MAX}"
    );
    let (rates, requests) = (&plan.send_rates, &plan.request_rates);
    for (key, rate) in [
        ("sends_per_second", rates.organization),
        ("sandbox_sends_per_second", rates.sandbox),
        ("domain_sends_per_second", rates.domain),
        ("mailbox_sends_per_second", rates.mailbox),
        ("key_sends_per_second", rates.key),
        ("requests_per_second", requests.application),
        ("mailbox_requests_per_second", requests.mailbox),
        ("mailbox_forms_per_second", requests.mailbox_forms),
        ("key_requests_per_second", requests.key),
    ] {
        let is_possible = rate.is_none_or(|rate| (1..=PER_SECOND_MAX).contains(&rate));
        ensure!(is_possible, "plans.{name}.{key} must be from 1 to {PER_SECOND_MAX}, or -1 for unlimited");
    }
    ensure!(
        rates.burst_seconds <= BURST_SECONDS_MAX,
        "plans.{name}.send_burst_seconds must be at most {BURST_SECONDS_MAX}"
    );
    ensure!(
        spam_goes_first(limits),
        "plans.{name}.spam_retention_days must be lower than plans.{name}.inbox_retention_days"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Plans> {
        read(text.parse::<Table>().unwrap().remove("plans").unwrap())
    }

    #[test]
    fn a_plan_is_its_base_and_what_it_says() {
        let plans = read_text(
            "[plans.gold]\nbased_on = \"free\"\ngrants_max = 7\nrules_max = -1\nlists_max = 0\ntrial_domains_max = 2\n\
             storage_octets_max = 3\nmonthly_bandwidth_octets_max = 4\nmonthly_sends_max = 5\noverage = true\n\
             attachment_octets_max = 6\nattachments_max = 8\nattachment_types = [\"image/*\", \"application/pdf\"]\n\
             inbound_message_octets_max = 9\noutbound_message_octets_max = 26214400\nmailbox_storage_octets_max = 11\n\
             daily_received_max = 12\ndaily_sends_max = -1\ninbox_retention_days = 14\nspam_retention_days = 13\n\
             [plans.silver]\nbased_on = \"free\"\n[plans.open]\ndaily_sends_max = 9\n[plans.full_platform]\n\
             grants_max = 500",
        )
        .unwrap();
        let gold = plans.find("gold").unwrap();
        let octets = [gold.storage_octets_max, gold.monthly_bandwidth_octets_max, gold.monthly_sends_max];
        assert_eq!(octets, [Some(3), Some(4), Some(5)]);
        let counts = [gold.grants_max, gold.rules_max, gold.lists_max, gold.trial_domains_max];
        assert_eq!((counts, gold.has_overage), ([Some(7), None, Some(0), Some(2)], true));
        let limits = &gold.limits;
        assert_eq!((limits.attachment_octets_max, limits.attachments_max), (6, 8));
        assert_eq!(
            limits.attachment_types.iter().map(MediaRange::as_str).collect::<Vec<_>>(),
            ["image/*", "application/pdf"]
        );
        assert_eq!((limits.inbound_message_octets_max, limits.outbound_message_octets_max), (9, 25 << 20));
        assert_eq!(
            (limits.storage_octets_max, limits.daily_received_max, limits.daily_sends_max),
            (Some(11), Some(12), None)
        );
        assert_eq!((limits.inbox_retention_days, limits.spam_retention_days), (Some(14), Some(13)));
        // What is not said is as in the base: the one that is named, the preset of that name, or self_hosted.
        let presets = Plans::presets();
        let like = |name: &str, base: &str| Plan { name: name.into(), ..Plan::clone(presets.find(base).unwrap()) };
        assert_eq!(**plans.find("silver").unwrap(), like("silver", "free"));
        let mut open = like("open", "self_hosted");
        open.limits.daily_sends_max = Some(9);
        assert_eq!(**plans.find("open").unwrap(), open);
        assert_eq!(
            **plans.find("full_platform").unwrap(),
            Plan { grants_max: Some(500), ..like("full_platform", "full_platform") }
        );
        assert_eq!(**plans.find("free").unwrap(), like("free", "free"));
    }

    #[test]
    fn every_refusal_names_its_key() {
        for (text, says) in [
            ("plans = 5", "plans must be tables"),
            ("[plans]\ngrants_max = 5", "plans.grants_max must be a table"),
            ("[plans.x]\ngrant_max = 5", "unknown key plans.x.grant_max; did you mean plans.x.grants_max?"),
            ("[plans.x]\ngrants_max = \"5\"", "plans.x.grants_max: must be a whole number"),
            ("[plans.x]\ngrants_max = 1.5", "plans.x.grants_max: must be a whole number"),
            ("[plans.x]\ngrants_max = -2", "plans.x.grants_max: must be at least 0, or -1 for unlimited"),
            ("[plans.x]\nattachments_max = -1", "plans.x.attachments_max: must be at least 0; it cannot be unlimited"),
            ("[plans.x]\noverage = 1", "plans.x.overage: must be true or false"),
            ("[plans.x]\nattachment_types = \"image/*\"", "plans.x.attachment_types: must be a list"),
            ("[plans.x]\nattachment_types = [\"image\"]", "must be a media type"),
            ("[plans.x]\nattachment_types = [5]", "plans.x.attachment_types: each must be a text"),
            ("[plans.x]\noutbound_message_octets_max = 26214401", "must be at most 26214400"),
            ("[plans.x]\nbased_on = \"gold\"", "must be one of free, full_platform, self_hosted, not \"gold\""),
            ("[plans.x]\nsends_per_second = 0", "plans.x.sends_per_second must be from 1 to 1000, or -1 for unlimited"),
            ("[plans.x]\nkey_sends_per_second = 1001", "plans.x.key_sends_per_second must be from 1 to 1000"),
            (
                "[plans.x]\nmailbox_requests_per_second = 0",
                "plans.x.mailbox_requests_per_second must be from 1 to 1000",
            ),
            ("[plans.x]\nsend_burst_seconds = 91", "plans.x.send_burst_seconds must be at most 90"),
            ("[plans.x]\nbased_on = 1", "plans.x.based_on must be the name of a preset"),
            ("[plans.x]\ninbox_retention_days = 5", "plans.x.spam_retention_days must be lower"),
            ("[plans.free]\nspam_retention_days = 30", "plans.free.spam_retention_days must be lower"),
            ("[plans.free]\nspam_retention_days = -1", "plans.free.spam_retention_days must be lower"),
            ("[plans.\"a b\"]", "a plan's name is 1 to 64 of"),
        ] {
            let refused = format!("{:#}", read_text(text).expect_err(text));
            assert!(refused.contains(says), "{refused}");
        }
        read_text("[plans.free]\nspam_retention_days = 29").unwrap();
    }

    /// The example of the default configuration is a plan, and both it and the document name every key.
    #[test]
    fn every_key_is_described() {
        let (_, example) = crate::config::DEFAULT.split_once("# [plans.gold]").unwrap();
        let lines = example.lines().map(|line| line.trim_start_matches(['#', ' ']));
        let keys: Vec<_> = lines.filter(|line| line.contains(" = ")).collect();
        let gold = read_text(&format!("[plans.gold]\n{}", keys.join("\n"))).unwrap();
        assert_eq!(gold.find("gold").unwrap().grants_max, Some(100));
        let document = include_str!("../../../../docs/reference/configuration.md");
        for (key, _) in KEYS {
            assert!(keys.iter().any(|line| line.starts_with(&format!("{key} = "))), "{key} is not in default.toml");
            assert!(document.contains(&format!("\n| `{key}` |")), "{key} is not in configuration.md");
        }
    }
}
