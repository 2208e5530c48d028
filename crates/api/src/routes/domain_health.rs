//! `/v3/domains/{domain}/health` and `…/reports`, and the same below `/v3/admin/domains`: how a sending domain does, and
//! what other servers report about it.

use crate::call::AdminCall;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_core::id::DomainReportId;
use postfleet_schema::domain_health::DomainHealth;
use postfleet_schema::domain_report::DomainReport;

const SUMMARY: &str = "See how a domain does";
const DETAILS: &str = "Findings in words, worst first, with what to do; records, what came back in the last seven days, \
    reputation and warm-up.";

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/domains/{domain}/health", "domains.read", find)
            .about(SUMMARY, DETAILS)
            .answers::<DomainHealth>(),
        Route::get("/v3/admin/domains/{domain}/health", "domains.read", find)
            .about(SUMMARY, DETAILS)
            .answers::<DomainHealth>(),
        Route::get("/v3/domains/{domain}/reports", "domains.read", list)
            .about(REPORTS, ABOUT_REPORTS)
            .query(PAGES)
            .lists::<DomainReport>(),
        Route::get("/v3/admin/domains/{domain}/reports", "domains.read", list)
            .about(REPORTS, ABOUT_REPORTS)
            .query(PAGES)
            .lists::<DomainReport>(),
        Route::get("/v3/domains/{domain}/reports/{report}", "domains.read", report)
            .about(REPORT, "With what it says of sources.")
            .answers::<DomainReport>(),
        Route::get("/v3/admin/domains/{domain}/reports/{report}", "domains.read", report)
            .about(REPORT, "With what it says of sources.")
            .answers::<DomainReport>(),
    ]
}

const REPORTS: &str = "List reports of other servers about a domain";
const ABOUT_REPORTS: &str = "Newest first. Those of which it is not proved that the reporter sent them are marked.";
const REPORT: &str = "Find a report about a domain";

const PAGES: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
];

/// `GET /v3/domains/{domain}/reports`
pub(crate) async fn list(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let (token, limit) = (query.get("page_token"), query.limit(50, 200)?);
    let page = call.platform.domains().reports(call.caller.organization, &call.path[0], token, limit).await?;
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `GET /v3/domains/{domain}/reports/{report}`
pub(crate) async fn report(call: AdminCall) -> Answer {
    let id: Result<DomainReportId, Problem> = call.id_at(1);
    let found = call.platform.domains().report(call.caller.organization, &call.path[0], id?).await?;
    Ok(respond::single(&call.id, found))
}

/// `GET /v3/domains/{domain}/health`
pub(crate) async fn find(call: AdminCall) -> Answer {
    let health = call.platform.domains().health(call.caller.organization, &call.path[0]).await?;
    Ok(respond::single(&call.id, health))
}
