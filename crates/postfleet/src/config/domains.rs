//! The section `[domains]`, read and checked.

use super::{BlockListSection, Config, Domains};
use anyhow::{Context, Result, ensure};
use postfleet_core::block_list::{BlockLists, ZONES_MAX};
use postfleet_core::domain_records::{DomainSettings, RecordKind};
use postfleet_core::{Domain, EmailAddress};
use std::time::Duration;

/// Octets of an SPF mechanism: with the rest of the record it fits into one string of a TXT record.
const SPF_OCTETS_MAX: usize = 200;

impl Config {
    /// What the operator has set for domains.
    pub fn domain_settings(&self) -> Result<DomainSettings> {
        let Domains { trial, mx_host, spf, feedback_label, required_to_send, recheck_hours, .. } = &self.domains;
        let defaults = DomainSettings::of(&self.server.hostname.0);
        let trial = trial.iter().map(|name| domain("domains.trial", name)).collect::<Result<_>>()?;
        let mx_host = if mx_host.is_empty() { defaults.mx_host } else { domain("domains.mx_host", mx_host)? };
        ensure!(is_mechanism(spf), "domains.spf: {spf:?} is not an SPF mechanism such as \"a:mx.example.com\"");
        let label = domain("domains.feedback_label", feedback_label)?;
        ensure!(!label.as_str().contains('.'), "domains.feedback_label must be one label, such as \"bounces\"");
        let required = required_to_send.iter().map(|name| {
            RecordKind::named(name).with_context(|| {
                let names: Vec<_> = RecordKind::ALL.iter().map(|kind| kind.name()).collect();
                format!("domains.required_to_send: {name:?} is none of {}", names.join(", "))
            })
        });
        let required: Vec<RecordKind> = required.collect::<Result<_>>()?;
        ensure!(required.contains(&RecordKind::Ownership), "domains.required_to_send must have \"ownership\"");
        ensure!((1..=24 * 30).contains(recheck_hours), "domains.recheck_hours must be from 1 to 720");
        Ok(DomainSettings {
            trial,
            mx_host,
            spf_mechanism: if spf.is_empty() { defaults.spf_mechanism } else { spf.clone() },
            feedback_label: label.to_string(),
            required_to_send: required,
            recheck: Duration::from_secs(recheck_hours * 3_600),
            report_mailbox: self.report_mailbox()?,
            block_lists: self.block_lists()?,
            sending: self.sending_addresses(),
        })
    }

    /// How long reports about domains are kept.
    pub fn report_retention(&self) -> Result<Duration> {
        let days = self.domains.report_days;
        ensure!((31..=3_650).contains(&days), "domains.report_days must be from 31 to 3650");
        Ok(Duration::from_secs(days * 86_400))
    }

    fn report_mailbox(&self) -> Result<String> {
        let name = &self.domains.report_mailbox;
        let is_name = EmailAddress::parse(&format!("{name}@{}", self.server.hostname.0)).is_ok()
            && name.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'));
        ensure!(is_name, "domains.report_mailbox must be small letters, digits, \"-\", \".\" and \"_\"");
        Ok(name.clone())
    }

    fn block_lists(&self) -> Result<BlockLists> {
        let BlockListSection { address_zones, domain_zones, recheck_hours } = &self.block_lists;
        ensure!((1..=24 * 30).contains(recheck_hours), "block_lists.recheck_hours must be from 1 to 720");
        let zones = |key: &str, names: &[String]| -> Result<Vec<Domain>> {
            ensure!(names.len() <= ZONES_MAX, "{key} must have at most {ZONES_MAX} lists");
            let mut zones: Vec<Domain> = names.iter().map(|name| domain(key, name)).collect::<Result<_>>()?;
            zones.sort();
            zones.dedup();
            Ok(zones)
        };
        Ok(BlockLists {
            address_zones: zones("block_lists.address_zones", address_zones)?,
            domain_zones: zones("block_lists.domain_zones", domain_zones)?,
            every: Duration::from_secs(recheck_hours * 3_600),
        })
    }
}

