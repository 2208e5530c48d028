//! The router: rules of an application by which events are given to subjects of the bus. Managing them, asking them, and
//! saying what they would say.

use crate::platform::Platform;
use crate::webhooks;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::event_route::{
    self, EventRoute, Facts, Matcher, PRIORITY_MAX, PRIORITY_USUAL, ROUTES_MAX, VALUES_MAX, check_subject, in_order,
};
use postfleet_core::id::{ApplicationId, EventId, EventRouteId, GrantId};
use postfleet_core::{Problem, ProblemKind, metadata};
use postfleet_schema::event_route as schema;
use postfleet_store::event_routes::{self, CreateRoute, RemoveRoute, StoredRoute, UpdateRoute};
use postfleet_store::events::{self, Event};
use postfleet_store::grants::{self, Grant};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a name.
const NAME_CHARS_MAX: usize = 256;

/// Makes a rule.
pub async fn create(
    platform: &Platform,
    act: Act,
    application_id: ApplicationId,
    request: schema::CreateRoute,
) -> Result<StoredRoute, Problem> {
    let schema::CreateRoute { name: called, priority, enabled, r#match, subject } = request;
    check_subject("subject", &subject)?;
    let now = act.at;
    let route = EventRoute {
        id: EventRouteId::new(now, platform.entropy.ten()),
        priority: priority.map_or(Ok(PRIORITY_USUAL), check_priority)?,
        enabled: enabled.unwrap_or(true),
        matcher: r#match.map_or(Ok(Matcher::default()), matcher)?,
        subject,
    };
    let name = called.map_or_else(|| Ok(route.subject.clone()), name)?;
    let stored = StoredRoute { application_id, name, route, created_at: now, updated_at: now };
    if platform.store.run(CreateRoute { act, stored: stored.clone() }).await? {
        return Ok(stored);
    }
    let text = format!("an application may have at most {ROUTES_MAX} routes");
    Err(Problem::new(ProblemKind::Conflict, "routes_max_reached", text))
}

/// Changes a rule; what the request does not name stays.
pub async fn update(
    platform: &Platform,
    act: Act,
    (application_id, id): (ApplicationId, EventRouteId),
    request: schema::UpdateRoute,
) -> Result<StoredRoute, Problem> {
    let schema::UpdateRoute { name: called, priority, enabled, r#match, subject } = request;
    if let Some(subject) = &subject {
        check_subject("subject", subject)?;
    }
    let change = UpdateRoute {
        act,
        application_id,
        id,
        name: called.map(name).transpose()?,
        priority: priority.map(check_priority).transpose()?,
        enabled,
        matcher: r#match.try_map(matcher)?,
        subject,
    };
    platform.store.run(change).await?.ok_or_else(Problem::not_found)
}

/// Removes a rule.
pub async fn remove(
    platform: &Platform,
    act: Act,
    application_id: ApplicationId,
    id: EventRouteId,
) -> Result<(), Problem> {
    let removed = platform.store.run(RemoveRoute { act, application_id, id }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// An application's rules, in the order in which they are asked.
pub async fn list(platform: &Platform, application: ApplicationId) -> Result<Vec<StoredRoute>, Problem> {
    let mut found = event_routes::list(&mut platform.store.reader().await?, application).await?;
    found.sort_by_key(|stored| (stored.route.priority, stored.route.id));
    Ok(found)
}

/// One rule of an application.
pub async fn find(platform: &Platform, application: ApplicationId, id: EventRouteId) -> Result<StoredRoute, Problem> {
    let found = event_routes::find(&mut platform.store.reader().await?, application, id).await?;
    found.ok_or_else(Problem::not_found)
}

/// Shows a rule.
pub fn show(stored: &StoredRoute) -> schema::Route {
    let Matcher { trigger, recipient, from_domain, workspace_id, grant_id, metadata, folder } =
        stored.route.matcher.clone();
    schema::Route {
        id: stored.route.id.to_string(),
        name: stored.name.clone(),
        priority: stored.route.priority,
        enabled: stored.route.enabled,
        r#match: schema::RouteMatch { trigger, recipient, from_domain, workspace_id, grant_id, metadata, folder },
        subject: stored.route.subject.clone(),
        created_at: stored.created_at.as_seconds(),
        updated_at: stored.updated_at.as_seconds(),
    }
}

fn name(name: String) -> Result<String, Problem> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::invalid("name", format!("name must have 1 to {NAME_CHARS_MAX} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "name must not have control characters"));
    }
    Ok(name)
}

fn check_priority(priority: i64) -> Result<i64, Problem> {
    let wrong = || Problem::invalid("priority", format!("priority must be a whole number from 0 to {PRIORITY_MAX}"));
    if (0..=PRIORITY_MAX).contains(&priority) { Ok(priority) } else { Err(wrong()) }
}

fn matcher(wanted: schema::RouteMatch) -> Result<Matcher, Problem> {
    let schema::RouteMatch { trigger, recipient, from_domain, workspace_id, grant_id, metadata, folder } = wanted;
    Matcher { trigger, recipient, from_domain, workspace_id, grant_id, metadata, folder }.checked("match")
}

/// Says which rule an event would meet, and why not the others.
pub async fn test(
    platform: &Platform,
    application: ApplicationId,
    request: schema::TestRoutes,
) -> Result<schema::RouteTrial, Problem> {
    let facts = match request.event_id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => logged(platform, application, id).await?,
        None => imagined(platform, application, request).await?,
    };
    let routes = list(platform, application).await?;
    let asked: Vec<_> = routes.iter().map(|stored| asked(stored, &facts)).collect();
    let met = routes.iter().zip(&asked).find(|(_, asked)| asked.enabled && asked.matches).map(|(stored, _)| stored);
    Ok(schema::RouteTrial {
        route_id: met.map(|stored| stored.route.id.to_string()),
        subject: met.map(|stored| stored.route.subject.clone()),
        routes: asked,
    })
}

fn asked(stored: &StoredRoute, facts: &Facts) -> schema::AskedRoute {
    let unmet = stored.route.matcher.unmet(facts);
    schema::AskedRoute {
        route_id: stored.route.id.to_string(),
        name: stored.name.clone(),
        enabled: stored.route.enabled,
        matches: unmet.is_empty(),
        unmet,
    }
}

/// What is known of an event of the log.
async fn logged(platform: &Platform, application: ApplicationId, id: &str) -> Result<Facts, Problem> {
    let unknown = || Problem::invalid("event_id", "event_id must be the id of an event of the log");
    let id: EventId = id.parse().map_err(|_| unknown())?;
    let found = events::find(&mut platform.store.reader().await?, id).await?;
    let event = found.filter(|event| event.event.application_id == application).ok_or_else(unknown)?;
    let body = webhooks::notification(platform, &event).await?;
    let places = places(platform, application, std::iter::once(&event)).await?;
    Ok(facts(&event, &body, &places))
}

/// What would be known of an event as the request describes it.
async fn imagined(
    platform: &Platform,
    application: ApplicationId,
    request: schema::TestRoutes,
) -> Result<Facts, Problem> {
    let schema::TestRoutes { trigger, recipient, from, grant_id, metadata, folder, .. } = request;
    for (field, values) in [("recipient", &recipient), ("from", &from), ("folder", &folder)] {
        if values.len() > VALUES_MAX {
            return Err(Problem::invalid(field, format!("{field} must have at most {VALUES_MAX} values")));
        }
    }
    metadata::check(metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())))?;
    let name = trigger.filter(|name| !name.is_empty()).unwrap_or_else(|| Trigger::MessageCreated.name().to_owned());
    let trigger = Trigger::subscribed_as(&name);
    let trigger = trigger.ok_or_else(|| Problem::invalid("trigger", "trigger must be the name of an event"))?;
    let (mut grant, mut workspace) = (None, None);
    if let Some(id) = grant_id.filter(|id| !id.is_empty()) {
        let unknown = || Problem::invalid("grant_id", "grant_id must be the id of a mailbox");
        let id: GrantId = id.parse().map_err(|_| unknown())?;
        let found = grants::find(&mut platform.store.reader().await?, application, id).await?.ok_or_else(unknown)?;
        (grant, workspace) = (Some(id), found.workspace_id);
    }
    let trigger = trigger.name().to_owned();
    Ok(Facts { trigger, grant, workspace, recipients: recipient, from, folders: folder, metadata })
}

/// Where mailboxes are: the workspace of each and its address.
type Places = BTreeMap<GrantId, Grant>;

/// The rules of the applications of some events, with what they have to know of mailboxes.
#[derive(Debug, Default)]
pub(super) struct Book {
    routes: BTreeMap<ApplicationId, Vec<EventRoute>>,
    places: Places,
}

impl Book {
    /// Reads what these events may be given to.
    pub(super) async fn of(platform: &Platform, events: &[Event]) -> Result<Self, Problem> {
        let mut book = Self::default();
        if events.is_empty() {
            return Ok(book);
        }
        let mut reader = platform.store.reader().await?;
        if !event_routes::any(&mut reader).await? {
            return Ok(book);
        }
        let applications: BTreeSet<ApplicationId> = events.iter().map(|event| event.event.application_id).collect();
        for application in applications {
            let routes = event_routes::list(&mut reader, application).await?;
            if routes.is_empty() {
                continue;
            }
            let of_application = events.iter().filter(|event| event.event.application_id == application);
            book.routes.insert(application, in_order(routes.into_iter().map(|stored| stored.route).collect()));
            book.places.extend(places(platform, application, of_application).await?);
        }
        Ok(book)
    }

    /// Whether nobody has a rule.
    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The subject that an event is given to, behind the application; `body` is what is told of it.
    pub(super) fn subject(&self, event: &Event, body: &[u8]) -> Option<String> {
        let routes = self.routes.get(&event.event.application_id)?;
        let facts = facts(event, body, &self.places);
        event_route::first(routes, &facts).map(|route| route.subject.clone())
    }
}

/// Where the mailboxes of some events of an application are.
async fn places<'a>(
    platform: &Platform,
    application: ApplicationId,
    events: impl Iterator<Item = &'a Event>,
) -> Result<Places, Problem> {
    let ids: BTreeSet<GrantId> = events.map(|event| event.event.grant_id).filter(|id| !id.uuid().is_nil()).collect();
    let mut reader = platform.store.reader().await?;
    let mut places = Places::new();
    for id in ids {
        if let Some(grant) = grants::find(&mut reader, application, id).await? {
            places.insert(id, grant);
        }
    }
    Ok(places)
}

/// What rules see of an event: what is told of it, and where its mailbox is.
fn facts(event: &Event, body: &[u8], places: &Places) -> Facts {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let object = &body["data"]["object"];
    let people = |fields: &[&str]| -> Vec<String> {
        let lists = fields.iter().filter_map(|field| object[field].as_array());
        lists.flatten().filter_map(|one| one["email"].as_str().map(str::to_owned)).collect()
    };
    let new = &event.event;
    let grant = Some(new.grant_id).filter(|id| !id.uuid().is_nil());
    let place = grant.and_then(|id| places.get(&id));
    let mut recipients = people(&["to", "cc", "bcc"]);
    if new.trigger == Trigger::MessageCreated
        && let Some(place) = place
    {
        // Also who is not named in the message gets it, if it is their mailbox.
        recipients.push(place.email.to_string());
    }
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let pairs = object["metadata"].as_object().into_iter().flatten();
    Facts {
        trigger: new.trigger.name().to_owned(),
        grant,
        workspace: place.and_then(|place| place.workspace_id),
        recipients,
        from: people(&["from"]),
        folders: texts(&object["folders"]),
        metadata: pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
    }
}
