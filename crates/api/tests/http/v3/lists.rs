//! `/v3/lists` and their items.

use crate::support::{Answer, Harness, NOBODY, assert_shape, ids};
use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::stream;
use postfleet_testkit::world::{NewTenant, World};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/lists",
    "POST /v3/lists",
    "GET /v3/lists/{list}",
    "PUT /v3/lists/{list}",
    "PATCH /v3/lists/{list}",
    "DELETE /v3/lists/{list}",
    "GET /v3/lists/{list}/items",
    "POST /v3/lists/{list}/items",
    "DELETE /v3/lists/{list}/items",
    "POST /v3/lists/{list}/import",
];

const LIST: &str = "id:string name:string description:string? type:string items_count:integer \
    application_id:string organization_id:string created_at:integer updated_at:integer";
const ITEM: &str = "id:string list_id:string value:string created_at:integer";
const IMPORT: &str = "list:object mode:string lines:integer added:integer already_there:integer removed:integer \
    refused:integer refusals:array";

/// Makes a list of a type; answers its path.
async fn list_of(harness: &Harness, kind: &str) -> String {
    harness.world.advance(1);
    let made = harness.post("/v3/lists", &json!({"name": format!("Some {kind}"), "type": kind})).await;
    assert_eq!(made.status, 201, "{made:?}");
    format!("/v3/lists/{}", made.data()["id"].as_str().expect("id"))
}

async fn add(harness: &Harness, list: &str, items: &[&str]) -> Answer {
    harness.post(&format!("{list}/items"), &json!({ "items": items })).await
}

async fn take_out(harness: &Harness, list: &str, items: &[&str]) -> Answer {
    let (path, body) = (format!("{list}/items"), json!({ "items": items }));
    harness.ask(&harness.acme.api_key, "DELETE", &path, Some(&body)).await
}

async fn values(harness: &Harness, list: &str) -> Vec<String> {
    let answer = harness.get(&format!("{list}/items?limit=1000")).await;
    let items = answer.is_ok().data().as_array().expect("items");
    items.iter().map(|item| item["value"].as_str().expect("value").to_owned()).collect()
}

