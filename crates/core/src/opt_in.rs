//! Double opt-in: somebody is asked by mail whether they want mail for a purpose, and says so on a page. What the words
//! are that they agree to, what a request becomes, and how often they may be asked.

use crate::address::EmailAddress;
use crate::problem::{Exhausted, Problem, ProblemKind};
use crate::suppression::Reason;
use crate::time::UnixMicros;
use std::time::Duration;

/// Characters of a purpose.
pub const PURPOSE_CHARS_MAX: usize = 500;
/// Characters of an address of a page, of the caller's or of ours.
pub const URL_CHARS_MAX: usize = 2_048;
/// Characters that are kept of what a program calls itself.
pub const USER_AGENT_CHARS_MAX: usize = 512;
/// How long the link of a request may be followed.
pub const LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// Mails about one purpose that go to one address within [`LIFETIME`].
pub const MAILS_MAX: usize = 3;
/// Mails about whatever purpose that go to one address within [`LIFETIME`]: purposes are easily made up.
pub const MAILS_TO_ADDRESS_MAX: usize = 10;
/// How far apart two mails about one purpose to one address are.
pub const MAILS_APART: Duration = Duration::from_secs(600);

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nobody has said anything.
    Pending,
    /// They want the mail.
    Confirmed,
    /// It was not them, or they do not want it.
    Declined,
    /// It holds no more: taken back by the application, or by what the reader said later.
    Withdrawn,
    /// Its mail never left: it was held, and was rejected, taken back, or waited for too long. Nobody was asked.
    NotSent,
    /// Nobody said anything in time. Never stored: it follows from the time.
    Expired,
}

impl State {
    /// The words for all of them.
    pub const NAMES: &'static [&'static str] =
        &["pending", "confirmed", "declined", "withdrawn", "not_sent", "expired"];

    /// Its word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Declined => "declined",
            Self::Withdrawn => "withdrawn",
            Self::NotSent => "not_sent",
            Self::Expired => "expired",
        }
    }

    /// The state of that word.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Pending, Self::Confirmed, Self::Declined, Self::Withdrawn, Self::NotSent, Self::Expired];
        all.into_iter().find(|state| state.name() == name)
    }

    /// What it is at `now`.
    pub fn at(self, now: UnixMicros, asked_at: UnixMicros) -> Self {
        match self {
            Self::Pending if asked_at.plus(LIFETIME) <= now => Self::Expired,
            state => state,
        }
    }
}

/// What the reader says on the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Say {
    /// That they want the mail.
    Yes,
    /// That it was not them.
    No,
}

/// What a request becomes when its reader says something; `None` if it stays what it is. Only what still waits is
/// confirmed. That it was not them they may say whenever they find out.
pub fn after(state: State, say: Say) -> Option<State> {
    match (say, state) {
        (Say::Yes, State::Pending) => Some(State::Confirmed),
        (Say::Yes, _) | (Say::No, State::Declined) => None,
        (Say::No, _) => Some(State::Declined),
    }
}

/// Whether what somebody says ends every agreement of theirs: only by hand may they be asked again.
pub const fn ends_agreement(reason: Reason) -> bool {
    matches!(reason, Reason::Complaint | Reason::Unsubscribe)
}

/// Whether an address may be asked once more about a purpose. `asked` is when it was asked lately, newest first, each with
/// whether it was about the same purpose.
pub fn may_ask(asked: &[(UnixMicros, bool)], now: UnixMicros) -> Result<(), Problem> {
    let lately: Vec<&(UnixMicros, bool)> = asked.iter().filter(|(at, _)| at.plus(LIFETIME) > now).collect();
    let same: Vec<UnixMicros> = lately.iter().filter(|(_, is_same)| *is_same).map(|(at, _)| *at).collect();
    let nth = |times: &[UnixMicros], count: usize| times.get(count - 1).map(|at| at.plus(LIFETIME));
    let all: Vec<UnixMicros> = lately.iter().map(|(at, _)| *at).collect();
    let within = LIFETIME.as_secs() / 86_400;
    if let Some(until) = nth(&same, MAILS_MAX) {
        let text = format!("an address is asked at most {MAILS_MAX} times in {within} days about one purpose");
        return Err(asked_too_often(text, (MAILS_MAX, same.len()), until));
    }
    if let Some(until) = nth(&all, MAILS_TO_ADDRESS_MAX) {
        let text = format!("an address is asked at most {MAILS_TO_ADDRESS_MAX} times in {within} days");
        return Err(asked_too_often(text, (MAILS_TO_ADDRESS_MAX, all.len()), until));
    }
    if let Some(until) = same.first().map(|at| at.plus(MAILS_APART)).filter(|until| *until > now) {
        let text = format!("an address is asked once in {} minutes about one purpose", MAILS_APART.as_secs() / 60);
        return Err(asked_too_often(text, (1, 1), until));
    }
    Ok(())
}

