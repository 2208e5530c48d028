//! `GET /v3/grants/{grant}/explain`: why a mailbox may not send, and why it could not.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::plan::RECIPIENTS_MAX;
use postfleet_core::{EmailAddress, Problem, outbound};
use postfleet_fleet::explain::{self, Asked};
use postfleet_mailflow::submit::explain::{Question, explain};
use postfleet_schema::explanation::Explanation;
use postfleet_store::keys::{self, Holder};
use postfleet_store::organizations::Scope;

const PARAMETERS: &[Parameter] = &[
    Parameter::new("to", Kind::List, "Addresses that would be written to, 50 at most."),
    Parameter::new("reply_to_message_id", Kind::Text, "The message of the mailbox that would be answered."),
    Parameter::new(
        "key_id",
        Kind::Text,
        "The key of the application with which it would be sent; the one that asks if absent. Not with an access token.",
    ),
];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/grants/{grant}/explain", "grants.read", of_grant)
            .about("Explain why a mailbox may not send", DETAILS)
            .query(PARAMETERS)
            .answers::<Explanation>(),
    ]
}

const DETAILS: &str = "Everything that would refuse a small message now, in the order in which it would be told, and what \
    was refused in the last 30 days: with the limit, what is used of it, whose decision it is, when it resets and what \
    would change it. Nothing is sent, and nothing is counted.";

/// `GET /v3/grants/{grant}/explain`
pub(crate) async fn of_grant(call: Call) -> Answer {
    let grant = call.grant().await?;
    let query = Query::of(&call.parts)?;
    let recipients = recipients(&query)?;
    let by = match query.text("key_id", "key_id") {
        None => call.caller.key,
        Some(text) => Some(named_key(&call, &text).await?),
    };
    let reply_to_message_id = query.text("reply_to_message_id", "reply_to_message_id");
    let question = Question { recipients, reply_to_message_id, by };
    let (obstacles, held_for) = explain(&call.platform, &grant, &question).await?;
    let asked = Asked {
        application_id: call.application,
        grant_id: grant.id,
        email: &grant.email,
        key_id: by,
        recipients: &question.recipients,
        at: call.platform.clock.now(),
    };
    let explanation = explain::explain(&call.platform.store, &asked, &obstacles, held_for).await?;
    Ok(respond::single(&call.id, explanation))
}

fn recipients(query: &Query) -> Result<Vec<EmailAddress>, Problem> {
    let named = query.list("to");
    if named.len() > RECIPIENTS_MAX {
        return Err(outbound::too_many_recipients(named.len()));
    }
    let parse = |text: &String| {
        EmailAddress::parse(text).map_err(|error| Problem::invalid("to", format!("to has {text:?}: {error}")))
    };
    named.iter().map(parse).collect()
}

/// A key of the application of whoever asks. What keys may do is none of a mailbox's business.
async fn named_key(call: &Call, text: &str) -> Result<postfleet_core::id::KeyId, Problem> {
    if call.caller.grant.is_some() {
        return Err(Problem::invalid("key_id", "key_id may not be given with an access token"));
    }
    let unknown = || Problem::invalid("key_id", "key_id is not a key of this application");
    let id = text.parse().map_err(|_| unknown())?;
    let mut reader = call.platform.store.reader().await?;
    let found = keys::find_by_id(&mut reader, Holder::Application(call.application), Scope::All, id).await?;
    found.map(|key| key.id).ok_or_else(unknown)
}
