//! `/v3/stops`, `/v3/admin/stops` and `/v3/admin/restrictions`: who may not send, and why; and the support bundle of a mailbox.

use crate::call::{AdminCall, Call};
use crate::error::envelope;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_core::id::{ApplicationId, StopId};
use postfleet_core::stop::Kind as StopKind;
use postfleet_fleet::explain::Asked;
use postfleet_fleet::{audit, evaluations, explain, feedback, limits, reputation, stops};
use postfleet_mailflow::submit::explain::{Question, explain as obstacles};
use postfleet_mailflow::{Platform, stops as in_force};
use postfleet_schema::stop::{CreateRestriction, CreateStop, LiftStop, Stop, SupportBundle};
use postfleet_store::organizations::Scope;
use postfleet_store::stops::{Whose, Within};
use serde_json::json as value;

/// Records of each kind in a support bundle.
const BUNDLED: usize = 20;

const LIMIT: Parameter = Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent.");
const TOKEN: Parameter = Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before.");
const KINDS: &[&str] = &["restriction", "pause", "switch", "breaker", "quarantine", "loop"];
const KIND: Parameter = Parameter::new("kind", Kind::OneOf(KINDS), "Only stops of this kind.");
const SCOPES: &[&str] =
    &["sender_address", "sender_domain", "organization", "application", "workspace", "grant", "thread"];
const SCOPE: Parameter = Parameter::new("scope", Kind::OneOf(SCOPES), "Only stops of this scope.");
const GRANT: Parameter = Parameter::new("grant_id", Kind::Text, "Only those of this mailbox itself: its id.");
const WORKSPACE: Parameter =
    Parameter::new("workspace_id", Kind::Text, "Only those of this workspace and of mailboxes in it: its id.");
const ACTIVE: Parameter =
    Parameter::new("active", Kind::Flag, "With `true` only those in force, with `false` only those that were lifted.");
const ORGANIZATION: Parameter = Parameter::new(
    "organization_id",
    Kind::Text,
    "Only those of this organization; if absent all that the operator may see.",
);

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/stops", "stops.read", list)
            .about(
                "List stops",
                "Who may not send, or could not, and why: those that concern the application, newest first.",
            )
            .query(&[LIMIT, TOKEN, KIND, SCOPE, GRANT, WORKSPACE, ACTIVE])
            .lists::<Stop>(),
        Route::post("/v3/stops", "stops.write", raise)
            .about("Stop sending", STOP)
            .takes::<CreateStop>()
            .answers::<Stop>(),
        Route::get("/v3/stops/{stop}", "stops.read", find).about("Find a stop", "").answers::<Stop>(),
        Route::post("/v3/stops/{stop}/lift", "stops.write", lift)
            .about("Start sending again", LIFT)
            .takes::<LiftStop>()
            .answers::<Stop>(),
        Route::get("/v3/admin/stops", "stops.read", list_all)
            .about("List stops of organizations", "Newest first.")
            .query(&[LIMIT, TOKEN, KIND, SCOPE, GRANT, WORKSPACE, ACTIVE, ORGANIZATION])
            .lists::<Stop>(),
        Route::post("/v3/admin/stops", "stops.write", raise_any)
            .about("Stop sending of anybody", STOP)
            .takes::<CreateStop>()
            .answers::<Stop>(),
        Route::get("/v3/admin/stops/{stop}", "stops.read", find_any)
            .about("Find a stop of anybody", "")
            .answers::<Stop>(),
        Route::post("/v3/admin/stops/{stop}/lift", "stops.write", lift_any)
            .about("Start sending of anybody again", LIFT_ANY)
            .takes::<LiftStop>()
            .answers::<Stop>(),
        Route::get("/v3/admin/restrictions", "restrictions.read", list_restrictions)
            .about("List abuse restrictions", "Newest first, with those that were lifted.")
            .query(&[LIMIT, TOKEN, SCOPE, ACTIVE, ORGANIZATION])
            .lists::<Stop>(),
        Route::post("/v3/admin/restrictions", "restrictions.write", restrict)
            .about("Restrict a sender because of abuse", RESTRICT)
            .takes::<CreateRestriction>()
            .answers::<Stop>(),
        Route::get("/v3/admin/restrictions/{restriction}", "restrictions.read", find_restriction)
            .about("Find an abuse restriction", "")
            .answers::<Stop>(),
        Route::post("/v3/admin/restrictions/{restriction}/lift", "restrictions.write", lift_restriction)
            .about(
                "Lift an abuse restriction",
                "For the installation's operator. The next attempt is not blocked by it.",
            )
            .takes::<LiftStop>()
            .answers::<Stop>(),
        Route::get("/v3/grants/{grant}/support-bundle", "grants.read", bundle)
            .about("Put together what support needs", "Without secrets, and without bodies of mail.")
            .answers::<SupportBundle>(),
    ]
}

const STOP: &str = "Of a mailbox, a workspace, a domain with its subdomains, an address or an application; with an operator's \
    key also of an organization. Sends are refused from the answer on, and what is queued waits until the stop is lifted. \
    What is stopped like that already stays so, and is answered.";
