//! Whether a code or a refresh token may be exchanged for an access token (RFC 6749 §4.1.3 and §6, RFC 7636 §4.6).

use crate::id::ApplicationId;
use crate::pkce::{Challenge, Proof};
use crate::time::UnixMicros;

/// A code or a refresh token, as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// To which application.
    pub application_id: ApplicationId,
    /// The place to which a code was sent; whoever exchanges it must name it.
    pub redirect_uri: Option<String>,
    /// What the sign-in was begun with, if with something.
    pub challenge: Option<Challenge>,
    /// Whether its holder needs no secret: it was given to an application that can keep none.
    pub is_public: bool,
    /// Whether it was used, and may be used only once.
    pub is_used_up: bool,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMicros>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The application that says it was given to it.
    pub application_id: ApplicationId,
    /// Whether the application has shown a key of its own.
    pub has_secret: bool,
    /// The place that it names.
    pub redirect_uri: Option<&'a str>,
    /// The verifier that it sends.
    pub proof: Option<&'a Proof>,
    /// When.
    pub now: UnixMicros,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is exchanged.
    Granted,
    /// It is not.
    Refused,
    /// It would be, by an application that shows its key.
    SecretNeeded,
    /// It was used before: somebody else has it, too, so that all that it gave is taken back.
    Replayed,
}

/// Decides about an exchange.
pub fn judge(held: &Held, asked: &Asked<'_>) -> Verdict {
    if held.application_id != asked.application_id {
        return Verdict::Refused;
    }
    if held.is_used_up {
        return Verdict::Replayed;
    }
    let is_over = held.expires_at.is_some_and(|end| end <= asked.now);
    let is_elsewhere = held.redirect_uri.is_some() && held.redirect_uri.as_deref() != asked.redirect_uri;
    if is_over || is_elsewhere || !is_proven(held, asked) {
        return Verdict::Refused;
    }
    if asked.has_secret || held.is_public { Verdict::Granted } else { Verdict::SecretNeeded }
}

/// A verifier where none is expected is refused, too: somebody has taken the challenge out of the beginning.
fn is_proven(held: &Held, asked: &Asked<'_>) -> bool {
    match (&held.challenge, asked.proof) {
        (Some(challenge), Some(proof)) => challenge.is_met_by(proof),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkce::Method;

    fn application(number: u8) -> ApplicationId {
        ApplicationId::new(UnixMicros::from_micros(1), [number; 10])
    }

    fn code() -> Held {
        Held {
            application_id: application(1),
            redirect_uri: Some("https://app.test/back".into()),
            challenge: None,
            is_public: false,
            is_used_up: false,
            expires_at: Some(UnixMicros::from_seconds(10)),
        }
    }

    fn asked() -> Asked<'static> {
        Asked {
            application_id: application(1),
            has_secret: true,
            redirect_uri: Some("https://app.test/back"),
            proof: None,
            now: UnixMicros::from_seconds(9),
        }
    }

    #[test]
    fn a_code_is_bound_to_its_application_place_and_time() {
        assert_eq!(judge(&code(), &asked()), Verdict::Granted);
        for wrong in [
            Asked { application_id: application(2), ..asked() },
            Asked { redirect_uri: Some("https://app.test/back/"), ..asked() },
            Asked { redirect_uri: None, ..asked() },
            Asked { now: UnixMicros::from_seconds(10), ..asked() },
        ] {
            assert_eq!(judge(&code(), &wrong), Verdict::Refused, "{wrong:?}");
        }
        assert_eq!(judge(&code(), &Asked { has_secret: false, ..asked() }), Verdict::SecretNeeded);
    }

    #[test]
    fn a_second_use_is_told_from_a_wrong_one() {
        let used = Held { is_used_up: true, ..code() };
        assert_eq!(judge(&used, &asked()), Verdict::Replayed);
        assert_eq!(judge(&used, &Asked { now: UnixMicros::from_seconds(99), ..asked() }), Verdict::Replayed);
        assert_eq!(judge(&used, &Asked { application_id: application(2), ..asked() }), Verdict::Refused);
    }

    #[test]
    fn a_challenge_wants_its_verifier_and_then_no_secret() {
        let verifier = "v".repeat(43);
        let proof = |text: &str| Proof { verifier: text.to_owned(), digests: [String::new(), String::new()] };
        let (right, wrong) = (proof(&verifier), proof("other"));
        let bound = Held { challenge: Challenge::new(Method::Plain, &verifier), is_public: true, ..code() };
        let with = |proof| Asked { proof, has_secret: false, ..asked() };
        assert_eq!(judge(&bound, &with(Some(&right))), Verdict::Granted);
        assert_eq!(judge(&bound, &with(Some(&wrong))), Verdict::Refused);
        assert_eq!(judge(&bound, &Asked { has_secret: true, ..with(None) }), Verdict::Refused);
        assert_eq!(judge(&code(), &Asked { has_secret: true, ..with(Some(&right)) }), Verdict::Refused);
    }
}
