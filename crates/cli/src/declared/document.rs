//! What a fleet file says, as values: sections of entries, each known by its name, address or URL, with the fields that
//! the file manages. Things name each other by name; ids are of one server alone.

use super::fault::At;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The version of the file's shape.
pub const VERSION: i64 = 1;

/// A kind of thing. The order is that in which they are made: what is named by others comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Section {
    /// Domains of the organization.
    Domains,
    /// Lists, with their items.
    Lists,
    /// Policies.
    Policies,
    /// Rules.
    Rules,
    /// Workspaces.
    Workspaces,
    /// Mailboxes.
    Accounts,
    /// Webhooks.
    Webhooks,
}

/// A field of the entries of a section.
#[derive(Debug)]
pub struct Field {
    /// Its name in the file.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// When it must be there, and when it may change.
    pub habit: Habit,
}

/// When a field must be there, and when it may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Habit {
    /// Neither.
    Free,
    /// A new thing needs it.
    Needed,
    /// It is said once, when the thing is made.
    Fixed,
    /// Both of these.
    NeededAndFixed,
}

/// What a field may be.
#[derive(Debug)]
pub enum Kind {
    /// A text of one line: at least and at most so many characters.
    Line(usize, usize),
    /// A text of several lines of at most so many characters; null is the empty one.
    Lines(usize),
    /// A text that null takes away, of at most so many characters.
    Optional(usize),
    /// A domain, which may be empty.
    Domain,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Whole(i64, i64),
    /// A number.
    Decimal(f64, f64),
    /// One of some words.
    Word(&'static [&'static str]),
    /// Texts, each once, in no order: at least and at most so many.
    Set(usize, usize),
    /// The same in lower case.
    LowerSet(usize, usize),
    /// The name of another thing, or null.
    One(Section),
    /// Names of other things, each once, in no order: at most so many.
    Many(Section, usize),
    /// Fields that merge one by one.
    Group(&'static [Field]),
    /// Whatever somebody keeps there, field by field.
    Anything,
    /// The conditions of a rule.
    Match,
    /// The actions of a rule.
    Actions,
    /// The breakers of a workspace, all of them; they have a place of their own at the server.
    Breakers,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, habit: Habit::Free }
}

const NAME_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 1_024;
const STATE_CHARS_MAX: usize = 2_048;

const DOMAIN_FIELDS: &[Field] = &[field("name", Kind::Line(1, NAME_CHARS_MAX))];

const LIST_FIELDS: &[Field] = &[
    Field { name: "type", kind: Kind::Word(&["domain", "tld", "address"]), habit: Habit::NeededAndFixed },
    field("description", Kind::Lines(DESCRIPTION_CHARS_MAX)),
];

const POLICY_FIELDS: &[Field] = &[
    field("limits", Kind::Group(LIMITS)),
    field("spam_detection", Kind::Group(SPAM_DETECTION)),
    field("options", Kind::Anything),
];

const UNLIMITED_OR: Kind = Kind::Whole(-1, i64::MAX);

const LIMITS: &[Field] = &[
    field("limit_attachment_size_limit", UNLIMITED_OR),
    field("limit_attachment_count_limit", UNLIMITED_OR),
    field("limit_attachment_allowed_types", Kind::LowerSet(0, 100)),
    field("limit_size_total_mime", UNLIMITED_OR),
    field("limit_storage_total", UNLIMITED_OR),
    field("limit_count_daily_message_received", UNLIMITED_OR),
    field("limit_count_daily_email_sent", UNLIMITED_OR),
    field("limit_inbox_retention_period", UNLIMITED_OR),
    field("limit_spam_retention_period", UNLIMITED_OR),
];

const SPAM_DETECTION: &[Field] = &[
    field("use_list_dnsbl", Kind::Flag),
    field("use_header_anomaly_detection", Kind::Flag),
    field("spam_sensitivity", Kind::Decimal(0.1, 5.0)),
];

const RULE_FIELDS: &[Field] = &[
    field("description", Kind::Lines(DESCRIPTION_CHARS_MAX)),
    field("priority", Kind::Whole(0, 1_000)),
    field("enabled", Kind::Flag),
    field("mode", Kind::Word(&["enforce", "shadow"])),
    field("trigger", Kind::Word(&["inbound", "outbound"])),
    Field { name: "match", kind: Kind::Match, habit: Habit::Needed },
    Field { name: "actions", kind: Kind::Actions, habit: Habit::Needed },
];

/// The field of a workspace that is asked for and set by itself.
pub const BREAKERS: &str = "breakers";

const WORKSPACE_FIELDS: &[Field] = &[
    Field { name: "domain", kind: Kind::Domain, habit: Habit::Fixed },
    field("auto_group", Kind::Flag),
    field("policy", Kind::One(Section::Policies)),
    field("rules", Kind::Many(Section::Rules, 1_000)),
    field("on_quota", Kind::Word(&["reject", "hold", "approve"])),
    field(BREAKERS, Kind::Breakers),
];

