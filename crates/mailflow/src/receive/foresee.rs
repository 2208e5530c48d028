//! What would become of a message that comes in, asked without taking it: by the steps of those that come. Nothing is stored,
//! nothing is written down, and nothing is counted.

use super::judge::{self, Judged};
use super::{Arrival, Offer, findings, head, limits, recipients, refusals, refuse_loops};
use crate::platform::Platform;
use postfleet_core::assessment::Assessment;
use postfleet_core::id::{BlobId, GrantId};
use postfleet_core::recipient::has_room;
use postfleet_core::refused_mail::{self, Stage};
use postfleet_core::rule::{Input, Judgement, Placement};
use postfleet_core::{EmailAddress, Problem};
use postfleet_mail::message::Parsed;
use postfleet_store::grants::{self, Mailbox};
use postfleet_store::judging::judge_unfiled;
use postfleet_store::messages::placed;
use postfleet_wire::smtp::problem::receiving_reply_for;
use postfleet_wire::smtp::{Reply, Severity};
use std::slice;

/// A message that is asked about.
#[derive(Debug)]
pub struct Question {
    /// The message with its envelope; its recipients are not looked at.
    pub arrival: Arrival,
    /// To which mailbox it would come.
    pub grant_id: GrantId,
    /// The address of that mailbox.
    pub recipient: EmailAddress,
    /// Its size, of which the message may be a part; as large as the message, if that is larger.
    pub octets: u64,
}

/// What would become of a message.
#[derive(Clone, Debug)]
pub struct Foresight {
    /// Everything that stands against it, first what its sender would be told.
    pub obstacles: Vec<Obstacle>,
    /// What is made of it in the mailbox; nothing if there is none that could take it.
    pub made: Option<Made>,
}

/// What stands against a message.
#[derive(Clone, Debug)]
pub struct Obstacle {
    /// Where on its way.
    pub stage: Stage,
    /// Why.
    pub problem: Problem,
    /// What rules said, if it is for them.
    pub said: Option<Judgement>,
}

/// What is made of a message in a mailbox.
#[derive(Clone, Debug)]
pub struct Made {
    /// What was found.
    pub assessment: Assessment,
    /// Where it goes, or would if nothing stood against it.
    pub placement: Placement,
    /// What rules saw of it, and what they said, if there are any.
    pub said: Option<(Input, Judgement)>,
    /// The folders that rules assigned to it, as far as there are such folders.
    pub assigned: Vec<String>,
}

impl Foresight {
    /// What the sender's server would be told at last, less our reference for what is taken.
    pub fn reply(&self) -> Reply {
        let first = self.obstacles.first().map(Obstacle::reply);
        first.unwrap_or_else(|| Reply::new(Severity::Positive, 50, Some((6, 0)), "accepted"))
    }

    /// Of one reason, the first word counts: some limits are looked at more than once.
    fn add(&mut self, stage: Stage, problem: Problem, said: Option<Judgement>) {
        let is_known = |one: &Obstacle| one.problem.code == problem.code && one.problem.scope() == problem.scope();
        if !self.obstacles.iter().any(is_known) {
            self.obstacles.push(Obstacle { stage, problem, said });
        }
    }
}

impl Obstacle {
    /// What the sender's server would be told of it.
    pub fn reply(&self) -> Reply {
        receiving_reply_for(&self.problem)
    }
}

