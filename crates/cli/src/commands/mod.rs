//! The commands, a file for each noun: the requests that it makes and the columns that people see.

mod activity;
mod agent;
mod alert;
mod app;
mod audit;
mod body;
mod breaker;
mod domain;
mod drill;
mod explain;
mod explain_inbound;
mod feedback;
mod fleet;
mod hold;
mod key;
mod list;
mod login;
mod mailbox;
mod metrics;
mod names;
mod opt_in;
mod org;
mod overview;
mod policy;
mod pool;
mod queue;
mod raise;
mod recovery;
mod refused;
mod reputation;
mod retention;
mod rule;
mod shell;
mod stop;
mod suppression;
mod usage;
mod webhook;
mod workspace;

use crate::connection::Globals;
use crate::declared::commands as declared;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::surroundings::Surroundings;

/// What an operator may type.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Mailboxes: making, finding, moving, removing
    Agent(Noun<agent::Verb>),
    /// Workspaces: groups of mailboxes under one policy
    Workspace(Noun<workspace::Verb>),
    /// Policies: limits below the plan
    Policy(Noun<policy::Verb>),
    /// Rules: what happens to mail that matches
    Rule(Noun<rule::Verb>),
    /// Lists in which rules look things up
    List(Noun<list::Verb>),
    /// Addresses that are not written to, and looking at addresses
    Suppression(Noun<suppression::Verb>),
    /// Asking somebody whether they want mail for a purpose (double opt-in), and the proof of what they said
    OptIn(Noun<opt_in::Verb>),
    /// What came back about messages that were sent: bounces, complaints, and what counts for nothing
    Feedback(Noun<feedback::Verb>),
    /// Pools of senders: mailboxes among which volume is split over their domains
    Pool(Noun<pool::Verb>),
    /// Shows what became of what was sent: accepted, delivered, bounced, complaint, rejected
    Activity(Box<Alone<activity::Arguments>>),
    /// Figures of what was sent: rates by domain and account, how sending is, how it went over time
    Metrics(Noun<metrics::Verb>),
    /// Domains: registering, verifying, signing keys (operator)
    Domain(Noun<domain::Verb>),
    /// Keys of applications and operators (operator)
    Key(Noun<key::Verb>),
    /// Applications: sub-accounts with mailboxes and keys of their own (operator)
    App(Noun<app::Verb>),
    /// Organizations and their plans (operator)
    Org(Noun<org::Verb>),
    /// Higher quotas for a while: asking, granting, refusing
    Raise(Noun<raise::Verb>),
    /// Lines that a workspace draws before those of the platform, and what follows when a mailbox crosses one
    Breaker(Noun<breaker::Verb>),
    /// Coming back from a pause: asking with cause and fix, granting, refusing
    Recovery(Noun<recovery::Verb>),
    /// Who is told by e-mail or chat of stops, quotas and raises
    Alert(Noun<alert::Verb>),
    /// Programs that are told of events: how far they are, what became of it, and telling them once more
    Webhook(Noun<webhook::Verb>),
    /// What is on its way out: where it stands, why, and what to do about it
    Queue(Noun<queue::Verb>),
    /// Sends that wait for their quota or for somebody to approve them: looking at them and deciding
    Hold(Noun<hold::Verb>),
    /// Stops sending of a mailbox, a workspace, a domain, an application or everything
    Stop(Alone<stop::Target>),
    /// Starts sending again: lifts switches, breakers, quarantine and cut loops
    Start(Alone<stop::Restart>),
    /// Shows who may not send, and why
    Stops(Alone<stop::All>),
    /// Senders that are blocked because of abuse (operator)
    Restriction(Noun<stop::Verb>),
    /// Puts together what support needs to know of a mailbox
    SupportBundle(Alone<stop::Bundle>),
    /// The record of changes
    Audit(Noun<audit::Verb>),
    /// Shows the tree of an application: workspaces, policies, rules, lists; and what may not be as it was meant
    #[command(visible_alias = "tree")]
    Overview(Alone<overview::Arguments>),
    /// Shows everything that holds for one mailbox, and where it comes from
    Explain(Alone<explain::Arguments>),
    /// Shows what would become of a message that comes in: what stands against it, what is found of it, where it goes
    ExplainInbound(Box<Alone<explain_inbound::Arguments>>),
    /// Shows mail that a mailbox did not take, by which limit or rule, and what would change that
    Refused(Alone<refused::Arguments>),
    /// Shows what a mailbox, the application or an organization uses, and where it ends
    Usage(Alone<usage::Arguments>),
    /// Shows where a mailbox, the application or a domain stands with its bounces and complaints, and what it takes until a pause
    Reputation(Alone<reputation::Arguments>),
    /// How long mail is kept, and what was removed when its time was over
    Retention(Noun<retention::Verb>),
    /// Mail from files into a mailbox, and from a mailbox into files: mbox, Maildir, EML
    Mailbox(Noun<mailbox::Verb>),
    /// Suggests daily quotas: about twice what was sent on the busiest of the last 30 days
    Advise(Alone<workspace::Advise>),
    /// Tries out whether what is to happen does: a quota that is used up, and who is told of it
    Drill(Noun<drill::Verb>),
    /// Shows what `apply` would change
    Plan(Alone<declared::PlanArguments>),
    /// Makes the server have what a fleet file says
    Apply(Alone<declared::ApplyArguments>),
    /// Writes the present state as a fleet file
    Export(Alone<declared::ExportArguments>),
    /// Keeps the server's URL and keys in a file, for the commands that follow
    Login(Alone<NoArguments>),
    /// Prints a script that completes commands in a shell
    Completions(shell::Completions),
    /// Writes manual pages, one for each command
    Man(shell::Man),
}

