//! Signing in: codes and tokens are used as often as they may be, and
//! what was taken back is worth nothing.

use crate::support::{NOON, Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{ApplicationId, AuditId, EventId, GrantId, SignInId};
use postfleet_core::pkce::{Challenge, Method, Proof};
use postfleet_store::db::DbError;
use postfleet_store::grants::{self, PruneRemoved, RemoveGrant};
use postfleet_store::sign_in;
use postfleet_store::tokens::{self, IssueCode, PruneTokens, Redeem, Redeemed, Revoke, TokenKind};
use postfleet_store::{Command, Store, Tx, params};

const BACK: &str = "https://app.example/back";

/// Gives a mailbox a stored password.
pub struct SetPassword(pub GrantId, pub &'static str);

impl Command for SetPassword {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const SET: &str = "UPDATE grants SET app_password = $2 WHERE id = $1";
        tx.execute(SET, params![self.0.uuid(), self.1]).await?;
        Ok(())
    }
}

/// Blocks a mailbox.
struct Block(GrantId);

impl Command for Block {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.execute("UPDATE grants SET blocked = 1 WHERE id = $1", params![self.0.uuid()]).await?;
        Ok(())
    }
}

/// Lets sign-in lead back to [`BACK`].
struct AddRedirectUri(ApplicationId);

impl Command for AddRedirectUri {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const ADD: &str = "INSERT INTO redirect_uris (id, application_id, url, platform, settings, created_at) \
            VALUES ($1, $2, $3, 'web', '{}', 0)";
        tx.execute(ADD, params![fresh(), self.0.uuid(), BACK]).await?;
        Ok(())
    }
}

/// A mailbox with a password, and the application that it signs in to.
struct Setting {
    tenant: Tenant,
    grant: GrantId,
}

impl Setting {
    async fn new(store: &Store) -> Self {
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "bob").await;
        store.run(SetPassword(grant, "verified")).await.expect("password");
        Self { tenant, grant }
    }

    fn code(&self, hash: u8) -> IssueCode {
        IssueCode {
            hash: [hash; 32],
            sign_in_id: SignInId::from_uuid(fresh()),
            application_id: self.tenant.application,
            grant_id: self.grant,
            verified: "verified".into(),
            redirect_uri: BACK.into(),
            challenge: None,
            is_offline: true,
            expires_at: at(600),
            at: NOON,
        }
    }

    /// Exchanges `hash` for the access token `access` and the refresh token `access + 1`.
    fn redeem(&self, hash: u8, access: u8) -> Redeem {
        Redeem {
            hash: [hash; 32],
            kind: TokenKind::Code,
            application_id: self.tenant.application,
            has_secret: true,
            redirect_uri: Some(BACK.into()),
            proof: None,
            access_hash: [access; 32],
            access_expires_at: at(3_600),
            refresh_hash: [access + 1; 32],
            used_kept_until: at(86_400),
            at: NOON,
        }
    }

    fn refresh(&self, hash: u8, access: u8) -> Redeem {
        Redeem { kind: TokenKind::Refresh, redirect_uri: None, ..self.redeem(hash, access) }
    }
}

async fn opens(store: &Store, hash: u8) -> Option<GrantId> {
    let mut reader = store.reader().await.expect("reader");
    tokens::find(&mut reader, &[hash; 32]).await.expect("find").map(|opened| opened.grant_id)
}

fn is_given(outcome: &Redeemed) -> bool {
    matches!(outcome, Redeemed::Given { .. })
}

#[tokio::test]
async fn a_code_is_issued_for_the_password_that_was_verified() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let setting = Setting::new(store).await;
        let changed = IssueCode { verified: "older".into(), ..setting.code(1) };
        assert!(!store.run(changed).await.expect("run"));
        let stranger = tenant(store, "self_hosted", None).await;
        let foreign = IssueCode { application_id: stranger.application, ..setting.code(1) };
        assert!(!store.run(foreign).await.expect("run"));
        assert!(store.run(setting.code(1)).await.expect("run"));
        let mut reader = store.reader().await.expect("reader");
        let door = sign_in::door(&mut reader, &setting.tenant.address("BOB")).await.expect("find").expect("door");
        assert_eq!((door.grant_id, door.app_password.as_deref()), (setting.grant, Some("verified")));
        assert_eq!(sign_in::door(&mut reader, &setting.tenant.address("eve")).await.expect("find"), None);
    })
    .await;
}

