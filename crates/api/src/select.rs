//! `select=`: answers to GET, and to the one other route that only reads, that carry only some fields of their objects. One
//! place for all routes but lists of messages, which are written with no more than was selected.

use crate::extract::Query;
use crate::respond::Selected;
use axum::body::{Body, to_bytes};
use axum::extract::MatchedPath;
use axum::http::{Request, StatusCode, Uri, header};
use axum::response::Response;
use postfleet_core::Problem;
use serde_json::{Map, Value};

/// Fields that are kept whether they were selected or not: clients cannot do without them.
const ALWAYS: &[&str] = &["id", "grant_id", "object"];

/// The same of one kind of object: clients fail to read a folder without its name.
const ALWAYS_OF: &[(&str, &str)] = &[("folder", "name")];

/// The route that reads though it is no GET: it names what it reads in a body.
pub(crate) const CLEAN: &str = "/v3/grants/{grant}/messages/clean";

/// Whether `select` is for a route.
pub(crate) fn is_for(method: &str, path: &str) -> bool {
    method == "GET" || (method == "PUT" && path == CLEAN)
}

/// The address of a request that may select fields; `None` of one that does not.
pub(crate) fn of(request: &Request<Body>) -> Option<Uri> {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if !is_for(request.method().as_str(), path) || request.uri().query().is_none_or(|query| !query.contains("select")) {
        return None;
    }
    Some(request.uri().clone())
}

/// Takes away what the query of `uri` does not select from the objects in `data`. Names that no object has are ignored; an answer
/// without `data` stays whole.
pub(crate) async fn trim(response: Response, uri: &Uri) -> Result<Response, Problem> {
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let is_done = response.extensions().get::<Selected>().is_some();
    if response.status() != StatusCode::OK || !is_json || is_done {
        return Ok(response);
    }
    // A query that is too long was refused by whoever read it.
    let fields = Query::of_uri(uri).unwrap_or_default().list("select");
    if fields.is_empty() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let octets = to_bytes(body, usize::MAX).await.map_err(Problem::internal)?;
    let mut answer: Value = serde_json::from_slice(&octets).map_err(Problem::internal)?;
    let octets = match answer.get_mut("data") {
        Some(data) => {
            keep(data, &fields);
            serde_json::to_vec(&answer).map_err(Problem::internal)?
        }
        None => octets.to_vec(),
    };
    Ok(Response::from_parts(parts, Body::from(octets)))
}

/// Takes away from an object, or the objects of a page, what was not selected.
pub(crate) fn keep(data: &mut Value, fields: &[String]) {
    let is_kept = |name: &str| ALWAYS.contains(&name) || fields.iter().any(|field| field == name);
    let keep_of = |object: &mut Map<String, Value>| {
        let of_kind = ALWAYS_OF.iter().filter(|(kind, _)| object.get("object").is_some_and(|it| it == kind));
        let also: Vec<&str> = of_kind.map(|(_, field)| *field).collect();
        object.retain(|name, _| is_kept(name) || also.contains(&name.as_str()));
    };
    match data {
        // A page whose items are one step further in.
        Value::Object(object) if !object.contains_key("id") && object.get("items").is_some_and(Value::is_array) => {
            object.values_mut().for_each(|items| keep(items, fields));
        }
        Value::Object(object) => keep_of(object),
        Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(keep_of),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept(data: &Value, fields: &[&str]) -> Value {
        let mut data = data.clone();
        keep(&mut data, &fields.iter().map(|&field| field.to_owned()).collect::<Vec<_>>());
        data
    }

    #[test]
    fn only_top_level_fields_are_looked_at() {
        let object = json!({"id": "1", "name": "a", "settings": {"name": "b", "email": "c"}});
        assert_eq!(kept(&object, &["settings"]), json!({"id": "1", "settings": {"name": "b", "email": "c"}}));
        assert_eq!(kept(&object, &["email", ""]), json!({"id": "1"}));
        assert_eq!(kept(&json!([object, 7, "x"]), &["name"]), json!([{"id": "1", "name": "a"}, 7, "x"]));
        assert_eq!(kept(&json!("x"), &["name"]), json!("x"));
        let folder = json!({"id": "1", "object": "folder", "name": "a", "total_count": 1});
        assert_eq!(kept(&folder, &["id"]), json!({"id": "1", "object": "folder", "name": "a"}));
        let nested = json!({"items": [object], "next_cursor": "n"});
        assert_eq!(kept(&nested, &["name"]), json!({"items": [{"id": "1", "name": "a"}], "next_cursor": "n"}));
    }

    #[test]
    fn only_get_selects() {
        let asked = |method: &str, uri: &str| {
            let request = Request::builder().method(method).uri(uri).body(Body::empty()).expect("request");
            let fields = of(&request).map(|uri| Query::of_uri(&uri).unwrap_or_default().list("select"));
            fields.filter(|fields| !fields.is_empty())
        };
        assert_eq!(asked("GET", "/x?select=a,%20b&select=c"), Some(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(asked("GET", "/x?select=,"), None);
        assert_eq!(asked("GET", "/x?selected=a"), None);
        assert_eq!(asked("GET", "/select"), None);
        assert_eq!(asked("PUT", "/x?select=a"), None);
        assert_eq!(asked("GET", &format!("/x?select=a&{}", "b".repeat(20_000))), None);
    }
}
