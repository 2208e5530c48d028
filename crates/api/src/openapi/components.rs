//! What operations refer to: shapes, refusals, header fields, and ways to say who is asking.

use super::{answers, codes};
use crate::route::{Answers, Route, Shape, Takes};
use postfleet_schema::error::ErrorEnvelope;
use std::collections::BTreeMap;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, ComponentsBuilder, RefOr, Schema};

/// Everything that operations refer to.
pub(super) fn components(routes: &[Route]) -> Components {
    let mut components = ComponentsBuilder::new().schemas_from_iter(shapes(routes));
    for (name, response) in answers::refusals() {
        components = components.response(name, response);
    }
    for (name, scheme) in security_schemes() {
        components = components.security_scheme(name, scheme);
    }
    let mut components = components.build();
    components.headers = answers::headers().map(|(name, header)| (name.to_owned(), RefOr::T(header))).collect();
    if let Some(RefOr::T(Schema::Object(error))) = components.schemas.get_mut("ErrorBody")
        && let Some(RefOr::T(Schema::Object(code))) = error.properties.get_mut("code")
    {
        code.enum_values = Some(codes::all().into_iter().map(|code| code.name.into()).collect());
    }
    components
}

type Shapes = Vec<(String, RefOr<Schema>)>;

/// All shapes that routes take and answer, and those in them, by name.
fn shapes(routes: &[Route]) -> BTreeMap<String, RefOr<Schema>> {
    let (taken, mut answered) = (taken(routes), answered(routes));
    let is_taken = |name: &str| taken.iter().any(|(taken, _)| taken == name);
    answered.iter_mut().filter(|(name, _)| !is_taken(name)).for_each(|(_, shape)| always_there(shape));
    let mut shapes: BTreeMap<_, _> = answered.into_iter().chain(taken).collect();
    shapes.values_mut().for_each(describe_nullable);
    shapes
}

/// The text of a field that may be null and refers to another shape stands inside of its alternatives: it is moved to
/// the field, where all others are.
fn describe_nullable(shape: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = shape else { return };
    for property in object.properties.values_mut() {
        let RefOr::T(Schema::OneOf(one)) = property else { continue };
        for item in &mut one.items {
            if let RefOr::Ref(reference) = item
                && one.description.is_none()
                && !reference.description.is_empty()
            {
                one.description = Some(std::mem::take(&mut reference.description));
            }
        }
    }
}

/// In an answer a field that may be null is always there. One that may be absent instead is marked with
/// `#[schema(nullable = false)]`.
fn always_there(shape: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = shape else { return };
    let nullable = object.properties.iter().filter(|(_, property)| is_nullable(property)).map(|(name, _)| name.clone());
    let missing: Vec<_> = nullable.filter(|name| !object.required.contains(name)).collect();
    object.required.extend(missing);
}

fn is_nullable(schema: &RefOr<Schema>) -> bool {
    let RefOr::T(schema) = schema else { return false };
    let has_null = |kind: &SchemaType| match kind {
        SchemaType::Type(kind) => *kind == Type::Null,
        SchemaType::Array(kinds) => kinds.contains(&Type::Null),
        SchemaType::AnyValue => false,
    };
    match schema {
        Schema::Object(object) => has_null(&object.schema_type),
        Schema::Array(array) => has_null(&array.schema_type),
        Schema::OneOf(one) => one.items.iter().any(is_nullable),
        Schema::AnyOf(any) => any.items.iter().any(is_nullable),
        _ => false,
    }
}

/// What routes answer, with repeats.
pub(super) fn answered(routes: &[Route]) -> Shapes {
    let answers = routes.iter().flat_map(|route| std::iter::once(&route.answer).chain(&route.also));
    let refused = routes.iter().filter_map(|route| route.refusal);
    let answered = answers.filter_map(|answer| match answer {
        Answers::Single(_, shape) | Answers::Bare(_, shape) => Some(*shape),
        Answers::Page(shape) | Answers::NestedPage(shape) | Answers::OffsetPage(shape) => Some(*shape),
        Answers::Done | Answers::File(..) | Answers::Nothing(_) | Answers::Redirect => None,
    });
    with_parts(answered.chain(refused).chain([Shape::of::<ErrorEnvelope>()]))
}

/// What routes take, with repeats.
pub(super) fn taken(routes: &[Route]) -> Shapes {
    with_parts(routes.iter().filter_map(|route| match route.body? {
        Takes::Json(shape) | Takes::Message(shape) | Takes::Form(shape) => Some(shape),
        Takes::Text => None,
    }))
}

fn with_parts(shapes: impl Iterator<Item = Shape>) -> Shapes {
    let mut all = Vec::new();
    for shape in shapes {
        all.push(((shape.name)().into_owned(), (shape.schema)()));
        (shape.parts)(&mut all);
    }
    all
}

fn security_schemes() -> impl Iterator<Item = (&'static str, SecurityScheme)> {
    let bearer = |text: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text));
        SecurityScheme::Http(scheme.build())
    };
    let header =
        |name: &str, text: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, text)));
    [
        ("applicationKey", bearer("The key of an application: `pf_live_…` or `pf_test_…`.")),
        ("operatorKey", bearer("The key of an organization's operator: `pf_op_…`.")),
        ("accessToken", bearer("A token for one mailbox, from `POST /v3/connect/token`.")),
        ("serviceAccountId", header("X-Nylas-Kid", "The id of a service account's key.")),
        ("serviceAccountTimestamp", header("X-Nylas-Timestamp", "Unix seconds, at most 5 minutes from now.")),
        ("serviceAccountNonce", header("X-Nylas-Nonce", "A text that no other request of the account has.")),
        (
            "serviceAccountSignature",
            header(
                "X-Nylas-Signature",
                "The signature (RSA PKCS#1 v1.5 with SHA-256, in base64) of the canonical JSON of method, nonce, path, \
                 payload and timestamp.",
            ),
        ),
    ]
    .into_iter()
}
