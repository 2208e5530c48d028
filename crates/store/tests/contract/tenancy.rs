//! Organizations, applications, keys, redirect URIs, service accounts and the record of their changes.

use crate::support::{NOON, Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::Patch;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{ApplicationId, AuditId, KeyId, OrganizationId, RedirectUriId, ServiceAccountId, WorkspaceId};
use postfleet_core::redirect_uri::Platform;
use postfleet_store::applications::{
    self, Application, CreateApplication, RemoveApplication, RemoveOutcome, UpdateApplication, UpdateOutcome,
};
use postfleet_store::audit::{self, Of, Record};
use postfleet_store::grants::{GrantOutcome, RemoveGrant};
use postfleet_store::keys::{self, ChangeKey, CreateKey, Holder, KeyChange, KeyOutcome, Maker, NewKey, NoteUse};
use postfleet_store::organizations::{self, AddOrganization, Organization, Scope, UpdateOrganization};
use postfleet_store::redirect_uris::{
    self, CreateRedirectUri, REDIRECT_URIS_MAX, RedirectUri, RedirectUriOutcome, RemoveRedirectUri, UpdateRedirectUri,
    WantedRedirectUri,
};
use postfleet_store::replays::BeginReplay;
use postfleet_store::service_accounts::{
    self, CreateServiceAccount, PruneNonces, RevokeServiceAccount, ServiceAccount, UseNonce,
};
use postfleet_store::workspaces::UpdateWorkspace;
use postfleet_store::{Store, params};
use serde_json::{Map, Value, json};

fn act(tenant: &Tenant, seconds: u64) -> Act {
    Act {
        record_id: AuditId::from_uuid(fresh()),
        actor: Actor { kind: ActorKind::OperatorKey, id: "key".into(), name: "operator".into() },
        organization_id: tenant.organization,
        application_id: Some(tenant.application),
        request_id: "request".into(),
        at: at(seconds),
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("object").clone()
}

async fn records(store: &Store, of: Of) -> Vec<Record> {
    let page = audit::Page { of, target_id: None, first: None, end: None, limit: 1_000 };
    audit::list(&mut store.reader().await.expect("reader"), &page).await.expect("records")
}

/// What was done in an application, but for mailboxes.
async fn actions(store: &Store, tenant: &Tenant) -> Vec<String> {
    let all = records(store, Of::Application(tenant.application)).await.into_iter();
    all.map(|record| record.action).filter(|action| !action.starts_with("grant.")).collect()
}

#[tokio::test]
async fn an_organization_is_added_found_listed_and_changed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let id = OrganizationId::from_uuid(fresh());
        let new = Organization {
            id,
            name: "New".into(),
            plan: "free".into(),
            grant_count: 0,
            created_at: NOON,
            updated_at: NOON,
        };
        store.run(AddOrganization { organization: new.clone(), act: act(&tenant, 0) }).await.expect("add");
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(organizations::find(&mut reader, id).await.expect("find"), Some(new.clone()));
        let all = organizations::list(&mut reader, None, 10).await.expect("list");
        assert_eq!(all.iter().map(|one| one.id).collect::<Vec<_>>(), [id, tenant.organization]);
        let rest = organizations::list(&mut reader, Some(id), 10).await.expect("list");
        assert_eq!(rest.len(), 1);

        let plan = |name: &str| UpdateOrganization { id, name: None, plan: Some(name.into()), act: act(&tenant, 5) };
        let changed = store.run(plan("full_platform")).await.expect("update");
        let expected = Organization { plan: "full_platform".into(), updated_at: at(5), ..new };
        assert_eq!(changed, Some(expected.clone()));
        assert_eq!(store.run(plan("full_platform")).await.expect("update"), Some(expected));
        let nobody = UpdateOrganization { id: OrganizationId::from_uuid(fresh()), ..plan("free") };
        assert_eq!(store.run(nobody).await.expect("update"), None);
        // Records are those of the organization that was changed; what changed nothing has none.
        let found = records(store, Of::Organization(id)).await;
        let shown: Vec<_> = found.iter().map(|record| (record.action.as_str(), record.before.is_some())).collect();
        assert_eq!(shown, [("organization.updated", true), ("organization.created", false)]);
        assert_eq!((found[0].actor_name.as_str(), found[0].created_at), ("operator", at(5)));
    })
    .await;
}

