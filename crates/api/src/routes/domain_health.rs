//! `/v3/domains/{domain}/health`, and the same below `/v3/admin/domains`: how a sending domain does.

use crate::call::AdminCall;
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_schema::domain_health::DomainHealth;

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
    ]
}

/// `GET /v3/domains/{domain}/health`
pub(crate) async fn find(call: AdminCall) -> Answer {
    let health = call.platform.domains().health(call.caller.organization, &call.path[0]).await?;
    Ok(respond::single(&call.id, health))
}
