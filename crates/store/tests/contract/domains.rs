//! Domains: who may register them, what follows from looking at the DNS, and the succession of signing keys.

use crate::support::{NOON, Statement, Tenant, at, at_once, fresh, number, on_each_engine, organization, tenant};
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::domain_check::Judgement::{self, Right, Unanswerable, Wrong};
use postfleet_core::domain_records::{RecordKind, RecordStatus};
use postfleet_core::id::{AuditId, DomainId, OrganizationId};
use postfleet_core::plan::Cap;
use postfleet_core::{Domain, Secret, UnixMicros};
use postfleet_store::Store;
use postfleet_store::domains::{
    self, CheckOutcome, ClaimChecks, DkimKey, DomainDetails, Finding, KeyState, NewDomain, RecordChecks,
    RegisterDomain, RegisterOutcome, RemoveDomain, RemoveDomainOutcome, RenameDomain, RotationOutcome, StartRotation,
};
use postfleet_store::grants::GrantOutcome;
use postfleet_store::organizations::OrganizationOutcome;
use std::time::Duration;

const DAY: u64 = 86_400;

fn act(organization: OrganizationId, at: UnixMicros) -> Act {
    Act {
        record_id: AuditId::from_uuid(fresh()),
        actor: Actor { kind: ActorKind::System, id: String::new(), name: "test".into() },
        organization_id: organization,
        application_id: None,
        request_id: String::new(),
        at,
    }
}

fn key(selector: &str) -> DkimKey {
    DkimKey {
        selector: selector.into(),
        algorithm: "rsa-sha256".into(),
        private_key: Secret::new(vec![1]),
        public_record: format!("v=DKIM1; p={selector}"),
    }
}

fn new(name: &str) -> NewDomain {
    NewDomain {
        is_trusted: false,
        is_owned: false,
        ownership_token: "token".into(),
        dkim_keys: vec![key("a"), key("b")],
        ..NewDomain::trusted(DomainId::from_uuid(fresh()), Domain::parse(name).expect("domain"))
    }
}

async fn register(store: &Store, tenant: &Tenant, domain: NewDomain) -> RegisterOutcome {
    let command = RegisterDomain { domain, act: act(tenant.organization, NOON) };
    store.run(command).await.expect("run")
}

/// Registers a domain; answers its id.
async fn registered(store: &Store, tenant: &Tenant, name: &str) -> DomainId {
    let domain = new(name);
    let id = domain.id;
    assert_eq!(register(store, tenant, domain).await, RegisterOutcome::Registered);
    id
}

fn checks(tenant: &Tenant, id: DomainId, findings: Vec<(RecordKind, &str, Judgement)>, at: UnixMicros) -> RecordChecks {
    let finding = |(kind, selector, judgement): (RecordKind, &str, Judgement)| Finding {
        kind,
        selector: selector.to_owned(),
        judgement,
    };
    RecordChecks {
        id,
        findings: findings.into_iter().map(finding).collect(),
        required_to_send: vec![RecordKind::Ownership, RecordKind::Dkim],
        recheck: Duration::from_secs(DAY),
        act: act(tenant.organization, at),
    }
}

async fn find(store: &Store, tenant: &Tenant, id: DomainId) -> DomainDetails {
    let mut reader = store.reader().await.expect("reader");
    domains::find(&mut reader, tenant.organization, id).await.expect("find").expect("domain")
}

async fn due(store: &Store, id: DomainId) -> Option<u64> {
    let due = domains::check_at(&mut store.reader().await.expect("reader"), id).await.expect("read");
    due.map(|due| due.since(NOON).as_secs())
}

async fn audited(store: &Store) -> i64 {
    number(store, "SELECT count(*) FROM audit WHERE target_kind = 'domain'", &[]).await
}

fn ownership(judgement: Judgement) -> (RecordKind, &'static str, Judgement) {
    (RecordKind::Ownership, "", judgement)
}

fn dkim(selector: &'static str, judgement: Judgement) -> (RecordKind, &'static str, Judgement) {
    (RecordKind::Dkim, selector, judgement)
}

