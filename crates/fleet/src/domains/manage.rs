//! Registering, finding, renaming and removing domains.

use super::show::REGION;
use super::{Domains, signing_keys};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::audit::Act;
use postfleet_core::id::{DomainId, OrganizationId};
use postfleet_core::trial_domain::{self, Trial};
use postfleet_core::{Domain, Problem, ProblemKind, plan};
use postfleet_schema::domain as schema;
use postfleet_store::domains::{
    self, DomainDetails, NewDomain, RegisterDomain, RegisterOutcome, RemoveDomain, RemoveDomainOutcome, RenameDomain,
};

/// Characters of what people call a domain.
const NAME_CHARS_MAX: usize = 256;

/// Which domains a list shows.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// How many at most.
    pub limit: usize,
    /// Where the page starts.
    pub cursor: Option<String>,
    /// The one of this name only.
    pub domain: Option<String>,
    /// Those of this region only.
    pub region: Option<String>,
}

impl Domains<'_> {
    /// Registers a domain for the act's organization, with keys of its own.
    pub async fn register(&self, act: Act, request: &schema::CreateDomain) -> Result<DomainDetails, Problem> {
        let name = address(&request.domain_address)?;
        let is_branded = match trial_domain::of(&name, &self.settings.trial) {
            Trial::Elsewhere => false,
            Trial::Below => true,
            Trial::Reserved => return Err(in_address(format!("domain_address {name} is reserved"))),
        };
        let domain = NewDomain {
            id: DomainId::new(act.at, self.entropy.ten()),
            label: label(request.name.as_deref())?.unwrap_or_else(|| name.to_string()),
            name,
            is_branded,
            is_trusted: false,
            is_owned: false,
            ownership_token: hex::encode(self.entropy.thirty_two()),
            dkim_keys: signing_keys(self.entropy).await?,
        };
        let (organization, id, name) = (act.organization_id, domain.id, domain.name.clone());
        match self.store.run(RegisterDomain { domain, act }).await? {
            RegisterOutcome::Registered => self.find(organization, &id.to_string()).await,
            RegisterOutcome::Taken => {
                let text = format!("domain {name} already exists");
                let problem = Problem::new(ProblemKind::Conflict, "domain_taken", text);
                Err(Problem { field: Some("domain_address".into()), ..problem })
            }
            RegisterOutcome::TooManyTrials(cap) => {
                Err(plan::cap_reached("trial_domains_max_reached", "trial domains", cap))
            }
        }
    }

    /// The domain that a path names, by id or by name.
    pub async fn find(&self, organization: OrganizationId, segment: &str) -> Result<DomainDetails, Problem> {
        let mut reader = self.store.reader().await?;
        let found = match segment.parse::<DomainId>() {
            Ok(id) => domains::find(&mut reader, organization, id).await?,
            Err(_) => match Domain::parse(segment) {
                Ok(name) => domains::find_name(&mut reader, organization, &name).await?,
                Err(_) => None,
            },
        };
        found.ok_or_else(Problem::not_found)
    }

    /// A page of an organization's domains, newest first, and the cursor of the next page.
    pub async fn list(
        &self,
        organization: OrganizationId,
        wanted: &Wanted,
    ) -> Result<(Vec<DomainDetails>, Option<String>), Problem> {
        let below = wanted.cursor.as_deref().map(read_cursor).transpose()?;
        let name = wanted.domain.as_deref().map(Domain::parse).transpose();
        let name = name.map_err(|error| Problem::invalid("domain", format!("domain is no domain: {error}")))?;
        if wanted.region.as_deref().is_some_and(|region| region != REGION) {
            return Ok((Vec::new(), None));
        }
        let mut reader = self.store.reader().await?;
        if let Some(name) = name {
            let found = domains::find_name(&mut reader, organization, &name).await?;
            return Ok((found.into_iter().collect(), None));
        }
        let mut page = domains::list(&mut reader, organization, below, wanted.limit + 1).await?;
        let more = page.len() > wanted.limit;
        page.truncate(wanted.limit);
        let next = page.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(last.domain.id.uuid()));
        Ok((page, next))
    }

    /// Changes what people call a domain.
    pub async fn rename(
        &self,
        act: Act,
        segment: &str,
        request: &schema::UpdateDomain,
    ) -> Result<DomainDetails, Problem> {
        let found = self.find(act.organization_id, segment).await?;
        let Some(label) = label(request.name.as_deref())? else { return Ok(found) };
        let (organization, id) = (act.organization_id, found.domain.id);
        if self.store.run(RenameDomain { id, label, act }).await? {
            self.find(organization, &id.to_string()).await
        } else {
            Err(Problem::not_found())
        }
    }

    /// Removes a domain on which no mailbox lives.
    pub async fn remove(&self, act: Act, segment: &str) -> Result<(), Problem> {
        let id = self.find(act.organization_id, segment).await?.domain.id;
        match self.store.run(RemoveDomain { id, act }).await? {
            RemoveDomainOutcome::Removed => Ok(()),
            RemoveDomainOutcome::Unknown => Err(Problem::not_found()),
            RemoveDomainOutcome::InUse(count) => {
                let text = format!("{count} mailboxes live on the domain; remove them first");
                Err(Problem::new(ProblemKind::Conflict, "domain_in_use", text))
            }
        }
    }
}

/// A name that mail can be sent to: two labels at least, and no address in digits.
fn address(text: &str) -> Result<Domain, Problem> {
    let domain = Domain::parse(text).map_err(|error| in_address(format!("domain_address is no domain: {error}")))?;
    let (_, last) = domain.as_str().rsplit_once('.').unwrap_or(("", "0"));
    if last.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(in_address("domain_address must be a domain with a dot, such as agents.example.com".to_owned()));
    }
    Ok(domain)
}

fn in_address(text: String) -> Problem {
    Problem::invalid("domain_address", text)
}

fn label(name: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(name) = name else { return Ok(None) };
    if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
        return Err(Problem::invalid("name", format!("name must be of 1 to {NAME_CHARS_MAX} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "name must not have control characters"));
    }
    Ok(Some(name.to_owned()))
}

fn read_cursor(cursor: &str) -> Result<DomainId, Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?.try_into().map_err(|_| invalid())?;
    Ok(DomainId::from_uuid(uuid::Uuid::from_bytes(bytes)))
}
