//! Asking somebody by mail whether they want mail for a purpose (double opt-in), and hearing what they say on the page.

use crate::platform::Platform;
use crate::receive::shard;
use crate::submit::{self, Outgoing, Terms};
use postfleet_core::audit::Author;
use postfleet_core::id::{EventId, MessageId, OptInId};
use postfleet_core::opt_in::{self, LIFETIME, Say, State};
use postfleet_core::{Problem, ProblemKind};
use postfleet_fleet::opt_ins::{Wish, purpose_hash, sign};
use postfleet_mail::Participant;
use postfleet_store::grants::Grant;
use postfleet_store::opt_ins::{AnswerOptIn, Answered, AskOptIn, AskOutcome, OptIn, Said, TakeBackOptIn};
use std::net::IpAddr;

/// Octets of the sender's name up to which the subject has it.
const SUBJECT_NAME_OCTETS_MAX: usize = 300;

/// Asks somebody. Who has agreed already is not asked again, and their opt-in is answered.
pub async fn ask(platform: &Platform, grant: &Grant, wish: Wish, by: Option<Author>) -> Result<OptIn, Problem> {
    let Some(public_url) = &platform.settings.public_url else {
        let text = "this installation has no public address (server.public_url) for the link in the mail";
        return Err(Problem::new(ProblemKind::Invalid, "public_url_not_configured", text));
    };
    let now = platform.clock.now();
    let sender = match grant.name.as_str() {
        "" => grant.email.to_string(),
        name => format!("{name} <{}>", grant.email),
    };
    let opt_in = OptIn {
        id: OptInId::new(now, platform.entropy.ten()),
        application_id: grant.application_id,
        grant_id: grant.id,
        words: opt_in::words(&sender, &wish.address, &wish.purpose),
        address: wish.address,
        name: wish.name,
        purpose_hash: purpose_hash(&wish.purpose),
        purpose: wish.purpose,
        language: wish.language,
        message_id: MessageId::new(now, platform.entropy.ten()),
        source: wish.source,
        redirect_url: wish.redirect_url,
        state: State::Pending,
        asked_at: now,
        confirmed: None,
        declined: None,
        withdrawn_at: None,
    };
    let link = format!("{public_url}/v3/opt-in/{}", sign(&platform.keys, opt_in.id)?);
    let near = shard(grant.application_id.uuid());
    match platform.store.run_near(near, AskOptIn { opt_in: opt_in.clone() }).await? {
        AskOutcome::Kept => {}
        AskOutcome::Confirmed(confirmed) => return Ok(*confirmed),
        AskOutcome::Refused(problem) => return Err(problem),
        AskOutcome::ApplicationGone => return Err(Problem::not_found()),
    }
    let sent = submit::send(platform, grant, letter(grant, &opt_in, &sender, &link, by)).await;
    if let Err(problem) = sent {
        platform.store.run_near(near, TakeBackOptIn { id: opt_in.id }).await?;
        return Err(problem);
    }
    Ok(opt_in)
}

/// The mail that asks.
fn letter(grant: &Grant, opt_in: &OptIn, sender: &str, link: &str, by: Option<Author>) -> Outgoing {
    let OptIn { address, name, words, .. } = opt_in;
    let greeting = name.as_ref().map_or("Hello,".to_owned(), |name| format!("Hello {name},"));
    let days = LIFETIME.as_secs() / 86_400;
    let body = format!(
        "{greeting}\n\nsomebody has asked that {sender} may send e-mail to {address}.\n\nPlease confirm that it was you. \
         This is what you would agree to:\n\n    {words}\n\nOpen this page within {days} days, and press the button \
         there:\n\n{link}\n\nIf it was not you, you need not do anything: without your confirmation nothing is sent for \
         this purpose. The page also has a button to say so, and then you are not asked again.\n"
    );
    let is_short = !grant.name.is_empty() && grant.name.len() <= SUBJECT_NAME_OCTETS_MAX;
    let from = if is_short { grant.name.clone() } else { grant.email.to_string() };
    Outgoing {
        to: vec![Participant { name: name.clone().unwrap_or_default(), email: address.to_string() }],
        subject: format!("Please confirm: may {from} write to you?"),
        body,
        is_plaintext: true,
        custom_headers: vec![("Auto-Submitted".to_owned(), "auto-generated".to_owned())],
        message_id: Some(opt_in.message_id),
        terms: Terms { may_wait: true, key: None, allow_duplicate: true, pool: None },
        by,
        ..Outgoing::default()
    }
}

/// Takes what the reader says on the page; `None` if the question is gone.
pub async fn answer(
    platform: &Platform,
    id: OptInId,
    say: Say,
    (ip, user_agent): (Option<IpAddr>, Option<String>),
) -> Result<Option<Answered>, Problem> {
    let at = platform.clock.now();
    let said = Said { at, ip: ip.map(|ip| ip.to_string()), user_agent };
    let event_id = EventId::new(at, platform.entropy.ten());
    Ok(platform.store.run(AnswerOptIn { id, say, said, event_id }).await?)
}
