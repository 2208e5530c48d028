//! Showing where senders stand: rates beside the lines that they must not reach, how many more it takes, and what of what
//! went wrong counted.

use crate::{pages, recoveries};
use postfleet_core::bounce::BounceType;
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId};
use postfleet_core::reputation::{
    COMPLAINTS_OF_AT_LEAST, Counts, ELEVATED_BOUNCES, HeadRoom, Line, PAUSE_BOUNCES, PAUSE_COMPLAINTS, REVIEW_BOUNCES,
    REVIEW_COMPLAINTS, Rate, Standing, SubjectKind,
};
use postfleet_core::send_event::{SendEventKind, why_not_counted};
use postfleet_core::{Problem, UnixMicros, UtcDay};
use postfleet_schema::reputation as schema;
use postfleet_store::events::{self, NewEvent};
use postfleet_store::grants::{self, Grant};
use postfleet_store::recoveries::Whose;
use postfleet_store::reputation::{self, Kept};
use postfleet_store::send_events::{self, SendEvent};
use postfleet_store::send_sums::{self, Dimension};
use postfleet_store::workspaces::{self, Listed};
use postfleet_store::{Reader, Store};
use std::collections::{BTreeMap, BTreeSet};

/// Things that went wrong that are looked at.
const OUTCOMES_MAX: usize = 100;
/// Transitions and cases of a support bundle, and events that are looked through for the former.
const BUNDLED_MAX: usize = 20;
const TRANSITIONS_READ: usize = 500;
/// Workspaces and domains that are shown.
const SHOWN_MAX: usize = 100;
/// Days before today in which a domain that was sent from is one of the application.
const SENT_FROM_DAYS: i64 = 30;

/// Where a mailbox stands; counted anew from the record of outcomes, if that is wanted.
pub async fn of_grant(
    store: &Store,
    grant: &Grant,
    recounts: bool,
    now: UnixMicros,
) -> Result<schema::Reputation, Problem> {
    let mut reader = store.reader().await?;
    let mut shown = one(&mut reader, SubjectKind::Grant, &grant.id.to_string(), now).await?;
    shown.name = Some(grant.email.to_string());
    let outcomes = send_events::of_grant(&mut reader, grant.id, None, true, OUTCOMES_MAX).await?;
    shown.outcomes = Some(show_outcomes(&outcomes));
    if recounts {
        let recount = reputation::recount(&mut reader, grant.id).await?;
        // Of whom nothing was counted, nothing can be wrong.
        shown.recount = Some(recount.map_or_else(
            || schema::Recount { agrees: true, is_complete: true, counts: show_counts(Counts::default()) },
            |found| schema::Recount {
                agrees: found.agrees,
                is_complete: found.is_complete,
                counts: show_counts(found.counts),
            },
        ));
    }
    Ok(shown)
}

/// The state of a mailbox, and since when.
pub async fn state_of_grant(store: &Store, grant: GrantId, now: UnixMicros) -> Result<schema::Reputation, Problem> {
    one(&mut store.reader().await?, SubjectKind::Grant, &grant.to_string(), now).await
}

/// Where a workspace stands.
pub async fn of_workspace(store: &Store, workspace: &Listed, now: UnixMicros) -> Result<schema::Reputation, Problem> {
    let workspace = &workspace.workspace;
    let mut reader = store.reader().await?;
    let mut shown = one(&mut reader, SubjectKind::Workspace, &workspace.id.to_string(), now).await?;
    shown.name = Some(workspace.name.clone());
    Ok(shown)
}

/// Where a domain of an organization stands.
pub async fn of_domain(
    store: &Store,
    organization: OrganizationId,
    name: &str,
    now: UnixMicros,
) -> Result<schema::Reputation, Problem> {
    let kept = reputation::find(&mut store.reader().await?, SubjectKind::Domain, name).await?;
    // Of whom it was before.
    let kept = kept.filter(|kept| kept.organization_id == organization);
    Ok(show(SubjectKind::Domain, name, kept.as_ref().map(|kept| &kept.standing), now))
}

/// Where an organization stands.
pub async fn of_organization(
    store: &Store,
    organization: OrganizationId,
    now: UnixMicros,
) -> Result<schema::Reputation, Problem> {
    one(&mut store.reader().await?, SubjectKind::Organization, &organization.to_string(), now).await
}

