//! `postfleet domain`: the domains of mailboxes, with an operator's key.

use super::{Consent, Pages};
use crate::client::{Answer, Api};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, plain, table};
use crate::session::Session;
use serde_json::{Map, Value, json};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists domains, newest first
    List(Pages),
    /// Shows a domain and what is known of it
    #[command(visible_alias = "show")]
    Get(One),
    /// Registers a domain
    #[command(visible_alias = "create")]
    Add(Add),
    /// Shows the DNS records to publish, and which of them were found
    Records(One),
    /// Looks at the DNS now
    Verify(Verify),
    /// Prints the DNS records as lines of a zone file
    Zone(One),
    /// Begins a rotation of the signing keys
    Rotate(Rotate),
    /// Says how a domain does, worst first, and what to do; of all domains if none is named
    Health(Health),
    /// Lists what other servers report about a domain, newest first; or shows one report
    Reports(Reports),
    /// Lets a new domain send little at first: shows how far it is, begins (--to) or ends it (--off)
    WarmUp(WarmUp),
    /// Removes a domain that no mailbox lives on
    Delete(Delete),
}

/// A domain.
#[derive(clap::Args)]
pub struct One {
    /// Its name or id
    domain: String,
}

/// Registering one.
#[derive(clap::Args)]
pub struct Add {
    /// The domain, such as agents.example.com
    domain: String,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
}

/// Looking at the DNS.
#[derive(clap::Args)]
pub struct Verify {
    #[command(flatten)]
    one: One,
    /// One kind of record only
    #[arg(long = "type", value_name = "TYPE", value_parser = TYPES)]
    kind: Option<String>,
}

