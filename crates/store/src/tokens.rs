//! Codes, access tokens and refresh tokens: what a sign-in gives. Stored as keyed hashes only; nothing here can be used
//! to sign in by somebody who reads the database. A token is worth nothing once its mailbox is gone.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId, SignInId};
use postfleet_core::pkce::{Challenge, Proof};
use postfleet_core::redeem::{Asked, Held, Verdict, judge};
use postfleet_core::{EmailAddress, UnixMicros};

/// What a stored hash is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// Exchanged once for the others.
    Code,
    /// Opens the mailbox.
    Access,
    /// Exchanged for access tokens.
    Refresh,
}

impl TokenKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// Stores the code that a sign-in gives, if the mailbox still has the password that was verified.
#[derive(Clone, Debug)]
pub struct IssueCode {
    /// The keyed hash of the code.
    pub hash: [u8; 32],
    /// What all tokens of this sign-in are known by.
    pub sign_in_id: SignInId,
    /// To whom it is given.
    pub application_id: ApplicationId,
    /// What it opens.
    pub grant_id: GrantId,
    /// The stored form of the password that was verified.
    pub verified: String,
    /// Where it is sent.
    pub redirect_uri: String,
    /// What the sign-in was begun with.
    pub challenge: Option<Challenge>,
    /// Whether its exchange also gives a refresh token.
    pub is_offline: bool,
    /// When it ends.
    pub expires_at: UnixMicros,
    /// When.
    pub at: UnixMicros,
}

impl Command for IssueCode {
    /// Whether it was issued.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const FIND: &str = "SELECT id FROM grants WHERE id = $1 AND application_id = $2 AND app_password = $3 {lock}";
        let (grant, application) = (self.grant_id.uuid(), self.application_id.uuid());
        if tx.query_one(FIND, params![grant, application, &self.verified]).await?.is_none() {
            return Ok(false);
        }
        let row = TokenRow {
            hash: &self.hash,
            sign_in_id: self.sign_in_id,
            kind: TokenKind::Code,
            application_id: self.application_id,
            grant_id: self.grant_id,
            redirect_uri: &self.redirect_uri,
            challenge: self.challenge.as_ref(),
            is_offline: self.is_offline,
            is_single_use: true,
            expires_at: Some(self.expires_at),
            at: self.at,
        };
        row.insert(tx).await?;
        Ok(true)
    }
}

struct TokenRow<'a> {
    hash: &'a [u8; 32],
    sign_in_id: SignInId,
    kind: TokenKind,
    application_id: ApplicationId,
    grant_id: GrantId,
    redirect_uri: &'a str,
    challenge: Option<&'a Challenge>,
    is_offline: bool,
    is_single_use: bool,
    expires_at: Option<UnixMicros>,
    at: UnixMicros,
}

impl TokenRow<'_> {
    async fn insert(&self, tx: &mut Tx) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO tokens (hash, sign_in_id, kind, application_id, grant_id, redirect_uri, \
            code_challenge, offline, single_use, expires_at, created_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let challenge = self.challenge.map(Challenge::stored);
        let values = params![
            self.hash.as_slice(),
            self.sign_in_id.uuid(),
            self.kind.name(),
            self.application_id.uuid(),
            self.grant_id.uuid(),
            self.redirect_uri,
            challenge.as_ref(),
            self.is_offline,
            self.is_single_use,
            self.expires_at.map(UnixMicros::as_micros),
            self.at.as_micros()
        ];
        tx.execute(INSERT, values).await?;
        Ok(())
    }
}

/// Exchanges a code or a refresh token for an access token. One that may be used once and comes a second time takes
/// back everything that its sign-in gave.
#[derive(Clone, Debug)]
pub struct Redeem {
    /// The keyed hash of what is presented.
    pub hash: [u8; 32],
    /// What it is said to be: a code or a refresh token.
    pub kind: TokenKind,
    /// Who says that it was given to it.
    pub application_id: ApplicationId,
    /// Whether that application has shown a key.
    pub has_secret: bool,
    /// The place that it names.
    pub redirect_uri: Option<String>,
    /// The verifier that it sends.
    pub proof: Option<Proof>,
    /// The keyed hash of the access token to give.
    pub access_hash: [u8; 32],
    /// When that ends.
    pub access_expires_at: UnixMicros,
    /// The keyed hash of the refresh token to give, if one is due.
    pub refresh_hash: [u8; 32],
    /// Until when a used code or refresh token is remembered.
    pub used_kept_until: UnixMicros,
    /// When.
    pub at: UnixMicros,
}

