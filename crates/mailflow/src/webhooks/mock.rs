//! Samples of notifications, for whoever writes a receiver: made by what makes the real ones, of things that are not there.

use super::manage::{self, RECEIVER_DEADLINE};
use super::payload::{self, About};
use super::send::Letter;
use crate::platform::Platform;
use postfleet_core::event::{self, Trigger};
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, MessageId, ThreadId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::notification::{Notification, NotificationData};
use postfleet_schema::webhook::{MockPayload, SampleNotification, SendTestEvent};
use postfleet_store::events::NewEvent;
use postfleet_store::messages::StoredMessage;
use serde_json::{Value, json};
use uuid::Uuid;

/// What signs test events: no secret, and of no webhook.
const SECRET: &str = "mock-webhook-secret";

/// A sample of what is told under a name.
pub fn sample(
    platform: &Platform,
    application: ApplicationId,
    request: &MockPayload,
) -> Result<SampleNotification, Problem> {
    let octets = octets(application, &request.trigger_type, platform.clock.now())?;
    serde_json::from_slice(&octets).map_err(Problem::internal)
}

/// Sends a sample to somebody, once, without asking before.
pub async fn send_test_event(
    platform: &Platform,
    application: ApplicationId,
    request: &SendTestEvent,
) -> Result<(), Problem> {
    let now = platform.clock.now();
    let name = request.trigger_type.as_deref().unwrap_or(Trigger::MessageCreated.name());
    manage::check_url(&request.webhook_url)?;
    let letter = Letter::of(&id(EVENT).to_string(), octets(application, name, now)?, false);
    let headers = letter.headers(&[SECRET], now.as_seconds());
    let answer = platform.http.notify(&request.webhook_url, &headers, letter.body, RECEIVER_DEADLINE).await;
    match answer.map_err(manage::unverified)?.status {
        200..300 => Ok(()),
        status => Err(manage::unverified(format_args!("status is not ok, got {status}"))),
    }
}

fn octets(application: ApplicationId, name: &str, now: UnixMicros) -> Result<Vec<u8>, Problem> {
    if !event::is_accepted(name) {
        return Err(manage::invalid("trigger_type", format!("trigger_type: {name:?} is not a trigger")));
    }
    match Trigger::subscribed_as(name) {
        Some(trigger) => announced(application, trigger, name, now),
        None => unannounced(application, name, now),
    }
}

// What the ids of samples end in.
const EVENT: u128 = 1;
const GRANT: u128 = 2;
const MESSAGE: u128 = 3;
const THREAD: u128 = 4;
const WORKSPACE: u128 = 5;
const OTHER: u128 = 6;

/// An id of version 7 that nothing has: of the year 1970.
fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x7000_8000_0000_0000_0000 | number)
}

/// What is announced here: an event, and what it is about.
fn announced(application: ApplicationId, trigger: Trigger, name: &str, now: UnixMicros) -> Result<Vec<u8>, Problem> {
    let name = [Some(trigger.name()), trigger.other_name()].into_iter().flatten().find(|known| *known == name);
    let event = NewEvent {
        id: EventId::from_uuid(id(EVENT)),
        application_id: application,
        grant_id: GrantId::from_uuid(if is_of_mailbox(trigger) { id(GRANT) } else { Uuid::nil() }),
        grant_sequence: u64::from(is_of_mailbox(trigger)),
        trigger,
        message_id: Some(MessageId::from_uuid(id(MESSAGE))),
        data: facts(trigger, now.as_seconds()).to_string(),
        at: now,
    };
    let is_draft = matches!(trigger, Trigger::DraftCreated | Trigger::DraftUpdated);
    let has_body = is_draft || matches!(trigger, Trigger::MessageCreated | Trigger::MessageUpdated);
    let about = About {
        message: Some(message(trigger, is_draft, now).into()),
        raw: has_body.then(|| RAW.as_bytes().to_vec()),
        grant: None,
    };
    payload::notification(&event, &about, name.unwrap_or(trigger.name()), 1, usize::MAX)
}

fn is_of_mailbox(trigger: Trigger) -> bool {
    !matches!(
        trigger,
        Trigger::AlertTriggered | Trigger::WebhookFailing | Trigger::WebhookFailed | Trigger::WebhookResumed
    )
}

const RAW: &str = "From: Ada Lovelace <ada@example.com>\r\nTo: Support <support@agents.example.com>\r\n\
    Subject: The engine\r\nMessage-ID: <engine@example.com>\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/html; charset=utf-8\r\n\r\n\
    <p>Does it <b>weave</b> algebraical patterns?</p>\r\n";

