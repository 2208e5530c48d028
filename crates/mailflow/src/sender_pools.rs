//! Pools of senders: managing them, saying how a volume spreads, and sending from whichever mailbox is best placed.
//!
//! Who is tried is decided before the one door, from what is known then; the door judges whoever is chosen in its
//! transaction, and if it refuses for a reason of that mailbox alone, the next one is tried.

use crate::platform::Platform;
use crate::submit::{self, Outgoing, Sent};
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, GrantId, MessageId, SenderPoolId};
use postfleet_core::reputation::State;
use postfleet_core::sender_pool::{self, Health, MEMBERS_MAX, Member, Obstacle, PLANNED_MAX, POOLS_MAX};
use postfleet_core::warm_up::WarmUp;
use postfleet_core::{EmailAddress, Problem, ProblemKind};
use postfleet_mailbox::messages::with_message_id;
use postfleet_schema::sender_pool as schema;
use postfleet_store::grants::{self, Grant};
use postfleet_store::sender_pools::{
    self, PoolMember, PoolOutcome, PrunePoolRecipients, PutSenderPool, RemoveSenderPool, SenderPool,
};

/// Characters of a name.
const NAME_CHARS_MAX: usize = 256;

/// Rows that are forgotten at once.
const ROWS_MAX: usize = 1_000;

/// Makes a pool.
pub async fn create(
    platform: &Platform,
    act: Act,
    application_id: ApplicationId,
    request: schema::CreateSenderPool,
) -> Result<SenderPool, Problem> {
    let (name, grants) = (name(request.name)?, members(&request.grant_ids)?);
    let id = SenderPoolId::new(act.at, platform.entropy.ten());
    let command = PutSenderPool { act, application_id, id, is_new: true, name: Some(name), grants: Some(grants) };
    done(platform.store.run(command).await?)
}

/// Changes a pool.
pub async fn update(
    platform: &Platform,
    act: Act,
    (application_id, id): (ApplicationId, SenderPoolId),
    request: schema::UpdateSenderPool,
) -> Result<SenderPool, Problem> {
    let name = request.name.map(name).transpose()?;
    let grants = request.grant_ids.as_deref().map(members).transpose()?;
    done(platform.store.run(PutSenderPool { act, application_id, id, is_new: false, name, grants }).await?)
}

fn done(outcome: PoolOutcome) -> Result<SenderPool, Problem> {
    match outcome {
        PoolOutcome::Done(pool) => Ok(pool),
        PoolOutcome::NotFound => Err(Problem::not_found()),
        PoolOutcome::TooMany => {
            let text = format!("an application has at most {POOLS_MAX} pools of senders");
            Err(Problem::new(ProblemKind::Conflict, "sender_pools_max_reached", text))
        }
        PoolOutcome::NoSuchGrant(grant) => Err(in_members(format!("grant_ids: {grant} is no mailbox"))),
    }
}

fn name(name: String) -> Result<String, Problem> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::invalid("name", format!("name must have 1 to {NAME_CHARS_MAX} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "name must not have control characters"));
    }
    Ok(name)
}

fn members(ids: &[String]) -> Result<Vec<GrantId>, Problem> {
    if !(1..=MEMBERS_MAX).contains(&ids.len()) {
        return Err(in_members(format!("grant_ids must name 1 to {MEMBERS_MAX} mailboxes")));
    }
    let read = |id: &String| id.parse().map_err(|_| in_members("grant_ids must be ids of mailboxes".to_owned()));
    ids.iter().map(read).collect()
}

fn in_members(text: String) -> Problem {
    Problem::invalid("grant_ids", text)
}

/// Removes a pool.
pub async fn remove(
    platform: &Platform,
    act: Act,
    application_id: ApplicationId,
    id: SenderPoolId,
) -> Result<(), Problem> {
    match platform.store.run(RemoveSenderPool { act, application_id, id }).await? {
        true => Ok(()),
        false => Err(Problem::not_found()),
    }
}

/// An application's pools, oldest first.
pub async fn list(platform: &Platform, application: ApplicationId) -> Result<Vec<SenderPool>, Problem> {
    Ok(sender_pools::list(&mut platform.store.reader().await?, application).await?)
}

