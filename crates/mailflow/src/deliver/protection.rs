//! How connections to a domain's servers are protected: by DANE where the DNS vouches for certificates (RFC 7672), else by
//! the domain's MTA-STS policy (RFC 8461), else as well as it goes. A policy that asks for protection is never gone
//! around: then the message waits.

use crate::platform::Platform;
use crate::routing::{PolicyKind, PolicyRef, Receiver, sts};
use postfleet_core::delivery::Reason;
use postfleet_core::sts::{StsMode, StsPolicy};
use postfleet_core::{Domain, Problem, UnixMicros};
use postfleet_net::TlsaSet;
use postfleet_net::mx_transport::{HandedOver, TlsFailure, TlsFault, TlsRule, TlsSession};
use postfleet_net::tls::{Tlsa, usable};
use postfleet_wire::smtp::client::Failure;
use std::net::IpAddr;

/// How one server is to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Protection {
    /// How connections are encrypted.
    pub(super) rule: TlsRule,
    /// Who asks for encryption or a login: for the reason why a message waits.
    pub(super) asked_by: Option<String>,
    /// What is wrong with the policy itself or with the server under it, in the words of RFC 8460 §4.3, although
    /// connections are made.
    pub(super) flaw: Option<(&'static str, &'static str)>,
    /// Under which policy connections are counted.
    pub(super) policy: PolicyRef,
    /// It is our relay, about which nothing is reported to anybody.
    pub(super) is_relay: bool,
}

impl Protection {
    /// That of our relay, as the operator has set it.
    pub(super) fn of_relay(host: &str, rule: TlsRule) -> Self {
        let policy = PolicyRef::none(host);
        Self { rule, asked_by: Some(format!("relay {host}")), flaw: None, policy, is_relay: true }
    }
}

/// Whether a server may be used.
pub(super) enum Verdict {
    /// It may, so.
    Allowed(Protection),
    /// It may not.
    Refused(Reason),
}

/// What holds for mail to a domain.
pub(super) struct Policies {
    domain: Domain,
    /// The name servers vouch for which servers the domain has.
    is_authenticated: bool,
    sts: Option<(StsPolicy, PolicyRef)>,
}

impl Policies {
    pub(super) async fn of(platform: &Platform, domain: &Domain, is_authenticated: bool) -> Result<Self, Problem> {
        let sts = sts::policy(platform, domain).await?.map(|policy| {
            let (lines, mx_hosts) = (policy.lines().into(), policy.mx.clone().into());
            let described = PolicyRef { kind: PolicyKind::Sts, domain: domain.to_string(), lines, mx_hosts };
            (policy, described)
        });
        Ok(Self { domain: domain.clone(), is_authenticated, sts })
    }

    /// Judges a server. What stands against it is counted.
    pub(super) async fn judge(&self, platform: &Platform, host: &Domain) -> Verdict {
        if self.is_authenticated {
            match platform.resolver.tlsa(host, platform.settings.mx_port).await {
                Ok(Some(records)) => return Verdict::Allowed(self.by_dane(host, &records)),
                Ok(None) => {}
                // There may be records, so that going on without them would be what an attacker wants.
                Err(error) => {
                    let policy = PolicyRef { kind: PolicyKind::Tlsa, ..PolicyRef::none(self.domain.as_str()) };
                    let text = format!("DANE records of {host} cannot be looked up: {error}");
                    return self.refuse(platform, &policy, host, "dnssec-invalid", text);
                }
            }
        }
        self.by_sts(platform, host)
    }

    fn by_dane(&self, host: &Domain, found: &TlsaSet) -> Protection {
        let records = usable(&found.records);
        let lines = found.records.iter().map(line).collect();
        let policy = PolicyRef { kind: PolicyKind::Tlsa, lines, ..PolicyRef::none(self.domain.as_str()) };
        let asked_by = Some(format!("DANE records of {}", found.base));
        let (rule, flaw) = if records.is_empty() {
            // Encryption is asked for, and in no way that can be verified (RFC 7672 §2.2).
            (TlsRule::Encrypted, Some(("tlsa-invalid", "none of the TLSA records can be used")))
        } else {
            let mut names = vec![found.base.clone()];
            for name in [host, &self.domain] {
                if !names.iter().any(|known| known == name.as_str()) {
                    names.push(name.to_string());
                }
            }
            (TlsRule::Dane { records: records.into(), names: names.into() }, None)
        };
        Protection { rule, asked_by, flaw, policy, is_relay: false }
    }