const ACCOUNT_FIELDS: &[Field] = &[
    field("name", Kind::Optional(NAME_CHARS_MAX)),
    field("workspace", Kind::One(Section::Workspaces)),
    field("state", Kind::Optional(STATE_CHARS_MAX)),
];

const WEBHOOK_FIELDS: &[Field] = &[
    Field { name: "trigger_types", kind: Kind::Set(1, 100), habit: Habit::Needed },
    field("description", Kind::Lines(DESCRIPTION_CHARS_MAX)),
    field("notification_email_addresses", Kind::Set(0, 20)),
    field("status", Kind::Word(&["active", "pause"])),
];

impl Section {
    /// All of them, in their order.
    pub const ALL: [Self; 7] =
        [Self::Domains, Self::Lists, Self::Policies, Self::Rules, Self::Workspaces, Self::Accounts, Self::Webhooks];

    /// Its key in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Domains => "domains",
            Self::Lists => "lists",
            Self::Policies => "policies",
            Self::Rules => "rules",
            Self::Workspaces => "workspaces",
            Self::Accounts => "accounts",
            Self::Webhooks => "webhooks",
        }
    }

    /// One of its things.
    pub const fn one(self) -> &'static str {
        match self {
            Self::Domains => "domain",
            Self::Lists => "list",
            Self::Policies => "policy",
            Self::Rules => "rule",
            Self::Workspaces => "workspace",
            Self::Accounts => "account",
            Self::Webhooks => "webhook",
        }
    }

    /// The section of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }

    /// The field by which its entries are known.
    pub const fn key_field(self) -> &'static str {
        match self {
            Self::Domains => "domain_address",
            Self::Lists | Self::Policies | Self::Rules | Self::Workspaces => "name",
            Self::Accounts => "email",
            Self::Webhooks => "webhook_url",
        }
    }

    /// The other fields, in the order of an export.
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Domains => DOMAIN_FIELDS,
            Self::Lists => LIST_FIELDS,
            Self::Policies => POLICY_FIELDS,
            Self::Rules => RULE_FIELDS,
            Self::Workspaces => WORKSPACE_FIELDS,
            Self::Accounts => ACCOUNT_FIELDS,
            Self::Webhooks => WEBHOOK_FIELDS,
        }
    }

    /// Whether what is missing in the file is never deleted unless the section is named.
    pub const fn is_precious(self) -> bool {
        matches!(self, Self::Domains | Self::Accounts)
    }
}

/// A fleet file.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The sections that it manages; an empty one manages that there is nothing.
    pub sections: BTreeMap<Section, Vec<Entry>>,
}

/// One thing as the file wants it.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Where it stands.
    pub at: At,
    /// Its field, such as `workspaces[3]`.
    pub path: String,
    /// Its name, address or URL.
    pub key: String,
    /// The managed fields, in the spelling of the server; groups are laid out as `limits.limit_storage_total`.
    pub fields: BTreeMap<String, Value>,
    /// Where the fields stand.
    pub places: BTreeMap<String, At>,
    /// The items of a list, if they are managed.
    pub items: Option<BTreeSet<String>>,
    /// The things that it names.
    pub references: Vec<Reference>,
}

/// A name of another thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// What kind of thing.
    pub section: Section,
    /// Its name.
    pub name: String,
    /// Where it is named.
    pub at: At,
    /// In which field.
    pub path: String,
}

impl Kind {
    /// The section of the things that a field of this kind names.
    pub const fn named(&self) -> Option<Section> {
        match self {
            Self::One(section) | Self::Many(section, _) => Some(*section),
            Self::Match => Some(Section::Lists),
            _ => None,
        }
    }
}

impl Field {
    /// Whether its own fields are laid out as `limits.limit_storage_total`.
    pub const fn is_group(&self) -> bool {
        matches!(self.kind, Kind::Group(_) | Kind::Anything)
    }
}

impl Document {
    /// The sections that other entries name things of.
    pub fn referenced(&self) -> BTreeSet<Section> {
        let entries = self.sections.values().flatten();
        entries.flat_map(|entry| entry.references.iter().map(|reference| reference.section)).collect()
    }

    /// The sections that must be known of the server: those that are managed, and those that managed fields name things
    /// of, even if the file itself names none.
    pub fn needed(&self) -> BTreeSet<Section> {
        let mut needed: BTreeSet<Section> = self.sections.keys().copied().collect();
        for (section, entries) in &self.sections {
            for field in section.fields() {
                let Some(named) = field.kind.named().filter(|named| !needed.contains(named)) else { continue };
                if entries.iter().any(|entry| entry.fields.contains_key(field.name)) {
                    needed.insert(named);
                }
            }
        }
        needed
    }
}
