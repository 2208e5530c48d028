//! The listener for the mail clients of mailboxes (RFC 6409, RFC 8314): lets them in, asks `mailflow::submit`, and says
//! what it decided.

use crate::listener::{Handler, Peer};
use futures::future::BoxFuture;
use postfleet_core::{EmailAddress, Problem, ProblemKind};
use postfleet_fleet::mail_client::{self, MailClient};
use postfleet_fleet::sign_in::{Guess, Outcome};
use postfleet_mail::trace::Protocol;
use postfleet_mailflow::Platform;
use postfleet_mailflow::receive::{Arriving, Offer};
use postfleet_mailflow::submit::client::{self, ADDED_OCTETS_MAX, Submission};
use postfleet_store::grants::Grant;
use postfleet_wire::smtp::Reply;
use postfleet_wire::smtp::problem::submission_reply_for;
use postfleet_wire::smtp::sasl::Credentials;
use postfleet_wire::smtp::server::Envelope;

/// Takes what the mailboxes of an installation send through mail clients.
#[derive(Clone)]
pub struct ForMailClients(pub Platform);

impl Handler for ForMailClients {
    fn authenticate<'a>(
        &'a self,
        peer: &'a Peer,
        credentials: Credentials,
    ) -> BoxFuture<'a, Result<MailClient, Reply>> {
        Box::pin(async move {
            let Self(platform) = self;
            let Credentials { identity, password } = credentials;
            let guess = Guess { email: &identity, password, peer: Some(peer.ip) };
            let outcome = mail_client::sign_in(platform.gate(), guess).await;
            let (result, verdict) = match outcome.map_err(|problem| refuse(&problem))? {
                Outcome::Accepted(client) if client.is_remembered => ("remembered", Ok(client)),
                Outcome::Accepted(client) => ("accepted", Ok(client)),
                Outcome::Refused => ("refused", Err(Reply::authentication_failed())),
                Outcome::Throttled(_) => ("throttled", Err(Reply::authentication_throttled())),
            };
            platform.metrics.signed_in(result);
            verdict
        })
    }

    fn sender<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<u64, Reply>> {
        Box::pin(async move {
            let client = peer.client.as_ref().ok_or_else(Reply::needs_authentication)?;
            let limits = mail_client::limits(&self.0.store, client).await.map_err(|problem| refuse(&problem))?;
            let limits = limits.ok_or_else(Reply::no_longer_signed_in)?;
            Ok(limits.outbound_message_octets_max.saturating_sub(ADDED_OCTETS_MAX))
        })
    }

    /// Whether it may be written to is decided with everything else, in the transaction that accepts the message.
    fn recipient<'a>(&'a self, _: &'a Peer, _: Offer<'a>, _: &'a EmailAddress) -> BoxFuture<'a, Result<(), Reply>> {
        Box::pin(async { Ok(()) })
    }

    fn message<'a>(
        &'a self,
        peer: &'a Peer,
        envelope: Envelope,
        message: Vec<u8>,
        _: Option<Arriving>,
    ) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let grant = match self.mailbox(peer).await {
                Ok(grant) => grant,
                Err(reply) => return reply,
            };
            match client::send(&self.0, &grant, submission(envelope, message)).await {
                Ok(sent) => match &sent.held {
                    Some(hold) => Reply::held(&sent.message.id, hold.reason.name()),
                    None => Reply::accepted(&sent.message.id),
                },
                Err(problem) => refuse(&problem),
            }
        })
    }
}

impl ForMailClients {
    /// The mailbox for which the client acts. Looked up anew: a message may be long on its way.
    async fn mailbox(&self, peer: &Peer) -> Result<Grant, Reply> {
        let client = peer.client.as_ref().ok_or_else(Reply::needs_authentication)?;
        let grant = mail_client::mailbox(&self.0.store, client).await.map_err(|problem| refuse(&problem))?;
        grant.ok_or_else(Reply::no_longer_signed_in)
    }
}

fn submission(envelope: Envelope, message: Vec<u8>) -> Submission {
    let protocol = Protocol {
        is_extended: envelope.esmtp,
        is_encrypted: envelope.tls,
        is_authenticated: true,
        is_utf8: envelope.smtputf8,
        requires_tls: envelope.require_tls,
    };
    Submission { recipients: envelope.recipients, protocol, message }
}

/// What the account is told. Causes stay with us.
fn refuse(problem: &Problem) -> Reply {
    match (problem.kind, &problem.cause) {
        (ProblemKind::Internal, cause) => tracing::error!(?cause, "failed to take a submission"),
        (_, Some(cause)) => tracing::warn!(cause, code = problem.code, "refused a submission"),
        _ => {}
    }
    submission_reply_for(problem)
}
