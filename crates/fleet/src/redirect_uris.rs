//! Redirect URIs: registering, changing and showing where sign-in may lead back to.

use crate::input;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, RedirectUriId};
use postfleet_core::redirect_uri::{self, Platform, RedirectUriError};
use postfleet_core::{Problem, ProblemKind};
use postfleet_net::Entropy;
use postfleet_schema::redirect_uri as schema;
use postfleet_store::Store;
use postfleet_store::redirect_uris::{
    self, CreateRedirectUri, REDIRECT_URIS_MAX, RedirectUri, RedirectUriOutcome, RemoveRedirectUri, UpdateRedirectUri,
    WantedRedirectUri,
};
use serde_json::{Map, Value};

/// Characters of one setting.
const SETTING_CHARS_MAX: usize = 1_024;

/// Registers a redirect URI.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    application_id: ApplicationId,
    act: Act,
    request: &schema::CreateRedirectUri,
) -> Result<RedirectUri, Problem> {
    let new = RedirectUri {
        id: RedirectUriId::new(act.at, entropy.ten()),
        application_id,
        url: request.url.clone(),
        platform: request.platform.as_deref().map(platform).transpose()?.unwrap_or(Platform::Web),
        settings: settings(request.settings.as_ref().unwrap_or(&schema::RedirectUriSettings::default()))?,
        created_at: act.at,
    };
    redirect_uri::check(&new.url, new.platform).map_err(bad_url)?;
    done(store.run(CreateRedirectUri { redirect_uri: new, act }).await?)
}

/// Changes a redirect URI.
pub async fn update(
    store: &Store,
    application_id: ApplicationId,
    id: RedirectUriId,
    act: Act,
    request: &schema::UpdateRedirectUri,
) -> Result<RedirectUri, Problem> {
    let command = UpdateRedirectUri {
        application_id,
        id,
        url: request.url.clone(),
        platform: request.platform.as_deref().map(platform).transpose()?,
        settings: request.settings.as_ref().map(settings).transpose()?,
        act,
    };
    done(store.run(command).await?)
}

/// Takes a redirect URI away.
pub async fn remove(store: &Store, application_id: ApplicationId, id: RedirectUriId, act: Act) -> Result<(), Problem> {
    let removed = store.run(RemoveRedirectUri { application_id, id, act }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// One redirect URI of an application.
pub async fn find(store: &Store, application: ApplicationId, id: RedirectUriId) -> Result<RedirectUri, Problem> {
    let found = redirect_uris::find(&mut store.reader().await?, application, id).await?;
    found.ok_or_else(Problem::not_found)
}

/// An application's redirect URIs, oldest first.
pub async fn list(store: &Store, application: ApplicationId) -> Result<Vec<RedirectUri>, Problem> {
    Ok(redirect_uris::list(&mut store.reader().await?, application).await?)
}

/// The redirect URIs that a change of their application names. Each refusal names the entry that it is about.
pub(crate) fn wanted(
    entropy: &dyn Entropy,
    application_id: ApplicationId,
    act: &Act,
    request: &[schema::CallbackUri],
) -> Result<Vec<WantedRedirectUri>, Problem> {
    if request.len() as u64 > REDIRECT_URIS_MAX {
        let text = format!("callback_uris must have at most {REDIRECT_URIS_MAX} entries");
        return Err(Problem::invalid("callback_uris", text));
    }
    let read = |(number, entry)| {
        let wish = one_wanted(entropy, application_id, act, entry);
        wish.map_err(|problem| in_entry(number, problem))
    };
    request.iter().enumerate().map(read).collect()
}

fn one_wanted(
    entropy: &dyn Entropy,
    application_id: ApplicationId,
    act: &Act,
    entry: &schema::CallbackUri,
) -> Result<WantedRedirectUri, Problem> {
    let platform = entry.platform.as_deref().map(platform).transpose()?;
    let settings = entry.settings.as_ref().map(settings).transpose()?;
    if let Some(id) = &entry.id {
        let id = id.parse().map_err(|_| unknown_id())?;
        return Ok(WantedRedirectUri::Change { id, url: entry.url.clone(), platform, settings });
    }
    let url = entry.url.clone().ok_or_else(|| Problem::invalid("url", "url is missing"))?;
    Ok(WantedRedirectUri::New(RedirectUri {
        id: RedirectUriId::new(act.at, entropy.ten()),
        application_id,
        url,
        platform: platform.unwrap_or(Platform::Web),
        settings: settings.unwrap_or_default(),
        created_at: act.at,
    }))
}

fn unknown_id() -> Problem {
    Problem::invalid("id", "id not found or does not belong to this application")
}

/// Why one of several redirect URIs was not taken.
pub(crate) fn refused(number: usize, outcome: RedirectUriOutcome) -> Problem {
    match outcome {
        RedirectUriOutcome::Unknown => in_entry(number, unknown_id()),
        other => match done(other) {
            Err(problem) => in_entry(number, problem),
            Ok(_) => Problem::internal("a redirect URI was refused and taken"),
        },
    }
}

/// A refusal with the name of the entry before that of its field.
fn in_entry(number: usize, problem: Problem) -> Problem {
    let Some(field) = &problem.field else { return problem };
    let entry = format!("callback_uris[{number}]");
    let public = match problem.public.starts_with(field.as_str()) {
        true => format!("{entry}.{}", problem.public),
        false => format!("{entry}: {}", problem.public),
    };
    Problem { field: Some(format!("{entry}.{field}")), public, ..problem }
}

fn done(outcome: RedirectUriOutcome) -> Result<RedirectUri, Problem> {
    match outcome {
        RedirectUriOutcome::Done(uri) => Ok(uri),
        RedirectUriOutcome::Unknown => Err(Problem::not_found()),
        RedirectUriOutcome::Invalid(error) => Err(bad_url(error)),
        RedirectUriOutcome::UrlTaken => {
            let text = "a redirect URI with this url already exists";
            Err(Problem {
                field: Some("url".into()),
                ..Problem::new(ProblemKind::Conflict, "redirect_uri_taken", text)
            })
        }
        RedirectUriOutcome::TooMany => {
            let text = format!("an application has at most {REDIRECT_URIS_MAX} redirect URIs");
            Err(Problem::new(ProblemKind::Forbidden, "redirect_uris_max_reached", text))
        }
    }
}

fn bad_url(error: RedirectUriError) -> Problem {
    Problem::invalid("url", format!("url: {error}"))
}

fn platform(name: &str) -> Result<Platform, Problem> {
    let names = || Platform::ALL.iter().map(|platform| platform.name()).collect::<Vec<_>>().join(", ");
    let unknown = || Problem::invalid("platform", format!("platform must be one of {}", names()));
    Platform::named(name).ok_or_else(unknown)
}

fn settings(given: &schema::RedirectUriSettings) -> Result<Map<String, Value>, Problem> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(given) else {
        return Err(Problem::internal("settings are an object"));
    };
    all.retain(|_, value| !value.is_null());
    for (name, value) in &all {
        input::text(&format!("settings.{name}"), value.as_str().unwrap_or_default(), SETTING_CHARS_MAX)?;
    }
    Ok(all)
}

/// Shows a redirect URI.
pub fn show(uri: &RedirectUri) -> schema::RedirectUri {
    schema::RedirectUri {
        id: uri.id.to_string(),
        url: uri.url.clone(),
        platform: uri.platform.name().to_owned(),
        settings: serde_json::from_value(Value::Object(uri.settings.clone())).unwrap_or_default(),
    }
}
