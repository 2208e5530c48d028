//! Trying out what outcomes of mail lead to, with recipients that are nowhere: those of the simulator, which sandbox
//! applications alone have.

use super::{Drill, PAUSE as LOOK_AGAIN, tag, text, told};
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use serde_json::{Value, json};

const SIMULATOR: &str = "simulator.postfleet.invalid";

/// What is tried out, and what must follow.
pub struct Trial {
    /// The word for it.
    of: &'static str,
    /// What the recipients do, and how many there are.
    recipients: (&'static str, usize),
    /// Where the mailbox stands after it, if that changes.
    state: Option<&'static str>,
    /// With what its next send is refused, if it is.
    refusal: Option<&'static str>,
    /// Whether the recipients are suppressed after it.
    suppresses: bool,
    /// What is announced.
    triggers: &'static [&'static str],
}

/// Ten recipients who are not there.
pub const PAUSE: Trial = Trial {
    of: "pause",
    recipients: ("bounce", 10),
    state: Some("paused"),
    refusal: Some("account_paused"),
    suppresses: true,
    triggers: &["reputation.changed", "sending.stopped"],
};

/// One recipient who complains.
pub const COMPLAINT: Trial = Trial {
    of: "complaint",
    recipients: ("complaint", 1),
    state: Some("under_review"),
    refusal: None,
    suppresses: true,
    triggers: &["message.complaint", "reputation.changed"],
};

/// One recipient who gets it.
pub const WEBHOOK: Trial = Trial {
    of: "webhook",
    recipients: ("deliver", 1),
    state: None,
    refusal: None,
    suppresses: false,
    triggers: &["message.delivered"],
};

/// How it is tried out.
#[derive(clap::Args)]
pub struct Arguments {
    /// The domain of the mailbox; that of the newest one if absent
    #[arg(long)]
    domain: Option<String>,
    /// How many seconds everything has to happen
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=600))]
    within: u16,
}

/// Tries it out.
pub async fn run(trial: Trial, arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    let application = api.get(&["applications"]).await?.data();
    if application["environment"] != "sandbox" {
        let text = "the simulator answers sandbox applications alone: use the key of one";
        return Err(Failure::Usage(text.to_owned()));
    }
    let mut drill = Drill { of: trial.of, ..Drill::new(api, session) };
    if let Err(failure) = drill.try_out(&trial, &arguments).await {
        drill.note(false, "go on", &failure.to_string(), failure.advice().as_deref())?;
    }
    drill.clean_up().await?;
    drill.end()
}

impl Drill<'_, '_, '_> {
    async fn try_out(&mut self, trial: &Trial, arguments: &Arguments) -> Outcome {
        let watchers = told::watchers(&self.api, trial.triggers).await?;
        let name = format!("Drill {}", tag(&text(&self.api.get(&["applications"]).await?.body["request_id"])));
        let workspace = self.make("workspaces", &["workspaces"], &json!({"name": name}), "workspace_id").await?;
        let mailbox = self.make_mailbox(arguments.domain.as_deref(), &workspace).await?;
        let (id, email) = (text(&mailbox["id"]), text(&mailbox["email"]));
        let since = mailbox["created_at"].as_i64().unwrap_or_default();
        self.note(true, "make a mailbox", &email, None)?;
        let recipients = self.write(trial, &id).await?;
        if let Some(state) = trial.state {
            self.reaches(&id, state, arguments.within).await?;
        }
        self.refuses(trial, &id).await?;
        if trial.suppresses {
            self.suppressed(&recipients).await?;
        }
        self.announced(&id, since, trial.triggers, arguments.within).await?;
        let logged = self.logged(&id, since, trial.triggers).await?;
        self.told(watchers, (&id, &workspace), &logged, arguments.within).await
    }

    /// Writes one message to all of them.
    async fn write(&mut self, trial: &Trial, id: &str) -> Result<Vec<String>, Failure> {
        let (word, count) = trial.recipients;
        let name = |number| format!("{word}+{}-{number}@{SIMULATOR}", tag(id));
        let recipients: Vec<String> = (0..count).map(name).collect();
        let to: Value = recipients.iter().map(|email| json!({"email": email})).collect();
        let body = json!({"to": to, "subject": format!("Drill: {}", trial.of), "body": "This is a drill."});
        self.api.post(&["grants", id, "messages", "send"], &body).await?;
        let detail = format!("one message to {count} of {word}@{SIMULATOR}");
        self.note(true, "send", &detail, None)?;
        Ok(recipients)
    }

    async fn reaches(&mut self, id: &str, wanted: &str, within: u16) -> Outcome {
        let mut left = u64::from(within);
        let state = loop {
            let state = text(&self.api.get(&["grants", id, "reputation"]).await?.data()["state"]);
            if state == wanted || left == 0 {
                break state;
            }
            left = left.saturating_sub(LOOK_AGAIN.as_secs());
            self.session.pause(LOOK_AGAIN).await;
        };
        let is_there = state == wanted;
        let advice = "is the server's role that delivers running? --within gives it more time";
        let detail = format!("the mailbox is {}", state.replace('_', " "));
        self.note(is_there, &format!("be {}", wanted.replace('_', " ")), &detail, (!is_there).then_some(advice))
    }

    /// Whether the next send is refused as it must be.
    async fn refuses(&mut self, trial: &Trial, id: &str) -> Outcome {
        let Some(wanted) = trial.refusal else { return Ok(()) };
        let to = format!("deliver+{}@{SIMULATOR}", tag(id));
        let body = json!({"to": [{"email": to}], "subject": "Drill", "body": "This must not leave."});
        let (passed, detail) = match self.api.post(&["grants", id, "messages", "send"], &body).await {
            Err(Failure::Refused(refusal)) => (refusal.code == wanted, format!("refused with {}", refusal.code)),
            Err(failure) => return Err(failure),
            Ok(_) => (false, "accepted".to_owned()),
        };
        let advice = "postfleet explain shows what holds for a mailbox";
        self.note(passed, "refuse the next send", &detail, (!passed).then_some(advice))
    }

    /// Whether they are not written to any more; from now on they may be again.
    async fn suppressed(&mut self, recipients: &[String]) -> Outcome {
        let mut missing = Vec::new();
        for recipient in recipients {
            match self.api.delete(&["suppressions", recipient]).await {
                Ok(_) => {}
                Err(Failure::Refused(refusal)) if refusal.code == "not_found" => missing.push(recipient.as_str()),
                Err(failure) => return Err(failure),
            }
        }
        let passed = missing.is_empty();
        let detail = match passed {
            true => format!("{} suppressed, and taken off the list again", recipients.len()),
            false => format!("not suppressed: {}", missing.join(", ")),
        };
        self.note(passed, "suppress the recipients", &detail, (!passed).then_some("look into the server's log"))
    }

    /// Waits until everything is in the log, for as long as that may take.
    async fn announced(&mut self, id: &str, since: i64, triggers: &[&str], within: u16) -> Outcome {
        let query = [("grant_id", id.to_owned()), ("since", since.to_string())];
        for _ in 0..within {
            let events = self.api.list(&["events"], &query, None).await?.items;
            if triggers.iter().all(|trigger| events.iter().any(|event| event["type"] == *trigger)) {
                break;
            }
            self.session.pause(LOOK_AGAIN).await;
        }
        Ok(())
    }
}
