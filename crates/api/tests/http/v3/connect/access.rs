//! What an access token opens: its own mailbox, and nothing else.

use super::SignIn;
use crate::routes::{at_once, filled, listed};
use postfleet_api::facts;
use serde_json::json;

#[tokio::test]
async fn a_token_opens_its_own_mailbox_under_every_name() {
    let sign_in = SignIn::new().await;
    let id = sign_in.harness.receive_about("Opening hours").await;
    let tokens = sign_in.tokens().await;
    let agent = sign_in.harness.agent.clone();
    for name in ["me", &agent, &format!("grant:{agent}"), "agent@acme.test", "email:AGENT@acme.test"] {
        let found = sign_in.ask(&tokens, "GET", &format!("/v3/grants/{name}")).await;
        assert_eq!(found.is_ok().data()["id"], agent, "{name}");
        let list = sign_in.ask(&tokens, "GET", &format!("/v3/grants/{name}/messages")).await;
        assert_eq!(list.is_ok().data()[0]["id"], id, "{name}");
    }
    let key = tokens["access_token"].as_str().expect("token");
    let send = json!({"to": [{"email": "a@b.test"}], "subject": "Hello", "body": "Hello"});
    let sent = sign_in.harness.ask(key, "POST", "/v3/grants/me/messages/send", Some(&send)).await;
    assert_eq!(sent.is_ok().data()["grant_id"], agent);
    // A key has no mailbox of its own.
    sign_in.harness.get("/v3/grants/me").await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn other_mailboxes_look_like_none() {
    let sign_in = SignIn::new().await;
    let sibling = sign_in.harness.world.mailbox(&sign_in.harness.acme, "sibling").await.id.to_string();
    let tokens = sign_in.tokens().await;
    let nobody = sign_in.ask(&tokens, "GET", &format!("/v3/grants/{}", crate::support::NOBODY)).await;
    for name in
        [&sibling, "sibling@acme.test", "email:sibling@acme.test", &sign_in.harness.stranger, "agent@other.test"]
    {
        for rest in ["", "/messages", "/threads", "/folders", "/limits", "/usage", "/explain", "/rule-evaluations"] {
            let answer = sign_in.ask(&tokens, "GET", &format!("/v3/grants/{name}{rest}")).await;
            answer.refuses(404, "not_found", None);
            assert_eq!(answer.without_id(), nobody.without_id(), "{name}{rest}");
        }
    }
}

/// Pages for those who were written to, who have no key.
const PAGES: &[&str] = &["GET /v3/opt-in/{token}", "POST /v3/opt-in/{token}"];

#[tokio::test]
async fn what_names_no_mailbox_or_changes_one_is_refused() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    let is_open = |route: &str| {
        super::OPEN.contains(&route) || PAGES.contains(&route) || crate::v3::unsubscribe::ROUTES.contains(&route)
    };
    let routes = listed().into_iter().filter(|route| !is_open(route));
    let routes = routes.map(|route| route.split_once(' ').expect("method and path"));
    let mut refused = 0;
    for (method, path) in routes.filter(|(_, path)| path.starts_with("/v3/") && !path.contains("{grant}")) {
        let path =
            path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
        let answer = sign_in.ask(&tokens, method, &path).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.json);
        refused += 1;
    }
    assert!(refused > 5);
    sign_in.ask(&tokens, "GET", "/v3/grants").await.refuses(403, "access_token", None);
    sign_in.ask(&tokens, "POST", "/v3/connect/custom").await.refuses(403, "access_token", None);
    sign_in.ask(&tokens, "DELETE", "/v3/grants/me").await.refuses(403, "insufficient_scopes", None);
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.is_ok();
}

/// A route that is added under a mailbox is closed to tokens until somebody opens it here.
#[tokio::test]
async fn of_its_mailbox_a_token_opens_what_is_listed_here() {
    const OPENED: &[&str] = &[
        "DELETE /v3/grants/{grant}/holds/{hold}",
        "DELETE /v3/grants/{grant}/messages/schedules/{schedule}",
        "GET /v3/grants/{grant}",
        "GET /v3/grants/{grant}/attachments/{attachment}",
        "GET /v3/grants/{grant}/attachments/{attachment}/download",
        "GET /v3/grants/{grant}/explain",
        "GET /v3/grants/{grant}/export",
        "GET /v3/grants/{grant}/feedback",
        "GET /v3/grants/{grant}/folders",
        "GET /v3/grants/{grant}/folders/{folder}",
        "GET /v3/grants/{grant}/holds",
        "GET /v3/grants/{grant}/holds/{hold}",
        "GET /v3/grants/{grant}/imports",
        "GET /v3/grants/{grant}/imports/{import}",
        "GET /v3/grants/{grant}/limits",
        "GET /v3/grants/{grant}/messages",
        "GET /v3/grants/{grant}/messages/schedules",
        "GET /v3/grants/{grant}/messages/schedules/{schedule}",
        "GET /v3/grants/{grant}/messages/stream",
        "GET /v3/grants/{grant}/messages/wait",
        "GET /v3/grants/{grant}/messages/{message}",
        "GET /v3/grants/{grant}/messages/{message}/attachments/{attachment}",
        "GET /v3/grants/{grant}/messages/{message}/attachments/{attachment}/download",
        "GET /v3/grants/{grant}/raises",
        "GET /v3/grants/{grant}/refused-mail",
        "GET /v3/grants/{grant}/reputation",
        "GET /v3/grants/{grant}/retention",
        "GET /v3/grants/{grant}/rule-evaluations",
        "GET /v3/grants/{grant}/support-bundle",
        "GET /v3/grants/{grant}/threads",
        "GET /v3/grants/{grant}/threads/{thread}",
        "GET /v3/grants/{grant}/usage",
        "POST /v3/grants/{grant}/attachment-uploads",
        "POST /v3/grants/{grant}/attachment-uploads/{upload}/complete",
        "POST /v3/grants/{grant}/drafts/{draft}",
        "POST /v3/grants/{grant}/messages/send",
        "POST /v3/grants/{grant}/messages/smart-compose",
        "POST /v3/grants/{grant}/messages/{message}/smart-compose",
        "POST /v3/grants/{grant}/opt-ins",
        "POST /v3/grants/{grant}/raises",
        "PUT /v3/grants/{grant}/messages/clean",
    ];
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    let mut opened = Vec::new();
    for route in facts().into_iter().filter(|route| route.path.contains("{grant}")) {
        let mailbox = |name: &str| if name == "grant" { "me" } else { crate::support::NOBODY };
        let path = filled(route.path, |_, name| mailbox(name).to_owned()) + at_once(&route);
        let answer = sign_in.ask(&tokens, route.method, &path).await;
        if answer.status == 403 {
            answer.refuses(403, "insufficient_scopes", None);
        } else {
            opened.push(format!("{} {}", route.method, route.path));
        }
    }
    opened.sort_unstable();
    assert_eq!(opened, OPENED);
}

