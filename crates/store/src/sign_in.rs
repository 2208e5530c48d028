//! Signing in: the password of a mailbox, the applications that it may lead back to, and how often somebody has guessed.

use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{ApplicationId, GrantId};
use postfleet_core::throttle::{self, Decision, WINDOW};
use postfleet_core::{EmailAddress, UnixMicros};

/// Whose guesses are counted together, and how many may fail in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Such as `mailbox:<address>` or `peer:<network>`.
    pub who: String,
    /// How many may fail.
    pub limit: u64,
}

/// Counts a guess before it is looked at, with everybody whom it concerns or with nobody. All guesses at once are not
/// more than the limit, since each finds those before it counted.
#[derive(Clone, Debug)]
pub struct ReserveGuess {
    /// With whom, always in the same order.
    pub counters: Vec<Counter>,
    /// When.
    pub at: UnixMicros,
}

/// What became of [`ReserveGuess`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuessOutcome {
    /// It may be looked at. Gives when the window of each counter began, in their order.
    Reserved(Vec<UnixMicros>),
    /// There were too many already, and it was not counted.
    TooMany {
        /// How many may fail.
        limit: u64,
        /// When the window ends.
        until: UnixMicros,
    },
}

impl Command for ReserveGuess {
    type Outcome = GuessOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<GuessOutcome, DbError> {
        const COUNT: &str = "UPDATE sign_in_failures SET started_at = $2, failures = $3 WHERE who = $1";
        let (mut counted, mut refused) = (Vec::new(), None::<(UnixMicros, u64)>);
        for counter in &self.counters {
            match self.decide(tx, counter).await? {
                Decision::Counted { started_at, failures } => counted.push((counter, started_at, failures)),
                Decision::Refused { until } => refused = refused.max(Some((until, counter.limit))),
            }
        }
        if let Some((until, limit)) = refused {
            return Ok(GuessOutcome::TooMany { limit, until });
        }
        for (counter, started_at, failures) in &counted {
            tx.execute(COUNT, params![&counter.who, started_at.as_micros(), *failures as i64]).await?;
        }
        Ok(GuessOutcome::Reserved(counted.into_iter().map(|(_, started_at, _)| started_at).collect()))
    }
}

impl ReserveGuess {
    /// Decides with the counter's row under a lock; the first guess makes the row, so that there is one to lock.
    async fn decide(&self, tx: &mut Tx, counter: &Counter) -> Result<Decision, DbError> {
        const MAKE: &str =
            "INSERT INTO sign_in_failures (who, started_at, failures) VALUES ($1, $2, 0) ON CONFLICT (who) DO NOTHING";
        const FIND: &str = "SELECT failures, started_at FROM sign_in_failures WHERE who = $1 {lock}";
        tx.execute(MAKE, params![&counter.who, self.at.as_micros()]).await?;
        let row = tx.query_one(FIND, params![&counter.who]).await?;
        // The janitor or a success took it away in between: all over again.
        let row = row.ok_or_else(|| DbError::Serialization("a counter of sign-ins went away".into()))?;
        let started_at = UnixMicros::from_micros(row.int(1)?);
        Ok(throttle::decide(row.count(0)?, started_at, self.at, counter.limit, WINDOW))
    }
}

/// The guess was right: forgets the failures of the mailbox, and gives the other counters back what was reserved.
#[derive(Clone, Debug)]
pub struct GiveBackGuess {
    /// The counter of the mailbox.
    pub cleared: String,
    /// Those that get one back, with the beginning of the window in which it was reserved.
    pub given_back: Vec<(String, UnixMicros)>,
}

impl Command for GiveBackGuess {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const CLEAR: &str = "DELETE FROM sign_in_failures WHERE who = $1";
        const GIVE_BACK: &str = "UPDATE sign_in_failures SET failures = failures - 1 \
            WHERE who = $1 AND started_at = $2 AND failures > 0";
        tx.execute(CLEAR, params![&self.cleared]).await?;
        for (who, started_at) in &self.given_back {
            tx.execute(GIVE_BACK, params![who, started_at.as_micros()]).await?;
        }
        Ok(())
    }
}

/// Forgets counters whose window is over, a bounded number at once.
#[derive(Clone, Copy, Debug)]
pub struct PruneGuesses {
    /// Windows that began before this are over.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

pub(crate) const PRUNE: &str = "DELETE FROM sign_in_failures WHERE who IN \
    (SELECT who FROM sign_in_failures WHERE started_at < $1 ORDER BY started_at LIMIT $2) AND started_at < $1";

impl Command for PruneGuesses {
    /// How many went.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tx.execute(PRUNE, params![self.before.as_micros(), self.limit as i64]).await
    }
}

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
        email: EmailAddress::parse(&row.text(2)?).map_err(|_| DbError::Malformed("address"))?,
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
