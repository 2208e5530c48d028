//! A server of rspamd, where the operator runs one: it is shown each message once, with its envelope (`POST /checkv2`), and
//! what it finds becomes reasons. One that fails, or takes too long, says nothing.

use crate::platform::Platform;
use crate::receive::Arrival;
use bytes::Bytes;
use postfleet_core::spam::SpamReason;
use postfleet_net::WebhookHttp;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The largest message that it is shown.
const MESSAGE_OCTETS_MAX: usize = 4 << 20;

/// Recipients that it is told.
const RECIPIENTS_MAX: usize = 100;

/// Of its symbols, the weightiest become reasons of their own.
const SYMBOLS_MAX: usize = 30;

/// The score at which rspamd marks mail as spam unless it is told otherwise ("add header").
const ITS_THRESHOLD: f64 = 6.0;

/// What is done with what it finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RspamdMode {
    /// It is added to what is found here.
    Add,
    /// It takes the place of what is found here of the message and its sender; what the mailbox and its application know
    /// stays.
    Replace,
}

/// Where it is.
#[derive(Clone)]
pub struct Rspamd {
    /// Where it takes messages: `http://host:11333/checkv2`.
    pub url: String,
    /// What is done with what it finds.
    pub mode: RspamdMode,
    /// How long it may take.
    pub deadline: Duration,
    /// HTTP that may reach it: the operator says where it is, so it may be on any network.
    pub http: Arc<WebhookHttp>,
}

impl std::fmt::Debug for Rspamd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rspamd").field("url", &self.url).field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// What it finds of a message; nothing if there is none, or it has no answer in time.
pub(crate) async fn check(platform: &Platform, arrival: &Arrival) -> Option<(RspamdMode, Vec<SpamReason>)> {
    let rspamd = platform.settings.spam.rspamd.as_ref()?;
    if arrival.message.len() > MESSAGE_OCTETS_MAX {
        platform.metrics.rspamd("too_large");
        return None;
    }
    let headers = headers(platform, arrival);
    let headers: Vec<(&str, String)> = headers.into_iter().filter(|(_, value)| is_field_value(value)).collect();
    let body = Bytes::from(arrival.message.clone());
    let (result, reasons) = match rspamd.http.post(&rspamd.url, &headers, body, rspamd.deadline).await {
        Ok(answer) if answer.status == 200 => match reasons(&answer.body_prefix) {
            Some(reasons) => ("answered", Some((rspamd.mode, reasons))),
            None => ("unreadable", None),
        },
        Ok(_) => ("refused", None),
        Err(error) => {
            tracing::warn!(%error, "rspamd did not answer");
            ("failed", None)
        }
    };
    platform.metrics.rspamd(result);
    reasons
}

/// The envelope, in the fields that rspamd reads.
fn headers(platform: &Platform, arrival: &Arrival) -> Vec<(&'static str, String)> {
    let from = arrival.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default();
    let mut headers = vec![
        ("IP", arrival.ip.to_canonical().to_string()),
        ("Helo", arrival.helo.clone()),
        ("From", from),
        ("MTA-Name", platform.settings.hostname.to_string()),
        ("Content-Type", "message/rfc822".to_owned()),
    ];
    headers.extend(arrival.recipients.iter().take(RECIPIENTS_MAX).map(|recipient| ("Rcpt", recipient.to_string())));
    headers
}

fn is_field_value(value: &str) -> bool {
    value.len() <= 1_000 && value.bytes().all(|octet| (b' '..=b'~').contains(&octet))
}

/// The symbols of an answer as reasons, in our scale, and what is left of its score as one more.
fn reasons(body: &[u8]) -> Option<Vec<SpamReason>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    if answer["is_skipped"] == true {
        return Some(Vec::new());
    }
    let total = hundredths(answer["score"].as_f64()?);
    let empty = serde_json::Map::new();
    let symbols = answer["symbols"].as_object().unwrap_or(&empty);
    let mut found: Vec<(i64, SpamReason)> = symbols.iter().filter_map(|(name, symbol)| reason(name, symbol)).collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(score.abs()));
    found.truncate(SYMBOLS_MAX);
    let left = total - found.iter().map(|(score, _)| score).sum::<i64>();
    let mut reasons: Vec<SpamReason> = found.into_iter().map(|(_, reason)| reason).collect();
    if left != 0 {
        reasons.push(SpamReason::new("rspamd_other", left, "what else makes the score of rspamd"));
    }
    Some(reasons)
}

fn reason(name: &str, symbol: &Value) -> Option<(i64, SpamReason)> {
    let score = hundredths(symbol["score"].as_f64().or_else(|| symbol["metric_score"].as_f64())?);
    if score == 0 {
        return None;
    }
    let kept = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let short: String = name.to_ascii_lowercase().chars().filter(kept).take(60).collect();
    let text = symbol["description"].as_str().filter(|text| !text.is_empty()).unwrap_or(name);
    Some((score, SpamReason::new(&format!("rspamd_{short}"), score, format!("rspamd: {text}"))))
}

/// Its points in our scale: what marks spam there does so here.
fn hundredths(points: f64) -> i64 {
    if !points.is_finite() {
        return 0;
    }
    (points.clamp(-1_000.0, 1_000.0) * postfleet_core::spam::THRESHOLD as f64 / ITS_THRESHOLD).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Vec<(String, i64)>> {
        Some(reasons(body.as_bytes())?.into_iter().map(|reason| (reason.name.clone(), reason.hundredths())).collect())
    }

    #[test]
    fn what_an_answer_says() {
        let found = |reasons: &[(&str, i64)]| {
            Some(reasons.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect::<Vec<_>>())
        };
        for (body, expected) in [
            (r#"{"score": 0}"#, found(&[])),
            (r#"{"score": 6}"#, found(&[("rspamd_other", 500)])),
            (
                r#"{"score": 7.2, "symbols": {"A-B": {"score": 6, "description": "x"}, "C": {"score": 1.2}, "D": {"score": 0}}}"#,
                found(&[("rspamd_ab", 500), ("rspamd_c", 100)]),
            ),
            (r#"{"score": -3, "symbols": {"OK": {"score": -3}}}"#, found(&[("rspamd_ok", -250)])),
            (r#"{"is_skipped": true}"#, found(&[])),
            (r#"{"score": "high"}"#, None),
            (r#"{"symbols": {}}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(read(body), expected, "{body}");
        }
        let many: Vec<String> = (0..100).map(|number| format!("\"S{number}\": {{\"score\": 1}}")).collect();
        let found = read(&format!("{{\"score\": 100, \"symbols\": {{{}}}}}", many.join(", "))).unwrap();
        assert_eq!(found.len(), SYMBOLS_MAX + 1);
        assert_eq!(found.iter().map(|(_, score)| score).sum::<i64>(), 8_333);
    }

    #[test]
    fn what_cannot_be_a_field_is_left_out() {
        assert!(is_field_value("mx.x.test") && is_field_value(""));
        assert!(!is_field_value("a\r\nb") && !is_field_value("ä") && !is_field_value(&"a".repeat(1_001)));
    }
}