fn application(tenant: &Tenant) -> Application {
    Application {
        id: ApplicationId::from_uuid(fresh()),
        organization_id: tenant.organization,
        name: "Second".into(),
        environment: "sandbox".into(),
        default_workspace_id: WorkspaceId::from_uuid(fresh()),
        details: object(json!({"branding": {"name": "B"}, "domain": "d"})),
        created_at: NOON,
        updated_at: NOON,
    }
}

/// Another application of the same organization.
pub async fn second(store: &Store, tenant: &Tenant) -> Tenant {
    let new = application(tenant);
    let second = Tenant { application: new.id, workspace: new.default_workspace_id, ..tenant.clone() };
    assert!(store.run(CreateApplication { application: new, act: act(&second, 0) }).await.expect("create"));
    second
}

#[tokio::test]
async fn an_application_begins_with_its_workspace_and_keeps_what_an_update_does_not_name() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let second = second(store, &tenant).await;
        let grant = second.mailbox(store, "a").await;
        const PLACE: &str = "SELECT count(*) FROM grants WHERE id = $1 AND workspace_id = $2";
        assert_eq!(number(store, PLACE, params![grant.uuid(), second.workspace.uuid()]).await, 1);

        let update = |details: Value, seconds| UpdateApplication {
            id: second.application,
            scope: Scope::Of(tenant.organization),
            name: None,
            environment: None,
            details: object(details),
            redirect_uris: Vec::new(),
            act: act(&second, seconds),
        };
        let changed = updated(store, update(json!({"branding": {"icon": "i"}, "domain": null}), 5)).await;
        assert_eq!(changed.details, object(json!({"branding": {"icon": "i"}})), "replaced whole, and taken away");
        assert_eq!((changed.name.as_str(), changed.updated_at), ("Second", at(5)));
        let same = updated(store, update(json!({"domain": null}), 9)).await;
        assert_eq!(same, changed);
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(applications::find(&mut reader, second.application).await.expect("find"), Some(changed));
        let listed = applications::list(&mut reader, tenant.organization, None, 10).await.expect("list");
        assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [second.application, tenant.application]);
        assert_eq!(actions(store, &second).await, ["application.updated", "application.created"]);

        let elsewhere = UpdateApplication {
            scope: Scope::Of(OrganizationId::from_uuid(fresh())),
            ..update(json!({"domain": "x"}), 9)
        };
        assert_eq!(store.run(elsewhere).await.expect("update"), UpdateOutcome::Unknown);
        let nowhere = Application { organization_id: OrganizationId::from_uuid(fresh()), ..application(&tenant) };
        assert!(!store.run(CreateApplication { application: nowhere, act: act(&tenant, 0) }).await.expect("create"));
    })
    .await;
}

async fn updated(store: &Store, command: UpdateApplication) -> Application {
    match store.run(command).await.expect("update") {
        UpdateOutcome::Updated(application) => application,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn redirect_uris_change_with_their_application_or_not_at_all() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (kept, moved) =
            (registration(&tenant, "https://kept.example/"), registration(&tenant, "https://a.example/"));
        store.run(kept.clone()).await.expect("create");
        store.run(moved.clone()).await.expect("create");
        let new = |url: &str| WantedRedirectUri::New(registration(&tenant, url).redirect_uri);
        let change =
            |id, url: &str| WantedRedirectUri::Change { id, url: Some(url.into()), platform: None, settings: None };
        let update = |redirect_uris, domain: &str| UpdateApplication {
            id: tenant.application,
            scope: Scope::All,
            name: None,
            environment: None,
            details: object(json!({"domain": domain})),
            redirect_uris,
            act: act(&tenant, 1),
        };
        let urls = async || {
            let mut reader = store.reader().await.expect("reader");
            let all = redirect_uris::list(&mut reader, tenant.application).await.expect("list");
            let mut urls: Vec<_> = all.into_iter().map(|uri| uri.url).collect();
            urls.sort();
            urls
        };
        // Its old URL is free for the next one.
        let id = moved.redirect_uri.id;
        let wishes = vec![change(id, "https://b.example/"), new("https://a.example/")];
        updated(store, update(wishes, "one")).await;
        let expected = ["https://a.example/", "https://b.example/", "https://kept.example/"];
        assert_eq!(urls().await, expected);
        assert_eq!(actions(store, &tenant).await[0], "application.updated");

        let stranger = RedirectUriId::from_uuid(fresh());
        for (second, outcome) in [
            (change(stranger, "https://c.example/"), RedirectUriOutcome::Unknown),
            (new("https://kept.example/"), RedirectUriOutcome::UrlTaken),
            (change(id, "https://kept.example/"), RedirectUriOutcome::UrlTaken),
        ] {
            let wishes = vec![new("https://never.example/"), second];
            let refused = store.run(update(wishes, "two")).await.expect("update");
            assert_eq!(refused, UpdateOutcome::RedirectUri(1, outcome));
        }
        let many = (0..REDIRECT_URIS_MAX).map(|number| new(&format!("https://many.example/{number}"))).collect();
        let refused = store.run(update(many, "two")).await.expect("update");
        assert_eq!(refused, UpdateOutcome::RedirectUri(97, RedirectUriOutcome::TooMany));
        assert_eq!(urls().await, expected);
        let mut reader = store.reader().await.expect("reader");
        let found = applications::find(&mut reader, tenant.application).await.expect("find").expect("application");
        assert_eq!(found.details["domain"], "one");
        // What changes nothing has no record.
        let count = actions(store, &tenant).await.len();
        updated(store, update(vec![change(id, "https://b.example/")], "one")).await;
        assert_eq!(actions(store, &tenant).await.len(), count);
    })
    .await;
}

