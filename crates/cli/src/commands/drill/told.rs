//! Who is told of what a drill makes happen, and whether they were.

use crate::client::Api;
use crate::failure::Failure;
use serde_json::{Value, json};

/// What a quota that is used up announces.
pub const TRIGGERS: &[&str] = &["quota.reached", "quota.exceeded"];

/// Somebody who is told.
pub struct Watcher {
    /// What people call it.
    pub name: String,
    /// `alerts` or `webhooks`.
    kind: &'static str,
    id: String,
    /// Of what, as far as it matters here.
    triggers: Vec<&'static str>,
    /// Only of mailboxes of this workspace.
    workspace: Option<String>,
    is_active: bool,
}

/// How far telling somebody has come.
pub enum State {
    /// They were told of all.
    Delivered,
    /// Not yet.
    Underway(String),
    /// And will not be.
    GivenUp,
}

/// Everybody who is told of anything; what of it matters is named by `triggers`.
pub async fn watchers(api: &Api, triggers: &[&'static str]) -> Result<Vec<Watcher>, Failure> {
    let mut watchers = Vec::new();
    for kind in ["alerts", "webhooks"] {
        for thing in api.list(&[kind], &[], None).await?.items {
            watchers.push(Watcher::of(kind, &thing, triggers));
        }
    }
    Ok(watchers)
}

impl Watcher {
    fn of(kind: &'static str, thing: &Value, triggers: &[&'static str]) -> Self {
        let text = |field: &str| thing[field].as_str().unwrap_or_default();
        let named = |trigger: &&&'static str| {
            thing["trigger_types"].as_array().is_some_and(|all| all.iter().any(|one| one == **trigger))
        };
        let name = match (kind, text("type")) {
            ("webhooks", _) => format!("the webhook {}", text("webhook_url")),
            (_, "email") => format!("{} by mail", text("email")),
            _ => format!("the chat at {}", text("url_host")),
        };
        Self {
            name,
            kind,
            id: text("id").to_owned(),
            triggers: triggers.iter().filter(named).copied().collect(),
            workspace: thing["workspace_id"].as_str().map(str::to_owned),
            is_active: thing.get("status").is_none_or(|status| status == "active" || status == "failing"),
        }
    }

    /// Whether it is to be told of a mailbox of that workspace.
    pub fn is_concerned(&self, workspace: &str) -> bool {
        self.is_active && !self.triggers.is_empty() && self.workspace.as_deref().is_none_or(|own| own == workspace)
    }

    /// How far telling it of the mailbox's events has come.
    pub async fn state(&self, api: &Api, grant: &str, logged: &[Value]) -> Result<State, Failure> {
        let query = [("grant_id", grant.to_owned())];
        let deliveries = api.list(&[self.kind, &self.id, "deliveries"], &query, None).await?.items;
        let mut state = State::Delivered;
        for event in logged.iter().filter(|event| self.triggers.iter().any(|trigger| event["type"] == *trigger)) {
            let delivery = deliveries.iter().find(|delivery| delivery["event_id"] == event["id"]);
            match delivery.and_then(|delivery| delivery["state"].as_str()) {
                Some("delivered") => {}
                Some("given_up") => return Ok(State::GivenUp),
                Some("waiting") => state = State::Underway("not taken, and tried again later".to_owned()),
                _ => state = State::Underway("not tried".to_owned()),
            }
        }
        Ok(state)
    }

    /// What to do where it was not told. An alert is tested once more, which says why.
    pub async fn advice(&self, api: &Api, state: &State) -> String {
        if matches!(state, State::Underway(text) if text == "not tried") {
            return "is the server's role that tells webhooks and alerts running? --within gives it more time"
                .to_owned();
        }
        if self.kind == "webhooks" {
            return "look at the receiver: its answer must be 200, within the deadline".to_owned();
        }
        let tested = api.post(&["alerts", &self.id, "test"], &json!({})).await;
        match tested.map(|answer| answer.data()) {
            Ok(tested) if tested["delivered"] == true => "a test was taken just now: try again".to_owned(),
            Ok(tested) => format!("a test says: {}", tested["detail"].as_str().unwrap_or("it was not taken")),
            Err(failure) => format!("a test failed: {failure}"),
        }
    }
}

impl State {
    /// Whether it was told of all.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered)
    }

    /// Whether waiting changes nothing.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Underway(_))
    }

    /// For people.
    pub fn text(&self, within: u16) -> String {
        match self {
            Self::Delivered => "told".to_owned(),
            Self::Underway(text) => format!("{text} within {within} seconds"),
            Self::GivenUp => "given up".to_owned(),
        }
    }
}
