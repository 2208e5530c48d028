//! `/v3/grants/{grant}/refused-mail`.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_fleet::refused_mail::{self, Asked};
use postfleet_schema::refused_mail::RefusedMail;

/// Refusals of a page at most.
const PAGE_MAX: usize = 200;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
        Parameter::new("sender", Kind::Text, "Mail of this address only, as envelope sender or as first author."),
        Parameter::new("code", Kind::Text, "What was refused for this reason only."),
    ];
    vec![
        Route::get("/v3/grants/{grant}/refused-mail", "messages.read", list)
            .about(
                "List mail that was not taken",
                "Newest first: each message that the mailbox refused, deferred or left out while it came in, with the limit \
                 or the rule, what of it was used and what would change it. Of one reason on one day a hundred are kept, \
                 for 30 days; the last of them counts all that came after it.",
            )
            .query(LIST)
            .lists::<RefusedMail>(),
    ]
}

/// `GET /v3/grants/{grant}/refused-mail`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let limit = query.limit(50, PAGE_MAX)?;
    let given = |name| query.get(name).filter(|text: &&str| !text.is_empty());
    let (sender, code, cursor) = (given("sender"), given("code"), given("page_token"));
    let asked = Asked { grant_id: grant, sender, code, limit, cursor };
    let page = refused_mail::list(&call.platform.store, asked).await?;
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}