/// A message that came in, or, where a mailbox sent it, one that went out.
fn message(trigger: Trigger, is_draft: bool, now: UnixMicros) -> StoredMessage {
    let arrived = matches!(trigger, Trigger::MessageCreated | Trigger::MessageUpdated);
    let (ada, support) = (
        json!({"name": "Ada Lovelace", "email": "ada@example.com"}),
        json!({"name": "Support", "email": "support@agents.example.com"}),
    );
    let (from, to) = if arrived { (ada, support) } else { (support, ada) };
    let mut summary = json!({
        "subject": "The engine",
        "from": [from],
        "to": [to],
        "snippet": "Does it weave algebraical patterns?",
        "message_id": "engine@example.com",
        "metadata": {"key1": "value"},
    });
    if is_draft {
        summary["draft"] = json!({"created_at": now.as_seconds()});
    }
    let folder = if is_draft {
        "drafts"
    } else if arrived {
        "inbox"
    } else {
        "sent"
    };
    StoredMessage {
        id: MessageId::from_uuid(id(MESSAGE)),
        grant_id: GrantId::from_uuid(id(GRANT)),
        thread_id: ThreadId::from_uuid(id(THREAD)),
        blob_id: BlobId::from_uuid(Uuid::nil()),
        outgoing: !arrived,
        date: now,
        unread: arrived,
        starred: false,
        octets: RAW.len() as u64,
        folders: vec![folder.to_owned()],
        summary: summary.to_string(),
        draft: is_draft,
        assessment: None,
        answered: false,
    }
}

