//! Signatures and templates: as many as there may be and no more, whoever is at it at once; an owner's own, and gone with it.

use crate::support::{Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::id::{GrantId, SignatureId, TemplateId};
use postfleet_store::grants::PruneRemoved;
use postfleet_store::params;
use postfleet_store::signatures::{self, CreateSignature, RemoveSignature, SIGNATURES_MAX, Signature, UpdateSignature};
use postfleet_store::templates::{self, CreateTemplate, Owner, RemoveTemplate, Template, UpdateTemplate};

fn signature(tenant: &Tenant, grant_id: GrantId) -> CreateSignature {
    let signature = Signature {
        id: SignatureId::from_uuid(fresh()),
        grant_id,
        name: "Work".to_owned(),
        body: "<p>Ada</p>".to_owned(),
        created_at: at(1),
        updated_at: at(1),
    };
    CreateSignature { act: tenant.act(at(1)), signature }
}

fn template(tenant: &Tenant, owner: Owner) -> CreateTemplate {
    let template = Template {
        id: TemplateId::from_uuid(fresh()),
        owner,
        name: "Order".to_owned(),
        subject: "{{id}}".to_owned(),
        body: "b".to_owned(),
        created_at: at(1),
        updated_at: at(1),
    };
    CreateTemplate { act: tenant.act(at(1)), template }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_has_ten_signatures_however_many_are_made_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let (one, two) = (tenant.mailbox(store, "one").await, tenant.mailbox(store, "two").await);
        let commands = (0..40).map(|number| signature(&tenant, if number % 2 == 0 { one } else { two })).collect();
        let made = at_once(store, commands).await;
        let count = |outcome| made.iter().filter(|made| **made == outcome).count() as i64;
        assert_eq!(count(signatures::CreateOutcome::Created), 2 * SIGNATURES_MAX);
        assert_eq!(count(signatures::CreateOutcome::TooMany), 40 - 2 * SIGNATURES_MAX);
        for grant in [one, two] {
            let mut reader = store.reader().await.expect("reader");
            let list = signatures::list(&mut reader, grant).await.expect("list");
            assert_eq!(list.len() as i64, SIGNATURES_MAX);
            assert!(list.is_sorted_by_key(|signature| signature.id));
        }
        let nobody = signature(&tenant, GrantId::from_uuid(fresh()));
        assert_eq!(store.run(nobody).await.expect("run"), signatures::CreateOutcome::NoSuchGrant);
    })
    .await;
}

#[tokio::test]
async fn a_signature_is_changed_and_removed_by_its_mailbox_alone() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let (own, other) = (tenant.mailbox(store, "own").await, tenant.mailbox(store, "other").await);
        let made = signature(&tenant, own);
        store.run(made.clone()).await.expect("run");
        let id = made.signature.id;
        let change = |grant_id| UpdateSignature {
            act: tenant.act(at(5)),
            grant_id,
            id,
            name: Some("Home".to_owned()),
            body: None,
        };
        assert_eq!(store.run(change(other)).await.expect("run"), None);
        let changed = store.run(change(own)).await.expect("run").expect("changed");
        let expected = Signature { name: "Home".to_owned(), updated_at: at(5), ..made.signature };
        assert_eq!(changed, expected);
        let found = signatures::find(&mut store.reader().await.expect("reader"), own, id).await.expect("find");
        assert_eq!(found, Some(expected));
        let remove = |grant_id| RemoveSignature { act: tenant.act(at(6)), grant_id, id };
        assert!(!store.run(remove(other)).await.expect("run"));
        assert!(store.run(remove(own)).await.expect("run"));
        assert!(!store.run(remove(own)).await.expect("run"));
        let audited = "SELECT count(*) FROM audit WHERE target_kind = 'signature'";
        assert_eq!(number(store, audited, &[]).await, 3);
    })
    .await;
}

#[tokio::test]
async fn templates_are_their_owners_and_listed_in_pages() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let grant = tenant.mailbox(store, "own").await;
        let owners = [None, Some(grant)].map(|grant| Owner { application: tenant.application, grant });
        for owner in owners {
            let mut ids = Vec::new();
            for _ in 0..5 {
                let made = template(&tenant, owner);
                ids.push(made.template.id);
                assert_eq!(store.run(made).await.expect("run"), templates::CreateOutcome::Created);
            }
            ids.sort();
            let mut reader = store.reader().await.expect("reader");
            let first = templates::list(&mut reader, owner, None, 3).await.expect("list");
            let rest = templates::list(&mut reader, owner, Some(ids[2]), 3).await.expect("list");
            let listed: Vec<TemplateId> = first.iter().chain(&rest).map(|template| template.id).collect();
            assert_eq!(listed, ids);
            drop(reader);
            // Whoever else there is does not change it.
            let other = owners.into_iter().find(|other| *other != owner).expect("the other");
            let change = |owner| UpdateTemplate {
                act: tenant.act(at(5)),
                owner,
                id: ids[0],
                name: None,
                subject: Some("s".to_owned()),
                body: None,
            };
            assert_eq!(store.run(change(other)).await.expect("run"), None);
            let changed = store.run(change(owner)).await.expect("run").expect("changed");
            assert_eq!((changed.subject.as_str(), changed.body.as_str(), changed.updated_at), ("s", "b", at(5)));
            let remove = |owner| RemoveTemplate { act: tenant.act(at(6)), owner, id: ids[0] };
            assert!(!store.run(remove(other)).await.expect("run"));
            assert!(store.run(remove(owner)).await.expect("run"));
        }
    })
    .await;
}

#[tokio::test]
async fn they_go_with_their_mailbox() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let (gone, stays) = (tenant.mailbox(store, "gone").await, tenant.mailbox(store, "stays").await);
        for grant in [gone, stays] {
            store.run(signature(&tenant, grant)).await.expect("run");
            let owner = Owner { application: tenant.application, grant: Some(grant) };
            store.run(template(&tenant, owner)).await.expect("run");
        }
        assert!(store.run(tenant.removal(gone, at(100))).await.expect("remove"));
        while store.run(PruneRemoved { limit: 10 }).await.expect("prune") {}
        for (grant, left) in [(gone, 0), (stays, 1)] {
            let of = params![grant.uuid()];
            assert_eq!(number(store, "SELECT count(*) FROM signatures WHERE grant_id = $1", of).await, left);
            assert_eq!(number(store, "SELECT count(*) FROM templates WHERE grant_id = $1", of).await, left);
        }
    })
    .await;
}
