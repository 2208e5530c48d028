//! From a request to a call of a handler: who calls, what the path names, and carrying it out to its end.

use crate::auth::{self, Caller};
use crate::error;
use crate::extract;
use crate::respond::{self, Answer, RequestId};
use crate::route::Needs;
use crate::router::Interface;
use crate::select;
use crate::spans;
use axum::body::{Body, BodyDataStream};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use postfleet_core::audit::{Act, Author};
use postfleet_core::id::{ApplicationId, AuditId, GrantId};
use postfleet_core::request_rate::{RequestRates, RequestScope, Standing};
use postfleet_core::{Problem, UnixMicros};
use postfleet_fleet::operator::Operator;
use postfleet_fleet::requests::Subject;
use postfleet_mailflow::Platform;
use postfleet_trace::Instrument;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use sync_wrapper::SyncWrapper;

/// What a handler of an application's resources gets: the caller, the request, and what its path names.
pub(crate) struct Call {
    pub(crate) platform: Arc<Platform>,
    pub(crate) caller: Caller,
    pub(crate) application: ApplicationId,
    pub(crate) id: RequestId,
    /// The request without its body.
    pub(crate) parts: Parts,
    pub(crate) body: SyncWrapper<Body>,
    /// The path's parameters in order, decoded once.
    pub(crate) path: Vec<String>,
    /// The requests of the second.
    pub(crate) rate: Rated,
}

/// How a request stands against the rates that it counts for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rated {
    rates: RequestRates,
    /// Whether it is about what a mailbox has.
    is_of_mailbox: bool,
    /// What is left of the rate that has the least left.
    standing: Arc<Mutex<Option<Standing>>>,
}

impl Rated {
    /// Counts the request for its key, and for its application unless it is about what a mailbox has.
    fn begin(platform: &Platform, caller: &Caller, application: ApplicationId, path: &str) -> Result<Self, Problem> {
        let is_of_mailbox = path.starts_with("/v3/grants/{grant}/");
        let rated = Self { rates: caller.rates, is_of_mailbox, standing: Arc::default() };
        if let Some(key) = caller.key {
            rated.take(platform, RequestScope::Key, key.uuid().into_bytes())?;
        }
        if !is_of_mailbox {
            rated.take(platform, RequestScope::Application, application.uuid().into_bytes())?;
        }
        Ok(rated)
    }

    /// Counts the request for the mailbox, if it is about what that has.
    pub(crate) fn of_mailbox(&self, platform: &Platform, grant: GrantId) -> Result<(), Problem> {
        if self.is_of_mailbox { self.take(platform, RequestScope::Mailbox, grant.uuid().into_bytes()) } else { Ok(()) }
    }

    /// Counts a send that comes as a form.
    pub(crate) fn of_form(&self, platform: &Platform, grant: GrantId) -> Result<(), Problem> {
        self.take(platform, RequestScope::MailboxForms, grant.uuid().into_bytes())
    }

    fn take(&self, platform: &Platform, scope: RequestScope, subject: Subject) -> Result<(), Problem> {
        let taken = platform.requests.take(&self.rates, scope, subject, platform.clock.now());
        let taken = taken.inspect_err(|problem| platform.metrics.refused(problem))?;
        let Some(taken) = taken else { return Ok(()) };
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        *standing = Some(standing.filter(|before| before.remaining < taken.remaining).unwrap_or(taken));
        Ok(())
    }

    /// Says in an answer what is left, unless it says what is left of something else.
    fn tell(&self, response: &mut Response, now: UnixMicros) {
        let standing = *self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Standing { limit, remaining, resets_at }) = standing else { return };
        if !error::has_rate_limit(response.headers()) {
            error::rate_limit(response.headers_mut(), limit, remaining, error::reset_seconds(resets_at, now));
        }
    }
}

/// What a handler of an organization's resources gets: as [`Call`], from an operator.
pub(crate) struct AdminCall {
    pub(crate) platform: Arc<Platform>,
    pub(crate) caller: Caller,
    pub(crate) id: RequestId,
    pub(crate) parts: Parts,
    pub(crate) body: SyncWrapper<Body>,
    pub(crate) path: Vec<String>,
}

