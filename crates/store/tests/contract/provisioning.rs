//! Making mailboxes one by one and many at once, giving them something anew, changing them: what is counted stays
//! right, and every change is told and recorded.

use crate::support::{
    NOON, Statement, Tenant, all_events, at, at_once, fresh, number, on_each_engine, on_each_engine_with, tenant,
};
use postfleet_core::event::Trigger;
use postfleet_core::id::{EventId, GrantId, WorkspaceId};
use postfleet_core::plan::{Cap, Plan, Plans};
use postfleet_core::{Patch, Secret};
use postfleet_store::db::DbError;
use postfleet_store::grants::{
    self, CreateGrants, Grant, GrantChange, GrantOutcome, GrantsPage, NewGrant, Origin, Placement, Sort, UpdateGrant,
    UpdateOutcome,
};
use postfleet_store::organizations::UpdateOrganization;
use postfleet_store::{Command, Store, Tx, params};

/// How many `twenty` allows.
const CAP: usize = 20;

/// Besides the presets a plan that ends at `CAP` mailboxes, where `full_platform` goes on.
fn capped() -> Plans {
    let full = Plans::presets().find("full_platform").expect("plan").clone();
    Plans::with([Plan { name: "twenty".into(), has_overage: false, ..(*full).clone() }])
}

/// A further workspace of an application.
#[derive(Clone, Copy)]
struct AddWorkspace {
    tenant_application: postfleet_core::id::ApplicationId,
    id: WorkspaceId,
    groups: bool,
}

impl Command for AddWorkspace {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO workspaces (id, application_id, name, domain, auto_group, created_at, \
            updated_at) SELECT $1, $2, 'Further', name, $3, 0, 0 FROM domains \
            WHERE organization_id = (SELECT organization_id FROM applications WHERE id = $2)";
        tx.execute(INSERT, params![self.id.uuid(), self.tenant_application.uuid(), self.groups]).await?;
        Ok(())
    }
}

async fn workspace(store: &Store, tenant: &Tenant, groups: bool) -> WorkspaceId {
    let id = WorkspaceId::from_uuid(fresh());
    store.run(AddWorkspace { tenant_application: tenant.application, id, groups }).await.expect("workspace");
    id
}

fn change(tenant: &Tenant, id: GrantId, change: GrantChange) -> UpdateGrant {
    let event_id = EventId::from_uuid(fresh());
    UpdateGrant { act: tenant.act(at(50)), application_id: tenant.application, id, change, event_id }
}

fn done(outcome: UpdateOutcome) -> Grant {
    match outcome {
        UpdateOutcome::Done(grant) => *grant,
        other => panic!("not done: {other:?}"),
    }
}

async fn find(store: &Store, tenant: &Tenant, id: GrantId) -> Grant {
    let mut reader = store.reader().await.expect("reader");
    grants::find(&mut reader, tenant.application, id).await.expect("find").expect("grant")
}

/// The counters against what they count.
async fn assert_counted(store: &Store, tenant: &Tenant, expected: i64) {
    const COUNTED: &str = "SELECT count(*) FROM grants g JOIN applications a ON a.id = g.application_id \
        WHERE a.organization_id = $1";
    const ORGANIZATION: &str = "SELECT grant_count FROM organizations WHERE id = $1";
    const DOMAINS: &str = "SELECT CAST(sum(grant_count) AS {int}) FROM domains WHERE organization_id = $1";
    const MAILBOXES: &str = "SELECT count(*) FROM mailboxes m JOIN grants g ON g.id = m.grant_id \
        JOIN applications a ON a.id = g.application_id WHERE a.organization_id = $1";
    for count in [COUNTED, ORGANIZATION, DOMAINS, MAILBOXES] {
        assert_eq!(number(store, count, params![tenant.organization.uuid()]).await, expected, "{count}");
    }
}

