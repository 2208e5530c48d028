//! Where sign-in may lead back to, for each application.

use crate::applications;
use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::organizations::Scope;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, OrganizationId, RedirectUriId};
use postfleet_core::redirect_uri::{self, Platform, RedirectUriError};
use serde_json::{Map, Value, json};

/// Redirect URIs of one application: they are listed and shown without pages.
pub const REDIRECT_URIS_MAX: u64 = 100;

macro_rules! redirect_uri_columns {
    () => {
        "r.id, r.application_id, r.url, r.platform, r.settings, r.created_at"
    };
}

/// A redirect URI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedirectUri {
    /// Its id.
    pub id: RedirectUriId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Where sign-in may lead, compared as it stands.
    pub url: String,
    /// For what kind of program.
    pub platform: Platform,
    /// What identifies the program, each under its name.
    pub settings: Map<String, Value>,
    /// When it was made.
    pub created_at: UnixMicros,
}

impl RedirectUri {
    /// As it is after a change of what is named.
    fn changed(&self, url: Option<&String>, platform: Option<Platform>, settings: Option<&Map<String, Value>>) -> Self {
        Self {
            url: url.unwrap_or(&self.url).clone(),
            platform: platform.unwrap_or(self.platform),
            settings: settings.unwrap_or(&self.settings).clone(),
            ..self.clone()
        }
    }
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectUriOutcome {
    /// It is so now.
    Done(RedirectUri),
    /// There is none.
    Unknown,
    /// The application has one with that URL.
    UrlTaken,
    /// The URL does not do for the platform.
    Invalid(RedirectUriError),
    /// The application has as many as it may have.
    TooMany,
}

/// Registers a redirect URI.
#[derive(Clone, Debug)]
pub struct CreateRedirectUri {
    /// The redirect URI; it has been checked.
    pub redirect_uri: RedirectUri,
    /// The change.
    pub act: Act,
}

impl Command for CreateRedirectUri {
    type Outcome = RedirectUriOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RedirectUriOutcome, DbError> {
        const COUNT: &str = "SELECT count(*) FROM redirect_uris WHERE application_id = $1";
        let new = &self.redirect_uri;
        let application = new.application_id.uuid();
        if applications::lock(tx, new.application_id, Scope::All).await?.is_none() {
            return Ok(RedirectUriOutcome::Unknown);
        }
        if is_taken(tx, new).await? {
            return Ok(RedirectUriOutcome::UrlTaken);
        }
        let count = tx.query_one(COUNT, params![application]).await?.map(|row| row.count(0)).transpose()?;
        if count.is_some_and(|count| count >= REDIRECT_URIS_MAX) {
            return Ok(RedirectUriOutcome::TooMany);
        }
        insert(tx, new).await?;
        record(tx, &self.act, "redirect_uri.created", None, Some(new)).await?;
        Ok(RedirectUriOutcome::Done(new.clone()))
    }
}

/// Changes what is named and keeps the rest.
#[derive(Clone, Debug)]
pub struct UpdateRedirectUri {
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: RedirectUriId,
    /// Its new URL.
    pub url: Option<String>,
    /// Its new platform.
    pub platform: Option<Platform>,
    /// Its new settings, all of them.
    pub settings: Option<Map<String, Value>>,
    /// The change.
    pub act: Act,
}

impl Command for UpdateRedirectUri {
    type Outcome = RedirectUriOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RedirectUriOutcome, DbError> {
        applications::lock(tx, self.application_id, Scope::All).await?;
        let Some(before) = lock(tx, self.application_id, self.id).await? else {
            return Ok(RedirectUriOutcome::Unknown);
        };
        let after = before.changed(self.url.as_ref(), self.platform, self.settings.as_ref());
        if after == before {
            return Ok(RedirectUriOutcome::Done(before));
        }
        if let Err(error) = redirect_uri::check(&after.url, after.platform) {
            return Ok(RedirectUriOutcome::Invalid(error));
        }
        if is_taken(tx, &after).await? {
            return Ok(RedirectUriOutcome::UrlTaken);
        }
        write(tx, &after).await?;
        record(tx, &self.act, "redirect_uri.updated", Some(&before), Some(&after)).await?;
        Ok(RedirectUriOutcome::Done(after))
    }
}

/// Takes a redirect URI away.
#[derive(Clone, Debug)]
pub struct RemoveRedirectUri {
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: RedirectUriId,
    /// The change.
    pub act: Act,
}

impl Command for RemoveRedirectUri {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = "DELETE FROM redirect_uris WHERE id = $1";
        let Some(before) = lock(tx, self.application_id, self.id).await? else { return Ok(false) };
        tx.execute(REMOVE, params![self.id.uuid()]).await?;
        record(tx, &self.act, "redirect_uri.deleted", Some(&before), None).await?;
        Ok(true)
    }
}

