//! Bodies of requests: what `--data` gives, with what flags say on top.

use crate::failure::Failure;
use crate::session::Session;
use serde_json::{Map, Value, json};

/// A body in the interface's own words.
#[derive(clap::Args)]
pub struct Data {
    /// The request's body as JSON; other flags are put on top of it
    #[arg(long, value_name = "JSON", conflicts_with = "data_file")]
    data: Option<String>,
    /// A file with the request's body; - is the standard input
    #[arg(long, value_name = "FILE")]
    data_file: Option<String>,
}

impl Data {
    /// The object that was given, or an empty one.
    pub fn body(&self, session: &mut Session<'_, '_>) -> Result<Map<String, Value>, Failure> {
        let (text, name) = match (&self.data, &self.data_file) {
            (Some(text), _) => (text.clone(), "--data"),
            (None, Some(path)) => (session.read(path)?, path.as_str()),
            (None, None) => return Ok(Map::new()),
        };
        match serde_json::from_str(&text) {
            Ok(Value::Object(body)) => Ok(body),
            Ok(_) => Err(Failure::Usage(format!("{name} must be a JSON object"))),
            Err(error) => Err(Failure::Usage(format!("{name} is not JSON: {error}"))),
        }
    }
}

/// Puts a text that may be taken away: an empty one says null.
pub fn put_or_clear(body: &mut Map<String, Value>, field: &str, value: Option<&str>) {
    if let Some(value) = value {
        body.insert(field.to_owned(), if value.is_empty() { Value::Null } else { json!(value) });
    }
}

/// Puts a value that is there.
pub fn put<V: serde::Serialize>(body: &mut Map<String, Value>, field: &str, value: Option<V>) {
    if let Some(value) = value {
        body.insert(field.to_owned(), json!(value));
    }
}

/// Refuses a request that would change nothing.
pub fn not_empty(body: Map<String, Value>) -> Result<Value, Failure> {
    if body.is_empty() {
        return Err(Failure::Usage("nothing to change: give at least one flag (--help shows them)".to_owned()));
    }
    Ok(Value::Object(body))
}
