//! `/v3/grants/{grant}/messages/clean`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_mailbox::clean;
use postfleet_schema::clean::CleanMessages;
use postfleet_schema::message::Message;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::put(crate::select::CLEAN, "messages.read", clean)
            .about("Clean messages", DETAILS)
            .takes::<CleanMessages>()
            .lists::<Message>(),
    ]
}

const DETAILS: &str = "Answers the messages in the order in which they are named, each with `conversation`: what its author \
    wrote for it, without quoted history, signatures, lines such as \"Sent from my iPhone\", disclaimers and the footers of \
    lists, in twelve languages. Scripts, styles and what is not seen are never in it. A message that passes another one on \
    keeps what is passed on. Nothing is cut so that nothing is left: a message that is all quote is shown whole. Of a \
    message without HTML it is plain text, whatever is asked for. Nothing is stored.";

/// `PUT /v3/grants/{grant}/messages/clean`
pub(crate) async fn clean(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let Call { platform, id, parts, body, .. } = call;
    let request: CleanMessages = json(&parts, body, BODY_OCTETS_MAX).await?;
    let cleaned = clean::clean(&platform.store, grant, request).await?;
    Ok(respond::page(&id, cleaned, None))
}
