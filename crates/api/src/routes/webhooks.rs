//! `/v3/webhooks`.

use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::router::Call;
use postfleet_core::Problem;
use postfleet_core::id::WebhookId;
use postfleet_mailflow::webhooks;
use postfleet_schema::webhook::{CreateWebhook, Deleted, UpdateWebhook};

/// `GET /v3/webhooks`
pub(crate) async fn list(call: Call) -> Answer {
    let list = webhooks::list(&call.platform, call.application).await?;
    Ok(respond::page(&call.id, list.iter().map(|webhook| webhooks::show(webhook, false)).collect(), None))
}

/// `POST /v3/webhooks`
pub(crate) async fn create(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateWebhook = json(&parts, body, BODY_OCTETS_MAX).await?;
    let webhook = webhooks::create(&platform, application, &request).await?;
    Ok(respond::single(&id, webhooks::show(&webhook, true)))
}

/// `GET /v3/webhooks/{webhook}`
pub(crate) async fn find(call: Call) -> Answer {
    let webhook = webhooks::find(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, webhooks::show(&webhook, false)))
}

/// `PUT /v3/webhooks/{webhook}`
pub(crate) async fn update(call: Call) -> Answer {
    let webhook: WebhookId = call.id_at(0)?;
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateWebhook = json(&parts, body, BODY_OCTETS_MAX).await?;
    let webhook = webhooks::update(&platform, application, webhook, &request).await?;
    Ok(respond::single(&id, webhooks::show(&webhook, false)))
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
    Ok(respond::single(&call.id, webhooks::show(&webhook, true)))
}
