//! `/v3/grants/{grant}/attachments`, and the same below a message.

use crate::call::Call;
use crate::extract::Query;
use crate::range::{self, Asked};
use crate::respond::{self, Answer};
use crate::route::{Answers, Kind, Parameter, Route, Shape};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures::stream;
use postfleet_core::id::MessageId;
use postfleet_core::{Problem, ProblemKind};
use postfleet_mailbox::attachments::{self, Found, Pieces};
use postfleet_schema::error::ErrorEnvelope;
use postfleet_schema::message::Attachment;
use std::io;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const MESSAGE: &[Parameter] = &[Parameter::new(
        "message_id",
        Kind::Text,
        "The message that it is attached to; any of the mailbox if absent.",
    )];
    const DOWNLOAD: &str = "Its bytes after decoding, as a file to be saved, with its name in `Content-Disposition`. The type \
        is the declared one if that is harmless (PDF, PNG, JPEG, GIF, WebP, plain text, CSV, zip, documents of office programs) \
        and the bytes agree; else `application/octet-stream`. `Range` asks for one range of bytes, `If-Range` and \
        `If-None-Match` take the `ETag`.";
    let download = |route: Route| {
        route
            .about("Download an attachment", DOWNLOAD)
            .answers_file("application/octet-stream")
            .answers_also(Answers::File(206, "application/octet-stream"))
            .answers_also(Answers::Nothing(304))
            .answers_also(Answers::Bare(416, Shape::of::<ErrorEnvelope>()))
    };
    vec![
        Route::get("/v3/grants/{grant}/messages/{message}/attachments/{attachment}", "messages.read", find_in_message)
            .about("Describe an attachment", "By way of its message: its name, type and size.")
            .answers::<Attachment>(),
        download(Route::get(
            "/v3/grants/{grant}/messages/{message}/attachments/{attachment}/download",
            "messages.read",
            download_in_message,
        )),
        Route::get("/v3/grants/{grant}/attachments/{attachment}", "messages.read", find)
            .about("Describe an attachment", "Its name, type and size.")
            .query(MESSAGE)
            .answers::<Attachment>(),
        download(Route::get("/v3/grants/{grant}/attachments/{attachment}/download", "messages.read", self::download))
            .query(MESSAGE),
    ]
}

/// `GET /v3/grants/{grant}/attachments/{attachment}`
pub(crate) async fn find(call: Call) -> Answer {
    let found = load(&call, message_parameter(&call)?, 1).await?;
    Ok(respond::single(&call.id, found.attachment))
}

/// `GET /v3/grants/{grant}/attachments/{attachment}/download`
pub(crate) async fn download(call: Call) -> Answer {
    let found = load(&call, message_parameter(&call)?, 1).await?;
    as_file(&call, found).await
}

/// `GET /v3/grants/{grant}/messages/{message}/attachments/{attachment}`
pub(crate) async fn find_in_message(call: Call) -> Answer {
    let found = load(&call, Some(call.id_at(1)?), 2).await?;
    Ok(respond::single(&call.id, found.attachment))
}

/// `GET /v3/grants/{grant}/messages/{message}/attachments/{attachment}/download`
pub(crate) async fn download_in_message(call: Call) -> Answer {
    let found = load(&call, Some(call.id_at(1)?), 2).await?;
    as_file(&call, found).await
}

fn message_parameter(call: &Call) -> Result<Option<MessageId>, Problem> {
    let query = Query::of(&call.parts)?;
    let id = query.get("message_id").filter(|id| !id.is_empty());
    id.map(|id| id.parse().map_err(|_| Problem::not_found())).transpose()
}

async fn load(call: &Call, message: Option<MessageId>, index: usize) -> Result<Found, Problem> {
    let grant = call.mailbox().await?;
    attachments::find(&call.platform.store, grant, &call.path[index], message).await
}

/// The octets that are asked for, as they are read.
async fn as_file(call: &Call, found: Found) -> Answer {
    let size = found.attachment.size;
    let (tag, asked) = (found.tag(), range::asked(&call.parts.method, &call.parts.headers, &found.tag(), size));
    let (status, range) = match asked {
        Asked::Whole => (StatusCode::OK, 0..size),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::NotModified => return Ok(not_modified(&tag)),
        Asked::Unsatisfiable => return Ok(unsatisfiable(call, size)),
    };
    let mut headers = about(&found, &tag);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut headers, header::CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    let body = match call.parts.method == Method::HEAD || size == 0 {
        true => Body::empty(),
        false => streamed(found.read(&call.platform.store, range).await?),
    };
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    Ok(response)
}

/// What is said of a file. What a sender calls a page or an image is never shown as one by a browser.
fn about(found: &Found, tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(found.media_type()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    name_version(&mut headers, tag);
    set(&mut headers, header::CONTENT_DISPOSITION, &disposition(&found.attachment.filename));
    headers
}

/// Which version it is. Whoever keeps it asks each time whether it is still there for him.
fn name_version(headers: &mut HeaderMap, tag: &str) {
    set(headers, header::ETAG, &format!("\"{tag}\""));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn not_modified(tag: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    name_version(response.headers_mut(), tag);
    response
}

fn unsatisfiable(call: &Call, size: u64) -> Response {
    let text = format!("Range: the attachment has {size} bytes, and none of those that are asked for");
    let problem = Problem {
        field: Some("Range".to_owned()),
        ..Problem::new(ProblemKind::Invalid, "range_not_satisfiable", text)
    };
    let mut response = respond::problem(&call.id, &problem, call.platform.clock.now());
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

/// A file to be saved, and its name (RFC 6266 §4.3): in full, and for old clients in ASCII. It is no path.
fn disposition(filename: &str) -> String {
    let name: String = filename.chars().map(|c| if matches!(c, '/' | '\\') { '_' } else { c }).collect();
    if name.is_empty() {
        return "attachment".to_owned();
    }
    let is_safe = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '%' | '\\') || c == ' ';
    let plain: String = name.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    let whole = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

/// A body that is read as the client takes it. One that proves to be damaged is broken off before its end.
fn streamed(pieces: Pieces) -> Body {
    let next = |mut pieces: Pieces| async move {
        match pieces.next().await {
            Ok(piece) => Ok(piece.map(|piece| (piece, pieces))),
            Err(problem) => {
                tracing::error!(cause = ?problem.cause, "failed to read an attachment: {problem}");
                Err(io::Error::other("the attachment could not be read to its end"))
            }
        }
    };
    Body::from_stream(stream::try_unfold(pieces, next))
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn names_of_files() {
        for (name, expected) in [
            ("", "attachment"),
            ("a b.pdf", "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b%2Epdf"),
            ("../a", "attachment; filename=\".._a\"; filename*=UTF-8''%2E%2E%5Fa"),
            ("r\u{e9}\"%.txt", "attachment; filename=\"r___.txt\"; filename*=UTF-8''r%C3%A9%22%25%2Etxt"),
        ] {
            assert_eq!(disposition(name), expected, "{name}");
        }
    }
}