const LIFT: &str = "What waits in the queue leaves in its order. Restrictions and pauses are lifted by the operator of the \
    installation, and a stop of the organization by its operator: 403.";
const LIFT_ANY: &str = "What waits in the queue leaves in its order. Restrictions are lifted by the operator of the \
    installation. The pause of a mailbox is lifted by granting a recovery, and not here: 409.";
const RESTRICT: &str = "For the installation's operator. The next attempt to send is blocked, and what is queued waits. Of \
    several that match the first is told: address, domain with its subdomains, organization, application, mailbox.";

fn asked<'a>(query: &'a Query, limit: usize) -> Result<stops::Query<'a>, Problem> {
    let given = |name| query.get(name).filter(|text: &&str| !text.is_empty());
    Ok(stops::Query {
        limit,
        page_token: given("page_token"),
        kind: given("kind"),
        scope: given("scope"),
        grant_id: given("grant_id"),
        workspace_id: given("workspace_id"),
        is_active: query.flag("active")?,
    })
}

/// `GET /v3/stops`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let wanted = asked(&query, query.limit(50, 200)?)?;
    let whose = stops::whose(&call.platform.store, call.application).await?;
    let page = stops::list(&call.platform.store, whose, &wanted).await?;
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `GET /v3/stops/{stop}`
pub(crate) async fn find(call: Call) -> Answer {
    let id: StopId = call.id_at(0)?;
    let whose = stops::whose(&call.platform.store, call.application).await?;
    Ok(respond::single(&call.id, stops::find(&call.platform.store, whose, id, None).await?))
}

/// `POST /v3/stops`
pub(crate) async fn raise(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateStop = json(&parts, body, BODY_OCTETS_MAX).await?;
    let wish = switch(request, Within::Application(application));
    let raised = stops::raise(&platform.store, &*platform.entropy, act, wish).await?;
    make_known(&platform).await;
    Ok(respond::single(&id, raised))
}

fn switch(request: CreateStop, within: Within) -> stops::Wish {
    let CreateStop { scope, subject, reason } = request;
    stops::Wish { kind: StopKind::Switch, scope, subject, reason, reference: None, within }
}

/// `POST /v3/stops/{stop}/lift`
pub(crate) async fn lift(call: Call) -> Answer {
    let (stop, act): (StopId, _) = (call.id_at(0)?, call.act());
    let Call { platform, application, id, parts, body, .. } = call;
    let request: LiftStop = json(&parts, body, BODY_OCTETS_MAX).await?;
    let which = (stop, None, Within::Application(application));
    let lifted = stops::lift(&platform.store, &*platform.entropy, act, which, request).await?;
    make_known(&platform).await;
    Ok(respond::single(&id, lifted))
}

/// Before the answer this node acts by what was raised or lifted; if that fails, a moment later.
async fn make_known(platform: &Platform) {
    if let Err(problem) = in_force::refresh_once(platform).await {
        tracing::warn!(cause = ?problem.cause, "what is stopped is not known on this node yet: {problem}");
    }
}

/// What an operator may see: what they name, or everything that is theirs.
fn whose(call: &AdminCall, named: Option<&str>) -> Result<Whose, Problem> {
    let operator = call.operator();
    let named = named.filter(|text| !text.is_empty());
    match (operator.scope(), named) {
        (Scope::All, None) => Ok(Whose::All),
        _ => Ok(Whose::Organization(operator.organization(named)?)),
    }
}