#[tokio::test]
async fn a_token_learns_why_its_mailbox_may_not_send_but_not_what_keys_may_do() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    let harness = &sign_in.harness;
    let keys = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let made = harness.administer("POST", &keys, Some(&json!({"name": "agent", "permissions": ["*"]}))).await;
    let key = made.is_ok().data()["id"].as_str().expect("id").to_owned();
    let asked = sign_in.ask(&tokens, "GET", "/v3/grants/me/explain?to=ada@sender.test").await;
    assert_eq!(asked.is_ok().data()["accepted"], true);
    let asked = sign_in.ask(&tokens, "GET", &format!("/v3/grants/me/explain?key_id={key}")).await;
    asked.refuses(400, "invalid_request", Some("key_id"));
    harness.get(&harness.at(&format!("/explain?key_id={key}"))).await.is_ok();
}

#[tokio::test]
async fn a_token_sees_what_rules_said_about_its_own_messages() {
    let sign_in = SignIn::new().await;
    let harness = &sign_in.harness;
    let sibling = harness.world.mailbox(&harness.acme, "sibling").await.id.to_string();
    let rule = json!({"name": "Block", "trigger": "outbound", "actions": [{"type": "block"}],
        "match": {"conditions": [{"field": "recipient.domain", "operator": "is", "value": "blocked.test"}]}});
    let rule = harness.post("/v3/rules", &rule).await.data()["id"].clone();
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"rule_ids": [rule]})).await.is_ok();
    let message = json!({"to": [{"email": "a@blocked.test"}], "subject": "Hello", "body": "Hello"});
    let tokens = sign_in.tokens().await;
    let key = tokens["access_token"].as_str().expect("token");
    assert_eq!(harness.ask(key, "POST", "/v3/grants/me/messages/send", Some(&message)).await.status, 403);
    assert_eq!(harness.post(&format!("/v3/grants/{sibling}/messages/send"), &message).await.status, 403);

    let answer = sign_in.ask(&tokens, "GET", "/v3/grants/me/rule-evaluations").await;
    let records = answer.is_ok().data().as_array().expect("list").clone();
    assert_eq!(records.len(), 1, "not the other mailbox's");
    assert_eq!((&records[0]["grant_id"], &records[0]["matched_rule_ids"]), (&json!(harness.agent), &json!([rule])));
    let theirs = sign_in.ask(&tokens, "GET", &format!("/v3/grants/{sibling}/rule-evaluations")).await;
    theirs.refuses(404, "not_found", None);
    let rule = rule.as_str().expect("id");
    for path in ["/v3/rules".to_owned(), format!("/v3/rules/{rule}"), "/v3/lists".into(), workspace] {
        sign_in.ask(&tokens, "GET", &path).await.refuses(403, "access_token", None);
    }
}

#[tokio::test]
async fn refresh_tokens_codes_and_id_tokens_open_nothing() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    let code = sign_in.code(json!({})).await;
    for text in
        [tokens["refresh_token"].as_str(), tokens["id_token"].as_str(), Some(&code), Some("pf_at_"), Some("pf_at_x")]
    {
        let answer = sign_in.harness.ask(text.expect("text"), "GET", "/v3/grants/me", None).await;
        assert_eq!(answer.status, 401, "{text:?}");
    }
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_with_its_mailbox() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    sign_in.harness.world.advance(3_599);
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.is_ok();
    sign_in.harness.world.advance(1);
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);

    let tokens = sign_in.tokens().await;
    sign_in.harness.delete("/v3/grants/agent@acme.test").await.is_ok();
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);
    let refresh = sign_in.post("/v3/connect/token", &sign_in.refresh(&tokens["refresh_token"])).await;
    assert_eq!((refresh.status, &refresh.json["error"]), (400, &json!("invalid_grant")));
    // One made again under the address is another mailbox.
    sign_in.harness.world.mailbox(&sign_in.harness.acme, "agent").await;
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);
}
