//! `postfleet drill`: tries out whether what is to happen does. A mailbox that is made for it uses up its quota, is paused or
//! complained about, with messages that leave the server nowhere, and everybody who is to be told must have been.

mod outcome;
mod told;

use super::Consent;
use super::names::WORKSPACE;
use crate::client::Api;
use crate::failure::{Failure, Outcome, Refusal};
use crate::session::Session;
use serde_json::{Value, json};
use std::time::Duration;
use told::Watcher;

/// What may be tried out.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lets a mailbox that is made for it use up its daily quota, and checks that everybody was told
    Quota(Quota),
    /// Lets a mailbox that is made for it write to ten who are not there, and checks that it is paused and who was told
    Pause(outcome::Arguments),
    /// Lets a recipient complain about a mailbox that is made for it, and checks what follows
    Complaint(outcome::Arguments),
    /// Makes an event, and checks that each webhook that wants it takes it
    Webhook(outcome::Arguments),
}

/// A quota that is used up.
#[derive(clap::Args)]
pub struct Quota {
    /// In this workspace (id, name or domain), with its quota: for alerts that are told of its mailboxes alone. Without
    /// it, a workspace and a policy with a quota of 2 are made
    #[arg(long)]
    workspace: Option<String>,
    /// The domain of the mailbox; that of the newest one if absent
    #[arg(long)]
    domain: Option<String>,
    /// How many seconds everybody has to be told
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=600))]
    within: u16,
    #[command(flatten)]
    consent: Consent,
}

/// The quota of the policy that is made.
const QUOTA: u64 = 2;
/// The highest quota that is used up.
const QUOTA_MAX: u64 = 100;
/// How long to wait before the server is asked once more.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a send that comes too fast is tried again.
const TOO_FAST_MAX: usize = 100;

/// A drill under way: what was found, and what was made.
struct Drill<'a, 's, 'w> {
    api: Api,
    session: &'a mut Session<'s, 'w>,
    steps: Vec<Value>,
    /// Paths of what was made, in order.
    made: Vec<[String; 2]>,
    /// What is tried out.
    of: &'static str,
}

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let arguments = match verb {
        Verb::Quota(arguments) => arguments,
        Verb::Pause(arguments) => return outcome::run(outcome::PAUSE, arguments, session).await,
        Verb::Complaint(arguments) => return outcome::run(outcome::COMPLAINT, arguments, session).await,
        Verb::Webhook(arguments) => return outcome::run(outcome::WEBHOOK, arguments, session).await,
    };
    let api = session.application()?;
    let application = api.get(&["applications"]).await?.data();
    let name = application["name"].as_str().unwrap_or_default();
    if application["environment"] != "sandbox" {
        let what =
            format!("the application {name} is no sandbox: let a mailbox in it use up its quota, and alert people");
        session.confirm(arguments.consent.yes, &what)?;
    }
    let mut drill = Drill::new(api, session);
    if let Err(failure) = drill.quota(&arguments).await {
        drill.note(false, "go on", &failure.to_string(), failure.advice().as_deref())?;
    }
    drill.clean_up().await?;
    drill.end()
}

impl<'a, 's, 'w> Drill<'a, 's, 'w> {
    fn new(api: Api, session: &'a mut Session<'s, 'w>) -> Self {
        Self { api, session, steps: Vec::new(), made: Vec::new(), of: "quota" }
    }
}

