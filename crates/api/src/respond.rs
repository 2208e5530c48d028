//! Answers: JSON with the id of the request in the body and in a header.

use crate::error;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_schema::page::{Done, Items, NestedPage, OffsetPage, Page, Single};
use serde::Serialize;

/// The id of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// A handler's answer.
pub(crate) type Answer = Result<Response, Problem>;

pub(crate) fn single<T: Serialize>(id: &RequestId, data: T) -> Response {
    json(StatusCode::OK, id, &Single { request_id: id.0.clone(), data })
}

pub(crate) fn created<T: Serialize>(id: &RequestId, data: T) -> Response {
    json(StatusCode::CREATED, id, &Single { request_id: id.0.clone(), data })
}

pub(crate) fn accepted<T: Serialize>(id: &RequestId, data: T) -> Response {
    json(StatusCode::ACCEPTED, id, &Single { request_id: id.0.clone(), data })
}

pub(crate) fn page<T: Serialize>(id: &RequestId, data: Vec<T>, next_cursor: Option<String>) -> Response {
    json(StatusCode::OK, id, &Page { request_id: id.0.clone(), data, next_cursor })
}

/// A page whose items are written already, separated by commas, with what was selected of them.
pub(crate) fn written_page(id: &RequestId, items: &[u8], next_cursor: Option<&str>) -> Response {
    let mut body = Vec::with_capacity(items.len() + 160);
    // What is made here is hexadecimal or base64url: nothing in it has to be escaped.
    body.extend_from_slice(b"{\"request_id\":\"");
    body.extend_from_slice(id.0.as_bytes());
    body.extend_from_slice(b"\",\"data\":[");
    body.extend_from_slice(items);
    body.push(b']');
    if let Some(cursor) = next_cursor {
        body.extend_from_slice(b",\"next_cursor\":\"");
        body.extend_from_slice(cursor.as_bytes());
        body.push(b'"');
    }
    body.push(b'}');
    let mut response = written(StatusCode::OK, body);
    response.extensions_mut().insert(Selected);
    response
}

/// Marks an answer that has only what was selected of its objects.
#[derive(Clone, Copy)]
pub(crate) struct Selected;

pub(crate) fn nested_page<T: Serialize>(id: &RequestId, items: Vec<T>, next_cursor: Option<String>) -> Response {
    let data = Items { items, next_cursor: next_cursor.clone() };
    json(StatusCode::OK, id, &NestedPage { request_id: id.0.clone(), data, next_cursor })
}

pub(crate) fn offset_page<T: Serialize>(id: &RequestId, data: Vec<T>, limit: usize, offset: usize) -> Response {
    json(StatusCode::OK, id, &OffsetPage { request_id: id.0.clone(), data, limit, offset })
}

pub(crate) fn done(id: &RequestId) -> Response {
    json(StatusCode::OK, id, &Done { request_id: id.0.clone() })
}

pub(crate) fn json<T: Serialize>(status: StatusCode, id: &RequestId, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => with_headers(status, HeaderMap::new(), bytes),
        Err(error) => problem(id, &Problem::internal(error), UnixMicros::default()),
    }
}

/// The answer to a request that is refused or failed. Causes are logged here, once.
pub(crate) fn problem(id: &RequestId, problem: &Problem, now: UnixMicros) -> Response {
    let (status, _) = error::status_and_type(problem.kind);
    match (problem.kind, &problem.cause) {
        (ProblemKind::Internal, cause) => tracing::error!(request.id = id.0, ?cause, "request failed"),
        (_, Some(cause)) => tracing::warn!(request.id = id.0, cause, code = problem.code, "request refused"),
        _ => {}
    }
    let body = serde_json::to_vec(&error::envelope(problem, &id.0)).unwrap_or_default();
    with_headers(status, error::headers(problem, now), body)
}

/// An answer whose body is JSON already.
pub(crate) fn written(status: StatusCode, body: Vec<u8>) -> Response {
    with_headers(status, HeaderMap::new(), body)
}

fn with_headers(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Puts the id of the request into the headers of its answer, files included.
pub(crate) fn name(response: &mut Response, id: &RequestId) {
    if let Ok(value) = HeaderValue::try_from(id.0.as_str()) {
        response.headers_mut().insert("x-request-id", value.clone());
        response.headers_mut().insert("x-fastly-id", value);
    }
}
