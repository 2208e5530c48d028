//! `/v3/alerts`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use crate::routes::events;
use postfleet_mailflow::alerts;
use postfleet_schema::alert::{Alert, AlertTest, CreateAlert};
use postfleet_schema::event::Delivery;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/alerts", "alerts.read", list)
            .about("List alerts", "All of the application, in one page.")
            .lists::<Alert>(),
        Route::post("/v3/alerts", "alerts.write", create)
            .about(
                "Make an alert",
                "People are told by e-mail, or in a chat that takes `{\"text\": \"…\"}`, of what happens from now on. At \
                 most 100 in an application.",
            )
            .takes::<CreateAlert>()
            .answers::<Alert>(),
        Route::get("/v3/alerts/{alert}", "alerts.read", find).about("Find an alert", "").answers::<Alert>(),
        Route::delete("/v3/alerts/{alert}", "alerts.write", remove)
            .about("Remove an alert", "It is told of nothing more."),
        Route::post("/v3/alerts/{alert}/test", "alerts.write", test)
            .about("Test an alert", "It is told at once that this is a test.")
            .answers::<AlertTest>(),
        Route::get("/v3/alerts/{alert}/deliveries", "alerts.read", deliveries)
            .about("List what became of telling an alert", events::PAGES)
            .query(events::PARAMETERS)
            .lists::<Delivery>(),
    ]
}

/// `GET /v3/alerts`
pub(crate) async fn list(call: Call) -> Answer {
    let list = alerts::list(&call.platform, call.application).await?;
    Ok(respond::page(&call.id, list.iter().map(alerts::show).collect(), None))
}

/// `POST /v3/alerts`
pub(crate) async fn create(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateAlert = json(&parts, body, BODY_OCTETS_MAX).await?;
    let alert = alerts::create(&platform, act, application, request).await?;
    Ok(respond::single(&id, alerts::show(&alert)))
}

/// `GET /v3/alerts/{alert}`
pub(crate) async fn find(call: Call) -> Answer {
    let alert = alerts::find(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, alerts::show(&alert)))
}

/// `DELETE /v3/alerts/{alert}`
pub(crate) async fn remove(call: Call) -> Answer {
    alerts::remove(&call.platform, call.act(), call.application, call.id_at(0)?).await?;
    Ok(respond::done(&call.id))
}

/// `POST /v3/alerts/{alert}/test`
pub(crate) async fn test(call: Call) -> Answer {
    let alert = alerts::find(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, alerts::test(&call.platform, &alert).await?))
}

/// `GET /v3/alerts/{alert}/deliveries`
pub(crate) async fn deliveries(call: Call) -> Answer {
    let alert = alerts::find(&call.platform, call.application, call.id_at(0)?).await?;
    events::deliveries(&call, &alert).await
}