/// What the log keeps of an event.
fn facts(trigger: Trigger, at: i64) -> Value {
    let (grant, workspace, other) = (id(GRANT).to_string(), id(WORKSPACE).to_string(), id(OTHER).to_string());
    let (email, ada) = ("support@agents.example.com", "ada@example.com");
    let who = |name: &str| json!({"kind": "key", "id": other, "name": name});
    let quota = |used: u64| {
        json!({"object": "quota", "grant_id": grant, "email": email, "workspace_id": workspace, "policy_id": other,
            "scope": "grant", "limit_name": "limit_count_daily_email_sent", "limit": 100, "used": used,
            "is_raised": false, "resets_at": at + 3_600})
    };
    let hold = |state: &str| {
        json!({"hold": {"id": other, "grant_id": grant, "message_id": id(MESSAGE).to_string(), "reason": "quota",
            "state": state, "digest": null, "note": "", "expires_at": at + 86_400}})
    };
    let raise = |state: &str, decided: bool| {
        json!({"object": "raise", "id": other, "grant_id": grant, "workspace_id": null,
            "limit_name": "limit_count_daily_email_sent", "value": 200, "starts_at": at, "ends_at": at + 86_400,
            "state": state, "reason": "A campaign", "requested_by": who("agent"),
            "decided_by": decided.then(|| who("operator")), "decided_at": decided.then_some(at), "note": ""})
    };
    let recovery = |state: &str, decided: bool| {
        json!({"object": "recovery", "id": other, "grant_id": grant, "email": email, "stop_id": other, "state": state,
            "cause": "A list that was bought", "fix": "It is not written to any more", "evidence": [], "checks": [],
            "note": "", "requested_by": {"type": "key", "id": other, "name": "agent"}, "created_at": at,
            "decided_by": decided.then(|| json!({"type": "key", "id": other, "name": "operator"})),
            "decided_at": decided.then_some(at)})
    };
    let stop = |lifted: Option<i64>| {
        json!({"object": "stop", "id": other, "kind": "switch", "effect": "hold", "scope": "grant", "subject": grant,
            "reason": "Looked into", "evidence": null, "sends_per_hour": null, "reference": null,
            "application_id": null, "workspace_id": null, "grant_id": grant, "email": email, "raised_at": at,
            "lifted_at": lifted, "lifted_why": lifted.map(|_| "It was nothing")})
    };
    let opt_in = |state: &str, confirmed: Option<i64>, declined: Option<i64>| {
        json!({"object": "opt_in", "id": other, "grant_id": grant, "email": ada, "purpose": "newsletter",
            "state": state, "message_id": id(MESSAGE).to_string(), "asked_at": at, "confirmed_at": confirmed,
            "declined_at": declined, "withdrawn_at": null})
    };
    let webhook = |status: &str, before: &str| {
        json!({"object": "webhook", "id": other, "grant_id": "", "description": "Support", "host": "hooks.example.com",
            "status": status, "previous_status": before, "status_updated_at": at})
    };
    match trigger {
        Trigger::GrantCreated | Trigger::GrantUpdated | Trigger::GrantDeleted => {
            json!({"email": email, "name": "Support", "workspace_id": workspace})
        }
        Trigger::MessageCreated | Trigger::MessageUpdated | Trigger::DraftCreated | Trigger::DraftUpdated => json!({}),
        Trigger::MessageDeleted => json!({"folders": ["trash"], "metadata": {"key1": "value"}}),
        Trigger::DraftDeleted => json!({"folders": ["drafts"], "metadata": {"key1": "value"}}),
        Trigger::MessageSendSuccess => json!({"schedule_id": other, "send_at": at, "use_draft": false}),
        Trigger::MessageSendFailed => {
            let reason = "daily send quota of 100 exceeded";
            json!({"reason": reason, "error": {"type": "too_many_requests", "message": reason, "status_code": 429,
                "provider_error": null}, "object": {"id": id(MESSAGE).to_string(), "grant_id": grant,
                "object": "message", "thread_id": id(THREAD).to_string(), "subject": "The engine",
                "schedule_id": other, "send_at": at, "use_draft": false}})
        }
        Trigger::MessageHeld => hold("pending"),
        Trigger::MessageReleased => hold("released"),
        Trigger::MessageDelivered => json!({"recipient": ada, "at": at, "ambiguous": false}),
        Trigger::MessageBounced => json!({"recipient": ada, "at": at, "status": "5.2.2",
            "diagnostic_code": "smtp; 552 5.2.2 mailbox full", "bounce_type": "MailboxFull", "bounce_class": "soft",
            "expired": false, "ambiguous": false}),
        Trigger::MessageComplaint => json!({"recipient": ada, "at": at, "type": "abuse"}),
        Trigger::MessageRejected => json!({"at": at, "reason": "suppressed",
            "recipients": [{"email": ada, "reason": "hard_bounce"}], "ambiguous": false}),
        Trigger::MessageUnsubscribed => json!({"at": at, "recipient": ada, "source": "one_click"}),
        Trigger::FolderCreated | Trigger::FolderUpdated | Trigger::FolderDeleted => {
            json!({"id": other, "name": "Invoices"})
        }
        Trigger::QuotaWarning => quota(80),
        Trigger::QuotaReached | Trigger::QuotaExceeded => quota(100),
        Trigger::RaiseRequested => raise("requested", false),
        Trigger::RaiseDecided => raise("granted", true),
        Trigger::RecoveryRequested => recovery("requested", false),
        Trigger::RecoveryDecided => recovery("granted", true),
        Trigger::ReputationChanged => json!({"object": "reputation", "subject_type": "grant", "subject": grant,
            "from": "healthy", "state": "elevated", "since": at,
            "rates": {"hard_bounces": {"percent": 2.5, "count": 25, "of": 1000},
                "complaints": {"percent": 0.0, "count": 0, "of": 1000}},
            "counts": {"recipients": 1000, "recipients_of_feedback_domains": 1000, "hard_bounces": 25,
                "complaints": 0},
            "head_room": {"hard_bounces_until_review": 26, "complaints_until_review": 2,
                "hard_bounces_until_pause": 82, "complaints_until_pause": 6, "recipients_until_pause": null,
                "text": "2 more complaints or 26 more hard bounces until review"}}),
        Trigger::SendingStopped => stop(None),
        Trigger::SendingResumed => stop(Some(at)),
        Trigger::BreakerTripped => json!({"object": "breaker", "grant_id": grant, "email": email,
            "metric": "bounce_rate", "value": 6.0, "threshold": 5.0, "count": 12, "volume": 200, "action": "hold",
            "throttle_to": null, "workspace_id": workspace, "reason": "6 % of what was sent bounced"}),
        Trigger::DomainEndangered => json!({"object": "domain", "domain": "agents.example.com", "grant_id": grant,
            "danger": "bounces", "email": email, "reason": "One mailbox endangers the domain"}),
        Trigger::AlertTriggered => json!({"object": "alert", "id": id(EVENT).to_string(), "grant_id": "",
            "status": "firing", "notification_seq": 1, "started_at": at, "triggered_at": at, "sending_domain": null,
            "value": 0.06, "volume": 500, "rule": {"id": other, "name": "Bounces", "metric": "bounce_rate",
            "threshold": 0.05, "window_hours": 24, "min_volume": 100}}),
        Trigger::OptInConfirmed => opt_in("confirmed", Some(at), None),
        Trigger::OptInDeclined => opt_in("declined", None, Some(at)),
        Trigger::OptInNotSent => opt_in("not_sent", None, None),
        Trigger::WebhookFailing => webhook("failing", "active"),
        Trigger::WebhookFailed => webhook("failed", "failing"),
        Trigger::WebhookResumed => webhook("active", "failed"),
    }
}

