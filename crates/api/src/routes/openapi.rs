//! `/openapi.json`, and a page to read it. Both are made once, when they are first asked for.

use crate::call::OpenCall;
use crate::openapi;
use crate::respond::Answer;
use crate::route::Route;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use postfleet_core::Problem;
use std::sync::{Arc, OnceLock};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/openapi.json", "", document)
            .about("This description", "OpenAPI 3.1, made from the routes themselves.")
            .answers_file("application/json"),
        Route::get("/reference", "", page)
            .about("This description as a page", "It needs nothing else: no scripts, no other files, no network.")
            .answers_file("text/html"),
    ]
}

/// What is made once for an interface.
#[derive(Default)]
pub(crate) struct Documents {
    document: OnceLock<Bytes>,
    page: OnceLock<Bytes>,
}

/// `GET /openapi.json`
async fn document(call: OpenCall) -> Answer {
    let documents = documents(&call)?;
    let octets = documents.document.get_or_init(|| openapi::document().to_string().into());
    Ok(file("application/json", octets))
}

/// `GET /reference`
async fn page(call: OpenCall) -> Answer {
    let documents = documents(&call)?;
    let octets = documents.page.get_or_init(|| openapi::page::render(&openapi::document()).into());
    let mut response = file("text/html; charset=utf-8", octets);
    // Nothing in the page needs more than this.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

fn documents(call: &OpenCall) -> Result<Arc<Documents>, Problem> {
    let documents = call.parts.extensions.get::<Arc<Documents>>();
    documents.cloned().ok_or_else(|| Problem::internal("the router gives no documents"))
}

fn file(media_type: &'static str, octets: &Bytes) -> Response {
    let mut response = Response::new(Body::from(octets.clone()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
