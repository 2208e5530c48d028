//! Pools of senders: which of several mailboxes a message leaves from, so that volume spreads over their domains, and how
//! much of a day's volume each of them would get.

use crate::id::GrantId;
use crate::outbound::DAILY_QUOTA_EXCEEDED;
use crate::problem::Problem;
use crate::warm_up::DOMAIN_WARM_UP_EXCEEDED;
use crate::words::words;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Mailboxes of one pool.
pub const MEMBERS_MAX: usize = 100;

/// Pools of one application.
pub const POOLS_MAX: u64 = 100;

/// Messages of a day that can be asked about.
pub const PLANNED_MAX: u64 = 1_000_000;

words! {
    /// How well a mailbox's domain stands.
    Health {
        /// Nothing is wrong.
        Good = "good",
        /// Something is: it sends while there is nobody better.
        Impaired = "impaired",
        /// It sends only if nobody else can.
        Endangered = "endangered",
    }
}

words! {
    /// Why a mailbox is passed over.
    Obstacle {
        /// Its domain may not send.
        Unverified = "domain_unverified",
        /// Something stops it.
        Stopped = "stopped",
        /// It has sent its messages of the day.
        Quota = "daily_quota",
        /// Its domain is being warmed up and has sent its messages of the day.
        WarmUp = "warm_up",
    }
}

/// A mailbox of a pool, as it stands now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Which.
    pub grant: GrantId,
    /// Which of the domains of the pool it is on.
    pub domain: usize,
    /// Whether its domain is known to be stopped, or not verified.
    pub obstacle: Option<Obstacle>,
    /// How well its domain stands.
    pub health: Health,
    /// What is left of its own messages of the day; `None` without a limit.
    pub quota: Option<u64>,
    /// What is left of its domain's, if that is being warmed up.
    pub warm_up: Option<u64>,
    /// What its domain still has to send today so that the day counts for its warm-up.
    pub to_count: u64,
    /// Messages of today.
    pub sent_today: u64,
}

impl Member {
    /// Messages that it may send today; `None` without a limit.
    pub fn room(&self) -> Option<u64> {
        self.quota.into_iter().chain(self.warm_up).min()
    }

    /// Why it is passed over, if it is.
    pub fn passed_over(&self) -> Option<Obstacle> {
        let used_up = |left: Option<u64>, why| left.filter(|left| *left == 0).map(|_| why);
        self.obstacle.or(used_up(self.quota, Obstacle::Quota)).or(used_up(self.warm_up, Obstacle::WarmUp))
    }

    /// Lower goes first: the healthiest; of those one whose warm-up needs it; of those one with the most room; of those the
    /// one that has sent least; of those the oldest.
    fn place(&self) -> (usize, bool, Reverse<u64>, u64, GrantId) {
        let room = Reverse(self.room().unwrap_or(u64::MAX));
        (self.health as usize, self.to_count == 0, room, self.sent_today, self.grant)
    }

    /// After it has sent one more.
    fn with_one_more(self) -> Self {
        Self { quota: self.quota.map(|left| left.saturating_sub(1)), sent_today: self.sent_today + 1, ..self }
    }

    /// After somebody of its domain has.
    fn with_one_more_of_domain(self) -> Self {
        Self {
            warm_up: self.warm_up.map(|left| left.saturating_sub(1)),
            to_count: self.to_count.saturating_sub(1),
            ..self
        }
    }
}

/// Who is tried, first ones first: the mailbox that has the conversation, unless it cannot send at all, then the others that
/// can. If nobody can, one of them is tried all the same: it says why not, or keeps the message for later.
pub fn choose(members: &[Member], conversation: Option<GrantId>) -> Vec<GrantId> {
    let mut able: Vec<&Member> = members.iter().filter(|member| member.passed_over().is_none()).collect();
    able.sort_by_key(|member| (Some(member.grant) != conversation, member.place()));
    if able.is_empty() {
        let has_it = |member: &&Member| Some(member.grant) != conversation;
        able.extend(members.iter().min_by_key(|member| {
            (has_it(member), member.passed_over().map(|why| Reverse(why as usize)), member.place())
        }));
    }
    able.into_iter().map(|member| member.grant).collect()
}

