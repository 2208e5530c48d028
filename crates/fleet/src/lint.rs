//! The check of an application's workspaces and policies: what may not be as it was meant. It reads a bounded number
//! of rows and changes nothing.

use postfleet_core::Problem;
use postfleet_core::id::{ApplicationId, PolicyId, WorkspaceId};
use postfleet_core::plan::{Limits, PolicyLimits};
use postfleet_schema::finding::Finding;
use postfleet_store::Store;
use postfleet_store::findings::{self, Checked, PolicyValues};
use postfleet_store::workspaces::{self, Listed};
use std::collections::{HashMap, HashSet};

/// Rows of a kind that are looked at.
const ROWS_MAX: usize = 10_000;

/// Ids that a finding shows.
const IDS_MAX: usize = 20;

const INFO: &str = "info";
const WARNING: &str = "warning";

/// What is to be said about an application; nothing if all is well.
pub async fn findings(store: &Store, application: ApplicationId) -> Result<Vec<Finding>, Problem> {
    let mut reader = store.reader().await?;
    let checked = findings::application(&mut reader, application).await?.ok_or_else(Problem::not_found)?;
    let workspaces = workspaces::list(&mut reader, application).await?;
    let policies = findings::policies(&mut reader, application, ROWS_MAX).await?;
    let homeless = findings::in_no_workspace(&mut reader, application, ROWS_MAX).await?;
    let fallen = match workspaces.len() {
        // There is no other place to be.
        0 | 1 => (Vec::new(), false),
        _ => findings::fell_through(&mut reader, checked.default_workspace_id, ROWS_MAX).await?,
    };
    let all = [
        finding("grants_fell_through", WARNING, FELL_THROUGH, &fallen.0, fallen.1),
        finding("grants_in_no_workspace", WARNING, IN_NO_WORKSPACE, &homeless.0, homeless.1),
        finding("policies_unattached", INFO, UNATTACHED, &unattached(&workspaces, &policies.0), policies.1),
        finding("workspaces_without_policy", INFO, WITHOUT_POLICY, &without_policy(&workspaces), false),
        finding(
            "workspaces_without_daily_cap",
            WARNING,
            WITHOUT_DAILY_CAP,
            &without_daily_cap(&checked, &workspaces, &policies.0),
            policies.1,
        ),
        finding("policies_identical", INFO, IDENTICAL, &identical(&policies.0), policies.1),
    ];
    Ok(all.into_iter().flatten().collect())
}

const FELL_THROUGH: &str = "mailboxes came into the default workspace because nothing else matched; pass workspace_id \
    when making a mailbox, and take grouping by domain as the fallback";
const IN_NO_WORKSPACE: &str = "mailboxes are in no workspace; only what the plan allows holds for them";
const UNATTACHED: &str = "policies are attached to no workspace and have no effect";
const WITHOUT_POLICY: &str = "workspaces have no policy; their mailboxes may use all that the plan allows";
const WITHOUT_DAILY_CAP: &str = "mailboxes of these workspaces of a production application may send without a daily \
    limit";
const IDENTICAL: &str = "policies set exactly what an older one sets; one policy can serve many workspaces";

/// `None` if there is nothing to say.
fn finding<T: std::fmt::Display>(
    code: &'static str,
    severity: &'static str,
    message: &str,
    ids: &[T],
    is_truncated: bool,
) -> Option<Finding> {
    let shown = ids.iter().take(IDS_MAX).map(T::to_string).collect();
    let count = ids.len() as u64;
    let message = message.to_owned();
    (count > 0).then_some(Finding { code, severity, message, count, ids: shown, truncated: is_truncated })
}

fn unattached(workspaces: &[Listed], policies: &[PolicyValues]) -> Vec<PolicyId> {
    let attached: HashSet<_> = workspaces.iter().filter_map(|listed| listed.workspace.policy_id).collect();
    policies.iter().map(|policy| policy.id).filter(|id| !attached.contains(id)).collect()
}

fn without_policy(workspaces: &[Listed]) -> Vec<WorkspaceId> {
    let bare = workspaces.iter().filter(|listed| listed.workspace.policy_id.is_none());
    bare.map(|listed| listed.workspace.id).collect()
}

fn without_daily_cap(checked: &Checked, workspaces: &[Listed], policies: &[PolicyValues]) -> Vec<WorkspaceId> {
    if !checked.is_production {
        return Vec::new();
    }
    let limits: HashMap<PolicyId, &PolicyLimits> = policies.iter().map(|policy| (policy.id, &policy.limits)).collect();
    let nothing = PolicyLimits::default();
    let is_uncapped = |policy: Option<PolicyId>| {
        // Nothing is said of a policy that was not looked at.
        let set = match policy {
            None => Some(&nothing),
            Some(id) => limits.get(&id).copied(),
        };
        set.is_some_and(|set| Limits::effective(&checked.plan.limits, set).daily_sends_max.is_none())
    };
    let uncapped = workspaces.iter().filter(|listed| is_uncapped(listed.workspace.policy_id));
    uncapped.map(|listed| listed.workspace.id).collect()
}

/// Every policy that says what an older one says.
fn identical(policies: &[PolicyValues]) -> Vec<PolicyId> {
    let mut seen = HashSet::new();
    let is_again = |policy: &&PolicyValues| !seen.insert(format!("{:?} {}", policy.limits, policy.rest));
    policies.iter().filter(is_again).map(|policy| policy.id).collect()
}
