//! `/v3/grants/{grant}/signatures`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_core::id::SignatureId;
use postfleet_fleet::signatures;
use postfleet_schema::signature::{Signature, WriteSignature};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const ALL: &str = "/v3/grants/{grant}/signatures";
    const ONE: &str = "/v3/grants/{grant}/signatures/{signature}";
    vec![
        Route::get(ALL, "signatures.read", list)
            .about("List signatures", "All of the mailbox, oldest first, in one page.")
            .lists::<Signature>(),
        Route::post(ALL, "signatures.write", create)
            .about("Make a signature", DETAILS)
            .takes::<WriteSignature>()
            .creates::<Signature>(),
        Route::get(ONE, "signatures.read", find).about("Find a signature", "").answers::<Signature>(),
        Route::put(ONE, "signatures.write", update)
            .about("Change a signature", "What is absent stays.")
            .takes::<WriteSignature>()
            .answers::<Signature>(),
        Route::patch(ONE, "signatures.write", update)
            .about("Change a signature", "What is absent stays.")
            .takes::<WriteSignature>()
            .answers::<Signature>(),
        Route::delete(ONE, "signatures.write", remove)
            .about("Remove a signature", "What was written with it keeps it."),
    ]
}

const DETAILS: &str = "The HTML is made safe before it is kept, so that the answer may differ from what was given. It is \
    appended to a message, draft or draft that is sent by `signature_id`, at the very end, behind a line end; to plain text as \
    plain text. At most ten in a mailbox.";

/// `GET /v3/grants/{grant}/signatures`
pub(crate) async fn list(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let list = signatures::list(&call.platform.store, grant).await?;
    Ok(respond::page(&call.id, list.iter().map(signatures::show).collect(), None))
}

/// `POST /v3/grants/{grant}/signatures`
pub(crate) async fn create(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let act = call.act();
    let Call { platform, id, parts, body, .. } = call;
    let request: WriteSignature = json(&parts, body, BODY_OCTETS_MAX).await?;
    let made = signatures::create(&platform.store, &*platform.entropy, act, grant, request).await?;
    Ok(respond::created(&id, signatures::show(&made)))
}

/// `GET /v3/grants/{grant}/signatures/{signature}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let found = signatures::find(&call.platform.store, grant, call.id_at(1)?).await?;
    Ok(respond::single(&call.id, signatures::show(&found)))
}

/// `PUT` and `PATCH /v3/grants/{grant}/signatures/{signature}`
pub(crate) async fn update(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let (signature, act) = (call.id_at::<SignatureId>(1)?, call.act());
    let Call { platform, id, parts, body, .. } = call;
    let request: WriteSignature = json(&parts, body, BODY_OCTETS_MAX).await?;
    let changed = signatures::update(&platform.store, act, grant, signature, request).await?;
    Ok(respond::single(&id, signatures::show(&changed)))
}

/// `DELETE /v3/grants/{grant}/signatures/{signature}`
pub(crate) async fn remove(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    signatures::remove(&call.platform.store, call.act(), grant, call.id_at(1)?).await?;
    Ok(respond::done(&call.id))
}
