//! MTA-STS policies of other domains (RFC 8461): announced in the DNS, fetched over HTTPS, kept until they end. What can
//! go wrong with the next fetch never takes away the policy that is kept.

use super::tally::{PolicyKind, PolicyRef, Receiver};
use crate::platform::Platform;
use postfleet_core::sts::{StsMode, StsPolicy, policy_id};
use postfleet_core::{Domain, Problem, UnixMicros};
use postfleet_net::DnsError;
use postfleet_net::webhook_http::{HttpFailure, MAX_ANSWER_OCTETS};
use postfleet_store::sts::{self, KeepPolicy, Kept, NoteFailedFetch, NoteUse};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// How long the host of a policy has to answer.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);

/// After a failed fetch, mail goes on with what is known for this long before the same policy is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5 * 60);

/// A policy that is used is fetched anew after this time, so that it does not end while it is wanted.
const REFRESH: Duration = Duration::from_secs(86_400);

/// Policies that one round fetches anew.
const REFRESHED_MAX: usize = 20;

/// Characters kept of what was wrong.
const FAILURE_CHARS_MAX: usize = 300;

/// Fetches under way: of one domain there is one at a time.
#[derive(Default)]
pub(super) struct Fetches(Mutex<HashMap<Domain, Arc<AsyncMutex<()>>>>);

impl Fetches {
    fn turn(&self, domain: &Domain) -> Arc<AsyncMutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(domain.clone()).or_default().clone()
    }
}

/// Why a policy could not be had, in the words of RFC 8460 §4.3.2.2.
struct Failed {
    result: &'static str,
    text: String,
}

/// The policy that holds for mail to a domain now. One that asks for nothing is none.
pub(crate) async fn policy(platform: &Platform, domain: &Domain) -> Result<Option<StsPolicy>, Problem> {
    let kept = find(platform, domain).await?;
    let announced = announced(platform, domain).await;
    let kept = match announced {
        // Whoever hides the record does not hide the policy (RFC 8461 §5.1).
        None => kept,
        Some(id) if is_current(kept.as_ref(), &id, platform.clock.now()) => kept,
        Some(id) => {
            let turn = platform.routing.fetches.turn(domain);
            let _turn = turn.lock().await;
            // Somebody may have fetched it while this one waited.
            let kept = find(platform, domain).await?;
            if !is_current(kept.as_ref(), &id, platform.clock.now()) {
                fetch_and_keep(platform, domain, &id, kept.as_ref(), true).await?;
            }
            find(platform, domain).await?
        }
    };
    let now = platform.clock.now();
    let Some(kept) = kept.filter(|kept| holds(kept, now)) else { return Ok(None) };
    if kept.used_at < kept.fetched_at {
        platform.store.run(NoteUse { domain: domain.clone(), at: now }).await?;
    }
    // What is kept was read before it was kept.
    Ok(StsPolicy::parse(&kept.policy).ok().filter(|policy| policy.mode != StsMode::None))
}

async fn find(platform: &Platform, domain: &Domain) -> Result<Option<Kept>, Problem> {
    Ok(sts::find(&mut platform.store.reader().await?, domain).await?)
}

/// The id of the policy that the domain announces.
async fn announced(platform: &Platform, domain: &Domain) -> Option<String> {
    match platform.resolver.txt(&format!("_mta-sts.{domain}")).await {
        Ok(texts) => policy_id(&texts).map(str::to_owned),
        Err(DnsError::NotFound) => None,
        Err(error) => {
            tracing::debug!(%domain, %error, "failed to look for an MTA-STS policy");
            None
        }
    }
}

fn holds(kept: &Kept, now: UnixMicros) -> bool {
    !kept.policy.is_empty() && now < kept.expires_at
}

