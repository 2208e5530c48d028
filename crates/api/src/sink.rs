//! A webhook receiver for trying things out: echoes the challenge and hands every notification over.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::routing::get;
use serde_json::Value;
use std::collections::HashMap;
use tokio::sync::mpsc::UnboundedSender;

/// The routes of a receiver: `GET` and `POST` on `/`.
pub fn router(notifications: UnboundedSender<Value>) -> Router {
    Router::new().route("/", get(challenge).post(notified)).with_state(notifications)
}

async fn challenge(Query(parameters): Query<HashMap<String, String>>) -> String {
    parameters.get("challenge").cloned().unwrap_or_default()
}

async fn notified(State(notifications): State<UnboundedSender<Value>>, body: Bytes) {
    // Nobody may be looking any more, which is no reason to refuse.
    drop(notifications.send(serde_json::from_slice(&body).unwrap_or(Value::Null)));
}
