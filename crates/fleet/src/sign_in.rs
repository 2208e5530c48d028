//! Signing in to a mailbox with its password: who may ask for it, how often somebody may guess, and the code that a
//! right guess gives. Every wrong guess looks like every other: of the password, of the address, of the application.

use crate::doorkeeper::{Doorkeeper, Verdict};
use crate::keys::KeyHasher;
use crate::tokens;
use postfleet_core::id::{ApplicationId, GrantId, SignInId};
use postfleet_core::pkce::{Challenge, Method};
use postfleet_core::problem::Exhausted;
use postfleet_core::throttle::Refusal;
use postfleet_core::{Domain, EmailAddress, Problem, ProblemKind, Secret, UnixMicros};
use postfleet_net::Entropy;
use postfleet_store::Store;
use postfleet_store::sign_in::{self, Door};
use postfleet_store::tokens::IssueCode;
use std::net::IpAddr;
use std::time::Duration;

/// Characters of a `state`.
pub const STATE_CHARS_MAX: usize = 1_024;

/// How long a code may be exchanged (RFC 6749 §4.1.2 recommends no more).
const CODE_LIFETIME: Duration = Duration::from_secs(600);

/// An application to which sign-in may lead back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The application.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// Where it leads back to.
    pub redirect_uri: String,
}

/// Finds the application of that id, if sign-in may lead back to that place of it.
pub async fn client(store: &Store, client_id: &str, redirect_uri: &str) -> Result<Option<Client>, Problem> {
    let Ok(application_id) = client_id.parse() else { return Ok(None) };
    // No place has them, and PostgreSQL takes no text with some of them.
    if redirect_uri.chars().any(char::is_control) {
        return Ok(None);
    }
    let name = sign_in::client_name(&mut store.reader().await?, application_id, redirect_uri).await?;
    Ok(name.map(|name| Client { application_id, name, redirect_uri: redirect_uri.to_owned() }))
}

/// What a request says about the sign-in that it wants, beside who asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// `code`, where it has to be said.
    pub response_type: Option<&'a str>,
    /// `nylas`.
    pub provider: Option<&'a str>,
    /// `online` or `offline`.
    pub access_type: Option<&'a str>,
    /// What comes back as it is.
    pub state: Option<&'a str>,
    /// The challenge.
    pub code_challenge: Option<&'a str>,
    /// How it was made.
    pub code_challenge_method: Option<&'a str>,
}

/// A [`Wish`] that can be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether a refresh token is wanted.
    pub is_offline: bool,
    /// What comes back as it is.
    pub state: Option<String>,
    /// What the code is bound to.
    pub challenge: Option<Challenge>,
}

/// Checks a wish; a refusal names the parameter.
pub fn terms(wish: &Wish<'_>) -> Result<Terms, Problem> {
    if wish.response_type.is_some_and(|kind| kind != "code") {
        return Err(Problem::invalid("response_type", "response_type must be code"));
    }
    if wish.provider.is_some_and(|provider| !["", "nylas"].contains(&provider)) {
        return Err(Problem::invalid("provider", "provider must be nylas"));
    }
    let is_offline = match wish.access_type {
        None | Some("" | "online") => false,
        Some("offline") => true,
        Some(_) => return Err(Problem::invalid("access_type", "access_type must be online or offline")),
    };
    if wish.state.is_some_and(|state| state.chars().count() > STATE_CHARS_MAX) {
        return Err(Problem::invalid("state", format!("state must be at most {STATE_CHARS_MAX} characters")));
    }
    Ok(Terms { is_offline, state: wish.state.map(str::to_owned), challenge: challenge(wish)? })
}

fn challenge(wish: &Wish<'_>) -> Result<Option<Challenge>, Problem> {
    let method = Method::named(wish.code_challenge_method)
        .ok_or_else(|| Problem::invalid("code_challenge_method", "code_challenge_method must be S256 or plain"))?;
    let Some(text) = wish.code_challenge.filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = Challenge::new(method, text);
    text.map(Some).ok_or_else(|| {
        Problem::invalid("code_challenge", "code_challenge must be 43 to 128 characters of the base64url alphabet")
    })
}

/// Where signing in is decided, and when.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// Where the mailboxes are.
    pub store: &'a Store,
    /// Who remembers.
    pub doorkeeper: &'a Doorkeeper,
    /// The time.
    pub now: UnixMicros,
}

/// What somebody shows to be let in.
#[derive(Clone, Debug)]
pub struct Guess<'a> {
    /// The address of the mailbox, as it was typed.
    pub email: &'a str,
    /// The password.
    pub password: Secret<String>,
    /// From where, if that is known.
    pub peer: Option<IpAddr>,
}

/// What became of a guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It was right.
    Accepted(T),
    /// It was wrong in one way or another.
    Refused,
    /// There were too many wrong ones before; it was not looked at.
    Throttled(Exhausted),
}

/// A mailbox whose password was shown.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) door: Door,
    /// Whether it had been shown a moment ago.
    pub(crate) is_remembered: bool,
}

/// What a right guess gives.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Whether the password had been right a moment ago, so that nothing slow was needed.
    pub is_remembered: bool,
    /// The mailbox.
    pub grant_id: GrantId,
    /// Its address.
    pub email: EmailAddress,
    /// The code to exchange.
    pub code: Secret<String>,
}

