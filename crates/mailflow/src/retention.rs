//! Removing mail whose time is over. A round does one thing: it takes the next mailboxes and looks which of them have
//! something that is due, or removes a little from one of those. What else is written comes first: while there is
//! something, the rounds keep to a part of the time.

use crate::platform::Platform;
use crate::receive::shard;
use postfleet_core::id::{AuditId, GrantId};
use postfleet_core::retention::Window;
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::retention::{self, AfterJunk, Claim, ClaimMailboxes, PruneMailbox, Pruned};
use std::collections::VecDeque;
use std::time::Duration;

/// Mailboxes that are looked at at once.
const MAILBOXES: usize = 100;

/// Messages that one command removes: few enough that mail does not wait for it.
const MESSAGES: usize = 100;

/// While others write, it rests so many times as long as its last command took, waiting included.
const REST: u32 = 9;

/// What a node knows between two rounds: mailboxes of which something is due, each with the place in junk where it goes
/// on. Nothing is lost with it but the rest of a page, which is looked at again the next time.
#[derive(Debug, Default)]
pub struct Pruning {
    due: VecDeque<(GrantId, AfterJunk)>,
    /// Commands that were committed when the last round ended.
    seen: u64,
}

/// When the next round is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// So much later: there is more to do.
    After(Duration),
    /// Then: there is nothing to do.
    At(UnixMicros),
}

/// Does one round.
pub async fn round(platform: &Platform, pruning: &mut Pruning) -> Result<Next, Problem> {
    let began = platform.clock.now();
    let Some((grant, after)) = pruning.due.pop_front() else { return look(platform, pruning).await };
    let pruned = prune(platform, grant, after).await?;
    // Behind the others, so that a large mailbox does not keep them waiting.
    pruning.due.extend(pruned.next.map(|next| (grant, next)));
    let committed = platform.store.counters().commands();
    let others = committed.saturating_sub(pruning.seen + 1);
    pruning.seen = committed;
    let rest = if others > 0 { platform.clock.now().since(began) * REST } else { Duration::ZERO };
    Ok(Next::After(rest))
}

/// Takes the next mailboxes.
async fn look(platform: &Platform, pruning: &mut Pruning) -> Result<Next, Problem> {
    let now = platform.clock.now();
    let again = now.plus(platform.settings.prune_every);
    let span = match platform.store.run(ClaimMailboxes { now, again, limit: MAILBOXES }).await? {
        Claim::Mailboxes(span) => span,
        Claim::NotBefore(at) => return Ok(Next::At(at)),
        Claim::Elsewhere => return Ok(Next::After(Duration::ZERO)),
    };
    let due = retention::due(&mut platform.store.reader().await?, span, now).await?;
    pruning.due.extend(due.into_iter().map(|grant| (grant, AfterJunk::START)));
    pruning.seen = platform.store.counters().commands();
    // Reading leaves the processor to others, too.
    Ok(Next::After(platform.clock.now().since(now) * REST))
}

async fn prune(platform: &Platform, grant_id: GrantId, after: AfterJunk) -> Result<Pruned, Problem> {
    let now = platform.clock.now();
    let command = PruneMailbox {
        grant_id,
        limit: MESSAGES,
        after,
        event_seed: platform.entropy.thirty_two(),
        audit_id: AuditId::new(now, platform.entropy.ten()),
        now,
    };
    let pruned = platform.store.run_near(shard(grant_id.uuid()), command).await?;
    platform.metrics.pruned(Window::Inbox.name(), pruned.inbox);
    platform.metrics.pruned(Window::Spam.name(), pruned.spam);
    Ok(pruned)
}
