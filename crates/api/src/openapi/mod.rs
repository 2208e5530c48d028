//! The OpenAPI document, made from the table of routes and the types of the schema crate, and the page that shows it.
//! Nothing is written twice: what is not in the table or in a doc comment of a field is not in the document.

mod answers;
mod codes;
mod components;
mod operation;
pub(crate) mod page;
mod parameters;
mod tags;
#[cfg(test)]
mod tests;

use crate::route::Route;
use crate::routes;
use postfleet_core::permission;
use serde_json::Value;
use utoipa::openapi::path::{PathItemBuilder, PathsBuilder};
use utoipa::openapi::{Info, InfoBuilder, OpenApi, OpenApiBuilder, Server};

/// What holds for every operation. Paragraphs, lists with `- `, and words in backticks: the page shows no more than that.
const CONVENTIONS: &str = include_str!("conventions.md");

/// The OpenAPI document as JSON.
pub fn document() -> Value {
    serde_json::to_value(of(&routes::all())).unwrap_or_default()
}

/// The document of some routes.
fn of(routes: &[Route]) -> OpenApi {
    let mut paths = PathsBuilder::new();
    // One path after another: routes of the same path are joined by the builder.
    for route in routes {
        let item = PathItemBuilder::new().operation(operation::method(route), operation::operation(route));
        paths = paths.path(route.path, item.build());
    }
    OpenApiBuilder::new()
        .info(info())
        .servers(Some([Server::new("/")]))
        .tags(Some(tags::used(routes)))
        .paths(paths)
        .components(Some(components::components(routes)))
        .build()
}

fn info() -> Info {
    let permissions = permission::ALL.iter().map(|(name, text)| format!("- `{name}`: {text}"));
    let permissions = permissions.collect::<Vec<_>>().join("\n");
    InfoBuilder::new()
        .title("postfleet")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(CONVENTIONS.replace("{permissions}", &permissions)))
        .build()
}