    fn by_sts(&self, platform: &Platform, host: &Domain) -> Verdict {
        let allowed = |rule, asked_by, flaw, policy: &PolicyRef| {
            Verdict::Allowed(Protection { rule, asked_by, flaw, policy: policy.clone(), is_relay: false })
        };
        let Some((policy, described)) = &self.sts else {
            return allowed(TlsRule::Opportunistic, None, None, &PolicyRef::none(self.domain.as_str()));
        };
        const MISMATCH: &str = "the policy does not name the server";
        match (policy.mode, policy.names(host)) {
            (StsMode::None, _) => allowed(TlsRule::Opportunistic, None, None, &PolicyRef::none(self.domain.as_str())),
            (StsMode::Testing, true) => allowed(TlsRule::Watched, None, None, described),
            (StsMode::Testing, false) => {
                allowed(TlsRule::Opportunistic, None, Some(("validation-failure", MISMATCH)), described)
            }
            (StsMode::Enforce, true) => allowed(TlsRule::Verified, Some(self.sts_name()), None, described),
            (StsMode::Enforce, false) => {
                let text = format!("{} does not name the server {host}", self.sts_name());
                self.refuse(platform, described, host, "validation-failure", text)
            }
        }
    }

    fn sts_name(&self) -> String {
        format!("MTA-STS policy of {}", self.domain)
    }

    fn refuse(&self, platform: &Platform, policy: &PolicyRef, host: &Domain, result: &str, text: String) -> Verdict {
        let to = Receiver { host: host.as_str(), address: None };
        platform.routing.tally.failure(platform.clock.now().day(), policy, to, result, &text);
        Verdict::Refused(Reason { code: 0, status: "4.7.5".to_owned(), text })
    }
}

fn line(record: &Tlsa) -> String {
    let Tlsa { usage, selector, matching, data } = record;
    format!("{usage} {selector} {matching} {}", hex::encode(data))
}

/// Counts how encryption went, tells the operator what only they can mend, and says why a message waits if protection
/// is the reason.
pub(super) fn observe(
    platform: &Platform,
    server: (&str, IpAddr),
    protection: &Protection,
    handed_over: &HandedOver,
    now: UnixMicros,
) -> Option<Reason> {
    let (host, address) = server;
    if let (Some(session), false) = (&handed_over.tls, protection.is_relay) {
        let to = Receiver { host, address: Some(address) };
        let (day, policy, tally) = (now.day(), &protection.policy, &platform.routing.tally);
        match (&session.result, protection.flaw) {
            (Ok(()), Some((result, reason))) => tally.failure(day, policy, to, result, reason),
            _ => tally.session(day, policy, to, session),
        }
    }
    let asked_by = protection.asked_by.as_deref()?;
    match (&handed_over.failure, &handed_over.tls) {
        (Some(failure @ (Failure::LoginRefused(_) | Failure::LoginUnavailable)), _) => {
            tracing::error!(relay = host, cause = %failure, "failed to sign in to the relay; mail waits until this is mended");
            platform.metrics.relay_refused();
            Some(Reason { code: 0, status: "4.7.0".to_owned(), text: format!("{asked_by}: {failure}") })
        }
        (Some(_), Some(TlsSession { result: Err(failure), .. })) if protection.rule.is_enforced() => {
            Some(not_protected(asked_by, host, failure))
        }
        _ => None,
    }
}

fn not_protected(asked_by: &str, host: &str, failure: &TlsFailure) -> Reason {
    let status = match failure.fault {
        TlsFault::NotOffered => "4.7.4",
        TlsFault::HostMismatch | TlsFault::Expired | TlsFault::NotTrusted | TlsFault::Other => "4.7.5",
    };
    Reason { code: 0, status: status.to_owned(), text: format!("{asked_by}: {host}: {}", failure.text) }
}
