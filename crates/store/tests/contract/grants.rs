//! Organizations and mailboxes: who may exist, under which address, and how many.

use crate::support::{NOON, Tenant, at, at_once, fresh, number, on_each_engine, organization, tenant};
use postfleet_core::id::{ApplicationId, DomainId, GrantId, KeyId, WorkspaceId};
use postfleet_core::plan::Cap;
use postfleet_core::{Domain, EmailAddress, Secret, UnixMicros};
use postfleet_store::db::DbError;
use postfleet_store::domains::{self, DkimKey, NewDomain};
use postfleet_store::grants::{self, CreateGrant, GrantOutcome, GrantsPage, NewGrant};
use postfleet_store::keys::{self, NewKey};
use postfleet_store::organizations::{self, OrganizationOutcome};
use postfleet_store::{Command, Tx, params};

#[tokio::test]
async fn an_organization_is_made_whole_or_not_at_all() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let mut command = organization("free", Some(5));
        let application = command.application_id;
        for (number, application_id) in [(1, Some(application)), (2, None)] {
            let (id, hash) = (KeyId::from_uuid(fresh()), [number; 32]);
            command.keys.push(NewKey::unlimited(id, application_id, "key", hash, "pf_".to_owned()));
        }
        command.domains[0].dkim_keys = ["b", "a"].map(dkim_key).into();
        assert_eq!(store.run(command.clone()).await.expect("run"), OrganizationOutcome::Created);

        let domain = command.domains[0].name.clone();
        let mut reader = store.reader().await.expect("reader");
        for (number, expected) in [(1, Some(application)), (2, None)] {
            let found = keys::find(&mut reader, &[number; 32]).await.expect("find").expect("key");
            assert_eq!((found.organization_id, found.application_id), (command.id, expected));
        }
        assert_eq!(keys::find(&mut reader, &[3; 32]).await.expect("find"), None);
        assert!(domains::is_ours(&mut reader, &domain).await.expect("find"));
        let signing = domains::dkim_keys(&mut reader, &domain).await.expect("keys");
        assert_eq!(signing.iter().map(|key| key.selector.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(signing[0].private_key.expose(), &[1, 2, 3]);

        let mut second = organization("free", None);
        second.domains.push(NewDomain { id: DomainId::from_uuid(fresh()), ..command.domains[0].clone() });
        let (own, id) = (second.domains[0].name.clone(), second.id);
        assert_eq!(store.run(second).await.expect("run"), OrganizationOutcome::DomainTaken(domain));
        assert!(!domains::is_ours(&mut reader, &own).await.expect("find"), "nothing was made");
        assert_eq!(number_of(store, id.uuid()).await, 0);
        assert_eq!(organizations::count(&mut reader).await.expect("count"), 1);
    })
    .await;
}

async fn number_of(store: &postfleet_store::Store, organization: uuid::Uuid) -> i64 {
    number(store, "SELECT count(*) FROM organizations WHERE id = $1", params![organization]).await
}

fn dkim_key(selector: &str) -> DkimKey {
    DkimKey {
        selector: selector.into(),
        algorithm: "ed25519".into(),
        private_key: Secret::new(vec![1, 2, 3]),
        public_record: "v=DKIM1".into(),
    }
}

/// A second application of an organization, which no command makes yet.
struct AddApplication {
    tenant: Tenant,
    application: ApplicationId,
    workspace: WorkspaceId,
}

impl Command for AddApplication {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const APPLICATION: &str = "INSERT INTO applications (id, organization_id, name, environment, \
            default_workspace_id, details, created_at, updated_at) VALUES ($1, $2, 'Second', 'sandbox', $3, '{}', 0, 0)";
        const WORKSPACE: &str = "INSERT INTO workspaces (id, application_id, name, domain, auto_group, created_at, \
            updated_at) VALUES ($1, $2, 'Default', '', 0, 0, 0)";
        let (application, workspace) = (self.application.uuid(), self.workspace.uuid());
        tx.execute(APPLICATION, params![application, self.tenant.organization.uuid(), workspace]).await?;
        tx.execute(WORKSPACE, params![workspace, application]).await?;
        Ok(())
    }
}

async fn second_application(store: &postfleet_store::Store, tenant: &Tenant) -> Tenant {
    let (application, workspace) = (ApplicationId::from_uuid(fresh()), WorkspaceId::from_uuid(fresh()));
    let command = AddApplication { tenant: tenant.clone(), application, workspace };
    store.run(command).await.expect("application");
    Tenant { application, workspace, ..tenant.clone() }
}

