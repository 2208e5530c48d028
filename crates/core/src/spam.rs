//! How much a message looks like spam, and why.

use serde::{Deserialize, Serialize};

/// What was made of a message by one mailbox's policy. Its default means that nothing was looked at.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpamVerdict {
    /// The sum of what speaks for it and against it; higher is worse.
    pub score: f64,
    /// From which score on it is spam; 0 if nothing was looked at.
    pub threshold: f64,
    /// Whether it is.
    pub is_spam: bool,
    /// What made the score, the weightiest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<SpamReason>,
}

/// One thing that speaks for or against it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpamReason {
    /// Its name, stable, in snake_case.
    pub name: String,
    /// What it adds to the score; below zero it speaks against spam.
    pub score: f64,
    /// What was seen, in a sentence.
    pub text: String,
}
