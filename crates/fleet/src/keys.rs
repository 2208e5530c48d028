//! API keys: how they look, and the keyed hash under which alone they are stored.

pub mod capabilities;
pub mod manage;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::id::{ApplicationId, KeyId};
use postfleet_core::return_path::ReturnPaths;
use postfleet_core::unsubscribe_address::UnsubscribeAddresses;
use postfleet_core::{Problem, ProblemKind, Secret, UnixMicros};
use postfleet_net::Entropy;
use postfleet_store::Store;
use postfleet_store::keys::{self as store_keys, Credential, NewKey, NoteUse, SEEN_EVERY};
use std::sync::Arc;

/// Whom a key speaks for; shown by its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// An application in production.
    Live,
    /// An application in the sandbox.
    Test,
    /// The operator.
    Operator,
}

impl KeyKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "pf_live_",
            Self::Test => "pf_test_",
            Self::Operator => "pf_op_",
        }
    }

    /// The kind of key that an application of that environment has.
    pub fn of_environment(environment: &str) -> Self {
        if environment == "sandbox" { Self::Test } else { Self::Live }
    }
}

/// Makes a key of 256 random bits. It is shown once and never stored.
pub fn generate(kind: KeyKind, entropy: &dyn Entropy) -> Secret<String> {
    Secret::new(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(entropy.thirty_two())))
}

/// Characters of a key that its hint shows: the prefix and a little more.
const HINT_CHARS: usize = 12;

/// A key as the store gets it: with everything that its holder may do, and without the key itself.
pub fn unlimited(
    hasher: &KeyHasher,
    entropy: &dyn Entropy,
    now: UnixMicros,
    name: &str,
    application_id: Option<ApplicationId>,
    key: &Secret<String>,
) -> NewKey {
    NewKey::unlimited(KeyId::new(now, entropy.ten()), application_id, name, hasher.hash(key.expose()), hint(key))
}

/// How a key begins.
fn hint(key: &Secret<String>) -> String {
    key.expose().chars().take(HINT_CHARS).collect()
}

/// The secret of the installation under which keys are hashed, so that a stolen database gives no way to test guesses.
#[derive(Clone)]
pub struct KeyHasher(Secret<[u8; 32]>);

/// Characters of the mark of a count of answers: 96 bits.
const HOP_MARK_CHARS: usize = 24;

impl KeyHasher {
    /// From the installation's secret.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(Secret::new(secret))
    }

    /// A key of its own for a purpose, which says nothing about the secret or about the key of another purpose.
    pub(crate) fn derive(&self, purpose: &'static str) -> [u8; 32] {
        blake3::derive_key(purpose, self.0.expose())
    }

    /// The return paths of this installation's messages.
    pub fn return_paths(&self) -> ReturnPaths {
        ReturnPaths::new(self.derive("postfleet return path 1"))
    }

    /// Under which words are hashed that applications learn.
    pub fn spam_words(&self) -> [u64; 2] {
        let key = self.derive("postfleet spam words 1");
        let word = |at: usize| key[at..at + 8].iter().fold(0, |word, octet| word << 8 | u64::from(*octet));
        [word(0), word(8)]
    }

    /// The addresses to unsubscribe at that this installation's messages have.
    pub fn unsubscribe_addresses(&self) -> UnsubscribeAddresses {
        UnsubscribeAddresses::new(self.derive("postfleet unsubscribe address 1"))
    }

    /// The mark of a count of answers, and of when it was counted, in a message: who is not of this installation cannot make one.
    pub fn hop_mark(&self, (count, at): (u64, i64), message_id: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.derive("postfleet count of answers 1"));
        hasher.update(&count.to_le_bytes()).update(&at.to_le_bytes());
        let hash = hasher.update(message_id.as_bytes()).finalize();
        hash.to_hex()[..HOP_MARK_CHARS].to_owned()
    }

    /// Whether a mark is the one of this count in this message.
    pub fn is_hop_mark(&self, mark: &str, counted: (u64, i64), message_id: &str) -> bool {
        let own = self.hop_mark(counted, message_id);
        // In constant time: all characters are looked at.
        own.len() == mark.len() && own.bytes().zip(mark.bytes()).fold(0, |other, (a, b)| other | (a ^ b)) == 0
    }

    /// The hash under which a key is stored. Keys have 256 random bits, so a fast hash is right; and since the store
    /// is asked for the hash and not for the key, how long the answer takes says nothing about the key.
    pub fn hash(&self, key: &str) -> [u8; 32] {
        *blake3::keyed_hash(self.0.expose(), key.as_bytes()).as_bytes()
    }
}

/// Finds out whom the key in an `Authorization` header speaks for. That it was seen is noted once a minute, and no
/// request waits for that.
pub async fn authenticate(
    store: &Store,
    hasher: &KeyHasher,
    now: UnixMicros,
    key: &str,
) -> Result<Arc<Credential>, Problem> {
    authenticate_hash(store, now, &hasher.hash(key)).await
}

/// The same by the hash of the key, for who has come with it before and is still there.
pub async fn authenticate_hash(store: &Store, now: UnixMicros, hash: &[u8; 32]) -> Result<Arc<Credential>, Problem> {
    let found = store_keys::find_known(store, hash).await?;
    let is_valid = |credential: &Arc<Credential>| {
        credential.revoked_at.is_none() && credential.expires_at.is_none_or(|end| end > now)
    };
    let credential = found.filter(is_valid).ok_or_else(unauthenticated)?;
    if credential.last_used_at.is_none_or(|last| now.since(last) >= SEEN_EVERY) {
        let (id, at) = (credential.key_id, now);
        // The same key always goes the same way, so that no two notes of it wait for each other.
        store.run_later(u64::from(id.uuid().as_bytes()[15]), NoteUse { id, at });
    }
    Ok(credential)
}

/// The refusal of a missing or unknown key.
pub fn unauthenticated() -> Problem {
    Problem::new(ProblemKind::Unauthenticated, "invalid_api_key", "Unauthorized: Invalid API key.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_net::SeededEntropy;

    #[test]
    fn keys_differ_and_their_hashes_depend_on_the_installation() {
        let entropy = SeededEntropy::new(1);
        let (one, two) = (generate(KeyKind::Live, &entropy), generate(KeyKind::Live, &entropy));
        assert_ne!(one.expose(), two.expose());
        assert!(one.expose().starts_with("pf_live_") && one.expose().len() == 8 + 43);
        let (here, there) = (KeyHasher::new([1; 32]), KeyHasher::new([2; 32]));
        assert_eq!(here.hash(one.expose()), here.hash(one.expose()));
        assert_ne!(here.hash(one.expose()), there.hash(one.expose()));
    }
}
