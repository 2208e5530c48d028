//! Every list must be read from an index, in the order of the index: a page costs what it shows, not what is stored.
//!
//! SQLite is asked how it would run each statement. A new list belongs into [`LISTS`].

mod mail;

use crate::db::{Db, Param, dialect, sqlite::Sqlite};
use crate::{
    acquaintance, activity, addresses, alerts, applications, audit, block_answers, breakers, bus_parked, connectors,
    correspondents, deliveries, dmarc_reports, domain_reports, domains, evaluations, event_routes, events, feedback,
    findings, folders, grants, holds, idempotency, imports, jobs, judging, key_use, keys, lag, lanes, layout, listings,
    lists, messages, metadata, meters, migrate, opt_ins, organizations, outbound, past, peaks, policies, queue, raises,
    readings, recount, recoveries, redirect_uris, refusals, refused_mail, replays, reputation, retention, rules,
    schedules, search, send_alerts, send_events, send_sums, sender_pools, senders, service_accounts, signatures, spam,
    standing, stops, sts, suppressions, templates, threads, tls_sessions, tokens, transfers, watch, webhook_attempts,
    webhooks, workspaces,
};
use std::collections::HashSet;

const LISTS: &[(&str, &str)] = &[
    ("connectors::LIST", connectors::LIST),
    ("domains::LIST", domains::LIST),
    ("domains::RECORDS_OF_PAGE", domains::RECORDS_OF_PAGE),
    ("domains::KEYS_OF_PAGE", domains::KEYS_OF_PAGE),
    ("domains::DUE", domains::DUE),
    ("domain_reports::TODAY", domain_reports::TODAY),
    ("domain_reports::OF_DOMAIN", domain_reports::OF_DOMAIN),
    ("domain_reports::ROWS", domain_reports::ROWS),
    ("domain_reports::PAGE", domain_reports::PAGE),
    ("domain_reports::ROWS_OF_ONE", domain_reports::ROWS_OF_ONE),
    ("domain_reports::OLD", domain_reports::OLD),
    ("dmarc_reports::DUE", dmarc_reports::DUE),
    ("dmarc_reports::ROWS", dmarc_reports::ROWS),
    ("dmarc_reports::OLD_ROWS", dmarc_reports::OLD_ROWS),
    ("dmarc_reports::OLD", dmarc_reports::OLD),
    ("block_answers::DUE", block_answers::DUE),
    ("block_answers::OF_DOMAIN", block_answers::OF_DOMAIN),
    ("block_answers::APPLICATIONS", block_answers::APPLICATIONS),
    ("grants::MAILBOX", grants::MAILBOX),
    ("grants::HOLDER", grants::HOLDER),
    ("grants::PLACES", grants::PLACES),
    ("folders::LIST", folders::LIST),
    ("folders::BY_ID", folders::BY_ID),
    ("folders::BY_NAME", folders::BY_NAME),
    ("folders::IN_FOLDER", folders::IN_FOLDER),
    ("feedback::LIST", feedback::LIST),
    ("feedback::LIST_OF_NOBODY", feedback::LIST_OF_NOBODY),
    ("feedback::PRUNE", feedback::PRUNE),
    ("policies::LIST", policies::LIST),
    ("spam::OLDEST_DUE", spam::OLDEST_DUE),
    ("spam::DUE", spam::DUE),
    ("spam::OLD", spam::OLD),
    ("spam::OLD_SENDERS", spam::OLD_SENDERS),
    ("threads::ANSWERED", threads::ANSWERED),
    ("raises::LIST", raises::LIST),
    ("raises::OF_TARGET", raises::OF_TARGET),
    ("recoveries::LIST", recoveries::LIST),
    ("recoveries::LIST_OF_GRANT", recoveries::LIST_OF_GRANT),
    ("recoveries::LIST_OF_ORGANIZATION", recoveries::LIST_OF_ORGANIZATION),
    ("recoveries::LIST_OPEN", recoveries::LIST_OPEN),
    ("recoveries::LIST_OPEN_OF_ORGANIZATION", recoveries::LIST_OPEN_OF_ORGANIZATION),
    ("recoveries::OPEN", recoveries::OPEN),
    ("rules::LIST", rules::LIST),
    ("rules::OF_WORKSPACE", rules::OF_WORKSPACE),
    ("evaluations::LIST", evaluations::LIST),
    ("evaluations::LIST_OF_MESSAGE", evaluations::LIST_OF_MESSAGE),
    ("past::SENT", past::SENT),
    ("past::REFUSED", past::REFUSED),
    ("rules::used::OF_WORKSPACE", rules::used::OF_WORKSPACE),
    ("rules::used::OF_APPLICATION", rules::used::OF_APPLICATION),
    ("lists::LIST", lists::LIST),
    ("lists::ITEMS", lists::ITEMS),
    ("messages::LIST", messages::LIST),
    ("messages::LIST_WITHOUT_BODY", messages::LIST_WITHOUT_BODY),
    ("messages::LISTED_FEW", messages::LISTED_FEW),
    ("messages::LISTED", messages::LISTED),
    ("messages::LISTED_WITH_ASSESSMENT", messages::LISTED_WITH_ASSESSMENT),
    ("messages::LIST_THREAD", messages::LIST_THREAD),
    ("listings::PLACES", listings::PLACES),
    ("listings::STARRED", listings::STARRED),
    ("listings::UNREAD", listings::UNREAD),
    ("listings::FILES", listings::FILES),
    ("metadata::PLACES", metadata::PLACES),
    ("metadata::COUNT", metadata::COUNT),
    ("search::LOOSE", search::LOOSE),
    ("search::LOOSE_TO_GATHER", search::LOOSE_TO_GATHER),
    ("search::LATE", search::LATE),
    ("search::LATE_TO_GATHER", search::LATE_TO_GATHER),
    ("search::LATE_PLACES", search::LATE_PLACES),
    ("search::SEGMENTS", search::SEGMENTS),
    ("search::CHUNKS", search::CHUNKS),
    ("search::LOOSE_AFTER", search::LOOSE_AFTER),
    ("search::LATE_AFTER", search::LATE_AFTER),
    ("search::DUE", search::DUE),
    ("threads::LIST", threads::LIST),
    ("threads::IDS", threads::IDS),
    ("threads::MEMBERS", threads::MEMBERS),
    ("threads::WITH_KEY", threads::WITH_KEY),
    ("correspondents::KNOWN", correspondents::KNOWN),
    ("outbound::TURNS", outbound::TURNS),
    ("outbound::OWN_SINCE", outbound::OWN_SINCE),
    ("outbound::SAID_BEFORE", outbound::SAID_BEFORE),
    ("watch::OLD", watch::OLD),
    ("breakers::MEASURED", breakers::MEASURED),
    ("queue::DUE", queue::DUE),
    ("queue::TURNS", queue::TURNS),
    ("queue::PARKED", queue::PARKED),
    ("queue::EXPIRED", queue::EXPIRED),
    ("queue::LIST", queue::LIST),
    ("queue::DESTINATIONS", queue::DESTINATIONS),
    ("queue::DESTINATIONS_OF_ORGANIZATION", queue::DESTINATIONS_OF_ORGANIZATION),
    ("queue::ATTEMPTS", queue::ATTEMPTS),
    ("key_use::CONVERSATION", key_use::CONVERSATION),
    ("key_use::OLD_RECIPIENTS", key_use::OLD_RECIPIENTS),
    ("key_use::OLD_DAYS", key_use::OLD_DAYS),
    ("refusals::LIST", refusals::LIST),
    ("refusals::OLD", refusals::OLD),
    ("refused_mail::LIST", refused_mail::LIST),
    ("refused_mail::OLD_DAYS", refused_mail::OLD_DAYS),
    ("idempotency::OLD_KEYS", idempotency::OLD_KEYS),
    ("idempotency::OLD_SENDS", idempotency::OLD_SENDS),
    ("imports::LIST", imports::LIST),
    ("imports::OLD", imports::OLD),
    ("messages::EXPORT", messages::EXPORT),
    ("holds::DUE", holds::DUE),
    ("holds::OF_GRANT", holds::OF_GRANT),
    ("holds::LIST", holds::LIST),
    ("holds::LIST_OPEN", holds::LIST_OPEN),
    ("holds::LIST_OF_GRANT", holds::LIST_OF_GRANT),
    ("holds::EXPIRED", holds::EXPIRED),
    ("holds::CLOSED", holds::CLOSED),
    ("retention::PAGE", retention::PAGE),
    ("retention::IN_SPAN", retention::IN_SPAN),
    ("retention::EXPIRED", retention::EXPIRED),
    ("retention::DAYS", retention::DAYS),
    ("retention::OLDEST_MAIL", retention::OLDEST_MAIL),
    ("retention::OLDEST_JUNK", retention::OLDEST_JUNK),
    ("retention::OLD", retention::OLD),
    ("schedules::DUE", schedules::DUE),
    ("schedules::LIST", schedules::LIST),
    ("schedules::CLOSED", schedules::CLOSED),
    ("meters::OF_GRANT", meters::OF_GRANT),
    ("meters::OF_OWNER", meters::OF_OWNER),
    ("meters::OF_ACCOUNTS", meters::OF_ACCOUNTS),
    ("meters::SENT_BY_GRANT", meters::SENT_BY_GRANT),
    ("transfers::OLD", transfers::OLD),
    ("recount::APPLICATION", recount::APPLICATION),
    ("recount::TRANSFERRED", recount::TRANSFERRED),
    ("recount::KEPT", recount::KEPT),
    ("recount::SENT", recount::SENT),
    ("recount::USED", recount::USED),
    ("recount::ADRIFT", recount::ADRIFT),
    ("readings::UNREAD", readings::UNREAD),
    ("readings::APPLICATIONS", readings::APPLICATIONS),
    ("recount::DUE", recount::repair::DUE),
    ("events::AFTER", events::AFTER),
    ("events::AFTER_OF", events::AFTER_OF),
    ("events::CREATED_BETWEEN", events::CREATED_BETWEEN),
    ("events::AT", events::AT),
    ("events::OF_REPUTATION", events::OF_REPUTATION),
    ("events::BEFORE_OF", events::BEFORE_OF),
    ("events::FIND", events::FIND),
    ("events::BEFORE_OF_GRANT", events::BEFORE_OF_GRANT),
    ("events::AFTER_OF_GRANT", events::AFTER_OF_GRANT),
    ("deliveries::LIST", deliveries::LIST),
    ("lag::AFTER", lag::AFTER),
    ("lag::OPEN", lag::OPEN),
    ("lag::WAITING", lag::WAITING),
    ("lanes::WAITING", lanes::WAITING),
    ("lanes::LOAD", lanes::LOAD),
    ("lanes::ALONE", lanes::ALONE),
    ("tokens::PRUNE", tokens::PRUNE),
    ("standing::FAILED", standing::FAILED),
    ("standing::NOTICES", standing::NOTICES),
    ("webhooks::LIST", webhooks::LIST),
    ("replays::LIST", replays::LIST),
    ("webhook_attempts::LIST", webhook_attempts::LIST),
    ("webhook_attempts::LIST_OF_OUTCOME", webhook_attempts::LIST_OF_OUTCOME),
    ("webhook_attempts::LIST_OF_EVENT", webhook_attempts::LIST_OF_EVENT),
    ("webhook_attempts::PASS", webhook_attempts::PASS),
    ("webhook_attempts::CUT", webhook_attempts::CUT),
    ("webhook_attempts::OLD", webhook_attempts::OLD),
    ("replays::GIVEN_UP", replays::GIVEN_UP),
    ("alerts::LIST", alerts::LIST),
    ("organizations::LIST", organizations::LIST),
    ("applications::LIST", applications::LIST),
    ("redirect_uris::LIST", redirect_uris::LIST),
    ("redirect_uris::LIST_OF_APPLICATIONS", redirect_uris::LIST_OF_APPLICATIONS),
    ("keys::LIST_OF_APPLICATION", keys::LIST_OF_APPLICATION),
    ("keys::LIST_OF_OPERATORS", keys::LIST_OF_OPERATORS),
    ("service_accounts::LIST", service_accounts::LIST),
    ("audit::LIST_OF_APPLICATION", audit::LIST_OF_APPLICATION),
    ("audit::LIST_OF_ORGANIZATION", audit::LIST_OF_ORGANIZATION),
    ("audit::LIST_TARGET_OF_APPLICATION", audit::LIST_TARGET_OF_APPLICATION),
    ("audit::LIST_TARGET_OF_ORGANIZATION", audit::LIST_TARGET_OF_ORGANIZATION),
    ("workspaces::LIST", workspaces::LIST),
    ("workspaces::OF_DOMAIN", workspaces::OF_DOMAIN),
    ("jobs::LIST", jobs::LIST),
    ("jobs::OLDEST", jobs::OLDEST),
    ("jobs::LAST", jobs::LAST),
    ("judging::RULES", judging::RULES),
    ("layout::AFTER", layout::AFTER),
    ("layout::GROUPING", layout::GROUPING),
    ("findings::BY_DEFAULT", findings::BY_DEFAULT),
    ("findings::IN_NONE", findings::IN_NONE),
    ("findings::POLICIES", findings::POLICIES),
    ("findings::RULES", findings::RULES),
    ("findings::LISTS", findings::LISTS),
    ("peaks::BUSIEST", peaks::BUSIEST),
    ("peaks::DAYS", peaks::DAYS),
    ("bus_parked::LIST", bus_parked::LIST),
    ("bus_parked::OLD", bus_parked::OLD),
    ("event_routes::LIST", event_routes::LIST),
    ("sender_pools::LIST", sender_pools::LIST),
    ("sender_pools::MEMBERS", sender_pools::MEMBERS),
    ("sender_pools::OLD_RECIPIENTS", sender_pools::OLD_RECIPIENTS),
    ("sts::DUE", sts::DUE),
    ("reputation::WORST", reputation::WORST),
    ("reputation::OF_APPLICATION", reputation::OF_APPLICATION),
    ("send_events::FAILED", send_events::FAILED),
    ("send_events::ADVERSE_OF_DOMAIN", send_events::ADVERSE_OF_DOMAIN),
    ("send_events::ADVERSE", send_events::ADVERSE),
    ("send_alerts::LIST", send_alerts::LIST),
    ("send_alerts::DUE", send_alerts::DUE),
    ("signatures::LIST", signatures::LIST),
    ("signatures::REMOVE", signatures::REMOVE),
    ("templates::LIST_OF_APPLICATION", templates::LIST_OF_APPLICATION),
    ("templates::LIST_OF_GRANT", templates::LIST_OF_GRANT),
    ("templates::REMOVE", templates::REMOVE),
    ("send_sums::NEXT", send_sums::NEXT),
    ("send_sums::TAIL", send_sums::TAIL),
    ("send_sums::PRUNE", send_sums::PRUNE),
    ("senders::OF_APPLICATION", senders::OF_APPLICATION),
    ("senders::ANYWHERE", senders::ANYWHERE),
    ("senders::PRUNE", senders::PRUNE),
    ("tls_sessions::DOMAINS", tls_sessions::DOMAINS),
    ("tls_sessions::OF_DOMAIN", tls_sessions::OF_DOMAIN),
    ("suppressions::LIST", suppressions::LIST),
    ("suppressions::OF_REASON", suppressions::OF_REASON),
    ("suppressions::OF_DOMAIN", suppressions::OF_DOMAIN),
    ("suppressions::OF_DOMAIN_AND_REASON", suppressions::OF_DOMAIN_AND_REASON),
    ("suppressions::EXPIRED", suppressions::EXPIRED),
    ("suppressions::CHECK_ONE", suppressions::CHECK_ONE),
    ("opt_ins::LIST", opt_ins::LIST),
    ("opt_ins::OF_STATE", opt_ins::OF_STATE),
    ("opt_ins::OF_PURPOSE", opt_ins::OF_PURPOSE),
    ("opt_ins::OF_PURPOSE_AND_STATE", opt_ins::OF_PURPOSE_AND_STATE),
    ("opt_ins::OF_ADDRESS", opt_ins::OF_ADDRESS),
    ("opt_ins::OF_ADDRESS_AND_STATE", opt_ins::OF_ADDRESS_AND_STATE),
    ("opt_ins::OF_ADDRESS_AND_PURPOSE", opt_ins::OF_ADDRESS_AND_PURPOSE),
    ("opt_ins::OF_ADDRESS_AND_PURPOSE_AND_STATE", opt_ins::OF_ADDRESS_AND_PURPOSE_AND_STATE),
    ("opt_ins::LATELY", opt_ins::LATELY),
    ("stops::LIST", stops::LIST),
    ("stops::LIST_ALL", stops::LIST_ALL),
    ("stops::LIST_ABOVE", stops::LIST_ABOVE),
    ("stops::LIST_ACTIVE", stops::LIST_ACTIVE),
    ("stops::LIST_OF_GRANT", stops::LIST_OF_GRANT),
    ("stops::LIST_OF_WORKSPACE", stops::LIST_OF_WORKSPACE),
    ("stops::BEHIND", stops::BEHIND),
    ("queue::UNSWEPT", queue::UNSWEPT),
    ("queue::WAITING", queue::WAITING),
];

