//! Reading requests: JSON bodies and query parameters, with errors that name the field and the limit.

use crate::call::throw_away;
use axum::body::{Body, BodyDataStream, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Uri, header};
use futures::StreamExt;
use postfleet_core::{Problem, ProblemKind};
use postfleet_fleet::lists::Format;
use serde::de::DeserializeOwned;
use sync_wrapper::SyncWrapper;

mod forwarded;
pub(crate) mod multipart;

pub(crate) use forwarded::peer;
pub(crate) use postfleet_schema::read::{read, typed};

/// Octets of any other JSON body.
pub(crate) const BODY_OCTETS_MAX: usize = 1 << 20;

/// Octets of a JSON body that asks for many mailboxes: as many as there may be, each with the longest fields.
pub(crate) const BULK_OCTETS_MAX: usize = 16 << 20;

/// Octets of a text that is imported; it is read piece by piece.
pub(crate) const IMPORT_OCTETS_MAX: usize = 64 << 20;

/// Octets of a body that anybody may send.
pub(crate) const FORM_OCTETS_MAX: usize = 64 << 10;

/// Characters of one query string.
const QUERY_CHARS_MAX: usize = 16_384;

/// Reads a JSON body of at most `limit` octets.
pub(crate) async fn json<T: DeserializeOwned>(
    parts: &Parts,
    body: SyncWrapper<Body>,
    limit: usize,
) -> Result<T, Problem> {
    is_json(parts)?;
    read(&octets(body.into_inner(), limit).await?)
}

/// As [`json`], for a body that may be absent.
pub(crate) async fn json_or_nothing<T: DeserializeOwned + Default>(
    parts: &Parts,
    body: SyncWrapper<Body>,
    limit: usize,
) -> Result<T, Problem> {
    let octets = octets(body.into_inner(), limit).await?;
    if octets.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    is_json(parts)?;
    read(&octets)
}

fn is_json(parts: &Parts) -> Result<(), Problem> {
    let kind = media_type(parts);
    if kind.is_empty() || kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::invalid("Content-Type", "request must be of content-type application/json"))
}

/// Refuses a body that is packed (RFC 9110 §8.4): what it would unpack to is not known before.
pub(crate) fn is_plain(request: &Request) -> Result<(), Problem> {
    let codings = request.headers().get_all(header::CONTENT_ENCODING);
    let is_identity = |value: &HeaderValue| {
        let mut names = value.as_bytes().split(|octet| *octet == b',').map(<[u8]>::trim_ascii);
        names.all(|name| name.is_empty() || name.eq_ignore_ascii_case(b"identity"))
    };
    if matches!(*request.method(), Method::GET | Method::HEAD) || codings.iter().all(is_identity) {
        return Ok(());
    }
    let text = "Content-Encoding: the request body must be sent without a content coding";
    Err(Problem::invalid("Content-Encoding", text))
}

