//! `/v3/connect/tokeninfo`.

use super::SignIn;
use super::token::{REFUSAL, refuses};
use crate::support::assert_shape;
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/connect/tokeninfo"];

const INFO: &str = "iss:string aud:string sub:string email:string iat:integer exp:integer";

#[tokio::test]
async fn both_tokens_say_who_has_signed_in() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    for name in ["access_token", "id_token"] {
        let path = format!("/v3/connect/tokeninfo?{name}={}", tokens[name].as_str().expect("token"));
        let answer = sign_in.get(&path).await;
        assert_shape(answer.is_ok().data(), INFO);
        let now = sign_in.harness.world.platform.clock.now().as_seconds();
        let expected = json!({"iss": "https://mx.world.test", "aud": sign_in.client, "sub": sign_in.harness.agent,
            "email": "agent@acme.test", "iat": now, "exp": now + 3_600});
        assert_eq!(answer.data(), &expected, "{name}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // The application may ask with its key, another one does not see it.
        assert_eq!(sign_in.harness.get(&path).await.is_ok().data(), &expected);
        let stranger = sign_in.harness.ask(&sign_in.harness.other.api_key, "GET", &path, None).await;
        refuses(&stranger, 401, "invalid_token", 40_102);
        refuses(&sign_in.harness.ask("pf_test_wrong", "GET", &path, None).await, 401, "invalid_client", 40_101);
        let operator = sign_in.harness.ask(&sign_in.harness.acme.operator_key, "GET", &path, None).await;
        refuses(&operator, 403, "unauthorized_client", 40_301);
    }
}

#[tokio::test]
async fn what_is_no_token_any_more_says_nothing() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    let ask = async |name: &str, token: &str| sign_in.get(&format!("/v3/connect/tokeninfo?{name}={token}")).await;
    let (access, id) = (tokens["access_token"].as_str().expect("token"), tokens["id_token"].as_str().expect("token"));
    let refresh = tokens["refresh_token"].as_str().expect("token");
    for (name, token) in [
        ("access_token", id),
        ("id_token", access),
        ("access_token", refresh),
        ("access_token", ""),
        ("id_token", "a.b.c"),
    ] {
        refuses(&ask(name, token).await, 401, "invalid_token", 40_102);
    }
    refuses(&sign_in.get("/v3/connect/tokeninfo").await, 400, "invalid_request", 40_001);
    let both = format!("/v3/connect/tokeninfo?access_token={access}&id_token={id}");
    let both = sign_in.get(&both).await;
    refuses(&both, 400, "invalid_request", 40_001);
    assert_shape(&both.json, REFUSAL);
    assert_eq!(both.json["error_description"], "either access_token or id_token must be given");

    sign_in.harness.world.advance(3_599);
    for (name, token) in [("access_token", access), ("id_token", id)] {
        ask(name, token).await.is_ok();
    }
    sign_in.harness.delete("/v3/grants/agent@acme.test").await.is_ok();
    for (name, token) in [("access_token", access), ("id_token", id)] {
        refuses(&ask(name, token).await, 401, "invalid_token", 40_102);
    }
}
