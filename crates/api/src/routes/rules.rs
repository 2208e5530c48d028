//! `/v3/rules`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json, typed};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_core::id::RuleId;
use postfleet_fleet::{rule_replay, rules};
use postfleet_schema::rule::{CreateRule, Rule, UpdateRule};
use postfleet_schema::rule_replay::{ReplayRules, RuleReplay};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Rules of a page at most.
const PAGE_MAX: usize = 200;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    ];
    const CHANGE: (&str, &str) = (
        "Change a rule",
        "What is absent stays; match and actions are replaced whole. It holds for the next message of every workspace \
         that uses it.",
    );
    vec![
        Route::get("/v3/rules", "rules.read", list)
            .about("List rules", "Newest first. The page is in `data.items`, and its cursor stands in both places.")
            .query(LIST)
            .lists_nested::<Rule>(),
        Route::post("/v3/rules", "rules.write", create)
            .about("Make a rule", "It has no effect until a workspace has it in its `rule_ids`.")
            .takes::<CreateRule>()
            .creates::<Rule>(),
        Route::post("/v3/rules/replay", "rules.read", replay)
            .about(
                "Judge mail of the past",
                "What mailboxes sent, or were refused by rules, is judged by the rules and lists as they are and as they \
                 would be. Nothing is sent, kept, counted or recorded. A request looks at a bounded number of messages, \
                 in the order of time; the next one goes on with `next_cursor`.",
            )
            .takes::<ReplayRules>()
            .answers::<RuleReplay>(),
        Route::get("/v3/rules/{rule}", "rules.read", find).about("Find a rule", "").answers::<Rule>(),
        Route::put("/v3/rules/{rule}", "rules.write", update)
            .about(CHANGE.0, CHANGE.1)
            .takes::<UpdateRule>()
            .answers::<Rule>(),
        Route::patch("/v3/rules/{rule}", "rules.write", update)
            .about(CHANGE.0, CHANGE.1)
            .takes::<UpdateRule>()
            .answers::<Rule>(),
        Route::delete("/v3/rules/{rule}", "rules.write", remove)
            .about("Remove a rule", "It is taken from the workspaces that use it, in the same transaction."),
    ]
}

/// `GET /v3/rules`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let limit = query.limit(50, PAGE_MAX)?;
    let cursor = query.get("page_token").filter(|token| !token.is_empty());
    let (found, next) = rules::list(&call.platform.store, call.application, limit, cursor).await?;
    Ok(respond::nested_page(&call.id, found.iter().map(rules::show).collect(), next))
}

/// `POST /v3/rules`
pub(crate) async fn create(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateRule = read(json(&parts, body, BODY_OCTETS_MAX).await?)?;
    let made = rules::create(&platform.store, &*platform.entropy, act, application, request).await?;
    Ok(respond::created(&id, rules::show(&made)))
}

/// `POST /v3/rules/replay`
pub(crate) async fn replay(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, .. } = call;
    let body = json(&parts, body, BODY_OCTETS_MAX).await?;
    rule_replay::check_objects(&body)?;
    let request: ReplayRules = typed(body)?;
    let replayed = rule_replay::replay(&platform.store, platform.clock.now(), application, request).await?;
    Ok(respond::single(&id, replayed))
}

/// `GET /v3/rules/{rule}`
pub(crate) async fn find(call: Call) -> Answer {
    let found = rules::find(&call.platform.store, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, rules::show(&found)))
}

/// `PUT /v3/rules/{rule}`, and `PATCH`.
pub(crate) async fn update(call: Call) -> Answer {
    let (rule, act): (RuleId, _) = (call.id_at(0)?, call.act());
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateRule = read(json(&parts, body, BODY_OCTETS_MAX).await?)?;
    let changed = rules::update(&platform.store, act, application, rule, request).await?;
    Ok(respond::single(&id, rules::show(&changed)))
}

/// `DELETE /v3/rules/{rule}`
pub(crate) async fn remove(call: Call) -> Answer {
    rules::remove(&call.platform.store, call.act(), call.application, call.id_at(0)?).await?;
    Ok(respond::done(&call.id))
}

fn read<T: DeserializeOwned>(body: Map<String, Value>) -> Result<T, Problem> {
    rules::check_objects(&body)?;
    typed(body)
}
