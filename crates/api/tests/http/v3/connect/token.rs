//! `/v3/connect/token`: exchanging codes and refresh tokens.

use super::{BACK, SignIn, with};
use crate::support::{Answer, NOBODY, assert_shape};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["POST /v3/connect/token"];

const PATH: &str = "/v3/connect/token";

const TOKENS: &str = "access_token:string grant_id:string email:string expires_in:integer id_token:string \
    token_type:string scope:string provider:string";

/// The verifier and challenge of RFC 7636, Appendix B, and the challenge as the official clients make it.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const DIGEST: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const OF_HEX: &str = "MTNkMzFlOTYxYTFhZDhlYzJmMTZiMTBjNGM5ODJlMDg3NmE4NzhhZDZkZjE0NDU2NmVlMTg5NGFjYjcwZjljMw";

pub(super) const REFUSAL: &str =
    "request_id:string error:string error_code:integer error_description:string error_uri:string";

/// Asserts a refusal in the shape of RFC 6749.
#[track_caller]
pub(super) fn refuses(answer: &Answer, status: u16, error: &str, code: u32) {
    let is = (answer.status, answer.json["error"].as_str(), answer.json["error_code"].as_u64());
    assert_eq!(is, (status, Some(error), Some(u64::from(code))), "{}", answer.json);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_code_is_exchanged_as_json_and_as_a_form() {
    let sign_in = SignIn::new().await;
    let code = sign_in.code(json!({"access_type": null})).await;
    let answer = sign_in.post(PATH, &sign_in.exchange(&code)).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    assert_shape(&answer.json, TOKENS);
    let data = &answer.json;
    assert!(data["access_token"].as_str().expect("token").starts_with("pf_at_"));
    assert_eq!((&data["grant_id"], &data["email"]), (&json!(sign_in.harness.agent), &json!("agent@acme.test")));
    assert_eq!((&data["expires_in"], &data["token_type"]), (&json!(3_600), &json!("Bearer")));
    assert_eq!((&data["scope"], &data["provider"]), (&json!(""), &json!("nylas")));

    let code = sign_in.code(json!({})).await;
    let form = format!(
        "grant_type=authorization_code&client_id={}&client_secret={}&code={code}&redirect_uri={}",
        sign_in.client,
        sign_in.harness.acme.api_key,
        BACK.replace(':', "%3A").replace('?', "%3F").replace('=', "%3D"),
    );
    let request = Request::post(PATH).header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let answer = sign_in.harness.request(request.body(Body::from(form)).expect("request")).await;
    assert_shape(&answer.is_ok().json, &format!("{TOKENS} refresh_token:string"));
    assert!(answer.json["refresh_token"].as_str().expect("token").starts_with("pf_rt_"));
}

#[tokio::test]
async fn both_encodings_of_a_challenge_are_met_by_its_verifier_alone() {
    let sign_in = SignIn::new().await;
    for (challenge, method) in
        [(DIGEST, "S256"), (OF_HEX, "S256"), (OF_HEX, "s256"), (VERIFIER, "plain"), (VERIFIER, "")]
    {
        let begun = json!({"code_challenge": challenge, "code_challenge_method": method});
        let code = sign_in.code(begun).await;
        let exchange = sign_in.exchange(&code);
        for wrong in [json!({}), json!({"code_verifier": "x".repeat(43)}), json!({"code_verifier": OF_HEX})] {
            // A key does not take the verifier's place.
            refuses(&sign_in.post(PATH, &with(exchange.clone(), &wrong)).await, 400, "invalid_grant", 40_002);
        }
        // With it, no key is needed.
        let public = json!({"code_verifier": VERIFIER, "client_secret": null});
        let tokens = sign_in.post(PATH, &with(exchange, &public)).await;
        assert_eq!(tokens.is_ok().json["grant_id"], sign_in.harness.agent, "{challenge} {method}");
    }
    // A verifier without a challenge: somebody has taken the challenge away.
    let code = sign_in.code(json!({})).await;
    let added = with(sign_in.exchange(&code), &json!({"code_verifier": VERIFIER}));
    refuses(&sign_in.post(PATH, &added).await, 400, "invalid_grant", 40_002);
}

#[tokio::test]
async fn a_code_is_for_its_application_place_and_ten_minutes() {
    let sign_in = SignIn::new().await;
    let code = sign_in.code(json!({})).await;
    let exchange = sign_in.exchange(&code);
    let other = &sign_in.harness.other;
    let foreign = json!({"client_id": other.application_id.to_string(), "client_secret": other.api_key});
    for (more, status, error, number) in [
        (json!({"redirect_uri": "https://app.test/back"}), 400, "invalid_grant", 40_002),
        (json!({"redirect_uri": null}), 400, "invalid_grant", 40_002),
        (foreign, 400, "invalid_grant", 40_002),
        (json!({"code": "pf_ac_unknown"}), 400, "invalid_grant", 40_002),
        (json!({"code": "c".repeat(300)}), 400, "invalid_grant", 40_002),
        (json!({"code": null}), 400, "invalid_request", 40_001),
        (json!({"client_id": null}), 400, "invalid_request", 40_001),
        (json!({"grant_type": null}), 400, "invalid_request", 40_001),
        (json!({"grant_type": "password"}), 400, "unsupported_grant_type", 40_003),
        (json!({"grant_type": 1}), 400, "invalid_request", 40_001),
        (json!({"code_verifier": "v".repeat(129)}), 400, "invalid_request", 40_001),
        (json!({"client_id": "x"}), 401, "invalid_client", 40_101),
        (json!({"client_id": NOBODY}), 401, "invalid_client", 40_101),
        (json!({"client_secret": null}), 401, "invalid_client", 40_101),
        (json!({"client_secret": "pf_test_unknown"}), 401, "invalid_client", 40_101),
        (json!({"client_secret": other.api_key}), 401, "invalid_client", 40_101),
        (json!({"client_secret": sign_in.harness.acme.operator_key}), 401, "invalid_client", 40_101),
    ] {
        refuses(&sign_in.post(PATH, &with(exchange.clone(), &more)).await, status, error, number);
    }
    sign_in.harness.world.advance(599);
    sign_in.post(PATH, &exchange).await.is_ok();
    let late = sign_in.exchange(&sign_in.code(json!({})).await);
    sign_in.harness.world.advance(600);
    refuses(&sign_in.post(PATH, &late).await, 400, "invalid_grant", 40_002);
}

#[tokio::test]
async fn a_code_that_comes_twice_takes_back_what_it_gave() {
    let sign_in = SignIn::new().await;
    let elsewhere = sign_in.tokens().await;
    let code = sign_in.code(json!({})).await;
    let tokens = sign_in.post(PATH, &sign_in.exchange(&code)).await.is_ok().json.clone();
    let later = sign_in.post(PATH, &sign_in.refresh(&tokens["refresh_token"])).await.is_ok().json.clone();
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.is_ok();
    // Long after the code would have ended.
    sign_in.harness.world.advance(1_800);
    refuses(&sign_in.post(PATH, &sign_in.exchange(&code)).await, 400, "invalid_grant", 40_002);
    for taken in [&tokens, &later] {
        sign_in.ask(taken, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);
    }
    refuses(&sign_in.post(PATH, &sign_in.refresh(&tokens["refresh_token"])).await, 400, "invalid_grant", 40_002);
    sign_in.ask(&elsewhere, "GET", "/v3/grants/me").await.is_ok();
}

#[tokio::test]
async fn a_refresh_token_gives_the_next_access_token() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    let refresh = sign_in.refresh(&tokens["refresh_token"]);
    sign_in.harness.world.advance(3_600);
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);
    for _ in 0..2 {
        let next = sign_in.post(PATH, &with(refresh.clone(), &json!({"redirect_uri": BACK}))).await;
        assert_shape(&next.is_ok().json, TOKENS);
        assert_eq!(next.json["email"], "agent@acme.test");
        sign_in.ask(&next.json, "GET", "/v3/grants/me").await.is_ok();
    }
    let other = &sign_in.harness.other;
    let foreign = json!({"client_id": other.application_id.to_string(), "client_secret": other.api_key});
    for (more, status, error, number) in [
        (foreign, 400, "invalid_grant", 40_002),
        (json!({"client_secret": null}), 401, "invalid_client", 40_101),
        (json!({"refresh_token": tokens["access_token"]}), 400, "invalid_grant", 40_002),
        (json!({"refresh_token": null}), 400, "invalid_request", 40_001),
    ] {
        refuses(&sign_in.post(PATH, &with(refresh.clone(), &more)).await, status, error, number);
    }
}

