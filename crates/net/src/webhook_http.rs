//! The one connector for outbound HTTP to addresses that customers choose.
//!
//! It never connects to an address that was not checked, never follows a redirect, never uses a proxy, and reads
//! no more of an answer than it keeps. Names are resolved and *every* address is checked before one is connected
//! to; there is no second resolution that could say something else.

mod connect;
mod connection;
mod guard;
mod idle;
mod network;
mod target;

pub use connection::MAX_HEAD_OCTETS;
pub use network::{InvalidNetwork, IpNetwork};
pub use target::{MAX_URL_OCTETS, TargetRefused, address_allowed, check_url};

use crate::resolver::Resolver;
use bytes::Bytes;
use connect::Connectors;
use connection::{Connection, Unanswered};
use guard::Guard;
use http::header::{ACCEPT, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use idle::Idle;
use postfleet_trace::{Empty, Instrument, Span, child};
use rustls::pki_types::CertificateDer;
use std::error::Error;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use target::{Target, Targets};
use tokio::time::timeout;

/// How much of an answer's body is read and kept; the rest is not waited for.
pub const MAX_ANSWER_OCTETS: usize = 64 * 1_024;

/// How long the body of an answer is waited for whose status has said all.
const BODY_WAITED_FOR: Duration = Duration::from_secs(1);

/// Who asks.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("postfleet/", env!("CARGO_PKG_VERSION")));

/// Sends requests to webhook targets. Cheap to share behind an `Arc`; holds the connections to be reused.
pub struct WebhookHttp {
    guard: Arc<Guard>,
    targets: Targets,
    connectors: Connectors,
    idle: Idle,
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
        Self {
            connectors: Connectors::new(&guard, &options.extra_roots),
            targets: Targets::default(),
            idle: Idle::default(),
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
        self.ask((Method::POST, url), &fields(headers), body, (deadline, false)).await
    }

    /// As [`post`](Self::post), where the status says all: with one of 200 to 299 the body is waited for no longer than a
    /// second, and it does not matter whether it comes to an end. What is told may come twice: it is sent once more where the target
    /// closes a connection just then that was used before.
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
        self.ask((Method::GET, url), &fields(headers), Bytes::new(), (deadline, false)).await
    }

    /// Lets go connections that nobody has used for some seconds. Whoever sends does that, too; this is for when nobody does.
    pub fn tidy(&self) {
        self.idle.tidy();
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

    fn target(&self, url: &str) -> Result<Arc<Target>, TargetRefused> {
        let target = self.targets.parse(url, &self.guard.allow)?;
        if let Some(address) = target.address {
            self.guard.judge(address, target.demand)?;
        }
        Ok(target)
    }

    /// As [`notify`](Self::notify), in a span of its own if what asks for it is traced: the target is told which, so
    /// that it can go on with the trace.
    async fn traced_notify(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
        deadline: Duration,
    ) -> Result<HttpAnswer, HttpFailure> {
        let parent = postfleet_trace::current().map(|context| context.traceparent());
        let mut fields = fields(headers);
        fields.extend(parent.as_deref().map(|parent| ("traceparent", parent)));
        let answer = self.ask((Method::POST, url), &fields, body, (deadline, true)).await;
        if let Ok(answer) = &answer {
            Span::current().record("http.response.status_code", i64::from(answer.status));
        }
        answer
    }

    /// One exchange before a deadline. Where the status says all, the body of an answer that says yes is not waited for long.
    async fn ask(
        &self,
        (method, url): (Method, &str),
        fields: &[(&str, &str)],
        body: Bytes,
        (deadline, status_says_all): (Duration, bool),
    ) -> Result<HttpAnswer, HttpFailure> {
        // Checks addresses in text form too: for those nobody asks a resolver.
        let target = self.target(url)?;
        let make = || request(&method, &target, fields, &body);
        let request = make()?;
        let exchange = async {
            let again = status_says_all.then_some(&make);
            let (mut connection, response) = self.exchange(&target, request, again).await?;
            let (answer, is_whole) = read_answer(&mut connection, response, status_says_all).await?;
            if is_whole && connection.is_reusable().await {
                self.idle.keep(&target.origin, connection);
            }
            Ok(answer)
        };
        timeout(deadline, exchange).await.unwrap_or(Err(HttpFailure::Deadline))
    }

    /// Sends a request over a connection that is there, or else over a new one: also if the former was just being closed, and nothing
    /// was sent yet or the request may come twice and so is made `again`.
    async fn exchange(
        &self,
        target: &Target,
        mut request: Request<Full<Bytes>>,
        again: Option<&impl Fn() -> Result<Request<Full<Bytes>>, HttpFailure>>,
    ) -> Result<(Box<Connection>, Response<Incoming>), HttpFailure> {
        if let Some(mut connection) = self.idle.take(&target.origin).await {
            request = match connection.ask(request).await {
                Ok(response) => return Ok((connection, response)),
                Err(Unanswered { unsent: Some(unsent), .. }) => unsent,
                Err(Unanswered { error, unsent: None }) => match again {
                    Some(make) if was_closed(&error) => make()?,
                    _ => return Err(broken(&error)),
                },
            };
        }
        let stream = self.connectors.connect(target).await.map_err(|error| unconnected(&*error))?;
        let mut connection = Connection::begin(stream).await.map_err(|error| broken(&error))?;
        let response = connection.ask(request).await.map_err(|refused| broken(&refused.error))?;
        Ok((connection, response))
    }
}

/// Header fields as they are put into a request.
fn fields<'a>(headers: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Whether the other side had closed a connection before it answered anything.
fn was_closed(error: &hyper::Error) -> bool {
    let is_closed = |error: &std::io::Error| matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    error.is_incomplete_message() || causes(error).filter_map(|cause| cause.downcast_ref()).any(is_closed)
}

fn request(
    method: &Method,
    target: &Target,
    fields: &[(&str, &str)],
    body: &Bytes,
) -> Result<Request<Full<Bytes>>, HttpFailure> {
    let mut map = header_map(fields)?;
    map.insert(HOST, target.authority.clone());
    map.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    map.entry(USER_AGENT).or_insert(AGENT);
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = method.clone();
    *request.uri_mut() = target.path.clone();
    *request.headers_mut() = map;
    Ok(request)
}

fn header_map(fields: &[(&str, &str)]) -> Result<HeaderMap, HttpFailure> {
    // With room for those that are put in by us.
    let mut map = HeaderMap::with_capacity(fields.len() + 4);
    for (name, value) in fields {
        let invalid = || HttpFailure::Header((*name).to_owned());
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        map.append(field, HeaderValue::from_str(value).map_err(|_| invalid())?);
    }
    Ok(map)
}

/// The answer, and whether it was read to its end.
async fn read_answer(
    connection: &mut Connection,
    response: Response<Incoming>,
    status_says_all: bool,
) -> Result<(HttpAnswer, bool), HttpFailure> {
    let (head, mut body) = response.into_parts();
    let mut answer = HttpAnswer {
        status: head.status.as_u16(),
        body_prefix: Vec::new(),
        media_type: media_type(&head.headers),
        retry_after: retry_after(&head.headers),
        head: AnswerHead(head.headers),
    };
    let reading = read_body(connection, &mut body, &mut answer.body_prefix);
    let read = if status_says_all && head.status.is_success() {
        // What did come is kept.
        timeout(BODY_WAITED_FOR, reading).await.is_ok_and(|read| read.unwrap_or_default())
    } else {
        reading.await?
    };
    Ok((answer, read))
}

/// Reads as much of a body as is kept; whether that was all of it.
async fn read_body(
    connection: &mut Connection,
    body: &mut Incoming,
    prefix: &mut Vec<u8>,
) -> Result<bool, HttpFailure> {
    while prefix.len() < MAX_ANSWER_OCTETS {
        let Some(piece) = connection.piece(body).await.map_err(|error| broken(&error))? else { return Ok(true) };
        let room = MAX_ANSWER_OCTETS - prefix.len();
        prefix.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    Ok(false)
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

/// Why there is no connection.
fn unconnected(error: &(dyn Error + 'static)) -> HttpFailure {
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<TargetRefused>()) {
        return HttpFailure::Refused(refused.clone());
    }
    if let Some(refused @ rustls::Error::InvalidCertificate(_)) = causes(error).find_map(of_handshake) {
        return HttpFailure::Certificate(refused.to_string());
    }
    HttpFailure::Connect(last_cause(error))
}

/// Why there is no answer over a connection.
fn broken(error: &(dyn Error + 'static)) -> HttpFailure {
    HttpFailure::Broken(last_cause(error))
}

fn last_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

/// What a handshake failed with: an error of input and output hides it, which may itself be hidden in another.
fn of_handshake<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => of_handshake(io.get_ref()?),
        None => cause.downcast_ref(),
    }
}

/// An error, and what it comes from.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

#[cfg(test)]
mod tests;
