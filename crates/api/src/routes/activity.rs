//! `/v3/activity/send`: what became of what was sent, recipient by recipient.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_fleet::activity;
use postfleet_schema::activity::SendActivity;

/// Outcomes of a page at most.
const PAGE_MAX: usize = 200;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const TIME: Kind = Kind::Integer(0, 253_402_300_799);
    const FILTERS: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
        Parameter::new(
            "event_type",
            Kind::List,
            "Only these: `accepted`, `delivered`, `bounced`, `complaint`, `rejected`; repeated or separated by commas.",
        ),
        Parameter::new("bounce_class", Kind::OneOf(&["hard", "soft", "undetermined"]), "Only failures of this class."),
        Parameter::new("recipient", Kind::Text, "Only of this address."),
        Parameter::new("recipient_domain", Kind::Text, "Only of addresses of this domain."),
        Parameter::new("sending_domain", Kind::Text, "Only what mailboxes of this domain sent."),
        Parameter::new("from", Kind::Text, "Only what was sent from this address."),
        Parameter::new("grant_id", Kind::Text, "Only what this mailbox sent, which may be gone: its id."),
        Parameter::new("message_id", Kind::Text, "Only of this message."),
        Parameter::new("thread_id", Kind::Text, "Only of messages of this thread."),
        Parameter::new("start", TIME, "Not before this, in unix seconds; if absent, seven days before `end`."),
        Parameter::new("end", TIME, "Before this, in unix seconds; until now if absent."),
    ];
    vec![
        Route::get("/v3/activity/send", "activity.read", list)
            .about(
                "List what became of what was sent",
                "One entry for each recipient and each thing that happened to it, newest first. A page may have fewer than \
                 `limit`, and even none, while there is a `next_cursor`: for filters other than `grant_id` and \
                 `message_id`, one page looks at 10,000 entries at most. Entries are kept for as long as the server is \
                 told to (`activity.days`).",
            )
            .query(FILTERS)
            .lists::<SendActivity>(),
        Route::get("/v3/activity/send/{event}", "activity.read", find)
            .about("Find what became of a recipient", "By the id of the list.")
            .answers::<SendActivity>(),
    ]
}

/// `GET /v3/activity/send`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let given = |name| query.get(name).filter(|text| !text.is_empty());
    let wanted = activity::Query {
        limit: query.limit(50, PAGE_MAX)?,
        page_token: given("page_token"),
        event_types: query.list("event_type"),
        bounce_class: given("bounce_class"),
        recipient: given("recipient"),
        recipient_domain: given("recipient_domain"),
        sending_domain: given("sending_domain"),
        from: given("from"),
        grant_id: given("grant_id"),
        message_id: given("message_id"),
        thread_id: given("thread_id"),
        start: query.number("start")?,
        end: query.number("end")?,
    };
    let whose = (call.application, call.caller.grant);
    let page = activity::list(&call.platform.store, whose, &wanted, call.platform.clock.now()).await?;
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `GET /v3/activity/send/{event}`
pub(crate) async fn find(call: Call) -> Answer {
    let whose = (call.application, call.caller.grant);
    let found = activity::find(&call.platform.store, whose, &call.path[0]).await?;
    Ok(respond::single(&call.id, found))
}