#[tokio::test]
async fn a_list_is_made_found_changed_and_removed() {
    let harness = Harness::new().await;
    assert_eq!(harness.get("/v3/lists").await.data(), &json!([]));
    let body = json!({"name": "Größe", "type": "address", "description": "who is let in", "items": ["x"],
        "id": NOBODY, "application_id": NOBODY, "items_count": 7, "unknown": {"x": 1}});
    let made = harness.post("/v3/lists", &body).await;
    assert_eq!(made.status, 201);
    assert_shape(made.data(), LIST);
    let list = made.data();
    assert_eq!((&list["name"], &list["type"]), (&json!("Größe"), &json!("address")));
    assert_eq!((&list["description"], &list["items_count"]), (&json!("who is let in"), &json!(0)));
    assert_eq!(list["application_id"], harness.acme.application_id.to_string());
    assert_eq!(list["organization_id"], harness.acme.organization_id.to_string());
    assert_ne!(list["id"], NOBODY);

    let path = format!("/v3/lists/{}", list["id"].as_str().expect("id"));
    assert_eq!(harness.get(&path).await.data(), list);
    let listed = harness.get("/v3/lists").await;
    assert_shape(&listed.json, "request_id:string data:array");
    assert_eq!(listed.data(), &json!([list]));

    harness.world.advance(5);
    let changed = harness.put(&path, &json!({"name": "Other", "type": "address"})).await;
    assert_eq!(changed.status, 200);
    assert_eq!((&changed.data()["name"], &changed.data()["description"]), (&json!("Other"), &json!("who is let in")));
    assert_eq!(changed.data()["updated_at"], json!(list["created_at"].as_i64().expect("time") + 5));
    assert_eq!(changed.data()["created_at"], list["created_at"]);
    let cleared = harness.patch(&path, &json!({"description": null})).await;
    assert_eq!((&cleared.data()["name"], &cleared.data()["description"]), (&json!("Other"), &Value::Null));
    assert_eq!(harness.get(&path).await.data(), cleared.data());

    let removed = harness.delete(&path).await;
    assert_eq!(removed.status, 200);
    assert_shape(&removed.json, "request_id:string");
    for method in ["GET", "DELETE"] {
        harness.ask(&harness.acme.api_key, method, &path, None).await.refuses(404, "not_found", None);
    }
    harness.put(&path, &json!({"name": "x"})).await.refuses(404, "not_found", None);
    harness.get(&format!("{path}/items")).await.refuses(404, "not_found", None);
    add(&harness, &path, &["a@b.test"]).await.refuses(404, "not_found", None);
    take_out(&harness, &path, &["a@b.test"]).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn what_is_wrong_with_a_list_is_said() {
    let harness = Harness::new().await;
    let name = |length| "ü".repeat(length);
    for (body, field, says) in [
        (json!({"type": "domain"}), "name", "1 to 256"),
        (json!({"name": "", "type": "domain"}), "name", "1 to 256"),
        (json!({"name": name(257), "type": "domain"}), "name", "1 to 256"),
        (json!({"name": "a\nb", "type": "domain"}), "name", "control"),
        (json!({"name": null, "type": "domain"}), "name", "null"),
        (json!({"name": "L"}), "type", "domain, tld or address"),
        (json!({"name": "L", "type": "Domain"}), "type", "domain, tld or address"),
        (json!({"name": "L", "type": "email"}), "type", "domain, tld or address"),
        (json!({"name": "L", "type": 1}), "type", "string"),
        (json!({"name": "L", "type": "tld", "description": name(1_025)}), "description", "1024"),
        (json!({"name": "L", "type": "tld", "description": 1}), "description", "string"),
    ] {
        harness.post("/v3/lists", &body).await.refuses(400, "invalid_request", Some(field)).says(says);
    }
    let longest = json!({"name": name(256), "type": "tld", "description": name(1_024)});
    harness.post("/v3/lists", &longest).await.is_ok();
    let path = list_of(&harness, "domain").await;
    for (body, field, says) in [
        (json!({"name": null}), "name", "1 to 256"),
        (json!({"name": " "}), "name", "1 to 256"),
        (json!({"type": "tld"}), "type", "cannot be changed"),
        (json!({"description": name(1_025)}), "description", "1024"),
    ] {
        harness.put(&path, &body).await.refuses(400, "invalid_request", Some(field)).says(says);
    }
    assert_eq!(harness.get(&path).await.data()["name"], "Some domain");
}

#[tokio::test]
async fn lists_are_paged_newest_first() {
    let harness = Harness::new().await;
    let mut made = Vec::new();
    for _ in 0..23 {
        made.push(list_of(&harness, "tld").await.rsplit('/').next().expect("id").to_owned());
    }
    made.reverse();
    assert_eq!(harness.ids("/v3/lists").await, made[..10]);
    assert_eq!(harness.ids("/v3/lists?limit=1000000").await, made);
    let (mut read, mut token) = (Vec::new(), String::new());
    loop {
        let page = harness.get(&format!("/v3/lists?limit=7&page_token={token}")).await;
        read.extend(ids(&page));
        let Some(next) = page.json["next_cursor"].as_str() else { break };
        token = next.to_owned();
    }
    assert_eq!(read, made);
    harness.get("/v3/lists?page_token=x").await.refuses(400, "invalid_request", Some("page_token"));
    harness.get("/v3/lists?limit=0").await.refuses(400, "invalid_request", Some("limit"));
}

#[tokio::test]
async fn the_plan_says_how_many_lists_an_organization_may_have() {
    for (plan, cap) in [("free", 10), ("full_platform", 50)] {
        let harness = Harness::with(NewTenant { plan, ..NewTenant::of("acme.test") }).await;
        for _ in 0..cap {
            list_of(&harness, "domain").await;
        }
        let body = json!({"name": "one more", "type": "domain"});
        let refused = harness.post("/v3/lists", &body).await;
        refused.refuses(403, "lists_max_reached", None).says("for this plan");
        let error = &refused.json["error"];
        assert_eq!((&error["type"], &error["scope"]), (&json!("forbidden_access"), &json!("organization")));
        assert_eq!((&error["limit"], &error["used"]), (&json!(cap), &json!(cap)));

        // Another application of the organization has no more of them.
        let (operator, applications) = (&harness.acme.operator_key, "/v3/admin/applications");
        let second = harness.ask(operator, "POST", applications, Some(&json!({"name": "second"}))).await;
        let id = second.is_ok().data()["id"].as_str().expect("id").to_owned();
        let path = format!("{applications}/{id}/api-keys");
        let key = harness.ask(operator, "POST", &path, Some(&json!({"name": "k"}))).await;
        let key = key.is_ok().data()["api_key"].as_str().expect("key").to_owned();
        harness.ask(&key, "POST", "/v3/lists", Some(&body)).await.refuses(403, "lists_max_reached", None);

        let newest = harness.ids("/v3/lists?limit=1").await;
        harness.delete(&format!("/v3/lists/{}", newest[0])).await.is_ok();
        assert_eq!(harness.ask(&key, "POST", "/v3/lists", Some(&body)).await.status, 201, "one that went makes room");
    }
}

#[tokio::test]
async fn items_are_added_and_removed_in_their_one_spelling() {
    let harness = Harness::new().await;
    for (kind, given, kept) in [
        ("domain", ["@Example.COM", ".müller.example", "c.test."], ["c.test", "example.com", "xn--mller-kva.example"]),
        ("tld", [".COM", "РФ", "@test"], ["com", "test", "xn--p1ai"]),
        (
            "address",
            [" Bob@Example.COM", "x+y@c.test\n", "\"a\"@d.test"],
            ["a@d.test", "bob@example.com", "x+y@c.test"],
        ),
    ] {
        let list = list_of(&harness, kind).await;
        harness.world.advance(3);
        let added = add(&harness, &list, &given).await;
        assert_eq!(added.status, 200);
        assert_shape(added.data(), LIST);
        assert_eq!(added.data()["items_count"], 3);
        assert_eq!(values(&harness, &list).await, kept);
        // In any spelling they are there already, and are found.
        let again = add(&harness, &list, &[given[0], &given[1].to_lowercase(), kept[2], kept[2]]).await;
        assert_eq!(again.data(), added.data());
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("value", given[0]).finish();
        let found = harness.get(&format!("{list}/items?{query}")).await;
        assert_eq!(found.data().as_array().map(Vec::len), Some(1));
        let item = &found.data()[0];
        assert_shape(item, ITEM);
        assert_eq!(item["list_id"], list.rsplit('/').next().expect("id"));
        assert_eq!(item["created_at"], added.data()["updated_at"]);

        let missing = if kind == "address" { "n@n.test" } else { "none" };
        let removed = take_out(&harness, &list, &[given[0], missing, given[0]]).await;
        assert_eq!(removed.status, 200);
        assert_shape(removed.data(), LIST);
        assert_eq!(removed.data()["items_count"], 2);
        assert_eq!(harness.get(&format!("{list}/items?{query}")).await.data(), &json!([]));
        assert_eq!(take_out(&harness, &list, &[given[0]]).await.data(), removed.data(), "what is missing is ignored");
        assert_eq!(harness.get(&list).await.data(), removed.data());
    }
}

#[tokio::test]
async fn one_wrong_item_is_named_and_nothing_is_changed() {
    let harness = Harness::new().await;
    for (kind, good, bad, says) in [
        ("domain", "a.test", "a@b.test", "not an address"),
        ("domain", "a.test", "*.b.test", "without wildcards"),
        ("domain", "a.test", " ", "empty"),
        ("tld", "com", "b.test", "not a whole domain"),
        ("tld", "com", "a@com", "not an address"),
        ("address", "a@b.test", "b.test", "not a domain"),
        ("address", "a@b.test", "Bob <a@b.test>", "angle brackets"),
    ] {
        let list = list_of(&harness, kind).await;
        add(&harness, &list, &[good]).await.is_ok();
        let field = Some("items[1]");
        add(&harness, &list, &[good, bad]).await.refuses(400, "invalid_request", field).says("items[1]").says(says);
        take_out(&harness, &list, &[good, bad]).await.refuses(400, "invalid_request", field).says(says);
        assert_eq!(harness.get(&list).await.data()["items_count"], 1);
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("value", bad).finish();
        harness.get(&format!("{list}/items?{query}")).await.refuses(400, "invalid_request", Some("value")).says(says);
    }
    let list = list_of(&harness, "address").await;
    let long = format!("{}@b.test", "a".repeat(494));
    assert_eq!(long.len(), 501);
    for bad in [json!({}), json!({"items": []})] {
        let path = format!("{list}/items");
        harness.post(&path, &bad).await.refuses(400, "invalid_request", Some("items")).says("1 to 1000");
    }
    for (bad, field) in
        [(json!(null), "items"), (json!("a@b.test"), "items"), (json!([1]), "items[0]"), (json!([["a"]]), "items[0]")]
    {
        let answer = harness.post(&format!("{list}/items"), &json!({"items": bad})).await;
        answer.refuses(400, "invalid_request", Some(field));
    }
    add(&harness, &list, &[&long]).await.refuses(400, "invalid_request", Some("items[0]")).says("at most 500");
    add(&harness, &list, &[&long[1..]]).await.refuses(400, "invalid_request", Some("items[0]")).says("an address");
}

#[tokio::test]
async fn a_thousand_items_are_taken_and_one_more_is_refused() {
    let harness = Harness::new().await;
    let list = list_of(&harness, "domain").await;
    // As long as they may be, written as long as JSON can.
    let many: Vec<String> = (0..1_001).map(|number| format!("d{number:04}.{}test", "x.".repeat(120))).collect();
    let escaped: Vec<String> = many
        .iter()
        .map(|value| format!("\"{}\"", value.bytes().map(|octet| format!("\\u{octet:04x}")).collect::<String>()))
        .collect();
    let ask = async |method: &str, count: usize| {
        let request = Request::builder().method(method).uri(format!("{list}/items"));
        let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
        let body = format!("{{\"items\":[{}]}}", escaped[..count].join(","));
        harness.request(request.body(Body::from(body)).expect("request")).await
    };
    for method in ["POST", "DELETE"] {
        let refused = ask(method, 1_001).await;
        refused.refuses(400, "invalid_request", Some("items")).says("at most 1000").says("not 1001");
    }
    assert_eq!(harness.get(&list).await.data()["items_count"], 0);
    assert_eq!(ask("POST", 1_000).await.is_ok().data()["items_count"], 1_000);

    let first = harness.get(&format!("{list}/items")).await;
    assert_eq!(first.data().as_array().map(Vec::len), Some(200));
    let (mut read, mut token) = (Vec::new(), String::new());
    loop {
        let page = harness.get(&format!("{list}/items?limit=300&page_token={token}")).await;
        let items = page.is_ok().data().as_array().expect("items").clone();
        read.extend(items.iter().map(|item| item["value"].as_str().expect("value").to_owned()));
        let Some(next) = page.json["next_cursor"].as_str() else { break };
        assert_ne!(next, token);
        token = next.to_owned();
    }
    assert_eq!(read, many[..1_000]);
    for bad in ["x", "MQ", "eDp4", "MTox_w", "MToA"] {
        let answer = harness.get(&format!("{list}/items?page_token={bad}")).await;
        answer.refuses(400, "invalid_request", Some("page_token"));
    }
    assert_eq!(ask("DELETE", 1_000).await.is_ok().data()["items_count"], 0);
    assert_eq!(values(&harness, &list).await, [""; 0]);
}

#[tokio::test]
async fn every_change_leaves_a_record() {
    let harness = Harness::new().await;
    let list = list_of(&harness, "domain").await;
    add(&harness, &list, &["a.test", "b.test"]).await.is_ok();
    add(&harness, &list, &["a.test"]).await.is_ok();
    take_out(&harness, &list, &["b.test"]).await.is_ok();
    harness.put(&list, &json!({"name": "Some domain"})).await.is_ok();
    harness.put(&list, &json!({"name": "New"})).await.is_ok();
    harness.delete(&list).await.is_ok();
    let id = list.rsplit('/').next().expect("id");
    let answer = harness.get(&format!("/v3/audit?target_id={id}")).await;
    let records = answer.is_ok().data().as_array().expect("records").clone();
    let mut actions: Vec<_> = records.iter().map(|record| record["action"].as_str().expect("action")).collect();
    actions.sort_unstable();
    let expected = ["list.created", "list.deleted", "list.items_added", "list.items_removed", "list.updated"];
    assert_eq!(actions, expected);
}

/// Sends a text to be imported, in pieces as given.
async fn import(harness: &Harness, list: &str, query: &str, kind: &str, pieces: Vec<Vec<u8>>) -> Answer {
    let pieces = stream::iter(pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece))));
    let request = Request::post(format!("{list}/import{query}")).header("content-type", kind);
    let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
    harness.request(request.body(Body::from_stream(pieces)).expect("request")).await
}

