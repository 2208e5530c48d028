//! What one process remembers of those who sign in, in memory alone: how many guesses failed and from where, and which
//! passwords were right a moment ago. Decides with `postfleet_core::throttle`; after a restart everybody is a stranger.

use crate::app_password;
use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use postfleet_core::dated::Dated;
use postfleet_core::id::GrantId;
use postfleet_core::throttle::{Counted, Guesses, Network, Refusal};
use postfleet_core::{EmailAddress, Problem, Secret, UnixMicros};
use postfleet_net::Entropy;
use sha2::Sha256;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a password that was right needs no slow hash.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);

/// Passwords that are remembered; beyond, the oldest are forgotten.
pub const REMEMBERED_MAX: usize = 50_000;

/// Guesses of each kind that are looked at at once, at most. Each counts as wrong until it has proved right, so there must
/// be fewer of them than a network has at a mailbox, or the right ones of one busy client would lock it out.
const PLACES_MAX: usize = 2;

/// A mailbox, whether or not there is one, as a digest that nobody else can make: addresses are long, and chosen by
/// strangers.
type MailboxKey = [u8; 16];

/// Remembers who guessed, and what was right.
#[derive(Debug)]
pub struct Doorkeeper {
    /// Under a key of this process.
    mac: Hmac<Sha256>,
    guesses: Mutex<Guesses<MailboxKey>>,
    right: Mutex<Dated<[u8; 32], ()>>,
    /// For guesses from where a mailbox is known, and for those of strangers: a flood of these does not keep those waiting.
    places: [Arc<Semaphore>; 2],
}

/// Who guesses at which mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties {
    mailbox: Option<MailboxKey>,
    peer: Network,
}

/// A guess that may be looked at, and has the place for it.
#[derive(Debug)]
pub(crate) struct Turn {
    counted: Counted<MailboxKey>,
    place: OwnedSemaphorePermit,
}

/// What looking at a password has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not the one.
    Wrong,
    /// It is the one.
    Right,
    /// It is the one, and was so a moment ago: nothing was computed.
    RightAgain,
}

