//! The one connector for outbound HTTP to addresses that customers choose.
//!
//! It never connects to an address that was not checked, never follows a redirect, never uses a proxy, and reads
//! no more of an answer than it keeps. Names are resolved and *every* address is checked before one is connected
//! to; there is no second resolution that could say something else.

mod guard;
mod network;
mod target;

pub use network::{InvalidNetwork, IpNetwork};
pub use target::{MAX_URL_OCTETS, TargetRefused, address_allowed, check_url};

use crate::resolver::Resolver;
use crate::tls::client_config_with_roots;
use bytes::Bytes;
use guard::{Guard, GuardedDns};
use postfleet_trace::{Empty, Instrument, Span, child};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use rustls::pki_types::CertificateDer;
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use target::{Demand, Target};

/// How much of an answer's body is read and kept; the rest is not waited for.
pub const MAX_ANSWER_OCTETS: usize = 64 * 1_024;

/// How large the header fields of an answer may be together.
pub const MAX_HEAD_OCTETS: usize = 16 * 1_024;

/// How long the body of an answer is waited for whose status has said all.
const BODY_WAITED_FOR: Duration = Duration::from_secs(1);

/// How long an unused connection is kept. Shorter than the five seconds after which common servers close it: a
/// request written just then would fail though nothing is wrong.
const IDLE_CONNECTION_KEPT: Duration = Duration::from_secs(4);

/// Sends requests to webhook targets. Cheap to share behind an `Arc`; holds the connections to be reused.
pub struct WebhookHttp {
    guard: Arc<Guard>,
    /// To public and listed addresses.
    https: Client,
    /// To listed addresses alone.
    https_listed: Client,
    http: Client,
}

/// What a [`WebhookHttp`] may depend on besides the list of networks.
#[derive(Default)]
pub struct WebhookHttpOptions {
    /// Networks that may be reached although they are not public, and over plain HTTP.
    pub allow: Vec<IpNetwork>,
    /// Authorities trusted besides the public ones.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Who resolves names; the machine's own way (hosts file included) when absent.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// Addresses of this installation that its machine does not know of: those behind which it is seen. They are not
    /// reached unless they are listed, as those that the machine has.
    pub own: Vec<IpAddr>,
}

/// The answer of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The first [`MAX_ANSWER_OCTETS`] of the body.
    pub body_prefix: Vec<u8>,
    /// What kind of thing the body is, as the target says: lower case, without parameters; empty if it does not say.
    pub media_type: String,
    /// After how many seconds the target wants to be asked again (RFC 9110 §10.2.3).
    pub retry_after: Option<u64>,
    /// The header fields.
    pub head: AnswerHead,
}

/// The header fields of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerHead(HeaderMap);

impl AnswerHead {
    /// Names, in lower case, and values, in the order in which they came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// The target may not be contacted; nothing was sent.
    #[error(transparent)]
    Refused(#[from] TargetRefused),
    /// A header cannot be sent; nothing was sent.
    #[error("header {0:?} has a name or value that HTTP does not allow")]
    Header(String),
    /// The caller's deadline passed before the answer was complete. The target may have acted on the request.
    #[error("no complete answer before the deadline")]
    Deadline,
    /// No connection could be made; nothing was sent.
    #[error("failed to connect: {0}")]
    Connect(String),
    /// The target's certificate is not trusted; nothing was sent.
    #[error("failed to connect: {0}")]
    Certificate(String),
    /// The connection broke or the answer is not HTTP. The target may have acted on the request.
    #[error("failed to get an answer: {0}")]
    Broken(String),
}

impl WebhookHttp {
    /// Reaches public addresses over HTTPS, and `allow` over HTTP too.
    pub fn new(allow: Vec<IpNetwork>) -> Self {
        Self::with_options(WebhookHttpOptions { allow, ..WebhookHttpOptions::default() })
    }

    /// As [`new`](Self::new), with other authorities or another resolver.
    pub fn with_options(options: WebhookHttpOptions) -> Self {
        let guard = Arc::new(Guard { allow: options.allow, resolver: options.resolver, own: options.own });
        let client = |demand| client(&options.extra_roots, GuardedDns { guard: guard.clone(), demand });
        Self {
            https: client(Demand::None),
            https_listed: client(Demand::ForPort),
            http: client(Demand::ForPlainHttp),
            guard,
        }
    }

    /// Posts `body`. `deadline` covers everything from resolving the name to the last octet of the answer.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
        deadline: Duration,
    ) -> Result<HttpAnswer, HttpFailure> {
        let response = self.exchange(Method::POST, url, headers, Some(body), deadline).await?;
        read_answer(response).await
    }

    /// As [`post`](Self::post), where the status says all: with one of 200 to 299 the body is waited for no longer than a
    /// second, and it does not matter whether it comes to an end.
    pub async fn notify(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
        deadline: Duration,
    ) -> Result<HttpAnswer, HttpFailure> {
        let span = child!(
            "http.post",
            otel.kind = "client",
            http.request.method = "POST",
            octets = postfleet_trace::count(body.len()),
            http.response.status_code = Empty
        );
        self.traced_notify(url, headers, body, deadline).instrument(span).await
    }

    /// Gets `url`: the challenge handshake.
    pub async fn get(
        &self,
        url: &str,
        headers: &[(&str, String)],
        deadline: Duration,
    ) -> Result<HttpAnswer, HttpFailure> {
        let response = self.exchange(Method::GET, url, headers, None, deadline).await?;
        read_answer(response).await
    }