fn removal(tenant: &Tenant) -> RemoveApplication {
    RemoveApplication { id: tenant.application, scope: Scope::Of(tenant.organization), act: act(tenant, 9) }
}

#[tokio::test]
async fn an_application_is_removed_with_everything_but_never_with_mailboxes() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let first = tenant(store, "self_hosted", None).await;
        let tenant = second(store, &first).await;
        let grant = tenant.mailbox(store, "a").await;
        let key = new_key(Some(tenant.application), 7);
        store.run(create(&tenant, key)).await.expect("key").expect("key");
        let hook = crate::webhooks::webhook(&tenant, "https://one.example/");
        store.run(postfleet_store::webhooks::CreateWebhook(hook.clone())).await.expect("webhook");
        let replay = crate::replays::replay(&hook, 1, 9);
        store.run(BeginReplay { application_id: tenant.application, replay }).await.expect("replay");
        store.run(registration(&tenant, "https://a.example/")).await.expect("redirect URI");
        let rule_ids = postfleet_core::Patch::Set(vec![crate::rules::rule(store, &tenant).await]);
        let attach = UpdateWorkspace { rule_ids, ..crate::workspaces::update(&tenant, tenant.workspace) };
        store.run(attach).await.expect("attach");
        let list = crate::rules::list(store, &tenant, "domain").await;

        assert_eq!(store.run(removal(&tenant)).await.expect("remove"), RemoveOutcome::HasGrants);
        let remove = RemoveGrant {
            application_id: tenant.application,
            id: grant,
            event_id: postfleet_core::id::EventId::from_uuid(fresh()),
            act: tenant.act(NOON),
        };
        assert!(store.run(remove).await.expect("remove"));
        let foreign = RemoveApplication { scope: Scope::Of(OrganizationId::from_uuid(fresh())), ..removal(&tenant) };
        assert_eq!(store.run(foreign).await.expect("remove"), RemoveOutcome::Unknown);
        assert_eq!(store.run(removal(&tenant)).await.expect("remove"), RemoveOutcome::Removed);
        assert_eq!(store.run(removal(&tenant)).await.expect("remove"), RemoveOutcome::Unknown);
        for left in [
            "SELECT count(*) FROM applications WHERE id = $1",
            "SELECT count(*) FROM workspaces WHERE application_id = $1",
            "SELECT count(*) FROM api_keys WHERE application_id = $1",
            "SELECT count(*) FROM webhooks WHERE application_id = $1",
            "SELECT count(*) FROM redirect_uris WHERE application_id = $1",
            "SELECT count(*) FROM rules WHERE application_id = $1",
            "SELECT count(*) FROM lists WHERE application_id = $1",
        ] {
            assert_eq!(number(store, left, params![tenant.application.uuid()]).await, 0, "{left}");
        }
        assert_eq!(number(store, "SELECT count(*) FROM webhook_replays", params![]).await, 0);
        // The items of its lists go later.
        const LATER: &str = "SELECT count(*) FROM removed_lists WHERE list_id = $1";
        assert_eq!(number(store, LATER, params![list.uuid()]).await, 1);
        // What was done is still to be seen, by the organization.
        let last = &records(store, Of::Organization(first.organization)).await[0];
        assert_eq!((last.action.as_str(), last.after.as_ref()), ("application.deleted", None));
    })
    .await;
}

