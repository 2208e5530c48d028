//! `/v3/audit` and `/v3/admin/audit`: who changed what.

use crate::call::{AdminCall, Call};
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_fleet::audit::{self, Filter};
use postfleet_fleet::pages::Page;
use postfleet_schema::audit::AuditRecord;
use postfleet_store::Store;
use postfleet_store::audit::Of;

const LIMIT: Parameter = Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent.");
const TOKEN: Parameter = Parameter::new("page_token", Kind::Text, "The next_cursor of the page before.");
const SINCE: Parameter = Parameter::new("since", Kind::Integer(0, 253_402_300_799), "From this Unix second on.");
const BEFORE: Parameter = Parameter::new("before", Kind::Integer(0, 253_402_300_799), "Before this Unix second.");
const TARGET: Parameter = Parameter::new("target_id", Kind::Text, "Changes of the thing with this id.");
const ORGANIZATION: Parameter =
    Parameter::new("organization_id", Kind::Text, "Another organization, for the installation's operator.");

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/audit", "audit.read", list)
            .about("List changes of the application", "Newest first.")
            .query(&[LIMIT, TOKEN, SINCE, BEFORE, TARGET])
            .lists::<AuditRecord>(),
        Route::get("/v3/admin/audit", "audit.read", list_of_organization)
            .about("List changes of the organization", "With those of all its applications. Newest first.")
            .query(&[LIMIT, TOKEN, SINCE, BEFORE, TARGET, ORGANIZATION])
            .lists::<AuditRecord>(),
    ]
}

/// `GET /v3/audit`
pub(crate) async fn list(call: Call) -> Answer {
    let page = page(&call.platform.store, Of::Application(call.application), &Query::of(&call.parts)?).await?;
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `GET /v3/admin/audit`
pub(crate) async fn list_of_organization(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let organization = call.operator().organization(query.get("organization_id"))?;
    let page = page(&call.platform.store, Of::Organization(organization), &query).await?;
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

async fn page(store: &Store, of: Of, query: &Query) -> Result<Page<AuditRecord>, Problem> {
    let filter = Filter {
        since: query.number("since")?,
        before: query.number("before")?,
        target_id: query.get("target_id").filter(|id| !id.is_empty()).map(str::to_owned),
    };
    let page = audit::list(store, of, &filter, query.limit(50, 200)?, query.get("page_token")).await?;
    Ok(page.map(audit::show))
}
