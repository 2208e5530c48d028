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

    fn choose(&self, things: &[Value], text: &str) -> Result<String, Failure> {
        for name in self.names {
            let fits = things.iter().filter(|thing| thing[*name].as_str() == Some(text));
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
        Err(Failure::Local(match self.differing_by_case(things, text) {
            Some(name) => format!("there is no {what} {text:?}; there is {name:?}"),
            None => format!("there is no {what} {text:?}: `postfleet {what} list` shows those there are"),
        }))
    }

    /// What was probably meant.
    fn differing_by_case<'a>(&self, things: &'a [Value], text: &str) -> Option<&'a str> {
        let lower = text.to_lowercase();
        let mut names = self.names.iter().flat_map(|name| things.iter().filter_map(|thing| thing[*name].as_str()));
        names.find(|name| name.to_lowercase() == lower)
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
        ];
        let choose = |text: &str| WORKSPACE.choose(&things, text).map_err(|failure| failure.to_string());
        assert_eq!(choose("Support"), Ok("1".to_owned()));
        assert_eq!(choose("a.test"), Ok("2".to_owned()), "a name before a domain");
        assert!(choose("Twin").is_err_and(|text| text.contains("3, 4")));
        assert!(choose("b.test").is_err_and(|text| text.contains("several")));
        assert!(choose("nobody").is_err_and(|text| text.contains("no workspace \"nobody\"")));
        assert!(choose("support").is_err_and(|text| text == "there is no workspace \"support\"; there is \"Support\""));
        assert!(choose("B.TEST").is_err_and(|text| text.contains("there is \"b.test\"")));
        assert!(choose("suport").is_err_and(|text| text.contains("workspace list")), "no guesses");
        assert!(is_id("01900000-0000-7000-8000-000000000000") && !is_id("01900000-0000") && !is_id("support"));
    }
}