#[tokio::test]
async fn an_application_that_gets_a_mailbox_just_then_stays() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let first = tenant(store, "self_hosted", None).await;
        for round in 0..10 {
            let tenant = second(store, &first).await;
            let (one, other) = (store.clone(), store.clone());
            let (create, remove) = (tenant.create(&format!("a{round}")), removal(&tenant));
            let made = tokio::spawn(async move { one.run_near(1, create).await });
            let removed = tokio::spawn(async move { other.run_near(2, remove).await.expect("remove") });
            let (made, removed) = (made.await.expect("task"), removed.await.expect("task"));
            match made {
                Ok(GrantOutcome::Created(_)) => assert_eq!(removed, RemoveOutcome::HasGrants),
                _ => assert_eq!(removed, RemoveOutcome::Removed),
            }
        }
    })
    .await;
}

fn new_key(application_id: Option<ApplicationId>, secret: u8) -> NewKey {
    let id = KeyId::from_uuid(fresh());
    NewKey { is_installation: false, ..NewKey::unlimited(id, application_id, "key", [secret; 32], "pf_".into()) }
}

fn create(tenant: &Tenant, key: NewKey) -> CreateKey {
    CreateKey { key, organization_id: tenant.organization, act: act(tenant, 0) }
}

fn change(tenant: &Tenant, id: KeyId, change: KeyChange) -> ChangeKey {
    ChangeKey {
        id,
        holder: Holder::Application(tenant.application),
        scope: Scope::Of(tenant.organization),
        maker: Maker { permissions: vec!["*".into()], is_installation: false },
        change,
        act: act(tenant, 5),
    }
}

fn rotation(hash: u8, overlap: Option<u64>) -> KeyChange {
    KeyChange::Rotate { hash: [hash; 32], hint: "new".into(), previous_until: overlap.map(at) }
}

async fn credential(store: &Store, hash: u8) -> Option<keys::Credential> {
    keys::find(&mut store.reader().await.expect("reader"), &[hash; 32]).await.expect("find")
}

