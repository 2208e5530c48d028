//! Applications: making, changing, removing and showing the sub-accounts of an organization.

use crate::operator::Operator;
use crate::pages::{self, Page};
use crate::{input, redirect_uris as uris};
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, OrganizationId, WorkspaceId};
use postfleet_core::{Patch, Problem, ProblemKind};
use postfleet_net::Entropy;
use postfleet_schema::application as schema;
use postfleet_store::applications::{
    self, Application, CreateApplication, RemoveApplication, RemoveOutcome, UpdateApplication, UpdateOutcome,
};
use postfleet_store::organizations::Scope;
use postfleet_store::redirect_uris::{self, RedirectUri};
use postfleet_store::{Reader, Store};
use serde::Serialize;
use serde_json::{Map, Value};

/// The region that every application is shown to be in: an installation is one.
pub const REGION: &str = "us";

/// What an application may be for.
const ENVIRONMENTS: &[&str] = &["production", "sandbox", "staging"];

/// Characters of an address of a page or picture, and of other details.
const DETAIL_CHARS_MAX: usize = 2_048;
/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 1_024;
/// Characters of a domain (RFC 1035 §2.3.4).
const DOMAIN_CHARS_MAX: usize = 253;

/// An application with its redirect URIs, which are shown with it.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The application.
    pub application: Application,
    /// Its redirect URIs, oldest first.
    pub redirect_uris: Vec<RedirectUri>,
}

/// Makes an application with its default workspace.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    operator: &Operator,
    act: Act,
    request: &schema::CreateApplication,
) -> Result<Whole, Problem> {
    let details = match &request.branding {
        Some(given) => branding(given)?,
        None => Value::Null,
    };
    let application = Application {
        id: act.application_id.unwrap_or_else(|| ApplicationId::new(act.at, entropy.ten())),
        organization_id: operator.organization(request.organization_id.as_deref())?,
        name: input::name("name", &request.name)?,
        environment: environment(request.environment.as_deref().unwrap_or("sandbox"))?,
        default_workspace_id: WorkspaceId::new(act.at, entropy.ten()),
        details: Map::from_iter([("branding".to_owned(), details)].into_iter().filter(|(_, value)| !value.is_null())),
        created_at: act.at,
        updated_at: act.at,
    };
    let act = Act { application_id: Some(application.id), ..act };
    if store.run(CreateApplication { application: application.clone(), act }).await? {
        return Ok(Whole { application, redirect_uris: Vec::new() });
    }
    Err(Problem::invalid("organization_id", "organization_id names no organization that you may use"))
}

/// Changes an application, as its operator.
pub async fn administer(
    store: &Store,
    operator: &Operator,
    id: ApplicationId,
    act: Act,
    request: schema::AdminUpdateApplication,
) -> Result<Whole, Problem> {
    let name = request.name.as_ref().map(|text| input::name("name", text)).transpose()?;
    let environment = request.environment.as_deref().map(environment).transpose()?;
    let details = details(&request.into())?;
    let (scope, redirect_uris) = (operator.scope(), Vec::new());
    run_update(store, UpdateApplication { id, scope, name, environment, details, redirect_uris, act }).await
}

/// Changes an application, as it may change itself.
pub async fn update(
    store: &Store,
    entropy: &dyn Entropy,
    id: ApplicationId,
    act: Act,
    request: &schema::UpdateApplication,
) -> Result<Whole, Problem> {
    let details = details(request)?;
    let redirect_uris = uris::wanted(entropy, id, &act, request.callback_uris.as_deref().unwrap_or_default())?;
    let (scope, name, environment) = (Scope::All, None, None);
    run_update(store, UpdateApplication { id, scope, name, environment, details, redirect_uris, act }).await
}

async fn run_update(store: &Store, command: UpdateApplication) -> Result<Whole, Problem> {
    match store.run(command).await? {
        UpdateOutcome::Updated(application) => whole(&mut store.reader().await?, application).await,
        UpdateOutcome::Unknown => Err(Problem::not_found()),
        UpdateOutcome::RedirectUri(number, outcome) => Err(uris::refused(number, outcome)),
    }
}

/// Removes an application that has no mailboxes.
pub async fn remove(store: &Store, operator: &Operator, id: ApplicationId, act: Act) -> Result<(), Problem> {
    match store.run(RemoveApplication { id, scope: operator.scope(), act }).await? {
        RemoveOutcome::Removed => Ok(()),
        RemoveOutcome::Unknown => Err(Problem::not_found()),
        RemoveOutcome::HasGrants => {
            let text = "the application has mailboxes; remove them first";
            Err(Problem::new(ProblemKind::Conflict, "application_not_empty", text))
        }
    }
}

