//! What in a fleet may not be as it was meant: judged from what the interface says, without asking anything.

use super::super::fleet::{Fleet, list_ids, rule_ids};
use crate::output::plain;
use serde_json::{Value, json};

/// So many policies that are used once each look like one for each tenant.
const POLICIES_LIKE_TENANTS: usize = 5;

/// Something to look at.
#[derive(Debug, PartialEq)]
pub struct Flag {
    /// Whether a check fails for it.
    pub is_warning: bool,
    /// A stable word.
    pub code: String,
    /// A text for people.
    pub message: String,
    /// The things it is about.
    pub ids: Vec<String>,
}

impl Flag {
    fn warning(code: &str, message: String, ids: &[&Value]) -> Self {
        let ids = ids.iter().map(|id| plain(id)).collect();
        Self { is_warning: true, code: code.to_owned(), message, ids }
    }

    /// As programs see it.
    pub fn json(&self) -> Value {
        let severity = if self.is_warning { "warning" } else { "info" };
        json!({"code": self.code, "severity": severity, "message": self.message, "ids": self.ids})
    }
}

/// All there is to say; warnings first. `plan_sends` is what the plan allows a mailbox to send a day, if that is known.
pub fn all(fleet: &Fleet, plan_sends: Option<&Value>, findings: &Value) -> Vec<Flag> {
    let mut flags = dangling(fleet);
    flags.extend(orphaned(fleet));
    let unlimited = unlimited(fleet, plan_sends);
    flags.extend(of_server(findings, &unlimited));
    flags.extend(unlimited);
    flags.extend(policy_per_tenant(fleet));
    flags.sort_by_key(|flag| !flag.is_warning);
    flags
}

/// Ids of what does not exist.
fn dangling(fleet: &Fleet) -> Vec<Flag> {
    let mut flags = Vec::new();
    for workspace in &fleet.workspaces {
        let (name, policy) = (plain(&workspace["name"]), &workspace["policy_id"]);
        if !policy.is_null() && fleet.policy(policy).is_none() {
            let text = format!("the workspace {name} names the policy {}, which does not exist", plain(policy));
            flags.push(Flag::warning("dangling_policy", text, &[&workspace["workspace_id"], policy]));
        }
        for rule in fleet.dangling_rules(workspace) {
            let text = format!("the workspace {name} names the rule {}, which does not exist", plain(rule));
            flags.push(Flag::warning("dangling_rule", text, &[&workspace["workspace_id"], rule]));
        }
    }
    for rule in &fleet.rules {
        for list in list_ids(rule).into_iter().filter(|id| fleet.list(id).is_none()) {
            let (name, list_id) = (plain(&rule["name"]), plain(list));
            let text = format!("the rule {name} looks into the list {list_id}, which does not exist");
            flags.push(Flag::warning("dangling_list", text, &[&rule["id"], list]));
        }
    }
    flags
}

/// What nothing uses.
fn orphaned(fleet: &Fleet) -> Vec<Flag> {
    let uses_policy = |id: &Value| fleet.workspaces.iter().any(|workspace| workspace["policy_id"] == *id);
    let uses_rule = |id: &Value| fleet.workspaces.iter().any(|workspace| rule_ids(workspace).any(|rule| rule == id));
    let uses_list = |id: &Value| fleet.rules.iter().any(|rule| list_ids(rule).contains(&id));
    let unused = |code: &'static str, what: &'static str, thing: &Value| {
        Flag::warning(code, format!("{what} {}", plain(&thing["name"])), &[&thing["id"]])
    };
    let policies = fleet.policies.iter().filter(|policy| !uses_policy(&policy["id"]));
    let rules = fleet.rules.iter().filter(|rule| !uses_rule(&rule["id"]));
    let lists = fleet.lists.iter().filter(|list| !uses_list(&list["id"]));
    let flags = policies.map(|policy| unused("orphaned_policy", "no workspace uses the policy", policy));
    let flags = flags.chain(rules.map(|rule| unused("orphaned_rule", "no workspace uses the rule", rule)));
    flags.chain(lists.map(|list| unused("orphaned_list", "no rule looks into the list", list))).collect()
}

/// Workspaces whose mailboxes may send any number a day.
fn unlimited(fleet: &Fleet, plan_sends: Option<&Value>) -> Vec<Flag> {
    let is_unlimited = |workspace: &&Value| {
        let policy = fleet.policy(&workspace["policy_id"]);
        let sends = policy.map(|policy| &policy["limits"]["limit_count_daily_email_sent"]).or(plan_sends);
        sends.is_some_and(|sends| sends.as_i64() == Some(-1))
    };
    let flag = |workspace: &Value| {
        let text =
            format!("mailboxes of the workspace {} may send any number of messages a day", plain(&workspace["name"]));
        Flag::warning("unlimited_workspace", text, &[&workspace["workspace_id"]])
    };
    fleet.workspaces.iter().filter(is_unlimited).map(flag).collect()
}

/// Many policies that are used once each: a policy is for a tier, not for a tenant.
fn policy_per_tenant(fleet: &Fleet) -> Option<Flag> {
    let uses =
        |policy: &Value| fleet.workspaces.iter().filter(|workspace| workspace["policy_id"] == policy["id"]).count();
    let used: Vec<&Value> = fleet.policies.iter().filter(|policy| uses(policy) > 0).collect();
    if used.len() < POLICIES_LIKE_TENANTS || used.iter().any(|policy| uses(policy) > 1) {
        return None;
    }
    let text = format!(
        "{} workspaces have a policy of their own each: a few policies, one for each tier, are changed in one place",
        used.len()
    );
    Some(Flag::warning("policy_per_tenant", text, &used.iter().map(|policy| &policy["id"]).collect::<Vec<_>>()))
}

