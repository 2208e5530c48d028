//! Parameters of paths and queries. A name in a path means the same everywhere, so it is described once, here.

use crate::route::{Kind, Parameter as Described};
use postfleet_core::idempotency::KEY_CHARS_MAX;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{SchemaFormat, Type};
use utoipa::openapi::{ArrayBuilder, KnownFormat, ObjectBuilder, Required, Schema};

/// What may stand in a path, by name.
const PATH: &[(&str, &str)] = &[
    ("account", "The service account's id."),
    ("address", "The address, percent-encoded where a path needs it; in any case."),
    ("alert", "The alert's id."),
    ("alert_rule", "The alert rule's id."),
    ("application", "The application's id."),
    ("attachment", "The attachment's id, as its message shows it."),
    ("destination", "The domain of recipients."),
    ("domain", "The domain's id, or its name."),
    ("draft", "The draft's id."),
    ("event", "The id of what happened: 64 hexadecimal digits."),
    ("folder", "The folder's id or its name; a system folder's is its lower-case word, such as `inbox`."),
    (
        "grant",
        "The mailbox: its id, its address, `grant:` and its id, or `email:` and its address, percent-encoded; `me` with \
         an access token.",
    ),
    ("job", "The job's id."),
    ("key", "The key's id."),
    ("list", "The list's id."),
    ("log_event", "The event's id, as notifications have it."),
    ("message", "The message's id."),
    ("opt_in", "The opt-in's id."),
    ("organization", "The organization's id."),
    ("parked", "The id of the parked send."),
    ("policy", "The policy's id."),
    ("pool", "The id of the pool of senders."),
    ("provider", "The connector's provider."),
    ("raise", "The raise's id."),
    ("recovery", "The recovery's id."),
    ("report", "The report's id."),
    ("signature", "The signature's id."),
    ("stop", "The stop's id."),
    ("grant_template", "The id of the mailbox's template."),
    ("template", "The id of the application's template."),
    ("restriction", "The restriction's id: that of a stop of this kind."),
    ("redirect_uri", "The redirect URI's id."),
    ("route", "The route's id."),
    ("rule", "The rule's id."),
    ("hold", "The id of the held send."),
    ("schedule", "The id of the scheduled send."),
    ("import", "The id of the import."),
    ("thread", "The thread's id."),
    ("token", "What the link of a message says."),
    ("upload", "The id of an upload session."),
    ("replay", "The replay's id."),
    ("webhook", "The webhook's id."),
    ("webhook_attempt", "The number of the attempt."),
    ("workspace", "The workspace's id."),
];

/// The parameter that every GET with objects in its answer reads (`crate::select`).
pub(super) const SELECT: Described = Described::new(
    "select",
    Kind::List,
    "Fields to keep of each object in `data`, beside `id`, `grant_id` and `object`; all if absent. Unknown names are \
     ignored.",
);

/// A parameter of the path. One that is not in the table has no description, which a test refuses.
pub(super) fn of_path(name: &str) -> Parameter {
    let text = PATH.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
    let schema = ObjectBuilder::new().schema_type(Type::String);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(text))
        .schema(Some(schema))
        .build()
}

/// A parameter of the query.
pub(super) fn of_query(parameter: &Described) -> Parameter {
    let builder = ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(parameter.text))
        .schema(Some(schema(parameter.kind)));
    match parameter.kind {
        Kind::List => builder.style(Some(ParameterStyle::Form)).explode(Some(true)).build(),
        _ => builder.build(),
    }
}

/// The header field under which a request is carried out once.
pub(super) fn idempotency_key() -> Parameter {
    let text = "Any text, new for each thing that is to happen: for 24 hours, the same request under the same key is \
        answered as the first was, and nothing happens again.";
    let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(text))
        .schema(Some(schema.max_length(Some(KEY_CHARS_MAX))))
        .build()
}

fn schema(kind: Kind) -> Schema {
    let typed = |kind| ObjectBuilder::new().schema_type(kind);
    match kind {
        Kind::Text => typed(Type::String).into(),
        Kind::Flag => typed(Type::Boolean).into(),
        Kind::OneOf(words) => typed(Type::String).enum_values(Some(words.iter().copied())).into(),
        Kind::List => ArrayBuilder::new().items(typed(Type::String)).into(),
        Kind::Integer(min, max) => {
            // The ends of the type are no limits of ours.
            let (min, max) = ((min > i64::MIN).then_some(min as isize), (max < i64::MAX).then_some(max as isize));
            let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
            typed(Type::Integer).format(Some(format)).minimum(min).maximum(max).into()
        }
    }
}
