//! Who is asking: the key in the `Authorization` header, or the service account that signed the request.

use crate::signature;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use postfleet_core::audit::{Actor, ActorKind};
use postfleet_core::id::{ApplicationId, GrantId, KeyId, OrganizationId};
use postfleet_core::request_rate::RequestRates;
use postfleet_core::{Problem, ProblemKind, permission};
use postfleet_fleet::operator::Operator;
use postfleet_fleet::{keys, tokens};
use postfleet_mailflow::Platform;
use postfleet_store::keys::Credential;
use postfleet_store::service_accounts::ServiceAccount;
use postfleet_store::tokens::Opened;
use std::sync::Arc;

/// Characters of a key that are looked at; ours are shorter.
const KEY_CHARS_MAX: usize = 256;

/// Who asks, and what they may do.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    pub(crate) organization: OrganizationId,
    /// The application that it acts for; `None` for an operator.
    pub(crate) application: Option<ApplicationId>,
    /// The only mailbox that it may touch, if there is one: the caller has an access token.
    pub(crate) grant: Option<GrantId>,
    /// Whether it may also do what concerns all organizations.
    pub(crate) is_installation: bool,
    /// The key, if it is an application's: what is sent with it is judged by it.
    pub(crate) key: Option<KeyId>,
    /// How many requests there may be in a second.
    pub(crate) rates: RequestRates,
    /// Whether something may not be sent with that key.
    is_limited: bool,
    permissions: Arc<[String]>,
}

/// Finds out who makes a request. The request's body is put back if it had to be read for that.
pub(crate) async fn caller(platform: &Platform, request: &mut Request) -> Result<Caller, Problem> {
    if signature::is_signed(request.headers()) {
        return Ok(of_account(signature::account(platform, request).await?));
    }
    let key = bearer(request.headers()).ok_or_else(keys::unauthenticated)?;
    of_bearer(platform, key).await
}

/// As [`caller`], for a request that anybody may make: `None` if it does not say who makes it.
pub(crate) async fn caller_if_any(platform: &Platform, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    if !headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let key = bearer(headers).ok_or_else(keys::unauthenticated)?;
    of_bearer(platform, key).await.map(Some)
}

async fn of_bearer(platform: &Platform, key: &str) -> Result<Caller, Problem> {
    let (store, hasher, now) = (&platform.store, &platform.keys, platform.clock.now());
    let rates = |plan: &str| store.plans().find(plan).map(|plan| plan.request_rates).unwrap_or_default();
    if key.starts_with(tokens::ACCESS_PREFIX) {
        let opened = tokens::authenticate(store, hasher, now, key).await?;
        return Ok(Caller { rates: rates(&opened.plan), ..of_token(opened) });
    }
    let credential = keys::authenticate(store, hasher, now, key).await?;
    Ok(Caller { rates: rates(&credential.plan), ..of_key(&credential) })
}

/// A mail application on behalf of its mailbox.
fn of_token(opened: Opened) -> Caller {
    let (id, name) = (opened.grant_id.to_string(), opened.email.to_string());
    Caller {
        actor: Actor { kind: ActorKind::AccessToken, id, name },
        organization: opened.organization_id,
        application: Some(opened.application_id),
        grant: Some(opened.grant_id),
        is_installation: false,
        key: None,
        rates: RequestRates::default(),
        is_limited: false,
        permissions: tokens::PERMISSIONS.iter().map(|permission| (*permission).to_owned()).collect(),
    }
}

fn of_key(credential: &Credential) -> Caller {
    let kind = if credential.application_id.is_some() { ActorKind::ApiKey } else { ActorKind::OperatorKey };
    Caller {
        actor: Actor { kind, id: credential.key_id.to_string(), name: credential.name.clone() },
        organization: credential.organization_id,
        application: credential.application_id,
        grant: None,
        is_installation: credential.is_installation,
        key: credential.application_id.map(|_| credential.key_id),
        rates: RequestRates::default(),
        is_limited: credential.capabilities.is_limited(),
        permissions: credential.permissions.clone(),
    }
}

/// A service account acts for one organization, and never for what concerns all of them.
fn of_account(account: ServiceAccount) -> Caller {
    Caller {
        actor: Actor { kind: ActorKind::ServiceAccount, id: account.id.to_string(), name: account.name },
        organization: account.organization_id,
        application: None,
        grant: None,
        is_installation: false,
        key: None,
        rates: RequestRates::default(),
        is_limited: false,
        permissions: account.permissions.into(),
    }
}

impl Caller {
    /// The caller as one who administers.
    pub(crate) fn operator(&self) -> Operator {
        let (organization, is_installation) = (self.organization, self.is_installation);
        Operator { organization, is_installation, permissions: self.permissions.to_vec() }
    }

    /// The application that the caller acts for.
    pub(crate) fn application(&self) -> Result<ApplicationId, Problem> {
        self.application.ok_or_else(|| {
            let text = "an operator key acts for no application; use an application's key";
            Problem::new(ProblemKind::Forbidden, "operator_key", text)
        })
    }

    /// Refuses callers that act for an application.
    pub(crate) fn is_operator(&self) -> Result<(), Problem> {
        if self.application.is_none() {
            return Ok(());
        }
        let text = "this needs an operator's key; an application's key may not do it";
        Err(Problem::new(ProblemKind::Forbidden, "application_key", text))
    }

    /// Refuses an access token at a path that names no mailbox: it speaks for one, not for the application.
    pub(crate) fn may_reach(&self, path: &str) -> Result<(), Problem> {
        if self.grant.is_none() || path.split('/').any(|segment| segment == "{grant}") {
            return Ok(());
        }
        let text = "an access token opens its mailbox alone; use an application's key";
        Err(Problem::new(ProblemKind::Forbidden, "access_token", text))
    }

    /// Refuses a key that may not send everything where it would set a mailbox's password, with which everything is sent.
    pub(crate) fn may_set_password(&self) -> Result<(), Problem> {
        if !self.is_limited {
            return Ok(());
        }
        let text = "a key with capabilities may not set settings.app_password: whoever has that may send everything";
        let field = Some("settings.app_password".to_owned());
        Err(Problem { field, ..Problem::new(ProblemKind::Forbidden, "key_is_limited", text) })
    }

    /// Refuses callers without the permission.
    pub(crate) fn may(&self, wanted: &str) -> Result<(), Problem> {
        if permission::allows(self.permissions.iter().map(String::as_str), wanted) {
            return Ok(());
        }
        let text = format!("this needs a key with the permission {wanted}");
        Err(Problem::new(ProblemKind::InsufficientScopes, "insufficient_scopes", text))
    }
}

/// The key or token in the header `Authorization`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() && key.len() <= KEY_CHARS_MAX).then_some(key)
}
