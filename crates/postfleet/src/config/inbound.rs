//! The section `[inbound]`, read and checked.

use super::Config;
use anyhow::{Context, Result, ensure};
use postfleet_core::Domain;
use postfleet_core::authentication::DmarcEnforcement;
use postfleet_mailflow::AuthenticationSettings;
use serde::Deserialize;

/// Sealers that can be named.
const SEALERS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
pub struct Inbound {
    pub dmarc: String,
    pub trusted_arc_sealers: Vec<String>,
}

impl Config {
    /// How far it is believed who sent a message, and what follows.
    pub fn authentication(&self) -> Result<AuthenticationSettings> {
        let Inbound { dmarc, trusted_arc_sealers } = &self.inbound;
        let enforcement = DmarcEnforcement::parse(dmarc)
            .with_context(|| format!("inbound.dmarc: {dmarc:?} is none of label, quarantine, reject"))?;
        ensure!(
            trusted_arc_sealers.len() <= SEALERS_MAX,
            "inbound.trusted_arc_sealers must have at most {SEALERS_MAX} domains"
        );
        let sealer = |name: &String| {
            Domain::parse(name).with_context(|| format!("inbound.trusted_arc_sealers: {name:?} is not a domain"))
        };
        let trusted_arc_sealers = trusted_arc_sealers.iter().map(sealer).collect::<Result<_>>()?;
        Ok(AuthenticationSettings { dmarc: enforcement, trusted_arc_sealers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT, layers};

    fn read(file: &str) -> Result<AuthenticationSettings> {
        layers::merge(DEFAULT, file, &[], &[])?.authentication()
    }

    #[test]
    fn words_and_domains() {
        let set = read("").expect("defaults");
        assert!(set.dmarc == DmarcEnforcement::Quarantine && set.trusted_arc_sealers.is_empty());
        let set =
            read("[inbound]\ndmarc = \"reject\"\ntrusted_arc_sealers = [\"Lists.Example\"]").expect("configuration");
        assert_eq!(set.dmarc, DmarcEnforcement::Reject);
        assert_eq!(set.trusted_arc_sealers, [Domain::parse("lists.example").expect("domain")]);
        for (line, key) in [
            ("dmarc = \"refuse\"", "inbound.dmarc"),
            ("trusted_arc_sealers = [\"a b\"]", "inbound.trusted_arc_sealers"),
        ] {
            let refusal = format!("{:#}", read(&format!("[inbound]\n{line}")).expect_err(line));
            assert!(refusal.contains(key), "{refusal}");
        }
    }
}