#[tokio::test]
async fn sign_in_leads_back_to_registered_places_only() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (one, two) = (tenant(store, "free", None).await, tenant(store, "free", None).await);
        store.run(AddRedirectUri(one.application)).await.expect("redirect URI");
        let mut reader = store.reader().await.expect("reader");
        for (application, uri, expected) in [
            (one.application, BACK, Some("Organization".to_owned())),
            (two.application, BACK, None),
            (one.application, "https://app.example/back/", None),
            (ApplicationId::from_uuid(fresh()), BACK, None),
        ] {
            assert_eq!(sign_in::client_name(&mut reader, application, uri).await.expect("find"), expected);
        }
        assert!(sign_in::has_domain(&mut reader, one.application, &one.domain).await.expect("find"));
        assert!(!sign_in::has_domain(&mut reader, one.application, &two.domain).await.expect("find"));
    })
    .await;
}

#[tokio::test]
async fn a_code_gives_tokens_once_and_a_second_use_takes_them_back() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let setting = Setting::new(store).await;
        store.run(setting.code(1)).await.expect("issue");
        let given = store.run(setting.redeem(1, 10)).await.expect("redeem");
        let email = setting.tenant.address("bob");
        assert_eq!(given, Redeemed::Given { grant_id: setting.grant, email, with_refresh: true });
        assert_eq!(opens(store, 10).await, Some(setting.grant));
        // A refresh token, a code and nothing open no mailbox.
        assert_eq!((opens(store, 11).await, opens(store, 1).await, opens(store, 99).await), (None, None, None));
        assert!(is_given(&store.run(setting.refresh(11, 20)).await.expect("refresh")));
        assert!(is_given(&store.run(setting.refresh(11, 22)).await.expect("refresh")));

        // Another sign-in of the same mailbox keeps what it has.
        store.run(setting.code(2)).await.expect("issue");
        store.run(setting.redeem(2, 30)).await.expect("redeem");
        assert_eq!(store.run(setting.redeem(1, 40)).await.expect("redeem"), Redeemed::Replayed);
        for taken in [10, 20, 22, 40] {
            assert_eq!(opens(store, taken).await, None, "{taken}");
        }
        assert_eq!(store.run(setting.refresh(11, 50)).await.expect("refresh"), Redeemed::Refused);
        assert_eq!(opens(store, 30).await, Some(setting.grant));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_used_at_once_by_many_gives_nobody_anything_that_lasts() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let setting = Setting::new(store).await;
        store.run(setting.code(1)).await.expect("issue");
        let outcomes = at_once(store, (0..16).map(|index| setting.redeem(1, 10 + 2 * index)).collect()).await;
        assert_eq!(outcomes.iter().filter(|outcome| is_given(outcome)).count(), 1, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Redeemed::Replayed).count(), 1);
        assert_eq!(number(store, "SELECT count(*) FROM tokens", &[]).await, 0);
    })
    .await;
}

#[tokio::test]
async fn without_a_key_a_refresh_token_is_used_once_and_gives_the_next() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let setting = Setting::new(store).await;
        let verifier = "v".repeat(43);
        let challenge = Challenge::new(Method::Plain, &verifier);
        let proof = Some(Proof { verifier, digests: [String::new(), String::new()] });
        store.run(IssueCode { challenge, ..setting.code(1) }).await.expect("issue");
        let unproven = Redeem { has_secret: false, ..setting.redeem(1, 10) };
        assert_eq!(store.run(unproven.clone()).await.expect("redeem"), Redeemed::Refused);
        assert!(is_given(&store.run(Redeem { proof, ..unproven }).await.expect("redeem")));

        let refresh = |hash, access| Redeem { has_secret: false, ..setting.refresh(hash, access) };
        assert!(is_given(&store.run(refresh(11, 20)).await.expect("refresh")));
        assert!(is_given(&store.run(refresh(21, 30)).await.expect("refresh")));
        assert_eq!(opens(store, 30).await, Some(setting.grant));
        // Somebody else has the first one, too.
        assert_eq!(store.run(refresh(11, 40)).await.expect("refresh"), Redeemed::Replayed);
        assert_eq!(opens(store, 30).await, None);
        assert_eq!(store.run(refresh(31, 50)).await.expect("refresh"), Redeemed::Refused);

        // With a key the code and its refresh token want the key again.
        store.run(setting.code(2)).await.expect("issue");
        let without = Redeem { has_secret: false, ..setting.redeem(2, 60) };
        assert_eq!(store.run(without).await.expect("redeem"), Redeemed::SecretNeeded);
        assert!(is_given(&store.run(setting.redeem(2, 60)).await.expect("redeem")));
        assert_eq!(store.run(refresh(61, 70)).await.expect("refresh"), Redeemed::SecretNeeded);
    })
    .await;
}