    /// Whether `url` may be contacted now: [`check_url`], and a look at every address its name has. A name that
    /// cannot be resolved is refused.
    pub async fn check_target(&self, url: &str) -> Result<(), TargetRefused> {
        let target = self.target(url)?;
        match &target.name {
            Some(name) => self.guard.resolve(name, target.demand).await.map(drop),
            None => Ok(()),
        }
    }

    fn target(&self, url: &str) -> Result<Target, TargetRefused> {
        let target = Target::parse(url, &self.guard.allow)?;
        if let Some(address) = target.address {
            self.guard.judge(address, target.demand)?;
        }
        Ok(target)
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, String)],
        body: Option<Bytes>,
        deadline: Duration,
    ) -> Result<Response, HttpFailure> {
        // Checks addresses in text form too: for those the client does not ask its resolver.
        let target = self.target(url)?;
        let client = match target.demand {
            Demand::None => &self.https,
            Demand::ForPort => &self.https_listed,
            Demand::ForPlainHttp => &self.http,
        };
        let mut request = client.request(method, target.url).headers(header_map(headers)?).timeout(deadline);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(failure)?;
        let octets: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if octets > MAX_HEAD_OCTETS {
            let text = format!("the header fields of the answer are longer than {MAX_HEAD_OCTETS} octets");
            return Err(HttpFailure::Broken(text));
        }
        Ok(response)
    }

    /// As [`exchange`](Self::exchange), in a span of its own if what asks for it is traced: the target is told which, so
    /// that it can go on with the trace.
    async fn traced_notify(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
        deadline: Duration,
    ) -> Result<HttpAnswer, HttpFailure> {
        let mut headers = headers.to_vec();
        headers.extend(postfleet_trace::current().map(|context| ("traceparent", context.traceparent())));
        let mut response = self.exchange(Method::POST, url, &headers, Some(body), deadline).await?;
        Span::current().record("http.response.status_code", i64::from(response.status().as_u16()));
        if !response.status().is_success() {
            return read_answer(response).await;
        }
        let mut answer = answer_without_body(&mut response);
        // What did come is kept.
        let _ = tokio::time::timeout(BODY_WAITED_FOR, read_body(&mut response, &mut answer.body_prefix)).await;
        Ok(answer)
    }
}

fn client(extra_roots: &[CertificateDer<'static>], dns: GuardedDns) -> Client {
    let mut tls = client_config_with_roots(extra_roots);
    // Over HTTP/2 one connection carries all that goes to a host: an answer that is slow could hold up others.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Client::builder()
        .http1_only()
        .https_only(dns.demand != Demand::ForPlainHttp)
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(dns))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("postfleet/", env!("CARGO_PKG_VERSION")))
        .pool_idle_timeout(IDLE_CONNECTION_KEPT)
        .build()
        .expect("the configuration is fixed and valid")
}

fn header_map(headers: &[(&str, String)]) -> Result<HeaderMap, HttpFailure> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let invalid = || HttpFailure::Header((*name).to_owned());
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        map.append(field, HeaderValue::from_str(value).map_err(|_| invalid())?);
    }
    Ok(map)
}

async fn read_answer(mut response: Response) -> Result<HttpAnswer, HttpFailure> {
    let mut answer = answer_without_body(&mut response);
    read_body(&mut response, &mut answer.body_prefix).await?;
    Ok(answer)
}

fn answer_without_body(response: &mut Response) -> HttpAnswer {
    HttpAnswer {
        status: response.status().as_u16(),
        body_prefix: Vec::new(),
        media_type: media_type(response.headers()),
        retry_after: retry_after(response.headers()),
        head: AnswerHead(std::mem::take(response.headers_mut())),
    }
}

async fn read_body(response: &mut Response, prefix: &mut Vec<u8>) -> Result<(), HttpFailure> {
    while prefix.len() < MAX_ANSWER_OCTETS {
        let Some(chunk) = response.chunk().await.map_err(failure)? else { break };
        let room = MAX_ANSWER_OCTETS - prefix.len();
        prefix.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(())
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Seconds, or a date (RFC 9110 §10.2.3): then the time from the answer's own date, so that a wrong clock on either
/// side does not matter.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_digit()) {
        return value.parse().ok();
    }
    let seconds = http_date(value)? - http_date(headers.get(DATE)?.to_str().ok()?)?;
    Some(u64::try_from(seconds).unwrap_or(0))
}

/// The form that servers must generate (RFC 9110 §5.6.7); the two obsolete ones are not worth a parser.
fn http_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp().as_second())
}

fn failure(error: reqwest::Error) -> HttpFailure {
    // Whoever chose the URL may have put a password into it.
    let error = error.without_url();
    if let Some(refused) = causes(&error).find_map(|cause| cause.downcast_ref::<TargetRefused>()) {
        return HttpFailure::Refused(refused.clone());
    }
    if error.is_timeout() {
        return HttpFailure::Deadline;
    }
    if let Some(refused @ rustls::Error::InvalidCertificate(_)) = causes(&error).find_map(of_handshake) {
        return HttpFailure::Certificate(refused.to_string());
    }
    let why = causes(&error).last().map_or_else(|| error.to_string(), ToString::to_string);
    if error.is_connect() { HttpFailure::Connect(why) } else { HttpFailure::Broken(why) }
}

/// What a handshake failed with: an error of input and output hides it, which may itself be hidden in another.
fn of_handshake<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => of_handshake(io.get_ref()?),
        None => cause.downcast_ref(),
    }
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

#[cfg(test)]
mod tests;
