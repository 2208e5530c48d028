//! Signing in: the password of a mailbox, and the applications that it may lead back to.

use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::EmailAddress;
use postfleet_core::id::{ApplicationId, GrantId};

/// A mailbox that somebody wants to sign in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The mailbox.
    pub grant_id: GrantId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Its address.
    pub email: EmailAddress,
    /// The stored form of its password; without one nobody can sign in.
    pub app_password: Option<String>,
    /// Whether the mailbox is blocked.
    pub is_blocked: bool,
}

/// Finds the mailbox of an address, whosever it is, with the stored form of its password.
pub async fn door(reader: &mut Reader<'_>, email: &EmailAddress) -> Result<Option<Door>, StoreError> {
    const FIND: &str = "SELECT id, application_id, email, app_password, blocked FROM grants WHERE email_key = $1";
    let Some(row) = reader.query_one(FIND, params![&email.key()]).await? else { return Ok(None) };
    Ok(Some(Door {
        grant_id: GrantId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        email: EmailAddress::parse(row.str(2)?).map_err(|_| DbError::Malformed("address"))?,
        app_password: row.opt_text(3)?,
        is_blocked: row.flag(4)?,
    }))
}

/// The name of an application, if sign-in may lead back to that place of it.
pub async fn client_name(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    redirect_uri: &str,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT a.name FROM redirect_uris r JOIN applications a ON a.id = r.application_id \
        WHERE r.application_id = $1 AND r.url = $2";
    let row = reader.query_one(FIND, params![application.uuid(), redirect_uri]).await?;
    Ok(row.map(|row| row.text(0)).transpose()?)
}

/// Whether an organization has that domain.
pub async fn has_domain(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    domain: &postfleet_core::Domain,
) -> Result<bool, StoreError> {
    const FIND: &str = "SELECT d.id FROM domains d JOIN applications a ON a.organization_id = d.organization_id \
        WHERE a.id = $1 AND d.name = $2";
    Ok(reader.query_one(FIND, params![application.uuid(), domain.as_str()]).await?.is_some())
}
