//! Reading what a server has: only the sections that a file needs, page by page, nothing twice.

use super::document::{BREAKERS, Kind, Section};
use super::spelling::normal;
use super::state::{Names, State, id_of, key_of};
use crate::client::Api;
use crate::failure::Failure;
use crate::session::Session;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The server, asked with the key that each section needs.
pub struct Servers {
    application: Result<Api, Failure>,
    operator: Result<Api, Failure>,
}

/// What was read: the state, and the ids for what is to be changed.
#[derive(Default)]
pub struct Fetched {
    /// What the server has.
    pub state: State,
    /// Names by id, for the sections that were read.
    pub names: Names,
}

/// What is to be read.
#[derive(Default)]
pub struct Wanted {
    /// These sections.
    pub sections: BTreeSet<Section>,
    /// Items of these lists; of all if there is nothing here.
    pub items_of: Option<BTreeSet<String>>,
    /// Breakers of these workspaces; of all if there is nothing here.
    pub breakers_of: Option<BTreeSet<String>>,
}

impl Servers {
    /// Those of a session. A key that is missing is missed when it is needed.
    pub fn of(session: &Session<'_, '_>) -> Self {
        Self { application: session.application(), operator: session.operator() }
    }

    /// Whether there is a key for a section.
    pub fn can_ask(&self, section: Section) -> bool {
        self.of_section(section).is_ok()
    }

    /// The server for a section: domains are of the organization, everything else of an application.
    pub fn ask(&self, section: Section) -> Result<&Api, Failure> {
        self.of_section(section).as_ref().map_err(|failure| Failure::Usage(failure.to_string()))
    }

    fn of_section(&self, section: Section) -> &Result<Api, Failure> {
        if section == Section::Domains { &self.operator } else { &self.application }
    }
}

/// Reads some sections, those first that others name things of.
pub async fn fetch(servers: &Servers, wanted: &Wanted) -> Result<Fetched, Failure> {
    let mut fetched = Fetched::default();
    for section in &wanted.sections {
        let api = servers.ask(*section)?;
        let things = things(api, *section).await?;
        fetched.state.add(*section, &things, &fetched.names);
        let names: BTreeMap<String, String> =
            things.iter().map(|thing| (id_of(*section, thing), key_of(*section, thing))).collect();
        fetched.names.insert(*section, names);
        if *section == Section::Lists {
            items(api, &mut fetched.state, wanted).await?;
        }
        if *section == Section::Workspaces {
            breakers(api, &mut fetched.state, wanted).await?;
        }
    }
    Ok(fetched)
}

/// Where the things of a section are.
pub const fn path(section: Section) -> &'static str {
    match section {
        Section::Accounts => "grants",
        section => section.name(),
    }
}

async fn things(api: &Api, section: Section) -> Result<Vec<Value>, Failure> {
    let path = [path(section)];
    match section {
        Section::Workspaces | Section::Webhooks => match api.get(&path).await?.data() {
            Value::Array(things) => Ok(things),
            _ => Ok(Vec::new()),
        },
        Section::Accounts => {
            // Oldest first: what is made meanwhile comes at the end, and moves nothing.
            let order = [("sort_by", "created_at".to_owned()), ("order_by", "asc".to_owned())];
            let mut things = api.offset_list(&path, &order, None).await?.items;
            let mut known = BTreeSet::new();
            things.retain(|thing| known.insert(id_of(section, thing)));
            Ok(things)
        }
        _ => Ok(api.list(&path, &[], None).await?.items),
    }
}

async fn items(api: &Api, state: &mut State, wanted: &Wanted) -> Result<(), Failure> {
    for held in state.sections.get_mut(&Section::Lists).into_iter().flatten() {
        if wanted.items_of.as_ref().is_some_and(|lists| !lists.contains(&held.key)) {
            continue;
        }
        let items = api.list(&[path(Section::Lists), &held.id, "items"], &[], None).await?.items;
        held.items = Some(items.iter().filter_map(|item| item["value"].as_str().map(str::to_owned)).collect());
    }
    Ok(())
}

async fn breakers(api: &Api, state: &mut State, wanted: &Wanted) -> Result<(), Failure> {
    for held in state.sections.get_mut(&Section::Workspaces).into_iter().flatten() {
        if wanted.breakers_of.as_ref().is_some_and(|workspaces| !workspaces.contains(&held.key)) {
            continue;
        }
        let answer = api.get(&[path(Section::Workspaces), &held.id, BREAKERS]).await?.data();
        held.fields.insert(BREAKERS.to_owned(), normal(&Kind::Breakers, &answer[BREAKERS]));
    }
    Ok(())
}
