//! The section `[spam]`, read and checked.

use super::{Config, SpamSection};
use anyhow::{Context, Result, bail, ensure};
use postfleet_core::Domain;
use postfleet_core::block_list::ZONES_MAX;
use postfleet_mailflow::spam::{Rspamd, RspamdMode, SpamSettings};
use postfleet_net::WebhookHttp;
use postfleet_net::webhook_http::{WebhookHttpOptions, check_url};
use std::sync::Arc;
use std::time::Duration;

impl Config {
    /// What the operator has set for spam.
    pub fn spam_settings(&self) -> Result<SpamSettings> {
        let SpamSection { address_zones, domain_zones, list_deadline_ms, .. } = &self.spam;
        ensure!((100..=10_000).contains(list_deadline_ms), "spam.list_deadline_ms must be from 100 to 10000");
        Ok(SpamSettings {
            address_zones: zones("spam.address_zones", address_zones)?,
            domain_zones: zones("spam.domain_zones", domain_zones)?,
            list_deadline: Duration::from_millis(*list_deadline_ms),
            rspamd: self.rspamd()?,
        })
    }

    fn rspamd(&self) -> Result<Option<Rspamd>> {
        let SpamSection { rspamd_url: url, rspamd_mode: mode, rspamd_deadline_ms: deadline, .. } = &self.spam;
        ensure!((100..=30_000).contains(deadline), "spam.rspamd_deadline_ms must be from 100 to 30000");
        let mode = match mode.as_str() {
            "add" => RspamdMode::Add,
            "replace" => RspamdMode::Replace,
            other => bail!("spam.rspamd_mode: {other:?} is neither \"add\" nor \"replace\""),
        };
        if url.is_empty() {
            return Ok(None);
        }
        // The operator says where it is: it may be on any network, and in the clear.
        let anywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse().context("network"));
        let allow: Vec<_> = anywhere.into_iter().collect::<Result<_>>()?;
        check_url(url, &allow).with_context(|| format!("spam.rspamd_url: {url:?}"))?;
        let http = WebhookHttp::with_options(WebhookHttpOptions { allow, ..WebhookHttpOptions::default() });
        Ok(Some(Rspamd { url: url.clone(), mode, deadline: Duration::from_millis(*deadline), http: Arc::new(http) }))
    }
}

fn zones(key: &str, names: &[String]) -> Result<Vec<Domain>> {
    ensure!(names.len() <= ZONES_MAX, "{key} must have at most {ZONES_MAX} lists");
    let zone = |name: &String| Domain::parse(name).with_context(|| format!("{key}: {name:?}"));
    let mut zones: Vec<Domain> = names.iter().map(zone).collect::<Result<_>>()?;
    zones.sort();
    zones.dedup();
    Ok(zones)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT, layers};

    fn settings(lines: &str) -> Result<SpamSettings> {
        layers::merge(DEFAULT, &format!("[spam]\n{lines}"), &[], &[])?.spam_settings()
    }

    #[test]
    fn nothing_is_asked_unless_it_is_named() {
        let default = settings("").unwrap();
        assert!(default.address_zones.is_empty() && default.domain_zones.is_empty() && default.rspamd.is_none());
        assert_eq!(default.list_deadline, Duration::from_millis(1_500));
    }

    #[test]
    fn everything_can_be_set_and_nothing_wrong() {
        let set = settings(
            "address_zones = [\"B.test\", \"a.test\"]\nlist_deadline_ms = 100\n\
             rspamd_url = \"http://10.0.0.7:11333/checkv2\"\nrspamd_mode = \"replace\"",
        );
        let set = set.unwrap();
        assert_eq!(set.address_zones.iter().map(Domain::to_string).collect::<Vec<_>>(), ["a.test", "b.test"]);
        let rspamd = set.rspamd.unwrap();
        assert_eq!((rspamd.mode, rspamd.deadline), (RspamdMode::Replace, Duration::from_secs(3)));
        for (line, says) in [
            ("address_zones = [\"no name\"]", "spam.address_zones"),
            ("list_deadline_ms = 99", "list_deadline_ms"),
            ("list_deadline_ms = 10001", "list_deadline_ms"),
            ("rspamd_deadline_ms = 30001", "rspamd_deadline_ms"),
            ("rspamd_mode = \"both\"", "\"both\" is neither"),
            ("rspamd_url = \"ftp://x.test/\"", "spam.rspamd_url"),
            ("rspamd_url = \"rspamd\"", "spam.rspamd_url"),
        ] {
            let refusal = format!("{:#}", settings(line).expect_err(line));
            assert!(refusal.contains(says), "{line}: {refusal}");
        }
    }
}
