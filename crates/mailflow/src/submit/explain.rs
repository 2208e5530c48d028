//! What stands against a send, asked without sending: by the facts and checks of the one door.

use super::{Outgoing, command, compose, exchange};
use crate::platform::Platform;
use crate::receive::shard;
use postfleet_core::audit::Author;
use postfleet_core::hold::Reason;
use postfleet_core::id::KeyId;
use postfleet_core::{EmailAddress, Problem};
use postfleet_mail::Participant;
use postfleet_store::grants::Grant;
use postfleet_store::outbound::{Explain, Explained, Submit};

/// A send that is asked about.
#[derive(Debug, Default)]
pub struct Question {
    /// To whom; without any, what holds for all is told.
    pub recipients: Vec<EmailAddress>,
    /// The message of the mailbox that it would answer.
    pub reply_to_message_id: Option<String>,
    /// The key with which it would be sent.
    pub by: Option<KeyId>,
}

/// Everything that stands against a small message, first what would be told first, and why it would be held in place of
/// being refused, if it would be.
pub async fn explain(
    platform: &Platform,
    grant: &Grant,
    question: &Question,
) -> Result<(Vec<Problem>, Option<Reason>), Problem> {
    let (submit, answers) = submission(platform, grant, question).await?;
    let shard = shard(grant.id.uuid());
    let explained = platform.store.run_near(shard, Explain { submit: submit.clone() }).await?;
    let explained = if explained == Explained::Unvalidated {
        let recipients: Vec<&EmailAddress> = question.recipients.iter().collect();
        let undeliverable = Some(platform.addresses().undeliverable(grant.application_id, &recipients).await?);
        platform.store.run_near(shard, Explain { submit: Submit { undeliverable, ..submit } }).await?
    } else {
        explained
    };
    match explained {
        // What is wrong with the answer itself is told before the rest.
        Explained::Refusals(refusals, held_for) => {
            let held_for = held_for.filter(|_| answers.is_none());
            Ok((answers.into_iter().chain(refusals).collect(), held_for))
        }
        Explained::Unvalidated => Err(Problem::internal("recipients were not looked at")),
        Explained::NoSuchGrant => Err(Problem::not_found()),
    }
}

/// The send, and why it may not answer what it answers.
async fn submission(
    platform: &Platform,
    grant: &Grant,
    question: &Question,
) -> Result<(Submit, Option<Problem>), Problem> {
    let person = |address: &EmailAddress| Participant { name: String::new(), email: address.to_string() };
    let is_to_nobody = question.recipients.is_empty();
    let to = if is_to_nobody { vec![person(&grant.email)] } else { question.recipients.iter().map(person).collect() };
    let reply_to_message_id = question.reply_to_message_id.clone();
    let outgoing = Outgoing {
        to,
        reply_to_message_id,
        is_plaintext: true,
        by: question.by.map(Author::of_key),
        ..Outgoing::default()
    };
    let prepared = compose::prepare(platform, grant, outgoing).await?;
    let answers = match is_to_nobody {
        true => None,
        false => exchange::check(platform, grant, &prepared).await.err(),
    };
    let (submit, _) = command(platform, grant, prepared).await?;
    let submit = if is_to_nobody { Submit { recipients: Vec::new(), ..submit } } else { submit };
    Ok((submit, answers))
}
