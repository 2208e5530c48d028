//! `/v3/grants/{grant}/feedback` and `/v3/admin/feedback`: what came back about messages that were sent.

use crate::call::{AdminCall, Call};
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_fleet::feedback;
use postfleet_fleet::pages::Page;
use postfleet_schema::feedback::FeedbackReport;

/// Records of a page at most.
const PAGE_MAX: usize = 200;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    ];
    vec![
        Route::get("/v3/grants/{grant}/feedback", "messages.read", list)
            .about(
                "List what came back",
                "Newest first: bounces, complaints, replies of machines, and what counts for nothing, such as reports that \
                 did not come by a return path of the message. Records are kept for as long as the server is told to.",
            )
            .query(LIST)
            .lists::<FeedbackReport>(),
        Route::get("/v3/admin/feedback", "organizations.read", list_unassigned)
            .about(
                "List what could be assigned to no mailbox",
                "For the installation's operator, nothing for others: complaints that quote no message of ours, and reports \
                 about messages that are gone. They count for nothing. Newest first.",
            )
            .query(LIST)
            .lists::<FeedbackReport>(),
    ]
}

/// `GET /v3/grants/{grant}/feedback`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let limit = query.limit(50, PAGE_MAX)?;
    let page = feedback::list(&call.platform.store, Some(grant), limit, query.get("page_token")).await?;
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `GET /v3/admin/feedback`
pub(crate) async fn list_unassigned(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let limit = query.limit(50, PAGE_MAX)?;
    // It belongs to no organization, so the operator of one has none of it.
    let page = match call.operator().is_installation {
        true => feedback::list(&call.platform.store, None, limit, query.get("page_token")).await?,
        false => Page { items: Vec::new(), next_cursor: None },
    };
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}