async fn records(store: &Store, action: &'static str) -> i64 {
    number(store, "SELECT count(*) FROM audit WHERE action = $1", params![action]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_at_once_come_to_exactly_the_cap() {
    on_each_engine_with(capped(), async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "twenty", None).await;
        let outcomes = at_once(store, (0..64).map(|number| tenant.create(&format!("box{number}"))).collect()).await;
        let created = outcomes.iter().filter(|outcome| matches!(outcome, GrantOutcome::Created(_))).count();
        let refused =
            outcomes.iter().filter(|outcome| **outcome == GrantOutcome::TooMany(Cap { limit: 20, used: 20 })).count();
        assert_eq!((created, refused), (CAP, 64 - CAP));
        assert_counted(store, &tenant, CAP as i64).await;
        assert_eq!(records(store, "grant.created").await, CAP as i64, "a refusal is no change");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_beside_single_ones_are_counted_exactly() {
    on_each_engine_with(capped(), async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "twenty", None).await;
        let of = |number: usize| tenant.new_grant(&format!("box{}", number % 30));
        // Calls of one to seven, whose addresses overlap.
        let calls: Vec<CreateGrants> = (0..24)
            .map(|call| tenant.create_all((0..call % 7 + 1).map(|place| of(call * 3 + place)).collect()))
            .collect();
        let outcomes: Vec<_> = at_once(store, calls).await.into_iter().flatten().collect();
        let created = outcomes.iter().filter(|outcome| matches!(outcome, GrantOutcome::Created(_))).count();
        assert_eq!(created, CAP);
        assert_counted(store, &tenant, CAP as i64).await;

        let mut reader = store.reader().await.expect("reader");
        let page = GrantsPage::newest(tenant.application, 100, 0);
        let all = grants::list(&mut reader, &page).await.expect("list");
        let removals = all[..10].iter().map(|grant| tenant.removal(grant.id, at(1))).collect();
        assert!(at_once(store, removals).await.into_iter().all(|removed| removed));
        assert_counted(store, &tenant, 10).await;
        let again = tenant.create_all((0..30).map(of).collect());
        let outcomes = store.run(again).await.expect("run");
        let created = outcomes.iter().filter(|outcome| matches!(outcome, GrantOutcome::Created(_))).count();
        let refused =
            outcomes.iter().filter(|outcome| **outcome == GrantOutcome::TooMany(Cap { limit: 20, used: 20 })).count();
        assert_eq!((created, refused), (10, 10), "{outcomes:?}");
        assert_counted(store, &tenant, CAP as i64).await;
        assert_eq!(all_events(store).await.len(), 40, "20 made, 10 removed, 10 made again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_with_overage_goes_on_above_the_mailboxes_it_includes() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "full_platform", None).await;
        let outcomes = at_once(store, (0..30).map(|number| tenant.create(&format!("box{number}"))).collect()).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, GrantOutcome::Created(_))), "{outcomes:?}");
        // Many at once just the same, and everything stays counted: that is what is billed.
        let more = tenant.create_all((30..40).map(|number| tenant.new_grant(&format!("box{number}"))).collect());
        let outcomes = store.run(more).await.expect("run");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, GrantOutcome::Created(_))), "{outcomes:?}");
        assert_counted(store, &tenant, 40).await;
        // Where the plan ends, nothing more is made, and what is there stays.
        let id = tenant.organization;
        let free = UpdateOrganization { id, name: None, plan: Some("free".into()), act: tenant.act(at(1)) };
        store.run(free).await.expect("update");
        let refused = store.run(tenant.create("late")).await.expect("run");
        assert_eq!(refused, GrantOutcome::TooMany(Cap { limit: 3, used: 40 }));
        assert_counted(store, &tenant, 40).await;
    })
    .await;
}