#[tokio::test]
async fn a_text_is_imported_line_by_line() {
    let harness = Harness::new().await;
    let list = list_of(&harness, "domain").await;
    add(&harness, &list, &["a.test"]).await.is_ok();
    let text = b"\xef\xbb\xbf# blocked\r\n\r\nA.test\r\n@b.test # why\nb.test\nx@y.test\n\xff\nc.te";
    let answer = import(&harness, &list, "", "text/plain", vec![text.to_vec(), b"st".to_vec()]).await;
    assert_eq!(answer.status, 200);
    assert_shape(answer.data(), IMPORT);
    assert_shape(&answer.data()["list"], LIST);
    let mut done = answer.data().clone();
    assert_eq!(&done["list"], harness.get(&list).await.data());
    done["list"] = Value::Null;
    let not_an_address =
        "the value must be a domain such as example.com, not an address; a list of type address takes whole addresses";
    let expected = json!({"list": null, "mode": "add", "lines": 6, "added": 2, "already_there": 2, "removed": 0,
        "refused": 2, "refusals": [
            {"line": 6, "reason": not_an_address},
            {"line": 7, "reason": "the line is not UTF-8"}]});
    assert_eq!(done, expected);
    assert_eq!(values(&harness, &list).await, ["a.test", "b.test", "c.test"]);

    let people = list_of(&harness, "address").await;
    let csv = b"Email,Name\n\"Ada@b.test\",\"Ada, L\"\nbob@b.test,Bob\n".to_vec();
    let answer = import(&harness, &people, "?mode=add", "text/csv; charset=utf-8", vec![csv]).await;
    assert_eq!((&answer.data()["added"], &answer.data()["refused"]), (&json!(2), &json!(0)));
    assert_eq!(values(&harness, &people).await, ["ada@b.test", "bob@b.test"]);

    let refused = import(&harness, &list, "", "application/json", vec![b"{}".to_vec()]).await;
    refused.refuses(400, "invalid_request", Some("Content-Type")).says("text/csv");
    let refused = import(&harness, &list, "?mode=x", "text/plain", Vec::new()).await;
    refused.refuses(400, "invalid_request", Some("mode")).says("add or replace");
    import(&harness, &format!("/v3/lists/{NOBODY}"), "", "text/plain", Vec::new()).await.refuses(
        404,
        "not_found",
        None,
    );
}

