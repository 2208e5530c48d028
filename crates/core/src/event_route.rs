//! The router: by which rule of an application an event is given to a subject of the message bus. Pure: what is known of the
//! event is a value, and so is the answer.

use crate::address::EmailAddress;
use crate::domain::Domain;
use crate::event::Trigger;
use crate::id::{EventRouteId, GrantId, WorkspaceId};
use crate::metadata;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rules of one application. All of them are one answer.
pub const ROUTES_MAX: usize = 100;

/// Values that one rule may name of a kind.
pub const VALUES_MAX: usize = 100;

/// Octets of a subject.
pub const SUBJECT_OCTETS_MAX: usize = 128;

/// The highest priority; rules are asked from the lowest on.
pub const PRIORITY_MAX: i64 = 10_000;

/// The priority of a rule that names none.
pub const PRIORITY_USUAL: i64 = 100;

/// Characters of a folder's name or id.
const FOLDER_CHARS_MAX: usize = 256;

/// What an event must be like. Of each kind that names something one value must be right (of metadata every pair); a kind that
/// names nothing asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    /// What happened: names of triggers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trigger: Vec<String>,
    /// To whom the message goes: `local@domain`, `*@domain`, `local+*` or `local+*@domain`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipient: Vec<String>,
    /// The domain of who wrote it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_domain: Vec<String>,
    /// In which workspace the mailbox is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspace_id: Vec<String>,
    /// Which mailbox it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grant_id: Vec<String>,
    /// Pairs that the message has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// A folder that the message is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folder: Vec<String>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRoute {
    /// Its id.
    pub id: EventRouteId,
    /// When it is asked: the lowest first, and of equals the oldest.
    pub priority: i64,
    /// Whether it is asked at all.
    pub enabled: bool,
    /// What an event must be like.
    pub matcher: Matcher,
    /// Where the event goes then, behind `<prefix>.work.<application>.`.
    pub subject: String,
}

/// What is known of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The name of what happened.
    pub trigger: String,
    /// Which mailbox it is about, if it is about one.
    pub grant: Option<GrantId>,
    /// In which workspace that is.
    pub workspace: Option<WorkspaceId>,
    /// To whom the message goes.
    pub recipients: Vec<String>,
    /// Who wrote it.
    pub from: Vec<String>,
    /// The folders that it is in.
    pub folders: Vec<String>,
    /// What its application hung on it.
    pub metadata: BTreeMap<String, String>,
}

/// The rules in the order in which they are asked.
pub fn in_order(mut routes: Vec<EventRoute>) -> Vec<EventRoute> {
    routes.sort_by_key(|route| (route.priority, route.id));
    routes
}

/// The first rule that an event meets, of rules in their order.
pub fn first<'r>(routes: &'r [EventRoute], facts: &Facts) -> Option<&'r EventRoute> {
    routes.iter().find(|route| route.enabled && route.matcher.unmet(facts).is_empty())
}

/// A subject: tokens of letters, digits, `_` and `-`, with dots between them and no wildcards.
pub fn check_subject(field: &str, subject: &str) -> Result<(), Problem> {
    let is_token = |token: &str| {
        !token.is_empty() && token.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-'))
    };
    if (1..=SUBJECT_OCTETS_MAX).contains(&subject.len()) && subject.split('.').all(is_token) {
        return Ok(());
    }
    let text = format!(
        "{field} must have 1 to {SUBJECT_OCTETS_MAX} octets: tokens of A-Z, a-z, 0-9, \"_\" and \"-\" with dots between them, no \
         wildcards"
    );
    Err(Problem::invalid(field, text))
}

