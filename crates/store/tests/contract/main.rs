//! The contract of the store: what its commands and reads promise, checked on SQLite and on PostgreSQL alike.
//!
//! A case is a function of an open store and knows nothing of the engine; `support` opens both. `model` is the same
//! semantics over plain maps, and `programs` compares the two after random sequences of commands.

mod breakers;
mod rule_case;
mod support;

// what the commands promise
mod acquaintance;
mod activity;
mod bus;
mod connectors;
mod deliver;
mod destinations;
mod dmarc_reports;
mod domain_outside;
mod domains;
mod drafts;
mod evaluations;
mod events;
mod folder_programs;
mod gaps;
mod governing;
mod grants;
mod held;
mod imports;
mod jobs;
mod judging;
mod key_use;
mod lag;
mod lanes;
mod letters;
mod listing;
mod lists;
mod metadata;
mod meters;
mod moves;
mod once;
mod opt_ins;
mod past;
mod peaks;
mod policies;
mod provisioning;
mod purge;
mod queue;
mod raises;
mod rates;
mod readers;
mod readings;
mod received_rules;
mod recount;
mod recoveries;
mod refused_mail;
mod removal;
mod retention;
mod routes;
mod rules;
mod search;
mod sender_pools;
mod sign_in;
mod spam;
mod standing;
mod stops;
mod stops_moved;
mod stops_reach;
mod submit;
mod suppressions;
mod tenancy;
mod thread_totals;
mod threading;
mod warm_ups;
mod webhook_attempts;
mod webhooks;
mod workspaces;

// what the engines promise
mod blobs;
mod failing;
mod feedback;
mod full;
mod replays;
mod reputation;
mod schema;
mod send_events;
mod send_sums;

// everything together
mod model;
mod programs;
