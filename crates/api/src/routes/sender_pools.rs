//! `/v3/sender-pools`: mailboxes among which volume is split, and sending from whichever is best placed.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::idempotency::Keyed;
use crate::letter;
use crate::respond::{self, Answer};
use crate::route::{Answers, Kind, Parameter, Route, Shape};
use crate::routes::send;
use postfleet_core::id::SenderPoolId;
use postfleet_core::{Problem, sender_pool};
use postfleet_mailflow::sender_pools;
use postfleet_mailflow::submit::{Terms, request};
use postfleet_schema::send::{SendRequest, SendResponse};
use postfleet_schema::sender_pool::{
    CreateSenderPool, SenderPool, SenderPoolDetails, SenderPoolPlan, UpdateSenderPool,
};
use postfleet_store::idempotency::KeyedRequest;
use postfleet_store::templates::Owner;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/sender-pools", "sender_pools.read", list)
            .about("List pools of senders", "All of the application, in one page.")
            .lists::<SenderPool>(),
        Route::post("/v3/sender-pools", "sender_pools.write", create)
            .about("Make a pool of senders", "Of up to 100 mailboxes. At most 100 in an application.")
            .takes::<CreateSenderPool>()
            .answers::<SenderPoolDetails>(),
        Route::get("/v3/sender-pools/{pool}", "sender_pools.read", find)
            .about("Find a pool of senders", "With how its mailboxes stand, and what each of them sent lately.")
            .answers::<SenderPoolDetails>(),
        Route::patch("/v3/sender-pools/{pool}", "sender_pools.write", update)
            .about("Change a pool of senders", "What is absent stays.")
            .takes::<UpdateSenderPool>()
            .answers::<SenderPoolDetails>(),
        Route::delete("/v3/sender-pools/{pool}", "sender_pools.write", remove)
            .about("Remove a pool of senders", "Its mailboxes stay."),
        Route::get("/v3/sender-pools/{pool}/plan", "sender_pools.read", plan)
            .about(
                "Plan a volume",
                "How so many messages would spread on a day like today, each in a conversation of its own.",
            )
            .query(&[VOLUME])
            .answers::<SenderPoolPlan>(),
        Route::post("/v3/sender-pools/{pool}/messages/send", "messages.send", send)
            .about("Send from a pool", SENDING)
            .query(&[send::FIELDS, send::ALLOW_DUPLICATE])
            .keyed()
            .takes_message::<SendRequest>()
            .answers_bare::<SendResponse>()
            .answers_also(Answers::Bare(202, Shape::of::<SendResponse>())),
    ]
}

const VOLUME: Parameter =
    Parameter::new("volume", Kind::Integer(1, sender_pool::PLANNED_MAX as i64), "Messages in a day; 1,000 if absent.");

const SENDING: &str = "As sending from a mailbox, but that the pool chooses it: the one that has the message that is \
    answered; else the one that wrote to the first recipient last; else the one that stands best and has the most room. \
    One that refuses for a reason of its own (its quota, its domain, a stop) is passed over for the next. `grant_id` says \
    which it was. An `Idempotency-Key` holds for the whole pool. `from` and `send_at` must be absent.";

/// `GET /v3/sender-pools`
pub(crate) async fn list(call: Call) -> Answer {
    let pools = sender_pools::list(&call.platform, call.application).await?;
    Ok(respond::page(&call.id, pools.iter().map(sender_pools::show).collect(), None))
}

/// `POST /v3/sender-pools`
pub(crate) async fn create(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateSenderPool = json(&parts, body, BODY_OCTETS_MAX).await?;
    let pool = sender_pools::create(&platform, act, application, request).await?;
    Ok(respond::single(&id, sender_pools::details(&platform, &pool).await?))
}

/// `GET /v3/sender-pools/{pool}`
pub(crate) async fn find(call: Call) -> Answer {
    let pool = sender_pools::find(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, sender_pools::details(&call.platform, &pool).await?))
}

/// `PATCH /v3/sender-pools/{pool}`
pub(crate) async fn update(call: Call) -> Answer {
    let (act, pool) = (call.act(), call.id_at(0)?);
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateSenderPool = json(&parts, body, BODY_OCTETS_MAX).await?;
    let pool = sender_pools::update(&platform, act, (application, pool), request).await?;
    Ok(respond::single(&id, sender_pools::details(&platform, &pool).await?))
}

/// `DELETE /v3/sender-pools/{pool}`
pub(crate) async fn remove(call: Call) -> Answer {
    sender_pools::remove(&call.platform, call.act(), call.application, call.id_at(0)?).await?;
    Ok(respond::done(&call.id))
}

/// `GET /v3/sender-pools/{pool}/plan`
pub(crate) async fn plan(call: Call) -> Answer {
    let pool = sender_pools::find(&call.platform, call.application, call.id_at(0)?).await?;
    // What is no number is refused as none at all.
    let volume = Query::of(&call.parts)?.get("volume").map_or(1_000, |text| text.parse().unwrap_or(0));
    Ok(respond::single(&call.id, sender_pools::plan(&call.platform, &pool, volume).await?))
}

/// `POST /v3/sender-pools/{pool}/messages/send`
pub(crate) async fn send(call: Call) -> Answer {
    let pool = sender_pools::find(&call.platform, call.application, call.id_at::<SenderPoolId>(0)?).await?;
    let mut keyed = Keyed::of_pool(&call, &pool)?;
    let by = Some(call.author());
    let Call { platform, id, parts, body, .. } = call;
    let query = Query::of(&parts)?;
    let shown = send::shown(&query)?;
    let repeat = query.flag("allow_duplicate")?.unwrap_or(false);
    let limit = platform.store.plans().outbound_octets_ceiling();
    keyed.add(query.get("fields").unwrap_or_default());
    let (message, attachments) = letter::read::<SendRequest>(&parts, body, limit).await?;
    keyed.add_request(&message, &attachments);
    let send = async |key: Option<KeyedRequest>| {
        if !message.from.is_empty() {
            return Err(Problem::invalid("from", "from must be absent: the pool chooses the mailbox"));
        }
        if message.send_at.is_some_and(|at| at != 0) {
            return Err(Problem::invalid(
                "send_at",
                "send_at must be absent: a pool sends now; schedule from a mailbox",
            ));
        }
        let allow_duplicate = repeat || message.allow_duplicate == Some(true);
        let terms = Terms { may_wait: true, key, allow_duplicate, pool: Some(pool.id) };
        let owner = Owner { application: pool.application_id, grant: None };
        let outgoing = request::outgoing(request::dressed(&platform, owner, message).await?)?;
        let outgoing = postfleet_mailflow::submit::Outgoing { attachments, shown, by, terms, ..outgoing };
        let (grant, sent) = sender_pools::send(&platform, &pool, outgoing).await?;
        Ok(send::sent(&platform, &id, &grant, sent))
    };
    keyed.once(&platform, &id, shown, send).await
}
