//! `/v3/events/stream`: every event as it happens, as server-sent events or over a WebSocket.

use crate::auth;
use crate::call::Call;
use crate::extract::Query;
use crate::respond::Answer;
use crate::route::{Kind, Parameter, Route};
use crate::routes::wait::{self, sign_of_life};
use crate::server::Connected;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, Method, header};
use futures::stream::{self, Stream};
use futures::{FutureExt, StreamExt};
use postfleet_core::event::{ACCEPTED_UNANNOUNCED, Trigger};
use postfleet_core::{Problem, UnixMicros};
use postfleet_fleet::keys;
use postfleet_mailflow::Platform;
use postfleet_mailflow::wait::{End, Feed, Listener, Listening, Piece, Place, Start};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// What a key has to allow, when a stream begins and as long as it lasts.
const PERMISSION: &str = "events.read";

/// Seconds between two signs of life.
const HEARTBEAT: (i64, i64) = (5, 60);

/// The same unless a client says how many.
const HEARTBEAT_USUAL: i64 = 15;

/// The last moment that can be written, in unix seconds.
const LAST_SECOND: i64 = 253_402_300_799;

/// Octets of what is read and written at once over a WebSocket: little, since it is kept as long as the connection.
const BUFFER_OCTETS: usize = 4 << 10;

/// How long a client may take to take one frame.
const FRAME_DEADLINE: Duration = Duration::from_secs(60);

/// Signs of life to which a client says nothing until it is taken to be gone.
const UNHEARD_MAX: u32 = 2;

/// How long a client is listened to after it was told that this is the end.
const FAREWELL: Duration = Duration::from_millis(500);

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::waiting("/v3/events/stream", PERMISSION, stream)
            .about("Stream events as they happen", DETAILS)
            .query(PARAMETERS)
            .answers_file("text/event-stream"),
    ]
}

const DETAILS: &str = "For as long as an hour, as server-sent events: `data` is what a webhook is sent of the event, without the number of the \
    attempt; `id` is the cursor behind it, for `after` or, as browsers send it, `Last-Event-ID`. With `Upgrade: websocket` each event is a \
    text frame `{\"cursor\", \"event\"}`; the first frame has no event. A sign of life is a comment with the cursor, or a ping. In order, and \
    none is missed between two connections. It ends when the server stops, or the key is worth nothing any more.";

const PARAMETERS: &[Parameter] = &[
    Parameter::new("types", Kind::List, "Triggers, as webhooks name them; all if absent."),
    Parameter::new("grant_id", Kind::Text, "Events of this mailbox only."),
    Parameter::new("workspace_id", Kind::Text, "Events of this workspace and the mailboxes in it only."),
    Parameter::new("after", Kind::Text, "The cursor of the last event that was taken; from now on if absent."),
    Parameter::new("since", Kind::Integer(0, LAST_SECOND), "From this moment on, in unix seconds; not with `after`."),
    Parameter::new("include_junk", Kind::Flag, "Also mail that goes into junk as it comes in; `false` if absent."),
    Parameter::new(
        "heartbeat",
        Kind::Integer(HEARTBEAT.0, HEARTBEAT.1),
        "Seconds between two signs of life; 15 if absent.",
    ),
    Parameter::new("timeout", Kind::Integer(0, 0), "With 0 it ends after what is there already."),
];

/// `GET /v3/events/stream`
pub(crate) async fn stream(mut call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let (listening, heartbeat) = (listening(&query)?, heartbeat(&query)?);
    let start = start(&call, &query)?;
    let only_looks = only_looks(&query)?;
    if call.parts.method == Method::HEAD {
        return Ok(wait::nothing());
    }
    let upgrade = match wants_websocket(&call.parts.headers) {
        true => {
            Some(WebSocketUpgrade::from_request_parts(&mut call.parts, &()).await.map_err(|why| not_upgraded(&why))?)
        }
        false => None,
    };
    let key = auth::bearer(&call.parts.headers).ok_or_else(keys::unauthenticated)?;
    let listener =
        Listener { application: call.application, key: call.platform.keys.hash(key), permission: PERMISSION };
    let feed = Feed::open(&call.platform, listener, listening, start, heartbeat, only_looks).await?;
    let Some(upgrade) = upgrade else { return Ok(wait::events(Body::from_stream(server_sent(feed)))) };
    let place = call.parts.extensions.remove::<Connected>();
    let platform = call.platform.clone();
    let upgrade = upgrade
        .read_buffer_size(BUFFER_OCTETS)
        .write_buffer_size(0)
        .max_message_size(BUFFER_OCTETS)
        .max_frame_size(BUFFER_OCTETS);
    Ok(upgrade.on_upgrade(move |socket| {
        // In a box, as what waits takes little room and what is worked on much.
        Box::pin(converse(socket, feed, platform).map(|()| drop(place)))
    }))
}

