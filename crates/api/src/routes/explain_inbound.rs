//! `POST /v3/grants/{grant}/explain-inbound`: what would become of a message that comes in.

use crate::call::Call;
use crate::extract::{BULK_OCTETS_MAX, json};
use crate::inbound;
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_core::folder::SystemFolder;
use postfleet_core::refused_mail::{change, limit_name, outcome};
use postfleet_core::rule::{Input, Judgement};
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_mailbox::assessment;
use postfleet_mailflow::receive::foresee::{Foresight, Obstacle, foresee};
use postfleet_schema::evaluation::AppliedActions;
use postfleet_schema::foresight::{ExplainInbound, InboundExplanation, InboundObstacle, InboundRules};
use postfleet_store::evaluations;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v3/grants/{grant}/explain-inbound", "policies.read", of_message)
            .about("Explain what would become of a message that comes in", DETAILS)
            .takes::<ExplainInbound>()
            .answers::<InboundExplanation>(),
    ]
}

const DETAILS: &str = "Judges a message as one that comes now, by the limits, rules, filters and authentication of the \
    mailbox: everything that stands against it, what the sender's server would be told, what is found of it and where it goes. \
    Nothing is stored, counted, recorded or announced; the DNS, block lists and rspamd are asked as for any message. What depends on \
    a session, such as rates of a client, is not looked at. A request has at most 16 MiB: of a larger message, a part is enough, with \
    its `size`.";

/// `POST /v3/grants/{grant}/explain-inbound`
pub(crate) async fn of_message(call: Call) -> Answer {
    let grant = call.grant().await?;
    let Call { platform, application, id, parts, body, .. } = call;
    let request: ExplainInbound = json(&parts, body, BULK_OCTETS_MAX).await.map_err(part_is_enough)?;
    let question = inbound::question(&platform, application, &grant, request).await?;
    let (arrival, octets) = (&question.arrival, question.octets);
    let about = InboundExplanation {
        grant_id: grant.id.to_string(),
        at: platform.clock.now().as_seconds(),
        mail_from: arrival.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default(),
        recipient: grant.email.to_string(),
        ip: (!arrival.protocol.is_authenticated).then(|| arrival.ip.to_string()),
        size: octets,
        accepted: false,
        reply: String::new(),
        refusals: Vec::new(),
        folders: Vec::new(),
        unread: true,
        starred: false,
        junk: false,
        authentication: None,
        marks: None,
        spam: None,
        suspicion: None,
        rules: None,
    };
    let foresight = foresee(&platform, question).await?;
    Ok(respond::single(&id, show(foresight, about)?))
}

/// Says of a body that is too large how to make it smaller.
fn part_is_enough(problem: Problem) -> Problem {
    if problem.kind != ProblemKind::TooLarge {
        return problem;
    }
    Problem { public: format!("{}; of a larger message, a part is enough, with its size", problem.public), ..problem }
}

fn show(foresight: Foresight, about: InboundExplanation) -> Result<InboundExplanation, Problem> {
    let explanation = InboundExplanation {
        accepted: foresight.obstacles.is_empty(),
        reply: foresight.reply().to_string(),
        refusals: foresight.obstacles.iter().map(obstacle).collect(),
        ..about
    };
    let Some(made) = foresight.made else { return Ok(explanation) };
    let found = made.assessment;
    Ok(InboundExplanation {
        junk: made.placement.folders.iter().any(|folder| folder == SystemFolder::Junk.id()),
        folders: made.placement.folders,
        unread: made.placement.unread,
        starred: made.placement.starred,
        authentication: Some(assessment::authentication(found.authentication)),
        marks: Some(assessment::marks(&found.marks)),
        spam: Some(assessment::spam(found.spam)),
        suspicion: Some(assessment::suspicion(found.suspicion)),
        rules: made.said.map(|(input, judgement)| rules(&input, &judgement, made.assigned)).transpose()?,
        ..explanation
    })
}

fn obstacle(obstacle: &Obstacle) -> InboundObstacle {
    let Obstacle { stage, problem, said } = obstacle;
    let exhausted = problem.exhausted.as_deref();
    let matched = said.as_ref().map_or(&[][..], |said| &said.matched_rule_ids);
    InboundObstacle {
        stage: stage.name(),
        outcome: outcome(problem).name(),
        reply: obstacle.reply().to_string(),
        code: problem.code,
        message: problem.public.clone(),
        change: change(problem.code, problem.scope()),
        limit: limit_name(problem.code, problem.scope()),
        scope: problem.scope().map(str::to_owned),
        maximum: exhausted.map(|exhausted| exhausted.limit),
        used: exhausted.map(|exhausted| exhausted.used),
        resets_at: exhausted.and_then(|exhausted| exhausted.resets_at).map(UnixMicros::as_seconds_up),
        matched_rule_ids: matched.iter().map(ToString::to_string).collect(),
    }
}

fn rules(input: &Input, judgement: &Judgement, assigned: Vec<String>) -> Result<InboundRules, Problem> {
    let said = evaluations::describe(input, judgement);
    let applied: AppliedActions = serde_json::from_value(said.applied).map_err(Problem::internal)?;
    Ok(InboundRules {
        matched_rule_ids: serde_json::from_value(said.matched).map_err(Problem::internal)?,
        applied_actions: AppliedActions { folder_ids: Some(assigned).filter(|ids| !ids.is_empty()), ..applied },
        shadow: serde_json::from_value(said.shadow).map_err(Problem::internal)?,
        evaluation_input: serde_json::from_value(said.input).map_err(Problem::internal)?,
    })
}
