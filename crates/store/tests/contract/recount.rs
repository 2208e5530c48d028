//! Counting anew: it agrees to the last octet while mail is sent, and what is wrong is found and set right.

use crate::support::{
    Engine, NOON, Statement, Tenant, at, bounced, claim, fresh, number, on_each_engine_with, record, report, tenant,
};
use postfleet_core::UnixMicros;
use postfleet_core::delivery::AfterAttempt;
use postfleet_core::id::{ApplicationId, AuditId, GrantId, OrganizationId, WorkspaceId};
use postfleet_core::plan::{Plan, Plans};
use postfleet_core::rate::SendRates;
use postfleet_store::applications::{Application, CreateApplication, RemoveApplication, RemoveOutcome};
use postfleet_store::drafts::CreateDraft;
use postfleet_store::grants::PruneRemoved;
use postfleet_store::messages::FiledCopy;
use postfleet_store::organizations::Scope;
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::recount::{self, ClaimRecount, Counter, Drift, Recount, Repair, SaveRecount, Subject};
use postfleet_store::retention::{AfterJunk, PruneMailbox};
use postfleet_store::transfers::PruneTransfers;
use postfleet_store::{Store, params};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn plans() -> Plans {
    let free = Plans::presets().find("free").expect("plan").clone();
    let tight = Plan { name: "tight".into(), grants_max: None, monthly_sends_max: Some(40), ..(*free).clone() };
    // Many are sent in one moment of these cases.
    Plans::with([Plan { send_rates: SendRates::default(), ..tight }])
}

/// Two applications of one organization.
async fn tenants(store: &Store) -> [Tenant; 2] {
    let first = tenant(store, "tight", Some(12)).await;
    let second = Tenant {
        application: ApplicationId::from_uuid(fresh()),
        workspace: WorkspaceId::from_uuid(fresh()),
        ..first.clone()
    };
    let application = Application {
        id: second.application,
        organization_id: first.organization,
        name: "Second".into(),
        environment: "production".into(),
        default_workspace_id: second.workspace,
        details: Default::default(),
        created_at: NOON,
        updated_at: NOON,
    };
    assert!(store.run(CreateApplication { application, act: first.act(NOON) }).await.expect("application"));
    [first, second]
}

async fn recounted(store: &Store, organization: OrganizationId, now: UnixMicros) -> Recount {
    recount::of_organization(store, organization, now).await.expect("recount").expect("organization")
}

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Mailboxes at work.
struct Work<'a> {
    store: &'a Store,
    tenants: [Tenant; 2],
    /// Each with the place of its application.
    grants: Vec<(usize, GrantId)>,
    dice: Dice,
    refused: usize,
    pruned: u64,
}