#[tokio::test]
async fn a_key_is_changed_rotated_and_revoked_for_good() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let key = new_key(Some(tenant.application), 1);
        let id = key.id;
        let made = store.run(create(&tenant, key)).await.expect("create").expect("key");
        assert_eq!((made.name.as_str(), made.permissions.len(), made.expires_at), ("key", 1, None));

        let update = KeyChange::Update {
            capabilities: None,
            name: Some("named".into()),
            permissions: Some(vec!["grants.read".into()]),
            expires_at: Patch::Set(at(100)),
        };
        let KeyOutcome::Done(changed) = store.run(change(&tenant, id, update.clone())).await.expect("change") else {
            panic!("not changed")
        };
        assert_eq!((changed.name.as_str(), changed.expires_at, changed.updated_at), ("named", Some(at(100)), at(5)));
        assert_eq!(store.run(change(&tenant, id, update)).await.expect("again"), KeyOutcome::Done(changed));

        store.run(change(&tenant, id, rotation(2, Some(50)))).await.expect("rotate");
        let (old, new) = (credential(store, 1).await.expect("old"), credential(store, 2).await.expect("new"));
        assert_eq!((old.key_id, old.expires_at, new.expires_at), (id, Some(at(50)), Some(at(100))));
        // The key may end before the overlap does.
        store.run(change(&tenant, id, rotation(3, Some(500)))).await.expect("rotate");
        assert_eq!(credential(store, 2).await.expect("old").expires_at, Some(at(100)));
        assert!(credential(store, 1).await.is_none(), "one secret from before at most");
        store.run(change(&tenant, id, rotation(4, None))).await.expect("rotate");
        assert!(credential(store, 3).await.is_none() && credential(store, 4).await.is_some());

        let KeyOutcome::Done(revoked) = store.run(change(&tenant, id, KeyChange::Revoke)).await.expect("revoke") else {
            panic!("not revoked")
        };
        assert_eq!(credential(store, 4).await.expect("key").revoked_at, Some(at(5)));
        let again = store.run(change(&tenant, id, KeyChange::Revoke)).await.expect("revoke");
        assert_eq!(again, KeyOutcome::Done(revoked));
        assert_eq!(store.run(change(&tenant, id, rotation(5, None))).await.expect("rotate"), KeyOutcome::Revoked);
        let expected =
            ["revoked", "rotated", "rotated", "rotated", "updated", "created"].map(|verb| format!("api_key.{verb}"));
        assert_eq!(actions(store, &tenant).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_key_is_touched_by_its_own_operator_within_what_they_have() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (key, operators) = (new_key(Some(tenant.application), 1), new_key(None, 2));
        let installation = NewKey { is_installation: true, ..new_key(None, 3) };
        let (id, operators_id, installation_id) = (key.id, operators.id, installation.id);
        for key in [key, operators, installation] {
            store.run(create(&tenant, key)).await.expect("create").expect("key");
        }
        let revoke = |id| change(&tenant, id, KeyChange::Revoke);
        let elsewhere = Scope::Of(OrganizationId::from_uuid(fresh()));
        for unknown in [
            ChangeKey { scope: elsewhere, ..revoke(id) },
            ChangeKey { holder: Holder::Operator, ..revoke(id) },
            ChangeKey { holder: Holder::Application(ApplicationId::from_uuid(fresh())), ..revoke(id) },
            revoke(operators_id),
            revoke(KeyId::from_uuid(fresh())),
        ] {
            assert_eq!(store.run(unknown).await.expect("change"), KeyOutcome::Unknown);
        }
        let weak = Maker { permissions: vec!["keys.write".into()], is_installation: false };
        let rotate = ChangeKey { maker: weak.clone(), ..change(&tenant, id, rotation(9, None)) };
        assert_eq!(store.run(rotate).await.expect("rotate"), KeyOutcome::Lacking("*".into()));
        let revoke_installation = ChangeKey { holder: Holder::Operator, ..revoke(installation_id) };
        let refused = store.run(revoke_installation.clone()).await.expect("revoke");
        assert_eq!(refused, KeyOutcome::Lacking("installation".into()));
        let strong = Maker { permissions: vec!["*".into()], is_installation: true };
        let done = store.run(ChangeKey { maker: strong, ..revoke_installation }).await.expect("revoke");
        assert!(matches!(done, KeyOutcome::Done(_)), "{done:?}");
        let done = store.run(ChangeKey { maker: weak, ..revoke(id) }).await.expect("revoke");
        assert!(matches!(done, KeyOutcome::Done(_)), "taking away asks for nothing: {done:?}");

        let mut reader = store.reader().await.expect("reader");
        let own = keys::list_of_application(&mut reader, tenant.application, None, 10).await.expect("list");
        assert_eq!(own.iter().map(|key| key.id).collect::<Vec<_>>(), [id]);
        let operators = keys::list_of_operators(&mut reader, tenant.organization, None, 10).await.expect("list");
        assert_eq!(operators.iter().map(|key| key.id).collect::<Vec<_>>(), [installation_id, operators_id]);
        let after = keys::list_of_operators(&mut reader, tenant.organization, Some(installation_id), 1).await;
        assert_eq!(after.expect("list").iter().map(|key| key.id).collect::<Vec<_>>(), [operators_id]);
    })
    .await;
}

#[tokio::test]
async fn when_a_key_was_seen_is_written_once_a_minute() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let key = new_key(Some(tenant.application), 1);
        let id = key.id;
        store.run(create(&tenant, key)).await.expect("create").expect("key");
        for (seconds, expected) in [(0, 0), (59, 0), (60, 60), (30, 60)] {
            store.run(NoteUse { id, at: at(seconds) }).await.expect("note");
            let seen = credential(store, 1).await.expect("key").last_used_at;
            assert_eq!(seen, Some(at(expected)), "{seconds}");
        }
    })
    .await;
}