/// Signs in to a mailbox of the client's application and gives the client a code. Without a client nobody is let in, and
/// it takes as long.
pub async fn sign_in(
    gate: Gate<'_>,
    hasher: &KeyHasher,
    entropy: &dyn Entropy,
    client: Option<&Client>,
    terms: &Terms,
    guess: Guess<'_>,
) -> Result<Outcome<SignedIn>, Problem> {
    let is_theirs = |door: &Door| client.is_some_and(|client| client.application_id == door.application_id);
    let (Opened { door, is_remembered }, client) = match (verify(gate, guess, is_theirs).await?, client) {
        (Outcome::Accepted(opened), Some(client)) => (opened, client),
        (Outcome::Throttled(exhausted), _) => return Ok(Outcome::Throttled(exhausted)),
        _ => return Ok(Outcome::Refused),
    };
    let Gate { store, now, .. } = gate;
    let code = tokens::generate(tokens::CODE_PREFIX, entropy);
    let command = IssueCode {
        hash: hasher.hash(code.expose()),
        sign_in_id: SignInId::new(now, entropy.ten()),
        application_id: client.application_id,
        grant_id: door.grant_id,
        verified: door.app_password.unwrap_or_default(),
        redirect_uri: client.redirect_uri.clone(),
        challenge: terms.challenge.clone(),
        is_offline: terms.is_offline,
        expires_at: now.plus(CODE_LIFETIME),
        at: now,
    };
    let is_issued = store.run(command).await?;
    let signed_in = SignedIn { is_remembered, grant_id: door.grant_id, email: door.email, code };
    Ok(if is_issued { Outcome::Accepted(signed_in) } else { Outcome::Refused })
}

/// Looks at a guess of a mailbox's password, of those mailboxes that `may_open` lets pass. It is counted as wrong before
/// the password is looked at, and forgiven if it was right.
pub(crate) async fn verify(
    gate: Gate<'_>,
    guess: Guess<'_>,
    may_open: impl Fn(&Door) -> bool,
) -> Result<Outcome<Opened>, Problem> {
    let Gate { store, doorkeeper, now } = gate;
    let email = EmailAddress::parse(guess.email.trim()).ok();
    let turn = match doorkeeper.admit(doorkeeper.parties(email.as_ref(), guess.peer), now).await? {
        Ok(turn) => turn,
        Err(refusal) => return Ok(Outcome::Throttled(exhausted(refusal))),
    };
    let door = match &email {
        Some(email) => sign_in::door(&mut store.reader().await?, email).await?,
        None => None,
    };
    let door = door.filter(may_open);
    let stored = door.as_ref().and_then(|door| door.app_password.clone().map(|hash| (door.grant_id, hash)));
    let verdict = doorkeeper.look(turn, stored, guess.password, now).await?;
    Ok(match door {
        Some(door) if verdict != Verdict::Wrong => {
            Outcome::Accepted(Opened { door, is_remembered: verdict == Verdict::RightAgain })
        }
        _ => Outcome::Refused,
    })
}

fn exhausted(Refusal { limit, until }: Refusal) -> Exhausted {
    let limit = u64::from(limit);
    Exhausted { scope: "sign_in", limit, used: limit, resets_at: Some(until) }
}

/// Whether the organization of an application has a domain.
pub async fn has_domain(store: &Store, application: ApplicationId, domain: &Domain) -> Result<bool, Problem> {
    Ok(sign_in::has_domain(&mut store.reader().await?, application, domain).await?)
}

/// The one refusal of a wrong guess.
pub fn refused() -> Problem {
    Problem::new(ProblemKind::Unauthenticated, "sign_in_failed", FAILED)
}

/// The refusal of one guess too many: the same for people, with the time after which the next one is looked at.
pub fn throttled(exhausted: Exhausted) -> Problem {
    let problem = Problem::new(ProblemKind::RateLimited, "sign_in_throttled", FAILED);
    Problem { exhausted: Some(Box::new(exhausted)), ..problem }
}

/// What people are told, whatever was wrong.
pub const FAILED: &str = "Sign-in failed. Check the address and the password, and try again later.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_wish_names_its_parameter() {
        let long = "s".repeat(STATE_CHARS_MAX + 1);
        for (wish, field) in [
            (Wish { response_type: Some("token"), ..Wish::default() }, "response_type"),
            (Wish { provider: Some("google"), ..Wish::default() }, "provider"),
            (Wish { access_type: Some("always"), ..Wish::default() }, "access_type"),
            (Wish { state: Some(&long), ..Wish::default() }, "state"),
            (Wish { code_challenge_method: Some("S512"), ..Wish::default() }, "code_challenge_method"),
            (Wish { code_challenge: Some("short"), ..Wish::default() }, "code_challenge"),
        ] {
            assert_eq!(terms(&wish).unwrap_err().field.as_deref(), Some(field));
        }
        let whole = Wish {
            response_type: Some("code"),
            provider: Some("nylas"),
            access_type: Some("offline"),
            state: Some(&long[1..]),
            ..Wish::default()
        };
        let expected = Terms { is_offline: true, state: Some(long[1..].to_owned()), challenge: None };
        assert_eq!(terms(&whole), Ok(expected));
    }
}
