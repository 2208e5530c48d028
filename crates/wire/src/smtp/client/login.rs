//! Signing in at a relay (RFC 4954): PLAIN where it is offered, else LOGIN. A password leaves only on an encrypted
//! connection, unless somebody has said that this one is as good.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postfleet_core::Secret;

/// Who we are to a relay.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password. It is never logged, and never part of an error.
    pub password: Secret<String>,
    /// Whether the password may be said on a connection in the clear: to a server on the same machine.
    pub in_clear: bool,
}

/// Ways that a server offers, of those that we know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mechanisms {
    plain: bool,
    login: bool,
}

impl Mechanisms {
    pub(super) fn add(&mut self, word: &str) {
        self.plain |= word.eq_ignore_ascii_case("PLAIN");
        self.login |= word.eq_ignore_ascii_case("LOGIN");
    }
}

/// How far signing in has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mechanism {
    /// Everything was said with the command (RFC 4616).
    Plain,
    /// The name is asked for next.
    LoginName,
    /// The password is asked for next.
    LoginPassword,
    /// Everything was said.
    LoginEnd,
}

impl Login {
    /// The command to begin with. `None` if there is no way that may be used.
    pub(super) fn begin(&self, offered: Mechanisms, is_encrypted: bool) -> Option<(Mechanism, String)> {
        if !is_encrypted && !self.in_clear {
            return None;
        }
        if offered.plain {
            let said = format!("\0{}\0{}", self.username, self.password.expose());
            return Some((Mechanism::Plain, format!("AUTH PLAIN {}\r\n", STANDARD.encode(said))));
        }
        offered.login.then(|| (Mechanism::LoginName, "AUTH LOGIN\r\n".to_owned()))
    }

    /// What is said when the server asks for more. What it asks for is not looked at: the order is always the same.
    pub(super) fn go_on(&self, mechanism: Mechanism) -> Option<(Mechanism, String)> {
        let line = |text: &str| format!("{}\r\n", STANDARD.encode(text));
        match mechanism {
            Mechanism::LoginName => Some((Mechanism::LoginPassword, line(&self.username))),
            Mechanism::LoginPassword => Some((Mechanism::LoginEnd, line(self.password.expose()))),
            Mechanism::Plain | Mechanism::LoginEnd => None,
        }
    }
}
