//! The document is sound by itself: names mean one thing each.

use super::*;
use utoipa::openapi::{RefOr, Schema};

fn repeated(shapes: Vec<(String, RefOr<Schema>)>) -> Vec<String> {
    let mut seen = std::collections::BTreeMap::new();
    let differs = |(name, shape): &(String, RefOr<Schema>)| {
        let text = serde_json::to_string(shape).expect("JSON");
        seen.insert(name.clone(), text.clone()).is_some_and(|before| before != text)
    };
    shapes.into_iter().filter(differs).map(|(name, _)| name).collect()
}

#[test]
fn a_shapes_name_means_one_shape() {
    let routes = routes::all();
    let shapes = [components::answered(&routes), components::taken(&routes)].concat();
    assert_eq!(repeated(shapes), [""; 0], "two shapes of this name: rename one, or give it #[schema(as = …)]");
}

#[test]
fn two_shapes_of_one_name_are_found() {
    let shape = |kind| ("Thing".to_owned(), RefOr::T(utoipa::openapi::ObjectBuilder::new().schema_type(kind).into()));
    let (text, flag) = (utoipa::openapi::Type::String, utoipa::openapi::Type::Boolean);
    assert_eq!(repeated(vec![shape(text.clone()), shape(flag)]), ["Thing"]);
    assert_eq!(repeated(vec![shape(text.clone()), shape(text)]), [""; 0]);
}

#[test]
fn the_words_for_programs_are_found_in_their_document() {
    let codes = codes::all();
    assert!(codes.len() > 15, "{} codes are found in docs/reference/errors.md", codes.len());
    for status in [400, 401, 403, 404, 409, 413, 429, 500, 503] {
        assert!(!codes::with_status(status).is_empty(), "no code goes with {status}");
    }
}
