//! `/v3/holds` and `/v3/grants/{grant}/holds`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json, json_or_nothing};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use postfleet_core::Problem;
use postfleet_core::id::HoldId;
use postfleet_mailflow::holds::{self as flow, Review};
use postfleet_schema::hold::{self as schema, ApproveHold, RejectHold};
use postfleet_store::holds::{self, Hold};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const PAGE: &[Parameter] = &[LIMIT, TOKEN];
    const OF_GRANT: &str = "/v3/grants/{grant}/holds/{hold}";
    vec![
        Route::get("/v3/grants/{grant}/holds", "messages.read", list_of_grant)
            .about("List held sends of a mailbox", "Newest first. What is over is kept for 30 days.")
            .query(PAGE)
            .lists::<schema::Hold>(),
        Route::get(OF_GRANT, "messages.read", find_of_grant)
            .about("Find a held send of a mailbox", "Without what would leave.")
            .answers::<schema::Hold>(),
        Route::delete(OF_GRANT, "messages.send", cancel).about(
            "Cancel a held send",
            "It is not sent; a message that is a draft stays one. Refused with 409 once it is over otherwise.",
        ),
        Route::get("/v3/holds", "holds.read", list)
            .about("List held sends", "Those of all mailboxes of the application, newest first.")
            .query(&[LIMIT, TOKEN, OPEN])
            .lists::<schema::Hold>(),
        Route::get("/v3/holds/{hold}", "holds.read", find)
            .about("Look at a held send", "With exactly what would leave, and the digest that an approval must name.")
            .answers::<schema::Hold>(),
        Route::post("/v3/holds/{hold}/approve", "holds.decide", approve)
            .about("Approve a held send", APPROVE)
            .takes::<ApproveHold>()
            .answers::<schema::Hold>(),
        Route::post("/v3/holds/{hold}/reject", "holds.decide", reject)
            .about(
                "Reject a held send",
                "It is not sent; a message that is a draft stays one. Not with the key that sent it.",
            )
            .takes::<RejectHold>()
            .answers::<schema::Hold>(),
    ]
}

const APPROVE: &str = "It leaves at once, after everything but the rule that holds it has been judged again, and takes the \
    quota of that day. If there is no quota it stays approved and leaves when there is; `refusal` says why it has not \
    left. The approval is of what the digest says, and of that alone: refused with 409 once the message, the policy or the \
    rules were changed, or somebody has decided. Not with the key that sent it.";

const LIMIT: Parameter = Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent.");

const TOKEN: Parameter = Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before.");

const OPEN: Parameter = Parameter::new("open", Kind::Flag, "Only those that are not over.");

/// Which page is asked for: how many, and before which.
fn page(query: &Query) -> Result<(usize, Option<HoldId>), Problem> {
    let wrong = |_| Problem::invalid("page_token", "page_token is not a cursor of this list");
    let before = query.get("page_token").filter(|token| !token.is_empty());
    Ok((query.limit(50, 200)?, before.map(|token| token.parse::<HoldId>().map_err(wrong)).transpose()?))
}

fn answer(call: &Call, mut page: Vec<Hold>, limit: usize) -> Answer {
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(respond::page(&call.id, page.into_iter().map(|hold| shown(hold, None)).collect(), next))
}

/// `GET /v3/grants/{grant}/holds`
pub(crate) async fn list_of_grant(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let (limit, before) = page(&Query::of(&call.parts)?)?;
    let mut reader = call.platform.store.reader().await?;
    let page = holds::list_of_grant(&mut reader, grant, before, limit + 1).await?;
    drop(reader);
    answer(&call, page, limit)
}

/// `GET /v3/grants/{grant}/holds/{hold}`
pub(crate) async fn find_of_grant(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let mut reader = call.platform.store.reader().await?;
    let hold = holds::find_of_grant(&mut reader, grant, call.id_at(1)?).await?.ok_or_else(Problem::not_found)?;
    Ok(respond::single(&call.id, shown(hold, None)))
}

/// `DELETE /v3/grants/{grant}/holds/{hold}`
pub(crate) async fn cancel(call: Call) -> Answer {
    let grant = call.grant().await?;
    flow::cancel(&call.platform, &grant, call.act(), call.id_at(1)?).await?;
    Ok(respond::done(&call.id))
}

/// `GET /v3/holds`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let (limit, before) = page(&query)?;
    let only_open = query.flag("open")?.unwrap_or(false);
    let mut reader = call.platform.store.reader().await?;
    let page = holds::list(&mut reader, call.application, only_open, before, limit + 1).await?;
    drop(reader);
    answer(&call, page, limit)
}

/// `GET /v3/holds/{hold}`
pub(crate) async fn find(call: Call) -> Answer {
    let hold = flow::find(&call.platform, call.application, call.id_at(0)?).await?;
    let review = flow::review(&call.platform, &hold).await?;
    Ok(respond::single(&call.id, shown(hold, review)))
}

/// `POST /v3/holds/{hold}/approve`
pub(crate) async fn approve(call: Call) -> Answer {
    let (act, hold) = (call.act(), call.id_at(0)?);
    let Call { platform, id, parts, body, .. } = call;
    let request: ApproveHold = json(&parts, body, BODY_OCTETS_MAX).await?;
    let (hold, refusal) = flow::approve(&platform, act, hold, &request.digest, request.reason).await?;
    let refusal = refusal.map(|problem| schema::Refusal { code: problem.code.to_owned(), message: problem.public });
    Ok(respond::single(&id, schema::Hold { refusal, ..shown(hold, None) }))
}

/// `POST /v3/holds/{hold}/reject`
pub(crate) async fn reject(call: Call) -> Answer {
    let (act, hold) = (call.act(), call.id_at(0)?);
    let Call { platform, id, parts, body, .. } = call;
    let request: RejectHold = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await?;
    Ok(respond::single(&id, shown(flow::reject(&platform, act, hold, request.reason).await?, None)))
}

fn shown(hold: Hold, review: Option<Review>) -> schema::Hold {
    let party = |(kind, id)| schema::Party { kind, id };
    schema::Hold {
        id: hold.id.to_string(),
        grant_id: hold.grant_id.to_string(),
        message_id: hold.message_id.to_string(),
        reason: hold.reason.name(),
        state: hold.state.name(),
        is_draft: hold.is_draft,
        author: party(hold.author),
        editor: hold.editor.map(party),
        decided_by: hold.decided_by.map(party),
        decided_at: hold.decided_at.map(|at| at.as_seconds()),
        note: hold.note,
        approved_digest: hold.digest.map(|digest| holds::hex(&digest)),
        expires_at: hold.expires_at.as_seconds(),
        created_at: hold.created_at.as_seconds(),
        closed_at: hold.closed_at.map(|at| at.as_seconds()),
        review: review.map(|review| schema::Review {
            digest: holds::hex(&review.digest),
            recipients: review.recipients.iter().map(ToString::to_string).collect(),
            message: review.message,
            raw_mime: URL_SAFE.encode(&review.raw),
        }),
        refusal: None,
    }
}