async fn migrated(folder: &tempfile::TempDir) -> Db {
    let mut db = open(folder);
    migrate::run(&mut db).await.expect("migrate");
    db
}

fn open(folder: &tempfile::TempDir) -> Db {
    Db::Sqlite(Sqlite::open_writer(&folder.path().join("plans.db")).expect("open"))
}

/// The steps of a statement's plan.
async fn plan(db: &mut Db, sql: &str) -> Vec<String> {
    // Statements are static; a few octets are lost in a test.
    let explained: &'static str = format!("EXPLAIN QUERY PLAN {}", dialect::sqlite(sql)).leak();
    let values = (1..).take_while(|number| sql.contains(&format!("${number}"))).map(|_| Param::Null);
    let rows = db.query(explained, &values.collect::<Vec<_>>()).await.expect("explain");
    rows.iter().map(|row| row.text(3).expect("detail")).collect()
}

/// The steps that read more than they have to. What a subquery answers may be read whole: its own steps are judged.
fn wasteful(steps: &[String]) -> Vec<&str> {
    let subqueries: HashSet<&str> = steps
        .iter()
        .filter_map(|step| step.strip_prefix("CO-ROUTINE ").or(step.strip_prefix("MATERIALIZE ")))
        .collect();
    let reads_all = |step: &str| step.strip_prefix("SCAN ").is_some_and(|name| !subqueries.contains(name));
    // What a statement is given as an array is read whole.
    let is_given = |step: &str| step.contains("VIRTUAL TABLE");
    let is_wasteful = |step: &&str| (reads_all(step) && !is_given(step)) || step.starts_with("USE TEMP B-TREE");
    steps.iter().map(String::as_str).filter(is_wasteful).collect()
}

