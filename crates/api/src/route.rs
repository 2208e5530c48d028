//! One route: where it leads, what it needs, and what documents and clients are told about it. The table of all routes
//! (`routes::all`) makes the router, the OpenAPI document and the tests that hold for every route.

use crate::call::{Ends, Opened, handler};
use crate::respond::Answer;
use crate::router::Interface;
use axum::routing::{self, MethodRouter};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// A route and its description.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) run: MethodRouter<Arc<Interface>>,
    /// Who may call it.
    pub(crate) needs: Needs,
    /// A line for people.
    pub(crate) summary: &'static str,
    /// More for people; may be empty.
    pub(crate) details: &'static str,
    pub(crate) query: &'static [Parameter],
    pub(crate) body: Option<Takes>,
    pub(crate) answer: Answers,
    /// What else an answer may look like.
    pub(crate) also: Vec<Answers>,
    /// The shape of refusals that is not the error envelope, which they may be all the same.
    pub(crate) refusal: Option<Shape>,
    /// Whether it takes an `Idempotency-Key`.
    pub(crate) is_keyed: bool,
    /// Whether it waits for something to happen, unless it is asked with `timeout=0`.
    pub(crate) waits: bool,
}

/// What a body is.
#[derive(Clone, Copy)]
pub(crate) enum Takes {
    Json(Shape),
    /// A message: JSON, or a form whose part `message` has the same JSON and whose other parts are files.
    Message(Shape),
    /// The fields of a form, `application/x-www-form-urlencoded`.
    Form(Shape),
    /// A text with one value in each line, `text/plain` or `text/csv`.
    Text,
}

/// Whose credential a route wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// That of an application, with this permission.
    Application(&'static str),
    /// That of an organization's operator, with this permission.
    Organization(&'static str),
    /// None, or one that the route checks itself.
    Nothing,
}

/// A parameter of the query string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) text: &'static str,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    /// A whole number between two bounds.
    Integer(i64, i64),
    Flag,
    OneOf(&'static [&'static str]),
    /// Several, repeated or separated by commas.
    List,
}

impl Parameter {
    pub(crate) const fn new(name: &'static str, kind: Kind, text: &'static str) -> Self {
        Self { name, kind, text }
    }
}

/// A type of the schema crate, ready to be described.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: fn() -> std::borrow::Cow<'static, str>,
    pub(crate) schema: fn() -> RefOr<Schema>,
    /// Those of the types in it.
    pub(crate) parts: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    pub(crate) fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: T::schema, parts: T::schemas }
    }
}

/// What a success looks like.
#[derive(Clone, Copy)]
pub(crate) enum Answers {
    /// `{"request_id", "data": {…}}` with this status.
    Single(u16, Shape),
    /// `{"request_id", "data": […], "next_cursor"?}`.
    Page(Shape),
    /// `{"request_id", "data": {"items": […], "next_cursor"?}, "next_cursor"?}`.
    NestedPage(Shape),
    /// `{"request_id", "data": […], "limit", "offset"}`.
    OffsetPage(Shape),
    /// `{"request_id"}`.
    Done,
    /// JSON without an envelope, with this status.
    Bare(u16, Shape),
    /// Something else with this status, of this media type.
    File(u16, &'static str),
    /// No body, with this status.
    Nothing(u16),
    /// 302 to another place.
    Redirect,
}

impl Route {
    fn new<C, F, R>(method: &'static str, path: &'static str, permission: &'static str, run: F) -> Self
    where
        C: Opened,
        F: Fn(C) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        // Who may only read with his key changes nothing that would have to be brought to its end.
        let reads = method == "GET" && C::needs(permission) != Needs::Nothing;
        Self::ending(if reads { Ends::WithClient } else { Ends::Always }, method, path, permission, run)
    }

    fn ending<C, F, R>(ends: Ends, method: &'static str, path: &'static str, permission: &'static str, run: F) -> Self
    where
        C: Opened,
        F: Fn(C) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        let (needs, run) = (C::needs(permission), handler(permission, run, ends));
        let run = match method {
            "GET" => routing::get(run),
            "POST" => routing::post(run),
            "PUT" => routing::put(run),
            "PATCH" => routing::patch(run),
            _ => routing::delete(run),
        };
        Self { method, needs, ..Self::of_the_node(path, run) }
    }

    /// A GET route that answers for the node itself: no key, no log of problems, no envelope.
    pub(crate) fn of_the_node(path: &'static str, run: MethodRouter<Arc<Interface>>) -> Self {
        let (summary, details, query, body) = ("", "", [].as_slice(), None);
        let (needs, answer, also, refusal) = (Needs::Nothing, Answers::Done, Vec::new(), None);
        let (is_keyed, waits) = (false, false);
        Self { method: "GET", path, run, needs, summary, details, query, body, answer, also, refusal, is_keyed, waits }
    }