/// Whether the body is a form.
pub(crate) fn is_form(parts: &Parts) -> bool {
    media_type(parts).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Reads a form of at most `limit` octets.
pub(crate) async fn form(parts: &Parts, body: SyncWrapper<Body>, limit: usize) -> Result<Query, Problem> {
    if !is_form(parts) {
        let text = "request must be of content-type application/x-www-form-urlencoded";
        return Err(Problem::invalid("Content-Type", text));
    }
    let octets = octets(body.into_inner(), limit).await?;
    Ok(Query(form_urlencoded::parse(&octets).into_owned().collect()))
}

/// What a text that is imported is by its media type. One that says nothing, and what command-line clients say of any file,
/// is plain text.
pub(crate) fn text_format(parts: &Parts) -> Result<Format, Problem> {
    const PLAIN: &[&str] = &["", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"];
    let kind = media_type(parts).to_ascii_lowercase();
    match &*kind {
        "text/csv" | "application/csv" => Ok(Format::Csv),
        kind if PLAIN.contains(&kind) => Ok(Format::Plain),
        _ => Err(Problem::invalid("Content-Type", "request must be of content-type text/plain or text/csv")),
    }
}

/// A body of at most so many octets that is read piece by piece.
pub(crate) struct Pieces {
    stream: BodyDataStream,
    octets: usize,
    limit: usize,
}

impl Pieces {
    /// The pieces of a body. One that says itself that it is larger than `limit` is refused before.
    pub(crate) fn of(parts: &Parts, body: SyncWrapper<Body>, limit: usize) -> Result<Self, Problem> {
        let stream = body.into_inner().into_data_stream();
        if declared_octets(parts).is_some_and(|octets| octets > limit as u64) {
            throw_away(parts, stream);
            return Err(too_large(limit));
        }
        Ok(Self { stream, octets: 0, limit })
    }

    /// Ends reading, for a reason that the client should learn.
    pub(crate) fn refuse(self, parts: &Parts, problem: Problem) -> Problem {
        throw_away(parts, self.stream);
        problem
    }

    /// The next one, `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some(piece) = self.stream.next().await else { return Ok(None) };
        let piece = piece.map_err(|_| broken_off())?;
        self.octets += piece.len();
        if self.octets > self.limit { Err(too_large(self.limit)) } else { Ok(Some(piece)) }
    }
}

/// How large a body says it is.
pub(crate) fn declared_octets(parts: &Parts) -> Option<u64> {
    parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

fn too_large(limit: usize) -> Problem {
    let text = format!("the request body is larger than the limit of {limit} bytes");
    Problem::new(ProblemKind::TooLarge, "body_too_large", text)
}

fn broken_off() -> Problem {
    Problem::new(ProblemKind::Invalid, "body_unreadable", "the request body could not be read to its end")
}

/// The media type of the body without its parameters; empty if it has none.
pub(crate) fn media_type(parts: &Parts) -> &str {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim()
}

/// Reads a body to its end, if it is not larger than `limit`.
pub(crate) async fn octets(body: Body, limit: usize) -> Result<bytes::Bytes, Problem> {
    let read = to_bytes(body, limit).await;
    read.map_err(|error| if is_length_limit(&error) { too_large(limit) } else { broken_off() })
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The parameters of a query string: in order, decoded, with repeats.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a request.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Problem> {
        Self::of_uri(&parts.uri)
    }

    /// Reads the query of an address.
    pub(crate) fn of_uri(uri: &Uri) -> Result<Self, Problem> {
        let query = uri.query().unwrap_or_default();
        if query.len() > QUERY_CHARS_MAX {
            let text = format!("the query string is longer than {QUERY_CHARS_MAX} characters");
            return Err(Problem::new(ProblemKind::Invalid, "query_too_long", text));
        }
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }

    /// One parameter, wherever its value came from.
    pub(crate) fn single(name: &str, value: &str) -> Self {
        Self(vec![(name.to_owned(), value.to_owned())])
    }

    /// These parameters, and then those of `more`, which so come before them.
    pub(crate) fn then(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// The last value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter: repeated, separated by commas, or both.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(key, _)| key == name).flat_map(|(_, value)| value.split(','));
        values.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// All values of a parameter as they are.
    pub(crate) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A boolean: `true`, `false` in any case, `1` or `0`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("") => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Problem::invalid(name, format!("{name} must be true or false"))),
        }
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Problem> {
        let parse =
            |text: &str| text.parse().map_err(|_| Problem::invalid(name, format!("{name} must be a whole number")));
        self.get(name).filter(|text| !text.is_empty()).map(parse).transpose()
    }

    /// `offset`: how many to skip.
    pub(crate) fn offset(&self) -> Result<usize, Problem> {
        let too_low = |_| Problem::invalid("offset", "offset must be greater than or equal to 0");
        usize::try_from(self.number("offset")?.unwrap_or(0)).map_err(too_low)
    }

    /// A parameter's value, if it is not empty; under either of two names, the first before the second.
    pub(crate) fn text(&self, name: &str, other: &str) -> Option<String> {
        let found = [name, other].into_iter().find_map(|name| self.get(name).filter(|value| !value.is_empty()));
        found.map(str::to_owned)
    }

    /// `limit`: between 1 and `max`.
    pub(crate) fn limit(&self, default: usize, max: usize) -> Result<usize, Problem> {
        let limit = self.number("limit")?.unwrap_or(default as i64);
        if limit > max as i64 {
            return Err(Problem::invalid("limit", format!("limit must be lower than or equal to {max}")));
        }
        if limit < 1 {
            return Err(Problem::invalid("limit", "limit must be greater than or equal to 1"));
        }
        Ok(limit as usize)
    }
}