impl Drill<'_, '_, '_> {
    async fn quota(&mut self, arguments: &Quota) -> Outcome {
        let watchers = told::watchers(&self.api, told::TRIGGERS).await?;
        let workspace = match &arguments.workspace {
            Some(named) => WORKSPACE.id(&self.api, named).await?,
            None => self.make_workspace().await?,
        };
        let mailbox = self.make_mailbox(arguments.domain.as_deref(), &workspace).await?;
        let (id, email) = (text(&mailbox["id"]), text(&mailbox["email"]));
        let limits = self.api.get(&["grants", &id, "limits"]).await?.data();
        let limit = limits["limits"]["limit_count_daily_email_sent"]["value"].as_u64();
        let Some(limit) = limit.filter(|limit| (1..=QUOTA_MAX).contains(limit)) else {
            let has = limit.map_or("no quota".to_owned(), |limit| format!("a quota of {limit}"));
            let advice = "name a workspace with a lower quota, or none: one is made";
            let detail = format!("{email} has {has}; up to {QUOTA_MAX} are used up");
            return self.note(false, "find the quota", &detail, Some(advice));
        };
        self.note(true, "make a mailbox", &format!("{email} may send {limit} a day"), None)?;
        if !self.use_up(&id, &email, limit).await? {
            return Ok(());
        }
        let since = mailbox["created_at"].as_i64().unwrap_or_default();
        let logged = self.logged(&id, since, told::TRIGGERS).await?;
        self.told(watchers, (&id, &workspace), &logged, arguments.within).await
    }

    async fn make_workspace(&mut self) -> Result<String, Failure> {
        let body = json!({"name": "Quota drill", "limits": {"limit_count_daily_email_sent": QUOTA}});
        let policy = self.make("policies", &["policies"], &body, "id").await?;
        let name = format!("Quota drill {}", tag(&policy));
        let body = json!({"name": name, "policy_id": policy});
        self.make("workspaces", &["workspaces"], &body, "workspace_id").await
    }

    async fn make_mailbox(&mut self, domain: Option<&str>, workspace: &str) -> Result<Value, Failure> {
        let domain = match domain {
            Some(domain) => domain.to_owned(),
            None => {
                let newest = self.api.offset_list(&["grants"], &[], Some(1)).await?.items;
                let email = newest.first().and_then(|mailbox| mailbox["email"].as_str()).unwrap_or_default();
                let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_owned());
                let missing = "the application has no mailbox whose domain could be taken: say --domain";
                domain.ok_or_else(|| Failure::Usage(missing.to_owned()))?
            }
        };
        // Ids are new each time, and so is the address.
        let seed = match self.made.last() {
            Some([_, id]) => tag(id),
            None => tag(&self.api.get(&["applications"]).await?.body["request_id"].to_string().replace('"', "")),
        };
        let settings = json!({"email": format!("{}-drill-{seed}@{domain}", self.of)});
        let body = json!({"provider": "nylas", "name": "Drill", "workspace_id": workspace, "settings": settings});
        let made = self.api.post(&["connect", "custom"], &body).await?.data();
        self.made.push(["grants".to_owned(), text(&made["id"])]);
        Ok(made)
    }

    async fn make(&mut self, kind: &str, path: &[&str], body: &Value, id: &str) -> Result<String, Failure> {
        let made = self.api.post(path, body).await?.data();
        let id = text(&made[id]);
        self.made.push([kind.to_owned(), id.clone()]);
        Ok(id)
    }

    /// Sends until the quota refuses. Answers whether it did when it should.
    async fn use_up(&mut self, id: &str, email: &str, limit: u64) -> Result<bool, Failure> {
        let (mut accepted, mut too_fast, mut end) = (0, 0, "");
        while accepted <= limit {
            let subject = format!("Quota drill, message {}", accepted + 1);
            let body = json!({"to": [{"email": email}], "subject": subject, "body": "This is a drill."});
            match self.api.post(&["grants", id, "messages", "send"], &body).await {
                Ok(answer) if answer.body["hold"].is_object() => {
                    end = "held";
                    break;
                }
                Ok(_) => accepted += 1,
                Err(Failure::Refused(refusal)) if refusal.code == "daily_quota_exceeded" => {
                    end = "refused";
                    break;
                }
                Err(Failure::Refused(refusal)) if is_too_fast(&refusal) && too_fast < TOO_FAST_MAX => {
                    too_fast += 1;
                    self.session.pause(Duration::from_secs(refusal.retry_after.unwrap_or(1))).await;
                }
                Err(failure) => return Err(failure),
            }
        }
        let is_right = accepted == limit && !end.is_empty();
        let (detail, advice) = match end {
            "" => (format!("{accepted} accepted, although the quota is {limit}"), "look into the server's log"),
            end => {
                (format!("{accepted} accepted, and one more {end}"), "postfleet explain shows what holds for a mailbox")
            }
        };
        self.note(is_right, "use up the quota", &detail, (!is_right).then_some(advice))?;
        Ok(is_right)
    }

    /// What the log of events says of the mailbox's quota.
    async fn logged(&mut self, id: &str, since: i64, triggers: &[&str]) -> Result<Vec<Value>, Failure> {
        let query = [("grant_id", id.to_owned()), ("since", since.to_string())];
        let events = self.api.list(&["events"], &query, None).await?.items;
        for trigger in triggers {
            let is_there = events.iter().any(|event| event["type"] == *trigger);
            let (detail, advice) = match is_there {
                true => ("in the log of events", None),
                false => ("not in the log of events", Some("look into the server's log")),
            };
            self.note(is_there, trigger, detail, advice)?;
        }
        Ok(events)
    }

    /// Waits until everybody was told, or for as long as that may take.
    async fn told(
        &mut self,
        watchers: Vec<Watcher>,
        (grant, workspace): (&str, &str),
        logged: &[Value],
        within: u16,
    ) -> Outcome {
        let (concerned, others): (Vec<_>, Vec<_>) =
            watchers.into_iter().partition(|watcher| watcher.is_concerned(workspace));
        for watcher in others {
            let why = format!("{} is not told of this mailbox's {}", watcher.name, self.of);
            self.session.note(&why);
        }
        if concerned.is_empty() {
            let (advice, detail) = match self.of {
                "quota" => (
                    "postfleet alert add --email <ADDRESS> --from <AGENT>, or --chat <URL>",
                    "nobody is told of a quota that is used up",
                ),
                _ => ("postfleet alert add --trigger <TRIGGER>, or POST /v3/webhooks", "nobody is told of that"),
            };
            return self.note(false, "tell somebody", detail, Some(advice));
        }
        let mut left = u64::from(within);
        for watcher in concerned {
            let state = loop {
                let state = watcher.state(&self.api, grant, logged).await?;
                if state.is_final() || left == 0 {
                    break state;
                }
                left = left.saturating_sub(PAUSE.as_secs());
                self.session.pause(PAUSE).await;
            };
            let advice = if state.is_delivered() { None } else { Some(watcher.advice(&self.api, &state).await) };
            let step = format!("tell {}", watcher.name);
            self.note(state.is_delivered(), &step, &state.text(within), advice.as_deref())?;
        }
        Ok(())
    }

    /// Removes what was made, the newest first.
    async fn clean_up(&mut self) -> Outcome {
        while let Some([kind, id]) = self.made.pop() {
            if let Err(failure) = self.api.delete(&[&kind, &id]).await {
                let advice = "remove it by hand";
                self.note(false, "clean up", &format!("{kind} {id} is left: {failure}"), Some(advice))?;
            }
        }
        Ok(())
    }

    /// Says how a step went.
    fn note(&mut self, passed: bool, step: &str, detail: &str, advice: Option<&str>) -> Outcome {
        self.steps.push(json!({"step": step, "passed": passed, "detail": detail, "advice": advice}));
        if self.session.is_json() {
            return Ok(());
        }
        let help = advice.map(|advice| format!("      help  {advice}\n")).unwrap_or_default();
        let word = if passed { "pass" } else { "FAIL" };
        self.session.print(&format!("{word}  {step}: {detail}\n{help}"))
    }

    fn end(self) -> Outcome {
        let failed = self.steps.iter().filter(|step| step["passed"] != true).count();
        if self.session.is_json() {
            self.session.print_json(&json!({"passed": failed == 0, "steps": self.steps}))?;
        }
        if failed == 0 {
            return Ok(());
        }
        Err(Failure::Found(format!("{failed} of {} steps failed", self.steps.len())))
    }
}

fn is_too_fast(refusal: &Refusal) -> bool {
    matches!(refusal.code.as_str(), "per_second_rate_limit_exceeded" | "rate_limit_exceeded")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The end of an id, which differs from all others.
fn tag(id: &str) -> String {
    id.rsplit('-').next().unwrap_or(id).to_owned()
}