/// Whether there is nothing to fetch: the policy is the announced one, or it was tried just now.
fn is_current(kept: Option<&Kept>, id: &str, now: UnixMicros) -> bool {
    kept.is_some_and(|kept| {
        let is_announced = holds(kept, now) && kept.policy_id == id;
        let was_tried = kept.tried_id == id && !kept.failure.is_empty() && now < kept.tried_at.plus(TRY_AGAIN);
        is_announced || was_tried
    })
}

/// Fetches a policy and keeps it, or notes what was wrong.
async fn fetch_and_keep(
    platform: &Platform,
    domain: &Domain,
    id: &str,
    kept: Option<&Kept>,
    is_used: bool,
) -> Result<(), Problem> {
    let fetched = fetch(platform, domain).await;
    let at = platform.clock.now();
    match fetched {
        Ok((text, policy)) => {
            let (policy_id, expires_at) = (id.to_owned(), at.plus(policy.max_age));
            let command = KeepPolicy { domain: domain.clone(), policy_id, policy: text, expires_at, is_used, at };
            platform.store.run(command).await?;
        }
        Err(failed) => {
            let has_policy = kept.is_some_and(|kept| holds(kept, at));
            tracing::warn!(%domain, has_policy, cause = failed.text, "failed to fetch an MTA-STS policy");
            let policy = PolicyRef { kind: PolicyKind::Sts, ..PolicyRef::none(domain.as_str()) };
            let tally = &platform.routing.tally;
            tally.failure(at.day(), &policy, Receiver::default(), failed.result, &failed.text);
            let failure = failed.text.chars().take(FAILURE_CHARS_MAX).collect();
            let command = NoteFailedFetch { domain: domain.clone(), policy_id: id.to_owned(), failure, at };
            platform.store.run(command).await?;
        }
    }
    Ok(())
}

/// The text of a policy, and what it says.
async fn fetch(platform: &Platform, domain: &Domain) -> Result<(String, StsPolicy), Failed> {
    let failed = |result, text: String| Failed { result, text };
    let url = match platform.settings.routes.policy_port {
        443 => format!("https://mta-sts.{domain}/.well-known/mta-sts.txt"),
        port => format!("https://mta-sts.{domain}:{port}/.well-known/mta-sts.txt"),
    };
    let answer = platform.routing.policies.get(&url, &[], FETCH_DEADLINE).await.map_err(|error| match error {
        HttpFailure::Certificate(why) => failed("sts-webpki-invalid", why),
        other => failed("sts-policy-fetch-error", other.to_string()),
    })?;
    let invalid = |text: &str| failed("sts-policy-invalid", text.to_owned());
    if answer.status != 200 {
        // Also where it leads elsewhere: that is not followed (RFC 8461 §3.3).
        return Err(failed("sts-policy-fetch-error", format!("answered {}", answer.status)));
    }
    if answer.media_type != "text/plain" {
        return Err(invalid("not text/plain"));
    }
    if answer.body_prefix.len() >= MAX_ANSWER_OCTETS {
        return Err(invalid("too long"));
    }
    let text = String::from_utf8(answer.body_prefix).map_err(|_| invalid("not UTF-8"))?;
    // PostgreSQL keeps no NUL, and no policy has one.
    let policy = StsPolicy::parse(&text).map_err(|error| invalid(&error.to_string()))?;
    if text.contains('\0') {
        return Err(invalid("not text"));
    }
    Ok((text, policy))
}

/// Fetches policies anew that are in use and were fetched long ago.
pub async fn refresh_once(platform: &Platform) -> Result<(), Problem> {
    let now = platform.clock.now();
    let mut reader = platform.store.reader().await?;
    let due = sts::due(&mut reader, now.minus(REFRESH), now, REFRESHED_MAX).await?;
    drop(reader);
    for (domain, id) in due {
        let turn = platform.routing.fetches.turn(&domain);
        let _turn = turn.lock().await;
        let kept = find(platform, &domain).await?;
        let id = announced(platform, &domain).await.unwrap_or(id);
        fetch_and_keep(platform, &domain, &id, kept.as_ref(), false).await?;
    }
    Ok(())
}