async fn page(call: AdminCall, kind: Option<StopKind>) -> Answer {
    let query = Query::of(&call.parts)?;
    let whose = whose(&call, query.get("organization_id"))?;
    let wanted = asked(&query, query.limit(50, 200)?)?;
    let wanted = stops::Query { kind: kind.map(StopKind::name).or(wanted.kind), ..wanted };
    let page = stops::list(&call.platform.store, whose, &wanted).await?;
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `GET /v3/admin/stops`
pub(crate) async fn list_all(call: AdminCall) -> Answer {
    page(call, None).await
}

/// `GET /v3/admin/restrictions`
pub(crate) async fn list_restrictions(call: AdminCall) -> Answer {
    page(call, Some(StopKind::Restriction)).await
}

/// `GET /v3/admin/stops/{stop}`
pub(crate) async fn find_any(call: AdminCall) -> Answer {
    found(call, None).await
}

/// `GET /v3/admin/restrictions/{restriction}`
pub(crate) async fn find_restriction(call: AdminCall) -> Answer {
    found(call, Some(StopKind::Restriction)).await
}

async fn found(call: AdminCall, kind: Option<StopKind>) -> Answer {
    let id: StopId = call.id_at(0)?;
    let whose = whose(&call, None)?;
    Ok(respond::single(&call.id, stops::find(&call.platform.store, whose, id, kind).await?))
}

/// `POST /v3/admin/stops`
pub(crate) async fn raise_any(call: AdminCall) -> Answer {
    let (within, act) = (Within::Operator(call.operator().scope()), call.act(None));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: CreateStop = json(&parts, body, BODY_OCTETS_MAX).await?;
    let wish = switch(request, within);
    let raised = stops::raise(&platform.store, &*platform.entropy, act, wish).await?;
    make_known(&platform).await;
    Ok(respond::single(&id, raised))
}

/// `POST /v3/admin/restrictions`
pub(crate) async fn restrict(call: AdminCall) -> Answer {
    let (operator, act) = (call.operator(), call.act(None));
    operator.for_installation()?;
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: CreateRestriction = json(&parts, body, BODY_OCTETS_MAX).await?;
    let CreateRestriction { scope, subject, reason, reference } = request;
    let within = Within::Operator(operator.scope());
    let wish = stops::Wish { kind: StopKind::Restriction, scope, subject, reason, reference, within };
    let raised = stops::raise(&platform.store, &*platform.entropy, act, wish).await?;
    make_known(&platform).await;
    Ok(respond::single(&id, raised))
}

/// `POST /v3/admin/stops/{stop}/lift`
pub(crate) async fn lift_any(call: AdminCall) -> Answer {
    lifted(call, None).await
}

/// `POST /v3/admin/restrictions/{restriction}/lift`
pub(crate) async fn lift_restriction(call: AdminCall) -> Answer {
    lifted(call, Some(StopKind::Restriction)).await
}

async fn lifted(call: AdminCall, kind: Option<StopKind>) -> Answer {
    let (stop, act): (StopId, _) = (call.id_at(0)?, call.act(None));
    let within = Within::Operator(call.operator().scope());
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: LiftStop = json(&parts, body, BODY_OCTETS_MAX).await?;
    let which = (stop, kind, within);
    let lifted = stops::lift(&platform.store, &*platform.entropy, act, which, request).await?;
    make_known(&platform).await;
    Ok(respond::single(&id, lifted))
}

/// `GET /v3/grants/{grant}/support-bundle`
pub(crate) async fn bundle(call: Call) -> Answer {
    let grant = call.grant().await?;
    let (store, now) = (&call.platform.store, call.platform.clock.now());
    let organization = organization(&call).await?;
    let by = call.caller.key;
    let question = Question { recipients: Vec::new(), reply_to_message_id: None, by };
    let (against, held_for) = obstacles(&call.platform, &grant, &question).await?;
    let asked = Asked {
        application_id: call.application,
        grant_id: grant.id,
        email: &grant.email,
        key_id: by,
        recipients: &[],
        at: now,
    };
    let sending = explain::explain(store, &asked, &against, held_for).await?;
    let example_error = match (against.first(), sending.past.first()) {
        (Some(problem), _) => serde_json::to_value(envelope(problem, &call.id.0)).ok(),
        (None, Some(past)) => Some(value!({
            "request_id": null,
            "error": {"message": past.message, "code": past.code, "scope": past.scope, "limit": past.limit,
                "used": past.used, "resets_at": past.resets_at},
        })),
        (None, None) => None,
    };
    let domains = call.platform.domains();
    let domain = domains.find(organization, grant.email.domain().as_str()).await.ok();
    let (rule_evaluations, _) = evaluations::list(store, grant.id, None, BUNDLED, None).await?;
    let bundle = SupportBundle {
        version: env!("CARGO_PKG_VERSION"),
        at: now.as_seconds(),
        organization_id: organization.to_string(),
        application_id: call.application.to_string(),
        grant_id: grant.id.to_string(),
        email: grant.email.to_string(),
        workspace_id: grant.workspace_id.map(|id| id.to_string()),
        limits: limits::find(store, call.application, grant.id, now).await?,
        sending,
        example_error,
        stops: stops::history(store, (organization, call.application), grant.id).await?,
        reputation: reputation::bundled(store, (organization, call.application), &grant, now).await?,
        rule_evaluations,
        feedback: feedback::list(store, Some(grant.id), BUNDLED, None).await?.items,
        domain: domain.map(|details| postfleet_fleet::domains::show(&details, &call.platform.settings.domains)),
        request_ids: request_ids(&call, &grant.id.to_string()).await?,
    };
    Ok(respond::single(&call.id, bundle))
}

async fn organization(call: &Call) -> Result<postfleet_core::id::OrganizationId, Problem> {
    let application: ApplicationId = call.application;
    match stops::whose(&call.platform.store, application).await? {
        Whose::Application(organization, _) | Whose::Organization(organization) => Ok(organization),
        Whose::All => Err(Problem::not_found()),
    }
}

/// The requests that changed the mailbox last.
async fn request_ids(call: &Call, grant: &str) -> Result<Vec<String>, Problem> {
    let filter = audit::Filter { target_id: Some(grant.to_owned()), ..audit::Filter::default() };
    let of = postfleet_store::audit::Of::Application(call.application);
    let changes = audit::list(&call.platform.store, of, &filter, BUNDLED, None).await?;
    Ok(changes.items.into_iter().map(|record| record.request_id).filter(|id| !id.is_empty()).collect())
}