#[tokio::test]
async fn a_domain_is_registered_found_renamed_and_removed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (own, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let id = registered(store, &own, "a.test").await;
        for somebody in [&own, &other] {
            assert_eq!(register(store, somebody, new("a.test")).await, RegisterOutcome::Taken);
        }
        let mut reader = store.reader().await.expect("reader");
        let name = Domain::parse("a.test").expect("domain");
        let found = domains::find_name(&mut reader, own.organization, &name).await.expect("find").expect("domain");
        assert_eq!((found.domain.id, found.keys.len(), found.domain.owned_at), (id, 2, None));
        assert!(!domains::is_ours(&mut reader, &name).await.expect("find"), "registered, and not known to be theirs");
        assert_eq!(domains::find(&mut reader, other.organization, id).await.expect("find"), None);
        assert_eq!(domains::find_name(&mut reader, other.organization, &name).await.expect("find"), None);

        let rename = |somebody: &Tenant, label: &str, seconds| RenameDomain {
            id,
            label: label.into(),
            act: act(somebody.organization, at(seconds)),
        };
        assert!(!store.run(rename(&other, "theirs", 1)).await.expect("run"));
        assert!(store.run(rename(&own, "mine", 2)).await.expect("run"));
        let before = audited(store).await;
        assert!(store.run(rename(&own, "mine", 3)).await.expect("run"));
        assert_eq!(audited(store).await, before, "nothing changed, nothing is recorded");
        let renamed = find(store, &own, id).await.domain;
        assert_eq!((renamed.label.as_str(), renamed.updated_at), ("mine", at(2)));

        let remove = |somebody: &Tenant| RemoveDomain { id, act: act(somebody.organization, at(4)) };
        assert_eq!(store.run(remove(&other)).await.expect("run"), RemoveDomainOutcome::Unknown);
        assert_eq!(store.run(remove(&own)).await.expect("run"), RemoveDomainOutcome::Removed);
        assert_eq!(store.run(remove(&own)).await.expect("run"), RemoveDomainOutcome::Unknown);
        assert_eq!(number(store, "SELECT count(*) FROM dkim_keys", &[]).await, 0);
        assert_eq!(audited(store).await, 3);
        registered(store, &other, "a.test").await;
    })
    .await;
}

#[tokio::test]
async fn a_domain_with_mailboxes_stays() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let id = registered(store, &tenant, "a.test").await;
        let there = Tenant { domain: Domain::parse("a.test").expect("domain"), ..tenant.clone() };
        assert_eq!(store.run(there.create("bob")).await.expect("run"), GrantOutcome::DomainUnowned);
        store.run(checks(&tenant, id, vec![ownership(Right)], at(1))).await.expect("run");
        there.mailbox(store, "bob").await;
        let remove = RemoveDomain { id, act: act(tenant.organization, at(2)) };
        assert_eq!(store.run(remove).await.expect("run"), RemoveDomainOutcome::InUse(1));
        assert_eq!(find(store, &tenant, id).await.domain.grant_count, 1);
    })
    .await;
}

#[tokio::test]
async fn pages_are_newest_first_and_complete() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (own, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(registered(store, &own, &format!("d{number}.test")).await);
            registered(store, &other, &format!("e{number}.test")).await;
        }
        store.run(checks(&own, ids[3], vec![ownership(Right)], at(1))).await.expect("run");
        ids.reverse();
        let mut reader = store.reader().await.expect("reader");
        let (mut listed, mut below) = (Vec::new(), None);
        loop {
            let page = domains::list(&mut reader, own.organization, below, 2).await.expect("list");
            let Some(last) = page.last() else { break };
            below = Some(last.domain.id);
            listed.extend(page);
        }
        // The first of all is the one that the organization was made with.
        assert_eq!(listed.len(), 6);
        for (details, id) in listed.iter().zip(&ids) {
            assert_eq!(details, &find(store, &own, *id).await);
        }
        assert_eq!(listed[1].states.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_found_decides_who_owns_and_sends() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let id = registered(store, &tenant, "a.test").await;
        let name = Domain::parse("a.test").expect("domain");
        let wrong = || Wrong("not there".into());
        let mut second = 0;
        for (findings, owned, verified, changed) in [
            (vec![ownership(wrong()), dkim("a", Right)], false, false, true),
            (vec![ownership(Unanswerable("?".into()))], false, false, false),
            (vec![ownership(Right)], true, false, true),
            // A key that does not exist says nothing; one of two is not enough.
            (vec![dkim("z", Right)], true, false, false),
            (vec![dkim("b", Right)], true, true, true),
            (vec![ownership(wrong()), dkim("a", wrong())], true, true, false),
            (vec![ownership(wrong()), dkim("a", wrong())], true, true, false),
            (vec![dkim("a", wrong())], true, false, true),
            (vec![ownership(wrong())], false, false, true),
            (vec![ownership(Right), dkim("a", Right)], true, true, true),
        ] {
            second += 1;
            let recorded = audited(store).await;
            let text = format!("{findings:?}");
            let outcome = store.run(checks(&tenant, id, findings, at(second))).await.expect("run");
            assert_eq!(outcome, CheckOutcome::Recorded(changed), "{text}");
            let domain = find(store, &tenant, id).await.domain;
            assert_eq!((domain.owned_at.is_some(), domain.verified_at.is_some()), (owned, verified), "{text}");
            assert_eq!(domain.updated_at == at(second), changed, "{text}");
            assert_eq!(audited(store).await - recorded, i64::from(changed), "{text}");
            let mut reader = store.reader().await.expect("reader");
            assert_eq!(domains::is_ours(&mut reader, &name).await.expect("find"), owned, "{text}");
            assert_eq!(due(store, id).await, Some(second + if verified { DAY } else { 600 }), "{text}");
        }
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        let theirs = store.run(checks(&stranger, id, vec![ownership(wrong())], at(99))).await.expect("run");
        assert_eq!(theirs, CheckOutcome::Unknown);
    })
    .await;
}

