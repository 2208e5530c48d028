//! `/v3/connect`.

mod access;
mod auth;
mod custom;
mod login;
mod revoke;
mod token;
mod tokeninfo;

use crate::support::{Answer, Harness};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use postfleet_core::Secret;
use postfleet_core::id::{ApplicationId, RedirectUriId};
use postfleet_fleet::app_password;
use postfleet_net::SeededEntropy;
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx, params};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::sync::OnceCell;

pub(crate) const ROUTES: &[&[&str]] =
    &[custom::ROUTES, auth::ROUTES, login::ROUTES, token::ROUTES, revoke::ROUTES, tokeninfo::ROUTES];

/// Those that anybody may call.
pub(crate) const OPEN: &[&str] = &[
    "GET /v3/connect/auth",
    "POST /v3/connect/auth",
    "POST /v3/connect/login/nylas",
    "POST /v3/connect/token",
    "POST /v3/connect/revoke",
    "GET /v3/connect/tokeninfo",
];

pub(crate) const PASSWORD: &str = "Correct1Horse2Battery";
pub(crate) const BACK: &str = "https://app.test/back?from=postfleet";

/// Gives a mailbox a password.
struct SetPassword {
    grant: String,
    stored: String,
}

impl Command for SetPassword {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const SET: &str = "UPDATE grants SET app_password = $2 WHERE id = $1";
        let grant: postfleet_core::id::GrantId = self.grant.parse().expect("id");
        tx.execute(SET, params![grant.uuid(), &self.stored]).await
    }
}

/// Lets sign-in lead back to a place.
struct AddRedirectUri {
    id: RedirectUriId,
    application: ApplicationId,
    url: &'static str,
}

impl Command for AddRedirectUri {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const ADD: &str = "INSERT INTO redirect_uris (id, application_id, url, platform, settings, created_at) \
            VALUES ($1, $2, $3, 'web', '{}', 0)";
        tx.execute(ADD, params![self.id.uuid(), self.application.uuid(), self.url]).await?;
        Ok(())
    }
}

/// Two applications that lead back to [`BACK`], with a mailbox each that has [`PASSWORD`].
pub(crate) struct SignIn {
    pub(crate) harness: Harness,
    /// The first application's id.
    pub(crate) client: String,
}

impl SignIn {
    pub(crate) async fn new() -> Self {
        // Slow on purpose, so once.
        static STORED: OnceCell<String> = OnceCell::const_new();
        let hash = async || app_password::hash(&SeededEntropy::new(1), Secret::new(PASSWORD.to_owned())).await;
        let stored = STORED.get_or_init(async || hash().await.expect("hash")).await;
        let harness = Harness::new().await;
        let store = &harness.world.platform.store;
        for grant in [&harness.agent, &harness.stranger] {
            store.run(SetPassword { grant: grant.clone(), stored: stored.clone() }).await.expect("password");
        }
        let client = harness.acme.application_id.to_string();
        let sign_in = Self { harness, client };
        sign_in.lead_back_to(sign_in.harness.acme.application_id, BACK).await;
        sign_in.lead_back_to(sign_in.harness.other.application_id, BACK).await;
        sign_in
    }

    pub(crate) async fn lead_back_to(&self, application: ApplicationId, url: &'static str) {
        let platform = &self.harness.world.platform;
        let id = RedirectUriId::new(platform.clock.now(), platform.entropy.ten());
        platform.store.run(AddRedirectUri { id, application, url }).await.expect("redirect URI");
    }

    /// Posts JSON from an address, without a key.
    pub(crate) async fn post_from(&self, peer: &str, path: &str, body: &Value) -> Answer {
        let peer: SocketAddr = peer.parse().expect("address");
        let request = Request::post(path).header("content-type", "application/json").extension(ConnectInfo(peer));
        self.harness.request(request.body(Body::from(body.to_string())).expect("request")).await
    }

    /// Posts JSON without a key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_from("192.0.2.1:5000", path, body).await
    }

    /// Gets without a key.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.harness.request(Request::get(path).body(Body::empty()).expect("request")).await
    }

    /// What signs in to the first application's mailbox.
    pub(crate) fn login(&self) -> Value {
        json!({"public_application_id": self.client, "email": "agent@acme.test", "app_password": PASSWORD,
            "redirect_uri": BACK, "state": "s1", "access_type": "offline"})
    }

    /// A code for the first application's mailbox, with more or other fields of the login.
    pub(crate) async fn code(&self, more: Value) -> String {
        let answer = self.post("/v3/connect/login/nylas", &with(self.login(), &more)).await;
        answer.is_ok().json["UASCode"].as_str().expect("code").to_owned()
    }

    /// What exchanges a code.
    pub(crate) fn exchange(&self, code: &str) -> Value {
        json!({"grant_type": "authorization_code", "client_id": self.client,
            "client_secret": self.harness.acme.api_key, "redirect_uri": BACK, "code": code})
    }

    /// What gives the next access token.
    pub(crate) fn refresh(&self, token: &Value) -> Value {
        json!({"grant_type": "refresh_token", "client_id": self.client,
            "client_secret": self.harness.acme.api_key, "refresh_token": token})
    }

    /// The tokens of a whole sign-in.
    pub(crate) async fn tokens(&self) -> Value {
        let code = self.code(json!({})).await;
        self.post("/v3/connect/token", &self.exchange(&code)).await.is_ok().json.clone()
    }

    /// Asks with an access token.
    pub(crate) async fn ask(&self, tokens: &Value, method: &str, path: &str) -> Answer {
        self.harness.ask(tokens["access_token"].as_str().expect("token"), method, path, None).await
    }
}

/// An object with some fields replaced; null takes one out.
pub(crate) fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("object") {
        object[name] = value.clone();
    }
    object.as_object_mut().expect("object").retain(|_, value| !value.is_null());
    object
}

/// The value of a parameter in the query of a place.
pub(crate) fn parameter(location: &str, name: &str) -> Option<String> {
    let query = location.split_once('?')?.1;
    let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name)?;
    let text = found.1.replace('+', " ");
    Some(percent_decoded(&text))
}

fn percent_decoded(text: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let hex = [rest.next().expect("hex"), rest.next().expect("hex")];
            octets.push(u8::from_str_radix(std::str::from_utf8(&hex).expect("hex"), 16).expect("hex"));
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).expect("text")
}
