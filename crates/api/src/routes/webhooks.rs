//! `/v3/webhooks`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json, json_or_nothing};
use crate::respond::{self, Answer};
use crate::route::Route;
use crate::routes::events;
use postfleet_core::id::WebhookId;
use postfleet_core::{Problem, ProblemKind};
use postfleet_mailflow::webhooks;
use postfleet_schema::event::Delivery;
use postfleet_schema::webhook::{
    CreateWebhook, Deleted, MockPayload, RotateSecret, SampleNotification, SendTestEvent, SourceAddresses, TestTaken,
    UpdateWebhook, Webhook,
};
use postfleet_store::lag::Pending;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/webhooks", "webhooks.read", list)
            .about("List webhooks", "All of the application, in one page, without their secrets.")
            .lists::<Webhook>(),
        Route::post("/v3/webhooks", "webhooks.write", create)
            .about("Make a webhook", MAKE_DETAILS)
            .takes::<CreateWebhook>()
            .answers::<Webhook>(),
        Route::get("/v3/webhooks/ip-addresses", "webhooks.read", source_addresses)
            .about("Ask from where webhooks are called", "Addresses for the firewalls of receivers.")
            .answers::<SourceAddresses>(),
        Route::get("/v3/webhooks/{webhook}", "webhooks.read", find)
            .about("Find a webhook", "Without its secret.")
            .answers::<Webhook>(),
        Route::put("/v3/webhooks/{webhook}", "webhooks.write", update)
            .about(
                "Change a webhook",
                "Absent fields stay. A new URL must echo a challenge, as when a webhook is made.",
            )
            .takes::<UpdateWebhook>()
            .answers::<Webhook>(),
        Route::patch("/v3/webhooks/{webhook}", "webhooks.write", update)
            .about("Change a webhook", "As with `PUT`.")
            .takes::<UpdateWebhook>()
            .answers::<Webhook>(),
        Route::delete("/v3/webhooks/{webhook}", "webhooks.write", remove)
            .about("Remove a webhook", "It is told of nothing more.")
            .answers::<Deleted>(),
        Route::get("/v3/webhooks/{webhook}/deliveries", "webhooks.read", deliveries)
            .about("List what became of telling a webhook", events::PAGES)
            .query(events::PARAMETERS)
            .lists::<Delivery>(),
        Route::post("/v3/webhooks/rotate-secret/{webhook}", "webhooks.write", rotate_secret)
            .about("Give a webhook a new secret", ROTATE_DETAILS)
            .takes::<RotateSecret>()
            .answers::<Webhook>(),
        Route::put("/v3/webhooks/{webhook}/rotate-secret", "webhooks.write", rotate_secret)
            .about("Give a webhook a new secret", "As the Python client spells it.")
            .takes::<RotateSecret>()
            .answers::<Webhook>(),
        Route::post("/v3/webhooks/mock-payload", "webhooks.read", mock_payload)
            .about("Show a sample notification", "As a webhook would be sent it, with made-up contents.")
            .takes::<MockPayload>()
            .answers::<SampleNotification>(),
        Route::post("/v3/webhooks/send-test-event", "webhooks.write", send_test_event)
            .about("Send a sample notification", TEST_DETAILS)
            .takes::<SendTestEvent>()
            .answers::<TestTaken>(),
    ]
}

const MAKE_DETAILS: &str = "Its receiver is asked at once with GET and `challenge=…` in the query, and must answer 200 \
    with the challenge as its body. The answer shows the secret that signs notifications; it is shown again only when \
    it is rotated.";

const ROTATE_DETAILS: &str = "The old one is worthless at once, or signs beside the new one for as long as is asked for: \
    `webhook-signature` then has a signature by each, `X-Nylas-Signature` one by the new secret. The body may be absent.";

const TEST_DETAILS: &str = "Once, to any address that a webhook may have, signed with the secret `mock-webhook-secret`. \
    What is not answered with a status of 200 to 299 within 10 seconds is refused. It asks for no challenge, and is in no log.";

/// `GET /v3/webhooks`
pub(crate) async fn list(call: Call) -> Answer {
    let mut page = Vec::new();
    for webhook in webhooks::list(&call.platform, call.application).await? {
        page.push(webhooks::shown(&call.platform, &webhook, false).await?);
    }
    Ok(respond::page(&call.id, page, None))
}

/// `POST /v3/webhooks`
pub(crate) async fn create(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateWebhook = json(&parts, body, BODY_OCTETS_MAX).await.map_err(invalid)?;
    let webhook = webhooks::create(&platform, application, &request).await?;
    // It begins at the end of the log.
    Ok(respond::single(&id, webhooks::show(&webhook, true, Pending::default(), platform.clock.now())))
}

/// `GET /v3/webhooks/ip-addresses`
pub(crate) async fn source_addresses(call: Call) -> Answer {
    Ok(respond::single(&call.id, webhooks::source_addresses(&call.platform.settings)))
}

/// `GET /v3/webhooks/{webhook}`
pub(crate) async fn find(call: Call) -> Answer {
    let webhook = webhooks::find(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, webhooks::shown(&call.platform, &webhook, false).await?))
}

/// `PUT /v3/webhooks/{webhook}`
pub(crate) async fn update(call: Call) -> Answer {
    let webhook: WebhookId = call.id_at(0)?;
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateWebhook = json(&parts, body, BODY_OCTETS_MAX).await.map_err(invalid)?;
    let webhook = webhooks::update(&platform, application, webhook, &request).await?;
    Ok(respond::single(&id, webhooks::shown(&platform, &webhook, false).await?))
}

/// `DELETE /v3/webhooks/{webhook}`
pub(crate) async fn remove(call: Call) -> Answer {
    webhooks::remove(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, Deleted { status: "success" }))
}

/// `POST /v3/webhooks/rotate-secret/{webhook}`, and as the Python client spells it.
pub(crate) async fn rotate_secret(call: Call) -> Answer {
    let webhook: WebhookId = call.id_at(0)?;
    let Call { platform, application, id, parts, body, .. } = call;
    let request: RotateSecret = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await.map_err(invalid)?;
    let webhook = webhooks::rotate_secret(&platform, application, webhook, &request).await?;
    Ok(respond::single(&id, webhooks::shown(&platform, &webhook, true).await?))
}

/// `POST /v3/webhooks/mock-payload`
pub(crate) async fn mock_payload(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, .. } = call;
    let request: MockPayload = json(&parts, body, BODY_OCTETS_MAX).await.map_err(invalid)?;
    Ok(respond::single(&id, webhooks::sample(&platform, application, &request)?))
}

/// `POST /v3/webhooks/send-test-event`
pub(crate) async fn send_test_event(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, .. } = call;
    let request: SendTestEvent = json(&parts, body, BODY_OCTETS_MAX).await.map_err(invalid)?;
    webhooks::send_test_event(&platform, application, &request).await?;
    Ok(respond::single(&id, TestTaken("success")))
}

/// What cannot be read is called as everything else that is wrong with a request about webhooks.
pub(super) fn invalid(problem: Problem) -> Problem {
    let is_plain = problem.kind == ProblemKind::Invalid && problem.code == "invalid_request";
    if is_plain { Problem { code: "webhook_invalid", ..problem } } else { problem }
}

/// `GET /v3/webhooks/{webhook}/deliveries`
pub(crate) async fn deliveries(call: Call) -> Answer {
    let webhook = webhooks::find(&call.platform, call.application, call.id_at(0)?).await?;
    events::deliveries(&call, &webhook).await
}