#[tokio::test]
async fn of_many_each_is_judged_by_itself() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, stranger) = (tenant(store, "free", None).await, tenant(store, "free", None).await);
        let theirs = stranger.mailbox(store, "theirs").await;
        let own = workspace(store, &tenant, false).await;
        let with = |email, workspace_id| NewGrant { email, workspace_id, ..tenant.new_grant("x") };
        let command = CreateGrants {
            origin: Origin { ip: "192.0.2.1".into(), user_agent: "fleet/1".into() },
            ..tenant.create_all(vec![
                with(stranger.address("new"), None),
                with(tenant.address("one"), None),
                with(tenant.address("lost"), Some(stranger.workspace)),
                with(tenant.address("ONE"), None),
                with(stranger.address("theirs"), None),
                with(tenant.address("two"), Some(own)),
                with(tenant.address("three"), None),
                with(tenant.address("four"), None),
                NewGrant { name: Some("Named".into()), ..with(tenant.address("two"), None) },
            ])
        };
        let outcomes = store.run(command.clone()).await.expect("run");
        let words: Vec<String> = outcomes.iter().map(word).collect();
        let (one, two) = (command.grants[1].id, command.grants[5].id);
        let three = command.grants[6].id;
        let expected = [
            "unknown domain".to_owned(),
            format!("created {one}"),
            "unknown workspace".to_owned(),
            format!("existing {one}"),
            "taken".to_owned(),
            format!("created {two}"),
            format!("created {three}"),
            "too many 3".to_owned(),
            format!("existing {two}"),
        ];
        assert_eq!(words, expected);
        assert_counted(store, &tenant, 3).await;
        assert_counted(store, &stranger, 1).await;

        let found = find(store, &tenant, two).await;
        assert_eq!((found.workspace_id, found.placement, &*found.name), (Some(own), Placement::Explicit, "Named"));
        assert_eq!((&*found.ip, &*found.user_agent), ("192.0.2.1", "fleet/1"));
        let told: Vec<_> = all_events(store)
            .await
            .into_iter()
            .filter(|event| event.event.grant_id != theirs)
            .map(|event| (event.event.trigger, event.event.grant_id, event.event.grant_sequence))
            .collect();
        let made = Trigger::GrantCreated;
        assert_eq!(told, [(made, one, 1), (made, two, 1), (made, three, 1), (Trigger::GrantUpdated, two, 2)]);

        const RECORD: &str = "SELECT after FROM audit WHERE action = 'grants.provisioned'";
        let mut reader = store.reader().await.expect("reader");
        let rows = reader.query(RECORD, &[]).await.expect("query");
        assert_eq!(rows.len(), 1);
        let after = rows[0].text(0).expect("text");
        assert_eq!(after, format!(r#"{{"grants":["{one}","{two}","{three}"],"updated":["{two}"]}}"#));
    })
    .await;
}

fn word(outcome: &GrantOutcome) -> String {
    match outcome {
        GrantOutcome::Created(grant) => format!("created {}", grant.id),
        GrantOutcome::Existing(grant) => format!("existing {}", grant.id),
        GrantOutcome::Taken => "taken".into(),
        GrantOutcome::DomainUnknown => "unknown domain".into(),
        GrantOutcome::DomainUnowned => "unowned domain".into(),
        GrantOutcome::TooMany(cap) => format!("too many {}", cap.limit),
        GrantOutcome::WorkspaceUnknown => "unknown workspace".into(),
    }
}

#[tokio::test]
async fn a_new_mailbox_goes_where_it_belongs() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let place = async |new: NewGrant| match store.run(tenant.create_this(new)).await.expect("run") {
            GrantOutcome::Created(grant) => (grant.workspace_id, grant.placement),
            other => panic!("not created: {other:?}"),
        };
        assert_eq!(place(tenant.new_grant("a")).await, (Some(tenant.workspace), Placement::Default));
        let passive = workspace(store, &tenant, false).await;
        assert_eq!(place(tenant.new_grant("b")).await, (Some(tenant.workspace), Placement::Default));
        let (older, _newer) = (workspace(store, &tenant, true).await, workspace(store, &tenant, true).await);
        assert_eq!(place(tenant.new_grant("c")).await, (Some(older), Placement::AutoGroup));
        let explicit = NewGrant { workspace_id: Some(passive), ..tenant.new_grant("d") };
        assert_eq!(place(explicit).await, (Some(passive), Placement::Explicit));
    })
    .await;
}