/// What a handler gets that anybody may call.
pub(crate) struct OpenCall {
    pub(crate) platform: Arc<Platform>,
    pub(crate) id: RequestId,
    pub(crate) parts: Parts,
    pub(crate) body: SyncWrapper<Body>,
    pub(crate) path: Vec<String>,
}

/// What a handler may get.
pub(crate) trait Opened: Sized + Send + 'static {
    /// Whose credential it takes.
    fn needs(permission: &'static str) -> Needs;
    /// Authenticates a request and takes it apart.
    fn open(
        platform: Arc<Platform>,
        id: RequestId,
        request: Request,
        permission: &'static str,
    ) -> impl Future<Output = Result<Self, Problem>> + Send;
    /// How it stands against rates.
    fn rate(&self) -> Rated {
        Rated::default()
    }
}

impl Opened for Call {
    fn needs(permission: &'static str) -> Needs {
        Needs::Application(permission)
    }

    async fn open(
        platform: Arc<Platform>,
        id: RequestId,
        mut request: Request,
        permission: &'static str,
    ) -> Result<Self, Problem> {
        let caller = auth::caller(&platform, &mut request).await?;
        let application = caller.application()?;
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let rate = Rated::begin(&platform, &caller, application, route)?;
        caller.may_reach(route)?;
        caller.may(permission)?;
        let path = path_parameters(&request)?;
        let (parts, body) = request.into_parts();
        Ok(Self { platform, caller, application, id, parts, body: SyncWrapper::new(body), path, rate })
    }

    fn rate(&self) -> Rated {
        self.rate.clone()
    }
}

impl Opened for AdminCall {
    fn needs(permission: &'static str) -> Needs {
        Needs::Organization(permission)
    }

    async fn open(
        platform: Arc<Platform>,
        id: RequestId,
        mut request: Request,
        permission: &'static str,
    ) -> Result<Self, Problem> {
        let caller = auth::caller(&platform, &mut request).await?;
        caller.is_operator()?;
        caller.may(permission)?;
        let path = path_parameters(&request)?;
        let (parts, body) = request.into_parts();
        Ok(Self { platform, caller, id, parts, body: SyncWrapper::new(body), path })
    }
}

impl Opened for OpenCall {
    fn needs(_: &'static str) -> Needs {
        Needs::Nothing
    }

    async fn open(platform: Arc<Platform>, id: RequestId, request: Request, _: &'static str) -> Result<Self, Problem> {
        let path = path_parameters(&request)?;
        let (parts, body) = request.into_parts();
        Ok(Self { platform, id, parts, body: SyncWrapper::new(body), path })
    }
}

impl Call {
    /// The change that this call makes.
    pub(crate) fn act(&self) -> Act {
        act(&self.platform, &self.caller, Some(self.application), &self.id)
    }

    /// Who sends what this call sends.
    pub(crate) fn author(&self) -> Author {
        Author { actor: self.caller.actor.clone(), request_id: self.id.0.clone() }
    }
}

impl AdminCall {
    /// Who administers.
    pub(crate) fn operator(&self) -> Operator {
        self.caller.operator()
    }

    /// An id that the path names; text that is no id names nothing.
    pub(crate) fn id_at<T: std::str::FromStr>(&self, index: usize) -> Result<T, Problem> {
        self.path[index].parse().map_err(|_| Problem::not_found())
    }

    /// The change that this call makes to the caller's organization, or to one of its applications.
    pub(crate) fn act(&self, application: Option<ApplicationId>) -> Act {
        act(&self.platform, &self.caller, application, &self.id)
    }
}

impl OpenCall {
    /// The change that an application makes with this call, which anybody may make.
    pub(crate) fn act(&self, caller: &Caller) -> Result<Act, Problem> {
        Ok(act(&self.platform, caller, Some(caller.application()?), &self.id))
    }
}

fn act(platform: &Platform, caller: &Caller, application: Option<ApplicationId>, id: &RequestId) -> Act {
    let at: UnixMicros = platform.clock.now();
    Act {
        record_id: AuditId::new(at, platform.entropy.ten()),
        actor: caller.actor.clone(),
        organization_id: caller.organization,
        application_id: application,
        request_id: id.0.clone(),
        at,
    }
}