/// What became of [`Redeem`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// The access token is valid.
    Given {
        /// What it opens.
        grant_id: GrantId,
        /// Its address.
        email: EmailAddress,
        /// Whether the refresh token is valid, too.
        with_refresh: bool,
    },
    /// Nothing was given.
    Refused,
    /// Nothing was given to an application that shows no key.
    SecretNeeded,
    /// It was used before: everything that it gave has been taken back.
    Replayed,
}

impl Command for Redeem {
    type Outcome = Redeemed;

    async fn run(&self, tx: &mut Tx) -> Result<Redeemed, DbError> {
        const FIND: &str = "SELECT sign_in_id, grant_id, application_id, redirect_uri, code_challenge, offline, \
            single_use, used_at, expires_at FROM tokens WHERE hash = $1 AND kind = $2 {lock}";
        const EMAIL: &str = "SELECT email FROM grants WHERE id = $1 AND application_id = $2";
        let Some(row) = tx.query_one(FIND, params![self.hash.as_slice(), self.kind.name()]).await? else {
            return Ok(Redeemed::Refused);
        };
        let (sign_in_id, grant_id) = (SignInId::from_uuid(row.uuid(0)?), GrantId::from_uuid(row.uuid(1)?));
        let held = self.held(&row)?;
        match judge(&held, &self.asked()) {
            Verdict::Granted => {}
            Verdict::Refused => return Ok(Redeemed::Refused),
            Verdict::SecretNeeded => return Ok(Redeemed::SecretNeeded),
            Verdict::Replayed => {
                remove_of_sign_in(tx, sign_in_id).await?;
                return Ok(Redeemed::Replayed);
            }
        }
        let found = tx.query_one(EMAIL, params![grant_id.uuid(), self.application_id.uuid()]).await?;
        let Some(email) = found else { return Ok(Redeemed::Refused) };
        let email = EmailAddress::parse(&email.text(0)?).map_err(|_| DbError::Malformed("address"))?;
        let with_refresh = row.flag(5)? && row.flag(6)?;
        self.give(tx, sign_in_id, grant_id, with_refresh).await?;
        if row.flag(6)? {
            self.use_up(tx).await?;
        }
        Ok(Redeemed::Given { grant_id, email, with_refresh })
    }
}

impl Redeem {
    fn held(&self, row: &Row) -> Result<Held, DbError> {
        let read = |stored: String| Challenge::of_stored(&stored).ok_or(DbError::Malformed("code challenge"));
        let (is_code, single_use) = (self.kind == TokenKind::Code, row.flag(6)?);
        let challenge = row.opt_text(4)?.map(read).transpose()?;
        Ok(Held {
            application_id: ApplicationId::from_uuid(row.uuid(2)?),
            redirect_uri: if is_code { Some(row.text(3)?) } else { None },
            // A code is safe with a verifier; a refresh token that is used once was given without a key.
            is_public: if is_code { challenge.is_some() } else { single_use },
            challenge,
            is_used_up: single_use && row.opt_int(7)?.is_some(),
            expires_at: row.opt_int(8)?.map(UnixMicros::from_micros),
        })
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            application_id: self.application_id,
            has_secret: self.has_secret,
            redirect_uri: self.redirect_uri.as_deref(),
            proof: self.proof.as_ref(),
            now: self.at,
        }
    }

    /// Stores the access token, and the refresh token with it. One that is given without a key may be used once, and
    /// gives the next one (RFC 9700 §4.14.2).
    async fn give(
        &self,
        tx: &mut Tx,
        sign_in_id: SignInId,
        grant_id: GrantId,
        with_refresh: bool,
    ) -> Result<(), DbError> {
        let access = TokenRow {
            hash: &self.access_hash,
            sign_in_id,
            kind: TokenKind::Access,
            application_id: self.application_id,
            grant_id,
            redirect_uri: "",
            challenge: None,
            is_offline: false,
            is_single_use: false,
            expires_at: Some(self.access_expires_at),
            at: self.at,
        };
        access.insert(tx).await?;
        if with_refresh {
            let (kind, is_single_use) = (TokenKind::Refresh, !self.has_secret);
            let refresh = TokenRow {
                hash: &self.refresh_hash,
                kind,
                is_offline: true,
                is_single_use,
                expires_at: None,
                ..access
            };
            refresh.insert(tx).await?;
        }
        Ok(())
    }

    async fn use_up(&self, tx: &mut Tx) -> Result<(), DbError> {
        const USE: &str = "UPDATE tokens SET used_at = $2, expires_at = $3 WHERE hash = $1";
        let values = params![self.hash.as_slice(), self.at.as_micros(), self.used_kept_until.as_micros()];
        tx.execute(USE, values).await?;
        Ok(())
    }
}

