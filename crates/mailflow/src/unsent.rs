//! What events say of a send that does not leave, be it held or for later.

use postfleet_core::Problem;
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::error::status_and_type;
use postfleet_store::messages::StoredMessage;
use serde_json::{Value, json};

/// The reason, and the message with `facts` about what it waited for: it is nowhere else, unless it was a draft.
pub(crate) fn told(message: Option<&StoredMessage>, facts: &Value, refusal: &Problem) -> Value {
    let (status, kind) = status_and_type(refusal.kind);
    let object = message.and_then(|stored| {
        let mut shown = serde_json::to_value(view::message(stored, None, Fields::Standard)).ok()?;
        shown["object"] = "message".into();
        shown.as_object_mut()?.extend(facts.as_object()?.clone());
        Some(shown)
    });
    json!({
        "reason": refusal.public,
        "error": {
            "type": kind,
            "code": refusal.code,
            "message": refusal.public,
            "status_code": status,
            "provider_error": null,
        },
        "object": object,
    })
}
