//! Pages of other places in browsers (the CORS protocol of the Fetch standard): which of them may ask, and what they may
//! read of an answer. Credentials are never sent along by a browser itself: a page has a key, or it has not.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;

/// For how long a browser may remember what a preflight was told, in seconds.
const REMEMBERED: &str = "600";

/// Octets of the list of header fields that a preflight may ask for.
const ASKED_OCTETS_MAX: usize = 2_048;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What a page may read beside the few header fields that it always may.
const EXPOSED: &str = "x-request-id, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset, idempotent-response, duplicate-of, \
     content-disposition, content-range, content-encoding, accept-ranges, etag";

/// The places whose pages may ask.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    is_any: bool,
    listed: Arc<[HeaderValue]>,
}

/// A text that is not an origin as a browser sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAnOrigin(pub String);

impl Origins {
    /// Reads origins such as `https://console.example.com`, exactly as a browser sends them (RFC 6454 §6.2), or `*` for all.
    pub fn parse(texts: &[String]) -> Result<Self, NotAnOrigin> {
        let mut listed = Vec::new();
        for text in texts.iter().filter(|text| *text != "*") {
            let value = HeaderValue::try_from(text).ok().filter(|_| is_origin(text));
            listed.push(value.ok_or_else(|| NotAnOrigin(text.clone()))?);
        }
        Ok(Self { is_any: texts.iter().any(|text| text == "*"), listed: listed.into() })
    }

    /// Whether no page of another place may ask.
    fn is_empty(&self) -> bool {
        !self.is_any && self.listed.is_empty()
    }

    /// What an answer to this request says of the page that asks; nothing to one that may not.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        if self.is_any {
            return Some(HeaderValue::from_static("*"));
        }
        self.listed.contains(origin).then(|| origin.clone())
    }

    /// Says in an answer who may read it. Whether there was an `Origin` or not, since caches keep answers for others.
    pub(crate) fn tell(&self, allowed: Option<HeaderValue>, response: &mut Response) {
        if self.is_empty() {
            return;
        }
        let headers = response.headers_mut();
        if !self.is_any {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

/// `scheme://host` or `scheme://host:port`, in lower case.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_part = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-._:[]".contains(&octet);
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_part))
}

/// Whether a browser asks before it makes the request that it is about.
pub(crate) fn is_preflight(request: &Request<Body>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight of a page that may ask. It needs no key: browsers send none with it.
pub(crate) fn preflight(asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
    headers.append(header::VARY, HeaderValue::from_static("access-control-request-headers"));
    // Any header field may be sent: what is not known is ignored. `*` would not cover `Authorization`.
    let names = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|names| is_list_of_names(names.as_bytes()));
    if let Some(names) = names {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}

/// Whether it is a list of names of header fields (RFC 9110 §5.6.2), of reasonable length.
fn is_list_of_names(list: &[u8]) -> bool {
    let is_part = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(octet);
    list.len() <= ASKED_OCTETS_MAX && list.iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(texts: &[&str]) -> Result<Origins, NotAnOrigin> {
        Origins::parse(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn origins_are_read_as_browsers_send_them() {
        for good in ["https://a.test", "http://localhost:3000", "https://[::1]:8443", "http://127.0.0.1", "*"] {
            assert!(origins(&[good]).is_ok(), "{good}");
        }
        let bad = [
            "",
            "null",
            "a.test",
            "https://",
            "https://a.test/",
            "https://A.test",
            "ftp://a.test",
            "https://a b",
            "https://*.a.test",
            "https://ü.test",
            "https://a.test\n",
        ];
        for bad in bad {
            assert_eq!(origins(&[bad]).unwrap_err(), NotAnOrigin(bad.to_owned()));
        }
    }

    #[test]
    fn only_who_is_listed_may_ask() {
        let ask = |origins: &Origins, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            origins.allowed(&headers).map(|value| value.to_str().unwrap().to_owned())
        };
        let listed = origins(&["https://a.test", "https://b.test:8443"]).unwrap();
        assert_eq!(ask(&listed, Some("https://b.test:8443")).as_deref(), Some("https://b.test:8443"));
        for other in ["https://a.test.evil.test", "http://a.test", "https://b.test", "null", "https://A.TEST"] {
            assert_eq!(ask(&listed, Some(other)), None, "{other}");
        }
        assert_eq!(ask(&listed, None), None);
        assert_eq!(ask(&Origins::default(), Some("https://a.test")), None);
        assert_eq!(ask(&origins(&["*"]).unwrap(), Some("null")).as_deref(), Some("*"));
    }

    #[test]
    fn names_of_header_fields_are_given_back_and_nothing_else() {
        let mut asked = HeaderMap::new();
        let mut told = |names: &'static str| {
            asked.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static(names));
            preflight(&asked).headers().get(header::ACCESS_CONTROL_ALLOW_HEADERS).cloned()
        };
        assert_eq!(told("authorization, x-sdk-version").unwrap(), "authorization, x-sdk-version");
        assert_eq!(told("a\"b"), None);
        assert_eq!(told("a;b"), None);
    }
}
