//! Carrying a plan out, a request for a step; new mailboxes go in bulk. It stops at the first refusal, and knows what was
//! done and what was not. Whatever was done stays, and the next plan begins there.

use super::document::{BREAKERS, Section};
use super::fetch::{Servers, path};
use super::plan::{Change, Plan, Step};
use super::state::{Names, on_the_wire};
use crate::failure::{Failure, Refusal};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Mailboxes of one request.
const BULK_MAX: usize = 1_000;

/// Items of one request.
const ITEMS_MAX: usize = 1_000;

/// How far it came.
#[derive(Default)]
pub struct Outcome {
    /// The steps that were done, by their place in the plan.
    pub done: BTreeSet<usize>,
    /// Why it stopped, and at which step.
    pub stopped: Option<(usize, Failure)>,
    /// Secrets of new webhooks, which are shown this one time.
    pub secrets: Vec<(String, String)>,
}

/// Does the steps of a plan in their order.
pub async fn carry_out(servers: &Servers, plan: &Plan, names: &Names) -> Outcome {
    let mut work = Work { servers, ids: ids(names), outcome: Outcome::default() };
    let mut next = 0;
    while let Some(step) = plan.steps.get(next) {
        let bulk = bulk(&plan.steps[next..]);
        let result = if bulk.len() > 1 { work.accounts(next, bulk).await } else { work.step(next, step).await };
        if let Err((at, failure)) = result {
            work.outcome.stopped = Some((at, failure));
            break;
        }
        next += bulk.len().max(1);
    }
    work.outcome
}

/// The new mailboxes at the beginning of some steps.
fn bulk(steps: &[Step]) -> &[Step] {
    let is_new = |step: &Step| step.section == Section::Accounts && matches!(step.change, Change::Create(_));
    let count = steps.iter().take(BULK_MAX).take_while(|step| is_new(step)).count();
    &steps[..count]
}

fn ids(names: &Names) -> BTreeMap<Section, BTreeMap<String, String>> {
    let by_key = |names: &BTreeMap<String, String>| names.iter().map(|(id, key)| (key.clone(), id.clone())).collect();
    names.iter().map(|(section, names)| (*section, by_key(names))).collect()
}

struct Work<'a> {
    servers: &'a Servers,
    /// Ids by name: those that were read, and those of what is made on the way.
    ids: BTreeMap<Section, BTreeMap<String, String>>,
    outcome: Outcome,
}

type Stopped = (usize, Failure);