#[tokio::test]
async fn no_list_reads_more_than_its_page() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    for (name, sql) in LISTS {
        let steps = plan(&mut db, sql).await;
        let wasteful = wasteful(&steps);
        assert!(
            wasteful.is_empty(),
            "{name} would {wasteful:?}.\nGive its table an index on the columns that it compares with \"=\", followed \
             by those that it orders by, and let it compare and order all of them in one direction.\n{sql}\n{steps:#?}"
        );
    }
}

/// Among the indexes that a list of mailboxes could be read from, one gives the order or leads to fewer rows.
#[tokio::test]
async fn lists_of_mailboxes_are_read_from_the_best_index() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    for (name, index, sql) in grants::LISTS {
        let steps = plan(&mut db, sql).await;
        assert!(wasteful(&steps).is_empty(), "{name}: {steps:#?}");
        let reads = format!("SEARCH grants USING {}", if *index == "PRIMARY KEY" { "" } else { "INDEX " });
        assert!(steps[0].starts_with(&format!("{reads}{index} (")), "{name} is not read from {index}: {steps:#?}");
    }
}

/// Making the last mailbox costs what making the first did: no step of it reads more than one row of an index.
#[tokio::test]
async fn a_mailbox_costs_the_same_however_many_there_are() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    for sql in grants::PROVISIONING {
        let steps = plan(&mut db, sql).await;
        assert!(wasteful(&steps).is_empty(), "{sql}\n{steps:#?}");
    }
}

