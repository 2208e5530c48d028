//! One request at a time to the public interface: base URL, key, JSON, pages. Nothing is tried again: whoever types a
//! command decides that.

use crate::connection::Connection;
use crate::failure::{Failure, Refusal};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use serde_json::Value;
use std::error::Error;
use std::time::Duration;

/// The most things that the interface gives in one answer.
pub const PAGE: usize = 200;

/// How long an answer may take: a look at the DNS for a domain takes up to ten seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long an import may take.
const IMPORT_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// A server, asked with one key.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
}

/// What the server answered.
pub struct Answer {
    /// The whole body.
    pub body: Value,
}

/// Things from one list or the beginning of it.
pub struct Things {
    /// In the list's order.
    pub items: Vec<Value>,
    /// Whether the list goes on.
    pub has_more: bool,
}

/// What a request carries.
enum Body<'a> {
    None,
    Json(&'a Value),
    /// Of this media type.
    Text(&'static str, Vec<u8>),
}

/// Names and values of a query.
pub type Query<'a> = &'a [(&'a str, String)];

impl Answer {
    /// What was asked for; the whole body, where it has nothing but the request's id.
    pub fn data(self) -> Value {
        match self.body {
            Value::Object(mut body) if body.contains_key("data") => body.remove("data").unwrap_or_default(),
            body => body,
        }
    }

    /// Where the list goes on.
    pub fn cursor(&self) -> Option<String> {
        self.body["next_cursor"].as_str().map(str::to_owned)
    }
}

impl Api {
    /// The server of a connection. The key must be text that a header can carry.
    pub fn new(connection: &Connection, key: &str) -> Result<Self, Failure> {
        let base = base(&connection.url)?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| Failure::Usage("the key has characters that no key has".to_owned()))?;
        authorization.set_sensitive(true);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("postfleet-cli/", env!("CARGO_PKG_VERSION")))
            // A key goes to the server that was named, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Failure::Local(format!("no HTTP client: {error}")))?;
        Ok(Self { http, base, authorization })
    }

    /// GET.
    pub async fn get(&self, path: &[&str]) -> Result<Answer, Failure> {
        self.ask(Method::GET, path, &[], None).await
    }

    /// POST with a body.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Answer, Failure> {
        self.ask(Method::POST, path, &[], Some(body)).await
    }

    /// PATCH.
    pub async fn patch(&self, path: &[&str], body: &Value) -> Result<Answer, Failure> {
        self.ask(Method::PATCH, path, &[], Some(body)).await
    }

    /// PUT.
    pub async fn put(&self, path: &[&str], body: &Value) -> Result<Answer, Failure> {
        self.ask(Method::PUT, path, &[], Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &[&str]) -> Result<Answer, Failure> {
        self.ask(Method::DELETE, path, &[], None).await
    }

    /// One request. `path` are the segments below `/v3`.
    pub async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: Query<'_>,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let body = body.map_or(Body::None, Body::Json);
        let (url, response) = self.response(method, path, query, body).await?;
        self.answer(&url, response).await
    }

    async fn answer(&self, url: &Url, response: Response) -> Result<Answer, Failure> {
        let status = response.status().as_u16();
        let retry_after = retry_after(&response);
        let octets = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let foreign = || Failure::Foreign { url: url.to_string(), status };
        let body: Value = serde_json::from_slice(&octets).map_err(|_| foreign())?;
        if (200..300).contains(&status) {
            return Ok(Answer { body });
        }
        let refusal = Refusal::read(status, &body, retry_after).ok_or_else(foreign)?;
        Err(Failure::Refused(Box::new(refusal)))
    }

    /// POST of a text that is answered as JSON.
    pub async fn post_text(
        &self,
        path: &[&str],
        query: Query<'_>,
        kind: &'static str,
        text: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let (url, response) = self.response(Method::POST, path, query, Body::Text(kind, text)).await?;
        self.answer(&url, response).await
    }

    /// GET of something that is text and not JSON.
    pub async fn text(&self, path: &[&str]) -> Result<String, Failure> {
        let (url, response) = self.response(Method::GET, path, &[], Body::None).await?;
        let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        if status == 200 {
            return Ok(text);
        }
        let refusal = serde_json::from_str(&text).ok().and_then(|body| Refusal::read(status, &body, retry_after));
        Err(refusal
            .map_or(Failure::Foreign { url: url.to_string(), status }, |refusal| Failure::Refused(Box::new(refusal))))
    }

    /// A list that goes on with cursors, to its end or to `most`.
    pub async fn list(&self, path: &[&str], query: Query<'_>, most: Option<usize>) -> Result<Things, Failure> {
        let mut things = Things { items: Vec::new(), has_more: false };
        let mut cursor: Option<String> = None;
        loop {
            let Some(limit) = room(most, things.items.len()) else { return Ok(things) };
            let mut query = query.to_vec();
            query.push(("limit", limit.to_string()));
            query.extend(cursor.take().map(|cursor| ("page_token", cursor)));
            let answer = self.ask(Method::GET, path, &query, None).await?;
            cursor = answer.cursor();
            let mut data = answer.data();
            // Rules stand one level deeper than everything else.
            if data.get("items").is_some_and(Value::is_array) {
                data = data["items"].take();
            }
            things.take(data, most);
            if cursor.is_none() || room(most, things.items.len()).is_none() {
                things.has_more |= cursor.is_some();
                return Ok(things);
            }
        }
    }

    /// A list that goes on with offsets: mailboxes.
    pub async fn offset_list(&self, path: &[&str], query: Query<'_>, most: Option<usize>) -> Result<Things, Failure> {
        let mut things = Things { items: Vec::new(), has_more: false };
        loop {
            let offset = things.items.len();
            // One more than wanted says whether there are more.
            let Some(limit) = room(most.map(|most| most + 1), offset) else { break };
            let mut query = query.to_vec();
            query.push(("limit", limit.to_string()));
            query.push(("offset", offset.to_string()));
            things.take(self.ask(Method::GET, path, &query, None).await?.data(), None);
            if things.items.len() - offset < limit {
                break;
            }
        }
        if let Some(most) = most.filter(|most| things.items.len() > *most) {
            things.items.truncate(most);
            things.has_more = true;
        }
        Ok(things)
    }

    async fn response(
        &self,
        method: Method,
        path: &[&str],
        query: Query<'_>,
        body: Body<'_>,
    ) -> Result<(Url, Response), Failure> {
        let url = self.url(path, query)?;
        let mut request = self.http.request(method, url.clone()).header(AUTHORIZATION, &self.authorization);
        request = match body {
            Body::None => request,
            Body::Json(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
            // It takes as long as there is to import.
            Body::Text(kind, text) => request.header(CONTENT_TYPE, kind).timeout(IMPORT_DEADLINE).body(text),
        };
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        Ok((url, response))
    }

    fn url(&self, path: &[&str], query: Query<'_>) -> Result<Url, Failure> {
        // These are no names: the URL would lead somewhere else.
        if let Some(segment) = path.iter().find(|segment| matches!(segment.trim(), "" | "." | "..")) {
            return Err(Failure::Usage(format!("{segment:?} is no id and no name")));
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v3").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        let cause = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        let cause = if error.is_timeout() { format!("no answer within {} seconds", DEADLINE.as_secs()) } else { cause };
        Failure::Unreachable { url: self.base.to_string(), cause }
    }
}

impl Things {
    fn take(&mut self, data: Value, most: Option<usize>) {
        if let Value::Array(list) = data {
            self.items.extend(list);
        }
        if let Some(most) = most.filter(|most| self.items.len() > *most) {
            self.items.truncate(most);
            self.has_more = true;
        }
    }
}

/// How many to ask for next; none if there are enough.
fn room(most: Option<usize>, have: usize) -> Option<usize> {
    let room = most.map_or(PAGE, |most| most.saturating_sub(have).min(PAGE));
    (room > 0).then_some(room)
}

fn base(url: &str) -> Result<Url, Failure> {
    let wrong = || Failure::Usage(format!("{url:?} is no base URL: write it as http://127.0.0.1:8080"));
    let base = Url::parse(url).map_err(|_| wrong())?;
    let is_http = matches!(base.scheme(), "http" | "https") && base.host_str().is_some();
    let is_bare = base.query().is_none() && base.username().is_empty() && base.password().is_none();
    if is_http && is_bare { Ok(base) } else { Err(wrong()) }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a key would go over the network for everybody to read.
pub fn is_in_the_clear(url: &str) -> bool {
    base(url).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
}

fn retry_after(response: &Response) -> Option<u64> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}