impl Work<'_> {
    async fn step(&mut self, index: usize, step: &Step) -> Result<(), Stopped> {
        self.request(step).await.map_err(|failure| (index, failure))?;
        self.outcome.done.insert(index);
        Ok(())
    }

    async fn request(&mut self, step: &Step) -> Result<(), Failure> {
        let section = step.section;
        let (api, path) = (self.servers.ask(section)?, path(section));
        match &step.change {
            Change::Create(fields) => {
                let answer = match section {
                    Section::Accounts => api.post(&["connect", "custom"], &self.new_account(step)?).await?,
                    _ => api.post(&[path], &self.new_thing(step, fields)?).await?,
                };
                self.made(step, &answer.data());
            }
            Change::Update(changes) => {
                let (apart, together): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.field == BREAKERS);
                for breakers in apart {
                    let path = [path, self.id(section, &step.key)?, BREAKERS];
                    api.put(&path, &json!({ BREAKERS: breakers.after })).await?;
                }
                if together.is_empty() {
                    return Ok(());
                }
                let fields = together.iter().map(|change| (&change.field, &change.after));
                let body = self.body(section, fields)?;
                let method = match section {
                    Section::Workspaces | Section::Accounts => Method::PATCH,
                    _ => Method::PUT,
                };
                api.ask(method, &[path, self.id(section, &step.key)?], &[], Some(&body)).await?;
            }
            Change::Items { added, removed } => {
                let path = [path, self.id(section, &step.key)?, "items"];
                for (method, items) in [(Method::POST, added), (Method::DELETE, removed)] {
                    for items in items.chunks(ITEMS_MAX) {
                        api.ask(method.clone(), &path, &[], Some(&json!({ "items": items }))).await?;
                    }
                }
            }
            Change::Delete => {
                api.delete(&[path, self.id(section, &step.key)?]).await?;
            }
        }
        Ok(())
    }

    /// Many mailboxes at once. Each is judged by itself: what was made stays, whatever became of the others.
    async fn accounts(&mut self, first: usize, steps: &[Step]) -> Result<(), Stopped> {
        let stop = |failure| (first, failure);
        let api = self.servers.ask(Section::Accounts).map_err(stop)?;
        let bodies = steps.iter().map(|step| self.new_account(step)).collect::<Result<Vec<_>, _>>().map_err(stop)?;
        let answer = api.post(&["grants", "bulk"], &json!({ "grants": bodies })).await.map_err(stop)?.data();
        let results = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut refused = None;
        for (offset, step) in steps.iter().enumerate() {
            let result = results.get(offset).unwrap_or(&Value::Null);
            if result["grant"].is_object() {
                self.made(step, &result["grant"]);
                self.outcome.done.insert(first + offset);
            } else {
                refused.get_or_insert_with(|| (first + offset, refusal(result)));
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn made(&mut self, step: &Step, thing: &Value) {
        let id = if step.section == Section::Workspaces { &thing["workspace_id"] } else { &thing["id"] };
        let ids = self.ids.entry(step.section).or_default();
        ids.insert(step.key.clone(), id.as_str().unwrap_or_default().to_owned());
        if let Some(secret) = thing["webhook_secret"].as_str() {
            self.outcome.secrets.push((step.key.clone(), secret.to_owned()));
        }
    }

    fn new_thing(&self, step: &Step, fields: &BTreeMap<String, Value>) -> Result<Value, Failure> {
        let mut body = self.body(step.section, fields)?;
        body[step.section.key_field()] = json!(step.key);
        Ok(body)
    }

    fn new_account(&self, step: &Step) -> Result<Value, Failure> {
        let Change::Create(fields) = &step.change else { return Ok(Value::Null) };
        let mut body = self.body(step.section, fields.iter().filter(|(_, value)| !value.is_null()))?;
        body["provider"] = json!("nylas");
        body["settings"] = json!({ "email": step.key });
        Ok(body)
    }

    /// The fields of a request: groups in each other, ids for names.
    fn body<'f>(
        &self,
        section: Section,
        fields: impl IntoIterator<Item = (&'f String, &'f Value)>,
    ) -> Result<Value, Failure> {
        let mut body = Map::new();
        for (field, value) in fields {
            let value = self.with_ids(section, field, value)?;
            let groups = section.fields().iter().filter(|known| known.is_group());
            let group = groups
                .map(|known| known.name)
                .find(|name| field.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
            match group.and_then(|group| Some((group, field.strip_prefix(group)?.strip_prefix('.')?))) {
                Some((group, inner)) => {
                    let group = body.entry(group).or_insert_with(|| json!({}));
                    group[inner] = value;
                }
                None => drop(body.insert(on_the_wire(section, field).to_owned(), value)),
            }
        }
        Ok(Value::Object(body))
    }

    fn with_ids(&self, section: Section, field: &str, value: &Value) -> Result<Value, Failure> {
        match (section, field) {
            (Section::Workspaces, "policy") => self.one(Section::Policies, value),
            (Section::Workspaces, "rules") => self.many(Section::Rules, value),
            (Section::Accounts, "workspace") => self.one(Section::Workspaces, value),
            (Section::Rules, "match") => {
                let mut matching = value.clone();
                for condition in matching["conditions"].as_array_mut().into_iter().flatten() {
                    if condition["operator"] == "in_list" {
                        condition["value"] = self.many(Section::Lists, &condition["value"])?;
                    }
                }
                Ok(matching)
            }
            _ => Ok(value.clone()),
        }
    }

    fn one(&self, section: Section, name: &Value) -> Result<Value, Failure> {
        name.as_str().map_or(Ok(Value::Null), |name| Ok(json!(self.id(section, name)?)))
    }

    fn many(&self, section: Section, names: &Value) -> Result<Value, Failure> {
        let names = names.as_array().into_iter().flatten();
        Ok(Value::Array(names.map(|name| self.one(section, name)).collect::<Result<_, _>>()?))
    }

    fn id(&self, section: Section, key: &str) -> Result<&str, Failure> {
        let found = self.ids.get(&section).and_then(|ids| ids.get(key)).filter(|id| !id.is_empty());
        found.map(String::as_str).ok_or_else(|| Failure::Local(format!("the {} {key} has no id", section.one())))
    }
}

/// Why one mailbox of many was refused. The status is that of a refusal of a single one.
fn refusal(result: &Value) -> Failure {
    let error = &result["error"];
    let text = |field: &str| error[field].as_str().map(str::to_owned);
    Failure::Refused(Box::new(Refusal {
        status: 400,
        code: text("code").unwrap_or_default(),
        message: text("message").unwrap_or_else(|| "the server did not say what became of it".to_owned()),
        field: text("field"),
        ..Refusal::default()
    }))
}