async fn remove_of_sign_in(tx: &mut Tx, id: SignInId) -> Result<(), DbError> {
    const REMOVE: &str = "DELETE FROM tokens WHERE sign_in_id = $1";
    tx.execute(REMOVE, params![id.uuid()]).await?;
    Ok(())
}

/// Takes back everything that sign-ins to a mailbox gave: for a change of its password. Answers how much that was.
pub async fn remove_of_grant(tx: &mut Tx, grant: GrantId) -> Result<u64, DbError> {
    const REMOVE: &str = "DELETE FROM tokens WHERE grant_id = $1";
    tx.execute(REMOVE, params![grant.uuid()]).await
}

/// Makes a token worthless: an access token alone, a refresh token with everything that its sign-in gave.
#[derive(Clone, Debug)]
pub struct Revoke {
    /// The keyed hash of the token.
    pub hash: [u8; 32],
    /// Who does it, if an application with its key: its own tokens alone, and on record.
    pub act: Option<Act>,
}

impl Command for Revoke {
    /// Whether there was such a token.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const FIND: &str = "SELECT kind, sign_in_id, grant_id, application_id FROM tokens \
            WHERE hash = $1 AND kind <> 'code' {lock}";
        const REMOVE: &str = "DELETE FROM tokens WHERE hash = $1";
        let Some(row) = tx.query_one(FIND, params![self.hash.as_slice()]).await? else { return Ok(false) };
        let application = Some(ApplicationId::from_uuid(row.uuid(3)?));
        if self.act.as_ref().is_some_and(|act| act.application_id != application) {
            return Ok(false);
        }
        let kind = row.text(0)?;
        if kind == TokenKind::Refresh.name() {
            remove_of_sign_in(tx, SignInId::from_uuid(row.uuid(1)?)).await?;
        } else {
            tx.execute(REMOVE, params![self.hash.as_slice()]).await?;
        }
        if let Some(act) = &self.act {
            let (grant, before) = (GrantId::from_uuid(row.uuid(2)?).to_string(), format!("{{\"kind\":\"{kind}\"}}"));
            let change = Change {
                action: "token.revoked",
                target_kind: "grant",
                target_id: &grant,
                before: Some(&before),
                after: None,
            };
            audit::record(tx, act, change).await?;
        }
        Ok(true)
    }
}

/// What an access token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Whose application has it.
    pub organization_id: OrganizationId,
    /// Which application has it.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The mailbox's address.
    pub email: EmailAddress,
    /// When it was given.
    pub created_at: UnixMicros,
    /// When it ends.
    pub expires_at: UnixMicros,
    /// The name of its organization's plan.
    pub plan: String,
}

/// Finds what an access token opens, also one that has ended. Nothing if its mailbox is gone.
pub async fn find(reader: &mut Reader<'_>, hash: &[u8; 32]) -> Result<Option<Opened>, StoreError> {
    const FIND: &str = "SELECT a.organization_id, t.application_id, t.grant_id, g.email, t.created_at, t.expires_at, \
        o.plan \
        FROM tokens t JOIN grants g ON g.application_id = t.application_id AND g.id = t.grant_id \
        JOIN applications a ON a.id = t.application_id JOIN organizations o ON o.id = a.organization_id \
        WHERE t.hash = $1 AND t.kind = 'access'";
    let Some(row) = reader.query_one(FIND, params![hash.as_slice()]).await? else { return Ok(None) };
    Ok(Some(Opened {
        organization_id: OrganizationId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        grant_id: GrantId::from_uuid(row.uuid(2)?),
        email: EmailAddress::parse(row.str(3)?).map_err(|_| DbError::Malformed("address"))?,
        created_at: UnixMicros::from_micros(row.int(4)?),
        expires_at: UnixMicros::from_micros(row.int(5)?),
        plan: row.text(6)?,
    }))
}

/// Forgets tokens that have ended, a bounded number at once.
#[derive(Clone, Copy, Debug)]
pub struct PruneTokens {
    /// Those that ended before this go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

pub(crate) const PRUNE: &str = "DELETE FROM tokens WHERE hash IN \
    (SELECT hash FROM tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";

impl Command for PruneTokens {
    /// How many went.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tx.execute(PRUNE, params![self.before.as_micros(), self.limit as i64]).await
    }
}
