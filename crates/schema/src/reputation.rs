//! `/v3/reputation` and the reputation of a mailbox, a workspace, a domain or an organization: how many bounced and
//! complained, where that leads, and what of it counted.

use crate::recovery::Recovery;
use serde::Serialize;
use utoipa::ToSchema;

/// Where a sender stands, and by what.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reputation {
    /// Whose: `grant`, `domain`, `workspace`, `application` or `organization`.
    #[schema(example = "grant")]
    pub subject_type: &'static str,
    /// The id, or the name of a domain.
    pub subject: String,
    /// The address of a mailbox, or the name of a workspace; null for others.
    pub name: Option<String>,
    /// `healthy`, `elevated` (more bounces than there should be; nothing follows from it), `under_review` (sending goes on)
    /// or `paused` (nothing is sent until an operator lifts the pause; mailboxes only).
    #[schema(example = "healthy")]
    pub state: &'static str,
    /// Since when, in unix seconds; null if nothing was counted yet.
    pub since: Option<i64>,
    /// The volume by which it is judged: what was sent in seven days, from 1,000 to 100,000 recipients. The counts are of
    /// about that many of the last recipients, or of fewer if fewer were ever written to.
    pub volume: u64,
    /// The rates.
    pub rates: Rates,
    /// What the rates are made of.
    pub counts: Counts,
    /// How far it is from what follows.
    pub head_room: HeadRoom,
    /// The last of what went wrong, with what counted and what did not; of a mailbox only, null for others.
    pub outcomes: Option<Outcomes>,
    /// Of a mailbox, if it was asked for: the counts as the record of all outcomes has them; null otherwise.
    pub recount: Option<Recount>,
}

/// The rates by which somebody is judged.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rates {
    /// Recipients that are not there, divided by recipients for whom a server answered.
    pub hard_bounces: Rate,
    /// Recipients that complained, divided by recipients at domains that send feedback.
    pub complaints: Rate,
}

/// So many of so many.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rate {
    /// The rate in percent.
    #[schema(example = 1.25)]
    pub percent: f64,
    /// So many…
    pub count: u64,
    /// … of so many: the recipients counted, but at least 100 for bounces and 1,000 for complaints.
    pub of: u64,
    /// From so many percent on it is under review.
    pub review_percent: f64,
    /// From so many percent on a mailbox is paused.
    pub pause_percent: f64,
    /// Below so many percent a review ends.
    pub clear_percent: f64,
}

/// What was counted of the last recipients.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Counts {
    /// Recipients for whom a server answered.
    pub recipients: u64,
    /// Those at domains that send feedback.
    pub recipients_of_feedback_domains: u64,
    /// Those that are not there. Mailboxes that are full, greylisting and other failures do not count.
    pub hard_bounces: u64,
    /// Those that complained.
    pub complaints: u64,
}

/// How many more it takes, with the volume as it is. Null where that follows for nobody, or has followed already.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HeadRoom {
    /// Hard bounces until it is under review.
    pub hard_bounces_until_review: Option<u64>,
    /// Complaints until it is under review.
    pub complaints_until_review: Option<u64>,
    /// Hard bounces until a mailbox is paused.
    pub hard_bounces_until_pause: Option<u64>,
    /// Complaints until a mailbox is paused.
    pub complaints_until_pause: Option<u64>,
    /// Recipients until a mailbox is paused that stays under review.
    pub recipients_until_pause: Option<u64>,
    /// The same for people; empty if there is none.
    #[schema(example = "1 more complaint or 5 more hard bounces until review")]
    pub text: String,
    /// Whether so few recipients were counted that a handful of complaints or bounces decides: fewer than 1,000.
    pub is_small_sample: bool,
}

/// The last of what went wrong: of the 100 newest.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Outcomes {
    /// What counted against the sender, newest first.
    pub counted: Vec<Outcome>,
    /// What did not, newest first, with the reason why not.
    pub not_counted: Vec<Outcome>,
}

/// Something that went wrong with one recipient.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Outcome {
    /// Its id.
    pub id: String,
    /// `bounced`, `complaint` or `rejected`.
    pub event_type: &'static str,
    /// When, in unix seconds.
    pub at: i64,
    /// The message.
    pub message_id: String,
    /// The recipient; null if a report names nobody.
    pub recipient: Option<String>,
    /// The type of a bounce, as in events; null for others.
    pub bounce_type: Option<&'static str>,
    /// `hard`, `soft` or `undetermined`; null for what is no bounce.
    pub bounce_class: Option<&'static str>,
    /// Enhanced status code, or the type of a complaint; empty if there is none.
    pub status: String,
    /// What was said; empty if nothing was.
    pub reason: String,
    /// Whether it counts as a recipient for whom a server answered.
    pub counts_as_recipient: bool,
    /// Why it does not count against the sender; null if it does.
    pub not_counted_because: Option<&'static str>,
}

/// The counts of a mailbox as the record of all outcomes has them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Recount {
    /// Whether they are the same as those by which the mailbox is judged.
    pub agrees: bool,
    /// Whether the record still has all outcomes of which the window is made: they are kept for a while only.
    pub is_complete: bool,
    /// What was counted.
    pub counts: Counts,
}

/// Where an application stands, with its workspaces, the domains of those, and the mailboxes that are not healthy.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApplicationReputation {
    /// The application.
    pub application: Reputation,
    /// Its workspaces of which something was counted, the worst first; 100 at most.
    pub workspaces: Vec<Reputation>,
    /// The domains that its workspaces are for, with all that was sent from them; 100 at most.
    pub domains: Vec<Reputation>,
    /// Its mailboxes that are not healthy, the worst first: one page.
    pub grants: Vec<Reputation>,
    /// Where the next page of mailboxes starts; null on the last one.
    pub next_cursor: Option<String>,
}

/// The reputation of a mailbox in its support bundle.
#[derive(Debug, Serialize, ToSchema)]
pub struct BundledReputation {
    /// Of the mailbox, with the last of what went wrong.
    pub grant: Reputation,
    /// Of its domain.
    pub domain: Reputation,
    /// Of its workspace; null if it is in none.
    pub workspace: Option<Reputation>,
    /// Of the application.
    pub application: Reputation,
    /// Of the organization. What it has sent in all is not for one of its applications.
    pub organization: OrganizationStanding,
    /// The last changes of the state of any of them, newest first: 20 at most, as long as their events are kept.
    pub transitions: Vec<ReputationTransition>,
    /// The cases in which somebody asked that the mailbox may send again, newest first: 20 at most.
    pub recoveries: Vec<Recovery>,
}

/// Where an organization stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrganizationStanding {
    /// Its id.
    pub subject: String,
    /// `healthy`, `elevated` or `under_review`.
    pub state: &'static str,
    /// Since when, in unix seconds; null if nothing was counted yet.
    pub since: Option<i64>,
}

/// A change of the state of somebody.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReputationTransition {
    /// Whose: `grant`, `domain`, `workspace`, `application` or `organization`.
    pub subject_type: String,
    /// The id, or the name of a domain.
    pub subject: String,
    /// The state before.
    pub from: String,
    /// The state since.
    pub to: String,
    /// When, in unix seconds.
    pub at: i64,
}
