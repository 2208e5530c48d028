//! What webhooks are sent: CloudEvents 1.0 in the hosted service's shape.

use serde::Serialize;
use serde_json::Value;

/// One event on its way to a receiver.
#[derive(Debug, Serialize)]
pub struct Notification<'a> {
    /// Always `1.0`.
    pub specversion: &'static str,
    /// The trigger, as the subscription spelled it; with `.truncated` when the body was left out.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which part of the product.
    pub source: &'static str,
    /// Stable over every repetition: what receivers de-duplicate by.
    pub id: String,
    /// When it happened, in unix seconds.
    pub time: i64,
    /// 1 for the first.
    pub webhook_delivery_attempt: u32,
    /// Whose, and what.
    pub data: NotificationData<'a>,
}

/// The payload.
#[derive(Debug, Serialize)]
pub struct NotificationData<'a> {
    /// The application.
    pub application_id: String,
    /// The mailbox; empty if it is about none, such as a raise for a workspace.
    pub grant_id: String,
    /// Its number among the events of the mailbox, from 1 without gaps; 0 if it is about none.
    pub grant_sequence: u64,
    /// Why a send at a later time failed; only then.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub reason: &'a Value,
    /// The same for programs; only then.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub error: &'a Value,
    /// The object; the last, since it may be written behind everything else.
    pub object: &'a Value,
}