#[tokio::test]
async fn an_import_is_not_bound_to_a_thousand_lines_and_names_the_first_hundred_refused() {
    let harness = Harness::new().await;
    let list = list_of(&harness, "domain").await;
    let mut text: String = (0..2_500).map(|number| format!("d{number:04}.test\n")).collect();
    (0..150).for_each(|_| text.push_str("not a domain\n"));
    // Lines are cut anywhere.
    let pieces = text.as_bytes().chunks(777).map(<[u8]>::to_vec).collect();
    let answer = import(&harness, &list, "", "text/plain", pieces).await;
    let done = answer.data();
    assert_eq!((&done["lines"], &done["added"], &done["refused"]), (&json!(2_650), &json!(2_500), &json!(150)));
    let refusals = done["refusals"].as_array().expect("refusals");
    assert_eq!((refusals.len(), &refusals[0]["line"], &refusals[99]["line"]), (100, &json!(2_501), &json!(2_600)));
    assert_eq!(done["list"]["items_count"], 2_500);
    // Again it does no harm.
    let answer = import(&harness, &list, "", "", vec![text.into_bytes()]).await;
    assert_eq!((&answer.data()["added"], &answer.data()["already_there"]), (&json!(0), &json!(2_500)));
}

#[tokio::test]
async fn a_text_replaces_a_list_unless_it_is_not_understood() {
    let harness = Harness::new().await;
    let list = list_of(&harness, "tld").await;
    add(&harness, &list, &["com", "net", "org"]).await.is_ok();
    let replace = async |text: &str| {
        let answer = import(&harness, &list, "?mode=replace", "text/plain", vec![text.as_bytes().to_vec()]).await;
        (answer.is_ok().data()["added"].clone(), answer.data()["removed"].clone())
    };
    assert_eq!(replace("").await, (json!(0), json!(0)), "an empty text says nothing");
    assert_eq!(replace("# nothing\n\n").await, (json!(0), json!(0)));
    assert_eq!(replace("test\nexample.com\n").await, (json!(1), json!(0)), "a line was refused");
    assert_eq!(values(&harness, &list).await, ["com", "net", "org", "test"]);
    assert_eq!(replace("xyz\n.NET\n").await, (json!(1), json!(3)));
    assert_eq!(values(&harness, &list).await, ["net", "xyz"]);
    assert_eq!(harness.get(&list).await.data()["items_count"], 2);

    // Of a long list, only what is to go goes.
    let domains = list_of(&harness, "domain").await;
    let text = |range: std::ops::Range<u32>| {
        vec![range.map(|number| format!("d{number:05}.test\n")).collect::<String>().into_bytes()]
    };
    import(&harness, &domains, "", "text/plain", text(0..3_000)).await.is_ok();
    let answer = import(&harness, &domains, "?mode=replace", "text/plain", text(1_500..3_001)).await;
    let done = answer.data();
    assert_eq!((&done["added"], &done["already_there"], &done["removed"]), (&json!(1), &json!(1_500), &json!(1_500)));
    assert_eq!(done["list"]["items_count"], 1_501);
}

