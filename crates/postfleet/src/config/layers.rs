//! Laying one source of settings over another, key by known key.

use super::{Config, plans, routes};
use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// How a setting in the environment begins.
const PREFIX: &str = "POSTFLEET_";

/// Merges all sources into a configuration.
pub(super) fn merge(
    defaults: &str,
    file: &str,
    environment: &[(String, String)],
    overrides: &[(&str, Value)],
) -> Result<Config> {
    let mut settings: Table = defaults.parse().context("the built-in defaults do not parse")?;
    let mut file: Table = file.parse().context("the configuration file is not TOML")?;
    let plans = file.remove("plans").map(plans::read).transpose().context("in the configuration file")?;
    let egress = file.remove("egress").map(routes::read_egress).transpose().context("in the configuration file")?;
    for (section, keys) in file {
        let Value::Table(keys) = keys else { bail!("{section} must be a section: [{section}]") };
        for (key, value) in keys {
            set(&mut settings, &section, &key, value).context("in the configuration file")?;
        }
    }
    for (name, text) in environment {
        let Some((section, key)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__")) else { continue };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        if section == "plans" || section == "egress" {
            bail!("{name}: {section} is defined in the configuration file alone");
        }
        let value = value_like(settings.get(&section).and_then(|keys| keys.get(&key)), text);
        set(&mut settings, &section, &key, value).with_context(|| format!("in the environment ({name})"))?;
    }
    for (name, value) in overrides {
        let (section, key) = name.split_once('.').unwrap_or((name, ""));
        set(&mut settings, section, key, value.clone()).context("on the command line")?;
    }
    let mut config: Config = settings.try_into().context("in the configuration")?;
    config.plans = plans.unwrap_or(config.plans);
    config.egress = egress.unwrap_or_default();
    Ok(config)
}

fn set(settings: &mut Table, section: &str, key: &str, value: Value) -> Result<()> {
    let sections: Vec<String> = settings.keys().cloned().collect();
    let Some(Value::Table(keys)) = settings.get_mut(section) else {
        bail!("unknown section [{section}]; did you mean [{}]?", nearest(section, &sections));
    };
    let known: Vec<String> = keys.keys().cloned().collect();
    let Some(old) = keys.get_mut(key) else {
        bail!("unknown key {section}.{key}; did you mean {section}.{}?", nearest(key, &known));
    };
    let value = match (&*old, value) {
        (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
        (_, value) => value,
    };
    if old.type_str() != value.type_str() {
        bail!("{section}.{key} must be of type {}, not {}", old.type_str(), value.type_str());
    }
    *old = value;
    Ok(())
}

/// Reads text from the environment as the type that the default has. A list may be a single bare value.
fn value_like(default: Option<&Value>, text: &str) -> Value {
    let bare = || Value::String(text.to_owned());
    match default {
        Some(Value::Integer(_)) => text.parse().map_or_else(|_| bare(), Value::Integer),
        Some(Value::Float(_)) => text.parse().map_or_else(|_| bare(), Value::Float),
        Some(Value::Boolean(_)) => text.parse().map_or_else(|_| bare(), Value::Boolean),
        Some(Value::Array(_)) => {
            let list = format!("list = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("list"));
            match list {
                Some(Value::Array(items)) => Value::Array(items),
                _ => Value::Array(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect()),
            }
        }
        _ => bare(),
    }
}

/// The known word that is the fewest edits away.
pub(super) fn nearest<'a>(word: &str, known: &'a [String]) -> &'a str {
    known.iter().min_by_key(|candidate| distance(word, candidate)).map_or("", String::as_str)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT, Role};

    fn load(file: &str, environment: &[(&str, &str)], overrides: &[(&str, Value)]) -> Result<Config> {
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        merge(DEFAULT, file, &environment, overrides)
    }

    fn refusal(file: &str, environment: &[(&str, &str)]) -> String {
        format!("{:#}", load(file, environment, &[]).expect_err("must be refused"))
    }

    #[test]
    fn later_sources_win() {
        let file = "[smtp]\nrecipients = 7\nerrors = 3\n[server]\nroles = [\"mx\"]";
        let environment = [("POSTFLEET_SMTP__ERRORS", "4"), ("POSTFLEET_HTTP__LISTEN", "127.0.0.1:1"), ("PATH", "/")];
        let overrides = [("http.listen", Value::String("127.0.0.1:2".into()))];
        let config = load(file, &environment, &overrides).unwrap();
        assert_eq!((config.smtp.recipients, config.smtp.errors, config.http.listen.port()), (7, 4, 2));
        assert_eq!(config.server.roles, [Role::Mx]);
    }

    #[test]
    fn plans_are_presets_and_what_the_file_defines() {
        let names = |config: &Config| config.plans.iter().map(|plan| plan.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&load("", &[], &[]).unwrap()), ["free", "full_platform", "self_hosted"]);
        let config = load("[plans.gold]\ndaily_sends_max = 5\n[smtp]\nrecipients = 7", &[], &[]).unwrap();
        assert_eq!(names(&config), ["free", "full_platform", "self_hosted", "gold"]);
        assert_eq!(config.plans.find("gold").unwrap().limits.daily_sends_max, Some(5));
        assert_eq!(config.smtp.recipients, 7);
    }

    #[test]
    fn metrics_of_each_mailbox_are_only_there_if_they_are_wanted() {
        assert!(!load("", &[], &[]).unwrap().metrics.by_account);
        assert!(load("[metrics]\nby_account = true", &[], &[]).unwrap().metrics.by_account);
        assert!(load("", &[("POSTFLEET_METRICS__BY_ACCOUNT", "true")], &[]).unwrap().metrics.by_account);
    }

    #[test]
    fn lists_in_the_environment_may_be_bare() {
        for text in ["127.0.0.0/8", "[\"127.0.0.0/8\"]"] {
            let config = load("", &[("POSTFLEET_WEBHOOKS__ALLOW", text)], &[]).unwrap();
            assert_eq!(config.webhooks.allow, ["127.0.0.0/8"]);
        }
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_named() {
        assert!(refusal("[smpt]\nlisten = \"\"", &[]).contains("unknown section [smpt]; did you mean [smtp]?"));
        assert!(refusal("[smtp]\nrecipient = 1", &[]).contains("smtp.recipient; did you mean smtp.recipients?"));
        assert!(refusal("", &[("POSTFLEET_SMTP__LISTN", "x")]).contains("did you mean smtp.listen?"));
        assert!(refusal("[smtp]\nrecipients = \"many\"", &[]).contains("smtp.recipients must be of type integer"));
        assert!(refusal("[plan.x]", &[]).contains("unknown section [plan]"));
        assert!(refusal("[plans.x]\ngrant = 1", &[]).contains("did you mean plans.x.grants_max?"));
        for name in ["POSTFLEET_PLANS__X", "POSTFLEET_EGRESS__X"] {
            assert!(refusal("", &[(name, "1")]).contains("in the configuration file alone"));
        }
        assert!(refusal("[server]\nroles = [\"cook\"]", &[]).contains("cook"));
    }
}
