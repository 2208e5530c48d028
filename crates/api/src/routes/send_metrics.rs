//! `/v3/metrics/send`: figures of what was sent.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_fleet::send_metrics::{self, GRANULARITIES, GROUPS, SORTS, Span};
use postfleet_schema::send_metrics::{SendMetric, SendSummary, SendTimeseries};

const START: Parameter =
    Parameter::new("start", Kind::Text, "The first day, such as `2026-03-02` (UTC); six days before `end` if absent.");
const END: Parameter =
    Parameter::new("end", Kind::Text, "The last day; today if absent. At most 365 days after `start`.");

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const GROUPED: &[Parameter] = &[
        Parameter::new("group_by", Kind::OneOf(GROUPS), "By what; `sending_domain` if absent."),
        Parameter::new(
            "sort",
            Kind::OneOf(SORTS),
            "Whose comes first: those who have most of it, or, of `delivery_rate`, least; `accepted` if absent.",
        ),
        Parameter::new("limit", Kind::Integer(1, 100), "How many at most; 25 if absent."),
        START,
        END,
    ];
    const OVER_TIME: &[Parameter] = &[
        Parameter::new(
            "granularity",
            Kind::OneOf(GRANULARITIES),
            "`auto` if absent: days up to 31 days, weeks up to 182, then months.",
        ),
        START,
        END,
    ];
    vec![
        Route::get("/v3/metrics/send", "activity.read", grouped)
            .about("List figures of what was sent", "By sending domain, account or domain of recipients; in one page.")
            .query(GROUPED)
            .lists::<SendMetric>(),
        Route::get("/v3/metrics/send/summary", "activity.read", summary)
            .about("Find how sending is", "The figures of the application, and what they say, in words.")
            .query(&[START, END])
            .answers::<SendSummary>(),
        Route::get("/v3/metrics/send/timeseries", "activity.read", timeseries)
            .about("Find how sending went over time", "The figures of the application by UTC days, weeks or months.")
            .query(OVER_TIME)
            .answers::<SendTimeseries>(),
    ]
}

/// Figures are of the whole application: a token of one mailbox sees none.
fn whole(call: &Call) -> Result<Query, Problem> {
    if call.caller.grant.is_some() { Err(Problem::not_found()) } else { Query::of(&call.parts) }
}

fn given<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.get(name).filter(|text| !text.is_empty())
}

fn span(query: &Query) -> Span<'_> {
    Span { start: given(query, "start"), end: given(query, "end") }
}

/// `GET /v3/metrics/send`
pub(crate) async fn grouped(call: Call) -> Answer {
    let query = whole(&call)?;
    let wanted = (
        given(&query, "group_by").unwrap_or("sending_domain"),
        given(&query, "sort").unwrap_or("accepted"),
        query.limit(25, 100)?,
    );
    let now = call.platform.clock.now();
    let found = send_metrics::grouped(&call.platform.store, call.application, wanted, span(&query), now).await?;
    Ok(respond::page(&call.id, found, None))
}

/// `GET /v3/metrics/send/summary`
pub(crate) async fn summary(call: Call) -> Answer {
    let query = whole(&call)?;
    let now = call.platform.clock.now();
    let found = send_metrics::summary(&call.platform.store, call.application, span(&query), now).await?;
    Ok(respond::single(&call.id, found))
}

/// `GET /v3/metrics/send/timeseries`
pub(crate) async fn timeseries(call: Call) -> Answer {
    let query = whole(&call)?;
    let (now, granularity) = (call.platform.clock.now(), given(&query, "granularity").unwrap_or("auto"));
    let found =
        send_metrics::timeseries(&call.platform.store, call.application, granularity, span(&query), now).await?;
    Ok(respond::single(&call.id, found))
}
