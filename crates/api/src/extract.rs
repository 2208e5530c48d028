//! Reading requests: JSON bodies and query parameters, with errors that name the field and the limit.

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{Uri, header};
use postfleet_core::{Problem, ProblemKind};
use serde::de::DeserializeOwned;
use sync_wrapper::SyncWrapper;

/// Octets of a JSON body that carries a message: the largest message in base64, and room for the rest.
pub(crate) const SEND_OCTETS_MAX: usize = 40 << 20;

/// Octets of any other JSON body.
pub(crate) const BODY_OCTETS_MAX: usize = 1 << 20;

/// Characters of one query string.
const QUERY_CHARS_MAX: usize = 16_384;

/// Reads a JSON body of at most `limit` octets.
pub(crate) async fn json<T: DeserializeOwned>(
    parts: &Parts,
    body: SyncWrapper<Body>,
    limit: usize,
) -> Result<T, Problem> {
    let is_json = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_none_or(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.is_empty() || kind.eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(Problem::invalid("Content-Type", "request must be of content-type application/json"));
    }
    let octets = octets(body.into_inner(), limit).await?;
    // A list would be read as the values of the fields in their order.
    if octets.trim_ascii_start().starts_with(b"[") {
        return Err(unreadable(&"it must be an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(&octets);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path();
        if path.iter().next().is_none() {
            return unreadable(error.inner());
        }
        Problem::invalid(&path.to_string(), format!("error parsing request body: {path}: {}", error.inner()))
    })?;
    // Something after the value is no JSON either.
    deserializer.end().map_err(|error| unreadable(&error))?;
    Ok(value)
}

/// The body as a whole is wrong: there is no field to name.
fn unreadable(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::Invalid, "invalid_request", format!("error parsing request body: {why}"))
}

async fn octets(body: Body, limit: usize) -> Result<bytes::Bytes, Problem> {
    to_bytes(body, limit).await.map_err(|error| {
        if is_length_limit(&error) {
            let text = format!("the request body is larger than the limit of {limit} bytes");
            return Problem::new(ProblemKind::TooLarge, "body_too_large", text);
        }
        Problem::new(ProblemKind::Invalid, "body_unreadable", "the request body could not be read to its end")
    })
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

    /// The last value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter: repeated, separated by commas, or both.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(key, _)| key == name).flat_map(|(_, value)| value.split(','));
        values.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
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
