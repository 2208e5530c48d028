//! `/v3/admin/applications/{application}/api-keys`, operator keys and service accounts.

use crate::call::AdminCall;
use crate::extract::{BODY_OCTETS_MAX, Query, json, json_or_nothing};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_core::id::ApplicationId;
use postfleet_fleet::keys::manage::{self, Keyring};
use postfleet_fleet::operator::Operator;
use postfleet_fleet::service_accounts;
use postfleet_mailflow::Platform;
use postfleet_schema::key::{ApiKey, CreateApiKey, CreateOperatorKey, RotateApiKey, UpdateApiKey};
use postfleet_schema::service_account::{CreateServiceAccount, ServiceAccount, ServiceAccountFile};
use postfleet_store::keys::Holder;

const LIMIT: Parameter = Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent.");
const TOKEN: Parameter = Parameter::new("page_token", Kind::Text, "The next_cursor of the page before.");
const ORGANIZATION: Parameter =
    Parameter::new("organization_id", Kind::Text, "Another organization, for the installation's operator.");

const KEYS: &str = "/v3/admin/applications/{application}/api-keys";
const KEY: &str = "/v3/admin/applications/{application}/api-keys/{key}";

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = application_routes();
    routes.extend(operator_routes());
    routes.extend(account_routes());
    routes
}

fn application_routes() -> Vec<Route> {
    vec![
        Route::get(KEYS, "keys.read", list)
            .about("List an application's keys", "Newest first, with those that have ended.")
            .query(&[LIMIT, TOKEN])
            .lists::<ApiKey>(),
        Route::post(KEYS, "keys.write", create)
            .about("Make a key", "Its secret is in this answer alone.")
            .takes::<CreateApiKey>()
            .answers::<ApiKey>(),
        Route::get(KEY, "keys.read", find).about("Find a key", "Also one that has ended.").answers::<ApiKey>(),
        Route::patch(KEY, "keys.write", update)
            .about("Change a key", "Absent fields stay.")
            .takes::<UpdateApiKey>()
            .answers::<ApiKey>(),
        Route::post("/v3/admin/applications/{application}/api-keys/{key}/rotate", "keys.write", rotate)
            .about("Give a key another secret", "The one before may stay good for a while.")
            .takes::<RotateApiKey>()
            .answers::<ApiKey>(),
        Route::delete(KEY, "keys.write", revoke).about("Revoke a key", "The next request with it is refused."),
    ]
}

fn operator_routes() -> Vec<Route> {
    vec![
        Route::get("/v3/admin/keys", "keys.read", list_operators)
            .about("List the keys of operators", "Newest first, with those that have ended.")
            .query(&[LIMIT, TOKEN, ORGANIZATION])
            .lists::<ApiKey>(),
        Route::post("/v3/admin/keys", "keys.write", create_operators)
            .about("Make a key of an operator", "Its secret is in this answer alone.")
            .takes::<CreateOperatorKey>()
            .answers::<ApiKey>(),
        Route::get("/v3/admin/keys/{key}", "keys.read", find_operators)
            .about("Find a key of an operator", "Also one that has ended.")
            .answers::<ApiKey>(),
        Route::patch("/v3/admin/keys/{key}", "keys.write", update_operators)
            .about("Change a key of an operator", "Absent fields stay.")
            .takes::<UpdateApiKey>()
            .answers::<ApiKey>(),
        Route::post("/v3/admin/keys/{key}/rotate", "keys.write", rotate_operators)
            .about("Give a key of an operator another secret", "The one before may stay good for a while.")
            .takes::<RotateApiKey>()
            .answers::<ApiKey>(),
        Route::delete("/v3/admin/keys/{key}", "keys.write", revoke_operators)
            .about("Revoke a key of an operator", "The next request with it is refused."),
    ]
}

fn account_routes() -> Vec<Route> {
    vec![
        Route::get("/v3/admin/service-accounts", "keys.read", list_accounts)
            .about("List service accounts", "Newest first, with those that are revoked.")
            .query(&[LIMIT, TOKEN, ORGANIZATION])
            .lists::<ServiceAccount>(),
        Route::post("/v3/admin/service-accounts", "keys.write", create_account)
            .about("Make a service account", "The answer is the file for the client. Its key is shown only now.")
            .takes::<CreateServiceAccount>()
            .answers::<ServiceAccountFile>(),
        Route::delete("/v3/admin/service-accounts/{account}", "keys.write", revoke_account)
            .about("Revoke a service account", "The next request that it signs is refused."),
    ]
}

fn keyring<'a>(platform: &'a Platform, operator: &'a Operator) -> Keyring<'a> {
    Keyring { store: &platform.store, hasher: &platform.keys, entropy: &*platform.entropy, operator }
}

fn application(call: &AdminCall) -> Result<ApplicationId, Problem> {
    call.id_at(0)
}

/// `GET /v3/admin/applications/{application}/api-keys`
pub(crate) async fn list(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let operator = call.operator();
    let (limit, token) = (query.limit(50, 200)?, query.get("page_token"));
    let page = keyring(&call.platform, &operator).list(application(&call)?, limit, token).await?;
    let now = call.platform.clock.now();
    Ok(respond::page(&call.id, page.items.iter().map(|key| manage::show(key, None, now)).collect(), page.next_cursor))
}

/// `POST /v3/admin/applications/{application}/api-keys`
pub(crate) async fn create(call: AdminCall) -> Answer {
    let application = application(&call)?;
    let (operator, act) = (call.operator(), call.act(Some(application)));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: CreateApiKey = json(&parts, body, BODY_OCTETS_MAX).await?;
    let at = act.at;
    let made = keyring(&platform, &operator).create(application, act, &request).await?;
    Ok(respond::single(&id, manage::show(&made.key, made.secret.as_ref(), at)))
}

