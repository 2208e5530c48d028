//! The password with which a mail client signs in to one mailbox: what it must be like, and the slow hash under which
//! alone it is stored.

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use postfleet_core::{Problem, Secret};
use postfleet_net::Entropy;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Characters of a password.
const CHARS: std::ops::RangeInclusive<usize> = 18..=40;

/// Memory in KiB and rounds of the hash: OWASP's second setting for Argon2id (19 MiB, 2 rounds, 1 lane).
const MEMORY_KIB: u32 = 19 * 1_024;
const ROUNDS: u32 = 2;

/// Passwords stored at once in the process: each takes a processor and its memory, whoever asks for it.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// What is looked at where no password is stored: of the same cost, and never right.
const NONE: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Refuses a password that is not 18 to 40 printable ASCII characters with an upper-case letter, a lower-case letter
/// and a digit.
pub fn check(password: &str) -> Result<(), Problem> {
    let refuse =
        |what: &str| Err(Problem::invalid("settings.app_password", format!("settings.app_password must {what}")));
    if !CHARS.contains(&password.chars().count()) {
        return refuse("be 18 to 40 characters long");
    }
    if !password.bytes().all(|byte| (33..=126).contains(&byte)) {
        return refuse("be of printable ASCII characters without spaces");
    }
    let has = |is: fn(&u8) -> bool| password.as_bytes().iter().any(is);
    if !(has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)) {
        return refuse("have an upper-case letter, a lower-case letter and a digit");
    }
    Ok(())
}

/// The text under which a password is stored (PHC string of Argon2id). Takes tens of milliseconds on purpose, away from
/// the threads that answer requests.
pub async fn hash(entropy: &dyn Entropy, password: Secret<String>) -> Result<String, Problem> {
    let salt = entropy.sixteen();
    let _place = AT_ONCE.acquire().await.map_err(Problem::internal)?;
    let hashed = tokio::task::spawn_blocking(move || hash_now(password.expose(), &salt));
    hashed.await.map_err(Problem::internal)?
}

fn hash_now(password: &str, salt: &[u8; 16]) -> Result<String, Problem> {
    let hash = argon2()?.hash_password_with_salt(password.as_bytes(), salt).map_err(Problem::internal)?;
    Ok(hash.to_string())
}

/// Whether `password` is the one stored as `hash`. Without a hash it takes as long and is false, so that the time tells
/// nothing about whether there is a mailbox. The place is taken until it is known, even if nobody waits for it any more.
pub(crate) async fn verify(
    hash: Option<String>,
    password: Secret<String>,
    place: OwnedSemaphorePermit,
) -> Result<bool, Problem> {
    let verified = tokio::task::spawn_blocking(move || {
        let is_right = verify_now(hash.as_deref().unwrap_or(NONE), password.expose());
        drop(place);
        is_right.map(|is_right| is_right && hash.is_some())
    });
    verified.await.map_err(Problem::internal)?
}

fn verify_now(hash: &str, password: &str) -> Result<bool, Problem> {
    let hash = PasswordHash::new(hash).map_err(Problem::internal)?;
    Ok(argon2()?.verify_password(password.as_bytes(), &hash).is_ok())
}

fn argon2() -> Result<Argon2<'static>, Problem> {
    let params = Params::new(MEMORY_KIB, ROUNDS, 1, None).map_err(Problem::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_net::SeededEntropy;
    use std::sync::Arc;

    #[test]
    fn the_documented_rules_at_their_edges() {
        let of = |chars: usize| format!("Aa1{}", "x".repeat(chars - 3));
        assert!(check(&of(18)).is_ok() && check(&of(40)).is_ok());
        assert!(check(&of(17)).is_err() && check(&of(41)).is_err());
        for bad in [
            "aaaaaaaaaaaaaaaaa1",
            "AAAAAAAAAAAAAAAAA1",
            "Aaaaaaaaaaaaaaaaaa",
            "Aa1 aaaaaaaaaaaaaaa",
            "Aa1äaaaaaaaaaaaaaaa",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn only_the_password_itself_is_verified() {
        let entropy = SeededEntropy::new(1);
        let secret = |text: &str| Secret::new(text.to_owned());
        let verify = async |hash, password| {
            let place = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("open");
            super::verify(hash, password, place).await
        };
        let hashed = hash(&entropy, secret("Correct1Horse2Battery")).await.unwrap();
        assert!(hashed.starts_with("$argon2id$") && !hashed.contains("Correct1"));
        assert!(verify(Some(hashed.clone()), secret("Correct1Horse2Battery")).await.unwrap());
        assert!(!verify(Some(hashed), secret("Correct1Horse2batterY")).await.unwrap());
        assert!(!verify(None, secret("Correct1Horse2Battery")).await.unwrap());
    }

    #[test]
    fn what_is_looked_at_for_nobody_costs_the_same() {
        let stored = hash_now("Correct1Horse2Battery", &[1; 16]).expect("hash");
        let (of_somebody, of_nobody) =
            (PasswordHash::new(&stored).expect("PHC"), PasswordHash::new(NONE).expect("PHC"));
        assert_eq!((of_nobody.algorithm, of_nobody.version), (of_somebody.algorithm, of_somebody.version));
        assert_eq!(of_nobody.params, of_somebody.params);
        assert_eq!(stored.len(), NONE.len());
        assert!(!verify_now(NONE, "Correct1Horse2Battery").expect("verified"));
    }
}