impl Doorkeeper {
    /// One that remembers nothing yet. Slow hashes take no more than about half of the processors.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut key = Key::<Hmac<Sha256>>::default();
        entropy.fill(&mut key);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let places = (processors / 4).clamp(1, PLACES_MAX);
        Self {
            mac: Hmac::new(&key),
            guesses: Mutex::default(),
            right: Mutex::new(Dated::new(REMEMBERED_MAX)),
            places: [(); 2].map(|()| Arc::new(Semaphore::new(places))),
        }
    }

    pub(crate) fn parties(&self, email: Option<&EmailAddress>, peer: Option<IpAddr>) -> Parties {
        let mailbox = email.map(|email| {
            let digest = self.digest(&[b"mailbox", email.key().as_bytes()]);
            let mut key = MailboxKey::default();
            key.copy_from_slice(&digest[..16]);
            key
        });
        Parties { mailbox, peer: Network::of(peer) }
    }

    /// Waits until the guess may be looked at, and counts it as wrong. What has no guesses left does not wait.
    pub(crate) async fn admit(&self, parties: Parties, now: UnixMicros) -> Result<Result<Turn, Refusal>, Problem> {
        let Parties { mailbox, peer } = parties;
        if let Err(refusal) = self.guesses().look(mailbox, peer, now) {
            return Ok(Err(refusal));
        }
        let is_known = self.guesses().knows(mailbox, peer, now);
        let place = self.places[usize::from(is_known)].clone().acquire_owned().await.map_err(Problem::internal)?;
        let counted = self.guesses().count(mailbox, peer, now);
        Ok(counted.map(|counted| Turn { counted, place }))
    }

    /// Looks at a password. One that is wrong takes the slow hash, with or without a mailbox; so does a right one, once in
    /// a while.
    pub(crate) async fn look(
        &self,
        turn: Turn,
        stored: Option<(GrantId, String)>,
        password: Secret<String>,
        now: UnixMicros,
    ) -> Result<Verdict, Problem> {
        let (grant, hash) = match stored {
            Some((grant, hash)) => (grant.uuid().into_bytes(), Some(hash)),
            None => ([0; 16], None),
        };
        let hashed = hash.as_deref().unwrap_or_default();
        // The stored form is part of it, so a password that was changed is not remembered any more.
        let digest = self.digest(&[b"password", &grant, hashed.as_bytes(), password.expose().as_bytes()]);
        let is_remembered = self.right().get(&digest).is_some_and(|(at, ())| now < at.plus(REMEMBERED_FOR));
        let verdict = if is_remembered && hash.is_some() {
            Verdict::RightAgain
        } else if app_password::verify(hash, password, turn.place).await? {
            self.right().put(digest, now, ());
            Verdict::Right
        } else {
            return Ok(Verdict::Wrong);
        };
        self.guesses().forgive(&turn.counted, now);
        Ok(verdict)
    }

    /// Of parts that cannot run into each other.
    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses<MailboxKey>> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn right(&self) -> MutexGuard<'_, Dated<[u8; 32], ()>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_net::SeededEntropy;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_000);

    struct Scene {
        doorkeeper: Doorkeeper,
        grant: GrantId,
        stored: String,
    }

    impl Scene {
        async fn new() -> Self {
            let entropy = SeededEntropy::new(1);
            let stored = app_password::hash(&entropy, secret("Correct1Horse2Battery")).await.expect("hash");
            let grant = GrantId::new(NOW, entropy.ten());
            Self { doorkeeper: Doorkeeper::new(&entropy), grant, stored }
        }

        async fn look(&self, stored: Option<&str>, password: &str, now: UnixMicros) -> Verdict {
            let email = EmailAddress::parse("agent@acme.test").expect("address");
            let parties = self.doorkeeper.parties(Some(&email), Some("192.0.2.1".parse().expect("address")));
            let turn = self.doorkeeper.admit(parties, now).await.expect("places").expect("guesses left");
            let stored = stored.map(|stored| (self.grant, stored.to_owned()));
            self.doorkeeper.look(turn, stored, secret(password), now).await.expect("looked at")
        }
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_right_password_is_remembered_for_a_while_and_no_other() {
        let scene = Scene::new().await;
        let stored = Some(scene.stored.as_str());
        let right = "Correct1Horse2Battery";
        assert_eq!(scene.look(stored, right, NOW).await, Verdict::Right);
        let last = UnixMicros::from_micros(NOW.plus(REMEMBERED_FOR).as_micros() - 1);
        assert_eq!(scene.look(stored, right, last).await, Verdict::RightAgain);
        assert_eq!(scene.look(stored, "Correct1Horse2batterY", last).await, Verdict::Wrong);
        assert_eq!(scene.look(None, right, last).await, Verdict::Wrong);
        // To be shown again is no reason to be remembered longer.
        let over = NOW.plus(REMEMBERED_FOR);
        assert_eq!(scene.look(stored, right, over).await, Verdict::Right);
        assert_eq!(scene.look(stored, right, over).await, Verdict::RightAgain);
    }

    #[tokio::test]
    async fn a_password_that_was_changed_is_forgotten_at_once() {
        let scene = Scene::new().await;
        let right = "Correct1Horse2Battery";
        assert_eq!(scene.look(Some(&scene.stored), right, NOW).await, Verdict::Right);
        let changed = app_password::hash(&SeededEntropy::new(2), secret("Another1Horse2Battery")).await.expect("hash");
        assert_eq!(scene.look(Some(&changed), right, NOW).await, Verdict::Wrong);
        // The same password, stored anew: looked at once more.
        let again = app_password::hash(&SeededEntropy::new(3), secret(right)).await.expect("hash");
        assert_eq!(scene.look(Some(&again), right, NOW).await, Verdict::Right);
        // The same text is not the password of another mailbox.
        let other = GrantId::new(NOW, [7; 10]);
        let scene = Scene { grant: other, ..scene };
        assert_eq!(scene.look(Some(&again), right, NOW).await, Verdict::Right);
    }

    #[tokio::test]
    async fn strangers_that_wait_do_not_keep_the_known_waiting() {
        let scene = Scene::new().await;
        assert_eq!(scene.look(Some(&scene.stored), "Correct1Horse2Battery", NOW).await, Verdict::Right);
        let doorkeeper = &scene.doorkeeper;
        let mut flood = Vec::new();
        for number in 0..PLACES_MAX {
            if doorkeeper.places[0].available_permits() > 0 {
                let email = EmailAddress::parse(&format!("m{number}@acme.test")).expect("address");
                let parties = doorkeeper.parties(Some(&email), None);
                flood.push(doorkeeper.admit(parties, NOW).await.expect("places").expect("guesses left"));
            }
        }
        assert_eq!(doorkeeper.places[0].available_permits(), 0);
        assert_eq!(scene.look(Some(&scene.stored), "Correct1Horse2Battery", NOW).await, Verdict::RightAgain);
    }

    #[tokio::test]
    async fn parts_do_not_run_into_each_other() {
        let doorkeeper = Scene::new().await.doorkeeper;
        assert_ne!(doorkeeper.digest(&[b"ab", b"c"]), doorkeeper.digest(&[b"a", b"bc"]));
        assert_ne!(doorkeeper.digest(&[b"a"]), Doorkeeper::new(&SeededEntropy::new(9)).digest(&[b"a"]));
    }
}