/// Where a mailbox and what it belongs to stand now, what changed, and what was asked since: for whoever helps.
pub async fn bundled(
    store: &Store,
    (organization, application): (OrganizationId, ApplicationId),
    grant: &Grant,
    now: UnixMicros,
) -> Result<schema::BundledReputation, Problem> {
    let whole = of_organization(store, organization, now).await?;
    let domain = of_domain(store, organization, grant.email.domain().as_str(), now).await?;
    let of_mailbox = of_grant(store, grant, false, now).await?;
    let mut reader = store.reader().await?;
    let workspace = match grant.workspace_id {
        Some(id) => Some(one(&mut reader, SubjectKind::Workspace, &id.to_string(), now).await?),
        None => None,
    };
    let of_application = one(&mut reader, SubjectKind::Application, &application.to_string(), now).await?;
    let all = [Some(&of_mailbox), Some(&domain), workspace.as_ref(), Some(&of_application), Some(&whole)];
    let subjects: BTreeSet<&str> = all.into_iter().flatten().map(|one| one.subject.as_str()).collect();
    let events = events::of_reputation(&mut reader, application, TRANSITIONS_READ).await?;
    let transitions = events.iter().filter_map(|event| transition(&event.event, &subjects)).take(BUNDLED_MAX).collect();
    drop(reader);
    let cases = recoveries::list(store, Whose::Grant(grant.id), (None, None, BUNDLED_MAX)).await?;
    Ok(schema::BundledReputation {
        organization: schema::OrganizationStanding {
            subject: whole.subject.clone(),
            state: whole.state,
            since: whole.since,
        },
        transitions,
        recoveries: cases.items.iter().map(recoveries::show).collect(),
        grant: of_mailbox,
        domain,
        workspace,
        application: of_application,
    })
}

/// What an event tells, if it is about one of these.
fn transition(event: &NewEvent, subjects: &BTreeSet<&str>) -> Option<schema::ReputationTransition> {
    let data: serde_json::Value = serde_json::from_str(&event.data).ok()?;
    let text = |field: &str| data[field].as_str().map(str::to_owned);
    let subject = text("subject").filter(|subject| subjects.contains(subject.as_str()))?;
    let (subject_type, from, to) = (text("subject_type")?, text("from")?, text("state")?);
    Some(schema::ReputationTransition { subject_type, subject, from, to, at: event.at.as_seconds() })
}

/// Where an application stands, with its workspaces, the domains that they have or that it sent from, and a page of the mailboxes that are not healthy.
pub async fn of_application(
    store: &Store,
    application: ApplicationId,
    (limit, page_token): (usize, Option<&str>),
    now: UnixMicros,
) -> Result<schema::ApplicationReputation, Problem> {
    let after = pages::after::<Place>(page_token)?.map(|place| (place.badness, place.name));
    let mut reader = store.reader().await?;
    let name = application.to_string();
    let kept = reputation::find(&mut reader, SubjectKind::Application, &name).await?;
    let whole = show(SubjectKind::Application, &name, kept.as_ref().map(|kept| &kept.standing), now);
    let organization = kept.map(|kept| kept.organization_id);
    let listed = workspaces::list(&mut reader, application).await?;
    let workspaces = of_workspaces(&mut reader, application, &listed, now).await?;
    let today = now.day();
    let month = (UtcDay::from_number(today.number() - SENT_FROM_DAYS), today);
    let sent_from = send_sums::by_key(&mut reader, application, Dimension::SendingDomain, month).await?;
    let own = listed.iter().map(|one| one.workspace.domain.clone()).filter(|name| !name.is_empty());
    let names: BTreeSet<String> = own.chain(sent_from.into_keys()).collect();
    let domains = of_domains(&mut reader, organization, names, now).await?;
    let found = reputation::worst(&mut reader, application, SubjectKind::Grant, after, limit + 1).await?;
    let page = pages::cut(found, limit, |kept| Place { badness: kept.badness, name: kept.name.clone() });
    let mut shown = Vec::with_capacity(page.items.len());
    for kept in &page.items {
        let Ok(id) = kept.name.parse::<GrantId>() else { continue };
        let mut one = show(SubjectKind::Grant, &kept.name, Some(&kept.standing), now);
        one.name = grants::find(&mut reader, application, id).await?.map(|grant| grant.email.to_string());
        shown.push(one);
    }
    Ok(schema::ApplicationReputation {
        application: whole,
        workspaces,
        domains,
        grants: shown,
        next_cursor: page.next_cursor,
    })
}

async fn of_workspaces(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    listed: &[Listed],
    now: UnixMicros,
) -> Result<Vec<schema::Reputation>, Problem> {
    let found = reputation::of_application(reader, application, SubjectKind::Workspace, SHOWN_MAX).await?;
    let names: BTreeMap<String, &str> =
        listed.iter().map(|one| (one.workspace.id.to_string(), one.workspace.name.as_str())).collect();
    // One that is gone is nobody's any more.
    let there = found.iter().filter_map(|kept| Some((kept, names.get(&kept.name)?)));
    let shown = there.map(|(kept, name)| schema::Reputation {
        name: Some((*name).to_owned()),
        ..show(SubjectKind::Workspace, &kept.name, Some(&kept.standing), now)
    });
    Ok(shown.collect())
}

