//! The section `[telemetry]`, read and checked.

use super::Config;
use anyhow::{Context, Result, ensure};
use postfleet_net::webhook_http::check_url;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;

#[derive(Debug, Deserialize)]
pub struct TelemetrySection {
    pub otlp_endpoint: String,
    pub headers: Vec<String>,
    pub service_name: String,
    pub traces_ratio: f64,
    pub metrics_seconds: u64,
    pub logs: bool,
}

/// What is exported, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetrySettings {
    /// The URL below which the collector takes each signal, without a slash at its end.
    pub endpoint: String,
    /// What each request carries besides.
    pub headers: HashMap<String, String>,
    /// What this server is called.
    pub service_name: String,
    /// Which part of the traces that begin here is recorded.
    pub traces_ratio: f64,
    /// How often metrics are exported.
    pub metrics_every: Duration,
    /// Whether log lines are exported.
    pub logs: bool,
}

impl Config {
    /// What is exported; `None` if nothing is.
    pub fn telemetry_settings(&self) -> Result<Option<TelemetrySettings>> {
        let section = &self.telemetry;
        let (ratio, seconds) = (section.traces_ratio, section.metrics_seconds);
        ensure!((0.0..=1.0).contains(&ratio), "telemetry.traces_ratio must be from 0.0 to 1.0");
        ensure!((1..=3_600).contains(&seconds), "telemetry.metrics_seconds must be from 1 to 3600");
        ensure!(!section.service_name.is_empty(), "telemetry.service_name must not be empty");
        let headers = section.headers.iter().map(|line| header(line)).collect::<Result<_>>()?;
        if section.otlp_endpoint.is_empty() {
            return Ok(None);
        }
        let endpoint = section.otlp_endpoint.trim_end_matches('/').to_owned();
        // The operator says where it is: it may be on any network, and in the clear.
        let anywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse().context("network"));
        let anywhere: Vec<_> = anywhere.into_iter().collect::<Result<_>>()?;
        check_url(&endpoint, &anywhere).with_context(|| format!("telemetry.otlp_endpoint: {endpoint:?}"))?;
        Ok(Some(TelemetrySettings {
            endpoint,
            headers,
            service_name: section.service_name.clone(),
            traces_ratio: ratio,
            metrics_every: Duration::from_secs(seconds),
            logs: section.logs,
        }))
    }
}

/// Its value may be a secret, and is not told again.
fn header(line: &str) -> Result<(String, String)> {
    let (name, value) = line.split_once(':').context("telemetry.headers: a header must be \"Name: value\"")?;
    let (name, value) = (name.trim(), value.trim());
    let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    ensure!(!name.is_empty() && name.bytes().all(is_token), "telemetry.headers: {name:?} is no name of a header");
    let is_text = value.bytes().all(|octet| octet == b'\t' || (b' '..0x7f).contains(&octet));
    ensure!(is_text, "telemetry.headers: the value of {name} has characters that HTTP does not allow");
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT, layers};

    fn settings(text: &str) -> Result<Option<TelemetrySettings>> {
        layers::merge(DEFAULT, &format!("[telemetry]\n{text}"), &[], &[])?.telemetry_settings()
    }

    #[test]
    fn nothing_is_exported_without_a_collector() {
        assert_eq!(settings("logs = true").unwrap(), None);
    }

    #[test]
    fn a_collector_may_be_anywhere() {
        let text = "otlp_endpoint = \"http://127.0.0.1:4318/\"\nheaders = [\"Api-Key: a b\"]\ntraces_ratio = 1";
        let read = settings(text).unwrap().unwrap();
        assert_eq!(read.endpoint, "http://127.0.0.1:4318");
        assert_eq!(read.headers, HashMap::from([("api-key".to_owned(), "a b".to_owned())]));
        assert_eq!((read.service_name.as_str(), read.traces_ratio, read.logs), ("postfleet", 1.0, false));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("traces_ratio = 1.5", "traces_ratio must be from 0.0 to 1.0"),
            ("traces_ratio = nan", "traces_ratio must be from 0.0 to 1.0"),
            ("metrics_seconds = 0", "metrics_seconds must be from 1 to 3600"),
            ("service_name = \"\"", "service_name must not be empty"),
            ("headers = [\"no colon\"]", "must be \"Name: value\""),
            ("headers = [\"a b: c\"]", "no name of a header"),
            ("headers = [\"a: \\u0007\"]", "characters that HTTP does not allow"),
            ("otlp_endpoint = \"127.0.0.1:4318\"", "telemetry.otlp_endpoint"),
            ("otlp_endpoint = \"ftp://collector\"", "telemetry.otlp_endpoint"),
        ];
        for (text, part) in cases {
            let error = format!("{:#}", settings(text).expect_err(text));
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
