//! What in a message is meant to deceive whoever reads it, a language model above all. Labels, never deletion.

use serde::{Deserialize, Serialize};

/// What was found in one message. Its default means that nothing was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Suspicion {
    /// Each finding, in the order of the text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// What it is, stable, in snake_case.
    pub kind: String,
    /// Why it was noticed, in a sentence.
    pub reason: String,
    /// The passage, cut to a bounded length.
    pub passage: String,
}
