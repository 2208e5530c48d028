//! One operation of the document from one route.

use super::{answers, parameters, tags};
use crate::route::{Answers, Needs, Route, Shape, Takes};
use crate::select;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{ContentBuilder, HttpMethod, ObjectBuilder, Ref, Required, SecurityRequirement};

/// The operation of a route.
pub(super) fn operation(route: &Route) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(id(route.method, route.path)))
        .tag(tags::of(route))
        .summary(Some(route.summary))
        .description(Some(description(route)))
        .parameters(Some(all_parameters(route)))
        .request_body(route.body.map(body))
        .responses(answers::responses(route))
        .securities(Some(securities(route)));
    if let Needs::Application(permission) | Needs::Organization(permission) = route.needs {
        operation = operation.extensions(Some(ExtensionsBuilder::new().add("x-permission", permission).build()));
    }
    operation.build()
}

pub(super) fn method(route: &Route) -> HttpMethod {
    match route.method {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        _ => HttpMethod::Delete,
    }
}

/// A name for generated clients, which stays as long as method and path do.
fn id(method: &str, path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.is_empty() && *segment != "v3");
    let words = segments.map(|segment| segment.trim_matches(['{', '}']).replace(['-', '.'], "_"));
    std::iter::once(method.to_ascii_lowercase()).chain(words).collect::<Vec<_>>().join("_")
}

fn description(route: &Route) -> String {
    let needs = match route.needs {
        Needs::Application(permission) => format!("Needs an application's key with the permission `{permission}`."),
        Needs::Organization(permission) => format!("Needs an operator's key with the permission `{permission}`."),
        Needs::Nothing => "Needs no key.".to_owned(),
    };
    if route.details.is_empty() { needs } else { format!("{}\n\n{needs}", route.details) }
}

fn all_parameters(route: &Route) -> Vec<Parameter> {
    let open = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let select = is_selectable(route).then_some(&parameters::SELECT);
    let named = route.query.iter().filter(|parameter| parameter.name != parameters::SELECT.name);
    let key = route.is_keyed.then(parameters::idempotency_key);
    open.map(parameters::of_path).chain(named.chain(select).map(parameters::of_query)).chain(key).collect()
}

/// Whether `select` means something: an answer to a route that reads, with objects in `data`.
fn is_selectable(route: &Route) -> bool {
    let has_data = !matches!(route.answer, Answers::Done | Answers::Bare(..) | Answers::File(..) | Answers::Redirect);
    select::is_for(route.method, route.path) && has_data
}

fn body(takes: Takes) -> RequestBody {
    let shaped = |shape| ContentBuilder::new().schema(Some(reference(shape))).build();
    let text = || ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build();
    let body = RequestBodyBuilder::new().required(Some(Required::True));
    match takes {
        Takes::Json(shape) => body.content("application/json", shaped(shape)),
        Takes::Message(shape) => {
            let form = ContentBuilder::new().schema(Some(message_form(shape))).build();
            body.content("application/json", shaped(shape)).content("multipart/form-data", form)
        }
        Takes::Form(shape) => body.content("application/x-www-form-urlencoded", shaped(shape)),
        Takes::Text => body.content("text/plain", text()).content("text/csv", text()),
    }
    .build()
}

/// A form with a message and files, or with raw MIME.
fn message_form(shape: Shape) -> ObjectBuilder {
    let octets =
        || ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
    let mut message = reference(shape);
    message.description = "The message as JSON.".to_owned();
    ObjectBuilder::new()
        .property("message", message)
        .property("mime", octets().description(Some("The message in RFC 5322 form, with `type=mime`.")))
        .additional_properties(Some(octets().description(Some("A file."))))
}

pub(super) fn reference(shape: Shape) -> Ref {
    Ref::from_schema_name((shape.name)())
}

fn securities(route: &Route) -> Vec<SecurityRequirement> {
    const NO_SCOPES: [&str; 0] = [];
    match route.needs {
        Needs::Application(_) => {
            let token = SecurityRequirement::new("accessToken", NO_SCOPES);
            let key = SecurityRequirement::new("applicationKey", NO_SCOPES);
            if route.path.contains("{grant}") { vec![key, token] } else { vec![key] }
        }
        Needs::Organization(_) => vec![
            SecurityRequirement::new("operatorKey", NO_SCOPES),
            SecurityRequirement::new("serviceAccountId", NO_SCOPES)
                .add("serviceAccountTimestamp", NO_SCOPES)
                .add("serviceAccountNonce", NO_SCOPES)
                .add("serviceAccountSignature", NO_SCOPES),
        ],
        Needs::Nothing => Vec::new(),
    }
}