    /// A GET route that waits for something to happen; it ends when its client goes away.
    pub(crate) fn waiting<C, F, R>(path: &'static str, permission: &'static str, run: F) -> Self
    where
        C: Opened,
        F: Fn(C) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        Self { waits: true, ..Self::ending(Ends::WithClient, "GET", path, permission, run) }
    }

    pub(crate) fn get<C, F, R>(path: &'static str, permission: &'static str, run: F) -> Self
    where
        C: Opened,
        F: Fn(C) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        Self::new("GET", path, permission, run)
    }

    pub(crate) fn post<C, F, R>(path: &'static str, permission: &'static str, run: F) -> Self
    where
        C: Opened,
        F: Fn(C) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        Self::new("POST", path, permission, run)
    }

    pub(crate) fn put<C, F, R>(path: &'static str, permission: &'static str, run: F) -> Self
    where
        C: Opened,
        F: Fn(C) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        Self::new("PUT", path, permission, run)
    }

    pub(crate) fn patch<C, F, R>(path: &'static str, permission: &'static str, run: F) -> Self
    where
        C: Opened,
        F: Fn(C) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        Self::new("PATCH", path, permission, run)
    }

    pub(crate) fn delete<C, F, R>(path: &'static str, permission: &'static str, run: F) -> Self
    where
        C: Opened,
        F: Fn(C) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        Self::new("DELETE", path, permission, run)
    }

    /// Says what it is for.
    pub(crate) fn about(self, summary: &'static str, details: &'static str) -> Self {
        Self { summary, details, ..self }
    }

    /// Says which query parameters it reads.
    pub(crate) fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    /// Says that it takes an `Idempotency-Key`: see `crate::idempotency`.
    pub(crate) fn keyed(self) -> Self {
        Self { is_keyed: true, ..self }
    }

    /// Says which JSON it takes.
    pub(crate) fn takes<T: ToSchema>(self) -> Self {
        Self { body: Some(Takes::Json(Shape::of::<T>())), ..self }
    }

    /// Says which message it takes, as JSON or as a form with files.
    pub(crate) fn takes_message<T: ToSchema>(self) -> Self {
        Self { body: Some(Takes::Message(Shape::of::<T>())), ..self }
    }

    /// Says which form it takes.
    pub(crate) fn takes_form<T: ToSchema>(self) -> Self {
        Self { body: Some(Takes::Form(Shape::of::<T>())), ..self }
    }

    /// Says that it takes a text.
    pub(crate) fn takes_text(self) -> Self {
        Self { body: Some(Takes::Text), ..self }
    }

    /// Answers one object with 200.
    pub(crate) fn answers<T: ToSchema>(self) -> Self {
        Self { answer: Answers::Single(200, Shape::of::<T>()), ..self }
    }

    /// Answers one object with 201.
    pub(crate) fn creates<T: ToSchema>(self) -> Self {
        Self { answer: Answers::Single(201, Shape::of::<T>()), ..self }
    }

    /// Answers a page that is continued by a cursor.
    pub(crate) fn lists<T: ToSchema>(self) -> Self {
        Self { answer: Answers::Page(Shape::of::<T>()), ..self }
    }

    /// Answers a page that is continued by a cursor, with its items one step further in.
    pub(crate) fn lists_nested<T: ToSchema>(self) -> Self {
        Self { answer: Answers::NestedPage(Shape::of::<T>()), ..self }
    }

    /// Answers a page that is continued by an offset.
    pub(crate) fn lists_by_offset<T: ToSchema>(self) -> Self {
        Self { answer: Answers::OffsetPage(Shape::of::<T>()), ..self }
    }

    /// Answers JSON without an envelope.
    pub(crate) fn answers_bare<T: ToSchema>(self) -> Self {
        Self { answer: Answers::Bare(200, Shape::of::<T>()), ..self }
    }

    /// Answers with the way to another place.
    pub(crate) fn redirects(self) -> Self {
        Self { answer: Answers::Redirect, ..self }
    }

    /// Answers something that is not JSON.
    pub(crate) fn answers_file(self, media_type: &'static str) -> Self {
        Self { answer: Answers::File(200, media_type), ..self }
    }

    /// Refuses in a shape of its own, as another standard has it.
    pub(crate) fn refuses_as<T: ToSchema>(self) -> Self {
        Self { refusal: Some(Shape::of::<T>()), ..self }
    }

    /// Answers in another way than with 200 or 201.
    pub(crate) fn answers_with(self, answer: Answers) -> Self {
        Self { answer, ..self }
    }

    /// May also answer this. It may be called several times.
    pub(crate) fn answers_also(mut self, answer: Answers) -> Self {
        self.also.push(answer);
        self
    }
}