/// Changing the signing keys.
#[derive(clap::Args)]
pub struct Rotate {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

/// Looking after them.
#[derive(clap::Args)]
pub struct Health {
    /// Its name or id
    domain: Option<String>,
}

/// What others report.
#[derive(clap::Args)]
pub struct Reports {
    #[command(flatten)]
    one: One,
    /// The id of one report
    report: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// Warming one up.
#[derive(clap::Args)]
pub struct WarmUp {
    #[command(flatten)]
    one: One,
    /// Begin: messages that it may send on the last of 28 days
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Messages that it may send on the first day
    #[arg(long, value_name = "N", requires = "to")]
    from: Option<u64>,
    /// End it: nothing is capped any more
    #[arg(long, conflicts_with = "to")]
    off: bool,
}

/// Removing one.
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

/// What there is to publish; `arc` has the records of `dkim`.
const TYPES: [&str; 7] = ["ownership", "mx", "spf", "dkim", "feedback", "dmarc", "arc"];

const COLUMNS: &[Column] = &[
    Column("domain", "/domain_address", Kind::Text),
    Column("receives", "/can_receive", Kind::Flag),
    Column("sends", "/can_send", Kind::Flag),
    Column("mailboxes", "/grant_count", Kind::Count),
    Column("made", "/created_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("domain", "/domain_address", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("trial", "/branded", Kind::Flag),
    Column("receives", "/can_receive", Kind::Flag),
    Column("sends", "/can_send", Kind::Flag),
    Column("mailboxes", "/grant_count", Kind::Count),
    Column("ownership", "/verified_ownership", Kind::Flag),
    Column("mx", "/verified_mx", Kind::Flag),
    Column("spf", "/verified_spf", Kind::Flag),
    Column("dkim", "/verified_dkim", Kind::Flag),
    Column("feedback", "/verified_feedback", Kind::Flag),
    Column("dmarc", "/verified_dmarc", Kind::Flag),
    Column("made", "/created_at", Kind::Time),
];

const RECORDS: &[Column] = &[
    Column("for", "/type", Kind::Text),
    Column("status", "/status", Kind::Text),
    Column("name", "/fqdn", Kind::Text),
    Column("type", "/kind", Kind::Text),
    Column("priority", "/priority", Kind::Count),
    Column("value", "/value", Kind::Text),
];

const KEYS: &[Column] = &[
    Column("selector", "/selector", Kind::Text),
    Column("algorithm", "/algorithm", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("name", "/host", Kind::Text),
    Column("made", "/created_at", Kind::Time),
];

const WARM_UP: &[Column] = &[
    Column("state", "/state", Kind::Text),
    Column("day", "/day", Kind::Count),
    Column("limit", "/limit", Kind::Count),
    Column("used", "/used", Kind::Count),
    Column("remaining", "/remaining", Kind::Count),
    Column("from", "/start_cap", Kind::Count),
    Column("to", "/target_per_day", Kind::Count),
    Column("began", "/started_at", Kind::Time),
    Column("ends", "/ends_at", Kind::Time),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.operator()?;
    match verb {
        Verb::List(pages) => {
            let things = api.list(&["domains"], &[], pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { domain }) => {
            let answer = api.get(&["domains", &domain]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Add(Add { domain, name }) => {
            let mut body = Map::new();
            super::body::put(&mut body, "domain_address", Some(&domain));
            super::body::put(&mut body, "name", name);
            let answer = api.post(&["domains"], &Value::Object(body)).await?;
            records(answer, session)?;
            session.note(&format!("publish these, then: postfleet domain verify {domain}"));
            Ok(())
        }
        Verb::Records(One { domain }) => records(api.get(&["domains", &domain]).await?, session),
        Verb::Verify(arguments) => verify(arguments, &api, session).await,
        Verb::Zone(One { domain }) => {
            let zone = api.text(&["domains", &domain, "zone"]).await?;
            if session.is_json() { session.print_json(&json!(zone)) } else { session.print(&zone) }
        }
        Verb::Rotate(arguments) => rotate(arguments, &api, session).await,
        Verb::Health(Health { domain: Some(domain) }) => health(&domain, &api, session).await,
        Verb::Health(Health { domain: None }) => health_of_all(&api, session).await,
        Verb::Reports(arguments) => reports(arguments, &api, session).await,
        Verb::WarmUp(arguments) => warm_up(arguments, &api, session).await,
        Verb::Delete(arguments) => delete(arguments, &api, session).await,
    }
}

/// The records of a domain.
fn records(answer: Answer, session: &mut Session<'_, '_>) -> Outcome {
    let mut domain = answer.data();
    if session.is_json() {
        return session.print_json(&domain["records"].take());
    }
    let records = domain["records"].as_array().cloned().unwrap_or_default();
    session.print_table(&table(RECORDS, &records))
}

/// Looks at one kind of record or, one after the other, at all of them.
async fn verify(arguments: Verify, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let domain = arguments.one.domain;
    let all = TYPES.iter().filter(|kind| **kind != "arc").map(|kind| (*kind).to_owned());
    let kinds = arguments.kind.map_or_else(|| all.collect(), |kind| vec![kind]);
    let mut found = Vec::new();
    for kind in &kinds {
        found.push(api.post(&["domains", &domain, "verify"], &json!({"type": kind})).await?.data());
    }
    let is_done = found.iter().all(|one| one["status"] == "done");
    if session.is_json() {
        session.print_json(&json!(found))?;
    } else {
        let columns = [
            Column("for", "/attempt/type", Kind::Text),
            Column("status", "/status", Kind::Text),
            Column("found", "/details", Kind::Text),
        ];
        session.print_table(&table(&columns, &found))?;
        for one in found.iter().filter(|one| one["status"] != "done") {
            session.note(&format!("{}: {}", plain(&one["attempt"]["type"]), plain(&one["message"])));
        }
    }
    if is_done { Ok(()) } else { Err(Failure::Partly(format!("{domain} is not as it should be yet"))) }
}

async fn rotate(arguments: Rotate, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let domain = arguments.one.domain;
    session.confirm(arguments.consent.yes, &format!("make new signing keys for {domain}"))?;
    let answer = api.post(&["domains", &domain, "dkim-keys"], &json!({})).await?;
    if session.is_json() {
        return session.print_json(&answer.data());
    }
    let keys = answer.data().as_array().cloned().unwrap_or_default();
    session.print_table(&table(KEYS, &keys))?;
    session.note(&format!("publish those that are next: postfleet domain records {domain}"));
    Ok(())
}

const FINDINGS: &[Column] = &[
    Column("severity", "/severity", Kind::Text),
    Column("what", "/text", Kind::Text),
    Column("what to do", "/remedy", Kind::Text),
];

const HEALTH: &[Column] = &[
    Column("domain", "/domain_address", Kind::Text),
    Column("sends", "/can_send", Kind::Flag),
    Column("reputation", "/reputation/state", Kind::Text),
    Column("warm-up", "/warm_up/state", Kind::Text),
    Column("attempts", "/outcomes/attempts", Kind::Count),
    Column("bounced", "/outcomes/bounced", Kind::Count),
    Column("complaints", "/outcomes/complaints", Kind::Count),
    Column("findings", "/findings", Kind::Length),
];

const BOUNCES: &[Column] = &[
    Column("bounces", "/type", Kind::Text),
    Column("class", "/class", Kind::Text),
    Column("in 7 days", "/count", Kind::Count),
];

const BLOCK_LISTS: &[Column] = &[
    Column("block list", "/zone", Kind::Text),
    Column("asked about", "/subject", Kind::Text),
    Column("says", "/state", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("asked", "/asked_at", Kind::Time),
];

const DMARC_SOURCES: &[Column] = &[
    Column("sends in its name", "/address", Kind::Text),
    Column("ours", "/is_own", Kind::Text),
    Column("messages", "/messages", Kind::Count),
    Column("unaligned", "/unaligned", Kind::Count),
];

const TLS_FAILURES: &[Column] = &[
    Column("connections failed to", "/host", Kind::Text),
    Column("because", "/result_type", Kind::Text),
    Column("connections", "/connections", Kind::Count),
];

async fn health(domain: &str, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let health = api.get(&["domains", domain, "health"]).await?.data();
    if session.is_json() {
        return session.print_json(&health);
    }
    session.print_table(&table(HEALTH, std::slice::from_ref(&health)))?;
    let bounces = health["outcomes"]["bounce_types"].as_array().cloned().unwrap_or_default();
    if !bounces.is_empty() {
        session.print_table(&format!("\n{}", table(BOUNCES, &bounces)))?;
    }
    let outside = [(BLOCK_LISTS, "/block_lists"), (DMARC_SOURCES, "/dmarc/sources"), (TLS_FAILURES, "/tls/failures")];
    for (columns, place) in outside {
        let things = health.pointer(place).and_then(Value::as_array).cloned().unwrap_or_default();
        if !things.is_empty() {
            session.print_table(&format!("\n{}", table(columns, &things)))?;
        }
    }
    let findings = health["findings"].as_array().cloned().unwrap_or_default();
    if !findings.is_empty() {
        session.print_table(&format!("\n{}", table(FINDINGS, &findings)))?;
    }
    Ok(())
}

async fn health_of_all(api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut all = Vec::new();
    for domain in api.list(&["domains"], &[], None).await?.items {
        all.push(api.get(&["domains", domain["id"].as_str().unwrap_or_default(), "health"]).await?.data());
    }
    if session.is_json() { session.print_json(&json!(all)) } else { session.print_table(&table(HEALTH, &all)) }
}

const REPORTS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("kind", "/kind", Kind::Text),
    Column("reporter", "/reporter", Kind::Text),
    Column("verified", "/is_verified", Kind::Flag),
    Column("begins", "/begins_at", Kind::Time),
    Column("total", "/total", Kind::Count),
    Column("failed", "/failed", Kind::Count),
];

const REPORT_ROWS: &[Column] = &[
    Column("source", "/source", Kind::Text),
    Column("what", "/what", Kind::Text),
    Column("dkim", "/dkim_aligned", Kind::Flag),
    Column("spf", "/spf_aligned", Kind::Flag),
    Column("count", "/count", Kind::Count),
];

async fn reports(arguments: Reports, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let Reports { one: One { domain }, report, pages } = arguments;
    let Some(report) = report else {
        let things = api.list(&["domains", &domain, "reports"], &[], pages.most()).await?;
        return session.show_list(REPORTS, things);
    };
    let report = api.get(&["domains", &domain, "reports", &report]).await?.data();
    if session.is_json() {
        return session.print_json(&report);
    }
    session.print_table(&table(REPORTS, std::slice::from_ref(&report)))?;
    let rows = report["rows"].as_array().cloned().unwrap_or_default();
    if rows.is_empty() { Ok(()) } else { session.print_table(&format!("\n{}", table(REPORT_ROWS, &rows))) }
}

async fn warm_up(arguments: WarmUp, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let WarmUp { one: One { domain }, to, from, off } = arguments;
    let path = ["domains", &domain, "warm-up"];
    if off {
        let answer = api.delete(&path).await?;
        return session.done(&format!("{domain} may send as much as its mailboxes may"), answer);
    }
    let answer = match to {
        None => api.get(&path).await?,
        Some(target) => {
            let mut body = Map::new();
            super::body::put(&mut body, "target_per_day", Some(target));
            super::body::put(&mut body, "start_cap", from);
            api.put(&path, &Value::Object(body)).await?
        }
    };
    session.show(WARM_UP, answer)
}

async fn delete(arguments: Delete, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let domain = arguments.one.domain;
    session.confirm(arguments.consent.yes, &format!("remove the domain {domain}"))?;
    let answer = api.delete(&["domains", &domain]).await?;
    session.done(&format!("removed {domain}"), answer)
}
