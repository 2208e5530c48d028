//! `/v3/webhooks/{webhook}/replays`: telling a webhook once more.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::{Answers, Route, Shape};
use crate::routes::webhooks::invalid;
use postfleet_core::id::WebhookId;
use postfleet_mailflow::webhooks::replay;
use postfleet_schema::replay::{ReplayWebhook, WebhookReplay};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v3/webhooks/{webhook}/replay", "webhooks.write", begin)
            .about("Tell a webhook once more", BEGIN_DETAILS)
            .takes::<ReplayWebhook>()
            .answers_with(Answers::Single(202, Shape::of::<WebhookReplay>())),
        Route::get("/v3/webhooks/{webhook}/replays", "webhooks.read", list)
            .about(
                "List the replays of a webhook",
                "Newest first, in one page: those that are not over, and the last 100.",
            )
            .lists::<WebhookReplay>(),
        Route::get("/v3/webhooks/{webhook}/replays/{replay}", "webhooks.read", find)
            .about("Find a replay", "How far it is.")
            .answers::<WebhookReplay>(),
        Route::delete("/v3/webhooks/{webhook}/replays/{replay}", "webhooks.write", cancel)
            .about("End a replay", "Requests that are under way come to their end. One that is over stays as it is.")
            .answers::<WebhookReplay>(),
    ]
}

const BEGIN_DETAILS: &str = "One event (`event_id`), a part of the log (`from` and `to`), what happened since a time (`since` and \
    `until`), or what was given up (`given_up`, alone or with one of the others). It goes to the webhook as it is now: to its URL, \
    signed with its secret, and only what it wants. Events have the same ids as before; `X-Postfleet-Replay` names the \
    replay. What is told as it happens waits for nothing of it. A webhook has at most four replays that are not over.";

/// `POST /v3/webhooks/{webhook}/replay`
pub(crate) async fn begin(call: Call) -> Answer {
    let webhook: WebhookId = call.id_at(0)?;
    let Call { platform, application, id, parts, body, .. } = call;
    let request: ReplayWebhook = json(&parts, body, BODY_OCTETS_MAX).await.map_err(invalid)?;
    let begun = replay::begin(&platform, application, webhook, &request).await?;
    Ok(respond::accepted(&id, replay::shown(&begun)))
}

/// `GET /v3/webhooks/{webhook}/replays`
pub(crate) async fn list(call: Call) -> Answer {
    let replays = replay::list(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::page(&call.id, replays.iter().map(replay::shown).collect(), None))
}

/// `GET /v3/webhooks/{webhook}/replays/{replay}`
pub(crate) async fn find(call: Call) -> Answer {
    let ids = (call.id_at(0)?, call.id_at(1)?);
    let found = replay::look_up(&call.platform, call.application, ids).await?;
    Ok(respond::single(&call.id, replay::shown(&found)))
}

/// `DELETE /v3/webhooks/{webhook}/replays/{replay}`
pub(crate) async fn cancel(call: Call) -> Answer {
    let ids = (call.id_at(0)?, call.id_at(1)?);
    let ended = replay::cancel(&call.platform, call.application, ids).await?;
    Ok(respond::single(&call.id, replay::shown(&ended)))
}
