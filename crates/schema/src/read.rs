//! Reading the JSON of a request, with errors that name the field and the limit.

use crate::depth;
use postfleet_core::{Problem, ProblemKind};
use serde::de::DeserializeOwned;

pub use depth::LEVELS_MAX;

/// Reads an object.
pub fn read<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Problem> {
    // A list would be read as the values of the fields in their order.
    if octets.trim_ascii_start().starts_with(b"[") {
        return Err(unreadable(&"it must be an object"));
    }
    depth::check(octets)?;
    let mut deserializer = serde_json::Deserializer::from_slice(octets);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(wrong)?;
    // Something after the value is no JSON either.
    deserializer.end().map_err(|error| unreadable(&error))?;
    Ok(value)
}

/// Reads an object that was looked at as JSON first.
pub fn typed<T: DeserializeOwned>(body: serde_json::Map<String, serde_json::Value>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(serde_json::Value::Object(body)).map_err(wrong)
}

/// The value at some place is wrong.
fn wrong(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = error.path();
    if path.iter().next().is_none() {
        // Of the object as a whole only this is said of one field, and only in words.
        let text = error.inner().to_string();
        let field = text.strip_prefix("missing field `").and_then(|text| text.split('`').next());
        let named = field.map(|field| Problem::invalid(field, format!("error parsing request body: {text}")));
        return named.unwrap_or_else(|| unreadable(error.inner()));
    }
    Problem::invalid(&path.to_string(), format!("error parsing request body: {path}: {}", error.inner()))
}

/// The body as a whole is wrong: there is no field to name.
fn unreadable(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::Invalid, "invalid_request", format!("error parsing request body: {why}"))
}
