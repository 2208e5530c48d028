//! What is made of a message for each mailbox that it goes to. What is the same for all of them is found out once, and what
//! no policy wants is not asked.

use super::Arrival;
use crate::platform::Platform;
use crate::spam::{Listed, RspamdMode, ask_lists, ask_rspamd, look_at, model_of};
use postfleet_core::Problem;
use postfleet_core::authentication::Authentication;
use postfleet_core::spam::{
    History, SpamReason, SpamVerdict, Trained, decide, of_authentication, of_history, of_lists,
};
use postfleet_mail::message::Parsed;
use postfleet_mail::spam::Looked;
use postfleet_store::Reader;
use postfleet_store::acquaintance::Acquaintance;
use postfleet_store::grants::Mailbox;

/// What is the same for all mailboxes.
#[derive(Debug)]
pub(super) struct Sight {
    looked: Looked,
    sender: Vec<SpamReason>,
    is_proved: bool,
    listed: Listed,
    rspamd: Option<(RspamdMode, Vec<SpamReason>)>,
}

/// Looks at a message, and asks whoever is to be asked about it. Nobody else is asked about mail that was written here.
pub(super) async fn look(
    platform: &Platform,
    arrival: &Arrival,
    message: &Parsed<'_>,
    authentication: &Authentication,
    mailboxes: &[Mailbox],
) -> Sight {
    let looked = look_at(platform, message);
    let wants_lists = mailboxes.iter().any(|mailbox| mailbox.spam.use_list_dnsbl);
    let listed = match wants_lists && !authentication.is_local {
        true => ask_lists(platform, arrival.ip, &looked.domains).await,
        false => Listed::default(),
    };
    let rspamd = if authentication.is_local { None } else { ask_rspamd(platform, arrival).await };
    Sight {
        looked,
        sender: of_authentication(authentication),
        is_proved: authentication.is_local || authentication.aligned_domain.is_some(),
        listed,
        rspamd,
    }
}

/// The verdict of one mailbox's policy.
pub(super) async fn score(
    platform: &Platform,
    reader: &mut Reader<'_>,
    sight: &Sight,
    (mailbox, acquaintance): (&Mailbox, &Acquaintance),
) -> Result<SpamVerdict, Problem> {
    let policy = &mailbox.spam;
    let mut reasons = Vec::new();
    let replaces = matches!(&sight.rspamd, Some((RspamdMode::Replace, _)));
    if !replaces {
        reasons.extend(sight.sender.iter().chain(&sight.looked.content).cloned());
        if policy.use_header_anomaly_detection {
            reasons.extend(sight.looked.headers.iter().cloned());
        }
        if policy.use_list_dnsbl {
            reasons.extend(of_lists(&sight.listed.addresses, &sight.listed.domains));
        }
    }
    reasons.extend(sight.rspamd.iter().flat_map(|(_, reasons)| reasons).cloned());
    reasons.extend(of_history(&history(acquaintance, sight)));
    reasons.extend(model_of(platform, reader, mailbox.application_id).await?.reason(&sight.looked.tokens));
    Ok(decide(reasons, policy.sensitivity_permille))
}

/// What passed between the mailbox and the author.
fn history(acquaintance: &Acquaintance, sight: &Sight) -> History {
    History {
        has_written: acquaintance.has_written,
        is_reply: acquaintance.is_answer,
        was_junk: acquaintance.moved == Some(Trained::Spam),
        was_rescued: acquaintance.moved == Some(Trained::Ham),
        is_proved: sight.is_proved,
    }
}
