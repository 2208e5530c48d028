//! Moving an existing fleet into another layout: previews, jobs, findings.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_fleet::{advisor, layout, lint};
use postfleet_schema::finding::Finding;
use postfleet_schema::job::Job;
use postfleet_schema::layout::{Layout, LayoutAnswer};
use postfleet_schema::quota_advice::QuotaAdvice;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const JOBS: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The next_cursor of the page before."),
    ];
    vec![
        Route::post("/v3/workspaces/layout", "workspaces.write", lay_out)
            .about(
                "Preview or begin a new layout",
                "Answers what would be moved, with the daily quotas before and after; with dry_run false, a job does it.",
            )
            .takes::<Layout>()
            .answers::<LayoutAnswer>(),
        Route::get("/v3/workspaces/findings", "workspaces.read", findings)
            .about("Check the layout", "What of workspaces, mailboxes, policies, rules and lists may not be as it was meant.")
            .lists::<Finding>(),
        Route::get("/v3/workspaces/{workspace}/quota-advice", "workspaces.read", advise)
            .about(
                "Ask which daily quota fits",
                "About twice what the busiest mailbox of the workspace has sent on one of the last 30 days.",
            )
            .answers::<QuotaAdvice>(),
        Route::get("/v3/jobs", "workspaces.read", list_jobs)
            .about("List jobs", "Newest first; those that are over for 30 days.")
            .query(JOBS)
            .lists::<Job>(),
        Route::get("/v3/jobs/{job}", "workspaces.read", find_job).about("Find a job", "").answers::<Job>(),
    ]
}

/// `POST /v3/workspaces/layout`
pub(crate) async fn lay_out(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: Layout = json(&parts, body, BODY_OCTETS_MAX).await?;
    let answer = layout::lay_out(&platform.store, &*platform.entropy, act, application, &request).await?;
    Ok(respond::single(&id, answer))
}

/// `GET /v3/workspaces/findings`
pub(crate) async fn findings(call: Call) -> Answer {
    let findings = lint::findings(&call.platform.store, call.application).await?;
    Ok(respond::page(&call.id, findings, None))
}

/// `GET /v3/workspaces/{workspace}/quota-advice`
pub(crate) async fn advise(call: Call) -> Answer {
    let (platform, now) = (&call.platform, call.platform.clock.now());
    let advice = advisor::advise(&platform.store, call.application, &call.path[0], now).await?;
    Ok(respond::single(&call.id, advice))
}

/// `GET /v3/jobs`
pub(crate) async fn list_jobs(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let (limit, cursor) = (query.limit(50, 200)?, query.get("page_token").filter(|cursor| !cursor.is_empty()));
    let (jobs, next) = layout::list_jobs(&call.platform.store, call.application, limit, cursor).await?;
    Ok(respond::page(&call.id, jobs.iter().map(layout::show_job).collect(), next))
}

/// `GET /v3/jobs/{job}`
pub(crate) async fn find_job(call: Call) -> Answer {
    let job = layout::find_job(&call.platform.store, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, layout::show_job(&job)))
}