#[tokio::test]
async fn what_is_given_anew_is_applied_and_the_rest_stays() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let further = workspace(store, &tenant, false).await;
        let first = NewGrant { name: Some("First".into()), state: Some("s".into()), ..tenant.new_grant("a") };
        let id = first.id;
        store.run(tenant.create_this(first)).await.expect("run");
        let again = async |new: NewGrant| match store.run(tenant.create_this(new)).await.expect("run") {
            GrantOutcome::Existing(grant) => {
                assert_eq!(grant, find(store, &tenant, id).await);
                grant
            }
            other => panic!("not existing: {other:?}"),
        };
        let same = again(tenant.new_grant("A")).await;
        assert_eq!((same.id, &*same.name, same.state.as_deref()), (id, "First", Some("s")));
        again(NewGrant { name: Some("First".into()), workspace_id: Some(tenant.workspace), ..tenant.new_grant("a") })
            .await;
        assert_eq!((all_events(store).await.len(), records(store, "grant.updated").await), (1, 0), "nothing changed");

        let named = again(NewGrant { name: Some("Second".into()), ..tenant.new_grant("a") }).await;
        assert_eq!((&*named.name, named.state.as_deref(), named.placement), ("Second", Some("s"), Placement::Default));
        let secret = Some(Secret::new("$argon2id$hash".to_owned()));
        let opened = again(NewGrant { app_password: secret, ..tenant.new_grant("a") }).await;
        assert!(opened.has_app_password && &*opened.name == "Second");
        let moved = again(NewGrant { workspace_id: Some(further), ..tenant.new_grant("a") }).await;
        assert_eq!((moved.workspace_id, moved.placement), (Some(further), Placement::Moved));
        assert!(moved.has_app_password);
        let lost = NewGrant { workspace_id: Some(WorkspaceId::from_uuid(fresh())), ..tenant.new_grant("a") };
        assert_eq!(store.run(tenant.create_this(lost)).await.expect("run"), GrantOutcome::WorkspaceUnknown);

        let sequences: Vec<_> = all_events(store).await.iter().map(|event| event.event.grant_sequence).collect();
        assert_eq!(sequences, [1, 2, 3, 4]);
        assert_eq!(records(store, "grant.updated").await, 3);
        const SHOWN: &str = "SELECT count(*) FROM audit WHERE before LIKE '%argon2%' OR after LIKE '%argon2%'";
        assert_eq!(number(store, SHOWN, &[]).await, 0);
        assert_counted(store, &tenant, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_changes_what_it_names() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, stranger) = (tenant(store, "free", None).await, tenant(store, "free", None).await);
        let further = workspace(store, &tenant, false).await;
        let id = tenant.mailbox(store, "a").await;
        let run = async |change| store.run(change).await.expect("run");
        let before = find(store, &tenant, id).await;
        assert_eq!(run(change(&tenant, id, GrantChange::default())).await, UpdateOutcome::Done(before.clone().into()));

        let all = GrantChange {
            name: Patch::Set("Ada".into()),
            state: Patch::Set("s".into()),
            workspace_id: Patch::Set(further),
            app_password: Patch::Set(Secret::new("hash".into())),
        };
        let after = done(run(change(&tenant, id, all.clone())).await);
        let expected = Grant {
            name: "Ada".into(),
            state: Some("s".into()),
            workspace_id: Some(further),
            placement: Placement::Moved,
            has_app_password: true,
            updated_at: at(50),
            ..before.clone()
        };
        assert_eq!((&after, &find(store, &tenant, id).await), (&expected, &expected));
        let password = number(store, "SELECT count(*) FROM grants WHERE app_password = 'hash'", &[]).await;
        assert_eq!(password, 1);

        let foreign = GrantChange { workspace_id: Patch::Set(stranger.workspace), ..all.clone() };
        assert_eq!(run(change(&tenant, id, foreign)).await, UpdateOutcome::WorkspaceUnknown);
        let theirs = change(&stranger, id, GrantChange { name: Patch::Clear, ..GrantChange::default() });
        assert_eq!(run(theirs).await, UpdateOutcome::NoSuchGrant);
        let (name, state, workspace_id, app_password) = (Patch::Clear, Patch::Clear, Patch::Clear, Patch::Clear);
        let cleared = done(run(change(&tenant, id, GrantChange { name, state, workspace_id, app_password })).await);
        let is = (&*cleared.name, cleared.state.as_deref(), cleared.workspace_id, cleared.has_app_password);
        assert_eq!(is, ("", None, None, false));
        assert_eq!(number(store, "SELECT count(*) FROM grants WHERE app_password IS NOT NULL", &[]).await, 0);
        assert_eq!(records(store, "grant.updated").await, 2);
        assert_eq!(all_events(store).await.last().expect("event").event.grant_sequence, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_are_all_told_in_one_sequence() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let further = workspace(store, &tenant, false).await;
        let id = tenant.mailbox(store, "a").await;
        let changes = (0..24).map(|turn| {
            let workspace = if turn % 2 == 0 { further } else { tenant.workspace };
            let workspace_id = if turn % 3 == 0 { Patch::Set(workspace) } else { Patch::Keep };
            change(&tenant, id, GrantChange { name: Patch::Set(format!("{turn}")), workspace_id, ..Default::default() })
        });
        at_once(store, changes.collect()).await.into_iter().for_each(|outcome| drop(done(outcome)));
        let sequences: Vec<_> = all_events(store).await.iter().map(|event| event.event.grant_sequence).collect();
        assert_eq!(sequences, (1..=25).collect::<Vec<_>>());
        assert_eq!(records(store, "grant.updated").await, 24);
    })
    .await;
}

