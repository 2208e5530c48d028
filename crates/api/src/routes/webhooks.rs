//! `/v3/webhooks`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use crate::routes::events;
use postfleet_core::Problem;
use postfleet_core::id::WebhookId;
use postfleet_mailflow::webhooks;
use postfleet_schema::event::Delivery;
use postfleet_schema::webhook::{CreateWebhook, Deleted, SourceAddresses, UpdateWebhook, Webhook};
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
        Route::delete("/v3/webhooks/{webhook}", "webhooks.write", remove)
            .about("Remove a webhook", "It is told of nothing more.")
            .answers::<Deleted>(),
        Route::get("/v3/webhooks/{webhook}/deliveries", "webhooks.read", deliveries)
            .about("List what became of telling a webhook", events::PAGES)
            .query(events::PARAMETERS)
            .lists::<Delivery>(),
        Route::post("/v3/webhooks/rotate-secret/{webhook}", "webhooks.write", rotate_secret)
            .about("Give a webhook a new secret", "The old one is worthless at once.")
            .answers::<Webhook>(),
        Route::put("/v3/webhooks/{webhook}/rotate-secret", "webhooks.write", rotate_secret)
            .about("Give a webhook a new secret", "As the Python client spells it.")
            .answers::<Webhook>(),
    ]
}

const MAKE_DETAILS: &str = "Its receiver is asked at once with GET and `challenge=…` in the query, and must answer 200 \
    with the challenge as its body. The answer shows the secret that signs notifications; it is shown again only when \
    it is rotated.";

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
    let request: CreateWebhook = json(&parts, body, BODY_OCTETS_MAX).await?;
    let webhook = webhooks::create(&platform, application, &request).await?;
    // It begins at the end of the log.
    Ok(respond::single(&id, webhooks::show(&webhook, true, Pending::default())))
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
    let request: UpdateWebhook = json(&parts, body, BODY_OCTETS_MAX).await?;
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
    let webhook: Result<WebhookId, Problem> = call.id_at(0);
    let webhook = webhooks::rotate_secret(&call.platform, call.application, webhook?).await?;
    Ok(respond::single(&call.id, webhooks::shown(&call.platform, &webhook, true).await?))
}

/// `GET /v3/webhooks/{webhook}/deliveries`
pub(crate) async fn deliveries(call: Call) -> Answer {
    let webhook = webhooks::find(&call.platform, call.application, call.id_at(0)?).await?;
    events::deliveries(&call, &webhook).await
}
