//! Making, changing and showing keys: those of applications and those of operators.

use super::{KeyHasher, KeyKind, capabilities, generate, hint};
use crate::applications;
use crate::input;
use crate::operator::{self, Operator};
use crate::pages::{self, Page};
use postfleet_core::audit::Act;
use postfleet_core::capability::Capabilities;
use postfleet_core::id::{ApplicationId, KeyId, OrganizationId};
use postfleet_core::{Patch, Problem, ProblemKind, Secret, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::key as schema;
use postfleet_store::Store;
use postfleet_store::keys::{self, ChangeKey, CreateKey, Holder, Key, KeyChange, KeyOutcome, NewKey};
use std::time::Duration;

/// Days that a key may last at most, if it ends at all.
const DAYS_MAX: i64 = 3_650;
/// Seconds for which a secret from before a rotation may be good at most: a week.
const OVERLAP_SECONDS_MAX: i64 = 604_800;

/// What managing keys needs.
pub struct Keyring<'a> {
    /// Where they are.
    pub store: &'a Store,
    /// How they are hashed.
    pub hasher: &'a KeyHasher,
    /// Chance.
    pub entropy: &'a dyn Entropy,
    /// Who manages them.
    pub operator: &'a Operator,
}

/// A key, and its secret if that is new.
pub struct Shown {
    /// The key.
    pub key: Key,
    /// The secret, to be shown now or never.
    pub secret: Option<Secret<String>>,
}

/// What a new key is to be.
struct Wanted<'a> {
    kind: KeyKind,
    application_id: Option<ApplicationId>,
    organization_id: OrganizationId,
    is_installation: bool,
    name: &'a str,
    expires_in: Option<i64>,
    permissions: Option<&'a [String]>,
    capabilities: Capabilities,
}

impl Keyring<'_> {
    /// Makes a key of an application.
    pub async fn create(
        &self,
        application: ApplicationId,
        act: Act,
        request: &schema::CreateApiKey,
    ) -> Result<Shown, Problem> {
        let application = applications::find(self.store, self.operator.scope(), application).await?.application;
        let wanted = Wanted {
            kind: KeyKind::of_environment(&application.environment),
            application_id: Some(application.id),
            organization_id: application.organization_id,
            is_installation: false,
            name: &request.name,
            expires_in: request.expires_in,
            permissions: request.permissions.as_deref(),
            capabilities: request.capabilities.as_ref().map(capabilities::read).transpose()?.unwrap_or_default(),
        };
        self.make(wanted, act).await
    }

    /// Makes a key of an operator.
    pub async fn create_operators(&self, act: Act, request: &schema::CreateOperatorKey) -> Result<Shown, Problem> {
        let wanted = Wanted {
            kind: KeyKind::Operator,
            application_id: None,
            organization_id: self.operator.organization(request.organization_id.as_deref())?,
            is_installation: request.installation.unwrap_or(false),
            name: &request.name,
            expires_in: request.expires_in,
            permissions: request.permissions.as_deref(),
            capabilities: Capabilities::default(),
        };
        self.make(wanted, act).await
    }

    async fn make(&self, wanted: Wanted<'_>, act: Act) -> Result<Shown, Problem> {
        let permissions = match wanted.permissions {
            Some(permissions) => input::permissions(permissions)?,
            None => self.operator.permissions.clone(),
        };
        if let Some(lacking) = self.operator.maker().lacks(&permissions, wanted.is_installation) {
            return Err(operator::lacking(&lacking));
        }
        let secret = generate(wanted.kind, self.entropy);
        let key = NewKey {
            id: KeyId::new(act.at, self.entropy.ten()),
            application_id: wanted.application_id,
            is_installation: wanted.is_installation,
            name: input::name("name", wanted.name)?,
            hash: self.hasher.hash(secret.expose()),
            hint: hint(&secret),
            permissions,
            capabilities: wanted.capabilities,
            expires_at: wanted.expires_in.map(|days| end(act.at, days)).transpose()?,
        };
        let command = CreateKey { key, organization_id: wanted.organization_id, act };
        match self.store.run(command).await? {
            Some(key) => Ok(Shown { key, secret: Some(secret) }),
            None if wanted.application_id.is_some() => Err(Problem::not_found()),
            None => {
                let text = "organization_id names no organization that you may use";
                Err(Problem::invalid("organization_id", text))
            }
        }
    }

    /// Changes a key.
    pub async fn update(
        &self,
        holder: Holder,
        id: KeyId,
        act: Act,
        request: &schema::UpdateApiKey,
    ) -> Result<Key, Problem> {
        let change = KeyChange::Update {
            name: request.name.as_ref().map(|name| input::name("name", name)).transpose()?,
            permissions: request.permissions.as_deref().map(input::permissions).transpose()?,
            capabilities: changed_capabilities(holder, &request.capabilities)?,
            expires_at: match request.expires_in {
                Patch::Keep => Patch::Keep,
                Patch::Clear => Patch::Clear,
                Patch::Set(days) => Patch::Set(end(act.at, days)?),
            },
        };
        self.change(holder, id, act, change).await
    }

    /// Gives a key another secret.
    pub async fn rotate(
        &self,
        holder: Holder,
        id: KeyId,
        act: Act,
        request: &schema::RotateApiKey,
    ) -> Result<Shown, Problem> {
        let overlap = request.overlap_seconds.unwrap_or(0);
        let Some(overlap) = u64::try_from(overlap).ok().filter(|_| overlap <= OVERLAP_SECONDS_MAX) else {
            let text = format!("overlap_seconds must be from 0 to {OVERLAP_SECONDS_MAX}");
            return Err(Problem::invalid("overlap_seconds", text));
        };
        let secret = generate(self.kind(holder).await?, self.entropy);
        let change = KeyChange::Rotate {
            hash: self.hasher.hash(secret.expose()),
            hint: hint(&secret),
            previous_until: (overlap > 0).then(|| act.at.plus(Duration::from_secs(overlap))),
        };
        Ok(Shown { key: self.change(holder, id, act, change).await?, secret: Some(secret) })
    }

    async fn kind(&self, holder: Holder) -> Result<KeyKind, Problem> {
        Ok(match holder {
            Holder::Operator => KeyKind::Operator,
            Holder::Application(id) => {
                let found = applications::find(self.store, self.operator.scope(), id).await?;
                KeyKind::of_environment(&found.application.environment)
            }
        })
    }

    /// Makes a key worthless at once.
    pub async fn revoke(&self, holder: Holder, id: KeyId, act: Act) -> Result<(), Problem> {
        self.change(holder, id, act, KeyChange::Revoke).await.map(drop)
    }

    async fn change(&self, holder: Holder, id: KeyId, act: Act, change: KeyChange) -> Result<Key, Problem> {
        let (scope, maker) = (self.operator.scope(), self.operator.maker());
        match self.store.run(ChangeKey { id, holder, scope, maker, change, act }).await? {
            KeyOutcome::Done(key) => Ok(*key),
            KeyOutcome::Unknown => Err(Problem::not_found()),
            KeyOutcome::Lacking(lacking) => Err(operator::lacking(&lacking)),
            KeyOutcome::Revoked => {
                Err(Problem::new(ProblemKind::Conflict, "key_revoked", "the key is revoked; make another one"))
            }
        }
    }

    /// One key.
    pub async fn find(&self, holder: Holder, id: KeyId) -> Result<Key, Problem> {
        let mut reader = self.store.reader().await?;
        let found = keys::find_by_id(&mut reader, holder, self.operator.scope(), id).await?;
        found.ok_or_else(Problem::not_found)
    }

    /// An application's keys, newest first.
    pub async fn list(
        &self,
        application: ApplicationId,
        limit: usize,
        page_token: Option<&str>,
    ) -> Result<Page<Key>, Problem> {
        let application = applications::find(self.store, self.operator.scope(), application).await?.application;
        let after = pages::after(page_token)?;
        let mut reader = self.store.reader().await?;
        let found = keys::list_of_application(&mut reader, application.id, after, limit + 1).await?;
        Ok(pages::cut(found, limit, |key| key.id))
    }

    /// The keys of operators of an organization, newest first.
    pub async fn list_operators(
        &self,
        organization_id: Option<&str>,
        limit: usize,
        page_token: Option<&str>,
    ) -> Result<Page<Key>, Problem> {
        let organization = self.operator.organization(organization_id)?;
        let after = pages::after(page_token)?;
        let mut reader = self.store.reader().await?;
        let found = keys::list_of_operators(&mut reader, organization, after, limit + 1).await?;
        Ok(pages::cut(found, limit, |key| key.id))
    }
}

