//! The two SASL mechanisms by which mail clients show a password: PLAIN (RFC 4616), and LOGIN, which was never
//! standardised and which many clients know alone. Both are for encrypted connections only.

use super::reply::Reply;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postfleet_core::Secret;

/// Octets of a line of AUTH or of a response, with its CRLF (RFC 4954 §4).
pub const AUTH_LINE_OCTETS_MAX: usize = 12_288;

/// What the client shows to be let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// Who it says that it is, as it was written.
    pub identity: String,
    /// The password.
    pub password: Secret<String>,
}

/// What is to come from the client in an exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// The one message of PLAIN.
    Plain,
    /// The name of LOGIN.
    LoginName,
    /// The password of LOGIN, after the name.
    LoginPassword(String),
}

/// What a response leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// More has to come.
    Await(Awaited),
    /// All is there.
    Complete(Credentials),
}

impl Awaited {
    /// What the mechanism of that name begins with.
    pub(super) fn of_mechanism(name: &str) -> Option<Self> {
        match name {
            _ if name.eq_ignore_ascii_case("PLAIN") => Some(Self::Plain),
            _ if name.eq_ignore_ascii_case("LOGIN") => Some(Self::LoginName),
            _ => None,
        }
    }

    /// The challenge that asks for it, in base64. PLAIN's is empty; clients compare LOGIN's letter by letter.
    pub(super) fn challenge(&self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::LoginName => "VXNlcm5hbWU6",
            Self::LoginPassword(_) => "UGFzc3dvcmQ6",
        }
    }

    /// Takes a response, as it came.
    pub(super) fn answered(self, response: &[u8]) -> Result<Progress, Reply> {
        let text = STANDARD.decode(response).ok().and_then(|octets| String::from_utf8(octets).ok());
        let text = text.ok_or_else(Reply::bad_authentication)?;
        match self {
            Self::Plain => plain(&text).map(Progress::Complete),
            Self::LoginName if text.is_empty() => Err(Reply::bad_authentication()),
            Self::LoginName => Ok(Progress::Await(Self::LoginPassword(text))),
            Self::LoginPassword(identity) => {
                Ok(Progress::Complete(Credentials { identity, password: Secret::new(text) }))
            }
        }
    }
}

/// `[authzid] NUL authcid NUL passwd`. Nobody acts for somebody else here, so an authzid must say the same again.
fn plain(text: &str) -> Result<Credentials, Reply> {
    let mut parts = text.split('\0');
    let (Some(acts_as), Some(identity), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Reply::bad_authentication());
    };
    if identity.is_empty() {
        return Err(Reply::bad_authentication());
    }
    if !acts_as.is_empty() && !acts_as.eq_ignore_ascii_case(identity) {
        return Err(Reply::authentication_failed());
    }
    Ok(Credentials { identity: identity.to_owned(), password: Secret::new(password.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(awaited: Awaited, text: &str) -> Result<Progress, u16> {
        awaited.answered(STANDARD.encode(text).as_bytes()).map_err(|reply| reply.code())
    }

    fn complete(identity: &str, password: &str) -> Result<Progress, u16> {
        let password = Secret::new(password.to_owned());
        Ok(Progress::Complete(Credentials { identity: identity.to_owned(), password }))
    }

    #[test]
    fn plain_has_three_parts() {
        assert_eq!(answered(Awaited::Plain, "\0a@b\0pass word"), complete("a@b", "pass word"));
        assert_eq!(answered(Awaited::Plain, "A@b\0a@b\0x"), complete("a@b", "x"));
        assert_eq!(answered(Awaited::Plain, "\0a@b\0"), complete("a@b", ""));
        assert_eq!(answered(Awaited::Plain, "c@d\0a@b\0x"), Err(535));
        for bad in ["", "a@b", "a@b\0x", "\0\0x", "\0a@b\0x\0", "\0a@b\0x\0y"] {
            assert_eq!(answered(Awaited::Plain, bad), Err(501), "{bad:?}");
        }
    }

    #[test]
    fn login_asks_twice() {
        assert_eq!(STANDARD.decode(Awaited::LoginName.challenge()).unwrap(), b"Username:");
        let second = Awaited::LoginPassword("a@b".to_owned());
        assert_eq!(STANDARD.decode(second.challenge()).unwrap(), b"Password:");
        assert_eq!(answered(Awaited::LoginName, "a@b"), Ok(Progress::Await(second.clone())));
        assert_eq!(answered(second, "x"), complete("a@b", "x"));
        assert_eq!(answered(Awaited::LoginName, ""), Err(501));
    }

    #[test]
    fn only_base64_of_utf8_is_read() {
        for bad in [&b"%%%%"[..], b"YQ", b"YQ=", b"Y Q==", b"/w==", b"\xff"] {
            assert_eq!(Awaited::LoginName.answered(bad).map_err(|reply| reply.code()), Err(501), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_response_is_taken_or_refused(response in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Awaited::Plain.answered(&response);
            let _ = Awaited::Plain.answered(STANDARD.encode(&response).as_bytes());
        }
    }
}
