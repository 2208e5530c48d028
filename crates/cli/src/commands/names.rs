//! People know things by name; the interface wants ids. A name is looked up in the list, and must be that of one thing.

use crate::client::Api;
use crate::failure::Failure;
use serde_json::Value;

/// A kind of thing that has names.
pub struct Named {
    /// What people call it.
    what: &'static str,
    /// Its list below `/v3`.
    path: &'static [&'static str],
    /// Where its id stands.
    id: &'static str,
    /// What it may be called by; the first that fits decides.
    names: &'static [&'static str],
}

/// Workspaces, by name or domain.
pub const WORKSPACE: Named =
    Named { what: "workspace", path: &["workspaces"], id: "workspace_id", names: &["name", "domain"] };
/// Policies.
pub const POLICY: Named = Named { what: "policy", path: &["policies"], id: "id", names: &["name"] };

/// Rules.
pub const RULE: Named = Named { what: "rule", path: &["rules"], id: "id", names: &["name"] };
/// Pools of senders.
pub const POOL: Named = Named { what: "pool", path: &["sender-pools"], id: "id", names: &["name"] };
/// Lists.
pub const LIST: Named = Named { what: "list", path: &["lists"], id: "id", names: &["name"] };
/// Applications.
pub const APPLICATION: Named = Named { what: "app", path: &["admin", "applications"], id: "id", names: &["name"] };
/// Organizations.
pub const ORGANIZATION: Named = Named { what: "org", path: &["admin", "organizations"], id: "id", names: &["name"] };

impl Named {
    /// The id of what was named. An id is taken as it is.
    pub async fn id(&self, api: &Api, text: &str) -> Result<String, Failure> {
        if is_id(text) {
            return Ok(text.to_owned());
        }
        let things = api.list(self.path, &[], None).await?.items;
        self.choose(&things, text)
    }

    /// The one that is called so: as it is spelled, or, if none is, in other capitals.
    fn choose(&self, things: &[Value], text: &str) -> Result<String, Failure> {
        let lower = text.to_lowercase();
        let (exactly, any_case) = (|called: &str| called == text, |called: &str| called.to_lowercase() == lower);
        let ways: [&dyn Fn(&str) -> bool; 2] = [&exactly, &any_case];
        for (is_meant, name) in ways.iter().flat_map(|way| self.names.iter().map(move |name| (way, name))) {
            let fits = things.iter().filter(|thing| thing[*name].as_str().is_some_and(is_meant));
            let ids: Vec<&str> = fits.filter_map(|thing| thing[self.id].as_str()).collect();
            match ids.as_slice() {
                [] => {}
                [id] => return Ok((*id).to_owned()),
                several => {
                    let what = self.what;
                    let text =
                        format!("several are called {text:?}: name the {what} by its id: {}", several.join(", "));
                    return Err(Failure::Usage(text));
                }
            }
        }
        let what = self.what;
        Err(Failure::Local(format!("there is no {what} {text:?}: `postfleet {what} list` shows those there are")))
    }
}

/// Whether it is a UUID as the interface writes them.
pub fn is_id(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|octet| octet == b'-' || octet.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_is_that_of_one_thing() {
        let things = [
            json!({"workspace_id": "1", "name": "Support", "domain": "a.test"}),
            json!({"workspace_id": "2", "name": "a.test", "domain": ""}),
            json!({"workspace_id": "3", "name": "Twin", "domain": "b.test"}),
            json!({"workspace_id": "4", "name": "Twin", "domain": "b.test"}),
            json!({"workspace_id": "5", "name": "Other", "domain": null}),
            json!({"workspace_id": "6", "name": "other", "domain": null}),
        ];
        let choose = |text: &str| WORKSPACE.choose(&things, text).map_err(|failure| failure.to_string());
        assert_eq!(choose("Support"), Ok("1".to_owned()));
        assert_eq!(choose("a.test"), Ok("2".to_owned()), "a name before a domain");
        assert!(choose("Twin").is_err_and(|text| text.contains("3, 4")));
        assert!(choose("b.test").is_err_and(|text| text.contains("several")));
        assert_eq!(choose("support"), Ok("1".to_owned()), "in other capitals");
        assert_eq!(choose("A.Test"), Ok("2".to_owned()));
        assert_eq!(choose("other"), Ok("6".to_owned()), "as it is spelled");
        assert!(choose("OTHER").is_err_and(|text| text.contains("5, 6")));
        assert!(choose("nobody").is_err_and(|text| text.contains("no workspace \"nobody\"")));
        assert!(choose("suport").is_err_and(|text| text.contains("workspace list")), "no guesses");
        assert!(is_id("01900000-0000-7000-8000-000000000000") && !is_id("01900000-0000") && !is_id("support"));
    }
}