/// One of several redirect URIs that are made or changed together with their application.
#[derive(Clone, Debug)]
pub enum WantedRedirectUri {
    /// A new one.
    New(RedirectUri),
    /// One that is there, and what of it is named.
    Change {
        /// Which.
        id: RedirectUriId,
        /// Its new URL.
        url: Option<String>,
        /// Its new platform.
        platform: Option<Platform>,
        /// Its new settings, all of them.
        settings: Option<Map<String, Value>>,
    },
}

/// What several wishes, one after the other, make of an application's redirect URIs: all as they are then. Or the first
/// wish that cannot be, and why; then nothing is to be written.
pub(crate) fn together(
    current: &[RedirectUri],
    wanted: &[WantedRedirectUri],
) -> Result<Vec<RedirectUri>, Box<(usize, RedirectUriOutcome)>> {
    let mut all = current.to_vec();
    for (number, wish) in wanted.iter().enumerate() {
        let refuse = |outcome| Err(Box::new((number, outcome)));
        let (place, after) = match wish {
            WantedRedirectUri::New(new) => (all.len(), new.clone()),
            WantedRedirectUri::Change { id, url, platform, settings } => {
                let Some(place) = all.iter().position(|uri| uri.id == *id) else {
                    return refuse(RedirectUriOutcome::Unknown);
                };
                (place, all[place].changed(url.as_ref(), *platform, settings.as_ref()))
            }
        };
        if all.get(place) == Some(&after) {
            continue;
        }
        if let Err(error) = redirect_uri::check(&after.url, after.platform) {
            return refuse(RedirectUriOutcome::Invalid(error));
        }
        if all.iter().any(|uri| uri.url == after.url && uri.id != after.id) {
            return refuse(RedirectUriOutcome::UrlTaken);
        }
        if place < all.len() {
            all[place] = after;
        } else if (all.len() as u64) < REDIRECT_URIS_MAX {
            all.push(after);
        } else {
            return refuse(RedirectUriOutcome::TooMany);
        }
    }
    Ok(all)
}

/// All of an application, whose row is locked already.
pub(crate) async fn lock_all(tx: &mut Tx, application: ApplicationId) -> Result<Vec<RedirectUri>, DbError> {
    const LOCK: &str = concat!(
        "SELECT ",
        redirect_uri_columns!(),
        " FROM redirect_uris r WHERE r.application_id = $1 ORDER BY r.id {lock}"
    );
    tx.query(LOCK, params![application.uuid()]).await?.iter().map(read).collect()
}

/// Writes what [`together`] made of them.
pub(crate) async fn write_all(tx: &mut Tx, before: &[RedirectUri], after: &[RedirectUri]) -> Result<(), DbError> {
    const FREE: &str = "UPDATE redirect_uris SET url = $2 WHERE id = $1";
    let changed = |uri: &&RedirectUri| !before.contains(uri);
    let (old, new) = after.split_at(before.len().min(after.len()));
    // One may take over the URL of another, which must not be in the way while both are written.
    for uri in old.iter().filter(changed) {
        tx.execute(FREE, params![uri.id.uuid(), &uri.id.to_string()]).await?;
    }
    for uri in old.iter().filter(changed) {
        write(tx, uri).await?;
    }
    for uri in new {
        insert(tx, uri).await?;
    }
    Ok(())
}

async fn insert(tx: &mut Tx, new: &RedirectUri) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO redirect_uris (id, application_id, url, platform, settings, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    let (application, created_at) = (new.application_id.uuid(), new.created_at.as_micros());
    let settings = write_settings(&new.settings);
    let values = params![new.id.uuid(), application, &new.url, new.platform.name(), &settings, created_at];
    tx.execute(INSERT, values).await?;
    Ok(())
}

async fn write(tx: &mut Tx, after: &RedirectUri) -> Result<(), DbError> {
    const UPDATE: &str = "UPDATE redirect_uris SET url = $2, platform = $3, settings = $4 WHERE id = $1";
    let settings = write_settings(&after.settings);
    tx.execute(UPDATE, params![after.id.uuid(), &after.url, after.platform.name(), &settings]).await?;
    Ok(())
}