/// A pool of an application.
pub async fn find(platform: &Platform, application: ApplicationId, id: SenderPoolId) -> Result<SenderPool, Problem> {
    let found = sender_pools::find(&mut platform.store.reader().await?, application, id).await?;
    found.ok_or_else(Problem::not_found)
}

/// Shows a pool.
pub fn show(pool: &SenderPool) -> schema::SenderPool {
    schema::SenderPool {
        id: pool.id.to_string(),
        name: pool.name.clone(),
        grant_ids: pool.grants.iter().map(ToString::to_string).collect(),
        created_at: pool.created_at.as_seconds(),
        updated_at: pool.updated_at.as_seconds(),
    }
}

/// How a member stands for the choice.
fn standing(member: &PoolMember) -> Member {
    let left = |warm_up: WarmUp| warm_up.cap().map(|cap| cap.saturating_sub(warm_up.used));
    let to_count = |warm_up: WarmUp| warm_up.cap().map_or(0, |cap| cap.div_ceil(2).saturating_sub(warm_up.used));
    Member {
        grant: member.grant,
        domain: 0,
        obstacle: (!member.is_verified)
            .then_some(Obstacle::Unverified)
            .or(member.is_stopped.then_some(Obstacle::Stopped)),
        health: match member.reputation {
            State::UnderReview | State::Paused => Health::Endangered,
            State::Healthy if !member.is_drifting => Health::Good,
            State::Healthy | State::Elevated => Health::Impaired,
        },
        quota: member.daily.remaining(),
        warm_up: member.warm_up.and_then(left),
        to_count: member.warm_up.map_or(0, to_count),
        sent_today: member.daily.used,
    }
}

/// How all of them do, each with its domain.
fn standings(members: &[PoolMember], one: impl Fn(&PoolMember) -> Member) -> Vec<Member> {
    let domain = |member: &PoolMember| members.iter().position(|other| other.email.domain() == member.email.domain());
    members.iter().map(|member| Member { domain: domain(member).unwrap_or(0), ..one(member) }).collect()
}

/// A member at the beginning of a day on which nothing was sent yet.
fn at_dawn(member: &PoolMember) -> Member {
    let daily = postfleet_core::quota::Allowance { used: 0, ..member.daily };
    let warm_up = member.warm_up.map(|warm_up| WarmUp { used: 0, ..warm_up });
    standing(&PoolMember { daily, warm_up, ..member.clone() })
}

/// Shows a pool with its members, first those that would be tried first.
pub async fn details(platform: &Platform, pool: &SenderPool) -> Result<schema::SenderPoolDetails, Problem> {
    let now = platform.clock.now();
    let found = sender_pools::members(&mut platform.store.reader().await?, pool.id, now).await?;
    let standings = standings(&found, standing);
    let order = sender_pool::choose(&standings, None);
    let total: u64 = found.iter().map(|member| member.sent_lately).sum();
    let mut members: Vec<_> = found.iter().zip(&standings).collect();
    members.sort_by_key(|(member, standing)| {
        let place = order.iter().position(|grant| *grant == member.grant).unwrap_or(order.len());
        (standing.passed_over().is_some(), place, member.grant)
    });
    let show = |(member, standing): (&PoolMember, &Member)| schema::SenderPoolMember {
        grant_id: member.grant.to_string(),
        email: member.email.to_string(),
        domain_id: member.domain.map(|id| id.to_string()),
        is_ready: standing.passed_over().is_none(),
        obstacle: standing.passed_over().map(Obstacle::name),
        health: standing.health.name(),
        remaining: standing.room(),
        sent_today: member.daily.used,
        sent_lately: member.sent_lately,
        share: if total == 0 { 0.0 } else { member.sent_lately as f64 / total as f64 },
    };
    let members = members.into_iter().map(show).collect();
    let schema::SenderPool { id, name, grant_ids, created_at, updated_at } = self::show(pool);
    Ok(schema::SenderPoolDetails { id, name, grant_ids, created_at, updated_at, members })
}