/// A noun with its verbs.
#[derive(clap::Args)]
pub struct Noun<V: clap::Subcommand> {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: V,
}

/// A command that is a verb by itself.
#[derive(clap::Args)]
pub struct Alone<A: clap::Args> {
    // First, as the heading of the others would hold for what follows.
    #[command(flatten)]
    arguments: A,
    #[command(flatten)]
    globals: Globals,
}

/// Nothing beside what every command takes.
#[derive(clap::Args)]
pub struct NoArguments {}

impl Command {
    /// What was said for all commands; none of those that ask no server.
    pub(crate) fn globals(&self) -> Option<&Globals> {
        Some(match self {
            Self::Agent(noun) => &noun.globals,
            Self::Workspace(noun) => &noun.globals,
            Self::Policy(noun) => &noun.globals,
            Self::Pool(noun) => &noun.globals,
            Self::Domain(noun) => &noun.globals,
            Self::Key(noun) => &noun.globals,
            Self::App(noun) => &noun.globals,
            Self::Org(noun) => &noun.globals,
            Self::Audit(noun) => &noun.globals,
            Self::Queue(noun) => &noun.globals,
            Self::Hold(noun) => &noun.globals,
            Self::Rule(noun) => &noun.globals,
            Self::Raise(noun) => &noun.globals,
            Self::Recovery(noun) => &noun.globals,
            Self::Stop(alone) => &alone.globals,
            Self::Start(alone) => &alone.globals,
            Self::Stops(alone) => &alone.globals,
            Self::Restriction(noun) => &noun.globals,
            Self::SupportBundle(alone) => &alone.globals,
            Self::Alert(noun) => &noun.globals,
            Self::Webhook(noun) => &noun.globals,
            Self::Breaker(noun) => &noun.globals,
            Self::List(noun) => &noun.globals,
            Self::Suppression(noun) => &noun.globals,
            Self::OptIn(noun) => &noun.globals,
            Self::Feedback(noun) => &noun.globals,
            Self::Activity(alone) => &alone.globals,
            Self::Metrics(noun) => &noun.globals,
            Self::Overview(alone) => &alone.globals,
            Self::Explain(alone) => &alone.globals,
            Self::ExplainInbound(alone) => &alone.globals,
            Self::Refused(alone) => &alone.globals,
            Self::Usage(alone) => &alone.globals,
            Self::Reputation(alone) => &alone.globals,
            Self::Retention(noun) => &noun.globals,
            Self::Mailbox(noun) => &noun.globals,
            Self::Advise(alone) => &alone.globals,
            Self::Drill(noun) => &noun.globals,
            Self::Plan(alone) => &alone.globals,
            Self::Apply(alone) => &alone.globals,
            Self::Export(alone) => &alone.globals,
            Self::Login(alone) => &alone.globals,
            Self::Completions(_) | Self::Man(_) => return None,
        })
    }

