//! Connectors: an application has at most one, for the only provider that there is. It is kept for clients that look
//! for it; mailboxes come and go without it.

use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, ConnectorId};
use postfleet_core::{Problem, ProblemKind};
use postfleet_net::Entropy;
use postfleet_schema::connector as schema;
use postfleet_store::Store;
use postfleet_store::connectors::{self, Connector, CreateConnector, PROVIDER, RemoveConnector, UpdateConnector};

/// Characters of a name, and of one text of a scope.
const TEXT_CHARS_MAX: usize = 256;

/// Texts of a scope.
const SCOPE_MAX: usize = 100;

/// Octets of the settings, as they are kept.
const SETTINGS_OCTETS_MAX: usize = 16_384;

type Settings = serde_json::Map<String, serde_json::Value>;

/// Makes an application's connector.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    request: schema::CreateConnector,
) -> Result<Connector, Problem> {
    if request.provider != PROVIDER {
        return Err(Problem::invalid("provider", "provider must be \"nylas\""));
    }
    let connector = Connector {
        id: ConnectorId::new(act.at, entropy.ten()),
        application_id,
        name: request.name.map(name).transpose()?.unwrap_or_else(|| PROVIDER.to_owned()),
        settings: settings(request.settings.unwrap_or_default())?,
        scope: scope(request.scope.unwrap_or_default())?,
        created_at: act.at,
        updated_at: act.at,
    };
    if store.run(CreateConnector { act, connector: connector.clone() }).await? {
        return Ok(connector);
    }
    let text = "a connector for the provider \"nylas\" already exists";
    Err(Problem::new(ProblemKind::Conflict, "connector_exists", text))
}

/// An application's connectors.
pub async fn list(
    store: &Store,
    application: ApplicationId,
    limit: usize,
    offset: usize,
) -> Result<Vec<Connector>, Problem> {
    Ok(connectors::list(&mut store.reader().await?, application, limit, offset).await?)
}

/// Finds the connector of a provider.
pub async fn find(store: &Store, application: ApplicationId, provider: &str) -> Result<Connector, Problem> {
    is_known(provider)?;
    connectors::find(&mut store.reader().await?, application).await?.ok_or_else(Problem::not_found)
}

/// Changes the connector of a provider.
pub async fn update(
    store: &Store,
    act: Act,
    application_id: ApplicationId,
    provider: &str,
    request: schema::UpdateConnector,
) -> Result<Connector, Problem> {
    is_known(provider)?;
    let schema::UpdateConnector { name: new_name, settings: new_settings, scope: new_scope } = request;
    if new_name.is_keep() && new_settings.is_keep() && new_scope.is_keep() {
        let text = "the request must have at least one of name, settings and scope";
        return Err(Problem::new(ProblemKind::Invalid, "invalid_request", text));
    }
    let command = UpdateConnector {
        act,
        application_id,
        name: new_name.try_map(name)?,
        settings: new_settings.try_map(settings)?,
        scope: new_scope.try_map(scope)?,
    };
    store.run(command).await?.ok_or_else(Problem::not_found)
}

/// Removes the connector of a provider. The mailboxes stay.
pub async fn remove(store: &Store, act: Act, application_id: ApplicationId, provider: &str) -> Result<(), Problem> {
    is_known(provider)?;
    let is_removed = store.run(RemoveConnector { act, application_id }).await?;
    if is_removed { Ok(()) } else { Err(Problem::not_found()) }
}

fn is_known(provider: &str) -> Result<(), Problem> {
    if provider == PROVIDER { Ok(()) } else { Err(Problem::not_found()) }
}

fn name(text: String) -> Result<String, Problem> {
    if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        return Err(Problem::invalid("name", format!("name must be 1 to {TEXT_CHARS_MAX} characters long")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "name must not have control characters"));
    }
    Ok(text)
}

fn settings(settings: Settings) -> Result<String, Problem> {
    let text = serde_json::Value::Object(settings).to_string();
    if text.len() > SETTINGS_OCTETS_MAX {
        let text = format!("settings must be at most {SETTINGS_OCTETS_MAX} octets of JSON");
        return Err(Problem::invalid("settings", text));
    }
    Ok(text)
}

fn scope(scope: Vec<String>) -> Result<Vec<String>, Problem> {
    if scope.len() > SCOPE_MAX || scope.iter().any(|text| text.chars().count() > TEXT_CHARS_MAX) {
        let text = format!("scope must be at most {SCOPE_MAX} texts of at most {TEXT_CHARS_MAX} characters");
        return Err(Problem::invalid("scope", text));
    }
    Ok(scope)
}

/// Shows a connector.
pub fn show(connector: &Connector) -> Result<schema::Connector, Problem> {
    Ok(schema::Connector {
        id: connector.id.to_string(),
        name: connector.name.clone(),
        provider: PROVIDER,
        settings: serde_json::value::RawValue::from_string(connector.settings.clone()).map_err(Problem::internal)?,
        scope: connector.scope.clone(),
        active_credential_id: None,
        created_at: connector.created_at.as_seconds(),
        updated_at: connector.updated_at.as_seconds(),
    })
}