/// One application of those that an operator may see.
pub async fn find(store: &Store, scope: Scope, id: ApplicationId) -> Result<Whole, Problem> {
    let mut reader = store.reader().await?;
    let found = applications::find(&mut reader, id).await?;
    let found = found.filter(|application| scope.covers(application.organization_id));
    whole(&mut reader, found.ok_or_else(Problem::not_found)?).await
}

async fn whole(reader: &mut Reader<'_>, application: Application) -> Result<Whole, Problem> {
    let redirect_uris = redirect_uris::list(reader, application.id).await?;
    Ok(Whole { application, redirect_uris })
}

/// An organization's applications, newest first.
pub async fn list(
    store: &Store,
    organization: OrganizationId,
    limit: usize,
    page_token: Option<&str>,
) -> Result<Page<Whole>, Problem> {
    let after = pages::after(page_token)?;
    let mut reader = store.reader().await?;
    let found = applications::list(&mut reader, organization, after, limit + 1).await?;
    let page = pages::cut(found, limit, |application| application.id);
    let ids = || page.items.iter().map(|application| application.id);
    let uris = match (ids().min(), ids().max()) {
        (Some(first), Some(last)) => {
            redirect_uris::list_of_applications(&mut reader, organization, first, last).await?
        }
        _ => Vec::new(),
    };
    let of = |id| uris.iter().filter(|uri| uri.application_id == id).cloned().collect();
    Ok(page.map(|application| Whole { redirect_uris: of(application.id), application }))
}

fn environment(name: &str) -> Result<String, Problem> {
    if ENVIRONMENTS.contains(&name) {
        return Ok(name.to_owned());
    }
    let text = format!("environment must be one of {}", ENVIRONMENTS.join(", "));
    Err(Problem::invalid("environment", text))
}

/// The details that a request changes; null takes one away.
fn details(request: &schema::UpdateApplication) -> Result<Map<String, Value>, Problem> {
    let mut details = Map::new();
    let mut put = |name: &str, value: Patch<Value>| match value {
        Patch::Keep => {}
        Patch::Clear => drop(details.insert(name.to_owned(), Value::Null)),
        Patch::Set(value) => drop(details.insert(name.to_owned(), value)),
    };
    put("branding", request.branding.clone().try_map(|given| branding(&given))?);
    let hosted = request.hosted_authentication.clone();
    put(
        "hosted_authentication",
        hosted.try_map(|given| checked("hosted_authentication", &given, |_| DETAIL_CHARS_MAX))?,
    );
    let idp = request.idp_settings.clone();
    put("idp_settings", idp.try_map(|given| checked("idp_settings", &given, |_| DETAIL_CHARS_MAX))?);
    put("domain", request.domain.clone().try_map(domain)?);
    Ok(details)
}

fn domain(given: String) -> Result<Value, Problem> {
    input::text("domain", &given, DOMAIN_CHARS_MAX)?;
    Ok(if given.is_empty() { Value::Null } else { Value::String(given) })
}

fn branding(given: &schema::Branding) -> Result<Value, Problem> {
    checked("branding", given, |name| match name {
        "name" => input::NAME_CHARS_MAX,
        "description" => DESCRIPTION_CHARS_MAX,
        _ => DETAIL_CHARS_MAX,
    })
}

/// An object as it is kept: without what is null, its texts within their limits.
fn checked<T: Serialize>(field: &str, given: &T, chars_max: impl Fn(&str) -> usize) -> Result<Value, Problem> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(given) else {
        return Err(Problem::internal("details are an object"));
    };
    all.retain(|_, value| !value.is_null());
    for (name, value) in &all {
        if let Value::String(text) = value {
            input::text(&format!("{field}.{name}"), text, chars_max(name))?;
        }
    }
    Ok(Value::Object(all))
}

/// Shows an application.
pub fn show(whole: &Whole) -> schema::Application {
    let application = &whole.application;
    let detail = |name: &str| application.details.get(name).cloned();
    let mut branding: schema::Branding = detail("branding").and_then(read).unwrap_or_default();
    branding.name.get_or_insert_with(|| application.name.clone());
    let id = application.id.to_string();
    schema::Application {
        application_id: id.clone(),
        id,
        name: application.name.clone(),
        organization_id: application.organization_id.to_string(),
        region: REGION.to_owned(),
        environment: application.environment.clone(),
        default_workspace_id: application.default_workspace_id.to_string(),
        v2_application_id: None,
        branding,
        hosted_authentication: detail("hosted_authentication").and_then(read),
        callback_uris: whole.redirect_uris.iter().map(uris::show).collect(),
        idp_settings: detail("idp_settings").and_then(read),
        domain: detail("domain").and_then(read),
        blocked: false,
        created_at: application.created_at.as_seconds(),
        updated_at: application.updated_at.as_seconds(),
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}