fn domain(key: &str, text: &str) -> Result<Domain> {
    Domain::parse(text).with_context(|| format!("{key}: {text:?}"))
}

/// One word or several, printable, and none that ends the record.
fn is_mechanism(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.trim_start_matches(['+', '-', '~', '?']) != "all";
    text.len() <= SPF_OCTETS_MAX
        && text.bytes().all(|octet| matches!(octet, b' '..=b'~') && octet != b'"')
        && (text.is_empty() || text.split(' ').all(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT, layers};

    fn settings(file: &str) -> Result<DomainSettings> {
        layers::merge(DEFAULT, file, &[], &[])?.domain_settings()
    }

    #[test]
    fn the_defaults_follow_the_name_of_the_server() {
        let settings = settings("[server]\nhostname = \"mx.example.com\"").unwrap();
        assert_eq!(settings, DomainSettings::of(&Domain::parse("mx.example.com").unwrap()));
    }

    #[test]
    fn everything_can_be_set_and_nothing_wrong() {
        let file = "[domains]\ntrial = [\"Try.example.com\"]\nmx_host = \"in.example.com\"\n\
            spf = \"include:spf.example.com\"\nfeedback_label = \"fbl\"\nrequired_to_send = [\"ownership\", \"mx\"]\n\
            recheck_hours = 2\nreport_mailbox = \"dmarc\"\n[block_lists]\naddress_zones = [\"B.test\", \"a.test\"]\n\
            domain_zones = [\"names.test\"]\nrecheck_hours = 1\n[delivery]\npublic_addresses = [\"203.0.113.7\"]";
        let set = settings(file).unwrap();
        assert_eq!((set.trial[0].as_str(), set.mx_host.as_str()), ("try.example.com", "in.example.com"));
        assert_eq!((set.spf_mechanism.as_str(), set.feedback_label.as_str()), ("include:spf.example.com", "fbl"));
        assert_eq!(set.required_to_send, [RecordKind::Ownership, RecordKind::Mx]);
        assert_eq!(set.recheck, Duration::from_secs(7_200));
        assert_eq!(set.report_mailbox, "dmarc");
        let names = |zones: &[Domain]| zones.iter().map(Domain::to_string).collect::<Vec<_>>().join(" ");
        let lists = &set.block_lists;
        assert_eq!(
            (names(&lists.address_zones), names(&lists.domain_zones)),
            ("a.test b.test".into(), "names.test".into())
        );
        assert_eq!((lists.every, lists.is_off()), (Duration::from_secs(3_600), false));
        assert_eq!(set.sending.told, ["203.0.113.7".parse::<std::net::IpAddr>().unwrap()]);
        for (line, says) in [
            ("trial = [\"not a name\"]", "domains.trial"),
            ("mx_host = \"-\"", "domains.mx_host"),
            ("spf = \"a:mx -all\"", "domains.spf"),
            ("spf = \"a\\\"b\"", "domains.spf"),
            ("feedback_label = \"a.b\"", "one label"),
            ("feedback_label = \"\"", "domains.feedback_label"),
            ("required_to_send = [\"ownership\", \"tls\"]", "\"tls\" is none of ownership, mx"),
            ("required_to_send = [\"spf\"]", "must have \"ownership\""),
            ("recheck_hours = 0", "recheck_hours"),
            ("recheck_hours = 721", "recheck_hours"),
            ("report_mailbox = \"a@b\"", "domains.report_mailbox"),
            ("report_mailbox = \"\"", "domains.report_mailbox"),
            ("[block_lists]\nrecheck_hours = 0", "block_lists.recheck_hours"),
            ("[block_lists]\naddress_zones = [\"no name\"]", "block_lists.address_zones"),
        ] {
            let refusal = format!("{:#}", settings(&format!("[domains]\n{line}")).expect_err(line));
            assert!(refusal.contains(says), "{line}: {refusal}");
        }
    }
}