/// Looking something up in a list, reading what changed, and cleaning up behind it cost what they show, however long the
/// list is.
#[tokio::test]
async fn a_list_is_never_read_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    for sql in lists::LOOKUPS.iter().chain(lists::PRUNED) {
        let steps = plan(&mut db, sql).await;
        assert!(wasteful(&steps).is_empty(), "{sql}\n{steps:#?}");
    }
    // What the request says is read whole, what the list says is not.
    let steps = plan(&mut db, lists::REMOVE_ITEMS).await;
    assert!(steps.contains(&"SEARCH list_items USING PRIMARY KEY (list_id=? AND value=?)".to_owned()), "{steps:#?}");
}

/// Asking about many addresses reads theirs, however many others there are.
#[tokio::test]
async fn suppressions_are_looked_up_by_their_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    let steps = plan(&mut db, suppressions::CHECK_MANY).await;
    let confirmed = plan(&mut db, opt_ins::CONFIRMED).await;
    let by_both = "SEARCH opt_ins USING INDEX opt_ins_by_address_and_purpose (application_id=? AND address_key=? AND \
        purpose_hash=?)";
    assert!(confirmed.contains(&by_both.to_owned()), "{confirmed:#?}");
    for sql in [addresses::OWN_DOMAINS, addresses::MAILBOXES, key_use::KNOWN, watch::KNOWN] {
        let steps = plan(&mut db, sql).await;
        assert!(wasteful(&steps).iter().all(|step| step.contains(" e ")), "{steps:#?}");
    }
    let by_key = "SEARCH suppressions USING PRIMARY KEY (application_id=? AND address_key=?)";
    assert!(steps.contains(&by_key.to_owned()), "{steps:#?}");
    for (index, list) in [
        ("suppressions_by_time", suppressions::LIST),
        ("suppressions_by_reason", suppressions::OF_REASON),
        ("suppressions_by_domain", suppressions::OF_DOMAIN),
        ("suppressions_by_domain_and_reason", suppressions::OF_DOMAIN_AND_REASON),
    ] {
        let steps = plan(&mut db, list).await;
        assert!(steps.iter().any(|step| step.contains(&format!("{index} ("))), "{list}: {steps:#?}");
    }
}