impl Matcher {
    /// The kinds whose values the event does not have; it meets the rule if there are none.
    pub fn unmet(&self, facts: &Facts) -> Vec<&'static str> {
        let any = |wanted: &[String], is: &dyn Fn(&str) -> bool| wanted.is_empty() || wanted.iter().any(|one| is(one));
        let recipients = addresses(&facts.recipients);
        let authors = addresses(&facts.from);
        let grant = facts.grant.map(|id| id.to_string());
        let workspace = facts.workspace.map(|id| id.to_string());
        let has_pair = |(key, value): (&String, &String)| facts.metadata.get(key) == Some(value);
        let kinds = [
            ("trigger", any(&self.trigger, &|name| name == facts.trigger)),
            ("recipient", any(&self.recipient, &|pattern| recipients.iter().any(|one| is_met(pattern, one)))),
            (
                "from_domain",
                any(&self.from_domain, &|domain| authors.iter().any(|one| one.domain().as_str() == domain)),
            ),
            ("workspace_id", any(&self.workspace_id, &|id| workspace.as_deref() == Some(id))),
            ("grant_id", any(&self.grant_id, &|id| grant.as_deref() == Some(id))),
            ("metadata", self.metadata.iter().all(has_pair)),
            ("folder", any(&self.folder, &|name| facts.folders.iter().any(|one| one.eq_ignore_ascii_case(name)))),
        ];
        kinds.into_iter().filter(|(_, is_met)| !is_met).map(|(kind, _)| kind).collect()
    }

    /// The same in one spelling, or what is wrong with it. `field` is where it stands in the request.
    pub fn checked(self, field: &str) -> Result<Self, Problem> {
        metadata::check(self.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()))).map_err(
            |problem| {
                let inner = problem.field.clone().unwrap_or_default();
                Problem {
                    field: Some(format!("{field}.{inner}")),
                    public: format!("{field}.{}", problem.public),
                    ..problem
                }
            },
        )?;
        Ok(Self {
            trigger: each(field, "trigger", self.trigger, |name| {
                let found = Trigger::subscribed_as(&name).map(|trigger| trigger.name().to_owned());
                found.ok_or("must be the name of an event")
            })?,
            recipient: each(field, "recipient", self.recipient, |pattern| {
                recipient(&pattern).ok_or("must be local@domain, *@domain, local+* or local+*@domain")
            })?,
            from_domain: each(field, "from_domain", self.from_domain, |domain| {
                Domain::parse(&domain).map(|domain| domain.to_string()).map_err(|_| "must be a domain")
            })?,
            workspace_id: each(field, "workspace_id", self.workspace_id, |id| {
                id.parse().map(|id: WorkspaceId| id.to_string()).map_err(|_| "must be the id of a workspace")
            })?,
            grant_id: each(field, "grant_id", self.grant_id, |id| {
                id.parse().map(|id: GrantId| id.to_string()).map_err(|_| "must be the id of a mailbox")
            })?,
            metadata: self.metadata,
            folder: each(field, "folder", self.folder, |name| {
                let is_name =
                    (1..=FOLDER_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
                is_name.then_some(name).ok_or("must be the id of a folder, of 1 to 256 characters")
            })?,
        })
    }
}

/// Each value in its one spelling.
fn each(
    field: &str,
    kind: &str,
    values: Vec<String>,
    read: impl Fn(String) -> Result<String, &'static str>,
) -> Result<Vec<String>, Problem> {
    if values.len() > VALUES_MAX {
        let field = format!("{field}.{kind}");
        let text = format!("{field} must have at most {VALUES_MAX} values, not {}", values.len());
        return Err(Problem::invalid(&field, text));
    }
    let one = |(index, value): (usize, String)| {
        read(value).map_err(|wrong| {
            let field = format!("{field}.{kind}[{index}]");
            Problem::invalid(&field, format!("{field} {wrong}"))
        })
    };
    values.into_iter().enumerate().map(one).collect()
}

fn addresses(texts: &[String]) -> Vec<EmailAddress> {
    texts.iter().filter_map(|text| EmailAddress::parse(text).ok()).collect()
}

/// A pattern of recipients in its one spelling; `None` if it is none.
fn recipient(pattern: &str) -> Option<String> {
    if let Some(domain) = pattern.strip_prefix("*@") {
        return Some(format!("*@{}", Domain::parse(domain).ok()?));
    }
    if let Some((local, rest)) = pattern.split_once("+*") {
        // As an address that has nothing behind the plus.
        let domain = match rest {
            "" => None,
            rest => Some(Domain::parse(rest.strip_prefix('@')?).ok()?),
        };
        EmailAddress::parse(&format!("{local}@example.com")).ok()?;
        let local = local.to_lowercase();
        return Some(domain.map_or_else(|| format!("{local}+*"), |domain| format!("{local}+*@{domain}")));
    }
    Some(EmailAddress::parse(pattern).ok()?.key())
}

