pub(crate) mod attachments;
pub(crate) mod bulk;
pub(crate) mod clean;
pub(crate) mod drafts;
pub(crate) mod explain;
pub(crate) mod explain_inbound;
pub(crate) mod feedback;
pub(crate) mod folders;
pub(crate) mod grant;
pub(crate) mod imports;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod message_changes;
pub(crate) mod messages;
mod odd_mail;
mod rates;
mod refusals;
pub(crate) mod refused_mail;
pub(crate) mod retention;
pub(crate) mod rule_evaluations;
pub(crate) mod schedules;
mod search;
pub(crate) mod send;
mod send_form;
mod send_mime;
mod send_once;
pub(crate) mod send_rules;
pub(crate) mod send_with_key;
pub(crate) mod signatures;
pub(crate) mod submission;
mod thread_filters;
pub(crate) mod threads;
pub(crate) mod usage;
pub(crate) mod wait;

pub(crate) const ROUTES: &[&[&str]] = &[
    attachments::ROUTES,
    UNSUPPORTED,
    wait::ROUTES,
    bulk::ROUTES,
    clean::ROUTES,
    drafts::ROUTES,
    explain::ROUTES,
    explain_inbound::ROUTES,
    feedback::ROUTES,
    folders::ROUTES,
    grant::ROUTES,
    imports::ROUTES,
    limits::ROUTES,
    list::ROUTES,
    message_changes::ROUTES,
    messages::ROUTES,
    refused_mail::ROUTES,
    retention::ROUTES,
    rule_evaluations::ROUTES,
    schedules::ROUTES,
    send::ROUTES,
    signatures::ROUTES,
    threads::ROUTES,
    usage::ROUTES,
];

/// Routes that are always refused; `edges.rs` asks them.
const UNSUPPORTED: &[&str] = &[
    "POST /v3/grants/{grant}/attachment-uploads",
    "POST /v3/grants/{grant}/attachment-uploads/{upload}/complete",
    "POST /v3/grants/{grant}/messages/smart-compose",
    "POST /v3/grants/{grant}/messages/{message}/smart-compose",
];
