//! The section `[bus]`, read and checked.

use anyhow::{Result, ensure};
use postfleet_bus::NatsOptions;
use postfleet_mailflow::bus::BusSettings;
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, Deserialize)]
pub struct BusSection {
    pub url: String,
    pub prefix: String,
    pub credentials: String,
    pub tls_ca: String,
    pub include_junk: bool,
    pub send: bool,
    pub stream_days: u64,
    pub replicas: usize,
    pub duplicate_seconds: u64,
}

impl BusSection {
    /// Whether what is written there can be meant.
    pub fn check(&self) -> Result<()> {
        let servers: Vec<&str> = self.url.split(',').map(str::trim).collect();
        let is_url =
            |one: &&str| ["nats://", "tls://"].iter().any(|scheme| one.len() > scheme.len() && one.starts_with(scheme));
        ensure!(
            self.url.is_empty() || servers.iter().all(is_url),
            "bus.url must be nats://host:port or tls://host:port, several with commas between them, or empty"
        );
        ensure!(!self.send || !self.url.is_empty(), "bus.send needs bus.url: sends come by a bus");
        let is_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ensure!(
            (1..=32).contains(&self.prefix.len()) && self.prefix.chars().all(is_token),
            "bus.prefix must be 1 to 32 of A-Z, a-z, 0-9, \"-\" and \"_\""
        );
        ensure!((1..=3_650).contains(&self.stream_days), "bus.stream_days must be from 1 to 3650");
        ensure!((1..=5).contains(&self.replicas), "bus.replicas must be from 1 to 5");
        ensure!((1..=86_400).contains(&self.duplicate_seconds), "bus.duplicate_seconds must be from 1 to 86400");
        Ok(())
    }

    /// How the bus is reached; `None` if there is none.
    pub fn options(&self) -> Option<NatsOptions> {
        let path = |text: &str| (!text.is_empty()).then(|| text.into());
        (!self.url.is_empty()).then(|| NatsOptions {
            url: self.url.clone(),
            credentials: path(&self.credentials),
            tls_ca: path(&self.tls_ca),
        })
    }

    /// What is published there.
    pub fn settings(&self) -> BusSettings {
        BusSettings {
            prefix: self.prefix.clone(),
            keep: Duration::from_secs(self.stream_days * 86_400),
            duplicates: Duration::from_secs(self.duplicate_seconds),
            replicas: self.replicas,
            include_junk: self.include_junk,
            send: self.send,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, DEFAULT, layers};

    fn config(lines: &str) -> Config {
        layers::merge(DEFAULT, &format!("[bus]\n{lines}"), &[], &[]).expect("config")
    }

    #[test]
    fn there_is_no_bus_unless_it_is_named() {
        let section = config("").bus;
        assert!(section.check().is_ok());
        assert!(section.options().is_none());
        assert_eq!(section.settings(), BusSettings::default());
        let section = config("url = \"nats://127.0.0.1:4222, tls://b.test\"\nprefix = \"mail\"\nstream_days = 2").bus;
        assert!(section.check().is_ok());
        assert!(section.options().unwrap().credentials.is_none());
        assert_eq!(section.settings().events().name, "MAIL_EVENTS");
        assert_eq!(section.settings().sends().name, "MAIL_SEND");
        assert_eq!(section.settings().keep, Duration::from_secs(172_800));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (lines, key) in [
            ("url = \"http://127.0.0.1\"", "bus.url"),
            ("url = \"nats://\"", "bus.url"),
            ("url = \"nats://a,b\"", "bus.url"),
            ("send = true", "bus.send"),
            ("prefix = \"\"", "bus.prefix"),
            ("prefix = \"a.b\"", "bus.prefix"),
            ("prefix = \"a>\"", "bus.prefix"),
            ("prefix = \"0123456789012345678901234567890123\"", "bus.prefix"),
            ("stream_days = 0", "bus.stream_days"),
            ("replicas = 0", "bus.replicas"),
            ("replicas = 6", "bus.replicas"),
            ("duplicate_seconds = 0", "bus.duplicate_seconds"),
        ] {
            let error = config(lines).bus.check().expect_err(lines);
            assert!(error.to_string().contains(key), "{lines}: {error}");
        }
    }
}