#[tokio::test]
async fn an_exempt_domain_is_never_judged() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        for (name, is_trusted, is_branded) in [("t.test", true, false), ("b.test", false, true)] {
            let domain = NewDomain { is_trusted, is_branded, ..new(name) };
            let id = domain.id;
            assert_eq!(register(store, &tenant, domain).await, RegisterOutcome::Registered);
            assert_eq!(due(store, id).await, None);
            for _ in 0..4 {
                let findings = vec![ownership(Wrong("gone".into())), dkim("a", Wrong("gone".into()))];
                let outcome = store.run(checks(&tenant, id, findings, at(1))).await.expect("run");
                assert_eq!(outcome, CheckOutcome::Recorded(false));
            }
            let details = find(store, &tenant, id).await;
            assert_eq!((details.domain.owned_at, details.domain.verified_at), (Some(NOON), Some(NOON)));
            assert!(details.states.is_empty() && RecordKind::ALL.iter().all(|kind| details.is_done(*kind)));
            assert_eq!(due(store, id).await, None);
            // Its keys rotate all the same, once the next ones are found.
            rotate(store, &tenant, id).await;
            assert_eq!(due(store, id).await, Some(2));
            let found = vec![dkim("c", Right), dkim("d", Right)];
            store.run(checks(&tenant, id, found, at(3))).await.expect("run");
            assert_eq!(key_states(&find(store, &tenant, id).await), "a:retired b:retired c:active d:active");
            assert_eq!(due(store, id).await, Some(3 + 7 * DAY));
            store.run(checks(&tenant, id, Vec::new(), at(3 + 7 * DAY))).await.expect("run");
            assert_eq!(key_states(&find(store, &tenant, id).await), "c:active d:active");
            assert_eq!(due(store, id).await, None);
        }
    })
    .await;
}

async fn rotate(store: &Store, tenant: &Tenant, id: DomainId) {
    let command = StartRotation { id, keys: vec![key("c"), key("d")], act: act(tenant.organization, at(2)) };
    assert_eq!(store.run(command).await.expect("run"), RotationOutcome::Started);
}