/// `GET /v3/admin/applications/{application}/api-keys/{key}`
pub(crate) async fn find(call: AdminCall) -> Answer {
    let holder = Holder::Application(application(&call)?);
    find_key(call, holder, 1).await
}

/// `PATCH /v3/admin/applications/{application}/api-keys/{key}`
pub(crate) async fn update(call: AdminCall) -> Answer {
    let holder = Holder::Application(application(&call)?);
    update_key(call, holder, 1).await
}

/// `POST /v3/admin/applications/{application}/api-keys/{key}/rotate`
pub(crate) async fn rotate(call: AdminCall) -> Answer {
    let holder = Holder::Application(application(&call)?);
    rotate_key(call, holder, 1).await
}

/// `DELETE /v3/admin/applications/{application}/api-keys/{key}`
pub(crate) async fn revoke(call: AdminCall) -> Answer {
    let holder = Holder::Application(application(&call)?);
    revoke_key(call, holder, 1).await
}

/// `GET /v3/admin/keys`
pub(crate) async fn list_operators(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let operator = call.operator();
    let (limit, token) = (query.limit(50, 200)?, query.get("page_token"));
    let keyring = keyring(&call.platform, &operator);
    let page = keyring.list_operators(query.get("organization_id"), limit, token).await?;
    let now = call.platform.clock.now();
    Ok(respond::page(&call.id, page.items.iter().map(|key| manage::show(key, None, now)).collect(), page.next_cursor))
}

/// `POST /v3/admin/keys`
pub(crate) async fn create_operators(call: AdminCall) -> Answer {
    let (operator, act) = (call.operator(), call.act(None));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: CreateOperatorKey = json(&parts, body, BODY_OCTETS_MAX).await?;
    let at = act.at;
    let made = keyring(&platform, &operator).create_operators(act, &request).await?;
    Ok(respond::single(&id, manage::show(&made.key, made.secret.as_ref(), at)))
}

/// `GET /v3/admin/keys/{key}`
pub(crate) async fn find_operators(call: AdminCall) -> Answer {
    find_key(call, Holder::Operator, 0).await
}

/// `PATCH /v3/admin/keys/{key}`
pub(crate) async fn update_operators(call: AdminCall) -> Answer {
    update_key(call, Holder::Operator, 0).await
}

/// `POST /v3/admin/keys/{key}/rotate`
pub(crate) async fn rotate_operators(call: AdminCall) -> Answer {
    rotate_key(call, Holder::Operator, 0).await
}

/// `DELETE /v3/admin/keys/{key}`
pub(crate) async fn revoke_operators(call: AdminCall) -> Answer {
    revoke_key(call, Holder::Operator, 0).await
}

/// The application of keys that are an application's, for the record.
fn of(holder: Holder) -> Option<ApplicationId> {
    match holder {
        Holder::Application(id) => Some(id),
        Holder::Operator => None,
    }
}

async fn find_key(call: AdminCall, holder: Holder, index: usize) -> Answer {
    let key = keyring(&call.platform, &call.operator()).find(holder, call.id_at(index)?).await?;
    Ok(respond::single(&call.id, manage::show(&key, None, call.platform.clock.now())))
}

async fn update_key(call: AdminCall, holder: Holder, index: usize) -> Answer {
    let (key, operator, act) = (call.id_at(index)?, call.operator(), call.act(of(holder)));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: UpdateApiKey = json(&parts, body, BODY_OCTETS_MAX).await?;
    let at = act.at;
    let key = keyring(&platform, &operator).update(holder, key, act, &request).await?;
    Ok(respond::single(&id, manage::show(&key, None, at)))
}

async fn rotate_key(call: AdminCall, holder: Holder, index: usize) -> Answer {
    let (key, operator, act) = (call.id_at(index)?, call.operator(), call.act(of(holder)));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: RotateApiKey = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await?;
    let at = act.at;
    let rotated = keyring(&platform, &operator).rotate(holder, key, act, &request).await?;
    Ok(respond::single(&id, manage::show(&rotated.key, rotated.secret.as_ref(), at)))
}

async fn revoke_key(call: AdminCall, holder: Holder, index: usize) -> Answer {
    let (key, act) = (call.id_at(index)?, call.act(of(holder)));
    keyring(&call.platform, &call.operator()).revoke(holder, key, act).await?;
    Ok(respond::done(&call.id))
}

/// `GET /v3/admin/service-accounts`
pub(crate) async fn list_accounts(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let (limit, token, organization) = (query.limit(50, 200)?, query.get("page_token"), query.get("organization_id"));
    let store = &call.platform.store;
    let page = service_accounts::list(store, &call.operator(), organization, limit, token).await?;
    Ok(respond::page(&call.id, page.items.iter().map(service_accounts::show).collect(), page.next_cursor))
}

/// `POST /v3/admin/service-accounts`
pub(crate) async fn create_account(call: AdminCall) -> Answer {
    let (operator, act) = (call.operator(), call.act(None));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: CreateServiceAccount = json(&parts, body, BODY_OCTETS_MAX).await?;
    let file = service_accounts::create(&platform.store, &*platform.entropy, &operator, act, &request).await?;
    Ok(respond::single(&id, file))
}

/// `DELETE /v3/admin/service-accounts/{account}`
pub(crate) async fn revoke_account(call: AdminCall) -> Answer {
    service_accounts::revoke(&call.platform.store, &call.operator(), call.id_at(0)?, call.act(None)).await?;
    Ok(respond::done(&call.id))
}
