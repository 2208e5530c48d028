//! Writing down that a mailbox did not take a message.

use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::evaluations::{self, Evaluation};
use crate::params;
use postfleet_core::id::{ApplicationId, EvaluationId, GrantId, OrganizationId, RefusalId};
use postfleet_core::refused_mail::{KEPT_A_DAY_MAX, Outcome, Stage};
use postfleet_core::rule::{Input, Judgement};
use postfleet_core::{EmailAddress, Problem, ReversePath, UnixMicros};
use std::net::IpAddr;
use std::sync::Arc;

/// The message, as far as it was known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Concerning {
    /// Where on its way it was.
    pub stage: Stage,
    /// Where failures would be reported.
    pub reverse_path: ReversePath,
    /// The author whom it names, if it was there and names one.
    pub author: Option<EmailAddress>,
    /// Its Message-ID, if it was there and has one.
    pub message_id_header: Option<String>,
    /// Its octets, or those that its sender declared.
    pub octets: Option<u64>,
    /// Where its client connected from.
    pub ip: Option<IpAddr>,
    /// When.
    pub at: UnixMicros,
}

/// That a mailbox did not take a message.
#[derive(Clone, Debug)]
pub struct NewRefusal {
    /// The id of the record, should there be one.
    pub id: RefusalId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// The address that was written to.
    pub recipient: EmailAddress,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub problem: Problem,
    /// The message.
    pub concerning: Arc<Concerning>,
    /// What the rules said, if it was they.
    pub rules: Option<Box<ByRules>>,
}

/// What rules said that let a message not go on.
#[derive(Clone, Debug)]
pub struct ByRules {
    /// The id of the record of it.
    pub evaluation_id: EvaluationId,
    /// Whose rules they are.
    pub organization_id: OrganizationId,
    /// What they looked at.
    pub input: Input,
    /// What they said.
    pub judgement: Judgement,
}

/// Writes down refusals of one message that nothing else is written of.
#[derive(Clone, Debug)]
pub struct RecordRefusedMail(pub Vec<NewRefusal>);

impl Command for RecordRefusedMail {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        for refusal in &self.0 {
            record(tx, refusal).await?;
        }
        Ok(())
    }
}

/// Counts a refusal, and keeps a record of it if the day has few of its kind; otherwise the last of them stands for it.
pub(crate) async fn record(tx: &mut Tx, refusal: &NewRefusal) -> Result<(), DbError> {
    const COUNT: &str = "INSERT INTO refused_mail_days (grant_id, day, code, times, last_id) VALUES ($1, $2, $3, 1, $4) \
        ON CONFLICT (grant_id, day, code) DO UPDATE SET times = refused_mail_days.times + 1, \
        last_id = CASE WHEN refused_mail_days.times < $5 THEN excluded.last_id ELSE refused_mail_days.last_id END \
        RETURNING times, last_id";
    const STANDS_FOR: &str = "UPDATE refused_mail SET times = times + 1, last_at = $2 WHERE id = $1";
    let at = refusal.concerning.at;
    let (id, day) = (refusal.id.uuid(), at.day().number());
    let values = params![refusal.grant_id.uuid(), day, refusal.problem.code, id, KEPT_A_DAY_MAX as i64];
    let counted = tx.query_one(COUNT, values).await?.ok_or(DbError::Malformed("refused mail"))?;
    if counted.int(0)? > KEPT_A_DAY_MAX as i64 {
        tx.execute(STANDS_FOR, params![counted.uuid(1)?, at.as_micros()]).await?;
        return Ok(());
    }
    insert(tx, refusal).await?;
    if let Some(rules) = &refusal.rules {
        evaluations::record(tx, &evaluation(refusal, rules)).await?;
    }
    Ok(())
}

async fn insert(tx: &mut Tx, refusal: &NewRefusal) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO refused_mail (id, grant_id, stage, outcome, code, message, sender, author, recipient, \
        message_id_header, octets, ip, scope, maximum, used, resets_at, evaluation_id, times, at, last_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 1, $18, $18)";
    let NewRefusal { id, grant_id, recipient, outcome, problem, concerning, rules, .. } = refusal;
    let exhausted = problem.exhausted.as_deref();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let sender = concerning.reverse_path.mailbox().map_or_else(String::new, EmailAddress::key);
    let author = concerning.author.as_ref().map(EmailAddress::key);
    let (recipient, ip) = (recipient.to_string(), concerning.ip.map(|ip| ip.to_string()));
    let values = params![
        id.uuid(),
        grant_id.uuid(),
        concerning.stage.name(),
        outcome.name(),
        problem.code,
        &problem.public,
        &sender,
        author.as_deref(),
        &recipient,
        concerning.message_id_header.as_deref(),
        concerning.octets.map(number),
        ip.as_deref(),
        problem.scope(),
        exhausted.map(|exhausted| number(exhausted.limit)),
        exhausted.map(|exhausted| number(exhausted.used)),
        exhausted.and_then(|exhausted| exhausted.resets_at).map(UnixMicros::as_micros),
        rules.as_ref().map(|rules| rules.evaluation_id.uuid()),
        concerning.at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

fn evaluation<'a>(refusal: &NewRefusal, rules: &'a ByRules) -> Evaluation<'a> {
    Evaluation {
        id: rules.evaluation_id,
        organization_id: rules.organization_id,
        application_id: refusal.application_id,
        grant_id: refusal.grant_id,
        message_id: None,
        stage: match refusal.concerning.stage {
            Stage::Rcpt => evaluations::Stage::SmtpRcpt,
            Stage::Data => evaluations::Stage::InboxProcessing,
        },
        input: &rules.input,
        judgement: &rules.judgement,
        folder_ids: &[],
        at: refusal.concerning.at,
    }
}