fn registration(tenant: &Tenant, url: &str) -> CreateRedirectUri {
    let redirect_uri = RedirectUri {
        id: RedirectUriId::from_uuid(fresh()),
        application_id: tenant.application,
        url: url.into(),
        platform: Platform::Web,
        settings: object(json!({"origin": "o"})),
        created_at: NOON,
    };
    CreateRedirectUri { redirect_uri, act: act(tenant, 0) }
}

#[tokio::test]
async fn a_redirect_uri_is_unique_in_its_application() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let first = registration(&tenant, "https://a.example/");
        let id = first.redirect_uri.id;
        let RedirectUriOutcome::Done(made) = store.run(first.clone()).await.expect("create") else {
            panic!("not made")
        };
        assert_eq!(made, first.redirect_uri);
        let again = store.run(registration(&tenant, "https://a.example/")).await.expect("create");
        assert_eq!(again, RedirectUriOutcome::UrlTaken);
        store.run(registration(&tenant, "https://b.example/")).await.expect("create");
        let update = |url: &str| UpdateRedirectUri {
            application_id: tenant.application,
            id,
            url: Some(url.into()),
            platform: None,
            settings: None,
            act: act(&tenant, 1),
        };
        assert_eq!(store.run(update("https://b.example/")).await.expect("update"), RedirectUriOutcome::UrlTaken);
        assert_eq!(
            store.run(update("https://a.example/")).await.expect("update"),
            RedirectUriOutcome::Done(made.clone())
        );
        let invalid = store.run(update("app:/callback")).await.expect("update");
        assert!(matches!(invalid, RedirectUriOutcome::Invalid(_)), "{invalid:?}");
        let moved = UpdateRedirectUri { platform: Some(Platform::Ios), ..update("app:/callback") };
        let expected = RedirectUri { url: "app:/callback".into(), platform: Platform::Ios, ..made };
        assert_eq!(store.run(moved).await.expect("update"), RedirectUriOutcome::Done(expected.clone()));
        let mut reader = store.reader().await.expect("reader");
        let all = redirect_uris::list(&mut reader, tenant.application).await.expect("list");
        assert_eq!((all.len(), &all[0]), (2, &expected));
        let (only, organization) = (tenant.application, tenant.organization);
        let same = redirect_uris::list_of_applications(&mut reader, organization, only, only).await.expect("list");
        assert_eq!(same, all);
        let remove = RemoveRedirectUri { application_id: tenant.application, id, act: act(&tenant, 2) };
        let foreign = RemoveRedirectUri { application_id: ApplicationId::from_uuid(fresh()), ..remove.clone() };
        assert!(!store.run(foreign).await.expect("remove"));
        let second = RemoveRedirectUri { act: act(&tenant, 3), ..remove.clone() };
        assert!(store.run(remove).await.expect("remove"));
        assert!(!store.run(second).await.expect("remove"));
        let expected = ["deleted", "updated", "created", "created"].map(|verb| format!("redirect_uri.{verb}"));
        assert_eq!(actions(store, &tenant).await, expected);
    })
    .await;
}

#[tokio::test]
async fn redirect_uris_made_at_once_stay_within_their_limit_and_unique() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let count = REDIRECT_URIS_MAX as usize + 20;
        let commands: Vec<_> =
            (0..count * 2).map(|number| registration(&tenant, &format!("https://a.example/{}", number / 2))).collect();
        let outcomes = at_once(store, commands).await;
        let made = outcomes.iter().filter(|outcome| matches!(outcome, RedirectUriOutcome::Done(_))).count();
        assert_eq!(made as u64, REDIRECT_URIS_MAX);
        let distinct = "SELECT count(DISTINCT url) FROM redirect_uris";
        assert_eq!(number(store, distinct, &[]).await as u64, REDIRECT_URIS_MAX);
    })
    .await;
}

fn account(tenant: &Tenant) -> ServiceAccount {
    ServiceAccount {
        id: ServiceAccountId::from_uuid(fresh()),
        organization_id: tenant.organization,
        name: "account".into(),
        public_key: vec![1, 2, 3],
        permissions: vec!["domains.*".into()],
        revoked_at: None,
        last_used_at: None,
        created_at: NOON,
    }
}

fn nonce(id: ServiceAccountId, nonce: &str, expires: u64, seconds: u64) -> UseNonce {
    UseNonce { account_id: id, nonce: nonce.into(), expires_at: at(expires), at: at(seconds) }
}

