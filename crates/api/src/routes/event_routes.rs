//! `/v3/routes`: rules by which events are given to subjects of the message bus.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json, json_or_nothing};
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_core::Problem;
use postfleet_core::id::EventRouteId;
use postfleet_mailflow::bus::routes;
use postfleet_schema::event_route as schema;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/routes", "routes.read", list)
            .about("List routes", "All of the application, in the order in which they are asked, in one page.")
            .lists::<schema::Route>(),
        Route::post("/v3/routes", "routes.write", create)
            .about(
                "Make a route",
                "The first route that an event meets gives it to its subject of the message bus, beside the stream of all events, \
                 so that programs of one kind take events of theirs. At most 100 in an application. Nothing happens without a \
                 message bus.",
            )
            .takes::<schema::CreateRoute>()
            .answers::<schema::Route>(),
        Route::post("/v3/routes/test", "routes.read", test)
            .about("Test routes", "Which route an event would meet, and what of the others it does not meet. Nothing is published.")
            .takes::<schema::TestRoutes>()
            .answers::<schema::RouteTrial>(),
        Route::get("/v3/routes/{route}", "routes.read", find)
            .about("Find a route", "")
            .answers::<schema::Route>(),
        Route::patch("/v3/routes/{route}", "routes.write", update)
            .about("Change a route", "What is absent stays. Events that are published from then on meet it as it is now.")
            .takes::<schema::UpdateRoute>()
            .answers::<schema::Route>(),
        Route::delete("/v3/routes/{route}", "routes.write", remove).about("Remove a route", ""),
    ]
}

/// `GET /v3/routes`
pub(crate) async fn list(call: Call) -> Answer {
    let list = routes::list(&call.platform, call.application).await?;
    Ok(respond::page(&call.id, list.iter().map(routes::show).collect(), None))
}

/// `POST /v3/routes`
pub(crate) async fn create(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: schema::CreateRoute = json(&parts, body, BODY_OCTETS_MAX).await?;
    let route = routes::create(&platform, act, application, request).await?;
    Ok(respond::single(&id, routes::show(&route)))
}

/// `POST /v3/routes/test`
pub(crate) async fn test(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, .. } = call;
    let request: schema::TestRoutes = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await?;
    Ok(respond::single(&id, routes::test(&platform, application, request).await?))
}

/// `GET /v3/routes/{route}`
pub(crate) async fn find(call: Call) -> Answer {
    let route = routes::find(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, routes::show(&route)))
}

/// `PATCH /v3/routes/{route}`
pub(crate) async fn update(call: Call) -> Answer {
    let route: Result<EventRouteId, Problem> = call.id_at(0);
    let (route, act) = (route?, call.act());
    let Call { platform, application, id, parts, body, .. } = call;
    let request: schema::UpdateRoute = json(&parts, body, BODY_OCTETS_MAX).await?;
    let route = routes::update(&platform, act, (application, route), request).await?;
    Ok(respond::single(&id, routes::show(&route)))
}

/// `DELETE /v3/routes/{route}`
pub(crate) async fn remove(call: Call) -> Answer {
    routes::remove(&call.platform, call.act(), call.application, call.id_at(0)?).await?;
    Ok(respond::done(&call.id))
}
