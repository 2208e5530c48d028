//! `/v3/bus/parked`: sends that came by the message bus and were refused.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_mailflow::bus::parked;
use postfleet_schema::parked_send::{ParkedSend, ParkedSendDetails, RetriedSend};

/// Parked sends of a page at most.
const PAGE_MAX: usize = 200;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    ];
    vec![
        Route::get("/v3/bus/parked", "bus.read", list)
            .about(
                "List parked sends",
                "Newest first: each send that came by the message bus and will not succeed as it stands, with the reason. They \
                 are kept for 30 days, at most 1,000 of an application; what comes then waits in the bus.",
            )
            .query(LIST)
            .lists::<ParkedSend>(),
        Route::get("/v3/bus/parked/{parked}", "bus.read", find)
            .about("Find a parked send", "With what was published.")
            .answers::<ParkedSendDetails>(),
        Route::post("/v3/bus/parked/{parked}/retry", "bus.write", retry)
            .about(
                "Send a parked send again",
                "As it was published, under the key that it had, and judged as it would be now. If it is accepted it is parked \
                 no more; otherwise the answer is the refusal, and it stays.",
            )
            .answers::<RetriedSend>(),
        Route::delete("/v3/bus/parked/{parked}", "bus.write", remove).about("Remove a parked send", "It is not sent."),
    ]
}

/// `GET /v3/bus/parked`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let page = (query.limit(50, PAGE_MAX)?, query.get("page_token").filter(|text| !text.is_empty()));
    let (items, next) = parked::list(&call.platform, call.application, page).await?;
    Ok(respond::page(&call.id, items, next))
}

/// `GET /v3/bus/parked/{parked}`
pub(crate) async fn find(call: Call) -> Answer {
    let found = parked::find(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, found))
}

/// `POST /v3/bus/parked/{parked}/retry`
pub(crate) async fn retry(call: Call) -> Answer {
    let by = (call.act(), call.author());
    let sent = parked::retry(&call.platform, by, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, sent))
}

/// `DELETE /v3/bus/parked/{parked}`
pub(crate) async fn remove(call: Call) -> Answer {
    parked::remove(&call.platform, call.act(), call.application, call.id_at(0)?).await?;
    Ok(respond::done(&call.id))
}