fn asked_too_often(text: String, (limit, used): (usize, usize), until: UnixMicros) -> Problem {
    let exhausted = Exhausted { scope: "application", limit: limit as u64, used: used as u64, resets_at: Some(until) };
    Problem {
        field: Some("email".into()),
        exhausted: Some(Box::new(exhausted)),
        ..Problem::new(ProblemKind::OverQuota, "opt_in_limit_exceeded", text)
    }
}

/// The refusal to ask somebody who said that it was not them.
pub fn declined() -> Problem {
    let text = "whoever reads this address said that it was not them: they are not asked about this purpose again";
    Problem { field: Some("email".into()), ..Problem::new(ProblemKind::Forbidden, "opt_in_declined", text) }
}

/// The refusal to ask an address that is not written to.
pub fn suppressed(address: &EmailAddress, reason: Reason) -> Problem {
    let text = format!("{address} is suppressed ({}), so that it is not asked either", reason.name());
    Problem { field: Some("email".into()), ..Problem::new(ProblemKind::Forbidden, "opt_in_suppressed", text) }
}

/// The refusal of a send to recipients who have not confirmed that they want it.
pub fn not_confirmed(recipients: &[EmailAddress]) -> Problem {
    let named = recipients.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let text = format!("these recipients have not confirmed that they want mail for the purpose: {named}");
    Problem { field: Some("require_opt_in".into()), ..Problem::new(ProblemKind::Forbidden, "no_opt_in", text) }
}

/// The words that the reader agrees to, as the mail and the page have them and the record keeps them.
pub fn words(sender: &str, address: &EmailAddress, purpose: &str) -> String {
    format!("I agree that {sender} may send e-mail to {address} for this purpose: {purpose}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> UnixMicros {
        UnixMicros::from_seconds(1_800_000_000).plus(Duration::from_secs(minutes * 60))
    }

    #[test]
    fn states_are_found_again_and_end_by_the_time_alone() {
        for name in State::NAMES {
            assert_eq!(State::named(name).map(State::name), Some(*name));
        }
        let end = at(0).plus(LIFETIME);
        let just_before = UnixMicros::from_micros(end.as_micros() - 1);
        assert_eq!(State::Pending.at(just_before, at(0)), State::Pending);
        assert_eq!(State::Pending.at(end, at(0)), State::Expired);
        assert_eq!(State::Confirmed.at(end, at(0)), State::Confirmed);
    }

    #[test]
    fn only_what_waits_is_confirmed_and_no_is_heard_always() {
        use State::{Confirmed, Declined, Expired, Pending, Withdrawn};
        let states = [Pending, Confirmed, Declined, Withdrawn, Expired];
        assert_eq!(states.map(|state| after(state, Say::Yes)), [Some(Confirmed), None, None, None, None]);
        let no = Some(Declined);
        assert_eq!(states.map(|state| after(state, Say::No)), [no, no, None, no, no]);
    }

    #[test]
    fn nobody_is_asked_too_often() {
        let code = |asked: &[(UnixMicros, bool)], now| may_ask(asked, now).map_err(|problem| problem.exhausted);
        let until = |minutes| at(minutes);
        assert_eq!(code(&[], at(0)), Ok(()));
        let refused = code(&[(at(0), true)], at(9)).unwrap_err().unwrap();
        assert_eq!((refused.limit, refused.resets_at), (1, Some(until(10))));
        assert_eq!(code(&[(at(0), true)], at(10)), Ok(()));
        assert_eq!(code(&[(at(0), false)], at(1)), Ok(()), "another purpose");
        let thrice = [(at(40), true), (at(20), true), (at(0), true)];
        let refused = code(&thrice, at(60)).unwrap_err().unwrap();
        assert_eq!((refused.limit, refused.used, refused.resets_at), (3, 3, Some(at(0).plus(LIFETIME))));
        assert_eq!(code(&thrice, at(0).plus(LIFETIME)), Ok(()));
        let others = vec![(at(0), false); MAILS_TO_ADDRESS_MAX];
        assert_eq!(code(&others, at(1)).unwrap_err().unwrap().limit, 10);
        assert_eq!(code(&others[1..], at(1)), Ok(()));
    }
}