/// Whether an address is one that a pattern means.
fn is_met(pattern: &str, address: &EmailAddress) -> bool {
    let domain = address.domain().as_str();
    if let Some(wanted) = pattern.strip_prefix("*@") {
        return wanted == domain;
    }
    if let Some((local, rest)) = pattern.split_once("+*") {
        let is_there = rest.is_empty() || rest.strip_prefix('@') == Some(domain);
        let written = address.local().to_lowercase();
        return is_there && written.strip_prefix(local).is_some_and(|rest| rest.starts_with('+'));
    }
    pattern == address.key()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const GRANT: &str = "01900000-0000-7000-8000-000000000001";
    const WORKSPACE: &str = "01900000-0000-7000-8000-000000000002";
    const OTHER: &str = "01900000-0000-7000-8000-00000000000f";

    /// A message to two people by one, in two folders.
    fn facts() -> Facts {
        let pairs = [("task", "42"), ("kind", "invoice")];
        Facts {
            trigger: "message.created".to_owned(),
            grant: Some(GRANT.parse().unwrap()),
            workspace: Some(WORKSPACE.parse().unwrap()),
            recipients: vec!["Support+Billing@Acme.test".to_owned(), "ceo@acme.test".to_owned()],
            from: vec!["ada@people.test".to_owned()],
            folders: vec!["inbox".to_owned(), "Important".to_owned()],
            metadata: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        }
    }

    fn matcher(json: &str) -> Matcher {
        let read: Matcher = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        read.checked("match").unwrap_or_else(|problem| panic!("{json}: {problem}"))
    }

    #[test]
    fn what_a_rule_asks_for() {
        let unmet = |json: &str| matcher(&json.replace('\'', "\"")).unmet(&facts()).join(" ");
        for (name, rule, expected) in [
            ("nothing", "{}", ""),
            ("empty lists", "{'trigger': [], 'recipient': []}", ""),
            ("the trigger", "{'trigger': ['message.created']}", ""),
            ("one of two triggers", "{'trigger': ['message.updated', 'message.created']}", ""),
            ("another trigger", "{'trigger': ['message.updated']}", "trigger"),
            ("the other name of the trigger", "{'trigger': ['message.created.cleaned']}", ""),
            ("an address", "{'recipient': ['ceo@acme.test']}", ""),
            ("an address in another case", "{'recipient': ['CEO@ACME.test']}", ""),
            ("an address with its tag", "{'recipient': ['support+billing@acme.test']}", ""),
            ("an address without its tag", "{'recipient': ['support@acme.test']}", "recipient"),
            ("an address elsewhere", "{'recipient': ['ceo@other.test']}", "recipient"),
            ("the author is no recipient", "{'recipient': ['ada@people.test']}", "recipient"),
            ("all of a domain", "{'recipient': ['*@acme.test']}", ""),
            ("all of a domain in another case", "{'recipient': ['*@ACME.TEST']}", ""),
            ("all of another domain", "{'recipient': ['*@people.test']}", "recipient"),
            ("a domain above", "{'recipient': ['*@test']}", "recipient"),
            ("a domain below", "{'recipient': ['*@mail.acme.test']}", "recipient"),
            ("any tag", "{'recipient': ['support+*']}", ""),
            ("any tag in another case", "{'recipient': ['SUPPORT+*']}", ""),
            ("any tag there", "{'recipient': ['support+*@acme.test']}", ""),
            ("any tag elsewhere", "{'recipient': ['support+*@other.test']}", "recipient"),
            ("any tag of who has none", "{'recipient': ['ceo+*']}", "recipient"),
            ("any tag of who begins alike", "{'recipient': ['supp+*']}", "recipient"),
            ("the second of two", "{'recipient': ['x@x.test', '*@acme.test']}", ""),
            ("the domain of the author", "{'from_domain': ['people.test']}", ""),
            ("the domain in another case", "{'from_domain': ['People.Test']}", ""),
            ("another domain of the author", "{'from_domain': ['acme.test']}", "from_domain"),
            ("a domain above that of the author", "{'from_domain': ['test']}", "from_domain"),
            ("the workspace", "{'workspace_id': ['WORKSPACE']}", ""),
            ("another workspace", "{'workspace_id': ['OTHER']}", "workspace_id"),
            ("a mailbox is no workspace", "{'workspace_id': ['GRANT']}", "workspace_id"),
            ("the mailbox", "{'grant_id': ['OTHER', 'GRANT']}", ""),
            ("another mailbox", "{'grant_id': ['OTHER']}", "grant_id"),
            ("a pair", "{'metadata': {'task': '42'}}", ""),
            ("both pairs", "{'metadata': {'task': '42', 'kind': 'invoice'}}", ""),
            ("a pair with another value", "{'metadata': {'task': '43'}}", "metadata"),
            ("one pair right and one wrong", "{'metadata': {'task': '42', 'kind': 'order'}}", "metadata"),
            ("a pair that is not there", "{'metadata': {'agent': 'x'}}", "metadata"),
            ("a key in another case", "{'metadata': {'Task': '42'}}", "metadata"),
            ("a folder", "{'folder': ['inbox']}", ""),
            ("a folder in another case", "{'folder': ['INBOX', 'x']}", ""),
            ("the second folder", "{'folder': ['important']}", ""),
            ("another folder", "{'folder': ['junk']}", "folder"),
            ("all kinds", "{'trigger': ['message.created'], 'recipient': ['*@acme.test'], 'folder': ['inbox']}", ""),
            (
                "one kind of three",
                "{'trigger': ['message.created'], 'recipient': ['x@x.test'], 'folder': ['inbox']}",
                "recipient",
            ),
            (
                "no kind",
                "{'trigger': ['draft.created'], 'grant_id': ['OTHER'], 'folder': ['junk']}",
                "trigger grant_id folder",
            ),
        ] {
            let rule = rule.replace("WORKSPACE", WORKSPACE).replace("OTHER", OTHER).replace("GRANT", GRANT);
            assert_eq!(unmet(&rule), expected, "{name}");
        }
    }

    #[test]
    fn of_what_is_not_known_nothing_is_met() {
        let nothing = Facts { trigger: "alert.triggered".to_owned(), ..Facts::default() };
        for (kind, json) in [
            ("recipient", r#"{"recipient": ["*@acme.test"]}"#.to_owned()),
            ("from_domain", r#"{"from_domain": ["acme.test"]}"#.to_owned()),
            ("workspace_id", format!(r#"{{"workspace_id": ["{WORKSPACE}"]}}"#)),
            ("grant_id", format!(r#"{{"grant_id": ["{GRANT}"]}}"#)),
            ("metadata", r#"{"metadata": {"a": "b"}}"#.to_owned()),
            ("folder", r#"{"folder": ["inbox"]}"#.to_owned()),
        ] {
            assert_eq!(matcher(&json).unmet(&nothing), [kind]);
        }
        assert!(matcher("{}").unmet(&nothing).is_empty());
        let strange = Facts { recipients: vec!["no address".to_owned(), String::new()], ..nothing };
        assert_eq!(matcher(r#"{"recipient": ["*@acme.test"]}"#).unmet(&strange), ["recipient"]);
    }

    #[test]
    fn the_first_that_is_met_by_priority_then_by_age() {
        let route = |number: u128, priority: i64, json: &str| EventRoute {
            id: EventRouteId::from_uuid(Uuid::from_u128(number)),
            priority,
            enabled: true,
            matcher: matcher(json),
            subject: number.to_string(),
        };
        let found = |routes: Vec<EventRoute>| first(&in_order(routes), &facts()).map(|route| route.subject.clone());
        let is = |number: &str| Some(number.to_owned());
        let (all, none) = ("{}", r#"{"folder": ["junk"]}"#);
        assert_eq!(found(Vec::new()), None);
        assert_eq!(found(vec![route(1, 5, none)]), None);
        assert_eq!(found(vec![route(1, 5, all), route(2, 4, all)]), is("2"));
        assert_eq!(found(vec![route(2, 5, all), route(1, 5, all)]), is("1"));
        assert_eq!(found(vec![route(1, 4, none), route(2, 5, all)]), is("2"));
        let off = EventRoute { enabled: false, ..route(1, 0, all) };
        assert_eq!(found(vec![off, route(2, 9, all)]), is("2"));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let many = |count: usize| format!(r#"{{"folder": [{}]}}"#, vec![r#""x""#; count].join(","));
        let wrong = |json: &str| {
            let matcher: Matcher = serde_json::from_str(json).unwrap();
            matcher.checked("match").err().map(|problem| problem.field.unwrap_or_default())
        };
        for (json, field) in [
            (r#"{"trigger": ["message.created", "message.seen"]}"#.to_owned(), Some("match.trigger[1]")),
            (r#"{"recipient": ["x"]}"#.to_owned(), Some("match.recipient[0]")),
            (r#"{"recipient": ["*"]}"#.to_owned(), Some("match.recipient[0]")),
            (r#"{"recipient": ["+*"]}"#.to_owned(), Some("match.recipient[0]")),
            (r#"{"recipient": ["a+*b"]}"#.to_owned(), Some("match.recipient[0]")),
            (r#"{"recipient": ["a+*@"]}"#.to_owned(), Some("match.recipient[0]")),
            (r#"{"recipient": ["*@"]}"#.to_owned(), Some("match.recipient[0]")),
            (r#"{"from_domain": ["a b"]}"#.to_owned(), Some("match.from_domain[0]")),
            (r#"{"workspace_id": ["x"]}"#.to_owned(), Some("match.workspace_id[0]")),
            (r#"{"grant_id": [""]}"#.to_owned(), Some("match.grant_id[0]")),
            (r#"{"metadata": {"": "x"}}"#.to_owned(), Some("match.metadata")),
            (r#"{"folder": [""]}"#.to_owned(), Some("match.folder[0]")),
            (many(VALUES_MAX), None),
            (many(VALUES_MAX + 1), Some("match.folder")),
        ] {
            assert_eq!(wrong(&json).as_deref(), field, "{json}");
        }
    }

    #[test]
    fn subjects_are_tokens() {
        let is_good = |subject: &str| check_subject("subject", subject).is_ok();
        for good in ["a", "agents.billing", "A-1_b.c", &"x".repeat(SUBJECT_OCTETS_MAX)] {
            assert!(is_good(good), "{good}");
        }
        let long = "x".repeat(SUBJECT_OCTETS_MAX + 1);
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "*", "a.>", "a.*", "ä", "a/b", "$JS", &long] {
            assert!(!is_good(bad), "{bad}");
        }
    }
}
