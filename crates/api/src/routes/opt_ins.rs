//! `/v3/grants/{grant}/opt-ins`, `/v3/opt-ins` and `/v3/opt-in/{token}`: asking somebody whether they want mail for a purpose,
//! the page on which they say so, and the proof of it.
//!
//! Only a POST that says so confirms: programs that look at links before people do ask with GET, and get a page with
//! buttons. There are no cookies, no scripts and no redirects.

use crate::call::{Call, OpenCall};
use crate::extract::{BODY_OCTETS_MAX, FORM_OCTETS_MAX, Query, form, json, peer};
use crate::pages;
use crate::respond::{self, Answer};
use crate::route::{Answers, Kind, Parameter, Route};
use axum::http::header;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::Problem;
use postfleet_core::opt_in::{Say, State};
use postfleet_fleet::opt_ins;
use postfleet_mailflow::{Platform, opt_ins as flow};
use postfleet_schema::opt_in::{OptIn, OptInForm, RequestOptIn};
use postfleet_store::opt_ins::{OptIn as Stored, with_id};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
        Parameter::new("state", Kind::OneOf(State::NAMES), "Only those that are so now."),
        Parameter::new("purpose", Kind::Text, "Only those for exactly this purpose."),
        Parameter::new("email", Kind::Text, "Only those of this address."),
    ];
    vec![
        Route::post("/v3/grants/{grant}/opt-ins", "messages.send", request)
            .about(
                "Ask somebody whether they want mail for a purpose",
                "Sends one mail with a link, which ends after 7 days. Who has agreed already is not asked again: their \
                 record is answered. At most 3 mails for a purpose and 10 in all go to an address in 7 days, 10 minutes \
                 apart. Nobody is asked who is suppressed, or has declined.",
            )
            .takes::<RequestOptIn>()
            .answers::<OptIn>(),
        Route::get("/v3/opt-ins", "opt_ins.read", list)
            .about("List opt-ins", "Newest first, with those that are over.")
            .query(LIST)
            .lists::<OptIn>(),
        Route::get("/v3/opt-ins/{opt_in}", "opt_ins.read", find)
            .about(
                "Show the proof of an opt-in",
                "When it was asked and by which message, the exact words and their hash, and when and from where it was \
                 confirmed.",
            )
            .answers::<OptIn>(),
        Route::delete("/v3/opt-ins/{opt_in}", "opt_ins.write", withdraw)
            .about(
                "Take an opt-in back",
                "With all others of its address for the same purpose. The records stay; what was declined stays so.",
            )
            .answers::<OptIn>(),
        Route::get("/v3/opt-in/{token}", "", show)
            .about("Show the page to confirm on", "A page for people with buttons. It changes nothing.")
            .answers_file("text/html")
            .answers_also(Answers::File(404, "text/html"))
            .answers_also(Answers::File(410, "text/html")),
        Route::post("/v3/opt-in/{token}", "", answer)
            .about("Confirm or decline", "What the buttons of the page post. Confirming twice is the same as once.")
            .takes_form::<OptInForm>()
            .answers_file("text/html")
            .answers_also(Answers::File(404, "text/html"))
            .answers_also(Answers::File(410, "text/html")),
    ]
}

/// `POST /v3/grants/{grant}/opt-ins`
pub(crate) async fn request(call: Call) -> Answer {
    let grant = call.grant().await?;
    let by = Some(call.author());
    let Call { platform, id, parts, body, .. } = call;
    let request: RequestOptIn = json(&parts, body, BODY_OCTETS_MAX).await?;
    let asked = flow::ask(&platform, &grant, opt_ins::wish(request)?, by).await?;
    Ok(respond::single(&id, opt_ins::show(&asked, platform.clock.now())))
}

/// `GET /v3/opt-ins`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let given = |name| query.get(name).filter(|text| !text.is_empty());
    let wanted = opt_ins::Query {
        limit: query.limit(50, 200)?,
        page_token: given("page_token"),
        state: given("state"),
        purpose: given("purpose"),
        email: given("email"),
    };
    let now = call.platform.clock.now();
    let page = opt_ins::list(&call.platform.store, call.application, wanted, now).await?;
    let page = page.map(|one| opt_ins::show(&one, now));
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `GET /v3/opt-ins/{opt_in}`
pub(crate) async fn find(call: Call) -> Answer {
    let found = opt_ins::find(&call.platform.store, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, opt_ins::show(&found, call.platform.clock.now())))
}

/// `DELETE /v3/opt-ins/{opt_in}`
pub(crate) async fn withdraw(call: Call) -> Answer {
    let over = opt_ins::withdraw(&call.platform.store, call.act(), call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, opt_ins::show(&over, call.platform.clock.now())))
}

/// `GET /v3/opt-in/{token}`
pub(crate) async fn show(call: OpenCall) -> Answer {
    let platform = &call.platform;
    let found = match opt_ins::read(&platform.keys, &call.path[0]) {
        Some(id) => with_id(&mut platform.store.reader().await?, id).await?,
        None => None,
    };
    Ok(page(platform, found))
}

/// `POST /v3/opt-in/{token}`
pub(crate) async fn answer(call: OpenCall) -> Answer {
    let OpenCall { platform, parts, body, path, .. } = call;
    let Some(id) = opt_ins::read(&platform.keys, &path[0]) else { return Ok(page(&platform, None)) };
    let said = form(&parts, body, FORM_OCTETS_MAX).await?;
    let say = match said.get("answer") {
        Some("confirm") => Say::Yes,
        Some("decline") => Say::No,
        _ => return Err(Problem::invalid("answer", "answer must be confirm or decline")),
    };
    let user_agent = parts.headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let from = (peer(&parts, &platform), user_agent.as_deref().and_then(opt_ins::user_agent));
    let answered = flow::answer(&platform, id, say, from).await?;
    Ok(page(&platform, answered.map(|answered| answered.opt_in)))
}

fn page(platform: &Platform, opt_in: Option<Stored>) -> Response {
    let nonce = URL_SAFE_NO_PAD.encode(platform.entropy.sixteen());
    match opt_in {
        Some(found) => {
            let state = found.state.at(platform.clock.now(), found.asked_at);
            pages::opt_in::show(&nonce, &found, state)
        }
        None => pages::opt_in::unknown(&nonce),
    }
}
