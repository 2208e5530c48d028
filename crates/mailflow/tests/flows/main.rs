//! The flows in one process: real commands, real bodies, sockets on loopback, and a clock that is moved by hand.

mod support;

mod alerts;
mod authentication;
mod bus;
mod bus_sends;
mod deliver;
mod destinations;
mod dmarc_reports;
mod domains;
mod drafts;
mod feedback;
mod forgeries;
mod forgery_kinds;
mod hooks_failing;
mod janitor;
mod jobs;
mod loops;
mod protection;
mod receive;
mod recount;
mod routes;
mod schedules;
mod search;
mod spam;
mod sparse;
mod stops;
mod streams;
mod suppression;
mod webhooks;
mod webhooks_attempts;
mod webhooks_beside;
mod webhooks_outage;
mod webhooks_replay;
mod webhooks_told;
