//! The check of an application's workspaces, policies, rules and lists: what may not be as it was meant. It reads a
//! bounded number of rows and changes nothing.

use postfleet_core::Problem;
use postfleet_core::id::{ApplicationId, ListId, PolicyId, RuleId, WorkspaceId};
use postfleet_core::plan::{Limits, PolicyLimits};
use postfleet_schema::finding::Finding;
use postfleet_store::Store;
use postfleet_store::findings::{self, Checked, PolicyValues, RuleUse};
use postfleet_store::workspaces::{self, Listed};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rows of a kind that are looked at.
const ROWS_MAX: usize = 10_000;

/// Ids that a finding shows.
const IDS_MAX: usize = 20;

/// So many policies that are used once each look like one for each tenant.
const POLICIES_LIKE_TENANTS: usize = 5;

const INFO: &str = "info";
const WARNING: &str = "warning";

/// What is to be said about an application; nothing if all is well.
pub async fn findings(store: &Store, application: ApplicationId) -> Result<Vec<Finding>, Problem> {
    let mut reader = store.reader().await?;
    let checked = findings::application(&mut reader, application).await?.ok_or_else(Problem::not_found)?;
    let workspaces = workspaces::list(&mut reader, application).await?;
    let policies = findings::policies(&mut reader, application, ROWS_MAX).await?;
    let rules = findings::rules(&mut reader, application, ROWS_MAX).await?;
    let lists = findings::lists(&mut reader, application, ROWS_MAX).await?;
    let homeless = findings::in_no_workspace(&mut reader, application, ROWS_MAX).await?;
    let fallen = match workspaces.len() {
        // There is no other place to be.
        0 | 1 => (Vec::new(), false),
        _ => findings::fell_through(&mut reader, checked.default_workspace_id, ROWS_MAX).await?,
    };
    let all = [
        finding("grants_fell_through", WARNING, FELL_THROUGH, &fallen.0, fallen.1),
        finding("grants_in_no_workspace", WARNING, IN_NO_WORKSPACE, &homeless.0, homeless.1),
        finding("rules_naming_lost_lists", WARNING, LOST_LISTS, &naming_lost(&rules.0, &lists), rules.1 || lists.1),
        finding(
            "workspaces_with_disabled_rules_only",
            WARNING,
            DISABLED_ONLY,
            &disabled_only(&workspaces, &rules.0),
            rules.1,
        ),
        finding("policies_like_tenants", WARNING, LIKE_TENANTS, &like_tenants(&workspaces), false),
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
        finding("rules_unattached", INFO, RULES_UNATTACHED, &rules_unattached(&workspaces, &rules.0), rules.1),
        finding("lists_unused", INFO, LISTS_UNUSED, &lists_unused(&rules, &lists.0), lists.1),
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
const LOST_LISTS: &str = "rules look into lists that are gone; such a list holds nothing";
const DISABLED_ONLY: &str = "all rules of these workspaces are disabled; nothing judges the mail of their mailboxes";
const LIKE_TENANTS: &str = "every policy is used by one workspace alone; a few policies, one for each tier, are changed \
    in one place";
const RULES_UNATTACHED: &str = "no workspace uses these rules; they have no effect";
const LISTS_UNUSED: &str = "no rule looks into these lists; they have no effect";

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

/// The policies that are used, if there are several and none of them is shared.
fn like_tenants(workspaces: &[Listed]) -> Vec<PolicyId> {
    let mut uses: BTreeMap<PolicyId, usize> = BTreeMap::new();
    for policy in workspaces.iter().filter_map(|listed| listed.workspace.policy_id) {
        *uses.entry(policy).or_default() += 1;
    }
    let are_tenants = uses.len() >= POLICIES_LIKE_TENANTS && uses.values().all(|uses| *uses == 1);
    if are_tenants { uses.into_keys().collect() } else { Vec::new() }
}

fn rules_unattached(workspaces: &[Listed], rules: &[RuleUse]) -> Vec<RuleId> {
    let used: HashSet<&RuleId> = workspaces.iter().flat_map(|listed| &listed.rule_ids).collect();
    rules.iter().map(|rule| rule.id).filter(|id| !used.contains(id)).collect()
}

/// Nothing is said of a workspace with a rule that was not looked at.
fn disabled_only(workspaces: &[Listed], rules: &[RuleUse]) -> Vec<WorkspaceId> {
    let disabled: HashSet<RuleId> = rules.iter().filter(|rule| !rule.is_enabled).map(|rule| rule.id).collect();
    let is_idle =
        |listed: &&Listed| !listed.rule_ids.is_empty() && listed.rule_ids.iter().all(|id| disabled.contains(id));
    workspaces.iter().filter(is_idle).map(|listed| listed.workspace.id).collect()
}

/// Nothing is said of a list that a rule may name which was not looked at.
fn lists_unused((rules, are_more): &(Vec<RuleUse>, bool), lists: &[ListId]) -> Vec<ListId> {
    let named: HashSet<&ListId> = rules.iter().flat_map(|rule| &rule.lists).collect();
    if *are_more { Vec::new() } else { lists.iter().copied().filter(|id| !named.contains(id)).collect() }
}

/// Rules with a list that is not among those there are. Lists come in the order of their ids: what is above the last of
/// those that were looked at may be there.
fn naming_lost(rules: &[RuleUse], (lists, are_more): &(Vec<ListId>, bool)) -> Vec<RuleId> {
    let there: HashSet<&ListId> = lists.iter().collect();
    let last = lists.last().filter(|_| *are_more);
    let is_lost = |list: &ListId| !there.contains(list) && last.is_none_or(|last| list < last);
    rules.iter().filter(|rule| rule.lists.iter().any(is_lost)).map(|rule| rule.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::UnixMicros;

    fn list(second: i64) -> ListId {
        ListId::first_at(UnixMicros::from_seconds(second))
    }

    fn rule(second: i64, lists: Vec<ListId>) -> RuleUse {
        RuleUse { id: RuleId::first_at(UnixMicros::from_seconds(second)), is_enabled: true, lists }
    }

    #[test]
    fn nothing_is_said_of_what_was_not_looked_at() {
        let rules = vec![rule(1, vec![list(2)]), rule(2, vec![list(9)])];
        let ids: Vec<_> = rules.iter().map(|rule| rule.id).collect();
        assert_eq!(naming_lost(&rules, &(vec![list(1), list(5)], false)), ids);
        assert_eq!(naming_lost(&rules, &(vec![list(1), list(5)], true)), ids[..1], "the newer one may be there");
        assert_eq!(naming_lost(&rules, &(vec![list(2), list(9)], false)), []);
        assert_eq!(lists_unused(&(rules.clone(), false), &[list(1), list(2)]), [list(1)]);
        assert_eq!(lists_unused(&(rules, true), &[list(1), list(2)]), [], "another rule may name it");
    }
}