/// Turns a function of a call into an axum handler: authenticates first, and answers problems.
pub(crate) fn handler<C, F, R>(
    permission: &'static str,
    run: F,
    ends: Ends,
) -> impl Fn(State<Arc<Interface>>, Request) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static
where
    C: Opened,
    F: Fn(C) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    move |State(interface): State<Arc<Interface>>, request: Request| {
        let span = spans::of(&request);
        let answered = span.clone();
        let answer = async move {
            let platform = interface.platform.clone();
            let id = request_id(&request);
            let selected = select::of(&request);
            let plain = extract::is_plain(&request);
            let (rate, answer) = match C::open(platform.clone(), id.clone(), request, permission).await {
                Ok(call) => {
                    let rate = call.rate();
                    let answer = match (plain, ends) {
                        (Err(problem), _) => Err(problem),
                        (Ok(()), Ends::Always) => to_its_end(run(call)).await,
                        (Ok(()), Ends::WithClient) => in_place(run(call)).await,
                    };
                    (rate, answer)
                }
                Err(problem) => (Rated::default(), Err(problem)),
            };
            let answer = match (answer, selected) {
                (Ok(response), Some(uri)) => select::trim(response, &uri).await,
                (answer, _) => answer,
            };
            let now = platform.clock.now();
            let mut response = answer.unwrap_or_else(|problem| respond::problem(&id, &problem, now));
            rate.tell(&mut response, now);
            spans::answered(&answered, response.status());
            response
        };
        Box::pin(answer.instrument(span))
    }
}

/// What becomes of a request whose client goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// It is carried out all the same.
    Always,
    /// It ends: it only looks something up, or waits for something to tell.
    WithClient,
}

/// Carries a request out even if its client goes away meanwhile: what was accepted must be handed on. A handler that
/// panics answers 500 and harms nobody else.
async fn to_its_end(answer: impl Future<Output = Answer> + Send + 'static) -> Answer {
    let span = postfleet_trace::current_span();
    tokio::spawn(answer.instrument(span)).await.unwrap_or_else(|error| Err(Problem::internal(error)))
}

/// Carries a request out as long as its client waits, without the way to another task and back. As there, a handler that panics
/// answers 500; what it leaves behind is its own.
async fn in_place(answer: impl Future<Output = Answer>) -> Answer {
    let caught = AssertUnwindSafe(answer).catch_unwind().await;
    caught.unwrap_or_else(|_| Err(Problem::internal("a handler panicked")))
}

/// Octets that are read and thrown away after a refusal.
const THROWN_AWAY_OCTETS_MAX: usize = 64 << 20;

/// Takes what a client still sends after its request was refused, since most clients read the answer only then: a
/// connection that is closed under them tells them nothing. One that waits to be told to go on is not told so.
pub(crate) fn throw_away(parts: &Parts, mut rest: BodyDataStream) {
    if parts.headers.contains_key(header::EXPECT) {
        return;
    }
    tokio::spawn(async move {
        let mut octets = 0;
        while let Some(Ok(piece)) = rest.next().await {
            octets += piece.len();
            if octets > THROWN_AWAY_OCTETS_MAX {
                break;
            }
        }
    });
}

/// The id that was given to the request when it came in.
pub(crate) fn request_id(request: &Request) -> RequestId {
    request.extensions().get::<RequestId>().cloned().unwrap_or_else(|| RequestId(String::new()))
}

/// The segments of the path that the route leaves open. Each is decoded once; a `%2F` stays inside its segment.
fn path_parameters(request: &Request) -> Result<Vec<String>, Problem> {
    let Some(route) = request.extensions().get::<MatchedPath>() else { return Ok(Vec::new()) };
    let open = route.as_str().split('/').zip(request.uri().path().split('/'));
    let decode = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| Problem::not_found())
    };
    open.filter(|(pattern, _)| pattern.starts_with('{')).map(|(_, text)| decode(text)).collect()
}