fn key_states(details: &DomainDetails) -> String {
    let show = |key: &domains::PublishedKey| format!("{}:{}", key.selector, key.state.name());
    details.keys.iter().map(show).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn next_keys_take_over_when_all_of_them_are_found() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let id = registered(store, &tenant, "a.test").await;
        let run = async |findings, seconds| {
            store.run(checks(&tenant, id, findings, at(seconds))).await.expect("run");
            find(store, &tenant, id).await
        };
        run(vec![ownership(Right), dkim("a", Right), dkim("b", Right)], 1).await;
        rotate(store, &tenant, id).await;
        assert_eq!(due(store, id).await, Some(2), "looked at at once");
        let half = run(vec![dkim("c", Right), dkim("d", Wrong("not there".into()))], 3).await;
        assert_eq!(key_states(&half), "a:active b:active c:next d:next");
        assert!(half.domain.verified_at.is_some() && half.is_done(RecordKind::Dkim));
        assert_eq!(due(store, id).await, Some(3 + 600), "sooner than a verified domain otherwise");
        // What was found before and is gone again does not count.
        let gone = run(vec![dkim("c", Wrong("gone".into())), dkim("d", Right)], 4).await;
        assert_eq!(key_states(&gone), "a:active b:active c:next d:next");
        let whole = run(vec![dkim("c", Right)], 5).await;
        assert_eq!(key_states(&whole), "a:retired b:retired c:active d:active");
        assert_eq!(whole.keys[0].retired_at, Some(at(5)));
        assert!(whole.domain.verified_at == Some(at(1)) && whole.is_done(RecordKind::Dkim));
        // The retired ones count for nothing any more.
        let after = run(vec![dkim("a", Wrong("gone".into())); 1], 6).await;
        assert!(after.is_done(RecordKind::Dkim));
        let kept = run(Vec::new(), 5 + 7 * DAY - 1).await;
        assert_eq!((kept.keys.len(), kept.states.len()), (4, 5));
        assert!(kept.keys.iter().any(|key| key.state == KeyState::Retired));
        let cleared = run(Vec::new(), 5 + 7 * DAY).await;
        assert_eq!((key_states(&cleared).as_str(), cleared.states.len()), ("c:active d:active", 3));
        let done = cleared.states.values().filter(|state| state.status == RecordStatus::Done).count();
        assert_eq!(done, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rotation_is_started_at_a_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let id = registered(store, &tenant, "a.test").await;
        let start = |number: i32| StartRotation {
            id,
            keys: vec![key(&format!("n{number}"))],
            act: act(tenant.organization, at(1)),
        };
        let outcomes = at_once(store, (0..8).map(start).collect()).await;
        let started = outcomes.iter().filter(|outcome| **outcome == RotationOutcome::Started).count();
        assert_eq!((started, find(store, &tenant, id).await.keys.len()), (1, 3), "{outcomes:?}");
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        let theirs = StartRotation { act: act(stranger.organization, at(1)), ..start(9) };
        assert_eq!(store.run(theirs).await.expect("run"), RotationOutcome::Unknown);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_on_trial_domains_holds_for_many_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let commands: Vec<_> = (0..8)
            .map(|number| RegisterDomain {
                domain: NewDomain { is_branded: true, ..new(&format!("t{number}.try.test")) },
                act: act(tenant.organization, NOON),
            })
            .collect();
        let outcomes = at_once(store, commands).await;
        let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
        let is = (count(RegisterOutcome::Registered), count(RegisterOutcome::TooManyTrials(Cap { limit: 1, used: 1 })));
        assert_eq!(is, (1, 7), "{outcomes:?}");
        // Its own domains are not capped.
        for number in 0..5 {
            registered(store, &tenant, &format!("d{number}.test")).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_registered_by_many_at_once_has_one_owner() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let mut commands = Vec::new();
        for _ in 0..8 {
            let organization = organization("self_hosted", None);
            let act = act(organization.id, NOON);
            assert_eq!(store.run(organization).await.expect("run"), OrganizationOutcome::Created);
            commands.push(RegisterDomain { domain: new("contested.test"), act });
        }
        let outcomes = at_once(store, commands).await;
        let registered = outcomes.iter().filter(|outcome| **outcome == RegisterOutcome::Registered).count();
        assert_eq!(registered, 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|outcome| *outcome != RegisterOutcome::TooManyTrials(Cap { limit: 1, used: 1 })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_that_is_due_is_claimed_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        for number in 0..10 {
            registered(store, &tenant, &format!("d{number}.test")).await;
        }
        let claim = |seconds| ClaimChecks { now: at(seconds), until: at(seconds + 600), limit: 4 };
        let claimed = at_once(store, vec![claim(1), claim(1), claim(1), claim(1)]).await;
        let mut ids: Vec<_> = claimed.into_iter().flatten().map(|(_, id)| id).collect();
        let in_all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(in_all, ids.len(), "none twice");
        let rest = store.run(ClaimChecks { limit: 100, ..claim(1) }).await.expect("run");
        assert_eq!(ids.len() + rest.len(), 10);
        assert!(rest.iter().all(|(organization, _)| *organization == tenant.organization));
        assert!(store.run(claim(600)).await.expect("run").is_empty());
        assert_eq!(store.run(claim(601)).await.expect("run").len(), 4, "due again, should nobody have looked");
        store.run(Statement("UPDATE domains SET check_at = NULL")).await.expect("run");
        assert!(store.run(claim(1_000_000)).await.expect("run").is_empty());
    })
    .await;
}
