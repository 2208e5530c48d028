//! `postfleet init`: an organization with everything that it needs to begin.

use crate::compose::{self, DataDir};
use crate::config::Config;
use anyhow::{Result, bail};
use postfleet_core::domain_records::{DomainSettings, RecordKind};
use postfleet_core::{Domain, domain_zone};
use postfleet_fleet::domains;
use postfleet_fleet::organizations::{self, Created, NewOrganization};
use postfleet_net::{Clock, SystemClock, SystemEntropy};
use postfleet_store::domains::NewDomain;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// Where everything is kept.
    #[arg(long)]
    data_dir: PathBuf,
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The organization's name.
    #[arg(long)]
    organization: String,
    /// A domain for its mailboxes; may be given several times.
    #[arg(long = "domain", required = true)]
    domains: Vec<String>,
    /// Take the domains as verified, without asking DNS.
    #[arg(long)]
    trust_domains: bool,
    /// The plan: self_hosted, free, full_platform, or one that the configuration defines.
    #[arg(long, default_value = "self_hosted")]
    plan: String,
    /// The application's environment: production or sandbox.
    #[arg(long, default_value = "production")]
    environment: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Makes the organization and shows its keys, once.
pub async fn run(arguments: Arguments) -> Result<()> {
    let config = Config::load(arguments.config.as_deref(), &[])?;
    let settings = config.domain_settings()?;
    let new = NewOrganization {
        name: arguments.organization,
        domains: named(&arguments.domains)?,
        trust_domains: arguments.trust_domains,
        plan: arguments.plan,
        environment: arguments.environment,
        daily_sends_max: None,
    };
    let data = DataDir::open(&arguments.data_dir)?;
    let store = compose::store(&config, &data).await?;
    let hasher = compose::secret(&data, &SystemEntropy)?;
    let created = organizations::create(&store, &hasher, &SystemEntropy, SystemClock.now(), &new).await?;
    if arguments.json {
        println!("{}", show(&created, &settings));
    } else {
        explain(&created, &new, &settings, config.http.listen);
    }
    Ok(())
}

fn named(names: &[String]) -> Result<Vec<Domain>> {
    let mut domains = Vec::new();
    for name in names {
        match Domain::parse(name) {
            Ok(domain) if domains.contains(&domain) => bail!("--domain {name} is given twice"),
            Ok(domain) => domains.push(domain),
            Err(error) => bail!("--domain {name}: {error}"),
        }
    }
    Ok(domains)
}

fn show(created: &Created, settings: &DomainSettings) -> serde_json::Value {
    let domain = |domain: &NewDomain| {
        let records = domains::records(domain, settings);
        let keys = records.iter().filter(|record| record.kind == RecordKind::Dkim);
        json!({
            "id": domain.id.to_string(),
            "domain": domain.name.as_str(),
            "dkim": keys.map(|record| json!({
                "name": record.name,
                "type": record.data.kind(),
                "value": record.data.value(),
            })).collect::<Vec<_>>(),
            "records": records.iter().map(|record| json!({
                "type": record.kind.name(),
                "host": record.host,
                "fqdn": record.name,
                "kind": record.data.kind(),
                "value": record.data.value(),
                "priority": record.data.priority(),
            })).collect::<Vec<_>>(),
        })
    };
    json!({
        "organization_id": created.organization_id.to_string(),
        "application_id": created.application_id.to_string(),
        "default_workspace_id": created.default_workspace_id.to_string(),
        "api_key": created.api_key.expose(),
        "operator_key": created.operator_key.expose(),
        "domains": created.domains.iter().map(domain).collect::<Vec<_>>(),
    })
}

fn explain(created: &Created, new: &NewOrganization, settings: &DomainSettings, http: SocketAddr) {
    println!("Made the organization {:?}. Its keys are shown only now:\n", new.name);
    println!("  API key       {}", created.api_key.expose());
    println!("  operator key  {}\n", created.operator_key.expose());
    println!("  organization  {}", created.organization_id);
    println!("  application   {}", created.application_id);
    println!("  workspace     {}\n", created.default_workspace_id);
    println!("Publish these records:\n");
    for domain in &created.domains {
        println!("{}", domain_zone::write(domain.name.as_str(), &domains::records(domain, settings)));
    }
    if settings.mx_host.as_str() == "localhost" {
        println!("These records name localhost: set server.hostname (or domains.mx_host and domains.spf) first, and");
        println!("take the records from GET /v3/domains/<domain>/zone then.\n");
    }
    if new.trust_domains {
        println!("The domains are taken as verified on your word: they receive and send at once.");
        return;
    }
    let required: Vec<_> = settings.required_to_send.iter().map(|kind| kind.name()).collect();
    println!("A domain may have mailboxes once its ownership record is found, and send once these are:");
    println!("{}. The server looks every few minutes; to have it look now:\n", required.join(", "));
    for domain in &created.domains {
        println!("  curl -X POST http://{http}/v3/domains/{}/verify \\", domain.name);
        println!("    -H 'Authorization: Bearer <operator key>' -H 'Content-Type: application/json' \\");
        println!("    -d '{{\"type\": \"ownership\"}}'\n");
    }
    println!("and the same for the types mx, spf, dkim, feedback and dmarc. docs/domains.md has more.");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(folder: &std::path::Path, plan: &str) -> Arguments {
        Arguments {
            data_dir: folder.join("data"),
            config: Some(folder.join("postfleet.toml")),
            organization: "Acme".into(),
            domains: vec!["acme.test".into()],
            trust_domains: true,
            plan: plan.into(),
            environment: "production".into(),
            json: true,
        }
    }

    #[tokio::test]
    async fn an_organization_gets_a_plan_of_the_configuration_and_needs_it_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("postfleet.toml"), "[plans.gold]\ndaily_sends_max = 5").unwrap();
        let refused = run(arguments(folder.path(), "silver")).await.unwrap_err().to_string();
        assert!(refused.contains("plan must be one of free, full_platform, self_hosted, gold"), "{refused}");
        run(arguments(folder.path(), "gold")).await.unwrap();

        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let with = Config::load(Some(&folder.path().join("postfleet.toml")), &[]).unwrap();
        compose::store(&with, &data).await.map(drop).unwrap();
        let without = Config::load(None, &[]).unwrap();
        let refused = compose::store(&without, &data).await.map(drop).unwrap_err().to_string();
        assert!(refused.contains("the plan \"gold\", which the configuration does not define"), "{refused}");
    }
}