#[tokio::test]
async fn a_nonce_is_taken_once_by_an_account_that_is_good() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (one, other) = (account(&tenant), account(&tenant));
        for account in [&one, &other] {
            let command = CreateServiceAccount { account: account.clone(), act: act(&tenant, 0) };
            assert!(store.run(command).await.expect("create"));
        }
        let taken = at_once(store, vec![nonce(one.id, "n", 100, 1); 20]).await;
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "however many come at once");
        assert!(store.run(nonce(other.id, "n", 200, 1)).await.expect("use"), "another account's is another");
        assert!(!store.run(nonce(ServiceAccountId::from_uuid(fresh()), "n", 9, 1)).await.expect("use"));
        let mut reader = store.reader().await.expect("reader");
        let found = service_accounts::find(&mut reader, one.id).await.expect("find").expect("account");
        assert_eq!(found, ServiceAccount { last_used_at: Some(at(1)), ..one.clone() });

        let prune = |seconds| PruneNonces { now: at(seconds), limit: 10 };
        assert_eq!(store.run(prune(99)).await.expect("prune"), 0);
        assert_eq!(store.run(prune(100)).await.expect("prune"), 1);
        assert_eq!(store.run(PruneNonces { now: at(900), limit: 0 }).await.expect("prune"), 0);
        assert_eq!(store.run(prune(900)).await.expect("prune"), 1);

        let revoke = |scope| RevokeServiceAccount { id: one.id, scope, act: act(&tenant, 7) };
        assert!(!store.run(revoke(Scope::Of(OrganizationId::from_uuid(fresh())))).await.expect("revoke"));
        assert!(store.run(revoke(Scope::All)).await.expect("revoke"));
        assert!(store.run(revoke(Scope::All)).await.expect("revoke"), "again, without a record");
        assert!(!store.run(nonce(one.id, "new", 900, 8)).await.expect("use"));
        let listed = service_accounts::list(&mut reader, tenant.organization, None, 10).await.expect("list");
        assert_eq!(listed.iter().map(|account| account.revoked_at).collect::<Vec<_>>(), [None, Some(at(7))]);
        let expected = ["revoked", "created", "created"].map(|verb| format!("service_account.{verb}"));
        assert_eq!(actions(store, &tenant).await, expected);
        let nowhere = ServiceAccount { organization_id: OrganizationId::from_uuid(fresh()), ..account(&tenant) };
        assert!(!store.run(CreateServiceAccount { account: nowhere, act: act(&tenant, 0) }).await.expect("create"));
    })
    .await;
}

#[tokio::test]
async fn records_are_chosen_by_holder_target_and_id() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        for tenant in [&tenant, &tenant, &stranger] {
            store.run(registration(tenant, &format!("https://{}.example/", fresh()))).await.expect("create");
        }
        let all = records(store, Of::Application(tenant.application)).await;
        assert_eq!(all.len(), 2);
        assert!(all[0].id > all[1].id && all.iter().all(|record| record.application_id == Some(tenant.application)));
        assert_eq!(records(store, Of::Organization(tenant.organization)).await.len(), 3);
        let mut reader = store.reader().await.expect("reader");
        let whole =
            audit::Page { of: Of::Application(tenant.application), target_id: None, first: None, end: None, limit: 10 };
        for (page, expected) in [
            (audit::Page { limit: 1, ..whole.clone() }, &all[..1]),
            (audit::Page { first: Some(all[0].id), ..whole.clone() }, &all[..1]),
            (audit::Page { end: Some(all[0].id), ..whole.clone() }, &all[1..]),
            (audit::Page { target_id: Some(&all[1].target_id), ..whole.clone() }, &all[1..]),
            (
                audit::Page {
                    of: Of::Application(stranger.application),
                    target_id: Some(&all[1].target_id),
                    ..whole.clone()
                },
                &[],
            ),
            (
                audit::Page {
                    of: Of::Organization(tenant.organization),
                    target_id: Some(&all[1].target_id),
                    ..whole.clone()
                },
                &all[1..],
            ),
            (
                audit::Page {
                    of: Of::Organization(stranger.organization),
                    target_id: Some(&all[1].target_id),
                    ..whole.clone()
                },
                &[],
            ),
        ] {
            assert_eq!(audit::list(&mut reader, &page).await.expect("list"), expected, "{page:?}");
        }
    })
    .await;
}
