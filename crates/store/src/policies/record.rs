//! How the record of changes shows a policy: what it sets itself, in the words of the interface.

use super::Policy;
use postfleet_core::MediaRange;
use postfleet_core::policy::{ATTACHMENT_TYPES, LimitField};
use serde_json::{Map, Value, json};

pub(super) fn show(policy: &Policy) -> Value {
    let mut limits = Map::new();
    for field in LimitField::ALL {
        if let Some(value) = field.set_by(&policy.limits) {
            limits.insert(field.name().to_owned(), value.into());
        }
    }
    let types: Vec<_> = policy.limits.attachment_types.iter().map(MediaRange::as_str).collect();
    if !types.is_empty() {
        limits.insert(ATTACHMENT_TYPES.to_owned(), types.into());
    }
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    json!({
        "name": policy.name,
        "limits": limits,
        "spam_detection": {
            "use_list_dnsbl": policy.spam.use_list_dnsbl,
            "use_header_anomaly_detection": policy.spam.use_header_anomaly_detection,
            "spam_sensitivity": f64::from(policy.spam.sensitivity_permille) / 1_000.0,
        },
        "options": parsed(&policy.options),
        "rules": parsed(&policy.rules),
    })
}
