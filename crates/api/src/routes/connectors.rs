//! `/v3/connectors`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_fleet::connectors;
use postfleet_schema::connector::{Connector, CreateConnector, UpdateConnector};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 10 if absent."),
        Parameter::new("offset", Kind::Integer(0, i64::MAX), "How many to skip; none if absent."),
    ];
    const PATH: &str = "/v3/connectors/{provider}";
    vec![
        Route::post("/v3/connectors", "connectors.write", create)
            .about("Make a connector", "An application has at most one, of the provider `nylas`.")
            .takes::<CreateConnector>()
            .creates::<Connector>(),
        Route::get("/v3/connectors", "connectors.read", list)
            .about("List connectors", "There is at most one.")
            .query(LIST)
            .lists_by_offset::<Connector>(),
        Route::get(PATH, "connectors.read", find)
            .about("Find a connector", "The provider must be `nylas`.")
            .answers::<Connector>(),
        Route::patch(PATH, "connectors.write", update)
            .about("Change a connector", "Absent fields stay.")
            .takes::<UpdateConnector>()
            .answers::<Connector>(),
        Route::put(PATH, "connectors.write", update)
            .about("Change a connector", "As the Node client spells it: absent fields stay here, too.")
            .takes::<UpdateConnector>()
            .answers::<Connector>(),
        Route::delete(PATH, "connectors.write", remove)
            .about("Remove a connector", "The mailboxes of the application stay as they are."),
    ]
}

/// `POST /v3/connectors`
pub(crate) async fn create(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateConnector = json(&parts, body, BODY_OCTETS_MAX).await?;
    let connector = connectors::create(&platform.store, &*platform.entropy, act, application, request).await?;
    Ok(respond::created(&id, connectors::show(&connector)?))
}

/// `GET /v3/connectors`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let (limit, offset) = (query.limit(10, 200)?, query.offset()?);
    let list = connectors::list(&call.platform.store, call.application, limit, offset).await?;
    let shown = list.iter().map(connectors::show).collect::<Result<_, _>>()?;
    Ok(respond::offset_page(&call.id, shown, limit, offset))
}

/// `GET /v3/connectors/{provider}`
pub(crate) async fn find(call: Call) -> Answer {
    let connector = connectors::find(&call.platform.store, call.application, &call.path[0]).await?;
    Ok(respond::single(&call.id, connectors::show(&connector)?))
}

/// `PATCH /v3/connectors/{provider}`, and `PUT`.
pub(crate) async fn update(call: Call) -> Answer {
    // Before the body is looked at: what is not there has no fields that could be wrong.
    connectors::find(&call.platform.store, call.application, &call.path[0]).await?;
    let act = call.act();
    let Call { platform, application, id, parts, body, path, .. } = call;
    let request: UpdateConnector = json(&parts, body, BODY_OCTETS_MAX).await?;
    let connector = connectors::update(&platform.store, act, application, &path[0], request).await?;
    Ok(respond::single(&id, connectors::show(&connector)?))
}

/// `DELETE /v3/connectors/{provider}`
pub(crate) async fn remove(call: Call) -> Answer {
    connectors::remove(&call.platform.store, call.act(), call.application, &call.path[0]).await?;
    Ok(respond::done(&call.id))
}