/// The rows of an application, a mailbox or a message are read where it is written whose they are, and beyond the head in
/// the ledger from the head on: neither is ever read whole. Only as many as a page looks at are put in order.
#[tokio::test]
async fn the_ledger_is_read_by_whose_it_is_and_from_the_head_on() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    for sql in [
        send_events::OF_GRANT,
        reputation::LEDGER,
        recoveries::QUEUED,
        feedback::BEGAN,
        activity::OF_APPLICATION,
        activity::OF_GRANT,
        activity::OF_MESSAGE,
        activity::LAST_OF_APPLICATION,
        activity::LAST_OF_GRANT,
        activity::LAST_OF_MESSAGE,
    ] {
        let steps = plan(&mut db, sql).await;
        let has = |wanted: &str| steps.iter().any(|step| step == wanted);
        assert!(has("SEARCH i USING PRIMARY KEY (subject_id=? AND id>? AND id<?)"), "{sql}\n{steps:#?}");
        assert!(has("SEARCH t USING PRIMARY KEY (id>? AND id<?)"), "{sql}\n{steps:#?}");
        let whole = |step: &&String| step.starts_with("SCAN ") && !["kept", "tail", "ids"].contains(&&step[5..]);
        assert_eq!(steps.iter().find(whole), None, "{sql}\n{steps:#?}");
    }
    for sql in [activity::OLDEST, activity::PRUNE, send_events::ATTRIBUTE].into_iter().chain(activity::PRUNE_OF) {
        let steps = plan(&mut db, sql).await;
        let of_tables = |step: &&String| step.starts_with("SCAN e") || step.starts_with("SCAN send_events");
        assert_eq!(steps.iter().find(of_tables), None, "{sql}\n{steps:#?}");
    }
}

