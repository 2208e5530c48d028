//! What an operation answers: successes in their envelopes, and refusals, which all operations share.

use super::codes;
use super::operation::reference;
use crate::route::{Answers, Needs, Route, Shape};
use std::collections::BTreeMap;
use utoipa::openapi::schema::{AnyOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{
    ArrayBuilder, ContentBuilder, Header, HeaderBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Response,
    ResponseBuilder, Responses, ResponsesBuilder, Schema,
};

/// Refusals by status: the name of the shared response and what it means.
const REFUSALS: &[(u16, &str, &str)] = &[
    (400, "BadRequest", "The request is wrong; `error.field` names the field, if one is."),
    (401, "Unauthorized", "There is no valid key."),
    (403, "Forbidden", "A valid key that may not do this, or a plan that does not allow it."),
    (404, "NotFound", "No such thing for this caller; what belongs to another application looks the same."),
    (409, "Conflict", "It contradicts something that exists."),
    (413, "TooLarge", "The body is over its limit."),
    (429, "TooManyRequests", "An allowance is used up, or too much was asked in too short a time."),
    (500, "InternalError", "A fault of the server; its log has the cause under the request's id."),
    (503, "Unavailable", "Something that is needed does not work just now."),
];

/// Header fields of answers: their names, what they say, and whether they are numbers.
const HEADERS: &[(&str, &str, bool)] = &[
    ("X-Request-Id", "The id of the request; also in `X-Fastly-Id`, where the Node client looks for it.", false),
    ("Retry-After", "Seconds after which the request is worth repeating.", true),
    ("RateLimit-Limit", "The allowance, if the mailbox has one.", true),
    ("RateLimit-Remaining", "What is left of it.", true),
    ("RateLimit-Reset", "Seconds until it is whole again.", true),
    ("Idempotent-Response", "`true`: the answer that was given to the first request under the key.", false),
    ("Duplicate-Of", "The id of the message that was sent a moment ago, so that it was not sent again.", false),
    ("Content-Disposition", "That it is a file to be saved, and its name.", false),
    ("Content-Range", "Which part of it this is.", false),
    ("Location", "Where to go.", false),
];

const RATE_LIMIT: &[&str] = &["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];

/// All answers of a route.
pub(super) fn responses(route: &Route) -> Responses {
    let mut successes: BTreeMap<u16, Vec<Answers>> = BTreeMap::new();
    for answer in std::iter::once(&route.answer).chain(&route.also) {
        successes.entry(status(*answer)).or_default().push(*answer);
    }
    let mut responses = ResponsesBuilder::new();
    for (status, name, meaning) in REFUSALS.iter().filter(|(status, ..)| may_refuse(route, *status)) {
        responses = match route.refusal {
            None => responses.response(status.to_string(), Ref::from_response_name(*name)),
            Some(own) => responses.response(status.to_string(), refusal(*status, meaning, Some(own))),
        };
    }
    for (status, answers) in successes {
        responses = responses.response(status.to_string(), success(route, status, &answers));
    }
    responses.build()
}

fn status(answer: Answers) -> u16 {
    match answer {
        Answers::Single(status, _) | Answers::Bare(status, _) | Answers::File(status, _) | Answers::Nothing(status) => {
            status
        }
        Answers::Page(_) | Answers::NestedPage(_) | Answers::OffsetPage(_) | Answers::Done => 200,
        Answers::Redirect => 302,
    }
}

fn may_refuse(route: &Route, status: u16) -> bool {
    let is_v3 = route.path.starts_with("/v3/");
    let has_key = route.needs != Needs::Nothing;
    match status {
        404 => route.path.contains('{') || (is_v3 && !has_key),
        409 => is_v3 && route.method != "GET",
        413 => route.body.is_some(),
        500 => is_v3 || route.path == "/openapi.json" || route.path == "/reference",
        _ => is_v3,
    }
}

fn success(route: &Route, status: u16, answers: &[Answers]) -> Response {
    let mut headers = vec!["X-Request-Id"];
    if route.path.ends_with("/messages/send") {
        headers.extend(RATE_LIMIT);
        headers.push("Duplicate-Of");
    }
    headers.extend(route.is_keyed.then_some("Idempotent-Response"));
    let schemas: Vec<_> = answers.iter().filter_map(|answer| json(*answer)).collect();
    let mut response = ResponseBuilder::new().description(meaning(status, answers));
    for answer in answers {
        match answer {
            Answers::File(_, media_type) => {
                let content = if *media_type == "application/json" { Type::Object } else { Type::String };
                let schema = ObjectBuilder::new().schema_type(content);
                response = response.content(*media_type, ContentBuilder::new().schema(Some(schema)).build());
                headers.extend((*media_type == "application/octet-stream").then_some("Content-Disposition"));
                headers.extend((status == 206).then_some("Content-Range"));
            }
            Answers::Redirect => headers.push("Location"),
            _ => {}
        }
    }
    // A refusal that is a page comes from the handler; what is refused before it has the error envelope.
    if status >= 400 && schemas.is_empty() && route.path.starts_with("/v3/") {
        let envelope = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorEnvelope"))).build();
        response = response.content("application/json", envelope);
    }
    if !schemas.is_empty() {
        response = response.content("application/json", ContentBuilder::new().schema(one_of(schemas)).build());
    }
    with_headers(response.build(), &headers)
}

fn meaning(status: u16, answers: &[Answers]) -> &'static str {
    match (status, answers.first()) {
        (201, _) => "It was made.",
        (200, Some(Answers::Page(_) | Answers::NestedPage(_) | Answers::OffsetPage(_))) => "A page of the list.",
        (200, Some(Answers::Done)) => "It is done.",
        (200, Some(Answers::File(..))) => "Its content.",
        (200, _) => "The object.",
        (202, _) => "It was accepted and goes on.",
        (206, _) => "The part of it that was asked for.",
        (304, _) => "The client has it already.",
        (302, _) => "Go to the place in `Location`.",
        (400.., _) => "It is refused, or cannot be done now; the body says why.",
        _ => "It is done.",
    }
}

fn one_of(mut schemas: Vec<RefOr<Schema>>) -> Option<RefOr<Schema>> {
    if schemas.len() < 2 {
        return schemas.pop();
    }
    let any = schemas.into_iter().fold(AnyOfBuilder::new(), |any, schema| any.item(schema));
    Some(RefOr::T(Schema::AnyOf(any.build())))
}

/// The JSON of an answer, if it is JSON of a known shape.
fn json(answer: Answers) -> Option<RefOr<Schema>> {
    let page = |shape| ArrayBuilder::new().items(reference(shape)).description(Some("The items."));
    let envelope = match answer {
        Answers::Bare(_, shape) => return Some(reference(shape).into()),
        Answers::File(..) | Answers::Nothing(_) | Answers::Redirect => return None,
        Answers::Done => envelope(),
        Answers::Single(_, shape) => envelope().property("data", of_object(shape)).required("data"),
        Answers::Page(shape) => {
            envelope().property("data", page(shape)).required("data").property("next_cursor", next())
        }
        Answers::NestedPage(shape) => {
            let nested =
                ObjectBuilder::new().schema_type(Type::Object).property("items", page(shape)).required("items");
            let nested = nested.property("next_cursor", next()).description(Some("The page."));
            envelope().property("data", nested).required("data").property("next_cursor", next())
        }
        Answers::OffsetPage(shape) => envelope()
            .property("data", page(shape))
            .required("data")
            .property("limit", number("How many were asked for."))
            .required("limit")
            .property("offset", number("How many were skipped."))
            .required("offset"),
    };
    Some(envelope.into())
}

fn next() -> ObjectBuilder {
    text("Where the next page starts, for `page_token`; absent on the last one.")
}

fn envelope() -> ObjectBuilder {
    let id = text("The id of the request, also in `X-Request-Id`.");
    ObjectBuilder::new().schema_type(Type::Object).property("request_id", id).required("request_id")
}

fn of_object(shape: Shape) -> Ref {
    let mut object = reference(shape);
    object.description = "The object.".to_owned();
    object
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn number(description: &str) -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    let number = ObjectBuilder::new().schema_type(Type::Integer).format(Some(format));
    number.minimum(Some(0)).description(Some(description))
}

/// The refusals that all operations share, by name. Each lists the words for programs that go with it.
pub(super) fn refusals() -> impl Iterator<Item = (&'static str, Response)> {
    REFUSALS.iter().map(|(status, name, meaning)| {
        let codes = codes::with_status(*status).into_iter().map(|code| format!("- `{}`: {}", code.name, code.text));
        let description = format!("{meaning}\n\n{}", codes.collect::<Vec<_>>().join("\n"));
        (*name, refusal(*status, &description, None))
    })
}

/// A refusal in the error envelope, or also in a shape of its own.
fn refusal(status: u16, description: &str, own: Option<Shape>) -> Response {
    let envelope = RefOr::Ref(Ref::from_schema_name("ErrorEnvelope"));
    let schemas = own.map(|own| reference(own).into()).into_iter().chain([envelope]);
    let content = ContentBuilder::new().schema(one_of(schemas.collect())).build();
    let response = ResponseBuilder::new().description(description).content("application/json", content).build();
    let mut headers = vec!["X-Request-Id"];
    match status {
        429 => headers.extend(["Retry-After"].iter().chain(RATE_LIMIT)),
        503 => headers.push("Retry-After"),
        _ => {}
    }
    with_headers(response, &headers)
}

fn with_headers(mut response: Response, names: &[&str]) -> Response {
    let reference = |name: &&str| ((*name).to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))));
    response.headers = names.iter().map(reference).collect();
    response
}

/// The header fields that answers refer to.
pub(super) fn headers() -> impl Iterator<Item = (&'static str, Header)> {
    HEADERS.iter().map(|(name, meaning, is_number)| {
        let kind = if *is_number { Type::Integer } else { Type::String };
        let schema = ObjectBuilder::new().schema_type(kind);
        (*name, HeaderBuilder::new().schema(Some(schema)).description(Some(*meaning)).build())
    })
}