async fn is_taken(tx: &mut Tx, wanted: &RedirectUri) -> Result<bool, DbError> {
    const OTHER: &str = "SELECT id FROM redirect_uris WHERE application_id = $1 AND url = $2 AND id <> $3";
    let values = params![wanted.application_id.uuid(), &wanted.url, wanted.id.uuid()];
    Ok(tx.query_one(OTHER, values).await?.is_some())
}

async fn lock(tx: &mut Tx, application: ApplicationId, id: RedirectUriId) -> Result<Option<RedirectUri>, DbError> {
    const LOCK: &str = concat!(
        "SELECT ",
        redirect_uri_columns!(),
        " FROM redirect_uris r WHERE r.id = $1 AND r.application_id = $2 {lock}"
    );
    tx.query_one(LOCK, params![id.uuid(), application.uuid()]).await?.as_ref().map(read).transpose()
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    before: Option<&RedirectUri>,
    after: Option<&RedirectUri>,
) -> Result<(), DbError> {
    let target = after.or(before).map(|any| any.id.to_string()).unwrap_or_default();
    let (before, after) = (before.map(snapshot), after.map(snapshot));
    let (before, after) = (before.as_deref(), after.as_deref());
    let change = Change { action, target_kind: "redirect_uri", target_id: &target, before, after };
    audit::record(tx, act, change).await
}

fn snapshot(uri: &RedirectUri) -> String {
    facts(uri).to_string()
}

fn facts(uri: &RedirectUri) -> Value {
    json!({"url": uri.url, "platform": uri.platform.name(), "settings": uri.settings})
}

/// Those of `all` that are not the same in `others`, as the record of their application shows them.
pub(crate) fn differing(all: &[RedirectUri], others: &[RedirectUri]) -> Value {
    let differing = all.iter().filter(|uri| !others.contains(uri));
    differing
        .map(|uri| {
            let mut facts = facts(uri);
            facts["id"] = json!(uri.id.to_string());
            facts
        })
        .collect()
}

pub(crate) const LIST: &str =
    concat!("SELECT ", redirect_uri_columns!(), " FROM redirect_uris r WHERE r.application_id = $1 ORDER BY r.id");
pub(crate) const LIST_OF_APPLICATIONS: &str = concat!(
    "SELECT ",
    redirect_uri_columns!(),
    " FROM applications a JOIN redirect_uris r ON r.application_id = a.id \
     WHERE a.organization_id = $1 AND a.id BETWEEN $2 AND $3"
);

/// Finds a redirect URI of an application by id.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: RedirectUriId,
) -> Result<Option<RedirectUri>, StoreError> {
    const FIND: &str =
        concat!("SELECT ", redirect_uri_columns!(), " FROM redirect_uris r WHERE r.id = $1 AND r.application_id = $2");
    Ok(reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?.as_ref().map(read).transpose()?)
}

/// An application's redirect URIs, oldest first.
pub async fn list(reader: &mut Reader<'_>, application: ApplicationId) -> Result<Vec<RedirectUri>, StoreError> {
    let rows = reader.query(LIST, params![application.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Those of an organization's applications from one to another, both included; oldest first.
pub async fn list_of_applications(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    first: ApplicationId,
    last: ApplicationId,
) -> Result<Vec<RedirectUri>, StoreError> {
    let values = params![organization.uuid(), first.uuid(), last.uuid()];
    let rows = reader.query(LIST_OF_APPLICATIONS, values).await?;
    let mut uris: Vec<RedirectUri> = rows.iter().map(read).collect::<Result<_, DbError>>()?;
    uris.sort_by_key(|uri| uri.id);
    Ok(uris)
}

fn write_settings(settings: &Map<String, Value>) -> String {
    serde_json::to_string(settings).unwrap_or_else(|_| "{}".to_owned())
}

fn read(row: &Row) -> Result<RedirectUri, DbError> {
    Ok(RedirectUri {
        id: RedirectUriId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        url: row.text(2)?,
        platform: Platform::named(row.str(3)?).ok_or(DbError::Malformed("platform"))?,
        settings: serde_json::from_str(row.str(4)?).map_err(|_| DbError::Malformed("settings"))?,
        created_at: UnixMicros::from_micros(row.int(5)?),
    })
}