/// How many mailboxes sent lately is counted in an index alone, among those that did.
#[tokio::test]
async fn who_sent_lately_is_counted_in_an_index() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    for (sql, step) in [
        (senders::OF_APPLICATION, "SEARCH senders USING COVERING INDEX senders_lately (application_id=? AND hour>?)"),
        (senders::ANYWHERE, "SEARCH senders USING COVERING INDEX senders_by_age (hour>?)"),
    ] {
        assert_eq!(plan(&mut db, sql).await, [step]);
    }
}

/// Whether something of a mailbox is due is seen by the first entries of two of its listings, and what is due is read from
/// there up to the end of the window: of what is younger, nothing is looked at.
#[tokio::test]
async fn mail_that_is_due_is_found_at_the_beginning_of_listings() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    let steps = plan(&mut db, retention::IN_SPAN).await;
    let first = "SEARCH l USING PRIMARY KEY (grant_id=? AND folder=?)";
    assert_eq!(steps.iter().filter(|step| *step == first).count(), 2, "{steps:#?}");
    assert!(steps.contains(&"SEARCH g USING INDEX grants_by_id (id>? AND id<?)".to_owned()), "{steps:#?}");
    let steps = plan(&mut db, retention::EXPIRED).await;
    let window = "SEARCH l USING PRIMARY KEY (grant_id=? AND folder=? AND (date,message_id)>(?,?) AND date<?)";
    assert!(steps.contains(&window.to_owned()), "{steps:#?}");
}

