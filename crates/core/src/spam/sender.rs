//! What can be said of whoever sent a message: by what proves it, and by what passed between it and the mailbox before.

use super::SpamReason;
use crate::authentication::{AuthResult, Authentication};

/// The reasons for what authentication came to. What was not looked at says nothing.
pub fn of_authentication(found: &Authentication) -> Vec<SpamReason> {
    if found.is_local {
        return vec![SpamReason::new("written_here", -200, "a mailbox of this installation wrote it")];
    }
    if *found == Authentication::default() {
        return Vec::new();
    }
    let mut reasons = Vec::new();
    let mut add = |name: &str, score: i64, text: String| reasons.push(SpamReason::new(name, score, text));
    match found.spf.result {
        AuthResult::Fail => add("spf_fail", 150, "the client may not send for the envelope sender (SPF)".into()),
        AuthResult::Softfail => {
            add("spf_softfail", 70, "the client probably may not send for the envelope sender".into())
        }
        AuthResult::Permerror => add("spf_permerror", 30, "the SPF record of the envelope sender is broken".into()),
        _ => {}
    }
    let has_signature = found.dkim.iter().any(|one| one.result == AuthResult::Pass);
    if !has_signature && found.dkim.iter().any(|one| one.result == AuthResult::Fail) {
        add("dkim_fail", 50, "it has signatures, and none of them holds (DKIM)".into());
    }
    let policy = found.dmarc.policy.as_deref().unwrap_or("none");
    match found.dmarc.result {
        AuthResult::Pass => add("dmarc_pass", -20, "the author's domain vouches for it (DMARC)".into()),
        AuthResult::Fail => {
            let score = match policy {
                "reject" => 300,
                "quarantine" => 200,
                _ => 100,
            };
            add("dmarc_fail", score, format!("the author's domain does not vouch for it (DMARC, p={policy})"));
        }
        _ => {}
    }
    match found.iprev {
        AuthResult::Fail | AuthResult::Permerror => {
            add("iprev_fail", 70, "the client's address has no name that leads back to it".into());
        }
        _ => {}
    }
    if found.spf.result != AuthResult::Pass && !has_signature && found.dmarc.result != AuthResult::Pass {
        add("unauthenticated", 80, "nothing proves who sent it".into());
    }
    reasons
}

/// What passed between a mailbox and the author of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// The mailbox wrote to this address.
    pub has_written: bool,
    /// It answers a message of the mailbox: it names the Message-ID of one.
    pub is_reply: bool,
    /// Whoever reads the mailbox put mail of this address into junk, and did not take any out of it since.
    pub was_junk: bool,
    /// Whoever reads the mailbox took mail of this address out of junk, and put none into it since.
    pub was_rescued: bool,
    /// The author's domain is proved.
    pub is_proved: bool,
}

/// The reasons for what passed before. An address that is not proved may be anybody's: what speaks for it counts little
/// then, what speaks against it counts all the same.
pub fn of_history(history: &History) -> Vec<SpamReason> {
    let mut reasons = Vec::new();
    let mut add = |name: &str, score: i64, text: &str| reasons.push(SpamReason::new(name, score, text));
    let trusted = |score: i64| if history.is_proved { score } else { score / 4 };
    if history.is_reply {
        add("answers_us", -400, "it answers a message of this mailbox");
    }
    if history.has_written {
        add("written_to", trusted(-400), "this mailbox has written to the author");
    }
    if history.was_rescued {
        add("rescued_before", trusted(-300), "mail of the author was taken out of junk");
    }
    if history.was_junk {
        add("junk_before", 350, "mail of the author was put into junk");
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::{DkimResult, DmarcResult, SpfResult};

    fn authentication(spf: AuthResult, dkim: Option<AuthResult>, dmarc: AuthResult, policy: &str) -> Authentication {
        Authentication {
            spf: SpfResult { result: spf, ..SpfResult::default() },
            dkim: dkim.map(|result| DkimResult { result, ..DkimResult::default() }).into_iter().collect(),
            dmarc: DmarcResult { result: dmarc, policy: Some(policy.to_owned()), ..DmarcResult::default() },
            ..Authentication::default()
        }
    }

    fn names(reasons: &[SpamReason]) -> Vec<(&str, i64)> {
        reasons.iter().map(|reason| (reason.name.as_str(), reason.hundredths())).collect()
    }

    #[test]
    fn authentication_speaks_for_and_against() {
        use AuthResult::{Fail, None as Nothing, Pass, Softfail};
        for (found, expected) in [
            (Authentication::default(), vec![]),
            (Authentication { is_local: true, ..Authentication::default() }, vec![("written_here", -200)]),
            (authentication(Pass, Some(Pass), Pass, "reject"), vec![("dmarc_pass", -20)]),
            (authentication(Pass, None, Nothing, "none"), vec![]),
            (
                authentication(Fail, Some(Fail), Fail, "reject"),
                vec![("spf_fail", 150), ("dkim_fail", 50), ("dmarc_fail", 300), ("unauthenticated", 80)],
            ),
            (authentication(Softfail, Some(Pass), Fail, "quarantine"), vec![("spf_softfail", 70), ("dmarc_fail", 200)]),
            (authentication(Pass, None, Fail, "none"), vec![("dmarc_fail", 100)]),
            (
                Authentication { iprev: Fail, ..authentication(Pass, Some(Pass), Pass, "none") },
                vec![("dmarc_pass", -20), ("iprev_fail", 70)],
            ),
        ] {
            assert_eq!(names(&of_authentication(&found)), expected, "{found:?}");
        }
    }

    #[test]
    fn who_is_not_proved_gets_little_for_the_past_of_another() {
        let known = History { has_written: true, was_rescued: true, ..History::default() };
        assert_eq!(names(&of_history(&known)), [("written_to", -100), ("rescued_before", -75)]);
        let proved = History { is_proved: true, ..known };
        assert_eq!(names(&of_history(&proved)), [("written_to", -400), ("rescued_before", -300)]);
        let junk = History { was_junk: true, is_reply: true, ..History::default() };
        assert_eq!(names(&of_history(&junk)), [("answers_us", -400), ("junk_before", 350)]);
    }
}