#[tokio::test]
async fn a_removal_takes_the_tokens_along() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let (gone, kept) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        const TOKENS: &str = "INSERT INTO tokens (hash, sign_in_id, kind, application_id, grant_id, redirect_uri, \
            offline, single_use, created_at) SELECT app_password_bytes, id, 'access', application_id, id, '', 0, 0, 0 FROM \
            (SELECT CAST(email AS {bytes}) AS app_password_bytes, application_id, id FROM grants) g";
        assert_eq!(store.run(Statement(TOKENS)).await.expect("run"), 2);
        assert!(store.run(tenant.removal(gone, at(5))).await.expect("remove"));
        const LEFT: &str = "SELECT count(*) FROM tokens WHERE grant_id = $1";
        assert_eq!(number(store, LEFT, params![gone.uuid()]).await, 0);
        assert_eq!(number(store, LEFT, params![kept.uuid()]).await, 1);
        assert_eq!(records(store, "grant.deleted").await, 1);
        assert_counted(store, &tenant, 1).await;
    })
    .await;
}

#[tokio::test]
async fn every_order_and_filter_together() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, stranger) = (tenant(store, "self_hosted", None).await, tenant(store, "free", None).await);
        stranger.mailbox(store, "stranger").await;
        let further = workspace(store, &tenant, false).await;
        let mut made = Vec::new();
        for index in 0..12_u64 {
            let workspace_id = (index % 3 == 0).then_some(further);
            let id = GrantId::new(at(index), [index as u8; 10]);
            let new = NewGrant { id, workspace_id, ..tenant.new_grant(&format!("box{index}")) };
            let mut command = tenant.create_this(new);
            command.act = tenant.act(at(index));
            command.origin.ip = if index % 2 == 0 { "192.0.2.1".into() } else { "2001:db8::1".into() };
            store.run(command).await.expect("run");
            // Changed in another order than made; some at the same time.
            let mut update = change(&tenant, id, GrantChange { name: Patch::Set("n".into()), ..Default::default() });
            update.act = tenant.act(at(100 + index * 5 % 6));
            made.push(done(store.run(update).await.expect("run")));
        }
        let mut reader = store.reader().await.expect("reader");
        for sort in [Sort::CreatedAt, Sort::UpdatedAt] {
            for is_ascending in [false, true] {
                for workspace_id in [None, Some(further), Some(tenant.workspace), Some(stranger.workspace)] {
                    for ip in [None, Some("192.0.2.1"), Some("203.0.113.9")] {
                        for created in [None, Some(at(3)..at(9)), Some(NOON..NOON)] {
                            let page = GrantsPage {
                                workspace_id,
                                ip: ip.map(str::to_owned),
                                created: created.clone(),
                                sort,
                                is_ascending,
                                ..GrantsPage::newest(tenant.application, 4, 1)
                            };
                            let mut expected: Vec<&Grant> = made
                                .iter()
                                .filter(|grant| workspace_id.is_none_or(|wanted| grant.workspace_id == Some(wanted)))
                                .filter(|grant| ip.is_none_or(|wanted| grant.ip == wanted))
                                .filter(|grant| created.as_ref().is_none_or(|range| range.contains(&grant.created_at)))
                                .collect();
                            expected.sort_by_key(|grant| match sort {
                                Sort::CreatedAt => (grant.created_at, grant.id),
                                Sort::UpdatedAt => (grant.updated_at, grant.id),
                            });
                            if !is_ascending {
                                expected.reverse();
                            }
                            let listed = grants::list(&mut reader, &page).await.expect("list");
                            let expected: Vec<_> = expected.into_iter().skip(1).take(4).cloned().collect();
                            assert_eq!(listed, expected, "{page:?}");
                        }
                    }
                }
            }
        }
    })
    .await;
}