fn act(tenant: &Tenant) -> Act {
    Act {
        record_id: AuditId::from_uuid(fresh()),
        actor: Actor { kind: ActorKind::ApiKey, id: "key".into(), name: "first key".into() },
        organization_id: tenant.organization,
        application_id: Some(tenant.application),
        request_id: String::new(),
        at: NOON,
    }
}

#[tokio::test]
async fn what_is_revoked_is_worth_nothing() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let setting = Setting::new(store).await;
        store.run(setting.code(1)).await.expect("issue");
        let revoke = |hash, act| Revoke { hash: [hash; 32], act };
        // A code is no token.
        assert!(!store.run(revoke(1, None)).await.expect("revoke"));
        store.run(setting.redeem(1, 10)).await.expect("redeem");
        store.run(setting.refresh(11, 20)).await.expect("refresh");
        // An access token goes alone.
        assert!(store.run(revoke(10, None)).await.expect("revoke"));
        assert!(!store.run(revoke(10, None)).await.expect("revoke"));
        assert_eq!((opens(store, 10).await, opens(store, 20).await), (None, Some(setting.grant)));
        // Another application's key does not reach it.
        let stranger = tenant(store, "self_hosted", None).await;
        assert!(!store.run(revoke(11, Some(act(&stranger)))).await.expect("revoke"));
        assert_eq!(number(store, "SELECT count(*) FROM audit WHERE action = 'token.revoked'", &[]).await, 0);
        // A refresh token takes with it what it gave.
        assert!(store.run(revoke(11, Some(act(&setting.tenant)))).await.expect("revoke"));
        assert_eq!(opens(store, 20).await, None);
        const RECORDED: &str = "SELECT count(*) FROM audit WHERE action = 'token.revoked' AND target_id = $1";
        assert_eq!(number(store, RECORDED, params![&setting.grant.to_string()]).await, 1);
    })
    .await;
}

/// As a change of the password does it.
struct TakeBackAll(GrantId);

impl Command for TakeBackAll {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tokens::remove_of_grant(tx, self.0).await
    }
}

#[tokio::test]
async fn tokens_end_with_their_time_their_password_and_their_mailbox() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let setting = Setting::new(store).await;
        for (code, access) in [(1, 10), (2, 20)] {
            store.run(setting.code(code)).await.expect("issue");
            store.run(setting.redeem(code, access)).await.expect("redeem");
        }
        assert_eq!(store.run(TakeBackAll(setting.grant)).await.expect("run"), 6);
        assert_eq!(opens(store, 10).await, None);

        store.run(setting.code(3)).await.expect("issue");
        store.run(setting.redeem(3, 30)).await.expect("redeem");
        let prune = |seconds| PruneTokens { before: at(seconds), limit: 10 };
        assert_eq!(store.run(prune(3_600)).await.expect("prune"), 0);
        assert_eq!(store.run(prune(3_601)).await.expect("prune"), 1, "the access token");
        assert_eq!(store.run(prune(86_401)).await.expect("prune"), 1, "the used code");
        assert!(is_given(&store.run(setting.refresh(31, 40)).await.expect("refresh")));

        let remove = RemoveGrant {
            application_id: setting.tenant.application,
            id: setting.grant,
            event_id: EventId::from_uuid(fresh()),
            act: setting.tenant.act(NOON),
        };
        assert!(store.run(remove).await.expect("remove"));
        assert_eq!(opens(store, 40).await, None);
        assert_eq!(store.run(setting.refresh(31, 50)).await.expect("refresh"), Redeemed::Refused);
        while store.run(PruneRemoved { limit: 10 }).await.expect("prune") {}
        assert_eq!(number(store, "SELECT count(*) FROM tokens", &[]).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_password_has_opened_stays_open_as_long_as_it_holds() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (Setting { tenant, grant }, other) = (Setting::new(store).await, Setting::new(store).await);
        let opened = async |application, password: &str| {
            let mut reader = store.reader().await.expect("reader");
            let found = grants::opened_with(&mut reader, application, grant, password).await.expect("read");
            found.map(|found| found.id)
        };
        assert_eq!(opened(tenant.application, "verified").await, Some(grant));
        assert_eq!(opened(other.tenant.application, "verified").await, None, "of another application");
        assert_eq!(opened(tenant.application, "").await, None);
        store.run(SetPassword(grant, "rotated")).await.expect("password");
        assert_eq!(opened(tenant.application, "verified").await, None);
        assert_eq!(opened(tenant.application, "rotated").await, Some(grant));
        store.run(Block(grant)).await.expect("block");
        assert_eq!(opened(tenant.application, "rotated").await, None);
    })
    .await;
}
