//! What operations are grouped by: the resource.

use crate::route::{Needs, Route};
use utoipa::openapi::tag::{Tag, TagBuilder};

/// Groups in the order in which they are shown. A route belongs to the group with the longest path that it begins with;
/// without one to the group that has the name of its permission's resource.
const TAGS: &[(&str, &str, &[&str])] = &[
    ("grants", "Mailboxes, which the interface calls grants.", &["/v3/grants"]),
    ("messages", "Mail in a mailbox, and sending.", &["/v3/grants/{grant}/messages"]),
    ("signatures", "What stands under the messages of a mailbox.", &["/v3/grants/{grant}/signatures"]),
    (
        "templates",
        "What messages are made of, for an application or for one mailbox.",
        &["/v3/templates", "/v3/grants/{grant}/templates"],
    ),
    ("threads", "Conversations.", &["/v3/grants/{grant}/threads"]),
    ("folders", "Folders of a mailbox.", &["/v3/grants/{grant}/folders"]),
    (
        "attachments",
        "Files in messages.",
        &[
            "/v3/grants/{grant}/attachments",
            "/v3/grants/{grant}/attachment-uploads",
            "/v3/grants/{grant}/messages/{message}/attachments",
        ],
    ),
    (
        "feedback",
        "What came back about messages that were sent.",
        &["/v3/grants/{grant}/feedback", "/v3/admin/feedback"],
    ),
    (
        "holds",
        "Sends that wait for their quota, or for somebody to approve them.",
        &["/v3/holds", "/v3/grants/{grant}/holds"],
    ),
    ("queue", "What is on its way out: where it stands, what was tried, what destinations said.", &[]),
    (
        "suppressions",
        "Addresses that are not written to, and looking at addresses before anything is.",
        &["/v3/suppressions", "/v3/addresses", "/v3/unsubscribe"],
    ),
    (
        "opt_ins",
        "Asking somebody whether they want mail for a purpose, and the proof of what they said.",
        &["/v3/opt-ins", "/v3/opt-in", "/v3/grants/{grant}/opt-ins"],
    ),
    ("webhooks", "Who is told of events, and where.", &["/v3/webhooks"]),
    ("workspaces", "Groups of mailboxes that share a policy.", &[]),
    ("policies", "Limits and settings for the mailboxes of a workspace.", &[]),
    (
        "sender_pools",
        "Mailboxes among which volume is split, and sending from whichever is best placed.",
        &["/v3/sender-pools"],
    ),
    (
        "raises",
        "Higher quotas for a while, asked for by one key and granted by another.",
        &["/v3/raises", "/v3/grants/{grant}/raises", "/v3/workspaces/{workspace}/raises"],
    ),
    (
        "recoveries",
        "Coming back from a pause: asking with cause and fix, and deciding.",
        &["/v3/grants/{grant}/recoveries", "/v3/admin/recoveries"],
    ),
    (
        "stops",
        "Who may not send, and why: switches, abuse restrictions, pauses, breakers.",
        &["/v3/stops", "/v3/admin/stops", "/v3/admin/restrictions"],
    ),
    (
        "activity",
        "What became of what was sent, recipient by recipient, and its figures.",
        &["/v3/activity", "/v3/metrics"],
    ),
    ("events", "The log of what happened, as webhooks and alerts are told of it.", &["/v3/events"]),
    ("routes", "Rules by which events are given to subjects of the message bus.", &["/v3/routes"]),
    ("bus", "Sends that came by the message bus.", &["/v3/bus"]),
    ("alerts", "Who is told by e-mail or chat when a quota is crossed or a raise asked for.", &["/v3/alerts"]),
    ("rules", "What happens to mail, by who sends it and to whom, and why it happened.", &[]),
    ("lists", "Domains, top-level domains and addresses in which rules look things up.", &[]),
    ("domains", "Domains for addresses, the records to publish, and signing keys.", &[]),
    ("connectors", "Where mailboxes come from.", &[]),
    ("sign-in", "Access tokens for one mailbox, by way of OAuth.", &["/v3/connect"]),
    ("applications", "Applications: the tenants of an organization.", &[]),
    ("keys", "Keys of applications and operators, and service accounts.", &[]),
    ("organizations", "Organizations and their plans.", &[]),
    ("audit", "Who changed what.", &[]),
    ("tls_reports", "How encryption towards other mail servers went.", &[]),
    ("documents", "This description.", &["/openapi.json", "/reference"]),
    ("node", "The node itself, for load balancers and monitoring.", &["/health", "/metrics"]),
];

/// The group of a route.
pub(super) fn of(route: &Route) -> &'static str {
    let resource = match route.needs {
        Needs::Application(permission) | Needs::Organization(permission) => permission.split('.').next(),
        Needs::Nothing => None,
    };
    // Making a mailbox is below `connect` as signing in is, and belongs to mailboxes by its permission.
    let by_permission = resource.filter(|resource| TAGS.iter().any(|(name, ..)| name == resource));
    let longest =
        |prefixes: &[&str]| prefixes.iter().filter(|path| route.path.starts_with(**path)).map(|path| path.len()).max();
    let by_path = TAGS.iter().filter_map(|(name, _, prefixes)| Some((longest(prefixes)?, *name))).max();
    match (by_path, by_permission) {
        (Some((_, "sign-in")), Some(resource)) | (None, Some(resource)) => resource,
        (Some((_, name)), _) => name,
        (None, None) => resource.unwrap_or("other"),
    }
}

/// The groups that some routes belong to, in order.
pub(super) fn used(routes: &[Route]) -> Vec<Tag> {
    let used: Vec<_> = routes.iter().map(of).collect();
    let tags = TAGS.iter().filter(|(name, ..)| used.contains(name));
    tags.map(|(name, text, _)| TagBuilder::new().name(*name).description(Some(*text)).build()).collect()
}
