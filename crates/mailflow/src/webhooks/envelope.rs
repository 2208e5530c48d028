//! What webhooks are sent, for those who are told once: the same without the number of the attempt.

use super::payload;
use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_store::events::Event;

/// How the first attempt stands in a body, before anything that others have written.
const ATTEMPT: &[u8] = b"\"webhook_delivery_attempt\":1,";

/// An event as webhooks are told of it.
pub(crate) async fn envelope(platform: &Platform, event: &Event, name: &'static str) -> Result<Vec<u8>, Problem> {
    Ok(without_attempt(payload::body(platform, event, name, 1).await?))
}

fn without_attempt(mut body: Vec<u8>) -> Vec<u8> {
    if let Some(start) = body.windows(ATTEMPT.len()).position(|octets| octets == ATTEMPT) {
        body.drain(start..start + ATTEMPT.len());
    }
    body
}

#[cfg(test)]
mod tests {
    use super::without_attempt;

    #[test]
    fn the_attempt_is_left_out_and_nothing_else() {
        for (body, left) in [
            (r#"{"id":"1","webhook_delivery_attempt":1,"data":{}}"#, r#"{"id":"1","data":{}}"#),
            (
                r#"{"webhook_delivery_attempt":1,"data":{"body":"\"webhook_delivery_attempt\":1,"}}"#,
                r#"{"data":{"body":"\"webhook_delivery_attempt\":1,"}}"#,
            ),
            (r#"{"id":"1"}"#, r#"{"id":"1"}"#),
        ] {
            assert_eq!(String::from_utf8(without_attempt(body.into())).expect("text"), left, "{body}");
        }
    }
}
