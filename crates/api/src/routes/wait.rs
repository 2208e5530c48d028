//! `/v3/grants/{grant}/messages/wait` and `/messages/stream`: the next message that matches, as soon as it is there.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use crate::routes::messages::{self, LIST};
use crate::select;
use axum::body::Body;
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use futures::stream;
use postfleet_core::{Problem, UnixMicros};
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::Platform;
use postfleet_mailflow::wait::{Place, Waiter, Wanted};
use postfleet_schema::message::Message;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Seconds that a request waits at most. Clients give up at 90.
const TIMEOUT_MAX: i64 = 60;

/// Seconds that a request waits unless it says how many.
const TIMEOUT: i64 = 30;

/// How often a stream says something when there is nothing to say, so that nobody on its way takes it for dead.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// How long a stream lasts. Its client comes back and goes on where it was; what a node holds for it is not held for ever.
const STREAM_MAX: Duration = Duration::from_secs(3_600);

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::waiting("/v3/grants/{grant}/messages/wait", "messages.read", wait)
            .about("Wait for messages", WAIT_DETAILS)
            .query(&WAIT)
            .lists::<Message>(),
        Route::waiting("/v3/grants/{grant}/messages/stream", "messages.read", self::stream)
            .about("Stream messages as they come", STREAM_DETAILS)
            .query(&STREAM)
            .answers_file("text/event-stream"),
    ]
}

const WAIT_DETAILS: &str = "Answers as soon as a message is there that matches: those of them that came after the cursor, oldest \
    first. When the time is over, `data` is empty. There is always a `next_cursor`: asked with it as `after`, no message is missed \
    between two requests, and none comes twice. Without `after` it is waited from now on; with `received_after` what is there \
    already counts as well. Junk counts only with `in=junk` or `include_junk`. An answer can be empty before its time: when the \
    server stops, and when it has to look through what happened since an old cursor. Imported mail is not waited for.";

const STREAM_DETAILS: &str = "As server-sent events, for as long as an hour: each `message.created` with the message as `data` and \
    the cursor behind it as `id`, for `after` or, as browsers send it, `Last-Event-ID`. Every 15 seconds without a message there \
    is a comment. Otherwise as `messages/wait`.";

/// What either takes beside what narrows a list.
const OWN: &[Parameter] = &[
    Parameter::new("after", Kind::Text, "The `next_cursor` of the request before; from now on if absent."),
    Parameter::new(
        "direction",
        Kind::OneOf(&["inbound", "outbound", "any"]),
        "Messages that come in, that are sent, or both; `inbound` if absent.",
    ),
    Parameter::new("include_junk", Kind::Flag, "Whether junk counts where `in` names no folder; `false` if absent."),
];

static WAIT: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
    let limit = Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent.");
    let timeout = Parameter::new(
        "timeout",
        Kind::Integer(0, TIMEOUT_MAX),
        "Seconds to wait; 30 if absent. With 0 it only looks.",
    );
    [limit, timeout].into_iter().chain(common()).collect()
});

static STREAM: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
    let timeout = Parameter::new("timeout", Kind::Integer(0, 0), "With 0 it ends after what is there already.");
    let select = Parameter::new("select", Kind::List, "Fields to keep of each message; all if absent.");
    [timeout, select].into_iter().chain(common()).collect()
});

fn common() -> impl Iterator<Item = Parameter> {
    let narrows = LIST.iter().filter(|parameter| !matches!(parameter.name, "limit" | "page_token"));
    OWN.iter().chain(narrows).copied()
}

/// `GET /v3/grants/{grant}/messages/wait`
pub(crate) async fn wait(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let (wanted, after) = (wanted(&query)?, after(&query)?);
    let seconds = timeout(&query)?;
    let only_looks = seconds == 0 || call.parts.method == Method::HEAD;
    let seconds = Duration::from_secs(if only_looks { 0 } else { seconds.unsigned_abs() });
    let deadline = call.platform.clock.now().plus(seconds);
    let mut waiter = Waiter::new(&call.platform, call.application, grant, wanted, after, only_looks).await?;
    let arrived = waiter.wait(deadline).await?;
    let messages: Vec<Message> = arrived.messages.into_iter().map(|(message, _)| message).collect();
    Ok(respond::page(&call.id, messages, Some(arrived.next.write())))
}