/// How a volume would spread over a pool on a day like today, from its beginning on.
pub async fn plan(platform: &Platform, pool: &SenderPool, volume: u64) -> Result<schema::SenderPoolPlan, Problem> {
    if !(1..=PLANNED_MAX).contains(&volume) {
        return Err(Problem::invalid("volume", format!("volume must be 1 to {PLANNED_MAX}")));
    }
    let now = platform.clock.now();
    let found = sender_pools::members(&mut platform.store.reader().await?, pool.id, now).await?;
    let standings = standings(&found, at_dawn);
    let (messages, unsent) = sender_pool::spread(&standings, volume);
    let mut domains: Vec<schema::PlannedDomain> = Vec::new();
    for (member, messages) in found.iter().zip(&messages) {
        let domain = member.email.domain().to_string();
        match domains.iter_mut().find(|known| known.domain == domain) {
            Some(known) => known.messages += messages,
            None => domains.push(schema::PlannedDomain { domain, messages: *messages }),
        }
    }
    domains.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.domain.cmp(&b.domain)));
    let show = |((member, standing), messages): ((&PoolMember, &Member), u64)| schema::PlannedMember {
        grant_id: member.grant.to_string(),
        email: member.email.to_string(),
        messages,
        limit: standing.room(),
        obstacle: standing.passed_over().map(Obstacle::name),
    };
    let members = found.iter().zip(&standings).zip(messages).map(show).collect();
    Ok(schema::SenderPoolPlan { volume, members, domains, unsent })
}

/// Sends a message from a mailbox of a pool; answers which it was.
pub async fn send(platform: &Platform, pool: &SenderPool, outgoing: Outgoing) -> Result<(Grant, Sent), Problem> {
    let candidates = candidates(platform, pool, &outgoing).await?;
    let mut refusal = None;
    for (index, id) in candidates.iter().enumerate() {
        let found = grants::find(&mut platform.store.reader().await?, pool.application_id, *id).await?;
        // It was removed a moment ago.
        let Some(grant) = found else { continue };
        let mut terms = outgoing.terms.clone();
        terms.pool = Some(pool.id);
        match submit::send(platform, &grant, Outgoing { terms, ..outgoing.clone() }).await {
            Ok(sent) => return Ok((grant, sent)),
            Err(problem) if sender_pool::is_of_member(&problem) && index + 1 < candidates.len() => {
                refusal.get_or_insert(problem);
            }
            // What the first one said is told if nobody could.
            Err(problem) if sender_pool::is_of_member(&problem) => return Err(refusal.unwrap_or(problem)),
            Err(problem) => return Err(problem),
        }
    }
    Err(refusal.unwrap_or_else(no_members))
}

fn no_members() -> Problem {
    Problem::new(ProblemKind::Conflict, "sender_pool_empty", "the pool has no mailboxes any more")
}

/// Who is tried, in this order. The message that is answered is in one mailbox alone.
async fn candidates(platform: &Platform, pool: &SenderPool, outgoing: &Outgoing) -> Result<Vec<GrantId>, Problem> {
    if let Some(answered) = outgoing.reply_to_message_id.as_deref().filter(|id| !id.is_empty())
        && let Some(holder) = holder(platform, pool, answered).await?
    {
        return Ok(vec![holder]);
    }
    let mut reader = platform.store.reader().await?;
    let recipient = outgoing.to.first().or(outgoing.cc.first()).or(outgoing.bcc.first());
    let conversation = match recipient.and_then(|person| EmailAddress::parse(&person.email).ok()) {
        Some(address) => sender_pools::wrote_to(&mut reader, pool.id, &address).await?,
        None => None,
    };
    let found = sender_pools::members(&mut reader, pool.id, platform.clock.now()).await?;
    let standings = standings(&found, standing);
    Ok(sender_pool::choose(&standings, conversation))
}

/// The mailbox of the pool that has a message, by its id or its Message-ID.
async fn holder(platform: &Platform, pool: &SenderPool, answered: &str) -> Result<Option<GrantId>, Problem> {
    if let Ok(id) = answered.parse::<MessageId>() {
        let holder = sender_pools::holder_of(&mut platform.store.reader().await?, id).await?;
        return Ok(holder.filter(|grant| pool.grants.contains(grant)));
    }
    let bare = answered.trim().trim_start_matches('<').trim_end_matches('>');
    for grant in &pool.grants {
        if with_message_id(&platform.store, *grant, bare).await?.is_some() {
            return Ok(Some(*grant));
        }
    }
    Ok(None)
}

/// Forgets who was written to long ago.
pub async fn prune_once(platform: &Platform) -> Result<u64, Problem> {
    Ok(platform.store.run(PrunePoolRecipients { at: platform.clock.now(), limit: ROWS_MAX }).await?)
}