/// Tells what would become of a message now.
pub async fn foresee(platform: &Platform, question: Question) -> Result<Foresight, Problem> {
    let Question { arrival, grant_id, recipient, octets } = question;
    let arrival = Arrival { recipients: vec![recipient], ..arrival };
    let octets = octets.max(arrival.message.len() as u64);
    let mut foresight = Foresight { obstacles: Vec::new(), made: None };
    let Some(mailbox) = at_rcpt(platform, &arrival, octets, &mut foresight).await? else { return Ok(foresight) };
    // What holds in somebody else's mailbox is told to nobody.
    if mailbox.grant_id != grant_id {
        return Err(Problem::not_found());
    }
    if let Err(problem) = refuse_loops(&arrival.message) {
        foresight.add(Stage::Data, problem, None);
    }
    let message = Parsed::of_arrival(&arrival.message, arrival.is_null_path());
    let mut reader = platform.store.reader().await?;
    let exceeded = limits::exceeded(platform, &mut reader, &mailbox, (&message.view, octets)).await?;
    drop(reader);
    exceeded.into_iter().for_each(|problem| foresight.add(Stage::Data, problem, None));
    let findings = findings::find(platform, &arrival, &message).await;
    let disowned = findings.authentication.refusal();
    disowned.into_iter().for_each(|problem| foresight.add(Stage::Data, problem, None));
    let written = head::written(platform, &arrival, &findings, &reference(platform), platform.clock.now());
    let stored = octets - arrival.message.len() as u64 + written.len() as u64;
    let judged = judged(platform, &arrival, &message, (&findings, &mailbox)).await?;
    file(platform, &mailbox, judged, (stored, &mut foresight)).await?;
    Ok(foresight)
}

/// As its recipient is named. The mailbox, if there is one that mail for this recipient goes to.
async fn at_rcpt(
    platform: &Platform,
    arrival: &Arrival,
    octets: u64,
    foresight: &mut Foresight,
) -> Result<Option<Mailbox>, Problem> {
    let Some(recipient) = arrival.recipients.first() else { return Ok(None) };
    let ip = (!arrival.is_local()).then_some(arrival.ip);
    let offer = Offer { reverse_path: &arrival.reverse_path, declared_octets: Some(octets), ip };
    let admission = recipients::admission(platform, &offer, recipient).await?;
    if let Some((problem, rules)) = admission.refusal {
        foresight.add(Stage::Rcpt, problem, rules.map(|rules| rules.judgement));
    }
    match admission.mailbox {
        Some(mailbox) => Ok(Some(mailbox)),
        None => Ok(grants::receiving(&mut platform.store.reader().await?, recipient).await?),
    }
}

async fn judged(
    platform: &Platform,
    arrival: &Arrival,
    message: &Parsed<'_>,
    (findings, mailbox): (&findings::Findings, &Mailbox),
) -> Result<Judged, Problem> {
    let concerning = refusals::arrived(platform, arrival, &message.view);
    let mailboxes = (slice::from_ref(mailbox), &concerning);
    let judged = judge::judge(platform, arrival, message, findings, mailboxes).await?;
    judged.into_iter().next().ok_or_else(|| Problem::internal("a mailbox without a judgement"))
}

/// As the transaction would that files it: room for what is stored, and rules.
async fn file(
    platform: &Platform,
    mailbox: &Mailbox,
    judged: Judged,
    (stored, foresight): (u64, &mut Foresight),
) -> Result<(), Problem> {
    let mut reader = platform.store.reader().await?;
    let meters = recipients::meters_of(platform, &mut reader, mailbox).await?;
    if let Err(problem) = has_room(meters.as_ref(), stored) {
        foresight.add(Stage::Data, problem, None);
    }
    let Judged { assessment, placement, received } = judged;
    let said = match &mailbox.rules {
        Some(scope) => judge_unfiled(&platform.store, &mut reader, scope, &received.input).await?,
        None => None,
    };
    if let Some(judgement) = &said
        && let Some(problem) = refused_mail::by_rules(judgement.verdict)
    {
        foresight.add(Stage::Data, problem, Some(judgement.clone()));
    }
    let (placement, assigned) = match &said {
        Some(judgement) => placed(&placement, judgement),
        None => (placement, Vec::new()),
    };
    let said = said.map(|judgement| (received.input, judgement));
    foresight.made = Some(Made { assessment, placement, said, assigned });
    Ok(())
}

/// One that is as long as those that are given.
fn reference(platform: &Platform) -> String {
    BlobId::new(platform.clock.now(), platform.entropy.ten()).to_string()
}
