//! Who administers: the operator of one organization, or of the whole installation.

use postfleet_core::id::OrganizationId;
use postfleet_core::{Problem, ProblemKind};
use postfleet_store::keys::Maker;
use postfleet_store::organizations::Scope;

/// An operator, as its key or service account says.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Its own organization.
    pub organization: OrganizationId,
    /// Whether it may also do what concerns all organizations.
    pub is_installation: bool,
    /// What it may do.
    pub permissions: Vec<String>,
}

impl Operator {
    /// Whose things it may see and change.
    pub fn scope(&self) -> Scope {
        if self.is_installation { Scope::All } else { Scope::Of(self.organization) }
    }

    /// What keys it may make.
    pub fn maker(&self) -> Maker {
        Maker { permissions: self.permissions.clone(), is_installation: self.is_installation }
    }

    /// The organization that a request names in `organization_id`, or the operator's own. For an operator of one
    /// organization there is no other.
    pub fn organization(&self, named: Option<&str>) -> Result<OrganizationId, Problem> {
        let Some(text) = named.filter(|text| !text.is_empty()) else { return Ok(self.organization) };
        let unknown = || Problem::invalid("organization_id", "organization_id names no organization that you may use");
        let id = text.parse().map_err(|_| Problem::invalid("organization_id", "organization_id must be a UUID"))?;
        if self.scope().covers(id) { Ok(id) } else { Err(unknown()) }
    }

    /// Refuses operators of one organization.
    pub fn for_installation(&self) -> Result<(), Problem> {
        if self.is_installation { Ok(()) } else { Err(installation_only()) }
    }
}

/// The refusal of what concerns all organizations.
pub(crate) fn installation_only() -> Problem {
    let text = "this needs a key of the installation's operator";
    Problem::new(ProblemKind::Forbidden, "installation_only", text)
}

/// The refusal of a key or account that could do more than its maker.
pub(crate) fn lacking(what: &str) -> Problem {
    if what == "installation" {
        return installation_only();
    }
    let text = format!("nobody can give a permission that they do not have: {what}");
    Problem {
        field: Some("permissions".to_owned()),
        ..Problem::new(ProblemKind::InsufficientScopes, "permission_exceeds_maker", text)
    }
}
