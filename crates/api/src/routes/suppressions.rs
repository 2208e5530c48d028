//! `/v3/suppressions`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, IMPORT_OCTETS_MAX, Pieces, Query, json, text_format};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::suppression::Reason;
use postfleet_core::{EmailAddress, Problem};
use postfleet_fleet::suppression_import::Import;
use postfleet_fleet::suppressions;
use postfleet_schema::suppression::{
    AddSuppressions, AddedSuppressions, CheckSuppressions, CheckedAddress, Suppression, SuppressionImport,
};

/// Suppressions of a page at most.
const PAGE_MAX: usize = 200;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
        Parameter::new("reason", Kind::OneOf(Reason::NAMES), "Only those with this reason."),
        Parameter::new("domain", Kind::Text, "Only addresses at exactly this domain."),
        Parameter::new("address", Kind::Text, "Only this address, if it is suppressed."),
    ];
    const IMPORT: &[Parameter] = &[Parameter::new(
        "reason",
        Kind::OneOf(Reason::NAMES),
        "Why, where a line does not say it; `manual` if absent.",
    )];
    vec![
        Route::get("/v3/suppressions", "suppressions.read", list)
            .about("List suppressed addresses", "Newest first. Those that have ended are not there.")
            .query(LIST)
            .lists::<Suppression>(),
        Route::post("/v3/suppressions", "suppressions.write", add)
            .about(
                "Suppress addresses",
                "One, or up to 1,000 at once: all of them, or none if one is wrong. The very next message does not go \
                 there. What the request says replaces what is there.",
            )
            .takes::<AddSuppressions>()
            .answers::<AddedSuppressions>(),
        Route::post("/v3/suppressions/import", "suppressions.write", import)
            .about(
                "Import suppressed addresses",
                "In each line `address`, `address,reason` or `address,reason,expires`, as CSV or as plain text; `expires` \
                 in unix seconds. Blank lines, those that begin with `#` and a heading are passed over, and lines that \
                 cannot be read are refused each for itself. At most 64 MiB. Addresses are added 1,000 at a time while \
                 the text comes: if it breaks off, those that came are there, and importing again does no harm. What the \
                 text says replaces what is there.",
            )
            .query(IMPORT)
            .takes_text()
            .answers::<SuppressionImport>(),
        Route::post("/v3/suppressions/check", "suppressions.read", check)
            .about("Ask whether addresses are suppressed", "Up to 1,000 at once, answered in their order.")
            .takes::<CheckSuppressions>()
            .lists::<CheckedAddress>(),
        Route::get("/v3/suppressions/{address}", "suppressions.read", find)
            .about("Find a suppressed address", "Not found if it is not suppressed.")
            .answers::<Suppression>(),
        Route::delete("/v3/suppressions/{address}", "suppressions.write", remove)
            .about("Stop suppressing an address", "The next message goes there again."),
    ]
}

/// `GET /v3/suppressions`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let given = |name| query.get(name).filter(|text| !text.is_empty());
    let wanted = suppressions::Query {
        limit: query.limit(50, PAGE_MAX)?,
        page_token: given("page_token"),
        reason: given("reason"),
        domain: given("domain"),
        address: given("address"),
    };
    let now = call.platform.clock.now();
    let page = suppressions::list(&call.platform.store, call.application, wanted, now).await?;
    let page = page.map(|one| suppressions::show(&one));
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `POST /v3/suppressions`
pub(crate) async fn add(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: AddSuppressions = json(&parts, body, BODY_OCTETS_MAX).await?;
    Ok(respond::single(&id, suppressions::add(&platform.store, act, application, request).await?))
}

/// `POST /v3/suppressions/import`
pub(crate) async fn import(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let query = Query::of(&parts)?;
    let reason = query.get("reason").filter(|reason| !reason.is_empty()).map_or(Some(Reason::Manual), Reason::named);
    let wrong = || Problem::invalid("reason", format!("reason must be one of {}", Reason::NAMES.join(", ")));
    let as_wanted = (text_format(&parts)?, reason.ok_or_else(wrong)?);
    let mut import = Import::begin(&platform.store, &*platform.entropy, act, application, as_wanted);
    let mut pieces = Pieces::of(&parts, body, IMPORT_OCTETS_MAX)?;
    while let Some(piece) = pieces.next().await? {
        import.take(&piece).await?;
    }
    Ok(respond::single(&id, import.end().await?))
}

/// `POST /v3/suppressions/check`
pub(crate) async fn check(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CheckSuppressions = json(&parts, body, BODY_OCTETS_MAX).await?;
    let checked = suppressions::check(&platform.store, application, request, platform.clock.now()).await?;
    Ok(respond::page(&id, checked, None))
}

/// `GET /v3/suppressions/{address}`
pub(crate) async fn find(call: Call) -> Answer {
    let now = call.platform.clock.now();
    let found = suppressions::find(&call.platform.store, call.application, &address(&call)?, now).await?;
    Ok(respond::single(&call.id, suppressions::show(&found)))
}

/// `DELETE /v3/suppressions/{address}`
pub(crate) async fn remove(call: Call) -> Answer {
    let address = address(&call)?;
    suppressions::remove(&call.platform.store, call.act(), call.application, address).await?;
    Ok(respond::done(&call.id))
}

/// The address that the path names; text that is none names nothing.
fn address(call: &Call) -> Result<EmailAddress, Problem> {
    EmailAddress::parse(call.path[0].trim()).map_err(|_| Problem::not_found())
}
