//! One file per resource: its routes and their handlers. A handler reads the request, calls one function of the layers
//! below, and shows its answer.

pub(crate) mod activity;
pub(crate) mod addresses;
pub(crate) mod alert_rules;
pub(crate) mod alerts;
pub(crate) mod applications;
pub(crate) mod attachments;
pub(crate) mod audit;
pub(crate) mod breakers;
pub(crate) mod bus;
pub(crate) mod clean;
pub(crate) mod connectors;
pub(crate) mod destinations;
pub(crate) mod domain_health;
pub(crate) mod domains;
pub(crate) mod drafts;
pub(crate) mod evaluations;
pub(crate) mod event_routes;
pub(crate) mod event_stream;
mod events;
pub(crate) mod explain;
pub(crate) mod explain_inbound;
pub(crate) mod feedback;
pub(crate) mod folders;
pub(crate) mod grants;
pub(crate) mod holds;
pub(crate) mod imports;
pub(crate) mod keys;
pub(crate) mod layout;
pub(crate) mod lists;
pub(crate) mod messages;
pub(crate) mod node;
pub(crate) mod openapi;
pub(crate) mod opt_ins;
pub(crate) mod organizations;
pub(crate) mod policies;
pub(crate) mod queue;
pub(crate) mod raises;
pub(crate) mod recoveries;
pub(crate) mod refused_mail;
pub(crate) mod reputation;
pub(crate) mod retention;
pub(crate) mod rules;
pub(crate) mod schedules;
pub(crate) mod send;
pub(crate) mod send_metrics;
pub(crate) mod sender_pools;
pub(crate) mod sign_in;
mod sign_in_page;
pub(crate) mod signatures;
pub(crate) mod stops;
pub(crate) mod suppressions;
pub(crate) mod templates;
pub(crate) mod threads;
pub(crate) mod tls_reports;
pub(crate) mod unsubscribe;
pub(crate) mod unsupported;
pub(crate) mod usage;
pub(crate) mod wait;
pub(crate) mod warm_ups;
pub(crate) mod webhook_attempts;
pub(crate) mod webhook_replays;
pub(crate) mod webhooks;
pub(crate) mod workspaces;

use crate::call::Call;
use crate::route::{Needs, Route};
use postfleet_core::Problem;
use postfleet_core::id::GrantId;
use postfleet_fleet::grants as fleet_grants;
use postfleet_store::grants::Grant;
use std::borrow::Cow;

/// The table of all routes.
pub(crate) fn all() -> Vec<Route> {
    [
        organizations::routes(),
        applications::routes(),
        keys::routes(),
        audit::routes(),
        tls_reports::routes(),
        domains::routes(),
        warm_ups::routes(),
        domain_health::routes(),
        connectors::routes(),
        grants::routes(),
        reputation::routes(),
        sign_in::routes(),
        workspaces::routes(),
        breakers::routes(),
        layout::routes(),
        policies::routes(),
        raises::routes(),
        recoveries::routes(),
        alerts::routes(),
        alert_rules::routes(),
        bus::routes(),
        event_routes::routes(),
        events::routes(),
        event_stream::routes(),
        activity::routes(),
        send_metrics::routes(),
        rules::routes(),
        lists::routes(),
        evaluations::routes(),
        refused_mail::routes(),
        explain::routes(),
        explain_inbound::routes(),
        messages::routes(),
        wait::routes(),
        clean::routes(),
        send::routes(),
        sender_pools::routes(),
        schedules::routes(),
        holds::routes(),
        drafts::routes(),
        signatures::routes(),
        templates::routes(),
        feedback::routes(),
        queue::routes(),
        destinations::routes(),
        stops::routes(),
        suppressions::routes(),
        addresses::routes(),
        unsubscribe::routes(),
        opt_ins::routes(),
        usage::routes(),
        retention::routes(),
        imports::routes(),
        threads::routes(),
        folders::routes(),
        attachments::routes(),
        unsupported::routes(),
        webhooks::routes(),
        webhook_replays::routes(),
        webhook_attempts::routes(),
        openapi::routes(),
        node::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Method and path of every route, for documents and for tests that hold for all.
pub fn table() -> Vec<(&'static str, &'static str)> {
    facts().into_iter().map(|route| (route.method, route.path)).collect()
}

/// What tests that hold for all routes have to know of one.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// Its path, with `{names}` for what is open.
    pub path: &'static str,
    /// Whose credential it wants, with which permission.
    pub needs: Needs,
    /// Whether it reads a body.
    pub takes_body: bool,
    /// Whether it waits for something to happen, unless it is asked with `timeout=0`.
    pub waits: bool,
}

/// The table of all routes as tests see it.
pub fn facts() -> Vec<Facts> {
    let of = |route: Route| Facts {
        method: route.method,
        path: route.path,
        needs: route.needs,
        takes_body: route.body.is_some(),
        waits: route.waits,
    };
    all().into_iter().map(of).collect()
}

impl Call {
    /// The mailbox that the path names first; `me` is that of the caller's access token.
    async fn grant(&self) -> Result<Grant, Problem> {
        let found = fleet_grants::find(&self.platform.store, self.application, &self.named_mailbox()).await?;
        self.reaches(found.id)?;
        Ok(found)
    }

    /// The same where nothing of it has to be known.
    async fn mailbox(&self) -> Result<GrantId, Problem> {
        let found = fleet_grants::find_id(&self.platform.store, self.application, &self.named_mailbox()).await?;
        self.reaches(found)?;
        Ok(found)
    }

    fn named_mailbox(&self) -> Cow<'_, str> {
        match (self.path[0].as_str(), self.caller.grant) {
            ("me", Some(own)) => own.to_string().into(),
            (segment, _) => segment.into(),
        }
    }

    /// Refuses a mailbox that the caller's token does not speak for, and one that is asked for too often.
    fn reaches(&self, found: GrantId) -> Result<(), Problem> {
        // A token of one mailbox sees no other.
        if self.caller.grant.is_some_and(|own| own != found) {
            return Err(Problem::not_found());
        }
        self.rate.of_mailbox(&self.platform, found)
    }

    /// An id that the path names; text that is no id names nothing.
    fn id_at<T: std::str::FromStr>(&self, index: usize) -> Result<T, Problem> {
        self.path[index].parse().map_err(|_| Problem::not_found())
    }
}