/// What only the hosted service announces, as its documentation has it.
fn unannounced(application: ApplicationId, name: &str, now: UnixMicros) -> Result<Vec<u8>, Problem> {
    let (family, what) = name.split_once('.').unwrap_or((name, ""));
    let grant = id(GRANT).to_string();
    let object = match (family, what.trim_end_matches(".legacy")) {
        ("message", "opened" | "link_clicked" | "bounce_detected") | ("thread", "replied") => {
            tracked(what.trim_end_matches(".legacy"), now.as_seconds())
        }
        ("grant", _) => json!({"code": 25_009, "object": "grant", "grant_id": grant,
            "integration_id": application.to_string(), "provider": "nylas", "grant_updated_at": now.as_seconds()}),
        ("event", "deleted") => json!({"id": id(OTHER).to_string(), "grant_id": grant, "object": "event",
            "calendar_id": id(THREAD).to_string()}),
        (_, "deleted") => json!({"id": id(OTHER).to_string(), "grant_id": grant, "object": family}),
        ("calendar", _) => json!({"id": id(OTHER).to_string(), "grant_id": grant, "object": "calendar",
            "name": "Support", "description": "", "is_primary": true, "read_only": false, "is_owned_by_user": true,
            "timezone": "Etc/UTC"}),
        ("event", _) => json!({"id": id(OTHER).to_string(), "grant_id": grant, "object": "event",
            "calendar_id": id(THREAD).to_string(), "title": "A conversation", "busy": true, "read_only": false,
            "participants": [{"email": "ada@example.com", "name": "Ada Lovelace", "status": "noreply"}],
            "when": {"object": "timespan", "start_time": now.as_seconds(), "end_time": now.as_seconds() + 3_600,
                "start_timezone": "Etc/UTC", "end_timezone": "Etc/UTC"},
            "created_at": now.as_seconds(), "updated_at": now.as_seconds()}),
        ("contact", _) => json!({"id": id(OTHER).to_string(), "grant_id": grant, "object": "contact",
            "given_name": "Ada", "surname": "Lovelace", "emails": [{"email": "ada@example.com", "type": "work"}],
            "source": "address_book"}),
        _ => json!({"id": id(OTHER).to_string(), "grant_id": grant, "object": family}),
    };
    let notification = Notification {
        specversion: "1.0",
        kind: name.to_owned(),
        source: match (family, what) {
            ("message", "bounce_detected") | ("draft", _) => "/nylas/emails/realtime",
            ("message" | "thread", _) => "/com/nylas/tracking",
            ("calendar", _) => "/nylas/calendars",
            ("event", _) => "/nylas/events",
            ("contact", _) => "/nylas/contacts",
            _ => "/nylas/system",
        },
        id: id(EVENT).to_string(),
        time: now.as_seconds(),
        webhook_delivery_attempt: 1,
        data: NotificationData {
            application_id: application.to_string(),
            grant_id: grant,
            grant_sequence: 1,
            reason: &Value::Null,
            error: &Value::Null,
            object: &object,
        },
    };
    serde_json::to_vec(&notification).map_err(Problem::internal)
}

/// What readers of a message did.
fn tracked(what: &str, at: i64) -> Value {
    let (grant, message, other) = (id(GRANT).to_string(), id(MESSAGE).to_string(), id(OTHER).to_string());
    let (ip, browser) = ("192.0.2.7", "Mozilla/5.0");
    match what {
        "opened" => json!({"message_id": message, "grant_id": grant, "label": "", "sender_app_id": other,
            "timestamp": at, "message_data": {"count": 1, "timestamp": at},
            "recents": [{"ip": ip, "opened_id": 0, "timestamp": at, "user_agent": browser}]}),
        "link_clicked" => json!({"message_id": message, "grant_id": grant, "label": "", "sender_app_id": other,
            "timestamp": at, "link_data": [{"count": 1, "url": "https://example.com/"}],
            "recents": [{"click_id": "0", "ip": ip, "link_index": "0", "timestamp": at, "user_agent": browser}]}),
        "bounce_detected" => json!({"grant_id": grant, "bounce_reason": "The mailbox does not exist",
            "bounce_date": at.to_string(), "bounced_addresses": "ada@example.com", "type": "mailbox_unavailable",
            "code": "550", "original_send_at": at.to_string(),
            "origin": {"to": ["ada@example.com"], "from": "support@agents.example.com", "cc": [], "bcc": [],
                "subject": "The engine", "mime_id": "engine@example.com", "id": message}}),
        _ => json!({"message_id": message, "root_message_id": message, "reply_to_message_id": message,
            "thread_id": id(THREAD).to_string(), "grant_id": grant, "reply_data": {"count": 1}, "from_self": false,
            "label": "", "sender_app_id": other, "timestamp": at}),
    }
}
