//! `/v3/connect/login/nylas`, and how often somebody may guess.

use super::{PASSWORD, SignIn, with};
use crate::support::{NOBODY, assert_shape};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::{Value, json};
use std::net::SocketAddr;

pub(crate) const ROUTES: &[&str] = &["POST /v3/connect/login/nylas"];

const PATH: &str = "/v3/connect/login/nylas";

#[tokio::test]
async fn the_right_password_gives_a_code() {
    let sign_in = SignIn::new().await;
    let request = Request::post(PATH).header("content-type", "application/json").header("host", "mail.test:8080");
    let body = with(sign_in.login(), &json!({"email": " AGENT@acme.TEST "}));
    let answer = sign_in.harness.request(request.body(Body::from(body.to_string())).expect("request")).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    assert_shape(
        &answer.json,
        "BaseURL:string Success:boolean GrantID:string State:string Provider:string Email:string UASCode:string \
         IsOauthV2:boolean",
    );
    let data = &answer.json;
    assert_eq!((&data["BaseURL"], &data["Success"]), (&json!("http://mail.test:8080"), &json!(true)));
    assert_eq!((&data["GrantID"], &data["Email"]), (&json!(sign_in.harness.agent), &json!("agent@acme.test")));
    assert_eq!((&data["State"], &data["Provider"]), (&json!("s1"), &json!("nylas")));
    let tokens = sign_in.post("/v3/connect/token", &sign_in.exchange(data["UASCode"].as_str().expect("code"))).await;
    assert_eq!(tokens.is_ok().json["grant_id"], data["GrantID"]);
    // Without a state it is empty.
    let answer = sign_in.post(PATH, &with(sign_in.login(), &json!({"state": null}))).await;
    assert_eq!(answer.is_ok().json["State"], "");
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_is_the_same() {
    let sign_in = SignIn::new().await;
    let other = sign_in.harness.other.application_id.to_string();
    let mut seen = Vec::new();
    for (number, more) in [
        json!({"app_password": "Wrong1Horse2Battery"}),
        json!({"app_password": ""}),
        json!({"app_password": "x".repeat(10_000)}),
        json!({"email": "nobody@acme.test"}),
        json!({"email": "agent@other.test"}),
        json!({"email": "no address\0"}),
        json!({"public_application_id": NOBODY}),
        json!({"public_application_id": "x"}),
        json!({"public_application_id": other}),
        json!({"redirect_uri": "https://evil.test/"}),
        json!({"redirect_uri": "\0"}),
    ]
    .iter()
    .enumerate()
    {
        // Neither address nor mailbox is throttled here.
        let peer = format!("192.0.2.{number}:1");
        if number % 4 == 3 {
            sign_in.harness.world.advance(900);
        }
        let answer = sign_in.post_from(&peer, PATH, &with(sign_in.login(), more)).await;
        answer.refuses(401, "sign_in_failed", None);
        seen.push(answer.without_id());
    }
    assert!(seen.iter().all(|answer| *answer == seen[0]));
}

#[tokio::test]
async fn a_wrong_request_names_its_field() {
    let sign_in = SignIn::new().await;
    for (field, value) in [
        ("email", Value::from(1)),
        ("state", "s".repeat(1_025).into()),
        ("access_type", "always".into()),
        ("code_challenge", "short".into()),
        ("code_challenge_method", "md5".into()),
    ] {
        let answer = sign_in.post(PATH, &with(sign_in.login(), &json!({ field: value }))).await;
        answer.refuses(400, "invalid_request", Some(field));
    }
    sign_in.post(PATH, &with(sign_in.login(), &json!({"app_password": null}))).await.says("missing field");
}

fn wrong(sign_in: &SignIn, email: &str) -> Value {
    with(sign_in.login(), &json!({"email": email, "app_password": "wrong"}))
}

#[tokio::test]
async fn the_sixth_guess_of_an_address_at_a_mailbox_is_not_looked_at() {
    let sign_in = SignIn::new().await;
    // Whether there is such a mailbox or not.
    for email in ["agent@acme.test", "nobody@acme.test"] {
        for _ in 0..5 {
            sign_in.post(PATH, &wrong(&sign_in, email)).await.refuses(401, "sign_in_failed", None);
        }
        // The right password is not looked at either, in any spelling of the address.
        sign_in.harness.world.advance(60);
        let right = with(sign_in.login(), &json!({"email": email.to_uppercase()}));
        let refused = sign_in.post(PATH, &right).await;
        refused.refuses(429, "sign_in_throttled", None).says("Sign-in failed.");
        assert_eq!(refused.header("retry-after"), Some("840"));
        assert_eq!(refused.json["error"]["limit"], 5);
    }
    // Other mailboxes and other addresses are not concerned, and the window ends.
    let theirs =
        json!({"public_application_id": sign_in.harness.other.application_id.to_string(), "email": "agent@other.test"});
    sign_in.post(PATH, &with(sign_in.login(), &theirs)).await.is_ok();
    sign_in.post_from("192.0.2.9:1", PATH, &sign_in.login()).await.is_ok();
    sign_in.harness.world.advance(839);
    sign_in.post(PATH, &sign_in.login()).await.is_ok();
}

#[tokio::test]
async fn a_success_clears_the_mailbox_and_is_no_failure_of_its_address() {
    let sign_in = SignIn::new().await;
    // 4 wrong ones and a right one, over and over: the address starts anew at the mailbox, and keeps the wrong ones.
    for _ in 0..4 {
        for _ in 0..4 {
            sign_in.post(PATH, &wrong(&sign_in, "agent@acme.test")).await.refuses(401, "sign_in_failed", None);
        }
        sign_in.post(PATH, &sign_in.login()).await.is_ok();
    }
    for _ in 16..20 {
        sign_in.post(PATH, &wrong(&sign_in, "x@acme.test")).await.refuses(401, "sign_in_failed", None);
    }
    let refused = sign_in.post(PATH, &wrong(&sign_in, "y@acme.test")).await;
    refused.refuses(429, "sign_in_throttled", None);
    assert_eq!(refused.json["error"]["limit"], 20);
    // It is known at the mailbox, and elsewhere nothing was throttled.
    sign_in.post(PATH, &sign_in.login()).await.is_ok();
    sign_in.post_from("192.0.2.2:1", PATH, &sign_in.login()).await.is_ok();
    // An IPv6 network of 64 bits is one address, and the window ends.
    for number in 0..20 {
        let peer = format!("[2001:db8::{number:x}]:1");
        sign_in.post_from(&peer, PATH, &wrong(&sign_in, &format!("v6-{number}@acme.test"))).await;
    }
    let refused = sign_in.post_from("[2001:db8::ffff:1]:1", PATH, &sign_in.login()).await;
    refused.refuses(429, "sign_in_throttled", None);
    sign_in.post_from("[2001:db8:0:1::1]:1", PATH, &sign_in.login()).await.is_ok();
    sign_in.harness.world.advance(900);
    sign_in.post_from("[2001:db8::ffff:1]:1", PATH, &sign_in.login()).await.is_ok();
}

#[tokio::test]
async fn guesses_at_once_are_looked_at_no_more_often() {
    let sign_in = SignIn::new().await;
    let guess = wrong(&sign_in, "agent@acme.test");
    let answers = futures::future::join_all((0..64).map(|_| sign_in.post(PATH, &guess))).await;
    let with_status = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with_status(401), with_status(429)), (5, 59));
}

