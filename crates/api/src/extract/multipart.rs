//! Reading `multipart/form-data` as it comes: the body is never held as a whole, only its parts, each once, and nothing is
//! read any more once they are together larger than a message may be.

use super::{Pieces, media_type};
use axum::body::Body;
use axum::http::header;
use axum::http::request::Parts;
use postfleet_core::{Problem, ProblemKind};
use postfleet_mail::form::{self, FormReader, Listener, PartHead, Stop};
use sync_wrapper::SyncWrapper;

/// Octets of boundaries and headers of parts, beside what is in the parts.
const FRAMING_OCTETS_MAX: u64 = 1 << 20;

/// One part of a form.
#[derive(Debug)]
pub(crate) struct Part {
    /// What its header says.
    pub(crate) head: PartHead,
    /// What is in it, out of its transfer encoding.
    pub(crate) octets: Vec<u8>,
}

/// Whether the body is a form with files.
pub(crate) fn is_multipart(parts: &Parts) -> bool {
    media_type(parts).eq_ignore_ascii_case("multipart/form-data")
}

/// Reads the parts of a form, which are together no larger than `limit` octets.
pub(crate) async fn multipart(parts: &Parts, body: SyncWrapper<Body>, limit: u64) -> Result<Vec<Part>, Problem> {
    if !is_multipart(parts) {
        return Err(Problem::invalid("Content-Type", "request must be of content-type multipart/form-data"));
    }
    let whole = usize::try_from(limit + FRAMING_OCTETS_MAX).unwrap_or(usize::MAX);
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut reader = FormReader::new(kind).map_err(|error| malformed(&error))?;
    let mut pieces = Pieces::of(parts, body, whole)?;
    let mut kept = Kept { parts: Vec::new(), octets: 0, limit };
    loop {
        let read = match pieces.next().await {
            Ok(None) => break,
            Ok(Some(piece)) => reader.push(&piece, &mut kept).map_err(|stop| match stop {
                Stop::Malformed(error) => malformed(&error),
                Stop::Refused(problem) => problem,
            }),
            Err(problem) => Err(problem),
        };
        if let Err(problem) = read {
            return Err(pieces.refuse(parts, problem));
        }
    }
    reader.finish().map_err(|error| malformed(&error))?;
    Ok(kept.parts.into_iter().map(Part::decoded).collect())
}

impl Part {
    fn decoded(self) -> Self {
        Self { octets: form::decode(&self.head, self.octets), head: self.head }
    }
}

/// The parts that came so far.
struct Kept {
    parts: Vec<Part>,
    octets: u64,
    limit: u64,
}

impl Listener for Kept {
    type Refusal = Problem;

    fn part(&mut self, head: PartHead) -> Result<(), Problem> {
        self.parts.push(Part { head, octets: Vec::new() });
        Ok(())
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), Problem> {
        self.octets += octets.len() as u64;
        if self.octets > self.limit {
            return Err(too_large(self.limit));
        }
        if let Some(part) = self.parts.last_mut() {
            part.octets.extend_from_slice(octets);
        }
        Ok(())
    }
}

/// The refusal of a message of which not all was read.
fn too_large(limit: u64) -> Problem {
    let text = format!("the message is more than {limit} bytes; the limit is {limit} bytes of raw MIME");
    Problem::new(ProblemKind::TooLarge, "message_too_large", text)
}

fn malformed(error: &form::FormError) -> Problem {
    Problem::new(ProblemKind::Invalid, "invalid_request", format!("error parsing request body: multipart: {error}"))
}