/// Whether a refusal is about the mailbox that was tried, so that another one may do better. What a rule, a key or the
/// application's quota says is not got round.
pub fn is_of_member(problem: &Problem) -> bool {
    let scope = problem.exhausted.as_ref().map(|exhausted| exhausted.scope);
    match problem.code {
        "sender_domain_unverified" | "account_paused" | "sending_paused" | "abuse_restriction" => true,
        DAILY_QUOTA_EXCEEDED | DOMAIN_WARM_UP_EXCEEDED | "too_many_holds" => true,
        "storage_full" | "rate_limit_exceeded" => matches!(scope, Some("grant" | "domain")),
        _ => false,
    }
}

/// How a day's volume spreads: what each member sends, in their order, and what nobody can. By [`choose`], one message
/// after the other, each of a conversation of its own.
pub fn spread(members: &[Member], volume: u64) -> (Vec<u64>, u64) {
    let mut state: Vec<Member> = members.to_vec();
    let mut sent = vec![0; members.len()];
    let is_peer = |one: &Member, other: &Member| one.warm_up.is_some() && one.domain == other.domain;
    let peers_of = |one: &Member| (0..members.len()).filter(|other| is_peer(one, &members[*other])).collect();
    let peers: Vec<Vec<usize>> = members.iter().map(peers_of).collect();
    let mut waiting: BinaryHeap<_> =
        state.iter().enumerate().map(|(index, member)| Reverse((member.place(), index))).collect();
    let mut left = volume.min(PLANNED_MAX);
    while left > 0 {
        let Some(Reverse((place, index))) = waiting.pop() else { break };
        if state[index].passed_over().is_some() {
            continue;
        }
        // Others of its domain have sent meanwhile, by which nobody gets a better place.
        if state[index].place() == place {
            sent[index] += 1;
            left -= 1;
            state[index] = state[index].with_one_more();
            for peer in &peers[index] {
                state[*peer] = state[*peer].with_one_more_of_domain();
            }
        }
        waiting.push(Reverse((state[index].place(), index)));
    }
    (sent, left + volume.saturating_sub(PLANNED_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Exhausted, ProblemKind};
    use uuid::Uuid;

    fn id(number: u128) -> GrantId {
        GrantId::from_uuid(Uuid::from_u128(number))
    }

    fn member(number: u128) -> Member {
        Member {
            grant: id(number),
            domain: number as usize,
            obstacle: None,
            health: Health::Good,
            quota: None,
            warm_up: None,
            to_count: 0,
            sent_today: 0,
        }
    }

    fn order(members: &[Member], conversation: Option<u128>) -> Vec<u128> {
        choose(members, conversation.map(id)).into_iter().map(|grant| grant.uuid().as_u128()).collect()
    }

    #[test]
    fn the_healthiest_with_most_room_goes_first() {
        let impaired = Member { health: Health::Impaired, ..member(1) };
        let endangered = Member { health: Health::Endangered, ..member(2) };
        let narrow = Member { quota: Some(5), ..member(3) };
        let wide = Member { quota: Some(50), ..member(4) };
        let open = Member { sent_today: 900, ..member(5) };
        let warming = Member { warm_up: Some(20), to_count: 10, ..member(6) };
        let counted = Member { warm_up: Some(10), ..member(7) };
        let all = [impaired, endangered, narrow, wide, open, warming, counted];
        assert_eq!(order(&all, None), [6, 5, 4, 7, 3, 1, 2]);
        assert_eq!(order(&all, Some(2)), [2, 6, 5, 4, 7, 3, 1], "who has the conversation goes before all");
    }

    #[test]
    fn ties_go_to_who_has_sent_least_and_then_by_id() {
        let busy = Member { sent_today: 2, ..member(1) };
        assert_eq!(order(&[member(3), busy, member(2)], None), [2, 3, 1]);
    }

    #[test]
    fn who_cannot_send_is_passed_over_also_with_the_conversation() {
        let full = Member { quota: Some(0), ..member(1) };
        let warm = Member { warm_up: Some(0), quota: Some(9), ..member(2) };
        let unverified = Member { obstacle: Some(Obstacle::Unverified), ..member(3) };
        assert_eq!(order(&[full, warm, unverified, member(4)], Some(1)), [4]);
        assert_eq!(
            [full, warm, unverified].map(|one| one.passed_over()),
            [Some(Obstacle::Quota), Some(Obstacle::WarmUp), Some(Obstacle::Unverified)]
        );
        assert_eq!(order(&[full, unverified], Some(1)), [1], "somebody says why not");
        assert_eq!(order(&[unverified, full, warm], None).len(), 1);
        assert!(order(&[], None).is_empty());
    }

    #[test]
    fn only_what_concerns_one_mailbox_sends_to_the_next() {
        let of = |code, scope| {
            let exhausted = Exhausted { scope, limit: 1, used: 1, resets_at: None };
            let problem = Problem::new(ProblemKind::OverQuota, code, "x");
            is_of_member(&Problem { exhausted: Some(Box::new(exhausted)), ..problem })
        };
        assert!(of("daily_quota_exceeded", "grant") && of("domain_warm_up_exceeded", "domain"));
        assert!(
            of("rate_limit_exceeded", "domain") && of("rate_limit_exceeded", "grant") && of("storage_full", "grant")
        );
        assert!(!of("rate_limit_exceeded", "api_key") && !of("storage_full", "organization"));
        assert!(!of("monthly_quota_exceeded", "organization") && !of("per_second_rate_limit_exceeded", "organization"));
        assert!(!of("blocked_by_rule", "grant"), "rules are not got round");
    }

    #[test]
    fn a_volume_spreads_as_messages_are_chosen_one_by_one() {
        let warming = Member { warm_up: Some(20), to_count: 10, ..member(1) };
        let quota = Member { quota: Some(30), ..member(2) };
        assert_eq!(spread(&[member(3), member(4), warming, quota], 100), (vec![45, 45, 10, 0], 0));
        assert_eq!(spread(&[warming, quota], 100), (vec![20, 30], 50));
        let beside = Member { domain: 1, quota: Some(3), ..warming };
        assert_eq!(spread(&[warming, beside], 100), (vec![17, 3], 80), "a warm-up is of the domain, not of each");
        assert_eq!(spread(&[], 7), (vec![], 7));
        assert_eq!(spread(&[quota], PLANNED_MAX + 5), (vec![30], PLANNED_MAX - 25));
    }

    proptest::proptest! {
        /// Nobody gets more than there is room for, nothing is lost, and nothing is left while there is room.
        #[test]
        fn nothing_is_lost_in_spreading(
            rooms in proptest::collection::vec((proptest::option::of(0u64..50), proptest::option::of(0u64..50)), 0..6),
            volume in 0u64..300,
        ) {
            let members: Vec<Member> = rooms.iter().enumerate().map(|(index, (quota, warm_up))| {
                Member { quota: *quota, warm_up: *warm_up, ..member(index as u128) }
            }).collect();
            let (sent, left) = spread(&members, volume);
            proptest::prop_assert_eq!(sent.iter().sum::<u64>() + left, volume);
            for (sent, member) in sent.iter().zip(&members) {
                proptest::prop_assert!(member.room().is_none_or(|room| *sent <= room));
                proptest::prop_assert!(left == 0 || member.room() == Some(*sent));
            }
        }
    }
}