impl Work<'_> {
    async fn mailbox(&mut self, place: usize) {
        let name = format!("box{}", fresh().simple());
        self.grants.push((place, self.tenants[place].mailbox(self.store, &name).await));
    }

    fn any(&mut self) -> (Tenant, GrantId) {
        let index = self.dice.roll(self.grants.len());
        let (place, grant) = self.grants[index];
        (self.tenants[place].clone(), grant)
    }

    async fn step(&mut self, now: UnixMicros) {
        match self.dice.roll(12) {
            0..=2 => self.deliver(now).await,
            3..=6 => self.submit(now).await,
            7 => self.draft(now).await,
            8 | 9 => self.attempt(now).await,
            10 => {
                let place = self.dice.roll(2);
                self.mailbox(place).await;
            }
            _ => {
                let index = self.dice.roll(self.grants.len());
                let (place, grant) = self.grants.swap_remove(index);
                assert!(self.store.run(self.tenants[place].removal(grant, now)).await.expect("removal"));
                self.mailbox(place).await;
                self.store.run(PruneRemoved { limit: 3 }).await.expect("prune");
            }
        }
    }

    /// A message to some mailboxes of both applications, and one that comes in at the same time; meanwhile old mail goes.
    async fn deliver(&mut self, now: UnixMicros) {
        let (first, grant) = self.any();
        let mut command = first.received(self.store, &[grant], now).await;
        for _ in 0..2 {
            let (other, grant) = self.any();
            if command.copies.iter().all(|filing| filing.copy.grant_id != grant) {
                command.copies.push(FiledCopy::plain(other.copy(grant), &command.facts));
            }
        }
        let (second, grant) = self.any();
        let beside = second.received(self.store, &[grant], now).await;
        // As old as it is 31 days later, so that the month is the same.
        let old = PruneMailbox {
            grant_id: grant,
            limit: 3,
            after: AfterJunk::START,
            event_seed: [1; 32],
            audit_id: AuditId::from_uuid(fresh()),
            now: now.plus(Duration::from_secs(31 * 86_400)),
        };
        let receiving = async { tokio::join!(self.store.run_near(1, command), self.store.run_near(2, beside)) };
        let ((one, two), old) = tokio::join!(receiving, self.store.run_near(3, old));
        self.pruned += old.expect("prune").inbox.messages;
        one.expect("deliver").expect("room");
        two.expect("deliver").expect("room");
    }

    /// Several at once, of which some may be refused.
    async fn submit(&mut self, now: UnixMicros) {
        let mut commands = Vec::new();
        for shard in 0..4 {
            let (tenant, grant) = self.any();
            let command: Submit = tenant.submission(self.store, grant, 1 + shard, now).await;
            commands.push(self.store.run_near(shard as u64, command));
        }
        for outcome in futures::future::join_all(commands).await {
            self.refused += usize::from(matches!(outcome.expect("submit"), SubmitOutcome::Refused(_)));
        }
    }

    async fn draft(&mut self, now: UnixMicros) {
        let (tenant, grant) = self.any();
        let Submit { blob, mut facts, copy, .. } = tenant.submission(self.store, grant, 1, now).await;
        facts.folder = "drafts";
        let draft = CreateDraft { blob, facts, copy, thread_id: None, starred: false, schedule: None, answer: None };
        self.store.run(draft).await.expect("draft");
    }

    /// Some recipients are never reached, so that quota is given back; also to mailboxes that are gone.
    async fn attempt(&mut self, now: UnixMicros) {
        let taken = claim("worker", now, 4);
        for row in self.store.run(taken.clone()).await.expect("claim").rows {
            let (after, reached) =
                if self.dice.roll(2) == 0 { (bounced(), false) } else { (AfterAttempt::Delivered, true) };
            let command = record(taken.lease.id, vec![report(&row, after, reached)], row.message_id, now);
            self.store.run(command).await.expect("record");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recount_finds_nothing_wrong_while_mail_is_sent() {
    on_each_engine_with(plans(), async |engine: &Engine| {
        let store = &engine.store;
        let tenants = tenants(store).await;
        let organization = tenants[0].organization;
        let mut work = Work { store, tenants, grants: Vec::new(), dice: Dice(7), refused: 0, pruned: 0 };
        for place in [0, 0, 1, 1] {
            work.mailbox(place).await;
        }
        let end = NOON.day().month().end();
        let midnight = end.minus(Duration::from_secs(86_400));
        let times = [midnight.minus(Duration::from_secs(1)), midnight, end, end.plus(Duration::from_secs(86_400))];
        let is_over = AtomicBool::new(false);
        let watch = async {
            let mut recounts = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(recounted(store, organization, end).await.drift, [], "while mail is sent");
                recounts += 1;
            }
            recounts
        };
        let labour = async {
            for time in times {
                for _ in 0..60 {
                    work.step(time).await;
                }
            }
            is_over.store(true, Ordering::Relaxed);
        };
        let (recounts, ()) = tokio::join!(watch, labour);
        assert!(work.pruned > 20, "{} messages removed", work.pruned);
        assert!(recounts > 3 && work.refused > 10, "{recounts} recounts, {} refusals", work.refused);
        let found = recounted(store, organization, end).await;
        assert_eq!((found.mailboxes, found.drift), (work.grants.len() as u64, vec![]));
        let given_back = number(store, "SELECT count(*) FROM outbound", &[]).await;
        assert!(found.transfers > 50 && given_back > 0);
        const BY_REMOVED: &str = "SELECT CAST(sum(sent_by_removed) AS {int}) FROM usage";
        assert!(number(store, BY_REMOVED, &[]).await > 0, "mailboxes that had sent were removed");
    })
    .await;
}

/// Something that makes a counter wrong, and by how much.
struct Falsified {
    statement: &'static str,
    subject: Subject,
    counter: Counter,
    by: i64,
}

#[tokio::test]
async fn a_counter_that_is_wrong_is_found_and_set_right() {
    on_each_engine_with(plans(), async |engine: &Engine| {
        let store = &engine.store;
        let [tenant, _] = tenants(store).await;
        let (grant, gone) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        tenant.submit(store, gone, 1, NOON).await;
        assert!(store.run(tenant.removal(gone, NOON)).await.expect("removal"));
        tenant.submit(store, grant, 2, NOON).await;
        tenant.deliver(store, grant, NOON).await;
        let organization = Subject::Organization(tenant.organization);
        let application = Subject::Application(tenant.application);
        let (day, month) = (NOON.day(), NOON.day().month());
        let falsified = |statement, subject, counter, by| Falsified { statement, subject, counter, by };
        let cases = [
            falsified("UPDATE organizations SET grant_count = grant_count + 2", organization, Counter::Accounts, 2),
            falsified(
                "UPDATE mailboxes SET storage_octets = storage_octets - 9",
                Subject::Grant(grant),
                Counter::Storage,
                -9,
            ),
            falsified(
                "UPDATE daily_sends SET sent = sent + 3 WHERE grant_id = (SELECT grant_id FROM mailboxes)",
                Subject::Grant(grant),
                Counter::DailySends(day),
                3,
            ),
            falsified(
                "UPDATE daily_sends SET sent = 0 WHERE grant_id = (SELECT grant_id FROM mailboxes)",
                Subject::Grant(grant),
                Counter::DailySends(day),
                // One at first, and one in each case before.
                -4,
            ),
            falsified(
                "UPDATE daily_sends SET received = received - 2 WHERE grant_id = (SELECT grant_id FROM mailboxes)",
                Subject::Grant(grant),
                Counter::DailyReceived(day),
                -2,
            ),
            falsified(
                "UPDATE usage SET stored = stored + 70 WHERE month = 0 AND owner_id = (SELECT id FROM organizations)",
                organization,
                Counter::Storage,
                70,
            ),
            falsified(
                "UPDATE usage SET sent = sent - 1 WHERE month > 0 AND owner_id = (SELECT id FROM organizations)",
                organization,
                Counter::MonthlySends(month),
                -1,
            ),
            falsified(
                "UPDATE usage SET sent_by_removed = 8 WHERE month > 0 AND owner_id = \
                 (SELECT application_id FROM mailboxes)",
                application,
                Counter::SendsOfRemoved(month),
                7,
            ),
            falsified(
                "UPDATE usage SET octets_in = octets_in + 5 WHERE month > 0 AND owner_id = \
                 (SELECT application_id FROM mailboxes)",
                application,
                Counter::OctetsIn(month),
                5,
            ),
            falsified(
                "UPDATE usage SET octets_out = octets_out + 6 WHERE month > 0 AND owner_id = \
                 (SELECT id FROM organizations)",
                organization,
                Counter::OctetsOut(month),
                6,
            ),
        ];
        assert_eq!(recounted(store, tenant.organization, NOON).await.drift, []);
        for (number_of_repairs, case) in cases.iter().enumerate() {
            assert_eq!(store.run(Statement(case.statement)).await.expect("falsify"), 1, "{}", case.statement);
            let found = recounted(store, tenant.organization, NOON).await;
            let [drift] = found.drift[..] else { panic!("{}: {:?}", case.statement, found.drift) };
            let Drift { subject, counter, counted, recounted: real } = drift;
            assert_eq!((subject, counter, counted - real), (case.subject, case.counter, case.by));
            // What happens before the repair stays counted.
            tenant.submit(store, grant, 1, at(60)).await;
            tenant.deliver(store, grant, at(60)).await;
            let repair = Repair {
                act: tenant.act(at(90)),
                organization_id: tenant.organization,
                repairs: found.repairs,
                drift: found.drift,
            };
            assert_eq!(found.repairs, number_of_repairs as i64);
            assert!(store.run(repair.clone()).await.expect("repair"));
            let again = Repair { act: tenant.act(at(90)), ..repair };
            assert!(!store.run(again).await.expect("repair"), "nothing is repaired twice");
            assert_eq!(recounted(store, tenant.organization, NOON).await.drift, [], "{}", case.statement);
        }
        const RECORDS: &str = "SELECT count(*) FROM audit WHERE action = 'usage.repaired' AND target_id = $1";
        let records = number(store, RECORDS, params![&tenant.organization.to_string()]).await;
        assert_eq!(records, cases.len() as i64);
    })
    .await;
}

#[tokio::test]
async fn the_month_before_is_counted_anew_and_older_ones_are_left_alone() {
    on_each_engine_with(plans(), async |engine: &Engine| {
        let store = &engine.store;
        let [tenant, _] = tenants(store).await;
        let grant = tenant.mailbox(store, "a").await;
        let next = NOON.day().month().end();
        let later = next.day().month().end();
        for time in [NOON, next, later] {
            tenant.submit(store, grant, 1, time).await;
        }
        let prune = PruneTransfers { before: later.day().month().previous().first_day(), limit: 10 };
        assert_eq!(store.run(prune).await.expect("prune"), 1);
        assert_eq!(store.run(prune).await.expect("prune"), 0);
        let found = recounted(store, tenant.organization, later).await;
        assert_eq!((found.transfers, found.drift), (2, vec![]));
        const FALSIFY: &str = "UPDATE usage SET sent = sent + 1 WHERE owner_id = (SELECT id FROM organizations) \
            AND month > 0";
        assert_eq!(store.run(Statement(FALSIFY)).await.expect("falsify"), 3);
        let counters: Vec<Counter> =
            recounted(store, tenant.organization, later).await.drift.iter().map(|drift| drift.counter).collect();
        let (month, before) = (later.day().month(), next.day().month());
        assert_eq!(counters, [Counter::MonthlySends(before), Counter::MonthlySends(month)]);
    })
    .await;
}

#[tokio::test]
async fn an_application_that_is_removed_leaves_its_sends_with_the_organization() {
    on_each_engine_with(plans(), async |engine: &Engine| {
        let store = &engine.store;
        let [first, second] = tenants(store).await;
        let (kept, gone) = (first.mailbox(store, "a").await, second.mailbox(store, "b").await);
        first.submit(store, kept, 1, NOON).await;
        second.submit(store, gone, 1, NOON).await;
        assert!(store.run(second.removal(gone, NOON)).await.expect("removal"));
        let command =
            RemoveApplication { id: second.application, scope: Scope::Of(second.organization), act: second.act(NOON) };
        assert_eq!(store.run(command).await.expect("remove"), RemoveOutcome::Removed);
        assert_eq!(recounted(store, first.organization, NOON).await.drift, []);
    })
    .await;
}

#[tokio::test]
async fn each_organization_is_taken_by_one_node_and_again_when_it_is_due() {
    on_each_engine_with(plans(), async |engine: &Engine| {
        let store = &engine.store;
        let organizations =
            [tenant(store, "tight", None).await.organization, tenant(store, "tight", None).await.organization];
        let take = |seconds| ClaimRecount { now: at(seconds), until: at(seconds + 60) };
        let mut taken = vec![
            store.run(take(0)).await.expect("claim").expect("one"),
            store.run(take(1)).await.expect("claim").expect("other"),
        ];
        taken.sort();
        assert_eq!(taken, organizations);
        assert_eq!(store.run(take(2)).await.expect("claim"), None);
        assert_eq!(
            store.run(take(60)).await.expect("claim"),
            Some(organizations[0]),
            "its node did not come to an end"
        );
        let save = SaveRecount { organization_id: organizations[0], found: "{}".into(), drift: 0, next: at(1_000) };
        store.run(save.clone()).await.expect("save");
        assert_eq!(store.run(take(61)).await.expect("claim"), Some(organizations[1]));
        assert_eq!(store.run(take(62)).await.expect("claim"), None);
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(recount::last(&mut reader, organizations[0]).await.expect("last"), Some(Some("{}".into())));
        assert_eq!(recount::last(&mut reader, organizations[1]).await.expect("last"), Some(None));
        assert_eq!(recount::adrift(&mut reader, 10).await.expect("adrift"), [""; 0]);
        store.run(SaveRecount { drift: 2, ..save }).await.expect("save");
        assert_eq!(recount::adrift(&mut reader, 10).await.expect("adrift"), ["{}"]);
    })
    .await;
}