/// A message has few recipients; a destination may have a million.
#[tokio::test]
async fn rows_of_a_message_are_taken_from_the_index_of_messages() {
    let folder = tempfile::tempdir().expect("folder");
    let steps = plan(&mut migrated(&folder).await, queue::TAKE_MESSAGE).await;
    assert!(steps.contains(&"SEARCH q USING INDEX queue_by_message (message_id=?)".to_owned()), "{steps:#?}");
}

/// What a mailbox knows of who writes to it is found by keys alone. Otherwise each message that comes in reads all mailboxes.
#[tokio::test]
async fn who_writes_is_looked_up_by_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    let steps = plan(&mut db, acquaintance::OF_AUTHOR).await;
    for step in [
        "SEARCH c USING PRIMARY KEY (grant_id=? AND key=?)",
        "SEARCH s USING PRIMARY KEY (grant_id=? AND address_key=?)",
        "SEARCH g USING INDEX grants_by_name (<expr>=? AND application_id>? AND application_id<?)",
    ] {
        assert!(steps.contains(&step.to_owned()), "{step}: {steps:#?}");
    }
    assert_eq!(wasteful(&steps), ["SCAN CONSTANT ROW"], "{steps:#?}");
    let steps = plan(&mut db, threads::ANSWERED).await;
    assert!(steps.contains(&"SEARCH k USING PRIMARY KEY (grant_id=? AND key=?)".to_owned()), "{steps:#?}");
}

/// Of another index it would read what concerns all other mailboxes, too.
#[tokio::test]
async fn what_waits_of_a_mailbox_is_read_by_the_index_of_its_events() {
    let folder = tempfile::tempdir().expect("folder");
    let steps = plan(&mut migrated(&folder).await, lanes::LOAD).await;
    assert!(steps.iter().all(|step| step.contains("events_by_grant")), "{steps:?}");
}

/// The control: without its index each of these lists is noticed.
#[tokio::test]
async fn a_list_without_its_index_is_noticed() {
    for (index, list) in [
        ("messages_by_thread", messages::LIST_THREAD),
        ("threads_by_grant", threads::LIST),
        ("messages_by_thread", threads::IDS),
        ("queue_due", queue::DUE),
        ("destinations_by_turn", queue::TURNS),
        ("queue_by_destination", queue::PARKED),
        ("schedules_due", schedules::DUE),
        ("webhooks_by_application", webhooks::LIST),
        ("redirect_uris_by_application", redirect_uris::LIST),
    ] {
        let folder = tempfile::tempdir().expect("folder");
        let mut db = migrated(&folder).await;
        assert!(wasteful(&plan(&mut db, list).await).is_empty());
        db.script(&format!("DROP INDEX {index}")).await.expect("drop");
        // A connection keeps the plan of a statement that it has seen.
        drop(db);
        let mut db = open(&folder);
        assert!(!wasteful(&plan(&mut db, list).await).is_empty(), "{list} does without {index}");
    }
}

/// A page that goes on after an id could also be read from the primary key, over the rows of everybody else.
#[tokio::test]
async fn a_page_after_an_id_is_read_from_the_index_of_its_holder() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    for (index, list) in [
        ("applications_by_organization", applications::LIST),
        ("api_keys_by_application", keys::LIST_OF_APPLICATION),
        ("api_keys_of_operators", keys::LIST_OF_OPERATORS),
        ("service_accounts_by_organization", service_accounts::LIST),
        ("rules_by_application", rules::LIST),
        ("rule_evaluations_by_grant", evaluations::LIST),
        ("rule_evaluations_by_message", evaluations::LIST_OF_MESSAGE),
        ("refused_mail_by_grant", refused_mail::LIST),
        ("messages_sent", past::SENT),
        ("rule_evaluations_refused", past::REFUSED),
        ("feedback_reports_by_grant", feedback::LIST),
        ("outbound_by_application", queue::LIST),
        ("attempts_by_message", queue::ATTEMPTS),
        ("audit_by_application", audit::LIST_OF_APPLICATION),
        ("audit_by_organization", audit::LIST_OF_ORGANIZATION),
    ] {
        let steps = plan(&mut db, list).await;
        assert!(steps.iter().any(|step| step.contains(index)), "{list} does not use {index}: {steps:#?}");
    }
}