#[tokio::test]
async fn a_text_that_breaks_off_or_is_too_large_is_refused_and_what_came_stays() {
    let harness = Harness::in_world(World::new().await, NewTenant::of("acme.test")).await;
    let list = list_of(&harness, "domain").await;
    let lines: String = (0..1_500).map(|number| format!("d{number:04}.test\n")).collect();
    let pieces = stream::iter([Ok(Bytes::from(lines)), Err(std::io::Error::other("gone"))]);
    let key = format!("Bearer {}", harness.acme.api_key);
    let post = || Request::post(format!("{list}/import")).header("authorization", &key);
    let answer = harness.request(post().body(Body::from_stream(pieces)).expect("request")).await;
    answer.refuses(400, "body_unreadable", None);
    assert_eq!(harness.get(&list).await.data()["items_count"], 1_000, "the commands that were whole");

    let declared = post().header("content-length", (64_usize << 20) + 1).body(Body::empty()).expect("request");
    harness.request(declared).await.refuses(413, "body_too_large", None).says("67108864");
    // Undeclared: a mebibyte of comments at a time.
    let mebibytes = |count| {
        let piece = Bytes::from([b"#".repeat((1 << 20) - 1), b"\n".to_vec()].concat());
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(piece.clone()))))
    };
    let most = harness.request(post().body(mebibytes(64)).expect("request")).await;
    assert_eq!((&most.is_ok().data()["lines"], &most.data()["refused"]), (&json!(64), &json!(64)), "too long a line");
    harness.request(post().body(mebibytes(65)).expect("request")).await.refuses(413, "body_too_large", None);
}