fn listening(query: &Query) -> Result<Listening, Problem> {
    let given = |name| query.get(name).filter(|text: &&str| !text.is_empty());
    let grant = given("grant_id").map(str::parse).transpose();
    let workspace = given("workspace_id").map(str::parse).transpose();
    Ok(Listening {
        names: names(&query.list("types"))?,
        grant: grant.map_err(|_| Problem::invalid("grant_id", "grant_id must be the id of a mailbox"))?,
        workspace: workspace
            .map_err(|_| Problem::invalid("workspace_id", "workspace_id must be the id of a workspace"))?,
        include_junk: query.flag("include_junk")?.unwrap_or(false),
        since: since(query)?,
    })
}

/// Names of triggers in the spelling in which they were given, each once.
fn names(given: &[String]) -> Result<Option<Box<[&'static str]>>, Problem> {
    let known = |name: &String| {
        let unannounced = || ACCEPTED_UNANNOUNCED.iter().copied().find(|known| known == name);
        let spelled =
            |trigger: Trigger| if trigger.name() == name { Some(trigger.name()) } else { trigger.other_name() };
        let found = Trigger::subscribed_as(name).map_or_else(unannounced, spelled);
        found.ok_or_else(|| Problem::invalid("types", format!("types: {name:?} is not a trigger")))
    };
    let mut names: Vec<&'static str> =
        given.iter().filter(|name| !name.is_empty()).map(known).collect::<Result<_, _>>()?;
    names.sort_unstable();
    names.dedup();
    Ok(if names.is_empty() { None } else { Some(names.into()) })
}

fn since(query: &Query) -> Result<Option<UnixMicros>, Problem> {
    let Some(seconds) = query.number("since")? else { return Ok(None) };
    if !(0..=LAST_SECOND).contains(&seconds) {
        return Err(Problem::invalid("since", format!("since must be from 0 to {LAST_SECOND}")));
    }
    Ok(Some(UnixMicros::from_seconds(seconds)))
}

/// Where a client was that comes back by itself goes before what it asked for at first.
fn start(call: &Call, query: &Query) -> Result<Start, Problem> {
    let (last, after, since) = (wait::last_event(call)?, wait::after(query)?, since(query)?);
    match (last, after, since) {
        (Some(place), _, _) | (None, Some(place), None) => Ok(Start::After(place)),
        (None, Some(_), Some(_)) => Err(Problem::invalid("since", "since: give after or since, not both")),
        (None, None, Some(at)) => Ok(Start::Since(at)),
        (None, None, None) => Ok(Start::Now),
    }
}

fn heartbeat(query: &Query) -> Result<Duration, Problem> {
    let (min, max) = HEARTBEAT;
    let seconds = query.number("heartbeat")?.unwrap_or(HEARTBEAT_USUAL);
    if !(min..=max).contains(&seconds) {
        return Err(Problem::invalid("heartbeat", format!("heartbeat must be from {min} to {max} seconds")));
    }
    Ok(Duration::from_secs(seconds.unsigned_abs()))
}

fn only_looks(query: &Query) -> Result<bool, Problem> {
    match query.number("timeout")? {
        None => Ok(false),
        Some(0) => Ok(true),
        Some(_) => Err(Problem::invalid("timeout", "timeout may only be 0: a stream ends after an hour")),
    }
}

// Server-sent events -------------------------------------------------------------------------------------------------

/// The text of a stream. Something comes at once, so that the client sees that it stands, and has a place to come back to.
fn server_sent(feed: Feed) -> impl Stream<Item = Result<String, Infallible>> {
    let first = format!("retry: 2000\n{}", sign_of_life(feed.place()));
    let texts = pieces(feed).take_while(|piece| std::future::ready(piece.is_ok())).map(|piece| match piece {
        Ok(Piece::Event(place, json)) => told(place, &json),
        Ok(Piece::Alive(place)) => sign_of_life(place),
        Err(_) => String::new(),
    });
    stream::once(std::future::ready(first)).chain(texts).map(Ok)
}

