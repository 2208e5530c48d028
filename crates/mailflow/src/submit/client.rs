//! What a mail client submits by SMTP (RFC 6409): a message that is written already, with an envelope of its own.

use super::{Prepared, Sent, raw, submit};
use crate::platform::Platform;
use crate::receive::refuse_loops;
use postfleet_core::{EmailAddress, Problem, ProblemKind};
use postfleet_mail::message;
use postfleet_mail::trace::{self, Protocol, SubmissionHop};
use postfleet_store::grants::Grant;

/// Octets by which completing a message can make it longer: Received, Date and Message-ID. What a client is told about the
/// size of messages leaves room for them.
pub const ADDED_OCTETS_MAX: u64 = 1_024;

/// A message of a mail client.
#[derive(Debug)]
pub struct Submission {
    /// Everyone who gets it, whatever its header says.
    pub recipients: Vec<EmailAddress>,
    /// What was spoken.
    pub protocol: Protocol,
    /// The message.
    pub message: Vec<u8>,
}

/// Accepts a message for sending, or says why not, as for every other way of sending.
pub async fn send(platform: &Platform, grant: &Grant, submission: Submission) -> Result<Sent, Problem> {
    let prepared = prepare(platform, grant, submission);
    submit(platform, grant, prepared).await
}

fn prepare(platform: &Platform, grant: &Grant, submission: Submission) -> Result<Prepared, Problem> {
    let Submission { recipients, protocol, message } = submission;
    refuse_loops(&message)?;
    let envelope = raw::Envelope::Given(recipients);
    let prepared = raw::prepare(platform, grant, &message, envelope, "message");
    let mut prepared = prepared.map_err(|problem| of_author(problem, grant, &message))?;
    let id = prepared.message_id.to_string();
    let host = platform.settings.hostname.as_str();
    let mut traced = trace::submission_header(&SubmissionHop { host, protocol, id: &id, received_at: prepared.date });
    traced.append(&mut prepared.raw);
    Ok(Prepared { raw: traced, ..prepared })
}

/// Tells a message of another author from one that is malformed: a client is told so by another reply, and the interface by
/// the same.
fn of_author(problem: Problem, grant: &Grant, message: &[u8]) -> Problem {
    let own = grant.email.key();
    let is_own = |email: &str| EmailAddress::parse(email).is_ok_and(|email| email.key() == own);
    let is_foreign = || message::view(message).from.iter().any(|author| !is_own(&author.email));
    if problem.kind == ProblemKind::Invalid && is_foreign() {
        return Problem { code: "foreign_author", ..problem };
    }
    problem
}