#[tokio::test]
async fn strangers_have_fewer_guesses_at_a_mailbox_at_which_many_have_guessed_and_lock_nobody_out() {
    let sign_in = SignIn::new().await;
    sign_in.post(PATH, &sign_in.login()).await.is_ok();
    let guess = wrong(&sign_in, "agent@acme.test");
    for number in 2..22 {
        let peer = format!("192.0.2.{number}:1");
        sign_in.post_from(&peer, PATH, &guess).await.refuses(401, "sign_in_failed", None);
    }
    let refused = sign_in.post_from("192.0.2.2:1", PATH, &guess).await;
    refused.refuses(429, "sign_in_throttled", None);
    assert_eq!(refused.json["error"]["limit"], 1);
    sign_in.post(PATH, &guess).await.refuses(401, "sign_in_failed", None);
    sign_in.post(PATH, &sign_in.login()).await.is_ok();
    sign_in.post_from("192.0.2.99:1", PATH, &sign_in.login()).await.is_ok();
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_guesses() {
    let sign_in = SignIn::new().await;
    let from = async |connected: &str, forwarded: &str, body: &Value| {
        let peer: SocketAddr = connected.parse().expect("address");
        let request = Request::post(PATH).header("content-type", "application/json").extension(ConnectInfo(peer));
        let request = request.header("x-forwarded-for", forwarded).body(Body::from(body.to_string()));
        sign_in.harness.request(request.expect("request")).await
    };
    let guess = wrong(&sign_in, "agent@acme.test");
    for _ in 0..5 {
        from("203.0.113.1:1", "192.0.2.1", &guess).await.refuses(401, "sign_in_failed", None);
    }
    // What the client has written itself is before what the proxy has.
    let refused = from("203.0.113.1:1", "192.0.2.9, 192.0.2.1", &sign_in.login()).await;
    refused.refuses(429, "sign_in_throttled", None);
    from("203.0.113.1:1", "192.0.2.2", &sign_in.login()).await.is_ok();
    // From elsewhere it is not believed.
    for number in 0..5 {
        from("203.0.113.2:1", &format!("192.0.2.{number}"), &guess).await.refuses(401, "sign_in_failed", None);
    }
    from("203.0.113.2:1", "192.0.2.9", &guess).await.refuses(429, "sign_in_throttled", None);
}

#[tokio::test]
async fn a_mailbox_without_a_password_lets_nobody_in() {
    let sign_in = SignIn::new().await;
    sign_in.harness.world.mailbox(&sign_in.harness.acme, "bare").await;
    for password in ["", PASSWORD] {
        let body = with(sign_in.login(), &json!({"email": "bare@acme.test", "app_password": password}));
        sign_in.post(PATH, &body).await.refuses(401, "sign_in_failed", None);
    }
}
