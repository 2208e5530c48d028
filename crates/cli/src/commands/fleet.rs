//! What an application has, read once: workspaces, policies, rules and lists. Overview and explanation are made from it.

use crate::client::Api;
use crate::failure::Failure;
use serde_json::Value;

/// All that governs mail in an application.
pub struct Fleet {
    /// Oldest first.
    pub workspaces: Vec<Value>,
    /// In any order.
    pub policies: Vec<Value>,
    /// In the order in which they are looked at.
    pub rules: Vec<Value>,
    /// In any order.
    pub lists: Vec<Value>,
}

impl Fleet {
    /// Reads it, a page at a time.
    pub async fn read(api: &Api) -> Result<Self, Failure> {
        let mut rules = if_there(api, "rules").await?;
        // Rules of one priority: the older first.
        let place = |rule: &Value| (rule["priority"].as_i64(), rule["created_at"].as_i64(), rule["id"].to_string());
        rules.sort_by_cached_key(place);
        Ok(Self {
            workspaces: api.list(&["workspaces"], &[], None).await?.items,
            policies: api.list(&["policies"], &[], None).await?.items,
            rules,
            lists: if_there(api, "lists").await?,
        })
    }

    /// The workspace of that id.
    pub fn workspace(&self, id: &Value) -> Option<&Value> {
        self.workspaces.iter().find(|workspace| workspace["workspace_id"] == *id)
    }

    /// The policy of that id.
    pub fn policy(&self, id: &Value) -> Option<&Value> {
        self.policies.iter().find(|policy| policy["id"] == *id)
    }

    /// The list of that id.
    pub fn list(&self, id: &Value) -> Option<&Value> {
        self.lists.iter().find(|list| list["id"] == *id)
    }

    /// What a workspace, policy, rule or list of that id is called.
    pub fn name(&self, id: &Value) -> Option<&Value> {
        let rule = || self.rules.iter().find(|rule| rule["id"] == *id);
        let thing = self.workspace(id).or_else(|| self.policy(id)).or_else(rule).or_else(|| self.list(id));
        thing.map(|thing| &thing["name"])
    }

    /// The rules that a workspace names, in the order in which they are looked at.
    pub fn rules_of<'a>(&'a self, workspace: &'a Value) -> impl Iterator<Item = &'a Value> {
        self.rules.iter().filter(|rule| rule_ids(workspace).any(|id| *id == rule["id"]))
    }

    /// The ids in a workspace that no rule has.
    pub fn dangling_rules<'a>(&'a self, workspace: &'a Value) -> impl Iterator<Item = &'a Value> {
        rule_ids(workspace).filter(|id| !self.rules.iter().any(|rule| rule["id"] == **id))
    }
}

/// The rules that a workspace names.
pub fn rule_ids(workspace: &Value) -> impl Iterator<Item = &Value> {
    workspace["rule_ids"].as_array().into_iter().flatten()
}

/// The lists that a rule looks into, each once.
pub fn list_ids(rule: &Value) -> Vec<&Value> {
    let conditions = rule["match"]["conditions"].as_array().into_iter().flatten();
    let of_lists = conditions.filter(|condition| condition["operator"] == "in_list");
    let mut ids = Vec::new();
    for id in of_lists.flat_map(|condition| condition["value"].as_array().into_iter().flatten()) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// A list of the interface, which is empty on a server that is older than it.
async fn if_there(api: &Api, name: &str) -> Result<Vec<Value>, Failure> {
    match api.list(&[name], &[], None).await {
        Ok(things) => Ok(things.items),
        Err(Failure::Refused(refusal)) if refusal.code == "unknown_route" => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}