    /// Runs a command that asks a server.
    pub(crate) async fn run(self, session: &mut Session<'_, '_>) -> Outcome {
        match self {
            Self::Agent(noun) => agent::run(noun.verb, session).await,
            Self::Workspace(noun) => workspace::run(noun.verb, session).await,
            Self::Policy(noun) => policy::run(noun.verb, session).await,
            Self::Pool(noun) => pool::run(noun.verb, session).await,
            Self::Domain(noun) => domain::run(noun.verb, session).await,
            Self::Key(noun) => key::run(noun.verb, session).await,
            Self::App(noun) => app::run(noun.verb, session).await,
            Self::Org(noun) => org::run(noun.verb, session).await,
            Self::Audit(noun) => audit::run(noun.verb, session).await,
            Self::Queue(noun) => queue::run(noun.verb, session).await,
            Self::Hold(noun) => hold::run(noun.verb, session).await,
            Self::Rule(noun) => rule::run(noun.verb, session).await,
            Self::Raise(noun) => raise::run(noun.verb, session).await,
            Self::Recovery(noun) => recovery::run(noun.verb, session).await,
            Self::Stop(alone) => stop::stop(alone.arguments, session).await,
            Self::Start(alone) => stop::start(alone.arguments, session).await,
            Self::Stops(alone) => stop::list(alone.arguments, session).await,
            Self::Restriction(noun) => stop::run(noun.verb, session).await,
            Self::SupportBundle(alone) => stop::bundle(alone.arguments, session).await,
            Self::Alert(noun) => alert::run(noun.verb, session).await,
            Self::Webhook(noun) => webhook::run(noun.verb, session).await,
            Self::Breaker(noun) => breaker::run(noun.verb, session).await,
            Self::List(noun) => list::run(noun.verb, session).await,
            Self::Suppression(noun) => suppression::run(noun.verb, session).await,
            Self::OptIn(noun) => opt_in::run(noun.verb, session).await,
            Self::Feedback(noun) => feedback::run(noun.verb, session).await,
            Self::Activity(alone) => activity::run(alone.arguments, session).await,
            Self::Metrics(noun) => metrics::run(noun.verb, session).await,
            Self::Overview(alone) => overview::run(alone.arguments, session).await,
            Self::Explain(alone) => explain::run(alone.arguments, session).await,
            Self::ExplainInbound(alone) => explain_inbound::run(alone.arguments, session).await,
            Self::Refused(alone) => refused::run(alone.arguments, session).await,
            Self::Usage(alone) => usage::run(alone.arguments, session).await,
            Self::Reputation(alone) => reputation::run(alone.arguments, session).await,
            Self::Mailbox(noun) => mailbox::run(noun.verb, session).await,
            Self::Retention(noun) => retention::run(noun.verb, session).await,
            Self::Advise(alone) => workspace::run(workspace::Verb::Advise(alone.arguments), session).await,
            Self::Drill(noun) => drill::run(noun.verb, session).await,
            Self::Plan(alone) => declared::run_plan(&alone.arguments, session).await,
            Self::Apply(alone) => declared::run_apply(&alone.arguments, session).await,
            Self::Export(alone) => declared::run_export(&alone.arguments, session).await,
            Self::Login(_) => login::run(session).await,
            Self::Completions(_) | Self::Man(_) => Ok(()),
        }
    }

    /// Runs one that asks none.
    pub(crate) fn without_server(self, surroundings: &mut Surroundings<'_>, program: clap::Command) -> Outcome {
        match self {
            Self::Completions(completions) => shell::completions(&completions, program, surroundings),
            Self::Man(man) => shell::man(&man, program, surroundings),
            _ => Err(Failure::Usage("this command asks a server".to_owned())),
        }
    }
}

/// How much of a list is shown.
#[derive(clap::Args)]
pub struct Pages {
    /// How many to show at most
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Show all of them, however many there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Pages {
    fn most(&self) -> Option<usize> {
        (!self.all).then_some(self.limit as usize)
    }
}

/// Consent to what cannot be taken back.
#[derive(clap::Args)]
pub struct Consent {
    /// Do not ask
    #[arg(short = 'y', long, short_alias = 'f', alias = "force")]
    yes: bool,
}