/// An event in three lines: JSON has no line breaks.
fn told(place: Place, json: &[u8]) -> String {
    format!("id: {}\ndata: {}\n\n", place.write(), String::from_utf8_lossy(json))
}

/// What a feed says, and at last why it ends.
fn pieces(feed: Feed) -> impl Stream<Item = Result<Piece, End>> {
    stream::unfold(Some(feed), |feed| async move {
        let mut feed = feed?;
        match feed.next().await {
            Ok(piece) => Some((Ok(piece), Some(feed))),
            Err(end) => Some((Err(end), None)),
        }
    })
}

// WebSocket ----------------------------------------------------------------------------------------------------------

fn wants_websocket(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::UPGRADE).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|name| name.trim().eq_ignore_ascii_case("websocket"))
}

/// What is wrong with a request for a WebSocket (RFC 6455 §4.2.1).
fn not_upgraded(why: &WebSocketUpgradeRejection) -> Problem {
    let field = match why {
        WebSocketUpgradeRejection::InvalidConnectionHeader(_) => "Connection",
        WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_) => "Sec-WebSocket-Version",
        WebSocketUpgradeRejection::WebSocketKeyHeaderMissing(_) => "Sec-WebSocket-Key",
        _ => "Upgrade",
    };
    let text = match field {
        "Connection" => "Connection: must have upgrade, for a WebSocket",
        "Sec-WebSocket-Version" => "Sec-WebSocket-Version: must be 13",
        "Sec-WebSocket-Key" => "Sec-WebSocket-Key: is missing",
        _ => "Upgrade: a WebSocket needs a connection of HTTP/1.1 and GET",
    };
    Problem::invalid(field, text)
}

/// Tells a client what happens until either of them has enough of it.
async fn converse(mut socket: WebSocket, feed: Feed, platform: Arc<Platform>) {
    if !say(&mut socket, framed(feed.place(), b"null"), &platform).await {
        return;
    }
    let mut pieces = pin!(pieces(feed));
    // Signs of life since the client said anything.
    let mut unheard = 0;
    let end = loop {
        let message = tokio::select! {
            biased;
            heard = socket.recv() => match heard {
                Some(Ok(_)) => {
                    unheard = 0;
                    continue;
                }
                _ => return,
            },
            piece = pieces.next() => match piece {
                Some(Ok(Piece::Event(place, json))) => framed(place, &json),
                Some(Ok(Piece::Alive(_))) if unheard == UNHEARD_MAX => return,
                Some(Ok(Piece::Alive(place))) => {
                    unheard += 1;
                    Message::Ping(place.write().into())
                }
                Some(Err(end)) => break end,
                None => return,
            },
        };
        if !say(&mut socket, message, &platform).await {
            return;
        }
    };
    take_leave(socket, end, &platform).await;
}

fn framed(place: Place, json: &[u8]) -> Message {
    let text = format!("{{\"cursor\":\"{}\",\"event\":{}}}", place.write(), String::from_utf8_lossy(json));
    Message::Text(text.into())
}

/// Sends a frame. Answers whether the client has taken it: one that takes nothing is not waited for when the server stops.
async fn say(socket: &mut WebSocket, message: Message, platform: &Platform) -> bool {
    let too_long = async {
        tokio::select! {
            () = platform.clock.sleep_until(platform.clock.now().plus(FRAME_DEADLINE)) => {}
            () = Feed::stopping(platform) => platform.clock.sleep_until(platform.clock.now().plus(FAREWELL)).await,
        }
    };
    tokio::select! {
        biased;
        sent = socket.send(message) => sent.is_ok(),
        () = too_long => false,
    }
}

/// Says why it ends (RFC 6455 §7.4.1), and gives the client a moment to say the same.
async fn take_leave(mut socket: WebSocket, end: End, platform: &Platform) {
    let (code, reason) = match end {
        End::Over => (1000, "this stream is over: go on with the last cursor"),
        End::Stopping => (1001, "the server stops: come back with the last cursor"),
        End::KeyEnded => (1008, "the key is worth nothing any more, or may not read events"),
        End::Failed => (1011, "something went wrong: come back with the last cursor"),
    };
    let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    if !say(&mut socket, close, platform).await {
        return;
    }
    let answered = async { while let Some(Ok(_)) = socket.recv().await {} };
    tokio::select! {
        () = answered => {}
        () = platform.clock.sleep_until(platform.clock.now().plus(FAREWELL)) => {}
    }
}
