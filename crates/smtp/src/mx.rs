//! The listener for mail from other servers: asks `mailflow::receive` and says what it decided.

use crate::listener::{Handler, Peer};
use futures::future::BoxFuture;
use postfleet_core::{EmailAddress, Problem, ProblemKind};
use postfleet_mail::trace::Protocol;
use postfleet_mailflow::Platform;
use postfleet_mailflow::receive::{self, Arrival, Arriving, Offer};
use postfleet_wire::smtp::Reply;
use postfleet_wire::smtp::problem::receiving_reply_for;
use postfleet_wire::smtp::server::Envelope;

/// Receives for the mailboxes of an installation.
#[derive(Clone)]
pub struct Mx(pub Platform);

impl Handler for Mx {
    fn recipient<'a>(
        &'a self,
        _: &'a Peer,
        offer: Offer<'a>,
        address: &'a EmailAddress,
    ) -> BoxFuture<'a, Result<(), Reply>> {
        Box::pin(async move {
            let admitted = receive::recipient(&self.0, &offer, address).await;
            admitted.map_err(|problem| refuse(&problem))
        })
    }

    fn announce(&self) -> Option<Arriving> {
        Some(receive::announce(&self.0))
    }

    fn message<'a>(
        &'a self,
        peer: &'a Peer,
        envelope: Envelope,
        message: Vec<u8>,
        announced: Option<Arriving>,
    ) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let arrival = arrival(peer, envelope, message);
            let announced = announced.unwrap_or_else(|| receive::announce(&self.0));
            match receive::receive_announced(&self.0, arrival, announced).await {
                Ok(reference) => Reply::accepted(&reference),
                Err(problem) => refuse(&problem),
            }
        })
    }
}

fn arrival(peer: &Peer, envelope: Envelope, message: Vec<u8>) -> Arrival {
    let protocol = Protocol {
        is_extended: envelope.esmtp,
        is_encrypted: envelope.tls,
        is_authenticated: false,
        is_utf8: envelope.smtputf8,
        requires_tls: envelope.require_tls,
    };
    Arrival {
        reverse_path: envelope.reverse_path,
        recipients: envelope.recipients,
        helo: envelope.helo,
        ip: peer.ip,
        protocol,
        message,
    }
}

/// What a stranger is told. Causes stay with us.
fn refuse(problem: &Problem) -> Reply {
    match (problem.kind, &problem.cause) {
        (ProblemKind::Internal, cause) => tracing::error!(?cause, "failed to receive"),
        (_, Some(cause)) => tracing::warn!(cause, code = problem.code, "refused to receive"),
        _ => {}
    }
    receiving_reply_for(problem)
}
