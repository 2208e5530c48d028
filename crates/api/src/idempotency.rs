//! `Idempotency-Key`: a request under a key is carried out once, and every repeat of it is answered as the first was. A
//! route that takes keys makes a [`Keyed`] of the call, adds what the request says, and carries it out by
//! [`Keyed::once`]; what it accepts it writes with the key in the same transaction.

use crate::call::Call;
use crate::error;
use crate::respond::{self, Answer, RequestId};
use crate::routes::send::held_answer;
use axum::extract::MatchedPath;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use postfleet_core::id::{ApplicationId, GrantId, SenderPoolId, ThreadId};
use postfleet_core::{Problem, idempotency};
use postfleet_mail::compose::Attachment;
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::submit::once::{Fingerprint, sent_before};
use postfleet_mailflow::submit::request::{answer, canonical};
use postfleet_mailflow::{Platform, holds};
use postfleet_store::grants::{self, Grant};
use postfleet_store::idempotency::{KeepAnswer, Kept, KeptAnswer, KeyedRequest, find};
use postfleet_store::sender_pools::SenderPool;
use serde::Serialize;

/// Where a key is known.
#[derive(Clone, Copy)]
enum Known {
    Mailbox(GrantId),
    Pool(SenderPoolId),
}

/// A request that may have come with a key.
pub(crate) struct Keyed {
    /// The hash of the key.
    key: Option<[u8; 32]>,
    /// Where the key is known.
    known: Known,
    application: ApplicationId,
    /// The mailbox; of a pool it is known once one of it has sent.
    grant: Option<Grant>,
    /// What is asked for.
    asked: Fingerprint,
}

impl Keyed {
    /// Reads the key of a request about a mailbox. What the request is about is known by its route and path.
    pub(crate) fn of(call: &Call, grant: &Grant) -> Result<Self, Problem> {
        Self::known_in(call, Known::Mailbox(grant.id), Some(grant.clone()))
    }

    /// Reads the key of a request about a pool of mailboxes: it holds for all of them.
    pub(crate) fn of_pool(call: &Call, pool: &SenderPool) -> Result<Self, Problem> {
        Self::known_in(call, Known::Pool(pool.id), None)
    }

    fn known_in(call: &Call, known: Known, grant: Option<Grant>) -> Result<Self, Problem> {
        let key = key(&call.parts)?.map(|key| {
            let mut print = Fingerprint::default();
            print.add(key);
            print.finish()
        });
        let mut asked = Fingerprint::default();
        asked.add(call.parts.method.as_str());
        asked.add(call.parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str));
        for segment in call.path.iter().skip(1) {
            asked.add(segment);
        }
        Ok(Self { key, known, application: call.application, grant, asked })
    }

    /// Adds something that the request says.
    pub(crate) fn add(&mut self, said: impl AsRef<[u8]>) {
        if self.key.is_some() {
            self.asked.add(said);
        }
    }

    /// Adds a body and its files, however they were written down.
    pub(crate) fn add_request<T: Serialize>(&mut self, request: &T, files: &[Attachment]) {
        if self.key.is_some() {
            self.asked.add(canonical(request));
            self.asked.add_files(files);
        }
    }

    /// Carries the request out, unless that was done or is being done. The function is given the key, to be written in the
    /// transaction that accepts what is asked for. `shown` is what the answer shows of a sent message.
    pub(crate) async fn once(
        self,
        platform: &Platform,
        id: &RequestId,
        shown: Fields,
        run: impl AsyncFnOnce(Option<KeyedRequest>) -> Answer,
    ) -> Answer {
        let Some(key) = self.key else { return run(None).await };
        let scope = match self.known {
            Known::Mailbox(id) => id.uuid(),
            Known::Pool(id) => id.uuid(),
        };
        let request = KeyedRequest {
            scope,
            key,
            request: self.asked.finish(),
            request_id: id.0.clone(),
            kept: idempotency::KEPT,
        };
        let _turn = platform.underway.begin(scope, key).ok_or_else(idempotency::concurrent)?;
        let kept = find(&mut platform.store.reader().await?, scope, &key, platform.clock.now()).await?;
        match kept {
            Some(kept) if kept.request == request.request => {
                replay(platform, self.application, self.grant, kept, shown).await
            }
            Some(_) => Err(idempotency::other_request()),
            None => match run(Some(request.clone())).await {
                // It was written with what was accepted.
                Ok(response) => Ok(response),
                Err(problem) => {
                    keep_refusal(platform, request, &problem).await;
                    Err(problem)
                }
            },
        }
    }
}

fn key(parts: &Parts) -> Result<Option<&str>, Problem> {
    let mut keys = parts.headers.get_all("idempotency-key").iter();
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => idempotency::read_key(key.as_bytes()).map(Some),
        // Nobody can tell which of them is meant.
        (Some(_), Some(_)) => Err(idempotency::invalid_key()),
    }
}

/// Keeps a refusal, if repeats are to be refused, too. Where that fails, the repeat is carried out, and refused anew.
async fn keep_refusal(platform: &Platform, request: KeyedRequest, problem: &Problem) {
    if !idempotency::is_kept(problem) {
        return;
    }
    let (status, _) = error::status_and_type(problem.kind);
    let Ok(body) = serde_json::to_string(&error::envelope(problem, &request.request_id)) else { return };
    keep(platform, request, status, body).await;
}

async fn keep(platform: &Platform, request: KeyedRequest, status: StatusCode, body: String) {
    let command = KeepAnswer { request, status: status.as_u16(), body, at: platform.clock.now() };
    if let Err(error) = platform.store.run(command).await {
        tracing::warn!(%error, "failed to keep an answer under its idempotency key");
    }
}

/// The answer as it was given.
async fn replay(
    platform: &Platform,
    application: ApplicationId,
    grant: Option<Grant>,
    kept: Kept,
    shown: Fields,
) -> Answer {
    // Whichever of a pool has sent.
    let sender = async |sent: Option<GrantId>| match grant {
        Some(grant) => Ok(grant),
        None => {
            let id = sent.ok_or_else(Problem::not_found)?;
            let found = grants::find(&mut platform.store.reader().await?, application, id).await?;
            found.ok_or_else(Problem::not_found)
        }
    };
    let mut response = match kept.answer {
        KeptAnswer::Body(body) => {
            let status = StatusCode::from_u16(kept.status).map_err(Problem::internal)?;
            respond::written(status, body.into_bytes())
        }
        KeptAnswer::Held(_, hold) => {
            // As it is now: it may have been released meanwhile.
            let hold = holds::find(platform, application, hold).await?;
            let grant = sender(Some(hold.grant_id)).await?;
            let sent = (hold.message_id, ThreadId::from_uuid(hold.message_id.uuid()), None);
            let data = sent_before(platform, grant.id, sent, &[], shown).await?;
            let id = RequestId(kept.request_id);
            respond::json(StatusCode::ACCEPTED, &id, &held_answer(&id.0, &grant, data, &hold))
        }
        KeptAnswer::Sent(message, thread, placement, suppressed) => {
            let grant = sender(kept.grant).await?;
            let sent = (message, thread, Some(placement));
            let data = sent_before(platform, grant.id, sent, &suppressed, shown).await?;
            let id = RequestId(kept.request_id);
            let status = StatusCode::from_u16(kept.status).map_err(Problem::internal)?;
            respond::json(status, &id, &answer(&id.0, &grant, data))
        }
    };
    response.headers_mut().insert("idempotent-response", HeaderValue::from_static("true"));
    Ok(response)
}