/// What may be sent with a key from now on, if that changes. An operator's key sends nothing.
fn changed_capabilities(
    holder: Holder,
    change: &Patch<schema::KeyCapabilities>,
) -> Result<Option<Capabilities>, Problem> {
    match (holder, change) {
        (_, Patch::Keep) => Ok(None),
        (Holder::Operator, _) => {
            let text = "capabilities are for keys of applications: nothing is sent with an operator's key";
            Err(Problem::invalid("capabilities", text))
        }
        (Holder::Application(_), Patch::Clear) => Ok(Some(Capabilities::default())),
        (Holder::Application(_), Patch::Set(wanted)) => capabilities::read(wanted).map(Some),
    }
}

/// When a key ends that lasts so many days.
fn end(now: UnixMicros, days: i64) -> Result<UnixMicros, Problem> {
    let Some(days) = u64::try_from(days).ok().filter(|_| (1..=DAYS_MAX).contains(&days)) else {
        let text = format!("expires_in must be a number of days from 1 to {DAYS_MAX}");
        return Err(Problem::invalid("expires_in", text));
    };
    Ok(now.plus(Duration::from_secs(days * 86_400)))
}

/// Shows a key, and its secret if that is new.
pub fn show(key: &Key, secret: Option<&Secret<String>>, now: UnixMicros) -> schema::ApiKey {
    schema::ApiKey {
        id: key.id.to_string(),
        name: key.name.clone(),
        api_key: secret.map(|secret| secret.expose().clone()),
        application_id: key.application_id.map(|id| id.to_string()),
        organization_id: key.organization_id.to_string(),
        installation: key.is_installation,
        permissions: key.permissions.clone(),
        capabilities: capabilities::show(&key.capabilities),
        status: match (key.revoked_at, key.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(end)) if end <= now => "expired",
            (None, _) => "active",
        },
        hint: key.hint.clone(),
        last_used_at: key.last_used_at.map(UnixMicros::as_seconds),
        created_at: key.created_at.as_seconds(),
        updated_at: key.updated_at.as_seconds(),
        expires_at: key.expires_at.map(UnixMicros::as_seconds),
    }
}
