//! Doing once what is asked for more than once: requests under an `Idempotency-Key`, and the same message sent again.

use crate::problem::{Problem, ProblemKind};
use std::time::Duration;

/// How long the answer to a request under a key is kept.
pub const KEPT: Duration = Duration::from_secs(86_400);

/// Characters of a key.
pub const KEY_CHARS_MAX: usize = 256;

/// The code of a request that is under way already. The others below are final, this one is not.
pub const CONCURRENT: &str = "concurrent_idempotent_request";

/// The codes whose `error.type` on the wire is `api.` and the code: clients of the hosted service look for them.
pub const CODES: &[&str] = &["invalid_idempotency_key", "invalid_idempotent_request", CONCURRENT];

/// Reads a key as a header has it.
pub fn read_key(octets: &[u8]) -> Result<&str, Problem> {
    let key = std::str::from_utf8(octets).map_err(|_| invalid_key())?;
    if (1..=KEY_CHARS_MAX).contains(&key.chars().count()) { Ok(key) } else { Err(invalid_key()) }
}

/// The refusal of a key that is none.
pub fn invalid_key() -> Problem {
    let text = "Idempotency-Key must be 256 characters or fewer.";
    Problem {
        field: Some("Idempotency-Key".into()),
        ..Problem::new(ProblemKind::Invalid, "invalid_idempotency_key", text)
    }
}

/// The refusal of another request under a key that was used.
pub fn other_request() -> Problem {
    let text = "The Idempotency-Key was reused with a different request payload. Use a different key, or match the \
                original payload.";
    Problem::new(ProblemKind::Conflict, "invalid_idempotent_request", text)
}

/// The refusal of a request under a key of which another one is just being carried out.
pub fn concurrent() -> Problem {
    let text = "A request with the same Idempotency-Key is currently in progress. Wait a moment and retry with the same \
                key.";
    Problem::new(ProblemKind::Conflict, "concurrent_idempotent_request", text)
}

/// Whether a refusal is the answer to every repeat under its key, too: whatever may succeed later without anybody
/// changing the request is tried again instead.
pub fn is_kept(problem: &Problem) -> bool {
    !problem.is_retryable() && problem.kind != ProblemKind::Conflict && !CODES.contains(&problem.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_between_one_and_256_characters() {
        let longest = "ü".repeat(KEY_CHARS_MAX);
        assert_eq!(read_key(longest.as_bytes()).unwrap(), longest);
        assert_eq!(read_key(b"k").unwrap(), "k");
        for wrong in ["".to_owned(), format!("{longest}x")] {
            assert_eq!(read_key(wrong.as_bytes()).unwrap_err().code, "invalid_idempotency_key");
        }
        assert_eq!(read_key(&[0xff]).unwrap_err().code, "invalid_idempotency_key");
    }

    #[test]
    fn what_may_succeed_later_is_not_kept() {
        let of = |kind| is_kept(&Problem::new(kind, "x", "x"));
        for kind in ProblemKind::ALL {
            assert_eq!(of(*kind), !kind.is_retryable() && *kind != ProblemKind::Conflict, "{kind:?}");
        }
        assert!(!is_kept(&concurrent()) && !is_kept(&other_request()) && !is_kept(&invalid_key()));
        assert!(concurrent().is_retryable() && !other_request().is_retryable());
    }
}