#[tokio::test]
async fn an_address_has_one_mailbox_whosever_it_is() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let GrantOutcome::Created(made) = store.run(tenant.create("Bob")).await.expect("run") else {
            panic!("not created")
        };
        let again = CreateGrant { act: tenant.act(at(9)), ..tenant.create("bOB") };
        assert_eq!(store.run(again).await.expect("run"), GrantOutcome::Existing(made.clone()));

        let sibling = second_application(store, &tenant).await;
        assert_eq!(store.run(sibling.create("bob")).await.expect("run"), GrantOutcome::Taken);
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        let taken = stranger.create_this(NewGrant { email: tenant.address("bob"), ..stranger.new_grant("x") });
        assert_eq!(store.run(taken).await.expect("run"), GrantOutcome::Taken);
        let foreign = stranger.create_this(NewGrant { email: tenant.address("free"), ..stranger.new_grant("x") });
        assert_eq!(store.run(foreign).await.expect("run"), GrantOutcome::DomainUnknown);
        let misplaced =
            tenant.create_this(NewGrant { workspace_id: Some(sibling.workspace), ..tenant.new_grant("alice") });
        assert_eq!(store.run(misplaced).await.expect("run"), GrantOutcome::WorkspaceUnknown);

        let mut reader = store.reader().await.expect("reader");
        assert_eq!(grants::find(&mut reader, tenant.application, made.id).await.expect("find"), Some(made.clone()));
        assert_eq!(grants::find(&mut reader, sibling.application, made.id).await.expect("find"), None);
        let upper = EmailAddress::parse(&made.email.to_string().to_uppercase()).expect("address");
        let found = grants::find_email(&mut reader, tenant.application, &upper).await.expect("find");
        assert_eq!(found, Some(made.clone()));
        assert_eq!(grants::find_email(&mut reader, sibling.application, &upper).await.expect("find"), None);
        let receiving = grants::receiving(&mut reader, &upper).await.expect("find").expect("mailbox");
        assert_eq!((receiving.grant_id, receiving.application_id), (made.id, tenant.application));
        assert_eq!(receiving.limits.daily_sends_max, None);
    })
    .await;
}

/// An id made at a time.
fn id_at(time: UnixMicros) -> GrantId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&fresh().as_bytes()[8..]);
    GrantId::new(time, random)
}

#[tokio::test]
async fn grants_are_listed_newest_first() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut made = Vec::new();
        // Equal times: the id decides.
        for (local, seconds) in [("a", 5), ("b", 5), ("c", 1), ("d", 9)] {
            let new = NewGrant { id: id_at(at(seconds)), ..tenant.new_grant(local) };
            let command = CreateGrant { act: tenant.act(at(seconds)), ..tenant.create_this(new) };
            made.push((at(seconds), command.grant.id));
            store.run(command).await.expect("run");
        }
        made.sort_by(|one, two| two.cmp(one));
        let mut reader = store.reader().await.expect("reader");
        let mut listed = Vec::new();
        for offset in [0, 3] {
            let page = GrantsPage::newest(tenant.application, 3, offset);
            let page = grants::list(&mut reader, &page).await.expect("list");
            listed.extend(page.into_iter().map(|grant| (grant.created_at, grant.id)));
        }
        assert_eq!(listed, made);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_not_exceeded_by_grants_made_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let commands: Vec<_> = (0..20).map(|number| tenant.create(&format!("box{number}"))).collect();
        let outcomes = at_once(store, commands).await;
        let created: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                GrantOutcome::Created(grant) => Some(grant.id),
                _ => None,
            })
            .collect();
        assert_eq!(created.len(), 3);
        assert_eq!(
            outcomes.iter().filter(|outcome| **outcome == GrantOutcome::TooMany(Cap { limit: 3, used: 3 })).count(),
            17
        );
        assert_eq!(number(store, "SELECT grant_count FROM organizations", &[]).await, 3);

        assert!(store.run(tenant.removal(created[0], NOON)).await.expect("remove"));
        tenant.mailbox(store, "late").await;
        assert_eq!(
            store.run(tenant.create("later")).await.expect("run"),
            GrantOutcome::TooMany(Cap { limit: 3, used: 3 })
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_asked_for_at_once_is_made_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let outcomes = at_once(store, (0..16).map(|_| tenant.create("same")).collect()).await;
        let created = outcomes.iter().filter(|outcome| matches!(outcome, GrantOutcome::Created(_))).count();
        let existing = outcomes.iter().filter(|outcome| matches!(outcome, GrantOutcome::Existing(_))).count();
        assert_eq!((created, existing), (1, 15));
        assert_eq!(number(store, "SELECT grant_count FROM organizations", &[]).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_domain_asked_for_at_once_is_registered_once() {
    on_each_engine(async |engine| {
        let name = Domain::parse("contested.example").expect("domain");
        let commands: Vec<_> = (0..8)
            .map(|_| {
                let mut command = organization("free", None);
                command.domains[0].name = name.clone();
                command.domains[0].is_trusted = false;
                command
            })
            .collect();
        let outcomes = at_once(&engine.store, commands).await;
        let created = outcomes.iter().filter(|outcome| **outcome == OrganizationOutcome::Created).count();
        assert_eq!(created, 1, "{outcomes:?}");
    })
    .await;
}