#[tokio::test]
async fn an_application_without_a_key_gets_a_new_refresh_token_each_time() {
    let sign_in = SignIn::new().await;
    let begun = json!({"code_challenge": DIGEST, "code_challenge_method": "S256"});
    let public = json!({"code_verifier": VERIFIER, "client_secret": null});
    let code = sign_in.code(begun).await;
    let first = sign_in.post(PATH, &with(sign_in.exchange(&code), &public)).await.is_ok().json.clone();
    let refresh =
        async |token: &Value| sign_in.post(PATH, &with(sign_in.refresh(token), &json!({"client_secret": null}))).await;
    let second = refresh(&first["refresh_token"]).await.is_ok().json.clone();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let third = refresh(&second["refresh_token"]).await.is_ok().json.clone();
    sign_in.ask(&third, "GET", "/v3/grants/me").await.is_ok();
    // The first one again: somebody else has it, so nobody keeps anything.
    refuses(&refresh(&first["refresh_token"]).await, 400, "invalid_grant", 40_002);
    sign_in.ask(&third, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);
    refuses(&refresh(&third["refresh_token"]).await, 400, "invalid_grant", 40_002);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_same_shape() {
    let sign_in = SignIn::new().await;
    let post = async |kind: &str, body: &[u8]| {
        let request = Request::post(PATH).header("content-type", kind);
        sign_in.harness.request(request.body(Body::from(body.to_vec())).expect("request")).await
    };
    for (kind, body) in [
        ("application/json", "{"),
        ("application/json", "[]"),
        ("text/plain", "{}"),
        ("application/x-www-form-urlencoded", ""),
    ] {
        refuses(&post(kind, body.as_bytes()).await, 400, "invalid_request", 40_001);
    }
    let large = vec![b' '; (64 << 10) + 1];
    refuses(&post("application/json", &large).await, 413, "invalid_request", 40_001);
}
