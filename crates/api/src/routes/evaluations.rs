//! `/v3/grants/{grant}/rule-evaluations`.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_fleet::evaluations;
use postfleet_schema::evaluation::RuleEvaluation;

/// Records of a page at most.
const PAGE_MAX: usize = 200;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
        Parameter::new("message_id", Kind::Text, "Those of this message only."),
    ];
    vec![
        Route::get("/v3/grants/{grant}/rule-evaluations", "rules.read", list)
            .about(
                "List what the rules said",
                "Newest first: for each message that rules judged what they looked at, which matched and what was done. \
                 Records are kept for as long as the server is told to.",
            )
            .query(LIST)
            .lists::<RuleEvaluation>(),
    ]
}

/// `GET /v3/grants/{grant}/rule-evaluations`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let limit = query.limit(50, PAGE_MAX)?;
    let given = |name| query.get(name).filter(|text: &&str| !text.is_empty());
    let (cursor, message) = (given("page_token"), given("message_id"));
    let (records, next) = evaluations::list(&call.platform.store, grant, message, limit, cursor).await?;
    Ok(respond::page(&call.id, records, next))
}