/// `GET /v3/grants/{grant}/messages/stream`
pub(crate) async fn stream(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let (wanted, after) = (wanted(&query)?, last_event(&call)?.or(after(&query)?));
    let only_looks = timeout(&query)? == 0 && query.get("timeout").is_some();
    if call.parts.method == Method::HEAD {
        // As long as that of GET: nobody knows how long.
        return Ok(nothing());
    }
    let waiter = Waiter::new(&call.platform, call.application, grant, wanted, after, only_looks).await?;
    let ends_at = call.platform.clock.now().plus(STREAM_MAX);
    let feed = Feed { platform: call.platform, waiter, ends_at, select: query.list("select"), state: State::Begins };
    Ok(events(Body::from_stream(stream::unfold(feed, Feed::next))))
}

/// What asks only for what is known of a stream.
pub(crate) fn nothing() -> Response {
    events(Body::from_stream(stream::empty::<Result<String, Infallible>>()))
}

/// An answer of server-sent events.
pub(crate) fn events(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // What some proxies need to be told lest they wait for more.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn wanted(query: &Query) -> Result<Wanted, Problem> {
    let fields = messages::fields(query)?;
    if fields == Fields::RawMime {
        return Err(Problem::invalid("fields", "fields: raw_mime cannot be waited for: find the message afterwards"));
    }
    let outgoing = match query.get("direction") {
        None | Some("" | "inbound") => Some(false),
        Some("outbound") => Some(true),
        Some("any") => None,
        Some(_) => return Err(Problem::invalid("direction", "direction must be inbound, outbound or any")),
    };
    let select = query.list("select");
    Ok(Wanted {
        filter: messages::filter(query)?,
        outgoing,
        include_junk: query.flag("include_junk")?.unwrap_or(false),
        fields,
        with_body: select.is_empty() || select.iter().any(|field| field == "body"),
        limit: query.limit(50, 200)?,
    })
}

/// The place that a parameter names.
pub(crate) fn after(query: &Query) -> Result<Option<Place>, Problem> {
    let given = query.get("after").filter(|after| !after.is_empty());
    given.map(|after| Place::read(after, "after")).transpose()
}

/// Where a client was that comes back by itself.
pub(crate) fn last_event(call: &Call) -> Result<Option<Place>, Problem> {
    let given = call.parts.headers.get("last-event-id").filter(|id| !id.is_empty());
    given.map(|id| Place::read(id.to_str().unwrap_or_default(), "Last-Event-ID")).transpose()
}

fn timeout(query: &Query) -> Result<i64, Problem> {
    let seconds = query.number("timeout")?.unwrap_or(TIMEOUT);
    if !(0..=TIMEOUT_MAX).contains(&seconds) {
        return Err(Problem::invalid("timeout", format!("timeout must be from 0 to {TIMEOUT_MAX}")));
    }
    Ok(seconds)
}

/// A stream of events, as far as it has come.
struct Feed {
    platform: Arc<Platform>,
    waiter: Waiter,
    ends_at: UnixMicros,
    select: Vec<String>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begins,
    GoesOn,
    Ends,
}

impl Feed {
    /// The next piece of text, and what is left.
    async fn next(mut self) -> Option<(Result<String, Infallible>, Self)> {
        let text = match self.state {
            State::Ends => return None,
            // Something at once, so that the client sees that it stands, and has a place to come back to.
            State::Begins => {
                self.state = State::GoesOn;
                format!("retry: 2000\n{}", sign_of_life(self.waiter.place()))
            }
            State::GoesOn => self.more().await?,
        };
        Some((Ok(text), self))
    }

    async fn more(&mut self) -> Option<String> {
        let next_sign = self.platform.clock.now().plus(SIGN_OF_LIFE).min(self.ends_at);
        let arrived = match self.waiter.wait(next_sign).await {
            Ok(arrived) => arrived,
            Err(problem) => {
                tracing::warn!(cause = ?problem.cause, "a stream of messages ends: {problem}");
                return None;
            }
        };
        if self.waiter.has_ended() || self.platform.clock.now() >= self.ends_at {
            self.state = State::Ends;
        }
        if arrived.messages.is_empty() {
            return Some(sign_of_life(arrived.next));
        }
        let mut text = String::new();
        for (message, place) in &arrived.messages {
            let fields = [("id", place.write()), ("event", "message.created".to_owned()), ("data", self.json(message))];
            text.extend(fields.map(|(name, value)| format!("{name}: {value}\n")));
            text.push('\n');
        }
        Some(text)
    }

    /// A message in one line, with what was selected of it.
    fn json(&self, message: &Message) -> String {
        if self.select.is_empty() {
            return serde_json::to_string(message).unwrap_or_default();
        }
        let mut value = serde_json::to_value(message).unwrap_or_default();
        select::keep(&mut value, &self.select);
        value.to_string()
    }
}

/// A comment, and the place up to which nothing was missed: a client takes it along though there is no event.
pub(crate) fn sign_of_life(place: Place) -> String {
    format!(": waiting\nid: {}\n\n", place.write())
}
