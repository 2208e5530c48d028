//! Signing in (RFC 4954): only on an encrypted connection, once, and not within a transaction.

use super::config::Service;
use super::session::{Breach, Line, Phase, Session, Step};
use crate::smtp::reply::{Reply, Severity};
use crate::smtp::sasl::{AUTH_LINE_OCTETS_MAX, Awaited, Progress};
use postfleet_core::{EmailAddress, Secret};

impl Session {
    /// AUTH, with its arguments.
    pub(super) fn auth(&mut self, arguments: &Secret<String>) -> Option<Step> {
        let mut words = arguments.expose().split(' ').filter(|word| !word.is_empty());
        let (mechanism, response, more) = (words.next(), words.next(), words.next());
        if let Some(reply) = self.auth_refusal(mechanism.is_none() || more.is_some()) {
            return self.decline(reply);
        }
        let Some(awaited) = mechanism.and_then(Awaited::of_mechanism) else {
            return self.decline(Reply::unknown_mechanism());
        };
        match response {
            // RFC 4954 §4: "=" is an initial response of no octets.
            Some("=") => self.answer(awaited, b""),
            Some(response) => {
                let response = response.as_bytes().to_vec();
                self.answer(awaited, &response)
            }
            None => self.challenge(awaited),
        }
    }

    /// Why nobody may sign in here and now.
    fn auth_refusal(&self, is_malformed: bool) -> Option<Reply> {
        if self.config.service != Service::Submission {
            return Some(Reply::not_implemented());
        }
        if !self.tls {
            return Some(Reply::authentication_needs_tls());
        }
        if !self.client.as_ref().is_some_and(|client| client.esmtp) {
            return Some(Reply::bad_sequence("say EHLO first"));
        }
        if self.account.is_some() {
            return Some(Reply::bad_sequence("you have signed in already"));
        }
        if self.transaction.is_some() {
            return Some(Reply::bad_sequence("there is a sender already"));
        }
        is_malformed.then(|| Reply::bad_arguments("say AUTH and a mechanism"))
    }

    /// The next line of an exchange.
    pub(super) fn auth_response(&mut self) -> Option<Step> {
        let line = match self.next_line(AUTH_LINE_OCTETS_MAX) {
            Line::Incomplete => return Some(Step::NeedInput),
            Line::Refused(reply) => return self.close_for(Breach::Line, reply),
            Line::Complete(line) => self.line(line).to_vec(),
        };
        if !self.unread().is_empty() {
            // RFC 4954 §4: the answer must be seen first.
            return self.close_for(Breach::Pipelining, Reply::spoke_too_early());
        }
        self.begin_prompt(Breach::Pipelining);
        let Phase::Authentication(awaited) = std::mem::replace(&mut self.phase, Phase::Command) else { return None };
        if line == b"*" {
            return self.decline(Reply::authentication_cancelled());
        }
        self.answer(awaited, &line)
    }

    fn answer(&mut self, awaited: Awaited, response: &[u8]) -> Option<Step> {
        match awaited.answered(response) {
            Ok(Progress::Await(awaited)) => self.challenge(awaited),
            Ok(Progress::Complete(credentials)) if self.refused.as_ref() == Some(&credentials) => {
                // Many clients try one mechanism after the other. To say the same again is no further guess.
                self.refuse_authentication(Reply::authentication_failed());
                None
            }
            Ok(Progress::Complete(credentials)) => {
                self.phase = Phase::Verdict(credentials.clone());
                Some(Step::Authenticate(credentials))
            }
            Err(reply) if reply.code() == 501 => self.decline(reply),
            Err(reply) => {
                self.refuse_authentication(reply);
                None
            }
        }
    }

    fn challenge(&mut self, awaited: Awaited) -> Option<Step> {
        if !self.unread().is_empty() {
            // RFC 4954 §3: with a challenge to come, AUTH is the last of a group.
            return self.close_for(Breach::Pipelining, Reply::spoke_too_early());
        }
        self.begin_prompt(Breach::Pipelining);
        self.reply(Reply::challenge(awaited.challenge()));
        self.phase = Phase::Authentication(awaited);
        None
    }

    /// Answers [`Step::Authenticate`]: with the account's own address, or with a refusal.
    pub fn authentication_verdict(&mut self, verdict: Result<EmailAddress, Reply>) {
        if !matches!(self.phase, Phase::Verdict(_)) {
            return;
        }
        let Phase::Verdict(credentials) = std::mem::replace(&mut self.phase, Phase::Command) else { return };
        match verdict {
            Ok(address) => {
                self.account = Some(address);
                self.reply(Reply::authenticated());
            }
            Err(reply) => {
                self.refused = (reply.severity() == Severity::Permanent).then_some(credentials);
                self.refuse_authentication(reply);
            }
        }
        self.close_if_due();
    }

    /// Says no, and ends the session when it was one guess too many, whether or not the guess was looked at.
    fn refuse_authentication(&mut self, reply: Reply) {
        self.failures += 1;
        self.pass_on(reply);
        if self.failures >= self.config.limits.authentication_failures && !matches!(self.phase, Phase::Closed) {
            self.close_for(Breach::SignIns, Reply::too_many_failed_authentications());
        }
    }
}