/// What the server found, but for what is said already.
fn of_server(findings: &Value, unlimited: &[Flag]) -> Vec<Flag> {
    let findings = findings.as_array().into_iter().flatten();
    let is_new = |finding: &&Value| match finding["code"].as_str().unwrap_or_default() {
        // Said here for each policy.
        "policies_unattached" => false,
        // Said here for each workspace, where it is known.
        "workspaces_without_daily_cap" => unlimited.is_empty(),
        _ => true,
    };
    let flag = |finding: &Value| Flag {
        is_warning: finding["severity"] == "warning",
        code: plain(&finding["code"]),
        message: format!("{} ({})", plain(&finding["message"]), plain(&finding["count"])),
        ids: finding["ids"].as_array().into_iter().flatten().map(plain).collect(),
    };
    findings.filter(is_new).map(flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(fleet: &Fleet, plan_sends: Option<Value>, findings: Value) -> Vec<String> {
        all(fleet, plan_sends.as_ref(), &findings).into_iter().map(|flag| flag.code).collect()
    }

    fn workspace(id: usize, policy: Value, rules: Value) -> Value {
        json!({"workspace_id": format!("w{id}"), "name": format!("W{id}"), "policy_id": policy, "rule_ids": rules})
    }

    fn policy(id: usize, sends: i64) -> Value {
        json!({"id": format!("p{id}"), "name": "P", "limits": {"limit_count_daily_email_sent": sends}})
    }

    #[test]
    fn what_does_not_exist_and_what_nothing_uses_is_flagged() {
        let condition = json!({"field": "from.domain", "operator": "in_list", "value": ["l1", "gone", "gone"]});
        let mut fleet = Fleet {
            workspaces: vec![workspace(1, json!("gone"), json!(["r1", "gone"]))],
            policies: vec![policy(1, 5)],
            rules: vec![
                json!({"id": "r1", "name": "R", "match": {"conditions": [condition]}}),
                json!({"id": "r2", "name": "R", "match": {"conditions": []}}),
            ],
            lists: vec![json!({"id": "l1", "name": "L"}), json!({"id": "l2", "name": "L"})],
        };
        let expected =
            ["dangling_policy", "dangling_rule", "dangling_list", "orphaned_policy", "orphaned_rule", "orphaned_list"];
        assert_eq!(codes(&fleet, None, json!([])), expected);
        fleet.workspaces = vec![workspace(1, json!("p1"), json!(["r1", "r2"]))];
        fleet.lists = vec![json!({"id": "l1", "name": "L"}), json!({"id": "gone", "name": "L"})];
        assert_eq!(codes(&fleet, None, json!([])), [""; 0]);
    }

    #[test]
    fn a_workspace_without_a_daily_limit_is_flagged_by_policy_or_plan() {
        let mut fleet = Fleet {
            workspaces: vec![workspace(1, json!("p1"), json!([])), workspace(2, Value::Null, json!([]))],
            policies: vec![policy(1, -1)],
            rules: vec![],
            lists: vec![],
        };
        let cap = json!([{"code": "workspaces_without_daily_cap", "severity": "warning", "count": 2, "ids": []}]);
        assert_eq!(codes(&fleet, None, json!([])), ["unlimited_workspace"], "the plan is not known");
        assert_eq!(codes(&fleet, Some(json!(200)), json!([])), ["unlimited_workspace"]);
        assert_eq!(codes(&fleet, Some(json!(-1)), cap.clone()), ["unlimited_workspace"; 2], "said once");
        fleet.policies = vec![policy(1, 10)];
        assert_eq!(codes(&fleet, Some(json!(200)), cap), ["workspaces_without_daily_cap"], "the server may know more");
    }

    #[test]
    fn a_policy_for_each_tenant_is_flagged_from_the_fifth_on() {
        let fleet = |count: usize, shared: bool| Fleet {
            workspaces: (0..count)
                .map(|id| workspace(id, json!(format!("p{id}")), json!([])))
                .chain(shared.then(|| workspace(99, json!("p0"), json!([]))))
                .collect(),
            policies: (0..count).map(|id| policy(id, 5)).collect(),
            rules: vec![],
            lists: vec![],
        };
        assert_eq!(codes(&fleet(4, false), None, json!([])), [""; 0]);
        assert_eq!(codes(&fleet(5, false), None, json!([])), ["policy_per_tenant"]);
        assert_eq!(codes(&fleet(5, true), None, json!([])), [""; 0], "one of them is shared");
    }

    #[test]
    fn infos_of_the_server_come_after_warnings() {
        let fleet = Fleet { workspaces: vec![], policies: vec![policy(1, 5)], rules: vec![], lists: vec![] };
        let findings = json!([
            {"code": "policies_identical", "severity": "info", "message": "same", "count": 2, "ids": ["a"]},
            {"code": "policies_unattached", "severity": "info", "message": "unused", "count": 1, "ids": ["p1"]},
        ]);
        assert_eq!(codes(&fleet, None, findings), ["orphaned_policy", "policies_identical"]);
    }
}