async fn of_domains(
    reader: &mut Reader<'_>,
    organization: Option<OrganizationId>,
    names: BTreeSet<String>,
    now: UnixMicros,
) -> Result<Vec<schema::Reputation>, Problem> {
    let names: Vec<String> = names.into_iter().take(SHOWN_MAX).collect();
    let found = reputation::find_all(reader, SubjectKind::Domain, &names).await?;
    // A workspace may be named after a domain of somebody else.
    let own = found.iter().filter(|kept| Some(kept.organization_id) == organization);
    let found: BTreeMap<&str, &Kept> = own.map(|kept| (kept.name.as_str(), kept)).collect();
    let standing = |name: &String| found.get(name.as_str()).map(|kept| &kept.standing);
    Ok(names.iter().map(|name| show(SubjectKind::Domain, name, standing(name), now)).collect())
}

/// Where a page ended.
struct Place {
    badness: i64,
    name: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.badness, self.name)
    }
}

impl std::str::FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (badness, name) = text.split_once(' ').unwrap_or_default();
        Ok(Self { badness: badness.parse()?, name: name.to_owned() })
    }
}

async fn one(
    reader: &mut Reader<'_>,
    kind: SubjectKind,
    name: &str,
    now: UnixMicros,
) -> Result<schema::Reputation, Problem> {
    let kept = reputation::find(reader, kind, name).await?;
    Ok(show(kind, name, kept.as_ref().map(|kept| &kept.standing), now))
}

fn show(kind: SubjectKind, name: &str, kept: Option<&Standing>, now: UnixMicros) -> schema::Reputation {
    let nothing = Standing::new(now);
    let standing = kept.unwrap_or(&nothing);
    let (rates, counts) = (standing.rates(), standing.window.counts());
    schema::Reputation {
        subject_type: kind.name(),
        subject: name.to_owned(),
        name: None,
        state: standing.state.name(),
        since: kept.map(|standing| standing.since.as_seconds()),
        volume: standing.window.volume(now.day()),
        rates: schema::Rates {
            hard_bounces: show_rate(rates.bounces, REVIEW_BOUNCES, PAUSE_BOUNCES, ELEVATED_BOUNCES),
            complaints: show_rate(rates.complaints, REVIEW_COMPLAINTS, PAUSE_COMPLAINTS, REVIEW_COMPLAINTS),
        },
        counts: show_counts(counts),
        head_room: show_room(standing.head_room(kind, now.day()), counts),
        outcomes: None,
        recount: None,
    }
}

fn show_rate(rate: Rate, review: Line, pause: Line, clear: Line) -> schema::Rate {
    let percent = |line: Line| line.count as f64 * 100.0 / line.of as f64;
    schema::Rate {
        percent: rate.per_million() as f64 / 10_000.0,
        count: rate.count,
        of: rate.of,
        review_percent: percent(review),
        pause_percent: percent(pause),
        clear_percent: percent(clear),
    }
}

fn show_counts(counts: Counts) -> schema::Counts {
    schema::Counts {
        recipients: counts.attempts,
        recipients_of_feedback_domains: counts.feedback_attempts,
        hard_bounces: counts.hard_bounces,
        complaints: counts.complaints,
    }
}

fn show_room(room: HeadRoom, counts: Counts) -> schema::HeadRoom {
    schema::HeadRoom {
        hard_bounces_until_review: room.bounces_until_review,
        complaints_until_review: room.complaints_until_review,
        hard_bounces_until_pause: room.bounces_until_pause,
        complaints_until_pause: room.complaints_until_pause,
        recipients_until_pause: room.attempts_until_pause,
        text: room.in_words(),
        is_small_sample: counts.attempts < COMPLAINTS_OF_AT_LEAST,
    }
}

fn show_outcomes(events: &[SendEvent]) -> schema::Outcomes {
    let (counted, not_counted) =
        events.iter().map(show_outcome).partition(|outcome| outcome.not_counted_because.is_none());
    schema::Outcomes { counted, not_counted }
}

fn show_outcome(event: &SendEvent) -> schema::Outcome {
    let SendEvent { kind, bounce, is_expired, is_late, counted, .. } = *event;
    let bounce = bounce.filter(|_| kind == SendEventKind::Bounced);
    schema::Outcome {
        id: event.id.to_string(),
        event_type: kind.name(),
        at: event.id.made_at().as_seconds(),
        message_id: event.sent.message_id.to_string(),
        recipient: event.recipient.as_ref().map(ToString::to_string),
        bounce_type: bounce.map(BounceType::name),
        bounce_class: bounce.map(|bounce| bounce.class().name()),
        status: event.status.clone(),
        reason: event.reason.clone(),
        counts_as_recipient: counted.attempt,
        not_counted_because: why_not_counted(kind, bounce, is_expired, is_late, counted),
    }
}
