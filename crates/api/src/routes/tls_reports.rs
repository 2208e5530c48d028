//! `/v3/admin/tls-reports`: how encryption towards other servers went, by day and domain.

use crate::call::AdminCall;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::{Domain, Problem, UtcDay};
use postfleet_mailflow::routing::reports;
use postfleet_schema::tls_report::TlsReport;

const LIST: &[Parameter] = &[
    Parameter::new("day", Kind::Text, "The UTC day, such as 2026-03-02; today if absent."),
    Parameter::new("domain", Kind::Text, "The report of this domain alone."),
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The next_cursor of the page before."),
];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/admin/tls-reports", "tls_reports.read", list)
            .about(
                "List reports about TLS",
                "How encryption of connections to the servers of other domains went: one report for each domain, as \
                 RFC 8460 describes it, in the order of their names. For the installation's operator. Counts are \
                 written down about once a minute.",
            )
            .query(LIST)
            .lists::<TlsReport>(),
    ]
}

/// `GET /v3/admin/tls-reports`
pub(crate) async fn list(call: AdminCall) -> Answer {
    call.operator().for_installation()?;
    let query = Query::of(&call.parts)?;
    let day = match query.get("day").filter(|text| !text.is_empty()) {
        Some(text) => text.parse::<UtcDay>().map_err(|error| Problem::invalid("day", format!("day {error}")))?,
        None => call.platform.clock.now().day(),
    };
    let limit = query.limit(50, 200)?;
    if let Some(text) = query.get("domain").filter(|text| !text.is_empty()) {
        let domain = Domain::parse(text).map_err(|error| Problem::invalid("domain", error.to_string()))?;
        let found = reports::find(&call.platform, day, domain.as_str()).await?;
        return Ok(respond::page(&call.id, found.into_iter().collect(), None));
    }
    let page = reports::list(&call.platform, day, query.get("page_token"), limit).await?;
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}
